//! What a drill is made of: data, so that a drill reads like a protocol.

use super::setting::Setting;
use std::time::Duration;
use tragen_contracts::v1;
use tragen_domain::risk::LimitName;

/// One whole contract, 1e-6.
pub(crate) const ONE: i64 = 1_000_000;
/// What most drills buy at, 1e-6: the ask of [`Listing::default`].
pub(crate) const ASK: i64 = 500_000;
/// What most drills sell at, 1e-6.
pub(crate) const BID: i64 = 480_000;

/// One limit, and how it is tripped.
#[derive(Debug)]
pub(crate) struct Drill {
    /// The limit, as in `limits.rules`, or the denial in small letters.
    pub(crate) limit: &'static str,
    /// The system that it needs.
    pub(crate) setting: Setting,
    /// Whose money is traded.
    pub(crate) owner: Owner,
    /// What is traded.
    pub(crate) listing: Listing,
    /// What is done in turn.
    pub(crate) steps: Vec<Step>,
    /// What brings trading back; the steps after the denial prove it.
    pub(crate) reset: &'static str,
}

/// Whose account trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// One of the drill's own.
    Own,
    /// The house's, with [`super::house::CAPITAL`] dollars in it.
    House,
}

/// An instrument of the drill's own, without fees, so that costs are plain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listing {
    /// What it is; everything but an outcome belongs to no match.
    pub(crate) style: v1::SettlementStyle,
    /// Smallest order, 1e-6.
    pub(crate) min_quantity: i64,
    /// Largest order, 1e-6.
    pub(crate) max_quantity: i64,
    /// Lowest price, 1e-6.
    pub(crate) min_price: i64,
    /// Highest price, 1e-6.
    pub(crate) max_price: i64,
    /// How old a quote may be, milliseconds.
    pub(crate) quote_age_ms: i64,
    /// Bid and ask at the start, 1e-6.
    pub(crate) quote: Option<(i64, i64)>,
}

impl Default for Listing {
    fn default() -> Self {
        Self {
            style: v1::SettlementStyle::Prediction,
            min_quantity: ONE,
            max_quantity: 10_000 * ONE,
            min_price: 10_000,
            max_price: 990_000,
            quote_age_ms: 600_000,
            quote: Some((BID, ASK)),
        }
    }
}

/// An order of the drill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    /// Buy or sell.
    pub(crate) side: v1::Side,
    /// How much, 1e-6.
    pub(crate) quantity: i64,
    /// Worst price, 1e-6.
    pub(crate) price: i64,
    /// How long it may rest.
    pub(crate) rests: v1::TimeInForce,
    /// Whether it may only close.
    pub(crate) is_reduce_only: bool,
    /// Whether it names an instrument that does not exist.
    pub(crate) is_elsewhere: bool,
    /// What the drill's agent says with it; `None` for what a user wants.
    pub(crate) signal: Option<Signal>,
}

/// What a configured agent says with an order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signal {
    /// How sure it is, parts per million.
    pub(crate) confidence_ppm: Option<u32>,
    /// Most trades of the agent in a UTC day; 0 for no limit.
    pub(crate) trades_per_day: i32,
    /// Whether it comes after its time.
    pub(crate) is_late: bool,
    /// Whether it is the drill's other agent, which trades the house's other account.
    pub(crate) is_partner: bool,
    /// Whether the account may have nothing on the match yet.
    pub(crate) is_first_on_match: bool,
}

impl Signal {
    /// In time, and nothing special.
    pub(crate) const PLAIN: Self =
        Self { confidence_ppm: None, trades_per_day: 0, is_late: false, is_partner: false, is_first_on_match: false };
}

/// Buys whole `contracts` at once, at `price` in 1e-6 at worst.
pub(crate) const fn buy(contracts: i64, price: i64) -> Order {
    order(v1::Side::Buy, contracts, price)
}

/// Sells whole `contracts` at once, at `price` in 1e-6 at worst.
pub(crate) const fn sell(contracts: i64, price: i64) -> Order {
    order(v1::Side::Sell, contracts, price)
}

const fn order(side: v1::Side, contracts: i64, price: i64) -> Order {
    let rests = v1::TimeInForce::Ioc;
    let quantity = contracts * ONE;
    Order { side, quantity, price, rests, is_reduce_only: false, is_elsewhere: false, signal: None }
}

impl Order {
    /// The same, resting until it is canceled.
    pub(crate) const fn resting(self) -> Self {
        Self { rests: v1::TimeInForce::Gtc, ..self }
    }

    /// The same, as the drill's agent wants it.
    pub(crate) const fn signaled(self, signal: Signal) -> Self {
        Self { signal: Some(signal), ..self }
    }
}

/// What a denial must say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Denial {
    /// The reason.
    pub(crate) code: v1::DenialCode,
    /// The limit, in the unit of the reason.
    pub(crate) limit: i64,
    /// What was seen.
    pub(crate) observed: Observed,
}

/// What a denial must say of the value that hit the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Observed {
    /// Exactly this.
    Is(i64),
    /// More than the limit: time goes on while the drill runs.
    AboveLimit,
    /// Less than the limit, for the same reason.
    BelowLimit,
    /// At least the limit: what the market does meanwhile cannot be told beforehand.
    FromLimit,
    /// Exactly this, while the limit is still smaller than the drill says.
    IsWhileRamping(i64),
    /// More than the limit, which is a moment that no drill knows beforehand.
    AboveAnyLimit,
}

impl Observed {
    /// Whether `value` is what the drill says, at this limit.
    pub(crate) const fn is(self, value: i64, limit: i64) -> bool {
        match self {
            Self::Is(expected) | Self::IsWhileRamping(expected) => value == expected,
            Self::AboveLimit | Self::AboveAnyLimit => value > limit,
            Self::BelowLimit => value < limit,
            Self::FromLimit => value >= limit,
        }
    }
}

/// What a breaker must say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trip {
    /// What the value that tripped it must be, in the unit of its limit.
    pub(crate) value: Observed,
    /// Its limit.
    pub(crate) limit: i64,
}

/// Of whom a limit is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitOf {
    /// Everybody.
    All,
    /// The drill's account.
    Account,
    /// The drill's instrument.
    Instrument,
    /// The drill's match.
    Match,
    /// What has this name.
    Named(&'static str),
    /// The drill's agent.
    Agent,
}

/// A scope of the drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Everything.
    Global,
    /// The pool of what users decide.
    Pool,
    /// The drill's account.
    Account,
    /// The drill's instrument.
    Instrument,
    /// The drill's agent.
    Agent,
}

/// One thing that is done, and what must come of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Money comes in, whole dollars.
    Deposit(i64),
    /// An order that must get past the gate, whatever the market makes of it.
    Passes(Order),
    /// An order that must be filled in full.
    Fills(Order),
    /// An order that must be denied.
    Denied(Order, Denial),
    /// An order that only a later check denies: what is drilled has let it through.
    DeniedLater(Order, Denial),
    /// Of the orders that rest at the venue the last one is canceled.
    CancelLast,
    /// The same cancel must be denied; the order rests on.
    CancelDenied(Denial),
    /// Bid and ask from now on, 1e-6.
    Quote(i64, i64),
    /// The instrument's status from now on.
    Status(v1::InstrumentStatus),
    /// A limit from now on: by one person, or two when it is looser.
    Limit(LimitName, LimitOf, i64),
    /// An operator halts the scope.
    Halt(At),
    /// An operator lets the scope only reduce; positions stay as they are.
    Reduce(At),
    /// Two people make the scope one level milder, to this.
    Resume(At, v1::TradingState),
    /// The same where a breaker is not low: they say why it need not be.
    ResumeOverridden(At, v1::TradingState),
    /// People are told with this code, of the drill's instrument or of everything.
    Alerted(&'static str),
    /// People are warned by the breaker with this code: its value is close to its limit, and was
    /// measured just now.
    Warned(&'static str),
    /// Bid and ask go up and down for so long.
    Swings(Duration),
    /// The account's position must come to so many contracts, by itself.
    Holds(i64),
    /// A user wants this agent to trade the drill's match, and it must be denied.
    MandateDenied(&'static str, Denial),
    /// The venue tells of so many contracts bought at the ask that nobody has ordered.
    Overspent(i64),
    /// Two operators let the frozen account trade again.
    Unfreeze,
    /// Two people cannot make the scope milder yet: its breaker cools down.
    ResumeRefused(At),
    /// The scope must come to this state by itself, by a breaker with this value at this limit.
    Becomes(At, v1::TradingState, Trip),
    /// An operator lets the scope only reduce, to nothing.
    Shrink(At),
    /// The reduction that was ordered last is not through after so many milliseconds, and people are told.
    Overdue(i64),
    /// A risk admin flattens the drill's account, early enough in a minute.
    Flatten,
    /// The flatten lane waits with what is left: so many orders a minute are its limit.
    FlattenWaits(u32),
    /// Two people cannot make the scope milder yet: it was tightened less than so many milliseconds ago.
    CoolsDown(At, i64),
    /// An order that must be filled in full, and counted as one that equals another of less than so many
    /// milliseconds ago.
    FillsAndCounts(Order, i64),
    /// Time goes on.
    Wait(Duration),
}
