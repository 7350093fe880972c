//! Places where a process kills, stops or ends itself when told to, for proofs
//! that nothing is lost there. Only in builds with debug assertions; a release
//! build has none.
//!
//! `TRAGEN_FAILPOINT=after_commit=3` kills the process (SIGKILL, nothing is
//! cleaned up) when it passes `after_commit` for the third time.
//! `after_commit=3,stop` freezes it there until SIGCONT, and `after_commit=3,term`
//! asks it to end in good order.
//!
//! `TRAGEN_FAILPOINT_FILE=<path>` names a file with such a line instead. It may
//! appear, change and vanish while the process runs; passes are counted from its
//! appearance on.

#[cfg(debug_assertions)]
use rustix::process::{Signal, getpid, kill_process};
#[cfg(debug_assertions)]
use std::{
    env, fs,
    sync::{LazyLock, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// How long a signal to the own process may take.
#[cfg(debug_assertions)]
const SIGNAL_MAX: Duration = Duration::from_millis(100);

/// Passes the place `name`; see the module.
#[cfg(debug_assertions)]
pub fn pass(name: &str) {
    /// What is armed, and how often it was passed since.
    static COUNTED: Mutex<(String, u32)> = Mutex::new((String::new(), 0));
    let Some(armed) = armed() else { return };
    let Some((place, at)) = armed.trim().split_once('=').filter(|(place, _)| *place == name) else { return };
    let (passes, action) = at.split_once(',').unwrap_or((at, "kill"));
    let mut counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    if counted.0 != armed {
        *counted = (armed.clone(), 0);
    }
    counted.1 += 1;
    if passes.parse() != Ok(counted.1) {
        return;
    }
    drop(counted);
    tracing::warn!("failpoint {place}: {action}");
    let signal = |signal| {
        let _ = kill_process(getpid(), signal);
        // Nothing may happen after this place before the signal has arrived.
        thread::sleep(SIGNAL_MAX);
    };
    match action {
        "stop" => signal(Signal::STOP),
        "term" => signal(Signal::TERM),
        _ => {
            signal(Signal::KILL);
            std::process::abort();
        }
    }
}

#[cfg(debug_assertions)]
fn armed() -> Option<String> {
    static FROM_START: LazyLock<Option<String>> = LazyLock::new(|| env::var("TRAGEN_FAILPOINT").ok());
    static FILE: LazyLock<Option<String>> = LazyLock::new(|| env::var("TRAGEN_FAILPOINT_FILE").ok());
    match FILE.as_ref() {
        Some(path) => fs::read_to_string(path).ok(),
        None => FROM_START.clone(),
    }
}

/// Passes the place `name`: nothing in a release build.
#[cfg(not(debug_assertions))]
pub const fn pass(_name: &str) {}
