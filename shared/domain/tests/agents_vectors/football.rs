//! The football models against reference fits and the held-out seasons of real results.

use super::reference::{list, number, numbers, vectors};
use super::{Table, close, count};
use serde_json::Value;
use tragen_domain::agents::devig::{DevigMethod, devig};
use tragen_domain::agents::evaluation::forecast::{Judged, base_rates, forecast_score};
use tragen_domain::agents::football::{
    EloRules, Event, Fit, FitRules, GoalModel, History, Match, MatchDay, MatchForecast, MatchRow, OrderedLogit, Rates,
    Score, ScoreGrid, Season, elo_differences, fit, walk_forward,
};

pub(crate) fn day(text: &str) -> MatchDay {
    let mut parts = text.split('-');
    let mut next = || parts.next().and_then(|part| part.parse::<u16>().ok()).expect("a date");
    let (year, month, day) = (next(), next(), next());
    let small = |part: u16| u8::try_from(part).expect("a date");
    MatchDay::from_date(i32::from(year), small(month), small(day)).expect("a date")
}

/// The played matches of the data file, in its order; one entry per row of the table.
pub(crate) fn match_rows(matches: &Table) -> Vec<MatchRow> {
    let column = |name: &str| matches.column(name);
    let (season, date, home, away) = (column("season"), column("date"), column("home"), column("away"));
    let goals = [column("fthg"), column("ftag")];
    let read = |row: &Vec<String>| MatchRow {
        day: day(&row[date]),
        season: Season::parse(&row[season]).expect("a season"),
        home: row[home].clone(),
        away: row[away].clone(),
        score: Some(Score { home: row[goals[0]].parse().expect("goals"), away: row[goals[1]].parse().expect("goals") }),
    };
    matches.rows.iter().map(read).collect()
}

fn within(got: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((got - expected).abs() <= tolerance, "{what}: {got} is not {expected}");
}

fn check_fit(history: &History, fit: &Fit, expected: &Value, name: &str) {
    within(fit.intercept(), number(&expected["c"]), 1e-5, name);
    within(fit.home_advantage(), number(&expected["home"]), 1e-5, name);
    within(fit.rho(), number(&expected["rho"]), 1e-5, name);
    within(fit.penalized_log_likelihood(), number(&expected["penalised_loglik"]), 1e-6, name);
    let (attacks, defenses) = (numbers(&expected["att"]), numbers(&expected["def_"]));
    assert_eq!(fit.strengths().len(), attacks.len());
    for (i, strength) in fit.strengths().iter().enumerate() {
        let team = history.name(strength.team);
        assert_eq!(team, expected["teams"][i].as_str().expect("a name"));
        within(strength.attack, attacks[i], 1e-5, team);
        within(strength.defense, defenses[i], 1e-5, team);
    }
}

fn check_markets(grid: &ScoreGrid, expected: &Value, tolerance: f64) {
    let [home, draw, away] = grid.outcomes();
    let over = grid.probability(Event::Over(2));
    let both = grid.probability(Event::BothScore);
    for (got, name) in [(home, "home"), (draw, "draw"), (away, "away"), (over, "over25"), (both, "btts")] {
        within(got, number(&expected["markets"][name]), tolerance, name);
    }
}

fn check_predictions(history: &History, fit: &Fit, expected: &Value) {
    for case in list(expected) {
        let team = |name: &str| history.team(case[name].as_str().expect("a name")).expect("known");
        let rates = fit.rates(team("home"), team("away")).expect("in the fit");
        within(rates.home, number(&case["lambda_home"]), 1e-5, "home rate");
        within(rates.away, number(&case["lambda_away"]), 1e-5, "away rate");
        let grid = ScoreGrid::new(rates).expect("valid rates");
        check_markets(&grid, case, 1e-5);
        for (name, home, away) in [("p_0_0", 0, 0), ("p_1_1", 1, 1), ("p_2_1", 2, 1)] {
            within(grid.score(home, away), number(&case[name]), 1e-5, name);
        }
    }
}

#[test]
fn fits_are_those_of_the_reference() {
    let (Some(reference), Some(matches)) = (vectors("dixon_coles"), Table::read("epl_matches")) else { return };
    let rows = match_rows(&matches);
    let seasons = |first: u16| {
        let is_in = |row: &&MatchRow| (first..=2023).contains(&row.season.first_year());
        History::new(&rows.iter().filter(is_in).cloned().collect::<Vec<_>>()).expect("valid")
    };
    let plain = FitRules {
        decay_per_day: 0.0,
        window_days: 2_000,
        ridge: 0.0,
        promoted_attack: 0.0,
        promoted_defense: 0.0,
        model: GoalModel::DixonColes,
    };
    let (one, three, as_of) = (seasons(2023), seasons(2021), day("2024-08-16"));
    let check = |history: &History, rules: FitRules, name: &str| {
        let fit = fit(history, as_of, &rules).expect("a fit");
        check_fit(history, &fit, &reference[name], name);
        fit
    };
    check(&one, FitRules { model: GoalModel::Poisson, ..plain }, "poisson");
    check_predictions(&one, &check(&one, plain, "dixon_coles"), &reference["predictions"]);
    let ridged = check(&one, FitRules { ridge: 5.0, ..plain }, "dixon_coles_ridge5");
    check_predictions(&one, &ridged, &reference["predictions_ridge5"]);
    for (ridge, name) in [(0.0, "decayed_xi0.0018_ridge0"), (5.0, "decayed_xi0.0018_ridge5")] {
        let expected = &reference[name];
        let fit = check(&three, FitRules { decay_per_day: 0.0018, ridge, ..plain }, name);
        check_predictions(&three, &fit, &expected["predictions"]);
        close(fit.weight(), number(&expected["sum_weights"]), "sum of weights");
    }
}

#[test]
fn grids_are_those_of_the_reference() {
    let Some(reference) = vectors("dixon_coles") else { return };
    for case in list(&reference["low_level"]) {
        let field = |name: &str| number(&case[name]);
        let rates = Rates { home: field("lambda_home"), away: field("lambda_away"), rho: field("rho") };
        let grid = ScoreGrid::new(rates).expect("valid rates");
        check_markets(&grid, case, 1e-12);
        within(grid.score(0, 0), field("p00"), 1e-12, "0-0");
        within(grid.score(1, 0), field("p10"), 1e-12, "1-0");
    }
}

/// The held-out seasons of the reference that the data file holds, with their first day and the day after the last.
pub(crate) fn held_out(history: &History) -> Vec<(&'static str, MatchDay, MatchDay)> {
    let mut held_out = Vec::new();
    for name in ["2024-25", "2025-26"] {
        let season = Season::parse(name).expect("a season");
        let mut days = history.matches().iter().filter(|m| m.season == season).map(|m| m.day);
        match (days.next(), days.next_back()) {
            (Some(first), Some(last)) => held_out.push((name, first, MatchDay::from_days(last.days() + 1))),
            _ => println!("season {name} not checked: the data file does not hold it"),
        }
    }
    held_out
}

/// Dixon-Coles forecasts of a season, by their place in the history.
pub(crate) fn forecasts(history: &History, from: MatchDay, until: MatchDay) -> Vec<MatchForecast> {
    let days = walk_forward(history, &FitRules::default(), from, until);
    days.flat_map(|day| day.expect("three seasons of data").matches).collect()
}

/// Compares mean measures; the printed digits of the reference's own walk-forward are good for 5e-6 (see the test).
fn check_score(judged: &[Judged], expected: &Value, tolerance: f64, name: &str) {
    let score = forecast_score(judged).expect("forecasts");
    assert_eq!(score.matches, count(&expected["n"]).expect("a count"), "{name}");
    within(score.log_loss, number(&expected["logloss"]), tolerance, name);
    within(score.ranked_probability_score, number(&expected["rps"]), tolerance, name);
    within(score.brier_score, number(&expected["brier"]), tolerance, name);
    println!("{name}: log-loss {:.10}, RPS {:.10}", score.log_loss, score.ranked_probability_score);
}

fn judge(probabilities: [f64; 3], m: &Match) -> Judged {
    Judged::new(probabilities, m.score.expect("played").outcome()).expect("a forecast")
}

/// The reference minimised its likelihood only until the function stood still (about 1e-4 in a strength), ours until
/// the slope is below 1e-9: the mean log-loss of 380 matches differs by 1.4e-6 and all four printed digits agree.
#[test]
fn models_forecast_held_out_seasons_as_in_the_reference() {
    let (Some(reference), Some(matches)) = (vectors("forecast_eval"), Table::read("epl_matches")) else { return };
    let history = History::new(&match_rows(&matches)).expect("valid");
    let elo = EloRules::default();
    let is_fitted = |m: &Match| (2014..=2023).contains(&m.season.first_year());
    let logit = OrderedLogit::of_history(&history, &elo, is_fitted).expect("a fit");
    let expected = &reference["elo"]["ordered_logit"];
    for (got, name) in [(logit.low, "c1"), (logit.high, "c2"), (logit.slope, "b")] {
        within(got, number(&expected[name]), 1e-5, name);
    }
    let differences = elo_differences(&history, &elo);
    let base =
        base_rates(history.matches().iter().filter(|m| is_fitted(m)).filter_map(|m| m.score).map(Score::outcome))
            .expect("results");
    for (season, from, until) in held_out(&history) {
        let expected = |name: &str| &reference["results"][season][name];
        let played: Vec<(usize, &Match)> =
            history.matches().iter().enumerate().filter(|(_, m)| m.day >= from && m.day < until).collect();
        let elo: Vec<Judged> =
            played.iter().map(|(index, m)| judge(logit.probabilities(differences[*index]), m)).collect();
        check_score(&elo, expected("elo_ordered_logit"), 1e-7, "Elo");
        let always: Vec<Judged> = played.iter().map(|(_, m)| judge(base, m)).collect();
        check_score(&always, expected("base_rate"), 1e-9, "base rate");
        let model: Vec<Judged> =
            forecasts(&history, from, until).iter().map(|f| judge(f.probabilities, &f.fixture)).collect();
        check_score(&model, expected("dixon_coles_decayed"), 5e-6, "Dixon-Coles");
        // The reference blends probabilities; the agent pools log-odds, which is better by 0.00001 at weight 0.1.
        let closing = closing_lines(&matches, &history);
        for (name, weight) in [("w0", 0.0), ("w0.1", 0.1), ("w0.2", 0.2), ("w0.3", 0.3), ("w0.5", 0.5), ("w1", 1.0)] {
            let pool = |(own, (index, m)): (&Judged, &(usize, &Match))| {
                let fair = closing[*index].expect("a closing line");
                judge([0, 1, 2].map(|i| weight * own.probabilities()[i] + (1.0 - weight) * fair[i]), m)
            };
            let pooled: Vec<Judged> = model.iter().zip(&played).map(pool).collect();
            check_score(&pooled, expected(&format!("blend_dc_{name}")), 5e-6, name);
        }
    }
}

/// Shin's fair probabilities of the average closing odds, by place in the history.
pub(crate) fn closing_lines(matches: &Table, history: &History) -> Vec<Option<[f64; 3]>> {
    by_place(matches, history, |row| fair(&matches.odds(row, "avgc")?))
}

fn fair(odds: &[f64; 3]) -> Option<[f64; 3]> {
    devig(DevigMethod::Shin, odds).ok()?.probabilities.try_into().ok()
}

/// Something of each row of the table, in the order of the history.
pub(crate) fn by_place<T>(matches: &Table, history: &History, of: impl Fn(&[String]) -> T) -> Vec<T> {
    let place = |row: &Vec<String>| {
        let home = history.team(&row[matches.column("home")]).expect("known");
        (day(&row[matches.column("date")]), home)
    };
    let mut rows: Vec<&Vec<String>> = matches.rows.iter().collect();
    rows.sort_by_key(|row| place(row));
    assert_eq!(rows.len(), history.matches().len());
    rows.into_iter().map(|row| of(row)).collect()
}
