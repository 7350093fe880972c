//! The gate, and the world as the venue and the ledger see it. The states of all scopes are kept here a second time,
//! and what they promise is looked at with every approval and fill.

use crate::Step;
use std::collections::BTreeMap;
use tragen_domain::{
    execution::Fill,
    id::{AccountId, Currency, ExecutionId, Id, InstrumentId, Kind, OrderId, TradeId},
    instrument::{Instrument, InstrumentStatus, SettlementStyle, SettlementTerms},
    market::{Level, Quote},
    money::{Money, Price, Quantity, Rounding},
    order::{OrderPrice, OrderTerms, Side, TimeInForce, TradeStatus},
    position::Position,
    risk::{
        BreakerRecord, CommandLimits, Executed, Limits, Order, Posted, PostedBalance, PostedPosition, Proposed,
        Purpose, Record, Scope, ScopeState, State, TradingState, decide, decide_withdrawal, forbidden_orders,
        reductions_ended_by,
    },
    tier::Tier,
    time::Timestamp,
};

pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
pub(crate) const STYLES: [(&str, SettlementStyle); 3] =
    [("P", SettlementStyle::Prediction), ("S", SettlementStyle::Spot), ("M", SettlementStyle::Margined)];
pub(crate) const ACCOUNTS: [&str; 2] = ["alice", "bob"];
/// How many scopes there are, see [`scope`].
pub(crate) const SCOPES: usize = 10;
const CASH: i64 = 30_000_000;
const AGENTS: [&str; 2] = ["a1", "a2"];
const POOLS: [&str; 2] = ["value", "swing"];
pub(crate) const ONE: i64 = 1_000_000;

/// What an account has with every fill, posted or not.
pub(crate) struct Own {
    pub(crate) cash: Money,
    pub(crate) positions: BTreeMap<String, Position>,
    /// Whether a margined position was closed at a loss: that may take more than there is, which suspense pays.
    has_lost_margin: bool,
}

pub(crate) struct World {
    pub(crate) gate: State,
    pub(crate) accounts: [Own; 2],
    /// Not told to the gate yet, oldest first.
    pub(crate) facts: Vec<Posted>,
    version: i64,
    pub(crate) open: Vec<Order>,
    pub(crate) filled: BTreeMap<OrderId, i64>,
    /// By the number of the scope.
    states: [TradingState; SCOPES],
    /// |position| by account and instrument since everything of it must reduce.
    bounds: BTreeMap<(usize, usize), Quantity>,
    pub(crate) counter: u32,
    pub(crate) market: Vec<Record>,
    pub(crate) journal: Vec<Record>,
    pub(crate) executions: Vec<Record>,
    pub(crate) posted: Vec<Record>,
}

pub(crate) fn id<K: Kind>(text: impl AsRef<str>) -> Id<K> {
    Id::new(text).expect("an id")
}

pub(crate) fn usd() -> Currency {
    id("USD")
}

pub(crate) fn account(own: usize) -> AccountId {
    id(ACCOUNTS[own])
}

/// Everything, pools, agents, instruments, accounts.
pub(crate) fn scope(number: usize) -> Scope {
    match number % SCOPES {
        0 => Scope::Global,
        own @ 1..3 => Scope::Pool(id(POOLS[own - 1])),
        own @ 3..5 => Scope::Agent(id(AGENTS[own - 3])),
        own @ 5..8 => Scope::Instrument(id(STYLES[own - 5].0)),
        own => Scope::Account(account(own - 8)),
    }
}

/// The best price that an order may fill at. A margined sale above a tenth over the reference needs more margin than
/// is held for it; the ledger draws that from suspense, and it is nothing the gate can foresee.
fn best(order: &Order) -> Price {
    match (order.settlement.style, order.terms.side) {
        (SettlementStyle::Margined, Side::Sell) => {
            order.limit.max(order.reference.ppm(1_100_000, Rounding::Down).expect("fits"))
        }
        (SettlementStyle::Margined | SettlementStyle::Prediction | SettlementStyle::Spot, Side::Buy | Side::Sell) => {
            Price::from_micros(990_000)
        }
    }
}

fn market() -> Vec<Record> {
    let mut records = Vec::new();
    for (name, style) in STYLES {
        let initial_margin_ppm = if style == SettlementStyle::Margined { 100_000 } else { 0 };
        records.push(Record::Instrument(Box::new(Instrument {
            id: id(name),
            name: name.to_owned(),
            settlement: SettlementTerms { style, currency: usd(), initial_margin_ppm },
            tick: Price::from_micros(10_000),
            lot: Quantity::from_micros(ONE),
            min_quantity: Quantity::from_micros(ONE),
            max_quantity: Quantity::from_micros(1_000 * ONE),
            min_price: Price::from_micros(10_000),
            max_price: Price::from_micros(990_000),
            taker_fee_ppm: 30_000,
            status: InstrumentStatus::Open,
            prediction: None,
            max_quote_age_ms: None,
        })));
        records.push(quote(name, 50));
    }
    records
}

/// A cent to each side of `cents`.
fn quote(name: &str, cents: i64) -> Record {
    let level =
        |cents: i64| Some(Level { price: Price::from_micros(cents * 10_000), quantity: Quantity::from_micros(1) });
    let (instrument, bid, ask) = (id(name), level(cents - 1), level(cents + 1));
    Record::Quote(Quote { instrument, bid, ask, event_time: NOW, published_at: NOW })
}

pub(crate) fn limits() -> Limits {
    let commands = CommandLimits { reduction_targets_max: 2, ..CommandLimits::default() };
    let mut limits = Limits {
        spot_collar_ppm: 500_000,
        margined_collar_ppm: 500_000,
        resting_orders_max: 8,
        commands,
        ..Limits::default()
    };
    limits.rules.set_all([("consecutive_losses_halt_max", 2)].into_iter()).expect("sensible");
    limits
}

impl World {
    pub(crate) fn new() -> Self {
        let own = || Own { cash: Money::from_micros(CASH), positions: BTreeMap::new(), has_lost_margin: false };
        let mut world = Self {
            gate: State::new(limits()),
            accounts: [own(), own()],
            facts: Vec::new(),
            version: 1,
            open: Vec::new(),
            filled: BTreeMap::new(),
            states: [TradingState::Active; SCOPES],
            bounds: BTreeMap::new(),
            counter: 0,
            market: market(),
            journal: Vec::new(),
            executions: Vec::new(),
            posted: Vec::new(),
        };
        for record in market() {
            world.gate.apply(record).expect("fits");
        }
        for own in 0..ACCOUNTS.len() {
            let first = world.fact(own, (None, true), Vec::new(), None);
            world.facts.push(first);
            world.post();
        }
        world.set_state(0, TradingState::Active);
        world
    }

    pub(crate) fn apply_journaled(&mut self, record: Record) {
        self.journal.push(record.clone());
        self.gate.apply(record).expect("fits");
    }

    /// As the guard does it: the change ends reductions, and what may not stand any more is canceled.
    pub(crate) fn set_state(&mut self, number: usize, state: TradingState) {
        let number = number % SCOPES;
        let change = ScopeState {
            scope: scope(number),
            state,
            epoch: self.gate.epoch() + 1,
            changed_by: "test".to_owned(),
            reason: "test".to_owned(),
            changed_at: NOW,
            resume_from: NOW,
        };
        let over = reductions_ended_by(&self.gate, &change);
        self.apply_journaled(Record::ScopeChanged(change));
        for id in over {
            self.apply_journaled(Record::ReductionEnded { id, at: NOW });
        }
        self.states[number] = state;
        self.cancel_forbidden();
        for own in 0..ACCOUNTS.len() {
            for (instrument, (name, _)) in STYLES.iter().enumerate() {
                let all_of_it = [0, 5 + instrument, 8 + own].map(|number| self.states[number]);
                if all_of_it.iter().all(|state| *state == TradingState::Active) {
                    self.bounds.remove(&(own, instrument));
                } else {
                    let size = self.size(own, name);
                    let bound = self.bounds.entry((own, instrument)).or_insert(size);
                    *bound = size.min(*bound);
                }
            }
        }
    }

    /// The guard cancels what may not stand any more; reducing orders go on working.
    pub(crate) fn cancel_forbidden(&mut self) {
        let forbidden: Vec<OrderId> = forbidden_orders(&self.gate).map(|open| open.order.terms.id.clone()).collect();
        for order in forbidden {
            let index = self.open.iter().position(|open| open.terms.id == order).expect("it is open");
            self.close(index);
        }
        for order in &self.open {
            let is_out = matches!(order.purpose, Purpose::Flatten(_));
            assert!(is_out || self.worst_of(order) != TradingState::Halted, "an order stands in a halt: {order:?}");
        }
    }

    /// The most severe state of every scope that `order` is in, by our own book.
    fn worst_of(&self, order: &Order) -> TradingState {
        let own = (0..SCOPES).filter(|number| match scope(*number) {
            Scope::Global => true,
            Scope::Pool(pool) => order.pool.as_ref() == Some(&pool),
            Scope::Agent(agent) => order.agent.as_ref() == Some(&agent),
            Scope::Instrument(instrument) => order.terms.instrument == instrument,
            Scope::Account(account) => order.account == account,
        });
        own.map(|number| self.states[number]).max().unwrap_or(TradingState::Active)
    }

    fn size(&self, own: usize, instrument: &str) -> Quantity {
        let position = self.accounts[own].positions.get(instrument);
        position.map_or(Quantity::ZERO, |position| position.quantity.magnitude().expect("fits"))
    }

    pub(crate) fn run(&mut self, step: &Step) {
        match step {
            Step::Propose { .. } => self.propose(step),
            Step::Fill { order, quantity, better_cents } => self.fill(*order, *quantity, *better_cents),
            Step::Close { order } if !self.open.is_empty() => self.close(order % self.open.len()),
            Step::Post { count } => {
                for _ in 0..*count {
                    self.post();
                }
            }
            Step::Withdraw { account, cents } => self.withdraw(*account, Money::from_micros(cents * 10_000)),
            Step::Tighten { scope, to } => self.set_state(*scope, (*to).max(self.states[scope % SCOPES])),
            Step::Resume { scope } => {
                if let Some(milder) = self.states[scope % SCOPES].milder() {
                    self.set_state(*scope, milder);
                }
            }
            Step::Reduce { scope, factor_ppm } => self.reduce(*scope, *factor_ppm),
            Step::Flatten { account } => self.flatten(*account),
            Step::Slice { target } => self.slice(*target),
            Step::Close { .. } => {}
            Step::Quote { instrument, cents } => {
                let record = quote(STYLES[*instrument].0, *cents);
                self.market.push(record.clone());
                self.gate.apply(record).expect("fits");
            }
            Step::Journal => {
                for closed in self.gate.due_trades().to_vec() {
                    self.apply_journaled(Record::Breaker(Box::new(BreakerRecord::TradeClosed(closed))));
                }
            }
        }
    }

    fn propose(&mut self, step: &Step) {
        let Step::Propose { account: own, instrument, side, price_cents, quantity, is_reduce_only, agent, pool } = step
        else {
            return;
        };
        self.counter += 1;
        let trade: TradeId = id(format!("t{}", self.counter));
        let proposed = |quantity: i64| Proposed {
            account: account(*own),
            terms: OrderTerms {
                id: id(format!("{trade}-o")),
                instrument: id(STYLES[*instrument].0),
                side: *side,
                price: OrderPrice::Limit(Price::from_micros(price_cents * 10_000)),
                quantity: Quantity::from_micros(quantity * ONE),
                time_in_force: TimeInForce::Gtc,
                is_reduce_only: *is_reduce_only,
                is_post_only: false,
            },
            trade: trade.clone(),
            agent: Some(id(AGENTS[*agent])),
            pool: Some(id(POOLS[*pool])),
            purpose: Purpose::Trade,
            valid_until: NOW,
            timeframe: None,
            tier: Tier::Standard,
            confidence_ppm: None,
            trades_per_day_max: None,
            is_first_on_match: false,
        };
        let approved = match quantity {
            0 => [200, 150, 100, 70, 50, 40, 30, 20, 10, 5, 2, 1]
                .into_iter()
                .find_map(|most| decide(&self.gate, &proposed(most), NOW).ok()),
            quantity => decide(&self.gate, &proposed(*quantity), NOW).ok(),
        };
        if let Some(approved) = approved {
            let order = Order::clone(&approved);
            self.approve(order);
        }
    }

    /// Nothing is approved while halted, and what must reduce fits the position with everything pending.
    pub(crate) fn approve(&mut self, order: Order) {
        let state = self.worst_of(&order);
        let is_out = matches!(order.purpose, Purpose::Flatten(_));
        assert!(is_out || state != TradingState::Halted, "approved while halted: {order:?}");
        if state != TradingState::Active || order.purpose != Purpose::Trade {
            let own = ACCOUNTS.iter().position(|name| *name == order.account.as_str()).expect("known");
            let name = order.terms.instrument.as_str();
            let held = self.accounts[own].positions.get(name).map_or(Quantity::ZERO, |position| position.quantity);
            let closes = if held.is_negative() { Side::Buy } else { Side::Sell };
            assert_eq!(order.terms.side, closes, "{held} would grow by {order:?}");
            let pending = self.pending(&order.account, &order.terms.instrument, closes);
            let all = pending.plus(order.terms.quantity).expect("fits");
            assert!(all <= held.magnitude().expect("fits"), "{all} pending for {held}: {order:?}");
        }
        self.apply_journaled(Record::Approved(Box::new(order.clone())));
        self.open.push(order);
    }

    /// What all open orders of one side may still fill.
    pub(crate) fn pending(&self, account: &AccountId, instrument: &InstrumentId, side: Side) -> Quantity {
        let own = self.open.iter().filter(|order| {
            order.account == *account && order.terms.instrument == *instrument && order.terms.side == side
        });
        own.fold(Quantity::ZERO, |sum, order| {
            let filled = Quantity::from_micros(self.filled.get(&order.terms.id).copied().unwrap_or_default() * ONE);
            sum.plus(order.terms.quantity).and_then(|sum| sum.minus(filled)).expect("fits")
        })
    }

    fn fill(&mut self, index: usize, quantity: i64, better_cents: i64) {
        if self.open.is_empty() {
            return;
        }
        let index = index % self.open.len();
        let order = self.open[index].clone();
        let filled = self.filled.entry(order.terms.id.clone()).or_default();
        let quantity = quantity.min(order.terms.quantity.micros() / ONE - *filled);
        *filled += quantity;
        let is_done = *filled == order.terms.quantity.micros() / ONE;
        let better = match order.terms.side {
            Side::Buy => -better_cents,
            Side::Sell => better_cents,
        };
        let price = Price::from_micros((order.limit.micros() + better * 10_000).clamp(10_000, best(&order).micros()));
        let quantity = Quantity::from_micros(quantity * ONE);
        self.counter += 1;
        let fee = tragen_domain::instrument::taker_fee(order.settlement.style, order.taker_fee_ppm, price, quantity);
        let fill = Fill {
            id: ExecutionId::new(format!("{}-x{}", order.terms.id, self.counter)).expect("an id"),
            price,
            quantity,
            fee: fee.expect("fits"),
            executed_at: NOW,
        };
        let own = self.booked(&order, &fill);
        let executed = Executed {
            trade: order.trade.clone(),
            order: order.terms.id.clone(),
            account: order.account.clone(),
            instrument: order.terms.instrument.clone(),
            agent: order.agent.clone(),
            side: order.terms.side,
            settlement: order.settlement.clone(),
            fills: vec![fill.clone()],
            status: if is_done { TradeStatus::Filled } else { TradeStatus::Working },
        };
        let record = Record::Executed(Box::new(executed));
        self.executions.push(record.clone());
        self.gate.apply(record).expect("fits");
        let name = order.terms.instrument.to_string();
        let fact = self.fact(own, (Some(&order.trade), is_done), vec![fill.id], Some(&name));
        self.facts.push(fact);
        if is_done {
            self.open.remove(index);
        }
    }

    /// What the venue's fill does to cash and position of its account; whose it is.
    fn booked(&mut self, order: &Order, fill: &Fill) -> usize {
        let number = ACCOUNTS.iter().position(|name| *name == order.account.as_str()).expect("known");
        let name = order.terms.instrument.to_string();
        let own = &mut self.accounts[number];
        let position = own.positions.entry(name.clone()).or_default();
        let before = position.quantity;
        let effect = position.apply(order.terms.side, fill, &order.settlement).expect("the gate lets nothing oversell");
        let after = position.quantity;
        let is_margined = order.settlement.style == SettlementStyle::Margined;
        own.has_lost_margin |= is_margined && effect.realized_pnl.is_negative();
        own.cash = own.cash.plus(effect.cash_change(order.settlement.style).expect("fits")).expect("fits");
        assert!(own.has_lost_margin || !own.cash.is_negative(), "overspent: {}", own.cash);
        own.cash = own.cash.max(Money::ZERO);
        let place = STYLES.iter().position(|(own, _)| *own == name).expect("known");
        if let Some(bound) = self.bounds.get(&(number, place)) {
            let size = after.magnitude().expect("fits");
            assert!(size <= *bound, "{name} grew from {before} to {after} while reducing");
            assert!(after.is_zero() || after.is_negative() == before.is_negative(), "{name} changed its sign");
        }
        number
    }

    pub(crate) fn close(&mut self, index: usize) {
        let order = self.open.remove(index);
        self.apply_journaled(Record::Closed { order: order.terms.id, trade: order.trade });
    }

    fn withdraw(&mut self, own: usize, amount: Money) {
        if decide_withdrawal(&self.gate, &account(own), &usd(), amount).is_err() {
            return;
        }
        self.counter += 1;
        let trade: TradeId = id(format!("w{}", self.counter));
        let held = Some(amount);
        self.apply_journaled(Record::Withdrawal { trade: trade.clone(), account: account(own), currency: usd(), held });
        let cash = &mut self.accounts[own];
        cash.cash = cash.cash.minus(amount).expect("fits");
        assert!(cash.has_lost_margin || !cash.cash.is_negative(), "overdrawn: {}", cash.cash);
        cash.cash = cash.cash.max(Money::ZERO);
        let fact = self.fact(own, (Some(&trade), true), Vec::new(), None);
        self.facts.push(fact);
    }

    /// The ledger's next fact: the world as it is now.
    fn fact(
        &mut self,
        own: usize,
        (trade, is_final): (Option<&TradeId>, bool),
        executions: Vec<ExecutionId>,
        instrument: Option<&str>,
    ) -> Posted {
        self.version += 1;
        let position = instrument.map(|name| {
            let position = self.accounts[own].positions[name];
            PostedPosition {
                instrument: id(name),
                quantity: position.quantity,
                average_price: position.average_price().unwrap_or_default(),
                margin: position.margin,
                version: self.version,
            }
        });
        Posted {
            account: account(own),
            trade: trade.cloned(),
            is_final,
            executions,
            balances: vec![PostedBalance {
                currency: usd(),
                cash: self.accounts[own].cash,
                version: self.version,
                is_frozen: false,
                flow: Money::ZERO,
            }],
            positions: position.into_iter().collect(),
        }
    }

    pub(crate) fn post(&mut self) {
        if self.facts.is_empty() {
            return;
        }
        let record = Record::Posted(Box::new(self.facts.remove(0)));
        self.posted.push(record.clone());
        self.gate.apply(record).expect("fits");
    }
}
