//! researchAgent: did the agents buy below the closing line? Their bets come from the ledger's facts, as the cost monitor
//! keeps them; the closing line comes with the results. The judgement itself is [`look_back`].

use super::{
    figures::{count, micros, ppm},
    results::Known,
};
use crate::bars::as_units;
use std::collections::BTreeMap;
use tragen_contracts::{convert, v1};
use tragen_domain::{
    agents::{
        devig::{DevigMethod, devig},
        evaluation::drift::DriftRules,
        research::{BetsReport, DecisionsLog, LoggedBet, look_back},
    },
    instrument::Outcome,
    kpi::Bought,
    money::{Money, Quantity},
};

/// A shared agent, and the configured one it decided for.
type Names<'a> = (&'a str, &'a str);

/// Odds without the margin: probabilities of home, draw and away.
pub(super) fn fair(odds: &[f64; 3]) -> Option<[f64; 3]> {
    devig(DevigMethod::Shin, odds).ok()?.probabilities.as_slice().try_into().ok()
}

/// One line for every agent that has bought something, sorted.
pub(super) fn closing_values(known: &Known, matches: &[v1::MatchBets]) -> Vec<v1::AgentClosingValue> {
    let closing = known.closing_odds_by_id();
    let mut bets: BTreeMap<Names<'_>, Vec<(f64, Option<f64>)>> = BTreeMap::new();
    let mut late: BTreeMap<Names<'_>, i64> = BTreeMap::new();
    for own in matches {
        let line = closing.get(own.match_id.as_str()).and_then(fair);
        for bet in &own.bets {
            let Some((price, outcome)) = price_of(bet) else { continue };
            let closing = line.map(|[home, draw, away]| match outcome {
                Outcome::Home => home,
                Outcome::Draw => draw,
                Outcome::Away => away,
            });
            bets.entry((&bet.agent, &bet.agent_id)).or_default().push((price, closing));
        }
        for purchases in &own.late {
            let trades = i64::try_from(purchases.trades).unwrap_or(i64::MAX);
            let sum = late.entry((&purchases.agent, &purchases.agent_id)).or_default();
            *sum = sum.saturating_add(trades);
        }
    }
    let names: std::collections::BTreeSet<Names<'_>> = bets.keys().chain(late.keys()).copied().collect();
    let line = |names: Names<'_>| {
        let own = bets.get(&names).map_or(&[][..], Vec::as_slice);
        told(names, report(own).as_ref(), late.get(&names).copied().unwrap_or_default())
    };
    names.into_iter().map(line).collect()
}

/// What a contract cost with its fee.
fn price_of(bet: &v1::AgentBet) -> Option<(f64, Outcome)> {
    let bought = Bought {
        trades: bet.trades,
        quantity: Quantity::from_micros(bet.quantity_micros),
        paid: Money::from_micros(bet.paid_micros),
    };
    Some((as_units(bought.price()?.micros()), convert::outcome("outcome", &bet.outcome).ok()?))
}

fn report(bets: &[(f64, Option<f64>)]) -> Option<BetsReport> {
    let logged = |(price_paid, closing): &(f64, Option<f64>)| LoggedBet {
        agent: "",
        price_paid: *price_paid,
        closing: *closing,
    };
    let bets: Vec<LoggedBet<'_>> = bets.iter().map(logged).collect();
    let log = DecisionsLog { bets: &bets, ..DecisionsLog::default() };
    look_back(&log, &DriftRules::default()).ok()?.bets.pop()
}

fn told((agent, agent_id): Names<'_>, report: Option<&BetsReport>, late_trades: i64) -> v1::AgentClosingValue {
    let bets = report.map_or(0, |report| report.bets);
    let value = report.map(|report| report.closing_line_value);
    let (mean, why_none) = match value {
        Some(Ok(mean)) => (Some(mean), String::new()),
        Some(Err(none)) => (None, none.to_string()),
        None => (None, "nothing was bought before a kick-off".to_owned()),
    };
    v1::AgentClosingValue {
        agent: agent.to_owned(),
        agent_id: agent_id.to_owned(),
        bets: count(bets),
        without_closing_line: count(bets.saturating_sub(mean.map_or(0, |mean| mean.count))),
        late_trades,
        mean_ppm: mean.map(|mean| i64::from(ppm(mean.mean))),
        t_micros: mean.and_then(|mean| mean.t).map(micros),
        why_none,
    }
}
