//! Following the trading state: at once, on every broadcast of the guard, and once
//! a second for the progress of reductions; told only when something is different.

use super::{Api, Call};
use crate::{metrics as names, refusal::Refusal};
use futures::stream::{self, BoxStream, StreamExt as _};
use metrics::gauge;
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::{sync::OwnedSemaphorePermit, time::Interval};
use tragen_bus::CoreSubject;
use tragen_contracts::v1::{ControlState, GetRiskStateRequest, GetRiskStateResponse, WatchRiskResponse};

/// How often the guard is asked while it says nothing by itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The guard may be changing hands; a reader hears of it only when that takes longer.
const GUARD_GONE_FOR: u32 = 10;

/// What a reader is sent.
pub(crate) type States = BoxStream<'static, Result<WatchRiskResponse, Refusal>>;

/// One open stream.
struct Watcher {
    api: Arc<Api>,
    call: Call,
    heard: BoxStream<'static, ControlState>,
    look: Interval,
    told: Option<GetRiskStateResponse>,
    failures: u32,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    _place: OwnedSemaphorePermit,
}

impl Api {
    /// `RiskControl/WatchRisk`. The stream ends with UNAVAILABLE when the router stops or
    /// no guard answers for ten seconds.
    pub(crate) async fn watch_risk(self: &Arc<Self>, call: Call) -> Result<States, Refusal> {
        let Ok(place) = Arc::clone(&self.watchers).try_acquire_owned() else {
            return Err(Refusal::overloaded("watchers", Duration::from_secs(1)));
        };
        let heard = self.bus.listen::<ControlState>(&CoreSubject::ControlState).await;
        let heard = heard.map_err(|_| Refusal::unavailable("PART_UNAVAILABLE", "the bus is not there"))?;
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        gauge!(names::WATCHERS).increment(1);
        let watcher = Watcher {
            api: Arc::clone(self),
            call,
            heard: heard.boxed(),
            look,
            told: None,
            failures: 0,
            stopped: Box::pin(self.context.stopped()),
            _place: place,
        };
        let states = stream::unfold(Some(watcher), |watcher| async move {
            let mut watcher = watcher?;
            match watcher.next().await {
                Ok(state) => Some((Ok(state), Some(watcher))),
                // The last item says why; then the stream ends.
                Err(refusal) => Some((Err(refusal), None)),
            }
        });
        Ok(states.boxed())
    }
}

impl Watcher {
    async fn next(&mut self) -> Result<WatchRiskResponse, Refusal> {
        loop {
            // Every branch is cancel-safe.
            tokio::select! {
                () = &mut self.stopped => return Err(Refusal::unavailable("SHUTTING_DOWN", "this router is stopping")),
                _ = self.look.tick() => {}
                Some(_) = self.heard.next() => {}
            }
            // Every look has its own patience: the call itself lasts as long as the reader likes.
            let call = Call { deadline: tokio::time::Instant::now() + LOOK_EVERY, ..self.call.clone() };
            match self.api.get_risk_state(&call, GetRiskStateRequest {}).await {
                Ok(state) => {
                    self.failures = 0;
                    if self.told.as_ref() != Some(&state) {
                        self.told = Some(state.clone());
                        return Ok(WatchRiskResponse { state: Some(state) });
                    }
                }
                Err(refusal) if self.failures >= GUARD_GONE_FOR => return Err(refusal),
                Err(_) => self.failures += 1,
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        gauge!(names::WATCHERS).decrement(1);
    }
}
