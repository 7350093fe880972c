//! The `tragen` command: all services in one process or one at a time, and
//! everything a person types to look after them.

mod agent_file;
mod api;
mod backtest;
mod cli;
mod config;
mod drill;
mod explain;
mod host;
mod output;
mod ready;
mod replay;
mod service;
mod up;

use clap::Parser as _;
use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::mpsc,
    thread,
    time::Duration,
};

/// How long stderr may take for a sentence.
const SAID_WITHIN: Duration = Duration::from_secs(1);

/// Does what the command line says; the exit code is part of the interface:
/// 0 done, 1 failed or not healthy, 2 misused, 3 the trade was denied or rejected, 4 stopped but not confirmed by every
/// worker.
#[must_use]
pub fn run() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("starting the runtime")),
    };
    let done = runtime.block_on(cli.run());
    // A blocked reader of a terminal must not hold the process back.
    runtime.shutdown_background();
    match done {
        Ok(verdict) => verdict.into(),
        Err(error) => failed(&error),
    }
}

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// As asked for.
    Good,
    /// Looked at, and found to be bad.
    Bad,
    /// The guard or the venue said no.
    Refused,
    /// Done by the guard, not confirmed by every worker.
    Partly,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Good => Self::SUCCESS,
            Verdict::Bad => Self::FAILURE,
            Verdict::Refused => Self::from(3),
            Verdict::Partly => Self::from(4),
        }
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    // Whoever reads our output has seen enough, e.g. `tragen trade watch | head`.
    let is_reader_gone = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
    if is_reader_gone {
        return ExitCode::SUCCESS;
    }
    say_if_possible(format!("tragen: {}", explain::sentence(error)));
    ExitCode::FAILURE
}

/// Says it on stderr, unless that is full or takes nothing: then it is not worth waiting for.
fn say_if_possible(text: String) {
    let (done, said) = mpsc::channel();
    thread::spawn(move || {
        let _ = writeln!(io::stderr(), "{text}");
        let _ = done.send(());
    });
    let _ = said.recv_timeout(SAID_WITHIN);
}
