//! Decisions about the size of pools, made again from the inputs that each fact carries by the rule that made them. A
//! decision starts from the target of the one before it, so that one is compared, too.

use super::Comparison;
use std::collections::HashMap;
use tragen_contracts::v1;
use tragen_domain::{
    cost::pool::{PoolInputs, PoolMetric, PoolRule, Target},
    time::Timestamp,
};

/// The pools as their last facts left them.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    /// Target and when it was set, by pool.
    left: HashMap<String, (i32, i64)>,
    /// Decisions that were made again.
    pub(crate) sized: u64,
}

impl Pools {
    /// Takes a decision, in the order of the stream.
    pub(crate) fn sized(&mut self, fact: &v1::PoolSized, comparison: &mut Comparison) {
        let at = format!("pool {} at {} s", fact.pool_id, fact.decided_at_micros.div_euclid(1_000_000));
        self.sized += 1;
        let before = self.left.insert(fact.pool_id.clone(), (fact.target, fact.target_set_at_micros));
        let followed = fact.previous_target.map(|target| (target, fact.previous_set_at_micros));
        // What was decided before the stream began nobody knows any more.
        if let Some(before) = before.filter(|before| Some(*before) != followed) {
            let followed = followed.map_or_else(|| "none".to_owned(), target_text);
            comparison.differ(&at, "target before", &target_text(before), &followed);
        }
        let Some((rule, inputs)) = decision(fact) else {
            return comparison.differ(&at, "pool", "a decision that can be read", "one that cannot");
        };
        let again = rule.size(&inputs);
        let number = |agents: u32| i32::try_from(agents).unwrap_or(i32::MAX);
        let target = (number(again.target.agents), again.target.set_at.micros());
        let recorded = (fact.target, fact.target_set_at_micros);
        if target != recorded {
            comparison.differ(&at, "target", &target_text(target), &target_text(recorded));
        }
        if number(again.agents) != fact.agents {
            comparison.differ(&at, "agents", &again.agents.to_string(), &fact.agents.to_string());
        }
        if again.why.as_str() != fact.why {
            comparison.differ(&at, "why", again.why.as_str(), &fact.why);
        }
    }
}

fn target_text((agents, set_at_micros): (i32, i64)) -> String {
    format!("{agents} agents since {set_at_micros}")
}

/// The rule of a decision and what it followed from; None where they make no sense.
fn decision(fact: &v1::PoolSized) -> Option<(PoolRule, PoolInputs)> {
    let number = |agents: i32| u32::try_from(agents).ok();
    let metric = match fact.metric() {
        v1::PoolMetric::MarketVolatility => PoolMetric::MarketVolatility,
        v1::PoolMetric::TrendStrength => PoolMetric::TrendStrength,
        v1::PoolMetric::Unspecified => return None,
    };
    let rule = PoolRule::new(number(fact.agents_min)?, number(fact.agents_max)?, metric).ok()?;
    let current = match fact.previous_target {
        Some(target) => {
            let set_at = Timestamp::from_micros(fact.previous_set_at_micros);
            Some(Target { agents: number(target)?, set_at })
        }
        None => None,
    };
    let now = Timestamp::from_micros(fact.decided_at_micros);
    Some((rule, PoolInputs { metric_ppm: fact.metric_ppm, current, capacity_ppm: fact.capacity_ppm, now }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first decision of a pool, a change six minutes later, and one that came too soon.
    fn day() -> Vec<v1::PoolSized> {
        let first = v1::PoolSized {
            pool_id: "scalping".into(),
            agents_min: 10,
            agents_max: 50,
            metric: v1::PoolMetric::MarketVolatility.into(),
            metric_ppm: Some(250_000),
            capacity_ppm: 1_000_000,
            decided_at_micros: 1_000_000,
            target: 20,
            target_set_at_micros: 1_000_000,
            agents: 20,
            why: "METRIC".into(),
            ..v1::PoolSized::default()
        };
        let grown = v1::PoolSized {
            metric_ppm: Some(500_000),
            previous_target: Some(20),
            previous_set_at_micros: 1_000_000,
            decided_at_micros: 361_000_000,
            target: 30,
            target_set_at_micros: 361_000_000,
            agents: 30,
            ..first.clone()
        };
        let short = v1::PoolSized {
            metric_ppm: Some(1_000_000),
            previous_target: Some(30),
            previous_set_at_micros: 361_000_000,
            capacity_ppm: 800_000,
            decided_at_micros: 362_000_000,
            agents: 24,
            why: "TOO_SOON".into(),
            ..grown.clone()
        };
        vec![first, grown, short]
    }

    fn check(facts: &[v1::PoolSized], expected: &[(&str, &str)]) {
        let (mut pools, mut comparison) = (Pools::default(), Comparison::default());
        facts.iter().for_each(|fact| pools.sized(fact, &mut comparison));
        let found: Vec<(&str, &str)> = comparison.differences.iter().map(|own| (own.at.as_str(), own.what)).collect();
        assert_eq!((found.as_slice(), pools.sized), (expected, u64::try_from(facts.len()).expect("few")));
    }

    #[test]
    fn a_decision_comes_out_the_same_from_its_inputs() {
        check(&day(), &[]);
        // The stream has let the first ones go.
        check(&day()[1..], &[]);
    }

    #[test]
    fn what_is_otherwise_is_named_where_it_is() {
        let changed = |place: usize, change: &dyn Fn(&mut v1::PoolSized), expected: &[(&str, &str)]| {
            let mut facts = day();
            change(&mut facts[place]);
            check(&facts, expected);
        };
        changed(2, &|own| own.agents = 25, &[("pool scalping at 362 s", "agents")]);
        changed(2, &|own| own.capacity_ppm = 900_000, &[("pool scalping at 362 s", "agents")]);
        changed(2, &|own| own.why = "METRIC".into(), &[("pool scalping at 362 s", "why")]);
        changed(0, &|own| own.metric = 0, &[("pool scalping at 1 s", "pool")]);
        // Another figure makes another target, and with it another number of agents.
        changed(
            1,
            &|own| own.metric_ppm = Some(525_000),
            &[("pool scalping at 361 s", "target"), ("pool scalping at 361 s", "agents")],
        );
        // A decision that is not there is missed by the next one.
        let [first, _, short] = day().try_into().expect("three");
        check(&[first, short], &[("pool scalping at 362 s", "target before")]);
    }
}
