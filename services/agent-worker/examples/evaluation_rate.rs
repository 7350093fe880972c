//! How many agents a worker evaluates on bars, what they weigh, and what happens when thousands act at once.
//!
//! ```text
//! cargo run --release -p tragen-agent-worker --example evaluation_rate
//! cargo run --release -p tragen-agent-worker --example evaluation_rate -- --agents 10000 --instruments 200 --seconds 60
//! ```
//!
//! The worker is a process of its own on a real bus that syncs every message; this process publishes the bars and
//! speaks for the guard and the ledger (orders are filled at once, so agents have positions). *Evaluated* counts each
//! enabled agent once for each bar of an instrument of its own, as `agent_worker_evaluations_total` does.
//! *In the loop* is the same work without a bus; *each sized* sizes every agent on every bar besides, as if every
//! bar were a signal for everybody. The memory is that of the worker's process (VmRSS).

#[path = "evaluation_rate/pure.rs"]
mod pure;
#[path = "evaluation_rate/world.rs"]
mod world;

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::time::{Duration, Instant};
use tragen_agent_worker::Config;
use tragen_bus::{
    Bus,
    server::{NatsServer, Sync, find_binary},
};
use tragen_host::{Lifecycle, trace::Spans};
use world::{Worker, World};

/// The instrument that all agents have in common.
const EVERYBODYS: &str = "BURST";
/// Bars that may be on their way to the worker.
const AHEAD_MAX: u64 = 400;
const PATIENCE: Duration = Duration::from_secs(120);

/// What is asked for.
#[derive(Debug, Clone, Copy)]
struct Load {
    agents: usize,
    instruments: usize,
    seconds: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, url] = arguments.as_slice()
        && flag == "--worker"
    {
        return be_the_worker(url).await;
    }
    let load = Load {
        agents: number(&arguments, "--agents", 10_000)?,
        instruments: number(&arguments, "--instruments", 200)?,
        seconds: u64::try_from(number(&arguments, "--seconds", 30)?)?,
    };
    println!("{} agents, {} instruments, {} agents on one more", load.agents, load.instruments, load.agents);
    pure::play(load)?;
    on_the_bus(load).await
}

async fn on_the_bus(load: Load) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let nats = NatsServer::start(&find_binary()?, &folder.path().join("nats"), Sync::Always).await?;
    let bus = Bus::connect(nats.url(), "evaluation-rate").await?;
    bus.apply(1_000).await?;
    let lifecycle = Lifecycle::new(10);
    let world = World::start(lifecycle.context("world", Spans::default()), bus).await?;
    let instruments: Vec<String> = (0..load.instruments).map(|number| format!("I{number}")).collect();
    for instrument in instruments.iter().map(String::as_str).chain([EVERYBODYS]) {
        world.put_instrument(instrument).await?;
    }

    let mut worker = Worker::start(nats.url())?;
    worker.wait("agent_worker_agents", 0).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let empty = worker.memory_bytes()?;
    world.put_agents(load.agents, &instruments, EVERYBODYS).await?;
    worker.wait("agent_worker_agents", u64::try_from(load.agents)?).await?;
    let full = worker.memory_bytes()?;
    println!("memory: {} kB empty, {} kB with the agents: +{} kB", empty >> 10, full >> 10, (full - empty) >> 10);

    sustain(&world, &mut worker, &instruments, load).await?;
    println!("memory: {} kB after that", worker.memory_bytes()? >> 10);
    burst(&world, &mut worker, load).await?;
    drop(worker);
    lifecycle.stop_token().cancel();
    lifecycle.run().await
}

/// Bars as fast as the worker acts on them.
async fn sustain(world: &World, worker: &mut Worker, instruments: &[String], load: Load) -> anyhow::Result<()> {
    let evaluated = "agent_worker_evaluations_total";
    let (started, before) = (Instant::now(), worker.read(evaluated).await?);
    let (mut bars, mut evaluations) = (0_u64, 0);
    let on_each = u64::try_from(load.agents / load.instruments.max(1))?.max(1);
    while started.elapsed() < Duration::from_secs(load.seconds) {
        world.round(instruments).await?;
        bars += u64::try_from(instruments.len())?;
        loop {
            evaluations = worker.read(evaluated).await? - before;
            if bars.saturating_sub(evaluations / on_each) <= AHEAD_MAX {
                break;
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let orders = worker.read("agent_worker_agent_orders_total").await?;
    let per_minute = rate(evaluations, seconds) * 60.0;
    println!(
        "on the bus: {evaluations} evaluated on {bars} bars in {seconds:.1} s: {per_minute:.0} /min, {orders} orders"
    );
    Ok(())
}

/// One bar that changes the signal of thousands of agents.
async fn burst(world: &World, worker: &mut Worker, load: Load) -> anyhow::Result<()> {
    world.quiet_bars(EVERYBODYS).await?;
    worker.settle().await?;
    let before = world.orders();
    let started = Instant::now();
    world.falling_bar(EVERYBODYS).await?;
    let (mut last, mut first) = (started, None);
    // Over when nothing has come for a second.
    while last.elapsed() < Duration::from_secs(1) || world.orders() == before {
        anyhow::ensure!(started.elapsed() < PATIENCE, "nobody acts");
        let orders = world.orders();
        tokio::time::sleep(Duration::from_millis(2)).await;
        if world.orders() != orders {
            last = Instant::now();
            first = first.or(Some(last));
        }
    }
    let orders = world.orders() - before;
    println!(
        "a signal for {} agents: {orders} orders at the guard, the first after {:?}, the last after {:?}; {} questions",
        load.agents,
        first.map_or(Duration::ZERO, |first| first - started),
        last - started,
        world.questions(),
    );
    Ok(())
}

/// The worker, and its counters on standard output.
async fn be_the_worker(url: &str) -> anyhow::Result<()> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).context("installing the recorder")?;
    let lifecycle = Lifecycle::new(10);
    let context = lifecycle.context("agent-worker", Spans::default());
    let bus = Bus::connect(url, "agent-worker").await?;
    tragen_agent_worker::run(context, bus, Config::default()).await?;
    lifecycle.health().wait_ready("agent-worker").await;
    loop {
        let counters = handle.render();
        let lines: Vec<&str> = counters.lines().filter(|line| line.starts_with("agent_worker_")).collect();
        // A line without a counter ends each reading; the pipe's end ends the process.
        println!("{}\n.", lines.join("\n"));
        handle.run_upkeep();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn number(arguments: &[String], flag: &str, default: usize) -> anyhow::Result<usize> {
    let Some(place) = arguments.iter().position(|argument| argument == flag) else { return Ok(default) };
    let value = arguments.get(place + 1).with_context(|| format!("{flag} needs a number"))?;
    value.parse().with_context(|| format!("{flag} needs a number, not {value}"))
}

/// Events a second.
fn rate(events: u64, seconds: f64) -> f64 {
    f64::from(u32::try_from(events).unwrap_or(u32::MAX)) / seconds
}
