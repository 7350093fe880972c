//! Results and bookmakers' odds, in the native columns of football-data files
//! (`HomeTeam`, `FTHG`, `B365H`, `PSCA` ...) or their lower-case form
//! (`home`, `fthg`, `b365_h`, `psc_a` ...).

use super::{
    BadField, Cells, FileError, FileKind, FileReport, Incident, IncidentKind, Sheet, events::MatchKey, moment,
};
use crate::number;
use jiff::civil::Date;
use std::collections::HashSet;
use tragen_contracts::v1;
use tragen_domain::{
    agents::{
        consensus::{SHARP_WEIGHT, SOFT_WEIGHT},
        devig::{DevigMethod, devig},
        fair_line::{self, MAX_PRICE_RATIO, fair_line},
        football::Season,
    },
    id::MatchId,
    time::Timestamp,
};

/// Column code and name of every bookmaker that is read.
const BOOKS: [(&str, &str); 15] = [
    ("ps", "pinnacle"),
    ("b365", "bet365"),
    ("bw", "bwin"),
    ("iw", "interwetten"),
    ("wh", "william-hill"),
    ("vc", "betvictor"),
    ("lb", "ladbrokes"),
    ("bfd", "betfred"),
    ("bmgm", "betmgm"),
    ("cl", "coral"),
    ("1xb", "1xbet"),
    ("bs", "blue-square"),
    ("gb", "gamebookers"),
    ("sb", "sportingbet"),
    ("sj", "stan-james"),
];

/// Bookmakers whose margin is low and whose closing price is known to be sharp.
const SHARP_BOOKS: [&str; 1] = ["pinnacle"];

/// Codes of the market's average price: what impossible prices are measured against.
const AVERAGE: [&str; 2] = ["avg", "bbav"];
/// Codes of whose odds of more and fewer than 2.5 goals are read, the first there is.
const OVER_UNDER: [&str; 4] = ["p", "avg", "bbav", "b365"];
/// Codes of the best price of any bookmaker.
const BEST: [&str; 2] = ["max", "bbmx"];
/// Code of the exchange whose prices the simulated venue follows.
const EXCHANGE: [&str; 1] = ["bfe"];

/// No league match ever had more goals of one side.
const GOALS_MAX: u8 = 30;
/// From the kick-off to the final whistle at most: two halves, the break and generous stoppage time.
const PLAYED_MILLIS: i64 = 120 * 60_000;
/// Longest part of a match id that names a team.
const TEAM_BYTES_MAX: usize = 20;

/// Name of the average of all bookmakers, where it stands in for a sharp one.
const MARKET_AVERAGE: &str = "market-average";

/// Whether a match is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is to be played.
    Announced,
    /// It is over.
    Played,
}

/// One match: who, when, at which odds, and what happened.
#[derive(Debug, Clone)]
pub struct MatchRow {
    /// Its id.
    pub id: MatchId,
    /// Home team as the file writes it.
    pub home: String,
    /// Away team as the file writes it.
    pub away: String,
    /// Kick-off, UTC; 15:00 in the UK where the file has no time.
    pub kickoff: Timestamp,
    /// Result after 90 minutes, home then away.
    pub goals: (u8, u8),
    /// In order of minute; the goals add up to `goals`.
    pub(crate) incidents: Vec<Incident>,
    /// The first odds; where the file has none, the last ones.
    pub opening: Lines,
    /// The last odds before the kick-off; where the file has none, the first ones.
    pub closing: Lines,
    /// Which of the two the file has.
    pub lines_known: LinesKnown,
    /// The year its season begins in.
    pub(crate) season_first_year: u16,
    date: Date,
}

/// Which odds of a match are in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinesKnown {
    /// Opening and closing odds.
    Both,
    /// Only the opening odds.
    Opening,
    /// Only the closing odds.
    Closing,
}

/// All odds of a match at one time.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// At least one.
    pub books: Vec<Book>,
    /// What the simulated venue believes: home, draw, away; they sum to 1.
    pub venue: [f64; 3],
    /// The market's average odds, where the file has them.
    pub average: Option<[f64; 3]>,
    /// The exchange's odds, where the file has them.
    pub exchange: Option<[f64; 3]>,
    /// The best odds of any bookmaker; `None` for an outcome without, or with a broken price.
    pub best: [Option<f64>; 3],
    /// Decimal odds of more, then of fewer, than 2.5 goals.
    pub over_under: Option<[f64; 2]>,
}

/// One bookmaker's decimal odds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Book {
    /// His name.
    pub bookmaker: &'static str,
    /// Home, draw, away; each above 1.
    pub odds: [f64; 3],
}

/// Columns of a matches file.
struct Columns {
    id: Option<usize>,
    division: Option<usize>,
    season: Option<usize>,
    date: usize,
    kickoff_utc: Option<usize>,
    kickoff_uk: Option<usize>,
    home: usize,
    away: usize,
    goals: [usize; 2],
    result: Option<usize>,
    opening: Odds,
    closing: Odds,
}

/// Columns of the odds of one time.
struct Odds {
    books: Vec<(&'static str, [usize; 3])>,
    average: Option<[usize; 3]>,
    exchange: Option<[usize; 3]>,
    over_under: Option<[usize; 2]>,
    best: Option<[usize; 3]>,
}

pub(super) fn read(sheet: &mut Sheet<'_>, matches: &mut Vec<MatchRow>) -> Result<FileReport, FileError> {
    let columns = Columns {
        id: sheet.column(&["match_id"]),
        division: sheet.column(&["div"]),
        season: sheet.column(&["season"]),
        date: sheet.needed(&["date"])?,
        kickoff_utc: sheet.column(&["ko_utc"]),
        kickoff_uk: sheet.column(&["ko_uk", "time"]),
        home: sheet.needed(&["home", "hometeam"])?,
        away: sheet.needed(&["away", "awayteam"])?,
        goals: [sheet.needed(&["fthg"])?, sheet.needed(&["ftag"])?],
        result: sheet.column(&["ftr"]),
        opening: Odds::find(sheet, ""),
        closing: Odds::find(sheet, "c"),
    };
    if columns.opening.is_empty() && columns.closing.is_empty() {
        let expected = "odds such as B365H,B365D,B365A or avg_h,avg_d,avg_a: without them a match has no prices";
        return Err(sheet.refused(1, expected, "results only"));
    }
    let mut seen: HashSet<MatchId> = matches.iter().map(|row| row.id.clone()).collect();
    // Two ids for one match would be two matches to bet on, and one to learn from.
    let mut played: HashSet<MatchKey> = matches.iter().map(MatchRow::key).collect();
    let mut report = FileReport::new(&sheet.file, FileKind::Matches);
    while let Some(cells) = sheet.next(&mut report) {
        match match_row(&cells, &columns, &mut report) {
            Ok(row) if !seen.insert(row.id.clone()) => {
                report.refuse(cells.line, &BadField::new("match", format!("{} is a duplicate", row.id)));
            }
            Ok(row) if !played.insert(row.key()) => {
                let reason = format!("{} v {} on {} is a duplicate", row.home, row.away, row.date);
                report.refuse(cells.line, &BadField::new("match", reason));
            }
            Ok(row) => {
                report.accepted += 1;
                matches.push(row);
            }
            Err(bad) => report.refuse(cells.line, &bad),
        }
    }
    Ok(report)
}

impl Odds {
    /// The columns `<code><time>_h` or `<CODE><TIME>H` and so on; headers are in lower case.
    fn find(sheet: &Sheet<'_>, time: &str) -> Self {
        let three = |code: &str| {
            let one = |side: &str| sheet.column(&[&format!("{code}{time}_{side}"), &format!("{code}{time}{side}")]);
            Some([one("h")?, one("d")?, one("a")?])
        };
        let books = BOOKS.iter().filter_map(|(code, name)| Some((*name, three(code)?))).collect();
        let first = |codes: &[&str]| codes.iter().find_map(|code| three(code));
        let two = |code: &&str| {
            let one = |side: &str, sign: &str| {
                sheet.column(&[&format!("{code}{time}_{side}25"), &format!("{code}{time}{sign}2.5")])
            };
            Some([one("o", ">")?, one("u", "<")?])
        };
        let over_under = OVER_UNDER.iter().find_map(two);
        Self { books, average: first(&AVERAGE), exchange: first(&EXCHANGE), best: first(&BEST), over_under }
    }

    fn is_empty(&self) -> bool {
        self.books.is_empty() && self.average.is_none()
    }

    /// The usable odds of a row; unusable ones are reported and left out.
    fn lines(&self, cells: &Cells<'_>, time: &str, report: &mut FileReport) -> Option<Lines> {
        let mut read = |name: &str, columns: &[usize; 3]| match three(cells, columns) {
            Ok(odds) => odds,
            Err(reason) => {
                report.repair(cells.line, &BadField::new(format!("{time} odds of {name}"), reason));
                None
            }
        };
        let average = self.average.as_ref().and_then(|columns| read("average", columns));
        let exchange = self.exchange.as_ref().and_then(|columns| read("exchange", columns));
        let best = self.best.as_ref().and_then(|columns| read("best", columns));
        let best = best.map_or([None; 3], |odds| sound(&odds, average.as_ref()));
        let mut books: Vec<Book> = Vec::with_capacity(self.books.len() + 1);
        for (bookmaker, columns) in &self.books {
            books.extend(read(bookmaker, columns).map(|odds| Book { bookmaker, odds }));
        }
        books.retain(|book| {
            let high = average.and_then(|average| too_high(&book.odds, &average));
            if let Some(reason) = &high {
                report.repair(cells.line, &BadField::new(format!("{time} odds of {}", book.bookmaker), reason));
            }
            high.is_none()
        });
        let has_sharp = books.iter().any(|book| SHARP_BOOKS.contains(&book.bookmaker));
        if let Some(odds) = average.filter(|_| !has_sharp) {
            books.push(Book { bookmaker: MARKET_AVERAGE, odds });
        }
        let line = match fair_line(&books.iter().map(Book::opinion).collect::<Vec<_>>(), DevigMethod::Shin) {
            Ok(line) => line,
            Err(error) => {
                if !books.is_empty() {
                    report.repair(cells.line, &BadField::new(format!("{time} odds"), error.to_string()));
                }
                return None;
            }
        };
        for dropped in &line.dropped {
            let field = format!("{time} odds of {}", dropped.bookmaker);
            report.repair(cells.line, &BadField::new(field, dropped.fault.to_string()));
            books.retain(|book| book.bookmaker != dropped.bookmaker);
        }
        let traded = exchange.filter(|odds| too_high(odds, &average.unwrap_or(*odds)).is_none());
        let venue = traded.and_then(|odds| devig(DevigMethod::Shin, &odds).ok()).map_or(line.probabilities, |fair| {
            let mut venue = line.probabilities;
            venue.copy_from_slice(&fair.probabilities);
            venue
        });
        let over_under = self.over_under.and_then(|columns| {
            let [over, under] = columns.map(|column| cells.text(column));
            // A match without them is no fault: many files have none.
            Some([number::odds(over).ok()?, number::odds(under).ok()?])
        });
        Some(Lines { books, venue, average, exchange: traded, best, over_under })
    }
}

/// The odds that are not too good to be true; without an average all are.
fn sound(odds: &[f64; 3], average: Option<&[f64; 3]>) -> [Option<f64>; 3] {
    let mut sound = odds.map(Some);
    if let Some(average) = average {
        for (odds, average) in sound.iter_mut().zip(average) {
            *odds = odds.filter(|odds| *odds <= average * MAX_PRICE_RATIO);
        }
    }
    sound
}

/// Three odds; `None` when the bookmaker quotes nothing.
fn three(cells: &Cells<'_>, columns: &[usize; 3]) -> Result<Option<[f64; 3]>, String> {
    let texts = columns.map(|column| cells.text(column));
    if texts.iter().all(|text| text.is_empty()) {
        return Ok(None);
    }
    let [home, draw, away] = texts.map(number::odds);
    Ok(Some([home?, draw?, away?]))
}

fn too_high(odds: &[f64; 3], average: &[f64; 3]) -> Option<String> {
    let (odds, average) = odds.iter().zip(average).find(|(odds, average)| **odds > *average * MAX_PRICE_RATIO)?;
    Some(format!("{odds} is more than {MAX_PRICE_RATIO} times the average {average}"))
}

impl Book {
    /// Whether his closing price is known to be sharp.
    #[must_use]
    pub fn is_sharp(&self) -> bool {
        SHARP_BOOKS.contains(&self.bookmaker)
    }

    /// The book as the rules about fair prices see it.
    #[must_use]
    pub fn opinion(&self) -> fair_line::Book {
        let weight = if self.is_sharp() { SHARP_WEIGHT } else { SOFT_WEIGHT };
        fair_line::Book { bookmaker: self.bookmaker.to_owned(), weight, odds: self.odds }
    }
}

fn match_row(cells: &Cells<'_>, columns: &Columns, report: &mut FileReport) -> Result<MatchRow, BadField> {
    let date = cells.parse("date", columns.date, moment::day)?;
    let team = |text: &str| if text.is_empty() { Err("a team is missing".to_owned()) } else { Ok(text.to_owned()) };
    let home = cells.parse("home", columns.home, team)?;
    let away = cells.parse("away", columns.away, team)?;
    if home == away {
        return Err(BadField::new("away", format!("{away} cannot play itself")));
    }
    let [home_goals, away_goals] = columns.goals;
    let goals = (
        cells.parse("fthg", home_goals, |text| number::count(text, GOALS_MAX))?,
        cells.parse("ftag", away_goals, |text| number::count(text, GOALS_MAX))?,
    );
    if let Some(column) = columns.result.filter(|column| !cells.text(*column).is_empty()) {
        let expected = match goals.0.cmp(&goals.1) {
            std::cmp::Ordering::Greater => "H",
            std::cmp::Ordering::Equal => "D",
            std::cmp::Ordering::Less => "A",
        };
        if cells.text(column) != expected {
            let reason = format!("{:?} does not fit {}-{}", cells.text(column), goals.0, goals.1);
            return Err(BadField::new("ftr", reason));
        }
    }
    let kickoff = match columns.kickoff_utc.map(|column| (column, cells.text(column))) {
        Some((column, text)) if !text.is_empty() => cells.parse("ko_utc", column, moment::point)?,
        Some(_) | None => {
            let time = columns.kickoff_uk.map_or("", |column| cells.text(column));
            moment::uk_kickoff(date, time).map_err(|reason| BadField::new("time", reason))?
        }
    };
    let opening = columns.opening.lines(cells, "opening", report);
    let closing = columns.closing.lines(cells, "closing", report);
    let (opening, closing, lines_known) = match (opening, closing) {
        (Some(opening), Some(closing)) => (opening, closing, LinesKnown::Both),
        (Some(only), None) => (only.clone(), only, LinesKnown::Opening),
        (None, Some(only)) => (only.clone(), only, LinesKnown::Closing),
        (None, None) => return Err(BadField::new("odds", "no bookmaker has usable odds")),
    };
    let id = match columns.id.map(|column| cells.text(column)) {
        Some(text) if !text.is_empty() => MatchId::new(text),
        Some(_) | None => {
            let league = match columns.division.map(|column| cells.text(column)) {
                Some(division) if !division.is_empty() && division != "E0" => division,
                Some(_) | None => "EPL",
            };
            MatchId::new(format!("{league}-{}-{}-{}", date.strftime("%Y%m%d"), short(&home), short(&away)))
        }
    };
    let id = id.map_err(|error| BadField::new("match_id", error.to_string()))?;
    let named = columns.season.map(|column| cells.text(column)).filter(|text| !text.is_empty());
    let season = named.and_then(Season::parse);
    if let Some(bad) = named.filter(|_| season.is_none()) {
        let reason = format!("{bad:?} is not a season such as 2024-25: it is taken from the date");
        report.repair(cells.line, &BadField::new("season", reason));
    }
    let season_first_year = season.map_or_else(|| season_of(date), Season::first_year);
    let incidents = Vec::new();
    Ok(MatchRow { id, home, away, kickoff, goals, incidents, opening, closing, lines_known, season_first_year, date })
}

/// The year the season of a date begins in: seasons begin in July.
fn season_of(date: Date) -> u16 {
    u16::try_from(if date.month() >= 7 { date.year() } else { date.year() - 1 }).unwrap_or_default()
}

/// A team as part of an id: `Nott'm Forest` is `NOTTMFOREST`.
fn short(team: &str) -> String {
    let letters = team.chars().filter(char::is_ascii_alphanumeric);
    letters.take(TEAM_BYTES_MAX).collect::<String>().to_ascii_uppercase()
}

impl MatchRow {
    /// The match as models learn from it, `days` days later than in the file; before it is over without its result.
    pub(crate) fn history(&self, days: i64, standing: Standing) -> v1::HistoryRow {
        let day = self.date.since(Date::constant(1970, 1, 1)).map_or(0, |span| i64::from(span.get_days()));
        let is_played = standing == Standing::Played;
        let goals = |goals: u8| if is_played { i32::from(goals) } else { 0 };
        let books = &self.closing.books;
        let sharp = books.iter().find(|book| book.is_sharp());
        let closing = sharp.or_else(|| books.iter().find(|book| book.bookmaker == MARKET_AVERAGE)).or(books.first());
        let odds = closing.filter(|_| is_played).map(|book| book.odds.map(|odds| number::nearest(odds * 1e6)));
        v1::HistoryRow {
            day: i32::try_from(day + days).unwrap_or_default(),
            season_first_year: i32::from(self.season_first_year),
            home: self.home.clone(),
            away: self.away.clone(),
            is_played,
            home_goals: goals(self.goals.0),
            away_goals: goals(self.goals.1),
            closing_odds_micros: odds.map(Vec::from).unwrap_or_default(),
            match_id: self.id.to_string(),
        }
    }

    /// The start of the match's day, UTC: everything of earlier days is known then, nothing of this one.
    ///
    /// Example: a match on 2024-08-17 is decided at 2024-08-17T00:00:00Z.
    #[must_use]
    pub fn day_start(&self) -> Timestamp {
        moment::day_start(self.date)
    }

    /// The odds of the opening, if the file has them.
    #[must_use]
    pub const fn known_opening(&self) -> Option<&Lines> {
        match self.lines_known {
            LinesKnown::Both | LinesKnown::Opening => Some(&self.opening),
            LinesKnown::Closing => None,
        }
    }

    /// The odds before the kick-off, if the file has them.
    #[must_use]
    pub const fn known_closing(&self) -> Option<&Lines> {
        match self.lines_known {
            LinesKnown::Both | LinesKnown::Closing => Some(&self.closing),
            LinesKnown::Opening => None,
        }
    }

    /// Forgets what only came to be known after `now`.
    pub(super) fn forget_after(&mut self, now: Timestamp) {
        if self.kickoff < now {
            // Who is not finished has no result; what is left has no effect before `now`.
            if self.kickoff.plus_millis(PLAYED_MILLIS) >= now {
                (self.goals, self.incidents) = ((0, 0), Vec::new());
            }
            return;
        }
        (self.goals, self.incidents) = ((0, 0), Vec::new());
        if self.lines_known == LinesKnown::Both {
            self.closing = self.opening.clone();
            self.lines_known = LinesKnown::Opening;
        }
    }

    pub(super) fn key(&self) -> MatchKey {
        (self.date, self.home.clone(), self.away.clone())
    }

    /// Keeps the incidents if their goals add up to the result; otherwise the
    /// goals are placed at even minutes. Says whether they were kept.
    pub(super) fn take_incidents(&mut self, mut incidents: Vec<Incident>) -> bool {
        let goals = |is_home: bool| {
            let of_side = |i: &&Incident| i.kind == IncidentKind::Goal && i.is_home == is_home;
            incidents.iter().filter(of_side).count()
        };
        if (goals(true), goals(false)) == (usize::from(self.goals.0), usize::from(self.goals.1)) {
            incidents.sort_by_key(|incident| (incident.minute, incident.stoppage));
            self.incidents = incidents;
            return true;
        }
        let total = u16::from(self.goals.0) + u16::from(self.goals.1);
        let sides = (0..self.goals.0.max(self.goals.1)).flat_map(|n| {
            [(n < self.goals.0).then_some(true), (n < self.goals.1).then_some(false)].into_iter().flatten()
        });
        let minutes = (1..=total).map(|n| u8::try_from(90 * n / (total + 1)).unwrap_or(90).max(1));
        self.incidents = minutes
            .zip(sides)
            .map(|(minute, is_home)| Incident { minute, stoppage: 0, kind: IncidentKind::Goal, is_home })
            .collect();
        false
    }
}
