//! A past decision is explained from what the bus has: the same checks come to the same.

use crate::rig::{HOME, ONE, Rig, buy, eventually, order, trade_of};
use prost::Message as _;
use tragen_bus::{Followed, StartAt, Stream};
use tragen_contracts::v1;
use tragen_domain::risk::{DenialReason, Verdict};
use tragen_risk_guard::{
    Config, LimitsConfig,
    replay::{Explainer, Explanation, Finder},
};

/// Everything on a stream, in order.
async fn read(rig: &Rig, stream: Stream, start: StartAt) -> Vec<Followed> {
    let Some(last) = rig.bus.newest(stream).await.expect("a stream") else { return Vec::new() };
    let mut follower = rig.bus.follow(&rig.context, stream, "", start).await.expect("a stream");
    let mut messages = Vec::new();
    loop {
        let message = follower.next().await.expect("a running bus");
        let is_last = message.sequence >= last || message.pending == 0;
        messages.push(message);
        if is_last {
            return messages;
        }
    }
}

async fn explain(rig: &Rig, trade: &str) -> Explanation {
    let journal = read(rig, Stream::Journal, StartAt::Beginning).await;
    let mut finder = Finder::new(trade);
    journal.iter().for_each(|own| finder.take(own.sequence, &own.payload).expect("a journal"));
    let mut explainer = Explainer::new(finder.found().expect("it is in the journal")).expect("limits");
    for own in &journal {
        explainer.take_journal(own.sequence, &own.payload).expect("a journal");
    }
    for own in read(rig, Stream::Executions, StartAt::Beginning).await {
        explainer.take_executions(own.sequence, &own.subject, &own.payload).expect("reports");
    }
    for own in read(rig, Stream::Ledger, StartAt::Beginning).await {
        explainer.take_facts(own.sequence, &own.payload).expect("facts");
    }
    for own in read(rig, Stream::Market, StartAt::NewestOfEach).await {
        if own.subject.starts_with("md.instrument.") {
            explainer.take_instrument(&own.payload).expect("an instrument");
        }
    }
    explainer.explain().expect("an explanation")
}

/// The last message on LEDGER that the newest decision was made on; 0 for none.
async fn newest_fact(rig: &Rig) -> u64 {
    let journal = read(rig, Stream::Journal, StartAt::Beginning).await;
    let newest = journal.last().map(|own| v1::JournalBatch::decode(&*own.payload).expect("a batch"));
    newest.map_or(0, |batch| batch.ledger_sequence)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_is_explained_with_its_inputs_and_every_check_also_after_the_limits_have_changed() {
    let mut rig = Rig::start().await;
    let limits = LimitsConfig {
        resting_orders_max: 7,
        rules: [("trade_max_ppm".to_owned(), 500_000)].into(),
        ..LimitsConfig::default()
    };
    let guard = rig.standby(Config { limits, ..rig.config() });
    guard.wait_ready().await;
    // The facts of the bus have to tell what is posted: a first trade brings one.
    let first = buy("first", 100, 520_000);
    let bought = trade_of(&first);
    rig.propose(vec![first]).await;
    assert_eq!(rig.outcomes.of(&bought).await.status(), v1::TradeStatus::Filled);
    eventually("it is booked", async || rig.ledger.contracts("alice", HOME) == 100).await;
    // The guard has read it too once a decision says so; what it knew before came from a question, not from the bus.
    let mut number = 0;
    while newest_fact(&rig).await == 0 {
        number += 1;
        assert!(number < 1_000, "the guard reads no facts");
        let asked = buy(&format!("asked-{number}"), 1_200, 520_000);
        let trade = trade_of(&asked);
        rig.propose(vec![asked]).await;
        rig.outcomes.of(&trade).await;
    }
    let rests = order("rests", v1::Side::Buy, 50, 400_000, v1::TimeInForce::Gtc);
    let resting = trade_of(&rests);
    rig.propose(vec![rests]).await;
    rig.outcomes.until(|outcomes| outcomes.reports.contains_key(&resting)).await;
    let large = buy("large", 1_200, 520_000);
    let denied = trade_of(&large);
    rig.propose(vec![large]).await;
    let report = rig.outcomes.of(&denied).await;
    let denial = report.denial.expect("denied");
    assert_eq!(denial.code(), v1::DenialCode::TradeShareLimit);
    // What happens afterwards is not what was decided on.
    guard.stop().await;
    let guard = rig.guard().await;
    rig.quote(700_000, 720_000, 1_000).await;

    let own = explain(&rig, &format!("{denied}-o")).await;
    assert_eq!(own.agrees, Some(true), "{:?}", own.checks);
    let inputs = own.inputs.expect("it is an order");
    assert_eq!((inputs.position, inputs.orders), (Some(100 * ONE), Some(1)));
    assert_eq!(inputs.quote.and_then(|quote| quote.ask).map(|ask| ask.price.micros()), Some(520_000));
    assert!(inputs.held > Some(20 * ONE) && inputs.cash < Some(1_000 * ONE), "{:?} {:?}", inputs.held, inputs.cash);
    let failed: Vec<_> = own.checks.iter().filter(|check| check.verdict == Verdict::Failed).collect();
    assert_eq!((failed[0].reason, failed[0].observed), (DenialReason::TradeShareLimit, denial.observed));
    let resting_orders = own.checks.iter().find(|check| check.reason == DenialReason::SelfTrade);
    assert_eq!(resting_orders.map(|check| check.verdict), Some(Verdict::Passed));

    let own = explain(&rig, &resting).await;
    assert_eq!(own.agrees, Some(true), "{:?}", own.checks);
    let most = own.checks.iter().find(|check| check.reason == DenialReason::OpenOrderLimit).expect("it rests");
    assert_eq!((most.limit, most.observed), (7, 1), "the limits of then, not of now");
    assert_eq!(own.found.closed, None);
    guard.stop().await;
    rig.stop().await;
}
