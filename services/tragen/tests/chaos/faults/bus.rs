//! The bus is killed, and its store is wiped or set back to an earlier time.

use crate::{
    stage::Stage,
    table::Row,
    world::{Setup, Store, World, postgres, sqlite},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{fs, io, path::Path, time::Duration};
use tokio::time::sleep;

/// Steps that are done between two faults.
const BETWEEN: usize = 150;

pub(super) const fn setup(store: Store) -> Setup {
    match store {
        Store::Sqlite => sqlite(2),
        Store::Postgres => postgres(2, 1),
    }
}

/// Killed and started again.
pub(crate) async fn killed(stage: &Stage, name: &str, store: Store) -> Row {
    let mut world = World::new(stage, name, setup(store)).await;
    for _ in 0..stage.plan.rounds(1) {
        world.load(BETWEEN).await;
        world.nats.kill();
        away(&mut world).await;
        world.nats.restart().await.expect("a bus");
        world.recover().await;
        world.row.rounds += 1;
    }
    world.end().await
}

/// Killed, and started again without anything.
pub(crate) async fn wiped(stage: &Stage, name: &str, store: Store) -> Row {
    let mut world = World::new(stage, name, setup(store)).await;
    for _ in 0..stage.plan.rounds(1) {
        world.load(BETWEEN).await;
        world.nats.kill();
        away(&mut world).await;
        fs::remove_dir_all(world.folder().join("nats/jetstream")).expect("the store");
        lose(&mut world).await;
    }
    world.end().await
}

/// Killed, and started again with what it had a while ago, as after a power cut.
pub(crate) async fn set_back(stage: &Stage, name: &str, store: Store) -> Row {
    let mut world = World::new(stage, name, setup(store)).await;
    for _ in 0..stage.plan.rounds(1) {
        world.load(BETWEEN).await;
        let (live, kept) = (world.folder().join("nats/jetstream"), world.folder().join("kept"));
        // A store that changes while it is copied is no store of any time.
        let nats = Pid::from_raw(i32::try_from(world.nats.pid()).expect("a pid")).expect("a pid");
        kill_process(nats, Signal::STOP).expect("a running bus");
        copy(&live, &kept).expect("a copy of the store");
        kill_process(nats, Signal::CONT).expect("a running bus");
        world.load(BETWEEN).await;
        world.nats.kill();
        fs::remove_dir_all(&live).expect("the store");
        fs::rename(&kept, &live).expect("the copy");
        lose(&mut world).await;
    }
    world.end().await
}

/// The bus stays away for a moment.
pub(super) async fn away(world: &mut World) {
    let away = world.dice.between(0, 1_000);
    sleep(Duration::from_millis(away.unsigned_abs())).await;
}

/// The bus comes back without what it had.
pub(super) async fn lose(world: &mut World) {
    world.nats.restart().await.expect("a bus");
    world.driver.bus_has_lost();
    world.recover().await;
    world.row.rounds += 1;
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
