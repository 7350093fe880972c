//! One look at a match by the agents that bet on it: what was seen in, who bets what out. A worker decides by it and tells
//! it before it proposes (`look.{match}`); a replay decides by it again.

use crate::{
    bar_order::bet_request_id,
    bars::as_units,
    match_wish::{rules_of, taking, wished},
    order::order_id,
    registry::working,
};
use prost::Message as _;
use std::collections::BTreeMap;
use tragen_bus::server::PAYLOAD_BYTES_MAX;
use tragen_contracts::{convert, trade_id, v1};
use tragen_domain::{
    agents::{
        bettor::{Bettor, Involvement, OnItsWay, Purse, bets as betting, slot},
        mandate::{MandateAgent, MandateInputs, NoWish, Wish},
        personality::{AnalysisStyle, Personality},
        sizing::MandateSize,
    },
    id::{AccountId, MatchId},
    market::Timeframe,
    money::Quantity,
    order::OrderTerms,
    time::Timestamp,
};
use uuid::Uuid;

/// Largest look that is told: what the bus takes, without the headers. As many bettors as a registry has fit in.
pub(crate) const LOOK_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - (64 << 10);

/// Who looks, and how boldly: all agents of one share the wish.
pub type Eye = (MandateAgent, u8);

/// What is worth buying or why nothing is, by who looks.
pub type Wishes = BTreeMap<Eye, Result<Wish, NoWish>>;

/// A bet that an agent wants, and what it is called.
#[derive(Debug, Clone, PartialEq)]
pub struct Bet {
    /// The agent's place among the bettors of the look.
    pub bettor: usize,
    /// The request: the same for every worker and every repeat.
    pub request_id: Uuid,
    /// Its trade.
    pub trade_id: String,
    /// What it buys.
    pub wish: Wish,
    /// How much of it.
    pub size: MandateSize,
    /// The order.
    pub terms: OrderTerms,
}

/// Who looks for a bettor; None for one that makes no sense.
#[must_use]
pub fn eye(bettor: &v1::MatchBettor) -> Option<Eye> {
    let personality = personality(bettor)?;
    Some((looking(personality.style()), personality.risk_tolerance()))
}

/// What is worth buying of the match, by who looks.
#[must_use]
pub fn wishes(look: &v1::MatchLooked) -> Wishes {
    let Some(snapshot) = &look.snapshot else { return Wishes::new() };
    let looked_at = Timestamp::from_micros(look.looked_at_micros);
    let own = look.bettors.iter().filter_map(|bettor| Some((eye(bettor)?, personality(bettor)?)));
    let personalities: BTreeMap<Eye, Personality> = own.collect();
    let wish = |(eye, own): (Eye, Personality)| {
        let inputs = inputs(eye.0, look);
        (eye, wished(eye.0, snapshot, &inputs, &rules_of(&own, snapshot), looked_at))
    };
    personalities.into_iter().map(wish).collect()
}

/// Who bets, in the order of the bettors.
#[must_use]
pub fn bets(look: &v1::MatchLooked, wishes: &Wishes) -> Vec<Bet> {
    let Some(snapshot) = &look.snapshot else { return Vec::new() };
    let now = Timestamp::from_micros(look.decided_at_micros);
    let accounts: Vec<Option<AccountId>> =
        look.bettors.iter().map(|bettor| AccountId::new(&bettor.account_id).ok()).collect();
    let bettors = look.bettors.iter().zip(&accounts).enumerate().filter_map(|(place, (bettor, account))| {
        let wish = wishes.get(&eye(bettor)?)?.as_ref().ok()?;
        let standing = bettor.standing.as_ref()?;
        let held = standing.held_micros.iter().copied().map(Quantity::from_micros);
        let valid_until = standing.sent_valid_until_micros.map(Timestamp::from_micros);
        let open_orders = usize::try_from(standing.open_orders).ok()?;
        let capital = working(as_units(standing.cash_micros).max(0.0), standing.pool_capital_micros);
        let wallet = as_units(standing.available_micros).max(0.0);
        Some(Bettor {
            agent: (place, wish),
            account: account.as_ref()?,
            involvement: Involvement::of(held, open_orders, OnItsWay { valid_until, now }),
            found: &wish.opportunity,
            share: wish.max_fraction,
            purse: Purse { capital, wallet, budget: capital },
        })
    });
    let bet = |((bettor, wish), size): ((usize, &Wish), MandateSize)| {
        let (request_id, trade_id) = names(look, &look.bettors[bettor])?;
        let terms = taking(snapshot, wish, size.contracts, &order_id(&trade_id))?;
        Some(Bet { bettor, request_id, trade_id, wish: *wish, size, terms })
    };
    betting(bettors).into_iter().filter_map(bet).collect()
}

/// Request and trade of a bettor's bet: those of agent, match and slot, so every worker and every repeat has the same.
#[must_use]
pub fn names(look: &v1::MatchLooked, bettor: &v1::MatchBettor) -> Option<(Uuid, String)> {
    let timeframe = Timeframe::parse(&bettor.timeframe)?;
    let begin = slot(timeframe, Timestamp::from_micros(look.told_at_micros));
    let request = bet_request_id(&bettor.agent_id, timeframe, &MatchId::new(&look.match_id).ok()?, begin);
    Some((request, trade_id(&bettor.account_id, &request.to_string()).to_string()))
}

/// How many bettors open nothing because the decision is less sure than their personality asks for.
#[must_use]
pub fn unsure(look: &v1::MatchLooked, wishes: &Wishes) -> usize {
    let is_unsure = |bettor: &&v1::MatchBettor| {
        eye(bettor).is_some_and(|eye| matches!(wishes.get(&eye), Some(Err(NoWish::Unsure { .. }))))
    };
    look.bettors.iter().filter(is_unsure).count()
}

/// What a look that has no envelope yet is called: equal looks have one name, and others have others.
pub(crate) fn event_id(look: &v1::MatchLooked) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &look.encode_to_vec())
}

/// The shared agent that looks for those of a style.
pub(crate) const fn looking(style: AnalysisStyle) -> MandateAgent {
    match style {
        AnalysisStyle::ValueMaker => MandateAgent::EplTrading,
        AnalysisStyle::Value
        | AnalysisStyle::Scalper
        | AnalysisStyle::Swing
        | AnalysisStyle::Conservative
        | AnalysisStyle::MarketMaker
        | AnalysisStyle::LiveExit => MandateAgent::Scout,
    }
}

/// How often a day it trades is the guard's business.
fn personality(bettor: &v1::MatchBettor) -> Option<Personality> {
    let style = convert::style_of(bettor.strategy())?;
    Personality::new(u8::try_from(bettor.risk_tolerance).ok()?, style, 1).ok()
}

/// What a shared agent knew beside the prices.
fn inputs(agent: MandateAgent, look: &v1::MatchLooked) -> MandateInputs {
    match agent {
        MandateAgent::EplTrading => {
            let model = <[f64; 3]>::try_from(look.model_probabilities.as_slice()).ok();
            MandateInputs { model, ..MandateInputs::default() }
        }
        // No configured agent bets by the context.
        MandateAgent::Scout | MandateAgent::ContextAware => MandateInputs::default(),
    }
}

#[cfg(test)]
mod tests;
