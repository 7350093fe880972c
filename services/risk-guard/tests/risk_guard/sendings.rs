//! Money sent to another account passes the same gate as money that leaves.

use crate::rig::{ONE, Rig, buy, eventually, key, proposal, trade_of};
use tragen_contracts::v1::{self, guard_question::Question};

fn send(request: &str, to: &str, amount_micros: i64) -> v1::Proposal {
    let asked = v1::WithdrawalRequested { amount_micros, currency: "USD".into(), to_account_id: to.into() };
    proposal(key("alice", request), v1::proposal::Kind::Withdrawal(asked))
}

async fn report(rig: &mut Rig, trade: &str) -> v1::WithdrawalReport {
    rig.outcomes.until(|outcomes| outcomes.reports.contains_key(trade)).await;
    let Some(v1::execution_report::Kind::Withdrawal(report)) = rig.outcomes.reports[trade][0].kind.clone() else {
        panic!("no sending")
    };
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sending_competes_for_the_same_money_and_is_denied_for_the_same_reasons() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    // Nobody has heard of bob yet.
    let (first, second, third) = (send("s-1", "bob", 990 * ONE), send("s-2", "bob", 11 * ONE), send("s-3", "bob", 0));
    let order = buy("r-1", 100, 520_000);
    let [first_id, second_id, third_id, order_id] = [&first, &second, &third, &order].map(trade_of);
    rig.propose(vec![first.clone(), second, third, order]).await;
    let sent = report(&mut rig, &first_id).await;
    assert_eq!((sent.to_account_id.as_str(), sent.amount_micros, sent.denial), ("bob", 990 * ONE, None));
    let denied = report(&mut rig, &second_id).await;
    assert_eq!(denied.to_account_id, "bob");
    assert_eq!(denied.denial.expect("denied").code(), v1::DenialCode::InsufficientFunds);
    let nothing = report(&mut rig, &third_id).await;
    assert_eq!(nothing.denial.expect("denied").code(), v1::DenialCode::QuantityTooSmall);
    let order_denial = rig.outcomes.of(&order_id).await.denial;
    assert_eq!(order_denial.expect("denied").code(), v1::DenialCode::InsufficientFunds);
    eventually("nothing is held", async || rig.risk_state().await.held_micros == 0).await;
    assert_eq!(rig.ledger.cash("alice"), 10 * ONE);

    // A repeat is told again and sent once.
    rig.propose(vec![first]).await;
    rig.outcomes.until(|outcomes| outcomes.reports[&first_id].len() == 2).await;
    assert_eq!(rig.outcomes.reports[&first_id][1].kind, rig.outcomes.reports[&first_id][0].kind);
    assert_eq!(rig.ledger.cash("alice"), 10 * ONE);
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halted_account_sends_nothing_and_nobody_sends_to_himself() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let scope = v1::Scope { kind: v1::ScopeKind::Account.into(), id: "alice".into() };
    let halt = v1::HaltRequest { scope: Some(scope), reason: "stolen password".into(), wait_ms: 1 };
    rig.ask("olga", Question::Halt(halt)).await;
    let halted = send("s-1", "bob", ONE);
    let (to_himself, to_nowhere) = (send("s-2", "alice", ONE), send("s-3", "a/b", ONE));
    let [halted_id, himself_id, nowhere_id] = [&halted, &to_himself, &to_nowhere].map(trade_of);
    rig.propose(vec![halted]).await;
    let denial = report(&mut rig, &halted_id).await.denial.expect("denied");
    assert_eq!(denial.code(), v1::DenialCode::TradingHalted);
    // The router lets neither of them through.
    rig.propose(vec![to_himself]).await;
    rig.propose(vec![to_nowhere]).await;
    eventually("what only a bug can make is set aside", async || {
        rig.bus.dead_letters(None, 10).await.is_ok_and(|letters| letters.len() == 2)
    })
    .await;
    assert!(!rig.outcomes.reports.contains_key(&himself_id) && !rig.outcomes.reports.contains_key(&nowhere_id));
    guard.stop().await;
    rig.stop().await;
}
