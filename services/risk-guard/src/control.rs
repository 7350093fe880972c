//! What operators and workers are answered: the states, the reductions, the
//! history; and how every worker is told of a change.

use crate::{
    command::{Code, Command, refusal},
    gate::{Ended, Gate},
    wire::{risk_change, scope_state, trading_state},
};
use prost::Message as _;
use tokio::sync::oneshot;
use tracing::warn;
use tragen_bus::{Bucket, Bus, CoreSubject};
use tragen_contracts::v1::{self, guard_answer::Answer, guard_question::Question};
use tragen_domain::risk::{Driver, Effect, Scope, State};

/// The key of the trading state in its bucket.
const STATE_KEY: &str = "state";
/// What pools may use of what they want, parts per million.
const CAPACITY_PPM: i64 = 1_000_000;
/// The same while the breaker of the memory is tripped: pools x 0.8.
const CAPACITY_WHILE_SHORT_PPM: i64 = 800_000;
/// Changes in one answer when the caller does not say.
const HISTORY_PAGE_DEFAULT: usize = 100;
/// Most changes in one answer.
const HISTORY_PAGE_MAX: usize = 1_000;

/// All states as workers are told.
pub(crate) fn control_state(state: &State, leader_id: &str) -> v1::ControlState {
    v1::ControlState {
        epoch: state.epoch(),
        scopes: state.scopes().map(scope_state).collect(),
        leader_id: leader_id.to_owned(),
        reduction_ids: {
            let by_workers = state.open_reductions().filter(|own| own.driver == Driver::Workers);
            by_workers.map(|reduction| reduction.id.to_string()).collect()
        },
    }
}

/// The state as the bucket has it, e.g. from a guard whose journal is lost.
pub(crate) async fn stored_state(bus: &Bus) -> anyhow::Result<Option<v1::ControlState>> {
    let bytes = bus.bucket(Bucket::Control).await?.get(STATE_KEY).await?;
    Ok(bytes.map(v1::ControlState::decode).transpose()?)
}

/// Tells every worker: by broadcast for speed, by the bucket for certainty.
pub(crate) async fn tell(bus: &Bus, state: &v1::ControlState) {
    if let Err(error) = bus.broadcast(&CoreSubject::ControlState, state).await {
        warn!("broadcasting epoch {}: {error}", state.epoch);
    }
    let stored = async {
        let bucket = bus.bucket(Bucket::Control).await?;
        bucket.put(STATE_KEY, state.encode_to_vec().into()).await.map_err(anyhow::Error::from)
    };
    if let Err(error) = stored.await {
        warn!("storing epoch {}: {error:#}", state.epoch);
    }
}

impl Gate {
    /// Answers one question or command.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written: the answer is not given then.
    pub(crate) async fn answer(&mut self, command: Command) -> Result<(), Ended> {
        let Command { question, received, reply } = command;
        let (principal, traceparent) = (question.principal, question.traceparent);
        match question.question {
            Some(Question::GetState(_)) => self.answer_state(reply),
            Some(Question::Halt(halt)) => return self.halt(&principal, &halt, received, reply).await,
            Some(Question::ProposeResume(proposed)) => {
                let _ = reply.send(self.propose_resume(&principal, &proposed));
            }
            Some(Question::ConfirmResume(confirmed)) => {
                let answer = self.confirm_resume(&principal, &confirmed).await?;
                let _ = reply.send(answer);
            }
            Some(Question::ReducePositions(asked)) => {
                return self.reduce_positions(&principal, &asked, received, reply).await;
            }
            Some(Question::Flatten(asked)) => {
                let answer = self.flatten(&principal, &asked).await?;
                let _ = reply.send(answer);
            }
            Some(Question::ShutdownAgent(asked)) => {
                return self.shutdown_agent(&principal, &asked, received, reply).await;
            }
            Some(Question::History(asked)) => {
                let _ = reply.send(self.history(&asked));
            }
            Some(Question::ProposeBooking(proposed)) => {
                let _ = reply.send(self.propose_booking(&principal, &proposed));
            }
            Some(Question::ConfirmBooking(confirmed)) => {
                return self.confirm_booking(&principal, &confirmed.token, &traceparent, reply).await;
            }
            Some(Question::ListLimits(_)) => {
                let _ = reply.send(self.list_limits());
            }
            Some(Question::ProposeLimit(proposed)) => {
                let answer = self.propose_limit(&principal, &proposed).await?;
                let _ = reply.send(answer);
            }
            Some(Question::ConfirmLimit(confirmed)) => {
                let answer = self.confirm_limit(&principal, &confirmed.token).await?;
                let _ = reply.send(answer);
            }
            Some(Question::ProposeReductionEnd(asked)) => {
                let _ = reply.send(self.propose_reduction_end(&principal, &asked));
            }
            Some(Question::ConfirmReductionEnd(confirmed)) => {
                let answer = self.confirm_reduction_end(&principal, &confirmed.token).await?;
                let _ = reply.send(answer);
            }
            Some(Question::AccountViews(asked)) => {
                let _ = reply.send(self.account_views(&asked));
            }
            Some(Question::VenueFills(asked)) => self.answer_venue_fills(asked, reply),
            None => {
                let _ = reply.send(refusal(Code::InvalidArgument, "QUESTION_MISSING", "No question is set."));
            }
        }
        Ok(())
    }

    fn answer_state(&self, reply: oneshot::Sender<v1::GuardAnswer>) {
        let worker_states = self.workers.here();
        let response = v1::GetRiskStateResponse {
            epoch: self.state.epoch(),
            global_state: trading_state(self.state.state_of(&Scope::Global)).into(),
            scopes: self.state.scopes().map(scope_state).collect(),
            workers: worker_states.iter().map(|worker| worker.worker_id.clone()).collect(),
            journal_sequence: i64::try_from(self.journal.last).unwrap_or(i64::MAX),
            open_orders: i64::try_from(self.state.open_orders()).unwrap_or(i64::MAX),
            held_micros: self.state.held().micros(),
            reductions: self.reduction_statuses(),
            waiting_resumes: self.waiting_resumes(),
            worker_states,
            capacity_ppm: self.capacity_ppm(),
        };
        let _ = reply.send(v1::GuardAnswer { answer: Some(Answer::State(response)) });
    }

    /// What is left of the pools while the guard is short of memory: 80 %.
    fn capacity_ppm(&self) -> i64 {
        let is_short = self.state.breakers().latches().any(|latch| latch.kind.effect() == Effect::ScaleDown);
        if is_short { CAPACITY_WHILE_SHORT_PPM } else { CAPACITY_PPM }
    }

    fn history(&self, asked: &v1::GetRiskHistoryRequest) -> v1::GuardAnswer {
        let size = match usize::try_from(asked.page_size) {
            Ok(0) | Err(_) => HISTORY_PAGE_DEFAULT,
            Ok(size) => size.min(HISTORY_PAGE_MAX),
        };
        let before = if asked.before_epoch > 0 { asked.before_epoch } else { i64::MAX };
        let mut older = self.state.changes().filter(|change| change.epoch < before);
        let changes: Vec<v1::RiskChange> = older.by_ref().take(size).map(risk_change).collect();
        let is_more = older.next().is_some();
        let next_before_epoch = changes.last().filter(|_| is_more).map_or(0, |last| last.epoch);
        let answer = Answer::History(v1::GetRiskHistoryResponse { changes, next_before_epoch });
        v1::GuardAnswer { answer: Some(answer) }
    }
}
