//! tragen-ledger
