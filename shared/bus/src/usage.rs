//! Work done, by agent, reported to the cost monitor once an interval.

use crate::{connection::Bus, publish::PublishOptions, subject::Subject};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tragen_contracts::v1;
use tragen_host::Context;

/// Counts work; clones share the counters.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    agents: Arc<Mutex<BTreeMap<String, v1::AgentUsage>>>,
}

/// One piece of work.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// CPU time.
    pub cpu: Duration,
    /// Bus messages handled.
    pub messages: i64,
    /// API calls served.
    pub api_calls: i64,
    /// What language models charged, 1e-6 USD.
    pub llm_cost_micros: i64,
}

/// The process's memory is reported by one of its services, not by each.
static IS_MEMORY_REPORTED: AtomicBool = AtomicBool::new(false);

impl Usage {
    /// Starts reporting what is added, every `interval`; the last report is sent on stop.
    #[must_use]
    pub fn start(context: &Context, bus: &Bus, interval: Duration) -> Self {
        let usage = Self::default();
        let reports_memory = !IS_MEMORY_REPORTED.swap(true, Ordering::Relaxed);
        let (reporter, context, bus) = (usage.clone(), context.clone(), bus.clone());
        context.clone().spawn("usage", async move {
            let stopped = context.stopped();
            tokio::pin!(stopped);
            let mut tick = tokio::time::interval(interval);
            let mut sequence = 0;
            loop {
                let is_last = tokio::select! {
                    () = &mut stopped => true,
                    _ = tick.tick() => false,
                };
                sequence += 1;
                let report = v1::UsageReported {
                    instance_id: context.instance.to_string(),
                    sequence,
                    agents: reporter.take(),
                    memory_bytes: if reports_memory { resident_bytes().await } else { 0 },
                    interval_micros: i64::try_from(interval.as_micros()).unwrap_or(i64::MAX),
                };
                if reports_memory || !report.agents.is_empty() {
                    let message_id = format!("{}-{sequence}", context.instance).into();
                    let options = PublishOptions { message_id, ..PublishOptions::default() };
                    let subject = Subject::Usage(context.service);
                    if let Err(error) = bus.publish(&subject, &report, &options, Duration::from_secs(1)).await {
                        tracing::debug!("a usage report is lost: {error}");
                    }
                }
                if is_last {
                    return Ok(());
                }
            }
        });
        usage
    }

    /// Adds work done for `agent`; empty for the platform itself.
    pub fn add(&self, agent: &str, work: Work) {
        let mut agents = self.agents.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !agents.contains_key(agent) {
            agents.insert(agent.to_owned(), v1::AgentUsage { agent: agent.to_owned(), ..v1::AgentUsage::default() });
        }
        if let Some(row) = agents.get_mut(agent) {
            row.cpu_micros += i64::try_from(work.cpu.as_micros()).unwrap_or(i64::MAX);
            row.messages += work.messages;
            row.api_calls += work.api_calls;
            row.llm_cost_micros = row.llm_cost_micros.saturating_add(work.llm_cost_micros);
        }
    }

    fn take(&self) -> Vec<v1::AgentUsage> {
        let agents = std::mem::take(&mut *self.agents.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        agents.into_values().collect()
    }
}

/// Resident memory of the process, bytes; 0 where the system does not say.
async fn resident_bytes() -> i64 {
    let status = tokio::fs::read_to_string("/proc/self/status").await.unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|number| number.parse().ok());
    kilobytes.unwrap_or(0_i64) * 1_024
}
