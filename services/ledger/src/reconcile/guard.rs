//! What the guard believes accounts hold, against their wallets.

use super::{Reconciler, finding::Finding};
use crate::store::{
    rows::WalletRow,
    session::{Arg, Sql},
};
use anyhow::bail;
use std::collections::HashMap;
use tragen_contracts::v1::{self, guard_answer::Answer, guard_question::Question};
use tragen_domain::money::Money;

/// Accounts asked for at once.
const PAGE: i32 = 5_000;

const WALLETS: Sql = Sql::new(
    "SELECT * FROM wallet WHERE account_id IN (SELECT value FROM json_each($1))",
    "SELECT * FROM wallet WHERE account_id = ANY($1)",
);

impl Reconciler {
    /// Some pages of the guard's accounts, as far as this process owns their wallets; the next round goes on
    /// behind them.
    pub(super) async fn views(&mut self, owned: &[u16]) -> anyhow::Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let mut left = self.config.reconcile_accounts_max;
        loop {
            let asked = v1::AccountViewsQuestion { after_account_id: self.views_after.clone(), page_size: page(left) };
            let question =
                v1::GuardQuestion { question: Some(Question::AccountViews(asked)), ..v1::GuardQuestion::default() };
            let views = match self.ask(&question).await? {
                Answer::AccountViews(views) => views,
                other @ (Answer::State(_)
                | Answer::Halt(_)
                | Answer::ReducePositions(_)
                | Answer::Flatten(_)
                | Answer::ShutdownAgent(_)
                | Answer::History(_)
                | Answer::ListLimits(_)
                | Answer::ProposeLimit(_)
                | Answer::ConfirmLimit(_)
                | Answer::ProposeReductionEnd(_)
                | Answer::ConfirmReductionEnd(_)
                | Answer::ProposeResume(_)
                | Answer::ConfirmResume(_)
                | Answer::Error(_)
                | Answer::ProposeBooking(_)
                | Answer::ConfirmBooking(_)
                | Answer::VenueFills(_)) => bail!("the guard answered something else: {other:?}"),
            };
            findings.extend(self.compare(owned, &views.views).await?);
            left = left.saturating_sub(views.views.len().max(1));
            self.views_after = views.next_account_id;
            if left == 0 || self.views_after.is_empty() {
                return Ok(findings);
            }
        }
    }

    async fn compare(&self, owned: &[u16], views: &[v1::AccountView]) -> anyhow::Result<Vec<Finding>> {
        let ids: Vec<String> = views.iter().map(|view| view.account_id.clone()).collect();
        let mut wallets: HashMap<(String, String), WalletRow> = HashMap::new();
        for books in self.books.iter().filter(|books| owned.contains(&books.shard) && !ids.is_empty()) {
            let rows: Vec<WalletRow> = books.primary.rows(WALLETS, &[Arg::Texts(&ids)]).await?;
            wallets.extend(rows.into_iter().map(|row| ((row.account_id.clone(), row.currency.clone()), row)));
        }
        let pairs = views
            .iter()
            .filter_map(|view| Some((view, wallets.get(&(view.account_id.clone(), view.currency.clone()))?)));
        Ok(pairs.filter_map(|(view, wallet)| disagreement(view, wallet)).collect())
    }
}

fn page(left: usize) -> i32 {
    i32::try_from(left).unwrap_or(PAGE).clamp(1, PAGE)
}

/// Only views of the same version can be compared: the guard hears of a posting after it was committed.
fn disagreement(view: &v1::AccountView, wallet: &WalletRow) -> Option<Finding> {
    if view.version != wallet.version {
        return None;
    }
    let (account, currency) = (view.account_id.as_str(), view.currency.as_str());
    if view.cash_micros != wallet.cash {
        let (believed, posted) = (Money::from_micros(view.cash_micros), Money::from_micros(wallet.cash));
        let message = format!("the guard believes that {account} has {believed} {currency}, the books say {posted}");
        return Some(Finding::of_account(account, &format!("guard-{currency}"), message));
    }
    (view.held_micros > wallet.cash).then(|| {
        let (held, posted) = (Money::from_micros(view.held_micros), Money::from_micros(wallet.cash));
        let message = format!("the guard holds {held} {currency} of {account}, who has {posted}");
        Finding::to_look_at(account, &format!("held-{currency}-{}", view.version), message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_versions_disagree() {
        let wallet = WalletRow {
            account_id: "alice".to_owned(),
            currency: "USD".to_owned(),
            cash: 5,
            version: 3,
            ..WalletRow::default()
        };
        let view = |cash_micros, version, held_micros| v1::AccountView {
            account_id: "alice".to_owned(),
            currency: "USD".to_owned(),
            cash_micros,
            version,
            held_micros,
        };
        let halts = |view| disagreement(&view, &wallet).map(|finding| finding.halt().is_some());
        assert_eq!(halts(view(5, 3, 5)), None);
        assert_eq!(halts(view(6, 2, 0)), None, "it has not heard of the last posting");
        assert_eq!(halts(view(6, 3, 0)), Some(true));
        assert_eq!(halts(view(5, 3, 6)), Some(false));
    }
}
