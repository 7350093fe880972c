//! Where the agents' inputs come from: questions to market-data, the guard and the ledger.

use super::{Caller, refused::Refused};
use std::time::Duration;
use tragen_bus::{Ask, Bus, ask::NoAnswer};
use tragen_contracts::v1::{
    self, ledger_answer, ledger_question, market_answer, market_question::Question, risk_answer, risk_question,
};

/// Pages of matches that are asked for at most: a thousand matches.
const MATCH_PAGES_MAX: usize = 20;
/// Positions looked at, of one account.
const POSITIONS_MAX: i32 = 500;

/// Asks the rest of the platform.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    bus: Bus,
    timeout: Duration,
}

impl Sources {
    pub(super) fn new(bus: &Bus, timeout: Duration) -> Self {
        Self { bus: bus.clone(), timeout }
    }

    /// Everything known of a match; an unknown one is refused with the nearest ids.
    pub(super) async fn snapshot(&self, match_id: &str, traceparent: &str) -> Result<v1::MatchSnapshot, Refused> {
        let asked = Question::MatchSnapshot(v1::MatchSnapshotQuestion { match_id: match_id.to_owned() });
        let market_answer::Answer::MatchSnapshot(snapshot) = self.market(asked, traceparent).await? else {
            return Err(silent("market-data"));
        };
        Ok(snapshot)
    }

    /// All matches that are not over, sorted by id.
    pub(super) async fn open_matches(&self, traceparent: &str) -> Result<Vec<v1::MatchSnapshot>, Refused> {
        let (mut matches, mut after_match_id) = (Vec::new(), String::new());
        for _ in 0..MATCH_PAGES_MAX {
            let asked = Question::Matches(v1::MatchesQuestion { after_match_id });
            let market_answer::Answer::Matches(page) = self.market(asked, traceparent).await? else {
                return Err(silent("market-data"));
            };
            matches.extend(page.matches);
            after_match_id = page.next_match_id;
            if after_match_id.is_empty() {
                break;
            }
        }
        Ok(matches)
    }

    /// Results that became known after row `after` of the history `history_id`.
    pub(super) async fn history(&self, history_id: &str, after: i64) -> Result<v1::HistoryPage, Refused> {
        let asked = Question::History(v1::HistoryQuestion { history_id: history_id.to_owned(), after });
        let market_answer::Answer::History(page) = self.market(asked, "").await? else {
            return Err(silent("market-data"));
        };
        Ok(page)
    }

    /// What the guard would say to an order of the caller.
    pub(super) async fn what_if(&self, caller: &Caller, order: v1::WhatIfRequest) -> Result<v1::WhatIfResult, Refused> {
        let (account_id, tier) = (caller.account_id.clone(), caller.tier.into());
        let asked = v1::WhatIfQuestion { account_id, tier, order: Some(order) };
        let question = risk_question::Question::WhatIf(asked);
        let risk_answer::Answer::WhatIf(result) = self.risk(question, &caller.traceparent).await? else {
            return Err(silent("risk-guard"));
        };
        Ok(result)
    }

    /// What the guard believes the caller has.
    pub(super) async fn account_risk(&self, caller: &Caller, currency: &str) -> Result<v1::AccountRisk, Refused> {
        let (account_id, currency) = (caller.account_id.clone(), currency.to_owned());
        let question = risk_question::Question::AccountRisk(v1::AccountRiskQuestion { account_id, currency });
        let risk_answer::Answer::AccountRisk(risk) = self.risk(question, &caller.traceparent).await? else {
            return Err(silent("risk-guard"));
        };
        Ok(risk)
    }

    /// What the ledger has posted of the caller's positions.
    pub(super) async fn positions(&self, caller: &Caller) -> Result<Vec<v1::Position>, Refused> {
        let asked = v1::ListPositionsRequest { page_size: POSITIONS_MAX, ..v1::ListPositionsRequest::default() };
        let question = v1::LedgerQuestion {
            account_id: caller.account_id.clone(),
            question: Some(ledger_question::Question::ListPositions(asked)),
            traceparent: caller.traceparent.clone(),
        };
        let answer: Result<v1::LedgerAnswer, NoAnswer> = self.bus.ask(Ask::Ledger, &question, self.timeout).await;
        match answer.map_err(|_| silent("ledger"))?.answer {
            Some(ledger_answer::Answer::Positions(page)) => Ok(page.positions),
            Some(ledger_answer::Answer::Error(error)) => Err(error.into()),
            Some(_) | None => Err(silent("ledger")),
        }
    }

    async fn market(&self, question: Question, traceparent: &str) -> Result<market_answer::Answer, Refused> {
        let question = v1::MarketQuestion { question: Some(question), traceparent: traceparent.to_owned() };
        let answer: Result<v1::MarketAnswer, NoAnswer> = self.bus.ask(Ask::Market, &question, self.timeout).await;
        match answer.map_err(|_| silent("market-data"))?.answer {
            Some(market_answer::Answer::Error(error)) => Err(error.into()),
            Some(answer) => Ok(answer),
            None => Err(silent("market-data")),
        }
    }

    async fn risk(&self, question: risk_question::Question, traceparent: &str) -> Result<risk_answer::Answer, Refused> {
        let question = v1::RiskQuestion { question: Some(question), traceparent: traceparent.to_owned() };
        let answer: Result<v1::RiskAnswer, NoAnswer> = self.bus.ask(Ask::Risk, &question, self.timeout).await;
        match answer.map_err(|_| silent("risk-guard"))?.answer {
            Some(risk_answer::Answer::Error(error)) => Err(error.into()),
            Some(answer) => Ok(answer),
            None => Err(silent("risk-guard")),
        }
    }
}

const fn silent(part: &'static str) -> Refused {
    Refused::Silent { part }
}
