//! Accounts move to another shard under load, and whoever moves them is killed on
//! the way: the same command goes on.

use crate::{
    servers::Process,
    stage::Stage,
    table::Row,
    world::{Store, World, postgres, sqlite},
};
use std::{process::Command, time::Duration};

/// Steps that are done between two faults.
const BETWEEN: usize = 60;
/// How long a move may take.
const MOVED_WITHIN: Duration = Duration::from_secs(30);
/// Where it is killed.
const POINTS: [&str; 5] = ["slot_claimed", "slot_left", "slot_arrived", "slot_paid", "slot_closed"];

/// The account's slot goes to the other shard.
pub(crate) async fn moves(stage: &Stage, name: &str, store: Store) -> Row {
    let setup = match store {
        Store::Sqlite => sqlite(2),
        Store::Postgres => postgres(2, 1),
    };
    let mut world = World::new(stage, name, setup).await;
    for round in 0..stage.plan.rounds_of(POINTS.len(), POINTS.len()) {
        world.load(BETWEEN).await;
        let account = format!("trader-{:03}", world.dice.below(24));
        let wallets = format!("SELECT COUNT(*) FROM wallet WHERE account_id = '{account}'");
        let is_first = world.places[0].number(&wallets).await.expect("the wallets") > 0;
        let to = u16::from(is_first);
        let point = POINTS[round % POINTS.len()];
        let killed = moved(&world, &account, to, Some(point)).await;
        if killed.is_ok() {
            world.row.verdict.problems.push(format!("{point} was not passed"));
        }
        if world.dice.percent(50) {
            world.ledgers[0].kill();
            world.ledgers[0].start();
        }
        let finished = moved(&world, &account, to, None).await;
        world.expect(finished);
        world.row.rounds += 1;
        world.recover().await;
    }
    world.end().await
}

/// Moves the account, or is killed at `point`.
async fn moved(world: &World, account: &str, to: u16, point: Option<&str>) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tragen"));
    command.args(["ledger", "move-slot", "--account", account, "--to", &to.to_string(), "--config"]);
    command.arg(world.ledgers[0].config());
    if let Some(point) = point {
        command.env("TRAGEN_FAILPOINT", format!("{point}=1"));
    }
    let mut mover = Process::start(&mut command, &world.folder().join("mover.log"));
    match mover.end(MOVED_WITHIN).await {
        Some(status) if status.success() => Ok(()),
        status => Err(format!("moving {account} ended with {status:?}: {}", mover.said())),
    }
}
