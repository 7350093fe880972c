//! The sample feed on the bus.

use crate::stage::{PATIENCE, Stage, eventually};
use prost::Message as _;
use std::{collections::BTreeMap, time::Instant};
use tragen_bus::{PublishOptions, StartAt, Stream, Subject};
use tragen_contracts::v1::{self, execution_report::Kind, market_answer::Answer, market_question::Question};
use tragen_domain::{instrument::Instrument, market::Quote};
use tragen_host::clock;
use tragen_market_data::Config;

fn config(stage: &Stage) -> Config {
    Config { data_dir: stage.folder.path().to_owned(), quote_refresh_ms: 100, ..Config::default() }
}

/// How many newest messages of each kind are on a stream: `quote` -> 34 ...
async fn newest(stage: &Stage, stream: Stream) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    if stage.bus.last_sequence(stream).await.unwrap_or_default() == 0 {
        return counts;
    }
    let Ok(mut follower) = stage.bus.follow(&stage.context, stream, "", StartAt::NewestOfEach).await else {
        return counts;
    };
    while let Ok(Some(fact)) = tokio::time::timeout(PATIENCE, follower.next()).await {
        let kind = fact.subject.split('.').take(2).last().unwrap_or_default().to_owned();
        *counts.entry(kind).or_default() += 1;
        if fact.pending == 0 {
            break;
        }
    }
    counts
}

async fn all_arrives(stage: &Stage) {
    eventually("34 instruments, 34 quotes and 10 matches", async || {
        let counts = newest(stage, Stream::Market).await;
        let count = |kind: &str| counts.get(kind).copied().unwrap_or_default();
        ((count("instrument"), count("quote"), count("match")) == (34, 34, 10)).then_some(())
    })
    .await;
    eventually("bars of 4 instruments in 4 lengths", async || {
        let counts = newest(stage, Stream::Bars).await;
        (counts.get("bar").copied().unwrap_or_default() >= 16).then_some(())
    })
    .await;
}

/// All odds on the bus, by match in the order of their numbers.
async fn odds(stage: &Stage) -> BTreeMap<String, Vec<v1::OddsQuoted>> {
    let mut told: BTreeMap<String, Vec<v1::OddsQuoted>> = BTreeMap::new();
    if stage.bus.last_sequence(Stream::Odds).await.unwrap_or_default() == 0 {
        return told;
    }
    let Ok(mut follower) = stage.bus.follow(&stage.context, Stream::Odds, "", StartAt::Beginning).await else {
        return told;
    };
    while let Ok(Some(fact)) = tokio::time::timeout(PATIENCE, follower.next()).await {
        let odds = v1::OddsQuoted::decode(fact.payload).expect("odds");
        assert_eq!(fact.subject, format!("md.odds.{}", odds.match_id));
        let own = told.entry(odds.match_id.clone()).or_default();
        // Told again they keep their numbers.
        own.retain(|known| known.number != odds.number);
        own.push(odds);
        if fact.pending == 0 {
            break;
        }
    }
    told
}

/// Eight hours of 4 instruments: 480 + 96 + 8 + 2 bars each.
async fn warm_up_arrives(stage: &Stage) {
    eventually("the bars of the warm-up", async || {
        let bars = stage.bus.last_sequence(Stream::Bars).await.unwrap_or_default();
        (bars >= 4 * 586).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_arrives_and_comes_back_after_the_bus_has_lost_it() {
    let mut stage = Stage::set().await;
    let started = Instant::now();
    stage.run(config(&stage)).await;
    println!("ready after {} ms", started.elapsed().as_millis());
    all_arrives(&stage).await;
    warm_up_arrives(&stage).await;

    let before = odds(&stage).await;
    let game = before.get("EPL-2026-ARS-MCI").expect("odds of the match").clone();
    assert!(game.len() > 1 && game.windows(2).all(|pair| pair[0].number + 1 == pair[1].number), "{game:?}");
    let is_later = |pair: &[v1::OddsQuoted]| pair[0].event_time_micros < pair[1].event_time_micros;
    assert!(game.windows(2).all(is_later) && game.iter().all(|odds| odds.books.len() >= 4), "{game:?}");

    stage.server.restart().await.expect("restarted");
    all_arrives(&stage).await;
    eventually("the odds that were told, under the numbers they had", async || {
        let again = odds(&stage).await;
        let known = again.get("EPL-2026-ARS-MCI")?;
        game.last().filter(|last| known.contains(last)).map(drop)
    })
    .await;
    warm_up_arrives(&stage).await;
    tokio::time::timeout(PATIENCE, stage.context.health.wait_ready("market-data")).await.expect("ready again");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quotes_stay_fresh_and_in_order_while_the_market_stands_still() {
    let stage = Stage::set().await;
    stage.run(Config { speed: 1e-9, ..config(&stage) }).await;
    let filter = "md.quote.GBPUSD";
    let follower = stage.bus.follow(&stage.context, Stream::Market, filter, StartAt::NewestOfEach).await;
    let mut follower = follower.expect("followed");
    let mut published = Vec::new();
    while published.len() < 10 {
        let fact = tokio::time::timeout(PATIENCE, follower.next()).await.expect("in time").expect("a quote");
        let wire = v1::Quote::decode(fact.payload).expect("a quote");
        let quote = Quote::try_from(&wire).expect("a valid quote");
        assert!(quote.bid.zip(quote.ask).is_some_and(|(bid, ask)| bid.price < ask.price), "{quote:?}");
        assert!(clock::now_micros() - wire.published_at_micros < 2_000_000);
        published.push(wire.published_at_micros);
    }
    assert!(published.windows(2).all(|pair| pair[0] < pair[1]), "{published:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered() {
    let stage = Stage::set().await;
    stage.run(config(&stage)).await;
    let instruments = stage.instruments().await;
    assert_eq!(instruments.len(), 34);
    assert!(instruments.is_sorted_by_key(|instrument| instrument.instrument_id.clone()));
    for instrument in &instruments {
        Instrument::try_from(instrument).expect("a valid instrument");
    }
    let match_id = "EPL-2026-ARS-MCI".to_owned();
    let Answer::MatchSnapshot(snapshot) =
        stage.ask(Question::MatchSnapshot(v1::MatchSnapshotQuestion { match_id: match_id.clone() })).await
    else {
        panic!("no snapshot");
    };
    let game = snapshot.r#match.expect("a match");
    assert_eq!((game.home.as_str(), game.status()), ("Arsenal", v1::MatchStatus::Scheduled));
    assert!(snapshot.books.len() >= 4 && snapshot.books.iter().any(|book| book.is_sharp), "{:?}", snapshot.books);
    let ids: Vec<&str> = snapshot.instruments.iter().map(|i| i.instrument_id.as_str()).collect();
    assert_eq!(ids, ["EPL-2026-ARS-MCI-HOME", "EPL-2026-ARS-MCI-DRAW", "EPL-2026-ARS-MCI-AWAY"]);
    let (asks, bids) = snapshot
        .quotes
        .iter()
        .fold((0, 0), |(asks, bids), quote| (asks + quote.ask_price_micros, bids + quote.bid_price_micros));
    assert!((1_000_000..=1_050_000).contains(&asks) && bids <= 1_000_000, "asks {asks}, bids {bids}");

    let Answer::Error(error) =
        stage.ask(Question::MatchSnapshot(v1::MatchSnapshotQuestion { match_id: "EPL-2026-ARS-MCY".into() })).await
    else {
        panic!("no error");
    };
    assert_eq!((error.code, error.reason.as_str()), (5, "MATCH_NOT_FOUND"));
    assert!(error.message.contains("EPL-2026-ARS-MCI"), "{}", error.message);
    let Answer::Error(error) = stage.ask(Question::Quote(v1::GetQuoteRequest { instrument_id: "GBPUSX".into() })).await
    else {
        panic!("no error");
    };
    assert_eq!((error.code, error.reason.as_str()), (5, "INSTRUMENT_NOT_FOUND"));
    assert!(error.message.contains("GBPUSD"), "{}", error.message);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_of_the_last_trade_is_kept() {
    let stage = Stage::set().await;
    stage.run(config(&stage)).await;
    let fill = |price_micros| v1::Fill { price_micros, quantity_micros: 1_000_000, ..v1::Fill::default() };
    let trade = v1::TradeReport {
        terms: Some(v1::OrderTerms { instrument_id: "GBPUSD".into(), ..v1::OrderTerms::default() }),
        fills: vec![fill(1_340_000), fill(1_345_010)],
        ..v1::TradeReport::default()
    };
    let denied = v1::TradeReport { fills: Vec::new(), ..trade.clone() };
    let reports = [trade, denied]
        .map(|trade| v1::ExecutionReport { kind: Some(Kind::Trade(trade)), ..v1::ExecutionReport::default() });
    let batch = v1::ExecutionBatch { reports: reports.to_vec() };
    let subject = Subject::Executions("paper");
    stage.bus.publish(&subject, &batch, &PublishOptions::default(), PATIENCE).await.expect("stored");
    eventually("the last price", async || {
        let asked = Question::Quote(v1::GetQuoteRequest { instrument_id: "GBPUSD".into() });
        let Answer::Quote(answer) = stage.ask(asked).await else { panic!("no quote") };
        (answer.quote.expect("a quote").last_price_micros == 1_345_010).then_some(())
    })
    .await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_ends_leaves_everything_closed() {
    let stage = Stage::set().await;
    let config = Config { speed: 0.0, is_sample_looped: false, ..config(&stage) };
    stage.run(config).await;
    eventually("34 closed instruments", async || {
        let instruments = stage.instruments().await;
        let closed = |i: &v1::Instrument| i.status() == v1::InstrumentStatus::Closed;
        (instruments.len() == 34 && instruments.iter().all(closed)).then_some(())
    })
    .await;
    let asked = v1::MatchSnapshotQuestion { match_id: "EPL-2026-ARS-MCI".into() };
    let Answer::MatchSnapshot(snapshot) = stage.ask(Question::MatchSnapshot(asked)).await else { panic!("none") };
    let game = snapshot.r#match.expect("a match");
    assert_eq!((game.status(), game.minute, snapshot.books.len()), (v1::MatchStatus::Finished, 90, 0));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_starts_again_a_day_later() {
    let stage = Stage::set().await;
    stage.run(Config { speed: 0.0, ..config(&stage) }).await;
    let last_bar = async || {
        let bars = stage.bus.follow(&stage.context, Stream::Bars, "md.bar.1m.GBPUSD", StartAt::NewestOfEach);
        let mut follower = bars.await.ok()?;
        let fact = tokio::time::timeout(PATIENCE, follower.next()).await.ok()??;
        Some(v1::Bar::decode(fact.payload).ok()?.start_micros)
    };
    const DAY: i64 = 86_400_000_000;
    let first = eventually("a bar", last_bar).await;
    eventually("a bar two days later", async || last_bar().await.filter(|last| last - first >= 2 * DAY)).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_what_it_says_stops_the_start() {
    let stage = Stage::set().await;
    let path = stage.folder.path().join("other.csv");
    std::fs::write(&path, "a,b\n1,2\n").expect("written");
    let feed = tragen_market_data::Feed::Files(vec![path]);
    let refused =
        tragen_market_data::run(stage.context.clone(), stage.bus.clone(), Config { feed, ..config(&stage) }).await;
    let message = format!("{:#}", refused.expect_err("refused"));
    assert!(message.starts_with("other.csv:1: expected a header of matches"), "{message}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_feed_it_is_ready_and_empty() {
    let stage = Stage::set().await;
    stage.run(Config { feed: tragen_market_data::Feed::None, ..config(&stage) }).await;
    assert!(stage.instruments().await.is_empty());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_and_fixtures_are_told_once_and_matches_that_are_not_over() {
    let stage = Stage::set().await;
    stage.run(Config { speed: 1e-9, ..config(&stage) }).await;
    let history = async |asked| {
        let Answer::History(page) = stage.ask(Question::History(asked)).await else { panic!("no history") };
        page
    };
    let page = history(v1::HistoryQuestion::default()).await;
    assert_eq!((page.rows.len(), page.last, page.newest), (770, 770, 770), "two seasons, and ten fixtures");
    let (past, fixtures) = page.rows.split_at(760);
    assert!(past.iter().all(|row| row.is_played && row.closing_odds_micros.len() == 3));
    assert!(fixtures.iter().all(|row| !row.is_played && row.home_goals == 0 && row.closing_odds_micros.is_empty()));
    let today = i32::try_from(page.event_time_micros / 86_400_000_000).expect("a day");
    assert!(past.iter().all(|row| row.day < today) && fixtures.iter().all(|row| row.day == today), "{today}");
    let asked = v1::HistoryQuestion { history_id: page.history_id.clone(), after: page.last };
    assert!(history(asked).await.rows.is_empty());
    let other = v1::HistoryQuestion { history_id: "another".into(), after: page.last };
    assert_eq!(history(other).await.rows.len(), 770);

    let Answer::Matches(page) = stage.ask(Question::Matches(v1::MatchesQuestion::default())).await else {
        panic!("no matches");
    };
    assert_eq!((page.matches.len(), page.next_match_id.as_str()), (10, ""));
    let ids: Vec<&str> = page.matches.iter().filter_map(|own| Some(own.r#match.as_ref()?.match_id.as_str())).collect();
    assert!(ids.is_sorted() && ids.contains(&"EPL-2026-ARS-MCI"), "{ids:?}");
    let first = &page.matches[0];
    assert!(first.closing_books.is_empty() && first.over_under_odds_micros.len() == 2, "before kick-off: {first:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_become_known_when_matches_end() {
    let stage = Stage::set().await;
    let config = Config { speed: 0.0, is_sample_looped: false, ..config(&stage) };
    stage.run(config).await;
    let page = eventually("ten results", async || {
        let Answer::History(page) = stage.ask(Question::History(v1::HistoryQuestion::default())).await else {
            panic!("no history");
        };
        (page.newest == 780).then_some(page)
    })
    .await;
    let results = &page.rows[770..];
    assert!(results.iter().all(|row| row.is_played && row.closing_odds_micros.len() == 3), "{results:?}");
    let fixtures = &page.rows[760..770];
    let key = |row: &v1::HistoryRow| (row.day, row.home.clone());
    assert!(results.iter().all(|row| fixtures.iter().any(|fixture| key(fixture) == key(row))));
    stage.end().await;
}
