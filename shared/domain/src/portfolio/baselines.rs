//! What losses are measured from: equity at the start of the day, at the start
//! of the month, and at its peak.

use super::{
    drawdown::{Drawdown, DrawdownFigures},
    loss::Loss,
    returns::Return,
};
use crate::{
    money::{Money, Overflow},
    time::Timestamp,
};

/// The baselines of one portfolio, pool or agent. Days and months are UTC.
///
/// A new day starts from the last equity of the day before, so that what is lost
/// over midnight belongs to the new day instead of to none. A clock that is set
/// back starts nothing. Money paid in or out shifts every baseline by the amount,
/// so it neither hides a loss nor looks like one.
///
/// ```
/// use tragen_domain::{money::Money, portfolio::Baselines, time::Timestamp};
/// let money = |text: &str| text.parse::<Money>().unwrap();
/// let noon = Timestamp::from_micros(43_200_000_000);
/// let mut baselines = Baselines::starting_at(money("100000"), noon);
/// baselines.observe(money("96000"), noon).unwrap();
/// assert_eq!(baselines.day_loss().bps(), 400);
/// // A deposit of 4,000 brings equity back to 100,000, but 4,000 stay lost.
/// baselines.flow(money("4000")).unwrap();
/// baselines.observe(money("100000"), noon).unwrap();
/// assert_eq!(baselines.day_loss().amount(), money("4000"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Baselines {
    observed_at: Timestamp,
    start_of_day: Money,
    start_of_month: Money,
    drawdown: Drawdown,
}

/// Everything there is to store of [`Baselines`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BaselineFigures {
    /// When equity was last taken: tells day and month.
    pub observed_at: Timestamp,
    /// Equity that the day started with, shifted by flows since.
    pub start_of_day: Money,
    /// Equity that the month started with, shifted by flows since.
    pub start_of_month: Money,
    /// The newest equity, its peak and the worst fall.
    pub drawdown: DrawdownFigures,
}

impl Baselines {
    /// Day, month and peak start with `equity`.
    #[must_use]
    pub fn starting_at(equity: Money, now: Timestamp) -> Self {
        let drawdown = Drawdown::starting_at(equity);
        Self { observed_at: now, start_of_day: equity, start_of_month: equity, drawdown }
    }

    /// As they were when `figures` were stored.
    ///
    /// # Errors
    /// [`Overflow`] when they are too far apart: no baselines had these figures.
    pub fn restored(figures: &BaselineFigures) -> Result<Self, Overflow> {
        let BaselineFigures { observed_at, start_of_day, start_of_month, drawdown } = *figures;
        let restored = Self { observed_at, start_of_day, start_of_month, drawdown: Drawdown::restored(drawdown)? };
        restored.try_losses()?;
        Ok(restored)
    }

    /// What to store for [`Baselines::restored`].
    #[must_use]
    pub const fn figures(&self) -> BaselineFigures {
        let Self { observed_at, start_of_day, start_of_month, drawdown } = *self;
        BaselineFigures { observed_at, start_of_day, start_of_month, drawdown: drawdown.figures() }
    }

    /// Takes the equity of `now`. The first of a new day gives the return of the
    /// day that ended; `None` on any other, and where there was nothing to earn with.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn observe(&mut self, equity: Money, now: Timestamp) -> Result<Option<Return>, Overflow> {
        let mut next = *self;
        next.drawdown.observe(equity)?;
        let mut day_return = None;
        if now.utc_day() > self.observed_at.utc_day() {
            day_return = Return::of(self.day_pnl()?, self.start_of_day).ok();
            next.start_of_day = self.equity();
        }
        if now.utc_month() > self.observed_at.utc_month() {
            next.start_of_month = self.equity();
        }
        next.observed_at = self.observed_at.max(now);
        next.try_losses()?;
        *self = next;
        Ok(day_return)
    }

    /// `amount` was paid in (negative: out): to be told before the equity that contains it is observed.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn flow(&mut self, amount: Money) -> Result<(), Overflow> {
        let mut next = *self;
        next.start_of_day = self.start_of_day.plus(amount)?;
        next.start_of_month = self.start_of_month.plus(amount)?;
        next.drawdown.flow(amount)?;
        *self = next;
        Ok(())
    }

    /// Measures the fall from the equity of now on, as after an operator's reset.
    pub fn restart_peak(&mut self) {
        self.drawdown.restart();
    }

    /// What was lost since the day began, of the equity then.
    #[must_use]
    pub fn day_loss(&self) -> Loss {
        self.loss_from(self.start_of_day)
    }

    /// What was lost since the month began, of the equity then.
    #[must_use]
    pub fn month_loss(&self) -> Loss {
        self.loss_from(self.start_of_month)
    }

    /// Highest equity and the falls from it.
    #[must_use]
    pub const fn drawdown(&self) -> &Drawdown {
        &self.drawdown
    }

    /// Equity that the day started with, shifted by flows since: what open risk is a share of.
    #[must_use]
    pub const fn start_of_day(&self) -> Money {
        self.start_of_day
    }

    /// The newest equity.
    #[must_use]
    pub const fn equity(&self) -> Money {
        self.drawdown.figures().equity
    }

    /// Profit of the day so far, flows removed.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn day_pnl(&self) -> Result<Money, Overflow> {
        self.equity().minus(self.start_of_day)
    }

    fn loss_from(&self, basis: Money) -> Loss {
        Loss::between(basis, self.equity()).expect("it was tried with this equity, and a flow shifts both alike")
    }

    /// Losses are asked for without errors, so their differences are tried once.
    fn try_losses(&self) -> Result<(), Overflow> {
        Loss::between(self.start_of_day, self.equity())?;
        Loss::between(self.start_of_month, self.equity()).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn money(micros: i64) -> Money {
        Money::from_micros(micros)
    }

    /// 2023-11-30 12:00 UTC.
    fn noon() -> Timestamp {
        Timestamp::from_micros(1_701_345_600_000_000)
    }

    fn bps(baselines: &Baselines) -> [i64; 3] {
        [baselines.day_loss(), baselines.month_loss(), baselines.drawdown().current()].map(|loss| loss.bps())
    }

    #[test]
    fn day_month_and_peak_have_starts_of_their_own() {
        let mut baselines = Baselines::starting_at(money(100_000), noon());
        let steps = [
            (0, 97_000, [300, 300, 300]),
            (6, 110_000, [0, 0, 0]),
            (11, 99_000, [100, 100, 1_000]),
            // December: both start from 99,000, the loss over midnight is theirs.
            (12, 96_030, [300, 300, 1_270]),
            // The next day starts from 96,030.
            (36, 95_000, [107, 404, 1_363]),
        ];
        for (hours, equity, expected) in steps {
            baselines.observe(money(equity), noon().plus_millis(hours * HOUR)).expect("fits");
            assert_eq!(bps(&baselines), expected, "after {hours} h at {equity}");
        }
    }

    #[test]
    fn a_day_that_ends_tells_its_return() {
        let mut baselines = Baselines::starting_at(money(100_000), noon());
        assert_eq!(baselines.observe(money(98_000), noon()), Ok(None));
        baselines.flow(money(50_000)).expect("fits");
        let next = noon().plus_millis(24 * HOUR);
        let expected = Return::of(money(-2_000), money(150_000)).expect("defined");
        assert_eq!(baselines.observe(money(148_000), next), Ok(Some(expected)));
    }

    #[test]
    fn a_clock_set_back_starts_nothing() {
        let mut baselines = Baselines::starting_at(money(100), noon());
        baselines.observe(money(90), noon().plus_millis(-24 * HOUR)).expect("fits");
        assert_eq!(bps(&baselines), [1_000; 3]);
        assert_eq!(baselines.start_of_day(), money(100));
    }

    #[test]
    fn a_withdrawal_is_no_loss_and_a_deposit_hides_none() {
        for amount in [-60_000, 1_000_000] {
            let mut baselines = Baselines::starting_at(money(100_000), noon());
            baselines.observe(money(98_000), noon()).expect("fits");
            baselines.flow(money(amount)).expect("fits");
            baselines.observe(money(98_000 + amount), noon()).expect("fits");
            assert_eq!(baselines.day_loss().amount(), money(2_000));
            assert_eq!(baselines.month_loss().amount(), money(2_000));
            assert_eq!(baselines.drawdown().current().amount(), money(2_000));
            assert_eq!(baselines.day_pnl(), Ok(money(-2_000)));
        }
    }

    #[test]
    fn a_restart_measures_from_where_it_was() {
        let mut baselines = Baselines::starting_at(money(100_000), noon());
        baselines.observe(money(120_000), noon()).expect("fits");
        baselines.observe(money(90_000), noon()).expect("fits");
        let mut restored = Baselines::restored(&baselines.figures()).expect("fits");
        assert_eq!(restored, baselines);
        for both in [&mut restored, &mut baselines] {
            both.observe(money(85_000), noon().plus_millis(12 * HOUR)).expect("fits");
        }
        assert_eq!(restored, baselines);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut baselines = Baselines::starting_at(money(i64::MAX), noon());
        let before = baselines;
        assert_eq!(baselines.observe(money(-1), noon()), Err(Overflow));
        assert_eq!(baselines.flow(money(1)), Err(Overflow));
        assert_eq!(baselines, before);
    }
}
