//! How old a balance may be: the cache answers only who asks for it.

use crate::{
    stage::{Backstage, PATIENCE, Stage, account, eventually, expect_refusal, generous, publish},
    valkey::Valkey,
};
use futures::FutureExt as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tonic::{Code::InvalidArgument, Status, transport::Channel};
use tragen_bus::Ask;
use tragen_contracts::v1::{
    self, BalanceChanged, GetAccountRequest, GetAccountResponse, LedgerAnswer, LedgerFact, LedgerQuestion, Meta,
    accounts_client::AccountsClient, ledger_answer::Answer,
};
use tragen_host::{clock::now_micros, trace::Spans};
use tragen_router::Config;

async fn read_on(
    channel: &Channel,
    stage: &Stage,
    account: &str,
    max_age_ms: i32,
    min_version: i64,
) -> Result<v1::Account, Status> {
    let request = GetAccountRequest { currency: String::new(), min_version, max_age_ms };
    let answer = AccountsClient::new(channel.clone()).get_account(stage.from(account, request)).await?;
    Ok(answer.into_inner().account.expect("an account"))
}

async fn version(stage: &Stage, account: &str, max_age_ms: i32) -> i64 {
    read_on(&stage.channel, stage, account, max_age_ms, 0).await.expect("a balance").version
}

fn reads(stage: &Stage) -> u32 {
    stage.books.lock().expect("books").account_reads
}

fn change_all(stage: &Stage) {
    stage.books.lock().expect("books").changes += 1;
}

fn fact(name: &str, changes: i64, occurred_at_micros: i64) -> LedgerFact {
    LedgerFact {
        meta: Some(Meta { occurred_at_micros, ..Meta::default() }),
        balances: vec![BalanceChanged { account: Some(account(name, "USD", changes)) }],
        ..LedgerFact::default()
    }
}

#[tokio::test]
async fn only_who_accepts_an_age_is_answered_from_the_cache() {
    let stage = Stage::start(generous()).await;
    assert_eq!((version(&stage, "alice", 30_000).await, reads(&stage)), (7, 1));
    change_all(&stage);
    assert_eq!((version(&stage, "alice", 30_000).await, reads(&stage)), (7, 1), "cached");
    assert_eq!((version(&stage, "bob", 30_000).await, reads(&stage)), (8, 2), "another account");
    let exact = read_on(&stage.channel, &stage, "alice", 0, 8).await.expect("a balance");
    assert_eq!((exact.version, reads(&stage)), (8, 3), "a version is asked of the ledger");
    change_all(&stage);
    assert_eq!((version(&stage, "alice", 0).await, reads(&stage)), (9, 4), "without an age, too");
    change_all(&stage);
    assert_eq!((version(&stage, "alice", 30_000).await, reads(&stage)), (9, 4), "reads fill the cache");
    let read_at = now_micros();
    eventually("it is two milliseconds old", || now_micros() > read_at + 2_000).await;
    assert_eq!((version(&stage, "alice", 1).await, reads(&stage)), (10, 5), "too old");
}

#[tokio::test]
async fn an_age_has_bounds_and_no_version_beside_it() {
    let stage = Stage::start(generous()).await;
    for (max_age_ms, min_version, reason) in
        [(-1, 0, "MAX_AGE_OUT_OF_BOUNDS"), (30_001, 0, "MAX_AGE_OUT_OF_BOUNDS"), (1, 7, "MAX_AGE_UNEXPECTED")]
    {
        let refused = read_on(&stage.channel, &stage, "alice", max_age_ms, min_version).await;
        expect_refusal(reason, refused, InvalidArgument, reason);
    }
    assert_eq!(reads(&stage), 0);
}

#[tokio::test]
async fn what_the_ledger_tells_is_shown_unless_it_is_older() {
    let stage = Stage::start(generous()).await;
    publish(&stage.bus, fact("alice", 43, now_micros())).await;
    // Told again with an older state, of unknown age, and too long ago.
    publish(&stage.bus, fact("alice", 33, now_micros())).await;
    publish(&stage.bus, fact("carol", 43, 0)).await;
    publish(&stage.bus, fact("dave", 43, now_micros() - 31_000_000)).await;
    publish(&stage.bus, fact("bob", 93, now_micros())).await;
    let started = Instant::now();
    while version(&stage, "bob", 30_000).await != 100 {
        assert!(started.elapsed() < PATIENCE, "the fact is not shown");
    }
    let before = reads(&stage);
    assert_eq!((version(&stage, "alice", 30_000).await, reads(&stage)), (50, before), "told, not read");
    assert_eq!((version(&stage, "carol", 30_000).await, reads(&stage)), (7, before + 1));
    assert_eq!((version(&stage, "dave", 30_000).await, reads(&stage)), (7, before + 2));
}

#[tokio::test]
async fn many_who_miss_ask_the_ledger_once() {
    let stage = Stage::start_with(generous(), Backstage::Asleep, 10, Spans::default()).await;
    let (asked, release) = (Arc::new(AtomicU32::new(0)), Arc::new(tokio::sync::Semaphore::new(0)));
    let (counted, gate) = (Arc::clone(&asked), Arc::clone(&release));
    let answering = stage.bus.answer(&stage.context, Ask::Ledger, move |question: LedgerQuestion| {
        counted.fetch_add(1, Ordering::SeqCst);
        let gate = Arc::clone(&gate);
        async move {
            let _ = gate.acquire().await.map(tokio::sync::SemaphorePermit::forget);
            let account = Some(account(&question.account_id, "USD", 0));
            LedgerAnswer { answer: Some(Answer::Account(GetAccountResponse { account })) }
        }
        .boxed()
    });
    answering.await.expect("the ledger answers");
    let stage = Arc::new(stage);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { version(&stage, "alice", 30_000).await })
        })
        .collect();
    let second = async { eventually("a second question", || asked.load(Ordering::SeqCst) > 1).await };
    let is_asked_again = tokio::time::timeout(Duration::from_millis(300), second).await.is_ok();
    assert!(!is_asked_again && asked.load(Ordering::SeqCst) == 1);
    release.add_permits(1);
    for call in calls {
        assert_eq!(call.await.expect("answered"), 7);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn routers_share_balances_and_a_restart_of_valkey_harms_nothing() {
    let mut valkey = Valkey::start().await;
    let config = Config { cache_url: valkey.url(), ..generous() };
    let stage = Stage::start(config.clone()).await;
    let second = stage.second_router(config).await;
    let on_second = async |account: &str| {
        read_on(&second, &stage, account, 30_000, 0).await.expect("a balance, with or without Valkey").version
    };
    assert_eq!((version(&stage, "alice", 30_000).await, reads(&stage)), (7, 1));
    is_shared(&valkey, "alice").await;
    change_all(&stage);
    assert_eq!((on_second("alice").await, reads(&stage)), (7, 1), "read by the other router");

    valkey.stop();
    assert_eq!((on_second("alice").await, reads(&stage)), (7, 1), "its own memory has it by now");
    assert_eq!((on_second("bob").await, reads(&stage)), (8, 2), "the ledger has it always");
    valkey.start_again().await;
    assert_eq!((version(&stage, "bob", 30_000).await, reads(&stage)), (8, 3), "Valkey came back empty");
    // Sharing goes on with one of the next reads; every one of them is answered.
    let started = Instant::now();
    let mut number = 0;
    while valkey.get("tragen:balance:carol:USD").await.is_none() {
        assert!(started.elapsed() < PATIENCE, "never shared again");
        number += 1;
        change_all(&stage);
        assert_eq!(version(&stage, "carol", 0).await, 8 + number);
    }
}

async fn is_shared(valkey: &Valkey, account: &str) {
    let (key, started) = (format!("tragen:balance:{account}:USD"), Instant::now());
    while valkey.get(&key).await.is_none() {
        assert!(started.elapsed() < PATIENCE, "{key} is not shared");
    }
}
