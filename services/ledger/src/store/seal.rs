//! Seals: what a row says that nothing else in the books says again. Each row of
//! history, and each trade, carries a SHA-256 over its columns, cut to 16 bytes:
//! to change a row unseen, a second text with the same 128 bits has to be found,
//! and half of the bytes are saved with every row for ever.
//!
//! The bytes that a seal covers are the table's name and then each column as
//! PostgreSQL's COPY has it in binary form: its length in 4 bytes, then itself.
//! Left out are the seal and the places that a row has in its shard (`sequence`,
//! `posting_sequence`, `fact_sequence`): each number is there once, which
//! verification sees by itself, and a row that goes to another shard keeps its seal.
//!
//! A trade changes. Its seal ends with the fact it was made for: a version that
//! knows no seals gives the trade a new fact and leaves the seal as it was.
//!
//! All seals of a shard are added up in its row: who takes a seal away, or changes
//! a row and its seal, is found by the sum. So a row without a seal was written by
//! a version that knew none, whenever that was.

use super::{
    rows::{CashRow, ExecutionRow, PayoutRow, SettlementRow, ShardRow, TradeRow},
    table::{Row, Sink},
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Bytes of SHA-256 that are kept.
pub(crate) const HASH_BYTES: usize = 16;
/// Bytes of a trade's seal: the hash, then the fact it was made for.
pub(crate) const TRADE_BYTES: usize = HASH_BYTES + 8;

/// A row that is sealed: its last column is the seal.
pub(crate) trait Sealed: Row {
    /// The columns that are left out, by their place among all; the seal comes last anyway.
    const LEFT_OUT: &'static [usize];
    /// Where the seal is kept.
    fn seal(&mut self) -> &mut Vec<u8>;
}

macro_rules! sealed {
    ($($row:ident: $left_out:expr;)*) => {
        $(impl Sealed for $row {
            const LEFT_OUT: &'static [usize] = &$left_out;
            fn seal(&mut self) -> &mut Vec<u8> {
                &mut self.seal
            }
        })*
    };
}

sealed! {
    TradeRow: [1, 2];
    ExecutionRow: [1];
    CashRow: [1, 2];
    SettlementRow: [];
    PayoutRow: [0, 1];
}

/// SHA-256 over a row of `table`, of which `covered` are the columns that are not left out.
pub(crate) fn hash_of(table: &str, covered: &[u8]) -> [u8; HASH_BYTES] {
    let digest = Sha256::new().chain_update(table).chain_update(covered).finalize();
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(&digest[..HASH_BYTES]);
    hash
}

/// What is wrong with a row by its seal, if anything. One that has none was written by an older version.
pub(crate) fn problem_of(table: &str, seal: &[u8], covered: &[u8]) -> Option<&'static str> {
    let is_equal = seal.is_empty() || seal == hash_of(table, covered);
    (!is_equal).then_some("it is not what it was when it was sealed")
}

/// The same for a trade that was told last by `fact`.
pub(crate) fn problem_of_trade(seal: &[u8], fact: i64, covered: &[u8]) -> Option<&'static str> {
    if seal.is_empty() {
        return None;
    }
    let parts = seal.split_first_chunk::<HASH_BYTES>();
    let parts = parts.and_then(|(hash, of_fact)| Some((hash, i64::from_be_bytes(of_fact.try_into().ok()?))));
    match parts {
        Some((hash, of_fact)) if of_fact == fact => problem_of(TradeRow::TABLE, hash, covered),
        // An older version has gone on with the trade, and has told so.
        Some((_, of_fact)) if of_fact < fact => None,
        Some(_) => Some("it was sealed when it was told later"),
        None => Some("its seal is none"),
    }
}

/// The seal of a trade that comes with its slot to where it was told last by `fact`; none if it is not that of the row.
pub(crate) fn trade_seal_at(row: &TradeRow, fact: i64) -> Vec<u8> {
    match row.seal.split_at_checked(HASH_BYTES) {
        Some((hash, of_fact)) if of_fact == row.fact_sequence.to_be_bytes() => [hash, &fact.to_be_bytes()].concat(),
        Some(_) | None => Vec::new(),
    }
}

/// The seals of all rows of a shard, added up without carry: of what only is added, and of trades, which change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seals {
    /// Of executions, movements of cash, payouts and settlements.
    pub(crate) history: [u8; HASH_BYTES],
    /// Of trades.
    pub(crate) trades: [u8; TRADE_BYTES],
}

impl Seals {
    /// As they stand in the shard's row, where nothing stands before anything was sealed; `None` if it is no sum.
    pub(crate) fn of(row: &ShardRow) -> Option<Self> {
        if row.seals.is_empty() {
            return Some(Self::default());
        }
        let (history, trades) = row.seals.split_first_chunk()?;
        Some(Self { history: *history, trades: trades.try_into().ok()? })
    }

    /// Writes them into the shard's row.
    pub(crate) fn keep_in(&self, row: &mut ShardRow) {
        row.seals.clear();
        row.seals.extend_from_slice(&self.history);
        row.seals.extend_from_slice(&self.trades);
    }

    /// Adds the seal of a row of history, or takes it off again.
    pub(crate) fn history(&mut self, seal: &[u8]) {
        add(&mut self.history, seal);
    }

    /// Adds the seal of a trade, or takes it off again.
    pub(crate) fn trade(&mut self, seal: &[u8]) {
        add(&mut self.trades, seal);
    }
}

fn add(sum: &mut [u8], seal: &[u8]) {
    for (sum, byte) in sum.iter_mut().zip(seal) {
        *sum ^= byte;
    }
}

/// Seals the rows of one transaction, into the sums of its shard.
#[derive(Debug)]
pub(crate) struct Sealer {
    /// `None` if the shard's row has no sum: that stays wrong, verification has to find it.
    before: Option<Seals>,
    seals: Seals,
    covered: Vec<u8>,
}

impl Sealer {
    /// Goes on from what the shard's row says.
    pub(crate) fn new(row: &ShardRow) -> Self {
        let before = Seals::of(row);
        Self { before, seals: before.unwrap_or_default(), covered: Vec::with_capacity(512) }
    }

    /// Writes the sums into the shard's row, if anything was sealed.
    pub(crate) fn keep_in(&self, row: &mut ShardRow) {
        if self.before.is_some_and(|before| before != self.seals) {
            self.seals.keep_in(row);
        }
    }

    /// Seals new rows of history.
    pub(crate) fn history<R: Sealed>(&mut self, rows: &mut [R]) {
        for row in rows {
            let hash = self.hash(row);
            self.seals.history(&hash);
            let seal = row.seal();
            seal.clear();
            seal.extend_from_slice(&hash);
        }
    }

    /// Seals trades that are new or have changed: what they carry so far is the seal they had.
    pub(crate) fn trades(&mut self, rows: &mut [TradeRow]) {
        for row in rows {
            let hash = self.hash(row);
            self.seals.trade(&row.seal);
            row.seal.clear();
            row.seal.extend_from_slice(&hash);
            row.seal.extend_from_slice(&row.fact_sequence.to_be_bytes());
            self.seals.trade(&row.seal);
        }
    }

    fn hash<R: Sealed>(&mut self, row: &R) -> [u8; HASH_BYTES] {
        self.covered.clear();
        row.put(&mut Covered { bytes: &mut self.covered, place: 0, left_out: R::LEFT_OUT, seal: last::<R>() });
        hash_of(R::TABLE, &self.covered)
    }
}

/// The place of the last column.
fn last<R: Row>() -> usize {
    usize::from(R::WIDTH.unsigned_abs()).saturating_sub(1)
}

/// Takes the columns that a seal covers.
struct Covered<'a> {
    bytes: &'a mut Vec<u8>,
    place: usize,
    left_out: &'static [usize],
    seal: usize,
}

impl Covered<'_> {
    fn column(&mut self, value: &[u8]) {
        let place = self.place;
        self.place += 1;
        if place != self.seal && !self.left_out.contains(&place) {
            // No column comes near this length: it would not have come through the bus.
            self.bytes.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
            self.bytes.extend_from_slice(value);
        }
    }
}

impl Sink for Covered<'_> {
    fn int(&mut self, value: Option<i64>) {
        // The columns that may be NULL are left out.
        self.column(&value.unwrap_or_default().to_be_bytes());
    }
    fn small(&mut self, value: i32) {
        self.column(&value.to_be_bytes());
    }
    fn bool(&mut self, value: bool) {
        self.column(&[u8::from(value)]);
    }
    fn text(&mut self, value: &str) {
        self.column(value.as_bytes());
    }
    fn bytes(&mut self, value: &[u8]) {
        self.column(value);
    }
    fn uuid(&mut self, value: &Uuid) {
        self.column(value.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<R: Sealed>(expected: &[&str]) {
        let columns: Vec<_> = R::COLUMNS.split(", ").collect();
        let left_out: Vec<_> = R::LEFT_OUT.iter().map(|place| columns[*place]).collect();
        assert_eq!((left_out.as_slice(), columns[last::<R>()]), (expected, "seal"), "{}", R::TABLE);
    }

    #[test]
    fn only_places_in_the_shard_are_left_out() {
        check::<TradeRow>(&["sequence", "fact_sequence"]);
        check::<ExecutionRow>(&["posting_sequence"]);
        check::<CashRow>(&["posting_sequence", "fact_sequence"]);
        check::<SettlementRow>(&[]);
        check::<PayoutRow>(&["posting_sequence", "fact_sequence"]);
    }

    fn trade(fact_sequence: i64) -> TradeRow {
        TradeRow { rationale: "cheap".to_owned(), fact_sequence, ..TradeRow::default() }
    }

    #[test]
    fn the_sum_is_that_of_the_rows_as_they_are_now() {
        let mut sealer = Sealer::new(&ShardRow::default());
        let mut rows = vec![trade(1), trade(2)];
        sealer.trades(&mut rows);
        let mut executions = vec![ExecutionRow { execution_id: "e".to_owned(), ..ExecutionRow::default() }];
        sealer.history(&mut executions);
        let mut shard = ShardRow::default();
        sealer.keep_in(&mut shard);
        // One of them goes on, in a later transaction.
        let mut sealer = Sealer::new(&shard);
        rows[0].fact_sequence = 3;
        rows[0].rationale.push('!');
        sealer.trades(&mut rows[..1]);
        let mut expected = Seals::default();
        rows.iter().for_each(|row| expected.trade(&row.seal));
        expected.history(&executions[0].seal);
        assert_eq!(sealer.seals, expected);
        assert_ne!(rows[0].seal[..HASH_BYTES], rows[1].seal[..HASH_BYTES]);
        sealer.keep_in(&mut shard);
        assert_eq!(Seals::of(&shard), Some(expected));
        shard.seals.pop();
        assert_eq!(Seals::of(&shard), None);
        let (broken, mut sealer) = (shard.clone(), Sealer::new(&shard));
        sealer.trades(&mut rows);
        sealer.keep_in(&mut shard);
        assert_eq!(shard, broken);
    }

    #[test]
    fn a_trade_keeps_its_hash_where_it_comes_to_and_an_old_seal_does_not_go_along() {
        let mut rows = vec![trade(7)];
        Sealer::new(&ShardRow::default()).trades(&mut rows);
        let moved = trade_seal_at(&rows[0], 0);
        assert_eq!((&moved[..HASH_BYTES], &moved[HASH_BYTES..]), (&rows[0].seal[..HASH_BYTES], &[0; 8][..]));
        // A version without seals has gone on with it.
        rows[0].fact_sequence = 8;
        assert_eq!(trade_seal_at(&rows[0], 0), Vec::<u8>::new());
        assert_eq!(problem_of_trade(&rows[0].seal, 8, b"something else"), None);
        assert!(problem_of_trade(&rows[0].seal, 6, b"something else").is_some());
        assert!(problem_of_trade(&rows[0].seal, 7, b"something else").is_some());
        assert!(problem_of_trade(&rows[0].seal[1..], 7, b"something else").is_some());
        assert_eq!(problem_of_trade(&[], 7, b"something else"), None);
    }
}
