//! The load test: an outsider who knows only the public API. It deposits money,
//! places small orders as fast as asked, measures, and then audits: every answer
//! must still be there, unchanged, and every account must hold exactly what the
//! answers say.
//!
//! [`Session::open`] connects and deposits, [`Session::run`] is one measured run,
//! [`Session::prove`] proves the record of all of them. [`sweep`] looks for the highest
//! rate, [`Plan`] says what figures mean for many users, [`fairness`](fn@fairness) holds crowds side by side,
//! [`chaos`](fn@chaos) breaks things.

mod answered;
mod audit;
mod book;
mod chaos;
pub mod cli;
mod crowd;
mod dice;
mod fairness;
mod figures;
mod halt;
mod html;
mod kpi;
mod load;
mod machine;
mod market;
mod monitor;
mod operation;
mod plan;
mod proof;
mod record;
mod report;
mod sample;
mod scenario;
mod schedule;
mod session;
mod sweep;
mod tally;
mod target;
mod trader;

pub use audit::Audit;
pub use chaos::{
    Chaos, ChaosReport, Fault, Felt, Healed, Invariant, Jump as ClockJump, Limits, Others, Part as ChaosPart,
    QuietDenials, Server, Traffic, Trouble, Wrong, chaos, repository_tools,
};
pub use crowd::{Crowd, Issuer, Role, Tier};
pub use fairness::{Claim, Crowding, Fairness, fairness};
pub use figures::{BUCKET_ENDS_MICROS, Latency, Part, Second};
pub use halt::Halted;
pub use html::page;
pub use kpi::{Goal, Kpi, Standing, Verdict};
pub use load::Load;
pub use machine::Machine;
pub use monitor::{Children, Gauge, ProcessUse, Usage, Watched};
pub use operation::{Mix, Operation};
pub use plan::{Component, Demand, Measured, Need, Plan, Prices, growth_table};
pub use proof::Proof;
pub use report::Report;
pub use scenario::{HaltTable, LoadTable, Scenario, ShapeName, Users};
pub use schedule::Shape;
pub use session::{Run, Session, Setup};
pub use sweep::{Bounds, Curve, Step, sweep};
pub use target::{Account, read_accounts};
