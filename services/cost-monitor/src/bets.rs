//! What agents buy before kick-offs: kept by match from the ledger's facts, until the closing line judges it. Every
//! fact counts once: what is kept of a match says for each contract up to which fact of each shard it is counted, and is
//! stored with that. A purchase of what the market has not told of yet waits, and all later ones of its contract with it.

mod follow;
mod wire;

pub(crate) use follow::start;

use crate::{kept::Change, metrics as names};
use metrics::counter;
use prost::Message as _;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tragen_contracts::{
    convert::{self, InvalidField},
    v1::{self, ledger_fact::Kind},
};
use tragen_domain::{
    cost::AgentName,
    id::{InstrumentId, MatchId},
    instrument::{Instrument, Outcome},
    kpi::{Begin, Buyer, MatchBets, Purchase, TradeTold},
    market::Match,
    money::{Money, Overflow, Price, Quantity},
    order::{Side, TradeStatus},
    time::Timestamp,
};

/// Instruments that are told apart: more than any market has.
const INSTRUMENTS_MAX: usize = 100_000;
/// Purchases that wait for the market to tell what they are; the oldest makes room.
const WAITING_MAX: usize = 10_000;

/// The bets; clones share them. Never locked across an await.
#[derive(Debug, Clone)]
pub(crate) struct SharedBets(Arc<Mutex<Bets>>);

/// The bets on all matches that are remembered.
#[derive(Debug)]
pub(crate) struct Bets {
    /// Every instrument that was told of; None: it is not about a match.
    instruments: BTreeMap<InstrumentId, Option<(MatchId, Outcome)>>,
    /// Purchases of what the market has not told of yet, oldest first.
    waiting: VecDeque<(u16, v1::LedgerFact)>,
    matches: BTreeMap<MatchId, Counted>,
    changed: BTreeSet<MatchId>,
    /// Matches that were dropped for newer ones, not yet taken out of the bucket.
    dropped: BTreeSet<MatchId>,
    matches_max: usize,
}

/// The last fact of each shard that is counted.
type Told = BTreeMap<u16, i64>;

/// One match.
#[derive(Debug)]
struct Counted {
    bets: MatchBets,
    /// By contract, not for the whole match: while purchases of one contract wait, those of another go on.
    told: BTreeMap<InstrumentId, Told>,
    /// Of every contract that is not in `told`; empty but for what an earlier version has stored.
    told_before: Told,
}

/// Why a fact was not counted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotCounted {
    /// A field makes no sense.
    #[error(transparent)]
    Malformed(#[from] InvalidField),
    /// An amount does not fit.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

impl SharedBets {
    pub(crate) fn new(matches_max: usize) -> Self {
        Self(Arc::new(Mutex::new(Bets {
            instruments: BTreeMap::new(),
            waiting: VecDeque::new(),
            matches: BTreeMap::new(),
            changed: BTreeSet::new(),
            dropped: BTreeSet::new(),
            matches_max,
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Bets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bets {
    fn hear_instrument(&mut self, instrument: Instrument) {
        let is_new = !self.instruments.contains_key(&instrument.id);
        if is_new && self.instruments.len() >= INSTRUMENTS_MAX {
            counter!(names::MALFORMED, "kind" => "too_many_instruments").increment(1);
            return;
        }
        self.instruments.insert(instrument.id, instrument.prediction);
        if is_new {
            self.retry();
        }
    }

    fn hear_match(&mut self, game: &Match) {
        match self.matches.get_mut(&game.id) {
            Some(counted) => {
                let is_worth_storing = !counted.is_empty();
                if counted.bets.hear(game) && is_worth_storing {
                    self.changed.insert(game.id.clone());
                }
            }
            None => {
                self.insert(game.id.clone(), Counted::heard_of(game));
                self.retry();
            }
        }
    }

    /// Counts what has waited for what is told now.
    fn retry(&mut self) {
        for (shard, fact) in std::mem::take(&mut self.waiting) {
            if let Err(error) = self.take_fact(shard, &fact) {
                counter!(names::MALFORMED, "kind" => "fact").increment(1);
                tracing::warn!("fact {} of shard {shard} is no bet that can be counted: {error}", fact.sequence);
            }
        }
    }

    /// Keeps a match; the one that began first makes room.
    fn insert(&mut self, id: MatchId, counted: Counted) {
        self.dropped.remove(&id);
        self.matches.insert(id, counted);
        if self.matches.len() <= self.matches_max {
            return;
        }
        let oldest =
            self.matches.iter().min_by_key(|(id, own)| (own.bets.begin == Begin::Ahead, own.bets.kickoff, *id));
        if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
            self.matches.remove(&oldest);
            self.changed.remove(&oldest);
            self.dropped.insert(oldest);
        }
    }

    /// Counts a fact of `shard`, if it is an agent's purchase of a contract on a match.
    ///
    /// # Errors
    /// [`NotCounted`]; the fact is passed over then, as it would never fit.
    pub(crate) fn take_fact(&mut self, shard: u16, fact: &v1::LedgerFact) -> Result<(), NotCounted> {
        let Some((posted, trade)) = bought(fact) else { return Ok(()) };
        let known = self.instruments.get_key_value(trade.instrument_id.as_str());
        if known.is_some_and(|(_, prediction)| prediction.is_none()) {
            return Ok(());
        }
        let known = known.and_then(|(contract, prediction)| Some((contract, prediction.as_ref()?)));
        let known =
            known.and_then(|(contract, (id, outcome))| Some((contract, (id, outcome), self.matches.get_mut(id)?)));
        let Some((contract, (id, outcome), counted)) = known else {
            if self.waiting.len() >= WAITING_MAX {
                self.waiting.pop_front();
                counter!(names::MALFORMED, "kind" => "purchase_of_the_unknown").increment(1);
            }
            self.waiting.push_back((shard, fact.clone()));
            return Ok(());
        };
        let told = counted.told.entry(contract.clone()).or_insert_with(|| counted.told_before.clone());
        if told.get(&shard).is_some_and(|told| fact.sequence <= *told) {
            return Ok(());
        }
        told.insert(shard, fact.sequence);
        self.changed.insert(id.clone());
        counted.bets.take(&buyer(posted, trade)?, *outcome, &purchase(fact, trade))?;
        Ok(())
    }

    /// A page of the matches that kick off in the period, of which something was bought.
    fn page(&self, asked: &v1::BetsQuestion, page_max: usize) -> v1::BetsAnswer {
        let is_asked = |(id, counted): &(&MatchId, &Counted)| {
            let kickoff = counted.bets.kickoff.micros();
            (asked.from_micros..asked.to_micros).contains(&kickoff)
                && id.as_str() > asked.after_match_id.as_str()
                && !counted.is_empty()
        };
        let mut found = self.matches.iter().filter(is_asked);
        let matches: Vec<_> = found.by_ref().take(page_max).map(|(id, counted)| wire::told(id, counted)).collect();
        let last = matches.last().filter(|_| found.next().is_some());
        let next_match_id = last.map(|last| last.match_id.clone()).unwrap_or_default();
        v1::BetsAnswer { matches, next_match_id }
    }

    /// Matches with bets.
    fn count(&self) -> usize {
        self.matches.values().filter(|counted| !counted.is_empty()).count()
    }

    /// What has changed since the last call and is to be stored, and the matches that are to be forgotten.
    fn take_changes(&mut self) -> Vec<Change> {
        let changed = std::mem::take(&mut self.changed);
        let told = changed.iter().filter_map(|id| self.matches.get(id).map(|counted| wire::told(id, counted)));
        let stored = told.map(|own| Change { value: Some(own.encode_to_vec()), key: own.match_id });
        let dropped = std::mem::take(&mut self.dropped).into_iter();
        stored.chain(dropped.map(|id| Change { key: id.to_string(), value: None })).collect()
    }

    /// These were not stored or forgotten: they are still to be.
    fn keep_changes(&mut self, failed: &[String]) {
        for id in failed.iter().filter_map(|id| MatchId::new(id).ok()) {
            let again = if self.matches.contains_key(&id) { &mut self.changed } else { &mut self.dropped };
            again.insert(id);
        }
    }
}

impl Counted {
    const fn heard_of(game: &Match) -> Self {
        Self { bets: MatchBets::heard_of(game), told: BTreeMap::new(), told_before: BTreeMap::new() }
    }

    fn is_empty(&self) -> bool {
        self.bets.bought.is_empty() && self.bets.not_before.is_empty()
    }
}

/// The trade of a fact, if an agent may have bet with it.
fn bought(fact: &v1::LedgerFact) -> Option<(&v1::TradePosted, &v1::Trade)> {
    let posted = match fact.kind.as_ref()? {
        Kind::Trade(posted) => posted,
        Kind::Cash(_) | Kind::Settled(_) => return None,
    };
    let trade = posted.trade.as_ref()?;
    let told = TradeTold {
        status: TradeStatus::try_from(trade.status()).ok()?,
        side: Side::try_from(trade.side()).ok()?,
        filled: Quantity::from_micros(trade.filled_quantity_micros),
        agent: &trade.agent,
        rationale: &trade.rationale,
    };
    told.is_purchase_by_agent().then_some((posted, trade))
}

fn buyer(posted: &v1::TradePosted, trade: &v1::Trade) -> Result<Buyer, InvalidField> {
    let agent = AgentName::new(&trade.agent)
        .map_err(|invalid| InvalidField::new("trade.agent", "AGENT_INVALID", invalid.to_string()))?;
    let configured = Some(&posted.agent_id).filter(|id| !id.is_empty());
    Ok(Buyer { agent, configured: configured.map(|id| convert::id("agent_id", id)).transpose()? })
}

fn purchase(fact: &v1::LedgerFact, trade: &v1::Trade) -> Purchase {
    let own = |changed: &&v1::Position| changed.instrument_id == trade.instrument_id;
    let told = fact.positions.iter().filter(|changed| changed.account_id == trade.account_id);
    let held_after = told.filter_map(|changed| changed.position.as_ref()).find(own);
    Purchase {
        quantity: Quantity::from_micros(trade.filled_quantity_micros),
        average_price: Price::from_micros(trade.average_price_micros),
        fee: Money::from_micros(trade.fee_micros),
        // Where the end of an order is told without its last fill, it opened what it bought.
        held_after: Quantity::from_micros(held_after.map_or(trade.filled_quantity_micros, |own| own.quantity_micros)),
        at: Timestamp::from_micros(fact.meta.as_ref().map_or(i64::MAX, |meta| meta.occurred_at_micros)),
    }
}

#[cfg(test)]
mod tests;
