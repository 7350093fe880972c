//! `tragen probe`: one HTTP question, for the health checks of containers.

use crate::Verdict;
use anyhow::Context as _;
use clap::Args;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// What to ask.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tragen probe http://127.0.0.1:9090/ready")]
pub(crate) struct ProbeArgs {
    /// An http:// address.
    url: String,
    /// How long it may take, milliseconds.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    timeout_ms: u64,
}

impl ProbeArgs {
    pub(super) async fn run(self) -> anyhow::Result<Verdict> {
        let asked = timeout(Duration::from_millis(self.timeout_ms), get(&self.url)).await;
        let answer = asked.map_err(|_| anyhow::anyhow!("{} did not answer within {} ms", self.url, self.timeout_ms))?;
        let (status, body) = answer.with_context(|| format!("asking {}", self.url))?;
        if status == 200 {
            return Ok(Verdict::Good);
        }
        anyhow::bail!("{} answered {status}: {}", self.url, body.trim().replace('\n', "; "))
    }
}

/// Status and body of the answer to a plain GET; at most 1 MiB are read.
pub(crate) async fn get(url: &str) -> anyhow::Result<(u16, String)> {
    const ANSWER_BYTES_MAX: u64 = 1 << 20;
    let rest = url.strip_prefix("http://").context("the address must start with http://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = if host.rsplit(']').next().is_some_and(|end| end.contains(':')) {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let mut stream = TcpStream::connect(&address).await.with_context(|| format!("connecting to {address}"))?;
    let question = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).await.context("sending the question")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.context("reading the answer")?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|line| line.get(..3)).and_then(|code| code.parse().ok());
    Ok((status.context("the answer has no status")?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn check(answer: &'static str, expected: Option<u16>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/ready", listener.local_addr().expect("an address"));
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            let mut question = [0; 1_024];
            let length = stream.read(&mut question).await.expect("a question");
            stream.write_all(answer.as_bytes()).await.expect("an answer");
            String::from_utf8_lossy(&question[..length]).into_owned()
        });
        assert_eq!(get(&url).await.ok().map(|(status, _)| status), expected, "{answer}");
        assert!(served.await.expect("a question").starts_with("GET /ready HTTP/1.1\r\nHost: 127.0.0.1:"));
    }

    #[tokio::test]
    async fn the_status_is_read() {
        check("HTTP/1.1 200 OK\r\n\r\nready", Some(200)).await;
        check("HTTP/1.1 503 Service Unavailable\r\n\r\nrouter: starting", Some(503)).await;
        check("SSH-2.0-OpenSSH\r\n", None).await;
        assert!(get("https://127.0.0.1/").await.is_err());
    }
}
