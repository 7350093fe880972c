//! How likely each score is, with the Dixon-Coles correction of the low ones.
//!
//! Dixon and Coles 1997, Applied Statistics 46:265: goals are Poisson but for the four scores up to 1-1, whose
//! probabilities are multiplied by tau.

/// Most goals of a team in the grid; rates of real matches leave less than one in ten thousand above it.
pub const GRID_GOALS_MAX: usize = 10;
/// Cells in a row of the grid.
const SIDE: usize = GRID_GOALS_MAX + 1;
/// Highest rate accepted, goals a match; twice that of the most one-sided fixture.
pub const RATE_MAX: f64 = 8.0;

/// How goals of the two teams depend on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum GoalModel {
    /// Not at all: two independent Poisson numbers.
    Poisson,
    /// In the four scores up to 1-1, by rho.
    #[default]
    DixonColes,
}

/// What a model says about a match: expected goals and the correction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Expected goals of the home team.
    pub home: f64,
    /// Expected goals of the away team.
    pub away: f64,
    /// Rho: how much more likely than independent goals 0-0 and 1-1 are (negative) or less (positive).
    pub rho: f64,
}

/// Rates that give no grid.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("the {name} {value} is outside {range}")]
pub struct InvalidRates {
    /// Which number.
    pub name: &'static str,
    /// The number as given.
    pub value: f64,
    /// What is accepted.
    pub range: &'static str,
}

/// The correction of one score: `tau = 1 + scale * rho`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Correction {
    /// `-lambda mu` at 0-0, `lambda` at 0-1, `mu` at 1-0, `-1` at 1-1, else 0.
    pub(super) scale: f64,
    /// 1 where the scale is a multiple of the home rate, of the away rate.
    pub(super) moves_with: [f64; 2],
}

impl Correction {
    pub(super) fn of(goals: [u8; 2], [home, away]: [f64; 2]) -> Self {
        let (scale, moves_with) = match goals {
            [0, 0] => (-home * away, [1.0, 1.0]),
            [0, 1] => (home, [1.0, 0.0]),
            [1, 0] => (away, [0.0, 1.0]),
            [1, 1] => (-1.0, [0.0, 0.0]),
            _ => (0.0, [0.0, 0.0]),
        };
        Self { scale, moves_with }
    }

    pub(super) fn tau(self, rho: f64) -> f64 {
        1.0 + self.scale * rho
    }
}

/// A number per score: 0..=[`GRID_GOALS_MAX`] goals of the home team (row) and of the away team (column).
type Cells = [[f64; SIDE]; SIDE];

/// Probabilities of all scores up to [`GRID_GOALS_MAX`] goals each; they sum to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreGrid {
    rates: Rates,
    cells: Cells,
}

impl ScoreGrid {
    /// Fills the grid and rescales it to 1. A score whose correction is negative has the probability 0.
    ///
    /// ```
    /// use tragen_domain::agents::football::{Rates, ScoreGrid};
    /// let grid = ScoreGrid::new(Rates { home: 1.5, away: 1.1, rho: 0.0 })?;
    /// // exp(-1.5 - 1.1) = 7.43 % end 0-0.
    /// assert!((grid.score(0, 0) - 0.074_273_6).abs() < 1e-6);
    /// # Ok::<(), tragen_domain::agents::football::InvalidRates>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidRates`] for a rate outside (0, [`RATE_MAX`]] or a rho outside (-1, 1).
    pub fn new(rates: Rates) -> Result<Self, InvalidRates> {
        for (name, value) in [("home rate", rates.home), ("away rate", rates.away)] {
            if !(value > 0.0 && value <= RATE_MAX) {
                return Err(InvalidRates { name, value, range: "0 to 8 goals" });
            }
        }
        if rates.rho.is_nan() || rates.rho.abs() >= 1.0 {
            return Err(InvalidRates { name: "rho", value: rates.rho, range: "-1 to 1" });
        }
        let mut cells = raw_cells(rates);
        let total: f64 = cells.iter().flatten().sum();
        cells.iter_mut().flatten().for_each(|cell| *cell /= total);
        Ok(Self { rates, cells })
    }

    /// What it is made from.
    #[must_use]
    pub const fn rates(&self) -> Rates {
        self.rates
    }

    /// Probability of one score; 0 above [`GRID_GOALS_MAX`] goals.
    #[must_use]
    pub fn score(&self, home: u8, away: u8) -> f64 {
        self.cells.get(usize::from(home)).and_then(|row| row.get(usize::from(away))).copied().unwrap_or(0.0)
    }

    /// The expected value of a number that depends on the score (home goals, away goals).
    pub fn expect(&self, of: impl Fn(u8, u8) -> f64) -> f64 {
        expect(&self.cells, of)
    }

    /// By how much [`Self::expect`] of the same number rises with the logarithm of the home rate, that of the away
    /// rate, and rho.
    pub(super) fn slopes(&self) -> GridSlopes {
        let raw = raw_cells(self.rates);
        let total: f64 = raw.iter().flatten().sum();
        let slope_of = |which: usize| {
            let mut cells = raw_slopes(self.rates, which);
            let moved: f64 = cells.iter().flatten().sum();
            for (cell, own) in cells.iter_mut().flatten().zip(self.cells.iter().flatten()) {
                *cell = (*cell - own * moved) / total;
            }
            cells
        };
        GridSlopes([slope_of(0), slope_of(1), slope_of(2)])
    }
}

/// See [`ScoreGrid::slopes`].
pub(super) struct GridSlopes([Cells; 3]);

impl GridSlopes {
    pub(super) fn expect(&self, of: impl Fn(u8, u8) -> f64) -> [f64; 3] {
        let [home, away, rho] = &self.0;
        [expect(home, &of), expect(away, &of), expect(rho, &of)]
    }
}

fn expect(cells: &Cells, of: impl Fn(u8, u8) -> f64) -> f64 {
    scores().map(|[home, away]| cells[usize::from(home)][usize::from(away)] * of(home, away)).sum()
}

/// All scores of the grid, row by row.
fn scores() -> impl Iterator<Item = [u8; 2]> {
    let goals = || (0_u8..).take(SIDE);
    goals().flat_map(move |home| goals().map(move |away| [home, away]))
}

fn poisson(rate: f64) -> [f64; SIDE] {
    let mut probability = (-rate).exp();
    let mut goals = 0.0;
    [(); SIDE].map(|()| {
        let own = probability;
        goals += 1.0;
        probability *= rate / goals;
        own
    })
}

fn raw_cells(rates: Rates) -> Cells {
    let (home, away) = (poisson(rates.home), poisson(rates.away));
    let mut cells = [[0.0; SIDE]; SIDE];
    for goals in scores() {
        let [x, y] = goals.map(usize::from);
        let tau = Correction::of(goals, [rates.home, rates.away]).tau(rates.rho);
        cells[x][y] = home[x] * away[y] * tau.max(0.0);
    }
    cells
}

/// Derivatives of the raw cells: by the logarithm of the home rate (0), of the away rate (1), by rho (2).
fn raw_slopes(rates: Rates, which: usize) -> Cells {
    let (home, away) = (poisson(rates.home), poisson(rates.away));
    let mut cells = [[0.0; SIDE]; SIDE];
    for goals in scores() {
        let [x, y] = goals.map(usize::from);
        let correction = Correction::of(goals, [rates.home, rates.away]);
        let tau = correction.tau(rates.rho);
        if tau <= 0.0 {
            continue;
        }
        let by_tau = correction.scale * rates.rho;
        let slope = match which {
            0 => tau * (f64::from(goals[0]) - rates.home) + correction.moves_with[0] * by_tau,
            1 => tau * (f64::from(goals[1]) - rates.away) + correction.moves_with[1] * by_tau,
            _ => correction.scale,
        };
        cells[x][y] = home[x] * away[y] * slope;
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(home: f64, away: f64, rho: f64) -> ScoreGrid {
        ScoreGrid::new(Rates { home, away, rho }).expect("valid rates")
    }

    #[test]
    fn low_scores_are_corrected() {
        let (plain, corrected) = (grid(1.5, 1.1, 0.0), grid(1.5, 1.1, -0.1));
        for (home, away, tau) in [(0, 0, 1.165), (0, 1, 0.85), (1, 0, 0.89), (1, 1, 1.1), (2, 1, 1.0)] {
            let ratio = corrected.score(home, away) / plain.score(home, away);
            assert!((ratio - tau).abs() < 1e-4, "{home}-{away}: {ratio} is not {tau}");
        }
        assert!((corrected.expect(|_, _| 1.0) - 1.0).abs() < 1e-12);
        assert!((corrected.expect(|home, _| f64::from(home)) - 1.5).abs() < 1e-3);
        assert!(corrected.score(11, 0).abs() < f64::EPSILON);
        // A correction that would be negative is 0.
        assert!(grid(6.0, 0.5, -0.5).score(0, 1).abs() < f64::EPSILON);
    }

    #[test]
    fn slopes_are_those_of_the_expectation() {
        let of = |home: u8, away: u8| if home > away { 1.0 } else { 0.0 };
        let [home, away, rho]: [f64; 3] = [1.7, 0.9, -0.07];
        let slopes = grid(home, away, rho).slopes().expect(of);
        let step = 1e-6;
        let moved = |by: [f64; 3]| grid(home * by[0].exp(), away * by[1].exp(), rho + by[2]).expect(of);
        for (which, slope) in slopes.into_iter().enumerate() {
            let mut by = [0.0; 3];
            by[which] = step;
            let expected = (moved(by) - moved(by.map(|b| -b))) / (2.0 * step);
            assert!((slope - expected).abs() < 1e-8, "{which}: {slope} is not {expected}");
        }
    }

    #[test]
    fn impossible_rates_are_named() {
        let check = |home: f64, away: f64, rho: f64, name: &str| {
            assert_eq!(ScoreGrid::new(Rates { home, away, rho }).map_err(|bad| bad.name), Err(name));
        };
        check(0.0, 1.0, 0.0, "home rate");
        check(f64::NAN, 1.0, 0.0, "home rate");
        check(1.0, 8.1, 0.0, "away rate");
        check(1.0, 1.0, 1.0, "rho");
        check(1.0, 1.0, f64::NAN, "rho");
    }
}
