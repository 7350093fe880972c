//! Why a question is not answered: a closed set, part of the public API.

use tragen_contracts::v1;
use tragen_domain::agents::{epl_research::ResearchRefusal, football::UnknownTeam};

/// gRPC codes of refusals.
const INVALID_ARGUMENT: i32 = 3;
const DEADLINE_EXCEEDED: i32 = 4;
const NOT_FOUND: i32 = 5;
const FAILED_PRECONDITION: i32 = 9;
const INTERNAL: i32 = 13;
const UNAVAILABLE: i32 = 14;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Refused {
    /// Nothing was asked.
    #[error("nothing was asked")]
    NothingAsked,
    /// The question waited until its deadline.
    #[error("the question waited until its deadline")]
    TooLate,
    /// Another part of the system says why.
    #[error("{message}")]
    Told {
        /// Canonical gRPC code.
        code: i32,
        /// Its closed reason.
        reason: String,
        /// One sentence.
        message: String,
    },
    /// Another part of the system is silent, or answered something else.
    #[error("{part} did not answer in time")]
    Silent {
        /// Which.
        part: &'static str,
    },
    /// A model of matches to come does not price one in play.
    #[error("the match is in play and a pre-match model does not price it; follow its market instead")]
    InPlay,
    /// There is nothing left to say.
    #[error("the match is finished")]
    Finished,
    /// No bookmaker's price can be used.
    #[error("{0}")]
    NoFairLine(String),
    /// Nobody knows how many goals were to be expected.
    #[error("neither closing odds nor past results say how many goals were to be expected")]
    NoGoalRates,
    /// No result names the team.
    #[error("{0}")]
    UnknownTeam(#[from] UnknownTeam),
    /// The results of the last years do not tell how strong the team is.
    #[error("{0}")]
    OutOfLeague(String),
    /// There are too few results to learn from.
    #[error("{0}")]
    NoFit(String),
    /// The results contradict each other.
    #[error("the results cannot be used: {0}")]
    BadHistory(String),
    /// A number is out of range.
    #[error("{0}")]
    Unpriceable(String),
    /// A calculation ended early.
    #[error("the calculation ended early")]
    Broken,
}

impl From<v1::AskError> for Refused {
    fn from(error: v1::AskError) -> Self {
        Self::Told { code: error.code, reason: error.reason, message: error.message }
    }
}

impl From<ResearchRefusal> for Refused {
    fn from(refusal: ResearchRefusal) -> Self {
        match refusal {
            ResearchRefusal::InPlay => Self::InPlay,
            ResearchRefusal::Finished => Self::Finished,
            ResearchRefusal::UnknownTeam(unknown) => Self::UnknownTeam(unknown),
            ResearchRefusal::OutOfLeague { .. } => Self::OutOfLeague(refusal.to_string()),
            ResearchRefusal::NoFit(error) => Self::NoFit(error.to_string()),
            ResearchRefusal::SameTeam { .. } => Self::Unpriceable(refusal.to_string()),
            ResearchRefusal::NoGrid(error) => Self::Unpriceable(error.to_string()),
        }
    }
}

impl Refused {
    /// As written in answers, UPPER_SNAKE.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::NothingAsked => "KIND_MISSING",
            Self::TooLate => "DEADLINE_PASSED",
            Self::Told { reason, .. } => reason,
            Self::Silent { .. } => "PART_UNAVAILABLE",
            Self::InPlay => "MATCH_IN_PLAY",
            Self::Finished => "MATCH_FINISHED",
            Self::NoFairLine(_) => "NO_FAIR_LINE",
            Self::NoGoalRates => "NO_GOAL_RATES",
            Self::UnknownTeam(_) => "TEAM_NOT_FOUND",
            Self::OutOfLeague(_) => "TEAM_OUT_OF_LEAGUE",
            Self::NoFit(_) => "HISTORY_TOO_SHORT",
            Self::BadHistory(_) => "HISTORY_UNUSABLE",
            Self::Unpriceable(_) => "UNPRICEABLE",
            Self::Broken => "CALCULATION_ENDED",
        }
    }

    const fn code(&self) -> i32 {
        match self {
            Self::NothingAsked => INVALID_ARGUMENT,
            Self::TooLate => DEADLINE_EXCEEDED,
            Self::Told { code, .. } => *code,
            Self::Silent { .. } => UNAVAILABLE,
            Self::UnknownTeam(_) => NOT_FOUND,
            Self::InPlay
            | Self::Finished
            | Self::NoFairLine(_)
            | Self::NoGoalRates
            | Self::OutOfLeague(_)
            | Self::NoFit(_)
            | Self::BadHistory(_)
            | Self::Unpriceable(_) => FAILED_PRECONDITION,
            Self::Broken => INTERNAL,
        }
    }

    pub(super) fn to_wire(&self) -> v1::AskError {
        v1::AskError { code: self.code(), reason: self.reason().to_owned(), message: self.to_string() }
    }
}
