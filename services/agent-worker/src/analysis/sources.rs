//! Where the agents' inputs come from: questions to market-data, the guard and the ledger.

use super::{Caller, refused::Refused};
use crate::metrics;
use ::metrics::counter;
use std::time::Duration;
use tracing::warn;
use tragen_bus::{Ask, Bus, ask::NoAnswer};
use tragen_contracts::v1::{
    self, ledger_answer, ledger_question, market_answer, market_question::Question, risk_answer, risk_question,
};
use tragen_domain::{market::check_published, time::Timestamp};
use tragen_host::clock;

/// Pages of matches that are asked for at most: a thousand matches.
const MATCH_PAGES_MAX: usize = 20;
/// Pages of bets that are asked for at most: more than the cost monitor keeps.
const BET_PAGES_MAX: usize = 300;
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
        Ok(without_future(snapshot))
    }

    /// That an instrument is not known, and the nearest ids; None if it is, or if nobody says.
    pub(super) async fn why_unknown(&self, instrument_id: &str, traceparent: &str) -> Option<String> {
        let asked = Question::Quote(v1::GetQuoteRequest { instrument_id: instrument_id.to_owned() });
        match self.market(asked, traceparent).await {
            Err(Refused::Told { message, .. }) => Some(message),
            Err(_) | Ok(_) => None,
        }
    }

    /// All matches that are not over, sorted by id.
    pub(super) async fn open_matches(&self, traceparent: &str) -> Result<Vec<v1::MatchSnapshot>, Refused> {
        let (mut matches, mut after_match_id) = (Vec::new(), String::new());
        for _ in 0..MATCH_PAGES_MAX {
            let asked = Question::Matches(v1::MatchesQuestion { after_match_id });
            let market_answer::Answer::Matches(page) = self.market(asked, traceparent).await? else {
                return Err(silent("market-data"));
            };
            matches.extend(page.matches.into_iter().map(without_future));
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

    /// What agents have bought of the matches that kick off from `from_micros` to before `to_micros`.
    pub(super) async fn bets(&self, from_micros: i64, to_micros: i64) -> Result<Vec<v1::MatchBets>, Refused> {
        let (mut matches, mut after_match_id) = (Vec::new(), String::new());
        for _ in 0..BET_PAGES_MAX {
            let question = v1::BetsQuestion { from_micros, to_micros, after_match_id };
            let page: Result<v1::BetsAnswer, NoAnswer> = self.bus.ask(Ask::Bets, &question, self.timeout).await;
            let page = page.map_err(|_| silent("cost-monitor"))?;
            matches.extend(page.matches);
            after_match_id = page.next_match_id;
            if after_match_id.is_empty() {
                break;
            }
        }
        Ok(matches)
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
        let mut asked = v1::ListPositionsRequest { page_size: POSITIONS_MAX, ..v1::ListPositionsRequest::default() };
        let mut positions = Vec::new();
        loop {
            let question = v1::LedgerQuestion {
                account_id: caller.account_id.clone(),
                question: Some(ledger_question::Question::ListPositions(asked.clone())),
                traceparent: caller.traceparent.clone(),
            };
            let answer: Result<v1::LedgerAnswer, NoAnswer> = self.bus.ask(Ask::Ledger, &question, self.timeout).await;
            let page = match answer.map_err(|_| silent("ledger"))?.answer {
                Some(ledger_answer::Answer::Positions(page)) => page,
                Some(ledger_answer::Answer::Error(error)) => return Err(error.into()),
                Some(_) | None => return Err(silent("ledger")),
            };
            positions.extend(page.positions);
            if page.next_page_token.is_empty() {
                return Ok(positions);
            }
            asked.page_token = page.next_page_token;
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

/// The snapshot without quotes that are not published yet by the clock here; a score that is not is stale.
fn without_future(mut snapshot: v1::MatchSnapshot) -> v1::MatchSnapshot {
    let now = Timestamp::from_micros(clock::now_micros());
    let is_published = |micros: i64| match check_published(Timestamp::from_micros(micros), now) {
        Ok(()) => true,
        Err(error) => {
            counter!(metrics::MALFORMED, "kind" => "quote_from_the_future").increment(1);
            warn!("a price of a match is not taken: {error}");
            false
        }
    };
    snapshot.quotes.retain(|quote| is_published(quote.published_at_micros));
    if let Some(of) = &mut snapshot.r#match
        && !is_published(of.published_at_micros)
    {
        of.published_at_micros = 0;
    }
    snapshot
}

const fn silent(part: &'static str) -> Refused {
    Refused::Silent { part }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_from_the_future_is_not_there_and_such_a_score_is_stale() {
        let now = clock::now_micros();
        let hour = 3_600_000_000;
        let quote = |instrument_id: &str, published_at_micros| v1::Quote {
            instrument_id: instrument_id.into(),
            published_at_micros,
            ..v1::Quote::default()
        };
        let of = |published_at_micros| Some(v1::Match { published_at_micros, ..v1::Match::default() });
        let snapshot = |published_at_micros| v1::MatchSnapshot {
            r#match: of(published_at_micros),
            quotes: vec![quote("NEW", now), quote("BAD", now + hour), quote("OLD", now - hour)],
            ..v1::MatchSnapshot::default()
        };
        let seen = without_future(snapshot(now + hour));
        let ids: Vec<&str> = seen.quotes.iter().map(|quote| quote.instrument_id.as_str()).collect();
        assert_eq!((ids, seen.r#match), (vec!["NEW", "OLD"], of(0)));
        assert_eq!(without_future(snapshot(now)).r#match, of(now));
    }
}
