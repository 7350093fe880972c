//! The ledger: every fill, deposit and withdrawal in double entry, committed
//! before anybody hears of it.
//!
//! [`run`] starts one writer, one publisher and the answers. The writer takes
//! what waits (reports from the bus, deposits from questions), decides it in
//! memory and commits it in one transaction; the publisher tells the committed
//! facts and only then takes the reports off the bus.

mod answer;
mod batch;
pub mod config;
mod facts;
mod intake;
mod metrics;
mod publish;
mod store;
pub mod verify;
mod writer;

pub use config::{Config, ConfigError};
pub use verify::{BadRow, VerifyReport, verify};

use anyhow::Context as _;
use futures::FutureExt as _;
use publish::{Committed, Limits, Published};
use std::{sync::Arc, time::Duration};
use store::{
    Store,
    session::{Arg, Sql},
};
use tokio::sync::{mpsc, watch};
use tracing::info;
use tragen_bus::{Ask, Bus, Consumer};
use tragen_host::Context;

/// Facts told again at once after a start.
const RETOLD_MAX: i64 = 1_000;

/// Starts the ledger: the single writer, the publisher of facts and the answers.
///
/// # Errors
/// When the configuration is wrong, or the store or bus cannot be used.
pub async fn run(context: Context, bus: Bus, config: Config) -> anyhow::Result<()> {
    config.validate()?;
    metrics::describe();
    context.set_not_ready("the ledger is starting");
    let store = Store::open(&config).await?;
    let config = Arc::new(config);

    let published = Published::default();
    let (publisher, committed) = mpsc::channel(config.publish_queue_max);
    let limits = Limits {
        message_bytes_max: config.fact_message_bytes_max,
        patience: Duration::from_millis(config.publish_patience_ms),
    };
    let task = publish::publish_all(context.clone(), bus.clone(), committed, published.clone(), limits);
    context.spawn("ledger-publish", task);
    tell_again(&store, &publisher).await.context("telling the last facts again")?;

    let (deposit_sender, deposits) = mpsc::channel(config.deposit_queue_max);
    let (commits, committed_count) = watch::channel(0);
    let writer = writer::Writer {
        context: context.clone(),
        store: store.clone(),
        reports: bus.pull(&context, Consumer::Ledger),
        deposits,
        publisher,
        published,
        commits,
        batch_items_max: config.batch_items_max,
        held: std::collections::VecDeque::new(),
    };
    let closing = store.clone();
    context.spawn("ledger-write", async move {
        let ended = writer.run().await;
        closing.close().await;
        ended
    });

    let answers = answer::Answers::new(context.clone(), store, deposit_sender, committed_count, config);
    bus.answer(&context, Ask::Ledger, move |question| answers.clone().answer(question).boxed())
        .await
        .context("answering questions to the ledger")?;
    context.set_ready();
    Ok(())
}

/// Facts that were committed but perhaps never told, because the process died in
/// between: they are told before anything new.
async fn tell_again(store: &Store, publisher: &mpsc::Sender<Committed>) -> anyhow::Result<()> {
    const UNTOLD: Sql = Sql::same(
        "SELECT trade_id, fact_sequence FROM trade
             WHERE fact_sequence > $1 AND fact_sequence > (SELECT published_fact_sequence FROM shard)
         UNION ALL SELECT trade_id, fact_sequence FROM cash_movement
             WHERE fact_sequence > $1 AND fact_sequence > (SELECT published_fact_sequence FROM shard)
         ORDER BY fact_sequence LIMIT $2",
    );
    let mut after = 0;
    loop {
        let untold: Vec<(String, i64)> = store.rows(UNTOLD, &[Arg::Int(after), Arg::Int(RETOLD_MAX)]).await?;
        let Some((_, last)) = untold.last() else { return Ok(()) };
        after = *last;
        let trade_ids = untold.into_iter().map(|(trade_id, _)| trade_id).collect();
        let facts = facts::of_known(store.outcomes(trade_ids).await?);
        info!("telling {} committed facts again, up to {after}", facts.len());
        let committed = Committed { facts, fact_sequence: after, ..Committed::default() };
        publisher.send(committed).await.map_err(|_| anyhow::anyhow!("the publisher of facts has ended"))?;
    }
}
