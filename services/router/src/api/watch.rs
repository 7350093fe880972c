//! Following trades: every change from now on, to readers that keep up.

use super::{Api, Call};
use crate::{access::require_role, metrics as names, refusal::Refusal, token::Role};
use futures::stream::{self, BoxStream, StreamExt as _};
use metrics::gauge;
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
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
    _own_place: AccountPlace,
}

/// How many streams each account has open.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccountPlaces(Arc<Mutex<HashMap<String, usize>>>);

/// One of an account's places; given back when dropped.
pub(super) struct AccountPlace {
    places: AccountPlaces,
    account: String,
}

impl AccountPlaces {
    fn take(&self, account: &str, max: usize) -> Option<AccountPlace> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(account.to_owned()).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(AccountPlace { places: self.clone(), account: account.to_owned() })
    }
}

impl Drop for AccountPlace {
    fn drop(&mut self) {
        let mut open = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.account);
            }
        }
    }
}

impl Api {
    /// `Trading/WatchTrades`. The stream ends with RESOURCE_EXHAUSTED for a slow
    /// reader and with UNAVAILABLE when the router stops.
    pub(crate) fn watch_trades(&self, call: &Call, request: WatchTradesRequest) -> Result<Changes, Refusal> {
        if request.is_all_accounts {
            require_role(&call.caller, Role::Operator)?;
        }
        let own_place = self.own_watch_place(call)?;
        let Ok(place) = Arc::clone(&self.watchers).try_acquire_owned() else {
            return Err(Refusal::overloaded("watchers", Duration::from_secs(1)));
        };
        gauge!(names::WATCHERS).increment(1);
        let watcher = Watcher {
            changes: self.changes.subscribe(),
            account: (!request.is_all_accounts).then(|| call.caller.account.as_str().to_owned()),
            stopped: Box::pin(self.context.stopped()),
            _place: place,
            _own_place: own_place,
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

impl Api {
    /// One of the caller's places for a stream.
    pub(super) fn own_watch_place(&self, call: &Call) -> Result<AccountPlace, Refusal> {
        let limit = self.config.watchers_per_account_max;
        self.account_watchers.take(call.caller.account.as_str(), limit).ok_or_else(|| {
            let message = "this account follows trades and markets on as many streams as it may";
            let refusal = Refusal::new(Code::ResourceExhausted, "WATCH_LIMIT", message);
            refusal.with("limit", limit.to_string()).retry_after(Duration::from_secs(1))
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_so_many_places_and_gets_them_back() {
        let places = AccountPlaces::default();
        let first = places.take("alice", 2).expect("a place");
        let second = places.take("alice", 2).expect("another place");
        assert!(places.take("alice", 2).is_none());
        assert!(places.take("bob", 2).is_some(), "others are not concerned");
        drop(first);
        assert!(places.take("alice", 2).is_some());
        drop(second);
        assert!(places.0.lock().expect("not poisoned").is_empty());
    }
}
