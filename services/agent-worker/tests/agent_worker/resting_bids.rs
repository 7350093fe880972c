//! Configured value makers: they take an ask that is worth it, and have one bid in the book where none is.

use super::{
    MATCH, PATIENCE, Rig, World,
    bets::{HANDED_ON, NOON, with_workers},
    guard::Guard,
    order_of, rig,
};
use prost::Message as _;
use std::{sync::atomic::Ordering, time::Duration};
use tragen_bus::Bucket;
use tragen_contracts::v1::{self, proposal::Kind};
use tragen_host::clock;

const SECOND: i64 = 1_000_000;

fn agent(is_enabled: bool) -> v1::Agent {
    v1::Agent {
        agent_id: "v1".into(),
        strategy: v1::Strategy::ValueMaker.into(),
        timeframe: "5m".into(),
        risk_tolerance: 5,
        max_trades_per_day: 600,
        account_id: "one".into(),
        is_enabled,
        ..v1::Agent::default()
    }
}

impl World {
    async fn put_value_maker(&self, is_enabled: bool) {
        let agents = self.bus.bucket(Bucket::Agents).await.expect("a bucket");
        agents.put("v1", agent(is_enabled).encode_to_vec().into()).await.expect("stored");
    }

    /// Shows the match with these decimal odds of an away win, and home contracts offered at a price.
    fn show_odds(&self, away_odds_micros: i64, home_ask_micros: i64) {
        let mut own = super::snapshot();
        own.books.iter_mut().for_each(|book| book.away_odds_micros = away_odds_micros);
        for quote in &mut own.quotes {
            quote.published_at_micros = 0;
        }
        (own.quotes[0].bid_price_micros, own.quotes[0].ask_price_micros) = (home_ask_micros - 20_000, home_ask_micros);
        self.shown.lock().expect("not poisoned").insert(MATCH.to_owned(), own);
    }
}

/// A rig whose value maker has bid: an away win is worth 0.244, and nothing is offered cheaply.
async fn bid(workers: usize) -> (Rig, Guard, v1::Proposal) {
    let mut rig = rig(0).await;
    let guard = Guard::start(&rig.world).await;
    rig.world.put_value_maker(true).await;
    with_workers(workers, &rig).await;
    rig.world.show_odds(4_000_000, 490_000);
    rig.world.new_odds(NOON).await;
    let bid = rig.next_one().await;
    guard.take(std::slice::from_ref(&bid));
    (rig, guard, bid)
}

fn trade_of(proposal: &v1::Proposal) -> &str {
    &proposal.key.as_ref().expect("a key").trade_id
}

/// The next proposal cancels this trade, and the guard obeys.
async fn is_withdrawn(rig: &mut Rig, guard: &Guard, bid: &v1::Proposal) {
    let cancel = rig.next_one().await;
    let Some(Kind::Cancel(own)) = &cancel.kind else { panic!("not a cancel: {cancel:?}") };
    assert_eq!(own.trade_id, trade_of(bid));
    guard.take(std::slice::from_ref(&cancel));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bid_rests_however_many_workers_there_are_and_goes_with_the_kick_off() {
    let (mut rig, guard, bid) = bid(3).await;
    let order = order_of(&bid);
    assert_eq!((order.agent.as_str(), order.agent_id.as_str()), ("eplTradingAgent", "v1"));
    assert_eq!((order.pool.as_str(), order.timeframe.as_str()), ("value_maker", "5m"));
    assert!(order.rationale.contains("bids") && order.rationale.contains("fair 0.24"), "{}", order.rationale);
    let terms = order.terms.as_ref().expect("terms");
    // 5.5 % of risk tolerance 5 below fair, on the venue's grid.
    assert_eq!((terms.instrument_id.as_str(), terms.side()), (format!("{MATCH}-AWAY").as_str(), v1::Side::Buy));
    assert_eq!((terms.limit_price_micros, terms.is_post_only), (180_000, true));
    assert_eq!((terms.order_type(), terms.time_in_force()), (v1::OrderType::Limit, v1::TimeInForce::Gtd));
    let life = Duration::from_micros((terms.expire_at_micros - clock::now_micros()).unsigned_abs());
    assert!(life > Duration::from_secs(240) && life <= Duration::from_secs(300), "{life:?}");
    // A quarter of Kelly, 0.078 / 4 of 10,000, buys a thousand at 0.18.
    assert!((1_000_000_000..1_200_000_000).contains(&terms.quantity_micros), "{terms:?}");

    rig.world.new_odds(NOON + SECOND).await;
    assert!(rig.next(HANDED_ON).await.is_empty(), "it is as it should be");
    rig.world.tell_match(MATCH, v1::MatchStatus::InPlay, NOON + 2 * SECOND).await;
    is_withdrawn(&mut rig, &guard, &bid).await;
    assert!(rig.next(HANDED_ON).await.is_empty(), "nothing is bid for in play");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bid_goes_when_its_outcome_becomes_less_likely_or_some_of_the_match_is_held() {
    let (mut rig, guard, bid) = bid(1).await;
    // Worth 0.20 now: at 0.18 it would be too dear.
    rig.world.show_odds(5_000_000, 490_000);
    guard.held_micros.store(1_000_000, Ordering::SeqCst);
    rig.world.new_odds(NOON + SECOND).await;
    is_withdrawn(&mut rig, &guard, &bid).await;
    assert!(rig.next(HANDED_ON).await.is_empty(), "a match is bet on once");
    // Sold meanwhile: the agent bids again, for less, and under the name of the slot.
    guard.held_micros.store(0, Ordering::SeqCst);
    rig.world.new_odds(NOON + 2 * SECOND).await;
    let next = rig.next_one().await;
    let terms = order_of(&next).terms.clone().expect("terms");
    assert!(terms.is_post_only && (terms.limit_price_micros < 180_000 || !terms.instrument_id.ends_with("AWAY")));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ask_that_is_worth_it_is_taken_once_the_bid_is_out() {
    let (mut rig, guard, bid) = bid(1).await;
    rig.world.show_odds(4_000_000, 450_000);
    rig.world.new_odds(NOON + SECOND).await;
    is_withdrawn(&mut rig, &guard, &bid).await;
    assert!(rig.next(Duration::from_secs(1)).await.is_empty(), "while the bid was there the account had ordered some");
    rig.world.new_odds(NOON + 2 * SECOND).await;
    let taken = rig.next_one().await;
    let order = order_of(&taken);
    let terms = order.terms.as_ref().expect("terms");
    assert_eq!((order.agent.as_str(), order.pool.as_str()), ("eplTradingAgent", "value_maker"));
    assert_eq!((terms.instrument_id.as_str(), terms.limit_price_micros), (format!("{MATCH}-HOME").as_str(), 450_000));
    assert_eq!((terms.time_in_force(), terms.is_post_only), (v1::TimeInForce::Ioc, false));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bid_of_an_agent_that_was_disabled_is_taken_out() {
    let (mut rig, guard, bid) = bid(1).await;
    rig.world.put_value_maker(false).await;
    // The registry follows the bucket: told again until it knows.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut told = NOON;
    loop {
        told += SECOND;
        rig.world.new_odds(told).await;
        let found = rig.next(Duration::from_secs(1)).await;
        if let [cancel] = found.as_slice() {
            assert!(matches!(&cancel.kind, Some(Kind::Cancel(own)) if own.trade_id == trade_of(&bid)), "{cancel:?}");
            guard.take(&found);
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "it is never taken out: {found:?}");
    }
    rig.stop().await;
}
