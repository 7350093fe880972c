//! The configured agents by what they look at, so that a bar finds its agents without asking any other.

mod names;

use crate::control::Scoped;
use names::Names;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tragen_contracts::{convert, v1};
use tragen_domain::{
    agents::{
        bettor::is_wanted,
        market_maker::MarketMakerRules,
        personality::{AnalysisStyle, Personality},
        quoting::life_ms,
    },
    id::{AccountId, AgentId, InstrumentId, MatchId, PoolId, QuickMap},
    market::Timeframe,
};

/// Most makers that are remembered after they have quoted last.
const RETIRED_MAX: usize = 1_000;

/// What bars are of.
pub type Series = (InstrumentId, Timeframe);

/// One configured agent, checked.
#[derive(Debug)]
pub struct ConfiguredAgent {
    /// Which.
    pub id: AgentId,
    /// Whose money it uses.
    pub account: AccountId,
    /// For limits and states.
    pub pool: PoolId,
    /// Its rules and how bold it is.
    pub personality: Personality,
    /// What it may trade; of one that bets on matches or leaves them beginnings of match ids, none for every match; of a
    /// market maker contracts or beginnings of their ids.
    pub instruments: Box<[InstrumentId]>,
    /// Length of its bars.
    pub timeframe: Timeframe,
}

/// The agents that share one signal, sorted by id.
#[derive(Debug, Clone)]
pub struct Audience {
    /// The rule set.
    pub style: AnalysisStyle,
    /// Who acts on it.
    pub agents: Arc<Vec<Arc<ConfiguredAgent>>>,
}

/// Enabled agents, by id and by what they look at.
#[derive(Debug, Default)]
pub struct Roster {
    agents: QuickMap<AgentId, Arc<ConfiguredAgent>>,
    on_series: QuickMap<Series, Arc<Vec<Audience>>>,
    /// Those that bet on matches, sorted by id.
    bettors: Vec<Arc<ConfiguredAgent>>,
    /// Those that leave what is held of matches in play, sorted by id.
    exiters: Vec<Arc<ConfiguredAgent>>,
    /// Those that quote contracts on matches, sorted by id.
    makers: Vec<Arc<ConfiguredAgent>>,
    /// What makers were before they were changed or taken away, and until when something of that may be in the book;
    /// the newest last.
    retired: Vec<(Arc<ConfiguredAgent>, Instant)>,
    names: Names,
}

impl Roster {
    /// Takes what the registry has under `key`; an agent that is disabled or makes no sense is forgotten.
    ///
    /// # Errors
    /// [`Unusable`] when it makes no sense.
    pub fn take(&mut self, key: &str, agent: Option<&v1::Agent>) -> Result<(), Unusable> {
        self.remove(key);
        let Some(agent) = agent.filter(|agent| agent.is_enabled) else { return Ok(()) };
        let parsed = self.parse(agent).ok_or_else(|| Unusable { agent_id: agent.agent_id.clone() })?;
        self.insert(Arc::new(parsed));
        Ok(())
    }

    /// Who looks at a series: one entry for each rule set.
    #[must_use]
    pub fn on_series(&self, series: &Series) -> Arc<Vec<Audience>> {
        self.on_series.get(series).cloned().unwrap_or_default()
    }

    /// Who bets on a match, sorted by id.
    #[must_use]
    pub fn bettors_on(&self, game: &MatchId) -> Vec<Arc<ConfiguredAgent>> {
        of_match(&self.bettors, game)
    }

    /// Who leaves what is held of a match in play, sorted by id.
    #[must_use]
    pub fn exiters_on(&self, game: &MatchId) -> Vec<Arc<ConfiguredAgent>> {
        of_match(&self.exiters, game)
    }

    /// Who quotes contracts on matches, sorted by id.
    #[must_use]
    pub fn makers(&self) -> &[Arc<ConfiguredAgent>] {
        &self.makers
    }

    /// Makers that do not quote any more, or not so, and may have quotes in the book.
    pub fn retired_makers(&self) -> impl Iterator<Item = &Arc<ConfiguredAgent>> {
        let now = Instant::now();
        self.retired.iter().filter(move |(_, until)| *until > now).map(|(agent, _)| agent)
    }

    /// Every enabled agent, in no order.
    pub fn agents(&self) -> impl Iterator<Item = &Arc<ConfiguredAgent>> {
        self.agents.values()
    }

    fn insert(&mut self, agent: Arc<ConfiguredAgent>) {
        let on_matches = match agent.personality.style() {
            AnalysisStyle::Value => vec![&mut self.bettors],
            AnalysisStyle::MarketMaker => vec![&mut self.makers],
            AnalysisStyle::LiveExit => vec![&mut self.exiters],
            // It takes an ask that is worth it, and bids where none is.
            AnalysisStyle::ValueMaker => vec![&mut self.bettors, &mut self.makers],
            AnalysisStyle::Scalper | AnalysisStyle::Swing | AnalysisStyle::Conservative => Vec::new(),
        };
        let is_on_matches = !on_matches.is_empty();
        for those in on_matches {
            if let Err(at) = those.binary_search_by(|other| other.id.cmp(&agent.id)) {
                those.insert(at, Arc::clone(&agent));
            }
        }
        if is_on_matches {
            self.agents.insert(agent.id.clone(), agent);
            return;
        }
        for instrument in &agent.instruments {
            let audiences = self.on_series.entry((instrument.clone(), agent.timeframe)).or_default();
            // Copied only while somebody goes through the old list.
            let audiences = Arc::make_mut(audiences);
            let style = agent.personality.style();
            let place = audiences.iter().position(|audience| audience.style == style).unwrap_or_else(|| {
                audiences.push(Audience { style, agents: Arc::default() });
                audiences.len() - 1
            });
            let sharing = Arc::make_mut(&mut audiences[place].agents);
            if let Err(at) = sharing.binary_search_by(|other| other.id.cmp(&agent.id)) {
                sharing.insert(at, Arc::clone(&agent));
            }
        }
        self.agents.insert(agent.id.clone(), agent);
    }

    /// It is remembered as long as a quote of it may stay in the book.
    fn retire(&mut self, agent: &Arc<ConfiguredAgent>) {
        let now = Instant::now();
        self.retired.retain(|(_, until)| *until > now);
        if self.retired.len() >= RETIRED_MAX {
            self.retired.remove(0);
        }
        let life = life_ms(agent.timeframe, None, &MarketMakerRules::default());
        let until = now + Duration::from_millis(u64::try_from(life).unwrap_or_default());
        self.retired.push((Arc::clone(agent), until));
    }

    fn remove(&mut self, key: &str) {
        let Some(agent) = self.agents.remove(key) else { return };
        if self.makers.binary_search_by(|other| other.id.cmp(&agent.id)).is_ok() {
            self.retire(&agent);
        }
        for those in [&mut self.bettors, &mut self.exiters, &mut self.makers] {
            if let Ok(at) = those.binary_search_by(|other| other.id.cmp(&agent.id)) {
                those.remove(at);
            }
        }
        for instrument in &agent.instruments {
            let series = (instrument.clone(), agent.timeframe);
            let Some(audiences) = self.on_series.get_mut(&series) else { continue };
            let audiences = Arc::make_mut(audiences);
            for audience in audiences.iter_mut().filter(|audience| audience.style == agent.personality.style()) {
                Arc::make_mut(&mut audience.agents).retain(|other| other.id != agent.id);
            }
            audiences.retain(|audience| !audience.agents.is_empty());
            if audiences.is_empty() {
                self.on_series.remove(&series);
            }
        }
        self.names.forget(&agent);
    }

    /// A checked agent whose names are shared with those of all others.
    fn parse(&mut self, agent: &v1::Agent) -> Option<ConfiguredAgent> {
        let style = convert::style_of(agent.strategy())?;
        let pool = if agent.pool.is_empty() { style.as_str() } else { &agent.pool };
        let tolerance = u8::try_from(agent.risk_tolerance).ok()?;
        let personality = Personality::new(tolerance, style, u32::try_from(agent.max_trades_per_day).ok()?).ok()?;
        let mut instruments = Vec::with_capacity(agent.instrument_ids.len());
        for id in &agent.instrument_ids {
            let id: InstrumentId = convert::id("instrument_ids", id).ok()?;
            if !instruments.contains(&id) {
                instruments.push(id);
            }
        }
        let parsed = ConfiguredAgent {
            id: convert::id("agent_id", &agent.agent_id).ok()?,
            account: convert::id("account_id", &agent.account_id).ok()?,
            pool: convert::id("pool", pool).ok()?,
            personality,
            instruments: instruments.into(),
            timeframe: Timeframe::parse(&agent.timeframe)?,
        };
        Some(self.names.share(parsed))
    }
}

/// Those of the agents whose match it is.
fn of_match(agents: &[Arc<ConfiguredAgent>], game: &MatchId) -> Vec<Arc<ConfiguredAgent>> {
    let is_theirs = |agent: &&Arc<ConfiguredAgent>| is_wanted(agent.instruments.iter().map(InstrumentId::as_str), game);
    agents.iter().filter(is_theirs).cloned().collect()
}

impl ConfiguredAgent {
    /// What it belongs to, whatever it trades.
    pub(crate) fn scopes(&self) -> Vec<Scoped> {
        vec![
            (v1::ScopeKind::Pool, self.pool.to_string()),
            (v1::ScopeKind::Agent, self.id.to_string()),
            (v1::ScopeKind::Account, self.account.to_string()),
        ]
    }
}

/// An agent of the registry that this build cannot run; it stays off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("agent {agent_id} is not usable and stays off")]
pub struct Unusable {
    agent_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use tragen_domain::routing::agent::TRADES_PER_DAY_MAX;

    fn agent(id: &str, strategy: v1::Strategy, instruments: &[&str]) -> v1::Agent {
        v1::Agent {
            agent_id: id.to_owned(),
            strategy: strategy.into(),
            instrument_ids: instruments.iter().map(ToString::to_string).collect(),
            timeframe: "1m".to_owned(),
            risk_tolerance: 5,
            max_trades_per_day: TRADES_PER_DAY_MAX,
            account_id: "fund".to_owned(),
            is_enabled: true,
            ..v1::Agent::default()
        }
    }

    fn series(instrument: &str) -> Series {
        (InstrumentId::new(instrument).expect("an id"), Timeframe::Minute1)
    }

    /// Who is on a series, as `style: ids`.
    fn told(roster: &Roster, instrument: &str) -> Vec<String> {
        let audiences = roster.on_series(&series(instrument));
        let ids = |audience: &Audience| audience.agents.iter().map(|a| a.id.to_string()).collect::<Vec<_>>().join(" ");
        audiences.iter().map(|audience| format!("{:?}: {}", audience.style, ids(audience))).collect()
    }

    #[test]
    fn a_series_knows_its_agents_by_rule_set_and_in_the_order_of_their_ids() {
        let mut roster = Roster::default();
        for (id, strategy, instruments) in [
            ("b", v1::Strategy::Scalper, &["X", "Y"][..]),
            ("a", v1::Strategy::Scalper, &["X", "X"][..]),
            ("c", v1::Strategy::Swing, &["X"][..]),
        ] {
            assert_eq!(roster.take(id, Some(&agent(id, strategy, instruments))), Ok(()));
        }
        assert_eq!(told(&roster, "X"), ["Scalper: a b", "Swing: c"]);
        assert_eq!(told(&roster, "Y"), ["Scalper: b"]);
        let moved = agent("b", v1::Strategy::Swing, &["Y"]);
        assert_eq!(roster.take("b", Some(&moved)), Ok(()));
        assert_eq!(
            (told(&roster, "X").concat(), told(&roster, "Y").concat()),
            ("Scalper: aSwing: c".into(), "Swing: b".into())
        );
        let off = v1::Agent { is_enabled: false, ..moved };
        assert_eq!(roster.take("b", Some(&off)), Ok(()));
        assert_eq!(roster.take("c", None), Ok(()));
        assert!(told(&roster, "Y").is_empty());
        assert_eq!(roster.agents().count(), 1);
    }

    #[test]
    fn a_match_knows_its_bettors_and_a_series_does_not() {
        let mut roster = Roster::default();
        for (id, strategy, instruments) in [
            ("c", v1::Strategy::Value, &["EPL-2026"][..]),
            ("a", v1::Strategy::Value, &[][..]),
            ("b", v1::Strategy::Value, &["EPL-2025", "EPL-2027"][..]),
            ("d", v1::Strategy::Scalper, &["EPL-2026"][..]),
        ] {
            assert_eq!(roster.take(id, Some(&agent(id, strategy, instruments))), Ok(()));
        }
        let told = |roster: &Roster, game: &str| {
            let bettors = roster.bettors_on(&MatchId::new(game).expect("an id"));
            bettors.iter().map(|agent| agent.id.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!([told(&roster, "EPL-2026-ARS-MCI"), told(&roster, "EPL-2027-ARS-MCI")], ["a c", "a b"]);
        assert_eq!(self::told(&roster, "EPL-2026"), ["Scalper: d"]);
        assert!(roster.makers().is_empty());
        roster.take("x", Some(&agent("x", v1::Strategy::LiveExit, &[]))).expect("usable");
        let exiters = |roster: &Roster| roster.exiters_on(&MatchId::new("EPL-2026-ARS-MCI").expect("an id")).len();
        assert_eq!((exiters(&roster), told(&roster, "EPL-2026-ARS-MCI")), (1, "a c".to_owned()));
        roster.take("x", None).expect("gone");
        assert_eq!(exiters(&roster), 0);
        roster.take("m", Some(&agent("m", v1::Strategy::MarketMaker, &["EPL-2026"]))).expect("usable");
        let makers: Vec<_> = roster.makers().iter().map(|agent| agent.id.to_string()).collect();
        assert_eq!((makers, self::told(&roster, "EPL-2026")), (vec!["m".to_owned()], vec!["Scalper: d".to_owned()]));
        roster.take("m", None).expect("gone");
        assert!(roster.makers().is_empty());
        let retired: Vec<_> = roster.retired_makers().map(|agent| agent.id.as_str()).collect();
        assert_eq!(retired, ["m"], "who has quoted may have left something");
        assert_eq!(roster.take("c", Some(&agent("c", v1::Strategy::Scalper, &["X"]))), Ok(()));
        assert_eq!(roster.take("a", None), Ok(()));
        assert_eq!([told(&roster, "EPL-2026-ARS-MCI"), told(&roster, "EPL-2027-ARS-MCI")], ["", "b"]);
    }

    #[test]
    fn an_agent_that_makes_no_sense_is_refused_and_its_old_self_is_off() {
        let mut roster = Roster::default();
        assert_eq!(roster.take("a", Some(&agent("a", v1::Strategy::Scalper, &["X"]))), Ok(()));
        let check = |roster: &mut Roster, bad: v1::Agent| {
            assert!(roster.take("a", Some(&bad)).is_err(), "{bad:?}");
            assert!(told(roster, "X").is_empty());
        };
        let good = agent("a", v1::Strategy::Scalper, &["X"]);
        check(&mut roster, v1::Agent { strategy: 99, ..good.clone() });
        check(&mut roster, v1::Agent { risk_tolerance: 11, ..good.clone() });
        check(&mut roster, v1::Agent { max_trades_per_day: TRADES_PER_DAY_MAX + 1, ..good.clone() });
        check(&mut roster, v1::Agent { instrument_ids: vec!["X".to_owned(), "a.b".to_owned()], ..good.clone() });
        check(&mut roster, v1::Agent { timeframe: "2m".to_owned(), ..good });
    }

    #[test]
    fn equal_names_are_kept_once_and_let_go_with_their_last_agent() {
        let mut roster = Roster::default();
        for number in 0..100 {
            let id = format!("a{number}");
            roster.take(&id, Some(&agent(&id, v1::Strategy::Scalper, &["X", "Y"]))).expect("usable");
        }
        let agents: Vec<_> = roster.agents().cloned().collect();
        assert!(agents.iter().all(|agent| std::ptr::eq(agent.account.as_str(), agents[0].account.as_str())));
        assert!(
            agents.iter().all(|agent| std::ptr::eq(agent.instruments[1].as_str(), agents[0].instruments[1].as_str()))
        );
        assert_eq!(roster.names.len(), 4, "an account, a pool and two instruments");
        for number in 0..100 {
            roster.take(&format!("a{number}"), None).expect("gone");
        }
        assert_eq!(roster.names.len(), 0);
    }
}
