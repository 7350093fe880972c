//! Lists, page by page. A page token says where the last page ended; it is the
//! reader's to pass back, not to understand.

use super::{Answers, invalid, unavailable};
use crate::{
    facts,
    store::{
        rows::{PositionRow, TradeRow, TransferRow, WalletRow},
        session::{Arg, Sql},
    },
};
use std::collections::HashMap;
use tragen_contracts::{
    convert::{self, InvalidField},
    v1::{self, ledger_answer::Answer},
};
use tragen_domain::{
    id::{AccountId, InstrumentId},
    time::Timestamp,
};

const TRADES: Sql =
    Sql::same("SELECT * FROM trade WHERE account_id = $1 AND sequence < $2 ORDER BY sequence DESC LIMIT $3");
const TRANSFERS: Sql =
    Sql::same("SELECT * FROM transfer WHERE account_id = $1 AND sequence < $2 ORDER BY sequence DESC LIMIT $3");
const POSITIONS: Sql = Sql::same(
    "SELECT * FROM position WHERE account_id = $1 AND instrument_id > $2 AND quantity <> 0
     ORDER BY instrument_id LIMIT $3",
);
const WALLETS_AFTER: Sql = Sql::same(
    "SELECT * FROM wallet WHERE account_id IN
        (SELECT DISTINCT account_id FROM wallet WHERE account_id > $1 ORDER BY account_id LIMIT $2)
     ORDER BY account_id, currency",
);
const OPEN_POSITIONS: Sql = Sql::new(
    "SELECT * FROM position WHERE account_id IN (SELECT value FROM json_each($1)) AND quantity <> 0
     ORDER BY account_id, instrument_id",
    "SELECT * FROM position WHERE account_id = ANY($1) AND quantity <> 0 ORDER BY account_id, instrument_id",
);

impl Answers {
    pub(super) async fn trades(
        &self,
        account: &AccountId,
        request: &v1::ListTradesRequest,
    ) -> Result<Answer, v1::AskError> {
        let size = self.page_size(request.page_size);
        let before = sequence_of('t', &request.page_token)?;
        let args = [Arg::Text(account.as_str()), Arg::Int(before), Arg::Int(size + 1)];
        let rows: Vec<TradeRow> = self.store.rows(TRADES, &args).await.map_err(unavailable)?;
        let (rows, last) = cut(rows, size);
        Ok(Answer::Trades(v1::ListTradesResponse {
            trades: rows.iter().map(facts::trade).collect(),
            next_page_token: last.map(|row| format!("t{:x}", row.sequence)).unwrap_or_default(),
        }))
    }

    pub(super) async fn transfers(
        &self,
        account: &AccountId,
        request: &v1::ListTransfersRequest,
    ) -> Result<Answer, v1::AskError> {
        let size = self.page_size(request.page_size);
        let before = sequence_of('m', &request.page_token)?;
        let args = [Arg::Text(account.as_str()), Arg::Int(before), Arg::Int(size + 1)];
        let rows: Vec<TransferRow> = self.store.rows(TRANSFERS, &args).await.map_err(unavailable)?;
        let (rows, last) = cut(rows, size);
        let next_page_token = last.map(|row| format!("m{:x}", row.sequence)).unwrap_or_default();
        let transfers = rows.into_iter().map(transfer).collect();
        Ok(Answer::Transfers(v1::ListTransfersResponse { transfers, next_page_token }))
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
        let args = [Arg::Text(account.as_str()), Arg::Text(&after), Arg::Int(size + 1)];
        let rows: Vec<PositionRow> = self.store.rows(POSITIONS, &args).await.map_err(unavailable)?;
        let (rows, last) = cut(rows, size);
        Ok(Answer::Positions(v1::ListPositionsResponse {
            positions: rows.iter().map(facts::position).collect(),
            next_page_token: last.map(|row| format!("p{}", row.instrument_id)).unwrap_or_default(),
        }))
    }

    pub(super) async fn accounts_page(&self, page: &v1::AccountsPageQuestion) -> Result<Answer, v1::AskError> {
        let size_max = self.config.accounts_page_size_max;
        let size = if page.page_size <= 0 { size_max } else { page.page_size.min(size_max) };
        let after = page.after_account_id.replace('\0', "");
        let args = [Arg::Text(&after), Arg::Int(i64::from(size) + 1)];
        let rows: Vec<WalletRow> = self.store.rows(WALLETS_AFTER, &args).await.map_err(unavailable)?;
        let mut wallets: Vec<(String, Vec<v1::Account>)> = Vec::new();
        for row in rows {
            let balance = facts::account(&row);
            match wallets.last_mut() {
                Some((account_id, balances)) if *account_id == row.account_id => balances.push(balance),
                _ => wallets.push((row.account_id, vec![balance])),
            }
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let has_more = wallets.len() > size;
        wallets.truncate(size);
        let account_ids: Vec<String> = wallets.iter().map(|(account_id, _)| account_id.clone()).collect();
        let rows: Vec<PositionRow> =
            self.store.rows(OPEN_POSITIONS, &[Arg::Texts(&account_ids)]).await.map_err(unavailable)?;
        let mut positions: HashMap<String, Vec<v1::Position>> = HashMap::new();
        for row in rows {
            positions.entry(row.account_id.clone()).or_default().push(facts::position(&row));
        }
        let snapshot = |(account_id, balances): (String, Vec<v1::Account>)| v1::AccountSnapshot {
            balances,
            positions: positions.remove(&account_id).unwrap_or_default(),
        };
        Ok(Answer::AccountsPage(v1::AccountsPage {
            accounts: wallets.into_iter().map(snapshot).collect(),
            next_account_id: if has_more { account_ids.last().cloned().unwrap_or_default() } else { String::new() },
        }))
    }

    fn page_size(&self, asked: i32) -> i64 {
        let size = if asked <= 0 { self.config.page_size_default } else { asked.min(self.config.page_size_max) };
        i64::from(size)
    }
}

/// The page, and its last row if another page follows.
fn cut<T: Clone>(mut rows: Vec<T>, size: i64) -> (Vec<T>, Option<T>) {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let has_more = rows.len() > size;
    rows.truncate(size);
    let last = rows.last().filter(|_| has_more).cloned();
    (rows, last)
}

fn sequence_of(kind: char, token: &str) -> Result<i64, v1::AskError> {
    if token.is_empty() {
        return Ok(i64::MAX);
    }
    token.strip_prefix(kind).and_then(|digits| i64::from_str_radix(digits, 16).ok()).ok_or_else(bad_token)
}

fn bad_token() -> v1::AskError {
    invalid(&InvalidField::new("page_token", "PAGE_TOKEN_INVALID", "is not a token of this list"))
}

fn transfer(row: TransferRow) -> v1::Transfer {
    v1::Transfer {
        sequence: row.sequence,
        kind: row.kind,
        debit_account: row.debit_account,
        credit_account: row.credit_account,
        amount_micros: row.amount,
        currency: row.currency,
        reference_id: row.reference_id,
        posted_at: Some(convert::timestamp(Timestamp::from_micros(row.posted_at))),
    }
}
