//! One trade is one trace, with every service in it.

use crate::{
    collector::{Collector, Span},
    rig::{Platform, order, request_id, wait_until},
};
use std::collections::{BTreeSet, HashSet};
use tragen_contracts::v1;

/// Every service that has a part in any trade.
const ALL: [&str; 6] = [
    "tragen-agent-worker",
    "tragen-cost-monitor",
    "tragen-ledger",
    "tragen-market-data",
    "tragen-risk-guard",
    "tragen-router",
];

/// Checks that the spans are one tree, and gives the services in it.
fn services_of_tree(spans: &[Span]) -> BTreeSet<&str> {
    let ids: HashSet<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent_id.is_empty()).collect();
    assert_eq!(roots.len(), 1, "one root: {roots:?}");
    assert_eq!(roots[0].name, "tragen.v1.Trading/PlaceTrade");
    for span in spans {
        assert!(span.parent_id.is_empty() || ids.contains(span.parent_id.as_str()), "an orphan: {span:?}");
    }
    spans.iter().map(|span| span.service.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trade_is_one_tree_with_all_six_services_in_it() {
    let collector = Collector::start().await;
    let mut platform = Platform::all_in_one(&["--otlp", &collector.endpoint()]).await;
    let mut alice = platform.trader("alice", 10_000).await;

    let ask = alice.quote(crate::rig::INSTRUMENT).await.ask_price_micros;
    let ordered = alice.place_surely(&order(v1::Side::Buy, 10, ask)).await;
    assert_eq!(ordered.status(), v1::TradeStatus::Filled, "{ordered:?}");
    let mandate = v1::Mandate {
        match_id: "EPL-2026-ARS-MCI".into(),
        budget_micros: 50_000_000,
        min_edge_bps: 0,
        agent: String::new(),
    };
    let intent = Some(v1::place_trade_request::Intent::Mandate(mandate));
    let mandated = alice.place_surely(&v1::PlaceTradeRequest { request_id: request_id(), intent }).await;
    assert!(!mandated.rationale.is_empty(), "{mandated:?}");

    for trade in [ordered, mandated] {
        assert_eq!(trade.trace_id.len(), 32, "{trade:?}");
        wait_until("a span of every service", || async {
            let spans = collector.trace(&trade.trace_id);
            ALL.iter().all(|service| spans.iter().any(|span| span.service == *service))
        })
        .await;
    }
    // What is still buffered is sent on the way out; then the trees are whole.
    let trades = alice.trades().await;
    platform.stop();
    assert_eq!(trades.len(), 2);
    for trade in trades {
        let spans = collector.trace(&trade.trace_id);
        assert_eq!(services_of_tree(&spans), BTreeSet::from(ALL), "{spans:#?}");
    }
    platform.verify();
}
