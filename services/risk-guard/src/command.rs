//! Questions and commands to the guard, handed to the one task that decides,
//! and leases, which are answered beside it so that they are never late.

use crate::{config::Config, lease::Lease, reductions::Slices, workers::Workers};
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
    Aborted,
    Unavailable,
}

impl Code {
    pub(crate) const fn number(self) -> i32 {
        match self {
            Self::InvalidArgument => 3,
            Self::NotFound => 5,
            Self::ResourceExhausted => 8,
            Self::FailedPrecondition => 9,
            Self::Aborted => 10,
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

/// What leases are answered with.
#[derive(Debug)]
pub(crate) struct Leases {
    pub(crate) lease: Lease,
    pub(crate) state: watch::Receiver<v1::ControlState>,
    pub(crate) workers: Workers,
    pub(crate) slices: Slices,
    pub(crate) valid_for_ms: u32,
}

/// Tells workers that the guard is there, as long as it surely leads, and hands them
/// what they have to propose for reductions.
pub(crate) async fn answer_leases(context: &Context, bus: &Bus, leases: Leases) -> Result<(), BusError> {
    bus.answer(context, Ask::Lease, move |question: v1::LeaseQuestion| {
        let Leases { lease, state, workers, slices, valid_for_ms } = &leases;
        workers.asked(&question.worker_id, question.epoch);
        let is_fresh = lease.is_fresh();
        let valid_for_ms = if is_fresh { i64::from(*valid_for_ms) } else { 0 };
        // Who knows the epoch already needs no repeat of it four times a second.
        let is_news = state.borrow().epoch != question.epoch;
        let answer = v1::LeaseAnswer {
            nonce: question.nonce,
            state: is_news.then(|| state.borrow().clone()),
            valid_for_ms,
            slices: if is_fresh && !is_news { slices.hand_out() } else { Vec::new() },
        };
        async move { answer }.boxed()
    })
    .await
}
