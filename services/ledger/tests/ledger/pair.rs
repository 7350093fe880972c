//! Two shards, each where the test wants it, one ledger that serves both, and a
//! slot that may be moved between them.

use super::{
    accounting::{Market, Tables, traded},
    cluster::Process,
    rig::{Kind, PATIENCE, Rig, fill, until},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tragen_contracts::v1::{self, Side, ledger_answer::Answer, ledger_question::Question};
use tragen_ledger::{Config, MoveProgress, ShardConfig, SlotMoved, slot_of_account};

pub(crate) const USD: i64 = 1_000_000;

/// Where the two shards are.
pub(crate) const PAIRS: [[Kind; 2]; 3] =
    [[Kind::Sqlite, Kind::Sqlite], [Kind::Sqlite, Kind::Postgres], [Kind::Postgres, Kind::Postgres]];

/// The account with that number of those in `slot`.
pub(crate) fn account_in(slot: u16, number: usize) -> String {
    (0..).map(|name| format!("m{name}")).filter(|name| slot_of_account(name) == slot).nth(number).expect("endless")
}

/// Two shards and their ledger.
pub(crate) struct Pair {
    pub(crate) rig: Rig,
    pub(crate) config: Config,
    process: Option<Process>,
    _folder: TempDir,
}

impl Pair {
    /// With a ledger that serves both.
    pub(crate) async fn started(kinds: [Kind; 2]) -> Self {
        let rig = Rig::new(Kind::Postgres).await;
        let folder = TempDir::new().expect("a folder");
        let mut shards = Vec::new();
        for (shard, kind) in kinds.into_iter().enumerate() {
            let url = match kind {
                Kind::Sqlite => format!("sqlite://{}", folder.path().join(format!("shard-{shard}.db")).display()),
                Kind::Postgres => rig.another_database().await,
            };
            shards.push(ShardConfig { url, replica_urls: Vec::new() });
        }
        let config = Config { shards, ..Config::default() };
        let mut pair = Self { rig, config, process: None, _folder: folder };
        pair.start().await;
        pair
    }

    pub(crate) async fn start(&mut self) {
        self.process = Some(Process::start(self.rig.nats_url(), self.config.clone()).await.expect("a ledger"));
        // A ledger is ready before it has taken over every shard for the first time.
        self.wait_for("SELECT COUNT(*) FROM shard", 2).await;
    }

    /// Stops the ledger in good order.
    pub(crate) async fn stop(&mut self) {
        self.process.take().expect("a running ledger").stop().await;
    }

    /// Tears the ledger away.
    pub(crate) fn kill(&mut self) {
        self.process.take().expect("a running ledger").kill();
    }

    pub(crate) fn tables(&self, shard: u16) -> Tables {
        Tables { url: self.config.shards[usize::from(shard)].url.clone(), shard }
    }

    /// What `select` gives in both shards together.
    pub(crate) async fn number(&self, select: &str) -> i64 {
        self.tables(0).number(select).await + self.tables(1).number(select).await
    }

    /// Waits until `select` gives `expected` in both shards together.
    pub(crate) async fn wait_for(&self, select: &str, expected: i64) {
        until(select, expected, async || self.number(select).await).await;
    }

    /// Moves a slot; it must work.
    pub(crate) async fn moved(&self, slot: u16, to: u16) -> Option<SlotMoved> {
        let moved = tragen_ledger::move_slot(&self.config, slot, to, |_| {}).await;
        moved.unwrap_or_else(|error| panic!("slot {slot} to shard {to}: {error:#}"))
    }

    /// Begins to move a slot, and dies when it has come to `step`; false when it never came there.
    pub(crate) async fn cut_short(
        &self,
        slot: u16,
        to: u16,
        is_it: impl Fn(MoveProgress) -> bool + Send + Sync + 'static,
    ) -> bool {
        let config = self.config.clone();
        let moving = tokio::spawn(async move {
            // Without the hook of panics: this one is meant, and its trace would hide those that are not.
            let progress = |step| {
                if is_it(step) {
                    std::panic::resume_unwind(Box::new("cut short"));
                }
            };
            tragen_ledger::move_slot(&config, slot, to, progress).await
        });
        match moving.await {
            Ok(moved) => {
                moved.expect("moved");
                false
            }
            Err(death) => {
                assert!(death.is_panic());
                true
            }
        }
    }

    /// A deposit of each account that is repeated until somebody takes it.
    pub(crate) async fn funded(&self, accounts: &[String], name: &str, amount_micros: i64) {
        futures::future::join_all(accounts.iter().map(|account| self.deposited(account, name, amount_micros))).await;
    }

    /// The account after a deposit that is repeated until somebody takes it.
    pub(crate) async fn deposited(&self, account: &str, name: &str, amount_micros: i64) -> v1::Account {
        let started = Instant::now();
        loop {
            let answer = self.deposit(account, name, amount_micros).await;
            if let Answer::Deposit(deposited) = answer {
                return deposited.account.expect("an account");
            }
            assert!(started.elapsed() < 5 * PATIENCE, "no deposit: {answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What a deposit is answered.
    pub(crate) async fn deposit(&self, account: &str, name: &str, amount_micros: i64) -> Answer {
        let request_id = format!("{name}-{account}");
        let deposit = v1::DepositRequest { request_id, amount_micros, currency: String::new() };
        self.rig.ask(account, Question::Deposit(deposit)).await.answer.expect("an answer")
    }

    /// Lets the bus hold back what `shard` is to book.
    pub(crate) async fn hold_back(&self, shard: u16) {
        let until = async_nats::datetime::add_std_duration(async_nats::datetime::now(), Duration::from_secs(3_600));
        let executions = self.executions().await;
        executions.pause_consumer(&format!("ledger-{shard}"), until.expect("a time")).await.expect("paused");
    }

    /// Lets it go on.
    pub(crate) async fn let_go(&self, shard: u16) {
        self.executions().await.resume_consumer(&format!("ledger-{shard}")).await.expect("resumed");
    }

    async fn executions(&self) -> async_nats::jetstream::stream::Stream {
        let client = async_nats::connect(self.rig.nats_url()).await.expect("a connection");
        async_nats::jetstream::new(client).get_stream("EXECUTIONS").await.expect("the stream")
    }

    /// Waits until both shards have acked everything, also what they have handed on to each other meanwhile.
    pub(crate) async fn all_acked(&self) {
        for _ in 0..3 {
            self.rig.acked_by(0).await;
            self.rig.acked_by(1).await;
        }
    }

    /// The sums of both shards, that nothing is on its way between them, and what the ledger says itself.
    pub(crate) async fn balanced(&self) {
        let mut between = BTreeMap::<String, i64>::new();
        for shard in [0, 1] {
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
        self.verified().await;
    }

    pub(crate) async fn verified(&self) {
        let options = tragen_ledger::VerifyOptions::default();
        let report = tragen_ledger::verify_shards(&self.config.shards, options, |_| {}).await.expect("a report");
        assert_eq!(report.first_bad_row, None);
    }

    /// Where a slot is, as `tragen ledger slots` says: shard and where it leaves for.
    pub(crate) async fn place(&self, slot: u16) -> Vec<(u16, Option<u16>)> {
        let slots = tragen_ledger::slots(&self.config).await.expect("the slots");
        slots.iter().filter(|place| place.slot == slot).map(|place| (place.shard, place.leaving_for)).collect()
    }
}

/// Two contracts for one dollar, of the market `M`.
pub(crate) fn bought(account: &str, name: &str) -> v1::ExecutionReport {
    let fills = vec![fill(&format!("{account}-{name}"), USD / 2, 2 * USD, 0)];
    traded(Market::prediction("M"), (account, name), Side::Buy, fills)
}
