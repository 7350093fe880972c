//! Minute bars that now and then trend, now and then swing around a level.

use super::{BARS, BARS_START_HOUR, clock, dice::Dice};
use std::fmt::Write as _;

/// Price moves inside one minute.
const MOVES: usize = 4;
/// Minutes until the temper of a market may change.
const TEMPER_MINUTES: usize = 45;
const TOTAL: usize = 1_260;

/// A market of the sample.
struct Market {
    file: &'static str,
    price: f64,
    /// Typical move of one quarter of a minute, as a share of the price.
    volatility: f64,
    /// Narrowest and widest spread; `None` for files with one price.
    spread: Option<(f64, f64)>,
    decimals: usize,
    /// Smallest price step.
    tick: f64,
}

const MARKETS: [Market; 4] = [
    Market {
        file: "gbpusd_m1.csv",
        price: 1.3450,
        volatility: 0.000_035,
        spread: Some((0.000_06, 0.000_10)),
        decimals: 5,
        tick: 0.000_01,
    },
    Market {
        file: "eurusd_m1.csv",
        price: 1.1650,
        volatility: 0.000_030,
        spread: Some((0.000_04, 0.000_08)),
        decimals: 5,
        tick: 0.000_01,
    },
    Market { file: "btcperp_m1.csv", price: 108_000.0, volatility: 0.000_25, spread: None, decimals: 1, tick: 0.5 },
    Market { file: "btcusd_m1.csv", price: 107_950.0, volatility: 0.000_25, spread: None, decimals: 2, tick: 0.01 },
];

/// How a market behaves for a while.
#[derive(Clone, Copy)]
enum Temper {
    /// Moves the same way, as a share of the volatility per move.
    Trending(f64),
    /// Is pulled back to a level.
    Swinging(f64),
}

/// The files of all markets.
pub(super) fn files(seed: u64) -> Vec<(&'static str, String)> {
    MARKETS.iter().map(|market| (market.file, file(market, seed))).collect()
}

fn file(market: &Market, seed: u64) -> String {
    let mut dice = Dice::new(seed, market.file);
    let path = path(market, &mut dice);
    let mut text = String::from(match market.spread {
        Some(_) => "ts_utc,bid_o,bid_h,bid_l,bid_c,ask_o,ask_h,ask_l,ask_c\n",
        None => "ts_utc,open,high,low,close,volume\n",
    });
    for (minute, moves) in (BARS_START_HOUR * 60..).zip(path.windows(MOVES + 1).step_by(MOVES)).take(usize::from(BARS))
    {
        let on_grid = |price: f64| (price / market.tick).round() * market.tick;
        let high = moves.iter().copied().fold(f64::MIN, f64::max);
        let low = moves.iter().copied().fold(f64::MAX, f64::min);
        let bar = [moves[0], high, low, moves[MOVES]].map(on_grid);
        let _ = write!(text, "{}", clock(minute));
        let spread = market.spread.map(|(narrow, wide)| on_grid(dice.between(narrow, wide)));
        for price in bar.into_iter().chain(spread.into_iter().flat_map(|spread| bar.map(|bid| bid + spread))) {
            let _ = write!(text, ",{price:.decimals$}", decimals = market.decimals);
        }
        if market.spread.is_none() {
            let _ = write!(text, ",{:.3}", dice.between(2.0, 40.0));
        }
        text.push('\n');
    }
    text
}

/// Prices of all moves; it ends where it began, so that the sample can start again without a jump.
fn path(market: &Market, dice: &mut Dice) -> Vec<f64> {
    let mut shifts = vec![0.0];
    let (mut shift, mut temper) = (0.0, Temper::Swinging(0.0));
    for place in 0..TOTAL * MOVES {
        if place % (TEMPER_MINUTES * MOVES) == 0 {
            temper =
                if dice.happens(0.4) { Temper::Trending(dice.between(-0.25, 0.25)) } else { Temper::Swinging(shift) };
        }
        let pull = match temper {
            Temper::Trending(drift) => drift * market.volatility,
            Temper::Swinging(level) => 0.04 * (level - shift),
        };
        shift += pull + market.volatility * dice.bell();
        shifts.push(shift);
    }
    let back = shift / f64::from(u32::try_from(TOTAL * MOVES).unwrap_or(u32::MAX));
    (0_u32..).zip(shifts).map(|(place, shift)| market.price * (1.0 + shift - back * f64::from(place))).collect()
}
