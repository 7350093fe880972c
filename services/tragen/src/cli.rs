//! The command line: one module for each group of commands.
//!
//! Numbers are typed as decimals (`0.55`) and travel as micros.

mod account;
mod agents;
mod amount;
mod analyze;
mod backtest;
mod booking;
mod doctor;
mod drill;
mod forecast_eval;
mod ledger;
mod market;
mod news;
mod operations;
mod pools;
pub(crate) mod probe;
mod replay;
mod risk;
mod serve;
mod statement;
mod token;
mod trade;
mod up;

pub(crate) use trade::line as trade_line;

use crate::{
    Verdict,
    api::{Api, Bearer},
    output::Format,
};
use clap::{Args, Parser, Subcommand};

/// Runs trading agents for many users, and looks after them.
#[derive(Debug, Parser)]
#[command(
    name = "tragen",
    version,
    arg_required_else_help = true,
    after_help = "Example:\n  tragen up\n\nExit codes: 0 done, 1 failed or not healthy, 2 misused, 3 the trade was denied or rejected."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: Command,
}

/// How to reach the API, and how to print what it says.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClientArgs {
    /// Where the API is.
    #[arg(long, global = true, env = "TRAGEN_ENDPOINT", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    endpoint: String,
    /// Who asks: a JWT, see `tragen token`.
    #[arg(long, global = true, env = "TRAGEN_TOKEN", value_name = "JWT", hide_env_values = true)]
    token: Option<String>,
    /// Aligned text, the API's messages as JSON, or lists as CSV.
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

impl ClientArgs {
    async fn connect(&self) -> anyhow::Result<Api> {
        Api::connect(&self.endpoint, Bearer::fixed(self.token.as_deref())?).await
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Starts everything in this process and trades on paper.
    Up(Box<up::UpArgs>),
    /// Runs one service against a given bus and database.
    Serve(Box<serve::ServeArgs>),
    /// Prints an access token signed with the data folder's key.
    Token(token::TokenArgs),
    /// Balances, positions, transfers and statements of the token's account.
    #[command(subcommand, after_help = "Example:\n  tragen account show")]
    Account(account::AccountCommand),
    /// Places, follows and cancels trades.
    #[command(subcommand, after_help = "Example:\n  tragen trade place --instrument GBPUSD --side buy --quantity 1000")]
    Trade(trade::TradeCommand),
    /// Asks agents when nothing is to be traded.
    #[command(subcommand, after_help = "Example:\n  tragen analyze scout EPL-2026-ARS-MCI")]
    Analyze(analyze::AnalyzeCommand),
    /// Instruments and their prices.
    #[command(subcommand, after_help = "Example:\n  tragen market quote GBPUSD")]
    Market(market::MarketCommand),
    /// What was written about matches, for the agents.
    #[command(subcommand, after_help = "Example:\n  tragen news import news.jsonl")]
    News(news::NewsCommand),
    /// Configured agents, which trade on their own.
    #[command(subcommand, after_help = "Example:\n  tragen agents ls")]
    Agents(agents::AgentsCommand),
    /// Pools of agents, which grow and shrink with their markets.
    #[command(subcommand, after_help = "Example:\n  tragen pools ls")]
    Pools(pools::PoolsCommand),
    /// Stops and resumes trading.
    #[command(
        subcommand,
        after_help = "Example:\n  tragen risk halt --scope instrument:GBPUSD --reason \"prices look wrong\""
    )]
    Risk(risk::RiskCommand),
    /// The books.
    #[command(subcommand, after_help = "Example:\n  tragen ledger verify --data-dir data")]
    Ledger(ledger::LedgerCommand),
    /// Which parts are up; the exit code is their health.
    #[command(after_help = "Example:\n  tragen status && echo healthy")]
    Status,
    /// What operators book by hand, two of them together.
    #[command(subcommand, after_help = "Example:\n  tragen ops confirm 7f9c2ba4e88f827d7f9c2ba4e88f827d")]
    Ops(booking::OpsCommand),
    /// Messages that no handler could take.
    #[command(subcommand, after_help = "Example:\n  tragen dlq ls")]
    Dlq(operations::DeadLetterCommand),
    /// What running the agents costs.
    #[command(after_help = "Example:\n  tragen costs -o json")]
    Costs,
    /// Trades history with the code of the live system, and says what came of it.
    Backtest(Box<backtest::BacktestArgs>),
    /// Says how good the forecasts of the football models would have been, season by season.
    ForecastEval(forecast_eval::ForecastEvalArgs),
    /// Runs a recorded day again, and shows what comes out otherwise.
    Replay(replay::ReplayArgs),
    /// Says what is missing on this machine, and the remedy.
    Doctor(doctor::DoctorArgs),
    /// Trips every limit for real in a private paper system, and says what happened.
    Drill(drill::DrillArgs),
    /// Asks an HTTP address once; the exit code is 0 if it answers with 200.
    Probe(probe::ProbeArgs),
}

impl Cli {
    /// Does what was typed.
    ///
    /// # Errors
    /// Whatever keeps it from being done.
    pub(crate) async fn run(self) -> anyhow::Result<Verdict> {
        let client = &self.client;
        match self.command {
            Command::Up(args) => args.run().await,
            Command::Serve(args) => args.run().await,
            Command::Token(args) => args.run(client.output),
            Command::Account(command) => command.run(client).await,
            Command::Trade(command) => command.run(client).await,
            Command::Analyze(command) => command.run(client).await,
            Command::Market(command) => command.run(client).await,
            Command::News(command) => command.run(client).await,
            Command::Agents(command) => command.run(client).await,
            Command::Pools(command) => command.run(client).await,
            Command::Risk(command) => command.run(client).await,
            Command::Ledger(command) => command.run(client.output).await,
            Command::Status => operations::status(client).await,
            Command::Ops(command) => command.run(client).await,
            Command::Dlq(command) => command.run(client).await,
            Command::Costs => operations::costs(client).await,
            Command::Backtest(args) => args.run(client.output),
            Command::ForecastEval(args) => args.run(client.output),
            Command::Replay(args) => args.run(client.output).await,
            Command::Doctor(args) => args.run(client).await,
            Command::Drill(args) => args.run(client.output).await,
            Command::Probe(args) => args.run().await,
        }
    }
}

/// Asks for page after page until there are `limit` items or no more pages.
async fn pages<T>(
    limit: i32,
    mut page: impl AsyncFnMut(i32, String) -> anyhow::Result<(Vec<T>, String)>,
) -> anyhow::Result<Vec<T>> {
    const PAGE_SIZE_MAX: i32 = 500;
    let mut items: Vec<T> = Vec::new();
    let mut token = String::new();
    loop {
        let left = limit.saturating_sub(i32::try_from(items.len())?);
        let (more, next) = page(left.min(PAGE_SIZE_MAX), token).await?;
        items.extend(more);
        if next.is_empty() || items.len() >= usize::try_from(limit)? {
            items.truncate(usize::try_from(limit)?);
            return Ok(items);
        }
        token = next;
    }
}

/// A UUID as it is typed.
///
/// # Errors
/// The text, which is none.
fn uuid(text: &str) -> Result<uuid::Uuid, String> {
    text.parse().map_err(|_| format!("{text:?} is not a UUID"))
}

/// The given request id, or a new one.
fn request_id(given: Option<uuid::Uuid>) -> String {
    given.unwrap_or_else(uuid::Uuid::now_v7).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn check_examples(command: &clap::Command, path: &str) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name());
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&path), "{path} --help has no example");
            check_examples(sub, &path);
        }
    }

    #[test]
    fn every_command_has_an_example() {
        let command = Cli::command();
        command.clone().debug_assert();
        check_examples(&command, "tragen");
    }

    fn refusal(line: &str) -> String {
        Cli::try_parse_from(line.split(' ')).expect_err("refused").to_string()
    }

    #[test]
    fn a_bad_number_names_the_flag() {
        let place = "tragen trade place --instrument GBPUSD --side buy --quantity";
        for bad in ["ten", "0.0000001", "1e6", "99999999999999", "1,5"] {
            let text = refusal(&format!("{place} {bad}"));
            assert!(text.contains("--quantity") && text.contains(bad), "{text}");
        }
        assert!(refusal(&format!("{place} 1 --limit abc")).contains("--limit"));
        assert!(refusal("tragen account deposit --amount -5").contains("--amount"));
        assert!(refusal("tragen account deposit --amount 0").contains("--amount"));
        assert!(refusal("tragen trade mandate --match M --budget x").contains("--budget"));
        assert!(refusal("tragen trade list --limit 0").contains("--limit"));
        assert!(refusal(&format!("{place} 1 --request-id 7")).contains("--request-id"));
        assert!(refusal("tragen trade get abc").contains("\"abc\" is not a UUID"));
        assert!(refusal("tragen risk halt --scope planet:earth").contains("--scope"));
        assert!(refusal("tragen account send --amount 1").contains("--to"));
        assert!(refusal("tragen account send --to bob --amount 0").contains("--amount"));
        let statement = refusal("tragen account statement --from yesterday");
        assert!(statement.contains("--from") && statement.contains("\"yesterday\""), "{statement}");
        assert!(refusal("tragen ops confirm").contains("<PROPOSAL>"));
        assert!(refusal("tragen analyze scout").contains("<MATCH_ID>"));
        assert!(refusal("tragen analyze scout M --min-edge-bps 10001").contains("--min-edge-bps"));
        assert!(refusal("tragen analyze research --home Arsenal").contains("--away"));
        assert!(refusal("tragen analyze research M --home A --away B").contains("--home"));
        assert!(refusal("tragen analyze what-if --instrument I --side buy --quantity 0").contains("--quantity"));
        assert!(
            refusal("tragen analyze calibration --model gpt --from 2025-01-01 --to 2025-02-01").contains("--model")
        );
        assert!(refusal("tragen analyze calibration --model elo --from soon --to 2025-02-01").contains("--from"));
        assert!(refusal("tragen analyze scan --limit 501").contains("--limit"));
    }

    #[tokio::test]
    async fn pages_are_put_together_up_to_the_limit() {
        let page = async |size: i32, token: String| {
            let start: i32 = token.parse().unwrap_or(0);
            let items: Vec<i32> = (start..start + size.min(2)).collect();
            let next = if start < 6 { (start + 2).to_string() } else { String::new() };
            Ok((items, next))
        };
        assert_eq!(pages(5, page).await.expect("items"), [0, 1, 2, 3, 4]);
        assert_eq!(pages(100, page).await.expect("items").len(), 8);
    }
}
