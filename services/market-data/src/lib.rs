//! tragen-market-data
