//! Balances, positions, transfers, and money in and out.

use super::{Api, Call};
use crate::{
    desk::Posted,
    errand::Errand,
    refusal::{Refusal, malformed_answer},
};
use std::sync::Arc;
use tragen_contracts::v1::{
    DepositRequest, DepositResponse, GetAccountRequest, GetAccountResponse, ListPositionsRequest,
    ListPositionsResponse, ListTransfersRequest, ListTransfersResponse, WithdrawRequest, WithdrawResponse,
    WithdrawalRequested, WithdrawalStatus, ledger_answer::Answer, ledger_question::Question,
};
use tragen_domain::{
    routing::{CashFields, check_cash, check_page_size},
    time::Timestamp,
};
use tragen_host::clock::now_micros;

/// The currency of a request that names none.
const DEFAULT_CURRENCY: &str = "USD";

impl Api {
    /// `Accounts/GetAccount`.
    pub(crate) async fn get_account(
        &self,
        call: &Call,
        mut request: GetAccountRequest,
    ) -> Result<GetAccountResponse, Refusal> {
        request.currency = currency_or_default(request.currency);
        let Answer::Account(answer) = self.ask_own_ledger(call, Question::GetAccount(request)).await? else {
            return Err(malformed_answer());
        };
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
        let question = Question::ListPositions(ListPositionsRequest { page_size, page_token });
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
        let question = Question::ListTransfers(ListTransfersRequest { page_size, page_token });
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
        };
        let posted = self.run_errand(call, request_id, Errand::Withdrawal(withdrawal)).await?;
        let Posted::Cash(posted) = posted.as_ref() else { return Err(malformed_answer()) };
        let (status, denial_reason) = match &posted.denial {
            None => (WithdrawalStatus::Posted, String::new()),
            Some(denial) => {
                let name = denial.code().as_str_name();
                (WithdrawalStatus::Denied, name.strip_prefix("DENIAL_CODE_").unwrap_or(name).to_owned())
            }
        };
        Ok(WithdrawResponse { account: posted.account.clone(), status: status.into(), denial_reason })
    }
}

fn currency_or_default(currency: String) -> String {
    if currency.is_empty() { DEFAULT_CURRENCY.to_owned() } else { currency }
}
