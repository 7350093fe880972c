//! What the ledger promises, on a real bus and on both real stores: every test
//! runs on SQLite and on PostgreSQL.

mod ledger {
    pub(crate) mod accounting;
    pub(crate) mod answers;
    pub(crate) mod backup;
    pub(crate) mod bookings;
    pub(crate) mod chart;
    pub(crate) mod cluster;
    pub(crate) mod crash;
    pub(crate) mod cut;
    pub(crate) mod expansion;
    pub(crate) mod export;
    pub(crate) mod markets;
    pub(crate) mod moment;
    pub(crate) mod money;
    pub(crate) mod moving;
    pub(crate) mod order;
    pub(crate) mod pair;
    pub(crate) mod poison;
    pub(crate) mod reads;
    pub(crate) mod refusals;
    pub(crate) mod rig;
    pub(crate) mod roles;
    pub(crate) mod shards;
    pub(crate) mod standby;
    pub(crate) mod statements;
    pub(crate) mod verification;
    pub(crate) mod working;
}
