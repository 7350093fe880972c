//! A made-up day: one deposit, one order, one fill; then each record changed in turn.

use super::*;

struct Day {
    journal: v1::JournalBatch,
    executions: v1::ExecutionBatch,
    facts: v1::LedgerFactBatch,
}

fn terms() -> v1::OrderTerms {
    v1::OrderTerms {
        order_id: "t-o".to_owned(),
        instrument_id: "M-HOME".to_owned(),
        side: v1::Side::Buy.into(),
        order_type: v1::OrderType::Limit.into(),
        quantity_micros: 10_000_000,
        limit_price_micros: 550_000,
        time_in_force: v1::TimeInForce::Ioc.into(),
        ..v1::OrderTerms::default()
    }
}

fn key() -> v1::TradeKey {
    v1::TradeKey { trade_id: "t".to_owned(), account_id: "alice".to_owned(), ..v1::TradeKey::default() }
}

fn settlement() -> v1::SettlementTerms {
    let style = v1::SettlementStyle::Prediction.into();
    v1::SettlementTerms { style, currency: "USD".to_owned(), initial_margin_ppm: 0 }
}

fn approval() -> v1::JournalRecord {
    let approved = v1::OrderApproved {
        terms: Some(terms()),
        settlement: Some(settlement()),
        taker_fee_ppm: 30_000,
        ..v1::OrderApproved::default()
    };
    let kind = Some(journal_record::Kind::Approved(approved));
    v1::JournalRecord { key: Some(key()), kind, ..v1::JournalRecord::default() }
}

/// Ten contracts at 0.55 with a fee of 3 %: 0.07425.
fn report() -> v1::ExecutionReport {
    let fill = v1::Fill {
        execution_id: "t-o-x1".to_owned(),
        price_micros: 550_000,
        quantity_micros: 10_000_000,
        fee_micros: 74_250,
        executed_at_micros: 1,
    };
    let trade = v1::TradeReport {
        terms: Some(terms()),
        settlement: Some(settlement()),
        fills: vec![fill],
        status: v1::TradeStatus::Filled.into(),
        ..v1::TradeReport::default()
    };
    let kind = Some(execution_report::Kind::Trade(trade));
    v1::ExecutionReport { key: Some(key()), kind, ..v1::ExecutionReport::default() }
}

fn balance(cash_micros: i64, version: i64) -> v1::BalanceChanged {
    let (account_id, currency) = ("alice".to_owned(), "USD".to_owned());
    v1::BalanceChanged {
        account: Some(v1::Account { account_id, currency, cash_micros, version, ..v1::Account::default() }),
    }
}

/// 100 paid in, 94.42575 left.
fn facts() -> Vec<v1::LedgerFact> {
    let paid_in = balance(100_000_000, 1);
    let cash = v1::CashPosted {
        trade_id: "d".to_owned(),
        amount_micros: 100_000_000,
        account: paid_in.account.clone(),
        kind: v1::CashKind::Deposit.into(),
        ..v1::CashPosted::default()
    };
    let posted = v1::Trade { trade_id: "t".to_owned(), account_version: 2, ..v1::Trade::default() };
    let instrument_id = "M-HOME".to_owned();
    let position = v1::Position { instrument_id, quantity_micros: 10_000_000, ..v1::Position::default() };
    let held = v1::PositionChanged { account_id: "alice".to_owned(), position: Some(position), account_version: 2 };
    let first = v1::LedgerFact {
        sequence: 1,
        kind: Some(ledger_fact::Kind::Cash(cash)),
        balances: vec![paid_in],
        ..v1::LedgerFact::default()
    };
    let second = v1::LedgerFact {
        sequence: 2,
        kind: Some(ledger_fact::Kind::Trade(v1::TradePosted { trade: Some(posted), ..v1::TradePosted::default() })),
        balances: vec![balance(94_425_750, 2)],
        positions: vec![held],
        ..v1::LedgerFact::default()
    };
    vec![first, second]
}

fn day() -> Day {
    Day {
        journal: v1::JournalBatch { records: vec![approval()], ..v1::JournalBatch::default() },
        executions: v1::ExecutionBatch { reports: vec![report()] },
        facts: v1::LedgerFactBatch { facts: facts(), told_up_to: 2 },
    }
}

#[test]
fn what_waited_pays_no_fee_and_what_only_waits_never_does() {
    // A fill at the limit of an order that may have waited, and what it cost.
    let check = |is_post_only: bool, fee_micros: i64, cash_micros: i64, expected: &[&str]| {
        let differences = differs(|day| {
            let Some(journal_record::Kind::Approved(approved)) = &mut day.journal.records[0].kind else {
                panic!("one")
            };
            let Some(execution_report::Kind::Trade(trade)) = &mut day.executions.reports[0].kind else { panic!("one") };
            for terms in [&mut approved.terms, &mut trade.terms] {
                let terms = terms.as_mut().expect("terms");
                (terms.time_in_force, terms.is_post_only) = (v1::TimeInForce::Gtc.into(), is_post_only);
            }
            trade.fills[0].fee_micros = fee_micros;
            day.facts.facts[1].balances[0].account.as_mut().expect("an account").cash_micros = cash_micros;
        });
        assert_eq!(differences, expected, "post-only {is_post_only}, fee {fee_micros}");
    };
    check(false, 74_250, 94_425_750, &[]);
    check(false, 0, 94_500_000, &[]);
    check(false, 1, 94_499_999, &["fee"]);
    check(true, 0, 94_500_000, &[]);
    check(true, 74_250, 94_425_750, &["fee"]);
}

/// What differs once the day was changed.
fn differs(change: impl FnOnce(&mut Day)) -> Vec<&'static str> {
    let mut own = day();
    change(&mut own);
    let mut comparison = Comparison::default();
    comparison.journal(&own.journal);
    // Told twice, as after a crash: nothing is booked twice.
    for _ in 0..2 {
        comparison.executions(&own.executions);
        comparison.facts(&own.facts);
    }
    comparison.conclude().expect("a whole day");
    assert_eq!(comparison.compared.fills, 1);
    comparison.differences.iter().map(|own| own.what).collect()
}

fn fill(day: &mut Day) -> &mut v1::Fill {
    let Some(execution_report::Kind::Trade(trade)) = &mut day.executions.reports[0].kind else { panic!("a trade") };
    &mut trade.fills[0]
}

#[test]
fn a_day_that_went_right_has_no_differences() {
    assert_eq!(differs(|_| ()), [""; 0]);
}

#[test]
fn whatever_is_recorded_otherwise_is_found() {
    assert_eq!(differs(|day| fill(day).fee_micros = 70_000), ["fee", "cash and margin"]);
    assert_eq!(differs(|day| fill(day).price_micros = 560_000), ["price", "fee", "cash and margin"]);
    assert_eq!(differs(|day| day.journal.records.clear()), ["approval"]);
    let more = differs(|day| {
        fill(day).quantity_micros = 11_000_000;
        fill(day).fee_micros = 81_675;
    });
    assert_eq!(more, ["filled quantity", "cash and margin", "position"]);
    let balance = differs(|day| day.facts.facts[1].balances[0].account.as_mut().expect("an account").cash_micros += 1);
    assert_eq!(balance, ["cash and margin"]);
    let position =
        differs(|day| day.facts.facts[1].positions[0].position.as_mut().expect("a position").quantity_micros += 1);
    assert_eq!(position, ["position"]);
}

#[test]
fn a_day_without_its_beginning_is_refused() {
    let mut own = day();
    own.facts.facts.remove(0);
    let mut comparison = Comparison::default();
    comparison.facts(&own.facts);
    assert_eq!(comparison.conclude(), Err(NotWhole { first: 2 }));
}
