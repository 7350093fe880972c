//! Cash outside of trading: in, out, to another account, put right by hand. Every
//! movement is booked once, or denied and told so for ever.

use super::{
    accounting::{
        Market, Tables, adjustment, amounts, balanced, but, correction, denial, heard_cash, sending, settlement,
        taken_out, traded, unfreezing,
    },
    rig::{BOTH, Rig, cash_of, fill, id, report, withdrawal},
};
use std::collections::BTreeMap;
use tragen_bus::{PublishOptions, Subject};
use tragen_contracts::v1::{self, CashKind, DenialCode, Side, TradeStatus, booking};
use uuid::Uuid;

const USD: i64 = 1_000_000;

fn halted() -> v1::Denial {
    v1::Denial { code: DenialCode::TradingHalted.into(), message: "halted".to_owned(), ..v1::Denial::default() }
}

/// The id of the receiver's side of what was sent as `request_id`.
fn arrival(account: &str, request_id: &str) -> String {
    let sent = Uuid::parse_str(&id(account, request_id)).expect("an id");
    Uuid::new_v5(&sent, b"received").to_string()
}

/// Freezes `account`, which has `cash`, with a purchase that costs 1 more.
async fn frozen(rig: &mut Rig, account: &str, cash: i64) {
    rig.funded(account, cash).await;
    let fills = vec![fill(&format!("freeze-{account}"), USD, cash + USD, 0)];
    rig.report(vec![report(account, "freeze", Side::Buy, TradeStatus::Filled, fills)]).await;
    rig.told(&[id(account, "freeze")]).await;
    let own = rig.account(account).await;
    assert_eq!((own.cash_micros, own.is_frozen), (0, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_leaves_or_stays_and_a_repeat_hears_the_same() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        rig.funded("alice", 5 * USD).await;
        let reports = vec![
            withdrawal("alice", "out", 3 * USD, None),
            withdrawal("alice", "halted", USD, Some(halted())),
            withdrawal("alice", "much", 2 * USD + 1, None),
            taken_out("alice", "euro", 1, "EUR"),
            withdrawal("alice", "more", USD, None),
        ];
        let ids = ["out", "halted", "much", "euro", "more"].map(|name| id("alice", name));
        rig.report(reports.clone()).await;
        let first = rig.told(&ids).await;
        let [out, halted, much, euro, more] = ids.each_ref().map(|id| cash_of(&first[id]));
        assert_eq!((out.amount_micros, denial(&out)), (-3 * USD, None));
        assert_eq!((halted.amount_micros, denial(&halted)), (0, Some((DenialCode::TradingHalted, "halted"))));
        for (denied, limit, observed) in [(much, 2 * USD, 2 * USD + 1), (euro, 0, 1)] {
            let refusal = denied.denial.clone().expect("denied");
            assert_eq!(refusal.code(), DenialCode::InsufficientFunds);
            assert_eq!((refusal.limit, refusal.observed, denied.amount_micros), (limit, observed, 0));
        }
        assert_eq!((more.amount_micros, more.kind()), (-USD, CashKind::Withdrawal));
        let before = tables.numbers().await;
        for _ in 0..5 {
            rig.report(reports.clone()).await;
        }
        rig.all_acked().await;
        assert_eq!(tables.numbers().await, before, "{kind:?}");
        let again = rig.told(&ids).await;
        for id in &ids {
            assert_eq!((first[id].sequence, &first[id].kind), (again[id].sequence, &again[id].kind));
        }
        let expected = amounts(&[("wallet/alice/USD", USD), ("external/deposits/USD", -USD)]);
        assert_eq!(tables.balances().await, expected);
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn money_sent_within_a_shard_leaves_and_arrives_in_one_transaction() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        rig.funded("alice", 100 * USD).await;
        let send = sending("alice", "s", ("bob", 30 * USD), None);
        rig.report(vec![send.clone()]).await;
        let both = [id("alice", "s"), arrival("alice", "s")];
        let facts = rig.told(&both).await;
        let [sent, received] = both.each_ref().map(|id| cash_of(&facts[id]));
        assert_eq!((sent.kind(), sent.amount_micros), (CashKind::Sent, -30 * USD));
        assert_eq!((received.kind(), received.amount_micros), (CashKind::Received, 30 * USD));
        assert_eq!(
            (sent.counterparty_account_id.as_str(), received.counterparty_account_id.as_str()),
            ("bob", "alice")
        );
        assert_eq!(sent.account.map(|own| (own.account_id, own.cash_micros)), Some(("alice".into(), 70 * USD)));
        assert_eq!(received.account.map(|own| (own.account_id, own.cash_micros)), Some(("bob".into(), 30 * USD)));
        let together =
            "SELECT COUNT(*) FROM batch WHERE first_transfer <= (SELECT MIN(sequence) FROM transfer WHERE kind = 12)
            AND last_transfer >= (SELECT MAX(sequence) FROM transfer WHERE kind = 12)";
        assert_eq!(tables.number(together).await, 1);

        let before = tables.numbers().await;
        for _ in 0..5 {
            rig.report(vec![send.clone(), send.clone()]).await;
        }
        rig.all_acked().await;
        assert_eq!(tables.numbers().await, before, "{kind:?}");

        frozen(&mut rig, "erin", USD).await;
        let denied = [
            sending("alice", "much", ("carol", 70 * USD + 1), None),
            sending("alice", "halted", ("carol", USD), Some(halted())),
            sending("erin", "frozen", ("carol", USD), None),
        ];
        // All that is left, to herself and back, to a frozen account, and to somebody who was never seen.
        let sent = [
            sending("alice", "own", ("alice", 70 * USD), None),
            sending("alice", "thaw", ("erin", 20 * USD), None),
            sending("alice", "all", ("dora", 50 * USD), None),
        ];
        rig.report([&denied[..], &sent[..]].concat()).await;
        let ids = [id("alice", "much"), id("alice", "halted"), id("erin", "frozen"), arrival("alice", "all")];
        let facts = rig.told(&ids).await;
        let codes = [DenialCode::InsufficientFunds, DenialCode::TradingHalted, DenialCode::AccountFrozen];
        for (id, code) in ids.iter().zip(codes) {
            let denied = cash_of(&facts[id]);
            assert_eq!((denied.amount_micros, denied.kind()), (0, CashKind::Sent));
            assert_eq!(denial(&denied).map(|(code, _)| code), Some(code));
        }
        assert_eq!(tables.number("SELECT COUNT(*) FROM wallet WHERE account_id = 'carol'").await, 0);
        let wallets = tables.wallets().await;
        let expected = [("bob", 30), ("dora", 50), ("erin", 20)];
        let expected = expected.map(|(account, amount)| (format!("wallet/{account}/USD"), amount * USD));
        assert_eq!(wallets, BTreeMap::from(expected));
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_cannot_be_taken_in_is_not_taken_away() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 100 * USD).await;
        rig.report(vec![adjustment("rich", "a", i64::MAX - USD)]).await;
        rig.told(&[id("rich", "a")]).await;
        rig.report(vec![sending("alice", "s", ("rich", 2 * USD), None)]).await;
        let sent = cash_of(&rig.told(&[id("alice", "s")]).await[&id("alice", "s")]);
        assert_eq!(denial(&sent).map(|(code, _)| code), Some(DenialCode::NotBookable), "{sent:?}");
        assert_eq!(rig.account("alice").await.cash_micros, 100 * USD);
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adjustment_never_takes_more_than_there_is() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        let mut reports = vec![
            adjustment("alice", "plus", 4 * USD),
            adjustment("alice", "minus", -3 * USD),
            adjustment("alice", "much", -USD - 1),
            adjustment("alice", "most", i64::MAX),
            adjustment("alice", "least", i64::MIN),
            adjustment("alice", "all", -USD),
            adjustment("alice", "none", -1),
        ];
        reports.extend([
            adjustment("alice", "zero", 0),
            but(adjustment("alice", "foreign", 1), |booking| {
                if let Some(booking::Kind::Adjustment(adjustment)) = &mut booking.kind {
                    adjustment.account_id = "bob".to_owned();
                }
            }),
        ]);
        rig.report(reports.clone()).await;
        let ids = ["plus", "minus", "much", "most", "least", "all", "none"].map(|name| id("alice", name));
        let facts = rig.told(&ids).await;
        let told = ids.map(|id| cash_of(&facts[&id]));
        assert_eq!(told.each_ref().map(|cash| cash.amount_micros), [4 * USD, -3 * USD, 0, 0, 0, -USD, 0]);
        assert!(told.iter().all(|cash| cash.kind() == CashKind::Adjustment));
        let [short, none] = [(DenialCode::InsufficientFunds, USD, USD + 1), (DenialCode::InsufficientFunds, 0, 1)];
        for (cash, expected) in [(&told[2], short), (&told[6], none)] {
            let refusal = cash.denial.clone().expect("denied");
            assert_eq!((refusal.code(), refusal.limit, refusal.observed), expected);
        }
        for cash in [&told[3], &told[4]] {
            assert_eq!(denial(cash), Some((DenialCode::NotBookable, "OUT_OF_RANGE")));
        }
        assert_eq!(tables.number("SELECT COUNT(*) FROM rejected_report").await, 2);
        assert_eq!(tables.balances().await, BTreeMap::new());
        let before = tables.numbers().await;
        rig.report(reports).await;
        rig.all_acked().await;
        assert_eq!(tables.numbers().await, before);

        // This is how a frozen account is put right.
        frozen(&mut rig, "erin", USD).await;
        rig.report(vec![adjustment("erin", "plus", 2 * USD), adjustment("erin", "back", -USD)]).await;
        rig.told(&[id("erin", "back")]).await;
        let erin = rig.account("erin").await;
        assert_eq!((erin.cash_micros, erin.is_frozen), (USD, true));
        assert_eq!(tables.balances().await.get("house/USD"), Some(&-USD));
        balanced(&rig).await;
        rig.stop().await;
    }
}

/// Everything that can be corrected has happened to `account`.
struct Eventful {
    reports: Vec<v1::ExecutionReport>,
    references: [String; 5],
    cash: i64,
}

async fn eventful(rig: &mut Rig, account: &str) -> Eventful {
    rig.funded(account, 60 * USD).await;
    let execution = format!("{account}-e1");
    let fills = vec![fill(&execution, USD / 2, 10 * USD, USD / 10)];
    let reports = vec![
        withdrawal(account, "w", 10 * USD, None),
        adjustment(account, "a", 5 * USD),
        adjustment(account, "b", -3 * USD),
        report(account, "r", Side::Buy, TradeStatus::Filled, fills),
    ];
    rig.report(reports.clone()).await;
    rig.told(&[id(account, "r")]).await;
    let deposit = id(account, &format!("deposit/fund-{account}"));
    let references = [id(account, "w"), id(account, "a"), id(account, "b"), execution, deposit];
    Eventful { reports, references, cash: 46_900_000 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_is_booked_once_under_whatever_name_it_is_asked_for() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        let Eventful { reports, references, mut cash } = eventful(&mut rig, "alice").await;
        assert_eq!(rig.account("alice").await.cash_micros, cash);
        for (reference, change) in references.iter().zip([10 * USD, -5 * USD, 3 * USD, 5_100_000, -60 * USD]) {
            let correct = |name: &str| correction("alice", &format!("{name}-{reference}"), reference);
            rig.report(vec![correct("c1"), correct("c1"), correct("c2")]).await;
            let told = heard_cash(&mut rig, "alice", &format!("c1-{reference}")).await;
            assert_eq!((told.amount_micros, told.kind()), (change, CashKind::Correction), "{told:?}");
            rig.report(vec![correct("c3"), correct("c1")]).await;
            rig.all_acked().await;
            cash += change;
            assert_eq!(rig.account("alice").await.cash_micros, cash, "{kind:?} {reference}");
        }
        // What was corrected comes once more, and is not booked again.
        let before = tables.numbers().await;
        rig.report(reports).await;
        rig.all_acked().await;
        assert_eq!(tables.numbers().await, before, "{kind:?}");
        // Everything is taken back, so nobody holds anything any more.
        assert_eq!(tables.balances().await, BTreeMap::new());
        let open = "SELECT COUNT(*) FROM position WHERE quantity <> 0 OR entry_notional <> 0 OR realized_pnl <> 0 OR fees <> 0";
        assert_eq!(tables.number(open).await, 0);
        assert_eq!(tables.number("SELECT COUNT(*) FROM cash_movement WHERE kind = 6").await, 5);
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reversed_is_denied() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        let Eventful { references, cash, .. } = eventful(&mut rig, "alice").await;
        rig.funded("bob", USD).await;
        rig.report(vec![
            sending("alice", "s", ("bob", USD), None),
            withdrawal("alice", "no", USD, Some(halted())),
            correction("alice", "c", &references[1]),
        ])
        .await;
        let corrected = heard_cash(&mut rig, "alice", "c").await.trade_id;
        rig.all_acked().await;
        let before = tables.balances().await;
        let nothing = "NOT_FOUND";
        for (account, reference, code) in [
            ("alice", Uuid::now_v7().to_string(), nothing),
            ("alice", "no-such-execution".to_owned(), nothing),
            ("alice", id("alice", "no"), nothing),
            ("alice", id("alice", "s"), "NOT_REVERSIBLE"),
            ("bob", arrival("alice", "s"), "NOT_REVERSIBLE"),
            ("alice", corrected, "NOT_REVERSIBLE"),
            ("bob", references[0].clone(), nothing),
            ("bob", references[3].clone(), nothing),
        ] {
            let name = format!("x-{reference}");
            rig.report(vec![correction(account, &name, &reference)]).await;
            let told = heard_cash(&mut rig, account, &name).await;
            assert_eq!(told.amount_micros, 0);
            assert_eq!(denial(&told), Some((DenialCode::NotBookable, code)), "{account} {reference}");
        }
        assert_eq!(tables.balances().await, before, "{kind:?}");
        assert_eq!(rig.account("alice").await.cash_micros, cash - USD - 5 * USD);
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_correction_does_not_stand_in_the_way_of_the_right_one() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let Eventful { references, cash, .. } = eventful(&mut rig, "alice").await;
        // Somebody mistyped the account.
        for (number, reference) in [&references[0], &references[3]].into_iter().enumerate() {
            rig.report(vec![correction("mallory", &format!("wrong-{number}"), reference)]).await;
            let wrong = heard_cash(&mut rig, "mallory", &format!("wrong-{number}")).await;
            assert_eq!(denial(&wrong), Some((DenialCode::NotBookable, "NOT_FOUND")));
            rig.report(vec![correction("alice", &format!("right-{number}"), reference)]).await;
        }
        rig.all_acked().await;
        assert_eq!(rig.account("alice").await.cash_micros, cash + 10 * USD + 5_100_000, "{kind:?}");
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_that_lacked_funds_is_possible_once_there_are_some() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 10 * USD).await;
        let deposit = id("alice", "deposit/fund-alice");
        rig.report(vec![withdrawal("alice", "w", USD, None), correction("alice", "early", &deposit)]).await;
        let early = heard_cash(&mut rig, "alice", "early").await;
        assert_eq!(denial(&early).map(|(code, _)| code), Some(DenialCode::InsufficientFunds));
        rig.report(vec![adjustment("alice", "a", 5 * USD), correction("alice", "late", &deposit)]).await;
        rig.all_acked().await;
        assert_eq!(rig.account("alice").await.cash_micros, 4 * USD, "{kind:?}");
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_is_corrected_whatever_its_venue_calls_it() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 100 * USD).await;
        let names = [Uuid::now_v7().to_string(), Uuid::now_v7().simple().to_string(), "1".to_owned()];
        for (number, name) in names.iter().enumerate() {
            let fills = vec![fill(name, USD / 2, 10 * USD, 0)];
            rig.report(vec![report("alice", &format!("r{number}"), Side::Buy, TradeStatus::Filled, fills)]).await;
            rig.report(vec![correction("alice", &format!("c{number}"), name)]).await;
            let told = heard_cash(&mut rig, "alice", &format!("c{number}")).await;
            assert_eq!((told.amount_micros, denial(&told)), (5 * USD, None), "{kind:?} {name}");
        }
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_long_after_the_fill_finds_its_position() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 100 * USD).await;
        let filled = |name: &str, fee| {
            let fills = vec![fill(name, USD / 2, 10 * USD, fee)];
            report("alice", name, Side::Buy, TradeStatus::Filled, fills)
        };
        rig.report(vec![filled("free", 0)]).await;
        rig.report(vec![filled("paid", USD / 10)]).await;
        rig.told(&[id("alice", "free"), id("alice", "paid")]).await;
        for number in 0..5 {
            rig.funded(&format!("other-{number}"), USD).await;
        }
        for (name, change) in [("free", 5 * USD), ("paid", 5_100_000)] {
            rig.report(vec![correction("alice", &format!("c-{name}"), name)]).await;
            let told = heard_cash(&mut rig, "alice", &format!("c-{name}")).await;
            assert_eq!((told.amount_micros, denial(&told)), (change, None), "{kind:?} {name}");
        }
        let tables = Tables::of(&rig);
        assert_eq!(tables.number("SELECT COUNT(*) FROM position WHERE quantity <> 0 OR fees <> 0").await, 0);
        assert_eq!(rig.account("alice").await.cash_micros, 100 * USD);
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_account_is_unfrozen_once() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        frozen(&mut rig, "erin", USD).await;
        rig.funded("alice", USD).await;
        rig.report(vec![
            adjustment("erin", "a", 3 * USD),
            unfreezing("erin", "u"),
            unfreezing("erin", "u"),
            unfreezing("erin", "v"),
            unfreezing("alice", "x"),
            withdrawal("erin", "w", USD, None),
        ])
        .await;
        let ids = [id("erin", "u"), id("erin", "v"), id("alice", "x"), id("erin", "w")];
        let facts = rig.told(&ids).await;
        let [thawed, again, never, out] = ids.map(|id| cash_of(&facts[&id]));
        assert_eq!((thawed.kind(), thawed.amount_micros, denial(&thawed)), (CashKind::Unfreezing, 0, None));
        assert_eq!(thawed.account.map(|own| (own.is_frozen, own.version, own.cash_micros)), Some((false, 4, 3 * USD)));
        for refused in [again, never] {
            assert_eq!(denial(&refused), Some((DenialCode::NotBookable, "ACCOUNT_NOT_FROZEN")));
        }
        assert_eq!((out.amount_micros, denial(&out)), (-USD, None));
        balanced(&rig).await;
        rig.stop().await;
    }
}

/// Reports a booking of every kind, each changed the same way; returns how many were set aside.
async fn set_aside(rig: &mut Rig, change: impl Fn(&mut v1::Booking)) -> i64 {
    frozen(rig, "erin", USD).await;
    rig.funded("alice", 10 * USD).await;
    let before = Tables::of(rig).balances().await;
    let bookings = [
        adjustment("alice", "a", USD),
        correction("alice", "c", &id("alice", "deposit/fund-alice")),
        settlement("s", "EPL-2026-ARS-MCI-HOME", Some(USD)),
        unfreezing("erin", "u"),
    ];
    rig.report(bookings.map(|booking| but(booking, &change)).to_vec()).await;
    rig.all_acked().await;
    let tables = Tables::of(rig);
    assert_eq!(tables.balances().await, before);
    assert_eq!(tables.number("SELECT COUNT(*) FROM settlement").await, 0);
    assert!(rig.account("erin").await.is_frozen);
    tables.number("SELECT COUNT(*) FROM rejected_report").await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_alone_books_nothing() {
    for kind in BOTH {
        for (first, second) in [("ann", "ann"), ("ann", ""), ("", "ben"), ("", "")] {
            let mut rig = Rig::started(kind).await;
            let set_aside = set_aside(&mut rig, |booking| {
                booking.proposed_by = first.to_owned();
                booking.confirmed_by = second.to_owned();
            });
            assert_eq!(set_aside.await, 4, "{kind:?} {first:?} and {second:?}");
            rig.verified().await;
            rig.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_without_a_reason_is_set_aside() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        assert_eq!(set_aside(&mut rig, |booking| booking.reason.clear()).await, 4, "{kind:?}");
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_that_has_the_name_of_a_trade_is_told_or_set_aside() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 10 * USD).await;
        let fills = vec![fill("e1", USD / 2, 10 * USD, 0)];
        rig.report(vec![report("alice", "same", Side::Buy, TradeStatus::Filled, fills)]).await;
        rig.told(&[id("alice", "same")]).await;
        rig.report(vec![withdrawal("alice", "same", USD, None)]).await;
        rig.all_acked().await;
        if Tables::of(&rig).number("SELECT COUNT(*) FROM rejected_report").await == 0 {
            assert_eq!(heard_cash(&mut rig, "alice", "same").await.amount_micros, -USD);
        }
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_used_for_something_else_is_not_passed_over_in_silence() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        rig.funded("alice", 10 * USD).await;
        rig.report(vec![withdrawal("alice", "w", USD, None)]).await;
        rig.told(&[id("alice", "w")]).await;
        let of_bob = v1::TradeKey { account_id: "bob".to_owned(), ..super::rig::key("alice", "w") };
        let for_bob = v1::ExecutionReport { key: Some(of_bob), ..withdrawal("bob", "w", USD, None) };
        rig.report(vec![
            withdrawal("alice", "w", 2 * USD, None),
            taken_out("alice", "w", USD, "EUR"),
            sending("alice", "w", ("bob", USD), None),
            adjustment("alice", "w", USD),
            for_bob,
        ])
        .await;
        rig.all_acked().await;
        // The same again is no difference.
        rig.report(vec![withdrawal("alice", "w", USD, None)]).await;
        rig.all_acked().await;
        assert_eq!(rig.account("alice").await.cash_micros, 9 * USD);
        assert_eq!(tables.number("SELECT COUNT(*) FROM rejected_report").await, 5, "{kind:?}");
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_is_told_otherwise_is_not_passed_over_in_silence() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 100 * USD).await;
        let told = |price, quantity, fee| {
            let fills = vec![fill("e1", price, quantity, fee)];
            report("alice", "r", Side::Buy, TradeStatus::Filled, fills)
        };
        rig.report(vec![told(USD / 2, 10 * USD, 0)]).await;
        rig.report(vec![told(USD / 4, 10 * USD, 0), told(USD / 2, 9 * USD, 0), told(USD / 2, 10 * USD, 1)]).await;
        rig.all_acked().await;
        assert_eq!(rig.account("alice").await.cash_micros, 95 * USD);
        assert_eq!(Tables::of(&rig).number("SELECT COUNT(*) FROM rejected_report").await, 3, "{kind:?}");
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_another_venue_has_named_is_kept_for_a_person() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 100 * USD).await;
        let filled = |name: &str| {
            traded(Market::prediction("M"), ("alice", name), Side::Buy, vec![fill("1001", USD / 2, 10 * USD, 0)])
        };
        rig.report(vec![filled("here")]).await;
        rig.told(&[id("alice", "here")]).await;
        let (elsewhere, batch) = (Subject::Executions("other"), v1::ExecutionBatch { reports: vec![filled("there")] });
        rig.bus.publish(&elsewhere, &batch, &PublishOptions::default(), super::rig::PATIENCE).await.expect("published");
        rig.all_acked().await;
        assert_eq!(rig.account("alice").await.cash_micros, 95 * USD, "{kind:?}");
        let tables = Tables::of(&rig);
        assert_eq!(tables.number("SELECT COUNT(*) FROM rejected_report WHERE venue = 'other'").await, 1);
        balanced(&rig).await;
        rig.stop().await;
    }
}
