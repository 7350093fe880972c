//! A scenario in a file: who acts, what they do, how fast, and what must come out of it.

use crate::{
    kpi::{Goal, Kpi, Verdict},
    load::Load,
    operation::Mix,
    report::Report,
    schedule::Shape,
    session::Run,
};
use anyhow::{Context as _, bail};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path, time::Duration};

/// A scenario; its file has these keys and no others.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called in the report.
    pub name: String,
    /// What it is about, a sentence.
    pub about: String,
    /// Who acts.
    pub users: Users,
    /// What they do; orders only if it is missing.
    #[serde(default = "only_orders")]
    pub mix: Mix,
    /// How fast.
    pub load: LoadTable,
    /// Trading is halted meanwhile.
    pub halt: Option<HaltTable>,
    /// What must come out of it.
    pub kpi: BTreeMap<Kpi, Goal>,
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// Accounts.
    pub count: u32,
    /// Exponent of their activity: 1 is Zipf's law, 0 makes all alike; one after another if it is missing.
    pub zipf_exponent: Option<f64>,
    /// The same seed takes the same turns.
    #[serde(default)]
    pub seed: u64,
}

/// How fast.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadTable {
    /// Which loop and how its rate changes.
    pub shape: ShapeName,
    /// Open loop: starts per second; of a ramp the first rate, of a day the mean.
    pub per_second: Option<u32>,
    /// Of a ramp: the last rate.
    pub to_per_second: Option<u32>,
    /// Of a spike: what the rate is multiplied by.
    pub factor: Option<u32>,
    /// Of a spike: when it begins, seconds from the first measured start.
    pub spike_after_secs: Option<u64>,
    /// Of a spike: how long it lasts, seconds.
    pub spike_secs: Option<u64>,
    /// Of a day: how long it takes, seconds.
    pub day_secs: Option<u64>,
    /// Closed loop: operations in flight. Open loop: at most so many.
    pub in_flight: Option<u32>,
    /// Load before measuring, seconds.
    pub warm_up_secs: u64,
    /// How long to measure, seconds.
    pub seconds: u64,
}

/// Which loop and how its rate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShapeName {
    /// So many operations in flight.
    Closed,
    /// Always the same rate.
    Constant,
    /// From one rate to another.
    Ramp,
    /// Multiplied for a while.
    Spike,
    /// Days compressed.
    Day,
}

/// When trading is halted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HaltTable {
    /// Seconds from the first measured start.
    pub after_secs: u64,
}

/// Most operations in flight of an open loop that does not say.
const IN_FLIGHT_MAX: u32 = 10_000;

const fn only_orders() -> Mix {
    Mix::ORDERS
}

impl Scenario {
    /// The scenario in `file`.
    ///
    /// # Errors
    /// Where in the file the first thing is that cannot be understood: a key nobody knows, a value of
    /// another kind, or one that is missing.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let scenario =
            parse(&text).map_err(|(line, problem)| anyhow::anyhow!("{}:{line}: {problem}", file.display()))?;
        scenario.validate().with_context(|| file.display().to_string())?;
        Ok(scenario)
    }

    fn validate(&self) -> anyhow::Result<()> {
        self.mix.validate()?;
        anyhow::ensure!((1..=10_000_000).contains(&self.users.count), "users.count must be from 1 to 10,000,000");
        let exponent = self.users.zipf_exponent.unwrap_or(0.0);
        anyhow::ensure!((0.0..=4.0).contains(&exponent), "users.zipf_exponent must be from 0 to 4");
        anyhow::ensure!((1..=86_400).contains(&self.load.seconds), "load.seconds must be from 1 to 86,400");
        anyhow::ensure!(!self.kpi.is_empty(), "a scenario without a goal proves nothing: add [kpi]");
        self.load.load().map(drop)
    }

    /// What is run.
    ///
    /// # Errors
    /// When the shape needs a number that is missing.
    pub fn run(&self) -> anyhow::Result<Run> {
        Ok(Run {
            load: self.load.load()?,
            warm_up: Duration::from_secs(self.load.warm_up_secs),
            measured: Duration::from_secs(self.load.seconds),
            halt_after: self.halt.map(|halt| Duration::from_secs(halt.after_secs)),
        })
    }

    /// How `report` stands to the goals.
    #[must_use]
    pub fn verdicts(&self, report: &Report) -> Vec<Verdict> {
        let load = &self.load;
        let after_spike = load.spike_after_secs.zip(load.spike_secs).map(|(after, lasts)| after + lasts);
        let end = after_spike.map(|second| load.warm_up_secs + second);
        self.kpi.iter().map(|(kpi, goal)| Verdict::of(*kpi, *goal, report, end)).collect()
    }
}

impl LoadTable {
    fn load(&self) -> anyhow::Result<Load> {
        let rate = || above_zero("per_second", self.per_second);
        let shape = match self.shape {
            ShapeName::Closed => {
                let in_flight = above_zero("in_flight", self.in_flight)?;
                return Ok(Load::Closed { in_flight: usize::try_from(in_flight)? });
            }
            ShapeName::Constant => Shape::Constant { per_second: rate()? },
            ShapeName::Ramp => Shape::Ramp {
                from_per_second: rate()?,
                to_per_second: above_zero("to_per_second", self.to_per_second)?,
            },
            ShapeName::Spike => Shape::Spike {
                per_second: rate()?,
                factor: above_zero("factor", self.factor)?,
                after_secs: self.spike_after_secs.context("load.spike_after_secs is missing")?,
                lasts_secs: self.spike_secs.context("load.spike_secs is missing")?,
            },
            ShapeName::Day => Shape::Day {
                per_second: rate()?,
                day_secs: self.day_secs.filter(|secs| *secs > 0).context("load.day_secs is missing or 0")?,
            },
        };
        Ok(Load::Open { shape, in_flight_max: usize::try_from(self.in_flight.unwrap_or(IN_FLIGHT_MAX))? })
    }
}

fn above_zero(key: &str, value: Option<u32>) -> anyhow::Result<u32> {
    match value {
        Some(value @ 1..) => Ok(value),
        Some(0) => bail!("load.{key} must be above 0"),
        None => bail!("load.{key} is missing"),
    }
}

/// The scenario in `text`, or the line and what is wrong there.
fn parse(text: &str) -> Result<Scenario, (usize, String)> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        (before.matches('\n').count() + 1, error.message().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"one\"\nabout = \"a test\"\n[users]\ncount = 10\n[load]\nshape = \"constant\"\n\
                        per_second = 5\nwarm_up_secs = 1\nseconds = 2\n[kpi]\nerror_ppm = { target = 1, critical = 2 }\n";

    fn check(from: &str, to: &str, line: usize, problem: &str) {
        let (found, said) = parse(&GOOD.replace(from, to)).expect_err("refused");
        assert!(found == line && said.contains(problem), "{found}: {said}");
    }

    #[test]
    fn what_nobody_knows_is_refused_with_its_line() {
        let scenario = parse(GOOD).expect("a scenario");
        assert_eq!(scenario.run().expect("a run").load, Load::constant(5, 10_000));
        check("count = 10", "cuont = 10", 4, "cuont");
        check("count = 10", "count = \"ten\"", 4, "string");
        check("about =", "abuot =", 2, "abuot");
        check("\"constant\"", "\"konstant\"", 6, "konstant");
        check("error_ppm", "eror_ppm", 11, "eror_ppm");
        check("critical = 2", "kritical = 2", 11, "kritical");
        check("seconds = 2", "seconds = 2\nsecs = 2", 10, "secs");
    }

    #[test]
    fn a_shape_says_which_number_is_missing() {
        for (shape, missing) in
            [("closed", "in_flight"), ("ramp", "to_per_second"), ("spike", "factor"), ("day", "day_secs")]
        {
            let scenario = parse(&GOOD.replace("constant", shape)).expect("a scenario");
            let refused = scenario.run().expect_err("refused").to_string();
            assert!(refused.contains(missing), "{refused}");
        }
        let zero = parse(&GOOD.replace("per_second = 5", "per_second = 0")).expect("a scenario");
        assert!(zero.validate().expect_err("refused").to_string().contains("per_second"));
    }
}
