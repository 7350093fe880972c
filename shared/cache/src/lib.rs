//! tragen-cache
