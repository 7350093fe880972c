//! A private bus with a running cost monitor.

use anyhow::ensure;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tragen_bus::{
    Ask, Bus, PublishOptions, Subject,
    server::{NatsServer, Sync, find_binary},
};
use tragen_contracts::v1;
use tragen_cost_monitor::Config;
use tragen_host::{Context, Lifecycle, trace::Spans};

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Rig {
    pub(crate) bus: Bus,
    pub(crate) context: Context,
    _lifecycle: Lifecycle,
    _server: NatsServer,
    _folder: TempDir,
}

impl Rig {
    /// A bus without a monitor yet.
    pub(crate) async fn new(spans: Spans) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let server = NatsServer::start(&find_binary()?, folder.path(), Sync::ServerDefault).await?;
        let bus = Bus::connect(server.url(), "test").await?;
        bus.apply(1_000).await?;
        let lifecycle = Lifecycle::new(5);
        let context = lifecycle.context("cost-monitor", spans);
        Ok(Self { bus, context, _lifecycle: lifecycle, _server: server, _folder: folder })
    }

    /// Starts the monitor.
    pub(crate) async fn start(&self) -> anyhow::Result<()> {
        self.start_with(Config::default()).await
    }

    pub(crate) async fn start_with(&self, config: Config) -> anyhow::Result<()> {
        tragen_cost_monitor::run(self.context.clone(), self.bus.clone(), config).await?;
        ensure!(self.context.health.is_ready(), "started is ready");
        Ok(())
    }

    pub(crate) async fn publish(&self, subject: Subject, message: &impl prost::Message) -> anyhow::Result<()> {
        self.bus.publish(&subject, message, &PublishOptions::default(), PATIENCE).await?;
        Ok(())
    }

    pub(crate) async fn costs(&self) -> anyhow::Result<v1::GetCostsResponse> {
        Ok(self.bus.ask(Ask::Cost, &v1::GetCostsRequest {}, Duration::from_secs(2)).await?)
    }

    /// The costs once `is_reached`.
    pub(crate) async fn costs_when(
        &self,
        what: &str,
        is_reached: impl Fn(&v1::GetCostsResponse) -> bool,
    ) -> anyhow::Result<v1::GetCostsResponse> {
        let started = Instant::now();
        loop {
            let costs = self.costs().await?;
            if is_reached(&costs) {
                return Ok(costs);
            }
            ensure!(started.elapsed() < PATIENCE, "waiting for {what}: {costs:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The reasons of the dead letters once there are `count`, newest first.
    pub(crate) async fn dead_letters(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let started = Instant::now();
        loop {
            let letters = self.bus.dead_letters(None, 10).await?;
            if letters.len() >= count {
                return Ok(letters.into_iter().map(|letter| letter.reason).collect());
            }
            ensure!(started.elapsed() < PATIENCE, "waiting for {count} dead letters: {letters:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The row of `agent`.
pub(crate) fn row<'a>(costs: &'a v1::GetCostsResponse, agent: &str) -> Option<&'a v1::AgentCost> {
    costs.agents.iter().find(|row| row.agent == agent)
}

/// A final outcome of trade `id`, served by eplScoutAgent.
pub(crate) fn outcome(id: &str, status: v1::TradeStatus, traceparent: &str) -> v1::ExecutionReport {
    v1::ExecutionReport {
        meta: Some(v1::Meta {
            event_id: format!("{id}-e"),
            traceparent: traceparent.to_owned(),
            ..v1::Meta::default()
        }),
        key: Some(v1::TradeKey { trade_id: id.to_owned(), ..v1::TradeKey::default() }),
        kind: Some(v1::execution_report::Kind::Trade(v1::TradeReport {
            status: status.into(),
            agent: "eplScoutAgent".to_owned(),
            ..v1::TradeReport::default()
        })),
    }
}
