//! What configured agents have shown: counted from the ledger's facts and valued at bars, one record for each agent.
//! Every fact counts once: an agent's record says up to which fact of each shard it is counted, and is stored with
//! that, so a restart goes on where the stored record ends.
//!
//! An agent is known from its first trade. All that moves on its account counts for it: whose part of a shared
//! position a fill is, nobody tells.

mod follow;
mod stored;

pub(crate) use follow::start;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tragen_contracts::{
    convert::{self, InvalidField},
    v1::{self, ledger_fact::Kind},
};
use tragen_domain::{
    id::{AccountId, AgentId, Currency, InstrumentId},
    kpi::{Calendar, PositionAfter, Track},
    market::Bar,
    money::{Money, Overflow, Price, Quantity},
    portfolio::Undefined,
    time::Timestamp,
};

/// Days without a trade count too, so a year has all of them.
const CALENDAR: Calendar = Calendar::EveryDay;

/// The records; clones share them. Never locked across an await.
#[derive(Debug, Clone)]
pub(crate) struct SharedScores(Arc<Mutex<Scores>>);

/// The records of all agents.
#[derive(Debug)]
pub(crate) struct Scores {
    agents: BTreeMap<AgentId, Scored>,
    on_account: BTreeMap<AccountId, BTreeSet<AgentId>>,
    changed: BTreeSet<AgentId>,
    agents_max: usize,
}

/// One agent.
#[derive(Debug)]
struct Scored {
    account: AccountId,
    currency: Currency,
    /// The last fact of each shard that is counted.
    told: BTreeMap<u16, i64>,
    track: Track,
}

/// Why a fact was not counted.
#[derive(Debug, thiserror::Error)]
enum NotCounted {
    /// A field makes no sense.
    #[error(transparent)]
    Malformed(#[from] InvalidField),
    /// An amount does not fit.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

impl SharedScores {
    pub(crate) fn new(agents_max: usize) -> Self {
        let (agents, on_account, changed) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self(Arc::new(Mutex::new(Scores { agents, on_account, changed, agents_max })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Scores> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scores {
    /// The score, parts per million; `None` before there is one.
    pub(crate) fn score_ppm(&self, agent: &AgentId) -> Option<i64> {
        self.agents.get(agent)?.track.record().score_ppm().ok()
    }

    /// Account and equity of an agent that has traded.
    pub(crate) fn equity(&self, agent: &AgentId) -> Option<(&AccountId, Money)> {
        self.agents.get(agent).map(|scored| (&scored.account, scored.track.equity()))
    }

    /// Agents with a record.
    fn count(&self) -> u32 {
        u32::try_from(self.agents.len()).unwrap_or(u32::MAX)
    }

    /// Counts a fact of `shard`, for every agent that trades with the account.
    fn take_fact(&mut self, shard: u16, fact: &v1::LedgerFact) -> Result<(), NotCounted> {
        let now = Timestamp::from_micros(fact.meta.as_ref().map_or(0, |meta| meta.occurred_at_micros));
        let Some(account) = account_of(fact) else { return Ok(()) };
        let is_known = self.on_account.contains_key(account);
        let newcomer = newcomer_of(fact).filter(|agent| !self.agents.contains_key(*agent));
        if newcomer.is_none() && !is_known {
            return Ok(());
        }
        let account: AccountId = convert::id("account_id", account)?;
        if let Some(agent) = newcomer {
            self.begin(convert::id("agent_id", agent)?, &account, fact, now)?;
        }
        for agent in self.on_account.get(&account).cloned().unwrap_or_default() {
            let Some(scored) = self.agents.get_mut(&agent) else { continue };
            if scored.told.get(&shard).is_some_and(|told| fact.sequence <= *told) {
                continue;
            }
            // Told or not, it is over with it: a fact that does not fit now never will.
            scored.told.insert(shard, fact.sequence);
            self.changed.insert(agent);
            scored.take(fact, now)?;
        }
        Ok(())
    }

    /// An agent has its first trade: what the account had before it is what the agent begins with.
    fn begin(
        &mut self,
        agent: AgentId,
        account: &AccountId,
        fact: &v1::LedgerFact,
        now: Timestamp,
    ) -> Result<(), NotCounted> {
        let Some(wallet) = fact.balances.iter().find_map(|changed| changed.account.as_ref()) else { return Ok(()) };
        if self.agents.len() >= self.agents_max {
            return Ok(());
        }
        let margin: i64 = fact.positions.iter().filter_map(|p| p.position.as_ref()).map(|p| p.margin_micros).sum();
        let cash_change = match &fact.kind {
            Some(Kind::Trade(posted)) => posted.trade.as_ref().map_or(0, |trade| trade.cash_change_micros),
            Some(Kind::Cash(_) | Kind::Settled(_)) | None => 0,
        };
        let micros = [wallet.cash_micros, wallet.margin_micros].map(Money::from_micros);
        let [cash, set_aside] = micros;
        let equity = cash.plus(set_aside)?.minus(Money::from_micros(cash_change))?.minus(Money::from_micros(margin))?;
        let scored = Scored {
            account: account.clone(),
            currency: convert::id("currency", &wallet.currency)?,
            told: BTreeMap::new(),
            track: Track::starting_at(equity, CALENDAR, now),
        };
        self.insert(agent, scored);
        Ok(())
    }

    fn insert(&mut self, agent: AgentId, scored: Scored) {
        self.on_account.entry(scored.account.clone()).or_default().insert(agent.clone());
        self.agents.insert(agent, scored);
    }

    /// Values what is held of the bar's instrument at its close.
    fn take_bar(&mut self, bar: &Bar, now: Timestamp) {
        let prices = [bar.bid.close, bar.ask.close];
        for (agent, scored) in &mut self.agents {
            match scored.track.value(&bar.instrument, prices, now) {
                Ok(true) => _ = self.changed.insert(agent.clone()),
                Ok(false) => {}
                Err(Overflow) => tracing::debug!("what agent {agent} holds does not fit at {}", bar.instrument),
            }
        }
    }

    /// Days end also for those that do not trade.
    fn pass(&mut self, now: Timestamp) {
        for (agent, scored) in &mut self.agents {
            let before = scored.track.record().days();
            if scored.track.observe(now).is_ok() && scored.track.record().days() != before {
                self.changed.insert(agent.clone());
            }
        }
    }
}

impl Scored {
    fn take(&mut self, fact: &v1::LedgerFact, now: Timestamp) -> Result<(), NotCounted> {
        let mut wallets = fact.balances.iter().filter_map(|changed| changed.account.as_ref());
        if wallets.any(|wallet| wallet.currency != self.currency.as_str()) {
            return Ok(());
        }
        let fee = match &fact.kind {
            Some(Kind::Trade(posted)) => posted.trade.as_ref().map_or(0, |trade| trade.fee_micros),
            Some(Kind::Cash(_) | Kind::Settled(_)) | None => 0,
        };
        let before = self.track.equity();
        for changed in fact.positions.iter().filter(|changed| changed.account_id == self.account.as_str()) {
            let Some(position) = &changed.position else { continue };
            let instrument: InstrumentId = convert::id("instrument_id", &position.instrument_id)?;
            self.track.change(&instrument, &position_after(position), Money::from_micros(fee), now)?;
        }
        if let Some(Kind::Cash(cash)) = &fact.kind {
            // A corrected fill is in its position, not a payment.
            let is_in_positions = self.track.equity() != before;
            if cash.amount_micros != 0 && cash.denial.is_none() && !is_in_positions {
                self.track.flow(Money::from_micros(cash.amount_micros), now)?;
            }
        }
        Ok(())
    }

    fn why_none(&self) -> Option<Undefined> {
        self.track.record().score_ppm().err()
    }
}

fn account_of(fact: &v1::LedgerFact) -> Option<&str> {
    match fact.kind.as_ref()? {
        Kind::Trade(posted) => posted.trade.as_ref().map(|trade| trade.account_id.as_str()),
        Kind::Cash(posted) => posted.account.as_ref().map(|account| account.account_id.as_str()),
        Kind::Settled(paid) => Some(&paid.account_id),
    }
}

/// The agent of a trade that was filled.
fn newcomer_of(fact: &v1::LedgerFact) -> Option<&str> {
    match fact.kind.as_ref()? {
        Kind::Trade(posted) => {
            let is_filled = posted.trade.as_ref().is_some_and(|trade| trade.filled_quantity_micros > 0);
            Some(posted.agent_id.as_str()).filter(|agent| is_filled && !agent.is_empty())
        }
        Kind::Cash(_) | Kind::Settled(_) => None,
    }
}

fn position_after(position: &v1::Position) -> PositionAfter {
    PositionAfter {
        quantity: Quantity::from_micros(position.quantity_micros),
        average_price: Price::from_micros(position.average_price_micros),
        realized_pnl: Money::from_micros(position.realized_pnl_micros),
        fees: Money::from_micros(position.fee_micros),
    }
}

#[cfg(test)]
mod tests;
