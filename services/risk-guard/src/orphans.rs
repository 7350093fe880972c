//! Orders that the venue may have and the journal knows nothing of, because it was lost with the bus: those that the
//! books show as working, and those that somebody asks for once more. Each is taken out of the venue by its id, and
//! told with its end: nothing works for ever, and whoever waits for a cancel is answered.

use crate::{
    config::Config,
    outcome,
    rebuild::ask,
    reports::Kept,
    wire::{Key, Ticket},
};
use anyhow::Context as _;
use tokio::sync::oneshot;
use tragen_bus::Bus;
use tragen_contracts::{
    convert::{InvalidField, id, required},
    v1,
};
use tragen_domain::{
    id::{ExecutionId, InstrumentId, OrderId, TradeId},
    money::{Overflow, Quantity},
    risk::{Seen, Stage, State, read_report},
};
use tragen_venue::VenueReport;

/// Trades asked for at once.
const PAGE: i32 = 1_000;

/// One such order.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) order: OrderId,
    pub(crate) trade: TradeId,
    pub(crate) instrument: InstrumentId,
    /// What its report repeats; its settlement is known when the market is.
    ticket: Ticket,
    /// Where it stands for all we know.
    stage: Stage,
    /// What the books have of it.
    executions: Vec<ExecutionId>,
    filled: Quantity,
    /// Who waits until its end is stored.
    pub(crate) waiting: Vec<oneshot::Sender<()>>,
}

/// An orphan's end.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) report: v1::ExecutionReport,
    pub(crate) kept: Kept,
}

/// Every trade that works in the books and that `state` knows nothing of.
///
/// # Errors
/// When the ledger does not answer, or with something that makes no sense.
pub(crate) async fn of_the_books(bus: &Bus, config: &Config, state: &State) -> anyhow::Result<Vec<Orphan>> {
    let (mut orphans, mut after) = (Vec::new(), String::new());
    loop {
        let page = working_page(bus, config, after, PAGE).await?;
        for fact in &page.facts {
            let orphan = Orphan::of_fact(fact).context("reading a trade that works")?;
            orphans.extend(orphan.filter(|orphan| state.known(&orphan.trade).is_none()));
        }
        if page.next_trade_id.is_empty() {
            return Ok(orphans);
        }
        after = page.next_trade_id;
    }
}

/// Whether the books have any trade, working or over.
///
/// # Errors
/// When the ledger does not answer.
pub(crate) async fn has_trades(bus: &Bus, config: &Config) -> anyhow::Result<bool> {
    Ok(working_page(bus, config, String::new(), 1).await?.has_trades)
}

async fn working_page(
    bus: &Bus,
    config: &Config,
    after_trade_id: String,
    page_size: i32,
) -> anyhow::Result<v1::WorkingTrades> {
    let asked = v1::WorkingTradesQuestion { after_trade_id, page_size };
    let question = v1::ledger_question::Question::WorkingTrades(asked);
    let v1::ledger_answer::Answer::WorkingTrades(page) = ask(bus, config, question).await? else {
        anyhow::bail!("the ledger gave another answer than a page of trades");
    };
    Ok(page)
}

impl Orphan {
    /// Of a trade as the books have it; `None` for anything else.
    fn of_fact(fact: &v1::LedgerFact) -> Result<Option<Self>, InvalidField> {
        let Some(v1::ledger_fact::Kind::Trade(posted)) = &fact.kind else { return Ok(None) };
        let trade = required("trade", posted.trade.as_ref())?;
        let key = v1::TradeKey {
            trade_id: trade.trade_id.clone(),
            request_id: trade.request_id.clone(),
            account_id: trade.account_id.clone(),
            payload_hash: posted.payload_hash.clone(),
            // The books have its tier and its time: they are not told anew.
            ..v1::TradeKey::default()
        };
        let order_type = if trade.limit_price_micros > 0 { v1::OrderType::Limit } else { v1::OrderType::Market };
        let terms = v1::OrderTerms {
            order_id: trade.order_id.clone(),
            instrument_id: trade.instrument_id.clone(),
            side: trade.side,
            order_type: order_type.into(),
            quantity_micros: trade.quantity_micros,
            limit_price_micros: trade.limit_price_micros,
            // What works rests; until when, only the venue remembers.
            time_in_force: v1::TimeInForce::Gtc.into(),
            ..v1::OrderTerms::default()
        };
        let ticket = Ticket {
            key,
            terms,
            settlement: v1::SettlementTerms::default(),
            agent: trade.agent.clone(),
            agent_id: posted.agent_id.clone(),
            rationale: trade.rationale.clone(),
            traceparent: fact.meta.as_ref().map(|meta| meta.traceparent.clone()).unwrap_or_default(),
            causation_id: fact.meta.as_ref().map(|meta| meta.event_id.clone()).unwrap_or_default(),
            is_working_reported: true,
        };
        let executions = posted.execution_ids.iter().map(|execution| id("execution_ids", execution));
        let executions = executions.collect::<Result<_, _>>()?;
        Self::new(ticket, (executions, Quantity::from_micros(trade.filled_quantity_micros))).map(Some)
    }

    /// Of an order that is asked for once more; the books know nothing of it.
    pub(crate) fn of_proposal(key: &Key, meta: &v1::Meta, order: &v1::OrderProposed) -> Result<Self, InvalidField> {
        let ticket = Ticket {
            key: key.sent.clone(),
            terms: required("terms", order.terms.as_ref())?.clone(),
            settlement: v1::SettlementTerms::default(),
            agent: order.agent.clone(),
            agent_id: order.agent_id.clone(),
            rationale: order.rationale.clone(),
            traceparent: meta.traceparent.clone(),
            causation_id: meta.event_id.clone(),
            is_working_reported: false,
        };
        Self::new(ticket, (Vec::new(), Quantity::ZERO))
    }

    fn new(ticket: Ticket, (executions, filled): (Vec<ExecutionId>, Quantity)) -> Result<Self, InvalidField> {
        Ok(Self {
            order: id("order_id", &ticket.terms.order_id)?,
            trade: id("trade_id", &ticket.key.trade_id)?,
            instrument: id("instrument_id", &ticket.terms.instrument_id)?,
            stage: if ticket.is_working_reported { Stage::Working } else { Stage::Sent },
            ticket,
            executions,
            filled,
            waiting: Vec::new(),
        })
    }

    /// What a report of the venue comes to.
    ///
    /// # Errors
    /// [`Overflow`].
    pub(crate) fn read(&self, report: &VenueReport) -> Result<Seen, Overflow> {
        let ordered = Quantity::from_micros(self.ticket.terms.quantity_micros);
        let told = (report.status, report.fills.as_slice());
        read_report(self.stage, (ordered, self.filled), &self.executions, told)
    }

    /// Its end: with the fills that the books do not have, or with none as long as nobody knows how they settle.
    ///
    /// # Errors
    /// [`Overflow`].
    pub(crate) fn end(
        &self,
        (report, seen): (&VenueReport, &Seen),
        settlement: Option<v1::SettlementTerms>,
    ) -> Result<End, Overflow> {
        let is_known = settlement.is_some();
        let ticket = Ticket { settlement: settlement.unwrap_or_default(), ..self.ticket.clone() };
        let mut told =
            outcome::of_order(&ticket, seen.stage.status(), (&seen.fills, report.fills.len()), &report.rejection);
        if let (false, Some(v1::execution_report::Kind::Trade(own))) = (is_known, &mut told.kind) {
            own.settlement = None;
        }
        let (mut executions, mut filled) = (self.executions.clone(), self.filled);
        for fill in &seen.fills {
            executions.push(fill.id.clone());
            filled = filled.plus(fill.quantity)?;
        }
        let kept = Kept { report: told.clone(), executions, filled };
        Ok(End { report: told, kept })
    }
}
