//! The proof that a guard that is killed, frozen or deposed loses and doubles nothing: real
//! processes of the guard and the ledger, a real bus, and an audit of what the venue has
//! executed, what was told and what is booked.
#![cfg(target_os = "linux")]

mod audit;
mod gone;
mod load;
mod process;
mod world;
