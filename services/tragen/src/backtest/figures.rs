//! What is measured of one agent, or of all together, while a run goes on.

use super::seat::{Bet, Why};
use std::collections::BTreeMap;
use tragen_domain::{
    id::{AgentId, InstrumentId},
    kpi::{Calendar, ClosedTrades},
    money::{Money, Overflow, Price, Quantity},
    order::Side,
    portfolio::Drawdown,
    time::Timestamp,
};

/// Trades that are kept one by one for each agent; of later ones only the sums.
pub(super) const TRADES_KEPT: usize = 50_000;
/// Days of the equity curve: longer than any file; what comes later is not drawn.
const DAYS_MAX: usize = 40_000;

/// A closed trade.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TradeRow {
    /// Who.
    pub(crate) agent: AgentId,
    /// What.
    pub(crate) instrument: InstrumentId,
    /// How it was opened.
    pub(crate) side: Side,
    /// The most that was held.
    pub(crate) quantity: Quantity,
    /// When it was opened.
    pub(crate) opened_at: Timestamp,
    /// When it was closed.
    pub(crate) closed_at: Timestamp,
    /// Price of the first fill.
    pub(crate) entry: Price,
    /// Price of the last fill, or what the market paid.
    pub(crate) exit: Price,
    /// Fees of all its fills.
    pub(crate) fees: Money,
    /// Profit after fees.
    pub(crate) net: Money,
    /// Why it ended.
    pub(crate) why: Why,
    /// What it was bought on, if it was a bet.
    pub(crate) bet: Option<Bet>,
}

/// The last equity of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DayEnd {
    /// Days since the epoch, UTC.
    pub(crate) day: i64,
    /// Equity.
    pub(crate) equity: Money,
}

/// The record of one agent, or of all together.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) calendar: Calendar,
    /// What it began with.
    pub(crate) start: Money,
    /// The newest equity.
    pub(crate) equity: Money,
    pub(crate) drawdown: Drawdown,
    pub(crate) trades: ClosedTrades,
    pub(crate) fees: Money,
    /// Profit by month, in months since the epoch.
    pub(crate) months: BTreeMap<i64, Money>,
    /// Ends of days that are over, oldest first.
    pub(crate) days: Vec<DayEnd>,
    /// The first [`TRADES_KEPT`] trades.
    pub(crate) rows: Vec<TradeRow>,
    /// Trades that are not among them.
    pub(crate) rows_left_out: u64,
    today: Option<(i64, i64)>,
}

impl Figures {
    /// Nothing has happened.
    pub(super) fn new(calendar: Calendar) -> Self {
        Self {
            calendar,
            start: Money::ZERO,
            equity: Money::ZERO,
            drawdown: Drawdown::default(),
            trades: ClosedTrades::default(),
            fees: Money::ZERO,
            months: BTreeMap::new(),
            days: Vec::new(),
            rows: Vec::new(),
            rows_left_out: 0,
            today: None,
        }
    }

    /// Begins with so much money.
    pub(super) fn begin(&mut self, equity: Money) {
        (self.start, self.equity, self.drawdown) = (equity, equity, Drawdown::starting_at(equity));
    }

    /// Takes the equity of `now`; a first one of a new day ends the day before.
    pub(super) fn observe(&mut self, equity: Money, now: Timestamp) -> Result<(), Overflow> {
        let today = (now.utc_day(), now.utc_month());
        match self.today {
            None => self.today = Some(today),
            Some((day, _)) if today.0 > day => {
                self.end_days(day, today.0);
                self.today = Some(today);
            }
            Some(_) => {}
        }
        if equity == self.equity {
            return Ok(());
        }
        let gained = equity.minus(self.equity)?;
        let month = self.months.entry(today.1).or_default();
        *month = month.plus(gained)?;
        self.equity = equity;
        self.drawdown.observe(equity)
    }

    /// The last day is over.
    pub(super) fn finish(&mut self) {
        if let Some((day, _)) = self.today.take() {
            self.end_days(day, day + 1);
        }
    }

    pub(super) fn close_trade(&mut self, net: Money, row: Option<TradeRow>) -> Result<(), Overflow> {
        self.trades.record(net)?;
        match row {
            Some(row) if self.rows.len() < TRADES_KEPT => self.rows.push(row),
            Some(_) | None => self.rows_left_out += 1,
        }
        Ok(())
    }

    /// Daily returns, oldest first; the first one is measured from the start.
    pub(crate) fn daily_returns(&self) -> Vec<f64> {
        let mut before = self.start;
        let returns = self.days.iter().map(|end| {
            let change = super::seat::units(end.equity.micros()) / super::seat::units(before.micros()) - 1.0;
            before = end.equity;
            change
        });
        returns.collect()
    }

    /// Ends `day`; on a calendar of every day also the quiet ones before `next`.
    fn end_days(&mut self, day: i64, next: i64) {
        let last = match self.calendar {
            Calendar::BusinessDays => day + 1,
            Calendar::EveryDay => next,
        };
        let equity = self.equity;
        let free = DAYS_MAX.saturating_sub(self.days.len());
        self.days.extend((day..last).take(free).map(|day| DayEnd { day, equity }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(units: i64) -> Money {
        Money::from_micros(units * 1_000_000)
    }

    fn at(day: i64) -> Timestamp {
        Timestamp::from_micros(day * 86_400_000_000 + 1)
    }

    /// Equity of 100, 110 on day 10 and 99 on day 13.
    fn check(calendar: Calendar, expected: &[(i64, i64)]) -> Figures {
        let mut figures = Figures::new(calendar);
        figures.begin(money(100));
        for (day, equity) in [(10, 100), (10, 110), (13, 99)] {
            figures.observe(money(equity), at(day)).expect("fits");
        }
        figures.finish();
        let days: Vec<(i64, i64)> = figures.days.iter().map(|end| (end.day, end.equity.micros() / 1_000_000)).collect();
        assert_eq!(days, expected);
        figures
    }

    #[test]
    fn days_end_with_their_last_equity() {
        let figures = check(Calendar::BusinessDays, &[(10, 110), (13, 99)]);
        let returns = figures.daily_returns();
        assert!((returns[0] - 0.1).abs() < 1e-12 && (returns[1] + 0.1).abs() < 1e-12, "{returns:?}");
        assert_eq!(figures.drawdown.figures().worst.bps(), 1_000);
        check(Calendar::EveryDay, &[(10, 110), (11, 110), (12, 110), (13, 99)]);
    }
}
