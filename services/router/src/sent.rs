//! What was put on the bus for a caller and has no outcome yet. The lanes live in the memory of the bus, so what it
//! loses, with a restart, is sent again; the guard decides each trade once, however often it is asked.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};
use tragen_contracts::v1::{Proposal, TradeRequested};
use tragen_domain::tier::Tier;

/// How long an outcome is waited for before the first repeat over a connection that never broke; each further one
/// waits twice as long. What waits longer than that waits for a guard or an owner who is away.
const FIRST_REPEAT_MICROS: i64 = 10_000_000;
/// Repeats by time of one message.
const REPEATS_MAX: u32 = 6;

/// A message on its way to the guard.
#[derive(Debug, Clone)]
pub(crate) enum Outgoing {
    /// On the lane of a tier, to an agent.
    Trade(Tier, Box<TradeRequested>),
    /// Straight to the guard.
    Proposal(Box<Proposal>),
}

/// A message that was sent, and when somebody last waited for its outcome.
#[derive(Debug)]
pub(crate) struct Sent {
    message: Outgoing,
    /// When the last caller stops waiting, microseconds since the epoch.
    deadline_micros: AtomicI64,
    last: Mutex<LastTime>,
}

/// The newest sending.
#[derive(Debug, Clone, Copy)]
struct LastTime {
    /// Which connection to the bus it was, counted.
    connection: u64,
    at_micros: i64,
    repeats: u32,
}

impl Sent {
    /// `message`, about to be sent over the `connection`th connection.
    pub(crate) fn new(message: Outgoing, deadline_micros: i64, (connection, now_micros): (u64, i64)) -> Self {
        let last = LastTime { connection, at_micros: now_micros, repeats: 0 };
        Self { message, deadline_micros: AtomicI64::new(deadline_micros), last: Mutex::new(last) }
    }

    /// Another caller waits for the same outcome until `deadline_micros`.
    pub(crate) fn wait_until(&self, deadline_micros: i64) {
        self.deadline_micros.fetch_max(deadline_micros, Ordering::Relaxed);
    }

    /// The message to send again, if the bus may have lost it and somebody still waits; counts as sent with that.
    pub(crate) fn repeat(&self, connection: u64, now_micros: i64) -> Option<Outgoing> {
        let deadline_micros = self.deadline_micros.load(Ordering::Relaxed);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_overdue = last.repeats < REPEATS_MAX
            && now_micros.saturating_sub(last.at_micros) >= FIRST_REPEAT_MICROS << last.repeats;
        if deadline_micros <= now_micros || !(is_overdue || last.connection != connection) {
            return None;
        }
        let repeats = last.repeats + u32::from(is_overdue);
        *last = LastTime { connection, at_micros: now_micros, repeats };
        Some(self.message.clone().until(deadline_micros))
    }
}

impl Outgoing {
    /// The same, worth deciding until `deadline_micros`.
    fn until(mut self, deadline_micros: i64) -> Self {
        let meta = match &mut self {
            Self::Trade(_, request) => request.meta.as_mut(),
            Self::Proposal(proposal) => proposal.meta.as_mut(),
        };
        if let Some(meta) = meta {
            meta.deadline_micros = deadline_micros;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tragen_contracts::v1::Meta;

    const SECOND: i64 = 1_000_000;

    fn deadline_of(again: Option<Outgoing>) -> Option<i64> {
        match again? {
            Outgoing::Trade(_, request) => request.meta.map(|meta| meta.deadline_micros),
            Outgoing::Proposal(_) => None,
        }
    }

    fn sent(deadline: i64) -> Sent {
        let request = TradeRequested { meta: Some(Meta::default()), ..TradeRequested::default() };
        Sent::new(Outgoing::Trade(Tier::Free, Box::new(request)), deadline, (1, 0))
    }

    #[test]
    fn a_new_connection_sends_once_more_and_an_old_one_only_in_time() {
        let sent = sent(1_000 * SECOND);
        assert_eq!(deadline_of(sent.repeat(1, 9 * SECOND)), None);
        assert_eq!(deadline_of(sent.repeat(2, 9 * SECOND)), Some(1_000 * SECOND));
        assert_eq!(deadline_of(sent.repeat(2, 18 * SECOND)), None);
        // Ten seconds after the last time, then twenty.
        assert_eq!(deadline_of(sent.repeat(2, 19 * SECOND)), Some(1_000 * SECOND));
        assert_eq!(deadline_of(sent.repeat(2, 38 * SECOND)), None);
        assert_eq!(deadline_of(sent.repeat(2, 39 * SECOND)), Some(1_000 * SECOND));
    }

    #[test]
    fn what_nobody_waits_for_is_sent_again_only_when_somebody_comes_back() {
        let sent = sent(5 * SECOND);
        assert_eq!(deadline_of(sent.repeat(2, 5 * SECOND)), None);
        sent.wait_until(4 * SECOND);
        assert_eq!(deadline_of(sent.repeat(2, 5 * SECOND)), None);
        sent.wait_until(9 * SECOND);
        assert_eq!(deadline_of(sent.repeat(2, 5 * SECOND)), Some(9 * SECOND));
    }
}
