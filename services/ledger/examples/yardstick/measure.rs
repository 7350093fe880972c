//! Writers that post as fast as they can for a given time.

use super::{
    figures::{Figure, Latency},
    load::{Load, Spread, Transfer},
    processor::Usage,
};
use anyhow::Context as _;
use std::{
    fs::File,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep_until};

/// As much as a page of PostgreSQL's log.
const SYNC_BYTES: usize = 8_192;
const SYNCS: usize = 256;

/// What is posted and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Accounts there are, from 1 on.
    pub(crate) accounts: i64,
    /// Which of them are touched.
    pub(crate) spread: Spread,
    /// In one transaction.
    pub(crate) transfers: u32,
    /// Whether the transfers of an account can be listed: an index for each side.
    pub(crate) has_history: bool,
    /// Not counted.
    pub(crate) warm_up: Duration,
    /// Counted.
    pub(crate) duration: Duration,
}

/// What lists the transfers of an account, in both databases.
pub(crate) const HISTORY: &str = "CREATE INDEX transfer_of_debit ON transfer (debit_id, posted_at);
    CREATE INDEX transfer_of_credit ON transfer (credit_id, posted_at);";

/// One connection that posts.
pub(crate) trait Writer: Send + 'static {
    /// Posts `transfers` in one durable transaction. Gives how long its COMMIT took,
    /// unless that was not a step of its own.
    fn post(&mut self, transfers: &[Transfer]) -> impl Future<Output = anyhow::Result<Option<Duration>>> + Send;
}

/// What one writer has done.
#[derive(Debug, Default)]
struct Tally {
    posted: u64,
    counted: u64,
    transactions: Vec<Duration>,
    commits: Vec<Duration>,
}

/// Lets every one of `writers` post as `run` says. Gives the figure and how many
/// transfers were posted in all, the uncounted ones included.
///
/// # Errors
/// When a transaction fails.
pub(crate) async fn measure<W: Writer>(
    run: &Run,
    writers: Vec<W>,
    server_pid: Option<u32>,
) -> anyhow::Result<(Figure, u64)> {
    let connections = u32::try_from(writers.len())?;
    let warm = Instant::now() + run.warm_up;
    let end = warm + run.duration;
    let mut tasks = JoinSet::new();
    for (number, writer) in (0..).zip(writers) {
        tasks.spawn(write(*run, writer, number, warm, end));
    }
    sleep_until(warm.into()).await;
    let before = Usage::now(server_pid);
    sleep_until(end.into()).await;
    let after = Usage::now(server_pid);
    let mut all = Tally::default();
    while let Some(tally) = tasks.join_next().await {
        let tally = tally.context("a writer")??;
        all.posted += tally.posted;
        all.counted += tally.counted;
        all.transactions.extend(tally.transactions);
        all.commits.extend(tally.commits);
    }
    let figure = Figure {
        accounts: Some(run.accounts),
        spread: run.spread.name(),
        batch: run.transfers,
        connections,
        per_second: u128::from(all.counted) * 1_000_000 / run.duration.as_micros().max(1),
        transaction: Latency::of(all.transactions),
        commit: Latency::of(all.commits),
        processor: after.zip(before).and_then(|(after, before)| after.since(before, run.duration)),
        ..Figure::default()
    };
    Ok((figure, all.posted))
}

async fn write<W: Writer>(run: Run, mut writer: W, number: u16, warm: Instant, end: Instant) -> anyhow::Result<Tally> {
    let mut load = Load::new(run.accounts, run.spread, number);
    let (mut batch, mut tally) = (Vec::new(), Tally::default());
    while Instant::now() < end {
        load.fill(&mut batch, run.transfers);
        let started = Instant::now();
        let commit = writer.post(&batch).await?;
        let done = Instant::now();
        tally.posted += u64::from(run.transfers);
        if warm <= done && done < end {
            tally.counted += u64::from(run.transfers);
            tally.transactions.push(done - started);
            tally.commits.extend(commit);
        }
    }
    Ok(tally)
}

/// What [`check`] needs.
pub(crate) const TOTALS: &str = "SELECT COUNT(*), CAST(COALESCE(SUM(amount), 0) AS bigint),
        (SELECT CAST(SUM(debits) AS bigint) FROM account), (SELECT CAST(SUM(credits) AS bigint) FROM account)
    FROM transfer";

/// Transfers, their amounts, and the debits and credits of all accounts.
pub(crate) type Totals = (i64, i64, i64, i64);

/// A store that loses money or transfers is no yardstick.
///
/// # Errors
/// When not all of the `posted` transfers are there, or the accounts do not agree with them.
pub(crate) fn check(posted: u64, totals: Totals) -> anyhow::Result<()> {
    let (transfers, amount, debits, credits) = totals;
    anyhow::ensure!(transfers.unsigned_abs() == posted, "{posted} transfers were posted, {transfers} are there");
    anyhow::ensure!(debits == amount && credits == amount, "{amount} moved, debits {debits}, credits {credits}");
    Ok(())
}

/// How long the disk below `folder` takes to keep 8 KiB: no commit is faster.
///
/// # Errors
/// When `folder` cannot be written to.
pub(crate) fn sync_latency(folder: &Path) -> anyhow::Result<Option<Latency>> {
    let path = folder.join("sync");
    let mut file = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
    let mut took = Vec::new();
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&[0x5a; SYNC_BYTES])?;
        file.sync_data()?;
        took.push(started.elapsed());
    }
    std::fs::remove_file(path)?;
    Ok(Latency::of(took))
}
