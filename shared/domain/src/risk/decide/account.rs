//! What the account may: not frozen, not too many resting orders, not against
//! itself, not too much of its money in one trade or one match.

use super::Case;
use crate::{
    id::MatchId,
    instrument::SettlementStyle,
    money::{Money, Overflow, Price, Quantity, Rounding},
    order::Side,
    risk::{Balance, DenialReason as Reason, Denied, Holding, LimitName, Order},
};

pub(super) fn check_not_frozen(balance: Balance) -> Result<(), Denied> {
    if balance.is_frozen { Err(Denied::plain(Reason::AccountFrozen)) } else { Ok(()) }
}

/// Resting orders, orders against each other, and what a spot sale needs.
pub(super) fn check_orders(case: &Case<'_>, order: &Order) -> Result<(), Denied> {
    let terms = &order.terms;
    if terms.time_in_force.is_resting() {
        let (limit, resting) = (case.state.limits().resting_orders_max, case.account.resting_orders());
        if resting >= limit {
            let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
            return Err(Denied::new(Reason::OpenOrderLimit, count(limit), count(resting) + 1));
        }
    }
    if let Some(against) = case.holding.and_then(|holding| crossing(holding, order)) {
        return Err(Denied::new(Reason::SelfTrade, against.micros(), order.limit.micros()));
    }
    if order.settlement.style == SettlementStyle::Spot && terms.side == Side::Sell {
        let reducible = case.holding.map_or(Ok(Quantity::ZERO), |holding| holding.reducible(Side::Sell))?;
        if terms.quantity > reducible {
            return Err(Denied::new(Reason::InsufficientPosition, reducible.micros(), terms.quantity.micros()));
        }
    }
    Ok(())
}

/// The price of a resting order on the other side that `order` would trade against.
fn crossing(holding: &Holding, order: &Order) -> Option<Price> {
    let other = match order.terms.side {
        Side::Buy => Side::Sell,
        Side::Sell => Side::Buy,
    };
    let resting = holding.orders_of(other).filter(|open| open.order.terms.time_in_force.is_resting());
    let is_crossed = |resting: Price| match order.terms.side {
        Side::Buy => order.limit >= resting,
        Side::Sell => order.limit <= resting,
    };
    resting.map(|open| open.order.limit).find(|price| is_crossed(*price))
}

/// Wallet floor, share of one trade, share of one match. What opens nothing passes.
pub(super) fn check_shares(case: &Case<'_>, balance: Balance, order: &Order) -> Result<(), Denied> {
    let id = order.account.as_str();
    let rule = |name| case.state.limits().rules.of(name, id);
    let (floor, trade, fixture) =
        (rule(LimitName::WalletFloorPpm), rule(LimitName::TradeMaxPpm), rule(LimitName::MatchMaxPpm));
    if order.hold.is_zero() || (floor.is_none() && trade.is_none() && fixture.is_none()) {
        return Ok(());
    }
    let available = balance.available()?.ok_or(Denied::plain(Reason::NoBalance))?;
    let capital = balance.capital()?;
    if let Some(ppm) = floor {
        let start = case.account.wallet_start(&order.settlement.currency).map_or(capital, |(start, _)| start);
        let (least, left) = (start.ppm(ppm, Rounding::Up)?, available.minus(order.hold)?);
        if left < least {
            return Err(Denied::new(Reason::WalletFloor, least.micros(), left.micros()));
        }
    }
    if let Some(ppm) = trade {
        let most = case.ramped(capital.ppm(ppm, Rounding::Down)?)?;
        if order.hold > most {
            return Err(Denied::new(Reason::TradeShareLimit, most.micros(), order.hold.micros()));
        }
    }
    if let (Some(ppm), Some((own, _))) = (fixture, &case.instrument.prediction) {
        let most = case.ramped(capital.ppm(ppm, Rounding::Down)?)?;
        let invested = in_match(case, own)?.plus(order.hold)?;
        if invested > most {
            return Err(Denied::new(Reason::MatchShareLimit, most.micros(), invested.micros()));
        }
    }
    Ok(())
}

/// What the account has in the match of the order, open orders included.
fn in_match(case: &Case<'_>, fixture: &MatchId) -> Result<Money, Overflow> {
    let mut sum = Money::ZERO;
    for instrument in case.state.instruments_of(fixture) {
        if let Some(holding) = case.account.holding(instrument) {
            sum = sum.plus(holding.exposure()?)?;
        }
    }
    Ok(sum)
}
