//! The ready file: where everything is, for scripts and tests. It appears whole
//! or not at all, and goes away with the process.

use anyhow::Context as _;
use serde::Serialize;
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Where everything is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ready {
    /// The API, e.g. `http://127.0.0.1:41823`; empty for services without it.
    pub(crate) grpc: String,
    /// Health and metrics, e.g. `http://127.0.0.1:41823`.
    pub(crate) http: String,
    /// The bus, e.g. `nats://127.0.0.1:4222`.
    pub(crate) nats: String,
    /// This process.
    pub(crate) pid: u32,
    /// Where everything is kept.
    pub(crate) data_dir: PathBuf,
}

/// A ready file; it is removed when dropped.
#[derive(Debug)]
pub(crate) struct ReadyFile {
    path: Option<PathBuf>,
}

impl ReadyFile {
    /// Nothing is ready yet: the file of an earlier run is removed.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn pending(path: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = path {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("--ready-file: removing {}", path.display()));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(Self { path: path.map(Path::to_owned) })
    }

    /// Everything is ready.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, ready: &Ready) -> anyhow::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let draft = path.with_extension(format!("{}.draft", ready.pid));
        fs::write(&draft, serde_json::to_string(ready)? + "\n")
            .and_then(|()| fs::rename(&draft, path))
            .with_context(|| format!("--ready-file: writing {}", path.display()))
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // It may be gone already; nobody needs to know.
            let _ = fs::remove_file(path);
        }
    }
}
