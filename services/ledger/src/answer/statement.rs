//! An account's statement: every transfer that changed its cash in one currency,
//! oldest first, with the cash after it.
//!
//! What an account took along to another shard left one shard and came into the
//! other, so it changes nothing and is not shown; the history of all shards in
//! which the account was is one statement.

use super::{
    Answers, invalid, no_wallet,
    pages::{Moment, bad_token, cut, transfer},
    source::{Source, Wanted},
};
use crate::{
    intake::currency,
    store::{
        StoreError,
        rows::{CheckpointRow, TransferRow, WalletRow, hex_text},
        session::{Arg, Pool, Sql},
    },
};
use sha2::{Digest as _, Sha256};
use tragen_contracts::{
    convert::{self, InvalidField},
    v1::{self, ledger_answer::Answer},
};
use tragen_domain::{
    id::{AccountId, Currency},
    ledger::{LedgerAccount, ResultCode},
};

/// Transfers added up in one statement: within its timeout, whatever the disk.
const ADDED_UP_MAX: i64 = 50_000;

// Kind 15 is TRANSFER_KIND_SLOT_MOVED.
const LINES: Sql = Sql::same(
    "SELECT * FROM transfer WHERE account_id = $1 AND (posted_at, sequence) > ($2, $3) AND posted_at < $4
        AND kind <> 15 AND (debit_account = $5 OR credit_account = $5)
     ORDER BY posted_at, sequence LIMIT $6",
);
const LINE: Sql = Sql::same(
    "SELECT * FROM transfer WHERE sequence = $1 AND account_id = $2 AND posted_at = $3
        AND kind <> 15 AND (debit_account = $4 OR credit_account = $4)",
);
const WALLET: Sql = Sql::same("SELECT * FROM wallet WHERE account_id = $1 AND currency = $2");
const CHECKPOINT: Sql = Sql::same(
    "SELECT * FROM cash_checkpoint WHERE account_id = $1 AND currency = $2 AND posted_at < $3
     ORDER BY posted_at DESC, sequence DESC LIMIT 1",
);
// Within a shard, later transfers have higher sequences.
const CHANGE: Sql = Sql::same(
    "SELECT CAST(COALESCE(SUM(change), 0) AS bigint) AS change, COUNT(*) AS transfers,
        COALESCE(MAX(posted_at), 0) AS posted_at, COALESCE(MAX(sequence), 0) AS sequence
     FROM (SELECT posted_at, sequence, CASE WHEN kind = 15 THEN 0 WHEN credit_account = $2 THEN amount
                                            WHEN debit_account = $2 THEN -amount ELSE 0 END AS change
           FROM transfer WHERE account_id = $1 AND (posted_at, sequence) > ($3, $4) AND posted_at < $5
           ORDER BY posted_at, sequence LIMIT $6) AS part",
);

/// Which statement it is.
#[derive(Debug)]
struct Asked<'a> {
    account: &'a AccountId,
    currency: &'a Currency,
    /// The wallet's name in the books.
    wallet: String,
    /// Microseconds since the epoch; `None` for the beginning.
    from: Option<i64>,
    /// Exclusive; `i64::MAX` for everything.
    to: i64,
}

/// Where a page ended: its last line, and the cash after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    moment: Moment,
    cash: i64,
}

/// Cash before the first of some transfers, which are one more than a page if another one follows.
type Page = (i128, Vec<(Moment, TransferRow)>);

impl Answers {
    pub(super) async fn statement(
        &self,
        account: &AccountId,
        request: &v1::GetStatementRequest,
    ) -> Result<Answer, v1::AskError> {
        let currency = currency("currency", &request.currency).map_err(|error| invalid(&error))?;
        let asked = Asked::new(account, &currency, request).map_err(|error| invalid(&error))?;
        let mark = match request.page_token.as_str() {
            "" => None,
            token => Some(asked.parse(token).ok_or_else(bad_token)?),
        };
        let size = self.page_size(request.page_size);
        let min_version = request.min_version;
        let wanted = Wanted { kind: "get_statement", account, currency: Some(&currency), min_version };
        let page = self.read(wanted, |source| self.statement_page(source, &asked, mark, size)).await?;
        let page = page.ok_or_else(|| if mark.is_some() { bad_token() } else { no_wallet(account, &currency) })?;
        let response = asked.response(page, size).ok_or_else(|| v1::AskError {
            code: 13,
            reason: ResultCode::OutOfRange.as_str().to_owned(),
            message: format!("the transfers of account {account} add up to more than there can be"),
        })?;
        Ok(Answer::Statement(response))
    }

    /// `None` if the account has no such wallet there, or the page before did not end there.
    async fn statement_page(
        &self,
        source: Source,
        asked: &Asked<'_>,
        mark: Option<Mark>,
        size: i64,
    ) -> Result<Option<Page>, StoreError> {
        let history = self.history(asked.account, &source);
        let (after, opening) = match mark {
            Some(mark) if is_line(&history, asked, mark.moment).await? => (mark.moment, mark.cash.into()),
            Some(_) => return Ok(None),
            None => match opening(&history, asked).await? {
                Some(opening) => (asked.begin(), opening),
                None => return Ok(None),
            },
        };
        let mut rows = Vec::new();
        for Source { shard, pool, .. } in &history {
            let (posted_at, sequence) = after.within(*shard);
            let args = [
                Arg::Text(asked.account.as_str()),
                Arg::Int(posted_at),
                Arg::Int(sequence),
                Arg::Int(asked.to),
                Arg::Text(&asked.wallet),
                Arg::Int(size + 1),
            ];
            let found: Vec<TransferRow> = pool.rows(LINES, &args).await?;
            rows.extend(found.into_iter().map(|row| (Moment::of(*shard, &row), row)));
        }
        rows.sort_by_key(|(moment, _)| *moment);
        // A replica that has only the page's last line is asked too early for the next ones.
        let is_there = (mark.is_none() || !rows.is_empty()) && source.keeps(asked.account).await?;
        Ok(is_there.then_some((opening, rows)))
    }
}

impl<'a> Asked<'a> {
    fn new(
        account: &'a AccountId,
        currency: &'a Currency,
        request: &v1::GetStatementRequest,
    ) -> Result<Self, InvalidField> {
        let from = request.from.as_ref().map(|from| convert::time("from", from)).transpose()?;
        let to = request.to.as_ref().map(|to| convert::time("to", to)).transpose()?;
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return Err(InvalidField::new("to", "PERIOD_INVALID", "must be after `from`"));
        }
        let wallet = LedgerAccount::Wallet(account.clone(), currency.clone()).to_string();
        let to = to.map_or(i64::MAX, |to| to.micros());
        Ok(Self { account, currency, wallet, from: from.map(|from| from.micros()), to })
    }

    /// Just before the period.
    fn begin(&self) -> Moment {
        self.from.map_or(Moment::FIRST, |posted_at| Moment { posted_at, ..Moment::FIRST })
    }

    /// What a transfer changes the cash by.
    fn change(&self, row: &TransferRow) -> i128 {
        let amount = i128::from(row.amount);
        if row.credit_account == self.wallet { amount } else { -amount }
    }

    /// `None` if a sum does not fit.
    fn response(&self, (opening, rows): Page, size: i64) -> Option<v1::GetStatementResponse> {
        let (rows, last) = cut(rows, size);
        let (mut cash, mut lines) = (opening, Vec::with_capacity(rows.len()));
        for (_, row) in rows {
            let change = self.change(&row);
            cash += change;
            lines.push(v1::StatementLine {
                transfer: Some(transfer(row)),
                amount_micros: change.try_into().ok()?,
                cash_micros: cash.try_into().ok()?,
            });
        }
        let closing_cash_micros = cash.try_into().ok()?;
        let mark = last.map(|(moment, _)| Mark { moment, cash: closing_cash_micros });
        Some(v1::GetStatementResponse {
            opening_cash_micros: opening.try_into().ok()?,
            lines,
            closing_cash_micros,
            next_page_token: mark.map(|mark| self.token(mark)).unwrap_or_default(),
        })
    }

    fn token(&self, mark: Mark) -> String {
        format!("s{}.{}.{}", mark.moment.token(), mark.cash, self.seal(mark))
    }

    fn parse(&self, token: &str) -> Option<Mark> {
        let mut parts = token.strip_prefix('s')?.split('.');
        let mark = Mark { moment: Moment::parse(&mut parts)?, cash: parts.next()?.parse().ok()? };
        let is_own = parts.next() == Some(&self.seal(mark)) && parts.next().is_none();
        is_own.then_some(mark)
    }

    /// Binds a token to this statement: the cash in it belongs to no other one.
    fn seal(&self, mark: Mark) -> String {
        let Self { account, currency, from, to, .. } = self;
        let text = format!("{account}/{currency}/{from:?}/{to}/{}/{}", mark.moment.token(), mark.cash);
        hex_text(&Sha256::digest(text)[..8])
    }
}

async fn is_line(history: &[Source], asked: &Asked<'_>, moment: Moment) -> Result<bool, StoreError> {
    let Some(source) = history.iter().find(|source| source.shard == moment.shard) else { return Ok(false) };
    let args = [
        Arg::Int(moment.sequence),
        Arg::Text(asked.account.as_str()),
        Arg::Int(moment.posted_at),
        Arg::Text(&asked.wallet),
    ];
    Ok(source.pool.one::<TransferRow>(LINE, &args).await?.is_some())
}

/// The cash before the period: that of the last checkpoint, and what has changed it since. `None` if
/// there is no such wallet.
async fn opening(history: &[Source], asked: &Asked<'_>) -> Result<Option<i128>, StoreError> {
    let wallet = [Arg::Text(asked.account.as_str()), Arg::Text(asked.currency.as_str())];
    let Some(Source { pool, .. }) = history.first() else { return Ok(None) };
    if pool.one::<WalletRow>(WALLET, &wallet).await?.is_none() {
        return Ok(None);
    }
    let Some(from) = asked.from else { return Ok(Some(0)) };
    let (mut after, mut cash) = (Moment::FIRST, 0);
    for Source { shard, pool, .. } in history {
        let args = [wallet[0], wallet[1], Arg::Int(from)];
        if let Some(CheckpointRow { posted_at, sequence, cash: noted, .. }) = pool.one(CHECKPOINT, &args).await? {
            let moment = Moment { posted_at, shard: *shard, sequence };
            if moment > after {
                (after, cash) = (moment, i128::from(noted));
            }
        }
    }
    for Source { shard, pool, .. } in history {
        cash += change(pool, asked, after.within(*shard), from).await?;
    }
    Ok(Some(cash))
}

/// What the transfers after a time and sequence, and before `to`, changed the cash by. In pages:
/// an account may have any number of transfers in its other currencies.
async fn change(pool: &Pool, asked: &Asked<'_>, mut after: (i64, i64), to: i64) -> Result<i128, StoreError> {
    let mut sum = 0;
    loop {
        let args = [
            Arg::Text(asked.account.as_str()),
            Arg::Text(&asked.wallet),
            Arg::Int(after.0),
            Arg::Int(after.1),
            Arg::Int(to),
            Arg::Int(ADDED_UP_MAX),
        ];
        let part: Option<(i64, i64, i64, i64)> = pool.one(CHANGE, &args).await?;
        let (change, transfers, posted_at, sequence) = part.unwrap_or_default();
        sum += i128::from(change);
        if transfers < ADDED_UP_MAX {
            return Ok(sum);
        }
        after = (posted_at, sequence);
    }
}
