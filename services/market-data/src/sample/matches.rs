//! Ten fixtures of one Saturday: odds of several bookmakers before, and goals
//! and cards during the matches.

use super::{DAY, clock, dice::Dice};
use crate::feed::inplay::{self, Lambdas};
use std::fmt::Write as _;

/// A club: short code, name, attack and defense (goals scored and conceded relative to an average club).
pub(super) struct Club(&'static str, pub(super) &'static str, f64, f64);

pub(super) const CLUBS: [Club; 20] = [
    Club("ARS", "Arsenal", 1.30, 0.70),
    Club("MCI", "Man City", 1.40, 0.78),
    Club("LIV", "Liverpool", 1.42, 0.80),
    Club("CHE", "Chelsea", 1.20, 0.90),
    Club("MUN", "Man United", 1.05, 1.00),
    Club("TOT", "Tottenham", 1.15, 1.10),
    Club("NEW", "Newcastle", 1.18, 0.95),
    Club("AVL", "Aston Villa", 1.08, 1.00),
    Club("BHA", "Brighton", 1.05, 1.02),
    Club("WHU", "West Ham", 0.90, 1.18),
    Club("EVE", "Everton", 0.82, 0.95),
    Club("FUL", "Fulham", 0.95, 1.03),
    Club("BRE", "Brentford", 1.02, 1.08),
    Club("CRY", "Crystal Palace", 0.95, 0.95),
    Club("NFO", "Nott'm Forest", 0.92, 0.98),
    Club("BOU", "Bournemouth", 1.00, 1.05),
    Club("WOL", "Wolves", 0.80, 1.20),
    Club("LEE", "Leeds", 0.85, 1.15),
    Club("BUR", "Burnley", 0.72, 1.22),
    Club("SUN", "Sunderland", 0.78, 1.12),
];

/// Minute of the day, UTC, of each kick-off; fixture `n` is club `2n` at home to club `2n + 1`.
const KICKOFFS: [u16; 10] = [1_170, 690, 840, 840, 840, 840, 840, 990, 990, 1_140];

/// Goals of an average club at home and away.
const GOALS: (f64, f64) = (1.55, 1.25);

/// Bookmakers: column code, margin, and how far their log-odds stray from the truth. The first is sharp.
const BOOKS: [(&str, f64, f64); 4] =
    [("ps", 0.025, 0.010), ("b365", 0.050, 0.025), ("bw", 0.055, 0.030), ("wh", 0.060, 0.030)];

/// How often the exchange offers one outcome below its value.
const VALUE_SHARE: f64 = 0.3;
/// By how much of the cost; the first fixture always has such an offer.
const VALUE_EDGE: (f64, f64) = (0.08, 0.12);

/// How far log-odds move from opening to closing, typically.
const MOVE: f64 = 0.05;

/// How often a leading home team scores, and so on, relative to a draw.
const HOME_LEADING: f64 = 0.922;
const CARDS_PER_MINUTE: (f64, f64) = (0.020, 0.000_7);
const RED: (f64, f64) = (0.527, 1.755);

/// A goal or card of the sample.
struct Event {
    minute: u8,
    stoppage: u8,
    kind: &'static str,
    is_home: bool,
}

/// The files of matches and of their events.
pub(super) fn files(seed: u64) -> (String, String) {
    let mut matches = String::from("match_id,season,date,ko_uk,home,away,ko_utc,fthg,ftag,ftr");
    for time in ["", "c"] {
        for code in BOOKS.iter().map(|(code, ..)| *code).chain(["avg", "max", "bfe"]) {
            let _ = write!(matches, ",{code}{time}_h,{code}{time}_d,{code}{time}_a");
        }
        let _ = write!(matches, ",avg{time}_o25,avg{time}_u25");
    }
    matches.push('\n');
    let mut events = String::from("season,date,home,away,minute,stoppage,type,side,home_score,away_score,score_ok\n");
    for (fixture, pair) in CLUBS.chunks_exact(2).enumerate() {
        let [home, away] = pair else { continue };
        let mut dice = Dice::new(seed, &format!("match-{}-{}", home.0, away.0));
        let lambdas = lambdas(&mut dice, home, away);
        let odds = odds_columns(&mut dice, lambdas, fixture == 0);
        let played = play(&mut dice, lambdas);
        let goals = |is_home: bool| played.iter().filter(|e| e.kind == "GOAL" && e.is_home == is_home).count();
        let (home_goals, away_goals) = (goals(true), goals(false));
        let result = match home_goals.cmp(&away_goals) {
            std::cmp::Ordering::Greater => 'H',
            std::cmp::Ordering::Equal => 'D',
            std::cmp::Ordering::Less => 'A',
        };
        let kickoff = KICKOFFS[fixture];
        let uk = kickoff + 60;
        let _ = writeln!(
            matches,
            "EPL-2026-{}-{},2026-27,{DAY},{:02}:{:02},{},{},{},{home_goals},{away_goals},{result}{odds}",
            home.0,
            away.0,
            uk / 60,
            uk % 60,
            home.1,
            away.1,
            clock(kickoff)
        );
        let mut score = (0, 0);
        for event in &played {
            if event.kind == "GOAL" {
                let side = if event.is_home { &mut score.0 } else { &mut score.1 };
                *side += 1;
            }
            let side = if event.is_home { 'H' } else { 'A' };
            let _ = writeln!(
                events,
                "2026-27,{DAY},{},{},{},{},{},{side},{},{},1",
                home.1, away.1, event.minute, event.stoppage, event.kind, score.0, score.1
            );
        }
    }
    (matches, events)
}

/// Expected goals of a match, a little different each time.
pub(super) fn lambdas(dice: &mut Dice, home: &Club, away: &Club) -> Lambdas {
    Lambdas {
        home: GOALS.0 * home.2 * away.3 * (1.0 + 0.05 * dice.bell()),
        away: GOALS.1 * away.2 * home.3 * (1.0 + 0.05 * dice.bell()),
    }
}

/// Decimal odds of more and of fewer than 2.5 goals with a margin of 5 %.
pub(super) fn over_under(lambdas: Lambdas) -> [f64; 2] {
    let mean = lambdas.home + lambdas.away;
    let under = (-mean).exp() * (1.0 + mean + mean * mean / 2.0);
    [1.0 - under, under].map(|p| (1.0 / (p * 1.05)).max(1.01))
}

/// Goals of home and away, played minute by minute.
pub(super) fn score(dice: &mut Dice, lambdas: Lambdas) -> (usize, usize) {
    let played = play(dice, lambdas);
    let goals = |is_home: bool| played.iter().filter(|e| e.kind == "GOAL" && e.is_home == is_home).count();
    (goals(true), goals(false))
}

/// Opening, then closing odds of every bookmaker, their mean and best, and the exchange.
fn odds_columns(dice: &mut Dice, lambdas: Lambdas, has_value: bool) -> String {
    let closing = inplay::outcome(lambdas, 1.0, 0, (0, 0));
    let opening = strayed(dice, &closing, MOVE);
    let value = (has_value || dice.happens(VALUE_SHARE)).then(|| {
        let place = if has_value || dice.happens(0.5) { 0 } else { 2 };
        (place, dice.between(VALUE_EDGE.0, VALUE_EDGE.1))
    });
    let mut text = String::new();
    for truth in [opening, closing] {
        let mut quoted = Vec::new();
        for (_, margin, stray) in BOOKS {
            quoted.push(strayed(dice, &truth, stray).map(|p| (1.0 / (p * (1.0 + margin))).max(1.01)));
        }
        let mean = |place: usize| quoted.iter().map(|odds| odds[place]).sum::<f64>() / 4.0;
        let best = |place: usize| quoted.iter().map(|odds| odds[place]).fold(0.0, f64::max);
        let all: Vec<[f64; 3]> = quoted.iter().copied().chain([[0, 1, 2].map(mean), [0, 1, 2].map(best)]).collect();
        for odds in all {
            let _ = write!(text, ",{:.2},{:.2},{:.2}", odds[0], odds[1], odds[2]);
        }
        let venue = value.map_or(truth, |(place, edge)| offered(&truth, place, edge));
        let exchange = venue.map(|p| 1.0 / p);
        let _ = write!(text, ",{:.3},{:.3},{:.3}", exchange[0], exchange[1], exchange[2]);
        let [over, under] = over_under(lambdas);
        let _ = write!(text, ",{over:.2},{under:.2}");
    }
    text
}

/// The probabilities with one outcome so low that its ask plus fee is `edge` below its value.
fn offered(truth: &[f64; 3], place: usize, edge: f64) -> [f64; 3] {
    let fair = truth[place];
    let low = fair / (1.0 + edge) - 0.03 * fair * (1.0 - fair) - 0.006;
    let mut offered = truth.map(|p| p * (1.0 - low) / (1.0 - fair));
    offered[place] = low;
    offered
}

/// The probabilities with their odds moved by about `stray`, as a ratio.
fn strayed(dice: &mut Dice, truth: &[f64; 3], stray: f64) -> [f64; 3] {
    let moved = truth.map(|p| {
        let ratio = p / (1.0 - p) * (1.0 + stray * dice.bell()).max(0.2);
        ratio / (1.0 + ratio)
    });
    let total: f64 = moved.iter().sum();
    moved.map(|p| p / total)
}

/// Goals and cards of one match, minute by minute.
fn play(dice: &mut Dice, lambdas: Lambdas) -> Vec<Event> {
    let mut events = Vec::new();
    let (mut goals, mut reds) = ((0_u8, 0_u8), (0_u8, 0_u8));
    let whole: f64 = (1..=90).map(inplay::rate).sum();
    for minute in 1..=90_u8 {
        let rate = inplay::rate(minute) / whole;
        for is_home in [true, false] {
            let (own, other) = if is_home { reds } else { (reds.1, reds.0) };
            let cards = RED.0.powi(i32::from(own)) * RED.1.powi(i32::from(other));
            let leading = if is_home && goals.0 > goals.1 { HOME_LEADING } else { 1.0 };
            let lambda = if is_home { lambdas.home } else { lambdas.away };
            let mut event = |dice: &mut Dice, kind: &'static str| {
                let stoppage = match minute {
                    45 => dice.between(0.0, 4.0),
                    90 => dice.between(0.0, 8.0),
                    _ => 0.0,
                };
                let stoppage = u8::try_from(crate::number::nearest(stoppage)).unwrap_or_default();
                events.push(Event { minute, stoppage, kind, is_home });
            };
            if dice.happens(1.0 - (-lambda * rate * cards * leading).exp()) {
                event(dice, "GOAL");
                *(if is_home { &mut goals.0 } else { &mut goals.1 }) += 1;
            }
            if dice.happens(CARDS_PER_MINUTE.0) {
                event(dice, "YELLOW");
            }
            if dice.happens(CARDS_PER_MINUTE.1) {
                event(dice, "RED");
                *(if is_home { &mut reds.0 } else { &mut reds.1 }) += 1;
            }
        }
    }
    events.sort_by_key(|event| (event.minute, event.stoppage));
    events
}
