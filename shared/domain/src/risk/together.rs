//! Do the agents move together? A return of each of them every five minutes (configured), the
//! risk-weighted correlation of all as a reading, and those who move as one.

use super::{BreakerKind, Companions, Limits, Reading, Scope};
use crate::{
    id::{AccountId, AgentId},
    money::Money,
    portfolio::{CorrelationMatrix, MIN_POINTS, Return},
    time::Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// Over how many returns agents are compared: of five minutes each a trading day of eight hours.
const INTERVALS: usize = 96;

/// Guards against the last bit of a float: 0.9 is at 900,000, not one below.
const LAST_BIT_PPM: f64 = 1e-6;

/// What one agent is worth, and what was paid in so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Worth {
    pub(super) agent: AgentId,
    pub(super) account: AccountId,
    pub(super) equity: Money,
    pub(super) payments: Money,
}

/// The agents' returns. A restart begins anew: until there are enough of them
/// again nothing is known, and nothing trips.
#[derive(Debug, Clone, Default)]
pub(super) struct Together {
    matrix: Option<CorrelationMatrix>,
    last: BTreeMap<AgentId, (Money, Money)>,
    sampled_at: Option<Timestamp>,
    samples: usize,
}

/// What a sample gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sampled {
    /// For the breaker.
    pub(super) reading: Reading,
    /// Who moves together; `None` until there are enough returns to know.
    pub(super) companies: Option<Vec<Companions>>,
}

impl Together {
    /// Takes returns when it is time; what follows then, `None` in between.
    pub(super) fn sample(&mut self, worths: &[Worth], limits: &Limits, now: Timestamp) -> Option<Sampled> {
        let interval_ms = limits.correlation_interval_ms;
        // A clock that has stepped back further than that is not waited for.
        if self.sampled_at.is_some_and(|before| now.millis_since(before).saturating_abs() < interval_ms) {
            return None;
        }
        self.sampled_at = Some(now);
        let mut returns = Vec::new();
        let mut next = BTreeMap::new();
        // Agents that share an account have one result, which says nothing about two.
        let mut seen = BTreeSet::new();
        for worth in worths.iter().filter(|worth| seen.insert(&worth.account)) {
            if let Some((equity, payments)) = self.last.get(&worth.agent) {
                let paid = worth.payments.minus(*payments).ok();
                let own = paid.and_then(|paid| Return::between(*equity, worth.equity, paid).ok());
                returns.extend(own.map(|own| (worth.agent.clone(), own)));
            }
            next.insert(worth.agent.clone(), (worth.equity, worth.payments));
        }
        self.last = next;
        if self.matrix.is_none() {
            self.matrix = CorrelationMatrix::new(INTERVALS).ok();
        }
        let is_pushed = self.matrix.as_mut().is_some_and(|matrix| matrix.push(returns).is_ok());
        // The first sample has no returns yet.
        self.samples = self.samples.saturating_add(1);
        let matrix = self.matrix.as_ref().filter(|_| is_pushed);
        let value = matrix.and_then(|matrix| factor_ppm(matrix, &self.last));
        let is_enough = self.samples > MIN_POINTS;
        let found = matrix.filter(|_| is_enough).map(|matrix| matrix.clusters(share(limits.correlated_pair_ppm)));
        let companies = found.map(|found| found.into_iter().map(|company| with_accounts(company, worths)).collect());
        Some(Sampled { reading: Reading { kind: BreakerKind::Correlation, scope: Scope::Global, value }, companies })
    }
}

/// With everybody else who trades an account of one of them: they have one result.
fn with_accounts(mut company: Companions, worths: &[Worth]) -> Companions {
    let own = worths.iter().filter(|worth| company.contains(&worth.agent));
    let accounts: BTreeSet<&AccountId> = own.map(|worth| &worth.account).collect();
    company.extend(worths.iter().filter(|worth| accounts.contains(&worth.account)).map(|worth| worth.agent.clone()));
    company
}

/// Parts per million as a share.
fn share(ppm: i64) -> f64 {
    f64::from(i32::try_from(ppm).unwrap_or(i32::MAX)) / 1e6
}

/// Parts per million, rounded down.
#[expect(clippy::cast_possible_truncation, reason = "a correlation is from -1 to 1, so its millionths fit")]
fn factor_ppm(matrix: &CorrelationMatrix, worths: &BTreeMap<AgentId, (Money, Money)>) -> Option<i64> {
    let capital = worths.iter().map(|(agent, (equity, _))| (agent.clone(), *equity)).collect();
    let factor = matrix.factor(&capital).ok()?;
    Some((factor * 1e6 + LAST_BIT_PPM).floor() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL_MS: i64 = 1_000;

    /// Equity of a and b after each interval, and what the last reading was.
    fn last_reading(moves: impl Fn(i64) -> (i64, i64), accounts: [&str; 2]) -> Option<i64> {
        last_sample(moves, accounts, 20).reading.value
    }

    fn last_sample(moves: impl Fn(i64) -> (i64, i64), accounts: [&str; 2], steps: i64) -> Sampled {
        let limits = Limits { correlation_interval_ms: INTERVAL_MS, ..Limits::default() };
        let mut together = Together::default();
        let mut last = None;
        for step in 0..=steps {
            let (a, b) = moves(step);
            let worth = |agent: &str, account: &str, equity| Worth {
                agent: AgentId::new(agent).expect("an id"),
                account: AccountId::new(account).expect("an id"),
                equity: Money::from_micros(equity),
                payments: Money::ZERO,
            };
            let now = Timestamp::from_micros(step * INTERVAL_MS * 1_000);
            let worths = [worth("a", accounts[0], a), worth("b", accounts[1], b)];
            let sampled = together.sample(&worths, &limits, now).expect("it is time");
            assert_eq!(sampled.reading.kind, BreakerKind::Correlation);
            last = Some(sampled);
            assert_eq!(together.sample(&worths, &limits, now.plus_millis(INTERVAL_MS - 1)), None, "not yet");
        }
        last.expect("a sample")
    }

    #[test]
    fn who_moves_together_is_known_from_twenty_returns_on() {
        let swing = |step: i64| if step % 2 == 0 { 1_000_000 } else { 1_010_000 };
        let company = |agents: [&str; 2]| Companions::from(agents.map(|agent| AgentId::new(agent).expect("an id")));
        let companies = |steps, other: fn(i64) -> i64| {
            last_sample(|step| (swing(step), swing(other(step))), ["x", "y"], steps).companies
        };
        assert_eq!(companies(19, |step| step), None, "before that nobody knows, and what was known stays");
        assert_eq!(companies(20, |step| step), Some(vec![company(["a", "b"])]));
        assert_eq!(companies(20, |step| step + 1), Some(Vec::new()), "those that hedge each other are two");
        // Somebody else who trades the account of one of them has a part in the same result.
        let worth = |agent: &str, account: &str| Worth {
            agent: AgentId::new(agent).expect("an id"),
            account: AccountId::new(account).expect("an id"),
            equity: Money::ZERO,
            payments: Money::ZERO,
        };
        let worths = [worth("a", "x"), worth("b", "y"), worth("c", "y"), worth("d", "z")];
        let all = with_accounts(company(["a", "b"]), &worths);
        assert_eq!(all.iter().map(|agent| agent.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn agents_that_move_as_one_have_a_factor_of_one_and_opposite_ones_of_minus_one() {
        let swing = |step: i64| if step % 2 == 0 { 1_000_000 } else { 1_010_000 };
        assert_eq!(last_reading(|step| (swing(step), 2 * swing(step)), ["x", "y"]), Some(1_000_000));
        let opposite = last_reading(|step| (swing(step), 2 * swing(step + 1)), ["x", "y"]).expect("enough points");
        assert!((-1_000_000..-900_000).contains(&opposite), "{opposite}");
    }

    #[test]
    fn agents_of_one_account_are_one() {
        let swing = |step: i64| if step % 2 == 0 { 1_000_000 } else { 1_010_000 };
        assert_eq!(last_reading(|step| (swing(step), swing(step)), ["x", "x"]), None);
    }
}
