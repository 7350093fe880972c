//! The proof of a record: every answer is in the ledger exactly once and says
//! there what it said to the caller; nothing is in it that nobody asked for; and
//! every request without an answer has ended too, or never arrived.

mod database;

use crate::{
    audit::{cancel, patiently},
    book::{Findings, is_final},
    crowd::Crowd,
    record::{Asked, Ledgered, Reading, Told},
    target::Account,
};
use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tonic::{Code, Status, transport::Channel};
use tragen_contracts::v1::{self, accounts_client::AccountsClient, trading_client::TradingClient};
use uuid::Uuid;

/// Accounts that are proved at the same time.
const ACCOUNTS_AT_ONCE: usize = 16;
const DEADLINE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
const PAGE_SIZE: i32 = 500;
/// Pages of trades read of one account: five million trades.
const PAGES_MAX: usize = 10_000;
/// So much earlier a trade of ours may seem to have been asked for: clocks differ.
const CLOCK_SECS: i64 = 120;

/// What the record proved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Requests for trades that were made.
    pub requests: u64,
    /// Those that were answered with a trade.
    pub answered: u64,
    /// Answers that are in the ledger exactly once and as they were told.
    pub proved: u64,
    /// Requests without an answer that are in the ledger nevertheless, once each.
    pub recovered: u64,
    /// Of those, orders that had come to rest when their caller had given up, and were canceled to prove that guard
    /// and ledger know them.
    pub left_resting: u64,
    /// Requests without an answer that never arrived.
    pub never_arrived: u64,
    /// Trades that were compared in the databases themselves.
    pub in_databases: u64,
    /// Broken promises.
    pub findings_count: usize,
    /// The first of them, one sentence each.
    pub findings: Vec<String>,
}

impl Proof {
    /// Whether every promise was kept.
    #[must_use]
    pub const fn is_passed(&self) -> bool {
        self.findings_count == 0
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_passed() { "passed" } else { "FAILED" };
        let Self { requests, answered, proved, recovered, left_resting, never_arrived, in_databases, .. } = self;
        write!(
            f,
            "{verdict}: {requests} requests, {answered} answered, {proved} of them once and unchanged in the ledger; \
             without an answer {recovered} found ({left_resting} of them resting), {never_arrived} never arrived; \
             {in_databases} compared in databases"
        )?;
        for finding in &self.findings {
            write!(f, "\n  ! {finding}")?;
        }
        let untold = self.findings_count - self.findings.len();
        if untold > 0 { write!(f, "\n  ! and {untold} more") } else { Ok(()) }
    }
}

/// Who proves, and against what.
#[derive(Debug)]
pub(crate) struct Prover<'a> {
    pub(crate) channel: Channel,
    pub(crate) crowd: &'a Crowd,
    /// When the first request was made at the earliest.
    pub(crate) began: SystemTime,
    /// How long unfinished trades may take to end.
    pub(crate) patience: Duration,
}

/// What one account's trades are.
#[derive(Debug, Default)]
struct Compared {
    proved: u64,
    recovered: u64,
    never_arrived: u64,
    findings: Vec<String>,
    is_unfinished: bool,
    /// Trade ids of orders that rest though their caller has given up.
    resting: Vec<String>,
}

impl Prover<'_> {
    /// Proves what `record` says, in the API and in `databases`, one for each shard.
    pub(crate) async fn prove(&self, record: &Path, databases: &[String]) -> anyhow::Result<Proof> {
        let read = Reading::of(record)?;
        let mut findings = Findings::default();
        for (count, what) in [(read.strangers, "answers to requests nobody made"), (read.repeated, "ids used twice")] {
            if count > 0 {
                findings.add(format!("{count} {what}"));
            }
        }
        let asked = read.accounts.values().flat_map(BTreeMap::values);
        let answered = asked.filter(|asked| asked.told.is_some()).count();
        let mut proof = Proof {
            requests: u64::try_from(read.len()).unwrap_or(u64::MAX),
            answered: u64::try_from(answered).unwrap_or(u64::MAX),
            ..Proof::default()
        };
        let proving = stream::iter(&read.accounts).map(|(name, ledgered)| self.account(name, ledgered));
        let mut proving = proving.buffer_unordered(ACCOUNTS_AT_ONCE);
        while let Some((account, left_resting)) = proving.next().await {
            proof.proved += account.proved;
            proof.recovered += account.recovered;
            proof.never_arrived += account.never_arrived;
            proof.left_resting += left_resting;
            account.findings.into_iter().for_each(|finding| findings.add(finding));
        }
        if !databases.is_empty() {
            proof.in_databases =
                database::prove(databases, &read, &mut findings).await.context("asking the databases")?;
        }
        let Findings { told, count } = findings;
        Ok(Proof { findings_count: count, findings: told, ..proof })
    }

    /// Waits until every trade of the account has ended; how many orders had to be canceled for that.
    async fn account(&self, name: &str, ledgered: &Ledgered) -> (Compared, u64) {
        let until = Instant::now() + self.patience;
        let mut canceled = BTreeSet::new();
        loop {
            let failed = |status: Status| Compared {
                findings: vec![format!("the trades of {name} cannot be read: {status}")],
                ..Compared::default()
            };
            let account = match self.look(name, ledgered).await {
                Ok(account) => account,
                Err(status) => failed(status),
            };
            if !account.is_unfinished || Instant::now() >= until {
                return (account, u64::try_from(canceled.len()).unwrap_or(u64::MAX));
            }
            for trade_id in &account.resting {
                // What came of it, the next look shows.
                let _ = self.cancel(name, trade_id).await;
                canceled.insert(trade_id.clone());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn look(&self, name: &str, ledgered: &Ledgered) -> Result<Compared, Status> {
        let number = self.crowd.number(name).ok_or_else(|| Status::internal("the record names a stranger"))?;
        let until = Instant::now() + self.patience;
        let named = || self.crowd.account(number).map_err(|error| Status::internal(format!("{error:#}")));
        let trades = patiently(until, || async { self.trades(&named()?).await }).await?;
        let cash = patiently(until, || async { self.cash(&named()?).await }).await?;
        let mut account = compared(name, ledgered, &trades);
        if cash < 0 {
            account.findings.push(format!("{name} holds {cash}e-6, which is below zero"));
        }
        Ok(account)
    }

    async fn cancel(&self, name: &str, trade_id: &str) -> Result<(), Status> {
        let number = self.crowd.number(name).ok_or_else(|| Status::internal("the record names a stranger"))?;
        let account = self.crowd.account(number).map_err(|error| Status::internal(format!("{error:#}")))?;
        cancel(&self.channel, &account, trade_id).await
    }

    /// The account's trades since the record began, newest first.
    async fn trades(&self, account: &Account) -> Result<Vec<v1::Trade>, Status> {
        let began = self.began.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let oldest = i64::try_from(began).unwrap_or(i64::MAX) - CLOCK_SECS;
        let is_ours = |trade: &v1::Trade| trade.created_at.is_none_or(|at| at.seconds >= oldest);
        let mut client = TradingClient::new(self.channel.clone());
        let mut request = v1::ListTradesRequest { page_size: PAGE_SIZE, ..v1::ListTradesRequest::default() };
        let mut trades = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = client.list_trades(account.request(request.clone(), DEADLINE)).await?.into_inner();
            let is_past = page.trades.iter().any(|trade| !is_ours(trade));
            trades.extend(page.trades.into_iter().filter(is_ours));
            if page.next_page_token.is_empty() || is_past {
                break;
            }
            request.page_token = page.next_page_token;
        }
        Ok(trades)
    }

    async fn cash(&self, account: &Account) -> Result<i64, Status> {
        let mut client = AccountsClient::new(self.channel.clone());
        match client.get_account(account.request(v1::GetAccountRequest::default(), DEADLINE)).await {
            Ok(answer) => Ok(answer.into_inner().account.map_or(0, |account| account.cash_micros)),
            Err(status) if status.code() == Code::NotFound => Ok(0),
            Err(status) => Err(status),
        }
    }
}

/// What was recorded beside what the ledger has.
fn compared(name: &str, ledgered: &Ledgered, trades: &[v1::Trade]) -> Compared {
    let mut account = Compared::default();
    let mut found: BTreeMap<Uuid, Vec<&v1::Trade>> = BTreeMap::new();
    for trade in trades {
        match trade.request_id.parse() {
            Ok(id) => found.entry(id).or_default().push(trade),
            Err(_) => account.findings.push(format!("trade {} of {name} has no request id", trade.trade_id)),
        }
    }
    for (id, asked) in ledgered {
        let trades = found.remove(id).unwrap_or_default();
        one(&mut account, (id, asked), &trades);
    }
    for id in found.keys() {
        account.findings.push(format!("{name} has a trade for request {id}, which nobody made"));
    }
    account
}

fn one(account: &mut Compared, (id, asked): (&Uuid, &Asked), trades: &[&v1::Trade]) {
    if asked.contradiction {
        account.findings.push(format!("request {id} was answered in two ways"));
    }
    let open = trades.iter().find(|trade| !is_final(trade));
    if let Some(open) = open {
        if asked.may_rest && open.status() == v1::TradeStatus::Working {
            account.resting.push(open.trade_id.clone());
        }
        account.is_unfinished = true;
        account.findings.push(format!("the trade of request {id} does not end"));
        return;
    }
    match (&asked.told, trades) {
        (_, [_, _, ..]) => {
            account.findings.push(format!("request {id} is in the ledger {} times", trades.len()));
        }
        (None, []) => account.never_arrived += 1,
        (None, [_]) => account.recovered += 1,
        (Some(told), []) => {
            account.findings.push(format!("request {id} was answered as {told:?} and is not in the ledger"));
        }
        (Some(told), [trade]) => {
            let kept = Told::of(trade);
            // What was open when it was answered may have gone on since.
            if kept == *told || !crate::record::is_final(told.status) {
                account.proved += 1;
            } else {
                account.findings.push(format!("request {id} was answered as {told:?} and is now {kept:?}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade(id: Uuid, status: v1::TradeStatus, cash_change_micros: i64) -> v1::Trade {
        let request_id = id.to_string();
        v1::Trade { request_id, status: status.into(), cash_change_micros, ..v1::Trade::default() }
    }

    fn check(told: Option<&v1::Trade>, id: Uuid, trades: &[v1::Trade], expected: &str) {
        let (account, may_rest) = ("a".to_owned(), false);
        let asked = Asked { account, may_rest, told: told.map(Told::of), contradiction: false };
        let account = compared("a", &Ledgered::from([(id, asked)]), trades);
        assert!(account.resting.is_empty(), "what may not rest is not canceled");
        let said = match &account.findings[..] {
            [] => format!("{}/{}/{}", account.proved, account.recovered, account.never_arrived),
            findings => findings.join("; "),
        };
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn every_answer_is_in_the_ledger_once_and_unchanged() {
        use v1::TradeStatus::{Canceled, Filled, Working};
        let id = Uuid::now_v7();
        let filled = trade(id, Filled, -5);
        check(Some(&filled), id, std::slice::from_ref(&filled), "1/0/0");
        check(Some(&trade(id, Working, 0)), id, &[trade(id, Canceled, 0)], "1/0/0");
        check(None, id, std::slice::from_ref(&filled), "0/1/0");
        check(None, id, &[], "0/0/1");
        check(Some(&filled), id, &[], "is not in the ledger");
        check(Some(&filled), id, &[filled.clone(), filled.clone()], "is in the ledger 2 times");
        check(Some(&filled), id, &[trade(id, Filled, -6)], "and is now");
        check(Some(&filled), id, &[trade(id, Working, 0)], "does not end");
        check(None, id, &[trade(Uuid::now_v7(), Filled, -5)], "which nobody made");
    }

    #[test]
    fn an_order_whose_caller_gave_up_may_rest_until_it_is_canceled() {
        use v1::TradeStatus::{Pending, Working};
        let id = Uuid::now_v7();
        let asked = |may_rest| Asked { account: "a".to_owned(), may_rest, told: None, contradiction: false };
        let resting = |status, may_rest| {
            let account = compared("a", &Ledgered::from([(id, asked(may_rest))]), &[trade(id, status, 0)]);
            assert!(account.is_unfinished && account.findings.len() == 1, "as long as it is open it has not ended");
            account.resting.len()
        };
        assert_eq!((resting(Working, true), resting(Working, false), resting(Pending, true)), (1, 0, 0));
    }
}
