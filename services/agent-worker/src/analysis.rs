//! What agents say when nothing is traded: one question, the one agent it belongs to, a
//! typed answer. Workers share the subject, so any of them answers; none needs a lease,
//! because nothing here can become an order.

mod calibration;
mod closing_values;
mod figures;
mod live;
mod mandate_inputs;
pub(crate) mod match_view;
mod models;
mod portfolio;
mod refused;
mod research;
mod results;
mod scan;
mod scout;
mod sentiment;
mod sources;
mod what_if;

use crate::{config::Config, metrics, news::NewsBoard, odds::OddsBoard};
use ::metrics::{counter, histogram};
use futures::FutureExt as _;
use live::LiveDesk;
use models::Models;
use opentelemetry::trace::SpanKind;
pub(crate) use refused::Refused;
use results::Results;
use sources::Sources;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tragen_bus::{
    Ask, Bus, BusError,
    usage::{Usage, Work},
};
use tragen_contracts::v1::{
    self, analyze_request::Kind, analyze_response::Result as Finding, worker_answer::Answer, worker_question::Question,
};
use tragen_domain::agents::{
    live_trading::{LiveDecision, WaysOut},
    news::ListedSources,
};
use tragen_host::{Context, clock};

/// Who asks.
#[derive(Debug, Clone)]
struct Caller {
    account_id: String,
    tier: v1::Tier,
    traceparent: String,
}

/// Everything the agents are asked with.
#[derive(Debug)]
pub(crate) struct Desk {
    context: Context,
    sources: Sources,
    results: Results,
    models: Models,
    live: LiveDesk,
    listed: ListedSources,
    board: NewsBoard,
    odds: OddsBoard,
    usage: Usage,
}

/// Why there is nothing to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoSnapshot {
    /// There is no such match; which may be meant.
    Unknown(String),
    /// Nobody has answered.
    Silent(String),
}

/// An agent's word: what it says of itself, and the facts.
type Said = Result<(v1::AnalysisInfo, Finding), Refused>;

/// Answers until the process stops.
///
/// # Errors
/// When the subject cannot be subscribed.
pub(crate) async fn start(context: &Context, bus: &Bus, desk: &Arc<Desk>) -> Result<(), BusError> {
    let desk = Arc::clone(desk);
    bus.answer(context, Ask::Worker, move |question: v1::WorkerQuestion| {
        let desk = Arc::clone(&desk);
        async move { v1::WorkerAnswer { answer: Some(desk.answer(question).await) } }.boxed()
    })
    .await
}

impl Desk {
    pub(crate) fn new(context: &Context, bus: &Bus, config: &Config, usage: &Usage) -> Self {
        Self {
            context: context.clone(),
            sources: Sources::new(bus, Duration::from_millis(config.question_timeout_ms)),
            results: Results::new(),
            models: Models::new(),
            live: LiveDesk::default(),
            listed: ListedSources::new(&config.news_sources_ppm),
            board: NewsBoard::new(&config.news_sources_ppm),
            odds: OddsBoard::default(),
            usage: usage.clone(),
        }
    }

    /// Everything known of a match.
    ///
    /// # Errors
    /// [`NoSnapshot`].
    pub(crate) async fn snapshot(&self, match_id: &str, traceparent: &str) -> Result<v1::MatchSnapshot, NoSnapshot> {
        match self.sources.snapshot(match_id, traceparent).await {
            Ok(snapshot) => Ok(snapshot),
            Err(Refused::Told { message, .. }) => Err(NoSnapshot::Unknown(message)),
            Err(refused) => Err(NoSnapshot::Silent(refused.to_string())),
        }
    }

    /// That an instrument is not known, and the nearest ids; None if it is, or if nobody says.
    pub(crate) async fn why_unknown(&self, instrument_id: &str, traceparent: &str) -> Option<String> {
        self.sources.why_unknown(instrument_id, traceparent).await
    }

    /// What an account should do with what it holds of a match in play, as the guard says it does: home, draw, away.
    ///
    /// # Errors
    /// When the match or the holding cannot be valued.
    pub(crate) async fn exits(
        &self,
        snapshot: &v1::MatchSnapshot,
        standing: &v1::Standing,
        (ways, traceparent): (WaysOut, &str),
    ) -> Result<[LiveDecision; 3], Refused> {
        let (account_id, tier) = (standing.account_id.clone(), v1::Tier::Standard);
        let caller = Caller { account_id, tier, traceparent: traceparent.to_owned() };
        live::decide(self, &caller, snapshot, (standing, ways)).await
    }

    /// What was written about matches.
    pub(crate) const fn news(&self) -> &NewsBoard {
        &self.board
    }

    /// What bookmakers quoted in the last half hour.
    pub(crate) const fn odds(&self) -> &OddsBoard {
        &self.odds
    }

    async fn answer(&self, question: v1::WorkerQuestion) -> Answer {
        let started = Instant::now();
        let mut span = self.context.spans.start("answer worker question", SpanKind::Server, &question.traceparent);
        let kind = kind_of(&question);
        span.set("tragen.question", kind);
        let tier = question.tier();
        let caller = Caller { account_id: question.account_id, tier, traceparent: span.traceparent() };
        let is_late = question.deadline_micros != 0 && question.deadline_micros < clock::now_micros();
        let said = if is_late { Err(Refused::TooLate) } else { self.decide(&caller, question.question).await };
        let (answer, result) = match said {
            Ok(answer) => (answer, "answered"),
            Err(refused) => {
                span.fail(refused.reason().to_owned(), refused.to_string());
                (Answer::Error(refused.to_wire()), "refused")
            }
        };
        counter!(metrics::ANALYSES, "kind" => kind, "result" => result).increment(1);
        histogram!(metrics::ANALYSIS_SECONDS, "kind" => kind).record(started.elapsed().as_secs_f64());
        answer
    }

    async fn decide(&self, caller: &Caller, question: Option<Question>) -> Result<Answer, Refused> {
        match question {
            Some(Question::Analyze(v1::AnalyzeRequest { kind: Some(kind) })) => {
                let started = Instant::now();
                let (info, result) = self.analyze(caller, kind).await?;
                self.usage.add(&info.agent, Work { cpu: started.elapsed(), messages: 1, ..Work::default() });
                Ok(Answer::Analysis(v1::AnalyzeResponse { info: Some(info), result: Some(result) }))
            }
            Some(Question::Market(asked)) => live::view(self, caller, &asked.match_id).await.map(Answer::Market),
            Some(Question::Analyze(v1::AnalyzeRequest { kind: None })) | None => Err(Refused::NothingAsked),
        }
    }

    /// The agent of each kind of question, and no other.
    async fn analyze(&self, caller: &Caller, kind: Kind) -> Said {
        match kind {
            Kind::Scout(asked) => scout::analyze(self, caller, &asked).await,
            Kind::Research(asked) => research::analyze(self, caller, &asked).await,
            Kind::WhatIf(asked) => what_if::analyze(self, caller, asked).await,
            Kind::Portfolio(asked) => portfolio::analyze(self, caller, &asked).await,
            Kind::Scan(asked) => scan::analyze(self, caller, &asked).await,
            Kind::Sentiment(asked) => sentiment::analyze(&self.listed, &self.board, &asked),
            Kind::Calibration(asked) => calibration::analyze(self, &asked).await,
        }
    }
}

fn kind_of(question: &v1::WorkerQuestion) -> &'static str {
    match &question.question {
        Some(Question::Analyze(v1::AnalyzeRequest { kind })) => match kind {
            Some(Kind::Scout(_)) => "scout",
            Some(Kind::Research(_)) => "research",
            Some(Kind::WhatIf(_)) => "what_if",
            Some(Kind::Portfolio(_)) => "portfolio",
            Some(Kind::Calibration(_)) => "calibration",
            Some(Kind::Scan(_)) => "scan",
            Some(Kind::Sentiment(_)) => "sentiment",
            None => "none",
        },
        Some(Question::Market(_)) => "market",
        None => "none",
    }
}
