//! A panic is said like any other line: where nobody reads them, nobody waits.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};
use tragen_host::telemetry::{LogFormat, Telemetry};

/// Set in the process that panics: how many lines it says first.
const LINES: &str = "TRAGEN_TEST_LINES_BEFORE_A_PANIC";
/// More than a pipe holds.
const MANY: usize = 4_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// Plays the process that panics, in which only this test runs; else does nothing.
#[test]
fn panics_when_it_is_asked_to() {
    let Ok(lines) = env::var(LINES) else { return };
    let _telemetry = Telemetry::install(LogFormat::Human, "info", None).expect("telemetry");
    (0..lines.parse().expect("a number")).for_each(|number: usize| tracing::info!("line {number} of a long log"));
    let died =
        thread::Builder::new().name("doomed".to_owned()).spawn(|| panic!("all is lost")).expect("a thread").join();
    assert!(died.is_err());
    println!("it has gone on");
}

/// This program as the process that panics.
fn doomed(lines: usize) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["--exact", "--nocapture", "panics_when_it_is_asked_to"]).env(LINES, lines.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn nobody_who_panics_waits_for_a_pipe_that_nobody_reads() {
    let mut child = doomed(MANY).spawn().expect("a process");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let (said, hears) = mpsc::channel();
    thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|line| drop(said.send(line))));
    let mut heard = Vec::new();
    while !heard.iter().any(|line: &String| line.contains("it has gone on")) {
        let Ok(line) = hears.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!("it waits for its panic to be read; it said {heard:?}");
        };
        heard.push(line);
    }
    let _ = child.kill();
    child.wait().expect("an end");
}

#[test]
fn what_a_panic_says_stands_behind_the_lines_before_it() {
    let mut child = doomed(3).spawn().expect("a process");
    let mut text = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut text).expect("text");
    child.wait().expect("an end");
    let (line, panic) = (text.find("line 2 of a long log"), text.find("thread 'doomed' panicked at"));
    assert!(line.is_some() && line < panic && text.contains("all is lost"), "{text}");
}
