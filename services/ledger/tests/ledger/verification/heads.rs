//! Signed heads: they are told to everybody, and whoever keeps them finds a
//! history that was rewritten whole, chain and all.

use super::{unlock, verified_with};
use crate::ledger::{
    accounting::Tables,
    rig::{BOTH, PATIENCE, Rig},
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};
use std::{fmt::Write as _, path::Path, str::FromStr as _, time::Instant};
use tragen_bus::{Bus, StartAt, Stream};
use tragen_contracts::v1::ChainHead;
use tragen_host::{Lifecycle, trace::Spans};
use tragen_ledger::{Config, VerifyOptions};

/// A transfer as the hash chain sees it: its numbers, its texts, its reference.
type Hashed = ([i64; 5], [String; 3], Vec<u8>);

/// A ledger that signs its heads into `folder`, and is stopped when `heads` are there.
async fn signed(rig: &Rig, folder: &Path, heads: usize) {
    let config = Config {
        signing_key_file: folder.join("ledger.pkcs8"),
        creates_signing_key: true,
        heads_file: folder.join("heads.jsonl"),
        heads_every_ms: 100,
        ..rig.config()
    };
    let lifecycle = Lifecycle::new(10);
    let context = lifecycle.context("ledger", Spans::default());
    let bus = Bus::connect(rig.nats_url(), "ledger").await.expect("a connection");
    tragen_ledger::run(context, bus, config).await.expect("a ledger");
    for number in 0..heads {
        rig.repeat_until_funded(&format!("account-{number}"), 5_000_000).await;
        wait_for_lines(&folder.join("heads.jsonl"), number + 1).await;
    }
    lifecycle.stop_token().cancel();
    lifecycle.run().await.expect("a clean end");
}

async fn wait_for_lines(path: &Path, lines: usize) {
    let started = Instant::now();
    while std::fs::read_to_string(path).map_or(0, |text| text.lines().count()) < lines {
        assert!(started.elapsed() < PATIENCE, "no {lines} heads in {}", path.display());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_history_is_found_by_the_heads_that_were_signed() {
    for kind in BOTH {
        let rig = Rig::new(kind).await;
        let folder = tempfile::tempdir().expect("a folder");
        let watching = Lifecycle::new(10);
        let context = watching.context("test", Spans::default());
        let mut told = rig.bus.follow(&context, Stream::Audit, "", StartAt::Beginning).await.expect("heads");
        signed(&rig, folder.path(), 2).await;
        let public = std::fs::read_to_string(folder.path().join("ledger.pub")).expect("the public half");
        let public: [u8; 32] = bytes(public.trim()).try_into().expect("a key");
        for batch in 1..=2 {
            let message = tokio::time::timeout(PATIENCE, told.next()).await.expect("in time").expect("a head");
            let head = ChainHead::decode(message.payload).expect("a head");
            assert_eq!((head.shard, head.batch_sequence, head.public_key.as_ref()), (0, batch, public.as_slice()));
        }

        let heads = || VerifyOptions {
            heads_file: Some(folder.path().join("heads.jsonl")),
            public_key: Some(public),
            ..VerifyOptions::default()
        };
        let report = verified_with(&rig, heads()).await;
        assert_eq!((report.first_bad_row, report.signed_heads), (None, 2));
        let other = VerifyOptions { public_key: Some([7; 32]), ..heads() };
        let found = verified_with(&rig, other).await.first_bad_row.expect("another key");
        assert_eq!((found.table, found.key.as_str()), ("signed head", "line 1"));

        let tables = Tables::of(&rig);
        unlock(&tables).await;
        rewrite(&tables).await;
        rig.verified().await;
        let found = verified_with(&rig, heads()).await.first_bad_row.expect("it is found");
        assert_eq!((found.table, found.key.as_str()), ("batch", "1"), "{}", found.problem);

        // A head that was changed along with it is no longer signed.
        let text = std::fs::read_to_string(folder.path().join("heads.jsonl")).expect("heads");
        let first = text.lines().next().expect("a head").replace("\"batch_sequence\":1", "\"batch_sequence\":2");
        std::fs::write(folder.path().join("heads.jsonl"), first).expect("written");
        let found = verified_with(&rig, heads()).await.first_bad_row.expect("it is found");
        assert_eq!(found.table, "signed head", "{}", found.problem);
        watching.stop_token().cancel();
    }
}

/// Gives the first account one dollar less from the beginning on, and computes the whole chain anew.
async fn rewrite(tables: &Tables) {
    for change in [
        "UPDATE transfer SET amount = amount - 1000000 WHERE sequence = 1",
        "UPDATE cash_movement SET amount = amount - 1000000, requested = requested - 1000000,
            cash_after = cash_after - 1000000 WHERE account_id = 'account-0'",
        "UPDATE wallet SET cash = cash - 1000000 WHERE account_id = 'account-0'",
        // As if no version that seals rows had ever been here.
        "UPDATE cash_movement SET seal = substr(seal, 1, 0)",
        "UPDATE shard SET seals = substr(seals, 1, 0)",
    ] {
        tables.change(change).await;
    }
    let mut previous = vec![0; 32];
    for (place, (numbers, texts, reference)) in hashed(tables).await.into_iter().enumerate() {
        let mut digest = Sha256::new();
        digest.update(&previous);
        numbers.iter().for_each(|number| digest.update(number.to_be_bytes()));
        for text in &texts {
            digest.update(u64::try_from(text.len()).expect("small").to_be_bytes());
            digest.update(text);
        }
        digest.update(reference);
        let hash = digest.finalize().to_vec();
        let (old, new) = (literal(tables, &previous), literal(tables, &hash));
        // Each deposit is a batch of its own.
        let change = format!("UPDATE batch SET previous_hash = {old}, hash = {new} WHERE sequence = {}", place + 1);
        tables.change(&change).await;
        previous = hash;
    }
    tables.change(&format!("UPDATE shard SET head_hash = {}", literal(tables, &previous))).await;
}

/// Every transfer, in the order of the chain.
async fn hashed(tables: &Tables) -> Vec<Hashed> {
    let select = AssertSqlSafe(
        "SELECT sequence, posting_sequence, CAST(kind AS bigint), amount, posted_at, debit_account, credit_account,
            account_id, reference_id FROM transfer ORDER BY sequence"
            .to_owned(),
    );
    if tables.url.starts_with("sqlite") {
        let options = sqlx::sqlite::SqliteConnectOptions::from_str(&tables.url).expect("a url");
        let mut db = options.connect().await.expect("a connection");
        let rows = sqlx::query(select).fetch_all(&mut db).await.expect("rows");
        rows.iter()
            .map(|row| {
                let numbers = [0, 1, 2, 3, 4].map(|place| row.get::<i64, _>(place));
                (numbers, [5, 6, 7].map(|place| row.get::<String, _>(place)), row.get::<Vec<u8>, _>(8))
            })
            .collect()
    } else {
        let options = sqlx::postgres::PgConnectOptions::from_str(&tables.url).expect("a url");
        let mut db = options.options([("search_path", "shard_0")]).connect().await.expect("a connection");
        let rows = sqlx::query(select).fetch_all(&mut db).await.expect("rows");
        rows.iter()
            .map(|row| {
                let numbers = [0, 1, 2, 3, 4].map(|place| row.get::<i64, _>(place));
                let reference = row.get::<uuid::Uuid, _>(8).as_bytes().to_vec();
                (numbers, [5, 6, 7].map(|place| row.get::<String, _>(place)), reference)
            })
            .collect()
    }
}

fn literal(tables: &Tables, bytes: &[u8]) -> String {
    let hex = bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    if tables.url.starts_with("sqlite") { format!("x'{hex}'") } else { format!("decode('{hex}', 'hex')") }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |place: usize| u8::from_str_radix(&hex[place..place + 2], 16).expect("hex digits");
    (0..hex.len()).step_by(2).map(digits).collect()
}
