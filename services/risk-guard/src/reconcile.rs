//! What the guard believes and what the venue has executed, page by page, for
//! whoever compares them with the books.

use crate::{
    command::{Code, refusal},
    gate::Gate,
};
use tokio::sync::oneshot;
use tracing::error;
use tragen_contracts::v1::{self, guard_answer::Answer};
use tragen_domain::{id::AccountId, risk::AccountState};

/// Most entries of a page.
const PAGE_MAX: usize = 5_000;

impl Gate {
    /// A page of what the guard believes accounts hold. Balances that the ledger
    /// has never told of are left out.
    pub(crate) fn account_views(&self, question: &v1::AccountViewsQuestion) -> v1::GuardAnswer {
        let limit = page_size(question.page_size);
        let (mut views, mut last, mut next_account_id) = (Vec::new(), String::new(), String::new());
        for (read, (id, account)) in self.state.accounts_after(&question.after_account_id).enumerate() {
            let own = views_of(id, account);
            let is_full = !views.is_empty() && views.len() + own.len() > limit;
            if is_full || read >= limit {
                next_account_id = last;
                break;
            }
            views.extend(own);
            last = id.to_string();
        }
        let answer = Answer::AccountViews(v1::AccountViews { views, next_account_id });
        v1::GuardAnswer { answer: Some(answer) }
    }

    /// Answers with a page of the venue's executions; the gate does not wait for its file.
    pub(crate) fn answer_venue_fills(&self, question: v1::VenueFillsQuestion, reply: oneshot::Sender<v1::GuardAnswer>) {
        let (venue, limit) = (self.venue.clone(), page_size(question.page_size));
        self.context.spawn("venue-fills", async move {
            let answer = match u64::try_from(question.after).map(|after| venue.executions(after, limit)) {
                Ok(Ok((executions, next))) => {
                    let fills = executions
                        .iter()
                        .map(|(order, fill)| v1::VenueFill { fill: Some(fill.into()), order_id: order.to_string() });
                    let next = i64::try_from(next).unwrap_or(i64::MAX);
                    let answer = Answer::VenueFills(v1::VenueFills { fills: fills.collect(), next });
                    v1::GuardAnswer { answer: Some(answer) }
                }
                Ok(Err(venue_error)) => {
                    error!("reading the venue's executions: {:#}", anyhow::Error::new(venue_error));
                    refusal(Code::Unavailable, "VENUE_UNAVAILABLE", "the venue's executions cannot be read")
                }
                Err(_) => refusal(Code::InvalidArgument, "AFTER_NEGATIVE", "after: must not be negative"),
            };
            let _ = reply.send(answer);
            Ok(())
        });
    }
}

/// The caller's size within the bounds; the largest page if it does not say.
fn page_size(asked: i32) -> usize {
    usize::try_from(asked).ok().filter(|asked| *asked > 0).map_or(PAGE_MAX, |asked| asked.min(PAGE_MAX))
}

fn views_of(id: &AccountId, account: &AccountState) -> Vec<v1::AccountView> {
    let told = account.balances().filter_map(|(currency, balance)| {
        Some(v1::AccountView {
            account_id: id.to_string(),
            currency: currency.to_string(),
            cash_micros: balance.posted?.micros(),
            version: balance.version,
            held_micros: balance.held.micros(),
        })
    });
    let mut views: Vec<v1::AccountView> = told.collect();
    views.sort_by(|a, b| a.currency.cmp(&b.currency));
    views
}
