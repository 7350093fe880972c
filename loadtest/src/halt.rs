//! Stopping everything while the load goes on.

use crate::{
    crowd::{Issuer, Role, Tier},
    target::Account,
};
use serde::Serialize;
use std::time::{Duration, Instant};
use tonic::transport::Channel;
use tragen_contracts::v1::{self, risk_control_client::RiskControlClient};

/// How long workers may take to confirm before the guard answers without them, milliseconds.
const WAIT_MS: i32 = 2_000;
const DEADLINE: Duration = Duration::from_secs(10);

/// What became of a halt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Halted {
    /// From the guard's receipt to the durable journal entry, microseconds.
    pub gate_closed_micros: i64,
    /// From the call to its answer, when all workers had confirmed, microseconds.
    pub answered_micros: u64,
    /// Workers that confirmed.
    pub workers_confirmed: i32,
    /// Workers that should have.
    pub workers_total: i32,
    /// Trades filled although they were asked for after the answer.
    pub filled_afterwards: u64,
    /// Why there was no answer; empty if there was one.
    pub failure: String,
}

/// Halts everything; when the answer came.
pub(crate) async fn halt(channel: Channel, issuer: &Issuer) -> anyhow::Result<(Halted, Instant)> {
    let token = issuer.issue("load-operator", Tier::Premium, Role::Operator)?;
    let operator = Account::new("load-operator", &token)?;
    let request = v1::HaltRequest { scope: None, reason: "load test".to_owned(), wait_ms: WAIT_MS };
    let asked = Instant::now();
    let answer = RiskControlClient::new(channel).halt(operator.request(request, DEADLINE)).await?.into_inner();
    let at = Instant::now();
    let halted = Halted {
        gate_closed_micros: answer.gate_closed_micros,
        answered_micros: u64::try_from((at - asked).as_micros()).unwrap_or(u64::MAX),
        workers_confirmed: answer.confirmed_workers,
        workers_total: answer.total_workers,
        filled_afterwards: 0,
        failure: String::new(),
    };
    Ok((halted, at))
}
