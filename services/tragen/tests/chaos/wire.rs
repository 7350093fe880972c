//! The script on the wire: steps as reports and questions, facts as they are
//! written down.

use crate::script::{MARGIN_PPM, ONE, Report, Step, Style, What};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tragen_contracts::v1;
use uuid::Uuid;

/// When everything was executed, microseconds since the epoch.
const EXECUTED_AT_MICROS: i64 = 1_700_000_000_000_000;

/// A fact, as far as it is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Told {
    Trade { trade_id: String, status: i32, filled: i64, fee: i64, cash_change: i64, version: i64 },
    Cash { trade_id: String, kind: i32, amount: i64, is_denied: bool, cash_after: i64, version_after: i64 },
    Settled { booking_id: String, account: String, instrument: String, quantity: i64, cash_change: i64 },
}

/// The id of what `account` asks for under `request`, 32 hex digits.
pub(crate) fn trade_id(account: &str, request: &str) -> String {
    tragen_contracts::trade_id(account, request).simple().to_string()
}

/// The id under which `step` is booked: 32 hex digits.
pub(crate) fn id_of(step: &Step) -> String {
    match &step.what {
        What::Deposit { .. } => deposit_id(&step.account, &step.request),
        What::Correction { deposit, .. } => derived(&deposit_id(&step.account, deposit), "correction"),
        What::Trade(_)
        | What::Withdrawal { .. }
        | What::Sending { .. }
        | What::Adjustment { .. }
        | What::Settlement { .. } => trade_id(&step.account, &step.request),
    }
}

/// The id of a deposit.
pub(crate) fn deposit_id(account: &str, request: &str) -> String {
    trade_id(account, &format!("deposit/{request}"))
}

/// The id of the receiver's side of what `sent` sends.
pub(crate) fn arrival_id(sent: &str) -> String {
    derived(sent, "received")
}

fn derived(id: &str, name: &str) -> String {
    let id = Uuid::try_parse(id).expect("an id");
    Uuid::new_v5(&id, name.as_bytes()).simple().to_string()
}

/// What identifies the content of `step`.
pub(crate) fn hash_of(step: &Step) -> String {
    let content = serde_json::to_vec(&step.what).expect("serializes");
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &content).simple().to_string()
}

/// A deposit as it is asked for.
pub(crate) fn question(account: &str, request: &str, amount: i64) -> v1::LedgerQuestion {
    let deposit = v1::DepositRequest { request_id: request.to_owned(), amount_micros: amount, currency: String::new() };
    v1::LedgerQuestion {
        account_id: account.to_owned(),
        question: Some(v1::ledger_question::Question::Deposit(deposit)),
        traceparent: String::new(),
    }
}

/// Every step but a deposit, as the guard reports it.
pub(crate) fn report(step: &Step) -> v1::ExecutionReport {
    let kind = match &step.what {
        What::Trade(report) => v1::execution_report::Kind::Trade(trade(step, report)),
        What::Withdrawal { amount, is_denied } => {
            let denial = is_denied.then(|| v1::Denial {
                code: v1::DenialCode::InsufficientFunds.into(),
                message: "the guard says no".to_owned(),
                ..v1::Denial::default()
            });
            v1::execution_report::Kind::Withdrawal(v1::WithdrawalReport { denial, ..withdrawal(*amount, "") })
        }
        What::Sending { amount, to } => v1::execution_report::Kind::Withdrawal(withdrawal(*amount, to)),
        What::Adjustment { amount } => booking(v1::booking::Kind::Adjustment(v1::Adjustment {
            account_id: step.account.clone(),
            currency: "USD".to_owned(),
            amount_micros: *amount,
        })),
        What::Correction { deposit, .. } => booking(v1::booking::Kind::Correction(v1::Correction {
            account_id: step.account.clone(),
            reference_id: deposit_id(&step.account, deposit),
        })),
        What::Settlement { instrument, value } => booking(v1::booking::Kind::Settlement(v1::Settlement {
            instrument_id: instrument.clone(),
            outcome: Some(v1::settlement::Outcome::ValueMicros(*value)),
        })),
        What::Deposit { .. } => unreachable!("a deposit is asked for"),
    };
    let hash = Uuid::try_parse(&hash_of(step)).expect("a hash");
    let key = v1::TradeKey {
        trade_id: trade_id(&step.account, &step.request),
        request_id: step.request.clone(),
        account_id: step.account.clone(),
        tier: v1::Tier::Standard.into(),
        payload_hash: [hash.as_bytes().as_slice(); 2].concat().into(),
        created_at_micros: EXECUTED_AT_MICROS,
    };
    let meta = v1::Meta { event_id: format!("step-{}", step.number), ..v1::Meta::default() };
    v1::ExecutionReport { meta: Some(meta), key: Some(key), kind: Some(kind) }
}

fn withdrawal(amount: i64, to: &str) -> v1::WithdrawalReport {
    v1::WithdrawalReport {
        amount_micros: amount,
        currency: "USD".to_owned(),
        denial: None,
        to_account_id: to.to_owned(),
    }
}

fn booking(kind: v1::booking::Kind) -> v1::execution_report::Kind {
    v1::execution_report::Kind::Booking(v1::Booking {
        kind: Some(kind),
        reason: "chaos".to_owned(),
        proposed_by: "ann".to_owned(),
        confirmed_by: "ben".to_owned(),
    })
}

fn trade(step: &Step, report: &Report) -> v1::TradeReport {
    let (style, initial_margin_ppm) = match report.style {
        Style::Prediction => (v1::SettlementStyle::Prediction, 0),
        Style::Spot => (v1::SettlementStyle::Spot, 0),
        Style::Margined => (v1::SettlementStyle::Margined, MARGIN_PPM),
    };
    let side = if report.is_buy { v1::Side::Buy } else { v1::Side::Sell };
    let fills = report.legs.iter().map(|leg| v1::Fill {
        execution_id: leg.execution_id.clone(),
        price_micros: leg.price,
        quantity_micros: leg.quantity,
        fee_micros: leg.fee,
        executed_at_micros: EXECUTED_AT_MICROS,
    });
    let is_denied = report.status == i32::from(v1::TradeStatus::Denied);
    v1::TradeReport {
        terms: Some(v1::OrderTerms {
            order_id: format!("{}-o", trade_id(&step.account, &step.request)),
            instrument_id: report.instrument.clone(),
            side: side.into(),
            order_type: v1::OrderType::Limit.into(),
            quantity_micros: report.ordered,
            limit_price_micros: if report.is_buy { 200 * ONE } else { 1 },
            time_in_force: v1::TimeInForce::Gtc.into(),
            expire_at_micros: 0,
            is_reduce_only: false,
            is_post_only: false,
        }),
        settlement: Some(v1::SettlementTerms { style: style.into(), currency: "USD".to_owned(), initial_margin_ppm }),
        fills: fills.collect(),
        status: report.status,
        denial: is_denied.then(|| v1::Denial {
            code: v1::DenialCode::ProposalExpired.into(),
            message: "too late".to_owned(),
            ..v1::Denial::default()
        }),
        agent: "chaosAgent".to_owned(),
        ..v1::TradeReport::default()
    }
}

/// The facts of a message on LEDGER, by sequence, with the executions they tell of.
pub(crate) fn facts(payload: &[u8]) -> Vec<(i64, Told, Vec<String>)> {
    let batch = v1::LedgerFactBatch::decode(payload).expect("a batch of facts");
    batch.facts.into_iter().map(fact_of).collect()
}

fn fact_of(fact: v1::LedgerFact) -> (i64, Told, Vec<String>) {
    let plain = |id: &str| Uuid::try_parse(id).expect("an id").simple().to_string();
    let (told, executions) = match fact.kind.expect("a kind of fact") {
        v1::ledger_fact::Kind::Trade(posted) => {
            let trade = posted.trade.expect("a trade");
            let told = Told::Trade {
                trade_id: plain(&trade.trade_id),
                status: trade.status,
                filled: trade.filled_quantity_micros,
                fee: trade.fee_micros,
                cash_change: trade.cash_change_micros,
                version: trade.account_version,
            };
            (told, posted.execution_ids)
        }
        v1::ledger_fact::Kind::Cash(posted) => {
            let account = posted.account.expect("an account");
            let told = Told::Cash {
                trade_id: plain(&posted.trade_id),
                kind: posted.kind,
                amount: posted.amount_micros,
                is_denied: posted.denial.is_some(),
                cash_after: account.cash_micros,
                version_after: account.version,
            };
            (told, Vec::new())
        }
        v1::ledger_fact::Kind::Settled(settled) => {
            let told = Told::Settled {
                booking_id: plain(&settled.booking_id),
                account: settled.account_id,
                instrument: settled.instrument_id,
                quantity: settled.quantity_micros,
                cash_change: settled.cash_change_micros,
            };
            (told, Vec::new())
        }
    };
    (fact.sequence, told, executions)
}
