//! Halt and resume: journaled first, then told to every worker.

use crate::{
    command::{Code, Command, refusal},
    config::now,
    gate::{Ended, Gate},
    metrics,
    wire::{parse_scope, parse_state, scope_state, trading_state},
};
use ::metrics::{counter, histogram};
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use tracing::{info, warn};
use tragen_bus::{Bucket, Bus, BusError, CoreSubject};
use tragen_contracts::{convert, v1};
use tragen_domain::{
    id::OrderId,
    risk::{Record, ResumeRefused, Scope, ScopeState, State, TradingState, confirm_resume, propose_resume, tighten},
};
use v1::{guard_answer::Answer, guard_question::Question};

/// The key of the trading state in its bucket.
const STATE_KEY: &str = "state";

/// All states as workers are told.
pub(crate) fn control_state(state: &State, leader_id: &str) -> v1::ControlState {
    v1::ControlState {
        epoch: state.epoch(),
        scopes: state.scopes().map(scope_state).collect(),
        leader_id: leader_id.to_owned(),
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

/// Workers seen within the last seconds, sorted.
async fn roster(bus: &Bus) -> BTreeSet<String> {
    let read = async {
        let keys = bus.bucket(Bucket::Workers).await?.keys().await?;
        keys.try_collect::<BTreeSet<String>>().await.map_err(anyhow::Error::from)
    };
    read.await.unwrap_or_else(|error| {
        warn!("reading the workers: {error:#}");
        BTreeSet::new()
    })
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
                let _ = reply.send(self.propose(&principal, &proposed));
            }
            Some(Question::ConfirmResume(confirmed)) => {
                let answer = self.confirm(&principal, &confirmed.token).await?;
                let _ = reply.send(answer);
            }
            Some(Question::ProposeBooking(proposed)) => {
                let _ = reply.send(self.propose_booking(&principal, &proposed));
            }
            Some(Question::ConfirmBooking(confirmed)) => {
                return self.confirm_booking(&principal, &confirmed.token, &traceparent, reply).await;
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
        let response = v1::GetRiskStateResponse {
            epoch: self.state.epoch(),
            global_state: trading_state(self.state.state_of(&Scope::Global)).into(),
            scopes: self.state.scopes().map(scope_state).collect(),
            workers: Vec::new(),
            journal_sequence: i64::try_from(self.journal.last).unwrap_or(i64::MAX),
            open_orders: i64::try_from(self.state.open_orders()).unwrap_or(i64::MAX),
            held_micros: self.state.held().micros(),
        };
        let bus = self.bus.clone();
        self.context.spawn("risk-state", async move {
            let workers = roster(&bus).await.into_iter().collect();
            let answer = Answer::State(v1::GetRiskStateResponse { workers, ..response });
            let _ = reply.send(v1::GuardAnswer { answer: Some(answer) });
            Ok(())
        });
    }

    async fn halt(
        &mut self,
        principal: &str,
        request: &v1::HaltRequest,
        received: Instant,
        reply: oneshot::Sender<v1::GuardAnswer>,
    ) -> Result<(), Ended> {
        let scope = match parse_scope(request.scope.as_ref()) {
            Ok(scope) => scope,
            Err(bad) => {
                let _ = reply.send(refusal(Code::InvalidArgument, bad.reason, bad.to_string()));
                return Ok(());
            }
        };
        let change = tighten(&self.state, scope.clone(), TradingState::Halted, principal, &request.reason, now());
        let (epoch, reason) = (change.epoch, change.reason.clone());
        let journal_sequence = self.change_state(change).await?;
        let gate_closed = received.elapsed();
        counter!(metrics::HALTS, "scope" => kind_of(&scope)).increment(1);
        histogram!(metrics::GATE_CLOSED_SECONDS).record(gate_closed.as_secs_f64());
        info!(epoch, "{scope} is halted by {principal}: {reason}");

        let wait_ms = match u32::try_from(request.wait_ms).unwrap_or_default() {
            0 => self.config.halt_wait_ms_default,
            wait_ms => wait_ms.min(self.config.halt_wait_ms_max),
        };
        let (bus, state) = (self.bus.clone(), control_state(&self.state, &self.journal.leader_id));
        let (settled, venue_settled) = oneshot::channel::<usize>();
        self.context.spawn("halt", async move {
            let (confirmed, missing) = confirm_by_workers(&bus, &state, Duration::from_millis(wait_ms.into())).await;
            // The caller hears of the halt only when nothing can reach the venue any more.
            let Ok(canceled) = venue_settled.await else { return Ok(()) };
            let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
            let response = v1::HaltResponse {
                epoch,
                journal_sequence: i64::try_from(journal_sequence).unwrap_or(i64::MAX),
                gate_closed_micros: i64::try_from(gate_closed.as_micros()).unwrap_or(i64::MAX),
                confirmed_workers: count(confirmed.len()),
                total_workers: count(confirmed.len() + missing.len()),
                missing_workers: missing.into_iter().collect(),
                canceled_orders: count(canceled),
            };
            let _ = reply.send(v1::GuardAnswer { answer: Some(Answer::Halt(response)) });
            Ok(())
        });
        // Approvals that were journaled before the halt may be on their way. They are
        // waited for here, in the task that sends, so none is sent after this line.
        self.settle_submissions().await?;
        let working = self.state.orders().filter(|open| open.order.is_in(&scope));
        let working: Vec<OrderId> = working.map(|open| open.order.terms.id.clone()).collect();
        for order in &working {
            self.cancel(order, None);
        }
        let _ = settled.send(working.len());
        Ok(())
    }

    fn propose(&mut self, principal: &str, request: &v1::ProposeResumeRequest) -> v1::GuardAnswer {
        let parsed = parse_scope(request.scope.as_ref()).and_then(|s| Ok((s, parse_state(request.target)?)));
        let (scope, target) = match parsed {
            Ok(parsed) => parsed,
            Err(bad) => return refusal(Code::InvalidArgument, bad.reason, bad.to_string()),
        };
        let token = uuid::Uuid::new_v4().simple().to_string();
        let by = (principal, request.reason.as_str());
        match propose_resume(&mut self.state, scope, target, by, token, now()) {
            Ok(proposal) => {
                let answer = Answer::ProposeResume(v1::ProposeResumeResponse {
                    token: proposal.token,
                    epoch: proposal.epoch,
                    target: trading_state(proposal.target).into(),
                    expires_at: Some(convert::timestamp(proposal.expires_at)),
                });
                v1::GuardAnswer { answer: Some(answer) }
            }
            Err(refused) => refused_resume(refused),
        }
    }

    async fn confirm(&mut self, principal: &str, token: &str) -> Result<v1::GuardAnswer, Ended> {
        let change = match confirm_resume(&mut self.state, token, principal, now()) {
            Ok(change) => change,
            Err(refused) => return Ok(refused_resume(refused)),
        };
        let (epoch, state) = (change.epoch, trading_state(change.state));
        info!(epoch, "{} is {} by {}: {}", change.scope, state.as_str_name(), change.changed_by, change.reason);
        self.change_state(change).await?;
        let (bus, told) = (self.bus.clone(), control_state(&self.state, &self.journal.leader_id));
        self.context.spawn("resume", async move {
            tell(&bus, &told).await;
            Ok(())
        });
        let answer = Answer::ConfirmResume(v1::ConfirmResumeResponse { epoch, state: state.into() });
        Ok(v1::GuardAnswer { answer: Some(answer) })
    }

    /// Journals a change, then obeys it.
    pub(crate) async fn change_state(&mut self, change: ScopeState) -> Result<u64, Ended> {
        let record = v1::JournalRecord {
            meta: Some(v1::Meta {
                event_id: format!("epoch-{}", change.epoch),
                occurred_at_micros: change.changed_at.micros(),
                ..v1::Meta::default()
            }),
            key: None,
            kind: Some(v1::journal_record::Kind::StateChanged(scope_state(&change))),
        };
        let decided_at = change.changed_at;
        let sequence = self.journal.append(vec![record], decided_at).await?;
        self.apply(Record::ScopeChanged(change))?;
        self.control.send_replace(control_state(&self.state, &self.journal.leader_id));
        Ok(sequence)
    }
}

fn refused_resume(refused: ResumeRefused) -> v1::GuardAnswer {
    let code = match refused {
        ResumeRefused::ProposalUnknown => Code::NotFound,
        ResumeRefused::ReasonMissing | ResumeRefused::NotOneLevel => Code::InvalidArgument,
        ResumeRefused::TooManyProposals { .. } => Code::ResourceExhausted,
        ResumeRefused::ProposalExpired
        | ResumeRefused::SamePrincipal
        | ResumeRefused::EpochChanged
        | ResumeRefused::Cooldown { .. }
        | ResumeRefused::NotTightened => Code::FailedPrecondition,
    };
    refusal(code, refused.as_str(), refused.to_string())
}

/// Tells the workers and collects who has confirmed and who is missing after `wait`.
async fn confirm_by_workers(
    bus: &Bus,
    state: &v1::ControlState,
    wait: Duration,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let deadline = tokio::time::Instant::now() + wait;
    let subject = CoreSubject::ControlAcks { epoch: state.epoch };
    let heard: Result<_, BusError> = bus.listen::<v1::ControlAck>(&subject).await;
    let (mut missing, ()) = tokio::join!(roster(bus), tell(bus, state));
    let mut confirmed = BTreeSet::new();
    match heard {
        Ok(mut acks) => {
            while !missing.is_empty() {
                let Ok(Some(ack)) = tokio::time::timeout_at(deadline, acks.next()).await else { break };
                missing.remove(&ack.worker_id);
                confirmed.insert(ack.worker_id);
            }
        }
        Err(error) => warn!("listening for confirmations: {error}"),
    }
    (confirmed, missing)
}

const fn kind_of(scope: &Scope) -> &'static str {
    match scope {
        Scope::Global => "global",
        Scope::Pool(_) => "pool",
        Scope::Agent(_) => "agent",
        Scope::Instrument(_) => "instrument",
        Scope::Account(_) => "account",
    }
}
