//! The router: the public gRPC and HTTP API. It checks who calls and what the
//! request looks like, puts it on the caller's lane, and waits for the outcome
//! that the ledger has committed. It never decides about money, limits or prices.
//!
//! Inside: [`access`] and [`token`] let calls in, `api` does them, `desk` and
//! `errand` keep a request to one outcome, `fleet` counts the agents, `sent` what the bus may lose of it, `facts` follows the ledger, `balances`
//! remembers what it told for display, `grpc` and `http` are the two ways in.

pub mod access;
mod api;
mod balances;
mod config;
mod connections;
mod desk;
mod errand;
mod facts;
mod fleet;
mod grpc;
mod http;
mod lanes;
mod metrics;
mod page;
pub mod refusal;
mod sent;
mod server;
pub mod token;
mod turnstile;

pub use config::{Config, ConfigError};

use anyhow::Context as _;
use api::Api;
use balances::Balances;
use desk::Desk;
use fleet::Fleet;
use lanes::Lanes;
use metrics_exporter_prometheus::PrometheusHandle;
use page::PageTokens;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use token::{PublicKey, TokenChecker};
use tokio::sync::{Semaphore, broadcast};
use tragen_bus::{Bus, usage::Usage};
use tragen_cache::{RateLimiter, SharedAnswers, SharedBalances, SharedLimits};
use tragen_host::Context;
use turnstile::Turnstile;

/// How often the calls served are reported to the cost monitor.
const USAGE_INTERVAL: Duration = Duration::from_secs(1);

/// Starts the router and returns where it listens. The bus must be in place.
///
/// # Errors
/// When the configuration, the keys, the bus or the port cannot be used.
pub async fn run(context: Context, bus: Bus, config: Config, metrics: PrometheusHandle) -> anyhow::Result<SocketAddr> {
    config.validate()?;
    metrics::describe();
    let keys = PublicKey::load_or_create(&config.data_dir).context("loading the token keys")?;
    let page_secret = token::page_secret(&config.data_dir).context("loading the page secret")?;
    let (limits, balances, answers) = match config.cache_url.as_str() {
        "" => (None, None, None),
        url => {
            let unusable = || format!("router.cache_url {url}");
            let limits = SharedLimits::new(url).with_context(unusable)?;
            let balances = SharedBalances::new(url).with_context(unusable)?;
            let lives = Duration::from_millis(config.shared_analysis_age_ms);
            (Some(limits), Some(balances), Some(SharedAnswers::new(url, lives).with_context(unusable)?))
        }
    };
    let api = Arc::new(Api {
        tokens: TokenChecker::new(keys, &config),
        limiter: RateLimiter::new(config.limited_accounts_max, limits),
        balances: Balances::start(&context, config.cached_balances_max, balances),
        analyses: api::Analyses::new(config.quote_analysis_age_ms, config.result_analysis_age_ms, answers),
        desk: Desk::new(
            config.waiting_trades_max,
            Duration::from_secs(config.waiting_secs_max),
            config.recent_answers_max,
            Duration::from_secs(config.recent_answer_secs),
        ),
        turnstile: Turnstile::new(config.turn_limits(), config.room_limits()),
        fleet: Fleet::start(&context, &bus),
        shares: config.shares()?,
        lanes: Lanes::start(&context, &bus, config.lane_queue_max),
        pages: PageTokens::new(&page_secret),
        changes: broadcast::Sender::new(config.watch_buffer_max),
        watchers: Arc::new(Semaphore::new(config.watchers_max)),
        account_watchers: api::AccountPlaces::default(),
        limits: config.request_limits(),
        usage: Usage::start(&context, &bus, USAGE_INTERVAL),
        context,
        bus,
        config,
    });
    facts::start(&api).await.context("following the ledger")?;
    let address = server::start(Arc::clone(&api), metrics).await?;
    api.context.spawn("readiness", watch_readiness(Arc::clone(&api)));
    api.context.set_ready();
    tracing::info!("router listens on {address}");
    Ok(address)
}

/// Ready while the bus is connected.
async fn watch_readiness(api: Arc<Api>) -> anyhow::Result<()> {
    let stopped = api.context.stopped();
    tokio::pin!(stopped);
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            () = &mut stopped => break,
            _ = ticks.tick() => {}
        }
        if api.bus.is_connected() {
            api.context.set_ready();
        } else {
            api.context.set_not_ready("the bus is not connected");
        }
    }
    api.context.set_not_ready("stopping");
    Ok(())
}
