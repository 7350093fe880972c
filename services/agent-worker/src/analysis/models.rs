//! What is learned from results, off the trading path: of all who need the same model one
//! fits it, and equal results on an equal day are never fitted twice.

use super::refused::Refused;
use std::{sync::Arc, time::Duration};
use tragen_cache::FlightCache;
use tragen_domain::agents::{
    epl_research::{ModelKey, ResearchModel, ResearchRules, model_key},
    football::{History, MatchDay},
};

/// Models that are kept; one of a whole league takes about half a megabyte.
const MODELS_MAX: u64 = 64;
/// How long.
const KEPT_FOR: Duration = Duration::from_secs(3_600);

/// Fitted models by fingerprint of the results and day.
#[derive(Debug)]
pub(super) struct Models {
    cache: FlightCache<ModelKey, Arc<ResearchModel>>,
}

impl Models {
    pub(super) fn new() -> Self {
        Self { cache: FlightCache::new("models", MODELS_MAX, KEPT_FOR) }
    }

    /// What was known before the matches of `day`.
    pub(super) async fn before(&self, history: &Arc<History>, day: MatchDay) -> Result<Arc<ResearchModel>, Refused> {
        let rules = ResearchRules::default();
        let own = Arc::clone(history);
        let making = async move {
            let fitting = tokio::task::spawn_blocking(move || ResearchModel::new(History::clone(&own), day, &rules));
            let made = fitting.await.map_err(|_| Refused::Broken)?;
            made.map(Arc::new).map_err(Refused::from)
        };
        let made = self.cache.get_or_try(model_key(history, day, &rules), making).await;
        made.map_err(|refused: Arc<Refused>| Refused::clone(&refused))
    }
}
