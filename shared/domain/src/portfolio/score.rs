//! One number for how well an agent does, and what follows from it.

use super::Undefined;

/// An agent is scored after so many closed trades.
pub const SCORED_TRADES_MIN: usize = 30;
/// From this score on, an agent is a high performer.
pub const HIGH_PERFORMER_SCORE: f64 = 0.8;
/// Scores are sums of products: 0.8 may come out a little lower.
const TOLERANCE: f64 = 1e-12;
/// An agent that never lost is scored as if it had won so much for each unit lost.
const PROFIT_FACTOR_WITHOUT_LOSSES: f64 = 2.0;

/// What a score is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreInputs {
    /// Closed trades.
    pub trades: usize,
    /// Sum of the wins divided by the sum of the losses, after fees.
    pub profit_factor: Result<f64, Undefined>,
    /// Share of the decided trades that won.
    pub win_rate: Result<f64, Undefined>,
    /// Annual Sharpe ratio of the daily returns.
    pub sharpe: Result<f64, Undefined>,
    /// Largest drawdown, 0..=1.
    pub max_drawdown: Result<f64, Undefined>,
}

/// Which pool an agent belongs to by its score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It has no score yet.
    Testing,
    /// Its score is below [`HIGH_PERFORMER_SCORE`].
    Normal,
    /// Its score is at least that.
    HighPerformer,
}

/// The score, 0..=1, each part clipped to 0..=1:
/// `0.35 (PF - 1) + 0.20 (WR - 0.45) / 0.25 + 0.30 Sharpe / 2 + 0.15 (1 - MDD / 0.15)`.
///
/// ```
/// use tragen_domain::portfolio::{performance_score, ScoreInputs, Standing};
/// let inputs = ScoreInputs {
///     trades: 100, profit_factor: Ok(1.5), win_rate: Ok(0.6), sharpe: Ok(1.5), max_drawdown: Ok(0.05),
/// };
/// let score = performance_score(&inputs);
/// assert!((score.unwrap() - 0.62).abs() < 1e-12); // 0.175 + 0.12 + 0.225 + 0.1
/// assert_eq!(Standing::of(score), Standing::Normal);
/// ```
///
/// # Errors
/// [`Undefined::TooFewPoints`] below [`SCORED_TRADES_MIN`] trades, and why a part is
/// not defined; except for a profit factor without losses, which counts as 2.
pub fn performance_score(inputs: &ScoreInputs) -> Result<f64, Undefined> {
    if inputs.trades < SCORED_TRADES_MIN {
        return Err(Undefined::TooFewPoints { needed: SCORED_TRADES_MIN, have: inputs.trades });
    }
    let profit_factor = match inputs.profit_factor {
        Err(Undefined::NoLosses) => PROFIT_FACTOR_WITHOUT_LOSSES,
        known => known?,
    };
    let parts = [
        (0.35, profit_factor - 1.0),
        (0.20, (inputs.win_rate? - 0.45) / 0.25),
        (0.30, inputs.sharpe? / 2.0),
        (0.15, 1.0 - inputs.max_drawdown? / 0.15),
    ];
    if parts.iter().any(|(_, part)| part.is_nan()) {
        return Err(Undefined::OutOfRange);
    }
    Ok(parts.iter().map(|(weight, part)| weight * part.clamp(0.0, 1.0)).sum())
}

impl Standing {
    /// By a score, or by there being none.
    #[must_use]
    pub fn of(score: Result<f64, Undefined>) -> Self {
        match score {
            Ok(score) if score >= HIGH_PERFORMER_SCORE - TOLERANCE => Self::HighPerformer,
            Ok(_) => Self::Normal,
            Err(_) => Self::Testing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(trades: usize, [profit_factor, win_rate, sharpe, max_drawdown]: [f64; 4]) -> ScoreInputs {
        ScoreInputs {
            trades,
            profit_factor: Ok(profit_factor),
            win_rate: Ok(win_rate),
            sharpe: Ok(sharpe),
            max_drawdown: Ok(max_drawdown),
        }
    }

    #[test]
    fn parts_are_clipped_and_weighed() {
        let check = |parts: [f64; 4], expected: f64, standing: Standing| {
            let score = performance_score(&inputs(30, parts));
            assert!((score.expect("defined") - expected).abs() < 1e-12, "{parts:?}: {score:?}");
            assert_eq!(Standing::of(score), standing);
        };
        check([2.2, 0.7, 2.5, 0.02], 0.98, Standing::HighPerformer);
        check([1.0, 0.45, 0.0, 0.15], 0.0, Standing::Normal);
        check([0.2, 0.1, -3.0, 0.9], 0.0, Standing::Normal);
        check([9.0, 0.45, 2.0, 0.0], 0.8, Standing::HighPerformer);
        check([9.0, 0.45, 1.99, 0.0], 0.7985, Standing::Normal);
    }

    #[test]
    fn an_agent_without_losses_is_scored_all_the_same() {
        let known = inputs(30, [2.0, 0.7, 2.0, 0.0]);
        let unbeaten = ScoreInputs { profit_factor: Err(Undefined::NoLosses), ..known };
        assert_eq!(performance_score(&unbeaten), performance_score(&known));
    }

    #[test]
    fn without_its_parts_there_is_no_score() {
        let known = inputs(30, [2.0, 0.7, 2.0, 0.0]);
        let check = |inputs: ScoreInputs, expected: Undefined| {
            assert_eq!(performance_score(&inputs), Err(expected));
            assert_eq!(Standing::of(Err(expected)), Standing::Testing);
        };
        check(ScoreInputs { trades: 29, ..known }, Undefined::TooFewPoints { needed: 30, have: 29 });
        check(ScoreInputs { profit_factor: Err(Undefined::NoTrades), ..known }, Undefined::NoTrades);
        check(ScoreInputs { sharpe: Err(Undefined::NoVariance), ..known }, Undefined::NoVariance);
        check(ScoreInputs { win_rate: Ok(f64::NAN), ..known }, Undefined::OutOfRange);
    }
}
