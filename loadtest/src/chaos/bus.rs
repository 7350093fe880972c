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
        let mut seen: BTreeMap<String, Told> = BTreeMap::new();
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

/// What facts have said by their sequence: everything but their executions, and those.
type Told = BTreeMap<i64, (Option<v1::ledger_fact::Kind>, BTreeSet<String>)>;

/// Keeps the facts of a message; what is wrong about them.
fn keep(seen: &mut Told, payload: &[u8]) -> anyhow::Result<Vec<String>> {
    use prost::Message as _;
    let batch = v1::LedgerFactBatch::decode(payload).context("a message of facts")?;
    let mut findings = Vec::new();
    for mut fact in batch.facts {
        let executions = match &mut fact.kind {
            Some(v1::ledger_fact::Kind::Trade(posted)) => std::mem::take(&mut posted.execution_ids),
            Some(v1::ledger_fact::Kind::Cash(_) | v1::ledger_fact::Kind::Settled(_)) | None => Vec::new(),
        };
        let mut said = (fact.kind, executions.into_iter().collect::<BTreeSet<_>>());
        if let Some(before) = seen.remove(&fact.sequence) {
            // Told again, a fact comes in another message and stands for those before it that the bus has lost: it
            // names all executions of the trade and not only the last ones. Otherwise it says the same.
            let is_more = before.1.is_subset(&said.1) || said.1.is_subset(&before.1);
            if before.0 != said.0 || !is_more {
                findings.push(format!("fact {} was told in two ways: {before:?} and {said:?}", fact.sequence));
            }
            said.1.extend(before.1);
        }
        seen.insert(fact.sequence, said);
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn told_again_a_fact_may_name_more_executions_and_says_nothing_else() {
        let fact = |filled_quantity_micros, execution_ids: &[&str]| {
            let trade = Some(v1::Trade { filled_quantity_micros, ..v1::Trade::default() });
            let execution_ids = execution_ids.iter().map(|id| (*id).to_owned()).collect();
            let posted = v1::TradePosted { trade, execution_ids, ..v1::TradePosted::default() };
            let kind = Some(v1::ledger_fact::Kind::Trade(posted));
            let fact = v1::LedgerFact { sequence: 7, kind, ..v1::LedgerFact::default() };
            v1::LedgerFactBatch { facts: vec![fact], ..v1::LedgerFactBatch::default() }.encode_to_vec()
        };
        let findings = |first: Vec<u8>, second: Vec<u8>| {
            let mut seen = Told::new();
            assert!(keep(&mut seen, &first).expect("facts").is_empty());
            keep(&mut seen, &second).expect("facts").len()
        };
        assert_eq!(findings(fact(2, &["b"]), fact(2, &["a", "b"])), 0);
        assert_eq!(findings(fact(2, &["a", "b"]), fact(2, &["b"])), 0);
        assert_eq!(findings(fact(2, &["a"]), fact(2, &["b"])), 1);
        assert_eq!(findings(fact(2, &["a"]), fact(3, &["a"])), 1);
    }
}
