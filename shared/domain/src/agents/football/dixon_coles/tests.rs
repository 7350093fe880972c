//! The fit on a made-up league, and what it refuses.

use super::super::synthetic::league;
use super::super::{MatchRow, Score, ScoreGrid};
use super::*;

fn last_day(history: &History) -> MatchDay {
    MatchDay::from_days(history.matches().last().expect("matches").day.days() + 1)
}

fn equal_weights() -> FitRules {
    FitRules { decay_per_day: 0.0, ridge: 0.0, window_days: 2_000, ..FitRules::default() }
}

#[test]
fn expected_goals_are_the_goals_scored() {
    // A property of every maximum likelihood fit of Poisson rates: sums over a team's matches agree.
    let history = History::new(&league(1)).expect("valid");
    let rules = FitRules { model: GoalModel::Poisson, ..equal_weights() };
    let fit = fit(&history, last_day(&history), &rules).expect("a fit");
    for strength in fit.strengths() {
        let (mut scored, mut expected) = (0.0, 0.0);
        for m in history.matches() {
            let (score, rates) = (m.score.expect("played"), fit.rates(m.home, m.away).expect("known"));
            if m.home == strength.team {
                scored += f64::from(score.home);
                expected += rates.home;
            } else if m.away == strength.team {
                scored += f64::from(score.away);
                expected += rates.away;
            }
        }
        assert!((scored - expected).abs() < 1e-6, "{scored} {expected}");
        assert_eq!(strength.matches, 38);
    }
    let sum = |of: fn(&Strength) -> f64| fit.strengths().iter().map(of).sum::<f64>();
    assert!(sum(|s| s.attack).abs() < 1e-9 && sum(|s| s.defense).abs() < 1e-9);
    assert!(fit.rho().abs() < f64::EPSILON && fit.home_advantage() > 0.0 && fit.weight() > 379.9);
    assert!(fit.strengths()[0].attack > fit.strengths()[19].attack);
}

#[test]
fn promoted_teams_have_a_strength_from_the_first_day() {
    let rows = league(2);
    let history = History::new(&rows).expect("valid");
    let opening = history.matches()[380].day;
    let fit = fit(&history, opening, &FitRules::default()).expect("a fit");
    assert_eq!((fit.season(), fit.strengths().len()), (Season::beginning(2006), 23));
    let promoted: Vec<&Strength> = fit.strengths().iter().filter(|s| s.is_promoted).collect();
    assert_eq!(promoted.len(), 3);
    for team in promoted {
        assert_eq!(team.matches, 0);
        // Nothing is known but the prior; the rest is the shift that makes the sums 0.
        assert!(team.attack < 0.0 && team.defense > 0.0, "{team:?}");
    }
    let [home, draw, away] =
        ScoreGrid::new(fit.rates(TeamIndex(0), TeamIndex(22)).expect("known")).expect("valid").outcomes();
    assert!(home > away && draw > 0.1);
    assert_eq!(fit.rates(TeamIndex(0), TeamIndex(99)), None);
}

#[test]
fn results_are_forgotten_and_more_of_them_are_surer() {
    let history = History::new(&league(3)).expect("valid");
    let day = last_day(&history);
    let width = |rules: &FitRules| fit(&history, day, rules).expect("a fit").covariance(TeamIndex(0), TeamIndex(1));
    let (slow, fast) = (
        width(&FitRules { decay_per_day: 0.0005, ..FitRules::default() }).expect("known"),
        width(&FitRules { decay_per_day: 0.01, ..FitRules::default() }).expect("known"),
    );
    assert!(slow[0][0] < fast[0][0] && slow[2][2] < fast[2][2], "{slow:?} {fast:?}");
    assert!((slow[0][1] - slow[1][0]).abs() < 1e-15);
    let recent = fit(&history, day, &FitRules { window_days: 200, ..FitRules::default() }).expect("a fit");
    assert!(recent.matches() < 380 && recent.weight() < f64::from(u32::try_from(recent.matches()).unwrap_or(0)));
}

#[test]
fn equal_histories_give_equal_bits() {
    let rows = league(2);
    let mut turned = rows.clone();
    turned.reverse();
    let (one, other) = (History::new(&rows).expect("valid"), History::new(&turned).expect("valid"));
    let day = last_day(&one);
    assert_eq!(fit(&one, day, &FitRules::default()), fit(&other, day, &FitRules::default()));
}

#[test]
fn impossible_fits_are_named() {
    let rows = league(1);
    let history = History::new(&rows).expect("valid");
    let day = last_day(&history);
    let first = history.matches()[0].day;
    let too_few = Err(FitError::TooFewMatches { played: 0, as_of: first });
    assert_eq!(fit(&history, first, &FitRules::default()), too_few);
    let check = |rules: FitRules, name: &str| match fit(&history, day, &rules) {
        Err(FitError::InvalidRule { name: named, .. }) => assert_eq!(named, name),
        other => panic!("{name}: {other:?}"),
    };
    check(FitRules { ridge: -1.0, ..FitRules::default() }, "ridge");
    check(FitRules { ridge: f64::NAN, ..FitRules::default() }, "ridge");
    check(FitRules { decay_per_day: f64::INFINITY, ..FitRules::default() }, "decay_per_day");
    check(FitRules { promoted_attack: f64::NAN, ..FitRules::default() }, "promoted_attack");

    // A team without a match has no strength but for the ridge.
    let mut more = rows.clone();
    more.push(MatchRow {
        day: MatchDay::from_days(day.days() + 1),
        season: Season::beginning(2005),
        home: "New".to_owned(),
        away: rows[0].home.clone(),
        score: None,
    });
    let open = History::new(&more).expect("valid");
    assert!(matches!(fit(&open, day, &equal_weights()), Err(FitError::NotUnique | FitError::NoTop)));
    assert!(fit(&open, day, &FitRules::default()).is_ok());

    let crowd = |n: i32| MatchRow {
        day: MatchDay::from_days(n),
        season: Season::beginning(2005),
        home: format!("a{n}"),
        away: format!("b{n}"),
        score: Some(Score { home: 1, away: 0 }),
    };
    let many = History::new(&(0..150).map(crowd).collect::<Vec<_>>()).expect("valid");
    let refused = fit(&many, MatchDay::from_days(200), &FitRules::default());
    assert_eq!(refused, Err(FitError::TooManyTeams { teams: 300 }));
}
