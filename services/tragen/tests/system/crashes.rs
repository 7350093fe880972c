//! Every process may be killed at any moment: each request reaches one outcome,
//! and no money appears or vanishes.

use crate::rig::{Caller, INSTRUMENT, Platform, SERVICES, order};
use futures::{StreamExt as _, stream};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tragen_contracts::v1;

/// Trades under way while something is killed.
const TRADES: usize = 200;
/// Trades asked for at the same time.
const AT_ONCE: usize = 16;
/// Deposited at the start of each round, dollars.
const DOLLARS: i64 = 10_000;

/// Places [`TRADES`] trades, half of them buys and half sells.
async fn load(caller: Caller, done: Arc<AtomicUsize>, price: (i64, i64)) -> Vec<v1::Trade> {
    let (bid, ask) = price;
    let places = (0..TRADES).map(|number| {
        let (mut caller, done) = (caller.clone(), Arc::clone(&done));
        async move {
            let (side, limit) = if number % 2 == 0 { (v1::Side::Buy, ask) } else { (v1::Side::Sell, bid) };
            let trade = caller.place_surely(&order(side, 1, limit)).await;
            done.fetch_add(1, Ordering::SeqCst);
            trade
        }
    });
    stream::iter(places).buffer_unordered(AT_ONCE).collect().await
}

/// Kills `part` in the middle of the load, starts it again, and checks every trade.
async fn survive(platform: &mut Platform, part: &str, account: &str) {
    let mut trader = platform.trader(account, DOLLARS).await;
    let quote = trader.quote(INSTRUMENT).await;
    let done = Arc::new(AtomicUsize::new(0));
    let price = (quote.bid_price_micros, quote.ask_price_micros);
    let loading = tokio::spawn(load(trader.clone(), Arc::clone(&done), price));
    while done.load(Ordering::SeqCst) < TRADES / 4 && !loading.is_finished() {
        tokio::task::yield_now().await;
    }
    platform.kill(part);
    platform.restart(part).await;
    let answers = loading.await.unwrap_or_else(|e| panic!("{part}: {e}"));

    let mut stored = trader.trades().await;
    assert_eq!(stored.len(), TRADES, "{part}: one trade per request");
    for answer in &answers {
        let same = stored.iter().find(|trade| trade.request_id == answer.request_id);
        assert_eq!(same, Some(answer), "{part}: the stored trade is the answered one");
    }
    stored.retain(|trade| trade.status() == v1::TradeStatus::Filled);
    assert!(stored.len() > TRADES / 4, "{part}: trading went on, {} filled", stored.len());
    let moved: i64 = answers.iter().map(|trade| trade.cash_change_micros).sum();
    let account = trader.account(0).await;
    assert_eq!(account.cash_micros, DOLLARS * 1_000_000 + moved, "{part}: no money appeared or vanished");
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_any_process_in_the_middle_of_trading_loses_and_doubles_nothing() {
    let mut platform = Platform::separate().await;
    for (number, part) in SERVICES.iter().chain(&["nats", "valkey", "postgres"]).enumerate() {
        survive(&mut platform, part, &format!("trader-{number}")).await;
        platform.verify();
    }
    platform.stop();
    platform.verify();
}
