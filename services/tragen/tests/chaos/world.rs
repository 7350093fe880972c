//! A bus, books, processes of the ledger and a driver: what one scenario plays in.

use crate::{
    audit::audit,
    books::{Books, Place},
    dice::Dice,
    driver::{Driver, everything_told},
    expected::Expected,
    ledger::{Ledger, tragen},
    others::{Window, felt_in_all, felt_in_each},
    record::Record,
    script::Script,
    servers::{PATIENCE, Postgres},
    stage::Stage,
    table::Row,
};
use async_nats::jetstream;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::sleep};
use tragen_bus::{
    Bus,
    server::{NatsServer, Sync, find_binary},
};

/// Trading goes on at the latest so long after a fault.
pub(crate) const RECOVERY_MAX: Duration = Duration::from_secs(10);
/// Everything that was sent is answered so long after the last fault.
const QUIET_MAX: Duration = Duration::from_secs(20);
/// How often the epochs are looked at.
const EPOCHS_EVERY: Duration = Duration::from_millis(100);
/// Where the bus keeps its store.
pub(crate) const BUS: &str = "nats";
/// Accounts that trade.
const ACCOUNTS: usize = 24;
/// Steps that are open at a time.
pub(crate) const WINDOW: usize = 96;

/// Which books a scenario plays on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Sqlite,
    Postgres,
}

impl Store {
    /// Its name in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// What a scenario needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) store: Store,
    pub(crate) shards: u16,
    pub(crate) ledgers: usize,
    /// Whether the first ledger reaches its servers through wires that can be cut.
    pub(crate) has_wires: bool,
}

/// One file each for `shards` shards, and one ledger.
pub(crate) const fn sqlite(shards: u16) -> Setup {
    Setup { store: Store::Sqlite, shards, ledgers: 1, has_wires: false }
}

/// A schema each for `shards` shards in one database, and `ledgers` processes.
pub(crate) const fn postgres(shards: u16, ledgers: usize) -> Setup {
    Setup { store: Store::Postgres, shards, ledgers, has_wires: false }
}

/// What one scenario plays in.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) row: Row,
    /// The chance of the faults.
    pub(crate) dice: Dice,
    pub(crate) driver: Driver,
    pub(crate) ledgers: Vec<Ledger>,
    pub(crate) places: Vec<Place>,
    pub(crate) nats: NatsServer,
    /// How long a shard may be served by nobody.
    pub(crate) takeover_max: Duration,
    /// Whether this is a long run, in which nothing else is played at the same time.
    is_long: bool,
    /// Faults that did not concern everybody.
    windows: Vec<Window>,
    epochs: Epochs,
    record: Arc<Record>,
    client: async_nats::Client,
    started: Instant,
    folder: TempDir,
}

impl World {
    /// On the shared PostgreSQL server or on SQLite, with funded accounts and a ledger that is ready.
    pub(crate) async fn new(stage: &Stage, name: &str, setup: Setup) -> Self {
        let folder = stage.folder();
        let places = match setup.store {
            Store::Sqlite => files(folder.path(), setup.shards),
            Store::Postgres => schemas(stage.postgres().await, name, setup.shards).await,
        };
        let bus = start_bus(&folder).await;
        Self::on(stage, name, setup, (folder, places, bus)).await
    }

    /// In `folder`, with books at `places` and a bus.
    pub(crate) async fn on(
        stage: &Stage,
        name: &str,
        setup: Setup,
        (folder, places, nats): (TempDir, Vec<Place>, NatsServer),
    ) -> Self {
        let started = Instant::now();
        let bus = Bus::connect(nats.url(), "chaos").await.expect("a connection");
        bus.apply(1_000).await.expect("streams");
        let client = async_nats::connect(nats.url()).await.expect("a connection");
        let mut ledgers = Vec::new();
        for number in 0..setup.ledgers {
            let own = folder.path().join(format!("ledger-{number}"));
            let has_wires = setup.has_wires && number == 0;
            let mut ledger = Ledger::new(own, &places, nats.url(), has_wires).await;
            ledger.start();
            ledgers.push(ledger);
        }
        for ledger in &mut ledgers {
            ledger.ready().await;
        }
        let record = Arc::new(Record::create(&folder.path().join("record")));
        let script = Script::new(stage.plan.seed, name, ACCOUNTS);
        let driver = Driver::new(bus, client.clone(), script, Arc::clone(&record));
        driver.fund().await;
        let dice = Dice::new(stage.plan.seed, &format!("faults of {name}"));
        let epochs = Epochs::watch(places.clone());
        let row = Row { name: name.to_owned(), ..Row::default() };
        let (takeover_max, is_long) = (stage.plan.takeover_max(), stage.plan.is_long());
        let windows = Vec::new();
        Self {
            row,
            dice,
            driver,
            ledgers,
            places,
            nats,
            takeover_max,
            is_long,
            windows,
            epochs,
            record,
            client,
            started,
            folder,
        }
    }

    /// Where its files lie.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Notes what is not as it should be.
    pub(crate) fn expect<T>(&mut self, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problem) => {
                self.row.verdict.problems.push(problem);
                None
            }
        }
    }

    /// Lets the load run until `steps` more are done.
    pub(crate) async fn load(&mut self, steps: usize) {
        self.driver.send(WINDOW);
        let progress = self.driver.progress(steps, PATIENCE).await;
        self.expect(progress);
    }

    /// Measures from now to the first new trade, which must be soon.
    pub(crate) async fn recover(&mut self) {
        self.driver.heal();
        let recovered = self.driver.recovered(None, RECOVERY_MAX).await;
        let recovered = self.expect(recovered);
        self.row.recoveries.extend(recovered);
    }

    /// Lets somebody in each shard feel what faults elsewhere do to him.
    pub(crate) async fn watch_others(&self) {
        let mut accounts = BTreeMap::new();
        for place in &self.places {
            for number in 0..ACCOUNTS {
                let account = format!("trader-{number:03}");
                let wallets = format!("SELECT COUNT(*) FROM wallet WHERE account_id = '{account}'");
                if place.number(&wallets).await.expect("the wallets") > 0 {
                    accounts.insert(place.shard, account);
                    break;
                }
            }
        }
        assert_eq!(accounts.len(), self.places.len(), "every shard has an account: {accounts:?}");
        self.driver.watch(accounts);
    }

    /// A fault that began at `from` and concerned the shards `hit` is over, everything trades again. Whether the
    /// others felt little of it (I9), if there are enough of them to tell.
    pub(crate) async fn healed(&mut self, from: Instant, hit: BTreeSet<u16>) -> bool {
        if !self.driver.is_watching() {
            return true;
        }
        let window = Window { from, to: Instant::now(), hit };
        let samples = self.driver.watched(&window.hit).await;
        self.windows.push(window);
        felt_in_each(&samples, &self.windows).last().is_none_or(|felt| felt.is_kept())
    }

    /// I9: the p99 of those who were not concerned by any fault. A machine that is busy with something else makes them
    /// slower, nothing makes them quicker: of a short run the best fault counts, of a long one all together.
    async fn judge_others(&mut self) {
        if self.windows.is_empty() {
            return;
        }
        let samples = self.driver.watched(&BTreeSet::new()).await;
        let felt = if self.is_long {
            felt_in_all(&samples, &self.windows)
        } else {
            felt_in_each(&samples, &self.windows).into_iter().min_by_key(|felt| felt.p99)
        };
        let Some(felt) = felt else {
            self.row.verdict.problems.push("I9: too few deposits of others to tell what they felt".to_owned());
            return;
        };
        let said = format!("I9: p99 of {} deposits of others {:?}, {:?} allowed", felt.samples, felt.p99, felt.allowed);
        if felt.is_kept() {
            self.row.remarks.push(said);
        } else {
            self.row.verdict.problems.push(said);
        }
    }

    /// Waits until the ledger has taken every report off the bus.
    pub(crate) async fn all_acked(&mut self) {
        let jetstream = jetstream::new(self.client.clone());
        let started = Instant::now();
        let mut waiting = 1;
        while waiting > 0 && started.elapsed() < QUIET_MAX {
            waiting = 0;
            for place in &self.places {
                let name = format!("ledger-{}", place.shard);
                let consumer: jetstream::consumer::PullConsumer =
                    jetstream.get_consumer_from_stream(name, "EXECUTIONS").await.expect("the ledger's consumer");
                let info = consumer.cached_info();
                waiting += info.num_pending + u64::try_from(info.num_ack_pending).expect("fits");
            }
            sleep(Duration::from_millis(20)).await;
        }
        if waiting > 0 {
            self.row.verdict.problems.push(format!("{waiting} messages are not acked"));
        }
    }

    /// The epochs as they were last seen, by shard.
    pub(crate) fn epochs(&self) -> BTreeMap<u16, i64> {
        self.epochs.seen()
    }

    /// Waits until the epoch of some shard has grown since `before`.
    pub(crate) async fn taken_over(&self, before: &BTreeMap<u16, i64>, within: Duration) -> Result<u16, String> {
        let started = Instant::now();
        while started.elapsed() < within {
            for place in &self.places {
                let epoch = place.number("SELECT epoch FROM shard").await.unwrap_or_default();
                if epoch > before.get(&place.shard).copied().unwrap_or_default() {
                    return Ok(place.shard);
                }
            }
            sleep(Duration::from_millis(10)).await;
        }
        Err(format!("nobody has taken over within {within:?}"))
    }

    /// Ends the load, waits until all is answered, and looks at everything.
    pub(crate) async fn end(mut self) -> Row {
        self.check().await;
        self.row.took = self.started.elapsed();
        self.row
    }

    /// The same without an end.
    pub(crate) async fn check(&mut self) {
        let quiet = self.driver.quiet(QUIET_MAX).await;
        if let Err(open) = quiet {
            let first = open.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
            self.row.verdict.problems.push(format!("{} steps are not answered: {first}", open.len()));
        }
        self.judge_others().await;
        self.all_paid().await;
        let mut shards = BTreeMap::new();
        for place in &self.places {
            shards.insert(place.shard, read(place).await);
        }
        let messages = everything_told(&self.client).await.expect("the facts can be read");
        let verdict = audit(&Expected::of(self.record.read()), &shards, &messages);
        let mut problems = std::mem::take(&mut self.row.verdict.problems);
        problems.extend(verdict.problems.iter().cloned());
        problems.extend(self.epochs.problems());
        problems.extend(self.verify());
        self.row.verdict = crate::audit::Verdict { problems, ..verdict };
    }

    /// Waits until decided markets are paid and money that was sent has arrived; what is missing the audit tells.
    async fn all_paid(&self) {
        let settled: Vec<String> = self.driver.settled().iter().map(|market| format!("'{market}'")).collect();
        let markets = if settled.is_empty() { "''".to_owned() } else { settled.join(", ") };
        let unpaid = format!("SELECT COUNT(*) FROM position WHERE quantity <> 0 AND instrument_id IN ({markets})");
        let sent = "SELECT COALESCE(CAST(SUM(CASE WHEN kind = 3 THEN 1 ELSE -1 END) AS bigint), 0) FROM cash_movement
            WHERE kind IN (3, 4) AND denial_code = 0";
        let started = Instant::now();
        while started.elapsed() < QUIET_MAX {
            let (mut open, mut away) = (0, 0);
            for place in &self.places {
                open += place.number(&unpaid).await.unwrap_or(1);
                away += place.number(sent).await.unwrap_or(1);
            }
            if (open, away) == (0, 0) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// `tragen ledger verify` on every shard; what it says when it finds something.
    fn verify(&self) -> Option<String> {
        let config = self.ledgers[0].config();
        let (is_good, said) = tragen(&["ledger", "verify"], &config);
        (!is_good).then(|| format!("tragen ledger verify: {said}"))
    }
}

/// Reads the books when the database is there.
async fn read(place: &Place) -> Books {
    let started = Instant::now();
    loop {
        match place.read().await {
            Ok(books) => return books,
            Err(error) => assert!(started.elapsed() < PATIENCE, "reading shard {}: {error:#}", place.shard),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// A bus with its store in `folder`.
pub(crate) async fn start_bus(folder: &TempDir) -> NatsServer {
    let binary = find_binary().expect("a nats-server");
    NatsServer::start(&binary, &folder.path().join(BUS), Sync::Always).await.expect("a bus")
}

/// A file for each shard.
pub(crate) fn files(folder: &Path, shards: u16) -> Vec<Place> {
    let url = |shard| format!("sqlite://{}", folder.join(format!("shard-{shard}.db")).display());
    (0..shards).map(|shard| Place { shard, url: url(shard) }).collect()
}

/// A schema for each shard in a database of its own.
pub(crate) async fn schemas(server: &Postgres, name: &str, shards: u16) -> Vec<Place> {
    let lower = name.to_ascii_lowercase();
    let database: String = lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    server.create(&database).await;
    (0..shards).map(|shard| Place { shard, url: server.url(&database) }).collect()
}

/// By shard, the epoch that was seen last; and what was wrong.
type Seen = (BTreeMap<u16, i64>, Vec<String>);

/// Looks at the epochs all the time: they only grow (I10).
#[derive(Debug)]
struct Epochs {
    seen: Arc<Mutex<Seen>>,
    watching: JoinHandle<()>,
}

impl Epochs {
    fn watch(places: Vec<Place>) -> Self {
        let seen = Arc::new(Mutex::new((BTreeMap::new(), Vec::new())));
        let shared = Arc::clone(&seen);
        let watching = tokio::spawn(async move {
            loop {
                for place in &places {
                    let Ok(epoch) = place.number("SELECT epoch FROM shard").await else { continue };
                    let mut seen = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    let (epochs, problems): &mut Seen = &mut seen;
                    let before = epochs.insert(place.shard, epoch).unwrap_or(epoch);
                    if epoch < before {
                        problems.push(format!("the epoch of shard {} fell from {before} to {epoch}", place.shard));
                    }
                }
                sleep(EPOCHS_EVERY).await;
            }
        });
        Self { seen, watching }
    }

    fn seen(&self) -> BTreeMap<u16, i64> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn problems(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

impl Drop for Epochs {
    fn drop(&mut self) {
        self.watching.abort();
    }
}
