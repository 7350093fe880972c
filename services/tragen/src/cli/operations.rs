//! `tragen status`, `tragen dlq` and `tragen costs`: looking after a running
//! system. All need the role operator.

use super::{ClientArgs, pages};
use crate::{
    Verdict,
    api::ask,
    output::{Format, decimal, moment, print},
};
use clap::Subcommand;
use tragen_contracts::v1;

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// Lists them, newest first.
    #[command(after_help = "Example:\n  tragen dlq ls")]
    Ls {
        /// At most this many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..))]
        limit: i32,
    },
    /// Sends one to its subject again and removes it.
    #[command(after_help = "Example:\n  tragen dlq replay 17")]
    Replay {
        /// Its sequence.
        sequence: i64,
    },
}

impl DeadLetterCommand {
    pub(super) async fn run(self, client: &ClientArgs) -> anyhow::Result<Verdict> {
        let mut operations = client.connect().await?.operations();
        match self {
            Self::Ls { limit } => {
                let letters = pages(limit, async |page_size, page_token| {
                    let question = v1::ListDeadLettersRequest { page_size, page_token };
                    let page = operations.list_dead_letters(ask(question)).await?.into_inner();
                    Ok((page.dead_letters, page.next_page_token))
                });
                let headers = ["SEQUENCE", "DEAD", "SUBJECT", "CONSUMER", "DELIVERIES", "BYTES", "REASON"];
                client.output.list_or("No dead letters.", "dead_letters", &letters.await?, &headers, row)?;
            }
            Self::Replay { sequence } => {
                let question = v1::ReplayDeadLetterRequest { sequence };
                let answer = operations.replay_dead_letter(ask(question)).await?.into_inner();
                client.output.record(&answer, &[("sent again to", answer.subject.clone())])?;
            }
        }
        Ok(Verdict::Good)
    }
}

/// Which parts are up.
pub(super) async fn status(client: &ClientArgs) -> anyhow::Result<Verdict> {
    let mut operations = client.connect().await?.operations();
    let answer = operations.get_status(ask(v1::GetStatusRequest {})).await?.into_inner();
    match client.output {
        Format::Json => client.output.record(&answer, &[])?,
        Format::Table | Format::Csv => {
            client.output.list("parts", &answer.parts, &["PART", "HEALTHY", "DETAIL"], |part| {
                let healthy = if part.is_healthy { "yes" } else { "no" };
                vec![part.part.clone(), healthy.to_owned(), part.detail.clone()]
            })?;
            if client.output == Format::Table {
                print(&format!("\nversion {}", answer.version))?;
            }
        }
    }
    Ok(if answer.is_healthy { Verdict::Good } else { Verdict::Bad })
}

/// What running the agents costs.
pub(super) async fn costs(client: &ClientArgs) -> anyhow::Result<Verdict> {
    let mut costs = client.connect().await?.costs();
    let answer = costs.get_costs(ask(v1::GetCostsRequest {})).await?.into_inner();
    match client.output {
        Format::Json => client.output.record(&answer, &[])?,
        Format::Table | Format::Csv => {
            let headers = ["AGENT", "TRADES", "MESSAGES", "CALLS", "CPU_MS", "COST_USD"];
            client.output.list("agents", &answer.agents, &headers, |agent| {
                vec![
                    agent.agent.clone(),
                    agent.trades.to_string(),
                    agent.messages.to_string(),
                    agent.api_calls.to_string(),
                    (agent.cpu_micros / 1_000).to_string(),
                    decimal(agent.cost_micros),
                ]
            })?;
            let per_trade = decimal(answer.cost_per_trade_micros);
            let (total, since) = (decimal(answer.total_cost_micros), moment(answer.since_micros / 1_000_000));
            if client.output == Format::Table {
                print(&format!("\n{total} USD since {since}: {} filled trades at {per_trade} USD", answer.trades))?;
            }
        }
    }
    Ok(Verdict::Good)
}

fn row(letter: &v1::DeadLetter) -> Vec<String> {
    vec![
        letter.sequence.to_string(),
        moment(letter.dead_at.as_ref().map_or(0, |at| at.seconds)),
        letter.subject.clone(),
        letter.consumer.clone(),
        letter.deliveries.to_string(),
        letter.payload.len().to_string(),
        letter.reason.clone(),
    ]
}
