//! What the accounts of agents have: read from the ledger when a signal is acted on, many accounts with one
//! question. The sizes made of it are wishes; the guard decides on its own books.

use crate::bars::as_units;
use futures::{StreamExt as _, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tracing::debug;
use tragen_bus::{Ask, Bus};
use tragen_contracts::v1::{self, ledger_answer::Answer, ledger_question::Question};
use tragen_domain::{id::AccountId, instrument::Instrument, money::Quantity};

/// Accounts of one question.
const ACCOUNTS_A_QUESTION: usize = 500;
/// Questions under way at the same time.
const QUESTIONS_AT_ONCE: usize = 4;

/// What one account has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Holding {
    /// Units of the instrument's currency.
    pub(crate) cash: f64,
    /// Signed.
    pub(crate) position: Quantity,
}

/// Accounts that were answered; `None` for one without a wallet in the currency.
pub(crate) type Holdings = BTreeMap<AccountId, Option<Holding>>;

/// Asks for all of them; accounts whose question had no answer are absent.
pub(crate) async fn read(
    bus: &Bus,
    accounts: BTreeSet<AccountId>,
    instrument: &Instrument,
    timeout: Duration,
    traceparent: &str,
) -> Holdings {
    let accounts: Vec<AccountId> = accounts.into_iter().collect();
    let questions = accounts.chunks(ACCOUNTS_A_QUESTION).map(|some| ask(bus, some, instrument, timeout, traceparent));
    stream::iter(questions.collect::<Vec<_>>()).buffer_unordered(QUESTIONS_AT_ONCE).concat().await
}

async fn ask(
    bus: &Bus,
    accounts: &[AccountId],
    instrument: &Instrument,
    timeout: Duration,
    traceparent: &str,
) -> Holdings {
    let question = v1::LedgerQuestion {
        account_id: String::new(),
        question: Some(Question::Holdings(v1::HoldingsQuestion {
            account_ids: accounts.iter().map(ToString::to_string).collect(),
            currency: instrument.settlement.currency.to_string(),
            instrument_id: instrument.id.to_string(),
        })),
        traceparent: traceparent.to_owned(),
    };
    match bus.ask::<_, v1::LedgerAnswer>(Ask::Ledger, &question, timeout).await.map(|answer| answer.answer) {
        Ok(Some(Answer::Holdings(found))) => {
            let mut holdings: Holdings = accounts.iter().map(|account| (account.clone(), None)).collect();
            for one in found.holdings {
                if let Some(holding) = AccountId::new(&one.account_id).ok().and_then(|id| holdings.get_mut(&id)) {
                    let position = Quantity::from_micros(one.quantity_micros);
                    *holding = Some(Holding { cash: as_units(one.cash_micros), position });
                }
            }
            holdings
        }
        Ok(other) => {
            debug!("{} accounts have no answer: {other:?}", accounts.len());
            Holdings::new()
        }
        Err(error) => {
            debug!("{} accounts have no answer: {error}", accounts.len());
            Holdings::new()
        }
    }
}
