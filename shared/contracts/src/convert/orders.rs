//! Orders, fills and where a trade stands.

use super::{InvalidField, id, known, unspecified};
use crate::v1;
use tragen_domain::{
    execution::Fill,
    money::{Money, Price, Quantity},
    order::{OrderPrice, OrderTerms, Side, TimeInForce, TradeStatus},
    tier::Tier,
    time::Timestamp,
};

impl From<Tier> for v1::Tier {
    fn from(tier: Tier) -> Self {
        match tier {
            Tier::Premium => Self::Premium,
            Tier::Standard => Self::Standard,
            Tier::Free => Self::Free,
        }
    }
}

impl TryFrom<v1::Tier> for Tier {
    type Error = InvalidField;

    fn try_from(tier: v1::Tier) -> Result<Self, InvalidField> {
        match tier {
            v1::Tier::Premium => Ok(Self::Premium),
            v1::Tier::Standard => Ok(Self::Standard),
            v1::Tier::Free => Ok(Self::Free),
            v1::Tier::Unspecified => Err(unspecified("tier")),
        }
    }
}

impl From<Side> for v1::Side {
    fn from(side: Side) -> Self {
        match side {
            Side::Buy => Self::Buy,
            Side::Sell => Self::Sell,
        }
    }
}

impl TryFrom<v1::Side> for Side {
    type Error = InvalidField;

    fn try_from(side: v1::Side) -> Result<Self, InvalidField> {
        match side {
            v1::Side::Buy => Ok(Self::Buy),
            v1::Side::Sell => Ok(Self::Sell),
            v1::Side::Unspecified => Err(unspecified("side")),
        }
    }
}

impl From<TradeStatus> for v1::TradeStatus {
    fn from(status: TradeStatus) -> Self {
        match status {
            TradeStatus::Pending => Self::Pending,
            TradeStatus::Working => Self::Working,
            TradeStatus::Filled => Self::Filled,
            TradeStatus::PartiallyFilled => Self::PartiallyFilled,
            TradeStatus::Rejected => Self::Rejected,
            TradeStatus::Denied => Self::Denied,
            TradeStatus::Expired => Self::Expired,
            TradeStatus::Canceled => Self::Canceled,
            TradeStatus::NoTrade => Self::NoTrade,
        }
    }
}

impl TryFrom<v1::TradeStatus> for TradeStatus {
    type Error = InvalidField;

    fn try_from(status: v1::TradeStatus) -> Result<Self, InvalidField> {
        match status {
            v1::TradeStatus::Pending => Ok(Self::Pending),
            v1::TradeStatus::Working => Ok(Self::Working),
            v1::TradeStatus::Filled => Ok(Self::Filled),
            v1::TradeStatus::PartiallyFilled => Ok(Self::PartiallyFilled),
            v1::TradeStatus::Rejected => Ok(Self::Rejected),
            v1::TradeStatus::Denied => Ok(Self::Denied),
            v1::TradeStatus::Expired => Ok(Self::Expired),
            v1::TradeStatus::Canceled => Ok(Self::Canceled),
            v1::TradeStatus::NoTrade => Ok(Self::NoTrade),
            v1::TradeStatus::Unspecified => Err(unspecified("status")),
        }
    }
}

impl From<&OrderTerms> for v1::OrderTerms {
    fn from(terms: &OrderTerms) -> Self {
        let (order_type, limit_price_micros) = match terms.price {
            OrderPrice::Limit(price) => (v1::OrderType::Limit, price.micros()),
            OrderPrice::Market => (v1::OrderType::Market, 0),
        };
        let (time_in_force, expire_at_micros) = match terms.time_in_force {
            TimeInForce::Ioc => (v1::TimeInForce::Ioc, 0),
            TimeInForce::Fok => (v1::TimeInForce::Fok, 0),
            TimeInForce::Gtc => (v1::TimeInForce::Gtc, 0),
            TimeInForce::Gtd(end) => (v1::TimeInForce::Gtd, end.micros()),
        };
        Self {
            order_id: terms.id.to_string(),
            instrument_id: terms.instrument.to_string(),
            side: v1::Side::from(terms.side).into(),
            order_type: order_type.into(),
            quantity_micros: terms.quantity.micros(),
            limit_price_micros,
            time_in_force: time_in_force.into(),
            expire_at_micros,
            is_reduce_only: terms.is_reduce_only,
            is_post_only: terms.is_post_only,
        }
    }
}

impl TryFrom<&v1::OrderTerms> for OrderTerms {
    type Error = InvalidField;

    fn try_from(terms: &v1::OrderTerms) -> Result<Self, InvalidField> {
        if terms.quantity_micros <= 0 {
            return Err(InvalidField::new("quantity_micros", "QUANTITY_NOT_POSITIVE", "must be above zero"));
        }
        let price = match known("order_type", terms.order_type)? {
            v1::OrderType::Limit if terms.limit_price_micros > 0 => {
                OrderPrice::Limit(Price::from_micros(terms.limit_price_micros))
            }
            v1::OrderType::Limit => {
                return Err(InvalidField::new("limit_price_micros", "PRICE_OUT_OF_BOUNDS", "must be above zero"));
            }
            v1::OrderType::Market => OrderPrice::Market,
            v1::OrderType::Unspecified => return Err(unspecified("order_type")),
        };
        let time_in_force = match known("time_in_force", terms.time_in_force)? {
            v1::TimeInForce::Ioc => TimeInForce::Ioc,
            v1::TimeInForce::Fok => TimeInForce::Fok,
            v1::TimeInForce::Gtc => TimeInForce::Gtc,
            v1::TimeInForce::Gtd => TimeInForce::Gtd(Timestamp::from_micros(terms.expire_at_micros)),
            v1::TimeInForce::Unspecified => return Err(unspecified("time_in_force")),
        };
        let parsed = Self {
            id: id("order_id", &terms.order_id)?,
            instrument: id("instrument_id", &terms.instrument_id)?,
            side: known::<v1::Side>("side", terms.side)?.try_into()?,
            price,
            quantity: Quantity::from_micros(terms.quantity_micros),
            time_in_force,
            is_reduce_only: terms.is_reduce_only,
            is_post_only: terms.is_post_only,
        };
        if parsed.is_post_only && !parsed.can_be_post_only() {
            let message = "only a limit order that is GTC or GTD can be post-only";
            return Err(InvalidField::new("is_post_only", "POST_ONLY_NOT_ALLOWED", message));
        }
        Ok(parsed)
    }
}

impl From<&Fill> for v1::Fill {
    fn from(fill: &Fill) -> Self {
        Self {
            execution_id: fill.id.to_string(),
            price_micros: fill.price.micros(),
            quantity_micros: fill.quantity.micros(),
            fee_micros: fill.fee.micros(),
            executed_at_micros: fill.executed_at.micros(),
        }
    }
}

impl TryFrom<&v1::Fill> for Fill {
    type Error = InvalidField;

    fn try_from(fill: &v1::Fill) -> Result<Self, InvalidField> {
        if fill.quantity_micros <= 0 {
            return Err(InvalidField::new("quantity_micros", "QUANTITY_NOT_POSITIVE", "must be above zero"));
        }
        if fill.fee_micros < 0 {
            return Err(InvalidField::new("fee_micros", "FEE_NEGATIVE", "must not be negative"));
        }
        Ok(Self {
            id: id("execution_id", &fill.execution_id)?,
            price: Price::from_micros(fill.price_micros),
            quantity: Quantity::from_micros(fill.quantity_micros),
            fee: Money::from_micros(fill.fee_micros),
            executed_at: Timestamp::from_micros(fill.executed_at_micros),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> v1::OrderTerms {
        v1::OrderTerms {
            order_id: "o-1".into(),
            instrument_id: "GBPUSD".into(),
            side: v1::Side::Buy.into(),
            order_type: v1::OrderType::Limit.into(),
            quantity_micros: 1,
            limit_price_micros: 1,
            time_in_force: v1::TimeInForce::Gtd.into(),
            expire_at_micros: 5,
            is_reduce_only: true,
            is_post_only: true,
        }
    }

    fn check(change: impl Fn(&mut v1::OrderTerms), field: &str, reason: &str) {
        let mut changed = terms();
        change(&mut changed);
        let error = OrderTerms::try_from(&changed).expect_err("refused");
        assert_eq!((error.field.as_str(), error.reason), (field, reason));
    }

    #[test]
    fn order_terms_survive_the_round_trip_and_name_what_is_wrong() {
        let parsed = OrderTerms::try_from(&terms()).expect("valid");
        assert_eq!(v1::OrderTerms::from(&parsed), terms());
        check(|t| t.quantity_micros = 0, "quantity_micros", "QUANTITY_NOT_POSITIVE");
        check(|t| t.limit_price_micros = 0, "limit_price_micros", "PRICE_OUT_OF_BOUNDS");
        check(|t| t.side = 0, "side", "ENUM_UNSPECIFIED");
        check(|t| t.side = 9, "side", "ENUM_UNKNOWN");
        check(|t| t.time_in_force = 0, "time_in_force", "ENUM_UNSPECIFIED");
        check(|t| t.instrument_id = "a b".into(), "instrument_id", "ID_BAD_CHARSET");
        for taking in [v1::TimeInForce::Ioc, v1::TimeInForce::Fok] {
            check(|t| t.time_in_force = taking.into(), "is_post_only", "POST_ONLY_NOT_ALLOWED");
        }
        check(|t| t.order_type = v1::OrderType::Market.into(), "is_post_only", "POST_ONLY_NOT_ALLOWED");
        let resting = v1::OrderTerms { time_in_force: v1::TimeInForce::Gtc.into(), expire_at_micros: 0, ..terms() };
        assert!(OrderTerms::try_from(&resting).is_ok_and(|parsed| parsed.is_post_only));
    }
}
