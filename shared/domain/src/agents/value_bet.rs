//! Bets on odds that are higher than fair: which ones, how large, and what they would have earned.
//!
//! Two rules with the same arithmetic. The *sharp anchor* takes a sharp bookmaker's price without its margin as fair and
//! bets wherever somebody else pays more (Kaunitz, Zhong and Kreiner 2017). The *model value* rule takes a model's
//! probability as fair, bets on the best outcome of a match and sizes by Kelly. History says that the first beats the
//! closing line and the second does not.

use super::devig::{DevigError, DevigMethod, devig};
use super::evaluation::bet_book::{BetBook, BetReport, Settled};
use super::evaluation::closing_line::closing_line_value;
use super::fair_line::Outcome;
use super::kelly::{KellyError, kelly_for_odds, stake_fraction};

/// An outcome whose odds are higher than fair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValueBet {
    /// Which outcome.
    pub outcome: Outcome,
    /// Our probability of it.
    pub probability: f64,
    /// The decimal odds.
    pub odds: f64,
    /// Expected return on the stake, `probability * odds - 1`.
    pub edge: f64,
}

/// A match for the sharp anchor: decimal odds of home, draw and away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharpRow {
    /// The sharp bookmaker's.
    pub reference: [f64; 3],
    /// The ones to bet at.
    pub offered: [f64; 3],
    /// The sharp bookmaker's last before the kick-off; None where nobody recorded them.
    pub closing: Option<[f64; 3]>,
    /// What happened.
    pub outcome: Outcome,
}

/// The numbers of the sharp anchor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharpRules {
    /// Smallest edge that is bet.
    pub min_edge: f64,
    /// An edge above it is a broken price.
    pub max_edge: f64,
    /// Stake of each bet, money.
    pub stake: f64,
    /// Money to begin with, for the drawdown.
    pub bank: f64,
}

impl Default for SharpRules {
    /// 2 % to 15 %, ten of a thousand on each.
    fn default() -> Self {
        Self { min_edge: 0.02, max_edge: 0.15, stake: 10.0, bank: 1_000.0 }
    }
}

/// A match for the model value rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelRow {
    /// The model's probabilities of home, draw and away.
    pub model: [f64; 3],
    /// The decimal odds to bet at.
    pub offered: [f64; 3],
    /// Fair probabilities of the last odds before the kick-off; None where nobody recorded them.
    pub closing: Option<[f64; 3]>,
    /// What happened.
    pub outcome: Outcome,
}

/// The numbers of the model value rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelRules {
    /// Smallest edge that is bet.
    pub min_edge: f64,
    /// Share of the full Kelly stake.
    pub kelly_fraction: f64,
    /// Largest share of the bank on one bet.
    pub stake_cap: f64,
    /// How far the model is drawn to the fair probabilities of the offered odds: 0 not at all, 1 all the way.
    pub shrink_to_market: f64,
    /// Money to begin with.
    pub bank: f64,
}

impl Default for ModelRules {
    /// At least 5 %, a quarter of Kelly up to 5 % of the bank, the model alone, a thousand to begin with.
    fn default() -> Self {
        Self { min_edge: 0.05, kelly_fraction: 0.25, stake_cap: 0.05, shrink_to_market: 0.0, bank: 1_000.0 }
    }
}

/// Why a row cannot be bet on.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum RowFault {
    /// Odds without a margin to remove.
    #[error("the odds of row {row} cannot be read")]
    UnreadableOdds {
        /// The row, from 0.
        row: usize,
        /// Why.
        #[source]
        source: DevigError,
    },
    /// Odds or probabilities out of range.
    #[error("row {row} cannot be priced")]
    Unpriceable {
        /// The row, from 0.
        row: usize,
        /// Why.
        #[source]
        source: KellyError,
    },
}

/// All outcomes whose edge lies in `min_edge..=max_edge`, in the order home, draw, away.
///
/// Example: 45 % fair at odds of 2.30 is an edge of 3.5 %.
#[must_use]
pub fn sharp_bets(fair: &[f64; 3], offered: &[f64; 3], min_edge: f64, max_edge: f64) -> Vec<ValueBet> {
    let bets = Outcome::ALL.map(|outcome| value_bet(outcome, fair, offered));
    bets.into_iter().filter(|bet| bet.edge >= min_edge && bet.edge <= max_edge).collect()
}

/// The outcome with the highest edge if that is at least `min_edge`; of equal ones the first.
#[must_use]
pub fn best_bet(fair: &[f64; 3], offered: &[f64; 3], min_edge: f64) -> Option<ValueBet> {
    let [home, draw, away] = Outcome::ALL.map(|outcome| value_bet(outcome, fair, offered));
    let best = [draw, away].into_iter().fold(home, |best, bet| if bet.edge > best.edge { bet } else { best });
    (best.edge >= min_edge).then_some(best)
}

fn value_bet(outcome: Outcome, fair: &[f64; 3], offered: &[f64; 3]) -> ValueBet {
    let (probability, odds) = (outcome.of(fair), outcome.of(offered));
    ValueBet { outcome, probability, odds, edge: probability * odds - 1.0 }
}

/// Plays the sharp anchor over matches in time order, with equal stakes.
///
/// # Errors
/// [`RowFault`] with the first row whose odds are not finite numbers above 1.
pub fn play_sharp_anchor(rows: &[SharpRow], rules: &SharpRules) -> Result<BetReport, RowFault> {
    let mut book = BetBook::new(rules.bank);
    for (row, given) in rows.iter().enumerate() {
        let fair = fair(row, &given.reference)?;
        check_odds(row, &given.offered)?;
        let closing = given.closing.map(|odds| self::fair(row, &odds)).transpose()?;
        for bet in sharp_bets(&fair, &given.offered, rules.min_edge, rules.max_edge) {
            book.settle(&settled(bet, rules.stake, given.outcome, closing));
        }
    }
    Ok(book.report())
}

/// Plays the model value rule over matches in time order: one bet a match at most, sized by the bank of the moment.
///
/// # Errors
/// [`RowFault`] with the first row whose odds or probabilities are out of range.
pub fn play_model_value(rows: &[ModelRow], rules: &ModelRules) -> Result<BetReport, RowFault> {
    let mut book = BetBook::new(rules.bank);
    for (row, given) in rows.iter().enumerate() {
        let market = fair(row, &given.offered)?;
        let shrink = rules.shrink_to_market;
        let mut drawn = given.model;
        for (own, market) in drawn.iter_mut().zip(market) {
            *own = (1.0 - shrink) * *own + shrink * market;
        }
        let Some(bet) = best_bet(&drawn, &given.offered, rules.min_edge) else { continue };
        let kelly =
            kelly_for_odds(bet.probability, bet.odds).map_err(|source| RowFault::Unpriceable { row, source })?;
        let stake = book.bank() * stake_fraction(kelly, rules.kelly_fraction, rules.stake_cap);
        book.settle(&settled(bet, stake, given.outcome, given.closing));
    }
    Ok(book.report())
}

fn settled(bet: ValueBet, stake: f64, outcome: Outcome, closing: Option<[f64; 3]>) -> Settled {
    let closing_line_value = closing.map(|fair| closing_line_value(bet.outcome.of(&fair), 1.0 / bet.odds));
    Settled { stake, odds: bet.odds, edge: bet.edge, has_won: bet.outcome == outcome, closing_line_value }
}

fn fair(row: usize, odds: &[f64; 3]) -> Result<[f64; 3], RowFault> {
    let fair = devig(DevigMethod::Shin, odds).map_err(|source| RowFault::UnreadableOdds { row, source })?;
    let mut three = [0.0; 3];
    three.copy_from_slice(&fair.probabilities);
    Ok(three)
}

fn check_odds(row: usize, odds: &[f64; 3]) -> Result<(), RowFault> {
    let bad = odds.iter().find(|odds| !(odds.is_finite() && **odds > 1.0));
    bad.map_or(Ok(()), |&odds| Err(RowFault::Unpriceable { row, source: KellyError::InvalidOdds { odds } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAIR: [f64; 3] = [0.45, 0.27, 0.28];

    #[test]
    fn bets_are_those_with_an_edge_in_range() {
        let names = |offered: [f64; 3]| -> Vec<Outcome> {
            sharp_bets(&FAIR, &offered, 0.02, 0.15).into_iter().map(|bet| bet.outcome).collect()
        };
        assert_eq!(names([2.30, 3.60, 3.60]), [Outcome::Home]);
        // 1.9 % is too little, 15.3 % too good; both ends count.
        assert_eq!(names([2.265, 4.27, 3.60]), []);
        assert_eq!(names([2.20, 3.60, 4.0]), [Outcome::Away]);
        assert_eq!(best_bet(&FAIR, &[2.30, 3.60, 4.0], 0.05).map(|bet| bet.outcome), Some(Outcome::Away));
        assert_eq!(best_bet(&FAIR, &[2.30, 3.60, 3.60], 0.05), None);
        assert_eq!(best_bet(&[0.5, 0.25, 0.25], &[2.2, 4.4, 4.4], 0.05).map(|bet| bet.outcome), Some(Outcome::Home));
    }

    #[test]
    fn equal_stakes_on_the_sharp_line() {
        // No margin: fair is 1 / odds. Home pays 3 % too much and closes as it opened.
        let reference = [2.0, 4.0, 4.0];
        let row = |outcome| SharpRow { reference, offered: [2.06, 4.0, 4.0], closing: Some(reference), outcome };
        let mut rows = [row(Outcome::Home), row(Outcome::Away)];
        let report = play_sharp_anchor(&rows, &SharpRules::default()).expect("valid");
        assert_eq!((report.bets, report.wins), (2, 1));
        assert!((report.profit - 0.6).abs() < 1e-12 && (report.staked - 20.0).abs() < 1e-12);
        assert!((report.closing_line_value.expect("closed").mean - 0.03).abs() < 1e-12);
        assert!((report.max_drawdown - 10.0 / 1_010.6).abs() < 1e-12);
        rows[1].closing = None;
        assert_eq!(
            play_sharp_anchor(&rows, &SharpRules::default()).expect("valid").closing_line_value.map(|c| c.count),
            Some(1)
        );
        rows[1].offered[2] = 1.0;
        let source = KellyError::InvalidOdds { odds: 1.0 };
        assert_eq!(play_sharp_anchor(&rows, &SharpRules::default()), Err(RowFault::Unpriceable { row: 1, source }));
        rows[0].reference[0] = f64::NAN;
        let refused = play_sharp_anchor(&rows, &SharpRules::default());
        assert!(matches!(refused, Err(RowFault::UnreadableOdds { row: 0, .. })));
    }

    #[test]
    fn the_model_bets_the_best_outcome_by_kelly() {
        let row = ModelRow {
            model: [0.55, 0.25, 0.2],
            offered: [2.0, 4.0, 4.0],
            closing: Some([0.5, 0.25, 0.25]),
            outcome: Outcome::Home,
        };
        let report = play_model_value(&[row, row], &ModelRules::default()).expect("valid");
        // Edge 10 %, full Kelly 10 %, a quarter of it: 25, then 25.625 of 1,025.
        assert!((report.staked - 50.625).abs() < 1e-9 && (report.bank - 1_050.625).abs() < 1e-9);
        assert!(report.closing_line_value.expect("closed").mean.abs() < 1e-12);
        let half = ModelRules { shrink_to_market: 0.5, ..ModelRules::default() };
        let drawn = play_model_value(&[row], &half).expect("valid");
        assert!((drawn.mean_edge.expect("a bet") - 0.05).abs() < 1e-12);
        let all = ModelRules { shrink_to_market: 1.0, ..ModelRules::default() };
        assert_eq!(play_model_value(&[row], &all).expect("valid").bets, 0);
        let broken = ModelRow { model: [f64::INFINITY, 0.0, 0.0], ..row };
        assert!(matches!(play_model_value(&[broken], &half), Err(RowFault::Unpriceable { row: 0, .. })));
    }
}
