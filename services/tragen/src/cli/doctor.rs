//! `tragen doctor`: what is missing on this machine, and the remedy.

use super::{ClientArgs, probe};
use crate::{Verdict, output::Format, up::bus::check_version};
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, time::timeout};

/// What to look at.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  tragen doctor\n\nExit code 1 if something is missing. What is optional is looked at only when its variable is set."
)]
pub(crate) struct DoctorArgs {
    /// Where everything would be kept.
    #[arg(long, env = "TRAGEN_DATA_DIR", default_value = "data")]
    data_dir: PathBuf,
}

/// What was looked at, and what was found.
#[derive(Debug, Serialize)]
struct Finding {
    part: &'static str,
    is_good: bool,
    detail: String,
    remedy: &'static str,
}

/// How long a server may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

impl DoctorArgs {
    pub(super) async fn run(self, client: &ClientArgs) -> anyhow::Result<Verdict> {
        let mut findings = vec![bus(), folder(&self.data_dir), python()];
        let servers = [
            ("bus", "TRAGEN_NATS_URL", 4_222, "start NATS there, or unset TRAGEN_NATS_URL to use an own one"),
            ("store", "TRAGEN_STORE", 5_432, "start PostgreSQL there, or unset TRAGEN_STORE to use a file"),
            ("cache", "TRAGEN_CACHE", 6_379, "start Valkey or Redis there, or unset TRAGEN_CACHE"),
            ("traces", "TRAGEN_OTLP", 4_317, "start a collector there, or unset TRAGEN_OTLP"),
        ];
        for (part, variable, port, remedy) in servers {
            if let Some(url) = std::env::var(variable).ok().filter(|url| url.contains("://")) {
                findings.push(finding(part, reach(&url, port).await, remedy));
            }
        }
        if std::env::var_os("TRAGEN_ENDPOINT").is_some() {
            let asked = timeout(CONNECT_WITHIN, probe::get(&format!("{}/ready", client.endpoint))).await;
            let answer = match asked {
                Ok(Ok((200, _))) => Ok(format!("{} is ready", client.endpoint)),
                Ok(Ok((_, body))) => Err(anyhow::anyhow!("not ready: {}", body.trim().replace('\n', "; "))),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(anyhow::anyhow!("{} does not answer", client.endpoint)),
            };
            findings.push(finding("API", answer, "start it with `tragen up`, or correct TRAGEN_ENDPOINT"));
        }
        client.output.list("findings", &findings, &["PART", "GOOD", "DETAIL", "REMEDY"], |found| {
            let is_good = if found.is_good { "yes" } else { "no" };
            vec![found.part.to_owned(), is_good.to_owned(), found.detail.clone(), found.remedy.to_owned()]
        })?;
        if findings.iter().all(|found| found.is_good) {
            if client.output == Format::Table {
                crate::output::print("\nNothing is missing: start with `tragen up`.")?;
            }
            return Ok(Verdict::Good);
        }
        Ok(Verdict::Bad)
    }
}

fn finding(part: &'static str, result: anyhow::Result<String>, remedy: &'static str) -> Finding {
    match result {
        Ok(detail) => Finding { part, is_good: true, detail, remedy: "" },
        Err(error) => Finding { part, is_good: false, detail: format!("{error:#}"), remedy },
    }
}

fn bus() -> Finding {
    let found = tragen_bus::server::find_binary()
        .and_then(|binary| Ok(format!("{} at {}", check_version(&binary)?, binary.display())));
    let remedy = "install nats-server 2.11 or newer (https://nats.io/download), or set TRAGEN_NATS_SERVER to its path";
    finding("nats-server", found, remedy)
}

/// Whether the folder, or the nearest one above that exists, can be written; and how fast the disk is.
fn folder(data_dir: &Path) -> Finding {
    const ROUNDS: u32 = 20;
    let measured = || -> anyhow::Result<String> {
        let absolute = std::path::absolute(data_dir)?;
        let existing = absolute.ancestors().find(|path| path.is_dir()).context("there is no such folder")?;
        let path = existing.join(format!(".tragen-doctor-{}", std::process::id()));
        let mut file = fs::File::create_new(&path).with_context(|| format!("writing into {}", existing.display()))?;
        let started = Instant::now();
        let written = (0..ROUNDS).try_for_each(|_| file.write_all(&[0; 512]).and_then(|()| file.sync_data()));
        let mean = started.elapsed() / ROUNDS;
        fs::remove_file(&path)?;
        written.context("flushing to disk")?;
        Ok(format!("{} can be written, a flush takes {} us", absolute.display(), mean.as_micros()))
    };
    finding("data folder", measured(), "choose a folder that you may write to with --data-dir")
}

fn python() -> Finding {
    let fetch = Path::new("tools/fetch");
    if !fetch.is_file() {
        let detail = "not needed: this folder has no tools/fetch".to_owned();
        return Finding { part: "python3", is_good: true, detail, remedy: "" };
    }
    let said = Command::new("python3").arg("--version").output().context("running python3");
    let found = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    finding("python3", found, "install Python 3.8 or newer with pip; tools/fetch needs it")
}

/// Whether something accepts connections at the host of `url`.
async fn reach(url: &str, default_port: u16) -> anyhow::Result<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    // The password of a database stands before the @.
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
    let address = if has_port { host.to_owned() } else { format!("{host}:{default_port}") };
    match timeout(CONNECT_WITHIN, TcpStream::connect(&address)).await {
        Ok(Ok(_)) => Ok(format!("{address} accepts connections")),
        Ok(Err(error)) => Err(anyhow::Error::new(error).context(format!("connecting to {address}"))),
        Err(_) => anyhow::bail!("{address} does not answer"),
    }
}
