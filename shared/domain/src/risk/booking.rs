//! What operators book by hand takes two of them, within two minutes.

use super::State;
use crate::{
    id::{AccountId, Currency, InstrumentId},
    instrument::SettlementStyle,
    money::{Money, ONE, Price},
    time::Timestamp,
};

/// Most a prediction contract pays.
const PAYOUT_MAX: Price = Price::from_micros(ONE);

/// Something booked by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking {
    /// What.
    pub kind: BookingKind,
    /// Why; not blank.
    pub reason: String,
}

/// What is booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BookingKind {
    /// Cash put right.
    Adjustment {
        /// Whose.
        account: AccountId,
        /// Of which currency.
        currency: Currency,
        /// Signed, not zero.
        amount: Money,
    },
    /// Something booked by mistake, booked backwards.
    Correction {
        /// Whose.
        account: AccountId,
        /// What the books call it.
        reference: String,
    },
    /// A market decided: every position in it is paid out.
    Settlement {
        /// The instrument.
        instrument: InstrumentId,
        /// What is paid.
        payout: Payout,
    },
    /// A frozen account may trade and withdraw again.
    Unfreezing {
        /// Whose.
        account: AccountId,
        /// Of which currency.
        currency: Currency,
    },
}

/// What a decided market pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payout {
    /// So much per contract, >= 0.
    Value(Price),
    /// The market is void: what positions cost is given back.
    Void,
}

/// A booking waiting for its second person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookingProposal {
    /// Single use.
    pub token: String,
    /// What is to be booked.
    pub booking: Booking,
    /// Who proposed.
    pub principal: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A booking that two people want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmedBooking {
    /// What is booked.
    pub booking: Booking,
    /// The first.
    pub proposed_by: String,
    /// The second.
    pub confirmed_by: String,
}

/// Why a booking is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BookingRefused {
    /// No such token, or it was used.
    #[error("no booking was proposed under this token")]
    ProposalUnknown,
    /// The token has ended.
    #[error("the proposal has expired")]
    ProposalExpired,
    /// The second person is the first.
    #[error("another principal must confirm")]
    SamePrincipal,
    /// Too many are waiting.
    #[error("{limit} bookings are proposed already")]
    TooManyProposals {
        /// The limit.
        limit: usize,
    },
    /// The gate has never heard of the instrument.
    #[error("booking.settlement.instrument_id: there is no such instrument")]
    UnknownInstrument,
    /// Nothing was ever booked to the account: its name is a mistake. A first deposit opens a wallet, a booking does not.
    #[error("booking.{kind}.account_id: there is no such account, nothing was ever booked to it")]
    UnknownAccount {
        /// What was to be booked.
        kind: &'static str,
    },
    /// A prediction pays from 0 to 1.
    #[error("booking.settlement.value_micros: a contract pays at most {PAYOUT_MAX}")]
    ValueOutOfRange,
}

impl Booking {
    /// Longest reason, characters.
    pub const REASON_CHARS_MAX: usize = 200;
}

impl BookingKind {
    /// Whose books it changes; `None` for a settlement, which is everybody's.
    #[must_use]
    pub const fn account(&self) -> Option<&AccountId> {
        match self {
            Self::Adjustment { account, .. } | Self::Correction { account, .. } | Self::Unfreezing { account, .. } => {
                Some(account)
            }
            Self::Settlement { .. } => None,
        }
    }

    /// As the wire calls it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Adjustment { .. } => "adjustment",
            Self::Correction { .. } => "correction",
            Self::Settlement { .. } => "settlement",
            Self::Unfreezing { .. } => "unfreezing",
        }
    }

    /// The instrument that nobody trades any more after it.
    #[must_use]
    pub const fn settled(&self) -> Option<&InstrumentId> {
        match self {
            Self::Settlement { instrument, .. } => Some(instrument),
            Self::Adjustment { .. } | Self::Correction { .. } | Self::Unfreezing { .. } => None,
        }
    }
}

impl BookingRefused {
    /// As written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProposalUnknown => "PROPOSAL_UNKNOWN",
            Self::ProposalExpired => "PROPOSAL_EXPIRED",
            Self::SamePrincipal => "SAME_PRINCIPAL",
            Self::TooManyProposals { .. } => "TOO_MANY_PROPOSALS",
            Self::UnknownInstrument => "UNKNOWN_INSTRUMENT",
            Self::UnknownAccount { .. } => "UNKNOWN_ACCOUNT",
            Self::ValueOutOfRange => "VALUE_OUT_OF_RANGE",
        }
    }
}

/// First step. The caller makes the token.
///
/// # Errors
/// [`BookingRefused`].
pub fn propose_booking(
    state: &mut State,
    booking: Booking,
    principal: &str,
    token: String,
    now: Timestamp,
) -> Result<BookingProposal, BookingRefused> {
    if let BookingKind::Settlement { instrument, payout } = &booking.kind {
        check_settlement(state, instrument, *payout)?;
    }
    check_account(state, &booking.kind)?;
    state.bookings.retain(|proposal| proposal.expires_at >= now);
    let limit = state.limits().booking_proposals_max;
    if state.bookings.len() >= limit {
        return Err(BookingRefused::TooManyProposals { limit });
    }
    let expires_at = now.plus_millis(state.limits().booking_valid_ms);
    let proposal = BookingProposal { token, booking, principal: principal.to_owned(), expires_at };
    state.bookings.push(proposal.clone());
    Ok(proposal)
}

/// Second step: what to journal, apply and tell. The token is spent by it; a
/// refusal for the person leaves it in place.
///
/// # Errors
/// [`BookingRefused`].
pub fn confirm_booking(
    state: &mut State,
    token: &str,
    principal: &str,
    now: Timestamp,
) -> Result<ConfirmedBooking, BookingRefused> {
    let index = state.bookings.iter().position(|p| p.token == token).ok_or(BookingRefused::ProposalUnknown)?;
    let proposal = &state.bookings[index];
    if now > proposal.expires_at {
        state.bookings.remove(index);
        return Err(BookingRefused::ProposalExpired);
    }
    if proposal.principal == principal {
        return Err(BookingRefused::SamePrincipal);
    }
    let BookingProposal { booking, principal: proposed_by, .. } = state.bookings.remove(index);
    Ok(ConfirmedBooking { booking, proposed_by, confirmed_by: principal.to_owned() })
}

/// Whoever has a wallet in any currency is known: another currency may be booked to him.
fn check_account(state: &State, kind: &BookingKind) -> Result<(), BookingRefused> {
    let has_wallet = |account: &AccountId| {
        let known = state.account(account);
        known.is_some_and(|known| known.balances().any(|(_, balance)| balance.posted.is_some()))
    };
    match kind.account() {
        Some(account) if !has_wallet(account) => Err(BookingRefused::UnknownAccount { kind: kind.as_str() }),
        Some(_) | None => Ok(()),
    }
}

/// The definition may be gone once the market is over; a position tells that there was one.
fn check_settlement(state: &State, instrument: &InstrumentId, payout: Payout) -> Result<(), BookingRefused> {
    let Some(definition) = state.instrument(instrument) else {
        let is_held = state.accounts().any(|(_, account)| account.holding(instrument).is_some());
        return if is_held { Ok(()) } else { Err(BookingRefused::UnknownInstrument) };
    };
    match (definition.settlement.style, payout) {
        (SettlementStyle::Prediction, Payout::Value(value)) if value > PAYOUT_MAX => {
            Err(BookingRefused::ValueOutOfRange)
        }
        (SettlementStyle::Prediction | SettlementStyle::Spot | SettlementStyle::Margined, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        instrument::{Instrument, InstrumentStatus, SettlementTerms},
        money::Quantity,
        risk::{Limits, Posted, PostedBalance, PostedPosition, Record},
    };

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn id<K: crate::id::Kind>(text: &str) -> crate::id::Id<K> {
        crate::id::Id::new(text).expect("an id")
    }

    /// The gate knows the prediction P and the spot pair S, and that alice holds what is not defined any more.
    fn state() -> State {
        let mut state = State::new(Limits::default());
        for (name, style) in [("P", SettlementStyle::Prediction), ("S", SettlementStyle::Spot)] {
            let instrument = Instrument {
                id: id(name),
                name: name.to_owned(),
                settlement: SettlementTerms { style, currency: id("USD"), initial_margin_ppm: 0 },
                tick: Price::from_micros(10_000),
                lot: Quantity::from_micros(ONE),
                min_quantity: Quantity::from_micros(ONE),
                max_quantity: Quantity::from_micros(ONE),
                min_price: Price::from_micros(10_000),
                max_price: Price::from_micros(990_000),
                taker_fee_ppm: 0,
                status: InstrumentStatus::Open,
                prediction: None,
                max_quote_age_ms: None,
            };
            state.apply(Record::Instrument(Box::new(instrument))).expect("fits");
        }
        let position = PostedPosition {
            instrument: id("OVER"),
            quantity: Quantity::from_micros(ONE),
            average_price: Price::from_micros(500_000),
            margin: Money::ZERO,
            version: 1,
        };
        let posted = Posted {
            account: id("alice"),
            trade: None,
            is_final: false,
            executions: Vec::new(),
            balances: Vec::new(),
            positions: vec![position],
        };
        state.apply(Record::Posted(Box::new(posted))).expect("fits");
        state
    }

    fn settlement(instrument: &str, payout: Payout) -> Booking {
        Booking { kind: BookingKind::Settlement { instrument: id(instrument), payout }, reason: "full time".to_owned() }
    }

    #[test]
    fn a_settlement_names_what_can_be_settled_and_what_it_can_pay() {
        let mut state = state();
        let mut check = |instrument, payout, expected: Result<(), BookingRefused>| {
            let proposed = propose_booking(&mut state, settlement(instrument, payout), "ann", "t".to_owned(), NOW);
            assert_eq!(proposed.map(drop), expected, "{instrument} {payout:?}");
        };
        let value = |micros| Payout::Value(Price::from_micros(micros));
        check("P", value(0), Ok(()));
        check("P", value(1_000_000), Ok(()));
        check("P", value(1_000_001), Err(BookingRefused::ValueOutOfRange));
        check("P", Payout::Void, Ok(()));
        check("S", value(1_000_001), Ok(()));
        check("OVER", value(1_000_000), Ok(()));
        check("NEVER", Payout::Void, Err(BookingRefused::UnknownInstrument));
    }

    #[test]
    fn only_who_has_a_wallet_can_be_booked_to() {
        let mut state = state();
        let balance =
            PostedBalance { currency: id("USD"), cash: Money::ZERO, version: 1, is_frozen: false, flow: Money::ZERO };
        let posted = Posted {
            account: id("bob"),
            trade: None,
            is_final: false,
            executions: Vec::new(),
            balances: vec![balance],
            positions: Vec::new(),
        };
        state.apply(Record::Posted(Box::new(posted))).expect("fits");
        let kinds = |account: &str| {
            let (euros, one) = (id("EUR"), Money::from_micros(1));
            [
                BookingKind::Adjustment { account: id(account), currency: euros, amount: one },
                BookingKind::Correction { account: id(account), reference: "e1".to_owned() },
                BookingKind::Unfreezing { account: id(account), currency: id("USD") },
            ]
        };
        // alice has a position and no wallet: nobody has ever told of one.
        for (account, is_known) in [("bob", true), ("alice", false), ("bbo", false)] {
            for kind in kinds(account) {
                let name = kind.as_str();
                let booking = Booking { kind, reason: "why".to_owned() };
                let proposed = propose_booking(&mut state, booking, "ann", "t".to_owned(), NOW).map(drop);
                let expected = if is_known { Ok(()) } else { Err(BookingRefused::UnknownAccount { kind: name }) };
                assert_eq!(proposed, expected, "{name} of {account}");
            }
        }
    }

    #[test]
    fn a_booking_takes_two_people_within_two_minutes_and_a_token_is_good_once() {
        let mut state = state();
        let booking = settlement("P", Payout::Void);
        let proposal = propose_booking(&mut state, booking.clone(), "ann", "t".to_owned(), NOW).expect("proposed");
        assert_eq!(proposal.expires_at, NOW.plus_millis(120_000));
        let end = proposal.expires_at;
        assert_eq!(confirm_booking(&mut state, "x", "bob", end), Err(BookingRefused::ProposalUnknown));
        assert_eq!(confirm_booking(&mut state, "t", "ann", end), Err(BookingRefused::SamePrincipal));
        let late = Timestamp::from_micros(end.micros() + 1);
        assert_eq!(confirm_booking(&mut state.clone(), "t", "bob", late), Err(BookingRefused::ProposalExpired));
        let confirmed = confirm_booking(&mut state, "t", "bob", end).expect("confirmed");
        let expected = ConfirmedBooking { booking, proposed_by: "ann".to_owned(), confirmed_by: "bob".to_owned() };
        assert_eq!(confirmed, expected);
        assert_eq!(confirm_booking(&mut state, "t", "bob", end), Err(BookingRefused::ProposalUnknown));
    }

    #[test]
    fn so_many_bookings_wait_at_most_and_what_has_expired_waits_no_more() {
        let mut state = state();
        state.limits_mut().booking_proposals_max = 1;
        let mut propose = |now| propose_booking(&mut state, settlement("P", Payout::Void), "ann", "t".to_owned(), now);
        assert!(propose(NOW).is_ok());
        assert_eq!(propose(NOW.plus_millis(120_000)), Err(BookingRefused::TooManyProposals { limit: 1 }));
        assert!(propose(NOW.plus_millis(120_001)).is_ok());
    }
}
