//! The goals that the closing odds expect: which pair of rates explains home, draw, away and "over 2.5" best?
//!
//! Goals of both teams are Poisson with the correction of Dixon and Coles (1997, Applied Statistics 46:265) for low
//! scores: it moves `2 rho lambda mu exp(-lambda - mu)` from draws to wins (rho is negative, so draws gain) and leaves
//! the number of goals alone. The pair with the smallest sum of four squared differences is found by Gauss-Newton with
//! damping (Levenberg 1944, Marquardt 1963) on the logarithms of the rates, so that they stay above 0.

use super::devig::{DevigError, DevigMethod, devig};
use super::inplay::{EXPECTED_GOALS_MAX, GoalRates};

/// The correction for low scores that fits English football.
pub const LOW_SCORE_CORRECTION: f64 = -0.03;

/// Goals of one team that are looked at: with [`EXPECTED_GOALS_MAX`] expected, more have a chance below 1e-7, with 4
/// below 1e-20.
const GOALS: usize = 32;
const STEPS_MAX: u32 = 200;
/// A step that moves the logarithms by less ends the search.
const STEP_MIN: f64 = 1e-12;

/// Closing odds of one match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClosingOdds {
    /// Decimal odds of home, draw and away.
    pub outcomes: [f64; 3],
    /// Decimal odds of more, and of fewer, than 2.5 goals.
    pub over_under: [f64; 2],
}

/// The rates and how well they explain the odds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImpliedGoals {
    /// Goals expected of each team.
    pub rates: GoalRates,
    /// Sum of the four squared differences in probability; 0.0004 is usual for an even match.
    pub squared_residual: f64,
}

/// Why odds imply no rates.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ImpliedGoalsError {
    /// Home, draw and away cannot be read.
    #[error("the odds of home, draw and away cannot be read")]
    Outcomes(#[source] DevigError),
    /// Over and under cannot be read.
    #[error("the odds of over and under cannot be read")]
    OverUnder(#[source] DevigError),
    /// No pair of rates comes near: the odds contradict each other.
    #[error("no rates explain the odds; the best leave a squared difference of {squared_residual}")]
    NoFit {
        /// Sum of the four squared differences.
        squared_residual: f64,
    },
}

/// A sum of squares above this is a contradiction: one probability is off by more than 10 %.
const RESIDUAL_MAX: f64 = 0.01;

/// The rates that closing odds imply; margins are removed by Shin's method (1X2) and in proportion (over/under).
///
/// Example: 2.25 / 3.44 / 3.23 with 1.87 / 1.96 expect 1.494 goals at home and 1.208 away.
///
/// # Errors
/// [`ImpliedGoalsError`] when odds cannot be read or contradict each other.
pub fn implied_goals(odds: &ClosingOdds) -> Result<ImpliedGoals, ImpliedGoalsError> {
    let outcomes = devig(DevigMethod::Shin, &odds.outcomes).map_err(ImpliedGoalsError::Outcomes)?.probabilities;
    let over = devig(DevigMethod::Multiplicative, &odds.over_under).map_err(ImpliedGoalsError::OverUnder)?;
    let target = [outcomes[0], outcomes[1], outcomes[2], over.probabilities[0]];
    let found = fit(target);
    if found.squared_residual > RESIDUAL_MAX {
        return Err(ImpliedGoalsError::NoFit { squared_residual: found.squared_residual });
    }
    Ok(found)
}

/// Chances of home, draw, away and over 2.5, and how they change with each rate.
struct Explained {
    values: [f64; 4],
    by_home: [f64; 4],
    by_away: [f64; 4],
}

fn fit(target: [f64; 4]) -> ImpliedGoals {
    let residuals = |explained: &Explained| {
        let mut r = explained.values;
        r.iter_mut().zip(target).for_each(|(r, target)| *r -= target);
        r
    };
    let square = |r: &[f64; 4]| r.iter().map(|r| r * r).sum::<f64>();
    let (mut logs, mut damping) = ([1.4_f64.ln(), 1.1_f64.ln()], 1e-3);
    let mut now = explain(logs);
    let mut r = residuals(&now);
    for _ in 0..STEPS_MAX {
        let step = damped_step(&now, &r, logs, damping);
        let limit = EXPECTED_GOALS_MAX.ln();
        let tried = [0, 1].map(|i| (logs[i] + step[i]).clamp(-limit, limit));
        let next = explain(tried);
        let tried_r = residuals(&next);
        if square(&tried_r) <= square(&r) {
            (logs, now, r, damping) = (tried, next, tried_r, damping / 10.0);
        } else {
            damping *= 10.0;
        }
        if step.iter().all(|s| s.abs() < STEP_MIN) {
            break;
        }
    }
    ImpliedGoals { rates: GoalRates { home: logs[0].exp(), away: logs[1].exp() }, squared_residual: square(&r) }
}

/// Solves `(J'J + damping x diag(J'J)) step = -J'r` for the two logarithms.
fn damped_step(now: &Explained, r: &[f64; 4], logs: [f64; 2], damping: f64) -> [f64; 2] {
    let columns = [now.by_home.map(|d| d * logs[0].exp()), now.by_away.map(|d| d * logs[1].exp())];
    let dot = |a: &[f64; 4], b: &[f64; 4]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (aa, bb) = (dot(&columns[0], &columns[0]), dot(&columns[1], &columns[1]));
    let (ab, ra, rb) = (dot(&columns[0], &columns[1]), dot(&columns[0], r), dot(&columns[1], r));
    let (aa, bb) = (aa * (1.0 + damping), bb * (1.0 + damping));
    let determinant = aa * bb - ab * ab;
    if determinant > 0.0 { [(ab * rb - bb * ra) / determinant, (ab * ra - aa * rb) / determinant] } else { [0.0; 2] }
}

fn explain(logs: [f64; 2]) -> Explained {
    let [home, away] = logs.map(f64::exp);
    let (at_home, at_away) = (poisson(home), poisson(away));
    let chance = |lead: isize| -> f64 {
        let pairs = at_home.iter().enumerate().filter_map(|(goals, p)| {
            let other = usize::try_from(goals.cast_signed() - lead).ok()?;
            at_away.get(other).map(|q| p * q)
        });
        pairs.sum()
    };
    let leads: f64 = (1..GOALS.cast_signed()).map(&chance).sum();
    let trails: f64 = (1..GOALS.cast_signed()).map(|lead| chance(-lead)).sum();
    let level = chance(0);
    // The correction of 0-0, 0-1, 1-0 and 1-1, summed up by outcome.
    let moved = LOW_SCORE_CORRECTION * home * away * (-home - away).exp();
    let (by_home, by_away) = (moved * (1.0 / home - 1.0), moved * (1.0 / away - 1.0));
    let goals = home + away;
    let (none, two) = ((-goals).exp(), (-goals).exp() * goals * goals / 2.0);
    let over = 1.0 - none * (1.0 + goals) - two;
    // One goal more turns a draw into a win, and a defeat by one into a draw.
    let (up_one, down_one) = (chance(1), chance(-1));
    Explained {
        values: [leads + moved, level - 2.0 * moved, trails + moved, over],
        by_home: [level + by_home, down_one - level - 2.0 * by_home, -down_one + by_home, two],
        by_away: [-up_one + by_away, up_one - level - 2.0 * by_away, level + by_away, two],
    }
}

/// Chances of 0, 1, 2 ... goals.
fn poisson(rate: f64) -> [f64; GOALS] {
    let mut chances = [0.0; GOALS];
    let (mut p, mut goals) = ((-rate).exp(), 0.0);
    for chance in &mut chances {
        *chance = p;
        goals += 1.0;
        p *= rate / goals;
    }
    chances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_of_the_docstring_is_implied() {
        let odds = ClosingOdds { outcomes: [2.25, 3.44, 3.23], over_under: [1.87, 1.96] };
        let implied = implied_goals(&odds).expect("readable");
        assert!((implied.rates.home - 1.494).abs() < 1e-3 && (implied.rates.away - 1.208).abs() < 1e-3, "{implied:?}");
        assert!(implied.squared_residual < 5e-4);
    }

    /// Odds made from rates give the rates back.
    #[test]
    fn rates_are_found_again() {
        for (home, away) in [(1.5, 1.1), (0.4, 3.1), (2.9, 0.3), (0.7, 0.6), (5.0, 4.0)] {
            let found = fit(explain([f64::ln(home), f64::ln(away)]).values);
            let rates = found.rates;
            assert!((rates.home - home).abs() < 1e-6 && (rates.away - away).abs() < 1e-6, "{home} {away}: {rates:?}");
            assert!(found.squared_residual < 1e-14, "{found:?}");
        }
    }

    #[test]
    fn slopes_are_those_of_the_values() {
        let (logs, h) = ([0.4_f64, 0.1], 1e-6);
        let here = explain(logs);
        let slope = |logs: [f64; 2], rate: f64| {
            let there = explain(logs).values;
            [0, 1, 2, 3].map(|i| (there[i] - here.values[i]) / rate)
        };
        let rates = logs.map(f64::exp);
        let by_home = slope([(rates[0] + h).ln(), logs[1]], h);
        let by_away = slope([logs[0], (rates[1] + h).ln()], h);
        for i in 0..4 {
            assert!((by_home[i] - here.by_home[i]).abs() < 1e-5, "{i}: {by_home:?} {:?}", here.by_home);
            assert!((by_away[i] - here.by_away[i]).abs() < 1e-5, "{i}: {by_away:?} {:?}", here.by_away);
        }
        assert!((here.values[..3].iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn unreadable_and_contradicting_odds_are_refused() {
        let check = |outcomes: [f64; 3], over_under: [f64; 2]| implied_goals(&ClosingOdds { outcomes, over_under });
        assert!(matches!(check([1.0, 3.4, 3.2], [1.9, 1.9]), Err(ImpliedGoalsError::Outcomes(_))));
        assert!(matches!(check([2.2, 3.4, 3.2], [1.9, f64::NAN]), Err(ImpliedGoalsError::OverUnder(_))));
        // A sure draw with many goals: such a match does not exist.
        assert!(matches!(check([30.0, 1.05, 30.0], [1.1, 8.0]), Err(ImpliedGoalsError::NoFit { .. })));
    }
}
