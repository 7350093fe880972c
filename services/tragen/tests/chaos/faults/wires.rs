//! One process of two cannot reach a server any more: its connections are closed,
//! or nothing arrives and nobody tells it. The other process takes its shard.

use super::kills::take_over;
use crate::{
    proxy::Traffic,
    stage::Stage,
    table::Row,
    world::{Setup, World, postgres},
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Steps that are done between two faults.
const BETWEEN: usize = 60;

/// A wire between a ledger and a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Store,
    Bus,
}

impl Wire {
    /// What is at its other end.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Store => "database",
            Self::Bus => "bus",
        }
    }
}

/// The first of two processes is parted from a server for a while.
pub(crate) async fn parted(stage: &Stage, name: &str, wire: Wire, traffic: Traffic) -> Row {
    let mut world = World::new(stage, name, Setup { has_wires: true, ..postgres(2, 2) }).await;
    if stage.plan.is_long() {
        world.watch_others().await;
    }
    for round in 0..stage.plan.rounds(1) {
        if round > 0 {
            // Both processes serve again.
            sleep(Duration::from_secs(2)).await;
        }
        world.load(BETWEEN).await;
        let before = world.epochs();
        let lost = Instant::now();
        set(&world, wire, traffic);
        let taken = take_over(&mut world, &before, lost).await;
        if let Some(shard) = taken {
            world.healed(lost, BTreeSet::from([shard])).await;
            // What the parted process still held must not wait for its return.
            let rest = world.driver.progress(BETWEEN, Duration::from_secs(10)).await;
            world.expect(rest);
        }
        let apart = world.dice.between(200, 1_500);
        sleep(Duration::from_millis(apart.unsigned_abs())).await;
        set(&world, wire, Traffic::Flows);
        world.recover().await;
        world.row.rounds += 1;
    }
    world.end().await
}

fn set(world: &World, wire: Wire, traffic: Traffic) {
    let ledger = &world.ledgers[0];
    let proxy = match wire {
        Wire::Store => &ledger.to_store,
        Wire::Bus => &ledger.to_nats,
    };
    proxy.as_ref().expect("a wire of its own").set(traffic);
}
