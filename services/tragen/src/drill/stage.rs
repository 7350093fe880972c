//! The private paper system of drills: `tragen up` as a child on free ports with
//! its data in a temporary folder. The drill is its market; everything else
//! goes through the public API.

use super::{
    house::{self, CAPITAL},
    setting::Setting,
    step::{Drill, Order, Owner, Signal},
};
use crate::api::{Api, Bearer, ask};
use anyhow::Context as _;
use prost::Message as _;
use rustix::process::{Pid, kill_process};
use std::{
    fs,
    path::Path,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};
use tragen_bus::{Bus, PublishOptions, Source, StartAt, Stream, Subject};
use tragen_contracts::v1;
use tragen_domain::{
    id::{AccountId, InstrumentId},
    tier::Tier,
};
use tragen_host::{Lifecycle, clock, trace::Spans};
use tragen_router::token::{Claims, Keys, Role};

/// How long anything may take before a drill gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How often something is looked at that a drill waits for.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long the system may take to start or to end.
const START_WITHIN: Duration = Duration::from_secs(60);
/// Margin of margined instruments, parts per million.
const MARGIN_PPM: i64 = 100_000;
/// Much more than any drill trades, 1e-6.
const DEPTH: i64 = 1_000_000_000_000;
/// How long what an agent proposes may be decided, microseconds.
const PROPOSAL_VALID_MICROS: i64 = 10_000_000;
/// Much more than any drill has, 1e-6 of a dollar.
const TOO_MUCH: i64 = 1_000_000_000_000;

/// A running system.
pub(crate) struct Stage {
    child: Child,
    api: Api,
    keys: Arc<Keys>,
    bus: Bus,
    grpc: String,
    _folder: TempDir,
}

/// What the system writes when it is ready.
#[derive(Debug, serde::Deserialize)]
struct Ready {
    grpc: String,
    nats: String,
}

impl Stage {
    /// Starts a system and waits until it can trade.
    ///
    /// # Errors
    /// When it does not become ready.
    pub(crate) async fn start(setting: Setting) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("tragen-drill-").context("making a temporary folder")?;
        let (data, config) = (folder.path().join("data"), folder.path().join("drill.toml"));
        fs::write(&config, setting.file()).context("writing the configuration")?;
        let (ready_file, log) = (folder.path().join("ready.json"), folder.path().join("log"));
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.args(["up", "--no-demo", "--quiet", "--feed", "none", "--listen", "127.0.0.1:0"]);
        command.arg("--data-dir").arg(&data).arg("--config").arg(&config).arg("--ready-file").arg(&ready_file);
        // Nothing of the caller's own system may get in.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TRAGEN_") && name != "TRAGEN_NATS_SERVER" {
                command.env_remove(name);
            }
        }
        let output = fs::File::create(&log).context("making a log")?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output).kill_on_drop(true);
        let mut child = command.spawn().context("starting `tragen up`")?;
        let ready = ready(&mut child, &ready_file, &log).await?;
        let keys = Arc::new(Keys::load_or_create(&data)?);
        let api = Api::connect(&ready.grpc, Bearer::None).await?;
        let bus = Bus::connect(&ready.nats, "drill").await?;
        let stage = Self { child, api, keys, bus, grpc: ready.grpc, _folder: folder };
        stage.deposit(house::ACCOUNT, CAPITAL).await?;
        if setting == Setting::Together {
            stage.deposit(house::PARTNER, CAPITAL).await?;
        }
        Ok(stage)
    }

    /// Asks the system to end, and waits until it has.
    ///
    /// # Errors
    /// When it does not end, or not well.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        kill_process(pid.context("it has ended by itself")?, rustix::process::Signal::TERM)?;
        let ended = timeout(START_WITHIN, self.child.wait()).await.context("it does not end")??;
        anyhow::ensure!(ended.success(), "it ended with {ended}");
        Ok(())
    }

    /// The API as `account` sees it.
    ///
    /// # Errors
    /// When the account is no id.
    pub(crate) fn caller(&self, account: &str, role: Role) -> anyhow::Result<Api> {
        let claims = Claims::new(AccountId::new(account)?, Tier::Standard, role);
        Ok(self.api.with_bearer(Bearer::issued(&self.keys, claims)))
    }

    /// Brings `dollars` in, and waits until the guard knows it.
    ///
    /// # Errors
    /// When it is refused.
    pub(crate) async fn deposit(&self, account: &str, dollars: i64) -> anyhow::Result<()> {
        let mut accounts = self.caller(account, Role::Trader)?.accounts();
        let amount_micros = dollars * 1_000_000;
        let request = v1::DepositRequest { request_id: request_id(), amount_micros, currency: String::new() };
        accounts.deposit(ask(request)).await?;
        let started = Instant::now();
        loop {
            // The guard's own view shows in what it says to a withdrawal of too much; of a frozen
            // account it is not known more exactly.
            let request =
                v1::WithdrawRequest { request_id: request_id(), amount_micros: TOO_MUCH, currency: String::new() };
            let answer = accounts.withdraw(ask(request)).await?.into_inner();
            if ["INSUFFICIENT_FUNDS", "ACCOUNT_FROZEN"].contains(&answer.denial_reason.as_str()) {
                return Ok(());
            }
            anyhow::ensure!(started.elapsed() < PATIENCE, "the guard does not know the deposit");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Lists the drill's instrument with `status`.
    ///
    /// # Errors
    /// When the bus does not take it.
    pub(crate) async fn list(&self, drill: &Drill, status: v1::InstrumentStatus) -> anyhow::Result<()> {
        let (listing, id) = (&drill.listing, drill.instrument());
        let (match_id, outcome) = match listing.style {
            v1::SettlementStyle::Prediction => (drill.fixture(), "HOME".to_owned()),
            v1::SettlementStyle::Unspecified | v1::SettlementStyle::Spot | v1::SettlementStyle::Margined => {
                Default::default()
            }
        };
        let instrument = v1::Instrument {
            instrument_id: id.clone(),
            name: drill.limit.to_owned(),
            settlement_style: listing.style.into(),
            currency: "USD".to_owned(),
            tick_micros: 10_000,
            lot_micros: super::step::ONE,
            min_quantity_micros: listing.min_quantity,
            max_quantity_micros: listing.max_quantity,
            min_price_micros: listing.min_price,
            max_price_micros: listing.max_price,
            initial_margin_ppm: if listing.style == v1::SettlementStyle::Margined { MARGIN_PPM } else { 0 },
            taker_fee_ppm: 0,
            status: status.into(),
            match_id,
            outcome,
            max_quote_age_ms: listing.quote_age_ms,
        };
        let subject = Subject::Instrument(InstrumentId::new(&id)?);
        self.bus.publish(&subject, &instrument, &PublishOptions::default(), PATIENCE).await?;
        Ok(())
    }

    /// Proposes an order on the bus, as a worker does for the drill's agent; gives the trade's id.
    ///
    /// # Errors
    /// When the bus does not take it.
    pub(crate) async fn propose(&self, drill: &Drill, order: Order, signal: Signal) -> anyhow::Result<String> {
        let (account_id, request_id, now) = (drill.account_of(signal), request_id(), clock::now_micros());
        let trade_id = tragen_contracts::trade_id(&account_id, &request_id).to_string();
        let terms = v1::OrderTerms {
            order_id: format!("{trade_id}-o"),
            instrument_id: drill.instrument(),
            side: order.side.into(),
            order_type: v1::OrderType::Limit.into(),
            quantity_micros: order.quantity,
            limit_price_micros: order.price,
            time_in_force: order.rests.into(),
            expire_at_micros: 0,
            is_reduce_only: order.is_reduce_only,
            is_post_only: false,
        };
        let proposed = v1::OrderProposed {
            terms: Some(terms),
            agent: "tradingAgent".to_owned(),
            agent_id: drill.agent_of(signal),
            pool: "drill".to_owned(),
            rationale: "drill".to_owned(),
            valid_until_micros: if signal.is_late { now - 1 } else { now + PROPOSAL_VALID_MICROS },
            max_trades_per_day: signal.trades_per_day,
            timeframe: "5m".to_owned(),
            confidence_ppm: signal.confidence_ppm,
            reduction_id: String::new(),
            is_first_on_match: signal.is_first_on_match,
        };
        let key = key_of(&trade_id, (request_id, account_id), now);
        let meta = v1::Meta { event_id: format!("{trade_id}-proposed"), ..v1::Meta::default() };
        let kind = Some(v1::proposal::Kind::Order(proposed));
        let batch = v1::ProposalBatch { proposals: vec![v1::Proposal { meta: Some(meta), key: Some(key), kind }] };
        self.bus.publish(&Subject::Proposals(Source::Worker), &batch, &PublishOptions::default(), PATIENCE).await?;
        Ok(trade_id)
    }

    /// The first alert of a breaker that tripped (not of one that is only close) with this code,
    /// about the drill's instrument or about everything.
    ///
    /// # Errors
    /// When the bus is gone.
    pub(crate) async fn alert(&self, drill: &Drill, code: &str) -> anyhow::Result<v1::Alert> {
        let lifecycle = Lifecycle::new(1);
        let context = lifecycle.context("drill", Spans::default());
        let mut alerts = self.bus.follow(&context, Stream::Alerts, "", StartAt::Beginning).await?;
        let own = [drill.instrument(), "global".to_owned()];
        loop {
            let message = alerts.next().await.context("the bus is gone")?;
            let alert = v1::Alert::decode(message.payload).context("decoding an alert")?;
            let has_tripped = alert.message.contains("the limit is");
            if alert.code == code && has_tripped && own.iter().any(|name| alert.subject.contains(name.as_str())) {
                return Ok(alert);
            }
        }
    }

    /// The first alert with this code of `subject`.
    ///
    /// # Errors
    /// When the bus is gone.
    pub(crate) async fn alert_of(&self, subject: &str, code: &str) -> anyhow::Result<()> {
        let lifecycle = Lifecycle::new(1);
        let context = lifecycle.context("drill", Spans::default());
        let mut alerts = self.bus.follow(&context, Stream::Alerts, "", StartAt::Beginning).await?;
        loop {
            let message = alerts.next().await.context("the bus is gone")?;
            let alert = v1::Alert::decode(message.payload).context("decoding an alert")?;
            if alert.code == code && alert.subject.contains(subject) {
                return Ok(());
            }
        }
    }

    /// Where the system's metrics are.
    pub(crate) fn metrics_url(&self) -> String {
        format!("{}/metrics", self.grpc)
    }

    /// The first warning of the breaker with this code.
    ///
    /// # Errors
    /// When the bus is gone.
    pub(crate) async fn warning(&self, code: &str) -> anyhow::Result<()> {
        let lifecycle = Lifecycle::new(1);
        let context = lifecycle.context("drill", Spans::default());
        let mut alerts = self.bus.follow(&context, Stream::Alerts, "", StartAt::Beginning).await?;
        loop {
            let message = alerts.next().await.context("the bus is gone")?;
            let alert = v1::Alert::decode(message.payload).context("decoding an alert")?;
            if alert.code == code && alert.message.contains(" % of ") {
                return Ok(());
            }
        }
    }

    /// Tells the ledger, as if the venue had, of contracts bought at the ask for the drill's account.
    ///
    /// # Errors
    /// When the bus does not take it.
    pub(crate) async fn overspend(&self, drill: &Drill, contracts: i64) -> anyhow::Result<()> {
        let (account_id, request_id, now) = (drill.account(), request_id(), clock::now_micros());
        let trade_id = tragen_contracts::trade_id(&account_id, &request_id).to_string();
        let terms = v1::OrderTerms {
            order_id: format!("{trade_id}-o"),
            instrument_id: drill.instrument(),
            side: v1::Side::Buy.into(),
            order_type: v1::OrderType::Limit.into(),
            quantity_micros: contracts * super::step::ONE,
            limit_price_micros: super::step::ASK,
            time_in_force: v1::TimeInForce::Ioc.into(),
            expire_at_micros: 0,
            is_reduce_only: false,
            is_post_only: false,
        };
        let fill = v1::Fill {
            execution_id: format!("{trade_id}-x"),
            price_micros: super::step::ASK,
            quantity_micros: contracts * super::step::ONE,
            executed_at_micros: now,
            ..v1::Fill::default()
        };
        let settlement = v1::SettlementTerms {
            style: drill.listing.style.into(),
            currency: "USD".to_owned(),
            ..v1::SettlementTerms::default()
        };
        let trade = v1::TradeReport {
            terms: Some(terms),
            settlement: Some(settlement),
            fills: vec![fill],
            status: v1::TradeStatus::Filled.into(),
            agent: "tradingAgent".to_owned(),
            rationale: "drill".to_owned(),
            ..v1::TradeReport::default()
        };
        let key = key_of(&trade_id, (request_id, account_id), now);
        let meta = v1::Meta { event_id: format!("{trade_id}-told"), ..v1::Meta::default() };
        let kind = Some(v1::execution_report::Kind::Trade(trade));
        let report = v1::ExecutionReport { meta: Some(meta), key: Some(key), kind };
        let batch = v1::ExecutionBatch { reports: vec![report] };
        self.bus.publish(&Subject::Executions("paper"), &batch, &PublishOptions::default(), PATIENCE).await?;
        Ok(())
    }

    /// Quotes the drill's instrument, 1e-6.
    ///
    /// # Errors
    /// When the bus does not take it.
    pub(crate) async fn quote(&self, drill: &Drill, bid: i64, ask: i64) -> anyhow::Result<()> {
        let now = clock::now_micros();
        let quote = v1::Quote {
            instrument_id: drill.instrument(),
            bid_price_micros: bid,
            bid_quantity_micros: DEPTH,
            ask_price_micros: ask,
            ask_quantity_micros: DEPTH,
            last_price_micros: 0,
            event_time_micros: now,
            published_at_micros: now,
        };
        let subject = Subject::Quote(InstrumentId::new(&quote.instrument_id)?);
        self.bus.publish(&subject, &quote, &PublishOptions::default(), PATIENCE).await?;
        Ok(())
    }
}

impl Drill {
    /// Whose money it trades.
    pub(crate) fn account(&self) -> String {
        match self.owner {
            Owner::Own => format!("drill-{}", self.limit.replace('_', "-")),
            Owner::House => house::ACCOUNT.to_owned(),
        }
    }

    /// Whose money an agent of it trades.
    pub(crate) fn account_of(&self, signal: Signal) -> String {
        if signal.is_partner { house::PARTNER.to_owned() } else { self.account() }
    }

    /// Which agent it is.
    pub(crate) fn agent_of(&self, signal: Signal) -> String {
        if signal.is_partner { format!("{}-2", self.agent()) } else { self.agent() }
    }

    /// What it trades.
    pub(crate) fn instrument(&self) -> String {
        instrument_id(self.limit)
    }

    /// The agent that its signals are of.
    pub(crate) fn agent(&self) -> String {
        format!("drill-{}", self.limit.replace('_', "-"))
    }

    /// The match of its instrument.
    pub(crate) fn fixture(&self) -> String {
        format!("DRILL-{}", self.limit.replace('_', "-").to_uppercase())
    }
}

/// The instrument of the drill of `limit`.
pub(crate) fn instrument_id(limit: &str) -> String {
    format!("DRILL-{}-HOME", limit.replace('_', "-").to_uppercase())
}

/// A new name for a request.
pub(crate) fn request_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

async fn ready(child: &mut Child, file: &Path, log: &Path) -> anyhow::Result<Ready> {
    let started = Instant::now();
    loop {
        if let Ok(text) = fs::read_to_string(file) {
            return serde_json::from_str(&text).context("reading where the system is");
        }
        let is_over = child.try_wait()?.is_some() || started.elapsed() > START_WITHIN;
        anyhow::ensure!(!is_over, "it is not ready: {}", fs::read_to_string(log).unwrap_or_default().trim());
        sleep(LOOK_EVERY).await;
    }
}

/// The key of a trade that the drill makes up.
fn key_of(trade_id: &str, (request_id, account_id): (String, String), now: i64) -> v1::TradeKey {
    v1::TradeKey {
        trade_id: trade_id.to_owned(),
        request_id,
        account_id,
        tier: v1::Tier::Standard.into(),
        payload_hash: vec![0; 32].into(),
        created_at_micros: now,
    }
}
