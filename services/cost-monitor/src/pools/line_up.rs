//! Who began or ceased to trade in a pool, as it is told.

use super::known::Known;
use std::collections::BTreeMap;
use tragen_contracts::v1;
use tragen_domain::cost::pool::shares::Shares;

/// What is different about each agent of the pool; `None` when nothing is.
pub(super) fn changes(
    before: Option<&v1::PoolState>,
    now: &v1::PoolState,
    known: &Known,
    (shares, trading): (&Shares, usize),
) -> Option<v1::PoolLinedUp> {
    let before = before.map(placements).unwrap_or_default();
    let is_new = |placement: &v1::PlacementChanged| {
        before.get(&placement.agent_id).is_none_or(|old| decision(old) != decision(placement))
    };
    let mut changes: Vec<_> = placements(now).into_values().filter(is_new).collect();
    for change in &mut changes {
        if let Some((strategy, timeframe)) = known.kind_of(&change.agent_id) {
            (change.strategy, change.timeframe) = (strategy.to_owned(), timeframe.as_str().to_owned());
        }
    }
    let sized = now.sized.as_ref()?;
    (!changes.is_empty()).then(|| v1::PoolLinedUp {
        meta: Some(v1::Meta {
            event_id: format!("{}-line-up-{}", sized.pool_id, sized.decided_at_micros),
            occurred_at_micros: sized.decided_at_micros,
            ..v1::Meta::default()
        }),
        pool_id: sized.pool_id.clone(),
        places: sized.agents,
        decided_at_micros: sized.decided_at_micros,
        trading_agents: i64::try_from(trading).unwrap_or(i64::MAX),
        strategy_share_max_ppm: count(shares.strategy_max_ppm()),
        timeframe_share_max_ppm: count(shares.timeframe_max_ppm()),
        capital_micros: now.capital_micros,
        changes,
    })
}

/// What was decided, without the figures that move by themselves.
fn decision(placement: &v1::PlacementChanged) -> (bool, &str, &str) {
    (placement.is_active, &placement.why, &placement.rank)
}

fn placements(state: &v1::PoolState) -> BTreeMap<String, v1::PlacementChanged> {
    let placed = state.placed.iter().map(|agent| v1::PlacementChanged {
        agent_id: agent.agent_id.clone(),
        rank: agent.rank.clone(),
        score_ppm: agent.score_ppm,
        is_active: true,
        ..v1::PlacementChanged::default()
    });
    let benched = state.benched.iter().map(|agent| v1::PlacementChanged {
        agent_id: agent.agent_id.clone(),
        rank: agent.rank.clone(),
        score_ppm: agent.score_ppm,
        why: agent.why.clone(),
        limit: agent.limit,
        observed: agent.observed,
        ..v1::PlacementChanged::default()
    });
    placed.chain(benched).map(|placement| (placement.agent_id.clone(), placement)).collect()
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(placed: &[(&str, &str)], benched: &[(&str, &str)]) -> v1::PoolState {
        let placed = placed.iter().map(|(id, rank)| v1::PlacedAgent {
            agent_id: (*id).into(),
            rank: (*rank).into(),
            ..v1::PlacedAgent::default()
        });
        let benched = benched.iter().map(|(id, why)| v1::BenchedAgent {
            agent_id: (*id).into(),
            why: (*why).into(),
            limit: 3,
            observed: 4,
            of_all: 10,
            ..v1::BenchedAgent::default()
        });
        v1::PoolState {
            sized: Some(v1::PoolSized { pool_id: "p".into(), ..v1::PoolSized::default() }),
            placed: placed.collect(),
            benched: benched.collect(),
            ..v1::PoolState::default()
        }
    }

    #[test]
    fn only_what_is_different_is_told_with_limit_and_observed() {
        let known = Known::new(&[], &BTreeMap::new());
        let shares = Shares::default();
        let told = |before: Option<&v1::PoolState>, now: &v1::PoolState| {
            let found = changes(before, now, &known, (&shares, 9));
            found.map(|fact| {
                let shown =
                    |c: &v1::PlacementChanged| format!("{} {} {}/{}", c.agent_id, c.is_active, c.observed, c.limit);
                fact.changes.iter().map(shown).collect::<Vec<_>>()
            })
        };
        let first = state(&[("a", "TESTING")], &[("b", "NO_PLACE")]);
        assert_eq!(told(None, &first), Some(vec!["a true 0/0".to_owned(), "b false 4/3".to_owned()]));
        assert_eq!(told(Some(&first), &first), None);
        let ranked = state(&[("a", "NORMAL")], &[("b", "NO_PLACE")]);
        assert_eq!(told(Some(&first), &ranked), Some(vec!["a true 0/0".to_owned()]));
        let swapped = state(&[("b", "TESTING")], &[("a", "STRATEGY_SHARE")]);
        assert_eq!(told(Some(&first), &swapped), Some(vec!["a false 4/3".to_owned(), "b true 0/0".to_owned()]));
    }
}
