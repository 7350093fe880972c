//! A fill in the books: what it closes comes in, what it opens goes out.

use super::{LedgerAccount, LedgerError, Posting, TransferKind, VenueId, Wallet, books::Books};
use crate::{
    execution::Fill,
    id::AccountId,
    instrument::{SettlementStyle, SettlementTerms},
    money::{ONE, Quantity},
    order::Side,
    position::Position,
};

/// Books one fill for `account` at `venue`: what it closes is received first,
/// then the cost, margin and fee are paid.
///
/// ```
/// use tragen_domain::{execution::Fill, id::*, instrument::*, ledger::*, money::Money, order::Side, position::Position, time::Timestamp};
/// let terms = SettlementTerms { style: SettlementStyle::Prediction, currency: Currency::new("USD").unwrap(), initial_margin_ppm: 0 };
/// let fill = Fill { id: ExecutionId::new("e1").unwrap(), price: "0.55".parse().unwrap(), quantity: "10".parse().unwrap(),
///     fee: "0.25".parse().unwrap(), executed_at: Timestamp::default() };
/// let wallet = Wallet { cash: "100".parse().unwrap(), ..Wallet::default() };
/// let (account, venue) = (AccountId::new("alice").unwrap(), VenueId::new("paper").unwrap());
/// let posting = post_fill(&account, &venue, (wallet, Position::default()), Side::Buy, &fill, &terms).unwrap();
/// assert_eq!(posting.wallet.cash.to_string(), "94.25");
/// assert_eq!(posting.transfers[0].debit.to_string(), "wallet/alice/USD");
/// ```
///
/// # Errors
/// [`LedgerError::Position`], [`LedgerError::Overflow`], [`LedgerError::Fill`] or [`LedgerError::Price`].
pub fn post_fill(
    account: &AccountId,
    venue: &VenueId,
    (wallet, mut position): (Wallet, Position),
    side: Side,
    fill: &Fill,
    terms: &SettlementTerms,
) -> Result<Posting, LedgerError> {
    check_fill(fill, terms.style)?;
    let effect = position.apply(side, fill, terms)?;
    let currency = &terms.currency;
    let venue = || LedgerAccount::Venue(venue.clone(), currency.clone());
    let mut books = Books::new(account, currency, wallet);

    books.receive(TransferKind::TradeProceeds, venue(), effect.proceeds)?;
    books.release_margin(effect.margin_released)?;
    // Fully paid styles have their profit in the proceeds.
    if terms.style == SettlementStyle::Margined {
        books.realize(TransferKind::RealizedPnl, venue(), effect.realized_pnl)?;
    }
    books.pay(TransferKind::TradeCost, venue(), effect.cost)?;
    books.hold_margin(effect.margin_held)?;
    books.pay(TransferKind::Fee, LedgerAccount::Fees(currency.clone()), effect.fee)?;

    let (wallet, transfers) = books.close()?;
    Ok(Posting { transfers, wallet, position })
}

pub(super) fn check_fill(fill: &Fill, style: SettlementStyle) -> Result<(), LedgerError> {
    if fill.quantity <= Quantity::ZERO || fill.fee.is_negative() {
        return Err(LedgerError::Fill { quantity: fill.quantity, fee: fill.fee });
    }
    let is_price = match style {
        // Both ends included: a settled market pays 0 or 1.
        SettlementStyle::Prediction => (0..=ONE).contains(&fill.price.micros()),
        SettlementStyle::Spot | SettlementStyle::Margined => fill.price.micros() > 0,
    };
    if is_price { Ok(()) } else { Err(LedgerError::Price { price: fill.price, style }) }
}
