//! Tightening: journaled first, then told to every worker, then whatever may not
//! stand any more is taken out of the venue; the caller hears when all of it is so.

use crate::{
    command::{Code, refusal},
    config::now,
    control::{control_state, tell},
    gate::{Ended, Gate},
    metrics,
    wire::{ended_record, ordered_record, parse_scope, state_record},
    workers::Confirmed,
};
use ::metrics::{counter, histogram};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tracing::info;
use tragen_contracts::{
    convert::id,
    v1::{self, guard_answer::Answer},
};
use tragen_domain::risk::{Record, Reduction, Scope, ScopeState, TradingState, reductions_ended_by, tighten};

/// Where an answer goes.
pub(crate) type Reply = oneshot::Sender<v1::GuardAnswer>;

/// A scope that has been tightened.
pub(crate) struct Closed {
    pub(crate) epoch: i64,
    pub(crate) state: TradingState,
    journal_sequence: u64,
    gate_closed: Duration,
    /// Orders that may not stand any more and are being canceled.
    pub(crate) canceled: usize,
    /// What is odd about the scope; else empty.
    pub(crate) warning: String,
    confirmed: oneshot::Receiver<Confirmed>,
}

/// Who tightens what, and how long the caller waits for the workers.
pub(crate) struct Asked<'a> {
    pub(crate) principal: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) received: Instant,
    pub(crate) wait_ms: i32,
}

impl Gate {
    /// Stops a scope.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written: the answer is not given then.
    pub(crate) async fn halt(
        &mut self,
        principal: &str,
        request: &v1::HaltRequest,
        received: Instant,
        reply: Reply,
    ) -> Result<(), Ended> {
        let scope = match parse_scope(request.scope.as_ref()) {
            Ok(scope) => scope,
            Err(bad) => {
                let _ = reply.send(refusal(Code::InvalidArgument, bad.reason, bad.to_string()));
                return Ok(());
            }
        };
        let asked = Asked { principal, reason: &request.reason, received, wait_ms: request.wait_ms };
        let closed = self.close(&scope, TradingState::Halted, &asked, None).await?;
        self.answer_closed(closed, reply, Answer::Halt);
        Ok(())
    }

    /// Stops one configured agent.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written: the answer is not given then.
    pub(crate) async fn shutdown_agent(
        &mut self,
        principal: &str,
        request: &v1::ShutdownAgentRequest,
        received: Instant,
        reply: Reply,
    ) -> Result<(), Ended> {
        let agent = match id("agent_id", &request.agent_id) {
            Ok(agent) => agent,
            Err(bad) => {
                let _ = reply.send(refusal(Code::InvalidArgument, bad.reason, bad.to_string()));
                return Ok(());
            }
        };
        let asked = Asked { principal, reason: &request.reason, received, wait_ms: request.wait_ms };
        let closed = self.close(&Scope::Agent(agent), TradingState::Halted, &asked, None).await?;
        let answer = |response| Answer::ShutdownAgent(v1::ShutdownAgentResponse { halt: Some(response) });
        self.answer_closed(closed, reply, answer);
        Ok(())
    }

    /// Tightens `scope` to at least `to` and orders `reduction` with it, in one journal message.
    ///
    /// Approvals that were journaled before may be on their way; they are waited for here,
    /// in the task that sends, so none is sent after this returns.
    pub(crate) async fn close(
        &mut self,
        scope: &Scope,
        to: TradingState,
        asked: &Asked<'_>,
        reduction: Option<Reduction>,
    ) -> Result<Closed, Ended> {
        let warning = self.state.unknown_scope(scope).unwrap_or_default();
        let change = tighten(&self.state, scope.clone(), to, asked.principal, asked.reason, now());
        let (state, reason) = (change.state, change.reason.clone());
        let journal_sequence = self.change_states(change, reduction).await?;
        let (epoch, gate_closed) = (self.state.epoch(), asked.received.elapsed());
        counter!(metrics::HALTS, "scope" => kind_of(scope)).increment(1);
        histogram!(metrics::GATE_CLOSED_SECONDS).record(gate_closed.as_secs_f64());
        info!(epoch, "{scope} is {} by {}: {reason}", state.as_str(), asked.principal);

        let wait_ms = match u32::try_from(asked.wait_ms).unwrap_or_default() {
            0 => self.config.halt_wait_ms_default,
            wait_ms => wait_ms.min(self.config.halt_wait_ms_max),
        };
        let deadline = tokio::time::Instant::now() + Duration::from_millis(wait_ms.into());
        let (bus, workers) = (self.bus.clone(), self.workers.clone());
        let told = control_state(&self.state, &self.journal.leader_id);
        let (sender, confirmed) = oneshot::channel();
        self.context.spawn("tell-workers", async move {
            // The bucket may take longer than the workers, who have heard the broadcast.
            let ((), confirmed) = tokio::join!(tell(&bus, &told), async {
                let _ = sender.send(workers.confirmed(epoch, deadline).await);
            });
            let () = confirmed;
            Ok(())
        });
        let withheld_before = self.work.withheld;
        self.settle_submissions().await?;
        self.cancel_forbidden();
        let canceled = self.forbidden_in(scope) + (self.work.withheld - withheld_before);
        Ok(Closed { epoch, state, journal_sequence, gate_closed, canceled, warning, confirmed })
    }

    fn answer_closed(
        &self,
        closed: Closed,
        reply: Reply,
        answer: impl FnOnce(v1::HaltResponse) -> Answer + Send + 'static,
    ) {
        self.context.spawn("answer-halt", async move {
            let response = closed.response().await;
            let _ = reply.send(v1::GuardAnswer { answer: Some(answer(response)) });
            Ok(())
        });
    }

    /// Journals a change, then obeys it.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written.
    pub(crate) async fn change_state(&mut self, change: ScopeState) -> Result<u64, Ended> {
        self.change_states(change, None).await
    }

    /// Journals changes as one message, then obeys them.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written.
    async fn change_states(&mut self, change: ScopeState, reduction: Option<Reduction>) -> Result<u64, Ended> {
        let at = change.changed_at;
        let mut records = vec![state_record(&change)];
        records.extend(reduction.as_ref().map(ordered_record));
        let over = reductions_ended_by(&self.state, &change);
        records.extend(over.iter().map(|id| ended_record(id, at, (&change.changed_by, &change.reason))));
        let sequence = self.journal.append(records, at).await?;
        self.apply(Record::ScopeChanged(change))?;
        for id in over {
            info!("reduction {id} ends, its scope is ACTIVE");
            self.apply(Record::ReductionEnded { id, at })?;
        }
        if let Some(reduction) = reduction {
            self.apply(Record::ReductionOrdered(Box::new(reduction)))?;
        }
        self.control.send_replace(control_state(&self.state, &self.journal.leader_id));
        Ok(sequence)
    }
}

impl Closed {
    /// Waits for the workers as long as the caller does.
    pub(crate) async fn confirmed(&mut self) -> Confirmed {
        (&mut self.confirmed).await.unwrap_or_default()
    }

    async fn response(mut self) -> v1::HaltResponse {
        let confirmed = self.confirmed().await;
        v1::HaltResponse {
            epoch: self.epoch,
            journal_sequence: i64::try_from(self.journal_sequence).unwrap_or(i64::MAX),
            gate_closed_micros: i64::try_from(self.gate_closed.as_micros()).unwrap_or(i64::MAX),
            confirmed_workers: count(confirmed.workers),
            total_workers: count(confirmed.workers + confirmed.missing.len()),
            missing_workers: confirmed.missing,
            canceled_orders: count(self.canceled),
            dropped_requests: confirmed.dropped_requests,
            withdrawn_proposals: confirmed.withdrawn_proposals,
            stopped_agents: confirmed.stopped_agents,
            warning: self.warning,
        }
    }
}

/// A number of things as it is told.
pub(crate) fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
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
