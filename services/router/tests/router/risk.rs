//! Stopping, reducing and following the trading state: who may, and that the guard's
//! word is passed on.

use crate::stage::{Backstage, Stage, expect_refusal, generous, with_token};
use futures::FutureExt as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tonic::Code::{self, Aborted, PermissionDenied};
use tragen_bus::{Ask, CoreSubject};
use tragen_contracts::v1::{self, guard_answer::Answer, guard_question::Question};
use tragen_domain::tier::Tier;
use tragen_host::trace::Spans;
use tragen_router::token::Role;

/// Answers for the guard: each answer tells what it was asked.
fn guard(question: v1::GuardQuestion, epoch: i64) -> Answer {
    match question.question {
        Some(Question::GetState(_)) => Answer::State(v1::GetRiskStateResponse { epoch, ..Default::default() }),
        Some(Question::ReducePositions(asked)) => Answer::ReducePositions(v1::ReducePositionsResponse {
            total_workers: asked.wait_ms,
            missing_workers: vec![question.principal, asked.command_id],
            ..Default::default()
        }),
        Some(Question::Flatten(asked)) => {
            Answer::Flatten(v1::FlattenResponse { is_repeat: asked.command_id == "again", ..Default::default() })
        }
        Some(Question::ShutdownAgent(asked)) => {
            let missing_workers = vec![asked.agent_id];
            let halt = Some(v1::HaltResponse { missing_workers, ..Default::default() });
            Answer::ShutdownAgent(v1::ShutdownAgentResponse { halt })
        }
        Some(Question::History(asked)) => {
            Answer::History(v1::GetRiskHistoryResponse { next_before_epoch: asked.before_epoch, ..Default::default() })
        }
        Some(Question::ConfirmResume(_)) => Answer::Error(v1::AskError {
            code: Code::Aborted.into(),
            reason: "EPOCH_CHANGED".to_owned(),
            message: "something has changed".to_owned(),
        }),
        _ => panic!("not asked here"),
    }
}

async fn stage() -> (Stage, Arc<AtomicI64>) {
    let stage = Stage::start_with(generous(), Backstage::Asleep, 10, Spans::default()).await;
    let epoch = Arc::new(AtomicI64::new(1));
    let own = Arc::clone(&epoch);
    let answering = stage.bus.answer(&stage.context, Ask::Guard, move |question| {
        let answer = guard(question, own.load(Ordering::SeqCst));
        async move { v1::GuardAnswer { answer: Some(answer) } }.boxed()
    });
    answering.await.expect("the guard answers");
    (stage, epoch)
}

#[tokio::test]
async fn tightening_is_for_operators_and_flattening_for_risk_admins() {
    let (stage, _) = stage().await;
    let alice = stage.token("alice", Tier::Premium, Role::Trader);
    let olga = stage.token("olga", Tier::Standard, Role::Operator);
    let rita = stage.token("rita", Tier::Standard, Role::RiskAdmin);

    let request = || v1::ReducePositionsRequest { command_id: "c-1".into(), ..Default::default() };
    let refused = stage.risk().reduce_positions(with_token(&alice, request())).await;
    expect_refusal("a trader", refused, PermissionDenied, "ROLE_REQUIRED");
    let reduced = stage.risk().reduce_positions(with_token(&olga, request())).await.expect("an answer").into_inner();
    assert_eq!((reduced.total_workers, reduced.missing_workers), (1_000, vec!["olga".to_owned(), "c-1".to_owned()]));

    let request = || v1::ShutdownAgentRequest { agent_id: "a1".into(), ..Default::default() };
    let refused = stage.risk().shutdown_agent(with_token(&alice, request())).await;
    expect_refusal("a trader", refused, PermissionDenied, "ROLE_REQUIRED");
    let stopped = stage.risk().shutdown_agent(with_token(&olga, request())).await.expect("an answer").into_inner();
    assert_eq!(stopped.halt.expect("a halt").missing_workers, ["a1"]);

    let request = || v1::FlattenRequest { command_id: "again".into(), ..Default::default() };
    let refused = stage.risk().flatten(with_token(&olga, request())).await;
    expect_refusal("an operator", refused, PermissionDenied, "ROLE_REQUIRED");
    assert!(stage.risk().flatten(with_token(&rita, request())).await.expect("an answer").into_inner().is_repeat);

    let request = || v1::GetRiskHistoryRequest { before_epoch: 7, page_size: 1 };
    let refused = stage.risk().get_risk_history(with_token(&alice, request())).await;
    expect_refusal("a trader", refused, PermissionDenied, "ROLE_REQUIRED");
    let page = stage.risk().get_risk_history(with_token(&olga, request())).await.expect("an answer").into_inner();
    assert_eq!(page.next_before_epoch, 7);

    let confirm = v1::ConfirmResumeRequest { token: "t".into(), ..Default::default() };
    let aborted = stage.risk().confirm_resume(with_token(&rita, confirm)).await;
    expect_refusal("a breach came between", aborted, Aborted, "EPOCH_CHANGED");
}

#[tokio::test]
async fn the_state_is_told_at_once_and_when_it_changes() {
    let (stage, epoch) = stage().await;
    let alice = stage.token("alice", Tier::Premium, Role::Trader);
    let refused = stage.risk().watch_risk(with_token(&alice, v1::WatchRiskRequest {})).await;
    expect_refusal("a trader", refused, PermissionDenied, "ROLE_REQUIRED");
    let olga = stage.token("olga", Tier::Standard, Role::Operator);
    let watched = stage.risk().watch_risk(with_token(&olga, v1::WatchRiskRequest {})).await;
    let mut states = watched.expect("a stream").into_inner();
    let mut next = async || {
        let state = tokio::time::timeout(Duration::from_secs(10), states.message()).await.expect("in time");
        state.expect("open").expect("a state").state.expect("set").epoch
    };
    assert_eq!(next().await, 1);
    epoch.store(2, Ordering::SeqCst);
    let told = v1::ControlState { epoch: 2, ..Default::default() };
    stage.bus.broadcast(&CoreSubject::ControlState, &told).await.expect("sent");
    assert_eq!(next().await, 2);
    // A broadcast that is missed is made up for.
    epoch.store(3, Ordering::SeqCst);
    assert_eq!(next().await, 3);
}
