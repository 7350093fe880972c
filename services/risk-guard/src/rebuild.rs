//! The state as it was: decisions from the journal, executions from their
//! stream, money from the ledger. Nothing is decided again.

use crate::{
    VENUE,
    bookings::Untold,
    config::{Config, now},
    control::stored_state,
    outcome,
    reports::LastReports,
    wire::{Key, Ticket, executed_record, fact_records, journal_record, snapshot_records, told_record},
};
use anyhow::Context as _;
use prost::Message;
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use tracing::{error, info};
use tragen_bus::{Ask, Bus, StartAt, Stream, Subject};
use tragen_contracts::v1;
use tragen_domain::{
    id::OrderId,
    risk::{Record, Scope, ScopeState, State, TradingState},
    time::Timestamp,
};
use tragen_host::Context;

/// Most trades in one question about outcomes.
const OUTCOMES_AT_ONCE: usize = 1_000;

/// What a term starts with.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    pub(crate) state: State,
    pub(crate) tickets: HashMap<OrderId, Ticket>,
    pub(crate) last_reports: LastReports,
    /// Journaled bookings that may not be on EXECUTIONS, by their id: oldest first.
    pub(crate) untold: BTreeMap<String, Untold>,
    /// Those that are there after all, to be journaled as told.
    pub(crate) told: Vec<v1::JournalRecord>,
    /// The newest journal message.
    pub(crate) journal_last: u64,
    /// The first ledger fact that is not in the state.
    pub(crate) ledger_from: u64,
    /// Set when the journal is empty: the state to begin with.
    pub(crate) first_state: Option<ScopeState>,
}

/// Reads everything; fails when the bus or the ledger does not answer.
pub(crate) async fn rebuild(context: &Context, bus: &Bus, config: &Config) -> anyhow::Result<Rebuilt> {
    let mut rebuilt = Rebuilt {
        state: State::new(config.limits.limits()),
        tickets: HashMap::new(),
        last_reports: LastReports::new(config.stored_reports_max),
        untold: BTreeMap::new(),
        told: Vec::new(),
        journal_last: 0,
        ledger_from: 1,
        first_state: None,
    };
    let is_journaled = rebuilt.read_journal(context, bus).await?;
    rebuilt.read_executions(context, bus).await?;
    rebuilt.read_facts(context, bus).await?;
    rebuilt.load_accounts(bus, config).await?;
    rebuilt.settle_unposted(bus, config).await?;
    if !is_journaled {
        rebuilt.first_state = Some(rebuilt.begin(bus).await?);
    }
    let open = rebuilt.state.open_orders();
    info!(open, "rebuilt from journal message {}: {open} orders without an end", rebuilt.journal_last);
    Ok(rebuilt)
}

impl Rebuilt {
    /// Whether there is a journal at all.
    async fn read_journal(&mut self, context: &Context, bus: &Bus) -> anyhow::Result<bool> {
        let Some(last) = bus.newest(Stream::Journal).await? else { return Ok(false) };
        self.journal_last = last;
        read(context, bus, Stream::Journal, last, |_, batch: v1::JournalBatch| {
            let decided_at = Timestamp::from_micros(batch.decided_at_micros);
            batch.records.iter().try_for_each(|record| self.take_journaled(record, decided_at))
        })
        .await?;
        Ok(true)
    }

    fn take_journaled(&mut self, record: &v1::JournalRecord, decided_at: Timestamp) -> anyhow::Result<()> {
        use v1::journal_record::Kind;
        // The guard wrote it itself: what it cannot read it must not guess.
        let parsed = journal_record(record, decided_at).context("reading the journal")?;
        let (meta, key) = (record.meta.as_ref(), record.key.as_ref());
        match (&record.kind, key) {
            (Some(Kind::Approved(approved)), Some(key)) => {
                let ticket = Ticket::new(meta, key, approved).context("reading a journaled approval")?;
                self.tickets.insert(OrderId::new(&ticket.terms.order_id)?, ticket);
            }
            (Some(Kind::Refused(refused)), Some(key)) => {
                let report = refused.report.clone().unwrap_or_default();
                let trade = Key::parse(Some(key))?.trade;
                self.last_reports.keep(trade, outcome::refused(meta, key, report));
            }
            (Some(Kind::Withdrawal(decided)), Some(key)) => {
                let report = decided.report.clone().unwrap_or_default();
                let trade = Key::parse(Some(key))?.trade;
                self.last_reports.keep(trade, outcome::withdrawal(meta, key, report));
            }
            (Some(Kind::Closed(closed)), _) => {
                self.tickets.remove(closed.order_id.as_str());
                self.untold.remove(&closed.order_id);
            }
            (Some(Kind::Booking(decided)), Some(sent)) => {
                let report = outcome::booking(meta, key, decided.booking.clone().unwrap_or_default());
                let Record::Booked { settled } = &parsed else {
                    anyhow::bail!("a journaled booking changes something else")
                };
                self.untold.insert(sent.trade_id.clone(), Untold { settled: settled.clone(), report });
            }
            (Some(_), _) | (None, _) => {}
        }
        Ok(self.state.apply(parsed)?)
    }

    async fn read_executions(&mut self, context: &Context, bus: &Bus) -> anyhow::Result<()> {
        let Some(last) = bus.newest(Stream::Executions).await? else { return Ok(()) };
        let own = Subject::Executions(VENUE).to_string();
        read(context, bus, Stream::Executions, last, |subject, batch: v1::ExecutionBatch| {
            // What the shards of the ledger tell each other is no report of the guard.
            if subject != own {
                return Ok(());
            }
            for report in batch.reports {
                if let (Some(v1::execution_report::Kind::Booking(_)), Some(key)) = (&report.kind, &report.key) {
                    let told = self.untold.remove(&key.trade_id);
                    self.told.extend(told.map(|told| told_record(&told.report)));
                }
                let Some(record) = executed_record(&report).context("reading the executions")? else { continue };
                let Record::Executed(executed) = &record else { continue };
                if executed.status.is_final() {
                    self.tickets.remove(&executed.order);
                    self.last_reports.keep(executed.trade.clone(), report);
                } else if let Some(ticket) = self.tickets.get_mut(&executed.order) {
                    ticket.is_working_reported = true;
                }
                self.state.apply(record)?;
            }
            Ok(())
        })
        .await
    }

    async fn read_facts(&mut self, context: &Context, bus: &Bus) -> anyhow::Result<()> {
        let Some(last) = bus.newest(Stream::Ledger).await? else { return Ok(()) };
        self.ledger_from = last + 1;
        read(context, bus, Stream::Ledger, last, |_, batch: v1::LedgerFactBatch| {
            batch.facts.iter().try_for_each(|fact| self.take_fact(fact))
        })
        .await
    }

    fn take_fact(&mut self, fact: &v1::LedgerFact) -> anyhow::Result<()> {
        match fact_records(fact) {
            Ok(records) => records.into_iter().try_for_each(|record| Ok(self.state.apply(record)?)),
            Err(malformed) => {
                error!("fact {} of the ledger: {malformed}", fact.sequence);
                Ok(())
            }
        }
    }

    async fn load_accounts(&mut self, bus: &Bus, config: &Config) -> anyhow::Result<()> {
        let mut after = String::new();
        loop {
            let question = v1::ledger_question::Question::AccountsPage(v1::AccountsPageQuestion {
                after_account_id: after,
                page_size: config.accounts_page.into(),
            });
            let v1::ledger_answer::Answer::AccountsPage(page) = ask(bus, config, question).await? else {
                anyhow::bail!("the ledger gave another answer than a page of accounts");
            };
            for snapshot in &page.accounts {
                if let Some(record) = snapshot_records(snapshot).context("reading an account")? {
                    self.state.apply(record)?;
                }
            }
            if page.next_account_id.is_empty() {
                return Ok(());
            }
            after = page.next_account_id;
        }
    }

    /// What was committed but not told before the pages were read is asked for
    /// by trade, so that nothing counts twice.
    async fn settle_unposted(&mut self, bus: &Bus, config: &Config) -> anyhow::Result<()> {
        let trades = self.state.unposted();
        for chunk in trades.chunks(OUTCOMES_AT_ONCE) {
            let trade_ids = chunk.iter().map(ToString::to_string).collect();
            let asked = v1::OutcomesQuestion { trade_ids, accept_partial: false };
            let question = v1::ledger_question::Question::Outcomes(asked);
            let v1::ledger_answer::Answer::Outcomes(outcomes) = ask(bus, config, question).await? else {
                anyhow::bail!("the ledger gave another answer than outcomes");
            };
            outcomes.facts.iter().try_for_each(|fact| self.take_fact(fact))?;
        }
        Ok(())
    }

    /// Without a journal: a new system is ACTIVE, one that has lost it is HALTED.
    async fn begin(&self, bus: &Bus) -> anyhow::Result<ScopeState> {
        let stored = stored_state(bus).await?;
        let has_positions = self
            .state
            .accounts()
            .any(|(_, account)| account.holdings().any(|(_, holding)| !holding.position().quantity.is_zero()));
        let is_lost = stored.is_some() || has_positions;
        let (state, reason) = if is_lost {
            (TradingState::Halted, "the journal is lost: there was trading before it")
        } else {
            (TradingState::Active, "first start")
        };
        Ok(ScopeState {
            scope: Scope::Global,
            state,
            // Workers take only newer epochs.
            epoch: stored.map_or(0, |stored| stored.epoch) + 1,
            changed_by: "risk-guard".to_owned(),
            reason: reason.to_owned(),
            changed_at: now(),
        })
    }
}

/// Reads a stream from its beginning up to the message `last`.
async fn read<M: Message + Default>(
    context: &Context,
    bus: &Bus,
    stream: Stream,
    last: u64,
    mut take: impl FnMut(&str, M) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut messages = bus.follow(context, stream, "", StartAt::Beginning).await?;
    loop {
        let message = messages.next().await.context("the process stops")?;
        let decoded = M::decode(message.payload)
            .with_context(|| format!("decoding message {} of {}", message.sequence, stream.as_str()))?;
        take(&message.subject, decoded)?;
        if message.sequence >= last {
            return Ok(());
        }
    }
}

async fn ask(
    bus: &Bus,
    config: &Config,
    question: v1::ledger_question::Question,
) -> anyhow::Result<v1::ledger_answer::Answer> {
    let question = v1::LedgerQuestion { question: Some(question), ..v1::LedgerQuestion::default() };
    let patience = Duration::from_millis(config.ledger_answer_ms);
    let answer: v1::LedgerAnswer = bus.ask(Ask::Ledger, &question, patience).await?;
    let answer = answer.answer.context("the ledger gave an empty answer")?;
    if let v1::ledger_answer::Answer::Error(refused) = &answer {
        anyhow::bail!("the ledger refused: {}", refused.message);
    }
    Ok(answer)
}
