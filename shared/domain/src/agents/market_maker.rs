//! tradingAgent, style market maker: at which two prices is a prediction contract quoted, and when is it not?
//!
//! Avellaneda and Stoikov (2008, Quantitative Finance 8:217): the centre moves away from the fair price against what is
//! held, and the distance to it pays for the risk of holding and for being picked off:
//! `centre = x - q gamma sigma^2 T`, `half spread = gamma sigma^2 T / 2 + ln(1 + gamma / kappa) / gamma`.
//! A probability lives between 0 and 1, so this is done on its log-odds `x = ln(p / (1 - p))` and turned back: quotes
//! narrow by themselves near 0 and 1 and never leave the range. Both are put on the tick, away from each other.
//!
//! Quotes are post-only. They are withdrawn after a goal, a card, a video check or a suspension until the freeze is
//! over, shortly before a kick-off, and while the book is stale or broken; and a price made for one phase of a match is
//! refused in another.

use super::consensus::{logit, sigmoid};
use super::count::{floor_to_count, floor_whole};
use super::live_trading::LiveEvent;
use super::scout::MatchPhase;
use super::top_of_book::{QuoteFault, TopOfBook};
use crate::money::{ONE, Price};

/// The model's numbers, in units of what is quoted (prices, or log-odds).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuoteModel {
    /// Dislike of risk, above 0.
    pub gamma: f64,
    /// Deviation of the fair price over one unit of time, at least 0.
    pub sigma: f64,
    /// Time that what is bought is held for at most, in the same unit, at least 0.
    pub horizon: f64,
    /// How fast the chance of a fill falls with the distance from the fair price, above 0.
    pub kappa: f64,
}

impl Default for QuoteModel {
    /// On log-odds: gamma 0.1, 0.2 of deviation over one holding period, kappa 15. At 50 % that quotes 0.48 to 0.52.
    fn default() -> Self {
        Self { gamma: 0.1, sigma: 0.2, horizon: 1.0, kappa: 15.0 }
    }
}

/// Where to quote around, and how far from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Centre {
    /// The price at which the market maker does not care which side is taken.
    pub reservation: f64,
    /// Distance of each quote from it.
    pub half_spread: f64,
}

/// The rules around the model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MarketMakerRules {
    /// The model, on log-odds.
    pub model: QuoteModel,
    /// Lots held, long or short, from which only the other side is quoted; at least 1.
    pub max_inventory: f64,
    /// Lots in one quote, above 0; fewer where more would pass the inventory limit.
    pub size: f64,
    /// Older books are stale, milliseconds.
    pub age_ms_max: i64,
    /// No quotes for so long after an event, milliseconds.
    pub freeze_ms: i64,
    /// Pre-match quotes are withdrawn so long before the kick-off, milliseconds.
    pub kick_off_ms: i64,
}

impl Default for MarketMakerRules {
    /// At most 20 lots, one at a time; 5 s, 15 s, 60 s.
    fn default() -> Self {
        Self {
            model: QuoteModel::default(),
            max_inventory: 20.0,
            size: 1.0,
            age_ms_max: 5_000,
            freeze_ms: 15_000,
            kick_off_ms: 60_000,
        }
    }
}

/// A contract as the market maker sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuotedMarket {
    /// The chance that it pays, inside (0, 1).
    pub fair: f64,
    /// The phase that the chance was made for.
    pub fair_phase: MatchPhase,
    /// Where the match is now.
    pub phase: MatchPhase,
    /// Milliseconds to the kick-off; None when there is none or it is not known.
    pub kick_off_in_ms: Option<i64>,
    /// The last event that makes prices jump and milliseconds since it; None before the first.
    pub last_event: Option<(LiveEvent, i64)>,
    /// Lots held, negative when short.
    pub inventory: f64,
    /// The market's best prices, without our own.
    pub book: TopOfBook,
    /// The price grid.
    pub tick: Price,
}

/// One side of a quote.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuoteSide {
    /// On the tick, post-only.
    pub price: Price,
    /// Lots.
    pub size: f64,
}

/// Why one side is not quoted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SideReason {
    /// As much is held as may be.
    InventoryLimit {
        /// Lots held.
        inventory: f64,
        /// The rule.
        limit: f64,
    },
    /// Every price on the grid that the model allows would trade at once.
    NoRoom,
}

/// What to have in the book.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TwoSided {
    /// The centre and distance, in log-odds.
    pub centre: Centre,
    /// What to buy at, or why not.
    pub bid: Result<QuoteSide, SideReason>,
    /// What to sell at, or why not.
    pub ask: Result<QuoteSide, SideReason>,
}

/// Why all quotes are withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum QuoteRefusal {
    /// The match is over.
    #[error("the match is finished")]
    Finished,
    /// The chance was made for another phase of the match.
    #[error("a chance made for {fair_phase:?} does not price a match that is {phase:?}")]
    WrongPhase {
        /// What it was made for.
        fair_phase: MatchPhase,
        /// Where the match is.
        phase: MatchPhase,
    },
    /// The kick-off is near.
    #[error("the kick-off is in {in_ms} ms")]
    KickOffNear {
        /// Milliseconds to it.
        in_ms: i64,
    },
    /// Something has just happened.
    #[error("{event:?} was less than the freeze ago, {left_ms} ms are left")]
    Frozen {
        /// What.
        event: LiveEvent,
        /// Milliseconds until quotes return.
        left_ms: i64,
    },
    /// The book cannot be trusted.
    #[error("the book cannot be used")]
    UnusableBook(#[source] QuoteFault),
    /// A number is out of range.
    #[error("{name} is {value}, out of range")]
    InvalidNumber {
        /// Name of the field.
        name: &'static str,
        /// The value as given.
        value: f64,
    },
}

/// Centre and half spread around the fair price `mid` with `inventory` held.
///
/// Example: a fair price of 100 with 3 held, gamma 0.1, sigma 2, one unit of time left and kappa 1.5 centres on 98.8 and
/// quotes 0.845 to both sides.
///
/// # Errors
/// [`QuoteRefusal::InvalidNumber`].
pub fn centre(mid: f64, inventory: f64, model: &QuoteModel) -> Result<Centre, QuoteRefusal> {
    let invalid = |name: &'static str, value: f64| QuoteRefusal::InvalidNumber { name, value };
    for (name, value) in [("gamma", model.gamma), ("kappa", model.kappa)] {
        if !(value.is_finite() && value > 0.0) {
            return Err(invalid(name, value));
        }
    }
    for (name, value) in [("sigma", model.sigma), ("horizon", model.horizon)] {
        if !(value.is_finite() && value >= 0.0) {
            return Err(invalid(name, value));
        }
    }
    for (name, value) in [("mid", mid), ("inventory", inventory)] {
        if !value.is_finite() {
            return Err(invalid(name, value));
        }
    }
    let risk = model.gamma * model.sigma * model.sigma * model.horizon;
    let half_spread = risk / 2.0 + (1.0 + model.gamma / model.kappa).ln() / model.gamma;
    Ok(Centre { reservation: mid - inventory * risk, half_spread })
}

/// What to have in the book of one contract.
///
/// Example: a fair chance of 50 % with nothing held quotes 0.48 to 0.52 on a grid of 0.01; with 10 lots held the model
/// moves to 0.47 and 0.51, so that selling becomes likelier.
///
/// # Errors
/// [`QuoteRefusal`]: withdraw every quote.
pub fn quote(market: &QuotedMarket, rules: &MarketMakerRules) -> Result<TwoSided, QuoteRefusal> {
    check_moment(market, rules)?;
    check_numbers(market, rules)?;
    let book = market.book.checked(rules.age_ms_max).map_err(QuoteRefusal::UnusableBook)?;
    let centre = centre(logit(market.fair), market.inventory, &rules.model)?;
    let grid = Grid::new(market.tick)?;
    let (bid, ask) = grid.quotes(&centre);
    // Post-only: not at or through the other side's best price.
    let highest_bid = book.ask.map_or(grid.last, |ask| grid.below(ask.price));
    let lowest_ask = book.bid.map_or(1, |bid| grid.above(bid.price));
    // A fill of all of a quote must not pass the limit either.
    let side = |ticks: u64, room: f64| Ok(QuoteSide { price: grid.price(ticks)?, size: rules.size.min(room) });
    let limit = rules.max_inventory;
    let full = |is_full: bool| is_full.then_some(SideReason::InventoryLimit { inventory: market.inventory, limit });
    let placed = |ticks: u64, fits: bool| if fits { Ok(ticks) } else { Err(SideReason::NoRoom) };
    let bid = match full(market.inventory >= limit) {
        Some(reason) => Err(reason),
        None => placed(bid.min(highest_bid), bid.min(highest_bid) >= 1),
    };
    let ask = match full(market.inventory <= -limit) {
        Some(reason) => Err(reason),
        None => placed(ask.max(lowest_ask), ask.max(lowest_ask) <= grid.last),
    };
    Ok(TwoSided {
        centre,
        bid: match bid {
            Ok(ticks) => Ok(side(ticks, limit - market.inventory)?),
            Err(reason) => Err(reason),
        },
        ask: match ask {
            Ok(ticks) => Ok(side(ticks, limit + market.inventory)?),
            Err(reason) => Err(reason),
        },
    })
}

fn check_moment(market: &QuotedMarket, rules: &MarketMakerRules) -> Result<(), QuoteRefusal> {
    let (fair_phase, phase) = (market.fair_phase, market.phase);
    if phase == MatchPhase::Finished {
        return Err(QuoteRefusal::Finished);
    }
    if fair_phase != phase {
        return Err(QuoteRefusal::WrongPhase { fair_phase, phase });
    }
    if let Some(in_ms) = market.kick_off_in_ms.filter(|in_ms| *in_ms <= rules.kick_off_ms)
        && phase == MatchPhase::PreMatch
    {
        return Err(QuoteRefusal::KickOffNear { in_ms });
    }
    match market.last_event {
        Some((event, since_ms)) if since_ms < rules.freeze_ms => {
            Err(QuoteRefusal::Frozen { event, left_ms: rules.freeze_ms.saturating_sub(since_ms.max(0)) })
        }
        Some(_) | None => Ok(()),
    }
}

fn check_numbers(market: &QuotedMarket, rules: &MarketMakerRules) -> Result<(), QuoteRefusal> {
    let invalid = |name: &'static str, value: f64| Err(QuoteRefusal::InvalidNumber { name, value });
    if !(market.fair > 0.0 && market.fair < 1.0) {
        return invalid("fair", market.fair);
    }
    if !(rules.max_inventory.is_finite() && rules.max_inventory >= 1.0) {
        return invalid("max_inventory", rules.max_inventory);
    }
    if !(rules.size.is_finite() && rules.size > 0.0) {
        return invalid("size", rules.size);
    }
    Ok(())
}

/// The prices of a contract, counted in ticks: 1 to `last`.
#[derive(Debug, Clone, Copy)]
struct Grid {
    tick: i64,
    last: u64,
    ticks_in_one: f64,
}

impl Grid {
    fn new(tick: Price) -> Result<Self, QuoteRefusal> {
        let tick = tick.micros();
        // At least three prices, or there is no room for two quotes.
        let count = if tick > 0 { ONE / tick } else { 0 };
        match (u64::try_from(count), u32::try_from(count)) {
            (Ok(count), Ok(small)) if count >= 4 && ONE % tick == 0 => {
                Ok(Self { tick, last: count - 1, ticks_in_one: f64::from(small) })
            }
            (Ok(_) | Err(_), Ok(_) | Err(_)) => {
                let value = i32::try_from(tick).map_or(f64::INFINITY, f64::from) / 1e6;
                Err(QuoteRefusal::InvalidNumber { name: "tick", value })
            }
        }
    }

    /// The model's two quotes, inside the range and at least a tick apart.
    fn quotes(&self, centre: &Centre) -> (u64, u64) {
        let [low, high] = [-1.0, 1.0].map(|side| sigmoid(centre.reservation + side * centre.half_spread));
        let bid = self.floor(low).clamp(1, self.last);
        let ask = self.ceil(high).clamp(1, self.last);
        if ask > bid {
            (bid, ask)
        } else if bid == self.last {
            (bid - 1, bid)
        } else {
            (bid, bid + 1)
        }
    }

    fn floor(&self, price: f64) -> u64 {
        floor_to_count(price * self.ticks_in_one)
    }

    fn ceil(&self, price: f64) -> u64 {
        // The mirror of the floor, with the same forgiveness: 1 - p in ticks, down.
        let down = floor_whole((1.0 - price) * self.ticks_in_one);
        floor_to_count(self.ticks_in_one - down)
    }

    /// The highest price strictly below `price`; 0 when there is none.
    fn below(&self, price: f64) -> u64 {
        self.ceil(price).saturating_sub(1).min(self.last)
    }

    /// The lowest price strictly above `price`.
    fn above(&self, price: f64) -> u64 {
        self.floor(price).saturating_add(1)
    }

    fn price(&self, ticks: u64) -> Result<Price, QuoteRefusal> {
        let micros = i64::try_from(ticks).ok().and_then(|ticks| ticks.checked_mul(self.tick));
        let out_of_range = QuoteRefusal::InvalidNumber { name: "price", value: f64::INFINITY };
        micros.map(Price::from_micros).ok_or(out_of_range)
    }
}

#[cfg(test)]
mod tests;
