//! What operators have commanded: reductions by their id, and the last changes
//! of the trading state with who, when and why.

use super::{
    Driver, Order, Purpose, Reduce, Reduction, ReductionRefused, Scope, ScopeState, State, TradingState,
    reduction::{Portion, portion},
    scope::reason_or_unspecified,
};
use crate::{
    id::CommandId,
    money::{ONE, Overflow},
    time::Timestamp,
};
use std::collections::{BTreeMap, VecDeque};

/// Microseconds of a minute.
const MINUTE_MICROS: i64 = 60_000_000;

/// Limits of operators' commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLimits {
    /// Most orders a minute in the operator's flatten lane, all accounts together.
    pub flatten_orders_per_minute_max: u32,
    /// Most positions that one reduction may be about at a time: its targets are one journal message. Others wait for
    /// their portion.
    pub reduction_targets_max: usize,
    /// Most reductions under way and in time, and as many that are overdue; as many ended ones are
    /// kept to answer repeats.
    pub reductions_max: usize,
    /// After how long a reduction that is not through is overdue, milliseconds.
    pub reduction_overdue_ms: i64,
    /// Changes of the trading state that are kept for the history.
    pub changes_kept_max: usize,
    /// Who may confirm a resume.
    pub resume_confirmer: Confirmer,
}

/// Who may confirm what was proposed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Confirmer {
    /// Only somebody else than the one who proposed it.
    #[default]
    Another,
    /// Whoever; for development only.
    Anyone,
}

impl Default for CommandLimits {
    fn default() -> Self {
        Self {
            flatten_orders_per_minute_max: 120,
            reduction_targets_max: 5_000,
            reductions_max: 16,
            reduction_overdue_ms: 600_000,
            changes_kept_max: 1_000,
            resume_confirmer: Confirmer::Another,
        }
    }
}

/// One entry of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its epoch.
    pub epoch: i64,
    /// What it is about.
    pub scope: Scope,
    /// The scope's new state; `None` for a reduction, which changes no state by itself.
    pub state: Option<TradingState>,
    /// The reduction that was ordered.
    pub reduction: Option<CommandId>,
    /// Who.
    pub changed_by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub changed_at: Timestamp,
}

/// Operators' commands so far; everything here follows from the records applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    pub(super) reductions: BTreeMap<CommandId, Reduction>,
    /// Oldest first.
    pub(super) changes: VecDeque<Change>,
    /// Approved orders of the flatten lane in the minute of the last one.
    pub(super) flattened: (i64, u32),
}

impl Commands {
    /// Every reduction that is kept, sorted by id.
    pub fn reductions(&self) -> impl Iterator<Item = &Reduction> {
        self.reductions.values()
    }

    /// The history, oldest first.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }

    /// The minute (since the epoch) of the last order of the flatten lane, and how many there
    /// were in it.
    #[must_use]
    pub const fn flattened(&self) -> (i64, u32) {
        self.flattened
    }

    /// Puts a kept reduction back.
    pub fn restore_reduction(&mut self, reduction: Reduction) {
        self.reductions.insert(reduction.id.clone(), reduction);
    }

    /// Puts a kept change back, after those before it.
    pub fn restore_change(&mut self, change: Change) {
        self.changes.push_back(change);
    }

    /// Puts the count of the flatten lane back.
    pub const fn restore_flattened(&mut self, minute: i64, count: u32) {
        self.flattened = (minute, count);
    }

    pub(super) fn remember(&mut self, change: &ScopeState, limits: &CommandLimits) {
        self.push(
            Change {
                epoch: change.epoch,
                scope: change.scope.clone(),
                state: Some(change.state),
                reduction: None,
                changed_by: change.changed_by.clone(),
                reason: change.reason.clone(),
                changed_at: change.changed_at,
            },
            limits,
        );
    }

    pub(super) fn order(&mut self, reduction: Reduction, limits: &CommandLimits) {
        let change = Change {
            epoch: reduction.epoch,
            scope: reduction.scope.clone(),
            state: None,
            reduction: Some(reduction.id.clone()),
            changed_by: reduction.ordered_by.clone(),
            reason: reduction.reason.clone(),
            changed_at: reduction.ordered_at,
        };
        // A later portion is no command of its own.
        if self.reductions.insert(reduction.id.clone(), reduction).is_none() {
            self.push(change, limits);
        }
        let ended = |commands: &Self| commands.reductions.values().filter(|own| own.ended_at.is_some()).count();
        while ended(self) > limits.reductions_max {
            let own = self.reductions.values().filter(|own| own.ended_at.is_some());
            let Some(oldest) = own.min_by_key(|own| own.epoch).map(|own| own.id.clone()) else { return };
            self.reductions.remove(&oldest);
        }
    }

    pub(super) fn end(&mut self, id: &CommandId, at: Timestamp) {
        if let Some(reduction) = self.reductions.get_mut(id) {
            reduction.ended_at = Some(at);
        }
    }

    /// Counts an approved order against the flatten lane's own limit.
    pub(super) fn count(&mut self, order: &Order) {
        if matches!(order.purpose, Purpose::Flatten(_)) {
            let minute = minute_of(order.decided_at);
            let before = if self.flattened.0 == minute { self.flattened.1 } else { 0 };
            self.flattened = (minute, before.saturating_add(1));
        }
    }

    fn push(&mut self, change: Change, limits: &CommandLimits) {
        self.changes.push_back(change);
        while self.changes.len() > limits.changes_kept_max {
            self.changes.pop_front();
        }
    }
}

impl State {
    /// The last changes of the trading state, newest first.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.commands.changes.iter().rev()
    }

    /// A reduction that is under way or ended not long ago.
    #[must_use]
    pub fn reduction(&self, id: &CommandId) -> Option<&Reduction> {
        self.commands.reductions.get(id)
    }

    /// Every reduction that is kept, sorted by id.
    pub fn reductions(&self) -> impl Iterator<Item = &Reduction> {
        self.commands.reductions.values()
    }

    /// Reductions with positions that may not be at their target yet, sorted by id.
    pub fn open_reductions(&self) -> impl Iterator<Item = &Reduction> {
        self.reductions().filter(|reduction| reduction.ended_at.is_none())
    }

    /// Reductions that are under way for longer than they may be, sorted by id: a person must
    /// look. They go on, and what their scope may not do it still may not.
    pub fn overdue_reductions(&self, now: Timestamp) -> impl Iterator<Item = &Reduction> {
        let overdue_ms = self.limits().commands.reduction_overdue_ms;
        self.open_reductions().filter(move |own| own.is_overdue(overdue_ms, now))
    }

    /// Orders of the flatten lane that were approved in the minute of `now`.
    #[must_use]
    pub fn flatten_orders(&self, now: Timestamp) -> u32 {
        let (minute, count) = self.commands.flattened;
        if minute == minute_of(now) { count } else { 0 }
    }
}

const fn minute_of(time: Timestamp) -> i64 {
    time.micros().div_euclid(MINUTE_MICROS)
}

/// The reduction to journal and apply: every target is fixed now, once. `None` when the
/// command is known already, which then changes nothing.
///
/// # Errors
/// [`ReductionRefused`].
pub fn order_reduction(state: &State, wanted: Reduce, now: Timestamp) -> Result<Option<Reduction>, ReductionRefused> {
    if !(0..=ONE).contains(&wanted.factor_ppm) {
        return Err(ReductionRefused::FactorOutOfRange { factor_ppm: wanted.factor_ppm });
    }
    if let Some(known) = state.reduction(&wanted.id) {
        return if known.is_of(&wanted) { Ok(None) } else { Err(ReductionRefused::CommandReused) };
    }
    let limits = &state.limits().commands;
    // Those of breakers, one for each trip, are never kept waiting by what operators have ordered.
    if !wanted.is_house_only {
        let overdue = state.overdue_reductions(now).count();
        let in_time = state.open_reductions().count() - overdue;
        // What cannot finish keeps no place of what can, but there is an end to that too.
        if in_time >= limits.reductions_max || overdue > limits.reductions_max {
            return Err(ReductionRefused::TooManyReductions { limit: limits.reductions_max });
        }
    }
    let Portion { targets, left_out } = portion(state, &wanted, limits.reduction_targets_max)?;
    let Reduce { id, scope, instrument, factor_ppm, driver, ordered_by, reason, is_house_only } = wanted;
    Ok(Some(Reduction {
        id,
        scope,
        instrument,
        is_house_only,
        factor_ppm,
        driver,
        ordered_by,
        reason: reason_or_unspecified(&reason),
        ordered_at: now,
        epoch: state.epoch() + 1,
        targets,
        left_out,
        done_before: 0,
        ended_at: None,
    }))
}

/// Reductions that are under way and end with `change`: where everything may be opened again
/// nobody shrinks positions any more. What operators flatten goes on: no state has begun it.
#[must_use]
pub fn reductions_ended_by(state: &State, change: &ScopeState) -> Vec<CommandId> {
    match change.state {
        TradingState::Active => {
            let own = |reduction: &&Reduction| reduction.scope == change.scope && reduction.driver == Driver::Workers;
            state.open_reductions().filter(own).map(|reduction| reduction.id.clone()).collect()
        }
        TradingState::Reducing | TradingState::Halted => Vec::new(),
    }
}

impl From<Overflow> for ReductionRefused {
    fn from(_: Overflow) -> Self {
        Self::OutOfRange
    }
}
