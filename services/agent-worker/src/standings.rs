//! What accounts have of the contracts of a match: asked of the guard, many accounts and all contracts with one question.
//! The ledger books a fill only afterwards, so whoever asked it in between would bet or quote twice.

use crate::{autonomous::now, bars::as_units};
use futures::{StreamExt as _, stream};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tracing::debug;
use tragen_bus::{Ask, Bus};
use tragen_contracts::v1::{self, risk_answer::Answer, risk_question::Question};
use tragen_domain::{agents::bettor::OnItsWay, id::AccountId, money::Quantity, time::Timestamp};

/// Accounts of one question.
const ACCOUNTS_A_QUESTION: usize = 500;
/// Questions under way at the same time.
const QUESTIONS_AT_ONCE: usize = 4;
/// Orders on their way that are remembered; those that may be decided no more are forgotten when there are so many.
const SENT_MAX: usize = 100_000;

/// Accounts that were answered; `None` for one without a wallet in the currency.
pub(crate) type Standings = BTreeMap<AccountId, Option<v1::Standing>>;

/// What is asked for.
pub(crate) struct Wanted<'a> {
    /// Contracts in one currency.
    pub(crate) instruments: &'a [v1::Instrument],
    /// How long to wait for an answer.
    pub(crate) timeout: Duration,
    /// The span that asks.
    pub(crate) traceparent: &'a str,
}

/// Asks for all of them; accounts whose question had no answer are absent.
pub(crate) async fn read(bus: &Bus, accounts: BTreeSet<AccountId>, wanted: &Wanted<'_>) -> Standings {
    let accounts: Vec<AccountId> = accounts.into_iter().collect();
    let questions = accounts.chunks(ACCOUNTS_A_QUESTION).map(|some| ask(bus, some, wanted));
    stream::iter(questions.collect::<Vec<_>>()).buffer_unordered(QUESTIONS_AT_ONCE).concat().await
}

async fn ask(bus: &Bus, accounts: &[AccountId], wanted: &Wanted<'_>) -> Standings {
    let question = v1::RiskQuestion {
        question: Some(Question::Standings(v1::StandingsQuestion {
            account_ids: accounts.iter().map(ToString::to_string).collect(),
            instrument_ids: wanted.instruments.iter().map(|own| own.instrument_id.clone()).collect(),
            currency: wanted.instruments.first().map(|own| own.currency.clone()).unwrap_or_default(),
        })),
        traceparent: wanted.traceparent.to_owned(),
    };
    match bus.ask::<_, v1::RiskAnswer>(Ask::Risk, &question, wanted.timeout).await.map(|answer| answer.answer) {
        Ok(Some(Answer::Standings(found))) => {
            let mut standings: Standings = accounts.iter().map(|account| (account.clone(), None)).collect();
            for one in found.standings {
                if let Some(own) = AccountId::new(&one.account_id).ok().and_then(|id| standings.get_mut(&id)) {
                    *own = Some(one);
                }
            }
            standings
        }
        Ok(other) => {
            debug!("{} accounts have no answer: {other:?}", accounts.len());
            Standings::new()
        }
        Err(error) => {
            debug!("{} accounts have no answer: {error}", accounts.len());
            Standings::new()
        }
    }
}

/// Posted cash, units of the currency.
pub(crate) fn cash(standing: &v1::Standing) -> f64 {
    as_units(standing.cash_micros)
}

/// What is held of an instrument.
pub(crate) fn position(standing: &v1::Standing, instrument_id: &str) -> Quantity {
    let own = standing.positions.iter().find(|own| own.instrument_id == instrument_id);
    Quantity::from_micros(own.map_or(0, |own| own.quantity_micros))
}

/// Orders of this worker that the guard may not have decided yet, by account and what they are about: neither the guard
/// nor the ledger can tell of them. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent {
    last: Arc<Mutex<HashMap<(AccountId, String), Sending>>>,
}

/// The last order of an account about something.
#[derive(Debug)]
struct Sending {
    trade_id: String,
    valid_until: Timestamp,
}

impl Sent {
    /// The order of a trade was stored, and the guard decides it by `valid_until`.
    pub(crate) fn note(&self, (account, about): (&AccountId, &str), trade_id: &str, valid_until: Timestamp) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= SENT_MAX {
            let now = now();
            last.retain(|_, sending| sending.valid_until >= now);
        }
        // More than a worker sends within the validity of a proposal is not remembered.
        if last.len() < SENT_MAX {
            last.insert((account.clone(), about.to_owned()), Sending { trade_id: trade_id.to_owned(), valid_until });
        }
    }

    /// The guard has decided the order of a trade: from now on it tells of it itself.
    pub(crate) fn forget(&self, (account, about): (&AccountId, &str), trade_id: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (account.clone(), about.to_owned());
        if last.get(&key).is_some_and(|sending| sending.trade_id == trade_id) {
            last.remove(&key);
        }
    }

    /// The last order of the account about it, unless it was that of `trade_id`: sent again, that one stays one trade.
    pub(crate) fn of_other(&self, (account, about): (&AccountId, &str), trade_id: &str) -> OnItsWay {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let other = last.get(&(account.clone(), about.to_owned())).filter(|sending| sending.trade_id != trade_id);
        OnItsWay { valid_until: other.map(|sending| sending.valid_until), now: now() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_on_its_way_until_it_cannot_be_decided_any_more_and_for_other_trades_only() {
        let (sent, account) = (Sent::default(), AccountId::new("one").expect("an id"));
        let other = AccountId::new("two").expect("an id");
        let is_on_its_way = |account: &AccountId, about: &str, trade_id: &str| {
            sent.of_other((account, about), trade_id).may_be_decided()
        };
        assert!(!is_on_its_way(&account, "M", "t1"));
        sent.note((&account, "M"), "t1", now().plus_millis(60_000));
        assert!(!is_on_its_way(&account, "M", "t1"), "the same trade again");
        assert!(is_on_its_way(&account, "M", "t2"));
        assert!(!is_on_its_way(&account, "N", "t2") && !is_on_its_way(&other, "M", "t2"));
        sent.forget((&account, "M"), "t2");
        assert!(is_on_its_way(&account, "M", "t2"), "another trade was decided");
        sent.forget((&account, "M"), "t1");
        assert!(!is_on_its_way(&account, "M", "t2"));
        sent.note((&account, "M"), "t2", now().plus_millis(-1));
        assert!(!is_on_its_way(&account, "M", "t3"), "the guard denies it from now on");
    }
}
