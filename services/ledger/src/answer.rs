//! Questions: read from the readers' connections, so they never wait for the
//! writer, and the one command, a deposit.

mod pages;

use crate::{
    config::Config,
    facts,
    intake::{Item, currency, trade_id_of},
    metrics as names,
    store::{
        Store, StoreError,
        rows::{TradeRow, WalletRow},
        session::{Arg, Sql},
    },
    writer::DepositCommand,
};
use metrics::{counter, histogram};
use opentelemetry::trace::SpanKind;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::warn;
use tragen_contracts::{
    convert::{self, InvalidField},
    v1::{self, ledger_answer::Answer, ledger_question::Question},
};
use tragen_domain::id::AccountId;
use tragen_host::{Context, clock::now_micros};

/// Canonical gRPC codes used in answers.
mod code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const NOT_FOUND: i32 = 5;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const UNAVAILABLE: i32 = 14;
}

const TRADE: Sql = Sql::same("SELECT * FROM trade WHERE trade_id = $1 AND account_id = $2");
const WALLET: Sql = Sql::same("SELECT * FROM wallet WHERE account_id = $1 AND currency = $2");

/// What answers need; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    context: Context,
    store: Store,
    deposits: mpsc::Sender<DepositCommand>,
    commits: watch::Receiver<u64>,
    config: Arc<Config>,
}

impl Answers {
    /// Answers from `store`; deposits go to the writer.
    pub(crate) fn new(
        context: Context,
        store: Store,
        deposits: mpsc::Sender<DepositCommand>,
        commits: watch::Receiver<u64>,
        config: Arc<Config>,
    ) -> Self {
        Self { context, store, deposits, commits, config }
    }

    /// The answer to one question; never fails, an error is an answer.
    pub(crate) async fn answer(self, asked: v1::LedgerQuestion) -> v1::LedgerAnswer {
        let started = Instant::now();
        let kind = kind_of(asked.question.as_ref());
        let mut span = self.context.spans.start(format!("ledger {kind}"), SpanKind::Server, &asked.traceparent);
        span.set("db.system.name", self.store.system());
        let answer = match self.read(asked, span.traceparent()).await {
            Ok(answer) => {
                counter!(names::QUESTIONS, "kind" => kind, "result" => "ok").increment(1);
                answer
            }
            Err(error) => {
                span.fail(error.reason.clone(), error.message.clone());
                counter!(names::QUESTIONS, "kind" => kind, "result" => "error").increment(1);
                Answer::Error(error)
            }
        };
        histogram!(names::ANSWER_SECONDS, "kind" => kind).record(started.elapsed().as_secs_f64());
        v1::LedgerAnswer { answer: Some(answer) }
    }

    async fn read(&self, asked: v1::LedgerQuestion, traceparent: String) -> Result<Answer, v1::AskError> {
        let question = asked.question.ok_or_else(|| {
            invalid(&InvalidField::new("question", "FIELD_MISSING", "one of the questions must be set"))
        })?;
        let account = || convert::id("account_id", &asked.account_id).map_err(|error| invalid(&error));
        match question {
            Question::GetTrade(request) => self.trade(&account()?, request).await,
            Question::ListTrades(request) => self.trades(&account()?, &request).await,
            Question::GetAccount(request) => self.account(&account()?, &request).await,
            Question::ListPositions(request) => self.positions(&account()?, &request).await,
            Question::ListTransfers(request) => self.transfers(&account()?, &request).await,
            Question::Deposit(request) => self.deposit(&account()?, &request, traceparent).await,
            Question::AccountsPage(page) => self.accounts_page(&page).await,
            Question::Outcomes(outcomes) => self.outcomes(&outcomes).await,
        }
    }

    async fn trade(&self, account: &AccountId, request: v1::GetTradeRequest) -> Result<Answer, v1::AskError> {
        let trade_id = match request.key {
            Some(v1::get_trade_request::Key::TradeId(trade_id)) => trade_id,
            Some(v1::get_trade_request::Key::RequestId(request_id)) => trade_id_of(account.as_str(), &request_id),
            None => return Err(invalid(&InvalidField::new("key", "FIELD_MISSING", "one of the ids must be set"))),
        };
        let trade_id = trade_id.replace('\0', "");
        let args = [Arg::Text(&trade_id), Arg::Text(account.as_str())];
        let row: Option<TradeRow> = self.store.one(TRADE, &args).await.map_err(unavailable)?;
        // Somebody else's trade is not there either.
        let row = row.ok_or_else(|| not_found("TRADE_NOT_FOUND", format!("there is no trade {trade_id}")))?;
        Ok(Answer::Trade(v1::TradePosted {
            payload_hash: row.payload_hash.clone().into(),
            agent_id: row.agent_id.clone(),
            trade: Some(facts::trade(&row)),
            execution_ids: Vec::new(),
        }))
    }

    /// Waits for `min_version`, but not for long.
    async fn account(&self, account: &AccountId, request: &v1::GetAccountRequest) -> Result<Answer, v1::AskError> {
        let currency = currency("currency", &request.currency).map_err(|error| invalid(&error))?;
        let deadline = tokio::time::Instant::now() + Duration::from_millis(self.config.version_wait_ms_max);
        let mut commits = self.commits.clone();
        loop {
            commits.borrow_and_update();
            let args = [Arg::Text(account.as_str()), Arg::Text(currency.as_str())];
            let row: Option<WalletRow> = self.store.one(WALLET, &args).await.map_err(unavailable)?;
            let version = row.as_ref().map_or(0, |row| row.version);
            if version >= request.min_version {
                let row = row.ok_or_else(|| {
                    not_found("ACCOUNT_NOT_FOUND", format!("account {account} has no wallet in {currency}"))
                })?;
                return Ok(Answer::Account(v1::GetAccountResponse { account: Some(facts::account(&row)) }));
            }
            if !matches!(tokio::time::timeout_at(deadline, commits.changed()).await, Ok(Ok(()))) {
                return Err(v1::AskError {
                    code: code::UNAVAILABLE,
                    reason: "VERSION_NOT_REACHED".to_owned(),
                    message: format!("account {account} is at version {version}, not yet at {}", request.min_version),
                });
            }
        }
    }

    /// Hands the deposit to the writer and waits for its commit.
    async fn deposit(
        &self,
        account: &AccountId,
        request: &v1::DepositRequest,
        traceparent: String,
    ) -> Result<Answer, v1::AskError> {
        let item =
            Item::deposit(account.as_str(), request, traceparent, now_micros()).map_err(|error| invalid(&error))?;
        let (reply, answer) = oneshot::channel();
        self.deposits.try_send(DepositCommand { item, reply }).map_err(|_| v1::AskError {
            code: code::RESOURCE_EXHAUSTED,
            reason: "LEDGER_BUSY".to_owned(),
            message: format!("{} deposits wait already", self.config.deposit_queue_max),
        })?;
        let wait = Duration::from_millis(self.config.deposit_wait_ms_max);
        match tokio::time::timeout(wait, answer).await {
            Ok(Ok(v1::LedgerAnswer { answer: Some(Answer::Error(error)) })) => Err(error),
            Ok(Ok(v1::LedgerAnswer { answer: Some(answer) })) => Ok(answer),
            Ok(Ok(v1::LedgerAnswer { answer: None }) | Err(_)) | Err(_) => Err(v1::AskError {
                code: code::UNAVAILABLE,
                reason: "OUTCOME_UNKNOWN".to_owned(),
                message: "the deposit is not confirmed; repeat it with the same request id".to_owned(),
            }),
        }
    }

    async fn outcomes(&self, question: &v1::OutcomesQuestion) -> Result<Answer, v1::AskError> {
        let limit = self.config.outcomes_max;
        if question.trade_ids.len() > limit {
            let message = format!("{} ids, at most {limit} are allowed", question.trade_ids.len());
            return Err(invalid(&InvalidField::new("trade_ids", "TOO_MANY", message)));
        }
        let trade_ids = question.trade_ids.iter().map(|id| id.replace('\0', "")).collect();
        let known = self.store.outcomes(trade_ids).await.map_err(unavailable)?;
        Ok(Answer::Outcomes(v1::Outcomes { facts: facts::of_known(known) }))
    }
}

fn kind_of(question: Option<&Question>) -> &'static str {
    match question {
        Some(Question::GetTrade(_)) => "get_trade",
        Some(Question::ListTrades(_)) => "list_trades",
        Some(Question::GetAccount(_)) => "get_account",
        Some(Question::ListPositions(_)) => "list_positions",
        Some(Question::ListTransfers(_)) => "list_transfers",
        Some(Question::Deposit(_)) => "deposit",
        Some(Question::AccountsPage(_)) => "accounts_page",
        Some(Question::Outcomes(_)) => "outcomes",
        None => "unset",
    }
}

fn invalid(error: &InvalidField) -> v1::AskError {
    v1::AskError { code: code::INVALID_ARGUMENT, reason: error.reason.to_owned(), message: error.to_string() }
}

fn not_found(reason: &str, message: String) -> v1::AskError {
    v1::AskError { code: code::NOT_FOUND, reason: reason.to_owned(), message }
}

fn unavailable(error: StoreError) -> v1::AskError {
    warn!("a question could not be answered: {:#}", anyhow::Error::new(error));
    v1::AskError {
        code: code::UNAVAILABLE,
        reason: "LEDGER_UNAVAILABLE".to_owned(),
        message: "the ledger's database does not answer".to_owned(),
    }
}
