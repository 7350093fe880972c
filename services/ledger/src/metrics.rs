//! Every metric of the ledger, once.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Items by how they ended (`outcome`).
pub(crate) const ITEMS: &str = "ledger_items_total";
/// Items in one transaction.
pub(crate) const BATCH_ITEMS: &str = "ledger_batch_items";
/// From the first read of a batch to its commit.
pub(crate) const COMMIT_SECONDS: &str = "ledger_commit_seconds";
/// Attempts the database did not answer.
pub(crate) const STORE_FAILURES: &str = "ledger_store_failures_total";
/// Transfers written.
pub(crate) const TRANSFERS: &str = "ledger_transfers_total";
/// Facts on the bus, new and repeated.
pub(crate) const FACTS: &str = "ledger_facts_total";
/// Facts told again because the bus had lost them.
pub(crate) const RETOLD: &str = "ledger_facts_retold_total";
/// Times the bus was seen to have lost facts.
pub(crate) const BUS_LOSSES: &str = "ledger_bus_losses_total";
/// Items for accounts of another shard, handed on to it.
pub(crate) const HANDED_ON: &str = "ledger_handed_on_total";
/// Shards this process owns.
pub(crate) const SHARDS_OWNED: &str = "ledger_shards_owned";
/// Newest fact on the bus.
pub(crate) const PUBLISHED: &str = "ledger_published_fact_sequence";
/// Accounts frozen after a payment they could not cover.
pub(crate) const FROZEN: &str = "ledger_accounts_frozen_total";
/// Bookings by hand that two operators wanted and the books do not allow.
pub(crate) const REFUSED: &str = "ledger_bookings_refused_total";
/// Heads of the hash chain signed and published.
pub(crate) const HEADS: &str = "ledger_heads_signed_total";
/// Accounts compared with what was posted to them.
pub(crate) const RECONCILED: &str = "ledger_reconciled_accounts_total";
/// Disagreements found by `code`.
pub(crate) const FINDINGS: &str = "ledger_reconciliation_findings_total";
/// Time of one round of reconciliation.
pub(crate) const RECONCILE_SECONDS: &str = "ledger_reconcile_seconds";
/// Questions by kind and result.
pub(crate) const QUESTIONS: &str = "ledger_questions_total";
/// Reads of an account by kind and place: `primary` or `replica`.
pub(crate) const READS: &str = "ledger_reads_total";
/// Times a replica did not answer; it is left alone for a while then.
pub(crate) const REPLICA_FAILURES: &str = "ledger_replica_failures_total";
/// Time to answer.
pub(crate) const ANSWER_SECONDS: &str = "ledger_answer_seconds";

/// Says what each of them means.
pub(crate) fn describe() {
    describe_counter!(ITEMS, Unit::Count, "Items taken, by outcome: booked, known, set_aside, deposited, refused");
    describe_histogram!(BATCH_ITEMS, Unit::Count, "Items in one transaction");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "From the first read of a batch to its commit");
    describe_counter!(STORE_FAILURES, Unit::Count, "Attempts the database did not answer or refused");
    describe_counter!(TRANSFERS, Unit::Count, "Transfers written");
    describe_counter!(FACTS, Unit::Count, "Facts published, new and repeated");
    describe_counter!(RETOLD, Unit::Count, "Facts told again because the bus had lost them");
    describe_counter!(BUS_LOSSES, Unit::Count, "Times the bus was seen to have lost facts");
    describe_counter!(HANDED_ON, Unit::Count, "Items for accounts of another shard, handed on to it");
    describe_gauge!(SHARDS_OWNED, Unit::Count, "Shards this process owns");
    describe_gauge!(PUBLISHED, Unit::Count, "Sequence of the newest fact on the bus");
    describe_counter!(FROZEN, Unit::Count, "Accounts frozen after a payment they could not cover");
    describe_counter!(REFUSED, Unit::Count, "Bookings by hand that the books do not allow");
    describe_counter!(HEADS, Unit::Count, "Heads of the hash chain signed and published");
    describe_counter!(RECONCILED, Unit::Count, "Accounts compared with what was posted to them");
    describe_counter!(FINDINGS, Unit::Count, "Disagreements found by reconciliation, by code");
    describe_histogram!(RECONCILE_SECONDS, Unit::Seconds, "Time of one round of reconciliation");
    describe_counter!(QUESTIONS, Unit::Count, "Questions answered, by kind and result");
    describe_counter!(READS, Unit::Count, "Reads of an account, by kind and place: primary or replica");
    describe_counter!(REPLICA_FAILURES, Unit::Count, "Times a replica did not answer a read");
    describe_histogram!(ANSWER_SECONDS, Unit::Seconds, "Time to answer a question");
}
