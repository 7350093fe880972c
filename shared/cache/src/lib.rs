//! What is remembered for a while: in the process, or shared by all processes
//! of a kind in Redis (or Valkey). Nothing here decides about money, and
//! everything here may be lost.

mod answer;
pub mod balance;
pub mod flight;
pub mod key;
pub mod local;
pub mod rate;
mod server;
#[cfg(test)]
mod valkey;

pub use answer::SharedAnswers;
pub use balance::{BalanceCache, CachedBalance, SharedBalances};
pub use flight::FlightCache;
pub use key::{AnswerKey, BalanceKey, Budget, RateKey};
pub use local::LocalCache;
pub use rate::{RateLimiter, SharedLimits};
