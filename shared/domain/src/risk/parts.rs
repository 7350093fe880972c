//! Where the state comes from: the one list of all its fields. A new field is put into one of
//! the groups below, and whoever hashes or keeps the state does not compile before it says
//! what becomes of it.
//!
//! | what tells it | hashed into the journal | kept in a snapshot |
//! |---|---|---|
//! | the journal alone: [`Journaled`] | yes, a new field with a new version | yes |
//! | the journal with executions, ledger and configuration: [`Followed`] | no: they come in another order elsewhere | what they do not tell again |
//! | the market and today's configuration | no | no |
//! | people, within minutes | no | no |
//! | made of all that, or only of the last second | no | no |

use super::{Commands, Known, OpenOrder, Scope, ScopeState, State, streaks::Streaks};
use crate::{
    id::{AgentId, InstrumentId, OrderId},
    order::TradeStatus,
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What the journal alone determines: whoever replays the same journal has the same.
pub(super) struct Journaled<'a> {
    pub(super) epoch: i64,
    pub(super) scopes: &'a BTreeMap<Scope, ScopeState>,
    pub(super) settled: &'a HashSet<InstrumentId>,
    pub(super) agent_trades: &'a HashMap<AgentId, (i64, u32)>,
    pub(super) commands: &'a Commands,
    pub(super) known: &'a Known,
    pub(super) known_max: usize,
    /// With the open orders that are in the accounts these are all without an end in the journal.
    pub(super) ended: &'a BTreeMap<OrderId, (OpenOrder, TradeStatus)>,
    /// Only the losses that the journal has; a snapshot keeps all of it as memories.
    pub(super) streaks: &'a Streaks,
}

/// What is read from the journal, the executions, the ledger and the configuration together.
/// Breakers, changed limits, ramps and the house are in it, too: a snapshot has those as memories.
pub(super) struct Followed<'a> {
    pub(super) told: &'a Known,
}

impl State {
    /// Every field once.
    pub(super) const fn parts(&self) -> (Journaled<'_>, Followed<'_>) {
        let Self {
            epoch,
            scopes,
            settled,
            agent_trades,
            commands,
            known,
            known_max,
            ended,
            streaks,
            told,
            // Those that a snapshot has something of: see `State::noted_accounts`.
            accounts: _,
            noted: _,
            // As memories; see `memory.rs`.
            breakers: _,
            limit_changes: _,
            ramps: _,
            // The market tells them, and today's configuration.
            limits: _,
            instruments: _,
            matches: _,
            quotes: _,
            // They wait for a second person: no journal has them.
            limit_proposals: _,
            resumes: _,
            bookings: _,
            end_proposals: _,
            // Made of the accounts.
            account_ids: _,
            currencies: _,
            open: _,
            house: _,
            touched: _,
            // Of the last second: older than any snapshot that is read.
            house_pace: _,
            agent_paces: _,
        } = self;
        let journaled = Journaled {
            epoch: *epoch,
            scopes,
            settled,
            agent_trades,
            commands,
            known,
            known_max: *known_max,
            ended,
            streaks,
        };
        (journaled, Followed { told })
    }
}
