//! Why a request is refused for its shape: a closed set, part of the public API.

/// The closed reason of one refused field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No request id.
    RequestIdMissing,
    /// Not a UUIDv7, or one from the future.
    RequestIdInvalid,
    /// Older than the time ids are remembered.
    RequestIdTooOld,
    /// No trade id.
    TradeIdMissing,
    /// Not a trade id.
    TradeIdInvalid,
    /// Neither an order nor a mandate.
    IntentMissing,
    /// No instrument.
    InstrumentMissing,
    /// An instrument with a forbidden character.
    InstrumentBadCharset,
    /// An instrument that is too long.
    InstrumentTooLong,
    /// No side.
    SideMissing,
    /// No order type.
    OrderTypeMissing,
    /// Nothing, or less, is to be traded.
    QuantityNotPositive,
    /// More than one order may carry.
    OrderSizeLimit,
    /// Worth more than one order may be.
    OrderValueLimit,
    /// Quantity times price does not fit.
    NotionalOverflow,
    /// A price that no instrument can have.
    PriceOutOfBounds,
    /// A market order with a price.
    PriceUnexpected,
    /// No time in force.
    TifMissing,
    /// A time in force that this order type cannot have.
    TifNotAllowed,
    /// A post-only order that cannot rest.
    PostOnlyNotAllowed,
    /// A good-till-date order without a date.
    ExpiryMissing,
    /// A date on an order that has no use for it.
    ExpiryUnexpected,
    /// A date that is over.
    ExpiryInPast,
    /// A date too far away.
    ExpiryTooFar,
    /// Not a point in time.
    TimestampInvalid,
    /// No match.
    MatchMissing,
    /// A match with a forbidden character.
    MatchBadCharset,
    /// A match that is too long.
    MatchTooLong,
    /// Nothing, or less, may be spent.
    BudgetNotPositive,
    /// An edge outside 0 to 10,000 basis points.
    EdgeOutOfBounds,
    /// Not the name of an agent.
    AgentInvalid,
    /// Nothing, or less, is to be moved.
    AmountNotPositive,
    /// More than may be moved at once.
    AmountLimit,
    /// Not the code of a currency.
    CurrencyInvalid,
    /// Nobody is to receive the money.
    ReceiverMissing,
    /// Not an account.
    ReceiverInvalid,
    /// The sender sends to itself.
    ReceiverIsSender,
    /// A period that does not end after it begins.
    PeriodInvalid,
    /// An age outside 0 to 30,000 milliseconds.
    MaxAgeOutOfBounds,
    /// An age together with a version.
    MaxAgeUnexpected,
    /// A negative page size.
    PageSizeInvalid,
    /// No agent id.
    AgentIdMissing,
    /// Not an agent id.
    AgentIdInvalid,
    /// No strategy.
    StrategyMissing,
    /// Not an account.
    AccountInvalid,
    /// Not the name of a pool.
    PoolInvalid,
    /// Not a bar length.
    TimeframeInvalid,
    /// Outside 1 to 10.
    RiskToleranceOutOfBounds,
    /// Not a positive number of trades a day.
    MaxTradesNotPositive,
    /// More trades a day than an agent may have.
    MaxTradesTooMany,
    /// More instruments than an agent may have.
    InstrumentsTooMany,
    /// An instrument that an agent names twice.
    InstrumentRepeated,
    /// Nothing is asked of an agent.
    KindMissing,
    /// Neither a match nor two teams, or both.
    TeamsOrMatch,
    /// A match where none can be named.
    MatchNotExpected,
    /// Not the name of a team.
    TeamInvalid,
    /// Not the name of a model.
    ModelUnknown,
    /// A period that is too long.
    PeriodTooLong,
    /// A negative bound, or more than may be listed.
    FilterOutOfBounds,
    /// More than an agent reads at once, or nothing where something must be named.
    ItemsOutOfBounds,
    /// A text without words, or one that is too long.
    TextInvalid,
    /// Not the name of a source.
    SourceInvalid,
    /// Not the name of a team or player.
    EntityInvalid,
}

/// One refused field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field's path in the request, e.g. `order.quantity_micros`.
    pub field: &'static str,
    /// Why.
    pub reason: Reason,
    /// One sentence for a person; carries no text of the caller.
    pub message: String,
}

impl Violation {
    /// `field` is refused for `reason`.
    #[must_use]
    pub fn new(field: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self { field, reason, message: message.into() }
    }
}

impl Reason {
    /// As written in answers, UPPER_SNAKE.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestIdMissing => "REQUEST_ID_MISSING",
            Self::RequestIdInvalid => "REQUEST_ID_INVALID",
            Self::RequestIdTooOld => "REQUEST_ID_TOO_OLD",
            Self::TradeIdMissing => "TRADE_ID_MISSING",
            Self::TradeIdInvalid => "TRADE_ID_INVALID",
            Self::IntentMissing => "INTENT_MISSING",
            Self::InstrumentMissing => "INSTRUMENT_MISSING",
            Self::InstrumentBadCharset => "INSTRUMENT_BAD_CHARSET",
            Self::InstrumentTooLong => "INSTRUMENT_TOO_LONG",
            Self::SideMissing => "SIDE_MISSING",
            Self::OrderTypeMissing => "ORDER_TYPE_MISSING",
            Self::QuantityNotPositive => "QUANTITY_NOT_POSITIVE",
            Self::OrderSizeLimit => "ORDER_SIZE_LIMIT",
            Self::OrderValueLimit => "ORDER_VALUE_LIMIT",
            Self::NotionalOverflow => "NOTIONAL_OVERFLOW",
            Self::PriceOutOfBounds => "PRICE_OUT_OF_BOUNDS",
            Self::PriceUnexpected => "PRICE_UNEXPECTED",
            Self::TifMissing => "TIF_MISSING",
            Self::TifNotAllowed => "TIF_NOT_ALLOWED",
            Self::PostOnlyNotAllowed => "POST_ONLY_NOT_ALLOWED",
            Self::ExpiryMissing => "EXPIRY_MISSING",
            Self::ExpiryUnexpected => "EXPIRY_UNEXPECTED",
            Self::ExpiryInPast => "EXPIRY_IN_PAST",
            Self::ExpiryTooFar => "EXPIRY_TOO_FAR",
            Self::TimestampInvalid => "TIMESTAMP_INVALID",
            Self::MatchMissing => "MATCH_MISSING",
            Self::MatchBadCharset => "MATCH_BAD_CHARSET",
            Self::MatchTooLong => "MATCH_TOO_LONG",
            Self::BudgetNotPositive => "BUDGET_NOT_POSITIVE",
            Self::EdgeOutOfBounds => "EDGE_OUT_OF_BOUNDS",
            Self::AgentInvalid => "AGENT_INVALID",
            Self::AmountNotPositive => "AMOUNT_NOT_POSITIVE",
            Self::AmountLimit => "AMOUNT_LIMIT",
            Self::CurrencyInvalid => "CURRENCY_INVALID",
            Self::ReceiverMissing => "RECEIVER_MISSING",
            Self::ReceiverInvalid => "RECEIVER_INVALID",
            Self::ReceiverIsSender => "RECEIVER_IS_SENDER",
            Self::PeriodInvalid => "PERIOD_INVALID",
            Self::MaxAgeOutOfBounds => "MAX_AGE_OUT_OF_BOUNDS",
            Self::MaxAgeUnexpected => "MAX_AGE_UNEXPECTED",
            Self::PageSizeInvalid => "PAGE_SIZE_INVALID",
            Self::AgentIdMissing => "AGENT_ID_MISSING",
            Self::AgentIdInvalid => "AGENT_ID_INVALID",
            Self::StrategyMissing => "STRATEGY_MISSING",
            Self::AccountInvalid => "ACCOUNT_INVALID",
            Self::PoolInvalid => "POOL_INVALID",
            Self::TimeframeInvalid => "TIMEFRAME_INVALID",
            Self::RiskToleranceOutOfBounds => "RISK_TOLERANCE_OUT_OF_BOUNDS",
            Self::MaxTradesNotPositive => "MAX_TRADES_NOT_POSITIVE",
            Self::MaxTradesTooMany => "MAX_TRADES_TOO_MANY",
            Self::InstrumentsTooMany => "INSTRUMENTS_TOO_MANY",
            Self::InstrumentRepeated => "INSTRUMENT_REPEATED",
            Self::KindMissing => "KIND_MISSING",
            Self::TeamsOrMatch => "TEAMS_OR_MATCH",
            Self::MatchNotExpected => "MATCH_NOT_EXPECTED",
            Self::TeamInvalid => "TEAM_INVALID",
            Self::ModelUnknown => "MODEL_UNKNOWN",
            Self::PeriodTooLong => "PERIOD_TOO_LONG",
            Self::FilterOutOfBounds => "FILTER_OUT_OF_BOUNDS",
            Self::ItemsOutOfBounds => "ITEMS_OUT_OF_BOUNDS",
            Self::TextInvalid => "TEXT_INVALID",
            Self::SourceInvalid => "SOURCE_INVALID",
            Self::EntityInvalid => "ENTITY_INVALID",
        }
    }

    /// Whether the request is well formed and only came too late: a new
    /// attempt needs a new id.
    #[must_use]
    pub const fn is_precondition(self) -> bool {
        matches!(self, Self::RequestIdTooOld)
    }
}
