//! Several ledgers at once, each with a runtime of its own as if it were a
//! process, over shards in two databases; and a network between them that can be
//! cut at the worst moment.

use super::{
    accounting::Tables,
    rig::{Kind, PATIENCE, Rig, until},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::watch,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tragen_bus::Bus;
use tragen_host::{Lifecycle, trace::Spans};
use tragen_ledger::{Config, ShardConfig};
use xxhash_rust::xxh3::xxh3_64;

/// Shards of a cluster; the even ones are kept in the first database, the odd ones in the second.
pub(crate) const SHARDS: u16 = 4;

/// The shard that keeps `account` from the beginning.
pub(crate) fn shard_of(account: &str) -> u16 {
    u16::try_from(xxh3_64(account.as_bytes()) % 256 * u64::from(SHARDS) / 256).expect("small")
}

/// The account with that number of those that `shard` keeps.
pub(crate) fn account_in(shard: u16, number: usize) -> String {
    let names = (0..).map(|name| format!("c{name}"));
    names.into_iter().filter(|name| shard_of(name) == shard).nth(number).expect("endless")
}

/// A ledger as a process of its own.
#[derive(Debug)]
pub(crate) struct Process {
    runtime: Option<Runtime>,
    stop: CancellationToken,
    ended: Option<JoinHandle<anyhow::Result<()>>>,
    /// What it calls itself in leases.
    pub(crate) instance: String,
}

impl Process {
    /// Starts it; what it complains of when it does not start.
    pub(crate) async fn start(nats_url: &str, config: Config) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let url = nats_url.to_owned();
        let started = runtime.spawn(async move {
            let lifecycle = Lifecycle::new(10);
            let context = lifecycle.context("ledger", Spans::default());
            let (stop, instance) = (lifecycle.stop_token(), context.instance.to_string());
            let bus = Bus::connect(&url, "ledger").await?;
            let ran = tragen_ledger::run(context, bus, config).await;
            if ran.is_err() {
                stop.cancel();
            }
            let ended = tokio::spawn(lifecycle.run());
            ran.map(|()| (stop, ended, instance))
        });
        match started.await.expect("no panic") {
            Ok((stop, ended, instance)) => Ok(Self { runtime: Some(runtime), stop, ended: Some(ended), instance }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Stops it in good order.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let ended = self.ended.take().expect("running");
        ended.await.expect("no panic").expect("a clean end");
    }

    /// Tears it away.
    pub(crate) fn kill(mut self) {
        self.runtime.take().expect("running").shutdown_background();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Shards in two databases, and a bus.
pub(crate) struct Cluster {
    pub(crate) rig: Rig,
    urls: [String; 2],
}

impl Cluster {
    /// Without a ledger.
    pub(crate) async fn new() -> Self {
        let rig = Rig::new(Kind::Postgres).await;
        let urls = [rig.url.clone(), rig.another_database().await];
        Self { rig, urls }
    }

    /// The first `shards` shards where they belong.
    pub(crate) fn config(&self, shards: u16) -> Config {
        Self::over(&self.urls, shards)
    }

    /// `shards` shards that take turns in two databases.
    pub(crate) fn over(urls: &[String; 2], shards: u16) -> Config {
        let place = |shard: u16| ShardConfig { url: urls[usize::from(shard % 2)].clone(), replica_urls: Vec::new() };
        Config { shards: (0..shards).map(place).collect(), ..Config::default() }
    }

    /// One more ledger for all shards.
    pub(crate) async fn process(&self) -> Process {
        self.start(self.config(SHARDS)).await.expect("a ledger")
    }

    pub(crate) async fn start(&self, config: Config) -> anyhow::Result<Process> {
        Process::start(self.rig.nats_url(), config).await
    }

    /// The database of a shard.
    pub(crate) fn url(&self, shard: u16) -> &str {
        &self.urls[usize::from(shard % 2)]
    }

    pub(crate) fn tables(&self, shard: u16) -> Tables {
        Tables { url: self.url(shard).to_owned(), shard }
    }

    /// What `select` gives in all shards together.
    pub(crate) async fn number(&self, select: &str) -> i64 {
        let mut sum = 0;
        for shard in 0..SHARDS {
            sum += self.tables(shard).number(select).await;
        }
        sum
    }

    /// Waits until `select` gives `expected` in all shards together.
    pub(crate) async fn wait_for(&self, select: &str, expected: i64) {
        until(select, expected, async || self.number(select).await).await;
    }

    /// Who has which lease now.
    pub(crate) async fn owners(&self) -> BTreeMap<u16, String> {
        let mut owners = BTreeMap::new();
        for shard in 0..SHARDS {
            let select = "SELECT owner, shard_id FROM lease
                WHERE expires_at > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
            owners.extend(self.tables(shard).rows(select).await.into_iter().map(|(owner, _)| (shard, owner)));
        }
        owners
    }

    /// The epochs of all shards.
    pub(crate) async fn epochs(&self) -> Vec<i64> {
        let mut epochs = Vec::new();
        for shard in 0..SHARDS {
            // A lease comes before the first epoch.
            self.tables(shard).wait_for("SELECT COUNT(*) FROM shard", 1).await;
            epochs.push(self.tables(shard).number("SELECT epoch FROM shard").await);
        }
        epochs
    }

    /// Waits until each of `processes` has as many shards as the others.
    pub(crate) async fn shared(&self, processes: &[&Process]) {
        let (started, fair) = (Instant::now(), usize::from(SHARDS) / processes.len());
        loop {
            let owners = self.owners().await;
            let has = |process: &&Process| owners.values().filter(|owner| **owner == process.instance).count();
            if processes.iter().map(has).all(|has| has == fair) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "not shared: {owners:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until every shard has acked everything, also what shards have handed on to each other meanwhile.
    pub(crate) async fn all_acked(&self) {
        // Twice, because what one shard hands on the next one has still to ack.
        for _ in 0..2 {
            let waiting = async || {
                let mut waiting = 0;
                for shard in 0..SHARDS {
                    waiting += self.rig.unacked(shard).await;
                }
                waiting
            };
            until("reports that are not acked", 0, waiting).await;
        }
    }

    /// The sums of every shard, and that nothing is on its way between them.
    pub(crate) async fn check_sums(&self) {
        let mut between = BTreeMap::<String, i64>::new();
        for shard in 0..SHARDS {
            let tables = self.tables(shard);
            tables.check_sums().await;
            for (name, balance) in tables.balances().await {
                if name.starts_with("between/") {
                    *between.entry(name).or_default() += balance;
                }
            }
        }
        between.retain(|_, balance| *balance != 0);
        assert_eq!(between, BTreeMap::new(), "money on its way for ever");
    }

    /// Takes the database of the odd shards away from everybody.
    pub(crate) async fn close_second(&self) {
        let name = self.urls[1].rsplit('/').next().expect("a name");
        let first = self.tables(0);
        first.change(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        first.change(&end).await;
    }

    /// Gives it back.
    pub(crate) async fn open_second(&self) {
        let name = self.urls[1].rsplit('/').next().expect("a name");
        self.tables(0).change(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    }
}

/// Stands between a ledger and its database, and misbehaves when told to.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// The database, through the proxy.
    pub(crate) url: String,
    shared: Arc<Misbehavior>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Misbehavior {
    is_armed: AtomicBool,
    has_swallowed: AtomicBool,
    is_held: watch::Sender<bool>,
}

impl Proxy {
    /// In front of the database at `url`.
    pub(crate) async fn start(url: &str) -> Self {
        let (before, rest) = url.rsplit_once('@').expect("a user");
        let (server, database) = rest.split_once('/').expect("a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let shared = Arc::new(Misbehavior {
            is_armed: AtomicBool::new(false),
            has_swallowed: AtomicBool::new(false),
            is_held: watch::Sender::new(false),
        });
        let (server, told) = (server.to_owned(), Arc::clone(&shared));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, told) = (server.clone(), Arc::clone(&told));
                tokio::spawn(async move {
                    let _ = carry(client, &server, &told).await;
                });
            }
        });
        Self { url: format!("{before}@127.0.0.1:{port}/{database}"), shared, accepting }
    }

    /// The next COMMIT is carried out, but its answer is lost with the connection.
    pub(crate) fn swallow_next_commit(&self) {
        self.shared.has_swallowed.store(false, Ordering::SeqCst);
        self.shared.is_armed.store(true, Ordering::SeqCst);
    }

    /// Whether that has happened.
    pub(crate) fn has_swallowed(&self) -> bool {
        self.shared.has_swallowed.load(Ordering::SeqCst)
    }

    /// From now on nothing gets through in either direction, until [`Proxy::let_go`].
    pub(crate) fn hold(&self) {
        self.shared.is_held.send_replace(true);
    }

    /// What was held goes on.
    pub(crate) fn let_go(&self) {
        self.shared.is_held.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(mut client: TcpStream, server: &str, told: &Misbehavior) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    let mut held = told.is_held.subscribe();
    loop {
        // Both are cancel-safe: what was not read is read the next time.
        tokio::select! {
            read = client.read(&mut asked) => {
                let bytes = &asked[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                let _ = held.wait_for(|is_held| !is_held).await;
                let is_commit = bytes.windows(7).any(|part| part == b"COMMIT\0");
                server.write_all(bytes).await?;
                if is_commit && told.is_armed.swap(false, Ordering::SeqCst) {
                    // It has answered, so it is done.
                    let _ = server.read(&mut answered).await?;
                    told.has_swallowed.store(true, Ordering::SeqCst);
                    return Ok(());
                }
            }
            read = server.read(&mut answered) => {
                let bytes = &answered[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                let _ = held.wait_for(|is_held| !is_held).await;
                client.write_all(bytes).await?;
            }
        }
    }
}
