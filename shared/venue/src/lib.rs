//! Where approved orders are executed. The only way in is
//! [`tragen_domain::risk::Approved`], which only the risk rules can make.
//!
//! A venue is idempotent by order id, remembers orders across restarts of its
//! clients, and refuses an approval that arrives after its `valid_until`.

mod paper;
mod report;

pub use paper::{MemoryVenue, PaperConfig, PaperFaults, PaperVenue};
pub use report::{Rejection, VenueError, VenueReport};
