//! What a venue may do wrong, on purpose: none of it unless it is asked for. Which order it
//! happens to follows from the seed and the order's id, so a run can be played again.

use super::split_mix;
use serde::Deserialize;
use tragen_domain::id::OrderId;

/// A million, of which the shares below are.
const ALL: u64 = 1_000_000;

/// How often the paper venue misbehaves, parts per million of all orders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaperFaults {
    /// The way to the venue takes longer by [`Self::delay_micros`].
    pub delayed_ppm: u32,
    /// How much longer, microseconds.
    pub delay_micros: u64,
    /// The order never arrives, and there is no answer.
    pub lost_ppm: u32,
    /// The order is executed, but there is no answer.
    pub unanswered_ppm: u32,
    /// Every fill stands twice in the answer.
    pub repeated_fill_ppm: u32,
    /// What was left when the order ended is filled after all, and told at the next look.
    pub late_fill_ppm: u32,
    /// A resting order is refused at the next look.
    pub late_reject_ppm: u32,
    /// One unit more is filled than was asked for.
    pub overfill_ppm: u32,
}

/// One kind of misbehaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Delayed,
    Lost,
    Unanswered,
    RepeatedFill,
    LateFill,
    LateReject,
    Overfill,
}

/// What comes at the next look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Fill,
    Reject,
}

impl PaperFaults {
    /// Whether `fault` happens to `order`; always the same for the same seed.
    pub(super) fn hits(&self, fault: Fault, seed: u64, order: &OrderId) -> bool {
        let (share, salt) = match fault {
            Fault::Delayed => (self.delayed_ppm, 1),
            Fault::Lost => (self.lost_ppm, 2),
            Fault::Unanswered => (self.unanswered_ppm, 3),
            Fault::RepeatedFill => (self.repeated_fill_ppm, 4),
            Fault::LateFill => (self.late_fill_ppm, 5),
            Fault::LateReject => (self.late_reject_ppm, 6),
            Fault::Overfill => (self.overfill_ppm, 7),
        };
        share > 0 && mixed(seed ^ split_mix(salt), order) % ALL < u64::from(share)
    }
}

/// A number that looks like chance and follows from `seed` and `order`.
pub(super) fn mixed(seed: u64, order: &OrderId) -> u64 {
    order.as_str().bytes().fold(seed, |mixed, byte| split_mix(mixed ^ u64::from(byte)))
}
