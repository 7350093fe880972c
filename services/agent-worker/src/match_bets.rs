//! Configured agents betting on matches. A match is told again whenever its odds change; one worker claims it
//! (`matches.rs`), looks once for each risk tolerance that somebody bets with, and orders for everybody who shares the
//! look. Who bets is a rule (`bettor.rs` of the domain): at most once in a slot of the agent's timeframe, once for an
//! account, and not while the account holds, has ordered or may soon hold some of the match.
//!
//! What another worker has proposed a moment ago, in the slot before this one or because of other odds, nobody here can
//! know. So a bet is proposed as the account's first order on its match, and the guard, which decides one after the
//! other, denies whatever comes second.
//!
//! What was seen and what came out is stored before anything is proposed (`look.{match}`), and decided by functions of
//! exactly that (`match_look.rs`), so that a replay can decide it again.

use crate::{
    analysis::{NoSnapshot, match_view::contract_id},
    autonomous::now,
    claims::End,
    match_look::{self, Bet, LOOK_BYTES_MAX, Wishes, event_id, eye, looking},
    match_wish::rationale,
    matches::{Desk, Told},
    metrics,
    proposal::{NotProposed, Origin, agents_key},
    roster::ConfiguredAgent,
    standings::{self, Sent, Standings, Wanted},
};
use ::metrics::{counter, histogram};
use futures::{StreamExt as _, stream};
use opentelemetry::trace::SpanKind;
use prost::Message as _;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::{debug, warn};
use tragen_bus::{PublishOptions, Subject, usage::Work};
use tragen_contracts::{convert, v1};
use tragen_domain::{
    agents::{mandate::MandateAgent, personality::AnalysisStyle, scout::MatchPhase},
    id::{AccountId, MatchId},
    time::Timestamp,
};

/// How long it is tried to store a look.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);

/// Where changes of matches become bets.
pub(crate) struct Bets {
    pub(crate) desk: Desk,
    /// Bets whose outcome nobody can tell yet.
    pub(crate) sent: Sent,
}

/// What came of telling a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// It is stored, so its bets may be proposed.
    Yes,
    /// Not yet.
    No,
    /// It never will be: the bus does not take it.
    Never,
}

impl Bets {
    /// Works on a claimed match.
    pub(crate) async fn settle(&self, told: &Told) -> End {
        // Once the ball rolls nobody bets by odds made before.
        if told.phase() != MatchPhase::PreMatch || told.is_too_late(&self.desk.config) {
            return End::Done;
        }
        let is_working = |agent: &Arc<ConfiguredAgent>| {
            !self.desk.parts.control.is_halted(&agent.scopes()) && !self.desk.parts.registry.is_benched(agent)
        };
        let mut agents = self.desk.parts.registry.bettors_on(&told.game.id);
        agents.retain(is_working);
        counter!(metrics::EVALUATIONS).increment(u64::try_from(agents.len()).unwrap_or(u64::MAX));
        self.desk.until_through(told, agents, |open| self.try_all(open, told)).await
    }

    /// One attempt for all of them; gives back those that are not through.
    async fn try_all(&self, agents: Vec<Arc<ConfiguredAgent>>, told: &Told) -> Vec<Arc<ConfiguredAgent>> {
        let span = self.desk.context.spans.start("look at md.match.{match}", SpanKind::Internal, "");
        let traceparent = span.traceparent();
        let snapshot = match self.desk.analysis.snapshot(told.game.id.as_str(), &traceparent).await {
            Ok(snapshot) => snapshot,
            Err(NoSnapshot::Unknown(_)) => return Vec::new(),
            Err(NoSnapshot::Silent(_)) => return agents,
        };
        let started = Instant::now();
        let mut look = self.look(told, snapshot, &agents).await;
        let wishes = self.wishes(&look);
        let is_wanting =
            |bettor: &v1::MatchBettor| eye(bettor).is_some_and(|eye| matches!(wishes.get(&eye), Some(Ok(_))));
        let wanting: Vec<bool> = look.bettors.iter().map(is_wanting).collect();
        if !wanting.contains(&true) {
            return Vec::new();
        }
        let those = || agents.iter().zip(&wanting).filter(|(_, is_wanting)| **is_wanting).map(|(agent, _)| agent);
        let standings = self.standings(&look, those().map(|agent| agent.account.clone()).collect(), &traceparent).await;
        let mut open: Vec<_> = those().filter(|agent| !standings.contains_key(&agent.account)).cloned().collect();
        let known = agents.iter().zip(&look.bettors).zip(&wanting).map(|((agent, bettor), is_wanting)| {
            let own = standings.get(&agent.account).filter(|_| *is_wanting)?.as_ref()?;
            Some(self.standing(agent, own, (told, &match_look::names(&look, bettor)?.1)))
        });
        let known: Vec<Option<v1::BettorStanding>> = known.collect();
        look.bettors.iter_mut().zip(known).for_each(|(bettor, standing)| bettor.standing = standing);
        look.decided_at_micros = now().micros();
        let bets = match_look::bets(&look, &wishes);
        for bet in &bets {
            let decided = v1::BetDecided { trade_id: bet.trade_id.clone(), terms: Some((&bet.terms).into()) };
            look.bettors[bet.bettor].bet = Some(decided);
        }
        match self.tell(&mut look, &traceparent).await {
            Stored::Yes => open.extend(self.propose_all(&agents, bets, told, &look).await),
            Stored::No => open.extend(bets.iter().map(|bet| Arc::clone(&agents[bet.bettor]))),
            Stored::Never => {}
        }
        histogram!(metrics::SIGNAL_SECONDS).record(started.elapsed().as_secs_f64());
        open
    }

    /// What is seen of the match, and who looks; what their accounts have nobody has been asked yet.
    async fn look(&self, told: &Told, snapshot: v1::MatchSnapshot, agents: &[Arc<ConfiguredAgent>]) -> v1::MatchLooked {
        let mut model = None;
        if agents.iter().any(|agent| looking(agent.personality.style()) == MandateAgent::EplTrading) {
            model = self.desk.analysis.mandate_inputs(MandateAgent::EplTrading, &snapshot).await.model;
        }
        v1::MatchLooked {
            meta: None,
            match_id: told.game.id.to_string(),
            told_at_micros: told.at.micros(),
            snapshot: Some(snapshot),
            looked_at_micros: now().micros(),
            model_probabilities: model.map(Vec::from).unwrap_or_default(),
            decided_at_micros: 0,
            bettors: agents.iter().map(|agent| bettor(agent)).collect(),
        }
    }

    /// What is worth buying, by who looks.
    fn wishes(&self, look: &v1::MatchLooked) -> Wishes {
        let started = Instant::now();
        let wishes = match_look::wishes(look);
        for ((agent, tolerance), wish) in &wishes {
            match wish {
                Ok(_) => counter!(metrics::SIGNALS, "strategy" => strategy(*agent)).increment(1),
                Err(refusal) => debug!("{} of risk tolerance {tolerance} buys nothing: {refusal}", agent.as_str()),
            }
        }
        let unsure = match_look::unsure(look, &wishes);
        counter!(metrics::UNSURE).increment(u64::try_from(unsure).unwrap_or(u64::MAX));
        for agent in wishes.keys().map(|(agent, _)| agent).collect::<BTreeSet<_>>() {
            self.desk.parts.usage.add(agent.as_str(), Work { cpu: started.elapsed(), messages: 1, ..Work::default() });
        }
        wishes
    }

    async fn standings(&self, look: &v1::MatchLooked, accounts: BTreeSet<AccountId>, traceparent: &str) -> Standings {
        let instruments = look.snapshot.as_ref().map(|snapshot| snapshot.instruments.as_slice()).unwrap_or_default();
        let timeout = Duration::from_millis(self.desk.config.question_timeout_ms);
        standings::read(&self.desk.bus, accounts, &Wanted { instruments, timeout, traceparent }).await
    }

    /// What the account of an agent has of the match, when its bet there is to be `trade_id`.
    fn standing(
        &self,
        agent: &ConfiguredAgent,
        own: &v1::Standing,
        (told, trade_id): (&Told, &str),
    ) -> v1::BettorStanding {
        let on_its_way = self.sent.of_other((&agent.account, told.game.id.as_str()), trade_id);
        v1::BettorStanding {
            cash_micros: own.cash_micros,
            available_micros: own.available_micros,
            pool_capital_micros: self.desk.parts.registry.part_micros(agent),
            held_micros: own.positions.iter().map(|held| held.quantity_micros).collect(),
            open_orders: i32::try_from(own.orders.len()).unwrap_or(i32::MAX),
            sent_valid_until_micros: on_its_way.valid_until.map(Timestamp::micros),
        }
    }

    /// Stores a look with everything that came out; one that nobody was answered at says nothing.
    async fn tell(&self, look: &mut v1::MatchLooked, traceparent: &str) -> Stored {
        if look.bettors.iter().all(|bettor| bettor.standing.is_none()) {
            return Stored::Yes;
        }
        let event_id = event_id(look).to_string();
        look.meta = Some(v1::Meta {
            event_id: event_id.clone(),
            traceparent: traceparent.to_owned(),
            occurred_at_micros: look.decided_at_micros,
            ..v1::Meta::default()
        });
        let (bytes, bettors) = (look.encoded_len(), look.bettors.len());
        if bytes > LOOK_BYTES_MAX {
            counter!(metrics::LOOKS_TOO_LARGE).increment(1);
            warn!(
                "nobody bets on {}: the look of {bettors} agents takes {bytes} of {LOOK_BYTES_MAX} bytes",
                look.match_id
            );
            return Stored::Never;
        }
        let options = PublishOptions {
            message_id: event_id.into(),
            traceparent: traceparent.to_owned(),
            ..PublishOptions::default()
        };
        let Ok(game) = MatchId::new(&look.match_id) else { return Stored::Never };
        match self.desk.bus.publish(&Subject::Look(game), look, &options, LOOK_PATIENCE).await {
            Ok(_) => Stored::Yes,
            Err(error) => {
                debug!("a look at {} is not stored: {error}", look.match_id);
                Stored::No
            }
        }
    }

    /// Proposes what came out of a stored look; gives back those whose order is not stored.
    async fn propose_all(
        &self,
        agents: &[Arc<ConfiguredAgent>],
        bets: Vec<Bet>,
        told: &Told,
        look: &v1::MatchLooked,
    ) -> Vec<Arc<ConfiguredAgent>> {
        let Some(snapshot) = &look.snapshot else { return Vec::new() };
        let steam = &self.desk.analysis.odds().notes(snapshot);
        let proposed = stream::iter(bets).map(|bet| async move {
            let agent = Arc::clone(&agents[bet.bettor]);
            let stored = self.propose((&agent, &bet), told, (snapshot, steam)).await;
            if let Err(error) = &stored {
                debug!("agent {}: {error}", agent.id);
            }
            (agent, stored.is_ok())
        });
        let unstored = proposed
            .buffer_unordered(self.desk.config.agents_at_once_max)
            .filter_map(|(agent, is_stored)| std::future::ready((!is_stored).then_some(agent)));
        unstored.collect().await
    }

    /// Proposes one bet; `steam` is what is added to the reason for each outcome.
    async fn propose(
        &self,
        (agent, bet): (&ConfiguredAgent, &Bet),
        told: &Told,
        (snapshot, steam): (&v1::MatchSnapshot, &[String; 3]),
    ) -> Result<(), NotProposed> {
        let wish = &bet.wish;
        // A stopped contract is left alone; the agent may bet on it later.
        let stopped = (v1::ScopeKind::Instrument, contract_id(snapshot, wish.opportunity.outcome));
        if self.desk.parts.control.is_halted(&[stopped]) {
            return Ok(());
        }
        let mut span = self.desk.context.spans.start("evaluate md.match.{match}", SpanKind::Internal, "");
        span.set("agent.kind", wish.agent.as_str());
        let origin = Origin {
            agent: wish.agent.as_str(),
            agent_id: agent.id.to_string(),
            pool: agent.pool.to_string(),
            timeframe: agent.timeframe.as_str(),
            max_trades_per_day: i32::try_from(agent.personality.max_trades_per_day()).unwrap_or(i32::MAX),
            confidence_ppm: Some(wish.confidence_ppm),
            is_first_on_match: true,
        };
        let rationale = rationale(wish, bet.size) + wish.opportunity.outcome.of(&steam.each_ref()).as_str();
        let decision = self.desk.parts.proposer.order(&bet.terms, origin, rationale);
        let key = agents_key(&agent.account, &bet.request_id);
        let meta = v1::Meta { event_id: key.request_id.clone(), ..v1::Meta::default() };
        self.desk.parts.proposer.propose(key, &meta, &span, decision).await?;
        // Not earlier: what is not stored is tried again.
        let valid_until = Timestamp::from_micros(self.desk.parts.proposer.valid_until_micros());
        self.sent.note((&agent.account, told.game.id.as_str()), &bet.trade_id, valid_until);
        counter!(metrics::AGENT_ORDERS).increment(1);
        Ok(())
    }
}

/// The strategy that an agent looks for.
const fn strategy(agent: MandateAgent) -> &'static str {
    match agent {
        MandateAgent::EplTrading => AnalysisStyle::ValueMaker.as_str(),
        MandateAgent::Scout | MandateAgent::ContextAware => AnalysisStyle::Value.as_str(),
    }
}

/// An agent as it is when it looks.
fn bettor(agent: &ConfiguredAgent) -> v1::MatchBettor {
    v1::MatchBettor {
        agent_id: agent.id.to_string(),
        account_id: agent.account.to_string(),
        strategy: convert::strategy_of(agent.personality.style()).into(),
        risk_tolerance: i32::from(agent.personality.risk_tolerance()),
        timeframe: agent.timeframe.as_str().to_owned(),
        standing: None,
        bet: None,
    }
}
