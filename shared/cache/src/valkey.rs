//! A private Valkey for tests.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A Valkey on a unix socket; it is stopped when dropped.
pub(crate) struct Valkey {
    child: Child,
    folder: tempfile::TempDir,
}

impl Valkey {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let valkey = Self { child: spawn(&folder), folder };
        valkey.wait_ready().await;
        valkey
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", socket(&self.folder).display())
    }

    pub(crate) fn stop(&mut self) {
        self.child.kill().expect("valkey-server is stopped");
        self.child.wait().expect("valkey-server has ended");
    }

    /// It has forgotten everything.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(&self.folder);
        self.wait_ready().await;
    }

    async fn wait_ready(&self) {
        let started = Instant::now();
        while tokio::net::UnixStream::connect(socket(&self.folder)).await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "valkey-server was not ready within 10 s");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn socket(folder: &tempfile::TempDir) -> std::path::PathBuf {
    folder.path().join("valkey.sock")
}

fn spawn(folder: &tempfile::TempDir) -> Child {
    let binary = std::env::var("TRAGEN_VALKEY_SERVER").expect(
        "TRAGEN_VALKEY_SERVER names no valkey-server: run `make test`, or export the output of `tools/fetch valkey`",
    );
    Command::new(binary)
        .args(["--port", "0", "--save", "", "--unixsocket"])
        .arg(socket(folder))
        .stdout(Stdio::null())
        .spawn()
        .expect("valkey-server starts")
}

impl Drop for Valkey {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
