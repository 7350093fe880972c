//! How many fills a second the ledger posts, from the bus to acked facts.
//!
//! ```text
//! cargo run --release -p tragen-ledger --example post_rate -- sqlite:///tmp/books.db 100000
//! cargo run --release -p tragen-ledger --example post_rate -- postgres://user:password@127.0.0.1/books 100000
//! ```

use anyhow::Context as _;
use std::time::{Duration, Instant};
use tragen_bus::{
    Ask, Bus, PublishOptions, StartAt, Stream, Subject,
    server::{NatsServer, Sync, find_binary},
};
use tragen_contracts::v1;
use tragen_host::{Lifecycle, trace::Spans};
use tragen_ledger::Config;
use uuid::Uuid;

/// Accounts that trade.
const ACCOUNTS: u64 = 1_000;
/// Reports in one message, as the guard sends them under load.
const MESSAGE_ITEMS: u64 = 128;
/// Money of each account, micros.
const FUNDS: i64 = 1_000_000_000_000;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let store_url = arguments.next().context("which store? give a sqlite:// or postgres:// url")?;
    let fills: u64 = arguments.next().map_or(Ok(50_000), |text| text.parse()).context("how many fills?")?;
    let folder = tempfile::tempdir().context("making a folder for the bus")?;
    let nats = NatsServer::start(&find_binary()?, folder.path(), Sync::Always).await?;
    let bus = Bus::connect(nats.url(), "post-rate").await?;
    bus.apply(1_000).await?;
    let lifecycle = Lifecycle::new(10);
    let context = lifecycle.context("ledger", Spans::default());
    let mut facts = bus.follow(&context, Stream::Ledger, "", StartAt::Now).await?;
    // Published before the ledger runs, so that only the ledger is measured.
    let salt = Uuid::new_v4();
    for first in (0..fills).step_by(usize::try_from(MESSAGE_ITEMS)?) {
        let reports = (first..fills.min(first + MESSAGE_ITEMS)).map(|number| report(salt, number)).collect();
        let batch = v1::ExecutionBatch { reports };
        bus.publish(&Subject::Executions("paper"), &batch, &PublishOptions::default(), PATIENCE).await?;
    }
    fund(&store_url, salt).await?;

    let started = Instant::now();
    tragen_ledger::run(context, bus.clone(), Config { store_url: store_url.clone(), ..Config::default() }).await?;
    let (mut told, mut messages) = (0, 0_u64);
    while told < fills {
        let message = tokio::time::timeout(PATIENCE, facts.next()).await.context("no facts for a minute")?;
        let message = message.context("the bus has stopped")?;
        let batch: v1::LedgerFactBatch = prost::Message::decode(message.payload)?;
        told += u64::try_from(batch.facts.iter().filter(|fact| is_of(fact, salt)).count())?;
        messages += 1;
    }
    let millis = u64::try_from(started.elapsed().as_millis())?.max(1);
    let (system, _) = store_url.split_once(':').context("a url")?;
    println!("{system}: {told} fills in {millis} ms, {} fills/s, {messages} messages of facts", told * 1_000 / millis);

    lifecycle.stop_token().cancel();
    lifecycle.run().await?;
    let started = Instant::now();
    let report = tragen_ledger::verify(&store_url, |_| {}).await?;
    anyhow::ensure!(report.first_bad_row.is_none(), "{:?}", report.first_bad_row);
    println!("{system}: {} transfers verified in {} ms", report.transfers, started.elapsed().as_millis());
    Ok(())
}

/// Deposits for every account, through a ledger on a bus of its own.
async fn fund(store_url: &str, salt: Uuid) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("making a folder for the bus")?;
    let nats = NatsServer::start(&find_binary()?, folder.path(), Sync::ServerDefault).await?;
    let bus = Bus::connect(nats.url(), "fund").await?;
    bus.apply(1_000).await?;
    let lifecycle = Lifecycle::new(10);
    let config = Config { store_url: store_url.to_owned(), ..Config::default() };
    tragen_ledger::run(lifecycle.context("ledger", Spans::default()), bus.clone(), config).await?;
    let deposits = (0..ACCOUNTS).map(|number| {
        let question = v1::LedgerQuestion {
            account_id: format!("account-{number}"),
            question: Some(v1::ledger_question::Question::Deposit(v1::DepositRequest {
                request_id: salt.to_string(),
                amount_micros: FUNDS,
                currency: String::new(),
            })),
            traceparent: String::new(),
        };
        let bus = bus.clone();
        async move { bus.ask::<_, v1::LedgerAnswer>(Ask::Ledger, &question, PATIENCE).await }
    });
    futures::future::try_join_all(deposits).await?;
    lifecycle.stop_token().cancel();
    lifecycle.run().await
}

fn is_of(fact: &v1::LedgerFact, salt: Uuid) -> bool {
    matches!(&fact.kind, Some(v1::ledger_fact::Kind::Trade(posted))
        if posted.trade.as_ref().is_some_and(|trade| trade.request_id.starts_with(&salt.simple().to_string())))
}

fn report(salt: Uuid, number: u64) -> v1::ExecutionReport {
    let account_id = format!("account-{}", number % ACCOUNTS);
    let request_id = format!("{}-{number}", salt.simple());
    let trade_id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{account_id}/{request_id}").as_bytes()).to_string();
    let trade = v1::TradeReport {
        terms: Some(v1::OrderTerms {
            order_id: format!("{trade_id}-o"),
            instrument_id: format!("EPL-2026-M{}-HOME", number % 20),
            side: if number.is_multiple_of(3) { v1::Side::Sell } else { v1::Side::Buy }.into(),
            order_type: v1::OrderType::Limit.into(),
            quantity_micros: 10_000_000,
            limit_price_micros: 600_000,
            time_in_force: v1::TimeInForce::Ioc.into(),
            expire_at_micros: 0,
            is_reduce_only: false,
        }),
        settlement: Some(v1::SettlementTerms {
            style: v1::SettlementStyle::Prediction.into(),
            currency: "USD".to_owned(),
            initial_margin_ppm: 0,
        }),
        fills: vec![v1::Fill {
            execution_id: format!("x-{trade_id}"),
            price_micros: 550_000,
            quantity_micros: 10_000_000,
            fee_micros: 74_250,
            executed_at_micros: 1,
        }],
        status: v1::TradeStatus::Filled.into(),
        agent: "eplScoutAgent".to_owned(),
        rationale: "The fair price is 0.58 after the line-ups, 3 cents above the ask.".to_owned(),
        ..v1::TradeReport::default()
    };
    v1::ExecutionReport {
        meta: Some(v1::Meta { event_id: Uuid::now_v7().to_string(), ..v1::Meta::default() }),
        key: Some(v1::TradeKey {
            trade_id,
            request_id,
            account_id,
            tier: v1::Tier::Standard.into(),
            payload_hash: vec![1; 32].into(),
            created_at_micros: 1,
        }),
        kind: Some(v1::execution_report::Kind::Trade(trade)),
    }
}
