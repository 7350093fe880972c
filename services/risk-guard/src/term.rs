//! Terms of leading, one after the other: stand by, rebuild, decide, step down.

use crate::{
    VENUE, command,
    config::Config,
    control,
    gate::{Ended, Gate, Inputs, Work},
    journal::Journal,
    lease::Lease,
    metrics,
    rebuild::{Rebuilt, rebuild},
    reports::Reports,
};
use ::metrics::gauge;
use anyhow::Context as _;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use tragen_bus::{Bus, Consumer, StartAt, Stream};
use tragen_host::{Context, Lifecycle, retry::Backoff};
use tragen_venue::PaperVenue;

/// How long the tasks of a term may take to end, seconds.
const TERM_DRAIN_SECS: u64 = 5;

/// How long the bus and the ledger may take to come up before it is worth a warning.
const LEDGER_EXPECTED_WITHIN: Duration = Duration::from_secs(5);

/// Leads whenever nobody else does, until the process stops.
pub(crate) async fn serve(context: Context, bus: Bus, config: Arc<Config>) -> anyhow::Result<()> {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    while let Some(lease) = Lease::acquire(&context, &bus, &config).await {
        gauge!(metrics::LEADER).set(1.0);
        // A term's questions, streams and tasks end with the term, not with the process.
        let term = Lifecycle::new(TERM_DRAIN_SECS);
        let term_context = term.context(context.service, context.spans.clone());
        let ended = lead(&context, &term_context, &bus, &config, &lease).await;
        context.set_not_ready("standing by");
        gauge!(metrics::LEADER).set(0.0);
        term.stop_token().cancel();
        if let Err(failure) = term.run().await {
            warn!("ending a term: {failure:#}");
        }
        lease.release(&bus).await;
        match ended {
            Ok(Ended::Stopped) => break,
            Ok(ended) => warn!("{} leads no more: {}", context.instance, anyhow::Error::new(ended)),
            Err(failure) => warn!("{} could not lead: {failure:#}", context.instance),
        }
        if context.is_stopping() {
            break;
        }
        backoff.wait().await;
    }
    Ok(())
}

async fn lead(
    context: &Context,
    term: &Context,
    bus: &Bus,
    config: &Arc<Config>,
    lease: &Lease,
) -> anyhow::Result<Ended> {
    context.set_not_ready("rebuilding the state");
    let venue = PaperVenue::open(config.paper()).context("opening the paper venue")?;
    let rebuilt = tokio::select! {
        rebuilt = rebuild_patiently(context, term, bus, config) => rebuilt,
        () = lease.lost.cancelled() => return Ok(Ended::Deposed),
        () = context.stopped() => return Ok(Ended::Stopped),
    };
    let leader_id = context.instance.to_string();
    let (control, states) = watch::channel(control::control_state(&rebuilt.state, &leader_id));
    let Rebuilt { state, tickets, last_reports, untold, told, journal_last, ledger_from, first_state } = rebuilt;
    let patience = config.journal_patience();
    let mut gate = Gate {
        context: term.clone(),
        bus: bus.clone(),
        config: Arc::clone(config),
        venue,
        state,
        journal: Journal { bus: bus.clone(), leader_id: leader_id.clone(), last: journal_last, patience },
        reports: Reports::start(term, bus, config),
        tickets,
        last_reports,
        control,
        work: Work::of_the_term_before(untold, told),
    };
    if let Some(first) = first_state {
        info!("{} begins {:?}: {}", first.scope, first.state, first.reason);
        if let Err(ended) = gate.change_state(first).await {
            return Ok(ended);
        }
    }
    control::tell(bus, &control::control_state(&gate.state, &leader_id)).await;
    let commands = command::listen(term, bus, config).await?;
    command::answer_leases(term, bus, lease.clone(), states, config.worker_lease_ms).await?;
    let stopped = CancellationToken::new();
    let (stopping, stopper) = (context.stopped(), stopped.clone());
    term.spawn("stop", {
        let ended = term.stopped();
        async move {
            tokio::select! {
                () = stopping => stopper.cancel(),
                () = ended => {}
            }
            Ok(())
        }
    });
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
        proposals: bus.pull(term, Consumer::Guard),
        ledger: bus.follow(term, Stream::Ledger, "", StartAt::Sequence(ledger_from)).await?,
        market,
        lost: lease.lost.clone(),
        stopped,
    };
    let ready = || {
        info!("{} decides for venue {VENUE}", context.instance);
        context.set_ready();
    };
    Ok(gate.run(inputs, ready).await)
}

/// Without bus and ledger nothing can be decided: proposals wait in their queue.
async fn rebuild_patiently(context: &Context, term: &Context, bus: &Bus, config: &Config) -> Rebuilt {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    let started = Instant::now();
    loop {
        match rebuild(term, bus, config).await {
            Ok(rebuilt) => return rebuilt,
            Err(failure) => {
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
