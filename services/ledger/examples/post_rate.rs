//! How fast the ledger posts: the whole service on a private bus that syncs every
//! message, from reports that wait on the bus to acked facts.
//!
//! ```text
//! cargo run --release -p tragen-ledger --example post_rate -- sqlite:///tmp/books.db
//! cargo run --release -p tragen-ledger --example post_rate -- postgres://user:password@127.0.0.1/books --accounts 1000000
//! cargo run --release -p tragen-ledger --example post_rate -- sqlite:///tmp/books.db --accounts 1000000 --zipf
//! cargo run --release -p tragen-ledger --example post_rate -- sqlite:///tmp/books.db --rate 10000
//! cargo run --release -p tragen-ledger --example post_rate -- sqlite:///tmp/books.db --accounts 1000000 --kills 5
//! cargo run --release -p tragen-ledger --example post_rate -- sqlite:///tmp/books.db --fills 100000 --wipe
//! ```
//!
//! The store should be fresh. `--accounts` (10,000) get money first, then `--fills` (200,000) go round
//! all of them, so that many accounts never stay in memory; with `--zipf` some trade much and most little, as
//! people do. `--hot` lets all of them trade one instrument; `--batch 1` is the plain way, one transaction for each fill; `--shards` cuts
//! the books; `--rate` offers that many fills a second and reports how long each took from the
//! bus to its fact; `--kills` kills a process of the ledger that often under load and reports how
//! long a new one takes to post again; `--wipe` deletes the stream of facts when all is told, and reports how
//! long a fill that comes then waits until everything was told again.

mod post_rate {
    pub(crate) mod commits;
}

use anyhow::Context as _;
use hdrhistogram::Histogram;
use post_rate::commits::Commits;
use prost::Message as _;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tragen_bus::{
    Bus, Consumer, Follower, PublishOptions, StartAt, Stream, Subject,
    server::{NatsServer, Sync, find_binary},
};
use tragen_contracts::{trade_id, v1};
use tragen_host::{Lifecycle, trace::Spans};
use tragen_ledger::{Config, ShardConfig, VerifyOptions};
use uuid::{Builder, NoContext, Timestamp, Uuid};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Reports in one message, as the guard sends them under load.
const MESSAGE_ITEMS: u64 = 128;
/// Money of each account, micros.
const FUNDS: i64 = 1_000_000_000_000;
/// Set for a process of the ledger that is to be killed: the bus it works on.
const SERVED: &str = "TRAGEN_POST_RATE_NATS";
const PATIENCE: Duration = Duration::from_secs(60);

struct Load {
    store_url: String,
    fills: u64,
    accounts: u64,
    batch_items_max: usize,
    shards: u16,
    is_hot: bool,
    is_zipf: bool,
    rate: Option<u64>,
    kills: u64,
    is_wiped: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let load = load()?;
    if let Ok(nats_url) = std::env::var(SERVED) {
        return serve(&nats_url, &load).await;
    }
    let commits = Commits::listen()?;
    let folder = tempfile::tempdir().context("making a folder for the bus")?;
    let nats = NatsServer::start(&find_binary()?, folder.path(), Sync::Always).await?;
    let bus = Bus::connect(nats.url(), "post-rate").await?;
    bus.apply(1_000).await?;
    let (system, _) = load.store_url.split_once(':').context("a url")?;
    let mut measured = Measured::new(&bus).await?;

    let ledger = start(&bus, &load, Config::default().batch_items_max).await?;
    let funding = measured.post(&bus, load.accounts, adjustment).await?;
    println!("{system}: {} accounts funded, {funding} a second", load.accounts);

    let salt = Uuid::now_v7();
    let report = |number| fill(salt, number, &load);
    match load.rate {
        None if load.kills > 0 => {
            stop(ledger).await?;
            publish(&bus, (0..load.fills, load.message_items()), &report).await?;
            let pauses = measured.killed(nats.url(), &load).await?;
            println!("{system}: ms from the start of a new process to its first fact: {pauses:?}");
        }
        None => {
            // Published before the ledger runs, so that only the ledger is measured.
            stop(ledger).await?;
            publish(&bus, (0..load.fills, load.message_items()), &report).await?;
            let started = Instant::now();
            let ledger = start(&bus, &load, load.batch_items_max).await?;
            measured.wait_for(load.fills).await?;
            let rate = per_second(load.fills, started.elapsed());
            println!("{system}: {} fills, {rate} fills/s, {} transfers/s", load.fills, rate * 2);
            if load.is_wiped {
                let told = load.accounts + load.fills;
                let waited = wiped(&bus, nats.url(), &report(load.fills)).await?;
                println!("{system}: {told} facts told again within {} ms", waited.as_millis());
            }
            stop(ledger).await?;
        }
        Some(rate) => {
            commits.clear();
            let latencies = measured.paced(&bus, load.fills, rate, &report).await?;
            let at = |quantile| latencies.value_at_quantile(quantile) / 1_000;
            let (p50, p99, most) = (at(0.5), at(0.99), latencies.max() / 1_000);
            println!("{system}: {rate} fills/s offered, ms from the bus to the fact: p50 {p50}, p99 {p99}, max {most}");
            let (p50, p99, most) = (commits.millis_at(0.5), commits.millis_at(0.99), commits.millis_at(1.0));
            println!("{system}: ms of a commit: p50 {p50:.1}, p99 {p99:.1}, max {most:.1}");
            stop(ledger).await?;
        }
    }
    let started = Instant::now();
    println!("{system}: {} KiB resident at most", resident_max()?);
    let report = tragen_ledger::verify_shards(&load.places(), VerifyOptions::default(), |_| {}).await?;
    anyhow::ensure!(report.first_bad_row.is_none(), "{:?}", report.first_bad_row);
    let rate = per_second(report.transfers, started.elapsed());
    println!("{system}: {} transfers verified, {rate} transfers/s", report.transfers);
    Ok(())
}

impl Load {
    /// A message is never cut: for one fill in a transaction there must be one in a message.
    fn message_items(&self) -> u64 {
        MESSAGE_ITEMS.min(u64::try_from(self.batch_items_max).unwrap_or(MESSAGE_ITEMS))
    }

    /// Where the shards are: schemas of one database, or files side by side.
    fn places(&self) -> Vec<ShardConfig> {
        let place = |shard| {
            let is_file = self.store_url.starts_with("sqlite:") && shard > 0;
            let url = if is_file { format!("{}.{shard}", self.store_url) } else { self.store_url.clone() };
            ShardConfig { url, replica_urls: Vec::new() }
        };
        (0..self.shards).map(place).collect()
    }
}

fn load() -> anyhow::Result<Load> {
    let mut arguments = std::env::args().skip(1);
    let store_url = arguments.next().context("which store? give a sqlite:// or postgres:// url")?;
    let mut load = Load {
        store_url,
        fills: 200_000,
        accounts: 10_000,
        batch_items_max: 1_024,
        shards: 1,
        is_hot: false,
        is_zipf: false,
        rate: None,
        kills: 0,
        is_wiped: false,
    };
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok()).context("a number is missing");
        match argument.as_str() {
            "--fills" => load.fills = number()?,
            "--accounts" => load.accounts = number()?,
            "--batch" => load.batch_items_max = usize::try_from(number()?)?,
            "--kills" => load.kills = number()?,
            "--shards" => load.shards = u16::try_from(number()?)?,
            "--rate" => load.rate = Some(number()?),
            "--wipe" => load.is_wiped = true,
            "--hot" => load.is_hot = true,
            "--zipf" => load.is_zipf = true,
            other => anyhow::bail!("{other} is not one of the flags above"),
        }
    }
    Ok(load)
}

/// The most memory this process has had.
fn resident_max() -> anyhow::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status").context("reading this process's status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("there is no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").to_owned())
}

/// A ledger on another process's bus, until it is killed.
async fn serve(nats_url: &str, load: &Load) -> anyhow::Result<()> {
    let bus = Bus::connect(nats_url, "ledger").await?;
    let ledger = start(&bus, load, load.batch_items_max).await?;
    ledger.run().await
}

async fn start(bus: &Bus, load: &Load, batch_items_max: usize) -> anyhow::Result<Lifecycle> {
    let lifecycle = Lifecycle::new(30);
    let config = Config { shards: load.places(), batch_items_max, ..Config::default() };
    tragen_ledger::run(lifecycle.context("ledger", Spans::default()), bus.clone(), config).await?;
    Ok(lifecycle)
}

async fn stop(ledger: Lifecycle) -> anyhow::Result<()> {
    ledger.stop_token().cancel();
    ledger.run().await
}

/// What the facts tell.
struct Measured {
    facts: Follower,
    // Follows for as long as it lives.
    _lifecycle: Lifecycle,
}

impl Measured {
    async fn new(bus: &Bus) -> anyhow::Result<Self> {
        let lifecycle = Lifecycle::new(10);
        let context = lifecycle.context("post-rate", Spans::default());
        let facts = bus.follow(&context, Stream::Ledger, "", StartAt::Now).await?;
        Ok(Self { facts, _lifecycle: lifecycle })
    }

    async fn next(&mut self) -> anyhow::Result<v1::LedgerFactBatch> {
        let message = tokio::time::timeout(PATIENCE, self.facts.next()).await.context("no facts for a minute")?;
        Ok(v1::LedgerFactBatch::decode(message.context("the bus has stopped")?.payload)?)
    }

    async fn wait_for(&mut self, count: u64) -> anyhow::Result<()> {
        let mut told = 0;
        while told < count {
            told += u64::try_from(self.next().await?.facts.len())?;
        }
        Ok(())
    }

    /// Kills ledgers that work off what waits; milliseconds until each new one told its first fact.
    async fn killed(&mut self, nats_url: &str, load: &Load) -> anyhow::Result<Vec<u128>> {
        let spawn = || {
            let mut command = std::process::Command::new(std::env::current_exe()?);
            command.args(std::env::args_os().skip(1)).env(SERVED, nats_url);
            command.spawn().context("starting a ledger")
        };
        let mut ledger = spawn()?;
        self.wait_for(10_000).await?;
        let mut pauses = Vec::new();
        for _ in 0..load.kills {
            ledger.kill().context("killing a ledger")?;
            ledger.wait()?;
            // What it told before it was killed.
            while let Ok(message) = tokio::time::timeout(Duration::from_millis(200), self.facts.next()).await {
                message.context("the bus has stopped")?;
            }
            let started = Instant::now();
            ledger = spawn()?;
            self.wait_for(1).await?;
            pauses.push(started.elapsed().as_millis());
            self.wait_for(5_000).await?;
        }
        ledger.kill().context("killing a ledger")?;
        ledger.wait()?;
        Ok(pauses)
    }

    /// Publishes `count` reports while the ledger runs; how many a second it posted.
    async fn post(
        &mut self,
        bus: &Bus,
        count: u64,
        report: impl Fn(u64) -> v1::ExecutionReport,
    ) -> anyhow::Result<u64> {
        let started = Instant::now();
        let publishing = publish(bus, (0..count, MESSAGE_ITEMS), &report);
        tokio::try_join!(publishing, self.wait_for(count))?;
        Ok(per_second(count, started.elapsed()))
    }

    /// Offers `rate` reports a second, whatever becomes of them; microseconds from when each was due.
    async fn paced(
        &mut self,
        bus: &Bus,
        count: u64,
        rate: u64,
        report: &impl Fn(u64) -> v1::ExecutionReport,
    ) -> anyhow::Result<Histogram<u64>> {
        const EVERY: Duration = Duration::from_millis(5);
        let items = (rate / 200).max(1);
        let mut numbers: HashMap<String, u64> = HashMap::new();
        for number in 0..count {
            numbers.insert(report(number).key.unwrap_or_default().trade_id, number);
        }
        let begin = Instant::now();
        let due = |number: u64| EVERY * u32::try_from(number / items).unwrap_or(u32::MAX);
        let publishing = async {
            for first in (0..count).step_by(usize::try_from(items)?) {
                tokio::time::sleep_until((begin + due(first)).into()).await;
                publish(bus, (first..count.min(first + items), MESSAGE_ITEMS), report).await?;
            }
            anyhow::Ok(())
        };
        let mut latencies = Histogram::new(3)?;
        let listening = async {
            let mut told = 0;
            while told < count {
                for fact in self.next().await?.facts {
                    let Some(v1::ledger_fact::Kind::Trade(posted)) = fact.kind else { continue };
                    let trade_id = posted.trade.unwrap_or_default().trade_id;
                    let Some(number) = numbers.get(&trade_id) else { continue };
                    let latency = begin.elapsed().saturating_sub(due(*number));
                    latencies.record(u64::try_from(latency.as_micros())?)?;
                    told += 1;
                }
            }
            anyhow::Ok(())
        };
        tokio::try_join!(publishing, listening)?;
        Ok(latencies)
    }
}

/// Takes the facts away from under a ledger with one shard; how long a fill that comes then waits for its own.
async fn wiped(bus: &Bus, nats_url: &str, report: &v1::ExecutionReport) -> anyhow::Result<Duration> {
    let jetstream = async_nats::jetstream::new(async_nats::connect(nats_url).await?);
    jetstream.delete_stream(Stream::Ledger.as_str()).await?;
    let started = Instant::now();
    let batch = v1::ExecutionBatch { reports: vec![report.clone()] };
    bus.publish(&Subject::Executions("paper"), &batch, &PublishOptions::default(), PATIENCE).await?;
    loop {
        let lag = bus.lag(Consumer::Ledger(0)).await?;
        if lag.waiting + lag.in_hand == 0 {
            return Ok(started.elapsed());
        }
        anyhow::ensure!(started.elapsed() < PATIENCE * 10, "the fill waits for its fact");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn per_second(count: u64, elapsed: Duration) -> u64 {
    count * 1_000 / u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Publishes reports, `items` in each message.
async fn publish(
    bus: &Bus,
    (numbers, items): (std::ops::Range<u64>, u64),
    report: &impl Fn(u64) -> v1::ExecutionReport,
) -> anyhow::Result<()> {
    for first in numbers.clone().step_by(usize::try_from(items)?) {
        let reports = (first..numbers.end.min(first + items)).map(report).collect();
        let batch = v1::ExecutionBatch { reports };
        bus.publish(&Subject::Executions("paper"), &batch, &PublishOptions::default(), PATIENCE).await?;
    }
    Ok(())
}

/// As clients make them: ten a millisecond from when `salt` was made on.
fn request_id(salt: Uuid, number: u64) -> Uuid {
    let (seconds, nanos) = salt.get_timestamp().unwrap_or(Timestamp::from_unix(NoContext, 0, 0)).to_unix();
    let millis = seconds * 1_000 + u64::from(nanos) / 1_000_000 + number / 10;
    let hash = Uuid::new_v5(&salt, &number.to_be_bytes()).into_bytes();
    let mut rest = [0; 10];
    rest.copy_from_slice(&hash[..10]);
    Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
}

/// The `number`th draw from `ranks` of Zipf's law with exponent 1: a rank below r has the probability
/// log r / log ranks (the continuous form of the law).
fn zipf(number: u64, ranks: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to the number of ranks")]
    let draw = |share: f64| (f64::from(u32::try_from(ranks).unwrap_or(u32::MAX)).powf(share) as u64).min(ranks) - 1;
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, &number.to_be_bytes()).as_u128();
    draw(f64::from(u32::try_from(hash >> 96).unwrap_or_default()) / f64::from(u32::MAX))
}

fn account_id(number: u64) -> String {
    format!("account-{number}")
}

fn key(account_id: String, request_id: String) -> v1::TradeKey {
    v1::TradeKey {
        trade_id: trade_id(&account_id, &request_id).to_string(),
        request_id,
        account_id,
        tier: v1::Tier::Standard.into(),
        payload_hash: vec![1; 32].into(),
        created_at_micros: 1,
    }
}

/// Money for an account.
fn adjustment(number: u64) -> v1::ExecutionReport {
    let key = key(account_id(number), Uuid::now_v7().to_string());
    let adjustment =
        v1::Adjustment { account_id: key.account_id.clone(), currency: "USD".to_owned(), amount_micros: FUNDS };
    let booking = v1::Booking {
        kind: Some(v1::booking::Kind::Adjustment(adjustment)),
        reason: "to trade with".to_owned(),
        proposed_by: "one".to_owned(),
        confirmed_by: "two".to_owned(),
    };
    v1::ExecutionReport {
        meta: Some(v1::Meta { event_id: Uuid::now_v7().to_string(), ..v1::Meta::default() }),
        key: Some(key),
        kind: Some(v1::execution_report::Kind::Booking(booking)),
    }
}

fn fill(salt: Uuid, number: u64, load: &Load) -> v1::ExecutionReport {
    // A fixed permutation of the accounts, so that neighbours in time or rank are not neighbours in the index.
    let rank = if load.is_zipf { zipf(number, load.accounts) } else { number };
    let account = rank.wrapping_mul(7_919) % load.accounts;
    let key = key(account_id(account), request_id(salt, number).to_string());
    let market = if load.is_hot { 0 } else { number % 20 };
    let trade = v1::TradeReport {
        terms: Some(v1::OrderTerms {
            order_id: format!("{}-o", key.trade_id),
            instrument_id: format!("EPL-2026-M{market}-HOME"),
            side: if number.is_multiple_of(3) { v1::Side::Sell } else { v1::Side::Buy }.into(),
            order_type: v1::OrderType::Limit.into(),
            quantity_micros: 10_000_000,
            limit_price_micros: 600_000,
            time_in_force: v1::TimeInForce::Ioc.into(),
            expire_at_micros: 0,
            is_reduce_only: false,
            is_post_only: false,
        }),
        settlement: Some(v1::SettlementTerms {
            style: v1::SettlementStyle::Prediction.into(),
            currency: "USD".to_owned(),
            initial_margin_ppm: 0,
        }),
        fills: vec![v1::Fill {
            execution_id: format!("x-{}", key.trade_id),
            price_micros: 550_000,
            quantity_micros: 10_000_000,
            fee_micros: 74_250,
            executed_at_micros: 1,
        }],
        status: v1::TradeStatus::Filled.into(),
        agent: "eplScoutAgent".to_owned(),
        rationale: "The fair price is 0.58 after the line-ups, 3 cents above the ask.".to_owned(),
        ..v1::TradeReport::default()
    };
    v1::ExecutionReport {
        meta: Some(v1::Meta { event_id: Uuid::now_v7().to_string(), ..v1::Meta::default() }),
        key: Some(key),
        kind: Some(v1::execution_report::Kind::Trade(trade)),
    }
}
