//! Reductions by workers and by the operator's hand, shut-downs, the history, and
//! what a crash in the middle of a halt leaves behind.

use crate::rig::{HOME, ONE, Rig, buy, eventually, order, proposal, trade_of};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tragen_bus::{Ask, Bucket};
use tragen_contracts::v1::{self, guard_answer::Answer, guard_question::Question};
use tragen_risk_guard::Config;

fn account(id: &str) -> v1::Scope {
    v1::Scope { kind: v1::ScopeKind::Account.into(), id: id.into() }
}

async fn halt(rig: &Rig, scope: Option<v1::Scope>) -> v1::HaltResponse {
    let request = v1::HaltRequest { scope, reason: "test".into(), wait_ms: 100 };
    let Answer::Halt(response) = rig.ask("olga", Question::Halt(request)).await else { panic!("refused") };
    response
}

async fn reduce(rig: &Rig, command: &str, factor_ppm: i64) -> Answer {
    reduce_scope(rig, None, command, factor_ppm).await
}

pub(crate) async fn reduce_scope(rig: &Rig, scope: Option<v1::Scope>, command: &str, factor_ppm: i64) -> Answer {
    let request = v1::ReducePositionsRequest {
        scope,
        factor_ppm,
        reason: "test".into(),
        command_id: command.into(),
        wait_ms: 100,
    };
    rig.ask("olga", Question::ReducePositions(request)).await
}

async fn flatten(rig: &Rig, command: &str) -> Answer {
    let request = v1::FlattenRequest {
        account_id: "alice".into(),
        reason: "test".into(),
        command_id: command.into(),
        ..v1::FlattenRequest::default()
    };
    rig.ask("rita", Question::Flatten(request)).await
}

fn reason_of(answer: &Answer) -> &str {
    let Answer::Error(error) = answer else { panic!("{answer:?}") };
    &error.reason
}

/// alice buys contracts and the ledger has them.
async fn holds(rig: &mut Rig, contracts: i64) {
    let bought = buy("r-long", contracts, 520_000);
    let trade = trade_of(&bought);
    rig.propose(vec![bought]).await;
    assert_eq!(rig.outcomes.of(&trade).await.status(), v1::TradeStatus::Filled);
    eventually("it is booked", async || rig.ledger.contracts("alice", HOME) == contracts).await;
}

/// Asks for a lease as `worker` and proposes what it is told to; how many slices there were.
pub(crate) async fn work(rig: &Rig, worker: &str) -> Vec<v1::ReductionSlice> {
    let epoch = rig.risk_state().await.epoch;
    let question = v1::LeaseQuestion { worker_id: worker.into(), nonce: 1, epoch };
    let answer: v1::LeaseAnswer = rig.bus.ask(Ask::Lease, &question, Duration::from_secs(1)).await.expect("a lease");
    for slice in &answer.slices {
        // Two workers, and each delivery comes twice.
        rig.propose(vec![step(slice), step(slice)]).await;
        rig.propose(vec![step(slice)]).await;
    }
    answer.slices
}

/// What a worker makes of a slice.
fn step(slice: &v1::ReductionSlice) -> v1::Proposal {
    let key = v1::TradeKey {
        trade_id: tragen_contracts::trade_id(&slice.account_id, &slice.request_id).to_string(),
        request_id: slice.request_id.clone(),
        account_id: slice.account_id.clone(),
        tier: v1::Tier::Standard.into(),
        ..v1::TradeKey::default()
    };
    let terms = v1::OrderTerms {
        order_id: format!("{}-o", key.trade_id),
        instrument_id: slice.instrument_id.clone(),
        side: slice.side,
        order_type: v1::OrderType::Market.into(),
        quantity_micros: slice.quantity_micros,
        time_in_force: v1::TimeInForce::Ioc.into(),
        is_reduce_only: true,
        is_post_only: false,
        ..v1::OrderTerms::default()
    };
    let proposed = v1::OrderProposed {
        terms: Some(terms),
        agent: "liveTradingAgent".into(),
        valid_until_micros: tragen_host::clock::now_micros() + 5_000_000,
        reduction_id: slice.reduction_id.clone(),
        ..v1::OrderProposed::default()
    };
    proposal(key, v1::proposal::Kind::Order(proposed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halt_that_was_journaled_is_carried_out_by_the_next_guard() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let resting = order("resting", v1::Side::Buy, 1, 400_000, v1::TimeInForce::Gtc);
    let trade = trade_of(&resting);
    rig.propose(vec![resting]).await;
    rig.outcomes.until(|outcomes| outcomes.reports.contains_key(&trade)).await;
    guard.stop().await;

    // The venue is a minute away: the halt is journaled and the cancel is on its way.
    let far = Config { venue_latency_micros_min: 60_000_000, venue_latency_micros_max: 60_000_000, ..rig.config() };
    let guard = rig.standby(far);
    guard.wait_ready().await;
    assert_eq!(halt(&rig, None).await.canceled_orders, 1);
    guard.kill();
    assert_eq!(rig.outcomes.last(&trade).expect("a report").status(), v1::TradeStatus::Working);

    let guard = rig.guard().await;
    assert_eq!(rig.outcomes.of(&trade).await.status(), v1::TradeStatus::Canceled);
    eventually("nothing is held", async || rig.risk_state().await.held_micros == 0).await;
    assert_eq!(rig.risk_state().await.global_state(), v1::TradingState::Halted);
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_are_halved_once_however_many_workers_order_and_repeat() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    holds(&mut rig, 101).await;
    let grows = order("grows", v1::Side::Buy, 1, 400_000, v1::TimeInForce::Gtc);
    let grown = trade_of(&grows);
    rig.propose(vec![grows]).await;
    rig.outcomes.until(|outcomes| outcomes.reports.contains_key(&grown)).await;

    let Answer::ReducePositions(answer) = reduce(&rig, "c-1", 500_000).await else { panic!("refused") };
    assert_eq!((answer.state(), answer.canceled_orders, answer.is_repeat), (v1::TradingState::Reducing, 1, false));
    let reduction = answer.reduction.expect("a reduction");
    let target = &reduction.positions[0];
    assert_eq!((target.from_micros, target.target_micros), (101 * ONE, 50 * ONE));
    assert_eq!(rig.outcomes.of(&grown).await.status(), v1::TradeStatus::Canceled, "what grows is canceled");
    let Answer::ReducePositions(again) = reduce(&rig, "c-1", 500_000).await else { panic!("refused") };
    assert!(again.is_repeat);
    assert_eq!(again.reduction.expect("a reduction").epoch, reduction.epoch);
    assert_eq!(reason_of(&reduce(&rig, "c-1", 0).await), "COMMAND_REUSED");
    assert_eq!(reason_of(&reduce(&rig, "c-2", 1_000_001).await), "FACTOR_OUT_OF_RANGE");
    assert_eq!(reason_of(&reduce(&rig, "", 0).await), "ID_MISSING");

    // The market shows 20 at a time: the rest of a slice is the next one.
    rig.quote(500_000, 520_000, 20).await;
    let mut names = BTreeSet::new();
    let started = Instant::now();
    while rig.risk_state().await.reductions[0].ended_at_micros == 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", rig.risk_state().await.reductions);
        for worker in ["w-1", "w-2"] {
            names.extend(work(&rig, worker).await.into_iter().map(|slice| slice.request_id));
        }
        rig.quote(500_000, 520_000, 20).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eventually("the ledger has booked it", async || rig.ledger.contracts("alice", HOME) == 50).await;
    assert!(names.len() >= 3, "{names:?}");
    let done = &rig.risk_state().await.reductions[0];
    assert_eq!((done.done_positions, done.total_positions), (1, 1));
    assert!(work(&rig, "w-1").await.is_empty(), "there is nothing left to do");
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_flattens_while_all_is_halted_and_a_killed_guard_goes_on_with_it() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    holds(&mut rig, 30).await;
    halt(&rig, None).await;
    let exit = order("exit", v1::Side::Sell, 30, 480_000, v1::TimeInForce::Ioc);
    let trade = trade_of(&exit);
    rig.propose(vec![exit]).await;
    let denial = rig.outcomes.of(&trade).await.denial.expect("a denial");
    assert_eq!(denial.code(), v1::DenialCode::TradingHalted, "nobody else gets out");

    // Only 10 can be sold now.
    rig.quote(500_000, 520_000, 10).await;
    let Answer::Flatten(answer) = flatten(&rig, "f-1").await else { panic!("refused") };
    assert!(!answer.is_repeat);
    eventually("the first part is booked", async || rig.ledger.contracts("alice", HOME) == 20).await;
    guard.kill();
    let guard = rig.guard().await;
    let Answer::Flatten(answer) = flatten(&rig, "f-1").await else { panic!("refused") };
    assert!(answer.is_repeat, "the next guard knows the command");
    let left = &answer.reduction.expect("a reduction").positions[0];
    assert_eq!((left.current_micros, left.target_micros), (20 * ONE, 0));
    rig.quote(500_000, 520_000, 1_000).await;
    eventually("all is sold", async || rig.ledger.contracts("alice", HOME) == 0).await;
    eventually("it is over", async || rig.risk_state().await.reductions[0].ended_at_micros != 0).await;
    let state = rig.risk_state().await;
    assert_eq!((state.global_state(), state.held_micros), (v1::TradingState::Halted, 0));
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reduction_waits_while_its_scope_is_halted_and_says_so() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    holds(&mut rig, 10).await;
    halt(&rig, Some(account("alice"))).await;
    let Answer::ReducePositions(answer) = reduce(&rig, "c-1", 0).await else { panic!("refused") };
    let blocked = answer.reduction.expect("a reduction").positions[0].blocked.clone().expect("a reason");
    assert_eq!(blocked.code(), v1::DenialCode::TradingHalted);
    for _ in 0..10 {
        assert!(work(&rig, "w-1").await.is_empty(), "workers get nothing to do");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(rig.ledger.contracts("alice", HOME), 10);
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_shut_down_and_the_history_tells_who_did_what_why() {
    let rig = Rig::start().await;
    let guard = rig.guard().await;
    rig.bus.bucket(Bucket::Workers).await.expect("a bucket").put("w-1", "here".into()).await.expect("present");
    eventually("the worker is here", async || rig.risk_state().await.workers == ["w-1"]).await;
    let request = v1::ShutdownAgentRequest { agent_id: "a1".into(), reason: "mad".into(), wait_ms: 50 };
    let Answer::ShutdownAgent(answer) = rig.ask("olga", Question::ShutdownAgent(request)).await else {
        panic!("refused")
    };
    let stopped = answer.halt.expect("a halt");
    assert_eq!((stopped.confirmed_workers, stopped.missing_workers.as_slice()), (0, ["w-1".to_owned()].as_slice()));
    // A lease question tells which epoch the worker has applied: that is a confirmation too.
    let question = v1::LeaseQuestion { worker_id: "w-1".into(), nonce: 1, epoch: stopped.epoch };
    let _: v1::LeaseAnswer = rig.bus.ask(Ask::Lease, &question, Duration::from_secs(1)).await.expect("a lease");
    assert_eq!(rig.risk_state().await.worker_states[0].epoch, stopped.epoch);
    assert_eq!(halt(&rig, None).await.total_workers, 1);
    let bad = v1::ShutdownAgentRequest { agent_id: "a.1".into(), ..v1::ShutdownAgentRequest::default() };
    assert_eq!(reason_of(&rig.ask("olga", Question::ShutdownAgent(bad)).await), "ID_BAD_CHARSET");

    guard.kill();
    let guard = rig.guard().await;
    let page = |before_epoch, page_size| Question::History(v1::GetRiskHistoryRequest { before_epoch, page_size });
    let Answer::History(newest) = rig.ask("olga", page(0, 2)).await else { panic!("refused") };
    let told: Vec<_> = newest.changes.iter().map(|own| (own.epoch, own.changed_by.as_str(), &*own.reason)).collect();
    assert_eq!(told, [(stopped.epoch + 1, "olga", "test"), (stopped.epoch, "olga", "mad")]);
    assert_eq!(newest.changes[1].state(), v1::TradingState::Halted);
    let Answer::History(first) = rig.ask("olga", page(newest.next_before_epoch, 2)).await else { panic!("refused") };
    assert_eq!((first.changes.len(), first.changes[0].reason.as_str(), first.next_before_epoch), (1, "first start", 0));
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breach_while_a_resume_is_under_way_wins() {
    let rig = Rig::start().await;
    let guard = rig.guard().await;
    for round in 0..20 {
        halt(&rig, None).await;
        let propose = v1::ProposeResumeRequest { reason: "checked".into(), ..v1::ProposeResumeRequest::default() };
        let Answer::ProposeResume(proposal) = rig.ask("rita", Question::ProposeResume(propose)).await else {
            panic!("refused")
        };
        assert!(proposal.evidence[0].starts_with("global is HALTED"), "{:?}", proposal.evidence);
        let wrong = v1::ConfirmResumeRequest { token: proposal.token.clone(), evidence_hash: "00".into() };
        assert_eq!(reason_of(&rig.ask("sam", Question::ConfirmResume(wrong)).await), "EVIDENCE_CHANGED");
        let confirm = v1::ConfirmResumeRequest { token: proposal.token, evidence_hash: proposal.evidence_hash };
        // Two halts and the second word for the resume, all at the same time.
        let (_, _, resumed) = tokio::join!(
            halt(&rig, None),
            halt(&rig, Some(account("alice"))),
            rig.ask("sam", Question::ConfirmResume(confirm)),
        );
        if let Answer::Error(error) = &resumed {
            // Somebody halted first: the resume is refused.
            assert_eq!((error.code, error.reason.as_str()), (10, "EPOCH_CHANGED"), "{round}");
        } else {
            // Then a halt came after it.
            let Answer::ConfirmResume(resumed) = resumed else { panic!("{resumed:?}") };
            assert_eq!(resumed.state(), v1::TradingState::Reducing, "{round}");
        }
        let state = rig.risk_state().await;
        let alice = state.scopes.iter().find(|entry| entry.scope.as_ref() == Some(&account("alice"))).expect("halted");
        assert_eq!(alice.state(), v1::TradingState::Halted, "{round}");
        assert_eq!(state.global_state(), v1::TradingState::Halted, "the most severe of all holds: {round}");
    }
    guard.stop().await;
    rig.stop().await;
}
