//! PostgreSQL falls, is locked, or takes its time.

use crate::{
    proxy::Traffic,
    servers::{LOOK_EVERY, PATIENCE, Postgres},
    stage::Stage,
    table::Row,
    world::{RECOVERY_MAX, Setup, WINDOW, World, postgres, schemas, start_bus},
};
use rustix::process::{Signal, kill_process};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Steps that are done between two faults.
const BETWEEN: usize = 80;
/// The database on a server of its own.
const BOOKS: &str = "books";
/// How long others use all connections.
const CROWDED: Duration = Duration::from_secs(3);
/// How long somebody else locks what every batch changes.
const LOCKED: Duration = Duration::from_secs(2);
/// How long every answer of a slow database takes.
const LATE: Duration = Duration::from_millis(200);
/// How long it is slow.
const SLOW_FOR: Duration = Duration::from_secs(5);
/// Steps that are open at a time while it is slow: far more than it can take.
const FLOOD: usize = 1_000;
/// Questions that are asked at once while the database is locked.
const QUESTIONS: usize = 64;
/// What the ledger may need for what waits, bytes.
const MEMORY_MAX: u64 = 200 << 20;

/// One of two servers is killed, is stopped without a checkpoint, and loses the process of one connection, which
/// makes it end all others too: the shard on the other one goes on meanwhile.
pub(crate) async fn felled(stage: &Stage, name: &str) -> Row {
    let folder = stage.folder();
    let mut server = Postgres::start(folder.path().join("postgres")).await;
    let sound = schemas(stage.postgres().await, name, 1).await;
    let fallen = schemas(&server, BOOKS, 2).await;
    let (places, bus) = (vec![sound[0].clone(), fallen[1].clone()], start_bus(&folder).await);
    let mut world = World::on(stage, name, postgres(2, 1), (folder, places, bus)).await;
    if stage.plan.is_long() {
        world.watch_others().await;
    }
    for round in 0..stage.plan.rounds_of(3, 3) {
        world.load(BETWEEN).await;
        let moment = world.dice.between(0, 200);
        sleep(Duration::from_millis(moment.unsigned_abs())).await;
        let fell = Instant::now();
        let signal = [Some(Signal::KILL), Some(Signal::QUIT), None][round % 3];
        match signal {
            Some(signal) => server.fell(signal).await,
            None => fell_backend(&mut world, &server).await,
        }
        world.driver.heal();
        let others = world.driver.recovered(Some(0), RECOVERY_MAX).await;
        world.expect(others.map_err(|problem| format!("the other shard: {problem}")));
        if signal.is_some() {
            let away = world.dice.between(0, 1_000);
            sleep(Duration::from_millis(away.unsigned_abs())).await;
            server.restart().await;
        }
        world.driver.heal();
        let recovered = world.driver.recovered(Some(1), RECOVERY_MAX).await;
        let recovered = world.expect(recovered);
        world.row.recoveries.extend(recovered);
        world.healed(fell, BTreeSet::from([1])).await;
        world.row.rounds += 1;
        still_runs(&mut world);
    }
    let row = world.end().await;
    drop(server);
    row
}

/// SIGKILL to the process of one of the ledger's connections; the server itself must stay.
async fn fell_backend(world: &mut World, server: &Postgres) {
    let backends = server.backends(BOOKS).await;
    kill_process(world.dice.pick(&backends), Signal::KILL).expect("a running process");
    let started = Instant::now();
    // All of them end, and none of the old ones comes back.
    while server.backends(BOOKS).await.iter().any(|backend| backends.contains(backend)) {
        assert!(started.elapsed() < PATIENCE, "the other connections go on");
        sleep(LOOK_EVERY).await;
    }
}

/// Every connection that the server has is used by others: the ledger waits for one, and goes on with it.
pub(crate) async fn crowded(stage: &Stage, name: &str) -> Row {
    let folder = stage.folder();
    let server = Postgres::start_with(folder.path().join("postgres"), &["-c", "max_connections=24"]).await;
    let (places, bus) = (schemas(&server, BOOKS, 2).await, start_bus(&folder).await);
    let mut world = World::on(stage, name, postgres(2, 1), (folder, places, bus)).await;
    for _ in 0..stage.plan.rounds(1) {
        world.load(BETWEEN).await;
        let before = world.driver.done();
        let crowd = server.crowd_out(BOOKS, CROWDED).await;
        let done = world.driver.done() - before;
        world.row.remarks.push(format!("{} connections of others, {done} steps done meanwhile", crowd.len()));
        drop(crowd);
        world.recover().await;
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
        let asking = world.driver.ask_for_accounts(QUESTIONS);
        let (locked, answers) = tokio::join!(futures::future::try_join_all(locks), asking);
        world.expect(locked.map(drop).map_err(|error: anyhow::Error| format!("locking: {error:#}")));
        // More than have a connection to wait on; nobody is left without an answer.
        world.row.remarks.push(format!("answers to {QUESTIONS} questions meanwhile, by code: {answers:?}"));
        if answers.keys().any(|code| ![0, 8, 14].contains(code)) {
            world.row.verdict.problems.push(format!("questions are answered by code: {answers:?}"));
        }
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
