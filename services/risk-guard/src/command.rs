//! Questions and commands to the guard, handed to the one task that decides,
//! and leases, which are answered beside it so that they are never late.

use crate::{config::Config, lease::Lease};
use futures::FutureExt as _;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};
use tragen_bus::{Ask, Bus, BusError};
use tragen_contracts::v1;
use tragen_host::Context;

/// One question and where its answer goes.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) question: v1::GuardQuestion,
    pub(crate) received: Instant,
    pub(crate) reply: oneshot::Sender<v1::GuardAnswer>,
}

/// gRPC codes of errors.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Code {
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    FailedPrecondition,
    Unavailable,
}

impl Code {
    const fn number(self) -> i32 {
        match self {
            Self::InvalidArgument => 3,
            Self::NotFound => 5,
            Self::ResourceExhausted => 8,
            Self::FailedPrecondition => 9,
            Self::Unavailable => 14,
        }
    }
}

/// An answer that says why there is none.
pub(crate) fn refusal(code: Code, reason: &str, message: impl Into<String>) -> v1::GuardAnswer {
    let error = v1::AskError { code: code.number(), reason: reason.to_owned(), message: message.into() };
    v1::GuardAnswer { answer: Some(v1::guard_answer::Answer::Error(error)) }
}

/// Takes questions while the term lasts.
pub(crate) async fn listen(context: &Context, bus: &Bus, config: &Config) -> Result<mpsc::Receiver<Command>, BusError> {
    let (sender, commands) = mpsc::channel(config.waiting_commands_max);
    bus.answer(context, Ask::Guard, move |question: v1::GuardQuestion| {
        let sender = sender.clone();
        async move {
            let (reply, answer) = oneshot::channel();
            let command = Command { question, received: Instant::now(), reply };
            if sender.try_send(command).is_err() {
                return refusal(Code::ResourceExhausted, "GUARD_BUSY", "The guard has too many commands waiting.");
            }
            let gone = || refusal(Code::Unavailable, "GUARD_GONE", "The guard stopped leading before it answered.");
            answer.await.unwrap_or_else(|_| gone())
        }
        .boxed()
    })
    .await?;
    Ok(commands)
}

/// Tells workers that the guard is there, as long as it surely leads.
pub(crate) async fn answer_leases(
    context: &Context,
    bus: &Bus,
    lease: Lease,
    state: watch::Receiver<v1::ControlState>,
    valid_for_ms: u32,
) -> Result<(), BusError> {
    bus.answer(context, Ask::Lease, move |question: v1::LeaseQuestion| {
        let valid_for_ms = if lease.is_fresh() { i64::from(valid_for_ms) } else { 0 };
        // Who knows the epoch already needs no repeat of it four times a second.
        let is_news = state.borrow().epoch != question.epoch;
        let state = is_news.then(|| state.borrow().clone());
        async move { v1::LeaseAnswer { nonce: question.nonce, state, valid_for_ms } }.boxed()
    })
    .await
}
