//! A private server from `tools/serve`; it ends with the test, however that ends.

use serde::Deserialize;
use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A running NATS, PostgreSQL or Valkey.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where clients connect.
    pub(crate) url: String,
    kind: &'static str,
    folder: PathBuf,
    /// The script that runs the server.
    keeper: Child,
    pid: u32,
}

#[derive(Deserialize)]
struct Answer {
    url: String,
    pid: u32,
}

impl Server {
    /// Starts `kind` (`nats`, `postgres` or `valkey`) with its data in `folder`.
    pub(crate) fn start(kind: &'static str, folder: &Path) -> Self {
        let (keeper, answer) = serve(kind, folder, "0");
        Self { url: answer.url, kind, folder: folder.to_owned(), keeper, pid: answer.pid }
    }

    /// Ends it without warning (SIGKILL); its data stays.
    pub(crate) fn kill(&mut self) {
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it can be killed");
        self.keeper.wait().expect("its keeper ends");
    }

    /// Starts it again on the same port with the same data.
    pub(crate) fn restart(&mut self) {
        let port = self.url.rsplit(':').next().and_then(|rest| rest.split('/').next()).expect("a port");
        (self.keeper, Answer { url: self.url, pid: self.pid }) = serve(self.kind, &self.folder, port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It stops when its standard input is closed.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn serve(kind: &str, folder: &Path, port: &str) -> (Child, Answer) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/serve");
    // What the script acknowledges must survive a killed server, as in production.
    let mut keeper = Command::new(&script)
        .arg(kind)
        .arg(folder)
        .args(["--port", port, "--sync", if kind == "valkey" { "default" } else { "always" }])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{} needs Python 3.8 or newer: {error}", script.display()));
    let mut line = String::new();
    let output = keeper.stdout.take().expect("its output");
    BufReader::new(output).read_line(&mut line).expect("a line of its output");
    let answer = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{kind} did not start, see above"));
    (keeper, answer)
}
