//! The harness: starts Tragen as its users do, speaks to it through the public
//! API, and leaves nothing behind.
//!
//! | you want | you write |
//! |---|---|
//! | everything in one process | `AllInOne::start(&["--feed", "sample"]).await` |
//! | six processes on NATS, PostgreSQL and Valkey | `Cluster::start(&["--feed", "sample"]).await` |
//! | to speak as somebody | `tragen.client(trader("alice")).await`, then `client.trading.place_trade(..)` |
//! | to kill one service and bring it back | `cluster.service("ledger").kill(); cluster.restart("ledger").await` |
//! | to kill everything and bring it back | `tragen.process.kill(); tragen.restart().await` |
//! | to lose the bus | `cluster.nats.kill(); cluster.nats.restart()` |
//! | a command's exit code and output | `tragen(&["ledger", "verify", ..])` |
//! | to wait | `wait_until(PATIENCE, "the order rests", async || ..).await` |
//!
//! Each start has its own temporary folder, its own free ports and its own
//! database. Servers come from `tools/serve`, which finds or installs them.

mod all_in_one;
mod client;
mod cluster;
mod process;
mod server;

pub(crate) use all_in_one::AllInOne;
pub(crate) use client::{Client, market_order, operator, trader};
pub(crate) use cluster::Cluster;
pub(crate) use process::tragen;

use std::time::{Duration, Instant};

/// How long anything may take on a slow machine that builds something else meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Asks `condition` again and again until it answers with something.
///
/// # Panics
/// After `patience`, with `what` was waited for.
pub(crate) async fn wait_until<T>(patience: Duration, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(started.elapsed() < patience, "after {patience:?} still waiting until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
