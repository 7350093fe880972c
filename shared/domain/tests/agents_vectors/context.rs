//! What days of rest are worth on real results: the consensus of the opening odds with and without them.

use super::Table;
use super::football::day;
use std::collections::BTreeMap;
use tragen_domain::agents::consensus::SOFT_WEIGHT;
use tragen_domain::agents::context_aware::{MatchContext, TeamContext, context_aware};
use tragen_domain::agents::epl_trading::EplTradingRules;
use tragen_domain::agents::fair_line::Book;
use tragen_domain::agents::football::MatchDay;
use tragen_domain::agents::scout::{MatchPhase, MatchView};

/// Longer is a break between seasons.
const BREAK_DAYS: i32 = 45;

/// Days of rest of both teams of each row, by the matches of this league alone.
fn rests(matches: &Table) -> Vec<Option<(i32, i32)>> {
    let [date, home, away] = ["date", "home", "away"].map(|name| matches.column(name));
    let mut last: BTreeMap<&str, MatchDay> = BTreeMap::new();
    let mut rest = |team, today: MatchDay| {
        let days = last.insert(team, today).map(|last| today.days_since(last));
        days.filter(|days| (1..=BREAK_DAYS).contains(days))
    };
    matches
        .rows
        .iter()
        .map(|row| {
            let today = day(&row[date]);
            rest(&row[home], today).zip(rest(&row[away], today))
        })
        .collect()
}

#[test]
fn rest_days_do_not_improve_the_consensus() {
    let Some(matches) = Table::read("epl_matches") else { return };
    let result = matches.column("ftr");
    let (mut n, mut differing, mut plain, mut moved) = (0_u32, 0_u32, 0.0, 0.0);
    for (row, rest) in matches.rows.iter().zip(rests(&matches)) {
        let (Some((home, away)), Some(odds)) = (rest, matches.odds(row, "avg")) else { continue };
        let books = [Book { bookmaker: "average".into(), weight: SOFT_WEIGHT, odds }];
        let view = MatchView { phase: MatchPhase::PreMatch, books: &books, quotes: [None; 3] };
        let team = |days: i32| TeamContext { rest_days: Some(f64::from(days)), key_absences: 0 };
        let context = MatchContext { home: team(home), away: team(away), is_derby: false };
        let report = context_aware(&view, &context, &EplTradingRules::default()).expect("priced");
        let outcome = ["H", "D", "A"].iter().position(|r| *r == row[result]).expect("a result");
        n += 1;
        differing += u32::from(home != away);
        plain -= report.consensus[outcome].ln();
        moved -= report.fair[outcome].ln();
    }
    let (plain, moved) = (plain / f64::from(n), moved / f64::from(n));
    println!("{n} matches, {differing} with unequal rest: log-loss {plain:.5} without, {moved:.5} with days of rest");
    // The README says so. Cup matches are not in the data: a team that has played one has rested less than this.
    assert_eq!((n, differing), (7_384, 4_022));
    assert!((plain - 0.955_80).abs() < 5e-6 && (moved - 0.955_96).abs() < 5e-6, "{plain} {moved}");
}
