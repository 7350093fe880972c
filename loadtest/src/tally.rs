//! Counts what comes in while the load runs, and keeps what the audit needs.

use crate::{
    answered::Class,
    book::Book,
    crowd::{Crowd, Tier},
    figures::{Figures, Part, Second},
    operation::Operation,
    record::Recorder,
    report::millis,
    schedule::Schedule,
    target::{class_name, code_name},
    trader::{Answer, Outcome},
};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tragen_contracts::v1;

/// Outcomes counted at a time.
const OUTCOMES_AT_ONCE: usize = 1_024;
/// Seconds that are kept: two days.
const SECONDS_MAX: usize = 172_800;

/// Everything that was counted.
#[derive(Debug)]
pub(crate) struct Tally {
    crowd: Arc<Crowd>,
    recorder: Recorder,
    pub(crate) book: Book,
    pub(crate) figures: Figures,
    pub(crate) by_operation: BTreeMap<Operation, Figures>,
    pub(crate) by_tier: BTreeMap<Tier, Figures>,
    /// Of the current second.
    second: Figures,
    seconds: Vec<Second>,
    /// Of each second in which something began that was denied, by code.
    begun_and_denied: BTreeMap<u64, BTreeMap<String, u64>>,
    schedule: Option<Schedule>,
    began: Instant,
    pub(crate) measure_from: Instant,
    pub(crate) last_answer: Instant,
    pub(crate) warm_up_offered: u64,
    pub(crate) warm_up_errors: u64,
    halted_at: Option<Instant>,
    /// Trades that were filled although they were asked for after a halt had been confirmed.
    pub(crate) filled_after_halt: u64,
}

impl Tally {
    pub(crate) fn new(
        crowd: Arc<Crowd>,
        recorder: Recorder,
        (book, schedule): (Book, Option<Schedule>),
        (began, warm_up): (Instant, Duration),
    ) -> anyhow::Result<Self> {
        let measure_from = began + warm_up;
        Ok(Self {
            crowd,
            recorder,
            book,
            figures: Figures::new()?,
            by_operation: BTreeMap::new(),
            by_tier: BTreeMap::new(),
            second: Figures::new()?,
            seconds: Vec::new(),
            begun_and_denied: BTreeMap::new(),
            schedule,
            began,
            measure_from,
            last_answer: measure_from,
            warm_up_offered: 0,
            warm_up_errors: 0,
            halted_at: None,
            filled_after_halt: 0,
        })
    }

    /// Takes every outcome until the load has ended; `halts` tells when trading was stopped.
    pub(crate) async fn gather(
        &mut self,
        (mut outcomes, mut halts): (mpsc::Receiver<Outcome>, mpsc::Receiver<Instant>),
        progress: impl Fn(&str),
    ) -> anyhow::Result<()> {
        let mut beat = tokio::time::interval_at((self.began + Duration::from_secs(1)).into(), Duration::from_secs(1));
        let mut gathered = Vec::with_capacity(OUTCOMES_AT_ONCE);
        loop {
            tokio::select! {
                Some(at) = halts.recv() => self.halted_at = Some(at),
                count = outcomes.recv_many(&mut gathered, OUTCOMES_AT_ONCE) => {
                    if count == 0 {
                        self.end_second();
                        return Ok(());
                    }
                    for outcome in gathered.drain(..) {
                        self.add(outcome).await?;
                    }
                }
                _ = beat.tick() => {
                    progress(&self.second_line());
                    self.end_second();
                }
            }
        }
    }

    /// Counts one outcome, also one from after the load.
    pub(crate) async fn add(&mut self, outcome: Outcome) -> anyhow::Result<()> {
        let is_measured = outcome.started >= self.measure_from;
        if is_measured {
            self.last_answer = self.last_answer.max(outcome.ended);
        }
        self.keep(&outcome).await?;
        let status = match &outcome.answer {
            Ok(Answer::Trade(trade)) => Ok((outcome.meant.class(trade.status()), told(trade))),
            Ok(Answer::Read) => Ok((Class::Done, "READ")),
            Err(status) => Err((code_name(status), class_name(status))),
        };
        if let Ok((Class::Denied, code)) = &status {
            let second = outcome.started.saturating_duration_since(self.began).as_secs();
            // Seconds are bounded, and codes are few.
            if second < SECONDS_MAX as u64 {
                *self.begun_and_denied.entry(second).or_default().entry((*code).to_owned()).or_default() += 1;
            }
        }
        let latency = outcome.ended.saturating_duration_since(outcome.started);
        let tier = self.crowd.tier(outcome.account);
        let mut counted = vec![&mut self.second];
        if is_measured {
            counted.push(&mut self.figures);
            counted.push(part(&mut self.by_operation, outcome.operation)?);
            counted.push(part(&mut self.by_tier, tier)?);
        } else {
            self.warm_up_offered += 1;
            self.warm_up_errors += u64::from(status.is_err());
        }
        for figures in counted {
            match &status {
                Ok((class, told)) => figures.add_answer(*class, told, latency),
                Err((code, class)) => figures.add_error(code, class),
            }
        }
        Ok(())
    }

    /// What of it the audit needs.
    async fn keep(&mut self, outcome: &Outcome) -> anyhow::Result<()> {
        let Outcome { account, meant, request_id, started, answer, contradiction, .. } = outcome;
        contradiction.iter().for_each(|finding| self.book.findings.add(finding.clone()));
        let Some(request_id) = *request_id else { return Ok(()) };
        match answer {
            Ok(Answer::Read) => {}
            Ok(Answer::Trade(trade)) => {
                let is_late = self.halted_at.is_some_and(|halted_at| *started > halted_at);
                if is_late && outcome.operation.is_trade() && trade.status() == v1::TradeStatus::Filled {
                    self.filled_after_halt += 1;
                }
                self.recorder.answered(request_id, trade).await;
                let name = self.crowd.account(*account)?.name;
                self.book.answered((*account, &name), (request_id, *meant), trade.as_ref().clone());
            }
            Err(status) => {
                self.recorder.failed(request_id, &code_name(status)).await;
                self.book.unanswered(*account, request_id, *meant);
            }
        }
        Ok(())
    }

    /// By kind of operation.
    pub(crate) fn operations(&self) -> BTreeMap<String, Part> {
        self.by_operation.iter().map(|(kind, figures)| (kind.as_str().to_owned(), figures.part())).collect()
    }

    /// By tier.
    pub(crate) fn tiers(&self) -> BTreeMap<String, Part> {
        self.by_tier.iter().map(|(tier, figures)| (tier.as_str().to_owned(), figures.part())).collect()
    }

    /// Every second so far.
    pub(crate) fn seconds(&self) -> Vec<Second> {
        let begun = |second: &u64| self.begun_and_denied.get(second).cloned().unwrap_or_default();
        self.seconds.iter().map(|own| Second { begun_and_denied: begun(&own.second), ..own.clone() }).collect()
    }

    fn end_second(&mut self) {
        let second = u64::try_from(self.seconds.len()).unwrap_or(u64::MAX);
        if self.seconds.len() < SECONDS_MAX {
            self.seconds.push(Second {
                second,
                is_warm_up: self.began + Duration::from_secs(second) < self.measure_from,
                offered: self.schedule.as_ref().map_or(0, |schedule| schedule.in_second(second)),
                ok: self.second.ok(),
                trades: self.second.trades,
                missed: self.second.missed(),
                denied: self.second.denied(),
                begun_and_denied: BTreeMap::new(),
                errors: self.second.errors(),
                latency: self.second.latency(),
                buckets: self.second.buckets(),
            });
        }
        self.second.clear();
    }

    fn second_line(&self) -> String {
        let latency = self.second.latency();
        format!(
            "{:>4} s  {:>7} ops/s  p50 {} ms  p99 {} ms  {} denied  {} errors",
            self.began.elapsed().as_secs(),
            self.second.ok(),
            millis(latency.p50_micros),
            millis(latency.p99_micros),
            self.second.denied(),
            self.second.errors()
        )
    }
}

/// What the answer is counted by: the trade's status, or why it was denied.
fn told(trade: &v1::Trade) -> &'static str {
    let denial = trade.denial.as_ref().filter(|_| trade.status() == v1::TradeStatus::Denied);
    denial.map_or_else(
        || trade.status().as_str_name().trim_start_matches("TRADE_STATUS_"),
        |denial| denial.code().as_str_name().trim_start_matches("DENIAL_CODE_"),
    )
}

fn part<K: Ord>(parts: &mut BTreeMap<K, Figures>, key: K) -> anyhow::Result<&mut Figures> {
    Ok(match parts.entry(key) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => new.insert(Figures::new()?),
    })
}
