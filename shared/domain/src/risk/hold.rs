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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        instrument::SettlementTerms,
        order::{OrderPrice, OrderTerms, TimeInForce},
        risk::Purpose,
        time::Timestamp,
    };

    fn id<K: crate::id::Kind>(text: &str) -> crate::id::Id<K> {
        crate::id::Id::new(text).expect("an id")
    }

    /// At `limit` with a reference of 0.5, a margin of a tenth and a fee of `fee_ppm`.
    fn order(style: SettlementStyle, side: Side, limit: &str, quantity: &str, fee_ppm: i64) -> Order {
        let (limit, quantity) = (limit.parse().expect("a price"), quantity.parse().expect("a quantity"));
        Order {
            trade: id("t"),
            account: id("a"),
            terms: OrderTerms {
                id: id("t-o"),
                instrument: id("i"),
                side,
                price: OrderPrice::Limit(limit),
                quantity,
                time_in_force: TimeInForce::Gtc,
                is_reduce_only: false,
                is_post_only: false,
            },
            limit,
            settlement: SettlementTerms { style, currency: id("USD"), initial_margin_ppm: 100_000 },
            taker_fee_ppm: fee_ppm,
            reference: "0.5".parse().expect("a price"),
            agent: None,
            pool: None,
            timeframe: None,
            wallet_start: None,
            purpose: Purpose::Trade,
            hold: Money::ZERO,
            decided_at: Timestamp::default(),
            valid_until: Timestamp::default(),
        }
    }

    #[test]
    fn the_fee_of_a_prediction_is_bounded_where_it_is_largest_on_the_way() {
        let check = |style, side, limit: &str, expected: &str| {
            let (limit, quantity) = (limit.parse().expect("a price"), "100".parse().expect("a quantity"));
            let bound = fee_bound(style, 30_000, side, limit, quantity).expect("fits");
            assert_eq!(bound.to_string(), expected, "{style:?} {side:?} {limit}");
        };
        check(SettlementStyle::Prediction, Side::Buy, "0.4", "0.72");
        check(SettlementStyle::Prediction, Side::Buy, "0.9", "0.75");
        check(SettlementStyle::Prediction, Side::Sell, "0.9", "0.27");
        check(SettlementStyle::Prediction, Side::Sell, "0.4", "0.75");
        check(SettlementStyle::Spot, Side::Buy, "0.4", "1.2");
    }

    #[test]
    fn an_opening_costs_what_its_style_asks_for_and_a_spot_sale_nothing() {
        let check = |style, side, limit: &str, fee_ppm, expected: &str| {
            let order = order(style, side, limit, "100", fee_ppm);
            let cost = opening_cost(&order, order.terms.quantity).expect("fits");
            assert_eq!(cost.to_string(), expected, "{style:?} {side:?} {limit}");
            assert_eq!(opening_cost(&order, Quantity::ZERO), Ok(Money::ZERO), "what opens nothing costs nothing");
        };
        check(SettlementStyle::Prediction, Side::Buy, "0.4", 0, "40");
        check(SettlementStyle::Prediction, Side::Sell, "0.4", 0, "60");
        check(SettlementStyle::Prediction, Side::Buy, "0.4", 30_000, "40.7203");
        check(SettlementStyle::Spot, Side::Buy, "0.4", 0, "40.0003");
        check(SettlementStyle::Spot, Side::Sell, "0.4", 0, "0");
        check(SettlementStyle::Margined, Side::Buy, "0.4", 0, "4.0003");
        // It may fill above its limit: held for a tenth above the reference of 0.5.
        check(SettlementStyle::Margined, Side::Sell, "0.4", 0, "5.5003");
        check(SettlementStyle::Margined, Side::Sell, "0.6", 0, "6.0003");
    }

    #[test]
    fn what_is_closed_is_taken_from_the_cheapest_so_the_dearest_opens() {
        let open = |side, limit: &str, quantity: &str| OpenOrder {
            order: order(SettlementStyle::Prediction, side, limit, quantity, 0),
            filled: Quantity::ZERO,
            executions: Vec::new(),
        };
        let check = |side, closable: &str, expected: &str| {
            let orders = [open(side, "0.3", "10"), open(side, "0.6", "10")];
            let hold = side_hold(orders.iter(), closable.parse().expect("a quantity")).expect("fits");
            assert_eq!(hold.to_string(), expected, "{side:?} {closable}");
        };
        check(Side::Buy, "0", "9");
        check(Side::Buy, "5", "7.5");
        check(Side::Buy, "10", "6");
        check(Side::Buy, "15", "3");
        check(Side::Buy, "20", "0");
        check(Side::Buy, "25", "0");
        // A sale costs the opposite outcome: the lower price is the dearer.
        check(Side::Sell, "0", "11");
        check(Side::Sell, "10", "7");
        check(Side::Sell, "15", "3.5");
    }
}
