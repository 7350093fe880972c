//! Agents that trade bars: one lane for each instrument. A rule set is run once
//! a bar for all agents on it; what it says at the close is done at the next open.

use super::{
    conditions::{BarConditions, Stops},
    desk::{Desk, DeskError, Prices, Wish},
    seat::Seat,
};
use tragen_domain::{
    agents::{
        bar::Bar as ModelBar,
        personality::AnalysisStyle,
        rebalance::{Rebalance, rebalance},
        signal::{ClosedTrade, Direction, Reason, Signal},
        trading::TradingRules,
    },
    instrument::{Instrument, SettlementStyle},
    market::{Bar, Ohlc, Timeframe},
    money::{Price, Quantity},
    order::{OrderPrice, Side},
    time::Timestamp,
};
use tragen_market_data::{
    feed::Gathering,
    file::{BarRow, Series},
};

/// One instrument and everybody who trades it.
#[derive(Debug)]
pub(super) struct Lane {
    instrument: Instrument,
    depth: Quantity,
    stops: Stops,
    quantity: Option<Quantity>,
    /// What bid and ask are moved by, away from each other, to have the spread of the conditions.
    spread: Spread,
    timeframe: Timeframe,
    gathering: Vec<Gathering>,
    tracks: Vec<Track>,
    /// Places of everybody who trades the instrument.
    pub(super) seats: Vec<usize>,
    pending: Vec<Pending>,
}

/// One rule set on one length of bars, and its agents.
#[derive(Debug)]
struct Track {
    timeframe: Timeframe,
    style: AnalysisStyle,
    rules: TradingRules,
    seats: Vec<usize>,
}

/// What a seat will do at the next open.
#[derive(Debug)]
struct Pending {
    seat: usize,
    timeframe: Timeframe,
    signal: Signal,
}

#[derive(Debug, Clone, Copy)]
enum Spread {
    AsInFile,
    /// Half of it, around the middle.
    Half(Price),
}

impl Lane {
    /// A lane without agents.
    pub(super) fn new(series: &Series, conditions: &BarConditions) -> Self {
        let mut instrument = series.listing.instrument.clone();
        if let Some(ppm) = conditions.fee_ppm {
            instrument.taker_fee_ppm = ppm;
        }
        if let Some(quantity) = conditions.quantity {
            // A size that was asked for is not held up by the instrument's grid.
            (instrument.lot, instrument.min_quantity) = (quantity, quantity);
        }
        let least = i64::from(series.listing.depth_lots.0) * series.listing.instrument.lot.micros();
        // Nor by what is offered, where nobody says how much that is: enough to turn a position round.
        let turned = conditions.quantity.map_or(0, |quantity| quantity.micros().saturating_mul(2));
        let least = Quantity::from_micros(least.max(turned));
        Self {
            depth: conditions.depth.unwrap_or(least),
            stops: conditions.stops,
            quantity: conditions.quantity,
            spread: conditions.half_spread.map_or(Spread::AsInFile, Spread::Half),
            timeframe: series.timeframe,
            gathering: Gathering::longer_than(series.timeframe),
            tracks: Vec::new(),
            seats: Vec::new(),
            pending: Vec::new(),
            instrument,
        }
    }

    pub(super) fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    /// Gives a seat its place; says whether there are bars for it.
    pub(super) fn add(&mut self, place: usize, seat: &Seat) -> bool {
        let (style, timeframe) = (seat.agent.personality.style(), seat.agent.timeframe);
        let Some(rules) = TradingRules::for_style(style) else { return false };
        if timeframe < self.timeframe {
            return false;
        }
        self.seats.push(place);
        match self.tracks.iter_mut().find(|track| (track.style, track.timeframe) == (style, timeframe)) {
            Some(track) => track.seats.push(place),
            None => self.tracks.push(Track { timeframe, style, rules, seats: vec![place] }),
        }
        true
    }

    /// A bar begins: what was decided at the last close is done now.
    pub(super) fn open(
        &mut self,
        row: &BarRow,
        now: Timestamp,
        desk: &mut Desk,
        seats: &mut [Seat],
    ) -> Result<(), DeskError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let row = self.with_spread(row);
        desk.quote(&self.instrument, self.prices(row.bid.open, row.ask.open), now)?;
        for pending in std::mem::take(&mut self.pending) {
            let seat = &mut seats[pending.seat];
            let Some(order) = self.order(seat, &pending.signal) else { continue };
            let closed = pending.signal.closed.as_ref().map(|closed| closed.reason);
            let wish = Wish {
                instrument: &self.instrument,
                side: order.side,
                quantity: order.quantity,
                price: OrderPrice::Market,
                is_reduce_only: order.is_reduce_only,
                timeframe: Some(pending.timeframe),
                confidence_ppm: pending.signal.confidence_ppm.filter(|_| !order.is_reduce_only),
                why: pending.signal.reason.or(closed).unwrap_or(Reason::Entry),
            };
            desk.trade(seat, wish, now)?;
            seat.mark(&self.instrument, row.bid.open, row.ask.open)?;
        }
        Ok(())
    }

    /// A bar is over: the rules look at it, and everything held is valued.
    pub(super) fn close(
        &mut self,
        row: &BarRow,
        now: Timestamp,
        desk: &mut Desk,
        seats: &mut [Seat],
    ) -> Result<(), DeskError> {
        let row = self.with_spread(row);
        self.look(self.timeframe, &row, now, desk, seats)?;
        for place in 0..self.gathering.len() {
            let gathering = &mut self.gathering[place];
            let timeframe = gathering.timeframe();
            for longer in gathering.add(row, now).into_iter().flatten() {
                self.look(timeframe, &longer, now, desk, seats)?;
            }
        }
        let (bid, ask) = (row.bid.close, row.ask.close);
        if self.seats.iter().any(|place| seats[*place].holds(&self.instrument.id)) {
            desk.quote(&self.instrument, self.prices(bid, ask), now)?;
        }
        for place in &self.seats {
            let seat = &mut seats[*place];
            seat.mark(&self.instrument, bid, ask)?;
            let equity = seat.equity()?;
            seat.figures.observe(equity, now)?;
        }
        Ok(())
    }

    /// Shows the bar to the rules of its length.
    fn look(
        &mut self,
        timeframe: Timeframe,
        row: &BarRow,
        now: Timestamp,
        desk: &mut Desk,
        seats: &mut [Seat],
    ) -> Result<(), DeskError> {
        if self.tracks.iter().all(|track| track.timeframe != timeframe) {
            return Ok(());
        }
        let BarRow { start, bid, ask } = *row;
        let bar = Bar { instrument: self.instrument.id.clone(), timeframe, start, bid, ask, published_at: now };
        // What the reader let through is a bar to the models too.
        let Ok(model) = ModelBar::seen(&bar) else { return Ok(()) };
        for track in self.tracks.iter_mut().filter(|track| track.timeframe == timeframe) {
            let signal = track.rules.on_bar(&model);
            if let Some(stopped) = signal.closed.filter(|closed| closed.reason == Reason::Stop)
                && self.stops == Stops::AtTouch
            {
                let prices = Prices { depth: self.depth, ..at_stop(&stopped) };
                desk.quote(&self.instrument, prices, now)?;
                for place in &track.seats {
                    stop(&self.instrument, timeframe, &mut seats[*place], desk, now)?;
                }
            }
            if signal.changed() || signal.closed.is_some() {
                self.pending.extend(track.seats.iter().map(|seat| Pending { seat: *seat, timeframe, signal }));
            }
        }
        Ok(())
    }

    /// What is missing to the position that the signal wants.
    fn order(&self, seat: &Seat, signal: &Signal) -> Option<Rebalance> {
        let position = seat.position(&self.instrument.id).quantity;
        let Some(quantity) = self.quantity else {
            let cash = super::seat::units(seat.wallet.cash.micros());
            return rebalance(&seat.agent.personality, &self.instrument, signal, cash, position);
        };
        let wanted = match signal.target {
            None => 0,
            Some(Direction::Short) if self.instrument.settlement.style == SettlementStyle::Spot => 0,
            Some(Direction::Long) => quantity.micros(),
            Some(Direction::Short) => -quantity.micros(),
        };
        let change = wanted.checked_sub(position.micros())?;
        let side = if change > 0 { Side::Buy } else { Side::Sell };
        let quantity = Quantity::from_micros(change.checked_abs()?);
        (!quantity.is_zero()).then_some(Rebalance { side, quantity, is_reduce_only: wanted == 0 })
    }

    fn prices(&self, bid: Price, ask: Price) -> Prices {
        Prices { bid: Some(bid), ask: Some(ask), depth: self.depth }
    }

    fn with_spread(&self, row: &BarRow) -> BarRow {
        let Spread::Half(half) = self.spread else { return *row };
        let around = |side: i64| {
            let moved = |bid: Price, ask: Price| {
                let middle = bid.micros() + (ask.micros() - bid.micros()) / 2;
                Price::from_micros(middle + side * half.micros())
            };
            Ohlc {
                open: moved(row.bid.open, row.ask.open),
                high: moved(row.bid.high, row.ask.high),
                low: moved(row.bid.low, row.ask.low),
                close: moved(row.bid.close, row.ask.close),
            }
        };
        BarRow { start: row.start, bid: around(-1), ask: around(1) }
    }
}

/// The side of the market that a stop trades against, at the price where it filled, rounded against the account.
fn at_stop(stopped: &ClosedTrade) -> Prices {
    let none = Prices { bid: None, ask: None, depth: Quantity::ZERO };
    match stopped.direction {
        Direction::Long => Prices { bid: Some(Price::from_micros(floor_micros(stopped.exit_price))), ..none },
        Direction::Short => Prices { ask: Some(Price::from_micros(-floor_micros(-stopped.exit_price))), ..none },
    }
}

/// Closes what the seat holds at the price that is quoted.
fn stop(
    instrument: &Instrument,
    timeframe: Timeframe,
    seat: &mut Seat,
    desk: &mut Desk,
    now: Timestamp,
) -> Result<(), DeskError> {
    let position = seat.position(&instrument.id).quantity;
    if position.is_zero() {
        return Ok(());
    }
    let wish = Wish {
        instrument,
        side: if position.is_negative() { Side::Buy } else { Side::Sell },
        quantity: position.magnitude()?,
        price: OrderPrice::Market,
        is_reduce_only: true,
        timeframe: Some(timeframe),
        confidence_ppm: None,
        why: Reason::Stop,
    };
    desk.trade(seat, wish, now).map(drop)
}

/// The micros of a price, down; a hair of floating-point noise below a whole micro is that micro.
#[expect(clippy::cast_possible_truncation, reason = "floored first; a float-to-integer cast saturates")]
fn floor_micros(price: f64) -> i64 {
    (price * 1e6 + 1e-4).floor() as i64
}
