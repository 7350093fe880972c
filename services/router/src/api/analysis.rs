//! Questions to agents: shape first, then one worker. What is about a market alone is asked
//! once for everybody who wants it and kept for a moment; what is about an account never is.

use super::{Api, Call};
use crate::refusal::{Refusal, malformed_answer};
use futures::FutureExt as _;
use prost::Message as _;
use std::{sync::Arc, time::Duration};
use tragen_bus::Ask;
use tragen_cache::{FlightCache, SharedAnswers};
use tragen_contracts::v1::{
    self, AnalyzeRequest, AnalyzeResponse, WhatIfRequest, WorkerAnswer, WorkerQuestion, analyze_request::Kind,
    worker_answer::Answer, worker_question::Question,
};
use tragen_domain::{
    order::Side,
    routing::{AnalysisFields, Lifetime, NewsFields, OrderFields, PriceKind, check_analysis},
    time::Timestamp,
};
use tragen_host::clock::now_micros;

/// Answers about markets that are kept.
const KEPT_MAX: u64 = 10_000;

/// Answers about markets: those that change with quotes, and those that change with results.
#[derive(Debug)]
pub(crate) struct Analyses {
    by_quotes: FlightCache<Vec<u8>, AnalyzeResponse>,
    by_results: FlightCache<Vec<u8>, AnalyzeResponse>,
    /// What changes with results, for all routers.
    shared: Option<SharedAnswers>,
}

/// For whom an answer is good, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Everybody, until quotes have changed.
    Quotes,
    /// Everybody, until a match has ended.
    Results,
    /// The caller alone.
    Account,
    /// Texts: nobody else has the same, or they change at any time.
    Once,
}

impl Analyses {
    pub(crate) fn new(quotes_age_ms: u64, results_age_ms: u64, shared: Option<SharedAnswers>) -> Self {
        let cache = |name, age_ms| FlightCache::new(name, KEPT_MAX, Duration::from_millis(age_ms));
        Self {
            by_quotes: cache("analyses_by_quotes", quotes_age_ms),
            by_results: cache("analyses_by_results", results_age_ms),
            shared,
        }
    }
}

impl Api {
    /// `Trading/Analyze`.
    pub(crate) async fn analyze(
        self: &Arc<Self>,
        call: &Call,
        request: AnalyzeRequest,
    ) -> Result<AnalyzeResponse, Refusal> {
        let now = Timestamp::from_micros(now_micros());
        check_analysis(&fields(&request), news(&request), &self.limits, now)?;
        let key = request.encode_to_vec();
        // No account goes with a question whose answer others will get.
        let asked = match reach(&request) {
            Reach::Quotes => self.analyses.by_quotes.get_or_try(key, self.ask_agent(call, "", request).boxed()),
            Reach::Results => {
                let question = key.clone();
                self.analyses.by_results.get_or_try(key, self.ask_all_routers(call, question, request).boxed())
            }
            Reach::Account => return self.ask_agent(call, call.caller.account.as_str(), request).await,
            Reach::Once => return self.ask_agent(call, "", request).await,
        };
        match tokio::time::timeout_at(call.deadline, asked).await {
            Ok(answer) => answer.map_err(|refusal| Refusal::clone(&refusal)),
            Err(_) => {
                Err(Refusal::unavailable("PART_UNAVAILABLE", "the agents did not answer in time")
                    .with("part", "worker"))
            }
        }
    }

    /// What another router was told within the last minutes, or else the agent's answer, for the others too.
    async fn ask_all_routers(
        &self,
        call: &Call,
        question: Vec<u8>,
        request: AnalyzeRequest,
    ) -> Result<AnalyzeResponse, Refusal> {
        let Some(shared) = &self.analyses.shared else { return self.ask_agent(call, "", request).await };
        let now = || Timestamp::from_micros(now_micros());
        let known = shared.get(&question, now()).await.and_then(|bytes| AnalyzeResponse::decode(&*bytes).ok());
        if let Some(answer) = known.filter(|answer| answer.result.is_some()) {
            return Ok(answer);
        }
        let answer = self.ask_agent(call, "", request).await?;
        shared.keep(&question, &answer.encode_to_vec(), now()).await;
        Ok(answer)
    }

    async fn ask_agent(&self, call: &Call, account: &str, request: AnalyzeRequest) -> Result<AnalyzeResponse, Refusal> {
        match self.ask_worker(call, account, Question::Analyze(request)).await? {
            Answer::Analysis(analysis) => Ok(analysis),
            Answer::Market(_) | Answer::Error(_) => Err(malformed_answer()),
        }
    }

    /// Asks any worker; an error it answers is a refusal.
    pub(super) async fn ask_worker(&self, call: &Call, account: &str, question: Question) -> Result<Answer, Refusal> {
        let left = call.deadline.saturating_duration_since(tokio::time::Instant::now());
        let longest = Duration::from_millis(self.config.analysis_timeout_ms);
        let patience = left.clamp(Duration::from_millis(1), longest);
        let question = WorkerQuestion {
            account_id: account.to_owned(),
            tier: v1::Tier::from(call.caller.tier).into(),
            deadline_micros: now_micros().saturating_add(i64::try_from(patience.as_micros()).unwrap_or(i64::MAX)),
            traceparent: call.traceparent.clone(),
            question: Some(question),
        };
        let answer: WorkerAnswer = self.bus.ask(Ask::Worker, &question, patience).await?;
        match answer.answer {
            Some(Answer::Error(error)) => Err(error.into()),
            Some(answer) => Ok(answer),
            None => Err(malformed_answer()),
        }
    }
}

const fn reach(request: &AnalyzeRequest) -> Reach {
    match &request.kind {
        Some(Kind::Scout(_) | Kind::Scan(_)) => Reach::Quotes,
        Some(Kind::Research(_) | Kind::Calibration(_)) => Reach::Results,
        Some(Kind::WhatIf(_) | Kind::Portfolio(_)) => Reach::Account,
        Some(Kind::Sentiment(_)) | None => Reach::Once,
    }
}

fn fields(request: &AnalyzeRequest) -> AnalysisFields<'_> {
    match &request.kind {
        None => AnalysisFields::Missing,
        Some(Kind::Scout(asked)) => {
            AnalysisFields::Scout { match_id: &asked.match_id, min_edge_bps: asked.min_edge_bps }
        }
        Some(Kind::Research(asked)) => AnalysisFields::Research {
            match_id: &asked.match_id,
            home_team: &asked.home_team,
            away_team: &asked.away_team,
        },
        Some(Kind::WhatIf(asked)) => AnalysisFields::WhatIf(order(asked)),
        Some(Kind::Portfolio(asked)) => AnalysisFields::Portfolio { currency: &asked.currency },
        Some(Kind::Calibration(asked)) => AnalysisFields::Calibration {
            model: &asked.model,
            from: asked.from.as_ref().map(|at| (at.seconds, at.nanos)),
            to: asked.to.as_ref().map(|at| (at.seconds, at.nanos)),
        },
        Some(Kind::Scan(asked)) => AnalysisFields::Scan {
            match_id: &asked.match_id,
            min_liquidity_micros: asked.min_liquidity_micros,
            limit: asked.limit,
        },
        Some(Kind::Sentiment(asked)) => {
            let (entities, items) = (&asked.entities, asked.items.len());
            AnalysisFields::Sentiment { entities, items, match_id: &asked.match_id }
        }
    }
}

/// A GTD order has no end here and is refused for that.
fn order(asked: &WhatIfRequest) -> OrderFields<'_> {
    OrderFields {
        instrument_id: &asked.instrument_id,
        side: match asked.side() {
            v1::Side::Unspecified => None,
            v1::Side::Buy => Some(Side::Buy),
            v1::Side::Sell => Some(Side::Sell),
        },
        order_type: match asked.order_type() {
            v1::OrderType::Unspecified => None,
            v1::OrderType::Limit => Some(PriceKind::Limit),
            v1::OrderType::Market => Some(PriceKind::Market),
        },
        quantity_micros: asked.quantity_micros,
        limit_price_micros: asked.limit_price_micros,
        time_in_force: match asked.time_in_force() {
            v1::TimeInForce::Unspecified | v1::TimeInForce::Ioc => Some(Lifetime::Ioc),
            v1::TimeInForce::Fok => Some(Lifetime::Fok),
            v1::TimeInForce::Gtc => Some(Lifetime::Gtc),
            v1::TimeInForce::Gtd => Some(Lifetime::Gtd),
        },
        expire_at: None,
        is_reduce_only: asked.is_reduce_only,
        is_post_only: asked.is_post_only,
    }
}

fn news(request: &AnalyzeRequest) -> impl Iterator<Item = NewsFields<'_>> {
    let items = match &request.kind {
        Some(Kind::Sentiment(asked)) => asked.items.as_slice(),
        Some(
            Kind::Scout(_)
            | Kind::Research(_)
            | Kind::WhatIf(_)
            | Kind::Portfolio(_)
            | Kind::Calibration(_)
            | Kind::Scan(_),
        )
        | None => &[],
    };
    items.iter().map(|item| NewsFields {
        source: &item.source,
        text: &item.text,
        published_at: item.published_at.as_ref().map(|at| (at.seconds, at.nanos)),
    })
}
