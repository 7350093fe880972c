//! `tragen risk explain`: one past decision from the guard's journal.

use super::journal::JournalArgs;
use crate::{
    Verdict,
    output::{Format, decimal, moment, word},
};
use anyhow::Context as _;
use clap::Args;
use tragen_contracts::v1::{self, journal_record::Kind};
use tragen_risk_guard::replay::{Explainer, Explanation};

/// Which decision, and in which journal.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The trade or its order.
    id: String,
    #[command(flatten)]
    journal: JournalArgs,
}

impl ExplainArgs {
    pub(super) async fn run(self, format: Format) -> anyhow::Result<Verdict> {
        let mut explainer = Explainer::new(&self.id);
        let mut messages = self.journal.open(1).await?;
        while let Some((sequence, payload)) = messages.next().await? {
            explainer.take(sequence, &payload)?;
        }
        let found = explainer.explanation().with_context(|| format!("the journal has no decision on {}", self.id))?;
        let (verdict, mut fields) = match &found.decision.kind {
            Some(Kind::Approved(approved)) => ("APPROVED", approval(approved)),
            Some(Kind::Refused(refused)) => ("REFUSED", refusal(refused.report.as_ref())),
            Some(Kind::Withdrawal(decided)) => ("WITHDRAWAL", withdrawal(decided.report.as_ref())),
            Some(_) | None => ("UNKNOWN", Vec::new()),
        };
        let mut all = vec![("decision", verdict.to_owned())];
        all.append(&mut fields);
        all.extend(circumstances(&found));
        format.record(&found.decision, &all)?;
        Ok(Verdict::Good)
    }
}

fn circumstances(found: &Explanation) -> Vec<(&'static str, String)> {
    let key = found.decision.key.clone().unwrap_or_default();
    let scopes: Vec<String> = found.scopes.iter().map(|state| format!("{} {:?}", state.scope, state.state)).collect();
    let ended = found.closed.as_ref().map(|closed| {
        let status = word(closed.status().as_str_name(), "TRADE_STATUS_");
        format!("{status}, {} filled", decimal(closed.filled_quantity_micros))
    });
    vec![
        ("account", key.account_id),
        ("trade", key.trade_id),
        ("journal", format!("message {}", found.journal_sequence)),
        ("guard", found.leader_id.clone()),
        ("decided", moment(found.decided_at_micros / 1_000_000)),
        ("epoch", found.epoch.to_string()),
        ("not active", if scopes.is_empty() { "nothing".to_owned() } else { scopes.join(", ") }),
        ("open orders", found.open_orders.to_string()),
        ("ended", ended.unwrap_or_default()),
    ]
}

fn approval(approved: &v1::OrderApproved) -> Vec<(&'static str, String)> {
    let mut fields = order(approved.terms.as_ref());
    let quote = approved.quote.clone().unwrap_or_default();
    fields.extend([
        ("quote", format!("{} / {}", decimal(quote.bid_price_micros), decimal(quote.ask_price_micros))),
        ("quote of", moment(quote.published_at_micros / 1_000_000)),
        ("holds", decimal(approved.hold_micros)),
        ("fee", format!("{} ppm", approved.taker_fee_ppm)),
        ("valid until", moment(approved.valid_until_micros / 1_000_000)),
        ("agent", approved.agent_id.clone()),
        ("pool", approved.pool.clone()),
        ("because", approved.rationale.clone()),
    ]);
    fields
}

fn refusal(report: Option<&v1::TradeReport>) -> Vec<(&'static str, String)> {
    let report = report.cloned().unwrap_or_default();
    let mut fields = order(report.terms.as_ref());
    fields.extend(denial(report.denial.as_ref()));
    fields.push(("because", report.rationale));
    fields
}

fn withdrawal(report: Option<&v1::WithdrawalReport>) -> Vec<(&'static str, String)> {
    let report = report.cloned().unwrap_or_default();
    let mut fields = vec![("amount", format!("{} {}", decimal(report.amount_micros), report.currency))];
    fields.extend(denial(report.denial.as_ref()));
    fields
}

fn order(terms: Option<&v1::OrderTerms>) -> Vec<(&'static str, String)> {
    let Some(terms) = terms else { return Vec::new() };
    let side = word(terms.side().as_str_name(), "SIDE_");
    let (quantity, limit) = (decimal(terms.quantity_micros), decimal(terms.limit_price_micros));
    vec![("order", format!("{side} {quantity} {} at {limit}", terms.instrument_id))]
}

fn denial(denial: Option<&v1::Denial>) -> Vec<(&'static str, String)> {
    let Some(denial) = denial else { return Vec::new() };
    vec![
        ("denied", word(denial.code().as_str_name(), "DENIAL_CODE_")),
        ("limit", denial.limit.to_string()),
        ("observed", denial.observed.to_string()),
        ("says", denial.message.clone()),
    ]
}
