//! I7: limits that hold at every instant. Two accounts order more than they may, many orders at once; the books are
//! looked at again and again, each time in one statement, so that what is seen was so at one instant.

use super::deposit::deposit;
use crate::{
    crowd::{Issuer, Role, Tier},
    target::Account,
};
use anyhow::Context as _;
use futures::future::join_all;
use serde::Serialize;
use sqlx::Connection as _;
use std::{
    str::FromStr as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tragen_contracts::v1::{self, trading_client::TradingClient};
use uuid::Uuid;

/// Orders that an account may have resting, as the guard is configured here.
const RESTING_MAX: i64 = 20;
/// The same as the guard reads it.
pub(super) const RESTING_MAX_TEXT: &str = "20";
/// Has money for about ten orders.
const POOR: &str = "chaos-poor";
/// Has money for all orders in the world, and may have only so many resting.
const CROWDED: &str = "chaos-crowded";
const POOR_FUNDS_MICROS: i64 = 10_000_000;
const CROWDED_FUNDS_MICROS: i64 = 1_000_000_000_000;
/// What one order holds, about.
const HOLD_MICROS: i64 = 1_000_000;
/// Orders that race for what is left.
const AT_ONCE: usize = 4;
const ATTEMPT_MAX: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(1_500);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Findings that are told.
const FINDINGS_MAX: usize = 5;

/// What was seen of the limits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// How often the books were looked at.
    pub looks: u64,
    /// Most that the orders of the poor account held at once, beside the cash it had then, 1e-6.
    pub held_micros_max: i64,
    /// Its cash at that time, 1e-6.
    pub cash_micros: i64,
    /// Orders that were denied for lack of money.
    pub denied_for_funds: u64,
    /// Most orders that the other account had resting at once.
    pub resting_max: i64,
    /// How many it may have.
    pub resting_allowed: i64,
    /// Orders that were denied because too many rest.
    pub denied_for_resting: u64,
    /// What was wrong.
    pub findings: Vec<String>,
}

/// Presses and looks until it is ended.
#[derive(Debug)]
pub(super) struct Pressing {
    seen: Arc<Mutex<Limits>>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug, Clone)]
struct Presser {
    channel: Channel,
    issuer: Issuer,
    name: &'static str,
    order: v1::OrderIntent,
    seen: Arc<Mutex<Limits>>,
}

impl Pressing {
    /// Pays in and begins.
    pub(super) async fn start(
        (endpoint, database_url): (&str, &str),
        issuer: &Issuer,
        instrument: &v1::Instrument,
    ) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(endpoint.to_owned()).context("the API's address")?.connect_lazy();
        let seen = Arc::new(Mutex::new(Limits { resting_allowed: RESTING_MAX, ..Limits::default() }));
        let mut tasks = Vec::new();
        let smallest = instrument.min_quantity_micros.max(instrument.lot_micros).max(1);
        // Whole contracts at the lowest price.
        let dear = (HOLD_MICROS / instrument.min_price_micros.max(1)).saturating_mul(1_000_000).max(smallest);
        for (name, funds, quantity_micros) in
            [(POOR, POOR_FUNDS_MICROS, dear), (CROWDED, CROWDED_FUNDS_MICROS, smallest)]
        {
            let order = v1::OrderIntent {
                instrument_id: instrument.instrument_id.clone(),
                side: v1::Side::Buy.into(),
                order_type: v1::OrderType::Limit.into(),
                quantity_micros,
                limit_price_micros: instrument.min_price_micros,
                time_in_force: v1::TimeInForce::Gtc.into(),
                ..v1::OrderIntent::default()
            };
            let (channel, issuer, seen) = (channel.clone(), issuer.clone(), Arc::clone(&seen));
            let presser = Presser { channel, issuer, name, order, seen };
            let paid = deposit(&presser.channel, &presser.account()?, funds).await;
            paid.with_context(|| format!("the deposit of {name}"))?;
            tasks.push(tokio::spawn(presser.press()));
        }
        tasks.push(tokio::spawn(look(database_url.to_owned(), Arc::clone(&seen))));
        Ok(Self { seen, tasks })
    }

    /// What was seen. A limit that nobody ran into, or that was hardly looked at, is a finding too.
    pub(super) fn end(self) -> Limits {
        self.tasks.iter().for_each(JoinHandle::abort);
        let mut seen = std::mem::take(&mut *lock(&self.seen));
        let told = seen.untested();
        seen.findings.extend(told);
        seen
    }
}

impl Limits {
    fn untested(&self) -> Vec<String> {
        let Self { looks, denied_for_funds, denied_for_resting, .. } = self;
        [(*looks, "the books were never looked at"), (*denied_for_funds, "no order was denied for lack of money")]
            .into_iter()
            .chain([(*denied_for_resting, "no order was denied because too many rest")])
            .filter(|(count, _)| *count == 0)
            .map(|(_, problem)| problem.to_owned())
            .collect()
    }

    /// Keeps what one look has shown: cash and what the orders hold of the poor account, orders of the other one.
    fn keep(&mut self, (cash, held): (i64, i64), resting: i64) {
        self.looks += 1;
        if held > self.held_micros_max {
            (self.held_micros_max, self.cash_micros) = (held, cash);
        }
        self.resting_max = self.resting_max.max(resting);
        let mut findings = Vec::new();
        if held > cash {
            findings.push(format!("{POOR} had {cash}e-6 and orders that hold {held}e-6"));
        }
        if resting > self.resting_allowed {
            findings.push(format!("{CROWDED} had {resting} orders resting, {} are allowed", self.resting_allowed));
        }
        let room = FINDINGS_MAX.saturating_sub(self.findings.len());
        self.findings.extend(findings.into_iter().take(room));
    }
}

impl Presser {
    /// Orders several at once until some are denied, then takes half of them back.
    async fn press(self) {
        let mut resting: Vec<String> = Vec::new();
        loop {
            let Ok(account) = self.account() else { return };
            let answers = join_all((0..AT_ONCE).map(|_| self.place(&account))).await;
            let mut is_full = false;
            for trade in answers.into_iter().flatten() {
                match trade.status() {
                    v1::TradeStatus::Working => resting.push(trade.trade_id),
                    v1::TradeStatus::Denied => {
                        is_full = true;
                        self.denied(trade.denial.map(|denial| denial.code()).unwrap_or_default());
                    }
                    v1::TradeStatus::Unspecified
                    | v1::TradeStatus::Pending
                    | v1::TradeStatus::Filled
                    | v1::TradeStatus::PartiallyFilled
                    | v1::TradeStatus::Rejected
                    | v1::TradeStatus::Expired
                    | v1::TradeStatus::Canceled
                    | v1::TradeStatus::NoTrade => {}
                }
            }
            if is_full {
                let half = resting.split_off(resting.len() / 2);
                join_all(half.iter().map(|trade_id| self.take_back(&account, trade_id))).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn denied(&self, code: v1::DenialCode) {
        let mut seen = lock(&self.seen);
        seen.denied_for_funds += u64::from(code == v1::DenialCode::InsufficientFunds);
        seen.denied_for_resting += u64::from(code == v1::DenialCode::OpenOrderLimit);
    }

    async fn place(&self, account: &Account) -> Option<v1::Trade> {
        let intent = Some(v1::place_trade_request::Intent::Order(self.order.clone()));
        let request = v1::PlaceTradeRequest { request_id: Uuid::now_v7().to_string(), intent };
        let request = account.request(request, ATTEMPT_MAX);
        TradingClient::new(self.channel.clone()).place_trade(request).await.ok()?.into_inner().trade
    }

    async fn take_back(&self, account: &Account, trade_id: &str) {
        let request = account.request(v1::CancelTradeRequest { trade_id: trade_id.to_owned() }, ATTEMPT_MAX);
        // What is not taken back now ends with the halt.
        let _ = TradingClient::new(self.channel.clone()).cancel_trade(request).await;
    }

    fn account(&self) -> anyhow::Result<Account> {
        Account::new(self.name, &self.issuer.issue(self.name, Tier::Premium, Role::Trader)?)
    }
}

/// Looks at the books; while they cannot be asked nothing is seen.
async fn look(url: String, seen: Arc<Mutex<Limits>>) {
    loop {
        if let Ok(mut books) = open(&url).await {
            while let Ok((funds, resting)) = look_once(&mut books).await {
                lock(&seen).keep(funds, resting);
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn open(url: &str) -> anyhow::Result<sqlx::PgConnection> {
    let options = sqlx::postgres::PgConnectOptions::from_str(url)?.options([("search_path", "shard_0")]);
    Ok(sqlx::PgConnection::connect_with(&options).await?)
}

/// Cash and what orders hold of the poor account, and how many orders the other one has resting.
async fn look_once(books: &mut sqlx::PgConnection) -> anyhow::Result<((i64, i64), i64)> {
    const SQL: &str = "SELECT
        (SELECT cash FROM wallet WHERE account_id = $1),
        (SELECT CAST(COALESCE(SUM((quantity - filled_quantity) / 1000000 * limit_price), 0) AS bigint)
            FROM trade WHERE account_id = $1 AND status = $3),
        (SELECT COUNT(*) FROM trade WHERE account_id = $2 AND status = $3)";
    let working = i32::from(v1::TradeStatus::Working);
    let asked = sqlx::query_as(SQL).bind(POOR).bind(CROWDED).bind(working).fetch_one(books);
    let (cash, held, resting): (Option<i64>, i64, i64) = tokio::time::timeout(ATTEMPT_MAX, asked).await??;
    Ok(((cash.unwrap_or(0), held), resting))
}

fn lock(seen: &Mutex<Limits>) -> std::sync::MutexGuard<'_, Limits> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_is_told_the_limit_that_is_looked_for() {
        assert_eq!(RESTING_MAX.to_string(), RESTING_MAX_TEXT);
    }

    #[test]
    fn one_micro_or_one_order_too_many_is_found_and_a_limit_nobody_ran_into_is_no_proof() {
        let mut seen = Limits { resting_allowed: 20, ..Limits::default() };
        assert_eq!(seen.untested().len(), 3);
        (seen.denied_for_funds, seen.denied_for_resting) = (1, 1);
        seen.keep((10, 10), 20);
        assert_eq!((seen.findings.len(), seen.untested().len()), (0, 0));
        seen.keep((10, 11), 20);
        assert!(seen.findings[0].contains("orders that hold 11e-6"), "{seen:?}");
        seen.keep((10, 0), 21);
        assert!(seen.findings[1].contains("21 orders resting"), "{seen:?}");
        assert_eq!((seen.looks, seen.held_micros_max, seen.cash_micros, seen.resting_max), (3, 11, 10, 21));
        (0..100).for_each(|_| seen.keep((0, 1), 0));
        assert_eq!(seen.findings.len(), FINDINGS_MAX);
    }
}
