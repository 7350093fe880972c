//! Work and trades in, costs out; each counts once, and what makes no sense is set aside.

use crate::rig::{Rig, outcome, row};
use std::time::Duration;
use tragen_bus::{Consumer, Subject};
use tragen_contracts::v1::{self, TradeStatus};
use tragen_host::{clock, trace::Spans};

const EXECUTIONS: Subject = Subject::Executions("paper");
const USAGE: Subject = Subject::Usage("agent-worker");

/// 2.4 core-hours, 1,500 calls and 1.10 USD of language models for one agent; 1.2 GB held for an hour.
fn report(sequence: i64) -> v1::UsageReported {
    v1::UsageReported {
        instance_id: "agent-worker-1".to_owned(),
        sequence,
        agents: vec![v1::AgentUsage {
            agent: "eplScoutAgent".to_owned(),
            cpu_micros: 8_640_000_000,
            messages: 7,
            api_calls: 1_500,
            llm_cost_micros: 1_100_000,
        }],
        memory_bytes: 1_200_000_000,
        interval_micros: 3_600_000_000,
    }
}

fn outcomes(reports: Vec<v1::ExecutionReport>) -> v1::ExecutionBatch {
    v1::ExecutionBatch { reports }
}

#[tokio::test]
async fn work_costs_what_the_rates_say_and_memory_is_the_platforms() -> anyhow::Result<()> {
    let before = clock::now_micros();
    let rig = Rig::new(Spans::default()).await?;
    rig.start().await?;
    let empty = rig.costs().await?;
    assert_eq!((empty.agents.len(), empty.total_cost_micros, empty.cost_per_trade_micros), (0, 0, 0));
    assert!((before..=clock::now_micros()).contains(&empty.since_micros));

    rig.publish(USAGE, &report(1)).await?;
    rig.publish(
        EXECUTIONS,
        &outcomes(vec![
            outcome("t1", TradeStatus::Filled, ""),
            outcome("t2", TradeStatus::PartiallyFilled, ""),
            outcome("t3", TradeStatus::Denied, ""),
            outcome("t4", TradeStatus::Working, ""),
        ]),
    )
    .await?;
    let costs = rig.costs_when("a report and trades", |c| c.total_cost_micros > 0 && c.trades == 2).await?;

    // The rates: 2.4 h * 0.05 + 1,500 * 0.001 + 1.10, and 1.2 GB h * 0.01.
    let scout = v1::AgentCost {
        agent: "eplScoutAgent".to_owned(),
        cpu_micros: 8_640_000_000,
        messages: 7,
        api_calls: 1_500,
        trades: 3,
        cost_micros: 2_720_000,
    };
    let platform = v1::AgentCost { agent: "platform".to_owned(), cost_micros: 12_000, ..v1::AgentCost::default() };
    assert_eq!(costs.agents, [scout, platform]);
    assert_eq!((costs.total_cost_micros, costs.cost_per_trade_micros), (2_732_000, 1_366_000));
    assert_eq!(costs.since_micros, empty.since_micros);
    Ok(())
}

#[tokio::test]
async fn what_comes_again_counts_once_and_what_comes_late_still_counts() -> anyhow::Result<()> {
    let rig = Rig::new(Spans::default()).await?;
    // A crashed monitor: it took the messages and never acknowledged them.
    let filled = outcomes(vec![outcome("t1", TradeStatus::Filled, "")]);
    rig.publish(EXECUTIONS, &filled).await?;
    let mut crashed = rig.bus.pull::<v1::ExecutionBatch>(&rig.context, Consumer::CostExecutions);
    crashed.next().await.expect("a message").retry(Duration::ZERO).await;
    crashed.give_back().await;

    rig.start().await?;
    for sequence in [1, 3, 1, 2, 3, 2] {
        rig.publish(USAGE, &report(sequence)).await?;
    }
    rig.publish(EXECUTIONS, &filled).await?;
    let mut with_new = filled.clone();
    with_new.reports.push(outcome("t2", TradeStatus::Filled, ""));
    rig.publish(EXECUTIONS, &with_new).await?;
    // Last on each stream: once these are counted, so is everything before them.
    rig.publish(USAGE, &v1::UsageReported { instance_id: "last".to_owned(), ..report(1) }).await?;
    rig.publish(EXECUTIONS, &outcomes(vec![outcome("t3", TradeStatus::NoTrade, "")])).await?;

    let costs = rig
        .costs_when("the last of both", |c| {
            row(c, "eplScoutAgent").is_some_and(|row| row.trades >= 3 && row.messages >= 4 * 7)
        })
        .await?;
    let scout = row(&costs, "eplScoutAgent").expect("waited for");
    assert_eq!((scout.trades, scout.messages, costs.trades), (3, 4 * 7, 2));
    assert_eq!(costs.total_cost_micros, 4 * 2_732_000);
    Ok(())
}

#[tokio::test]
async fn a_message_without_sense_is_set_aside_and_the_next_one_is_counted() -> anyhow::Result<()> {
    let rig = Rig::new(Spans::default()).await?;
    rig.start().await?;
    // Bytes that are no report, work undone, nobody's work, too much work, and an agent that cannot be.
    rig.publish(USAGE, &v1::ControlState { epoch: 5, ..v1::ControlState::default() }).await?;
    let mut backwards = report(1);
    backwards.agents.push(v1::AgentUsage { cpu_micros: -1, ..v1::AgentUsage::default() });
    rig.publish(USAGE, &backwards).await?;
    rig.publish(USAGE, &v1::UsageReported { instance_id: String::new(), ..report(1) }).await?;
    let mut absurd = report(1);
    absurd.agents[0].llm_cost_micros = i64::MAX;
    rig.publish(USAGE, &absurd).await?;
    let mut misnamed = report(1);
    misnamed.agents[0].agent = "no such agent".to_owned();
    rig.publish(USAGE, &misnamed).await?;
    let reasons = rig.dead_letters(5).await?;
    for part in ["not decodable", "cpu_micros is negative", "without an instance", "does not fit", "ASCII letters"] {
        assert!(reasons.iter().any(|reason| reason.contains(part)), "{part}: {reasons:?}");
    }
    rig.publish(USAGE, &report(1)).await?;
    rig.costs_when("the next report", |c| c.total_cost_micros == 2_732_000).await?;

    // The rest of a batch counts, also when the batch is sent again.
    let mut nameless = outcome("t2", TradeStatus::Filled, "");
    nameless.key = None;
    let unset = outcome("t3", TradeStatus::Unspecified, "");
    let batch = outcomes(vec![outcome("t1", TradeStatus::Filled, ""), nameless, unset]);
    rig.publish(EXECUTIONS, &batch).await?;
    assert!(rig.dead_letters(6).await?[0].starts_with("trade.status:"));
    let newest = rig.bus.dead_letters(None, 1).await?[0].sequence;
    rig.bus.replay_dead_letter(newest).await?.expect("a dead letter");
    rig.dead_letters(6).await?;
    rig.publish(EXECUTIONS, &outcomes(vec![outcome("t4", TradeStatus::Filled, "")])).await?;
    let costs = rig.costs_when("the next trade", |c| c.trades >= 2).await?;
    assert_eq!((costs.trades, row(&costs, "eplScoutAgent").map(|row| row.trades)), (2, Some(2)));
    Ok(())
}
