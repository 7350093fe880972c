//! Circuit breakers: what they watch, what they do, how they stay tripped and
//! how they are reset. Each trips when its value is at or above its threshold.

use super::{LimitName, Scope, TradingState};
use crate::{id::CommandId, portfolio::Loss, time::Timestamp};

/// A reset needs the value below this share of the threshold, in tenths.
const RESET_TENTHS: i128 = 8;

/// After a reset with an override a breaker trips again once its value has grown
/// by one part in this many of the threshold.
const REARM_PARTS: i64 = 5;

/// A breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BreakerKind {
    /// Loss of the house from its peak.
    Drawdown,
    /// Loss of the house this month.
    MonthLoss,
    /// Loss of the house today: nothing is opened any more.
    TotalLoss,
    /// The same loss: positions are reduced as well. An event of its own.
    PositionReduction,
    /// Agents that move together.
    Correlation,
    /// Loss of a configured agent today.
    AgentLoss,
    /// Closed trades in a row with a loss.
    ConsecutiveLosses,
    /// Failed calls to the venue.
    VenueFailures,
    /// Reference price from one quote to the next.
    PriceJump,
    /// Memory of the guard.
    Memory,
    /// Age of an instrument's newest quote.
    StaleFeed,
}

/// What a breaker does, the hardest first: that is the order in which breakers
/// that trip together are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// The scope is HALTED.
    Halt,
    /// The scope is REDUCING.
    Reduce,
    /// The scope is REDUCING and its positions are reduced by a factor.
    ReducePositions,
    /// The agent is HALTED.
    StopAgent,
    /// Nothing is opened for a while; it ends by itself.
    Pause,
    /// Pools are asked to shrink.
    ScaleDown,
    /// People are told.
    Alert,
}

/// A tripped breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latch {
    /// Which.
    pub kind: BreakerKind,
    /// Of what; the house is [`Scope::Global`].
    pub scope: Scope,
    /// The value that tripped it, in the unit of its limit.
    pub value: i64,
    /// The threshold it reached, same unit.
    pub threshold: i64,
    /// When.
    pub tripped_at: Timestamp,
    /// It is not reset before this.
    pub resume_from: Timestamp,
    /// When it is looked at again to end by itself; `None` for one that people reset.
    pub until: Option<Timestamp>,
    /// Whether the reduction of positions that it wants is ordered; always false of others.
    pub is_reduction_ordered: bool,
}

/// Why a breaker is not reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResetRefused {
    /// Too early.
    #[error("the breaker {} cools down for {left_ms} ms more", kind.as_str())]
    Cooldown {
        /// Which.
        kind: BreakerKind,
        /// How long, milliseconds.
        left_ms: i64,
    },
    /// The value is not low enough.
    #[error("the breaker {} is at {value}, it must be below {limit}, or an override be given", kind.as_str())]
    StillHigh {
        /// Which.
        kind: BreakerKind,
        /// The value now.
        value: i64,
        /// What it must be below.
        limit: i64,
    },
    /// The value is not known.
    #[error("the value of the breaker {} is not known, an override must be given", kind.as_str())]
    ValueUnknown {
        /// Which.
        kind: BreakerKind,
    },
}

impl ResetRefused {
    /// As written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cooldown { .. } => "BREAKER_COOLDOWN",
            Self::StillHigh { .. } => "BREAKER_HIGH",
            Self::ValueUnknown { .. } => "BREAKER_VALUE_UNKNOWN",
        }
    }
}

impl BreakerKind {
    /// Every breaker, hardest effect first.
    pub const ALL: [Self; 11] = [
        Self::Drawdown,
        Self::MonthLoss,
        Self::TotalLoss,
        Self::PositionReduction,
        Self::Correlation,
        Self::AgentLoss,
        Self::ConsecutiveLosses,
        Self::VenueFailures,
        Self::PriceJump,
        Self::Memory,
        Self::StaleFeed,
    ];

    /// As written in the journal, alerts and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drawdown => "DRAWDOWN",
            Self::MonthLoss => "MONTH_LOSS",
            Self::TotalLoss => "TOTAL_LOSS",
            Self::PositionReduction => "POSITION_REDUCTION",
            Self::Correlation => "CORRELATION",
            Self::AgentLoss => "AGENT_LOSS",
            Self::ConsecutiveLosses => "CONSECUTIVE_LOSSES",
            Self::VenueFailures => "VENUE_FAILURES",
            Self::PriceJump => "PRICE_JUMP",
            Self::Memory => "MEMORY",
            Self::StaleFeed => "STALE_FEED",
        }
    }

    /// The breaker written `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Its threshold.
    #[must_use]
    pub const fn limit(self) -> LimitName {
        match self {
            Self::Drawdown => LimitName::DrawdownHaltPpm,
            Self::MonthLoss => LimitName::MonthLossHaltPpm,
            Self::TotalLoss | Self::PositionReduction => LimitName::DayLossReducePpm,
            Self::Correlation => LimitName::CorrelationReducePpm,
            Self::AgentLoss => LimitName::AgentLossHaltPpm,
            Self::ConsecutiveLosses => LimitName::ConsecutiveLossesHaltMax,
            Self::VenueFailures => LimitName::VenueFailuresPausePpm,
            Self::PriceJump => LimitName::PriceJumpPausePpm,
            Self::Memory => LimitName::MemoryScaleDownPpm,
            Self::StaleFeed => LimitName::FeedAgeWarnMs,
        }
    }

    /// What it does.
    #[must_use]
    pub const fn effect(self) -> Effect {
        match self {
            Self::Drawdown | Self::MonthLoss => Effect::Halt,
            Self::TotalLoss => Effect::Reduce,
            Self::PositionReduction | Self::Correlation => Effect::ReducePositions,
            Self::AgentLoss | Self::ConsecutiveLosses => Effect::StopAgent,
            Self::VenueFailures | Self::PriceJump => Effect::Pause,
            Self::Memory => Effect::ScaleDown,
            Self::StaleFeed => Effect::Alert,
        }
    }
}

impl Effect {
    /// The state that its scope gets; `None` where the state stays.
    #[must_use]
    pub const fn state(self) -> Option<TradingState> {
        match self {
            Self::Halt | Self::StopAgent => Some(TradingState::Halted),
            Self::Reduce | Self::ReducePositions => Some(TradingState::Reducing),
            Self::Pause | Self::ScaleDown | Self::Alert => None,
        }
    }
}

impl Latch {
    /// Names the event for ever.
    #[must_use]
    pub fn event_id(&self) -> String {
        format!("breaker-{}-{}-{}", self.kind.as_str(), self.scope, self.tripped_at.micros())
    }

    /// The command id of the reduction that it wants: one for every trip, so it is ordered once.
    #[must_use]
    pub fn reduction_id(&self) -> Option<CommandId> {
        match self.kind.effect() {
            Effect::ReducePositions => {
                CommandId::new(format!("{}-{}", self.kind.as_str(), self.tripped_at.micros())).ok()
            }
            Effect::Halt | Effect::Reduce | Effect::StopAgent | Effect::Pause | Effect::ScaleDown | Effect::Alert => {
                None
            }
        }
    }

    /// Whether it still wants a reduction that nobody has ordered.
    #[must_use]
    pub fn owes_reduction(&self) -> bool {
        !self.is_reduction_ordered && self.reduction_id().is_some()
    }

    /// Whether people may reset it: its cooldown has passed, and its value is
    /// below 0.8 of the threshold or they say why it need not be.
    ///
    /// # Errors
    /// [`ResetRefused`].
    pub fn check_reset(&self, value: Option<i64>, override_text: &str, now: Timestamp) -> Result<(), ResetRefused> {
        let kind = self.kind;
        if now < self.resume_from {
            let left = self.resume_from.micros().saturating_sub(now.micros());
            return Err(ResetRefused::Cooldown { kind, left_ms: left.saturating_add(999) / 1_000 });
        }
        if !override_text.trim().is_empty() {
            return Ok(());
        }
        let value = value.ok_or(ResetRefused::ValueUnknown { kind })?;
        if is_low_enough(value, self.threshold) {
            return Ok(());
        }
        let limit = i64::try_from(i128::from(self.threshold) * RESET_TENTHS / 10).unwrap_or(i64::MAX);
        Err(ResetRefused::StillHigh { kind, value, limit })
    }
}

/// Whether a value is below 0.8 of its threshold. Exact.
pub(super) fn is_low_enough(value: i64, threshold: i64) -> bool {
    i128::from(value) * 10 < i128::from(threshold) * RESET_TENTHS
}

/// Where a breaker trips whose reset at `acknowledged` people have overridden.
pub(super) fn trip_after(acknowledged: i64, threshold: i64) -> i64 {
    threshold.max(acknowledged.saturating_add((threshold / REARM_PARTS).max(1)))
}

/// Parts per million lost, rounded down: it reaches a threshold of whole parts per
/// million if and only if the loss does.
///
/// ```
/// use tragen_domain::{money::Money, portfolio::Loss, risk::loss_ppm};
/// let loss = |equity: &str| loss_ppm(&Loss::between("100000".parse().unwrap(), equity.parse().unwrap()).unwrap());
/// assert_eq!(loss("95000"), 50_000);
/// assert_eq!(loss("95000.01"), 49_999);
/// assert_eq!(loss("100001"), 0);
/// assert_eq!(loss("-5"), 1_000_000);
/// ```
#[must_use]
pub fn loss_ppm(loss: &Loss) -> i64 {
    const WHOLE: i64 = 1_000_000;
    let (lost, basis) = (i128::from(loss.amount().micros()), i128::from(loss.basis().micros()));
    if lost <= 0 {
        return 0;
    }
    if basis <= lost {
        return WHOLE;
    }
    i64::try_from(lost * i128::from(WHOLE) / basis).unwrap_or(WHOLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_micros(secs * 1_000_000)
    }

    fn latch() -> Latch {
        Latch {
            kind: BreakerKind::TotalLoss,
            scope: Scope::Global,
            value: 50_000,
            threshold: 50_000,
            tripped_at: at(0),
            resume_from: at(3_600),
            until: None,
            is_reduction_ordered: false,
        }
    }

    #[test]
    fn breakers_are_listed_hardest_first() {
        let effects = BreakerKind::ALL.map(BreakerKind::effect);
        assert!(effects.is_sorted());
        for kind in BreakerKind::ALL {
            assert_eq!(BreakerKind::parse(kind.as_str()), Some(kind));
        }
    }

    #[test]
    fn a_reset_waits_for_the_cooldown_and_for_a_low_value_or_an_override() {
        let kind = BreakerKind::TotalLoss;
        let high = |value| Err(ResetRefused::StillHigh { kind, value, limit: 40_000 });
        let cases = [
            (3_599, Some(0), "", Err(ResetRefused::Cooldown { kind, left_ms: 1_000 })),
            (3_599, Some(0), "I know", Err(ResetRefused::Cooldown { kind, left_ms: 1_000 })),
            (3_600, Some(39_999), "", Ok(())),
            (3_600, Some(40_000), "", high(40_000)),
            (3_600, Some(60_000), "", high(60_000)),
            (3_600, Some(60_000), " ", high(60_000)),
            (3_600, Some(60_000), "I know", Ok(())),
            (3_600, None, "", Err(ResetRefused::ValueUnknown { kind })),
            (3_600, None, "I know", Ok(())),
        ];
        for (secs, value, text, expected) in cases {
            assert_eq!(latch().check_reset(value, text, at(secs)), expected, "{secs} {value:?} {text:?}");
        }
    }

    #[test]
    fn an_overridden_breaker_trips_again_when_it_gets_worse() {
        assert_eq!(trip_after(60_000, 50_000), 70_000);
        assert_eq!(trip_after(0, 50_000), 50_000);
        assert_eq!(trip_after(5, 3), 6);
    }
}
