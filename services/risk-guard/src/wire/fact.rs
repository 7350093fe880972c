//! What the ledger tells.

use tragen_contracts::{
    convert::{InvalidField, id, required},
    v1,
};
use tragen_domain::{
    id::{AccountId, TradeId},
    money::{Money, Price, Quantity},
    order::TradeStatus,
    risk::{Posted, PostedBalance, PostedPosition, Record},
};

/// A fact as records, one for each account it touches.
pub(crate) fn fact_records(fact: &v1::LedgerFact) -> Result<Vec<Record>, InvalidField> {
    let mut records = Vec::new();
    let mut paid_out = None;
    match &fact.kind {
        Some(v1::ledger_fact::Kind::Trade(posted)) => {
            let trade = required("trade", posted.trade.as_ref())?;
            let status = v1::TradeStatus::try_from(trade.status).unwrap_or_default();
            let mut record = empty(id("trade.account_id", &trade.account_id)?);
            record.trade = Some(id::<_>("trade.trade_id", &trade.trade_id)?);
            record.is_final = TradeStatus::try_from(status).is_ok_and(TradeStatus::is_final);
            for execution in &posted.execution_ids {
                record.executions.push(id("execution_ids", execution)?);
            }
            records.push(record);
        }
        Some(v1::ledger_fact::Kind::Cash(cash)) => {
            let account = required("account", cash.account.as_ref())?;
            let mut record = empty(id("account.account_id", &account.account_id)?);
            // Deposits are named by the client alone and release nothing here.
            record.trade = TradeId::new(&cash.trade_id).ok();
            record.balances.push(PostedBalance { flow: flow(cash), ..balance(account)? });
            records.push(record);
        }
        // It releases nothing: cash and position after it ride along.
        Some(v1::ledger_fact::Kind::Settled(settled)) => {
            paid_out = Some(Record::PaidOut {
                account: id("settled.account_id", &settled.account_id)?,
                instrument: id("settled.instrument_id", &settled.instrument_id)?,
                realized_pnl: Money::from_micros(settled.realized_pnl_micros),
            });
        }
        None => return Err(InvalidField::new("kind", "FIELD_MISSING", "is missing")),
    }
    for changed in &fact.balances {
        let account = required("balances.account", changed.account.as_ref())?;
        let balance = balance(account)?;
        of(&mut records, id("balances.account.account_id", &account.account_id)?).balances.push(balance);
    }
    for changed in &fact.positions {
        let changed_position = required("positions.position", changed.position.as_ref())?;
        let position = position(changed_position, changed.account_version)?;
        of(&mut records, id("positions.account_id", &changed.account_id)?).positions.push(position);
    }
    let posted = records.into_iter().map(|posted| Record::Posted(Box::new(posted)));
    Ok(paid_out.into_iter().chain(posted).collect())
}

/// An account as the ledger has it now.
pub(crate) fn snapshot_records(snapshot: &v1::AccountSnapshot) -> Result<Option<Record>, InvalidField> {
    let Some(first) = snapshot.balances.first() else { return Ok(None) };
    let mut record = empty(id("balances.account_id", &first.account_id)?);
    for account in &snapshot.balances {
        record.balances.push(balance(account)?);
    }
    // Positions come without their version. The oldest balance's is never above
    // it, so no later fact is taken for an older one.
    let version = snapshot.balances.iter().map(|balance| balance.version).min().unwrap_or_default();
    for own in &snapshot.positions {
        record.positions.push(position(own, version)?);
    }
    Ok(Some(Record::Posted(Box::new(record))))
}

const fn empty(account: AccountId) -> Posted {
    Posted {
        account,
        trade: None,
        is_final: false,
        executions: Vec::new(),
        balances: Vec::new(),
        positions: Vec::new(),
    }
}

/// The record of `account`, made if there is none yet.
fn of(records: &mut Vec<Posted>, account: AccountId) -> &mut Posted {
    let index = records.iter().position(|record| record.account == account).unwrap_or_else(|| {
        records.push(empty(account));
        records.len() - 1
    });
    &mut records[index]
}

fn balance(account: &v1::Account) -> Result<PostedBalance, InvalidField> {
    Ok(PostedBalance {
        currency: id("currency", &account.currency)?,
        cash: Money::from_micros(account.cash_micros),
        version: account.version,
        is_frozen: account.is_frozen,
        flow: Money::ZERO,
    })
}

/// What was paid in or out, so that it is taken for neither profit nor loss. A
/// correction takes back what was counted as either, so it counts as well.
fn flow(cash: &v1::CashPosted) -> Money {
    match v1::CashKind::try_from(cash.kind).unwrap_or_default() {
        v1::CashKind::Deposit
        | v1::CashKind::Withdrawal
        | v1::CashKind::Sent
        | v1::CashKind::Received
        | v1::CashKind::Adjustment => Money::from_micros(cash.amount_micros),
        v1::CashKind::Unspecified | v1::CashKind::Correction | v1::CashKind::Unfreezing => Money::ZERO,
    }
}

fn position(position: &v1::Position, version: i64) -> Result<PostedPosition, InvalidField> {
    Ok(PostedPosition {
        instrument: id("position.instrument_id", &position.instrument_id)?,
        quantity: Quantity::from_micros(position.quantity_micros),
        average_price: Price::from_micros(position.average_price_micros),
        margin: Money::from_micros(position.margin_micros),
        version,
    })
}
