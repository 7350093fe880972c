//! Which matches were and will be played: the one input of all football models.
//!
//! A [`History`] is canonical: teams sorted by name, matches by day and home team. So the same matches in any order of
//! rows give the same sums to the last bit, and the same [`DataVersion`].

use super::calendar::{MatchDay, Season};
use super::fingerprint::Fingerprint;
use crate::agents::fair_line::Outcome;
use crate::agents::nearest::nearest;

/// More goals by one team than any league match has seen; a larger number is a typing error.
pub const GOALS_MAX: u8 = 30;
/// Most teams in a history; the models' matrices grow with the square of it.
pub const TEAMS_MAX: usize = 400;
/// Longest team name, bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Goals after 90 minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Score {
    /// Goals of the home team.
    pub home: u8,
    /// Goals of the away team.
    pub away: u8,
}

impl Score {
    /// Who won.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self.home.cmp(&self.away) {
            std::cmp::Ordering::Greater => Outcome::Home,
            std::cmp::Ordering::Equal => Outcome::Draw,
            std::cmp::Ordering::Less => Outcome::Away,
        }
    }
}

/// A match as a file or feed tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchRow {
    /// When it is played.
    pub day: MatchDay,
    /// The season it belongs to.
    pub season: Season,
    /// Name of the home team.
    pub home: String,
    /// Name of the away team.
    pub away: String,
    /// The result; None while it is not played.
    pub score: Option<Score>,
}

/// A team of one [`History`]: its place among the names in alphabetical order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TeamIndex(pub(super) usize);

impl TeamIndex {
    /// The place, from 0.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }
}

/// A match of a [`History`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// When it is played.
    pub day: MatchDay,
    /// The season it belongs to.
    pub season: Season,
    /// The home team.
    pub home: TeamIndex,
    /// The away team.
    pub away: TeamIndex,
    /// The result; None while it is not played.
    pub score: Option<Score>,
}

/// Why rows are not a history. Rows count from 0, as given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// Names are not empty and at most [`NAME_BYTES_MAX`] bytes.
    #[error("row {row}: a team name of {bytes} bytes is outside 1..={NAME_BYTES_MAX}")]
    InvalidName {
        /// The row.
        row: usize,
        /// Length of the name.
        bytes: usize,
    },
    /// Nobody plays himself.
    #[error("row {row}: {team} plays against itself")]
    SameTeam {
        /// The row.
        row: usize,
        /// The name.
        team: String,
    },
    /// A typing error.
    #[error("row {row}: {goals} goals are more than {GOALS_MAX}")]
    ImplausibleScore {
        /// The row.
        row: usize,
        /// The goals as given.
        goals: u8,
    },
    /// The same match twice, or another mistake in the date.
    #[error("row {row}: {team} plays twice on {day}")]
    TwiceOnOneDay {
        /// The later of the two rows.
        row: usize,
        /// The name.
        team: String,
        /// The day.
        day: MatchDay,
    },
    /// More than [`TEAMS_MAX`].
    #[error("{teams} teams are more than {TEAMS_MAX}")]
    TooManyTeams {
        /// How many names there are.
        teams: usize,
    },
}

/// A name that is not in the history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no team {asked}; the nearest names are {}", nearest.join(", "))]
pub struct UnknownTeam {
    /// The name as asked.
    pub asked: String,
    /// At most three names like it, nearest first.
    pub nearest: Vec<String>,
}

/// A fingerprint of all matches: equal histories have equal versions. 128 bits, not for secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataVersion(u128);

impl DataVersion {
    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }
}

impl std::fmt::Display for DataVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// All matches known, sorted by day, then by the home team's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    teams: Vec<String>,
    matches: Vec<Match>,
    version: DataVersion,
}

impl History {
    /// Checks and sorts the rows.
    ///
    /// ```
    /// use tragen_domain::agents::football::{History, MatchDay, MatchRow, Score, Season};
    /// let row = |day: u8, home: &str, away: &str, score| MatchRow {
    ///     day: MatchDay::from_date(2024, 8, day).expect("a date"),
    ///     season: Season::beginning(2024),
    ///     home: home.to_owned(),
    ///     away: away.to_owned(),
    ///     score,
    /// };
    /// let played = row(16, "Man United", "Fulham", Some(Score { home: 1, away: 0 }));
    /// let history = History::new(&[row(24, "Brighton", "Man United", None), played])?;
    /// assert_eq!(history.matches()[0].score, Some(Score { home: 1, away: 0 }));
    /// assert_eq!(history.team("Man Untied").unwrap_err().nearest[0], "Man United");
    /// # Ok::<(), tragen_domain::agents::football::HistoryError>(())
    /// ```
    ///
    /// # Errors
    /// [`HistoryError`] with the first bad row.
    pub fn new(rows: &[MatchRow]) -> Result<Self, HistoryError> {
        for (number, row) in rows.iter().enumerate() {
            check_row(number, row)?;
        }
        let mut teams: Vec<String> = rows.iter().flat_map(|row| [&row.home, &row.away]).cloned().collect();
        teams.sort_unstable();
        teams.dedup();
        if teams.len() > TEAMS_MAX {
            return Err(HistoryError::TooManyTeams { teams: teams.len() });
        }
        let index = |name: &String| TeamIndex(teams.binary_search(name).unwrap_or_default());
        let read = |row: &MatchRow| {
            let (home, away) = (index(&row.home), index(&row.away));
            Match { day: row.day, season: row.season, home, away, score: row.score }
        };
        let mut numbered: Vec<(Match, usize)> = rows.iter().map(read).zip(0..).collect();
        numbered.sort_by_key(|(played, row)| (played.day, played.home, *row));
        check_days(&numbered, &teams)?;
        let matches: Vec<Match> = numbered.into_iter().map(|(played, _)| played).collect();
        let version = fingerprint(&teams, &matches);
        Ok(Self { teams, matches, version })
    }

    /// All names, in alphabetical order: `teams()[index.get()]`.
    #[must_use]
    pub fn teams(&self) -> &[String] {
        &self.teams
    }

    /// The name of a team.
    #[must_use]
    pub fn name(&self, team: TeamIndex) -> &str {
        self.teams.get(team.0).map_or("", String::as_str)
    }

    /// The team of that name.
    ///
    /// # Errors
    /// [`UnknownTeam`] with the nearest names.
    pub fn team(&self, name: &str) -> Result<TeamIndex, UnknownTeam> {
        self.teams.binary_search_by(|known| known.as_str().cmp(name)).map(TeamIndex).map_err(|_| {
            let near = nearest(name, self.teams.iter().map(String::as_str));
            UnknownTeam {
                asked: name.chars().take(NAME_BYTES_MAX).collect(),
                nearest: near.into_iter().map(str::to_owned).collect(),
            }
        })
    }

    /// All matches, by day and home team.
    #[must_use]
    pub fn matches(&self) -> &[Match] {
        &self.matches
    }

    /// The matches before a day, played or not.
    #[must_use]
    pub fn before(&self, day: MatchDay) -> &[Match] {
        &self.matches[..self.matches.partition_point(|m| m.day < day)]
    }

    /// The season on a day: that of the next match from this day on, or else of the last one; None without matches.
    #[must_use]
    pub fn season_on(&self, day: MatchDay) -> Option<Season> {
        let next = self.before(day).len();
        self.matches.get(next).or(self.matches.last()).map(|m| m.season)
    }

    /// The teams of a season by its fixture list, which is public before the first ball; in alphabetical order.
    #[must_use]
    pub fn teams_of(&self, season: Season) -> Vec<TeamIndex> {
        let matches = self.matches.iter().filter(|m| m.season == season);
        let mut teams: Vec<TeamIndex> = matches.flat_map(|m| [m.home, m.away]).collect();
        teams.sort_unstable();
        teams.dedup();
        teams
    }

    /// The fingerprint of the teams and matches.
    #[must_use]
    pub const fn version(&self) -> DataVersion {
        self.version
    }
}

fn check_row(row: usize, given: &MatchRow) -> Result<(), HistoryError> {
    let lengths = [given.home.len(), given.away.len()];
    if let Some(&bytes) = lengths.iter().find(|bytes| !(1..=NAME_BYTES_MAX).contains(*bytes)) {
        return Err(HistoryError::InvalidName { row, bytes });
    }
    if given.home == given.away {
        return Err(HistoryError::SameTeam { row, team: given.home.clone() });
    }
    let goals = given.score.map_or(0, |score| score.home.max(score.away));
    if goals > GOALS_MAX {
        return Err(HistoryError::ImplausibleScore { row, goals });
    }
    Ok(())
}

/// No team plays twice on a day.
fn check_days(sorted: &[(Match, usize)], teams: &[String]) -> Result<(), HistoryError> {
    for day in sorted.chunk_by(|(a, _), (b, _)| a.day == b.day) {
        let mut seen: Vec<(TeamIndex, usize)> =
            day.iter().flat_map(|(m, row)| [(m.home, *row), (m.away, *row)]).collect();
        seen.sort_unstable();
        if let Some(twice) = seen.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let (team, row) = twice[1];
            return Err(HistoryError::TwiceOnOneDay { row, team: teams[team.0].clone(), day: day[0].0.day });
        }
    }
    Ok(())
}

fn fingerprint(teams: &[String], matches: &[Match]) -> DataVersion {
    let mut fingerprint = Fingerprint::new();
    for m in matches {
        fingerprint.add(&m.day.days().to_le_bytes());
        fingerprint.add(&m.season.first_year().to_le_bytes());
        for team in [m.home, m.away] {
            // The length first, so that no two lists of names give the same bytes.
            let name = teams[team.0].as_bytes();
            fingerprint.add(&u8::try_from(name.len()).unwrap_or(u8::MAX).to_le_bytes());
            fingerprint.add(name);
        }
        fingerprint.add(&m.score.map_or([u8::MAX; 2], |score| [score.home, score.away]));
    }
    DataVersion(fingerprint.bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(day: i32, home: &str, away: &str, score: Option<(u8, u8)>) -> MatchRow {
        MatchRow {
            day: MatchDay::from_days(day),
            season: Season::beginning(2024),
            home: home.to_owned(),
            away: away.to_owned(),
            score: score.map(|(home, away)| Score { home, away }),
        }
    }

    #[test]
    fn the_order_of_rows_changes_nothing() {
        let rows = [row(2, "B", "A", None), row(1, "C", "D", Some((1, 1))), row(1, "A", "B", Some((2, 0)))];
        let mut turned = rows.clone();
        turned.reverse();
        let (one, other) = (History::new(&rows).expect("valid"), History::new(&turned).expect("valid"));
        assert_eq!(one, other);
        assert_eq!(one.teams(), ["A", "B", "C", "D"]);
        let homes: Vec<&str> = one.matches().iter().map(|m| one.name(m.home)).collect();
        assert_eq!(homes, ["A", "C", "B"]);
        assert_eq!(one.before(MatchDay::from_days(2)).len(), 2);
        assert_eq!(one.teams_of(Season::beginning(2024)).len(), 4);
    }

    #[test]
    fn every_change_gives_another_version() {
        let base = [row(1, "A", "B", Some((2, 0))), row(2, "B", "A", None)];
        let version = |rows: &[MatchRow]| History::new(rows).expect("valid").version();
        let changed = [
            [row(1, "A", "B", Some((2, 1))), base[1].clone()],
            [row(0, "A", "B", Some((2, 0))), base[1].clone()],
            [row(1, "AB", "B", Some((2, 0))), base[1].clone()],
            [row(1, "A", "B", None), base[1].clone()],
        ];
        for rows in &changed {
            assert_ne!(version(rows), version(&base), "{rows:?}");
        }
        let mut season = base.clone();
        season[0].season = Season::beginning(2023);
        assert_ne!(version(&season), version(&base));
        assert_eq!(version(&base).to_string().len(), 32);
    }

    #[test]
    fn bad_rows_are_named() {
        let good = row(1, "A", "B", None);
        let check = |bad: MatchRow, expected: HistoryError| {
            assert_eq!(History::new(&[good.clone(), bad]), Err(expected));
        };
        check(row(2, "", "B", None), HistoryError::InvalidName { row: 1, bytes: 0 });
        check(row(2, "A", &"x".repeat(65), None), HistoryError::InvalidName { row: 1, bytes: 65 });
        check(row(2, "A", "A", None), HistoryError::SameTeam { row: 1, team: "A".to_owned() });
        check(row(2, "A", "B", Some((31, 0))), HistoryError::ImplausibleScore { row: 1, goals: 31 });
        let twice = |team: &str| {
            let day = MatchDay::from_days(1);
            HistoryError::TwiceOnOneDay { row: 1, team: team.to_owned(), day }
        };
        check(row(1, "A", "B", None), twice("A"));
        check(row(1, "C", "B", None), twice("B"));
        let crowd: Vec<MatchRow> = (0..201).map(|n| row(n, &format!("a{n}"), &format!("b{n}"), None)).collect();
        assert_eq!(History::new(&crowd), Err(HistoryError::TooManyTeams { teams: 402 }));
    }
}
