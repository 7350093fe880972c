//! What one order must look like: on the grids, in range, near a fresh price, not too large.

use super::{
    setting::Setting,
    step::{ASK, BID, Denial, Drill, LimitOf, Listing, ONE, Observed, Order, Owner, Step, buy, sell},
};
use std::time::Duration;
use tragen_contracts::v1::{DenialCode as Code, InstrumentStatus, SettlementStyle};
use tragen_domain::risk::LimitName;

/// How old a quote may be where that is drilled, milliseconds.
const QUOTE_AGE_MS: i64 = 500;

pub(super) fn drills() -> Vec<Drill> {
    let mut drills = instruments();
    drills.extend(grids());
    drills.push(relative_collar("spot_collar_ppm", SettlementStyle::Spot));
    drills.push(relative_collar("margined_collar_ppm", SettlementStyle::Margined));
    drills.extend(values());
    drills
}

fn drill(limit: &'static str, reset: &'static str, listing: Listing, steps: Vec<Step>) -> Drill {
    Drill { limit, setting: Setting::Limits, owner: Owner::Own, listing, steps, reset }
}

/// A denial without numbers.
fn plain(order: Order, code: Code) -> Step {
    Step::Denied(order, Denial { code, limit: 0, observed: Observed::Is(0) })
}

fn denied(order: Order, code: Code, limit: i64, observed: i64) -> Step {
    Step::Denied(order, Denial { code, limit, observed: Observed::Is(observed) })
}

fn instruments() -> Vec<Drill> {
    let elsewhere = Order { is_elsewhere: true, ..buy(1, ASK) };
    let aging = Listing { quote_age_ms: QUOTE_AGE_MS, ..Listing::default() };
    let stale = Denial { code: Code::StaleQuote, limit: QUOTE_AGE_MS, observed: Observed::AboveLimit };
    vec![
        drill(
            "unknown_instrument",
            "an instrument that is listed",
            Listing::default(),
            vec![Step::Fills(buy(1, ASK)), plain(elsewhere, Code::UnknownInstrument), Step::Fills(buy(1, ASK))],
        ),
        drill(
            "instrument_not_trading",
            "the venue opens it again",
            Listing::default(),
            vec![
                Step::Fills(buy(1, ASK)),
                Step::Status(InstrumentStatus::Suspended),
                plain(buy(1, ASK), Code::InstrumentNotTrading),
                Step::Status(InstrumentStatus::Open),
                Step::Fills(buy(1, ASK)),
            ],
        ),
        drill(
            "no_reference_price",
            "the first quote",
            Listing { quote: None, ..Listing::default() },
            vec![plain(buy(1, ASK), Code::NoReferencePrice), Step::Quote(BID, ASK), Step::Fills(buy(1, ASK))],
        ),
        drill(
            "stale_quote",
            "the next quote",
            aging,
            vec![
                Step::Quote(BID, ASK),
                Step::Fills(buy(1, ASK)),
                Step::Wait(Duration::from_millis(600)),
                Step::Denied(buy(1, ASK), stale),
                Step::Quote(BID, ASK),
                Step::Fills(buy(1, ASK)),
            ],
        ),
    ]
}

fn grids() -> Vec<Drill> {
    let narrow = Listing { min_price: 50_000, max_price: 950_000, ..Listing::default() };
    let half = Order { quantity: 1_500_000, ..buy(1, ASK) };
    vec![
        drill(
            "price_off_tick",
            "a price on the tick",
            Listing::default(),
            vec![
                Step::Passes(buy(1, 490_000)),
                denied(buy(1, 490_001), Code::PriceOffTick, 10_000, 490_001),
                denied(buy(1, 489_999), Code::PriceOffTick, 10_000, 489_999),
                Step::Fills(buy(1, ASK)),
            ],
        ),
        drill(
            "price_out_of_range",
            "a price in the range",
            narrow,
            vec![
                Step::Passes(buy(1, 50_000)),
                denied(buy(1, 40_000), Code::PriceOutOfRange, 50_000, 40_000),
                Step::Passes(sell(1, 950_000)),
                denied(sell(1, 960_000), Code::PriceOutOfRange, 950_000, 960_000),
                Step::Fills(buy(1, ASK)),
            ],
        ),
        drill(
            // The reference is the middle, 0.49, and the collar of an outcome is 0.20.
            "price_collar",
            "a price in the collar",
            Listing::default(),
            vec![
                Step::Passes(buy(1, 690_000)),
                denied(buy(1, 700_000), Code::PriceCollar, 690_000, 700_000),
                Step::Passes(sell(1, 290_000)),
                denied(sell(1, 280_000), Code::PriceCollar, 290_000, 280_000),
                Step::Fills(buy(1, ASK)),
            ],
        ),
        drill(
            "quantity_off_lot",
            "a whole lot",
            Listing::default(),
            vec![
                Step::Fills(buy(1, ASK)),
                denied(half, Code::QuantityOffLot, ONE, 1_500_000),
                Step::Fills(buy(2, ASK)),
            ],
        ),
        drill(
            "quantity_too_small",
            "the smallest order",
            Listing { min_quantity: 3 * ONE, ..Listing::default() },
            vec![
                Step::Fills(buy(3, ASK)),
                denied(buy(2, ASK), Code::QuantityTooSmall, 3 * ONE, 2 * ONE),
                Step::Fills(buy(3, ASK)),
            ],
        ),
        drill(
            "quantity_too_large",
            "the largest order",
            Listing { max_quantity: 100 * ONE, ..Listing::default() },
            vec![
                Step::Fills(buy(100, ASK)),
                denied(buy(101, ASK), Code::QuantityTooLarge, 100 * ONE, 101 * ONE),
                Step::Fills(buy(100, ASK)),
            ],
        ),
    ]
}

/// Around 0.40 the collar of five parts in a hundred is 0.02.
fn relative_collar(limit: &'static str, style: SettlementStyle) -> Drill {
    let listing = Listing { style, quote: Some((380_000, 420_000)), ..Listing::default() };
    let steps = vec![
        Step::Fills(buy(2, 420_000)),
        denied(buy(1, 430_000), Code::PriceCollar, 420_000, 430_000),
        Step::Fills(sell(1, 380_000)),
        denied(sell(1, 370_000), Code::PriceCollar, 380_000, 370_000),
        Step::Fills(sell(1, 380_000)),
    ];
    drill(limit, "a price in the collar", listing, steps)
}

fn values() -> Vec<Drill> {
    let tier = |value| Step::Limit(LimitName::TierOrderValueMaxMicros, LimitOf::Named("standard"), value);
    vec![
        drill(
            // The cap is configured: 400 dollars.
            "order_value_limit",
            "an order of less value",
            Listing::default(),
            vec![
                Step::Fills(buy(800, ASK)),
                denied(buy(801, ASK), Code::OrderValueLimit, 400 * ONE, 400_500_000),
                Step::Fills(buy(799, ASK)),
            ],
        ),
        drill(
            "tier_order_value_max_micros",
            "two people loosen the limit",
            Listing::default(),
            vec![
                tier(20 * ONE),
                Step::Fills(buy(40, ASK)),
                denied(buy(41, ASK), Code::TierOrderValueLimit, 20 * ONE, 20_500_000),
                tier(0),
                Step::Fills(buy(41, ASK)),
            ],
        ),
    ]
}
