//! A bus, a market, a ledger and guards that can be killed.

use crate::ledger::Ledger;
use async_nats::jetstream::stream;
use futures::TryStreamExt as _;
use prost::Message as _;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tragen_bus::{
    Ask, Bus, Followed, Follower, PublishOptions, Source, StartAt, Stream, Subject,
    server::{NatsServer, Sync, find_binary},
};
use tragen_contracts::v1;
use tragen_domain::id::InstrumentId;
use tragen_host::{Context, Lifecycle, clock, trace::Spans};
use tragen_risk_guard::Config;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const HOME: &str = "EPL-2026-ARS-MCI-HOME";
pub(crate) const ONE: i64 = 1_000_000;

pub(crate) struct Rig {
    pub(crate) bus: Bus,
    pub(crate) context: Context,
    pub(crate) ledger: Ledger,
    pub(crate) outcomes: Outcomes,
    pub(crate) folder: TempDir,
    lifecycle: Lifecycle,
    server: NatsServer,
}

/// A guard with a runtime of its own, so that it can be killed in the middle of anything.
pub(crate) struct Guard {
    runtime: Option<tokio::runtime::Runtime>,
    lifecycle: Lifecycle,
    pub(crate) context: Context,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let rig = Self::without_ledger().await;
        rig.ledger.serve(&rig.context, &rig.bus).await;
        rig
    }

    /// The ledger is there but does not answer yet.
    pub(crate) async fn without_ledger() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let binary = find_binary().expect("a nats-server");
        let server = NatsServer::start(&binary, &folder.path().join("nats"), Sync::Always).await.expect("a server");
        let bus = Bus::connect(server.url(), "test").await.expect("a connection");
        bus.apply(10_000).await.expect("streams");
        let lifecycle = Lifecycle::new(10);
        let context = lifecycle.context("test", Spans::default());
        let outcomes = Outcomes::follow(&context, &bus).await;
        let rig = Self { bus, context, ledger: Ledger::default(), outcomes, folder, lifecycle, server };
        rig.ledger.deposit("alice", 1_000 * ONE);
        rig.define().await;
        rig.quote(500_000, 520_000, 1_000_000).await;
        rig
    }

    /// Everything on the bus is gone, and its streams are made anew; the market is told again.
    pub(crate) async fn wipe(&mut self) {
        let client = async_nats::connect(self.server.url()).await.expect("a connection");
        let jetstream = async_nats::jetstream::new(client);
        let names: Vec<String> = jetstream.stream_names().try_collect().await.expect("names of streams");
        for name in names {
            jetstream.delete_stream(name).await.expect("deleted");
        }
        self.bus.apply(10_000).await.expect("streams");
        self.outcomes = Outcomes::follow(&self.context, &self.bus).await;
        self.define().await;
        self.quote(500_000, 520_000, 1_000_000).await;
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            venue_folder: self.venue_folder(),
            snapshot_folder: self.folder.path().join("snapshots"),
            venue_latency_micros_max: 1_000,
            ..Config::default()
        }
    }

    fn venue_folder(&self) -> PathBuf {
        self.folder.path().join("venue")
    }

    /// Every line the venue has written.
    pub(crate) fn venue_lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.venue_folder().join("orders.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What another client of the venue has ordered.
    pub(crate) fn add_venue_line(&self, line: &str) {
        let path = self.venue_folder().join("orders.log");
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("the venue's file");
        std::io::Write::write_all(&mut file, line.as_bytes()).expect("written");
    }

    pub(crate) async fn guard(&self) -> Guard {
        let guard = self.standby(self.config());
        guard.wait_ready().await;
        guard
    }

    /// Starts a guard without waiting for it to lead.
    pub(crate) fn standby(&self, config: Config) -> Guard {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let lifecycle = Lifecycle::new(10);
        let context = lifecycle.context("risk-guard", Spans::default());
        let (url, own) = (self.server.url().to_owned(), context.clone());
        runtime.spawn(async move {
            let bus = Bus::connect(&url, "risk-guard").await.expect("a connection");
            tragen_risk_guard::run(own, bus, config).await.expect("a started guard");
        });
        Guard { runtime: Some(runtime), lifecycle, context }
    }

    pub(crate) async fn define(&self) {
        let instrument = v1::Instrument {
            instrument_id: HOME.into(),
            name: "Arsenal".into(),
            settlement_style: v1::SettlementStyle::Prediction.into(),
            currency: "USD".into(),
            tick_micros: 10_000,
            lot_micros: ONE,
            min_quantity_micros: ONE,
            max_quantity_micros: 10_000 * ONE,
            min_price_micros: 10_000,
            max_price_micros: 990_000,
            initial_margin_ppm: 0,
            taker_fee_ppm: 30_000,
            status: v1::InstrumentStatus::Open.into(),
            match_id: "EPL-2026-ARS-MCI".into(),
            outcome: "HOME".into(),
            max_quote_age_ms: 600_000,
        };
        let subject = Subject::Instrument(InstrumentId::new(HOME).expect("an id"));
        self.bus.publish(&subject, &instrument, &PublishOptions::default(), PATIENCE).await.expect("stored");
    }

    /// Bid, ask and the contracts at each.
    pub(crate) async fn quote(&self, bid: i64, ask: i64, contracts: i64) {
        self.quote_at((bid, ask), contracts, clock::now_micros()).await;
    }

    /// Bid and ask, the contracts at each, and when they were published by their own word.
    pub(crate) async fn quote_at(&self, (bid, ask): (i64, i64), contracts: i64, published_at_micros: i64) {
        let quote = v1::Quote {
            instrument_id: HOME.into(),
            bid_price_micros: bid,
            bid_quantity_micros: contracts * ONE,
            ask_price_micros: ask,
            ask_quantity_micros: contracts * ONE,
            last_price_micros: 0,
            event_time_micros: published_at_micros,
            published_at_micros,
        };
        let subject = Subject::Quote(InstrumentId::new(HOME).expect("an id"));
        self.bus.publish(&subject, &quote, &PublishOptions::default(), PATIENCE).await.expect("stored");
    }

    pub(crate) async fn propose(&self, proposals: Vec<v1::Proposal>) {
        let batch = v1::ProposalBatch { proposals };
        let subject = Subject::Proposals(Source::Worker);
        self.bus.publish(&subject, &batch, &PublishOptions::default(), PATIENCE).await.expect("stored");
    }

    pub(crate) async fn ask(
        &self,
        principal: &str,
        question: v1::guard_question::Question,
    ) -> v1::guard_answer::Answer {
        let question =
            v1::GuardQuestion { principal: principal.into(), question: Some(question), ..v1::GuardQuestion::default() };
        let started = Instant::now();
        loop {
            match self.bus.ask::<_, v1::GuardAnswer>(Ask::Guard, &question, Duration::from_secs(12)).await {
                Ok(answer) => return answer.answer.expect("an answer"),
                Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn risk_state(&self) -> v1::GetRiskStateResponse {
        let question = v1::guard_question::Question::GetState(v1::GetRiskStateRequest {});
        let v1::guard_answer::Answer::State(state) = self.ask("operator", question).await else { panic!("refused") };
        state
    }

    /// Approvals in the journal after the message `sequence`.
    pub(crate) async fn approvals_after(&self, sequence: u64) -> usize {
        let Some(last) = self.bus.newest(Stream::Journal).await.expect("a stream") else { return 0 };
        let follow = self.bus.follow(&self.context, Stream::Journal, "", StartAt::Beginning);
        let mut journal = follow.await.expect("a stream");
        let mut approvals = 0;
        loop {
            let message = journal.next().await.expect("a running bus");
            let batch = v1::JournalBatch::decode(message.payload).expect("a batch");
            let is_approval =
                |record: &&v1::JournalRecord| matches!(record.kind, Some(v1::journal_record::Kind::Approved(_)));
            if message.sequence > sequence {
                approvals += batch.records.iter().filter(is_approval).count();
            }
            if message.sequence >= last {
                return approvals;
            }
        }
    }

    /// From now on EXECUTIONS takes nothing more, as if its disk were full.
    pub(crate) async fn refuse_executions(&self) {
        self.change_executions(|config, messages| {
            (config.max_messages, config.discard) = (messages, stream::DiscardPolicy::New);
        })
        .await;
    }

    /// It takes everything again.
    pub(crate) async fn take_executions(&self) {
        self.change_executions(|config, _| config.max_messages = -1).await;
    }

    async fn change_executions(&self, change: impl FnOnce(&mut stream::Config, i64)) {
        let client = async_nats::connect(self.server.url()).await.expect("a connection");
        let jetstream = async_nats::jetstream::new(client);
        let mut executions = jetstream.get_stream("EXECUTIONS").await.expect("a stream");
        let info = executions.info().await.expect("known");
        let (mut config, messages) = (info.config.clone(), info.state.messages);
        change(&mut config, i64::try_from(messages).expect("fits"));
        jetstream.update_stream(config).await.expect("changed");
    }

    pub(crate) async fn stop(self) {
        self.lifecycle.stop_token().cancel();
        self.lifecycle.run().await.expect("a clean end");
    }
}

impl Guard {
    pub(crate) async fn wait_ready(&self) {
        let ready = self.context.health.wait_ready("risk-guard");
        let is_ready = tokio::time::timeout(PATIENCE, ready).await.is_ok();
        assert!(is_ready, "{:?}", self.context.health.parts());
    }

    /// Ends every task at its next await, as kill -9 would at any instruction.
    pub(crate) fn kill(mut self) {
        self.runtime.take().expect("a running guard").shutdown_background();
    }

    /// An orderly end.
    pub(crate) async fn stop(mut self) {
        let runtime = self.runtime.take().expect("a running guard");
        self.lifecycle.stop_token().cancel();
        self.lifecycle.run().await.expect("a clean end");
        runtime.shutdown_background();
    }
}

/// Everything on EXECUTIONS, by trade.
pub(crate) struct Outcomes {
    follower: Follower,
    pub(crate) reports: BTreeMap<String, Vec<v1::ExecutionReport>>,
    /// The trades of all reports, in the order of the bus.
    order: Vec<String>,
    /// Trades whose last report is a final one.
    finished: usize,
}

impl Outcomes {
    async fn follow(context: &Context, bus: &Bus) -> Self {
        let follower = bus.follow(context, Stream::Executions, "", StartAt::Beginning).await.expect("a stream");
        Self { follower, reports: BTreeMap::new(), order: Vec::new(), finished: 0 }
    }

    fn take(&mut self, followed: Followed) {
        let batch = v1::ExecutionBatch::decode(followed.payload).expect("a batch of reports");
        for report in batch.reports {
            let trade = report.key.as_ref().expect("a key").trade_id.clone();
            let was_finished = self.last(&trade).is_some_and(|report| is_final(&report));
            self.order.push(trade.clone());
            self.reports.entry(trade.clone()).or_default().push(report);
            let is_finished = self.last(&trade).is_some_and(|report| is_final(&report));
            self.finished = self.finished + usize::from(is_finished) - usize::from(was_finished);
        }
    }

    /// Reads until `is_enough`.
    pub(crate) async fn until(&mut self, is_enough: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !is_enough(self) {
            let left = PATIENCE.saturating_sub(started.elapsed());
            let next = tokio::time::timeout(left, self.follower.next()).await;
            let next = next.unwrap_or_else(|_| panic!("only {} trades have reports", self.reports.len()));
            self.take(next.expect("a running bus"));
        }
    }

    /// Reads what comes within `time`.
    pub(crate) async fn during(&mut self, time: Duration) {
        let deadline = tokio::time::Instant::now() + time;
        while let Ok(Some(next)) = tokio::time::timeout_at(deadline, self.follower.next()).await {
            self.take(next);
        }
    }

    pub(crate) async fn of(&mut self, trade: &str) -> v1::TradeReport {
        self.until(|own| own.last(trade).is_some_and(|report| is_final(&report))).await;
        self.last(trade).expect("a report")
    }

    pub(crate) fn last(&self, trade: &str) -> Option<v1::TradeReport> {
        match self.reports.get(trade)?.last()?.kind.clone()? {
            v1::execution_report::Kind::Trade(report) => Some(report),
            v1::execution_report::Kind::Withdrawal(_)
            | v1::execution_report::Kind::Booking(_)
            | v1::execution_report::Kind::Arrival(_) => None,
        }
    }

    /// Contracts filled for `trade`, each execution once.
    pub(crate) fn filled(&self, trade: &str) -> i64 {
        let mut fills = BTreeMap::new();
        for report in self.reports.get(trade).into_iter().flatten() {
            if let Some(v1::execution_report::Kind::Trade(report)) = &report.kind {
                fills.extend(report.fills.iter().map(|fill| (fill.execution_id.clone(), fill.quantity_micros)));
            }
        }
        fills.values().sum::<i64>() / ONE
    }

    /// Trades with a final report.
    pub(crate) const fn finished(&self) -> usize {
        self.finished
    }

    /// Every report in the order of the bus.
    pub(crate) fn in_order(&self) -> Vec<&v1::ExecutionReport> {
        let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
        let mut all = Vec::with_capacity(self.order.len());
        for trade in &self.order {
            let place = taken.entry(trade).or_default();
            all.extend(self.reports[trade].get(*place));
            *place += 1;
        }
        all
    }
}

fn is_final(report: &v1::TradeReport) -> bool {
    !matches!(report.status(), v1::TradeStatus::Working | v1::TradeStatus::Pending | v1::TradeStatus::Unspecified)
}

/// One proposal of `account`; change what matters to the test.
pub(crate) fn key(account: &str, request: &str) -> v1::TradeKey {
    let name = format!("{account}/{request}");
    v1::TradeKey {
        trade_id: uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string(),
        request_id: request.into(),
        account_id: account.into(),
        tier: v1::Tier::Standard.into(),
        payload_hash: vec![1; 32].into(),
        created_at_micros: clock::now_micros(),
    }
}

pub(crate) fn buy(request: &str, contracts: i64, limit: i64) -> v1::Proposal {
    order(request, v1::Side::Buy, contracts, limit, v1::TimeInForce::Ioc)
}

pub(crate) fn order(
    request: &str,
    side: v1::Side,
    contracts: i64,
    limit: i64,
    time_in_force: v1::TimeInForce,
) -> v1::Proposal {
    let key = key("alice", request);
    let terms = v1::OrderTerms {
        order_id: format!("{}-o", key.trade_id),
        instrument_id: HOME.into(),
        side: side.into(),
        order_type: v1::OrderType::Limit.into(),
        quantity_micros: contracts * ONE,
        limit_price_micros: limit,
        time_in_force: time_in_force.into(),
        expire_at_micros: 0,
        is_reduce_only: false,
        is_post_only: false,
    };
    let proposed = v1::OrderProposed {
        terms: Some(terms),
        agent: "tradingAgent".into(),
        valid_until_micros: clock::now_micros() + 600_000_000,
        ..v1::OrderProposed::default()
    };
    proposal(key, v1::proposal::Kind::Order(proposed))
}

pub(crate) fn proposal(key: v1::TradeKey, kind: v1::proposal::Kind) -> v1::Proposal {
    let meta = v1::Meta { event_id: format!("{}-proposed", key.trade_id), ..v1::Meta::default() };
    v1::Proposal { meta: Some(meta), key: Some(key), kind: Some(kind) }
}

pub(crate) fn trade_of(proposal: &v1::Proposal) -> String {
    proposal.key.as_ref().expect("a key").trade_id.clone()
}

/// Waits until `state` says yes.
pub(crate) async fn eventually(what: &str, mut state: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !state().await {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) type Shared<T> = Arc<std::sync::Mutex<T>>;
