//! The router against a real bus. The tests play the other services by the
//! protocols of the bus: they answer for the ledger, take requests off the
//! lanes and publish facts.

mod accounts;
mod analysis;
mod bad_tokens;
mod bad_trades;
mod bad_wire;
mod balances;
mod bookings;
mod caching;
mod json;
mod lanes;
mod news;
mod pools;
mod rates;
mod reads;
mod reference_inputs;
mod repeats;
mod risk;
mod served;
mod stage;
mod trace;
mod turns;
mod valkey;
