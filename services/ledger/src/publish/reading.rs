//! What is told again, read from the books a little ahead: while one part is on its way to the bus, the next ones
//! are read.

use super::{HandedOn, messages_of};
use crate::{facts, store::Books};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::warn;
use tragen_contracts::v1;
use tragen_host::{Context, retry::Backoff};

/// Facts read at once.
const READ_MAX: i64 = 1_000;
/// Parts that wait to be told: with the one that is read and the one that is told, all that is in memory of the past.
const PARTS_MAX: usize = 2;

/// Some facts in a row.
#[derive(Debug)]
pub(super) struct Part {
    /// The last sequence of them; some may be nobody's any more.
    pub(super) up_to: i64,
    /// How many there are.
    pub(super) facts: usize,
    /// What they tell of for other shards.
    pub(super) handed_on: Vec<HandedOn>,
    /// The facts.
    pub(super) messages: Vec<v1::LedgerFactBatch>,
}

/// The facts from after `after` up to `newest`, in their order and in messages of at most `bytes_max`. One reads, so
/// that a later fact never shows an account as it was before an earlier one. It ends before `newest` only when the
/// shard is given up.
pub(super) fn read_ahead(
    context: &Context,
    books: &Books,
    (after, newest): (i64, i64),
    bytes_max: usize,
) -> mpsc::Receiver<Part> {
    let (sender, parts) = mpsc::channel(PARTS_MAX);
    let (own, books) = (context.clone(), books.clone());
    context.spawn("ledger-read-ahead", async move {
        let mut after = after;
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        while after < newest && !own.is_stopping() {
            let up_to = (after + READ_MAX).min(newest);
            match read(&books, (after, up_to), bytes_max).await {
                Ok(part) => {
                    if sender.send(part).await.is_err() {
                        // Nobody tells them any more.
                        break;
                    }
                    after = up_to;
                }
                Err(error) => {
                    warn!("reading facts to tell them again: {error:#}");
                    tokio::select! {
                        () = sender.closed() => break,
                        () = backoff.wait() => {}
                    }
                }
            }
        }
        Ok(())
    });
    parts
}

async fn read(books: &Books, (after, up_to): (i64, i64), bytes_max: usize) -> anyhow::Result<Part> {
    let untold = books.untold(after, up_to).await?;
    let handed_on = facts::arrivals(books.shard, &untold.cash);
    let facts = facts::of_untold(books.shard, untold);
    Ok(Part { up_to, facts: facts.len(), handed_on, messages: messages_of(facts, bytes_max) })
}
