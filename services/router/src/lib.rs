//! tragen-router
