//! The public API with a token of its own making.

use std::{path::Path, time::Duration};
use tonic::{
    Request, Status,
    metadata::AsciiMetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tragen_contracts::v1::{
    self, accounts_client::AccountsClient, agents_client::AgentsClient, costs_client::CostsClient,
    markets_client::MarketsClient, operations_client::OperationsClient, risk_control_client::RiskControlClient,
    trading_client::TradingClient,
};
use tragen_domain::{
    id::AccountId,
    money::{ONE, Quantity},
    tier::Tier,
};
use tragen_router::token::{Claims, Keys, Role};

/// Who speaks.
pub(crate) type Who = Claims;

type Authorized = InterceptedService<Channel, Bearer>;

/// All services of the public API, as one caller; clones share the connection.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) trading: TradingClient<Authorized>,
    pub(crate) accounts: AccountsClient<Authorized>,
    pub(crate) markets: MarketsClient<Authorized>,
    pub(crate) agents: AgentsClient<Authorized>,
    pub(crate) risk: RiskControlClient<Authorized>,
    pub(crate) operations: OperationsClient<Authorized>,
    pub(crate) costs: CostsClient<Authorized>,
    /// The token, e.g. for `tragen --token`.
    pub(crate) token: String,
}

/// A token on each call.
#[derive(Debug, Clone)]
pub(crate) struct Bearer(AsciiMetadataValue);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A premium trader with the account `account`.
pub(crate) fn trader(account: &str) -> Who {
    Claims::new(AccountId::new(account).expect("an id"), Tier::Premium, Role::Trader)
}

/// An operator; set `role` for a risk admin.
pub(crate) fn operator(account: &str) -> Who {
    Claims { role: Role::Operator, ..trader(account) }
}

/// A market order with a new request id, filled at once or canceled.
pub(crate) fn market_order(instrument: &str, side: v1::Side, quantity: Quantity) -> v1::PlaceTradeRequest {
    let order = v1::OrderIntent {
        instrument_id: instrument.to_owned(),
        side: side.into(),
        order_type: v1::OrderType::Market.into(),
        quantity_micros: quantity.micros(),
        time_in_force: v1::TimeInForce::Ioc.into(),
        ..v1::OrderIntent::default()
    };
    v1::PlaceTradeRequest {
        request_id: uuid::Uuid::now_v7().to_string(),
        intent: Some(v1::place_trade_request::Intent::Order(order)),
    }
}

impl Client {
    /// Connects with a token signed by the key in `keys`.
    pub(crate) async fn connect(endpoint: &str, keys: &Path, who: Who) -> Self {
        let token = Keys::load_or_create(keys).expect("keys").issue(&who).expect("a token");
        let bearer = Bearer(format!("Bearer {token}").parse().expect("a header"));
        let endpoint = Endpoint::from_shared(endpoint.to_owned()).expect("an address");
        let channel = endpoint.timeout(Duration::from_secs(30)).connect().await.expect("a connection");
        let authorized = InterceptedService::new(channel, bearer);
        Self {
            trading: TradingClient::new(authorized.clone()),
            accounts: AccountsClient::new(authorized.clone()),
            markets: MarketsClient::new(authorized.clone()),
            agents: AgentsClient::new(authorized.clone()),
            risk: RiskControlClient::new(authorized.clone()),
            operations: OperationsClient::new(authorized.clone()),
            costs: CostsClient::new(authorized),
            token,
        }
    }

    /// Brings `units` USD into the account.
    pub(crate) async fn deposit(&mut self, units: i64) -> v1::Account {
        let question = v1::DepositRequest {
            request_id: uuid::Uuid::now_v7().to_string(),
            amount_micros: units * ONE,
            currency: "USD".to_owned(),
        };
        self.accounts.deposit(question).await.expect("a deposit").into_inner().account.expect("an account")
    }

    /// Places a trade and waits for its outcome.
    pub(crate) async fn place(&mut self, request: v1::PlaceTradeRequest) -> v1::Trade {
        self.trading.place_trade(request).await.expect("an outcome").into_inner().trade.expect("a trade")
    }
}
