//! What was asked and what was answered, in a file that is only ever added to.
//! The auditor believes nothing else.

use crate::{script::Step, wire::Told};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Line {
    /// A step is about to be sent for the first time.
    Sent { at_micros: u128, id: String, hash: String, step: Step },
    /// The answer to a deposit.
    Answered { at_micros: u128, id: String, cash_after: i64, version_after: i64 },
    /// A fact was seen.
    Told { at_micros: u128, shard: u16, sequence: i64, told: Told },
    /// An answer that is wrong by itself.
    Wrong { at_micros: u128, id: String, problem: String },
}

/// The file.
#[derive(Debug)]
pub(crate) struct Record {
    path: PathBuf,
    file: Mutex<File>,
    started: Instant,
}

impl Record {
    /// An empty file at `path`.
    pub(crate) fn create(path: &Path) -> Self {
        let file = OpenOptions::new().create_new(true).append(true).open(path).expect("a new file");
        Self { path: path.to_owned(), file: Mutex::new(file), started: Instant::now() }
    }

    /// Microseconds since the beginning.
    pub(crate) fn now(&self) -> u128 {
        self.started.elapsed().as_micros()
    }

    /// Adds a line.
    pub(crate) fn add(&self, line: &Line) {
        let mut text = serde_json::to_vec(line).expect("serializes");
        text.push(b'\n');
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text).expect("written");
    }

    /// Every line, out of the file.
    pub(crate) fn read(&self) -> Vec<Line> {
        let file = BufReader::new(File::open(&self.path).expect("the file"));
        file.lines().map(|line| serde_json::from_str(&line.expect("text")).expect("a line of the record")).collect()
    }
}
