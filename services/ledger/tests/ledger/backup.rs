//! Copies of the books that are made while the ledger writes, and what becomes of
//! a ledger that goes on with one.

use super::{
    accounting::{Market, Tables, adjustment, balanced, traded},
    rig::{BOTH, Kind, Rig, fill, id},
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tempfile::TempDir;
use tragen_bus::{Consumer, Stream, Subject};
use tragen_contracts::v1::{self, Side};
use tragen_ledger::BackedUp;

const USD: i64 = 1_000_000;

fn bought(name: &str) -> v1::ExecutionReport {
    let fills = vec![fill(&format!("e-{name}"), USD / 2, 2 * USD, 0)];
    traded(Market::prediction("M"), ("alice", name), Side::Buy, fills)
}

async fn backed_up(rig: &Rig, out: &Path) -> BackedUp {
    tragen_ledger::backup(&rig.url, 0, out, |_, _| {}).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// Takes the books away, as a broken disk does.
async fn lost(rig: &Rig) {
    match rig.kind {
        Kind::Sqlite => {
            let path = rig.url.strip_prefix("sqlite://").expect("a path");
            for ending in ["", "-wal", "-shm", ".lock"] {
                let _ = std::fs::remove_file(format!("{path}{ending}"));
            }
        }
        Kind::Postgres => {
            rig.sql("DROP SCHEMA shard_0 CASCADE").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_under_load_is_sound() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 1_000_000 * USD).await;
        let folder = TempDir::new().expect("a folder");
        let is_over = AtomicBool::new(false);
        let load = async {
            for round in (0..).take_while(|_| !is_over.load(Ordering::SeqCst)) {
                rig.report((0..20).map(|number| bought(&format!("{round}-{number}"))).collect()).await;
            }
        };
        let copies = async {
            for number in 0..3 {
                let out = folder.path().join(format!("copy-{number}"));
                let copied = backed_up(&rig, &out).await;
                println!("{kind:?}: {} postings in the copy", copied.posting_sequence);
                assert_eq!(
                    std::fs::read_dir(folder.path()).expect("a folder").count(),
                    number + 1,
                    "nothing but copies is left"
                );
                let refused = tragen_ledger::backup(&rig.url, 0, &out, |_, _| {}).await.expect_err("it is there");
                assert!(refused.to_string().contains("is there already"), "{refused:#}");
            }
            is_over.store(true, Ordering::SeqCst);
        };
        tokio::join!(load, copies);
        rig.all_acked().await;
        balanced(&rig).await;
        rig.stop().await;
        // The last copy, put back in another place.
        let copy = folder.path().join("copy-2");
        let server = if kind == Kind::Postgres { Some(Rig::new(kind).await) } else { None };
        let elsewhere = match &server {
            Some(server) => server.url.clone(),
            None => format!("sqlite://{}", folder.path().join("elsewhere.db").display()),
        };
        let restored = tragen_ledger::restore(&elsewhere, 0, &copy).await.unwrap_or_else(|error| panic!("{error:#}"));
        let report = tragen_ledger::verify(&elsewhere, |_| {}).await.expect("a report");
        assert_eq!((report.first_bad_row, report.head_hash), (None, restored.head_hash));
        assert_eq!(report.executions + 1, u64::try_from(restored.posting_sequence).expect("small"));
        let refused = tragen_ledger::restore(&elsewhere, 0, &copy).await.expect_err("there are books");
        println!("{refused:#}");
        assert_eq!(Tables { url: elsewhere, shard: 0 }.number("SELECT epoch FROM shard").await, restored.epoch);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_goes_on_with_an_older_copy_and_books_again_what_the_bus_still_has() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let folder = TempDir::new().expect("a folder");
        let copy = folder.path().join("copy");
        rig.funded("alice", 100 * USD).await;
        rig.report(vec![bought("a")]).await;
        rig.all_acked().await;
        let copied = backed_up(&rig, &copy).await;
        rig.report(vec![bought("b"), adjustment("alice", "gift", 5 * USD)]).await;
        rig.funded("bob", 7 * USD).await;
        rig.all_acked().await;
        rig.told(&[id("alice", "b")]).await;
        let last_fact = rig.number("SELECT fact_sequence FROM shard").await;
        rig.stop().await;

        lost(&rig).await;
        let restored = tragen_ledger::restore(&rig.url, 0, &copy).await.unwrap_or_else(|error| panic!("{error:#}"));
        assert!(restored.epoch > copied.epoch + 1_000_000, "{restored:?}");
        assert_eq!(BackedUp { epoch: copied.epoch, ..restored }, copied, "{kind:?}");
        assert!(copied.fact_sequence < last_fact);
        let facts = Subject::LedgerFacts(0);
        rig.bus.start_anew(Consumer::Ledger(0), (Stream::Ledger, &facts)).await.expect("done");
        rig.start().await;
        rig.told(&[id("alice", "b"), id("alice", "gift")]).await;
        rig.all_acked().await;
        assert_eq!(rig.account("alice").await.cash_micros, 103 * USD);
        assert_eq!(rig.number("SELECT COUNT(*) FROM execution").await, 2);
        // What came by a question, not by the bus, is gone: the depositor's repeat books it.
        assert_eq!(rig.number("SELECT COUNT(*) FROM wallet WHERE account_id = 'bob'").await, 0);
        rig.funded("bob", 7 * USD).await;
        balanced(&rig).await;

        // The facts that were told under the same numbers before do not hide what is told now.
        rig.stop().await;
        let after = rig.number("SELECT fact_sequence FROM shard").await;
        let (_, newest, _) = rig.bus.newest_on(Stream::Ledger, &facts).await.expect("the bus").expect("a fact");
        let newest: v1::LedgerFactBatch = prost::Message::decode(newest).expect("facts");
        assert_eq!(newest.told_up_to, after);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_copy_is_refused_and_leaves_nothing() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let folder = TempDir::new().expect("a folder");
        let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
        rig.funded("alice", 100 * USD).await;
        rig.report((0..50).map(|number| bought(&number.to_string())).collect()).await;
        rig.all_acked().await;
        backed_up(&rig, &good).await;
        rig.stop().await;
        lost(&rig).await;
        let content = std::fs::read(&good).expect("the copy");
        let mut forged = content.clone();
        // Somebody changes what an account is told to have.
        let place = content.windows(8).position(|bytes| bytes == b"wallet/a");
        if let (Kind::Sqlite, Some(place)) = (kind, place) {
            forged[place + 7] = b'b';
        } else {
            let half = forged.len() / 2;
            forged[half..half + 64].fill(0);
        }
        for damaged in [&content[..content.len() / 2], &forged] {
            std::fs::write(&bad, damaged).expect("written");
            let refused = tragen_ledger::restore(&rig.url, 0, &bad).await.expect_err("damaged");
            println!("{kind:?}: {refused:#}");
        }
        match kind {
            Kind::Sqlite => assert!(!Path::new(rig.url.strip_prefix("sqlite://").expect("a path")).exists()),
            Kind::Postgres => {
                let left = "SELECT COUNT(*) FROM pg_namespace WHERE nspname = 'shard_0'";
                assert_eq!(rig.number(left).await, 0);
            }
        }
        let refused = tragen_ledger::restore(&rig.url, 3, &good).await.expect_err("another shard");
        println!("{kind:?}: {refused:#}");
        tragen_ledger::restore(&rig.url, 0, &good).await.unwrap_or_else(|error| panic!("{error:#}"));
        rig.start().await;
        rig.funded("bob", USD).await;
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_says_how_far_it_is() {
    let mut rig = Rig::started(Kind::Sqlite).await;
    rig.funded("alice", USD).await;
    let folder = TempDir::new().expect("a folder");
    // More than one step of pages.
    rig.sql("CREATE TABLE bulk (text TEXT); INSERT INTO bulk SELECT hex(zeroblob(6000000)) FROM (SELECT 1 UNION ALL SELECT 2)")
        .await;
    let (done, all) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (heard_done, heard_all) = (Arc::clone(&done), Arc::clone(&all));
    let progress = move |copied, of| {
        heard_done.store(copied, Ordering::SeqCst);
        heard_all.store(of, Ordering::SeqCst);
    };
    tragen_ledger::backup(&rig.url, 0, &folder.path().join("copy"), progress).await.expect("a copy");
    let (done, all) = (done.load(Ordering::SeqCst), all.load(Ordering::SeqCst));
    assert!(done > 2_000 && all > done, "{done} of {all} pages");
    rig.stop().await;
}
