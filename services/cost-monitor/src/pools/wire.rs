//! A pool as it is told.

use super::known::Known;
use crate::config::SizedPool;
use tragen_contracts::v1;
use tragen_domain::cost::pool::{PoolInputs, PoolMetric, Sizing, capital::Rank, line_up::LineUp};

pub(super) fn state(
    pool: &SizedPool,
    (inputs, sizing): (&PoolInputs, &Sizing),
    line_up: &LineUp,
    known: &Known,
) -> v1::PoolState {
    let active = line_up.active.values().filter(|other| **other == pool.pool).count();
    let benched = line_up.benched.iter().filter(|(_, (other, _))| *other == pool.pool);
    let testing = number(active);
    let rank = |rank: Rank| v1::RankShare {
        rank: rank_name(rank).to_owned(),
        // Nobody has a score yet.
        agents: if rank == Rank::Testing { testing } else { 0 },
        capital_ppm: rank.capital_ppm(),
    };
    v1::PoolState {
        sized: Some(sized(pool, inputs, sizing)),
        enabled: number(known.enabled(&pool.pool)),
        active: number(active),
        utilization_ppm: i64::from(number(active)) * 1_000_000 / i64::from(sizing.agents.max(1)),
        benched: benched
            .map(|(agent, (_, why))| v1::BenchedAgent { agent_id: agent.to_string(), why: why.as_str().to_owned() })
            .collect(),
        ranks: Rank::ALL.map(rank).to_vec(),
    }
}

fn sized(pool: &SizedPool, inputs: &PoolInputs, sizing: &Sizing) -> v1::PoolSized {
    let (agents_min, agents_max) = pool.rule.range();
    let metric = match pool.rule.metric() {
        PoolMetric::MarketVolatility => v1::PoolMetric::MarketVolatility,
        PoolMetric::TrendStrength => v1::PoolMetric::TrendStrength,
    };
    let (pool_id, decided_at_micros) = (pool.pool.to_string(), inputs.now.micros());
    v1::PoolSized {
        meta: Some(v1::Meta {
            event_id: format!("{pool_id}-{decided_at_micros}"),
            occurred_at_micros: decided_at_micros,
            ..v1::Meta::default()
        }),
        pool_id,
        agents_min: wire(agents_min),
        agents_max: wire(agents_max),
        metric: metric.into(),
        instrument_id: pool.instrument.to_string(),
        timeframe: pool.timeframe.as_str().to_owned(),
        metric_ppm: inputs.metric_ppm,
        previous_target: inputs.current.map(|target| wire(target.agents)),
        previous_set_at_micros: inputs.current.map_or(0, |target| target.set_at.micros()),
        capacity_ppm: inputs.capacity_ppm,
        decided_at_micros,
        target: wire(sizing.target.agents),
        target_set_at_micros: sizing.target.set_at.micros(),
        agents: wire(sizing.agents),
        why: sizing.why.as_str().to_owned(),
    }
}

/// Whether nothing is different but the moment: a figure that moves without moving the size is not told.
pub(super) fn same(before: &v1::PoolState, now: &v1::PoolState) -> bool {
    let without_moment = |state: &v1::PoolState| {
        let mut state = state.clone();
        if let Some(sized) = &mut state.sized {
            sized.meta = None;
            (sized.metric_ppm, sized.decided_at_micros) = (None, 0);
            (sized.previous_target, sized.previous_set_at_micros) = (None, 0);
        }
        state
    };
    without_moment(before) == without_moment(now)
}

/// Target and places; `None` before the first decision.
pub(super) fn size_of(state: Option<&v1::PoolState>) -> Option<(i32, i32)> {
    state.and_then(|state| state.sized.as_ref()).map(|sized| (sized.target, sized.agents))
}

const fn rank_name(rank: Rank) -> &'static str {
    match rank {
        Rank::HighPerformer => "HIGH_PERFORMER",
        Rank::Normal => "NORMAL",
        Rank::Testing => "TESTING",
    }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn wire(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
