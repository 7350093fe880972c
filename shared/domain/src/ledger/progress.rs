//! Where a trade stands while reports of it arrive, repeat and overtake each other.

use crate::{
    money::{Overflow, Price, Quantity},
    order::TradeStatus,
};

/// Status of a trade that stood at `known` (`None` for a new one) once a report
/// says `reported` and `filled` of `ordered` is booked.
///
/// A final status is never left for one that is not; but a fill is a fact, so a
/// trade said to have ended without fills that has some was filled in part.
///
/// ```
/// use tragen_domain::{ledger::settled_status, money::Quantity, order::TradeStatus::*};
/// let (none, some) = (Quantity::ZERO, Quantity::from_micros(1));
/// assert_eq!(settled_status(Some(Filled), Working, some, some), Filled);
/// assert_eq!(settled_status(Some(Canceled), Working, some, Quantity::from_micros(2)), PartiallyFilled);
/// assert_eq!(settled_status(None, Denied, none, none), Denied);
/// ```
#[must_use]
pub fn settled_status(
    known: Option<TradeStatus>,
    reported: TradeStatus,
    filled: Quantity,
    ordered: Quantity,
) -> TradeStatus {
    let status = known.filter(|status| status.is_final()).unwrap_or(reported);
    if filled.is_zero() {
        return status;
    }
    match status {
        TradeStatus::Pending | TradeStatus::Working | TradeStatus::Filled => status,
        TradeStatus::PartiallyFilled
        | TradeStatus::Rejected
        | TradeStatus::Denied
        | TradeStatus::Expired
        | TradeStatus::Canceled
        | TradeStatus::NoTrade => {
            if filled >= ordered {
                TradeStatus::Filled
            } else {
                TradeStatus::PartiallyFilled
            }
        }
    }
}

/// Quantity-weighted price of fills, rounded toward zero; zero without fills.
///
/// # Errors
/// [`Overflow`].
pub fn average_price(fills: impl IntoIterator<Item = (Price, Quantity)>) -> Result<Price, Overflow> {
    let (mut notional, mut quantity) = (0_i128, 0_i128);
    for (price, filled) in fills {
        let product = i128::from(price.micros()) * i128::from(filled.micros());
        notional = notional.checked_add(product).ok_or(Overflow)?;
        quantity += i128::from(filled.micros());
    }
    let average = notional.checked_div(quantity).unwrap_or(0);
    i64::try_from(average).map(Price::from_micros).map_err(|_| Overflow)
}
