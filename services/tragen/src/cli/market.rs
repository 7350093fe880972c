//! `tragen market`: instruments and their prices.

use super::{ClientArgs, analyze::percent, pages};
use crate::{
    Verdict,
    api::ask,
    output::{decimal, decimal_or_blank, moment, word},
};
use anyhow::Context as _;
use clap::Subcommand;
use tonic::Request;
use tragen_contracts::v1;

/// What to see of the market.
#[derive(Debug, Subcommand)]
pub(crate) enum MarketCommand {
    /// What can be traded.
    #[command(after_help = "Example:\n  tragen market ls --match EPL-2026-ARS-MCI")]
    Ls {
        /// Only this match.
        #[arg(long = "match", value_name = "MATCH", default_value = "")]
        match_id: String,
        /// At most this many.
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(i32).range(1..))]
        limit: i32,
    },
    /// The chances of a match and what to do with what is held of it, until it is over or Ctrl-C.
    #[command(after_help = "Example:\n  tragen market watch EPL-2026-ARS-MCI")]
    Watch {
        /// The match.
        match_id: String,
    },
    /// The newest prices of one instrument.
    #[command(after_help = "Example:\n  tragen market quote GBPUSD")]
    Quote {
        /// The instrument.
        instrument: String,
    },
}

impl MarketCommand {
    pub(super) async fn run(self, client: &ClientArgs) -> anyhow::Result<Verdict> {
        let api = client.connect().await?;
        let mut markets = api.markets();
        match self {
            Self::Ls { match_id, limit } => {
                let instruments = pages(limit, async |page_size, page_token| {
                    let question = v1::ListInstrumentsRequest { match_id: match_id.clone(), page_size, page_token };
                    let page = markets.list_instruments(ask(question)).await?.into_inner();
                    Ok((page.instruments, page.next_page_token))
                });
                let headers = ["INSTRUMENT", "NAME", "STYLE", "CURRENCY", "TICK", "LOT", "MAXIMUM", "STATUS"];
                client.output.list("instruments", &instruments.await?, &headers, row)?;
            }
            Self::Watch { match_id } => {
                let asked = Request::new(v1::WatchMarketRequest { match_id });
                let mut views = api.trading().watch_market(asked).await?.into_inner();
                while let Some(answer) = views.message().await? {
                    let view = answer.view.context("the answer has no view")?;
                    client.output.event(&view, || line(&view))?;
                }
            }
            Self::Quote { instrument } => {
                let question = v1::GetQuoteRequest { instrument_id: instrument };
                let answer = markets.get_quote(ask(question)).await?.into_inner();
                let quote = answer.quote.as_ref().context("the answer has no quote")?;
                client.output.record(&answer, &fields(quote))?;
            }
        }
        Ok(Verdict::Good)
    }
}

/// One view: the match, its chances, and what to do with each holding.
fn line(view: &v1::MarketView) -> String {
    let of = view.r#match.clone().unwrap_or_default();
    let chance = |own: &v1::OutcomeView| format!("{} {}", own.outcome, percent(own.chance_ppm));
    let chances: Vec<String> = view.outcomes.iter().filter(|own| own.chance_ppm > 0).map(chance).collect();
    let chances = if chances.is_empty() { view.unpriced_reason.clone() } else { chances.join("  ") };
    let advice = |own: &v1::HoldingView| {
        let action = word(own.action().as_str_name(), "HOLDING_ACTION_");
        let reason = word(own.reason().as_str_name(), "HOLDING_REASON_");
        format!("\n  {} x {}: {action} ({reason})", own.instrument_id, decimal(own.quantity_micros))
    };
    let holdings: String = view.holdings.iter().map(advice).collect();
    let (score, minute) = (format!("{}-{}", of.home_goals, of.away_goals), of.minute);
    format!("{minute:>2}' {} {score} {}  {chances}{holdings}", of.home, of.away)
}

fn row(instrument: &v1::Instrument) -> Vec<String> {
    vec![
        instrument.instrument_id.clone(),
        instrument.name.clone(),
        word(instrument.settlement_style().as_str_name(), "SETTLEMENT_STYLE_"),
        instrument.currency.clone(),
        decimal(instrument.tick_micros),
        decimal(instrument.lot_micros),
        decimal(instrument.max_quantity_micros),
        word(instrument.status().as_str_name(), "INSTRUMENT_STATUS_"),
    ]
}

fn fields(quote: &v1::Quote) -> Vec<(&'static str, String)> {
    let level = |price: i64, quantity: i64| match price {
        0 => "none".to_owned(),
        price => format!("{} x {}", decimal(price), decimal(quantity)),
    };
    vec![
        ("instrument", quote.instrument_id.clone()),
        ("bid", level(quote.bid_price_micros, quote.bid_quantity_micros)),
        ("ask", level(quote.ask_price_micros, quote.ask_quantity_micros)),
        ("last", decimal_or_blank(quote.last_price_micros)),
        ("market time", moment(quote.event_time_micros / 1_000_000)),
        ("published", moment(quote.published_at_micros / 1_000_000)),
    ]
}
