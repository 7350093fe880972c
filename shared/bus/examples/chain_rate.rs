//! What the bus alone gives: a message that goes through as many streams as a trade does, with nobody who decides or
//! books anything. It is the limit that trades a second are read against.
//!
//! ```text
//! cargo run --release -p tragen-bus --example chain_rate
//! cargo run --release -p tragen-bus --example chain_rate -- --in-flight 160 --items 16 --seconds 10
//! ```
//!
//! A private server that syncs before every acknowledgment. Two streams in memory, as for requests and proposals, then
//! three on disk, as for journal, executions and facts. Each hop acks a message once the next stream has it.
//! `--items` is how many trades one message stands for: under load services put several into one.

use anyhow::Context as _;
use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, pull},
    stream::StorageType,
};
use futures::StreamExt as _;
use std::time::{Duration, Instant};
use tragen_bus::server::{NatsServer, Sync, find_binary};

/// What one trade adds to a message, bytes.
const ITEM_BYTES: usize = 400;
/// Streams in the order of a trade, and where each is kept.
const CHAIN: [(&str, StorageType); 5] = [
    ("requests", StorageType::Memory),
    ("proposals", StorageType::Memory),
    ("journal", StorageType::File),
    ("executions", StorageType::File),
    ("facts", StorageType::File),
];
/// Not measured: everything has to get going.
const WARM_UP: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (mut in_flight, mut items, mut seconds) = (160, 1, 10);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number: u32 = arguments.next().and_then(|text| text.parse().ok()).context("a number is missing")?;
        match argument.as_str() {
            "--in-flight" => in_flight = number,
            "--items" => items = number,
            "--seconds" => seconds = number,
            other => anyhow::bail!("{other} is not one of --in-flight, --items, --seconds"),
        }
    }
    anyhow::ensure!(items > 0 && in_flight >= items && seconds > 0, "--in-flight >= --items > 0 and --seconds > 0");
    let folder = tempfile::tempdir().context("making a folder for the bus")?;
    let nats = NatsServer::start(&find_binary()?, &folder.path().join("nats"), Sync::Always).await?;
    let bus = connect(&nats).await?;
    for (name, storage) in CHAIN {
        let (own, subjects) = (name.into(), vec![name.into()]);
        let config = jetstream::stream::Config { name: own, subjects, storage, ..Default::default() };
        bus.create_stream(config).await.with_context(|| format!("making the stream {name}"))?;
    }
    // A connection for each hop, as each service has its own.
    for pair in CHAIN.windows(2) {
        tokio::spawn(pass_on(connect(&nats).await?, pair[0].0, pair[1].0));
    }
    let mut latencies =
        run(&bus, in_flight / items, usize::try_from(items)?, Duration::from_secs(seconds.into())).await?;
    latencies.sort_unstable();
    let at = |mille: usize| latencies.get(latencies.len() * mille / 1_000).copied().unwrap_or_default().as_micros();
    let per_second = latencies.len() * usize::try_from(items)? / usize::try_from(seconds)?;
    println!(
        "{in_flight} in flight, {items} in a message: {per_second} a second through {} streams; us: p50 {}, p99 {}",
        CHAIN.len(),
        at(500),
        at(990),
    );
    Ok(())
}

async fn connect(nats: &NatsServer) -> anyhow::Result<jetstream::Context> {
    Ok(jetstream::new(async_nats::connect(nats.url()).await.context("connecting to the bus")?))
}

/// Keeps `in_flight` messages on their way; how long each took that ended after the warm-up.
async fn run(bus: &jetstream::Context, in_flight: u32, items: usize, time: Duration) -> anyhow::Result<Vec<Duration>> {
    let mut ended = messages(bus, CHAIN[CHAIN.len() - 1].0).await?;
    let (begin, mut latencies) = (Instant::now(), Vec::new());
    let send = async || {
        let mut payload = vec![7; ITEM_BYTES * items];
        payload[..16].copy_from_slice(&begin.elapsed().as_nanos().to_le_bytes());
        // The ack of the first stream is not waited for: the end of the chain says more.
        bus.publish(CHAIN[0].0, payload.into()).await.context("publishing")
    };
    for _ in 0..in_flight {
        send().await?;
    }
    while begin.elapsed() < WARM_UP + time {
        let message = ended.next().await.context("the chain has ended")??;
        let mut sent = [0; 16];
        sent.copy_from_slice(&message.payload[..16]);
        let sent = Duration::from_nanos(u64::try_from(u128::from_le_bytes(sent))?);
        if begin.elapsed() > WARM_UP {
            latencies.push(begin.elapsed().saturating_sub(sent));
        }
        message.ack().await.map_err(anyhow::Error::from_boxed)?;
        send().await?;
    }
    Ok(latencies)
}

async fn messages(bus: &jetstream::Context, stream: &str) -> anyhow::Result<pull::Stream> {
    let config = pull::Config { ack_policy: AckPolicy::Explicit, max_ack_pending: 10_000, ..Default::default() };
    let consumer = bus.create_consumer_on_stream(config, stream).await.context("making a consumer")?;
    consumer.messages().await.context("pulling")
}

/// Passes each message on, many at a time, and acks it once the next stream has it.
async fn pass_on(bus: jetstream::Context, from: &'static str, to: &'static str) -> anyhow::Result<()> {
    let mut arrived = messages(&bus, from).await?;
    while let Some(message) = arrived.next().await {
        let message = message?;
        let stored = bus.publish(to, message.payload.clone()).await?;
        tokio::spawn(async move {
            if stored.await.is_ok() {
                let _ = message.ack().await;
            }
        });
    }
    Ok(())
}
