//! Everything in one process: an own bus, all six services, a demo that trades
//! through the public API, and a screen that shows what happens.

pub(crate) mod bus;
mod data_dir;
mod demo;
mod equity;
mod pick;
mod screen;

use crate::{
    api::{Api, Bearer},
    config::{Config, Settings},
    host::{Host, connect, wait_ready},
    output::print,
    ready::{Ready, ReadyFile},
    service::Service,
};
use anyhow::Context as _;
use bus::OwnOrGiven;
use data_dir::DataDir;
use futures::future::try_join_all;
use metrics_exporter_prometheus::PrometheusHandle;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use tragen_domain::{id::AccountId, tier::Tier};
use tragen_host::Context;
use tragen_router::token::{Claims, Keys, Role};

/// What is logged besides what the screen shows: troubles. That connections of
/// services in this process open and close is none.
const LOG_FILTER: &str = "warn,tragen_bus::connection=error";

/// What happens besides the services.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shows {
    /// Whether demo users and agents trade.
    pub(crate) demo: bool,
    /// Whether trades and equities are printed.
    pub(crate) screen: bool,
}

/// Runs everything until a signal comes, then drains and stops the bus last.
///
/// # Errors
/// What keeps it from starting, or the first failure of a part.
pub(crate) async fn run(
    settings: &Settings,
    config: Config,
    data_dir: &Path,
    nats_url: Option<String>,
    shows: Shows,
) -> anyhow::Result<()> {
    let folder = DataDir::open(data_dir)?;
    let file = ReadyFile::pending(settings.ready_file.as_deref())?;
    let host = Host::install(settings, LOG_FILTER)?;
    let crew = Crew::new(&host, config)?;
    let bus = OwnOrGiven::start(nats_url, folder.path()).await?;
    let screen = host.context("screen")?;
    let ended = host
        .run(async {
            let api = crew.start(bus.url()).await?;
            let ready = Ready {
                grpc: format!("http://{api}"),
                http: format!("http://{api}"),
                nats: bus.url().to_owned(),
                pid: std::process::id(),
                data_dir: folder.path().to_owned(),
            };
            file.write(&ready)?;
            show(&screen, &ready, shows).await
        })
        .await;
    bus.stop();
    ended?;
    print("drained")
}

/// The accounts of the demo's agents are the house, unless the configuration names one: else every limit on the house
/// would be off.
///
/// # Errors
/// A folder of the feed that cannot be read.
pub(crate) fn pool_demo_capital(config: &mut Config) -> anyhow::Result<()> {
    let house = &mut config.risk_guard.limits.house_accounts;
    if house.is_empty() {
        *house = pick::house_accounts(&config.market_data.feed)?;
    }
    Ok(())
}

/// The six services of this process.
struct Crew {
    contexts: Vec<(Service, Context)>,
    config: Config,
    metrics: PrometheusHandle,
}

impl Crew {
    fn new(host: &Host, config: Config) -> anyhow::Result<Self> {
        let contexts = Service::ALL.into_iter().map(|service| Ok((service, host.context(service.name())?)));
        Ok(Self { contexts: contexts.collect::<anyhow::Result<_>>()?, config, metrics: host.telemetry.metrics.clone() })
    }

    /// Starts all services at once and waits until a trade can be accepted.
    async fn start(&self, nats_url: &str) -> anyhow::Result<SocketAddr> {
        let first = connect(nats_url, "up").await?;
        first.apply(self.config.market_data.lane_messages_max).await?;
        let starts = self.contexts.iter().map(async |(service, context)| {
            let bus = connect(nats_url, service.name()).await?;
            service.start(context.clone(), bus, &self.config, self.metrics.clone()).await
        });
        let addresses = try_join_all(starts).await?;
        if let Some((_, context)) = self.contexts.first() {
            wait_ready(&context.health, &Service::ALL).await?;
        }
        addresses.into_iter().flatten().next().context("the router has no address")
    }
}

/// Says where everything is, then lets the demo trade and shows what happens.
async fn show(context: &Context, ready: &Ready, shows: Shows) -> anyhow::Result<()> {
    print(&welcome(ready))?;
    let keys = Arc::new(Keys::load_or_create(&ready.data_dir)?);
    let operator = Claims::new(AccountId::new("tragen-up")?, Tier::Premium, Role::Operator);
    let api = Api::connect(&ready.grpc, Bearer::issued(&keys, operator)).await?;
    if shows.screen {
        context.spawn("trades", screen::trades(context.clone(), api.clone()));
        context.spawn("equity", screen::equities(context.clone(), api.clone(), Arc::clone(&keys)));
    }
    if shows.demo {
        context.spawn("demo", demo::run(context.clone(), api, keys));
    }
    Ok(())
}

/// How this program is called from any folder: the lines on the screen can be copied.
fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| "tragen".into())
}

/// The path as one word of a shell.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn welcome(ready: &Ready) -> String {
    let (grpc, folder, user) = (&ready.grpc, ready.data_dir.display(), demo::USER);
    let (tragen, quoted) = (shell_word(&program()), shell_word(&ready.data_dir));
    format!(
        "Tragen trades on paper.\n\
         \x20 API (gRPC, JSON)  {grpc}\n\
         \x20 health, metrics   {grpc}/ready {grpc}/metrics\n\
         \x20 bus               {}\n\
         \x20 data              {folder}\n\
         Try it in another terminal:\n\
         \x20 export TRAGEN_ENDPOINT={grpc} TRAGEN_TOKEN=$({tragen} token --data-dir {quoted} --account {user})\n\
         \x20 {tragen} trade place --instrument GBPUSD --side buy --quantity 1000\n\
         Ctrl-C stops it.",
        ready.nats
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_pools_what_its_agents_trade_with() {
        let mut config = Config::default();
        pool_demo_capital(&mut config).expect("a sample");
        let house = &config.risk_guard.limits.house_accounts;
        assert_eq!(house.len(), 6, "{house:?}");
        assert!(house.contains("agent-scalper-gbpusd") && house.contains("agent-swing-btcusd-perp"), "{house:?}");
        config.risk_guard.validate().expect("valid accounts");
        // Every account of a demo agent is one of them.
        let instruments = ["GBPUSD", "EURUSD", "BTCUSD-PERP", "USDJPY"].map(|id| tragen_contracts::v1::Instrument {
            instrument_id: id.to_owned(),
            settlement_style: tragen_contracts::v1::SettlementStyle::Margined.into(),
            ..Default::default()
        });
        let agents = pick::agents(&instruments);
        assert_eq!(agents.len(), 6);
        assert!(agents.iter().all(|agent| house.contains(&agent.account_id)), "{agents:?}");
        config.risk_guard.limits.house_accounts = ["mine".to_owned()].into();
        pool_demo_capital(&mut config).expect("named");
        assert_eq!(config.risk_guard.limits.house_accounts.len(), 1, "what is configured wins");
    }

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        for (path, word) in [
            ("/opt/tragen-1.0/bin/tragen", "/opt/tragen-1.0/bin/tragen"),
            ("/home/a b/data", "'/home/a b/data'"),
            ("/it's/$HOME", r"'/it'\''s/$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }

    #[test]
    fn the_lines_to_copy_work_from_any_folder() {
        let ready = Ready {
            grpc: "http://127.0.0.1:1".to_owned(),
            http: String::new(),
            nats: String::new(),
            pid: 1,
            data_dir: "/a b".into(),
        };
        let text = welcome(&ready);
        assert!(text.contains("$(/") && text.contains("token --data-dir '/a b' --account demo)"), "{text}");
        assert!(program().is_absolute());
    }
}
