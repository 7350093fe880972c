//! A guard's memory from the bus and the ledger: the newest sound snapshot, the rest of the
//! journal, the executions, the facts; and a standby's, kept up with them.

use crate::{
    changed::ChangedFile,
    config::{Config, now},
    control::stored_state,
    hash::StateHash,
    orphans,
    replica::{Place, Replica},
    snapshot::{self, Loaded},
    told::{Told, ToldFile},
    wire::snapshot_records,
};
use anyhow::Context as _;
use prost::Message;
use std::time::Duration;
use tracing::{info, warn};
use tragen_bus::{Ask, Bus, Follower, StartAt, Stream};
use tragen_contracts::v1;
use tragen_domain::risk::{
    LimitChange, ScopeState, Traces, check_listed, check_touched, first_state, kept_limits, kept_states,
};
use tragen_host::Context;

/// Most trades in one question about outcomes.
const OUTCOMES_AT_ONCE: usize = 1_000;

/// A memory and the streams it is kept up with.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    pub(crate) replica: Replica,
    /// When the journal was made, microseconds since the epoch.
    pub(crate) journal_created_micros: i64,
    journal: Follower,
    executions: Follower,
    ledger: Follower,
}

/// Reads everything; fails when the bus or the ledger does not answer.
pub(crate) async fn rebuild(context: &Context, bus: &Bus, config: &Config) -> anyhow::Result<Rebuilt> {
    let journal_created_micros = bus.stream_state(Stream::Journal).await?.created_micros;
    let (replica, journal) = begin(context, bus, config, journal_created_micros).await?;
    let after = |sequence: u64| if sequence == 0 { StartAt::Beginning } else { StartAt::Sequence(sequence + 1) };
    let executions = bus.follow(context, Stream::Executions, "", after(replica.place.executions)).await?;
    let ledger = bus.follow(context, Stream::Ledger, "", after(replica.place.ledger)).await?;
    let mut rebuilt = Rebuilt { replica, journal_created_micros, journal, executions, ledger };
    rebuilt.catch_up(bus).await?;
    rebuilt.load_accounts(bus, config).await?;
    rebuilt.settle_unposted(bus, config).await?;
    let state = &mut rebuilt.replica.state;
    check_touched(state, usize::MAX).and_then(|()| check_listed(state)).context("checking the rebuilt state")?;
    let Replica { state, place, hashes, .. } = &rebuilt.replica;
    let open = state.open_orders();
    info!(
        open,
        hashes,
        "rebuilt up to journal message {}: {open} orders without an end, {hashes} hashes are right",
        place.journal
    );
    Ok(rebuilt)
}

/// The newest snapshot that the journal confirms, or nothing; and the journal after it.
async fn begin(
    context: &Context,
    bus: &Bus,
    config: &Config,
    journal_created_micros: i64,
) -> anyhow::Result<(Replica, Follower)> {
    let folder = config.snapshot_folder.clone();
    let loaded = tokio::task::spawn_blocking(move || snapshot::load_all(&folder)).await.context("reading snapshots")?;
    for loaded in loaded {
        let (path, sequence) = (loaded.path.display().to_string(), loaded.header.journal_sequence);
        match confirm(context, bus, config, journal_created_micros, loaded).await {
            Ok(begun) => {
                info!("starting from the snapshot at journal message {sequence} in {path}");
                return Ok(begun);
            }
            Err(refused) => warn!("not starting from {path}: {refused:#}"),
        }
    }
    let replica = Replica::new(config.limits.limits()?, config.stored_reports_max);
    Ok((replica, bus.follow(context, Stream::Journal, "", StartAt::Beginning).await?))
}

/// A snapshot is never believed alone: it is of this journal, its state has the hash it says,
/// and the journal says the same at that place.
async fn confirm(
    context: &Context,
    bus: &Bus,
    config: &Config,
    journal_created_micros: i64,
    loaded: Loaded,
) -> anyhow::Result<(Replica, Follower)> {
    let header = loaded.header.clone();
    anyhow::ensure!(header.journal_created_micros == journal_created_micros, "it is of another journal");
    let sequence = header.journal_sequence;
    let newest = bus.newest(Stream::Journal).await?.unwrap_or_default();
    anyhow::ensure!(sequence <= newest, "the journal ends at {newest}, before it");
    let hashed = header.hash.clone().context("it has no hash")?;
    let replica = loaded.restore(config.limits.limits()?, config.stored_reports_max)?;
    let computed = StateHash::of(&replica.state);
    anyhow::ensure!(computed.agrees(&hashed) == Some(true), "its state has another hash than it says");
    let mut journal = bus.follow(context, Stream::Journal, "", StartAt::Sequence(sequence)).await?;
    let message = journal.next().await.context("the process stops")?;
    anyhow::ensure!(message.sequence == sequence, "the journal has no message {sequence} any more");
    let batch = v1::JournalBatch::decode(message.payload)?;
    let last = batch.records.into_iter().next_back().and_then(|record| record.kind);
    let is_same = last == Some(v1::journal_record::Kind::StateHashed(hashed));
    anyhow::ensure!(is_same, "the journal has another hash at {sequence}");
    Ok((replica, journal))
}

impl Rebuilt {
    /// Takes what is new. Where each stream ends is looked up against the direction in which
    /// things are caused: so no fact is taken before the report it books, and no report
    /// before the decision it ends.
    ///
    /// # Errors
    /// When the bus does not answer, a stream was made anew, or what it says makes no sense.
    pub(crate) async fn catch_up(&mut self, bus: &Bus) -> anyhow::Result<()> {
        let facts = bus.newest(Stream::Ledger).await?.unwrap_or_default();
        let reports = bus.newest(Stream::Executions).await?.unwrap_or_default();
        let decisions = bus.newest(Stream::Journal).await?.unwrap_or_default();
        let Self { replica, journal, executions, ledger, .. } = self;
        while replica.place.journal < decisions {
            let (sequence, _, batch) = next(journal, Stream::Journal, replica.place.journal).await?;
            replica.take_journal(sequence, &batch)?;
        }
        while replica.place.executions < reports {
            let (sequence, subject, batch) = next(executions, Stream::Executions, replica.place.executions).await?;
            replica.take_executions(sequence, &subject, batch)?;
        }
        while replica.place.ledger < facts {
            let (sequence, _, batch) =
                next::<v1::LedgerFactBatch>(ledger, Stream::Ledger, replica.place.ledger).await?;
            replica.take_facts(sequence, &batch)?;
        }
        Ok(())
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
                    self.replica.state.apply(record)?;
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
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub(crate) async fn settle_unposted(&mut self, bus: &Bus, config: &Config) -> anyhow::Result<()> {
        let trades = self.replica.state.unposted();
        for chunk in trades.chunks(OUTCOMES_AT_ONCE) {
            let trade_ids = chunk.iter().map(ToString::to_string).collect();
            let asked = v1::OutcomesQuestion { trade_ids, accept_partial: false };
            let question = v1::ledger_question::Question::Outcomes(asked);
            let v1::ledger_answer::Answer::Outcomes(outcomes) = ask(bus, config, question).await? else {
                anyhow::bail!("the ledger gave another answer than outcomes");
            };
            outcomes.facts.iter().try_for_each(|fact| self.replica.take_fact(fact))?;
        }
        Ok(())
    }
}

/// What a journal without a state begins with.
#[derive(Debug)]
pub(crate) struct Begun {
    /// Limits that a lost one had changed.
    pub(crate) limits: Vec<LimitChange>,
    /// The first state.
    pub(crate) first: ScopeState,
    /// What a lost one had tightened.
    pub(crate) kept: Vec<ScopeState>,
}

/// What a journal begins with that has no state; `None` if it has one. `seen_epoch` is the highest one that this
/// process knows of.
///
/// # Errors
/// When the bus or the ledger does not answer.
pub(crate) async fn begun(
    replica: &Replica,
    bus: &Bus,
    config: &Config,
    seen_epoch: i64,
) -> anyhow::Result<Option<Begun>> {
    if replica.state.epoch() > 0 {
        return Ok(None);
    }
    let stored = stored_state(bus).await?.map(|stored| Told::read(&stored)).unwrap_or_default();
    let told = stored.newer(ToldFile::new(config.snapshot_folder.clone()).read().await?);
    let folder = config.snapshot_folder.clone();
    // Of a journal that is no more: this one has nothing that a snapshot could be of.
    let snapshots =
        tokio::task::spawn_blocking(move || snapshot::load_all(&folder)).await.context("reading snapshots")?;
    let snapshots = snapshots.iter().map(|loaded| loaded.header.epoch).max().unwrap_or(0);
    let has_positions = replica
        .state
        .accounts()
        .any(|(_, account)| account.holdings().any(|(_, holding)| !holding.position().quantity.is_zero()));
    let has_traded = has_positions || orphans::has_trades(bus, config).await?;
    let traces = Traces { epoch: told.epoch.max(snapshots).max(seen_epoch), has_traded };
    let first = first_state(traces, now());
    let kept = kept_states(&told.scopes, &first);
    let limits = kept_limits(ChangedFile::new(config.snapshot_folder.clone()).read().await?, &first);
    Ok(Some(Begun { limits, first, kept }))
}

/// The next message after `seen`, with its sequence and subject.
async fn next<M: Message + Default>(
    messages: &mut Follower,
    stream: Stream,
    seen: u64,
) -> anyhow::Result<(u64, String, M)> {
    let message = messages.next().await.context("the process stops")?;
    let (name, sequence) = (stream.as_str(), message.sequence);
    anyhow::ensure!(sequence > seen, "{name} was made anew: message {sequence} comes after {seen}");
    let decoded = M::decode(message.payload).with_context(|| format!("decoding message {sequence} of {name}"))?;
    Ok((sequence, message.subject, decoded))
}

impl Place {
    /// The first ledger fact that is not in the state.
    pub(crate) const fn ledger_from(self) -> u64 {
        self.ledger + 1
    }
}

/// Asks the ledger; a refusal is an error.
///
/// # Errors
/// When it does not answer, or refuses.
pub(crate) async fn ask(
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
