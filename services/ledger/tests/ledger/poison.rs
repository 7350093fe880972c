//! One bad report does not stand in the way of the others, and is not lost.

use super::rig::{BOTH, Kind, Rig, fill, id, report, trade_of, with};
use tragen_contracts::v1::{self, Side, TradeStatus};

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_booked_is_set_aside_alone() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 100_000_000).await;
        let good = |name: &str| {
            let fills = vec![fill(&format!("e-{name}"), 500_000, 1_000_000, 0)];
            report("alice", name, Side::Buy, TradeStatus::Filled, fills)
        };
        let huge = with(good("huge"), |trade| trade.fills = vec![fill("x1", 900_000, i64::MAX, i64::MAX)]);
        let spot_short = with(good("short"), |trade| {
            trade.settlement = Some(v1::SettlementTerms {
                style: v1::SettlementStyle::Spot.into(),
                currency: "USD".into(),
                initial_margin_ppm: 0,
            });
            if let Some(terms) = &mut trade.terms {
                terms.side = Side::Sell.into();
                terms.instrument_id = "BTCUSD".into();
            }
        });
        let no_terms = with(good("bare"), |trade| trade.terms = None);
        let nobody = v1::ExecutionReport { key: None, ..good("nobody") };
        let stolen = with(good("stolen"), |trade| trade.fills = vec![fill("e-one", 500_000, 1_000_000, 0)]);
        let odd_text = with(good("odd"), |trade| trade.rationale = "nul \0 and 'quotes'".into());
        let odd_trace = v1::ExecutionReport {
            meta: Some(v1::Meta { traceparent: "\0".into(), event_id: "\0".into(), ..v1::Meta::default() }),
            ..good("trace")
        };
        rig.report(vec![good("one"), huge, spot_short, odd_text, no_terms, nobody, stolen, odd_trace, good("two")])
            .await;
        let ids = ["one", "two", "odd", "trace"].map(|name| id("alice", name));
        let facts = rig.told(&ids).await;
        assert_eq!(trade_of(&facts[&id("alice", "odd")]).rationale, "nul  and 'quotes'");
        assert_eq!(rig.number("SELECT COUNT(*) FROM rejected_report").await, 5);
        assert_eq!(rig.number("SELECT COUNT(*) FROM trade").await, 4);
        assert_eq!(rig.account("alice").await.cash_micros, 98_000_000);
        rig.verified().await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_database_refuses_is_found_and_set_aside() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 100_000_000).await;
        rig.sql(match kind {
            Kind::Sqlite => {
                "CREATE TRIGGER poison BEFORE INSERT ON trade WHEN NEW.agent = 'poison'
                 BEGIN SELECT RAISE(ABORT, 'poison'); END"
            }
            Kind::Postgres => "ALTER TABLE trade ADD CONSTRAINT poison CHECK (agent <> 'poison')",
        })
        .await;
        let reports = (0..40).map(|number| {
            let fills = vec![fill(&format!("e{number}"), 500_000, 1_000_000, 0)];
            let report = report("alice", &format!("r{number}"), Side::Buy, TradeStatus::Filled, fills);
            with(report, |trade| {
                if number == 17 {
                    trade.agent = "poison".into()
                }
            })
        });
        rig.report(reports.collect()).await;
        let ids: Vec<_> = (0..40).filter(|n| *n != 17).map(|number| id("alice", &format!("r{number}"))).collect();
        rig.told(&ids).await;
        assert_eq!(rig.number("SELECT COUNT(*) FROM rejected_report").await, 1);
        assert_eq!(rig.account("alice").await.cash_micros, 100_000_000 - 39 * 500_000);
        rig.verified().await;
        rig.stop().await;
    }
}
