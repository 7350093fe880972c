//! Counts the work that services report, each report once.

use crate::{SharedCosts, agent_named, config::Config, metrics as names, recent::Recent};
use metrics::counter;
use std::num::TryFromIntError;
use tragen_bus::{Delivery, Puller};
use tragen_contracts::v1;
use tragen_domain::{
    cost::{AgentName, Usage},
    id::IdError,
    money::Overflow,
};

/// Why a report cannot be counted.
#[derive(Debug, thiserror::Error)]
enum Malformed {
    #[error("a usage report without an instance")]
    NoInstance,
    #[error("{field} is negative")]
    Negative {
        field: &'static str,
        #[source]
        source: TryFromIntError,
    },
    #[error("{0}")]
    Agent(#[from] IdError),
    #[error("{0}")]
    Overflow(#[from] Overflow),
}

/// Counts until the process stops.
pub(crate) async fn count(
    mut reports: Puller<v1::UsageReported>,
    costs: SharedCosts,
    config: Config,
) -> anyhow::Result<()> {
    let mut counted = Recent::new(config.recent_reports_max);
    loop {
        let batch = reports.next_batch(config.messages_at_once_max).await;
        if batch.is_empty() {
            return Ok(());
        }
        for delivery in batch {
            settle(&delivery, add(&delivery.message, &costs, &mut counted)).await;
        }
        names::show(&costs.lock());
    }
}

async fn settle(delivery: &Delivery<v1::UsageReported>, added: Result<(), Malformed>) {
    match added {
        Ok(()) => delivery.ack().await,
        Err(malformed) => {
            counter!(names::MALFORMED, "kind" => "usage").increment(1);
            delivery.dead_letter(&malformed.to_string()).await;
        }
    }
}

fn add(report: &v1::UsageReported, costs: &SharedCosts, counted: &mut Recent) -> Result<(), Malformed> {
    if report.instance_id.is_empty() {
        return Err(Malformed::NoInstance);
    }
    let key = (report.instance_id.as_str(), report.sequence);
    if counted.contains(&key) {
        counter!(names::DUPLICATES, "kind" => "usage").increment(1);
        return Ok(());
    }
    costs.lock().report(&rows(report)?)?;
    counted.remember(&key);
    Ok(())
}

/// The report's rows, and the process's memory over the interval as the platform's.
fn rows(report: &v1::UsageReported) -> Result<Vec<(Option<AgentName>, Usage)>, Malformed> {
    let memory = u128::from(positive("memory_bytes", report.memory_bytes)?);
    let interval = u128::from(positive("interval_micros", report.interval_micros)?);
    let mut rows = vec![(None, Usage { memory_byte_micros: memory * interval, ..Usage::default() })];
    for row in &report.agents {
        let usage = Usage {
            cpu_micros: positive("cpu_micros", row.cpu_micros)?,
            api_calls: positive("api_calls", row.api_calls)?,
            messages: positive("messages", row.messages)?,
            llm_cost_micros: positive("llm_cost_micros", row.llm_cost_micros)?,
            ..Usage::default()
        };
        rows.push((agent_named(&row.agent)?, usage));
    }
    Ok(rows)
}

fn positive(field: &'static str, value: i64) -> Result<u64, Malformed> {
    u64::try_from(value).map_err(|source| Malformed::Negative { field, source })
}
