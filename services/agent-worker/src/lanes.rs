//! Taking requests off the three lanes, weighted so that premium is fast and
//! free never starves.

use crate::{
    analysis,
    config::Config,
    control::{Control, Permission, Thing},
    mandate::{self, Desk},
    market_view::MarketView,
    metrics, order,
    proposal::{Decision, Proposer},
};
use ::metrics::{counter, histogram};
use futures::future::join_all;
use opentelemetry::trace::SpanKind;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use tracing::debug;
use tragen_bus::{
    Bus, Consumer, Delivery, Puller,
    usage::{Usage, Work},
};
use tragen_contracts::v1;
use tragen_domain::{id::InstrumentId, routing::LaneScheduler, tier::Tier};
use tragen_host::{Context, clock};

type Lane = Puller<v1::TradeRequestedBatch>;
type Batch = Delivery<v1::TradeRequestedBatch>;

/// What the lanes need of the rest of the worker.
pub(crate) struct Parts {
    pub(crate) control: Control,
    pub(crate) proposer: Proposer,
    pub(crate) desk: Desk,
    pub(crate) market: MarketView,
    pub(crate) analysis: Arc<analysis::Desk>,
    pub(crate) usage: Usage,
}

struct Handler {
    context: Context,
    control: Control,
    proposer: Proposer,
    desk: Desk,
    market: MarketView,
    analysis: Arc<analysis::Desk>,
    usage: Usage,
}

/// How often the bus is told that a batch is still worked on: an answer may take longer than it waits for an ack.
const STILL_WORKING: Duration = Duration::from_millis(500);

/// Starts taking requests whenever the guard is alive.
pub(crate) fn start(context: &Context, bus: &Bus, config: &Arc<Config>, parts: Parts) {
    let Parts { control, proposer, desk, market, analysis, usage } = parts;
    let handler = Arc::new(Handler { context: context.clone(), control, proposer, desk, market, analysis, usage });
    let (context, bus, config) = (context.clone(), bus.clone(), Arc::clone(config));
    context.clone().spawn("lanes", async move {
        let stopped = context.stopped();
        tokio::pin!(stopped);
        let mut scheduler = LaneScheduler::new(config.tier_weights);
        let slots = Arc::new(Semaphore::new(config.batches_at_once_max));
        loop {
            tokio::select! {
                () = &mut stopped => break,
                () = handler.control.wait_granted() => {}
            }
            let mut lanes = Lanes::open(&context, &bus);
            tokio::select! {
                () = &mut stopped => {}
                () = work(&context, &handler, &mut lanes, &mut scheduler, &slots) => {}
            }
            lanes.give_back().await;
        }
        Ok(())
    });
}

/// Works until the guard falls silent or the process stops. Cancel-safe: what
/// was taken off a lane is either handed to a task of its own or kept in `lanes`.
async fn work(
    context: &Context,
    handler: &Arc<Handler>,
    lanes: &mut Lanes,
    scheduler: &mut LaneScheduler,
    slots: &Arc<Semaphore>,
) {
    loop {
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else { return };
        tokio::select! {
            () = handler.control.wait_silent() => return,
            is_open = lanes.wait_for_work() => if !is_open { return },
        }
        if handler.control.permission() == Permission::GuardSilent {
            return;
        }
        let Some((tier, batch)) = lanes.take(scheduler) else { continue };
        let handler = Arc::clone(handler);
        context.spawn("requests", async move {
            handler.handle(tier, batch).await;
            drop(slot);
            Ok(())
        });
    }
}

/// The three lanes and what is at their heads.
struct Lanes {
    pullers: [Lane; 3],
    heads: [Option<Batch>; 3],
}

impl Lanes {
    fn open(context: &Context, bus: &Bus) -> Self {
        let consumers = [Consumer::WorkerPremium, Consumer::WorkerStandard, Consumer::WorkerFree];
        Self { pullers: consumers.map(|consumer| bus.pull(context, consumer)), heads: [None, None, None] }
    }

    /// Waits until some lane has work; false when the process stops.
    async fn wait_for_work(&mut self) -> bool {
        for (head, lane) in self.heads.iter_mut().zip(&mut self.pullers) {
            if head.is_none() {
                *head = lane.try_next();
            }
        }
        if self.heads.iter().any(Option::is_some) {
            return true;
        }
        let [premium, standard, free] = &mut self.pullers;
        let (lane, batch) = tokio::select! {
            batch = premium.next() => (0, batch),
            batch = standard.next() => (1, batch),
            batch = free.next() => (2, batch),
        };
        self.heads[lane] = batch;
        self.heads[lane].is_some()
    }

    /// The batch whose tier's turn it is.
    fn take(&mut self, scheduler: &mut LaneScheduler) -> Option<(Tier, Batch)> {
        let tier = scheduler.next(&[self.heads[0].is_some(), self.heads[1].is_some(), self.heads[2].is_some()])?;
        let lane = Tier::ALL.iter().position(|candidate| *candidate == tier)?;
        self.heads[lane].take().map(|batch| (tier, batch))
    }

    /// Leaves everything not begun to the next worker.
    async fn give_back(self) {
        for batch in self.heads.into_iter().flatten() {
            batch.retry(Duration::ZERO).await;
        }
        for lane in self.pullers {
            lane.give_back().await;
        }
    }
}

/// Does `work` and tells the bus meanwhile that the batch is not lost.
async fn still_working<T>(batch: &Batch, work: impl Future<Output = T>) -> T {
    let mut tick = tokio::time::interval(STILL_WORKING);
    tick.reset();
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = tick.tick() => batch.in_progress().await,
        }
    }
}

impl Handler {
    /// Handles every request of the batch, then acks; a batch that could not be
    /// proposed comes again, and the guard knows what it has decided already.
    async fn handle(&self, tier: Tier, batch: Batch) {
        let started = Instant::now();
        let redelivered = if batch.deliveries > 1 { batch.traceparent() } else { "" };
        let requests = batch.message.requests.iter().map(|request| self.handle_one(tier, request, redelivered));
        let handled = still_working(&batch, join_all(requests)).await;
        histogram!(metrics::BATCH_SECONDS).record(started.elapsed().as_secs_f64());
        if handled.iter().all(|is_stored| *is_stored) {
            batch.ack().await;
        } else {
            batch.retry(Duration::from_millis(200)).await;
        }
    }

    /// Whether the proposal is stored.
    async fn handle_one(&self, tier: Tier, request: &v1::TradeRequested, redelivered: &str) -> bool {
        let (Some(meta), Some(key)) = (&request.meta, &request.key) else {
            counter!(metrics::MALFORMED, "kind" => "request").increment(1);
            return true;
        };
        let mut span = self.context.spans.start_linked(
            "process req.trade.{tier}",
            SpanKind::Consumer,
            &meta.traceparent,
            redelivered,
        );
        span.set("messaging.system", "nats");
        span.set("messaging.operation.name", "process");
        span.set("messaging.operation.type", "process");
        span.set("messaging.destination.template", "req.trade.{tier}");
        span.set("user.tier", tier.as_str());
        let held = self.control.hold(Thing::Request, vec![(v1::ScopeKind::Account, key.account_id.clone())]);
        let decision = self.decide(meta, key, request, &span.traceparent()).await;
        drop(held);
        let (agent, outcome) = match &decision {
            Decision::Order(order) => (order.agent.clone(), "order"),
            Decision::Nothing(no_trade) => (no_trade.agent.clone(), "nothing"),
            // No request is decided so.
            Decision::Cancel(_) => (String::new(), "cancel"),
        };
        span.set("agent.kind", agent.clone());
        debug!(trace_id = span.trace_id(), trade.id = key.trade_id, "{agent} proposes {outcome} for {}", key.trade_id);
        counter!(metrics::REQUESTS, "tier" => tier.as_str(), "outcome" => outcome).increment(1);
        self.usage.add(&agent, Work { messages: 1, ..Work::default() });
        match self.proposer.propose(key.clone(), meta, &span, decision).await {
            Ok(()) => true,
            Err(error) => {
                span.fail("publish", error.to_string());
                debug!("a proposal could not be stored: {error}");
                false
            }
        }
    }

    async fn decide(
        &self,
        meta: &v1::Meta,
        key: &v1::TradeKey,
        request: &v1::TradeRequested,
        traceparent: &str,
    ) -> Decision {
        let agent = order::agent_of(request);
        if meta.deadline_micros != 0 && meta.deadline_micros < clock::now_micros() {
            let message = "the request waited in its lane until its deadline";
            return Decision::denied(agent, v1::DenialCode::ProposalExpired, message);
        }
        let account = (v1::ScopeKind::Account, key.account_id.as_str());
        let (state, reason) = self.control.state_of(&[account]);
        if matches!(state, v1::TradingState::Halted | v1::TradingState::Unspecified) {
            return Decision::denied(agent, v1::DenialCode::TradingHalted, format!("trading is halted: {reason}"));
        }
        match &request.intent {
            Some(v1::trade_requested::Intent::Order(intent)) => {
                match self.why_unknown(&intent.instrument_id, traceparent).await {
                    Some(message) => Decision::denied(agent, v1::DenialCode::UnknownInstrument, message),
                    None => order::route(&self.proposer, key, intent),
                }
            }
            Some(v1::trade_requested::Intent::Mandate(intent)) => {
                mandate::decide(&self.desk, key, intent, (traceparent, meta.deadline_micros)).await
            }
            None => Decision::denied(agent, v1::DenialCode::UnknownAgent, "the request asks for nothing"),
        }
    }

    /// That there is no such instrument, and the nearest ones. The guard knows that too, but no names; market-data is
    /// only asked about what this worker has not heard of.
    async fn why_unknown(&self, instrument_id: &str, traceparent: &str) -> Option<String> {
        let id = InstrumentId::new(instrument_id).ok()?;
        match self.market.instrument(&id) {
            Some(_) => None,
            None => self.analysis.why_unknown(instrument_id, traceparent).await,
        }
    }
}
