//! A private PostgreSQL that is as durable as the one the ledger needs.

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection};
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Room for all accounts in memory, and no checkpoint within a short run.
const SETTINGS: [&str; 4] = ["synchronous_commit=on", "shared_buffers=1GB", "min_wal_size=1GB", "max_wal_size=4GB"];
/// 1 GB for the log. The checkpoint keeps those files and writes over them from then on, as on a server
/// that has run for a while; a new file costs the commit that needs it 15 ms.
const AGE: [&str; 2] = [
    "SELECT COUNT(pg_logical_emit_message(false, 'age', repeat('x', 1048576))) FROM generate_series(1, 1024)",
    "CHECKPOINT",
];
/// What decides about speed and durability.
const SHOWN: &str = "SELECT name, current_setting(name) FROM pg_settings WHERE name IN ('server_version', 'fsync',
    'synchronous_commit', 'full_page_writes', 'data_checksums', 'wal_sync_method', 'wal_compression',
    'shared_buffers', 'min_wal_size', 'max_wal_size', 'checkpoint_timeout', 'commit_delay') ORDER BY name";

/// How its clients reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Wire {
    /// A Unix socket, the fastest
    Socket,
    /// TCP on the loopback interface, as through a network without delay
    Tcp,
}

/// Runs until it is dropped.
#[derive(Debug)]
pub(crate) struct PostgresServer {
    child: Child,
    url: String,
    pid: u32,
    further: Vec<String>,
}

#[derive(Debug, serde::Deserialize)]
struct Ready {
    url: String,
    pid: u32,
    /// The folder of its Unix socket, unless that path would be too long.
    socket: Option<String>,
}

impl PostgresServer {
    /// With its data in `folder` and the `further` settings, each as `name=value`.
    ///
    /// # Errors
    /// When there is no PostgreSQL, or it refuses a setting; `tools/serve` says more on stderr.
    /// Also when `folder`'s name is too long for a socket that is asked for.
    pub(crate) fn start(folder: &Path, wire: Wire, further: &[String]) -> anyhow::Result<Self> {
        let serve = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/serve");
        let mut command = Command::new(serve);
        command.args(["--sync", "always", "postgres"]).arg(folder).arg("--");
        for setting in SETTINGS.into_iter().chain(further.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("running tools/serve")?;
        let stdout = child.stdout.take().context("the output of tools/serve")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("waiting for PostgreSQL")?;
        let ready = serde_json::from_str(&line).context("PostgreSQL did not start, see above");
        // From here on it is stopped whatever happens.
        let mut server = Self { child, url: String::new(), pid: 0, further: further.to_vec() };
        let Ready { url, pid, socket } = ready?;
        server.pid = pid;
        server.url = match wire {
            Wire::Tcp => url,
            Wire::Socket => {
                let socket = socket.context("the name of the folder is too long for a socket; set TMPDIR")?;
                format!("{url}?host={}", socket.replace('/', "%2F"))
            }
        };
        Ok(server)
    }

    /// Where it takes connections, with the password.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The process all its other processes are children of.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// A new session.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(crate) async fn connect(&self) -> anyhow::Result<PgConnection> {
        PgConnection::connect(&self.url).await.context("connecting to PostgreSQL")
    }

    /// Makes the server behave as one that is not new.
    ///
    /// # Errors
    /// When the server does not answer, or the disk is full.
    pub(crate) async fn age(&self) -> anyhow::Result<()> {
        let mut session = self.connect().await?;
        for statement in AGE {
            sqlx::raw_sql(statement).execute(&mut session).await.context("writing PostgreSQL's log")?;
        }
        Ok(())
    }

    /// The settings that matter here, by name.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(crate) async fn settings(&self) -> anyhow::Result<Vec<(String, String)>> {
        let shown: Vec<(String, String)> = sqlx::query_as(SHOWN).fetch_all(&mut self.connect().await?).await?;
        let further = self.further.iter().filter_map(|setting| setting.split_once('='));
        let further = further.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let named = shown.into_iter().chain(further);
        Ok(named.map(|(name, value)| (format!("postgres {name}"), value)).collect())
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // It stops when its stdin closes.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
