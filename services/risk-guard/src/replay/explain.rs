//! One past decision: what it was decided on, what every check of it came to, and how it ended.
//!
//! Found in the journal first, then decided again on the state of then: the journal up to it,
//! the reports and facts that were in the state, the quote and the limits that are journaled.

use crate::{
    VENUE,
    proposals::proposed,
    replica::Replica,
    wire::{Key, read_gate_limits, read_house_losses},
};
use anyhow::Context as _;
use prost::Message as _;
use tragen_bus::Subject;
use tragen_contracts::v1::{self, journal_record::Kind};
use tragen_domain::{
    instrument::Instrument,
    market::Quote,
    risk::{BreakerRecord, Check, Denied, Inspection, Limits, Order, Proposed, Purpose, Record, ScopeState, inspect},
    time::Timestamp,
};

/// Last reports are not what is asked for.
const REPORTS_KEPT: usize = 1;

/// Looks for one decision in a journal.
#[derive(Debug)]
pub struct Finder {
    trade_id: String,
    /// Of the term that is read.
    limits: Option<v1::GateLimits>,
    found: Option<Found>,
}

/// A decision as the journal has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The journal message.
    pub journal_sequence: u64,
    /// The guard that led.
    pub leader_id: String,
    /// When, microseconds since the epoch.
    pub decided_at_micros: i64,
    /// What was decided.
    pub decision: v1::JournalRecord,
    /// How the order ended; `None` while it is open, or if there never was one.
    pub closed: Option<v1::OrderClosed>,
    /// The last message on LEDGER that it was decided on; 0 where nobody wrote it down.
    pub ledger_sequence: u64,
    /// Its place in its message.
    index: usize,
    losses: Option<v1::HouseLosses>,
    limits: Option<v1::GateLimits>,
}

/// Rebuilds the state just before a decision.
#[derive(Debug)]
pub struct Explainer {
    found: Found,
    replica: Replica,
}

/// A decision with everything it was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The decision.
    pub found: Found,
    /// The newest epoch then.
    pub epoch: i64,
    /// Every scope that was not ACTIVE then.
    pub scopes: Vec<ScopeState>,
    /// Orders without an end then.
    pub open_orders: usize,
    /// What was known of market and account then; `None` for what is no order.
    pub inputs: Option<Inputs>,
    /// Every check in the order of the decision; empty for what is no order.
    pub checks: Vec<Check>,
    /// Whether deciding again gives the same; `None` for what is no order. If not, the bus
    /// has lost what it was decided on, or never had it.
    pub agrees: Option<bool>,
}

/// What an order was decided on, money in 1e-6 of its currency and quantities in 1e-6; `None`
/// for what was not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The quote.
    pub quote: Option<Quote>,
    /// Posted cash.
    pub cash: Option<i64>,
    /// Held by open orders and withdrawals.
    pub held: Option<i64>,
    /// Spent by fills that the ledger had not posted.
    pub unposted: Option<i64>,
    /// The signed position in the instrument, unposted fills included.
    pub position: Option<i64>,
    /// Open orders of the account in the instrument.
    pub orders: Option<usize>,
    /// What position and open orders have put into the instrument.
    pub exposure: Option<i64>,
    /// The house's capital in the order's currency, and what it had put in.
    pub house: Option<(i64, i64)>,
    /// What the order holds, or would.
    pub hold: Option<i64>,
}

impl Finder {
    /// Of a trade, or of its order.
    #[must_use]
    pub fn new(id: &str) -> Self {
        let trade_id = id.strip_suffix("-o").unwrap_or(id).to_owned();
        Self { trade_id, limits: None, found: None }
    }

    /// Takes the next message as it stands in the journal.
    ///
    /// # Errors
    /// When it is no message of a journal.
    pub fn take(&mut self, sequence: u64, payload: &[u8]) -> anyhow::Result<()> {
        let batch = v1::JournalBatch::decode(payload).with_context(|| format!("decoding message {sequence}"))?;
        for (index, record) in batch.records.iter().enumerate() {
            let is_own = record.key.as_ref().is_some_and(|key| key.trade_id == self.trade_id);
            match &record.kind {
                Some(Kind::TermBegan(began)) => self.limits.clone_from(&began.limits),
                Some(Kind::Closed(closed)) if is_own => {
                    if let Some(found) = &mut self.found {
                        found.closed = Some(closed.clone());
                    }
                }
                Some(Kind::Approved(_) | Kind::Refused(_) | Kind::Withdrawal(_)) if is_own => {
                    self.found = Some(Found {
                        journal_sequence: sequence,
                        leader_id: batch.leader_id.clone(),
                        decided_at_micros: batch.decided_at_micros,
                        decision: record.clone(),
                        closed: None,
                        ledger_sequence: batch.ledger_sequence,
                        index,
                        losses: batch.house_losses,
                        limits: self.limits.clone(),
                    });
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// What was found.
    #[must_use]
    pub fn found(self) -> Option<Found> {
        self.found
    }
}

impl Explainer {
    /// Begins with an empty state and the limits of the term.
    ///
    /// # Errors
    /// When the journaled limits make no sense.
    pub fn new(found: Found) -> anyhow::Result<Self> {
        let limits = match &found.limits {
            Some(limits) => read_gate_limits(limits).context("reading the limits of the term")?,
            None => Limits::default(),
        };
        Ok(Self { found, replica: Replica::new(limits, REPORTS_KEPT) })
    }

    /// Takes the next message of the journal; what comes after the decision changes nothing.
    ///
    /// # Errors
    /// [`super::StateDiffers`], or that it is no message of a journal.
    pub fn take_journal(&mut self, sequence: u64, payload: &[u8]) -> anyhow::Result<()> {
        if sequence > self.found.journal_sequence {
            return Ok(());
        }
        let mut batch = v1::JournalBatch::decode(payload).with_context(|| format!("decoding message {sequence}"))?;
        if sequence == self.found.journal_sequence {
            batch.records.truncate(self.found.index);
        }
        self.replica.take_journal(sequence, &batch)
    }

    /// Takes the next message of EXECUTIONS; reports that came after the decision change nothing.
    ///
    /// # Errors
    /// When it is no message of EXECUTIONS.
    pub fn take_executions(&mut self, sequence: u64, subject: &str, payload: &[u8]) -> anyhow::Result<()> {
        let mut batch = v1::ExecutionBatch::decode(payload).with_context(|| format!("decoding report {sequence}"))?;
        let decided_at = self.found.decided_at_micros;
        let occurred = |report: &v1::ExecutionReport| report.meta.as_ref().map_or(0, |meta| meta.occurred_at_micros);
        batch.reports.retain(|report| occurred(report) <= decided_at);
        if subject != Subject::Executions(VENUE).to_string() {
            return Ok(());
        }
        self.replica.take_executions(sequence, subject, batch)
    }

    /// Takes the next message of LEDGER; facts that were not known at the decision change nothing.
    ///
    /// # Errors
    /// When it is no message of LEDGER.
    pub fn take_facts(&mut self, sequence: u64, payload: &[u8]) -> anyhow::Result<()> {
        if sequence > self.found.ledger_sequence {
            return Ok(());
        }
        let batch = v1::LedgerFactBatch::decode(payload).with_context(|| format!("decoding fact {sequence}"))?;
        self.replica.take_facts(sequence, &batch)
    }

    /// Takes a definition of an instrument as the market shows it now.
    ///
    /// # Errors
    /// When it does not fit the state.
    pub fn take_instrument(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        let own = v1::Instrument::decode(payload).context("decoding an instrument")?;
        let Ok(instrument) = Instrument::try_from(&own) else { return Ok(()) };
        Ok(self.replica.state.apply(Record::Instrument(Box::new(instrument)))?)
    }

    /// Decides again.
    ///
    /// # Errors
    /// When what was proposed cannot be read.
    pub fn explain(mut self) -> anyhow::Result<Explanation> {
        let quote = quote_of(&self.found.decision).map(Quote::try_from).transpose()?;
        if let Some(quote) = quote.clone() {
            self.replica.state.apply(Record::Quote(quote))?;
        }
        if let Some(losses) = &self.found.losses {
            let measured = BreakerRecord::Measured(read_house_losses(losses));
            self.replica.state.apply(Record::Breaker(Box::new(measured)))?;
        }
        let state = &self.replica.state;
        let asked = proposed_of(&self.found.decision)?;
        let decided_at = Timestamp::from_micros(self.found.decided_at_micros);
        let inspection = asked.as_ref().map(|asked| inspect(state, asked, decided_at));
        let inputs = asked.as_ref().zip(inspection.as_ref());
        let inputs = inputs.map(|(asked, inspection)| self.inputs(quote, asked, inspection.order.as_ref()));
        Ok(Explanation {
            epoch: state.epoch(),
            scopes: state.scopes().cloned().collect(),
            open_orders: state.open_orders(),
            agrees: inspection.as_ref().map(|own| is_as_decided(own, &self.found.decision)),
            checks: inspection.map(|own| own.checks).unwrap_or_default(),
            inputs,
            found: self.found,
        })
    }

    fn inputs(&self, quote: Option<Quote>, asked: &Proposed, order: Option<&Order>) -> Inputs {
        let state = &self.replica.state;
        let instrument = state.instrument(&asked.terms.instrument);
        let currency = instrument.map(|instrument| &instrument.settlement.currency);
        let account = state.account(&asked.account);
        let balance = account.zip(currency).map(|(account, currency)| account.balance(currency));
        let holding = account.and_then(|account| account.holding(&asked.terms.instrument));
        let sheet = currency.and_then(|currency| state.house().sheet(currency));
        let is_house = state.limits().is_house(&asked.account);
        Inputs {
            quote,
            cash: balance.and_then(|own| own.posted).map(|own| own.micros()),
            held: balance.map(|own| own.held.micros()),
            unposted: balance.map(|own| own.unposted.micros()),
            position: holding.map(|own| own.position().quantity.micros()),
            orders: holding.map(|own| own.orders().len()),
            exposure: holding.and_then(|own| own.exposure().ok()).map(|own| own.micros()),
            house: sheet.filter(|_| is_house).map(|own| (own.capital().micros(), own.exposure().used.micros())),
            hold: order.map(|own| own.hold.micros()),
        }
    }
}

fn quote_of(decision: &v1::JournalRecord) -> Option<&v1::Quote> {
    match &decision.kind {
        Some(Kind::Approved(approved)) => approved.quote.as_ref(),
        Some(Kind::Refused(refused)) => refused.quote.as_ref(),
        Some(_) | None => None,
    }
}

/// What was proposed; `None` for what is no order, or where nobody wrote it down.
fn proposed_of(decision: &v1::JournalRecord) -> anyhow::Result<Option<Proposed>> {
    let key = Key::parse(decision.key.as_ref())?;
    let (order, is_flatten) = match &decision.kind {
        Some(Kind::Approved(own)) => (approved_order(own), own.purpose() == v1::OrderPurpose::Flatten),
        Some(Kind::Refused(own)) => match &own.proposed {
            Some(order) => {
                let terms = own.report.as_ref().and_then(|report| report.terms.clone());
                (v1::OrderProposed { terms, ..order.clone() }, false)
            }
            None => return Ok(None),
        },
        Some(_) | None => return Ok(None),
    };
    // Terms that mean nothing were refused before any check.
    let Ok(asked) = proposed(&key, &order) else { return Ok(None) };
    let purpose = match asked.purpose {
        Purpose::Reduce(id) if is_flatten => Purpose::Flatten(id),
        purpose @ (Purpose::Trade | Purpose::Reduce(_) | Purpose::Flatten(_)) => purpose,
    };
    Ok(Some(Proposed { purpose, ..asked }))
}

fn approved_order(own: &v1::OrderApproved) -> v1::OrderProposed {
    v1::OrderProposed {
        terms: own.terms.clone(),
        agent: own.agent.clone(),
        agent_id: own.agent_id.clone(),
        pool: own.pool.clone(),
        rationale: String::new(),
        valid_until_micros: own.proposal_valid_until_micros,
        max_trades_per_day: own.max_trades_per_day,
        timeframe: own.timeframe.clone(),
        confidence_ppm: own.confidence_ppm,
        reduction_id: own.reduction_id.clone(),
        is_first_on_match: own.is_first_on_match,
    }
}

fn is_as_decided(inspection: &Inspection, decision: &v1::JournalRecord) -> bool {
    let decided = match &decision.kind {
        Some(Kind::Refused(refused)) => refused.report.as_ref().and_then(|report| report.denial.as_ref()),
        Some(_) | None => None,
    };
    let same = |own: Denied, decided: &v1::Denial| {
        let name = format!("DENIAL_CODE_{}", own.reason.as_str());
        (decided.code().as_str_name(), decided.limit, decided.observed) == (name.as_str(), own.limit, own.observed)
    };
    match (inspection.denied(), decided) {
        (None, None) => true,
        (Some(own), Some(decided)) => same(own, decided),
        (Some(_), None) | (None, Some(_)) => false,
    }
}
