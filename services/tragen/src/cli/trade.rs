//! `tragen trade`: places, follows and cancels trades.

mod shown;

pub(crate) use shown::line;

use super::{ClientArgs, amount::positive, pages, request_id, uuid};
use crate::{
    Verdict,
    api::{Authorized, ask, within},
};
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use shown::{row, show};
use std::time::Duration;
use tonic::{Code, Request};
use tragen_contracts::v1::{self, trading_client::TradingClient};
use tragen_domain::money::{Money, MoneyUnit, Price, PriceUnit, Quantity, QuantityUnit};
use uuid::Uuid;

/// What to do with trades.
#[derive(Debug, Subcommand)]
pub(crate) enum TradeCommand {
    /// Trades an instrument; a limit order with --limit, else a market order.
    #[command(
        after_help = "Example:\n  tragen trade place --instrument GBPUSD --side buy --quantity 1000 --limit 1.28\n  tragen trade place --instrument GBPUSD --side buy --quantity 1000 --limit 1.27 --tif gtc --post-only\n\nExit code 3: denied by the risk guard or rejected by the venue."
    )]
    Place(PlaceArgs),
    /// Gives an agent a budget for a match.
    #[command(
        after_help = "Example:\n  tragen trade mandate --match EPL-2026-ARS-MCI --budget 50\n\nExit code 3: denied by the risk guard or rejected by the venue."
    )]
    Mandate(MandateArgs),
    /// One trade, by the trade's id or the request's.
    #[command(after_help = "Example:\n  tragen trade get 01890a5d-ac96-774b-bcce-b302099a8057")]
    Get {
        /// A request id is a UUIDv7, a trade id a UUIDv5.
        #[arg(value_parser = uuid)]
        id: Uuid,
    },
    /// The account's trades, newest first.
    #[command(after_help = "Example:\n  tragen trade list --limit 20")]
    List {
        /// At most this many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..))]
        limit: i32,
    },
    /// Every change of the account's trades from now on.
    #[command(after_help = "Example:\n  tragen trade watch --all -o json")]
    Watch {
        /// Everybody's trades; needs the role operator.
        #[arg(long)]
        all: bool,
    },
    /// Cancels a resting order.
    #[command(after_help = "Example:\n  tragen trade cancel 6f1c8a52-3a4e-5b6f-8e9d-0c1b2a394857")]
    Cancel {
        /// The trade's id.
        #[arg(value_parser = uuid)]
        trade_id: Uuid,
    },
}

/// An order.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// What to trade, e.g. GBPUSD.
    #[arg(long)]
    instrument: String,
    /// Which way.
    #[arg(long)]
    side: Side,
    /// How much, in contracts or base units, e.g. 10.
    #[arg(long, value_parser = positive::<QuantityUnit>, allow_negative_numbers = true)]
    quantity: Quantity,
    /// Worst price, e.g. 0.55; a market order without it.
    #[arg(long, value_parser = positive::<PriceUnit>, allow_negative_numbers = true)]
    limit: Option<Price>,
    /// How long it may rest.
    #[arg(long, default_value = "ioc")]
    tif: TimeInForce,
    /// Only shrink the position.
    #[arg(long)]
    reduce_only: bool,
    /// Only rest: rejected if it would trade at once. Needs --limit and --tif gtc.
    #[arg(long, requires = "limit")]
    post_only: bool,
    #[command(flatten)]
    request: RequestArgs,
}

/// A budget for an agent.
#[derive(Debug, Args)]
pub(crate) struct MandateArgs {
    /// The match, e.g. EPL-2026-ARS-MCI.
    #[arg(long = "match", value_name = "MATCH")]
    match_id: String,
    /// The most the trade may cost with fees, e.g. 50.
    #[arg(long, value_parser = positive::<MoneyUnit>, allow_negative_numbers = true)]
    budget: Money,
    /// Smallest edge after fees, basis points of the cost; 0 for the agent's own.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..=10_000))]
    min_edge_bps: i32,
    /// Which agent decides; the scout without it.
    #[arg(long, default_value = "")]
    agent: String,
    #[command(flatten)]
    request: RequestArgs,
}

/// What every request for a trade has.
#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// Repeat a request by its id, a UUIDv7; a new one without it.
    #[arg(long, value_parser = uuid)]
    request_id: Option<Uuid>,
    /// How long to wait for the outcome, seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=30))]
    wait: u64,
}

/// Which way an order goes.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Side {
    /// Increases the position.
    Buy,
    /// Decreases it.
    Sell,
}

impl Side {
    /// As the API writes it.
    pub(super) const fn to_wire(self) -> v1::Side {
        match self {
            Self::Buy => v1::Side::Buy,
            Self::Sell => v1::Side::Sell,
        }
    }
}

/// How long an order may rest.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum TimeInForce {
    /// Fill what is there now, cancel the rest.
    Ioc,
    /// Fill everything now or nothing.
    Fok,
    /// Rest until canceled.
    Gtc,
}

impl TradeCommand {
    pub(super) async fn run(self, client: &ClientArgs) -> anyhow::Result<Verdict> {
        let format = client.output;
        let mut trading = client.connect().await?.trading();
        let trade = match self {
            Self::Place(args) => place(&mut trading, args.request()).await?,
            Self::Mandate(args) => place(&mut trading, args.request()).await?,
            Self::Get { id } => {
                trading.get_trade(ask(v1::GetTradeRequest { key: Some(key(id)) })).await?.into_inner().trade
            }
            Self::Cancel { trade_id } => {
                let question = v1::CancelTradeRequest { trade_id: trade_id.to_string() };
                trading.cancel_trade(ask(question)).await?.into_inner().trade
            }
            Self::List { limit } => {
                let trades = pages(limit, async |page_size, page_token| {
                    let question = v1::ListTradesRequest { page_size, page_token, min_version: 0 };
                    let page = trading.list_trades(ask(question)).await?.into_inner();
                    Ok((page.trades, page.next_page_token))
                });
                let headers = ["CREATED", "TRADE", "INSTRUMENT", "SIDE", "FILLED", "OF", "PRICE", "STATUS", "DENIAL"];
                format.list_or("No trades yet.", "trades", &trades.await?, &headers, row)?;
                return Ok(Verdict::Good);
            }
            Self::Watch { all } => {
                let question = v1::WatchTradesRequest { is_all_accounts: all };
                let mut changes = trading.watch_trades(Request::new(question)).await?.into_inner();
                while let Some(change) = changes.message().await? {
                    let trade = change.trade.context("the change has no trade")?;
                    format.event(&trade, || line(&trade))?;
                }
                anyhow::bail!("the API has ended the stream of trades");
            }
        };
        show(format, &trade.context("the answer has no trade")?)
    }
}

/// Asks for a trade; where nobody knows what became of it, says how to find out.
async fn place(
    trading: &mut TradingClient<Authorized>,
    (question, wait): (v1::PlaceTradeRequest, Duration),
) -> anyhow::Result<Option<v1::Trade>> {
    let request_id = question.request_id.clone();
    match trading.place_trade(within(question, wait)).await {
        Ok(answer) => Ok(answer.into_inner().trade),
        Err(status) => {
            if may_have_happened(status.code()) {
                eprintln!(
                    "no outcome yet: the same command with --request-id {request_id} repeats it safely, \
                     `tragen trade get {request_id}` looks for it"
                );
            }
            Err(status.into())
        }
    }
}

/// Whether a request that failed so may have become a trade all the same.
const fn may_have_happened(code: Code) -> bool {
    match code {
        Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Unauthenticated => false,
    }
}

impl PlaceArgs {
    fn request(self) -> (v1::PlaceTradeRequest, Duration) {
        let side = self.side.to_wire();
        let time_in_force = match self.tif {
            TimeInForce::Ioc => v1::TimeInForce::Ioc,
            TimeInForce::Fok => v1::TimeInForce::Fok,
            TimeInForce::Gtc => v1::TimeInForce::Gtc,
        };
        let order_type = if self.limit.is_some() { v1::OrderType::Limit } else { v1::OrderType::Market };
        let order = v1::OrderIntent {
            instrument_id: self.instrument,
            side: side.into(),
            order_type: order_type.into(),
            quantity_micros: self.quantity.micros(),
            limit_price_micros: self.limit.map_or(0, Price::micros),
            time_in_force: time_in_force.into(),
            expire_at: None,
            is_reduce_only: self.reduce_only,
            is_post_only: self.post_only,
        };
        self.request.of(v1::place_trade_request::Intent::Order(order))
    }
}

impl MandateArgs {
    fn request(self) -> (v1::PlaceTradeRequest, Duration) {
        let mandate = v1::Mandate {
            match_id: self.match_id,
            budget_micros: self.budget.micros(),
            min_edge_bps: self.min_edge_bps,
            agent: self.agent,
        };
        self.request.of(v1::place_trade_request::Intent::Mandate(mandate))
    }
}

impl RequestArgs {
    fn of(self, intent: v1::place_trade_request::Intent) -> (v1::PlaceTradeRequest, Duration) {
        let request = v1::PlaceTradeRequest { request_id: request_id(self.request_id), intent: Some(intent) };
        (request, Duration::from_secs(self.wait))
    }
}

fn key(id: Uuid) -> v1::get_trade_request::Key {
    match id.get_version_num() {
        7 => v1::get_trade_request::Key::RequestId(id.to_string()),
        _ => v1::get_trade_request::Key::TradeId(id.to_string()),
    }
}
