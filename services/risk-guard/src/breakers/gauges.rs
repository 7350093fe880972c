//! What people watch while nothing trips: equity, losses, and how near each breaker is.

use crate::metrics;
use ::metrics::gauge;
use tragen_domain::{
    money::Money,
    portfolio::BaselineFigures,
    risk::{Measured, Reading, Rules, nearness_ppm},
};

/// Sets every gauge; what cannot be measured is not a number, so that nobody takes an old value for a new one.
pub(super) fn set(rules: &Rules, readings: &[Reading], house: Option<&BaselineFigures>, losses: Option<&Measured>) {
    let worth = |of: fn(&BaselineFigures) -> Money| house.map(|figures| of(figures).micros());
    for (of, value) in [
        ("now", worth(|own| own.drawdown.equity)),
        ("day_start", worth(|own| own.start_of_day)),
        ("month_start", worth(|own| own.start_of_month)),
        ("peak", worth(|own| own.drawdown.peak)),
    ] {
        gauge!(metrics::EQUITY_MICROS, "of" => of).set(shown(value));
    }
    for (of, value) in [
        ("day", losses.map(|own| own.day_loss_ppm)),
        ("month", losses.map(|own| own.month_loss_ppm)),
        ("peak", losses.map(|own| own.drawdown_ppm)),
    ] {
        gauge!(metrics::LOSS_PPM, "of" => of).set(shown(value));
    }
    for (kind, value) in nearness_ppm(rules, readings) {
        gauge!(metrics::NEARNESS_PPM, "breaker" => kind.as_str()).set(shown(value));
    }
}

/// Exact up to nine thousand million units of a currency.
fn shown(value: Option<i64>) -> f64 {
    value.map_or(f64::NAN, |value| value as f64)
}
