//! The kinds of faults, one scenario each.

mod bus;
mod damage;
mod database;
mod disks;
mod kills;
mod logs;
mod moves;
mod owners;
mod pauses;
mod repeats;
mod wires;

use crate::{
    audit::Verdict,
    proxy::Traffic,
    say,
    stage::{Plan, Stage},
    table::Row,
    world::Store,
};
use damage::Damage;
use kills::{POINTS, Point};
use std::sync::Arc;
use wires::Wire;

/// A scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The ledger is killed at some places.
    KilledAt(Store, &'static [Point]),
    /// The ledger is killed at any moment.
    Killed(Store),
    /// The ledger is asked to end.
    Ended(Store),
    /// Reports come several times and in any order.
    Repeated(Store),
    /// Whoever moves accounts to another shard is killed.
    MoverKilled(Store),
    /// The bus is killed.
    BusKilled(Store),
    /// The bus comes back empty.
    BusWiped(Store),
    /// The bus comes back with what it had earlier.
    BusSetBack(Store),
    /// The bus comes back with a damaged store.
    BusDamaged(Store, Damage),
    /// One of two owners is killed.
    OwnerKilled,
    /// One of two owners stands still.
    OwnerFrozen,
    /// One of two owners stands still in the middle of a batch.
    OwnerFrozenInBatch,
    /// One of two owners cannot reach a server.
    Parted(Wire, Traffic),
    /// The database falls.
    DatabaseFelled,
    /// The database has no connection left.
    DatabaseCrowded,
    /// The database is locked.
    DatabaseLocked,
    /// The database is slow.
    DatabaseSlow,
    /// The disk of SQLite is full.
    FullSqlite,
    /// The disk of PostgreSQL is full.
    FullPostgres,
    /// The disk of the bus is full.
    FullBus,
    /// Nothing can be logged.
    FullLog,
}

/// The scenarios of a run, in their order.
pub(crate) fn scenarios(plan: &Plan) -> Vec<Fault> {
    let stores = if plan.is_long() { &[Store::Sqlite, Store::Postgres][..] } else { &[Store::Sqlite] };
    let mut faults = Vec::new();
    for store in stores.iter().copied() {
        // A long run looks at the books after every kind of kill.
        let at_once = if plan.is_long() { 1 } else { POINTS.len() };
        faults.extend(POINTS.chunks(at_once).map(|points| Fault::KilledAt(store, points)));
        faults.extend([Fault::Killed(store), Fault::Ended(store), Fault::Repeated(store)]);
        faults.push(Fault::MoverKilled(store));
        faults.extend([Fault::BusKilled(store), Fault::BusWiped(store), Fault::BusSetBack(store)]);
        let damages = [Damage::Truncated, Damage::Flipped, Damage::StreamGone];
        faults.extend(damages.map(|damage| Fault::BusDamaged(store, damage)));
    }
    faults.extend([Fault::OwnerKilled, Fault::OwnerFrozen, Fault::OwnerFrozenInBatch]);
    for wire in [Wire::Store, Wire::Bus] {
        faults.extend([Traffic::Cut, Traffic::Silent].map(|traffic| Fault::Parted(wire, traffic)));
        // One way only: the long run has the time for it.
        let one_way = [Traffic::Deaf, Traffic::Mute].map(|traffic| Fault::Parted(wire, traffic));
        faults.extend(one_way.into_iter().filter(|_| plan.is_long()));
    }
    faults.extend([Fault::DatabaseFelled, Fault::DatabaseCrowded, Fault::DatabaseLocked, Fault::DatabaseSlow]);
    faults.extend([Fault::FullSqlite, Fault::FullPostgres, Fault::FullBus, Fault::FullLog]);
    faults.retain(|fault| plan.wants(&fault.name()));
    faults
}

impl Fault {
    /// Whether time is part of what it proves, in the short run too: it is played alone, and first.
    pub(crate) const fn is_timed(self) -> bool {
        matches!(self, Self::OwnerKilled)
    }

    /// Its name in the table.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::KilledAt(store, [point]) => format!("kill at {}, {}", point.name, store.name()),
            Self::KilledAt(store, points) => format!("kill at {} places, {}", points.len(), store.name()),
            Self::Killed(store) => format!("kill at random, {}", store.name()),
            Self::Ended(store) => format!("end in good order, {}", store.name()),
            Self::Repeated(store) => format!("repeats in any order, {}", store.name()),
            Self::MoverKilled(store) => format!("mover of accounts killed, {}", store.name()),
            Self::BusKilled(store) => format!("bus killed, {}", store.name()),
            Self::BusWiped(store) => format!("bus wiped, {}", store.name()),
            Self::BusSetBack(store) => format!("bus set back, {}", store.name()),
            Self::BusDamaged(store, damage) => format!("bus damaged, {}, {}", damage.name(), store.name()),
            Self::OwnerKilled => "owner killed".to_owned(),
            Self::OwnerFrozen => "owner frozen".to_owned(),
            Self::OwnerFrozenInBatch => "owner frozen in a batch".to_owned(),
            Self::Parted(wire, traffic) => format!("owner without {}, {traffic:?}", wire.name()),
            Self::DatabaseFelled => "database felled".to_owned(),
            Self::DatabaseCrowded => "database crowded".to_owned(),
            Self::DatabaseLocked => "database locked".to_owned(),
            Self::DatabaseSlow => "database slow".to_owned(),
            Self::FullSqlite => "disk full, sqlite".to_owned(),
            Self::FullPostgres => "disk full, postgres".to_owned(),
            Self::FullBus => "disk full, bus".to_owned(),
            Self::FullLog => "disk full, log".to_owned(),
        }
    }

    /// Plays it.
    pub(crate) async fn play(self, stage: &Stage) -> Row {
        let name = self.name();
        match self {
            Self::KilledAt(store, points) => kills::at(stage, &name, store, points).await,
            Self::Killed(store) => kills::at_random(stage, &name, store).await,
            Self::Ended(store) => kills::in_order(stage, &name, store).await,
            Self::Repeated(store) => repeats::repeats(stage, &name, store).await,
            Self::MoverKilled(store) => moves::moves(stage, &name, store).await,
            Self::BusKilled(store) => bus::killed(stage, &name, store).await,
            Self::BusWiped(store) => bus::wiped(stage, &name, store).await,
            Self::BusSetBack(store) => bus::set_back(stage, &name, store).await,
            Self::BusDamaged(store, damage) => damage::damaged(stage, &name, store, damage).await,
            Self::OwnerKilled => owners::killed(stage, &name).await,
            Self::OwnerFrozen => pauses::at_random(stage, &name).await,
            Self::OwnerFrozenInBatch => pauses::in_batch(stage, &name).await,
            Self::Parted(wire, traffic) => wires::parted(stage, &name, wire, traffic).await,
            Self::DatabaseFelled => database::felled(stage, &name).await,
            Self::DatabaseCrowded => database::crowded(stage, &name).await,
            Self::DatabaseLocked => database::locked(stage, &name).await,
            Self::DatabaseSlow => database::slow(stage, &name).await,
            Self::FullSqlite => disks::sqlite(stage, &name).await,
            Self::FullPostgres => disks::postgres(stage, &name).await,
            Self::FullBus => disks::bus(stage, &name).await,
            Self::FullLog => logs::full(stage, &name).await,
        }
    }
}

/// Plays a scenario; what cannot be played is a problem of its own, and no reason to end.
pub(crate) async fn play(stage: Arc<Stage>, fault: Fault) -> Row {
    let played = tokio::spawn(async move { fault.play(&stage).await }).await;
    let row = played.unwrap_or_else(|panic| {
        let verdict = Verdict { problems: vec![format!("it cannot be played: {panic}")], ..Verdict::default() };
        Row { name: fault.name(), verdict, ..Row::default() }
    });
    say(&format!("{}: {} s, {} problems\n", row.name, row.took.as_secs(), row.verdict.problems.len()));
    row
}
