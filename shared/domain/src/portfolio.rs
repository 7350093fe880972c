//! What a portfolio, pool or agent is worth, what it has lost and how it moves:
//! the statistics that limits and figures are made of. Pure, and each in two
//! forms: an incremental one for the gate (O(1) per event, bounded memory) and a
//! batch one to check it with.
//!
//! | question | incremental | batch |
//! |---|---|---|
//! | equity, exposure, profit, at [`conservative_mark`]s | [`Book`] | [`Valuation`] of [`Held`] |
//! | loss of the day, of the month, from the peak | [`Baselines`] giving a [`Loss`] | [`max_drawdown`] |
//! | mean and deviation of returns | [`ReturnWindow`] | [`mean`], [`sample_deviation`] |
//! | value at risk, expected shortfall of returns | [`ReturnWindow::tail`] | [`historical_tail`] |
//! | the same of a book of predictions | [`ScenarioBook::worst`] | [`ScenarioBook::risk`] |
//! | volatility | [`EwmaVolatility`] | [`ewma_volatility`] |
//! | open risk at stops | [`OpenRisk`] | [`loss_at_stop`], [`net_risk`] |
//! | is a trade closed, what did it win | [`RoundTrip`] | |
//! | how well does an agent do, in one number | | [`performance_score`] |
//! | do agents move together | [`CorrelationMatrix`] | [`correlation`], [`correlation_factor`] |
//!
//! State is made of integers only ([`crate::money::Money`], [`Return`]), so sums
//! over a window are exact however long it rolls, and two machines that saw the
//! same events are equal to the last bit. Floats come out at the end only.
//!
//! What is not defined is an error that says why ([`Undefined`]), never 0 or NaN.

mod baselines;
mod book;
mod correlation;
mod drawdown;
mod loss;
mod mark;
mod matrix;
mod moments;
mod open_risk;
mod returns;
mod round_trip;
mod scenario;
mod score;
mod tail;
mod undefined;
mod valuation;
mod value;
mod volatility;
mod window;

pub use baselines::{BaselineFigures, Baselines};
pub use book::Book;
pub use correlation::{MIN_POINTS, correlation, correlation_factor};
pub use drawdown::{Drawdown, DrawdownFigures, max_drawdown};
pub use loss::Loss;
pub use mark::{PREDICTION_QUIET_MS, PriceView, conservative_mark};
pub use matrix::{AGENTS_MAX, CorrelatedPair, CorrelationMatrix, MatrixFull};
pub(crate) use moments::{count_to_f64, ratio};
pub use moments::{mean, sample_deviation};
pub use open_risk::{OpenRisk, Protection, loss_at_stop, net_risk};
pub use returns::{RETURN_UNIT, Return};
pub use round_trip::RoundTrip;
pub use scenario::{
    DRAWS, MATCHES_MAX, Method, OUTCOMES_MAX, OutcomePnl, SCENARIOS_MAX, ScenarioBook, ScenarioError, ScenarioRisk,
    outcome_pnls,
};
pub use score::{HIGH_PERFORMER_SCORE, SCORED_TRADES_MIN, ScoreInputs, Standing, performance_score};
pub use tail::{Confidence, ConfidenceError, TailRisk, historical_tail};
pub use undefined::Undefined;
pub use valuation::{Exposure, Held, Pnl, Valuation};
pub use value::{exposure, position_value, unrealized_pnl};
pub use volatility::{Decay, DecayError, EwmaVolatility, ewma_volatility};
pub use window::{RETURNS_MAX, ReturnWindow, WindowError};
