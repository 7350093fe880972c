//! Every rule of Tragen, pure: state, input and `now` in, decision out. No
//! async, clock, randomness or I/O, so any decision can be replayed.
//!
//! From the inside out: [`arrivals`], [`id`], [`time`], [`money`], [`tier`] <- [`instrument`],
//! [`market`], [`order`], [`execution`] <- [`position`], [`portfolio`] <- [`routing`],
//! [`agents`], [`risk`], [`ledger`], [`cost`] (siblings never import each other) <- [`kpi`].

pub mod agents;
pub mod arrivals;
pub mod cost;
pub mod execution;
pub mod id;
pub mod instrument;
pub mod kpi;
pub mod ledger;
pub mod market;
pub mod money;
pub mod order;
pub mod portfolio;
pub mod position;
pub mod risk;
pub mod routing;
pub mod tier;
pub mod time;
