//! The ledger is killed: at every place where it matters, and anywhere.

use crate::{
    ledger::end_of,
    stage::Stage,
    table::Row,
    world::{RECOVERY_MAX, Store, World, postgres, sqlite},
};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long a place may take to be passed under load.
const PASSED_WITHIN: Duration = Duration::from_secs(10);
/// Steps that are done between two faults.
const BETWEEN: usize = 60;

/// When a place is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// With every batch.
    Always,
    /// When a market is decided.
    Decided,
    /// When a shard is taken over.
    Started,
}

/// A place at which the ledger is killed.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) name: &'static str,
    when: When,
}

const fn point(name: &'static str, when: When) -> Point {
    Point { name, when }
}

/// Every place, in the order in which a batch passes them.
pub(crate) const POINTS: [Point; 12] = [
    point("before_take_over", When::Started),
    point("after_take_over", When::Started),
    point("after_fence", When::Always),
    point("before_commit", When::Always),
    point("after_commit", When::Always),
    point("before_publish", When::Always),
    point("after_hand_on_before_facts", When::Always),
    point("between_fact_messages", When::Always),
    point("after_publish_before_ack", When::Always),
    point("after_ack", When::Always),
    point("after_decision_before_payouts", When::Decided),
    point("between_payouts", When::Decided),
];

fn setup(store: Store, shards: u16) -> crate::world::Setup {
    match store {
        Store::Sqlite => sqlite(shards),
        Store::Postgres => postgres(shards, 1),
    }
}

/// Killed at each of `points`.
pub(crate) async fn at(stage: &Stage, name: &str, store: Store, points: &[Point]) -> Row {
    let mut world = World::new(stage, name, setup(store, 2)).await;
    for point in points {
        for _ in 0..stage.plan.rounds(1) {
            world.load(BETWEEN).await;
            let died = die_at(&mut world, point).await;
            world.expect(died);
            world.row.rounds += 1;
            revive(&mut world).await;
        }
    }
    world.end().await
}

async fn die_at(world: &mut World, point: &Point) -> Result<(), String> {
    let passes = world.dice.between(1, 4);
    let ledger = &mut world.ledgers[0];
    match point.when {
        When::Always => ledger.arm(point.name, passes, "kill"),
        When::Decided => {
            ledger.arm(point.name, 1, "kill");
            world.driver.decide_market();
        }
        When::Started => {
            ledger.kill();
            // One of the two shards is taken first; either may be the one.
            ledger.arm(point.name, passes.min(2), "kill");
            ledger.start();
        }
    }
    let ended = world.ledgers[0].process().end(PASSED_WITHIN).await;
    world.ledgers[0].disarm();
    let name = point.name;
    ended.map(drop).ok_or_else(|| format!("{name} is not passed within {PASSED_WITHIN:?}"))
}

/// Starts the ledger again and measures how soon it trades.
async fn revive(world: &mut World) {
    world.ledgers[0].kill();
    world.ledgers[0].start();
    world.recover().await;
}

/// Killed at any moment.
pub(crate) async fn at_random(stage: &Stage, name: &str, store: Store) -> Row {
    let mut world = World::new(stage, name, setup(store, 4)).await;
    for _ in 0..stage.plan.rounds(3) {
        world.load(BETWEEN).await;
        let moment = world.dice.between(0, 300);
        sleep(Duration::from_millis(moment.unsigned_abs())).await;
        world.row.rounds += 1;
        revive(&mut world).await;
    }
    world.end().await
}

/// Asked to end under load, also while a decided market is paid out: nothing is left undone.
pub(crate) async fn in_order(stage: &Stage, name: &str, store: Store) -> Row {
    let mut world = World::new(stage, name, setup(store, 2)).await;
    for round in 0..stage.plan.rounds_of(3, 3) {
        world.load(BETWEEN).await;
        match round % 3 {
            0 => world.ledgers[0].process().signal(Signal::TERM),
            1 => {
                world.ledgers[0].arm("after_decision_before_payouts", 1, "term");
                world.driver.decide_market();
            }
            _ => world.ledgers[0].arm("before_publish", 2, "term"),
        }
        let ended = world.ledgers[0].process().end(PASSED_WITHIN * 2).await;
        world.ledgers[0].disarm();
        let is_good = match ended {
            Some(status) if status.success() => Ok(()),
            other => Err(format!("asked to end it ended with {other:?}:\n{}", end_of(&world.ledgers[0].said()))),
        };
        world.expect(is_good);
        world.row.rounds += 1;
        revive(&mut world).await;
    }
    world.end().await
}

/// Waits until another process trades on the shard that was `lost`, which must be soon.
pub(crate) async fn take_over(
    world: &mut World,
    before: &std::collections::BTreeMap<u16, i64>,
    lost: Instant,
) -> Option<u16> {
    world.driver.heal();
    let taken = world.taken_over(before, RECOVERY_MAX).await;
    let shard = world.expect(taken)?;
    let recovered = world.driver.recovered(Some(shard), RECOVERY_MAX).await;
    world.expect(recovered)?;
    let took = lost.elapsed();
    world.row.recoveries.push(took);
    if took > world.takeover_max {
        let problem =
            format!("shard {shard} was served by nobody for {took:?}, at most {:?} are allowed", world.takeover_max);
        world.row.verdict.problems.push(problem);
    }
    Some(shard)
}
