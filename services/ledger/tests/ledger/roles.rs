//! What each role of PostgreSQL may do with the books: the ledger runs as one that
//! cannot change history, and history refuses even the one that could.

use super::{
    accounting::{Market, Tables, adjustment, correction, sending, settlement, traded},
    cluster::Process,
    pair::{USD, account_in, bought},
    rig::{Kind, Rig, fill, id, withdrawal},
};
use sqlx::{AssertSqlSafe, ConnectOptions as _, postgres::PgConnectOptions};
use std::str::FromStr as _;
use tokio::sync::Mutex;
use tragen_contracts::v1::Side;
use tragen_ledger::{Config, ShardConfig};

const ROLES: &str = include_str!("../../../../deploy/postgres/ledger_roles.sql");
/// Roles belong to the whole server, which tests share.
static MAKING_ROLES: Mutex<()> = Mutex::const_new(());
/// Tables that are only ever added to.
const HISTORY: [&str; 10] = [
    "execution",
    "cash_movement",
    "settlement",
    "payout",
    "moved_wallet",
    "moved_position",
    "transfer",
    "cash_checkpoint",
    "batch",
    "rejected_report",
];
/// Those of them that triggers watch.
const WATCHED: [&str; 8] =
    ["execution", "cash_movement", "payout", "moved_wallet", "moved_position", "transfer", "cash_checkpoint", "batch"];

/// Two shards in one database, with roles.
struct Guarded {
    rig: Rig,
    name: String,
}

impl Guarded {
    /// The tables as their owner has made them, and a login for each role.
    async fn new() -> Self {
        let rig = Rig::new(Kind::Postgres).await;
        let name = rig.url.rsplit('/').next().expect("a database").to_owned();
        let owned = Self { rig, name };
        let first = Process::start(owned.rig.nats_url(), owned.config("tragen", true)).await.expect("a ledger");
        owned.rig.repeat_until_funded(&account_in(17, 0), 100 * USD).await;
        owned.rig.repeat_until_funded(&account_in(200, 0), 100 * USD).await;
        first.stop().await;
        let making = MAKING_ROLES.lock().await;
        // It can be run again.
        for _ in 0..2 {
            owned.rig.sql(ROLES).await;
        }
        for (login, role) in [
            ("ledger_1", "tragen_ledger"),
            ("mover_1", "tragen_ledger_mover"),
            ("reader_1", "tragen_ledger_reader"),
            ("owner_1", "tragen_ledger_owner"),
        ] {
            let login = owned.login(login);
            owned.rig.sql(&format!("CREATE ROLE {login} LOGIN PASSWORD 'secret' IN ROLE {role}")).await;
        }
        drop(making);
        owned
    }

    /// Roles are known to all databases of a server; tests run beside each other.
    fn login(&self, login: &str) -> String {
        format!("{login}_{}", self.name)
    }

    fn url(&self, login: &str) -> String {
        let (_, rest) = self.rig.url.split_once('@').expect("a user");
        format!("postgres://{}:secret@{rest}", self.login(login))
    }

    fn config(&self, login: &str, is_superuser: bool) -> Config {
        let url = if is_superuser { self.rig.url.clone() } else { self.url(login) };
        let place = ShardConfig { url, replica_urls: Vec::new() };
        Config { shards: vec![place.clone(), place], ..Config::default() }
    }

    /// The SQLSTATE that `statement` ends with for a login; empty if it is carried out.
    async fn state(&self, login: &str, statement: &str) -> String {
        let options = PgConnectOptions::from_str(&self.url(login)).expect("a url");
        let mut db = options.options([("search_path", "shard_0")]).connect().await.expect("a connection");
        match sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut db).await {
            Ok(_) => String::new(),
            Err(error) => error.as_database_error().and_then(|error| error.code()).expect("a code").into_owned(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_runs_without_the_right_to_change_history() {
    let guarded = Guarded::new().await;
    let rig = &guarded.rig;
    let process = Process::start(rig.nats_url(), guarded.config("ledger_1", false)).await.expect("a ledger");
    let (own, other) = (account_in(17, 0), account_in(200, 0));
    rig.repeat_until_funded(&account_in(17, 1), USD).await;
    let spot = |name: &str| {
        let fills = vec![fill(&format!("x-{name}"), 500 * USD, USD, 0)];
        traded(Market::spot("BTCUSD"), (&account_in(17, 1), name), Side::Buy, fills)
    };
    rig.report(vec![
        bought(&own, "a"),
        sending(&own, "s", (&other, USD), None),
        withdrawal(&own, "out", USD, None),
        withdrawal(&own, "too-much", 1_000 * USD, None),
        adjustment(&own, "gift", USD),
        correction(&own, "oops", &id(&own, "gift")),
        spot("frozen"),
        tragen_contracts::v1::ExecutionReport { key: None, ..bought(&own, "broken") },
    ])
    .await;
    let tables = [0, 1].map(|shard| Tables { url: rig.url.clone(), shard });
    tables[1].wait_for("SELECT COUNT(*) FROM cash_movement WHERE kind = 4", 1).await;
    rig.report(vec![settlement("end", "M", Some(USD))]).await;
    tables[0].wait_for("SELECT COUNT(*) FROM payout", 1).await;
    rig.report(vec![bought(&own, "late")]).await;
    tables[0].wait_for("SELECT COUNT(*) FROM payout", 2).await;
    process.stop().await;
    let set_aside = "SELECT COUNT(*) FROM rejected_report";
    assert!(tables[0].number(set_aside).await + tables[1].number(set_aside).await > 0, "something of every kind");

    // As a reader, who may do nothing else.
    let report = tragen_ledger::verify(&guarded.url("reader_1"), |_| {}).await.expect("a report");
    assert_eq!(report.first_bad_row, None);
    // As a mover, who also may.
    let config = guarded.config("mover_1", false);
    let moved = tragen_ledger::move_slot(&config, 17, 1, |_| {}).await.expect("moved").expect("it was elsewhere");
    assert_eq!(moved.wallets, 2);
    let shards = guarded.config("reader_1", false).shards;
    let report = tragen_ledger::verify_shards(&shards, tragen_ledger::VerifyOptions::default(), |_| {});
    assert_eq!(report.await.expect("a report").first_bad_row, None);
    // The ledger itself may not.
    let refused = tragen_ledger::move_slot(&guarded.config("ledger_1", false), 17, 0, |_| {}).await;
    println!("{:#}", refused.expect_err("refused"));
    let mut process = Process::start(rig.nats_url(), guarded.config("ledger_1", false)).await.expect("a ledger");
    rig.repeat_until_funded(&account_in(17, 2), USD).await;
    process.stop().await;
    process = Process::start(rig.nats_url(), guarded.config("owner_1", false)).await.expect("a ledger as the owner");
    rig.repeat_until_funded(&account_in(17, 3), USD).await;
    process.stop().await;
    tables[0].check_sums().await;
    tables[1].check_sums().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_refuses_a_change_by_right_and_by_trigger() {
    let guarded = Guarded::new().await;
    for login in ["ledger_1", "mover_1", "reader_1"] {
        for table in HISTORY {
            let column = match table {
                "settlement" | "rejected_report" => "reason",
                "batch" => "hash",
                "moved_position" => "quantity",
                _ => "posted_at",
            };
            for statement in [
                format!("UPDATE {table} SET {column} = {column}"),
                format!("DELETE FROM {table}"),
                format!("TRUNCATE {table}"),
                format!("DROP TABLE {table}"),
                format!("ALTER TABLE {table} DISABLE TRIGGER USER"),
            ] {
                assert_eq!(guarded.state(login, &statement).await, "42501", "{login}: {statement}");
            }
        }
        let statement = "UPDATE _sqlx_migrations SET success = true";
        assert_eq!(guarded.state(login, statement).await, "42501", "{login}: {statement}");
    }
    for table in WATCHED {
        let column = match table {
            "batch" => "hash",
            "moved_position" => "quantity",
            _ => "posted_at",
        };
        for statement in [
            format!("UPDATE {table} SET {column} = {column}"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
        ] {
            assert_eq!(guarded.state("owner_1", &statement).await, "42501", "the owner: {statement}");
        }
    }
    // What follows from history is kept by the ledger, and goes along only with a slot.
    for (login, statement, expected) in [
        ("ledger_1", "UPDATE wallet SET version = version", ""),
        ("ledger_1", "DELETE FROM wallet", "42501"),
        ("ledger_1", "DELETE FROM position", "42501"),
        ("ledger_1", "UPDATE slot SET state = 3", "42501"),
        ("ledger_1", "DELETE FROM shard", "42501"),
        ("ledger_1", "CREATE TABLE mine (a int)", "42501"),
        ("mover_1", "UPDATE slot SET state = state", ""),
        ("mover_1", "DELETE FROM position WHERE account_id = 'nobody'", ""),
        ("mover_1", "DELETE FROM trade", "42501"),
        ("reader_1", "SELECT * FROM transfer", ""),
        ("reader_1", "UPDATE wallet SET version = version", "42501"),
        ("reader_1", "INSERT INTO process VALUES ('x', 0)", "42501"),
    ] {
        assert_eq!(guarded.state(login, statement).await, expected, "{login}: {statement}");
    }
}
