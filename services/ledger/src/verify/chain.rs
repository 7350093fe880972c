//! Transfers, compared with what each posting must have moved, and the hash
//! chain over them, computed from the bytes that are stored.

use super::{
    Found, bad,
    read::Stream,
    record::{Batch, Transfer},
};
use crate::{
    batch::posting::{Reference, count, kind_number, transfer_rows},
    store::rows::TransferRow,
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};
use tragen_domain::ledger::{self, LedgerAccount};
use uuid::Uuid;

/// Where the chain stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The last transfer.
    pub(super) transfer: i64,
    /// The last batch.
    pub(super) batch: i64,
    /// SHA-256 over everything up to there.
    pub(super) hash: Vec<u8>,
}

impl Default for Head {
    fn default() -> Self {
        Self { transfer: 0, batch: 0, hash: vec![0; 32] }
    }
}

/// The transfers of a shard, taken posting by posting.
pub(super) struct Chain {
    transfers: Stream<Transfer<'static>>,
    batches: Stream<Batch<'static>>,
    head: Head,
    current: Option<Open>,
    /// The hash before the current batch and its transfers so far.
    bytes: Vec<u8>,
    /// What accounts between shards have received, 1e-6 of their currency.
    pub(super) between: BTreeMap<String, i128>,
}

/// A batch whose transfers are not all there yet.
struct Open {
    sequence: i64,
    last_transfer: i64,
    hash: Vec<u8>,
    posted_at: i64,
}

/// What the transfers of a posting say beside the money.
#[derive(Debug, Clone, Copy)]
pub(super) struct Posted<'a> {
    pub(super) account_id: &'a str,
    pub(super) sequence: i64,
    pub(super) at: i64,
    /// What is behind them.
    pub(super) reference_id: Uuid,
}

impl Chain {
    /// Goes on after `head`, with the rows behind it.
    pub(super) fn new(
        head: Head,
        (transfers, batches): (Stream<Transfer<'static>>, Stream<Batch<'static>>),
        between: BTreeMap<String, i128>,
    ) -> Self {
        Self { transfers, batches, head, current: None, bytes: Vec::new(), between }
    }

    /// Where it stands, if no batch is open.
    pub(super) fn head(&self) -> Option<&Head> {
        self.current.is_none().then_some(&self.head)
    }

    /// The last transfer taken.
    pub(super) const fn transfer(&self) -> i64 {
        self.head.transfer
    }

    /// Takes the transfers of a posting, which must be `expected`.
    pub(super) fn take(&mut self, expected: &[ledger::Transfer], posted: Posted<'_>) -> Result<(), Found> {
        for transfer in expected {
            let sequence = self.head.transfer + 1;
            let is_there = self.transfers.key()? == Some(sequence);
            let row = if is_there { self.transfers.next()? } else { None };
            let Some(row) = row else { return Err(bad("transfer", sequence, "the row is missing")) };
            let is_equal = row.posting_sequence == posted.sequence
                && row.kind == kind_number(transfer.kind)
                && row.amount == transfer.amount.micros()
                && row.posted_at == posted.at
                && row.reference_id == posted.reference_id
                && row.account_id == posted.account_id
                && is_named(&transfer.debit, row.debit_account)
                && is_named(&transfer.credit, row.credit_account);
            if !is_equal {
                return Err(differs(&row, transfer, posted));
            }
            for (account, sign) in [(&transfer.debit, -1), (&transfer.credit, 1)] {
                if let LedgerAccount::Between { .. } = account {
                    *self.between.entry(account.to_string()).or_default() += sign * i128::from(row.amount);
                }
            }
            if self.current.is_none() {
                self.current = Some(open(&mut self.batches, &self.head, sequence)?);
                self.bytes.clear();
                self.bytes.extend_from_slice(&self.head.hash);
            }
            write_canonical(&row, &mut self.bytes);
            self.head.transfer = sequence;
            self.close(posted.at)?;
        }
        Ok(())
    }

    /// After each transfer: it belongs to the current batch, and may be its last.
    fn close(&mut self, posted_at: i64) -> Result<(), Found> {
        if let Some(batch) = &self.current
            && batch.posted_at != posted_at
        {
            return Err(bad("batch", batch.sequence, format!("its time is not {posted_at}, that of its transfers")));
        }
        let transfer = self.head.transfer;
        if let Some(batch) = self.current.take_if(|batch| batch.last_transfer <= transfer) {
            self.head.hash.clear();
            self.head.hash.extend_from_slice(&Sha256::digest(&self.bytes));
            self.head.batch = batch.sequence;
            if batch.hash != self.head.hash {
                return Err(bad("batch", batch.sequence, "its hash is not that of its transfers"));
            }
        }
        Ok(())
    }

    /// The text of the account that the next transfer takes from: where money of another shard comes from.
    pub(super) fn next_debit(&mut self) -> Result<Option<String>, Found> {
        self.transfers.peek(|row| row.debit_account.to_owned())
    }

    /// Nothing may be left.
    pub(super) fn end(&mut self) -> Result<&Head, Found> {
        if let Some(row) = self.transfers.next()? {
            return Err(bad("transfer", row.sequence, "belongs to no posting"));
        }
        let unfinished = self.current.as_ref().map(|batch| batch.sequence);
        if let Some(sequence) = unfinished.or(self.batches.key()?) {
            return Err(bad("batch", sequence, "covers transfers that are not there"));
        }
        Ok(&self.head)
    }
}

/// The batch that begins with the transfer `sequence`.
fn open(batches: &mut Stream<Batch<'static>>, head: &Head, sequence: i64) -> Result<Open, Found> {
    let Some(batch) = batches.next()? else { return Err(bad("transfer", sequence, "is in no batch")) };
    let follows =
        batch.sequence == head.batch + 1 && batch.first_transfer == sequence && batch.last_transfer >= sequence;
    if !follows || batch.previous_hash != head.hash {
        return Err(bad("batch", batch.sequence, "does not follow the batch before it"));
    }
    Ok(Open {
        sequence: batch.sequence,
        last_transfer: batch.last_transfer,
        hash: batch.hash.to_vec(),
        posted_at: batch.posted_at,
    })
}

fn differs(row: &Transfer<'_>, expected: &ledger::Transfer, posted: Posted<'_>) -> Found {
    let reference = Reference {
        account_id: posted.account_id,
        reference_id: posted.reference_id,
        posting_sequence: posted.sequence,
        posted_at: posted.at,
    };
    let expected = transfer_rows(vec![expected.clone()], row.sequence, reference);
    let problem = match expected.first() {
        Some(expected) => format!("is {:?}, should be {expected:?}", owned(row)),
        None => "should not be there".to_owned(),
    };
    bad("transfer", row.sequence, problem)
}

fn owned(row: &Transfer<'_>) -> TransferRow {
    TransferRow {
        sequence: row.sequence,
        posting_sequence: row.posting_sequence,
        kind: row.kind,
        debit_account: row.debit_account.to_owned(),
        credit_account: row.credit_account.to_owned(),
        amount: row.amount,
        account_id: row.account_id.to_owned(),
        reference_id: row.reference_id,
        posted_at: row.posted_at,
    }
}

/// The same bytes as [`TransferRow::write_canonical`], without owning the row.
pub(crate) fn write_canonical(row: &Transfer<'_>, bytes: &mut Vec<u8>) {
    for number in [row.sequence, row.posting_sequence, i64::from(row.kind), row.amount, row.posted_at] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    for text in [row.debit_account, row.credit_account, row.account_id] {
        bytes.extend_from_slice(&count(text.len()).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(row.reference_id.as_bytes());
}

/// Whether `text` is the account's name, without writing the name anywhere.
fn is_named(account: &LedgerAccount, text: &str) -> bool {
    let mut rest = Rest(text);
    write!(rest, "{account}").is_ok() && rest.0.is_empty()
}

/// What is left of a text after what has been written was taken off its beginning.
struct Rest<'a>(&'a str);

impl fmt::Write for Rest<'_> {
    fn write_str(&mut self, written: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(written).ok_or(fmt::Error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tragen_domain::id::{AccountId, Currency};

    #[test]
    fn the_chain_is_over_the_bytes_the_writer_hashed() {
        let row = Transfer {
            sequence: 7,
            posting_sequence: 5,
            kind: 3,
            debit_account: "wallet/alice/USD",
            credit_account: "venue/paper/USD",
            amount: -1,
            account_id: "alice",
            reference_id: Uuid::from_u128(9),
            posted_at: 1_700_000_000_000_000,
        };
        let (mut own, mut written) = (Vec::new(), Vec::new());
        write_canonical(&row, &mut own);
        owned(&row).write_canonical(&mut written);
        assert_eq!(own, written);
    }

    #[test]
    fn an_account_is_known_by_its_whole_name() {
        let account = LedgerAccount::Wallet(AccountId::new("al").expect("an id"), Currency::new("USD").expect("an id"));
        assert!(is_named(&account, "wallet/al/USD"));
        for other in ["wallet/al/USDT", "wallet/al/US", "wallet/ali/USD", "margin/al/USD", ""] {
            assert!(!is_named(&account, other), "{other}");
        }
    }
}
