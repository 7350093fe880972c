//! How much buying power an order takes: the worst it can still cost, fee
//! included. Only what opens a position costs; what closes one pays for itself.

use super::{Order, state::OpenOrder};
use crate::{
    instrument::{SettlementStyle, taker_fee},
    money::{Money, ONE, Overflow, Price, Quantity, Rounding},
    order::Side,
};

/// Every fill rounds cost and fee up by at most 3 micros; enough for 100 fills
/// of one order. Prediction contracts without a fee are exact and need none.
const ROUNDING_RESERVE: Money = Money::from_micros(300);

/// A margined sale may fill above its limit, where margin and fee are larger:
/// held for 10 % above the reference, twice the widest default collar.
const SALE_IMPROVEMENT_PPM: i64 = 1_100_000;

/// The largest fee of `quantity` at `limit` or better.
///
/// The fee of a prediction is largest at 0.5, so a buy below that is bounded by
/// its limit and one above it by 0.5:
///
/// ```
/// use tragen_domain::{instrument::SettlementStyle, money::Money, order::Side, risk::fee_bound};
/// let bound = |side, limit: &str| {
///     let (limit, quantity) = (limit.parse().unwrap(), "100".parse().unwrap());
///     fee_bound(SettlementStyle::Prediction, 30_000, side, limit, quantity).unwrap().to_string()
/// };
/// assert_eq!(bound(Side::Buy, "0.4"), "0.72"); // 0.03 x 0.4 x 0.6 x 100
/// assert_eq!(bound(Side::Buy, "0.9"), "0.75"); // at 0.5
/// assert_eq!(bound(Side::Sell, "0.9"), "0.27");
/// ```
///
/// # Errors
/// [`Overflow`].
pub fn fee_bound(
    style: SettlementStyle,
    ppm: i64,
    side: Side,
    limit: Price,
    quantity: Quantity,
) -> Result<Money, Overflow> {
    const HALF: Price = Price::from_micros(ONE / 2);
    let dearest = match (style, side) {
        (SettlementStyle::Prediction, Side::Buy) => limit.min(HALF),
        (SettlementStyle::Prediction, Side::Sell) => limit.max(HALF),
        (SettlementStyle::Spot | SettlementStyle::Margined, Side::Buy | Side::Sell) => limit,
    };
    taker_fee(style, ppm, dearest, quantity)
}

/// What opening `quantity` with `order` can cost at worst, fee included.
///
/// # Errors
/// [`Overflow`].
pub fn opening_cost(order: &Order, quantity: Quantity) -> Result<Money, Overflow> {
    let (style, side) = (order.settlement.style, order.terms.side);
    // A spot sale opens nothing: it is denied beyond what is held.
    if quantity.is_zero() || (style == SettlementStyle::Spot && side == Side::Sell) {
        return Ok(Money::ZERO);
    }
    let price = worst_price(order)?;
    let cost = match (style, side) {
        (SettlementStyle::Prediction, Side::Sell) => price.opposite()?.times(quantity, Rounding::Up)?,
        (SettlementStyle::Prediction | SettlementStyle::Spot, Side::Buy | Side::Sell) => {
            price.times(quantity, Rounding::Up)?
        }
        (SettlementStyle::Margined, Side::Buy | Side::Sell) => {
            price.times(quantity, Rounding::Up)?.ppm(order.settlement.initial_margin_ppm, Rounding::Up)?
        }
    };
    let fee = fee_bound(style, order.taker_fee_ppm, side, price, quantity)?;
    let is_exact = style == SettlementStyle::Prediction && order.taker_fee_ppm == 0;
    let reserve = if is_exact { Money::ZERO } else { ROUNDING_RESERVE };
    cost.plus(fee)?.plus(reserve)
}

/// What the orders of one side of one instrument can cost together, whatever
/// fills in whatever order: `closable` of them closes, the dearest rest opens.
pub(super) fn side_hold<'a>(
    orders: impl Iterator<Item = &'a OpenOrder>,
    closable: Quantity,
) -> Result<Money, Overflow> {
    let mut priced = Vec::new();
    let mut opening = -i128::from(closable.micros());
    for order in orders {
        opening += i128::from(order.remaining().micros());
        priced.push((dearness(&order.order)?, order));
    }
    if !closable.is_zero() {
        priced.sort_by_key(|(dearness, _)| std::cmp::Reverse(*dearness));
    }
    let mut hold = Money::ZERO;
    for (_, order) in priced {
        let part = opening.clamp(0, i128::from(order.remaining().micros()));
        opening -= part;
        let part = Quantity::from_micros(i64::try_from(part).map_err(|_| Overflow)?);
        hold = hold.plus(opening_cost(&order.order, part)?)?;
    }
    Ok(hold)
}

fn worst_price(order: &Order) -> Result<Price, Overflow> {
    match (order.settlement.style, order.terms.side) {
        (SettlementStyle::Margined, Side::Sell) => {
            Ok(order.limit.max(order.reference.ppm(SALE_IMPROVEMENT_PPM, Rounding::Up)?))
        }
        (SettlementStyle::Margined | SettlementStyle::Prediction | SettlementStyle::Spot, Side::Buy | Side::Sell) => {
            Ok(order.limit)
        }
    }
}

/// Larger for what costs more a unit.
fn dearness(order: &Order) -> Result<Price, Overflow> {
    let price = worst_price(order)?;
    match (order.settlement.style, order.terms.side) {
        (SettlementStyle::Prediction, Side::Sell) => price.opposite(),
        (SettlementStyle::Prediction | SettlementStyle::Spot | SettlementStyle::Margined, Side::Buy | Side::Sell) => {
            Ok(price)
        }
    }
}
