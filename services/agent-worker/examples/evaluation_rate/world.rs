//! The platform around the worker: bars, leases, accounts, and a guard that lets everything through.

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use prost::Message as _;
use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tragen_bus::{Ask, Bucket, Bus, Consumer, PublishOptions, Subject};
use tragen_contracts::v1::{self, ledger_answer::Answer, ledger_question::Question};
use tragen_domain::{id::InstrumentId, market::Timeframe};
use tragen_host::{Context, clock};

/// Bars and agents published at the same time.
const AT_ONCE: usize = 64;
/// What an account has, 1e-6.
const CASH_MICROS: i64 = 10_000_000_000;

/// Signed positions by account and instrument.
type Positions = Arc<Mutex<HashMap<(String, String), i64>>>;

#[derive(Clone)]
pub(crate) struct World {
    bus: Bus,
    positions: Positions,
    orders: Arc<AtomicU64>,
    questions: Arc<AtomicU64>,
    number: Arc<AtomicI64>,
}

impl World {
    pub(crate) async fn start(context: Context, bus: Bus) -> anyhow::Result<Self> {
        let world = Self {
            bus: bus.clone(),
            positions: Positions::default(),
            orders: Arc::default(),
            questions: Arc::default(),
            number: Arc::new(AtomicI64::new(0)),
        };
        let lease = |question: v1::LeaseQuestion| -> BoxFuture<'static, v1::LeaseAnswer> {
            let state = Some(v1::ControlState { epoch: 1, ..v1::ControlState::default() });
            let answer =
                v1::LeaseAnswer { nonce: question.nonce, state, valid_for_ms: 1_000, ..v1::LeaseAnswer::default() };
            Box::pin(std::future::ready(answer))
        };
        bus.answer(&context, Ask::Lease, lease).await?;
        let own = world.clone();
        let ledger = move |question: v1::LedgerQuestion| -> BoxFuture<'static, v1::LedgerAnswer> {
            let answer = own.holdings(&question);
            Box::pin(std::future::ready(v1::LedgerAnswer { answer: Some(answer) }))
        };
        bus.answer(&context, Ask::Ledger, ledger).await?;
        let (own, mut proposals) = (world.clone(), bus.pull::<v1::ProposalBatch>(&context, Consumer::Guard));
        context.spawn("guard", async move {
            while let Some(delivery) = proposals.next().await {
                delivery.message.proposals.iter().for_each(|proposal| own.fill(proposal));
                delivery.ack().await;
            }
            Ok(())
        });
        Ok(world)
    }

    /// Orders that have reached the guard.
    pub(crate) fn orders(&self) -> u64 {
        self.orders.load(Ordering::Relaxed)
    }

    /// Questions that have reached the ledger.
    pub(crate) fn questions(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }

    pub(crate) async fn put_instrument(&self, id: &str) -> anyhow::Result<()> {
        self.publish(&Subject::Instrument(InstrumentId::new(id)?), &definition(id)).await
    }

    /// Puts all agents into the registry, some at a time.
    pub(crate) async fn put_agents(&self, count: usize, own: &[String], shared: &str) -> anyhow::Result<()> {
        let bucket = self.bus.bucket(Bucket::Agents).await?;
        let started = Instant::now();
        let puts = agents(count, own, shared).into_iter().map(|agent| {
            let bucket = &bucket;
            async move { bucket.put(agent.agent_id.as_str(), agent.encode_to_vec().into()).await }
        });
        stream::iter(puts).buffer_unordered(AT_ONCE).try_for_each(|_| std::future::ready(Ok(()))).await?;
        println!("registry: {count} agents stored in {:.1} s", started.elapsed().as_secs_f64());
        Ok(())
    }

    /// The next bar of every instrument.
    pub(crate) async fn round(&self, instruments: &[String]) -> anyhow::Result<()> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let bars = instruments.iter().enumerate().map(|(place, id)| self.bar(id, number, walk(place, number)));
        stream::iter(bars).buffer_unordered(AT_ONCE).try_for_each(|()| std::future::ready(Ok(()))).await
    }

    /// A market that goes nowhere.
    pub(crate) async fn quiet_bars(&self, instrument: &str) -> anyhow::Result<()> {
        for number in 0..60 {
            self.bar(instrument, number, 1_500_000 + (number % 2) * 200).await?;
        }
        Ok(())
    }

    /// A fall out of its range, which scalpers fade.
    pub(crate) async fn falling_bar(&self, instrument: &str) -> anyhow::Result<()> {
        self.bar(instrument, 60, 1_499_500).await
    }

    async fn bar(&self, instrument: &str, number: i64, close_micros: i64) -> anyhow::Result<()> {
        let subject = Subject::Bar(Timeframe::Minute1, InstrumentId::new(instrument)?);
        self.publish(&subject, &bar(instrument, number, close_micros)).await
    }

    async fn publish<M: prost::Message>(&self, subject: &Subject, message: &M) -> anyhow::Result<()> {
        self.bus.publish(subject, message, &PublishOptions::default(), Duration::from_secs(10)).await?;
        Ok(())
    }

    fn holdings(&self, question: &v1::LedgerQuestion) -> Answer {
        self.questions.fetch_add(1, Ordering::Relaxed);
        let Some(Question::Holdings(asked)) = &question.question else { return Answer::Error(v1::AskError::default()) };
        let positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        let holding = |account_id: &String| v1::Holding {
            account_id: account_id.clone(),
            cash_micros: CASH_MICROS,
            quantity_micros: positions
                .get(&(account_id.clone(), asked.instrument_id.clone()))
                .copied()
                .unwrap_or_default(),
        };
        Answer::Holdings(v1::Holdings { holdings: asked.account_ids.iter().map(holding).collect() })
    }

    /// Every order is filled at once.
    fn fill(&self, proposal: &v1::Proposal) {
        let (Some(v1::proposal::Kind::Order(order)), Some(key)) = (&proposal.kind, &proposal.key) else { return };
        let Some(terms) = &order.terms else { return };
        let signed = if terms.side() == v1::Side::Buy { terms.quantity_micros } else { -terms.quantity_micros };
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        *positions.entry((key.account_id.clone(), terms.instrument_id.clone())).or_default() += signed;
        self.orders.fetch_add(1, Ordering::Relaxed);
    }
}

/// Agents with an account each; of ten, six are scalpers, three swing traders and one is conservative. Each trades
/// one instrument of `own`, and all trade `shared`.
pub(crate) fn agents(count: usize, own: &[String], shared: &str) -> Vec<v1::Agent> {
    let agent = |number: usize| {
        let strategy = match number % 10 {
            0..6 => v1::Strategy::Scalper,
            6..9 => v1::Strategy::Swing,
            _ => v1::Strategy::Conservative,
        };
        // Not by the last digit: every instrument shall have agents of all kinds.
        let instrument = own.get(number / 10 % own.len().max(1)).cloned().unwrap_or_default();
        v1::Agent {
            agent_id: format!("agent-{number}"),
            strategy: strategy.into(),
            instrument_ids: vec![instrument, shared.to_owned()],
            timeframe: "1m".to_owned(),
            risk_tolerance: i32::try_from(number % 10).unwrap_or(0) + 1,
            max_trades_per_day: 1_000,
            account_id: format!("account-{number}"),
            is_enabled: true,
            ..v1::Agent::default()
        }
    };
    (0..count).map(agent).collect()
}

pub(crate) fn definition(id: &str) -> v1::Instrument {
    v1::Instrument {
        instrument_id: id.to_owned(),
        settlement_style: v1::SettlementStyle::Margined.into(),
        currency: "USD".to_owned(),
        tick_micros: 10,
        lot_micros: 1_000_000,
        min_quantity_micros: 1_000_000,
        max_quantity_micros: 10_000_000_000_000,
        min_price_micros: 10,
        max_price_micros: 10_000_000,
        initial_margin_ppm: 33_333,
        taker_fee_ppm: 20,
        status: v1::InstrumentStatus::Open.into(),
        ..v1::Instrument::default()
    }
}

/// The `number`-th minute.
pub(crate) fn bar(instrument: &str, number: i64, close_micros: i64) -> v1::Bar {
    let (low, high) = (close_micros - 50, close_micros + 50);
    v1::Bar {
        instrument_id: instrument.to_owned(),
        timeframe: "1m".to_owned(),
        start_micros: number * 60_000_000,
        bid_open_micros: close_micros,
        bid_high_micros: high,
        bid_low_micros: low,
        bid_close_micros: close_micros,
        ask_open_micros: close_micros + 10,
        ask_high_micros: high + 10,
        ask_low_micros: low + 10,
        ask_close_micros: close_micros + 10,
        published_at_micros: clock::now_micros(),
    }
}

/// A price that wanders: two waves of its own for each instrument and some noise, the same in every run.
pub(crate) fn walk(place: usize, number: i64) -> i64 {
    let place = i64::try_from(place).unwrap_or(0);
    let wave = |length: i64, height: i64| {
        let phase = (number + place * 7) % length;
        (phase.min(length - phase)) * height
    };
    let noise = (number * 7_919 + place * 104_729) % 97;
    1_500_000 + wave(53, 31) + wave(211, 17) + noise * 6
}

/// The worker's process.
pub(crate) struct Worker {
    child: Child,
    readings: watch::Receiver<HashMap<String, u64>>,
}

impl Worker {
    pub(crate) fn start(url: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut child = Command::new(program).args(["--worker", url]).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("the worker has no output")?;
        let (sender, readings) = watch::channel(HashMap::new());
        std::thread::spawn(move || {
            let mut reading = HashMap::new();
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                match line.rsplit_once(' ') {
                    // Counters are whole numbers; anything else in there is not asked for.
                    Some((name, value)) => _ = reading.insert(name.to_owned(), value.parse().unwrap_or(0)),
                    None => _ = sender.send(std::mem::take(&mut reading)),
                }
            }
        });
        Ok(Self { child, readings })
    }

    /// A counter as the next reading has it; 0 before the first event.
    pub(crate) async fn read(&mut self, name: &str) -> anyhow::Result<u64> {
        self.readings.changed().await.context("the worker has ended")?;
        Ok(self.readings.borrow_and_update().get(name).copied().unwrap_or(0))
    }

    pub(crate) async fn wait(&mut self, name: &str, value: u64) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let now = self.read(name).await?;
            if now == value {
                return Ok(());
            }
            anyhow::ensure!(started.elapsed() < crate::PATIENCE, "{name} is {now} and not {value}");
        }
    }

    /// Waits until nothing is evaluated for half a second.
    pub(crate) async fn settle(&mut self) -> anyhow::Result<()> {
        let (mut last, mut since) = (0, Instant::now());
        while since.elapsed() < Duration::from_millis(500) {
            let now = self.read("agent_worker_evaluations_total").await?;
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// Resident memory.
    pub(crate) fn memory_bytes(&self) -> anyhow::Result<i64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        let kilobytes: i64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
        Ok(kilobytes * 1_024)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
