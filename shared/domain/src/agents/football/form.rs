//! What a follower of the league would look up: the last results of a team, the last meetings, the days of rest.

use super::calendar::MatchDay;
use super::history::{History, Score, TeamIndex};
use crate::agents::fair_line::Outcome;

/// How many matches the form looks back.
pub const FORM_MATCHES: usize = 5;
/// How many meetings count.
pub const MEETINGS: usize = 10;

/// Results from one team's side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Form {
    /// Matches won.
    pub won: u16,
    /// Matches drawn.
    pub drawn: u16,
    /// Matches lost.
    pub lost: u16,
    /// Goals scored.
    pub goals_for: u16,
    /// Goals let in.
    pub goals_against: u16,
}

impl Form {
    /// Matches played.
    #[must_use]
    pub const fn played(&self) -> u16 {
        self.won + self.drawn + self.lost
    }

    /// League points: three for a win, one for a draw.
    #[must_use]
    pub const fn points(&self) -> u16 {
        3 * self.won + self.drawn
    }

    fn add(mut self, own: u8, other: u8) -> Self {
        match (Score { home: own, away: other }).outcome() {
            Outcome::Home => self.won += 1,
            Outcome::Draw => self.drawn += 1,
            Outcome::Away => self.lost += 1,
        }
        self.goals_for += u16::from(own);
        self.goals_against += u16::from(other);
        self
    }
}

/// A team's last [`FORM_MATCHES`] results before a day, at home and away.
#[must_use]
pub fn form(history: &History, team: TeamIndex, day: MatchDay) -> Form {
    results(history, team, day).take(FORM_MATCHES).fold(Form::default(), |form, (own, other)| form.add(own, other))
}

/// The last [`MEETINGS`] matches of two teams before a day, wherever they were played, from the first team's side.
#[must_use]
pub fn head_to_head(history: &History, team: TeamIndex, other: TeamIndex, day: MatchDay) -> Form {
    let meetings = history.before(day).iter().rev().filter_map(|m| {
        let score = m.score?;
        if (m.home, m.away) == (team, other) {
            Some((score.home, score.away))
        } else {
            ((m.home, m.away) == (other, team)).then_some((score.away, score.home))
        }
    });
    meetings.take(MEETINGS).fold(Form::default(), |form, (own, other)| form.add(own, other))
}

/// Days since a team's last match of this league before a day; None if it has not played.
#[must_use]
pub fn rest_days(history: &History, team: TeamIndex, day: MatchDay) -> Option<i32> {
    let last = history.before(day).iter().rev().find(|m| m.score.is_some() && (m.home == team || m.away == team))?;
    Some(day.days_since(last.day))
}

/// (own goals, the other's goals), the latest match first.
fn results(history: &History, team: TeamIndex, day: MatchDay) -> impl Iterator<Item = (u8, u8)> {
    history.before(day).iter().rev().filter_map(move |m| {
        let score = m.score?;
        if m.home == team {
            Some((score.home, score.away))
        } else {
            (m.away == team).then_some((score.away, score.home))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::{MatchRow, Season};
    use super::*;

    fn row(day: i32, home: &str, away: &str, score: Option<(u8, u8)>) -> MatchRow {
        MatchRow {
            day: MatchDay::from_days(day),
            season: Season::beginning(2020),
            home: home.to_owned(),
            away: away.to_owned(),
            score: score.map(|(home, away)| Score { home, away }),
        }
    }

    #[test]
    fn the_last_matches_count_and_no_later_ones() {
        let mut rows: Vec<MatchRow> = (0..4).map(|day| row(day, "A", "B", Some((1, 0)))).collect();
        rows.push(row(10, "B", "A", Some((2, 2))));
        rows.push(row(20, "C", "A", Some((3, 1))));
        rows.push(row(30, "A", "C", Some((9, 0))));
        rows.push(row(40, "A", "B", None));
        let history = History::new(&rows).expect("valid");
        let [a, b, c] = ["A", "B", "C"].map(|name| history.team(name).expect("known"));
        let day = MatchDay::from_days(30);
        let last = form(&history, a, day);
        assert_eq!(last, Form { won: 3, drawn: 1, lost: 1, goals_for: 6, goals_against: 5 });
        assert_eq!((last.played(), last.points()), (5, 10));
        let meetings = head_to_head(&history, b, a, day);
        assert_eq!(meetings, Form { won: 0, drawn: 1, lost: 4, goals_for: 2, goals_against: 6 });
        assert_eq!((rest_days(&history, a, day), rest_days(&history, b, day)), (Some(10), Some(20)));
        assert_eq!(rest_days(&history, c, MatchDay::from_days(20)), None);
        // What is not played yet is no rest and no form.
        assert_eq!(rest_days(&history, b, MatchDay::from_days(50)), Some(40));
        assert_eq!(form(&history, c, MatchDay::from_days(0)), Form::default());
    }
}
