//! Books in four shards over two databases, written by two ledgers: they share
//! the work, take over from each other, and money that goes from shard to shard
//! arrives once.

use super::{
    accounting::{Market, adjustment, sending, settlement, traded},
    cluster::{Cluster, Process, Proxy, SHARDS, account_in, shard_of},
    rig::{Kind, PATIENCE, Rig, TAKEN_OVER_MAX, fill, id},
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tragen_contracts::v1::{self, Side, ledger_answer::Answer, ledger_question::Question};
use tragen_ledger::{Config, ShardConfig};

const USD: i64 = 1_000_000;
const ARRIVED: &str = "SELECT COUNT(*) FROM cash_movement WHERE kind = 4";

fn bought(account: &str, name: &str) -> v1::ExecutionReport {
    let fills = vec![fill(&format!("{account}-{name}"), USD / 2, 2 * USD, 0)];
    traded(Market::prediction("M"), (account, name), Side::Buy, fills)
}

/// `count` accounts of each shard.
fn accounts(count: usize) -> Vec<String> {
    (0..SHARDS).flat_map(|shard| (0..count).map(move |number| account_in(shard, number))).collect()
}

async fn funded(cluster: &Cluster, accounts: &[String], amount_micros: i64) {
    let funding = accounts.iter().map(|account| cluster.rig.repeat_until_funded(account, amount_micros));
    futures::future::join_all(funding).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ledgers_share_the_shards_and_keep_what_they_have() {
    let cluster = Cluster::new().await;
    let first = cluster.process().await;
    cluster.shared(&[&first]).await;
    let before = cluster.epochs().await;
    let second = cluster.process().await;
    cluster.shared(&[&first, &second]).await;
    funded(&cluster, &accounts(1), USD).await;
    let shared = cluster.epochs().await;
    let handed_over: i64 = shared.iter().zip(&before).map(|(after, before)| after - before).sum();
    println!("two shards of four changed hands with {handed_over} changes of epoch");

    // Nothing changes hands any more, also under load.
    let started = Instant::now();
    for round in 0.. {
        if started.elapsed() > Duration::from_secs(3) {
            break;
        }
        cluster
            .rig
            .report(accounts(1).iter().map(|account| adjustment(account, &format!("a{round}"), 1)).collect())
            .await;
        cluster.all_acked().await;
    }
    assert_eq!(cluster.epochs().await, shared);
    // The one that goes gives its shards up at once.
    let left = Instant::now();
    second.stop().await;
    cluster.shared(&[&first]).await;
    println!("the shards of a ledger that stops were taken after {:?}", left.elapsed());
    funded(&cluster, &accounts(2), USD).await;
    cluster.check_sums().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_moves_across_shards_under_load_and_none_is_lost() {
    const ROUNDS: usize = 40;
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.process().await, cluster.process().await);
    cluster.shared(&[&first, &second]).await;
    let accounts = accounts(10);
    funded(&cluster, &accounts, 1_000 * USD).await;
    for round in 0..ROUNDS {
        let sends = accounts.iter().enumerate().map(|(number, from)| {
            let to = &accounts[(number * 7 + round * 3 + 1) % accounts.len()];
            sending(from, &format!("s{round}"), (to, USD + i64::try_from(number).expect("small")), None)
        });
        let fills = accounts.iter().skip(round % 2).step_by(2).map(|account| bought(account, &format!("r{round}")));
        let reports: Vec<_> = sends.chain(fills).collect();
        cluster.rig.report(reports.clone()).await;
        if round % 4 == 0 {
            cluster.rig.report(reports).await;
        }
    }
    cluster.all_acked().await;
    let sent = i64::try_from(ROUNDS * accounts.len()).expect("small");
    cluster.wait_for(ARRIVED, sent).await;
    assert_eq!(cluster.number("SELECT COUNT(*) FROM cash_movement WHERE kind = 3 AND denial_code = 0").await, sent);
    assert_eq!(cluster.number("SELECT COUNT(*) FROM rejected_report").await, 0);
    let fills = cluster.number("SELECT COUNT(*) FROM execution").await;
    assert_eq!(fills, sent / 2);
    // Each account is in one shard only, the one of its slot.
    for shard in 0..SHARDS {
        let kept = cluster.tables(shard).rows("SELECT account_id, cash FROM wallet").await;
        assert_eq!(kept.len(), 10, "shard {shard}");
        assert!(kept.iter().all(|(account, _)| shard_of(account) == shard));
    }
    let cash = cluster.number("SELECT SUM(cash) FROM wallet").await;
    assert_eq!(cash, i64::try_from(accounts.len()).expect("small") * 1_000 * USD - fills * USD);
    cluster.check_sums().await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_torn_away_is_replaced() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.process().await, cluster.process().await);
    cluster.shared(&[&first, &second]).await;
    funded(&cluster, &accounts(1), USD).await;
    first.kill();
    let torn_away = Instant::now();
    let accounts: Vec<_> = (0..SHARDS).map(|shard| account_in(shard, 1)).collect();
    funded(&cluster, &accounts, USD).await;
    let waited = torn_away.elapsed();
    println!("all shards are written again after {waited:?}");
    assert!(waited < TAKEN_OVER_MAX, "{waited:?}");
    cluster.check_sums().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_was_paused_cannot_write() {
    let cluster = Cluster::new().await;
    let proxies = [Proxy::start(cluster.url(0)).await, Proxy::start(cluster.url(1)).await];
    cluster.process().await.stop().await;
    let urls = proxies.each_ref().map(|proxy| proxy.url.clone());
    let paused = cluster.start(Cluster::over(&urls, SHARDS)).await.expect("a ledger");
    let accounts = accounts(3);
    funded(&cluster, &accounts, 100 * USD).await;
    let epochs = cluster.epochs().await;

    // It has the leases and the messages, but it cannot get through to its databases.
    proxies.iter().for_each(Proxy::hold);
    cluster.rig.report(accounts.iter().map(|account| bought(account, "r1")).collect()).await;
    let second = cluster.process().await;
    let started = Instant::now();
    cluster.shared(&[&second]).await;
    println!("the other has every lease after {:?}", started.elapsed());
    cluster.wait_for("SELECT COUNT(*) FROM execution", 12).await;
    println!("what a paused owner had was booked by the other after {:?}", started.elapsed());
    cluster.rig.report(accounts.iter().map(|account| bought(account, "r2")).collect()).await;
    cluster.wait_for("SELECT COUNT(*) FROM execution", 24).await;
    let taken_over = cluster.epochs().await;
    assert!(taken_over.iter().zip(&epochs).all(|(after, before)| after > before), "{epochs:?} {taken_over:?}");

    // Now all it wanted to write arrives at once.
    proxies.iter().for_each(Proxy::let_go);
    cluster.rig.report(accounts.iter().map(|account| bought(account, "r3")).collect()).await;
    cluster.shared(&[&paused, &second]).await;
    cluster.all_acked().await;
    assert_eq!(cluster.number("SELECT COUNT(*) FROM execution").await, 36);
    assert_eq!(cluster.number("SELECT SUM(cash) FROM wallet").await, 12 * 97 * USD);
    assert_eq!(cluster.number("SELECT COUNT(*) FROM rejected_report").await, 0);
    cluster.check_sums().await;
    paused.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_whose_lease_and_epoch_are_held_writes_nothing() {
    let cluster = Cluster::new().await;
    let process = cluster.process().await;
    cluster.shared(&[&process]).await;
    let (here, there) = (account_in(0, 0), account_in(1, 0));
    funded(&cluster, &[here.clone(), there.clone()], 100 * USD).await;
    let held = cluster.tables(0);
    held.change(
        "BEGIN; UPDATE shard SET epoch = epoch + 1;
         UPDATE lease SET owner = 'somebody', expires_at = expires_at + 3600000000; COMMIT",
    )
    .await;
    let before = held.numbers().await;
    cluster.rig.report(vec![bought(&here, "r"), bought(&there, "r")]).await;
    cluster.tables(1).wait_for("SELECT COUNT(*) FROM execution", 1).await;
    // Longer than the lease: whoever would write has found out.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(2) {
        assert_eq!(held.numbers().await, before);
    }
    held.change("UPDATE lease SET expires_at = 0").await;
    held.wait_for("SELECT COUNT(*) FROM execution", 1).await;
    cluster.all_acked().await;
    cluster.check_sums().await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_for_a_shard_that_is_down_arrives_once_when_it_is_back() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.process().await, cluster.process().await);
    cluster.shared(&[&first, &second]).await;
    let (from, to) = (account_in(0, 0), account_in(1, 0));
    funded(&cluster, &[from.clone(), to.clone()], 100 * USD).await;
    cluster.close_second().await;
    let sends: Vec<_> = (0..20).map(|number| sending(&from, &format!("s{number}"), (&to, USD), None)).collect();
    cluster.rig.report(sends.clone()).await;
    let sender = cluster.tables(0);
    sender.wait_for("SELECT COUNT(*) FROM cash_movement WHERE kind = 3", 20).await;
    assert_eq!(cluster.rig.account(&from).await.cash_micros, 80 * USD);
    cluster.rig.report(sends).await;
    cluster.open_second().await;
    cluster.tables(1).wait_for(ARRIVED, 20).await;
    cluster.all_acked().await;
    assert_eq!(cluster.rig.account(&to).await.cash_micros, 120 * USD);
    cluster.check_sums().await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_on_its_way_survives_the_loss_of_the_bus() {
    let cluster = Cluster::new().await;
    let doomed = cluster.process().await;
    let (from, to) = (account_in(0, 0), account_in(1, 0));
    funded(&cluster, &[from.clone(), to.clone()], 100 * USD).await;
    cluster.close_second().await;
    cluster.rig.report((0..20).map(|number| sending(&from, &format!("s{number}"), (&to, USD), None)).collect()).await;
    cluster.tables(0).wait_for("SELECT COUNT(*) FROM cash_movement WHERE kind = 3", 20).await;
    wait_until_handed_on(&cluster, 20).await;
    // Nobody remembers what was on its way.
    doomed.kill();
    let client = async_nats::connect(cluster.rig.nats_url()).await.expect("a connection");
    async_nats::jetstream::new(client).delete_stream("EXECUTIONS").await.expect("deleted");
    cluster.rig.bus.apply(1_000).await.expect("streams");
    cluster.open_second().await;
    let process = cluster.process().await;
    cluster.tables(1).wait_for(ARRIVED, 20).await;
    cluster.check_sums().await;
    process.stop().await;
}

/// Waits until `count` messages that shards hand on to each other are on the bus.
async fn wait_until_handed_on(cluster: &Cluster, count: u64) {
    let client = async_nats::connect(cluster.rig.nats_url()).await.expect("a connection");
    let jetstream = async_nats::jetstream::new(client);
    let started = Instant::now();
    loop {
        let stream = jetstream.get_stream("EXECUTIONS").await.expect("the stream");
        let info = stream.info_with_subjects("exec.ledger.*").await.expect("its subjects");
        let mut handed_on = 0;
        let mut subjects = info;
        while let Some(Ok((_, messages))) = futures::StreamExt::next(&mut subjects).await {
            handed_on += u64::try_from(messages).expect("a count");
        }
        if handed_on >= count {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{handed_on} of {count} are handed on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn money_sent_by_a_ledger_that_dies_between_telling_and_handing_on_arrives() {
    const COUNT: usize = 500;
    let mut cluster = Cluster::new().await;
    let doomed = cluster.process().await;
    let (from, to) = (account_in(0, 0), account_in(1, 0));
    funded(&cluster, &[from.clone(), to.clone()], 1_000 * USD).await;
    let sends = (0..COUNT).map(|number| sending(&from, &format!("s{number}"), (&to, USD), None));
    cluster.rig.report(sends.collect()).await;
    // As soon as the facts are out: what they tell of is not handed on yet.
    cluster.rig.told(&[id(&from, "s0")]).await;
    doomed.kill();
    let arrived = cluster.tables(1).number(ARRIVED).await;
    println!("{arrived} of {COUNT} had arrived when the ledger died");
    let process = cluster.process().await;
    cluster.tables(1).wait_for(ARRIVED, i64::try_from(COUNT).expect("small")).await;
    cluster.all_acked().await;
    cluster.check_sums().await;
    process.stop().await;
}

async fn deposit(cluster: &Cluster, account: &str, name: &str) -> Option<Answer> {
    cluster.rig.deposit(account, name, USD).await.answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_stops_its_shards_only() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.process().await, cluster.process().await);
    cluster.shared(&[&first, &second]).await;
    let accounts = accounts(1);
    funded(&cluster, &accounts, 100 * USD).await;
    cluster.close_second().await;
    cluster.rig.report(accounts.iter().map(|account| bought(account, "r")).collect()).await;
    for shard in [0, 2] {
        cluster.tables(shard).wait_for("SELECT COUNT(*) FROM execution", 1).await;
        let started = Instant::now();
        let answer = deposit(&cluster, &account_in(shard, 0), "during").await;
        assert!(matches!(answer, Some(Answer::Deposit(_))), "{answer:?}");
        println!("a deposit to shard {shard} took {:?} meanwhile", started.elapsed());
        assert_eq!(cluster.rig.account(&account_in(shard, 0)).await.cash_micros, 100 * USD);
    }
    for shard in [1, 3] {
        let answer = deposit(&cluster, &account_in(shard, 0), "during").await;
        assert!(matches!(&answer, Some(Answer::Error(error)) if error.code == 14), "{answer:?}");
    }
    cluster.open_second().await;
    cluster.all_acked().await;
    for account in &accounts {
        // The same request again, wherever it was.
        let started = Instant::now();
        while !matches!(deposit(&cluster, account, "during").await, Some(Answer::Deposit(_))) {
            assert!(started.elapsed() < PATIENCE);
        }
        assert_eq!(cluster.rig.account(account).await.cash_micros, 100 * USD);
    }
    assert_eq!(cluster.number("SELECT COUNT(*) FROM execution").await, 4);
    cluster.check_sums().await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_are_known_while_another_shard_is_away() {
    let mut cluster = Cluster::new().await;
    let process = cluster.process().await;
    let account = account_in(0, 0);
    funded(&cluster, std::slice::from_ref(&account), 100 * USD).await;
    cluster.rig.report(vec![bought(&account, "r")]).await;
    cluster.rig.told(&[id(&account, "r")]).await;
    cluster.close_second().await;
    let trade_ids = vec![id(&account, "r")];
    let question = Question::Outcomes(v1::OutcomesQuestion { trade_ids, accept_partial: true });
    let answer = cluster.rig.ask("", question).await.answer;
    assert!(matches!(&answer, Some(Answer::Outcomes(outcomes)) if outcomes.facts.len() == 1), "{answer:?}");
    cluster.open_second().await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_starts_while_another_shard_is_away() {
    let cluster = Cluster::new().await;
    let first = cluster.process().await;
    funded(&cluster, &accounts(1), USD).await;
    first.stop().await;
    cluster.close_second().await;
    let started = cluster.start(cluster.config(SHARDS)).await;
    let is_there = match &started {
        Ok(_) => {
            cluster.rig.repeat_until_funded(&account_in(0, 1), USD).await;
            true
        }
        Err(error) => {
            println!("{error:#}");
            false
        }
    };
    cluster.open_second().await;
    assert!(is_there, "no shard is served because one database is away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decided_market_is_paid_in_every_shard() {
    let mut cluster = Cluster::new().await;
    let (first, second) = (cluster.process().await, cluster.process().await);
    cluster.shared(&[&first, &second]).await;
    let accounts = accounts(5);
    funded(&cluster, &accounts, 10 * USD).await;
    cluster.rig.report(accounts.iter().map(|account| bought(account, "r")).collect()).await;
    cluster.rig.report(vec![settlement("s", "M", Some(USD)), settlement("s", "M", Some(USD))]).await;
    let ids: Vec<_> = accounts.iter().map(|account| format!("{}/{account}", id("", "s"))).collect();
    cluster.rig.told(&ids).await;
    cluster.rig.report(vec![settlement("s", "M", Some(USD))]).await;
    cluster.all_acked().await;
    assert_eq!(cluster.number("SELECT COUNT(*) FROM payout").await, 20);
    assert_eq!(cluster.number("SELECT COUNT(*) FROM settlement").await, i64::from(SHARDS));
    assert_eq!(cluster.number("SELECT COUNT(*) FROM wallet WHERE cash <> 11000000").await, 0);
    cluster.check_sums().await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_added_later_is_empty_until_slots_move_there() {
    let cluster = Cluster::new().await;
    let first = cluster.process().await;
    funded(&cluster, &accounts(2), 10 * USD).await;
    first.stop().await;
    let process = cluster.start(cluster.config(SHARDS + 1)).await.expect("a ledger");
    let accounts = accounts(12);
    funded(&cluster, &accounts, 10 * USD).await;
    cluster.rig.report(accounts.iter().map(|account| bought(account, "r")).collect()).await;
    let sends = accounts.iter().enumerate();
    let sends =
        sends.map(|(number, account)| sending(account, "s", (&accounts[(number + 13) % accounts.len()], USD), None));
    cluster.rig.report(sends.collect()).await;
    cluster.rig.report(vec![settlement("s", "M", Some(USD))]).await;
    cluster.all_acked().await;
    let added = cluster.tables(SHARDS);
    added.wait_for("SELECT COUNT(*) FROM settlement", 1).await;
    for table in ["slot", "wallet", "position", "trade", "execution", "cash_movement", "transfer", "rejected_report"] {
        assert_eq!(added.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
    assert_eq!(cluster.number("SELECT COUNT(*) FROM wallet WHERE cash <> 11000000").await, 0);
    cluster.check_sums().await;
    process.stop().await;
}

/// Why a ledger with `config` does not start.
async fn refusal(cluster: &Cluster, config: Config) -> Option<String> {
    match cluster.start(config).await {
        Ok(process) => {
            process.stop().await;
            None
        }
        Err(error) => Some(format!("{error:#}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_shards_than_the_books_have_are_refused() {
    let cluster = Cluster::new().await;
    let process = cluster.process().await;
    funded(&cluster, &accounts(1), USD).await;
    process.stop().await;
    for shards in 1..SHARDS {
        let refusal = refusal(&cluster, cluster.config(shards)).await.expect("refused");
        println!("{refusal}");
        assert!(refusal.contains("4 shards") && refusal.contains(&format!("only {shards}")), "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_has_slots_cannot_be_left_out() {
    let cluster = Cluster::new().await;
    let process = cluster.start(cluster.config(SHARDS + 1)).await.expect("a ledger");
    funded(&cluster, &accounts(1), USD).await;
    cluster.tables(SHARDS).wait_for("SELECT COUNT(*) FROM shard", 1).await;
    process.stop().await;
    // As a slot that was moved there leaves its mark.
    cluster.tables(0).change("UPDATE slot SET state = 3, peer_shard = 4, changed_at = 1 WHERE slot = 9").await;
    cluster.tables(SHARDS).change("INSERT INTO slot VALUES (9, 1, -1, 0, 1)").await;
    let refusal = refusal(&cluster, cluster.config(SHARDS)).await;
    assert!(refusal.is_some(), "the accounts of slot 9 are nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_that_are_mixed_up_are_refused() {
    let cluster = Cluster::new().await;
    let process = cluster.process().await;
    funded(&cluster, &accounts(1), USD).await;
    process.stop().await;
    let (mut refused, before) = (BTreeSet::new(), cluster.number("SELECT COUNT(*) FROM wallet").await);
    for (a, b) in [(0, 1), (2, 3), (0, 3)] {
        let mut config = cluster.config(SHARDS);
        config.shards.swap(a, b);
        if let Some(refusal) = refusal(&cluster, config).await {
            println!("{refusal}");
            refused.insert((a, b));
        }
    }
    assert_eq!(cluster.number("SELECT COUNT(*) FROM wallet").await, before);
    assert_eq!(refused.len(), 3, "only {refused:?} are refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn books_that_vanish_are_not_begun_anew() {
    let cluster = Cluster::new().await;
    let process = cluster.process().await;
    funded(&cluster, &accounts(1), USD).await;
    let left = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'shard_1'";
    cluster.tables(1).change("DROP SCHEMA shard_1 CASCADE").await;
    // Longer than a lease: a new term would have begun.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        let answer = deposit(&cluster, &account_in(1, 0), "again").await;
        assert!(matches!(&answer, Some(Answer::Error(error)) if error.code == 14), "{answer:?}");
        assert_eq!(cluster.tables(1).number(left).await, 0);
    }
    cluster.rig.repeat_until_funded(&account_in(0, 1), USD).await;
    process.stop().await;
    let refusal = refusal(&cluster, cluster.config(SHARDS)).await.expect("refused");
    assert!(refusal.contains("nothing of shard 1"), "{refusal}");
    assert_eq!(cluster.tables(1).number(left).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_mixed_up_are_refused() {
    let (rig, folder) = (Rig::new(Kind::Sqlite).await, TempDir::new().expect("a temporary folder"));
    let file = |name: &str| ShardConfig {
        url: format!("sqlite://{}", folder.path().join(name).display()),
        replica_urls: Vec::new(),
    };
    let config = |names: [&str; 2]| Config { shards: names.map(file).to_vec(), ..Config::default() };
    let process = Process::start(rig.nats_url(), config(["a", "b"])).await.expect("a ledger");
    rig.repeat_until_funded("alice", USD).await;
    rig.repeat_until_funded("bob", USD).await;
    rig.repeat_until_funded("carol", USD).await;
    process.stop().await;
    let swapped = Process::start(rig.nats_url(), config(["b", "a"])).await;
    assert!(swapped.is_err(), "the files of two shards are swapped, and nobody minds");
}
