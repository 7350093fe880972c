//! News from the bus, and what they do to a mandate.

use crate::{MATCH, PATIENCE, mandate, order_of, rig};
use std::time::Instant;
use tragen_bus::{PublishOptions, Subject};
use tragen_contracts::v1;
use tragen_domain::id::MatchId;
use tragen_host::clock;

fn report(id: &str, source: &str, text: &str) -> v1::NewsReported {
    let now = clock::now_micros();
    v1::NewsReported {
        match_id: MATCH.into(),
        item: Some(v1::NewsItem {
            news_id: id.into(),
            source: source.into(),
            is_listed: true,
            published_at_micros: now - 1_000_000,
            text: text.into(),
        }),
        home_players: vec!["Saka".into(), "Rice".into(), "Odegaard".into()],
        expires_at_micros: now + 3_600_000_000,
        ..v1::NewsReported::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_key_players_end_the_edge_and_words_of_strangers_do_not() {
    let mut rig = rig(1).await;
    let subject = Subject::News(MatchId::new(MATCH).expect("an id"));
    let told = report("n1", "forum", "Saka is ruled out. Rice is suspended. Odegaard is injured.");
    rig.world.bus.publish(&subject, &told, &PublishOptions::default(), PATIENCE).await.expect("stored");
    rig.world.request("t-n1", mandate(MATCH, "contextAwareAgent")).await;
    let before = order_of(&rig.next_one().await).clone();
    assert_eq!(before.agent, "contextAwareAgent");
    assert!(before.rationale.starts_with("Home"), "{}", before.rationale);

    let listed = report("n2", "bbc", "Saka is ruled out. Rice is suspended. Odegaard is injured.");
    rig.world.bus.publish(&subject, &listed, &PublishOptions::default(), PATIENCE).await.expect("stored");
    let started = Instant::now();
    for number in 0.. {
        rig.world.request(&format!("t-n2-{number}"), mandate(MATCH, "contextAwareAgent")).await;
        let proposal = rig.next_one().await;
        let still_home = match &proposal.kind {
            Some(v1::proposal::Kind::Order(order)) => order.rationale.starts_with("Home"),
            Some(_) => false,
            None => panic!("no kind: {proposal:?}"),
        };
        if !still_home {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "the news are read: {proposal:?}");
    }
    rig.stop().await;
}
