//! The few places where text and floats become checked numbers.

use tragen_domain::money::{ONE, Price};

/// No market this product knows has a price above it; larger numbers are typing errors.
const PRICE_MAX: Price = Price::from_micros(1_000_000_000 * ONE);

/// Decimal odds outside (1, 1001] are not offered by any bookmaker.
const ODDS_MAX: Price = Price::from_micros(1_001 * ONE);

/// A positive price out of text such as `1.57597`.
pub(crate) fn price(text: &str) -> Result<Price, String> {
    let price: Price = text.trim().parse().map_err(|error| format!("{error}"))?;
    if price.micros() <= 0 {
        return Err(format!("{price} is not above 0"));
    }
    if price > PRICE_MAX {
        return Err(format!("{price} is too large"));
    }
    Ok(price)
}

/// Decimal odds out of text such as `2.45`.
pub(crate) fn odds(text: &str) -> Result<f64, String> {
    let odds: Price = text.trim().parse().map_err(|error| format!("{error}"))?;
    if odds.micros() <= ONE {
        return Err(format!("the odds {odds} are not above 1"));
    }
    if odds > ODDS_MAX {
        return Err(format!("the odds {odds} are too large"));
    }
    text.trim().parse().map_err(|_| format!("{text:?} is not a number"))
}

/// A whole number of at most `most` out of text such as `2`.
pub(crate) fn count(text: &str, most: u8) -> Result<u8, String> {
    match text.trim().parse::<u8>() {
        Ok(count) if count <= most => Ok(count),
        _ => Err(format!("{text:?} is not a whole number from 0 to {most}")),
    }
}

/// A volume: not negative, any number of decimals.
pub(crate) fn volume(text: &str) -> Result<(), String> {
    match text.trim().parse::<f64>() {
        Ok(volume) if volume.is_finite() && (0.0..=1e18).contains(&volume) => Ok(()),
        _ => Err(format!("{text:?} is not a volume")),
    }
}

/// The whole number nearest to `value`; 0 for what is not a number.
#[expect(clippy::cast_possible_truncation, reason = "rounded first; a float-to-integer cast saturates")]
pub(crate) fn nearest(value: f64) -> i64 {
    value.round() as i64
}

/// A span of whole seconds or a small count as a float; spans over 68 years count as 68.
pub(crate) fn float(value: i64) -> f64 {
    f64::from(i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sane_numbers_pass() {
        assert_eq!(price("1.57597").map(Price::micros), Ok(1_575_970));
        for bad in ["", "NaN", "inf", "-1", "0", "1e9", "1,5", "99999999999", "0.0000001"] {
            assert!(price(bad).is_err(), "{bad}");
        }
        assert!(odds("2.45").is_ok_and(|odds| (odds - 2.45).abs() < 1e-12));
        for bad in ["1", "0.5", "-2", "NaN", "5000", "x"] {
            assert!(odds(bad).is_err(), "{bad}");
        }
        assert_eq!(count("3", 30), Ok(3));
        assert!(count("31", 30).is_err() && count("-1", 30).is_err() && count("1.5", 30).is_err());
        assert!(volume("0").is_ok() && volume("0.123456789").is_ok());
        assert!(volume("-1").is_err() && volume("NaN").is_err() && volume("1e30").is_err());
    }

    #[test]
    fn floats_become_the_nearest_whole_number() {
        assert_eq!((nearest(2.5), nearest(-2.4), nearest(f64::NAN)), (3, -2, 0));
        assert!((float(90) - 90.0).abs() < f64::EPSILON);
    }
}
