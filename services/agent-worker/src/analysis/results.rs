//! Results of the past, kept up to date from market-data: asked for what is new, at most
//! once a second however many need them.

use super::{refused::Refused, sources::Sources};
use crate::bars::as_units;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tragen_cache::FlightCache;
use tragen_contracts::{convert, v1};
use tragen_domain::{
    agents::football::{History, MatchDay, MatchRow, Score, Season},
    time::Timestamp,
};

/// How old what is known may be.
const AGE_MAX: Duration = Duration::from_secs(1);
/// Pages asked for at once: more than market-data keeps.
const PAGES_MAX: usize = 10;

/// A match: its day and its teams.
type Key = (i32, String, String);

/// All results and fixtures that market-data has told of.
#[derive(Debug)]
pub(super) struct Results {
    known: Mutex<Arc<Known>>,
    flight: FlightCache<(), Arc<Known>>,
}

/// What is known at one time.
#[derive(Debug)]
pub(super) struct Known {
    /// What models learn from.
    pub(super) history: Arc<History>,
    /// The day it is, in market time.
    pub(super) today: MatchDay,
    history_id: String,
    last: i64,
    rows: Arc<BTreeMap<Key, v1::HistoryRow>>,
}

impl Results {
    pub(super) fn new() -> Self {
        let empty = History::new(&[]).expect("no row is bad");
        let known = Known {
            history: Arc::new(empty),
            today: MatchDay::from_days(0),
            history_id: String::new(),
            last: 0,
            rows: Arc::default(),
        };
        Self { known: Mutex::new(Arc::new(known)), flight: FlightCache::new("results", 1, AGE_MAX) }
    }

    /// What is known now.
    pub(super) async fn now(&self, sources: &Sources) -> Result<Arc<Known>, Refused> {
        let known = self.flight.get_or_try((), self.catch_up(sources)).await;
        known.map_err(|refused| Refused::clone(&refused))
    }

    async fn catch_up(&self, sources: &Sources) -> Result<Arc<Known>, Refused> {
        let before = Arc::clone(&self.known.lock().unwrap_or_else(PoisonError::into_inner));
        let (mut history_id, mut last) = (before.history_id.clone(), before.last);
        let mut news = Vec::new();
        let mut is_new_history = false;
        let mut today = before.today;
        for _ in 0..PAGES_MAX {
            let page = sources.history(&history_id, last).await?;
            if page.history_id != history_id {
                (is_new_history, history_id) = (true, page.history_id);
                news.clear();
            }
            news.extend(page.rows);
            last = page.last;
            today = MatchDay::of(Timestamp::from_micros(page.event_time_micros));
            if page.last >= page.newest {
                break;
            }
        }
        let known = if news.is_empty() && !is_new_history {
            let (history, rows) = (Arc::clone(&before.history), Arc::clone(&before.rows));
            Known { history, today, history_id, last, rows }
        } else {
            let rows = if is_new_history { BTreeMap::new() } else { BTreeMap::clone(&before.rows) };
            let (history, rows) = merged(rows, news).await?;
            Known { history, today, history_id, last, rows }
        };
        let known = Arc::new(known);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&known);
        Ok(known)
    }
}

impl Known {
    /// Midnight of the day it is, for answers.
    pub(super) fn as_of(&self) -> pbjson_types::Timestamp {
        convert::timestamp(Timestamp::from_micros(i64::from(self.today.days()).saturating_mul(86_400_000_000)))
    }

    /// The last odds before the kick-off of every match that is over, by the id it was traded by: home, draw, away.
    pub(super) fn closing_odds_by_id(&self) -> BTreeMap<&str, [f64; 3]> {
        let closed = |row: &'_ v1::HistoryRow| <[i64; 3]>::try_from(row.closing_odds_micros.as_slice()).ok();
        let rows = self.rows.values().filter(|row| !row.match_id.is_empty());
        rows.filter_map(|row| Some((row.match_id.as_str(), closed(row)?.map(as_units)))).collect()
    }

    /// The last odds before the kick-off of a match that is over: home, draw, away.
    pub(super) fn closing_odds(&self, day: MatchDay, home: &str, away: &str) -> Option<[f64; 3]> {
        let row = self.rows.get(&(day.days(), home.to_owned(), away.to_owned()))?;
        let odds: [i64; 3] = row.closing_odds_micros.as_slice().try_into().ok()?;
        Some(odds.map(as_units))
    }
}

/// The rows with what is new, and the history they make; sorting thousands is no work for the bus's tasks.
async fn merged(
    mut rows: BTreeMap<Key, v1::HistoryRow>,
    news: Vec<v1::HistoryRow>,
) -> Result<(Arc<History>, Arc<BTreeMap<Key, v1::HistoryRow>>), Refused> {
    let merging = tokio::task::spawn_blocking(move || {
        for row in news {
            rows.insert((row.day, row.home.clone(), row.away.clone()), row);
        }
        let given: Vec<MatchRow> = rows.values().map(match_row).collect();
        let history = History::new(&given).map_err(|error| Refused::BadHistory(error.to_string()))?;
        Ok::<_, Refused>((Arc::new(history), Arc::new(rows)))
    });
    merging.await.map_err(|_| Refused::Broken)?
}

fn match_row(row: &v1::HistoryRow) -> MatchRow {
    let goals = |goals: i32| u8::try_from(goals).unwrap_or(u8::MAX);
    let score = Score { home: goals(row.home_goals), away: goals(row.away_goals) };
    MatchRow {
        day: MatchDay::from_days(row.day),
        season: Season::beginning(u16::try_from(row.season_first_year).unwrap_or_default()),
        home: row.home.clone(),
        away: row.away.clone(),
        score: row.is_played.then_some(score),
    }
}
