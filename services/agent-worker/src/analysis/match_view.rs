//! A match as the models see it, out of market-data's snapshot.

use crate::bars::as_units;
use tragen_contracts::{convert, v1};
use tragen_domain::{
    agents::{
        consensus::{SHARP_WEIGHT, SOFT_WEIGHT},
        fair_line::{Book, Outcome},
        inplay::MatchState,
        scout::{self, MatchPhase, MatchView},
        top_of_book::{Offer, TopOfBook},
    },
    market::MatchStatus,
    time::Timestamp,
};

/// The word of an outcome in instruments and answers.
pub(crate) const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Home => "HOME",
        Outcome::Draw => "DRAW",
        Outcome::Away => "AWAY",
    }
}

/// Where the match is; one that says nothing is over.
pub(crate) fn phase(snapshot: &v1::MatchSnapshot) -> MatchPhase {
    let game = snapshot.r#match.as_ref();
    let status = match game.map(v1::Match::status) {
        Some(v1::MatchStatus::Scheduled) => MatchStatus::Scheduled,
        Some(v1::MatchStatus::InPlay) => MatchStatus::InPlay,
        Some(v1::MatchStatus::Finished | v1::MatchStatus::Unspecified) | None => MatchStatus::Finished,
    };
    let kickoff = Timestamp::from_micros(game.map_or(0, |game| game.kickoff_micros));
    MatchPhase::of(status, kickoff, Timestamp::from_micros(snapshot.event_time_micros))
}

/// The bookmakers' odds.
pub(crate) fn books(quoted: &[v1::BookOdds]) -> Vec<Book> {
    let book = |odds: &v1::BookOdds| Book {
        bookmaker: odds.bookmaker.clone(),
        weight: if odds.is_sharp { SHARP_WEIGHT } else { SOFT_WEIGHT },
        odds: [odds.home_odds_micros, odds.draw_odds_micros, odds.away_odds_micros].map(as_units),
    };
    quoted.iter().map(book).collect()
}

/// The contract of an outcome, open or not.
pub(crate) fn contract(snapshot: &v1::MatchSnapshot, outcome: Outcome) -> Option<&v1::Instrument> {
    snapshot.instruments.iter().find(|instrument| instrument.outcome == word(outcome))
}

/// The id of the contract of an outcome; empty where there is none.
pub(crate) fn contract_id(snapshot: &v1::MatchSnapshot, outcome: Outcome) -> String {
    contract(snapshot, outcome).map(|instrument| instrument.instrument_id.clone()).unwrap_or_default()
}

/// The newest quote of the contract of an outcome, if it can be traded.
pub(crate) fn quote(snapshot: &v1::MatchSnapshot, outcome: Outcome) -> Option<&v1::Quote> {
    let instrument = contract(snapshot, outcome)?;
    let is_open = instrument.status() == v1::InstrumentStatus::Open;
    let quote = snapshot.quotes.iter().find(|quote| quote.instrument_id == instrument.instrument_id);
    quote.filter(|_| is_open)
}

/// The highest taker fee of the match's contracts, as a rate.
pub(crate) fn fee_rate(snapshot: &v1::MatchSnapshot) -> f64 {
    as_units(snapshot.instruments.iter().map(|instrument| instrument.taker_fee_ppm).max().unwrap_or(0))
}

/// The match with its quotes as the scout sees it at the wall clock `now`.
pub(crate) fn scouted<'a>(snapshot: &v1::MatchSnapshot, books: &'a [Book], now: Timestamp) -> MatchView<'a> {
    let quoted = |outcome| {
        let quote = quote(snapshot, outcome).filter(|quote| quote.ask_price_micros > 0)?;
        Some(scout::Quote {
            ask: as_units(quote.ask_price_micros),
            ask_size: as_units(quote.ask_quantity_micros),
            bid: (quote.bid_price_micros > 0).then(|| as_units(quote.bid_price_micros)),
            age_ms: (quote.published_at_micros > 0).then(|| age_ms(quote, now)),
        })
    };
    MatchView { phase: phase(snapshot), books, quotes: Outcome::ALL.map(quoted) }
}

/// The best of both sides of the contract of an outcome at the wall clock `now`.
pub(crate) fn top_of_book(snapshot: &v1::MatchSnapshot, outcome: Outcome, now: Timestamp) -> Option<TopOfBook> {
    let quote = quote(snapshot, outcome)?;
    let offer = |price: i64, size: i64| (price > 0).then(|| Offer { price: as_units(price), size: as_units(size) });
    Some(TopOfBook {
        bid: offer(quote.bid_price_micros, quote.bid_quantity_micros),
        ask: offer(quote.ask_price_micros, quote.ask_quantity_micros),
        age_ms: age_ms(quote, now),
    })
}

fn age_ms(quote: &v1::Quote, now: Timestamp) -> i64 {
    now.millis_since(Timestamp::from_micros(quote.published_at_micros)).max(0)
}

/// Score, cards and clock; `None` when the snapshot has none.
pub(super) fn match_state(snapshot: &v1::MatchSnapshot) -> Option<MatchState> {
    let of = snapshot.r#match.as_ref()?;
    let count = |number: i32| u8::try_from(number).ok();
    Some(MatchState {
        minutes_played: count(snapshot.minutes_played)?,
        minute_left: as_units(i64::from(snapshot.minute_left_ppm)),
        home_goals: count(of.home_goals)?,
        away_goals: count(of.away_goals)?,
        home_reds: count(of.home_reds)?,
        away_reds: count(of.away_reds)?,
    })
}

/// Milliseconds since market-data last confirmed the score: it stamps quotes again every second
/// as long as its feed is alive.
pub(super) fn score_age_ms(snapshot: &v1::MatchSnapshot, now: Timestamp) -> i64 {
    let stamped = snapshot.r#match.iter().map(|of| of.published_at_micros);
    let newest = stamped.chain(snapshot.quotes.iter().map(|quote| quote.published_at_micros)).max().unwrap_or(0);
    now.millis_since(Timestamp::from_micros(newest)).max(0)
}

/// Market time of the snapshot, for answers.
pub(super) fn as_of(snapshot: &v1::MatchSnapshot) -> Option<pbjson_types::Timestamp> {
    Some(convert::timestamp(Timestamp::from_micros(snapshot.event_time_micros)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_past_its_kick_off_is_never_one_to_come() {
        let check = |status: v1::MatchStatus, event_time_micros, expected| {
            let game = v1::Match { status: status.into(), kickoff_micros: 1_000, ..v1::Match::default() };
            let snapshot = v1::MatchSnapshot { r#match: Some(game), event_time_micros, ..v1::MatchSnapshot::default() };
            assert_eq!(phase(&snapshot), expected, "{status:?} at {event_time_micros}");
        };
        check(v1::MatchStatus::Scheduled, 999, MatchPhase::PreMatch);
        check(v1::MatchStatus::Scheduled, 1_000, MatchPhase::InPlay);
        check(v1::MatchStatus::InPlay, 999, MatchPhase::InPlay);
        check(v1::MatchStatus::Finished, 2_000, MatchPhase::Finished);
        assert_eq!(phase(&v1::MatchSnapshot::default()), MatchPhase::Finished);
    }
}
