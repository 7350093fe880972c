//! Orders in the journal and in reports.

use super::{
    Key,
    booking::booked_record,
    breaker,
    reduction::{reduction_ended, reduction_ordered},
    state_change,
};
use tragen_contracts::{
    convert::{InvalidField, id, required},
    v1,
};
use tragen_domain::{
    execution::Fill,
    id::{AgentId, Currency, InstrumentId, PoolId},
    instrument::SettlementTerms,
    market::{Quote, Timeframe},
    money::{Money, Price},
    order::{OrderTerms, Side, TradeStatus},
    risk::{Booking, Executed, Order, Purpose, Record},
    time::Timestamp,
};

/// What an approved order's reports repeat, until its final one is stored.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) key: v1::TradeKey,
    pub(crate) terms: v1::OrderTerms,
    pub(crate) settlement: v1::SettlementTerms,
    pub(crate) agent: String,
    pub(crate) agent_id: String,
    pub(crate) rationale: String,
    /// The span that approved it, later the one that executed it.
    pub(crate) traceparent: String,
    /// The event that caused it.
    pub(crate) causation_id: String,
    pub(crate) is_working_reported: bool,
}

impl Ticket {
    /// Of a journaled approval.
    pub(crate) fn new(meta: Option<&v1::Meta>, key: &v1::TradeKey, approved: &v1::OrderApproved) -> Option<Self> {
        Some(Self {
            key: key.clone(),
            terms: approved.terms.clone()?,
            settlement: approved.settlement.clone()?,
            agent: approved.agent.clone(),
            agent_id: approved.agent_id.clone(),
            rationale: approved.rationale.clone(),
            traceparent: meta.map(|meta| meta.traceparent.clone()).unwrap_or_default(),
            causation_id: meta.map(|meta| meta.event_id.clone()).unwrap_or_default(),
            is_working_reported: false,
        })
    }

    /// The approval of `order` as it was journaled, but for its quote.
    pub(super) fn approved(&self, order: &Order) -> v1::JournalRecord {
        let approved = v1::OrderApproved {
            terms: Some(self.terms.clone()),
            settlement: Some(self.settlement.clone()),
            taker_fee_ppm: order.taker_fee_ppm,
            hold_micros: order.hold.micros(),
            valid_until_micros: order.valid_until.micros(),
            agent: self.agent.clone(),
            agent_id: self.agent_id.clone(),
            pool: order.pool.as_ref().map(ToString::to_string).unwrap_or_default(),
            rationale: self.rationale.clone(),
            quote: None,
            timeframe: order.timeframe.map_or("", Timeframe::as_str).to_owned(),
            // Of the proposal, which nothing that is kept of an order needs.
            confidence_ppm: None,
            max_trades_per_day: 0,
            proposal_valid_until_micros: 0,
            wallet_start_micros: order.wallet_start.map(|(start, _)| start.micros()),
            wallet_start_version: order.wallet_start.map_or(0, |(_, version)| version),
            purpose: purpose_of(&order.purpose).into(),
            reduction_id: order.purpose.reduction().map(ToString::to_string).unwrap_or_default(),
            is_first_on_match: false,
        };
        let meta = v1::Meta {
            event_id: self.causation_id.clone(),
            traceparent: self.traceparent.clone(),
            ..v1::Meta::default()
        };
        let kind = Some(v1::journal_record::Kind::Approved(approved));
        v1::JournalRecord { meta: Some(meta), key: Some(self.key.clone()), kind }
    }
}

/// The journal's form of an approval.
pub(crate) fn approved_record(order: &Order, proposed: &v1::OrderProposed, quote: Option<&Quote>) -> v1::OrderApproved {
    let terms =
        v1::OrderTerms { limit_price_micros: order.limit.micros(), ..proposed.terms.clone().unwrap_or_default() };
    v1::OrderApproved {
        terms: Some(terms),
        settlement: Some((&order.settlement).into()),
        taker_fee_ppm: order.taker_fee_ppm,
        hold_micros: order.hold.micros(),
        valid_until_micros: order.valid_until.micros(),
        agent: proposed.agent.clone(),
        agent_id: proposed.agent_id.clone(),
        pool: proposed.pool.clone(),
        rationale: proposed.rationale.clone(),
        quote: quote.map(Into::into),
        timeframe: proposed.timeframe.clone(),
        confidence_ppm: proposed.confidence_ppm,
        max_trades_per_day: proposed.max_trades_per_day,
        proposal_valid_until_micros: proposed.valid_until_micros,
        wallet_start_micros: order.wallet_start.map(|(start, _)| start.micros()),
        wallet_start_version: order.wallet_start.map_or(0, |(_, version)| version),
        purpose: purpose_of(&order.purpose).into(),
        reduction_id: order.purpose.reduction().map(ToString::to_string).unwrap_or_default(),
        is_first_on_match: proposed.is_first_on_match,
    }
}

const fn purpose_of(purpose: &Purpose) -> v1::OrderPurpose {
    match purpose {
        Purpose::Trade => v1::OrderPurpose::Unspecified,
        Purpose::Reduce(_) => v1::OrderPurpose::Reduce,
        Purpose::Flatten(_) => v1::OrderPurpose::Flatten,
    }
}

fn parse_purpose(approved: &v1::OrderApproved) -> Result<Purpose, InvalidField> {
    let reduction = || id("reduction_id", &approved.reduction_id);
    match approved.purpose() {
        v1::OrderPurpose::Unspecified => Ok(Purpose::Trade),
        v1::OrderPurpose::Reduce => Ok(Purpose::Reduce(reduction()?)),
        v1::OrderPurpose::Flatten => Ok(Purpose::Flatten(reduction()?)),
    }
}

/// The order of a journaled approval.
fn parse_order(key: &Key, approved: &v1::OrderApproved, decided_at: Timestamp) -> Result<Order, InvalidField> {
    let terms = required("terms", approved.terms.as_ref())?;
    let limit = Price::from_micros(terms.limit_price_micros);
    let settlement = required("settlement", approved.settlement.as_ref())?;
    let quote = approved.quote.as_ref().map(Quote::try_from).transpose()?;
    let (agent, pool) = agent_and_pool(&approved.agent_id, &approved.pool)?;
    Ok(Order {
        trade: key.trade.clone(),
        account: key.account.clone(),
        terms: OrderTerms::try_from(terms).map_err(|e| e.inside("terms"))?,
        limit,
        settlement: SettlementTerms::try_from(settlement).map_err(|e| e.inside("settlement"))?,
        taker_fee_ppm: approved.taker_fee_ppm,
        reference: quote.and_then(|quote| quote.reference_price()).unwrap_or(limit),
        agent,
        pool,
        purpose: parse_purpose(approved)?,
        timeframe: timeframe(&approved.timeframe)?,
        wallet_start: approved
            .wallet_start_micros
            .map(|start| (Money::from_micros(start), approved.wallet_start_version)),
        hold: Money::from_micros(approved.hold_micros),
        decided_at,
        valid_until: Timestamp::from_micros(approved.valid_until_micros),
    })
}

/// The order of a journaled approval; `None` for any other record.
pub(super) fn order_of(record: &v1::JournalRecord, decided_at: Timestamp) -> Result<Option<Order>, InvalidField> {
    let Some(v1::journal_record::Kind::Approved(approved)) = &record.kind else { return Ok(None) };
    parse_order(&Key::parse(record.key.as_ref())?, approved, decided_at).map(Some)
}

/// The instrument that is settled by a reported booking.
pub(super) fn settled_by(report: &v1::ExecutionReport) -> Result<Option<InstrumentId>, InvalidField> {
    let Some(v1::execution_report::Kind::Booking(booking)) = &report.kind else { return Ok(None) };
    Ok(Booking::try_from(booking)?.kind.settled().cloned())
}

/// What one entry of the journal changes; `None` when it only says something.
pub(crate) fn journal_record(
    record: &v1::JournalRecord,
    decided_at: Timestamp,
) -> Result<Option<Record>, InvalidField> {
    use v1::journal_record::Kind;
    let changed = match required("kind", record.kind.as_ref())? {
        Kind::StateChanged(state) => state_change(state),
        Kind::Approved(approved) => {
            let key = Key::parse(record.key.as_ref())?;
            parse_order(&key, approved, decided_at).map(|order| Record::Approved(Box::new(order)))
        }
        Kind::Refused(_) => Ok(Record::Refused { trade: Key::parse(record.key.as_ref())?.trade }),
        Kind::Closed(closed) => {
            // Of a booking as well, which may be of no account.
            let key = required("key", record.key.as_ref())?;
            Ok(Record::Closed { order: id("order_id", &closed.order_id)?, trade: id("key.trade_id", &key.trade_id)? })
        }
        Kind::Withdrawal(decided) => {
            let key = Key::parse(record.key.as_ref())?;
            let report = required("report", decided.report.as_ref())?;
            Ok(withdrawal_record(key, report, id("currency", &report.currency)?))
        }
        Kind::Booking(decided) => booked_record(decided),
        Kind::TermBegan(began) => {
            Ok(Record::TermBegan { known_trades_max: usize::try_from(began.known_trades_max).unwrap_or(usize::MAX) })
        }
        Kind::ReductionOrdered(ordered) => reduction_ordered(ordered),
        Kind::ReductionEnded(ended) => reduction_ended(ended),
        Kind::LimitChanged(changed) => breaker::limit_record(changed),
        Kind::BreakerLatched(latched) => breaker::latched_record(latched),
        Kind::BreakerEnded(ended) => breaker::ended_record(ended),
        Kind::BreakerAcknowledged(own) => breaker::acknowledged_record(own),
        Kind::BaselineKept(kept) => breaker::baseline_record(kept),
        Kind::PaymentsKept(kept) => breaker::payments_record(kept),
        Kind::AgentTradeClosed(closed) => breaker::closed_trade_record(closed),
        Kind::CompaniesFound(found) => breaker::companies_record(found),
        Kind::StateHashed(_) => return Ok(None),
    };
    changed.map(Some)
}

fn withdrawal_record(key: Key, report: &v1::WithdrawalReport, currency: Currency) -> Record {
    let held = report.denial.is_none().then(|| Money::from_micros(report.amount_micros));
    Record::Withdrawal { trade: key.trade, account: key.account, currency, held }
}

/// What a stored report changes; `None` when it tells of no order.
pub(crate) fn executed_record(report: &v1::ExecutionReport) -> Result<Option<Record>, InvalidField> {
    let Some(v1::execution_report::Kind::Trade(trade)) = &report.kind else { return Ok(None) };
    let status = status_of(trade.status)?;
    let (Some(terms), Some(settlement)) = (&trade.terms, &trade.settlement) else { return Ok(None) };
    if status == TradeStatus::Denied || status == TradeStatus::NoTrade {
        return Ok(None);
    }
    let key = Key::parse(report.key.as_ref())?;
    let side = v1::Side::try_from(terms.side).unwrap_or_default();
    Ok(Some(Record::Executed(Box::new(Executed {
        trade: key.trade,
        account: key.account,
        order: id("terms.order_id", &terms.order_id)?,
        instrument: id("terms.instrument_id", &terms.instrument_id)?,
        agent: agent_and_pool(&trade.agent_id, "")?.0,
        side: Side::try_from(side)?,
        settlement: SettlementTerms::try_from(settlement)?,
        fills: trade.fills.iter().map(Fill::try_from).collect::<Result<_, _>>()?,
        status,
    }))))
}

/// The journal's form of "this order is finished".
pub(crate) fn closed_record(ticket: &Ticket, status: TradeStatus, filled_quantity_micros: i64) -> v1::JournalRecord {
    let order_id = ticket.terms.order_id.clone();
    let closed = v1::OrderClosed { order_id, status: v1::TradeStatus::from(status).into(), filled_quantity_micros };
    v1::JournalRecord {
        meta: Some(v1::Meta {
            event_id: format!("{}-closed", ticket.terms.order_id),
            traceparent: ticket.traceparent.clone(),
            causation_id: ticket.causation_id.clone(),
            ..v1::Meta::default()
        }),
        key: Some(ticket.key.clone()),
        kind: Some(v1::journal_record::Kind::Closed(closed)),
    }
}

fn status_of(number: i32) -> Result<TradeStatus, InvalidField> {
    let unknown = |_| InvalidField::new("status", "ENUM_UNKNOWN", format!("{number} is not a status"));
    v1::TradeStatus::try_from(number).map_err(unknown)?.try_into()
}

/// The timeframe of a signal, if there was one.
pub(crate) fn timeframe(written: &str) -> Result<Option<Timeframe>, InvalidField> {
    if written.is_empty() {
        return Ok(None);
    }
    let unknown = || InvalidField::new("timeframe", "TIMEFRAME_UNKNOWN", format!("{written} is no timeframe"));
    Timeframe::parse(written).map(Some).ok_or_else(unknown)
}

/// The configured agent and the pool, where there are any.
pub(crate) fn agent_and_pool(agent: &str, pool: &str) -> Result<(Option<AgentId>, Option<PoolId>), InvalidField> {
    let agent = (!agent.is_empty()).then(|| id("agent_id", agent)).transpose()?;
    let pool = (!pool.is_empty()).then(|| id("pool", pool)).transpose()?;
    Ok((agent, pool))
}
