//! The shape of a question to an agent: what can be said about it without knowing the market.

use crate::{
    id::{Currency, IdError, MatchId},
    routing::{
        reason::{Reason, Violation},
        request::{Found, OrderFields, RequestLimits, check_moment, check_order},
    },
    time::Timestamp,
};

/// Longest name of a team, player or source, bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest text of one news item, bytes.
pub const TEXT_BYTES_MAX: usize = 2_000;
/// Most news items in one question.
pub const ITEMS_MAX: usize = 100;
/// Most teams or players in one question.
pub const ENTITIES_MAX: usize = 20;
/// Longest period of forecasts, days: two seasons and a summer.
pub const FORECAST_DAYS_MAX: i64 = 800;
/// Models whose forecasts can be judged.
pub const FORECAST_MODELS: [&str; 3] = ["dixon-coles", "elo", "closing-line"];

/// A question as it was sent.
#[derive(Debug, Clone, Copy)]
pub enum AnalysisFields<'a> {
    /// Not set.
    Missing,
    /// Value in a match.
    Scout {
        /// The match.
        match_id: &'a str,
        /// Smallest edge shown, basis points; 0 for the default.
        min_edge_bps: i32,
    },
    /// Forecast of a match or of two teams.
    Research {
        /// The match; empty for two teams.
        match_id: &'a str,
        /// Home team; empty for a match.
        home_team: &'a str,
        /// Away team; empty for a match.
        away_team: &'a str,
    },
    /// What the guard would say to an order.
    WhatIf(OrderFields<'a>),
    /// What the account holds.
    Portfolio {
        /// Empty for the default.
        currency: &'a str,
    },
    /// How good forecasts were.
    Calibration {
        /// Which model's.
        model: &'a str,
        /// First day: seconds since the epoch and nanoseconds.
        from: Option<(i64, i32)>,
        /// The day after the last.
        to: Option<(i64, i32)>,
    },
    /// Contradictions between quotes.
    Scan {
        /// Only this match; empty for all.
        match_id: &'a str,
        /// Smallest amount at the ask, 1e-6; 0 for the default.
        min_liquidity_micros: i64,
        /// Most findings; 0 for the default.
        limit: i32,
    },
    /// What texts say.
    Sentiment {
        /// Teams or players.
        entities: &'a [String],
        /// How many texts there are; none for the news that are held.
        items: usize,
        /// Held news of this match only; empty for all, and when there are texts.
        match_id: &'a str,
    },
}

/// One text as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct NewsFields<'a> {
    /// Who wrote it.
    pub source: &'a str,
    /// What it says.
    pub text: &'a str,
    /// When: seconds since the epoch and nanoseconds.
    pub published_at: Option<(i64, i32)>,
}

/// Checks the shape of a question to an agent; `news` are the texts of [`AnalysisFields::Sentiment`].
///
/// # Errors
/// Every violation; never empty.
pub fn check_analysis<'a>(
    fields: &AnalysisFields<'_>,
    news: impl Iterator<Item = NewsFields<'a>>,
    limits: &RequestLimits,
    now: Timestamp,
) -> Result<(), Vec<Violation>> {
    let mut found = Found::default();
    match *fields {
        AnalysisFields::Missing => found.add("kind", Reason::KindMissing, "one kind of question must be set"),
        AnalysisFields::Scout { match_id, min_edge_bps } => {
            found.keep(check_match("scout.match_id", match_id));
            if !(0..=10_000).contains(&min_edge_bps) {
                let field = "scout.min_edge_bps";
                found.add(field, Reason::EdgeOutOfBounds, "the edge must be from 0 to 10,000");
            }
        }
        AnalysisFields::Research { match_id, home_team, away_team } => {
            check_research(match_id, home_team, away_team, &mut found);
        }
        AnalysisFields::WhatIf(order) => check_order(&order, limits, now, &mut found),
        AnalysisFields::Portfolio { currency } => {
            if !currency.is_empty() && Currency::new(currency).is_err() {
                let field = "portfolio.currency";
                found.add(field, Reason::CurrencyInvalid, "a currency has at most 8 letters and digits");
            }
        }
        AnalysisFields::Calibration { model, from, to } => check_calibration(model, from, to, &mut found),
        AnalysisFields::Scan { match_id, min_liquidity_micros, limit } => {
            if !match_id.is_empty() {
                found.keep(check_match("scan.match_id", match_id));
            }
            if min_liquidity_micros < 0 {
                let field = "scan.min_liquidity_micros";
                found.add(field, Reason::FilterOutOfBounds, "the amount must not be negative");
            }
            if !(0..=500).contains(&limit) {
                found.add("scan.limit", Reason::FilterOutOfBounds, "the limit must be from 0 to 500");
            }
        }
        AnalysisFields::Sentiment { entities, items, match_id } => {
            check_sentiment(entities, items, &mut found);
            if items > 0 && !match_id.is_empty() {
                let message = "a match is only for held news: give texts or a match";
                found.add("sentiment.match_id", Reason::MatchNotExpected, message);
            } else if !match_id.is_empty() {
                found.keep(check_match("sentiment.match_id", match_id));
            }
            news.take(ITEMS_MAX).for_each(|item| check_news(&item, &mut found));
        }
    }
    found.finish(Some(()))
}

/// Checks the id of a match in `field`.
///
/// # Errors
/// `field` with the reason.
pub fn check_match(field: &'static str, text: &str) -> Result<MatchId, Violation> {
    MatchId::new(text).map_err(|error| {
        let reason = match error {
            IdError::Missing { .. } => Reason::MatchMissing,
            IdError::TooLong { .. } => Reason::MatchTooLong,
            IdError::Charset { .. } => Reason::MatchBadCharset,
        };
        Violation::new(field, reason, error.to_string())
    })
}

fn check_research(match_id: &str, home_team: &str, away_team: &str, found: &mut Found) {
    let has_teams = !home_team.is_empty() || !away_team.is_empty();
    match (match_id.is_empty(), has_teams) {
        (false, false) => drop(found.keep(check_match("research.match_id", match_id))),
        (true, true) => {
            for (field, team) in [("research.home_team", home_team), ("research.away_team", away_team)] {
                if !is_name(team) {
                    found.add(field, Reason::TeamInvalid, "a team has 1 to 64 bytes and no control characters");
                }
            }
            if home_team == away_team {
                found.add("research.away_team", Reason::TeamInvalid, "a team does not play itself");
            }
        }
        (true, false) | (false, true) => {
            found.add("research", Reason::TeamsOrMatch, "either `match_id` or both teams must be set");
        }
    }
}

fn check_calibration(model: &str, from: Option<(i64, i32)>, to: Option<(i64, i32)>, found: &mut Found) {
    if !FORECAST_MODELS.contains(&model) {
        let message = format!("the models are {}", FORECAST_MODELS.join(", "));
        found.add("calibration.model", Reason::ModelUnknown, message);
    }
    let mut moment = |field, given: Option<(i64, i32)>| match given {
        Some(given) => found.keep(check_moment(field, given)),
        None => {
            found.add(field, Reason::PeriodInvalid, "the period needs a beginning and an end");
            None
        }
    };
    let (from, to) = (moment("calibration.from", from), moment("calibration.to", to));
    let (Some(from), Some(to)) = (from, to) else { return };
    if to.utc_day() <= from.utc_day() {
        found.add("calibration.to", Reason::PeriodInvalid, "the period must end after it begins");
    } else if to.utc_day() - from.utc_day() > FORECAST_DAYS_MAX {
        let message = format!("the period must not be longer than {FORECAST_DAYS_MAX} days");
        found.add("calibration.to", Reason::PeriodTooLong, message);
    }
}

fn check_sentiment(entities: &[String], items: usize, found: &mut Found) {
    if items > ITEMS_MAX {
        found.add("sentiment.items", Reason::ItemsOutOfBounds, format!("at most {ITEMS_MAX} texts are read at once"));
    }
    if !(1..=ENTITIES_MAX).contains(&entities.len()) {
        let message = format!("1 to {ENTITIES_MAX} teams or players are looked for at once");
        found.add("sentiment.entities", Reason::ItemsOutOfBounds, message);
    }
    if entities.iter().any(|entity| !is_name(entity)) {
        let message = "a name has 1 to 64 bytes and no control characters";
        found.add("sentiment.entities", Reason::EntityInvalid, message);
    }
}

fn check_news(item: &NewsFields<'_>, found: &mut Found) {
    if !is_name(item.source) {
        let message = "a source has 1 to 64 bytes and no control characters";
        found.add("sentiment.items.source", Reason::SourceInvalid, message);
    }
    if item.text.trim().is_empty() || item.text.len() > TEXT_BYTES_MAX {
        let message = format!("a text has 1 to {TEXT_BYTES_MAX} bytes");
        found.add("sentiment.items.text", Reason::TextInvalid, message);
    }
    match item.published_at {
        Some(moment) => drop(found.keep(check_moment("sentiment.items.published_at", moment))),
        None => {
            let field = "sentiment.items.published_at";
            found.add(field, Reason::TimestampInvalid, "a text needs the time of its publication");
        }
    }
}

/// A name as people write it: short, and nothing in it that a terminal obeys.
pub(super) fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.trim().is_empty() && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn check(fields: AnalysisFields<'_>, news: &[NewsFields<'_>], expected: &[(&str, Reason)]) {
        let found = check_analysis(&fields, news.iter().copied(), &RequestLimits::default(), NOW);
        let found = found.err().unwrap_or_default();
        let found: Vec<_> = found.iter().map(|violation| (violation.field, violation.reason)).collect();
        assert_eq!(found, expected, "{fields:?}");
    }

    #[test]
    fn a_match_is_named_and_an_edge_is_a_share() {
        let scout = |match_id, min_edge_bps| AnalysisFields::Scout { match_id, min_edge_bps };
        check(AnalysisFields::Missing, &[], &[("kind", Reason::KindMissing)]);
        check(scout("EPL-2026-ARS-MCI", 0), &[], &[]);
        check(scout("EPL-2026-ARS-MCI", 10_000), &[], &[]);
        check(scout("", 0), &[], &[("scout.match_id", Reason::MatchMissing)]);
        check(scout("a b", 0), &[], &[("scout.match_id", Reason::MatchBadCharset)]);
        let edge = [("scout.min_edge_bps", Reason::EdgeOutOfBounds)];
        check(scout("A", -1), &[], &edge);
        check(scout("A", 10_001), &[], &edge);
    }

    #[test]
    fn research_is_of_a_match_or_of_two_teams() {
        let research = |match_id, home_team, away_team| AnalysisFields::Research { match_id, home_team, away_team };
        check(research("EPL-2026-ARS-MCI", "", ""), &[], &[]);
        check(research("", "Arsenal", "Nott'm Forest"), &[], &[]);
        let both = [("research", Reason::TeamsOrMatch)];
        check(research("", "", ""), &[], &both);
        check(research("EPL-2026-ARS-MCI", "Arsenal", ""), &[], &both);
        check(research("", "Arsenal", ""), &[], &[("research.away_team", Reason::TeamInvalid)]);
        check(research("", "Arsenal", "Arsenal"), &[], &[("research.away_team", Reason::TeamInvalid)]);
        check(research("", "Ars\u{1b}nal", "Fulham"), &[], &[("research.home_team", Reason::TeamInvalid)]);
    }

    #[test]
    fn an_order_is_checked_like_that_of_a_trade() {
        let order = OrderFields {
            instrument_id: "GBPUSD",
            side: None,
            order_type: None,
            quantity_micros: 0,
            limit_price_micros: 0,
            time_in_force: Some(crate::routing::Lifetime::Ioc),
            expire_at: None,
            is_reduce_only: false,
            is_post_only: false,
        };
        let expected = [
            ("order.side", Reason::SideMissing),
            ("order.order_type", Reason::OrderTypeMissing),
            ("order.quantity_micros", Reason::QuantityNotPositive),
        ];
        check(AnalysisFields::WhatIf(order), &[], &expected);
    }

    #[test]
    fn a_period_has_two_ends_and_at_most_two_seasons() {
        const DAY: i64 = 86_400;
        let calibration = |model, from: Option<i64>, to: Option<i64>| {
            let moment = |days: i64| (days * DAY, 0);
            AnalysisFields::Calibration { model, from: from.map(moment), to: to.map(moment) }
        };
        check(calibration("elo", Some(100), Some(101)), &[], &[]);
        check(calibration("elo", Some(100), Some(900)), &[], &[]);
        check(calibration("elo", Some(100), Some(901)), &[], &[("calibration.to", Reason::PeriodTooLong)]);
        check(calibration("elo", Some(100), Some(100)), &[], &[("calibration.to", Reason::PeriodInvalid)]);
        check(calibration("elo", None, Some(100)), &[], &[("calibration.from", Reason::PeriodInvalid)]);
        check(calibration("gpt", Some(1), Some(2)), &[], &[("calibration.model", Reason::ModelUnknown)]);
        let never = AnalysisFields::Calibration { model: "elo", from: Some((0, 0)), to: Some((i64::MAX, 0)) };
        check(never, &[], &[("calibration.to", Reason::TimestampInvalid)]);
    }

    #[test]
    fn filters_and_texts_have_bounds() {
        let scan =
            |match_id, min_liquidity_micros, limit| AnalysisFields::Scan { match_id, min_liquidity_micros, limit };
        check(scan("", 0, 500), &[], &[]);
        check(
            scan("", -1, 501),
            &[],
            &[("scan.min_liquidity_micros", Reason::FilterOutOfBounds), ("scan.limit", Reason::FilterOutOfBounds)],
        );
        check(AnalysisFields::Portfolio { currency: "U$" }, &[], &[("portfolio.currency", Reason::CurrencyInvalid)]);
        let entities = ["Arsenal".to_owned()];
        let sentiment = |items| AnalysisFields::Sentiment { entities: &entities, items, match_id: "" };
        let good = NewsFields { source: "bbc", text: "Saka is fit", published_at: Some((1, 0)) };
        check(sentiment(1), &[good], &[]);
        check(sentiment(0), &[], &[]);
        check(sentiment(ITEMS_MAX + 1), &[], &[("sentiment.items", Reason::ItemsOutOfBounds)]);
        let of_match = |items, match_id| AnalysisFields::Sentiment { entities: &entities, items, match_id };
        check(of_match(0, "EPL-2026-ARS-MCI"), &[], &[]);
        check(of_match(0, "a b"), &[], &[("sentiment.match_id", Reason::MatchBadCharset)]);
        check(of_match(1, "M"), &[good], &[("sentiment.match_id", Reason::MatchNotExpected)]);
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        check(sentiment(1), &[NewsFields { text: &long, ..good }], &[("sentiment.items.text", Reason::TextInvalid)]);
        let bad = NewsFields { source: "", published_at: None, ..good };
        check(
            sentiment(1),
            &[bad],
            &[
                ("sentiment.items.source", Reason::SourceInvalid),
                ("sentiment.items.published_at", Reason::TimestampInvalid),
            ],
        );
        check(
            AnalysisFields::Sentiment { entities: &[], items: 1, match_id: "" },
            &[good],
            &[("sentiment.entities", Reason::ItemsOutOfBounds)],
        );
    }
}
