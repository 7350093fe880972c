//! Processes that can be killed, frozen and starved; all of them end with the load test.

use anyhow::Context as _;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde::Deserialize;
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How long anything may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a server or service writes into its file when it is ready.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Ready {
    /// Of a server: its address.
    #[serde(default)]
    pub(super) url: String,
    /// The process itself.
    #[serde(default)]
    pub(super) pid: u32,
}

/// How a process is started, each time anew.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) ready_file: PathBuf,
    pub(super) log: PathBuf,
}

/// A process that is killed when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    recipe: Recipe,
    child: Child,
    /// Of the server itself, where what was started only looks after it.
    pid: Option<Pid>,
    is_frozen: bool,
    pub(super) ready: Ready,
}

impl Process {
    /// Starts it with `more` variables; it need not be ready yet.
    pub(super) fn start(recipe: Recipe, more: &[(String, String)]) -> anyhow::Result<Self> {
        let _ = fs::remove_file(&recipe.ready_file);
        let log = fs::OpenOptions::new().create(true).append(true).open(&recipe.log).context("opening a log")?;
        let child = Command::new(&recipe.program)
            .args(&recipe.arguments)
            .envs(recipe.environment.iter().cloned())
            .envs(more.iter().cloned())
            // A server ends with this pipe, so nothing is left behind.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", recipe.program.display()))?;
        let pid = Some(Pid::from_child(&child));
        Ok(Self { recipe, child, pid, is_frozen: false, ready: Ready::default() })
    }

    /// Waits until it is ready.
    pub(super) async fn ready(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            if let Ok(text) = fs::read_to_string(&self.recipe.ready_file)
                && let Ok(ready) = serde_json::from_str::<Ready>(&text)
            {
                self.pid = i32::try_from(ready.pid).ok().and_then(Pid::from_raw).or(self.pid);
                self.ready = ready;
                return Ok(());
            }
            let is_over = self.is_gone() || started.elapsed() > READY_WITHIN;
            anyhow::ensure!(!is_over, "{:?} is not ready, see {}", self.recipe.arguments, self.recipe.log.display());
            sleep(LOOK_EVERY).await;
        }
    }

    /// Starts it again with `more` variables; kills it first if it runs.
    pub(super) fn restart(&mut self, more: &[(String, String)]) -> anyhow::Result<()> {
        self.kill();
        *self = Self::start(self.recipe.clone(), more)?;
        Ok(())
    }

    /// SIGKILL to what does the work.
    pub(super) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.is_frozen = false;
        if self.pid == Some(Pid::from_child(&self.child)) {
            let _ = self.child.kill();
        }
        // What looked after a server ends by itself when that is gone.
        let _ = self.child.wait();
    }

    /// SIGSTOP.
    pub(super) fn freeze(&mut self) {
        self.signal(Signal::STOP);
        self.is_frozen = true;
    }

    /// SIGCONT.
    pub(super) fn wake(&mut self) {
        self.signal(Signal::CONT);
        self.is_frozen = false;
    }

    /// Largest file that it and what it has started may write, bytes; `None` for what we may ourselves.
    pub(super) fn limit_files(&self, bytes: Option<u64>) {
        let own = getrlimit(Resource::Fsize);
        let limit = Rlimit { current: bytes.or(own.current), maximum: own.maximum };
        let Some(pid) = self.pid else { return };
        // One that has ended in the meantime needs no limit.
        let _ = prlimit(Some(pid), Resource::Fsize, limit);
        // Looked for only now: what is started meanwhile has the limit already.
        for child in children(pid) {
            let _ = prlimit(Some(child), Resource::Fsize, limit);
        }
    }

    /// Whether it has ended.
    pub(super) fn is_gone(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn signal(&mut self, signal: Signal) {
        // A pid belongs to somebody else once its process is over.
        if !self.is_gone()
            && let Some(pid) = self.pid
        {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Closing the pipe lets `tools/serve` stop its server; a frozen one must be woken up for that.
        self.wake();
        drop(self.child.stdin.take());
        if self.pid == Some(Pid::from_child(&self.child)) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// What a process has started.
fn children(of: Pid) -> Vec<Pid> {
    let parent = format!("PPid:\t{}", of.as_raw_nonzero());
    let is_child = |pid: &Pid| {
        let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
        status.is_ok_and(|status| status.lines().any(|line| line == parent))
    };
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = numbers.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(is_child).collect()
}

/// A port that was free a moment ago, for what must come back at the same address.
pub(super) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
    Ok(listener.local_addr().context("looking for a free port")?.port())
}

/// The path as an argument.
pub(super) fn argument(path: &Path) -> String {
    path.display().to_string()
}
