//! One agent in a run: its own account, what it holds, and its open round trips.

use super::{
    desk::Wish,
    figures::{Figures, TradeRow},
};
use std::collections::HashMap;
use tragen_domain::{
    agents::{personality::Personality, signal::Reason},
    execution::Fill,
    id::{AccountId, AgentId, InstrumentId, PoolId},
    instrument::{Instrument, SettlementStyle},
    kpi::Calendar,
    ledger::Wallet,
    market::Timeframe,
    money::{Money, ONE, Overflow, Price, Quantity},
    order::Side,
    portfolio::{RoundTrip, position_value},
    position::{FillEffect, Position},
    time::Timestamp,
};

/// A configured agent as a run needs it.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    /// Its id, which is also the name of its account: each agent is measured on money of its own.
    pub(crate) id: AgentId,
    /// For limits and the report.
    pub(crate) pool: PoolId,
    /// How bold it is.
    pub(crate) personality: Personality,
    /// What it trades; of a value agent, beginnings of match ids.
    pub(crate) instruments: Vec<String>,
    /// The bars it looks at.
    pub(crate) timeframe: Timeframe,
}

/// An agent, its money and its record.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) agent: Agent,
    pub(super) account: AccountId,
    pub(super) wallet: Wallet,
    pub(super) figures: Figures,
    held: HashMap<InstrumentId, Held>,
    /// Worth of everything held at its mark.
    worth: Money,
}

#[derive(Debug, Default)]
struct Held {
    position: Position,
    trip: RoundTrip,
    worth: Money,
    open: Option<OpenTrade>,
}

/// A round trip under way.
#[derive(Debug, Clone)]
struct OpenTrade {
    side: Side,
    quantity: Quantity,
    opened_at: Timestamp,
    entry: Price,
    fees: Money,
    bet: Option<Bet>,
}

/// What a bet was made on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bet {
    /// The probability that was believed.
    pub(crate) fair: f64,
    /// Expected return on the cost.
    pub(crate) edge: f64,
    /// What the closing line says the bet was worth: `p_close / price - 1`; `None` without a closing line.
    pub(crate) closing_value: Option<f64>,
}

/// Why a trade ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The rule said so.
    Rule(Reason),
    /// The market was decided.
    Settled,
}

/// What was filled of an order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken {
    /// How much.
    pub(super) quantity: Quantity,
}

impl Why {
    /// As the report writes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Rule(Reason::Entry) => "other-side",
            Self::Rule(Reason::ExitSignal) => "signal",
            Self::Rule(Reason::Stop) => "stop",
            Self::Rule(Reason::TimeExit) => "time",
            Self::Rule(Reason::Resize) => "resize",
            Self::Settled => "settled",
        }
    }
}

impl Seat {
    /// An agent without money.
    pub(super) fn new(agent: Agent, calendar: Calendar) -> Self {
        let account = AccountId::new(agent.id.as_str()).expect("ids of agents and accounts have the same form");
        let figures = Figures::new(calendar);
        Self { agent, account, wallet: Wallet::default(), figures, held: HashMap::new(), worth: Money::ZERO }
    }

    /// What is held of an instrument.
    pub(super) fn position(&self, instrument: &InstrumentId) -> Position {
        self.held.get(instrument).map_or_else(Position::default, |held| held.position)
    }

    /// Cash and everything held at its mark.
    pub(super) fn equity(&self) -> Result<Money, Overflow> {
        self.wallet.cash.plus(self.worth)
    }

    /// Values what is held of an instrument: longs at the bid, shorts at the ask.
    pub(super) fn mark(&mut self, instrument: &Instrument, bid: Price, ask: Price) -> Result<(), Overflow> {
        let Some(held) = self.held.get_mut(&instrument.id).filter(|held| !held.position.quantity.is_zero()) else {
            return Ok(());
        };
        let mark = if held.position.quantity.is_negative() { ask } else { bid };
        let worth = position_value(&held.position, instrument.settlement.style, mark)?;
        self.worth = self.worth.minus(held.worth)?.plus(worth)?;
        held.worth = worth;
        Ok(())
    }

    /// Whether anything is held of an instrument.
    pub(super) fn holds(&self, instrument: &InstrumentId) -> bool {
        self.held.get(instrument).is_some_and(|held| !held.position.quantity.is_zero())
    }

    /// Says what the position in `instrument` was opened on.
    pub(super) fn note_bet(&mut self, instrument: &InstrumentId, bet: Bet) {
        if let Some(open) = self.held.get_mut(instrument).and_then(|held| held.open.as_mut()) {
            open.bet = Some(bet);
        }
    }

    /// Takes a fill that the books have; closes or opens the round trip.
    pub(super) fn fill(
        &mut self,
        wish: Wish<'_>,
        (before, after): (Position, Position),
        fill: &Fill,
        taken: &mut Taken,
    ) -> Result<(), Overflow> {
        taken.quantity = taken.quantity.plus(fill.quantity)?;
        self.figures.fees = self.figures.fees.plus(fill.fee)?;
        let held = self.held.entry(wish.instrument.id.clone()).or_default();
        let effect = FillEffect {
            realized_pnl: after.realized_pnl.minus(before.realized_pnl)?,
            fee: fill.fee,
            ..FillEffect::default()
        };
        let net = held.trip.fill(before.quantity, after.quantity, &effect)?;
        held.position = after;
        let end = End { at: fill.executed_at, price: fill.price, why: Why::Rule(wish.why) };
        if let Some(open) = &mut held.open {
            open.fees = open.fees.plus(fill.fee)?;
        }
        if let Some(net) = net {
            let row = held.open.take().map(|open| open.row(&self.agent, &wish.instrument.id, net, end));
            self.figures.close_trade(net, row)?;
        }
        if !after.quantity.is_zero() {
            let quantity = after.quantity.magnitude()?;
            match &mut held.open {
                Some(open) => open.quantity = open.quantity.max(quantity),
                None => {
                    held.open = Some(OpenTrade {
                        side: wish.side,
                        quantity,
                        opened_at: fill.executed_at,
                        entry: fill.price,
                        fees: if before.quantity.is_zero() { fill.fee } else { Money::ZERO },
                        bet: None,
                    });
                }
            }
        }
        self.revalue(&wish.instrument.id, wish.instrument.settlement.style, fill.price)
    }

    /// The market of what is held was decided at `value`.
    pub(super) fn settle(
        &mut self,
        instrument: &Instrument,
        (before, after): (Position, Position),
        value: Price,
        now: Timestamp,
    ) -> Result<(), Overflow> {
        let Some(mut held) = self.held.remove(&instrument.id) else { return Ok(()) };
        self.worth = self.worth.minus(held.worth)?;
        let realized_pnl = after.realized_pnl.minus(before.realized_pnl)?;
        let effect = FillEffect { realized_pnl, ..FillEffect::default() };
        if let Some(net) = held.trip.fill(before.quantity, after.quantity, &effect)? {
            let end = End { at: now, price: value, why: Why::Settled };
            let row = held.open.take().map(|open| open.row(&self.agent, &instrument.id, net, end));
            self.figures.close_trade(net, row)?;
        }
        Ok(())
    }

    /// What was just traded is worth its price until the market moves.
    fn revalue(&mut self, instrument: &InstrumentId, style: SettlementStyle, price: Price) -> Result<(), Overflow> {
        let Some(held) = self.held.get_mut(instrument) else { return Ok(()) };
        let worth =
            if held.position.quantity.is_zero() { Money::ZERO } else { position_value(&held.position, style, price)? };
        self.worth = self.worth.minus(held.worth)?.plus(worth)?;
        held.worth = worth;
        Ok(())
    }
}

/// How a round trip ended.
#[derive(Debug, Clone, Copy)]
struct End {
    at: Timestamp,
    price: Price,
    why: Why,
}

impl OpenTrade {
    fn row(self, agent: &Agent, instrument: &InstrumentId, net: Money, end: End) -> TradeRow {
        TradeRow {
            agent: agent.id.clone(),
            instrument: instrument.clone(),
            side: self.side,
            quantity: self.quantity,
            opened_at: self.opened_at,
            closed_at: end.at,
            entry: self.entry,
            exit: end.price,
            fees: self.fees,
            net,
            why: end.why,
            bet: self.bet,
        }
    }
}

/// Micros as the models' floating-point number; estimates only, never money.
#[expect(clippy::cast_precision_loss, reason = "models work on estimates; 2^53 micros are nine thousand million")]
pub(super) fn units(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// One unit of anything.
pub(super) const UNIT: i64 = ONE;
