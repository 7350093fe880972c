//! Why the gate says no: a closed set, part of the public API.

/// Why a proposal is denied; units of the numbers stand at [`Denied`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DenialReason {
    /// Decided after its `valid_until`; microseconds since the epoch.
    ProposalExpired,
    /// No such instrument.
    UnknownInstrument,
    /// The instrument is not open.
    InstrumentNotTrading,
    /// Limit price not on the tick; limit: tick, micros.
    PriceOffTick,
    /// Limit price outside the instrument's range, micros.
    PriceOutOfRange,
    /// Limit price too far from the reference; limit: collar price, micros.
    PriceCollar,
    /// Quantity not a multiple of the lot; limit: lot, micros.
    QuantityOffLot,
    /// Quantity below the minimum, micros.
    QuantityTooSmall,
    /// Quantity above the maximum, micros.
    QuantityTooLarge,
    /// Value above the cap per order, micros of the currency.
    OrderValueLimit,
    /// No quote yet.
    NoReferencePrice,
    /// The quote is too old, milliseconds.
    StaleQuote,
    /// A scope of the order is halted.
    TradingHalted,
    /// A scope is reducing and the order does not reduce; quantity, micros.
    TradingReducing,
    /// The ledger does not know the account.
    NoBalance,
    /// Cost and fee exceed the buying power, micros of the currency.
    InsufficientFunds,
    /// More is sold than is held; quantity, micros.
    InsufficientPosition,
    /// The agent's trades today reached its maximum; trades.
    AgentTradeLimit,
    /// The account is frozen.
    AccountFrozen,
    /// The gate does not know the trading state.
    RiskStateUnknown,
    /// A resting order of the same account would be traded against; price, micros.
    SelfTrade,
    /// The agent that should have served the request does not exist.
    UnknownAgent,
    /// Too many resting orders of the account; orders.
    OpenOrderLimit,
}

impl DenialReason {
    /// Every reason.
    pub const ALL: [Self; 23] = [
        Self::ProposalExpired,
        Self::UnknownInstrument,
        Self::InstrumentNotTrading,
        Self::PriceOffTick,
        Self::PriceOutOfRange,
        Self::PriceCollar,
        Self::QuantityOffLot,
        Self::QuantityTooSmall,
        Self::QuantityTooLarge,
        Self::OrderValueLimit,
        Self::NoReferencePrice,
        Self::StaleQuote,
        Self::TradingHalted,
        Self::TradingReducing,
        Self::NoBalance,
        Self::InsufficientFunds,
        Self::InsufficientPosition,
        Self::AgentTradeLimit,
        Self::AccountFrozen,
        Self::RiskStateUnknown,
        Self::SelfTrade,
        Self::UnknownAgent,
        Self::OpenOrderLimit,
    ];

    /// As written on the wire, without the enum's prefix.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProposalExpired => "PROPOSAL_EXPIRED",
            Self::UnknownInstrument => "UNKNOWN_INSTRUMENT",
            Self::InstrumentNotTrading => "INSTRUMENT_NOT_TRADING",
            Self::PriceOffTick => "PRICE_OFF_TICK",
            Self::PriceOutOfRange => "PRICE_OUT_OF_RANGE",
            Self::PriceCollar => "PRICE_COLLAR",
            Self::QuantityOffLot => "QUANTITY_OFF_LOT",
            Self::QuantityTooSmall => "QUANTITY_TOO_SMALL",
            Self::QuantityTooLarge => "QUANTITY_TOO_LARGE",
            Self::OrderValueLimit => "ORDER_VALUE_LIMIT",
            Self::NoReferencePrice => "NO_REFERENCE_PRICE",
            Self::StaleQuote => "STALE_QUOTE",
            Self::TradingHalted => "TRADING_HALTED",
            Self::TradingReducing => "TRADING_REDUCING",
            Self::NoBalance => "NO_BALANCE",
            Self::InsufficientFunds => "INSUFFICIENT_FUNDS",
            Self::InsufficientPosition => "INSUFFICIENT_POSITION",
            Self::AgentTradeLimit => "AGENT_TRADE_LIMIT",
            Self::AccountFrozen => "ACCOUNT_FROZEN",
            Self::RiskStateUnknown => "RISK_STATE_UNKNOWN",
            Self::SelfTrade => "SELF_TRADE",
            Self::UnknownAgent => "UNKNOWN_AGENT",
            Self::OpenOrderLimit => "OPEN_ORDER_LIMIT",
        }
    }

    /// One sentence for a person.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::ProposalExpired => "The order was decided too late.",
            Self::UnknownInstrument => "There is no such instrument.",
            Self::InstrumentNotTrading => "The instrument is not open for trading.",
            Self::PriceOffTick => "The limit price is not a multiple of the tick.",
            Self::PriceOutOfRange => "The limit price is outside the instrument's range.",
            Self::PriceCollar => "The limit price is too far from the market.",
            Self::QuantityOffLot => "The quantity is not a multiple of the lot.",
            Self::QuantityTooSmall => "The quantity is below the smallest order.",
            Self::QuantityTooLarge => "The quantity is above the largest order.",
            Self::OrderValueLimit => "The order is worth more than one order may be.",
            Self::NoReferencePrice => "There is no quote for the instrument.",
            Self::StaleQuote => "The last quote of the instrument is too old.",
            Self::TradingHalted => "Trading is halted.",
            Self::TradingReducing => "Only orders that shrink a position are accepted now.",
            Self::NoBalance => "The account holds no such currency.",
            Self::InsufficientFunds => "Cost and fee exceed what the account can spend.",
            Self::InsufficientPosition => "More would be sold than is held.",
            Self::AgentTradeLimit => "The agent has made all its trades of the day.",
            Self::AccountFrozen => "The account is frozen.",
            Self::RiskStateUnknown => "The gate does not know the trading state yet.",
            Self::SelfTrade => "A resting order of the same account stands against it.",
            Self::UnknownAgent => "There is no such agent.",
            Self::OpenOrderLimit => "The account has too many resting orders.",
        }
    }
}

/// A "no" with the numbers that made it; their unit stands at the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}: limit {limit}, observed {observed}", reason.as_str())]
pub struct Denied {
    /// Why.
    pub reason: DenialReason,
    /// The limit that was hit.
    pub limit: i64,
    /// The value that hit it.
    pub observed: i64,
}

impl Denied {
    pub(super) const fn new(reason: DenialReason, limit: i64, observed: i64) -> Self {
        Self { reason, limit, observed }
    }

    pub(super) const fn plain(reason: DenialReason) -> Self {
        Self::new(reason, 0, 0)
    }
}
