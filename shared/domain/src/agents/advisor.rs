//! A language model as an advisor of agents: it may talk an agent out of a trade, or into a smaller one.
//!
//! It speaks after the deterministic decision and before the size for the user. Whatever it answers, the stake stays
//! between nothing and what the agent would have staked, in the same market and on the same side: [`apply`] gives back
//! a stake and nothing else, so a model that lies or was tricked can cost a missed trade and no more.
//!
//! | file | what it answers |
//! |---|---|
//! | [`consult`] | is this decision worth asking about, and how long does an answer hold? |
//! | [`facts`] | what is the model told? Never a user, a balance or a position. |
//! | [`injection`] | does a text try to give the model orders? |
//! | [`opinion`], [`check`] | what did it answer, and which part of that can be believed? |
//! | [`applied`] | what is left of the stake? |
//! | [`llm_price`], [`budget`] | what does a call cost, and may it still be made today? |
//! | [`breaker`], [`retry`] | is the server asked at all, and once more? |

pub mod applied;
pub mod breaker;
pub mod budget;
pub mod check;
pub mod consult;
pub mod facts;
pub mod injection;
pub mod llm_price;
pub mod opinion;
pub mod retry;

pub use applied::{Applied, Decided, NoTradeReason, Staked, apply};
pub use check::{CheckedOpinion, Rejection, ShiftIgnored, TextDropped, check};

/// What the advisor may do. Each mode may do all that the one before it may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdvisorMode {
    /// It is not asked.
    #[default]
    Off,
    /// It may stop a trade.
    VetoOnly,
    /// It may also lower the probability by up to [`SHIFT_MAX`], which can only make the stake smaller.
    BoundedAdjust,
}

/// Most that an opinion moves the log-odds of a probability, either way.
pub const SHIFT_MAX: f64 = 0.25;

/// Why there is no opinion to apply; the deterministic decision stands.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoOpinion {
    /// Nothing could be spent on it any more today.
    #[error(transparent)]
    Budget(#[from] budget::BudgetExhausted),
    /// Its price is not known, so it is not asked.
    #[error(transparent)]
    Price(#[from] llm_price::PriceError),
    /// Too little time is left until the request's deadline.
    #[error("there is no time left to ask")]
    NoTime,
    /// The server has failed too often and is left alone for a while.
    #[error("the server has failed too often and is left alone")]
    ServerRests,
    /// Too many questions to the server are under way.
    #[error("too many questions are under way")]
    Busy,
    /// The server could not be reached.
    #[error("the server could not be reached")]
    Unreachable,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection ended without an answer.
    #[error("the connection ended without an answer")]
    BrokenOff,
    /// The server answered with an error.
    #[error("the server answered with status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is longer than what is read.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// Longest answer, bytes.
        limit: usize,
    },
    /// What came is not the answer of a chat server.
    #[error("the server did not answer in the form of a chat")]
    NotAChat,
    /// The model would not answer.
    #[error("the model refused")]
    Refused,
    /// The answer ended for another reason than its end.
    #[error("the answer was cut off")]
    CutOff,
    /// The answer is not exactly one object of the agreed form.
    #[error("the answer is not of the agreed form")]
    Malformed,
    /// It can be read, and not be believed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

impl NoOpinion {
    /// The word in metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Budget(_) => "budget_exhausted",
            Self::Price(_) => "price_unknown",
            Self::NoTime => "no_time",
            Self::ServerRests => "server_rests",
            Self::Busy => "busy",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::BrokenOff => "broken_off",
            Self::Status { .. } => "status",
            Self::TooLong { .. } => "too_long",
            Self::NotAChat => "not_a_chat",
            Self::Refused => "refused",
            Self::CutOff => "cut_off",
            Self::Malformed => "malformed",
            Self::Rejected(_) => "rejected",
        }
    }

    /// Whether the model has said something: the same question would get the same answer, so it is remembered and no
    /// other server is asked.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        match self {
            Self::TooLong { .. } | Self::Refused | Self::CutOff | Self::Malformed | Self::Rejected(_) => true,
            Self::Budget(_)
            | Self::Price(_)
            | Self::NoTime
            | Self::ServerRests
            | Self::Busy
            | Self::Unreachable
            | Self::TimedOut
            | Self::BrokenOff
            | Self::Status { .. }
            | Self::NotAChat => false,
        }
    }

    /// Whether the call may have been served, and so billed, although no answer came.
    #[must_use]
    pub const fn may_be_billed(&self) -> bool {
        match self {
            Self::TimedOut
            | Self::BrokenOff
            | Self::TooLong { .. }
            | Self::NotAChat
            | Self::Refused
            | Self::CutOff
            | Self::Malformed
            | Self::Rejected(_) => true,
            Self::Budget(_)
            | Self::Price(_)
            | Self::NoTime
            | Self::ServerRests
            | Self::Busy
            | Self::Unreachable
            | Self::Status { .. } => false,
        }
    }

    /// Whether it counts against the server: it was asked and did not do its work.
    #[must_use]
    pub const fn is_servers_fault(&self) -> bool {
        match self {
            Self::Unreachable | Self::TimedOut | Self::BrokenOff | Self::Status { .. } | Self::NotAChat => true,
            Self::Budget(_)
            | Self::Price(_)
            | Self::NoTime
            | Self::ServerRests
            | Self::Busy
            | Self::TooLong { .. }
            | Self::Refused
            | Self::CutOff
            | Self::Malformed
            | Self::Rejected(_) => false,
        }
    }
}
