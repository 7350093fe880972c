//! How much to buy: by the loss at the stop, by the edge of a contract, or by the volatility of the price.

use super::count::{floor_to_count, floor_whole};

/// No trade spends more than this share of the wallet (5 %), whatever the edge.
pub const MAX_WALLET_SHARE: f64 = 0.05;

/// Why a size cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SizingError {
    /// Amounts, prices and sizes are finite and not negative.
    #[error("{name} is {value}, but must be a finite number of at least 0")]
    InvalidAmount {
        /// Name of the field.
        name: &'static str,
        /// The value as given.
        value: f64,
    },
    /// A divisor (stop distance, point value, lot step, cost, volatility) must be above 0.
    #[error("{name} is {value}, but must be a finite number above 0")]
    NotPositive {
        /// Name of the field.
        name: &'static str,
        /// The value as given.
        value: f64,
    },
}

/// A trade whose size follows from what it may lose at its stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StopRisk {
    /// Capital of the agent, in money.
    pub capital: f64,
    /// Share of the capital to lose at the stop (0.01 = 1 %).
    pub risk_per_trade: f64,
    /// Expected entry price.
    pub entry: f64,
    /// Stop price, not equal to the entry.
    pub stop: f64,
    /// Money per unit of quantity when the price moves by 1 (100,000 for a standard FX lot).
    pub point_value: f64,
}

/// What the instrument allows, in units of quantity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LotRule {
    /// Smallest order.
    pub min_quantity: f64,
    /// Largest order.
    pub max_quantity: f64,
    /// Quantities are multiples of this, above 0.
    pub step: f64,
}

/// Quantity that loses `capital * risk_per_trade` at the stop, rounded down to the step: 0 below the minimum, and never
/// above the maximum.
///
/// `quantity = floor_step(capital * risk / (|entry - stop| * point_value))`
///
/// ```
/// use tragen_domain::agents::sizing::{stop_risk_quantity, LotRule, StopRisk};
/// let risk = StopRisk { capital: 100_000.0, risk_per_trade: 0.01, entry: 1.1, stop: 1.095, point_value: 100_000.0 };
/// let lots = LotRule { min_quantity: 0.01, max_quantity: 5.0, step: 0.01 };
/// assert!((stop_risk_quantity(&risk, &lots)? - 2.0).abs() < 1e-12); // 1,000 over 50 pips at 10 a pip
/// # Ok::<(), tragen_domain::agents::sizing::SizingError>(())
/// ```
///
/// # Errors
/// [`SizingError`] when a number is not usable; a stop at the entry price is [`SizingError::NotPositive`].
pub fn stop_risk_quantity(risk: &StopRisk, lots: &LotRule) -> Result<f64, SizingError> {
    let capital = amount("capital", risk.capital)?;
    let share = amount("risk_per_trade", risk.risk_per_trade)?;
    let distance = positive("stop_distance", (risk.entry - risk.stop).abs())?;
    let point_value = positive("point_value", risk.point_value)?;
    let (min, max) = (amount("min_quantity", lots.min_quantity)?, amount("max_quantity", lots.max_quantity)?);
    let step = positive("step", lots.step)?;
    let raw = (capital * share / (distance * point_value)).min(max);
    let quantity = (floor_whole(raw / step) * step).min(max);
    // 7 steps of 0.01 multiply to 0.07000000000000001 or less: float noise must not refuse the minimum.
    Ok(if quantity < min * (1.0 - 1e-9) { 0.0 } else { quantity })
}

/// A buy of binary contracts on a user's mandate. All money in the currency of the wallet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mandate {
    /// Share of the capital worth staking: the agent's Kelly multiplier times the full Kelly fraction, 0 to 1.
    pub kelly_fraction: f64,
    /// Capital that the Kelly fraction refers to.
    pub capital: f64,
    /// Available balance of the wallet that pays.
    pub wallet: f64,
    /// What the user allows to spend in all.
    pub budget: f64,
    /// Ask price of one contract, above 0.
    pub ask: f64,
    /// Taker fee of one contract.
    pub fee: f64,
    /// Contracts offered at the ask.
    pub ask_size: f64,
}

/// What kept a mandate from being larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SizeLimit {
    /// The edge is worth no more.
    Kelly,
    /// [`MAX_WALLET_SHARE`] of the wallet.
    WalletShare,
    /// The user's budget.
    Budget,
    /// No more contracts at this price.
    AskSize,
}

/// The size of a mandate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MandateSize {
    /// Whole contracts to buy; 0 when the stake does not pay for one.
    pub contracts: u64,
    /// The limit that decided.
    pub limited_by: SizeLimit,
}

/// Whole contracts for a mandate: `stake = min(kelly * capital, 5 % of the wallet, budget)`,
/// `contracts = floor(stake / (ask + fee))`, never more than the ask offers. Of equal limits the first named decides.
///
/// ```
/// use tragen_domain::agents::sizing::{mandate_contracts, Mandate, SizeLimit};
/// let mandate = Mandate {
///     kelly_fraction: 0.024, capital: 1_000.0, wallet: 1_000.0, budget: 100.0,
///     ask: 0.55, fee: 0.007_425, ask_size: 500.0,
/// };
/// let size = mandate_contracts(&mandate)?; // 24 / 0.557425 = 43.05
/// assert_eq!((size.contracts, size.limited_by), (43, SizeLimit::Kelly));
/// # Ok::<(), tragen_domain::agents::sizing::SizingError>(())
/// ```
///
/// # Errors
/// [`SizingError`] when a number is not usable.
pub fn mandate_contracts(mandate: &Mandate) -> Result<MandateSize, SizingError> {
    let kelly = amount("kelly_fraction", mandate.kelly_fraction)? * amount("capital", mandate.capital)?;
    let wallet_share = MAX_WALLET_SHARE * amount("wallet", mandate.wallet)?;
    let budget = amount("budget", mandate.budget)?;
    let cost = positive("ask", mandate.ask)? + amount("fee", mandate.fee)?;
    let offered = floor_to_count(amount("ask_size", mandate.ask_size)?);

    let (mut stake, mut limited_by) = (kelly, SizeLimit::Kelly);
    for (limit, reason) in [(wallet_share, SizeLimit::WalletShare), (budget, SizeLimit::Budget)] {
        if limit < stake {
            (stake, limited_by) = (limit, reason);
        }
    }
    let affordable = floor_to_count(stake / cost);
    if offered < affordable {
        return Ok(MandateSize { contracts: offered, limited_by: SizeLimit::AskSize });
    }
    Ok(MandateSize { contracts: affordable, limited_by })
}

/// How many times the capital to hold so that its volatility meets a target (Moreira and Muir 2017):
/// `min(target / realized, cap)`, both volatilities per year.
///
/// Example: a target of 10 % in a market of 20 % holds half the capital.
///
/// # Errors
/// [`SizingError`] when a number is not usable.
pub fn volatility_leverage(target: f64, realized: f64, cap: f64) -> Result<f64, SizingError> {
    Ok((amount("target", target)? / positive("realized", realized)?).min(amount("cap", cap)?))
}

fn amount(name: &'static str, value: f64) -> Result<f64, SizingError> {
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err(SizingError::InvalidAmount { name, value }) }
}

fn positive(name: &'static str, value: f64) -> Result<f64, SizingError> {
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err(SizingError::NotPositive { name, value }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantity_loses_the_risk_at_the_stop() {
        let check = |(capital, risk_per_trade): (f64, f64),
                     (entry, stop, point_value): (f64, f64, f64),
                     lots: [f64; 3],
                     expected: f64| {
            let risk = StopRisk { capital, risk_per_trade, entry, stop, point_value };
            let lots = LotRule { min_quantity: lots[0], max_quantity: lots[1], step: lots[2] };
            let quantity = stop_risk_quantity(&risk, &lots).expect("valid trade");
            assert!((quantity - expected).abs() <= 1e-9 * expected, "{quantity} is not {expected}");
        };
        check((100_000.0, 0.01), (1.1, 1.095, 100_000.0), [0.01, 5.0, 0.01], 2.0);
        // An index future of 20 a point: a third of a contract is none.
        check((100_000.0, 0.01), (15_750.0, 15_600.0, 20.0), [1.0, 50.0, 1.0], 0.0);
        check((10_000.0, 0.005), (1.3, 1.299, 100_000.0), [0.01, 50.0, 0.01], 0.5);
        check((1_000.0, 0.01), (50_000.0, 49_000.0, 1.0), [0.001, 1.0, 0.001], 0.01);
        // Short, at the maximum, below the minimum, and a step far below the size.
        check((100_000.0, 0.01), (1.095, 1.1, 100_000.0), [0.01, 1.5, 0.01], 1.5);
        check((100_000.0, 0.01), (1.1, 1.095, 100_000.0), [2.5, 5.0, 0.01], 0.0);
        check((1e6, 0.02), (2.0, 1.5, 1.0), [1e-8, 1e6, 1e-8], 40_000.0);
    }

    #[test]
    fn mandate_is_held_by_its_tightest_limit() {
        let base = Mandate {
            kelly_fraction: 0.024,
            capital: 1_000.0,
            wallet: 1_000.0,
            budget: 100.0,
            ask: 0.55,
            fee: 0.007_425,
            ask_size: 500.0,
        };
        let check = |mandate: Mandate, contracts: u64, limited_by: SizeLimit| {
            assert_eq!(mandate_contracts(&mandate), Ok(MandateSize { contracts, limited_by }), "{mandate:?}");
        };
        check(base, 43, SizeLimit::Kelly);
        check(Mandate { kelly_fraction: 0.5, ..base }, 89, SizeLimit::WalletShare);
        check(Mandate { kelly_fraction: 0.5, budget: 20.0, ..base }, 35, SizeLimit::Budget);
        check(Mandate { ask_size: 10.9, ..base }, 10, SizeLimit::AskSize);
        check(Mandate { budget: 0.5, ..base }, 0, SizeLimit::Budget);
        check(Mandate { kelly_fraction: 0.0, ..base }, 0, SizeLimit::Kelly);
        check(Mandate { kelly_fraction: 0.02, budget: 20.0, ..base }, 35, SizeLimit::Kelly);
        // Exactly affordable stays affordable: 50 / 0.1 = 500.
        check(Mandate { kelly_fraction: 1.0, ask: 0.1, fee: 0.0, ..base }, 500, SizeLimit::WalletShare);
    }

    #[test]
    fn leverage_meets_the_target_up_to_the_cap() {
        let check = |target: f64, realized: f64, cap: f64, expected: f64| {
            let leverage = volatility_leverage(target, realized, cap).expect("valid");
            assert!((leverage - expected).abs() < 1e-12);
        };
        check(0.1, 0.2, 2.0, 0.5);
        check(0.1, 0.04, 2.0, 2.0);
        check(0.15, 0.15, 3.0, 1.0);
    }

    #[test]
    fn unusable_numbers_are_named() {
        let risk = StopRisk { capital: 1.0, risk_per_trade: 0.01, entry: 1.0, stop: 1.0, point_value: 1.0 };
        let lots = LotRule { min_quantity: 0.0, max_quantity: 1.0, step: 1.0 };
        let no_distance = SizingError::NotPositive { name: "stop_distance", value: 0.0 };
        assert_eq!(stop_risk_quantity(&risk, &lots), Err(no_distance));
        let no_capital = StopRisk { capital: -1.0, stop: 0.5, ..risk };
        assert_eq!(
            stop_risk_quantity(&no_capital, &lots),
            Err(SizingError::InvalidAmount { name: "capital", value: -1.0 })
        );
        assert!(volatility_leverage(0.1, f64::NAN, 2.0).is_err());
    }
}
