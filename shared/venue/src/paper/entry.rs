//! One order as the paper venue remembers it, and its line in the file.

use crate::{Rejection, VenueReport};
use std::fmt;
use tragen_domain::{
    execution::Fill,
    id::{ExecutionId, InstrumentId, OrderId},
    instrument::{Liquidity, SettlementStyle},
    money::{Money, Overflow, Price, Quantity},
    order::{Side, TimeInForce, TradeStatus},
    risk::Order,
    time::Timestamp,
};

/// One order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: OrderId,
    pub(super) instrument: InstrumentId,
    pub(super) side: Side,
    pub(super) limit: Price,
    pub(super) quantity: Quantity,
    pub(super) time_in_force: TimeInForce,
    style: SettlementStyle,
    taker_fee_ppm: i64,
    pub(super) status: TradeStatus,
    pub(super) fills: Vec<Fill>,
    pub(super) rejection: String,
}

impl Entry {
    pub(super) fn new(order: &Order) -> Self {
        Self {
            id: order.terms.id.clone(),
            instrument: order.terms.instrument.clone(),
            side: order.terms.side,
            limit: order.limit,
            quantity: order.terms.quantity,
            time_in_force: order.terms.time_in_force,
            style: order.settlement.style,
            taker_fee_ppm: order.taker_fee_ppm,
            status: TradeStatus::Working,
            fills: Vec::new(),
            rejection: String::new(),
        }
    }

    pub(super) fn report(&self) -> VenueReport {
        VenueReport {
            order: self.id.clone(),
            status: self.status,
            fills: self.fills.clone(),
            rejection: self.rejection.clone(),
        }
    }

    pub(super) fn remaining(&self) -> Quantity {
        self.quantity.minus(self.report().filled()).unwrap_or_default()
    }

    /// How much of `depth` it can take: predictions trade whole contracts.
    pub(super) fn takes(&self, depth: Quantity) -> Quantity {
        let depth = match self.style {
            SettlementStyle::Prediction => depth.floor_to(Quantity::from_micros(1_000_000)),
            SettlementStyle::Spot | SettlementStyle::Margined => depth,
        };
        depth.min(self.remaining())
    }

    pub(super) fn fill(
        &mut self,
        (price, quantity): (Price, Quantity),
        liquidity: Liquidity,
        now: Timestamp,
    ) -> Result<(), Overflow> {
        let fee = liquidity.fee(self.style, self.taker_fee_ppm, price, quantity)?;
        let number = self.fills.len() + 1;
        let id = ExecutionId::new(format!("{}-x{number}", self.id)).map_err(|_| Overflow)?;
        self.fills.push(Fill { id, price, quantity, fee, executed_at: now });
        if self.remaining().is_zero() {
            self.status = TradeStatus::Filled;
        }
        Ok(())
    }

    /// The venue does not want it, or what is left of it.
    pub(super) fn reject(&mut self, why: Rejection) {
        self.end(TradeStatus::Rejected);
        self.rejection = why.to_string();
    }

    /// Ends what is left: `otherwise` if nothing was filled.
    pub(super) fn end(&mut self, otherwise: TradeStatus) {
        self.status = if self.fills.is_empty() { otherwise } else { TradeStatus::PartiallyFilled };
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        match self.time_in_force {
            TimeInForce::Gtd(end) => end <= now,
            TimeInForce::Ioc | TimeInForce::Fok | TimeInForce::Gtc => false,
        }
    }

    /// Reads one line as written by `Display`.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut word = || words.next();
        let id = OrderId::new(word()?).ok()?;
        let instrument = InstrumentId::new(word()?).ok()?;
        let side = match word()? {
            "buy" => Side::Buy,
            "sell" => Side::Sell,
            _ => return None,
        };
        let limit = Price::from_micros(word()?.parse().ok()?);
        let quantity = Quantity::from_micros(word()?.parse().ok()?);
        let time_in_force = match word()? {
            "ioc" => TimeInForce::Ioc,
            "fok" => TimeInForce::Fok,
            "gtc" => TimeInForce::Gtc,
            other => TimeInForce::Gtd(Timestamp::from_micros(other.parse().ok()?)),
        };
        let style = match word()? {
            "prediction" => SettlementStyle::Prediction,
            "spot" => SettlementStyle::Spot,
            "margined" => SettlementStyle::Margined,
            _ => return None,
        };
        let taker_fee_ppm = word()?.parse().ok()?;
        let status = STATUSES.into_iter().find(|status| Some(status_text(*status)) == words.clone().next())?;
        words.next();
        let count: usize = words.next()?.parse().ok()?;
        let mut fills = Vec::new();
        for number in 1..=count {
            let mut integer = || words.next()?.parse::<i64>().ok();
            fills.push(Fill {
                id: ExecutionId::new(format!("{id}-x{number}")).ok()?,
                price: Price::from_micros(integer()?),
                quantity: Quantity::from_micros(integer()?),
                fee: Money::from_micros(integer()?),
                executed_at: Timestamp::from_micros(integer()?),
            });
        }
        let rejection = words.collect::<Vec<_>>().join(" ");
        Some(Self {
            id,
            instrument,
            side,
            limit,
            quantity,
            time_in_force,
            style,
            taker_fee_ppm,
            status,
            fills,
            rejection,
        })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Buy => "buy",
            Side::Sell => "sell",
        };
        let style = match self.style {
            SettlementStyle::Prediction => "prediction",
            SettlementStyle::Spot => "spot",
            SettlementStyle::Margined => "margined",
        };
        let (limit, quantity) = (self.limit.micros(), self.quantity.micros());
        write!(f, "{} {} {side} {limit} {quantity} ", self.id, self.instrument)?;
        match self.time_in_force {
            TimeInForce::Ioc => f.write_str("ioc")?,
            TimeInForce::Fok => f.write_str("fok")?,
            TimeInForce::Gtc => f.write_str("gtc")?,
            TimeInForce::Gtd(end) => write!(f, "{}", end.micros())?,
        }
        write!(f, " {style} {} {} {}", self.taker_fee_ppm, status_text(self.status), self.fills.len())?;
        for fill in &self.fills {
            let (price, quantity, fee) = (fill.price.micros(), fill.quantity.micros(), fill.fee.micros());
            write!(f, " {price} {quantity} {fee} {}", fill.executed_at.micros())?;
        }
        if !self.rejection.is_empty() {
            write!(f, " {}", self.rejection.replace(['\n', '\r'], " "))?;
        }
        Ok(())
    }
}

const STATUSES: [TradeStatus; 9] = [
    TradeStatus::Pending,
    TradeStatus::Working,
    TradeStatus::Filled,
    TradeStatus::PartiallyFilled,
    TradeStatus::Rejected,
    TradeStatus::Denied,
    TradeStatus::Expired,
    TradeStatus::Canceled,
    TradeStatus::NoTrade,
];

const fn status_text(status: TradeStatus) -> &'static str {
    match status {
        TradeStatus::Pending => "pending",
        TradeStatus::Working => "working",
        TradeStatus::Filled => "filled",
        TradeStatus::PartiallyFilled => "partially-filled",
        TradeStatus::Rejected => "rejected",
        TradeStatus::Denied => "denied",
        TradeStatus::Expired => "expired",
        TradeStatus::Canceled => "canceled",
        TradeStatus::NoTrade => "no-trade",
    }
}
