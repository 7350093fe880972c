//! A slot that goes to another shard while ledgers run: nothing is lost, nothing
//! is booked twice, and a move that is cut short anywhere is finished by the same
//! command.

use super::{
    accounting::{sending, settlement},
    pair::{PAIRS, Pair, USD, account_in, bought},
    rig::{Kind, id},
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tragen_contracts::v1::ledger_answer::Answer;
use tragen_ledger::MoveProgress;

/// The slot that moves; it begins in shard 0. Slots 100 and 200 stay, in shards 0 and 1.
const SLOT: u16 = 17;
const POSTED: &str = "SELECT COUNT(*) FROM execution WHERE posting_sequence IS NOT NULL";
const ARRIVED: &str = "SELECT COUNT(*) FROM cash_movement WHERE kind = 4 AND posting_sequence IS NOT NULL";
const CASH: &str = "SELECT COALESCE(SUM(cash), 0) FROM wallet";

fn accounts(count: usize) -> Vec<String> {
    [SLOT, 100, 200].into_iter().flat_map(|slot| (0..count).map(move |number| account_in(slot, number))).collect()
}

/// What a load has asked for.
#[derive(Debug, Default)]
struct Asked {
    fills: AtomicUsize,
    sent: AtomicUsize,
    deposits: AtomicUsize,
}

/// Fills, sendings and deposits for `accounts`, some of them twice, until it is told to stop.
async fn load(pair: &Pair, accounts: &[String], asked: &Asked, is_over: &AtomicBool) {
    let reports = async {
        // Faster than that, the load only piles up in front of the ledger.
        let mut beat = tokio::time::interval(Duration::from_millis(10));
        for round in (0..).take_while(|_| !is_over.load(Ordering::SeqCst)) {
            beat.tick().await;
            let fills = accounts.iter().map(|account| bought(account, &format!("r{round}")));
            let sends = accounts.iter().enumerate().skip(round % 3).step_by(3).map(|(number, from)| {
                let to = &accounts[(number * 5 + round + 1) % accounts.len()];
                sending(from, &format!("s{round}"), (to, USD / 100), None)
            });
            let reports: Vec<_> = fills.chain(sends).collect();
            asked.fills.fetch_add(accounts.len(), Ordering::SeqCst);
            asked.sent.fetch_add(reports.len() - accounts.len(), Ordering::SeqCst);
            pair.rig.report(reports.clone()).await;
            if round % 3 == 0 {
                pair.rig.report(reports).await;
            }
        }
    };
    let deposits = async {
        for round in (0..).take_while(|_| !is_over.load(Ordering::SeqCst)) {
            pair.deposited(&accounts[round % accounts.len()], &format!("d{round}"), USD).await;
            asked.deposits.fetch_add(1, Ordering::SeqCst);
        }
    };
    tokio::join!(reports, deposits);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_moves_to_and_fro_under_load_and_nothing_is_lost() {
    for kinds in PAIRS {
        let mut pair = Pair::started(kinds).await;
        let accounts = accounts(4);
        pair.funded(&accounts, "fund", 10_000 * USD).await;
        let (asked, is_over) = (Asked::default(), AtomicBool::new(false));
        let moves = async {
            for to in [1, 0, 1] {
                let moved = pair.moved(SLOT, to).await.expect("it was elsewhere");
                assert_eq!((moved.to, moved.accounts, moved.wallets), (to, 4, 4));
                let before = asked.fills.load(Ordering::SeqCst);
                println!("{kinds:?}: {moved:?} under {before} fills");
                // The load goes on wherever the slot is.
                pair.deposited(&accounts[0], &format!("after-{before}"), USD).await;
                asked.deposits.fetch_add(1, Ordering::SeqCst);
            }
            assert_eq!(pair.moved(SLOT, 1).await, None, "it is there");
            is_over.store(true, Ordering::SeqCst);
        };
        tokio::join!(moves, load(&pair, &accounts, &asked, &is_over));
        pair.all_acked().await;
        let count = |counter: &AtomicUsize| i64::try_from(counter.load(Ordering::SeqCst)).expect("small");
        let (fills, sent, deposits) = (count(&asked.fills), count(&asked.sent), count(&asked.deposits));
        assert!(fills > 100, "there was no load");
        pair.wait_for(ARRIVED, sent).await;
        assert_eq!(pair.number(POSTED).await, fills, "{kinds:?}: each execution once");
        let funded = i64::try_from(accounts.len()).expect("small") * 10_000 * USD;
        assert_eq!(pair.number(CASH).await, funded + deposits * USD - fills * USD, "{kinds:?}");
        assert_eq!(pair.number("SELECT COUNT(*) FROM rejected_report").await, 0);
        assert_eq!(pair.place(SLOT).await, [(1, None)]);
        // A repeat of everything changes nothing, also in the new shard.
        let before = pair.tables(1).numbers().await;
        pair.rig.report(accounts.iter().map(|account| bought(account, "r0")).collect()).await;
        pair.all_acked().await;
        assert_eq!(pair.tables(1).numbers().await, before);
        pair.balanced().await;
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_cut_short_anywhere_is_finished_by_the_same_command() {
    for kinds in [[Kind::Sqlite, Kind::Postgres], [Kind::Postgres, Kind::Postgres]] {
        let mut pair = Pair::started(kinds).await;
        let accounts = accounts(2);
        pair.funded(&accounts, "fund", 1_000 * USD).await;
        let (mut to, mut steps, mut fills) = (1, 0, 0);
        loop {
            pair.rig.report(accounts.iter().map(|account| bought(account, &format!("a{steps}"))).collect()).await;
            let (last, passed) = (steps, Arc::new(AtomicUsize::new(0)));
            let was_cut = pair.cut_short(SLOT, to, move |_| passed.fetch_add(1, Ordering::SeqCst) == last).await;
            pair.verified().await;
            // What happens before somebody repeats the command, with a ledger that was torn away meanwhile.
            if steps % 2 == 0 {
                pair.kill();
                pair.start().await;
            }
            pair.rig.report(accounts.iter().map(|account| bought(account, &format!("b{steps}"))).collect()).await;
            fills += 2 * accounts.len();
            if !was_cut {
                break;
            }
            pair.moved(SLOT, to).await;
            assert_eq!(pair.place(SLOT).await, [(to, None)], "{kinds:?} after step {steps}");
            pair.wait_for(POSTED, i64::try_from(fills).expect("small")).await;
            pair.all_acked().await;
            pair.balanced().await;
            (to, steps) = (1 - to, steps + 1);
        }
        assert!(steps >= 6, "only {steps} steps");
        pair.wait_for(POSTED, i64::try_from(fills).expect("small")).await;
        pair.all_acked().await;
        pair.balanced().await;
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_left_is_read_and_waits_and_can_be_taken_back() {
    for kinds in [[Kind::Sqlite, Kind::Postgres], [Kind::Postgres, Kind::Sqlite]] {
        let mut pair = Pair::started(kinds).await;
        let (own, other) = (account_in(SLOT, 0), account_in(100, 0));
        pair.funded(&[own.clone(), other.clone()], "fund", 100 * USD).await;
        assert!(pair.cut_short(SLOT, 1, |step| step == MoveProgress::Left).await);
        assert_eq!(pair.place(SLOT).await, [(0, Some(1))]);
        // The same message has somebody who does not move: he does not wait.
        pair.rig.report(vec![bought(&own, "a"), bought(&other, "a")]).await;
        pair.wait_for(POSTED, 1).await;
        assert_eq!(pair.rig.account(&own).await.cash_micros, 100 * USD);
        let Answer::Error(refused) = pair.deposit(&own, "late", USD).await else { panic!("it was taken") };
        assert_eq!(refused.code, 14, "{refused:?}");
        pair.verified().await;

        assert_eq!(pair.moved(SLOT, 0).await, None);
        assert_eq!(pair.place(SLOT).await, [(0, None)]);
        pair.funded(std::slice::from_ref(&own), "late", USD).await;
        pair.wait_for(POSTED, 2).await;
        assert_eq!(pair.rig.account(&own).await.cash_micros, 100 * USD);
        pair.all_acked().await;
        pair.balanced().await;
        // And it can leave again.
        assert!(pair.moved(SLOT, 1).await.is_some());
        assert_eq!(pair.rig.account(&own).await.cash_micros, 100 * USD);
        pair.balanced().await;
        pair.stop().await;
    }
}

/// More than the bus hands out unacked.
const WAITING: usize = 1_300;

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_leaves_for_long_keeps_nobody_else_waiting() {
    for kinds in [[Kind::Sqlite, Kind::Postgres], [Kind::Postgres, Kind::Sqlite]] {
        let mut pair = Pair::started(kinds).await;
        let (own, other) = (account_in(SLOT, 0), account_in(100, 0));
        pair.funded(&[own.clone(), other.clone()], "fund", 10_000 * USD).await;
        assert!(pair.cut_short(SLOT, 1, |step| step == MoveProgress::Left).await);
        let waiting = (0..WAITING).map(|number| bought(&own, &format!("w{number}")));
        pair.rig.hand_on(0, waiting.collect()).await;
        pair.rig.report(vec![bought(&other, "a")]).await;
        pair.wait_for(POSTED, 1).await;
        // Whoever has the shard next waits with as many, and books each of them once.
        pair.kill();
        pair.start().await;
        pair.rig.report(vec![bought(&other, "b")]).await;
        pair.wait_for(POSTED, 2).await;
        assert!(pair.moved(SLOT, 1).await.is_some());
        pair.wait_for(POSTED, i64::try_from(WAITING).expect("small") + 2).await;
        pair.all_acked().await;
        assert_eq!(pair.number("SELECT COUNT(*) FROM rejected_report").await, 0);
        let spent = i64::try_from(WAITING).expect("small") * USD;
        assert_eq!(pair.rig.account(&own).await.cash_micros, 10_000 * USD - spent, "{kinds:?}");
        pair.balanced().await;
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_new_shard_passed_over_is_handed_on_by_the_old_one() {
    for kinds in [[Kind::Sqlite, Kind::Postgres], [Kind::Postgres, Kind::Postgres]] {
        let mut pair = Pair::started(kinds).await;
        let accounts = accounts(2);
        pair.funded(&accounts, "fund", 100 * USD).await;
        // The old shard is behind: it sees nothing until the slot has long gone.
        pair.hold_back(0).await;
        pair.rig.report(accounts.iter().map(|account| bought(account, "a")).collect()).await;
        pair.rig.acked_by(1).await;
        pair.moved(SLOT, 1).await.expect("it was elsewhere");
        pair.stop().await;
        pair.start().await;
        pair.rig.report(accounts.iter().map(|account| bought(account, "b")).collect()).await;
        pair.rig.acked_by(1).await;
        // Only what was published after the slot arrived is booked to it so far.
        let of_slot = format!("{POSTED} AND account_id IN ('{}', '{}')", accounts[0], accounts[1]);
        pair.wait_for(&of_slot, 2).await;
        pair.let_go(0).await;
        pair.wait_for(POSTED, 12).await;
        pair.all_acked().await;
        assert_eq!(pair.number(POSTED).await, 12);
        for account in &accounts {
            assert_eq!(pair.rig.account(account).await.cash_micros, 98 * USD, "{account}");
        }
        pair.balanced().await;
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn money_on_its_way_finds_an_account_that_has_moved() {
    for kinds in PAIRS {
        let mut pair = Pair::started(kinds).await;
        let (own, near, far) = (account_in(SLOT, 0), account_in(100, 0), account_in(200, 0));
        pair.funded(&[own.clone(), near.clone(), far.clone()], "fund", 100 * USD).await;
        // From the other shard, and not seen before the slot has gone, for longer than clocks differ.
        pair.hold_back(0).await;
        pair.rig.report(vec![sending(&far, "s1", (&own, USD), None)]).await;
        pair.rig.acked_by(1).await;
        pair.moved(SLOT, 1).await.expect("it was elsewhere");
        pair.tables(0).change("UPDATE slot SET changed_at = changed_at - 600000000 WHERE state = 3").await;
        pair.stop().await;
        pair.start().await;
        pair.let_go(0).await;
        pair.wait_for(ARRIVED, 1).await;
        // From an account of the same shard, while it leaves: not booked to what stays behind.
        assert!(pair.cut_short(SLOT, 0, |step| step == MoveProgress::Left).await);
        pair.rig.report(vec![sending(&far, "s2", (&own, USD), None)]).await;
        pair.wait_for("SELECT COUNT(*) FROM cash_movement WHERE kind = 3", 2).await;
        assert_eq!(pair.number(ARRIVED).await, 1);
        pair.moved(SLOT, 0).await.expect("it was on its way");
        pair.wait_for(ARRIVED, 2).await;
        pair.rig.report(vec![sending(&near, "s3", (&own, USD), None)]).await;
        pair.wait_for(ARRIVED, 3).await;
        pair.all_acked().await;
        assert_eq!(pair.rig.account(&own).await.cash_micros, 103 * USD, "{kinds:?}");
        pair.balanced().await;
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_is_paid_once_whichever_shard_settles_first() {
    for kinds in [[Kind::Sqlite, Kind::Postgres], [Kind::Postgres, Kind::Postgres]] {
        for late in [0, 1] {
            let mut pair = Pair::started(kinds).await;
            let accounts = accounts(2);
            pair.funded(&accounts, "fund", 100 * USD).await;
            pair.rig.report(accounts.iter().map(|account| bought(account, "a")).collect()).await;
            pair.all_acked().await;
            pair.hold_back(late).await;
            pair.rig.report(vec![settlement("end", "M", Some(USD))]).await;
            pair.rig.acked_by(1 - late).await;
            pair.moved(SLOT, 1).await.expect("it was elsewhere");
            pair.let_go(late).await;
            pair.wait_for("SELECT COUNT(*) FROM payout", 6).await;
            pair.all_acked().await;
            for account in &accounts {
                assert_eq!(pair.rig.account(account).await.cash_micros, 101 * USD, "{account}, shard {late} late");
            }
            assert_eq!(pair.number("SELECT COUNT(*) FROM payout").await, 6);
            assert_eq!(pair.number("SELECT COUNT(*) FROM position WHERE quantity <> 0").await, 0);
            // A fill that comes after all is paid out where the account is now.
            pair.rig.report(vec![bought(&accounts[0], "z")]).await;
            pair.wait_for("SELECT COUNT(*) FROM payout", 7).await;
            pair.all_acked().await;
            pair.balanced().await;
            pair.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_settled_while_a_slot_left_is_paid_when_it_is_taken_back() {
    let mut pair = Pair::started([Kind::Postgres, Kind::Sqlite]).await;
    let accounts = accounts(2);
    pair.funded(&accounts, "fund", 100 * USD).await;
    pair.rig.report(accounts.iter().map(|account| bought(account, "a")).collect()).await;
    pair.all_acked().await;
    assert!(pair.cut_short(SLOT, 1, |step| step == MoveProgress::Left).await);
    pair.rig.report(vec![settlement("end", "M", Some(USD))]).await;
    pair.all_acked().await;
    assert_eq!(pair.number("SELECT COUNT(*) FROM payout").await, 4, "not to those who leave");
    assert_eq!(pair.moved(SLOT, 0).await, None);
    pair.wait_for("SELECT COUNT(*) FROM payout", 6).await;
    for account in &accounts {
        assert_eq!(pair.rig.account(account).await.cash_micros, 101 * USD, "{account}");
    }
    pair.balanced().await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_move_the_same_slot_one_does() {
    for kinds in [[Kind::Postgres, Kind::Postgres], [Kind::Sqlite, Kind::Sqlite]] {
        let mut pair = Pair::started(kinds).await;
        let accounts = accounts(3);
        pair.funded(&accounts, "fund", 100 * USD).await;
        pair.rig.report(accounts.iter().map(|account| bought(account, "a")).collect()).await;
        pair.all_acked().await;
        let one = tragen_ledger::move_slot(&pair.config, SLOT, 1, |_| {});
        let other = tragen_ledger::move_slot(&pair.config, SLOT, 1, |_| {});
        let (one, other) = tokio::join!(one, other);
        for refused in [&one, &other].into_iter().filter_map(|moved| moved.as_ref().err()) {
            println!("{kinds:?}: {refused:#}");
        }
        pair.moved(SLOT, 1).await;
        assert_eq!(pair.place(SLOT).await, [(1, None)]);
        assert_eq!(pair.number(CASH).await, i64::try_from(accounts.len()).expect("small") * 99 * USD);
        pair.balanced().await;
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trades_and_answers_go_along() {
    for kinds in PAIRS {
        let mut pair = Pair::started(kinds).await;
        let own = account_in(SLOT, 0);
        pair.funded(std::slice::from_ref(&own), "fund", 100 * USD).await;
        for number in 0..5 {
            pair.rig.report(vec![bought(&own, &format!("t{number}"))]).await;
            pair.wait_for(POSTED, number + 1).await;
        }
        // Nothing but a denial is known of this one.
        let poor = account_in(SLOT, 1);
        pair.rig.report(vec![sending(&poor, "none", (&own, USD), None)]).await;
        pair.all_acked().await;
        let moved = pair.moved(SLOT, 1).await.expect("it was elsewhere");
        assert_eq!((moved.accounts, moved.wallets, moved.positions, moved.rows), (2, 1, 1, 5 + 5 + 2));
        assert_eq!(pair.deposited(&own, "fund", 100 * USD).await.cash_micros, 100 * USD, "the first answer");
        pair.rig.report((0..5).map(|number| bought(&own, &format!("t{number}"))).collect()).await;
        pair.rig.report(vec![sending(&poor, "none", (&own, USD), None)]).await;
        pair.all_acked().await;
        assert_eq!(pair.number(POSTED).await, 5);
        assert_eq!(pair.rig.account(&own).await.cash_micros, 95 * USD);
        let order = "SELECT request_id, sequence FROM trade ORDER BY sequence";
        let order: Vec<_> = pair.tables(1).rows(order).await;
        assert_eq!(order, (0..5).map(|number| (format!("t{number}"), number + 1)).collect::<Vec<_>>());
        let ids: BTreeSet<_> = (0..5).map(|number| id(&own, &format!("t{number}"))).collect();
        assert_eq!(ids.len(), 5);
        pair.balanced().await;
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_moved_is_said() {
    let mut pair = Pair::started([Kind::Sqlite, Kind::Sqlite]).await;
    tokio::time::timeout(Duration::from_secs(60), async {
        for (slot, to, expected) in [(256, 1, "256 slots"), (17, 2, "no shard 2")] {
            let refused = tragen_ledger::move_slot(&pair.config, slot, to, |_| {}).await.expect_err("refused");
            assert!(refused.to_string().contains(expected), "{refused:#}");
        }
    })
    .await
    .expect("in time");
    let slots = tragen_ledger::slots(&pair.config).await.expect("slots");
    assert_eq!(slots.len(), 256);
    assert_eq!(slots.iter().filter(|place| place.shard == 0).count(), 128);
    pair.stop().await;
}
