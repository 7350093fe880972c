//! riskManagerAgent: what would the gate say to an order, and how much of it would pass?
//!
//! The answer is made by the gate's own checks on a view of its state ([`inspect`] and [`decide`]), so it can never
//! disagree with the gate about the same state; nothing is approved and nothing changes. What the order would do to the
//! risk of the account's predictions is in `what_if/outlook.rs`.

mod outlook;

pub use outlook::{BookRisk, Company, Outlook, Prospects};

use super::{DenialReason, Denied, Headroom, Inspection, Proposed, State, Verdict, decide, inspect};
use crate::{
    instrument::Instrument,
    money::{Overflow, Quantity},
    time::Timestamp,
};

/// What comes of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// It would be approved as it is.
    Allow,
    /// It would be approved with less.
    Scale {
        /// The largest quantity that would be, on the lot.
        quantity: Quantity,
    },
    /// It would be denied in any size.
    Reject,
}

/// How much one limit lets through, were it the only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// The limit's denial.
    pub reason: DenialReason,
    /// The largest quantity it passes, on the lot; zero when it passes none.
    pub quantity: Quantity,
}

/// The answer to a hypothetical order.
#[derive(Debug, Clone, PartialEq)]
pub struct WhatIf {
    /// What comes of it.
    pub advice: Advice,
    /// Everything that denies it, in the order of the checks: the first is what the gate would say.
    pub reasons: Vec<Denied>,
    /// What every check comes to.
    pub inspection: Inspection,
    /// What is left to every limit that is about an amount, with the order done.
    pub headroom: Vec<Headroom>,
    /// The sizing table: what each limit that depends on the quantity lets through, tightest first.
    pub allowances: Vec<Allowance>,
    /// What the order does to the risk of the account and how its agents move together.
    pub outlook: Outlook,
}

/// What the gate would say to `proposed` now.
///
/// Example: 200 contracts at 0.50 for an account of 1,000 that may have 5 % in one trade: denied for 100 above 50, and
/// 100 contracts would pass.
///
/// # Errors
/// [`Overflow`] when the risk of the account's predictions does not fit 64 bits.
pub fn what_if(
    state: &State,
    proposed: &Proposed,
    prospects: &Prospects<'_>,
    now: Timestamp,
) -> Result<WhatIf, Overflow> {
    let inspection = inspect(state, proposed, now);
    let reasons: Vec<Denied> = inspection
        .checks
        .iter()
        .filter(|check| check.verdict == Verdict::Failed)
        .map(|check| Denied { reason: check.reason, limit: check.limit, observed: check.observed })
        .collect();
    let sizes =
        state.instrument(&proposed.terms.instrument).map(|instrument| Sizes { state, proposed, instrument, now });
    let advice = if reasons.is_empty() {
        Advice::Allow
    } else {
        let largest = sizes.as_ref().and_then(Sizes::largest);
        largest.map_or(Advice::Reject, |quantity| Advice::Scale { quantity })
    };
    Ok(WhatIf {
        advice,
        headroom: inspection.checks.iter().filter_map(super::Check::headroom).collect(),
        allowances: sizes.map(|sizes| sizes.allowances()).unwrap_or_default(),
        outlook: outlook::outlook(state, proposed, &inspection, prospects)?,
        reasons,
        inspection,
    })
}

/// The same order in other sizes.
struct Sizes<'a> {
    state: &'a State,
    proposed: &'a Proposed,
    instrument: &'a Instrument,
    now: Timestamp,
}

impl Sizes<'_> {
    /// The largest quantity up to the proposed one that is approved. More of an order never passes where less does not,
    /// down to the smallest order, so halving finds it; and what is found has been decided.
    fn largest(&self) -> Option<Quantity> {
        let most = self.proposed.terms.quantity.min(self.instrument.max_quantity);
        self.last(most, |sized| decide(self.state, sized, self.now).is_ok())
    }

    /// What each check about an amount lets through, up to the instrument's largest order.
    fn allowances(&self) -> Vec<Allowance> {
        let (Some(least), most) = (self.smallest(), self.instrument.max_quantity.floor_to(self.instrument.lot)) else {
            return Vec::new();
        };
        let [small, large] = [least, most].map(|quantity| inspect(self.state, &self.sized(quantity), self.now).checks);
        let mut found: Vec<Allowance> = Vec::new();
        for check in small.iter().chain(&large) {
            let depends = |checks: &[super::Check]| {
                checks.iter().filter(|own| own.reason == check.reason).map(|own| own.observed).collect::<Vec<_>>()
            };
            let is_known = found.iter().any(|own| own.reason == check.reason);
            if is_known || check.headroom().is_none() || depends(&small) == depends(&large) {
                continue;
            }
            let passes = |sized: &Proposed| {
                let failed = |own: &super::Check| own.reason == check.reason && own.verdict == Verdict::Failed;
                !inspect(self.state, sized, self.now).checks.iter().any(failed)
            };
            let quantity = self.last(most, passes).unwrap_or(Quantity::ZERO);
            found.push(Allowance { reason: check.reason, quantity });
        }
        found.sort_by_key(|allowance| allowance.quantity);
        found
    }

    /// The last of the quantities from the smallest order to `most` that passes, if the first does.
    fn last(&self, most: Quantity, passes: impl Fn(&Proposed) -> bool) -> Option<Quantity> {
        let lot = self.instrument.lot.micros();
        let (mut low, mut high) = (self.smallest()?.micros() / lot, most.micros().checked_div(lot)?);
        let at = |lots: i64| Some(Quantity::from_micros(lots.checked_mul(lot)?));
        if low > high || !passes(&self.sized(at(low)?)) {
            return None;
        }
        while low < high {
            // Rounded up, so that it ends.
            let middle = low + (high - low + 1) / 2;
            if passes(&self.sized(at(middle)?)) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        at(low)
    }

    /// The smallest order, on the lot; None for an instrument without a lot.
    fn smallest(&self) -> Option<Quantity> {
        let lot = self.instrument.lot;
        if lot.micros() <= 0 {
            return None;
        }
        let least = self.instrument.min_quantity.max(lot);
        let floored = least.floor_to(lot);
        if floored == least { Some(floored) } else { floored.plus(lot).ok() }
    }

    fn sized(&self, quantity: Quantity) -> Proposed {
        let mut sized = self.proposed.clone();
        sized.terms.quantity = quantity;
        sized
    }
}
