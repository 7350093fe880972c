//! Configured agents trading on bars. A bar is evaluated once per rule set; the
//! signal is shared by all agents on it. The trade id is derived from agent and
//! bar, so however often a bar is seen the guard decides once.

use crate::{
    bars::{Age, BarBook, as_units},
    config::Config,
    control::{Control, Permission},
    market_view::MarketView,
    metrics,
    order::{TRADING_AGENT, order_id},
    proposal::{Decision, Origin, Proposer},
    registry::{ConfiguredAgent, Registry},
};
use ::metrics::counter;
use futures::{StreamExt as _, stream};
use opentelemetry::trace::SpanKind;
use prost::Message as _;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::debug;
use tragen_bus::{
    Ask, Bus, BusError, StartAt, Stream,
    usage::{Usage, Work},
};
use tragen_contracts::{convert, trade_id, v1};
use tragen_domain::{
    agents::{rebalance::rebalance, signal::Signal},
    instrument::Instrument,
    market::Bar,
    money::Quantity,
    order::{OrderPrice, OrderTerms, TimeInForce},
};
use tragen_host::{Context, clock};
use uuid::{Builder, Uuid};

/// What autonomous trading needs of the rest of the worker.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) control: Control,
    pub(crate) market: MarketView,
    pub(crate) registry: Registry,
    pub(crate) proposer: Proposer,
    pub(crate) usage: Usage,
}

struct Desk {
    context: Context,
    bus: Bus,
    config: Arc<Config>,
    parts: Parts,
}

/// Starts evaluating bars.
pub(crate) async fn start(context: &Context, bus: &Bus, config: &Arc<Config>, parts: Parts) -> Result<(), BusError> {
    let mut facts = bus.follow(context, Stream::Bars, "", StartAt::Beginning).await?;
    let desk = Arc::new(Desk { context: context.clone(), bus: bus.clone(), config: Arc::clone(config), parts });
    context.spawn("bars", async move {
        let mut book = BarBook::new(desk.config.bars_kept);
        while let Some(fact) = facts.next().await {
            match v1::Bar::decode(fact.payload).ok().and_then(|bar| Bar::try_from(&bar).ok()) {
                Some(bar) => desk.on_bar(&mut book, &bar).await,
                None => counter!(metrics::MALFORMED, "kind" => "bar").increment(1),
            }
        }
        Ok(())
    });
    Ok(())
}

impl Desk {
    async fn on_bar(self: &Arc<Self>, book: &mut BarBook, bar: &Bar) {
        let styles = self.parts.registry.styles(&bar.instrument, bar.timeframe);
        let age_ms = (clock::now_micros() - bar.published_at.micros()) / 1_000;
        let is_live = age_ms <= self.config.bar_age_ms_max && self.parts.control.permission() == Permission::Granted;
        let started = Instant::now();
        let signals = book.take(bar, &styles, if is_live { Age::Live } else { Age::History });
        self.parts.usage.add(TRADING_AGENT, Work { cpu: started.elapsed(), messages: 1, ..Work::default() });
        counter!(metrics::BARS).increment(1);
        for (style, signal) in signals {
            counter!(metrics::SIGNALS, "strategy" => format!("{style:?}").to_lowercase()).increment(1);
            let agents = self.parts.registry.agents(style, &bar.instrument, bar.timeframe);
            // A stopped agent is not evaluated at all.
            let working = agents.into_iter().filter(|agent| !self.parts.control.is_halted(&agent.scopes()));
            let trades = working.map(|agent| self.trade(agent, bar, signal));
            stream::iter(trades).for_each_concurrent(self.config.agents_at_once_max, std::convert::identity).await;
        }
    }

    /// Brings one agent's position to what the signal says.
    async fn trade(&self, agent: Arc<ConfiguredAgent>, bar: &Bar, signal: Signal) {
        let scopes = [
            (v1::ScopeKind::Pool, agent.pool.as_str()),
            (v1::ScopeKind::Agent, agent.id.as_str()),
            (v1::ScopeKind::Instrument, bar.instrument.as_str()),
            (v1::ScopeKind::Account, agent.account.as_str()),
        ];
        let (state, _) = self.parts.control.state_of(&scopes);
        if matches!(state, v1::TradingState::Halted | v1::TradingState::Unspecified) {
            return;
        }
        let Some(instrument) = self.parts.market.instrument(&bar.instrument) else { return };
        let mut span = self.context.spans.start("evaluate md.bar.{timeframe}.{instrument}", SpanKind::Internal, "");
        span.set("agent.kind", TRADING_AGENT);
        let Some((cash, position)) = self.account(&agent, &instrument, &span.traceparent()).await else { return };
        let Some(order) = rebalance(&agent.personality, &instrument, &signal, cash, position) else { return };
        let key = trade_key(&agent, bar);
        let Ok(id) = convert::id("order_id", &order_id(&key.trade_id)) else { return };
        let terms = OrderTerms {
            id,
            instrument: bar.instrument.clone(),
            side: order.side,
            price: OrderPrice::Market,
            quantity: order.quantity,
            time_in_force: TimeInForce::Ioc,
            is_reduce_only: order.is_reduce_only,
        };
        let origin = Origin {
            agent: TRADING_AGENT,
            agent_id: agent.id.to_string(),
            pool: agent.pool.to_string(),
            timeframe: agent.timeframe.as_str(),
            max_trades_per_day: i32::try_from(agent.personality.max_trades_per_day()).unwrap_or(i32::MAX),
        };
        let rationale = rationale(&agent, &signal);
        let decision: Decision = self.parts.proposer.order(&terms, origin, rationale);
        let meta = v1::Meta { event_id: key.request_id.clone(), ..v1::Meta::default() };
        counter!(metrics::AGENT_ORDERS).increment(1);
        if let Err(error) = self.parts.proposer.propose(key, &meta, &span, decision).await {
            debug!("agent {}: {error}", agent.id);
        }
    }

    /// Cash and signed position of the agent's account, asked for when needed.
    async fn account(
        &self,
        agent: &ConfiguredAgent,
        instrument: &Instrument,
        traceparent: &str,
    ) -> Option<(f64, Quantity)> {
        let ask = |question| {
            let question = v1::LedgerQuestion {
                account_id: agent.account.to_string(),
                question: Some(question),
                traceparent: traceparent.to_owned(),
            };
            let timeout = Duration::from_millis(self.config.question_timeout_ms);
            async move { self.bus.ask::<_, v1::LedgerAnswer>(Ask::Ledger, &question, timeout).await.ok()?.answer }
        };
        let currency = instrument.settlement.currency.to_string();
        let account = v1::GetAccountRequest { currency, ..v1::GetAccountRequest::default() };
        let positions = v1::ListPositionsRequest { page_size: 500, ..v1::ListPositionsRequest::default() };
        let (account, positions) = tokio::join!(
            ask(v1::ledger_question::Question::GetAccount(account)),
            ask(v1::ledger_question::Question::ListPositions(positions)),
        );
        let Some(v1::ledger_answer::Answer::Account(v1::GetAccountResponse { account: Some(account) })) = account
        else {
            debug!("agent {} has no money in {}", agent.id, instrument.settlement.currency);
            return None;
        };
        let Some(v1::ledger_answer::Answer::Positions(positions)) = positions else { return None };
        let held = positions.positions.iter().find(|p| p.instrument_id == instrument.id.as_str());
        Some((as_units(account.cash_micros), Quantity::from_micros(held.map_or(0, |p| p.quantity_micros))))
    }
}

/// The same bar gives every worker the same request: whoever proposes it a second time changes nothing.
fn trade_key(agent: &ConfiguredAgent, bar: &Bar) -> v1::TradeKey {
    let request_id = request_id(agent, bar).to_string();
    v1::TradeKey {
        trade_id: trade_id(agent.account.as_str(), &request_id).to_string(),
        request_id,
        account_id: agent.account.to_string(),
        tier: v1::Tier::Standard.into(),
        payload_hash: bytes::Bytes::new(),
        created_at_micros: clock::now_micros(),
    }
}

/// A UUIDv7 as of any other request, made at the bar's start; the rest is a hash of agent, timeframe and instrument.
fn request_id(agent: &ConfiguredAgent, bar: &Bar) -> Uuid {
    let name = format!("{}-{}-{}", agent.id, bar.timeframe.as_str(), bar.instrument);
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).into_bytes();
    let mut rest = [0; 10];
    rest.copy_from_slice(&hash[..10]);
    let millis = u64::try_from(bar.start.micros() / 1_000).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
}

fn rationale(agent: &ConfiguredAgent, signal: &Signal) -> String {
    let target = match signal.target {
        Some(direction) => format!("{direction:?}").to_lowercase(),
        None => "flat".to_owned(),
    };
    let why = signal.reason.or_else(|| signal.closed.as_ref().map(|closed| closed.reason));
    let why = why.map_or_else(String::new, |reason| format!(" ({reason:?})"));
    format!("{:?}: {target} at {:.5}{why}", agent.personality.style(), signal.reference_price)
}
