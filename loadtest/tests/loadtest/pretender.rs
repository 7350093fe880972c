//! A server that speaks the public API and breaks one promise on demand. The
//! real one cannot be made to lie, and an audit that never failed proves nothing.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};
use tragen_contracts::v1::{
    self,
    accounts_server::{Accounts, AccountsServer},
    markets_server::{Markets, MarketsServer},
    trading_server::{Trading, TradingServer},
};
use tragen_loadtest::{Account, Crowd, Mix, Setup};

/// What the server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Nothing.
    None,
    /// Every tenth trade is forgotten after its answer.
    ForgetsTrades,
    /// Every tenth trade is told with another price later.
    RewritesTrades,
    /// Every tenth trade is charged twice.
    ChargesTwice,
    /// Transfers are missing.
    HidesTransfers,
    /// Every tenth answer belongs to another request.
    MixesUpAnswers,
    /// Every tenth trade happens, but its caller gets an error.
    WithholdsAnswers,
    /// The same, and what rests then cannot be canceled.
    KeepsResting,
    /// The same, but its order rests although it was to be executed or canceled at once.
    LeavesResting,
    /// Every tenth request is refused and does not happen.
    Refuses,
    /// Every tenth trade is in the list of trades twice.
    BooksTwice,
    /// Every tenth trade comes with another one that nobody asked for.
    InventsTrades,
}

#[derive(Debug, Default)]
struct Held {
    cash: i64,
    version: i64,
    transfers: Vec<v1::Transfer>,
    trades: HashMap<String, v1::Trade>,
    /// Trades that should not be in the list.
    more: Vec<v1::Trade>,
}

/// The server; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Pretender {
    lie: Lie,
    /// For so long from the first trade on, no trade is answered.
    stall: Duration,
    stalled_until: Arc<OnceLock<Instant>>,
    held: Arc<Mutex<HashMap<String, Held>>>,
}

/// A running server; it stops when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    endpoint: String,
    serving: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Running {
    /// Three accounts with 100 each and two connections.
    pub(crate) fn setup(&self) -> anyhow::Result<Setup> {
        let accounts = ["load-0", "load-1", "load-2"].map(|name| Account::new(name, name));
        Ok(Setup {
            endpoint: self.endpoint.clone(),
            crowd: Arc::new(Crowd::listed(accounts.into_iter().collect::<Result<_, _>>()?)),
            issuer: None,
            mix: Mix::ORDERS,
            retry_for: Duration::ZERO,
            doubled_percent: 0,
            record: None,
            watched: Vec::new(),
            connections: 2,
            instrument_id: None,
            quantity_micros: None,
            deposit_micros: 100_000_000,
            deadline: Duration::from_secs(5),
            audit_trades_max: 100_000,
            audit_transfers_of_max: 3,
            patience: Duration::from_secs(1),
        })
    }
}

impl Pretender {
    pub(crate) async fn start(lie: Lie, stall: Duration) -> anyhow::Result<Running> {
        let server = Self { lie, stall, stalled_until: Arc::default(), held: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let serving = tokio::spawn(async move {
            let served = Server::builder()
                .add_service(TradingServer::new(server.clone()))
                .add_service(AccountsServer::new(server.clone()))
                .add_service(MarketsServer::new(server))
                .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
            served.await.expect("serves until it is stopped");
        });
        Ok(Running { endpoint, serving })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().expect("not poisoned")
    }

    fn trade(&self, account: &str, request: v1::PlaceTradeRequest) -> Result<v1::Trade, Status> {
        let order = match request.intent {
            Some(v1::place_trade_request::Intent::Order(order)) => order,
            // The agent finds one contract worth half of its price.
            Some(v1::place_trade_request::Intent::Mandate(_)) => v1::OrderIntent {
                side: v1::Side::Buy.into(),
                quantity_micros: 1_000_000,
                limit_price_micros: 500_000,
                ..v1::OrderIntent::default()
            },
            None => return Err(Status::invalid_argument("no intent")),
        };
        let mut rests = order.time_in_force() == v1::TimeInForce::Gtc;
        let mut all = self.held();
        let held = all.entry(account.to_owned()).or_default();
        let is_tenth = held.version % 10 == 9;
        rests |= is_tenth && self.lie == Lie::LeavesResting;
        if is_tenth && self.lie == Lie::Refuses {
            held.version += 1;
            return Err(Status::resource_exhausted("try later"));
        }
        let amount = if rests { 0 } else { order.limit_price_micros * order.quantity_micros / 1_000_000 };
        let change = if order.side() == v1::Side::Buy { -amount } else { amount };
        held.change(account, change);
        if is_tenth && self.lie == Lie::ChargesTwice {
            held.change(account, -amount);
        }
        let mut trade = v1::Trade {
            trade_id: format!("t-{}", request.request_id),
            request_id: request.request_id.clone(),
            status: if rests { v1::TradeStatus::Working } else { v1::TradeStatus::Filled }.into(),
            average_price_micros: order.limit_price_micros,
            cash_change_micros: change,
            account_version: held.version,
            account_id: account.to_owned(),
            ..v1::Trade::default()
        };
        let mut kept = trade.clone();
        if is_tenth && self.lie == Lie::RewritesTrades {
            kept.average_price_micros += 1;
        }
        if is_tenth && self.lie == Lie::BooksTwice {
            held.more.push(kept.clone());
        }
        if is_tenth && self.lie == Lie::InventsTrades {
            held.more.push(v1::Trade { request_id: uuid::Uuid::now_v7().to_string(), ..kept.clone() });
        }
        if !(is_tenth && self.lie == Lie::ForgetsTrades) {
            held.trades.insert(request.request_id, kept);
        }
        if is_tenth && matches!(self.lie, Lie::WithholdsAnswers | Lie::KeepsResting | Lie::LeavesResting) {
            return Err(Status::unavailable("gone"));
        }
        if is_tenth && self.lie == Lie::MixesUpAnswers {
            trade.request_id = "another".to_owned();
        }
        Ok(trade)
    }

    fn quote() -> v1::Quote {
        let (bid_price_micros, ask_price_micros) = (540_000, 560_000);
        v1::Quote { bid_price_micros, ask_price_micros, ..v1::Quote::default() }
    }

    fn instrument(id: &str, style: v1::SettlementStyle, status: v1::InstrumentStatus) -> v1::Instrument {
        v1::Instrument {
            instrument_id: id.to_owned(),
            settlement_style: style.into(),
            status: status.into(),
            currency: "USD".to_owned(),
            min_quantity_micros: 1_000_000,
            min_price_micros: 10_000,
            match_id: "MATCH".to_owned(),
            ..v1::Instrument::default()
        }
    }
}

impl Held {
    fn change(&mut self, account: &str, change: i64) {
        self.cash += change;
        self.version += 1;
        let (wallet, house) = (format!("wallet/{account}/USD"), "house".to_owned());
        let (debit_account, credit_account) = if change < 0 { (wallet, house) } else { (house, wallet) };
        self.transfers.push(v1::Transfer {
            amount_micros: change.abs(),
            debit_account,
            credit_account,
            currency: "USD".to_owned(),
            ..v1::Transfer::default()
        });
    }

    fn account(&self) -> v1::Account {
        v1::Account { cash_micros: self.cash, version: self.version, ..v1::Account::default() }
    }
}

/// The caller's account: the token itself, or what a signed one says.
fn caller<T>(request: &Request<T>) -> Result<String, Status> {
    let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
    let token = header.and_then(|header| header.strip_prefix("Bearer "));
    let token = token.ok_or_else(|| Status::unauthenticated("no token"))?;
    // A signed token names the account in its claims.
    let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let Some(claims) = claims else { return Ok(token.to_owned()) };
    let claims: serde_json::Value = serde_json::from_slice(&claims).map_err(|_| Status::unauthenticated("claims"))?;
    claims["sub"].as_str().map(str::to_owned).ok_or_else(|| Status::unauthenticated("no subject"))
}

#[tonic::async_trait]
impl Trading for Pretender {
    async fn place_trade(
        &self,
        request: Request<v1::PlaceTradeRequest>,
    ) -> Result<Response<v1::PlaceTradeResponse>, Status> {
        tokio::time::sleep_until(*self.stalled_until.get_or_init(|| Instant::now() + self.stall)).await;
        let trade = self.trade(&caller(&request)?, request.into_inner())?;
        Ok(Response::new(v1::PlaceTradeResponse { trade: Some(trade) }))
    }

    async fn get_trade(&self, request: Request<v1::GetTradeRequest>) -> Result<Response<v1::GetTradeResponse>, Status> {
        let account = caller(&request)?;
        let Some(v1::get_trade_request::Key::RequestId(id)) = request.into_inner().key else {
            return Err(Status::invalid_argument("no request id"));
        };
        let trade = self.held().get(&account).and_then(|held| held.trades.get(&id).cloned());
        let trade = trade.ok_or_else(|| Status::not_found("no such trade"))?;
        Ok(Response::new(v1::GetTradeResponse { trade: Some(trade) }))
    }

    async fn list_trades(
        &self,
        request: Request<v1::ListTradesRequest>,
    ) -> Result<Response<v1::ListTradesResponse>, Status> {
        let account = caller(&request)?;
        let trades = self.held().get(&account).map(|held| held.trades.values().chain(&held.more).cloned().collect());
        let trades = trades.unwrap_or_default();
        Ok(Response::new(v1::ListTradesResponse { trades, ..v1::ListTradesResponse::default() }))
    }

    async fn cancel_trade(
        &self,
        request: Request<v1::CancelTradeRequest>,
    ) -> Result<Response<v1::CancelTradeResponse>, Status> {
        let account = caller(&request)?;
        let id = request.into_inner().trade_id;
        let mut all = self.held();
        let trades = all.get_mut(&account).into_iter().flat_map(|held| held.trades.values_mut());
        let trade = trades.into_iter().find(|trade| trade.trade_id == id);
        let trade = trade.ok_or_else(|| Status::not_found("no such trade"))?;
        if self.lie != Lie::KeepsResting {
            trade.set_status(v1::TradeStatus::Canceled);
        }
        Ok(Response::new(v1::CancelTradeResponse { trade: Some(trade.clone()) }))
    }

    async fn analyze(&self, _: Request<v1::AnalyzeRequest>) -> Result<Response<v1::AnalyzeResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    type WatchMarketStream = futures::stream::Empty<Result<v1::WatchMarketResponse, Status>>;

    async fn watch_market(
        &self,
        _: Request<v1::WatchMarketRequest>,
    ) -> Result<Response<Self::WatchMarketStream>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    type WatchTradesStream = futures::stream::Empty<Result<v1::WatchTradesResponse, Status>>;

    async fn watch_trades(
        &self,
        _: Request<v1::WatchTradesRequest>,
    ) -> Result<Response<Self::WatchTradesStream>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

#[tonic::async_trait]
impl Accounts for Pretender {
    async fn get_account(
        &self,
        request: Request<v1::GetAccountRequest>,
    ) -> Result<Response<v1::GetAccountResponse>, Status> {
        let account = caller(&request)?;
        let held = self.held().get(&account).map(Held::account);
        let held = held.ok_or_else(|| Status::not_found("no such account"))?;
        if held.version < request.get_ref().min_version {
            return Err(Status::unavailable("not so far yet"));
        }
        Ok(Response::new(v1::GetAccountResponse { account: Some(held) }))
    }

    async fn deposit(&self, request: Request<v1::DepositRequest>) -> Result<Response<v1::DepositResponse>, Status> {
        let account = caller(&request)?;
        let mut all = self.held();
        let held = all.entry(account.clone()).or_default();
        held.change(&account, request.get_ref().amount_micros);
        Ok(Response::new(v1::DepositResponse { account: Some(held.account()) }))
    }

    /// In pages of 7, newest first.
    async fn list_transfers(
        &self,
        request: Request<v1::ListTransfersRequest>,
    ) -> Result<Response<v1::ListTransfersResponse>, Status> {
        let all = self.held();
        let held = all.get(&caller(&request)?).ok_or_else(|| Status::not_found("no such account"))?;
        let skipped = request.get_ref().page_token.parse().unwrap_or(0);
        let shown = if self.lie == Lie::HidesTransfers { &held.transfers[1..] } else { &held.transfers[..] };
        let transfers: Vec<_> = shown.iter().rev().skip(skipped).take(7).cloned().collect();
        let next = skipped + transfers.len();
        let next_page_token = if next < shown.len() { next.to_string() } else { String::new() };
        Ok(Response::new(v1::ListTransfersResponse { transfers, next_page_token }))
    }

    async fn list_positions(
        &self,
        _: Request<v1::ListPositionsRequest>,
    ) -> Result<Response<v1::ListPositionsResponse>, Status> {
        Ok(Response::new(v1::ListPositionsResponse::default()))
    }

    async fn withdraw(&self, _: Request<v1::WithdrawRequest>) -> Result<Response<v1::WithdrawResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn send(&self, _: Request<v1::SendRequest>) -> Result<Response<v1::SendResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn get_statement(
        &self,
        _: Request<v1::GetStatementRequest>,
    ) -> Result<Response<v1::GetStatementResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

#[tonic::async_trait]
impl Markets for Pretender {
    async fn list_instruments(
        &self,
        _: Request<v1::ListInstrumentsRequest>,
    ) -> Result<Response<v1::ListInstrumentsResponse>, Status> {
        use v1::{InstrumentStatus::*, SettlementStyle::*};
        let instruments = vec![
            Self::instrument("BTCUSD", Spot, Open),
            Self::instrument("PAST", Prediction, Closed),
            Self::instrument("UNQUOTED", Prediction, Open),
            Self::instrument("QUOTED", Prediction, Open),
        ];
        Ok(Response::new(v1::ListInstrumentsResponse { instruments, ..v1::ListInstrumentsResponse::default() }))
    }

    async fn get_quote(&self, request: Request<v1::GetQuoteRequest>) -> Result<Response<v1::GetQuoteResponse>, Status> {
        let id = request.into_inner().instrument_id;
        if id == "UNQUOTED" {
            return Err(Status::not_found("no quote yet"));
        }
        let instrument = Self::instrument(&id, v1::SettlementStyle::Prediction, v1::InstrumentStatus::Open);
        Ok(Response::new(v1::GetQuoteResponse { quote: Some(Self::quote()), instrument: Some(instrument) }))
    }

    async fn put_news(&self, _: Request<v1::PutNewsRequest>) -> Result<Response<v1::PutNewsResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}
