//! Decimal numbers as they are typed.

use tragen_domain::money::Fixed;

/// A decimal number above zero with at most six decimals.
///
/// # Errors
/// What is wrong with the text; the parser of the command line adds the flag.
pub(crate) fn positive<U: Copy>(text: &str) -> Result<Fixed<U>, String> {
    let number: Fixed<U> = text.parse().map_err(|error: tragen_domain::money::ParseError| error.to_string())?;
    if number.micros() > 0 { Ok(number) } else { Err(format!("{text} is not above 0")) }
}

/// A decimal number of either sign, not zero, with at most six decimals.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn nonzero<U: Copy>(text: &str) -> Result<Fixed<U>, String> {
    let number: Fixed<U> = text.parse().map_err(|error: tragen_domain::money::ParseError| error.to_string())?;
    if number.micros() == 0 { Err(format!("{text} is zero")) } else { Ok(number) }
}

/// A decimal number of at least zero with at most six decimals.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn not_negative<U: Copy>(text: &str) -> Result<Fixed<U>, String> {
    let number: Fixed<U> = text.parse().map_err(|error: tragen_domain::money::ParseError| error.to_string())?;
    if number.micros() < 0 { Err(format!("{text} is below 0")) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tragen_domain::money::Money;

    fn check(text: &str, micros: Option<i64>) {
        assert_eq!(positive(text).ok().map(Money::micros), micros, "{text}");
    }

    #[test]
    fn decimals_become_micros() {
        check("0.55", Some(550_000));
        check("1000.00", Some(1_000_000_000));
        check("0.000001", Some(1));
        check("9223372036854.775807", Some(i64::MAX));
        for bad in ["0", "-1", "", ".5", "1e3", "0.0000001", "9223372036854.775808", "0x10", "NaN"] {
            check(bad, None);
        }
    }

    #[test]
    fn signs_and_zero_are_taken_where_they_mean_something() {
        let both = |text| (nonzero(text).ok().map(Money::micros), not_negative(text).ok().map(Money::micros));
        assert_eq!(both("-1"), (Some(-1_000_000), None));
        assert_eq!(both("0"), (None, Some(0)));
        assert_eq!(both("0.5"), (Some(500_000), Some(500_000)));
        assert_eq!(both("x"), (None, None));
    }
}
