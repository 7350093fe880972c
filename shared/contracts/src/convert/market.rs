//! Instruments, quotes, bars and matches.

use super::{InvalidField, id, known, unspecified};
use crate::v1;
use tragen_domain::{
    instrument::{Instrument, InstrumentStatus, Outcome, SettlementStyle, SettlementTerms},
    market::{Bar, Level, Match, MatchStatus, Ohlc, Quote, Timeframe, crossed_by, is_broken},
    money::{Price, Quantity},
    routing::ReportFields,
    time::Timestamp,
};

impl From<SettlementStyle> for v1::SettlementStyle {
    fn from(style: SettlementStyle) -> Self {
        match style {
            SettlementStyle::Prediction => Self::Prediction,
            SettlementStyle::Spot => Self::Spot,
            SettlementStyle::Margined => Self::Margined,
        }
    }
}

impl TryFrom<v1::SettlementStyle> for SettlementStyle {
    type Error = InvalidField;

    fn try_from(style: v1::SettlementStyle) -> Result<Self, InvalidField> {
        match style {
            v1::SettlementStyle::Prediction => Ok(Self::Prediction),
            v1::SettlementStyle::Spot => Ok(Self::Spot),
            v1::SettlementStyle::Margined => Ok(Self::Margined),
            v1::SettlementStyle::Unspecified => Err(unspecified("settlement_style")),
        }
    }
}

/// A text about a match as it was sent, to be checked.
impl<'a> From<&'a v1::PutNewsRequest> for ReportFields<'a> {
    fn from(request: &'a v1::PutNewsRequest) -> Self {
        Self {
            match_id: &request.match_id,
            source: &request.source,
            text: &request.text,
            published_at: request.published_at.as_ref().map(|at| (at.seconds, at.nanos)),
            home_players: &request.home_players,
            away_players: &request.away_players,
            valid_hours: request.valid_hours,
        }
    }
}

impl From<&SettlementTerms> for v1::SettlementTerms {
    fn from(terms: &SettlementTerms) -> Self {
        Self {
            style: v1::SettlementStyle::from(terms.style).into(),
            currency: terms.currency.to_string(),
            initial_margin_ppm: terms.initial_margin_ppm,
        }
    }
}

impl TryFrom<&v1::SettlementTerms> for SettlementTerms {
    type Error = InvalidField;

    fn try_from(terms: &v1::SettlementTerms) -> Result<Self, InvalidField> {
        if !(0..=1_000_000).contains(&terms.initial_margin_ppm) {
            return Err(InvalidField::new("initial_margin_ppm", "MARGIN_OUT_OF_BOUNDS", "must be 0 to 1,000,000"));
        }
        Ok(Self {
            style: known::<v1::SettlementStyle>("style", terms.style)?.try_into()?,
            currency: id("currency", &terms.currency)?,
            initial_margin_ppm: terms.initial_margin_ppm,
        })
    }
}

/// The outcome as written on the wire: HOME, DRAW or AWAY.
#[must_use]
pub const fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Home => "HOME",
        Outcome::Draw => "DRAW",
        Outcome::Away => "AWAY",
    }
}

/// The outcome in `field`, written as by [`outcome_text`].
///
/// # Errors
/// [`InvalidField`] for any other text.
pub fn outcome(field: &str, text: &str) -> Result<Outcome, InvalidField> {
    match text {
        "HOME" => Ok(Outcome::Home),
        "DRAW" => Ok(Outcome::Draw),
        "AWAY" => Ok(Outcome::Away),
        other => Err(InvalidField::new(field, "OUTCOME_UNKNOWN", format!("{other:?} is not an outcome"))),
    }
}

impl From<&Instrument> for v1::Instrument {
    fn from(instrument: &Instrument) -> Self {
        let status = match instrument.status {
            InstrumentStatus::Open => v1::InstrumentStatus::Open,
            InstrumentStatus::Suspended => v1::InstrumentStatus::Suspended,
            InstrumentStatus::Closed => v1::InstrumentStatus::Closed,
        };
        let (match_id, outcome) = match &instrument.prediction {
            Some((match_id, outcome)) => (match_id.to_string(), outcome_text(*outcome).to_owned()),
            None => (String::new(), String::new()),
        };
        Self {
            instrument_id: instrument.id.to_string(),
            name: instrument.name.clone(),
            settlement_style: v1::SettlementStyle::from(instrument.settlement.style).into(),
            currency: instrument.settlement.currency.to_string(),
            tick_micros: instrument.tick.micros(),
            lot_micros: instrument.lot.micros(),
            min_quantity_micros: instrument.min_quantity.micros(),
            max_quantity_micros: instrument.max_quantity.micros(),
            min_price_micros: instrument.min_price.micros(),
            max_price_micros: instrument.max_price.micros(),
            initial_margin_ppm: instrument.settlement.initial_margin_ppm,
            taker_fee_ppm: instrument.taker_fee_ppm,
            status: status.into(),
            match_id,
            outcome,
            max_quote_age_ms: instrument.max_quote_age_ms.unwrap_or_default(),
        }
    }
}

impl TryFrom<&v1::Instrument> for Instrument {
    type Error = InvalidField;

    fn try_from(instrument: &v1::Instrument) -> Result<Self, InvalidField> {
        for (field, value) in [
            ("tick_micros", instrument.tick_micros),
            ("lot_micros", instrument.lot_micros),
            ("min_quantity_micros", instrument.min_quantity_micros),
            ("min_price_micros", instrument.min_price_micros),
        ] {
            if value <= 0 {
                return Err(InvalidField::new(field, "NOT_POSITIVE", "must be above zero"));
            }
        }
        let status = match known("status", instrument.status)? {
            v1::InstrumentStatus::Open => InstrumentStatus::Open,
            v1::InstrumentStatus::Suspended => InstrumentStatus::Suspended,
            v1::InstrumentStatus::Closed | v1::InstrumentStatus::Unspecified => InstrumentStatus::Closed,
        };
        let prediction = match (instrument.match_id.as_str(), instrument.outcome.as_str()) {
            ("", "") => None,
            (match_id, text) => Some((id("match_id", match_id)?, outcome("outcome", text)?)),
        };
        let settlement = v1::SettlementTerms {
            style: instrument.settlement_style,
            currency: instrument.currency.clone(),
            initial_margin_ppm: instrument.initial_margin_ppm,
        };
        Ok(Self {
            id: id("instrument_id", &instrument.instrument_id)?,
            name: instrument.name.clone(),
            settlement: SettlementTerms::try_from(&settlement)?,
            tick: Price::from_micros(instrument.tick_micros),
            lot: Quantity::from_micros(instrument.lot_micros),
            min_quantity: Quantity::from_micros(instrument.min_quantity_micros),
            max_quantity: Quantity::from_micros(instrument.max_quantity_micros),
            min_price: Price::from_micros(instrument.min_price_micros),
            max_price: Price::from_micros(instrument.max_price_micros),
            taker_fee_ppm: instrument.taker_fee_ppm,
            status,
            prediction,
            max_quote_age_ms: (instrument.max_quote_age_ms > 0).then_some(instrument.max_quote_age_ms),
        })
    }
}

fn level(price_micros: i64, quantity_micros: i64) -> Option<Level> {
    (price_micros > 0 && quantity_micros > 0)
        .then(|| Level { price: Price::from_micros(price_micros), quantity: Quantity::from_micros(quantity_micros) })
}

impl From<&Quote> for v1::Quote {
    fn from(quote: &Quote) -> Self {
        let parts = |level: Option<Level>| level.map_or((0, 0), |l| (l.price.micros(), l.quantity.micros()));
        let ((bid_price_micros, bid_quantity_micros), (ask_price_micros, ask_quantity_micros)) =
            (parts(quote.bid), parts(quote.ask));
        Self {
            instrument_id: quote.instrument.to_string(),
            bid_price_micros,
            bid_quantity_micros,
            ask_price_micros,
            ask_quantity_micros,
            last_price_micros: 0,
            event_time_micros: quote.event_time.micros(),
            published_at_micros: quote.published_at.micros(),
        }
    }
}

impl TryFrom<&v1::Quote> for Quote {
    type Error = InvalidField;

    fn try_from(quote: &v1::Quote) -> Result<Self, InvalidField> {
        let (bid, ask) = (
            level(quote.bid_price_micros, quote.bid_quantity_micros),
            level(quote.ask_price_micros, quote.ask_quantity_micros),
        );
        if let (Some(bid), Some(ask)) = (bid, ask)
            && bid.price > ask.price
        {
            return Err(InvalidField::new("bid_price_micros", "QUOTE_CROSSED", "is above the ask"));
        }
        Ok(Self {
            instrument: id("instrument_id", &quote.instrument_id)?,
            bid,
            ask,
            event_time: Timestamp::from_micros(quote.event_time_micros),
            published_at: Timestamp::from_micros(quote.published_at_micros),
        })
    }
}

impl From<&Bar> for v1::Bar {
    fn from(bar: &Bar) -> Self {
        Self {
            instrument_id: bar.instrument.to_string(),
            timeframe: bar.timeframe.as_str().to_owned(),
            start_micros: bar.start.micros(),
            bid_open_micros: bar.bid.open.micros(),
            bid_high_micros: bar.bid.high.micros(),
            bid_low_micros: bar.bid.low.micros(),
            bid_close_micros: bar.bid.close.micros(),
            ask_open_micros: bar.ask.open.micros(),
            ask_high_micros: bar.ask.high.micros(),
            ask_low_micros: bar.ask.low.micros(),
            ask_close_micros: bar.ask.close.micros(),
            published_at_micros: bar.published_at.micros(),
        }
    }
}

impl TryFrom<&v1::Bar> for Bar {
    type Error = InvalidField;

    fn try_from(bar: &v1::Bar) -> Result<Self, InvalidField> {
        let ohlc = |field: &str, [open, high, low, close]: [i64; 4]| {
            let is_ordered = low > 0 && low <= open.min(close) && high >= open.max(close);
            if !is_ordered {
                return Err(InvalidField::new(field, "BAR_INCONSISTENT", "needs 0 < low <= open, close <= high"));
            }
            Ok(Ohlc {
                open: Price::from_micros(open),
                high: Price::from_micros(high),
                low: Price::from_micros(low),
                close: Price::from_micros(close),
            })
        };
        let timeframe = Timeframe::parse(&bar.timeframe)
            .ok_or_else(|| InvalidField::new("timeframe", "TIMEFRAME_UNKNOWN", "is not one of 1m, 5m, 1h, 4h, 1d"))?;
        let bid = ohlc("bid", [bar.bid_open_micros, bar.bid_high_micros, bar.bid_low_micros, bar.bid_close_micros])?;
        let ask = ohlc("ask", [bar.ask_open_micros, bar.ask_high_micros, bar.ask_low_micros, bar.ask_close_micros])?;
        if is_broken(&bid, &ask) {
            let by = Price::from_micros(crossed_by(&bid, &ask));
            return Err(InvalidField::new("ask", "BAR_CROSSED", format!("is {by} below the bid")));
        }
        Ok(Self {
            instrument: id("instrument_id", &bar.instrument_id)?,
            timeframe,
            start: Timestamp::from_micros(bar.start_micros),
            bid,
            ask,
            published_at: Timestamp::from_micros(bar.published_at_micros),
        })
    }
}

impl From<&Match> for v1::Match {
    fn from(game: &Match) -> Self {
        let status = match game.status {
            MatchStatus::Scheduled => v1::MatchStatus::Scheduled,
            MatchStatus::InPlay => v1::MatchStatus::InPlay,
            MatchStatus::Finished => v1::MatchStatus::Finished,
        };
        Self {
            match_id: game.id.to_string(),
            home: game.home.clone(),
            away: game.away.clone(),
            kickoff_micros: game.kickoff.micros(),
            status: status.into(),
            minute: i32::from(game.minute),
            home_goals: i32::from(game.goals.0),
            away_goals: i32::from(game.goals.1),
            home_reds: i32::from(game.reds.0),
            away_reds: i32::from(game.reds.1),
            published_at_micros: game.published_at.micros(),
            event_time_micros: 0,
        }
    }
}

impl TryFrom<&v1::Match> for Match {
    type Error = InvalidField;

    fn try_from(game: &v1::Match) -> Result<Self, InvalidField> {
        let status = match known("status", game.status)? {
            v1::MatchStatus::Scheduled => MatchStatus::Scheduled,
            v1::MatchStatus::InPlay => MatchStatus::InPlay,
            v1::MatchStatus::Finished => MatchStatus::Finished,
            v1::MatchStatus::Unspecified => return Err(unspecified("status")),
        };
        let small = |field: &str, number: i32| {
            u8::try_from(number)
                .map_err(|_| InvalidField::new(field, "NUMBER_OUT_OF_BOUNDS", format!("{number} is not 0 to 255")))
        };
        Ok(Self {
            id: id("match_id", &game.match_id)?,
            home: game.home.clone(),
            away: game.away.clone(),
            kickoff: Timestamp::from_micros(game.kickoff_micros),
            status,
            minute: small("minute", game.minute)?,
            goals: (small("home_goals", game.home_goals)?, small("away_goals", game.away_goals)?),
            reds: (small("home_reds", game.home_reds)?, small("away_reds", game.away_reds)?),
            published_at: Timestamp::from_micros(game.published_at_micros),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_whose_bid_is_above_its_ask_is_refused_by_a_little_or_by_all() {
        let check = |bid: i64, ask: i64, is_taken: bool| {
            let quote = v1::Quote {
                instrument_id: "P".into(),
                bid_price_micros: bid,
                bid_quantity_micros: 1,
                ask_price_micros: ask,
                ask_quantity_micros: 1,
                ..v1::Quote::default()
            };
            let parsed = Quote::try_from(&quote).map_err(|error| (error.field, error.reason));
            let expected = ("bid_price_micros".to_owned(), "QUOTE_CROSSED");
            assert_eq!(parsed.err(), (!is_taken).then_some(expected), "{bid} {ask}");
        };
        check(490_000, 510_000, true);
        // Locked, as two venues are at times.
        check(500_000, 500_000, true);
        check(500_001, 500_000, false);
        check(990_000, 10_000, false);
        check(i64::MAX, 1, false);
        // Nobody bids, or nobody asks.
        check(0, 10_000, true);
        check(990_000, 0, true);
    }

    #[test]
    fn a_bar_whose_bid_is_far_above_its_ask_is_refused() {
        let check = |bid: i64, ask: i64, expected: Option<(&str, &str)>| {
            let bar = v1::Bar {
                instrument_id: "P".into(),
                timeframe: "1m".into(),
                bid_open_micros: bid,
                bid_high_micros: bid,
                bid_low_micros: bid,
                bid_close_micros: bid,
                ask_open_micros: ask,
                ask_high_micros: ask,
                ask_low_micros: ask,
                ask_close_micros: ask,
                ..v1::Bar::default()
            };
            let refused = Bar::try_from(&bar).err();
            assert_eq!(refused.as_ref().map(|own| (own.field.as_str(), own.reason)), expected, "{bid} {ask}");
        };
        check(1_500_000, 1_500_010, None);
        // As far apart as two samples of one price may be.
        check(1_500_000, 1_499_250, None);
        check(1_500_000, 1_499_249, Some(("ask", "BAR_CROSSED")));
        check(1_500_000, 1, Some(("ask", "BAR_CROSSED")));
        check(i64::MAX, 1, Some(("ask", "BAR_CROSSED")));
        check(0, 1, Some(("bid", "BAR_INCONSISTENT")));
    }
}
