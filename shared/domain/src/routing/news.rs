//! The shape of a text about a match, before it is told to anybody.

use crate::{
    id::MatchId,
    routing::{
        analysis::{TEXT_BYTES_MAX, check_match, is_name},
        reason::{Reason, Violation},
        request::{Found, check_moment},
    },
    time::Timestamp,
};

/// Most key players of one team that one text is about.
pub const PLAYERS_MAX: usize = 10;
/// How long a text counts if nothing is said, hours.
pub const VALID_HOURS: i32 = 24;
/// Longest that a text counts, hours: older ones say nothing of a mood either.
pub const VALID_HOURS_MAX: i32 = 48;
/// How far the writer's clock may be ahead, milliseconds.
pub const AHEAD_MS_MAX: i64 = 300_000;

/// A text as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct ReportFields<'a> {
    /// The match.
    pub match_id: &'a str,
    /// Who wrote it.
    pub source: &'a str,
    /// What it says.
    pub text: &'a str,
    /// When: seconds since the epoch and nanoseconds.
    pub published_at: Option<(i64, i32)>,
    /// Key players of the home team that it is about.
    pub home_players: &'a [String],
    /// Key players of the away team that it is about.
    pub away_players: &'a [String],
    /// For how long it counts, hours; 0 for [`VALID_HOURS`].
    pub valid_hours: i32,
}

/// What a text is about, and when it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedReport {
    /// The match.
    pub match_id: MatchId,
    /// When it appeared.
    pub published_at: Timestamp,
    /// When it ceases to count.
    pub expires_at: Timestamp,
}

/// Checks a text about a match.
///
/// # Errors
/// Every violation; never empty.
pub fn check_report(fields: &ReportFields<'_>, now: Timestamp) -> Result<CheckedReport, Vec<Violation>> {
    let mut found = Found::default();
    let match_id = found.keep(check_match("match_id", fields.match_id));
    if !is_name(fields.source) {
        found.add("source", Reason::SourceInvalid, "a source has 1 to 64 bytes and no control characters");
    }
    if fields.text.trim().is_empty() || fields.text.len() > TEXT_BYTES_MAX {
        found.add("text", Reason::TextInvalid, format!("a text has 1 to {TEXT_BYTES_MAX} bytes"));
    }
    for (field, players) in [("home_players", fields.home_players), ("away_players", fields.away_players)] {
        if players.len() > PLAYERS_MAX {
            found.add(field, Reason::ItemsOutOfBounds, format!("at most {PLAYERS_MAX} players of a team are named"));
        }
        if players.iter().any(|player| !is_name(player)) {
            found.add(field, Reason::EntityInvalid, "a name has 1 to 64 bytes and no control characters");
        }
    }
    let hours = if fields.valid_hours == 0 { VALID_HOURS } else { fields.valid_hours };
    let is_period = (1..=VALID_HOURS_MAX).contains(&hours);
    if !is_period {
        found.add("valid_hours", Reason::PeriodInvalid, format!("a text counts for 1 to {VALID_HOURS_MAX} hours"));
    }
    let published_at = match fields.published_at {
        Some(moment) => found.keep(check_moment("published_at", moment)),
        None => {
            found.add("published_at", Reason::TimestampInvalid, "a text needs the time of its publication");
            None
        }
    };
    let checked = match_id.zip(published_at).map(|(match_id, published_at)| CheckedReport {
        match_id,
        published_at,
        expires_at: published_at.plus_millis(i64::from(if is_period { hours } else { VALID_HOURS_MAX }) * 3_600_000),
    });
    if let Some(checked) = &checked {
        if checked.published_at > now.plus_millis(AHEAD_MS_MAX) {
            found.add("published_at", Reason::TimestampInvalid, "the text is from the future");
        } else if checked.expires_at <= now {
            found.add("published_at", Reason::PeriodInvalid, "the text does not count any more");
        }
    }
    found.finish(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn good<'a>() -> ReportFields<'a> {
        ReportFields {
            match_id: "EPL-2026-ARS-MCI",
            source: "bbc",
            text: "Saka is ruled out",
            published_at: Some((1_700_000_000 - 3_600, 0)),
            home_players: &[],
            away_players: &[],
            valid_hours: 0,
        }
    }

    #[test]
    fn a_text_counts_for_a_day_from_its_publication() {
        let checked = check_report(&good(), NOW).expect("good");
        assert_eq!(checked.expires_at.micros(), (1_700_000_000 - 3_600 + 86_400) * 1_000_000);
        let short = ReportFields { valid_hours: 2, ..good() };
        assert_eq!(check_report(&short, NOW).map(|c| c.expires_at.micros()), Ok((1_700_000_000 + 3_600) * 1_000_000));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |fields: ReportFields<'_>, expected: &[(&str, Reason)]| {
            let found = check_report(&fields, NOW).expect_err("refused");
            let found: Vec<_> = found.iter().map(|violation| (violation.field, violation.reason)).collect();
            assert_eq!(found, expected, "{fields:?}");
        };
        check(ReportFields { match_id: "", ..good() }, &[("match_id", Reason::MatchMissing)]);
        check(ReportFields { match_id: "a.b", ..good() }, &[("match_id", Reason::MatchBadCharset)]);
        check(ReportFields { source: "b\u{7}bc", ..good() }, &[("source", Reason::SourceInvalid)]);
        check(ReportFields { text: "  ", ..good() }, &[("text", Reason::TextInvalid)]);
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        check(ReportFields { text: &long, ..good() }, &[("text", Reason::TextInvalid)]);
        check(ReportFields { valid_hours: 49, ..good() }, &[("valid_hours", Reason::PeriodInvalid)]);
        check(ReportFields { valid_hours: -1, ..good() }, &[("valid_hours", Reason::PeriodInvalid)]);
        check(ReportFields { published_at: None, ..good() }, &[("published_at", Reason::TimestampInvalid)]);
        let at = |seconds: i64| Some((1_700_000_000 + seconds, 0));
        check(ReportFields { published_at: at(301), ..good() }, &[("published_at", Reason::TimestampInvalid)]);
        check(ReportFields { published_at: at(-86_400), ..good() }, &[("published_at", Reason::PeriodInvalid)]);
        let many = vec!["Saka".to_owned(); PLAYERS_MAX + 1];
        check(ReportFields { home_players: &many, ..good() }, &[("home_players", Reason::ItemsOutOfBounds)]);
        let nameless = [String::new()];
        check(ReportFields { away_players: &nameless, ..good() }, &[("away_players", Reason::EntityInvalid)]);
    }
}
