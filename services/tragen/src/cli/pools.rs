//! `tragen pools`: how many agents trade, and why.

use super::ClientArgs;
use crate::{
    Verdict,
    api::ask,
    output::{Format, print, word},
};
use clap::Subcommand;
use tragen_contracts::v1;

/// What to do with the pools.
#[derive(Debug, Subcommand)]
pub(crate) enum PoolsCommand {
    /// All that are sized, and what waits for the workers; needs the role operator.
    #[command(after_help = "Example:\n  tragen pools ls")]
    Ls {
        /// Also who may only close what it holds, and why.
        #[arg(long)]
        benched: bool,
    },
}

impl PoolsCommand {
    pub(super) async fn run(self, client: &ClientArgs) -> anyhow::Result<Verdict> {
        let Self::Ls { benched } = self;
        let mut agents = client.connect().await?.agents();
        let found = agents.list_pools(ask(v1::ListPoolsRequest {})).await?.into_inner();
        match client.output {
            Format::Json => client.output.record(&found, &[])?,
            Format::Csv => client.output.list("pools", &found.pools, &HEADERS, row)?,
            Format::Table => {
                client.output.list_or(
                    "No pool is sized; all enabled agents trade.",
                    "pools",
                    &found.pools,
                    &HEADERS,
                    row,
                )?;
                print("")?;
                client.output.list("lanes", &found.lanes, &["TIER", "WAITING", "IN HAND"], lane)?;
            }
        }
        if benched {
            for pool in &found.pools {
                for agent in &pool.benched {
                    print(&format!("{} only closes: {}", agent.agent_id, agent.why))?;
                }
            }
        }
        Ok(Verdict::Good)
    }
}

const HEADERS: [&str; 9] = ["POOL", "RANGE", "FOLLOWS", "FIGURE", "TARGET", "PLACES", "ACTIVE", "USED", "WHY"];

fn row(pool: &v1::PoolState) -> Vec<String> {
    let Some(sized) = &pool.sized else { return Vec::new() };
    let metric = word(sized.metric().as_str_name(), "POOL_METRIC_").to_lowercase();
    vec![
        sized.pool_id.clone(),
        format!("{}-{}", sized.agents_min, sized.agents_max),
        format!("{metric} of {} {}", sized.instrument_id, sized.timeframe),
        sized.metric_ppm.map_or_else(String::new, percent),
        sized.target.to_string(),
        sized.agents.to_string(),
        format!("{} of {}", pool.active, pool.enabled),
        percent(pool.utilization_ppm),
        why(sized),
    ]
}

/// The rule's word, and the shortage if there is one.
fn why(sized: &v1::PoolSized) -> String {
    let short = sized.agents < sized.target;
    if short {
        format!("{}, {} of it for want of memory", sized.why, percent(sized.capacity_ppm))
    } else {
        sized.why.clone()
    }
}

fn percent(ppm: i64) -> String {
    format!("{}.{} %", ppm / 10_000, ppm % 10_000 / 1_000)
}

fn lane(lag: &v1::LaneLag) -> Vec<String> {
    vec![word(lag.tier().as_str_name(), "TIER_").to_lowercase(), lag.waiting.to_string(), lag.in_hand.to_string()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_one_line_that_says_why() {
        let sized = v1::PoolSized {
            pool_id: "scalper".into(),
            agents_min: 10,
            agents_max: 50,
            metric: v1::PoolMetric::MarketVolatility.into(),
            instrument_id: "EURUSD".into(),
            timeframe: "4h".into(),
            metric_ppm: Some(294_589),
            target: 22,
            agents: 17,
            capacity_ppm: 800_000,
            why: "METRIC".into(),
            ..v1::PoolSized::default()
        };
        let pool = v1::PoolState {
            sized: Some(sized),
            enabled: 40,
            active: 17,
            utilization_ppm: 1_000_000,
            ..v1::PoolState::default()
        };
        let expected = [
            "scalper",
            "10-50",
            "market_volatility of EURUSD 4h",
            "29.4 %",
            "22",
            "17",
            "17 of 40",
            "100.0 %",
            "METRIC, 80.0 % of it for want of memory",
        ];
        assert_eq!(row(&pool), expected);
    }
}
