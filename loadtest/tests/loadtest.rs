//! The promises of the load test: it measures what callers feel and finds every broken promise.

#[path = "loadtest/audits.rs"]
mod audits;
#[path = "loadtest/measures.rs"]
mod measures;
#[path = "loadtest/pretender.rs"]
mod pretender;
