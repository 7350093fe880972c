//! Cash and one position of many accounts at once: a signal that concerns thousands of agents costs a read for
//! each shard and not two for each agent.

use super::{
    Answers, invalid,
    source::{Wanted, within},
    unavailable,
};
use crate::{
    intake::currency,
    slot::Place,
    store::{
        Books,
        session::{Arg, Sql},
    },
};
use futures::future::try_join_all;
use std::collections::BTreeMap;
use tragen_contracts::{
    convert::{self, InvalidField},
    v1::{self, ledger_answer::Answer},
};
use tragen_domain::id::{AccountId, Currency, InstrumentId};

/// Most accounts of one question.
const ACCOUNTS_MAX: usize = 1_000;

const HOLDINGS: Sql = Sql::new(
    "SELECT wallet.account_id, wallet.cash, COALESCE(position.quantity, 0) FROM wallet
        LEFT JOIN position ON position.account_id = wallet.account_id AND position.instrument_id = $3
     WHERE wallet.account_id IN (SELECT value FROM json_each($1)) AND wallet.currency = $2",
    "SELECT wallet.account_id, wallet.cash, COALESCE(position.quantity, 0) FROM wallet
        LEFT JOIN position ON position.account_id = wallet.account_id AND position.instrument_id = $3
     WHERE wallet.account_id = ANY($1) AND wallet.currency = $2",
);
const HOLDING: Sql = Sql::same(
    "SELECT wallet.account_id, wallet.cash, COALESCE(position.quantity, 0) FROM wallet
        LEFT JOIN position ON position.account_id = wallet.account_id AND position.instrument_id = $3
     WHERE wallet.account_id = $1 AND wallet.currency = $2
        AND EXISTS (SELECT 1 FROM slot WHERE slot = $4 AND state <= $5)",
);

/// Account, cash and quantity, micros.
type Row = (String, i64, i64);

/// What is asked of every account.
struct Question {
    currency: Currency,
    instrument: InstrumentId,
}

impl Answers {
    /// What the accounts have now; those without such a wallet are absent.
    pub(super) async fn holdings(&self, asked: &v1::HoldingsQuestion) -> Result<Answer, v1::AskError> {
        if asked.account_ids.len() > ACCOUNTS_MAX {
            let message = format!("{} accounts, at most {ACCOUNTS_MAX} are allowed", asked.account_ids.len());
            return Err(invalid(&InvalidField::new("account_ids", "TOO_MANY", message)));
        }
        let question = Question {
            currency: currency("currency", &asked.currency).map_err(|error| invalid(&error))?,
            instrument: convert::id("instrument_id", &asked.instrument_id).map_err(|error| invalid(&error))?,
        };
        let mut by_shard: BTreeMap<u16, Vec<String>> = BTreeMap::new();
        for account_id in &asked.account_ids {
            let account: AccountId = convert::id("account_ids", account_id).map_err(|error| invalid(&error))?;
            by_shard.entry(self.directory.shard_of(account.as_str())).or_default().push(account.to_string());
        }
        let reads = by_shard.iter().map(|(shard, accounts)| self.of_shard(*shard, accounts, &question));
        let holdings = try_join_all(reads).await?.into_iter().flatten();
        let holding =
            |(account_id, cash_micros, quantity_micros)| v1::Holding { account_id, cash_micros, quantity_micros };
        Ok(Answer::Holdings(v1::Holdings { holdings: holdings.map(holding).collect() }))
    }

    /// Those of one shard; accounts whose slot has left it are followed one by one.
    async fn of_shard(&self, shard: u16, accounts: &[String], question: &Question) -> Result<Vec<Row>, v1::AskError> {
        let books: &Books = self.books.get(usize::from(shard)).unwrap_or(&self.books[0]);
        let args =
            [Arg::Texts(accounts), Arg::Text(question.currency.as_str()), Arg::Text(question.instrument.as_str())];
        let mut rows: Vec<Row> = within(books.primary.rows(HOLDINGS, &args)).await.map_err(unavailable)?;
        if self.books.len() > 1 {
            // Looked at last: what was read before is the newest if the slot is still here.
            let slots = within(books.slots()).await.map_err(unavailable)?;
            let is_here = |account: &str| slots.place(account) == Place::Here;
            rows.retain(|(account, ..)| is_here(account));
            for account in accounts.iter().filter(|account| !is_here(account)) {
                rows.extend(self.of_account(account, question).await?);
            }
        }
        Ok(rows)
    }

    async fn of_account(&self, account: &str, question: &Question) -> Result<Option<Row>, v1::AskError> {
        let account: AccountId = convert::id("account_ids", account).map_err(|error| invalid(&error))?;
        let (own, currency) = (&account, &question.currency);
        let wanted = Wanted { kind: "holdings", account: own, currency: Some(currency), min_version: 0 };
        self.read(wanted, |source| async move {
            let [slot, state] = source.kept(own);
            let (currency, instrument) = (Arg::Text(currency.as_str()), Arg::Text(question.instrument.as_str()));
            source.pool.one::<Row>(HOLDING, &[Arg::Text(own.as_str()), currency, instrument, slot, state]).await
        })
        .await
    }
}
