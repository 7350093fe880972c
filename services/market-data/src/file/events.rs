//! Goals and cards by match and minute.

use super::{BadField, Cells, FileError, FileKind, FileReport, Sheet, moment};
use crate::number;
use jiff::civil::Date;

/// What a match is recognized by in every file: day, home team, away team.
pub(super) type MatchKey = (Date, String, String);

/// Something that changes a match's prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Incident {
    /// Minute of play, 1 to 90.
    pub(crate) minute: u8,
    /// Minutes beyond it, for 45 and 90.
    pub(crate) stoppage: u8,
    /// What.
    pub(crate) kind: IncidentKind,
    /// Whether the home team scored, or has a player less.
    pub(crate) is_home: bool,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IncidentKind {
    /// A goal for the side.
    Goal,
    /// A player of the side was sent off.
    Red,
}

/// An incident and its match.
#[derive(Debug)]
pub(super) struct EventRow {
    pub(super) key: MatchKey,
    pub(super) incident: Incident,
}

/// Columns of an events file.
struct Columns {
    date: usize,
    home: usize,
    away: usize,
    minute: usize,
    stoppage: Option<usize>,
    kind: usize,
    side: usize,
}

pub(super) fn read(sheet: &mut Sheet<'_>, events: &mut Vec<EventRow>) -> Result<FileReport, FileError> {
    let columns = Columns {
        date: sheet.needed(&["date"])?,
        home: sheet.needed(&["home", "hometeam"])?,
        away: sheet.needed(&["away", "awayteam"])?,
        minute: sheet.needed(&["minute"])?,
        stoppage: sheet.column(&["stoppage"]),
        kind: sheet.needed(&["type"])?,
        side: sheet.needed(&["side"])?,
    };
    let mut report = FileReport::new(&sheet.file, FileKind::Events);
    while let Some(cells) = sheet.next(&mut report) {
        match event(&cells, &columns) {
            Ok(event) => {
                report.accepted += 1;
                events.extend(event);
            }
            Err(bad) => report.refuse(cells.line, &bad),
        }
    }
    Ok(report)
}

/// The event of a row; `None` for what changes no price, such as a yellow card.
fn event(cells: &Cells<'_>, columns: &Columns) -> Result<Option<EventRow>, BadField> {
    let date = cells.parse("date", columns.date, moment::day)?;
    let team = |text: &str| if text.is_empty() { Err("a team is missing".to_owned()) } else { Ok(text.to_owned()) };
    let home = cells.parse("home", columns.home, team)?;
    let away = cells.parse("away", columns.away, team)?;
    let minute = cells.parse("minute", columns.minute, |text| match number::count(text, 90)? {
        0 => Err("0 is not a minute of play".to_owned()),
        minute => Ok(minute),
    })?;
    let stoppage = match columns.stoppage {
        Some(column) if !cells.text(column).is_empty() => {
            cells.parse("stoppage", column, |text| number::count(text, 30))?
        }
        Some(_) | None => 0,
    };
    if stoppage > 0 && !matches!(minute, 45 | 90) {
        return Err(BadField::new("stoppage", format!("minute {minute} has no stoppage time")));
    }
    let kind = cells.parse("type", columns.kind, |text| match text {
        "GOAL" | "OWN_GOAL" | "PENALTY_GOAL" => Ok(Some(IncidentKind::Goal)),
        "RED" | "SECOND_YELLOW" => Ok(Some(IncidentKind::Red)),
        "YELLOW" | "PENALTY_MISSED" | "GOAL_DISALLOWED" => Ok(None),
        other => Err(format!("{other:?} is not an event")),
    })?;
    let is_home = cells.parse("side", columns.side, |text| match text {
        "H" => Ok(true),
        "A" => Ok(false),
        other => Err(format!("{other:?} is neither H nor A")),
    })?;
    let key = (date, home, away);
    Ok(kind.map(|kind| EventRow { key, incident: Incident { minute, stoppage, kind, is_home } }))
}
