//! `tragen news`: what was written about matches, for the agents.

use super::{ClientArgs, statement::parse_moment};
use crate::{Verdict, api::ask, explain, output::print};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tragen_contracts::{convert, v1};
use tragen_domain::{
    routing::{ReportFields, check_report},
    time::Timestamp,
};
use tragen_host::clock;

/// Largest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Mistakes that are shown; the rest is counted.
const FAULTS_SHOWN_MAX: usize = 20;

/// What to do with news.
#[derive(Debug, Subcommand)]
pub(crate) enum NewsCommand {
    /// Tells the agents one text; needs the role operator.
    #[command(
        after_help = "Example:\n  tragen news put --match EPL-2026-ARS-MCI --source bbc --text \"Saka is ruled out\" --home-player Saka"
    )]
    Put(Box<PutArgs>),
    /// Tells the agents all texts of a file, or none if anything is wrong with it; needs the role operator.
    #[command(
        after_help = "Example:\n  tragen news import news.jsonl\n\nA line: {\"match_id\": \"EPL-2026-ARS-MCI\", \"source\": \"bbc\", \"text\": \"Saka is ruled out\", \"published_at\": \"2026-08-22T08:00:00Z\", \"home_players\": [\"Saka\"]}"
    )]
    Import {
        /// One JSON object a line.
        file: PathBuf,
    },
}

/// One text.
#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// What it is about.
    #[arg(long = "match", value_name = "MATCH")]
    match_id: String,
    /// Who wrote it; only sources that the workers have listed move a price.
    #[arg(long)]
    source: String,
    /// Its words.
    #[arg(long)]
    text: String,
    /// When it appeared; now without it.
    #[arg(long, value_parser = parse_moment)]
    published_at: Option<Timestamp>,
    /// A key player of the home team that it is about; may be given again.
    #[arg(long, value_name = "NAME")]
    home_player: Vec<String>,
    /// A key player of the away team that it is about; may be given again.
    #[arg(long, value_name = "NAME")]
    away_player: Vec<String>,
    /// For how long it counts.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(i32).range(1..=48))]
    valid_hours: i32,
}

impl NewsCommand {
    pub(super) async fn run(self, client: &ClientArgs) -> anyhow::Result<Verdict> {
        let texts = match self {
            Self::Put(args) => vec![args.request()],
            Self::Import { file } => read(&file)?,
        };
        let mut markets = client.connect().await?.markets();
        let count = texts.len();
        for (number, text) in texts.into_iter().enumerate() {
            let match_id = text.match_id.clone();
            let stored = markets.put_news(ask(text)).await.map_err(|status| {
                anyhow::anyhow!("text {} of {count}: {}", number + 1, explain::sentence(&status.into()))
            })?;
            let stored = stored.into_inner();
            client.output.event(&stored, || {
                let warning =
                    if stored.is_suspicious { ", it looks like an order to a machine and moves nothing" } else { "" };
                format!("{} is told about {match_id}{warning}", stored.news_id)
            })?;
        }
        if count > 1 {
            print(&format!("{count} texts are told"))?;
        }
        Ok(Verdict::Good)
    }
}

impl PutArgs {
    fn request(self) -> v1::PutNewsRequest {
        let now = Timestamp::from_micros(clock::now_micros());
        v1::PutNewsRequest {
            match_id: self.match_id,
            source: self.source,
            text: self.text,
            published_at: Some(convert::timestamp(self.published_at.unwrap_or(now))),
            home_players: self.home_player,
            away_players: self.away_player,
            valid_hours: self.valid_hours,
        }
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<v1::PutNewsRequest>> {
    let name = file.display().to_string();
    let size = fs::metadata(file).with_context(|| format!("reading {name}"))?.len();
    anyhow::ensure!(size <= FILE_BYTES_MAX, "{name} has {size} bytes, at most {FILE_BYTES_MAX} are read");
    let text = fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
    let now = Timestamp::from_micros(clock::now_micros());
    parse(&name, &text, now).map_err(|faults| {
        let more = faults.len().saturating_sub(FAULTS_SHOWN_MAX);
        let shown = faults.into_iter().take(FAULTS_SHOWN_MAX).collect::<Vec<_>>().join("\n");
        if more > 0 { anyhow::anyhow!("{shown}\nand {more} more") } else { anyhow::anyhow!(shown) }
    })
}

/// The texts of a file, or everything that is wrong with it as `file:line: field: reason`.
fn parse(name: &str, text: &str, now: Timestamp) -> Result<Vec<v1::PutNewsRequest>, Vec<String>> {
    let (mut texts, mut faults) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = format!("{name}:{}", number + 1);
        match serde_json::from_str::<v1::PutNewsRequest>(line) {
            Err(error) => faults.push(format!("{at}: {error}")),
            Ok(request) => {
                let found = check_report(&ReportFields::from(&request), now).err().unwrap_or_default();
                faults
                    .extend(found.iter().map(|violation| format!("{at}: {}: {}", violation.field, violation.message)));
                texts.push(request);
            }
        }
    }
    if texts.is_empty() && faults.is_empty() {
        faults.push(format!("{name}:1: there is no text in the file"));
    }
    if faults.is_empty() { Ok(texts) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_787_000_000_000_000);
    const GOOD: &str = r#"{"match_id": "M", "source": "bbc", "text": "Saka is out", "published_at": "2026-08-17T20:00:00Z", "home_players": ["Saka"]}"#;

    #[test]
    fn a_file_is_told_whole_or_not_at_all() {
        let texts = parse("n.jsonl", &format!("{GOOD}\n\n{GOOD}\n"), NOW).expect("good");
        assert_eq!((texts.len(), texts[0].home_players.as_slice()), (2, &["Saka".to_owned()][..]));
        let check = |bad: &str, expected: &str| {
            let faults = parse("n.jsonl", &format!("{GOOD}\n{bad}\n"), NOW).expect_err("refused");
            assert!(faults.len() == 1 && faults[0].starts_with(expected), "{faults:?} is not {expected}");
        };
        check("nonsense", "n.jsonl:2: ");
        check(r#"{"match": "M"}"#, "n.jsonl:2: unknown field `match`");
        check(&GOOD.replace("\"M\"", "\"a.b\""), "n.jsonl:2: match_id: ");
        check(&GOOD.replace("Saka is out", ""), "n.jsonl:2: text: ");
        check(&GOOD.replace("2026-08-17T20", "2027-08-17T20"), "n.jsonl:2: published_at: ");
        check(&GOOD.replace("2026-08-17T20", "2026-08-15T20"), "n.jsonl:2: published_at: ");
        assert_eq!(parse("n", "", NOW), Err(vec!["n:1: there is no text in the file".to_owned()]));
    }
}
