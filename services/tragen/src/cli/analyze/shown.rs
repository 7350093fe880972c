//! Answers of agents as people read them.

use crate::{
    Verdict,
    output::{Format, decimal, print, word},
};
use anyhow::Context as _;
use tragen_contracts::v1::{self, analyze_response::Result as Finding};

/// What the answer is in each format; a what-if that would be denied is no good news.
pub(super) fn show(format: Format, answer: &v1::AnalyzeResponse) -> anyhow::Result<Verdict> {
    let result = answer.result.as_ref().context("the answer has no result")?;
    match format {
        Format::Json => format.record(answer, &[])?,
        Format::Csv => list(format, result)?,
        Format::Table => {
            let info = answer.info.clone().unwrap_or_default();
            print(&info.explanation)?;
            list(format, result)?;
            print(&format!(
                "{} ({}), inputs usable: {}",
                info.agent,
                info.model_version,
                percent(info.confidence_ppm)
            ))?;
        }
    }
    Ok(match result {
        Finding::WhatIf(own) if own.verdict() != v1::WhatIfVerdict::Allow => Verdict::Refused,
        Finding::Scout(_)
        | Finding::Research(_)
        | Finding::WhatIf(_)
        | Finding::Portfolio(_)
        | Finding::Calibration(_)
        | Finding::Scan(_)
        | Finding::Sentiment(_) => Verdict::Good,
    })
}

/// The rows of the answer that matter most.
fn list(format: Format, result: &Finding) -> anyhow::Result<()> {
    match result {
        Finding::Scout(own) => {
            let headers = ["INSTRUMENT", "FAIR", "ASK", "FEE", "EDGE BPS", "OFFERED"];
            format.list_or("Nothing is worth buying.", "opportunities", &own.opportunities, &headers, opportunity)?;
            steam(format, own)
        }
        Finding::Research(own) => research(format, own),
        Finding::WhatIf(own) => {
            let headers = ["CHECK", "PASSED", "LIMIT", "OBSERVED"];
            format.list("checks", &own.checks, &headers, |check| {
                let is_passed = if check.is_passed { "yes" } else { "NO" };
                let code = word(check.code().as_str_name(), "DENIAL_CODE_");
                vec![code, is_passed.to_owned(), check.limit.to_string(), check.observed.to_string()]
            })
        }
        Finding::Portfolio(own) => {
            let headers = ["MATCH", "AT RISK", "SHARE PPM", "IF HOME", "IF DRAW", "IF AWAY"];
            format.list_or("No contract of a match is held.", "matches", &own.matches, &headers, |own| {
                let mut row = vec![own.match_id.clone(), decimal(own.at_risk_micros), own.share_ppm.to_string()];
                row.extend(own.profit_micros.iter().map(|micros| decimal(*micros)));
                row
            })
        }
        Finding::Calibration(own) => {
            closing_values(format, own)?;
            let headers = ["FROM", "TO", "FORECASTS", "CALLED", "HAPPENED"];
            format.list("bins", &own.bins, &headers, |bin| {
                let shares = [bin.low_ppm, bin.high_ppm].map(percent);
                let mut row = shares.to_vec();
                row.extend([bin.forecasts.to_string(), percent(bin.called_ppm), percent(bin.happened_ppm)]);
                row
            })
        }
        Finding::Scan(own) => {
            let headers = ["MATCH", "SET", "LEGS", "COST", "PAYS", "RETURN BPS", "SETS"];
            format.list_or("No contradiction.", "findings", &own.findings, &headers, finding)
        }
        Finding::Sentiment(own) => {
            let headers = ["ABOUT", "SCORE", "TEXTS", "SAID"];
            format.list("entities", &own.entities, &headers, |own| {
                let events: Vec<&str> = own.events.iter().map(|event| event.kind.as_str()).collect();
                let score = decimal(own.score_ppm.into());
                vec![own.entity.clone(), score, own.texts.to_string(), events.join(" ")]
            })
        }
    }
}

/// Beside the table of forecasts, for people: JSON has it in the answer, and CSV is one table.
fn closing_values(format: Format, own: &v1::CalibrationResult) -> anyhow::Result<()> {
    match format {
        Format::Json | Format::Csv => return Ok(()),
        Format::Table => {}
    }
    if !own.agents_unknown.is_empty() {
        return print(&format!("What the agents bought is not known: {}.", own.agents_unknown));
    }
    let headers = ["AGENT", "FOR", "BETS", "NO LINE", "LATE", "CLV", "T", "WHY NONE"];
    format.list_or("No agent bought anything before these kick-offs.", "agents", &own.agents, &headers, |own| {
        let ratio = |micros: Option<i64>| micros.map(decimal).unwrap_or_default();
        vec![
            own.agent.clone(),
            own.agent_id.clone(),
            own.bets.to_string(),
            own.without_closing_line.to_string(),
            own.late_trades.to_string(),
            ratio(own.mean_ppm),
            ratio(own.t_micros),
            own.why_none.clone(),
        ]
    })
}

/// Beside the table of opportunities, for people: JSON has it in the answer, and CSV is one table.
fn steam(format: Format, own: &v1::ScoutResult) -> anyhow::Result<()> {
    match format {
        Format::Json | Format::Csv => return Ok(()),
        Format::Table => {}
    }
    let quiet = format!("No steam in the {} minutes of odds that are known.", own.odds_seen_secs / 60);
    let headers = ["STEAM", "DIRECTION", "BOOKS", "LOG-ODDS", "BOOKMAKERS"];
    format.list_or(&quiet, "steam", &own.steam, &headers, |own| {
        let direction = word(own.direction().as_str_name(), "STEAM_DIRECTION_");
        let (books, shift) = (own.bookmakers.len().to_string(), decimal(own.mean_shift_micros));
        vec![own.outcome.clone(), direction, books, shift, own.bookmakers.join(" ")]
    })
}

fn opportunity(own: &v1::ScoutOpportunity) -> Vec<String> {
    vec![
        own.instrument_id.clone(),
        percent(own.fair_ppm),
        decimal(own.ask_price_micros),
        decimal(own.fee_micros),
        own.edge_bps.to_string(),
        decimal(own.ask_quantity_micros),
    ]
}

fn research(format: Format, own: &v1::ResearchResult) -> anyhow::Result<()> {
    let mut events: Vec<(String, v1::ProbabilityEstimate)> = Vec::new();
    let names = [format!("{} wins", own.home_team), "draw".to_owned(), format!("{} wins", own.away_team)];
    events.extend(names.into_iter().zip(own.outcomes.iter().cloned()));
    events.extend((0..).zip(&own.over).map(|(goals, over)| (format!("over {goals}.5 goals"), *over)));
    events.extend(own.both_score.iter().map(|both| ("both teams score".to_owned(), *both)));
    let estimates: Vec<v1::ProbabilityEstimate> = events.iter().map(|(_, estimate)| *estimate).collect();
    let mut names = events.iter().map(|(name, _)| name.clone());
    let rows: Vec<Vec<String>> = estimates
        .iter()
        .map(|own| {
            vec![names.next().unwrap_or_default(), percent(own.ppm), percent(own.low_ppm), percent(own.high_ppm)]
        })
        .collect();
    format.list("events", &rows, &["EVENT", "CHANCE", "LOW", "HIGH"], Clone::clone)
}

fn finding(own: &v1::ScanFinding) -> Vec<String> {
    let leg = |leg: &v1::ScanLeg| format!("{}{}", if leg.is_yes { "" } else { "NO " }, leg.instrument_id);
    let legs: Vec<String> = own.legs.iter().map(leg).collect();
    vec![
        own.match_id.clone(),
        word(own.set().as_str_name(), "SCAN_SET_"),
        legs.join(" + "),
        decimal(own.cost_micros),
        decimal(own.pays_micros),
        own.return_bps.to_string(),
        decimal(own.sets_micros),
    ]
}

/// Parts per million as a person reads them, e.g. `49.41 %`.
pub(crate) fn percent(ppm: i32) -> String {
    let hundredths = (i64::from(ppm) + 50).div_euclid(100);
    format!("{}.{:02} %", hundredths / 100, hundredths.rem_euclid(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_as_percent() {
        let check = |ppm: i32, text: &str| assert_eq!(percent(ppm), text);
        check(494_073, "49.41 %");
        check(1_000_000, "100.00 %");
        check(0, "0.00 %");
        check(49, "0.00 %");
        check(50, "0.01 %");
    }
}
