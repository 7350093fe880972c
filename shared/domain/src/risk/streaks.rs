//! Closed trades of configured agents and their losses in a row, where that is limited.
//!
//! A trade goes from flat to flat (or through zero) and belongs to every agent whose orders
//! have filled in it, whoever closes it: a reduction that sells at a loss is a loss of theirs.
//! Fills and payouts close trades; each closed one is journaled with a number and only counts
//! from there, so the journal alone tells every streak. Who reads fills and journal again
//! knows by the numbers which of them are in it already, in whatever order the two are read.

use super::{BreakerKind, LimitName, LossStreak, Reading, Rules, Scope};
use crate::{
    execution::Fill,
    id::{AccountId, AgentId, InstrumentId},
    instrument::SettlementTerms,
    money::{Money, Overflow, Quantity},
    order::Side,
    portfolio::RoundTrip,
    position::{FillEffect, Position, PositionError},
};
use std::collections::BTreeMap;

/// What ended a trade. Each is numbered by itself, because each comes from a stream of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TradeEnd {
    /// A fill.
    Fill,
    /// Its market was paid out.
    Payout,
}

/// A closed trade of one agent, as it is journaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedTrade {
    /// Whose.
    pub agent: AgentId,
    /// With whose money.
    pub account: AccountId,
    /// In what.
    pub instrument: InstrumentId,
    /// What ended it.
    pub end: TradeEnd,
    /// Counts the agent's trades that ended in this way, from 1.
    pub number: u64,
    /// Profit or loss after fees.
    pub net: Money,
}

/// Losses in a row of one agent, for a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptStreak {
    /// Whose.
    pub agent: AgentId,
    /// Losses in a row.
    pub losses: LossStreak,
    /// Trades in the journal that fills have closed, and that payouts have.
    pub journaled: [u64; 2],
    /// Closed trades of both kinds that were seen, journaled or not.
    pub seen: [u64; 2],
}

/// An open trade, for a snapshot: the ledger knows positions, but not who has part in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTrade {
    /// With whose money.
    pub account: AccountId,
    /// In what.
    pub instrument: InstrumentId,
    /// Every agent whose orders have filled in it, sorted.
    pub agents: Vec<AgentId>,
    /// The position, without sums of the past.
    pub position: Position,
    /// What it has won so far.
    pub trip: RoundTrip,
}

/// Everything about closed trades that a restart must not forget.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Streaks {
    agents: BTreeMap<AgentId, Streak>,
    open: BTreeMap<(AccountId, InstrumentId), Open>,
    /// Closed, and not journaled yet: oldest first.
    due: Vec<ClosedTrade>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Streak {
    losses: LossStreak,
    journaled: [u64; 2],
    seen: [u64; 2],
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Open {
    agents: Vec<AgentId>,
    position: Position,
    trip: RoundTrip,
}

/// New fills of one order.
pub(super) struct Filled<'a> {
    pub(super) account: &'a AccountId,
    pub(super) instrument: &'a InstrumentId,
    /// The configured agent that ordered; `None` for everybody else.
    pub(super) agent: Option<&'a AgentId>,
    pub(super) side: Side,
    pub(super) settlement: &'a SettlementTerms,
    pub(super) fills: &'a [Fill],
}

impl TradeEnd {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Fill, Self::Payout];

    const fn index(self) -> usize {
        match self {
            Self::Fill => 0,
            Self::Payout => 1,
        }
    }
}

impl Streaks {
    /// Whether fills of `agent` in this holding are of interest.
    pub(super) fn is_followed(
        &self,
        rules: &Rules,
        agent: Option<&AgentId>,
        place: (&AccountId, &InstrumentId),
    ) -> bool {
        let is_open = !self.open.is_empty() && self.open.contains_key(&(place.0.clone(), place.1.clone()));
        is_open || agent.is_some_and(|agent| is_limited(rules, agent))
    }

    /// Takes new fills; `before` is the position that the holding had before them, for an
    /// agent that joins what others have begun.
    ///
    /// # Errors
    /// [`Overflow`].
    pub(super) fn fill(&mut self, rules: &Rules, filled: &Filled<'_>, before: &Position) -> Result<(), Overflow> {
        let key = (filled.account.clone(), filled.instrument.clone());
        let agent = filled.agent.filter(|agent| is_limited(rules, agent));
        for fill in filled.fills {
            let open = self.open.entry(key.clone()).or_insert_with(|| Open::from(before));
            let held = open.position.quantity;
            let effect = match open.position.apply(filled.side, fill, filled.settlement) {
                Ok(effect) => effect,
                Err(PositionError::Overflow(overflow)) => return Err(overflow),
                // The ledger refuses it too.
                Err(PositionError::SpotShort { .. }) => continue,
            };
            // Sums of the whole past: the trip has what this trade has won.
            (open.position.realized_pnl, open.position.fees) = (Money::ZERO, Money::ZERO);
            open.join(agent);
            let now = open.position.quantity;
            if let Some(net) = open.trip.fill(held, now, &effect)? {
                // What goes on through zero is a trade of whoever has turned it.
                let agents = std::mem::replace(&mut open.agents, agent.cloned().into_iter().collect());
                self.close(agents, &key, TradeEnd::Fill, net);
            }
            let is_nobodys = |open: &Open| open.position.quantity.is_zero() || open.agents.is_empty();
            if self.open.get(&key).is_some_and(is_nobodys) {
                self.open.remove(&key);
            }
        }
        Ok(())
    }

    /// A market was paid out: what is open in it is closed.
    ///
    /// # Errors
    /// [`Overflow`].
    pub(super) fn pay_out(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        realized_pnl: Money,
    ) -> Result<(), Overflow> {
        if self.open.is_empty() {
            return Ok(());
        }
        let key = (account, instrument);
        let Some(mut open) = self.open.remove(&key) else { return Ok(()) };
        let effect = FillEffect { realized_pnl, ..FillEffect::default() };
        if let Some(net) = open.trip.fill(open.position.quantity, Quantity::ZERO, &effect)? {
            self.close(open.agents, &key, TradeEnd::Payout, net);
        }
        Ok(())
    }

    fn close(&mut self, agents: Vec<AgentId>, place: &(AccountId, InstrumentId), end: TradeEnd, net: Money) {
        for agent in agents {
            let streak = self.agents.entry(agent.clone()).or_default();
            let seen = &mut streak.seen[end.index()];
            *seen += 1;
            if *seen > streak.journaled[end.index()] {
                let (account, instrument) = place.clone();
                self.due.push(ClosedTrade { agent, account, instrument, end, number: *seen, net });
            }
        }
    }

    /// A closed trade is in the journal.
    pub(super) fn count(&mut self, closed: &ClosedTrade) {
        let streak = self.agents.entry(closed.agent.clone()).or_default();
        let journaled = &mut streak.journaled[closed.end.index()];
        if closed.number <= *journaled {
            return;
        }
        *journaled = closed.number;
        streak.losses.close(closed.net);
        let is_told =
            |own: &ClosedTrade| own.agent == closed.agent && own.end == closed.end && own.number <= closed.number;
        self.due.retain(|own| !is_told(own));
    }

    /// Everything there is was read: trades that are journaled and whose fills the bus has no
    /// more are not seen again.
    pub(super) fn resume(&mut self) {
        for streak in self.agents.values_mut() {
            for end in TradeEnd::ALL.map(TradeEnd::index) {
                streak.seen[end] = streak.seen[end].max(streak.journaled[end]);
            }
        }
    }

    /// Closed trades that are to be journaled, oldest first.
    pub(super) fn due(&self) -> &[ClosedTrade] {
        &self.due
    }

    /// Losses in a row of every agent that is limited.
    pub(super) fn readings<'a>(&'a self, rules: &'a Rules) -> impl Iterator<Item = Reading> + 'a {
        let limited = self.agents.iter().filter(|(agent, _)| is_limited(rules, agent));
        limited.map(|(agent, streak)| Reading {
            kind: BreakerKind::ConsecutiveLosses,
            scope: Scope::Agent(agent.clone()),
            value: Some(streak.losses.losses()),
        })
    }

    /// What the journal has told: losses in a row and journaled trades of every agent, sorted.
    pub(super) fn journaled(&self) -> impl Iterator<Item = (&AgentId, LossStreak, [u64; 2])> {
        let told = self.agents.iter().filter(|(_, streak)| streak.journaled != [0, 0]);
        told.map(|(agent, streak)| (agent, streak.losses, streak.journaled))
    }

    pub(super) fn kept(&self) -> impl Iterator<Item = KeptStreak> {
        self.agents.iter().map(|(agent, own)| KeptStreak {
            agent: agent.clone(),
            losses: own.losses,
            journaled: own.journaled,
            seen: own.seen,
        })
    }

    pub(super) fn open_trades(&self) -> impl Iterator<Item = OpenTrade> {
        self.open.iter().map(|((account, instrument), own)| OpenTrade {
            account: account.clone(),
            instrument: instrument.clone(),
            agents: own.agents.clone(),
            position: own.position,
            trip: own.trip,
        })
    }

    pub(super) fn restore(&mut self, kept: KeptStreak) {
        let KeptStreak { agent, losses, journaled, seen } = kept;
        self.agents.insert(agent, Streak { losses, journaled, seen });
    }

    pub(super) fn restore_open(&mut self, open: OpenTrade) {
        let OpenTrade { account, instrument, agents, position, trip } = open;
        self.open.insert((account, instrument), Open { agents, position, trip });
    }

    pub(super) fn restore_due(&mut self, closed: ClosedTrade) {
        self.due.push(closed);
    }
}

impl Open {
    fn from(before: &Position) -> Self {
        let position = Position { realized_pnl: Money::ZERO, fees: Money::ZERO, ..*before };
        Self { position, ..Self::default() }
    }

    fn join(&mut self, agent: Option<&AgentId>) {
        if let Some(agent) = agent
            && let Err(place) = self.agents.binary_search(agent)
        {
            self.agents.insert(place, agent.clone());
        }
    }
}

fn is_limited(rules: &Rules, agent: &AgentId) -> bool {
    rules.of(LimitName::ConsecutiveLossesHaltMax, agent.as_str()).is_some()
}
