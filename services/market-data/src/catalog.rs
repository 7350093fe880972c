//! The rules of every instrument the feeds can bring, and how deep the
//! simulated venue quotes it.

use tragen_domain::{
    id::{Currency, IdError, InstrumentId, MatchId},
    instrument::{Instrument, InstrumentStatus, Outcome, SettlementStyle, SettlementTerms},
    money::{ONE, Price, Quantity},
};

/// Currencies and metals that make an FX pair.
const CURRENCIES: [&str; 22] = [
    "USD", "EUR", "GBP", "JPY", "CHF", "AUD", "CAD", "NZD", "SEK", "NOK", "DKK", "SGD", "HKD", "PLN", "CZK", "HUF",
    "MXN", "ZAR", "TRY", "CNH", "XAU", "XAG",
];

/// Coins that make a crypto pair.
const COINS: [&str; 8] = ["BTC", "ETH", "SOL", "XRP", "ADA", "LTC", "BNB", "DOGE"];

/// The outcomes of a match in the order of every array of three.
pub(crate) const OUTCOMES: [Outcome; 3] = [Outcome::Home, Outcome::Draw, Outcome::Away];

/// An instrument and what the simulated venue shows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The instrument, open.
    pub instrument: Instrument,
    /// Half of the spread put around prices that come without bid and ask.
    pub half_spread: Price,
    /// Smallest and largest quantity at the best price, in lots.
    pub depth_lots: (u32, u32),
}

/// Which family an instrument belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Fx,
    Perpetual,
    Coin,
    Stock,
}

/// The id behind a symbol as files write it: `gbpusd` is `GBPUSD`, `btcperp` is `BTCUSD-PERP`.
///
/// # Errors
/// [`IdError`] when it cannot be an id.
pub(crate) fn instrument_id(symbol: &str) -> Result<InstrumentId, IdError> {
    let symbol = symbol.trim().to_ascii_uppercase();
    let base = symbol.strip_suffix("-PERP").or_else(|| symbol.strip_suffix("PERP"));
    match base {
        Some(coin) if COINS.contains(&coin) => InstrumentId::new(format!("{coin}USD-PERP")),
        Some(pair) if !pair.is_empty() => InstrumentId::new(format!("{}-PERP", pair.trim_end_matches('T'))),
        _ => InstrumentId::new(symbol),
    }
}

/// The listing of a currency pair, perpetual, coin or stock.
///
/// # Errors
/// [`IdError`] when its quote currency cannot be an id.
pub(crate) fn listing(id: &InstrumentId) -> Result<Listing, IdError> {
    let (family, quote) = family(id.as_str());
    let is_yen = quote == "JPY";
    let is_metal = id.as_str().starts_with("XA");
    let is_bitcoin = id.as_str().starts_with("BTC");
    let whole = |units: i64| Quantity::from_micros(units * ONE);
    let tick = Price::from_micros(match family {
        Family::Fx if is_metal => 10_000,
        Family::Fx if is_yen => 1_000,
        Family::Fx => 10,
        Family::Perpetual if is_bitcoin => 500_000,
        Family::Perpetual | Family::Coin | Family::Stock => 10_000,
    });
    let (lot, max_quantity, margin_ppm, fee_ppm, half_spread_ticks, depth_lots) = match family {
        Family::Fx => (whole(1), whole(10_000_000), 33_333, 20, 4, (200_000, 2_000_000)),
        Family::Perpetual => (Quantity::from_micros(1_000), whole(10_000), 100_000, 450, 1, (500, 20_000)),
        Family::Coin => (Quantity::from_micros(100), whole(10_000), 0, 1_000, 100, (1_000, 50_000)),
        Family::Stock => (whole(1), whole(1_000_000), 0, 200, 1, (100, 5_000)),
    };
    let style = match family {
        Family::Fx | Family::Perpetual => SettlementStyle::Margined,
        Family::Coin | Family::Stock => SettlementStyle::Spot,
    };
    let instrument = Instrument {
        id: id.clone(),
        name: name(id.as_str(), family),
        settlement: SettlementTerms { style, currency: Currency::new(quote)?, initial_margin_ppm: margin_ppm },
        tick,
        lot,
        min_quantity: lot,
        max_quantity,
        min_price: tick,
        max_price: Price::from_micros(10_000_000 * ONE),
        taker_fee_ppm: fee_ppm,
        status: InstrumentStatus::Open,
        prediction: None,
        max_quote_age_ms: None,
    };
    Ok(Listing { instrument, half_spread: Price::from_micros(tick.micros() * half_spread_ticks), depth_lots })
}

/// The three contracts of a match: home, draw, away.
///
/// # Errors
/// [`IdError`] when the match's id leaves no room for the outcome.
pub fn predictions(match_id: &MatchId, home: &str, away: &str) -> Result<[Instrument; 3], IdError> {
    let currency = Currency::new("USD")?;
    let contract = |outcome: Outcome| {
        let (suffix, claim) = match outcome {
            Outcome::Home => ("HOME", format!("{home} beat {away}")),
            Outcome::Draw => ("DRAW", format!("{home} and {away} draw")),
            Outcome::Away => ("AWAY", format!("{away} win at {home}")),
        };
        Ok(Instrument {
            id: InstrumentId::new(format!("{match_id}-{suffix}"))?,
            name: claim,
            settlement: SettlementTerms {
                style: SettlementStyle::Prediction,
                currency: currency.clone(),
                initial_margin_ppm: 0,
            },
            tick: Price::from_micros(10_000),
            lot: Quantity::from_micros(ONE),
            min_quantity: Quantity::from_micros(ONE),
            max_quantity: Quantity::from_micros(1_000_000 * ONE),
            min_price: Price::from_micros(10_000),
            max_price: Price::from_micros(990_000),
            taker_fee_ppm: 30_000,
            status: InstrumentStatus::Open,
            prediction: Some((match_id.clone(), outcome)),
            max_quote_age_ms: None,
        })
    };
    let [home, draw, away] = OUTCOMES.map(contract);
    Ok([home?, draw?, away?])
}

/// The family of an id and the currency its price is in.
fn family(id: &str) -> (Family, &str) {
    if let Some(pair) = id.strip_suffix("-PERP") {
        return (Family::Perpetual, if pair.ends_with("USD") { "USD" } else { "USDT" });
    }
    let halves = (id.get(..3).unwrap_or(""), id.get(3..).unwrap_or(""));
    if CURRENCIES.contains(&halves.0) && CURRENCIES.contains(&halves.1) {
        return (Family::Fx, halves.1);
    }
    for coin in COINS {
        if let Some(quote @ ("USD" | "USDT" | "USDC" | "EUR")) = id.strip_prefix(coin) {
            return (Family::Coin, quote);
        }
    }
    (Family::Stock, "USD")
}

fn name(id: &str, family: Family) -> String {
    match family {
        Family::Fx => format!("{}/{}", &id[..3], &id[3..]),
        Family::Perpetual => format!("{} perpetual", id.trim_end_matches("-PERP")),
        Family::Coin => format!("{id} spot"),
        Family::Stock => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(symbol: &str, expected_id: &str, tick: &str, lot: &str, currency: &str, fee_ppm: i64) {
        let id = instrument_id(symbol).expect("an id");
        assert_eq!(id.as_str(), expected_id);
        let instrument = listing(&id).expect("a listing").instrument;
        assert_eq!(instrument.tick.to_string(), tick, "{symbol}");
        assert_eq!(instrument.lot.to_string(), lot, "{symbol}");
        assert_eq!(instrument.settlement.currency.as_str(), currency, "{symbol}");
        assert_eq!(instrument.taker_fee_ppm, fee_ppm, "{symbol}");
    }

    #[test]
    fn symbols_find_their_rules() {
        check("gbpusd", "GBPUSD", "0.00001", "1", "USD", 20);
        check("USDJPY", "USDJPY", "0.001", "1", "JPY", 20);
        check("XAUUSD", "XAUUSD", "0.01", "1", "USD", 20);
        check("btcperp", "BTCUSD-PERP", "0.5", "0.001", "USD", 450);
        check("BTCUSD-PERP", "BTCUSD-PERP", "0.5", "0.001", "USD", 450);
        check("btcusd", "BTCUSD", "0.01", "0.0001", "USD", 1_000);
        check("aapl", "AAPL", "0.01", "1", "USD", 200);
        assert!(instrument_id("a b").is_err());
    }

    #[test]
    fn a_match_has_three_contracts() {
        let id = MatchId::new("EPL-2026-ARS-MCI").expect("an id");
        let [home, draw, away] = predictions(&id, "Arsenal", "Man City").expect("contracts");
        assert_eq!(home.id.as_str(), "EPL-2026-ARS-MCI-HOME");
        assert_eq!(draw.name, "Arsenal and Man City draw");
        assert_eq!(away.prediction, Some((id, Outcome::Away)));
        let too_long = MatchId::new("x".repeat(60)).expect("an id");
        assert!(predictions(&too_long, "a", "b").is_err());
    }
}
