//! A private nats-server: the child of `tragen up`, and of every test.

use anyhow::Context as _;
use rustix::process::{Pid, Signal};
use serde::Deserialize;
use std::{
    ffi::OsStr,
    io::ErrorKind,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a server may take until it is ready.
const READY_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long one that was left behind may take to end by itself, and to end at all.
const ORPHAN_ASKED: Duration = Duration::from_secs(5);
const ORPHAN_WAIT_MAX: Duration = Duration::from_secs(10);

/// How often the server fsyncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before every acknowledgment: a power cut loses nothing.
    Always,
    /// Every two minutes: for measurements.
    ServerDefault,
}

/// The nats-server to start: `TRAGEN_NATS_SERVER`, else one on PATH, else what the
/// repository's `tools/fetch nats` finds or installs.
///
/// # Errors
/// When there is none; the message says what to do.
pub fn find_binary() -> anyhow::Result<PathBuf> {
    const REMEDY: &str = "install nats-server 2.11 or newer, or set TRAGEN_NATS_SERVER to its path";
    if let Some(path) = std::env::var_os("TRAGEN_NATS_SERVER") {
        let path = PathBuf::from(path);
        anyhow::ensure!(path.is_file(), "TRAGEN_NATS_SERVER names {}, which is not a file", path.display());
        return Ok(path);
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    if let Some(found) = std::env::split_paths(&folders).map(|f| f.join("nats-server")).find(|p| p.is_file()) {
        return Ok(found);
    }
    let here = std::env::current_dir().context("reading the current folder")?;
    let Some(fetch) = here.ancestors().map(|folder| folder.join("tools/fetch")).find(|p| p.is_file()) else {
        anyhow::bail!("there is no nats-server on this machine: {REMEDY}");
    };
    let output = Command::new(&fetch).arg("nats").stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("running {}", fetch.display()))?;
    anyhow::ensure!(output.status.success(), "{} could not provide nats-server: {REMEDY}", fetch.display());
    let path = String::from_utf8(output.stdout).context("reading the path of nats-server")?;
    Ok(PathBuf::from(path.trim()))
}

/// A running nats-server; it is stopped when dropped.
#[derive(Debug)]
pub struct NatsServer {
    child: Child,
    url: String,
    binary: PathBuf,
    folder: PathBuf,
    sync: Sync,
    port: u16,
}

#[derive(Debug, Deserialize)]
struct Ports {
    nats: Vec<String>,
}

impl NatsServer {
    /// Starts `binary` on a free port of 127.0.0.1 with its store in `folder`. A server that an earlier, killed
    /// start has left there is ended first.
    ///
    /// # Errors
    /// When it cannot be started or is not ready within ten seconds.
    pub async fn start(binary: &Path, folder: &Path, sync: Sync) -> anyhow::Result<Self> {
        Self::start_on(binary, folder, sync, 0).await
    }

    async fn start_on(binary: &Path, folder: &Path, sync: Sync, port: u16) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let config = folder.join("nats.conf");
        for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "ports") {
                end_orphan(&path, &config).await?;
                match std::fs::remove_file(&path) {
                    // A server that is asked to end takes its file with it.
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(error).with_context(|| format!("removing {}", path.display()));
                    }
                    Ok(()) | Err(_) => {}
                }
            }
        }
        std::fs::write(&config, config_text(folder, sync, port))
            .with_context(|| format!("writing {}", config.display()))?;
        let log = std::fs::File::create(folder.join("nats.log")).context("creating the nats-server log")?;
        let child = Command::new(binary)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C is for us: we drain first and stop the server last.
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let mut server =
            Self { child, url: String::new(), binary: binary.to_owned(), folder: folder.to_owned(), sync, port: 0 };
        server.wait_ready().await?;
        Ok(server)
    }

    /// Where clients connect, e.g. `nats://127.0.0.1:41823`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it without warning (SIGKILL); the store stays.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port and store.
    ///
    /// # Errors
    /// As [`NatsServer::start`].
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        let fresh = Self::start_on(&self.binary, &self.folder, self.sync, self.port).await?;
        *self = fresh;
        Ok(())
    }

    async fn wait_ready(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let ports_file = self.folder.join(format!("{}_{}.ports", binary_name(&self.binary), self.child.id()));
        loop {
            if let Some(status) = self.child.try_wait().context("watching nats-server")? {
                let log = std::fs::read_to_string(self.folder.join("nats.log")).unwrap_or_default();
                anyhow::bail!("nats-server ended at once ({status}): {}", log.lines().last().unwrap_or("no log"));
            }
            if let Ok(text) = std::fs::read_to_string(&ports_file)
                && let Ok(ports) = serde_json::from_str::<Ports>(&text)
                && let Some(url) = ports.nats.first()
            {
                self.url.clone_from(url);
                self.port = url.rsplit(':').next().and_then(|p| p.parse().ok()).context("reading the port")?;
                if jetstream_answers(url).await {
                    return Ok(());
                }
            }
            anyhow::ensure!(started.elapsed() < READY_WAIT_MAX, "nats-server was not ready within 10 s");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ends the server that has left `ports_file`, if it still runs: whoever started it was killed without warning.
/// Two servers on one store would spoil it.
async fn end_orphan(ports_file: &Path, config: &Path) -> anyhow::Result<()> {
    let name = ports_file.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    let Some(pid) = name.rsplit('_').next().and_then(|pid| Pid::from_raw(pid.parse().ok()?)) else { return Ok(()) };
    let started = Instant::now();
    let mut signal = Signal::TERM;
    // The pid may be somebody else's by now.
    while command_of(pid).is_some_and(|command| command.contains(&*config.to_string_lossy())) {
        anyhow::ensure!(
            started.elapsed() < ORPHAN_WAIT_MAX,
            "a nats-server of an earlier start (process {}) does not end",
            pid.as_raw_nonzero()
        );
        if started.elapsed() > ORPHAN_ASKED {
            signal = Signal::KILL;
        }
        // It may have ended by itself since it was looked at.
        let _ = rustix::process::kill_process(pid, signal);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The command line of a running process.
fn command_of(pid: Pid) -> Option<String> {
    let number = pid.as_raw_nonzero().to_string();
    if Path::new("/proc/self").exists() {
        let line = std::fs::read(format!("/proc/{number}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&line).into_owned());
    }
    let output = Command::new("ps").args(["-o", "command=", "-p", &number]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn jetstream_answers(url: &str) -> bool {
    let Ok(client) = async_nats::connect(url).await else { return false };
    async_nats::jetstream::new(client).query_account().await.is_ok()
}

fn binary_name(binary: &Path) -> String {
    binary.file_name().map_or_else(|| "nats-server".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The largest message of the bus, as servers are told it: a reduction of 20,000 positions is one. The file for
/// deployment and `tools/serve` say the same.
pub const PAYLOAD_MAX: &str = "4MB";
/// The same, bytes.
pub const PAYLOAD_BYTES_MAX: usize = 4 << 20;

fn config_text(folder: &Path, sync: Sync, port: u16) -> String {
    let port = if port == 0 { -1 } else { i32::from(port) };
    let sync = match sync {
        Sync::Always => "sync_interval: always",
        Sync::ServerDefault => "",
    };
    let folder = folder.display();
    format!(
        "listen: \"127.0.0.1:{port}\"\nports_file_dir: \"{folder}\"\nmax_payload: {PAYLOAD_MAX}\n\
         jetstream {{ store_dir: \"{folder}\", {sync} }}\n"
    )
}
