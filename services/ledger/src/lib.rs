//! The ledger: every fill, deposit and withdrawal in double entry, committed
//! before anybody hears of it.
//!
//! The books are cut into shards ([`slot`]); each has one writer at a time, in
//! whichever process holds its lease ([`shard`]). The writer takes what waits
//! (reports from the bus, deposits from questions), decides it in memory
//! ([`batch`]) and commits it in one transaction ([`store`]); the publisher tells
//! the committed facts and only then takes the reports off the bus ([`publish`]).

mod answer;
mod arrivals;
mod audit;
mod backup;
mod batch;
mod beginning;
mod cache;
pub mod config;
mod export;
mod facts;
mod intake;
mod metrics;
mod move_slot;
mod pair;
mod publish;
mod reconcile;
mod shard;
mod slot;
mod store;
mod unbookable;
pub mod verify;
mod writer;

pub use backup::{BackedUp, backup, restore};
pub use config::{Config, ConfigError, ShardConfig};
pub use export::{Exported, export, import};
pub use move_slot::{MoveProgress, SlotMoved, SlotPlace, move_slot, slot_of_account, slots};
pub use verify::{BadRow, InFlight, VerifyOptions, VerifyProgress, VerifyReport, verify, verify_shard, verify_shards};

use answer::{Answers, Owned};
use anyhow::Context as _;
use futures::FutureExt as _;
use shard::{Fair, Shard};
use slot::Directory;
use std::{sync::Arc, time::Duration};
use store::{Books, lease::Leases};
use tragen_bus::{Ask, Bus};
use tragen_host::Context;

/// How often the slots of all shards are looked at anew: a slot that moved is found by then at the latest.
const LEARN_EVERY: Duration = Duration::from_secs(1);

/// Starts the ledger: a writer and a publisher for each shard it gets, and the answers.
///
/// # Errors
/// When the configuration is wrong, or the store or bus cannot be used.
pub async fn run(context: Context, bus: Bus, config: Config) -> anyhow::Result<()> {
    config.validate()?;
    metrics::describe();
    context.set_not_ready("the ledger is starting");
    let places = config.shards();
    let wait = Duration::from_millis(config.connect_wait_ms_max);
    let mut books = Vec::with_capacity(places.len());
    for (shard, place) in (0..).zip(&places) {
        let connected = Books::connect(shard, place, config.reader_connections_max, wait);
        books.push(connected.with_context(|| format!("opening shard {shard}"))?);
    }
    let books: Arc<[Books]> = books.into();
    let shards_at_creation = beginning::agree(&books, &places, wait).await?;
    let directory = Directory::new(shards_at_creation);
    if let Err(error) = learn(&books, &directory).await {
        tracing::warn!("not every shard says where its slots are: {error:#}");
    }

    let config = Arc::new(config);
    let owned = Owned::new(Duration::from_millis(config.deposit_wait_ms_max));
    let fair = Fair::new();
    let mut shared = Vec::new();
    let all_books = Arc::clone(&books);
    for (books, place) in books.iter().zip(places) {
        let leases = Leases::new(books.shard, &place, wait)?;
        if leases.is_shared() {
            shared.push((books.shard, leases.clone()));
        }
        let shard = Shard {
            context: context.clone(),
            bus: bus.clone(),
            books: books.clone(),
            all_books: Arc::clone(&all_books),
            place,
            shards_at_creation,
            config: Arc::clone(&config),
            directory: directory.clone(),
            owned: owned.clone(),
            leases,
            fair: fair.clone(),
        };
        context.spawn("ledger-shard", shard.serve());
    }
    if shared.len() > 1 {
        let every = Duration::from_millis(config.lease_ms / 3);
        context.spawn("ledger-share", shard::share(context.clone(), bus.clone(), shared, fair, every));
    }
    context.spawn("ledger-slots", keep_learning(context.clone(), Arc::clone(&books), directory.clone()));

    audit::start(&context, &bus, &books, &owned, &config)?;
    reconcile::start(&context, &bus, &books, &owned, &config);

    let answers = Answers::new(context.clone(), bus.clone(), books, directory, owned, config);
    bus.answer(&context, Ask::Ledger, move |question| answers.clone().answer(question).boxed())
        .await
        .context("answering questions to the ledger")
}

/// A shard that does not answer keeps nobody from learning where the others' slots are.
async fn learn(books: &[Books], directory: &Directory) -> anyhow::Result<()> {
    let mut learned = Ok(());
    for books in books {
        match books.slots().await {
            Ok(slots) => {
                directory.learn(books.shard, &slots);
            }
            Err(error) => learned = Err(error).with_context(|| format!("asking shard {} for its slots", books.shard)),
        }
    }
    learned
}

async fn keep_learning(context: Context, books: Arc<[Books]>, directory: Directory) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(LEARN_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let stopped = context.stopped();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            () = &mut stopped => break,
            _ = tick.tick() => {}
        }
        if let Err(error) = learn(&books, &directory).await {
            tracing::debug!("looking where the slots are: {error:#}");
        }
    }
    Ok(())
}
