//! The shape of a request about an account: money in, out and to another
//! account, statements, and how old a balance may be.

use crate::{
    id::{AccountId, Currency, IdError},
    routing::{
        reason::{Reason, Violation},
        request::{Found, RequestLimits, check_moment, check_page_size},
        request_id::{RequestId, check_request_id},
    },
    time::Timestamp,
};

/// A deposit, withdrawal or sending as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct CashFields<'a> {
    /// The client's id.
    pub request_id: &'a str,
    /// How much, 1e-6.
    pub amount_micros: i64,
    /// Which currency; empty for the default.
    pub currency: &'a str,
}

/// A request for the balances as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct AccountFields<'a> {
    /// Which currency; empty for the default.
    pub currency: &'a str,
    /// The oldest version that will do; 0 for any.
    pub min_version: i64,
    /// How old the answer may be, milliseconds; 0 for not at all.
    pub max_age_ms: i32,
}

/// A request for a statement as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct StatementFields<'a> {
    /// Which currency; empty for the default.
    pub currency: &'a str,
    /// From when on: seconds since the epoch and nanoseconds; `None` for the beginning.
    pub from: Option<(i64, i32)>,
    /// Before when; `None` for now.
    pub to: Option<(i64, i32)>,
    /// Lines of a page.
    pub page_size: i32,
}

/// What a statement covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// From this moment on; `None` for the beginning.
    pub from: Option<Timestamp>,
    /// Before this moment; `None` for now.
    pub to: Option<Timestamp>,
    /// Lines of a page, 1 to 500.
    pub page_size: i32,
}

/// The oldest balance that may be shown, milliseconds.
pub const BALANCE_AGE_MS_MAX: i32 = 30_000;

/// Checks the shape of a deposit or withdrawal and returns its id.
///
/// # Errors
/// Every violation, what must be corrected first; never empty.
pub fn check_cash(
    request: &CashFields<'_>,
    limits: &RequestLimits,
    now: Timestamp,
) -> Result<RequestId, Vec<Violation>> {
    let mut found = Found::default();
    let id = cash_fields(request, limits, now, &mut found);
    found.finish(id)
}

/// Checks the shape of a sending from `sender` to the account `receiver`, and
/// returns its id and who receives it.
///
/// # Errors
/// Every violation, what must be corrected first; never empty.
pub fn check_sending(
    request: &CashFields<'_>,
    (sender, receiver): (&AccountId, &str),
    limits: &RequestLimits,
    now: Timestamp,
) -> Result<(RequestId, AccountId), Vec<Violation>> {
    let field = "to_account_id";
    let mut found = Found::default();
    let id = cash_fields(request, limits, now, &mut found);
    let receiver = found.keep(AccountId::new(receiver).map_err(|error| {
        let reason = match error {
            IdError::Missing { .. } => Reason::ReceiverMissing,
            IdError::TooLong { .. } | IdError::Charset { .. } => Reason::ReceiverInvalid,
        };
        Violation::new(field, reason, error.to_string())
    }));
    if receiver.as_ref() == Some(sender) {
        found.add(field, Reason::ReceiverIsSender, "money is sent to another account, not to the own one");
    }
    found.finish(id.zip(receiver))
}

/// Checks the shape of a request for balances and returns how old they may be,
/// milliseconds; `None` for not at all.
///
/// # Errors
/// Every violation; never empty.
pub fn check_account(request: &AccountFields<'_>) -> Result<Option<u32>, Vec<Violation>> {
    let (field, mut found) = ("max_age_ms", Found::default());
    check_currency(request.currency, &mut found);
    let age = u32::try_from(request.max_age_ms).ok().filter(|_| request.max_age_ms <= BALANCE_AGE_MS_MAX);
    match age {
        None => {
            let message = format!("the age must be from 0 to {BALANCE_AGE_MS_MAX} ms");
            found.add(field, Reason::MaxAgeOutOfBounds, message);
        }
        Some(1..) if request.min_version != 0 => {
            let message = "either an age or a version may be asked for, not both";
            found.add(field, Reason::MaxAgeUnexpected, message);
        }
        Some(_) => {}
    }
    found.finish(age.map(|age| (age > 0).then_some(age)))
}

/// Checks the shape of a request for a statement and returns what it covers.
///
/// # Errors
/// Every violation; never empty.
pub fn check_statement(request: &StatementFields<'_>) -> Result<Period, Vec<Violation>> {
    let mut found = Found::default();
    check_currency(request.currency, &mut found);
    let page_size = found.keep(check_page_size(request.page_size));
    let from = request.from.and_then(|from| found.keep(check_moment("from", from)));
    let to = request.to.and_then(|to| found.keep(check_moment("to", to)));
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        found.add("to", Reason::PeriodInvalid, "the period must end after it begins");
    }
    found.finish(page_size.map(|page_size| Period { from, to, page_size }))
}

fn cash_fields(
    request: &CashFields<'_>,
    limits: &RequestLimits,
    now: Timestamp,
    found: &mut Found,
) -> Option<RequestId> {
    let id = found.keep(check_request_id(request.request_id, now));
    if request.amount_micros <= 0 {
        found.add("amount_micros", Reason::AmountNotPositive, "the amount must be above 0");
    } else if request.amount_micros > limits.cash_amount_max.micros() {
        let message = format!("at most {} may be moved at once", limits.cash_amount_max);
        found.add("amount_micros", Reason::AmountLimit, message);
    }
    check_currency(request.currency, found);
    id
}

fn check_currency(currency: &str, found: &mut Found) {
    if !currency.is_empty() && Currency::new(currency).is_err() {
        found.add("currency", Reason::CurrencyInvalid, "a currency has at most 8 letters and digits");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    /// The id's own time.
    const NOW: Timestamp = Timestamp::from_micros(1_688_096_058_518_000);

    fn reasons<T>(checked: Result<T, Vec<Violation>>) -> Vec<(&'static str, &'static str)> {
        checked.err().unwrap_or_default().iter().map(|v| (v.field, v.reason.as_str())).collect()
    }

    #[test]
    fn cash_moves_in_positive_bounded_amounts() {
        let check = |amount_micros, currency, expected: &[(&str, &str)]| {
            let request = CashFields { request_id: ID, amount_micros, currency };
            assert_eq!(reasons(check_cash(&request, &RequestLimits::default(), NOW)), expected);
        };
        check(1, "", &[]);
        check(1_000_000_000_000_000, "USD", &[]);
        check(0, "USD", &[("amount_micros", "AMOUNT_NOT_POSITIVE")]);
        check(-5, "U.S", &[("amount_micros", "AMOUNT_NOT_POSITIVE"), ("currency", "CURRENCY_INVALID")]);
        check(1_000_000_000_000_001, "USDC", &[("amount_micros", "AMOUNT_LIMIT")]);
    }

    #[test]
    fn money_is_sent_to_another_account() {
        let sender = AccountId::new("alice").expect("an id");
        let check = |receiver: &str, amount_micros, expected: &[(&str, &str)]| {
            let request = CashFields { request_id: ID, amount_micros, currency: "" };
            let checked = check_sending(&request, (&sender, receiver), &RequestLimits::default(), NOW);
            assert_eq!(reasons(checked), expected, "{receiver}");
        };
        check("bob", 1, &[]);
        check("Alice", 1, &[]);
        check("alice", 1, &[("to_account_id", "RECEIVER_IS_SENDER")]);
        check("", 0, &[("amount_micros", "AMOUNT_NOT_POSITIVE"), ("to_account_id", "RECEIVER_MISSING")]);
        check("a/b", 1, &[("to_account_id", "RECEIVER_INVALID")]);
        check(&"x".repeat(65), 1, &[("to_account_id", "RECEIVER_INVALID")]);
    }

    #[test]
    fn a_balance_may_be_half_a_minute_old_and_no_version_is_asked_for_then() {
        let check = |max_age_ms, min_version, expected: Result<Option<u32>, &[(&str, &str)]>| {
            let checked = check_account(&AccountFields { currency: "USD", min_version, max_age_ms });
            match expected {
                Ok(age) => assert_eq!(checked, Ok(age), "{max_age_ms} {min_version}"),
                Err(expected) => assert_eq!(reasons(checked), expected, "{max_age_ms} {min_version}"),
            }
        };
        check(0, 0, Ok(None));
        check(0, 7, Ok(None));
        check(1, 0, Ok(Some(1)));
        check(30_000, 0, Ok(Some(30_000)));
        check(30_001, 0, Err(&[("max_age_ms", "MAX_AGE_OUT_OF_BOUNDS")]));
        check(-1, 0, Err(&[("max_age_ms", "MAX_AGE_OUT_OF_BOUNDS")]));
        check(1, 7, Err(&[("max_age_ms", "MAX_AGE_UNEXPECTED")]));
        let bad = AccountFields { currency: "U$", min_version: 0, max_age_ms: 0 };
        assert_eq!(reasons(check_account(&bad)), [("currency", "CURRENCY_INVALID")]);
    }

    #[test]
    fn a_statement_covers_a_period_that_ends_after_it_begins() {
        let check = |from, to, expected: &[(&str, &str)]| {
            let request = StatementFields { currency: "", from, to, page_size: 0 };
            assert_eq!(reasons(check_statement(&request)), expected, "{from:?} {to:?}");
        };
        check(None, None, &[]);
        check(Some((10, 0)), None, &[]);
        check(None, Some((-10, 0)), &[]);
        check(Some((10, 0)), Some((10, 1_000)), &[]);
        check(Some((10, 0)), Some((10, 999)), &[("to", "PERIOD_INVALID")]);
        check(Some((11, 0)), Some((10, 0)), &[("to", "PERIOD_INVALID")]);
        check(Some((0, -1)), Some((i64::MAX, 0)), &[("from", "TIMESTAMP_INVALID"), ("to", "TIMESTAMP_INVALID")]);
        let request = StatementFields { currency: "U$", from: Some((1, 2_000)), to: None, page_size: -1 };
        assert_eq!(
            reasons(check_statement(&request)),
            [("currency", "CURRENCY_INVALID"), ("page_size", "PAGE_SIZE_INVALID")]
        );
        let period = check_statement(&StatementFields { currency: "USD", page_size: 1_000, ..request });
        let from = Some(Timestamp::from_micros(1_000_002));
        assert_eq!(period, Ok(Period { from, to: None, page_size: 500 }));
    }
}
