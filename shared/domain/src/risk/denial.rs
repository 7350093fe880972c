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
    /// The trade was decided before.
    DuplicateTrade,
    /// The agent is less sure than it must be, parts per million.
    ConfidenceTooLow,
    /// Value above the cap of the caller's tier, micros of the currency.
    TierOrderValueLimit,
    /// Too little would stay in the wallet, micros of the currency.
    WalletFloor,
    /// The trade is too large a share of the account, micros of the currency.
    TradeShareLimit,
    /// Too large a share of the account would be in one match, micros of the currency.
    MatchShareLimit,
    /// The house has no capital to take a share of, micros of the currency.
    NoCapital,
    /// The house would risk too much of its capital, micros of the currency.
    OpenRiskLimit,
    /// Too much of the house's capital would be in one pool, micros of the currency.
    PoolExposureLimit,
    /// Too much of the house's capital would be in one timeframe, micros of the currency.
    TimeframeExposureLimit,
    /// Too much of the house's capital would be with one agent, micros of the currency.
    AgentExposureLimit,
    /// Too much of the house's capital would be with agents that move together, micros of the currency.
    CompanyExposureLimit,
    /// Too much of the house's capital would be in one instrument, micros of the currency.
    InstrumentExposureLimit,
    /// Too much of the house's capital would be in instruments that move together, micros of the currency.
    ClusterExposureLimit,
    /// Too much of the house's capital would be in one match, micros of the currency.
    HouseMatchExposureLimit,
    /// The house's equity cannot be measured or was measured too long ago, milliseconds.
    EquityUnknown,
    /// The house has lost too much today, parts per million of its equity at the start of the day.
    DayLossLimit,
    /// The house has lost too much this month, parts per million of its equity at the start of the month.
    MonthLossLimit,
    /// The house has lost too much since its peak, parts per million of the peak.
    DrawdownLimit,
    /// Too many orders of the agent in one second; orders.
    AgentOrderRate,
    /// Too many orders of the account in one second; orders.
    AccountOrderRate,
    /// Too many orders of the house in one second; orders.
    HouseOrderRate,
    /// Too many orders of the account in one second that open nothing; orders.
    ReducingOrderRate,
    /// Too many cancels of the account in one second; cancels. The order stays as it is.
    CancelRate,
    /// The same order was approved a moment ago; limit: that moment, observed: how long ago, milliseconds.
    RepeatedOrder,
    /// Too many calls to the venue fail: nothing is opened for a while; parts per million of the calls.
    VenuePaused,
    /// The price jumped: nothing of the instrument is opened for a while; parts per million of the price.
    PricePaused,
    /// It had to be the account's first order on its match; observed: contracts of the match it holds or has orders of.
    MatchTaken,
}

impl DenialReason {
    /// Every reason.
    pub const ALL: [Self; 51] = [
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
        Self::DuplicateTrade,
        Self::ConfidenceTooLow,
        Self::TierOrderValueLimit,
        Self::WalletFloor,
        Self::TradeShareLimit,
        Self::MatchShareLimit,
        Self::NoCapital,
        Self::OpenRiskLimit,
        Self::PoolExposureLimit,
        Self::TimeframeExposureLimit,
        Self::AgentExposureLimit,
        Self::CompanyExposureLimit,
        Self::InstrumentExposureLimit,
        Self::ClusterExposureLimit,
        Self::HouseMatchExposureLimit,
        Self::EquityUnknown,
        Self::DayLossLimit,
        Self::MonthLossLimit,
        Self::DrawdownLimit,
        Self::AgentOrderRate,
        Self::AccountOrderRate,
        Self::HouseOrderRate,
        Self::ReducingOrderRate,
        Self::CancelRate,
        Self::RepeatedOrder,
        Self::VenuePaused,
        Self::PricePaused,
        Self::MatchTaken,
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
            Self::DuplicateTrade => "DUPLICATE_TRADE",
            Self::ConfidenceTooLow => "CONFIDENCE_TOO_LOW",
            Self::TierOrderValueLimit => "TIER_ORDER_VALUE_LIMIT",
            Self::WalletFloor => "WALLET_FLOOR",
            Self::TradeShareLimit => "TRADE_SHARE_LIMIT",
            Self::MatchShareLimit => "MATCH_SHARE_LIMIT",
            Self::NoCapital => "NO_CAPITAL",
            Self::OpenRiskLimit => "OPEN_RISK_LIMIT",
            Self::PoolExposureLimit => "POOL_EXPOSURE_LIMIT",
            Self::TimeframeExposureLimit => "TIMEFRAME_EXPOSURE_LIMIT",
            Self::AgentExposureLimit => "AGENT_EXPOSURE_LIMIT",
            Self::CompanyExposureLimit => "COMPANY_EXPOSURE_LIMIT",
            Self::InstrumentExposureLimit => "INSTRUMENT_EXPOSURE_LIMIT",
            Self::ClusterExposureLimit => "CLUSTER_EXPOSURE_LIMIT",
            Self::HouseMatchExposureLimit => "HOUSE_MATCH_EXPOSURE_LIMIT",
            Self::EquityUnknown => "EQUITY_UNKNOWN",
            Self::DayLossLimit => "DAY_LOSS_LIMIT",
            Self::MonthLossLimit => "MONTH_LOSS_LIMIT",
            Self::DrawdownLimit => "DRAWDOWN_LIMIT",
            Self::AgentOrderRate => "AGENT_ORDER_RATE",
            Self::AccountOrderRate => "ACCOUNT_ORDER_RATE",
            Self::HouseOrderRate => "HOUSE_ORDER_RATE",
            Self::ReducingOrderRate => "REDUCING_ORDER_RATE",
            Self::CancelRate => "CANCEL_RATE",
            Self::RepeatedOrder => "REPEATED_ORDER",
            Self::VenuePaused => "VENUE_PAUSED",
            Self::PricePaused => "PRICE_PAUSED",
            Self::MatchTaken => "MATCH_TAKEN",
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
            Self::DuplicateTrade => "The trade was decided already.",
            Self::ConfidenceTooLow => "The agent is not sure enough.",
            Self::TierOrderValueLimit => "The order is worth more than one order of the tier may be.",
            Self::WalletFloor => "Too little would be left in the wallet.",
            Self::TradeShareLimit => "The trade is too large a part of the account.",
            Self::MatchShareLimit => "Too large a part of the account would be in one match.",
            Self::NoCapital => "There is no capital to risk a share of.",
            Self::OpenRiskLimit => "Too much of the pooled capital would be at risk.",
            Self::PoolExposureLimit => "Too much of the pooled capital would be in one pool.",
            Self::TimeframeExposureLimit => "Too much of the pooled capital would be in one timeframe.",
            Self::AgentExposureLimit => "Too much of the pooled capital would be with one agent.",
            Self::CompanyExposureLimit => "Too much of the pooled capital would be with agents that move together.",
            Self::InstrumentExposureLimit => "Too much of the pooled capital would be in one instrument.",
            Self::ClusterExposureLimit => "Too much of the pooled capital would be in instruments that move together.",
            Self::HouseMatchExposureLimit => "Too much of the pooled capital would be in one match.",
            Self::EquityUnknown => "The pooled capital cannot be valued now.",
            Self::DayLossLimit => "Too much of the pooled capital was lost today.",
            Self::MonthLossLimit => "Too much of the pooled capital was lost this month.",
            Self::DrawdownLimit => "Too much of the pooled capital was lost since its peak.",
            Self::AgentOrderRate => "The agent sends too many orders.",
            Self::AccountOrderRate => "The account sends too many orders.",
            Self::HouseOrderRate => "The platform's own accounts send too many orders.",
            Self::ReducingOrderRate => "The account sends too many closing orders.",
            Self::CancelRate => "The account cancels too many orders.",
            Self::RepeatedOrder => "The same order was approved a moment ago.",
            Self::VenuePaused => "The venue fails too often: nothing is opened for a while.",
            Self::PricePaused => "The price jumped: nothing is opened for a while.",
            Self::MatchTaken => "The account has some of the match already.",
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
