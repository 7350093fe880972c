//! Reductions that do not come to an end: people are told, once for each and leader. Nothing
//! else changes by it: they go on, and their scope stays as it is.

use crate::{
    alert::{self, code},
    config::now,
    gate::Gate,
};
use std::collections::BTreeSet;
use tracing::error;
use tragen_bus::Severity;
use tragen_contracts::v1;
use tragen_domain::id::CommandId;

/// Those that people were told of.
#[derive(Debug, Default)]
pub(crate) struct ToldOverdue(BTreeSet<CommandId>);

impl Gate {
    /// Calls a person for every reduction that has become overdue.
    pub(super) fn tell_overdue(&mut self) {
        let overdue: BTreeSet<CommandId> = self.state.overdue_reductions(now()).map(|own| own.id.clone()).collect();
        let told = &mut self.work.told_overdue.0;
        let new: Vec<CommandId> = overdue.difference(told).cloned().collect();
        // What has ended is forgotten: this never holds more than there are.
        *told = overdue;
        for id in new {
            let Some(status) = self.reduction_status_of(&id) else { continue };
            let message = said(&status);
            error!("{message}");
            let bus = self.bus.clone();
            self.context.spawn("alert", async move {
                let kind = (Severity::Critical, code::REDUCTION_OVERDUE);
                alert::raise(&bus, kind, id.as_str(), message).await;
                Ok(())
            });
        }
    }
}

/// What is not done, and what is in the way of the first position.
fn said(status: &v1::ReductionStatus) -> String {
    let (done, total) = (status.done_positions, status.total_positions);
    let first = status.positions.first();
    let why = match first.and_then(|position| position.blocked.as_ref()) {
        Some(denial) => denial.code().as_str_name().trim_start_matches("DENIAL_CODE_"),
        None => "nothing is in the way of the first one, but nobody has proposed it or it is being filled",
    };
    format!("reduction {} is overdue: {done} of {total} positions are at their target; {why}", status.command_id)
}
