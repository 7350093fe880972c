//! tragen-risk-guard
