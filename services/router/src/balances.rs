//! Balances for display. Who says how old an answer may be gets it from a cache,
//! in the process or shared by routers; it is filled by reads and by what the
//! ledger tells. Misses of one balance ask the ledger once, however many wait.

use crate::{
    api::{Api, Call},
    metrics as names,
    refusal::{Refusal, malformed_answer},
};
use futures::{FutureExt as _, future::Shared};
use metrics::counter;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use tragen_cache::{BalanceCache, BalanceKey, CachedBalance, SharedBalances};
use tragen_contracts::v1::{self, GetAccountRequest, ledger_answer::Answer, ledger_question::Question};
use tragen_domain::{
    id::{AccountId, Currency},
    money::Money,
    time::Timestamp,
};
use tragen_host::{Context, clock::now_micros};

/// Balances that may wait to be shared; what does not fit is not shared.
const SHARE_QUEUE_MAX: usize = 8_192;
/// Most balances shared at once.
const SHARE_BATCH_MAX: usize = 256;

/// Told to everybody who waits for one read.
type Flight = Shared<oneshot::Receiver<Result<CachedBalance, Refusal>>>;

/// Cached balances and the reads that are on their way.
#[derive(Debug)]
pub(crate) struct Balances {
    cache: BalanceCache,
    flights: Mutex<HashMap<BalanceKey, Flight>>,
    to_share: Option<mpsc::Sender<(BalanceKey, CachedBalance)>>,
}

impl Balances {
    /// Remembers at most `entries_max` balances in the process, and tells `shared` of them.
    pub(crate) fn start(context: &Context, entries_max: u64, shared: Option<SharedBalances>) -> Self {
        let is_shared = shared.is_some();
        let cache = BalanceCache::new(entries_max, shared);
        let to_share = is_shared.then(|| {
            let (sender, waiting) = mpsc::channel(SHARE_QUEUE_MAX);
            context.spawn("share-balances", share(context.clone(), cache.clone(), waiting));
            sender
        });
        Self { cache, flights: Mutex::default(), to_share }
    }

    /// Remembers what the ledger surely had at `read_at`, unless a newer version is known.
    pub(crate) fn remember(&self, account: &v1::Account, read_at: Timestamp) {
        let key = AccountId::new(&account.account_id).ok().zip(Currency::new(&account.currency).ok());
        let Some((owner, currency)) = key else { return };
        let key = BalanceKey { account: owner, currency };
        let balance = cached(account, read_at);
        self.cache.keep(key.clone(), balance);
        if let Some(to_share) = &self.to_share
            && to_share.try_send((key, balance)).is_err()
        {
            counter!(names::UNSHARED).increment(1);
        }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<BalanceKey, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shares what has gathered while the last batch was written.
async fn share(
    context: Context,
    cache: BalanceCache,
    mut waiting: mpsc::Receiver<(BalanceKey, CachedBalance)>,
) -> anyhow::Result<()> {
    let stopped = context.stopped();
    tokio::pin!(stopped);
    let mut gathered = Vec::new();
    loop {
        tokio::select! {
            () = &mut stopped => return Ok(()),
            count = waiting.recv_many(&mut gathered, SHARE_BATCH_MAX) => if count == 0 { return Ok(()) },
        }
        cache.share(&gathered, Timestamp::from_micros(now_micros())).await;
        gathered.clear();
    }
}

impl Api {
    /// The caller's balance, at most `age_ms_max` milliseconds old.
    ///
    /// # Errors
    /// What the ledger says; UNAVAILABLE when it says nothing in time.
    pub(crate) async fn cached_account(
        self: &Arc<Self>,
        call: &Call,
        currency: Currency,
        age_ms_max: u32,
    ) -> Result<v1::Account, Refusal> {
        let key = BalanceKey { account: call.caller.account.clone(), currency };
        let now = Timestamp::from_micros(now_micros());
        if let Some(balance) = self.balances.cache.get(&key, age_ms_max, now).await {
            return Ok(account(&key, &balance));
        }
        let (flight, is_own) = self.flight(call, &key);
        let balance = match tokio::time::timeout_at(call.deadline, flight).await {
            Ok(Ok(read)) => read?,
            Ok(Err(_)) => return Err(Refusal::unavailable("SHUTTING_DOWN", "this router is stopping")),
            Err(_) => return Err(too_late()),
        };
        // A read that somebody else has begun may have begun too early for this caller.
        if is_own || balance.is_fresh(age_ms_max, now) {
            return Ok(account(&key, &balance));
        }
        let balance = self.read_balance(&key, &call.traceparent, self.patience(call)).await?;
        Ok(account(&key, &balance))
    }

    /// The read of a balance that is on its way, or a new one that goes on without its caller.
    fn flight(self: &Arc<Self>, call: &Call, key: &BalanceKey) -> (Flight, bool) {
        let mut flights = self.balances.flights();
        if let Some(flight) = flights.get(key) {
            return (flight.clone(), false);
        }
        let (tell, told) = oneshot::channel();
        let flight = told.shared();
        flights.insert(key.clone(), flight.clone());
        let (api, key, traceparent) = (Arc::clone(self), key.clone(), call.traceparent.clone());
        self.context.spawn("read-balance", async move {
            let read = api.read_balance(&key, &traceparent, api.config.ask_timeout()).await;
            api.balances.flights().remove(&key);
            let _ = tell.send(read);
            Ok(())
        });
        (flight, true)
    }

    async fn read_balance(
        &self,
        key: &BalanceKey,
        traceparent: &str,
        timeout: Duration,
    ) -> Result<CachedBalance, Refusal> {
        // The ledger reads it later, so it is never older than this says.
        let read_at = Timestamp::from_micros(now_micros());
        let request = GetAccountRequest { currency: key.currency.to_string(), ..GetAccountRequest::default() };
        let question = Question::GetAccount(request);
        let Answer::Account(answer) = self.ask_ledger(key.account.as_str(), question, traceparent, timeout).await?
        else {
            return Err(malformed_answer());
        };
        let account = answer.account.ok_or_else(malformed_answer)?;
        self.balances.remember(&account, read_at);
        Ok(cached(&account, read_at))
    }
}

fn cached(account: &v1::Account, read_at: Timestamp) -> CachedBalance {
    CachedBalance {
        cash: Money::from_micros(account.cash_micros),
        margin: Money::from_micros(account.margin_micros),
        version: account.version,
        is_frozen: account.is_frozen,
        read_at,
    }
}

fn account(key: &BalanceKey, balance: &CachedBalance) -> v1::Account {
    v1::Account {
        account_id: key.account.to_string(),
        currency: key.currency.to_string(),
        cash_micros: balance.cash.micros(),
        margin_micros: balance.margin.micros(),
        version: balance.version,
        is_frozen: balance.is_frozen,
    }
}

fn too_late() -> Refusal {
    Refusal::unavailable("PART_UNAVAILABLE", "the ledger did not answer in time").with("part", "ledger")
}
