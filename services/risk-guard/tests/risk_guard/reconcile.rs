//! What the guard believes and what the venue has executed, for comparing with the books.

use crate::rig::{HOME, ONE, Rig, buy, eventually, order, trade_of};
use tragen_contracts::v1::{self, guard_answer::Answer, guard_question::Question};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_of_accounts_are_read_page_by_page_in_order() {
    let mut rig = Rig::start().await;
    for (account, dollars) in [("dave", 4), ("bob", 2), ("carol", 3)] {
        rig.ledger.deposit(account, dollars * ONE);
    }
    let guard = rig.guard().await;
    let resting = order("resting", v1::Side::Buy, 10, 400_000, v1::TimeInForce::Gtc);
    let trade = trade_of(&resting);
    rig.propose(vec![resting]).await;
    rig.outcomes.until(|outcomes| outcomes.reports.contains_key(&trade)).await;

    let page = async |after: &str, page_size| {
        let question = v1::AccountViewsQuestion { after_account_id: after.into(), page_size };
        let Answer::AccountViews(views) = rig.ask("", Question::AccountViews(question)).await else {
            panic!("refused")
        };
        let accounts: Vec<String> = views.views.iter().map(|view| view.account_id.clone()).collect();
        (accounts, views.next_account_id, views.views)
    };
    let (accounts, next, first) = page("", 3).await;
    assert_eq!((accounts.join(" "), next.as_str()), ("alice bob carol".to_owned(), "carol"));
    let alice = &first[0];
    assert_eq!((alice.currency.as_str(), alice.cash_micros), ("USD", 1_000 * ONE));
    assert_eq!(alice.held_micros, rig.risk_state().await.held_micros);
    assert!(alice.held_micros >= 4 * ONE, "{alice:?}");
    let (accounts, next, _) = page(&next, 3).await;
    assert_eq!((accounts.join(" "), next.as_str()), ("dave".to_owned(), ""));
    let (accounts, next, _) = page("", 0).await;
    assert_eq!((accounts.len(), next.as_str()), (4, ""));
    assert!(page("zoe", 3).await.0.is_empty());
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_venue_has_executed_is_what_was_told() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let proposals: Vec<_> = (0..5).map(|n| buy(&format!("r-{n}"), 10, 520_000)).collect();
    for proposal in &proposals {
        rig.propose(vec![proposal.clone()]).await;
        rig.outcomes.of(&trade_of(proposal)).await;
    }
    let told: Vec<v1::VenueFill> = proposals
        .iter()
        .map(|proposal| {
            let trade = trade_of(proposal);
            let fill = rig.outcomes.last(&trade).expect("a report").fills[0].clone();
            v1::VenueFill { fill: Some(fill), order_id: format!("{trade}-o") }
        })
        .collect();
    let page = async |after, page_size| {
        let question = v1::VenueFillsQuestion { after, page_size };
        rig.ask("", Question::VenueFills(question)).await
    };
    let Answer::VenueFills(first) = page(0, 3).await else { panic!("refused") };
    let Answer::VenueFills(second) = page(first.next, 3).await else { panic!("refused") };
    assert_eq!((first.next, second.next), (3, 5));
    assert_eq!([first.fills, second.fills].concat(), told);
    let Answer::VenueFills(rest) = page(5, 0).await else { panic!("refused") };
    assert_eq!((rest.fills.len(), rest.next), (0, 5));
    let Answer::Error(error) = page(-1, 3).await else { panic!("not refused") };
    assert_eq!(error.reason, "AFTER_NEGATIVE");
    eventually("the ledger has booked all of it", async || rig.ledger.contracts("alice", HOME) == 50).await;
    guard.stop().await;
    rig.stop().await;
}
