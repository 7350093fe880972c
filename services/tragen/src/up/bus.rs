//! The bus of `tragen up`: a given one, or an own nats-server that is stopped last.

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use tragen_bus::server::{NatsServer, Sync, find_binary};

/// The oldest nats-server that has what Tragen needs: message times to live.
pub(crate) const OLDEST: (u32, u32) = (2, 11);

/// How long a server that was left behind may take to end.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Whose bus it is.
#[derive(Debug)]
pub(crate) enum OwnOrGiven {
    /// Somebody else's, by address.
    Given(String),
    /// A child of this process.
    Own(NatsServer),
}

impl OwnOrGiven {
    /// The given bus, or an own one with its store in `data_dir`.
    ///
    /// # Errors
    /// When there is no nats-server, with the remedy, or it cannot be started.
    pub(crate) async fn start(given: Option<String>, data_dir: &Path) -> anyhow::Result<Self> {
        if let Some(url) = given.filter(|url| !url.is_empty()) {
            return Ok(Self::Given(url));
        }
        let binary = find_binary()?;
        check_version(&binary)?;
        let folder = data_dir.join("nats");
        end_left_behind(&folder).await?;
        Ok(Self::Own(NatsServer::start(&binary, &folder, Sync::Always).await?))
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Given(url) => url,
            Self::Own(server) => server.url(),
        }
    }

    /// Stops an own bus; everything acknowledged is on disk already.
    pub(crate) fn stop(self) {
        match self {
            Self::Given(_) => {}
            Self::Own(server) => drop(server),
        }
    }
}

/// What the nats-server at `binary` says of its version, if it is new enough.
///
/// # Errors
/// When it does not run or is too old, with the remedy.
pub(crate) fn check_version(binary: &Path) -> anyhow::Result<String> {
    let output =
        Command::new(binary).arg("--version").output().with_context(|| format!("running {}", binary.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if version(&said).is_some_and(|found| found >= OLDEST) {
        return Ok(said);
    }
    anyhow::bail!(
        "{} says {said:?}, but nats-server {}.{} or newer is needed: install one (https://nats.io/download), \
         or set TRAGEN_NATS_SERVER to the output of tools/fetch nats",
        binary.display(),
        OLDEST.0,
        OLDEST.1
    )
}

/// Major and minor of e.g. `nats-server: v2.12.3`.
fn version(text: &str) -> Option<(u32, u32)> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let mut numbers = text[start..].split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Ends a server of ours that outlived a `tragen up` which was killed: two on
/// one store would destroy it.
async fn end_left_behind(folder: &Path) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let name = entry.context("reading the bus folder")?.file_name().to_string_lossy().into_owned();
        let number = name.strip_suffix(".ports").and_then(|rest| rest.rsplit('_').next()?.parse().ok());
        let Some(pid) = number.and_then(Pid::from_raw).filter(|pid| is_ours(*pid, folder)) else { continue };
        kill_process(pid, Signal::TERM).context("stopping a nats-server that was left behind")?;
        let started = Instant::now();
        while test_kill_process(pid).is_ok() {
            anyhow::ensure!(started.elapsed() < END_WITHIN, "nats-server {} does not end", pid.as_raw_nonzero());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

/// Whether the process is a server with its configuration in `folder`; numbers are used again.
fn is_ours(pid: Pid, folder: &Path) -> bool {
    let number = pid.as_raw_nonzero().to_string();
    let line = match fs::read(format!("/proc/{number}/cmdline")) {
        Ok(line) => line,
        Err(_) => match Command::new("ps").args(["-p", &number, "-o", "args="]).output() {
            Ok(output) => output.stdout,
            Err(_) => return false,
        },
    };
    String::from_utf8_lossy(&line).contains(&*folder.join("nats.conf").to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let is_new_enough = |text| version(text).is_some_and(|found| found >= OLDEST);
        for text in ["nats-server: v2.11.0", "nats-server: v2.12.3", "nats-server: v3.0.0-beta.1"] {
            assert!(is_new_enough(text), "{text}");
        }
        for text in ["nats-server: v2.9.25", "nats-server: v2.10.0", "", "nats-server"] {
            assert!(!is_new_enough(text), "{text}");
        }
    }
}
