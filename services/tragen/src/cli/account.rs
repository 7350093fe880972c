//! `tragen account`: balances, positions, transfers and statements of the token's
//! account, and money in, out and to others.

use super::{ClientArgs, amount::positive, pages, request_id, statement::StatementArgs, uuid};
use crate::{
    Verdict,
    api::ask,
    output::{Format, decimal, decimal_or_blank, moment, word},
};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;
use tragen_contracts::v1;
use tragen_domain::money::Money;
use uuid::Uuid;

/// What to do with the account.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// The account's balances.
    #[command(after_help = "Example:\n  tragen account show --currency USD")]
    Show {
        /// ISO 4217 or token code.
        #[arg(long, default_value = "USD")]
        currency: String,
    },
    /// Brings money in.
    #[command(after_help = "Example:\n  tragen account deposit --amount 1000.00")]
    Deposit(CashArgs),
    /// Takes money out, if the risk guard approves.
    #[command(after_help = "Example:\n  tragen account withdraw --amount 250 --currency USD")]
    Withdraw(CashArgs),
    /// Sends money to another account, if the risk guard approves.
    #[command(after_help = "Example:\n  tragen account send --to bob --amount 25 --currency USD")]
    Send {
        /// Who receives it.
        #[arg(long, value_name = "ACCOUNT")]
        to: String,
        #[command(flatten)]
        cash: CashArgs,
    },
    /// Open positions.
    #[command(after_help = "Example:\n  tragen account positions -o json")]
    Positions {
        /// At most this many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..))]
        limit: i32,
    },
    /// Movements of money, newest first.
    #[command(after_help = "Example:\n  tragen account transfers --limit 20")]
    Transfers {
        /// At most this many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..))]
        limit: i32,
    },
    /// What moved the cash in a period, oldest first, with the balance after each line.
    #[command(after_help = "Example:\n  tragen account statement --from 2026-01-01 --to 2026-02-01 -o csv")]
    Statement(StatementArgs),
}

/// How much money.
#[derive(Debug, Args)]
pub(crate) struct CashArgs {
    /// How much, e.g. 1000.00.
    #[arg(long, value_parser = positive::<tragen_domain::money::MoneyUnit>, allow_negative_numbers = true)]
    amount: Money,
    /// ISO 4217 or token code.
    #[arg(long, default_value = "USD")]
    currency: String,
    /// Repeat a request by its id, a UUIDv7; a new one without it.
    #[arg(long, value_parser = uuid)]
    request_id: Option<Uuid>,
}

impl AccountCommand {
    pub(super) async fn run(self, client: &ClientArgs) -> anyhow::Result<Verdict> {
        let mut accounts = client.connect().await?.accounts();
        let format = client.output;
        match self {
            Self::Show { currency } => {
                let question = v1::GetAccountRequest { currency, ..v1::GetAccountRequest::default() };
                let answer = accounts.get_account(ask(question)).await?.into_inner();
                show(format, answer.account)?;
            }
            Self::Deposit(CashArgs { amount, currency, request_id: id }) => {
                let amount_micros = amount.micros();
                let question = v1::DepositRequest { request_id: request_id(id), amount_micros, currency };
                let answer = accounts.deposit(ask(question)).await?.into_inner();
                show(format, answer.account)?;
            }
            Self::Withdraw(CashArgs { amount, currency, request_id: id }) => {
                let amount_micros = amount.micros();
                let question = v1::WithdrawRequest { request_id: request_id(id), amount_micros, currency };
                let answer = accounts.withdraw(ask(question)).await?.into_inner();
                return decided(format, &answer, (answer.status(), &answer.denial_reason, answer.account.as_ref()));
            }
            Self::Send { to: to_account_id, cash: CashArgs { amount, currency, request_id: id } } => {
                let amount_micros = amount.micros();
                let question = v1::SendRequest { request_id: request_id(id), to_account_id, amount_micros, currency };
                let answer = accounts.send(ask(question)).await?.into_inner();
                return decided(format, &answer, (answer.status(), &answer.denial_reason, answer.account.as_ref()));
            }
            Self::Positions { limit } => {
                let positions = pages(limit, async |page_size, page_token| {
                    let question = v1::ListPositionsRequest { page_size, page_token, min_version: 0 };
                    let page = accounts.list_positions(ask(question)).await?.into_inner();
                    Ok((page.positions, page.next_page_token))
                });
                let headers = ["INSTRUMENT", "QUANTITY", "AVERAGE", "REALIZED", "FEES", "MARGIN"];
                format.list_or("No open positions.", "positions", &positions.await?, &headers, position_row)?;
            }
            Self::Transfers { limit } => {
                let transfers = pages(limit, async |page_size, page_token| {
                    let question = v1::ListTransfersRequest { page_size, page_token, min_version: 0 };
                    let page = accounts.list_transfers(ask(question)).await?.into_inner();
                    Ok((page.transfers, page.next_page_token))
                });
                let headers = ["SEQUENCE", "POSTED", "KIND", "AMOUNT", "CURRENCY", "FROM", "TO", "REFERENCE"];
                format.list_or("No transfers yet.", "transfers", &transfers.await?, &headers, transfer_row)?;
            }
            Self::Statement(args) => args.run(format, &mut accounts).await?,
        }
        Ok(Verdict::Good)
    }
}

fn show(format: Format, account: Option<v1::Account>) -> anyhow::Result<()> {
    let account = account.context("the answer has no account")?;
    format.record(&account, &account_fields(&account))
}

/// What the guard decided on money that was to leave the account.
fn decided(
    format: Format,
    answer: &impl Serialize,
    (status, denial, account): (v1::WithdrawalStatus, &str, Option<&v1::Account>),
) -> anyhow::Result<Verdict> {
    let mut fields = vec![("status", word(status.as_str_name(), "WITHDRAWAL_STATUS_")), ("denial", denial.to_owned())];
    fields.extend(account.map(account_fields).unwrap_or_default());
    format.record(answer, &fields)?;
    match status {
        v1::WithdrawalStatus::Posted => Ok(Verdict::Good),
        v1::WithdrawalStatus::Denied | v1::WithdrawalStatus::Unspecified => Ok(Verdict::Refused),
    }
}

fn account_fields(account: &v1::Account) -> Vec<(&'static str, String)> {
    vec![
        ("account", account.account_id.clone()),
        ("cash", format!("{} {}", decimal(account.cash_micros), account.currency)),
        ("margin", format!("{} {}", decimal(account.margin_micros), account.currency)),
        ("version", account.version.to_string()),
        ("frozen", if account.is_frozen { "yes".to_owned() } else { String::new() }),
    ]
}

fn position_row(position: &v1::Position) -> Vec<String> {
    vec![
        position.instrument_id.clone(),
        decimal(position.quantity_micros),
        decimal_or_blank(position.average_price_micros),
        decimal(position.realized_pnl_micros),
        decimal(position.fee_micros),
        decimal(position.margin_micros),
    ]
}

fn transfer_row(transfer: &v1::Transfer) -> Vec<String> {
    vec![
        transfer.sequence.to_string(),
        moment(transfer.posted_at.as_ref().map_or(0, |at| at.seconds)),
        word(transfer.kind().as_str_name(), "TRANSFER_KIND_"),
        decimal(transfer.amount_micros),
        transfer.currency.clone(),
        transfer.debit_account.clone(),
        transfer.credit_account.clone(),
        transfer.reference_id.clone(),
    ]
}
