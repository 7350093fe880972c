//! Messages no handler could take: kept with bytes, headers and reason, listed,
//! and sent again by an operator.

use crate::{
    connection::{Bus, BusError},
    subject::Subject,
    topology::{Consumer, Stream},
};
use async_nats::{HeaderMap, jetstream::message::PublishMessage};
use bytes::Bytes;

const SUBJECT: &str = "Tragen-Dead-Subject";
const CONSUMER: &str = "Tragen-Dead-Consumer";
const REASON: &str = "Tragen-Dead-Reason";
const DELIVERIES: &str = "Tragen-Dead-Deliveries";

/// A message set aside.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Position in the dead-letter stream.
    pub sequence: u64,
    /// Where it came on.
    pub subject: String,
    /// Who gave it up.
    pub consumer: String,
    /// Why.
    pub reason: String,
    /// How often it was delivered.
    pub deliveries: u64,
    /// The original bytes.
    pub payload: Bytes,
    /// When it was set aside, microseconds since the epoch.
    pub dead_at_micros: i64,
    headers: HeaderMap,
}

pub(crate) async fn keep(
    bus: &Bus,
    consumer: Consumer,
    raw: &async_nats::jetstream::Message,
    deliveries: u64,
    reason: &str,
) -> Result<(), BusError> {
    let mut headers = raw.headers.clone().unwrap_or_default();
    headers.insert(SUBJECT, raw.subject.as_str());
    headers.insert(CONSUMER, &*consumer.name());
    // A header is one line.
    headers.insert(REASON, reason.replace(['\r', '\n'], " "));
    headers.insert(DELIVERIES, deliveries.to_string());
    let origin = consumer.stream().as_str();
    if let Ok(info) = raw.info() {
        // Setting aside twice after a crash in between keeps one.
        headers.insert("Nats-Msg-Id", format!("dead-{origin}-{}-{}", info.stream_sequence, consumer.name()));
    }
    let publish = PublishMessage::build().payload(raw.payload.clone()).headers(headers);
    let action = || format!("keeping a dead letter of {origin}");
    let subject = Subject::Dead(origin).to_string();
    let sent = bus.jetstream.send_publish(subject, publish).await.map_err(|e| BusError::api(action(), e))?;
    sent.await.map(drop).map_err(|e| BusError::api(action(), e))
}

impl Bus {
    /// Dead letters before `before` (`None` for the newest), newest first, at most `limit`.
    ///
    /// # Errors
    /// [`BusError::Api`] when the stream cannot be read.
    pub async fn dead_letters(&self, before: Option<u64>, limit: usize) -> Result<Vec<DeadLetter>, BusError> {
        let stream = self.dead_stream().await?;
        let state = &stream.cached_info().state;
        let mut letters = Vec::new();
        let mut sequence =
            before.map_or(state.last_sequence, |before| before.saturating_sub(1).min(state.last_sequence));
        while sequence >= state.first_sequence.max(1) && letters.len() < limit {
            match stream.get_raw_message(sequence).await {
                Ok(message) => letters.push(read(message)),
                Err(error) if error.kind() == async_nats::jetstream::stream::RawMessageErrorKind::NoMessageFound => {}
                Err(error) => return Err(BusError::api("reading a dead letter", error)),
            }
            sequence -= 1;
        }
        Ok(letters)
    }

    /// Publishes a dead letter on its subject again and removes it; `None` if there is no such letter.
    ///
    /// # Errors
    /// [`BusError::Api`] when it cannot be read, sent or removed.
    pub async fn replay_dead_letter(&self, sequence: u64) -> Result<Option<String>, BusError> {
        let stream = self.dead_stream().await?;
        let Ok(message) = stream.get_raw_message(sequence).await else { return Ok(None) };
        let letter = read(message);
        let mut headers = HeaderMap::new();
        for (name, values) in letter.headers.iter() {
            let name_text: &str = name.as_ref();
            if !name_text.starts_with("Tragen-Dead-") && name_text != "Nats-Msg-Id" {
                for value in values {
                    headers.append(name.clone(), value.clone());
                }
            }
        }
        let action = || format!("replaying dead letter {sequence}");
        let publish = PublishMessage::build().payload(letter.payload.clone()).headers(headers);
        let sent = self.jetstream.send_publish(letter.subject.clone(), publish).await;
        sent.map_err(|e| BusError::api(action(), e))?.await.map_err(|e| BusError::api(action(), e))?;
        stream.delete_message(sequence).await.map_err(|e| BusError::api(action(), e))?;
        Ok(Some(letter.subject))
    }

    async fn dead_stream(&self) -> Result<async_nats::jetstream::stream::Stream, BusError> {
        let name = Stream::Dead.as_str();
        self.jetstream.get_stream(name).await.map_err(|e| BusError::api(format!("reading stream {name}"), e))
    }
}

fn read(message: async_nats::jetstream::message::StreamMessage) -> DeadLetter {
    let header = |name: &str| message.headers.get(name).map(ToString::to_string).unwrap_or_default();
    DeadLetter {
        sequence: message.sequence,
        subject: header(SUBJECT),
        consumer: header(CONSUMER),
        reason: header(REASON),
        deliveries: header(DELIVERIES).parse().unwrap_or(0),
        payload: message.payload.clone(),
        dead_at_micros: i64::try_from(message.time.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX),
        headers: message.headers.clone(),
    }
}
