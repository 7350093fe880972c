//! What postings and trades must come to, with worked numbers.

use super::*;
use crate::{
    execution::Fill,
    id::{AccountId, Currency, ExecutionId},
    instrument::SettlementTerms,
    money::ONE,
    order::{Side, TradeStatus},
    time::Timestamp,
};

pub(super) fn money(text: &str) -> Money {
    text.parse().expect("an amount")
}

pub(super) fn wallet(cash: &str) -> Wallet {
    Wallet { cash: money(cash), ..Wallet::default() }
}

pub(super) fn usd() -> Currency {
    Currency::new("USD").expect("a currency")
}

/// The transfers as `kind debit credit amount`.
pub(super) fn moved(transfers: &[Transfer]) -> Vec<String> {
    transfers.iter().map(|t| format!("{:?} {} {} {}", t.kind, t.debit, t.credit, t.amount)).collect()
}

pub(super) fn terms(style: SettlementStyle, initial_margin_ppm: i64) -> SettlementTerms {
    SettlementTerms { style, currency: usd(), initial_margin_ppm }
}

pub(super) fn fill(price: &str, quantity: &str, fee: &str) -> Fill {
    Fill {
        id: ExecutionId::new("e").expect("an id"),
        price: price.parse().expect("a price"),
        quantity: quantity.parse().expect("a quantity"),
        fee: money(fee),
        executed_at: Timestamp::default(),
    }
}

pub(super) fn alice() -> (AccountId, VenueId) {
    (AccountId::new("alice").expect("an id"), VenueId::new("paper").expect("an id"))
}

/// Fills as `side price quantity fee`, each with the state it must leave:
/// `position average realized fees cash`, where cash is what it would be had
/// every fill been paid in full (the common measure of all styles).
type Case<'a> = (Side, [&'a str; 3], [&'a str; 5]);

fn check(style: SettlementStyle, cases: &[Case<'_>]) {
    let (account, venue) = alice();
    let start = money("1000000");
    let mut held = (Wallet { cash: start, ..Wallet::default() }, Position::default());
    for (number, (side, [price, quantity, fee], expected)) in cases.iter().enumerate() {
        let posting = post_fill(&account, &venue, held, *side, &fill(price, quantity, fee), &terms(style, 50_000))
            .expect("a valid fill");
        held = (posting.wallet, posting.position);
        let (wallet, position) = held;
        let entry = position.entry_notional;
        let entry = if position.quantity.is_negative() { entry.negated().expect("fits") } else { entry };
        let cash = wallet.cash.plus(wallet.margin).and_then(|c| c.minus(start)).expect("fits");
        // A margined fill moves no notional; put it in to compare.
        let cash = if style == SettlementStyle::Margined { cash.minus(entry).expect("fits") } else { cash };
        let actual = [
            position.quantity.to_string(),
            position.average_price().unwrap_or_default().to_string(),
            position.realized_pnl.to_string(),
            position.fees.to_string(),
            cash.to_string(),
        ];
        assert_eq!(actual, expected.map(str::to_owned), "fill {number} of {style:?}");
        assert_eq!(wallet.margin, position.margin);
    }
}

#[test]
fn an_fx_position_is_added_to_reduced_flipped_and_closed() {
    let cases: [Case<'_>; 5] = [
        (Side::Buy, ["1.1", "1", "0.35"], ["1", "1.1", "0", "0.35", "-1.45"]),
        (Side::Buy, ["1.103", "2", "0.7"], ["3", "1.102", "0", "1.05", "-4.356"]),
        (Side::Sell, ["1.105", "1.5", "0.53"], ["1.5", "1.102", "0.0045", "1.58", "-3.2285"]),
        (Side::Sell, ["1.099", "4", "1.4"], ["-2.5", "1.099", "0", "2.98", "-0.2325"]),
        (Side::Buy, ["1.095", "2.5", "0.88"], ["0", "0", "0.01", "3.86", "-3.85"]),
    ];
    check(SettlementStyle::Margined, &cases);
}

#[test]
fn a_short_is_closed_exactly_and_reopened_long() {
    let cases: [Case<'_>; 3] = [
        (Side::Sell, ["50", "10", "0.1"], ["-10", "50", "0", "0.1", "499.9"]),
        (Side::Buy, ["48", "10", "0.1"], ["0", "0", "20", "0.2", "19.8"]),
        (Side::Buy, ["49", "5", "0.05"], ["5", "49", "20", "0.25", "-225.25"]),
    ];
    check(SettlementStyle::Margined, &cases);
}

#[test]
fn a_flip_at_the_boundary_is_a_close_and_an_opening() {
    let cases: [Case<'_>; 3] = [
        (Side::Buy, ["10", "3", "0"], ["3", "10", "0", "0", "-30"]),
        (Side::Sell, ["12", "3", "0"], ["0", "0", "6", "0", "6"]),
        (Side::Sell, ["12", "2", "0"], ["-2", "12", "6", "0", "30"]),
    ];
    check(SettlementStyle::Margined, &cases);
}

#[test]
fn a_prediction_is_paid_in_full() {
    let cases: [Case<'_>; 3] = [
        (Side::Buy, ["0.55", "100", "0.7425"], ["100", "0.55", "0", "0.7425", "-55.7425"]),
        (Side::Buy, ["0.61", "50", "0.35685"], ["150", "0.57", "0", "1.09935", "-86.59935"]),
        (Side::Sell, ["0.7", "120", "0.756"], ["30", "0.57", "15.6", "1.85535", "-3.35535"]),
    ];
    check(SettlementStyle::Prediction, &cases);
}

#[test]
fn a_decided_market_pays_its_settlement_value() {
    for (quantity, price, value, pnl) in
        [("100", "0.55", "1", "45"), ("100", "0.55", "0", "-55"), ("30", "0.4", "0.37", "-0.9")]
    {
        let cases: [Case<'_>; 2] = [
            (Side::Buy, [price, quantity, "0"], [quantity, price, "0", "0", &format!("-{}", cost(price, quantity))]),
            (Side::Sell, [value, quantity, "0"], ["0", "0", pnl, "0", pnl]),
        ];
        check(SettlementStyle::Prediction, &cases);
    }
}

fn cost(price: &str, quantity: &str) -> Money {
    let price: Price = price.parse().expect("a price");
    price.times(quantity.parse().expect("a quantity"), crate::money::Rounding::Up).expect("fits")
}

#[test]
fn what_the_wallet_cannot_cover_comes_from_suspense_and_freezes_the_account() {
    let (account, venue) = alice();
    let wallet = Wallet { cash: money("6"), ..Wallet::default() };
    let margined = terms(SettlementStyle::Margined, 100_000);
    let opened =
        post_fill(&account, &venue, (wallet, Position::default()), Side::Buy, &fill("10", "5", "1"), &margined)
            .expect("valid");
    assert_eq!((opened.wallet.cash, opened.wallet.margin), (Money::ZERO, money("5")));
    assert!(!opened.wallet.is_frozen);

    let held = (opened.wallet, opened.position);
    let crashed = post_fill(&account, &venue, held, Side::Sell, &fill("8", "5", "0.5"), &margined).expect("valid");
    assert_eq!(
        moved(&crashed.transfers),
        [
            "MarginReleased margin/alice/USD wallet/alice/USD 5",
            "RealizedPnl wallet/alice/USD venue/paper/USD 5",
            "Shortfall suspense/USD venue/paper/USD 5",
            "Shortfall suspense/USD fees/USD 0.5",
        ]
    );
    assert_eq!(crashed.wallet, Wallet { version: 2, is_frozen: true, ..Wallet::default() });
}

#[test]
fn cash_comes_in_and_goes_out_but_never_below_zero() {
    let (account, usd) = (alice().0, usd());
    let paid = post_deposit(&account, &usd, Wallet::default(), money("10")).expect("valid").wallet;
    assert_eq!((paid.cash, paid.version), (money("10"), 1));
    let left = post_withdrawal(&account, &usd, paid, money("4")).expect("valid");
    assert_eq!((left.wallet.cash, left.wallet.version), (money("6"), 2));
    assert_eq!(left.transfer.credit.to_string(), "external/deposits/USD");
    let refused = post_withdrawal(&account, &usd, left.wallet, money("6.000001"));
    let expected = LedgerError::InsufficientFunds { available: money("6"), requested: money("6.000001") };
    assert_eq!(refused, Err(expected));
    let frozen = Wallet { is_frozen: true, ..left.wallet };
    assert_eq!(post_withdrawal(&account, &usd, frozen, money("1")), Err(LedgerError::Frozen));
    assert_eq!(
        post_deposit(&account, &usd, paid, Money::ZERO).map(|p| p.wallet),
        Err(LedgerError::Amount { amount: Money::ZERO })
    );
    assert_eq!(
        post_deposit(&account, &usd, paid, Money::from_micros(i64::MAX)).map(|p| p.wallet),
        Err(LedgerError::Overflow(Overflow))
    );
}

#[test]
fn what_is_no_fill_is_refused_and_changes_nothing() {
    let (account, venue) = alice();
    let post = |style, price: i64, quantity: i64, fee: i64| {
        let fill = Fill {
            price: Price::from_micros(price),
            quantity: Quantity::from_micros(quantity),
            fee: Money::from_micros(fee),
            ..fill("1", "1", "0")
        };
        post_fill(&account, &venue, Default::default(), Side::Buy, &fill, &terms(style, 0)).map(drop)
    };
    assert!(matches!(post(SettlementStyle::Spot, 1, 0, 0), Err(LedgerError::Fill { .. })));
    assert!(matches!(post(SettlementStyle::Spot, 1, 1, -1), Err(LedgerError::Fill { .. })));
    assert!(matches!(post(SettlementStyle::Spot, 0, 1, 0), Err(LedgerError::Price { .. })));
    assert!(matches!(post(SettlementStyle::Prediction, ONE + 1, 1, 0), Err(LedgerError::Price { .. })));
    assert_eq!(post(SettlementStyle::Prediction, ONE, 1, 0), Ok(()));
    assert!(matches!(post(SettlementStyle::Margined, i64::MAX, i64::MAX, 0), Err(LedgerError::Position(_))));
}

#[test]
fn a_final_status_stays_and_fills_are_never_denied() {
    use TradeStatus::*;
    let (none, half, all) = (Quantity::ZERO, Quantity::from_micros(5), Quantity::from_micros(10));
    for (known, reported, filled, expected) in [
        (None, Working, half, Working),
        (Some(Working), Filled, all, Filled),
        (Some(Filled), Working, all, Filled),
        (Some(Filled), Canceled, all, Filled),
        (Some(Working), Canceled, none, Canceled),
        (Some(Working), Canceled, half, PartiallyFilled),
        (Some(Canceled), Working, half, PartiallyFilled),
        (Some(PartiallyFilled), Working, all, Filled),
        (Some(Denied), Filled, none, Denied),
        (Some(Expired), Filled, all, Filled),
        (None, NoTrade, none, NoTrade),
    ] {
        assert_eq!(settled_status(known, reported, filled, all), expected, "{known:?} then {reported:?} with {filled}");
    }
}

#[test]
fn the_average_price_is_exact_for_the_smallest_fills() {
    let fills = [(550_000, 1), (610_000, 1)].map(|(p, q)| (Price::from_micros(p), Quantity::from_micros(q)));
    assert_eq!(average_price(fills).map(Price::micros), Ok(580_000));
    assert_eq!(average_price([]).map(Price::micros), Ok(0));
}
