//! What is remembered for a while: in the process, or shared by all processes
//! of a kind in Redis (or Valkey). Nothing here decides about money, and
//! everything here may be lost.

pub mod key;
pub mod local;
pub mod rate;

pub use key::{Budget, RateKey};
pub use local::LocalCache;
pub use rate::{RateLimiter, SharedLimits};
