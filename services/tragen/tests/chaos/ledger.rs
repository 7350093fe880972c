//! One process of the ledger, which may be killed at any place.

use crate::{
    books::Place,
    proxy::Proxy,
    servers::{LOOK_EVERY, PATIENCE, Process},
};
use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};
use tokio::time::sleep;

/// How long an owner may be silent before another process takes its shard.
pub(crate) const LEASE_MS: u64 = 1_500;

/// A process of the ledger; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Ledger {
    process: Option<Process>,
    folder: PathBuf,
    nats_url: String,
    /// The wires to its servers, if it has any of its own.
    pub(crate) to_nats: Option<Proxy>,
    pub(crate) to_store: Option<Proxy>,
}

impl Ledger {
    /// For the books at `places` and the bus at `nats_url`; not started yet. Its
    /// files lie in `folder`. With `wires` it reaches its servers through proxies.
    pub(crate) async fn new(folder: PathBuf, places: &[Place], nats_url: &str, wires: bool) -> Self {
        fs::create_dir_all(&folder).expect("a folder");
        let mut ledger = Self { process: None, folder, nats_url: nats_url.to_owned(), to_nats: None, to_store: None };
        let mut places = places.to_vec();
        if wires {
            let port = port_of(nats_url);
            let wire = Proxy::to(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
            ledger.nats_url = nats_url.replace(&format!(":{port}"), &format!(":{}", wire.port()));
            ledger.to_nats = Some(wire);
            let port = port_of(&places[0].url);
            let wire = Proxy::to(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
            for place in &mut places {
                place.url = place.url.replace(&format!(":{port}/"), &format!(":{}/", wire.port()));
            }
            ledger.to_store = Some(wire);
        }
        // Small batches, a small memory and small messages: more seams at which something may go wrong.
        let mut config = format!(
            "[ledger]\nlease_ms = {LEASE_MS}\nbatch_items_max = 64\ncached_rows_max = 1024\n\
             fact_message_bytes_max = 16384\ndeposit_queue_max = 16\nshards = [\n"
        );
        for place in &places {
            let _ = writeln!(config, "  {{ url = \"{}\" }},", place.url);
        }
        config.push_str("]\n");
        fs::write(ledger.config(), config).expect("a file");
        ledger
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("tragen.toml")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Starts it; it is not ready yet.
    pub(crate) fn start(&mut self) {
        let mut command = self.command();
        self.process = Some(Process::start(&mut command, &self.file("log")));
    }

    /// Starts it, to say everything to `stderr` that it may say.
    pub(crate) fn start_logging_to(&mut self, stderr: Stdio) {
        let mut command = self.command();
        command.env("TRAGEN_LOG", "debug");
        self.process = Some(Process::start_logging_to(&mut command, stderr, &self.file("log")));
    }

    fn command(&self) -> Command {
        let _ = fs::remove_file(self.file("ready.json"));
        // A file that may not grow is an error for it, not its end.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_tragen"), "serve", "ledger"]);
        command.args(["--nats", &self.nats_url]);
        for (flag, file) in [("--config", "tragen.toml"), ("--data-dir", "data"), ("--ready-file", "ready.json")] {
            command.arg(flag).arg(self.file(file));
        }
        command.env("TRAGEN_FAILPOINT_FILE", self.file("failpoint"));
        command
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn ready(&mut self) {
        let started = Instant::now();
        while !self.file("ready.json").exists() {
            let said = self.said();
            let process = self.process.as_mut().expect("a started ledger");
            let is_over = process.ended().is_some() || started.elapsed() > PATIENCE;
            assert!(!is_over, "the ledger is not ready:\n{}", end_of(&said));
            sleep(LOOK_EVERY).await;
        }
    }

    /// The running process.
    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a started ledger")
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process().kill();
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        self.process.as_ref().map(Process::said).unwrap_or_default()
    }

    /// Whether it is stopped.
    pub(crate) fn is_frozen(&self) -> bool {
        let process = self.process.as_ref().expect("a started ledger");
        let status = fs::read_to_string(format!("/proc/{}/status", process.pid().as_raw_nonzero()));
        status.is_ok_and(|status| status.lines().any(|line| line.starts_with("State:\tT")))
    }

    /// Something happens when it passes `place` for the `passes`th time from now:
    /// `kill`, `stop` or `term`.
    pub(crate) fn arm(&self, place: &str, passes: i64, action: &str) {
        let fresh = self.file("failpoint.new");
        fs::write(&fresh, format!("{place}={passes},{action}\n")).expect("a file");
        fs::rename(fresh, self.file("failpoint")).expect("a file");
    }

    /// Nothing happens any more.
    pub(crate) fn disarm(&self) {
        let _ = fs::remove_file(self.file("failpoint"));
    }
}

/// The port in `scheme://...:port[/...]`.
fn port_of(url: &str) -> u16 {
    let (_, place) = url.rsplit_once(':').expect("a port");
    place.split('/').next().and_then(|port| port.parse().ok()).expect("a port")
}

/// The last lines of a log.
pub(crate) fn end_of(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// The program with `arguments`, run to its end: whether it ended well, and what it said.
pub(crate) fn tragen(arguments: &[&str], config: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tragen")).args(arguments).env("TRAGEN_CONFIG", config).output();
    let output = output.expect("the command runs");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    (output.status.success(), said.concat())
}
