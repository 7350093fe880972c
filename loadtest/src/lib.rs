//! The load test: an outsider who knows only the public API. It deposits money,
//! places small orders as fast as asked, measures, and then audits: every answer
//! must still be there, unchanged, and every account must hold exactly what the
//! answers say.
//!
//! [`Session::open`] connects and deposits, [`Session::run`] is one measured run.

mod audit;
mod book;
pub mod cli;
mod figures;
mod load;
mod market;
mod report;
mod sample;
mod schedule;
mod session;
mod target;

pub use audit::Audit;
pub use figures::Latency;
pub use load::Load;
pub use report::Report;
pub use session::{Run, Session, Setup};
pub use target::{Account, read_accounts};
