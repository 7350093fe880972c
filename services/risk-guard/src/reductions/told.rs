//! How far reductions are, and what is in the way of each position.

use super::{proposed, purpose_of};
use crate::{
    config::now,
    gate::Gate,
    halt::count,
    wire::{denial, driver, scope},
};
use tragen_contracts::v1;
use tragen_domain::{
    id::{CommandId, TradeId},
    risk::{DenialReason, Denied, Reduction, Target, decide},
};

/// Most positions in one answer.
const POSITIONS_TOLD: usize = 1_000;

impl Gate {
    pub(super) fn reduction_status_of(&self, command: &CommandId) -> Option<v1::ReductionStatus> {
        self.state.reduction(command).map(|reduction| self.reduction_status(reduction))
    }

    /// Those under way and the last ended ones, newest first.
    pub(crate) fn reduction_statuses(&self) -> Vec<v1::ReductionStatus> {
        let mut newest: Vec<&Reduction> = self.state.reductions().collect();
        newest.sort_by_key(|reduction| std::cmp::Reverse(reduction.epoch));
        newest.into_iter().map(|reduction| self.reduction_status(reduction)).collect()
    }

    fn reduction_status(&self, reduction: &Reduction) -> v1::ReductionStatus {
        let mut positions = Vec::new();
        let waiting = usize::try_from(reduction.left_out).unwrap_or(usize::MAX);
        let mut done = reduction.positions() - waiting;
        if reduction.ended_at.is_none() {
            let progresses = reduction.targets.iter().map(|target| (target, target.progress(&self.state)));
            let open = progresses.filter(|(_, progress)| !progress.is_ok_and(|progress| progress.is_done));
            for (target, progress) in open {
                done -= 1;
                let Ok(progress) = progress else { continue };
                if positions.len() < POSITIONS_TOLD {
                    positions.push(v1::PositionProgress {
                        account_id: target.account.to_string(),
                        instrument_id: target.instrument.to_string(),
                        from_micros: target.from.micros(),
                        target_micros: target.target.micros(),
                        current_micros: progress.current.micros(),
                        open_micros: progress.open.micros(),
                        blocked: if progress.open.is_zero() { self.blocked(reduction, target) } else { None },
                    });
                }
            }
        }
        v1::ReductionStatus {
            command_id: reduction.id.to_string(),
            scope: Some(scope(&reduction.scope)),
            factor_ppm: reduction.factor_ppm,
            driver: driver(reduction.driver).into(),
            ordered_by: reduction.ordered_by.clone(),
            reason: reduction.reason.clone(),
            ordered_at_micros: reduction.ordered_at.micros(),
            ended_at_micros: reduction.ended_at.map_or(0, |at| at.micros()),
            total_positions: count(reduction.positions()),
            done_positions: count(done),
            positions,
            epoch: reduction.epoch,
            is_overdue: reduction.is_overdue(self.state.limits().commands.reduction_overdue_ms, now()),
            waiting_positions: count(waiting),
        }
    }

    /// Why the next order toward a target would be denied now.
    fn blocked(&self, reduction: &Reduction, target: &Target) -> Option<v1::Denial> {
        let Ok(Some(slice)) = target.next_slice(&self.state) else {
            let reason = match self.state.instrument(&target.instrument) {
                None => DenialReason::UnknownInstrument,
                Some(_) => DenialReason::NoReferencePrice,
            };
            return Some(denial(Denied { reason, limit: 0, observed: 0 }));
        };
        let purpose = purpose_of(reduction.driver, &reduction.id);
        let asking = TradeId::new("what-if").ok()?;
        decide(&self.state, &proposed(&asking, purpose, target, slice), now()).err().map(denial)
    }
}
