//! Log lines on their way to stderr, which may be a file on a full disk or a pipe
//! that nobody reads. Whoever logs never waits and never fails: a thread of its own
//! writes, and lines that it cannot write in time are left out and counted.

use metrics::counter;
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    collections::VecDeque,
    io::{self, Write},
    mem, panic,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tracing::warn;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait.
const LINES_MAX: usize = 4_096;
/// The thread that writes.
const THREAD: &str = "log";
/// Lines that were left out because stderr could not take them.
const LOST: &str = "log_lines_lost_total";

/// What waits.
#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    is_writing: bool,
    /// Left out since that was last said.
    lost: u64,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next line, once there is one.
    fn next(&self) -> Vec<u8> {
        let mut waiting = self.waiting();
        waiting.is_writing = false;
        self.changed.notify_all();
        loop {
            if let Some(line) = waiting.lines.pop_front() {
                waiting.is_writing = true;
                return line;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn add(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.lines.len() < LINES_MAX {
            waiting.lines.push_back(line.to_owned());
            self.changed.notify_all();
            return;
        }
        waiting.lost += 1;
        drop(waiting);
        counter!(LOST).increment(1);
    }
}

/// Takes whole lines. A clone takes them for the same place.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    shared: Arc<Shared>,
}

impl Lines {
    /// Lines for `to`, which may block or fail.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn to(to: impl Write + Send + 'static) -> io::Result<Self> {
        let lines = Self::default();
        let shared = Arc::clone(&lines.shared);
        thread::Builder::new().name(THREAD.to_owned()).spawn(move || carry(&shared, to))?;
        Ok(lines)
    }

    /// Lets panics say what they say through here too, and waits a moment for it: the process may be about to end.
    /// Whoever writes the lines keeps to the old way.
    pub(super) fn take_panics(&self, patience: Duration) {
        let (lines, before) = (self.clone(), panic::take_hook());
        panic::set_hook(Box::new(move |panic| {
            let thread = thread::current();
            let name = thread.name().unwrap_or("<unnamed>");
            if name == THREAD {
                return before(panic);
            }
            lines.shared.add(format!("\nthread '{name}' {panic}\n{}", backtrace()).as_bytes());
            lines.flush(patience);
        }));
    }

    /// Waits until everything is written, but at most `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let is_busy = |waiting: &mut Waiting| waiting.is_writing || !waiting.lines.is_empty();
        // What does not get out by then is left there.
        let _ = self.shared.changed.wait_timeout_while(self.shared.waiting(), patience, is_busy);
    }
}

/// Where it happened, if `RUST_BACKTRACE` asks for it.
fn backtrace() -> String {
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        format!("stack backtrace:\n{backtrace}\n")
    } else {
        String::new()
    }
}

/// Writes what waits, for as long as the process lives.
fn carry(shared: &Shared, mut to: impl Write) {
    let mut is_broken = false;
    loop {
        let mut line = shared.next();
        if is_broken {
            // It may have taken a part of the line that it could not take.
            line.insert(0, b'\n');
        }
        is_broken = to.write_all(&line).and_then(|()| to.flush()).is_err();
        let mut waiting = shared.waiting();
        if is_broken {
            waiting.lost += 1;
            counter!(LOST).increment(1);
        } else if waiting.lost > 0 {
            let lost = mem::take(&mut waiting.lost);
            // This is a line too, which waits for its turn.
            drop(waiting);
            warn!("{lost} log lines were left out: stderr could not take them");
        }
    }
}

/// One line: what is written before it is dropped.
#[derive(Debug)]
pub(super) struct Line<'a>(&'a Shared);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(&self.shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Writes into a channel that takes nothing more when it is full, or fails when its receiver is gone.
    struct Narrow(mpsc::SyncSender<Vec<u8>>);

    impl Write for Narrow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.send(line.to_owned()).map_err(|_| io::ErrorKind::StorageFull)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn say(lines: &Lines, text: &str) {
        lines.make_writer().write_all(text.as_bytes()).expect("never fails");
    }

    #[test]
    fn nobody_waits_for_a_place_that_takes_nothing() {
        let (sender, taken) = mpsc::sync_channel(0);
        let lines = Lines::to(Narrow(sender)).expect("a thread");
        // One is being written and does not get out.
        let said = LINES_MAX + 8;
        (0..said).for_each(|number| say(&lines, &format!("{number}\n")));
        lines.flush(Duration::from_millis(1));
        let lost = usize::try_from(lines.shared.waiting().lost).expect("fits");
        assert!(lost == 7 || lost == 8, "{lost}");
        // It goes on when there is room again: the oldest lines are kept.
        for number in 0..said - lost {
            assert_eq!(taken.recv().expect("a line"), format!("{number}\n").into_bytes());
        }
        say(&lines, "more\n");
        assert_eq!(taken.recv().expect("a line"), b"more\n");
        lines.flush(Duration::from_secs(10));
        let waiting = lines.shared.waiting();
        assert_eq!((waiting.lost, waiting.lines.len(), waiting.is_writing), (0, 0, false));
    }

    #[test]
    fn a_place_that_fails_is_tried_again_with_every_line() {
        let (sender, taken) = mpsc::sync_channel(1);
        drop(taken);
        let lines = Lines::to(Narrow(sender)).expect("a thread");
        ["one\n", "two\n"].into_iter().for_each(|text| say(&lines, text));
        lines.flush(Duration::from_secs(10));
        let waiting = lines.shared.waiting();
        assert_eq!((waiting.lost, waiting.lines.len(), waiting.is_writing), (2, 0, false));
    }
}
