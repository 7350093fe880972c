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
}
