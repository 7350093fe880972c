//! What the ledger promises, on a real bus and on both real stores: every test
//! runs on SQLite and on PostgreSQL.

mod ledger {
    pub(crate) mod answers;
    pub(crate) mod crash;
    pub(crate) mod money;
    pub(crate) mod poison;
    pub(crate) mod rig;
    pub(crate) mod verification;
}
