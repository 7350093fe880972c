//! The way of an order, by function calls: the gate's rules, the paper venue's
//! books, the ledger's rules. The same functions as live, in the same order.

use super::{
    digest::Digest,
    seat::{Seat, Taken},
};
use std::collections::BTreeMap;
use tragen_domain::{
    agents::signal::Reason,
    execution::Fill,
    id::{Currency, Id, InstrumentId, Kind, OrderId, TradeId},
    instrument::{Instrument, InstrumentStatus},
    ledger::{LedgerError, VenueId, post_deposit, post_fill, post_settlement},
    market::{Level, Quote, Timeframe},
    money::{Money, Overflow, Price, Quantity, Rounding},
    order::{OrderPrice, OrderTerms, Side, TimeInForce},
    risk::{
        Executed, Limits, Order, Posted, PostedBalance, PostedPosition, Proposed, Purpose, Record, RulesError, Scope,
        State, TradingState, decide, tighten,
    },
    tier::Tier,
    time::Timestamp,
};
use tragen_venue::MemoryVenue;

/// Finished orders that the venue remembers: nobody asks for them.
const FINISHED_ORDERS_MAX: usize = 16;
/// Trades that the gate remembers to answer repeats; there are none.
const KNOWN_TRADES_MAX: usize = 1_024;

/// Everything between a proposal and the books.
#[derive(Debug)]
pub(super) struct Desk {
    state: State,
    venue: MemoryVenue,
    venue_id: VenueId,
    currency: Currency,
    orders: u64,
    /// Why orders were denied, and how often.
    pub(super) denials: BTreeMap<&'static str, u64>,
    /// Everything that was decided, as one number.
    pub(super) digest: Digest,
    /// What was filled, in the currency of all.
    pub(super) turnover: Money,
    /// Orders that filled at least in part.
    pub(super) filled_orders: u64,
}

/// What an agent wants to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) instrument: &'a Instrument,
    pub(super) side: Side,
    pub(super) quantity: Quantity,
    pub(super) price: OrderPrice,
    pub(super) is_reduce_only: bool,
    pub(super) timeframe: Option<Timeframe>,
    /// How sure the rule is, parts per million, where it says so.
    pub(super) confidence_ppm: Option<u32>,
    /// What the rule said.
    pub(super) why: Reason,
}

/// Why a run cannot go on: its own fault, never that of an order.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeskError {
    /// The gate's or the books' arithmetic does not fit.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// The books refuse what the gate let through.
    #[error("the books refuse what the gate let through")]
    Ledger(#[from] LedgerError),
    /// A limit that does not exist, or with a senseless value.
    #[error("limits")]
    Limits(#[source] RulesError),
}

impl Desk {
    /// A gate that is open, with `limits` over the defaults of the product.
    pub(super) fn new(limits: &BTreeMap<String, i64>, currency: &Currency, now: Timestamp) -> Result<Self, DeskError> {
        let mut own =
            Limits { known_trades_max: KNOWN_TRADES_MAX, measured_currency: currency.clone(), ..Limits::default() };
        own.rules.set_all(limits.iter().map(|(name, value)| (name.as_str(), *value))).map_err(DeskError::Limits)?;
        let mut state = State::new(own);
        state.apply(Record::TermBegan { known_trades_max: KNOWN_TRADES_MAX })?;
        let active = tighten(&state, Scope::Global, TradingState::Active, "backtest", "a run begins", now);
        state.apply(Record::ScopeChanged(active))?;
        Ok(Self {
            state,
            venue: MemoryVenue::new(FINISHED_ORDERS_MAX),
            venue_id: id("paper"),
            currency: currency.clone(),
            orders: 0,
            denials: BTreeMap::new(),
            digest: Digest::default(),
            turnover: Money::ZERO,
            filled_orders: 0,
        })
    }

    /// Pays an agent's capital in.
    pub(super) fn deposit(&mut self, seat: &mut Seat, amount: Money) -> Result<(), DeskError> {
        let posting = post_deposit(&seat.account, &self.currency, seat.wallet, amount)?;
        seat.wallet = posting.wallet;
        self.post(seat, None, None)
    }

    /// Makes an instrument known; twice changes nothing.
    pub(super) fn list(&mut self, instrument: &Instrument) -> Result<(), DeskError> {
        Ok(self.state.apply(Record::Instrument(Box::new(instrument.clone())))?)
    }

    /// The market moved.
    pub(super) fn quote(&mut self, instrument: &Instrument, prices: Prices, at: Timestamp) -> Result<(), DeskError> {
        let level = |price: Price| Level { price, quantity: prices.depth };
        let quote = Quote {
            instrument: instrument.id.clone(),
            bid: prices.bid.map(level),
            ask: prices.ask.map(level),
            event_time: at,
            published_at: at,
        };
        // Nothing rests: every order of an agent is immediate or cancel.
        self.venue.on_quote(&quote, at);
        Ok(self.state.apply(Record::Quote(quote))?)
    }

    /// Asks the gate, and sends what it approves; what was filled of it.
    pub(super) fn trade(&mut self, seat: &mut Seat, wish: Wish<'_>, now: Timestamp) -> Result<Taken, DeskError> {
        self.orders += 1;
        let proposed = self.proposal(seat, wish, now);
        let approved = match decide(&self.state, &proposed, now) {
            Ok(approved) => approved,
            Err(denied) => {
                let reason = denied.reason.as_str();
                *self.denials.entry(reason).or_default() += 1;
                self.digest.denied(now, &proposed, reason);
                return Ok(Taken::default());
            }
        };
        let order = Order::clone(&approved);
        self.state.apply(Record::Approved(Box::new(order.clone())))?;
        let report = self.venue.submit(&approved, now);
        self.digest.executed(now, &proposed, &report);
        let executed = Executed {
            trade: order.trade.clone(),
            order: order.terms.id.clone(),
            account: order.account.clone(),
            instrument: order.terms.instrument.clone(),
            agent: order.agent.clone(),
            side: order.terms.side,
            settlement: order.settlement.clone(),
            fills: report.fills.clone(),
            status: report.status,
        };
        self.state.apply(Record::Executed(Box::new(executed)))?;
        let mut taken = Taken::default();
        for fill in &report.fills {
            let position = seat.position(&order.terms.instrument);
            let books = (seat.wallet, position);
            let posting = post_fill(&seat.account, &self.venue_id, books, order.terms.side, fill, &order.settlement)?;
            seat.wallet = posting.wallet;
            seat.fill(wish, (position, posting.position), fill, &mut taken)?;
            self.turnover = self.turnover.plus(fill.price.times(fill.quantity, Rounding::Down)?)?;
        }
        self.filled_orders += u64::from(!report.fills.is_empty());
        self.post(seat, Some((&order, report.fills.as_slice())), Some(&order.terms.instrument))?;
        self.state.apply(Record::Closed { order: order.terms.id, trade: order.trade })?;
        Ok(taken)
    }

    /// A market is decided: what is held of it pays `value`.
    pub(super) fn settle(
        &mut self,
        seat: &mut Seat,
        instrument: &Instrument,
        value: Price,
        now: Timestamp,
    ) -> Result<(), DeskError> {
        let position = seat.position(&instrument.id);
        if position.quantity.is_zero() {
            return Ok(());
        }
        let books = (seat.wallet, position);
        let posting = post_settlement(&seat.account, &self.venue_id, books, value, &instrument.settlement)?;
        seat.wallet = posting.wallet;
        seat.settle(instrument, (position, posting.position), value, now)?;
        self.digest.settled(now, instrument, value, seat.wallet.cash);
        self.post(seat, None, Some(&instrument.id))
    }

    /// The market of an instrument is over.
    pub(super) fn close(&mut self, instrument: &Instrument) -> Result<(), DeskError> {
        let closed = Instrument { status: InstrumentStatus::Closed, ..instrument.clone() };
        Ok(self.state.apply(Record::Instrument(Box::new(closed)))?)
    }

    fn proposal(&self, seat: &Seat, wish: Wish<'_>, now: Timestamp) -> Proposed {
        let trade: TradeId = id(format!("b{}", self.orders));
        let terms = OrderTerms {
            id: OrderId::new(format!("{trade}-o")).expect("letters and digits are an id"),
            instrument: wish.instrument.id.clone(),
            side: wish.side,
            price: wish.price,
            quantity: wish.quantity,
            time_in_force: TimeInForce::Ioc,
            is_reduce_only: wish.is_reduce_only,
            is_post_only: false,
        };
        Proposed {
            trade,
            account: seat.account.clone(),
            terms,
            agent: Some(seat.agent.id.clone()),
            pool: Some(seat.agent.pool.clone()),
            timeframe: wish.timeframe,
            tier: Tier::Standard,
            confidence_ppm: wish.confidence_ppm,
            purpose: Purpose::Trade,
            valid_until: now,
            trades_per_day_max: Some(seat.agent.personality.max_trades_per_day()),
            is_first_on_match: false,
        }
    }

    /// Tells the gate what the books say now.
    fn post(
        &mut self,
        seat: &Seat,
        order: Option<(&Order, &[Fill])>,
        instrument: Option<&InstrumentId>,
    ) -> Result<(), DeskError> {
        let position = instrument.map(|instrument| {
            let position = seat.position(instrument);
            PostedPosition {
                instrument: instrument.clone(),
                quantity: position.quantity,
                average_price: position.average_price().unwrap_or_default(),
                margin: position.margin,
                version: seat.wallet.version,
            }
        });
        let balance = PostedBalance {
            currency: self.currency.clone(),
            cash: seat.wallet.cash,
            version: seat.wallet.version,
            is_frozen: seat.wallet.is_frozen,
            flow: Money::ZERO,
        };
        let posted = Posted {
            account: seat.account.clone(),
            trade: order.map(|(order, _)| order.trade.clone()),
            is_final: order.is_some(),
            executions: order.iter().flat_map(|(_, fills)| fills.iter().map(|fill| fill.id.clone())).collect(),
            balances: vec![balance],
            positions: position.into_iter().collect(),
        };
        Ok(self.state.apply(Record::Posted(Box::new(posted)))?)
    }
}

/// Best prices and what can be had at them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prices {
    pub(super) bid: Option<Price>,
    pub(super) ask: Option<Price>,
    pub(super) depth: Quantity,
}

fn id<K: Kind>(text: impl AsRef<str>) -> Id<K> {
    Id::new(text).expect("letters and digits are an id")
}
