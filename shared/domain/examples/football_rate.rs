//! How long the football models take, on a made-up league of twenty seasons or on a file of real results.
//!
//! `cargo run --release -p tragen-domain --example football_rate [matches.csv]`
//!
//! The file has a header with at least `season,date,home,away,fthg,ftag`. Times are of the process's own work (CPU): on a
//! busy machine the clock on the wall says how busy it is.

use std::time::Duration;
use tragen_domain::agents::{
    consensus::{SHARP_WEIGHT, SOFT_WEIGHT},
    epl_research::{ResearchModel, ResearchQuestion, ResearchRules, research},
    epl_trading::{EplTradingRules, epl_trading},
    fair_line::Book,
    football::{FitRules, History, MatchDay, MatchRow, Score, Season, fit, walk_forward},
    scout::{MatchPhase, MatchView, Quote, ScoutRules, scout},
    value_bet::{ModelRow, ModelRules, play_model_value},
};

/// Bookmakers of the match that the scout prices.
const BOOKS: usize = 12;
/// Calls of the fast functions.
const CALLS: u32 = 20_000;

fn main() {
    let rows = match std::env::args().nth(1) {
        Some(path) => read(&std::fs::read_to_string(path).expect("a readable file")),
        None => made_up(),
    };
    let history = History::new(&rows).expect("valid matches");
    let days = [history.matches().first(), history.matches().last()].map(|m| m.expect("matches").day);
    println!("{} matches from {} to {}", rows.len(), days[0], days[1]);
    let end = MatchDay::from_days(days[1].days() + 1);

    let started = worked();
    let fits = 200;
    let mut last = None;
    for _ in 0..fits {
        last = Some(fit(&history, end, &FitRules::default()).expect("enough matches"));
    }
    let last = last.expect("a fit");
    let each = (worked() - started) / fits;
    println!("one fit: {each:?} ({} matches, {} teams)", last.matches(), last.strengths().len());

    let started = worked();
    let walked: Vec<_> = walk_forward(&history, &FitRules::default(), days[0], end).collect();
    let forecasts: Vec<_> = walked.iter().flatten().flat_map(|day| &day.matches).collect();
    let elapsed = worked() - started;
    let fitted = walked.iter().filter(|day| day.is_ok()).count();
    println!("walk-forward: {fitted} fits, {} forecasts in {:.2} s", forecasts.len(), elapsed.as_secs_f64());

    // Odds of 5 % margin around the base rates, so that the play has something to bet on.
    let row = |outcome| ModelRow { model: [0.45, 0.25, 0.3], offered: [2.1, 3.4, 3.3], closing: None, outcome };
    let plays: Vec<ModelRow> = forecasts
        .iter()
        .filter_map(|f| Some(ModelRow { model: f.probabilities, ..row(f.fixture.score?.outcome()) }))
        .collect();
    let started = worked();
    let report = play_model_value(&plays, &ModelRules::default()).expect("valid rows");
    println!("value play: {} matches, {} bets in {:?}", plays.len(), report.bets, worked() - started);

    let (home, away) = (last.strengths()[0].team, last.strengths()[1].team);
    let names = [home, away].map(|team| history.name(team).to_owned());
    let model = ResearchModel::new(history, end, &ResearchRules::default()).expect("a model");
    let question = ResearchQuestion { home: &names[0], away: &names[1], phase: MatchPhase::PreMatch };
    mean("research report", || research(&model, &question).is_ok());

    let books: Vec<Book> = (0..BOOKS).map(book).collect();
    let quote = |ask: f64| Some(Quote { ask, ask_size: 500.0, bid: Some(ask - 0.01), age_ms: Some(1_000) });
    let view =
        MatchView { phase: MatchPhase::PreMatch, books: &books, quotes: [quote(0.45), quote(0.29), quote(0.26)] };
    mean(&format!("scout on {BOOKS} books"), || scout(&view, &ScoutRules::default()).is_ok());
    let model = Some([0.48, 0.27, 0.25]);
    mean(&format!("eplTrading on {BOOKS} books"), || epl_trading(&view, model, &EplTradingRules::default()).is_ok());
}

/// CPU time of this process so far; the kernel tells it of the one thread there is, in nanoseconds.
fn worked() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("a Linux kernel with schedstat");
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("nanoseconds"))
}

fn mean(what: &str, mut call: impl FnMut() -> bool) {
    let started = worked();
    let answered = (0..CALLS).filter(|_| std::hint::black_box(call())).count();
    let micros = (worked() - started).as_secs_f64() * 1e6 / f64::from(CALLS);
    println!("{what}: {micros:.2} us mean of {CALLS}, {answered} answered");
}

fn book(number: usize) -> Book {
    let (name, weight) = if number == 0 { ("sharp", SHARP_WEIGHT) } else { ("soft", SOFT_WEIGHT) };
    let margin = 1.0 - 0.002 * f64::from(u8::try_from(number).unwrap_or_default());
    Book { bookmaker: format!("{name} {number}"), weight, odds: [2.0, 3.6, 4.2].map(|odds| odds * margin) }
}

fn read(text: &str) -> Vec<MatchRow> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let columns = ["season", "date", "home", "away", "fthg", "ftag"]
        .map(|name| names.iter().position(|other| *other == name).expect("a known column"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let [season, date, home, away, scored, conceded] = columns.map(|column| cells[column]);
        let mut parts = date.split('-').map(|part| part.parse::<u16>().expect("a date"));
        let mut next = || parts.next().expect("a date");
        let (year, month, day) = (next(), next(), next());
        let small = |part: u16| u8::try_from(part).expect("a date");
        MatchRow {
            day: MatchDay::from_date(i32::from(year), small(month), small(day)).expect("a date"),
            season: Season::parse(season).expect("a season"),
            home: home.to_owned(),
            away: away.to_owned(),
            score: Some(Score { home: scored.parse().expect("goals"), away: conceded.parse().expect("goals") }),
        }
    };
    lines.map(row).collect()
}

/// Twenty seasons of twenty teams, three of them new each season, about a hundred match days each.
fn made_up() -> Vec<MatchRow> {
    let mut rows = Vec::new();
    let mut draw = 7_u64;
    let mut goals = || {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        [0, 0, 0, 1, 1, 1, 1, 2, 2, 3].get(usize::try_from(draw >> 33).unwrap_or_default() % 10).copied().unwrap_or(0)
    };
    for season in 0..20_u16 {
        let name = |place: usize| {
            if place < 17 { format!("Team {place:02}") } else { format!("Team {:02}", place + 3 * usize::from(season)) }
        };
        for round in 0..38_usize {
            for pair in 0..10_usize {
                let turn = |place: usize| if place == 0 { 0 } else { 1 + (place - 1 + round) % 19 };
                let (first, second) = (turn(pair), turn(19 - pair));
                let (home, away) = if round >= 19 { (second, first) } else { (first, second) };
                // A round is played on three days.
                let offset = i32::try_from(round * 7 + pair / 4).unwrap_or_default();
                rows.push(MatchRow {
                    day: MatchDay::from_days(13_000 + i32::from(season) * 365 + offset),
                    season: Season::beginning(2005 + season),
                    home: name(home),
                    away: name(away),
                    score: Some(Score { home: goals(), away: goals() }),
                });
            }
        }
    }
    rows
}
