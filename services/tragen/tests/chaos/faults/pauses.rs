//! The owner of a shard stands still past its lease, and wakes up when somebody
//! else has the shard: it may commit nothing more.

use super::kills::take_over;
use crate::{
    ledger::LEASE_MS,
    stage::Stage,
    table::Row,
    world::{World, postgres},
};
use rustix::process::Signal;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Steps that are done between two faults.
const BETWEEN: usize = 60;
/// How long a place may take to be passed under load.
const PASSED_WITHIN: Duration = Duration::from_secs(10);
/// Where a batch is frozen.
const PLACES: [&str; 5] =
    ["after_commit", "before_commit", "after_fence", "before_publish", "after_publish_before_ack"];

/// Frozen at any moment.
pub(crate) async fn at_random(stage: &Stage, name: &str) -> Row {
    let mut world = World::new(stage, name, postgres(2, 2)).await;
    if stage.plan.is_long() {
        world.watch_others().await;
    }
    for _ in 0..stage.plan.rounds(1) {
        world.load(BETWEEN).await;
        let before = world.epochs();
        world.ledgers[0].process().signal(Signal::STOP);
        pass(&mut world, before, Instant::now()).await;
    }
    world.end().await
}

/// Frozen in the middle of a batch, before and after its commit.
pub(crate) async fn in_batch(stage: &Stage, name: &str) -> Row {
    let mut world = World::new(stage, name, postgres(2, 2)).await;
    for round in 0..stage.plan.rounds_of(PLACES.len(), 2) {
        world.load(BETWEEN).await;
        let place = PLACES[round % PLACES.len()];
        let before = world.epochs();
        world.ledgers[0].arm(place, 1, "stop");
        let frozen = frozen(&world).await;
        world.ledgers[0].disarm();
        if world.expect(frozen).is_some() {
            pass(&mut world, before, Instant::now()).await;
        }
    }
    world.end().await
}

/// Waits until the first ledger stands still.
async fn frozen(world: &World) -> Result<(), String> {
    let started = Instant::now();
    while started.elapsed() < PASSED_WITHIN {
        if world.ledgers[0].is_frozen() {
            return Ok(());
        }
        sleep(Duration::from_millis(2)).await;
    }
    Err("the ledger was not frozen".to_owned())
}

/// Somebody else takes over, the frozen one wakes up, and trading goes on.
async fn pass(world: &mut World, before: std::collections::BTreeMap<u16, i64>, lost: Instant) {
    if let Some(shard) = take_over(world, &before, lost).await {
        world.healed(lost, BTreeSet::from([shard])).await;
    }
    let owned = world.epochs();
    // Long enough that the sleeper's lease is over for any clock.
    sleep(Duration::from_millis(LEASE_MS)).await;
    world.ledgers[0].process().signal(Signal::CONT);
    world.recover().await;
    let now = world.epochs();
    let fell = owned.iter().filter(|(shard, epoch)| now.get(shard).is_some_and(|now| now < epoch)).count();
    if fell > 0 {
        world.row.verdict.problems.push(format!("epochs went from {owned:?} to {now:?}"));
    }
    world.row.rounds += 1;
}
