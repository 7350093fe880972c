//! Whose turn it is: tiers share the agents 8:4:1, so premium is fast and free
//! never starves. Lanes without work give their turns away.

use crate::tier::Tier;

/// Smooth weighted round robin over the tiers, in the order of [`Tier::ALL`].
///
/// ```
/// use tragen_domain::{routing::LaneScheduler, tier::Tier};
/// let mut lanes = LaneScheduler::default();
/// let turns: Vec<_> = (0..13).filter_map(|_| lanes.next(&[true; 3])).collect();
/// let count = |tier| turns.iter().filter(|turn| **turn == tier).count();
/// assert_eq!((count(Tier::Premium), count(Tier::Standard), count(Tier::Free)), (8, 4, 1));
/// assert_eq!(lanes.next(&[false, false, true]), Some(Tier::Free));
/// assert_eq!(lanes.next(&[false; 3]), None);
/// ```
#[derive(Debug, Clone)]
pub struct LaneScheduler {
    weights: [i32; 3],
    credits: [i32; 3],
}

impl Default for LaneScheduler {
    fn default() -> Self {
        Self::new([8, 4, 1])
    }
}

impl LaneScheduler {
    /// Turns in the proportion of `weights`, most urgent tier first; a weight of 0 counts as 1.
    #[must_use]
    pub fn new(weights: [u16; 3]) -> Self {
        Self { weights: weights.map(|weight| i32::from(weight.max(1))), credits: [0; 3] }
    }

    /// The tier whose turn it is among those that have work; `None` if none has.
    pub fn next(&mut self, has_work: &[bool; 3]) -> Option<Tier> {
        let mut total = 0;
        let mut chosen: Option<usize> = None;
        for lane in (0..3).filter(|lane| has_work[*lane]) {
            total += self.weights[lane];
            self.credits[lane] += self.weights[lane];
            if chosen.is_none_or(|best| self.credits[lane] > self.credits[best]) {
                chosen = Some(lane);
            }
        }
        let lane = chosen?;
        self.credits[lane] -= total;
        // Who has no work keeps no claim: an idle lane must not burst later.
        for idle in (0..3).filter(|lane| !has_work[*lane]) {
            self.credits[idle] = 0;
        }
        Some(Tier::ALL[lane])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(has_work: [bool; 3], turns: usize, expected: [usize; 3]) {
        let mut lanes = LaneScheduler::default();
        let mut counts = [0; 3];
        for _ in 0..turns {
            if let Some(tier) = lanes.next(&has_work) {
                counts[Tier::ALL.iter().position(|t| *t == tier).expect("a tier")] += 1;
            }
        }
        assert_eq!(counts, expected, "{has_work:?}");
    }

    #[test]
    fn turns_follow_the_weights_of_the_lanes_with_work() {
        check([true, true, true], 1_300, [800, 400, 100]);
        check([true, true, false], 1_200, [800, 400, 0]);
        check([true, false, true], 900, [800, 0, 100]);
        check([false, true, true], 500, [0, 400, 100]);
        check([false, false, true], 7, [0, 0, 7]);
        check([false, false, false], 7, [0, 0, 0]);
    }

    #[test]
    fn free_waits_at_most_one_round() {
        let mut lanes = LaneScheduler::default();
        let turns: Vec<Tier> = (0..130).filter_map(|_| lanes.next(&[true; 3])).collect();
        assert!(turns.windows(13).all(|round| round.contains(&Tier::Free)));
    }

    #[test]
    fn an_idle_lane_saves_no_turns() {
        let mut lanes = LaneScheduler::default();
        for _ in 0..1_000 {
            lanes.next(&[false, true, true]);
        }
        let premium = (0..13).filter(|_| lanes.next(&[true; 3]) == Some(Tier::Premium)).count();
        assert!((7..=9).contains(&premium), "{premium}");
    }
}
