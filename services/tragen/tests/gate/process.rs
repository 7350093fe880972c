//! One process of the platform, which may be killed, frozen and woken up.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How long anything may take that has nothing to do with what is proved.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often a state is looked at that somebody waits for.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A service; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    folder: PathBuf,
    /// How long the log was when it was listened to from.
    heard: usize,
}

impl Process {
    /// Starts `service` with its data in `data`; its own files lie in `folder`.
    pub(crate) fn start(service: &str, nats: &str, folder: &Path, data: &Path) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        for old in ["ready.json", "failpoint", "clock"] {
            let _ = fs::remove_file(folder.join(old));
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("a log");
        let heard = usize::try_from(log.metadata().expect("a file").len()).expect("fits");
        let child = Command::new(env!("CARGO_BIN_EXE_tragen"))
            .args(["serve", service, "--nats", nats, "--store", "sqlite", "--data-dir"])
            .arg(data)
            .arg("--ready-file")
            .arg(folder.join("ready.json"))
            .env("TRAGEN_FAILPOINT_FILE", folder.join("failpoint"))
            .env("TRAGEN_CLOCK_FILE", folder.join("clock"))
            .env("TRAGEN_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        Self { child, folder: folder.to_owned(), heard }
    }

    /// Waits until it does its work.
    pub(crate) async fn ready(&mut self) {
        let started = Instant::now();
        while !self.folder.join("ready.json").exists() {
            assert!(!self.is_gone() && started.elapsed() < PATIENCE, "it is not ready:\n{}", self.said());
            sleep(LOOK_EVERY).await;
        }
    }

    /// Where its API is, once it is ready.
    pub(crate) fn grpc(&self) -> String {
        let ready = fs::read(self.folder.join("ready.json")).expect("it is ready");
        let ready: serde_json::Value = serde_json::from_slice(&ready).expect("JSON");
        ready["grpc"].as_str().expect("an address").to_owned()
    }

    /// What it has said since it was started, woken up or listened to anew.
    pub(crate) fn said(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(log.get(self.heard..).unwrap_or_default()).into_owned()
    }

    /// Waits until it says `words`.
    pub(crate) async fn says(&self, words: &str) {
        let started = Instant::now();
        while !self.said().contains(words) {
            assert!(started.elapsed() < PATIENCE, "it does not say {words:?}:\n{}", self.said());
            sleep(LOOK_EVERY).await;
        }
    }

    /// It kills or stops itself when it passes `place` for the `passes`th time from now.
    pub(crate) fn arm(&self, place: &str, passes: u64, action: &str) {
        let fresh = self.folder.join("failpoint.new");
        fs::write(&fresh, format!("{place}={passes},{action}\n")).expect("a file");
        fs::rename(fresh, self.folder.join("failpoint")).expect("a file");
    }

    /// Nothing happens at any place any more.
    pub(crate) fn disarm(&self) {
        let _ = fs::remove_file(self.folder.join("failpoint"));
    }

    /// From now on its wall clock is so far off.
    pub(crate) fn jump(&self, micros: i64) {
        let fresh = self.folder.join("clock.new");
        fs::write(&fresh, micros.to_string()).expect("a file");
        fs::rename(fresh, self.folder.join("clock")).expect("a file");
    }

    /// SIGSTOP.
    pub(crate) fn freeze(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).expect("a running process");
    }

    /// What it has said so far is not listened to any more.
    pub(crate) fn hear_from_now(&mut self) {
        let log = fs::metadata(self.folder.join("log")).expect("a log");
        self.heard = usize::try_from(log.len()).expect("fits");
    }

    /// SIGCONT.
    pub(crate) fn wake(&mut self) {
        self.hear_from_now();
        kill_process(Pid::from_child(&self.child), Signal::CONT).expect("a process");
    }

    /// Whether it has ended.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Whether it is stopped.
    pub(crate) fn is_frozen(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        status.is_ok_and(|status| status.lines().any(|line| line.starts_with("State:\tT")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
