//! A pool as it is told.

use super::known::Shown;
use crate::config::SizedPool;
use std::collections::BTreeMap;
use tragen_contracts::v1;
use tragen_domain::{
    cost::pool::{
        PoolInputs, PoolMetric, Sizing,
        capital::{Rank, allot},
        line_up::{Benched, LineUp},
        shares::ShareExceeded,
    },
    id::{AccountId, AgentId},
    money::Money,
};

/// Capital is told again when it has changed by so much, parts per million: 1 %.
const CAPITAL_CHANGE_MIN_PPM: i128 = 10_000;

pub(super) fn state(
    pool: &SizedPool,
    (inputs, sizing): (&PoolInputs, &Sizing),
    line_up: &LineUp,
    shown: &Shown<'_>,
) -> v1::PoolState {
    let active: Vec<&AgentId> =
        line_up.active.iter().filter(|(_, other)| **other == pool.pool).map(|(agent, _)| agent).collect();
    let benched = line_up.benched.iter().filter(|(_, (other, _))| *other == pool.pool);
    let ranks: Vec<Rank> = active.iter().map(|agent| Rank::of(shown.scores.score_ppm(agent))).collect();
    let capital = capital_of(&active, shown);
    let rank = |rank: Rank| v1::RankShare {
        rank: rank_name(rank).to_owned(),
        agents: number(ranks.iter().filter(|other| **other == rank).count()),
        capital_ppm: rank.capital_ppm(),
    };
    let parts = capital.map(|capital| allot(capital, &ranks));
    let placed = active.iter().enumerate().map(|(at, agent)| v1::PlacedAgent {
        agent_id: agent.to_string(),
        rank: ranks.get(at).map_or("", |rank| rank_name(*rank)).to_owned(),
        score_ppm: shown.scores.score_ppm(agent),
        capital_micros: parts.as_ref().and_then(|parts| parts.get(at)).map(|part| part.micros()),
    });
    v1::PoolState {
        sized: Some(sized(pool, inputs, sizing)),
        enabled: number(shown.known.enabled(&pool.pool)),
        active: number(active.len()),
        utilization_ppm: i64::from(number(active.len())) * 1_000_000 / i64::from(sizing.agents.max(1)),
        benched: benched.map(|(agent, (_, why))| bench(agent, *why, active.len(), shown)).collect(),
        ranks: Rank::ALL.map(rank).to_vec(),
        placed: placed.collect(),
        capital_micros: capital.map_or(0, Money::micros),
    }
}

/// Equity of the agents, each account once; `None` while that of none is known or it does not fit.
fn capital_of(agents: &[&AgentId], shown: &Shown<'_>) -> Option<Money> {
    let accounts: BTreeMap<&AccountId, Money> = agents.iter().filter_map(|agent| shown.scores.equity(agent)).collect();
    let sum = accounts.values().try_fold(Money::ZERO, |sum, equity| sum.plus(*equity)).ok()?;
    (!accounts.is_empty()).then_some(sum)
}

fn bench(agent: &AgentId, why: Benched, active: usize, shown: &Shown<'_>) -> v1::BenchedAgent {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let (limit, observed, of_all) = match why {
        Benched::NoPlace { places } => (i64::from(places), i64::from(number(active)) + 1, 0),
        Benched::Share(ShareExceeded { kinship: _, observed, limit, all }) => {
            (count(limit), count(observed), count(all))
        }
    };
    let score_ppm = shown.scores.score_ppm(agent);
    v1::BenchedAgent {
        agent_id: agent.to_string(),
        why: why.as_str().to_owned(),
        limit,
        observed,
        of_all,
        rank: rank_name(Rank::of(score_ppm)).to_owned(),
        score_ppm,
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

/// Whether nothing is different but the moment: a figure that moves without moving the size is not told, nor is
/// capital that has hardly changed.
pub(super) fn same(before: &v1::PoolState, now: &v1::PoolState) -> bool {
    let without_moment = |state: &v1::PoolState| {
        let mut state = state.clone();
        state.capital_micros = 0;
        state.placed.iter_mut().for_each(|agent| agent.capital_micros = agent.capital_micros.map(|_| 0));
        // Scores move with every trade; what counts is the rank.
        state.placed.iter_mut().for_each(|agent| agent.score_ppm = None);
        state.benched.iter_mut().for_each(|agent| agent.score_ppm = None);
        if let Some(sized) = &mut state.sized {
            sized.meta = None;
            (sized.metric_ppm, sized.decided_at_micros) = (None, 0);
            (sized.previous_target, sized.previous_set_at_micros) = (None, 0);
        }
        state
    };
    let [old, new] = [before, now].map(|state| i128::from(state.capital_micros));
    let is_same_capital = (old - new).abs() * 1_000_000 < old.abs() * CAPITAL_CHANGE_MIN_PPM || old == new;
    is_same_capital && without_moment(before) == without_moment(now)
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
