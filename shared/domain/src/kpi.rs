//! What agents are measured by: closed trades, returns against their risk, and one
//! score of it all. Figures for people and for choosing agents, never for the gate,
//! which must not depend on them.
//!
//! As in [`crate::portfolio`], state is made of integers, floats come out at the end,
//! and what is not defined says why.

mod agent;
mod bets;
mod ratio;
mod status;
mod track;
mod trades;

pub use crate::portfolio::{HIGH_PERFORMER_SCORE, SCORED_TRADES_MIN, ScoreInputs, Standing, performance_score};
pub use agent::{AgentRecord, DAYS_KEPT, RecordFigures};
pub use bets::{Begin, Bought, Buyer, MatchBets, Placed, Purchase, TradeTold};
pub use ratio::{Calendar, annual_ratio, sharpe, sharpe_of, sortino, sortino_of};
pub use status::{Better, Kpi, KpiStatus};
pub use track::{HeldFigures, PositionAfter, Track, TrackFigures};
pub use trades::{ClosedFigures, ClosedTrades};
