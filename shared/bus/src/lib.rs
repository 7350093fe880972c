//! JetStream, once: subjects, streams, publishing, consuming, dead letters and
//! questions. Delivery is at least once everywhere; handlers are idempotent by
//! business key and ack last.
//!
//! Invariant: a message taken from a consumer ends in exactly one of ack,
//! retry later, or dead letter.

pub mod ask;
pub mod batch;
pub mod connection;
pub mod consume;
pub mod dead_letter;
pub mod follow;
pub mod gaps;
pub mod publish;
pub mod server;
pub mod subject;
pub mod topology;
pub mod usage;

pub use ask::NoAnswer;
pub use connection::{Bus, BusError, Lag, StreamState};
pub use consume::{Delivery, Puller};
pub use follow::{Followed, Follower, StartAt};
pub use gaps::Look;
pub use publish::{PublishError, PublishOptions};
pub use subject::{Ask, CoreSubject, Severity, Source, Subject};
pub use topology::{BARS_KEPT, Bucket, Consumer, ODDS_KEPT, Stream, memory_bytes_max};
