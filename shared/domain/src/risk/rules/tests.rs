//! Names, values of their own, ranges and the ladder.

use super::*;

#[test]
fn every_limit_has_a_name_and_a_place_of_its_own() {
    for (index, name) in LimitName::ALL.into_iter().enumerate() {
        assert_eq!(name.index(), index);
        assert_eq!(LimitName::parse(name.as_str()), Some(name));
        assert!((0..=name.value_max()).contains(&name.default_value()));
    }
    assert_eq!(LimitName::parse("nothing"), None);
}

#[test]
fn a_value_of_ones_own_comes_first_and_zero_is_off() {
    let mut rules = Rules::default();
    let name = LimitName::PoolExposureMaxPpm;
    assert_eq!((rules.of(name, "scalper"), rules.of(name, "value")), (Some(300_000), Some(300_000)));
    rules.set(name, "scalper", 100_000).expect("in range");
    assert_eq!((rules.of(name, "scalper"), rules.of(name, "value")), (Some(100_000), Some(300_000)));
    rules.set(name, "scalper", 0).expect("in range");
    assert_eq!((rules.of(name, "scalper"), rules.of(name, "value")), (None, Some(300_000)));
    rules.set(name, "", 0).expect("in range");
    assert_eq!((rules.of(name, "value"), rules.all(name)), (None, None));
}

#[test]
fn what_is_looser_needs_two_people() {
    let check = |name: LimitName, from, to, expected| {
        assert_eq!(name.is_loosened(from, to), expected, "{} {from} -> {to}", name.as_str());
    };
    // Most limits are the most that is allowed, and 0 is off.
    for (from, to, expected) in [(5, 6, true), (5, 5, false), (5, 4, false), (5, 0, true), (0, 5, false), (0, 0, false)]
    {
        check(LimitName::DayLossReducePpm, from, to, expected);
    }
    // Some are the least that is asked for.
    for name in [LimitName::WalletFloorPpm, LimitName::AgentConfidenceMinPpm] {
        for (from, to, expected) in [(5, 6, false), (5, 5, false), (5, 4, true), (5, 0, true), (0, 5, false)] {
            check(name, from, to, expected);
        }
    }
    // Off, all of a margined position is at risk: that is the strictest.
    let all = PPM_MAX;
    let margined = [(5, 6, false), (5, 4, true), (5, 0, false), (0, 5, true), (0, 0, false), (0, all, false)];
    for (from, to, expected) in margined.into_iter().chain([(0, all - 1, true)]) {
        check(LimitName::MarginedRiskPpm, from, to, expected);
    }
}

#[test]
fn an_error_names_the_key_to_blame() {
    let key = |key: &str, value| {
        let refused = Rules::default().set_all([(key, value)].into_iter()).expect_err("refused");
        refused.key().to_owned()
    };
    assert_eq!(key("nothing", 1), "nothing");
    assert_eq!(key("trade_max_ppm.alice", -1), "trade_max_ppm.alice");
    assert_eq!(key("drawdown_halt_ppm", 49_999), "drawdown_halt_ppm");
}

#[test]
fn nonsense_is_named() {
    let check = |key: &str, value: i64, expected: &str| {
        let mut rules = Rules::default();
        let refused = rules.set_all([(key, value)].into_iter()).map_err(|error| error.to_string());
        if expected.is_empty() {
            assert_eq!(refused, Ok(()), "{key} {value}");
        } else {
            let refused = refused.expect_err("refused");
            assert!(refused.contains(expected), "{key} {value}: {refused}");
            assert_eq!(rules, Rules::default(), "a refusal changes nothing");
        }
    };
    check("day_loss", 1, "there is no limit day_loss");
    check("trade_max_ppm", 1_000_000, "");
    check("trade_max_ppm", 1_000_001, "trade_max_ppm is 1000001, it must be 0 to 1000000");
    check("trade_max_ppm.alice", -1, "trade_max_ppm.alice is -1");
    check("day_loss_reduce_ppm", 30_000, "");
    check("day_loss_reduce_ppm", 29_999, "day_loss_reduce_ppm is 29999, it must not be below agent_loss_halt_ppm");
    check("drawdown_halt_ppm", 50_000, "");
    check("drawdown_halt_ppm", 49_999, "drawdown_halt_ppm is 49999, it must not be below day_loss_reduce_ppm");
    check("month_loss_halt_ppm", 49_999, "month_loss_halt_ppm is 49999, it must not be below day_loss_reduce_ppm");
    check("drawdown_halt_ppm", 0, "");
    check("day_loss_reduce_ppm.alice", 40_000, "day_loss_reduce_ppm has one value for all: it cannot be set for alice");
    check("agent_loss_halt_ppm.a1", 20_000, "");
}

#[test]
fn a_value_for_one_is_accepted_exactly_where_somebody_asks_for_it() {
    for name in LimitName::ALL {
        let mut rules = Rules::default();
        let set = rules.set(name, "x", name.default_value());
        assert_eq!(set.is_ok(), name.whose().has_own_values(), "{}", name.as_str());
        assert_eq!(rules.set_all([(key(name, "x").as_str(), 0)].into_iter()).is_ok(), name.whose().has_own_values());
        // A journal of an earlier time may have it: it does nothing, as it did then.
        assert_eq!(rules.restore([(key(name, "x").as_str(), 0)].into_iter()), Ok(()));
    }
}

#[test]
fn a_limit_that_only_one_has_is_on() {
    let mut rules = Rules::default();
    assert!(!rules.is_on(LimitName::FeedAgeWarnMs));
    rules.set(LimitName::FeedAgeWarnMs, "GBPUSD", 5_000).expect("in range");
    assert!(rules.is_on(LimitName::FeedAgeWarnMs));
    assert!(rules.is_on(LimitName::DayLossReducePpm));
}
