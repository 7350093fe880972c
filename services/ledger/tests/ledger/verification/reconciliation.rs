//! The ledger compares its books with themselves, the guard and the venue while
//! it runs, calls for a person, and asks the guard to halt what is not right.

use crate::ledger::rig::{BOTH, PATIENCE, Rig, fill, id, report};
use futures::FutureExt as _;
use prost::Message as _;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::mpsc;
use tragen_bus::{Ask, Bus, Follower, StartAt, Stream};
use tragen_contracts::v1::{self, Side, TradeStatus, guard_answer::Answer, guard_question::Question};
use tragen_host::{Context, Lifecycle, clock::now_micros, trace::Spans};
use tragen_ledger::Config;

/// What stands in for the guard: it says what it is told to, and counts what it is asked.
struct Guard {
    views: Arc<Mutex<Vec<v1::AccountView>>>,
    fills: Arc<Mutex<Vec<v1::VenueFill>>>,
    halts: mpsc::UnboundedReceiver<(String, v1::HaltRequest)>,
    /// Hears of every question for venue fills: one of each round.
    rounds: mpsc::UnboundedReceiver<()>,
}

impl Guard {
    async fn standing_in(bus: &Bus, context: &Context) -> Self {
        let (views, fills) =
            (Arc::<Mutex<Vec<v1::AccountView>>>::default(), Arc::<Mutex<Vec<v1::VenueFill>>>::default());
        let (halted, halts) = mpsc::unbounded_channel();
        let (round, rounds) = mpsc::unbounded_channel();
        let (own_views, own_fills) = (Arc::clone(&views), Arc::clone(&fills));
        let handler = move |asked: v1::GuardQuestion| {
            let answer = match asked.question {
                Some(Question::Halt(halt)) => {
                    let _ = halted.send((asked.principal, halt));
                    Answer::Halt(v1::HaltResponse::default())
                }
                Some(Question::AccountViews(_)) => {
                    let views = own_views.lock().expect("no panic").clone();
                    Answer::AccountViews(v1::AccountViews { views, next_account_id: String::new() })
                }
                Some(Question::VenueFills(asked)) => {
                    let _ = round.send(());
                    let skip = usize::try_from(asked.after).expect("small");
                    let fills: Vec<_> = own_fills.lock().expect("no panic").iter().skip(skip).cloned().collect();
                    let next = asked.after + i64::try_from(fills.len()).expect("small");
                    Answer::VenueFills(v1::VenueFills { fills, next })
                }
                other => panic!("reconciliation asks no {other:?}"),
            };
            async move { v1::GuardAnswer { answer: Some(answer) } }.boxed()
        };
        bus.answer(context, Ask::Guard, handler).await.expect("answers");
        Self { views, fills, halts, rounds }
    }

    /// Waits until a round that began after this was asked for is over.
    async fn next_rounds(&mut self) {
        while self.rounds.try_recv().is_ok() {}
        for _ in 0..3 {
            tokio::time::timeout(PATIENCE, self.rounds.recv()).await.expect("a round in time").expect("rounds");
        }
    }

    async fn halt(&mut self) -> (String, v1::HaltRequest) {
        tokio::time::timeout(PATIENCE, self.halts.recv()).await.expect("a halt in time").expect("a halt")
    }
}

/// A ledger that compares five times a second, a guard, and the alerts.
async fn started(rig: &Rig) -> (Lifecycle, Guard, Follower) {
    let lifecycle = Lifecycle::new(10);
    let context = lifecycle.context("ledger", Spans::default());
    let bus = Bus::connect(rig.nats_url(), "ledger").await.expect("a connection");
    let guard = Guard::standing_in(&rig.bus, &context).await;
    let alerts = rig.bus.follow(&context, Stream::Alerts, "", StartAt::Beginning).await.expect("alerts");
    let config = Config { reconcile_every_ms: 200, ..rig.config() };
    tragen_ledger::run(context, bus, config).await.expect("a ledger");
    rig.repeat_until_funded("alice", 100_000_000).await;
    rig.repeat_until_funded("bob", 100_000_000).await;
    (lifecycle, guard, alerts)
}

async fn alert(alerts: &mut Follower) -> v1::Alert {
    let message = tokio::time::timeout(PATIENCE, alerts.next()).await.expect("an alert in time").expect("an alert");
    v1::Alert::decode(message.payload).expect("an alert")
}

async fn ended(lifecycle: Lifecycle) {
    lifecycle.stop_token().cancel();
    lifecycle.run().await.expect("a clean end");
}

async fn trade(rig: &mut Rig, account: &str, name: &str) {
    let fills = vec![fill(&format!("{account}-{name}"), 500_000, 1_000_000, 5)];
    rig.report(vec![report(account, name, Side::Buy, TradeStatus::Filled, fills)]).await;
    rig.told(&[id(account, name)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_books_raise_no_alert() {
    for kind in BOTH {
        let mut rig = Rig::new(kind).await;
        let (lifecycle, mut guard, mut alerts) = started(&rig).await;
        for round in 0..4 {
            for account in ["alice", "bob"] {
                trade(&mut rig, account, &format!("r{round}")).await;
            }
            let own = rig.account("alice").await;
            let view = v1::AccountView {
                account_id: "alice".to_owned(),
                currency: "USD".to_owned(),
                cash_micros: own.cash_micros,
                version: own.version,
                held_micros: 5,
            };
            // Bob's is behind.
            let behind = v1::AccountView { account_id: "bob".to_owned(), cash_micros: 1, version: 1, ..view.clone() };
            *guard.views.lock().expect("no panic") = vec![view, behind];
            guard.next_rounds().await;
        }
        let booked = v1::Fill { execution_id: "alice-r0".to_owned(), executed_at_micros: 1, ..v1::Fill::default() };
        let young = v1::Fill { execution_id: "x".to_owned(), executed_at_micros: now_micros(), ..v1::Fill::default() };
        let fills = [booked, young].map(|fill| v1::VenueFill { fill: Some(fill), order_id: String::new() });
        *guard.fills.lock().expect("no panic") = fills.into();
        guard.next_rounds().await;
        assert!(alerts.try_next().is_none(), "{kind:?}");
        assert!(guard.halts.try_recv().is_err(), "{kind:?}");
        ended(lifecycle).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tampered_wallet_calls_a_person_and_halts_its_account() {
    for kind in BOTH {
        let rig = Rig::new(kind).await;
        let (lifecycle, mut guard, mut alerts) = started(&rig).await;
        guard.next_rounds().await;
        // Nothing is ever posted to it again: it is found in its turn.
        rig.sql("UPDATE wallet SET cash = cash + 1 WHERE account_id = 'bob'").await;
        let raised = alert(&mut alerts).await;
        assert_eq!((raised.code.as_str(), raised.subject.as_str()), ("LEDGER_BALANCE_MISMATCH", "bob"));
        assert_eq!((raised.severity(), raised.service.as_str()), (v1::AlertSeverity::Critical, "ledger"));
        assert!(raised.message.contains("wallet/bob/USD is 100.000001"), "{}", raised.message);
        let (principal, halt) = guard.halt().await;
        assert_eq!(principal, "ledger-reconciliation");
        let scope = halt.scope.expect("a scope");
        assert_eq!((scope.kind(), scope.id.as_str()), (v1::ScopeKind::Account, "bob"));
        assert_eq!(halt.reason, raised.message);
        guard.next_rounds().await;
        assert!(alerts.try_next().is_none() && guard.halts.try_recv().is_err(), "{kind:?}: it is told once");
        ended(lifecycle).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_or_a_history_that_changes_by_itself_is_found() {
    for kind in BOTH {
        let mut rig = Rig::new(kind).await;
        let (lifecycle, mut guard, mut alerts) = started(&rig).await;
        trade(&mut rig, "alice", "first").await;
        guard.next_rounds().await;
        rig.sql("UPDATE position SET quantity = quantity + 1").await;
        let raised = alert(&mut alerts).await;
        assert_eq!((raised.code.as_str(), raised.subject.as_str()), ("LEDGER_BALANCE_MISMATCH", "alice"));
        assert_eq!(guard.halt().await.1.scope.map(|scope| scope.id), Some("alice".to_owned()));
        rig.sql("UPDATE position SET quantity = quantity - 1").await;

        super::unlock(&crate::ledger::accounting::Tables::of(&rig)).await;
        guard.next_rounds().await;
        rig.sql("UPDATE batch SET hash = previous_hash WHERE sequence = (SELECT MAX(sequence) FROM batch)").await;
        trade(&mut rig, "bob", "second").await;
        let raised = alert(&mut alerts).await;
        assert_eq!((raised.code.as_str(), raised.subject.as_str()), ("LEDGER_BALANCE_MISMATCH", "shard 0"));
        let scope = guard.halt().await.1.scope.expect("a scope");
        assert_eq!(scope.kind(), v1::ScopeKind::Global);
        ended(lifecycle).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_guard_or_the_venue_says_otherwise_is_found() {
    for kind in BOTH {
        let mut rig = Rig::new(kind).await;
        let (lifecycle, mut guard, mut alerts) = started(&rig).await;
        trade(&mut rig, "alice", "first").await;
        let own = rig.account("alice").await;
        let view = v1::AccountView {
            account_id: "alice".to_owned(),
            currency: "USD".to_owned(),
            cash_micros: own.cash_micros + 1,
            version: own.version,
            held_micros: 0,
        };
        *guard.views.lock().expect("no panic") = vec![view];
        let raised = alert(&mut alerts).await;
        assert_eq!((raised.code.as_str(), raised.subject.as_str()), ("LEDGER_BALANCE_MISMATCH", "alice"));
        assert_eq!(guard.halt().await.1.scope.map(|scope| scope.id), Some("alice".to_owned()));
        guard.views.lock().expect("no panic").clear();

        let fill = v1::Fill { execution_id: "lost".to_owned(), executed_at_micros: 1, ..v1::Fill::default() };
        let lost = v1::VenueFill { fill: Some(fill), order_id: format!("{}-o", id("alice", "first")) };
        guard.fills.lock().expect("no panic").push(lost);
        let raised = alert(&mut alerts).await;
        assert_eq!((raised.code.as_str(), raised.subject.as_str()), ("LEDGER_MISMATCH", "alice"));
        assert!(raised.message.contains("lost"), "{}", raised.message);
        ended(lifecycle).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_does_not_answer_is_no_disagreement_but_hears_of_it_later() {
    let rig = Rig::new(BOTH[0]).await;
    let lifecycle = Lifecycle::new(10);
    let context = lifecycle.context("ledger", Spans::default());
    let bus = Bus::connect(rig.nats_url(), "ledger").await.expect("a connection");
    let mut alerts = rig.bus.follow(&context, Stream::Alerts, "", StartAt::Beginning).await.expect("alerts");
    let config = Config { reconcile_every_ms: 200, ..rig.config() };
    tragen_ledger::run(context.clone(), bus, config).await.expect("a ledger");
    rig.repeat_until_funded("alice", 100_000_000).await;
    rig.sql("UPDATE wallet SET cash = cash + 1").await;
    assert_eq!(alert(&mut alerts).await.subject, "alice");
    // Several rounds later somebody leads again.
    tokio::time::timeout(Duration::from_secs(1), alerts.next()).await.expect_err("no more alerts");
    let mut guard = Guard::standing_in(&rig.bus, &context).await;
    assert_eq!(guard.halt().await.1.scope.map(|scope| scope.id), Some("alice".to_owned()));
    ended(lifecycle).await;
}
