//! The auditor's record: every request for a trade before it is sent, and every
//! answer to it, in a file that is only added to. What it says is proved in the end.

mod id_text;
mod reading;

pub(crate) use reading::{Asked, Ledgered, Reading, is_final};

use crate::{answered::Meant, operation::Operation};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::{
    fs::OpenOptions,
    io::{BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
    time::Instant,
};
use tokio::{sync::mpsc, task::JoinHandle};
use tragen_contracts::v1;
use uuid::Uuid;

/// Lines that may wait to be written; more make the load wait.
const LINES_MAX: usize = 65_536;
/// Lines written at a time.
const LINES_AT_ONCE: usize = 1_024;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// A request is about to be sent.
    Asked {
        /// Microseconds since the record began.
        at_micros: u64,
        account: String,
        #[serde(with = "id_text")]
        request_id: Uuid,
        operation: Operation,
        /// Whether its order may come to rest.
        #[serde(default)]
        may_rest: bool,
        /// Of what is asked for: UUIDv5 of its text.
        #[serde(with = "id_text")]
        payload: Uuid,
    },
    /// An answer came.
    Answered {
        at_micros: u64,
        #[serde(with = "id_text")]
        request_id: Uuid,
        trade: Told,
    },
    /// No answer came, and the client has given up.
    Failed {
        at_micros: u64,
        #[serde(with = "id_text")]
        request_id: Uuid,
        code: String,
    },
}

/// What an answer said of a trade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) trade_id: String,
    pub(crate) order_id: String,
    pub(crate) status: i32,
    pub(crate) filled_quantity_micros: i64,
    pub(crate) average_price_micros: i64,
    pub(crate) fee_micros: i64,
    pub(crate) cash_change_micros: i64,
}

impl Told {
    pub(crate) fn of(trade: &v1::Trade) -> Self {
        Self {
            trade_id: trade.trade_id.clone(),
            order_id: trade.order_id.clone(),
            status: trade.status,
            filled_quantity_micros: trade.filled_quantity_micros,
            average_price_micros: trade.average_price_micros,
            fee_micros: trade.fee_micros,
            cash_change_micros: trade.cash_change_micros,
        }
    }
}

/// Writes the record; clones write to the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder {
    lines: Option<mpsc::Sender<Line>>,
    began: Option<Instant>,
}

/// The writing end of a record; it ends when every recorder is gone.
#[derive(Debug)]
pub(crate) struct Writing(Option<JoinHandle<anyhow::Result<u64>>>);

impl Writing {
    /// Waits until everything is on disk; how many lines there are.
    pub(crate) async fn end(self) -> anyhow::Result<u64> {
        match self.0 {
            None => Ok(0),
            Some(writing) => writing.await.context("writing the record")?,
        }
    }
}

impl Recorder {
    /// Records into `file`, which must not exist; into nothing if there is none.
    pub(crate) fn open(file: Option<&Path>) -> anyhow::Result<(Self, Writing)> {
        let Some(path) = file else { return Ok((Self::default(), Writing(None))) };
        let opened = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path);
        let file = opened.with_context(|| format!("creating the record {}", path.display()))?;
        let (sender, mut lines) = mpsc::channel(LINES_MAX);
        let name: Arc<str> = path.display().to_string().into();
        let writing = tokio::task::spawn_blocking(move || {
            let mut file = BufWriter::new(file);
            let mut waiting = Vec::with_capacity(LINES_AT_ONCE);
            let mut count = 0;
            while lines.blocking_recv_many(&mut waiting, LINES_AT_ONCE) > 0 {
                for line in waiting.drain(..) {
                    serde_json::to_writer(&mut file, &line).with_context(|| format!("writing {name}"))?;
                    file.write_all(b"\n").with_context(|| format!("writing {name}"))?;
                    count += 1;
                }
                file.flush().with_context(|| format!("writing {name}"))?;
            }
            file.get_ref().sync_all().with_context(|| format!("writing {name}"))?;
            Ok(count)
        });
        Ok((Self { lines: Some(sender), began: Some(Instant::now()) }, Writing(Some(writing))))
    }

    /// Records that `request` is about to be sent.
    pub(crate) async fn asked(
        &self,
        (operation, meant): (Operation, Meant),
        request_id: Uuid,
        request: &v1::PlaceTradeRequest,
        account: impl FnOnce() -> String,
    ) {
        let Some(lines) = &self.lines else { return };
        // The id is part of it, so the name of the payload is made of the intent alone.
        let payload = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{:?}", request.intent).as_bytes());
        let (at_micros, account, may_rest) = (self.micros(), account(), meant.may_rest());
        let _ = lines.send(Line::Asked { at_micros, account, request_id, operation, may_rest, payload }).await;
    }

    /// Records the answer to `request_id`.
    pub(crate) async fn answered(&self, request_id: Uuid, trade: &v1::Trade) {
        let Some(lines) = &self.lines else { return };
        let line = Line::Answered { at_micros: self.micros(), request_id, trade: Told::of(trade) };
        let _ = lines.send(line).await;
    }

    /// Records that `request_id` was not answered.
    pub(crate) async fn failed(&self, request_id: Uuid, code: &str) {
        let Some(lines) = &self.lines else { return };
        let line = Line::Failed { at_micros: self.micros(), request_id, code: code.to_owned() };
        let _ = lines.send(line).await;
    }

    fn micros(&self) -> u64 {
        let elapsed = self.began.map_or(0, |began| began.elapsed().as_micros());
        u64::try_from(elapsed).unwrap_or(u64::MAX)
    }
}
