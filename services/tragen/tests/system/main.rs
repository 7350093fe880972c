//! The whole platform, as its users and its failures see it: real processes of
//! the built binary, real servers, the public API.

mod agents_day;
mod agents_match;
mod bookings;
mod collector;
mod command_line;
mod crashes;
mod drills;
mod halts;
mod history;
mod poison;
mod quotes;
mod repeats;
mod rig;
mod traces;
