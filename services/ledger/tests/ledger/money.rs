//! Money moves once, exactly, and never below zero.

use super::rig::{BOTH, Rig, cash_of, fill, id, report, trade_of, with, withdrawal};
use tragen_contracts::v1::{self, Side, TradeStatus};

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_moves_money_and_everybody_hears_of_it() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 100_000_000).await;
        rig.facts().await;
        let filled = vec![fill("e1", 550_000, 4_000_000, 100_000), fill("e2", 600_000, 6_000_000, 200_000)];
        rig.report(vec![report("alice", "r1", Side::Buy, TradeStatus::Filled, filled)]).await;
        let fact = rig.facts().await.remove(0);
        let trade = trade_of(&fact);
        assert_eq!(trade.status(), TradeStatus::Filled);
        assert_eq!((trade.filled_quantity_micros, trade.average_price_micros), (10_000_000, 580_000));
        assert_eq!((trade.fee_micros, trade.cash_change_micros), (300_000, -6_100_000));
        assert_eq!((trade.account_version, trade.account_id.as_str()), (3, "alice"));
        assert_eq!(trade.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((trade.agent.as_str(), trade.rationale.as_str()), ("eplScoutAgent", "because"));
        assert!(trade.created_at.is_some() && trade.updated_at.is_some());
        let Some(v1::ledger_fact::Kind::Trade(posted)) = &fact.kind else { panic!("{fact:?}") };
        assert_eq!(posted.payload_hash.as_ref(), [7; 32]);
        assert_eq!(
            (posted.execution_ids.as_slice(), posted.agent_id.as_str()),
            (&["e1".into(), "e2".into()][..], "scout-7")
        );
        let balance = fact.balances[0].account.clone().expect("an account");
        assert_eq!((balance.cash_micros, balance.version), (93_900_000, 3));
        let position = fact.positions[0].position.clone().expect("a position");
        assert_eq!((position.quantity_micros, position.average_price_micros), (10_000_000, 580_000));
        assert_eq!(fact.positions[0].account_version, 3);
        assert_eq!(rig.account("alice").await, balance);
        let checked = rig.verified().await;
        assert_eq!((checked.transfers, checked.executions, checked.cash_movements), (5, 2, 1));
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_and_reordering_change_nothing() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("bob", 100_000_000).await;
        let working = report("bob", "w", Side::Buy, TradeStatus::Working, vec![fill("w1", 500_000, 3_000_000, 0)]);
        let done = report(
            "bob",
            "w",
            Side::Buy,
            TradeStatus::Filled,
            vec![fill("w1", 500_000, 3_000_000, 0), fill("w2", 600_000, 7_000_000, 10)],
        );
        let canceled = report("bob", "c", Side::Buy, TradeStatus::Canceled, Vec::new());
        // The end of `w` overtakes its beginning.
        rig.report(vec![done.clone(), canceled.clone()]).await;
        rig.report(vec![working.clone()]).await;
        rig.all_acked().await;
        assert_eq!(rig.number("SELECT COUNT(*) FROM execution").await, 2);
        let before = rig.books().await;
        for _ in 0..5 {
            rig.report(vec![working.clone(), done.clone(), canceled.clone(), done.clone()]).await;
        }
        rig.all_acked().await;
        let facts = rig.told(&[id("bob", "w"), id("bob", "c")]).await;
        assert_eq!(rig.books().await, before, "{kind:?}");
        let trade = trade_of(&facts[&id("bob", "w")]);
        assert_eq!((trade.status(), trade.filled_quantity_micros), (TradeStatus::Filled, 10_000_000));
        assert_eq!(trade_of(&facts[&id("bob", "c")]).status(), TradeStatus::Canceled);
        assert_eq!(rig.account("bob").await.cash_micros, 100_000_000 - 1_500_000 - 4_200_010);
        rig.verified().await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_fill_of_a_canceled_trade_is_booked() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("carol", 100_000_000).await;
        rig.report(vec![report("carol", "r", Side::Sell, TradeStatus::Canceled, Vec::new())]).await;
        rig.told(&[id("carol", "r")]).await;
        let late = vec![fill("late", 400_000, 1_000_000, 0)];
        rig.report(vec![report("carol", "r", Side::Sell, TradeStatus::Working, late)]).await;
        let trade = trade_of(&rig.told(&[id("carol", "r")]).await[&id("carol", "r")]);
        assert_eq!((trade.status(), trade.filled_quantity_micros), (TradeStatus::PartiallyFilled, 1_000_000));
        // A short holds the opposite outcome at one minus the price.
        assert_eq!(trade.cash_change_micros, -600_000);
        rig.verified().await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_moves_no_money_and_needs_no_wallet() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let denied = with(report("dora", "d", Side::Buy, TradeStatus::Denied, Vec::new()), |trade| {
            trade.denial = Some(v1::Denial {
                code: v1::DenialCode::NoBalance.into(),
                message: "no balance".into(),
                limit: 1,
                observed: 2,
            });
        });
        let nothing = with(report("dora", "n", Side::Buy, TradeStatus::NoTrade, Vec::new()), |trade| {
            trade.terms = None;
            trade.settlement = None;
        });
        rig.report(vec![denied, nothing]).await;
        let facts = rig.told(&[id("dora", "d"), id("dora", "n")]).await;
        let trade = trade_of(&facts[&id("dora", "d")]);
        assert_eq!((trade.status(), trade.account_version), (TradeStatus::Denied, 0));
        assert_eq!(
            trade.denial.as_ref().map(|d| (d.code(), d.limit, d.observed)),
            Some((v1::DenialCode::NoBalance, 1, 2))
        );
        assert_eq!(trade_of(&facts[&id("dora", "n")]).status(), TradeStatus::NoTrade);
        assert_eq!(rig.number("SELECT COUNT(*) FROM transfer").await, 0);
        assert_eq!(rig.number("SELECT COUNT(*) FROM wallet").await, 0);
        rig.verified().await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_never_goes_below_zero() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("erin", 1_000_000).await;
        let filled = vec![fill("big", 600_000, 10_000_000, 50_000)];
        rig.report(vec![report("erin", "r", Side::Buy, TradeStatus::Filled, filled)]).await;
        let trade = trade_of(&rig.told(&[id("erin", "r")]).await[&id("erin", "r")]);
        assert_eq!(trade.cash_change_micros, -1_000_000);
        let account = rig.account("erin").await;
        assert_eq!((account.cash_micros, account.is_frozen), (0, true));
        let shortfall = "SELECT CAST(SUM(amount) AS bigint) FROM transfer WHERE debit_account = 'suspense/USD'";
        assert_eq!(rig.number(shortfall).await, 5_050_000);
        rig.report(vec![withdrawal("erin", "out", 1, None)]).await;
        let refused = cash_of(&rig.told(&[id("erin", "out")]).await[&id("erin", "out")]);
        assert_eq!(refused.denial.map(|d| d.code()), Some(v1::DenialCode::AccountFrozen));
        rig.verified().await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_is_posted_once_or_denied() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("fred", 5_000_000).await;
        let denial = v1::Denial {
            code: v1::DenialCode::TradingHalted.into(),
            message: "halted".into(),
            ..v1::Denial::default()
        };
        let out = withdrawal("fred", "out", 3_000_000, None);
        rig.report(vec![
            out.clone(),
            withdrawal("fred", "no", 1_000_000, Some(denial)),
            withdrawal("fred", "much", 2_000_001, None),
            out,
        ])
        .await;
        let ids = [id("fred", "out"), id("fred", "no"), id("fred", "much")];
        let facts = rig.told(&ids).await;
        let [out, no, much] = ids.map(|id| cash_of(&facts[&id]));
        assert_eq!((out.amount_micros, out.denial), (-3_000_000, None));
        assert_eq!(out.payload_hash.as_ref(), [7; 32]);
        assert_eq!(out.account.map(|a| (a.cash_micros, a.version)), Some((2_000_000, 2)));
        assert_eq!((no.amount_micros, no.denial.map(|d| d.code())), (0, Some(v1::DenialCode::TradingHalted)));
        assert_eq!(
            much.denial.map(|d| (d.code(), d.limit, d.observed)),
            Some((v1::DenialCode::InsufficientFunds, 2_000_000, 2_000_001))
        );
        assert_eq!(rig.account("fred").await.cash_micros, 2_000_000);
        rig.verified().await;
        rig.stop().await;
    }
}

/// A small generator, so that a seed gives the same fills everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.0 >> 33) % limit).expect("small")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_random_fills_conserve_money() {
    const FILLS: i64 = 10_000;
    const ACCOUNTS: u64 = 20;
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        for number in 0..ACCOUNTS {
            rig.funded(&format!("a{number}"), 50_000_000_000).await;
        }
        let mut random = Random(42);
        let styles = [v1::SettlementStyle::Prediction, v1::SettlementStyle::Spot, v1::SettlementStyle::Margined];
        let mut reports = Vec::new();
        for number in 0..FILLS {
            let account = format!("a{}", random.below(ACCOUNTS));
            let style = styles[usize::try_from(random.below(3)).expect("small")];
            let price = if style == v1::SettlementStyle::Prediction {
                10_000 * (1 + random.below(99))
            } else {
                1 + random.below(90_000_000)
            };
            let quantity = 1_000_000 * (1 + random.below(10));
            // Spot is only bought here: what is sold must be held.
            let is_buy = style == v1::SettlementStyle::Spot || random.below(2) == 0;
            let side = if is_buy { Side::Buy } else { Side::Sell };
            let fills = vec![fill(&format!("x{number}"), price, quantity, random.below(1_000))];
            let report = report(&account, &format!("r{number}"), side, TradeStatus::Filled, fills);
            reports.push(with(report, |trade| {
                if let (Some(terms), Some(settlement)) = (&mut trade.terms, &mut trade.settlement) {
                    terms.instrument_id = format!("I{}", number % 7 + 10 * i64::from(i32::from(style)));
                    terms.quantity_micros = quantity;
                    settlement.style = style.into();
                    settlement.initial_margin_ppm = 50_000;
                }
            }));
        }
        for batch in reports.chunks(256) {
            rig.report(batch.to_vec()).await;
            // Every batch a second time: at least once is often twice.
            rig.report(batch.to_vec()).await;
        }
        rig.all_acked().await;
        let report = rig.verified().await;
        assert_eq!((report.executions, report.trades, report.wallets), (10_000, 10_000, ACCOUNTS));
        let inside = rig
            .number(
                "SELECT CAST(SUM(CASE WHEN credit_account LIKE 'wallet/%' THEN amount ELSE 0 END)
                - SUM(CASE WHEN debit_account LIKE 'wallet/%' THEN amount ELSE 0 END) AS bigint) FROM transfer",
            )
            .await;
        assert_eq!(inside, rig.number("SELECT CAST(SUM(cash) AS bigint) FROM wallet").await);
        assert_eq!(rig.number("SELECT COUNT(*) FROM wallet WHERE cash < 0 OR margin < 0").await, 0);
        rig.stop().await;
    }
}
