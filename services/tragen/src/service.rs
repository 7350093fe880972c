//! The six services: their names, and how each is started.

use crate::config::Config;
use anyhow::Context as _;
use clap::ValueEnum;
use metrics_exporter_prometheus::PrometheusHandle;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tragen_bus::Bus;
use tragen_host::Context;

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    Router,
    AgentWorker,
    RiskGuard,
    MarketData,
    CostMonitor,
    Ledger,
}

impl Service {
    /// Every service, in the order in which they are started.
    pub(crate) const ALL: [Self; 6] =
        [Self::Ledger, Self::MarketData, Self::RiskGuard, Self::AgentWorker, Self::CostMonitor, Self::Router];

    /// Its name, in its health too.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::AgentWorker => "agent-worker",
            Self::RiskGuard => "risk-guard",
            Self::MarketData => "market-data",
            Self::CostMonitor => "cost-monitor",
            Self::Ledger => "ledger",
        }
    }

    /// Starts it on `bus`; the address is the router's.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub(crate) async fn start(
        self,
        context: Context,
        bus: Bus,
        config: &Config,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<Option<SocketAddr>> {
        let started = match self {
            Self::Router => {
                return tragen_router::run(context, bus, config.router.clone(), metrics)
                    .await
                    .map(Some)
                    .context("starting router");
            }
            Self::AgentWorker => tragen_agent_worker::run(context, bus, config.agent_worker.clone()).await,
            Self::RiskGuard => tragen_risk_guard::run(context, bus, config.risk_guard.clone()).await,
            Self::MarketData => tragen_market_data::run(context, bus, config.market_data.clone()).await,
            Self::CostMonitor => tragen_cost_monitor::run(context, bus, config.cost_monitor.clone()).await,
            Self::Ledger => tragen_ledger::run(context, bus, config.ledger.clone()).await,
        };
        started.with_context(|| format!("starting {}", self.name())).map(|()| None)
    }
}

/// The books of a data folder.
#[derive(Debug)]
pub(crate) struct Books {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its address for the ledger.
    pub(crate) url: String,
}

/// The address of a store as it is typed: `sqlite` for the books in `data_dir`, or an address.
///
/// # Errors
/// When it is neither, without what may be a password.
pub(crate) fn store_url(store: &str, data_dir: &Path) -> anyhow::Result<String> {
    match store {
        "sqlite" => Ok(store_in(data_dir)?.url),
        url if ["sqlite://", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) => {
            Ok(url.to_owned())
        }
        other => anyhow::bail!("--store: {:?} is neither sqlite nor a postgres:// address", without_secret(other)),
    }
}

/// What stands before the first colon: behind it may be a password.
pub(crate) fn without_secret(address: &str) -> String {
    match address.split_once(':') {
        Some((scheme, _)) => format!("{scheme}:..."),
        None => address.to_owned(),
    }
}

/// The SQLite books in `data_dir`.
///
/// # Errors
/// When the folder's place cannot be told or is not written in UTF-8.
pub(crate) fn store_in(data_dir: &Path) -> anyhow::Result<Books> {
    let folder = std::path::absolute(data_dir).with_context(|| format!("finding {}", data_dir.display()))?;
    let path = folder.join("ledger.db");
    let text = path.to_str().with_context(|| format!("{} is not written in UTF-8", path.display()))?;
    let url = format!("sqlite://{text}");
    Ok(Books { path, url })
}
