//! One past decision: what it was decided on, what was said, and how it ended.

use super::Replay;
use prost::Message as _;
use tragen_contracts::v1::{self, journal_record::Kind};
use tragen_domain::risk::ScopeState;

/// A decision as the journal has it, and the gate's state just before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The journal message.
    pub journal_sequence: u64,
    /// The guard that led.
    pub leader_id: String,
    /// When, microseconds since the epoch.
    pub decided_at_micros: i64,
    /// What was decided.
    pub decision: v1::JournalRecord,
    /// The newest epoch then.
    pub epoch: i64,
    /// Every scope that was not ACTIVE then.
    pub scopes: Vec<ScopeState>,
    /// Orders without an end in the journal then.
    pub open_orders: usize,
    /// How the order ended; `None` while it is open, or if there never was one.
    pub closed: Option<v1::OrderClosed>,
}

/// Looks for one decision while a journal is replayed.
#[derive(Debug)]
pub struct Explainer {
    replay: Replay,
    trade_id: String,
    found: Option<Explanation>,
}

impl Explainer {
    /// Of a trade, or of its order.
    #[must_use]
    pub fn new(id: &str) -> Self {
        let trade_id = id.strip_suffix("-o").unwrap_or(id).to_owned();
        Self { replay: Replay::default(), trade_id, found: None }
    }

    /// Takes the next message as it stands in the journal.
    ///
    /// # Errors
    /// As [`Replay::take`].
    pub fn take(&mut self, sequence: u64, payload: &[u8]) -> anyhow::Result<()> {
        let batch = v1::JournalBatch::decode(payload)?;
        let is_own = |record: &&v1::JournalRecord| record.key.as_ref().is_some_and(|key| key.trade_id == self.trade_id);
        for record in batch.records.iter().filter(is_own) {
            match &record.kind {
                Some(Kind::Closed(closed)) => {
                    if let Some(found) = &mut self.found {
                        found.closed = Some(closed.clone());
                    }
                }
                Some(Kind::Approved(_) | Kind::Refused(_) | Kind::Withdrawal(_)) => {
                    let state = self.replay.state();
                    self.found = Some(Explanation {
                        journal_sequence: sequence,
                        leader_id: batch.leader_id.clone(),
                        decided_at_micros: batch.decided_at_micros,
                        decision: record.clone(),
                        epoch: state.epoch(),
                        scopes: state.scopes().cloned().collect(),
                        open_orders: state.open_orders(),
                        closed: None,
                    });
                }
                Some(_) | None => {}
            }
        }
        self.replay.take(sequence, payload)
    }

    /// What was found.
    #[must_use]
    pub fn explanation(self) -> Option<Explanation> {
        self.found
    }
}
