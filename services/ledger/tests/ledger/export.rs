//! Books that go from one kind of store to the other are the same books.

use super::{
    accounting::{Market, Tables, adjustment, balanced, correction, sending, settlement, traded},
    rig::{BOTH, Kind, Rig, fill, id, report, withdrawal},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};
use tempfile::TempDir;
use tragen_contracts::v1::{self, Side, TradeStatus};

const USD: i64 = 1_000_000;

/// A ledger that has booked something of every kind.
async fn booked(kind: Kind) -> Rig {
    let mut rig = Rig::started(kind).await;
    for account in ["alice", "bob", "poor"] {
        rig.funded(account, 100 * USD).await;
    }
    let bought = |account: &str, name: &str, market: Market<'_>, price: i64| {
        let fills = vec![fill(&format!("{account}-{name}"), price, 4 * USD, 7)];
        traded(market, (account, name), Side::Buy, fills)
    };
    let denial = v1::Denial { code: v1::DenialCode::TradingHalted.into(), ..v1::Denial::default() };
    let broken = v1::ExecutionReport { key: None, ..report("alice", "x", Side::Buy, TradeStatus::Filled, Vec::new()) };
    rig.report(vec![
        bought("alice", "p", Market::prediction("M"), USD / 2),
        bought("bob", "m", Market::margined("EURUSD"), USD),
        bought("poor", "s", Market::spot("BTCUSD"), 30 * USD),
        sending("alice", "send", ("bob", USD), None),
        withdrawal("bob", "out", 2 * USD, None),
        withdrawal("bob", "no", USD, Some(denial)),
        adjustment("bob", "gift", 3 * USD),
        correction("bob", "oops", &id("bob", "gift")),
        broken,
    ])
    .await;
    rig.all_acked().await;
    rig.report(vec![settlement("end", "M", Some(USD))]).await;
    rig.all_acked().await;
    assert_eq!(rig.account("poor").await.cash_micros, 0, "it is frozen");
    balanced(&rig).await;
    rig.stop().await;
    rig
}

async fn exported(url: &str, file: &Path) -> tragen_ledger::Exported {
    tragen_ledger::export(url, 0, file, |_, _| {}).await.unwrap_or_else(|error| panic!("{error:#}"))
}

async fn imported(url: &str, file: &Path) -> tragen_ledger::Exported {
    tragen_ledger::import(url, file, |_, _| {}).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// An empty store of the other kind.
async fn other_store(rig: &Rig, folder: &TempDir) -> (Kind, String, Option<Rig>) {
    match rig.kind {
        Kind::Postgres => (Kind::Sqlite, format!("sqlite://{}", folder.path().join("other.db").display()), None),
        Kind::Sqlite => {
            let server = Rig::new(Kind::Postgres).await;
            (Kind::Postgres, server.url.clone(), Some(server))
        }
    }
}

fn bytes(file: &PathBuf) -> Vec<u8> {
    std::fs::read(file).expect("a file")
}

#[tokio::test(flavor = "multi_thread")]
async fn books_go_to_the_other_store_and_back() {
    for kind in BOTH {
        let mut rig = booked(kind).await;
        let folder = TempDir::new().expect("a folder");
        let [first, second, third] = ["a", "b", "c"].map(|name| folder.path().join(name));
        let before = rig.verified().await;
        let mut heard = Vec::new();
        let told =
            tragen_ledger::export(&rig.url, 0, &first, |done, all| heard.push((done, all))).await.expect("a file");
        assert_eq!(heard.last(), Some(&(told.rows, told.rows)));
        assert_eq!(told.head_hash, before.head_hash);
        assert!(tragen_ledger::export(&rig.url, 0, &first, |_, _| {}).await.is_err(), "it is there already");

        let (other, url, _server) = other_store(&rig, &folder).await;
        assert_eq!(imported(&url, &first).await, told);
        assert_eq!(tragen_ledger::verify(&url, |_| {}).await.expect("a report"), before, "from {kind:?} to {other:?}");
        // All of it: what is exported there is the same file.
        exported(&url, &second).await;
        assert!(bytes(&first) == bytes(&second), "from {kind:?} to {other:?}");

        // The ledger goes on there, knows what was booked, and has the next epoch.
        (rig.url, rig.kind) = (url.clone(), other);
        let numbers = Tables::of(&rig).numbers().await;
        rig.start().await;
        let again = traded(Market::margined("EURUSD"), ("bob", "m"), Side::Buy, vec![fill("bob-m", USD, 4 * USD, 7)]);
        rig.report(vec![again, withdrawal("bob", "out", 2 * USD, None)]).await;
        rig.all_acked().await;
        assert_eq!(Tables::of(&rig).numbers().await, numbers);
        assert_eq!(rig.number("SELECT epoch FROM shard").await, told.epoch + 1);
        rig.funded("carol", USD).await;
        balanced(&rig).await;
        rig.stop().await;

        let after = rig.verified().await;
        exported(&url, &third).await;
        let back = format!("sqlite://{}", folder.path().join("back.db").display());
        imported(&back, &third).await;
        assert_eq!(tragen_ledger::verify(&back, |_| {}).await.expect("a report"), after);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_taken_whole_or_not_at_all() {
    for kind in BOTH {
        let rig = booked(kind).await;
        let folder = TempDir::new().expect("a folder");
        let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
        exported(&rig.url, &good).await;
        let (other, url, _server) = other_store(&rig, &folder).await;
        let target = Tables { url: url.clone(), shard: 0 };
        let content = bytes(&good);
        let mut turned = content.clone();
        let last = turned.len() - 50;
        turned[last] ^= 1;
        for damaged in [&content[..content.len() / 2], &content[..content.len() - 32], &turned] {
            std::fs::write(&bad, damaged).expect("written");
            let refused = tragen_ledger::import(&url, &bad, |_, _| {}).await.expect_err("damaged");
            println!("{refused:#}");
            for table in ["shard", "slot", "transfer", "wallet"] {
                assert_eq!(target.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{other:?}");
            }
        }
        imported(&url, &good).await;
        let refused = tragen_ledger::import(&url, &good, |_, _| {}).await.expect_err("there are books");
        assert!(refused.to_string().contains("there are books already"), "{refused:#}");
        assert_eq!(tragen_ledger::verify(&url, |_| {}).await.expect("a report"), rig.verified().await);
    }
}

/// The file with another list of tables: nothing else is wrong with it, its checksum is right.
fn with_tables(content: &[u8], mut change: impl FnMut(&mut Vec<Value>)) -> Vec<u8> {
    let magic = content.iter().position(|byte| *byte == b'\n').expect("a first line") + 1;
    let (begin, rest) = content.split_at(magic);
    let (length, rest) = rest.split_first_chunk().expect("a length");
    let (header, blocks) = rest.split_at(usize::try_from(u32::from_be_bytes(*length)).expect("small"));
    let mut header: Value = serde_json::from_slice(header).expect("a header");
    change(header["tables"].as_array_mut().expect("tables"));
    let header = header.to_string();
    let length = u32::try_from(header.len()).expect("small").to_be_bytes();
    let (blocks, _) = blocks.split_at(blocks.len() - 32);
    let mut other = [begin, &length, header.as_bytes(), blocks].concat();
    let checksum = Sha256::digest(&other);
    other.extend_from_slice(&checksum);
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_other_tables_is_refused_before_anything_is_made_for_it() {
    let rig = booked(Kind::Sqlite).await;
    let folder = TempDir::new().expect("a folder");
    let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
    exported(&rig.url, &good).await;
    let content = bytes(&good);
    let store = folder.path().join("other.db");
    let url = format!("sqlite://{}", store.display());
    let check = async |change: &dyn Fn(&mut Vec<Value>), named: [&str; 2]| {
        std::fs::write(&bad, with_tables(&content, change)).expect("written");
        let refused = tragen_ledger::import(&url, &bad, |_, _| {}).await.expect_err("other tables").to_string();
        let [of_file, own] = named;
        let expected = format!("it has {of_file}, and {own} is known here");
        assert!(refused.contains(&expected), "{refused}, not {expected}");
        assert!(!store.exists(), "{named:?}");
    };
    let header = |place: usize| -> String {
        let mut named = String::new();
        with_tables(&content, |tables| {
            let text = |part: &str| tables[place][part].as_str().expect("a text").to_owned();
            named = format!("{} ({})", text("name"), text("columns"));
        });
        named
    };
    let [wallet, position, last] = [2, 3, 14].map(header);
    let (lent, shorter) = (wallet.replacen("wallet", "lent", 1), wallet.replace(", is_frozen", ""));
    check(&|tables| tables[2]["name"] = json!("lent"), [&lent, &wallet]).await;
    let columns = shorter.replace("wallet (", "").replace(')', "");
    check(&|tables| tables[2]["columns"] = json!(columns), [&shorter, &wallet]).await;
    check(&|tables| tables.swap(2, 3), [&position, &wallet]).await;
    check(&|tables| drop(tables.remove(2)), [&position, &wallet]).await;
    check(&|tables| drop(tables.pop()), ["nothing", &last]).await;
    let tax = json!({"name": "tax", "columns": "account_id, amount", "rows": 0});
    check(&|tables| tables.push(tax.clone()), ["tax (account_id, amount)", "nothing"]).await;

    std::fs::write(&bad, with_tables(&content, |_| {})).expect("written");
    imported(&url, &bad).await;
    assert_eq!(tragen_ledger::verify(&url, |_| {}).await.expect("a report"), rig.verified().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_other_tables_is_refused_and_stays_as_it_is() {
    for kind in BOTH {
        let rig = booked(kind).await;
        let folder = TempDir::new().expect("a folder");
        let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
        exported(&rig.url, &good).await;
        // A file that ends too early leaves empty tables.
        let content = bytes(&good);
        std::fs::write(&bad, &content[..content.len() / 2]).expect("written");
        let (other, url, _server) = other_store(&rig, &folder).await;
        tragen_ledger::import(&url, &bad, |_, _| {}).await.expect_err("damaged");
        let target = Tables { url: url.clone(), shard: 0 };
        // The last two have rows in no file of a ledger with one shard.
        for (table, wrong, right) in [
            ("wallet", "ALTER TABLE wallet RENAME TO purse", "ALTER TABLE purse RENAME TO wallet"),
            (
                "position",
                "ALTER TABLE position RENAME COLUMN fees TO tips",
                "ALTER TABLE position RENAME COLUMN tips TO fees",
            ),
            (
                "moved_wallet",
                "ALTER TABLE moved_wallet RENAME COLUMN margin TO edge",
                "ALTER TABLE moved_wallet RENAME COLUMN edge TO margin",
            ),
            (
                "moved_position",
                "ALTER TABLE moved_position RENAME TO gone_position",
                "ALTER TABLE gone_position RENAME TO moved_position",
            ),
        ] {
            target.change(wrong).await;
            let refused = tragen_ledger::import(&url, &good, |_, _| {}).await.expect_err("other tables");
            let refused = format!("{refused:#}");
            assert!(refused.split([' ', ':']).any(|word| word == table), "{other:?}, {wrong}: {refused}");
            target.change(right).await;
            for table in ["shard", "slot", "wallet", "position", "trade", "transfer"] {
                let count = target.number(&format!("SELECT COUNT(*) FROM {table}")).await;
                assert_eq!(count, 0, "{other:?}, {wrong}: {table}");
            }
            assert_eq!(target.number("SELECT COUNT(*) FROM lease WHERE expires_at > 0").await, 0, "nobody is kept out");
        }
        imported(&url, &good).await;
        assert_eq!(tragen_ledger::verify(&url, |_| {}).await.expect("a report"), rig.verified().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_ledger_serves_is_exported_as_it_is_at_one_moment_and_not_replaced() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 1_000_000 * USD).await;
        let folder = TempDir::new().expect("a folder");
        let is_over = AtomicBool::new(false);
        let load = async {
            for round in (0..).take_while(|_| !is_over.load(Ordering::SeqCst)) {
                let fills = |number: i32| vec![fill(&format!("e{round}-{number}"), USD / 2, USD, 1)];
                let market = Market::prediction("M");
                let reports = (0..20)
                    .map(|number| traded(market, ("alice", &format!("r{round}-{number}")), Side::Buy, fills(number)));
                rig.report(reports.collect()).await;
            }
        };
        let exports = async {
            for number in 0..3 {
                let file = folder.path().join(format!("f{number}"));
                exported(&rig.url, &file).await;
                let url = format!("sqlite://{}", folder.path().join(format!("{number}.db")).display());
                imported(&url, &file).await;
                let report = tragen_ledger::verify(&url, |_| {}).await.expect("a report");
                assert_eq!(report.first_bad_row, None, "{kind:?}");
            }
            is_over.store(true, Ordering::SeqCst);
        };
        tokio::join!(load, exports);
        rig.all_acked().await;
        let refused = tragen_ledger::import(&rig.url, &folder.path().join("f0"), |_, _| {}).await.expect_err("served");
        assert!(refused.to_string().contains("a ledger serves these books"), "{refused:#}");
        balanced(&rig).await;
        rig.stop().await;
    }
}
