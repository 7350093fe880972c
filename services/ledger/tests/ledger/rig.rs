//! A private bus, a private store and a running ledger.

use futures::StreamExt as _;
use prost::Message as _;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use std::{
    collections::BTreeMap,
    fmt::Debug,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tragen_bus::{
    Ask, Bus, Consumer, PublishOptions, StartAt, Stream, Subject,
    server::{NatsServer, Sync, find_binary},
};
use tragen_contracts::v1;
use tragen_host::{Lifecycle, trace::Spans};
use tragen_ledger::Config;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// In which another ledger writes again; on a machine with nothing else to do it takes three seconds.
pub(crate) const TAKEN_OVER_MAX: Duration = Duration::from_secs(10);

/// Which store a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

pub(crate) const BOTH: [Kind; 2] = [Kind::Sqlite, Kind::Postgres];

/// A bus, a store and, once started, a ledger.
pub(crate) struct Rig {
    pub(crate) bus: Bus,
    pub(crate) url: String,
    pub(crate) kind: Kind,
    nats: NatsServer,
    lifecycle: Option<Lifecycle>,
    facts: tragen_bus::Follower,
    postgres: Option<Arc<PostgresServer>>,
    _folder: TempDir,
}

impl Rig {
    /// With a ledger that is ready.
    pub(crate) async fn started(kind: Kind) -> Self {
        let mut rig = Self::new(kind).await;
        rig.start().await;
        rig
    }

    /// Without a ledger.
    pub(crate) async fn new(kind: Kind) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let binary = find_binary().expect("a nats-server");
        let nats = NatsServer::start(&binary, &folder.path().join("nats"), Sync::Always).await.expect("a bus");
        let bus = Bus::connect(nats.url(), "test").await.expect("a connection");
        bus.apply(1_000).await.expect("streams");
        let (url, postgres) = match kind {
            Kind::Sqlite => (format!("sqlite://{}", folder.path().join("books.db").display()), None),
            Kind::Postgres => {
                let server = tokio::task::spawn_blocking(PostgresServer::shared).await.expect("a server");
                (server.new_database().await, Some(server))
            }
        };
        let watching = Lifecycle::new(10);
        let context = watching.context("test", Spans::default());
        let facts = bus.follow(&context, Stream::Ledger, "", StartAt::Beginning).await.expect("facts");
        // Keeps following until the process ends with the test.
        std::mem::forget(watching);
        Self { bus, url, kind, nats, lifecycle: None, facts, postgres, _folder: folder }
    }

    pub(crate) fn config(&self) -> Config {
        Config { store_url: self.url.clone(), ..Config::default() }
    }

    pub(crate) async fn start(&mut self) {
        let lifecycle = Lifecycle::new(10);
        let context = lifecycle.context("ledger", Spans::default());
        let bus = Bus::connect(self.nats.url(), "ledger").await.expect("a connection");
        tragen_ledger::run(context, bus, self.config()).await.expect("a ledger");
        self.lifecycle = Some(lifecycle);
    }

    /// Stops the ledger in good order.
    pub(crate) async fn stop(&mut self) {
        let lifecycle = self.lifecycle.take().expect("a running ledger");
        lifecycle.stop_token().cancel();
        lifecycle.run().await.expect("a clean end");
    }

    /// A ledger on a runtime of its own, which can be torn away.
    pub(crate) async fn doomed(&self) -> Runtime {
        let (url, config) = (self.nats.url().to_owned(), self.config());
        let runtime = Runtime::new().expect("a runtime");
        let started = runtime.spawn(async move {
            let lifecycle = Lifecycle::new(10);
            let bus = Bus::connect(&url, "ledger").await.expect("a connection");
            let context = lifecycle.context("ledger", Spans::default());
            tragen_ledger::run(context, bus, config).await.expect("a ledger");
            std::mem::forget(lifecycle);
        });
        started.await.expect("started");
        runtime
    }

    /// Puts reports on the bus as one message.
    pub(crate) async fn report(&self, reports: Vec<v1::ExecutionReport>) {
        let batch = v1::ExecutionBatch { reports };
        let subject = Subject::Executions("paper");
        self.bus.publish(&subject, &batch, &PublishOptions::default(), PATIENCE).await.expect("published");
    }

    /// Hands each report on to `shard` in a message of its own, as another shard does.
    pub(crate) async fn hand_on(&self, shard: u16, reports: Vec<v1::ExecutionReport>) {
        let subject = Subject::ExecutionsFor { venue: "paper".to_owned(), shard };
        let options = PublishOptions::default();
        let (bus, subject, options) = (&self.bus, &subject, &options);
        let sending = reports.into_iter().map(|report| async move {
            let batch = v1::ExecutionBatch { reports: vec![report] };
            bus.publish(subject, &batch, options, PATIENCE).await.expect("published")
        });
        futures::stream::iter(sending).buffer_unordered(64).collect::<Vec<_>>().await;
    }

    /// Waits for the next fact.
    pub(crate) async fn facts(&mut self) -> Vec<v1::LedgerFact> {
        let message = tokio::time::timeout(PATIENCE, self.facts.next()).await.expect("a fact in time");
        let message = message.expect("the bus runs");
        v1::LedgerFactBatch::decode(message.payload).expect("a batch of facts").facts
    }

    /// Waits until every one of `trade_ids` was told, and returns the last fact of each.
    pub(crate) async fn told(&mut self, trade_ids: &[String]) -> BTreeMap<String, v1::LedgerFact> {
        let mut seen = BTreeMap::new();
        while !trade_ids.iter().all(|id| seen.contains_key(id)) {
            seen.extend(self.facts().await.into_iter().map(|fact| (trade_id(&fact), fact)));
        }
        seen
    }

    pub(crate) async fn ask(&self, account: &str, question: v1::ledger_question::Question) -> v1::LedgerAnswer {
        let question =
            v1::LedgerQuestion { account_id: account.to_owned(), question: Some(question), traceparent: String::new() };
        self.bus.ask(Ask::Ledger, &question, PATIENCE).await.expect("an answer")
    }

    pub(crate) async fn deposit(&self, account: &str, request_id: &str, amount_micros: i64) -> v1::LedgerAnswer {
        let deposit = v1::DepositRequest { request_id: request_id.to_owned(), amount_micros, currency: String::new() };
        self.ask(account, v1::ledger_question::Question::Deposit(deposit)).await
    }

    /// A deposit that must work.
    pub(crate) async fn funded(&self, account: &str, amount_micros: i64) {
        let answer = self.deposit(account, &format!("fund-{account}"), amount_micros).await.answer;
        assert!(matches!(answer, Some(v1::ledger_answer::Answer::Deposit(_))), "{answer:?}");
    }

    /// A deposit that is repeated until somebody takes it.
    pub(crate) async fn repeat_until_funded(&self, account: &str, amount_micros: i64) {
        let started = Instant::now();
        let deposit =
            v1::DepositRequest { request_id: format!("fund-{account}"), amount_micros, currency: String::new() };
        let question = v1::LedgerQuestion {
            account_id: account.to_owned(),
            question: Some(v1::ledger_question::Question::Deposit(deposit)),
            traceparent: String::new(),
        };
        loop {
            let wait = Duration::from_millis(200);
            let answer = self.bus.ask::<_, v1::LedgerAnswer>(Ask::Ledger, &question, wait).await;
            if let Ok(v1::LedgerAnswer { answer: Some(v1::ledger_answer::Answer::Deposit(_)) }) = answer {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "no deposit: {answer:?}");
        }
    }

    pub(crate) async fn account(&self, account: &str) -> v1::Account {
        let question = v1::ledger_question::Question::GetAccount(v1::GetAccountRequest::default());
        match self.ask(account, question).await.answer {
            Some(v1::ledger_answer::Answer::Account(v1::GetAccountResponse { account: Some(account) })) => account,
            other => panic!("no account: {other:?}"),
        }
    }

    /// Runs a statement against the store behind the ledger's back.
    pub(crate) async fn sql(&self, text: &str) -> u64 {
        match self.kind {
            Kind::Sqlite => {
                let mut db = sqlx::SqliteConnection::connect(&self.url).await.expect("a connection");
                let done = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut db).await.expect("valid SQL");
                done.rows_affected()
            }
            Kind::Postgres => {
                let mut db = sqlx::PgConnection::connect(&self.url).await.expect("a connection");
                let done = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut db).await.expect("valid SQL");
                done.rows_affected()
            }
        }
    }

    /// The number that `text` selects.
    pub(crate) async fn number(&self, text: &str) -> i64 {
        match self.kind {
            Kind::Sqlite => {
                let mut db = sqlx::SqliteConnection::connect(&self.url).await.expect("a connection");
                sqlx::query(AssertSqlSafe(text.to_owned())).fetch_one(&mut db).await.expect("a row").get(0)
            }
            Kind::Postgres => {
                let mut db = sqlx::PgConnection::connect(&self.url).await.expect("a connection");
                sqlx::query(AssertSqlSafe(text.to_owned())).fetch_one(&mut db).await.expect("a row").get(0)
            }
        }
    }

    /// Every row of money and trades as text, to compare before and after.
    pub(crate) async fn books(&self) -> Vec<i64> {
        let mut numbers = Vec::new();
        for select in [
            "SELECT COUNT(*) FROM trade",
            "SELECT COUNT(*) FROM execution",
            "SELECT COUNT(*) FROM transfer",
            "SELECT COUNT(*) FROM cash_movement",
            "SELECT COUNT(*) FROM batch",
            "SELECT fact_sequence FROM shard",
            "SELECT CAST(COALESCE(SUM(cash + margin * 3 + version * 7), 0) AS bigint) FROM wallet",
            "SELECT CAST(COALESCE(SUM(quantity + entry_notional * 3 + fees * 7), 0) AS bigint) FROM position",
            "SELECT CAST(COALESCE(SUM(status + filled_quantity + cash_change * 3 + updated_at), 0) AS bigint) FROM trade",
        ] {
            numbers.push(self.number(select).await);
        }
        numbers
    }

    /// Waits until `select` gives `expected`.
    pub(crate) async fn wait_for(&self, select: &str, expected: i64) {
        until(select, expected, async || self.number(select).await).await;
    }

    /// A verification that must find nothing.
    pub(crate) async fn verified(&self) -> tragen_ledger::VerifyReport {
        let report = tragen_ledger::verify(&self.url, |_| {}).await.expect("a report");
        assert_eq!(report.first_bad_row, None);
        report
    }

    /// One more empty database of PostgreSQL, for a ledger with shards in several.
    pub(crate) async fn another_database(&self) -> String {
        self.postgres.as_ref().expect("a rig on PostgreSQL").new_database().await
    }

    pub(crate) fn nats_url(&self) -> &str {
        self.nats.url()
    }

    /// Waits until the ledger has acked every report.
    pub(crate) async fn all_acked(&self) {
        self.acked_by(0).await;
    }

    /// Waits until `shard` has acked everything that it sees, what it passes over included.
    pub(crate) async fn acked_by(&self, shard: u16) {
        until("reports that are not acked", 0, async || self.unacked(shard).await).await;
    }

    /// Reports that `shard` has not acked.
    pub(crate) async fn unacked(&self, shard: u16) -> u64 {
        let lag = self.bus.lag(Consumer::Ledger(shard)).await.expect("the shard's consumer");
        lag.waiting + lag.in_hand
    }
}

/// Waits until `look` gives `expected`. On a machine that is busy with other tests that may take long, so patience
/// begins anew with every change.
pub(crate) async fn until<T: PartialEq + Debug>(what: &str, expected: T, mut look: impl AsyncFnMut() -> T) {
    let (started, mut changed, mut last) = (Instant::now(), Instant::now(), None);
    loop {
        let actual = Some(look().await);
        if actual.as_ref() == Some(&expected) {
            return;
        }
        if actual != last {
            (changed, last) = (Instant::now(), actual);
        }
        let is_late = changed.elapsed() >= PATIENCE || started.elapsed() >= 10 * PATIENCE;
        assert!(!is_late, "{what}: {last:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(lifecycle) = &self.lifecycle {
            lifecycle.stop_token().cancel();
        }
    }
}

/// The trade a fact is about.
pub(crate) fn trade_id(fact: &v1::LedgerFact) -> String {
    match &fact.kind {
        Some(v1::ledger_fact::Kind::Trade(posted)) => posted.trade.clone().unwrap_or_default().trade_id,
        Some(v1::ledger_fact::Kind::Cash(posted)) => posted.trade_id.clone(),
        Some(v1::ledger_fact::Kind::Settled(settled)) => format!("{}/{}", settled.booking_id, settled.account_id),
        None => String::new(),
    }
}

/// The trade in a fact.
pub(crate) fn trade_of(fact: &v1::LedgerFact) -> v1::Trade {
    match &fact.kind {
        Some(v1::ledger_fact::Kind::Trade(posted)) => posted.trade.clone().expect("a trade"),
        other => panic!("not a trade: {other:?}"),
    }
}

/// The cash movement in a fact.
pub(crate) fn cash_of(fact: &v1::LedgerFact) -> v1::CashPosted {
    match &fact.kind {
        Some(v1::ledger_fact::Kind::Cash(posted)) => posted.clone(),
        other => panic!("not cash: {other:?}"),
    }
}

/// Who asks for what under which name.
pub(crate) fn key(account: &str, request_id: &str) -> v1::TradeKey {
    v1::TradeKey {
        trade_id: tragen_contracts::trade_id(account, request_id).hyphenated().to_string(),
        request_id: request_id.to_owned(),
        account_id: account.to_owned(),
        tier: v1::Tier::Standard.into(),
        payload_hash: vec![7; 32].into(),
        created_at_micros: 1_700_000_000_000_000,
    }
}

/// The trade id of a request.
pub(crate) fn id(account: &str, request_id: &str) -> String {
    key(account, request_id).trade_id
}

/// One fill of a report: id, price and quantity in micros.
pub(crate) fn fill(execution_id: &str, price_micros: i64, quantity_micros: i64, fee_micros: i64) -> v1::Fill {
    v1::Fill {
        execution_id: execution_id.to_owned(),
        price_micros,
        quantity_micros,
        fee_micros,
        executed_at_micros: 1_700_000_000_500_000,
    }
}

/// A report about an order for a prediction.
pub(crate) fn report(
    account: &str,
    request_id: &str,
    side: v1::Side,
    status: v1::TradeStatus,
    fills: Vec<v1::Fill>,
) -> v1::ExecutionReport {
    let key = key(account, request_id);
    let trade = v1::TradeReport {
        terms: Some(v1::OrderTerms {
            order_id: format!("{}-o", key.trade_id),
            instrument_id: "EPL-2026-ARS-MCI-HOME".to_owned(),
            side: side.into(),
            order_type: v1::OrderType::Limit.into(),
            quantity_micros: 10_000_000,
            limit_price_micros: 600_000,
            time_in_force: v1::TimeInForce::Gtc.into(),
            expire_at_micros: 0,
            is_reduce_only: false,
            is_post_only: false,
        }),
        settlement: Some(v1::SettlementTerms {
            style: v1::SettlementStyle::Prediction.into(),
            currency: "USD".to_owned(),
            initial_margin_ppm: 0,
        }),
        fills,
        status: status.into(),
        agent: "eplScoutAgent".to_owned(),
        agent_id: "scout-7".to_owned(),
        rationale: "because".to_owned(),
        ..v1::TradeReport::default()
    };
    v1::ExecutionReport {
        meta: Some(v1::Meta {
            event_id: uuid::Uuid::now_v7().to_string(),
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
            ..v1::Meta::default()
        }),
        key: Some(key),
        kind: Some(v1::execution_report::Kind::Trade(trade)),
    }
}

/// The same report with its trade part changed.
pub(crate) fn with(mut report: v1::ExecutionReport, change: impl Fn(&mut v1::TradeReport)) -> v1::ExecutionReport {
    if let Some(v1::execution_report::Kind::Trade(trade)) = &mut report.kind {
        change(trade);
    }
    report
}

/// A withdrawal the guard has decided.
pub(crate) fn withdrawal(
    account: &str,
    request_id: &str,
    amount_micros: i64,
    denial: Option<v1::Denial>,
) -> v1::ExecutionReport {
    let withdrawal =
        v1::WithdrawalReport { amount_micros, currency: "USD".to_owned(), denial, to_account_id: String::new() };
    v1::ExecutionReport {
        meta: Some(v1::Meta { event_id: uuid::Uuid::now_v7().to_string(), ..v1::Meta::default() }),
        key: Some(key(account, request_id)),
        kind: Some(v1::execution_report::Kind::Withdrawal(withdrawal)),
    }
}

/// A PostgreSQL of our own, shared by the tests that run at the same time.
#[derive(Debug)]
pub(crate) struct PostgresServer {
    child: Child,
    url: String,
    _folder: TempDir,
}

static SHARED: Mutex<Weak<PostgresServer>> = Mutex::new(Weak::new());

impl PostgresServer {
    fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let serve = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/serve");
        let mut child = Command::new(serve)
            .arg("postgres")
            .arg(folder.path().join("postgres"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tools/serve, which needs Python 3");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("an answer of tools/serve");
        let url = line.split('"').find(|part| part.starts_with("postgres://"));
        let url = url.expect("PostgreSQL 15 or newer; see the message of tools/serve above").to_owned();
        Self { child, url, _folder: folder }
    }

    async fn new_database(&self) -> String {
        let name = format!("books_{}", uuid::Uuid::new_v4().simple());
        let mut db = sqlx::PgConnection::connect(&self.url).await.expect("a connection");
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(create).execute(&mut db).await.expect("a database");
        // For what tests ask the tables themselves; the ledger names its schema.
        let path = AssertSqlSafe(format!("ALTER DATABASE {name} SET search_path = shard_0"));
        sqlx::raw_sql(path).execute(&mut db).await.expect("a search path");
        let (server, _) = self.url.rsplit_once('/').expect("a url");
        format!("{server}/{name}")
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // It stops when its stdin closes.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
