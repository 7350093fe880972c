//! Snapshots in files: written beside and renamed, so that there is a whole one or none;
//! checksummed; and only believed when the journal says the same.
//!
//! A file is a mark of 8 bytes, a version (4 bytes, little endian), the length of the body
//! (8), SHA-256 of the body (32), and the body: a `SnapshotHeader` and `SnapshotEntry`s, each
//! with its length before it. The told states ([`crate::told`]) are in a file of the same form.

use crate::{
    replica::{Place, Replica},
    wire::{read_entries, write_entries},
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use std::{
    cmp::Reverse,
    fs::{self, File},
    io::{self, BufWriter, Seek as _, Write},
    path::{Path, PathBuf},
};
use tracing::warn;
use tragen_contracts::{convert::InvalidField, v1};
use tragen_domain::{money::Overflow, risk::Limits};

const MARK: &[u8; 8] = b"TRAGENGS";
/// Version of the form of the file.
const VERSION: u32 = 1;
/// Bytes before the body.
const HEAD_BYTES: usize = 52;
/// What is synced at once, bytes: a disk that has much to write keeps the journal waiting.
const SYNC_BYTES: usize = 1 << 20;
/// Snapshots that are kept: if the newest one is damaged, the one before it saves the time.
const KEPT: usize = 2;
/// What the names begin with; when the journal's stream was made and the journal's sequence follow. Earlier versions
/// named the sequence only.
const NAME: &str = "snapshot-";

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It cannot be read or written.
    #[error("reading or writing it")]
    File(#[from] io::Error),
    /// It is no snapshot, or not the whole of one.
    #[error("it is damaged")]
    Damaged,
    /// A newer program has written it.
    #[error("it is of version {found}, this program knows {VERSION}")]
    Newer {
        /// Its version.
        found: u32,
    },
    /// Its parts cannot be decoded.
    #[error("it cannot be decoded")]
    Decode(#[from] prost::DecodeError),
    /// A value in it makes no sense.
    #[error("it cannot be understood")]
    Invalid(#[from] InvalidField),
    /// What it says contradicts itself.
    #[error("it contradicts itself")]
    Overflow(#[from] Overflow),
}

/// What is to be written, taken in the task that decides; encoded and written elsewhere.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) header: v1::SnapshotHeader,
    /// Cheap to take: everything large in it is shared.
    pub(crate) entries: crate::wire::Entries,
}

/// A file that is whole.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) path: PathBuf,
    pub(crate) header: v1::SnapshotHeader,
    body: Vec<u8>,
}

impl Snapshot {
    /// Writes it into `folder`, and forgets the oldest ones there, those of other journals first; the path.
    ///
    /// # Errors
    /// [`io::Error`].
    pub(crate) fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        let v1::SnapshotHeader { journal_created_micros: created, journal_sequence: sequence, .. } = self.header;
        let path = write_whole(folder, (&name(created, sequence), MARK), |body| {
            body.write_all(&self.header.encode_length_delimited_to_vec())?;
            write_entries(&self.entries, body)
        })?;
        forget(folder, created)?;
        Ok(path)
    }
}

/// The body of a file on its way there. It is never in memory as a whole.
pub(crate) struct Body {
    file: BufWriter<File>,
    checksum: Sha256,
    length: u64,
    unsynced: usize,
}

impl Body {
    fn head(self, mark: &[u8; 8]) -> (BufWriter<File>, Vec<u8>) {
        let (version, length) = (VERSION.to_le_bytes(), self.length.to_le_bytes());
        (self.file, [mark.as_slice(), &version, &length, &self.checksum.finalize()].concat())
    }
}

impl Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.checksum.update(&bytes[..written]);
        self.length = self.length.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        self.unsynced += written;
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.file.flush()?;
            self.file.get_ref().sync_data()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Every whole snapshot in `folder`, newest first; the others are warned of.
pub(crate) fn load_all(folder: &Path) -> Vec<Loaded> {
    let mut names = names(folder).unwrap_or_default();
    names.sort_by_key(|(of, _)| Reverse(*of));
    let loaded = names.into_iter().filter_map(|(_, path)| match load(&path) {
        Ok(loaded) => Some(loaded),
        Err(error) => {
            warn!("snapshot {} is not used: {:#}", path.display(), anyhow::Error::new(error));
            None
        }
    });
    loaded.collect()
}

/// Reads a file.
///
/// # Errors
/// [`SnapshotError`].
pub(crate) fn load(path: &Path) -> Result<Loaded, SnapshotError> {
    let body = read_whole(path, MARK)?;
    let mut rest = body.as_slice();
    let header = v1::SnapshotHeader::decode_length_delimited(&mut rest)?;
    let rest = rest.to_vec();
    Ok(Loaded { path: path.to_owned(), header, body: rest })
}

/// Writes a file beside the file `name` of `folder` and renames that; the path.
///
/// # Errors
/// [`io::Error`].
pub(crate) fn write_whole(
    folder: &Path,
    (name, mark): (&str, &[u8; 8]),
    write: impl FnOnce(&mut Body) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let path = folder.join(name);
    // Guards of one machine may share the folder.
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    fs::create_dir_all(folder)?;
    let mut file = BufWriter::new(File::create(&fresh)?);
    file.write_all(&[0; HEAD_BYTES])?;
    let mut body = Body { file, checksum: Sha256::new(), length: 0, unsynced: 0 };
    write(&mut body)?;
    let (mut file, head) = body.head(mark);
    // How long it is turns out at its end.
    file.rewind()?;
    file.write_all(&head)?;
    file.into_inner()?.sync_all()?;
    fs::rename(&fresh, &path)?;
    File::open(folder)?.sync_all()?;
    Ok(path)
}

/// The body of a file that was written whole, with that mark.
///
/// # Errors
/// [`SnapshotError`].
pub(crate) fn read_whole(path: &Path, mark: &[u8; 8]) -> Result<Vec<u8>, SnapshotError> {
    let bytes = fs::read(path)?;
    let (head, body) = bytes.split_at_checked(HEAD_BYTES).ok_or(SnapshotError::Damaged)?;
    let (found, head) = head.split_at(mark.len());
    let (version, head) = head.split_first_chunk::<4>().ok_or(SnapshotError::Damaged)?;
    let (length, checksum) = head.split_first_chunk::<8>().ok_or(SnapshotError::Damaged)?;
    if found != mark {
        return Err(SnapshotError::Damaged);
    }
    let found = u32::from_le_bytes(*version);
    if found > VERSION {
        return Err(SnapshotError::Newer { found });
    }
    let is_whole = u64::from_le_bytes(*length) == u64::try_from(body.len()).unwrap_or(u64::MAX);
    if !is_whole || Sha256::digest(body)[..] != *checksum {
        return Err(SnapshotError::Damaged);
    }
    Ok(body.to_vec())
}

impl Loaded {
    /// The memory it keeps.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub(crate) fn restore(self, limits: Limits, stored_reports_max: usize) -> Result<Replica, SnapshotError> {
        let mut replica = read_entries(&self.header, &self.body, limits, stored_reports_max)?;
        replica.place = Place {
            journal: self.header.journal_sequence,
            executions: self.header.executions_sequence,
            ledger: self.header.ledger_sequence,
        };
        Ok(replica)
    }
}

/// Keeps the newest snapshots of the journal that was made at `created`.
fn forget(folder: &Path, created: i64) -> io::Result<()> {
    let mut all = names(folder)?;
    // A journal that was lost may have come further than its successor has.
    all.sort_by_key(|((of, sequence), _)| Reverse((*of == created, *of, *sequence)));
    all.into_iter().skip(KEPT).try_for_each(|(_, old)| fs::remove_file(old))
}

fn name(created: i64, sequence: u64) -> String {
    format!("{NAME}{created:020}-{sequence:020}")
}

/// When the journal of each snapshot in `folder` was made, its place in it, and its path.
fn names(folder: &Path) -> io::Result<Vec<((i64, u64), PathBuf)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(name) = name.strip_prefix(NAME) else { continue };
        let (created, sequence) = name.split_once('-').unwrap_or(("0", name));
        if let (Ok(created), Ok(sequence)) = (created.parse(), sequence.parse()) {
            names.push(((created, sequence), path));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_the_journal_that_is_written_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("snapshot-00000000000000028000"), "of an earlier version").expect("written");
        let kept = |created, sequence| {
            fs::write(folder.path().join(name(created, sequence)), "").expect("written");
            forget(folder.path(), created).expect("forgotten");
            let mut left: Vec<_> = names(folder.path()).expect("read").into_iter().map(|(place, _)| place).collect();
            left.sort_unstable();
            left
        };
        assert_eq!(kept(70, 30_000), [(0, 28_000), (70, 30_000)]);
        assert_eq!(kept(70, 31_000), [(70, 30_000), (70, 31_000)]);
        // The journal is lost, and the next one begins anew.
        assert_eq!(kept(80, 100), [(70, 31_000), (80, 100)]);
        assert_eq!(kept(80, 200), [(80, 100), (80, 200)]);
        // And once more, by a clock that was put back.
        assert_eq!(kept(60, 50), [(60, 50), (80, 200)]);
        assert_eq!(kept(60, 90), [(60, 50), (60, 90)]);
    }
}
