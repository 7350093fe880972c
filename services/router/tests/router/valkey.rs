//! A private Valkey on a unix socket; it is stopped when dropped.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
};

pub(crate) struct Valkey {
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Valkey {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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

    /// What is stored under `key`.
    pub(crate) async fn get(&self, key: &str) -> Option<String> {
        let mut stream = BufReader::new(UnixStream::connect(socket(&self.folder)).await.expect("connected"));
        stream.write_all(format!("GET {key}\r\n").as_bytes()).await.expect("asked");
        let mut head = String::new();
        stream.read_line(&mut head).await.expect("an answer");
        let length = head.trim_end().strip_prefix('$').and_then(|length| length.parse().ok())?;
        let mut value = vec![0; length];
        stream.read_exact(&mut value).await.expect("a value");
        Some(String::from_utf8(value).expect("text"))
    }

    /// Stores text without line ends under `key`.
    pub(crate) async fn set(&self, key: &str, value: &str) {
        let mut stream = BufReader::new(UnixStream::connect(socket(&self.folder)).await.expect("connected"));
        let parts = ["SET", key, value].map(|part| format!("${}\r\n{part}\r\n", part.len())).concat();
        stream.write_all(format!("*3\r\n{parts}").as_bytes()).await.expect("asked");
        let mut answer = String::new();
        stream.read_line(&mut answer).await.expect("an answer");
        assert_eq!(answer, "+OK\r\n");
    }

    async fn wait_ready(&self) {
        let started = Instant::now();
        while UnixStream::connect(socket(&self.folder)).await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "valkey-server was not ready within 10 s");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn socket(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("valkey.sock")
}

fn spawn(folder: &tempfile::TempDir) -> Child {
    let binary = std::env::var("TRAGEN_VALKEY_SERVER").expect(
        "TRAGEN_VALKEY_SERVER names no valkey-server: run `make test`, or export the output of `tools/fetch valkey`",
    );
    let mut command = Command::new(binary);
    command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(socket(folder)).stdout(Stdio::null());
    command.spawn().expect("valkey-server starts")
}
