//! What a book of predictions can win and lose: every combination of results of
//! its matches. The outcomes of one match exclude each other; matches are independent.

use super::{
    moments::{to_float, to_whole},
    tail::Confidence,
    undefined::Undefined,
    value::unrealized_pnl,
};
use crate::{
    id::MatchId,
    money::{Money, ONE, Overflow, Price},
    position::Position,
};
use std::collections::BTreeMap;

/// Up to so many combinations, each is looked at; beyond, [`DRAWS`] of them are drawn.
pub const SCENARIOS_MAX: usize = 1_000_000;
/// How many combinations are drawn.
pub const DRAWS: usize = 200_000;
/// Most matches in one book.
pub const MATCHES_MAX: usize = 1_024;
/// Most outcomes of one match.
pub const OUTCOMES_MAX: usize = 16;

/// Fixed, so that the same book always gives the same figures.
const SEED: u64 = 20_050_813;
/// Probabilities must add up to one this closely.
const PROBABILITY_TOLERANCE: f64 = 1e-9;

/// One result of a match: how likely it is, and what the book wins or loses by it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutcomePnl {
    /// 0..=1.
    pub probability: f64,
    /// Profit, negative for a loss; what was paid is deducted.
    pub pnl: Money,
}

/// Why a match cannot be put into a book.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ScenarioError {
    /// No outcomes, or more than [`OUTCOMES_MAX`].
    #[error("{count} outcomes; a match has 1 to {OUTCOMES_MAX}")]
    Outcomes {
        /// How many there are.
        count: usize,
    },
    /// Probabilities outside 0..=1, or that do not add up to 1.
    #[error("the probabilities add up to {sum}, not to 1")]
    Probabilities {
        /// What they add up to.
        sum: f64,
    },
    /// More than [`MATCHES_MAX`] matches.
    #[error("more than {MATCHES_MAX} matches")]
    TooManyMatches,
    /// The largest win or loss does not fit 64 bits.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

/// The matches of a book.
///
/// ```
/// use tragen_domain::{id::MatchId, money::Money, portfolio::*};
/// let outcome = |probability, pnl: &str| OutcomePnl { probability, pnl: pnl.parse().unwrap() };
/// let mut book = ScenarioBook::default();
/// // 100 contracts on the home win for 58.
/// let home_win = [outcome(0.61, "42"), outcome(0.22, "-58"), outcome(0.17, "-58")];
/// book.put(MatchId::new("ARS-CHE").unwrap(), &home_win).unwrap();
/// assert_eq!(book.worst().to_string(), "-58");
/// let risk = book.risk(Confidence::P95).unwrap();
/// assert_eq!((risk.expected.to_string(), risk.value_at_risk.to_string()), ("3".into(), "58".into()));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScenarioBook {
    matches: BTreeMap<MatchId, Vec<OutcomePnl>>,
    worst: Money,
    best: Money,
}

/// How combinations were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Each of so many.
    Enumerated {
        /// How many combinations there are.
        scenarios: usize,
    },
    /// [`DRAWS`] of them, with a fixed seed.
    Drawn,
}

/// What a book of predictions can lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScenarioRisk {
    /// Mean profit, to the nearest micro.
    pub expected: Money,
    /// The loss that is not exceeded with the given confidence, >= 0.
    pub value_at_risk: Money,
    /// The mean loss of the worst scenarios that make up the rest, to the nearest micro; >= value at risk.
    pub expected_shortfall: Money,
    /// How it was found.
    pub method: Method,
}

/// Profit of positions on the outcomes of one match, for each outcome that may happen.
///
/// Example: 100 on home for 58 give 42, -58, -58; 10 short draws at 0.3 add 3, -7, 3.
///
/// # Errors
/// [`Overflow`].
pub fn outcome_pnls(positions: &[Position]) -> Result<Vec<Money>, Overflow> {
    let pnl_if = |happened: usize| {
        positions.iter().enumerate().try_fold(Money::ZERO, |sum, (outcome, position)| {
            let value = if outcome == happened { Price::from_micros(ONE) } else { Price::ZERO };
            sum.plus(unrealized_pnl(position, value)?)
        })
    };
    (0..positions.len()).map(pnl_if).collect()
}

impl ScenarioBook {
    /// Puts a match with its outcomes in place of what was known of it: O(outcomes).
    ///
    /// # Errors
    /// [`ScenarioError`]; nothing is changed then.
    pub fn put(&mut self, id: MatchId, outcomes: &[OutcomePnl]) -> Result<(), ScenarioError> {
        if !(1..=OUTCOMES_MAX).contains(&outcomes.len()) {
            return Err(ScenarioError::Outcomes { count: outcomes.len() });
        }
        let sum = outcomes.iter().map(|outcome| outcome.probability).sum::<f64>();
        let is_share = |outcome: &OutcomePnl| (0.0..=1.0).contains(&outcome.probability);
        if !outcomes.iter().all(is_share) || (sum - 1.0).abs() > PROBABILITY_TOLERANCE {
            return Err(ScenarioError::Probabilities { sum });
        }
        if self.matches.len() == MATCHES_MAX && !self.matches.contains_key(&id) {
            return Err(ScenarioError::TooManyMatches);
        }
        let before = self.matches.get(&id).map_or((Money::ZERO, Money::ZERO), |known| extremes(known));
        let after = extremes(outcomes);
        let worst = self.worst.minus(before.0)?.plus(after.0)?;
        let best = self.best.minus(before.1)?.plus(after.1)?;
        (self.worst, self.best) = (worst, best);
        self.matches.insert(id, outcomes.to_vec());
        Ok(())
    }

    /// Forgets a match, as when it is paid out.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn remove(&mut self, id: &MatchId) -> Result<(), Overflow> {
        if let Some(known) = self.matches.get(id) {
            let (worst, best) = extremes(known);
            (self.worst, self.best) = (self.worst.minus(worst)?, self.best.minus(best)?);
            self.matches.remove(id);
        }
        Ok(())
    }

    /// Profit when every match ends in the worst way: negative for a loss. O(1).
    #[must_use]
    pub const fn worst(&self) -> Money {
        self.worst
    }

    /// Profit when every match ends in the best way. O(1).
    #[must_use]
    pub const fn best(&self) -> Money {
        self.best
    }

    /// Value at risk and expected shortfall, on demand: never on the way of an order
    /// (tens of milliseconds for a million scenarios).
    ///
    /// Expected shortfall averages exactly the worst `1 - confidence` of all probability;
    /// a scenario on the border counts with the part that is needed (Acerbi and Tasche, 2002).
    ///
    /// # Errors
    /// [`Undefined::TooFewPoints`] without a match.
    pub fn risk(&self, confidence: Confidence) -> Result<ScenarioRisk, Undefined> {
        if self.matches.is_empty() {
            return Err(Undefined::TooFewPoints { needed: 1, have: 0 });
        }
        match self.count() {
            Some(scenarios) => risk_of(&self.enumerated(), Method::Enumerated { scenarios }, confidence),
            None => risk_of(&self.drawn(), Method::Drawn, confidence),
        }
    }

    /// The risk with each of `variants` as the outcomes of the match `id`, in place of what is known of it. The rest of
    /// the book is looked at once for all of them: for comparing what could be done in one match.
    ///
    /// # Errors
    /// [`ScenarioError`] for a variant that cannot be put; [`Overflow`] in it for a sum that does not fit.
    pub fn risk_of_variants(
        &self,
        id: &MatchId,
        variants: &[Vec<OutcomePnl>],
        confidence: Confidence,
    ) -> Result<Vec<ScenarioRisk>, ScenarioError> {
        let mut rest = self.clone();
        rest.remove(id)?;
        let scenarios = rest.count().map(|_| rest.enumerated());
        let mut risks = Vec::with_capacity(variants.len());
        for variant in variants {
            let mut book = rest.clone();
            book.put(id.clone(), variant)?;
            let risk = match (&scenarios, book.count()) {
                (Some(scenarios), Some(count)) => {
                    let method = Method::Enumerated { scenarios: count };
                    risk_of(&joined(scenarios, variant), method, confidence)
                }
                (Some(_) | None, Some(_) | None) => book.risk(confidence),
            };
            // A book with a match has figures unless they do not fit.
            risks.push(risk.map_err(|_| Overflow)?);
        }
        Ok(risks)
    }

    /// How many combinations there are; None when they are too many to look at each.
    fn count(&self) -> Option<usize> {
        let count = self.matches.values().try_fold(1_usize, |count, outcomes| count.checked_mul(outcomes.len()));
        count.filter(|count| *count <= SCENARIOS_MAX)
    }

    /// Every combination, worst first; those of equal profit are one.
    fn enumerated(&self) -> Vec<(i64, f64)> {
        let mut scenarios = vec![(0, 1.0)];
        for outcomes in self.matches.values() {
            scenarios = joined(&scenarios, outcomes);
        }
        scenarios
    }

    fn drawn(&self) -> Vec<(i64, f64)> {
        let mut random = SplitMix(SEED);
        let share = 1.0 / to_float(i128::try_from(DRAWS).unwrap_or(1));
        let draw = |_| {
            let pnl = self.matches.values().map(|outcomes| picked(outcomes, random.next_share()).micros()).sum();
            (pnl, share)
        };
        merged((0..DRAWS).map(draw).collect())
    }
}

/// The figures of scenarios sorted by profit.
fn risk_of(worst_first: &[(i64, f64)], method: Method, confidence: Confidence) -> Result<ScenarioRisk, Undefined> {
    let expected = worst_first.iter().map(|(pnl, probability)| to_float((*pnl).into()) * probability).sum();
    let (value_at_risk, expected_shortfall) = shortfall(worst_first, confidence.tail_probability());
    let value_at_risk = Money::from_micros(value_at_risk).negated()?.max(Money::ZERO);
    Ok(ScenarioRisk {
        expected: Money::from_micros(to_whole(expected)?),
        value_at_risk,
        expected_shortfall: Money::from_micros(to_whole(-expected_shortfall)?).max(value_at_risk),
        method,
    })
}

/// Each scenario with each outcome of one more match, worst first.
fn joined(scenarios: &[(i64, f64)], outcomes: &[OutcomePnl]) -> Vec<(i64, f64)> {
    // One outcome after the other keeps each part sorted, which the sort makes use of. `put` has made sure that even
    // the sums of extremes fit.
    let shifted = outcomes.iter().flat_map(|outcome| {
        let moved =
            move |(pnl, probability): &(i64, f64)| (pnl + outcome.pnl.micros(), probability * outcome.probability);
        scenarios.iter().map(moved)
    });
    merged(shifted.collect())
}

/// The worst and the best outcome of a match.
fn extremes(outcomes: &[OutcomePnl]) -> (Money, Money) {
    let pnls = || outcomes.iter().map(|outcome| outcome.pnl);
    (pnls().min().unwrap_or_default(), pnls().max().unwrap_or_default())
}

/// Sorted by profit, equal ones together.
fn merged(mut scenarios: Vec<(i64, f64)>) -> Vec<(i64, f64)> {
    scenarios.sort_by_key(|(pnl, _)| *pnl);
    scenarios.dedup_by(|next, kept| {
        let is_equal = next.0 == kept.0;
        if is_equal {
            kept.1 += next.1;
        }
        is_equal
    });
    scenarios
}

/// Profit at the border of the worst `tail` of all probability, and the mean profit in it.
fn shortfall(worst_first: &[(i64, f64)], tail: f64) -> (i64, f64) {
    let (mut border, mut sum, mut left) = (worst_first.first().map_or(0, |(pnl, _)| *pnl), 0.0, tail);
    for (pnl, probability) in worst_first {
        // A tail that is full but for rounding is full.
        if left <= tail * 1e-12 {
            break;
        }
        if *probability > 0.0 {
            let part = probability.min(left);
            (border, sum, left) = (*pnl, sum + part * to_float((*pnl).into()), left - part);
        }
    }
    (border, sum / (tail - left.max(0.0)))
}

/// The outcome at `share` (0..1) of the probabilities laid end to end.
fn picked(outcomes: &[OutcomePnl], share: f64) -> Money {
    let mut left = share;
    let hit = outcomes.iter().find(|outcome| {
        left -= outcome.probability;
        left < 0.0
    });
    // Rounding may leave a little at the end: it belongs to the last outcome that can happen.
    hit.or_else(|| outcomes.iter().rfind(|outcome| outcome.probability > 0.0))
        .map_or(Money::ZERO, |outcome| outcome.pnl)
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly from 0 to below 1, of 2^53 steps.
    fn next_share(&mut self) -> f64 {
        to_float((self.next() >> 11).into()) / 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(probability: f64, pnl: i64) -> OutcomePnl {
        OutcomePnl { probability, pnl: Money::from_micros(pnl * ONE) }
    }

    fn id(number: usize) -> MatchId {
        MatchId::new(format!("M{number}")).expect("an id")
    }

    fn coins(count: usize) -> ScenarioBook {
        let mut book = ScenarioBook::default();
        for number in 0..count {
            book.put(id(number), &[outcome(0.5, 1), outcome(0.5, -1)]).expect("valid");
        }
        book
    }

    #[test]
    fn a_border_scenario_counts_in_part() {
        let mut book = ScenarioBook::default();
        book.put(id(0), &[outcome(0.02, -100), outcome(0.08, -10), outcome(0.9, 5)]).expect("valid");
        let risk = book.risk(Confidence::P95).expect("defined");
        // 0.02 of -100 and 0.03 of -10 make up the worst 0.05.
        assert_eq!(risk.value_at_risk, Money::from_micros(10 * ONE));
        assert_eq!(risk.expected_shortfall, Money::from_micros(46 * ONE));
        assert_eq!(risk.expected, Money::from_micros(1_700_000));
        assert_eq!(risk.method, Method::Enumerated { scenarios: 3 });
    }

    #[test]
    fn what_cannot_happen_is_no_risk() {
        let mut book = ScenarioBook::default();
        book.put(id(0), &[outcome(0.0, -1_000), outcome(1.0, -3)]).expect("valid");
        let risk = book.risk(Confidence::P99).expect("defined");
        assert_eq!(
            (risk.value_at_risk, risk.expected_shortfall),
            (Money::from_micros(3 * ONE), Money::from_micros(3 * ONE))
        );
        // But the worst case is not asked how likely it is.
        assert_eq!(book.worst(), Money::from_micros(-1_000 * ONE));
    }

    #[test]
    fn many_matches_are_drawn_and_come_close() {
        let (exact, drawn) = (coins(19), coins(21));
        let exact = exact.risk(Confidence::P95).expect("defined");
        let got = drawn.risk(Confidence::P95).expect("defined");
        assert_eq!((exact.method, got.method), (Method::Enumerated { scenarios: 1 << 19 }, Method::Drawn));
        assert_eq!(got, drawn.risk(Confidence::P95).expect("defined"), "the seed is fixed");
        // 21 coins: P(heads <= 6) = 0.0392 < 0.05 < P(heads <= 7) = 0.0946, so 7 heads, a loss of 7.
        assert_eq!(got.value_at_risk, Money::from_micros(7 * ONE));
        let shortfall = to_float(got.expected_shortfall.micros().into()) / 1e6;
        assert!((shortfall - 9.0).abs() < 0.5, "{shortfall}");
        assert!(got.expected.magnitude().expect("fits") < Money::from_micros(50_000), "{}", got.expected);
    }

    #[test]
    fn matches_can_be_replaced_and_removed() {
        let mut book = coins(3);
        book.put(id(1), &[outcome(1.0, 7)]).expect("valid");
        assert_eq!([book.worst(), book.best()], [5, 9].map(|units| Money::from_micros(units * ONE)));
        book.remove(&id(0)).expect("fits");
        book.remove(&id(0)).expect("fits");
        assert_eq!([book.worst(), book.best()], [6, 8].map(|units| Money::from_micros(units * ONE)));
        for number in 0..3 {
            book.remove(&id(number)).expect("fits");
        }
        assert_eq!(book, ScenarioBook::default());
        assert_eq!(book.risk(Confidence::P95), Err(Undefined::TooFewPoints { needed: 1, have: 0 }));
    }

    #[test]
    fn impossible_matches_are_refused() {
        let mut book = ScenarioBook::default();
        let mut check = |outcomes: &[OutcomePnl], expected: ScenarioError| {
            assert_eq!(book.put(id(0), outcomes), Err(expected));
            assert_eq!(book, ScenarioBook::default());
        };
        check(&[], ScenarioError::Outcomes { count: 0 });
        check(&[outcome(1.0 / 17.0, 0); 17], ScenarioError::Outcomes { count: 17 });
        check(&[outcome(0.5, 0), outcome(0.25, 0)], ScenarioError::Probabilities { sum: 0.75 });
        check(&[outcome(1.5, 0), outcome(-0.5, 0)], ScenarioError::Probabilities { sum: 1.0 });
        let mut full = coins(MATCHES_MAX);
        assert_eq!(full.put(id(MATCHES_MAX), &[outcome(1.0, 0)]), Err(ScenarioError::TooManyMatches));
        assert_eq!(full.put(id(0), &[outcome(1.0, 0)]), Ok(()));
        let most = OutcomePnl { probability: 1.0, pnl: Money::from_micros(i64::MAX) };
        full.put(id(0), &[most]).expect_err("does not fit");
    }

    #[test]
    fn positions_win_and_lose_by_outcome() {
        let position = |quantity: i64, entry: i64| Position {
            quantity: crate::money::Quantity::from_micros(quantity * ONE),
            entry_notional: Money::from_micros(entry * ONE),
            ..Position::default()
        };
        let pnls = outcome_pnls(&[position(100, 58), position(-10, 3), Position::default()]).expect("fits");
        assert_eq!(pnls, [45, -65, -55].map(|units| Money::from_micros(units * ONE)));
    }

    #[test]
    fn variants_of_a_match_have_the_risk_of_a_book_with_them() {
        let variants = [vec![outcome(0.5, 2), outcome(0.5, -9)], vec![outcome(1.0, 0)]];
        // Two of few matches, and one of more than are looked at one by one.
        for (matches, variants) in [(1, &variants[..]), (3, &variants), (21, &variants[..1])] {
            let book = coins(matches);
            let risks = book.risk_of_variants(&id(0), variants, Confidence::P95).expect("valid");
            for (variant, risk) in variants.iter().zip(risks) {
                let mut changed = book.clone();
                changed.put(id(0), variant).expect("valid");
                assert_eq!(Ok(risk), changed.risk(Confidence::P95), "{matches} matches");
            }
        }
        let broken = coins(2).risk_of_variants(&id(0), &[vec![outcome(0.4, 1)]], Confidence::P95);
        assert_eq!(broken, Err(ScenarioError::Probabilities { sum: 0.4 }));
    }
}
