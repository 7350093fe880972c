//! The shape of a request: what can be said about it without knowing anything else.

use crate::{
    id::{IdError, InstrumentId, TradeId},
    money::{Money, Price, Quantity, Rounding},
    order::Side,
    routing::{
        agent::instrument_reason,
        analysis::check_match,
        reason::{Reason, Violation},
        request_id::{RequestId, check_request_id},
    },
    time::Timestamp,
};

/// The largest request of each kind, whatever the account and the instrument;
/// a second line against a slipped finger, before any balance is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Most contracts or base units of one order.
    pub order_quantity_max: Quantity,
    /// Most an order or mandate may be worth, in the quote currency.
    pub order_value_max: Money,
    /// Highest price of any instrument, in the quote currency.
    pub price_max: Price,
    /// Most that may be brought in or taken out at once, in the currency.
    pub cash_amount_max: Money,
    /// How far ahead a good-till-date order may end, milliseconds.
    pub expiry_ahead_millis_max: i64,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            order_quantity_max: Quantity::from_micros(1_000_000_000_000),
            order_value_max: Money::from_micros(500_000_000_000),
            price_max: Price::from_micros(10_000_000_000_000),
            cash_amount_max: Money::from_micros(1_000_000_000_000_000),
            expiry_ahead_millis_max: 400 * 86_400_000,
        }
    }
}

/// A request for a trade as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct TradeFields<'a> {
    /// The client's id.
    pub request_id: &'a str,
    /// What is asked for.
    pub intent: IntentFields<'a>,
}

/// Who decides what is traded.
#[derive(Debug, Clone, Copy)]
pub enum IntentFields<'a> {
    /// Not set.
    Missing,
    /// The user.
    Order(OrderFields<'a>),
    /// The agent.
    Mandate(MandateFields<'a>),
}

/// An order as it was sent; what is not set or not known is `None`.
#[derive(Debug, Clone, Copy)]
pub struct OrderFields<'a> {
    /// What.
    pub instrument_id: &'a str,
    /// Which way.
    pub side: Option<Side>,
    /// How the price is bounded.
    pub order_type: Option<PriceKind>,
    /// How much, 1e-6.
    pub quantity_micros: i64,
    /// Worst price, 1e-6; 0 for none.
    pub limit_price_micros: i64,
    /// How long.
    pub time_in_force: Option<Lifetime>,
    /// Until when: seconds since the epoch and nanoseconds.
    pub expire_at: Option<(i64, i32)>,
    /// Whether it may only shrink the position.
    pub is_reduce_only: bool,
    /// Whether it may only rest.
    pub is_post_only: bool,
}

/// How the price of an order is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceKind {
    /// By the caller.
    Limit,
    /// By the guard's collar.
    Market,
}

/// How long an order may rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Immediate or cancel.
    Ioc,
    /// Fill or kill.
    Fok,
    /// Good till canceled.
    Gtc,
    /// Good till a date.
    Gtd,
}

/// A mandate as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct MandateFields<'a> {
    /// The match.
    pub match_id: &'a str,
    /// Most it may cost, 1e-6.
    pub budget_micros: i64,
    /// Smallest edge, basis points.
    pub min_edge_bps: i32,
    /// Who decides; empty for the default agent.
    pub agent: &'a str,
}

/// Checks the shape of a request for a trade and returns its id.
///
/// # Errors
/// Every violation, what must be corrected first; never empty.
pub fn check_trade(
    request: &TradeFields<'_>,
    limits: &RequestLimits,
    now: Timestamp,
) -> Result<RequestId, Vec<Violation>> {
    let mut found = Found::default();
    let id = found.keep(check_request_id(request.request_id, now));
    match &request.intent {
        IntentFields::Missing => {
            found.add("intent", Reason::IntentMissing, "either `order` or `mandate` must be set");
        }
        IntentFields::Order(order) => check_order(order, limits, now, &mut found),
        IntentFields::Mandate(mandate) => check_mandate(mandate, limits, &mut found),
    }
    found.finish(id)
}

/// Checks the id of a trade.
///
/// # Errors
/// The field `trade_id` with the reason.
pub fn check_trade_id(text: &str) -> Result<TradeId, Violation> {
    TradeId::new(text).map_err(|error| {
        let reason = match error {
            IdError::Missing { .. } => Reason::TradeIdMissing,
            IdError::TooLong { .. } | IdError::Charset { .. } => Reason::TradeIdInvalid,
        };
        Violation::new("trade_id", reason, error.to_string())
    })
}

/// Checks the id of an instrument in `field`.
///
/// # Errors
/// `field` with the reason.
pub fn check_instrument(field: &'static str, text: &str) -> Result<InstrumentId, Violation> {
    InstrumentId::new(text).map_err(|error| Violation::new(field, instrument_reason(&error), error.to_string()))
}

/// Entries of a page when the caller does not say.
const PAGE_SIZE_DEFAULT: i32 = 50;
/// Most entries of a page.
const PAGE_SIZE_MAX: i32 = 500;

/// How many entries a page gets: 50 for 0, at most 500.
///
/// # Errors
/// The field `page_size` when it is negative.
pub fn check_page_size(asked: i32) -> Result<i32, Violation> {
    match asked {
        0 => Ok(PAGE_SIZE_DEFAULT),
        1.. => Ok(asked.min(PAGE_SIZE_MAX)),
        _ => Err(Violation::new("page_size", Reason::PageSizeInvalid, "the page size must not be negative")),
    }
}

/// Violations as they are found.
#[derive(Debug, Default)]
pub(super) struct Found {
    violations: Vec<Violation>,
}

impl Found {
    pub(super) fn add(&mut self, field: &'static str, reason: Reason, message: impl Into<String>) {
        self.violations.push(Violation::new(field, reason, message));
    }

    pub(super) fn keep<T>(&mut self, checked: Result<T, Violation>) -> Option<T> {
        checked.map_err(|violation| self.violations.push(violation)).ok()
    }

    /// What came too late is said after what is malformed.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, Vec<Violation>> {
        match value {
            Some(value) if self.violations.is_empty() => Ok(value),
            _ => {
                self.violations.sort_by_key(|violation| violation.reason.is_precondition());
                Err(self.violations)
            }
        }
    }
}

pub(super) fn check_order(order: &OrderFields<'_>, limits: &RequestLimits, now: Timestamp, found: &mut Found) {
    found.keep(check_instrument("order.instrument_id", order.instrument_id));
    if order.side.is_none() {
        found.add("order.side", Reason::SideMissing, "the side must be buy or sell");
    }
    if order.order_type.is_none() {
        found.add("order.order_type", Reason::OrderTypeMissing, "the order type must be limit or market");
    }
    let is_price_good = check_price(order, limits, found);
    check_size(order, is_price_good, limits, found);
    check_lifetime(order, limits, now, found);
    check_post_only(order, found);
}

/// Whether the order has a price that its value can be computed with.
fn check_price(order: &OrderFields<'_>, limits: &RequestLimits, found: &mut Found) -> bool {
    let field = "order.limit_price_micros";
    match order.order_type {
        Some(PriceKind::Market) if order.limit_price_micros != 0 => {
            found.add(field, Reason::PriceUnexpected, "a market order has no limit price");
            false
        }
        Some(PriceKind::Limit) if order.limit_price_micros <= 0 => {
            found.add(field, Reason::PriceOutOfBounds, "the limit price must be above 0");
            false
        }
        Some(PriceKind::Limit) if order.limit_price_micros > limits.price_max.micros() => {
            found.add(field, Reason::PriceOutOfBounds, format!("the limit price must not exceed {}", limits.price_max));
            false
        }
        Some(PriceKind::Limit) => true,
        Some(PriceKind::Market) | None => false,
    }
}

fn check_size(order: &OrderFields<'_>, is_price_good: bool, limits: &RequestLimits, found: &mut Found) {
    let field = "order.quantity_micros";
    if order.quantity_micros <= 0 {
        found.add(field, Reason::QuantityNotPositive, "the quantity must be above 0");
        return;
    }
    let quantity = Quantity::from_micros(order.quantity_micros);
    let value = is_price_good.then(|| Price::from_micros(order.limit_price_micros).times(quantity, Rounding::Up));
    if let Some(Err(overflow)) = value {
        found.add(field, Reason::NotionalOverflow, overflow.to_string());
        return;
    }
    if quantity > limits.order_quantity_max {
        let message = format!("an order may carry at most {}", limits.order_quantity_max);
        found.add(field, Reason::OrderSizeLimit, message);
    }
    if let Some(Ok(value)) = value
        && value > limits.order_value_max
    {
        let message = format!("an order may be worth at most {}, this one is worth {value}", limits.order_value_max);
        found.add(field, Reason::OrderValueLimit, message);
    }
}

fn check_lifetime(order: &OrderFields<'_>, limits: &RequestLimits, now: Timestamp, found: &mut Found) {
    let (tif, expiry) = ("order.time_in_force", "order.expire_at");
    let is_market = order.order_type == Some(PriceKind::Market);
    match order.time_in_force {
        None => found.add(tif, Reason::TifMissing, "the time in force must be IOC, FOK, GTC or GTD"),
        Some(Lifetime::Gtc | Lifetime::Gtd) if is_market => {
            found.add(tif, Reason::TifNotAllowed, "a market order cannot rest: use IOC or FOK");
        }
        // While it rests another order may close the position, and it would open a new one.
        Some(Lifetime::Gtc | Lifetime::Gtd) if order.is_reduce_only => {
            found.add(tif, Reason::TifNotAllowed, "a reduce-only order cannot rest: use IOC or FOK");
        }
        Some(Lifetime::Ioc | Lifetime::Fok | Lifetime::Gtc | Lifetime::Gtd) => {}
    }
    match (order.time_in_force, order.expire_at) {
        (Some(Lifetime::Gtd), None) => found.add(expiry, Reason::ExpiryMissing, "a GTD order needs an end"),
        (Some(Lifetime::Gtd), Some(moment)) => check_expiry(moment, limits, now, found),
        (Some(Lifetime::Ioc | Lifetime::Fok | Lifetime::Gtc), Some(_)) => {
            found.add(expiry, Reason::ExpiryUnexpected, "only a GTD order has an end");
        }
        (None, _) | (Some(Lifetime::Ioc | Lifetime::Fok | Lifetime::Gtc), None) => {}
    }
}

/// What is missing altogether is said by its own field.
fn check_post_only(order: &OrderFields<'_>, found: &mut Found) {
    let field = "order.is_post_only";
    if !order.is_post_only {
        return;
    }
    if order.order_type == Some(PriceKind::Market) {
        found.add(field, Reason::PostOnlyNotAllowed, "a market order takes: only a limit order can be post-only");
        return;
    }
    match order.time_in_force {
        Some(Lifetime::Ioc | Lifetime::Fok) => {
            found.add(field, Reason::PostOnlyNotAllowed, "a post-only order must be able to rest: use GTC or GTD");
        }
        Some(Lifetime::Gtc | Lifetime::Gtd) | None => {}
    }
}

/// Seconds of 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z: what protobuf calls a timestamp.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A point in time out of its seconds and nanoseconds.
pub(super) fn check_moment(field: &'static str, (seconds, nanos): (i64, i32)) -> Result<Timestamp, Violation> {
    if !TIMESTAMP_SECONDS.contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        let message = "not a timestamp between the years 1 and 9999";
        return Err(Violation::new(field, Reason::TimestampInvalid, message));
    }
    Ok(Timestamp::from_micros(seconds * 1_000_000 + i64::from(nanos) / 1_000))
}

fn check_expiry(moment: (i64, i32), limits: &RequestLimits, now: Timestamp, found: &mut Found) {
    let field = "order.expire_at";
    let Some(expire_at) = found.keep(check_moment(field, moment)) else { return };
    if expire_at <= now {
        found.add(field, Reason::ExpiryInPast, "the order would end before it starts");
    } else if expire_at > now.plus_millis(limits.expiry_ahead_millis_max) {
        let days = limits.expiry_ahead_millis_max / 86_400_000;
        found.add(field, Reason::ExpiryTooFar, format!("an order may end at most {days} days from now"));
    }
}

fn check_mandate(mandate: &MandateFields<'_>, limits: &RequestLimits, found: &mut Found) {
    found.keep(check_match("mandate.match_id", mandate.match_id));
    let budget = Money::from_micros(mandate.budget_micros);
    if mandate.budget_micros <= 0 {
        found.add("mandate.budget_micros", Reason::BudgetNotPositive, "the budget must be above 0");
    } else if budget > limits.order_value_max {
        let message = format!("a mandate may cost at most {}", limits.order_value_max);
        found.add("mandate.budget_micros", Reason::OrderValueLimit, message);
    }
    if !(0..=10_000).contains(&mandate.min_edge_bps) {
        found.add("mandate.min_edge_bps", Reason::EdgeOutOfBounds, "the edge must be from 0 to 10,000");
    }
    let is_name = mandate.agent.len() <= 64 && mandate.agent.bytes().all(|b| b.is_ascii_alphanumeric());
    if !is_name {
        found.add("mandate.agent", Reason::AgentInvalid, "at most 64 letters and digits");
    }
}

#[cfg(test)]
mod tests;
