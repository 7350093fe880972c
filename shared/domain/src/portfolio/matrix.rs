//! Which agents move together: correlations of all pairs, kept up to date.

use super::{
    correlation::{MIN_POINTS, bounded, correlation_factor},
    moments::{count_to_f64, to_float},
    returns::{RETURN_UNIT, Return},
    undefined::Undefined,
    window::{RETURNS_MAX, WindowError, scaled},
};
use crate::{id::AgentId, money::Money};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Most agents in one matrix: their pairs take 42 MB.
pub const AGENTS_MAX: usize = 1_024;

/// More agents than [`AGENTS_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("agent {agent} is one more than {AGENTS_MAX} in the correlation matrix")]
pub struct MatrixFull {
    /// The first that found no place.
    pub agent: AgentId,
}

/// Two agents and their correlation.
#[derive(Debug, Clone, PartialEq)]
pub struct CorrelatedPair {
    /// Both, in order.
    pub agents: [AgentId; 2],
    /// -1..=1.
    pub correlation: f64,
}

/// Correlations of agents' returns over the newest intervals.
///
/// Every interval (live: five minutes) gives each agent that traded with capital
/// one [`Return`]; an agent without one has a gap there. A pair is correlated over
/// the intervals in which both have a point. An interval costs O(pairs) (4 ms for
/// 1,000 agents), an answer O(1); sums are exact, as in [`super::ReturnWindow`].
///
/// ```
/// use tragen_domain::{id::AgentId, portfolio::{CorrelationMatrix, Return, Undefined}};
/// let [a, b] = ["a", "b"].map(|id| AgentId::new(id).unwrap());
/// let mut matrix = CorrelationMatrix::new(100).unwrap();
/// for step in 0..20 {
///     assert!(matrix.correlation(&a, &b).is_err());
///     let [up, down] = [step, -3 * step].map(|units| Return::from_units(units).unwrap());
///     matrix.push([(a.clone(), up), (b.clone(), down)]).unwrap();
/// }
/// assert_eq!(matrix.correlation(&a, &b), Ok(-1.0));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrelationMatrix {
    capacity: usize,
    /// Where each agent's series is.
    places: BTreeMap<AgentId, usize>,
    free: Vec<usize>,
    /// By place; each holds one entry per interval.
    series: Vec<VecDeque<Option<Return>>>,
    /// Of places `i >= j` at `i (i + 1) / 2 + j`; the diagonal is the agent itself.
    pairs: Vec<CoMoments>,
    intervals: usize,
}

/// Sums over the intervals in which both have a point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct CoMoments {
    points: i32,
    /// Within 4,096 times the largest return: they fit.
    sums: [i64; 2],
    squares: [i128; 2],
    product: i128,
}

impl CoMoments {
    fn count(&mut self, points: (Option<Return>, Option<Return>), times: i32) {
        let (Some(left), Some(right)) = points else { return };
        let (x, y) = (left.units(), right.units());
        let (wide_x, wide_y, wide) = (i128::from(x), i128::from(y), i128::from(times));
        self.points += times;
        self.sums[0] += i64::from(times) * x;
        self.sums[1] += i64::from(times) * y;
        self.squares[0] += wide * wide_x * wide_x;
        self.squares[1] += wide * wide_y * wide_y;
        self.product += wide * wide_x * wide_y;
    }

    fn len(&self) -> usize {
        usize::try_from(self.points).unwrap_or_default()
    }

    /// n x sum of products - product of sums, exact.
    fn spread(&self, product: i128, sums: [i64; 2]) -> f64 {
        to_float(scaled(product, self.len()) - i128::from(sums[0]) * i128::from(sums[1]))
    }

    fn correlation(&self) -> Result<f64, Undefined> {
        if self.len() < MIN_POINTS {
            return Err(Undefined::TooFewPoints { needed: MIN_POINTS, have: self.len() });
        }
        let [x, y] = self.sums;
        let (left, right) = (self.spread(self.squares[0], [x, x]), self.spread(self.squares[1], [y, y]));
        if left <= 0.0 || right <= 0.0 {
            return Err(Undefined::NoVariance);
        }
        bounded(self.spread(self.product, [x, y]) / (left.sqrt() * right.sqrt()))
    }

    fn deviation(&self) -> Result<f64, Undefined> {
        if self.len() < MIN_POINTS {
            return Err(Undefined::TooFewPoints { needed: MIN_POINTS, have: self.len() });
        }
        let n = count_to_f64(self.len());
        let [x, _] = self.sums;
        Ok((self.spread(self.squares[0], [x, x]) / (n * (n - 1.0))).sqrt() / to_float(RETURN_UNIT.into()))
    }
}

impl CorrelationMatrix {
    /// An empty matrix over the newest `capacity` intervals.
    ///
    /// # Errors
    /// [`WindowError`] unless it is [`MIN_POINTS`] to [`RETURNS_MAX`].
    pub fn new(capacity: usize) -> Result<Self, WindowError> {
        if !(MIN_POINTS..=RETURNS_MAX).contains(&capacity) {
            return Err(WindowError { capacity });
        }
        Ok(Self {
            capacity,
            places: BTreeMap::new(),
            free: Vec::new(),
            series: Vec::new(),
            pairs: Vec::new(),
            intervals: 0,
        })
    }

    /// Adds one interval; agents that are not in it have a gap there, new ones before it.
    ///
    /// # Errors
    /// [`MatrixFull`]; nothing is added then.
    pub fn push(&mut self, returns: impl IntoIterator<Item = (AgentId, Return)>) -> Result<(), MatrixFull> {
        let returns: BTreeMap<AgentId, Return> = returns.into_iter().collect();
        let mut unknown = returns.keys().filter(|agent| !self.places.contains_key(*agent));
        if let Some(agent) = unknown.nth(AGENTS_MAX - self.places.len()) {
            return Err(MatrixFull { agent: agent.clone() });
        }
        let mut newest = vec![None; AGENTS_MAX];
        for (agent, value) in returns {
            newest[self.place(agent)] = Some(value);
        }
        let is_full = self.intervals == self.capacity;
        let oldest: Vec<_> =
            self.series.iter_mut().map(|series| if is_full { series.pop_front().flatten() } else { None }).collect();
        for (series, value) in self.series.iter_mut().zip(&newest) {
            series.push_back(*value);
        }
        let mut pairs = self.pairs.iter_mut();
        for i in 0..self.series.len() {
            for (j, pair) in (0..=i).zip(&mut pairs) {
                pair.count((oldest[i], oldest[j]), -1);
                pair.count((newest[i], newest[j]), 1);
            }
        }
        self.intervals = (self.intervals + 1).min(self.capacity);
        Ok(())
    }

    /// The intervals, oldest first, each with the agents that have a point in it: what to
    /// store, and what to [`CorrelationMatrix::push`] again after a restart.
    pub fn intervals(&self) -> impl Iterator<Item = BTreeMap<AgentId, Return>> {
        let points_at = move |interval: usize| {
            self.places.iter().filter_map(move |(agent, place)| {
                self.series[*place].get(interval).copied().flatten().map(|value| (agent.clone(), value))
            })
        };
        (0..self.intervals).map(move |interval| points_at(interval).collect())
    }

    /// Forgets an agent.
    pub fn remove(&mut self, agent: &AgentId) {
        let Some(place) = self.places.remove(agent) else { return };
        self.series[place] = VecDeque::from(vec![None; self.intervals]);
        for other in 0..self.series.len() {
            self.pairs[pair_index(place, other)] = CoMoments::default();
        }
        self.free.push(place);
    }

    /// The correlation of two agents, -1..=1.
    ///
    /// # Errors
    /// [`Undefined::TooFewPoints`] below [`MIN_POINTS`] common intervals (also for an
    /// agent that is not known), [`Undefined::NoVariance`].
    pub fn correlation(&self, left: &AgentId, right: &AgentId) -> Result<f64, Undefined> {
        match (self.places.get(left), self.places.get(right)) {
            (Some(left), Some(right)) => self.pairs[pair_index(*left, *right)].correlation(),
            (None, _) | (_, None) => Err(Undefined::TooFewPoints { needed: MIN_POINTS, have: 0 }),
        }
    }

    /// Every pair whose correlation is at least `limit`, in order of the agents: O(pairs).
    #[must_use]
    pub fn pairs_from(&self, limit: f64) -> Vec<CorrelatedPair> {
        let agents: Vec<&AgentId> = self.places.keys().collect();
        let joined = self.joined(limit).map(|(left, right, correlation)| CorrelatedPair {
            agents: [left, right].map(|index| agents[index].clone()),
            correlation,
        });
        joined.collect()
    }

    /// Agents that are joined by pairs of at least `limit`, directly or through others;
    /// each set has at least two, sorted by its first. Their risk counts as one. O(pairs).
    #[must_use]
    pub fn clusters(&self, limit: f64) -> Vec<BTreeSet<AgentId>> {
        // Each agent starts as a cluster of its own; `first[i]` leads to the first agent of its cluster.
        let mut first: Vec<usize> = (0..self.places.len()).collect();
        for (left, right, _) in self.joined(limit) {
            let (one, other) = (root(&mut first, left), root(&mut first, right));
            first[one.max(other)] = one.min(other);
        }
        let mut clusters: BTreeMap<usize, BTreeSet<AgentId>> = BTreeMap::new();
        for (index, agent) in self.places.keys().enumerate() {
            clusters.entry(root(&mut first, index)).or_default().insert(agent.clone());
        }
        clusters.into_values().filter(|cluster| cluster.len() > 1).collect()
    }

    /// The [`correlation_factor`] of agents with this capital each; those without any, or
    /// without a deviation of their own, take no part. O(pairs).
    ///
    /// # Errors
    /// As [`correlation_factor`].
    pub fn factor(&self, capital: &BTreeMap<AgentId, Money>) -> Result<f64, Undefined> {
        let risk = |(agent, capital): (&AgentId, &Money)| {
            let place = *self.places.get(agent)?;
            let deviation = self.pairs[pair_index(place, place)].deviation().ok()?;
            (*capital > Money::ZERO).then(|| (place, to_float(capital.micros().into()) * deviation))
        };
        let (places, risks): (Vec<usize>, Vec<f64>) = capital.iter().filter_map(risk).unzip();
        correlation_factor(&risks, |i, j| self.pairs[pair_index(places[i], places[j])].correlation())
    }

    /// Pairs of agents, numbered in order, whose correlation is at least `limit`.
    fn joined(&self, limit: f64) -> impl Iterator<Item = (usize, usize, f64)> {
        let places: Vec<usize> = self.places.values().copied().collect();
        let pairs = (0..places.len()).flat_map(move |left| {
            let right = (left + 1..places.len()).map(|right| (right, pair_index(places[left], places[right])));
            right.map(|(right, pair)| (left, right, pair)).collect::<Vec<_>>()
        });
        pairs.filter_map(move |(left, right, pair)| {
            let correlation = self.pairs[pair].correlation().ok()?;
            (correlation >= limit).then_some((left, right, correlation))
        })
    }

    fn place(&mut self, agent: AgentId) -> usize {
        let next = self.series.len();
        let place = *self.places.entry(agent).or_insert_with(|| self.free.pop().unwrap_or(next));
        if place == next {
            self.series.push(VecDeque::from(vec![None; self.intervals]));
            self.pairs.resize(pair_index(next, next) + 1, CoMoments::default());
        }
        place
    }
}

/// The first agent of the cluster that `index` is in; shortens the way there.
fn root(first: &mut [usize], index: usize) -> usize {
    let mut at = index;
    while first[at] != at {
        first[at] = first[first[at]];
        at = first[at];
    }
    at
}

/// Where the pair of two places is; the same for both orders.
const fn pair_index(one: usize, other: usize) -> usize {
    let (high, low) = if one > other { (one, other) } else { (other, one) };
    high * (high + 1) / 2 + low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(number: usize) -> AgentId {
        AgentId::new(format!("a{number:04}")).expect("an id")
    }

    fn units(units: i64) -> Return {
        Return::from_units(units).expect("in range")
    }

    #[test]
    fn pairs_that_touch_are_one_cluster() {
        let mut matrix = CorrelationMatrix::new(24).expect("valid");
        // Waves of three lengths; agents 0, 2 and 4 follow the first, 1 and 5 the second, 3 neither.
        for step in 0..24_i64 {
            let waves = [step % 2, (step / 2) % 2, (step / 4) % 2];
            let returns = [(0, 0, 1), (1, 1, 1), (2, 0, 5), (3, 2, 1), (4, 0, 2), (5, 1, 9)];
            let returns = returns.map(|(number, wave, scale)| (agent(number), units(waves[wave] * scale)));
            matrix.push(returns).expect("has room");
        }
        let expected: Vec<BTreeSet<AgentId>> =
            [&[0, 2, 4][..], &[1, 5]].map(|set| set.iter().map(|number| agent(*number)).collect()).into();
        assert_eq!(matrix.clusters(0.9), expected);
        assert_eq!(matrix.pairs_from(0.9).len(), 4);
        assert_eq!(matrix.clusters(-1.0).len(), 1, "everything touches at any correlation");
        matrix.remove(&agent(2));
        assert_eq!(matrix.pairs_from(0.9).len(), 2);
        // Half of the risk moves as one: agents 0 and 4 with 2 x 0.5 each, agent 3 not with them.
        let capital = |numbers: &[(usize, i64)]| -> BTreeMap<AgentId, Money> {
            numbers.iter().map(|(number, micros)| (agent(*number), Money::from_micros(*micros))).collect()
        };
        let factor = matrix.factor(&capital(&[(0, 2), (4, 1), (3, 2), (5, 0)])).expect("defined");
        assert!((factor - 1.0 / 3.0).abs() < 1e-12, "{factor}");
        let alone = matrix.factor(&capital(&[(0, 2), (4, -1)]));
        assert_eq!(alone, Err(Undefined::TooFewPoints { needed: 2, have: 1 }));
    }

    #[test]
    fn a_constant_agent_has_no_correlation() {
        let mut matrix = CorrelationMatrix::new(20).expect("valid");
        for step in 0..20 {
            let too_few = Undefined::TooFewPoints { needed: MIN_POINTS, have: usize::try_from(step).expect("fits") };
            let expected = if step == 0 { Undefined::TooFewPoints { needed: MIN_POINTS, have: 0 } } else { too_few };
            assert_eq!(matrix.correlation(&agent(0), &agent(1)), Err(expected));
            matrix.push([(agent(0), units(7)), (agent(1), units(step))]).expect("has room");
        }
        assert_eq!(matrix.correlation(&agent(0), &agent(1)), Err(Undefined::NoVariance));
        assert_eq!(matrix.correlation(&agent(1), &agent(1)), Ok(1.0));
    }

    #[test]
    fn a_full_matrix_takes_nobody_new_until_one_leaves() {
        let mut matrix = CorrelationMatrix::new(20).expect("valid");
        let all = |numbers: std::ops::Range<usize>| numbers.map(|number| (agent(number), units(1)));
        assert_eq!(matrix.push(all(0..AGENTS_MAX + 1)), Err(MatrixFull { agent: agent(AGENTS_MAX) }));
        assert_eq!(matrix.intervals().count(), 0);
        matrix.push(all(0..AGENTS_MAX)).expect("has room");
        assert_eq!(matrix.push(all(AGENTS_MAX..AGENTS_MAX + 1)), Err(MatrixFull { agent: agent(AGENTS_MAX) }));
        matrix.remove(&agent(5));
        matrix.push(all(AGENTS_MAX..AGENTS_MAX + 1)).expect("has room");
        assert_eq!(CorrelationMatrix::new(19), Err(WindowError { capacity: 19 }));
    }
}
