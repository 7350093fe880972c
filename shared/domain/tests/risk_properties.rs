//! What the gate promises whatever is proposed, fills, is posted or halted, in
//! whatever order.

use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;
use tragen_domain::{
    execution::Fill,
    id::{AccountId, AgentId, Currency, ExecutionId, InstrumentId, OrderId, TradeId},
    instrument::{Instrument, InstrumentStatus, SettlementStyle, SettlementTerms},
    market::{Level, Quote},
    money::{Money, Price, Quantity},
    order::{OrderPrice, OrderTerms, Side, TimeInForce, TradeStatus},
    position::Position,
    risk::{
        BreakerRecord, Executed, Limits, Order, Posted, PostedBalance, PostedPosition, Proposed, Purpose, Record,
        Scope, ScopeState, State, TradingState, check_invariants, check_listed, check_touched, decide,
        decide_withdrawal, forbidden_orders,
    },
    tier::Tier,
    time::Timestamp,
};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const STYLES: [(&str, SettlementStyle); 2] = [("P", SettlementStyle::Prediction), ("S", SettlementStyle::Spot)];
const CASH: i64 = 30_000_000;
const AGENTS: [&str; 2] = ["a1", "a2"];

/// One thing that happens; indexes are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    /// A quantity of 0 means the largest that is approved.
    Propose {
        instrument: usize,
        side: Side,
        price_cents: i64,
        quantity: i64,
        is_reduce_only: bool,
        agent: usize,
    },
    Fill {
        order: usize,
        quantity: i64,
        better_cents: i64,
    },
    Close {
        order: usize,
    },
    Post {
        count: usize,
    },
    Withdraw {
        cents: i64,
    },
    Tighten {
        to: TradingState,
    },
    Resume,
    /// The market moves.
    Quote {
        instrument: usize,
        cents: i64,
    },
    /// The guard journals what agents have closed.
    Journal,
}

fn step() -> impl Strategy<Value = Step> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let quantity = prop_oneof![Just(0_i64), 1..40_i64];
    let better = prop_oneof![3 => Just(0_i64), 1 => 0..20_i64];
    let state = prop_oneof![Just(TradingState::Reducing), Just(TradingState::Halted)];
    prop_oneof![
        8 => (0..2_usize, side, 31..70_i64, quantity, proptest::bool::weighted(0.1), 0..2_usize).prop_map(
            |(instrument, side, price_cents, quantity, is_reduce_only, agent)| Step::Propose {
                instrument, side, price_cents, quantity, is_reduce_only, agent
            }
        ),
        8 => (0..8_usize, 1..60_i64, better)
            .prop_map(|(order, quantity, better_cents)| Step::Fill { order, quantity, better_cents }),
        2 => (0..8_usize).prop_map(|order| Step::Close { order }),
        3 => (1..4_usize).prop_map(|count| Step::Post { count }),
        1 => (1..2_000_i64).prop_map(|cents| Step::Withdraw { cents }),
        1 => state.prop_map(|to| Step::Tighten { to }),
        1 => Just(Step::Resume),
        2 => (0..2_usize, 20..80_i64).prop_map(|(instrument, cents)| Step::Quote { instrument, cents }),
        1 => Just(Step::Journal),
    ]
}

/// The gate, and the world as the venue and the ledger see it.
struct World {
    gate: State,
    /// Cash and positions with every fill, posted or not.
    cash: Money,
    positions: BTreeMap<String, Position>,
    /// Not told to the gate yet, oldest first.
    facts: Vec<Posted>,
    version: i64,
    open: Vec<Order>,
    filled: BTreeMap<OrderId, i64>,
    /// |position| when reducing began.
    bound: Option<BTreeMap<String, Quantity>>,
    counter: u32,
    market: Vec<Record>,
    journal: Vec<Record>,
    executions: Vec<Record>,
    posted: Vec<Record>,
}

fn usd() -> Currency {
    Currency::new("USD").expect("a currency")
}

fn alice() -> AccountId {
    AccountId::new("alice").expect("an id")
}

fn market() -> Vec<Record> {
    let mut records = Vec::new();
    for (name, style) in STYLES {
        let id = InstrumentId::new(name).expect("an id");
        records.push(Record::Instrument(Box::new(Instrument {
            id: id.clone(),
            name: name.to_owned(),
            settlement: SettlementTerms { style, currency: usd(), initial_margin_ppm: 0 },
            tick: Price::from_micros(10_000),
            lot: Quantity::from_micros(1_000_000),
            min_quantity: Quantity::from_micros(1_000_000),
            max_quantity: Quantity::from_micros(1_000_000_000),
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
    let (instrument, bid, ask) = (InstrumentId::new(name).expect("an id"), level(cents - 1), level(cents + 1));
    Record::Quote(Quote { instrument, bid, ask, event_time: NOW, published_at: NOW })
}

fn limits() -> Limits {
    let mut limits = Limits { spot_collar_ppm: 500_000, resting_orders_max: 8, ..Limits::default() };
    limits.rules.set_all([("consecutive_losses_halt_max", 2)].into_iter()).expect("sensible");
    limits
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            gate: State::new(limits()),
            cash: Money::from_micros(CASH),
            positions: BTreeMap::new(),
            facts: Vec::new(),
            version: 1,
            open: Vec::new(),
            filled: BTreeMap::new(),
            bound: None,
            counter: 0,
            market: market(),
            journal: Vec::new(),
            executions: Vec::new(),
            posted: Vec::new(),
        };
        for record in market() {
            world.gate.apply(record).expect("fits");
        }
        let first = world.fact(None, true, Vec::new(), None);
        world.posted.push(Record::Posted(Box::new(first.clone())));
        world.gate.apply(Record::Posted(Box::new(first))).expect("fits");
        world.set_state(TradingState::Active);
        world
    }

    fn apply_journaled(&mut self, record: Record) {
        self.journal.push(record.clone());
        self.gate.apply(record).expect("fits");
    }

    fn set_state(&mut self, state: TradingState) {
        let change = ScopeState {
            scope: Scope::Global,
            state,
            epoch: self.gate.epoch() + 1,
            changed_by: "test".to_owned(),
            reason: "test".to_owned(),
            changed_at: NOW,
            resume_from: NOW,
        };
        self.apply_journaled(Record::ScopeChanged(change));
        // The guard cancels what may not stand any more; reducing orders go on working.
        let forbidden: Vec<OrderId> = forbidden_orders(&self.gate).map(|open| open.order.terms.id.clone()).collect();
        for order in forbidden {
            let index = self.open.iter().position(|open| open.terms.id == order).expect("it is open");
            self.close(index);
        }
        assert!(state != TradingState::Halted || self.open.is_empty(), "an order stands in a halt");
        let sizes = self.positions.iter().map(|(name, p)| (name.clone(), p.quantity.magnitude().expect("fits")));
        self.bound = (state != TradingState::Active).then(|| sizes.collect());
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Propose { .. } => self.propose(step),
            Step::Fill { order, quantity, better_cents } => self.fill(*order, *quantity, *better_cents),
            Step::Close { order } if !self.open.is_empty() => self.close(order % self.open.len()),
            Step::Post { count } => {
                for _ in 0..*count {
                    self.post();
                }
            }
            Step::Withdraw { cents } => self.withdraw(Money::from_micros(cents * 10_000)),
            Step::Tighten { to } => self.set_state((*to).max(self.gate.state_of(&Scope::Global))),
            Step::Resume => {
                if let Some(milder) = self.gate.state_of(&Scope::Global).milder() {
                    self.set_state(milder);
                }
            }
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
        let Step::Propose { instrument, side, price_cents, quantity, is_reduce_only, agent } = step else { return };
        self.counter += 1;
        let trade = TradeId::new(format!("t{}", self.counter)).expect("an id");
        let proposed = |quantity: i64| Proposed {
            account: alice(),
            terms: OrderTerms {
                id: OrderId::new(format!("{trade}-o")).expect("an id"),
                instrument: InstrumentId::new(STYLES[*instrument].0).expect("an id"),
                side: *side,
                price: OrderPrice::Limit(Price::from_micros(price_cents * 10_000)),
                quantity: Quantity::from_micros(quantity * 1_000_000),
                time_in_force: TimeInForce::Gtc,
                is_reduce_only: *is_reduce_only,
            },
            trade: trade.clone(),
            agent: Some(AgentId::new(AGENTS[*agent]).expect("an id")),
            pool: None,
            purpose: Purpose::Trade,
            valid_until: NOW,
            timeframe: None,
            tier: Tier::Standard,
            confidence_ppm: None,
            trades_per_day_max: None,
        };
        let approved = match quantity {
            0 => (1..200).rev().find_map(|most| decide(&self.gate, &proposed(most), NOW).ok()),
            quantity => decide(&self.gate, &proposed(*quantity), NOW).ok(),
        };
        if let Some(approved) = approved {
            let state = self.gate.state_of(&Scope::Global);
            assert_ne!(state, TradingState::Halted, "approved while halted");
            let order = Order::clone(&approved);
            self.apply_journaled(Record::Approved(Box::new(order.clone())));
            self.open.push(order);
        }
    }

    fn fill(&mut self, index: usize, quantity: i64, better_cents: i64) {
        if self.open.is_empty() {
            return;
        }
        let index = index % self.open.len();
        let order = self.open[index].clone();
        let filled = self.filled.entry(order.terms.id.clone()).or_default();
        let quantity = quantity.min(order.terms.quantity.micros() / 1_000_000 - *filled);
        *filled += quantity;
        let is_done = *filled == order.terms.quantity.micros() / 1_000_000;
        let better = match order.terms.side {
            Side::Buy => -better_cents,
            Side::Sell => better_cents,
        };
        let price = Price::from_micros((order.limit.micros() + better * 10_000).clamp(10_000, 990_000));
        let quantity = Quantity::from_micros(quantity * 1_000_000);
        self.counter += 1;
        let fee = tragen_domain::instrument::taker_fee(order.settlement.style, order.taker_fee_ppm, price, quantity);
        let fill = Fill {
            id: ExecutionId::new(format!("{}-x{}", order.terms.id, self.counter)).expect("an id"),
            price,
            quantity,
            fee: fee.expect("fits"),
            executed_at: NOW,
        };
        let name = order.terms.instrument.to_string();
        let position = self.positions.entry(name.clone()).or_default();
        let before = position.quantity;
        let effect =
            position.apply(order.terms.side, &fill, &order.settlement).expect("the gate lets nothing oversell");
        let after = position.quantity;
        self.cash = self.cash.plus(effect.cash_change(order.settlement.style).expect("fits")).expect("fits");
        assert!(!self.cash.is_negative(), "overspent: {}", self.cash);
        if let Some(bound) = &self.bound {
            let bound = bound.get(&name).copied().unwrap_or_default();
            assert!(after.magnitude().expect("fits") <= bound, "{name} grew from {before} to {after} while reducing");
            assert!(after.is_zero() || after.is_negative() == before.is_negative(), "{name} changed its sign");
        }
        let executed = Executed {
            trade: order.trade.clone(),
            order: order.terms.id.clone(),
            account: alice(),
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
        let fact = self.fact(Some(&order.trade), is_done, vec![fill.id], Some(&name));
        self.facts.push(fact);
        if is_done {
            self.open.remove(index);
        }
    }

    fn close(&mut self, index: usize) {
        let order = self.open.remove(index);
        self.apply_journaled(Record::Closed { order: order.terms.id, trade: order.trade });
    }

    fn withdraw(&mut self, amount: Money) {
        if decide_withdrawal(&self.gate, &alice(), &usd(), amount).is_err() {
            return;
        }
        self.counter += 1;
        let trade = TradeId::new(format!("w{}", self.counter)).expect("an id");
        let held = Some(amount);
        self.apply_journaled(Record::Withdrawal { trade: trade.clone(), account: alice(), currency: usd(), held });
        self.cash = self.cash.minus(amount).expect("fits");
        assert!(!self.cash.is_negative(), "overdrawn: {}", self.cash);
        let fact = self.fact(Some(&trade), true, Vec::new(), None);
        self.facts.push(fact);
    }

    /// The ledger's next fact: the world as it is now.
    fn fact(
        &mut self,
        trade: Option<&TradeId>,
        is_final: bool,
        executions: Vec<ExecutionId>,
        instrument: Option<&str>,
    ) -> Posted {
        self.version += 1;
        let position = instrument.map(|name| {
            let position = self.positions[name];
            PostedPosition {
                instrument: InstrumentId::new(name).expect("an id"),
                quantity: position.quantity,
                average_price: position.average_price().unwrap_or_default(),
                margin: position.margin,
                version: self.version,
            }
        });
        Posted {
            account: alice(),
            trade: trade.cloned(),
            is_final,
            executions,
            balances: vec![PostedBalance {
                currency: usd(),
                cash: self.cash,
                version: self.version,
                is_frozen: false,
                flow: Money::ZERO,
            }],
            positions: position.into_iter().collect(),
        }
    }

    fn post(&mut self) {
        if self.facts.is_empty() {
            return;
        }
        let record = Record::Posted(Box::new(self.facts.remove(0)));
        self.posted.push(record.clone());
        self.gate.apply(record).expect("fits");
    }
}

fn canonical(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Fewer trades than a generation has: nothing is digested.
    state.canonical(|_| [0; 32], |part| bytes.extend_from_slice(part));
    bytes
}

/// As many as `PROPTEST_CASES` says, for long runs.
fn cases(usual: u32) -> u32 {
    if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { usual }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(512), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_overspends_reducing_reduces_and_replay_gives_the_same(steps in vec(step(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
            prop_assert_eq!(check_invariants(&world.gate), Ok(()), "after {:?}", step);
            // As a guard does it now and then; what it has looked at a snapshot must not leave out.
            prop_assert_eq!(check_touched(&mut world.gate, 1).and(check_invariants(&world.gate)), Ok(()));
        }

        // The journal, then the executions, then the ledger: as a guard reads them at its start.
        let mut replayed = State::new(limits());
        let sources = [world.market.clone(), world.journal.clone(), world.executions.clone(), world.posted.clone()];
        for record in sources.into_iter().flatten() {
            replayed.apply(record).expect("fits");
        }
        prop_assert_eq!(check_touched(&mut replayed, usize::MAX), Ok(()));
        prop_assert_eq!(check_touched(&mut world.gate, usize::MAX), Ok(()));
        prop_assert_eq!(&replayed, &world.gate);
        // What is hashed comes from the journal alone, and a snapshot keeps all of it.
        let mut journaled = State::new(limits());
        for record in world.journal.clone() {
            journaled.apply(record).expect("fits");
        }
        prop_assert_eq!(canonical(&journaled), canonical(&world.gate));
        let mut restored = State::restore(limits(), world.gate.stored()).expect("fits");
        prop_assert_eq!(canonical(&restored), canonical(&world.gate));
        prop_assert_eq!(check_touched(&mut restored, usize::MAX).and(check_listed(&restored)), Ok(()));
        prop_assert_eq!(restored.unposted(), world.gate.unposted());
        let balance = |state: &State| state.account(&alice()).map_or(Money::ZERO, |own| own.balance(&usd()).unposted);
        let positions = world.posted.clone();
        for record in positions {
            restored.apply(record).expect("fits");
        }
        prop_assert_eq!(balance(&restored), balance(&world.gate));
        prop_assert_eq!(check_touched(&mut world.gate, usize::MAX).and(check_listed(&world.gate)), Ok(()));

        // Once all is closed and posted nothing is held and the gate knows what is there.
        while !world.open.is_empty() {
            world.close(0);
        }
        while !world.facts.is_empty() {
            world.post();
        }
        prop_assert_eq!(check_invariants(&world.gate), Ok(()));
        prop_assert_eq!(world.gate.held(), Money::ZERO);
        prop_assert_eq!(world.gate.open_orders(), 0);
        prop_assert!(world.gate.unposted().is_empty());
        let alice = world.gate.account(&alice()).expect("known");
        prop_assert_eq!(alice.balance(&usd()).available(), Ok(Some(world.cash)));
        for (name, position) in &world.positions {
            let id = InstrumentId::new(name).expect("an id");
            let holding = alice.holding(&id).expect("held");
            prop_assert_eq!(holding.position().quantity, position.quantity);
        }
    }
}
