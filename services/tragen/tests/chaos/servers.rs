//! Processes that can be killed, frozen and starved, and PostgreSQL servers made
//! of them. All of them end with the test.

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use sqlx::{AssertSqlSafe, Connection as _};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How long anything may take that has nothing to do with what is proved.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often a state is looked at that somebody waits for.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// A process that is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it says on stderr is added to `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        // Through a pipe: a process that may not write to its files can still say so.
        Self::start_logging_to(command, Stdio::piped(), log)
    }

    /// Starts `command`, which says what it says to `stderr`; if that is piped, it is added to `log`.
    pub(crate) fn start_logging_to(command: &mut Command, stderr: Stdio, log: &Path) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(stderr).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
        if let Some(said) = child.stderr.take() {
            keep(said, log);
        }
        Self { child, log: log.to_owned() }
    }

    /// Its id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a running process");
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Waits for its end.
    pub(crate) async fn end(&mut self, within: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < within {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            sleep(LOOK_EVERY).await;
        }
        None
    }

    /// What it has said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The memory it uses, bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Copies what is said to a file until its speaker is gone.
fn keep(mut said: impl Read + Send + 'static, log: &Path) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
    thread::spawn(move || {
        let _ = std::io::copy(&mut said, &mut file);
    });
}

/// A line of JSON of `tools/serve`.
#[derive(Debug, Clone, Deserialize)]
struct Ready {
    url: String,
    pid: i32,
}

/// A PostgreSQL of our own, which waits for the disk before it answers.
#[derive(Debug)]
pub(crate) struct Postgres {
    folder: PathBuf,
    /// For the server itself.
    arguments: &'static [&'static str],
    ready: Ready,
    serve: Child,
}

impl Postgres {
    /// Starts one with its data in `folder`.
    pub(crate) async fn start(folder: PathBuf) -> Self {
        Self::start_with(folder, &[]).await
    }

    /// The same with `arguments` for the server itself.
    pub(crate) async fn start_with(folder: PathBuf, arguments: &'static [&'static str]) -> Self {
        let (serve, ready) = serve(folder.clone(), 0, arguments).await;
        Self { folder, arguments, ready, serve }
    }

    /// Where it listens, on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        let (_, place) = self.ready.url.rsplit_once(':').expect("a port");
        place.split('/').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// The url of a database on it.
    pub(crate) fn url(&self, database: &str) -> String {
        let (server, _) = self.ready.url.rsplit_once('/').expect("a url");
        format!("{server}/{database}")
    }

    /// Makes a database.
    pub(crate) async fn create(&self, database: &str) {
        let mut connection = sqlx::PgConnection::connect(&self.ready.url).await.expect("a connection");
        let create = AssertSqlSafe(format!("CREATE DATABASE {database}"));
        sqlx::raw_sql(create).execute(&mut connection).await.expect("a database");
    }

    /// The processes of connections to `database`, but ours; none while the server does not answer.
    pub(crate) async fn backends(&self, database: &str) -> Vec<Pid> {
        let pids = "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()";
        let Ok(mut connection) = sqlx::PgConnection::connect(&self.ready.url).await else { return Vec::new() };
        let pids = sqlx::query_scalar::<_, i32>(pids).bind(database).fetch_all(&mut connection).await;
        pids.unwrap_or_default().into_iter().filter_map(Pid::from_raw).collect()
    }

    /// Ends all connections to `database` and uses them all, until it has none for as long as `lasts`.
    pub(crate) async fn crowd_out(&self, database: &str, lasts: Duration) -> Vec<sqlx::PgConnection> {
        let end = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1";
        let (started, mut crowd) = (Instant::now(), Vec::new());
        let mut alone_since = None;
        while alone_since.is_none_or(|since: Instant| since.elapsed() < lasts) {
            assert!(started.elapsed() < PATIENCE, "others still get connections");
            match sqlx::PgConnection::connect(&self.ready.url).await {
                Ok(connection) => crowd.push(connection),
                Err(sqlx::Error::Database(refused)) => {
                    assert_eq!(refused.code().as_deref(), Some("53300"), "too many connections: {refused}");
                    let first = crowd.first_mut().expect("a connection of ours");
                    let ended: i64 = sqlx::query_scalar(end).bind(database).fetch_one(first).await.expect("an answer");
                    alone_since = if ended == 0 { alone_since.or_else(|| Some(Instant::now())) } else { None };
                }
                Err(error) => panic!("connecting: {error}"),
            }
        }
        crowd
    }

    /// The server's main process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.ready.pid).expect("a pid")
    }

    /// SIGKILL to the main process, or SIGQUIT, which is `pg_ctl stop -m immediate`.
    pub(crate) async fn fell(&mut self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a running server");
        self.has_ended().await;
    }

    /// Waits until it is gone.
    pub(crate) async fn has_ended(&mut self) {
        let started = Instant::now();
        while self.serve.try_wait().expect("a child").is_none() {
            assert!(started.elapsed() < PATIENCE, "PostgreSQL does not end");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_over(&mut self) -> bool {
        self.serve.try_wait().expect("a child").is_some()
    }

    /// Starts it again on the same port and data.
    pub(crate) async fn restart(&mut self) {
        (self.serve, self.ready) = serve(self.folder.clone(), self.port(), self.arguments).await;
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // It stops when its stdin closes.
        drop(self.serve.stdin.take());
        let _ = self.serve.wait();
    }
}

async fn serve(folder: PathBuf, port: u16, arguments: &'static [&'static str]) -> (Child, Ready) {
    let starting = move || {
        let mut child = Command::new(repository().join("tools/serve"))
            .args(["--sync", "always", "--port", &port.to_string(), "postgres"])
            .arg(&folder)
            .arg("--")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tools/serve, which needs Python 3");
        keep(child.stderr.take().expect("piped"), &folder.with_extension("serve.log"));
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let ready = serde_json::from_str(&line);
        let log = folder.with_extension("serve.log");
        let ready = ready.unwrap_or_else(|_| panic!("PostgreSQL is not ready, see {}", log.display()));
        (child, ready)
    };
    tokio::task::spawn_blocking(starting).await.expect("PostgreSQL 15 or newer")
}
