//! How long the ledger's commits took, by its own metric.

use hdrhistogram::Histogram;
use metrics::{Counter, Gauge, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use std::sync::{Arc, Mutex, PoisonError};

/// The metric, as the ledger names it.
const COMMIT_SECONDS: &str = "ledger_commit_seconds";

/// Keeps every value of one metric, in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Commits(Arc<Mutex<Histogram<u64>>>);

impl Commits {
    /// Listens from now on.
    ///
    /// # Errors
    /// When somebody else does.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let commits = Self(Arc::new(Mutex::new(Histogram::new(3)?)));
        metrics::set_global_recorder(commits.clone()).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(commits)
    }

    /// Forgets what was before.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The quantile in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a commit are far below 2^52")]
    pub(crate) fn millis_at(&self, quantile: f64) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).value_at_quantile(quantile) as f64 / 1_000.0
    }
}

impl HistogramFn for Commits {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration in microseconds")]
    fn record(&self, seconds: f64) {
        // It grows to whatever comes: nothing is refused.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).record((seconds * 1e6) as u64);
    }
}

impl Recorder for Commits {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        if key.name() == COMMIT_SECONDS {
            metrics::Histogram::from_arc(Arc::new(self.clone()))
        } else {
            metrics::Histogram::noop()
        }
    }
}
