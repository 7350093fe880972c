//! What limits by scope and breakers remember beyond open orders: for a snapshot,
//! because a guard that starts from one does not read the journal before it.

use super::{
    BreakerRecord, ClosedTrade, KeptPayments, KeptStreak, LimitChange, OpenTrade, Scope, Seat, State, exposure::Owners,
};
use crate::{
    id::{AccountId, AgentId, Currency, InstrumentId, PoolId},
    instrument::SettlementTerms,
    market::Timeframe,
    money::{Money, Overflow},
    time::Timestamp,
};

/// One thing that is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Memory {
    /// A limit that was changed while the gate ran.
    Limit(LimitChange),
    /// A breaker, a baseline, or what was paid into a wallet.
    Breaker(BreakerRecord),
    /// Where a configured agent sits.
    Seated(AgentId, Seat),
    /// Who has ordered in a holding of the house.
    Traded(Traded),
    /// A scope whose limits open slowly.
    Resumed(Scope, Timestamp),
    /// What a wallet began with.
    WalletStarted(WalletStarted),
    /// Losses in a row of an agent.
    Streak(KeptStreak),
    /// A trade of agents that is open.
    OpenTrade(OpenTrade),
    /// A closed trade that is not journaled yet.
    TradeDue(ClosedTrade),
}

/// Who has ordered in a holding of the house.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traded {
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub instrument: InstrumentId,
    /// How its money moves.
    pub terms: SettlementTerms,
    /// Pools that have ordered.
    pub pools: Vec<PoolId>,
    /// Configured agents that have.
    pub agents: Vec<AgentId>,
    /// Timeframes of their signals.
    pub timeframes: Vec<Timeframe>,
}

/// What a wallet began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletStarted {
    /// Whose.
    pub account: AccountId,
    /// Of which currency.
    pub currency: Currency,
    /// How much, shifted by payments since.
    pub start: Money,
    /// The ledger's version of the newest payment in it.
    pub version: i64,
}

impl State {
    /// Everything of it, in no order.
    #[must_use]
    pub fn memories(&self) -> Vec<Memory> {
        let mut all: Vec<Memory> = self.limit_changes.values().cloned().map(Memory::Limit).collect();
        all.extend(self.breakers.records().map(Memory::Breaker));
        all.extend(self.breakers.seats().map(|(agent, seat)| Memory::Seated(agent.clone(), seat.clone())));
        all.extend(self.ramps.resumed().map(|(scope, at)| Memory::Resumed(scope.clone(), at)));
        all.extend(self.streaks.kept().map(Memory::Streak));
        all.extend(self.streaks.open_trades().map(Memory::OpenTrade));
        all.extend(self.streaks.due().iter().cloned().map(Memory::TradeDue));
        for (id, account) in self.noted_accounts() {
            for (currency, _) in account.balances() {
                if let Some((start, version)) = account.wallet_start(currency) {
                    let (account, currency) = (id.clone(), currency.clone());
                    all.push(Memory::WalletStarted(WalletStarted { account, currency, start, version }));
                }
                if let (total, version @ 1..) = account.payments(currency) {
                    let kept = KeptPayments { account: id.clone(), currency: currency.clone(), total, version };
                    all.push(Memory::Breaker(BreakerRecord::PaymentsKept(kept)));
                }
            }
            if self.limits.is_house(id) {
                all.extend(account.traded(id).map(Memory::Traded));
            }
        }
        all
    }

    /// Takes one of them back.
    ///
    /// # Errors
    /// [`Overflow`].
    pub(super) fn remember(&mut self, memory: Memory) -> Result<(), Overflow> {
        match memory {
            Memory::Limit(change) => self.change_limit(change),
            Memory::Breaker(record) => self.apply_breaker(record),
            Memory::Seated(agent, seat) => self.breakers.seat(&agent, &seat.account, seat.pool.as_ref()),
            Memory::Resumed(scope, at) => self.ramps.remember(scope, at),
            Memory::Streak(own) => self.streaks.restore(own),
            Memory::OpenTrade(own) => self.streaks.restore_open(own),
            Memory::TradeDue(own) => self.streaks.restore_due(own),
            Memory::WalletStarted(own) => {
                let account = self.account_mut(own.account);
                // Listed with its wallets, so that it is found again.
                account.balance_mut(&own.currency);
                account.start_wallet(&own.currency, (own.start, own.version));
            }
            Memory::Traded(own) => {
                let Traded { account, instrument, terms, pools, agents, timeframes } = own;
                self.tracked(&account, std::slice::from_ref(&instrument), |account| {
                    let owners = Owners { pools, agents, timeframes };
                    account.change(&instrument, Some(&terms), |holding| holding.owners_mut().extend(owners))
                })?;
            }
        }
        Ok(())
    }
}
