//! A session: connected, with money in every account; and runs in it.

use crate::{
    audit::{Auditor, patiently},
    book::Book,
    crowd::{Crowd, Issuer, Role, Tier},
    figures::per_second,
    halt,
    load::{self, Load, Stop},
    machine::Machine,
    market::Market,
    monitor::{Monitor, Watched},
    operation::Mix,
    proof::{Proof, Prover},
    record::{Recorder, Writing},
    report::Report,
    tally::Tally,
    target::connect,
    trader::{Trader, Wishes},
};
use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::{mpsc, watch};
use tonic::{Request, transport::Channel};
use tragen_contracts::v1::{self, accounts_client::AccountsClient, operations_client::OperationsClient};
use uuid::Uuid;

/// Outcomes that may wait to be counted.
const OUTCOMES_MAX: usize = 65_536;
/// Deposits made at the same time.
const DEPOSITS_AT_ONCE: usize = 128;
/// [`Setup::patience`] unless somebody says otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long the platform may take to tell its version.
const VERSION_MAX: Duration = Duration::from_secs(2);

/// Where the load goes, and in whose name.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The public API, e.g. `http://127.0.0.1:8080`.
    pub endpoint: String,
    /// Who acts; at least one account.
    pub crowd: Arc<Crowd>,
    /// Signs tokens of operators, for halts and for the platform's version; neither without it.
    pub issuer: Option<Issuer>,
    /// What is done.
    pub mix: Mix,
    /// HTTP/2 connections; at least one.
    pub connections: usize,
    /// What to trade; the first open prediction that is quoted if `None`.
    pub instrument_id: Option<String>,
    /// Size of an order, 1e-6; the instrument's smallest if `None`.
    pub quantity_micros: Option<i64>,
    /// Paid into each account beforehand, 1e-6 of the currency; nothing if 0.
    pub deposit_micros: i64,
    /// When an attempt counts as failed.
    pub deadline: Duration,
    /// How long a request that failed is repeated with the same id; not at all if zero.
    pub retry_for: Duration,
    /// Of a hundred trades so many are asked for twice at the same time with the same id.
    pub doubled_percent: u64,
    /// Answers compared with the server's later word, at most.
    pub audit_trades_max: usize,
    /// Accounts whose transfers are added up, at most.
    pub audit_transfers_of_max: usize,
    /// How long preparations and unfinished business may take.
    pub patience: Duration,
    /// Where every request and answer is recorded; it must not exist.
    pub record: Option<PathBuf>,
    /// Processes and metrics that are looked at meanwhile.
    pub watched: Vec<Watched>,
}

/// One measured run.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// How operations are started.
    pub load: Load,
    /// Load before measuring.
    pub warm_up: Duration,
    /// Load that is measured.
    pub measured: Duration,
    /// Trading is halted so long after the first measured start; never if `None`.
    pub halt_after: Option<Duration>,
}

impl Run {
    /// Without a halt.
    #[must_use]
    pub const fn new(load: Load, warm_up: Duration, measured: Duration) -> Self {
        Self { load, warm_up, measured, halt_after: None }
    }
}

/// Connected, and every account has money.
#[derive(Debug)]
pub struct Session {
    setup: Setup,
    channels: Arc<[Channel]>,
    market: Market,
    matches: Arc<[String]>,
    machine: Machine,
    /// Operations started so far, so that every run goes on with the next account and side.
    next: Arc<AtomicU64>,
    recorder: Recorder,
    writing: Writing,
    began: SystemTime,
}

impl Session {
    /// Connects, picks the instrument and deposits.
    ///
    /// # Errors
    /// When the server cannot be reached, nothing is quoted, or a deposit fails.
    pub async fn open(setup: Setup) -> anyhow::Result<Self> {
        ensure!(!setup.crowd.is_empty(), "the load test needs an account");
        ensure!(setup.connections > 0, "the load test needs a connection");
        setup.mix.validate()?;
        let channels: Arc<[Channel]> = connect(&setup.endpoint, setup.connections).await?.into();
        let first = setup.crowd.account(0)?;
        let market = Market::open(channels[0].clone(), first, setup.instrument_id.as_deref()).await?;
        let matches = if setup.mix.mandates == 0 { Vec::new() } else { market.matches().await? };
        let machine = Machine::here(&version(&setup, channels[0].clone()).await);
        let (recorder, writing) = Recorder::open(setup.record.as_deref())?;
        let session = Self {
            setup,
            channels,
            market,
            matches: matches.into(),
            machine,
            next: Arc::default(),
            recorder,
            writing,
            began: SystemTime::now(),
        };
        if session.setup.deposit_micros > 0 {
            session.deposit().await.context("depositing")?;
        }
        Ok(session)
    }

    /// Runs the load and audits it; `progress` is given a line each second.
    ///
    /// # Errors
    /// When the accounts cannot be read beforehand.
    pub async fn run(&self, run: Run, progress: impl Fn(&str)) -> anyhow::Result<Report> {
        let halting = run.halt_after.map(|after| tokio::time::sleep(run.warm_up + after));
        self.run_halting(run, (halting, Stop::default()), progress).await
    }

    /// The same; trading is halted when `halting` is over, and the load ends early with `stop`.
    pub(crate) async fn run_halting<H: Future<Output = ()>>(
        &self,
        run: Run,
        (halting, stop_load): (Option<H>, Stop),
        progress: impl Fn(&str),
    ) -> anyhow::Result<Report> {
        let schedule = run.load.schedule(run.warm_up, run.measured);
        let from = self.next.load(Ordering::Relaxed);
        let active = self.setup.crowd.active(from, schedule.as_ref().map(|schedule| from + schedule.count()));
        let auditor = self.auditor();
        let cash_before = auditor.cash(&active).await.context("reading the accounts before the load")?;
        let trader = self.trader();
        let length = run.warm_up + run.measured;

        let began = Instant::now();
        let monitor = Monitor::new(&self.setup.watched, began + run.warm_up);
        let (stop, stopped) = watch::channel(false);
        let monitoring = tokio::spawn(monitor.run(stopped));
        let (sender, outcomes) = mpsc::channel(OUTCOMES_MAX);
        let (halt_sender, halts) = mpsc::channel(1);
        let book = Book::new(self.setup.audit_trades_max);
        let recorder = self.recorder.clone();
        let mut tally =
            Tally::new(Arc::clone(&self.setup.crowd), recorder, (book, schedule.clone()), (began, run.warm_up))?;
        let (unsent, gathered, halted) = tokio::join!(
            load::run(run.load, (schedule, length, stop_load), trader.clone(), sender),
            tally.gather((outcomes, halts), progress),
            self.halt(halting, halt_sender),
        );
        gathered?;
        stop.send_replace(true);
        let usage =
            monitoring.await.context("watching the platform")?.usage((tally.figures.ok(), tally.figures.trades));
        // What still rests is canceled, so that everything can end; it is not measured.
        let cleared = trader.clear().await;
        let report = self.report(run, (&tally, unsent), active.len());
        let halt = halted?.map(|halted| halt::Halted { filled_afterwards: tally.filled_after_halt, ..halted });
        for outcome in cleared {
            tally.add(outcome).await?;
        }
        let audit = auditor.audit(tally.book, &cash_before).await;
        Ok(Report { audit, usage, halt, began: Some(began), ..report })
    }

    /// Ends the session and proves what was recorded; `None` if nothing was.
    ///
    /// # Errors
    /// When the record cannot be read, or the API or a database cannot be asked.
    pub async fn prove(self, databases: &[String]) -> anyhow::Result<Option<Proof>> {
        let Self { setup, channels, recorder, writing, began, .. } = self;
        drop(recorder);
        writing.end().await?;
        let Some(record) = &setup.record else { return Ok(None) };
        let prover = Prover { channel: channels[0].clone(), crowd: &setup.crowd, began, patience: setup.patience };
        prover.prove(record, databases).await.map(Some)
    }

    /// What is traded.
    pub(crate) const fn instrument(&self) -> &v1::Instrument {
        &self.market.instrument
    }

    fn auditor(&self) -> Auditor<'_> {
        Auditor {
            channel: self.channels[0].clone(),
            crowd: &self.setup.crowd,
            currency: &self.market.instrument.currency,
            patience: self.setup.patience,
            transfers_of_max: self.setup.audit_transfers_of_max,
        }
    }

    /// The figures; audit, usage and halt are added afterwards.
    fn report(&self, run: Run, (tally, unsent): (&Tally, u64), active: usize) -> Report {
        let figures = &tally.figures;
        let measured = tally.last_answer.saturating_duration_since(tally.measure_from);
        Report {
            load: name(run.load),
            instrument_id: self.market.instrument.instrument_id.clone(),
            accounts: self.setup.crowd.len(),
            accounts_active: active,
            connections: self.channels.len(),
            measured_ms: u64::try_from(measured.as_millis()).unwrap_or(u64::MAX),
            offered: figures.started() + unsent,
            ok: figures.ok(),
            trades: figures.trades,
            missed: figures.missed(),
            denied: figures.denied(),
            errors: figures.errors(),
            warm_up_offered: tally.warm_up_offered,
            warm_up_errors: tally.warm_up_errors,
            unsent,
            ok_per_second: per_second(figures.ok(), measured),
            trades_per_second: per_second(figures.trades, measured),
            latency: figures.latency(),
            denial_latency: figures.denial_latency(),
            ok_by_status: figures.ok_by_status.clone(),
            missed_by_status: figures.missed_by_status.clone(),
            denied_by_code: figures.denied_by_code.clone(),
            errors_by_code: figures.errors_by_code.clone(),
            errors_by_class: figures.errors_by_class.clone(),
            by_operation: tally.operations(),
            by_tier: tally.tiers(),
            seconds: tally.seconds(),
            machine: self.machine.clone(),
            ..Report::default()
        }
    }

    async fn halt<H: Future<Output = ()>>(
        &self,
        halting: Option<H>,
        halts: mpsc::Sender<Instant>,
    ) -> anyhow::Result<Option<halt::Halted>> {
        let Some(halting) = halting else { return Ok(None) };
        let issuer = self.setup.issuer.as_ref().context("a halt needs --signing-key: an operator gives it")?;
        halting.await;
        // A halt that fails is a result, not the end of the run.
        Ok(Some(match halt::halt(self.channels[0].clone(), issuer).await {
            Ok((halted, at)) => {
                let _ = halts.send(at).await;
                halted
            }
            Err(error) => halt::Halted { failure: format!("{error:#}"), ..halt::Halted::default() },
        }))
    }

    fn trader(&self) -> Trader {
        let instrument = &self.market.instrument;
        let smallest = instrument.min_quantity_micros.max(instrument.lot_micros);
        Trader {
            crowd: Arc::clone(&self.setup.crowd),
            channels: Arc::clone(&self.channels),
            wishes: Wishes {
                instrument_id: instrument.instrument_id.as_str().into(),
                quantity_micros: self.setup.quantity_micros.unwrap_or(smallest),
                lowest_price_micros: instrument.min_price_micros,
                matches: Arc::clone(&self.matches),
                mix: self.setup.mix,
                retry_for: self.setup.retry_for,
                doubled_percent: self.setup.doubled_percent,
            },
            quotes: self.market.quotes.clone(),
            deadline: self.setup.deadline,
            next: Arc::clone(&self.next),
            resting: Arc::new(Mutex::default()),
            recorder: self.recorder.clone(),
        }
    }

    async fn deposit(&self) -> anyhow::Result<()> {
        let numbers = 0..self.setup.crowd.len();
        let deposits = stream::iter(numbers.zip(self.channels.iter().cycle())).map(|(number, channel)| {
            // The same request id at every attempt: the money arrives once.
            let request = v1::DepositRequest {
                request_id: Uuid::now_v7().to_string(),
                amount_micros: self.setup.deposit_micros,
                currency: self.market.instrument.currency.clone(),
            };
            async move {
                let account = self.setup.crowd.account(number)?;
                let until = Instant::now() + self.setup.patience;
                let deposited = patiently(until, || async {
                    let request = account.request(request.clone(), self.setup.deadline);
                    AccountsClient::new(channel.clone()).deposit(request).await
                });
                deposited.await.map(drop).with_context(|| format!("into {}", account.name))
            }
        });
        deposits.buffer_unordered(DEPOSITS_AT_ONCE).try_collect().await
    }
}

fn name(load: Load) -> String {
    match load {
        Load::Closed { in_flight } => format!("{in_flight} in flight"),
        Load::Open { shape, .. } => shape.to_string(),
    }
}

/// The platform's version; empty when it does not tell.
async fn version(setup: &Setup, channel: Channel) -> String {
    let asked = async {
        let token = setup.issuer.as_ref()?.issue("load-operator", Tier::Premium, Role::Operator).ok()?;
        let operator = crate::target::Account::new("load-operator", &token).ok()?;
        let request: Request<_> = operator.request(v1::GetStatusRequest {}, VERSION_MAX);
        Some(OperationsClient::new(channel).get_status(request).await.ok()?.into_inner().version)
    };
    asked.await.unwrap_or_default()
}
