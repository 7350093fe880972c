//! What the account can pay: buying power of an order, and of a withdrawal.

use super::{
    Case,
    look::{Look, Verdict},
};
use crate::{
    id::{AccountId, Currency},
    instrument::SettlementStyle,
    money::{Money, Overflow, Quantity, Rounding},
    risk::{
        AccountState, Balance, DenialReason as Reason, Denied, Holding, OpenOrder, Order, Scope, State, TradingState,
        opening_cost,
    },
};

/// Posted cash minus holds, unposted spending and open losses pays for cost and fee.
/// An order that needs nothing always passes: closing must be possible with an empty purse.
pub(super) fn check_buying_power(
    case: &Case<'_>,
    balance: Balance,
    order: &Order,
    look: &mut impl Look,
) -> Result<(), Denied> {
    let available = look.known(balance.available()?, Reason::NoBalance)?;
    if order.hold.is_zero() {
        return Ok(());
    }
    let free = available.minus(open_loss(case.state, case.account, &order.settlement.currency)?)?;
    let is_over = Verdict::failed_if(order.hold > free);
    look.check(Reason::InsufficientFunds, free.micros(), order.hold.micros(), is_over)
}

/// Whether `amount` may leave the account, be it the platform or to another account.
/// Nothing leaves while the platform or the account is halted.
///
/// # Errors
/// [`Denied`].
pub fn decide_withdrawal(state: &State, account: &AccountId, currency: &Currency, amount: Money) -> Result<(), Denied> {
    if state.epoch() == 0 {
        return Err(Denied::plain(Reason::RiskStateUnknown));
    }
    let scopes = [Scope::Global, Scope::Account(account.clone())];
    if scopes.iter().any(|scope| state.state_of(scope) == TradingState::Halted) {
        return Err(Denied::plain(Reason::TradingHalted));
    }
    if amount.micros() <= 0 {
        return Err(Denied::new(Reason::QuantityTooSmall, 1, amount.micros()));
    }
    let account = state.account(account).ok_or(Denied::plain(Reason::NoBalance))?;
    let balance = account.balance(currency);
    if balance.is_frozen {
        return Err(Denied::plain(Reason::AccountFrozen));
    }
    let available = balance.available()?.ok_or(Denied::plain(Reason::NoBalance))?;
    let free = available.minus(open_loss(state, account, currency)?)?;
    if amount > free {
        return Err(Denied::new(Reason::InsufficientFunds, free.micros(), amount.micros()));
    }
    Ok(())
}

/// What closing all margined positions now would cost beyond what they have
/// gained, >= 0: cash that is still there but already lost. Longs are marked at
/// the bid, shorts at the ask; a position that cannot be marked denies.
fn open_loss(state: &State, account: &AccountState, currency: &Currency) -> Result<Money, Denied> {
    let mut pnl = Money::ZERO;
    for own in account.margined() {
        let Some(instrument) = state.instrument(&own.instrument) else { continue };
        let is_margined =
            instrument.settlement.style == SettlementStyle::Margined && instrument.settlement.currency == *currency;
        if !is_margined {
            continue;
        }
        let no_mark = || Denied::plain(Reason::NoReferencePrice);
        let quote = state.quote(&own.instrument).ok_or_else(no_mark)?;
        let size = own.quantity.magnitude()?;
        let gain = if own.quantity.is_negative() {
            let ask = quote.ask.or(quote.bid).ok_or_else(no_mark)?;
            own.entry_notional.minus(ask.price.times(size, Rounding::Up)?)?
        } else {
            let bid = quote.bid.or(quote.ask).ok_or_else(no_mark)?;
            bid.price.times(size, Rounding::Down)?.minus(own.entry_notional)?
        };
        pnl = pnl.plus(gain)?;
    }
    Ok(pnl.min(Money::ZERO).negated()?)
}

/// The order with what it adds to what its holding holds already.
pub(super) fn with_hold(holding: Option<&Holding>, order: Order) -> Result<Order, Overflow> {
    let open = OpenOrder { order, filled: Quantity::ZERO, executions: Vec::new() };
    let hold = match holding {
        Some(holding) => holding.hold_with(Some(&open))?.minus(holding.hold())?,
        None => opening_cost(&open.order, open.order.terms.quantity)?,
    };
    Ok(Order { hold, ..open.order })
}
