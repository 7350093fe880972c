//! What was posted since the last round: the hash chain goes on from where it
//! was, no number is missing, and the sums of the accounts it touched move along.

use super::{Cursor, Finding, Seen, Watch};
use crate::{
    intake::arrival_id,
    reconcile::transit::Sent,
    verify::{
        Found, Sequence,
        read::Snapshot,
        record::{Batch, Cash, Execution, MovedWallet, Payout, Transfer},
        write_canonical,
    },
};
use sha2::{Digest as _, Sha256};
use tragen_contracts::v1::{CashKind, Side};
use tragen_domain::money::Money;

/// Postings looked back for money on its way when a process begins.
const LOOK_BACK: i64 = 100_000;

impl Watch {
    /// From the cursor to the newest posting.
    pub(super) fn history(&mut self, shard: u16, snapshot: &mut Snapshot, seen: &mut Seen) -> Result<(), Found> {
        let row = snapshot.shard.clone();
        let now = Cursor {
            posting: row.posting_sequence,
            transfer: row.transfer_sequence,
            batch: row.batch_sequence,
            hash: row.head_hash,
        };
        let Some(before) = self.cursor.clone() else {
            self.sent((shard, snapshot), (now.posting - LOOK_BACK).max(0), seen)?;
            self.cursor = Some(now);
            return Ok(());
        };
        if before == now {
            return Ok(());
        }
        let problem = match went_on(snapshot, &before, &now)? {
            None => match self.transfers(snapshot, &before, &now)? {
                None => self.postings((shard, snapshot), (&before, &now), seen)?,
                problem => problem,
            },
            problem => problem,
        };
        if let Some(problem) = problem {
            let message = format!("the history of shard {shard} is not what it was: {problem}");
            seen.findings.push(Finding::of_history(shard, &format!("history-{}", now.batch), message));
            // From here on anew.
            *self = Self::default();
        }
        self.cursor = Some(now);
        Ok(())
    }

    /// The transfers behind the cursor, and the links over them.
    fn transfers(&mut self, snapshot: &mut Snapshot, before: &Cursor, now: &Cursor) -> Result<Option<String>, Found> {
        let mut batches =
            snapshot.scan::<Batch<'_>>(&format!("WHERE sequence > {} ORDER BY sequence", before.batch))?;
        let mut rows =
            snapshot.scan::<Transfer<'_>>(&format!("WHERE sequence > {} ORDER BY sequence", before.transfer))?;
        let (mut transfer, mut hash, mut bytes) = (before.transfer, before.hash.clone(), Vec::new());
        let mut batch = before.batch;
        while let Some(link) = batches.next()? {
            batch += 1;
            if link.sequence != batch || link.first_transfer != transfer + 1 || link.previous_hash != hash {
                return Ok(Some(format!("batch {batch} does not follow the one before it")));
            }
            bytes.clear();
            bytes.extend_from_slice(&hash);
            while transfer < link.last_transfer {
                transfer += 1;
                let Some(row) = rows.next()?.filter(|row| row.sequence == transfer) else {
                    return Ok(Some(format!("transfer {transfer} is missing")));
                };
                if currency_of(row.debit_account) != currency_of(row.credit_account) {
                    return Ok(Some(format!("transfer {transfer} changes the currency")));
                }
                write_canonical(&row, &mut bytes);
                self.moved(&row);
            }
            hash = Sha256::digest(&bytes).to_vec();
            if link.hash != hash {
                return Ok(Some(format!("the hash of batch {batch} is not that of its transfers")));
            }
        }
        let is_end = (transfer, batch, &hash) == (now.transfer, now.batch, &now.hash) && rows.next()?.is_none();
        Ok((!is_end).then(|| "the shard row does not point at the last transfer and batch".to_owned()))
    }

    /// Carries a transfer on to the sums of its account.
    fn moved(&mut self, row: &Transfer<'_>) {
        self.queue.insert(row.account_id.to_owned());
        let Some(known) = self.known.get_mut(row.account_id) else { return };
        for (name, change) in [(row.debit_account, -i128::from(row.amount)), (row.credit_account, row.amount.into())] {
            if is_of_account(name) {
                *known.balances.entry(name.to_owned()).or_default() += change;
            }
        }
    }

    /// The postings behind the cursor: all numbers are there, and positions move along.
    fn postings(
        &mut self,
        (shard, snapshot): (u16, &mut Snapshot),
        (before, now): (&Cursor, &Cursor),
        seen: &mut Seen,
    ) -> Result<Option<String>, Found> {
        let mut numbers = Sequence::new(before.posting, now.posting);
        let which = format!("WHERE posting_sequence > {} ORDER BY posting_sequence", before.posting);
        let mut rows = snapshot.scan::<Execution<'_>>(&which)?;
        while let Some(row) = rows.next()? {
            numbers.add(row.posting_sequence.unwrap_or_default());
            let bought = (row.side == i32::from(Side::Buy)) == row.reverses.is_empty();
            let quantity = if bought { row.quantity } else { -row.quantity };
            let fee = if row.reverses.is_empty() { row.fee } else { -row.fee };
            self.held((row.account_id, row.instrument_id), (quantity, fee));
        }
        let mut rows = snapshot.scan::<Payout<'_>>(&which)?;
        while let Some(row) = rows.next()? {
            numbers.add(row.posting_sequence);
            self.held((row.account_id, row.instrument_id), (row.quantity.saturating_neg(), 0));
        }
        let mut rows = snapshot.scan::<MovedWallet<'_>>(&which)?;
        while let Some(row) = rows.next()? {
            numbers.add(row.posting_sequence);
            // It is summed up anew where it is.
            self.known.remove(row.account_id);
            self.queue.insert(row.account_id.to_owned());
        }
        let mut rows = snapshot.scan::<Cash<'_>>(&which)?;
        while let Some(row) = rows.next()? {
            numbers.add(row.posting_sequence.unwrap_or_default());
            self.queue.insert(row.account_id.to_owned());
        }
        self.sent((shard, snapshot), before.posting, seen)?;
        Ok(numbers.first_missing().map(|posting| format!("posting {posting} is missing")))
    }

    fn held(&mut self, (account_id, instrument_id): (&str, &str), (quantity, fee): (i64, i64)) {
        self.queue.insert(account_id.to_owned());
        if let Some(known) = self.known.get_mut(account_id) {
            let held = known.positions.entry(instrument_id.to_owned()).or_default();
            *held = (held.0 + i128::from(quantity), held.1 + i128::from(fee));
        }
    }

    /// Money sent to other shards since the posting `after`.
    fn sent(&self, (shard, snapshot): (u16, &mut Snapshot), after: i64, seen: &mut Seen) -> Result<(), Found> {
        let sent = i32::from(CashKind::Sent);
        let which = format!(
            "WHERE posting_sequence > {after} AND kind = {sent} AND amount <> 0 AND counterparty_shard <> {shard}
             ORDER BY posting_sequence"
        );
        let mut rows = snapshot.scan::<Cash<'_>>(&which)?;
        while let Some(row) = rows.next()? {
            let amount = Money::from_micros(row.amount.saturating_neg());
            let (from, to, currency) = (row.account_id, row.counterparty_account_id, row.currency);
            seen.sent.push(Sent {
                arrival: arrival_id(row.trade_id),
                at: row.posted_at,
                to: to.to_owned(),
                what: format!("{amount} {currency} that {from} has sent to {to} (trade {})", row.trade_id),
            });
        }
        Ok(())
    }
}

/// Why the history up to the cursor is not what it was, if it is not.
fn went_on(snapshot: &mut Snapshot, before: &Cursor, now: &Cursor) -> Result<Option<String>, Found> {
    if now.posting < before.posting || now.transfer < before.transfer || now.batch < before.batch {
        return Ok(Some(format!("posting {} and batch {} were there once", before.posting, before.batch)));
    }
    if before.batch == 0 {
        return Ok(None);
    }
    let mut rows = snapshot.scan::<Batch<'_>>(&format!("WHERE sequence = {}", before.batch))?;
    let is_same = rows.next()?.is_some_and(|row| row.hash == before.hash && row.last_transfer == before.transfer);
    Ok((!is_same).then(|| format!("batch {} has changed", before.batch)))
}

/// The currency in the name of a ledger account.
fn currency_of(name: &str) -> Option<&str> {
    name.rsplit_once('/').map(|(_, currency)| currency)
}

/// Whether the ledger account is the wallet or the margin of somebody.
pub(super) fn is_of_account(name: &str) -> bool {
    name.starts_with("wallet/") || name.starts_with("margin/")
}
