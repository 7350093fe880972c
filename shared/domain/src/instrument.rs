//! What can be traded, on which grid, and what a fill of it costs.

use crate::{
    id::{Currency, InstrumentId, MatchId},
    money::{Money, ONE, Overflow, Price, Quantity, Rounding},
};

/// How a fill moves money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SettlementStyle {
    /// A contract on an outcome, priced in (0,1): the whole possible loss is paid
    /// at once. A short holds the opposite outcome, bought at 1 - price.
    Prediction,
    /// The thing itself: pay the price; sell only what is held.
    Spot,
    /// FX and perpetuals: margin is set aside, realized profit moves cash.
    Margined,
}

/// The part of an instrument the ledger must know to book a fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettlementTerms {
    /// How a fill moves money.
    pub style: SettlementStyle,
    /// Money and price are in this currency.
    pub currency: Currency,
    /// Share of notional set aside as margin, parts per million; 0 if fully paid.
    pub initial_margin_ppm: i64,
}

/// Whether an instrument can be traded now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstrumentStatus {
    /// Orders are accepted.
    Open,
    /// Not now.
    Suspended,
    /// Never again.
    Closed,
}

/// Which result of a match a prediction pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// The home team wins.
    Home,
    /// Nobody wins.
    Draw,
    /// The away team wins.
    Away,
}

/// A tradable instrument and its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// Its id.
    pub id: InstrumentId,
    /// For people.
    pub name: String,
    /// How a fill moves money.
    pub settlement: SettlementTerms,
    /// Price grid, > 0.
    pub tick: Price,
    /// Quantity grid, > 0; one whole contract for predictions.
    pub lot: Quantity,
    /// Smallest order.
    pub min_quantity: Quantity,
    /// Largest order.
    pub max_quantity: Quantity,
    /// Lowest price.
    pub min_price: Price,
    /// Highest price.
    pub max_price: Price,
    /// Taker fee, parts per million (see [`Instrument::taker_fee`]).
    pub taker_fee_ppm: i64,
    /// Can it be traded now.
    pub status: InstrumentStatus,
    /// The match and result a prediction is about.
    pub prediction: Option<(MatchId, Outcome)>,
    /// How old a quote may be when an order is decided, milliseconds; `None` for the guard's default.
    pub max_quote_age_ms: Option<i64>,
}

/// Fee of a fill, rounded up to the next micro.
///
/// Predictions pay `rate x price x (1 - price) x quantity` (the shape used by the
/// large prediction venues: nothing at certainty, most at 0.5), others `rate x notional`.
///
/// ```
/// use tragen_domain::{instrument::{SettlementStyle, taker_fee}, money::{Price, Quantity}};
/// let fee = taker_fee(SettlementStyle::Prediction, 30_000, "0.55".parse().unwrap(), "100".parse().unwrap());
/// assert_eq!(fee.unwrap().to_string(), "0.7425");
/// ```
///
/// # Errors
/// [`Overflow`].
pub fn taker_fee(style: SettlementStyle, ppm: i64, price: Price, quantity: Quantity) -> Result<Money, Overflow> {
    let per_unit = match style {
        // 1e-12 precision is kept by multiplying the rate in last.
        SettlementStyle::Prediction => {
            let variance = i128::from(price.micros()) * i128::from(price.opposite()?.micros());
            let product = variance.checked_mul(i128::from(quantity.micros())).ok_or(Overflow)?;
            let product = product.checked_mul(i128::from(ppm)).ok_or(Overflow)?;
            let scale = i128::from(ONE).pow(3);
            let ceiling = product.div_euclid(scale) + i128::from(product.rem_euclid(scale) != 0);
            return i64::try_from(ceiling).map(Money::from_micros).map_err(|_| Overflow);
        }
        SettlementStyle::Spot | SettlementStyle::Margined => price,
    };
    per_unit.times(quantity, Rounding::Up)?.ppm(ppm, Rounding::Up)
}

/// What an order was in a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liquidity {
    /// It met what was there already.
    Taker,
    /// It was there first.
    Maker,
}

impl Liquidity {
    /// Fee of a fill: [`taker_fee`], and none for whoever was there first, as the largest prediction venue has it.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn fee(self, style: SettlementStyle, ppm: i64, price: Price, quantity: Quantity) -> Result<Money, Overflow> {
        match self {
            Self::Taker => taker_fee(style, ppm, price, quantity),
            Self::Maker => Ok(Money::ZERO),
        }
    }
}

impl Instrument {
    /// Fee of taking `quantity` at `price`.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn taker_fee(&self, price: Price, quantity: Quantity) -> Result<Money, Overflow> {
        taker_fee(self.settlement.style, self.taker_fee_ppm, price, quantity)
    }
}
