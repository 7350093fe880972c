//! The ledger's log goes to a full disk, or into a pipe that nobody reads: trading
//! and booking go on, and it ends in good order when it is asked to.

use crate::{
    ledger::end_of,
    stage::Stage,
    table::Row,
    world::{World, sqlite},
};
use rustix::process::Signal;
use std::{
    fs::File,
    io::{self, PipeReader, Write as _, pipe},
    process::Stdio,
    time::Duration,
};

/// Steps that are done before.
const BETWEEN: usize = 60;
/// Steps that are done while nothing can be logged.
const WITHOUT: usize = 200;
/// How long it may take to end: what it does with its last lines is limited.
const ENDED_WITHIN: Duration = Duration::from_secs(20);
/// More than a pipe holds.
const PIPE_FULL: usize = 1 << 16;

/// First the one, then the other.
pub(crate) async fn full(stage: &Stage, name: &str) -> Row {
    let mut world = World::new(stage, name, sqlite(2)).await;
    for _ in 0..stage.plan.rounds(1) {
        world.load(BETWEEN).await;
        let (full_disk, full_pipe) = (File::options().write(true).open("/dev/full").expect("a full disk"), full_pipe());
        let (reader, writer) = full_pipe.expect("a pipe");
        without_log(&mut world, "a full disk", full_disk.into()).await;
        without_log(&mut world, "a full pipe", writer).await;
        drop(reader);
    }
    world.ledgers[0].start();
    world.recover().await;
    world.end().await
}

/// The ledger begins, books and ends.
async fn without_log(world: &mut World, to: &str, log: Stdio) {
    world.ledgers[0].kill();
    world.ledgers[0].start_logging_to(log);
    world.recover().await;
    let progress = world.driver.progress(WITHOUT, ENDED_WITHIN).await;
    world.expect(progress.map_err(|problem| format!("logging to {to}: {problem}")));
    world.ledgers[0].process().signal(Signal::TERM);
    let ended = world.ledgers[0].process().end(ENDED_WITHIN).await;
    if !ended.is_some_and(|status| status.success()) {
        let said = end_of(&world.ledgers[0].said());
        world.row.verdict.problems.push(format!("logging to {to}, asked to end it ended with {ended:?}:\n{said}"));
    }
    world.row.rounds += 1;
}

/// A pipe that is full, and its reader, which does not read.
fn full_pipe() -> io::Result<(PipeReader, Stdio)> {
    let (reader, mut writer) = pipe()?;
    writer.write_all(&vec![b'.'; PIPE_FULL])?;
    Ok((reader, writer.into()))
}
