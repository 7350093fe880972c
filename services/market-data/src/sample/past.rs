//! The two seasons before the sample's day: results that models of football learn
//! from, with the closing odds of one sharp bookmaker.

use super::{
    dice::Dice,
    matches::{CLUBS, lambdas, over_under, score},
};
use crate::feed::inplay;
use std::fmt::Write as _;
use tragen_domain::agents::football::MatchDay;

/// The first match days: 17 August 2024 and 16 August 2025, days since 1970.
const FIRST_DAYS: [(u16, i32); 2] = [(2024, 19_952), (2025, 20_316)];
/// Margin of the bookmaker.
const MARGIN: f64 = 1.025;

/// Every club twice against every other, ten matches a week.
pub(super) fn file(seed: u64) -> String {
    let mut text = String::from("season,date,home,away,fthg,ftag,ftr,ps_h,ps_d,ps_a,avg_o25,avg_u25\n");
    for (season, first_day) in FIRST_DAYS {
        for round in 0..38_u8 {
            let day = MatchDay::from_days(first_day + 7 * i32::from(round));
            for pair in 0..10_u8 {
                let (home, away) = fixture(round, pair);
                let (home, away) = (&CLUBS[usize::from(home)], &CLUBS[usize::from(away)]);
                let mut dice = Dice::new(seed, &format!("past-{season}-{}-{}", home.1, away.1));
                let goals = lambdas(&mut dice, home, away);
                let (home_goals, away_goals) = score(&mut dice, goals);
                let result = match home_goals.cmp(&away_goals) {
                    std::cmp::Ordering::Greater => 'H',
                    std::cmp::Ordering::Equal => 'D',
                    std::cmp::Ordering::Less => 'A',
                };
                let odds = inplay::outcome(goals, 1.0, 0, (0, 0)).map(|p| (1.0 / (p * MARGIN)).max(1.01));
                let [over, under] = over_under(goals);
                let _ = writeln!(
                    text,
                    "{season}-{:02},{day},{},{},{home_goals},{away_goals},{result},{:.2},{:.2},{:.2},{over:.2},{under:.2}",
                    (season + 1) % 100,
                    home.1,
                    away.1,
                    odds[0],
                    odds[1],
                    odds[2],
                );
            }
        }
    }
    text
}

/// The circle method: one club stays, the others turn; the second half of the season is the first with homes changed.
fn fixture(round: u8, pair: u8) -> (u8, u8) {
    let turn = |place: u8| if place == 0 { 0 } else { 1 + (place - 1 + round) % 19 };
    let (first, second) = (turn(pair), turn(19 - pair));
    let is_swapped = (round >= 19) != (pair == 0 && round % 2 == 1);
    if is_swapped { (second, first) } else { (first, second) }
}
