//! Recomputes everything the ledger says from what it recorded: every posting is
//! booked again in its order, and every transfer, link of the hash chain, wallet,
//! position and trade is compared with what that gives; then the shards with each
//! other. docs/ledger.md says what is covered and what is not.
//!
//! The books are read as they are at one moment, while the ledger goes on writing.

mod across;
mod books;
mod chain;
mod checkpoint;
mod crossing;
mod heads;
mod holdings;
mod markets;
mod notes;
mod pass;
pub(crate) mod read;
pub(crate) mod record;
mod replay;
mod seals;
mod sequence;
mod slots;
mod trades;

pub(crate) use chain::write_canonical;
pub(crate) use sequence::Sequence;

use crate::{
    config::ShardConfig,
    store::{StoreError, rows::hex_text},
};
use across::FoundIn;
use anyhow::Context as _;
use checkpoint::Checkpoint;
use crossing::Crossing;
use heads::Heads;
use pass::{Counts, Statement, Tour};
use read::Snapshot;
use std::path::PathBuf;
use tokio::{runtime::Handle, sync::watch};

/// How a verification is done.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Where it is kept how far verification has come: it goes on from there, also after it was interrupted.
    pub state_file: Option<PathBuf>,
    /// After how many postings the state is written; 0 for 1,000,000.
    pub checkpoint_postings: u32,
    /// Signed heads, one in each line: every one must still be part of the chain.
    pub heads_file: Option<PathBuf>,
    /// Who must have signed them; without it, whoever each head says.
    pub public_key: Option<[u8; 32]>,
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// The shard at work.
    pub shard: u16,
    /// Transfers verified, over all shards.
    pub transfers: u64,
    /// Transfers there are to verify, over all shards.
    pub transfers_total: u64,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Shards verified.
    pub shards: u64,
    /// Transfers recomputed.
    pub transfers: u64,
    /// Executions booked again.
    pub executions: u64,
    /// Movements of cash booked again, and denials.
    pub cash_movements: u64,
    /// Positions of decided markets paid out again.
    pub payouts: u64,
    /// Wallets that moved to or from other shards.
    pub moved_wallets: u64,
    /// Links of the hash chain recomputed.
    pub batches: u64,
    /// Wallets compared.
    pub wallets: u64,
    /// Positions compared.
    pub positions: u64,
    /// Trades compared.
    pub trades: u64,
    /// Signed heads compared with the chain.
    pub signed_heads: u64,
    /// The head of the first shard's hash chain, 64 hex digits; all zero for an empty ledger.
    pub head_hash: String,
    /// What one shard has given and another not received yet; at most 1,000.
    pub in_flight: Vec<InFlight>,
    /// The first row that is not what it should be; `None` if all is well.
    pub first_bad_row: Option<BadRow>,
}

/// Money or an account on its way from one shard to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    /// The shard that gave it.
    pub shard: u16,
    /// The table of its row there.
    pub table: &'static str,
    /// The row's key.
    pub key: String,
    /// The account between shards that it is in.
    pub between: String,
    /// How much money it is, 1e-6 of the currency.
    pub amount_micros: i64,
}

/// A row that is not what the rows before it make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Its shard.
    pub shard: u16,
    /// Its table.
    pub table: &'static str,
    /// Its key, e.g. `17` or `alice/USD`.
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Recomputes balances, positions, trades and the hash chain of the one shard at
/// `store_url`, on one consistent view of it and without changing anything.
/// `progress` hears now and then how many transfers have been recomputed.
///
/// # Errors
/// When the store cannot be read; a bad row is no error but in the report.
pub async fn verify(store_url: &str, mut progress: impl FnMut(u64) + Send) -> anyhow::Result<VerifyReport> {
    verify_shard(store_url, 0, |at| progress(at.transfers)).await
}

/// The same for the shard with the number `shard` at `store_url`, without the others.
///
/// # Errors
/// When the store cannot be read; a bad row is no error but in the report.
pub async fn verify_shard(
    store_url: &str,
    shard: u16,
    progress: impl FnMut(VerifyProgress) + Send,
) -> anyhow::Result<VerifyReport> {
    let place = ShardConfig { url: store_url.to_owned(), replica_urls: Vec::new() };
    run(vec![(shard, place)], VerifyOptions::default(), progress).await
}

/// The same for all `shards` of a ledger by their number, which are also compared
/// with each other.
///
/// # Errors
/// When a store, the state or the signed heads cannot be read, or the state not
/// written; a bad row is no error but in the report.
pub async fn verify_shards(
    shards: &[ShardConfig],
    options: VerifyOptions,
    progress: impl FnMut(VerifyProgress) + Send,
) -> anyhow::Result<VerifyReport> {
    run((0..).zip(shards.iter().cloned()).collect(), options, progress).await
}

async fn run(
    shards: Vec<(u16, ShardConfig)>,
    options: VerifyOptions,
    mut progress: impl FnMut(VerifyProgress) + Send,
) -> anyhow::Result<VerifyReport> {
    let (told, mut heard) = watch::channel(VerifyProgress::default());
    let handle = Handle::current();
    let mut working = tokio::task::spawn_blocking(move || work(&handle, &shards, &options, &told));
    loop {
        tokio::select! {
            done = &mut working => {
                let report = done.context("verifying")??;
                progress(*heard.borrow_and_update());
                return Ok(report);
            }
            Ok(()) = heard.changed() => progress(*heard.borrow_and_update()),
        }
    }
}

/// Why a check ended early.
pub(crate) enum Found {
    /// A row is not what it should be.
    Bad(BadRow),
    /// It cannot be checked.
    Failed(anyhow::Error),
}

impl From<StoreError> for Found {
    fn from(error: StoreError) -> Self {
        Self::Failed(anyhow::Error::new(error).context("reading the ledger"))
    }
}

impl From<anyhow::Error> for Found {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

fn bad(table: &'static str, key: impl ToString, problem: impl Into<String>) -> Found {
    Found::Bad(BadRow { shard: 0, table, key: key.to_string(), problem: problem.into() })
}

fn work(
    handle: &Handle,
    shards: &[(u16, ShardConfig)],
    options: &VerifyOptions,
    told: &watch::Sender<VerifyProgress>,
) -> anyhow::Result<VerifyReport> {
    let mut report = VerifyReport { head_hash: hex_text(&[0; 32]), ..VerifyReport::default() };
    match check(handle, (shards, options), told, &mut report) {
        Ok(()) => {}
        Err((shard, Found::Bad(row))) => report.first_bad_row = Some(BadRow { shard, ..row }),
        Err((_, Found::Failed(error))) => return Err(error),
    }
    Ok(report)
}

fn check(
    handle: &Handle,
    (shards, options): (&[(u16, ShardConfig)], &VerifyOptions),
    told: &watch::Sender<VerifyProgress>,
    report: &mut VerifyReport,
) -> Result<(), FoundIn> {
    let first = |found: Found| (0, found);
    let heads = match &options.heads_file {
        Some(path) => Heads::read(path, options.public_key.as_ref()).map_err(first)?,
        None => Heads::default(),
    };
    let mut checkpoint = match &options.state_file {
        Some(path) => Checkpoint::read(path).map_err(|error| first(error.into()))?,
        None => Checkpoint::default(),
    };
    let mut at =
        VerifyProgress { transfers_total: expected(handle, shards, &checkpoint)?, ..VerifyProgress::default() };
    let mut progress = |shard: u16, transfers: u64| {
        at.shard = shard;
        at.transfers += transfers;
        told.send_replace(at);
        anyhow::ensure!(!told.is_closed(), "nobody waits for the verification any more");
        Ok(())
    };
    let crossing = Crossing::new(std::mem::take(&mut checkpoint.open), std::mem::take(&mut checkpoint.between));
    let every = if options.checkpoint_postings == 0 { 1_000_000 } else { i64::from(options.checkpoint_postings) };
    let state = options.state_file.as_deref();
    let mut tour = Tour {
        handle: handle.clone(),
        checkpoint,
        crossing,
        state: state.map(|path| (path, every)),
        progress: &mut progress,
        counts: Counts::default(),
    };
    let mut statements = Vec::with_capacity(shards.len());
    for (number, place) in shards {
        let number = *number;
        let statement = tour.pass(number, place);
        count(report, tour.counts);
        let statement = statement.map_err(|found| (number, found))?;
        if report.shards == 0 {
            report.head_hash = hex_text(&statement.shard.head_hash);
        }
        check_heads(&tour, &heads, (number, place)).map_err(|found| (number, found))?;
        statements.push((number, statement));
        report.shards += 1;
    }
    report.signed_heads = heads.count();
    report.in_flight = across::check(&mut tour, shards, &mut statements)?;
    finish(tour, &statements, state).map_err(|error| first(error.into()))
}

/// The state after everything was well.
fn finish(mut tour: Tour<'_>, statements: &[(u16, Statement)], state: Option<&std::path::Path>) -> anyhow::Result<()> {
    let Some(path) = state else { return Ok(()) };
    for (shard, statement) in statements {
        tour.checkpoint.copied(*shard, &statement.copied_with)?;
    }
    tour.checkpoint.write(path, tour.crossing.open().into_iter(), &tour.crossing.between)
}

fn check_heads(tour: &Tour<'_>, heads: &Heads, (number, place): (u16, &ShardConfig)) -> Result<(), Found> {
    if !heads.has(number) {
        return Ok(());
    }
    heads.check(number, &mut Snapshot::open(&tour.handle, number, &place.url)?)
}

/// How many transfers there are to verify.
fn expected(handle: &Handle, shards: &[(u16, ShardConfig)], checkpoint: &Checkpoint) -> Result<u64, FoundIn> {
    let mut total = 0;
    for (number, place) in shards {
        let number = *number;
        let verified = checkpoint.verified(number).map_err(|error| (number, error.into()))?;
        let snapshot = Snapshot::open(handle, number, &place.url).map_err(|found| (number, found))?;
        let transfers = snapshot.shard.transfer_sequence - verified.head.transfer;
        total += u64::try_from(transfers).unwrap_or(0);
    }
    Ok(total)
}

fn count(report: &mut VerifyReport, counts: Counts) {
    report.transfers = counts.transfers;
    report.executions = counts.executions;
    report.cash_movements = counts.cash_movements;
    report.payouts = counts.payouts;
    report.moved_wallets = counts.moved_wallets;
    report.batches = counts.batches;
    report.wallets = counts.wallets;
    report.positions = counts.positions;
    report.trades = counts.trades;
}
