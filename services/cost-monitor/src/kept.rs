//! What is counted from facts is kept in a bucket of the bus, one value for each key, so that a restart goes on where
//! it was. Whoever counts says what has changed and takes back what could not be stored; it is tried at the next turn.

use crate::metrics as names;
use futures::{StreamExt as _, stream};
use metrics::counter;
use tracing::warn;
use tragen_bus::{Bucket, Bus};

/// Values stored at the same time: one fsync of the bus serves several.
const STORED_AT_ONCE: usize = 32;

/// A value that is to be stored, or forgotten.
#[derive(Debug)]
pub(crate) struct Change {
    /// Where.
    pub key: String,
    /// What; None: it is forgotten.
    pub value: Option<Vec<u8>>,
}

/// Hands everything that was stored to `restore`. What it cannot read is told, and counted as malformed `kind`.
///
/// # Errors
/// When the bucket cannot be read.
pub(crate) async fn read_stored(
    bus: &Bus,
    (bucket, kind): (Bucket, &'static str),
    mut restore: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let bucket = bus.bucket(bucket).await?;
    if bucket.status().await?.values() == 0 {
        return Ok(());
    }
    let mut entries = bucket.watch_with_history(">").await?;
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        // What was forgotten has no value.
        if !entry.value.is_empty()
            && let Err(error) = restore(&entry.value)
        {
            // It is counted anew from the facts that are still there.
            counter!(names::MALFORMED, "kind" => kind).increment(1);
            warn!("what is stored of {} ({kind}) cannot be read: {error:#}", entry.key);
        }
        if entry.seen_current {
            break;
        }
    }
    Ok(())
}

/// Stores what has changed; answers the keys of which that failed.
pub(crate) async fn store(bus: &Bus, (bucket, kind): (Bucket, &'static str), changes: Vec<Change>) -> Vec<String> {
    if changes.is_empty() {
        return Vec::new();
    }
    let bucket = match bus.bucket(bucket).await {
        Ok(bucket) => bucket,
        Err(error) => {
            warn!("{} changes ({kind}) cannot be stored now: {error}", changes.len());
            return changes.into_iter().map(|change| change.key).collect();
        }
    };
    let stored = changes.into_iter().map(|Change { key, value }| {
        let bucket = &bucket;
        async move {
            let failed = match value {
                Some(value) => bucket.put(key.as_str(), value.into()).await.err().map(|error| error.to_string()),
                None => bucket.delete(key.as_str()).await.err().map(|error| error.to_string()),
            };
            failed.map(|error| (key, error))
        }
    });
    let failed: Vec<(String, String)> =
        stream::iter(stored).buffer_unordered(STORED_AT_ONCE).filter_map(std::future::ready).collect().await;
    if let Some((key, error)) = failed.first() {
        warn!("{} changes ({kind}) could not be stored, e.g. of {key}: {error}", failed.len());
    }
    failed.into_iter().map(|(key, _)| key).collect()
}
