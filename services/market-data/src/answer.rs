//! Answers questions about the market (`ask.market`).

use crate::{
    file::IncidentKind,
    market::{LiveMatch, Market},
    odds::wire,
    publish::read,
};
use futures::FutureExt as _;
use metrics::counter;
use opentelemetry::trace::SpanKind;
use std::sync::{Arc, RwLock};
use tragen_bus::{Ask, Bus, BusError};
use tragen_contracts::v1::{self, market_answer::Answer, market_question::Question};
use tragen_domain::agents::nearest::nearest;
use tragen_host::Context;

/// Instruments on a page when none is asked for, and at most.
const PAGE: (usize, usize) = (50, 500);
/// Matches on a page.
const MATCHES_PAGE: usize = 50;

/// gRPC codes of refusals.
const INVALID_ARGUMENT: i32 = 3;
const NOT_FOUND: i32 = 5;

/// Answers until the process stops.
///
/// # Errors
/// When the subject cannot be subscribed.
pub(crate) async fn start(context: &Context, bus: &Bus, market: Arc<RwLock<Market>>) -> Result<(), BusError> {
    let spans = context.spans.clone();
    bus.answer(context, Ask::Market, move |question: v1::MarketQuestion| {
        let mut span = spans.start("answer market question", SpanKind::Server, &question.traceparent);
        let kind = kind_of(&question);
        span.set("tragen.question", kind);
        let answer = answer(&read(&market), &question);
        let result = match &answer {
            Answer::Error(error) => {
                span.fail(error.reason.clone(), error.message.clone());
                "refused"
            }
            Answer::MatchSnapshot(_)
            | Answer::Instruments(_)
            | Answer::Quote(_)
            | Answer::History(_)
            | Answer::Matches(_) => "answered",
        };
        counter!("market_data_questions_total", "kind" => kind, "result" => result).increment(1);
        std::future::ready(v1::MarketAnswer { answer: Some(answer) }).boxed()
    })
    .await
}

fn kind_of(question: &v1::MarketQuestion) -> &'static str {
    match &question.question {
        Some(Question::MatchSnapshot(_)) => "match_snapshot",
        Some(Question::Instruments(_)) => "instruments",
        Some(Question::Quote(_)) => "quote",
        Some(Question::History(_)) => "history",
        Some(Question::Matches(_)) => "matches",
        None => "none",
    }
}

fn answer(market: &Market, question: &v1::MarketQuestion) -> Answer {
    let answer = match &question.question {
        Some(Question::MatchSnapshot(asked)) => {
            known_match(market, &asked.match_id).map(|live| Answer::MatchSnapshot(snapshot(market, live)))
        }
        Some(Question::History(asked)) => Ok(Answer::History(market.history.page(asked, market.now))),
        Some(Question::Matches(asked)) => Ok(Answer::Matches(matches_page(market, &asked.after_match_id))),
        Some(Question::Instruments(asked)) => page(market, asked).map(Answer::Instruments),
        Some(Question::Quote(asked)) => quote(market, &asked.instrument_id).map(Answer::Quote),
        None => Err(refusal(INVALID_ARGUMENT, "QUESTION_MISSING", "nothing was asked")),
    };
    answer.unwrap_or_else(Answer::Error)
}

fn matches_page(market: &Market, after: &str) -> v1::MatchesPage {
    let mut matches: Vec<_> =
        market.open_matches_after(after).take(MATCHES_PAGE + 1).map(|live| snapshot(market, live)).collect();
    let has_more = matches.len() > MATCHES_PAGE;
    matches.truncate(MATCHES_PAGE);
    let last = matches.last().and_then(|last| last.r#match.as_ref()).filter(|_| has_more);
    let next_match_id = last.map(|last| last.match_id.clone()).unwrap_or_default();
    v1::MatchesPage { matches, next_match_id }
}

fn snapshot(market: &Market, live: &LiveMatch) -> v1::MatchSnapshot {
    let listed: Vec<_> = live.instruments.iter().filter_map(|id| market.instrument(id.as_str())).collect();
    let micros = |odds: f64| crate::number::nearest(odds * 1e6);
    let last_event = match live.last_event.map(|(kind, _)| kind) {
        Some(IncidentKind::Goal) => v1::MatchEvent::Goal,
        Some(IncidentKind::Red) => v1::MatchEvent::RedCard,
        None => v1::MatchEvent::Unspecified,
    };
    v1::MatchSnapshot {
        r#match: Some((&live.state).into()),
        books: live.books.iter().map(wire).collect(),
        instruments: listed.iter().map(|listed| (&listed.instrument).into()).collect(),
        quotes: listed.iter().map(|listed| listed.to_wire()).collect(),
        news: Vec::new(),
        closing_books: live.closing.iter().map(wire).collect(),
        over_under_odds_micros: live.over_under.map(|odds| odds.map(micros).to_vec()).unwrap_or_default(),
        event_time_micros: market.now.micros(),
        last_event: last_event.into(),
        last_event_micros: live.last_event.map_or(0, |(_, at)| at.micros()),
        minutes_played: live.clock.minutes_played.into(),
        minute_left_ppm: i32::try_from(micros(live.clock.minute_left)).unwrap_or(1_000_000).max(1),
    }
}

fn quote(market: &Market, id: &str) -> Result<v1::GetQuoteResponse, v1::AskError> {
    let listed = market
        .instrument(id)
        .ok_or_else(|| not_known("instrument", "INSTRUMENT_NOT_FOUND", id, market.instrument_ids()))?;
    Ok(v1::GetQuoteResponse { quote: Some(listed.to_wire()), instrument: Some((&listed.instrument).into()) })
}

fn page(market: &Market, asked: &v1::ListInstrumentsRequest) -> Result<v1::ListInstrumentsResponse, v1::AskError> {
    let size = match usize::try_from(asked.page_size) {
        Ok(0) => PAGE.0,
        Ok(size) => size.min(PAGE.1),
        Err(_) => return Err(refusal(INVALID_ARGUMENT, "PAGE_SIZE_NEGATIVE", "page_size must not be negative")),
    };
    if !asked.match_id.is_empty() {
        known_match(market, &asked.match_id)?;
    }
    let is_asked = |match_id: Option<&str>| asked.match_id.is_empty() || match_id == Some(asked.match_id.as_str());
    let mut instruments: Vec<v1::Instrument> = market
        .instruments_after(&asked.page_token)
        .map(|listed| &listed.instrument)
        .filter(|instrument| is_asked(instrument.prediction.as_ref().map(|(id, _)| id.as_str())))
        .take(size + 1)
        .map(Into::into)
        .collect();
    let has_more = instruments.len() > size;
    instruments.truncate(size);
    let last = instruments.last().filter(|_| has_more);
    let next_page_token = last.map(|instrument| instrument.instrument_id.clone()).unwrap_or_default();
    Ok(v1::ListInstrumentsResponse { instruments, next_page_token })
}

fn known_match<'a>(market: &'a Market, id: &str) -> Result<&'a LiveMatch, v1::AskError> {
    market.live_match(id).ok_or_else(|| not_known("match", "MATCH_NOT_FOUND", id, market.match_ids()))
}

fn not_known<'a>(what: &str, reason: &str, id: &str, known: impl Iterator<Item = &'a str>) -> v1::AskError {
    let near = nearest(id, known);
    let shown: String = id.chars().take(64).collect();
    let message = match near.as_slice() {
        [] => format!("there is no {what} {shown:?}; none is listed yet"),
        near => format!("there is no {what} {shown:?}; the nearest are {}", near.join(", ")),
    };
    refusal(NOT_FOUND, reason, message)
}

fn refusal(code: i32, reason: &str, message: impl Into<String>) -> v1::AskError {
    v1::AskError { code, reason: reason.to_owned(), message: message.into() }
}
