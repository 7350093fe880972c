//! The breakers against reference paths of equity, failure rates and correlations.
//!
//! The figures (`vectors/*.json`) are not part of the project: point `TRAGEN_REFERENCE_DIR` at a folder that holds
//! them. Without it these tests say so and pass; the edges are in the unit tests.

use serde_json::Value;
use std::{fs, path::PathBuf};
use tragen_domain::{
    money::{Money, ONE},
    portfolio::Baselines,
    risk::{
        BreakerEvent, BreakerKind, BreakerRecord, CallCounts, Limits, LossStreak, Reading, Record, Scope, State,
        TradingState, Watch, failures_ppm, loss_ppm, tighten,
    },
    time::Timestamp,
};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn vectors(name: &str) -> Option<Value> {
    let Some(root) = std::env::var_os("TRAGEN_REFERENCE_DIR") else {
        println!("not checked against {name}.json: set TRAGEN_REFERENCE_DIR to the folder with vectors/");
        return None;
    };
    let path = PathBuf::from(root).join(format!("vectors/{name}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()));
    Some(serde_json::from_str(&text).expect("valid JSON"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is not a list"))
}

/// A number of the file, exactly as it is written.
fn money(value: &Value) -> Money {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// Parts per million of a decimal that has no more than six places.
fn ppm(value: &Value) -> i64 {
    money(value).micros()
}

fn active() -> State {
    let mut state = State::new(Limits::default());
    let change = tighten(&state, Scope::Global, TradingState::Active, "test", "test", NOW);
    state.apply(Record::ScopeChanged(change)).expect("fits");
    state
}

fn name_of(state: TradingState) -> &'static str {
    match state {
        TradingState::Active => "OK",
        TradingState::Reducing => "REDUCE",
        TradingState::Halted => "HALT",
    }
}

fn global(kind: BreakerKind, value: Option<i64>) -> Reading {
    Reading { kind, scope: Scope::Global, value }
}

/// Evaluates and obeys; gives the breakers that tripped.
fn step(state: &mut State, watch: &mut Watch, readings: &[Reading]) -> Vec<BreakerKind> {
    let mut kinds = Vec::new();
    for event in watch.evaluate(state, readings, NOW) {
        let BreakerEvent::Tripped(latch) = event else { continue };
        kinds.push(latch.kind);
        let to = latch.kind.effect().state();
        let (scope, reason) = (latch.scope.clone(), latch.kind.as_str());
        state.apply(Record::Breaker(Box::new(BreakerRecord::Tripped(latch)))).expect("fits");
        if let Some(to) = to {
            let change = tighten(state, scope, to, "breaker", reason, NOW);
            state.apply(Record::ScopeChanged(change)).expect("fits");
        }
    }
    kinds
}

#[test]
fn paths_of_equity_trip_where_they_should() {
    let Some(vectors) = vectors("circuit_breakers") else { return };
    for path in list(&vectors["paths"]) {
        let name = path["name"].as_str().expect("a name");
        let mut baselines = Baselines::starting_at(money(&path["start_of_day"]), NOW);
        assert_eq!(money(&path["peak"]), baselines.figures().drawdown.peak, "{name}");
        let (mut state, mut watch) = (active(), Watch::default());
        let mut transitions = Vec::new();
        for (index, equity) in list(&path["equity"]).iter().enumerate() {
            baselines.observe(money(equity), NOW).expect("fits");
            let (day, peak) = (loss_ppm(&baselines.day_loss()), loss_ppm(&baselines.drawdown().current()));
            let readings = [
                global(BreakerKind::TotalLoss, Some(day)),
                global(BreakerKind::PositionReduction, Some(day)),
                global(BreakerKind::MonthLoss, Some(loss_ppm(&baselines.month_loss()))),
                global(BreakerKind::Drawdown, Some(peak)),
            ];
            let before = state.state_of(&Scope::Global);
            let kinds = step(&mut state, &mut watch, &readings);
            let after = state.state_of(&Scope::Global);
            if before != after {
                transitions.push((index, day, peak, format!("{}->{}", name_of(before), name_of(after))));
                // The loss that blocks new trades and the one that reduces are two events.
                let both = [BreakerKind::TotalLoss, BreakerKind::PositionReduction];
                assert!(both.iter().all(|kind| kinds.contains(kind)), "{name}: {kinds:?}");
            }
        }
        let expected: Vec<_> = list(&path["events"])
            .iter()
            .map(|event| {
                let index = event["i"].as_u64().and_then(|i| usize::try_from(i).ok()).expect("an index");
                let transition = event["transition"].as_str().expect("a transition").to_owned();
                (index, ppm(&event["daily_loss"]), ppm(&event["drawdown"]), transition)
            })
            .collect();
        assert_eq!(transitions, expected, "{name}");
        assert_eq!(name_of(state.state_of(&Scope::Global)), path["final"].as_str().expect("a state"), "{name}");
    }
}

#[test]
fn failure_rates_trip_with_enough_calls() {
    let Some(vectors) = vectors("circuit_breakers") else { return };
    for case in list(&vectors["api_failure"]) {
        let count = |name: &str| case[name].as_u64().and_then(|n| u32::try_from(n).ok()).expect("a count");
        let counts = CallCounts { calls: count("calls"), failures: count("failures") };
        let value = failures_ppm(counts, Limits::default().venue_calls_min);
        let kinds = step(&mut active(), &mut Watch::default(), &[global(BreakerKind::VenueFailures, value)]);
        assert_eq!(kinds == [BreakerKind::VenueFailures], case["trip"].as_bool().expect("yes or no"), "{case}");
    }
}

#[test]
fn agents_that_move_together_reduce() {
    let Some(vectors) = vectors("circuit_breakers") else { return };
    for case in list(&vectors["correlation"]) {
        let value = (!case["factor"].is_null()).then(|| ppm(&case["factor"]));
        let mut state = active();
        let kinds = step(&mut state, &mut Watch::default(), &[global(BreakerKind::Correlation, value)]);
        let trips = case["trip"].as_bool().expect("yes or no");
        assert_eq!(kinds == [BreakerKind::Correlation], trips, "{case}");
        assert_eq!(state.state_of(&Scope::Global) == TradingState::Reducing, trips, "{case}");
    }
}

/// Cases of other platforms: a loss at its limit trips, the n-th loss in a row
/// trips, a failure rate needs enough calls, a capital of 0 risks nothing.
#[test]
fn cases_of_other_platforms_come_out_the_same() {
    let Some(vectors) = vectors("trading_cases") else { return };
    let case = |id: &str| {
        let found = list(&vectors["cases"]).iter().find(|case| case["id"] == id);
        found.unwrap_or_else(|| panic!("no case {id}"))
    };
    // A loss of 100 at a limit of 100, as shares of a basis of 1,000.
    let breaker = case("mm-breaker-daily");
    let pnl = money(&list(&breaker["inputs"]["pnl"])[0]);
    let basis = Money::from_micros(1_000 * ONE);
    let limit = money(&breaker["inputs"]["limit"]).micros() / 1_000;
    let mut state = State::new(Limits {
        rules: {
            let mut rules = tragen_domain::risk::Rules::default();
            rules.set(BreakerKind::TotalLoss.limit(), "", limit).expect("sensible");
            rules
        },
        ..Limits::default()
    });
    let loss = tragen_domain::portfolio::Loss::of_pnl(pnl, basis).expect("fits");
    let kinds = step(&mut state, &mut Watch::default(), &[global(BreakerKind::TotalLoss, Some(loss_ppm(&loss)))]);
    assert_eq!(kinds.contains(&BreakerKind::TotalLoss), breaker["expected"]["tripped"].as_bool().expect("yes or no"));

    let streak = case("mm-breaker-consecutive");
    let mut losses = LossStreak::default();
    let counts: Vec<i64> = list(&streak["inputs"]["pnl"]).iter().map(|pnl| losses.close(money(pnl))).collect();
    assert_eq!(counts.last().copied(), streak["expected"]["tripped_after"].as_i64());

    let errors = case("pm-error-rate");
    let count = |name: &str| errors["inputs"][name].as_u64().and_then(|n| u32::try_from(n).ok()).expect("a count");
    let rate = failures_ppm(CallCounts { calls: count("attempts"), failures: count("errors") }, 20);
    assert_eq!(rate, Some(ppm(&errors["expected"]["rate"])));
}
