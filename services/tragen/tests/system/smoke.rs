//! One trade from the caller to the books and back, in one process and in six.

use crate::support::{AllInOne, Cluster, PATIENCE, market_order, operator, trader, tragen, wait_until};
use tragen_contracts::v1::{self, Side, TradeStatus};
use tragen_domain::money::{ONE, Quantity};

const THOUSAND: Quantity = Quantity::from_micros(1_000 * ONE);

#[tokio::test]
async fn a_trade_is_filled_and_the_books_are_right_after_a_stop() {
    let mut up = AllInOne::start(&["--feed", "sample"]).await;
    let mut alice = up.client(trader("alice")).await;
    assert_eq!(alice.deposit(1_000).await.cash_micros, 1_000 * ONE);
    let trade = alice.place(market_order("GBPUSD", Side::Buy, THOUSAND)).await;
    assert_eq!(trade.status(), TradeStatus::Filled, "{trade:?}");
    assert_eq!(trade.filled_quantity_micros, THOUSAND.micros());
    let positions = alice.accounts.list_positions(v1::ListPositionsRequest::default()).await.expect("positions");
    assert_eq!(positions.into_inner().positions.len(), 1);

    assert!(up.process.stop().success(), "{}", up.process.log());
    assert!(up.process.log().ends_with("drained\n"), "{}", up.process.log());
    let data_dir = up.data_dir();
    let verified = tragen(&["ledger", "verify", "--data-dir", data_dir.to_str().expect("a path")]);
    assert!(verified.status.success(), "{verified:?}");
}

#[tokio::test]
async fn what_was_answered_is_there_after_everything_was_killed() {
    let mut up = AllInOne::start(&["--feed", "sample"]).await;
    let mut alice = up.client(trader("alice")).await;
    alice.deposit(1_000).await;
    let request = market_order("GBPUSD", Side::Buy, THOUSAND);
    let before = alice.place(request.clone()).await;
    up.process.kill();
    up.restart().await;
    let mut alice = up.client(trader("alice")).await;
    let after = alice.place(request).await;
    assert_eq!(after.trade_id, before.trade_id);
    assert_eq!(after.filled_quantity_micros, before.filled_quantity_micros);
    assert_eq!(after.account_version, before.account_version, "nothing was done twice");
}

#[tokio::test]
async fn six_processes_trade_and_survive_the_loss_of_one_and_of_the_bus() {
    let mut cluster = Cluster::start(&["--feed", "sample"]).await;
    let mut alice = cluster.client(trader("alice")).await;
    alice.deposit(1_000).await;
    assert_eq!(alice.place(market_order("GBPUSD", Side::Buy, THOUSAND)).await.status(), TradeStatus::Filled);

    cluster.service("ledger").kill();
    cluster.restart("ledger").await;
    let trade = trade_again(&cluster, Side::Sell).await;
    assert_eq!(trade.status(), TradeStatus::Filled, "{trade:?}");

    cluster.nats.kill();
    cluster.nats.restart();
    let trade = trade_again(&cluster, Side::Buy).await;
    assert_eq!(trade.filled_quantity_micros, THOUSAND.micros());

    cluster.valkey.kill();
    cluster.valkey.restart();
    let mut watcher = cluster.client(operator("olga")).await;
    wait_until(PATIENCE, "every part is healthy again", async || {
        let status = watcher.operations.get_status(v1::GetStatusRequest {}).await.ok()?.into_inner();
        status.is_healthy.then_some(())
    })
    .await;
    assert!(cluster.service("router").stop().success());
    let verified = tragen(&["ledger", "verify", "--store", cluster.store()]);
    assert!(verified.status.success(), "{verified:?}");
}

/// Places one order until it is filled: with the same id, so that it is done once.
async fn trade_again(cluster: &Cluster, side: Side) -> v1::Trade {
    let request = market_order("GBPUSD", side, THOUSAND);
    wait_until(PATIENCE, "a trade is filled", async || {
        let mut alice = cluster.client(trader("alice")).await;
        let trade = alice.trading.place_trade(request.clone()).await.ok()?.into_inner().trade?;
        (trade.status() != TradeStatus::Pending).then_some(trade)
    })
    .await
}
