//! tradingAgent, style conservative: hold the direction of the slow averages, sized to a steady volatility.
//!
//! Once per UTC day, at the close of its first bar: the direction is the sign of EMA 50 - EMA 200 (Moskowitz, Ooi and
//! Pedersen 2012), the exposure is the target volatility of 10 % a year over that of the daily returns (EWMA 0.94;
//! Moreira and Muir 2017), at most the capital once. A position is opened or enlarged only when two of three hold: the
//! market trends (average directional index of 14 bars at 20 or more), it is calm (fewer than 80 % of the last 250
//! volatilities were lower), trading is cheap (fewer than half of the last 250 spreads were narrower). There is no
//! protective stop: the size is the protection, and the gate counts the whole position as its risk. The confidence is the
//! share of the three conditions that hold: a personality that asks for more than two thirds enters when all of them do.

use super::bar::Bar;
use super::count::count_to_f64;
use super::indicators::Ema;
use super::signal::{Direction, ParameterError, Position, Reason, Signal, confidence_ppm};
use super::volatility::{EwmaDeviation, annualized};
use super::wilder::Adx;
use std::collections::VecDeque;

/// Days that volatility and spread are compared with: a trading year.
pub const RANKED_DAYS: usize = 250;
/// Daily returns to see before a volatility counts.
pub const RETURNS_MIN: u32 = 20;
/// How many of the three conditions must hold.
const CONDITIONS_MIN: usize = 2;

/// The numbers of the rule; the windows (50, 200, 14 bars) are part of the type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConservativeParams {
    /// Volatility per year that the position should have, 0.1 for 10 %.
    pub target_volatility: f64,
    /// Most times the capital to hold.
    pub max_exposure: f64,
    /// Trading days of a year: 252 for currencies and shares, 365 for markets that never close.
    pub year_days: f64,
    /// The average directional index that counts as a trend, 0 to 100, above 0.
    pub min_adx: f64,
    /// Share of the recent volatilities below today's at which the market is no longer calm, 0 to 1.
    pub max_volatility_rank: f64,
    /// Share of the recent spreads below today's at which trading is no longer cheap, 0 to 1.
    pub max_spread_rank: f64,
    /// An exposure that is off by less than this share of itself is left alone.
    pub min_change: f64,
}

impl Default for ConservativeParams {
    fn default() -> Self {
        Self {
            target_volatility: 0.10,
            max_exposure: 1.0,
            year_days: 252.0,
            min_adx: 20.0,
            max_volatility_rank: 0.8,
            max_spread_rank: 0.5,
            min_change: 0.10,
        }
    }
}

/// The conservative trader of one instrument and timeframe. Feed every closed bar once, in order.
#[derive(Debug, Clone)]
pub struct Conservative {
    params: ConservativeParams,
    fast: Ema<50>,
    slow: Ema<200>,
    adx: Adx<14>,
    deviation: EwmaDeviation,
    returns_seen: u32,
    volatilities: Recent,
    spreads: Recent,
    last_day: Option<i64>,
    wanted: Option<Holding>,
    position: Option<Position>,
}

/// What the rule wants to hold.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Holding {
    direction: Direction,
    exposure: f64,
    confidence_ppm: u32,
}

/// The last [`RANKED_DAYS`] values.
#[derive(Debug, Clone, Default)]
struct Recent(VecDeque<f64>);

impl Recent {
    /// Adds a value; the share of the others that are lower, 0 while there is no other.
    fn rank(&mut self, value: f64) -> f64 {
        let lower = self.0.iter().filter(|other| **other < value).count();
        let rank = if self.0.is_empty() { 0.0 } else { count_to_f64(lower) / count_to_f64(self.0.len()) };
        if self.0.len() == RANKED_DAYS {
            self.0.pop_front();
        }
        self.0.push_back(value);
        rank
    }
}

impl Default for Conservative {
    /// The rule with its default numbers, flat and without history.
    fn default() -> Self {
        Self::new(ConservativeParams::default()).expect("the default parameters are finite and above 0")
    }
}

impl Conservative {
    /// Starts flat and without history.
    ///
    /// # Errors
    /// [`ParameterError`] when a number is not finite and above 0.
    pub fn new(params: ConservativeParams) -> Result<Self, ParameterError> {
        for (name, value) in [
            ("target_volatility", params.target_volatility),
            ("max_exposure", params.max_exposure),
            ("year_days", params.year_days),
            ("min_adx", params.min_adx),
            ("max_volatility_rank", params.max_volatility_rank),
            ("max_spread_rank", params.max_spread_rank),
            ("min_change", params.min_change),
        ] {
            ParameterError::check(name, value)?;
        }
        Ok(Self {
            params,
            fast: Ema::default(),
            slow: Ema::default(),
            adx: Adx::default(),
            deviation: EwmaDeviation::default(),
            returns_seen: 0,
            volatilities: Recent::default(),
            spreads: Recent::default(),
            last_day: None,
            wanted: None,
            position: None,
        })
    }

    /// Takes one closed bar and says what to hold on the next one.
    ///
    /// Example: after 250 daily bars that rise by 0.5 % each and vary by 1 % a day (15.9 % a year): long with an
    /// exposure of 0.63.
    pub fn on_bar(&mut self, bar: &Bar) -> Signal {
        let close = bar.mid().close;
        let averages = (self.fast.update(close), self.slow.update(close));
        let adx = self.adx.update(bar.mid());
        let closed = self.follow(bar);
        let is_due = bar.day().is_none_or(|day| self.last_day.is_none_or(|last| day > last));
        let reason = if is_due {
            self.last_day = bar.day().or(self.last_day);
            let next = self.decide(bar, averages, adx);
            let reason = change(self.wanted, next);
            self.wanted = next;
            reason
        } else {
            None
        };
        let side = match (reason, self.wanted, self.position) {
            (Some(Reason::ExitSignal), _, Some(position)) => Some(position.direction.pick(bar.bid(), bar.ask())),
            (Some(_), Some(wanted), _) => Some(wanted.direction.pick(bar.ask(), bar.bid())),
            (None | Some(_), _, _) => None,
        };
        Signal {
            target: self.wanted.map(|wanted| wanted.direction),
            reason,
            reference_price: side.map_or(close, |side| side.close),
            stop_price: None,
            exposure: self.wanted.map(|wanted| wanted.exposure),
            confidence_ppm: self.wanted.map(|wanted| wanted.confidence_ppm),
            closed,
        }
    }

    /// The model position after the last bar, of one unit; None while flat or before the entry has filled.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// Lets the open of the bar bring the position to what was wanted.
    fn follow(&mut self, bar: &Bar) -> Option<super::signal::ClosedTrade> {
        let wanted = self.wanted.map(|wanted| wanted.direction);
        if let Some(position) = self.position.as_mut().filter(|position| Some(position.direction) == wanted) {
            position.bars_held = position.bars_held.saturating_add(1);
            return None;
        }
        let opened = wanted.map(|direction| Position {
            direction,
            entry_price: direction.pick(bar.ask().open, bar.bid().open),
            stop_price: None,
            bars_held: 0,
        });
        let ended = std::mem::replace(&mut self.position, opened)?;
        let exit_price = ended.direction.pick(bar.bid().open, bar.ask().open);
        Some(ended.close(exit_price, Reason::ExitSignal, ended.bars_held.saturating_add(1)))
    }

    /// The decision of the day.
    fn decide(&mut self, bar: &Bar, averages: (Option<f64>, Option<f64>), adx: Option<f64>) -> Option<Holding> {
        let params = self.params;
        let spread_rank = self.spreads.rank((bar.ask().close - bar.bid().close) / bar.mid().close);
        let deviation = self.deviation.update(bar.mid().close)?;
        let volatility_rank = self.volatilities.rank(deviation);
        self.returns_seen = self.returns_seen.saturating_add(1);
        let (Some(fast), Some(slow)) = averages else { return None };
        let volatility = annualized(deviation, params.year_days);
        if self.returns_seen < RETURNS_MIN || fast == slow || volatility <= 0.0 {
            return None;
        }
        let direction = if fast > slow { Direction::Long } else { Direction::Short };
        let exposure = (params.target_volatility / volatility).min(params.max_exposure);
        let conditions = [
            adx.is_some_and(|adx| adx >= params.min_adx),
            volatility_rank < params.max_volatility_rank,
            spread_rank < params.max_spread_rank,
        ];
        let holding = conditions.into_iter().filter(|holds| *holds).count();
        let is_allowed = holding >= CONDITIONS_MIN;
        let confidence_ppm = confidence_ppm(count_to_f64(holding) / count_to_f64(conditions.len()));
        let next = Holding { direction, exposure, confidence_ppm };
        match self.wanted.filter(|held| held.direction == direction) {
            Some(held) if (exposure - held.exposure).abs() < params.min_change * held.exposure => Some(held),
            // Smaller is always allowed.
            Some(held) if !is_allowed && exposure > held.exposure => Some(held),
            Some(_) => Some(next),
            None => is_allowed.then_some(next),
        }
    }
}

/// What a step from one holding to another is called.
fn change(before: Option<Holding>, after: Option<Holding>) -> Option<Reason> {
    match (before, after) {
        (None, None) => None,
        (Some(_), None) => Some(Reason::ExitSignal),
        (None, Some(_)) => Some(Reason::Entry),
        (Some(before), Some(after)) if before.direction != after.direction => Some(Reason::Entry),
        (Some(before), Some(after)) => (before != after).then_some(Reason::Resize),
    }
}

#[cfg(test)]
mod tests;
