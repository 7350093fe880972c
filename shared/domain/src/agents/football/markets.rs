//! What can be bet on, priced from the grid of scores, each with the interval of its uncertainty.

use super::score_grid::{GridSlopes, InvalidRates, Rates, ScoreGrid};
use crate::agents::consensus::{logit, sigmoid};
use crate::agents::fair_line::Outcome;

/// Standard deviations to each side of a 95 % interval.
const DEVIATIONS_95: f64 = 1.959_963_984_540_054;

/// A line in quarters of a goal: 10 is 2.5 goals, -3 is a handicap of -0.75.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuarterGoals(i16);

impl QuarterGoals {
    /// So many quarters of a goal.
    #[must_use]
    pub const fn new(quarters: i16) -> Self {
        Self(quarters)
    }

    /// The quarters.
    #[must_use]
    pub const fn get(self) -> i16 {
        self.0
    }

    /// In goals.
    #[must_use]
    pub fn goals(self) -> f64 {
        f64::from(self.0) / 4.0
    }

    /// The lines that a stake is spread over: itself, or for an odd number of quarters the half lines to both sides.
    fn halves(self) -> [i32; 2] {
        let quarters = i32::from(self.0);
        let apart = quarters.rem_euclid(2);
        [quarters - apart, quarters + apart]
    }
}

/// What can happen in a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// This outcome.
    Outcome(Outcome),
    /// More than this many and a half goals.
    Over(u8),
    /// At most this many goals: "under" that and a half.
    AtMost(u8),
    /// Both teams score.
    BothScore,
}

impl Event {
    fn holds(self, home: u8, away: u8) -> bool {
        match self {
            Self::Outcome(Outcome::Home) => home > away,
            Self::Outcome(Outcome::Draw) => home == away,
            Self::Outcome(Outcome::Away) => home < away,
            Self::Over(goals) => home + away > goals,
            Self::AtMost(goals) => home + away <= goals,
            Self::BothScore => home > 0 && away > 0,
        }
    }
}

/// A bet that may give the stake back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineBet {
    /// On the home team, its goals raised by the handicap (Asian handicap).
    HomeHandicap(QuarterGoals),
    /// On the away team, its goals raised by the handicap.
    AwayHandicap(QuarterGoals),
    /// On more goals than the line.
    TotalOver(QuarterGoals),
    /// On fewer goals than the line.
    TotalUnder(QuarterGoals),
}

/// The shares of a stake that are expected to win, come back and lose; they sum to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StakeShares {
    /// Wins.
    pub win: f64,
    /// Comes back.
    pub push: f64,
    /// Loses.
    pub lose: f64,
}

impl StakeShares {
    /// The decimal odds at which the bet is worth nothing: `1 + lose / win`. Infinite where nothing can win.
    #[must_use]
    pub fn fair_odds(&self) -> f64 {
        1.0 + self.lose / self.win
    }
}

impl LineBet {
    /// Shares of the stake that win and lose at a score.
    fn settle(self, home: u8, away: u8) -> [f64; 2] {
        let difference = 4 * (i32::from(home) - i32::from(away));
        let total = 4 * (i32::from(home) + i32::from(away));
        let margins = |line: QuarterGoals, of: &dyn Fn(i32) -> i32| line.halves().map(of);
        let margins = match self {
            Self::HomeHandicap(line) => margins(line, &|half| difference + half),
            Self::AwayHandicap(line) => margins(line, &|half| half - difference),
            Self::TotalOver(line) => margins(line, &|half| total - half),
            Self::TotalUnder(line) => margins(line, &|half| half - total),
        };
        let share = |is_so: &dyn Fn(i32) -> bool| margins.into_iter().map(|m| if is_so(m) { 0.5 } else { 0.0 }).sum();
        [share(&|margin| margin > 0), share(&|margin| margin < 0)]
    }
}

/// A probability and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The probability.
    pub probability: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
}

impl ScoreGrid {
    /// Probability of an event.
    #[must_use]
    pub fn probability(&self, event: Event) -> f64 {
        self.expect(|home, away| f64::from(event.holds(home, away)))
    }

    /// Probabilities of home, draw and away.
    #[must_use]
    pub fn outcomes(&self) -> [f64; 3] {
        Outcome::ALL.map(|outcome| self.probability(Event::Outcome(outcome)))
    }

    /// What a bet on a line is expected to do.
    #[must_use]
    pub fn line(&self, bet: LineBet) -> StakeShares {
        let win = self.expect(|home, away| bet.settle(home, away)[0]);
        let lose = self.expect(|home, away| bet.settle(home, away)[1]);
        StakeShares { win, push: (1.0 - win - lose).max(0.0), lose }
    }
}

/// A grid that knows how uncertain it is.
pub struct UncertainGrid {
    grid: ScoreGrid,
    slopes: GridSlopes,
    covariance: [[f64; 3]; 3],
}

impl UncertainGrid {
    /// From the rates of a match and the covariance of the logarithms of both rates and of rho.
    ///
    /// # Errors
    /// [`InvalidRates`].
    pub fn new(rates: Rates, covariance: [[f64; 3]; 3]) -> Result<Self, InvalidRates> {
        let grid = ScoreGrid::new(rates)?;
        Ok(Self { slopes: grid.slopes(), grid, covariance })
    }

    /// The grid alone.
    #[must_use]
    pub const fn grid(&self) -> &ScoreGrid {
        &self.grid
    }

    /// Probability of an event with its 95 % interval by the delta method: the variance of its log-odds is that of the
    /// three numbers behind the grid, carried through the slopes; the interval is symmetric in log-odds, so that it
    /// never leaves 0..1. It tells how well the strengths are known, not whether the model is right.
    #[must_use]
    pub fn estimate(&self, event: Event) -> Estimate {
        let probability = self.grid.probability(event);
        let slope = self.slopes.expect(|home, away| f64::from(event.holds(home, away)));
        let carried = |row: &[f64; 3]| row.iter().zip(slope).map(|(c, s)| c * s).sum::<f64>();
        let variance: f64 = self.covariance.iter().zip(slope).map(|(row, s)| s * carried(row)).sum();
        let spread = probability * (1.0 - probability);
        if spread <= 0.0 {
            return Estimate { probability, low: probability, high: probability };
        }
        let width = DEVIATIONS_95 * variance.max(0.0).sqrt() / spread;
        let center = logit(probability);
        Estimate { probability, low: sigmoid(center - width), high: sigmoid(center + width) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> ScoreGrid {
        ScoreGrid::new(Rates { home: 1.6, away: 1.2, rho: -0.05 }).expect("valid rates")
    }

    #[test]
    fn markets_fit_together() {
        let grid = grid();
        assert!((grid.outcomes().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let (over, under) = (grid.probability(Event::Over(2)), grid.probability(Event::AtMost(2)));
        assert!((over + under - 1.0).abs() < 1e-12);
        let line = grid.line(LineBet::TotalOver(QuarterGoals::new(10)));
        assert!((line.win - over).abs() < 1e-12 && line.push.abs() < 1e-12);
        // Both score unless one has none.
        let blank = grid.expect(|home, away| f64::from(home == 0 || away == 0));
        assert!((grid.probability(Event::BothScore) + blank - 1.0).abs() < 1e-12);
        // Level handicap: a draw gives the stake back.
        let level = grid.line(LineBet::HomeHandicap(QuarterGoals::new(0)));
        let [home, draw, away] = grid.outcomes();
        assert!((level.win - home).abs() < 1e-12 && (level.push - draw).abs() < 1e-12);
        assert!((level.lose - away).abs() < 1e-12 && (level.fair_odds() - (1.0 + away / home)).abs() < 1e-12);
    }

    #[test]
    fn stakes_on_quarter_lines_are_split() {
        let check = |bet: LineBet, score: (u8, u8), expected: [f64; 2]| {
            assert_eq!(bet.settle(score.0, score.1), expected, "{bet:?} at {score:?}");
        };
        let home = |quarters: i16| LineBet::HomeHandicap(QuarterGoals::new(quarters));
        // -0.75 is half on -0.5 and half on -1.
        check(home(-3), (1, 0), [0.5, 0.0]);
        check(home(-3), (2, 0), [1.0, 0.0]);
        check(home(-3), (0, 0), [0.0, 1.0]);
        // -0.25 is half on 0 and half on -0.5.
        check(home(-1), (1, 1), [0.0, 0.5]);
        check(home(1), (1, 1), [0.5, 0.0]);
        check(home(-4), (1, 0), [0.0, 0.0]);
        check(home(-2), (1, 0), [1.0, 0.0]);
        check(LineBet::AwayHandicap(QuarterGoals::new(3)), (1, 0), [0.0, 0.5]);
        check(LineBet::TotalOver(QuarterGoals::new(9)), (1, 1), [0.0, 0.5]);
        check(LineBet::TotalUnder(QuarterGoals::new(9)), (1, 1), [0.5, 0.0]);
        check(LineBet::TotalOver(QuarterGoals::new(12)), (2, 1), [0.0, 0.0]);
        let quarter = grid().line(home(-1));
        let (level, half) = (grid().line(home(0)), grid().line(home(-2)));
        assert!((quarter.win - (level.win + half.win) / 2.0).abs() < 1e-12);
        assert!((quarter.push - (level.push + half.push) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn intervals_grow_with_the_uncertainty() {
        let estimate = |variance: f64| {
            let covariance = [[variance, 0.0, 0.0], [0.0, variance, 0.0], [0.0, 0.0, 0.0]];
            let rates = Rates { home: 1.6, away: 1.2, rho: -0.05 };
            UncertainGrid::new(rates, covariance).expect("valid").estimate(Event::Outcome(Outcome::Home))
        };
        let (known, vague, wild) = (estimate(0.0), estimate(0.01), estimate(1.0));
        assert!((known.high - known.low).abs() < 1e-12);
        assert!(vague.low < known.low && known.high < vague.high);
        // To first order: the home win's log-odds move by the slopes.
        let moved = ScoreGrid::new(Rates { home: 1.6 * 1.01, away: 1.2, rho: -0.05 }).expect("valid");
        let by_home = (logit(moved.outcomes()[0]) - logit(known.probability)) / 1.01_f64.ln();
        let moved = ScoreGrid::new(Rates { home: 1.6, away: 1.2 * 1.01, rho: -0.05 }).expect("valid");
        let by_away = (logit(moved.outcomes()[0]) - logit(known.probability)) / 1.01_f64.ln();
        let width = DEVIATIONS_95 * 0.1 * by_home.hypot(by_away);
        assert!((logit(vague.high) - logit(vague.probability) - width).abs() < 0.01 * width);
        assert!(wild.low > 0.0 && wild.high < 1.0);
    }
}
