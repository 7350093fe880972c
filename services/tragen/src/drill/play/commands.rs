//! What limits of commands do: reductions that wait or are overdue, resumes that come too early.

use super::{Player, fills, outcome};
use crate::{
    api::ask,
    cli::probe,
    drill::{
        stage::{LOOK_EVERY, PATIENCE, request_id},
        step::{At, Order},
    },
};
use anyhow::Context as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::{sleep, timeout};
use tonic_types::StatusExt as _;
use tragen_contracts::v1;
use tragen_router::token::Role;

/// The lane's orders are counted by the minute of the clock: what takes longer than this would see two of them.
const END_OF_MINUTE: Duration = Duration::from_secs(10);
const MINUTE_MILLIS: u128 = 60_000;

impl Player<'_> {
    pub(super) async fn shrink(&mut self, at: At) -> anyhow::Result<()> {
        let mut risk = self.stage.caller("drill-operator", Role::Operator)?.risk();
        let (scope, reason) = (Some(self.scope(at)), "drill".to_owned());
        let command_id = request_id();
        let request = v1::ReducePositionsRequest { scope, factor_ppm: 0, reason, command_id, wait_ms: 2_000 };
        self.moved_at = Some(Instant::now());
        let reduced = risk.reduce_positions(ask(request)).await?.into_inner();
        anyhow::ensure!(reduced.state() == v1::TradingState::Reducing, "the scope is {:?}", reduced.state());
        Ok(())
    }

    /// The newest reduction, once it is as wanted.
    async fn reduction(&self, is_so: impl Fn(&v1::ReductionStatus) -> bool) -> anyhow::Result<v1::ReductionStatus> {
        let mut risk = self.stage.caller("drill-operator", Role::Operator)?.risk();
        let watch = async {
            loop {
                let state = risk.get_risk_state(ask(v1::GetRiskStateRequest {})).await?.into_inner();
                match state.reductions.into_iter().next().filter(&is_so) {
                    Some(own) => return anyhow::Ok(own),
                    None => sleep(LOOK_EVERY).await,
                }
            }
        };
        timeout(PATIENCE, watch).await.context("no reduction is so")?
    }

    pub(super) async fn overdue(&mut self, overdue_ms: i64) -> anyhow::Result<()> {
        let since = self.moved_at.take().unwrap_or_else(Instant::now);
        let overdue = self.reduction(|own| own.is_overdue).await?;
        let took = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
        anyhow::ensure!(took >= overdue_ms, "overdue after {took} ms already");
        let code = "RISK_GUARD_REDUCTION_OVERDUE";
        let told = timeout(PATIENCE, self.stage.alert_of(&overdue.command_id, code)).await;
        told.context("nobody is told")??;
        self.note(overdue_ms, took, &format!("ALERT {code}"), since);
        Ok(())
    }

    pub(super) async fn flatten(&mut self) -> anyhow::Result<()> {
        let in_minute = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() % MINUTE_MILLIS;
        let left = Duration::from_millis(u64::try_from(MINUTE_MILLIS - in_minute)?);
        if left < END_OF_MINUTE {
            sleep(left).await;
        }
        let mut risk = self.stage.caller("drill-first-person", Role::RiskAdmin)?.risk();
        let request = v1::FlattenRequest {
            account_id: self.drill.account(),
            reason: "drill".to_owned(),
            command_id: request_id(),
            ..v1::FlattenRequest::default()
        };
        self.moved_at = Some(Instant::now());
        risk.flatten(ask(request)).await?;
        Ok(())
    }

    pub(super) async fn flatten_waits(&mut self, limit: u32) -> anyhow::Result<()> {
        let since = self.moved_at.take().unwrap_or_else(Instant::now);
        let (limit, beyond) = (i64::from(limit), i64::from(limit) + 1);
        let is_waiting = |own: &v1::ReductionStatus| {
            let blocked = own.positions.first().and_then(|position| position.blocked.as_ref());
            blocked.is_some_and(|denial| (denial.limit, denial.observed) == (limit, beyond))
        };
        self.reduction(is_waiting).await?;
        self.note(limit, beyond, "TRADING_HALTED", since);
        Ok(())
    }

    pub(super) async fn cools_down(&mut self, at: At, cooldown_ms: i64) -> anyhow::Result<()> {
        let asked_at = Instant::now();
        let mut first = self.stage.caller("drill-first-person", Role::RiskAdmin)?.risk();
        let (scope, reason) = (Some(self.scope(at)), "drill over".to_owned());
        let request = v1::ProposeResumeRequest { scope, reason, ..v1::ProposeResumeRequest::default() };
        let refused = first.propose_resume(ask(request)).await.err().context("it may be resumed already")?;
        let details = refused.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
        anyhow::ensure!(reason == "COOLDOWN", "refused, but with {reason:?}: {}", refused.message());
        let left = refused.message().split(' ').find_map(|word| word.parse::<i64>().ok()).context("no time is told")?;
        anyhow::ensure!((1..=cooldown_ms).contains(&left), "{left} ms are left of {cooldown_ms}");
        self.note(cooldown_ms, cooldown_ms - left, "COOLDOWN", asked_at);
        Ok(())
    }

    pub(super) async fn fills_and_counts(&mut self, order: Order, within_ms: i64) -> anyhow::Result<()> {
        let before = self.counted("risk_guard_repeated_orders_total").await?;
        let asked_at = Instant::now();
        let trade = self.place(order).await?;
        anyhow::ensure!(fills(&trade), "{} instead of FILLED", outcome(&trade));
        let after = self.counted("risk_guard_repeated_orders_total").await?;
        anyhow::ensure!(after == before + 1, "{before} were counted before, {after} after it");
        let took = i64::try_from(asked_at.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.note(within_ms, took, "COUNTED", asked_at);
        Ok(())
    }

    /// What the system has counted; 0 while it has counted nothing.
    async fn counted(&self, metric: &str) -> anyhow::Result<u64> {
        let (status, page) = probe::get(&self.stage.metrics_url()).await?;
        anyhow::ensure!(status == 200, "the metrics answer {status}");
        let line = page.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
        line.map_or(Ok(0), |value| value.trim().parse().context("reading a count"))
    }
}
