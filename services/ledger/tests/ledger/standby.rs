//! A PostgreSQL of a test's own, with a standby that follows it.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

use super::rig::PATIENCE;

/// The name of the database.
const DATABASE: &str = "books";

/// A primary and its standby, in folders of one temporary folder.
pub(crate) struct Pair {
    primary: Server,
    standby: Option<Server>,
    folder: TempDir,
}

/// A server, until it is dropped.
pub(crate) struct Server {
    child: Child,
    /// Of its first database.
    pub(crate) url: String,
}

impl Pair {
    /// The standby is a copy of the primary's files, taken while it was stopped.
    pub(crate) async fn start() -> Self {
        let started = tokio::task::spawn_blocking(|| {
            let folder = TempDir::new().expect("a temporary folder");
            let (primary, standby) = (folder.path().join("primary"), folder.path().join("standby"));
            drop(Server::start(&primary, &[], "0"));
            std::fs::create_dir(&standby).expect("a folder");
            for part in ["data", "password"] {
                let copied = Command::new("cp").arg("-a").arg(primary.join(part)).arg(&standby).status();
                assert!(copied.expect("cp").success());
            }
            std::fs::write(standby.join("data/standby.signal"), "").expect("a file");
            Self { primary: Server::start(&primary, &[], "0"), standby: None, folder }
        });
        let mut pair = started.await.expect("servers");
        pair.start_standby().await;
        run(&pair.primary.url, &format!("CREATE DATABASE {DATABASE}")).await;
        pair.wait_for("SELECT COUNT(*) FROM pg_database WHERE datname = 'books'", 1).await;
        pair
    }

    /// Where the books are written.
    pub(crate) fn primary_url(&self) -> String {
        books(&self.primary.url)
    }

    /// Where they can only be read.
    pub(crate) fn standby_url(&self) -> String {
        books(&self.standby.as_ref().expect("a running standby").url)
    }

    /// Starts the standby, at the port it had before.
    pub(crate) async fn start_standby(&mut self) {
        let (folder, primary) = (self.standby_folder(), self.primary.url.clone());
        let port = std::fs::read_to_string(folder.join("port")).unwrap_or_else(|_| "0".to_owned());
        let standby = tokio::task::spawn_blocking(move || {
            let server = Server::start(&folder, &["-c", &format!("primary_conninfo={primary}")], &port);
            let port = server.url.rsplit(':').next().and_then(|end| end.split('/').next()).expect("a port");
            std::fs::write(folder.join("port"), port).expect("a file");
            server
        });
        self.standby = Some(standby.await.expect("a standby"));
    }

    /// Stops the standby.
    pub(crate) async fn stop_standby(&mut self) {
        let standby = self.standby.take();
        tokio::task::spawn_blocking(move || drop(standby)).await.expect("stopped");
    }

    /// What the primary does from now on is not seen on the standby.
    pub(crate) async fn pause(&self) {
        run(&self.standby_url(), "SELECT pg_wal_replay_pause()").await;
        self.wait_for("SELECT COUNT(*) WHERE pg_get_wal_replay_pause_state() = 'paused'", 1).await;
    }

    /// The standby catches up.
    pub(crate) async fn resume(&self) {
        run(&self.standby_url(), "SELECT pg_wal_replay_resume()").await;
    }

    /// Waits until `select` gives `expected` on the standby; what it cannot answer yet is asked again.
    pub(crate) async fn wait_for(&self, select: &str, expected: i64) {
        let url = self.standby.as_ref().expect("a running standby").url.clone();
        let url = if select.contains("pg_database") { url } else { books(&url) };
        let started = Instant::now();
        loop {
            let actual = number(&url, select).await;
            if actual.as_ref().is_ok_and(|actual| *actual == expected) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{select} is {actual:?}, not {expected}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn standby_folder(&self) -> PathBuf {
        self.folder.path().join("standby")
    }
}

impl Server {
    /// On the data in `folder`, or new ones. `port` 0 is any free one.
    pub(crate) fn start(folder: &Path, arguments: &[&str], port: &str) -> Self {
        let serve = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/serve");
        let mut child = Command::new(serve)
            .args(["--port", port, "postgres"])
            .arg(folder)
            .arg("--")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tools/serve, which needs Python 3");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("an answer of tools/serve");
        let url = line.split('"').find(|part| part.starts_with("postgres://"));
        let url = url.expect("PostgreSQL 15 or newer; see the message of tools/serve above").to_owned();
        Self { child, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It stops when its stdin closes.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The database of the books on the server at `url`.
pub(crate) fn books(url: &str) -> String {
    let (server, _) = url.rsplit_once('/').expect("a url");
    format!("{server}/{DATABASE}")
}

/// Runs statements that give nothing.
pub(crate) async fn run(url: &str, text: &str) {
    let mut db = PgConnection::connect(url).await.expect("a connection");
    sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut db).await.expect("valid SQL");
}

async fn number(url: &str, select: &str) -> Result<i64, sqlx::Error> {
    let mut db = PgConnection::connect(url).await?;
    Ok(sqlx::query(AssertSqlSafe(select.to_owned())).fetch_one(&mut db).await?.get(0))
}
