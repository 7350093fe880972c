//! eplPortfolioAgent: what does the caller's book of matches risk? Positions, capital and the
//! limit of a match are the guard's own, so the two cannot disagree.

use super::{
    Caller, Desk, Finding, Said,
    figures::{ppm, share_ppm},
    live::{self, Chances},
    match_view::{contract_id, fee_rate, phase, top_of_book},
    refused::Refused,
};
use std::collections::BTreeMap;
use tragen_contracts::v1;
use tragen_domain::{
    agents::{
        epl_portfolio::{
            IntentReason, MatchExposure, MatchHoldings, PortfolioReport, PortfolioRules, TeamExposure, TradeIntent,
            epl_portfolio, rebalance,
        },
        fair_line::Outcome,
    },
    id::MatchId,
    money::{Money, Quantity},
    order::Side,
    portfolio::ScenarioRisk,
    position::Position,
    time::Timestamp,
};
use tragen_host::clock;

/// The shared agent.
const AGENT: &str = "eplPortfolioAgent";
/// Version of the arithmetic; it changes when equal data would give other numbers.
const MODEL_VERSION: &str = "exact-scenarios-1";
/// The currency when the caller does not say.
const CURRENCY_DEFAULT: &str = "USD";

/// A match of which something is held, and its chances.
struct Held {
    id: MatchId,
    snapshot: v1::MatchSnapshot,
    chances: Chances,
    positions: [Position; 3],
}

pub(super) async fn analyze(desk: &Desk, caller: &Caller, asked: &v1::PortfolioRequest) -> Said {
    let currency = if asked.currency.is_empty() { CURRENCY_DEFAULT } else { &asked.currency };
    let account = desk.sources.account_risk(caller, currency).await?;
    let (held, unvalued) = valued(desk, caller, &account.holdings).await?;
    let now = Timestamp::from_micros(clock::now_micros());
    let result = v1::PortfolioResult { unvalued, ..result(&account, &held, now)? };
    let info = v1::AnalysisInfo {
        agent: AGENT.to_owned(),
        model_version: MODEL_VERSION.to_owned(),
        data_asof: account.looked_at,
        confidence_ppm: share_ppm(account.holdings.len() - result.unvalued.len(), account.holdings.len()),
        source: v1::AnalysisSource::Model.into(),
        explanation: format!(
            "{} matches can lose {} with a chance of 5 %; {} trades would bring the book inside its limits.",
            result.matches.len(),
            Money::from_micros(result.value_at_risk_95_micros),
            result.reductions.len()
        ),
    };
    Ok((info, Finding::Portfolio(result)))
}

/// The matches behind the holdings with their chances, and what cannot be valued.
async fn valued(
    desk: &Desk,
    caller: &Caller,
    holdings: &[v1::HoldingRisk],
) -> Result<(Vec<Held>, Vec<v1::UnvaluedHolding>), Refused> {
    let mut matches: BTreeMap<MatchId, Vec<&v1::HoldingRisk>> = BTreeMap::new();
    let mut unvalued = Vec::new();
    let out = |holding: &v1::HoldingRisk, reason: &str| v1::UnvaluedHolding {
        instrument_id: holding.instrument_id.clone(),
        reason: reason.to_owned(),
    };
    for holding in holdings {
        match match_of(&holding.instrument_id) {
            Some(id) => matches.entry(id).or_default().push(holding),
            None => unvalued.push(out(holding, "NOT_A_MATCH")),
        }
    }
    let mut held = Vec::new();
    for (id, own) in matches {
        let priced = match desk.sources.snapshot(id.as_str(), &caller.traceparent).await {
            Ok(snapshot) => live::chances(desk, &snapshot).await.map(|chances| (snapshot, chances)),
            Err(refused) => Err(refused),
        };
        match priced {
            Ok((snapshot, chances)) => {
                let positions = positions(&snapshot, &own);
                held.push(Held { id, snapshot, chances, positions });
            }
            Err(silent @ Refused::Silent { .. }) => return Err(silent),
            Err(Refused::Finished) => unvalued.extend(own.iter().map(|holding| out(holding, "MATCH_FINISHED"))),
            Err(Refused::Told { .. }) => unvalued.extend(own.iter().map(|holding| out(holding, "MATCH_UNKNOWN"))),
            Err(_) => unvalued.extend(own.iter().map(|holding| out(holding, "MATCH_UNPRICED"))),
        }
    }
    Ok((held, unvalued))
}

/// The match of a contract: contracts are named after it.
fn match_of(instrument_id: &str) -> Option<MatchId> {
    let suffixes = ["-HOME", "-DRAW", "-AWAY"];
    let id = suffixes.iter().find_map(|suffix| instrument_id.strip_suffix(suffix))?;
    MatchId::new(id).ok()
}

fn positions(snapshot: &v1::MatchSnapshot, holdings: &[&v1::HoldingRisk]) -> [Position; 3] {
    Outcome::ALL.map(|outcome| {
        let id = contract_id(snapshot, outcome);
        let own = holdings.iter().find(|holding| holding.instrument_id == id);
        own.map_or_else(Position::default, |own| Position {
            quantity: Quantity::from_micros(own.quantity_micros),
            entry_notional: Money::from_micros(own.entry_notional_micros),
            ..Position::default()
        })
    })
}

/// The pure part: the same account and snapshots at the same time give the same report.
fn result(account: &v1::AccountRisk, held: &[Held], now: Timestamp) -> Result<v1::PortfolioResult, Refused> {
    let mut rules = PortfolioRules::default();
    if account.match_max_ppm > 0 {
        rules.match_share_max_ppm = account.match_max_ppm;
    }
    let matches: Vec<MatchHoldings<'_>> = held.iter().map(|own| holdings(own, now)).collect();
    let capital = Money::from_micros(account.capital_micros);
    let unpriceable = |refusal: &dyn std::fmt::Display| Refused::Unpriceable(refusal.to_string());
    let report = epl_portfolio(capital, &matches, &rules).map_err(|refusal| unpriceable(&refusal))?;
    let surplus = rebalance(capital, &matches, &rules).map_err(|refusal| unpriceable(&refusal))?;
    let [at_95, at_99] = [report.risk_95, report.risk_99].map(figures);
    Ok(v1::PortfolioResult {
        capital_micros: account.capital_micros,
        available_micros: account.available_micros,
        matches: report.matches.iter().zip(held).map(|(own, held)| exposure(own, held)).collect(),
        teams: teams(&report),
        paid_by_outcome_micros: report.by_outcome.map(Money::micros).to_vec(),
        value_at_risk_95_micros: at_95.0,
        shortfall_95_micros: at_95.1,
        value_at_risk_99_micros: at_99.0,
        shortfall_99_micros: at_99.1,
        reductions: report.intents.iter().chain(&surplus).map(|intent| reduction(intent, held)).collect(),
        unvalued: Vec::new(),
    })
}

fn holdings(own: &Held, now: Timestamp) -> MatchHoldings<'_> {
    let snapshot = &own.snapshot;
    let teams = snapshot.r#match.as_ref().map_or(["", ""], |of| [of.home.as_str(), of.away.as_str()]);
    let lot = snapshot.instruments.iter().map(|instrument| instrument.lot_micros).max().unwrap_or(0);
    MatchHoldings {
        id: own.id.clone(),
        teams,
        phase: phase(snapshot),
        chances: own.chances.chances,
        // `live::chances` asks the model of the phase.
        chances_phase: phase(snapshot),
        positions: own.positions,
        books: Outcome::ALL.map(|outcome| top_of_book(snapshot, outcome, now)),
        fee_rate: fee_rate(snapshot),
        lot: Quantity::from_micros(lot),
    }
}

/// Value at risk and expected shortfall, micros; nothing is held, nothing is lost.
fn figures(risk: Option<ScenarioRisk>) -> (i64, i64) {
    risk.map_or((0, 0), |risk| (risk.value_at_risk.micros(), risk.expected_shortfall.micros()))
}

fn exposure(own: &MatchExposure, held: &Held) -> v1::MatchExposure {
    v1::MatchExposure {
        match_id: own.id.to_string(),
        at_risk_micros: own.at_risk.micros(),
        share_ppm: own.share_ppm.unwrap_or(0),
        profit_micros: own.pnl.map(Money::micros).to_vec(),
        chances_ppm: held.chances.chances.map(ppm).to_vec(),
    }
}

fn teams(report: &PortfolioReport) -> Vec<v1::TeamExposure> {
    let team = |own: &TeamExposure| v1::TeamExposure {
        team: own.team.clone(),
        if_it_wins_micros: own.if_it_wins.micros(),
        if_it_loses_micros: own.if_it_loses.micros(),
    };
    report.teams.iter().map(team).collect()
}

fn reduction(intent: &TradeIntent, held: &[Held]) -> v1::RiskReduction {
    let of = held.iter().find(|held| held.id == intent.match_id);
    let side = match intent.side {
        Side::Buy => v1::Side::Buy,
        Side::Sell => v1::Side::Sell,
    };
    let reason = match intent.reason {
        IntentReason::MatchShare { .. } => v1::ReductionReason::MatchShare,
        IntentReason::Shortfall { .. } => v1::ReductionReason::Shortfall,
        IntentReason::AboveKelly { .. } => v1::ReductionReason::AboveKelly,
    };
    v1::RiskReduction {
        instrument_id: of.map(|held| contract_id(&held.snapshot, intent.outcome)).unwrap_or_default(),
        side: side.into(),
        quantity_micros: intent.quantity.micros(),
        limit_price_micros: intent.limit.micros(),
        is_reduce_only: intent.is_reduce_only,
        reason: reason.into(),
    }
}
