//! Whatever is filled in whatever order: money is conserved, no wallet is ever
//! negative, and profit is what cash and position say it is.

use proptest::prelude::*;
use std::collections::HashMap;
use tragen_domain::{
    execution::Fill,
    id::{AccountId, Currency, ExecutionId},
    instrument::{SettlementStyle, SettlementTerms},
    ledger::{LedgerAccount, LedgerError, Transfer, VenueId, Wallet, post_deposit, post_fill},
    money::{Money, ONE, Price, Quantity},
    order::Side,
    position::{Position, PositionError},
    time::Timestamp,
};

#[derive(Debug, Clone)]
struct Step {
    side: Side,
    price: i64,
    quantity: i64,
    fee: i64,
}

/// The books kept by nothing but the transfers.
#[derive(Debug, Default)]
struct Balances(HashMap<LedgerAccount, i128>);

impl Balances {
    fn apply(&mut self, transfer: &Transfer) {
        assert!(transfer.amount > Money::ZERO);
        assert_ne!(transfer.debit, transfer.credit);
        *self.0.entry(transfer.debit.clone()).or_default() -= i128::from(transfer.amount.micros());
        *self.0.entry(transfer.credit.clone()).or_default() += i128::from(transfer.amount.micros());
    }

    fn of(&self, account: &LedgerAccount) -> i128 {
        self.0.get(account).copied().unwrap_or_default()
    }
}

fn steps(style: SettlementStyle) -> impl Strategy<Value = Vec<Step>> {
    let price_max = if style == SettlementStyle::Prediction { ONE } else { 90_000 * ONE };
    let step = (any::<bool>(), 1..=price_max, 1..50 * ONE, 0..ONE).prop_map(|(is_buy, price, quantity, fee)| Step {
        side: if is_buy { Side::Buy } else { Side::Sell },
        price,
        quantity,
        fee,
    });
    prop::collection::vec(step, 1..60)
}

struct Names {
    account: AccountId,
    venue: VenueId,
    currency: Currency,
}

fn names() -> Names {
    Names {
        account: AccountId::new("alice").expect("an id"),
        venue: VenueId::new("paper").expect("an id"),
        currency: Currency::new("USD").expect("an id"),
    }
}

fn fill(step: &Step) -> Fill {
    Fill {
        id: ExecutionId::new("e").expect("an id"),
        price: Price::from_micros(step.price),
        quantity: Quantity::from_micros(step.quantity),
        fee: Money::from_micros(step.fee),
        executed_at: Timestamp::default(),
    }
}

/// Plays the fills on a wallet with `deposit` and checks the books after each.
fn play(style: SettlementStyle, deposit: i64, steps: &[Step], mark: i64) {
    let Names { account, venue, currency } = names();
    let terms = SettlementTerms { style, currency: currency.clone(), initial_margin_ppm: 33_333 };
    let own = LedgerAccount::Wallet(account.clone(), currency.clone());
    let margin = LedgerAccount::Margin(account.clone(), currency.clone());
    let suspense = LedgerAccount::Suspense(currency.clone());
    let mut balances = Balances::default();
    let paid = post_deposit(&account, &currency, Wallet::default(), Money::from_micros(deposit)).expect("valid");
    balances.apply(&paid.transfer);
    let (mut wallet, mut position) = (paid.wallet, Position::default());
    for step in steps {
        let posting = match post_fill(&account, &venue, (wallet, position), step.side, &fill(step), &terms) {
            Ok(posting) => posting,
            Err(LedgerError::Position(PositionError::SpotShort { .. })) => continue,
            Err(error) => panic!("{error}"),
        };
        posting.transfers.iter().for_each(|transfer| balances.apply(transfer));
        (wallet, position) = (posting.wallet, posting.position);
        assert!(!wallet.cash.is_negative() && !wallet.margin.is_negative());
        assert_eq!(balances.of(&own), i128::from(wallet.cash.micros()));
        assert_eq!(balances.of(&margin), i128::from(wallet.margin.micros()));
        assert_eq!(wallet.margin, position.margin);
        assert_eq!(balances.0.values().sum::<i128>(), 0);
        assert_eq!(balances.of(&suspense) != 0, wallet.is_frozen);
    }
    let drawn = balances.of(&suspense);
    let cash = i128::from(wallet.cash.micros()) + i128::from(wallet.margin.micros()) - i128::from(deposit) + drawn;
    check_identity(style, &position, cash, i128::from(mark));
}

/// realized - fees + unrealized = cash + value of what is held, exactly, in 1e-12.
fn check_identity(style: SettlementStyle, position: &Position, cash: i128, mark: i128) {
    let one = i128::from(ONE);
    let quantity = i128::from(position.quantity.micros());
    let entry = i128::from(position.entry_notional.micros()) * one;
    let unrealized = if quantity < 0 { entry + mark * quantity } else { mark * quantity - entry };
    let value = match style {
        // A short holds the opposite outcome at one minus the mark.
        SettlementStyle::Prediction if quantity < 0 => (one - mark) * -quantity,
        SettlementStyle::Prediction | SettlementStyle::Spot => mark * quantity,
        SettlementStyle::Margined => unrealized,
    };
    let realized = i128::from(position.realized_pnl.micros()) - i128::from(position.fees.micros());
    assert_eq!(realized * one + unrealized, cash * one + value, "{style:?} {position:?}");
}

proptest! {
    #[test]
    fn predictions_conserve_money(deposit in 1..100 * ONE, steps in steps(SettlementStyle::Prediction), mark in 0..=ONE) {
        play(SettlementStyle::Prediction, deposit, &steps, mark);
    }

    #[test]
    fn spot_conserves_money(deposit in 1..1_000_000 * ONE, steps in steps(SettlementStyle::Spot), mark in 1..90_000 * ONE) {
        play(SettlementStyle::Spot, deposit, &steps, mark);
    }

    #[test]
    fn margined_fills_conserve_money(
        deposit in 1..1_000_000 * ONE,
        steps in steps(SettlementStyle::Margined),
        mark in 1..90_000 * ONE,
    ) {
        play(SettlementStyle::Margined, deposit, &steps, mark);
    }
}
