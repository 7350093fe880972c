//! Signed heads of the chain, kept elsewhere: each must be valid, and still be
//! part of the chain. Whoever rewrites history can compute the chain anew, but
//! not the heads that others have.

use super::{Found, bad, read::Snapshot, record::Batch};
use crate::audit::{SignedHead, read_heads};
use anyhow::Context as _;
use std::{collections::BTreeMap, path::Path};

/// Heads by shard, sorted by batch, each with its line.
#[derive(Debug, Default)]
pub(super) struct Heads(BTreeMap<u16, Vec<(usize, SignedHead)>>);

impl Heads {
    /// Reads `path` and checks every signature: by `public_key` if it is given, else by the key in each line.
    pub(super) fn read(path: &Path, public_key: Option<&[u8; 32]>) -> Result<Self, Found> {
        let mut heads = Self::default();
        let lines = read_heads(path).with_context(|| format!("reading {}", path.display()))?;
        for (line, head) in lines {
            let wrong = |problem: String| bad("signed head", format!("line {line}"), problem);
            let head = head.map_err(|error| wrong(format!("{error:#}")))?;
            if public_key.is_some_and(|key| *key != head.public_key) {
                return Err(wrong("it is signed by another key".to_owned()));
            }
            head.check().map_err(|error| wrong(error.to_string()))?;
            heads.0.entry(head.shard).or_default().push((line, head));
        }
        heads.0.values_mut().for_each(|heads| heads.sort_by_key(|(_, head)| head.batch_sequence));
        Ok(heads)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.0.values().map(Vec::len).sum::<usize>()).unwrap_or(u64::MAX)
    }

    /// Whether there are any of `shard`.
    pub(super) fn has(&self, shard: u16) -> bool {
        self.0.contains_key(&shard)
    }

    /// Whether every head of `shard` is part of its chain.
    pub(super) fn check(&self, shard: u16, snapshot: &mut Snapshot) -> Result<(), Found> {
        let Some(heads) = self.0.get(&shard) else { return Ok(()) };
        let (Some((_, first)), Some((_, last))) = (heads.first(), heads.last()) else { return Ok(()) };
        let (first, last) = (first.batch_sequence, last.batch_sequence);
        let mut batches =
            snapshot.scan::<Batch<'_>>(&format!("WHERE sequence BETWEEN {first} AND {last} ORDER BY sequence"))?;
        for (line, head) in heads {
            while batches.key()?.is_some_and(|sequence| sequence < head.batch_sequence) {
                batches.next()?;
            }
            let is_part = batches.peek(|row| {
                row.sequence == head.batch_sequence
                    && row.hash == head.head_hash
                    && row.last_transfer == head.transfer_sequence
            })?;
            match is_part {
                Some(true) => {}
                Some(false) | None => {
                    let problem = format!("the signed head in line {line} says otherwise: history was rewritten");
                    return Err(bad("batch", head.batch_sequence, problem));
                }
            }
        }
        Ok(())
    }
}
