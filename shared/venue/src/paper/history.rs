//! Every execution of the paper venue in the order it happened, numbered from 0.
//! The newest are in memory, the others in files of fixed records, of which the
//! oldest are dropped. A line of the venue's file says how many are put away.

use std::{
    fs::OpenOptions,
    io::{Error, ErrorKind, Read as _, Result, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};
use tragen_domain::{
    execution::Fill,
    id::{ExecutionId, OrderId},
    money::{Money, Price, Quantity},
    time::Timestamp,
};

/// One execution and its order.
pub(super) type Execution = (OrderId, Fill);

/// Executions in memory before they are put away.
const RECENT_MAX: usize = 4_096;
/// Executions in one file.
const FILE_RECORDS: u64 = 65_536;
/// Length of a record with its line end: an order id, the number of the fill, and four numbers.
const RECORD_BYTES: u64 = 160;
/// Files that are kept: about four million executions.
const FILES_MAX: u64 = 64;
/// What a line of the venue's file begins with that is no order.
const MARK: &str = "# executions ";

#[derive(Debug)]
pub(super) struct History {
    folder: PathBuf,
    /// How many are in the files.
    away: u64,
    recent: Vec<Execution>,
}

impl History {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), away: 0, recent: Vec::new() }
    }

    /// Forgets what is in memory: it is read again.
    pub(super) fn clear(&mut self) {
        self.away = 0;
        self.recent.clear();
    }

    pub(super) fn add(&mut self, executions: &mut Vec<Execution>) {
        self.recent.append(executions);
    }

    pub(super) const fn is_long(&self) -> bool {
        self.recent.len() >= RECENT_MAX
    }

    /// Everything before the line `line` is put away, if it says so.
    pub(super) fn read_mark(&mut self, line: &str) -> bool {
        let Some(away) = line.strip_prefix(MARK).and_then(|count| count.parse().ok()) else { return false };
        self.away = away;
        self.recent.clear();
        true
    }

    /// Puts away what is in memory, and returns the line to write then. Cut off
    /// before that line is written, the next attempt writes the same records again.
    pub(super) fn put_away(&mut self) -> Result<String> {
        let mut next = self.away;
        for chunk in self.chunks() {
            let path = self.path(next / FILE_RECORDS);
            let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            file.set_len(next % FILE_RECORDS * RECORD_BYTES)?;
            file.seek(SeekFrom::End(0))?;
            let mut text = String::new();
            for execution in chunk {
                text.push_str(&record(execution)?);
            }
            file.write_all(text.as_bytes())?;
            next += length(chunk);
        }
        self.drop_old(next)?;
        self.away = next;
        self.recent.clear();
        Ok(format!("{MARK}{next}\n"))
    }

    /// At most `limit` executions from number `after` on, or from the oldest one
    /// that is kept, and the number that comes next.
    pub(super) fn page(&self, after: u64, limit: usize) -> Result<(Vec<Execution>, u64)> {
        let mut next = after.max(self.oldest());
        let mut page = Vec::new();
        while next < self.away && page.len() < limit {
            let wanted = u64::try_from(limit - page.len()).unwrap_or(u64::MAX).min(self.away - next);
            let wanted = wanted.min(FILE_RECORDS - next % FILE_RECORDS);
            page.append(&mut self.read(next, wanted)?);
            next += wanted;
        }
        let skipped = usize::try_from(next.saturating_sub(self.away)).unwrap_or(usize::MAX);
        for execution in self.recent.iter().skip(skipped).take(limit - page.len()) {
            page.push(execution.clone());
            next += 1;
        }
        Ok((page, next))
    }

    /// What is in memory, cut where one file ends and the next begins.
    fn chunks(&self) -> impl Iterator<Item = &[Execution]> {
        let room = usize::try_from(FILE_RECORDS - self.away % FILE_RECORDS).unwrap_or(usize::MAX);
        let (first, others) = self.recent.split_at(room.min(self.recent.len()));
        let others = others.chunks(usize::try_from(FILE_RECORDS).unwrap_or(usize::MAX));
        std::iter::once(first).filter(|chunk| !chunk.is_empty()).chain(others)
    }

    fn oldest(&self) -> u64 {
        (self.away / FILE_RECORDS).saturating_sub(FILES_MAX) * FILE_RECORDS
    }

    fn drop_old(&self, away: u64) -> Result<()> {
        let (before, after) = (self.away / FILE_RECORDS, away / FILE_RECORDS);
        for file in before.saturating_sub(FILES_MAX)..after.saturating_sub(FILES_MAX) {
            match std::fs::remove_file(self.path(file)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn read(&self, first: u64, count: u64) -> Result<Vec<Execution>> {
        let mut file = OpenOptions::new().read(true).open(self.path(first / FILE_RECORDS))?;
        file.seek(SeekFrom::Start(first % FILE_RECORDS * RECORD_BYTES))?;
        let mut text = String::new();
        file.take(count * RECORD_BYTES).read_to_string(&mut text)?;
        let read: Option<Vec<Execution>> = text.lines().map(parse).collect();
        match read {
            Some(read) if length(&read) == count => Ok(read),
            Some(_) | None => Err(Error::new(ErrorKind::InvalidData, "executions are missing or damaged")),
        }
    }

    fn path(&self, file: u64) -> PathBuf {
        self.folder.join(format!("executions-{file}.log"))
    }
}

fn record((order, fill): &Execution) -> Result<String> {
    let number = fill.id.as_str().strip_prefix(order.as_str()).and_then(|rest| rest.strip_prefix("-x"));
    let width = usize::try_from(RECORD_BYTES - 1).unwrap_or_default();
    let [price, quantity, fee] = [fill.price.micros(), fill.quantity.micros(), fill.fee.micros()];
    let at = fill.executed_at.micros();
    let text = format!("{order} {} {price} {quantity} {fee} {at}", number.unwrap_or_default());
    if number.is_none() || text.len() > width {
        return Err(Error::new(ErrorKind::InvalidData, format!("{} is no execution of {order}", fill.id)));
    }
    Ok(format!("{text:width$}\n"))
}

fn parse(line: &str) -> Option<Execution> {
    let mut words = line.split_ascii_whitespace();
    let order = OrderId::new(words.next()?).ok()?;
    let id = ExecutionId::new(format!("{order}-x{}", words.next()?)).ok()?;
    let mut micros = || words.next()?.parse::<i64>().ok();
    let fill = Fill {
        id,
        price: Price::from_micros(micros()?),
        quantity: Quantity::from_micros(micros()?),
        fee: Money::from_micros(micros()?),
        executed_at: Timestamp::from_micros(micros()?),
    };
    Some((order, fill))
}

fn length<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execution(number: i64) -> Execution {
        let order = OrderId::new(format!("{number:0>61}-o")).expect("an id");
        let fill = Fill {
            id: ExecutionId::new(format!("{order}-x1")).expect("an id"),
            price: Price::from_micros(i64::MAX - number),
            quantity: Quantity::from_micros(number),
            fee: Money::from_micros(i64::MIN + number),
            executed_at: Timestamp::from_micros(i64::MAX),
        };
        (order, fill)
    }

    fn add(history: &mut History, numbers: std::ops::Range<i64>) {
        history.add(&mut numbers.map(execution).collect());
    }

    fn numbers(history: &History, after: u64, limit: usize) -> (Vec<i64>, u64) {
        let (page, next) = history.page(after, limit).expect("readable");
        (page.iter().map(|(_, fill)| fill.quantity.micros()).collect(), next)
    }

    #[test]
    fn executions_keep_their_number_wherever_they_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut history = History::new(folder.path());
        add(&mut history, 0..70_000);
        let mark = history.put_away().expect("written");
        assert_eq!(mark, "# executions 70000\n");
        add(&mut history, 70_000..70_010);
        assert_eq!(numbers(&history, 0, 3), (vec![0, 1, 2], 3));
        assert_eq!(numbers(&history, 65_535, 3), (vec![65_535, 65_536, 65_537], 65_538), "across files");
        assert_eq!(numbers(&history, 69_999, 3), (vec![69_999, 70_000, 70_001], 70_002), "from file to memory");
        assert_eq!(numbers(&history, 70_009, 3), (vec![70_009], 70_010));
        assert_eq!(numbers(&history, 70_010, 3), (vec![], 70_010));
        assert_eq!(numbers(&history, 90_000, 3), (vec![], 90_000), "nothing has come so far");
        let (page, _) = history.page(5, 1).expect("readable");
        assert_eq!(page, [execution(5)]);

        // Put away, but its mark is lost: what is written again is the same.
        let mut again = History::new(folder.path());
        assert!(again.read_mark(mark.trim_end()));
        add(&mut history, 70_010..70_011);
        history.put_away().expect("written");
        add(&mut again, 70_000..70_003);
        again.put_away().expect("written");
        assert_eq!(numbers(&again, 69_999, 9), (vec![69_999, 70_000, 70_001, 70_002], 70_003));
        assert!(!again.read_mark("t-o P buy"));
    }

    #[test]
    fn the_oldest_files_are_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut history = History::new(folder.path());
        add(&mut history, 0..1);
        history.put_away().expect("written");
        // As if files had been filled since.
        history.away = FILE_RECORDS * (FILES_MAX + 1) - 1;
        add(&mut history, 7..8);
        history.put_away().expect("written");
        assert!(!folder.path().join("executions-0.log").exists());
        assert_eq!(history.oldest(), FILE_RECORDS);
    }
}
