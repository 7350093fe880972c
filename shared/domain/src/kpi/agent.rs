//! The record of one agent: every figure it is measured by, kept up to date.

use super::{
    ratio::{Calendar, sharpe_of, sortino_of},
    trades::{ClosedFigures, ClosedTrades},
};
use crate::{
    money::{Money, Overflow},
    portfolio::{
        Confidence, Drawdown, DrawdownFigures, Return, ReturnWindow, ScoreInputs, TailRisk, Undefined,
        performance_score,
    },
};

/// How many daily returns are kept: a year of a venue that never closes.
pub const DAYS_KEPT: usize = 365;

/// Trades, daily returns and drawdown of one agent. O(1) per event; about 6 kB when full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    calendar: Calendar,
    trades: ClosedTrades,
    days: ReturnWindow,
    drawdown: Drawdown,
}

/// Everything there is to store of an [`AgentRecord`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFigures {
    /// Closed trades.
    pub trades: ClosedFigures,
    /// Returns of the days kept, oldest first; at most [`DAYS_KEPT`].
    pub days: Vec<Return>,
    /// Peak, equity and the worst fall.
    pub drawdown: DrawdownFigures,
}

impl AgentRecord {
    /// As it was when `figures` were stored.
    ///
    /// # Errors
    /// [`Undefined`] when no record had these figures.
    pub fn restored(figures: &RecordFigures, calendar: Calendar) -> Result<Self, Undefined> {
        let mut record = Self::new(Money::ZERO, calendar);
        record.trades = ClosedTrades::restored(&figures.trades).ok_or(Undefined::OutOfRange)?;
        record.drawdown = Drawdown::restored(figures.drawdown)?;
        figures.days.iter().for_each(|day| record.end_day(*day));
        Ok(record)
    }

    /// What to store for [`AgentRecord::restored`].
    #[must_use]
    pub fn figures(&self) -> RecordFigures {
        RecordFigures {
            trades: self.trades.figures(),
            days: self.days.returns().collect(),
            drawdown: self.drawdown.figures(),
        }
    }

    /// An agent that starts with `equity`.
    #[must_use]
    pub fn new(equity: Money, calendar: Calendar) -> Self {
        let days = ReturnWindow::new(DAYS_KEPT).expect("a year of days is within the bounds of a window");
        Self { calendar, trades: ClosedTrades::default(), days, drawdown: Drawdown::starting_at(equity) }
    }

    /// A trade closed with this profit after fees.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn close_trade(&mut self, net: Money) -> Result<(), Overflow> {
        self.trades.record(net)
    }

    /// A day ended with this return; see [`crate::portfolio::Baselines::observe`].
    pub fn end_day(&mut self, day_return: Return) {
        self.days.push(day_return);
    }

    /// Takes the equity of now.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn observe(&mut self, equity: Money) -> Result<(), Overflow> {
        self.drawdown.observe(equity)
    }

    /// Money was paid in (negative: out); to be told before the equity that contains it.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn flow(&mut self, amount: Money) -> Result<(), Overflow> {
        self.drawdown.flow(amount)
    }

    /// Closed trades.
    #[must_use]
    pub const fn trades(&self) -> &ClosedTrades {
        &self.trades
    }

    /// Largest drawdown so far, 0..=1.
    #[must_use]
    pub fn max_drawdown(&self) -> f64 {
        self.drawdown.figures().worst.fraction()
    }

    /// Annual Sharpe ratio of the days kept.
    ///
    /// # Errors
    /// As [`super::sharpe`].
    pub fn sharpe(&self) -> Result<f64, Undefined> {
        sharpe_of(&self.days, self.calendar)
    }

    /// Annual Sortino ratio of the days kept.
    ///
    /// # Errors
    /// As [`super::sortino`].
    pub fn sortino(&self) -> Result<f64, Undefined> {
        sortino_of(&self.days, self.calendar)
    }

    /// One-day value at risk and expected shortfall of the days kept.
    ///
    /// # Errors
    /// [`Undefined::TooFewPoints`].
    pub fn tail(&self, confidence: Confidence) -> Result<TailRisk, Undefined> {
        self.days.tail(confidence)
    }

    /// Days that ended so far and are kept.
    #[must_use]
    pub fn days(&self) -> usize {
        self.days.len()
    }

    /// The score in parts per million, rounded down: what is not quite 0.8 is none. 0.8 that came out a little lower
    /// in the last digit is 0.8.
    ///
    /// # Errors
    /// As [`performance_score`].
    pub fn score_ppm(&self) -> Result<i64, Undefined> {
        let ppm = self.score()? * 1e6 + 1e-6;
        format!("{:.0}", ppm.floor()).parse().map_err(|_| Undefined::OutOfRange)
    }

    /// The score of all of it.
    ///
    /// # Errors
    /// As [`performance_score`].
    pub fn score(&self) -> Result<f64, Undefined> {
        performance_score(&ScoreInputs {
            trades: usize::try_from(self.trades.count()).unwrap_or(usize::MAX),
            profit_factor: self.trades.profit_factor(),
            win_rate: self.trades.win_rate(),
            sharpe: self.sharpe(),
            max_drawdown: Ok(self.max_drawdown()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_scored_once_it_has_traded_enough() {
        let money = |units: i64| Money::from_micros(units * 1_000_000);
        let mut record = AgentRecord::new(money(10_000), Calendar::BusinessDays);
        assert_eq!(record.score(), Err(Undefined::TooFewPoints { needed: 30, have: 0 }));
        for trade in 0..30 {
            record.close_trade(money(if trade % 3 == 0 { -10 } else { 15 })).expect("fits");
        }
        assert_eq!(record.score(), Err(Undefined::TooFewPoints { needed: 20, have: 0 }));
        for day in 0..20 {
            record.end_day(Return::of(money(if day % 2 == 0 { 10 } else { -5 }), money(10_000)).expect("defined"));
        }
        record.observe(money(9_700)).expect("fits");
        record.flow(money(-5_000)).expect("fits");
        record.observe(money(4_700)).expect("fits");
        // PF 3 -> 0.35, win rate 2/3 -> 0.1733, Sharpe over 2 -> 0.30, drawdown 300 of 5,000 -> 0.09.
        assert!((record.max_drawdown() - 0.06).abs() < 1e-15);
        let expected = 0.35 + 0.2 * (2.0 / 3.0 - 0.45) / 0.25 + 0.3 + 0.09;
        assert!((record.score().expect("defined") - expected).abs() < 1e-12);
        assert_eq!(record.score_ppm(), Ok(913_333), "0.9133333");
        assert_eq!(record.days(), 20);
    }
}
