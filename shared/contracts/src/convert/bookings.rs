//! What operators book by hand.

use super::{InvalidField, id, required};
use crate::v1::{self, booking::Kind, settlement::Outcome};
use tragen_domain::{
    money::{Money, Price},
    risk::{Booking, BookingKind, ConfirmedBooking, Payout},
};

/// Longest name of something in the books, bytes.
const REFERENCE_BYTES_MAX: usize = 128;

impl TryFrom<&v1::Booking> for Booking {
    type Error = InvalidField;

    fn try_from(booking: &v1::Booking) -> Result<Self, InvalidField> {
        let kind = match required("kind", booking.kind.as_ref())? {
            Kind::Adjustment(adjustment) => adjusted(adjustment).map_err(|bad| bad.inside("adjustment"))?,
            Kind::Correction(correction) => corrected(correction).map_err(|bad| bad.inside("correction"))?,
            Kind::Settlement(settlement) => settled(settlement).map_err(|bad| bad.inside("settlement"))?,
            Kind::Unfreezing(unfreezing) => unfrozen(unfreezing).map_err(|bad| bad.inside("unfreezing"))?,
        };
        Ok(Self { kind, reason: reason(&booking.reason)? })
    }
}

fn adjusted(adjustment: &v1::Adjustment) -> Result<BookingKind, InvalidField> {
    if adjustment.amount_micros == 0 {
        return Err(InvalidField::new("amount_micros", "AMOUNT_ZERO", "must not be zero"));
    }
    Ok(BookingKind::Adjustment {
        account: id("account_id", &adjustment.account_id)?,
        currency: id("currency", &adjustment.currency)?,
        amount: Money::from_micros(adjustment.amount_micros),
    })
}

fn corrected(correction: &v1::Correction) -> Result<BookingKind, InvalidField> {
    let (field, reference) = ("reference_id", &correction.reference_id);
    if reference.is_empty() {
        return Err(InvalidField::new(field, "REFERENCE_MISSING", "is missing"));
    }
    if reference.len() > REFERENCE_BYTES_MAX || !reference.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("must have at most {REFERENCE_BYTES_MAX} characters and no spaces");
        return Err(InvalidField::new(field, "REFERENCE_INVALID", message));
    }
    Ok(BookingKind::Correction { account: id("account_id", &correction.account_id)?, reference: reference.clone() })
}

fn settled(settlement: &v1::Settlement) -> Result<BookingKind, InvalidField> {
    let payout = match required("outcome", settlement.outcome.as_ref())? {
        Outcome::ValueMicros(value @ 0..) => Payout::Value(Price::from_micros(*value)),
        Outcome::ValueMicros(_) => {
            return Err(InvalidField::new("value_micros", "VALUE_OUT_OF_RANGE", "must not be negative"));
        }
        Outcome::IsVoid(true) => Payout::Void,
        Outcome::IsVoid(false) => {
            return Err(InvalidField::new("is_void", "OUTCOME_MISSING", "must be true when there is no value"));
        }
    };
    Ok(BookingKind::Settlement { instrument: id("instrument_id", &settlement.instrument_id)?, payout })
}

fn unfrozen(unfreezing: &v1::Unfreezing) -> Result<BookingKind, InvalidField> {
    Ok(BookingKind::Unfreezing {
        account: id("account_id", &unfreezing.account_id)?,
        currency: id("currency", &unfreezing.currency)?,
    })
}

fn reason(text: &str) -> Result<String, InvalidField> {
    if text.trim().is_empty() {
        return Err(InvalidField::new("reason", "REASON_MISSING", "is missing"));
    }
    if text.chars().count() > Booking::REASON_CHARS_MAX {
        let message = format!("must have at most {} characters", Booking::REASON_CHARS_MAX);
        return Err(InvalidField::new("reason", "REASON_TOO_LONG", message));
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidField::new("reason", "REASON_INVALID", "must be one line of text"));
    }
    Ok(text.to_owned())
}

impl From<&ConfirmedBooking> for v1::Booking {
    fn from(confirmed: &ConfirmedBooking) -> Self {
        let kind = match &confirmed.booking.kind {
            BookingKind::Adjustment { account, currency, amount } => Kind::Adjustment(v1::Adjustment {
                account_id: account.to_string(),
                currency: currency.to_string(),
                amount_micros: amount.micros(),
            }),
            BookingKind::Correction { account, reference } => {
                Kind::Correction(v1::Correction { account_id: account.to_string(), reference_id: reference.clone() })
            }
            BookingKind::Settlement { instrument, payout } => Kind::Settlement(v1::Settlement {
                instrument_id: instrument.to_string(),
                outcome: Some(match payout {
                    Payout::Value(value) => Outcome::ValueMicros(value.micros()),
                    Payout::Void => Outcome::IsVoid(true),
                }),
            }),
            BookingKind::Unfreezing { account, currency } => {
                Kind::Unfreezing(v1::Unfreezing { account_id: account.to_string(), currency: currency.to_string() })
            }
        };
        Self {
            kind: Some(kind),
            reason: confirmed.booking.reason.clone(),
            proposed_by: confirmed.proposed_by.clone(),
            confirmed_by: confirmed.confirmed_by.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn booking(kind: Kind) -> v1::Booking {
        v1::Booking {
            kind: Some(kind),
            reason: "a clerk's mistake".to_owned(),
            proposed_by: "ann".to_owned(),
            confirmed_by: "bob".to_owned(),
        }
    }

    fn all() -> [v1::Booking; 5] {
        let (account_id, currency) = ("alice".to_owned(), "USD".to_owned());
        let settled = |outcome| v1::Settlement { instrument_id: "P".to_owned(), outcome: Some(outcome) };
        [
            Kind::Adjustment(v1::Adjustment {
                account_id: account_id.clone(),
                currency: currency.clone(),
                amount_micros: -1,
            }),
            Kind::Correction(v1::Correction { account_id: account_id.clone(), reference_id: "t-1-o-x1".to_owned() }),
            Kind::Settlement(settled(Outcome::ValueMicros(0))),
            Kind::Settlement(settled(Outcome::IsVoid(true))),
            Kind::Unfreezing(v1::Unfreezing { account_id, currency }),
        ]
        .map(booking)
    }

    fn check(index: usize, change: impl Fn(&mut v1::Booking), field: &str, reason: &str) {
        let mut changed = all()[index].clone();
        change(&mut changed);
        let error = Booking::try_from(&changed).expect_err("refused");
        assert_eq!((error.field.as_str(), error.reason), (field, reason));
    }

    fn adjustment(change: impl Fn(&mut v1::Adjustment)) -> impl Fn(&mut v1::Booking) {
        move |booking| {
            if let Some(Kind::Adjustment(adjustment)) = &mut booking.kind {
                change(adjustment);
            }
        }
    }

    fn settlement(change: impl Fn(&mut v1::Settlement)) -> impl Fn(&mut v1::Booking) {
        move |booking| {
            if let Some(Kind::Settlement(settlement)) = &mut booking.kind {
                change(settlement);
            }
        }
    }

    #[test]
    fn bookings_survive_the_round_trip() {
        for sent in all() {
            let parsed = Booking::try_from(&sent).expect("valid");
            let (proposed_by, confirmed_by) = ("ann".to_owned(), "bob".to_owned());
            assert_eq!(v1::Booking::from(&ConfirmedBooking { booking: parsed, proposed_by, confirmed_by }), sent);
        }
    }

    #[test]
    fn what_is_wrong_with_a_booking_is_named() {
        check(0, |b| b.kind = None, "kind", "FIELD_MISSING");
        check(0, |b| b.reason = " ".to_owned(), "reason", "REASON_MISSING");
        check(0, |b| b.reason = "x".repeat(201), "reason", "REASON_TOO_LONG");
        check(0, |b| b.reason = "two\nlines".to_owned(), "reason", "REASON_INVALID");
        check(0, adjustment(|a| a.amount_micros = 0), "adjustment.amount_micros", "AMOUNT_ZERO");
        check(0, adjustment(|a| a.account_id = String::new()), "adjustment.account_id", "ID_MISSING");
        check(0, adjustment(|a| a.currency = "U$".to_owned()), "adjustment.currency", "ID_BAD_CHARSET");
        let reference = |text: &str| {
            let (account_id, reference_id) = ("alice".to_owned(), text.to_owned());
            move |b: &mut v1::Booking| {
                let (account_id, reference_id) = (account_id.clone(), reference_id.clone());
                b.kind = Some(Kind::Correction(v1::Correction { account_id, reference_id }));
            }
        };
        check(1, reference(""), "correction.reference_id", "REFERENCE_MISSING");
        check(1, reference("a b"), "correction.reference_id", "REFERENCE_INVALID");
        check(1, reference(&"x".repeat(129)), "correction.reference_id", "REFERENCE_INVALID");
        check(2, settlement(|s| s.outcome = None), "settlement.outcome", "FIELD_MISSING");
        let outcome = |outcome: Outcome| settlement(move |s| s.outcome = Some(outcome));
        check(2, outcome(Outcome::ValueMicros(-1)), "settlement.value_micros", "VALUE_OUT_OF_RANGE");
        check(2, outcome(Outcome::IsVoid(false)), "settlement.is_void", "OUTCOME_MISSING");
        check(2, settlement(|s| s.instrument_id = "a b".to_owned()), "settlement.instrument_id", "ID_BAD_CHARSET");
        assert!(Booking::try_from(&v1::Booking { reason: "é".repeat(200), ..all()[0].clone() }).is_ok());
    }
}
