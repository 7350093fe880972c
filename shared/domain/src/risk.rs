//! The gate's rules: what may be ordered, what it holds of the buying power,
//! and which scopes are stopped. [`decide`] looks, [`State::apply`] changes;
//! replaying the records gives the same state.
//!
//! An order exists only as [`Approved`], which nothing outside this module can
//! make; the venue client accepts nothing else. Every check fails closed: a
//! missing or stale input denies with a reason that says which.

mod account;
mod approved;
mod basis;
mod beginning;
mod booking;
mod breaker;
mod breakers;
mod canonical;
mod change;
mod commands;
mod decide;
mod denial;
mod ending;
mod exposure;
mod forbidden;
mod headroom;
mod hold;
mod invariant;
mod known;
mod ladder;
mod lifecycle;
mod limits;
mod memory;
mod meter;
mod pace;
mod parts;
mod ramp;
mod readings;
mod record;
mod reduction;
mod resume;
mod rules;
mod scope;
mod state;
mod stored;
mod streaks;
#[cfg(test)]
mod tests;
mod together;
mod unknown;
mod venue_calls;
mod what_if;

pub use account::{AccountState, Balance, Holding, Unposted};
pub use approved::{Approved, Order, Proposed, Purpose};
pub use basis::{Basis, BasisChange};
pub use beginning::{
    JOURNAL_LOST, REMEMBERED_MS, Traces, asked_again_until, first_state, is_asked_again, kept_limits, kept_states,
};
pub use booking::{
    Booking, BookingKind, BookingProposal, BookingRefused, ConfirmedBooking, Payout, confirm_booking, propose_booking,
};
pub use breaker::{BreakerKind, Effect, Latch, ResetRefused, loss_ppm};
pub use breakers::{Acknowledged, BreakerRecord, Breakers, Companions, KeptBaseline, KeptPayments, Measured, Seat};
pub use canonical::{CANONICAL_VERSION, Digest};
pub use change::{LimitDecision, LimitProposal, LimitRefused, LimitWish, confirm_limit, propose_limit};
pub use commands::{Change, CommandLimits, Commands, Confirmer, order_reduction, reductions_ended_by};
pub use decide::{Check, Inspection, Verdict, decide, decide_cancel, decide_withdrawal, inspect, repeated_order};
pub use denial::{DenialReason, Denied};
pub use ending::{EndProposal, EndRefused, EndedReduction, confirm_end, propose_end};
pub use exposure::{Exposure, House, Sheet};
pub use forbidden::forbidden_orders;
pub use headroom::{Headroom, Measure};
pub use hold::{fee_bound, opening_cost};
pub use invariant::{Broken, check_invariants, check_listed, check_touched};
pub use known::{Known, KnownTrade};
pub use ladder::{BreakerEvent, Level, Reading, Watch};
pub use lifecycle::{Anomaly, Event, Seen, Stage, Step, read_report, step};
pub use limits::{Cluster, Limits};
pub use memory::{Memory, Traded, WalletStarted};
pub use meter::{Meter, Taken, account_equity};
pub use pace::RepeatedOrders;
pub use ramp::{RAMP_START_PPM, ramp_share_ppm};
pub use readings::{LossStreak, Samples, failures_ppm, jump_ppm, nearness_ppm};
pub use record::{Executed, Posted, PostedBalance, PostedPosition, Record};
pub use reduction::{Driver, Progress, Reduce, Reduction, ReductionRefused, Slice, Target, next_portion};
pub use resume::{ResumeProposal, ResumeRefused, confirm_resume, propose_resume, resume_evidence};
pub use rules::{LimitChange, LimitName, Rules, RulesError, Whose};
pub use scope::{Scope, ScopeState, TradingState, tighten};
pub use state::{OpenOrder, State};
pub use stored::{Stored, StoredOrder, StoredOwners};
pub use streaks::{ClosedTrade, KeptStreak, OpenTrade, TradeEnd};
pub use venue_calls::{CallCounts, CallOutcome, VenueCalls};
pub use what_if::{Advice, Allowance, BookRisk, Company, Outlook, Prospects, WhatIf, what_if};
