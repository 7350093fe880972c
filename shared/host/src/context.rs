//! The lifecycle of a process: named tasks, one stop signal, an orderly end. A
//! task that dies takes the process down with an error.

use crate::{health::Health, trace::Spans};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, warn};

/// What a service is given to run with; clones share the lifecycle.
#[derive(Debug, Clone)]
pub struct Context {
    /// The service's name, e.g. `risk-guard`.
    pub service: &'static str,
    /// This instance, unique for ever.
    pub instance: Arc<str>,
    /// Readiness of the process's parts.
    pub health: Health,
    /// Starts spans under the service's name.
    pub spans: Spans,
    stop: CancellationToken,
    tasks: TaskTracker,
    failures: mpsc::Sender<anyhow::Error>,
}

/// Owns the end of a process: hand out [`Context`]s, then [`Lifecycle::run`].
#[derive(Debug)]
pub struct Lifecycle {
    stop: CancellationToken,
    tasks: TaskTracker,
    health: Health,
    failures: (mpsc::Sender<anyhow::Error>, mpsc::Receiver<anyhow::Error>),
    drain_secs_max: u64,
}

impl Lifecycle {
    /// A process that gives its tasks `drain_secs_max` seconds to end after the stop signal.
    #[must_use]
    pub fn new(drain_secs_max: u64) -> Self {
        Self {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            health: Health::default(),
            failures: mpsc::channel(64),
            drain_secs_max,
        }
    }

    /// A context for one service.
    #[must_use]
    pub fn context(&self, service: &'static str, spans: Spans) -> Context {
        Context {
            service,
            instance: format!("{service}-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]).into(),
            health: self.health.clone(),
            spans,
            stop: self.stop.clone(),
            tasks: self.tasks.clone(),
            failures: self.failures.0.clone(),
        }
    }

    /// Readiness of the process.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// A handle that stops the process, e.g. from a test.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs until SIGINT, SIGTERM, a stop or a failed task, then waits for the tasks to drain.
    ///
    /// # Errors
    /// The first failure of a task, or that the tasks did not end in time.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let failure = tokio::select! {
            () = shutdown_signal() => None,
            () = self.stop.cancelled() => None,
            failure = self.failures.1.recv() => failure,
        };
        self.stop.cancel();
        self.tasks.close();
        let limit = Duration::from_secs(self.drain_secs_max);
        let is_drained = tokio::time::timeout(limit, self.tasks.wait()).await.is_ok();
        let failure = failure.or_else(|| self.failures.1.try_recv().ok());
        match failure {
            Some(failure) => Err(failure),
            None if is_drained => Ok(()),
            None => anyhow::bail!("tasks were still running {} s after the stop signal", self.drain_secs_max),
        }
    }
}

impl Context {
    /// Runs `task` under `name`. If it fails or panics, the process stops with its error.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let (service, failures, stop) = (self.service, self.failures.clone(), self.stop.clone());
        let inner = tokio::spawn(task);
        self.tasks.spawn(async move {
            let failure = match inner.await {
                Ok(Ok(())) => {
                    debug!(service, task = name, "task {name} ended");
                    return;
                }
                Ok(Err(failure)) => failure.context(format!("{service}: task {name} failed")),
                Err(panic) => anyhow::Error::new(panic).context(format!("{service}: task {name} panicked")),
            };
            error!(service, task = name, "{failure:#}");
            if failures.try_send(failure).is_err() {
                warn!(service, task = name, "too many failures to report");
            }
            stop.cancel();
        });
    }

    /// The same context with a stop signal of its own, which the process's sets off too:
    /// for a part that may end earlier. Cancel the token to stop it.
    #[must_use]
    pub fn child(&self) -> (Self, CancellationToken) {
        let stop = self.stop.child_token();
        (Self { stop: stop.clone(), ..self.clone() }, stop)
    }

    /// Resolves when the process is asked to stop.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        self.stop.clone().cancelled_owned()
    }

    /// Whether the process is asked to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Marks the service as ready in the process's health.
    pub fn set_ready(&self) {
        self.health.set_ready(self.service);
    }

    /// Marks the service as not ready, with the reason.
    pub fn set_not_ready(&self, reason: impl Into<String>) {
        self.health.set_not_ready(self.service, reason);
    }
}

async fn shutdown_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
