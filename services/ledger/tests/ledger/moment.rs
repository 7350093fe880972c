//! PostgreSQL taken back to a moment: a copy of its files, its archived log up to then, and what the bus
//! still has.

use super::{
    accounting::{Market, balanced, traded},
    rig::{Kind, Rig, fill, id},
    standby::{Server, books, run},
};
use sqlx::{Connection as _, PgConnection};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;
use tragen_bus::{Consumer, Stream, Subject};
use tragen_contracts::v1::{self, Side};

const USD: i64 = 1_000_000;

fn bought(name: &str) -> v1::ExecutionReport {
    let fills = vec![fill(&format!("e-{name}"), USD / 2, 2 * USD, 0)];
    traded(Market::prediction("M"), ("alice", name), Side::Buy, fills)
}

/// Anyone may write there: the server may run as another user than the test.
fn open_to_all(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o777)).expect("permissions");
}

async fn served(folder: PathBuf, arguments: Vec<String>) -> Server {
    let started = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().flat_map(|setting| ["-c", setting]).collect();
        Server::start(&folder, &arguments, "0")
    });
    started.await.expect("a server")
}

/// Copies the files of the server at `url` from `from` to `to` while it goes on, as `pg_basebackup` does.
async fn base_backup(url: &str, from: &Path, to: &Path) {
    let mut session = PgConnection::connect(url).await.expect("a connection");
    sqlx::query("SELECT pg_backup_start('base', true)").execute(&mut session).await.expect("a checkpoint");
    fs::create_dir(to).expect("a folder");
    for part in ["data", "password"] {
        // A file that goes away meanwhile is not needed: the log has what was in it.
        let copied = Command::new("cp").arg("-a").arg(from.join(part)).arg(to).status().expect("cp");
        println!("{part}: {copied}");
    }
    let (label,): (String,) =
        sqlx::query_as("SELECT labelfile FROM pg_backup_stop(false)").fetch_one(&mut session).await.expect("the end");
    let data = to.join("data");
    for (name, content) in [("backup_label", label.as_str()), ("recovery.signal", "")] {
        fs::write(data.join(name), content).expect("a file");
        open_to_all(&data.join(name));
    }
    fs::remove_file(data.join("postmaster.pid")).expect("the one of the server that was copied");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_books_of_a_moment_come_back_from_a_base_backup_and_the_log() {
    let folder = TempDir::new().expect("a folder");
    let (before, after, archive) = (folder.path().join("0"), folder.path().join("1"), folder.path().join("archive"));
    fs::create_dir(&archive).expect("a folder");
    open_to_all(&archive);
    let archiving = format!("archive_command=test ! -f {0}/%f && cp %p {0}/%f", archive.display());
    let server = served(before.clone(), vec!["archive_mode=on".to_owned(), archiving]).await;
    run(&server.url, "CREATE DATABASE books").await;
    run(&server.url, "ALTER DATABASE books SET search_path = shard_0").await;
    let mut rig = Rig::new(Kind::Sqlite).await;
    (rig.kind, rig.url) = (Kind::Postgres, books(&server.url));
    rig.start().await;

    rig.funded("alice", 100 * USD).await;
    rig.report(vec![bought("a")]).await;
    rig.all_acked().await;
    base_backup(&server.url, &before, &after).await;
    rig.report(vec![bought("b")]).await;
    rig.all_acked().await;
    let mut session = PgConnection::connect(&rig.url).await.expect("a connection");
    let (moment,): (String,) =
        sqlx::query_as("SELECT clock_timestamp()::text").fetch_one(&mut session).await.expect("a time");
    let then = rig.verified().await;
    rig.report(vec![bought("c")]).await;
    rig.all_acked().await;
    rig.told(&[id("alice", "c")]).await;
    let last_fact = rig.number("SELECT fact_sequence FROM shard").await;
    rig.stop().await;
    // As it stops, it archives the rest of its log.
    tokio::task::spawn_blocking(move || drop(server)).await.expect("stopped");

    let settings = [
        format!("restore_command=cp {}/%f %p", archive.display()),
        format!("recovery_target_time={moment}"),
        "recovery_target_action=promote".to_owned(),
    ];
    let server = served(after, settings.to_vec()).await;
    rig.url = books(&server.url);
    rig.wait_for("SELECT COUNT(*) WHERE NOT pg_is_in_recovery()", 1).await;
    let restored = rig.verified().await;
    assert_eq!((restored.head_hash, restored.executions), (then.head_hash, 2));

    // The epoch and the facts on the bus are of later: the books go through a copy, as the runbook says.
    let copy = folder.path().join("copy");
    tragen_ledger::backup(&rig.url, 0, &copy, |_, _| {}).await.unwrap_or_else(|error| panic!("{error:#}"));
    run(&rig.url, "ALTER SCHEMA shard_0 RENAME TO shard_0_old").await;
    tragen_ledger::restore(&rig.url, 0, &copy).await.unwrap_or_else(|error| panic!("{error:#}"));
    let facts = Subject::LedgerFacts(0);
    rig.bus.start_anew(Consumer::Ledger(0), (Stream::Ledger, &facts)).await.expect("done");
    rig.start().await;
    rig.told(&[id("alice", "c")]).await;
    rig.all_acked().await;
    assert_eq!(rig.number("SELECT COUNT(*) FROM execution").await, 3);
    assert_eq!(rig.number("SELECT fact_sequence FROM shard").await, last_fact);
    assert_eq!(rig.account("alice").await.cash_micros, 97 * USD);
    balanced(&rig).await;
    rig.stop().await;
}
