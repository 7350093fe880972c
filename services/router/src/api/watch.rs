//! Following trades: every change from now on, to readers that keep up.

use super::{Api, Call};
use crate::{access::require_role, metrics as names, refusal::Refusal, token::Role};
use futures::stream::{self, BoxStream, StreamExt as _};
use metrics::gauge;
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::sync::{
    OwnedSemaphorePermit,
    broadcast::{self, error::RecvError},
};
use tonic::Code;
use tragen_contracts::v1::{TradePosted, WatchTradesRequest, WatchTradesResponse};

/// What a reader is sent.
pub(crate) type Changes = BoxStream<'static, Result<WatchTradesResponse, Refusal>>;

/// One open stream.
struct Watcher {
    changes: broadcast::Receiver<Arc<TradePosted>>,
    /// `None` for all accounts.
    account: Option<String>,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    _place: OwnedSemaphorePermit,
}

impl Api {
    /// `Trading/WatchTrades`. The stream ends with RESOURCE_EXHAUSTED for a slow
    /// reader and with UNAVAILABLE when the router stops.
    pub(crate) fn watch_trades(&self, call: &Call, request: WatchTradesRequest) -> Result<Changes, Refusal> {
        if request.is_all_accounts {
            require_role(&call.caller, Role::Operator)?;
        }
        let Ok(place) = Arc::clone(&self.watchers).try_acquire_owned() else {
            return Err(Refusal::overloaded("watchers", Duration::from_secs(1)));
        };
        gauge!(names::WATCHERS).increment(1);
        let watcher = Watcher {
            changes: self.changes.subscribe(),
            account: (!request.is_all_accounts).then(|| call.caller.account.as_str().to_owned()),
            stopped: Box::pin(self.context.stopped()),
            _place: place,
        };
        let changes = stream::unfold(Some(watcher), |watcher| async move {
            let mut watcher = watcher?;
            match watcher.next().await {
                Ok(change) => Some((Ok(change), Some(watcher))),
                // The last item says why; then the stream ends.
                Err(refusal) => Some((Err(refusal), None)),
            }
        });
        Ok(changes.boxed())
    }
}

impl Watcher {
    async fn next(&mut self) -> Result<WatchTradesResponse, Refusal> {
        loop {
            // `recv` is cancel-safe.
            let change = tokio::select! {
                () = &mut self.stopped => return Err(Refusal::unavailable("SHUTTING_DOWN", "this router is stopping")),
                change = self.changes.recv() => change,
            };
            match change {
                Ok(posted) => {
                    let Some(trade) = &posted.trade else { continue };
                    if self.account.as_ref().is_none_or(|account| *account == trade.account_id) {
                        return Ok(WatchTradesResponse { trade: Some(trade.clone()) });
                    }
                }
                Err(RecvError::Lagged(missed)) => {
                    let refusal = Refusal::new(Code::ResourceExhausted, "SLOW_READER", "the reader did not keep up");
                    return Err(refusal.with("missed", missed.to_string()).retry_after(Duration::from_secs(1)));
                }
                Err(RecvError::Closed) => {
                    return Err(Refusal::unavailable("SHUTTING_DOWN", "this router is stopping"));
                }
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        gauge!(names::WATCHERS).decrement(1);
    }
}
