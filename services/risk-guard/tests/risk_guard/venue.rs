//! A venue that answers late, twice, too much or not at all: every fill is booked once, no
//! hold stays, and somebody is called.

use crate::rig::{HOME, ONE, PATIENCE, Rig, buy, eventually, order, trade_of};
use prost::Message as _;
use tragen_bus::{StartAt, Stream};
use tragen_contracts::v1;
use tragen_domain::id::OrderId;
use tragen_risk_guard::{Config, LimitsConfig, PaperFaults};

const ALWAYS: u32 = 1_000_000;

/// Proposes 10 contracts at a venue with `faults`; how it ended, what the ledger has of it,
/// and for what somebody was called. Nothing may be held after it, and nothing halted but an overfilled market.
async fn check(
    faults: PaperFaults,
    time_in_force: v1::TimeInForce,
    limit: i64,
    expected: (v1::TradeStatus, i64),
    called: Option<&str>,
) {
    let mut rig = Rig::start().await;
    rig.quote(500_000, 520_000, 10).await;
    let guard = rig.standby(Config { venue_faults: faults, tick_ms: 20, ..rig.config() });
    guard.wait_ready().await;
    let mut alerts = rig.bus.follow(&rig.context, Stream::Alerts, "", StartAt::Beginning).await.expect("alerts");
    let proposed = order("r-1", v1::Side::Buy, 10, limit, time_in_force);
    let trade = trade_of(&proposed);
    rig.propose(vec![proposed]).await;
    let (status, contracts) = expected;
    rig.outcomes.until(|own| own.last(&trade).is_some_and(|report| report.status() == status)).await;
    eventually("the ledger has booked it", async || rig.ledger.contracts("alice", HOME) == contracts).await;
    assert_eq!(rig.outcomes.filled(&trade), contracts);
    if let Some(code) = called {
        let alert = tokio::time::timeout(PATIENCE, alerts.next()).await.expect("in time").expect("an alert");
        let alert = v1::Alert::decode(alert.payload).expect("an alert");
        assert_eq!((alert.code.as_str(), alert.subject), (code, format!("{trade}-o")));
    }
    eventually("nothing is held", async || rig.risk_state().await.held_micros == 0).await;
    let state = rig.risk_state().await;
    assert_eq!((state.open_orders, state.global_state()), (0, v1::TradingState::Active));
    // Only where venue and guard do not agree nobody trades on, for good.
    let is_overfilled = called == Some("RISK_GUARD_OVERFILL");
    let is_stopped = |state: &v1::GetRiskStateResponse| {
        let home = |own: &&v1::ScopeState| own.scope.as_ref().is_some_and(|scope| scope.id == HOME);
        state.scopes.iter().find(home).is_some_and(|own| own.reason.starts_with("OVERFILL"))
    };
    eventually("the market is stopped", async || is_stopped(&rig.risk_state().await) == is_overfilled).await;
    assert!(called.is_some() || alerts.try_next().is_none());
    guard.stop().await;
    // A restart comes to the same, and tells nothing anew.
    let told = rig.outcomes.reports[&trade].len();
    let guard = rig.guard().await;
    let state = rig.risk_state().await;
    assert_eq!((state.open_orders, is_stopped(&state)), (0, is_overfilled));
    assert_eq!(rig.outcomes.reports[&trade].len(), told);
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_after_executing_is_found_at_the_venue() {
    let faults = PaperFaults { unanswered_ppm: ALWAYS, ..PaperFaults::default() };
    check(faults, v1::TimeInForce::Ioc, 520_000, (v1::TradeStatus::Filled, 10), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_before_arriving_expires() {
    let faults = PaperFaults { lost_ppm: ALWAYS, ..PaperFaults::default() };
    let mut rig = Rig::start().await;
    let guard = rig.standby(Config { venue_faults: faults, ..rig.config() });
    guard.wait_ready().await;
    let proposed = buy("r-1", 10, 520_000);
    let trade = trade_of(&proposed);
    rig.propose(vec![proposed]).await;
    eventually("it is held while nobody knows", async || rig.risk_state().await.held_micros > 0).await;
    assert_eq!(rig.outcomes.of(&trade).await.status(), v1::TradeStatus::Expired);
    eventually("nothing is held", async || rig.risk_state().await.held_micros == 0).await;
    assert_eq!(rig.venue_lines(), Vec::<String>::new());
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_of_an_order_that_nobody_knows_calls_somebody() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    rig.quote(500_000, 520_000, 10).await;
    // Another client of the venue has it: a line of its file is all there is of it.
    let line = format!("stranger-o {HOME} buy 450000 10000000 gtc prediction 30000 working 0\n");
    rig.add_venue_line(&line);
    let mut alerts = rig.bus.follow(&rig.context, Stream::Alerts, "", StartAt::Beginning).await.expect("alerts");
    // The guard reads the file when it sends an order, and the next quote meets both.
    let own = order("own", v1::Side::Buy, 1, 440_000, v1::TimeInForce::Gtc);
    let trade = trade_of(&own);
    rig.propose(vec![own]).await;
    rig.outcomes.until(|own| own.last(&trade).is_some()).await;
    rig.quote(400_000, 410_000, 100).await;
    assert_eq!(rig.outcomes.of(&trade).await.status(), v1::TradeStatus::Filled);
    let alert = tokio::time::timeout(PATIENCE, alerts.next()).await.expect("in time").expect("an alert");
    let alert = v1::Alert::decode(alert.payload).expect("an alert");
    assert_eq!((alert.code.as_str(), alert.subject.as_str()), ("RISK_GUARD_UNKNOWN_ORDER", "stranger-o"));
    eventually("only its own is booked", async || rig.ledger.contracts("alice", HOME) == 1).await;
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_the_order_of_somebody_else_that_was_lost() {
    let rig = Rig::start().await;
    let faults = PaperFaults { lost_ppm: ALWAYS, ..PaperFaults::default() };
    // Longer than this test waits: the first order is not known to be over when the second one is decided.
    let limits = LimitsConfig { approval_valid_ms: 120_000, ..LimitsConfig::default() };
    let guard = rig.standby(Config { venue_faults: faults, limits, ..rig.config() });
    guard.wait_ready().await;
    for (request, open) in [("r-1", 1), ("r-2", 2)] {
        rig.propose(vec![buy(request, 10, 520_000)]).await;
        eventually("it is approved", async || rig.risk_state().await.open_orders == open).await;
    }
    guard.kill();
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_that_is_told_twice_is_booked_once() {
    let faults = PaperFaults { repeated_fill_ppm: ALWAYS, ..PaperFaults::default() };
    check(faults, v1::TimeInForce::Ioc, 520_000, (v1::TradeStatus::Filled, 10), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_after_the_end_is_booked_and_somebody_is_called() {
    let faults = PaperFaults { late_fill_ppm: ALWAYS, ..PaperFaults::default() };
    // Nothing is there at this price: canceled at once, and filled all the same.
    check(faults, v1::TimeInForce::Ioc, 500_000, (v1::TradeStatus::Filled, 10), Some("RISK_GUARD_LATE_FILL")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_refused_after_it_was_accepted_holds_nothing() {
    let faults = PaperFaults { late_reject_ppm: ALWAYS, ..PaperFaults::default() };
    let code = Some("RISK_GUARD_REJECTED_AFTER_ACCEPTED");
    let proposed = (v1::TradeStatus::Rejected, 0);
    check(faults, v1::TimeInForce::Gtc, 400_000, proposed, code).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_was_asked_for_is_booked_somebody_is_called_and_the_market_is_stopped() {
    let faults = PaperFaults { overfill_ppm: ALWAYS, ..PaperFaults::default() };
    check(faults, v1::TimeInForce::Ioc, 520_000, (v1::TradeStatus::Filled, 11), Some("RISK_GUARD_OVERFILL")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_all_of_it_at_once_what_was_executed_is_what_is_told_and_booked() {
    const TRADES: usize = 200;
    let mut rig = Rig::start().await;
    let share = ALWAYS / 8;
    let faults = PaperFaults {
        delayed_ppm: share,
        delay_micros: 50_000,
        lost_ppm: share,
        unanswered_ppm: share,
        repeated_fill_ppm: share,
        late_fill_ppm: share,
        late_reject_ppm: share,
        // It stops the market, and then there is nothing more to see.
        overfill_ppm: 0,
    };
    let config = || Config { venue_faults: faults, tick_ms: 20, snapshot_records: 50, ..rig.config() };
    let (first, second) = (rig.standby(config()), rig.standby(config()));
    let proposals: Vec<_> = (0..TRADES).map(|number| buy(&format!("r-{number}"), 1, 520_000)).collect();
    for (number, chunk) in proposals.chunks(5).enumerate() {
        // The depth is used up now and then, so that some are canceled.
        rig.quote(500_000, 520_000, if number % 4 == 0 { 3 } else { 1_000 }).await;
        rig.propose(chunk.to_vec()).await;
    }
    rig.outcomes.until(|own| own.finished() >= TRADES / 2).await;
    first.kill();
    rig.outcomes.until(|own| own.finished() >= TRADES).await;
    let state = async || rig.risk_state().await;
    eventually("nothing is held", async || {
        let state = state().await;
        state.held_micros == 0 && state.open_orders == 0
    })
    .await;
    let executed = async || {
        let question = v1::VenueFillsQuestion { after: 0, page_size: 0 };
        let answer = rig.ask("", v1::guard_question::Question::VenueFills(question)).await;
        let v1::guard_answer::Answer::VenueFills(fills) = answer else { panic!("refused") };
        fills.fills.iter().filter_map(|fill| fill.fill.as_ref()).map(|fill| fill.quantity_micros / ONE).sum()
    };
    let mut contracts: i64 = executed().await;
    eventually("all is booked", async || {
        contracts = executed().await;
        contracts == rig.ledger.contracts("alice", HOME)
    })
    .await;
    assert!(contracts > 0);
    for proposal in &proposals {
        let order = OrderId::new(format!("{}-o", trade_of(proposal))).expect("an id");
        let lines = rig.venue_lines().iter().filter(|line| line.starts_with(order.as_str())).count();
        assert!(lines <= 3, "{order} arrived more than once");
    }
    assert_eq!(rig.risk_state().await.global_state(), v1::TradingState::Active);
    second.stop().await;
    rig.stop().await;
}
