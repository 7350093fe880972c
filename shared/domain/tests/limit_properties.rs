//! Whatever is proposed, fills, ends or is paid in by however many accounts: what
//! the house has in the market adds up, and no approval takes it above a limit.

use proptest::{collection::vec, prelude::*};
use tragen_domain::{
    execution::Fill,
    id::{Currency, ExecutionId, Id, InstrumentId, Kind, OrderId, TradeId},
    instrument::{Instrument, InstrumentStatus, Outcome, SettlementStyle, SettlementTerms},
    market::{Level, Quote, Timeframe},
    money::{Money, ONE, Price, Quantity, Rounding},
    order::{OrderPrice, OrderTerms, Side, TimeInForce, TradeStatus},
    risk::{
        Advice, BreakerRecord, Denied, Executed, Limits, Measured, Order, Posted, PostedBalance, Proposed, Prospects,
        Purpose, Record, RepeatedOrders, Scope, ScopeState, State, TradingState, check_invariants, decide, inspect,
        tighten, what_if,
    },
    tier::Tier,
    time::Timestamp,
};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const ACCOUNTS: [&str; 4] = ["h1", "h2", "h3", "user"];
const POOLS: [&str; 2] = ["scalper", "swing"];
const INSTRUMENTS: [(&str, SettlementStyle); 4] = [
    ("P1", SettlementStyle::Prediction),
    ("P2", SettlementStyle::Prediction),
    ("S", SettlementStyle::Spot),
    ("M", SettlementStyle::Margined),
];
/// Limits of the house, parts per million of its capital.
const RISK: i64 = 300_000;
const POOL: i64 = 200_000;
const INSTRUMENT: i64 = 120_000;
const MATCH: i64 = 150_000;
/// Increasing orders an account may place in one second.
const PER_SECOND: usize = 5;

#[derive(Debug, Clone)]
enum Step {
    Propose { account: usize, pool: usize, instrument: usize, side: Side, quantity: i64 },
    Fill { order: usize, quantity: i64 },
    Close { order: usize },
    Pay { account: usize, cents: i64 },
    Wait { millis: i64 },
    State { scope: usize, to: TradingState },
}

fn step() -> impl Strategy<Value = Step> {
    let side = prop_oneof![3 => Just(Side::Buy), 1 => Just(Side::Sell)];
    prop_oneof![
        10 => (0..4_usize, 0..2_usize, 0..4_usize, side, 1..60_i64).prop_map(
            |(account, pool, instrument, side, quantity)| Step::Propose { account, pool, instrument, side, quantity }
        ),
        6 => (0..16_usize, 1..60_i64).prop_map(|(order, quantity)| Step::Fill { order, quantity }),
        2 => (0..16_usize).prop_map(|order| Step::Close { order }),
        1 => (0..4_usize, -2_000..5_000_i64).prop_map(|(account, cents)| Step::Pay { account, cents }),
        2 => (1..700_i64).prop_map(|millis| Step::Wait { millis }),
        1 => (0..SCOPES, state()).prop_map(|(scope, to)| Step::State { scope, to }),
    ]
}

fn state() -> impl Strategy<Value = TradingState> {
    prop_oneof![5 => Just(TradingState::Active), 2 => Just(TradingState::Reducing), 1 => Just(TradingState::Halted)]
}

/// Everything, pools, instruments, accounts.
const SCOPES: usize = 11;

fn scope(number: usize) -> Scope {
    match number {
        0 => Scope::Global,
        own @ 1..3 => Scope::Pool(id(POOLS[own - 1])),
        own @ 3..7 => Scope::Instrument(id(INSTRUMENTS[own - 3].0)),
        own => Scope::Account(id(ACCOUNTS[own - 7])),
    }
}

fn id<K: Kind>(text: impl AsRef<str>) -> Id<K> {
    Id::new(text).expect("an id")
}

fn usd() -> Currency {
    id("USD")
}

struct World {
    gate: State,
    now: Timestamp,
    open: Vec<(Order, i64)>,
    cash: [i64; 4],
    version: i64,
    counter: u32,
    approved_at: Vec<(usize, Timestamp)>,
    /// By the number of the scope.
    states: [TradingState; SCOPES],
}

fn limits() -> Limits {
    let mut limits = Limits {
        house_accounts: ACCOUNTS[..3].iter().map(id).collect(),
        repeated_orders: RepeatedOrders::Off,
        spot_collar_ppm: 500_000,
        margined_collar_ppm: 500_000,
        equity_age_max_ms: i64::MAX / 2_000,
        quote_age_max_ms: i64::MAX / 2_000,
        ..Limits::default()
    };
    let per_second = i64::try_from(PER_SECOND).expect("small");
    let values = [
        ("open_risk_max_ppm", RISK),
        ("margined_risk_ppm", 500_000),
        ("pool_exposure_max_ppm", POOL),
        ("instrument_exposure_max_ppm", INSTRUMENT),
        ("house_match_exposure_max_ppm", MATCH),
        ("account_orders_per_second_max", per_second),
    ];
    limits.rules.set_all(values.into_iter()).expect("sensible");
    limits
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            gate: State::new(limits()),
            now: NOW,
            open: Vec::new(),
            cash: [1_000 * ONE; 4],
            version: 0,
            counter: 0,
            approved_at: Vec::new(),
            states: [TradingState::Active; SCOPES],
        };
        for (name, style) in INSTRUMENTS {
            let prediction = (style == SettlementStyle::Prediction).then(|| (id("match"), Outcome::Home));
            world.apply(Record::Instrument(Box::new(Instrument {
                id: id(name),
                name: name.to_owned(),
                settlement: SettlementTerms { style, currency: usd(), initial_margin_ppm: 100_000 },
                tick: Price::from_micros(10_000),
                lot: Quantity::from_micros(ONE),
                min_quantity: Quantity::from_micros(ONE),
                max_quantity: Quantity::from_micros(1_000 * ONE),
                min_price: Price::from_micros(10_000),
                max_price: Price::from_micros(990_000),
                taker_fee_ppm: 0,
                status: InstrumentStatus::Open,
                prediction,
                max_quote_age_ms: None,
            })));
            let level =
                |micros| Some(Level { price: Price::from_micros(micros), quantity: Quantity::from_micros(ONE) });
            let (bid, ask) = (level(490_000), level(510_000));
            world.apply(Record::Quote(Quote { instrument: id(name), bid, ask, event_time: NOW, published_at: NOW }));
        }
        for account in 0..ACCOUNTS.len() {
            world.post(account);
        }
        let measured = Measured { day_loss_ppm: 0, month_loss_ppm: 0, drawdown_ppm: 0, measured_at: NOW };
        world.apply(Record::Breaker(Box::new(BreakerRecord::Measured(measured))));
        let active = tighten(&world.gate, Scope::Global, TradingState::Active, "test", "test", NOW);
        world.apply(Record::ScopeChanged(active));
        world
    }

    fn apply(&mut self, record: Record) {
        self.gate.apply(record).expect("fits");
    }

    fn post(&mut self, account: usize) {
        self.version += 1;
        let (cash, version) = (Money::from_micros(self.cash[account]), self.version);
        let balance = PostedBalance { currency: usd(), cash, version, is_frozen: false, flow: Money::ZERO };
        let (account, balances) = (id(ACCOUNTS[account]), vec![balance]);
        let (executions, positions) = (Vec::new(), Vec::new());
        let posted = Posted { account, trade: None, is_final: false, executions, balances, positions };
        self.apply(Record::Posted(Box::new(posted)));
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Propose { account, pool, instrument, side, quantity } => {
                self.propose((*account, *pool, *instrument), *side, *quantity);
            }
            Step::Fill { order, quantity } if !self.open.is_empty() => self.fill(order % self.open.len(), *quantity),
            Step::Close { order } if !self.open.is_empty() => {
                let (order, _) = self.open.remove(order % self.open.len());
                self.apply(Record::Closed { order: order.terms.id, trade: order.trade });
            }
            Step::Pay { account, cents } => {
                self.cash[*account] = (self.cash[*account] + cents * 10_000).max(0);
                self.post(*account);
            }
            Step::Wait { millis } => self.now = self.now.plus_millis(*millis),
            Step::State { scope: number, to } => {
                let change = tighten(&self.gate, scope(*number), *to, "test", "test", self.now);
                self.apply(Record::ScopeChanged(ScopeState { state: *to, ..change }));
                self.states[*number] = *to;
            }
            Step::Fill { .. } | Step::Close { .. } => {}
        }
    }

    fn propose(&mut self, (account, pool, instrument): (usize, usize, usize), side: Side, quantity: i64) {
        self.counter += 1;
        let trade: TradeId = id(format!("t{}", self.counter));
        let proposed = Proposed {
            account: id(ACCOUNTS[account]),
            terms: OrderTerms {
                id: OrderId::new(format!("{trade}-o")).expect("an id"),
                instrument: id(INSTRUMENTS[instrument].0),
                side,
                price: OrderPrice::Limit(Price::from_micros(500_000)),
                quantity: Quantity::from_micros(quantity * ONE),
                time_in_force: TimeInForce::Ioc,
                is_reduce_only: false,
                is_post_only: false,
            },
            trade,
            agent: None,
            pool: Some(id(POOLS[pool])),
            timeframe: Some(Timeframe::Hour1),
            purpose: Purpose::Trade,
            tier: Tier::Standard,
            confidence_ppm: None,
            valid_until: self.now,
            trades_per_day_max: None,
            is_first_on_match: false,
        };
        let (decided, inspected) = (decide(&self.gate, &proposed, self.now), inspect(&self.gate, &proposed, self.now));
        assert_eq!(decided.as_ref().err(), inspected.denied().as_ref(), "an inspection says what a decision does");
        self.check_what_if(&proposed, decided.as_ref().err());
        let Ok(approved) = decided else { return };
        let worst = [0, 1 + pool, 3 + instrument, 7 + account].map(|number| self.states[number]).into_iter().max();
        assert_ne!(worst, Some(TradingState::Halted), "approved while halted: {proposed:?}");
        if worst == Some(TradingState::Reducing) {
            let holding = self.gate.account(&proposed.account).and_then(|own| own.holding(&proposed.terms.instrument));
            let closable = holding.map_or(Quantity::ZERO, |own| own.closable(side).expect("fits"));
            assert!(quantity * ONE <= closable.micros(), "{quantity} of {closable} while reducing");
        }
        assert_eq!(inspected.order.as_ref(), Some(&*approved));
        let order = Order::clone(&approved);
        self.apply(Record::Approved(Box::new(order.clone())));
        if !order.hold.is_zero() {
            self.check_limits(account, &order);
            self.check_pace(account);
        }
        self.open.push((order, 0));
    }

    /// The adviser says what the gate says: the same first reason, and what it scales an order to is approved, while
    /// one lot more is not.
    fn check_what_if(&self, proposed: &Proposed, denied: Option<&Denied>) {
        let told = what_if(&self.gate, proposed, &Prospects::default(), self.now).expect("fits");
        assert_eq!(told.reasons.first(), denied);
        let decided = |quantity: Quantity| {
            let mut sized = proposed.clone();
            sized.terms.quantity = quantity;
            decide(&self.gate, &sized, self.now).is_ok()
        };
        let lot = Quantity::from_micros(ONE);
        match told.advice {
            Advice::Allow => assert!(denied.is_none()),
            Advice::Scale { quantity } => {
                assert!(denied.is_some() && quantity < proposed.terms.quantity && decided(quantity), "{quantity}");
                assert!(!decided(quantity.plus(lot).expect("fits")), "more than {quantity} would pass");
            }
            Advice::Reject => assert!(denied.is_some() && !decided(lot), "one lot would pass"),
        }
        // What every limit lets through by itself, all of them together let through too.
        if let (Advice::Scale { quantity }, Some(tightest)) = (told.advice, told.allowances.first()) {
            assert!(quantity <= tightest.quantity, "{quantity} {tightest:?}");
        }
    }

    /// Limits hold right after every approval that opens something.
    fn check_limits(&self, account: usize, order: &Order) {
        if ACCOUNTS[account] == "user" {
            return;
        }
        let sheet = self.gate.house().sheet(&usd()).expect("a sheet");
        let most = |ppm| sheet.capital().ppm(ppm, Rounding::Down).expect("fits");
        let at_risk = sheet.exposure().at_risk(500_000).expect("fits");
        assert!(at_risk <= most(RISK), "{at_risk} at risk of {}", sheet.capital());
        let pool = sheet.pool(order.pool.as_ref().expect("a pool"));
        assert!(pool <= most(POOL), "{pool} in one pool of {}", sheet.capital());
        let instrument = sheet.instrument(&order.terms.instrument);
        assert!(instrument <= most(INSTRUMENT), "{instrument} in one instrument of {}", sheet.capital());
        let fixture = sheet.instrument(&id("P1")).plus(sheet.instrument(&id("P2"))).expect("fits");
        let is_in_match = order.settlement.style == SettlementStyle::Prediction;
        assert!(!is_in_match || fixture <= most(MATCH), "{fixture} in one match of {}", sheet.capital());
    }

    fn check_pace(&mut self, account: usize) {
        self.approved_at.push((account, self.now));
        let is_recent = |(own, at): &&(usize, Timestamp)| *own == account && self.now.millis_since(*at) < 1_000;
        let recent = self.approved_at.iter().filter(is_recent).count();
        assert!(recent <= PER_SECOND, "{recent} orders of {} within a second", ACCOUNTS[account]);
    }

    fn fill(&mut self, index: usize, quantity: i64) {
        let (order, filled) = self.open[index].clone();
        let whole = order.terms.quantity.micros() / ONE;
        let quantity = quantity.min(whole - filled);
        self.open[index].1 += quantity;
        let is_done = self.open[index].1 == whole;
        self.counter += 1;
        let fill = Fill {
            id: ExecutionId::new(format!("{}-x{}", order.terms.id, self.counter)).expect("an id"),
            price: order.limit,
            quantity: Quantity::from_micros(quantity * ONE),
            fee: Money::ZERO,
            executed_at: self.now,
        };
        self.apply(Record::Executed(Box::new(Executed {
            trade: order.trade.clone(),
            order: order.terms.id.clone(),
            account: order.account.clone(),
            instrument: order.terms.instrument.clone(),
            agent: order.agent.clone(),
            side: order.terms.side,
            settlement: order.settlement.clone(),
            fills: vec![fill],
            status: if is_done { TradeStatus::Filled } else { TradeStatus::Working },
        })));
        if is_done {
            self.open.remove(index);
        }
    }

    /// The sheet is what adding everything up anew gives.
    fn check_sheet(&self) {
        let (mut capital, mut used) = (Money::ZERO, Money::ZERO);
        let mut instruments = [Money::ZERO; 4];
        for name in &ACCOUNTS[..3] {
            let account = self.gate.account(&id::<tragen_domain::id::Account>(name)).expect("known");
            capital = capital.plus(account.balance(&usd()).capital().expect("fits")).expect("fits");
            for (place, (instrument, _)) in INSTRUMENTS.iter().enumerate() {
                let Some(holding) = account.holding(&InstrumentId::new(instrument).expect("an id")) else { continue };
                let own = holding.exposure().expect("fits");
                used = used.plus(own).expect("fits");
                instruments[place] = instruments[place].plus(own).expect("fits");
            }
        }
        let sheet = self.gate.house().sheet(&usd()).expect("a sheet");
        assert_eq!((sheet.capital(), sheet.exposure().used), (capital, used));
        for (place, (instrument, _)) in INSTRUMENTS.iter().enumerate() {
            assert_eq!(sheet.instrument(&id(instrument)), instruments[place], "{instrument}");
        }
    }
}

/// As many as `PROPTEST_CASES` says, for long runs.
fn cases(usual: u32) -> u32 {
    if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { usual }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(256), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_approval_takes_the_house_above_a_limit(steps in vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
            world.check_sheet();
            prop_assert_eq!(check_invariants(&world.gate), Ok(()), "after {:?}", step);
        }
    }
}
