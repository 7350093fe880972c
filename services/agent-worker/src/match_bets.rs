//! Configured agents betting on matches. A match is told again whenever its odds change; one worker claims it
//! (`claims.rs`), looks once for each risk tolerance that somebody bets with, and orders for everybody who shares the
//! look. An agent bets on a match at most once in a slot of its timeframe, and not while its account holds any of it.

use crate::{
    analysis::{self, NoSnapshot, match_view::contract_id},
    autonomous::{Parts, now},
    bar_order::bet_request_id,
    claims::{Claims, End},
    config::Config,
    control::Permission,
    holdings::{self, Holdings},
    match_wish::{rationale, rules_of, taking, wished},
    metrics,
    order::order_id,
    proposal::{NotProposed, Origin, agents_key},
    roster::ConfiguredAgent,
};
use ::metrics::{counter, histogram};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use opentelemetry::trace::SpanKind;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::debug;
use tragen_bus::{Bus, Consumer, usage::Work};
use tragen_contracts::v1;
use tragen_domain::{
    agents::{
        bettor::{Purse, bet_size, slot},
        mandate::{MandateAgent, MandateInputs, Wish},
        sizing::MandateSize,
    },
    id::AccountId,
    instrument::Instrument,
    market::{Match, MatchStatus, check_published},
    time::Timestamp,
};
use tragen_host::{Context, retry::Backoff};

/// The shared agent that looks for them.
const AGENT: MandateAgent = MandateAgent::Scout;

/// Where changes of matches become bets.
struct Desk {
    context: Context,
    bus: Bus,
    config: Arc<Config>,
    parts: Parts,
    analysis: Arc<analysis::Desk>,
}

/// A match that was told.
struct Told {
    game: Match,
    /// Market time.
    at: Timestamp,
}

/// A bet that an agent wants.
struct Bet {
    agent: Arc<ConfiguredAgent>,
    wish: Wish,
    size: MandateSize,
}

/// Starts looking at matches whose odds change.
pub(crate) fn start(
    context: &Context,
    bus: &Bus,
    config: &Arc<Config>,
    (parts, analysis): (Parts, &Arc<analysis::Desk>),
) {
    let control = parts.control.clone();
    let desk = Arc::new(Desk {
        context: context.clone(),
        bus: bus.clone(),
        config: Arc::clone(config),
        parts,
        analysis: Arc::clone(analysis),
    });
    let act = move |told: v1::Match| -> BoxFuture<'static, End> {
        let desk = Arc::clone(&desk);
        async move { desk.settle(&told).await }.boxed()
    };
    Claims::<v1::Match> {
        context: context.clone(),
        bus: bus.clone(),
        control,
        consumer: Consumer::WorkerMatches,
        at_once_max: config.claims_at_once_max,
        act: Arc::new(act),
    }
    .start();
}

impl Desk {
    /// Works on a claimed match.
    async fn settle(&self, told: &v1::Match) -> End {
        let game = Match::try_from(told).ok().filter(|game| check_published(game.published_at, now()).is_ok());
        let Some(game) = game else {
            counter!(metrics::MALFORMED, "kind" => "match").increment(1);
            return End::Done;
        };
        // Once the ball rolls nobody bets by odds made before.
        if game.status != MatchStatus::Scheduled || told.event_time_micros == 0 || self.is_too_late(&game) {
            return End::Done;
        }
        let is_working = |agent: &Arc<ConfiguredAgent>| {
            !self.parts.control.is_halted(&agent.scopes()) && !self.parts.registry.is_benched(agent)
        };
        let mut agents = self.parts.registry.bettors_on(&game.id);
        agents.retain(is_working);
        counter!(metrics::EVALUATIONS).increment(u64::try_from(agents.len()).unwrap_or(u64::MAX));
        let told = Told { at: Timestamp::from_micros(told.event_time_micros), game };
        self.act(&told, agents).await
    }

    /// Agents whose account is not answered, or whose order is not stored, are tried again while the odds are young
    /// enough, each time on what is quoted then.
    async fn act(&self, told: &Told, mut agents: Vec<Arc<ConfiguredAgent>>) -> End {
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
        while !agents.is_empty() {
            agents = self.try_all(agents, told).await;
            if agents.is_empty() {
                break;
            }
            debug!("{} agents could not bet on {} yet", agents.len(), told.game.id);
            if self.is_too_late(&told.game) {
                counter!(metrics::TOO_LATE).increment(u64::try_from(agents.len()).unwrap_or(u64::MAX));
                break;
            }
            if self.context.is_stopping() || self.parts.control.permission() == Permission::GuardSilent {
                return End::Open;
            }
            backoff.wait().await;
        }
        End::Done
    }

    /// One attempt for all of them; gives back those that are not through.
    async fn try_all(&self, agents: Vec<Arc<ConfiguredAgent>>, told: &Told) -> Vec<Arc<ConfiguredAgent>> {
        let span = self.context.spans.start("look at md.match.{match}", SpanKind::Internal, "");
        let traceparent = span.traceparent();
        let snapshot = match self.analysis.snapshot(told.game.id.as_str(), &traceparent).await {
            Ok(snapshot) => snapshot,
            Err(NoSnapshot::Unknown(_)) => return Vec::new(),
            Err(NoSnapshot::Silent(_)) => return agents,
        };
        let started = Instant::now();
        let wishes = self.wishes(&snapshot, &agents);
        if wishes.is_empty() {
            return Vec::new();
        }
        counter!(metrics::SIGNALS, "strategy" => "value").increment(1);
        let wanting: Vec<Arc<ConfiguredAgent>> =
            agents.into_iter().filter(|agent| wishes.contains_key(&agent.personality.risk_tolerance())).collect();
        let accounts = wanting.iter().map(|agent| agent.account.clone()).collect();
        let wallets = self.wallets(accounts, &snapshot, &traceparent).await;
        let (answered, mut open): (Vec<_>, Vec<_>) =
            wanting.into_iter().partition(|agent| wallets.contains_key(&agent.account));
        let bets = stream::iter(self.bets(answered, &wishes, &wallets)).map(|bet| {
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
            .buffer_unordered(self.config.agents_at_once_max)
            .filter_map(|(agent, is_stored)| std::future::ready((!is_stored).then_some(agent)));
        open.extend(unstored.collect::<Vec<_>>().await);
        histogram!(metrics::SIGNAL_SECONDS).record(started.elapsed().as_secs_f64());
        open
    }

    /// What is worth buying, by risk tolerance: all agents of one share the look.
    fn wishes(&self, snapshot: &v1::MatchSnapshot, agents: &[Arc<ConfiguredAgent>]) -> BTreeMap<u8, Wish> {
        let started = Instant::now();
        let personalities: BTreeMap<u8, _> =
            agents.iter().map(|agent| (agent.personality.risk_tolerance(), agent.personality)).collect();
        let look = |personality| wished(AGENT, snapshot, &MandateInputs::default(), &rules_of(personality, snapshot));
        let wishes = personalities.iter().filter_map(|(tolerance, own)| Some((*tolerance, look(own).ok()?))).collect();
        self.parts.usage.add(AGENT.as_str(), Work { cpu: started.elapsed(), messages: 1, ..Work::default() });
        wishes
    }

    /// Cash of each account that was answered, units of the currency; `None` for one that has no wallet in it or that
    /// holds some of the match already.
    async fn wallets(
        &self,
        accounts: BTreeSet<AccountId>,
        snapshot: &v1::MatchSnapshot,
        traceparent: &str,
    ) -> BTreeMap<AccountId, Option<f64>> {
        let timeout = Duration::from_millis(self.config.question_timeout_ms);
        let contracts: Vec<Instrument> =
            snapshot.instruments.iter().filter_map(|contract| Instrument::try_from(contract).ok()).collect();
        let mut questions = Vec::with_capacity(contracts.len());
        for contract in &contracts {
            questions.push(holdings::read(&self.bus, accounts.clone(), contract, timeout, traceparent));
        }
        let answers: Vec<Holdings> = futures::future::join_all(questions).await;
        let free = |account: &AccountId| {
            let own: Option<Vec<_>> = answers.iter().map(|holdings| holdings.get(account)).collect();
            own.map(|own| {
                let first = (**own.first()?)?;
                own.iter().all(|holding| holding.is_some_and(|one| one.position.is_zero())).then_some(first.cash)
            })
        };
        accounts.iter().filter_map(|account| Some((account.clone(), free(account)?))).collect()
    }

    /// One bet for each account, by the first of its agents that wants one.
    fn bets(
        &self,
        agents: Vec<Arc<ConfiguredAgent>>,
        wishes: &BTreeMap<u8, Wish>,
        wallets: &BTreeMap<AccountId, Option<f64>>,
    ) -> Vec<Bet> {
        let mut betting: BTreeSet<AccountId> = BTreeSet::new();
        let bets = agents.into_iter().filter_map(|agent| {
            let wallet = (*wallets.get(&agent.account)?)?.max(0.0);
            let wish = *wishes.get(&agent.personality.risk_tolerance())?;
            if betting.contains(&agent.account) {
                return None;
            }
            let capital = self.parts.registry.capital(&agent, wallet);
            let purse = Purse { capital, wallet, budget: capital };
            let size = bet_size(&wish.opportunity, wish.max_fraction, &purse).ok()?;
            if size.contracts == 0 {
                return None;
            }
            betting.insert(agent.account.clone());
            Some(Bet { agent, wish, size })
        });
        bets.collect()
    }

    async fn propose(&self, bet: &Bet, told: &Told, snapshot: &v1::MatchSnapshot) -> Result<(), NotProposed> {
        let Bet { agent, wish, size } = bet;
        // A stopped contract is left alone; the agent may bet on it later.
        let stopped = (v1::ScopeKind::Instrument, contract_id(snapshot, wish.opportunity.outcome));
        if self.parts.control.is_halted(&[stopped]) {
            return Ok(());
        }
        let mut span = self.context.spans.start("evaluate md.match.{match}", SpanKind::Internal, "");
        span.set("agent.kind", AGENT.as_str());
        let begin = slot(agent.timeframe, told.at);
        let request = bet_request_id(agent.id.as_str(), agent.timeframe, &told.game.id, begin);
        let key = agents_key(&agent.account, &request);
        let Some(terms) = taking(snapshot, wish, size.contracts, &order_id(&key.trade_id)) else { return Ok(()) };
        let origin = Origin {
            agent: AGENT.as_str(),
            agent_id: agent.id.to_string(),
            pool: agent.pool.to_string(),
            timeframe: agent.timeframe.as_str(),
            max_trades_per_day: i32::try_from(agent.personality.max_trades_per_day()).unwrap_or(i32::MAX),
        };
        let decision = self.parts.proposer.order(&terms, origin, rationale(wish, *size));
        let meta = v1::Meta { event_id: key.request_id.clone(), ..v1::Meta::default() };
        self.parts.proposer.propose(key, &meta, &span, decision).await?;
        counter!(metrics::AGENT_ORDERS).increment(1);
        Ok(())
    }

    fn is_too_late(&self, game: &Match) -> bool {
        now().millis_since(game.published_at) > self.config.claim_age_ms_max
    }
}
