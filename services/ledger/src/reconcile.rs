//! Once a minute: the books against themselves, the guard and the venue. It only
//! reads; what does not agree calls for a person, and for money the guard is asked
//! to halt. What cannot be compared, because the guard or a database does not
//! answer, is no disagreement.
//!
//! A round looks at what has changed since the last one, and at some of the rest
//! in turn. `ledger verify` recomputes everything.

mod finding;
mod guard;
mod round;
mod transit;
mod venue;

use crate::{
    answer::Owned,
    config::{Config, ShardConfig},
    metrics as names, publish,
    store::Books,
};
use anyhow::Context as _;
use finding::Finding;
use metrics::{counter, histogram};
use round::Watch;
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;
use tracing::{debug, error, info, warn};
use tragen_bus::{Ask, Bus};
use tragen_contracts::v1;
use tragen_host::Context;
use transit::Transit;
use venue::Venue;

/// As whom the guard is asked.
const PRINCIPAL: &str = "ledger-reconciliation";
/// How long the guard may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long the guard waits for the workers before it answers that it has halted, milliseconds.
const HALT_WAIT_MS: i32 = 1_000;
/// Findings remembered, so that each is told once.
const REMEMBERED_MAX: usize = 10_000;
/// Halts that wait for a guard.
const HALTS_MAX: usize = 100;
/// Most alerts that wait for the bus; what is found beyond them only the log tells.
const ALERTS_MAX: usize = 1_000;

/// Starts comparing the shards that this process owns.
pub(crate) fn start(context: &Context, bus: &Bus, books: &Arc<[Books]>, owned: &Owned, config: &Arc<Config>) {
    let reconciler = Reconciler {
        bus: bus.clone(),
        books: Arc::clone(books),
        places: config.shards(),
        owned: owned.clone(),
        config: Arc::clone(config),
        watches: HashMap::new(),
        transit: Transit::default(),
        venue: Venue::default(),
        views_after: String::new(),
        told: HashSet::new(),
        alerts: VecDeque::new(),
        halts: BTreeMap::new(),
    };
    context.spawn("ledger-reconcile", reconciler.run(context.clone()));
}

/// Compares.
struct Reconciler {
    bus: Bus,
    books: Arc<[Books]>,
    places: Vec<ShardConfig>,
    owned: Owned,
    config: Arc<Config>,
    /// What is known of each owned shard from the rounds before.
    watches: HashMap<u16, Watch>,
    /// Money on its way between shards.
    transit: Transit,
    /// How far the venue's executions were compared.
    venue: Venue,
    /// The last account of the guard's that was compared.
    views_after: String,
    /// Findings that were told.
    told: HashSet<String>,
    /// Alerts that the bus has not stored, oldest first.
    alerts: VecDeque<v1::Alert>,
    /// Halts that the guard has not confirmed, by what they are about.
    halts: BTreeMap<String, v1::HaltRequest>,
}

impl Reconciler {
    async fn run(mut self, context: Context) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(Duration::from_millis(self.config.reconcile_every_ms));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stopped = context.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return Ok(()),
                _ = tick.tick() => {}
            }
            let owned = self.owned.shards();
            self.watches.retain(|shard, _| owned.contains(shard));
            let started = Instant::now();
            let round = async {
                for shard in &owned {
                    self.shard(*shard).await;
                }
                self.others(&owned).await;
                self.ask_for_halts().await;
                self.raise_alerts().await;
            };
            // All of it only reads and tells: it may be dropped anywhere.
            tokio::select! {
                () = &mut stopped => return Ok(()),
                () = round => {}
            }
            if !owned.is_empty() {
                histogram!(names::RECONCILE_SECONDS).record(started.elapsed().as_secs_f64());
            }
        }
    }

    /// Compares the books of a shard with themselves.
    async fn shard(&mut self, shard: u16) {
        let Some(place) = self.places.get(usize::from(shard)).cloned() else { return };
        let (handle, limits) = (Handle::current(), round::Limits::of(&self.config));
        let mut watch = self.watches.remove(&shard).unwrap_or_default();
        let work = move || {
            let seen = watch.round(&handle, (shard, &place), limits);
            (watch, seen)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok((watch, Ok(seen))) => {
                self.watches.insert(shard, watch);
                counter!(names::RECONCILED).increment(seen.accounts);
                self.transit.add(seen.sent);
                self.tell(seen.findings).await;
            }
            // The next round begins anew.
            Ok((_, Err(error))) => warn!("shard {shard} cannot be compared with itself: {error:#}"),
            Err(panic) => error!("comparing shard {shard} with itself: {:#}", anyhow::Error::new(panic)),
        }
    }

    /// Compares the books with what others say.
    async fn others(&mut self, owned: &[u16]) {
        if owned.is_empty() {
            return;
        }
        let late = self.transit.late(&self.books).await;
        self.take("money between shards", late).await;
        let views = self.views(owned).await;
        self.take("what the guard believes", views).await;
        // The venue's executions concern all shards: the owner of the first one looks.
        if owned.contains(&0) {
            let missing = self.venue.missing((&self.bus, &self.books), self.config.reconcile_fills_max).await;
            self.take("the venue's executions", missing).await;
        }
    }

    async fn take(&mut self, what: &str, found: anyhow::Result<Vec<Finding>>) {
        match found {
            Ok(findings) => self.tell(findings).await,
            Err(error) => debug!("{what} cannot be compared now: {error:#}"),
        }
    }

    /// Calls a person for what was not told yet, and remembers whom to halt.
    async fn tell(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            if self.told.len() >= REMEMBERED_MAX {
                self.told.clear();
            }
            if !self.told.insert(finding.id.clone()) {
                continue;
            }
            error!("reconciliation: {}", finding.message);
            counter!(names::FINDINGS, "code" => finding.code).increment(1);
            if let (Some(halt), true) = (finding.halt(), self.halts.len() < HALTS_MAX) {
                self.halts.entry(finding.subject.clone()).or_insert(halt);
            }
            if self.alerts.len() < ALERTS_MAX {
                self.alerts.push_back(finding.alert());
            }
        }
        self.raise_alerts().await;
    }

    /// Calls a person; what the bus does not store now is told with the next round.
    async fn raise_alerts(&mut self) {
        while let Some(alert) = self.alerts.front() {
            if !publish::raise(&self.bus, alert).await {
                return;
            }
            self.alerts.pop_front();
        }
    }

    /// Asks for halts until the guard has confirmed them.
    async fn ask_for_halts(&mut self) {
        for (subject, halt) in std::mem::take(&mut self.halts) {
            let question = v1::GuardQuestion {
                principal: PRINCIPAL.to_owned(),
                question: Some(v1::guard_question::Question::Halt(halt.clone())),
                traceparent: String::new(),
            };
            match self.ask(&question).await {
                Ok(v1::guard_answer::Answer::Halt(_)) => {
                    info!("the guard has halted, as reconciliation asked: {subject}")
                }
                Ok(other) => {
                    error!("the guard does not halt {subject}: {other:?}");
                    self.halts.insert(subject, halt);
                }
                Err(error) => {
                    warn!("the guard cannot be asked to halt {subject} now: {error:#}");
                    self.halts.insert(subject, halt);
                }
            }
        }
    }

    async fn ask(&self, question: &v1::GuardQuestion) -> anyhow::Result<v1::guard_answer::Answer> {
        ask(&self.bus, question).await
    }
}

/// What the guard answers.
///
/// # Errors
/// When it does not.
async fn ask(bus: &Bus, question: &v1::GuardQuestion) -> anyhow::Result<v1::guard_answer::Answer> {
    let answer: v1::GuardAnswer = bus.ask(Ask::Guard, question, ANSWER_WAIT).await?;
    answer.answer.context("the guard answered nothing")
}
