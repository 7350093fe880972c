//! The store of the bus is damaged while the bus is down: a file of messages is cut
//! short, one bit of it is another one, or a stream is gone. What the bus does not
//! have any more the ledger notices and tells again.

use super::bus::{away, lose, setup};
use crate::{
    servers::{LOOK_EVERY, PATIENCE},
    stage::Stage,
    table::Row,
    world::{BUS, Store, World},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
};
use tokio::time::sleep;

/// Steps that are done between two faults.
const BETWEEN: usize = 150;

/// What happens to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// A file ends early.
    Truncated,
    /// One bit of a file is another one.
    Flipped,
    /// A stream is gone, with its consumers.
    StreamGone,
}

impl Damage {
    /// Its name in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Flipped => "one bit flipped",
            Self::StreamGone => "stream gone",
        }
    }
}

/// How the bus goes down: one that is killed reads its files when it starts; one that was asked to end has
/// written down what is in them, and believes that.
const ENDINGS: [Signal; 2] = [Signal::KILL, Signal::TERM];
/// What the ledger writes, and what it reads.
const STREAMS: [&str; 2] = ["LEDGER", "EXECUTIONS"];

/// Stopped, damaged, and started again: every stream after every way to stop.
pub(crate) async fn damaged(stage: &Stage, name: &str, store: Store, damage: Damage) -> Row {
    let mut world = World::new(stage, name, setup(store)).await;
    let ways = ENDINGS.len() * STREAMS.len();
    for round in 0..stage.plan.rounds_of(ways, ways) {
        world.load(BETWEEN).await;
        let ending = ENDINGS[round % ENDINGS.len()];
        stop(&mut world, ending).await;
        let stream = STREAMS[round / ENDINGS.len() % STREAMS.len()];
        let folder = world.folder().join(BUS).join("jetstream/$G/streams").join(stream);
        let said = match damage {
            Damage::Truncated | Damage::Flipped => spoil(&mut world, &folder, damage).expect("a file of messages"),
            Damage::StreamGone => {
                fs::remove_dir_all(folder).expect("the stream");
                "gone".to_owned()
            }
        };
        lose(&mut world).await;
        let recovery = world.row.recoveries.last().copied().unwrap_or_default();
        world.row.remarks.push(format!("{stream} after {ending:?}, {said}: {} ms", recovery.as_millis()));
    }
    world.end().await
}

/// The bus goes down.
async fn stop(world: &mut World, ending: Signal) {
    let nats = Pid::from_raw(i32::try_from(world.nats.pid()).expect("a pid")).expect("a pid");
    kill_process(nats, ending).expect("a running bus");
    let started = Instant::now();
    // It has ended, and is kept for us to ask how: then it has no command line any more.
    let command = format!("/proc/{}/cmdline", world.nats.pid());
    while fs::read(&command).is_ok_and(|line| !line.is_empty()) {
        assert!(started.elapsed() < PATIENCE, "the bus does not end");
        sleep(LOOK_EVERY).await;
    }
    away(world).await;
}

/// Changes one file of messages, and says how.
fn spoil(world: &mut World, stream: &Path, damage: Damage) -> io::Result<String> {
    let blocks = blocks(stream)?;
    let block = &blocks[world.dice.below(blocks.len())];
    let mut bytes = fs::read(block)?;
    let (place, of) = (world.dice.below(bytes.len()), bytes.len());
    if damage == Damage::Truncated {
        bytes.truncate(place);
    } else {
        bytes[place] ^= 1 << world.dice.below(8);
    }
    fs::write(block, bytes)?;
    let file = block.file_name().unwrap_or_default().display();
    Ok(format!("byte {place} of {of} in {file}, one of {}", blocks.len()))
}

/// The files of messages that have something in them, in their order.
fn blocks(stream: &Path) -> io::Result<Vec<PathBuf>> {
    let mut blocks = Vec::new();
    for entry in fs::read_dir(stream.join("msgs"))? {
        let entry = entry?;
        let is_block = entry.path().extension().is_some_and(|ending| ending == "blk");
        if is_block && entry.metadata()?.len() > 0 {
            blocks.push(entry.path());
        }
    }
    blocks.sort();
    Ok(blocks)
}
