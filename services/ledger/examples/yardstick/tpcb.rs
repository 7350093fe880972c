//! pgbench's TPC-B-like script, which everybody knows: one update each of an
//! account, a teller and a branch, one line of history, one transaction.

use super::{
    figures::{Figure, Latency},
    processor::Usage,
    server::PostgresServer,
};
use anyhow::Context as _;
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Branches; 100,000 accounts each.
const SCALE: &str = "10";
const CLIENTS: [u32; 5] = [1, 4, 8, 16, 32];

/// One figure for each number of clients, `duration` each.
///
/// # Errors
/// When there is no pgbench beside the server's programs, or it fails.
pub(crate) async fn measure(server: &PostgresServer, folder: &Path, duration: Duration) -> anyhow::Result<Vec<Figure>> {
    let pgbench = find_pgbench()?;
    let seconds = duration.as_secs().to_string();
    sqlx::raw_sql("DROP TABLE IF EXISTS account, transfer").execute(&mut server.connect().await?).await?;
    run(&pgbench, ["-i", "-q", "-s", SCALE, server.url()], folder).await?;
    let mut figures = Vec::new();
    for clients in CLIENTS {
        sqlx::raw_sql("CHECKPOINT").execute(&mut server.connect().await?).await?;
        let (before, started) = (Usage::now(Some(server.pid())), Instant::now());
        // Prepared statements are what a service would use, and faster. -l: a line for each transaction.
        let options = ["-M", "prepared", "-T", &seconds, "-c", &clients.to_string(), "-j", &clients.min(4).to_string()];
        let output = run(&pgbench, options.into_iter().chain(["-l", "-n", server.url()]), folder).await?;
        let elapsed = started.elapsed();
        let processor = Usage::now(Some(server.pid())).zip(before).and_then(|(after, b)| after.since(b, elapsed));
        let figure = Figure {
            part: "tpcb",
            store: "postgres",
            way: "pgbench",
            accounts: Some(1_000_000),
            batch: 1,
            connections: clients,
            per_second: per_second(&output).with_context(|| format!("pgbench does not say the tps:\n{output}"))?,
            transaction: Latency::of(logged(folder)?),
            processor,
            ..Figure::default()
        };
        figures.push(figure);
    }
    Ok(figures)
}

/// Beside the server that `tools/serve` runs.
fn find_pgbench() -> anyhow::Result<PathBuf> {
    let fetch = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/fetch");
    let found = Command::new(fetch).arg("postgres").stderr(Stdio::inherit()).output().context("running tools/fetch")?;
    let pgbench = Path::new(String::from_utf8(found.stdout)?.trim()).join("pgbench");
    anyhow::ensure!(
        pgbench.is_file(),
        "there is no {}: install PostgreSQL with its client programs (Debian: apt install postgresql) \
         or set TRAGEN_POSTGRES_BIN to a folder with pgbench, or leave tpcb out",
        pgbench.display()
    );
    Ok(pgbench)
}

/// What it prints. The logs of pgbench go to `folder`.
async fn run<A: AsRef<OsStr>>(
    pgbench: &Path,
    arguments: impl IntoIterator<Item = A>,
    folder: &Path,
) -> anyhow::Result<String> {
    let mut command = tokio::process::Command::new(pgbench);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.context("running pgbench")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "pgbench failed:\n{errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// From the line `tps = 1234.567 (without initial connection time)`.
fn per_second(output: &str) -> Option<u128> {
    let (_, rest) = output.split_once("tps = ")?;
    rest.split_once('.')?.0.parse().ok()
}

/// The latencies in the logs, which are removed.
fn logged(folder: &Path) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("pgbench_log.") {
            let text = fs::read_to_string(entry.path())?;
            // client, transaction, microseconds, ..
            let micros = text.lines().filter_map(|line| line.split(' ').nth(2)?.parse().ok());
            latencies.extend(micros.map(Duration::from_micros));
            fs::remove_file(entry.path())?;
        }
    }
    Ok(latencies)
}
