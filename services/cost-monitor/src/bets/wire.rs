//! Bets as they are stored in the bucket `bets`, and told to those who ask.

use super::{Bets, Counted};
use std::collections::BTreeMap;
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
    v1::MatchBets {
        match_id: id.to_string(),
        kickoff_micros: bets.kickoff.micros(),
        has_begun,
        began_at_micros: began_at,
        bets: bets.bought.iter().map(bet).collect(),
        late: bets.not_before.iter().map(late).collect(),
        told_up_to: counted.told.iter().map(|(shard, sequence)| (u32::from(*shard), *sequence)).collect(),
    }
}

impl Bets {
    /// Takes a match as it was stored.
    ///
    /// # Errors
    /// [`InvalidField`] when it makes no sense.
    pub(super) fn restore(&mut self, stored: &v1::MatchBets) -> Result<(), InvalidField> {
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
        let told = |(shard, sequence): (&u32, &i64)| Some((u16::try_from(*shard).ok()?, *sequence));
        let counted = Counted { bets, told: stored.told_up_to.iter().filter_map(told).collect() };
        self.insert(convert::id("match_id", &stored.match_id)?, counted);
        Ok(())
    }
}
