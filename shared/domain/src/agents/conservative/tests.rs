//! Tests of the conservative style: direction, size, the day's rhythm and the two of three conditions.

use super::super::bar::Ohlc;
use super::*;

/// A bar that opens and closes at `close`, `range` high, with half a spread of `half_spread`.
fn bar(close: f64, half_spread: f64) -> Bar {
    let mid = Ohlc { open: close, high: close * 1.001, low: close * 0.999, close };
    Bar::from_mid(mid, half_spread).expect("valid bar")
}

/// Closes that drift by `drift` a bar and swing by 1 % around it.
fn closes(count: usize, drift: f64) -> Vec<f64> {
    let mut close = 100.0;
    (0..count)
        .map(|step| {
            close *= 1.0 + drift + if step % 2 == 0 { 0.01 } else { -0.01 };
            close
        })
        .collect()
}

fn run(rules: &mut Conservative, closes: &[f64]) -> Vec<Signal> {
    closes.iter().map(|close| rules.on_bar(&bar(*close, 0.01))).collect()
}

#[test]
fn rising_market_is_held_long_at_ten_percent_volatility() {
    let mut rules = Conservative::default();
    let signals = run(&mut rules, &closes(260, 0.005));
    assert!(signals[..199].iter().all(|signal| signal.target.is_none()), "EMA 200 starts at bar 200");
    let first = signals.iter().position(Signal::changed).expect("an entry");
    assert_eq!((first, signals[first].reason), (199, Some(Reason::Entry)));
    let last = signals[259];
    let exposure = last.exposure.expect("sized");
    // Returns of +1.5 % and -0.5 %: a root mean square of 1.1 % a day, 17.8 % a year; 10 / 17.8.
    assert!((0.5..0.62).contains(&exposure) && last.direction() == 1, "{last:?}");
    assert!(rules.position().is_some_and(|position| position.direction == Direction::Long && position.bars_held > 50));
    assert!(last.stop_price.is_none());
}

#[test]
fn falling_market_is_held_short_and_a_turn_is_one_flip() {
    let mut rules = Conservative::default();
    let mut path = closes(230, -0.005);
    let low = path[229];
    path.extend(closes(200, 0.008).iter().map(|close| close * low / 100.0));
    let signals = run(&mut rules, &path);
    assert_eq!(signals[229].direction(), -1);
    let flip = (230..430).find(|step| signals[*step].direction() == 1).expect("the averages cross");
    assert_eq!(signals[flip].reason, Some(Reason::Entry));
    let closed = signals[flip + 1].closed.expect("the short ends at the next open");
    assert_eq!((closed.direction, closed.reason), (Direction::Short, Reason::ExitSignal));
    assert!((closed.exit_price - (path[flip + 1] + 0.01)).abs() < 1e-9, "a short is bought back at the ask");
}

#[test]
fn decides_once_a_day() {
    let (mut hourly, mut daily) = (Conservative::default(), 0);
    let mut changes = Vec::new();
    for (step, close) in closes(24 * 60, 0.001).iter().enumerate() {
        let day = i64::try_from(step / 24).expect("small");
        if hourly.on_bar(&bar(*close, 0.01).on_day(day)).changed() {
            changes.push(step);
        }
        daily += usize::from(step % 24 == 0);
    }
    assert!(!changes.is_empty() && changes.len() <= daily);
    assert!(changes.iter().all(|step| step % 24 == 0), "{changes:?}");
    // Twenty daily returns are needed: nothing before day 20, whatever the averages say.
    assert!(changes[0] >= 20 * 24, "{changes:?}");
}

#[test]
fn two_of_three_conditions_open_a_position() {
    // From bar 195 on the spread widens and the market turns wild; the trend condition is all that is left.
    let signals_with = |spread: f64, wildness: f64| {
        let mut rules = Conservative::default();
        let mut signals = Vec::new();
        for (step, close) in closes(215, 0.005).iter().enumerate() {
            let (half_spread, factor) = if step < 190 { (0.01, 1.0) } else { (spread, wildness) };
            let swing = if step % 2 == 0 { factor } else { 1.0 / factor };
            signals.push(rules.on_bar(&bar(close * swing, half_spread)));
        }
        signals
    };
    let opens = |signals: &[Signal]| signals.iter().any(|signal| signal.target.is_some());
    assert!(opens(&signals_with(0.01, 1.0)), "all three");
    assert!(opens(&signals_with(5.0, 1.0)), "a trend, and calm");
    assert!(!opens(&signals_with(5.0, 1.05)), "only a trend at best");
}

#[test]
fn dead_market_is_left_alone() {
    let mut rules = Conservative::default();
    assert!(run(&mut rules, &[100.0; 300]).iter().all(|signal| signal.target.is_none() && !signal.changed()));
    let broken = ConservativeParams { year_days: f64::NAN, ..ConservativeParams::default() };
    assert!(Conservative::new(broken).is_err_and(|error| error.name == "year_days"));
}
