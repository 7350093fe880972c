//! Reductions that are not through and that two people end.

use super::answered;
use crate::{
    command::{Code, refusal},
    config::now,
    control::control_state,
    gate::{Ended, Gate},
    wire::ended_record,
};
use tracing::warn;
use tragen_contracts::{
    convert::{self, id},
    v1::{self, guard_answer::Answer},
};
use tragen_domain::{
    id::CommandId,
    risk::{EndRefused, EndedReduction, Record, confirm_end, propose_end},
};

impl Gate {
    /// First step.
    pub(crate) fn propose_reduction_end(
        &mut self,
        principal: &str,
        request: &v1::ProposeReductionEndRequest,
    ) -> v1::GuardAnswer {
        let command: CommandId = match id("command_id", &request.command_id) {
            Ok(command) => command,
            Err(bad) => return refusal(Code::InvalidArgument, bad.reason, bad.to_string()),
        };
        let token = uuid::Uuid::new_v4().simple().to_string();
        match propose_end(&mut self.state, &command, (principal, &request.reason), token, now()) {
            Ok(proposal) => answered(Answer::ProposeReductionEnd(v1::ProposeReductionEndResponse {
                token: proposal.token,
                expires_at: Some(convert::timestamp(proposal.expires_at)),
                reduction: self.reduction_status_of(&command),
            })),
            Err(refused) => refused_end(refused),
        }
    }

    /// Second step, by somebody else.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written: the answer is not given then.
    pub(crate) async fn confirm_reduction_end(
        &mut self,
        principal: &str,
        token: &str,
    ) -> Result<v1::GuardAnswer, Ended> {
        let at = now();
        let ended = match confirm_end(&mut self.state, token, principal, at) {
            Ok(ended) => ended,
            Err(refused) => return Ok(refused_end(refused)),
        };
        let EndedReduction { reduction, ended_by, reason } = ended;
        warn!("reduction {reduction} is ended by {ended_by}: {reason}");
        self.journal.append(vec![ended_record(&reduction, at, (&ended_by, &reason))], at).await?;
        self.apply(Record::ReductionEnded { id: reduction.clone(), at })?;
        self.control.send_replace(control_state(&self.state, &self.journal.leader_id));
        let reduction = self.reduction_status_of(&reduction);
        Ok(answered(Answer::ConfirmReductionEnd(v1::ConfirmReductionEndResponse { reduction })))
    }
}

fn refused_end(refused: EndRefused) -> v1::GuardAnswer {
    let code = match refused {
        EndRefused::ProposalUnknown => Code::NotFound,
        EndRefused::ReasonMissing => Code::InvalidArgument,
        EndRefused::TooManyProposals { .. } => Code::ResourceExhausted,
        EndRefused::ProposalExpired | EndRefused::SamePrincipal | EndRefused::NotUnderWay => Code::FailedPrecondition,
    };
    refusal(code, refused.as_str(), refused.to_string())
}
