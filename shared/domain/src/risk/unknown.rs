//! Names that nothing the gate knows has. What is said about them is done all the same: an account may
//! get its first money tomorrow.

use super::{LimitName, Scope, State, Whose};
use crate::{
    id::{AccountId, AgentId, InstrumentId, MatchId},
    market::Timeframe,
    tier::Tier,
};

impl State {
    /// What is to be said of `scope` when nothing has its name; `None` also for pools, which the gate cannot tell.
    #[must_use]
    pub fn unknown_scope(&self, scope: &Scope) -> Option<String> {
        let is_known = match scope {
            Scope::Global | Scope::Pool(_) => true,
            Scope::Agent(id) => self.has_ordered(id),
            Scope::Instrument(id) => self.instrument(id).is_some(),
            Scope::Account(id) => self.account(id).is_some(),
        };
        if is_known {
            return None;
        }
        Some(match scope {
            Scope::Agent(_) => format!("{scope} has not ordered anything so far"),
            Scope::Global | Scope::Pool(_) | Scope::Instrument(_) | Scope::Account(_) => {
                format!("nothing named {scope} is known")
            }
        })
    }

    /// What is to be said of a limit's value for `id` when nothing has that name.
    #[must_use]
    pub fn unknown_owner(&self, name: LimitName, id: &str) -> Option<String> {
        let whose = name.whose();
        let is_known = match whose {
            Whose::House | Whose::Guard | Whose::Pool => true,
            Whose::Tier => Tier::parse(id).is_some(),
            Whose::Timeframe => Timeframe::parse(id).is_some(),
            Whose::Account => AccountId::new(id).is_ok_and(|id| self.account(&id).is_some()),
            Whose::Agent => AgentId::new(id).is_ok_and(|id| self.has_ordered(&id)),
            Whose::Instrument => InstrumentId::new(id).is_ok_and(|id| self.instrument(&id).is_some()),
            Whose::Match => MatchId::new(id).is_ok_and(|id| self.instruments_of(&id).next().is_some()),
            Whose::Cluster => self.limits().clusters.iter().any(|cluster| cluster.name == id),
        };
        if id.is_empty() || is_known {
            return None;
        }
        let whose = whose.as_str();
        Some(match name.whose() {
            Whose::Agent => format!("{whose}:{id} has not ordered anything so far"),
            Whose::House
            | Whose::Guard
            | Whose::Pool
            | Whose::Tier
            | Whose::Timeframe
            | Whose::Account
            | Whose::Instrument
            | Whose::Match
            | Whose::Cluster => format!("nothing named {whose}:{id} is known"),
        })
    }

    fn has_ordered(&self, agent: &AgentId) -> bool {
        self.breakers().seats().any(|(own, _)| own == agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::risk::Limits;

    fn check(name: LimitName, id: &str, expected: &str) {
        let state = State::new(Limits::default());
        assert_eq!(state.unknown_owner(name, id).unwrap_or_default(), expected, "{} {id}", name.as_str());
    }

    #[test]
    fn a_name_that_nothing_has_is_said() {
        check(LimitName::TradeMaxPpm, "ghost", "nothing named account:ghost is known");
        check(LimitName::TradeMaxPpm, "no id at all", "nothing named account:no id at all is known");
        check(LimitName::AgentLossHaltPpm, "a1", "agent:a1 has not ordered anything so far");
        check(LimitName::PriceJumpPausePpm, "GBPUSD", "nothing named instrument:GBPUSD is known");
        check(LimitName::TierOrderValueMaxMicros, "gold", "nothing named tier:gold is known");
        check(LimitName::TierOrderValueMaxMicros, "free", "");
        check(LimitName::TimeframeExposureMaxPpm, "7m", "nothing named timeframe:7m is known");
        check(LimitName::TimeframeExposureMaxPpm, "1m", "");
        check(LimitName::HouseMatchExposureMaxPpm, "EPL-1", "nothing named match:EPL-1 is known");
        check(LimitName::ClusterExposureMaxPpm, "fx", "nothing named cluster:fx is known");
        check(LimitName::PoolExposureMaxPpm, "whatever", "");
        check(LimitName::TradeMaxPpm, "", "");
        let state = State::new(Limits::default());
        let said = |scope: &Scope| state.unknown_scope(scope).unwrap_or_default();
        assert_eq!(
            said(&Scope::Account(AccountId::new("ghost").expect("an id"))),
            "nothing named account:ghost is known"
        );
        assert_eq!(said(&Scope::Global), "");
    }
}
