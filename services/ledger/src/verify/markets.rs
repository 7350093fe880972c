//! Decided markets, against what was paid for them; and across shards, which all
//! must have decided alike.

use super::{
    Found, bad,
    books::{Books, Name},
    read::Snapshot,
    replay::Decided,
};
use crate::store::{rows::SettlementRow, session::Sql};
use std::collections::{BTreeMap, HashMap};

const SETTLEMENTS: Sql = Sql::same("SELECT * FROM settlement ORDER BY instrument_id");

/// The shard's decided markets, each of which must be what its payouts say.
pub(super) fn check(
    snapshot: &mut Snapshot,
    books: &Books,
    (decided, has_guests): (&HashMap<Name, Decided>, bool),
) -> Result<Vec<SettlementRow>, Found> {
    let rows: Vec<SettlementRow> = snapshot.rows(SETTLEMENTS, &[])?;
    let mut unpaid: BTreeMap<&str, &Decided> =
        decided.iter().map(|(instrument, decided)| (books.instruments.text(*instrument), decided)).collect();
    for row in &rows {
        let wrong = |problem: &str| Err(bad("settlement", &row.instrument_id, problem));
        if row.confirmed_by.is_empty() || row.proposed_by == row.confirmed_by {
            return wrong("two people must have decided it");
        }
        if row.is_void && row.value != 0 || row.value < 0 {
            return wrong("its value is none");
        }
        let Some(payout) = unpaid.remove(row.instrument_id.as_str()) else { continue };
        let is_equal = payout.booking_id == row.booking_id
            && payout.venue == row.venue
            && (payout.value, payout.is_void) == (row.value, row.is_void);
        if !is_equal {
            return wrong("its payouts say otherwise");
        }
        // A decision that came along with a slot has the time of another shard.
        if !has_guests && row.decided_at > payout.first.1 {
            return wrong("it was paid before it was decided");
        }
    }
    match unpaid.first_key_value() {
        Some((instrument, payout)) => {
            Err(bad("payout", payout.first.0, format!("its market {instrument} is not decided")))
        }
        None => Ok(rows),
    }
}

/// A market that another shard has decided otherwise: the shard and the row's problem.
pub(super) fn first_disagreement(shards: &[(u16, Vec<SettlementRow>)]) -> Option<(u16, Found)> {
    let mut first: HashMap<&str, (u16, &SettlementRow)> = HashMap::new();
    for (shard, rows) in shards {
        for row in rows {
            let (other, known) = *first.entry(&row.instrument_id).or_insert((*shard, row));
            // Each shard decides in its own time, which its seal covers.
            let seal = known.seal.clone();
            if (SettlementRow { decided_at: known.decided_at, seal, ..row.clone() }) != *known {
                let problem = format!("shard {other} has decided it otherwise");
                return Some((*shard, bad("settlement", &row.instrument_id, problem)));
            }
        }
    }
    None
}
