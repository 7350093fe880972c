//! What the guard promises, on a real bus. The test speaks for the ledger, the
//! workers and market-data by their bus protocols.

#[path = "risk_guard/bookings.rs"]
mod bookings;
#[path = "risk_guard/breakers.rs"]
mod breakers;
#[path = "risk_guard/commands.rs"]
mod commands;
#[path = "risk_guard/control.rs"]
mod control;
#[path = "risk_guard/crash.rs"]
mod crash;
#[path = "risk_guard/decisions.rs"]
mod decisions;
#[path = "risk_guard/endings.rs"]
mod endings;
#[path = "risk_guard/explain.rs"]
mod explain;
#[path = "risk_guard/inquiries.rs"]
mod inquiries;
#[path = "risk_guard/leadership.rs"]
mod leadership;
#[path = "risk_guard/ledger.rs"]
mod ledger;
#[path = "risk_guard/overshoot.rs"]
mod overshoot;
#[path = "risk_guard/portions.rs"]
mod portions;
#[path = "risk_guard/reconcile.rs"]
mod reconcile;
#[path = "risk_guard/rig.rs"]
mod rig;
#[path = "risk_guard/sendings.rs"]
mod sendings;
#[path = "risk_guard/snapshots.rs"]
mod snapshots;
#[path = "risk_guard/venue.rs"]
mod venue;
#[path = "risk_guard/wiped.rs"]
mod wiped;
