//! `tragen analyze`: what agents say when nothing is traded.

mod shown;

pub(super) use shown::percent;

use super::{ClientArgs, amount::positive, statement::parse_moment, trade};
use crate::{Verdict, api::ask};
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use tragen_contracts::{
    convert,
    v1::{self, analyze_request::Kind},
};
use tragen_domain::{
    money::{Money, MoneyUnit, Price, PriceUnit, Quantity, QuantityUnit},
    time::Timestamp,
};

/// Which agent to ask.
#[derive(Debug, Subcommand)]
pub(crate) enum AnalyzeCommand {
    /// Which quote of a match is offered below its fair price?
    #[command(after_help = "Example:\n  tragen analyze scout EPL-2026-ARS-MCI --min-edge-bps 300")]
    Scout {
        /// The match.
        match_id: String,
        /// Smallest edge worth showing, basis points of ask plus fee; 0 for 500.
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..=10_000))]
        min_edge_bps: i32,
    },
    /// What do past results say of a match, or of two teams?
    #[command(
        after_help = "Examples:\n  tragen analyze research EPL-2026-ARS-MCI\n  tragen analyze research --home Arsenal --away Liverpool -o json"
    )]
    Research {
        /// The match; else two teams.
        #[arg(required_unless_present_all = ["home", "away"], conflicts_with_all = ["home", "away"])]
        match_id: Option<String>,
        /// The home team.
        #[arg(long, value_name = "TEAM", requires = "away")]
        home: Option<String>,
        /// The away team.
        #[arg(long, value_name = "TEAM", requires = "home")]
        away: Option<String>,
    },
    /// What would the risk guard say to an order?
    #[command(
        after_help = "Example:\n  tragen analyze what-if --instrument EPL-2026-ARS-MCI-HOME --side buy --quantity 200 --limit 0.45\n\nExit code 3: it would be denied."
    )]
    WhatIf(WhatIfArgs),
    /// What does the account's book of matches risk?
    #[command(after_help = "Example:\n  tragen analyze portfolio")]
    Portfolio {
        /// Which currency.
        #[arg(long, default_value = "USD")]
        currency: String,
    },
    /// How good were a model's forecasts?
    #[command(
        after_help = "Example:\n  tragen analyze calibration --model dixon-coles --from 2025-08-15 --to 2026-05-25"
    )]
    Calibration {
        /// Whose forecasts.
        #[arg(long)]
        model: Model,
        /// The first day.
        #[arg(long, value_name = "DATE", value_parser = parse_moment)]
        from: Timestamp,
        /// The day after the last.
        #[arg(long, value_name = "DATE", value_parser = parse_moment)]
        to: Timestamp,
    },
    /// Which quotes contradict each other, are stale or crossed?
    #[command(after_help = "Example:\n  tragen analyze scan --min-liquidity 500")]
    Scan {
        /// Only this match.
        #[arg(long = "match", value_name = "MATCH", default_value = "")]
        match_id: String,
        /// Smallest amount resting in a book, e.g. 500; 100 without it.
        #[arg(long, value_parser = positive::<MoneyUnit>, allow_negative_numbers = true)]
        min_liquidity: Option<Money>,
        /// At most this many findings.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=500))]
        limit: i32,
    },
    /// What do texts, or the news that are held, say of teams or players? The file has one JSON object a line.
    #[command(
        after_help = "Example:\n  tragen analyze sentiment --about Arsenal\n  tragen analyze sentiment --about Arsenal --file news.jsonl\n\nA line: {\"source\": \"bbc\", \"text\": \"Saka is fit\", \"published_at\": \"2026-08-22T08:00:00Z\"}"
    )]
    Sentiment {
        /// A team or player; may be given again.
        #[arg(long, value_name = "NAME", required = true)]
        about: Vec<String>,
        /// The texts; without it what was put by `tragen news` and still counts.
        #[arg(long)]
        file: Option<PathBuf>,
        /// Only held news about this match.
        #[arg(long = "match", value_name = "MATCH", default_value = "", conflicts_with = "file")]
        match_id: String,
    },
}

/// An order that is not placed.
#[derive(Debug, Args)]
pub(crate) struct WhatIfArgs {
    /// What to trade, e.g. GBPUSD.
    #[arg(long)]
    instrument: String,
    /// Which way.
    #[arg(long)]
    side: trade::Side,
    /// How much, in contracts or base units, e.g. 10.
    #[arg(long, value_parser = positive::<QuantityUnit>, allow_negative_numbers = true)]
    quantity: Quantity,
    /// Worst price, e.g. 0.55; a market order without it.
    #[arg(long, value_parser = positive::<PriceUnit>, allow_negative_numbers = true)]
    limit: Option<Price>,
    /// Only shrink the position.
    #[arg(long)]
    reduce_only: bool,
    /// Only rest, good till canceled. Needs --limit.
    #[arg(long, requires = "limit", conflicts_with = "reduce_only")]
    post_only: bool,
}

/// A model whose forecasts can be judged.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Model {
    /// Attack and defense of each team.
    DixonColes,
    /// Ratings moved by every result.
    Elo,
    /// The last odds before the kick-off.
    ClosingLine,
}

impl AnalyzeCommand {
    pub(super) async fn run(self, client: &ClientArgs) -> anyhow::Result<Verdict> {
        let request = v1::AnalyzeRequest { kind: Some(self.kind()?) };
        let answer = client.connect().await?.trading().analyze(ask(request)).await?.into_inner();
        shown::show(client.output, &answer)
    }

    fn kind(self) -> anyhow::Result<Kind> {
        Ok(match self {
            Self::Scout { match_id, min_edge_bps } => Kind::Scout(v1::ScoutRequest { match_id, min_edge_bps }),
            Self::Research { match_id, home, away } => Kind::Research(v1::ResearchRequest {
                match_id: match_id.unwrap_or_default(),
                home_team: home.unwrap_or_default(),
                away_team: away.unwrap_or_default(),
            }),
            Self::WhatIf(args) => Kind::WhatIf(args.into_wire()),
            Self::Portfolio { currency } => Kind::Portfolio(v1::PortfolioRequest { currency }),
            Self::Calibration { model, from, to } => Kind::Calibration(v1::CalibrationRequest {
                model: match model {
                    Model::DixonColes => "dixon-coles",
                    Model::Elo => "elo",
                    Model::ClosingLine => "closing-line",
                }
                .to_owned(),
                from: Some(convert::timestamp(from)),
                to: Some(convert::timestamp(to)),
            }),
            Self::Scan { match_id, min_liquidity, limit } => Kind::Scan(v1::ScanRequest {
                match_id,
                min_liquidity_micros: min_liquidity.map_or(0, Money::micros),
                limit,
            }),
            Self::Sentiment { about, file, match_id } => Kind::Sentiment(v1::SentimentRequest {
                items: file.map(|file| texts(&file)).transpose()?.unwrap_or_default(),
                entities: about,
                match_id,
            }),
        })
    }
}

impl WhatIfArgs {
    fn into_wire(self) -> v1::WhatIfRequest {
        let order_type = if self.limit.is_some() { v1::OrderType::Limit } else { v1::OrderType::Market };
        let time_in_force = if self.post_only { v1::TimeInForce::Gtc } else { v1::TimeInForce::Ioc };
        v1::WhatIfRequest {
            instrument_id: self.instrument,
            side: self.side.to_wire().into(),
            order_type: order_type.into(),
            quantity_micros: self.quantity.micros(),
            limit_price_micros: self.limit.map_or(0, Price::micros),
            time_in_force: time_in_force.into(),
            is_reduce_only: self.reduce_only,
            is_post_only: self.post_only,
        }
    }
}

/// One text a line; a bad line is named.
fn texts(file: &std::path::Path) -> anyhow::Result<Vec<v1::SentimentText>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("--file: reading {}", file.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_str(line).with_context(|| format!("--file: {}:{}", file.display(), number + 1))
        })
        .collect()
}
