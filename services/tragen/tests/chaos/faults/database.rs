//! PostgreSQL falls, is locked, or takes its time.

use crate::{
    proxy::Traffic,
    servers::Postgres,
    stage::Stage,
    table::Row,
    world::{RECOVERY_MAX, Setup, WINDOW, World, postgres, schemas, start_bus},
};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Steps that are done between two faults.
const BETWEEN: usize = 80;
/// How long somebody else locks what every batch changes.
const LOCKED: Duration = Duration::from_secs(2);
/// How long every answer of a slow database takes.
const LATE: Duration = Duration::from_millis(200);
/// How long it is slow.
const SLOW_FOR: Duration = Duration::from_secs(5);
/// Steps that are open at a time while it is slow: far more than it can take.
const FLOOD: usize = 1_000;
/// What the ledger may need for what waits, bytes.
const MEMORY_MAX: u64 = 200 << 20;

/// One of two servers is killed, and stopped without a checkpoint: the shard on the other one goes on meanwhile.
pub(crate) async fn felled(stage: &Stage, name: &str) -> Row {
    let folder = stage.folder();
    let mut server = Postgres::start(folder.path().join("postgres")).await;
    let sound = schemas(stage.postgres().await, name, 1).await;
    let fallen = schemas(&server, "books", 2).await;
    let (places, bus) = (vec![sound[0].clone(), fallen[1].clone()], start_bus(&folder).await);
    let mut world = World::on(stage, name, postgres(2, 1), (folder, places, bus)).await;
    for round in 0..stage.plan.rounds(2) {
        world.load(BETWEEN).await;
        let moment = world.dice.between(0, 200);
        sleep(Duration::from_millis(moment.unsigned_abs())).await;
        server.fell(if round % 2 == 0 { Signal::KILL } else { Signal::QUIT }).await;
        world.driver.heal();
        let others = world.driver.recovered(Some(0), RECOVERY_MAX).await;
        world.expect(others.map_err(|problem| format!("the other shard: {problem}")));
        let away = world.dice.between(0, 1_000);
        sleep(Duration::from_millis(away.unsigned_abs())).await;
        server.restart().await;
        world.driver.heal();
        let recovered = world.driver.recovered(Some(1), RECOVERY_MAX).await;
        let recovered = world.expect(recovered);
        world.row.recoveries.extend(recovered);
        world.row.rounds += 1;
        still_runs(&mut world);
    }
    let row = world.end().await;
    drop(server);
    row
}

/// A database that is away is waited for, not a reason to end.
fn still_runs(world: &mut World) {
    if let Some(status) = world.ledgers[0].process().ended() {
        world.row.verdict.problems.push(format!("the ledger has ended: {status}"));
        world.ledgers[0].start();
    }
}

/// Somebody holds a lock that every batch needs.
pub(crate) async fn locked(stage: &Stage, name: &str) -> Row {
    let mut world = World::new(stage, name, postgres(2, 1)).await;
    for _ in 0..stage.plan.rounds(1) {
        world.load(BETWEEN).await;
        let locks = world.places.iter().map(|place| place.lock(LOCKED));
        let locked: anyhow::Result<Vec<()>> = futures::future::try_join_all(locks).await;
        world.expect(locked.map_err(|error| format!("locking: {error:#}")));
        world.recover().await;
        world.row.rounds += 1;
        still_runs(&mut world);
    }
    world.end().await
}

/// Every answer of the database is late, while far more is asked for than it can
/// take: what waits is bounded, and who asks for more is told so.
pub(crate) async fn slow(stage: &Stage, name: &str) -> Row {
    let mut world = World::new(stage, name, Setup { has_wires: true, ..postgres(2, 1) }).await;
    for _ in 0..stage.plan.rounds(1) {
        world.load(BETWEEN).await;
        let wire = |world: &World, traffic| world.ledgers[0].to_store.as_ref().expect("a wire").set(traffic);
        let before = world.ledgers[0].process().memory();
        wire(&world, Traffic::Late(LATE));
        world.driver.send(FLOOD);
        let mut most = before;
        let started = Instant::now();
        while started.elapsed() < SLOW_FOR {
            most = most.max(world.ledgers[0].process().memory());
            sleep(Duration::from_millis(20)).await;
        }
        let refused = world.driver.refusals();
        world.driver.send(WINDOW);
        wire(&world, Traffic::Flows);
        world.recover().await;
        world.row.rounds += 1;
        let grown = most.saturating_sub(before);
        world.row.remarks.push(format!(
            "{} MB before, {} MB more at most; refused deposits by code: {refused:?}",
            before >> 20,
            grown >> 20
        ));
        if grown > MEMORY_MAX {
            world.row.verdict.problems.push(format!("the ledger grew by {} MB", grown >> 20));
        }
        if !refused.contains_key(&8) && !refused.contains_key(&14) {
            world.row.verdict.problems.push(format!("nobody was told to come back later: {refused:?}"));
        }
        still_runs(&mut world);
    }
    world.end().await
}
