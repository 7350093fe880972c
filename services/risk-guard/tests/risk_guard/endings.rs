//! Reductions have an end: by two people, or with the resume of their scope; and what a
//! breaker wants reduced is ordered also when a guard died before it had.

use crate::rig::{HOME, ONE, PATIENCE, Rig, buy, eventually, trade_of};
use prost::Message as _;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tragen_bus::{PublishOptions, StartAt, Stream, Subject};
use tragen_contracts::v1::{self, guard_answer::Answer, guard_question::Question, journal_record::Kind};
use tragen_host::clock;
use tragen_risk_guard::{Config, LimitsConfig};

async fn holds(rig: &mut Rig, contracts: i64) {
    let bought = buy("r-long", contracts, 520_000);
    let trade = trade_of(&bought);
    rig.propose(vec![bought]).await;
    assert_eq!(rig.outcomes.of(&trade).await.status(), v1::TradeStatus::Filled);
    eventually("it is booked", async || rig.ledger.contracts("alice", HOME) == contracts).await;
}

async fn reduce(rig: &Rig, command: &str, factor_ppm: i64) {
    let request = v1::ReducePositionsRequest {
        scope: None,
        factor_ppm,
        reason: "test".into(),
        command_id: command.into(),
        wait_ms: 100,
    };
    let answer = rig.ask("olga", Question::ReducePositions(request)).await;
    assert!(matches!(answer, Answer::ReducePositions(_)), "{answer:?}");
}

fn reason_of(answer: &Answer) -> &str {
    let Answer::Error(error) = answer else { panic!("{answer:?}") };
    &error.reason
}

async fn confirm_end(rig: &Rig, who: &str, token: &str) -> Answer {
    let request = v1::ConfirmReductionEndRequest { token: token.into() };
    rig.ask(who, Question::ConfirmReductionEnd(request)).await
}

/// Ends of reductions in the journal: which, by whom, why.
async fn ends(rig: &Rig) -> Vec<(String, String, String)> {
    let last = rig.bus.newest(Stream::Journal).await.expect("a stream").unwrap_or_default();
    let follow = rig.bus.follow(&rig.context, Stream::Journal, "", StartAt::Beginning);
    let mut journal = follow.await.expect("a stream");
    let mut ends = Vec::new();
    loop {
        let message = journal.next().await.expect("a running bus");
        for record in v1::JournalBatch::decode(message.payload).expect("a batch").records {
            if let Some(Kind::ReductionEnded(own)) = record.kind {
                ends.push((own.command_id, own.ended_by, own.reason));
            }
        }
        if message.sequence >= last {
            return ends;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reduction_that_is_stuck_is_ended_by_two_people_for_good() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    holds(&mut rig, 10).await;
    // Nobody works for it.
    reduce(&rig, "c-1", 0).await;
    let propose = |command: &str, reason: &str| {
        let (command_id, reason) = (command.into(), reason.into());
        Question::ProposeReductionEnd(v1::ProposeReductionEndRequest { command_id, reason })
    };
    assert_eq!(reason_of(&rig.ask("rita", propose("c-1", "")).await), "REASON_MISSING");
    assert_eq!(reason_of(&rig.ask("rita", propose("c-2", "why not")).await), "REDUCTION_NOT_UNDER_WAY");
    let Answer::ProposeReductionEnd(proposed) = rig.ask("rita", propose("c-1", "no market")).await else {
        panic!("refused")
    };
    let shown = proposed.reduction.expect("how far it is");
    assert_eq!((shown.done_positions, shown.total_positions), (0, 1));
    assert_eq!(reason_of(&confirm_end(&rig, "rita", &proposed.token).await), "SAME_PRINCIPAL");
    let Answer::ConfirmReductionEnd(ended) = confirm_end(&rig, "sam", &proposed.token).await else { panic!("refused") };
    assert_ne!(ended.reduction.expect("what became of it").ended_at_micros, 0);
    assert_eq!(ends(&rig).await, [("c-1".to_owned(), "rita+sam".to_owned(), "no market".to_owned())]);
    guard.kill();
    let guard = rig.guard().await;
    let state = rig.risk_state().await;
    assert_ne!(state.reductions[0].ended_at_micros, 0, "the next guard knows it");
    assert_eq!(state.global_state(), v1::TradingState::Reducing, "the scope is as it was");
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reduction_that_cannot_finish_calls_a_person_and_goes_on() {
    let mut rig = Rig::start().await;
    let mut config = rig.config();
    (config.limits.commands.reduction_overdue_ms, config.limits.commands.reductions_max) = (200, 1);
    let guard = rig.standby(config);
    guard.wait_ready().await;
    holds(&mut rig, 10).await;
    let mut alerts = rig.bus.follow(&rig.context, Stream::Alerts, "", StartAt::Beginning).await.expect("alerts");
    let ordered = Instant::now();
    // Nobody works for it.
    reduce(&rig, "c-1", 500_000).await;
    let told = tokio::time::timeout(PATIENCE, alerts.next()).await.expect("in time").expect("a running bus");
    assert!(ordered.elapsed() >= Duration::from_millis(200), "told after {:?}", ordered.elapsed());
    assert_eq!(told.subject, "alert.critical.RISK_GUARD_REDUCTION_OVERDUE");
    let alert = v1::Alert::decode(told.payload).expect("an alert");
    assert_eq!(alert.subject, "c-1");
    assert!(alert.message.contains("0 of 1 positions are at their target"), "{}", alert.message);
    let state = rig.risk_state().await;
    assert!(state.reductions[0].is_overdue && state.reductions[0].ended_at_micros == 0, "{:?}", state.reductions);
    assert_eq!(state.global_state(), v1::TradingState::Reducing, "the scope is as it was");
    // The only place is free for another one, and the first is known to the next guard, too.
    reduce(&rig, "c-2", 0).await;
    guard.kill();
    let guard = rig.guard().await;
    let state = rig.risk_state().await;
    let open: Vec<_> = state.reductions.iter().filter(|own| own.ended_at_micros == 0).collect();
    assert_eq!(open.iter().map(|own| own.command_id.as_str()).collect::<Vec<_>>(), ["c-2", "c-1"]);
    assert_eq!(state.global_state(), v1::TradingState::Reducing);
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_to_active_ends_the_reduction_of_its_scope() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    holds(&mut rig, 10).await;
    reduce(&rig, "c-1", 0).await;
    let propose = v1::ProposeResumeRequest { reason: "calm again".into(), ..v1::ProposeResumeRequest::default() };
    let Answer::ProposeResume(proposal) = rig.ask("rita", Question::ProposeResume(propose)).await else {
        panic!("refused")
    };
    let told = "reduction c-1 of 1 positions is under way, it ends when global is ACTIVE";
    assert!(proposal.evidence.iter().any(|sentence| sentence == told), "{:?}", proposal.evidence);
    let confirm = v1::ConfirmResumeRequest { token: proposal.token, evidence_hash: proposal.evidence_hash };
    let Answer::ConfirmResume(resumed) = rig.ask("sam", Question::ConfirmResume(confirm)).await else {
        panic!("refused")
    };
    assert_eq!(resumed.state(), v1::TradingState::Active);
    assert_ne!(rig.risk_state().await.reductions[0].ended_at_micros, 0);
    assert_eq!(ends(&rig).await, [("c-1".to_owned(), "rita+sam".to_owned(), "calm again".to_owned())]);
    assert_eq!(rig.ledger.contracts("alice", HOME), 10, "what is left stays");
    guard.stop().await;
    rig.stop().await;
}

/// Journaled by a guard that died before it could order the reduction.
fn tripped() -> v1::JournalRecord {
    let latched = v1::BreakerLatched {
        breaker: "POSITION_REDUCTION".into(),
        scope: Some(v1::Scope { kind: v1::ScopeKind::Global.into(), id: String::new() }),
        value: 50_000,
        threshold: 50_000,
        tripped_at_micros: 77,
        resume_from_micros: clock::now_micros(),
        ..v1::BreakerLatched::default()
    };
    v1::JournalRecord { kind: Some(Kind::BreakerLatched(latched)), ..v1::JournalRecord::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breakers_reduction_that_was_lost_is_ordered_by_the_next_guard_and_once() {
    let mut rig = Rig::start().await;
    let off = ["open_risk_max_ppm", "pool_exposure_max_ppm", "timeframe_exposure_max_ppm"];
    let limits = LimitsConfig {
        house_accounts: BTreeSet::from(["alice".to_owned()]),
        rules: off.into_iter().map(|name| (name.to_owned(), 0)).collect(),
        // So wide that only what is journaled trips.
        ..LimitsConfig::default()
    };
    let config = |rig: &Rig| Config { limits: limits.clone(), measure_ms: 20, ..rig.config() };
    let plain = rig.guard().await;
    holds(&mut rig, 11).await;
    // Something else has put everything into REDUCING.
    reduce(&rig, "c-1", 1_000_000).await;
    plain.stop().await;
    let batch = v1::JournalBatch { leader_id: "the one before".into(), records: vec![tripped()], ..Default::default() };
    let options = PublishOptions::default();
    rig.bus.publish(&Subject::Journal, &batch, &options, Duration::from_secs(5)).await.expect("stored");

    for round in 0..2 {
        let guard = rig.standby(config(&rig));
        guard.wait_ready().await;
        eventually("the reduction is ordered", async || {
            rig.risk_state().await.reductions.iter().any(|own| own.command_id == "POSITION_REDUCTION-77")
        })
        .await;
        let state = rig.risk_state().await;
        assert_eq!(state.reductions.len(), 2, "{round}: {:?}", state.reductions);
        let own = state.reductions.iter().find(|own| own.command_id == "POSITION_REDUCTION-77").expect("found");
        let target = &own.positions[0];
        assert_eq!((target.from_micros, target.target_micros), (11 * ONE, 5 * ONE));
        assert_eq!(own.reason, "POSITION_REDUCTION is 50000, the limit is 50000");
        guard.kill();
    }
    rig.stop().await;
}
