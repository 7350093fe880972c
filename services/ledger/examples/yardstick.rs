//! What the disk, PostgreSQL and SQLite give to double entry in plain SQL: the
//! yardsticks the ledger's own speed (`post_rate`) is read against.
//!
//! ```text
//! cargo run --release -p tragen-ledger --example yardstick -- --help
//! cargo run --release -p tragen-ledger --example yardstick -- bare --accounts 10000,1000000
//! ```

mod yardstick {
    pub(crate) mod figures;
    pub(crate) mod load;
    pub(crate) mod measure;
    pub(crate) mod postgres;
    pub(crate) mod processor;
    pub(crate) mod server;
    pub(crate) mod sqlite;
    pub(crate) mod tpcb;
}

use anyhow::Context as _;
use clap::{Parser, ValueEnum, value_parser};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use yardstick::{
    figures::Report,
    load::Spread,
    measure::{Run, sync_latency},
    postgres, server, sqlite, tpcb,
};

const EXAMPLES: &str = "\
Examples:
  yardstick                                            everything, a few minutes
  yardstick bare --accounts 10000,1000000 --batch 100,1000,10000
  yardstick bare history --batch 1000
  yardstick bare plain --hot --seconds 20 --json hot.json
  yardstick bare --store postgres --setting wal_compression=lz4
  yardstick bare --store sqlite --pragma wal_autocheckpoint=16000
  yardstick tpcb --seconds 30

Everything runs on private servers in a folder below TMPDIR, which must be on the disk to be
measured. PostgreSQL is the one tools/fetch finds; TRAGEN_POSTGRES_BIN names another.
Processor columns are percent of one core: the server's, this program's and everybody else's;
figures with much in the last one were disturbed.";

/// Measures double entry in plain SQL: transfers per second, latencies and where the time goes.
#[derive(Debug, Parser)]
#[command(name = "yardstick", after_help = EXAMPLES)]
struct Cli {
    /// What to measure; everything by default
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Where the books are
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Store::Postgres, Store::Sqlite])]
    store: Vec<Store>,
    /// How PostgreSQL is reached
    #[arg(long, value_enum, default_value_t = server::Wire::Socket)]
    wire: server::Wire,
    /// Accounts the transfers are between, one round each
    #[arg(long, value_delimiter = ',', default_values_t = [10_000], value_parser = value_parser!(i64).range(2..=100_000_000))]
    accounts: Vec<i64>,
    /// Transfers in one transaction of `bare`, one round each
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000], value_parser = value_parser!(u32).range(1..=100_000))]
    batch: Vec<u32>,
    /// How long each line is measured
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// How long each line runs before it is measured
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u64).range(0..=600))]
    warm_up_secs: u64,
    /// Every transfer touches the one account of the house
    #[arg(long)]
    hot: bool,
    /// A further setting of PostgreSQL
    #[arg(long, value_name = "NAME=VALUE")]
    setting: Vec<String>,
    /// A further pragma of SQLite
    #[arg(long, value_name = "NAME=VALUE")]
    pragma: Vec<String>,
    /// Writes the figures there too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Many transfers in one transaction, one writer
    Bare,
    /// The same, where the transfers of an account can be listed: an index for each side
    History,
    /// One transaction for each transfer
    Plain,
    /// pgbench's TPC-B-like script
    Tpcb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    /// A private server
    Postgres,
    /// A file in this process
    Sqlite,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let json = cli.json.clone();
    // Interrupted, it still stops its servers and removes their folder.
    let report = tokio::select! {
        report = cli.run() => report?,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
    };
    print!("{report}");
    if let Some(file) = json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(&file, text + "\n").with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

impl Cli {
    async fn run(self) -> anyhow::Result<Report> {
        let folder = tempfile::tempdir().context("making a folder for the servers")?;
        let mut report = Report { sync: sync_latency(folder.path())?, ..Report::default() };
        report.settings.push(("cores".to_owned(), std::thread::available_parallelism()?.to_string()));
        if self.store.contains(&Store::Postgres) {
            self.on_postgres(folder.path(), &mut report).await?;
        }
        if self.store.contains(&Store::Sqlite) {
            self.on_sqlite(folder.path(), &mut report).await?;
        }
        Ok(report)
    }

    async fn on_postgres(&self, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
        let server = server::PostgresServer::start(&folder.join("postgres"), self.wire, &self.setting)?;
        server.age().await?;
        report.settings.push(("postgres wire".to_owned(), format!("{:?}", self.wire).to_lowercase()));
        report.settings.extend(server.settings().await?);
        for run in self.runs() {
            for (has_history, name) in self.batched() {
                for (&transfers, way) in pairs(&self.batch, &postgres::Way::BATCHED) {
                    let run = Run { transfers, has_history, ..run };
                    report.add(postgres::measure(&server, &run, way, 1).await?.of(name));
                }
            }
            if self.asks(Part::Plain) {
                for (&connections, way) in pairs(&[1, 8], &postgres::Way::SINGLE) {
                    report.add(postgres::measure(&server, &run, way, connections).await?.of("plain"));
                }
            }
        }
        if self.asks(Part::Tpcb) {
            for figure in tpcb::measure(&server, folder, self.duration()).await? {
                report.add(figure);
            }
        }
        Ok(())
    }

    async fn on_sqlite(&self, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
        let place = sqlite::Place { folder, pragmas: &self.pragma };
        report.settings.extend(sqlite::settings(place).await?);
        for run in self.runs() {
            for (has_history, name) in self.batched() {
                for (&transfers, way) in pairs(&self.batch, &sqlite::Way::BATCHED) {
                    let run = Run { transfers, has_history, ..run };
                    report.add(sqlite::measure(place, &run, way).await?.of(name));
                }
            }
            if self.asks(Part::Plain) {
                report.add(sqlite::measure(place, &run, sqlite::Way::Statements).await?.of("plain"));
            }
        }
        Ok(())
    }

    fn asks(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    /// Which of the batched parts are asked for: whether they have a history, and their name.
    fn batched(&self) -> impl Iterator<Item = (bool, &'static str)> {
        let parts = [(Part::Bare, false, "bare"), (Part::History, true, "history")];
        parts.into_iter().filter(|(part, ..)| self.asks(*part)).map(|(_, has_history, name)| (has_history, name))
    }

    /// One run of single transfers for every number of accounts.
    fn runs(&self) -> impl Iterator<Item = Run> {
        let spread = if self.hot { Spread::House } else { Spread::Even };
        let (warm_up, duration) = (Duration::from_secs(self.warm_up_secs), self.duration());
        self.accounts.iter().map(move |&accounts| Run {
            accounts,
            spread,
            transfers: 1,
            has_history: false,
            warm_up,
            duration,
        })
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// Every one of `first` with every one of `second`.
fn pairs<'a, A, B: Copy>(first: &'a [A], second: &'a [B]) -> impl Iterator<Item = (&'a A, B)> {
    first.iter().flat_map(|one| second.iter().map(move |&other| (one, other)))
}
