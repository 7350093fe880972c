//! tragen
