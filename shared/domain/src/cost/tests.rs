//! The figures of the cost vectors (`rates`, `agent_day`, `cost_per_trade`) and the edges.

use super::*;

const GB_HOUR: u128 = GB_BYTES * HOUR_MICROS;

fn agent(name: &str) -> Option<AgentName> {
    Some(AgentName::new(name).expect("a name"))
}

fn work(cpu_micros: u64) -> Usage {
    Usage { cpu_micros, ..Usage::default() }
}

/// `expected` is 1e-12 USD, so that the vectors' figures can be written out.
fn check(usage: &Usage, expected: i128) {
    let cost = Rates::default().cost(usage).expect("fits");
    let off = i128::from(cost.micros()) * 1_000_000 - expected;
    assert!((0..1_000_000).contains(&off), "{cost} is not {expected}e-12 rounded up to a micro-dollar");
}

#[test]
fn a_day_of_an_agent_costs_what_the_rates_say() {
    let busy = Usage {
        cpu_micros: 8_640_000_000,
        memory_byte_micros: 12 * GB_HOUR / 10,
        storage_byte_micros: GB_HOUR * 24 / 2,
        api_calls: 1_500,
        messages: 7,
        llm_cost_micros: 1_100_000,
    };
    check(&busy, 2_733_642_710_472);
    let busier = Usage {
        cpu_micros: 24 * 3_600_000_000,
        memory_byte_micros: 12 * GB_HOUR,
        storage_byte_micros: 10 * 24 * GB_HOUR,
        api_calls: 8_000,
        messages: 0,
        llm_cost_micros: 600_000,
    };
    check(&busier, 9_952_854_209_445);
    check(&Usage::default(), 0);
}

#[test]
fn each_rate_is_charged_for_its_unit_and_a_started_micro_dollar_counts() {
    check(&work(3_600_000_000), 50_000_000_000);
    check(&Usage { memory_byte_micros: GB_HOUR, ..Usage::default() }, 10_000_000_000);
    check(&Usage { storage_byte_micros: GB_HOUR * 1_461 / 2, ..Usage::default() }, 100_000_000_000);
    check(&Usage { api_calls: 1, ..Usage::default() }, 1_000_000_000);
    check(&Usage { llm_cost_micros: 330, ..Usage::default() }, 330_000_000);
    assert_eq!(Rates::default().cost(&work(1)).map(Money::micros), Ok(1));
    assert_eq!(Rates::default().cost(&Usage { memory_byte_micros: u128::MAX, ..Usage::default() }), Err(Overflow));
    assert_eq!(Rates::default().cost(&Usage { llm_cost_micros: u64::MAX, ..Usage::default() }), Err(Overflow));
}

#[test]
fn cost_per_trade_needs_a_trade() {
    let cost = Money::from_micros(42_000_000);
    assert_eq!(cost_per_trade(cost, 21), Some(Money::from_micros(2_000_000)));
    assert_eq!(cost_per_trade(cost, 0), None);
    assert_eq!(cost_per_trade(Money::from_micros(10), 3), Some(Money::from_micros(4)));
}

#[test]
fn the_total_is_the_sum_of_the_agents() {
    let mut costs = Costs::new(Rates::default(), 100);
    for _ in 0..1_000 {
        costs.report(&[(agent("a"), work(1)), (None, work(1)), (agent("a"), work(1))]).expect("fits");
    }
    let by_agent: Vec<_> =
        costs.agents().map(|(name, cost)| (name.map(AgentName::as_str), cost.cost.micros())).collect();
    // 2,000 and 1,000 core-microseconds: 0.0278 and 0.0139 micro-dollars, rounded up once and not at every report.
    assert_eq!(by_agent, [(None, 1), (Some("a"), 1)]);
    assert_eq!(costs.total().micros(), 2);
}

#[test]
fn a_report_counts_in_full_or_not_at_all() {
    let mut costs = Costs::new(Rates::default(), 100);
    costs.report(&[(agent("a"), work(u64::MAX))]).expect("fits");
    let before = (costs.total(), costs.agents().count());
    assert_eq!(costs.report(&[(agent("b"), work(5)), (agent("a"), work(1))]), Err(Overflow));
    assert_eq!((costs.total(), costs.agents().count()), before);
}

#[test]
fn agents_beyond_the_limit_are_put_on_the_platform() {
    let mut costs = Costs::new(Rates::default(), 2);
    for name in ["a", "b", "c", "a"] {
        costs.serve(agent(name).as_ref(), Served::Unfilled);
    }
    costs.serve(None, Served::Filled);
    let trades: Vec<_> = costs.agents().map(|(name, cost)| (name.map(AgentName::as_str), cost.trades)).collect();
    assert_eq!(trades, [(None, 2), (Some("a"), 2), (Some("b"), 1)]);
    assert_eq!((costs.filled_trades(), costs.cost_per_trade()), (1, Some(Money::ZERO)));
}
