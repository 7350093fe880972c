//! What the demo does: which agents for which instruments, and what its crowd
//! asks for next. Counted, not random, so that two runs look alike.

use std::collections::BTreeSet;
use tragen_contracts::v1::{self, InstrumentStatus, SettlementStyle, Strategy, place_trade_request::Intent};
use tragen_domain::money::{ONE, Quantity};
use tragen_market_data::{Feed, file::named_instruments};

/// Most agents the demo configures.
const AGENTS_MAX: usize = 40;
/// About what an order of the crowd is worth, units of the currency.
const ORDER_VALUE: i64 = 1_000;
/// Contracts in a demo order on a match.
const CONTRACTS: i64 = 10;
/// The budget of a demo mandate, units of the currency.
const BUDGET: i64 = 50;
/// What the agents of one instrument do.
const STRATEGIES: [(&str, Strategy); 2] = [("scalper", Strategy::Scalper), ("swing", Strategy::Swing)];
/// The margined instruments of the sample that get agents.
const SAMPLE: [&str; 3] = ["GBPUSD", "EURUSD", "BTCUSD-PERP"];

/// A scalper and a swing trader for each instrument that is no prediction; of the
/// sample, for its three best known ones.
pub(crate) fn agents(instruments: &[v1::Instrument]) -> Vec<v1::Agent> {
    let is_sample = SAMPLE.iter().all(|id| instruments.iter().any(|i| i.instrument_id == *id));
    let traded = instruments.iter().filter(|i| match i.settlement_style() {
        SettlementStyle::Margined | SettlementStyle::Spot => !is_sample || SAMPLE.contains(&i.instrument_id.as_str()),
        SettlementStyle::Prediction | SettlementStyle::Unspecified => false,
    });
    let pairs = traded.flat_map(|instrument| {
        STRATEGIES.map(|(word, strategy)| {
            let agent_id = agent_id(word, &instrument.instrument_id);
            v1::Agent {
                account_id: account_of(&agent_id),
                agent_id,
                strategy: strategy.into(),
                instrument_ids: vec![instrument.instrument_id.clone()],
                timeframe: "1m".to_owned(),
                risk_tolerance: 5,
                max_trades_per_day: 500,
                is_enabled: true,
                pool: String::new(),
                version: 0,
            }
        })
    });
    pairs.take(AGENTS_MAX).collect()
}

/// The accounts that the demo's agents trade with, as far as the feed tells beforehand: their capital is pooled.
pub(crate) fn house_accounts(feed: &Feed) -> anyhow::Result<BTreeSet<String>> {
    let instruments: Vec<String> = match feed {
        Feed::None => Vec::new(),
        Feed::Sample => SAMPLE.map(str::to_owned).into(),
        Feed::Files(paths) => named_instruments(paths)?.iter().map(ToString::to_string).collect(),
    };
    let agents = instruments.iter().flat_map(|instrument| STRATEGIES.map(|(word, _)| agent_id(word, instrument)));
    Ok(agents.map(|agent| account_of(&agent)).take(AGENTS_MAX).collect())
}

fn agent_id(word: &str, instrument: &str) -> String {
    format!("{word}-{}", instrument.to_ascii_lowercase())
}

fn account_of(agent_id: &str) -> String {
    format!("agent-{agent_id}")
}

/// What the crowd asks for the `turn`-th time: mandates for the matches,
/// small market orders for everything; `None` when nothing can be traded.
pub(crate) fn intent(instruments: &[v1::Instrument], turn: usize) -> Option<Intent> {
    let open = || instruments.iter().filter(|i| i.status() == InstrumentStatus::Open);
    let matches: BTreeSet<&str> = open().map(|i| i.match_id.as_str()).filter(|id| !id.is_empty()).collect();
    if turn.is_multiple_of(2) && !matches.is_empty() {
        let match_id = matches.into_iter().nth(turn / 2 % count(open().map(|i| &i.match_id)))?;
        return Some(Intent::Mandate(v1::Mandate {
            match_id: match_id.to_owned(),
            budget_micros: BUDGET * ONE,
            min_edge_bps: 0,
            agent: String::new(),
        }));
    }
    // Spot cannot be sold before it is bought, so the demo leaves it alone.
    let traded: Vec<&v1::Instrument> = open().filter(|i| i.settlement_style() != SettlementStyle::Spot).collect();
    let round = turn / 2;
    let instrument = traded.get(round.checked_rem(traded.len())?)?;
    let is_buy = (round / traded.len()).is_multiple_of(2);
    Some(Intent::Order(v1::OrderIntent {
        instrument_id: instrument.instrument_id.clone(),
        side: if is_buy { v1::Side::Buy } else { v1::Side::Sell }.into(),
        order_type: v1::OrderType::Market.into(),
        quantity_micros: quantity(instrument),
        limit_price_micros: 0,
        time_in_force: v1::TimeInForce::Ioc.into(),
        expire_at: None,
        is_reduce_only: false,
        is_post_only: false,
    }))
}

/// How many different matches there are, at least one.
fn count<'a>(match_ids: impl Iterator<Item = &'a String>) -> usize {
    match_ids.filter(|id| !id.is_empty()).collect::<BTreeSet<_>>().len().max(1)
}

/// A small order: contracts for a prediction, else the smallest lot or, where the
/// lot is one unit, as many units as make the usual value at a price near one.
fn quantity(instrument: &v1::Instrument) -> i64 {
    let wanted = match instrument.settlement_style() {
        SettlementStyle::Prediction => CONTRACTS * ONE,
        SettlementStyle::Margined | SettlementStyle::Spot | SettlementStyle::Unspecified => {
            if instrument.lot_micros < ONE { instrument.lot_micros } else { ORDER_VALUE * ONE }
        }
    };
    let lot = Quantity::from_micros(instrument.lot_micros);
    Quantity::from_micros(wanted.min(instrument.max_quantity_micros))
        .floor_to(lot)
        .max(Quantity::from_micros(instrument.min_quantity_micros))
        .micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instrument(id: &str, style: SettlementStyle, match_id: &str, lot_micros: i64) -> v1::Instrument {
        v1::Instrument {
            instrument_id: id.to_owned(),
            settlement_style: style.into(),
            status: InstrumentStatus::Open.into(),
            match_id: match_id.to_owned(),
            lot_micros,
            min_quantity_micros: lot_micros,
            max_quantity_micros: 1_000_000 * ONE,
            ..v1::Instrument::default()
        }
    }

    fn market() -> Vec<v1::Instrument> {
        vec![
            instrument("A-HOME", SettlementStyle::Prediction, "A", ONE),
            instrument("B-HOME", SettlementStyle::Prediction, "B", ONE),
            instrument("BTCUSD-PERP", SettlementStyle::Margined, "", 1_000),
            instrument("ETHUSD", SettlementStyle::Spot, "", 100),
            instrument("GBPUSD", SettlementStyle::Margined, "", ONE),
        ]
    }

    #[test]
    fn every_market_that_is_no_prediction_gets_two_agents() {
        let ids =
            |instruments: &[v1::Instrument]| agents(instruments).into_iter().map(|a| a.agent_id).collect::<Vec<_>>();
        assert_eq!(ids(&market()).len(), 6);
        let mut sample = market();
        sample.push(instrument("EURUSD", SettlementStyle::Margined, "", ONE));
        let found = ids(&sample);
        assert_eq!(found.len(), 6, "{found:?}");
        assert!(!found.iter().any(|id| id.contains("ethusd")));
        assert_eq!(ids(&market()[..2]).len(), 0);
    }

    #[test]
    fn mandates_and_orders_take_turns() {
        let seen: Vec<String> = (0..16)
            .filter_map(|turn| match intent(&market(), turn)? {
                Intent::Mandate(mandate) => Some(mandate.match_id),
                Intent::Order(order) => {
                    Some(format!("{:?} {} {}", order.side(), order.quantity_micros, order.instrument_id))
                }
            })
            .collect();
        assert_eq!(seen[..4], ["A", "Buy 10000000 A-HOME", "B", "Buy 10000000 B-HOME"]);
        assert_eq!(seen[5], "Buy 1000 BTCUSD-PERP");
        assert_eq!(seen[7], "Buy 1000000000 GBPUSD");
        assert_eq!(seen[15], "Sell 1000000000 GBPUSD");
        assert_eq!(intent(&[], 0), None);
        assert_eq!(intent(&market()[3..4], 1), None);
    }
}
