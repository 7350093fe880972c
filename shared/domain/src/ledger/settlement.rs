//! The end of a market in the books: decided, or void.

use super::{LedgerAccount, LedgerError, Posting, TransferKind, VenueId, Wallet, books::Books};
use crate::{
    id::AccountId,
    instrument::{SettlementStyle, SettlementTerms},
    money::{ONE, Price},
    position::{FillEffect, Position},
};

/// Books what a decided market pays for the whole position: `value` per
/// contract, `1 - value` for a short prediction, without a fee. A margined
/// position is closed at `value`; a loss beyond the wallet is drawn from suspense.
///
/// ```
/// use tragen_domain::{id::*, instrument::*, ledger::*, position::Position};
/// let terms = SettlementTerms { style: SettlementStyle::Prediction, currency: Currency::new("USD").unwrap(), initial_margin_ppm: 0 };
/// // 10 contracts of the opposite outcome, bought at 1 - 0.3, and the outcome did not happen.
/// let short = Position { quantity: "-10".parse().unwrap(), entry_notional: "3".parse().unwrap(), ..Position::default() };
/// let (account, venue) = (AccountId::new("alice").unwrap(), VenueId::new("paper").unwrap());
/// let posting = post_settlement(&account, &venue, (Wallet::default(), short), "0".parse().unwrap(), &terms).unwrap();
/// assert_eq!(posting.wallet.cash.to_string(), "10");
/// assert_eq!(posting.position.realized_pnl.to_string(), "3");
/// ```
///
/// # Errors
/// [`LedgerError::NothingHeld`], [`LedgerError::Price`] for a value the style does not know, or [`LedgerError::Overflow`].
pub fn post_settlement(
    account: &AccountId,
    venue: &VenueId,
    (wallet, mut position): (Wallet, Position),
    value: Price,
    terms: &SettlementTerms,
) -> Result<Posting, LedgerError> {
    if !is_settlement_value(terms.style, value) {
        return Err(LedgerError::Price { price: value, style: terms.style });
    }
    if position.quantity.is_zero() {
        return Err(LedgerError::NothingHeld);
    }
    let effect = position.settle(value, terms)?;
    post_end(TransferKind::Settlement, (account, venue), (wallet, position), effect, terms)
}

/// Whether a market of `style` can be decided at `value` per contract.
#[must_use]
pub fn is_settlement_value(style: SettlementStyle, value: Price) -> bool {
    match style {
        SettlementStyle::Prediction => (0..=ONE).contains(&value.micros()),
        // What nobody wants any more is worth nothing.
        SettlementStyle::Spot | SettlementStyle::Margined => !value.is_negative(),
    }
}

/// Books what a void or postponed market gives back: what the open position has
/// cost, or the margin held for it. Fees and what was realized earlier stay.
///
/// # Errors
/// [`LedgerError::NothingHeld`] or [`LedgerError::Overflow`].
pub fn post_refund(
    account: &AccountId,
    venue: &VenueId,
    (wallet, mut position): (Wallet, Position),
    terms: &SettlementTerms,
) -> Result<Posting, LedgerError> {
    if position.quantity.is_zero() {
        return Err(LedgerError::NothingHeld);
    }
    let effect = position.refund(terms)?;
    post_end(TransferKind::Refund, (account, venue), (wallet, position), effect, terms)
}

/// Books the end of a position that has had `effect`.
fn post_end(
    kind: TransferKind,
    (account, venue): (&AccountId, &VenueId),
    (wallet, position): (Wallet, Position),
    effect: FillEffect,
    terms: &SettlementTerms,
) -> Result<Posting, LedgerError> {
    let venue = || LedgerAccount::Venue(venue.clone(), terms.currency.clone());
    let mut books = Books::new(account, &terms.currency, wallet);
    books.receive(kind, venue(), effect.proceeds)?;
    books.release_margin(effect.margin_released)?;
    if terms.style == SettlementStyle::Margined {
        books.realize(TransferKind::RealizedPnl, venue(), effect.realized_pnl)?;
    }
    let (wallet, transfers) = books.close()?;
    Ok(Posting { transfers, wallet, position })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{alice, money, moved, terms, wallet};
    use super::*;
    use crate::money::{Money, Quantity};

    fn position(quantity: &str, entry: &str, margin: &str) -> Position {
        Position {
            quantity: quantity.parse().expect("a quantity"),
            entry_notional: money(entry),
            margin: money(margin),
            realized_pnl: money("0.5"),
            fees: money("0.1"),
        }
    }

    /// Ends `held` at `value` (or void) and compares the transfers, cash and realized profit.
    fn check(
        style: SettlementStyle,
        held: (Wallet, Position),
        value: Option<&str>,
        (transfers, cash, realized): (&[&str], &str, &str),
    ) {
        let (account, venue) = alice();
        let terms = terms(style, 100_000);
        let posting = match value {
            Some(value) => post_settlement(&account, &venue, held, value.parse().expect("a price"), &terms),
            None => post_refund(&account, &venue, held, &terms),
        };
        let posting = posting.expect("valid");
        assert_eq!(moved(&posting.transfers), transfers);
        assert_eq!((posting.wallet.cash, posting.wallet.margin), (money(cash), Money::ZERO));
        assert_eq!(posting.wallet.version, held.0.version + 1);
        let (realized_pnl, fees) = (money(realized), held.1.fees);
        assert_eq!(posting.position, Position { realized_pnl, fees, ..Position::default() });
        let again = (posting.wallet, posting.position);
        let zero = Price::ZERO;
        assert_eq!(post_settlement(&account, &venue, again, zero, &terms).map(drop), Err(LedgerError::NothingHeld));
        assert_eq!(post_refund(&account, &venue, again, &terms).map(drop), Err(LedgerError::NothingHeld));
    }

    #[test]
    fn a_decided_market_pays_in_one_transfer_or_none() {
        let (style, purse) = (SettlementStyle::Prediction, wallet("1"));
        let paid = |amount| format!("Settlement venue/paper/USD wallet/alice/USD {amount}");
        let (long, short) = ((purse, position("100", "55", "0")), (purse, position("-100", "55", "0")));
        check(style, long, Some("1"), (&[&paid("100")], "101", "45.5"));
        check(style, long, Some("0"), (&[], "1", "-54.5"));
        check(style, long, Some("0.5"), (&[&paid("50")], "51", "-4.5"));
        check(style, short, Some("1"), (&[], "1", "-44.5"));
        check(style, short, Some("0"), (&[&paid("100")], "101", "55.5"));
        check(SettlementStyle::Spot, long, Some("0.6"), (&[&paid("60")], "61", "5.5"));
        check(SettlementStyle::Spot, long, Some("0"), (&[], "1", "-54.5"));
    }

    #[test]
    fn a_margined_position_is_closed_at_the_value() {
        let style = SettlementStyle::Margined;
        let held = (Wallet { margin: money("5"), version: 7, ..wallet("1") }, position("10", "50", "5"));
        let released = "MarginReleased margin/alice/USD wallet/alice/USD 5";
        let profit = "RealizedPnl venue/paper/USD wallet/alice/USD 20";
        check(style, held, Some("7"), (&[released, profit], "26", "20.5"));
        check(style, held, Some("5"), (&[released], "6", "0.5"));
        let loss = ["RealizedPnl wallet/alice/USD venue/paper/USD 6", "Shortfall suspense/USD venue/paper/USD 44"];
        check(style, held, Some("0"), (&[released, loss[0], loss[1]], "0", "-49.5"));
        let (account, venue) = alice();
        let broke = post_settlement(&account, &venue, held, Price::ZERO, &terms(style, 0)).expect("valid");
        assert!(broke.wallet.is_frozen);
    }

    #[test]
    fn a_void_market_gives_back_what_is_open() {
        let refunded = |amount| format!("Refund venue/paper/USD wallet/alice/USD {amount}");
        let style = SettlementStyle::Prediction;
        check(style, (wallet("1"), position("100", "55", "0")), None, (&[&refunded("55")], "56", "0.5"));
        check(style, (wallet("1"), position("-100", "55", "0")), None, (&[&refunded("45")], "46", "0.5"));
        check(style, (wallet("1"), position("100", "0", "0")), None, (&[], "1", "0.5"));
        let spot = (wallet("1"), position("3", "30", "0"));
        check(SettlementStyle::Spot, spot, None, (&[&refunded("30")], "31", "0.5"));
        let held = (Wallet { margin: money("5"), ..wallet("1") }, position("-10", "50", "5"));
        let released = "MarginReleased margin/alice/USD wallet/alice/USD 5";
        check(SettlementStyle::Margined, held, None, (&[released], "6", "0.5"));
    }

    #[test]
    fn other_positions_keep_their_margin() {
        let (account, venue) = alice();
        let held = (Wallet { margin: money("8"), ..wallet("1") }, position("10", "50", "5"));
        let posting = post_refund(&account, &venue, held, &terms(SettlementStyle::Margined, 0)).expect("valid");
        assert_eq!((posting.wallet.cash, posting.wallet.margin), (money("6"), money("3")));
    }

    #[test]
    fn a_value_that_is_none_is_refused() {
        let (account, venue) = alice();
        let held = (Wallet::default(), Position { quantity: Quantity::from_micros(1), ..Position::default() });
        for (style, micros) in [
            (SettlementStyle::Prediction, ONE + 1),
            (SettlementStyle::Prediction, -1),
            (SettlementStyle::Spot, -1),
            (SettlementStyle::Margined, -1),
        ] {
            let price = Price::from_micros(micros);
            let refused = post_settlement(&account, &venue, held, price, &terms(style, 0));
            assert_eq!(refused.map(drop), Err(LedgerError::Price { price, style }));
        }
        let most = Position { realized_pnl: Money::from_micros(i64::MAX), ..position("100", "1", "0") };
        let refused = post_settlement(
            &account,
            &venue,
            (wallet("0"), most),
            Price::from_micros(ONE),
            &terms(SettlementStyle::Spot, 0),
        );
        assert!(matches!(refused, Err(LedgerError::Overflow(_))));
    }
}
