//! Something booked by mistake, booked backwards. What is in the books stays
//! there; a correction is a new posting.

use super::{
    CashPosting, LedgerAccount, LedgerError, Posting, Transfer, TransferKind, VenueId, Wallet,
    books::Books,
    cash::{give, receive},
    fill::check_fill,
};
use crate::{
    execution::Fill,
    id::{AccountId, Currency},
    instrument::{SettlementStyle, SettlementTerms},
    money::Money,
    order::Side,
    position::Position,
};

/// Books the reverse of a deposit, withdrawal or adjustment of this wallet. A
/// frozen wallet takes part, because this is how it is put right. That a
/// transfer is reversed only once is for the caller to see to.
///
/// # Errors
/// [`LedgerError::NotReversible`] for any other transfer, [`LedgerError::InsufficientFunds`] when what came in
/// is no longer there, [`LedgerError::Amount`] or [`LedgerError::Overflow`].
pub fn post_reversal(
    account: &AccountId,
    currency: &Currency,
    wallet: Wallet,
    of: &Transfer,
) -> Result<CashPosting, LedgerError> {
    match of.kind {
        TransferKind::Deposit | TransferKind::Withdrawal | TransferKind::Adjustment => {}
        TransferKind::TradeCost
        | TransferKind::TradeProceeds
        | TransferKind::Fee
        | TransferKind::MarginHeld
        | TransferKind::MarginReleased
        | TransferKind::RealizedPnl
        | TransferKind::Shortfall
        | TransferKind::Settlement
        | TransferKind::Refund
        | TransferKind::Sent
        | TransferKind::Correction
        | TransferKind::SlotMoved => return Err(LedgerError::NotReversible),
    }
    let own = LedgerAccount::Wallet(account.clone(), currency.clone());
    if of.credit == own {
        give(TransferKind::Correction, of.debit.clone(), (account, currency, wallet), of.amount)
    } else if of.debit == own {
        receive(TransferKind::Correction, of.credit.clone(), (account, currency, wallet), of.amount)
    } else {
        Err(LedgerError::NotReversible)
    }
}

/// Books a fill that the venue has busted backwards: the opposite fill at the
/// same price, rounded as the fill was, and its fee given back. What suspense
/// had `drawn` for the fill goes back there first; what the wallet no longer covers
/// is drawn from it anew. [`Position::take_back`] has the rules; that a fill is
/// reversed only once is for the caller to see to.
///
/// # Errors
/// [`LedgerError::NotReversible`] for a fill that was never part of the position (its fee is not in there),
/// [`LedgerError::Position`] when spot that it bought is no longer held, [`LedgerError::Fill`],
/// [`LedgerError::Price`] or [`LedgerError::Overflow`].
pub fn post_fill_reversal(
    account: &AccountId,
    venue: &VenueId,
    (wallet, mut position): (Wallet, Position),
    (side, fill, drawn): (Side, &Fill, Money),
    terms: &SettlementTerms,
) -> Result<Posting, LedgerError> {
    check_fill(fill, terms.style)?;
    if fill.fee > position.fees {
        return Err(LedgerError::NotReversible);
    }
    let effect = position.take_back(side, fill, terms)?;
    let currency = &terms.currency;
    let venue = || LedgerAccount::Venue(venue.clone(), currency.clone());
    let mut books = Books::new(account, currency, wallet);

    // What is given back first, so that no shortfall arises that is none.
    books.receive(TransferKind::Correction, venue(), effect.proceeds)?;
    books.release_margin(effect.margin_released)?;
    books.receive(TransferKind::Correction, LedgerAccount::Fees(currency.clone()), effect.fee)?;
    if terms.style == SettlementStyle::Margined {
        books.realize(TransferKind::Correction, venue(), effect.realized_pnl)?;
    }
    let received = books.cash().minus(wallet.cash)?.max(Money::ZERO);
    books.pay(TransferKind::Correction, LedgerAccount::Suspense(currency.clone()), drawn.min(received))?;
    books.pay(TransferKind::Correction, venue(), effect.cost)?;
    books.hold_margin(effect.margin_held)?;

    let (wallet, transfers) = books.close()?;
    Ok(Posting { transfers, wallet, position })
}

#[cfg(test)]
mod tests {
    use super::super::{
        post_adjustment, post_deposit, post_fill, post_sent, post_withdrawal,
        tests::{alice, fill, money, moved, terms, usd, wallet},
    };
    use super::*;
    use crate::position::PositionError;

    #[test]
    fn cash_movements_are_booked_backwards() {
        let account = alice().0;
        let frozen = Wallet { is_frozen: true, ..wallet("10") };
        for (posting, transfer) in [
            (
                post_deposit(&account, &usd(), wallet("10"), money("4")),
                "Correction wallet/alice/USD external/deposits/USD 4",
            ),
            (
                post_withdrawal(&account, &usd(), wallet("10"), money("10")),
                "Correction external/deposits/USD wallet/alice/USD 10",
            ),
            (post_adjustment(&account, &usd(), wallet("10"), money("4")), "Correction wallet/alice/USD house/USD 4"),
            (post_adjustment(&account, &usd(), frozen, money("-4")), "Correction house/USD wallet/alice/USD 4"),
        ] {
            let CashPosting { transfer: of, wallet } = posting.expect("valid");
            let reversed = post_reversal(&account, &usd(), wallet, &of).expect("reversible");
            assert_eq!(moved(&[reversed.transfer]), [transfer]);
            assert_eq!(reversed.wallet, Wallet { cash: money("10"), version: 2, ..wallet });
        }
    }

    #[test]
    fn what_came_in_and_is_gone_stays_booked() {
        let account = alice().0;
        let paid = post_deposit(&account, &usd(), Wallet::default(), money("4")).expect("valid");
        let expected = LedgerError::InsufficientFunds { available: money("3.999999"), requested: money("4") };
        let refused = post_reversal(&account, &usd(), wallet("3.999999"), &paid.transfer);
        assert_eq!(refused.map(drop), Err(expected));
    }

    #[test]
    fn only_cash_movements_of_this_wallet_are_reversible() {
        let (account, bob) = (alice().0, AccountId::new("bob").expect("an id"));
        let euro = Currency::new("EUR").expect("a currency");
        let paid = post_deposit(&account, &usd(), wallet("10"), money("4")).expect("valid").transfer;
        let sent = post_sent(&account, (0, 0), &usd(), wallet("10"), money("4")).expect("valid").transfer;
        let reversed = post_reversal(&account, &usd(), wallet("10"), &paid).expect("reversible").transfer;
        for (account, currency, of) in
            [(&bob, usd(), &paid), (&account, euro, &paid), (&account, usd(), &sent), (&account, usd(), &reversed)]
        {
            let refused = post_reversal(account, &currency, wallet("10"), of);
            assert_eq!(refused.map(drop), Err(LedgerError::NotReversible), "{of:?} of {account}");
        }
        let fee = Transfer { kind: TransferKind::Fee, ..paid };
        let refused = post_reversal(&account, &usd(), wallet("10"), &fee);
        assert_eq!(refused.map(drop), Err(LedgerError::NotReversible));
    }

    /// Books `busted` after `fills`, then backwards: the transfers of that, and the books before it and after.
    fn busted(
        style: SettlementStyle,
        (cash, fills): (&str, &[(Side, Fill)]),
        (side, fill): (Side, Fill),
    ) -> (Vec<String>, (Wallet, Position), (Wallet, Position)) {
        let (account, venue) = alice();
        let terms = terms(style, 100_000);
        let mut held = (wallet(cash), Position::default());
        for (side, fill) in fills {
            let posting = post_fill(&account, &venue, held, *side, fill, &terms).expect("valid");
            held = (posting.wallet, posting.position);
        }
        let before = held;
        let posting = post_fill(&account, &venue, held, side, &fill, &terms).expect("valid");
        held = (posting.wallet, posting.position);
        let posting =
            post_fill_reversal(&account, &venue, held, (side, &fill, Money::ZERO), &terms).expect("reversible");
        (moved(&posting.transfers), before, (posting.wallet, posting.position))
    }

    #[test]
    fn a_busted_purchase_gives_back_its_cost_and_fee() {
        let earlier = [(Side::Buy, fill("0.4", "10", "0.1"))];
        let (transfers, before, after) =
            busted(SettlementStyle::Prediction, ("100", &earlier), (Side::Buy, fill("0.333333", "1.5", "0.25")));
        let expected = [
            // 0.333333 x 1.5 rounded up, as it was paid.
            "Correction venue/paper/USD wallet/alice/USD 0.5",
            "Correction fees/USD wallet/alice/USD 0.25",
        ];
        assert_eq!(transfers, expected);
        assert_eq!(after, (Wallet { version: 3, ..before.0 }, before.1));
    }

    #[test]
    fn a_busted_sale_takes_back_its_proceeds() {
        let earlier = [(Side::Buy, fill("0.4", "10", "0.1"))];
        let (transfers, before, after) =
            busted(SettlementStyle::Prediction, ("5", &earlier), (Side::Sell, fill("0.9", "4", "0.25")));
        let expected = ["Correction fees/USD wallet/alice/USD 0.25", "Correction wallet/alice/USD venue/paper/USD 3.6"];
        assert_eq!(transfers, expected);
        assert_eq!(after, (Wallet { version: 3, ..before.0 }, before.1));
    }

    #[test]
    fn a_busted_margined_fill_moves_margin_and_profit_back() {
        let earlier = [(Side::Buy, fill("10", "4", "0"))];
        let (transfers, before, after) =
            busted(SettlementStyle::Margined, ("5", &earlier), (Side::Sell, fill("12", "3", "0.5")));
        let expected = [
            "Correction fees/USD wallet/alice/USD 0.5",
            "Correction wallet/alice/USD venue/paper/USD 6",
            "MarginHeld wallet/alice/USD margin/alice/USD 3",
        ];
        assert_eq!(transfers, expected);
        assert_eq!(after, (Wallet { version: 3, ..before.0 }, before.1));
        let (transfers, before, after) =
            busted(SettlementStyle::Margined, ("5", &earlier), (Side::Buy, fill("12", "0.5", "0")));
        assert_eq!(transfers, ["MarginReleased margin/alice/USD wallet/alice/USD 0.6"]);
        assert_eq!(after, (Wallet { version: 3, ..before.0 }, before.1));
    }

    #[test]
    fn what_is_spent_already_is_drawn_from_suspense() {
        let (account, venue) = alice();
        let terms = terms(SettlementStyle::Prediction, 0);
        let sale = fill("0.9", "4", "0");
        let held = (wallet("1"), Position { fees: Money::ZERO, ..Position::default() });
        let none = Money::ZERO;
        let posting =
            post_fill_reversal(&account, &venue, held, (Side::Sell, &sale, none), &terms).expect("reversible");
        let expected = ["Correction wallet/alice/USD venue/paper/USD 1", "Shortfall suspense/USD venue/paper/USD 2.6"];
        assert_eq!(moved(&posting.transfers), expected);
        assert_eq!(posting.wallet, Wallet { version: 1, is_frozen: true, ..Wallet::default() });
    }

    #[test]
    fn what_suspense_had_paid_goes_back_there() {
        let (account, venue) = alice();
        let terms = terms(SettlementStyle::Prediction, 0);
        let dear = fill("0.6", "10", "0.25");
        let booked = post_fill(&account, &venue, (wallet("1"), Position::default()), Side::Buy, &dear, &terms);
        let booked = booked.expect("valid");
        assert_eq!(moved(&booked.transfers)[1], "Shortfall suspense/USD venue/paper/USD 5");
        let held = (booked.wallet, booked.position);
        let back = post_fill_reversal(&account, &venue, held, (Side::Buy, &dear, money("5.25")), &terms);
        let back = back.expect("reversible");
        let expected = [
            "Correction venue/paper/USD wallet/alice/USD 6",
            "Correction fees/USD wallet/alice/USD 0.25",
            "Correction wallet/alice/USD suspense/USD 5.25",
        ];
        assert_eq!(moved(&back.transfers), expected);
        assert_eq!((back.wallet.cash, back.position), (money("1"), Position::default()));
    }

    #[test]
    fn what_was_never_booked_is_not_reversed() {
        let (account, venue) = alice();
        let check = |style, (price, quantity, fee), expected| {
            let held = (wallet("10"), Position { fees: money("0.1"), ..Position::default() });
            let fill = fill(price, quantity, fee);
            let refused = post_fill_reversal(&account, &venue, held, (Side::Buy, &fill, Money::ZERO), &terms(style, 0));
            assert_eq!(refused.map(drop), Err(expected));
        };
        let (style, spot) = (SettlementStyle::Prediction, SettlementStyle::Spot);
        check(style, ("0.5", "1", "0.100001"), LedgerError::NotReversible);
        let (quantity, fee) = ("-1".parse().expect("a quantity"), Money::ZERO);
        check(style, ("0.5", "-1", "0"), LedgerError::Fill { quantity, fee });
        check(style, ("1.5", "1", "0"), LedgerError::Price { price: "1.5".parse().expect("a price"), style });
        let (held, requested) = (Default::default(), "1".parse().expect("a quantity"));
        check(spot, ("1.5", "1", "0"), LedgerError::Position(PositionError::SpotShort { held, requested }));
    }
}
