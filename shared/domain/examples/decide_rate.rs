//! How long a decision takes with every check on, and what the gate's memory
//! needs: 1,000 agents that hold 200 instruments each, and a million accounts.
//!
//! `cargo run --release -p tragen-domain --example decide_rate [accounts] [decisions]`

use std::{collections::BTreeSet, time::Instant};
use tragen_domain::{
    execution::Fill,
    id::{AccountId, Currency, Id, InstrumentId, Kind, OrderId, TradeId},
    instrument::{Instrument, InstrumentStatus, Outcome, SettlementStyle, SettlementTerms},
    market::{Level, Quote, Timeframe},
    money::{Money, Price, Quantity},
    order::{OrderPrice, OrderTerms, Side, TimeInForce, TradeStatus},
    position::Position,
    risk::{
        BreakerRecord, Cluster, Executed, Limits, Measured, Order, Posted, PostedBalance, PostedPosition, Proposed,
        Purpose, Record, RepeatedOrders, Scope, State, TradingState, check_touched, decide, tighten,
    },
    tier::Tier,
    time::Timestamp,
};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const AGENTS: usize = 1_000;
const INSTRUMENTS: usize = 200;
/// The rest are predictions, three to a match.
const MARGINED: usize = 50;
/// Share of users' orders among the agents' ones: one in so many.
const USER_EVERY: usize = 4;

fn id<K: Kind>(text: impl AsRef<str>) -> Id<K> {
    Id::new(text).expect("an id")
}

/// A repeatable sequence; the constants are Knuth's MMIX generator.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % limit
    }
}

fn limits() -> Limits {
    let mut limits = Limits {
        repeated_orders: RepeatedOrders::Deny,
        house_accounts: (0..AGENTS).map(agent_account).collect(),
        ..Limits::default()
    };
    let values = [
        ("agent_confidence_min_ppm", 500_000),
        ("tier_order_value_max_micros", 1_000_000_000_000),
        ("wallet_floor_ppm", 1),
        ("trade_max_ppm", 500_000),
        ("match_max_ppm", 900_000),
        ("open_risk_max_ppm", 1_000_000),
        ("pool_exposure_max_ppm", 1_000_000),
        ("timeframe_exposure_max_ppm", 1_000_000),
        ("agent_exposure_max_ppm", 1_000_000),
        ("instrument_exposure_max_ppm", 1_000_000),
        ("house_match_exposure_max_ppm", 1_000_000),
        ("cluster_exposure_max_ppm", 1_000_000),
        ("agent_orders_per_second_max", 1_000),
        ("account_orders_per_second_max", 1_000),
        ("house_orders_per_second_max", 1_000_000),
        ("reducing_orders_per_second_max", 1_000),
        ("price_jump_pause_ppm", 100_000),
    ];
    limits.rules.set_all(values.into_iter()).expect("sensible");
    for start in (0..INSTRUMENTS).step_by(20) {
        let instruments: BTreeSet<InstrumentId> = (start..start + 20).map(instrument_id).collect();
        limits.clusters.push(Cluster { name: format!("c{start}"), instruments });
    }
    limits
}

fn agent_account(number: usize) -> AccountId {
    id(format!("house-{number:04}"))
}

fn user_account(number: usize) -> AccountId {
    id(format!("user-{number:07}"))
}

fn instrument_id(number: usize) -> InstrumentId {
    id(format!("EPL-2026-MATCH-{number:03}"))
}

fn instrument(number: usize) -> Instrument {
    let is_margined = number >= INSTRUMENTS - MARGINED;
    let style = if is_margined { SettlementStyle::Margined } else { SettlementStyle::Prediction };
    let fixture = (!is_margined).then(|| (id(format!("match-{}", number / 3)), Outcome::Home));
    Instrument {
        id: instrument_id(number),
        name: String::new(),
        settlement: SettlementTerms { style, currency: usd(), initial_margin_ppm: 50_000 },
        tick: Price::from_micros(10_000),
        lot: Quantity::from_micros(1_000_000),
        min_quantity: Quantity::from_micros(1_000_000),
        max_quantity: Quantity::from_micros(1_000_000_000),
        min_price: Price::from_micros(10_000),
        max_price: Price::from_micros(990_000),
        taker_fee_ppm: 10_000,
        status: InstrumentStatus::Open,
        prediction: fixture,
        max_quote_age_ms: None,
    }
}

fn usd() -> Currency {
    id("USD")
}

fn posted(account: AccountId, positions: Vec<PostedPosition>) -> Record {
    let cash = Money::from_micros(1_000_000_000_000);
    Record::Posted(Box::new(Posted {
        account,
        trade: None,
        is_final: false,
        executions: Vec::new(),
        balances: vec![PostedBalance { currency: usd(), cash, version: 1, is_frozen: false, flow: Money::ZERO }],
        positions,
    }))
}

/// Ten contracts bought at 0.5, and the ledger's word on them.
fn bought(account: &AccountId, number: usize) -> [Record; 2] {
    let trade: TradeId = id(format!("{account}-{number}"));
    let settlement = instrument(number).settlement;
    let fill = Fill {
        id: id(format!("{trade}-x")),
        price: Price::from_micros(500_000),
        quantity: Quantity::from_micros(10_000_000),
        fee: Money::ZERO,
        executed_at: NOW,
    };
    let mut position = Position::default();
    position.apply(Side::Buy, &fill, &settlement).expect("fits");
    let executed = Executed {
        order: id(format!("{trade}-o")),
        trade: trade.clone(),
        account: account.clone(),
        instrument: instrument_id(number),
        agent: None,
        side: Side::Buy,
        settlement,
        fills: vec![fill],
        status: TradeStatus::Filled,
    };
    let held = PostedPosition {
        instrument: instrument_id(number),
        quantity: position.quantity,
        average_price: Price::from_micros(500_000),
        margin: position.margin,
        version: 1,
    };
    let Record::Posted(mut posted) = posted(account.clone(), vec![held]) else { unreachable!("made above") };
    (posted.trade, posted.is_final) = (Some(trade), true);
    [Record::Executed(Box::new(executed)), Record::Posted(posted)]
}

fn world(accounts: usize) -> State {
    let mut state = State::new(limits());
    let mut take = |record| state.apply(record).expect("fits");
    for number in 0..INSTRUMENTS {
        take(Record::Instrument(Box::new(instrument(number))));
        let level = |micros| Some(Level { price: Price::from_micros(micros), quantity: Quantity::from_micros(1) });
        let (bid, ask) = (level(490_000), level(510_000));
        let quote = Quote { instrument: instrument_id(number), bid, ask, event_time: NOW, published_at: NOW };
        take(Record::Quote(quote));
    }
    for number in 0..accounts.saturating_sub(AGENTS) {
        take(posted(user_account(number), Vec::new()));
    }
    for number in 0..AGENTS {
        let account = agent_account(number);
        take(posted(account.clone(), Vec::new()));
        (0..INSTRUMENTS).for_each(|number| bought(&account, number).into_iter().for_each(&mut take));
    }
    // As the guard does every second.
    check_touched(&mut state, usize::MAX).expect("sound");
    let mut take = |record| state.apply(record).expect("fits");
    let measured = Measured { day_loss_ppm: 0, month_loss_ppm: 0, drawdown_ppm: 0, measured_at: NOW };
    take(Record::Breaker(Box::new(BreakerRecord::Measured(measured))));
    let active = tighten(&state, Scope::Global, TradingState::Active, "bench", "bench", NOW);
    state.apply(Record::ScopeChanged(active)).expect("fits");
    // A scope somewhere else is halted, as is usual.
    let halted = tighten(&state, Scope::Pool(id("other")), TradingState::Halted, "bench", "bench", NOW);
    state.apply(Record::ScopeChanged(halted)).expect("fits");
    state
}

fn proposal(number: usize, users: usize, sequence: &mut Sequence) -> Proposed {
    let trade: TradeId = id(format!("t{number}"));
    let is_user = users > 0 && number.is_multiple_of(USER_EVERY);
    let agent = sequence.below(AGENTS);
    Proposed {
        account: if is_user { user_account(sequence.below(users)) } else { agent_account(agent) },
        terms: OrderTerms {
            id: OrderId::new(format!("{trade}-o")).expect("an id"),
            instrument: instrument_id(sequence.below(INSTRUMENTS)),
            side: if sequence.below(4) == 0 { Side::Sell } else { Side::Buy },
            price: OrderPrice::Limit(Price::from_micros(500_000)),
            quantity: Quantity::from_micros(i64::try_from(1 + sequence.below(9)).unwrap_or(1) * 1_000_000),
            time_in_force: TimeInForce::Gtc,
            is_reduce_only: false,
            is_post_only: false,
        },
        trade,
        agent: (!is_user).then(|| id(format!("agent-{agent:04}"))),
        pool: Some(id(if is_user { "user" } else { "scalper" })),
        timeframe: (!is_user).then_some(Timeframe::Minute5),
        purpose: Purpose::Trade,
        tier: Tier::Standard,
        confidence_ppm: Some(700_000),
        valid_until: NOW,
        trades_per_day_max: Some(1_000_000),
        is_first_on_match: false,
    }
}

/// Resident memory of the process, MiB; 0 where the system does not say.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or_default() / 1_024
}

fn argument(place: usize, default: usize) -> usize {
    std::env::args().nth(place).and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    let (accounts, decisions) = (argument(1, 1_000_000), argument(2, 200_000));
    let users = accounts.saturating_sub(AGENTS);
    let started = Instant::now();
    let mut state = world(accounts);
    println!("{accounts} accounts built in {:.1} s: {} MiB resident", started.elapsed().as_secs_f64(), resident_mib());

    let mut sequence = Sequence(7);
    let proposals: Vec<Proposed> = (0..decisions).map(|number| proposal(number, users, &mut sequence)).collect();
    let (mut approved, mut denied) = (0_u32, std::collections::BTreeMap::new());
    let started = Instant::now();
    for proposed in &proposals {
        match decide(&state, proposed, NOW) {
            Ok(_) => approved += 1,
            Err(own) => *denied.entry(own.reason.as_str()).or_insert(0_u32) += 1,
        }
    }
    report("decide", started, decisions);
    println!("{approved} approved, denied: {denied:?}");

    // As the guard does it: decided, applied, and finished some time later.
    let mut open: std::collections::VecDeque<Order> = std::collections::VecDeque::new();
    let started = Instant::now();
    for proposed in &proposals {
        if let Ok(order) = decide(&state, proposed, NOW) {
            let order = Order::clone(&order);
            open.push_back(order.clone());
            state.apply(Record::Approved(Box::new(order))).expect("fits");
        }
        if open.len() > 1_000
            && let Some(oldest) = open.pop_front()
        {
            state.apply(Record::Closed { order: oldest.terms.id, trade: oldest.trade }).expect("fits");
        }
    }
    report("decide and apply", started, decisions);
    println!("{} MiB resident", resident_mib());
}

fn report(what: &str, started: Instant, decisions: usize) {
    let seconds = started.elapsed().as_secs_f64();
    let count = f64::from(u32::try_from(decisions).unwrap_or(u32::MAX));
    println!("{what}: {:.2} us on average, {:.0} a second on one core", seconds * 1e6 / count, count / seconds);
}
