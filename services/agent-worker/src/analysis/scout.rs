//! eplScoutAgent: the value in a match before its kick-off.

use super::{
    Caller, Desk, Finding, Said,
    figures::{bps, count, micros, ppm},
    match_view::{as_of, books, contract_id, fee_rate, scouted, word},
    refused::Refused,
};
use crate::odds;
use tragen_contracts::v1;
use tragen_domain::{
    agents::{
        fair_line::Outcome,
        odds_history::SteamSeen,
        scout::{Opportunity, ScoutRefusal, ScoutReport, ScoutRules, SkipReason, scout},
        steam::{SteamDirection, SteamMove},
    },
    time::Timestamp,
};
use tragen_host::clock;

/// The shared agent.
pub(super) const AGENT: &str = "eplScoutAgent";
/// Version of the arithmetic; it changes when equal data would give other numbers.
pub(super) const MODEL_VERSION: &str = "consensus-shin-1";

pub(super) async fn analyze(desk: &Desk, caller: &Caller, asked: &v1::ScoutRequest) -> Said {
    let snapshot = desk.sources.snapshot(&asked.match_id, &caller.traceparent).await?;
    let report = report(&snapshot, asked.min_edge_bps, Timestamp::from_micros(clock::now_micros()))?;
    let seen = desk.odds.steam(&snapshot);
    let info = v1::AnalysisInfo {
        agent: AGENT.to_owned(),
        model_version: MODEL_VERSION.to_owned(),
        data_asof: as_of(&snapshot),
        confidence_ppm: confidence_ppm(&report),
        source: v1::AnalysisSource::Model.into(),
        explanation: explanation(&report) + &steam_said(&seen),
    };
    Ok((info, Finding::Scout(result(snapshot, &report, &seen))))
}

/// The pure part: the same snapshot at the same time gives the same report.
pub(super) fn report(snapshot: &v1::MatchSnapshot, min_edge_bps: i32, now: Timestamp) -> Result<ScoutReport, Refused> {
    let defaults = ScoutRules::default();
    let min_edge_bps = u32::try_from(min_edge_bps).ok().filter(|bps| *bps > 0).unwrap_or(defaults.min_edge_bps);
    let rules = ScoutRules { fee_rate: fee_rate(snapshot), min_edge_bps, ..defaults };
    let books = books(&snapshot.books);
    scout(&scouted(snapshot, &books, now), &rules).map_err(|refusal| match refusal {
        ScoutRefusal::InPlay => Refused::InPlay,
        ScoutRefusal::Finished => Refused::Finished,
        ScoutRefusal::NoFairLine(error) => Refused::NoFairLine(error.to_string()),
    })
}

/// How sure the report is, as answers say it.
pub(super) fn confidence_ppm(report: &ScoutReport) -> i32 {
    i32::try_from(report.confidence_ppm()).unwrap_or(i32::MAX)
}

fn explanation(report: &ScoutReport) -> String {
    let books = report.books_used;
    match (report.opportunities.first(), report.best_edge_ratio()) {
        (Some(best), _) => format!(
            "{} is offered at {:.3} plus {:.4} fee while {books} books make it {:.1} %: an edge of {:.1} % of its cost.",
            word(best.outcome),
            best.ask,
            best.priced.fee,
            best.fair_probability * 100.0,
            best.priced.edge_ratio * 100.0
        ),
        (None, Some(edge)) => format!(
            "Nothing is worth buying by the prices of {books} books: the best edge after ask and fee is {:.1} %.",
            edge * 100.0
        ),
        (None, None) => format!("{books} books have a price, but no contract of the match can be bought now."),
    }
}

/// A sentence for what has moved.
fn steam_said(seen: &SteamSeen) -> String {
    seen.report.moves.iter().map(|own| format!(" Steam: {}.", odds::said(own))).collect()
}

fn result(snapshot: v1::MatchSnapshot, report: &ScoutReport, seen: &SteamSeen) -> v1::ScoutResult {
    let dropped = report.dropped_books.iter();
    v1::ScoutResult {
        fair_ppm: report.fair.map(ppm).to_vec(),
        books_used: count(report.books_used),
        dropped_books: dropped.map(|book| format!("{}: {}", book.bookmaker, book.fault)).collect(),
        opportunities: report.opportunities.iter().map(|found| opportunity(&snapshot, found)).collect(),
        skipped: report.skipped.iter().map(|(outcome, reason)| skip(*outcome, *reason)).collect(),
        flagged: report.flagged.iter().map(|outcome| word(*outcome).to_owned()).collect(),
        steam: seen.report.moves.iter().map(steam_move).collect(),
        odds_seen_secs: i32::try_from(seen.seen_ms / 1_000).unwrap_or_default(),
        r#match: snapshot.r#match,
    }
}

fn steam_move(own: &SteamMove) -> v1::SteamMove {
    let direction = match own.direction {
        SteamDirection::Shortening => v1::SteamDirection::Shortening,
        SteamDirection::Drifting => v1::SteamDirection::Drifting,
    };
    v1::SteamMove {
        outcome: word(own.outcome).to_owned(),
        direction: direction.into(),
        bookmakers: own.bookmakers.clone(),
        mean_shift_micros: micros(own.mean_shift),
    }
}

fn opportunity(snapshot: &v1::MatchSnapshot, found: &Opportunity) -> v1::ScoutOpportunity {
    v1::ScoutOpportunity {
        instrument_id: contract_id(snapshot, found.outcome),
        outcome: word(found.outcome).to_owned(),
        fair_ppm: ppm(found.fair_probability),
        ask_price_micros: micros(found.ask),
        ask_quantity_micros: micros(found.ask_size),
        fee_micros: micros(found.priced.fee),
        edge_bps: bps(found.priced.edge_ratio),
        kelly_ppm: ppm(found.priced.kelly),
        liquidity_ppm: ppm(found.liquidity_score),
        expected_closing_line_value_bps: bps(found.expected_closing_line_value),
        age_ms: found.age_ms.unwrap_or(-1),
    }
}

fn skip(outcome: Outcome, reason: SkipReason) -> v1::ScoutSkip {
    let (reason, edge_bps) = match reason {
        SkipReason::NoQuote => ("NO_QUOTE", 0),
        SkipReason::InvalidSize { .. } => ("INVALID_SIZE", 0),
        SkipReason::Crossed { .. } => ("CROSSED", 0),
        SkipReason::Stale { .. } => ("STALE", 0),
        SkipReason::Unpriceable(_) => ("UNPRICEABLE", 0),
        SkipReason::EdgeBelowMinimum { edge_ratio, .. } => ("EDGE_BELOW_MINIMUM", bps(edge_ratio)),
        SkipReason::EdgeImplausible { edge_ratio, .. } => ("EDGE_IMPLAUSIBLE", bps(edge_ratio)),
    };
    v1::ScoutSkip { outcome: word(outcome).to_owned(), reason: reason.to_owned(), edge_bps }
}
