//! The paper venue's file: one line for every change of an order, the newest
//! line of an order counts. Written before an answer is given and read again at
//! the next opening; a lock lets several processes take turns.

use super::{
    book::Books,
    entry::Entry,
    history::{Execution, History},
};
use crate::{VenueError, VenueReport};
use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    lock: File,
    file: File,
    /// Everything before it is known.
    offset: u64,
    bytes_max: u64,
    history: History,
}

impl Log {
    pub(super) fn open(folder: &Path, bytes_max: u64) -> Result<Self, VenueError> {
        std::fs::create_dir_all(folder).map_err(|e| failed("creating", folder, e))?;
        let (path, lock_path) = (folder.join("orders.log"), folder.join("orders.lock"));
        let lock = open_file(&lock_path).map_err(|e| failed("opening", &lock_path, e))?;
        let file = open_file(&path).map_err(|e| failed("opening", &path, e))?;
        Ok(Self { path, lock, file, offset: 0, bytes_max, history: History::new(folder) })
    }

    /// Reads what others wrote, takes one step, and writes what it changed.
    pub(super) fn exclusively(
        &mut self,
        books: &mut Books,
        step: impl FnOnce(&mut Books) -> Vec<VenueReport>,
    ) -> Result<Vec<VenueReport>, VenueError> {
        self.lock.lock().map_err(|e| failed("locking", &self.path, e))?;
        let result = self.catch_up(books).and_then(|()| {
            let reports = step(books);
            self.write(books).map(|()| reports)
        });
        if result.is_err() {
            // What is in memory may not be what is written: read all of it again next time.
            self.forget(books);
        }
        self.lock.unlock().map_err(|e| failed("unlocking", &self.path, e))?;
        result
    }

    fn catch_up(&mut self, books: &mut Books) -> Result<(), VenueError> {
        let err = |action| move |e, path: &Path| failed(action, path, e);
        let on_disk = std::fs::metadata(&self.path).map_err(|e| err("reading")(e, &self.path))?;
        let own = self.file.metadata().map_err(|e| err("reading")(e, &self.path))?;
        if on_disk.ino() != own.ino() {
            self.file = open_file(&self.path).map_err(|e| err("opening")(e, &self.path))?;
            self.forget(books);
        }
        if on_disk.len() <= self.offset {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(self.offset)).map_err(|e| err("reading")(e, &self.path))?;
        let mut text = String::new();
        self.file.read_to_string(&mut text).map_err(|e| err("reading")(e, &self.path))?;
        for line in text.split_inclusive('\n') {
            let Some(line_text) = line.strip_suffix('\n') else {
                // A writer died in the middle of a line: nobody was answered.
                self.file.set_len(self.offset).map_err(|e| err("mending")(e, &self.path))?;
                break;
            };
            let damaged = || VenueError::Damaged { path: self.path.clone(), offset: self.offset };
            if !self.history.read_mark(line_text) {
                books.restore(Entry::parse(line_text).ok_or_else(damaged)?);
                self.history.add(books.executed());
            }
            self.offset += length(line);
        }
        Ok(())
    }

    fn write(&mut self, books: &mut Books) -> Result<(), VenueError> {
        let lines = books.take_changed();
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = lines.join("\n");
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(|e| failed("writing", &self.path, e))?;
        self.offset += length(&text);
        self.history.add(books.executed());
        if self.offset > self.bytes_max {
            self.rewrite(books)
        } else if self.history.is_long() {
            let mark = self.history.put_away().map_err(|e| failed("putting away", &self.path, e))?;
            self.file.write_all(mark.as_bytes()).map_err(|e| failed("writing", &self.path, e))?;
            self.offset += length(&mark);
            Ok(())
        } else {
            Ok(())
        }
    }

    /// See [`super::PaperVenue::executions`].
    pub(super) fn executions(&self, after: u64, limit: usize) -> Result<(Vec<Execution>, u64), VenueError> {
        self.history.page(after, limit).map_err(|e| failed("reading the executions beside", &self.path, e))
    }

    fn forget(&mut self, books: &mut Books) {
        books.clear();
        self.history.clear();
        self.offset = 0;
    }

    /// Starts the file anew with what is remembered.
    fn rewrite(&mut self, books: &Books) -> Result<(), VenueError> {
        let fresh_path = self.path.with_extension("new");
        let err = |e| failed("rewriting", &self.path, e);
        let mut text: String = books.lines().collect::<Vec<_>>().join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        // What the lines above tell has been told before.
        text.push_str(&self.history.put_away().map_err(err)?);
        std::fs::write(&fresh_path, &text).map_err(err)?;
        std::fs::rename(&fresh_path, &self.path).map_err(err)?;
        self.file = open_file(&self.path).map_err(err)?;
        self.offset = length(&text);
        // With everything remembered longer than the limit, rewriting at every line would help nobody.
        self.bytes_max = self.bytes_max.max(self.offset.saturating_mul(2));
        Ok(())
    }
}

fn open_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).read(true).append(true).open(path)
}

fn failed(action: &'static str, path: &Path, source: std::io::Error) -> VenueError {
    VenueError::Log { action, path: path.to_owned(), source }
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}
