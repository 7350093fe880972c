//! `tragen pools`: how many agents trade, and why.

use super::ClientArgs;
use crate::{
    Verdict,
    api::ask,
    output::{Format, print, word},
};
use clap::Subcommand;
use tragen_contracts::v1;
use tragen_domain::money::Money;

/// What to do with the pools.
#[derive(Debug, Subcommand)]
pub(crate) enum PoolsCommand {
    /// All that are sized, and what waits for the workers; needs the role operator.
    #[command(after_help = "Example:\n  tragen pools ls")]
    Ls {
        /// Also who trades with how much, who may only close what it holds, and why.
        #[arg(long)]
        agents: bool,
    },
}

impl PoolsCommand {
    pub(super) async fn run(self, client: &ClientArgs) -> anyhow::Result<Verdict> {
        let Self::Ls { agents } = self;
        let mut api = client.connect().await?.agents();
        let found = api.list_pools(ask(v1::ListPoolsRequest {})).await?.into_inner();
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
        if agents && client.output != Format::Json {
            print("")?;
            let rows: Vec<AgentRow> = found.pools.iter().flat_map(agent_rows).collect();
            client.output.list("agents", &rows, &AGENT_HEADERS, |row| row.0.to_vec())?;
        }
        Ok(Verdict::Good)
    }
}

const HEADERS: [&str; 10] =
    ["POOL", "RANGE", "FOLLOWS", "FIGURE", "TARGET", "PLACES", "ACTIVE", "USED", "HIGH/NORMAL/TESTING", "WHY"];
const AGENT_HEADERS: [&str; 6] = ["AGENT", "POOL", "RANK", "SCORE", "CAPITAL", "WHY"];

/// An agent of a pool.
#[derive(Debug, serde::Serialize)]
struct AgentRow([String; 6]);

/// Those that trade, then those that only close.
fn agent_rows(pool: &v1::PoolState) -> Vec<AgentRow> {
    let name = pool.sized.as_ref().map(|sized| sized.pool_id.clone()).unwrap_or_default();
    let score =
        |ppm: Option<i64>| ppm.map_or_else(|| "none yet".to_owned(), |ppm| format!("0.{:06}", ppm.min(999_999)));
    let placed = pool.placed.iter().map(|agent| {
        let capital = agent
            .capital_micros
            .map_or_else(|| "all it has".to_owned(), |micros| Money::from_micros(micros).to_string());
        [agent.agent_id.clone(), name.clone(), agent.rank.clone(), score(agent.score_ppm), capital, "trades".to_owned()]
    });
    let benched = pool.benched.iter().map(|agent| {
        let why = format!("only closes: {}, {} of {}", agent.why, agent.observed, agent.limit);
        [agent.agent_id.clone(), name.clone(), agent.rank.clone(), score(agent.score_ppm), String::new(), why]
    });
    placed.chain(benched).map(AgentRow).collect()
}

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
        pool.ranks.iter().map(|rank| rank.agents.to_string()).collect::<Vec<_>>().join("/"),
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
            ranks: [2, 5, 10].map(|agents| v1::RankShare { agents, ..v1::RankShare::default() }).to_vec(),
            placed: vec![v1::PlacedAgent {
                agent_id: "a".into(),
                rank: "HIGH_PERFORMER".into(),
                score_ppm: Some(812_345),
                capital_micros: Some(2_500_000),
            }],
            benched: vec![v1::BenchedAgent {
                agent_id: "b".into(),
                why: "STRATEGY_SHARE".into(),
                limit: 3,
                observed: 4,
                rank: "TESTING".into(),
                ..v1::BenchedAgent::default()
            }],
            ..v1::PoolState::default()
        };
        let agents: Vec<String> = agent_rows(&pool).into_iter().map(|row| row.0.join("|")).collect();
        assert_eq!(
            agents,
            [
                "a|scalper|HIGH_PERFORMER|0.812345|2.5|trades",
                "b|scalper|TESTING|none yet||only closes: STRATEGY_SHARE, 4 of 3"
            ]
        );
        let expected = [
            "scalper",
            "10-50",
            "market_volatility of EURUSD 4h",
            "29.4 %",
            "22",
            "17",
            "17 of 40",
            "100.0 %",
            "2/5/10",
            "METRIC, 80.0 % of it for want of memory",
        ];
        assert_eq!(row(&pool), expected);
    }
}
