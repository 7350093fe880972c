//! Two processes share four shards on two databases, and one of them is killed:
//! the other one serves all four soon.

use crate::{
    stage::{Stage, TAKEOVER_MAX},
    table::Row,
    world::{RECOVERY_MAX, World, postgres, schemas, start_bus},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Steps that are done between two faults.
const BETWEEN: usize = 120;
/// Shards; each database has half of them, and so has each process.
const SHARDS: u16 = 4;
const HALF: usize = 2;
/// How long two processes may take to share the shards.
const SHARED_WITHIN: Duration = Duration::from_secs(20);

/// Rounds of a short run, which ends with the first in time: a machine that is busy with something else makes it
/// slower, nothing makes it faster.
const TRIES: usize = 3;

/// Each process in turn is killed.
pub(crate) async fn killed(stage: &Stage, name: &str) -> Row {
    let (folder, server) = (stage.folder(), stage.postgres().await);
    let mut places = schemas(server, &format!("{name} 1"), SHARDS).await;
    places.splice(HALF.., schemas(server, &format!("{name} 2"), SHARDS).await.into_iter().skip(HALF));
    let bus = start_bus(&folder).await;
    let mut world = World::on(stage, name, postgres(SHARDS, 2), (folder, places, bus)).await;
    let (is_long, mut takes) = (stage.plan.is_long(), Vec::new());
    world.watch_others().await;
    for round in 0..stage.plan.rounds_of(2, TRIES) {
        let shared = shared(&world).await;
        world.expect(shared);
        world.load(BETWEEN).await;
        let (before, killed) = (world.epochs(), round % 2);
        let lost = Instant::now();
        world.ledgers[killed].kill();
        let (hit, took) = taken_over(&mut world, &before).await;
        takes.extend(took);
        let is_little_felt = world.healed(lost, hit).await;
        world.row.rounds += 1;
        world.ledgers[killed].start();
        world.ledgers[killed].ready().await;
        if !is_long && is_little_felt && takes.last().is_some_and(|took| *took <= TAKEOVER_MAX) {
            break;
        }
    }
    let judged = if is_long { takes.iter().max() } else { takes.iter().min() };
    if let Some(took) = judged.filter(|took| **took > TAKEOVER_MAX) {
        let problem = format!("a shard was served by nobody for {took:?}, at most {TAKEOVER_MAX:?} are allowed");
        world.row.verdict.problems.push(problem);
    }
    world.end().await
}

/// Waits until each process serves half of the shards.
async fn shared(world: &World) -> Result<(), String> {
    let started = Instant::now();
    let mut owned = BTreeMap::new();
    while started.elapsed() < SHARED_WITHIN {
        owned.clear();
        for place in &world.places {
            let owner = place.owner().await.unwrap_or_default();
            owned.entry(owner).or_insert_with(BTreeSet::new).insert(place.shard);
        }
        if owned.len() == 2 && owned.values().all(|shards| shards.len() == HALF) {
            return Ok(());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Err(format!("the shards are not shared within {SHARED_WITHIN:?}: {owned:?}"))
}

/// How long it takes from now on, when one process is gone, until the other one trades on both of its shards; and
/// which they are.
async fn taken_over(world: &mut World, before: &BTreeMap<u16, i64>) -> (BTreeSet<u16>, Option<Duration>) {
    let lost = Instant::now();
    world.driver.heal();
    let mut taken = BTreeSet::new();
    while taken.len() < HALF && lost.elapsed() < RECOVERY_MAX {
        for place in &world.places {
            let epoch = place.number("SELECT epoch FROM shard").await.unwrap_or_default();
            if epoch > before.get(&place.shard).copied().unwrap_or_default() {
                taken.insert(place.shard);
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
    if taken.len() != HALF {
        world.row.verdict.problems.push(format!("{taken:?} were taken over, it should be {HALF} shards"));
        return (taken, None);
    }
    let mut slowest = Duration::ZERO;
    for shard in &taken {
        let recovered = world.driver.recovered(Some(*shard), RECOVERY_MAX).await;
        match world.expect(recovered.map_err(|problem| format!("shard {shard}: {problem}"))) {
            Some(took) => slowest = slowest.max(took),
            None => return (taken, None),
        }
    }
    world.row.recoveries.push(slowest);
    (taken, Some(slowest))
}
