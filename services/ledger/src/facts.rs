//! What the ledger tells the others, made of its rows. A fact that is told
//! again has the sequence it had, and shows balances and positions as they are
//! now; their versions say which is newer.

use crate::store::{
    Known,
    rows::{CashRow, ExecutionRow, PositionRow, TradeRow, WalletRow},
};
use std::collections::HashMap;
use tragen_contracts::{convert, v1};
use tragen_domain::time::Timestamp;
use tragen_host::trace::trace_id_of;

/// The books around the facts, by key.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// By account and currency.
    pub(crate) wallets: HashMap<(String, String), WalletRow>,
    /// By account and instrument.
    pub(crate) positions: HashMap<(String, String), PositionRow>,
}

impl Surroundings {
    /// Of rows.
    pub(crate) fn new(wallets: Vec<WalletRow>, positions: Vec<PositionRow>) -> Self {
        let wallets = wallets.into_iter().map(|row| ((row.account_id.clone(), row.currency.clone()), row)).collect();
        let positions =
            positions.into_iter().map(|row| ((row.account_id.clone(), row.instrument_id.clone()), row)).collect();
        Self { wallets, positions }
    }

    /// The fact of a trade; `execution_ids` are those it tells of.
    pub(crate) fn trade_fact(
        &self,
        row: &TradeRow,
        execution_ids: Vec<String>,
        traceparent: &str,
        causation_id: &str,
    ) -> v1::LedgerFact {
        let wallet = self.wallets.get(&(row.account_id.clone(), row.currency.clone()));
        let position = self.positions.get(&(row.account_id.clone(), row.instrument_id.clone()));
        v1::LedgerFact {
            meta: Some(meta(row.fact_sequence, traceparent, causation_id, row.updated_at)),
            sequence: row.fact_sequence,
            kind: Some(v1::ledger_fact::Kind::Trade(v1::TradePosted {
                trade: Some(trade(row)),
                payload_hash: row.payload_hash.clone().into(),
                execution_ids,
                agent_id: row.agent_id.clone(),
            })),
            balances: wallet.map(balance_changed).into_iter().collect(),
            positions: position.map(position_changed).into_iter().collect(),
        }
    }

    /// The fact of a deposit or withdrawal.
    pub(crate) fn cash_fact(&self, row: &CashRow, traceparent: &str, causation_id: &str) -> v1::LedgerFact {
        let wallet = self.wallets.get(&(row.account_id.clone(), row.currency.clone()));
        v1::LedgerFact {
            meta: Some(meta(row.fact_sequence, traceparent, causation_id, row.posted_at)),
            sequence: row.fact_sequence,
            kind: Some(v1::ledger_fact::Kind::Cash(v1::CashPosted {
                request_id: row.request_id.clone(),
                trade_id: row.trade_id.clone(),
                payload_hash: row.payload_hash.clone().into(),
                amount_micros: row.amount,
                denial: denial(row.denial_code, &row.denial_message, row.denial_limit, row.denial_observed),
                account: Some(account_after(row)),
            })),
            balances: wallet.map(balance_changed).into_iter().collect(),
            positions: Vec::new(),
        }
    }
}

/// The facts of everything in `known`, sequences ascending.
pub(crate) fn of_known(known: Known) -> Vec<v1::LedgerFact> {
    let surroundings = Surroundings::new(known.wallets, known.positions);
    let mut executions: HashMap<String, Vec<String>> = HashMap::new();
    for ExecutionRow { trade_id, execution_id, .. } in known.executions {
        executions.entry(trade_id).or_default().push(execution_id);
    }
    let trades = known.trades.iter().map(|row| {
        let execution_ids = executions.remove(&row.trade_id).unwrap_or_default();
        surroundings.trade_fact(row, execution_ids, &row.traceparent, "")
    });
    let mut facts: Vec<_> = trades.collect();
    facts.extend(known.cash.iter().map(|row| surroundings.cash_fact(row, &row.traceparent, "")));
    facts.sort_by_key(|fact| fact.sequence);
    facts
}

/// The public form of a trade.
pub(crate) fn trade(row: &TradeRow) -> v1::Trade {
    v1::Trade {
        trade_id: row.trade_id.clone(),
        request_id: row.request_id.clone(),
        status: row.status,
        denial: denial(row.denial_code, &row.denial_message, row.denial_limit, row.denial_observed),
        order_id: row.order_id.clone(),
        instrument_id: row.instrument_id.clone(),
        side: row.side,
        quantity_micros: row.quantity,
        limit_price_micros: row.limit_price,
        filled_quantity_micros: row.filled_quantity,
        average_price_micros: row.average_price,
        fee_micros: row.fee,
        cash_change_micros: row.cash_change,
        account_version: row.account_version,
        agent: row.agent.clone(),
        rationale: row.rationale.clone(),
        trace_id: trace_id_of(&row.traceparent).to_owned(),
        created_at: Some(convert::timestamp(Timestamp::from_micros(row.created_at))),
        updated_at: Some(convert::timestamp(Timestamp::from_micros(row.updated_at))),
        rejection: row.rejection.clone(),
        account_id: row.account_id.clone(),
    }
}

/// The public form of a wallet.
pub(crate) fn account(row: &WalletRow) -> v1::Account {
    v1::Account {
        account_id: row.account_id.clone(),
        currency: row.currency.clone(),
        cash_micros: row.cash,
        margin_micros: row.margin,
        version: row.version,
        is_frozen: row.is_frozen,
    }
}

/// The wallet as a deposit or withdrawal left it.
pub(crate) fn account_after(row: &CashRow) -> v1::Account {
    v1::Account {
        account_id: row.account_id.clone(),
        currency: row.currency.clone(),
        cash_micros: row.cash_after,
        margin_micros: row.margin_after,
        version: row.version_after,
        is_frozen: row.is_frozen_after,
    }
}

/// The public form of a position.
pub(crate) fn position(row: &PositionRow) -> v1::Position {
    v1::Position {
        instrument_id: row.instrument_id.clone(),
        quantity_micros: row.quantity,
        average_price_micros: row.position().average_price().unwrap_or_default().micros(),
        realized_pnl_micros: row.realized_pnl,
        fee_micros: row.fees,
        margin_micros: row.margin,
    }
}

fn denial(code: i32, message: &str, limit: i64, observed: i64) -> Option<v1::Denial> {
    (code != 0).then(|| v1::Denial { code, message: message.to_owned(), limit, observed })
}

fn balance_changed(row: &WalletRow) -> v1::BalanceChanged {
    v1::BalanceChanged { account: Some(account(row)) }
}

fn position_changed(row: &PositionRow) -> v1::PositionChanged {
    v1::PositionChanged {
        account_id: row.account_id.clone(),
        position: Some(position(row)),
        account_version: row.account_version,
    }
}

fn meta(sequence: i64, traceparent: &str, causation_id: &str, at: i64) -> v1::Meta {
    v1::Meta {
        event_id: format!("ledger-0-{sequence}"),
        traceparent: traceparent.to_owned(),
        causation_id: causation_id.to_owned(),
        occurred_at_micros: at,
        deadline_micros: 0,
    }
}
