//! Configured agents betting on matches. A match is told again whenever its odds change; one worker claims it
//! (`matches.rs`), looks once for each risk tolerance that somebody bets with, and orders for everybody who shares the
//! look. Who bets is a rule (`bettor.rs` of the domain): at most once in a slot of the agent's timeframe, once for an
//! account, and not while the account holds, has ordered or may soon hold some of the match.
//!
//! What another worker has proposed a moment ago, in the slot before this one or because of other odds, nobody here can
//! know. So a bet is proposed as the account's first order on its match, and the guard, which decides one after the
//! other, denies whatever comes second.

use crate::{
    analysis::{NoSnapshot, match_view::contract_id},
    bar_order::bet_request_id,
    bars::as_units,
    claims::End,
    match_wish::{rationale, rules_of, taking, wished},
    matches::{Desk, Told},
    metrics,
    order::order_id,
    proposal::{NotProposed, Origin, agents_key},
    roster::ConfiguredAgent,
    standings::{self, Sent, Standings, Wanted},
};
use ::metrics::{counter, histogram};
use futures::{StreamExt as _, stream};
use opentelemetry::trace::SpanKind;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::debug;
use tragen_bus::usage::Work;
use tragen_contracts::v1;
use tragen_domain::{
    agents::{
        bettor::{Bettor, Involvement, Purse, bets, slot},
        mandate::{MandateAgent, MandateInputs, Wish},
        personality::AnalysisStyle,
        scout::MatchPhase,
        sizing::MandateSize,
    },
    money::Quantity,
    time::Timestamp,
};

/// The shared agent that looks for them.
fn looking(agent: &ConfiguredAgent) -> MandateAgent {
    match agent.personality.style() {
        AnalysisStyle::ValueMaker => MandateAgent::EplTrading,
        AnalysisStyle::Value
        | AnalysisStyle::Scalper
        | AnalysisStyle::Swing
        | AnalysisStyle::Conservative
        | AnalysisStyle::MarketMaker
        | AnalysisStyle::LiveExit => MandateAgent::Scout,
    }
}

/// Who looks, and how boldly: all agents of one share the look.
type Eye = (MandateAgent, u8);

fn eye(agent: &ConfiguredAgent) -> Eye {
    (looking(agent), agent.personality.risk_tolerance())
}

/// Where changes of matches become bets.
pub(crate) struct Bets {
    pub(crate) desk: Desk,
    /// Bets whose outcome nobody can tell yet.
    pub(crate) sent: Sent,
}

/// A bet that an agent wants, and what it will be called.
struct Bet {
    agent: Arc<ConfiguredAgent>,
    key: v1::TradeKey,
    wish: Wish,
    size: MandateSize,
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
        let wishes = self.wishes(&snapshot, &agents).await;
        if wishes.is_empty() {
            return Vec::new();
        }
        for (agent, _) in wishes.keys() {
            counter!(metrics::SIGNALS, "strategy" => strategy(*agent)).increment(1);
        }
        let wanting: Vec<Arc<ConfiguredAgent>> =
            agents.into_iter().filter(|agent| wishes.contains_key(&eye(agent))).collect();
        let accounts = wanting.iter().map(|agent| agent.account.clone()).collect();
        let timeout = Duration::from_millis(self.desk.config.question_timeout_ms);
        let wanted = Wanted { instruments: &snapshot.instruments, timeout, traceparent: &traceparent };
        let standings = standings::read(&self.desk.bus, accounts, &wanted).await;
        let (answered, mut open): (Vec<_>, Vec<_>) =
            wanting.into_iter().partition(|agent| standings.contains_key(&agent.account));
        let bets = stream::iter(self.bets(answered, told, &wishes, &standings)).map(|bet| {
            let snapshot = &snapshot;
            async move {
                let stored = self.propose(&bet, told, snapshot).await;
                if let Err(error) = &stored {
                    debug!("agent {}: {error}", bet.agent.id);
                }
                (bet.agent, stored.is_ok())
            }
        });
        let unstored = bets
            .buffer_unordered(self.desk.config.agents_at_once_max)
            .filter_map(|(agent, is_stored)| std::future::ready((!is_stored).then_some(agent)));
        open.extend(unstored.collect::<Vec<_>>().await);
        histogram!(metrics::SIGNAL_SECONDS).record(started.elapsed().as_secs_f64());
        open
    }

    /// What is worth buying, by who looks.
    async fn wishes(&self, snapshot: &v1::MatchSnapshot, agents: &[Arc<ConfiguredAgent>]) -> BTreeMap<Eye, Wish> {
        let started = Instant::now();
        let personalities: BTreeMap<Eye, _> = agents.iter().map(|agent| (eye(agent), agent.personality)).collect();
        let mut inputs: BTreeMap<MandateAgent, MandateInputs> = BTreeMap::new();
        for (agent, _) in personalities.keys() {
            if !inputs.contains_key(agent) {
                inputs.insert(*agent, self.desk.analysis.mandate_inputs(*agent, snapshot).await);
            }
        }
        let wish = |(eye, own): (&Eye, _)| {
            let (agent, tolerance) = eye;
            match wished(*agent, snapshot, inputs.get(agent)?, &rules_of(own, snapshot)) {
                Ok(wish) => Some((*eye, wish)),
                Err(refusal) => {
                    debug!("{} of risk tolerance {tolerance} buys nothing: {refusal}", agent.as_str());
                    None
                }
            }
        };
        let wishes = personalities.iter().filter_map(wish).collect();
        for agent in inputs.keys() {
            self.desk.parts.usage.add(agent.as_str(), Work { cpu: started.elapsed(), messages: 1, ..Work::default() });
        }
        wishes
    }

    /// Who bets, in the order of the agents.
    fn bets(
        &self,
        agents: Vec<Arc<ConfiguredAgent>>,
        told: &Told,
        wishes: &BTreeMap<Eye, Wish>,
        standings: &Standings,
    ) -> Vec<Bet> {
        let about = told.game.id.as_str();
        let bettors = agents.iter().filter_map(|agent| {
            let standing = standings.get(&agent.account)?.as_ref()?;
            let wish = wishes.get(&eye(agent))?;
            let key = key_of(agent, told);
            let held = standing.positions.iter().map(|own| Quantity::from_micros(own.quantity_micros));
            let on_its_way = self.sent.of_other((&agent.account, about), &key.trade_id);
            let (cash, available) = (standings::cash(standing), as_units(standing.available_micros));
            let capital = self.desk.parts.registry.capital(agent, cash.max(0.0));
            Some(Bettor {
                agent: (agent, key, wish),
                account: &agent.account,
                involvement: Involvement::of(held, standing.orders.len(), on_its_way),
                found: &wish.opportunity,
                share: wish.max_fraction,
                purse: Purse { capital, wallet: available.max(0.0), budget: capital },
            })
        });
        let bet = |((agent, key, wish), size): ((&Arc<ConfiguredAgent>, _, &Wish), _)| Bet {
            agent: Arc::clone(agent),
            key,
            wish: *wish,
            size,
        };
        bets(bettors).into_iter().map(bet).collect()
    }

    async fn propose(&self, bet: &Bet, told: &Told, snapshot: &v1::MatchSnapshot) -> Result<(), NotProposed> {
        let Bet { agent, key, wish, size } = bet;
        // A stopped contract is left alone; the agent may bet on it later.
        let stopped = (v1::ScopeKind::Instrument, contract_id(snapshot, wish.opportunity.outcome));
        if self.desk.parts.control.is_halted(&[stopped]) {
            return Ok(());
        }
        let mut span = self.desk.context.spans.start("evaluate md.match.{match}", SpanKind::Internal, "");
        span.set("agent.kind", wish.agent.as_str());
        let Some(terms) = taking(snapshot, wish, size.contracts, &order_id(&key.trade_id)) else { return Ok(()) };
        let origin = Origin {
            agent: wish.agent.as_str(),
            agent_id: agent.id.to_string(),
            pool: agent.pool.to_string(),
            timeframe: agent.timeframe.as_str(),
            max_trades_per_day: i32::try_from(agent.personality.max_trades_per_day()).unwrap_or(i32::MAX),
            confidence_ppm: Some(wish.confidence_ppm),
            is_first_on_match: true,
        };
        let steam = self.desk.analysis.odds().note(snapshot, wish.opportunity.outcome);
        let decision = self.desk.parts.proposer.order(&terms, origin, rationale(wish, *size) + &steam);
        let meta = v1::Meta { event_id: key.request_id.clone(), ..v1::Meta::default() };
        self.desk.parts.proposer.propose(key.clone(), &meta, &span, decision).await?;
        // Not earlier: what is not stored is tried again.
        let valid_until = Timestamp::from_micros(self.desk.parts.proposer.valid_until_micros());
        self.sent.note((&agent.account, told.game.id.as_str()), &key.trade_id, valid_until);
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

/// The same for every worker and every repeat: of agent, match and slot.
fn key_of(agent: &ConfiguredAgent, told: &Told) -> v1::TradeKey {
    let begin = slot(agent.timeframe, told.at);
    let request = bet_request_id(agent.id.as_str(), agent.timeframe, &told.game.id, begin);
    agents_key(&agent.account, &request)
}
