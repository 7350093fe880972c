//! The whole platform, as its users and its failures see it: real processes of
//! the built binary, real servers, the public API.

#[path = "platform/collector.rs"]
mod collector;
#[path = "platform/crashes.rs"]
mod crashes;
#[path = "platform/halts.rs"]
mod halts;
#[path = "platform/poison.rs"]
mod poison;
#[path = "platform/repeats.rs"]
mod repeats;
#[path = "platform/rig.rs"]
mod rig;
#[path = "platform/traces.rs"]
mod traces;
