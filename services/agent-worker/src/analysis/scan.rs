//! scannerAgent: contradictions between the quotes of all matches that are not over.

use super::{
    Caller, Desk, Finding, Said,
    figures::{bps, count, micros, share_ppm, whole_micros},
    match_view::{contract_id, fee_rate, top_of_book},
};
use tragen_contracts::{convert, v1};
use tragen_domain::{
    agents::{
        fair_line::Outcome,
        scanner::{Arbitrage, Contract, EventView, Listing, NoSide, ScanSkip, ScannerRules, SetKind, scan},
        top_of_book::QuoteFault,
    },
    time::Timestamp,
};
use tragen_host::clock;

/// The shared agent.
const AGENT: &str = "scannerAgent";
/// Version of the arithmetic; it changes when equal data would give other numbers.
const MODEL_VERSION: &str = "sets-after-fees-1";
/// The venue that quotes: the simulated one.
const VENUE: &str = "paper";
/// Findings when the caller does not say.
const LIMIT_DEFAULT: usize = 50;

pub(super) async fn analyze(desk: &Desk, caller: &Caller, asked: &v1::ScanRequest) -> Said {
    let matches = match asked.match_id.as_str() {
        "" => desk.sources.open_matches(&caller.traceparent).await?,
        id => vec![desk.sources.snapshot(id, &caller.traceparent).await?],
    };
    let limit = usize::try_from(asked.limit).ok().filter(|limit| *limit > 0).unwrap_or(LIMIT_DEFAULT);
    let result = result(&matches, asked.min_liquidity_micros, limit, Timestamp::from_micros(clock::now_micros()));
    let contracts: usize = matches.iter().map(|snapshot| snapshot.instruments.len()).sum();
    let newest = matches.iter().map(|snapshot| snapshot.event_time_micros).max();
    let info = v1::AnalysisInfo {
        agent: AGENT.to_owned(),
        model_version: MODEL_VERSION.to_owned(),
        data_asof: newest.map(|at| convert::timestamp(Timestamp::from_micros(at))),
        confidence_ppm: share_ppm(contracts.saturating_sub(result.faults.len()), contracts),
        source: v1::AnalysisSource::Model.into(),
        explanation: format!(
            "Of {} matches {} sets of contracts cost less than they pay; {} of {contracts} contracts are left out.",
            matches.len(),
            result.findings.len(),
            result.faults.len(),
        ),
    };
    Ok((info, Finding::Scan(result)))
}

/// The pure part: the same snapshots at the same time give the same findings.
fn result(matches: &[v1::MatchSnapshot], min_liquidity_micros: i64, limit: usize, now: Timestamp) -> v1::ScanResult {
    let defaults = ScannerRules::default();
    let min_liquidity =
        if min_liquidity_micros > 0 { crate::bars::as_units(min_liquidity_micros) } else { defaults.min_liquidity };
    // The simulated venue does not tell what was traded so far; what rests in the book is filtered.
    let rules = ScannerRules { min_volume: 0.0, min_liquidity, ..defaults };
    let mut found: Vec<(f64, v1::ScanFinding)> = Vec::new();
    let (mut implausible, mut faults) = (Vec::new(), Vec::new());
    for snapshot in matches {
        let (outcomes, listings) = listings(snapshot, now);
        let Ok(report) = scan(&EventView { outcomes: 3, listings: &listings }, &rules) else { continue };
        found.extend(report.found.iter().map(|set| (set.total_profit(), finding(snapshot, &outcomes, set))));
        implausible.extend(report.implausible.iter().map(|set| finding(snapshot, &outcomes, set)));
        faults.extend(report.skipped.iter().filter_map(|(place, skip)| {
            let instrument_id = contract_id(snapshot, *outcomes.get(*place)?);
            Some(v1::ScanFault { instrument_id, reason: reason(skip).to_owned() })
        }));
    }
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let findings = found.into_iter().take(limit).map(|(_, finding)| finding).collect();
    implausible.truncate(limit);
    v1::ScanResult { matches_scanned: count(matches.len()), findings, implausible, faults }
}

/// The contracts of a match that have a quote, and their outcomes.
fn listings(snapshot: &v1::MatchSnapshot, now: Timestamp) -> (Vec<Outcome>, Vec<Listing<'static>>) {
    let fee_rate = fee_rate(snapshot);
    let listing = |(place, outcome): (usize, Outcome)| {
        let yes = top_of_book(snapshot, outcome, now)?;
        let resting = [yes.bid, yes.ask].into_iter().flatten().map(|offer| offer.price * offer.size).sum();
        // One book, seen from two sides.
        let no = NoSide::Mirrored(None);
        Some((outcome, Listing { venue: VENUE, outcome: place, yes, no, fee_rate, volume: 0.0, liquidity: resting }))
    };
    Outcome::ALL.into_iter().enumerate().filter_map(listing).unzip()
}

fn finding(snapshot: &v1::MatchSnapshot, outcomes: &[Outcome], set: &Arbitrage) -> v1::ScanFinding {
    let legs = set.legs.iter().filter_map(|leg| {
        Some(v1::ScanLeg {
            instrument_id: contract_id(snapshot, *outcomes.get(leg.listing)?),
            is_yes: leg.contract == Contract::Yes,
            limit_price_micros: micros(leg.limit),
            cost_micros: micros(leg.cost),
        })
    });
    let kind = match set.kind {
        SetKind::YesNo { .. } => v1::ScanSet::YesNo,
        SetKind::AllYes => v1::ScanSet::AllYes,
        SetKind::AllNo => v1::ScanSet::AllNo,
    };
    v1::ScanFinding {
        match_id: snapshot.r#match.as_ref().map(|of| of.match_id.clone()).unwrap_or_default(),
        set: kind.into(),
        legs: legs.collect(),
        pays_micros: micros(set.pays),
        cost_micros: micros(set.cost),
        return_bps: bps(set.return_on_cost),
        sets_micros: whole_micros(set.sets),
    }
}

const fn reason(skip: &ScanSkip) -> &'static str {
    match skip {
        ScanSkip::UnknownOutcome { .. } => "UNKNOWN_OUTCOME",
        ScanSkip::YesBook(fault) | ScanSkip::NoBook(fault) => match fault {
            QuoteFault::InvalidPrice { .. } => "INVALID_PRICE",
            QuoteFault::InvalidSize { .. } => "INVALID_SIZE",
            QuoteFault::Crossed { .. } => "CROSSED",
            QuoteFault::Stale { .. } => "STALE",
            QuoteFault::Empty => "EMPTY",
        },
        ScanSkip::SidesDisagree { .. } => "SIDES_DISAGREE",
        ScanSkip::InvalidFeeRate { .. } => "INVALID_FEE_RATE",
        ScanSkip::LowVolume { .. } => "LOW_VOLUME",
        ScanSkip::LowLiquidity { .. } => "LOW_LIQUIDITY",
        ScanSkip::WideSpread { .. } => "WIDE_SPREAD",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    /// A match whose contracts are bid for and asked at these prices, 1e-6.
    fn snapshot(prices: [(i64, i64); 3]) -> v1::MatchSnapshot {
        let mut snapshot = v1::MatchSnapshot {
            r#match: Some(v1::Match { match_id: "M".into(), ..v1::Match::default() }),
            ..v1::MatchSnapshot::default()
        };
        for (outcome, (bid_price_micros, ask_price_micros)) in ["HOME", "DRAW", "AWAY"].into_iter().zip(prices) {
            let instrument_id = format!("M-{outcome}");
            snapshot.instruments.push(v1::Instrument {
                instrument_id: instrument_id.clone(),
                outcome: outcome.into(),
                status: v1::InstrumentStatus::Open.into(),
                taker_fee_ppm: 30_000,
                ..v1::Instrument::default()
            });
            snapshot.quotes.push(v1::Quote {
                instrument_id,
                bid_price_micros,
                bid_quantity_micros: 500_000_000,
                ask_price_micros,
                ask_quantity_micros: 300_000_000,
                published_at_micros: NOW.micros(),
                ..v1::Quote::default()
            });
        }
        snapshot
    }

    #[test]
    fn three_outcomes_that_cost_less_than_one_together_are_found_after_fees() {
        let cheap = snapshot([(430_000, 440_000), (250_000, 260_000), (240_000, 250_000)]);
        let report = result(&[cheap], 0, 50, NOW);
        let [found] = report.findings.as_slice() else { panic!("{report:?}") };
        assert_eq!((found.set(), found.legs.len(), found.match_id.as_str()), (v1::ScanSet::AllYes, 3, "M"));
        // 0.95 and fees of 0.007392 + 0.005772 + 0.005625.
        assert_eq!((found.pays_micros, found.cost_micros, found.sets_micros), (1_000_000, 968_789, 300_000_000));
        // 0.99 looks cheap, the fees take it.
        let fair = snapshot([(440_000, 460_000), (250_000, 270_000), (240_000, 260_000)]);
        assert!(result(&[fair], 0, 50, NOW).findings.is_empty());
    }

    #[test]
    fn broken_books_are_named() {
        let mut broken = snapshot([(450_000, 440_000), (250_000, 330_000), (240_000, 250_000)]);
        broken.quotes[2].published_at_micros -= 6_000_000;
        let faults = result(&[broken], 0, 50, NOW).faults;
        let reasons: Vec<&str> = faults.iter().map(|fault| fault.reason.as_str()).collect();
        assert_eq!(reasons, ["CROSSED", "WIDE_SPREAD", "STALE"]);
        let thin = result(&[snapshot([(430_000, 440_000); 3])], 900_000_000, 50, NOW);
        assert!(thin.faults.iter().all(|fault| fault.reason == "LOW_LIQUIDITY"), "{thin:?}");
        assert_eq!((thin.faults.len(), thin.matches_scanned), (3, 1));
    }
}
