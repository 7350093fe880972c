//! What an order would do to the risk of the account's predictions, and in whose company its agent trades.

use super::super::{AccountState, Inspection, Proposed, State};
use crate::{
    execution::Fill,
    id::{AgentId, ExecutionId, InstrumentId, MatchId},
    instrument::{Instrument, Outcome},
    money::{Money, Overflow, Quantity},
    portfolio::{Confidence, CorrelatedPair, CorrelationMatrix, OutcomePnl, ScenarioBook, ScenarioRisk, outcome_pnls},
    position::Position,
};
use std::collections::BTreeMap;

/// Correlation from which two agents count as one (RISK_COST: pairwise limit).
const PAIR_LIMIT: f64 = 0.7;

/// What the asker knows beyond the gate's state.
#[derive(Debug, Clone, Copy, Default)]
pub struct Prospects<'a> {
    /// Chance of home, draw and away of matches the account may hold; they sum to 1.
    pub chances: Option<&'a BTreeMap<MatchId, [f64; 3]>>,
    /// The agents' returns and capitals.
    pub agents: Option<(&'a CorrelationMatrix, &'a BTreeMap<AgentId, Money>)>,
}

/// Value at risk and expected shortfall of the account's predictions, at two levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookRisk {
    /// With 95 % confidence.
    pub at_95: ScenarioRisk,
    /// With 99 % confidence.
    pub at_99: ScenarioRisk,
}

/// How the agents move together.
#[derive(Debug, Clone, PartialEq)]
pub struct Company {
    /// The risk-weighted mean correlation of all, -1 to 1; None while it is not defined.
    pub factor: Option<f64>,
    /// Pairs of 0.7 or more that the order's agent is in.
    pub pairs: Vec<CorrelatedPair>,
}

/// What the order would change.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outlook {
    /// Risk of the predictions whose matches have chances, as they are; None when there are none.
    pub before: Option<BookRisk>,
    /// The same with the order filled at its limit, its fee paid.
    pub after: Option<BookRisk>,
    /// Matches held, or to be bought, that have no usable chances: their risk is not in the figures. Sorted.
    pub unpriced: Vec<MatchId>,
    /// How the agents move together; None when nothing was given.
    pub company: Option<Company>,
}

/// What is held of a match, by instrument: several venues may list the same outcome. Home, draw, away, of which an
/// instrument is one.
type OfMatch = BTreeMap<InstrumentId, [Position; 3]>;

pub(super) fn outlook(
    state: &State,
    proposed: &Proposed,
    inspection: &Inspection,
    prospects: &Prospects<'_>,
) -> Result<Outlook, Overflow> {
    let mut result = Outlook { company: company(proposed, prospects), ..Outlook::default() };
    let Some(chances) = prospects.chances else { return Ok(result) };
    let mut held = state.account(&proposed.account).map(|account| held_of(state, account)).unwrap_or_default();
    let fee = Money::ZERO;
    let (before, _) = valued(&held, chances, (None, fee))?;
    result.before = before;
    let instrument = state.instrument(&proposed.terms.instrument);
    let mut paid_in = (None, fee);
    if let (Some(order), Some(instrument)) = (&inspection.order, instrument)
        && let Some((fixture, outcome)) = &instrument.prediction
    {
        let fill = Fill {
            id: execution()?,
            price: order.limit,
            quantity: order.terms.quantity,
            fee: instrument.taker_fee(order.limit, order.terms.quantity)?,
            executed_at: order.decided_at,
        };
        let of_match = held.entry(fixture.clone()).or_default();
        let position = &mut of_match.entry(instrument.id.clone()).or_default()[place(*outcome)];
        position.apply(order.terms.side, &fill, &order.settlement).map_err(|_| Overflow)?;
        paid_in = (Some(fixture), fill.fee);
    }
    let (after, unpriced) = valued(&held, chances, paid_in)?;
    (result.after, result.unpriced) = (after, unpriced);
    Ok(result)
}

/// The posted positions in predictions, by match.
fn held_of(state: &State, account: &AccountState) -> BTreeMap<MatchId, OfMatch> {
    let mut held: BTreeMap<MatchId, OfMatch> = BTreeMap::new();
    for (id, holding) in account.holdings() {
        let prediction = state.instrument(id).and_then(|instrument: &Instrument| instrument.prediction.as_ref());
        if let Some((fixture, outcome)) = prediction.filter(|_| holding.position().quantity != Quantity::ZERO) {
            let of_match = held.entry(fixture.clone()).or_default();
            of_match.entry(id.clone()).or_default()[place(*outcome)] = *holding.position();
        }
    }
    held
}

/// The risk of what has chances, and the matches that have none. A fee is lost whatever happens to its match.
fn valued(
    held: &BTreeMap<MatchId, OfMatch>,
    chances: &BTreeMap<MatchId, [f64; 3]>,
    (fee_of, fee): (Option<&MatchId>, Money),
) -> Result<(Option<BookRisk>, Vec<MatchId>), Overflow> {
    let (mut book, mut unpriced) = (ScenarioBook::default(), Vec::new());
    for (fixture, of_match) in held {
        let lost = if fee_of == Some(fixture) { fee.negated()? } else { Money::ZERO };
        let mut outcomes: Vec<OutcomePnl> = Vec::with_capacity(3);
        for probability in chances.get(fixture).into_iter().flatten() {
            outcomes.push(OutcomePnl { probability: *probability, pnl: lost });
        }
        for positions in of_match.values() {
            for (outcome, pnl) in outcomes.iter_mut().zip(outcome_pnls(positions)?) {
                outcome.pnl = outcome.pnl.plus(pnl)?;
            }
        }
        if book.put(fixture.clone(), &outcomes).is_err() {
            unpriced.push(fixture.clone());
        }
    }
    let risk = |confidence| book.risk(confidence).ok();
    let both = risk(Confidence::P95).zip(risk(Confidence::P99));
    Ok((both.map(|(at_95, at_99)| BookRisk { at_95, at_99 }), unpriced))
}

fn company(proposed: &Proposed, prospects: &Prospects<'_>) -> Option<Company> {
    let (matrix, capitals) = prospects.agents?;
    let of_agent = |pair: &CorrelatedPair| proposed.agent.as_ref().is_some_and(|agent| pair.agents.contains(agent));
    let pairs = matrix.pairs_from(PAIR_LIMIT).into_iter().filter(of_agent).collect();
    Some(Company { factor: matrix.factor(capitals).ok(), pairs })
}

fn place(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Home => 0,
        Outcome::Draw => 1,
        Outcome::Away => 2,
    }
}

/// A fill that is only thought of has to be called something.
fn execution() -> Result<ExecutionId, Overflow> {
    ExecutionId::new("what-if").map_err(|_| Overflow)
}
