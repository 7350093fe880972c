//! Markets that a shard settled before it got some of their holders: these are
//! paid when they arrive, by the same rule as everybody else.

use super::{Side, WAIT};
use crate::{
    batch::{Frame, Outcome, decide, keys_of},
    intake::{Action, Item, SettlementAction},
    slot::Directory,
    store::{Store, StoreError, rows::SettlementRow},
};
use anyhow::Context as _;
use std::collections::{BTreeSet, HashMap};
use tragen_contracts::v1;
use tragen_domain::id::AccountId;
use tragen_host::clock::now_micros;

/// Positions paid in one transaction.
const PAYOUTS_MAX: usize = 1_000;
/// How often the shard is taken from its running writer for that.
const ATTEMPTS_MAX: u32 = 10;

/// Pays what `accounts` hold in markets that are settled; the facts are told by the shard's next owner.
pub(super) async fn pay_out(side: &Side, accounts: &BTreeSet<String>) -> anyhow::Result<()> {
    let mut settled = HashMap::new();
    let mut reports = HashMap::new();
    for row in side.turns.settlements().await? {
        let item = Item::report(report(&row), &row.venue, 1);
        if let Ok(Action::Settlement(settlement)) = &item.action {
            settled.insert(row.instrument_id.clone(), settlement.clone());
            reports.insert(row.instrument_id, (item.clone(), settlement.clone()));
        }
    }
    if settled.is_empty() {
        return Ok(());
    }
    let held = side.turns.holdings(accounts).await?.positions;
    let mut items = Vec::new();
    for row in held.iter().filter(|row| row.quantity != 0) {
        if let Some((item, settlement)) = reports.get(&row.instrument_id) {
            items.push(item.payout(settlement, AccountId::new(&row.account_id)?));
        }
    }
    if items.is_empty() {
        return Ok(());
    }
    for _ in 1..ATTEMPTS_MAX {
        match book(side, &items, &settled).await {
            // The shard's writer has taken over again in between. What is paid already is not paid twice.
            Err(error) if matches!(error.downcast_ref(), Some(StoreError::Fenced { .. })) => {}
            booked => return booked,
        }
    }
    book(side, &items, &settled).await
}

async fn book(side: &Side, items: &[Item], settled: &HashMap<String, SettlementAction>) -> anyhow::Result<()> {
    let shard = side.books.shard;
    let made = side.books.beginning().await?.with_context(|| format!("shard {shard} was never served"))?.shards;
    let (store, _) = Store::take_over(&side.books, &side.place, WAIT).await?;
    let (slots, directory) = (side.books.slots().await?, Directory::new(made));
    for some in items.chunks(PAYOUTS_MAX) {
        let known = store.load(keys_of(some)).await?;
        let frame = Frame { shard, slots: &slots, directory: &directory, settled, now: now_micros() };
        let decision = decide(some, known, frame);
        for outcome in &decision.outcomes {
            if let Outcome::SetAside(why) = outcome {
                tracing::error!("a position that came to shard {shard} cannot be paid out and is set aside: {why}");
            }
        }
        if decision.is_change() {
            store.commit(decision.changes).await?;
        }
    }
    store.close().await;
    Ok(())
}

/// The report that decided a market, as its row tells it.
fn report(row: &SettlementRow) -> v1::ExecutionReport {
    let outcome = match row.is_void {
        true => v1::settlement::Outcome::IsVoid(true),
        false => v1::settlement::Outcome::ValueMicros(row.value),
    };
    let settlement = v1::Settlement { instrument_id: row.instrument_id.clone(), outcome: Some(outcome) };
    let booking_id = row.booking_id.to_string();
    let booking = v1::Booking {
        reason: row.reason.clone(),
        proposed_by: row.proposed_by.clone(),
        confirmed_by: row.confirmed_by.clone(),
        kind: Some(v1::booking::Kind::Settlement(settlement)),
    };
    v1::ExecutionReport {
        meta: Some(v1::Meta { event_id: booking_id.clone(), ..v1::Meta::default() }),
        key: Some(v1::TradeKey { trade_id: booking_id.clone(), request_id: booking_id, ..v1::TradeKey::default() }),
        kind: Some(v1::execution_report::Kind::Booking(booking)),
    }
}
