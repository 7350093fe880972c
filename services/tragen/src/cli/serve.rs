//! `tragen serve`: one service against a given bus and database, as the
//! containers run it.

use crate::{
    Verdict,
    config::Settings,
    host::{Host, connect, wait_ready},
    ready::{Ready, ReadyFile},
    service::Service,
};
use clap::Args;
use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};
use tragen_bus::Bus;
use tragen_host::{Context, retry::Backoff};

/// A free port, for this machine only.
const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// Which service, and where everything is.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  tragen serve ledger --nats nats://127.0.0.1:4222 --store postgres://tragen:secret@127.0.0.1/tragen"
)]
pub(crate) struct ServeArgs {
    /// Which service.
    service: Service,
    /// The bus.
    #[arg(long, env = "TRAGEN_NATS_URL", value_name = "URL", default_value = "nats://127.0.0.1:4222")]
    nats: String,
    /// Where health and metrics are served; the router has them at its own address too [default: a free port].
    #[arg(long, env = "TRAGEN_HTTP", value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    #[command(flatten)]
    settings: Settings,
}

impl ServeArgs {
    pub(super) async fn run(self) -> anyhow::Result<Verdict> {
        let (config, data_dir) = self.settings.load(SocketAddr::from(([127, 0, 0, 1], 8080)))?;
        if self.service == Service::Ledger {
            // Its books, key and heads may lie there. Where that is not so it need not be possible; what needs it says so.
            let _ = std::fs::create_dir_all(&data_dir);
        }
        let file = ReadyFile::pending(self.settings.ready_file.as_deref())?;
        let host = Host::install(&self.settings, "info")?;
        let context = host.context(self.service.name())?;
        let metrics = host.telemetry.metrics.clone();
        let start = async {
            let bus = connect(&self.nats, self.service.name()).await?;
            bus.apply(config.market_data.lane_messages_max).await?;
            keep_in_place(&context, &bus, config.market_data.lane_messages_max);
            // Health first, so that a probe can tell what a slow start waits for.
            let health = match self.http.or((self.service != Service::Router).then_some(ANY_PORT)) {
                Some(address) => Some(tragen_host::http::serve(&context, address, metrics.clone()).await?),
                None => None,
            };
            let api = self.service.start(context.clone(), bus, &config, metrics).await?;
            let url = |address: Option<SocketAddr>| address.map(|a| format!("http://{a}")).unwrap_or_default();
            let ready = Ready {
                grpc: url(api),
                http: url(health.or(api)),
                nats: self.nats.clone(),
                pid: std::process::id(),
                data_dir,
            };
            // Who stands by is not ready, however long he does: a guard without the lease, a ledger without a shard.
            match self.service {
                Service::RiskGuard | Service::Ledger => context.health.wait_ready(self.service.name()).await,
                Service::Router | Service::AgentWorker | Service::MarketData | Service::CostMonitor => {
                    wait_ready(&context.health, &[self.service]).await?;
                }
            }
            tracing::info!("{} is ready, health at {}", self.service.name(), ready.http);
            file.write(&ready)
        };
        host.run(start).await?;
        Ok(Verdict::Good)
    }
}

/// Puts what the bus keeps in memory in place again each time the bus is back, whoever else is there: without its lease no
/// guard leads, so nobody could halt.
fn keep_in_place(context: &Context, bus: &Bus, lane_messages_max: i64) {
    let (own, bus) = (context.clone(), bus.clone());
    let mut connections = bus.connections();
    connections.borrow_and_update();
    context.spawn("topology", async move {
        let stopped = own.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return Ok(()),
                changed = connections.changed() => if changed.is_err() { return Ok(()) },
            }
            let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
            while let Err(error) = bus.apply(lane_messages_max).await {
                tracing::debug!("putting the streams in place again: {error}");
                tokio::select! {
                    () = &mut stopped => return Ok(()),
                    () = backoff.wait() => {}
                }
            }
        }
    });
}
