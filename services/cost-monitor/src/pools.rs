//! Sizes the pools: follows the market that each of them looks at and the registry of agents, decides every few
//! seconds by the rules of `cost::pool`, and tells the workers in the bucket `pools`. A decision that changes
//! something is a fact on `pool.<pool>`, with everything it followed from.

mod known;
mod line_up;
mod wire;

use crate::{
    config::{Config, SizedPool},
    metrics as names,
    scores::SharedScores,
};
use futures::StreamExt as _;
use known::{Known, Shown};
use metrics::gauge;
use prost::Message as _;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};
use tragen_bus::{Ask, Bucket, Bus, Followed, PublishOptions, StartAt, Stream, Subject};
use tragen_contracts::v1;
use tragen_domain::{
    cost::pool::{PoolInputs, Sizing, Target, line_up::line_up as choose, shares::Shares},
    id::PoolId,
    time::Timestamp,
};
use tragen_host::{Context, clock};

/// How long the guard may take to say what there is room for.
const GUARD_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a fact may take to be stored.
const FACT_PATIENCE: Duration = Duration::from_secs(2);
/// Everything that is wanted, parts per million.
const ALL_PPM: i64 = 1_000_000;

/// Starts sizing; without pools it only takes away what is left of earlier ones.
///
/// # Errors
/// When the buckets or the bars cannot be read.
pub(crate) async fn start(
    context: &Context,
    bus: &Bus,
    (config, scores): (&Config, SharedScores),
) -> anyhow::Result<()> {
    let (pools, shares) = (config.sized_pools(), config.shares()?);
    let stored = stored(bus, &pools).await?;
    if pools.is_empty() {
        return Ok(());
    }
    let mut bars = bus.follow(context, Stream::Bars, "", StartAt::Beginning).await?;
    let mut known = Known::new(&pools, &stored);
    known::read_agents(bus).await?.into_iter().for_each(|change| known.take_agent(change));
    let mut sizer = Sizer { bus: bus.clone(), known, pools, shares, scores, stored, capacity_ppm: ALL_PPM };
    let (own, every) = (context.clone(), Duration::from_millis(config.pools_interval_ms));
    let mut agents = known::follow_agents(context, bus);
    context.spawn("pools", async move {
        let stopped = own.stopped();
        tokio::pin!(stopped);
        let mut turn = tokio::time::interval(every);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stopped => return Ok(()),
                Some(bar) = bars.next() => sizer.take_bar(&bar),
                Some(change) = agents.recv() => sizer.known.take_agent(change),
                _ = turn.tick() => sizer.decide().await,
            }
        }
    });
    Ok(())
}

/// The pools as they were left; those that nobody sizes any more are taken away, so that their agents trade.
async fn stored(bus: &Bus, pools: &[SizedPool]) -> anyhow::Result<BTreeMap<PoolId, v1::PoolState>> {
    let bucket = bus.bucket(Bucket::Pools).await?;
    let keys: Vec<_> = bucket.keys().await?.collect().await;
    let mut stored = BTreeMap::new();
    for key in keys.into_iter().flatten() {
        let pool = pools.iter().map(|sized| &sized.pool).find(|pool| pool.as_str() == key);
        let Some(pool) = pool else {
            bucket.delete(&key).await?;
            continue;
        };
        if let Some(state) = bucket.get(&key).await?.and_then(|bytes| v1::PoolState::decode(bytes).ok()) {
            stored.insert(pool.clone(), state);
        }
    }
    Ok(stored)
}

struct Sizer {
    bus: Bus,
    pools: Vec<SizedPool>,
    shares: Shares,
    known: Known,
    scores: SharedScores,
    /// What the bucket has.
    stored: BTreeMap<PoolId, v1::PoolState>,
    capacity_ppm: i64,
}

impl Sizer {
    fn take_bar(&mut self, fact: &Followed) {
        if let Some(bar) = crate::bar_of(fact) {
            self.known.take_bar(&bar);
        }
    }

    /// Decides about all pools at one moment, and tells what has changed.
    async fn decide(&mut self) {
        self.ask_for_capacity().await;
        let now = Timestamp::from_micros(clock::now_micros());
        let sized: Vec<(SizedPool, PoolInputs, Sizing)> = self.pools.iter().map(|pool| self.size(pool, now)).collect();
        let places: BTreeMap<PoolId, u32> =
            sized.iter().map(|(pool, _, sizing)| (pool.pool.clone(), sizing.agents)).collect();
        let candidates = self.known.candidates(&places, &self.scores.lock());
        let line_up = choose(candidates, &places, &self.shares);
        self.known.set_active(&line_up);
        for (pool, inputs, sizing) in &sized {
            let state = {
                let scores = self.scores.lock();
                wire::state(pool, (inputs, sizing), &line_up, &Shown { known: &self.known, scores: &scores })
            };
            gauge!(names::POOL_AGENTS, "pool" => pool.pool.to_string()).set(f64::from(sizing.agents));
            self.tell(pool, state, line_up.active.len()).await;
        }
    }

    fn size(&self, pool: &SizedPool, now: Timestamp) -> (SizedPool, PoolInputs, Sizing) {
        let before = self.stored.get(&pool.pool).and_then(|state| state.sized.as_ref());
        let current = before.and_then(|sized| {
            let set_at = Timestamp::from_micros(sized.target_set_at_micros);
            Some(Target { agents: u32::try_from(sized.target).ok()?, set_at })
        });
        let metric_ppm = self.known.metric_ppm(pool);
        let inputs = PoolInputs { metric_ppm, current, capacity_ppm: self.capacity_ppm, now };
        (pool.clone(), inputs, pool.rule.size(&inputs))
    }

    /// The guard watches the memory; a guard that does not answer changes nothing.
    async fn ask_for_capacity(&mut self) {
        let question = v1::GuardQuestion {
            principal: "cost-monitor".to_owned(),
            question: Some(v1::guard_question::Question::GetState(v1::GetRiskStateRequest {})),
            ..v1::GuardQuestion::default()
        };
        let answer = self.bus.ask::<_, v1::GuardAnswer>(Ask::Guard, &question, GUARD_TIMEOUT).await;
        if let Ok(v1::GuardAnswer { answer: Some(v1::guard_answer::Answer::State(state)) }) = answer
            && (1..=ALL_PPM).contains(&state.capacity_ppm)
        {
            self.capacity_ppm = state.capacity_ppm;
        }
    }

    /// Puts a state that differs from the stored one into the bucket; a size that differs is a fact as well, and so is
    /// who trades.
    async fn tell(&mut self, pool: &SizedPool, state: v1::PoolState, trading: usize) {
        let before = self.stored.get(&pool.pool);
        if before.is_some_and(|before| wire::same(before, &state)) {
            return;
        }
        // The facts come first: what trades must be explained.
        let is_new_size = wire::size_of(before) != wire::size_of(Some(&state));
        if is_new_size && let Some(sized) = &state.sized {
            let told = self.publish(Subject::PoolSized(pool.pool.clone()), sized, sized.meta.as_ref()).await;
            if !told {
                return;
            }
            info!("pool {} has {} places: {}", pool.pool, sized.agents, sized.why);
        }
        let lined_up = line_up::changes(before, &state, &self.known, (&self.shares, trading));
        if let Some(lined_up) = lined_up {
            let subject = Subject::PoolLinedUp(pool.pool.clone());
            if !self.publish(subject, &lined_up, lined_up.meta.as_ref()).await {
                return;
            }
        }
        let stored = async {
            let bucket = self.bus.bucket(Bucket::Pools).await?;
            bucket.put(pool.pool.as_str(), state.encode_to_vec().into()).await.map_err(anyhow::Error::from)
        };
        match stored.await {
            Ok(_) => _ = self.stored.insert(pool.pool.clone(), state),
            Err(error) => warn!("pool {} could not be stored: {error:#}", pool.pool),
        }
    }

    /// Whether the fact is stored; one that is not is told at the next turn.
    async fn publish(&self, subject: Subject, fact: &impl prost::Message, meta: Option<&v1::Meta>) -> bool {
        let message_id = meta.map(|meta| meta.event_id.clone());
        let options = PublishOptions { message_id: message_id.unwrap_or_default().into(), ..PublishOptions::default() };
        match self.bus.publish(&subject, fact, &options, FACT_PATIENCE).await {
            Ok(_) => true,
            Err(error) => {
                warn!("{subject} could not be told: {error}");
                false
            }
        }
    }
}
