//! The gate's memory and how records change it.

mod executions;

use super::{
    AccountState, BookingProposal, BreakerRecord, Breakers, ClosedTrade, Commands, EndProposal, House, Known,
    KnownTrade, Latch, LimitChange, LimitName, LimitProposal, Limits, Order, Posted, Proposed, Reading, Record,
    ResumeProposal, Scope, ScopeState, TradingState, pace::Pace, ramp::Ramps, streaks::Streaks,
};
use crate::{
    id::{AccountId, AgentId, Currency, ExecutionId, InstrumentId, MatchId, OrderId, QuickMap, TradeId},
    instrument::Instrument,
    market::Quote,
    money::{Money, Overflow, Quantity},
    order::TradeStatus,
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Bound,
};

/// Accounts that there is always room for among those that were changed since they were checked.
const TOUCHED_ROOM: usize = 16_384;

/// An order that may still execute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOrder {
    /// The order.
    pub order: Order,
    /// Filled so far.
    pub filled: Quantity,
    /// Its executions so far.
    pub executions: Vec<ExecutionId>,
}

impl OpenOrder {
    /// What may still fill, >= 0.
    #[must_use]
    pub fn remaining(&self) -> Quantity {
        self.order.terms.quantity.minus(self.filled).unwrap_or_default().max(Quantity::ZERO)
    }
}

/// Everything the gate decides with; see [`super::decide`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    pub(super) limits: Limits,
    pub(super) instruments: QuickMap<InstrumentId, Instrument>,
    pub(super) quotes: QuickMap<InstrumentId, Quote>,
    /// Boxed, so that the empty half of the table is small.
    pub(super) accounts: HashMap<AccountId, Box<AccountState>>,
    /// The same accounts in order, so that they can be read page by page.
    pub(super) account_ids: BTreeSet<AccountId>,
    /// Instruments that are paid out.
    pub(super) settled: HashSet<InstrumentId>,
    /// Every currency once: a million accounts share its name.
    pub(super) currencies: BTreeSet<Currency>,
    /// The instruments of each match.
    pub(super) matches: QuickMap<MatchId, Vec<InstrumentId>>,
    /// What the accounts of the house have in the market.
    pub(super) house: House,
    /// Approved orders of the last second.
    pub(super) house_pace: Pace,
    pub(super) agent_paces: QuickMap<AgentId, Pace>,
    pub(super) ramps: Ramps,
    pub(super) breakers: Breakers,
    /// Closed trades of agents and their losses in a row.
    pub(super) streaks: Streaks,
    /// The newest change of every limit that was changed while the gate ran.
    pub(super) limit_changes: BTreeMap<(LimitName, String), LimitChange>,
    pub(super) limit_proposals: Vec<LimitProposal>,
    /// Where each open order lives.
    pub(super) open: HashMap<OrderId, (AccountId, InstrumentId)>,
    /// Orders with an end that the journal does not have yet.
    pub(super) ended: BTreeMap<OrderId, (OpenOrder, TradeStatus)>,
    /// Trades as the journal knows them.
    pub(super) known: Known,
    /// Trades that only the executions know, e.g. because the journal was lost.
    pub(super) told: Known,
    /// Most trades in each of the two.
    pub(super) known_max: usize,
    /// Accounts that were changed since they were last checked.
    pub(super) touched: HashSet<AccountId>,
    /// Of all others those that a snapshot has something of: it need not look at a million accounts.
    pub(super) noted: HashSet<AccountId>,
    /// Scopes that are not ACTIVE.
    pub(super) scopes: BTreeMap<Scope, ScopeState>,
    pub(super) epoch: i64,
    /// Approved orders of each agent on the UTC day of its last one.
    pub(super) agent_trades: HashMap<AgentId, (i64, u32)>,
    pub(super) commands: Commands,
    pub(super) resumes: Vec<ResumeProposal>,
    pub(super) bookings: Vec<BookingProposal>,
    /// Ends of reductions that wait for their second person.
    pub(super) end_proposals: Vec<EndProposal>,
}

impl State {
    /// An empty memory: it denies everything until a trading state is recorded.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        // Not the limit of today: what was journaled before the first term that says its own
        // must be remembered in the same way for ever.
        let known_max = Limits::default().known_trades_max;
        Self { limits, known_max, ..Self::default() }
    }

    /// Takes the memory for all trades that are remembered at once, for whoever decides from now on: no
    /// decision waits for a table that grows. What the state says does not change.
    pub fn make_room(&mut self) {
        self.known.make_room(self.known_max);
        self.told.make_room(self.known_max);
    }

    /// The thresholds.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    #[cfg(test)]
    pub(super) const fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// The newest epoch; 0 until a trading state is recorded.
    #[must_use]
    pub const fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Every scope that is not ACTIVE, sorted.
    pub fn scopes(&self) -> impl Iterator<Item = &ScopeState> {
        self.scopes.values()
    }

    /// The entry of a scope that is not ACTIVE.
    #[must_use]
    pub fn scope(&self, scope: &Scope) -> Option<&ScopeState> {
        self.scopes.get(scope)
    }

    /// The state of one scope by itself.
    #[must_use]
    pub fn state_of(&self, scope: &Scope) -> TradingState {
        self.scope(scope).map_or(TradingState::Active, |entry| entry.state)
    }

    /// An instrument's definition.
    #[must_use]
    pub fn instrument(&self, instrument: &InstrumentId) -> Option<&Instrument> {
        self.instruments.get(instrument)
    }

    /// An instrument's newest quote.
    #[must_use]
    pub fn quote(&self, instrument: &InstrumentId) -> Option<&Quote> {
        self.quotes.get(instrument)
    }

    /// An account the gate has heard of.
    #[must_use]
    pub fn account(&self, account: &AccountId) -> Option<&AccountState> {
        self.accounts.get(account).map(Box::as_ref)
    }

    /// Every account the gate has heard of, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = (&AccountId, &AccountState)> {
        self.accounts.iter().map(|(id, account)| (id, account.as_ref()))
    }

    /// Every account whose id comes after `after`, sorted by id; all after the empty text.
    pub fn accounts_after(&self, after: &str) -> impl Iterator<Item = (&AccountId, &AccountState)> {
        let ids = self.account_ids.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        ids.filter_map(|id| Some((id, self.account(id)?)))
    }

    /// Whether the instrument is paid out: nobody trades it any more.
    #[must_use]
    pub fn is_settled(&self, instrument: &InstrumentId) -> bool {
        self.settled.contains(instrument)
    }

    /// Every open order of instruments that are paid out; they are to be canceled.
    pub fn settled_orders(&self) -> impl Iterator<Item = &OpenOrder> {
        self.orders().filter(|open| self.is_settled(&open.order.terms.instrument))
    }

    /// What became of a trade. An order with an end is finished, whether the journal has it or not.
    #[must_use]
    pub fn known(&self, trade: &TradeId) -> Option<&KnownTrade> {
        let known = self.known.get(trade).or_else(|| self.told.get(trade))?;
        match known {
            KnownTrade::InFlight(order) if !self.open.contains_key(order) => Some(&KnownTrade::Finished),
            KnownTrade::InFlight(_) | KnownTrade::Finished => Some(known),
        }
    }

    /// Orders with an end that the journal does not have yet, and how they ended.
    pub fn ended(&self) -> impl Iterator<Item = &(OpenOrder, TradeStatus)> {
        self.ended.values()
    }

    /// At most so many of the accounts that were changed since they were last taken.
    pub(super) fn take_touched(&mut self, most: usize) -> HashSet<AccountId> {
        let taken: HashSet<AccountId> = self.touched.extract_if(|_| true).take(most).collect();
        if self.touched.is_empty() && self.touched.capacity() > TOUCHED_ROOM {
            // After a start with a million accounts it would stay large, and looking for the few in it would take long.
            self.touched.shrink_to(TOUCHED_ROOM);
        }
        for id in &taken {
            if self.account(id).is_some_and(AccountState::is_noted) {
                self.noted.insert(id.clone());
            } else {
                self.noted.remove(id);
            }
        }
        taken
    }

    /// Every account that a snapshot has something of, and perhaps some more.
    pub(super) fn noted_accounts(&self) -> impl Iterator<Item = (&AccountId, &AccountState)> {
        self.noted.union(&self.touched).filter_map(|id| Some((id, self.account(id)?)))
    }

    /// Every open order's id, with its account and instrument.
    pub(super) const fn open(&self) -> &HashMap<OrderId, (AccountId, InstrumentId)> {
        &self.open
    }

    /// An open order.
    #[must_use]
    pub fn order(&self, order: &OrderId) -> Option<&OpenOrder> {
        let (account, instrument) = self.open.get(order)?;
        let orders = self.accounts.get(account)?.holding(instrument)?.orders();
        orders.iter().find(|open| open.order.terms.id == *order)
    }

    /// Every open order, in no order.
    pub fn orders(&self) -> impl Iterator<Item = &OpenOrder> {
        self.open.keys().filter_map(|order| self.order(order))
    }

    /// How many orders are open.
    #[must_use]
    pub fn open_orders(&self) -> usize {
        self.open.len()
    }

    /// Sum of everything held by open orders and withdrawals, all currencies added up.
    #[must_use]
    pub fn held(&self) -> Money {
        let balances = self.accounts.values().flat_map(|account| account.balances());
        balances.fold(Money::ZERO, |sum, (_, balance)| sum.plus(balance.held).unwrap_or(sum))
    }

    /// Trades and withdrawals that the ledger has still to post.
    #[must_use]
    pub fn unposted(&self) -> Vec<TradeId> {
        let mut trades = Vec::new();
        for account in self.accounts.values() {
            let fills = account.holdings().flat_map(|(_, holding)| holding.unposted());
            trades.extend(fills.map(|unposted| unposted.trade.clone()));
            trades.extend(account.withdrawals().map(|(trade, ..)| trade.clone()));
        }
        trades.sort();
        trades.dedup();
        trades
    }

    /// Orders of `agent` that were approved on the UTC day of `now`.
    #[must_use]
    pub fn agent_trades(&self, agent: &AgentId, now: Timestamp) -> u32 {
        self.agent_trades.get(agent).filter(|(day, _)| *day == now.utc_day()).map_or(0, |(_, count)| *count)
    }

    /// What the accounts of the house have in the market.
    #[must_use]
    pub const fn house(&self) -> &House {
        &self.house
    }

    /// The share of its limits that an order of `scopes` has now, parts per million:
    /// less than all of them for a while after a resume.
    pub(super) fn ramp_ppm(&self, proposed: &Proposed, now: Timestamp) -> i64 {
        self.ramps.ppm(|| proposed.scopes(), self.limits.ramp_ms, now)
    }

    /// The newest change of every limit that was changed while the gate ran, sorted.
    pub fn limit_changes(&self) -> impl Iterator<Item = &LimitChange> {
        self.limit_changes.values()
    }

    /// Tripped breakers whose scope is milder than they want it, or whose reduction nobody has
    /// ordered: they are still to be obeyed.
    pub fn unobeyed_breakers(&self) -> impl Iterator<Item = &Latch> {
        let is_due = |latch: &&Latch| {
            let wanted = latch.kind.effect().state();
            wanted.is_some_and(|wanted| self.state_of(&latch.scope) < wanted) || latch.owes_reduction()
        };
        self.breakers.latches().filter(is_due)
    }

    /// Closed trades of agents that are to be journaled, oldest first.
    #[must_use]
    pub fn due_trades(&self) -> &[ClosedTrade] {
        self.streaks.due()
    }

    /// Losses in a row of every agent that is limited.
    pub fn streak_readings(&self) -> impl Iterator<Item = Reading> {
        self.streaks.readings(&self.limits.rules)
    }

    /// Whoever begins to lead has read everything there is; what the bus has no more is not
    /// waited for.
    pub fn resume_streaks(&mut self) {
        self.streaks.resume();
    }

    /// The newest quote of every instrument, in no order.
    pub fn quotes(&self) -> impl Iterator<Item = &Quote> {
        self.quotes.values()
    }

    /// Breakers that have tripped, and what losses are measured from.
    #[must_use]
    pub const fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// Every prediction about a match.
    pub(super) fn instruments_of(&self, fixture: &MatchId) -> impl Iterator<Item = &InstrumentId> {
        self.matches.get(fixture).into_iter().flatten()
    }

    pub(super) fn agent_orders_in_second(&self, agent: &AgentId, now: Timestamp) -> usize {
        self.agent_paces.get(agent).map_or(0, |pace| pace.within_second(now))
    }

    pub(super) fn house_orders_in_second(&self, now: Timestamp) -> usize {
        self.house_pace.within_second(now)
    }

    /// Applies one change. The order of records of one source matters, that
    /// between sources does not.
    ///
    /// # Errors
    /// [`Overflow`]: the records contradict each other; the state is of no use then.
    pub fn apply(&mut self, record: Record) -> Result<(), Overflow> {
        match record {
            Record::Approved(order) => self.approve(*order),
            Record::TermBegan { known_trades_max } => {
                self.known_max = known_trades_max;
                Ok(())
            }
            Record::Refused { trade } => {
                self.known.set(trade, KnownTrade::Finished, self.known_max);
                Ok(())
            }
            Record::Executed(executed) => self.execute(*executed),
            Record::Closed { order, trade } => self.close(&order, trade),
            Record::Withdrawal { trade, account, currency, held } => {
                self.known.set(trade.clone(), KnownTrade::Finished, self.known_max);
                let Some(amount) = held else { return Ok(()) };
                self.account_mut(account).hold_withdrawal(trade, &currency, amount)
            }
            Record::CancelSent { account, at } => {
                self.count_cancel(account, at);
                Ok(())
            }
            Record::ScopeChanged(change) => {
                self.change_scope(change);
                Ok(())
            }
            Record::Breaker(record) => {
                self.apply_breaker(*record);
                Ok(())
            }
            Record::LimitChanged(change) => {
                self.change_limit(*change);
                Ok(())
            }
            Record::ReductionOrdered(reduction) => {
                self.epoch = self.epoch.max(reduction.epoch);
                self.breakers.note_reduction(&reduction.id);
                self.commands.order(*reduction, &self.limits.commands);
                Ok(())
            }
            Record::ReductionEnded { id, at } => {
                self.commands.end(&id, at);
                Ok(())
            }
            Record::Booked { settled } => {
                self.settled.extend(settled);
                Ok(())
            }
            Record::Posted(mut posted) => {
                self.share_names(&mut posted);
                self.post(&posted)
            }
            Record::PaidOut { account, instrument, realized_pnl } => {
                self.streaks.pay_out(account, instrument, realized_pnl)
            }
            Record::Instrument(instrument) => self.define(*instrument),
            Record::Quote(quote) => {
                self.quotes.insert(quote.instrument.clone(), quote);
                Ok(())
            }
        }
    }

    fn change_scope(&mut self, change: ScopeState) {
        self.epoch = self.epoch.max(change.epoch);
        let before = self.state_of(&change.scope);
        self.breakers.note(&change, before);
        self.ramps.note(&change, before, self.limits.ramp_ms);
        self.commands.remember(&change, &self.limits.commands);
        match change.state {
            TradingState::Active => self.scopes.remove(&change.scope),
            TradingState::Reducing | TradingState::Halted => self.scopes.insert(change.scope.clone(), change),
        };
    }

    fn define(&mut self, instrument: Instrument) -> Result<(), Overflow> {
        let (id, terms) = (instrument.id.clone(), instrument.settlement.clone());
        if let Some((fixture, _)) = &instrument.prediction {
            let own = self.matches.entry(fixture.clone()).or_default();
            if !own.contains(&instrument.id) {
                own.push(instrument.id.clone());
            }
        }
        self.instruments.insert(id.clone(), instrument);
        // What the house holds of it was posted before anybody knew what it is.
        let is_unknown = |account: &&AccountId| {
            self.account(account).and_then(|own| own.holding(&id)).is_some_and(|holding| holding.currency().is_none())
        };
        let waiting: Vec<AccountId> = self.limits.house_accounts.iter().filter(is_unknown).cloned().collect();
        waiting.iter().try_for_each(|account| {
            self.tracked(account, std::slice::from_ref(&id), |own| own.change(&id, Some(&terms), |_| ()))
        })
    }

    pub(super) fn account_mut(&mut self, account: AccountId) -> &mut AccountState {
        if !self.touched.contains(&account) {
            self.touched.insert(account.clone());
        }
        if !self.accounts.contains_key(&account) {
            self.account_ids.insert(account.clone());
        }
        self.accounts.entry(account).or_default()
    }

    fn approve(&mut self, order: Order) -> Result<(), Overflow> {
        if self.open.contains_key(&order.terms.id) || self.ended.contains_key(&order.terms.id) {
            return Ok(());
        }
        if let Some(agent) = &order.agent {
            let count = self.agent_trades(agent, order.decided_at) + 1;
            self.agent_trades.insert(agent.clone(), (order.decided_at.utc_day(), count));
        }
        self.commands.count(&order);
        let in_flight = KnownTrade::InFlight(order.terms.id.clone());
        self.known.set(order.trade.clone(), in_flight, self.known_max);
        let (account, mut instrument) = (order.account.clone(), order.terms.instrument.clone());
        self.share_name(&mut instrument);
        self.open.insert(order.terms.id.clone(), (account.clone(), instrument.clone()));
        self.count(&order);
        if let Some(agent) = &order.agent {
            self.breakers.seat(agent, &account, order.pool.as_ref());
        }
        let repeat_ms = self.limits.remembers_repeats().then_some(self.limits.repeated_order_ms);
        let terms = order.settlement.clone();
        self.tracked(&account, std::slice::from_ref(&instrument), |account| {
            if let Some(start) = order.wallet_start {
                account.start_wallet(&terms.currency, start);
            }
            let open = OpenOrder { order, filled: Quantity::ZERO, executions: Vec::new() };
            account.change(&instrument, Some(&terms), |holding| {
                let own = &open.order;
                holding.owners_mut().add(own.pool.as_ref(), own.agent.as_ref(), own.timeframe);
                holding.open(open, repeat_ms);
            })
        })
    }

    /// Every message brings names of its own; what is kept for long is kept once.
    fn share_names(&mut self, posted: &mut Posted) {
        for balance in &mut posted.balances {
            match self.currencies.get(&balance.currency) {
                Some(own) => balance.currency = own.clone(),
                None => {
                    self.currencies.insert(balance.currency.clone());
                }
            }
        }
        for position in &mut posted.positions {
            self.share_name(&mut position.instrument);
        }
    }

    fn share_name(&self, instrument: &mut InstrumentId) {
        if let Some((own, _)) = self.instruments.get_key_value(instrument) {
            *instrument = own.clone();
        }
    }

    /// Checked before it was journaled; one that makes no sense with today's
    /// configuration any more changes nothing.
    pub(super) fn change_limit(&mut self, change: LimitChange) {
        self.limits.rules.put(change.name, &change.id, change.value);
        self.limit_changes.insert((change.name, change.id.clone()), change);
    }

    pub(super) fn apply_breaker(&mut self, record: BreakerRecord) {
        if let BreakerRecord::PaymentsKept(kept) = &record {
            self.account_mut(kept.account.clone()).keep_payments(kept);
        }
        if let BreakerRecord::TradeClosed(closed) = &record {
            self.streaks.count(closed);
        }
        self.breakers.apply(record);
    }

    /// Counts an approval where its rate is limited; what is not limited costs nothing.
    fn count(&mut self, order: &Order) {
        let rules = &self.limits.rules;
        let is_reducing = order.hold.is_zero();
        let own =
            if is_reducing { LimitName::ReducingOrdersPerSecondMax } else { LimitName::AccountOrdersPerSecondMax };
        let is_account_limited = rules.of(own, order.account.as_str()).is_some();
        let is_house_limited = rules.all(LimitName::HouseOrdersPerSecondMax).is_some();
        let agent = order.agent.as_ref();
        let agent = agent.filter(|id| rules.of(LimitName::AgentOrdersPerSecondMax, id.as_str()).is_some());
        if is_account_limited {
            self.account_mut(order.account.clone()).count(order);
        }
        if is_reducing {
            return;
        }
        if let Some(agent) = agent {
            self.agent_paces.entry(agent.clone()).or_default().count(order.decided_at);
        }
        if is_house_limited && self.limits.is_house(&order.account) {
            self.house_pace.count(order.decided_at);
        }
    }

    /// The same for a cancel.
    fn count_cancel(&mut self, account: AccountId, at: Timestamp) {
        if self.limits.rules.of(LimitName::CancelsPerSecondMax, account.as_str()).is_some() {
            self.account_mut(account).count_cancel(at);
        }
    }

    /// Changes an account and carries what that does to the house, if it belongs to it.
    pub(super) fn tracked(
        &mut self,
        account: &AccountId,
        instruments: &[InstrumentId],
        change: impl FnOnce(&mut AccountState) -> Result<(), Overflow>,
    ) -> Result<(), Overflow> {
        if !self.limits.is_house(account) {
            return change(self.account_mut(account.clone()));
        }
        let own = self.account_mut(account.clone());
        let (capital_before, before) = (own.capitals()?, own.parts(instruments)?);
        change(own)?;
        let (capital_after, after) = (own.capitals()?, own.parts(instruments)?);
        for (currency, capital) in &capital_before {
            self.house.add_capital(currency, capital.negated()?)?;
        }
        for (currency, capital) in &capital_after {
            self.house.add_capital(currency, *capital)?;
        }
        before.iter().try_for_each(|part| self.house.take_out(part))?;
        after.iter().try_for_each(|part| self.house.put_in(part))
    }
}
