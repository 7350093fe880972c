//! Reports on a made-up league, and what is refused.

use super::super::football::synthetic::league;
use super::super::football::{GoalModel, MatchRow, Season, walk_forward};
use super::*;

fn rows() -> Vec<MatchRow> {
    let mut rows = league(2);
    let next = MatchDay::from_days(rows.last().map_or(0, |row| row.day.days()) + 7);
    rows.push(MatchRow {
        day: next,
        season: Season::beginning(2006),
        home: "Team 00".to_owned(),
        away: "Team 16".to_owned(),
        score: None,
    });
    rows
}

fn model() -> ResearchModel {
    let history = History::new(&rows()).expect("valid");
    let day = history.matches().last().expect("matches").day;
    ResearchModel::new(history, day, &ResearchRules::default()).expect("a model")
}

fn ask(home: &str, away: &str, phase: MatchPhase) -> Result<ResearchReport, ResearchRefusal> {
    research(&model(), &ResearchQuestion { home, away, phase })
}

#[test]
fn reports_hang_together() {
    let report = ask("Team 00", "Team 16", MatchPhase::PreMatch).expect("a report");
    let p = report.outcomes.map(|o| o.probability);
    assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12 && p[0] > p[2], "{p:?}");
    for estimate in report.outcomes.iter().chain([&report.both_score]) {
        assert!(estimate.low < estimate.probability && estimate.probability < estimate.high);
    }
    assert_eq!(report.totals.len(), 6);
    for pair in report.totals.windows(2) {
        assert!(pair[0].over.probability > pair[1].over.probability);
    }
    assert!((report.totals[2].over.probability + report.totals[2].under.probability - 1.0).abs() < 1e-12);
    // A stake on one side wins where a stake on the other loses.
    for handicap in &report.handicaps {
        assert!((handicap.home.win - handicap.away.lose).abs() < 1e-12);
        assert!((handicap.home.push - handicap.away.push).abs() < 1e-12);
    }
    let level = report.handicaps.iter().find(|h| h.line.get() == 0).expect("the level line");
    assert!((level.home.win - p[0]).abs() < 1e-12);
    assert!(report.scores.windows(2).all(|pair| pair[0].1 >= pair[1].1) && report.scores.len() == 6);
    let elo = report.elo.probabilities.expect("a season to learn from");
    assert!(report.elo.difference > 0.0 && elo[0] > elo[2]);
    assert_eq!((report.home.form.played(), report.head_to_head.played()), (5, 4));
    assert_eq!((report.home.rest_days, report.next_match.is_some()), (Some(7), true));
    assert_eq!((report.provenance.matches, report.provenance.key), (760, model().key()));
}

#[test]
fn equal_questions_have_equal_answers() {
    let ask = || ask("Team 03", "Team 19", MatchPhase::PreMatch);
    assert_eq!(ask(), ask());
    assert!(ask().is_ok());
}

#[test]
fn a_report_and_a_backtest_agree_to_the_last_bit() {
    let history = History::new(&rows()).expect("valid");
    let day = history.matches()[700].day;
    let until = MatchDay::from_days(day.days() + 1);
    let days = walk_forward(&history, &FitRules::default(), day, until);
    let forecasts: Vec<_> = days.flat_map(|day| day.expect("enough matches").matches).collect();
    let model = ResearchModel::new(history.clone(), day, &ResearchRules::default()).expect("a model");
    assert_eq!(forecasts.len(), 10);
    for forecast in forecasts {
        let [home, away] = [forecast.fixture.home, forecast.fixture.away].map(|team| history.name(team));
        let report = research(&model, &ResearchQuestion { home, away, phase: MatchPhase::PreMatch }).expect("a report");
        assert_eq!(report.outcomes.map(|o| o.probability.to_bits()), forecast.probabilities.map(f64::to_bits));
        assert_eq!(report.rates, forecast.rates);
    }
}

#[test]
fn rules_that_are_no_numbers_are_refused() {
    let history = History::new(&rows()).expect("valid");
    let day = history.matches()[700].day;
    let check = |elo: EloRules, name: &str| {
        let rules = ResearchRules { elo, ..ResearchRules::default() };
        match ResearchModel::new(history.clone(), day, &rules) {
            Err(ResearchRefusal::NoFit(FitError::InvalidRule { name: named, .. })) => assert_eq!(named, name),
            other => panic!("{name}: {other:?}"),
        }
    };
    check(EloRules { step: f64::NAN, ..EloRules::default() }, "step");
    check(EloRules { home_advantage: f64::INFINITY, ..EloRules::default() }, "home_advantage");
    check(EloRules { newcomer: -1.0, ..EloRules::default() }, "newcomer");
}

#[test]
fn every_rule_is_in_the_key() {
    let history = History::new(&[]).expect("valid");
    let key = |rules: &ResearchRules| model_key(&history, MatchDay::from_days(1), rules);
    let (fit, elo) = (FitRules::default(), EloRules::default());
    let changed = [
        ResearchRules { fit: FitRules { ridge: 5.0, ..fit }, elo },
        ResearchRules { fit: FitRules { decay_per_day: 0.0, ..fit }, elo },
        ResearchRules { fit: FitRules { window_days: 100, ..fit }, elo },
        ResearchRules { fit: FitRules { promoted_attack: 0.0, ..fit }, elo },
        ResearchRules { fit: FitRules { promoted_defense: 0.0, ..fit }, elo },
        ResearchRules { fit: FitRules { model: GoalModel::Poisson, ..fit }, elo },
        ResearchRules { fit, elo: EloRules { step: 10.0, ..elo } },
        ResearchRules { fit, elo: EloRules { newcomer: 1_400.0, ..elo } },
    ];
    let mut keys: Vec<ModelKey> = changed.iter().map(key).chain([key(&ResearchRules { fit, elo })]).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 9);
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let check = |home: &str, away: &str, phase: MatchPhase, expected: ResearchRefusal| {
        assert_eq!(ask(home, away, phase), Err(expected));
    };
    check("Team 00", "Team 01", MatchPhase::InPlay, ResearchRefusal::InPlay);
    check("Team 00", "Team 01", MatchPhase::Finished, ResearchRefusal::Finished);
    check("Team 02", "Team 02", MatchPhase::PreMatch, ResearchRefusal::SameTeam { team: "Team 02".to_owned() });
    let Err(ResearchRefusal::UnknownTeam(unknown)) = ask("Taem 03", "Team 01", MatchPhase::PreMatch) else {
        panic!("nobody knows Taem 03")
    };
    assert!(unknown.asked == "Taem 03" && unknown.nearest.contains(&"Team 03".to_owned()), "{unknown}");
    let empty = History::new(&[]).expect("valid");
    let refused = ResearchModel::new(empty, MatchDay::from_days(1), &ResearchRules::default());
    assert!(matches!(refused, Err(ResearchRefusal::NoFit(FitError::TooFewMatches { .. }))));
}

#[test]
fn a_team_that_left_the_league_long_ago_is_named() {
    // Relegated teams are in the fit as long as their matches are; with a window of half a season they are not.
    let history = History::new(&rows()).expect("valid");
    let day = history.matches().last().expect("matches").day;
    let rules = ResearchRules { fit: FitRules { window_days: 180, ..FitRules::default() }, ..ResearchRules::default() };
    let model = ResearchModel::new(history, day, &rules).expect("a model");
    let question = ResearchQuestion { home: "Team 00", away: "Team 17", phase: MatchPhase::PreMatch };
    let expected = ResearchRefusal::OutOfLeague { team: "Team 17".to_owned() };
    assert_eq!(research(&model, &question), Err(expected));
}
