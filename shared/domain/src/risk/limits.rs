//! The numbers the gate decides with.

use super::CommandLimits;
use super::{RepeatedOrders, Rules};
use crate::{
    id::{AccountId, Currency, InstrumentId},
    instrument::SettlementStyle,
    money::{Money, Overflow, Price, Rounding},
};
use std::collections::BTreeSet;

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
    /// Limits by scope, which may be changed while the gate runs.
    pub rules: Rules,
    /// The accounts whose capital is pooled: the house. Limits on its open risk, concentration
    /// and losses hold for all of them together, and for no other account. Empty: there is no
    /// pooled capital, everybody trades his own, and those limits are off.
    pub house_accounts: BTreeSet<AccountId>,
    /// The currency in which the house and agents are measured; what they have in others is
    /// neither profit nor loss.
    pub measured_currency: Currency,
    /// Instruments that move together, by the name of the cluster.
    pub clusters: Vec<Cluster>,
    /// What happens to an order that equals one of a moment ago.
    pub repeated_orders: RepeatedOrders,
    /// How long that moment is, milliseconds.
    pub repeated_order_ms: i64,
    /// How long limits take to open after a resume, milliseconds; 0 for at once.
    pub ramp_ms: i64,
    /// Of operators' commands.
    pub commands: CommandLimits,
    /// How long a tripped breaker stays at least before people may reset it, milliseconds.
    pub breaker_cooldown_ms: i64,
    /// After how long a breaker that ends by itself is looked at again, milliseconds.
    pub breaker_pause_ms: i64,
    /// How old the newest measurement of the house's equity may be, milliseconds.
    pub equity_age_max_ms: i64,
    /// Fewer calls to the venue within a minute are no failure rate.
    pub venue_calls_min: u32,
    /// So many samples of memory in a row must be high.
    pub memory_samples: usize,
    /// What is left of positions that a breaker reduces, parts per million.
    pub reduce_factor_ppm: i64,
    /// Correlation from which two agents of the house count as one, parts per million.
    pub correlated_pair_ppm: i64,
    /// How often a return of every agent of the house is taken, to see whether they move together, milliseconds.
    pub correlation_interval_ms: i64,
}

/// Instruments that move together: as one they may be so much of the house's capital.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Its members.
    pub instruments: BTreeSet<InstrumentId>,
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
            rules: Rules::default(),
            house_accounts: BTreeSet::new(),
            measured_currency: Currency::new("USD").expect("three letters are an id"),
            clusters: Vec::new(),
            repeated_orders: RepeatedOrders::Warn,
            repeated_order_ms: 1_000,
            ramp_ms: 300_000,
            commands: CommandLimits::default(),
            breaker_cooldown_ms: 3_600_000,
            breaker_pause_ms: 300_000,
            equity_age_max_ms: 5_000,
            venue_calls_min: 20,
            memory_samples: 3,
            reduce_factor_ppm: 500_000,
            correlated_pair_ppm: 700_000,
            correlation_interval_ms: 300_000,
        }
    }
}

impl Limits {
    /// Whether the account belongs to the house.
    #[must_use]
    pub fn is_house(&self, account: &AccountId) -> bool {
        !self.house_accounts.is_empty() && self.house_accounts.contains(account)
    }

    /// Every cluster with the instrument.
    pub fn clusters_of(&self, instrument: &InstrumentId) -> impl Iterator<Item = &Cluster> {
        self.clusters.iter().filter(|cluster| cluster.instruments.contains(instrument))
    }

    /// Whether approved orders are remembered to notice repeats.
    #[must_use]
    pub fn remembers_repeats(&self) -> bool {
        self.repeated_orders != RepeatedOrders::Off
    }

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
