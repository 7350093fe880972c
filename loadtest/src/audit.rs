//! The audit after the load: what was answered must still be there, and money
//! must be exactly where the answers say.

use crate::{
    book::{Book, Findings, Kept, Promised, is_final},
    crowd::Crowd,
    target::Account,
    trader::may_pass,
};
use futures::{StreamExt as _, stream};
use serde::Serialize;
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};
use tonic::{Code, Status, transport::Channel};
use tragen_contracts::v1::{self, accounts_client::AccountsClient, trading_client::TradingClient};
use uuid::Uuid;

/// Questions asked at the same time.
const QUESTIONS_AT_ONCE: usize = 16;
const DEADLINE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
const PAGE_SIZE: i32 = 500;
/// Pages of transfers read of one account: five million transfers.
const PAGES_MAX: usize = 10_000;

/// The result of an audit.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Audit {
    /// Answers that were compared with the server's later word.
    pub trades_compared: u64,
    /// Accounts whose cash was compared with the sum of the answers.
    pub accounts_compared: u64,
    /// Transfers that were added up to an account's cash.
    pub transfers_added: u64,
    /// Operations without an answer whose trade was found afterwards.
    pub recovered: u64,
    /// Of those, orders that had come to rest when their caller had given up. That is as it should be: the audit
    /// cancels them, and guard and ledger must know them.
    pub left_resting: u64,
    /// Broken promises.
    pub findings_count: usize,
    /// The first of them, one sentence each.
    pub findings: Vec<String>,
}

impl Audit {
    /// Whether every promise was kept.
    #[must_use]
    pub const fn is_passed(&self) -> bool {
        self.findings_count == 0
    }
}

/// Who asks, and about what.
#[derive(Debug)]
pub(crate) struct Auditor<'a> {
    pub(crate) channel: Channel,
    pub(crate) crowd: &'a Crowd,
    pub(crate) currency: &'a str,
    /// How long unfinished business may take to settle.
    pub(crate) patience: Duration,
    /// Accounts whose transfers are added up.
    pub(crate) transfers_of_max: usize,
}

/// What one account turned out to hold.
#[derive(Debug)]
struct Settled {
    recovered: u64,
    left_resting: u64,
    finding: Option<String>,
}

impl Auditor<'_> {
    /// The cash of the accounts with these numbers.
    pub(crate) async fn cash(&self, numbers: &[usize]) -> Result<HashMap<usize, i64>, Status> {
        let asked = stream::iter(numbers).map(|number| async move {
            let until = Instant::now() + self.patience;
            match patiently(until, || async { self.account(&self.named(*number)?, 0).await }).await {
                Err(status) if status.code() == Code::NotFound => Ok((*number, 0)),
                answer => Ok((*number, answer?.cash_micros)),
            }
        });
        asked.buffer_unordered(QUESTIONS_AT_ONCE).collect::<Vec<_>>().await.into_iter().collect()
    }

    fn named(&self, number: usize) -> Result<Account, Status> {
        self.crowd.account(number).map_err(|error| Status::internal(format!("{error:#}")))
    }

    /// Compares the promises in `book`, made since the accounts held `cash_before`, with what the server says now.
    pub(crate) async fn audit(&self, book: Book, cash_before: &HashMap<usize, i64>) -> Audit {
        let until = Instant::now() + self.patience;
        let summed: Vec<usize> = book.accounts.keys().copied().take(self.transfers_of_max).collect();
        let mut audit = Audit::default();
        let is_incomplete = book.is_incomplete();
        let mut findings = book.findings;
        if is_incomplete {
            findings.add("too many operations without an answer to audit them".to_owned());
        } else {
            let settling = stream::iter(&book.accounts).map(|(number, promised)| {
                let before = cash_before.get(number).copied().unwrap_or(0);
                self.settle(*number, promised, before)
            });
            let mut settled = settling.buffer_unordered(QUESTIONS_AT_ONCE);
            while let Some(Settled { recovered, left_resting, finding }) = settled.next().await {
                audit.left_resting += left_resting;
                audit.accounts_compared += 1;
                audit.recovered += recovered;
                finding.into_iter().for_each(|finding| findings.add(finding));
            }
        }
        let comparing = stream::iter(book.sample.into_items()).map(|kept| self.compare(kept, until));
        let mut compared = comparing.buffer_unordered(QUESTIONS_AT_ONCE);
        while let Some(finding) = compared.next().await {
            audit.trades_compared += 1;
            finding.into_iter().for_each(|finding| findings.add(finding));
        }
        for number in summed {
            match patiently(until, || async { self.add_up(&self.named(number)?).await }).await {
                Ok((transfers, finding)) => {
                    audit.transfers_added += transfers;
                    finding.into_iter().for_each(|finding| findings.add(finding));
                }
                Err(status) => findings.add(format!("the transfers of account {number} cannot be read: {status}")),
            }
        }
        let Findings { told, count } = findings;
        Audit { findings_count: count, findings: told, ..audit }
    }

    /// The trade that was answered is still there, to the last field.
    async fn compare(&self, kept: Kept, until: Instant) -> Option<String> {
        let id = &kept.trade.request_id;
        let account = match self.named(kept.account) {
            Ok(account) => account,
            Err(status) => return Some(format!("account {} has no token: {status}", kept.account)),
        };
        match patiently(until, || self.trade(&account, id)).await {
            Ok(trade) if trade == kept.trade => None,
            Ok(trade) => Some(format!("trade {id} was answered as {:?} and is now {trade:?}", kept.trade)),
            Err(status) => Some(format!("trade {id} of {} was answered and is not to be had: {status}", account.name)),
        }
    }

    /// Waits until the account holds what it should; while operations are without an answer it may still change.
    async fn settle(&self, number: usize, promised: &Promised, before: i64) -> Settled {
        let until = Instant::now() + self.patience;
        let mut canceled = HashSet::new();
        loop {
            let asked = async { self.settled(&self.named(number)?, (promised, before), &mut canceled).await };
            let (settled, may_change) = match asked.await {
                Ok(settled) => (settled, !promised.unanswered.is_empty()),
                Err(status) => {
                    let finding = Some(format!("account {number} cannot be read: {status}"));
                    (Settled { recovered: 0, left_resting: 0, finding }, true)
                }
            };
            if settled.finding.is_none() || !may_change || Instant::now() >= until {
                return Settled { left_resting: u64::try_from(canceled.len()).unwrap_or(u64::MAX), ..settled };
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The account's cash is what it was, plus what the answers say, plus what became of operations without one.
    /// Orders that rest because their caller had given up are put into `canceled`.
    async fn settled(
        &self,
        account: &Account,
        (promised, before): (&Promised, i64),
        canceled: &mut HashSet<Uuid>,
    ) -> Result<Settled, Status> {
        let recovered = self.recover(account, promised, canceled).await?;
        let now = self.account(account, promised.version.max(recovered.version)).await?.cash_micros;
        let expected = i128::from(before) + promised.cash_change_micros + recovered.cash_change_micros;
        let finding = if !recovered.is_settled {
            Some(format!("{} has trades that do not end", account.name))
        } else if i128::from(now) != expected {
            Some(format!("{} holds {now}e-6 where the answers add up to {expected}e-6", account.name))
        } else {
            None
        };
        Ok(Settled { recovered: recovered.trades, left_resting: 0, finding })
    }

    /// What became of the operations without an answer.
    async fn recover(
        &self,
        account: &Account,
        promised: &Promised,
        canceled: &mut HashSet<Uuid>,
    ) -> Result<Recovered, Status> {
        let mut recovered = Recovered { is_settled: true, ..Recovered::default() };
        for (request_id, meant) in &promised.unanswered {
            match self.trade(account, &request_id.to_string()).await {
                Ok(trade) if meant.may_rest() && trade.status() == v1::TradeStatus::Working => {
                    // Nobody else will; and only an order that guard and venue know too can be ended.
                    canceled.insert(*request_id);
                    cancel(&self.channel, account, &trade.trade_id).await?;
                    recovered.is_settled = false;
                }
                Ok(trade) => {
                    recovered.trades += 1;
                    recovered.cash_change_micros += i128::from(trade.cash_change_micros);
                    recovered.version = recovered.version.max(trade.account_version);
                    recovered.is_settled &= is_final(&trade);
                }
                Err(status) if status.code() == Code::NotFound => {}
                Err(status) => return Err(status),
            }
        }
        Ok(recovered)
    }

    /// The account's transfers add up to its cash. Returns how many there are.
    async fn add_up(&self, account: &Account) -> Result<(u64, Option<String>), Status> {
        let cash = self.account(account, 0).await?.cash_micros;
        let wallet = format!("wallet/{}", account.name);
        let with_currency = format!("{wallet}/{}", self.currency);
        let is_wallet = |name: &str| name == wallet || name == with_currency;
        let mut client = AccountsClient::new(self.channel.clone());
        let mut request = v1::ListTransfersRequest { page_size: PAGE_SIZE, ..v1::ListTransfersRequest::default() };
        let (mut count, mut sum) = (0, 0_i128);
        for _ in 0..PAGES_MAX {
            let page = client.list_transfers(account.request(request.clone(), DEADLINE)).await?.into_inner();
            for transfer in page.transfers.iter().filter(|transfer| transfer.currency == self.currency) {
                count += 1;
                let amount = i128::from(transfer.amount_micros);
                sum += if is_wallet(&transfer.credit_account) { amount } else { 0 };
                sum -= if is_wallet(&transfer.debit_account) { amount } else { 0 };
            }
            if page.next_page_token.is_empty() {
                let finding = (sum != i128::from(cash))
                    .then(|| format!("{} holds {cash}e-6 where its transfers add up to {sum}e-6", account.name));
                return Ok((count, finding));
            }
            request.page_token = page.next_page_token;
        }
        Ok((count, Some(format!("{} has more transfers than are read", account.name))))
    }

    async fn account(&self, account: &Account, min_version: i64) -> Result<v1::Account, Status> {
        let request = v1::GetAccountRequest { currency: self.currency.to_owned(), min_version, max_age_ms: 0 };
        let mut client = AccountsClient::new(self.channel.clone());
        let answer = client.get_account(account.request(request, DEADLINE)).await?.into_inner();
        answer.account.ok_or_else(|| Status::internal("an answer without an account"))
    }

    async fn trade(&self, account: &Account, request_id: &str) -> Result<v1::Trade, Status> {
        let key = v1::get_trade_request::Key::RequestId(request_id.to_owned());
        let request = v1::GetTradeRequest { key: Some(key) };
        let mut client = TradingClient::new(self.channel.clone());
        let answer = client.get_trade(account.request(request, DEADLINE)).await?.into_inner();
        answer.trade.ok_or_else(|| Status::internal("an answer without a trade"))
    }
}

/// Asks for the end of an order that rests; what came of it, the next look shows.
pub(crate) async fn cancel(channel: &Channel, account: &Account, trade_id: &str) -> Result<(), Status> {
    let request = v1::CancelTradeRequest { trade_id: trade_id.to_owned() };
    TradingClient::new(channel.clone()).cancel_trade(account.request(request, DEADLINE)).await.map(drop)
}

/// Effects of operations that were not answered.
#[derive(Debug, Default)]
struct Recovered {
    trades: u64,
    cash_change_micros: i128,
    version: i64,
    is_settled: bool,
}

/// Asks until there is an answer, a refusal that will not change, or it is `until`.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, Status>>>(
    until: Instant,
    ask: impl Fn() -> F,
) -> Result<T, Status> {
    loop {
        let status = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(status) => status,
        };
        if !may_pass(&status) || Instant::now() >= until {
            return Err(status);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
