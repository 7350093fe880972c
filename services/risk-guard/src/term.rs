//! Terms of leading, one after the other: stand by with a memory that is kept up, take the
//! lease, decide, step down.

use crate::{
    VENUE, alert,
    breakers::BreakerWork,
    changed::{ChangedFile, changed_limits},
    command::{self, Leases},
    config::Config,
    control,
    gate::{Checkpoints, Ended, Gate, Inputs, Work},
    inquiry,
    journal::Journal,
    lease::Lease,
    memory, metrics,
    rebuild::{Begun, Rebuilt, begun, rebuild},
    reductions::Slices,
    replica::{Replica, StateDiffers},
    reports::Reports,
    told::ToldFile,
    workers::Workers,
};
use ::metrics::gauge;
use anyhow::Context as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use tragen_bus::{Bus, Consumer, Severity, StartAt, Stream};
use tragen_host::{Context, Lifecycle, retry::Backoff};
use tragen_venue::PaperVenue;

/// How long the tasks of a term may take to end, seconds.
const TERM_DRAIN_SECS: u64 = 5;

/// How long the bus and the ledger may take to come up before it is worth a warning.
const LEDGER_EXPECTED_WITHIN: Duration = Duration::from_secs(5);

/// Leads whenever nobody else does, until the process stops.
///
/// # Errors
/// [`StateDiffers`]: nothing may be decided, so the process ends.
pub(crate) async fn serve(context: Context, bus: Bus, config: Arc<Config>) -> anyhow::Result<()> {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    // The highest one of this process: workers know it, even if the bus has lost everything.
    let seen_epoch = AtomicI64::new(0);
    while !context.is_stopping() {
        // What is read and kept up while standing by ends with the term, not with the process.
        let term = Lifecycle::new(TERM_DRAIN_SECS);
        let term_context = term.context(context.service, context.spans.clone());
        let stopped = context.stopped();
        let stood_by = tokio::select! {
            stood_by = stand_by(&context, &term_context, &bus, &config) => stood_by,
            () = stopped => Ok(None),
        };
        let ended = match stood_by {
            Ok(Some((rebuilt, lease))) => {
                gauge!(metrics::LEADER).set(1.0);
                let ended = lead(&context, &term_context, &bus, &config, (rebuilt, &lease, &seen_epoch)).await;
                gauge!(metrics::LEADER).set(0.0);
                Some((ended, lease))
            }
            Ok(None) => None,
            Err(differs) => {
                term.stop_token().cancel();
                return Err(refuse(&context, &bus, differs).await);
            }
        };
        context.set_not_ready("standing by");
        term.stop_token().cancel();
        if let Err(failure) = term.run().await {
            warn!("ending a term: {failure:#}");
        }
        let Some((ended, lease)) = ended else { break };
        lease.release(&bus).await;
        match ended {
            Ok(Ended::Stopped) => break,
            Ok(ended) => warn!("{} leads no more: {}", context.instance, anyhow::Error::new(ended)),
            Err(failure) => warn!("{} could not lead: {failure:#}", context.instance),
        }
        backoff.wait().await;
    }
    Ok(())
}

/// Nothing is decided on a state that is not the one the journal speaks of. Without a leader
/// there are no leases, so every worker halts by itself.
async fn refuse(context: &Context, bus: &Bus, differs: StateDiffers) -> anyhow::Error {
    let message = format!("HALTED: {differs}");
    error!("{message}");
    context.set_not_ready(message.clone());
    alert::raise(bus, (Severity::Critical, alert::code::STATE_DIFFERS), "journal", message).await;
    anyhow::Error::new(differs).context("replaying the guard's journal")
}

/// Keeps a memory up with the bus until nobody else leads; then it is complete.
async fn stand_by(
    context: &Context,
    term: &Context,
    bus: &Bus,
    config: &Config,
) -> Result<Option<(Rebuilt, Lease)>, StateDiffers> {
    context.set_not_ready("rebuilding the state");
    let mut told = ToldFile::new(config.snapshot_folder.clone());
    let mut changed = ChangedFile::new(config.snapshot_folder.clone());
    let mut poll = tokio::time::interval(Duration::from_millis(config.lease_poll_ms));
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let mut rebuilt = rebuild_patiently(context, term, bus, config).await?;
        context.set_not_ready("standing by");
        info!("{} stands by", context.instance);
        loop {
            poll.tick().await;
            let lease = Lease::take(context, bus, config).await;
            let caught_up = match &lease {
                None => rebuilt.catch_up(bus).await,
                Some(_) => complete(&mut rebuilt, bus, config).await,
            };
            match (caught_up, lease) {
                (Ok(()), Some(lease)) => return Ok(Some((rebuilt, lease))),
                (Ok(()), None) => {
                    told.keep_state(&rebuilt.replica.state).await;
                    changed.keep_state(&rebuilt.replica.state).await;
                }
                (Err(failure), lease) => {
                    if let Some(lease) = lease {
                        lease.release(bus).await;
                    }
                    if let Some(differs) = failure.downcast_ref::<StateDiffers>() {
                        return Err(*differs);
                    }
                    warn!("standing by: {failure:#}; reading everything again");
                    break;
                }
            }
        }
    }
}

/// What the one who led before has left is taken in, and nothing counts twice.
async fn complete(rebuilt: &mut Rebuilt, bus: &Bus, config: &Config) -> anyhow::Result<()> {
    rebuilt.catch_up(bus).await?;
    rebuilt.settle_unposted(bus, config).await
}

async fn lead(
    context: &Context,
    term: &Context,
    bus: &Bus,
    config: &Arc<Config>,
    (rebuilt, lease, seen_epoch): (Rebuilt, &Lease, &AtomicI64),
) -> anyhow::Result<Ended> {
    context.set_not_ready("beginning to lead");
    let venue = PaperVenue::open(config.paper()).context("opening the paper venue")?;
    let first = begun(&rebuilt.replica, bus, config, seen_epoch.load(Ordering::Relaxed)).await?;
    let leader_id = context.instance.to_string();
    let unclosed = rebuilt.replica.unclosed();
    let journal_end = (rebuilt.replica.place.journal, rebuilt.journal_created_micros);
    let Replica { mut state, tickets, last_reports, untold, place, .. } = rebuilt.replica;
    state.resume_streaks();
    state.make_room();
    let (control, states) = watch::channel(control::control_state(&state, &leader_id));
    let (changes, _) = watch::channel(changed_limits(&state));
    let (workers, slices) = (Workers::new(), Slices::default());
    let mut gate = Gate {
        context: term.clone(),
        bus: bus.clone(),
        config: Arc::clone(config),
        venue,
        state,
        journal: Journal::new(bus, &leader_id, config.journal_patience(), journal_end),
        reports: Reports::start(term, bus, config, place.executions),
        tickets,
        last_reports,
        control,
        changed_limits: changes,
        workers: workers.clone(),
        slices: slices.clone(),
        work: Work::of_the_term_before(untold, unclosed),
        lease: lease.clone(),
        ledger_sequence: place.ledger,
        checkpoints: Checkpoints::default(),
        breakers: BreakerWork::within(config.memory_limit_bytes.unwrap_or_else(memory::limit_bytes)),
    };
    if let Some(ended) = begin(&mut gate, first).await? {
        return Ok(ended);
    }
    control::tell(bus, &control::control_state(&gate.state, &leader_id)).await;
    let commands = command::listen(term, bus, config).await?;
    let inquiries = inquiry::listen(term, bus, config).await?;
    workers.listen(term, bus).await.context("listening to the workers")?;
    let leases = Leases { lease: lease.clone(), state: states, workers, slices, valid_for_ms: config.worker_lease_ms };
    command::answer_leases(term, bus, leases).await?;
    let stopped = stop_with(context, term);
    let mut market = bus.follow(term, Stream::Market, "", StartAt::NewestOfEach).await?;
    if bus.newest(Stream::Market).await?.is_some() {
        let read = tokio::time::timeout(Duration::from_millis(config.market_read_ms), gate.read_market(&mut market));
        match read.await {
            Ok(Ok(())) => {}
            Ok(Err(ended)) => return Ok(ended),
            // What is not known yet is denied with that reason.
            Err(_) => warn!("the market could not be read within {} ms", config.market_read_ms),
        }
    }
    let inputs = Inputs {
        commands,
        inquiries,
        proposals: bus.pull(term, Consumer::Guard),
        ledger: bus.follow(term, Stream::Ledger, "", StartAt::Sequence(place.ledger_from())).await?,
        market,
        lost: lease.lost.clone(),
        stopped,
    };
    let ready = || {
        info!("{} decides for venue {VENUE}", context.instance);
        context.set_ready();
    };
    let states = gate.control.subscribe();
    let ended = gate.run(inputs, ready).await;
    seen_epoch.fetch_max(states.borrow().epoch, Ordering::Relaxed);
    Ok(ended)
}

/// The first state of a journal that has none, what a lost one knew with the limits that were changed, and the first
/// message of the term. Why the term is over already, if it is.
///
/// # Errors
/// When the ledger does not answer.
async fn begin(gate: &mut Gate, begun: Option<Begun>) -> anyhow::Result<Option<Ended>> {
    if let Some(Begun { limits, first, kept }) = begun {
        // Limits first: whoever is cut off before the first state begins again with all of it.
        for change in limits {
            if let Err(ended) = gate.change_limit(change).await {
                return Ok(Some(ended));
            }
        }
        for state in std::iter::once(first).chain(kept) {
            info!("{} begins {:?}: {}", state.scope, state.state, state.reason);
            if let Err(ended) = gate.change_state(state).await {
                return Ok(Some(ended));
            }
        }
    }
    // Before anybody can be told of anything tighter.
    let mut told = ToldFile::new(gate.config.snapshot_folder.clone());
    let states = gate.control.subscribe();
    let now_told = states.borrow().clone();
    told.keep(&now_told).await;
    told.follow(&gate.context, states);
    let mut changed = ChangedFile::new(gate.config.snapshot_folder.clone());
    changed.keep(changed_limits(&gate.state)).await;
    changed.follow(&gate.context, gate.changed_limits.subscribe());
    let orphans = gate.find_orphans().await.context("asking the ledger for the trades that work")?;
    if orphans > 0 {
        warn!("the journal is lost: {orphans} trades that work in the books are brought to an end");
    }
    Ok(gate.begin_term().await.err())
}

/// Is canceled when the process stops, as long as the term lasts.
fn stop_with(context: &Context, term: &Context) -> CancellationToken {
    let stopped = CancellationToken::new();
    let (stopping, stopper, ended) = (context.stopped(), stopped.clone(), term.stopped());
    term.spawn("stop", async move {
        tokio::select! {
            () = stopping => stopper.cancel(),
            () = ended => {}
        }
        Ok(())
    });
    stopped
}

/// Without bus and ledger nothing can be decided: proposals wait in their queue.
async fn rebuild_patiently(
    context: &Context,
    term: &Context,
    bus: &Bus,
    config: &Config,
) -> Result<Rebuilt, StateDiffers> {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    let started = Instant::now();
    loop {
        match rebuild(term, bus, config).await {
            Ok(rebuilt) => return Ok(rebuilt),
            Err(failure) => {
                if let Some(differs) = failure.downcast_ref::<StateDiffers>() {
                    return Err(*differs);
                }
                context.set_not_ready(format!("rebuilding the state: {failure:#}"));
                // All services start at once; only a ledger that stays away is news.
                if started.elapsed() > LEDGER_EXPECTED_WITHIN {
                    warn!("rebuilding the state: {failure:#}");
                } else {
                    debug!("rebuilding the state: {failure:#}");
                }
            }
        }
        backoff.wait().await;
    }
}
