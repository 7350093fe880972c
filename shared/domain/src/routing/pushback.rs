//! When whoever is sent away may come back. If all came back after the same second, each new second would bring those of
//! all seconds before it once more, and saying no to them would take the time that trades need: an overload would feed
//! itself and outlive its cause. So each of them gets a moment of its own, as far behind the one before as a trade of its
//! tier takes to go on: together they ask no faster than trades end.

use crate::{tier::Tier, time::Timestamp};

/// Nobody comes back sooner, milliseconds.
const SOONEST_MS: i64 = 250;
/// Nobody is told to wait longer: a caller who hears more gives up. Milliseconds.
const LATEST_MS: i64 = 15_000;

/// The moments that are given away.
///
/// ```
/// use tragen_domain::{routing::Pushback, tier::Tier, time::Timestamp};
/// let (mut pushback, now) = (Pushback::new([8, 4, 1]), Timestamp::from_micros(0));
/// // Of 1,300 trades a second 800 are premium's while all tiers have work: one in 1.25 ms.
/// let waits: Vec<i64> = (0..3).map(|_| pushback.wait_micros(Tier::Premium, now, Some(1_300))).collect();
/// assert_eq!(waits, [250_000, 251_250, 252_500]);
/// // Of the others nobody is in front of free.
/// assert_eq!(pushback.wait_micros(Tier::Free, now, Some(1_300)), 250_000);
/// ```
#[derive(Debug, Clone)]
pub struct Pushback {
    weights: [u16; 3],
    /// The last moment of each tier.
    last: [Timestamp; 3],
}

impl Pushback {
    /// Nobody is sent away yet; tiers go on by `weights`.
    #[must_use]
    pub const fn new(weights: [u16; 3]) -> Self {
        Self { weights, last: [Timestamp::from_micros(0); 3] }
    }

    /// How long one more of `tier` stays away, microseconds, while `per_second` trades end; `None` if nobody has
    /// measured that yet.
    pub fn wait_micros(&mut self, tier: Tier, now: Timestamp, per_second: Option<u64>) -> i64 {
        let place = Tier::ALL.iter().position(|own| *own == tier).unwrap_or_default();
        let (weight, all) =
            (i64::from(self.weights[place]), self.weights.iter().map(|own| i64::from(*own)).sum::<i64>());
        let rate = per_second.and_then(|rate| i64::try_from(rate).ok()).unwrap_or(i64::MAX).max(1);
        // Of a second, the part that belongs to one trade of this tier.
        let apart = 1_000_000_i64.saturating_mul(all) / rate.saturating_mul(weight.max(1)).max(1);
        let soonest = now.plus_millis(SOONEST_MS);
        let next = Timestamp::from_micros(self.last[place].micros().saturating_add(apart))
            .max(soonest)
            .min(now.plus_millis(LATEST_MS));
        self.last[place] = next;
        next.micros().saturating_sub(now.micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many as come new in a second, of whom `trades_per_second` get through; the others come back when they are told
    /// to, for at most a minute. How many ask in the last of `seconds`.
    fn asking(new_per_second: i64, trades_per_second: u64, seconds: i64) -> usize {
        let mut pushback = Pushback::new([8, 4, 1]);
        let mut coming: Vec<(i64, i64)> = Vec::new();
        let mut asked = 0;
        for second in 0..seconds {
            let now = second * 1_000_000;
            let fresh = (0..new_per_second).map(|number| (now + number * 1_000_000 / new_per_second, now));
            coming.extend(fresh);
            coming.sort_unstable();
            let ask = coming.partition_point(|(at, _)| *at < now + 1_000_000);
            asked = ask;
            let asks: Vec<(i64, i64)> = coming.drain(..ask).collect();
            let through = usize::try_from(trades_per_second).expect("small");
            for (at, since) in asks.into_iter().skip(through) {
                let at = Timestamp::from_micros(at);
                // Premium's part is all there is: nobody else asks.
                let back = at.micros() + pushback.wait_micros(Tier::Premium, at, Some(trades_per_second * 13 / 8));
                if back - since < 60_000_000 {
                    coming.push((back, since));
                }
            }
        }
        asked
    }

    #[test]
    fn an_overload_does_not_feed_itself() {
        // A fifth more than goes on: without moments of their own, 1,300 a second would ask after a minute.
        let asked = asking(120, 100, 120);
        assert!(asked <= 260, "{asked} ask in a second where 120 are new");
        let asked = asking(4_000, 1_000, 60);
        assert!(asked <= 20_000, "{asked} ask in a second where 4,000 are new");
    }

    #[test]
    fn nobody_waits_too_short_or_too_long_and_what_is_over_is_forgotten() {
        let mut pushback = Pushback::new([8, 4, 1]);
        let at = |millis: i64| Timestamp::from_micros(millis * 1_000);
        for _ in 0..1_000 {
            let wait = pushback.wait_micros(Tier::Free, at(0), Some(13));
            assert!((250_000..=15_000_000).contains(&wait), "{wait}");
        }
        assert_eq!(pushback.wait_micros(Tier::Free, at(0), Some(13)), 15_000_000);
        assert_eq!(pushback.wait_micros(Tier::Premium, at(0), Some(13)), 250_000, "premium stands behind nobody");
        assert_eq!(pushback.wait_micros(Tier::Free, at(20_000), Some(13)), 250_000, "those have been here by now");
        assert_eq!(pushback.wait_micros(Tier::Free, at(20_000), None), 250_000);
        assert_eq!(pushback.wait_micros(Tier::Free, at(20_000), Some(0)), 13_250_000);
    }
}
