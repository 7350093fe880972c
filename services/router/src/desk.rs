//! Where callers wait for outcomes. A request is known from its first arrival
//! until its answer is forgotten, so a repeat joins the wait or gets the same
//! answer; everything is bounded.

use crate::{
    metrics as names,
    refusal::Refusal,
    sent::{Outgoing, Sent},
};
use bytes::Bytes;
use metrics::gauge;
use prost::Message as _;
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::sync::watch;
use tragen_cache::LocalCache;
use tragen_contracts::v1::{CashPosted, TradePosted, TradeStatus};
use tragen_domain::{
    id::{AccountId, TradeId},
    time::Timestamp,
};

/// A committed outcome.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Posted {
    /// Of a trade; it may still be working.
    Trade(Box<TradePosted>),
    /// Of a withdrawal or sending.
    Cash(Box<CashPosted>),
}

/// What a wait ended with.
pub(crate) type Outcome = Result<Arc<Posted>, Refusal>;

/// One wait; joined by every repeat of the request.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) trade_id: TradeId,
    pub(crate) account: AccountId,
    pub(crate) request_id: String,
    pub(crate) payload_hash: Bytes,
    pub(crate) since: Timestamp,
    /// What was put on the bus for it, once it was.
    pub(crate) sent: OnceLock<Sent>,
    outcome: watch::Sender<Option<Outcome>>,
}

/// What the desk knows of a request.
#[derive(Debug)]
pub(crate) enum Claim {
    /// Nothing: the claimant must see to it.
    New(Arc<Waiting>),
    /// It is on its way.
    Joined(Arc<Waiting>),
    /// It was answered lately.
    Known(Arc<Posted>),
    /// Too many wait already.
    Full,
}

/// An answer as it is remembered: encoded it takes a third of the memory.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    is_trade: bool,
    encoded: Bytes,
    /// Whether nothing can follow, and the account's version: the greater is the later answer.
    age: (bool, i64),
}

/// All waits and recent answers of the process.
#[derive(Debug)]
pub(crate) struct Desk {
    answers: Mutex<HashMap<TradeId, Arc<Waiting>>>,
    finals: Mutex<HashMap<TradeId, Arc<Waiting>>>,
    recent: LocalCache<TradeId, Answer>,
    waiting_max: usize,
    waiting_age_max: Duration,
}

impl Posted {
    pub(crate) fn trade_id(&self) -> &str {
        match self {
            Self::Trade(posted) => posted.trade.as_ref().map_or("", |trade| &trade.trade_id),
            Self::Cash(posted) => &posted.trade_id,
        }
    }

    pub(crate) fn payload_hash(&self) -> &Bytes {
        match self {
            Self::Trade(posted) => &posted.payload_hash,
            Self::Cash(posted) => &posted.payload_hash,
        }
    }

    fn status(&self) -> TradeStatus {
        match self {
            Self::Trade(posted) => posted.trade.as_ref().map_or(TradeStatus::Unspecified, |trade| trade.status()),
            Self::Cash(_) => TradeStatus::Filled,
        }
    }

    /// Whether a caller can be told: something is committed.
    fn is_answer(&self) -> bool {
        !matches!(self.status(), TradeStatus::Unspecified | TradeStatus::Pending)
    }

    /// Whether nothing can follow.
    pub(crate) fn is_final(&self) -> bool {
        self.is_answer() && self.status() != TradeStatus::Working
    }
}

impl Answer {
    fn new(posted: &Posted) -> Self {
        let (is_trade, encoded, version) = match posted {
            Posted::Trade(posted) => {
                let version = posted.trade.as_ref().map_or(0, |trade| trade.account_version);
                (true, posted.encode_to_vec(), version)
            }
            Posted::Cash(posted) => (false, posted.encode_to_vec(), 0),
        };
        Self { is_trade, encoded: encoded.into(), age: (posted.is_final(), version) }
    }

    fn posted(self) -> Option<Posted> {
        if self.is_trade {
            TradePosted::decode(self.encoded).ok().map(|posted| Posted::Trade(Box::new(posted)))
        } else {
            CashPosted::decode(self.encoded).ok().map(|posted| Posted::Cash(Box::new(posted)))
        }
    }
}

impl Waiting {
    pub(crate) fn new(
        trade_id: TradeId,
        account: AccountId,
        request_id: String,
        payload_hash: Bytes,
        since: Timestamp,
    ) -> Self {
        let (sent, outcome) = (OnceLock::new(), watch::Sender::new(None));
        Self { trade_id, account, request_id, payload_hash, since, sent, outcome }
    }

    /// Waits for the outcome; `None` at the deadline. May be dropped at any time.
    pub(crate) async fn outcome(&self, deadline: tokio::time::Instant) -> Option<Outcome> {
        let mut outcome = self.outcome.subscribe();
        let known = tokio::time::timeout_at(deadline, outcome.wait_for(Option::is_some)).await;
        known.ok()?.ok()?.clone()
    }

    fn end(&self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl Desk {
    pub(crate) fn new(waiting_max: usize, waiting_age_max: Duration, recent_max: u64, recent_for: Duration) -> Self {
        Self {
            answers: Mutex::default(),
            finals: Mutex::default(),
            recent: LocalCache::new("answers", recent_max, recent_for),
            waiting_max,
            waiting_age_max,
        }
    }

    /// Finds the request or makes `waiting` its wait, in one step.
    pub(crate) fn claim(&self, waiting: Waiting) -> Claim {
        let mut answers = lock(&self.answers);
        if let Some(posted) = self.recent.get(&waiting.trade_id).and_then(Answer::posted) {
            return Claim::Known(Arc::new(posted));
        }
        let is_full = answers.len() >= self.waiting_max;
        match answers.entry(waiting.trade_id.clone()) {
            Entry::Occupied(joined) => Claim::Joined(Arc::clone(joined.get())),
            Entry::Vacant(_) if is_full => Claim::Full,
            Entry::Vacant(place) => {
                let waiting = Arc::clone(place.insert(Arc::new(waiting)));
                gauge!(names::WAITING).increment(1);
                Claim::New(waiting)
            }
        }
    }

    /// A wait for the final outcome of a trade; `None` if too many wait already.
    pub(crate) fn await_final(&self, waiting: Waiting) -> Option<Arc<Waiting>> {
        let mut finals = lock(&self.finals);
        if let Some(joined) = finals.get(&waiting.trade_id) {
            return Some(Arc::clone(joined));
        }
        if finals.len() >= self.waiting_max {
            return None;
        }
        let waiting = Arc::new(waiting);
        finals.insert(waiting.trade_id.clone(), Arc::clone(&waiting));
        Some(waiting)
    }

    /// The wait of a trade that has no outcome yet.
    pub(crate) fn on_its_way(&self, trade_id: &TradeId) -> Option<Arc<Waiting>> {
        lock(&self.answers).get(trade_id).map(Arc::clone)
    }

    /// Something is committed: tell who waits for it, and remember it for repeats.
    pub(crate) fn resolve(&self, posted: &Arc<Posted>) {
        let Ok(trade_id) = TradeId::new(posted.trade_id()) else { return };
        if posted.is_answer() {
            let waiting = {
                let mut answers = lock(&self.answers);
                let waiting = answers.remove(&trade_id);
                // Kept before the lock is released: a repeat finds the wait or the answer.
                if waiting.is_some() || self.recent.contains(&trade_id) {
                    let answer = Answer::new(posted);
                    let age = answer.age;
                    // A fact is heard, and then read from the stream: by then a later one may have been heard.
                    self.recent.insert_if(trade_id.clone(), answer, |own| own.age < age);
                }
                waiting
            };
            if let Some(waiting) = waiting {
                gauge!(names::WAITING).decrement(1);
                waiting.end(Ok(Arc::clone(posted)));
            }
        }
        if posted.is_final()
            && let Some(waiting) = lock(&self.finals).remove(&trade_id)
        {
            waiting.end(Ok(Arc::clone(posted)));
        }
    }

    /// The request was not taken in: everybody who waits for it is told, and a
    /// repeat starts anew.
    pub(crate) fn fail(&self, waiting: &Arc<Waiting>, refusal: Refusal) {
        let removed = {
            let mut answers = lock(&self.answers);
            match answers.get(&waiting.trade_id) {
                Some(current) if Arc::ptr_eq(current, waiting) => answers.remove(&waiting.trade_id),
                Some(_) | None => None,
            }
        };
        if removed.is_some() {
            gauge!(names::WAITING).decrement(1);
        }
        waiting.end(Err(refusal));
    }

    /// Whoever waits for the end of the trade of `account` is told why it does not come; a
    /// repeat starts anew.
    pub(crate) fn fail_final(&self, trade: &TradeId, account: &AccountId, refusal: Refusal) {
        let waiting = {
            let mut finals = lock(&self.finals);
            let is_own = finals.get(trade).is_some_and(|waiting| waiting.account == *account);
            if is_own { finals.remove(trade) } else { None }
        };
        if let Some(waiting) = waiting {
            waiting.end(Err(refusal));
        }
    }

    /// Ends every wait: the process stops.
    pub(crate) fn close(&self, refusal: &Refusal) {
        for waits in [&self.answers, &self.finals] {
            for (_, waiting) in lock(waits).drain() {
                waiting.end(Err(refusal.clone()));
            }
        }
    }

    /// The trades that have waited for `age`. Waits that nobody can be part of
    /// any more are dropped.
    pub(crate) fn overdue(&self, now: Timestamp, age: Duration) -> Vec<String> {
        let older = |waiting: &Waiting, age: Duration| {
            u128::try_from(now.millis_since(waiting.since)).is_ok_and(|millis| millis >= age.as_millis())
        };
        let mut overdue = Vec::new();
        for (waits, is_counted) in [(&self.answers, true), (&self.finals, false)] {
            let mut waits = lock(waits);
            let before = waits.len();
            waits.retain(|_, waiting| !older(waiting, self.waiting_age_max));
            if is_counted {
                gauge!(names::WAITING).decrement(f64::from(u32::try_from(before - waits.len()).unwrap_or(u32::MAX)));
            }
            let waiting = waits.values().filter(|waiting| older(waiting, age));
            overdue.extend(waiting.map(|waiting| waiting.trade_id.as_str().to_owned()));
        }
        overdue
    }

    /// What waits for an outcome and may have been lost with an earlier connection to the bus, to be sent again over
    /// the `connection`th.
    pub(crate) fn lost(&self, connection: u64, now: Timestamp) -> Vec<Outgoing> {
        let again = |waiting: &Arc<Waiting>| waiting.sent.get()?.repeat(connection, now.micros());
        let mut lost: Vec<Outgoing> = lock(&self.answers).values().filter_map(again).collect();
        lost.extend(lock(&self.finals).values().filter_map(again));
        lost
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;
    use tragen_contracts::v1::Trade;

    fn desk() -> Desk {
        Desk::new(2, Duration::from_secs(60), 10, Duration::from_secs(60))
    }

    fn waiting(trade: &str, since: i64) -> Waiting {
        let account = AccountId::new("alice").expect("an id");
        let since = Timestamp::from_micros(since * 1_000_000);
        Waiting::new(TradeId::new(trade).expect("an id"), account, "r".to_owned(), Bytes::from_static(b"h"), since)
    }

    fn posted(trade: &str, status: TradeStatus) -> Arc<Posted> {
        let trade = Trade { trade_id: trade.to_owned(), status: status.into(), ..Trade::default() };
        Arc::new(Posted::Trade(Box::new(TradePosted { trade: Some(trade), ..TradePosted::default() })))
    }

    #[test]
    fn a_request_is_claimed_once_then_joined_then_known() {
        let desk = desk();
        assert!(matches!(desk.claim(waiting("t1", 0)), Claim::New(_)));
        assert!(matches!(desk.claim(waiting("t1", 0)), Claim::Joined(_)));
        desk.resolve(&posted("t1", TradeStatus::Pending));
        assert!(matches!(desk.claim(waiting("t1", 0)), Claim::Joined(_)));
        desk.resolve(&posted("t1", TradeStatus::Working));
        assert!(matches!(desk.claim(waiting("t1", 0)), Claim::Known(known) if !known.is_final()));
        desk.resolve(&posted("t1", TradeStatus::Filled));
        assert!(matches!(desk.claim(waiting("t1", 0)), Claim::Known(known) if known.is_final()));
    }

    #[test]
    fn an_answer_is_not_taken_back_by_an_earlier_one() {
        let desk = desk();
        assert!(matches!(desk.claim(waiting("t1", 0)), Claim::New(_)));
        for (status, is_final) in
            [(TradeStatus::Working, false), (TradeStatus::Filled, true), (TradeStatus::Working, true)]
        {
            desk.resolve(&posted("t1", status));
            assert!(matches!(desk.claim(waiting("t1", 0)), Claim::Known(known) if known.is_final() == is_final));
        }
    }

    #[test]
    fn a_full_desk_takes_no_more_until_one_leaves() {
        let desk = desk();
        assert!(matches!(desk.claim(waiting("t1", 0)), Claim::New(_)));
        let Claim::New(second) = desk.claim(waiting("t2", 0)) else { panic!("not new") };
        assert!(matches!(desk.claim(waiting("t3", 0)), Claim::Full));
        assert!(matches!(desk.claim(waiting("t1", 0)), Claim::Joined(_)));
        desk.fail(&second, Refusal::new(Code::Unavailable, "TEST", "a test"));
        assert!(matches!(desk.claim(waiting("t3", 0)), Claim::New(_)));
    }

    #[tokio::test]
    async fn a_wait_for_the_end_of_a_trade_fails_for_its_own_account_only() {
        let desk = desk();
        let wait = desk.await_final(waiting("t1", 0)).expect("a place");
        let refusal = || Refusal::new(Code::ResourceExhausted, "CANCEL_RATE", "a test");
        let (own, foreign) = (AccountId::new("alice").expect("an id"), AccountId::new("bob").expect("an id"));
        desk.fail_final(&wait.trade_id, &foreign, refusal());
        desk.fail_final(&TradeId::new("t2").expect("an id"), &own, refusal());
        let at_once = tokio::time::Instant::now();
        assert!(wait.outcome(at_once).await.is_none(), "somebody else's cancel has ended it");
        desk.fail_final(&wait.trade_id, &own, refusal());
        let outcome = wait.outcome(at_once + Duration::from_secs(5)).await.expect("an end");
        assert_eq!(outcome.expect_err("a refusal").reason(), "CANCEL_RATE");
        let again = desk.await_final(waiting("t1", 0)).expect("a place");
        assert!(again.outcome(tokio::time::Instant::now()).await.is_none(), "a repeat waits anew");
    }

    #[test]
    fn long_waits_are_looked_up_and_very_long_ones_dropped() {
        let desk = desk();
        let _old = desk.claim(waiting("t1", 0));
        let _new = desk.claim(waiting("t2", 10));
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        let second = Duration::from_secs(1);
        assert_eq!(desk.overdue(at(10), second), ["t1"]);
        assert_eq!(desk.overdue(at(60), second), ["t2"]);
        assert!(desk.overdue(at(70), second).is_empty());
    }
}
