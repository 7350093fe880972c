//! Edge after every cost, and the share of capital that edge is worth (Kelly 1956).

/// Why an edge or a stake cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum KellyError {
    /// A probability lies in 0..=1.
    #[error("the probability {probability} is outside 0..=1")]
    InvalidProbability {
        /// The number as given.
        probability: f64,
    },
    /// A binary contract trades strictly between 0 and 1.
    #[error("the price {price} is outside (0, 1)")]
    InvalidPrice {
        /// The number as given.
        price: f64,
    },
    /// A fee rate lies in 0..1; with 1 the cost of a contract could reach its payout.
    #[error("the fee rate {rate} is outside 0..1")]
    InvalidFeeRate {
        /// The number as given.
        rate: f64,
    },
    /// Decimal odds are finite and above 1.
    #[error("the odds {odds} are not a finite number above 1")]
    InvalidOdds {
        /// The number as given.
        odds: f64,
    },
}

/// The price of one binary contract against our probability. All money per contract that pays 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PricedEdge {
    /// Taker fee per contract.
    pub fee: f64,
    /// What one contract costs: ask + fee.
    pub cost: f64,
    /// Expected profit per contract: probability - cost. Negative when it is a bad buy.
    pub edge: f64,
    /// Expected return on the money spent: edge / cost (0.05 = 5 %).
    pub edge_ratio: f64,
    /// Full Kelly fraction of capital, never below 0.
    pub kelly: f64,
}

/// Taker fee per contract at `price`: `rate * price * (1 - price)`, before the venue's own rounding of the total
/// (Polymarket sports: rate 0.03; Kalshi: 0.07).
///
/// Example: at 0.55 and rate 0.03 the fee is 0.007425.
#[must_use]
pub fn fee_per_share(rate: f64, price: f64) -> f64 {
    rate * price * (1.0 - price)
}

/// Full Kelly fraction for a bet at decimal odds: `f* = (p o - 1) / (o - 1)`; negative means do not bet.
///
/// Example: 55 % at odds 2.0 is worth 10 % of the capital.
///
/// # Errors
/// [`KellyError::InvalidProbability`] and [`KellyError::InvalidOdds`].
pub fn kelly_for_odds(probability: f64, odds: f64) -> Result<f64, KellyError> {
    check_probability(probability)?;
    if !(odds.is_finite() && odds > 1.0) {
        return Err(KellyError::InvalidOdds { odds });
    }
    Ok((probability * odds - 1.0) / (odds - 1.0))
}

/// Edge and full Kelly fraction for buying a binary contract at the ask: `c = ask + fee`, `f* = (p - c) / (1 - c)`,
/// clamped at 0.
///
/// The edge is always measured from ask plus fee: measured from the middle price it would promise the spread and the
/// fee as profit.
///
/// # Errors
/// [`KellyError`] when the probability, the ask or the rate is out of range.
///
/// ```
/// use tragen_domain::agents::kelly::price_edge;
/// let priced = price_edge(0.60, 0.55, 0.03)?;
/// assert!((priced.cost - 0.557_425).abs() < 1e-12);
/// assert!((priced.edge - 0.042_575).abs() < 1e-12);
/// assert!((priced.kelly - 0.096_198_384_454_612_04).abs() < 1e-12);
/// # Ok::<(), tragen_domain::agents::kelly::KellyError>(())
/// ```
pub fn price_edge(probability: f64, ask: f64, fee_rate: f64) -> Result<PricedEdge, KellyError> {
    check_probability(probability)?;
    if !(ask > 0.0 && ask < 1.0) {
        return Err(KellyError::InvalidPrice { price: ask });
    }
    if !(0.0..1.0).contains(&fee_rate) {
        return Err(KellyError::InvalidFeeRate { rate: fee_rate });
    }
    let fee = fee_per_share(fee_rate, ask);
    let cost = ask + fee;
    let edge = probability - cost;
    Ok(PricedEdge { fee, cost, edge, edge_ratio: edge / cost, kelly: (edge / (1.0 - cost)).max(0.0) })
}

/// The share of capital to stake: `multiplier * full Kelly`, never below 0 and never above `cap`.
///
/// Example: full Kelly 0.40 with multiplier 0.25 and cap 0.05 stakes 0.05. Anything that is not a number stakes 0.
#[must_use]
pub fn stake_fraction(full_kelly: f64, multiplier: f64, cap: f64) -> f64 {
    // `max(0.0)` drops a NaN, so a broken estimate or cap stakes 0 instead of spreading.
    (multiplier * full_kelly).max(0.0).min(cap.max(0.0))
}

fn check_probability(probability: f64) -> Result<(), KellyError> {
    if (0.0..=1.0).contains(&probability) { Ok(()) } else { Err(KellyError::InvalidProbability { probability }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, expected: f64, what: &str) {
        assert!((got - expected).abs() < 1e-12, "{what}: {got} is not {expected}");
    }

    #[test]
    fn odds_give_full_quarter_and_capped_stakes() {
        let check = |p: f64, odds: f64, full: f64, quarter: f64, capped: f64| {
            let kelly = kelly_for_odds(p, odds).expect("valid bet");
            close(kelly, full, "full");
            close(stake_fraction(kelly, 0.25, 1.0), quarter, "quarter");
            close(stake_fraction(kelly, 0.25, 0.05), capped, "capped");
        };
        check(0.55, 2.0, 0.1, 0.025, 0.025);
        check(0.4, 2.8, 0.066_666_666_666_666_6, 0.016_666_666_666_666_65, 0.016_666_666_666_666_65);
        check(0.25, 3.9, -0.008_620_689_655_172_422, 0.0, 0.0);
        check(0.5, 2.0, 0.0, 0.0, 0.0);
        check(0.9, 1.2, 0.4, 0.1, 0.05);
        check(1.0, 1.5, 1.0, 0.25, 0.05);
        check(0.0, 3.0, -0.5, 0.0, 0.0);
    }

    #[test]
    fn binary_edge_is_after_ask_and_fee() {
        let check = |p: f64, ask: f64, rate: f64, edge: f64, ratio: f64, kelly: f64| {
            let priced = price_edge(p, ask, rate).expect("valid price");
            close(priced.edge, edge, "edge");
            close(priced.edge_ratio, ratio, "ratio");
            close(priced.kelly, kelly, "kelly");
        };
        check(0.6, 0.55, 0.0, 0.05, 0.090_909_090_909_090_79, 0.111_111_111_111_110_98);
        check(0.35, 0.3, 0.03, 0.0437, 0.142_670_584_394_684_65, 0.062_995_531_209_456_56);
        check(0.97, 0.95, 0.03, 0.018_575, 0.019_523_346_559_108_715, 0.382_398_353_062_274_7);
        check(0.1, 0.07, 0.03, 0.028_047, 0.389_796_116_909_649_4, 0.030_221_529_728_559_01);
        // The ask looks 1 cent cheap, the fee eats more than that: no stake.
        check(0.51, 0.50, 0.07, -0.0075, -0.0075 / 0.5175, 0.0);
        close(fee_per_share(0.03, 0.55), 0.007_425, "fee");
    }

    #[test]
    fn inputs_out_of_range_are_named() {
        let check = |p: f64, ask: f64, rate: f64, expected: KellyError| {
            assert_eq!(price_edge(p, ask, rate), Err(expected));
        };
        check(1.1, 0.5, 0.0, KellyError::InvalidProbability { probability: 1.1 });
        check(0.5, 0.0, 0.0, KellyError::InvalidPrice { price: 0.0 });
        check(0.5, 1.0, 0.0, KellyError::InvalidPrice { price: 1.0 });
        check(0.5, 0.5, 1.0, KellyError::InvalidFeeRate { rate: 1.0 });
        check(0.5, 0.5, -0.1, KellyError::InvalidFeeRate { rate: -0.1 });
        assert!(price_edge(f64::NAN, 0.5, 0.0).is_err() && price_edge(0.5, f64::NAN, 0.0).is_err());
        assert_eq!(kelly_for_odds(0.5, 1.0), Err(KellyError::InvalidOdds { odds: 1.0 }));
        close(stake_fraction(f64::NAN, 0.25, 0.05), 0.0, "no number, no stake");
        close(stake_fraction(0.4, 0.25, f64::NAN), 0.0, "no cap, no stake");
    }
}
