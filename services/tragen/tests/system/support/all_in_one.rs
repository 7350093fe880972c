//! `tragen up` in a temporary folder.

use super::{
    client::{Client, Who},
    process::Process,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Everything in one process, without demo and screen.
#[derive(Debug)]
pub(crate) struct AllInOne {
    /// The process: to stop, to kill, to read its log.
    pub(crate) process: Process,
    folder: TempDir,
}

impl AllInOne {
    /// Starts `tragen up --no-demo --quiet <flags>`; a trade can be accepted when it returns.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let data_dir = folder.path().join("data");
        let fixed = ["up", "--no-demo", "--quiet", "--data-dir", data_dir.to_str().expect("a path")];
        let arguments = fixed.iter().chain(flags).map(ToString::to_string).collect();
        let process = Process::start("up", folder.path(), arguments).await;
        Self { process, folder }
    }

    /// The data folder, as a flag.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where the API is.
    pub(crate) fn endpoint(&self) -> &str {
        &self.process.ready.grpc
    }

    /// Speaks as `who`.
    pub(crate) async fn client(&self, who: Who) -> Client {
        Client::connect(self.endpoint(), &self.data_dir(), who).await
    }

    /// Starts it again in the same folder, after a kill or a stop; clients must connect anew.
    pub(crate) async fn restart(&mut self) {
        self.process.restart().await;
    }
}

impl Drop for AllInOne {
    fn drop(&mut self) {
        self.process.stop();
        end_bus_of(&self.data_dir());
    }
}

/// A killed `tragen up` leaves its bus behind, for the next one to end.
fn end_bus_of(data_dir: &Path) {
    let folder = data_dir.join("nats");
    let Ok(entries) = fs::read_dir(&folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_suffix(".ports").and_then(|rest| rest.rsplit('_').next()?.parse::<i32>().ok());
        let Some(pid) = pid else { continue };
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&*folder.to_string_lossy())
            && let Some(pid) = Pid::from_raw(pid)
        {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
