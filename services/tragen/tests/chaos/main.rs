//! The proof that the ledger loses and doubles nothing, whatever happens to it:
//! real processes, real servers, and an auditor who believes only what he wrote
//! down himself.
//!
//! `cargo test -p tragen --test chaos` plays every kind of fault once;
//! `make chaos-ledger` plays each of them many times. docs/ledger.md has the list.
#![cfg(target_os = "linux")]

mod audit;
mod books;
mod dice;
mod disk;
mod driver;
mod expected;
mod faults;
mod ledger;
mod others;
mod proxy;
mod record;
mod script;
mod servers;
mod stage;
mod table;
mod wire;
mod world;

use faults::play;
use futures::{StreamExt as _, stream};
use stage::{Plan, Stage};
use std::{io::Write as _, sync::Arc};
use table::{Row, table};

/// Says it even when the test succeeds.
pub(crate) fn say(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_fault_makes_the_ledger_lose_or_double_anything() {
    let plan = Plan::of_environment();
    say(&format!("\nchaos with seed {}: TRAGEN_CHAOS_SEED={} plays it again\n", plan.seed, plan.seed));
    let scenarios = faults::scenarios(&plan);
    assert!(!scenarios.is_empty(), "there is no such scenario");
    let stage = Arc::new(Stage::new(plan));
    let (timed, others): (Vec<_>, Vec<_>) = scenarios.into_iter().partition(|fault| fault.is_timed());
    let mut rows = Vec::new();
    for (faults, at_once) in [(timed, 1), (others, stage.plan.at_once())] {
        let playing = faults.into_iter().map(|fault| play(Arc::clone(&stage), fault));
        rows.extend(stream::iter(playing).buffered(at_once).collect::<Vec<Row>>().await);
    }
    let table = table(&rows);
    say(&format!("\n{table}\n"));
    assert!(rows.iter().all(|row| row.verdict.problems.is_empty()), "see the problems below the table");
}
