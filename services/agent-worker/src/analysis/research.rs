//! eplResearchAgent: what past results say of a match that is to be played.

use super::{
    Caller, Desk, Finding, Said,
    figures::{count, micros, ppm, share_ppm},
    match_view::phase,
    results::Known,
};
use tragen_contracts::v1;
use tragen_domain::{
    agents::{
        epl_research::{Handicap, ResearchQuestion, ResearchReport, research},
        football::{Estimate, Form, MatchDay, Score},
        scout::MatchPhase,
    },
    time::Timestamp,
};

/// The shared agent.
const AGENT: &str = "eplResearchAgent";
/// Played matches of a team in the fit that make its strength well known: a season.
const WELL_KNOWN: usize = 38;

pub(super) async fn analyze(desk: &Desk, caller: &Caller, asked: &v1::ResearchRequest) -> Said {
    let known = desk.results.now(&desk.sources).await?;
    let (home, away, phase, day) = match asked.match_id.as_str() {
        "" => (asked.home_team.clone(), asked.away_team.clone(), MatchPhase::PreMatch, known.today),
        id => {
            let snapshot = desk.sources.snapshot(id, &caller.traceparent).await?;
            let phase = phase(&snapshot);
            let of = snapshot.r#match.unwrap_or_default();
            (of.home, of.away, phase, MatchDay::of(Timestamp::from_micros(of.kickoff_micros)))
        }
    };
    let model = desk.models.before(&known.history, day).await?;
    let report = research(&model, &ResearchQuestion { home: &home, away: &away, phase })?;
    let result =
        v1::ResearchResult { match_id: asked.match_id.clone(), home_team: home, away_team: away, ..result(&report) };
    Ok((info(&known, &report, &result), Finding::Research(result)))
}

fn info(known: &Known, report: &ResearchReport, result: &v1::ResearchResult) -> v1::AnalysisInfo {
    let [home, draw, away] = report.outcomes.map(|outcome| outcome.probability * 100.0);
    let least = report.home.strength.matches.min(report.away.strength.matches);
    v1::AnalysisInfo {
        agent: AGENT.to_owned(),
        model_version: report.provenance.key.model.to_owned(),
        data_asof: Some(known.as_of()),
        confidence_ppm: share_ppm(least.min(WELL_KNOWN), WELL_KNOWN),
        source: v1::AnalysisSource::Model.into(),
        explanation: format!(
            "By {} results {} wins with {home:.1} %, a draw has {draw:.1} %, {} wins with {away:.1} %. Bookmakers' \
             closing prices have forecast better than this model.",
            report.provenance.matches, result.home_team, result.away_team
        ),
    }
}

/// The report on the wire, but for the names.
fn result(report: &ResearchReport) -> v1::ResearchResult {
    v1::ResearchResult {
        home_goals_micros: micros(report.rates.home),
        away_goals_micros: micros(report.rates.away),
        outcomes: report.outcomes.iter().map(estimate).collect(),
        over: report.totals.iter().map(|total| estimate(&total.over)).collect(),
        both_score: Some(estimate(&report.both_score)),
        scores: report.scores.iter().map(score).collect(),
        matches_used: count(report.provenance.matches),
        home_matches: count(report.home.strength.matches),
        away_matches: count(report.away.strength.matches),
        data_version: report.provenance.key.data.to_string(),
        home_form: Some(team_form(report.home.form)),
        away_form: Some(team_form(report.away.form)),
        meetings: Some(team_form(report.head_to_head)),
        home_rest_days: report.home.rest_days,
        away_rest_days: report.away.rest_days,
        elo_ppm: report.elo.probabilities.map(|chances| chances.map(ppm).to_vec()).unwrap_or_default(),
        handicaps: report.handicaps.iter().map(handicap).collect(),
        ..v1::ResearchResult::default()
    }
}

fn estimate(own: &Estimate) -> v1::ProbabilityEstimate {
    v1::ProbabilityEstimate { ppm: ppm(own.probability), low_ppm: ppm(own.low), high_ppm: ppm(own.high) }
}

fn score((score, chance): &(Score, f64)) -> v1::ScoreChance {
    v1::ScoreChance { home_goals: score.home.into(), away_goals: score.away.into(), ppm: ppm(*chance) }
}

fn handicap(own: &Handicap) -> v1::HandicapLine {
    v1::HandicapLine {
        quarters: own.line.get().into(),
        win_ppm: ppm(own.home.win),
        push_ppm: ppm(own.home.push),
        lose_ppm: ppm(own.home.lose),
    }
}

fn team_form(form: Form) -> v1::TeamForm {
    v1::TeamForm {
        won: form.won.into(),
        drawn: form.drawn.into(),
        lost: form.lost.into(),
        goals_for: form.goals_for.into(),
        goals_against: form.goals_against.into(),
    }
}
