//! Double entry: what a fill, a deposit or a withdrawal moves between which
//! ledger accounts. Every movement is one [`Transfer`] with a giving and a
//! receiving side, so the books balance by construction; a wallet never goes
//! below zero, because what it cannot cover is drawn from `suspense` and
//! freezes the account.

mod account;
mod progress;

pub use account::{LedgerAccount, Transfer, TransferKind, VenueId, VenueName};
pub use progress::{average_price, settled_status};

use crate::{
    execution::Fill,
    id::{AccountId, Currency},
    instrument::{SettlementStyle, SettlementTerms},
    money::{Money, ONE, Overflow, Price, Quantity},
    order::Side,
    position::{Position, PositionError},
};

/// The currency of an account when none is named.
pub const DEFAULT_CURRENCY: &str = "USD";

/// What an account holds in one currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wallet {
    /// Cash that can be spent, >= 0.
    pub cash: Money,
    /// Cash set aside for margined positions, >= 0.
    pub margin: Money,
    /// Grows by one with every posting.
    pub version: i64,
    /// Whether a posting could not be covered.
    pub is_frozen: bool,
}

/// What one fill does to the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// In the order they happen; empty for a fill that moves nothing.
    pub transfers: Vec<Transfer>,
    /// The wallet afterwards.
    pub wallet: Wallet,
    /// The position afterwards.
    pub position: Position,
}

/// What a deposit or withdrawal does to the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CashPosting {
    /// The movement.
    pub transfer: Transfer,
    /// The wallet afterwards.
    pub wallet: Wallet,
}

/// Why something cannot be booked; nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The position cannot take the fill.
    #[error(transparent)]
    Position(#[from] PositionError),
    /// A result does not fit 64 bits.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// A fill of nothing, or with a negative fee.
    #[error("a fill of {quantity} with fee {fee} is not a fill")]
    Fill {
        /// The quantity.
        quantity: Quantity,
        /// The fee.
        fee: Money,
    },
    /// A price the settlement style does not know.
    #[error("{price} is no price of a {style:?} instrument")]
    Price {
        /// The price.
        price: Price,
        /// The settlement style.
        style: SettlementStyle,
    },
    /// An amount that is not above zero.
    #[error("{amount} is not an amount to move")]
    Amount {
        /// The amount.
        amount: Money,
    },
    /// A withdrawal above the cash.
    #[error("cannot withdraw {requested} of {available}")]
    InsufficientFunds {
        /// The cash.
        available: Money,
        /// The withdrawal.
        requested: Money,
    },
    /// A withdrawal from a frozen account.
    #[error("the account is frozen")]
    Frozen,
}

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
    let margin = || LedgerAccount::Margin(account.clone(), currency.clone());
    let mut books = Books { account, currency, wallet, transfers: Vec::new() };

    books.receive(TransferKind::TradeProceeds, venue(), effect.proceeds)?;
    books.receive(TransferKind::MarginReleased, margin(), effect.margin_released)?;
    books.wallet.margin = books.wallet.margin.minus(effect.margin_released)?;
    // Fully paid styles have their profit in the proceeds.
    if terms.style == SettlementStyle::Margined {
        if effect.realized_pnl.is_negative() {
            books.pay(TransferKind::RealizedPnl, venue(), effect.realized_pnl.negated()?)?;
        } else {
            books.receive(TransferKind::RealizedPnl, venue(), effect.realized_pnl)?;
        }
    }
    books.pay(TransferKind::TradeCost, venue(), effect.cost)?;
    books.pay(TransferKind::MarginHeld, margin(), effect.margin_held)?;
    books.wallet.margin = books.wallet.margin.plus(effect.margin_held)?;
    books.pay(TransferKind::Fee, LedgerAccount::Fees(currency.clone()), effect.fee)?;

    let (wallet, transfers) = books.close()?;
    Ok(Posting { transfers, wallet, position })
}

/// Books money brought in.
///
/// # Errors
/// [`LedgerError::Amount`] or [`LedgerError::Overflow`].
pub fn post_deposit(
    account: &AccountId,
    currency: &Currency,
    wallet: Wallet,
    amount: Money,
) -> Result<CashPosting, LedgerError> {
    let transfer = Transfer {
        kind: TransferKind::Deposit,
        debit: LedgerAccount::Deposits(currency.clone()),
        credit: LedgerAccount::Wallet(account.clone(), currency.clone()),
        amount: positive(amount)?,
    };
    let cash = wallet.cash.plus(amount)?;
    Ok(CashPosting { transfer, wallet: Wallet { cash, version: next_version(wallet)?, ..wallet } })
}

/// Books money taken out. The guard has approved it; this is the second line of defense.
///
/// # Errors
/// [`LedgerError::Amount`], [`LedgerError::Frozen`], [`LedgerError::InsufficientFunds`] or [`LedgerError::Overflow`].
pub fn post_withdrawal(
    account: &AccountId,
    currency: &Currency,
    wallet: Wallet,
    amount: Money,
) -> Result<CashPosting, LedgerError> {
    let transfer = Transfer {
        kind: TransferKind::Withdrawal,
        debit: LedgerAccount::Wallet(account.clone(), currency.clone()),
        credit: LedgerAccount::Deposits(currency.clone()),
        amount: positive(amount)?,
    };
    if wallet.is_frozen {
        return Err(LedgerError::Frozen);
    }
    if amount > wallet.cash {
        return Err(LedgerError::InsufficientFunds { available: wallet.cash, requested: amount });
    }
    let cash = wallet.cash.minus(amount)?;
    Ok(CashPosting { transfer, wallet: Wallet { cash, version: next_version(wallet)?, ..wallet } })
}

/// One wallet while a fill is being booked.
struct Books<'a> {
    account: &'a AccountId,
    currency: &'a Currency,
    wallet: Wallet,
    transfers: Vec<Transfer>,
}

impl Books<'_> {
    fn own(&self) -> LedgerAccount {
        LedgerAccount::Wallet(self.account.clone(), self.currency.clone())
    }

    fn receive(&mut self, kind: TransferKind, debit: LedgerAccount, amount: Money) -> Result<(), Overflow> {
        if !amount.is_zero() {
            self.wallet.cash = self.wallet.cash.plus(amount)?;
            self.transfers.push(Transfer { kind, debit, credit: self.own(), amount });
        }
        Ok(())
    }

    /// Pays what the wallet covers; the receiver gets the rest from suspense.
    fn pay(&mut self, kind: TransferKind, credit: LedgerAccount, amount: Money) -> Result<(), Overflow> {
        let covered = amount.min(self.wallet.cash);
        let shortfall = amount.minus(covered)?;
        if !covered.is_zero() {
            self.wallet.cash = self.wallet.cash.minus(covered)?;
            self.transfers.push(Transfer { kind, debit: self.own(), credit: credit.clone(), amount: covered });
        }
        if !shortfall.is_zero() {
            self.wallet.is_frozen = true;
            let debit = LedgerAccount::Suspense(self.currency.clone());
            self.transfers.push(Transfer { kind: TransferKind::Shortfall, debit, credit, amount: shortfall });
        }
        Ok(())
    }

    fn close(mut self) -> Result<(Wallet, Vec<Transfer>), Overflow> {
        self.wallet.version = next_version(self.wallet)?;
        Ok((self.wallet, self.transfers))
    }
}

fn check_fill(fill: &Fill, style: SettlementStyle) -> Result<(), LedgerError> {
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

fn positive(amount: Money) -> Result<Money, LedgerError> {
    if amount > Money::ZERO { Ok(amount) } else { Err(LedgerError::Amount { amount }) }
}

fn next_version(wallet: Wallet) -> Result<i64, Overflow> {
    wallet.version.checked_add(1).ok_or(Overflow)
}

#[cfg(test)]
mod tests;
