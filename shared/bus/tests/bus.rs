//! What the bus promises, on a real server: nothing accepted is lost, nothing
//! that cannot be handled stands in the way.

use async_nats::jetstream::stream::{Config as StreamConfig, StorageType};
use futures::StreamExt as _;
use prost::Message as _;
use std::{
    collections::BTreeSet,
    net::TcpStream,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tragen_bus::{
    Ask, BARS_KEPT, Bus, Consumer, Look, PublishError, PublishOptions, Severity, Source, StartAt, Stream, Subject,
    batch::{BatchLimits, BatchPublisher},
    server::{NatsServer, Sync, find_binary},
};
use tragen_contracts::v1;
use tragen_domain::{
    id::{InstrumentId, MatchId},
    market::Timeframe,
    tier::Tier,
};
use tragen_host::{Context, Lifecycle, clock::now_micros, trace::Spans};

const PATIENCE: Duration = Duration::from_secs(20);

struct Rig {
    server: NatsServer,
    bus: Bus,
    context: Context,
    lifecycle: Lifecycle,
    _folder: TempDir,
}

async fn rig() -> Rig {
    rig_with_lanes(1_000).await
}

async fn rig_with_lanes(lane_messages_max: i64) -> Rig {
    let folder = TempDir::new().expect("a temporary folder");
    let binary = find_binary().expect("a nats-server");
    let server = NatsServer::start(&binary, folder.path(), Sync::Always).await.expect("a running server");
    let bus = Bus::connect(server.url(), "test").await.expect("a connection");
    bus.apply(lane_messages_max).await.expect("streams");
    let lifecycle = Lifecycle::new(10);
    let context = lifecycle.context("test", Spans::default());
    Rig { server, bus, context, lifecycle, _folder: folder }
}

impl Rig {
    async fn stop(self) {
        self.lifecycle.stop_token().cancel();
        self.lifecycle.run().await.expect("a clean end");
    }
}

fn batch_of(event_id: &str) -> v1::ProposalBatch {
    let meta = v1::Meta { event_id: event_id.to_owned(), ..v1::Meta::default() };
    v1::ProposalBatch { proposals: vec![v1::Proposal { meta: Some(meta), key: None, kind: None }] }
}

fn event_ids(batch: &v1::ProposalBatch) -> Vec<String> {
    batch.proposals.iter().filter_map(|p| p.meta.as_ref()).map(|meta| meta.event_id.clone()).collect()
}

async fn publish(bus: &Bus, subject: &Subject, message: &v1::ProposalBatch) -> Result<u64, PublishError> {
    bus.publish(subject, message, &PublishOptions::default(), PATIENCE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_lost_its_parent_does_not_share_its_store_with_the_next_one() {
    let folder = TempDir::new().expect("a temporary folder");
    let binary = find_binary().expect("a nats-server");
    let orphan = NatsServer::start(&binary, folder.path(), Sync::Always).await.expect("a running server");
    let bus = Bus::connect(orphan.url(), "test").await.expect("a connection");
    bus.apply(1_000).await.expect("streams");
    let before = bus.stream_state(Stream::Journal).await.expect("a stream").created_micros;
    let address = orphan.url().trim_start_matches("nats://").to_owned();
    // As when whoever started it is killed: nobody stops it.
    std::mem::forget(orphan);
    assert!(TcpStream::connect(&address).is_ok(), "it still runs");

    let next = NatsServer::start(&binary, folder.path(), Sync::Always).await.expect("a running server");
    assert!(TcpStream::connect(&address).is_err(), "it has ended");
    let bus = Bus::connect(next.url(), "test").await.expect("a connection");
    assert_eq!(bus.stream_state(Stream::Journal).await.expect("the same stream").created_micros, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_restart_under_load_loses_nothing() {
    let mut rig = rig().await;
    let mut puller = rig.bus.pull::<v1::ProposalBatch>(&rig.context, Consumer::Ledger(0));
    let publisher = BatchPublisher::start(
        &rig.context,
        &rig.bus,
        Subject::Executions("paper"),
        BatchLimits { patience: PATIENCE, ..BatchLimits::default() },
        |proposals| v1::ProposalBatch { proposals },
    );
    let sender = tokio::spawn(async move {
        for number in 0..500 {
            let item = batch_of(&format!("e{number}")).proposals.remove(0);
            publisher.publish(item, String::new()).await.expect("stored in the end");
        }
    });
    let mut seen = BTreeSet::new();
    let mut is_restarted = false;
    while seen.len() < 500 {
        let delivery = tokio::time::timeout(PATIENCE, puller.next()).await.expect("in time").expect("running");
        seen.extend(event_ids(&delivery.message));
        delivery.ack().await;
        if seen.len() >= 100 && !is_restarted {
            is_restarted = true;
            rig.server.restart().await.expect("a new start on the same port");
        }
    }
    sender.await.expect("all sent");
    assert!(is_restarted);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_come_back_empty_and_one_on_disk_must_be_drained_first() {
    let mut rig = rig().await;
    let subject = Subject::Proposals(Source::Worker);
    publish(&rig.bus, &subject, &batch_of("lost")).await.expect("stored");
    rig.server.restart().await.expect("a new start on the same port");
    let deadline = Instant::now() + PATIENCE;
    while rig.bus.apply(1_000).await.is_err() {
        assert!(Instant::now() < deadline, "the bus is not in place");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(rig.bus.newest(Stream::Proposals).await.expect("read"), None);

    // As an earlier version kept it.
    let jetstream = async_nats::jetstream::new(async_nats::connect(rig.server.url()).await.expect("a raw connection"));
    let config = jetstream.get_stream("PROPOSALS").await.expect("there").cached_info().config.clone();
    jetstream.delete_stream("PROPOSALS").await.expect("deleted");
    let on_disk = StreamConfig { storage: StorageType::File, ..config };
    jetstream.create_stream(on_disk).await.expect("created");
    publish(&rig.bus, &subject, &batch_of("old")).await.expect("stored");
    let refused = rig.bus.apply(1_000).await.expect_err("not drained").to_string();
    assert!(refused.starts_with("PROPOSALS still has 1 messages"), "{refused}");
    jetstream.get_stream("PROPOSALS").await.expect("there").purge().await.expect("worked off");
    rig.bus.apply(1_000).await.expect("made anew");
    let made = jetstream.get_stream("PROPOSALS").await.expect("there").cached_info().config.storage;
    assert_eq!(made, StorageType::Memory);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_days_of_minutes_are_kept_of_a_series_and_a_bar_is_small() {
    let rig = rig().await;
    // A dear instrument with a long name: the largest bars there are.
    let instrument = InstrumentId::new("BTCPERP-2022-01-USD").expect("an id");
    let price = 68_999_999_999;
    let bars = (0..u64::from(BARS_KEPT) + 10).map(|_| v1::Bar {
        instrument_id: instrument.to_string(),
        timeframe: "1m".into(),
        start_micros: 1_640_995_200_000_000,
        bid_open_micros: price,
        bid_high_micros: price,
        bid_low_micros: price,
        bid_close_micros: price,
        ask_open_micros: price,
        ask_high_micros: price,
        ask_low_micros: price,
        ask_close_micros: price,
        published_at_micros: 1_640_995_200_000_000,
    });
    let subject = Subject::Bar(Timeframe::Minute1, instrument.clone());
    let options = PublishOptions::default();
    let sent = futures::stream::iter(bars).map(|bar| {
        let (bus, subject, options) = (&rig.bus, &subject, &options);
        async move { bus.publish(subject, &bar, options, PATIENCE).await.expect("stored") }
    });
    let last = sent.buffered(128).fold(0, |last, sequence| std::future::ready(sequence.max(last))).await;
    let client = async_nats::connect(rig.server.url()).await.expect("a raw connection");
    let mut stream = async_nats::jetstream::new(client).get_stream(Stream::Bars.as_str()).await.expect("a stream");
    let state = stream.info().await.expect("readable").state.clone();
    assert_eq!((state.messages, state.first_sequence, state.last_sequence), (u64::from(BARS_KEPT), 11, last));
    assert!(state.bytes <= 230 * state.messages, "{} bytes a bar", state.bytes / state.messages);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_message_is_set_aside_on_every_consumer_and_the_next_one_handled() {
    let rig = rig().await;
    let poison = [0xff_u8; 32].to_vec();
    let client = async_nats::connect(rig.server.url()).await.expect("a raw connection");
    let jetstream = async_nats::jetstream::new(client);
    for consumer in Consumer::ALL {
        let subject = match consumer {
            Consumer::WorkerPremium => Subject::TradeRequests(Tier::Premium),
            Consumer::WorkerStandard => Subject::TradeRequests(Tier::Standard),
            Consumer::WorkerFree => Subject::TradeRequests(Tier::Free),
            Consumer::Guard => Subject::Proposals(Source::Worker),
            Consumer::WorkerBars => Subject::Bar(Timeframe::Minute1, InstrumentId::new("GBPUSD").expect("an id")),
            Consumer::WorkerMatches => Subject::Match(MatchId::new("EPL-2026-ARS-MCI").expect("an id")),
            Consumer::Ledger(_) | Consumer::CostExecutions => Subject::Executions("paper"),
            Consumer::CostUsage => Subject::Usage("test"),
        };
        let sent = jetstream.publish(subject.to_string(), poison.clone().into()).await.expect("sent");
        let poisoned = sent.await.expect("stored").sequence;
        let good = batch_of(&consumer.name());
        // Of a match only the newest is kept: the next one is of another match.
        let next = match consumer {
            Consumer::WorkerMatches => Subject::Match(MatchId::new("EPL-2026-LIV-CHE").expect("an id")),
            Consumer::WorkerPremium
            | Consumer::WorkerStandard
            | Consumer::WorkerFree
            | Consumer::WorkerBars
            | Consumer::Guard
            | Consumer::Ledger(_)
            | Consumer::CostExecutions
            | Consumer::CostUsage => subject.clone(),
        };
        publish(&rig.bus, &next, &good).await.expect("stored");
        let mut puller = rig.bus.pull::<v1::ProposalBatch>(&rig.context, consumer);
        let delivery = tokio::time::timeout(PATIENCE, async {
            loop {
                let delivery = puller.next().await.expect("running");
                delivery.ack().await;
                if event_ids(&delivery.message) == [consumer.name()] {
                    break delivery;
                }
            }
        });
        let delivery = delivery.await.expect("the next message is handled");
        assert!(delivery.sequence > poisoned);
        let letters = rig.bus.dead_letters(None, 1).await.expect("listed");
        assert_eq!(letters[0].consumer, consumer.name());
        assert_eq!(letters[0].subject, subject.to_string());
        assert_eq!(letters[0].payload, poison);
        assert!(letters[0].reason.contains("not decodable"), "{}", letters[0].reason);
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_replayed_to_its_subject_and_removed() {
    let rig = rig().await;
    let subject = Subject::Proposals(Source::Router);
    publish(&rig.bus, &subject, &batch_of("once")).await.expect("stored");
    let mut puller = rig.bus.pull::<v1::ProposalBatch>(&rig.context, Consumer::Guard);
    let delivery = puller.next().await.expect("delivered");
    delivery.dead_letter("first\r\nreason").await;
    let letter = rig.bus.dead_letters(None, 10).await.expect("listed").remove(0);
    assert_eq!(letter.reason, "first  reason");
    let sent_to = rig.bus.replay_dead_letter(letter.sequence).await.expect("replayed");
    assert_eq!(sent_to.as_deref(), Some("prop.router"));
    let again = puller.next().await.expect("delivered again");
    assert_eq!(event_ids(&again.message), ["once"]);
    again.ack().await;
    assert!(rig.bus.dead_letters(None, 10).await.expect("listed").is_empty());
    assert_eq!(rig.bus.replay_dead_letter(letter.sequence).await.expect("no failure"), None);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_writer_cannot_append() {
    let rig = rig().await;
    let append = |expected| {
        let options = PublishOptions { expected_last_sequence: Some(expected), ..PublishOptions::default() };
        let (bus, message) = (rig.bus.clone(), v1::JournalBatch::default());
        async move { bus.publish(&Subject::Journal, &message, &options, PATIENCE).await }
    };
    assert_eq!(append(0).await.expect("the first record"), 1);
    assert_eq!(append(1).await.expect("the second record"), 2);
    assert!(matches!(append(1).await, Err(PublishError::Fenced { .. })));
    assert_eq!(rig.bus.last_sequence(Stream::Journal).await.expect("readable"), 2);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_lane_refuses_and_other_lanes_go_on() {
    let rig = rig_with_lanes(2).await;
    let free = Subject::TradeRequests(Tier::Free);
    for _ in 0..2 {
        publish(&rig.bus, &free, &batch_of("x")).await.expect("there is room");
    }
    assert!(matches!(publish(&rig.bus, &free, &batch_of("x")).await, Err(PublishError::Full { .. })));
    let premium = Subject::TradeRequests(Tier::Premium);
    publish(&rig.bus, &premium, &batch_of("y")).await.expect("another lane has room");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_on_stop_goes_to_the_next_worker_at_once() {
    let rig = rig().await;
    for number in 0..10 {
        publish(&rig.bus, &Subject::Proposals(Source::Worker), &batch_of(&number.to_string())).await.expect("stored");
    }
    let first_life = Lifecycle::new(10);
    let mut first = rig.bus.pull::<v1::ProposalBatch>(&first_life.context("first", Spans::default()), Consumer::Guard);
    first.next().await.expect("delivered").ack().await;
    first_life.stop_token().cancel();
    first.give_back().await;
    first_life.run().await.expect("a clean end");

    let mut second = rig.bus.pull::<v1::ProposalBatch>(&rig.context, Consumer::Guard);
    let started = std::time::Instant::now();
    for _ in 0..9 {
        let delivery = tokio::time::timeout(PATIENCE, second.next()).await.expect("in time").expect("running");
        delivery.ack().await;
    }
    assert!(started.elapsed() < Duration::from_secs(3), "without waiting for the ack wait of 5 s");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_goes_on_after_a_restart_and_starts_over_on_a_new_stream() {
    let mut rig = rig().await;
    let quote = |price: i64| v1::Quote { bid_price_micros: price, ..v1::Quote::default() };
    let subject = Subject::Quote(InstrumentId::new("GBPUSD").expect("an id"));
    let options = PublishOptions::default();
    rig.bus.publish(&subject, &quote(1), &options, PATIENCE).await.expect("stored");
    let mut quotes =
        rig.bus.follow(&rig.context, Stream::Market, "md.quote.>", StartAt::NewestOfEach).await.expect("followed");
    let next = async |quotes: &mut tragen_bus::Follower| {
        let fact = tokio::time::timeout(PATIENCE, quotes.next()).await.expect("in time").expect("running");
        v1::Quote::decode(fact.payload).expect("a quote").bid_price_micros
    };
    assert_eq!(next(&mut quotes).await, 1);
    // MARKET is in memory: the restart loses it, its owner makes it anew.
    rig.server.restart().await.expect("a new start");
    tokio::time::timeout(PATIENCE, async { while rig.bus.apply(1_000).await.is_err() {} })
        .await
        .expect("streams again");
    rig.bus.publish(&subject, &quote(2), &options, PATIENCE).await.expect("stored");
    assert_eq!(next(&mut quotes).await, 2);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered_and_a_missing_service_is_said_at_once() {
    let rig = rig().await;
    let patience = Duration::from_secs(5);
    let question = v1::GetCostsRequest {};
    let unanswered: Result<v1::GetCostsResponse, _> = rig.bus.ask(Ask::Cost, &question, patience).await;
    assert!(matches!(unanswered, Err(tragen_bus::ask::NoAnswer::NoResponder { .. })));
    let answer = |_: v1::GetCostsRequest| -> futures::future::BoxFuture<'static, v1::GetCostsResponse> {
        Box::pin(async { v1::GetCostsResponse { trades: 7, ..v1::GetCostsResponse::default() } })
    };
    rig.bus.answer(&rig.context, Ask::Cost, answer).await.expect("listening");
    let answered: v1::GetCostsResponse = rig.bus.ask(Ask::Cost, &question, patience).await.expect("answered");
    assert_eq!(answered.trades, 7);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_of_the_ledger_reads_what_all_read_and_what_is_handed_on_to_it() {
    let rig = rig().await;
    let handed_on = |shard| Subject::ExecutionsFor { venue: "ledger".to_owned(), shard };
    let tell = async |subject: Subject, from: &str| {
        let arrival = v1::ArrivalReport { from_account_id: from.to_owned(), ..v1::ArrivalReport::default() };
        let kind = Some(v1::execution_report::Kind::Arrival(arrival));
        let batch =
            v1::ExecutionBatch { reports: vec![v1::ExecutionReport { kind, ..v1::ExecutionReport::default() }] };
        rig.bus.publish(&subject, &batch, &PublishOptions::default(), PATIENCE).await.expect("stored");
    };
    tell(Subject::Executions("paper"), "all").await;
    tell(handed_on(4), "other shard").await;
    tell(handed_on(3), "own shard").await;
    // Shard 3 is not among the consumers that exist from the beginning: pulling makes its own.
    let mut puller = rig.bus.pull::<v1::ExecutionBatch>(&rig.context, Consumer::Ledger(3));
    let mut next = async || {
        let delivery = tokio::time::timeout(PATIENCE, puller.next()).await.expect("in time").expect("running");
        delivery.ack().await;
        match delivery.message.reports[0].kind.clone() {
            Some(v1::execution_report::Kind::Arrival(arrival)) => arrival.from_account_id,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((next().await, next().await), ("all".to_owned(), "own shard".to_owned()));
    rig.bus.apply_consumer(Consumer::Ledger(3)).await.expect("it may be put in place again");
    tell(Subject::Executions("paper"), "last").await;
    assert_eq!(next().await, "last");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_counts_as_waiting_at_once_and_only_for_those_who_read_it() {
    let rig = rig().await;
    let consumer = Consumer::Ledger(3);
    rig.bus.apply_consumer(consumer).await.expect("a consumer");
    let lag = async || {
        let lag = rig.bus.lag(consumer).await.expect("readable");
        (lag.waiting, lag.in_hand)
    };
    assert_eq!(lag().await, (0, 0), "nothing was ever stored");
    let other = Subject::ExecutionsFor { venue: "ledger".to_owned(), shard: 4 };
    publish(&rig.bus, &other, &batch_of("other")).await.expect("stored");
    assert_eq!(lag().await, (0, 0), "it is for another shard");

    let mut puller = rig.bus.pull::<v1::ExecutionBatch>(&rig.context, consumer);
    for round in 0..500 {
        // Both filters of the consumer: what all read, and what is for it alone.
        let own = Subject::ExecutionsFor { venue: "ledger".to_owned(), shard: 3 };
        let subject = if round % 2 == 0 { Subject::Executions("paper") } else { own };
        publish(&rig.bus, &subject, &batch_of("own")).await.expect("stored");
        let (waiting, in_hand) = lag().await;
        // The puller may have it by now, or have it on its way: one of both knows of it.
        assert!(waiting + in_hand > 0, "round {round}");
        tokio::time::timeout(PATIENCE, puller.next()).await.expect("in time").expect("running").ack().await;
        let started = Instant::now();
        while lag().await != (0, 0) {
            assert!(started.elapsed() < PATIENCE, "round {round}: it is acked");
        }
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_gone_is_missed_unless_it_had_become_too_old() {
    let rig = rig().await;
    let (bus, subject, hour) = (&rig.bus, Subject::LedgerFacts(0), 3_600_000_000);
    let look = || Look { messages_max: 1_000, since_micros: now_micros() - 24 * hour };
    let handle = async_nats::jetstream::new(async_nats::connect(rig.server.url()).await.expect("a connection"));
    let stream = handle.get_stream("LEDGER").await.expect("a stream");
    for (stored_ago, is_missed) in [(hour, true), (25 * hour, false), (0, true)] {
        bus.clear(Stream::Ledger, &subject).await.expect("cleared");
        let publish = |last: u64, stored_at| {
            let options = PublishOptions {
                expected_last_subject_sequence: Some(last),
                last_on_subject_micros: stored_at,
                ..PublishOptions::default()
            };
            let subject = subject.clone();
            async move { bus.publish(&subject, &v1::LedgerFactBatch::default(), &options, PATIENCE).await }
        };
        let before = publish(0, 0).await.expect("stored");
        // 0: as a version says it that says nothing.
        let stored_at = if stored_ago == 0 { 0 } else { now_micros() - stored_ago };
        publish(before, stored_at).await.expect("stored");
        assert_eq!(bus.missing_on(Stream::Ledger, &subject, look()).await.expect("read"), None, "all is there");
        stream.delete_message(before).await.expect("deleted");
        let missing = bus.missing_on(Stream::Ledger, &subject, look()).await.expect("read");
        assert_eq!(missing, is_missed.then_some(before), "stored {stored_ago} micros ago");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_chain_heads_are_kept_and_chain_heads_for_ever() {
    let rig = rig().await;
    let alert = v1::Alert {
        alert_id: "a-1".to_owned(),
        severity: v1::AlertSeverity::from(Severity::Critical).into(),
        code: "LEDGER_BALANCE_MISMATCH".to_owned(),
        ..v1::Alert::default()
    };
    let subject = Subject::Alert(Severity::Critical, "LEDGER_BALANCE_MISMATCH");
    let options = PublishOptions { message_id: "a-1".into(), ..PublishOptions::default() };
    rig.bus.publish(&subject, &alert, &options, PATIENCE).await.expect("stored");
    let mut alerts =
        rig.bus.follow(&rig.context, Stream::Alerts, "alert.critical.>", StartAt::Beginning).await.expect("followed");
    let kept = tokio::time::timeout(PATIENCE, alerts.next()).await.expect("in time").expect("running");
    assert_eq!(v1::Alert::decode(kept.payload).expect("an alert"), alert);

    let head = v1::ChainHead { shard: 7, batch_sequence: 1, ..v1::ChainHead::default() };
    let options = PublishOptions::default();
    let sequence = rig.bus.publish(&Subject::ChainHead(7), &head, &options, PATIENCE).await.expect("stored");
    let client = async_nats::connect(rig.server.url()).await.expect("a raw connection");
    let stream = async_nats::jetstream::new(client).get_stream(Stream::Audit.as_str()).await.expect("the stream");
    stream.delete_message(sequence).await.expect_err("a chain head cannot be deleted");
    stream.purge().await.expect_err("nor all of them");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_stream_is_told_from_the_one_before() {
    let rig = rig().await;
    publish(&rig.bus, &Subject::Executions("paper"), &batch_of("x")).await.expect("stored");
    let before = rig.bus.stream_state(Stream::Executions).await.expect("readable");
    assert_eq!(before.last_sequence, 1);
    assert_eq!(rig.bus.stream_state(Stream::Executions).await.expect("readable"), before);
    let client = async_nats::connect(rig.server.url()).await.expect("a raw connection");
    async_nats::jetstream::new(client).delete_stream(Stream::Executions.as_str()).await.expect("deleted");
    rig.bus.apply(1_000).await.expect("made anew");
    let after = rig.bus.stream_state(Stream::Executions).await.expect("readable");
    assert!(after.created_micros > before.created_micros);
    assert_eq!(after.last_sequence, 0);
    rig.stop().await;
}
