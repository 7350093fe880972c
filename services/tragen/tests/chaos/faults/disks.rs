//! A disk is full for a while: that of the books, or that of the bus. Nothing that
//! was answered is lost, and nobody has to repair anything by hand.

use crate::{
    disk::{Disk, family},
    servers::Postgres,
    stage::Stage,
    table::Row,
    world::{BUS, World, files, postgres as on_postgres, schemas, sqlite as on_sqlite, start_bus},
};
use rustix::process::Pid;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::sleep;
use tragen_bus::server::{NatsServer, Sync, find_binary};

/// Steps that are done between two faults.
const BETWEEN: usize = 80;
/// How long the disk is full.
const FULL_FOR: Duration = Duration::from_millis(1_500);

/// The files of SQLite lie on it.
pub(crate) async fn sqlite(stage: &Stage, name: &str) -> Row {
    let folder = stage.folder();
    let books = folder.path().join("books");
    let disk = Disk::new(&books, 64);
    let (places, bus) = (files(&books, 2), start_bus(&folder).await);
    let mut world = World::on(stage, name, on_sqlite(2), (folder, places, bus)).await;
    for _ in 0..stage.plan.rounds(1) {
        world.load(BETWEEN).await;
        let ledger = [world.ledgers[0].process().pid()];
        starve(&mut world, &disk, &ledger).await;
        disk.free(&ledger);
        world.recover().await;
    }
    let row = world.end().await;
    drop(disk);
    row
}

/// The data of PostgreSQL lies on it; it may end when it cannot write, and is started again.
pub(crate) async fn postgres(stage: &Stage, name: &str) -> Row {
    let folder = stage.folder();
    let data = folder.path().join("postgres");
    let disk = Disk::new(&data, 192);
    let mut server = Postgres::start(data).await;
    let (places, bus) = (schemas(&server, "books", 2).await, start_bus(&folder).await);
    let mut world = World::on(stage, name, on_postgres(2, 1), (folder, places, bus)).await;
    for _ in 0..stage.plan.rounds(1) {
        world.load(BETWEEN).await;
        let processes = family(server.pid());
        disk.fill(&processes);
        for place in &world.places {
            // Space that was set aside for the log is used up: the server may not go on then.
            let _ = place.number("SELECT CAST(length(pg_switch_wal()::text) AS bigint)").await;
        }
        starve(&mut world, &disk, &processes).await;
        let is_over = server.is_over();
        disk.free(&family(server.pid()));
        world.row.remarks.push(format!("PostgreSQL {}", if is_over { "ended" } else { "went on" }));
        if is_over {
            server.restart().await;
        }
        world.recover().await;
    }
    let row = world.end().await;
    drop(server);
    drop(disk);
    row
}

/// The store of the bus lies on it.
pub(crate) async fn bus(stage: &Stage, name: &str) -> Row {
    let folder = stage.folder();
    let disk = Disk::new(&folder.path().join(BUS), 64);
    let places = files(folder.path(), 2);
    // It promises its streams more than the small disk has; what counts is what is there.
    let binary = boundless(folder.path());
    let server = NatsServer::start(&binary, &folder.path().join(BUS), Sync::Always).await.expect("a bus");
    let mut world = World::on(stage, name, on_sqlite(2), (folder, places, server)).await;
    for _ in 0..stage.plan.rounds(1) {
        world.load(BETWEEN).await;
        let bus = [Pid::from_raw(i32::try_from(world.nats.pid()).expect("a pid")).expect("a pid")];
        starve(&mut world, &disk, &bus).await;
        disk.free(&bus);
        // nats-server 2.15 takes nothing more into a stream that it could not write once.
        world.nats.restart().await.expect("a bus");
        world.recover().await;
    }
    let row = world.end().await;
    drop(disk);
    row
}

/// A nats-server that does not look at the size of its disk.
fn boundless(folder: &Path) -> PathBuf {
    let (binary, script) = (find_binary().expect("a nats-server"), folder.join("nats-server"));
    let text = format!(
        "#!/bin/sh\nsed -i 's/jetstream {{/jetstream {{ max_file_store: 16GB,/' \"$2\"\nexec '{}' \"$@\"\n",
        binary.display()
    );
    fs::write(&script, text).expect("a script");
    fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("a script");
    script
}

/// The load goes on while the disk is full.
async fn starve(world: &mut World, disk: &Disk, processes: &[Pid]) {
    disk.fill(processes);
    let before = world.driver.done();
    sleep(FULL_FOR).await;
    let done = world.driver.done() - before;
    world.row.rounds += 1;
    world.row.remarks.push(format!("{}, {done} steps done while it was full", disk.kind()));
}
