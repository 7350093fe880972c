//! What must hold between any two records: all of it in tests, and within a second, in
//! production too, for the accounts that have changed.

use super::{AccountState, State};
use crate::{
    id::{AccountId, OrderId},
    money::{Money, Overflow},
};

/// A broken invariant: a bug of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A sum does not fit.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// What an account holds is not what its orders and withdrawals need.
    #[error("{account} holds {held} {currency} but its orders and withdrawals need {needed}")]
    Hold {
        /// The account.
        account: AccountId,
        /// The currency.
        currency: String,
        /// What is held.
        held: Money,
        /// What should be.
        needed: Money,
    },
    /// Something that cannot be negative is.
    #[error("{account} has a negative hold or spending")]
    Negative {
        /// The account.
        account: AccountId,
    },
    /// An order is listed but not there.
    #[error("order {order} is not as it is listed")]
    Order {
        /// The order.
        order: OrderId,
    },
    /// There are more or fewer open orders than are listed.
    #[error("{listed} orders are listed, {found} are open")]
    OrderCount {
        /// Listed.
        listed: usize,
        /// Found.
        found: usize,
    },
    /// A snapshot would forget what it has of an account.
    #[error("a snapshot would leave out {account}")]
    LeftOut {
        /// The account.
        account: AccountId,
    },
}

/// Open holds match open orders, nothing is negative, and a snapshot leaves nothing out.
///
/// # Errors
/// The first [`Broken`] invariant found.
pub fn check_invariants(state: &State) -> Result<(), Broken> {
    let mut found = 0;
    for (id, account) in state.accounts() {
        check_account(id, account)?;
        found += check_orders(state, account)?;
        if account.is_noted() && !state.noted.contains(id) && !state.touched.contains(id) {
            return Err(Broken::LeftOut { account: id.clone() });
        }
    }
    let listed = state.open_orders();
    if found == listed { Ok(()) } else { Err(Broken::OrderCount { listed, found }) }
}

/// The same for at most so many of the accounts that were changed since they were last
/// checked; the others wait. What nobody has touched is as it was, so this is quick enough
/// to be done between two decisions.
///
/// # Errors
/// The first [`Broken`] invariant found.
pub fn check_touched(state: &mut State, accounts_max: usize) -> Result<(), Broken> {
    let touched = state.take_touched(accounts_max);
    let state = &*state;
    for id in &touched {
        let Some(account) = state.account(id) else { continue };
        check_account(id, account)?;
        check_orders(state, account)?;
    }
    Ok(())
}

/// Every open order is where it is listed.
///
/// # Errors
/// The first [`Broken`] invariant found.
pub fn check_listed(state: &State) -> Result<(), Broken> {
    match state.open().keys().find(|order| state.order(order).is_none()) {
        Some(order) => Err(Broken::Order { order: order.clone() }),
        None => Ok(()),
    }
}

/// Every order of the account is listed; how many it has. The venue may have filled more
/// than was asked for: that is a fact, and no fault of ours.
fn check_orders(state: &State, account: &AccountState) -> Result<usize, Broken> {
    let mut found = 0;
    for open in account.holdings().flat_map(|(_, holding)| holding.orders()) {
        found += 1;
        let id = &open.order.terms.id;
        if state.order(id) != Some(open) {
            return Err(Broken::Order { order: id.clone() });
        }
    }
    Ok(found)
}

fn check_account(id: &AccountId, account: &AccountState) -> Result<(), Broken> {
    for (currency, balance) in account.balances() {
        let mut needed = Money::ZERO;
        let mut spent = Money::ZERO;
        for (_, holding) in account.holdings().filter(|(_, holding)| holding.currency() == Some(currency)) {
            if holding.hold().is_negative() || holding.spent().is_negative() {
                return Err(Broken::Negative { account: id.clone() });
            }
            needed = needed.plus(holding.hold_with(None)?)?;
            spent = spent.plus(holding.spent())?;
        }
        for (_, _, amount) in account.withdrawals().filter(|(_, own, _)| *own == currency) {
            needed = needed.plus(amount)?;
        }
        if balance.held != needed || balance.unposted != spent {
            let currency = currency.to_string();
            return Err(Broken::Hold { account: id.clone(), currency, held: balance.held, needed });
        }
    }
    Ok(())
}
