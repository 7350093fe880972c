//! Everything that one group of accounts holds, summed up, so that a fill or a
//! price costs O(1) however many accounts there are.

use super::{
    mark::{PriceView, conservative_mark},
    undefined::Undefined,
    valuation::{Exposure, Held, Pnl, Valuation},
};
use crate::{
    id::InstrumentId,
    instrument::SettlementStyle,
    money::{Money, Overflow, Price},
    order::Side,
    position::Position,
    time::Timestamp,
};
use std::collections::BTreeMap;

/// Cash and positions of an agent, a pool or a whole portfolio, in one currency,
/// with their value at conservative marks.
///
/// Tell it every change ([`Book::pay`], [`Book::change`], [`Book::price`]) and, once
/// in a while, the time ([`Book::refresh`]: marks age). Longs and shorts of different
/// accounts stand side by side; they do not cancel out. Memory: one line per instrument.
///
/// ```
/// use tragen_domain::{id::InstrumentId, instrument::SettlementStyle, money::*, portfolio::*, position::Position};
/// # use tragen_domain::time::Timestamp;
/// let (home, now) = (InstrumentId::new("ARS-CHE-HOME").unwrap(), Timestamp::default());
/// let mut book = Book::default();
/// book.pay("1000".parse().unwrap()).unwrap();
/// // 100 contracts bought at 0.55 with a fee of 0.75.
/// let held = Position { quantity: "100".parse().unwrap(), entry_notional: "55".parse().unwrap(), ..Position::default() };
/// book.pay("-55.75".parse().unwrap()).unwrap();
/// book.change(&home, SettlementStyle::Prediction, &Position::default(), &held).unwrap();
/// let (bid, ask) = ("0.53".parse().ok(), "0.57".parse().ok());
/// let view = PriceView { bid, ask, last: None, fair: None, published_at: now, max_age_ms: 5_000 };
/// book.price(&home, SettlementStyle::Prediction, view, now).unwrap();
/// assert_eq!(book.equity().unwrap().to_string(), "997.25"); // 944.25 in cash, 53 at the bid
/// assert_eq!(book.exposure().unwrap().gross().unwrap().to_string(), "55");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    cash: Money,
    accrued_fees: Money,
    lines: BTreeMap<InstrumentId, Line>,
    totals: Totals,
}

/// One instrument of a book.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    style: SettlementStyle,
    view: Option<PriceView>,
    long: Leg,
    short: Leg,
}

/// All longs, or all shorts, of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Leg {
    /// Quantity, entry notional and margin of all of them.
    held: Position,
    /// The mark, or why there is none.
    mark: Result<Price, Undefined>,
}

/// What lines add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Totals {
    /// Of the legs that have a mark, and of everything closed.
    valued: Valuation,
    /// Legs that hold something and have no mark.
    unmarked: usize,
}

impl Book {
    /// `amount` came in (negative: went out), whatever for.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn pay(&mut self, amount: Money) -> Result<(), Overflow> {
        self.cash = self.cash.plus(amount)?;
        Ok(())
    }

    /// Fees that are owed but not yet paid changed by `amount`.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn accrue_fees(&mut self, amount: Money) -> Result<(), Overflow> {
        self.accrued_fees = self.accrued_fees.plus(amount)?;
        Ok(())
    }

    /// The position of one account changed from `before` to `after`. An instrument's
    /// `style` is the one it was first mentioned with.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn change(
        &mut self,
        instrument: &InstrumentId,
        style: SettlementStyle,
        before: &Position,
        after: &Position,
    ) -> Result<(), Overflow> {
        let mut line = self.line(instrument, style);
        line.leg_mut(before).remove(before)?;
        line.leg_mut(after).add(after)?;
        let mut totals = self.totals;
        let pnl = &mut totals.valued.pnl;
        pnl.realized = pnl.realized.plus(after.realized_pnl)?.minus(before.realized_pnl)?;
        pnl.fees = pnl.fees.plus(after.fees)?.minus(before.fees)?;
        self.put(instrument, line, totals)
    }

    /// What is known of an instrument's price now, held or not.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn price(
        &mut self,
        instrument: &InstrumentId,
        style: SettlementStyle,
        view: PriceView,
        now: Timestamp,
    ) -> Result<(), Overflow> {
        let mut line = self.line(instrument, style);
        line.view = Some(view);
        line.mark(now);
        self.put(instrument, line, self.totals)
    }

    /// Lets the marks age: O(instruments), to be called about once a second.
    ///
    /// # Errors
    /// [`Overflow`]; lines up to then are refreshed.
    pub fn refresh(&mut self, now: Timestamp) -> Result<(), Overflow> {
        let instruments: Vec<InstrumentId> = self.lines.keys().cloned().collect();
        for instrument in instruments {
            if let Some(mut line) = self.lines.get(&instrument).cloned() {
                line.mark(now);
                self.put(&instrument, line, self.totals)?;
            }
        }
        Ok(())
    }

    /// Cash, plus what is held at conservative marks, less accrued fees.
    ///
    /// # Errors
    /// [`Undefined::NoPrice`] while anything held has no usable price, [`Undefined::Overflow`].
    pub fn equity(&self) -> Result<Money, Undefined> {
        self.check_marks()?;
        Ok(self.totals.valued.equity(self.cash, self.accrued_fees)?)
    }

    /// Money exposed in everything held.
    ///
    /// # Errors
    /// [`Undefined::NoPrice`].
    pub fn exposure(&self) -> Result<Exposure, Undefined> {
        self.check_marks()?;
        Ok(self.totals.valued.exposure)
    }

    /// Money exposed in one instrument; nothing when it is not held.
    ///
    /// # Errors
    /// [`Undefined::NoPrice`], [`Undefined::Overflow`].
    pub fn exposure_in(&self, instrument: &InstrumentId) -> Result<Exposure, Undefined> {
        let Some(line) = self.lines.get(instrument) else { return Ok(Exposure::default()) };
        let totals = line.totals()?;
        if totals.unmarked > 0 { Err(Undefined::NoPrice { legs: totals.unmarked }) } else { Ok(totals.valued.exposure) }
    }

    /// Realized and unrealized profit, and fees.
    ///
    /// # Errors
    /// [`Undefined::NoPrice`].
    pub fn pnl(&self) -> Result<Pnl, Undefined> {
        self.check_marks()?;
        Ok(self.totals.valued.pnl)
    }

    /// Cash alone.
    #[must_use]
    pub const fn cash(&self) -> Money {
        self.cash
    }

    /// Every instrument that it was told anything of, sorted.
    pub fn instruments(&self) -> impl Iterator<Item = &InstrumentId> {
        self.lines.keys()
    }

    fn check_marks(&self) -> Result<(), Undefined> {
        match self.totals.unmarked {
            0 => Ok(()),
            legs => Err(Undefined::NoPrice { legs }),
        }
    }

    fn line(&self, instrument: &InstrumentId, style: SettlementStyle) -> Line {
        self.lines.get(instrument).cloned().unwrap_or_else(|| Line::new(style))
    }

    /// Puts `line` in place of the one there is, and the difference into `totals`.
    fn put(&mut self, instrument: &InstrumentId, line: Line, totals: Totals) -> Result<(), Overflow> {
        let before = self.lines.get(instrument).map(Line::totals).transpose()?.unwrap_or_default();
        self.totals = totals.minus(&before)?.plus(&line.totals()?)?;
        self.lines.insert(instrument.clone(), line);
        Ok(())
    }
}

impl Line {
    fn new(style: SettlementStyle) -> Self {
        let empty = Leg { held: Position::default(), mark: Err(Undefined::NoPrice { legs: 1 }) };
        Self { style, view: None, long: empty, short: empty }
    }

    fn leg_mut(&mut self, position: &Position) -> &mut Leg {
        if position.quantity.is_negative() { &mut self.short } else { &mut self.long }
    }

    fn mark(&mut self, now: Timestamp) {
        let Some(view) = self.view else { return };
        let mark = |opened| conservative_mark(self.style, opened, &view, now);
        (self.long.mark, self.short.mark) = (mark(Side::Buy), mark(Side::Sell));
    }

    fn totals(&self) -> Result<Totals, Overflow> {
        let mut totals = Totals::default();
        for leg in [&self.long, &self.short] {
            if leg.held.quantity.is_zero() {
                continue;
            }
            match leg.mark {
                Ok(mark) => {
                    totals.valued =
                        totals.valued.plus(&Held { position: &leg.held, style: self.style, mark }.valued()?)?
                }
                Err(_) => totals.unmarked += 1,
            }
        }
        Ok(totals)
    }
}

impl Leg {
    fn add(&mut self, position: &Position) -> Result<(), Overflow> {
        let held = &mut self.held;
        held.quantity = held.quantity.plus(position.quantity)?;
        held.entry_notional = held.entry_notional.plus(position.entry_notional)?;
        held.margin = held.margin.plus(position.margin)?;
        Ok(())
    }

    fn remove(&mut self, position: &Position) -> Result<(), Overflow> {
        let held = &mut self.held;
        held.quantity = held.quantity.minus(position.quantity)?;
        held.entry_notional = held.entry_notional.minus(position.entry_notional)?;
        held.margin = held.margin.minus(position.margin)?;
        Ok(())
    }
}

impl Totals {
    fn plus(&self, other: &Self) -> Result<Self, Overflow> {
        Ok(Self { valued: self.valued.plus(&other.valued)?, unmarked: self.unmarked + other.unmarked })
    }

    fn minus(&self, other: &Self) -> Result<Self, Overflow> {
        Ok(Self { valued: self.valued.minus(&other.valued)?, unmarked: self.unmarked - other.unmarked })
    }
}
