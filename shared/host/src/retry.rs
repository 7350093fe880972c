//! Waiting between attempts: doubling, bounded, with jitter.

use std::time::Duration;

/// Doubling waits from `first` to `longest`, each shortened by up to a quarter
/// so that many callers do not return at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Starts at `first` and never waits longer than `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// Waits before the next attempt.
    pub async fn wait(&mut self) {
        let jitter = self.next.mul_f64(f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 1_024.0);
        tokio::time::sleep(self.next.saturating_sub(jitter)).await;
        self.next = (self.next * 2).min(self.longest);
    }
}
