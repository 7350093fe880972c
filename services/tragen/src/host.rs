//! A process that runs services: logs, metrics, traces and one lifecycle.

use crate::{config::Settings, say_if_possible, service::Service};
use anyhow::Context as _;
use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{interval, timeout};
use tragen_bus::{Bus, BusError};
use tragen_host::{Context, Lifecycle, health::Health, retry::Backoff, telemetry::Telemetry};

/// How long tasks may take to end after the stop signal, seconds.
const DRAIN_SECS_MAX: u64 = 15;
/// How long the services may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a bus that is not there yet is waited for.
const BUS_WITHIN: Duration = Duration::from_secs(30);
/// How long a bus may be waited for in silence.
const SILENT_WITHIN: Duration = Duration::from_secs(1);
/// How often samples of the metrics are folded into their histograms.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// A process that runs services.
#[derive(Debug)]
pub(crate) struct Host {
    /// Logs, metrics and traces.
    pub(crate) telemetry: Telemetry,
    lifecycle: Lifecycle,
}

impl Host {
    /// Installs logs, metrics and traces.
    ///
    /// # Errors
    /// When something of it is installed already.
    pub(crate) fn install(settings: &Settings, log_filter: &str) -> anyhow::Result<Self> {
        let telemetry = Telemetry::install(settings.log_format(), log_filter, settings.traces())?;
        Ok(Self { telemetry, lifecycle: Lifecycle::new(DRAIN_SECS_MAX) })
    }

    /// A context for the part `name` of this process.
    ///
    /// # Errors
    /// When traces cannot be sent.
    pub(crate) fn context(&self, name: &'static str) -> anyhow::Result<Context> {
        let spans = self.telemetry.spans(name, env!("CARGO_PKG_VERSION"))?;
        Ok(self.lifecycle.context(name, spans))
    }

    /// Starts with `start`, then runs until a signal or a failure, and drains.
    ///
    /// # Errors
    /// The failure of `start`, else the first failure of a task.
    pub(crate) async fn run(self, start: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
        let keeper = self.lifecycle.context("metrics", tragen_host::trace::Spans::default());
        let (stopped, metrics) = (keeper.stopped(), self.telemetry.metrics.clone());
        keeper.spawn("upkeep", async move {
            let mut beat = interval(METRICS_UPKEEP);
            let upkeep = async {
                loop {
                    beat.tick().await;
                    metrics.run_upkeep();
                }
            };
            tokio::select! { () = stopped => {}, () = upkeep => {} }
            Ok(())
        });
        let stop = self.lifecycle.stop_token();
        let starting = async {
            let started = tokio::select! {
                started = start => started,
                () = stop.cancelled() => Ok(()),
            };
            if started.is_err() {
                stop.cancel();
            }
            started
        };
        let (ended, started) = tokio::join!(self.lifecycle.run(), starting);
        let telemetry = self.telemetry;
        tokio::task::spawn_blocking(move || telemetry.shutdown()).await.context("sending the last traces")?;
        started.and(ended)
    }
}

/// Waits until all of `services` can do their work.
///
/// # Errors
/// After a minute, with what the parts that are not ready say.
pub(crate) async fn wait_ready(health: &Health, services: &[Service]) -> anyhow::Result<()> {
    let all = async {
        for service in services {
            health.wait_ready(service.name()).await;
        }
    };
    if timeout(READY_WITHIN, all).await.is_ok() {
        return Ok(());
    }
    let reasons = health.parts().into_iter().filter_map(|(part, state)| Some(format!("{part}: {}", state.err()?)));
    let reasons = reasons.collect::<Vec<_>>().join("; ");
    anyhow::bail!("not everything is ready after {} s: {reasons}", READY_WITHIN.as_secs())
}

/// Connects to the bus, and waits for it if it is not there yet; says so after a second.
///
/// # Errors
/// When it is not there within half a minute.
pub(crate) async fn connect(url: &str, name: &str) -> anyhow::Result<Bus> {
    let last: Mutex<Option<BusError>> = Mutex::new(None);
    let cause = || last.lock().unwrap_or_else(PoisonError::into_inner).take();
    let tries = async {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        loop {
            match Bus::connect(url, name).await {
                Ok(bus) => return bus,
                Err(error) => *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error),
            }
            backoff.wait().await;
        }
    };
    tokio::pin!(tries);
    if let Ok(bus) = timeout(SILENT_WITHIN, &mut tries).await {
        return Ok(bus);
    }
    say_if_possible(waiting(url, cause()));
    match timeout(BUS_WITHIN.saturating_sub(SILENT_WITHIN), tries).await {
        Ok(bus) => Ok(bus),
        Err(_) => match cause() {
            Some(error) => Err(error.into()),
            None => anyhow::bail!("NATS at {url} does not answer"),
        },
    }
}

/// What is waited for; a password in front of the `@` is nobody's business.
fn waiting(url: &str, cause: Option<BusError>) -> String {
    let place = match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    };
    let cause =
        cause.map_or_else(|| "no answer".to_owned(), |error| anyhow::Error::new(error).root_cause().to_string());
    format!("waiting up to {} s for a bus at {place} ({cause})", BUS_WITHIN.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_names_the_place_without_its_password() {
        assert_eq!(
            waiting("nats://u:secret@127.0.0.1:4222", None),
            "waiting up to 30 s for a bus at nats://127.0.0.1:4222 (no answer)"
        );
        assert!(waiting("127.0.0.1:1", None).contains("at 127.0.0.1:1 ("));
    }
}
