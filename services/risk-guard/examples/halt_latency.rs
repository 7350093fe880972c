//! How long a halt takes: a real bus that syncs every message, a real guard, and a
//! thousand simulated workers with a subscription, a presence and a lease each.
//!
//! ```text
//! cargo run --release -p tragen-risk-guard --example halt_latency
//! cargo run --release -p tragen-risk-guard --example halt_latency -- --workers 1000 --halts 100 --leases off
//! ```
//!
//! *Gate closed* is the guard's own figure, from the receipt of the command to the journaled
//! halt. *All confirmed* is what the caller sees: from the call to the answer that every worker
//! has confirmed. With `--leases on` every worker asks for its lease every 250 ms, as real ones do.
//! Halts come a fifth of a second apart. Guard, workers and bus share this machine's processors.

use anyhow::Context as _;
use futures::{FutureExt as _, StreamExt as _};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};
use tragen_bus::{
    Ask, Bucket, Bus, CoreSubject,
    server::{NatsServer, Sync, find_binary},
};
use tragen_contracts::v1::{self, guard_answer::Answer, guard_question::Question};
use tragen_host::{Context, Lifecycle, trace::Spans};

/// Workers that share a connection of the test.
const WORKERS_PER_CONNECTION: usize = 50;
/// How often a worker asks for its lease.
const LEASE_EVERY: Duration = Duration::from_millis(250);
/// How often a worker says that it is here.
const PRESENT_EVERY: Duration = Duration::from_secs(2);
/// Between two halts.
const PAUSE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(30);

struct Load {
    workers: usize,
    halts: usize,
    has_leases: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let load = load()?;
    let folder = tempfile::tempdir().context("making a folder")?;
    let nats = NatsServer::start(&find_binary()?, &folder.path().join("nats"), Sync::Always).await?;
    let bus = Bus::connect(nats.url(), "halt-latency").await?;
    bus.apply(1_000).await?;
    let lifecycle = Lifecycle::new(10);
    let context = lifecycle.context("halt-latency", Spans::default());
    serve_ledger(&context, &bus).await?;
    let guard = lifecycle.context("risk-guard", Spans::default());
    let config =
        tragen_risk_guard::Config { venue_folder: folder.path().join("venue"), ..tragen_risk_guard::Config::default() };
    tragen_risk_guard::run(guard, Bus::connect(nats.url(), "risk-guard").await?, config).await?;
    for first in (0..load.workers).step_by(WORKERS_PER_CONNECTION) {
        let own = Bus::connect(nats.url(), "workers").await?;
        let last = (first + WORKERS_PER_CONNECTION).min(load.workers);
        work(&context, &own, first..last, load.has_leases).await?;
    }
    tokio::time::timeout(PATIENCE, context.health.wait_ready("risk-guard")).await.context("the guard leads")?;
    wait_for_workers(&bus, load.workers).await?;

    let (mut closed, mut confirmed) = (Vec::new(), Vec::new());
    for number in 0..load.halts {
        tokio::time::sleep(PAUSE).await;
        let started = Instant::now();
        let halt = halt(&bus, number).await?;
        confirmed.push(started.elapsed().as_micros());
        closed.push(u128::from(halt.gate_closed_micros.unsigned_abs()));
        let missing = halt.missing_workers.len();
        anyhow::ensure!(missing == 0, "halt {number}: {missing} of {} workers are missing", halt.total_workers);
        anyhow::ensure!(usize::try_from(halt.total_workers)? == load.workers, "{} workers", halt.total_workers);
    }
    let leases = if load.has_leases { "with leases" } else { "without leases" };
    println!("{} halts, {} workers {leases}, microseconds:", load.halts, load.workers);
    print("gate closed", closed);
    print("all confirmed", confirmed);
    lifecycle.stop_token().cancel();
    lifecycle.run().await
}

/// A scope of its own for each halt, so that none needs a resume.
async fn halt(bus: &Bus, number: usize) -> anyhow::Result<v1::HaltResponse> {
    let scope = v1::Scope { kind: v1::ScopeKind::Agent.into(), id: format!("drill-{number}") };
    let request = v1::HaltRequest { scope: Some(scope), reason: "drill".into(), wait_ms: 10_000 };
    let Answer::Halt(answer) = ask(bus, Question::Halt(request)).await? else { anyhow::bail!("no halt") };
    Ok(answer)
}

async fn ask(bus: &Bus, question: Question) -> anyhow::Result<Answer> {
    let question =
        v1::GuardQuestion { principal: "olga".into(), question: Some(question), ..v1::GuardQuestion::default() };
    let answer: v1::GuardAnswer = bus.ask(Ask::Guard, &question, Duration::from_secs(12)).await?;
    answer.answer.context("an empty answer")
}

async fn wait_for_workers(bus: &Bus, workers: usize) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let Answer::State(state) = ask(bus, Question::GetState(v1::GetRiskStateRequest {})).await? else {
            anyhow::bail!("no state")
        };
        if state.workers.len() == workers {
            return Ok(());
        }
        anyhow::ensure!(started.elapsed() < PATIENCE, "{} workers are here", state.workers.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Workers that confirm whatever they hear.
async fn work(context: &Context, bus: &Bus, numbers: std::ops::Range<usize>, has_leases: bool) -> anyhow::Result<()> {
    for number in numbers.clone() {
        let mut states = bus.listen::<v1::ControlState>(&CoreSubject::ControlState).await?;
        let applied = Arc::new(AtomicI64::new(0));
        let (own, worker, stopped) = (bus.clone(), format!("w-{number}"), context.stopped());
        let newest = Arc::clone(&applied);
        context.spawn("worker", async move {
            tokio::pin!(stopped);
            loop {
                let epoch = tokio::select! {
                    () = &mut stopped => return Ok(()),
                    state = states.next() => state.context("the subscription ended")?.epoch,
                };
                newest.fetch_max(epoch, Ordering::SeqCst);
                let ack = v1::ControlAck { worker_id: worker.clone(), epoch, ..v1::ControlAck::default() };
                own.broadcast(&CoreSubject::ControlAck { epoch, worker: worker.clone() }, &ack).await?;
            }
        });
        if has_leases {
            let (own, worker, stopped) = (bus.clone(), format!("w-{number}"), context.stopped());
            context.spawn("lease", async move {
                tokio::select! {
                    () = stopped => Ok(()),
                    ended = keep_lease(&own, &worker, &applied) => ended,
                }
            });
        }
    }
    let (bus, stopped) = (bus.clone(), context.stopped());
    context.spawn("presence", async move {
        tokio::select! {
            () = stopped => Ok(()),
            ended = keep_presence(&bus, numbers) => ended,
        }
    });
    Ok(())
}

async fn keep_presence(bus: &Bus, numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
    let bucket = bus.bucket(Bucket::Workers).await?;
    loop {
        for number in numbers.clone() {
            bucket.put(format!("w-{number}"), "here".into()).await?;
        }
        tokio::time::sleep(PRESENT_EVERY).await;
    }
}

async fn keep_lease(bus: &Bus, worker: &str, applied: &AtomicI64) -> anyhow::Result<()> {
    let mut nonce = 0;
    loop {
        nonce += 1;
        let epoch = applied.load(Ordering::SeqCst);
        let question = v1::LeaseQuestion { worker_id: worker.to_owned(), nonce, epoch };
        let answer: Result<v1::LeaseAnswer, _> = bus.ask(Ask::Lease, &question, Duration::from_millis(500)).await;
        if let Ok(v1::LeaseAnswer { state: Some(state), .. }) = answer {
            applied.fetch_max(state.epoch, Ordering::SeqCst);
        }
        tokio::time::sleep(LEASE_EVERY).await;
    }
}

/// Books without accounts.
async fn serve_ledger(context: &Context, bus: &Bus) -> anyhow::Result<()> {
    let answer = |question: v1::LedgerQuestion| {
        let answer = match question.question {
            Some(v1::ledger_question::Question::Outcomes(_)) => {
                v1::ledger_answer::Answer::Outcomes(v1::Outcomes::default())
            }
            Some(v1::ledger_question::Question::WorkingTrades(_)) => {
                v1::ledger_answer::Answer::WorkingTrades(v1::WorkingTrades::default())
            }
            _ => v1::ledger_answer::Answer::AccountsPage(v1::AccountsPage::default()),
        };
        async move { v1::LedgerAnswer { answer: Some(answer) } }.boxed()
    };
    Ok(bus.answer(context, Ask::Ledger, answer).await?)
}

fn print(what: &str, mut micros: Vec<u128>) {
    micros.sort_unstable();
    let at = |percent: usize| micros.get((micros.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    let [p50, p99, max] = [50, 99, 100].map(|percent| at(percent).unwrap_or_default());
    println!("  {what:13}  p50 {p50:>7}  p99 {p99:>7}  max {max:>7}");
}

fn load() -> anyhow::Result<Load> {
    let mut load = Load { workers: 1_000, halts: 100, has_leases: true };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let value = words.next().with_context(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--workers" => load.workers = value.parse().context("--workers")?,
            "--halts" => load.halts = value.parse().context("--halts")?,
            "--leases" => load.has_leases = value == "on",
            _ => anyhow::bail!("{flag} is none of --workers, --halts and --leases"),
        }
    }
    Ok(load)
}
