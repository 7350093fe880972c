//! What the journal says of the state, what a snapshot keeps of it, and who is believed.

use crate::rig::{HOME, PATIENCE, Rig, buy, eventually, key, order, proposal, trade_of};
use prost::Message as _;
use std::{fs, path::PathBuf, time::Duration};
use tragen_bus::{PublishOptions, StartAt, Stream, Subject};
use tragen_contracts::v1;
use tragen_risk_guard::{
    Config,
    replay::{JournalReader, JournalWriter, Replay, Replayed, StateDiffers},
};

fn often(rig: &Rig) -> Config {
    Config { snapshot_records: 1, tick_ms: 20, ..rig.config() }
}

fn snapshots(rig: &Rig) -> Vec<PathBuf> {
    let entries = fs::read_dir(rig.config().snapshot_folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    // What workers were told and limits that were changed are kept there too.
    paths.retain(|path| path.extension().is_none() && !path.ends_with("told") && !path.ends_with("limits"));
    paths.sort();
    paths
}

/// Every message of the journal.
async fn journal(rig: &Rig) -> Vec<(u64, v1::JournalBatch)> {
    let last = rig.bus.newest(Stream::Journal).await.expect("a stream").expect("a journal");
    let mut follower = rig.bus.follow(&rig.context, Stream::Journal, "", StartAt::Beginning).await.expect("a stream");
    let mut messages = Vec::new();
    while messages.last().is_none_or(|(sequence, _)| *sequence < last) {
        let message = follower.next().await.expect("a message");
        messages.push((message.sequence, v1::JournalBatch::decode(message.payload).expect("a batch")));
    }
    messages
}

fn replay(mut replay: Replay, messages: &[(u64, v1::JournalBatch)]) -> anyhow::Result<Replayed> {
    for (sequence, batch) in messages {
        replay.take(*sequence, &batch.encode_to_vec())?;
    }
    Ok(replay.replayed())
}

/// A resting order, trades that have ended, a denial, a withdrawal, a halted pool.
async fn trade(rig: &mut Rig) -> String {
    let resting = order("resting", v1::Side::Buy, 10, 400_000, v1::TimeInForce::Gtc);
    let resting_trade = trade_of(&resting);
    let mut proposals: Vec<_> = (0..10).map(|n| buy(&format!("r-{n}"), 1, 520_000)).collect();
    proposals.push(buy("too-large", 9_999, 520_000));
    let asked = v1::WithdrawalRequested { amount_micros: 1, currency: "USD".into(), ..Default::default() };
    proposals.push(proposal(key("alice", "w-1"), v1::proposal::Kind::Withdrawal(asked)));
    proposals.push(resting);
    rig.propose(proposals).await;
    let resting = resting_trade.clone();
    rig.outcomes.until(|own| own.finished() >= 11 && own.reports.contains_key(&resting)).await;
    let scope = v1::Scope { kind: v1::ScopeKind::Pool.into(), id: "scalper".into() };
    let halt = v1::HaltRequest { scope: Some(scope), reason: "a test".into(), wait_ms: 10 };
    rig.ask("olga", v1::guard_question::Question::Halt(halt)).await;
    resting_trade
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_elsewhere_comes_to_the_same_hash_with_and_without_a_snapshot() {
    let mut rig = Rig::start().await;
    let guard = rig.standby(often(&rig));
    guard.wait_ready().await;
    trade(&mut rig).await;
    eventually("a snapshot is written", async || !snapshots(&rig).is_empty()).await;
    guard.stop().await;

    let messages = journal(&rig).await;
    let whole = replay(Replay::default(), &messages).expect("the same");
    assert!(whole.hashes >= 2, "the term's beginning, and one more: {whole:?}");
    assert_eq!((whole.open_orders, whole.scopes.len()), (1, 1));
    assert_eq!(whole.known_trades, 13);
    for path in snapshots(&rig) {
        let snapshot = Replay::from_snapshot(&path).expect("a snapshot");
        let rest: Vec<_> = messages.iter().filter(|(at, _)| *at >= snapshot.next_sequence()).cloned().collect();
        let from_it = replay(snapshot, &rest).expect("the same");
        assert_eq!((from_it.hash, from_it.known_trades), (whole.hash, whole.known_trades));
    }
    // Through a file, on another machine.
    let path = rig.folder.path().join("journal.tragen");
    let mut file = JournalWriter::create(&path).expect("a file");
    for (sequence, batch) in &messages {
        file.write(*sequence, &batch.encode_to_vec()).expect("written");
    }
    file.finish().expect("written");
    let mut reader = JournalReader::open(&path).expect("a file");
    let mut elsewhere = Replay::default();
    while let Some((sequence, payload)) = reader.read().expect("whole") {
        elsewhere.take(sequence, &payload).expect("the same");
    }
    assert_eq!(elsewhere.replayed(), whole);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_that_has_forgotten_trades_comes_to_the_same_hash_from_a_snapshot() {
    let mut rig = Rig::start().await;
    let mut config = often(&rig);
    config.limits.known_trades_max = 5;
    let guard = rig.standby(config);
    guard.wait_ready().await;
    trade(&mut rig).await;
    eventually("the journal's end is in a snapshot", async || {
        newest_snapshot(&rig) == rig.bus.newest(Stream::Journal).await.expect("a stream").expect("a journal")
    })
    .await;
    guard.stop().await;
    let messages = journal(&rig).await;
    let whole = replay(Replay::default(), &messages).expect("the same");
    assert!(whole.known_trades < 13, "some are forgotten: {whole:?}");
    let path = snapshots(&rig).pop().expect("a snapshot");
    let snapshot = Replay::from_snapshot(&path).expect("it has the hash that it says");
    let rest: Vec<_> = messages.iter().filter(|(at, _)| *at >= snapshot.next_sequence()).cloned().collect();
    assert_eq!(replay(snapshot, &rest).expect("the same").hash, whole.hash);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_that_starts_from_a_snapshot_goes_on_where_it_was() {
    let mut rig = Rig::start().await;
    let guard = rig.standby(often(&rig));
    guard.wait_ready().await;
    let resting = trade(&mut rig).await;
    eventually("all is posted", async || rig.ledger.contracts("alice", HOME) == 10).await;
    eventually("a snapshot is written", async || !snapshots(&rig).is_empty()).await;
    let before = rig.risk_state().await;
    guard.kill();
    let path = snapshots(&rig).pop().expect("a snapshot");
    let taken = Replay::from_snapshot(&path).expect("a snapshot").next_sequence();
    assert!(taken > 3, "{taken}");

    let guard = rig.guard().await;
    let after = rig.risk_state().await;
    assert_eq!((after.open_orders, after.held_micros), (before.open_orders, before.held_micros));
    assert_eq!((after.epoch, &after.scopes), (before.epoch, &before.scopes));
    let approvals = rig.approvals_after(0).await;
    rig.propose((0..10).map(|n| buy(&format!("r-{n}"), 1, 520_000)).collect()).await;
    rig.outcomes.during(Duration::from_millis(300)).await;
    assert_eq!(rig.approvals_after(0).await, approvals, "a known trade is never decided again");
    rig.quote(380_000, 390_000, 1_000).await;
    assert_eq!(rig.outcomes.of(&resting).await.status(), v1::TradeStatus::Filled);
    eventually("it is booked", async || rig.ledger.contracts("alice", HOME) == 20).await;
    eventually("nothing is held", async || rig.risk_state().await.held_micros == 0).await;
    guard.stop().await;
    replay(Replay::default(), &journal(&rig).await).expect("the same");
    rig.stop().await;
}

/// The message of the journal that says what the newest snapshot says.
fn newest_snapshot(rig: &Rig) -> u64 {
    snapshots(rig).pop().map_or(0, |path| Replay::from_snapshot(&path).expect("a snapshot").next_sequence())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_waits_until_everything_that_was_decided_is_told() {
    let mut rig = Rig::start().await;
    let guard = rig.standby(often(&rig));
    guard.wait_ready().await;
    trade(&mut rig).await;
    // Everything is told, hashed and kept.
    let end = async |rig: &Rig| rig.bus.newest(Stream::Journal).await.expect("a stream").expect("a journal");
    eventually("all of the journal is in a snapshot", async || newest_snapshot(&rig) == end(&rig).await).await;
    let before = end(&rig).await;

    rig.refuse_executions().await;
    let proposed = buy("dear", 9_999, 520_000);
    let denied = trade_of(&proposed);
    rig.propose(vec![proposed]).await;
    eventually("it is decided", async || end(&rig).await > before).await;
    // Many times longer than a checkpoint is due after.
    rig.outcomes.during(Duration::from_millis(500)).await;
    assert!(!rig.outcomes.reports.contains_key(&denied), "nobody was told");
    assert_eq!(end(&rig).await, before + 1, "nothing is hashed meanwhile");
    assert_eq!(newest_snapshot(&rig), before, "nor kept");

    rig.take_executions().await;
    assert_eq!(rig.outcomes.of(&denied).await.status(), v1::TradeStatus::Denied);
    eventually("a snapshot has it", async || newest_snapshot(&rig) > before + 1).await;
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_a_newer_and_a_foreign_snapshot_are_not_believed() {
    let mut rig = Rig::start().await;
    let guard = rig.standby(often(&rig));
    guard.wait_ready().await;
    trade(&mut rig).await;
    eventually("a snapshot is written", async || !snapshots(&rig).is_empty()).await;
    let before = rig.risk_state().await;
    guard.stop().await;
    let good = fs::read(snapshots(&rig).pop().expect("a snapshot")).expect("readable");
    let folder = rig.config().snapshot_folder;
    snapshots(&rig).into_iter().for_each(|path| fs::remove_file(path).expect("removed"));
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let mut newer = good.clone();
    newer[8] = 200;
    let cut = &good[..good.len() - 1];
    for (number, bytes) in [&damaged, &newer, &cut.to_vec(), &Vec::new()].into_iter().enumerate() {
        let path = folder.join(format!("snapshot-{:020}-{:020}", i64::MAX, 9_000 + number));
        fs::write(&path, bytes).expect("written");
        let refused = Replay::from_snapshot(&path).map(|_| ()).expect_err("refused").to_string();
        assert!(refused.contains(if number == 1 { "version 200" } else { "damaged" }), "{refused}");
    }
    let guard = rig.guard().await;
    let after = rig.risk_state().await;
    assert_eq!((after.open_orders, after.epoch, &after.scopes), (before.open_orders, before.epoch, &before.scopes));
    guard.stop().await;

    // Whole, but of another journal: none of it is believed but that there was one.
    let other = Rig::start().await;
    fs::create_dir_all(other.config().snapshot_folder).expect("a folder");
    fs::write(other.config().snapshot_folder.join(format!("snapshot-{:020}", 1)), &good).expect("written");
    let guard = other.guard().await;
    let state = other.risk_state().await;
    assert_eq!((state.open_orders, state.global_state()), (0, v1::TradingState::Halted));
    assert!(state.epoch > before.epoch);
    guard.stop().await;
    other.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_speaks_of_another_state_stops_the_guard() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    trade(&mut rig).await;
    guard.stop().await;
    let kind = v1::journal_record::Kind::StateHashed(v1::StateHashed {
        version: tragen_domain::risk::CANONICAL_VERSION,
        sha256: vec![7; 32].into(),
        records: 1,
    });
    let record = v1::JournalRecord { kind: Some(kind), ..Default::default() };
    let batch = v1::JournalBatch {
        leader_id: "nobody".into(),
        decided_at_micros: 1,
        records: vec![record],
        ..Default::default()
    };
    rig.bus.publish(&Subject::Journal, &batch, &PublishOptions::default(), PATIENCE).await.expect("stored");
    let messages = journal(&rig).await;
    let refused = replay(Replay::default(), &messages).expect_err("another state");
    let differs = refused.downcast_ref::<StateDiffers>().expect("a difference");
    assert_eq!(differs.sequence, messages.last().expect("messages").0);

    let mut alerts = rig.bus.follow(&rig.context, Stream::Alerts, "", StartAt::Beginning).await.expect("alerts");
    let guard = rig.standby(rig.config());
    let alert = tokio::time::timeout(PATIENCE, alerts.next()).await.expect("in time").expect("an alert");
    assert_eq!(alert.subject, "alert.critical.RISK_GUARD_STATE_DIFFERS");
    let proposed = buy("after", 1, 520_000);
    let after = trade_of(&proposed);
    rig.propose(vec![proposed]).await;
    rig.outcomes.during(Duration::from_millis(500)).await;
    assert!(!rig.outcomes.reports.contains_key(&after), "nothing is decided");
    assert!(!guard.context.health.is_ready());
    let said = format!("{:?}", guard.context.health.parts());
    assert!(said.contains("HALTED"), "{said}");
    guard.kill();
    rig.stop().await;
}
