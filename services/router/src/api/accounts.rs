//! Balances, positions, transfers, statements, and money in, out and to others.

use super::{Api, Call};
use crate::{
    desk::Posted,
    errand::Errand,
    refusal::{Refusal, malformed_answer},
};
use std::sync::Arc;
use tragen_contracts::v1::{
    self, CashPosted, DepositRequest, DepositResponse, GetAccountRequest, GetAccountResponse, GetStatementRequest,
    GetStatementResponse, ListPositionsRequest, ListPositionsResponse, ListTransfersRequest, ListTransfersResponse,
    SendRequest, SendResponse, WithdrawRequest, WithdrawResponse, WithdrawalRequested, WithdrawalStatus,
    ledger_answer::Answer, ledger_question::Question,
};
use tragen_domain::{
    id::Currency,
    routing::{
        AccountFields, CashFields, Period, RequestId, StatementFields, check_account, check_cash, check_page_size,
        check_sending, check_statement,
    },
    time::Timestamp,
};
use tragen_host::clock::now_micros;

/// The currency of a request that names none.
const DEFAULT_CURRENCY: &str = "USD";

impl Api {
    /// `Accounts/GetAccount`. Only who says that an older answer will do gets one.
    pub(crate) async fn get_account(
        self: &Arc<Self>,
        call: &Call,
        mut request: GetAccountRequest,
    ) -> Result<GetAccountResponse, Refusal> {
        let max_age_ms = check_account(&AccountFields {
            currency: &request.currency,
            min_version: request.min_version,
            max_age_ms: request.max_age_ms,
        })?;
        request.currency = currency_or_default(request.currency);
        if let Some((max_age_ms, currency)) = max_age_ms.zip(Currency::new(&request.currency).ok()) {
            let account = Some(self.cached_account(call, currency, max_age_ms).await?);
            return Ok(GetAccountResponse { account });
        }
        let read_at = Timestamp::from_micros(now_micros());
        let Answer::Account(answer) = self.ask_own_ledger(call, Question::GetAccount(request)).await? else {
            return Err(malformed_answer());
        };
        if let Some(account) = &answer.account {
            self.balances.remember(account, read_at);
        }
        Ok(answer)
    }

    /// `Accounts/ListPositions`.
    pub(crate) async fn list_positions(
        &self,
        call: &Call,
        request: ListPositionsRequest,
    ) -> Result<ListPositionsResponse, Refusal> {
        let account = &call.caller.account;
        let page_size = check_page_size(request.page_size)?;
        let page_token = self.pages.open(account, "positions", &request.page_token)?;
        let min_version = request.min_version;
        let question = Question::ListPositions(ListPositionsRequest { page_size, page_token, min_version });
        let Answer::Positions(mut page) = self.ask_own_ledger(call, question).await? else {
            return Err(malformed_answer());
        };
        page.next_page_token = self.pages.seal(account, "positions", &page.next_page_token)?;
        Ok(page)
    }

    /// `Accounts/ListTransfers`.
    pub(crate) async fn list_transfers(
        &self,
        call: &Call,
        request: ListTransfersRequest,
    ) -> Result<ListTransfersResponse, Refusal> {
        let account = &call.caller.account;
        let page_size = check_page_size(request.page_size)?;
        let page_token = self.pages.open(account, "transfers", &request.page_token)?;
        let min_version = request.min_version;
        let question = Question::ListTransfers(ListTransfersRequest { page_size, page_token, min_version });
        let Answer::Transfers(mut page) = self.ask_own_ledger(call, question).await? else {
            return Err(malformed_answer());
        };
        page.next_page_token = self.pages.seal(account, "transfers", &page.next_page_token)?;
        Ok(page)
    }

    /// `Accounts/Deposit`.
    pub(crate) async fn deposit(&self, call: &Call, mut request: DepositRequest) -> Result<DepositResponse, Refusal> {
        let fields = CashFields {
            request_id: &request.request_id,
            amount_micros: request.amount_micros,
            currency: &request.currency,
        };
        let request_id = check_cash(&fields, &self.limits, Timestamp::from_micros(now_micros()))?;
        request.request_id = request_id.to_string();
        request.currency = currency_or_default(request.currency);
        let Answer::Deposit(answer) = self.ask_own_ledger(call, Question::Deposit(request)).await? else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    /// `Accounts/Withdraw`: the guard decides, the ledger posts.
    pub(crate) async fn withdraw(
        self: &Arc<Self>,
        call: &Call,
        request: WithdrawRequest,
    ) -> Result<WithdrawResponse, Refusal> {
        let fields = CashFields {
            request_id: &request.request_id,
            amount_micros: request.amount_micros,
            currency: &request.currency,
        };
        let request_id = check_cash(&fields, &self.limits, Timestamp::from_micros(now_micros()))?;
        let withdrawal = WithdrawalRequested {
            amount_micros: request.amount_micros,
            currency: currency_or_default(request.currency),
            to_account_id: String::new(),
        };
        let (account, status, denial_reason) = self.move_cash(call, request_id, withdrawal).await?;
        Ok(WithdrawResponse { account, status: status.into(), denial_reason })
    }

    /// `Accounts/Send`: the guard decides, the ledger posts.
    pub(crate) async fn send(self: &Arc<Self>, call: &Call, request: SendRequest) -> Result<SendResponse, Refusal> {
        let fields = CashFields {
            request_id: &request.request_id,
            amount_micros: request.amount_micros,
            currency: &request.currency,
        };
        let parties = (&call.caller.account, request.to_account_id.as_str());
        let now = Timestamp::from_micros(now_micros());
        let (request_id, receiver) = check_sending(&fields, parties, &self.limits, now)?;
        let sending = WithdrawalRequested {
            amount_micros: request.amount_micros,
            currency: currency_or_default(request.currency),
            to_account_id: receiver.to_string(),
        };
        let (account, status, denial_reason) = self.move_cash(call, request_id, sending).await?;
        Ok(SendResponse { account, status: status.into(), denial_reason })
    }

    /// `Accounts/GetStatement`. A page token belongs to the period it was made for.
    pub(crate) async fn get_statement(
        &self,
        call: &Call,
        request: GetStatementRequest,
    ) -> Result<GetStatementResponse, Refusal> {
        let account = &call.caller.account;
        let period = check_statement(&StatementFields {
            currency: &request.currency,
            from: request.from.map(|from| (from.seconds, from.nanos)),
            to: request.to.map(|to| (to.seconds, to.nanos)),
            page_size: request.page_size,
        })?;
        let currency = currency_or_default(request.currency);
        let list = statement_name(&currency, &period);
        let question = Question::GetStatement(GetStatementRequest {
            currency,
            from: request.from,
            to: request.to,
            page_size: period.page_size,
            page_token: self.pages.open(account, &list, &request.page_token)?,
            min_version: request.min_version,
        });
        let Answer::Statement(mut page) = self.ask_own_ledger(call, question).await? else {
            return Err(malformed_answer());
        };
        page.next_page_token = self.pages.seal(account, &list, &page.next_page_token)?;
        Ok(page)
    }

    /// Has the guard decide on money that leaves the caller's account, and waits for the books.
    async fn move_cash(
        self: &Arc<Self>,
        call: &Call,
        request_id: RequestId,
        asked: WithdrawalRequested,
    ) -> Result<(Option<v1::Account>, WithdrawalStatus, String), Refusal> {
        let posted = self.run_errand(call, request_id, Errand::Withdrawal(asked)).await?;
        let Posted::Cash(posted) = posted.as_ref() else { return Err(malformed_answer()) };
        if posted.account.as_ref().is_some_and(|account| account.account_id != call.caller.account.as_str()) {
            return Err(malformed_answer());
        }
        let (status, denial_reason) = decided(posted);
        Ok((posted.account.clone(), status, denial_reason))
    }
}

fn decided(posted: &CashPosted) -> (WithdrawalStatus, String) {
    match &posted.denial {
        None => (WithdrawalStatus::Posted, String::new()),
        Some(denial) => {
            let name = denial.code().as_str_name();
            (WithdrawalStatus::Denied, name.strip_prefix("DENIAL_CODE_").unwrap_or(name).to_owned())
        }
    }
}

/// What the page tokens of a statement are bound to.
fn statement_name(currency: &str, period: &Period) -> String {
    let moment = |moment: Option<Timestamp>| moment.map(|moment| moment.micros().to_string()).unwrap_or_default();
    format!("statement:{currency}:{}:{}", moment(period.from), moment(period.to))
}

fn currency_or_default(currency: String) -> String {
    if currency.is_empty() { DEFAULT_CURRENCY.to_owned() } else { currency }
}
