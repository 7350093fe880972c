//! Breakers fire by themselves, survive the guard, and limits change by two people.

use crate::rig::{ONE, Rig, buy, eventually, order, trade_of};
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};
use tragen_bus::{StartAt, Stream};
use tragen_contracts::v1::{self, guard_answer::Answer, guard_question::Question};
use tragen_risk_guard::{Config, LimitsConfig};

/// Alice's account is the house; it is measured often, and only losses are limited.
fn house(rig: &Rig) -> Config {
    let off = ["open_risk_max_ppm", "pool_exposure_max_ppm", "timeframe_exposure_max_ppm"];
    let limits = LimitsConfig {
        house_accounts: BTreeSet::from(["alice".to_owned()]),
        rules: off.into_iter().map(|name| (name.to_owned(), 0)).collect(),
        ..LimitsConfig::default()
    };
    Config { limits, measure_ms: 20, ..rig.config() }
}

/// Proposes until it is not denied for want of a measurement; gives the report.
async fn traded(rig: &mut Rig, name: &str, contracts: i64) -> v1::TradeReport {
    for attempt in 0_u32.. {
        let proposal = buy(&format!("{name}-{attempt}"), contracts, 520_000);
        let trade = trade_of(&proposal);
        rig.propose(vec![proposal]).await;
        let report = rig.outcomes.of(&trade).await;
        let code = report.denial.as_ref().map(v1::Denial::code);
        if code != Some(v1::DenialCode::EquityUnknown) {
            return report;
        }
    }
    unreachable!("the loop ends by a report")
}

fn denial(report: &v1::TradeReport) -> Option<v1::DenialCode> {
    report.denial.as_ref().map(v1::Denial::code)
}

/// Codes of every alert so far.
async fn alerts(rig: &Rig) -> BTreeSet<String> {
    let Some(last) = rig.bus.newest(Stream::Alerts).await.expect("a stream") else { return BTreeSet::new() };
    let follow = rig.bus.follow(&rig.context, Stream::Alerts, "", StartAt::Beginning);
    let mut stream = follow.await.expect("a stream");
    let mut codes = BTreeSet::new();
    loop {
        let message = stream.next().await.expect("a running bus");
        codes.insert(v1::Alert::decode(message.payload).expect("an alert").code);
        if message.sequence >= last {
            return codes;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_halts_the_house_and_the_next_guard_knows_why() {
    let mut rig = Rig::start().await;
    let guard = rig.standby(house(&rig));
    guard.wait_ready().await;
    let report = traded(&mut rig, "first", 1_000).await;
    assert_eq!(report.status(), v1::TradeStatus::Filled, "{report:?}");
    assert_eq!(rig.risk_state().await.global_state(), v1::TradingState::Active);

    // 1,000 contracts for 520 of 1,000 are worth 400 now: more than a tenth is lost.
    rig.quote(400_000, 420_000, 1_000_000).await;
    eventually("the house is halted", async || rig.risk_state().await.global_state() == v1::TradingState::Halted).await;
    let denied = traded(&mut rig, "second", 1).await;
    assert_eq!(denial(&denied), Some(v1::DenialCode::TradingHalted));
    let expected = ["BREAKER_DRAWDOWN", "BREAKER_TOTAL_LOSS", "BREAKER_POSITION_REDUCTION"];
    eventually("people are told", async || {
        let codes = alerts(&rig).await;
        expected.iter().all(|code| codes.contains(*code))
    })
    .await;
    let epoch = rig.risk_state().await.epoch;

    guard.kill();
    let next = rig.standby(house(&rig));
    next.wait_ready().await;
    // It is measured from the same peak, and what has tripped does not trip again.
    let denied = traded(&mut rig, "third", 1).await;
    assert_eq!(denial(&denied), Some(v1::DenialCode::TradingHalted));
    let state = rig.risk_state().await;
    assert_eq!((state.global_state(), state.epoch), (v1::TradingState::Halted, epoch));
    next.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_tightened_by_one_and_loosened_by_two_and_stays_so() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let wish = |value, reason: &str| {
        Question::ProposeLimit(v1::ProposeLimitRequest {
            name: "trade_max_ppm".into(),
            id: "alice".into(),
            value,
            reason: reason.into(),
        })
    };
    let Answer::ProposeLimit(done) = rig.ask("ann", wish(50_000, "careful")).await else { panic!("refused") };
    assert!(done.is_done && done.token.is_empty(), "{done:?}");
    // 50 of 1,000 is what one trade may cost.
    let denied = traded(&mut rig, "large", 200).await;
    assert_eq!(denial(&denied), Some(v1::DenialCode::TradeShareLimit));
    assert_eq!(denied.denial.expect("denied").limit, 50 * ONE);

    let Answer::Error(refused) = rig.ask("ann", wish(60_000, " ")).await else { panic!("accepted") };
    assert_eq!(refused.reason, "REASON_MISSING");
    let Answer::ProposeLimit(proposed) = rig.ask("ann", wish(500_000, "bold")).await else { panic!("refused") };
    assert!(!proposed.is_done);
    let confirm = || Question::ConfirmLimit(v1::ConfirmLimitRequest { token: proposed.token.clone() });
    let Answer::Error(same) = rig.ask("ann", confirm()).await else { panic!("one person is not two") };
    assert_eq!(same.reason, "SAME_PRINCIPAL");
    let Answer::ConfirmLimit(confirmed) = rig.ask("bob", confirm()).await else { panic!("refused") };
    assert_eq!(confirmed.value, 500_000);
    assert_eq!(traded(&mut rig, "allowed", 200).await.status(), v1::TradeStatus::Filled);

    guard.kill();
    let next = rig.guard().await;
    let Answer::ListLimits(list) = rig.ask("ann", Question::ListLimits(v1::ListLimitsRequest {})).await else {
        panic!("refused")
    };
    let values: BTreeMap<(String, String), &v1::LimitValue> =
        list.limits.iter().map(|own| ((own.name.clone(), own.id.clone()), own)).collect();
    let own = values[&("trade_max_ppm".to_owned(), "alice".to_owned())];
    assert_eq!((own.value, own.changed_by.as_str(), own.reason.as_str()), (500_000, "ann+bob", "bold"));
    assert_eq!(values[&("trade_max_ppm".to_owned(), String::new())].value, 0);
    next.stop().await;
    rig.stop().await;
}

/// An order of the agent `a1`, filled at once; a loss for each buy at the ask and sale at the bid.
async fn filled_of_agent(rig: &mut Rig, name: &str, side: v1::Side, limit: i64) {
    let mut proposal = order(name, side, 1, limit, v1::TimeInForce::Ioc);
    if let Some(v1::proposal::Kind::Order(order)) = &mut proposal.kind {
        order.agent_id = "a1".into();
    }
    let trade = trade_of(&proposal);
    rig.propose(vec![proposal]).await;
    assert_eq!(rig.outcomes.of(&trade).await.status(), v1::TradeStatus::Filled, "{name}");
}

async fn is_agent_halted(rig: &Rig) -> bool {
    let scope = v1::Scope { kind: v1::ScopeKind::Agent.into(), id: "a1".into() };
    let scopes = rig.risk_state().await.scopes;
    scopes.iter().any(|own| own.scope.as_ref() == Some(&scope) && own.state() == v1::TradingState::Halted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losses_in_a_row_stop_an_agent_also_when_guards_die_between_them() {
    let mut rig = Rig::start().await;
    let limits = LimitsConfig {
        rules: [("consecutive_losses_halt_max".to_owned(), 3), ("agent_loss_halt_ppm".to_owned(), 0)].into(),
        ..LimitsConfig::default()
    };
    let config = || Config { limits: limits.clone(), measure_ms: 20, ..rig.config() };
    let (first_config, second_config) = (config(), config());
    let guard = rig.standby(first_config);
    guard.wait_ready().await;
    for number in 0..2 {
        filled_of_agent(&mut rig, &format!("in-{number}"), v1::Side::Buy, 520_000).await;
        filled_of_agent(&mut rig, &format!("out-{number}"), v1::Side::Sell, 500_000).await;
    }
    filled_of_agent(&mut rig, "in-2", v1::Side::Buy, 520_000).await;
    // What was lost before, and what is open, the next guard knows from journal and executions.
    guard.kill();
    let next = rig.standby(second_config);
    next.wait_ready().await;
    assert!(!is_agent_halted(&rig).await, "two losses are not three");
    filled_of_agent(&mut rig, "out-2", v1::Side::Sell, 500_000).await;
    eventually("the agent is halted", async || is_agent_halted(&rig).await).await;
    assert!(alerts(&rig).await.contains("BREAKER_CONSECUTIVE_LOSSES"));
    let scopes = rig.risk_state().await.scopes;
    assert_eq!(scopes[0].reason, "CONSECUTIVE_LOSSES is 3, the limit is 3");
    next.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_that_is_short_of_memory_leaves_pools_four_fifths_and_trades_on() {
    let mut rig = Rig::start().await;
    // Much more than there is, then much less than it needs.
    for (memory_limit_bytes, expected) in [(1 << 50, 1_000_000), (1_000_000, 800_000)] {
        let guard = rig.standby(Config { memory_limit_bytes: Some(memory_limit_bytes), ..house(&rig) });
        guard.wait_ready().await;
        let report = traded(&mut rig, &format!("limit-{memory_limit_bytes}"), 1).await;
        assert_eq!(report.status(), v1::TradeStatus::Filled, "{report:?}");
        eventually("so much is left", async || rig.risk_state().await.capacity_ppm == expected).await;
        let is_told = alerts(&rig).await.contains("BREAKER_MEMORY");
        assert!(!is_told || expected < 1_000_000, "nothing is short yet");
        let report = traded(&mut rig, &format!("again-{memory_limit_bytes}"), 1).await;
        assert_eq!(report.status(), v1::TradeStatus::Filled, "{report:?}");
        guard.stop().await;
    }
    eventually("people are told", async || alerts(&rig).await.contains("BREAKER_MEMORY")).await;
    rig.stop().await;
}
