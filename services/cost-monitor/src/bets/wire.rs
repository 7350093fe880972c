//! Bets as they are stored in the bucket `bets`, and told to those who ask.

use super::{Bets, Counted, Told};
use prost::Message as _;
use std::collections::{BTreeMap, HashMap};
use tragen_contracts::{
    convert::{self, InvalidField},
    v1,
};
use tragen_domain::{
    cost::AgentName,
    id::MatchId,
    instrument::Outcome,
    kpi::{Begin, Bought, Buyer, MatchBets},
    money::{Money, Quantity},
    time::Timestamp,
};

/// A match as it is stored.
pub(super) fn told(id: &MatchId, counted: &Counted) -> v1::MatchBets {
    let bets = &counted.bets;
    let (has_begun, began_at) = match bets.begin {
        Begin::Ahead => (false, 0),
        Begin::At(at) => (true, at.micros()),
        Begin::Unseen => (true, 0),
    };
    let names = |buyer: &Buyer| {
        let configured = buyer.configured.as_ref().map(ToString::to_string);
        (buyer.agent.to_string(), configured.unwrap_or_default())
    };
    let bet = |((buyer, outcome), own): (&(Buyer, Outcome), &Bought)| {
        let (agent, agent_id) = names(buyer);
        v1::AgentBet {
            agent,
            agent_id,
            outcome: convert::outcome_text(*outcome).to_owned(),
            trades: own.trades,
            quantity_micros: own.quantity.micros(),
            paid_micros: own.paid.micros(),
        }
    };
    let late = |(buyer, trades): (&Buyer, &u64)| {
        let (agent, agent_id) = names(buyer);
        v1::LatePurchases { agent, agent_id, trades: *trades }
    };
    let contracts = counted.told.iter().map(|(contract, told)| (contract.to_string(), told));
    let before = (!counted.told_before.is_empty()).then(|| (String::new(), &counted.told_before));
    let contracts: Vec<_> = before.into_iter().chain(contracts).collect();
    let mut newest = Told::new();
    for (shard, sequence) in contracts.iter().flat_map(|(_, told)| *told) {
        let own = newest.entry(*shard).or_insert(*sequence);
        *own = (*own).max(*sequence);
    }
    v1::MatchBets {
        match_id: id.to_string(),
        kickoff_micros: bets.kickoff.micros(),
        has_begun,
        began_at_micros: began_at,
        bets: bets.bought.iter().map(bet).collect(),
        late: bets.not_before.iter().map(late).collect(),
        told_up_to: marks(&newest),
        contracts: contracts.into_iter().map(contract).collect(),
    }
}

fn contract((instrument_id, told): (String, &Told)) -> v1::CountedContract {
    v1::CountedContract { instrument_id, told_up_to: marks(told) }
}

fn marks(told: &Told) -> HashMap<u32, i64> {
    told.iter().map(|(shard, sequence)| (u32::from(*shard), *sequence)).collect()
}

fn told_of(marks: &HashMap<u32, i64>) -> Told {
    marks.iter().filter_map(|(shard, sequence)| Some((u16::try_from(*shard).ok()?, *sequence))).collect()
}

impl Bets {
    /// Takes a match as it was stored.
    ///
    /// # Errors
    /// When it makes no sense: [`prost::DecodeError`] or [`InvalidField`].
    pub(super) fn restore(&mut self, stored: &[u8]) -> anyhow::Result<()> {
        let stored = v1::MatchBets::decode(stored)?;
        let buyer = |agent: &str, agent_id: &str| {
            let agent = AgentName::new(agent)
                .map_err(|invalid| InvalidField::new("agent", "AGENT_INVALID", invalid.to_string()))?;
            let configured = Some(agent_id).filter(|id| !id.is_empty());
            Ok::<_, InvalidField>(Buyer {
                agent,
                configured: configured.map(|id| convert::id("agent_id", id)).transpose()?,
            })
        };
        let mut bought = BTreeMap::new();
        for bet in &stored.bets {
            let outcome = convert::outcome("outcome", &bet.outcome)?;
            let own = Bought {
                trades: bet.trades,
                quantity: Quantity::from_micros(bet.quantity_micros),
                paid: Money::from_micros(bet.paid_micros),
            };
            bought.insert((buyer(&bet.agent, &bet.agent_id)?, outcome), own);
        }
        let mut not_before = BTreeMap::new();
        for late in &stored.late {
            not_before.insert(buyer(&late.agent, &late.agent_id)?, late.trades);
        }
        let begin = match (stored.has_begun, stored.began_at_micros) {
            (false, _) => Begin::Ahead,
            (true, 0) => Begin::Unseen,
            (true, at) => Begin::At(Timestamp::from_micros(at)),
        };
        let bets = MatchBets { kickoff: Timestamp::from_micros(stored.kickoff_micros), begin, bought, not_before };
        let (unnamed, named): (Vec<_>, Vec<_>) = stored.contracts.iter().partition(|own| own.instrument_id.is_empty());
        let before = unnamed.first().map(|own| &own.told_up_to);
        let before = before.or_else(|| stored.contracts.is_empty().then_some(&stored.told_up_to));
        let contract = |own: &v1::CountedContract| {
            Ok::<_, InvalidField>((
                convert::id("contracts.instrument_id", &own.instrument_id)?,
                told_of(&own.told_up_to),
            ))
        };
        let counted = Counted {
            bets,
            told: named.into_iter().map(contract).collect::<Result<_, _>>()?,
            told_before: before.map(told_of).unwrap_or_default(),
        };
        self.insert(convert::id("match_id", &stored.match_id)?, counted);
        Ok(())
    }
}
