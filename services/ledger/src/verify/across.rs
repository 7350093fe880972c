//! What the shards of a ledger say of each other: money and slots that went from
//! one to another, rows that were copied, markets that all have decided.
//!
//! Each shard was seen at a moment of its own, and goes on meanwhile. What does
//! not fit is therefore looked at once more, as it is now, before it is called wrong.

use super::{
    Found, InFlight, bad,
    crossing::{MOVED_WALLET, Mark, OnItsWay},
    markets,
    pass::{Statement, Tour},
    read::Snapshot,
    record::{Cash, Execution, MovedPosition, MovedWallet},
    replay::{moved_marks, sent_mark},
    slots,
};
use crate::{
    config::ShardConfig,
    intake::arrival_id,
    store::{
        rows::{CashRow, ExecutionRow, SlotRow},
        session::{Arg, Sql},
    },
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry},
    thread,
    time::Duration,
};
use tragen_contracts::v1::CashKind;
use uuid::Uuid;

/// How often slots are looked at once more, and after which pause: a slot that moves is in two places for moments.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);
/// Rows compared with another shard's at once.
const COPIES_AT_ONCE: usize = 500;
/// What is on its way is listed up to here.
const LISTED_MAX: usize = 1_000;

const SLOT_ROWS: Sql = Sql::same("SELECT * FROM slot ORDER BY slot");
const EXECUTIONS: Sql = Sql::new(
    "SELECT * FROM execution WHERE posting_sequence IS NOT NULL AND execution_id IN (SELECT value FROM json_each($1))",
    "SELECT * FROM execution WHERE posting_sequence IS NOT NULL AND execution_id = ANY($1)",
);
const MOVEMENTS: Sql = Sql::new(
    "SELECT * FROM cash_movement WHERE posting_sequence IS NOT NULL
        AND trade_id IN (SELECT unhex(value) FROM json_each($1))",
    "SELECT * FROM cash_movement WHERE posting_sequence IS NOT NULL AND trade_id = ANY($1)",
);

/// A row that is wrong, and the shard it is in.
pub(super) type FoundIn = (u16, Found);

/// Compares what the shards say of each other; returns what is on its way.
pub(super) fn check(
    tour: &mut Tour<'_>,
    places: &[(u16, ShardConfig)],
    statements: &mut [(u16, Statement)],
) -> Result<Vec<InFlight>, FoundIn> {
    check_receipts(tour, places, statements)?;
    let shards = statements.iter().map(|(_, statement)| statement.shard.shards_at_creation).max().unwrap_or(0);
    if i64::try_from(statements.len()).unwrap_or(i64::MAX) >= shards {
        if let Some((name, actual, expected)) = tour.crossing.first_unbalanced() {
            let problem = format!("{name} has {actual} micros, {expected} are on their way");
            return Err((0, bad("transfer", name, problem)));
        }
        check_slots(tour, places, statements)?;
        check_copies(tour, places, statements)?;
    }
    let settlements: Vec<_> = statements.iter().map(|(shard, own)| (*shard, own.settlements.clone())).collect();
    if let Some(found) = markets::first_disagreement(&settlements) {
        return Err(found);
    }
    in_flight(tour, places).map_err(|found| (0, found))
}

/// What only one side tells must be told by the other one too by now.
fn check_receipts(
    tour: &Tour<'_>,
    places: &[(u16, ShardConfig)],
    statements: &[(u16, Statement)],
) -> Result<(), FoundIn> {
    let mut since: HashMap<u16, HashSet<Mark>> = HashMap::new();
    for (mark, open) in tour.crossing.unexplained() {
        let side = &open.side;
        // Money was given, a wallet has arrived, perhaps after that shard was looked at.
        let other = if side.table == MOVED_WALLET { side.to } else { side.from };
        let Some(((_, statement), (_, place))) = statements.iter().zip(places).find(|((shard, _), _)| *shard == other)
        else {
            continue;
        };
        let told = match since.entry(other) {
            Entry::Occupied(told) => told.into_mut(),
            Entry::Vacant(none) => {
                let after = statement.shard.posting_sequence;
                none.insert(marks_since(tour, other, (place, after)).map_err(|found| (other, found))?)
            }
        };
        if !told.contains(&mark) {
            let problem = format!("shard {other} does not know of it");
            return Err((side.shard, bad(side.table, &side.key, problem)));
        }
    }
    check_arrivals(tour, places, statements)
}

/// A wallet that has arrived and not left must be about to leave.
fn check_arrivals(
    tour: &Tour<'_>,
    places: &[(u16, ShardConfig)],
    statements: &[(u16, Statement)],
) -> Result<(), FoundIn> {
    for (mark, open) in tour.crossing.open() {
        let side = &open.side;
        let Some(((_, statement), (_, place))) =
            statements.iter().zip(places).find(|((shard, _), _)| *shard == side.from)
        else {
            continue;
        };
        if side.table != MOVED_WALLET || open.given > 0 || is_leaving(&statement.slots, side.to) {
            continue;
        }
        let after = statement.shard.posting_sequence;
        let told = marks_since(tour, side.from, (place, after)).map_err(|found| (side.from, found))?;
        if !told.contains(mark) {
            let problem = format!("it has not left shard {}, and is not about to", side.from);
            return Err((side.shard, bad(side.table, &side.key, problem)));
        }
    }
    Ok(())
}

fn is_leaving(slots: &[SlotRow], to: u16) -> bool {
    slots.iter().any(|slot| slot.state == SlotRow::LEAVING && slot.peer_shard == i64::from(to))
}

/// What the shard `number` has sent, taken in and let go since its posting `after`.
fn marks_since(tour: &Tour<'_>, number: u16, (place, after): (&ShardConfig, i64)) -> Result<HashSet<Mark>, Found> {
    let mut snapshot = Snapshot::open(&tour.handle, number, &place.url)?;
    let which = format!("WHERE posting_sequence > {after} ORDER BY posting_sequence");
    let mut wallets = snapshot.scan::<MovedWallet<'_>>(&which)?;
    let mut positions = snapshot.scan::<MovedPosition<'_>>(&which)?;
    let mut marks: HashSet<Mark> = moved_marks(number, &mut wallets, &mut positions)?.into_iter().collect();
    let mut cash = snapshot.scan::<Cash<'_>>(&which)?;
    while let Some(row) = cash.next()? {
        if row.kind == i32::from(CashKind::Sent) && row.denial_code == 0 {
            marks.insert(sent_mark(&row));
        }
    }
    Ok(marks)
}

/// Every slot must be kept by one shard, or be on its way.
fn check_slots(tour: &Tour<'_>, places: &[(u16, ShardConfig)], statements: &[(u16, Statement)]) -> Result<(), FoundIn> {
    let mut rows: Vec<(u16, Vec<SlotRow>)> =
        statements.iter().map(|(shard, statement)| (*shard, statement.slots.clone())).collect();
    for look in 1..=LOOKS {
        let Some(found) = slots::first_conflict(&rows) else { return Ok(()) };
        if look == LOOKS {
            return Err(found);
        }
        thread::sleep(PAUSE);
        for ((shard, rows), (_, place)) in rows.iter_mut().zip(places) {
            let now = Snapshot::open(&tour.handle, *shard, &place.url).and_then(|mut now| now.rows(SLOT_ROWS, &[]));
            *rows = now.map_err(|found| (*shard, found))?;
        }
    }
    Ok(())
}

/// Rows that came with a slot must be what they are where they were posted. They never change, so they
/// are compared again only when slots have moved since.
fn check_copies(
    tour: &mut Tour<'_>,
    places: &[(u16, ShardConfig)],
    statements: &mut [(u16, Statement)],
) -> Result<(), FoundIn> {
    let mut all = Vec::new();
    #[expect(clippy::needless_range_loop, reason = "the row is changed at the end of its round")]
    for place in 0..statements.len() {
        let (shard, own) = &statements[place];
        let slots = digest(&own.slots);
        let has_guests = own.slots.iter().any(|slot| slot.came_from >= 0 || slot.state != SlotRow::HERE);
        if has_guests && own.copied_with != slots {
            if all.is_empty() {
                all = open_all(tour, places)?;
            }
            check_copies_of(place, &mut all).map_err(|found| (*shard, found))?;
        }
        statements[place].1.copied_with = slots;
    }
    Ok(())
}

fn open_all(tour: &Tour<'_>, places: &[(u16, ShardConfig)]) -> Result<Vec<Snapshot>, FoundIn> {
    let open = places
        .iter()
        .map(|(shard, place)| Snapshot::open(&tour.handle, *shard, &place.url).map_err(|found| (*shard, found)));
    open.collect()
}

fn check_copies_of(place: usize, all: &mut [Snapshot]) -> Result<(), Found> {
    let mut rows = all[place].scan::<Execution<'_>>("WHERE posting_sequence IS NULL")?;
    let mut copies: Vec<ExecutionRow> = Vec::new();
    loop {
        let row = rows.next()?.map(|row| execution_of(&row));
        let is_end = row.is_none();
        copies.extend(row);
        if copies.len() >= COPIES_AT_ONCE || is_end {
            compare_executions(place, all, &std::mem::take(&mut copies))?;
        }
        if is_end {
            break;
        }
    }
    let mut rows = all[place].scan::<Cash<'_>>("WHERE posting_sequence IS NULL")?;
    let mut ids: Vec<Uuid> = Vec::new();
    loop {
        let row = rows.next()?.map(|row| row.trade_id);
        let is_end = row.is_none();
        ids.extend(row);
        if ids.len() >= COPIES_AT_ONCE || is_end {
            compare_movements(place, all, &std::mem::take(&mut ids))?;
        }
        if is_end {
            return Ok(());
        }
    }
}

fn compare_executions(place: usize, all: &mut [Snapshot], copies: &[ExecutionRow]) -> Result<(), Found> {
    let ids: Vec<String> = copies.iter().map(|row| row.execution_id.clone()).collect();
    let mut posted = Vec::new();
    for (_, other) in all.iter_mut().enumerate().filter(|(other, _)| *other != place && !ids.is_empty()) {
        posted.extend(other.rows::<ExecutionRow>(EXECUTIONS, &[Arg::Texts(&ids)])?);
    }
    for copy in copies {
        let original = posted.iter().find(|row| row.execution_id == copy.execution_id);
        let original = original.map(|row| ExecutionRow {
            posting_sequence: None,
            seal: seal_of_copy(&copy.seal, &row.seal),
            ..row.clone()
        });
        if original.as_ref() != Some(copy) {
            return Err(bad("execution", &copy.execution_id, "no shard has posted it as it is"));
        }
    }
    Ok(())
}

fn compare_movements(place: usize, all: &mut [Snapshot], ids: &[Uuid]) -> Result<(), Found> {
    if ids.is_empty() {
        return Ok(());
    }
    const COPIED: Sql = Sql::new(
        "SELECT * FROM cash_movement WHERE trade_id IN (SELECT unhex(value) FROM json_each($1))",
        "SELECT * FROM cash_movement WHERE trade_id = ANY($1)",
    );
    let copies: Vec<CashRow> = all[place].rows(COPIED, &[Arg::Uuids(ids)])?;
    let mut posted = Vec::new();
    for (_, other) in all.iter_mut().enumerate().filter(|(other, _)| *other != place) {
        posted.extend(other.rows::<CashRow>(MOVEMENTS, &[Arg::Uuids(ids)])?);
    }
    for copy in copies {
        let original = posted.iter().find(|row| row.trade_id == copy.trade_id);
        // It was told where it was posted, so it has no fact where it came to.
        let original = original.map(|row| CashRow {
            posting_sequence: None,
            fact_sequence: 0,
            seal: seal_of_copy(&copy.seal, &row.seal),
            ..row.clone()
        });
        if original.as_ref() != Some(&copy) {
            return Err(bad("cash_movement", copy.trade_id, "no shard has posted it as it is"));
        }
    }
    Ok(())
}

/// A row goes with its seal, but for a version that knows none. That it was taken away is found by the sum of all.
fn seal_of_copy(copy: &[u8], original: &[u8]) -> Vec<u8> {
    if copy.is_empty() { Vec::new() } else { original.to_vec() }
}

fn execution_of(row: &Execution<'_>) -> ExecutionRow {
    ExecutionRow {
        execution_id: row.execution_id.to_owned(),
        posting_sequence: row.posting_sequence,
        trade_id: row.trade_id,
        account_id: row.account_id.to_owned(),
        instrument_id: row.instrument_id.to_owned(),
        venue: row.venue.to_owned(),
        side: row.side,
        price: row.price,
        quantity: row.quantity,
        fee: row.fee,
        cash_change: row.cash_change,
        style: row.style,
        currency: row.currency.to_owned(),
        initial_margin_ppm: row.initial_margin_ppm,
        reverses: row.reverses.to_owned(),
        executed_at: row.executed_at,
        posted_at: row.posted_at,
        seal: row.seal.to_vec(),
    }
}

fn digest(slots: &[SlotRow]) -> Vec<u8> {
    let mut digest = Sha256::new();
    for row in slots {
        for number in [row.slot, row.state, row.peer_shard, row.came_from, row.changed_at] {
            digest.update(number.to_be_bytes());
        }
    }
    digest.finalize().to_vec()
}

/// What only one side tells, even as it is now.
fn in_flight(tour: &Tour<'_>, places: &[(u16, ShardConfig)]) -> Result<Vec<InFlight>, Found> {
    let open = tour.crossing.open();
    let is_first = |open: &&OnItsWay| (open.given > 0) == (open.side.table != MOVED_WALLET);
    let given: Vec<&OnItsWay> = open.iter().map(|(_, open)| *open).filter(is_first).collect();
    let arrival = |open: &&OnItsWay| Uuid::try_parse(&open.side.key).ok().map(arrival_id);
    let ids: Vec<Uuid> = given.iter().take(LISTED_MAX).filter_map(arrival).collect();
    let mut arrived = BTreeSet::new();
    if !ids.is_empty() {
        for (number, place) in places {
            let mut now = Snapshot::open(&tour.handle, *number, &place.url)?;
            let rows: Vec<CashRow> = now.rows(MOVEMENTS, &[Arg::Uuids(&ids)])?;
            arrived.extend(rows.into_iter().map(|row| row.trade_id));
        }
    }
    let listed = given.into_iter().filter(|open| arrival(open).is_none_or(|id| !arrived.contains(&id)));
    let listed = listed.take(LISTED_MAX).map(|open| InFlight {
        shard: open.side.shard,
        table: open.side.table,
        key: open.side.key.clone(),
        between: open.side.between.clone(),
        amount_micros: open.side.amount,
    });
    Ok(listed.collect())
}
