//! The data folder: made for its owner alone, and used by one process at a time.

use anyhow::Context as _;
use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// A folder that is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// The lock ends with the open file, however the process dies.
    _lock: File,
}

impl DataDir {
    /// Makes the folder if it is missing and takes it.
    ///
    /// # Errors
    /// When it cannot be made, or another process has it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let named = || format!("--data-dir: using {}", path.display());
        DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(named)?;
        let path = path.canonicalize().with_context(named)?;
        let file = path.join("up.lock");
        let mut lock =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&file).with_context(named)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                lock.read_to_string(&mut pid).with_context(named)?;
                anyhow::bail!(
                    "{} is in use by another `tragen up` (process {}); stop it or choose another --data-dir",
                    path.display(),
                    pid.trim()
                );
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(named),
        }
        lock.set_len(0).and_then(|()| lock.rewind()).with_context(named)?;
        writeln!(lock, "{}", std::process::id()).with_context(named)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is, without links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_folder_is_used_by_one_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b");
        let first = DataDir::open(&path).expect("a data folder");
        let mode = path.metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let refused = DataDir::open(&path).expect_err("refused").to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        DataDir::open(&path).expect("free again");
    }
}
