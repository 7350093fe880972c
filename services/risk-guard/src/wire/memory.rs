//! What limits by scope and breakers remember, as parts of a snapshot, and back.

use super::{
    breaker::{breaker_kind, closed_trade, limit_kind, parse_closed_trade},
    order::{journal_record, timeframe},
    scope::{parse_scope, scope as sent_scope},
};
use tragen_contracts::{
    convert::{InvalidField, id, required},
    v1::{self, snapshot_entry::Kind},
};
use tragen_domain::{
    instrument::SettlementTerms,
    money::{Money, Quantity},
    portfolio::RoundTrip,
    position::Position,
    risk::{KeptStreak, LossStreak, Memory, OpenTrade, Record, Seat, Traded, WalletStarted},
    time::Timestamp,
};

/// As it is written; `None` for what need not be.
pub(super) fn memory_entry(memory: &Memory) -> Option<Kind> {
    let journaled = |kind| Kind::Memory(v1::JournalRecord { kind: Some(kind), ..v1::JournalRecord::default() });
    Some(match memory {
        Memory::Limit(change) => journaled(limit_kind(change)),
        Memory::Breaker(record) => journaled(breaker_kind(record)?),
        Memory::Seated(agent, seat) => Kind::Seated(v1::SeatedAgent {
            agent_id: agent.to_string(),
            account_id: seat.account.to_string(),
            pool: seat.pool.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
        Memory::Traded(own) => Kind::Traded(v1::TradedHolding {
            account_id: own.account.to_string(),
            instrument_id: own.instrument.to_string(),
            settlement: Some((&own.terms).into()),
            pools: own.pools.iter().map(ToString::to_string).collect(),
            agent_ids: own.agents.iter().map(ToString::to_string).collect(),
            timeframes: own.timeframes.iter().map(|own| own.as_str().to_owned()).collect(),
        }),
        Memory::Resumed(scope, at) => {
            Kind::Resumed(v1::ResumedScope { scope: Some(sent_scope(scope)), resumed_at_micros: at.micros() })
        }
        Memory::Streak(own) => Kind::AgentStreak(v1::AgentStreak {
            agent_id: own.agent.to_string(),
            losses: own.losses.losses(),
            journaled_fills: own.journaled[0],
            journaled_payouts: own.journaled[1],
            seen_fills: own.seen[0],
            seen_payouts: own.seen[1],
        }),
        Memory::OpenTrade(own) => Kind::OpenTrade(v1::OpenTrade {
            account_id: own.account.to_string(),
            instrument_id: own.instrument.to_string(),
            agent_ids: own.agents.iter().map(ToString::to_string).collect(),
            quantity_micros: own.position.quantity.micros(),
            entry_notional_micros: own.position.entry_notional.micros(),
            margin_micros: own.position.margin.micros(),
            net_micros: own.trip.net().micros(),
        }),
        Memory::TradeDue(closed) => Kind::TradeDue(closed_trade(closed)),
        Memory::WalletStarted(own) => Kind::WalletStarted(v1::WalletStarted {
            account_id: own.account.to_string(),
            currency: own.currency.to_string(),
            start_micros: own.start.micros(),
            version: own.version,
        }),
    })
}

/// A journaled record that is kept; `None` for one that no snapshot has.
pub(super) fn kept(record: &v1::JournalRecord) -> Result<Option<Memory>, InvalidField> {
    Ok(match journal_record(record, Timestamp::default())? {
        Some(Record::LimitChanged(change)) => Some(Memory::Limit(*change)),
        Some(Record::Breaker(record)) => Some(Memory::Breaker(*record)),
        Some(_) | None => None,
    })
}

pub(super) fn seated(own: &v1::SeatedAgent) -> Result<Memory, InvalidField> {
    let pool = (!own.pool.is_empty()).then(|| id("pool", &own.pool)).transpose()?;
    Ok(Memory::Seated(id("agent_id", &own.agent_id)?, Seat { account: id("account_id", &own.account_id)?, pool }))
}

pub(super) fn traded(own: &v1::TradedHolding) -> Result<Memory, InvalidField> {
    let mut timeframes = Vec::new();
    for written in &own.timeframes {
        timeframes.extend(timeframe(written)?);
    }
    Ok(Memory::Traded(Traded {
        account: id("account_id", &own.account_id)?,
        instrument: id("instrument_id", &own.instrument_id)?,
        terms: SettlementTerms::try_from(required("settlement", own.settlement.as_ref())?)?,
        pools: own.pools.iter().map(|own| id("pools", own)).collect::<Result<_, _>>()?,
        agents: own.agent_ids.iter().map(|own| id("agent_ids", own)).collect::<Result<_, _>>()?,
        timeframes,
    }))
}

pub(super) fn streak(own: &v1::AgentStreak) -> Result<Memory, InvalidField> {
    Ok(Memory::Streak(KeptStreak {
        agent: id("agent_id", &own.agent_id)?,
        losses: LossStreak::of(own.losses),
        journaled: [own.journaled_fills, own.journaled_payouts],
        seen: [own.seen_fills, own.seen_payouts],
    }))
}

pub(super) fn open_trade(own: &v1::OpenTrade) -> Result<Memory, InvalidField> {
    let money = Money::from_micros;
    Ok(Memory::OpenTrade(OpenTrade {
        account: id("account_id", &own.account_id)?,
        instrument: id("instrument_id", &own.instrument_id)?,
        agents: own.agent_ids.iter().map(|own| id("agent_ids", own)).collect::<Result<_, _>>()?,
        position: Position {
            quantity: Quantity::from_micros(own.quantity_micros),
            entry_notional: money(own.entry_notional_micros),
            margin: money(own.margin_micros),
            ..Position::default()
        },
        trip: RoundTrip::of(money(own.net_micros)),
    }))
}

pub(super) fn trade_due(closed: &v1::AgentTradeClosed) -> Result<Memory, InvalidField> {
    parse_closed_trade(closed).map(Memory::TradeDue)
}

pub(super) fn resumed(own: &v1::ResumedScope) -> Result<Memory, InvalidField> {
    Ok(Memory::Resumed(parse_scope(own.scope.as_ref())?, Timestamp::from_micros(own.resumed_at_micros)))
}

pub(super) fn wallet_started(own: &v1::WalletStarted) -> Result<Memory, InvalidField> {
    Ok(Memory::WalletStarted(WalletStarted {
        account: id("account_id", &own.account_id)?,
        currency: id("currency", &own.currency)?,
        start: Money::from_micros(own.start_micros),
        version: own.version,
    }))
}
