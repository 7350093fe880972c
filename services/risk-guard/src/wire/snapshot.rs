//! A guard's memory as parts of a snapshot, and back.

use super::{
    Ticket, memory,
    order::{self, order_of},
    reduction::{read_reduction, reduction_entry},
    scope::{read_change, risk_change, scope_state, state_change},
};
use crate::{bookings::Untold, replica::Replica, reports::Kept, snapshot::SnapshotError};
use bytes::Bytes;
use prost::{Message as _, encode_length_delimiter, length_delimiter_len};
use std::{collections::HashMap, io};
use tragen_contracts::{
    convert::{InvalidField, id, required},
    v1::{self, snapshot_entry::Kind},
};
use tragen_domain::{
    arrivals::Arrived,
    execution::Fill,
    id::{OrderId, TradeId},
    instrument::SettlementTerms,
    market::Timeframe,
    money::{Money, Price, Quantity},
    order::Side,
    risk::{KnownTrade, Limits, Record, State, Stored, StoredOrder, StoredOwners, Unposted},
    time::Timestamp,
};

/// Everything of a snapshot but its header.
#[derive(Debug)]
pub(crate) struct Entries {
    pub(crate) stored: Stored,
    pub(crate) tickets: HashMap<OrderId, Ticket>,
    /// `KeptReport`s of the trades that ended last, encoded; shared with the gate.
    pub(crate) reports: Arrived<TradeId, Bytes>,
    pub(crate) untold: Vec<v1::ExecutionReport>,
}

/// Before a `report` in an encoded `SnapshotEntry`: field 9, with its length (wire type 2).
const REPORT_KEY: u8 = 9 << 3 | 2;

/// Encodes every part.
///
/// # Errors
/// Of `out`.
pub(crate) fn write_entries(entries: &Entries, out: &mut impl io::Write) -> io::Result<()> {
    let mut part = Vec::new();
    let mut put = |kind: Kind| {
        part.clear();
        v1::SnapshotEntry { kind: Some(kind) }.encode_length_delimited(&mut part)?;
        out.write_all(&part)
    };
    let stored = &entries.stored;
    stored.scopes.iter().try_for_each(|state| put(Kind::Scope(scope_state(state))))?;
    stored.settled.iter().try_for_each(|instrument| put(Kind::SettledInstrumentId(instrument.to_string())))?;
    for (agent, day, count) in &stored.agent_trades {
        put(Kind::AgentTrades(v1::AgentTrades { agent_id: agent.to_string(), day: *day, count: *count }))?;
    }
    let commands = &stored.commands;
    commands.reductions().try_for_each(|reduction| put(Kind::Reduction(reduction_entry(reduction))))?;
    commands.changes().try_for_each(|change| put(Kind::Change(risk_change(change))))?;
    let (minute, count) = commands.flattened();
    put(Kind::Flattened(v1::FlattenedOrders { minute, count }))?;
    for stored in &stored.orders {
        // Whoever approves keeps a ticket until the journal has the end.
        if let Some(ticket) = entries.tickets.get(&stored.order.terms.id) {
            put(Kind::Order(order_entry(stored, ticket)))?;
        }
    }
    for (_, known) in stored.known.generations() {
        let order = |known: &KnownTrade| match known {
            KnownTrade::InFlight(order) => order.to_string(),
            KnownTrade::Finished => String::new(),
        };
        put(Kind::Known(v1::KnownTrades {
            trade_ids: known.iter().map(|(trade, _)| trade.to_string()).collect(),
            order_ids: known.iter().map(|(_, known)| order(known)).collect(),
        }))?;
    }
    for (_, told) in stored.told.generations() {
        let trade_ids = told.iter().map(|(trade, _)| trade.to_string()).collect();
        put(Kind::Told(v1::KnownTrades { trade_ids, order_ids: Vec::new() }))?;
    }
    stored.owners.iter().filter_map(owners_entry).try_for_each(|entry| put(Kind::Owners(entry)))?;
    stored.memories.iter().filter_map(memory::memory_entry).try_for_each(&mut put)?;
    for (account, instrument, unposted) in &stored.unposted {
        put(Kind::Unposted(v1::UnpostedFill {
            account_id: account.to_string(),
            instrument_id: instrument.to_string(),
            trade_id: unposted.trade.to_string(),
            side: v1::Side::from(unposted.side).into(),
            settlement: Some((&unposted.settlement).into()),
            fill: Some((&unposted.fill).into()),
        }))?;
    }
    for (account, trade, currency, amount) in &stored.withdrawals {
        put(Kind::Withdrawal(v1::HeldWithdrawal {
            account_id: account.to_string(),
            trade_id: trade.to_string(),
            currency: currency.to_string(),
            amount_micros: amount.micros(),
        }))?;
    }
    entries.untold.iter().try_for_each(|report| put(Kind::Untold(report.clone())))?;
    entries.reports.iter().try_for_each(|(_, kept)| write_report(kept, out))
}

/// A `SnapshotEntry` with a `KeptReport` that is encoded already: most of a snapshot are these.
fn write_report(kept: &[u8], out: &mut impl io::Write) -> io::Result<()> {
    let mut head = Vec::with_capacity(24);
    encode_length_delimiter(1 + length_delimiter_len(kept.len()) + kept.len(), &mut head)?;
    head.push(REPORT_KEY);
    encode_length_delimiter(kept.len(), &mut head)?;
    out.write_all(&head)?;
    out.write_all(kept)
}

/// Decodes every part of `body`.
///
/// # Errors
/// [`SnapshotError`].
pub(crate) fn read_entries(
    header: &v1::SnapshotHeader,
    mut body: &[u8],
    limits: Limits,
    stored_reports_max: usize,
) -> Result<Replica, SnapshotError> {
    let known_max = usize::try_from(header.known_trades_max).unwrap_or(usize::MAX);
    let known = Arrived::after(header.known_trades_forgotten);
    let mut stored = Stored { epoch: header.epoch, known_max, known, ..Stored::default() };
    let mut replica = Replica::new(limits.clone(), stored_reports_max);
    while !body.is_empty() {
        let entry = v1::SnapshotEntry::decode_length_delimited(&mut body)?;
        take(entry, &mut stored, &mut replica)?;
    }
    replica.state = State::restore(limits, stored)?;
    Ok(replica)
}

fn take(entry: v1::SnapshotEntry, stored: &mut Stored, replica: &mut Replica) -> Result<(), InvalidField> {
    // A part that this program does not know changes the hash, which refuses the snapshot.
    let Some(kind) = entry.kind else { return Ok(()) };
    match kind {
        Kind::Scope(state) => {
            if let Record::ScopeChanged(state) = state_change(&state)? {
                stored.scopes.push(state);
            }
        }
        Kind::SettledInstrumentId(instrument) => stored.settled.push(id("settled_instrument_id", &instrument)?),
        Kind::AgentTrades(own) => stored.agent_trades.push((id("agent_id", &own.agent_id)?, own.day, own.count)),
        Kind::Reduction(entry) => stored.commands.restore_reduction(read_reduction(&entry)?),
        Kind::Change(change) => stored.commands.restore_change(read_change(&change)?),
        Kind::Flattened(own) => stored.commands.restore_flattened(own.minute, own.count),
        Kind::Order(order) => {
            let (order, ticket) = read_order(&order)?;
            replica.tickets.insert(order.order.terms.id.clone(), ticket);
            stored.orders.push(order);
        }
        Kind::Known(known) => {
            for (trade, order) in known.trade_ids.iter().zip(&known.order_ids) {
                let order = (!order.is_empty()).then(|| id("order_ids", order)).transpose()?;
                let known = order.map_or(KnownTrade::Finished, KnownTrade::InFlight);
                stored.known.push(id("trade_ids", trade)?, known);
            }
        }
        Kind::Told(told) => {
            for trade in &told.trade_ids {
                stored.told.push(id("trade_ids", trade)?, KnownTrade::Finished);
            }
        }
        Kind::Owners(own) => stored.owners.push(read_owners(&own)?),
        Kind::Memory(record) => stored.memories.extend(memory::kept(&record)?),
        Kind::Seated(own) => stored.memories.push(memory::seated(&own)?),
        Kind::Traded(own) => stored.memories.push(memory::traded(&own)?),
        Kind::Resumed(own) => stored.memories.push(memory::resumed(&own)?),
        Kind::WalletStarted(own) => stored.memories.push(memory::wallet_started(&own)?),
        Kind::AgentStreak(own) => stored.memories.push(memory::streak(&own)?),
        Kind::OpenTrade(own) => stored.memories.push(memory::open_trade(&own)?),
        Kind::TradeDue(closed) => stored.memories.push(memory::trade_due(&closed)?),
        Kind::Unposted(fill) => {
            let side = v1::Side::try_from(fill.side).unwrap_or_default();
            let unposted = Unposted {
                trade: id("trade_id", &fill.trade_id)?,
                side: Side::try_from(side)?,
                settlement: SettlementTerms::try_from(required("settlement", fill.settlement.as_ref())?)?,
                fill: Fill::try_from(required("fill", fill.fill.as_ref())?)?,
            };
            let own = (id("account_id", &fill.account_id)?, id("instrument_id", &fill.instrument_id)?);
            stored.unposted.push((own.0, own.1, unposted));
        }
        Kind::Withdrawal(held) => stored.withdrawals.push((
            id("account_id", &held.account_id)?,
            id("trade_id", &held.trade_id)?,
            id("currency", &held.currency)?,
            Money::from_micros(held.amount_micros),
        )),
        Kind::Report(kept) => {
            let report = kept.report.unwrap_or_default();
            let trade =
                id("report.key.trade_id", report.key.as_ref().map(|key| key.trade_id.as_str()).unwrap_or_default())?;
            let executions = kept.execution_ids.iter().map(|own| id("execution_ids", own)).collect::<Result<_, _>>()?;
            let filled = Quantity::from_micros(kept.filled_micros);
            replica.last_reports.keep(trade, Kept { report, executions, filled });
        }
        Kind::Untold(report) => {
            let key = required("untold.key", report.key.as_ref())?.trade_id.clone();
            let settled = order::settled_by(&report)?;
            replica.untold.insert(key, Untold { settled, report });
        }
    }
    Ok(())
}

fn owners_entry(own: &StoredOwners) -> Option<v1::HoldingOwners> {
    let (account, instrument) = own.holding.as_ref()?;
    Some(v1::HoldingOwners {
        account_id: account.to_string(),
        instrument_id: instrument.to_string(),
        pools: own.pools.iter().map(ToString::to_string).collect(),
        agent_ids: own.agents.iter().map(ToString::to_string).collect(),
        timeframes: own.timeframes.iter().map(|own| own.as_str().to_owned()).collect(),
    })
}

fn read_owners(own: &v1::HoldingOwners) -> Result<StoredOwners, InvalidField> {
    Ok(StoredOwners {
        holding: Some((id("account_id", &own.account_id)?, id("instrument_id", &own.instrument_id)?)),
        pools: own.pools.iter().map(|pool| id("pools", pool)).collect::<Result<_, _>>()?,
        agents: own.agent_ids.iter().map(|agent| id("agent_ids", agent)).collect::<Result<_, _>>()?,
        timeframes: own.timeframes.iter().filter_map(|own| Timeframe::parse(own)).collect(),
    })
}

fn order_entry(stored: &StoredOrder, ticket: &Ticket) -> v1::SnapshotOrder {
    let order = &stored.order;
    v1::SnapshotOrder {
        approved: Some(ticket.approved(order)),
        decided_at_micros: order.decided_at.micros(),
        reference_price_micros: order.reference.micros(),
        filled_micros: stored.filled.micros(),
        execution_ids: stored.executions.iter().map(ToString::to_string).collect(),
        is_working_reported: ticket.is_working_reported,
    }
}

fn read_order(entry: &v1::SnapshotOrder) -> Result<(StoredOrder, Ticket), InvalidField> {
    let record = required("approved", entry.approved.as_ref())?;
    let missing = || InvalidField::new("approved.kind", "FIELD_MISSING", "is no approval");
    let Some(v1::journal_record::Kind::Approved(approved)) = &record.kind else { return Err(missing()) };
    let key = required("approved.key", record.key.as_ref())?;
    let mut ticket = Ticket::new(record.meta.as_ref(), key, approved).ok_or_else(missing)?;
    ticket.is_working_reported = entry.is_working_reported;
    let mut order = order_of(record, Timestamp::from_micros(entry.decided_at_micros))?.ok_or_else(missing)?;
    order.reference = Price::from_micros(entry.reference_price_micros);
    let executions = entry.execution_ids.iter().map(|own| id("execution_ids", own)).collect::<Result<_, _>>()?;
    Ok((StoredOrder { order, filled: Quantity::from_micros(entry.filled_micros), executions }, ticket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_report_is_a_part_like_any_other() {
        for executions in [0, 1, 500] {
            let kept = v1::KeptReport {
                report: Some(v1::ExecutionReport::default()),
                execution_ids: vec!["execution".into(); executions],
                filled_micros: 7,
            };
            let mut written = Vec::new();
            write_report(&kept.encode_to_vec(), &mut written).expect("memory");
            let part = v1::SnapshotEntry { kind: Some(Kind::Report(kept)) };
            assert_eq!(written, part.encode_length_delimited_to_vec());
        }
    }
}
