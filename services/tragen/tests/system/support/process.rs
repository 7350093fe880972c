//! The built program as a child: started until ready, stopped, killed, restarted.

use super::{PATIENCE, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Instant,
};

/// What the ready file says.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Ready {
    /// The API; empty for services without it.
    pub(crate) grpc: String,
    /// Health and metrics.
    pub(crate) http: String,
    /// The process.
    pub(crate) pid: u32,
}

/// A running `tragen up` or `tragen serve`; it is stopped when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    /// What its ready file said when it started last.
    pub(crate) ready: Ready,
    name: String,
    arguments: Vec<String>,
    folder: PathBuf,
    child: Child,
}

/// The program, without the settings of the shell that runs the tests.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tragen"));
    for (name, _) in std::env::vars() {
        if name.starts_with("TRAGEN_") && name != "TRAGEN_NATS_SERVER" && name != "TRAGEN_TOOLS_DIR" {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn tragen(arguments: &[&str]) -> Output {
    program().args(arguments).output().expect("the program runs")
}

impl Process {
    /// Starts `tragen <arguments>` and waits until it is ready. Its output goes to `<folder>/<name>.log`.
    pub(crate) async fn start(name: &str, folder: &Path, arguments: Vec<String>) -> Self {
        let child = spawn(name, folder, &arguments);
        let ready = Ready { grpc: String::new(), http: String::new(), pid: child.id() };
        let mut process = Self { ready, name: name.to_owned(), arguments, folder: folder.to_owned(), child };
        process.wait_ready().await;
        process
    }

    /// Ends it without warning (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Starts it again with the same arguments, on another port if the old one is taken.
    pub(crate) async fn restart(&mut self) {
        self.child = spawn(&self.name, &self.folder, &self.arguments);
        self.wait_ready().await;
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        if self.child.try_wait().expect("its state").is_none() {
            kill_process(id, Signal::TERM).expect("it can be asked to stop");
        }
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "{} does not stop:\n{}", self.name, self.log());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// What it has printed so far, on both channels.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(log_file(&self.name, &self.folder)).unwrap_or_default()
    }

    async fn wait_ready(&mut self) {
        let file = ready_file(&self.name, &self.folder);
        let what = format!("{} is ready", self.name);
        let pid = self.child.id();
        self.ready = wait_until(PATIENCE, &what, async || {
            if let Some(status) = self.child.try_wait().expect("its state") {
                panic!("{} ended with {status}:\n{}", self.name, self.log());
            }
            let ready: Ready = serde_json::from_str(&fs::read_to_string(&file).ok()?).ok()?;
            // A killed process leaves its file behind.
            (ready.pid == pid).then_some(ready)
        })
        .await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.name, self.log());
        }
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) && !std::thread::panicking() {
            self.stop();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(name: &str, folder: &Path, arguments: &[String]) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(log_file(name, folder)).expect("a log");
    program()
        .args(arguments)
        .arg("--ready-file")
        .arg(ready_file(name, folder))
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn()
        .expect("the program starts")
}

fn ready_file(name: &str, folder: &Path) -> PathBuf {
    folder.join(format!("{name}.ready.json"))
}

fn log_file(name: &str, folder: &Path) -> PathBuf {
    folder.join(format!("{name}.log"))
}
