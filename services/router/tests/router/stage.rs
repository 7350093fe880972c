//! A router on a private bus, and the test in the place of the services behind it.

use futures::FutureExt as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tonic::{Code, Request, Status, transport::Channel};
use tonic_types::StatusExt as _;
use tragen_bus::{
    Ask, Bus, Consumer, CoreSubject, PublishOptions, Subject,
    server::{NatsServer, Sync, find_binary},
};
use tragen_contracts::v1::{
    self, Account, AskError, CancelDenied, CashKind, CashPosted, Denial, DenialCode, DepositResponse,
    GetAccountResponse, LedgerAnswer, LedgerFact, LedgerFactBatch, LedgerQuestion, ListTradesResponse, Outcomes,
    Proposal, ProposalBatch, Trade, TradePosted, TradeRequested, TradeRequestedBatch, TradeStatus,
    accounts_client::AccountsClient, agents_client::AgentsClient, get_trade_request::Key, ledger_answer::Answer,
    ledger_fact, ledger_question::Question, markets_client::MarketsClient, operations_client::OperationsClient,
    proposal, risk_control_client::RiskControlClient, trading_client::TradingClient,
};
use tragen_domain::{id::AccountId, tier::Tier};
use tragen_host::{Context, Lifecycle, clock::now_micros, trace::Spans};
use tragen_router::{
    Config,
    token::{Claims, Keys, Role},
};

/// How long anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An instrument whose trades are filled.
pub(crate) const FILLS: &str = "EPL-2026-ARS-MCI-HOME";
/// An instrument whose orders rest.
pub(crate) const RESTS: &str = "RESTS";
/// An instrument whose trades the guard denies.
pub(crate) const DENIED: &str = "DENIED";
/// An instrument whose requests nobody takes up.
pub(crate) const SILENT: &str = "SILENT";
/// An instrument whose outcomes are committed without a fact on the bus.
pub(crate) const UNHEARD: &str = "UNHEARD";

/// An account whose cancels the guard denies.
pub(crate) const HASTY: &str = "hasty";

/// What the test remembers in the place of the ledger.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) facts: HashMap<String, LedgerFact>,
    /// How often each trade came off a lane.
    pub(crate) requests: BTreeMap<String, u32>,
    pub(crate) last_request: Option<TradeRequested>,
    /// How often the ledger was asked for balances.
    pub(crate) account_reads: u32,
    /// How often every account has changed.
    pub(crate) changes: i64,
}

/// A running router and all around it; everything stops when it is dropped.
pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    pub(crate) keys: Keys,
    pub(crate) books: Arc<Mutex<Books>>,
    pub(crate) bus: Bus,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) context: Context,
    pub(crate) channel: Channel,
    pub(crate) stop: tokio_util::sync::CancellationToken,
    nats: NatsServer,
    _lifecycle: Lifecycle,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Whether somebody works behind the router.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backstage {
    Works,
    Asleep,
}

impl Stage {
    pub(crate) async fn start(config: Config) -> Self {
        Self::start_with(config, Backstage::Works, 1_000, Spans::default()).await
    }

    pub(crate) async fn start_with(config: Config, backstage: Backstage, lane_max: i64, spans: Spans) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let nats =
            NatsServer::start(&find_binary().expect("a nats-server"), &folder.path().join("nats"), Sync::ServerDefault)
                .await
                .expect("nats-server starts");
        let lifecycle = Lifecycle::new(5);
        let context = lifecycle.context("router", spans);
        let bus = Bus::connect(nats.url(), "router").await.expect("connected");
        bus.apply(lane_max).await.expect("the bus is in place");
        let books = Arc::new(Mutex::new(Books::default()));
        if backstage == Backstage::Works {
            work(&context, &bus, &books).await;
        }
        let address = start_router(&context, &bus, &folder.path().join("data"), config).await;
        let keys = Keys::load_or_create(&folder.path().join("data")).expect("keys");
        let stop = lifecycle.stop_token();
        Self {
            address,
            keys,
            books,
            bus,
            folder,
            channel: channel(address).await,
            context,
            stop,
            nats,
            _lifecycle: lifecycle,
        }
    }

    /// Kills the bus and starts it again: what it had in memory is gone. Returns when its streams are there again.
    pub(crate) async fn restart_bus(&mut self, lane_max: i64) {
        self.nats.restart().await.expect("nats-server starts again");
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(error) = self.bus.apply(lane_max).await {
            assert!(Instant::now() < deadline, "the bus is not in place: {error:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Another router on the same bus and keys.
    pub(crate) async fn second_router(&self, config: Config) -> Channel {
        let bus = Bus::connect(self.nats.url(), "router-2").await.expect("connected");
        channel(start_router(&self.context, &bus, &self.folder.path().join("data"), config).await).await
    }

    pub(crate) fn token(&self, account: &str, tier: Tier, role: Role) -> String {
        let account = AccountId::new(account).expect("an id");
        self.keys.issue(&Claims::new(account, tier, role)).expect("a token")
    }

    /// `message` from `account`, a trader in the premium tier.
    pub(crate) fn from<T>(&self, account: &str, message: T) -> Request<T> {
        with_token(&self.token(account, Tier::Premium, Role::Trader), message)
    }

    pub(crate) fn trading(&self) -> TradingClient<Channel> {
        TradingClient::new(self.channel.clone())
    }

    pub(crate) fn accounts(&self) -> AccountsClient<Channel> {
        AccountsClient::new(self.channel.clone())
    }

    pub(crate) fn markets(&self) -> MarketsClient<Channel> {
        MarketsClient::new(self.channel.clone())
    }

    pub(crate) fn agents(&self) -> AgentsClient<Channel> {
        AgentsClient::new(self.channel.clone())
    }

    pub(crate) fn risk(&self) -> RiskControlClient<Channel> {
        RiskControlClient::new(self.channel.clone())
    }

    pub(crate) fn operations(&self) -> OperationsClient<Channel> {
        OperationsClient::new(self.channel.clone())
    }

    pub(crate) async fn place(&self, account: &str, request: v1::PlaceTradeRequest) -> Result<Trade, Status> {
        let answer = self.trading().place_trade(self.from(account, request)).await?;
        Ok(answer.into_inner().trade.expect("a trade"))
    }

    /// How often the trade came off a lane.
    pub(crate) fn requests_of(&self, trade_id: &str) -> u32 {
        self.books.lock().expect("books").requests.get(trade_id).copied().unwrap_or(0)
    }

    /// Commits `trade` and publishes the fact.
    pub(crate) async fn post(&self, trade: Trade, payload_hash: bytes::Bytes) {
        post(&self.bus, &self.books, trade, payload_hash, true).await;
    }
}

async fn start_router(context: &Context, bus: &Bus, data_dir: &std::path::Path, config: Config) -> SocketAddr {
    let config = Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), data_dir: data_dir.to_owned(), ..config };
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    tragen_router::run(context.clone(), bus.clone(), config, metrics).await.expect("the router starts")
}

async fn channel(address: SocketAddr) -> Channel {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint.connect().await.expect("connected")
}

/// Limits that a test does not run into by accident.
pub(crate) fn generous() -> Config {
    Config {
        premium_trades_per_minute: 100_000,
        reads_per_minute: 100_000,
        cancels_per_minute: 100_000,
        cash_moves_per_minute: 100_000,
        ..Config::default()
    }
}

pub(crate) fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    request
}

/// A UUIDv7 made `seconds` from now.
pub(crate) fn request_id_at(seconds: i64) -> String {
    let millis = u64::try_from(now_micros() / 1_000 + seconds * 1_000).expect("after 1970");
    let nanos = u32::try_from(millis % 1_000).expect("small") * 1_000_000;
    uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, millis / 1_000, nanos)).to_string()
}

pub(crate) fn request_id() -> String {
    request_id_at(0)
}

/// A good order for ten contracts at 0.55.
pub(crate) fn order(instrument: &str) -> v1::OrderIntent {
    v1::OrderIntent {
        instrument_id: instrument.to_owned(),
        side: v1::Side::Buy.into(),
        order_type: v1::OrderType::Limit.into(),
        quantity_micros: 10_000_000,
        limit_price_micros: 550_000,
        time_in_force: v1::TimeInForce::Gtc.into(),
        expire_at: None,
        is_reduce_only: false,
        is_post_only: false,
    }
}

pub(crate) fn place(request_id: &str, order: v1::OrderIntent) -> v1::PlaceTradeRequest {
    let intent = Some(v1::place_trade_request::Intent::Order(order));
    v1::PlaceTradeRequest { request_id: request_id.to_owned(), intent }
}

/// The closed reason of a refusal.
pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

pub(crate) fn expect_refusal<T: std::fmt::Debug>(
    what: &str,
    answer: Result<T, Status>,
    code: Code,
    expected: &str,
) -> Status {
    let status = answer.expect_err(what);
    assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{what}: {}", status.message());
    status
}

/// Polls until `is_true`, at most [`PATIENCE`].
pub(crate) async fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_true() {
        assert!(started.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn work(context: &Context, bus: &Bus, books: &Arc<Mutex<Books>>) {
    let ledger = Arc::clone(books);
    bus.answer(context, Ask::Ledger, move |question: LedgerQuestion| {
        let answer = answer(&mut ledger.lock().expect("books"), &question);
        async move { LedgerAnswer { answer: Some(answer) } }.boxed()
    })
    .await
    .expect("the ledger answers");
    for consumer in [Consumer::WorkerPremium, Consumer::WorkerStandard, Consumer::WorkerFree] {
        let mut lane = bus.pull::<TradeRequestedBatch>(context, consumer);
        let (bus, books) = (bus.clone(), Arc::clone(books));
        context.spawn("worker", async move {
            while let Some(delivery) = lane.next().await {
                for request in &delivery.message.requests {
                    execute(&bus, &books, request).await;
                }
                delivery.ack().await;
            }
            Ok(())
        });
    }
    let mut proposals = bus.pull::<ProposalBatch>(context, Consumer::Guard);
    let (bus, books) = (bus.clone(), Arc::clone(books));
    context.spawn("guard", async move {
        while let Some(delivery) = proposals.next().await {
            for proposal in &delivery.message.proposals {
                decide(&bus, &books, proposal).await;
            }
            delivery.ack().await;
        }
        Ok(())
    });
}

async fn execute(bus: &Bus, books: &Arc<Mutex<Books>>, request: &TradeRequested) {
    let key = request.key.clone().expect("a key");
    {
        let mut books = books.lock().expect("books");
        *books.requests.entry(key.trade_id.clone()).or_default() += 1;
        books.last_request = Some(request.clone());
    }
    let mut trade = Trade {
        trade_id: key.trade_id,
        request_id: key.request_id,
        account_id: key.account_id,
        created_at: Some(pbjson_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
        ..Trade::default()
    };
    let Some(v1::trade_requested::Intent::Order(order)) = &request.intent else {
        trade.set_status(TradeStatus::NoTrade);
        return post(bus, books, trade, key.payload_hash, true).await;
    };
    trade.instrument_id.clone_from(&order.instrument_id);
    match order.instrument_id.as_str() {
        SILENT => return,
        RESTS => trade.set_status(TradeStatus::Working),
        DENIED => {
            trade.set_status(TradeStatus::Denied);
            let code = DenialCode::InsufficientFunds.into();
            trade.denial = Some(Denial { code, message: "too little".to_owned(), limit: 1, observed: 2 });
        }
        _ => {
            trade.set_status(TradeStatus::Filled);
            trade.filled_quantity_micros = order.quantity_micros;
        }
    }
    let is_heard = order.instrument_id != UNHEARD;
    post(bus, books, trade, key.payload_hash, is_heard).await;
}

async fn decide(bus: &Bus, books: &Arc<Mutex<Books>>, proposal: &Proposal) {
    let key = proposal.key.clone().expect("a key");
    match proposal.kind.as_ref().expect("a kind") {
        proposal::Kind::Withdrawal(withdrawal) => {
            let is_denied = withdrawal.amount_micros > 100_000_000;
            let code = DenialCode::InsufficientFunds.into();
            let denial = is_denied.then(|| Denial { code, ..Denial::default() });
            let is_sending = !withdrawal.to_account_id.is_empty();
            let cash = CashPosted {
                request_id: key.request_id,
                trade_id: key.trade_id.clone(),
                payload_hash: key.payload_hash,
                amount_micros: if is_denied { 0 } else { -withdrawal.amount_micros },
                denial,
                account: Some(account(&key.account_id, &withdrawal.currency, 0)),
                kind: if is_sending { CashKind::Sent } else { CashKind::Withdrawal }.into(),
                counterparty_account_id: withdrawal.to_account_id.clone(),
            };
            let fact = |cash| LedgerFact { kind: Some(ledger_fact::Kind::Cash(cash)), ..LedgerFact::default() };
            if is_sending && !is_denied {
                // The receiver's side has the same id, and may come first.
                let received = CashPosted {
                    amount_micros: withdrawal.amount_micros,
                    account: Some(account(&withdrawal.to_account_id, &withdrawal.currency, 0)),
                    kind: CashKind::Received.into(),
                    counterparty_account_id: key.account_id.clone(),
                    ..cash.clone()
                };
                publish(bus, fact(received)).await;
            }
            commit(bus, books, key.trade_id, fact(cash), true).await;
        }
        proposal::Kind::Cancel(_) if key.account_id == HASTY => {
            let denial = Denial {
                code: DenialCode::CancelRate.into(),
                message: "The account cancels too many orders.".to_owned(),
                limit: 2,
                observed: 3,
            };
            let denied = CancelDenied { key: Some(key), denial: Some(denial) };
            bus.broadcast(&CoreSubject::CancelDenied, &denied).await.expect("told");
        }
        proposal::Kind::Cancel(cancel) => {
            let stored = books.lock().expect("books").facts.get(&cancel.trade_id).cloned();
            if let Some(LedgerFact { kind: Some(ledger_fact::Kind::Trade(posted)), .. }) = stored {
                let mut trade = posted.trade.expect("a trade");
                trade.set_status(TradeStatus::Canceled);
                post(bus, books, trade, posted.payload_hash, true).await;
            }
        }
        proposal::Kind::Order(_) | proposal::Kind::NoTrade(_) => {}
    }
}

async fn post(bus: &Bus, books: &Arc<Mutex<Books>>, trade: Trade, payload_hash: bytes::Bytes, is_heard: bool) {
    let id = trade.trade_id.clone();
    let posted = TradePosted { trade: Some(trade), payload_hash, ..TradePosted::default() };
    let fact = LedgerFact { kind: Some(ledger_fact::Kind::Trade(posted)), ..LedgerFact::default() };
    commit(bus, books, id, fact, is_heard).await;
}

async fn commit(bus: &Bus, books: &Arc<Mutex<Books>>, id: String, fact: LedgerFact, is_heard: bool) {
    books.lock().expect("books").facts.insert(id, fact.clone());
    if is_heard {
        publish(bus, fact).await;
    }
}

pub(crate) async fn publish(bus: &Bus, fact: LedgerFact) {
    let batch = LedgerFactBatch { facts: vec![fact], ..LedgerFactBatch::default() };
    let options = PublishOptions::default();
    bus.publish(&Subject::LedgerFacts(0), &batch, &options, Duration::from_secs(5)).await.expect("published");
}

/// An account after it has changed so often.
pub(crate) fn account(id: &str, currency: &str, changes: i64) -> Account {
    Account {
        account_id: id.to_owned(),
        currency: currency.to_owned(),
        cash_micros: 1_000_000 + changes,
        version: 7 + changes,
        ..Account::default()
    }
}

fn answer(books: &mut Books, question: &LedgerQuestion) -> Answer {
    let not_found = || {
        let reason = "TRADE_NOT_FOUND".to_owned();
        Answer::Error(AskError { code: Code::NotFound.into(), reason, message: "no such trade".to_owned() })
    };
    match question.question.as_ref().expect("a question") {
        Question::GetTrade(request) => {
            let Some(Key::TradeId(id)) = &request.key else { return not_found() };
            match books.facts.get(id).and_then(|fact| fact.kind.clone()) {
                // The whole trade, whoever asks: hiding it must not rest on the ledger alone.
                Some(ledger_fact::Kind::Trade(posted)) => Answer::Trade(posted),
                Some(ledger_fact::Kind::Cash(_) | ledger_fact::Kind::Settled(_)) | None => not_found(),
            }
        }
        Question::ListTrades(request) => {
            let next_page_token = if request.page_token.is_empty() { "2".to_owned() } else { String::new() };
            let trade = Trade { trade_id: format!("page-{}", request.page_token), ..Trade::default() };
            Answer::Trades(ListTradesResponse { trades: vec![trade], next_page_token })
        }
        Question::GetAccount(request) => {
            books.account_reads += 1;
            let account = account(&question.account_id, &request.currency, books.changes);
            Answer::Account(GetAccountResponse { account: Some(account) })
        }
        Question::Deposit(request) => {
            let account = account(&question.account_id, &request.currency, 0);
            Answer::Deposit(DepositResponse { account: Some(account) })
        }
        Question::Outcomes(request) => {
            let facts = request.trade_ids.iter().filter_map(|id| books.facts.get(id).cloned()).collect();
            Answer::Outcomes(Outcomes { facts })
        }
        Question::ListPositions(_) => Answer::Positions(v1::ListPositionsResponse::default()),
        Question::ListTransfers(_) => Answer::Transfers(v1::ListTransfersResponse::default()),
        // One line that tells what was asked, on the first of two pages.
        // Only workers ask for them.
        Question::Holdings(_) => Answer::Holdings(v1::Holdings::default()),
        Question::GetStatement(request) => {
            let transfer = v1::Transfer {
                currency: request.currency.clone(),
                sequence: request.from.map_or(-1, |from| from.seconds),
                reference_id: request.page_token.clone(),
                posted_at: request.to,
                ..v1::Transfer::default()
            };
            Answer::Statement(v1::GetStatementResponse {
                opening_cash_micros: request.page_size.into(),
                lines: vec![v1::StatementLine { transfer: Some(transfer), ..v1::StatementLine::default() }],
                closing_cash_micros: 7,
                next_page_token: if request.page_token.is_empty() { "2".to_owned() } else { String::new() },
            })
        }
        Question::AccountsPage(_) => Answer::AccountsPage(v1::AccountsPage::default()),
        // Only the guard asks for them.
        Question::WorkingTrades(_) => Answer::WorkingTrades(v1::WorkingTrades::default()),
    }
}
