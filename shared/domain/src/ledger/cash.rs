//! Cash that moves outside of trading: brought in, taken out, sent, put right by
//! hand, or taken along when an account goes to another shard.

use super::{
    CashPosting, LedgerAccount, LedgerError, Transfer, TransferKind, Wallet,
    books::{next_version, positive},
};
use crate::{
    id::{AccountId, Currency},
    money::Money,
};

/// Which half of the move of an account to another shard is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MoveDirection {
    /// It leaves the shard.
    Out,
    /// It arrives in the other.
    In,
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
    let outside = LedgerAccount::Deposits(currency.clone());
    receive(TransferKind::Deposit, outside, (account, currency, wallet), amount)
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
    let outside = LedgerAccount::Deposits(currency.clone());
    give(TransferKind::Withdrawal, outside, (account, currency, wallet), unfrozen(wallet, amount)?)
}

/// Books money that leaves `account` for one of the shard `to`; refused like a
/// withdrawal. [`post_received`] is the other half.
///
/// ```
/// use tragen_domain::{id::*, ledger::*, money::Money};
/// let (alice, bob, usd) = (AccountId::new("alice").unwrap(), AccountId::new("bob").unwrap(), Currency::new("USD").unwrap());
/// let (purse, amount): (_, Money) = (Wallet { cash: "100".parse().unwrap(), ..Wallet::default() }, "30".parse().unwrap());
/// let sent = post_sent(&alice, (0, 1), &usd, purse, amount).unwrap();
/// let received = post_received(&bob, (0, 1), &usd, Wallet::default(), amount).unwrap();
/// assert_eq!(sent.transfer.credit.to_string(), "between/0-1/USD");
/// assert_eq!(sent.transfer.credit, received.transfer.debit);
/// assert_eq!((sent.wallet.cash.to_string(), received.wallet.cash.to_string()), ("70".into(), "30".into()));
/// ```
///
/// # Errors
/// [`LedgerError::Amount`], [`LedgerError::Frozen`], [`LedgerError::InsufficientFunds`] or [`LedgerError::Overflow`].
pub fn post_sent(
    account: &AccountId,
    (from, to): (u16, u16),
    currency: &Currency,
    wallet: Wallet,
    amount: Money,
) -> Result<CashPosting, LedgerError> {
    let between = LedgerAccount::Between { from, to, currency: currency.clone() };
    give(TransferKind::Sent, between, (account, currency, wallet), unfrozen(wallet, amount)?)
}

/// Books the arrival of money sent by an account of the shard `from`; a frozen
/// wallet receives it too.
///
/// # Errors
/// [`LedgerError::Amount`] or [`LedgerError::Overflow`].
pub fn post_received(
    account: &AccountId,
    (from, to): (u16, u16),
    currency: &Currency,
    wallet: Wallet,
    amount: Money,
) -> Result<CashPosting, LedgerError> {
    let between = LedgerAccount::Between { from, to, currency: currency.clone() };
    receive(TransferKind::Sent, between, (account, currency, wallet), amount)
}

/// Books cash put right by hand: `amount` comes from the house, or goes to it
/// when negative. A frozen wallet takes part, because this is how it is put right.
///
/// # Errors
/// [`LedgerError::Amount`] for zero, [`LedgerError::InsufficientFunds`] or [`LedgerError::Overflow`].
pub fn post_adjustment(
    account: &AccountId,
    currency: &Currency,
    wallet: Wallet,
    amount: Money,
) -> Result<CashPosting, LedgerError> {
    let (house, own) = (LedgerAccount::House(currency.clone()), (account, currency, wallet));
    if amount.is_negative() {
        give(TransferKind::Adjustment, house, own, amount.negated()?)
    } else {
        receive(TransferKind::Adjustment, house, own, amount)
    }
}

/// The wallet, unfrozen: it may withdraw and trade again. What suspense paid
/// for it is not asked back here; that is an adjustment.
///
/// # Errors
/// [`LedgerError::NotFrozen`] or [`LedgerError::Overflow`].
pub fn post_unfreezing(wallet: Wallet) -> Result<Wallet, LedgerError> {
    if !wallet.is_frozen {
        return Err(LedgerError::NotFrozen);
    }
    Ok(Wallet { is_frozen: false, version: next_version(wallet)?, ..wallet })
}

/// What moves when an account goes from shard `from` to shard `to`: its cash and
/// its margin; nothing for an empty wallet. The wallet itself stays as it is,
/// version included, and is kept by the other shard from then on.
///
/// # Errors
/// [`LedgerError::Amount`] when the cash or margin is below zero.
pub fn post_moved(
    account: &AccountId,
    currency: &Currency,
    wallet: Wallet,
    (from, to): (u16, u16),
    direction: MoveDirection,
) -> Result<Vec<Transfer>, LedgerError> {
    let mut transfers = Vec::new();
    for (own, amount) in [
        (LedgerAccount::Wallet(account.clone(), currency.clone()), wallet.cash),
        (LedgerAccount::Margin(account.clone(), currency.clone()), wallet.margin),
    ] {
        if amount.is_zero() {
            continue;
        }
        let between = LedgerAccount::Between { from, to, currency: currency.clone() };
        let (debit, credit) = match direction {
            MoveDirection::Out => (own, between),
            MoveDirection::In => (between, own),
        };
        transfers.push(Transfer { kind: TransferKind::SlotMoved, debit, credit, amount: positive(amount)? });
    }
    Ok(transfers)
}

/// Whose wallet, in which currency, and what it holds.
pub(super) type Owned<'a> = (&'a AccountId, &'a Currency, Wallet);

pub(super) fn receive(
    kind: TransferKind,
    debit: LedgerAccount,
    (account, currency, wallet): Owned<'_>,
    amount: Money,
) -> Result<CashPosting, LedgerError> {
    let credit = LedgerAccount::Wallet(account.clone(), currency.clone());
    let transfer = Transfer { kind, debit, credit, amount: positive(amount)? };
    let cash = wallet.cash.plus(amount)?;
    Ok(CashPosting { transfer, wallet: Wallet { cash, version: next_version(wallet)?, ..wallet } })
}

pub(super) fn give(
    kind: TransferKind,
    credit: LedgerAccount,
    (account, currency, wallet): Owned<'_>,
    amount: Money,
) -> Result<CashPosting, LedgerError> {
    let debit = LedgerAccount::Wallet(account.clone(), currency.clone());
    let transfer = Transfer { kind, debit, credit, amount: positive(amount)? };
    if amount > wallet.cash {
        return Err(LedgerError::InsufficientFunds { available: wallet.cash, requested: amount });
    }
    let cash = wallet.cash.minus(amount)?;
    Ok(CashPosting { transfer, wallet: Wallet { cash, version: next_version(wallet)?, ..wallet } })
}

/// The amount, if its owner may take it out; an amount that is none is refused first.
fn unfrozen(wallet: Wallet, amount: Money) -> Result<Money, LedgerError> {
    let amount = positive(amount)?;
    if wallet.is_frozen { Err(LedgerError::Frozen) } else { Ok(amount) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{alice, money, moved, usd, wallet};
    use super::*;
    use crate::money::Overflow;

    #[test]
    fn money_sent_leaves_one_wallet_and_reaches_the_other() {
        let (alice, bob) = (alice().0, AccountId::new("bob").expect("an id"));
        for shards in [(0, 0), (3, 1)] {
            let sent = post_sent(&alice, shards, &usd(), wallet("10"), money("4")).expect("valid");
            let received = post_received(&bob, shards, &usd(), wallet("1"), money("4")).expect("valid");
            let (from, to) = shards;
            let between = format!("between/{from}-{to}/USD");
            assert_eq!(moved(&[sent.transfer]), [format!("Sent wallet/alice/USD {between} 4")]);
            assert_eq!(moved(&[received.transfer]), [format!("Sent {between} wallet/bob/USD 4")]);
            assert_eq!(sent.wallet, Wallet { version: 1, ..wallet("6") });
            assert_eq!(received.wallet, Wallet { version: 1, ..wallet("5") });
        }
    }

    #[test]
    fn sending_is_refused_like_a_withdrawal() {
        let frozen = Wallet { is_frozen: true, ..wallet("10") };
        let most = Wallet { version: i64::MAX, ..wallet("10") };
        let short = LedgerError::InsufficientFunds { available: money("10"), requested: money("10.000001") };
        for (held, amount, expected) in [
            (wallet("10"), "0", LedgerError::Amount { amount: Money::ZERO }),
            (wallet("10"), "-1", LedgerError::Amount { amount: money("-1") }),
            (frozen, "0", LedgerError::Amount { amount: Money::ZERO }),
            (frozen, "1", LedgerError::Frozen),
            (wallet("10"), "10.000001", short),
            (most, "1", LedgerError::Overflow(Overflow)),
        ] {
            let sent = post_sent(&alice().0, (0, 1), &usd(), held, money(amount));
            let withdrawn = post_withdrawal(&alice().0, &usd(), held, money(amount));
            assert_eq!((sent.map(drop), withdrawn.map(drop)), (Err(expected), Err(expected)), "{amount} of {held:?}");
        }
        let all = post_sent(&alice().0, (0, 1), &usd(), wallet("10"), money("10")).expect("valid");
        assert_eq!(all.wallet.cash, Money::ZERO);
        let received = post_received(&alice().0, (0, 1), &usd(), frozen, money("1")).expect("valid");
        assert_eq!(received.wallet, Wallet { version: 1, is_frozen: true, ..wallet("11") });
    }

    #[test]
    fn an_adjustment_is_paid_by_the_house_or_to_it() {
        let frozen = Wallet { is_frozen: true, ..wallet("10") };
        for (held, amount, transfer, cash) in [
            (wallet("10"), "4", "Adjustment house/USD wallet/alice/USD 4", "14"),
            (wallet("10"), "-10", "Adjustment wallet/alice/USD house/USD 10", "0"),
            (frozen, "-4", "Adjustment wallet/alice/USD house/USD 4", "6"),
        ] {
            let posting = post_adjustment(&alice().0, &usd(), held, money(amount)).expect("valid");
            assert_eq!(moved(&[posting.transfer]), [transfer]);
            assert_eq!(posting.wallet, Wallet { cash: money(cash), version: 1, ..held });
        }
        let short = LedgerError::InsufficientFunds { available: money("10"), requested: money("10.000001") };
        for (amount, expected) in [
            (Money::ZERO, LedgerError::Amount { amount: Money::ZERO }),
            (money("-10.000001"), short),
            (Money::from_micros(i64::MAX), LedgerError::Overflow(Overflow)),
            (Money::from_micros(i64::MIN), LedgerError::Overflow(Overflow)),
        ] {
            assert_eq!(post_adjustment(&alice().0, &usd(), wallet("10"), amount).map(drop), Err(expected));
        }
    }

    #[test]
    fn only_a_frozen_account_is_unfrozen() {
        let frozen = Wallet { is_frozen: true, version: 4, ..wallet("10") };
        let thawed = post_unfreezing(frozen).expect("frozen");
        assert_eq!(thawed, Wallet { version: 5, ..wallet("10") });
        assert_eq!(post_unfreezing(thawed), Err(LedgerError::NotFrozen));
        let most = Wallet { version: i64::MAX, ..frozen };
        assert_eq!(post_unfreezing(most), Err(LedgerError::Overflow(Overflow)));
    }

    #[test]
    fn an_account_takes_cash_and_margin_along() {
        let post = |held, direction| post_moved(&alice().0, &usd(), held, (0, 2), direction).map(|t| moved(&t));
        let held = Wallet { margin: money("2.5"), is_frozen: true, ..wallet("10") };
        let out = ["SlotMoved wallet/alice/USD between/0-2/USD 10", "SlotMoved margin/alice/USD between/0-2/USD 2.5"];
        let back = ["SlotMoved between/0-2/USD wallet/alice/USD 10", "SlotMoved between/0-2/USD margin/alice/USD 2.5"];
        assert_eq!(post(held, MoveDirection::Out), Ok(out.map(str::to_owned).to_vec()));
        assert_eq!(post(held, MoveDirection::In), Ok(back.map(str::to_owned).to_vec()));
        assert_eq!(post(wallet("1"), MoveDirection::Out).map(|transfers| transfers.len()), Ok(1));
        assert_eq!(post(Wallet::default(), MoveDirection::Out), Ok(Vec::new()));
        let broken = Wallet { margin: money("-1"), ..wallet("10") };
        assert_eq!(post(broken, MoveDirection::Out), Err(LedgerError::Amount { amount: money("-1") }));
    }
}
