//! Questions that are not about one account: put to every shard.

use super::{
    Answers, invalid,
    source::{Wanted, within},
    unavailable,
};
use crate::{
    facts,
    slot::{Place, Slots},
    store::{
        Books, Known,
        rows::{PositionRow, WalletRow},
        session::{Arg, Sql},
    },
    writer::busy,
};
use std::collections::HashMap;
use tragen_contracts::{
    convert::InvalidField,
    v1::{self, ledger_answer::Answer},
};
use tragen_domain::{id::AccountId, ledger::ResultCode};
use uuid::Uuid;

/// How often a page of accounts is read anew because slots moved meanwhile.
pub(super) const PAGE_ATTEMPTS_MAX: u32 = 3;

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

/// The accounts of a page by their id, each with its shard's place in the books and its wallets.
type Listed = Vec<(String, usize, Vec<v1::Account>)>;

impl Answers {
    /// The committed ones of trades of any account. While a shard does not answer, nobody
    /// knows what it has committed, so that is an error unless it is accepted.
    pub(super) async fn outcomes(&self, question: &v1::OutcomesQuestion) -> Result<Answer, v1::AskError> {
        let trade_ids = self.trade_ids(question)?;
        let ask = |books: &Books| {
            let (books, trade_ids) = (books.clone(), trade_ids.clone());
            async move { (books.shard, within(books.outcomes(trade_ids)).await) }
        };
        let (answers, _) = futures::join!(futures::future::join_all(self.books.iter().map(ask)), self.all_slots());
        let (mut found, mut failed) = (Vec::new(), None);
        for (shard, known) in answers {
            match known {
                Ok(known) => found.push((shard, known)),
                Err(error) => failed = Some(error),
            }
        }
        let homes = self.homes(&found);
        let is_complete = !trade_ids.is_empty() && trade_ids.iter().all(|id| homes.contains_key(id));
        if let Some(error) = failed.filter(|_| !is_complete && !question.accept_partial) {
            return Err(unavailable(error));
        }
        let mut facts = Vec::new();
        for (shard, mut known) in found {
            known.trades.retain(|row| homes.get(&row.trade_id) == Some(&shard));
            known.cash.retain(|row| homes.get(&row.trade_id) == Some(&shard));
            facts.extend(facts::of_known(shard, known));
        }
        Ok(Answer::Outcomes(v1::Outcomes { facts }))
    }

    /// The committed ones of trades of one account: only its shard is asked.
    pub(super) async fn outcomes_of(
        &self,
        account: &AccountId,
        question: &v1::OutcomesQuestion,
    ) -> Result<Answer, v1::AskError> {
        let trade_ids = self.trade_ids(question)?;
        let wanted = Wanted { kind: "outcomes", account, currency: None, min_version: 0 };
        let found = self.read(wanted, |source| {
            let (books, trade_ids) = (self.books.get(usize::from(source.shard)), trade_ids.clone());
            async move {
                let is_kept = source.keeps(account).await?;
                match books.filter(|_| is_kept) {
                    Some(books) => Ok(Some((books.shard, books.outcomes(trade_ids).await?))),
                    None => Ok(None),
                }
            }
        });
        let facts = found.await?.map(|(shard, mut known)| {
            known.trades.retain(|row| row.account_id == account.as_str());
            known.cash.retain(|row| row.account_id == account.as_str());
            facts::of_known(shard, known)
        });
        Ok(Answer::Outcomes(v1::Outcomes { facts: facts.unwrap_or_default() }))
    }

    fn trade_ids(&self, question: &v1::OutcomesQuestion) -> Result<Vec<Uuid>, v1::AskError> {
        let limit = self.config.outcomes_max;
        if question.trade_ids.len() > limit {
            let message = format!("{} ids, at most {limit} are allowed", question.trade_ids.len());
            return Err(invalid(&InvalidField::new("trade_ids", "TOO_MANY", message)));
        }
        // What is no id was never booked.
        Ok(question.trade_ids.iter().filter_map(|id| Uuid::try_parse(id).ok()).collect())
    }

    /// Which shard's rows count: those that came with a slot are in the shard before, too.
    fn homes(&self, found: &[(u16, Known)]) -> HashMap<Uuid, u16> {
        let mut homes = HashMap::new();
        for (shard, known) in found {
            let trades = known.trades.iter().map(|row| (row.trade_id, &row.account_id));
            for (id, account_id) in trades.chain(known.cash.iter().map(|row| (row.trade_id, &row.account_id))) {
                if self.directory.shard_of(account_id) == *shard {
                    homes.insert(id, *shard);
                } else {
                    homes.entry(id).or_insert(*shard);
                }
            }
        }
        homes
    }

    /// A page of all accounts. None may be missing or there twice, so it is read
    /// anew when slots have moved meanwhile, and needs every shard.
    pub(super) async fn accounts_page(&self, page: &v1::AccountsPageQuestion) -> Result<Answer, v1::AskError> {
        for _ in 0..PAGE_ATTEMPTS_MAX {
            let slots = self.all_slots().await?;
            let answer = self.read_accounts_page(page, &slots).await?;
            if slots == self.all_slots().await? {
                return Ok(Answer::AccountsPage(answer));
            }
        }
        Err(moving())
    }

    /// The slots of every shard, by the shard's place; empty when there is only one.
    pub(super) async fn all_slots(&self) -> Result<Vec<Slots>, v1::AskError> {
        if self.books.len() == 1 {
            return Ok(Vec::new());
        }
        let slots: Option<Vec<Slots>> = self.slots().await.into_iter().collect();
        let silent = || "a database of the ledger does not answer".to_owned();
        slots.ok_or_else(|| busy(ResultCode::StoreUnavailable.as_str(), silent()))
    }

    async fn read_accounts_page(
        &self,
        page: &v1::AccountsPageQuestion,
        slots: &[Slots],
    ) -> Result<v1::AccountsPage, v1::AskError> {
        let size_max = self.config.accounts_page_size_max;
        let size = if page.page_size <= 0 { size_max } else { page.page_size.min(size_max) };
        let size = usize::try_from(size).unwrap_or_default();
        let (listed, next_account_id) = self.read_wallets(page, size, slots).await?;
        let mut positions: HashMap<String, Vec<v1::Position>> = HashMap::new();
        for (place, books) in self.books.iter().enumerate() {
            let here = listed.iter().filter(|(_, home, _)| *home == place);
            let account_ids: Vec<String> = here.map(|(account_id, ..)| account_id.clone()).collect();
            if account_ids.is_empty() {
                continue;
            }
            let rows: Vec<PositionRow> =
                books.primary.rows(OPEN_POSITIONS, &[Arg::Texts(&account_ids)]).await.map_err(unavailable)?;
            for row in rows {
                positions.entry(row.account_id.clone()).or_default().push(facts::position(&row));
            }
        }
        let snapshot = |(account_id, _, balances): (String, usize, Vec<v1::Account>)| v1::AccountSnapshot {
            balances,
            positions: positions.remove(&account_id).unwrap_or_default(),
        };
        Ok(v1::AccountsPage { accounts: listed.into_iter().map(snapshot).collect(), next_account_id })
    }

    /// The accounts of the page, and where the next one begins; empty on the last page.
    async fn read_wallets(
        &self,
        page: &v1::AccountsPageQuestion,
        size: usize,
        slots: &[Slots],
    ) -> Result<(Listed, String), v1::AskError> {
        let after = page.after_account_id.replace('\0', "");
        let args = [Arg::Text(&after), Arg::Int(i64::try_from(size).unwrap_or(i64::MAX).saturating_add(1))];
        let mut listed: Listed = Vec::new();
        // Beyond it a shard may have accounts that were not read.
        let mut horizon: Option<String> = None;
        for (place, books) in self.books.iter().enumerate() {
            let rows: Vec<WalletRow> = books.primary.rows(WALLETS_AFTER, &args).await.map_err(unavailable)?;
            let accounts = rows.chunk_by(|a, b| a.account_id == b.account_id);
            if accounts.clone().count() > size
                && let Some(last) = rows.last()
                && horizon.as_ref().is_none_or(|horizon| last.account_id < *horizon)
            {
                horizon = Some(last.account_id.clone());
            }
            for wallets in accounts {
                let account_id = &wallets[0].account_id;
                // What has left with its slot stays behind as history.
                if slots.is_empty() || keeper(slots, account_id)? == Some(place) {
                    listed.push((account_id.clone(), place, wallets.iter().map(facts::account).collect()));
                }
            }
        }
        listed.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        if let Some(horizon) = &horizon {
            listed.retain(|(account_id, ..)| account_id <= horizon);
        }
        if listed.len() > size {
            listed.truncate(size);
            horizon = listed.last().map(|(account_id, ..)| account_id.clone());
        }
        Ok((listed, horizon.unwrap_or_default()))
    }
}

/// The place of the shard that keeps an account; `None` if none ever did.
pub(super) fn keeper(slots: &[Slots], account_id: &str) -> Result<Option<usize>, v1::AskError> {
    let places = || slots.iter().map(|slots| slots.place(account_id));
    let keeper = places().position(|place| place == Place::Here);
    let keeper = keeper.or_else(|| places().position(|place| matches!(place, Place::Leaving { .. })));
    let is_away = keeper.is_none() && places().any(|place| matches!(place, Place::Gone { .. }));
    if is_away { Err(moving()) } else { Ok(keeper) }
}

/// Accounts are moving: what is read of several shards may be there twice or not at all.
pub(super) fn moving() -> v1::AskError {
    busy(ResultCode::SlotMoving.as_str(), "accounts are moving between shards; ask again".to_owned())
}
