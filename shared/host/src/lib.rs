//! What every service's `main()` needs and no business word: lifecycle, clock,
//! configuration, health, logs, metrics and traces.

pub mod clock;
pub mod config;
pub mod context;
pub mod failpoint;
pub mod health;
pub mod http;
pub mod retry;
pub mod telemetry;
pub mod trace;

pub use context::{Context, Lifecycle};
