//! `tragen forecast-eval`: how good the football models' forecasts would have been.

use crate::{
    Verdict,
    backtest::{
        evaluation::{SeasonScore, evaluate},
        report::FileLine,
    },
    output::Format,
};
use anyhow::Context as _;
use clap::Args;
use std::path::PathBuf;
use tragen_market_data::file::{self, Limits, Window};

/// Of which matches.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  tragen forecast-eval --data epl_matches.csv --show-from 2024-08-01\n\nModels are fitted before each match day, to the results known by then and to nothing else."
)]
pub(crate) struct ForecastEvalArgs {
    /// Files of matches with results and odds.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Shows the seasons that begin in the year of this day or later; earlier ones are only learned from.
    #[arg(long, value_name = "DATE", default_value = "")]
    show_from: String,
    /// Largest file that is read, MiB.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    file_mib_max: u64,
}

impl ForecastEvalArgs {
    pub(super) fn run(self, format: Format) -> anyhow::Result<Verdict> {
        Window::parse(&self.show_from, "").map_err(anyhow::Error::msg).context("--show-from")?;
        let first = self.show_from.get(..4).and_then(|year| year.parse::<u16>().ok()).unwrap_or(0);
        let intake = file::read(&self.data, Limits { file_mib_max: self.file_mib_max, rows_max: 1_000_000 })?;
        anyhow::ensure!(!intake.matches().is_empty(), "--data: the files hold no matches");
        let bar = super::backtest::progress(u64::try_from(intake.matches().len())?);
        let scores = evaluate(&intake, first, &mut |done| bar.set_position(done))?;
        bar.finish_and_clear();
        super::backtest::say_what_was_read(&FileLine::all_of(&intake));
        let headers = ["SEASON", "FORECASTER", "MATCHES", "LOG-LOSS", "RPS", "BRIER"];
        format.list("scores", &scores, &headers, row)?;
        Ok(Verdict::Good)
    }
}

fn row(own: &SeasonScore) -> Vec<String> {
    let text = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
    vec![
        own.season.clone(),
        own.forecaster.as_str().to_owned(),
        own.score.matches.to_string(),
        text(own.score.log_loss),
        text(own.score.ranked_score),
        text(own.score.brier),
    ]
}
