//! After a resume limits open slowly: from a tenth to all of them over a few
//! minutes, so that whatever was wrong shows while little can be lost.

use super::{Scope, ScopeState, TradingState};
use crate::{money::ONE, time::Timestamp};
use std::collections::BTreeMap;

/// The share of its limits that a scope has right after its resume, parts per million.
pub const RAMP_START_PPM: i64 = 100_000;

/// When scopes became ACTIVE again; forgotten once a ramp is over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ramps {
    resumed: BTreeMap<Scope, Timestamp>,
}

/// The share `ramp_ms` after a resume at `resumed`, parts per million, rounded down.
///
/// ```
/// use tragen_domain::{risk::ramp_share_ppm, time::Timestamp};
/// let at = |secs: i64| Timestamp::from_micros(secs * 1_000_000);
/// assert_eq!(ramp_share_ppm(at(0), 300_000, at(0)), 100_000);
/// assert_eq!(ramp_share_ppm(at(0), 300_000, at(150)), 550_000);
/// assert_eq!(ramp_share_ppm(at(0), 300_000, at(300)), 1_000_000);
/// ```
#[must_use]
pub fn ramp_share_ppm(resumed: Timestamp, ramp_ms: i64, now: Timestamp) -> i64 {
    let gone = now.millis_since(resumed).max(0);
    if gone >= ramp_ms {
        return ONE;
    }
    let opened = i128::from(ONE - RAMP_START_PPM) * i128::from(gone) / i128::from(ramp_ms);
    RAMP_START_PPM + i64::try_from(opened).unwrap_or(0)
}

impl Ramps {
    /// A scope that becomes ACTIVE after something stricter ramps; one that is tightened does not.
    pub(super) fn note(&mut self, change: &ScopeState, before: TradingState, ramp_ms: i64) {
        self.resumed.retain(|_, resumed| change.changed_at.millis_since(*resumed) < ramp_ms);
        match change.state {
            TradingState::Active if before > TradingState::Active && ramp_ms > 0 => {
                self.resumed.insert(change.scope.clone(), change.changed_at);
            }
            TradingState::Active => {}
            TradingState::Reducing | TradingState::Halted => {
                self.resumed.remove(&change.scope);
            }
        }
    }

    /// Every scope that ramps, and since when.
    pub(super) fn resumed(&self) -> impl Iterator<Item = (&Scope, Timestamp)> {
        self.resumed.iter().map(|(scope, at)| (scope, *at))
    }

    pub(super) fn remember(&mut self, scope: Scope, at: Timestamp) {
        self.resumed.insert(scope, at);
    }

    /// The smallest share of all `scopes`.
    pub(super) fn ppm<S: Iterator<Item = Scope>>(
        &self,
        scopes: impl FnOnce() -> S,
        ramp_ms: i64,
        now: Timestamp,
    ) -> i64 {
        if self.resumed.is_empty() {
            return ONE;
        }
        let shares = scopes().filter_map(|scope| self.resumed.get(&scope));
        shares.map(|resumed| ramp_share_ppm(*resumed, ramp_ms, now)).min().unwrap_or(ONE)
    }
}
