//! What the players publish, played from rows made here.

use super::*;
use crate::file::{self, Limits};
use tragen_domain::{
    instrument::InstrumentStatus,
    market::{MatchStatus, Quote, Timeframe},
    money::ONE,
};

const MATCH: &str = "match_id,date,home,away,ko_utc,fthg,ftag,b365_h,b365_d,b365_a,b365c_h,b365c_d,b365c_a\n\
                     M,2030-01-05,Reds,Blues,2030-01-05T15:00:00Z,1,0,2.1,3.4,3.6,1.9,3.6,4.2\n";
const EVENTS: &str = "date,home,away,minute,stoppage,type,side\n\
                      2030-01-05,Reds,Blues,20,0,GOAL,H\n2030-01-05,Reds,Blues,70,0,RED,H\n";
/// 2030-01-05T15:00:00Z.
const KICKOFF: Timestamp = Timestamp::from_micros(1_893_855_600_000_000);

fn player(texts: &[(&str, &str)]) -> Player {
    let folder = tempfile::tempdir().expect("a folder");
    let paths: Vec<_> = texts
        .iter()
        .map(|(name, text)| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        })
        .collect();
    let intake = file::read(&paths, Limits { file_mib_max: 1, rows_max: 10_000 }).expect("readable");
    Player::new(Arc::new(intake), PlayRules { listing_hours: 1, start: None }).expect("a player")
}

/// Plays everything up to and including `until`.
fn play(player: &mut Player, market: &mut Market, until: Timestamp) {
    while player.next_at().is_some_and(|next| next <= until) {
        player.play_next(market);
    }
}

fn quote(market: &Market, id: &str) -> (InstrumentStatus, Quote) {
    let listed = market.instrument(id).expect("listed");
    (listed.instrument.status, listed.quote.clone())
}

fn mid(market: &Market, id: &str) -> i64 {
    quote(market, id).1.reference_price().expect("a price").micros()
}

#[test]
fn a_match_is_listed_played_suspended_and_closed() {
    let mut player = player(&[("m.csv", MATCH), ("e.csv", EVENTS)]);
    let mut market = Market::default();
    assert_eq!(player.next_at(), Some(KICKOFF.plus_millis(-3_600_000)));
    player.play_next(&mut market);
    assert_eq!(market.live_match("M").expect("listed").books.len(), 1);
    let opening = mid(&market, "M-HOME");
    play(&mut player, &mut market, KICKOFF.plus_millis(-1));
    assert!(mid(&market, "M-HOME") > opening, "the odds of the home team shorten until kick-off");

    let before_kickoff = mid(&market, "M-HOME");
    play(&mut player, &mut market, KICKOFF);
    let live = market.live_match("M").expect("listed");
    assert_eq!((live.state.status, live.books.len()), (MatchStatus::InPlay, 0));
    assert!((mid(&market, "M-HOME") - before_kickoff).abs() <= 15_000, "kick-off itself is no news");

    // The goal of the 20th minute falls 19 minutes and 20 seconds after kick-off.
    let goal = KICKOFF.plus_millis(19 * 60_000 + 20_000);
    play(&mut player, &mut market, goal.plus_millis(-1));
    let before_goal = mid(&market, "M-HOME");
    play(&mut player, &mut market, goal.plus_millis(14_999));
    let (status, empty) = quote(&market, "M-HOME");
    assert_eq!((status, empty.bid, empty.ask), (InstrumentStatus::Suspended, None, None));
    play(&mut player, &mut market, goal.plus_millis(15_000));
    assert_eq!(quote(&market, "M-HOME").0, InstrumentStatus::Open);
    assert!(mid(&market, "M-HOME") > before_goal + 100_000, "a goal is worth more than 10 cents");
    assert_eq!(market.live_match("M").expect("listed").state.goals, (1, 0));

    // Two minutes of stoppage and the break lie between the halves.
    let red = KICKOFF.plus_millis((45 + 2 + 15 + 24) * 60_000 + 20_000);
    play(&mut player, &mut market, red.plus_millis(-1));
    let before_red = mid(&market, "M-HOME");
    play(&mut player, &mut market, red.plus_millis(15_000));
    assert!(mid(&market, "M-HOME") < before_red, "a player less");

    play(&mut player, &mut market, KICKOFF.plus_millis(4 * 3_600_000));
    assert_eq!(player.next_at(), None);
    let live = market.live_match("M").expect("listed");
    assert_eq!((live.state.status, live.state.minute, live.state.reds), (MatchStatus::Finished, 90, (1, 0)));
    assert_eq!(market.instrument_counts(), (3, 0));
    assert_eq!(player.progress().matches, (1, 1));
}

#[test]
fn the_three_prices_always_make_sense_together() {
    let mut player = player(&[("m.csv", MATCH), ("e.csv", EVENTS)]);
    let mut market = Market::default();
    let mut seen = 0;
    while player.next_at().is_some() {
        player.play_next(&mut market);
        let quotes = ["M-HOME", "M-DRAW", "M-AWAY"].map(|id| quote(&market, id).1);
        let sum = |prices: [Option<i64>; 3]| prices.into_iter().sum::<Option<i64>>();
        let asks = sum(quotes.each_ref().map(|quote| quote.ask.map(|level| level.price.micros())));
        let bids = sum(quotes.each_ref().map(|quote| quote.bid.map(|level| level.price.micros())));
        assert!(asks.is_none_or(|asks| (ONE..=ONE + 70_000).contains(&asks)), "{quotes:?}");
        assert!(bids.is_none_or(|bids| bids <= ONE), "{quotes:?}");
        seen += usize::from(asks.is_some());
    }
    assert!(seen > 80, "{seen}");
}

#[test]
fn bars_are_published_at_their_end_and_make_longer_ones() {
    let mut text = String::from("ts_utc,open,high,low,close,volume\n");
    // 10:00 to 10:09 without 10:04, so that the first five minutes end late.
    for minute in [0, 1, 2, 3, 5, 6, 7, 8, 9] {
        text += &format!("2030-01-05T10:{minute:02}:00Z,1.1,1.{},1.0{},1.1,5\n", 11 + minute, 9 - minute);
    }
    let mut player = player(&[("eurusd_m1.csv", &text)]);
    let mut market = Market::default();
    let start = KICKOFF.plus_millis(-5 * 3_600_000);
    assert_eq!(player.next_at(), Some(start.plus_millis(60_000)));
    while player.next_at().is_some() {
        player.play_next(&mut market);
    }
    let bars = market.bars_after(&BTreeMap::new());
    let of = |timeframe: Timeframe| bars.iter().filter(|bar| bar.timeframe == timeframe).collect::<Vec<_>>();
    assert_eq!((of(Timeframe::Minute1).len(), of(Timeframe::Minute5).len(), of(Timeframe::Hour1).len()), (9, 2, 0));
    let first = of(Timeframe::Minute5)[0];
    assert_eq!((first.start, first.bid.high.micros(), first.bid.low.micros()), (start, 1_139_960, 1_059_960));
    let published = BTreeMap::from([((Timeframe::Minute5, first.instrument.clone()), first.start)]);
    assert_eq!(market.bars_after(&published).len(), bars.len() - 1);
}

#[test]
fn events_of_all_files_come_in_market_time_and_start_again_a_day_later() {
    let bars =
        "ts_utc,open,high,low,close\n2030-01-05T15:10:00Z,1.1,1.1,1.1,1.1\n2030-01-05T15:11:00Z,1.1,1.1,1.1,1.1\n";
    let mut player = player(&[("m.csv", MATCH), ("eurusd_m1.csv", bars)]);
    let mut market = Market::default();
    let mut times = Vec::new();
    while let Some(next) = player.next_at() {
        times.push(next);
        player.play_next(&mut market);
    }
    assert!(times.is_sorted());
    assert_eq!(player.progress().bars, (2, 2));
    player.start_again().expect("again");
    assert_eq!(player.next_at(), times.first().map(|first| first.plus_millis(86_400_000)));
    assert_eq!(player.progress().bars, (0, 2));
    player.play_next(&mut market);
    assert_eq!(market.instrument_counts().1, 4, "the match is open again, with EURUSD");
}
