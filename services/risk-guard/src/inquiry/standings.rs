//! What many accounts have of a few instruments: positions with everything that has filled, and open orders. Agents ask
//! before they order, because the ledger books a fill only afterwards.

use crate::gate::Gate;
use tragen_contracts::{
    convert::{InvalidField, id},
    v1,
};
use tragen_domain::{
    id::{AccountId, Currency, InstrumentId},
    money::{Money, Overflow},
    risk::{AccountState, OpenOrder},
};

/// Most accounts of one question.
const ACCOUNTS_MAX: usize = 500;
/// Most instruments of one question.
const INSTRUMENTS_MAX: usize = 100;

impl Gate {
    pub(super) fn standings(&self, asked: &v1::StandingsQuestion) -> Result<v1::Standings, InvalidField> {
        let few = |field: &'static str, count: usize, most: usize| {
            let message = format!("{count} are asked for, at most {most} are answered");
            if count > most { Err(InvalidField::new(field, "ITEMS_OUT_OF_BOUNDS", message)) } else { Ok(()) }
        };
        few("account_ids", asked.account_ids.len(), ACCOUNTS_MAX)?;
        few("instrument_ids", asked.instrument_ids.len(), INSTRUMENTS_MAX)?;
        let currency: Currency = id("currency", &asked.currency)?;
        let instruments = asked.instrument_ids.iter().map(|own| id("instrument_ids", own));
        let instruments: Vec<InstrumentId> = instruments.collect::<Result<_, _>>()?;
        let mut standings = Vec::with_capacity(asked.account_ids.len());
        for account in &asked.account_ids {
            let account: AccountId = id("account_ids", account)?;
            let Some(state) = self.state.account(&account) else { continue };
            let standing = standing(&account, state, &currency, &instruments);
            let overflow = |Overflow| {
                InvalidField::new("account_ids", "ACCOUNT_TOO_LARGE", format!("a sum of {account} does not fit"))
            };
            standings.extend(standing.map_err(overflow)?);
        }
        standings.sort_by(|a, b| a.account_id.cmp(&b.account_id));
        standings.dedup_by(|a, b| a.account_id == b.account_id);
        Ok(v1::Standings { standings })
    }
}

/// None for an account without a wallet in the currency.
fn standing(
    account: &AccountId,
    state: &AccountState,
    currency: &Currency,
    instruments: &[InstrumentId],
) -> Result<Option<v1::Standing>, Overflow> {
    let balance = state.balance(currency);
    let Some(posted) = balance.posted else { return Ok(None) };
    let available = balance.available()?.unwrap_or(Money::ZERO);
    let mut own = v1::Standing {
        account_id: account.to_string(),
        cash_micros: posted.micros(),
        available_micros: available.micros(),
        ..v1::Standing::default()
    };
    for instrument in instruments {
        let Some(holding) = state.holding(instrument) else { continue };
        let quantity_micros = holding.position().quantity.micros();
        if quantity_micros != 0 {
            own.positions.push(v1::StandingPosition { instrument_id: instrument.to_string(), quantity_micros });
        }
        own.orders.extend(holding.orders().iter().map(order));
    }
    Ok(Some(own))
}

fn order(open: &OpenOrder) -> v1::StandingOrder {
    let own = &open.order;
    v1::StandingOrder {
        trade_id: own.trade.to_string(),
        instrument_id: own.terms.instrument.to_string(),
        agent_id: own.agent.as_ref().map(ToString::to_string).unwrap_or_default(),
        side: v1::Side::from(own.terms.side).into(),
        limit_price_micros: own.limit.micros(),
        open_quantity_micros: open.remaining().micros(),
    }
}
