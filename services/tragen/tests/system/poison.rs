//! A message nobody can read is set aside, on every subject, and trading goes on.

use crate::rig::{INSTRUMENT, Platform, order, wait_until};
use tragen_contracts::v1;
use tragen_router::token::Role;

#[tokio::test(flavor = "multi_thread")]
async fn poison_on_every_subject_is_set_aside_and_the_next_trade_goes_through() {
    let mut platform = Platform::all_in_one(&[]).await;
    let mut alice = platform.trader("alice", 1_000).await;
    let client = async_nats::connect(platform.nats()).await.expect("a raw connection");
    let jetstream = async_nats::jetstream::new(client.clone());
    let kept = [
        "req.trade.premium",
        "req.trade.standard",
        "req.trade.free",
        "prop.worker",
        "exec.paper",
        "usage.test",
        "md.bar.1m.GBPUSD",
        // Only the newest message of a match is kept: nobody tells anything about this one.
        "md.match.EPL-2026-NOBODY-PLAYS",
    ];
    let read_only = ["ledger.0", "md.quote.GBPUSD", "md.instrument.GBPUSD"];
    for subject in kept.iter().chain(&read_only) {
        let sent = jetstream.publish(*subject, vec![0xff; 64].into()).await.expect("sent");
        sent.await.unwrap_or_else(|e| panic!("{subject}: {e}"));
    }
    for subject in ["ask.ledger", "ask.guard", "ask.lease", "ask.market", "ask.cost", "control.state"] {
        client.publish(subject, vec![0xff; 64].into()).await.expect("sent");
    }
    client.flush().await.expect("sent");

    let ask = alice.quote(INSTRUMENT).await.ask_price_micros;
    let trade = alice.place_surely(&order(v1::Side::Buy, 10, ask)).await;
    assert_eq!(trade.status(), v1::TradeStatus::Filled, "{trade:?}");

    let operator = platform.caller("olga", Role::Operator);
    // Executions have two consumers, so one poison message is set aside twice.
    wait_until("nine dead letters", || async {
        let mut operator = operator.clone();
        let request = v1::ListDeadLettersRequest { page_size: 100, page_token: String::new() };
        let letters = operator.operations.list_dead_letters(request).await.expect("a page").into_inner().dead_letters;
        assert!(letters.iter().all(|letter| !letter.reason.is_empty()), "{letters:?}");
        kept.iter().all(|subject| letters.iter().any(|letter| letter.subject == *subject)) && letters.len() == 9
    })
    .await;
    platform.stop();
    platform.verify();
}
