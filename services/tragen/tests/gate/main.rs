//! The proof that a guard that is killed, frozen, cut off or deposed loses and doubles nothing,
//! that a halt holds whatever a worker hears of it, and that no clock has to be right: real
//! processes of the guard, a worker and the ledger, a real bus, and an audit of what the venue
//! has executed, what was told and what is booked.
#![cfg(target_os = "linux")]

mod audit;
mod clocks;
mod gone;
mod load;
mod orders;
mod parted;
mod paused;
mod process;
#[path = "../chaos/proxy.rs"]
mod proxy;
mod workers;
mod world;
