//! `tragen risk explain`: one past decision with everything it was decided on, and every check.

use super::journal::JournalArgs;
use crate::{
    Verdict,
    output::{Format, decimal, moment, print, word},
};
use anyhow::Context as _;
use clap::Args;
use tragen_contracts::v1::{self, journal_record::Kind};
use tragen_domain::risk::Check;
use tragen_risk_guard::replay::{Explainer, Explanation, Finder, Inputs};

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
        let mut finder = Finder::new(&self.id);
        let mut messages = self.journal.open(1).await?;
        while let Some((sequence, payload)) = messages.next().await? {
            finder.take(sequence, &payload)?;
        }
        let found = finder.found().with_context(|| format!("the journal has no decision on {}", self.id))?;
        let mut explainer = Explainer::new(found)?;
        let mut messages = self.journal.open(1).await?;
        while let Some((sequence, payload)) = messages.next().await? {
            explainer.take_journal(sequence, &payload)?;
        }
        self.journal.read_others(&mut explainer).await?;
        show(format, &explainer.explain()?)?;
        Ok(Verdict::Good)
    }
}

fn show(format: Format, own: &Explanation) -> anyhow::Result<()> {
    let (verdict, mut fields) = match &own.found.decision.kind {
        Some(Kind::Approved(approved)) => ("APPROVED", approval(approved)),
        Some(Kind::Refused(refused)) => ("REFUSED", refusal(refused.report.as_ref())),
        Some(Kind::Withdrawal(decided)) => ("WITHDRAWAL", withdrawal(decided.report.as_ref())),
        Some(_) | None => ("UNKNOWN", Vec::new()),
    };
    let mut all = vec![("decision", verdict.to_owned())];
    all.append(&mut fields);
    all.extend(circumstances(own));
    all.extend(own.inputs.as_ref().map(inputs).into_iter().flatten());
    all.extend(own.agrees.map(|agrees| ("decided again", again(agrees).to_owned())));
    let message = serde_json::json!({
        "decision": own.found.decision,
        "journal_sequence": own.found.journal_sequence,
        "agrees": own.agrees,
        "checks": own.checks.iter().map(as_json).collect::<Vec<_>>(),
    });
    format.record(&message, &all)?;
    if format == Format::Table && !own.checks.is_empty() {
        print(&format!("\n{:<28} {:>20} {:>20}  RESULT", "CHECK", "LIMIT", "OBSERVED"))?;
        for check in &own.checks {
            let Check { reason, limit, observed, verdict } = check;
            print(&format!("{:<28} {limit:>20} {observed:>20}  {}", reason.as_str(), verdict.as_str()))?;
        }
        print("What is not listed is off, or does not apply to this order.")?;
    }
    Ok(())
}

fn as_json(check: &Check) -> serde_json::Value {
    serde_json::json!({
        "check": check.reason.as_str(),
        "limit": check.limit,
        "observed": check.observed,
        "result": check.verdict.as_str(),
    })
}

const fn again(agrees: bool) -> &'static str {
    if agrees {
        "comes to the same"
    } else {
        "comes to something else: the bus does not have all any more that it was decided on"
    }
}

fn inputs(own: &Inputs) -> Vec<(&'static str, String)> {
    let money = |micros: Option<i64>| micros.map_or_else(|| "unknown".to_owned(), decimal);
    let house = own.house.map(|(capital, used)| format!("{} capital, {} put in", decimal(capital), decimal(used)));
    vec![
        ("cash", money(own.cash)),
        ("held", money(own.held)),
        ("unposted", money(own.unposted)),
        ("position", money(own.position)),
        ("orders here", own.orders.map_or_else(|| "0".to_owned(), |orders| orders.to_string())),
        ("exposure here", money(own.exposure)),
        ("house", house.unwrap_or_default()),
        ("would hold", money(own.hold)),
    ]
}

fn circumstances(own: &Explanation) -> Vec<(&'static str, String)> {
    let found = &own.found;
    let key = found.decision.key.clone().unwrap_or_default();
    let scopes: Vec<String> = own.scopes.iter().map(|state| format!("{} {:?}", state.scope, state.state)).collect();
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
        ("epoch", own.epoch.to_string()),
        ("not active", if scopes.is_empty() { "nothing".to_owned() } else { scopes.join(", ") }),
        ("open orders", own.open_orders.to_string()),
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
