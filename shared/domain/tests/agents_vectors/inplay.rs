//! The in-play model and the goals implied by closing odds, against figures computed by other code.

use super::reference::{list, number, numbers, vectors};
use super::{Table, close};
use serde_json::Value;
use std::collections::BTreeMap;
use tragen_domain::agents::implied_goals::{ClosingOdds, implied_goals};
use tragen_domain::agents::inplay::{Coefficients, GoalRates, InPlayModel, MatchState};
use tragen_domain::agents::inplay_fit::{PlayedMatch, Team, fit_inplay};

/// The largest difference that is accepted in a chance.
const CHANCE_TOLERANCE: f64 = 1e-10;
/// The reference leaves out more than 12 goals of one team, which moves 2.93 expected goals by 0.00002.
const GOALS_TOLERANCE: f64 = 3e-5;
/// The same goals left out of the offsets move the fit by this much at most.
const FIT_TOLERANCE: f64 = 1e-5;

fn fitted(reference: &Value) -> Coefficients {
    named(&reference["fit"]["beta"])
}

fn named(values: &Value) -> Coefficients {
    let beta = |name: &str| number(&values[name]);
    let bins = ["bin_1_15", "bin_16_30", "bin_31_44", "bin_46_60", "bin_61_75", "bin_76_89", "min45plus", "min90plus"];
    Coefficients {
        bins: bins.map(beta),
        home_leading: beta("home_leading"),
        home_trailing: beta("home_trailing"),
        away_leading: beta("away_leading"),
        away_trailing: beta("away_trailing"),
        red_own: beta("red_own"),
        red_opponent: beta("red_opp"),
    }
}

fn small(value: &Value) -> u8 {
    value.as_u64().and_then(|n| u8::try_from(n).ok()).expect("a small number")
}

#[test]
fn chances_in_play_are_those_of_the_reference() {
    let Some(reference) = vectors("inplay") else { return };
    let model = InPlayModel::new(&fitted(&reference)).expect("in range");
    let mut compared = 0;
    for case in list(&reference["cases"]) {
        let rates = GoalRates { home: number(&case["lambda_home"]), away: number(&case["lambda_away"]) };
        let state = MatchState {
            minutes_played: small(&case["minute"]),
            home_goals: small(&case["home_goals"]),
            away_goals: small(&case["away_goals"]),
            home_reds: small(&case["home_reds"]),
            away_reds: small(&case["away_reds"]),
            ..MatchState::KICK_OFF
        };
        let p = model.chances(rates, &state).expect("in range");
        for (p, expected) in p.iter().zip(numbers(&case["p"])) {
            assert!((p - expected).abs() <= CHANCE_TOLERANCE, "{case}: {p}");
            compared += 1;
        }
    }
    println!("{compared} chances compared");
    assert!(compared >= 27);
    // The default numbers are the fitted ones, rounded to two digits of the multiplier.
    let (fit, default) = (fitted(&reference), Coefficients::default());
    for (fit, default) in fit.bins.iter().zip(default.bins) {
        assert!((fit.exp() - default.exp()).abs() <= 0.0051, "{} {}", fit.exp(), default.exp());
    }
}

#[test]
fn goals_implied_by_closing_odds_are_those_of_the_reference() {
    let Some(reference) = vectors("inplay") else { return };
    for case in list(&reference["lambda_from_odds"]) {
        let odds = |name: &str| numbers(&case[name]);
        let odds = ClosingOdds {
            outcomes: odds("odds_1x2").try_into().expect("three odds"),
            over_under: odds("odds_ou25").try_into().expect("two odds"),
        };
        let implied = implied_goals(&odds).expect("readable odds");
        let (home, away) = (number(&case["lambda_home"]), number(&case["lambda_away"]));
        assert!(
            (implied.rates.home - home).abs() <= GOALS_TOLERANCE
                && (implied.rates.away - away).abs() <= GOALS_TOLERANCE,
            "{case}"
        );
        assert!((implied.squared_residual - number(&case["sq_residual"])).abs() <= 1e-8, "{case}");
    }
}

/// Minute, kind, and whether it is the home team's.
type MatchEvent = (u8, String, bool);

/// State after `minute` of a match, from its events.
fn state_after(minute: u8, events: &[MatchEvent]) -> MatchState {
    let mut state = MatchState { minutes_played: minute, ..MatchState::KICK_OFF };
    for (_, kind, is_home) in events.iter().filter(|(at, _, _)| *at <= minute) {
        let counted = match kind.as_str() {
            "GOAL" | "OWN_GOAL" | "PENALTY_GOAL" if *is_home => &mut state.home_goals,
            "GOAL" | "OWN_GOAL" | "PENALTY_GOAL" => &mut state.away_goals,
            "RED" | "SECOND_YELLOW" if *is_home => &mut state.home_reds,
            "RED" | "SECOND_YELLOW" => &mut state.away_reds,
            _ => continue,
        };
        *counted += 1;
    }
    state
}

/// Five seasons of events and closing odds: the model's numbers come out as they were published.
#[test]
fn model_is_fitted_as_in_the_reference() {
    let (Some(reference), Some(matches), Some(events)) =
        (vectors("inplay"), Table::read("epl_matches"), Table::read("epl_events"))
    else {
        return;
    };
    let mut by_match: BTreeMap<[String; 3], PlayedEvents> = BTreeMap::new();
    for row in &events.rows {
        let cell = |name: &str| row[events.column(name)].clone();
        let of_match = by_match.entry([cell("season"), cell("home"), cell("away")]).or_default();
        of_match.is_broken |= cell("score_ok") != "1";
        let team = if cell("side") == "H" { Team::Home } else { Team::Away };
        let minute = cell("minute").parse().expect("a minute");
        match cell("type").as_str() {
            "GOAL" | "OWN_GOAL" | "PENALTY_GOAL" => of_match.goals.push((minute, team)),
            "RED" | "SECOND_YELLOW" => of_match.reds.push((minute, team)),
            _ => {}
        }
    }
    let seasons = ["2019-20", "2020-21", "2021-22", "2022-23", "2023-24"];
    let mut played = Vec::new();
    for row in matches.rows.iter().filter(|row| seasons.contains(&row[matches.column("season")].as_str())) {
        let number = |name: &str| row[matches.column(name)].parse::<f64>().expect("a price");
        let key = ["season", "home", "away"].map(|name| row[matches.column(name)].clone());
        let Some(own) = by_match.get(&key).filter(|own| !own.is_broken) else { continue };
        let odds = ClosingOdds {
            outcomes: ["avgc_h", "avgc_d", "avgc_a"].map(number),
            over_under: ["avgc_o25", "avgc_u25"].map(number),
        };
        let rates = implied_goals(&odds).expect("readable odds").rates;
        played.push(PlayedMatch { rates, goals: &own.goals, reds: &own.reds });
    }
    let started = std::time::Instant::now();
    let fit = fit_inplay(&played).expect("determined");
    let (expected, mut largest) = (&reference["fit"], 0.0_f64);
    assert_eq!(Some(fit.matches), super::count(&expected["matches"]));
    for (got, part) in [(fit.coefficients, "beta"), (fit.standard_errors, "se")] {
        for (got, wanted) in flat(&got).into_iter().zip(flat(&named(&expected[part]))) {
            largest = largest.max((got - wanted).abs());
        }
    }
    println!("{} matches fitted in {:?}, largest difference {largest:.1e}", fit.matches, started.elapsed());
    assert!(largest <= FIT_TOLERANCE, "{largest}");
}

/// Goals and red cards of a match; broken when they do not lead to its score.
#[derive(Default)]
struct PlayedEvents {
    goals: Vec<(u8, Team)>,
    reds: Vec<(u8, Team)>,
    is_broken: bool,
}

fn flat(coefficients: &Coefficients) -> Vec<f64> {
    let Coefficients { bins, home_leading, home_trailing, away_leading, away_trailing, red_own, red_opponent } =
        *coefficients;
    let rest = [home_leading, home_trailing, away_leading, away_trailing, red_own, red_opponent];
    bins.into_iter().chain(rest).collect()
}

#[test]
fn held_out_season_is_forecast_in_play_as_in_the_reference() {
    let (Some(reference), Some(matches), Some(events)) =
        (vectors("inplay"), Table::read("epl_matches"), Table::read("epl_events"))
    else {
        return;
    };
    let model = InPlayModel::new(&fitted(&reference)).expect("in range");
    let mut by_match: BTreeMap<(String, String), Vec<MatchEvent>> = BTreeMap::new();
    for row in events.rows.iter().filter(|row| row[events.column("season")] == "2024-25") {
        let cell = |name: &str| row[events.column(name)].clone();
        let event = (cell("minute").parse().expect("a minute"), cell("type"), cell("side") == "H");
        by_match.entry((cell("home"), cell("away"))).or_default().push(event);
    }
    let season: Vec<&Vec<String>> =
        matches.rows.iter().filter(|row| row[matches.column("season")] == "2024-25").collect();
    for (minute, expected) in reference["heldout_2024_25"].as_object().expect("by minute") {
        let minute: u8 = minute.parse().expect("a minute");
        let (mut log_loss, mut rps, mut n) = (0.0, 0.0, 0.0);
        for row in &season {
            let cell = |name: &str| row[matches.column(name)].parse::<f64>().expect("a price");
            let odds = ClosingOdds {
                outcomes: ["avgc_h", "avgc_d", "avgc_a"].map(cell),
                over_under: ["avgc_o25", "avgc_u25"].map(cell),
            };
            let rates = implied_goals(&odds).expect("readable odds").rates;
            let of_match = (row[matches.column("home")].clone(), row[matches.column("away")].clone());
            let state = state_after(minute, by_match.get(&of_match).map_or(&[], Vec::as_slice));
            let p = model.chances(rates, &state).expect("in range");
            let won = ["H", "D", "A"].map(|result| f64::from(u8::from(row[matches.column("ftr")] == result)));
            log_loss -= p.iter().zip(won).map(|(p, won)| won * p.max(1e-300).ln()).sum::<f64>();
            rps += ((p[0] - won[0]).powi(2) + (p[2] - won[2]).powi(2)) / 2.0;
            n += 1.0;
        }
        println!("{minute}': {n} matches, log-loss {:.6}, RPS {:.6}", log_loss / n, rps / n);
        close(n, number(&expected["n"]), "matches");
        assert!(
            (log_loss / n - number(&expected["inplay"])).abs() <= 1e-6,
            "log-loss after {minute} minutes {}",
            number(&expected["inplay"])
        );
        assert!((rps / n - number(&expected["inplay_rps"])).abs() <= 1e-6, "RPS after {minute} minutes");
    }
}
