//! Which positions a reduction is about at a time. A command never refuses to be about too many:
//! those that do not fit wait for their portion, which begins as targets are reached.

use super::{Reduce, Reduction, Target};
use crate::{
    id::{AccountId, InstrumentId},
    money::{Overflow, Quantity, Rounding},
    risk::{Holding, Scope, State},
};

/// The next portion begins when at least one of so many targets is reached: each is one journal
/// message, and positions that nobody can trade now keep the others waiting only when they are most.
const BEGINS_AT_ONE_OF: usize = 4;

/// Some of the positions in scope.
#[derive(Debug, Default)]
pub(in crate::risk) struct Portion {
    /// Sorted by account and instrument.
    pub(in crate::risk) targets: Vec<Target>,
    /// How many come after the last of them.
    pub(in crate::risk) left_out: u32,
}

/// Whose positions, and what is left of them.
struct Wanted<'a> {
    scope: &'a Scope,
    instrument: Option<&'a InstrumentId>,
    is_house_only: bool,
    factor_ppm: i64,
}

/// The first `most` positions that `wanted` is about.
pub(in crate::risk) fn portion(state: &State, wanted: &Reduce, most: usize) -> Result<Portion, Overflow> {
    let Reduce { scope, is_house_only, factor_ppm, .. } = wanted;
    let (is_house_only, factor_ppm) = (*is_house_only, *factor_ppm);
    let wanted = Wanted { scope, instrument: wanted.instrument.as_ref(), is_house_only, factor_ppm };
    fix_targets(state, &wanted, None, most)
}

/// `reduction` with its next portion, to journal and apply like a new one: targets that are reached
/// make room for positions that have none yet, whose targets are fixed now. `None` while it has
/// no positions waiting or too few of its targets are reached.
///
/// # Errors
/// [`Overflow`].
pub fn next_portion(state: &State, reduction: &Reduction) -> Result<Option<Reduction>, Overflow> {
    if reduction.left_out == 0 || reduction.ended_at.is_some() {
        return Ok(None);
    }
    let mut targets = Vec::new();
    for target in &reduction.targets {
        if !target.progress(state)?.is_done {
            targets.push(target.clone());
        }
    }
    let reached = reduction.targets.len() - targets.len();
    let room = state.limits().commands.reduction_targets_max.saturating_sub(targets.len());
    if room == 0 || reached.saturating_mul(BEGINS_AT_ONE_OF) < reduction.targets.len() {
        return Ok(None);
    }
    let Reduction { scope, is_house_only, factor_ppm, .. } = reduction;
    let (is_house_only, factor_ppm) = (*is_house_only, *factor_ppm);
    let wanted = Wanted { scope, instrument: reduction.instrument.as_ref(), is_house_only, factor_ppm };
    let after = reduction.targets.last().map(|last| (&last.account, &last.instrument));
    let next = fix_targets(state, &wanted, after, room)?;
    // All of them come after those that are kept.
    targets.extend(next.targets);
    let done_before = reduction.done_before.saturating_add(counted(reached));
    Ok(Some(Reduction { targets, left_out: next.left_out, done_before, ..reduction.clone() }))
}

/// The targets of the first `most` positions after `after`. What keeps its size, because of the factor
/// or the lot, needs no target.
fn fix_targets(
    state: &State,
    wanted: &Wanted<'_>,
    after: Option<(&AccountId, &InstrumentId)>,
    most: usize,
) -> Result<Portion, Overflow> {
    let mut shrinking = Vec::new();
    let accounts = state.accounts().filter(|(id, _)| !wanted.is_house_only || state.limits().is_house(id));
    for (account, own) in accounts {
        for (instrument, holding) in own.holdings() {
            let from = holding.position().quantity;
            let is_wanted = wanted.instrument.is_none_or(|only| only == instrument)
                && after.is_none_or(|after| (account, instrument) > after);
            if from.is_zero() || !is_wanted || !is_in_scope(wanted.scope, account, instrument, holding) {
                continue;
            }
            let lot = state.instrument(instrument).map_or(Quantity::from_micros(1), |own| own.lot);
            let target = shrunk(from, wanted.factor_ppm, lot)?;
            if target != from {
                shrinking.push((account, instrument, from, target));
            }
        }
    }
    let left_out = shrinking.len().saturating_sub(most);
    if left_out > 0 {
        // There may be millions: only those of this portion are sorted.
        shrinking.select_nth_unstable(most);
        shrinking.truncate(most);
    }
    shrinking.sort_unstable();
    let target = |(account, instrument, from, target): (&AccountId, &InstrumentId, _, _)| Target {
        account: account.clone(),
        instrument: instrument.clone(),
        from,
        target,
    };
    Ok(Portion { targets: shrinking.into_iter().map(target).collect(), left_out: counted(left_out) })
}

fn is_in_scope(scope: &Scope, account: &AccountId, instrument: &InstrumentId, holding: &Holding) -> bool {
    match scope {
        Scope::Global => true,
        Scope::Account(own) => own == account,
        Scope::Instrument(own) => own == instrument,
        Scope::Pool(_) | Scope::Agent(_) => holding.is_traded_by(scope),
    }
}

/// `quantity` x factor, rounded toward zero to the lot.
fn shrunk(quantity: Quantity, factor_ppm: i64, lot: Quantity) -> Result<Quantity, Overflow> {
    let size = quantity.magnitude()?.ppm(factor_ppm, Rounding::Down)?.floor_to(lot);
    if quantity.is_negative() { size.negated() } else { Ok(size) }
}

fn counted(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
