//! A session: connected, with money in every account; and a run in it.

use crate::{
    audit::{Auditor, patiently},
    book::Book,
    figures::{Figures, per_second},
    load::{self, Load, Outcome, Trader},
    market::Market,
    report::{Report, millis},
    target::{Account, code_name, connect},
};
use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tonic::transport::Channel;
use tragen_contracts::v1::{self, accounts_client::AccountsClient};
use uuid::Uuid;

/// Outcomes that may wait to be counted.
const OUTCOMES_MAX: usize = 65_536;
/// Outcomes counted at a time.
const OUTCOMES_AT_ONCE: usize = 1_024;
/// Deposits made at the same time.
const DEPOSITS_AT_ONCE: usize = 16;
/// How long preparations and unfinished business may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the load goes, and in whose name.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The public API, e.g. `http://127.0.0.1:8080`.
    pub endpoint: String,
    /// At least one.
    pub accounts: Vec<Account>,
    /// HTTP/2 connections; at least one.
    pub connections: usize,
    /// What to trade; the first open prediction that is quoted if `None`.
    pub instrument_id: Option<String>,
    /// Size of an order, 1e-6; the instrument's smallest if `None`.
    pub quantity_micros: Option<i64>,
    /// Paid into each account beforehand, 1e-6 of the currency; nothing if 0.
    pub deposit_micros: i64,
    /// When an operation counts as failed.
    pub deadline: Duration,
    /// Answers compared with the server's later word, at most.
    pub audit_trades_max: usize,
    /// Accounts whose transfers are added up, at most.
    pub audit_transfers_of_max: usize,
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
}

/// Connected, and every account has money.
#[derive(Debug)]
pub struct Session {
    setup: Setup,
    channels: Arc<[Channel]>,
    accounts: Arc<[Account]>,
    market: Market,
    /// Operations started so far, so that every run goes on with the next account and side.
    next: Arc<AtomicU64>,
}

impl Session {
    /// Connects, picks the instrument and deposits.
    ///
    /// # Errors
    /// When the server cannot be reached, nothing is quoted, or a deposit fails.
    pub async fn open(setup: Setup) -> anyhow::Result<Self> {
        ensure!(!setup.accounts.is_empty(), "the load test needs an account");
        ensure!(setup.connections > 0, "the load test needs a connection");
        let channels: Arc<[Channel]> = connect(&setup.endpoint, setup.connections).await?.into();
        let accounts: Arc<[Account]> = setup.accounts.clone().into();
        let wanted = setup.instrument_id.as_deref();
        let market = Market::open(channels[0].clone(), accounts[0].clone(), wanted).await?;
        let session = Self { setup, channels, accounts, market, next: Arc::default() };
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
        let auditor = Auditor {
            channel: self.channels[0].clone(),
            accounts: &self.accounts,
            currency: &self.market.instrument.currency,
            patience: PATIENCE,
            transfers_of_max: self.setup.audit_transfers_of_max,
        };
        let cash_before = auditor.cash().await.context("reading the accounts before the load")?;
        let (sender, outcomes) = mpsc::channel(OUTCOMES_MAX);
        let mut tally = Tally::new(self, run)?;
        let length = run.warm_up + run.measured;
        let (unsent, ()) =
            tokio::join!(load::run(run.load, self.trader(), length, sender), tally.gather(outcomes, progress));
        let audit = auditor.audit(tally.book, &cash_before).await;

        let figures = tally.figures;
        let measured = tally.last_answer.saturating_duration_since(tally.measure_from);
        Ok(Report {
            load: name(run.load),
            instrument_id: self.market.instrument.instrument_id.clone(),
            accounts: self.accounts.len(),
            connections: self.channels.len(),
            measured_ms: u64::try_from(measured.as_millis()).unwrap_or(u64::MAX),
            offered: figures.ok() + figures.errors() + unsent,
            ok: figures.ok(),
            errors: figures.errors(),
            warm_up_errors: tally.warm_up_errors,
            unsent,
            ok_per_second: per_second(figures.ok(), measured),
            latency: figures.latency(),
            ok_by_status: figures.ok_by_status,
            errors_by_code: figures.errors_by_code,
            audit,
        })
    }

    fn trader(&self) -> Trader {
        let instrument = &self.market.instrument;
        let smallest = instrument.min_quantity_micros.max(instrument.lot_micros);
        Trader {
            accounts: Arc::clone(&self.accounts),
            channels: Arc::clone(&self.channels),
            instrument_id: instrument.instrument_id.as_str().into(),
            quantity_micros: self.setup.quantity_micros.unwrap_or(smallest),
            quotes: self.market.quotes.clone(),
            deadline: self.setup.deadline,
            next: Arc::clone(&self.next),
        }
    }

    async fn deposit(&self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        let deposits =
            stream::iter(self.accounts.iter().zip(self.channels.iter().cycle())).map(|(account, channel)| {
                // The same request id at every attempt: the money arrives once.
                let request = v1::DepositRequest {
                    request_id: Uuid::now_v7().to_string(),
                    amount_micros: self.setup.deposit_micros,
                    currency: self.market.instrument.currency.clone(),
                };
                async move {
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

/// Counts what comes in and keeps what the audit needs.
#[derive(Debug)]
struct Tally {
    accounts: Arc<[Account]>,
    book: Book,
    figures: Figures,
    /// Of the current second, for the progress.
    second: Figures,
    measure_from: Instant,
    last_answer: Instant,
    warm_up_errors: u64,
}

impl Tally {
    fn new(session: &Session, run: Run) -> anyhow::Result<Self> {
        let measure_from = Instant::now() + run.warm_up;
        Ok(Self {
            accounts: Arc::clone(&session.accounts),
            book: Book::new(session.accounts.len(), session.setup.audit_trades_max),
            figures: Figures::new()?,
            second: Figures::new()?,
            measure_from,
            last_answer: measure_from,
            warm_up_errors: 0,
        })
    }

    /// Takes every outcome until the load has ended.
    async fn gather(&mut self, mut outcomes: mpsc::Receiver<Outcome>, progress: impl Fn(&str)) {
        let begin = Instant::now();
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.tick().await;
        let mut gathered = Vec::with_capacity(OUTCOMES_AT_ONCE);
        loop {
            tokio::select! {
                count = outcomes.recv_many(&mut gathered, OUTCOMES_AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    gathered.drain(..).for_each(|outcome| self.add(outcome));
                }
                _ = seconds.tick() => {
                    progress(&self.second_line(begin.elapsed()));
                    self.second.clear();
                }
            }
        }
    }

    fn add(&mut self, outcome: Outcome) {
        let Outcome { account, request_id, started, ended, answer } = outcome;
        let is_measured = started >= self.measure_from;
        if is_measured {
            self.last_answer = self.last_answer.max(ended);
        }
        match answer {
            Ok(trade) => {
                let latency = ended.saturating_duration_since(started);
                let status = trade.status().as_str_name().trim_start_matches("TRADE_STATUS_");
                self.second.add_ok(status, latency);
                if is_measured {
                    self.figures.add_ok(status, latency);
                }
                self.book.answered(account, &self.accounts[account].name, request_id, trade);
            }
            Err(status) => {
                let code = code_name(&status);
                self.second.add_error(&code);
                if is_measured {
                    self.figures.add_error(&code);
                } else {
                    self.warm_up_errors += 1;
                }
                self.book.unanswered(account, request_id);
            }
        }
    }

    fn second_line(&self, elapsed: Duration) -> String {
        let latency = self.second.latency();
        format!(
            "{:>4} s  {:>7} trades/s  p50 {} ms  p99 {} ms  {} errors",
            elapsed.as_secs(),
            self.second.ok(),
            millis(latency.p50_micros),
            millis(latency.p99_micros),
            self.second.errors()
        )
    }
}

fn name(load: Load) -> String {
    match load {
        Load::Closed { in_flight } => format!("{in_flight} in flight"),
        Load::Open { per_second, .. } => format!("{per_second}/s"),
    }
}
