//! Shrinking positions on command: each target is fixed once, and every order
//! toward it is measured against what is held and pending now, so that repeats,
//! several workers and late fills can never take a position beyond its target.

mod portion;

pub use portion::next_portion;

pub(super) use portion::{Portion, portion};

use super::{Holding, LimitName, Order, RAMP_START_PPM, Scope, State, ramp::Ramps};
use crate::{
    id::{AccountId, CommandId, InstrumentId},
    instrument::{Instrument, SettlementStyle},
    money::{Money, ONE, Overflow, Price, Quantity, Rounding},
    order::Side,
    tier::Tier,
    time::Timestamp,
};

/// Who turns targets into orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// The workers; a halted scope stops them.
    Workers,
    /// The guard itself, in the operator's flatten lane, which a halt leaves open.
    Operator,
}

/// What is asked for; see [`super::order_reduction`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reduce {
    /// Chosen by whoever asks: the same id is obeyed once.
    pub id: CommandId,
    /// Whose positions.
    pub scope: Scope,
    /// Only positions in this; `None` for all of the scope.
    pub instrument: Option<InstrumentId>,
    /// Only positions of the house's accounts: a loss of the house sells nobody else's.
    pub is_house_only: bool,
    /// What is left of every position, parts per million: 0 flattens, 1,000,000 keeps.
    pub factor_ppm: i64,
    /// Who turns targets into orders.
    pub driver: Driver,
    /// Who asks.
    pub ordered_by: String,
    /// Why.
    pub reason: String,
}

/// A command to shrink positions, with the targets it has fixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reduction {
    /// Of the command.
    pub id: CommandId,
    /// Whose positions.
    pub scope: Scope,
    /// Only positions in this; `None` for all of the scope.
    pub instrument: Option<InstrumentId>,
    /// Only positions of the house's accounts.
    pub is_house_only: bool,
    /// What is left of every position, parts per million.
    pub factor_ppm: i64,
    /// Who turns targets into orders.
    pub driver: Driver,
    /// Who asked.
    pub ordered_by: String,
    /// Why.
    pub reason: String,
    /// When it was ordered.
    pub ordered_at: Timestamp,
    /// Grows by one with every command and every change of a scope.
    pub epoch: i64,
    /// One entry per position that shrinks now, sorted by account and instrument.
    pub targets: Vec<Target>,
    /// Positions that shrink later: there are more than one command may be about at a time, see [`next_portion`].
    pub left_out: u32,
    /// Targets of earlier portions, all reached.
    pub done_before: u32,
    /// When every position was at its target; `None` while one may not be.
    pub ended_at: Option<Timestamp>,
}

/// Where one position shall end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub instrument: InstrumentId,
    /// The signed position when the target was fixed; never zero.
    pub from: Quantity,
    /// The signed position to end at: `from` x factor, rounded toward zero to the lot.
    pub target: Quantity,
}

/// How far one position is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The signed position now, unposted fills included.
    pub current: Quantity,
    /// What is ordered toward the target and not filled yet, >= 0.
    pub open: Quantity,
    /// Whether nothing that can be traded is left: less than the smallest order may be.
    pub is_done: bool,
}

/// The next order toward a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Which way.
    pub side: Side,
    /// How much at most: on lot, within the instrument's largest order and the value of one order.
    pub quantity: Quantity,
}

/// Why a reduction is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReductionRefused {
    /// Not a share.
    #[error("the factor is {factor_ppm} parts per million, it must be 0 to 1000000")]
    FactorOutOfRange {
        /// What was given.
        factor_ppm: i64,
    },
    /// The id belongs to another command.
    #[error("a different command was given under this id")]
    CommandReused,
    /// Too many are under way.
    #[error("{limit} reductions are under way already")]
    TooManyReductions {
        /// The limit.
        limit: usize,
    },
    /// A quantity does not fit 64 bits.
    #[error("a quantity is out of range")]
    OutOfRange,
}

impl ReductionRefused {
    /// As written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FactorOutOfRange { .. } => "FACTOR_OUT_OF_RANGE",
            Self::CommandReused => "COMMAND_REUSED",
            Self::TooManyReductions { .. } => "TOO_MANY_REDUCTIONS",
            Self::OutOfRange => "QUANTITY_OUT_OF_RANGE",
        }
    }
}

impl Reduction {
    /// Whether `wanted` asks for the same.
    #[must_use]
    pub fn is_of(&self, wanted: &Reduce) -> bool {
        let own = (&self.scope, &self.instrument, self.factor_ppm, self.driver);
        own == (&wanted.scope, &wanted.instrument, wanted.factor_ppm, wanted.driver)
    }

    /// The target of one position.
    #[must_use]
    pub fn target(&self, account: &AccountId, instrument: &InstrumentId) -> Option<&Target> {
        let place = self.targets.binary_search_by(|own| (&own.account, &own.instrument).cmp(&(account, instrument)));
        place.ok().map(|index| &self.targets[index])
    }

    /// Whether it is not through `overdue_ms` milliseconds after it was ordered.
    ///
    /// Example: of one ordered at 10 s that is overdue after 5 s this is so from 15 s on.
    #[must_use]
    pub const fn is_overdue(&self, overdue_ms: i64, now: Timestamp) -> bool {
        self.ended_at.is_none() && now.millis_since(self.ordered_at) >= overdue_ms
    }

    /// Every position that it is about, those of earlier and later portions included.
    #[must_use]
    pub fn positions(&self) -> usize {
        let others = u64::from(self.done_before) + u64::from(self.left_out);
        self.targets.len().saturating_add(usize::try_from(others).unwrap_or(usize::MAX))
    }

    /// Whether every position is at its target and nothing more is ordered for it.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn is_done(&self, state: &State) -> Result<bool, Overflow> {
        if self.left_out > 0 {
            return Ok(false);
        }
        for target in &self.targets {
            if !target.progress(state)?.is_done {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Target {
    /// The side that shrinks the position.
    #[must_use]
    pub const fn side(&self) -> Side {
        if self.from.is_negative() { Side::Buy } else { Side::Sell }
    }

    /// How far the position is.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn progress(&self, state: &State) -> Result<Progress, Overflow> {
        let Some(holding) = self.holding(state) else {
            return Ok(Progress { current: Quantity::ZERO, open: Quantity::ZERO, is_done: true });
        };
        let open = self.open(holding)?;
        let left = self.left(holding)?;
        let smallest = state.instrument(&self.instrument).map(smallest_order);
        let is_too_small = smallest.is_some_and(|smallest| left < smallest);
        let is_done = left.is_zero() || (is_too_small && open.is_zero());
        Ok(Progress { current: holding.position().quantity, open, is_done })
    }

    /// The next order toward the target; `None` while nothing is to be ordered: it is
    /// reached, what is missing is ordered already, or the instrument or its price is unknown.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn next_slice(&self, state: &State) -> Result<Option<Slice>, Overflow> {
        let (Some(holding), Some(instrument)) = (self.holding(state), state.instrument(&self.instrument)) else {
            return Ok(None);
        };
        let missing = self.orderable(holding)?;
        let quantity = missing.min(instrument.max_quantity).min(worth_one_order(state, instrument, self.side())?);
        let quantity = quantity.floor_to(instrument.lot);
        let is_enough = !quantity.is_zero() && quantity >= instrument.min_quantity;
        Ok(is_enough.then_some(Slice { side: self.side(), quantity }))
    }

    /// What may still be ordered: the way to the target with everything pending filled, >= 0.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn orderable(&self, holding: &Holding) -> Result<Quantity, Overflow> {
        Ok(self.left(holding)?.minus(self.open(holding)?)?.max(Quantity::ZERO))
    }

    /// The way to the target, >= 0. A position that has changed its sign since is beyond it.
    fn left(&self, holding: &Holding) -> Result<Quantity, Overflow> {
        let left = holding.closable(self.side())?.minus(self.target.magnitude()?)?;
        Ok(left.max(Quantity::ZERO))
    }

    /// Everything pending that shrinks the position, whoever has ordered it.
    fn open(&self, holding: &Holding) -> Result<Quantity, Overflow> {
        holding.orders_of(self.side()).try_fold(Quantity::ZERO, |sum, open| sum.plus(open.remaining()))
    }

    fn holding<'a>(&self, state: &'a State) -> Option<&'a Holding> {
        state.account(&self.account)?.holding(&self.instrument)
    }
}

impl Order {
    /// Whether a reduction under way waits for the place of this order: what rests
    /// for another purpose could keep its target out of reach for ever.
    pub(super) fn is_in_the_way(&self, state: &State) -> bool {
        self.terms.time_in_force.is_resting()
            && state.open_reductions().any(|reduction| {
                self.purpose.reduction() != Some(&reduction.id)
                    && reduction.target(&self.account, &self.terms.instrument).is_some()
            })
    }
}

/// What is less cannot be traded.
fn smallest_order(instrument: &Instrument) -> Quantity {
    instrument.min_quantity.max(instrument.lot)
}

/// The largest quantity whose value is within the cap of one order at the collar's edge.
/// Without a quote nothing can be ordered anyway.
fn worth_one_order(state: &State, instrument: &Instrument, side: Side) -> Result<Quantity, Overflow> {
    let Some(reference) = state.quote(&instrument.id).and_then(crate::market::Quote::reference_price) else {
        return Ok(Quantity::ZERO);
    };
    let style = instrument.settlement.style;
    let collar = state.limits().collar(style, reference)?;
    let price = match (style, side) {
        // A sale of a prediction is worth the opposite outcome.
        (SettlementStyle::Prediction, Side::Sell) => reference.minus(collar)?.max(instrument.min_price).opposite()?,
        (SettlementStyle::Prediction | SettlementStyle::Spot | SettlementStyle::Margined, Side::Buy | Side::Sell) => {
            reference.plus(collar)?
        }
    };
    let price = price.max(Price::from_micros(1));
    let (limits, tier) = (state.limits(), Tier::Standard.as_str());
    // A ramp opens the cap slowly; how far it is, the decision knows, and a tenth always passes.
    let share = if state.ramps == Ramps::default() { ONE } else { RAMP_START_PPM };
    let tier_cap =
        limits.rules.of(LimitName::TierOrderValueMaxMicros, tier).map_or(limits.order_value_max, Money::from_micros);
    let cap = limits.order_value_max.ppm(share, Rounding::Down)?.min(tier_cap);
    let most = i128::from(cap.micros()) * i128::from(ONE) / i128::from(price.micros());
    Ok(Quantity::from_micros(i64::try_from(most).unwrap_or(i64::MAX)))
}
