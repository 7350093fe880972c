//! What gRPC alone gives: the smallest request there is (`grpc.health.v1.Health/Check`) to a server that answers at
//! once, both in this process. It is the limit that requests a second are read against.
//!
//! ```text
//! cargo run --release -p tragen-loadtest --example echo_rate
//! cargo run --release -p tragen-loadtest --example echo_rate -- --in-flight 160 --connections 4 --seconds 10
//! ```

use anyhow::Context as _;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (mut in_flight, mut connections, mut seconds) = (160, 4, 10);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number: u32 = arguments.next().and_then(|text| text.parse().ok()).context("a number is missing")?;
        match argument.as_str() {
            "--in-flight" => in_flight = number,
            "--connections" => connections = number,
            "--seconds" => seconds = number,
            other => anyhow::bail!("{other} is not one of --in-flight, --connections, --seconds"),
        }
    }
    anyhow::ensure!(in_flight > 0 && connections > 0 && seconds > 0, "none of the numbers may be 0");
    let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
    let address = listener.local_addr().context("reading the own address")?;
    let (_reporter, service) = tonic_health::server::health_reporter();
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
    let mut channels = Vec::new();
    for _ in 0..connections {
        channels.push(Endpoint::from_shared(format!("http://{address}"))?.connect().await?);
    }
    let (begin, time) = (Instant::now(), Duration::from_secs(seconds.into()));
    let callers = (0..in_flight).zip(channels.iter().cycle().cloned());
    let callers: Vec<_> = callers.map(|(_, channel)| tokio::spawn(call(channel, begin + time))).collect();
    let mut latencies = Histogram::<u64>::new(3)?;
    for caller in callers {
        latencies.add(caller.await??)?;
    }
    println!(
        "{in_flight} in flight, {connections} connections: {} calls/s; us: p50 {}, p99 {}",
        latencies.len() / u64::from(seconds),
        latencies.value_at_quantile(0.5),
        latencies.value_at_quantile(0.99),
    );
    Ok(())
}

/// Asks again and again until `end`; microseconds.
async fn call(channel: Channel, end: Instant) -> anyhow::Result<Histogram<u64>> {
    let mut health = HealthClient::new(channel);
    let mut latencies = Histogram::new(3)?;
    while Instant::now() < end {
        let asked = Instant::now();
        health.check(HealthCheckRequest::default()).await.context("asking")?;
        latencies.record(u64::try_from(asked.elapsed().as_micros())?)?;
    }
    Ok(latencies)
}
