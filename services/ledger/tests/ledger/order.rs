//! In whatever order, however often and however late things are delivered, the
//! books end up the same; and what was told is told in order, and again when the
//! bus has lost it.

use super::{
    accounting::{Market, Tables, adjustment, balanced, sending, settlement, taken_out, traded},
    cluster::Process,
    rig::{BOTH, Kind, PATIENCE, Rig, fill, id, trade_id, with},
};
use prost::Message as _;
use sqlx::{Connection as _, Executor as _};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tragen_bus::{PublishOptions, StartAt, Stream, Subject};
use tragen_contracts::v1::{self, Side, TradeStatus};
use tragen_host::{Lifecycle, trace::Spans};
use tragen_ledger::Config;

const USD: i64 = 1_000_000;
const ACCOUNTS: u64 = 30;

/// A small generator, so that a seed gives the same mix everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn amount(&mut self, limit: u64) -> i64 {
        i64::try_from(1 + self.below(limit)).expect("small")
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.below(u64::try_from(last).expect("small") + 1)).expect("small");
            items.swap(last, other);
        }
    }
}

fn account(number: u64) -> String {
    format!("a{number}")
}

/// Money of everybody, before anything else happens.
fn funding() -> Vec<v1::ExecutionReport> {
    (0..ACCOUNTS).map(|number| adjustment(&account(number), "fund", 100_000 * USD)).collect()
}

/// Bookings that do not depend on each other: everything is only opened, everybody
/// can pay for it, and what is settled is held in whole contracts.
fn mix(random: &mut Random, count: u64) -> Vec<v1::ExecutionReport> {
    let denial = || Some(v1::Denial { code: v1::DenialCode::TradingHalted.into(), ..v1::Denial::default() });
    let mut reports = Vec::new();
    for number in 0..count {
        let (own, other) = (account(random.below(ACCOUNTS)), account(random.below(ACCOUNTS)));
        let name = format!("n{number}");
        match random.below(10) {
            0 => reports.push(adjustment(&own, &name, random.amount(1_000))),
            1 => reports.push(adjustment(&own, &name, -random.amount(1_000))),
            2 => reports.push(taken_out(&own, &name, random.amount(1_000), "USD")),
            3 => reports.push(sending(&own, &name, (&other, random.amount(1_000)), None)),
            4 => reports.push(sending(&own, &name, (&other, random.amount(1_000)), denial())),
            kind => reports.extend(order(random, (&own, &name), kind)),
        }
    }
    reports.push(settlement("s1", "P1", Some(USD)));
    reports.push(settlement("s2", "S2", Some(370_000)));
    reports.push(settlement("s3", "P3", None));
    reports
}

/// The reports of one order, which is filled in two parts.
fn order(random: &mut Random, (own, name): (&str, &str), kind: u64) -> [v1::ExecutionReport; 2] {
    let place = random.below(5);
    let (instrument, side) = match kind {
        5 | 6 => (format!("P{place}"), Side::Buy),
        7 => (format!("S{place}"), Side::Sell),
        8 => (format!("FX{place}"), Side::Buy),
        _ => (format!("X{place}"), Side::Buy),
    };
    let market = match kind {
        8 => Market::margined(&instrument),
        9 => Market::spot(&instrument),
        _ => Market::prediction(&instrument),
    };
    let parts: Vec<_> = (0..2)
        .map(|part| {
            let (price, quantity) = (random.amount(99) * 10_000, random.amount(9) * USD);
            fill(&format!("{name}-{part}"), price, quantity, random.amount(1_000))
        })
        .collect();
    let working = with(traded(market, (own, name), side, parts[..1].to_vec()), |trade| {
        trade.status = TradeStatus::Working.into();
    });
    [working, traded(market, (own, name), side, parts)]
}

/// Everything that must not depend on the order.
async fn state(tables: &Tables) -> BTreeMap<String, i64> {
    let mut state = BTreeMap::new();
    for (name, key, table, numbers) in [
        ("wallet", "account_id || '/' || currency", "wallet", &["cash", "margin", "version * 0"][..]),
        (
            "position",
            "account_id || '/' || instrument_id",
            "position",
            &["quantity", "entry_notional", "margin", "realized_pnl", "fees"],
        ),
        (
            "trade",
            "account_id || '/' || request_id",
            "trade",
            &["status", "filled_quantity", "average_price", "fee", "cash_change"],
        ),
        ("execution", "execution_id", "execution", &["price", "quantity", "fee", "cash_change"]),
        (
            "cash",
            "account_id || '/' || request_id || '/' || CAST(kind AS text)",
            "cash_movement",
            &["requested", "amount", "denial_code"],
        ),
    ] {
        for number in numbers {
            let select = format!("SELECT '{name}/{number}/' || {key}, CAST({number} AS bigint) FROM {table}");
            let rows = tables.rows(&select).await;
            let before = state.len();
            let count = rows.len();
            state.extend(rows);
            assert_eq!(state.len(), before + count, "{name} has two rows of the same name");
        }
    }
    let moved =
        "SELECT CAST(kind AS text) || ' ' || debit_account || ' ' || credit_account, CAST(SUM(amount) AS bigint)
        FROM transfer GROUP BY kind, debit_account, credit_account";
    state.extend(tables.rows(moved).await);
    let paid = "SELECT 'paid/' || account_id || '/' || instrument_id, CAST(SUM(cash_change) AS bigint)
        FROM payout GROUP BY account_id, instrument_id";
    state.extend(tables.rows(paid).await);
    state
}

fn check_same(actual: &BTreeMap<String, i64>, expected: &BTreeMap<String, i64>, how: &str) {
    let names: BTreeSet<_> = actual.keys().chain(expected.keys()).collect();
    let differing = names.into_iter().filter(|name| actual.get(*name) != expected.get(*name));
    let differing: Vec<_> = differing.map(|name| (name, actual.get(name), expected.get(name))).take(10).collect();
    assert!(differing.is_empty(), "{how}: {differing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_reordering_and_late_redelivery_give_the_same_books() {
    let mut expected = None;
    for kind in BOTH {
        for seed in [0, 7] {
            let mut rig = Rig::started(kind).await;
            rig.report(funding()).await;
            rig.all_acked().await;
            let reports = mix(&mut Random(42), 1_000);
            if seed == 0 {
                for part in reports.chunks(50) {
                    rig.report(part.to_vec()).await;
                }
            } else {
                let mut random = Random(seed);
                let mut delivered = vec![reports.clone(); 4].concat();
                random.shuffle(&mut delivered);
                // And all of them once more, when everything is long over.
                let mut late = reports.clone();
                random.shuffle(&mut late);
                delivered.extend(late);
                while !delivered.is_empty() {
                    let size = usize::try_from(1 + random.below(300)).expect("small").min(delivered.len());
                    rig.report(delivered.drain(..size).collect()).await;
                }
            }
            rig.all_acked().await;
            let tables = Tables::of(&rig);
            assert_eq!(tables.number("SELECT COUNT(*) FROM rejected_report").await, 0);
            let state = state(&tables).await;
            check_same(&state, expected.get_or_insert_with(|| state.clone()), &format!("{kind:?}, seed {seed}"));
            balanced(&rig).await;
            rig.stop().await;
        }
    }
}

/// The messages of facts of shard 0 from the beginning until everything up to `newest` is told.
async fn told_from_the_beginning(rig: &Rig, newest: i64) -> Vec<v1::LedgerFactBatch> {
    let watching = Lifecycle::new(10);
    let context = watching.context("test", Spans::default());
    let mut facts = rig.bus.follow(&context, Stream::Ledger, "", StartAt::Beginning).await.expect("facts");
    let mut messages = Vec::new();
    while messages.last().is_none_or(|batch: &v1::LedgerFactBatch| batch.told_up_to < newest) {
        let message = tokio::time::timeout(PATIENCE, facts.next()).await;
        let message =
            message.unwrap_or_else(|_| panic!("told up to {:?}, not {newest}", messages.last().map(|b| b.told_up_to)));
        messages.push(v1::LedgerFactBatch::decode(message.expect("the bus runs").payload).expect("facts"));
    }
    watching.stop_token().cancel();
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_are_told_in_order_without_a_gap_and_their_end_is_told_right() {
    for kind in BOTH {
        let rig = Rig::new(kind).await;
        // Messages that hold a part of a batch only.
        let config = Config { fact_message_bytes_max: 16_384, ..rig.config() };
        let ledger = Process::start(rig.nats_url(), config).await.expect("a ledger");
        rig.report(funding()).await;
        let mut random = Random(3);
        let mut reports = vec![mix(&mut random, 600); 2].concat();
        random.shuffle(&mut reports);
        for part in reports.chunks(200) {
            rig.report(part.to_vec()).await;
        }
        rig.all_acked().await;
        let newest = Tables::of(&rig).number("SELECT fact_sequence FROM shard").await;
        let (mut seen, mut told_up_to) = (0, 0);
        for batch in told_from_the_beginning(&rig, newest).await {
            assert!(batch.encoded_len() <= 16_384 || batch.facts.len() == 1);
            let sequences: Vec<_> = batch.facts.iter().map(|fact| fact.sequence).collect();
            assert!(sequences.is_sorted(), "{sequences:?}");
            for sequence in sequences {
                assert!(sequence > 0 && sequence <= seen + 1, "{sequence} follows {seen}");
                seen = seen.max(sequence);
            }
            assert!(batch.told_up_to >= told_up_to, "{} after {told_up_to}", batch.told_up_to);
            assert!(batch.told_up_to <= seen, "{} is said to be told, {seen} is", batch.told_up_to);
            told_up_to = batch.told_up_to;
        }
        assert_eq!((seen, told_up_to), (newest, newest), "{kind:?}");
        balanced(&rig).await;
        ledger.stop().await;
    }
}

/// Deletes a stream; waits for it if it is not there again since the last time.
async fn delete_stream(rig: &Rig, name: &str) {
    let client = async_nats::connect(rig.nats_url()).await.expect("a connection");
    let (jetstream, started) = (async_nats::jetstream::new(client), Instant::now());
    while let Err(error) = jetstream.delete_stream(name).await {
        assert!(started.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until more than `sequence` facts are committed.
async fn wait_for_more(tables: &Tables, sequence: i64) {
    let started = Instant::now();
    while tables.number("SELECT fact_sequence FROM shard").await <= sequence {
        assert!(started.elapsed() < PATIENCE, "no more than {sequence} facts");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_that_the_bus_loses_under_load_are_told_again() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        rig.report(funding()).await;
        rig.all_acked().await;
        let reports = mix(&mut Random(5), 2_000);
        for (number, part) in reports.chunks(20).enumerate() {
            rig.report(part.to_vec()).await;
            if number == 60 || number == 90 {
                // In the middle: something is told already, more waits.
                wait_for_more(&tables, i64::try_from(number * 8).expect("small")).await;
                delete_stream(&rig, "LEDGER").await;
            }
        }
        rig.all_acked().await;
        let newest = tables.number("SELECT fact_sequence FROM shard").await;
        let select = "SELECT COUNT(*) FROM (SELECT fact_sequence FROM trade UNION ALL SELECT fact_sequence
            FROM cash_movement UNION ALL SELECT fact_sequence FROM payout) AS facts";
        let count = usize::try_from(tables.number(select).await).expect("a count");
        let (mut told, mut named, started) = (BTreeMap::new(), BTreeMap::new(), Instant::now());
        // Payouts of one booking to one account may be several: the sequence tells them apart.
        while told.len() < count {
            told.clear();
            for fact in told_from_the_beginning(&rig, newest).await.into_iter().flat_map(|batch| batch.facts) {
                let is_payout = matches!(fact.kind, Some(v1::ledger_fact::Kind::Settled(_)));
                told.insert((trade_id(&fact), if is_payout { fact.sequence } else { 0 }), fact.sequence);
                if let (trade, (Some(v1::ledger_fact::Kind::Trade(_)), ids)) =
                    (trade_id(&fact), without_executions(&fact))
                {
                    named.insert(trade, ids);
                }
            }
            assert!(started.elapsed() < PATIENCE, "{kind:?}: {} of {count} facts are on the bus again", told.len());
        }
        assert_eq!(told.values().max(), Some(&newest), "{kind:?}");
        // The newest fact of a trade names all that is booked of it, whatever was lost before.
        let booked = tables.number("SELECT COUNT(*) FROM execution WHERE reverses = ''").await;
        let named: BTreeSet<_> = named.values().flatten().collect();
        assert_eq!(i64::try_from(named.len()), Ok(booked), "{kind:?}");
        balanced(&rig).await;
        rig.stop().await;
    }
}

/// Takes all messages of facts but the first one off the bus; how far that one has told.
async fn lose_all_but_the_first(rig: &Rig) -> i64 {
    let client = async_nats::connect(rig.nats_url()).await.expect("a connection");
    let stream = async_nats::jetstream::new(client).get_stream("LEDGER").await.expect("a stream");
    let state = stream.cached_info().state.clone();
    for sequence in state.first_sequence + 1..=state.last_sequence {
        stream.delete_message(sequence).await.expect("deleted");
    }
    told_on_the_bus(rig).await
}

/// How far the newest message of facts has told; 0 while there is none, or no stream.
async fn told_on_the_bus(rig: &Rig) -> i64 {
    let newest = rig.bus.newest_on(Stream::Ledger, &Subject::LedgerFacts(0)).await;
    let told =
        |(_, payload, _): (u64, bytes::Bytes, i64)| v1::LedgerFactBatch::decode(payload).expect("facts").told_up_to;
    newest.ok().flatten().map_or(0, told)
}

/// Waits until everything up to `newest` is told.
async fn wait_until_told(rig: &Rig, newest: i64) {
    let started = Instant::now();
    while told_on_the_bus(rig).await < newest {
        assert!(started.elapsed() < PATIENCE, "up to {} of {newest}", told_on_the_bus(rig).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What a fact tells, and apart from it the executions that it names.
fn without_executions(fact: &v1::LedgerFact) -> (Option<v1::ledger_fact::Kind>, BTreeSet<String>) {
    let mut kind = fact.kind.clone();
    let named = match &mut kind {
        Some(v1::ledger_fact::Kind::Trade(posted)) => std::mem::take(&mut posted.execution_ids),
        Some(_) | None => Vec::new(),
    };
    (kind, named.into_iter().collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_again_is_what_was_told() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.report(funding()).await;
        rig.all_acked().await;
        let reports = mix(&mut Random(11), 1_200);
        for part in reports.chunks(100) {
            rig.report(part.to_vec()).await;
        }
        rig.all_acked().await;
        let newest = rig.number("SELECT fact_sequence FROM shard").await;
        let facts = async |rig: &Rig| {
            let messages = told_from_the_beginning(rig, newest).await;
            messages.into_iter().flat_map(|batch| batch.facts).collect::<Vec<_>>()
        };
        let first: BTreeMap<_, _> = facts(&rig).await.into_iter().map(|fact| (fact.sequence, fact)).collect();
        delete_stream(&rig, "LEDGER").await;
        wait_until_told(&rig, newest).await;

        let again = facts(&rig).await;
        assert!(again.len() > 1_000, "{} facts are more than are read at once", again.len());
        assert!(again.is_sorted_by(|a, b| a.sequence < b.sequence), "{kind:?}: in their order, each once");
        let mut executions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for fact in first.values() {
            executions.entry(trade_id(fact)).or_default().extend(without_executions(fact).1);
        }
        let mut versions = BTreeMap::new();
        for fact in &again {
            let (told, named) = without_executions(fact);
            assert_eq!(told, without_executions(&first[&fact.sequence]).0, "{kind:?}");
            // Of a trade that was posted in several batches all are named.
            assert_eq!(named, executions[&trade_id(fact)], "{kind:?}");
            // Accounts are shown as they are now: no later fact takes one back.
            for account in fact.balances.iter().filter_map(|changed| changed.account.as_ref()) {
                let before = versions.insert(account.account_id.clone(), account.version);
                assert!(before <= Some(account.version), "{kind:?}: {fact:?}");
            }
        }
        // Of a trade that went on, only its end is told again.
        let ended: BTreeSet<_> = first.values().map(trade_id).collect();
        assert_eq!(again.iter().map(trade_id).collect::<BTreeSet<_>>(), ended, "{kind:?}");
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_to_stop_tells_no_more_of_the_past() {
    let mut rig = Rig::started(Kind::Postgres).await;
    rig.report(funding()).await;
    rig.all_acked().await;
    for part in mix(&mut Random(9), 2_000).chunks(200) {
        rig.report(part.to_vec()).await;
    }
    rig.all_acked().await;
    rig.stop().await;
    let newest = rig.number("SELECT fact_sequence FROM shard").await;
    let told = lose_all_but_the_first(&rig).await;
    assert!(told + 2_000 < newest, "{told} of {newest} are told: more than is read at once is lost");

    // It cannot read what it has to tell before it is to stop.
    let mut locking = sqlx::PgConnection::connect(&rig.url).await.expect("a connection");
    locking.execute("BEGIN; LOCK TABLE shard_0.payout IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    rig.start().await;
    rig.wait_for("SELECT COUNT(*) FROM pg_locks WHERE relation = 'shard_0.payout'::regclass AND NOT granted", 1).await;
    let stopping = async {
        let mut rig = rig;
        rig.stop().await;
        rig
    };
    let unlocking = async {
        tokio::task::yield_now().await;
        locking.execute("ROLLBACK").await.expect("unlocked");
    };
    let (mut rig, ()) = tokio::join!(stopping, unlocking);
    assert_eq!(told_on_the_bus(&rig).await, told, "the next owner tells it");

    rig.start().await;
    wait_until_told(&rig, newest).await;
    balanced(&rig).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_the_bus_loses_are_booked_once_when_they_are_repeated() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        rig.report(funding()).await;
        rig.all_acked().await;
        let reports: Vec<_> = (0..1_000)
            .map(|number| {
                let fills = vec![fill(&format!("e{number}"), USD / 2, 2 * USD, 0)];
                traded(Market::prediction("M"), (&account(number % ACCOUNTS), &format!("r{number}")), Side::Buy, fills)
            })
            .collect();
        let mut missing: BTreeMap<_, _> = (0..)
            .zip(&reports)
            .map(|(number, report)| (id(&account(number % ACCOUNTS), &format!("r{number}")), report.clone()))
            .collect();
        for (number, part) in reports.chunks(20).enumerate() {
            published(&rig, part.to_vec()).await;
            if number == 15 || number == 35 {
                delete_stream(&rig, "EXECUTIONS").await;
            }
        }
        // Like the guard, that repeats what it does not hear of.
        let started = Instant::now();
        while !missing.is_empty() {
            let next = tokio::time::timeout(Duration::from_millis(500), rig.facts()).await;
            match next {
                Ok(facts) => facts.iter().for_each(|fact| drop(missing.remove(&trade_id(fact)))),
                Err(_) => {
                    for part in missing.values().cloned().collect::<Vec<_>>().chunks(20) {
                        published(&rig, part.to_vec()).await;
                    }
                }
            }
            assert!(started.elapsed() < 2 * PATIENCE, "{kind:?}: {} reports are lost", missing.len());
        }
        published(&rig, reports[..100].to_vec()).await;
        rig.all_acked().await;
        assert_eq!(tables.number("SELECT COUNT(*) FROM execution").await, 1_000);
        let cash = i64::try_from(ACCOUNTS).expect("small") * 100_000 * USD - 1_000 * USD;
        assert_eq!(tables.number("SELECT SUM(cash) FROM wallet").await, cash);
        assert_eq!(tables.number("SELECT COUNT(*) FROM rejected_report").await, 0);
        balanced(&rig).await;
        rig.stop().await;
    }
}

/// Puts reports on the bus, also when their stream is not there.
async fn published(rig: &Rig, reports: Vec<v1::ExecutionReport>) {
    let (subject, batch) = (Subject::Executions("paper"), v1::ExecutionBatch { reports });
    let started = Instant::now();
    let attempt =
        || async { rig.bus.publish(&subject, &batch, &PublishOptions::default(), Duration::from_millis(100)).await };
    while let Err(error) = attempt().await {
        assert!(started.elapsed() < PATIENCE, "{error}");
        let _ = rig.bus.apply_stream(Stream::Executions).await;
    }
}
