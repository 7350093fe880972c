//! Halt and resume.

use crate::rig::{Rig, Shared, buy, eventually, order, trade_of};
use futures::StreamExt as _;
use std::{sync::Arc, time::Duration};
use tragen_bus::{Ask, Bucket, CoreSubject};
use tragen_contracts::v1::{self, guard_answer::Answer, guard_question::Question};
use tragen_risk_guard::{Config, LimitsConfig};

/// Workers that confirm whatever they hear.
async fn workers(rig: &Rig, names: &[&str]) -> Shared<i64> {
    let bucket = rig.bus.bucket(Bucket::Workers).await.expect("a bucket");
    let heard: Shared<i64> = Arc::default();
    for name in names {
        bucket.put(*name, "here".into()).await.expect("present");
        let mut states = rig.bus.listen::<v1::ControlState>(&CoreSubject::ControlState).await.expect("a subject");
        let (bus, worker, heard, stopped) = (rig.bus.clone(), (*name).to_owned(), heard.clone(), rig.context.stopped());
        rig.context.spawn("worker", async move {
            tokio::pin!(stopped);
            loop {
                let state = tokio::select! {
                    () = &mut stopped => return Ok(()),
                    state = states.next() => state.expect("a subscription"),
                };
                let epoch = state.epoch;
                *heard.lock().expect("not poisoned") = epoch;
                let ack = v1::ControlAck {
                    worker_id: worker.clone(),
                    epoch,
                    dropped_requests: 2,
                    ..v1::ControlAck::default()
                };
                bus.broadcast(&CoreSubject::ControlAck { epoch, worker: worker.clone() }, &ack).await?;
            }
        });
    }
    heard
}

async fn halt(rig: &Rig, principal: &str) -> v1::HaltResponse {
    let request = v1::HaltRequest { scope: None, reason: "test".into(), wait_ms: 500 };
    let Answer::Halt(response) = rig.ask(principal, Question::Halt(request)).await else { panic!("refused") };
    response
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_halt_under_load_nothing_reaches_the_venue() {
    let mut rig = Rig::start().await;
    // Longer than anybody here waits: whoever waits for an approval that was never sent to run out is found.
    let limits = LimitsConfig { approval_valid_ms: 120_000, ..LimitsConfig::default() };
    let guard = rig.standby(Config { limits, ..rig.config() });
    guard.wait_ready().await;
    let heard = workers(&rig, &["w-1", "w-2"]).await;
    rig.bus.bucket(Bucket::Workers).await.expect("a bucket").put("w-deaf", "here".into()).await.expect("present");
    let resting = order("resting", v1::Side::Buy, 1, 400_000, v1::TimeInForce::Gtc);
    let resting_trade = trade_of(&resting);
    rig.propose(vec![resting]).await;
    rig.outcomes.until(|outcomes| outcomes.reports.contains_key(&resting_trade)).await;

    let load: Vec<_> = (0..600).map(|n| buy(&format!("r-{n}"), 1, 520_000)).collect();
    let (before, after) = load.split_at(300);
    for chunk in before.chunks(10) {
        rig.propose(chunk.to_vec()).await;
    }
    let filled = |rig: &Rig| rig.venue_lines().iter().filter(|line| line.contains(" filled ")).count();
    // Counted the moment Halt returns; proposals have poured in since before it was asked.
    let halting = async {
        let response = halt(&rig, "operator").await;
        (response, filled(&rig))
    };
    let feeding = async {
        for chunk in after.chunks(10) {
            rig.propose(chunk.to_vec()).await;
        }
    };
    let ((response, at_return), ()) = tokio::join!(halting, feeding);
    rig.outcomes.until(|outcomes| outcomes.finished() == 601).await;
    assert_eq!(filled(&rig), at_return, "an order reached the venue after Halt had returned");
    let sequence = u64::try_from(response.journal_sequence).expect("a sequence");
    assert_eq!(rig.approvals_after(sequence).await, 0, "the gate approved something after it was closed");
    println!(
        "gate closed after {} us; {} of 600 orders were filled before, the rest is denied",
        response.gate_closed_micros, at_return
    );
    assert_eq!((response.confirmed_workers, response.total_workers), (2, 3));
    assert_eq!(response.missing_workers, ["w-deaf"]);
    assert_eq!(*heard.lock().expect("not poisoned"), response.epoch);
    assert_eq!(rig.outcomes.of(&resting_trade).await.status(), v1::TradeStatus::Canceled);
    // Filled before; approved before but never sent; or denied.
    let mut unsent = 0;
    for proposal in &load {
        let report = rig.outcomes.last(&trade_of(proposal)).expect("a report");
        let is_halted = report.denial.as_ref().is_some_and(|d| d.code() == v1::DenialCode::TradingHalted);
        unsent += i32::from(report.status() == v1::TradeStatus::Canceled);
        let is_expected = is_halted || matches!(report.status(), v1::TradeStatus::Filled | v1::TradeStatus::Canceled);
        assert!(is_expected, "{report:?}");
    }
    assert_eq!(response.canceled_orders, 1 + unsent);
    assert_eq!(rig.risk_state().await.held_micros, 0, "what was never sent holds nothing");
    let state = rig.risk_state().await;
    assert_eq!(state.global_state(), v1::TradingState::Halted);
    assert_eq!(state.workers, ["w-1", "w-2", "w-deaf"]);
    let stored = rig.bus.bucket(Bucket::Control).await.expect("a bucket").get("state").await.expect("read");
    let stored = <v1::ControlState as prost::Message>::decode(stored.expect("a state")).expect("decodes");
    assert_eq!((stored.epoch, stored.scopes.len()), (response.epoch, 1));
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_takes_two_people_and_one_level_at_a_time() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    halt(&rig, "operator").await;
    let propose = |reason: &str, target: v1::TradingState| {
        Question::ProposeResume(v1::ProposeResumeRequest {
            scope: None,
            target: target.into(),
            reason: reason.into(),
            ..Default::default()
        })
    };
    let confirm =
        |token: &str| Question::ConfirmResume(v1::ConfirmResumeRequest { token: token.into(), ..Default::default() });
    let reason_of = |answer: Answer| {
        let Answer::Error(error) = answer else { panic!("{answer:?}") };
        error.reason
    };
    let proposal_of = |answer: Answer| {
        let Answer::ProposeResume(proposal) = answer else { panic!("{answer:?}") };
        proposal
    };
    let unspecified = v1::TradingState::Unspecified;
    assert_eq!(reason_of(rig.ask("ann", propose("", unspecified)).await), "REASON_MISSING");
    assert_eq!(reason_of(rig.ask("ann", propose("ok", v1::TradingState::Active)).await), "NOT_ONE_LEVEL");
    assert_eq!(reason_of(rig.ask("bob", confirm("0123")).await), "PROPOSAL_UNKNOWN");
    for target in [v1::TradingState::Reducing, v1::TradingState::Active] {
        let proposal = proposal_of(rig.ask("ann", propose("checked", unspecified)).await);
        assert_eq!(proposal.target(), target);
        assert_eq!(proposal.token.len(), 32);
        assert_eq!(reason_of(rig.ask("ann", confirm(&proposal.token)).await), "SAME_PRINCIPAL");
        let Answer::ConfirmResume(resumed) = rig.ask("bob", confirm(&proposal.token)).await else { panic!("refused") };
        assert_eq!(resumed.state(), target);
        assert_eq!(reason_of(rig.ask("bob", confirm(&proposal.token)).await), "PROPOSAL_UNKNOWN");
        if target == v1::TradingState::Reducing {
            let opening = buy("r-reducing", 1, 520_000);
            let trade = trade_of(&opening);
            rig.propose(vec![opening]).await;
            let denial = rig.outcomes.of(&trade).await.denial.expect("a denial");
            assert_eq!(denial.code(), v1::DenialCode::TradingReducing);
        }
    }
    halt(&rig, "operator").await;
    let stale = proposal_of(rig.ask("ann", propose("checked", unspecified)).await);
    halt(&rig, "operator").await;
    assert_eq!(reason_of(rig.ask("bob", confirm(&stale.token)).await), "EPOCH_CHANGED");

    // A halt survives a restart.
    guard.kill();
    let guard = rig.guard().await;
    assert_eq!(rig.risk_state().await.global_state(), v1::TradingState::Halted);
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_are_answered_while_the_guard_leads_and_not_after() {
    let rig = Rig::start().await;
    let guard = rig.guard().await;
    let question = v1::LeaseQuestion { worker_id: "w-1".into(), nonce: 42, epoch: 0 };
    let answer: v1::LeaseAnswer = rig.bus.ask(Ask::Lease, &question, Duration::from_secs(1)).await.expect("an answer");
    assert_eq!((answer.nonce, answer.valid_for_ms), (42, 1_000));
    assert_eq!(answer.state.expect("a state").epoch, rig.risk_state().await.epoch);
    guard.stop().await;
    eventually("nobody answers", async || {
        rig.bus.ask::<_, v1::LeaseAnswer>(Ask::Lease, &question, Duration::from_millis(300)).await.is_err()
    })
    .await;
    rig.stop().await;
}
