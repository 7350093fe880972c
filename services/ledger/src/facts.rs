//! What the ledger tells the others, made of its rows. A fact that is told
//! again has the sequence it had, and shows balances and positions as they are
//! now; their versions say which is newer.

use crate::{
    intake::{LEDGER_VENUE, arrival_id},
    pair::Pair,
    publish::HandedOn,
    store::{
        Known,
        rows::{CashRow, ExecutionRow, PayoutRow, PositionRow, TradeRow, WalletRow},
        untold::{ExecutionIdRow, Untold},
    },
};
use std::collections::HashMap;
use tragen_contracts::{convert, v1};
use tragen_domain::time::Timestamp;
use tragen_host::trace::trace_id_of;
use uuid::Uuid;

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

    /// What an account holds in a currency.
    pub(crate) fn wallet(&self, account_id: &str, currency: &str) -> Option<&WalletRow> {
        self.wallets.get(&(account_id, currency) as &dyn Pair)
    }

    /// What an account holds of an instrument.
    pub(crate) fn position(&self, account_id: &str, instrument_id: &str) -> Option<&PositionRow> {
        self.positions.get(&(account_id, instrument_id) as &dyn Pair)
    }

    /// The fact of a trade; `execution_ids` are those it tells of.
    pub(crate) fn trade_fact(
        &self,
        shard: u16,
        row: &TradeRow,
        execution_ids: Vec<String>,
        traceparent: &str,
        causation_id: &str,
    ) -> v1::LedgerFact {
        let wallet = self.wallet(&row.account_id, &row.currency);
        let position = self.position(&row.account_id, &row.instrument_id);
        v1::LedgerFact {
            meta: Some(meta(shard, row.fact_sequence, traceparent, causation_id, row.updated_at)),
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

    /// The fact of cash that moved outside of trading.
    pub(crate) fn cash_fact(&self, shard: u16, row: &CashRow, traceparent: &str, causation_id: &str) -> v1::LedgerFact {
        let wallet = self.wallet(&row.account_id, &row.currency);
        v1::LedgerFact {
            meta: Some(meta(shard, row.fact_sequence, traceparent, causation_id, row.posted_at)),
            sequence: row.fact_sequence,
            kind: Some(v1::ledger_fact::Kind::Cash(v1::CashPosted {
                request_id: row.request_id.clone(),
                trade_id: row.trade_id.to_string(),
                payload_hash: row.payload_hash.clone().into(),
                amount_micros: row.amount,
                denial: denial(row.denial_code, &row.denial_message, row.denial_limit, row.denial_observed),
                account: Some(account_after(row)),
                kind: row.kind,
                counterparty_account_id: row.counterparty_account_id.clone(),
            })),
            balances: wallet.map(balance_changed).into_iter().collect(),
            // A corrected fill changes a position; which one, its execution knows. All that are known are shown.
            positions: self.positions_of(row).map(position_changed).collect(),
        }
    }

    fn positions_of<'a>(&'a self, row: &'a CashRow) -> impl Iterator<Item = &'a PositionRow> {
        let is_correction = row.kind() == v1::CashKind::Correction;
        self.positions.values().filter(move |position| is_correction && position.account_id == row.account_id)
    }

    /// The fact of a position paid out.
    pub(crate) fn payout_fact(
        &self,
        shard: u16,
        row: &PayoutRow,
        traceparent: &str,
        causation_id: &str,
    ) -> v1::LedgerFact {
        let wallet = self.wallet(&row.account_id, &row.currency);
        let position = self.position(&row.account_id, &row.instrument_id);
        v1::LedgerFact {
            meta: Some(meta(shard, row.fact_sequence, traceparent, causation_id, row.posted_at)),
            sequence: row.fact_sequence,
            kind: Some(v1::ledger_fact::Kind::Settled(v1::PositionSettled {
                booking_id: row.booking_id.to_string(),
                account_id: row.account_id.clone(),
                instrument_id: row.instrument_id.clone(),
                value_micros: row.value,
                is_void: row.is_void,
                quantity_micros: row.quantity,
                cash_change_micros: row.cash_change,
                realized_pnl_micros: row.realized_pnl,
            })),
            balances: wallet.map(balance_changed).into_iter().collect(),
            positions: position.map(position_changed).into_iter().collect(),
        }
    }
}

/// The facts of everything in `known`, sequences ascending.
pub(crate) fn of_known(shard: u16, known: Known) -> Vec<v1::LedgerFact> {
    let Known { trades, cash, payouts, wallets, positions, .. } = known;
    let id_of = |row: ExecutionRow| ExecutionIdRow { trade_id: row.trade_id, execution_id: row.execution_id };
    let executions = known.executions.into_iter().map(id_of).collect();
    of_untold(shard, Untold { trades, executions, cash, payouts, wallets, positions })
}

/// The facts of everything in `untold`, sequences ascending.
pub(crate) fn of_untold(shard: u16, untold: Untold) -> Vec<v1::LedgerFact> {
    let books = Surroundings::new(untold.wallets, untold.positions);
    let mut executions: HashMap<Uuid, Vec<String>> = HashMap::new();
    for ExecutionIdRow { trade_id, execution_id } in untold.executions {
        executions.entry(trade_id).or_default().push(execution_id);
    }
    let trades = untold.trades.iter().map(|row| {
        let execution_ids = executions.remove(&row.trade_id).unwrap_or_default();
        books.trade_fact(shard, row, execution_ids, &row.traceparent, "")
    });
    let mut facts: Vec<_> = trades.collect();
    facts.extend(untold.cash.iter().map(|row| books.cash_fact(shard, row, &row.traceparent, "")));
    facts.extend(untold.payouts.iter().map(|row| books.payout_fact(shard, row, &row.traceparent, "")));
    facts.sort_by_key(|fact| fact.sequence);
    facts
}

/// The id under which what `row` sends is booked where it arrives.
pub(crate) fn arrival_of(row: &CashRow) -> Uuid {
    arrival_id(row.trade_id)
}

/// What of `cash` was sent to other shards, as reports for them: it is told again with the facts.
pub(crate) fn arrivals(own: u16, cash: &[CashRow]) -> Vec<HandedOn> {
    let is_sent = |row: &&CashRow| {
        row.kind() == v1::CashKind::Sent && row.denial_code == 0 && row.counterparty_shard != i64::from(own)
    };
    let report = |row: &CashRow| {
        let shard = u16::try_from(row.counterparty_shard).ok()?;
        let trade_id = arrival_of(row).to_string();
        let meta = v1::Meta {
            event_id: trade_id.clone(),
            traceparent: row.traceparent.clone(),
            occurred_at_micros: row.posted_at,
            ..v1::Meta::default()
        };
        let key = v1::TradeKey {
            trade_id,
            request_id: row.request_id.clone(),
            account_id: row.counterparty_account_id.clone(),
            payload_hash: row.payload_hash.clone().into(),
            created_at_micros: row.posted_at,
            ..v1::TradeKey::default()
        };
        let arrival = v1::ArrivalReport {
            from_account_id: row.account_id.clone(),
            amount_micros: row.amount.saturating_neg(),
            currency: row.currency.clone(),
            from_shard: own.into(),
            to_shard: shard.into(),
        };
        let kind = Some(v1::execution_report::Kind::Arrival(arrival));
        let report = v1::ExecutionReport { meta: Some(meta), key: Some(key), kind };
        Some((shard, LEDGER_VENUE.to_owned(), report))
    };
    cash.iter().filter(is_sent).filter_map(report).collect()
}

/// The public form of a trade.
pub(crate) fn trade(row: &TradeRow) -> v1::Trade {
    v1::Trade {
        trade_id: row.trade_id.to_string(),
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

fn meta(shard: u16, sequence: i64, traceparent: &str, causation_id: &str, at: i64) -> v1::Meta {
    v1::Meta {
        event_id: format!("ledger-{shard}-{sequence}"),
        traceparent: traceparent.to_owned(),
        causation_id: causation_id.to_owned(),
        occurred_at_micros: at,
        deadline_micros: 0,
    }
}
