//! Results of the past and announced fixtures: what models of football learn from.
//! Rows are numbered as they become known, so that a reader asks only for news.

use std::collections::VecDeque;
use tragen_contracts::v1;
use tragen_domain::time::Timestamp;

/// Rows kept; the oldest go. Thirty years of two leagues.
const ROWS_MAX: usize = 25_000;
/// Most rows in one answer.
const PAGE_MAX: usize = 5_000;

/// Numbered rows, oldest first.
#[derive(Debug)]
pub(crate) struct History {
    id: String,
    rows: VecDeque<v1::HistoryRow>,
    /// How many rows there ever were: the number of the newest.
    newest: i64,
}

impl History {
    /// An empty history. No other one ever had the id.
    pub(crate) const fn new(id: String) -> Self {
        Self { id, rows: VecDeque::new(), newest: 0 }
    }

    /// A row becomes known.
    pub(crate) fn push(&mut self, row: v1::HistoryRow) {
        if self.rows.len() == ROWS_MAX {
            self.rows.pop_front();
        }
        self.rows.push_back(row);
        self.newest += 1;
    }

    /// What became known after the asked number until `now`; everything if it is of another history.
    pub(crate) fn page(&self, asked: &v1::HistoryQuestion, now: Timestamp) -> v1::HistoryPage {
        let after = if asked.history_id == self.id { asked.after.clamp(0, self.newest) } else { 0 };
        let oldest = self.newest - i64::try_from(self.rows.len()).unwrap_or(i64::MAX);
        let from = usize::try_from(after - oldest).unwrap_or(0);
        let rows: Vec<v1::HistoryRow> = self.rows.iter().skip(from).take(PAGE_MAX).cloned().collect();
        let last = after.max(oldest) + i64::try_from(rows.len()).unwrap_or(0);
        v1::HistoryPage {
            history_id: self.id.clone(),
            rows,
            last,
            newest: self.newest,
            event_time_micros: now.micros(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1);

    #[test]
    fn a_reader_gets_every_row_once_and_all_of_another_history() {
        let mut history = History::new("a".into());
        for day in 0..12_000 {
            history.push(v1::HistoryRow { day, ..v1::HistoryRow::default() });
        }
        let mut days = Vec::new();
        let mut asked = v1::HistoryQuestion::default();
        loop {
            let page = history.page(&asked, NOW);
            days.extend(page.rows.iter().map(|row| row.day));
            asked = v1::HistoryQuestion { history_id: page.history_id, after: page.last };
            if page.last == page.newest {
                break;
            }
        }
        assert!(days.iter().copied().eq(0..12_000), "{} rows", days.len());
        assert!(history.page(&asked, NOW).rows.is_empty());
        history.push(v1::HistoryRow { day: 12_000, ..v1::HistoryRow::default() });
        assert_eq!(history.page(&asked, NOW).rows.len(), 1);
        let foreign = v1::HistoryQuestion { history_id: "b".into(), after: 12_001 };
        assert_eq!(history.page(&foreign, NOW).rows.len(), PAGE_MAX);
        let negative = v1::HistoryQuestion { after: -5, ..asked };
        assert_eq!(history.page(&negative, NOW).rows[0].day, 0);
    }

    #[test]
    fn the_oldest_rows_go() {
        let mut history = History::new("a".into());
        for day in 0..=25_000 {
            history.push(v1::HistoryRow { day, ..v1::HistoryRow::default() });
        }
        let page = history.page(&v1::HistoryQuestion::default(), NOW);
        assert_eq!((page.rows[0].day, page.last, page.newest), (1, 5_001, 25_001));
    }
}
