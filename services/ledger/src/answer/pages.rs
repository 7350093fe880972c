//! Lists, page by page. A page token says where the last page ended; it is the
//! reader's to pass back, not to understand.

use super::{
    Answers, invalid,
    source::{Source, Wanted},
};
use crate::{
    facts,
    store::{
        rows::{PositionRow, TradeRow, TransferRow},
        session::{Arg, Sql},
    },
};
use std::cmp::Reverse;
use tragen_contracts::{
    convert::{self, InvalidField},
    v1::{self, ledger_answer::Answer},
};
use tragen_domain::{
    id::{AccountId, InstrumentId},
    time::Timestamp,
};
use uuid::Uuid;

const TRADES: Sql = Sql::same(
    "SELECT * FROM trade WHERE account_id = $1 AND sequence < $2
        AND EXISTS (SELECT 1 FROM slot WHERE slot = $3 AND state <= $4)
     ORDER BY sequence DESC LIMIT $5",
);
const TRADE_SEQUENCE: Sql = Sql::same("SELECT sequence FROM trade WHERE trade_id = $1 AND account_id = $2");
const TRANSFERS: Sql = Sql::same(
    "SELECT * FROM transfer WHERE account_id = $1 AND (posted_at, sequence) < ($2, $3)
     ORDER BY posted_at DESC, sequence DESC LIMIT $4",
);
const POSITIONS: Sql = Sql::same(
    "SELECT * FROM position WHERE account_id = $1 AND instrument_id > $2 AND quantity <> 0
        AND EXISTS (SELECT 1 FROM slot WHERE slot = $3 AND state <= $4)
     ORDER BY instrument_id LIMIT $5",
);

/// A transfer's place in an account's history, which may be spread over several
/// shards: by time, and within the same microsecond by shard and sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    pub(super) posted_at: i64,
    pub(super) shard: u16,
    pub(super) sequence: i64,
}

impl Moment {
    /// Before everything that was ever posted.
    pub(super) const FIRST: Self = Self { posted_at: i64::MIN, shard: 0, sequence: i64::MIN };
    /// After everything that will ever be posted.
    pub(super) const LAST: Self = Self { posted_at: i64::MAX, shard: u16::MAX, sequence: i64::MAX };

    /// Of a transfer of `shard`.
    pub(super) const fn of(shard: u16, row: &TransferRow) -> Self {
        Self { posted_at: row.posted_at, shard, sequence: row.sequence }
    }

    /// The same place among the transfers of `shard`: time and sequence, both exclusive.
    pub(super) const fn within(self, shard: u16) -> (i64, i64) {
        match self.shard {
            own if own == shard => (self.posted_at, self.sequence),
            own if own > shard => (self.posted_at, i64::MAX),
            _ => (self.posted_at, i64::MIN),
        }
    }

    /// As part of a page token.
    pub(super) fn token(self) -> String {
        format!("{}.{}.{}", self.posted_at, self.shard, self.sequence)
    }

    /// Out of the parts of a page token.
    pub(super) fn parse<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        let posted_at = parts.next()?.parse().ok()?;
        let shard = parts.next()?.parse().ok()?;
        Some(Self { posted_at, shard, sequence: parts.next()?.parse().ok()? })
    }
}

impl Answers {
    pub(super) async fn trades(
        &self,
        account: &AccountId,
        request: &v1::ListTradesRequest,
    ) -> Result<Answer, v1::AskError> {
        let size = self.page_size(request.page_size);
        // Trades get new sequences when they come to another shard with their slot; their ids stay.
        let last_seen = match request.page_token.as_str() {
            "" => None,
            token => {
                let id = token.strip_prefix('t').and_then(|id| Uuid::try_parse(id).ok());
                Some(id.ok_or_else(bad_token)?)
            }
        };
        let wanted = Wanted { kind: "list_trades", account, currency: None, min_version: request.min_version };
        let rows = self.read(wanted, |source| async move {
            let [slot, state] = source.kept(account);
            let account = Arg::Text(account.as_str());
            let before = match last_seen {
                None => i64::MAX,
                Some(id) => match source.pool.one(TRADE_SEQUENCE, &[Arg::Uuid(id), account]).await? {
                    Some((sequence,)) => sequence,
                    None => return Ok(None),
                },
            };
            let args = [account, Arg::Int(before), slot, state, Arg::Int(size + 1)];
            Ok(some(source.pool.rows::<TradeRow>(TRADES, &args).await?))
        });
        let rows = match rows.await? {
            None if last_seen.is_some() => return Err(bad_token()),
            rows => rows.unwrap_or_default(),
        };
        let (rows, last) = cut(rows, size);
        Ok(Answer::Trades(v1::ListTradesResponse {
            trades: rows.iter().map(facts::trade).collect(),
            next_page_token: last.map(|row| format!("t{}", row.trade_id.simple())).unwrap_or_default(),
        }))
    }

    /// Over all shards that the account was ever in; what it took along from one to the next is part of it.
    pub(super) async fn transfers(
        &self,
        account: &AccountId,
        request: &v1::ListTransfersRequest,
    ) -> Result<Answer, v1::AskError> {
        let size = self.page_size(request.page_size);
        let before = match request.page_token.as_str() {
            "" => Moment::LAST,
            token => token.strip_prefix('m').and_then(whole).ok_or_else(bad_token)?,
        };
        let wanted = Wanted { kind: "list_transfers", account, currency: None, min_version: request.min_version };
        let rows = self.read(wanted, |source| async move {
            let mut rows = Vec::new();
            for Source { shard, pool, .. } in self.history(account, &source) {
                let (posted_at, sequence) = before.within(shard);
                let args = [Arg::Text(account.as_str()), Arg::Int(posted_at), Arg::Int(sequence), Arg::Int(size + 1)];
                let found: Vec<TransferRow> = pool.rows(TRANSFERS, &args).await?;
                rows.extend(found.into_iter().map(|row| (Moment::of(shard, &row), row)));
            }
            rows.sort_by_key(|(moment, _)| Reverse(*moment));
            // Looked at last: what was read before is complete if the account is still there.
            Ok(if source.keeps(account).await? { some(rows) } else { None })
        });
        let (rows, last) = cut(rows.await?.unwrap_or_default(), size);
        Ok(Answer::Transfers(v1::ListTransfersResponse {
            transfers: rows.into_iter().map(|(_, row)| transfer(row)).collect(),
            next_page_token: last.map(|(moment, _)| format!("m{}", moment.token())).unwrap_or_default(),
        }))
    }

    pub(super) async fn positions(
        &self,
        account: &AccountId,
        request: &v1::ListPositionsRequest,
    ) -> Result<Answer, v1::AskError> {
        let size = self.page_size(request.page_size);
        let after = match request.page_token.as_str() {
            "" => String::new(),
            token => {
                let id = token.strip_prefix('p').and_then(|id| InstrumentId::new(id).ok());
                id.ok_or_else(bad_token)?.to_string()
            }
        };
        let (after, min_version) = (after.as_str(), request.min_version);
        let wanted = Wanted { kind: "list_positions", account, currency: None, min_version };
        let rows = self.read(wanted, |source| async move {
            let [slot, state] = source.kept(account);
            let args = [Arg::Text(account.as_str()), Arg::Text(after), slot, state, Arg::Int(size + 1)];
            Ok(some(source.pool.rows::<PositionRow>(POSITIONS, &args).await?))
        });
        let (rows, last) = cut(rows.await?.unwrap_or_default(), size);
        Ok(Answer::Positions(v1::ListPositionsResponse {
            positions: rows.iter().map(facts::position).collect(),
            next_page_token: last.map(|row| format!("p{}", row.instrument_id)).unwrap_or_default(),
        }))
    }

    pub(super) fn page_size(&self, asked: i32) -> i64 {
        let size = if asked <= 0 { self.config.page_size_default } else { asked.min(self.config.page_size_max) };
        i64::from(size)
    }
}

/// Rows, if there are any.
fn some<T>(rows: Vec<T>) -> Option<Vec<T>> {
    if rows.is_empty() { None } else { Some(rows) }
}

/// The page, and its last row if another page follows.
pub(super) fn cut<T: Clone>(mut rows: Vec<T>, size: i64) -> (Vec<T>, Option<T>) {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let has_more = rows.len() > size;
    rows.truncate(size);
    let last = rows.last().filter(|_| has_more).cloned();
    (rows, last)
}

/// A moment that is all of a token.
fn whole(token: &str) -> Option<Moment> {
    let mut parts = token.split('.');
    let moment = Moment::parse(&mut parts)?;
    parts.next().is_none().then_some(moment)
}

pub(super) fn bad_token() -> v1::AskError {
    invalid(&InvalidField::new("page_token", "PAGE_TOKEN_INVALID", "is not a token of this list"))
}

/// The currency of a ledger account: the last part of its name.
fn currency_of(ledger_account: &str) -> &str {
    ledger_account.rsplit('/').next().unwrap_or_default()
}

/// The public form of a transfer.
pub(super) fn transfer(row: TransferRow) -> v1::Transfer {
    v1::Transfer {
        sequence: row.sequence,
        kind: row.kind,
        currency: currency_of(&row.debit_account).to_owned(),
        debit_account: row.debit_account,
        credit_account: row.credit_account,
        amount_micros: row.amount,
        reference_id: row.reference_id.to_string(),
        posted_at: Some(convert::timestamp(Timestamp::from_micros(row.posted_at))),
    }
}
