//! The state as it is kept in a snapshot: what the journal and the executions have told.
//! Balances and positions are asked of the ledger again, quotes of the market.

use super::{
    Commands, KnownTrade, Limits, Memory, OpenOrder, Order, ScopeState, State, Unposted,
    exposure::Owners,
    parts::{Followed, Journaled},
};
use crate::{
    arrivals::Arrived,
    id::{AccountId, AgentId, Currency, ExecutionId, InstrumentId, PoolId, TradeId},
    market::Timeframe,
    money::{Money, Overflow, Quantity},
};

/// What a snapshot keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The newest epoch.
    pub epoch: i64,
    /// Every scope that is not ACTIVE.
    pub scopes: Vec<ScopeState>,
    /// Instruments that are paid out.
    pub settled: Vec<InstrumentId>,
    /// Approved orders of each agent: the UTC day of the last one, and how many on that day.
    pub agent_trades: Vec<(AgentId, i64, u32)>,
    /// Operators' commands.
    pub commands: Commands,
    /// Orders without an end in the journal, in no order.
    pub orders: Vec<StoredOrder>,
    /// Most decided trades that are remembered.
    pub known_max: usize,
    /// Decided trades, the one that is forgotten first at the beginning; shared with the state.
    pub known: Arrived<TradeId, KnownTrade>,
    /// Trades that only the executions know; shared with the state.
    pub told: Arrived<TradeId, KnownTrade>,
    /// Who has ordered what: limits and reductions by agent and pool need it for ever.
    pub owners: Vec<StoredOwners>,
    /// Fills that the ledger has not posted, oldest first for each account and instrument.
    pub unposted: Vec<(AccountId, InstrumentId, Unposted)>,
    /// What limits by scope and breakers remember.
    pub memories: Vec<Memory>,
    /// Money held for withdrawals: whose, for which, of which currency, how much.
    pub withdrawals: Vec<(AccountId, TradeId, Currency, Money)>,
}

/// Everybody who has ever ordered in one holding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredOwners {
    /// Whose holding, and of what.
    pub holding: Option<(AccountId, InstrumentId)>,
    /// Pools.
    pub pools: Vec<PoolId>,
    /// Configured agents.
    pub agents: Vec<AgentId>,
    /// Timeframes of their signals.
    pub timeframes: Vec<Timeframe>,
}

/// An order without an end in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOrder {
    /// The order.
    pub order: Order,
    /// Filled so far.
    pub filled: Quantity,
    /// Its executions so far.
    pub executions: Vec<ExecutionId>,
}

impl State {
    /// What a snapshot keeps of the state now.
    #[must_use]
    pub fn stored(&self) -> Stored {
        let (journaled, Followed { told }) = self.parts();
        let Journaled { epoch, scopes, settled, agent_trades, commands, known, known_max, ended, streaks: _ } =
            journaled;
        let mut stored = Stored {
            epoch,
            scopes: scopes.values().cloned().collect(),
            settled: settled.iter().cloned().collect(),
            agent_trades: agent_trades.iter().map(|(agent, (day, count))| (agent.clone(), *day, *count)).collect(),
            known_max,
            commands: commands.clone(),
            known: known.arrived().clone(),
            told: told.arrived().clone(),
            memories: self.memories(),
            ..Stored::default()
        };
        // One with an end is kept as open: whether its report is stored is not known here, and
        // asking the venue once more changes nothing.
        let orders = self.orders().chain(ended.values().map(|(open, _)| open));
        stored.orders.extend(orders.map(|open| StoredOrder {
            order: open.order.clone(),
            filled: open.filled,
            executions: open.executions.clone(),
        }));
        for (id, account) in self.noted_accounts() {
            for (instrument, holding) in account.holdings() {
                if !holding.owners().is_empty() {
                    let Owners { pools, agents, timeframes } = holding.owners().clone();
                    let holding = Some((id.clone(), instrument.clone()));
                    stored.owners.push(StoredOwners { holding, pools, agents, timeframes });
                }
                let unposted = holding.unposted().iter().cloned();
                stored.unposted.extend(unposted.map(|unposted| (id.clone(), instrument.clone(), unposted)));
            }
            let held = account.withdrawals();
            stored
                .withdrawals
                .extend(held.map(|(t, currency, amount)| (id.clone(), t.clone(), currency.clone(), amount)));
        }
        stored
    }

    /// The state of a snapshot.
    ///
    /// # Errors
    /// [`Overflow`]: what was stored contradicts itself.
    pub fn restore(limits: Limits, stored: Stored) -> Result<Self, Overflow> {
        // All of it: what is kept is put back.
        let Stored {
            epoch,
            scopes,
            settled,
            agent_trades,
            commands,
            orders,
            known_max,
            known,
            told,
            owners,
            unposted,
            memories,
            withdrawals,
        } = stored;
        let mut state = Self::new(limits);
        state.epoch = epoch;
        state.scopes = scopes.into_iter().map(|entry| (entry.scope.clone(), entry)).collect();
        state.settled = settled.into_iter().collect();
        state.agent_trades = agent_trades.into_iter().map(|(id, day, count)| (id, (day, count))).collect();
        state.known_max = known_max;
        state.commands = commands;
        (state.known, state.told) = (known.into(), told.into());
        for StoredOwners { holding, pools, agents, timeframes } in owners {
            let Some((account, instrument)) = holding else { continue };
            let owners = Owners { pools, agents, timeframes };
            state.tracked(&account, std::slice::from_ref(&instrument), |account| {
                account.change(&instrument, None, |holding| *holding.owners_mut() = owners)
            })?;
        }
        for memory in memories {
            state.remember(memory)?;
        }
        for (account, instrument, unposted) in unposted {
            let terms = unposted.settlement.clone();
            state.tracked(&account, std::slice::from_ref(&instrument), |account| {
                account.change(&instrument, Some(&terms), |holding| holding.fill(unposted))
            })?;
        }
        let mut orders = orders;
        orders.sort_by(|a, b| (a.order.decided_at, &a.order.terms.id).cmp(&(b.order.decided_at, &b.order.terms.id)));
        for StoredOrder { order, filled, executions } in orders {
            let (account, instrument) = (order.account.clone(), order.terms.instrument.clone());
            let terms = order.settlement.clone();
            state.open.insert(order.terms.id.clone(), (account.clone(), instrument.clone()));
            let open = OpenOrder { order, filled, executions };
            state.tracked(&account, std::slice::from_ref(&instrument), |account| {
                account.change(&instrument, Some(&terms), |holding| holding.open(open, None))
            })?;
        }
        for (account, trade, currency, amount) in withdrawals {
            state.account_mut(account).hold_withdrawal(trade, &currency, amount)?;
        }
        Ok(state)
    }
}
