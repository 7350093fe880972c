//! Do the agents move together? A return of each of them every five minutes (configured), and
//! the risk-weighted correlation of all as a reading.

use super::{BreakerKind, Reading, Scope};
use crate::{
    id::{AccountId, AgentId},
    money::Money,
    portfolio::{CorrelationMatrix, Return},
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
}

impl Together {
    /// Takes returns when it is time, every `interval_ms`; the reading then, `None` in between.
    pub(super) fn sample(&mut self, worths: &[Worth], interval_ms: i64, now: Timestamp) -> Option<Reading> {
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
        let value = self.matrix.as_mut().and_then(|matrix| {
            matrix.push(returns).ok()?;
            factor_ppm(matrix, &self.last)
        });
        Some(Reading { kind: BreakerKind::Correlation, scope: Scope::Global, value })
    }
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
        let mut together = Together::default();
        let mut value = None;
        for step in 0..=20 {
            let (a, b) = moves(step);
            let worth = |agent: &str, account: &str, equity| Worth {
                agent: AgentId::new(agent).expect("an id"),
                account: AccountId::new(account).expect("an id"),
                equity: Money::from_micros(equity),
                payments: Money::ZERO,
            };
            let now = Timestamp::from_micros(step * INTERVAL_MS * 1_000);
            let worths = [worth("a", accounts[0], a), worth("b", accounts[1], b)];
            let reading = together.sample(&worths, INTERVAL_MS, now).expect("it is time");
            assert_eq!(reading.kind, BreakerKind::Correlation);
            value = reading.value;
            assert_eq!(together.sample(&worths, INTERVAL_MS, now.plus_millis(INTERVAL_MS - 1)), None, "not yet");
        }
        value
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
