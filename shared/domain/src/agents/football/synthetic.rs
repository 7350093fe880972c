//! A made-up league for tests: results drawn from known strengths, the same in every run.

use super::{MatchDay, MatchRow, Score, Season};

/// Team names, two digits each: the season replaces three of twenty teams.
fn names(season: u16) -> Vec<String> {
    (0..20).map(|n| if n < 17 { format!("Team {n:02}") } else { format!("Team {:02}", n + 3 * season) }).collect()
}

/// All matches of that many seasons, twice everybody against everybody; ten matches a match day, a week apart. Team 0 is
/// the strongest.
pub(crate) fn league(seasons: u16) -> Vec<MatchRow> {
    let (mut rows, mut draws) = (Vec::new(), Draws(7));
    for season in 0..seasons {
        let names = names(season);
        for round in 0..38_usize {
            let day = 13_000 + i32::from(season) * 365 + i32::try_from(round).unwrap_or_default() * 7;
            for pair in 0..10_usize {
                // The circle method: one team stays, the others turn.
                let turn = |place: usize| if place == 0 { 0 } else { 1 + (place - 1 + round) % 19 };
                let (first, second) = (turn(pair), turn(19 - pair));
                let is_swapped = (round >= 19) != (round.is_multiple_of(2));
                let (home, away) = if is_swapped { (second, first) } else { (first, second) };
                let score = Score { home: draws.goals(1.5, home, away), away: draws.goals(1.2, away, home) };
                rows.push(MatchRow {
                    day: MatchDay::from_days(day),
                    season: Season::beginning(2005 + season),
                    home: names[home].clone(),
                    away: names[away].clone(),
                    score: Some(score),
                });
            }
        }
    }
    rows
}

/// A repeatable sequence; the constants are Knuth's MMIX generator.
struct Draws(u64);

impl Draws {
    /// Between 0 and 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 32).unwrap_or_default()) / f64::from(u32::MAX)
    }

    /// Poisson goals of a team of this place against another.
    fn goals(&mut self, average: f64, own: usize, other: usize) -> u8 {
        let place = |n: usize| f64::from(u8::try_from(n).unwrap_or_default()) - 9.5;
        let rate = average * (0.04 * (place(other) - place(own))).exp();
        let (mut left, mut probability, mut goals) = (self.next(), (-rate).exp(), 0_u8);
        while left > probability && goals < 9 {
            left -= probability;
            goals += 1;
            probability *= rate / f64::from(goals);
        }
        goals
    }
}
