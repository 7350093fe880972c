//! A command that is about more than fits at once: nothing grows any more from the first moment, and what does not fit
//! follows, also over a crash.

use crate::{
    commands::{reduce_scope, work},
    rig::{HOME, ONE, PATIENCE, Rig, buy, eventually, key, trade_of},
};
use std::time::Instant;
use tragen_contracts::v1::{self, guard_answer::Answer};
use tragen_risk_guard::{CommandsConfig, Config, LimitsConfig};

/// A guard whose commands are about one position at a time, and that has room for one command.
fn narrow(rig: &Rig) -> Config {
    let commands = CommandsConfig { reduction_targets_max: 1, reductions_max: 1, ..CommandsConfig::default() };
    Config { limits: LimitsConfig { commands, ..LimitsConfig::default() }, ..rig.config() }
}

/// `account` buys contracts and the ledger has them.
async fn holds(rig: &mut Rig, account: &str, contracts: i64) {
    let mut bought = buy(&format!("r-{account}"), contracts, 520_000);
    let own = key(account, "r-long");
    if let Some(v1::proposal::Kind::Order(order)) = &mut bought.kind {
        order.terms.as_mut().expect("terms").order_id = format!("{}-o", own.trade_id);
    }
    bought.key = Some(own);
    let trade = trade_of(&bought);
    rig.propose(vec![bought]).await;
    assert_eq!(rig.outcomes.of(&trade).await.status(), v1::TradeStatus::Filled);
    eventually("it is booked", async || rig.ledger.contracts(account, HOME) == contracts).await;
}

/// Proposes what is handed out until `is_enough`.
async fn work_until(rig: &Rig, mut is_enough: impl FnMut(&v1::ReductionStatus) -> bool) {
    let started = Instant::now();
    loop {
        let state = rig.risk_state().await;
        if is_enough(&state.reductions[0]) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{:?}", state.reductions);
        work(rig, "w-1").await;
        rig.quote(500_000, 520_000, 1_000).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_positions_than_fit_are_flattened_one_portion_after_the_other_and_by_the_next_guard() {
    let mut rig = Rig::without_ledger().await;
    for account in ["bob", "carol"] {
        rig.ledger.deposit(account, 1_000 * ONE);
    }
    rig.ledger.serve(&rig.context, &rig.bus).await;
    let guard = rig.standby(narrow(&rig));
    guard.wait_ready().await;
    for account in ["alice", "bob", "carol"] {
        holds(&mut rig, account, 10).await;
    }
    let Answer::ReducePositions(answer) = reduce_scope(&rig, None, "c-1", 0).await else { panic!("refused") };
    assert_eq!(answer.state(), v1::TradingState::Reducing);
    let told = answer.reduction.expect("a reduction");
    assert_eq!((told.total_positions, told.done_positions, told.waiting_positions), (3, 0, 2), "{told:?}");
    assert_eq!(told.positions.len(), 1);

    work_until(&rig, |own| own.done_positions == 1).await;
    guard.kill();
    let guard = rig.standby(narrow(&rig));
    guard.wait_ready().await;
    assert_eq!(rig.risk_state().await.reductions.len(), 1, "it is one command");
    work_until(&rig, |own| own.ended_at_micros != 0).await;
    for account in ["alice", "bob", "carol"] {
        eventually("the ledger has booked it", async || rig.ledger.contracts(account, HOME) == 0).await;
    }
    let state = rig.risk_state().await;
    let told = &state.reductions[0];
    assert_eq!((told.total_positions, told.done_positions, told.waiting_positions), (3, 3, 0), "{told:?}");
    assert_eq!(state.global_state(), v1::TradingState::Reducing);
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_only_reduces_even_where_its_reduction_cannot_be_ordered() {
    let mut rig = Rig::start().await;
    let guard = rig.standby(narrow(&rig));
    guard.wait_ready().await;
    holds(&mut rig, "alice", 10).await;
    let scope = |id: &str| v1::Scope { kind: v1::ScopeKind::Account.into(), id: id.into() };
    let Answer::ReducePositions(_) = reduce_scope(&rig, Some(scope("alice")), "c-1", 0).await else {
        panic!("refused")
    };
    let Answer::Error(error) = reduce_scope(&rig, None, "c-2", 0).await else { panic!("there is no room for it") };
    assert_eq!(error.reason, "TOO_MANY_REDUCTIONS");
    assert!(error.message.starts_with("global is REDUCING since epoch"), "{}", error.message);
    assert!(error.message.contains("no position is reduced"), "{}", error.message);
    assert_eq!(rig.risk_state().await.global_state(), v1::TradingState::Reducing);
    // What makes no sense changes nothing.
    let Answer::Error(error) = reduce_scope(&rig, Some(scope("bob")), "c-1", 500_000).await else { panic!("reused") };
    assert_eq!(error.reason, "COMMAND_REUSED");
    assert!(rig.risk_state().await.scopes.iter().all(|own| own.scope != Some(scope("bob"))));
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_that_nothing_has_the_name_of_is_stopped_and_said() {
    let rig = Rig::start().await;
    let guard = rig.guard().await;
    for (id, expected) in [("alice", ""), ("ghost", "nothing named account:ghost is known")] {
        let scope = Some(v1::Scope { kind: v1::ScopeKind::Account.into(), id: id.into() });
        let request = v1::HaltRequest { scope, reason: "test".into(), wait_ms: 100 };
        let Answer::Halt(halt) = rig.ask("olga", v1::guard_question::Question::Halt(request)).await else {
            panic!("refused")
        };
        assert_eq!(halt.warning, expected);
    }
    guard.stop().await;
    rig.stop().await;
}
