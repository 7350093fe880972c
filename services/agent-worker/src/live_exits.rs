//! Configured agents leaving matches in play. Whoever claims a match that was told in play (`matches.rs`) watches it until
//! it is told again: every second it looks at what the agents' accounts hold, and sells, reduce-only, what a rule of the
//! domain (`live_trading.rs`, `exiting.rs`) says is to be left. Prices move, freezes end and feeds fall silent between
//! two tellings; a worker that dies leaves its claim to another one.
//!
//! An order is named by agent, contract and the telling, so whoever sells a second time changes nothing, and a contract is
//! ordered once each time; what is left of it waits for the next.

use crate::{
    analysis::{
        NoSnapshot,
        match_view::{contract, contract_id, phase},
    },
    bar_order::exit_request_id,
    claims::End,
    control::Permission,
    matches::{Desk, Told},
    metrics,
    order::order_id,
    proposal::{NotProposed, Origin, agents_key},
    roster::ConfiguredAgent,
    standings::{self, Sent, Wanted},
};
use ::metrics::counter;
use futures::{StreamExt as _, stream};
use opentelemetry::trace::SpanKind;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::debug;
use tragen_bus::usage::Work;
use tragen_contracts::{convert, v1};
use tragen_domain::{
    agents::{
        exiting::{ExitOrder, exit_order},
        fair_line::Outcome,
        live_trading::WaysOut,
        scout::MatchPhase,
    },
    id::AccountId,
    market::MatchStatus,
    order::{OrderTerms, Side, TimeInForce},
    time::Timestamp,
};

/// The shared agent that decides.
const AGENT: &str = "liveTradingAgent";
/// Nobody watches a match for longer after it was told last: a match with its break.
const WATCH_MAX: Duration = Duration::from_secs(3 * 3_600);

/// Where matches in play are left.
pub(crate) struct Exits {
    pub(crate) desk: Desk,
    /// Orders whose outcome nobody can tell yet.
    pub(crate) sent: Sent,
}

/// One look at a match.
struct Look<'a> {
    told: &'a Told,
    snapshot: &'a v1::MatchSnapshot,
    standing: &'a v1::Standing,
    traceparent: &'a str,
}

impl Exits {
    /// Watches a claimed match until it is told again.
    pub(crate) async fn settle(&self, told: &Told) -> End {
        let (started, every) = (Instant::now(), Duration::from_millis(self.desk.config.exit_look_ms));
        // Contracts that are ordered since the match was told.
        let mut ordered = BTreeSet::new();
        while told.game.status == MatchStatus::InPlay && started.elapsed() < WATCH_MAX {
            let agents = self.agents(told);
            if agents.is_empty() {
                break;
            }
            match self.desk.analysis.snapshot(told.game.id.as_str(), "").await {
                Ok(snapshot) if is_told_again(told, &snapshot) => break,
                Ok(snapshot) => self.look(agents, told, &snapshot, &mut ordered).await,
                Err(NoSnapshot::Unknown(_)) => break,
                // Who does not answer here may well tell the guard: nothing is known to be old.
                Err(NoSnapshot::Silent(why)) => debug!("{} is looked at later: {why}", told.game.id),
            }
            if self.desk.context.is_stopping() || self.desk.parts.control.permission() == Permission::GuardSilent {
                return End::Open;
            }
            tokio::select! {
                () = self.desk.context.stopped() => {}
                () = tokio::time::sleep(every) => {}
            }
        }
        End::Done
    }

    /// Who leaves the match by itself now, one for each account: the first by id. One without a place in its pool does,
    /// too: it only closes.
    fn agents(&self, told: &Told) -> Vec<Arc<ConfiguredAgent>> {
        let mut accounts: BTreeSet<AccountId> = BTreeSet::new();
        let mut agents = self.desk.parts.registry.exiters_on(&told.game.id);
        agents.retain(|agent| {
            !self.desk.parts.control.is_halted(&agent.scopes()) && accounts.insert(agent.account.clone())
        });
        agents
    }

    async fn look(
        &self,
        agents: Vec<Arc<ConfiguredAgent>>,
        told: &Told,
        snapshot: &v1::MatchSnapshot,
        ordered: &mut BTreeSet<String>,
    ) {
        let span = self.desk.context.spans.start("look at md.match.{match} in play", SpanKind::Internal, "");
        let traceparent = &span.traceparent();
        let started = Instant::now();
        counter!(metrics::EVALUATIONS).increment(u64::try_from(agents.len()).unwrap_or(u64::MAX));
        let accounts = agents.iter().map(|agent| agent.account.clone()).collect();
        let timeout = Duration::from_millis(self.desk.config.question_timeout_ms);
        let wanted = Wanted { instruments: &snapshot.instruments, timeout, traceparent };
        let standings = &standings::read(&self.desk.bus, accounts, &wanted).await;
        let known = &*ordered;
        let looked = stream::iter(agents).map(|agent| async move {
            let standing = standings.get(&agent.account).and_then(Option::as_ref);
            let Some(standing) = standing.filter(|standing| holds(standing, snapshot)) else { return Vec::new() };
            self.leave(&agent, &Look { told, snapshot, standing, traceparent }, known).await
        });
        let new: Vec<String> = looked.buffer_unordered(self.desk.config.agents_at_once_max).concat().await;
        ordered.extend(new);
        self.desk.parts.usage.add(AGENT, Work { cpu: started.elapsed(), messages: 1, ..Work::default() });
    }

    /// Orders what one agent leaves now; says which contracts, as `account contract`.
    async fn leave(&self, agent: &Arc<ConfiguredAgent>, look: &Look<'_>, ordered: &BTreeSet<String>) -> Vec<String> {
        let Look { told, snapshot, standing, traceparent } = look;
        let decided = self.desk.analysis.exits(snapshot, standing, (WaysOut::SellOnly, traceparent)).await;
        let decisions = match decided {
            Ok(decisions) => decisions,
            Err(why) => {
                debug!("agent {} does not know what to do with {}: {why}", agent.id, told.game.id);
                return Vec::new();
            }
        };
        let mut left = Vec::new();
        for outcome in Outcome::ALL {
            let Some(exit) = exit_order(&outcome.of(&decisions)) else { continue };
            let about = format!("{} {}", agent.account, contract_id(snapshot, outcome));
            if ordered.contains(&about) || self.is_on_its_way(agent, outcome, look) {
                continue;
            }
            match self.propose(agent, (outcome, &exit), look).await {
                Ok(()) => left.push(about),
                Err(error) => debug!("agent {}: {error}", agent.id),
            }
        }
        left
    }

    /// Whether an earlier order of the agent may still sell some of the contract.
    fn is_on_its_way(&self, agent: &ConfiguredAgent, outcome: Outcome, look: &Look<'_>) -> bool {
        let id = contract_id(look.snapshot, outcome);
        let is_own = |order: &v1::StandingOrder| order.instrument_id == id && order.agent_id == agent.id.as_str();
        let key = key_of(agent, &id, look.told);
        look.standing.orders.iter().any(is_own)
            || self.sent.of_other((&agent.account, &id), &key.trade_id).may_be_decided()
    }

    async fn propose(
        &self,
        agent: &ConfiguredAgent,
        (outcome, exit): (Outcome, &ExitOrder),
        look: &Look<'_>,
    ) -> Result<(), NotProposed> {
        let Some(contract) = contract(look.snapshot, outcome) else { return Ok(()) };
        // What a halt forbids the guard takes out itself, or leaves to people.
        if self.desk.parts.control.is_halted(&[(v1::ScopeKind::Instrument, contract.instrument_id.clone())]) {
            return Ok(());
        }
        let key = key_of(agent, &contract.instrument_id, look.told);
        let ids =
            (convert::id("order_id", &order_id(&key.trade_id)), convert::id("instrument_id", &contract.instrument_id));
        let (Ok(id), Ok(instrument)) = ids else { return Ok(()) };
        let terms = OrderTerms {
            id,
            instrument,
            side: Side::Sell,
            price: exit.price,
            quantity: exit.contracts,
            time_in_force: TimeInForce::Ioc,
            is_reduce_only: true,
            is_post_only: false,
        };
        let origin = Origin {
            agent: AGENT,
            agent_id: agent.id.to_string(),
            pool: agent.pool.to_string(),
            timeframe: agent.timeframe.as_str(),
            // No number of trades keeps anybody from leaving.
            max_trades_per_day: 0,
            ..Origin::default()
        };
        let mut span = self.desk.context.spans.start("evaluate md.match.{match}", SpanKind::Internal, look.traceparent);
        span.set("agent.kind", AGENT);
        let rationale = format!("LiveExit: leaves {} of {outcome:?}, {}", exit.contracts, exit.reason);
        let decision = self.desk.parts.proposer.order(&terms, origin, rationale);
        let meta = v1::Meta { event_id: key.request_id.clone(), ..v1::Meta::default() };
        self.desk.parts.proposer.propose(key.clone(), &meta, &span, decision).await?;
        // Not earlier: what is not stored is tried again.
        let valid_until = Timestamp::from_micros(self.desk.parts.proposer.valid_until_micros());
        self.sent.note((&agent.account, &contract.instrument_id), &key.trade_id, valid_until);
        counter!(metrics::SIGNALS, "strategy" => "live_exit").increment(1);
        counter!(metrics::AGENT_ORDERS).increment(1);
        Ok(())
    }
}

/// Whether it was told again since, so that somebody else watches it now; or is over.
fn is_told_again(told: &Told, snapshot: &v1::MatchSnapshot) -> bool {
    let newest = snapshot.r#match.as_ref().map_or(0, |game| game.published_at_micros);
    newest > told.game.published_at.micros() || phase(snapshot) == MatchPhase::Finished
}

/// Whether the account holds some of the match.
fn holds(standing: &v1::Standing, snapshot: &v1::MatchSnapshot) -> bool {
    let is_held = |id: &str| standing.positions.iter().any(|own| own.instrument_id == id && own.quantity_micros > 0);
    snapshot.instruments.iter().any(|own| is_held(&own.instrument_id))
}

/// The same for every worker and every repeat: of agent, contract and the telling. A feed that begins anew tells the same
/// market time once more, at another time of the day.
fn key_of(agent: &ConfiguredAgent, contract: &str, told: &Told) -> v1::TradeKey {
    agents_key(&agent.account, &exit_request_id(agent.id.as_str(), contract, (told.at, told.game.published_at)))
}
