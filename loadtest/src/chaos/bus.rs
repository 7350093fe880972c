//! The bus from outside: reports delivered once more, and facts as somebody reads them who comes late.

use anyhow::Context as _;
use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, pull},
    },
};
use futures::StreamExt as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tragen_contracts::v1;

/// Reports are delivered again from so many messages back.
const AGAIN_MAX: u64 = 50;
/// Messages asked for at once.
const MESSAGES: usize = 256;
/// How long an empty stream is listened to.
const LISTEN: Duration = Duration::from_millis(500);
/// What the server drops repeats by; without it a repeat is delivered.
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// A connection to the bus.
#[derive(Debug)]
pub(super) struct Bus {
    context: jetstream::Context,
}

/// What the facts on the bus say, by subject: their sequences, and what is wrong about them.
pub(super) type Facts = BTreeMap<String, (BTreeSet<i64>, Vec<String>)>;

impl Bus {
    pub(super) async fn connect(url: &str) -> anyhow::Result<Self> {
        let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
        let client = options.connect(url).await.context("connecting to the bus")?;
        Ok(Self { context: jetstream::new(client) })
    }

    /// Publishes the last reports of executions once more, in the opposite order.
    pub(super) async fn deliver_again(&self) -> anyhow::Result<()> {
        let mut stream = self.context.get_stream("EXECUTIONS").await.context("the stream of executions")?;
        let state = stream.info().await.context("the stream of executions")?.state.clone();
        let first = state.last_sequence.saturating_sub(AGAIN_MAX).max(state.first_sequence);
        for sequence in (first..=state.last_sequence).rev() {
            let Ok(message) = stream.get_raw_message(sequence).await else { continue };
            let mut headers = HeaderMap::new();
            for (name, values) in message.headers.iter().filter(|(name, _)| name.to_string() != MESSAGE_ID) {
                values.iter().for_each(|value| headers.append(name.clone(), value.clone()));
            }
            let published = self.context.publish_with_headers(message.subject, headers, message.payload).await;
            published.context("delivering again")?.await.context("delivering again")?;
        }
        Ok(())
    }

    /// Every fact on the bus, each once.
    pub(super) async fn facts(&self) -> anyhow::Result<Facts> {
        let mut stream = self.context.get_stream("LEDGER").await.context("the stream of facts")?;
        let last = stream.info().await.context("the stream of facts")?.state.last_sequence;
        let config =
            pull::Config { deliver_policy: DeliverPolicy::All, ack_policy: AckPolicy::None, ..pull::Config::default() };
        let consumer = stream.create_consumer(config).await.context("reading facts")?;
        let mut seen: BTreeMap<String, BTreeMap<i64, Vec<u8>>> = BTreeMap::new();
        let mut contradictions: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut read = 0;
        while read < last {
            let mut messages = consumer.fetch().max_messages(MESSAGES).expires(LISTEN).messages().await?;
            let before = read;
            while let Some(message) = messages.next().await {
                let message = message.map_err(|error| anyhow::anyhow!("reading facts: {error}"))?;
                read = message.info().map_err(|error| anyhow::anyhow!("reading facts: {error}"))?.stream_sequence;
                let subject = message.subject.to_string();
                let told = keep(seen.entry(subject.clone()).or_default(), &message.payload)?;
                contradictions.entry(subject).or_default().extend(told);
            }
            if read == before {
                break;
            }
        }
        let told = seen.into_iter().map(|(subject, facts)| {
            let findings = contradictions.remove(&subject).unwrap_or_default();
            (subject, (facts.into_keys().collect(), findings))
        });
        Ok(told.collect())
    }
}

/// Keeps the facts of a message; what is wrong about them.
fn keep(seen: &mut BTreeMap<i64, Vec<u8>>, payload: &[u8]) -> anyhow::Result<Vec<String>> {
    use prost::Message as _;
    let batch = v1::LedgerFactBatch::decode(payload).context("a message of facts")?;
    let mut findings = Vec::new();
    for fact in batch.facts {
        // Told again, a fact may come in another message, but says the same.
        let said = fact.kind.as_ref().map(|kind| format!("{kind:?}").into_bytes()).unwrap_or_default();
        if let Some(before) = seen.insert(fact.sequence, said.clone())
            && before != said
        {
            findings.push(format!("fact {} was told in two ways", fact.sequence));
        }
    }
    Ok(findings)
}
