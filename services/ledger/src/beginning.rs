//! Whether the configured databases are the books that belong together: every
//! shard says its number, and how many there were when the books began.

use crate::{
    config::ShardConfig,
    store::{Beginning, Books, Store, StoreError},
};
use anyhow::Context as _;
use std::time::Duration;
use tracing::warn;
use tragen_host::retry::Backoff;

/// How often is looked again while another process begins the same books.
const LOOKS_MAX: u32 = 8;

/// How many shards share the slots from the beginning. Books that have not begun do so here, all shards
/// or none; shards that are added later begin empty. A shard that is away is waited for by who serves it.
///
/// # Errors
/// When the databases do not belong together in this order, or not enough of them answer to know.
pub(crate) async fn agree(books: &[Books], places: &[ShardConfig], wait: Duration) -> anyhow::Result<u16> {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
    for _ in 0..LOOKS_MAX {
        let found = futures::future::join_all(books.iter().map(Books::beginning)).await;
        let shards = check(&found)?;
        let begun = || found.iter().flatten().flatten();
        let missing: Vec<_> = match shards {
            Some(shards) => missing(&found, shards).collect(),
            None => (0..books.len()).collect(),
        };
        if let (Some(shards), true) = (shards, missing.is_empty()) {
            return Ok(shards);
        }
        if begun().any(|begun| begun.has_served) {
            // Perhaps they were begun by another process a moment ago.
            backoff.wait().await;
            continue;
        }
        if let Some((shard, error)) =
            found.into_iter().zip(0_u16..).find_map(|(found, shard)| Some((shard, found.err()?)))
        {
            return Err(error).context(format!("shard {shard} must answer before the books can begin"));
        }
        let shards = shards.unwrap_or(u16::try_from(books.len())?);
        for (books, place) in books.iter().zip(places).take(shards.into()) {
            let beginning = || format!("beginning shard {}", books.shard);
            books.update_tables(place, wait).await.with_context(beginning)?;
            Store::begin(books, place, shards, wait).await.with_context(beginning)?;
        }
        return Ok(shards);
    }
    let found = futures::future::join_all(books.iter().map(Books::beginning)).await;
    let shards = check(&found)?.unwrap_or_default();
    let missing: Vec<_> = missing(&found, shards).map(|shard| shard.to_string()).collect();
    anyhow::bail!(
        "the books have {shards} shards, but there is nothing of shard {} in its database: are the databases mixed up?",
        missing.join(", ")
    )
}

/// The shards of the beginning that answer and have nothing.
fn missing(found: &[Result<Option<Beginning>, StoreError>], shards: u16) -> impl Iterator<Item = usize> {
    let of_the_beginning = found.iter().enumerate().take(shards.into());
    of_the_beginning.filter(|(_, found)| matches!(found, Ok(None))).map(|(shard, _)| shard)
}

/// How many shards there were at the beginning, as all say that have begun.
fn check(found: &[Result<Option<Beginning>, StoreError>]) -> anyhow::Result<Option<u16>> {
    let mut shards = None;
    for (number, found) in (0_u16..).zip(found) {
        let begun = match found {
            Ok(Some(begun)) => begun,
            Ok(None) => continue,
            Err(error) => {
                warn!("shard {number} does not answer: {error}");
                continue;
            }
        };
        anyhow::ensure!(
            begun.shard == number,
            "the database of shard {number} holds the books of shard {}: are the databases mixed up?",
            begun.shard
        );
        anyhow::ensure!(
            shards.is_none_or(|shards| shards == begun.shards),
            "shard {number} was made for {} shards, another one for {}: they do not belong together",
            begun.shards,
            shards.unwrap_or_default()
        );
        shards = Some(begun.shards);
    }
    if let Some(shards) = shards {
        anyhow::ensure!(
            usize::from(shards) <= found.len(),
            "the books have {shards} shards, only {} are configured",
            found.len()
        );
    }
    Ok(shards)
}
