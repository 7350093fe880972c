//! Money that one shard has sent to another: within a minute it must be there.

use super::finding::Finding;
use crate::store::{
    Books,
    session::{Arg, Sql},
};
use std::collections::{BTreeMap, HashSet};
use tragen_host::clock::now_micros;
use uuid::Uuid;

/// How long money may be on its way.
const LATE_MICROS: i64 = 60_000_000;
/// Sendings remembered; the oldest is forgotten beyond.
const REMEMBERED_MAX: usize = 100_000;
/// Looked up at once.
const LOOKUP_MAX: usize = 1_000;

const ARRIVED: Sql = Sql::new(
    "SELECT trade_id FROM cash_movement WHERE trade_id IN (SELECT unhex(value) FROM json_each($1))",
    "SELECT trade_id FROM cash_movement WHERE trade_id = ANY($1)",
);

/// Money that left a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    /// The id of its arrival.
    pub(super) arrival: Uuid,
    /// When it left, microseconds since the epoch.
    pub(super) at: i64,
    /// Who receives it.
    pub(super) to: String,
    /// For a person.
    pub(super) what: String,
}

/// Money on its way, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Transit(BTreeMap<(i64, Uuid), Sent>);

impl Transit {
    /// More of it.
    pub(super) fn add(&mut self, sent: Vec<Sent>) {
        self.0.extend(sent.into_iter().map(|sent| ((sent.at, sent.arrival), sent)));
        while self.0.len() > REMEMBERED_MAX {
            self.0.pop_first();
        }
    }

    /// What should have arrived by now and has not; what has is forgotten.
    pub(super) async fn late(&mut self, books: &[Books]) -> anyhow::Result<Vec<Finding>> {
        let before = now_micros() - LATE_MICROS;
        let due: Vec<Uuid> = self.0.range(..(before, Uuid::nil())).map(|((_, id), _)| *id).take(LOOKUP_MAX).collect();
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let mut arrived: HashSet<Uuid> = HashSet::new();
        for books in books {
            arrived
                .extend(books.primary.rows::<(Uuid,)>(ARRIVED, &[Arg::Uuids(&due)]).await?.into_iter().map(|(id,)| id));
        }
        self.0.retain(|(_, id), _| !arrived.contains(id));
        let late = self.0.range(..(before, Uuid::nil())).take(LOOKUP_MAX).map(|(_, sent)| {
            let message = format!("{} has not arrived after a minute", sent.what);
            Finding::to_look_at(&sent.to, &format!("sent-{}", sent.arrival), message)
        });
        Ok(late.collect())
    }
}
