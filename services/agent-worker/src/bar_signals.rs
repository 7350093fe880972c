//! Acting on a claimed bar (`claims.rs`): the signals it brought become orders of all agents that share them.

use crate::{
    autonomous::{Desk, age_ms, now},
    bar_order::{rationale, request_id},
    bars::Due,
    claims::End,
    control::Permission,
    holdings::{self, Holdings},
    metrics,
    order::{TRADING_AGENT, order_id},
    proposal::{Decision, NotProposed, Origin, agents_key},
    registry::Registry,
    roster::{Audience, ConfiguredAgent},
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
use tragen_contracts::{convert, v1};
use tragen_domain::{
    agents::{
        rebalance::{Rebalance, is_sure_enough, rebalance},
        signal::Signal,
    },
    id::AccountId,
    instrument::Instrument,
    market::{Bar, check_published},
    money::Quantity,
    order::{OrderPrice, OrderTerms, Side, TimeInForce},
};
use tragen_host::retry::Backoff;

/// How long a claimed bar may take to be evaluated here as well.
const EVALUATION_PATIENCE: Duration = Duration::from_secs(2);

impl Desk {
    /// Works on a claimed bar.
    pub(crate) async fn settle(&self, bar: &v1::Bar) -> End {
        // The follower counts what is malformed or from the future.
        let bar = Bar::try_from(bar).ok();
        match bar.filter(|bar| check_published(bar.published_at, now()).is_ok()) {
            Some(bar) => self.act_on(&bar).await,
            None => End::Done,
        }
    }

    async fn act_on(&self, bar: &Bar) -> End {
        if self.is_too_late(bar) {
            return End::Done;
        }
        let series = (bar.instrument.clone(), bar.timeframe);
        let Due::Signals(signals) = self.due(&series, bar.start, EVALUATION_PATIENCE).await else { return End::Open };
        let audiences = self.parts.registry.on_series(&series);
        let evaluated: usize = audiences.iter().map(|audience| audience.agents.len()).sum();
        counter!(metrics::EVALUATIONS).increment(u64::try_from(evaluated).unwrap_or(u64::MAX));
        for (style, signal) in signals {
            let Some(audience) = audiences.iter().find(|audience| audience.style == style) else { continue };
            counter!(metrics::SIGNALS, "strategy" => format!("{style:?}").to_lowercase()).increment(1);
            let started = Instant::now();
            let end = self.act(audience, bar, &signal).await;
            histogram!(metrics::SIGNAL_SECONDS).record(started.elapsed().as_secs_f64());
            if end == End::Open {
                return End::Open;
            }
        }
        End::Done
    }

    /// Brings the positions of all agents to what the signal says. Agents whose account is not answered, or whose
    /// order is not stored, are tried again while the bar is young enough.
    async fn act(&self, audience: &Audience, bar: &Bar, signal: &Signal) -> End {
        let halted = (v1::ScopeKind::Instrument, bar.instrument.to_string());
        // A stopped agent is not evaluated at all.
        let is_working = |agent: &&Arc<ConfiguredAgent>| {
            let mut scopes = agent.scopes();
            scopes.push(halted.clone());
            !self.parts.control.is_halted(&scopes)
        };
        let mut agents: Vec<Arc<ConfiguredAgent>> = audience.agents.iter().filter(is_working).cloned().collect();
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
        loop {
            // A worker that has just started may not know the instrument yet.
            if let Some(instrument) = self.parts.market.instrument(&bar.instrument) {
                agents = self.try_all(agents, bar, signal, &instrument).await;
            }
            if agents.is_empty() {
                return End::Done;
            }
            debug!("{} agents could not act on {} yet", agents.len(), bar.instrument);
            if self.is_too_late(bar) {
                counter!(metrics::TOO_LATE).increment(u64::try_from(agents.len()).unwrap_or(u64::MAX));
                return End::Done;
            }
            if self.context.is_stopping() || self.parts.control.permission() == Permission::GuardSilent {
                return End::Open;
            }
            backoff.wait().await;
        }
    }

    /// One attempt for all of them; gives back those that are not through.
    async fn try_all(
        &self,
        agents: Vec<Arc<ConfiguredAgent>>,
        bar: &Bar,
        signal: &Signal,
        instrument: &Instrument,
    ) -> Vec<Arc<ConfiguredAgent>> {
        let accounts = agents.iter().map(|agent| agent.account.clone()).collect();
        let timeout = Duration::from_millis(self.config.question_timeout_ms);
        let span = self.context.spans.start("read holdings", SpanKind::Client, "");
        let holdings = holdings::read(&self.bus, accounts, instrument, timeout, &span.traceparent()).await;
        drop(span);
        let (answered, mut open): (Vec<_>, Vec<_>) =
            agents.into_iter().partition(|agent| holdings.contains_key(&agent.account));
        let registry = &self.parts.registry;
        let mut wishes = Wishes { holdings: &holdings, positions: BTreeMap::new(), instrument, signal, registry };
        let orders = answered.into_iter().filter_map(|agent| {
            let order = if registry.is_benched(&agent) { wishes.closing(&agent) } else { wishes.of(&agent) };
            order.map(|order| (agent, order))
        });
        let proposed = stream::iter(orders).map(|(agent, order)| async move {
            let stored = self.propose(&agent, bar, signal, order).await;
            if let Err(error) = &stored {
                debug!("agent {}: {error}", agent.id);
            }
            (agent, stored.is_ok())
        });
        let unstored = proposed
            .buffer_unordered(self.config.agents_at_once_max)
            .filter_map(|(agent, is_stored)| std::future::ready((!is_stored).then_some(agent)));
        open.extend(unstored.collect::<Vec<_>>().await);
        open
    }

    async fn propose(
        &self,
        agent: &ConfiguredAgent,
        bar: &Bar,
        signal: &Signal,
        order: Rebalance,
    ) -> Result<(), NotProposed> {
        let mut span = self.context.spans.start("evaluate md.bar.{timeframe}.{instrument}", SpanKind::Internal, "");
        span.set("agent.kind", TRADING_AGENT);
        let request = request_id(agent.id.as_str(), bar.timeframe, &bar.instrument, bar.start);
        let key = agents_key(&agent.account, &request);
        // A trade id with its ending is an order id: it has the characters, and is short enough.
        let Ok(id) = convert::id("order_id", &order_id(&key.trade_id)) else { return Ok(()) };
        let terms = OrderTerms {
            id,
            instrument: bar.instrument.clone(),
            side: order.side,
            price: OrderPrice::Market,
            quantity: order.quantity,
            time_in_force: TimeInForce::Ioc,
            is_reduce_only: order.is_reduce_only,
            is_post_only: false,
        };
        let origin = Origin {
            agent: TRADING_AGENT,
            agent_id: agent.id.to_string(),
            pool: agent.pool.to_string(),
            timeframe: agent.timeframe.as_str(),
            max_trades_per_day: i32::try_from(agent.personality.max_trades_per_day()).unwrap_or(i32::MAX),
            // An exit needs no confidence.
            confidence_ppm: signal.confidence_ppm.filter(|_| !order.is_reduce_only),
            is_first_on_match: false,
        };
        let decision: Decision =
            self.parts.proposer.order(&terms, origin, rationale(agent.personality.style(), signal));
        let meta = v1::Meta { event_id: key.request_id.clone(), ..v1::Meta::default() };
        self.parts.proposer.propose(key, &meta, &span, decision).await?;
        counter!(metrics::AGENT_ORDERS).increment(1);
        Ok(())
    }

    fn is_too_late(&self, bar: &Bar) -> bool {
        age_ms(bar) > self.config.claim_age_ms_max
    }
}

/// What agents want to order, one after the other: those with one account share its position, so the second one
/// does not buy again what the first one has just bought.
struct Wishes<'a> {
    holdings: &'a Holdings,
    positions: BTreeMap<AccountId, Quantity>,
    instrument: &'a Instrument,
    signal: &'a Signal,
    registry: &'a Registry,
}

impl Wishes<'_> {
    fn of(&mut self, agent: &ConfiguredAgent) -> Option<Rebalance> {
        self.toward(agent, self.signal)
    }

    /// Of an agent without a place: what the signal still wants to hold it keeps, everything else it closes.
    fn closing(&mut self, agent: &ConfiguredAgent) -> Option<Rebalance> {
        let position = self.position(agent)?.micros();
        if position.signum() == i64::from(self.signal.direction()) {
            return None;
        }
        let flat = Signal { target: None, ..*self.signal };
        self.toward(agent, &flat)
    }

    fn position(&self, agent: &ConfiguredAgent) -> Option<Quantity> {
        let holding = (*self.holdings.get(&agent.account)?)?;
        Some(self.positions.get(&agent.account).copied().unwrap_or(holding.position))
    }

    fn toward(&mut self, agent: &ConfiguredAgent, signal: &Signal) -> Option<Rebalance> {
        let (holding, position) = ((*self.holdings.get(&agent.account)?)?, self.position(agent)?);
        let capital = self.registry.capital(agent, holding.cash);
        if !is_sure_enough(&agent.personality, signal) {
            let (own, least) = (signal.confidence_ppm.unwrap_or(0), agent.personality.min_confidence_ppm());
            counter!(metrics::UNSURE).increment(1);
            debug!("agent {} opens nothing: its confidence of {own} ppm is below {least} ppm", agent.id);
        }
        let order = rebalance(&agent.personality, self.instrument, signal, capital, position)?;
        let change = match order.side {
            Side::Buy => order.quantity.micros(),
            Side::Sell => -order.quantity.micros(),
        };
        let after = Quantity::from_micros(position.micros().saturating_add(change));
        self.positions.insert(agent.account.clone(), after);
        Some(order)
    }
}
