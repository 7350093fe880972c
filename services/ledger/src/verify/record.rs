//! What verification reads of each table, and how: rows in the binary form of
//! PostgreSQL's COPY, parsed where they lie. SQLite's rows are brought into the
//! same form, so whoever compares need not know which store it is.
//! <https://www.postgresql.org/docs/15/sql-copy.html>

#![expect(clippy::extra_unused_lifetimes, reason = "one macro declares tables with and without texts")]

use crate::store::table::Mistyped;
use uuid::Uuid;

/// How a column is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 64 bits.
    Int,
    /// 32 bits.
    Small,
    /// Yes or no.
    Bool,
    /// A text, bytes, or an id of 16 bytes: they lie in the row as they are.
    Plain,
}

/// What is read of one table.
pub(crate) trait Record {
    /// A row, borrowed from the page it came with.
    type Row<'a>;
    /// The table's name.
    const TABLE: &'static str;
    /// The columns, separated by commas.
    const COLUMNS: &'static str;
    /// How each of them is stored.
    const KINDS: &'static [Kind];
    /// Parses the columns of a row.
    fn parse<'a>(columns: &mut Columns<'a>) -> Result<Self::Row<'a>, Mistyped>;
}

/// What is read of a table whose rows are sealed: first the columns that a seal leaves out, then the seal, then
/// those that it covers, in the order of the table.
pub(crate) trait SealedRecord: Record {
    /// How many columns are left out.
    const LEFT_OUT: usize;
}

impl SealedRecord for Execution<'static> {
    const LEFT_OUT: usize = 1;
}

impl SealedRecord for Cash<'static> {
    const LEFT_OUT: usize = 2;
}

impl SealedRecord for Payout<'static> {
    const LEFT_OUT: usize = 2;
}

impl SealedRecord for Trade<'static> {
    const LEFT_OUT: usize = 2;
}

/// The columns of a row that are not parsed yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns<'a>(pub(crate) &'a [u8]);

impl<'a> Columns<'a> {
    /// The bytes of the next column; `None` for NULL.
    pub(crate) fn next(&mut self) -> Result<Option<&'a [u8]>, Mistyped> {
        let (length, rest) = self.0.split_first_chunk().ok_or(Mistyped)?;
        let length = i32::from_be_bytes(*length);
        if length == -1 {
            self.0 = rest;
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Mistyped)?;
        let (column, rest) = rest.split_at_checked(length).ok_or(Mistyped)?;
        self.0 = rest;
        Ok(Some(column))
    }
}

/// A type of a column.
pub(crate) trait Column<'a>: Sized {
    /// How it is stored.
    const KIND: Kind;
    /// Parses its bytes.
    fn parse(bytes: Option<&'a [u8]>) -> Result<Self, Mistyped>;
}

impl Column<'_> for i64 {
    const KIND: Kind = Kind::Int;
    fn parse(bytes: Option<&[u8]>) -> Result<Self, Mistyped> {
        Option::parse(bytes)?.ok_or(Mistyped)
    }
}

impl Column<'_> for Option<i64> {
    const KIND: Kind = Kind::Int;
    fn parse(bytes: Option<&[u8]>) -> Result<Self, Mistyped> {
        bytes.map(|bytes| bytes.try_into().map(i64::from_be_bytes).map_err(|_| Mistyped)).transpose()
    }
}

impl Column<'_> for i32 {
    const KIND: Kind = Kind::Small;
    fn parse(bytes: Option<&[u8]>) -> Result<Self, Mistyped> {
        bytes.ok_or(Mistyped)?.try_into().map(Self::from_be_bytes).map_err(|_| Mistyped)
    }
}

impl Column<'_> for bool {
    const KIND: Kind = Kind::Bool;
    fn parse(bytes: Option<&[u8]>) -> Result<Self, Mistyped> {
        match bytes {
            Some([0]) => Ok(false),
            Some([1]) => Ok(true),
            Some(_) | None => Err(Mistyped),
        }
    }
}

impl<'a> Column<'a> for &'a [u8] {
    const KIND: Kind = Kind::Plain;
    fn parse(bytes: Option<&'a [u8]>) -> Result<Self, Mistyped> {
        bytes.ok_or(Mistyped)
    }
}

impl<'a> Column<'a> for &'a str {
    const KIND: Kind = Kind::Plain;
    fn parse(bytes: Option<&'a [u8]>) -> Result<Self, Mistyped> {
        std::str::from_utf8(bytes.ok_or(Mistyped)?).map_err(|_| Mistyped)
    }
}

impl Column<'_> for Uuid {
    const KIND: Kind = Kind::Plain;
    fn parse(bytes: Option<&[u8]>) -> Result<Self, Mistyped> {
        Self::from_slice(bytes.ok_or(Mistyped)?).map_err(|_| Mistyped)
    }
}

/// Declares what is read of a table; its first column is the one it is ordered by.
macro_rules! record {
    ($(#[$docs:meta])* $name:ident<$life:lifetime> in $table:literal { $($column:ident: $type:ty,)* }) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name<$life> {
            $(pub(crate) $column: $type,)*
        }

        impl Record for $name<'static> {
            type Row<$life> = $name<$life>;
            const TABLE: &'static str = $table;
            const COLUMNS: &'static str = record!(@join $($column)*);
            const KINDS: &'static [Kind] = record!(@kinds $life $($type,)*);

            fn parse<$life>(columns: &mut Columns<$life>) -> Result<$name<$life>, Mistyped> {
                Ok($name { $($column: Column::parse(columns.next()?)?,)* })
            }
        }
    };
    (@join $first:ident $($rest:ident)*) => { concat!(stringify!($first) $(, ", ", stringify!($rest))*) };
    (@kinds $life:lifetime $($type:ty,)*) => {{
        const fn kinds<$life>() -> &'static [Kind] {
            &[$(<$type as Column<$life>>::KIND,)*]
        }
        kinds()
    }};
}

record! {
    /// A fill, or one taken back.
    Execution<'a> in "execution" {
        posting_sequence: Option<i64>,
        seal: &'a [u8],
        execution_id: &'a str,
        trade_id: Uuid,
        account_id: &'a str,
        instrument_id: &'a str,
        venue: &'a str,
        side: i32,
        price: i64,
        quantity: i64,
        fee: i64,
        cash_change: i64,
        style: i32,
        currency: &'a str,
        initial_margin_ppm: i64,
        reverses: &'a str,
        executed_at: i64,
        posted_at: i64,
    }
}

record! {
    /// What of a fill counts for its trade.
    FillTotals<'a> in "execution" {
        trade_id: Uuid,
        account_id: &'a str,
        instrument_id: &'a str,
        side: i32,
        price: i64,
        quantity: i64,
        fee: i64,
        cash_change: i64,
        currency: &'a str,
        posted_at: i64,
    }
}

record! {
    /// Cash outside of trading.
    #[expect(dead_code, reason = "some columns only have to be what they were when they were sealed")]
    Cash<'a> in "cash_movement" {
        posting_sequence: Option<i64>,
        fact_sequence: i64,
        seal: &'a [u8],
        trade_id: Uuid,
        kind: i32,
        account_id: &'a str,
        request_id: &'a str,
        payload_hash: &'a [u8],
        requested: i64,
        amount: i64,
        currency: &'a str,
        counterparty_account_id: &'a str,
        counterparty_shard: i64,
        reverses: &'a str,
        reason: &'a str,
        proposed_by: &'a str,
        confirmed_by: &'a str,
        denial_code: i32,
        denial_message: &'a str,
        denial_limit: i64,
        denial_observed: i64,
        cash_after: i64,
        margin_after: i64,
        version_after: i64,
        is_frozen_after: bool,
        traceparent: &'a [u8],
        posted_at: i64,
    }
}

record! {
    /// What a decided market paid for one position.
    #[expect(dead_code, reason = "some columns only have to be what they were when they were sealed")]
    Payout<'a> in "payout" {
        posting_sequence: i64,
        fact_sequence: i64,
        seal: &'a [u8],
        booking_id: Uuid,
        account_id: &'a str,
        instrument_id: &'a str,
        venue: &'a str,
        value: i64,
        is_void: bool,
        style: i32,
        currency: &'a str,
        quantity: i64,
        cash_change: i64,
        realized_pnl: i64,
        traceparent: &'a [u8],
        posted_at: i64,
    }
}

record! {
    /// A wallet that left or came with its slot.
    MovedWallet<'a> in "moved_wallet" {
        posting_sequence: i64,
        is_inbound: bool,
        slot: i64,
        peer_shard: i64,
        account_id: &'a str,
        currency: &'a str,
        cash: i64,
        margin: i64,
        version: i64,
        is_frozen: bool,
        posted_at: i64,
    }
}

record! {
    /// A position that left or came with its slot.
    MovedPosition<'a> in "moved_position" {
        posting_sequence: i64,
        account_id: &'a str,
        instrument_id: &'a str,
        currency: &'a str,
        style: i32,
        quantity: i64,
        entry_notional: i64,
        margin: i64,
        realized_pnl: i64,
        fees: i64,
        account_version: i64,
    }
}

record! {
    /// Money that moved.
    Transfer<'a> in "transfer" {
        sequence: i64,
        posting_sequence: i64,
        kind: i32,
        debit_account: &'a str,
        credit_account: &'a str,
        amount: i64,
        account_id: &'a str,
        reference_id: Uuid,
        posted_at: i64,
    }
}

record! {
    /// A link of the hash chain.
    Batch<'a> in "batch" {
        sequence: i64,
        first_transfer: i64,
        last_transfer: i64,
        previous_hash: &'a [u8],
        hash: &'a [u8],
        posted_at: i64,
    }
}

record! {
    /// What an account holds in one currency.
    WalletNow<'a> in "wallet" {
        account_id: &'a str,
        currency: &'a str,
        cash: i64,
        margin: i64,
        version: i64,
        is_frozen: bool,
    }
}

record! {
    /// What an account holds of one instrument.
    PositionNow<'a> in "position" {
        account_id: &'a str,
        instrument_id: &'a str,
        currency: &'a str,
        style: i32,
        quantity: i64,
        entry_notional: i64,
        margin: i64,
        realized_pnl: i64,
        fees: i64,
        account_version: i64,
    }
}

record! {
    /// A trade: what of it can be recomputed, and what only its seal covers.
    #[expect(dead_code, reason = "some columns only have to be what they were when they were sealed")]
    Trade<'a> in "trade" {
        sequence: i64,
        fact_sequence: i64,
        seal: &'a [u8],
        trade_id: Uuid,
        account_id: &'a str,
        request_id: &'a str,
        tier: i32,
        payload_hash: &'a [u8],
        status: i32,
        denial_code: i32,
        denial_message: &'a [u8],
        denial_limit: i64,
        denial_observed: i64,
        rejection: &'a [u8],
        order_id: &'a str,
        instrument_id: &'a str,
        side: i32,
        quantity: i64,
        limit_price: i64,
        filled_quantity: i64,
        average_price: i64,
        fee: i64,
        cash_change: i64,
        currency: &'a str,
        account_version: i64,
        agent: &'a [u8],
        agent_id: &'a [u8],
        rationale: &'a [u8],
        traceparent: &'a [u8],
        created_at: i64,
        updated_at: i64,
    }
}

record! {
    /// What a wallet's cash was after a transfer.
    Noted<'a> in "cash_checkpoint" {
        sequence: i64,
        posted_at: i64,
        account_id: &'a str,
        currency: &'a str,
        cash: i64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        rows::{CashRow, ExecutionRow, PayoutRow, TradeRow},
        seal::Sealed,
    };

    fn check<R: SealedRecord, S: Sealed>() {
        let stored: Vec<_> = S::COLUMNS.split(", ").collect();
        let covered =
            stored.iter().enumerate().filter(|(place, column)| !S::LEFT_OUT.contains(place) && **column != "seal");
        let covered: Vec<_> = covered.map(|(_, column)| *column).collect();
        let read: Vec<_> = R::COLUMNS.split(", ").collect();
        assert_eq!((read[R::LEFT_OUT], &read[R::LEFT_OUT + 1..]), ("seal", covered.as_slice()), "{}", R::TABLE);
    }

    #[test]
    fn what_a_seal_covers_is_read_as_it_was_sealed() {
        check::<Execution<'_>, ExecutionRow>();
        check::<Cash<'_>, CashRow>();
        check::<Payout<'_>, PayoutRow>();
        check::<Trade<'_>, TradeRow>();
    }
}
