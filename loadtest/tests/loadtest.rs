//! The promises of the load test: it measures what callers feel and finds every broken promise.

#[path = "loadtest/audits.rs"]
mod audits;
#[path = "loadtest/chaos.rs"]
mod chaos;
#[path = "loadtest/command_line.rs"]
mod command_line;
#[path = "loadtest/crowds.rs"]
mod crowds;
#[path = "loadtest/measures.rs"]
mod measures;
#[path = "loadtest/pretender.rs"]
mod pretender;
#[path = "loadtest/records.rs"]
mod records;
#[path = "loadtest/scenarios.rs"]
mod scenarios;
