//! The penalised log-likelihood of the Dixon-Coles model, with its first and second derivatives.
//!
//! The parameters are, in this order: intercept, home advantage, rho, the attack of each team, the defense of each
//! team. What is fitted are fewer numbers: attacks sum to 0 and so do defenses, so the last of each follows from the
//! others; and without the correction rho stays 0.

use super::score_grid::{Correction, GoalModel};
use crate::agents::newton::{Curvature, Hill};

/// Where the first team's attack is among the parameters.
const TEAMS_AT: usize = 3;
/// Where rho is.
const RHO_AT: usize = 2;

/// One played match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    /// Place of the home team among the fit's teams.
    pub(super) home: usize,
    /// Place of the away team.
    pub(super) away: usize,
    /// Goals of home and away.
    pub(super) goals: [u8; 2],
    /// How much it counts.
    pub(super) weight: f64,
    /// `ln(x! y!)` of the goals.
    log_factorials: f64,
}

impl Sample {
    pub(super) fn new([home, away]: [usize; 2], goals: [u8; 2], weight: f64) -> Self {
        Self { home, away, goals, weight, log_factorials: log_factorial(goals[0]) + log_factorial(goals[1]) }
    }
}

/// What a team's strength is pulled to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pull {
    /// Attack.
    pub(super) attack: f64,
    /// Defense.
    pub(super) defense: f64,
}

/// The function to maximise.
pub(super) struct Likelihood<'a> {
    pub(super) samples: &'a [Sample],
    /// One per team.
    pub(super) pulls: &'a [Pull],
    /// Strength of the pull: the penalty is half of it times the squared distance.
    pub(super) ridge: f64,
    /// Which parameters are fitted, and which one is minus the sum of all of its kind; see [`free_parameters`].
    pub(super) free: &'a [Free],
}

/// A fitted parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Free {
    place: usize,
    /// The parameter that falls by as much as this one rises.
    against: Option<usize>,
}

/// The fitted parameters: of each kind of strength all but the last, and rho only if the model has one.
pub(super) fn free_parameters(teams: usize, model: GoalModel) -> Vec<Free> {
    let alone = |place: usize| Free { place, against: None };
    let mut free = vec![alone(0), alone(1)];
    match model {
        GoalModel::Poisson => {}
        GoalModel::DixonColes => free.push(alone(RHO_AT)),
    }
    for first in [TEAMS_AT, TEAMS_AT + teams] {
        let last = first + teams - 1;
        free.extend((first..last).map(|place| Free { place, against: Some(last) }));
    }
    free
}

/// All parameters from the fitted ones.
pub(super) fn all_parameters(fitted: &[f64], free: &[Free], teams: usize) -> Vec<f64> {
    let mut all = vec![0.0; TEAMS_AT + 2 * teams];
    for (value, Free { place, against }) in fitted.iter().zip(free) {
        all[*place] = *value;
        if let Some(last) = against {
            all[*last] -= value;
        }
    }
    all
}

/// A direction in all parameters as one in the fitted ones.
pub(super) fn project(direction: &[f64], free: &[Free]) -> Vec<f64> {
    free.iter().map(|f| direction[f.place] - f.against.map_or(0.0, |last| direction[last])).collect()
}

/// Which parameters move the logarithm of the home rate, that of the away rate, and rho: (parameter, which of the
/// three).
pub(super) fn incidence(home: usize, away: usize, teams: usize) -> [(usize, usize); 8] {
    let (attack, defense) = (TEAMS_AT, TEAMS_AT + teams);
    [
        (0, 0),
        (1, 0),
        (attack + home, 0),
        (defense + away, 0),
        (0, 1),
        (attack + away, 1),
        (defense + home, 1),
        (RHO_AT, 2),
    ]
}

/// Logarithms of the home and away rate, and rho.
pub(super) fn natural(all: &[f64], home: usize, away: usize) -> [f64; 3] {
    let teams = (all.len() - TEAMS_AT) / 2;
    let mut three = [0.0; 3];
    for (parameter, which) in incidence(home, away, teams) {
        three[which] += all[parameter];
    }
    three
}

/// One match's part of the log-likelihood and its derivatives by the three [`natural`] numbers.
struct Terms {
    value: f64,
    slope: [f64; 3],
    bend: [[f64; 3]; 3],
}

impl Likelihood<'_> {
    fn teams(&self) -> usize {
        self.pulls.len()
    }

    /// The penalty, and what it adds to slope and bend per team.
    fn penalty(&self, all: &[f64]) -> f64 {
        let distances = self.distances(all).map(|(_, distance)| distance * distance);
        0.5 * self.ridge * distances.sum::<f64>()
    }

    /// Each strength's place and its distance from where it is pulled to.
    fn distances<'a>(&'a self, all: &'a [f64]) -> impl Iterator<Item = (usize, f64)> + 'a {
        let attacks = self.pulls.iter().map(|pull| pull.attack);
        let defenses = self.pulls.iter().map(|pull| pull.defense);
        attacks.chain(defenses).enumerate().map(|(i, pull)| (TEAMS_AT + i, all[TEAMS_AT + i] - pull))
    }
}

impl Hill for Likelihood<'_> {
    fn value(&self, at: &[f64]) -> f64 {
        let all = all_parameters(at, self.free, self.teams());
        let heights = self.samples.iter().map(|s| s.weight * height(s, &natural(&all, s.home, s.away)));
        heights.sum::<f64>() - self.penalty(&all)
    }

    fn curvature(&self, at: &[f64]) -> Curvature {
        let teams = self.teams();
        let all = all_parameters(at, self.free, teams);
        let size = all.len();
        let (mut value, mut slope, mut information) = (-self.penalty(&all), vec![0.0; size], vec![0.0; size * size]);
        for sample in self.samples {
            let terms = terms(sample, &natural(&all, sample.home, sample.away));
            value += sample.weight * terms.value;
            let touched = incidence(sample.home, sample.away, teams);
            for (i, which) in touched {
                slope[i] += sample.weight * terms.slope[which];
                let row = &mut information[i * size..(i + 1) * size];
                for (j, other) in touched {
                    row[j] -= sample.weight * terms.bend[which][other];
                }
            }
        }
        for (place, distance) in self.distances(&all) {
            slope[place] -= self.ridge * distance;
            information[place * size + place] += self.ridge;
        }
        let rows: Vec<Vec<f64>> = information.chunks_exact(size).map(|row| project(row, self.free)).collect();
        let mut reduced = Vec::with_capacity(self.free.len() * self.free.len());
        for free in self.free {
            let last = free.against.map(|last| &rows[last]);
            reduced.extend((0..self.free.len()).map(|j| rows[free.place][j] - last.map_or(0.0, |row| row[j])));
        }
        Curvature { value, slope: project(&slope, self.free), information: reduced }
    }
}

/// `ln(tau) + x ln(lambda) - lambda - ln(x!) + y ln(mu) - mu - ln(y!)`.
fn height(sample: &Sample, natural: &[f64; 3]) -> f64 {
    let [log_home, log_away, rho] = *natural;
    let rates = [log_home.exp(), log_away.exp()];
    let poisson = |goals: u8, log_rate: f64, rate: f64| f64::from(goals) * log_rate - rate;
    let correction = Correction::of(sample.goals, rates);
    let tau = correction.tau(rho);
    let log_tau = if tau > 0.0 { tau.ln() } else { f64::NEG_INFINITY };
    let [home, away] = sample.goals;
    log_tau + poisson(home, log_home, rates[0]) + poisson(away, log_away, rates[1]) - sample.log_factorials
}

fn terms(sample: &Sample, natural: &[f64; 3]) -> Terms {
    let [home, away] = [natural[0].exp(), natural[1].exp()];
    let rho = natural[2];
    let mut slope = [f64::from(sample.goals[0]) - home, f64::from(sample.goals[1]) - away, 0.0];
    let mut bend = [[-home, 0.0, 0.0], [0.0, -away, 0.0], [0.0; 3]];
    let correction = Correction::of(sample.goals, [home, away]);
    if correction.scale != 0.0 {
        let tau = correction.tau(rho);
        let [by_home, by_away] = correction.moves_with;
        // tau = 1 + scale * rho, and scale is a product of the rates: each derivative by a log rate is itself again.
        let first = [by_home * correction.scale * rho, by_away * correction.scale * rho, correction.scale];
        let both = by_home * by_away * correction.scale * rho;
        let second = [
            [first[0], both, by_home * correction.scale],
            [both, first[1], by_away * correction.scale],
            [by_home * correction.scale, by_away * correction.scale, 0.0],
        ];
        for i in 0..3 {
            slope[i] += first[i] / tau;
            for j in 0..3 {
                bend[i][j] += second[i][j] / tau - first[i] * first[j] / (tau * tau);
            }
        }
    }
    Terms { value: height(sample, natural), slope, bend }
}

fn log_factorial(goals: u8) -> f64 {
    (2..=goals).map(|k| f64::from(k).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_value() {
        let sample = |home, away, x, y, weight| Sample::new([home, away], [x, y], weight);
        let samples = [
            sample(0, 1, 0, 0, 1.0),
            sample(1, 2, 0, 1, 0.7),
            sample(2, 0, 1, 0, 0.9),
            sample(1, 0, 1, 1, 1.0),
            sample(0, 2, 3, 2, 0.4),
        ];
        let pull = |attack, defense| Pull { attack, defense };
        let pulls = [pull(0.0, 0.0), pull(-0.25, 0.2), pull(0.0, 0.0)];
        let free = free_parameters(3, GoalModel::DixonColes);
        let likelihood = Likelihood { samples: &samples, pulls: &pulls, ridge: 2.0, free: &free };
        let at = [0.2, 0.25, -0.08, 0.1, -0.2, 0.05, 0.15];
        let here = likelihood.curvature(&at);
        assert!((here.value - likelihood.value(&at)).abs() < 1e-12);
        let size = at.len();
        for i in 0..size {
            let shifted = |by: f64| {
                let mut moved = at;
                moved[i] += by;
                moved
            };
            let step = 1e-5;
            let slope = (likelihood.value(&shifted(step)) - likelihood.value(&shifted(-step))) / (2.0 * step);
            assert!((here.slope[i] - slope).abs() < 1e-7, "slope {i}: {} is not {slope}", here.slope[i]);
            let (up, down) = (likelihood.curvature(&shifted(step)), likelihood.curvature(&shifted(-step)));
            for j in 0..size {
                let bend = -(up.slope[j] - down.slope[j]) / (2.0 * step);
                let got = here.information[i * size + j];
                assert!((got - bend).abs() < 1e-7, "bend {i} {j}: {got} is not {bend}");
            }
        }
    }

    #[test]
    fn impossible_corrections_have_no_height() {
        let sample = Sample::new([0, 1], [0, 0], 1.0);
        assert!(height(&sample, &[1.0, 1.0, 0.5]).is_infinite());
        assert!((height(&sample, &[0.0, 0.0, 0.0]) + 2.0).abs() < 1e-12);
    }
}
