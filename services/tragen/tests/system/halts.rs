//! A halt holds: once the call has returned, nothing more reaches the venue.

use crate::rig::{INSTRUMENT, Platform, order, request_id};
use prost::Message as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tragen_bus::{Bus, StartAt, Stream};
use tragen_contracts::v1;
use tragen_host::{Lifecycle, clock, trace::Spans};
use tragen_router::token::Role;

/// When every fill so far was executed, from the guard's own reports.
async fn execution_times(nats: &str) -> Vec<i64> {
    let lifecycle = Lifecycle::new(5);
    let context = lifecycle.context("test", Spans::default());
    let bus = Bus::connect(nats, "test").await.expect("a connection");
    let last = bus.last_sequence(Stream::Executions).await.expect("readable");
    let mut reports = bus.follow(&context, Stream::Executions, "", StartAt::Beginning).await.expect("readable");
    let mut times = Vec::new();
    loop {
        let message = reports.next().await.expect("running");
        let batch = v1::ExecutionBatch::decode(message.payload).expect("reports");
        for report in batch.reports {
            if let Some(v1::execution_report::Kind::Trade(trade)) = report.kind {
                times.extend(trade.fills.iter().map(|fill| fill.executed_at_micros));
            }
        }
        if message.sequence >= last {
            break;
        }
    }
    lifecycle.stop_token().cancel();
    lifecycle.run().await.expect("a clean end");
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_reaches_the_venue_after_a_halt_under_load_has_returned() {
    let mut platform = Platform::all_in_one(&[]).await;
    let mut alice = platform.trader("alice", 1_000_000).await;
    let ask = alice.quote(INSTRUMENT).await.ask_price_micros;
    let is_over = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..16)
        .map(|_| {
            let (mut caller, is_over) = (alice.clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut statuses = Vec::new();
                while !is_over.load(Ordering::SeqCst) {
                    statuses.push(caller.place_surely(&order(v1::Side::Buy, 1, ask)).await.status());
                }
                statuses
            })
        })
        .collect();
    tokio::time::timeout(crate::rig::PATIENCE, async { while execution_times(platform.nats()).await.len() < 50 {} })
        .await
        .expect("the load trades");

    let mut operator = platform.caller("olga", Role::Operator);
    let request = v1::HaltRequest { scope: None, reason: "drill".into(), wait_ms: 2_000 };
    let halted = operator.risk.halt(request).await.expect("halted").into_inner();
    let halted_at = clock::now_micros();
    assert_eq!(halted.confirmed_workers, halted.total_workers, "{:?}", halted.missing_workers);
    assert_eq!(halted.total_workers, 1);

    // The load goes on against the closed gate, and is answered.
    let denied = alice.place_surely(&order(v1::Side::Buy, 1, ask)).await;
    assert_eq!(denied.status(), v1::TradeStatus::Denied);
    assert_eq!(denied.denial.as_ref().map(v1::Denial::code), Some(v1::DenialCode::TradingHalted));
    is_over.store(true, Ordering::SeqCst);
    for worker in load {
        worker.await.expect("every request was answered");
    }
    let late: Vec<i64> = execution_times(platform.nats()).await.into_iter().filter(|time| *time > halted_at).collect();
    assert!(late.is_empty(), "{} executions after the halt had returned", late.len());

    resume(&platform, v1::TradingState::Reducing).await;
    resume(&platform, v1::TradingState::Active).await;
    let again = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let ask = alice.quote(INSTRUMENT).await.ask_price_micros;
            let trade = alice.place_surely(&order(v1::Side::Buy, 1, ask)).await;
            if trade.status() == v1::TradeStatus::Filled {
                break trade;
            }
        }
    });
    again.await.expect("trading goes on");
    platform.stop();
    platform.verify();
}

/// Two people, one level.
async fn resume(platform: &Platform, target: v1::TradingState) {
    let mut first = platform.caller("rita", Role::RiskAdmin);
    let mut second = platform.caller("sam", Role::RiskAdmin);
    let request = v1::ProposeResumeRequest { reason: "drill over".into(), ..Default::default() };
    let proposal = first.risk.propose_resume(request).await.expect("proposed").into_inner();
    assert_eq!(proposal.target(), target);
    let confirm = v1::ConfirmResumeRequest { token: proposal.token, evidence_hash: proposal.evidence_hash };
    first.risk.confirm_resume(confirm.clone()).await.expect_err("the same person");
    let resumed = second.risk.confirm_resume(confirm).await.expect("confirmed").into_inner();
    assert_eq!(resumed.state(), target);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trader_cannot_halt_and_a_withdrawal_cannot_take_what_an_order_holds() {
    let mut platform = Platform::all_in_one(&[]).await;
    let mut alice = platform.trader("alice", 100).await;
    let refused = alice.risk.halt(v1::HaltRequest::default()).await.expect_err("not for traders");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);

    // 100 contracts resting at 0.05 hold at least 5 dollars.
    let mut resting = order(v1::Side::Buy, 100, 50_000);
    let bid = alice.quote(INSTRUMENT).await.bid_price_micros;
    if let Some(v1::place_trade_request::Intent::Order(order)) = &mut resting.intent {
        order.time_in_force = v1::TimeInForce::Gtc.into();
        order.limit_price_micros = bid - 10_000;
    }
    let working = alice.place_surely(&resting).await;
    assert_eq!(working.status(), v1::TradeStatus::Working, "{working:?}");
    let withdraw =
        |amount_micros| v1::WithdrawRequest { request_id: request_id(), amount_micros, currency: String::new() };
    let all = alice.accounts.withdraw(withdraw(100_000_000)).await.expect("an answer").into_inner();
    assert_eq!(all.status(), v1::WithdrawalStatus::Denied, "{all:?}");
    let some = alice.accounts.withdraw(withdraw(10_000_000)).await.expect("an answer").into_inner();
    assert_eq!(some.status(), v1::WithdrawalStatus::Posted, "{some:?}");

    let cancel = v1::CancelTradeRequest { trade_id: working.trade_id.clone() };
    let canceled = alice.trading.cancel_trade(cancel).await.expect("canceled").into_inner().trade.expect("set");
    assert_eq!(canceled.status(), v1::TradeStatus::Canceled, "{canceled:?}");
    let rest = alice.accounts.withdraw(withdraw(90_000_000)).await.expect("an answer").into_inner();
    assert_eq!(rest.status(), v1::WithdrawalStatus::Posted, "{rest:?}");
    assert_eq!(alice.account(0).await.cash_micros, 0);
    platform.stop();
    platform.verify();
}

/// Contracts of the instrument that the account holds in the books.
async fn held(caller: &mut crate::rig::Caller) -> i64 {
    let question = v1::ListPositionsRequest { page_size: 10, ..v1::ListPositionsRequest::default() };
    let positions = caller.accounts.list_positions(question).await.expect("positions").into_inner().positions;
    let own = positions.iter().find(|position| position.instrument_id == INSTRUMENT);
    own.map_or(0, |position| position.quantity_micros / 1_000_000)
}

async fn wait_for_end(caller: &mut crate::rig::Caller, command: &str) {
    let ended = async {
        loop {
            let state = caller.risk.get_risk_state(v1::GetRiskStateRequest {}).await.expect("a state").into_inner();
            let own = state.reductions.iter().find(|own| own.command_id == command).expect("known");
            if own.ended_at_micros != 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::rig::PATIENCE, ended).await.expect("every position is at its target");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_is_halved_by_workers_and_flattened_under_a_halt() {
    let mut platform = Platform::all_in_one(&[]).await;
    let mut alice = platform.trader("alice", 1_000_000).await;
    while held(&mut alice).await < 101 {
        let (left, ask) = (101 - held(&mut alice).await, alice.quote(INSTRUMENT).await.ask_price_micros);
        alice.place_surely(&order(v1::Side::Buy, left, ask)).await;
    }
    let mut operator = platform.caller("olga", Role::Operator);
    let scope = Some(v1::Scope { kind: v1::ScopeKind::Account.into(), id: "alice".into() });
    let request = v1::ReducePositionsRequest {
        scope: scope.clone(),
        factor_ppm: 500_000,
        reason: "drill".into(),
        command_id: "half".into(),
        wait_ms: 2_000,
    };
    let reduced = operator.risk.reduce_positions(request.clone()).await.expect("reducing").into_inner();
    assert_eq!((reduced.state(), reduced.confirmed_workers), (v1::TradingState::Reducing, 1), "{reduced:?}");
    wait_for_end(&mut operator, "half").await;
    assert!(operator.risk.reduce_positions(request).await.expect("known").into_inner().is_repeat);
    let ask = alice.quote(INSTRUMENT).await.ask_price_micros;
    let denied = alice.place_surely(&order(v1::Side::Buy, 1, ask)).await;
    assert_eq!(denied.denial.as_ref().map(v1::Denial::code), Some(v1::DenialCode::TradingReducing));

    let halt = v1::HaltRequest { scope, reason: "drill".into(), wait_ms: 2_000 };
    operator.risk.halt(halt).await.expect("halted");
    let request = v1::FlattenRequest {
        account_id: "alice".into(),
        reason: "drill".into(),
        command_id: "flat".into(),
        ..v1::FlattenRequest::default()
    };
    operator.risk.flatten(request.clone()).await.expect_err("not for operators");
    let mut admin = platform.caller("rita", Role::RiskAdmin);
    let flattening = admin.risk.flatten(request).await.expect("flattening").into_inner();
    // The books may be a moment behind, the guard is not.
    let from = flattening.reduction.expect("a reduction").positions.first().map_or(0, |own| own.from_micros);
    assert!(from == 50_000_000 || from == 0, "{from}");
    wait_for_end(&mut admin, "flat").await;
    let flat = async { while held(&mut alice).await != 0 {} };
    tokio::time::timeout(crate::rig::PATIENCE, flat).await.expect("the books are flat");
    platform.stop();
    platform.verify();
}
