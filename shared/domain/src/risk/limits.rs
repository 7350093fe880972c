//! The numbers the gate decides with.

use crate::{
    instrument::SettlementStyle,
    money::{Money, Overflow, Price, Rounding},
};

/// Thresholds of the gate; the defaults are the product's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most an order may be worth, in its currency.
    pub order_value_max: Money,
    /// How old a quote may be when an instrument does not say, milliseconds.
    pub quote_age_max_ms: i64,
    /// How far a prediction's limit may be beyond the reference price.
    pub prediction_collar: Price,
    /// How far a spot limit may be beyond the reference price, parts per million of it.
    pub spot_collar_ppm: i64,
    /// How far a margined limit may be beyond the reference price, parts per million of it.
    pub margined_collar_ppm: i64,
    /// Most resting orders of one account.
    pub resting_orders_max: usize,
    /// How long an approval may be sent, milliseconds.
    pub approval_valid_ms: i64,
    /// Most trades that are remembered to answer repeats.
    pub known_trades_max: usize,
    /// How long a proposed resume may be confirmed, milliseconds.
    pub resume_valid_ms: i64,
    /// How long a scope stays tightened at least, milliseconds.
    pub resume_cooldown_ms: i64,
    /// Most resumes that may be proposed at the same time.
    pub resume_proposals_max: usize,
    /// How long a proposed booking may be confirmed, milliseconds.
    pub booking_valid_ms: i64,
    /// Most bookings that may be proposed at the same time.
    pub booking_proposals_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            order_value_max: Money::from_micros(1_000_000_000_000),
            quote_age_max_ms: 5_000,
            prediction_collar: Price::from_micros(200_000),
            spot_collar_ppm: 50_000,
            margined_collar_ppm: 50_000,
            resting_orders_max: 100,
            approval_valid_ms: 2_000,
            known_trades_max: 200_000,
            resume_valid_ms: 120_000,
            resume_cooldown_ms: 0,
            resume_proposals_max: 16,
            booking_valid_ms: 120_000,
            booking_proposals_max: 16,
        }
    }
}

impl Limits {
    /// How far from `reference` a limit price may be.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn collar(&self, style: SettlementStyle, reference: Price) -> Result<Price, Overflow> {
        match style {
            SettlementStyle::Prediction => Ok(self.prediction_collar),
            SettlementStyle::Spot => reference.ppm(self.spot_collar_ppm, Rounding::Down),
            SettlementStyle::Margined => reference.ppm(self.margined_collar_ppm, Rounding::Down),
        }
    }
}
