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
/// Newest fact on the bus.
pub(crate) const PUBLISHED: &str = "ledger_published_fact_sequence";
/// Accounts frozen after a payment they could not cover.
pub(crate) const FROZEN: &str = "ledger_accounts_frozen_total";
/// Questions by kind and result.
pub(crate) const QUESTIONS: &str = "ledger_questions_total";
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
    describe_gauge!(PUBLISHED, Unit::Count, "Sequence of the newest fact on the bus");
    describe_counter!(FROZEN, Unit::Count, "Accounts frozen after a payment they could not cover");
    describe_counter!(QUESTIONS, Unit::Count, "Questions answered, by kind and result");
    describe_histogram!(ANSWER_SECONDS, Unit::Seconds, "Time to answer a question");
}
