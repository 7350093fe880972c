//! What an agent would buy of a match, and the order for it: the same for mandates and for configured agents.

use crate::analysis::match_view::{books, contract, fee_rate, quote, scouted};
use tragen_contracts::{convert, v1};
use tragen_domain::{
    agents::{
        epl_trading::{EplTradingReport, EplTradingRules, epl_trading},
        mandate::{MandateAgent, MandateInputs, MandateRules, NoWish, Wish, wish},
        personality::Personality,
        sizing::MandateSize,
    },
    money::{ONE, Price, Quantity},
    order::{OrderPrice, OrderTerms, Side, TimeInForce},
    time::Timestamp,
};
use tragen_host::clock;

/// The numbers that a personality decides by at the fees of the match.
#[must_use]
pub fn rules_of(personality: &Personality, snapshot: &v1::MatchSnapshot) -> MandateRules {
    MandateRules {
        fee_rate: fee_rate(snapshot),
        min_edge_bps: personality.min_edge_bps(),
        kelly_multiplier: personality.kelly_multiplier(),
        min_confidence_ppm: personality.min_confidence_ppm(),
    }
}

/// Books and quotes in, what to buy or the reason not to out. Quotes have their age at the wall clock `now`.
///
/// # Errors
/// [`NoWish`].
pub fn wished(
    agent: MandateAgent,
    snapshot: &v1::MatchSnapshot,
    inputs: &MandateInputs,
    rules: &MandateRules,
    now: Timestamp,
) -> Result<Wish, NoWish> {
    let books = books(&snapshot.books);
    let view = scouted(snapshot, &books, now);
    wish(agent, &view, inputs, rules)
}

/// What eplTradingAgent makes of a match to come; None where it prices nothing.
pub(crate) fn traded(
    snapshot: &v1::MatchSnapshot,
    inputs: &MandateInputs,
    rules: &MandateRules,
) -> Option<EplTradingReport> {
    let books = books(&snapshot.books);
    let view = scouted(snapshot, &books, Timestamp::from_micros(clock::now_micros()));
    let tick = snapshot.instruments.iter().map(|instrument| instrument.tick_micros).max()?;
    let rules = EplTradingRules {
        fee_rate: rules.fee_rate,
        min_edge_bps: rules.min_edge_bps,
        kelly_multiplier: rules.kelly_multiplier,
        tick: Price::from_micros(tick),
        ..EplTradingRules::default()
    };
    epl_trading(&view, inputs.model, &rules).ok()
}

/// The order that takes the ask; `None` where the quote cannot be turned into one.
#[must_use]
pub fn taking(snapshot: &v1::MatchSnapshot, wish: &Wish, contracts: u64, order_id: &str) -> Option<OrderTerms> {
    let instrument = contract(snapshot, wish.opportunity.outcome)?;
    let ask = quote(snapshot, wish.opportunity.outcome)?;
    let quantity = i64::try_from(contracts).ok()?.checked_mul(ONE)?;
    Some(OrderTerms {
        id: convert::id("order_id", order_id).ok()?,
        instrument: convert::id("instrument_id", &instrument.instrument_id).ok()?,
        side: Side::Buy,
        price: OrderPrice::Limit(Price::from_micros(ask.ask_price_micros)),
        quantity: Quantity::from_micros(quantity),
        time_in_force: TimeInForce::Ioc,
        is_reduce_only: false,
        is_post_only: false,
    })
}

/// Why it is bought.
#[must_use]
pub fn rationale(wish: &Wish, size: MandateSize) -> String {
    let best = &wish.opportunity;
    format!(
        "{:?} is offered at {:.3} + {:.4} fee, fair {:.3}: edge {:.1} % of cost, {} contracts by {:?}",
        best.outcome,
        best.ask,
        best.priced.fee,
        best.fair_probability,
        best.priced.edge_ratio * 100.0,
        size.contracts,
        size.limited_by,
    )
}
