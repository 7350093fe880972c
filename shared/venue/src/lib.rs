//! tragen-venue
