//! Questions: read from the readers' connections, so they never wait for the
//! writer, and the one command, a deposit. [`source`] says where an account is read.

mod all_shards;
mod holdings;
mod owned;
mod pages;
mod source;
mod statement;
mod working;

use crate::{
    config::Config,
    facts,
    intake::currency,
    metrics as names,
    slot::Directory,
    store::{
        Books, StoreError,
        rows::{TradeRow, WalletRow},
        session::{Arg, Sql},
    },
    writer::busy,
};
use metrics::{counter, histogram};
use opentelemetry::trace::SpanKind;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::warn;
use tragen_bus::{Ask, Bus, NoAnswer};
use tragen_contracts::{
    convert::{self, InvalidField},
    trade_id,
    v1::{self, ledger_answer::Answer, ledger_question::Question},
};
use tragen_domain::{
    id::{AccountId, Currency},
    ledger::ResultCode,
};
use tragen_host::Context;
use uuid::Uuid;

pub(crate) use owned::Owned;
use source::{Replicas, Wanted};

/// Canonical gRPC codes used in answers.
mod code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const NOT_FOUND: i32 = 5;
    pub(super) const UNAVAILABLE: i32 = 14;
}

/// Why a command is not taken: nobody serves the shard at the moment.
const UNSERVED: &str = ResultCode::StoreUnavailable.as_str();
/// The same: the shard changes hands.
const FENCED: &str = ResultCode::Fenced.as_str();
/// Why a command has no answer: it may have been booked.
const OUTCOME_UNKNOWN: &str = ResultCode::OutcomeUnknown.as_str();
/// How soon a deposit that met a change of hands is tried again.
const DEPOSIT_AGAIN: Duration = Duration::from_millis(20);
/// How soon a question looks again at what another process commits.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

const TRADE: Sql = Sql::same(
    "SELECT * FROM trade WHERE trade_id = $1 AND account_id = $2
        AND EXISTS (SELECT 1 FROM slot WHERE slot = $3 AND state <= $4)",
);
const WALLET: Sql = Sql::same(
    "SELECT * FROM wallet WHERE account_id = $1 AND currency = $2
        AND EXISTS (SELECT 1 FROM slot WHERE slot = $3 AND state <= $4)",
);

/// What answers need; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    context: Context,
    bus: Bus,
    books: Arc<[Books]>,
    replicas: Arc<Replicas>,
    directory: Directory,
    owned: Owned,
    config: Arc<Config>,
}

impl Answers {
    /// Answers from `books`; commands go to whoever owns the account's shard.
    pub(crate) fn new(
        context: Context,
        bus: Bus,
        books: Arc<[Books]>,
        directory: Directory,
        owned: Owned,
        config: Arc<Config>,
    ) -> Self {
        let replicas = Arc::new(Replicas::new(&books));
        Self { context, bus, books, replicas, directory, owned, config }
    }

    /// The answer to one question; never fails, an error is an answer.
    pub(crate) async fn answer(self, asked: v1::LedgerQuestion) -> v1::LedgerAnswer {
        let started = Instant::now();
        let kind = kind_of(asked.question.as_ref());
        let mut span = self.context.spans.start(format!("ledger {kind}"), SpanKind::Server, &asked.traceparent);
        span.set("db.system.name", self.books[0].system());
        let answer = match self.put(asked, span.traceparent()).await {
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

    async fn put(&self, asked: v1::LedgerQuestion, traceparent: String) -> Result<Answer, v1::AskError> {
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
            Question::Deposit(request) => self.deposit(&account()?, request, traceparent).await,
            Question::GetStatement(request) => self.statement(&account()?, &request).await,
            Question::Holdings(question) => self.holdings(&question).await,
            Question::AccountsPage(page) => self.accounts_page(&page).await,
            Question::WorkingTrades(page) => self.working_trades(&page).await,
            Question::Outcomes(outcomes) if asked.account_id.is_empty() => self.outcomes(&outcomes).await,
            Question::Outcomes(outcomes) => self.outcomes_of(&account()?, &outcomes).await,
        }
    }

    async fn trade(&self, account: &AccountId, request: v1::GetTradeRequest) -> Result<Answer, v1::AskError> {
        let trade_id = match request.key {
            Some(v1::get_trade_request::Key::TradeId(trade_id)) => Uuid::try_parse(&trade_id)
                .map_err(|_| not_found("TRADE_NOT_FOUND", format!("there is no trade {trade_id}")))?,
            Some(v1::get_trade_request::Key::RequestId(request_id)) => trade_id(account.as_str(), &request_id),
            None => return Err(invalid(&InvalidField::new("key", "FIELD_MISSING", "one of the ids must be set"))),
        };
        let wanted = Wanted { kind: "get_trade", account, currency: None, min_version: 0 };
        let row = self.read(wanted, |source| async move {
            let [slot, state] = source.kept(account);
            let args = [Arg::Uuid(trade_id), Arg::Text(account.as_str()), slot, state];
            source.pool.one::<TradeRow>(TRADE, &args).await
        });
        // Somebody else's trade is not there either.
        let row = row.await?.ok_or_else(|| not_found("TRADE_NOT_FOUND", format!("there is no trade {trade_id}")))?;
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
        let (min_version, name) = (request.min_version, currency.as_str());
        let wanted = Wanted { kind: "get_account", account, currency: Some(&currency), min_version };
        let row = self.read(wanted, |source| async move {
            let [slot, state] = source.kept(account);
            let args = [Arg::Text(account.as_str()), Arg::Text(name), slot, state];
            source.pool.one::<WalletRow>(WALLET, &args).await
        });
        let row = row.await?.ok_or_else(|| no_wallet(account, &currency))?;
        Ok(Answer::Account(v1::GetAccountResponse { account: Some(facts::account(&row)) }))
    }

    /// Hands the deposit to the writer of the account's shard and waits for its commit. While the
    /// account moves to another shard, or its shard to another process, it is tried again.
    async fn deposit(
        &self,
        account: &AccountId,
        request: v1::DepositRequest,
        traceparent: String,
    ) -> Result<Answer, v1::AskError> {
        let question = v1::LedgerQuestion {
            account_id: account.to_string(),
            question: Some(Question::Deposit(request)),
            traceparent,
        };
        let deadline = Instant::now() + Duration::from_millis(self.config.deposit_wait_ms_max);
        let mut is_unknown = false;
        loop {
            let wait = deadline.saturating_duration_since(Instant::now());
            let error = match self.command(account, &question, wait).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // These are over in a moment; the id makes a repeat safe.
            let is_moving = error.reason == ResultCode::SlotMoving.as_str();
            let is_passing = is_moving || [UNSERVED, FENCED, OUTCOME_UNKNOWN].contains(&error.reason.as_str());
            is_unknown |= error.reason == OUTCOME_UNKNOWN;
            if !is_passing || deadline.saturating_duration_since(Instant::now()) <= DEPOSIT_AGAIN {
                // A later refusal says nothing about what an earlier attempt has done.
                return Err(if is_passing && is_unknown { unknown_outcome() } else { error });
            }
            tokio::time::sleep(DEPOSIT_AGAIN).await;
            if is_moving {
                self.slots().await;
            }
        }
    }

    /// Puts a command to the writer of the account's shard, wherever it runs.
    async fn command(
        &self,
        account: &AccountId,
        question: &v1::LedgerQuestion,
        wait: Duration,
    ) -> Result<Answer, v1::AskError> {
        let shard = self.directory.shard_of(account.as_str());
        let answer = if let Some(writer) = self.owned.writer(shard) {
            writer.answer(question.clone(), wait).await?
        } else {
            let answer = self.bus.ask::<_, v1::LedgerAnswer>(Ask::LedgerShard(shard), question, wait).await;
            answer.map_err(|error| match error {
                NoAnswer::NoResponder { .. } => {
                    busy(UNSERVED, "nobody serves the shard of this account; repeat the request".to_owned())
                }
                NoAnswer::Timeout { .. } | NoAnswer::Malformed { .. } => unknown_outcome(),
            })?
        };
        match answer.answer {
            Some(Answer::Error(error)) => Err(error),
            Some(answer) => Ok(answer),
            None => Err(unknown_outcome()),
        }
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
        Some(Question::GetStatement(_)) => "get_statement",
        Some(Question::Holdings(_)) => "holdings",
        Some(Question::WorkingTrades(_)) => "working_trades",
        None => "unset",
    }
}

fn invalid(error: &InvalidField) -> v1::AskError {
    v1::AskError { code: code::INVALID_ARGUMENT, reason: error.reason.to_owned(), message: error.to_string() }
}

fn not_found(reason: &str, message: String) -> v1::AskError {
    v1::AskError { code: code::NOT_FOUND, reason: reason.to_owned(), message }
}

fn unknown_outcome() -> v1::AskError {
    busy(OUTCOME_UNKNOWN, "the deposit is not confirmed; repeat it with the same request id".to_owned())
}

fn no_wallet(account: &AccountId, currency: &Currency) -> v1::AskError {
    not_found("ACCOUNT_NOT_FOUND", format!("account {account} has no wallet in {currency}"))
}

fn unavailable(error: StoreError) -> v1::AskError {
    warn!("a question could not be answered: {:#}", anyhow::Error::new(error));
    v1::AskError {
        code: code::UNAVAILABLE,
        reason: ResultCode::StoreUnavailable.as_str().to_owned(),
        message: "the ledger's database does not answer".to_owned(),
    }
}
