//! Under which conditions history is traded: what trading costs, at which
//! prices matches are bet on, and what is asked of a bet. Read from the TOML
//! file of `--costs`; what it does not say is as on the paper venue.

use super::models::Wanted;
use anyhow::Context as _;
use serde::{Deserialize, Deserializer};
use std::{collections::BTreeMap, fmt, path::Path, str::FromStr};
use tragen_domain::{
    id::Currency,
    money::{Money, ONE, Price, Quantity},
};

/// Largest file of conditions that is read, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Largest fee rate, parts per million: 20 %.
const FEE_PPM_MAX: i64 = 200_000;
/// Share of the model in the pool when nobody says.
pub(crate) const MODEL_WEIGHT: f64 = 0.1;
/// An expected return above this is a data fault, basis points.
const MAX_EDGE_BPS: u32 = 1_500;

/// Everything a run is done under.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Conditions {
    /// What each agent begins with, in [`Self::currency`].
    #[serde(deserialize_with = "money")]
    pub(crate) starting_cash: Money,
    /// Everything is measured in it; instruments that settle in another one are left out.
    #[serde(deserialize_with = "currency")]
    pub(crate) currency: Currency,
    /// What running the agents costs in a day, if that is known.
    #[serde(deserialize_with = "some_money")]
    pub(crate) running_cost_per_day: Option<Money>,
    /// Bars.
    pub(crate) bars: BarConditions,
    /// Matches, for every agent that has no entry of its own in [`Self::agents`].
    pub(crate) matches: MatchConditions,
    /// Matches, by the agent's id.
    pub(crate) agents: BTreeMap<String, MatchConditions>,
    /// Limits of the guard by name, as in its configuration.
    pub(crate) limits: BTreeMap<String, i64>,
}

/// How bars are traded.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BarConditions {
    /// Half of the spread around the middle, instead of the one in the files.
    #[serde(deserialize_with = "some_price")]
    pub(crate) half_spread: Option<Price>,
    /// Taker fee, parts per million of the notional, instead of the instrument's.
    pub(crate) fee_ppm: Option<i64>,
    /// What can be had at the best price, instead of the paper venue's least.
    #[serde(deserialize_with = "some_quantity")]
    pub(crate) depth: Option<Quantity>,
    /// Every position has this size, instead of the personality's.
    #[serde(deserialize_with = "some_quantity")]
    pub(crate) quantity: Option<Quantity>,
    /// When a protective stop is seen.
    pub(crate) stops: Stops,
}

/// When a protective stop is seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stops {
    /// At the close of the bar, as the live agents do; filled at the next open.
    #[default]
    AtClose,
    /// When the price touches it, filled there or, after a jump, at the open.
    AtTouch,
}

/// How matches are bet on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MatchConditions {
    /// Which odds there are when it is decided.
    pub(crate) odds: OddsTime,
    /// Whose prices are taken.
    pub(crate) price: Offer,
    /// What the fair price is measured by.
    pub(crate) reference: Reference,
    /// Share of the model in the pool with the consensus, 0 to 1, where the reference has a model.
    pub(crate) model_weight: Option<f64>,
    /// Taker fee rate of a contract, parts per million, instead of the venue's; bookmakers take none.
    pub(crate) fee_ppm: Option<i64>,
    /// Smallest expected return, basis points, instead of the personality's.
    pub(crate) min_edge_bps: Option<u32>,
    /// A larger expected return is a data fault, basis points.
    pub(crate) max_edge_bps: u32,
    /// Flat stake as a share of the starting cash, parts per million, instead of the personality's Kelly share.
    pub(crate) stake_ppm: Option<i64>,
    /// How many outcomes of a match may be bought.
    pub(crate) bets: Bets,
}

/// Which odds there are when it is decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OddsTime {
    /// The first ones, at the start of the match's day.
    #[default]
    Opening,
    /// The last ones, at the kick-off.
    Closing,
}

/// Whose prices are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Offer {
    /// The simulated venue's: whole cents around what it believes, with its fee.
    #[default]
    Venue,
    /// The best of all bookmakers.
    Best,
    /// The average of all bookmakers.
    Average,
    /// The exchange's.
    Exchange,
    /// One bookmaker's, by name.
    Bookmaker(String),
}

/// What the fair price is measured by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reference {
    /// What all bookmakers believe, the sharp ones most.
    #[default]
    Consensus,
    /// What the sharp bookmakers believe.
    Sharp,
    /// What the average odds say.
    Average,
    /// What Dixon-Coles says, fitted before each match day to the results known by then.
    DixonColes,
    /// What Elo ratings say, with a link fitted to the ten seasons before.
    Elo,
    /// The consensus with [`MatchConditions::model_weight`] of Dixon-Coles, pooled by log-odds.
    Pool,
    /// A planted leak: it knows the result.
    #[cfg(test)]
    Peeking,
}

/// How many outcomes of a match may be bought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Bets {
    /// The one with the best expected return, as a mandate does.
    #[default]
    Best,
    /// Every one that is worth it.
    All,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            starting_cash: Money::from_micros(100_000 * ONE),
            currency: Currency::new("USD").expect("three letters are an id"),
            running_cost_per_day: None,
            bars: BarConditions::default(),
            matches: MatchConditions::default(),
            agents: BTreeMap::new(),
            limits: BTreeMap::new(),
        }
    }
}

impl Default for MatchConditions {
    fn default() -> Self {
        Self {
            odds: OddsTime::default(),
            price: Offer::default(),
            reference: Reference::default(),
            model_weight: None,
            fee_ppm: None,
            min_edge_bps: None,
            max_edge_bps: MAX_EDGE_BPS,
            stake_ppm: None,
            bets: Bets::default(),
        }
    }
}

impl Conditions {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Naming the file, the line and the key.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = || format!("reading the conditions in {}", path.display());
        let size = std::fs::metadata(path).with_context(file)?.len();
        anyhow::ensure!(
            size <= FILE_BYTES_MAX,
            "{} has {size} bytes, at most {FILE_BYTES_MAX} are read",
            path.display()
        );
        let text = std::fs::read_to_string(path).with_context(file)?;
        Self::parse(&text).with_context(file)
    }

    /// Of a file's text.
    fn parse(text: &str) -> anyhow::Result<Self> {
        let conditions: Self = toml::from_str(text)?;
        conditions.validate()?;
        Ok(conditions)
    }

    /// The models that somebody asks for.
    pub(crate) fn wanted_models(&self) -> Wanted {
        let mut wanted = Wanted::default();
        for own in self.agents.values().chain([&self.matches]) {
            wanted.dixon_coles |= matches!(own.reference, Reference::DixonColes | Reference::Pool);
            wanted.elo |= own.reference == Reference::Elo;
        }
        wanted
    }

    /// How the agent bets on matches.
    pub(crate) fn matches_of(&self, agent: &str) -> &MatchConditions {
        self.agents.get(agent).unwrap_or(&self.matches)
    }

    fn validate(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.starting_cash > Money::ZERO, "starting_cash: {} is not above 0", self.starting_cash);
        if let Some(cost) = self.running_cost_per_day {
            anyhow::ensure!(!cost.is_negative(), "running_cost_per_day: {cost} is below 0");
        }
        let BarConditions { half_spread, fee_ppm, depth, quantity, stops: _ } = &self.bars;
        anyhow::ensure!(half_spread.is_none_or(|half| !half.is_negative()), "bars.half_spread: is below 0");
        check_fee("bars.fee_ppm", *fee_ppm)?;
        for (key, quantity) in [("bars.depth", depth), ("bars.quantity", quantity)] {
            anyhow::ensure!(quantity.is_none_or(|own| own > Quantity::ZERO), "{key}: is not above 0");
        }
        let named = self.agents.iter().map(|(id, own)| (format!("agents.{id}"), own));
        for (key, own) in std::iter::once(("matches".to_owned(), &self.matches)).chain(named) {
            check_fee(&format!("{key}.fee_ppm"), own.fee_ppm)?;
            let stake = own.stake_ppm;
            anyhow::ensure!(
                stake.is_none_or(|ppm| (1..=ONE).contains(&ppm)),
                "{key}.stake_ppm: is not 1 to 1,000,000 (all of the starting cash)"
            );
            let weight = own.model_weight;
            anyhow::ensure!(weight.is_none_or(|w| (0.0..=1.0).contains(&w)), "{key}.model_weight: is not 0 to 1");
            let (min, max) = (own.min_edge_bps.unwrap_or(0), own.max_edge_bps);
            anyhow::ensure!(
                min <= max && max <= 100_000,
                "{key}: min_edge_bps {min} to max_edge_bps {max} is no range"
            );
        }
        Ok(())
    }
}

fn check_fee(key: &str, fee_ppm: Option<i64>) -> anyhow::Result<()> {
    let is_sane = fee_ppm.is_none_or(|ppm| (0..=FEE_PPM_MAX).contains(&ppm));
    anyhow::ensure!(is_sane, "{key}: is not 0 to {FEE_PPM_MAX}");
    Ok(())
}

impl TryFrom<String> for Offer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "venue" => Ok(Self::Venue),
            "best" => Ok(Self::Best),
            "average" => Ok(Self::Average),
            "exchange" => Ok(Self::Exchange),
            "" => Err("expected venue, best, average, exchange or a bookmaker".to_owned()),
            _ => Ok(Self::Bookmaker(text)),
        }
    }
}

/// Money is typed as text, `"0.00005"`: a floating-point number would not be exact.
fn decimal<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|error| serde::de::Error::custom(format!("{text:?}: {error}")))
}

fn money<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
    decimal(deserializer)
}

fn some_money<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Money>, D::Error> {
    decimal(deserializer).map(Some)
}

fn some_price<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Price>, D::Error> {
    decimal(deserializer).map(Some)
}

fn some_quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Quantity>, D::Error> {
    decimal(deserializer).map(Some)
}

fn currency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Currency, D::Error> {
    Currency::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_does_not_say_is_as_on_the_paper_venue() {
        assert_eq!(Conditions::parse("").expect("valid"), Conditions::default());
        let own = Conditions::parse(
            "starting_cash = \"1000\"\n[bars]\nhalf_spread = \"0.00005\"\nstops = \"at-touch\"\n\
             [agents.sharp]\nprice = \"best\"\nreference = \"sharp\"\nmin_edge_bps = 200\n",
        )
        .expect("valid");
        assert_eq!(own.bars.half_spread.map(Price::micros), Some(50));
        assert_eq!(own.bars.stops, Stops::AtTouch);
        assert_eq!((own.matches_of("sharp").min_edge_bps, own.matches_of("other").min_edge_bps), (Some(200), None));
        assert_eq!(own.matches_of("sharp").price, Offer::Best);
    }

    #[test]
    fn a_bad_value_names_its_key() {
        let check = |text: &str, expected: &str| {
            let refused = format!("{:#}", Conditions::parse(text).expect_err("refused"));
            assert!(refused.contains(expected), "{text}: {refused}");
        };
        check("spread = 1", "unknown field `spread`");
        check("[bars]\nhalf_spread = \"-1\"", "bars.half_spread");
        check("[bars]\nhalf_spread = \"NaN\"", "\"NaN\"");
        check("[bars]\nfee_ppm = 900000", "bars.fee_ppm");
        check("[bars]\nquantity = \"0\"", "bars.quantity");
        check("[matches]\nmodel_weight = nan", "matches.model_weight");
        check("[matches]\nstake_ppm = 0", "matches.stake_ppm");
        check("[agents.a]\nmin_edge_bps = 2000", "agents.a: min_edge_bps 2000");
        check("starting_cash = \"0\"", "starting_cash");
        check("starting_cash = 5", "line 1");
    }
}
