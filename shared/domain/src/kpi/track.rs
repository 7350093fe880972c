//! An agent's record kept from facts: what its positions came to, what was paid in and out, and bars that value what
//! it holds. The same facts in the same order give the same record.

use super::{
    agent::{AgentRecord, RecordFigures},
    ratio::Calendar,
};
use crate::{
    id::InstrumentId,
    money::{Money, Overflow, Price, Quantity, Rounding},
    portfolio::{BaselineFigures, Baselines, RoundTrip, Undefined},
    position::FillEffect,
    time::Timestamp,
};
use std::collections::BTreeMap;

/// A position as the ledger tells it after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionAfter {
    /// Signed.
    pub quantity: Quantity,
    /// Average entry price.
    pub average_price: Price,
    /// Realized profit before fees, of the whole past.
    pub realized_pnl: Money,
    /// Fees of the whole past.
    pub fees: Money,
}

/// What is known of one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldFigures {
    /// As last told.
    pub position: PositionAfter,
    /// What the trade that is open has won so far.
    pub trip_net: Money,
    /// Profit or loss at the newest prices, zero before any.
    pub unrealized: Money,
}

/// Everything there is to store of a [`Track`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackFigures {
    /// Trades, days and drawdown.
    pub record: RecordFigures,
    /// What days are measured from.
    pub baselines: BaselineFigures,
    /// Equity without what is unrealized.
    pub realized_equity: Money,
    /// Positions that were told, flat ones too: their sums go on.
    pub held: BTreeMap<InstrumentId, HeldFigures>,
}

/// The record of one agent with what is needed to keep it up. Positions without bars count at their cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    record: AgentRecord,
    baselines: Baselines,
    realized_equity: Money,
    held: BTreeMap<InstrumentId, HeldFigures>,
}

impl Track {
    /// An agent that starts with `equity`.
    ///
    /// ```
    /// use tragen_domain::{kpi::*, money::*, time::Timestamp, id::InstrumentId};
    /// let at = |hours: i64| Timestamp::from_micros(hours * 3_600_000_000);
    /// let gbpusd = InstrumentId::new("GBPUSD").unwrap();
    /// let mut track = Track::starting_at("1000".parse().unwrap(), Calendar::EveryDay, at(0));
    /// let position = |quantity: &str, average: &str, realized: &str, fees: &str| PositionAfter {
    ///     quantity: quantity.parse().unwrap(), average_price: average.parse().unwrap(),
    ///     realized_pnl: realized.parse().unwrap(), fees: fees.parse().unwrap(),
    /// };
    /// track.change(&gbpusd, &position("100", "1.2", "0", "0.1"), "0.1".parse().unwrap(), at(1)).unwrap();
    /// assert_eq!(track.equity().to_string(), "999.9");
    /// track.value(&gbpusd, ["1.25".parse().unwrap(), "1.26".parse().unwrap()], at(2)).unwrap();
    /// assert_eq!(track.equity().to_string(), "1004.9"); // 100 x 0.05 more
    /// track.change(&gbpusd, &position("0", "0", "4", "0.2"), "0.1".parse().unwrap(), at(3)).unwrap();
    /// assert_eq!((track.equity().to_string(), track.record().trades().count()), ("1003.8".to_owned(), 1));
    /// ```
    #[must_use]
    pub fn starting_at(equity: Money, calendar: Calendar, now: Timestamp) -> Self {
        Self {
            record: AgentRecord::new(equity, calendar),
            baselines: Baselines::starting_at(equity, now),
            realized_equity: equity,
            held: BTreeMap::new(),
        }
    }

    /// As it was when `figures` were stored.
    ///
    /// # Errors
    /// [`Undefined`] when no track had these figures.
    pub fn restored(figures: &TrackFigures, calendar: Calendar) -> Result<Self, Undefined> {
        Ok(Self {
            record: AgentRecord::restored(&figures.record, calendar)?,
            baselines: Baselines::restored(&figures.baselines)?,
            realized_equity: figures.realized_equity,
            held: figures.held.clone(),
        })
    }

    /// What to store for [`Track::restored`].
    #[must_use]
    pub fn figures(&self) -> TrackFigures {
        TrackFigures {
            record: self.record.figures(),
            baselines: self.baselines.figures(),
            realized_equity: self.realized_equity,
            held: self.held.clone(),
        }
    }

    /// A position changed to `after`. Of a position that was not told before, only `fee` is taken for what this
    /// change has cost; what it had realized earlier is not this agent's. The net profit of the trade that it
    /// closed, if it closed one.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn change(
        &mut self,
        instrument: &InstrumentId,
        after: &PositionAfter,
        fee: Money,
        now: Timestamp,
    ) -> Result<Option<Money>, Overflow> {
        let mut next = self.clone();
        let before = match self.held.get(instrument) {
            Some(held) => *held,
            None => HeldFigures {
                position: PositionAfter { quantity: Quantity::ZERO, fees: after.fees.minus(fee)?, ..*after },
                trip_net: Money::ZERO,
                unrealized: Money::ZERO,
            },
        };
        let effect = FillEffect {
            realized_pnl: after.realized_pnl.minus(before.position.realized_pnl)?,
            fee: after.fees.minus(before.position.fees)?,
            ..FillEffect::default()
        };
        let mut trip = RoundTrip::of(before.trip_net);
        let closed = trip.fill(before.position.quantity, after.quantity, &effect)?;
        if let Some(net) = closed {
            next.record.close_trade(net)?;
        }
        next.realized_equity = next.realized_equity.plus(effect.realized_pnl)?.minus(effect.fee)?;
        // Prices of before are kept until the next bar, for what is still held of it.
        let unrealized = if after.quantity == before.position.quantity { before.unrealized } else { Money::ZERO };
        next.held.insert(instrument.clone(), HeldFigures { position: *after, trip_net: trip.net(), unrealized });
        next.observe(now)?;
        *self = next;
        Ok(closed)
    }

    /// Money was paid in (negative: out): neither profit nor loss.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn flow(&mut self, amount: Money, now: Timestamp) -> Result<(), Overflow> {
        let mut next = self.clone();
        next.record.flow(amount)?;
        next.baselines.flow(amount)?;
        next.realized_equity = next.realized_equity.plus(amount)?;
        next.observe(now)?;
        *self = next;
        Ok(())
    }

    /// What is held of `instrument` is worth `[bid, ask]`: longs the bid, shorts the ask. Whether anything is held.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn value(
        &mut self,
        instrument: &InstrumentId,
        [bid, ask]: [Price; 2],
        now: Timestamp,
    ) -> Result<bool, Overflow> {
        let Some(held) = self.held.get(instrument).filter(|held| !held.position.quantity.is_zero()).copied() else {
            return Ok(false);
        };
        let PositionAfter { quantity, average_price, .. } = held.position;
        let mark = if quantity.is_negative() { ask } else { bid };
        // Against the account: what it is worth down, what it has cost up.
        let worth = mark.times(quantity, Rounding::Down)?;
        let unrealized = worth.minus(average_price.times(quantity, Rounding::Up)?)?;
        let mut next = self.clone();
        next.held.insert(instrument.clone(), HeldFigures { unrealized, ..held });
        next.observe(now)?;
        *self = next;
        Ok(true)
    }

    /// Time passes: a day may have ended.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn observe(&mut self, now: Timestamp) -> Result<(), Overflow> {
        let equity = self.sum()?;
        let mut next_record = self.record.clone();
        next_record.observe(equity)?;
        if let Some(day_return) = self.baselines.observe(equity, now)? {
            next_record.end_day(day_return);
        }
        self.record = next_record;
        Ok(())
    }

    /// The newest equity.
    #[must_use]
    pub const fn equity(&self) -> Money {
        self.baselines.equity()
    }

    /// Trades, days and drawdown.
    #[must_use]
    pub const fn record(&self) -> &AgentRecord {
        &self.record
    }

    fn sum(&self) -> Result<Money, Overflow> {
        self.held.values().try_fold(self.realized_equity, |sum, held| sum.plus(held.unrealized))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_micros(hours * HOUR)
    }

    fn money(units: i64) -> Money {
        Money::from_micros(units * 1_000_000)
    }

    fn position(quantity: i64, average: i64, realized: i64, fees: i64) -> PositionAfter {
        PositionAfter {
            quantity: Quantity::from_micros(quantity * 1_000_000),
            average_price: Price::from_micros(average * 1_000_000),
            realized_pnl: money(realized),
            fees: money(fees),
        }
    }

    fn instrument() -> InstrumentId {
        InstrumentId::new("X").expect("an id")
    }

    fn prices(bid: i64, ask: i64) -> [Price; 2] {
        [bid, ask].map(|price| Price::from_micros(price * 1_000_000))
    }

    #[test]
    fn longs_are_worth_the_bid_and_shorts_the_ask() {
        let check = |quantity: i64, expected: i64| {
            let mut track = Track::starting_at(money(1_000), Calendar::EveryDay, at(0));
            track.change(&instrument(), &position(quantity, 100, 0, 1), money(1), at(1)).expect("fits");
            assert_eq!(track.value(&instrument(), prices(109, 111), at(2)), Ok(true));
            assert_eq!(track.equity(), money(expected), "{quantity}");
        };
        check(10, 1_000 - 1 + 90);
        check(-10, 1_000 - 1 - 110);
    }

    #[test]
    fn what_was_earned_before_the_first_fact_is_not_the_agents() {
        let mut track = Track::starting_at(money(1_000), Calendar::EveryDay, at(0));
        let closed = track.change(&instrument(), &position(5, 100, 700, 30), money(2), at(1)).expect("fits");
        assert_eq!((closed, track.equity()), (None, money(998)));
        let closed = track.change(&instrument(), &position(0, 0, 720, 33), money(3), at(2)).expect("fits");
        assert_eq!((closed, track.equity()), (Some(money(15)), money(1_015)));
        assert_eq!(track.value(&instrument(), prices(1, 1), at(3)), Ok(false), "nothing is held");
    }

    #[test]
    fn payments_are_no_profit_and_days_end_with_their_return() {
        let mut track = Track::starting_at(money(1_000), Calendar::EveryDay, at(1));
        track.flow(money(1_000), at(2)).expect("fits");
        track.change(&instrument(), &position(1, 100, 0, 20), money(20), at(3)).expect("fits");
        track.observe(at(25)).expect("fits");
        let days: Vec<f64> = track.figures().record.days.iter().map(|day| day.as_f64()).collect();
        assert_eq!(days, [-0.01], "20 of 2,000");
        assert!((track.record().max_drawdown() - 0.01).abs() < 1e-12);
    }

    #[test]
    fn a_stored_track_goes_on_as_if_nothing_had_been() {
        let mut track = Track::starting_at(money(1_000), Calendar::EveryDay, at(0));
        for step in 1..40 {
            let held = position(step % 2, 100, step / 2, step);
            track.change(&instrument(), &held, money(1), at(step * 20)).expect("fits");
            track.value(&instrument(), prices(100 + step, 101 + step), at(step * 20 + 1)).expect("fits");
        }
        let mut restored = Track::restored(&track.figures(), Calendar::EveryDay).expect("its own figures");
        assert_eq!(restored, track);
        for one in [&mut track, &mut restored] {
            one.change(&instrument(), &position(0, 0, 100, 100), money(1), at(900)).expect("fits");
        }
        assert_eq!(restored, track);
        assert!(track.record().trades().count() > 10);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut track = Track::starting_at(Money::from_micros(i64::MAX), Calendar::EveryDay, at(0));
        let before = track.clone();
        assert_eq!(track.flow(money(1), at(1)), Err(Overflow));
        let far = PositionAfter { realized_pnl: Money::from_micros(i64::MIN), ..position(0, 0, 0, 0) };
        track.change(&instrument(), &position(1, 1, 0, 0), Money::ZERO, at(1)).expect("fits");
        let held = track.clone();
        assert_eq!(
            track.change(&instrument(), &PositionAfter { realized_pnl: money(1), ..far }, money(0), at(2)),
            Err(Overflow)
        );
        assert_eq!(track, held);
        assert_ne!(track, before);
    }
}
