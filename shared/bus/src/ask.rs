//! Questions and answers over core NATS, and broadcasts. Nothing here is
//! durable: a question without an answer is asked again by whoever needs it.

use crate::{
    connection::{Bus, BusError},
    subject::{Ask, CoreSubject},
};
use futures::{StreamExt as _, future::BoxFuture};
use metrics::counter;
use prost::Message;
use std::{borrow::Cow, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tracing::debug;
use tragen_host::Context;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nobody listens.
    #[error("{to} is not there")]
    NoResponder {
        /// Who was asked.
        to: Cow<'static, str>,
    },
    /// No answer in time; the question may have been acted on.
    #[error("{to} did not answer within {waited_ms} ms")]
    Timeout {
        /// Who was asked.
        to: Cow<'static, str>,
        /// How long.
        waited_ms: u128,
    },
    /// The answer is not what it should be.
    #[error("{to} gave a malformed answer")]
    Malformed {
        /// Who was asked.
        to: Cow<'static, str>,
    },
}

/// Questions answered at the same time by one process; more wait.
const ANSWERS_AT_ONCE: usize = 256;

impl Bus {
    /// Asks and waits at most `timeout` for the answer.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn ask<Q: Message, A: Message + Default>(
        &self,
        to: Ask,
        question: &Q,
        timeout: Duration,
    ) -> Result<A, NoAnswer> {
        let request = async_nats::Request::new().payload(question.encode_to_vec().into()).timeout(Some(timeout));
        let answer = self.client.send_request(CoreSubject::Ask(to).to_string(), request).await.map_err(|error| {
            counter!("bus_questions_unanswered_total", "to" => to.name()).increment(1);
            if error.kind() == async_nats::RequestErrorKind::NoResponders {
                NoAnswer::NoResponder { to: to.name() }
            } else {
                NoAnswer::Timeout { to: to.name(), waited_ms: timeout.as_millis() }
            }
        })?;
        A::decode(answer.payload).map_err(|_| NoAnswer::Malformed { to: to.name() })
    }

    /// Answers questions until the process stops; processes that answer the same
    /// subject share them. A question that does not decode gets no answer.
    ///
    /// # Errors
    /// [`BusError::Api`] when the subject cannot be subscribed.
    pub async fn answer<Q, A>(
        &self,
        context: &Context,
        at: Ask,
        handler: impl Fn(Q) -> BoxFuture<'static, A> + Send + Sync + 'static,
    ) -> Result<(), BusError>
    where
        Q: Message + Default + Send + 'static,
        A: Message + 'static,
    {
        let subject = CoreSubject::Ask(at).to_string();
        let mut questions = self
            .client
            .queue_subscribe(subject.clone(), at.name().into_owned())
            .await
            .map_err(|e| BusError::api(format!("subscribing {subject}"), e))?;
        self.settle_subscription().await;
        let (client, stopped, handler) = (self.client.clone(), context.stopped(), Arc::new(handler));
        let slots = Arc::new(Semaphore::new(ANSWERS_AT_ONCE));
        let asked = context.clone();
        context.spawn("bus-answer", async move {
            tokio::pin!(stopped);
            loop {
                let message = tokio::select! {
                    () = &mut stopped => break,
                    message = questions.next() => match message { Some(message) => message, None => break },
                };
                let Some(reply) = message.reply else { continue };
                let Ok(question) = Q::decode(message.payload) else {
                    counter!("bus_questions_malformed_total", "at" => at.name()).increment(1);
                    debug!("a malformed question on {}", message.subject);
                    continue;
                };
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
                let (client, answer) = (client.clone(), handler(question));
                asked.spawn("answer", async move {
                    let payload = answer.await.encode_to_vec();
                    if let Err(error) = client.publish(reply, payload.into()).await {
                        debug!("answering: {error}");
                    }
                    drop(slot);
                    Ok(())
                });
            }
            Ok(())
        });
        Ok(())
    }

    /// Publishes to whoever listens now.
    ///
    /// # Errors
    /// [`BusError::Api`] when it cannot be sent within a second.
    pub async fn broadcast<M: Message>(&self, subject: &CoreSubject, message: &M) -> Result<(), BusError> {
        let action = || format!("broadcasting on {subject}");
        let sent = async {
            self.client
                .publish(subject.to_string(), message.encode_to_vec().into())
                .await
                .map_err(|e| BusError::api(action(), e))?;
            self.client.flush().await.map_err(|e| BusError::api(action(), e))
        };
        match tokio::time::timeout(Duration::from_secs(1), sent).await {
            Ok(sent) => sent,
            Err(late) => Err(BusError::api(action(), late)),
        }
    }

    /// Listens to broadcasts; messages that do not decode are skipped.
    ///
    /// # Errors
    /// [`BusError::Api`] when the subject cannot be subscribed.
    pub async fn listen<M: Message + Default>(
        &self,
        subject: &CoreSubject,
    ) -> Result<impl futures::Stream<Item = M> + Send + Unpin + use<M>, BusError> {
        let heard = self
            .client
            .subscribe(subject.to_string())
            .await
            .map_err(|e| BusError::api(format!("subscribing {subject}"), e))?;
        self.settle_subscription().await;
        Ok(heard.filter_map(|message| std::future::ready(M::decode(message.payload).ok())))
    }

    /// A round trip: the server has seen every subscription made before it.
    async fn settle_subscription(&self) {
        let request = async_nats::Request::new().timeout(Some(Duration::from_secs(1)));
        let _ = self.client.send_request("ask.settle", request).await;
    }
}
