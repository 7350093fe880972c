//! Limits that change while the guard runs: shown, tightened by one person,
//! loosened by two; journaled before they hold.

use crate::{
    changed::changed_limits,
    command::{Code, refusal},
    config::now,
    gate::{Ended, Gate},
    wire::limit_kind,
};
use tracing::info;
use tragen_contracts::{
    convert,
    v1::{self, guard_answer::Answer},
};
use tragen_domain::risk::{
    LimitChange, LimitDecision, LimitName, LimitRefused, LimitWish, Record, confirm_limit, propose_limit,
};

/// Why limits of the house do nothing.
pub(crate) const NO_HOUSE: &str = "no house account is configured";

impl Gate {
    /// Every limit with its value, and who changed it last.
    pub(crate) fn list_limits(&self) -> v1::GuardAnswer {
        let limits = self.state.limits().rules.list().map(|(name, id, value)| {
            let change = self.state.limit_changes().find(|change| change.name == name && change.id == id);
            v1::LimitValue {
                name: name.as_str().to_owned(),
                id: id.to_owned(),
                value,
                default_value: name.default_value(),
                changed_by: change.map(|change| change.changed_by.clone()).unwrap_or_default(),
                reason: change.map(|change| change.reason.clone()).unwrap_or_default(),
                changed_at_micros: change.map_or(0, |change| change.changed_at.micros()),
                off_because: self.off_because(name, value).to_owned(),
            }
        });
        let answer = Answer::ListLimits(v1::ListLimitsResponse { limits: limits.collect() });
        v1::GuardAnswer { answer: Some(answer) }
    }

    /// Why a limit that has a value does nothing; else empty.
    fn off_because(&self, name: LimitName, value: i64) -> &'static str {
        if value == 0 {
            return "";
        }
        if name.is_of_the_house() && self.state.limits().house_accounts.is_empty() {
            return NO_HOUSE;
        }
        if name == LimitName::MemoryScaleDownPpm && self.breakers.memory_limit_bytes == 0 {
            return "no memory limit is configured";
        }
        ""
    }

    /// First step; what is not looser is done at once.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written: the answer is not given then.
    pub(crate) async fn propose_limit(
        &mut self,
        principal: &str,
        request: &v1::ProposeLimitRequest,
    ) -> Result<v1::GuardAnswer, Ended> {
        let key = if request.id.is_empty() { request.name.clone() } else { format!("{}.{}", request.name, request.id) };
        let wish = LimitWish { key: &key, value: request.value, principal, reason: &request.reason };
        let token = uuid::Uuid::new_v4().simple().to_string();
        let warning = self.limit_warning(&request.name, &request.id);
        let response = match propose_limit(&mut self.state, wish, token, now()) {
            Ok(LimitDecision::Tightened(change)) => {
                let value = change.value;
                self.change_limit(change).await?;
                v1::ProposeLimitResponse { is_done: true, token: String::new(), expires_at: None, value, warning }
            }
            Ok(LimitDecision::Proposed(proposal)) => v1::ProposeLimitResponse {
                is_done: false,
                token: proposal.token,
                expires_at: Some(convert::timestamp(proposal.expires_at)),
                value: proposal.from,
                warning,
            },
            Err(refused) => return Ok(refused_limit(&refused)),
        };
        Ok(v1::GuardAnswer { answer: Some(Answer::ProposeLimit(response)) })
    }

    /// What is odd about a change that is taken all the same; else empty.
    fn limit_warning(&self, name: &str, id: &str) -> String {
        let Some(name) = LimitName::parse(name) else { return String::new() };
        if let Some(unknown) = self.state.unknown_owner(name, id) {
            return unknown;
        }
        match self.off_because(name, 1) {
            "" => String::new(),
            off => format!("{} is off: {off}", name.as_str()),
        }
    }

    /// Second step, by somebody else.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written: the answer is not given then.
    pub(crate) async fn confirm_limit(&mut self, principal: &str, token: &str) -> Result<v1::GuardAnswer, Ended> {
        let change = match confirm_limit(&mut self.state, token, principal, now()) {
            Ok(change) => change,
            Err(refused) => return Ok(refused_limit(&refused)),
        };
        let (name, id, value) = (change.name.as_str().to_owned(), change.id.clone(), change.value);
        self.change_limit(change).await?;
        let answer = Answer::ConfirmLimit(v1::ConfirmLimitResponse { name, id, value });
        Ok(v1::GuardAnswer { answer: Some(answer) })
    }

    /// Journals a change, then obeys it.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written.
    pub(crate) async fn change_limit(&mut self, change: LimitChange) -> Result<(), Ended> {
        let LimitChange { name, id, value, changed_by, reason, .. } = &change;
        info!("limit {}{} is {value} by {changed_by}: {reason}", LimitName::as_str(*name), of(id));
        let record = self.unkeyed(&format!("limit-{}", name.as_str()), limit_kind(&change));
        self.journal.append(vec![record], now()).await?;
        self.apply(Record::LimitChanged(Box::new(change)))?;
        self.changed_limits.send_replace(changed_limits(&self.state));
        Ok(())
    }
}

fn of(id: &str) -> String {
    if id.is_empty() { String::new() } else { format!(" of {id}") }
}

fn refused_limit(refused: &LimitRefused) -> v1::GuardAnswer {
    let code = match refused {
        LimitRefused::ProposalUnknown => Code::NotFound,
        LimitRefused::ReasonMissing | LimitRefused::Nonsense(_) => Code::InvalidArgument,
        LimitRefused::TooManyProposals { .. } => Code::ResourceExhausted,
        LimitRefused::ProposalExpired | LimitRefused::SamePrincipal | LimitRefused::LimitChanged => {
            Code::FailedPrecondition
        }
    };
    refusal(code, refused.as_str(), refused.to_string())
}
