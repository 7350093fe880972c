//! Slots: every account lies where its slot is kept, and a slot is kept by
//! exactly one shard or is on its way from one to another.

use super::{Found, bad, books::Books};
use crate::{
    slot::{SLOTS, first_shard, slot_of},
    store::rows::{ShardRow, SlotRow},
};
use std::collections::{HashMap, HashSet};

/// The slots that a shard keeps: a copy of what happened elsewhere, or before, is not compared.
#[derive(Debug)]
pub(super) struct Kept(Option<HashSet<u16>>);

impl Kept {
    /// By the shard's rows.
    pub(super) fn new(rows: &[SlotRow]) -> Self {
        let kept = rows.iter().filter(|row| row.state != SlotRow::GONE);
        let kept: HashSet<u16> = kept.filter_map(|row| u16::try_from(row.slot).ok()).collect();
        Self((kept.len() < usize::from(SLOTS)).then_some(kept))
    }

    /// Whether the account is kept here.
    pub(super) fn has(&self, account_id: &str) -> bool {
        self.0.as_ref().is_none_or(|kept| kept.contains(&slot_of(account_id)))
    }
}

/// Whether the slots of one shard can be as they are, and its wallets are in them.
pub(super) fn check(number: u16, shard: &ShardRow, rows: &[SlotRow], books: &Books) -> Result<(), Found> {
    let own = i64::from(number);
    let shards = u16::try_from(shard.shards_at_creation).unwrap_or_default();
    let begins = |slot: i64| u16::try_from(slot).is_ok_and(|slot| first_shard(slot, shards) == number);
    for row in rows {
        let wrong = |problem: &str| Err(bad("slot", row.slot, problem));
        if !(0..i64::from(SLOTS)).contains(&row.slot) {
            return wrong("there is no such slot");
        }
        if row.came_from == own || row.came_from < -1 || row.came_from == -1 && !begins(row.slot) {
            return wrong("it did not begin in this shard and came from none");
        }
        let has_peer = row.peer_shard >= 0 && row.peer_shard != own;
        let is_known = match row.state {
            SlotRow::HERE => row.peer_shard == -1,
            SlotRow::LEAVING | SlotRow::GONE => has_peer,
            _ => false,
        };
        if !is_known {
            return wrong("its state and peer do not go together");
        }
        let has_changed = row.state != SlotRow::HERE || row.came_from >= 0;
        if !has_changed && row.changed_at != 0 {
            return wrong("it has never changed, but says when");
        }
    }
    let known: HashSet<i64> = rows.iter().map(|row| row.slot).collect();
    if let Some(slot) = (0..i64::from(SLOTS)).find(|slot| begins(*slot) && !known.contains(slot)) {
        return Err(bad("slot", slot, "the row is missing"));
    }
    let kept = Kept::new(rows);
    let accounts = books.wallets.keys().map(|(account, _)| books.accounts.text(*account));
    match accounts.filter(|account| !kept.has(account)).min() {
        Some(account) => {
            let slot = slot_of(account);
            Err(bad("wallet", account, format!("its slot {slot} is not kept by shard {number}")))
        }
        None => Ok(()),
    }
}

/// The rows of each slot, with the shard that says so.
fn by_slot(shards: &[(u16, Vec<SlotRow>)]) -> HashMap<i64, Vec<(u16, &SlotRow)>> {
    let mut rows: HashMap<i64, Vec<(u16, &SlotRow)>> = HashMap::new();
    for (shard, own) in shards {
        for row in own {
            rows.entry(row.slot).or_default().push((*shard, row));
        }
    }
    rows
}

/// A slot that is kept by no shard, by several, or not by the one it went to: the shard whose row says
/// so, and the problem. While it moves, the shard it leaves and the one it has arrived in both have it.
pub(super) fn first_conflict(shards: &[(u16, Vec<SlotRow>)]) -> Option<(u16, Found)> {
    let rows = by_slot(shards);
    for slot in 0..i64::from(SLOTS) {
        let rows = rows.get(&slot).map_or(&[][..], Vec::as_slice);
        let mut keepers: Vec<_> = rows.iter().filter(|(_, row)| row.state != SlotRow::GONE).collect();
        keepers.sort_by_key(|(_, row)| row.state);
        let problem = match keepers.as_slice() {
            [(keeper, kept)] => conflict(rows, *keeper, kept),
            [(keeper, kept), (from, left)] if has_arrived((*keeper, kept), (*from, left)) => {
                conflict(rows, *keeper, kept)
            }
            [] => Some((rows.first().map_or(0, |(shard, _)| *shard), "no shard keeps it".to_owned())),
            [(first, _), (second, _), ..] => Some((*second, format!("shard {first} keeps it too"))),
        };
        if let Some((shard, problem)) = problem {
            return Some((shard, bad("slot", slot, problem)));
        }
    }
    None
}

/// Whether `kept` is the arrival of the departure `left`.
fn has_arrived((keeper, kept): (u16, &SlotRow), (from, left): (u16, &SlotRow)) -> bool {
    left.state == SlotRow::LEAVING
        && left.peer_shard == i64::from(keeper)
        && kept.state == SlotRow::HERE
        && (kept.came_from, kept.changed_at) == (i64::from(from), left.changed_at)
}

/// What is wrong with the way a slot took to its keeper.
fn conflict(rows: &[(u16, &SlotRow)], keeper: u16, kept: &SlotRow) -> Option<(u16, String)> {
    let of = |shard: i64| rows.iter().find(|(other, _)| i64::from(*other) == shard).map(|(_, row)| *row);
    let is_given = |row: &SlotRow| row.state != SlotRow::HERE && row.peer_shard == i64::from(keeper);
    if kept.came_from >= 0 && !of(kept.came_from).is_some_and(is_given) {
        return Some((keeper, format!("shard {} did not give it away to shard {keeper}", kept.came_from)));
    }
    for (shard, row) in rows.iter().filter(|(shard, _)| *shard != keeper) {
        // Each shard knows where it went from there; the way ends at the keeper.
        let mut place = row.peer_shard;
        for _ in rows {
            match of(place) {
                Some(next) if place != i64::from(keeper) => place = next.peer_shard,
                Some(_) | None => break,
            }
        }
        if place != i64::from(keeper) {
            return Some((*shard, format!("it went to shard {}, but is kept by shard {keeper}", row.peer_shard)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: i64, peer_shard: i64, came_from: i64) -> Vec<SlotRow> {
        vec![SlotRow { slot: 3, state, peer_shard, came_from, changed_at: 1 }]
    }

    /// What becomes of slot 3; all others are kept by shard 9.
    fn check_way(ways: Vec<Vec<SlotRow>>, expected: Option<u16>) {
        let others = (0..256).filter(|slot| *slot != 3).map(SlotRow::first).collect();
        let shards: Vec<_> = (0..).zip(ways).chain([(9, others)]).collect();
        assert_eq!(first_conflict(&shards).map(|(shard, _)| shard), expected, "{shards:?}");
    }

    #[test]
    fn a_slot_is_kept_once() {
        let (here, gone) = (SlotRow::HERE, SlotRow::GONE);
        check_way(vec![row(here, -1, -1)], None);
        check_way(vec![row(SlotRow::LEAVING, 1, -1)], None);
        check_way(vec![row(here, -1, -1), row(here, -1, -1)], Some(1));
        check_way(vec![row(gone, 1, -1), row(here, -1, 0)], None);
        check_way(vec![row(gone, 1, -1), row(gone, 2, 0), row(here, -1, 1)], None);
        check_way(vec![row(here, -1, 1), row(gone, 0, 0)], None);
        check_way(vec![row(here, -1, -1), row(here, -1, 0)], Some(1));
        check_way(vec![row(gone, 2, -1), row(here, -1, 0)], Some(1));
        check_way(vec![row(gone, 2, -1), row(here, -1, -1), row(gone, 0, -1)], Some(0));
        check_way(vec![row(gone, 1, -1)], Some(0));
        check_way(vec![Vec::new()], Some(0));
    }

    #[test]
    fn a_slot_on_its_way_is_kept_by_both() {
        let (here, leaving, gone) = (SlotRow::HERE, SlotRow::LEAVING, SlotRow::GONE);
        // A shard that is about to take it in says that it is where it is.
        check_way(vec![row(leaving, 1, -1), row(gone, 0, 0)], None);
        check_way(vec![row(leaving, 1, -1), row(here, -1, 0)], None);
        check_way(vec![row(leaving, 2, -1), row(here, -1, 0)], Some(0));
        check_way(vec![row(leaving, 1, -1), row(here, -1, 2)], Some(0));
        let mut late = row(here, -1, 0);
        late[0].changed_at = 2;
        check_way(vec![row(leaving, 1, -1), late], Some(0));
    }
}
