//! What the account may: not frozen, nothing on the match where that is asked for, not too many resting orders, not against
//! itself, not too much of its money in one trade or one match.

use super::{
    Case,
    look::{Look, Verdict},
};
use crate::{
    id::MatchId,
    instrument::SettlementStyle,
    money::{Money, Overflow, Price, Quantity, Rounding},
    order::Side,
    risk::{Balance, DenialReason as Reason, Denied, Holding, LimitName, Order},
};

pub(super) fn check_not_frozen(balance: Balance, look: &mut impl Look) -> Result<(), Denied> {
    look.check(Reason::AccountFrozen, 0, 0, Verdict::failed_if(balance.is_frozen))
}

/// An order that must be the account's first on its match.
pub(super) fn check_first_on_match(case: &Case<'_>, look: &mut impl Look) -> Result<(), Denied> {
    let Some((own, _)) = case.instrument.prediction.as_ref().filter(|_| case.proposed.is_first_on_match) else {
        return Ok(());
    };
    let contracts = case.state.instruments_of(own).filter_map(|instrument| case.account.holding(instrument));
    let is_taken = |holding: &&Holding| !holding.position().quantity.is_zero() || !holding.orders().is_empty();
    let taken = i64::try_from(contracts.filter(is_taken).count()).unwrap_or(i64::MAX);
    look.check(Reason::MatchTaken, 0, taken, Verdict::failed_if(taken > 0))
}

/// Resting orders, orders against each other, and what a spot sale needs.
pub(super) fn check_orders(case: &Case<'_>, order: &Order, look: &mut impl Look) -> Result<(), Denied> {
    let terms = &order.terms;
    if terms.time_in_force.is_resting() {
        let (limit, resting) = (case.state.limits().resting_orders_max, case.account.resting_orders());
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let is_over = Verdict::failed_if(resting >= limit);
        look.check(Reason::OpenOrderLimit, count(limit), count(resting).saturating_add(1), is_over)?;
    }
    let against = case.holding.and_then(|holding| crossing(holding, order));
    let resting = against.map_or(0, Price::micros);
    look.check(Reason::SelfTrade, resting, order.limit.micros(), Verdict::failed_if(against.is_some()))?;
    if order.settlement.style == SettlementStyle::Spot && terms.side == Side::Sell {
        let reducible = case.holding.map_or(Ok(Quantity::ZERO), |holding| holding.reducible(Side::Sell))?;
        let is_over = Verdict::failed_if(terms.quantity > reducible);
        look.check(Reason::InsufficientPosition, reducible.micros(), terms.quantity.micros(), is_over)?;
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
pub(super) fn check_shares(
    case: &Case<'_>,
    balance: Balance,
    order: &Order,
    look: &mut impl Look,
) -> Result<(), Denied> {
    let id = order.account.as_str();
    let rule = |name| case.state.limits().rules.of(name, id);
    let (floor, trade, fixture) =
        (rule(LimitName::WalletFloorPpm), rule(LimitName::TradeMaxPpm), rule(LimitName::MatchMaxPpm));
    if order.hold.is_zero() || (floor.is_none() && trade.is_none() && fixture.is_none()) {
        return Ok(());
    }
    let available = look.known(balance.available()?, Reason::NoBalance)?;
    let capital = balance.capital()?;
    if let Some(ppm) = floor {
        let start = case.account.wallet_start(&order.settlement.currency).map_or(capital, |(start, _)| start);
        let (least, left) = (start.ppm(ppm, Rounding::Up)?, available.minus(order.hold)?);
        look.check(Reason::WalletFloor, least.micros(), left.micros(), Verdict::failed_if(left < least))?;
    }
    if let Some(ppm) = trade {
        let most = case.ramped(capital.ppm(ppm, Rounding::Down)?)?;
        let is_over = Verdict::failed_if(order.hold > most);
        look.check(Reason::TradeShareLimit, most.micros(), order.hold.micros(), is_over)?;
    }
    if let (Some(ppm), Some((own, _))) = (fixture, &case.instrument.prediction) {
        let most = case.ramped(capital.ppm(ppm, Rounding::Down)?)?;
        let invested = in_match(case, own)?.plus(order.hold)?;
        let is_over = Verdict::failed_if(invested > most);
        look.check(Reason::MatchShareLimit, most.micros(), invested.micros(), is_over)?;
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
