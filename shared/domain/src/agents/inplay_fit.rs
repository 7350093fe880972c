//! Fits the in-play model: how much faster or slower do goals fall by minute, lead and red cards?
//!
//! Each minute of each team is a count of goals with the mean `lambda / 90 x exp(coefficients)`, so this is a Poisson
//! regression with the closing odds' expectation as its offset (Dixon and Robinson 1998). Minutes with the same bin, lead
//! and cards share their coefficients, so they are added up first: five seasons become a few hundred cells, and the fit
//! takes a moment.

use super::inplay::{Coefficients, FULL_TIME, GoalRates, InPlayError, REDS_MAX, bin_of, check_rates};
use super::newton::{Curvature, Hill, NoTop, climb};
use std::collections::BTreeMap;

const BINS: usize = 8;
const COEFFICIENTS: usize = BINS + 6;
/// Fewer matches leave coefficients without a single goal or card to learn from.
pub const MATCHES_MIN: usize = 100;

/// One of the two teams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Team {
    /// The home team.
    Home,
    /// The away team.
    Away,
}

/// A match that was played to its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlayedMatch<'a> {
    /// Goals that the closing odds expected.
    pub rates: GoalRates,
    /// Minute, 1 to 90 (stoppage time belongs to 45 and 90), and who it counts for.
    pub goals: &'a [(u8, Team)],
    /// Minute and who lost a player.
    pub reds: &'a [(u8, Team)],
}

/// The fitted model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InPlayFit {
    /// The numbers that explain the goals best.
    pub coefficients: Coefficients,
    /// Their standard errors.
    pub standard_errors: Coefficients,
    /// How many matches it rests on.
    pub matches: usize,
}

/// Why there is no fit.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InPlayFitError {
    /// Fewer than [`MATCHES_MIN`] matches.
    #[error("{matches} matches, at least {MATCHES_MIN} are needed")]
    TooFewMatches {
        /// How many were given.
        matches: usize,
    },
    /// The expected goals of a match are out of range.
    #[error("match {index} cannot be used")]
    Rates {
        /// Position of the match.
        index: usize,
        /// What is wrong.
        #[source]
        source: InPlayError,
    },
    /// A goal or card outside of the match, or more red cards than there may be.
    #[error("match {index} has an event in minute {minute} that cannot be")]
    Event {
        /// Position of the match.
        index: usize,
        /// Minute as given.
        minute: u8,
    },
    /// Something never happened in these matches, so its coefficient cannot be known.
    #[error("the matches do not say enough about every coefficient")]
    NotDetermined,
}

/// Minutes that the model cannot tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    bin: usize,
    /// Which of the four lead coefficients counts, if one does.
    lead: Option<usize>,
    own_reds: u8,
    opponent_reds: u8,
}

/// What was expected and what fell in a cell.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    expected: f64,
    goals: f64,
}

/// The coefficients that explain the goals of these matches best.
///
/// # Errors
/// [`InPlayFitError`] when matches are too few or broken, or do not say enough.
pub fn fit_inplay(matches: &[PlayedMatch<'_>]) -> Result<InPlayFit, InPlayFitError> {
    if matches.len() < MATCHES_MIN {
        return Err(InPlayFitError::TooFewMatches { matches: matches.len() });
    }
    let mut cells = BTreeMap::new();
    for (index, played) in matches.iter().enumerate() {
        check_rates(played.rates).map_err(|source| InPlayFitError::Rates { index, source })?;
        add(&mut cells, played).map_err(|minute| InPlayFitError::Event { index, minute })?;
    }
    let likelihood = Likelihood { cells: cells.into_iter().collect() };
    let not_determined = |_: NoTop| InPlayFitError::NotDetermined;
    let top = climb(&likelihood, vec![0.0; COEFFICIENTS]).map_err(not_determined)?;
    let error_of = |place: usize| {
        let mut unit = vec![0.0; COEFFICIENTS];
        unit[place] = 1.0;
        top.information.solve(&unit)[place].max(0.0).sqrt()
    };
    let errors: Vec<f64> = (0..COEFFICIENTS).map(error_of).collect();
    Ok(InPlayFit { coefficients: named(&top.at), standard_errors: named(&errors), matches: matches.len() })
}

/// Adds the minutes of both teams to their cells; the minute of an event that cannot be.
fn add(cells: &mut BTreeMap<Cell, Seen>, played: &PlayedMatch<'_>) -> Result<(), u8> {
    let events = || played.goals.iter().chain(played.reds);
    if let Some((minute, _)) = events().find(|(minute, _)| !(1..=FULL_TIME).contains(minute)) {
        return Err(*minute);
    }
    let (mut lead, mut reds) = (0_i32, [0_u8; 2]);
    for minute in 1..=FULL_TIME {
        let at = |list: &[(u8, Team)], team: Team| list.iter().filter(|own| **own == (minute, team)).count();
        let goals = [at(played.goals, Team::Home), at(played.goals, Team::Away)];
        let sides =
            [(played.rates.home, goals[0], [reds[0], reds[1]]), (played.rates.away, goals[1], [reds[1], reds[0]])];
        for (side, (rate, scored, [own_reds, opponent_reds])) in sides.into_iter().enumerate() {
            let lead = match (lead.signum(), side) {
                (0, _) => None,
                (1, 0) => Some(0),
                (_, 0) => Some(1),
                (-1, _) => Some(2),
                (_, _) => Some(3),
            };
            let seen = cells.entry(Cell { bin: bin_of(minute), lead, own_reds, opponent_reds }).or_default();
            seen.expected += rate / f64::from(FULL_TIME);
            seen.goals += f64::from(u8::try_from(scored).map_err(|_| minute)?);
        }
        lead += i32::try_from(goals[0]).map_err(|_| minute)? - i32::try_from(goals[1]).map_err(|_| minute)?;
        for (reds, team) in reds.iter_mut().zip([Team::Home, Team::Away]) {
            *reds = reds.saturating_add(u8::try_from(at(played.reds, team)).map_err(|_| minute)?);
            if *reds > REDS_MAX {
                return Err(minute);
            }
        }
    }
    Ok(())
}

/// The logarithm of the chance of what was seen, up to a constant.
struct Likelihood {
    cells: Vec<(Cell, Seen)>,
}

impl Cell {
    /// Place and weight of each coefficient that counts in it.
    fn design(&self) -> impl Iterator<Item = (usize, f64)> {
        let lead = self.lead.map(|lead| (BINS + lead, 1.0));
        let reds = [(BINS + 4, f64::from(self.own_reds)), (BINS + 5, f64::from(self.opponent_reds))];
        [(self.bin, 1.0)].into_iter().chain(lead).chain(reds)
    }

    fn expected(&self, seen: &Seen, at: &[f64]) -> (f64, f64) {
        let exponent: f64 = self.design().map(|(place, weight)| at[place] * weight).sum();
        (exponent, seen.expected * exponent.exp())
    }
}

impl Hill for Likelihood {
    fn value(&self, at: &[f64]) -> f64 {
        let of_cell = |(cell, seen): &(Cell, Seen)| {
            let (exponent, expected) = cell.expected(seen, at);
            seen.goals * exponent - expected
        };
        self.cells.iter().map(of_cell).sum()
    }

    fn curvature(&self, at: &[f64]) -> Curvature {
        let mut slope = vec![0.0; COEFFICIENTS];
        let mut information = vec![0.0; COEFFICIENTS * COEFFICIENTS];
        for (cell, seen) in &self.cells {
            let (_, expected) = cell.expected(seen, at);
            for (row, weight) in cell.design() {
                slope[row] += weight * (seen.goals - expected);
                for (column, other) in cell.design() {
                    information[row * COEFFICIENTS + column] += weight * other * expected;
                }
            }
        }
        Curvature { value: self.value(at), slope, information }
    }
}

fn named(values: &[f64]) -> Coefficients {
    let mut bins = [0.0; BINS];
    bins.copy_from_slice(&values[..BINS]);
    Coefficients {
        bins,
        home_leading: values[BINS],
        home_trailing: values[BINS + 1],
        away_leading: values[BINS + 2],
        away_trailing: values[BINS + 3],
        red_own: values[BINS + 4],
        red_opponent: values[BINS + 5],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: GoalRates = GoalRates { home: 1.5, away: 1.2 };

    /// Goals and red cards.
    type Events = (Vec<(u8, Team)>, Vec<(u8, Team)>);

    /// Every minute has a goal in some match, and everything that has a coefficient happens.
    fn matches() -> Vec<Events> {
        (0..400_u32)
            .map(|number| {
                let minute = |step: u32| u8::try_from((number * step) % 90 + 1).expect("small");
                let team = |bit: u32| if (number / bit).is_multiple_of(2) { Team::Home } else { Team::Away };
                let goals = vec![(minute(7), team(1)), (minute(11), team(2)), (minute(17), team(3))];
                let reds = if number.is_multiple_of(5) { vec![(minute(3), team(4))] } else { Vec::new() };
                (goals, reds)
            })
            .collect()
    }

    fn fitted(matches: &[Events]) -> Result<InPlayFit, InPlayFitError> {
        let played: Vec<PlayedMatch<'_>> =
            matches.iter().map(|(goals, reds)| PlayedMatch { rates: RATES, goals, reds }).collect();
        fit_inplay(&played)
    }

    /// At the top of the likelihood the model expects as many goals in each bin as fell.
    #[test]
    fn fitted_model_expects_the_goals_that_fell() {
        let matches = matches();
        let fit = fitted(&matches).expect("determined");
        let mut cells = BTreeMap::new();
        for (goals, reds) in &matches {
            add(&mut cells, &PlayedMatch { rates: RATES, goals, reds }).expect("possible");
        }
        let coefficients = fit.coefficients;
        let at = [
            coefficients.bins.as_slice(),
            &[coefficients.home_leading, coefficients.home_trailing, coefficients.away_leading],
            &[coefficients.away_trailing, coefficients.red_own, coefficients.red_opponent],
        ]
        .concat();
        for bin in 0..BINS {
            let of_bin = || cells.iter().filter(|(cell, _)| cell.bin == bin);
            let expected: f64 = of_bin().map(|(cell, seen)| cell.expected(seen, &at).1).sum();
            let fell: f64 = of_bin().map(|(_, seen)| seen.goals).sum();
            assert!((expected - fell).abs() < 1e-6, "bin {bin}: {expected} expected, {fell} fell");
        }
        let errors = fit.standard_errors;
        assert!(errors.bins.iter().all(|error| (0.01..1.0).contains(error)) && fit.matches == 400, "{errors:?}");
        assert!(super::super::inplay::InPlayModel::new(&coefficients).is_ok());
    }

    #[test]
    fn broken_matches_are_named() {
        let check = |change: fn(&mut Vec<Events>), expected: InPlayFitError| {
            let mut matches = matches();
            change(&mut matches);
            assert_eq!(fitted(&matches), Err(expected));
        };
        check(|all| all.truncate(99), InPlayFitError::TooFewMatches { matches: 99 });
        check(|all| all[7].0.push((91, Team::Home)), InPlayFitError::Event { index: 7, minute: 91 });
        check(|all| all[7].1.push((0, Team::Home)), InPlayFitError::Event { index: 7, minute: 0 });
        check(|all| all[8].1 = vec![(30, Team::Away); 5], InPlayFitError::Event { index: 8, minute: 30 });
        check(|all| all.iter_mut().for_each(|own| own.1.clear()), InPlayFitError::NotDetermined);
        let none = PlayedMatch { rates: GoalRates { home: 0.0, away: 1.0 }, goals: &[], reds: &[] };
        assert!(matches!(fit_inplay(&[none; 100]), Err(InPlayFitError::Rates { index: 0, .. })));
    }
}
