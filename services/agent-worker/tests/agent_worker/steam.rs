//! What moved in the last half hour of odds is told: by every worker the same, and by a new one what the bus has kept.

use super::{MATCH, PATIENCE, Rig, World, analysis, bets, handover, mandate, order_of, rig};
use std::sync::atomic::Ordering;
use tragen_bus::{PublishOptions, Subject};
use tragen_contracts::v1::{self, analyze_response::Result as Finding};
use tragen_domain::id::MatchId;

/// What both bookmakers quoted before: since then the home team has become likelier.
const BEFORE: [i64; 3] = [2_400_000, 3_500_000, 3_000_000];
/// What they quote in every snapshot.
const NOW: [i64; 3] = [1_960_000, 3_800_000, 4_000_000];

impl World {
    /// Tells what both bookmakers quote since a minute of market time.
    async fn quote_odds(&self, number: i64, minute: i64, [home, draw, away]: [i64; 3]) {
        let book = |bookmaker: &str| v1::BookOdds {
            bookmaker: bookmaker.into(),
            home_odds_micros: home,
            draw_odds_micros: draw,
            away_odds_micros: away,
            is_sharp: false,
        };
        let odds = v1::OddsQuoted {
            match_id: MATCH.into(),
            books: super::snapshot().books.iter().map(|own| book(&own.bookmaker)).collect(),
            event_time_micros: bets::NOON + minute * bets::MINUTE,
            feed_started_micros: 1,
            number,
        };
        let subject = Subject::Odds(MatchId::new(MATCH).expect("an id"));
        self.bus.publish(&subject, &odds, &PublishOptions::default(), PATIENCE).await.expect("stored");
    }

    fn is_minute(&self, minute: i64) {
        self.market_time.store(bets::NOON + minute * bets::MINUTE, Ordering::SeqCst);
    }
}

/// The moves as `HOME Shortening 2`, and the minutes that are known.
async fn told(rig: &Rig) -> (Vec<String>, i32) {
    let (info, Finding::Scout(found)) = analysis::ask(rig, analysis::scout(MATCH)).await else { panic!("not a scout") };
    assert_eq!(info.explanation.contains("Steam: HOME shortens"), !found.steam.is_empty(), "{}", info.explanation);
    let said = |own: &v1::SteamMove| {
        assert!((own.mean_shift_micros > 150_000) == (own.direction() == v1::SteamDirection::Shortening), "{own:?}");
        format!("{} {:?} {}", own.outcome, own.direction(), own.bookmakers.len())
    };
    (found.steam.iter().map(said).collect(), found.odds_seen_secs / 60)
}

async fn until_told(rig: &Rig, moves: &[&str], minutes: i32) {
    handover::until("the odds are known", async || told(rig).await == (owned(moves), minutes)).await;
}

fn owned(moves: &[&str]) -> Vec<String> {
    moves.iter().map(ToString::to_string).collect()
}

const STEAM: [&str; 2] = ["HOME Shortening 2", "AWAY Drifting 2"];

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_started_late_knows_the_last_half_hour_and_says_less_after_odds_were_missed() {
    let rig = rig(0).await;
    // Out of order, and one twice.
    for (number, minute, odds) in [(2, 45, NOW), (1, 0, BEFORE), (2, 45, NOW)] {
        rig.world.quote_odds(number, minute, odds).await;
    }
    rig.world.is_minute(60);
    bets::with_workers(1, &rig).await;
    until_told(&rig, &STEAM, 30).await;
    // At minute 75 the window begins with the new odds.
    rig.world.is_minute(75);
    assert_eq!(told(&rig).await, (Vec::new(), 30));
    // Number 3 was missed: of what was before number 4 nothing is said.
    rig.world.quote_odds(4, 76, BEFORE).await;
    rig.world.is_minute(80);
    until_told(&rig, &STEAM, 4).await;
    rig.world.quote_odds(3, 75, NOW).await;
    until_told(&rig, &[], 30).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_tell_the_same_and_reasons_for_buying_tell_it_too() {
    let mut rig = rig(2).await;
    rig.world.is_minute(20);
    rig.world.quote_odds(1, 0, BEFORE).await;
    // Whichever answers: ten in a row, so both have seen it.
    let mut in_a_row = 0;
    handover::until("both know the odds", async || {
        let is_known = told(&rig).await == (owned(&STEAM), 20);
        in_a_row = if is_known { in_a_row + 1 } else { 0 };
        in_a_row == 10
    })
    .await;
    rig.world.request("t1", mandate(MATCH, "")).await;
    let proposal = rig.next_one().await;
    let rationale = &order_of(&proposal).rationale;
    assert!(rationale.contains("steam: HOME shortens at 2 books by 0."), "{rationale}");
    rig.stop().await;
}
