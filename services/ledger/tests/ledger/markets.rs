//! Positions: filled in parts, turned round, held in several currencies, and paid
//! out when their market is decided or void; everybody once, whatever happens
//! in between.

use super::{
    accounting::{Market, Tables, adjustment, amounts, balanced, correction, heard, heard_cash, settlement, traded},
    cluster::{Process, Proxy},
    rig::{BOTH, Kind, Rig, fill, id, trade_id, trade_of, with},
};
use std::collections::BTreeMap;
use tragen_contracts::v1::{self, SettlementStyle, Side, TradeStatus, ledger_question::Question};

const USD: i64 = 1_000_000;
const PAYOUTS: &str = "SELECT COUNT(*) FROM payout";
const REJECTED: &str = "SELECT COUNT(*) FROM rejected_report";
const OPEN: &str = "SELECT COUNT(*) FROM position WHERE quantity <> 0";

fn payout_id(name: &str, account: &str) -> String {
    format!("{}/{account}", id("", name))
}

fn settled(fact: &v1::LedgerFact) -> &v1::PositionSettled {
    match &fact.kind {
        Some(v1::ledger_fact::Kind::Settled(settled)) => settled,
        other => panic!("not a payout: {other:?}"),
    }
}

/// An order of `account` that is filled at once for a fee of 0.
fn filled(market: Market<'_>, account: &str, side: Side, (price, quantity): (i64, i64)) -> v1::ExecutionReport {
    let name = format!("{}-{price}-{quantity}-{}", market.instrument, i32::from(side));
    let fills = vec![fill(&format!("{account}-{name}"), price, quantity, 0)];
    traded(market, (account, &name), side, fills)
}

async fn deposited(rig: &Rig, account: &str, currency: &str, amount_micros: i64) {
    let deposit = v1::DepositRequest {
        request_id: format!("{account}-{currency}"),
        amount_micros,
        currency: currency.to_owned(),
    };
    let answer = rig.ask(account, Question::Deposit(deposit)).await.answer;
    assert!(matches!(answer, Some(v1::ledger_answer::Answer::Deposit(_))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decided_market_pays_every_side_what_it_is_worth() {
    // What the long, the short and the flat account have in the end, and the profit of the first two.
    let cases = [
        (Some(USD), [104_400_000, 93_000_000, 100_400_000], [4_500_000, -7_000_000]),
        (Some(0), [94_400_000, 103_000_000, 100_400_000], [-5_500_000, 3_000_000]),
        (Some(370_000), [98_100_000, 99_300_000, 100_400_000], [-1_800_000, -700_000]),
        (None, [99_900_000, 100_000_000, 100_400_000], [0, 0]),
    ];
    for kind in BOTH {
        for (value, cash, profit) in cases {
            let mut rig = Rig::started(kind).await;
            let tables = Tables::of(&rig);
            for account in ["long", "short", "flat"] {
                rig.funded(account, 100 * USD).await;
            }
            let market = Market::prediction("M");
            rig.report(vec![
                traded(market, ("long", "r"), Side::Buy, vec![fill("l", 550_000, 10 * USD, USD / 10)]),
                filled(market, "short", Side::Sell, (300_000, 10 * USD)),
                filled(market, "flat", Side::Buy, (500_000, 4 * USD)),
                filled(market, "flat", Side::Sell, (600_000, 4 * USD)),
                settlement("s", "M", value),
            ])
            .await;
            let ids = ["long", "short"].map(|account| payout_id("s", account));
            let facts = rig.told(&ids).await;
            for (id, (quantity, profit)) in ids.iter().zip([10 * USD, -10 * USD].into_iter().zip(profit)) {
                let told = settled(&facts[id]);
                assert_eq!((told.instrument_id.as_str(), told.quantity_micros), ("M", quantity));
                assert_eq!((told.value_micros, told.is_void), (value.unwrap_or(0), value.is_none()));
                assert_eq!(told.realized_pnl_micros, profit, "{value:?} {id}");
                let position = facts[id].positions[0].position.clone().expect("a position");
                assert_eq!((position.quantity_micros, position.realized_pnl_micros), (0, profit));
                let own = facts[id].balances[0].account.clone().expect("an account");
                assert_eq!(own.version, 3);
            }
            rig.all_acked().await;
            let paid = ["long", "short", "flat"].map(|account| rig.account(account));
            let paid = futures::future::join_all(paid).await;
            assert_eq!(paid.iter().map(|own| own.cash_micros).collect::<Vec<_>>(), cash, "{kind:?} {value:?}");
            assert_eq!(tables.number(PAYOUTS).await, 2);

            let before = tables.numbers().await;
            let other = if value == Some(0) { Some(USD) } else { Some(0) };
            // The same again, under another name, otherwise, and void or not void after all.
            rig.report(vec![settlement("s", "M", value), settlement("t", "M", value)]).await;
            rig.report(vec![settlement("s", "M", other), settlement("u", "M", value.is_none().then_some(1))]).await;
            rig.all_acked().await;
            assert_eq!(tables.numbers().await, before, "{kind:?} {value:?}");
            assert_eq!(tables.number(REJECTED).await, 2);
            balanced(&rig).await;
            rig.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_margined_position_is_closed_at_the_value_and_a_loss_never_costs_more_than_there_is() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        for (account, cash) in [("long", 100), ("short", 100), ("poor", 6), ("void", 100)] {
            rig.funded(account, cash * USD).await;
        }
        let (market, other) = (Market::margined("FX"), Market::margined("VOID"));
        rig.report(vec![
            filled(market, "long", Side::Buy, (10 * USD, 5 * USD)),
            filled(market, "short", Side::Sell, (10 * USD, 5 * USD)),
            filled(market, "poor", Side::Sell, (10 * USD, 5 * USD)),
            filled(other, "void", Side::Buy, (10 * USD, 5 * USD)),
        ])
        .await;
        rig.all_acked().await;
        let margin = tables.balances().await.iter().filter(|(name, _)| name.starts_with("margin/")).count();
        assert_eq!(margin, 4);
        rig.report(vec![settlement("s", "FX", Some(12 * USD)), settlement("v", "VOID", None)]).await;
        rig.told(&["long", "short", "poor"].map(|account| payout_id("s", account))).await;
        rig.all_acked().await;
        let expected = amounts(&[
            ("wallet/long/USD", 110 * USD),
            ("wallet/short/USD", 90 * USD),
            ("wallet/void/USD", 100 * USD),
            // Ten to the long, ten from the short, ten of the poor: six of his own.
            ("venue/paper/USD", 10 * USD),
            ("suspense/USD", -4 * USD),
            ("external/deposits/USD", -306 * USD),
        ]);
        assert_eq!(tables.balances().await, expected);
        assert!(rig.account("poor").await.is_frozen);
        balanced(&rig).await;
        rig.stop().await;
    }
}

/// `count` accounts that hold one contract each of market `M`, bought for a half; all have their dollar.
async fn holders(rig: &Rig, count: i64) {
    let account = |number: i64| format!("h{number:04}");
    let numbers: Vec<_> = (0..count).collect();
    for part in numbers.chunks(250) {
        let funded = part.iter().map(|number| adjustment(&account(*number), "fund", USD));
        rig.report(funded.collect()).await;
        let bought = |number: &i64| filled(Market::prediction("M"), &account(*number), Side::Buy, (USD / 2, USD));
        rig.report(part.iter().map(bought).collect()).await;
    }
    rig.all_acked().await;
    assert_eq!(Tables::of(rig).number(OPEN).await, count);
}

/// Every one of `count` holders was paid his contract, once.
async fn check_paid(rig: &Rig, count: i64) {
    let tables = Tables::of(rig);
    tables.wait_for(PAYOUTS, count).await;
    rig.all_acked().await;
    assert_eq!(tables.number(PAYOUTS).await, count);
    assert_eq!(tables.number("SELECT COUNT(DISTINCT account_id) FROM payout").await, count);
    assert_eq!(tables.number("SELECT COUNT(*) FROM wallet WHERE cash <> 1500000").await, 0);
    assert_eq!(tables.number(OPEN).await, 0);
    balanced(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_holders_are_paid_page_by_page() {
    const COUNT: i64 = 2_500;
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        holders(&rig, COUNT).await;
        rig.report(vec![settlement("s", "M", Some(USD))]).await;
        let ids: Vec<_> = (0..COUNT).map(|number| payout_id("s", &format!("h{number:04}"))).collect();
        rig.told(&ids).await;
        check_paid(&rig, COUNT).await;
        let pages = Tables::of(&rig).number("SELECT COUNT(DISTINCT posted_at) FROM payout").await;
        assert!(pages >= 3, "{COUNT} holders in {pages} transactions");
        rig.stop().await;
    }
}

/// Lets the database fail, without refusing, whenever `account` is paid.
async fn stuck_at(tables: &Tables, kind: Kind, account: &str) {
    let text = match kind {
        // Not a constraint but an error of the statement.
        Kind::Sqlite => format!(
            "CREATE TRIGGER stuck BEFORE INSERT ON payout WHEN NEW.account_id = '{account}'
             BEGIN SELECT json('not json'); END"
        ),
        Kind::Postgres => format!(
            "CREATE FUNCTION stuck() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.account_id = '{account}' THEN RAISE EXCEPTION 'stuck' USING ERRCODE = '57014'; END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER stuck BEFORE INSERT ON payout FOR EACH ROW EXECUTE FUNCTION stuck()"
        ),
    };
    tables.change(&text).await;
}

async fn unstuck(tables: &Tables, kind: Kind) {
    tables
        .change(match kind {
            Kind::Sqlite => "DROP TRIGGER stuck",
            Kind::Postgres => "DROP TRIGGER stuck ON payout",
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_of_paying_out_pays_everybody_once() {
    for kind in BOTH {
        let mut rig = Rig::new(kind).await;
        let tables = Tables::of(&rig);
        let doomed = rig.doomed().await;
        holders(&rig, 2_500).await;
        stuck_at(&tables, kind, "h1700").await;
        rig.report(vec![settlement("s", "M", Some(USD))]).await;
        tables.wait_for(PAYOUTS, 1_000).await;
        doomed.shutdown_background();
        unstuck(&tables, kind).await;
        rig.start().await;
        check_paid(&rig, 2_500).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_stopped_in_the_middle_of_paying_out_goes_on_when_it_is_back() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        holders(&rig, 2_500).await;
        stuck_at(&tables, kind, "h1700").await;
        rig.report(vec![settlement("s", "M", Some(USD))]).await;
        tables.wait_for(PAYOUTS, 1_000).await;
        rig.stop().await;
        unstuck(&tables, kind).await;
        rig.start().await;
        check_paid(&rig, 2_500).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_who_cannot_be_paid_holds_nobody_up() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        holders(&rig, 20).await;
        tables
            .change(match kind {
                Kind::Sqlite => {
                    "CREATE TRIGGER poison BEFORE INSERT ON payout WHEN NEW.account_id = 'h0007'
                     BEGIN SELECT RAISE(ABORT, 'poison'); END"
                }
                Kind::Postgres => "ALTER TABLE payout ADD CONSTRAINT poison CHECK (account_id <> 'h0007')",
            })
            .await;
        rig.report(vec![settlement("s", "M", Some(USD))]).await;
        tables.wait_for(PAYOUTS, 19).await;
        rig.all_acked().await;
        assert_eq!((tables.number(REJECTED).await, tables.number(OPEN).await), (1, 1));
        tables
            .change(match kind {
                Kind::Sqlite => "DROP TRIGGER poison",
                Kind::Postgres => "ALTER TABLE payout DROP CONSTRAINT poison",
            })
            .await;
        // Somebody has looked at it, and settles again.
        rig.report(vec![settlement("again", "M", Some(USD))]).await;
        check_paid(&rig, 20).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_whose_commit_was_not_answered_is_paid() {
    let mut rig = Rig::started(Kind::Postgres).await;
    holders(&rig, 3).await;
    rig.stop().await;
    let proxy = Proxy::start(&rig.url).await;
    let config = tragen_ledger::Config { store_url: proxy.url.clone(), ..rig.config() };
    let ledger = Process::start(rig.nats_url(), config).await.expect("a ledger");
    rig.funded("other", 1_500_000).await;
    proxy.swallow_next_commit();
    rig.report(vec![settlement("s", "M", Some(USD))]).await;
    check_paid(&rig, 3).await;
    assert_eq!(Tables::of(&rig).number(REJECTED).await, 0);
    assert!(proxy.has_swallowed());
    ledger.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bookings_whose_commit_was_not_answered_are_booked_once() {
    let mut rig = Rig::new(Kind::Postgres).await;
    let tables = Tables::of(&rig);
    let (bus, mut expected) = (rig.nats_url().to_owned(), 0);
    Process::start(&bus, rig.config()).await.expect("a ledger").stop().await;
    let proxy = Proxy::start(&rig.url).await;
    let config = tragen_ledger::Config { store_url: proxy.url.clone(), ..rig.config() };
    let ledger = Process::start(&bus, config).await.expect("a ledger");
    for number in 0..5 {
        rig.funded(&format!("a{number}"), 10 * USD).await;
        expected += 10 * USD;
        let account = format!("a{number}");
        proxy.swallow_next_commit();
        let late = traded(
            Market::prediction("M"),
            (&account, "r"),
            Side::Buy,
            vec![fill(&format!("e{number}"), USD / 2, USD, 0)],
        );
        rig.report(vec![late, adjustment(&account, "a", USD)]).await;
        rig.told(&[id(&account, "r"), id(&account, "a")]).await;
        assert!(proxy.has_swallowed());
        proxy.swallow_next_commit();
        rig.funded(&format!("b{number}"), USD).await;
        expected += USD / 2 + USD;
    }
    assert_eq!(tables.number("SELECT SUM(cash) FROM wallet").await, expected);
    assert_eq!(tables.number("SELECT COUNT(*) FROM execution").await, 5);
    assert_eq!(tables.number(REJECTED).await, 0);
    balanced(&rig).await;
    ledger.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_fill_in_a_decided_market_is_paid_out_at_once() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        rig.funded("alice", 10 * USD).await;
        rig.report(vec![settlement("s", "M", Some(USD)), settlement("v", "V", None)]).await;
        tables.wait_for("SELECT COUNT(*) FROM settlement", 2).await;
        let order = |status, fills| {
            let report = traded(Market::prediction("M"), ("alice", "r"), Side::Buy, fills);
            with(report, |trade| trade.status = i32::from(status))
        };
        let fills = [fill("e1", 900_000, 2 * USD, 0), fill("e2", 800_000, USD, 0)];
        rig.report(vec![order(TradeStatus::Working, fills[..1].to_vec())]).await;
        rig.told(&[payout_id("s", "alice")]).await;
        rig.report(vec![order(TradeStatus::Filled, fills.to_vec()), order(TradeStatus::Filled, fills.to_vec())]).await;
        rig.report(vec![filled(Market::prediction("V"), "alice", Side::Sell, (300_000, 10 * USD))]).await;
        rig.told(&[payout_id("v", "alice")]).await;
        rig.all_acked().await;
        assert_eq!((tables.number(PAYOUTS).await, tables.number(OPEN).await), (3, 0), "{kind:?}");
        // 1.8 and 0.8 paid, 3 received; 7 paid for the short and given back.
        assert_eq!(rig.account("alice").await.cash_micros, 10_400_000);

        // The decision is known to the next ledger too.
        rig.stop().await;
        rig.start().await;
        rig.report(vec![filled(Market::prediction("M"), "alice", Side::Sell, (900_000, USD))]).await;
        rig.all_acked().await;
        assert_eq!((tables.number(PAYOUTS).await, tables.number(OPEN).await), (4, 0), "{kind:?}");
        assert_eq!(rig.account("alice").await.cash_micros, 10_300_000);
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_corrected_after_its_market_was_decided_leaves_nothing_open() {
    for kind in BOTH {
        for value in [Some(USD), Some(0), None] {
            let mut rig = Rig::started(kind).await;
            rig.funded("alice", 100 * USD).await;
            let fills = vec![fill("e1", 600_000, 10 * USD, USD / 10)];
            let order = traded(Market::prediction("M"), ("alice", "r"), Side::Buy, fills);
            rig.report(vec![order, settlement("s", "M", value)]).await;
            rig.told(&[payout_id("s", "alice")]).await;
            rig.report(vec![correction("alice", "c", "e1")]).await;
            heard_cash(&mut rig, "alice", "c").await;
            rig.all_acked().await;
            // As if it had never been bought.
            assert_eq!(Tables::of(&rig).number(OPEN).await, 0, "{kind:?} {value:?}");
            assert_eq!(rig.account("alice").await.cash_micros, 100 * USD, "{kind:?} {value:?}");
            balanced(&rig).await;
            rig.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busted_fill_gives_back_to_suspense_what_suspense_had_paid() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", USD).await;
        let fills = vec![fill("e1", 600_000, 10 * USD, 0)];
        rig.report(vec![traded(Market::prediction("M"), ("alice", "r"), Side::Buy, fills)]).await;
        rig.told(&[id("alice", "r")]).await;
        rig.report(vec![correction("alice", "c", "e1")]).await;
        heard_cash(&mut rig, "alice", "c").await;
        // She had one, and nothing has happened.
        let expected = amounts(&[("wallet/alice/USD", USD), ("external/deposits/USD", -USD)]);
        assert_eq!(Tables::of(&rig).balances().await, expected, "{kind:?}");
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_no_holder_can_be_paid_decides_nothing() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        holders(&rig, 3).await;
        // A slip of the pen: no prediction pays more than one.
        rig.report(vec![settlement("slip", "M", Some(10 * USD))]).await;
        rig.all_acked().await;
        assert!(tables.number(REJECTED).await > 0);
        rig.report(vec![settlement("right", "M", Some(USD))]).await;
        rig.all_acked().await;
        assert_eq!((tables.number(PAYOUTS).await, tables.number(OPEN).await), (3, 0), "{kind:?}");
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_filled_in_parts_over_several_reports() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 100 * USD).await;
        let prices = [500_000, 520_000, 540_000, 560_000];
        let part = |number: usize| fill(&format!("p{number}"), prices[number], 5 * USD / 2, 10_000);
        let order = |status, fills| {
            let report = traded(Market::prediction("M"), ("alice", "r"), Side::Buy, fills);
            with(report, |trade| trade.status = i32::from(status))
        };
        let mut trade = v1::Trade::default();
        for number in 0..4 {
            let status = if number == 3 { TradeStatus::Filled } else { TradeStatus::Working };
            // Each tells what is new, and sometimes what was told before.
            rig.report(vec![order(status, vec![part(number)])]).await;
            rig.report(vec![order(status, (0..=number).map(part).collect())]).await;
            let parts = i64::try_from(number + 1).expect("few");
            let is_new = |fact: &v1::LedgerFact| {
                trade_id(fact) == id("alice", "r") && trade_of(fact).filled_quantity_micros == parts * 5 * USD / 2
            };
            trade = trade_of(&heard(&mut rig, is_new).await);
            assert_eq!(trade.fee_micros, parts * 10_000);
        }
        rig.all_acked().await;
        assert_eq!((trade.status(), trade.average_price_micros), (TradeStatus::Filled, 530_000));
        assert_eq!(trade.cash_change_micros, -5_340_000);
        assert_eq!(rig.account("alice").await.cash_micros, 94_660_000);
        assert_eq!(Tables::of(&rig).number("SELECT COUNT(*) FROM execution").await, 4);
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_through_zero_closes_and_opens() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        rig.funded("alice", 100 * USD).await;
        let (bets, fx) = (Market::prediction("M"), Market::margined("FX"));
        rig.report(vec![
            filled(bets, "alice", Side::Buy, (400_000, 10 * USD)),
            filled(bets, "alice", Side::Sell, (700_000, 25 * USD)),
            filled(fx, "alice", Side::Sell, (10 * USD, 3 * USD)),
            filled(fx, "alice", Side::Buy, (9 * USD, 5 * USD)),
        ])
        .await;
        rig.all_acked().await;
        let position = "SELECT instrument_id, quantity FROM position UNION ALL
            SELECT instrument_id || '-pnl', realized_pnl FROM position UNION ALL
            SELECT instrument_id || '-entry', entry_notional FROM position UNION ALL
            SELECT instrument_id || '-margin', margin FROM position";
        let held: BTreeMap<_, _> = tables.rows(position).await.into_iter().collect();
        let expected = amounts(&[
            ("M", -15 * USD),
            ("M-pnl", 3 * USD),
            ("M-entry", 10_500_000),
            ("M-margin", 0),
            ("FX", 2 * USD),
            ("FX-pnl", 3 * USD),
            ("FX-entry", 18 * USD),
            ("FX-margin", 1_800_000),
        ]);
        assert_eq!(held, expected, "{kind:?}");
        // 4 paid, 7 received, 4.5 paid for the short; 3 of profit, 1.8 set aside.
        assert_eq!(rig.account("alice").await.cash_micros, 99_700_000);
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_currency_is_a_wallet_of_its_own() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        deposited(&rig, "alice", "USD", 100 * USD).await;
        deposited(&rig, "alice", "EUR", 10 * USD).await;
        let euro = Market { currency: "EUR", ..Market::prediction("E") };
        rig.report(vec![
            filled(Market::prediction("M"), "alice", Side::Buy, (500_000, 10 * USD)),
            filled(euro, "alice", Side::Buy, (500_000, 10 * USD)),
            super::accounting::taken_out("alice", "much", 6 * USD, "EUR"),
            super::accounting::taken_out("alice", "some", 2 * USD, "EUR"),
        ])
        .await;
        let told = rig.told(&[id("alice", "some"), id("alice", "much")]).await;
        let much = super::rig::cash_of(&told[&id("alice", "much")]).denial.expect("denied");
        assert_eq!((much.code(), much.limit), (v1::DenialCode::InsufficientFunds, 5 * USD));
        rig.report(vec![settlement("e", "E", Some(USD)), settlement("m", "M", Some(0))]).await;
        rig.told(&[payout_id("e", "alice"), payout_id("m", "alice")]).await;
        let expected = amounts(&[
            ("wallet/alice/USD", 95 * USD),
            ("wallet/alice/EUR", 13 * USD),
            ("venue/paper/USD", 5 * USD),
            ("venue/paper/EUR", -5 * USD),
            ("external/deposits/USD", -100 * USD),
            ("external/deposits/EUR", -8 * USD),
        ]);
        assert_eq!(tables.balances().await, expected, "{kind:?}");
        balanced(&rig).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_bought_in_one_currency_and_sold_in_another() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let tables = Tables::of(&rig);
        rig.funded("alice", 100 * USD).await;
        rig.report(vec![filled(Market::spot("BTC"), "alice", Side::Buy, (5 * USD, 10 * USD))]).await;
        rig.all_acked().await;
        let before = tables.balances().await;
        let euro = Market { currency: "EUR", ..Market::spot("BTC") };
        let margined = Market { style: SettlementStyle::Margined, ..Market::spot("BTC") };
        rig.report(vec![
            filled(euro, "alice", Side::Sell, (6 * USD, 5 * USD)),
            filled(margined, "alice", Side::Sell, (7 * USD, 5 * USD)),
        ])
        .await;
        rig.all_acked().await;
        assert_eq!(tables.balances().await, before, "{kind:?}");
        assert_eq!(tables.number(REJECTED).await, 2);
        balanced(&rig).await;
        rig.stop().await;
    }
}
