//! How fast the gate decides: the whole guard on a private bus that syncs every message,
//! from proposals that wait on the bus to approvals in the journal.
//!
//! ```text
//! cargo run --release -p tragen-risk-guard --example gate_rate
//! cargo run --release -p tragen-risk-guard --example gate_rate -- --proposals 50000 --rate 10000
//! cargo run --release -p tragen-risk-guard --example gate_rate -- --proposals 50000 --accounts 1000000
//! ```
//!
//! `--rate` offers that many proposals a second and reports how long each took from the moment
//! it was due to its journaled decision. A stand-in posts every report at once, as a ledger would.
//! The memory that is reported is what guard, stand-ins and load have taken since before the guard began.

use anyhow::Context as _;
use futures::FutureExt as _;
use hdrhistogram::Histogram;
use prost::Message as _;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tragen_bus::{
    Ask, Bus, Consumer, Follower, PublishOptions, Source, StartAt, Stream, Subject,
    server::{NatsServer, Sync, find_binary},
};
use tragen_contracts::v1;
use tragen_domain::id::InstrumentId;
use tragen_host::{Context, Lifecycle, clock, trace::Spans};
use tragen_risk_guard::Config;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ONE: i64 = 1_000_000;
const INSTRUMENTS: u64 = 200;
/// Proposals in one message, as a busy worker sends them.
const MESSAGE_ITEMS: u64 = 128;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (mut proposals, mut rate, mut accounts) = (100_000, None, 10_000);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number = arguments.next().and_then(|text| text.parse().ok()).context("a number is missing");
        match argument.as_str() {
            "--proposals" => proposals = number?,
            "--rate" => rate = Some(number?),
            "--accounts" => accounts = number?,
            other => anyhow::bail!("{other} is not one of --proposals, --rate, --accounts"),
        }
    }
    let folder = tempfile::tempdir().context("making a folder for the bus")?;
    let nats = NatsServer::start(&find_binary()?, &folder.path().join("nats"), Sync::Always).await?;
    let bus = Bus::connect(nats.url(), "gate-rate").await?;
    bus.apply(1_000).await?;
    let lifecycle = Lifecycle::new(10);
    let context = lifecycle.context("gate-rate", Spans::default());
    open_market(&bus).await?;
    serve_ledger(&context, &bus, accounts).await?;
    let mut journal = bus.follow(&context, Stream::Journal, "", StartAt::Now).await?;
    let config = Config {
        venue_folder: folder.path().join("venue"),
        snapshot_folder: folder.path().join("snapshots"),
        venue_latency_micros_max: 0,
        ..Config::default()
    };
    let guard_bus = Bus::connect(nats.url(), "risk-guard").await?;
    let guard = lifecycle.context("risk-guard", Spans::default());
    let load = Load { salt: Uuid::new_v4(), accounts };
    let resident_before = resident_kb()?;
    match rate {
        None => {
            // Published before the guard runs, so that only the guard is measured.
            publish(&bus, load, 0..proposals).await?;
            let started = Instant::now();
            tragen_risk_guard::run(guard, guard_bus, config).await?;
            let mut begun = None;
            let approved = decided(&mut journal, proposals, |_| _ = begun.get_or_insert_with(Instant::now)).await?;
            let all = started.elapsed();
            let took = begun.map_or(all, |begun| begun.elapsed());
            let per_second = proposals * 1_000 / u64::try_from(took.as_millis())?.max(1);
            println!("{proposals} proposals, {approved} approved, {per_second} decisions/s ({all:?} with the start)");
        }
        Some(rate) => {
            tragen_risk_guard::run(guard.clone(), guard_bus, config).await?;
            guard.health.wait_ready("risk-guard").await;
            let latencies = paced(&bus, &mut journal, load, (proposals, rate)).await?;
            let at = |quantile| latencies.value_at_quantile(quantile);
            let (p50, p99, p999, most) = (at(0.5), at(0.99), at(0.999), latencies.max());
            println!("{rate} proposals/s offered, us to the decision: p50 {p50}, p99 {p99}, p99.9 {p999}, max {most}");
        }
    }
    println!("{accounts} accounts, {} MB more than before", resident_kb()?.saturating_sub(resident_before) / 1_000);
    lifecycle.stop_token().cancel();
    lifecycle.run().await
}

/// What is proposed.
#[derive(Debug, Clone, Copy)]
struct Load {
    /// Makes the trades of this run its own.
    salt: Uuid,
    /// Who trades.
    accounts: u64,
}

/// Memory of this process, KB.
fn resident_kb() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("reading the process's own status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("there is no VmRSS")?;
    resident.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")
}

/// Waits for `count` decisions; how many of them are approvals.
async fn decided(journal: &mut Follower, count: u64, mut each: impl FnMut(&str)) -> anyhow::Result<u64> {
    let (mut seen, mut approved) = (0, 0);
    while seen < count {
        let message = tokio::time::timeout(PATIENCE, journal.next()).await.context("no decision for a minute")?;
        for record in v1::JournalBatch::decode(message.context("the bus has stopped")?.payload)?.records {
            let is_approved = matches!(record.kind, Some(v1::journal_record::Kind::Approved(_)));
            if is_approved || matches!(record.kind, Some(v1::journal_record::Kind::Refused(_))) {
                seen += 1;
                approved += u64::from(is_approved);
                each(&record.key.unwrap_or_default().trade_id);
            }
        }
    }
    Ok(approved)
}

/// Offers `rate` a second, whatever becomes of them; microseconds from when each was due.
async fn paced(
    bus: &Bus,
    journal: &mut Follower,
    load: Load,
    (count, rate): (u64, u64),
) -> anyhow::Result<Histogram<u64>> {
    const EVERY: Duration = Duration::from_millis(5);
    let items = (rate / 200).max(1);
    let mut numbers: HashMap<String, u64> = HashMap::new();
    for number in 0..count {
        numbers.insert(key(load, number).trade_id, number);
    }
    let begin = Instant::now();
    let due = |number: u64| EVERY * u32::try_from(number / items).unwrap_or(u32::MAX);
    let publishing = async {
        for first in (0..count).step_by(usize::try_from(items)?) {
            tokio::time::sleep_until((begin + due(first)).into()).await;
            publish(bus, load, first..count.min(first + items)).await?;
        }
        anyhow::Ok(())
    };
    let mut latencies = Histogram::new(3)?;
    let mut worst: Vec<u128> = Vec::new();
    let listening = decided(journal, count, |trade| {
        if let Some(number) = numbers.get(trade) {
            let latency = begin.elapsed().saturating_sub(due(*number));
            let tenth = usize::try_from(due(*number).as_millis() / 100).unwrap_or_default();
            worst.resize(worst.len().max(tenth + 1), 0);
            worst[tenth] = worst[tenth].max(latency.as_millis());
            // It grows to whatever comes: nothing is refused.
            let _ = latencies.record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
    });
    tokio::try_join!(publishing, listening)?;
    println!("longest of each tenth of a second, ms: {worst:?}");
    Ok(latencies)
}

async fn publish(bus: &Bus, load: Load, numbers: std::ops::Range<u64>) -> anyhow::Result<()> {
    for first in numbers.clone().step_by(usize::try_from(MESSAGE_ITEMS)?) {
        let proposals = (first..numbers.end.min(first + MESSAGE_ITEMS)).map(|number| proposal(load, number)).collect();
        let batch = v1::ProposalBatch { proposals };
        bus.publish(&Subject::Proposals(Source::Worker), &batch, &PublishOptions::default(), PATIENCE).await?;
    }
    Ok(())
}

fn instrument_id(number: u64) -> String {
    format!("EPL-2026-M{number}-HOME")
}

async fn open_market(bus: &Bus) -> anyhow::Result<()> {
    for number in 0..INSTRUMENTS {
        let id = InstrumentId::new(instrument_id(number))?;
        let instrument = v1::Instrument {
            instrument_id: id.to_string(),
            name: "Home".into(),
            settlement_style: v1::SettlementStyle::Prediction.into(),
            currency: "USD".into(),
            tick_micros: 10_000,
            lot_micros: ONE,
            min_quantity_micros: ONE,
            max_quantity_micros: 10_000 * ONE,
            min_price_micros: 10_000,
            max_price_micros: 990_000,
            taker_fee_ppm: 30_000,
            status: v1::InstrumentStatus::Open.into(),
            match_id: format!("EPL-2026-M{number}"),
            outcome: "HOME".into(),
            max_quote_age_ms: 600_000,
            ..v1::Instrument::default()
        };
        let quote = v1::Quote {
            instrument_id: id.to_string(),
            bid_price_micros: 500_000,
            bid_quantity_micros: 1_000_000 * ONE,
            ask_price_micros: 520_000,
            ask_quantity_micros: 1_000_000 * ONE,
            event_time_micros: clock::now_micros(),
            published_at_micros: clock::now_micros(),
            ..v1::Quote::default()
        };
        bus.publish(&Subject::Instrument(id.clone()), &instrument, &PublishOptions::default(), PATIENCE).await?;
        bus.publish(&Subject::Quote(id), &quote, &PublishOptions::default(), PATIENCE).await?;
    }
    Ok(())
}

/// Has money for everybody, and posts what is reported.
async fn serve_ledger(context: &Context, bus: &Bus, accounts: u64) -> anyhow::Result<()> {
    bus.answer(context, Ask::Ledger, move |question: v1::LedgerQuestion| {
        let answer = match question.question {
            Some(v1::ledger_question::Question::AccountsPage(page)) => {
                let after = page.after_account_id.strip_prefix("account-").and_then(|number| number.parse().ok());
                let first = after.map_or(0, |number: u64| number + 1);
                let last = accounts.min(first + u64::try_from(page.page_size).unwrap_or_default());
                let next_account_id = if last == accounts { String::new() } else { account_id(last - 1) };
                let accounts = (first..last).map(rich).collect();
                v1::ledger_answer::Answer::AccountsPage(v1::AccountsPage { accounts, next_account_id })
            }
            Some(v1::ledger_question::Question::WorkingTrades(_)) => {
                v1::ledger_answer::Answer::WorkingTrades(v1::WorkingTrades::default())
            }
            _ => v1::ledger_answer::Answer::Outcomes(v1::Outcomes::default()),
        };
        async move { v1::LedgerAnswer { answer: Some(answer) } }.boxed()
    })
    .await?;
    let mut reports = bus.pull::<v1::ExecutionBatch>(context, Consumer::Ledger(0));
    let bus = bus.clone();
    context.spawn("ledger", async move {
        while let Some(delivery) = reports.next().await {
            let facts = delivery.message.reports.iter().filter_map(posted).collect();
            let batch = v1::LedgerFactBatch { facts, ..v1::LedgerFactBatch::default() };
            bus.publish(&Subject::LedgerFacts(0), &batch, &PublishOptions::default(), PATIENCE).await?;
            delivery.ack().await;
        }
        Ok(())
    });
    Ok(())
}

fn account_id(number: u64) -> String {
    format!("account-{number}")
}

fn rich(number: u64) -> v1::AccountSnapshot {
    let balance = v1::Account {
        account_id: account_id(number),
        currency: "USD".into(),
        cash_micros: 1_000_000_000_000,
        version: 1,
        ..v1::Account::default()
    };
    v1::AccountSnapshot { balances: vec![balance], positions: Vec::new() }
}

fn posted(report: &v1::ExecutionReport) -> Option<v1::LedgerFact> {
    let Some(v1::execution_report::Kind::Trade(trade)) = &report.kind else { return None };
    let key = report.key.as_ref()?;
    let posted = v1::TradePosted {
        trade: Some(v1::Trade {
            trade_id: key.trade_id.clone(),
            account_id: key.account_id.clone(),
            status: trade.status,
            ..v1::Trade::default()
        }),
        execution_ids: trade.fills.iter().map(|fill| fill.execution_id.clone()).collect(),
        ..v1::TradePosted::default()
    };
    Some(v1::LedgerFact { kind: Some(v1::ledger_fact::Kind::Trade(posted)), ..v1::LedgerFact::default() })
}

fn key(Load { salt, accounts }: Load, number: u64) -> v1::TradeKey {
    // A fixed permutation of the accounts, so that neighbours in time are not neighbours in memory.
    let account_id = account_id(number.wrapping_mul(7_919) % accounts);
    let request_id = format!("{}-{number}", salt.simple());
    let trade_id = Uuid::new_v5(&salt, request_id.as_bytes()).to_string();
    v1::TradeKey {
        trade_id,
        request_id,
        account_id,
        tier: v1::Tier::Standard.into(),
        payload_hash: vec![1; 32].into(),
        created_at_micros: clock::now_micros(),
    }
}

fn proposal(load: Load, number: u64) -> v1::Proposal {
    let key = key(load, number);
    let terms = v1::OrderTerms {
        order_id: format!("{}-o", key.trade_id),
        instrument_id: instrument_id(number % INSTRUMENTS),
        side: if number.is_multiple_of(3) { v1::Side::Sell } else { v1::Side::Buy }.into(),
        order_type: v1::OrderType::Limit.into(),
        quantity_micros: ONE,
        limit_price_micros: if number.is_multiple_of(3) { 500_000 } else { 520_000 },
        time_in_force: v1::TimeInForce::Ioc.into(),
        expire_at_micros: 0,
        is_reduce_only: false,
        is_post_only: false,
    };
    let proposed = v1::OrderProposed {
        terms: Some(terms),
        agent: "tradingAgent".into(),
        valid_until_micros: clock::now_micros() + 600_000_000,
        ..v1::OrderProposed::default()
    };
    v1::Proposal {
        meta: Some(v1::Meta { event_id: format!("{}-proposed", key.trade_id), ..v1::Meta::default() }),
        key: Some(key),
        kind: Some(v1::proposal::Kind::Order(proposed)),
    }
}
