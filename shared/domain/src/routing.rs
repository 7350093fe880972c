//! The router's rules: what a request must look like before it may cost
//! anybody anything, how often a caller may ask, and whose turn it is.
//!
//! Everything here looks at the request alone. What depends on balances, prices
//! or trading states is decided by the guard and answered as a denied trade.

pub mod account;
pub mod agent;
pub mod analysis;
pub mod lane;
pub mod news;
pub mod pushback;
pub mod rate;
pub mod reason;
pub mod request;
pub mod request_id;
pub mod room;
pub mod turns;

pub use account::{
    AccountFields, CashFields, Period, StatementFields, check_account, check_cash, check_sending, check_statement,
};
pub use agent::{AGENTS_MAX, AgentFields, check_agent};
pub use analysis::{AnalysisFields, ITEMS_MAX, NewsFields, check_analysis, check_match};
pub use lane::LaneScheduler;
pub use news::{CheckedReport, ReportFields, check_report};
pub use pushback::Pushback;
pub use rate::{RateDecision, SlidingLog};
pub use reason::{Reason, Violation};
pub use request::{
    IntentFields, Lifetime, MandateFields, OrderFields, PriceKind, RequestLimits, TradeFields, check_instrument,
    check_page_size, check_trade, check_trade_id,
};
pub use request_id::{RequestId, check_request_id};
pub use room::{Room, RoomLimits};
pub use turns::{Shed, TurnLimits, Turns};
