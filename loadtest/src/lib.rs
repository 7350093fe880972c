//! tragen-loadtest
