//! Whether the parts of a process can do their work. Live is "the process
//! runs"; ready is "every part says so".

use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
};
use tokio::sync::watch;

/// Readiness of named parts; clones share the state.
#[derive(Debug, Clone)]
pub struct Health {
    parts: Arc<RwLock<BTreeMap<String, Result<(), String>>>>,
    changed: watch::Sender<u64>,
}

impl Default for Health {
    fn default() -> Self {
        Self { parts: Arc::default(), changed: watch::Sender::new(0) }
    }
}

impl Health {
    /// Says that `part` is ready.
    pub fn set_ready(&self, part: &str) {
        self.set(part, Ok(()));
    }

    /// Says why `part` is not ready.
    pub fn set_not_ready(&self, part: &str, reason: impl Into<String>) {
        self.set(part, Err(reason.into()));
    }

    /// Every part with its state, sorted by name.
    #[must_use]
    pub fn parts(&self) -> Vec<(String, Result<(), String>)> {
        let parts = self.parts.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        parts.iter().map(|(part, state)| (part.clone(), state.clone())).collect()
    }

    /// Whether there are parts and all are ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let parts = self.parts.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        !parts.is_empty() && parts.values().all(Result::is_ok)
    }

    /// Waits until `part` is ready.
    pub async fn wait_ready(&self, part: &str) {
        let mut changes = self.changed.subscribe();
        loop {
            changes.borrow_and_update();
            let is_ready = {
                let parts = self.parts.read().unwrap_or_else(std::sync::PoisonError::into_inner);
                matches!(parts.get(part), Some(Ok(())))
            };
            if is_ready || changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn set(&self, part: &str, state: Result<(), String>) {
        let mut parts = self.parts.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if parts.get(part) != Some(&state) {
            parts.insert(part.to_owned(), state);
            self.changed.send_modify(|version| *version += 1);
        }
    }
}
