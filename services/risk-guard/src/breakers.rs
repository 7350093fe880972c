//! Breakers in a running gate: measured, evaluated, journaled, and then done in
//! the same way as an operator's command.

mod gauges;

use crate::{
    alert,
    command::{Code, refusal},
    config::now,
    gate::{Ended, Gate, PRINCIPAL},
    halt::Asked,
    memory, metrics,
    wire::breaker_kind,
};
use ::metrics::counter;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tracing::{debug, error, info, warn};
use tragen_bus::Severity;
use tragen_contracts::v1;
use tragen_domain::{
    id::InstrumentId,
    market::Quote,
    risk::{
        Acknowledged, BreakerEvent, BreakerKind, BreakerRecord, CallCounts, Driver, Effect, Latch, LimitName, Meter,
        Reading, Record, Reduce, Reduction, Samples, Scope, TradingState, Watch, failures_ppm, jump_ppm,
        order_reduction,
    },
    time::Timestamp,
};

/// What the breakers of one term remember.
#[derive(Debug)]
pub(crate) struct BreakerWork {
    measured_at: Instant,
    meter: Meter,
    pub(crate) watch: Watch,
    memory: Samples,
    /// What the process may use of memory, bytes; 0 for no limit.
    pub(crate) memory_limit_bytes: i64,
    /// What proposed resumes say against breakers that are not low, by their token.
    pub(crate) overrides: HashMap<String, String>,
    /// The largest jump of each instrument since the last evaluation.
    jumps: HashMap<InstrumentId, i64>,
}

impl BreakerWork {
    /// Of a process that may use so much memory, bytes; 0 for no limit.
    pub(crate) fn within(memory_limit_bytes: i64) -> Self {
        Self {
            measured_at: Instant::now(),
            meter: Meter::default(),
            watch: Watch::default(),
            memory: Samples::default(),
            memory_limit_bytes,
            overrides: HashMap::new(),
            jumps: HashMap::new(),
        }
    }
}

impl Gate {
    /// Notes how far a price jumped, where that is limited.
    pub(crate) fn note_jump(&mut self, quote: &Quote) {
        let limit = self.state.limits().rules.of(LimitName::PriceJumpPausePpm, quote.instrument.as_str());
        if limit.is_none() {
            return;
        }
        let before = self.state.quote(&quote.instrument).and_then(Quote::reference_price);
        let Some(jump) = before.zip(quote.reference_price()).and_then(|(from, to)| jump_ppm(from, to)) else { return };
        let largest = self.breakers.jumps.entry(quote.instrument.clone()).or_default();
        *largest = jump.max(*largest);
    }

    /// Measures and evaluates, when it is time.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written.
    pub(crate) async fn watch_breakers(&mut self) -> Result<(), Ended> {
        if self.breakers.measured_at.elapsed() < Duration::from_millis(self.config.measure_ms) {
            return Ok(());
        }
        self.breakers.measured_at = Instant::now();
        let now = now();
        // Before they are evaluated: what counts is what the journal has.
        let closed = self.state.due_trades().iter().cloned().map(BreakerRecord::TradeClosed).collect();
        self.journal_breakers(closed, now).await?;
        let taken = self.breakers.meter.take(&self.state, now)?;
        for (scope, undefined) in &taken.undefined {
            counter!(metrics::BREAKERS, "breaker" => "EQUITY", "event" => "insufficient_data").increment(1);
            debug!("{scope} cannot be measured: {undefined}");
        }
        let mut readings = taken.readings;
        readings.extend(self.counted_readings(now));
        readings.extend(self.state.streak_readings());
        let events = self.breakers.watch.evaluate(&self.state, &readings, now);
        gauges::set(&self.state.limits().rules, &readings, taken.house.as_ref(), taken.measured.as_ref());
        let mut records: Vec<BreakerRecord> = taken.payments.into_iter().map(BreakerRecord::PaymentsKept).collect();
        records.extend(taken.kept.into_iter().map(BreakerRecord::BaselineKept));
        records.extend(taken.companies.map(BreakerRecord::CompaniesFound));
        records.extend(events.iter().filter_map(record_of));
        self.tell_begun_anew(&records);
        self.journal_breakers(records, now).await?;
        if let Some(measured) = taken.measured {
            self.apply(Record::Breaker(Box::new(BreakerRecord::Measured(measured))))?;
        }
        // A guard that died between the two has journaled a breaker and not obeyed it.
        let mut due: Vec<Latch> = self.state.unobeyed_breakers().cloned().collect();
        for event in events {
            self.tell_event(&event, now);
            if let BreakerEvent::Tripped(latch) = event
                && !due.contains(&latch)
            {
                due.push(latch);
            }
        }
        for latch in due {
            self.obey(&latch, now).await?;
        }
        Ok(())
    }

    async fn journal_breakers(&mut self, records: Vec<BreakerRecord>, now: Timestamp) -> Result<(), Ended> {
        if records.is_empty() {
            return Ok(());
        }
        let journaled = records
            .iter()
            .enumerate()
            .filter_map(|(number, record)| Some(self.unkeyed(&format!("breaker-{number}"), breaker_kind(record)?)));
        let journaled = journaled.collect();
        self.journal.append(journaled, now).await?;
        records.into_iter().try_for_each(|record| self.apply(Record::Breaker(Box::new(record))))
    }

    /// Values that come from counting.
    fn counted_readings(&mut self, now: Timestamp) -> Vec<Reading> {
        let limits = self.state.limits();
        let global = |kind, value| Reading { kind, scope: Scope::Global, value };
        let calls: CallCounts = self.venue_calls();
        let mut readings = vec![global(BreakerKind::VenueFailures, failures_ppm(calls, limits.venue_calls_min))];
        if self.breakers.memory_limit_bytes > 0 {
            let used = memory::used_ppm(self.breakers.memory_limit_bytes);
            let value = used.and_then(|used| self.breakers.memory.add(used, limits.memory_samples));
            readings.push(global(BreakerKind::Memory, value));
        }
        for (instrument, jump) in self.breakers.jumps.drain() {
            let scope = Scope::Instrument(instrument);
            readings.push(Reading { kind: BreakerKind::PriceJump, scope, value: Some(jump) });
        }
        if limits.rules.is_on(LimitName::FeedAgeWarnMs) {
            let aged = self.state.quotes().map(|quote| Reading {
                kind: BreakerKind::StaleFeed,
                scope: Scope::Instrument(quote.instrument.clone()),
                value: Some(now.millis_since(quote.published_at)),
            });
            readings.extend(aged);
        }
        readings
    }

    fn tell_event(&self, event: &BreakerEvent, now: Timestamp) {
        let (kind, what) = (kind_of(event), name_of(event));
        counter!(metrics::BREAKERS, "breaker" => kind.as_str(), "event" => what).increment(1);
        match event {
            BreakerEvent::Tripped(latch) => {
                let severity = match kind.effect() {
                    Effect::Halt | Effect::Reduce | Effect::ReducePositions | Effect::StopAgent => Severity::Critical,
                    Effect::Pause | Effect::ScaleDown | Effect::Alert => Severity::Warning,
                };
                let message = format!("{}: {}", latch.scope, reason_of(latch));
                error!("breaker {} tripped: {message}", kind.as_str());
                self.alert_people((severity, alert_code(kind)), latch.event_id(), message);
            }
            BreakerEvent::Extended(latch) => warn!("{} of {} goes on at {}", kind.as_str(), latch.scope, latch.value),
            BreakerEvent::Ended(latch) => info!("{} of {} is over", kind.as_str(), latch.scope),
            BreakerEvent::Rearmed { scope, .. } => info!("{} of {scope} is armed again", kind.as_str()),
            BreakerEvent::Warned { scope, level, value, threshold, .. } => {
                let percent = level.percent();
                let message = format!("{} of {scope} is at {value}, {percent} % of {threshold}", kind.as_str());
                warn!("{message}");
                let subject = format!("{scope}-{percent}-{}", now.utc_day());
                self.alert_people((Severity::Warning, alert_code(kind)), subject, message);
            }
        }
    }

    /// Through the same door as an operator's command. What has been done of it before a guard
    /// died is not done again: only what is missing is.
    async fn obey(&mut self, latch: &Latch, now: Timestamp) -> Result<(), Ended> {
        let Some(to) = latch.kind.effect().state() else { return Ok(()) };
        let reason = reason_of(latch);
        let is_state_due = self.state.state_of(&latch.scope) < to || latch.tripped_at == now;
        if !is_state_due {
            return match self.reduction_of(latch, &reason, now) {
                Some(reduction) => self.order_reduction(reduction).await,
                None => Ok(()),
            };
        }
        // The change of the scope comes first.
        let reduction = self.reduction_of(latch, &reason, now);
        let reduction = reduction.map(|own| Reduction { epoch: own.epoch + 1, ..own });
        let asked = Asked { principal: PRINCIPAL, reason: &reason, received: Instant::now(), wait_ms: 0 };
        self.close(&latch.scope, to, &asked, reduction).await?;
        Ok(())
    }

    /// Why people may not loosen `scope` to `target` now; else the breakers that they override.
    pub(crate) fn check_breakers(
        &self,
        scope: &Scope,
        target: TradingState,
        override_reason: &str,
    ) -> Result<Vec<Acknowledged>, Box<v1::GuardAnswer>> {
        let checked = self.state.breakers().check_resume((scope, target), &self.breakers.watch, override_reason, now());
        checked.map_err(|refused| Box::new(refusal(Code::FailedPrecondition, refused.as_str(), refused.to_string())))
    }

    /// Journals overridden breakers: they trip again only when it gets worse, or after it was better.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written.
    pub(crate) async fn acknowledge(&mut self, overridden: Vec<Acknowledged>) -> Result<(), Ended> {
        for own in &overridden {
            warn!("the reset of {} of {} at {} is overridden", own.kind.as_str(), own.scope, own.value);
        }
        self.journal_breakers(overridden.into_iter().map(BreakerRecord::Acknowledged).collect(), now()).await
    }

    /// The reduction that a breaker wants, if nobody has ordered it yet.
    fn reduction_of(&self, latch: &Latch, reason: &str, now: Timestamp) -> Option<Reduction> {
        let latch = self.state.breakers().latch(latch.kind, &latch.scope).filter(|latch| latch.owes_reduction())?;
        let wanted = Reduce {
            id: latch.reduction_id()?,
            scope: latch.scope.clone(),
            instrument: None,
            is_house_only: latch.scope == Scope::Global,
            factor_ppm: self.state.limits().reduce_factor_ppm,
            driver: Driver::Workers,
            ordered_by: PRINCIPAL.to_owned(),
            reason: reason.to_owned(),
        };
        match order_reduction(&self.state, wanted, now) {
            Ok(reduction) => reduction,
            Err(refused) => {
                // It is tried again with every measurement; the bus takes one alert of it.
                let message = format!("positions of {} are not reduced: {refused}", latch.scope);
                if latch.tripped_at == now {
                    error!("{message}");
                }
                self.alert_people((Severity::Critical, latch.kind.as_str()), latch.event_id(), message);
                None
            }
        }
    }

    /// A baseline that is begun anew forgets what was lost: somebody should know.
    fn tell_begun_anew(&self, records: &[BreakerRecord]) {
        for record in records {
            let BreakerRecord::BaselineKept(kept) = record else { continue };
            let Some(change) = kept.begun_because else { continue };
            let (scope, why) = (&kept.scope, change.as_str());
            let message = format!("losses of {scope} are measured anew from {}: {why}", kept.figures.start_of_day);
            warn!("{message}");
            let subject = format!("{scope}-{}", kept.figures.observed_at.micros());
            self.alert_people((Severity::Warning, "BASELINE_BEGUN_ANEW"), subject, message);
        }
    }

    fn alert_people(&self, what: (Severity, &'static str), subject: String, message: String) {
        let bus = self.bus.clone();
        self.context.spawn("breaker-alert", async move {
            alert::raise(&bus, what, &subject, message).await;
            Ok(())
        });
    }
}

fn reason_of(latch: &Latch) -> String {
    format!("{} is {}, the limit is {}", latch.kind.as_str(), latch.value, latch.threshold)
}

fn record_of(event: &BreakerEvent) -> Option<BreakerRecord> {
    match event {
        BreakerEvent::Tripped(latch) | BreakerEvent::Extended(latch) => Some(BreakerRecord::Tripped(latch.clone())),
        BreakerEvent::Ended(latch) => Some(BreakerRecord::Ended { kind: latch.kind, scope: latch.scope.clone() }),
        BreakerEvent::Rearmed { kind, scope } => Some(BreakerRecord::Ended { kind: *kind, scope: scope.clone() }),
        BreakerEvent::Warned { .. } => None,
    }
}

const fn kind_of(event: &BreakerEvent) -> BreakerKind {
    match event {
        BreakerEvent::Tripped(latch) | BreakerEvent::Extended(latch) | BreakerEvent::Ended(latch) => latch.kind,
        BreakerEvent::Rearmed { kind, .. } | BreakerEvent::Warned { kind, .. } => *kind,
    }
}

const fn name_of(event: &BreakerEvent) -> &'static str {
    match event {
        BreakerEvent::Tripped(_) => "tripped",
        BreakerEvent::Extended(_) => "extended",
        BreakerEvent::Ended(_) => "ended",
        BreakerEvent::Rearmed { .. } => "rearmed",
        BreakerEvent::Warned { .. } => "warned",
    }
}

const fn alert_code(kind: BreakerKind) -> &'static str {
    match kind {
        BreakerKind::Drawdown => "BREAKER_DRAWDOWN",
        BreakerKind::MonthLoss => "BREAKER_MONTH_LOSS",
        BreakerKind::TotalLoss => "BREAKER_TOTAL_LOSS",
        BreakerKind::PositionReduction => "BREAKER_POSITION_REDUCTION",
        BreakerKind::Correlation => "BREAKER_CORRELATION",
        BreakerKind::AgentLoss => "BREAKER_AGENT_LOSS",
        BreakerKind::ConsecutiveLosses => "BREAKER_CONSECUTIVE_LOSSES",
        BreakerKind::VenueFailures => "BREAKER_VENUE_FAILURES",
        BreakerKind::PriceJump => "BREAKER_PRICE_JUMP",
        BreakerKind::Memory => "BREAKER_MEMORY",
        BreakerKind::StaleFeed => "BREAKER_STALE_FEED",
    }
}
