//! Statements: every change of the cash, with what was there before and after.

use super::{
    accounting::{Market, Tables, traded},
    rig::{BOTH, Kind, Rig, fill, id, report, withdrawal},
};
use tragen_contracts::{
    convert,
    v1::{
        self, DepositRequest, GetStatementRequest, GetStatementResponse, ListTransfersRequest, Side, StatementLine,
        TradeStatus, ledger_answer::Answer, ledger_question::Question,
    },
};
use tragen_domain::time::Timestamp;

/// Later than anything that is booked here, microseconds since the epoch.
const FAR: i64 = 4_000_000_000_000_000;

/// A statement from one moment to another, microseconds since the epoch.
fn period(from: impl Into<Option<i64>>, to: impl Into<Option<i64>>) -> GetStatementRequest {
    let moment = |micros: Option<i64>| micros.map(|micros| convert::timestamp(Timestamp::from_micros(micros)));
    GetStatementRequest { from: moment(from.into()), to: moment(to.into()), ..GetStatementRequest::default() }
}

/// When a transfer was posted.
fn micros(transfer: &v1::Transfer) -> i64 {
    convert::time("posted_at", transfer.posted_at.as_ref().expect("a time")).expect("a time").micros()
}

pub(crate) async fn page(rig: &Rig, account: &str, request: GetStatementRequest) -> GetStatementResponse {
    match rig.ask(account, Question::GetStatement(request)).await.answer {
        Some(Answer::Statement(page)) => page,
        other => panic!("no statement: {other:?}"),
    }
}

/// All pages of a statement, each of which must go on where the one before ended.
pub(crate) async fn whole(rig: &Rig, account: &str, request: GetStatementRequest) -> GetStatementResponse {
    let mut all: Option<GetStatementResponse> = None;
    let mut page_token = String::new();
    loop {
        let next = page(rig, account, GetStatementRequest { page_token, ..request.clone() }).await;
        let mut cash = next.opening_cash_micros;
        for line in &next.lines {
            cash += line.amount_micros;
            assert_eq!(line.cash_micros, cash);
        }
        assert_eq!(next.closing_cash_micros, cash);
        page_token = next.next_page_token.clone();
        let so_far = all.get_or_insert_with(|| GetStatementResponse {
            opening_cash_micros: next.opening_cash_micros,
            closing_cash_micros: next.opening_cash_micros,
            ..GetStatementResponse::default()
        });
        assert_eq!(so_far.closing_cash_micros, next.opening_cash_micros);
        so_far.closing_cash_micros = cash;
        if !page_token.is_empty() {
            assert_eq!(next.lines.len(), usize::try_from(request.page_size).expect("a size"));
        }
        so_far.lines.extend(next.lines);
        if page_token.is_empty() {
            return all.expect("a page");
        }
    }
}

/// All transfers of an account, newest first.
pub(crate) async fn transfers(rig: &Rig, account: &str, page_size: i32) -> Vec<v1::Transfer> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListTransfersRequest { page_size, page_token, min_version: 0 };
        let Some(Answer::Transfers(page)) = rig.ask(account, Question::ListTransfers(request)).await.answer else {
            panic!("no page")
        };
        all.extend(page.transfers);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

/// An account that has done a bit of everything, in two currencies.
async fn busy(rig: &mut Rig, account: &str) {
    rig.funded(account, 100_000_000).await;
    let euro = DepositRequest { request_id: "e".into(), amount_micros: 7_000_000, currency: "EUR".into() };
    let booked = rig.ask(account, Question::Deposit(euro)).await.answer;
    assert!(matches!(booked, Some(Answer::Deposit(_))), "{booked:?}");
    let name = |what: &str| format!("{account}-{what}");
    let gold = Market::margined("XAUUSD");
    for reports in [
        vec![report(
            account,
            "buy",
            Side::Buy,
            TradeStatus::Filled,
            vec![fill(&name("1"), 400_000, 6_000_000, 50_000)],
        )],
        vec![
            report(
                account,
                "sell",
                Side::Sell,
                TradeStatus::Filled,
                vec![fill(&name("2"), 450_000, 2_000_000, 10_000)],
            ),
            withdrawal(account, "out", 3_000_000, None),
        ],
        vec![traded(gold, (account, "long"), Side::Buy, vec![fill(&name("3"), 20_000_000, 3_000_000, 0)])],
        vec![traded(gold, (account, "flat"), Side::Sell, vec![fill(&name("4"), 21_000_000, 3_000_000, 20_000)])],
    ] {
        let ids: Vec<_> = reports.iter().filter_map(|report| report.key.clone()).map(|key| key.trade_id).collect();
        rig.report(reports).await;
        rig.told(&ids).await;
    }
    assert_ne!(id(account, "buy"), id(account, "sell"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_shows_every_change_of_the_cash_with_the_balance_after_it() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        busy(&mut rig, "alice").await;
        busy(&mut rig, "bob").await;
        let wallet = "wallet/alice/USD";
        let mut expected = transfers(&rig, "alice", 4).await;
        expected.reverse();
        expected.retain(|transfer| [&transfer.debit_account, &transfer.credit_account].contains(&&wallet.to_owned()));
        assert!(expected.len() >= 9, "{expected:?}");
        let cash = rig.account("alice").await.cash_micros;
        for page_size in [1, 2, 3, 500] {
            let request = GetStatementRequest { page_size, ..GetStatementRequest::default() };
            let all = whole(&rig, "alice", request).await;
            assert_eq!((all.opening_cash_micros, all.closing_cash_micros), (0, cash));
            let lines: Vec<_> = all.lines.iter().filter_map(|line| line.transfer.clone()).collect();
            assert_eq!(lines, expected);
            for (line, transfer) in all.lines.iter().zip(&expected) {
                let sign = if transfer.credit_account == wallet { 1 } else { -1 };
                assert_eq!(line.amount_micros, sign * transfer.amount_micros);
            }
        }
        let euro = GetStatementRequest { currency: "EUR".into(), ..GetStatementRequest::default() };
        let euro = whole(&rig, "alice", euro).await;
        assert_eq!((euro.lines.len(), euro.closing_cash_micros), (1, 7_000_000));
        rig.verified().await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_of_a_period_opens_with_what_was_there_before() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        busy(&mut rig, "alice").await;
        let all = page(&rig, "alice", GetStatementRequest::default()).await.lines;
        let at = |line: &StatementLine| micros(line.transfer.as_ref().expect("a transfer"));
        let mut moments: Vec<i64> = all.iter().flat_map(|line| [at(line), at(line) + 1]).collect();
        moments.extend([1, FAR]);
        moments.sort_unstable();
        moments.dedup();
        let cash_before = |moment| all.iter().rfind(|line| at(line) < moment).map_or(0, |line| line.cash_micros);
        for (place, from) in moments.iter().enumerate() {
            for to in &moments[place + 1..] {
                let request = GetStatementRequest { page_size: 4, ..period(*from, *to) };
                let part = whole(&rig, "alice", request).await;
                let expected: Vec<_> = all.iter().filter(|line| (*from..*to).contains(&at(line))).cloned().collect();
                assert_eq!(part.lines, expected);
                let cash = (part.opening_cash_micros, part.closing_cash_micros);
                assert_eq!(cash, (cash_before(*from), cash_before(*to)), "from {from} to {to}");
            }
        }
        let refused = |request| async { error(&rig, "alice", request).await };
        assert_eq!(refused(period(5, 5)).await, (3, "PERIOD_INVALID".into()));
        let nowhere = GetStatementRequest { currency: "CHF".into(), ..GetStatementRequest::default() };
        assert_eq!(refused(nowhere).await, (5, "ACCOUNT_NOT_FOUND".into()));
        rig.stop().await;
    }
}

async fn error(rig: &Rig, account: &str, request: GetStatementRequest) -> (i32, String) {
    match rig.ask(account, Question::GetStatement(request)).await.answer {
        Some(Answer::Error(error)) => (error.code, error.reason),
        other => panic!("not an error: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_goes_on_with_its_own_statement_only() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        busy(&mut rig, "alice").await;
        busy(&mut rig, "bob").await;
        let request = GetStatementRequest { page_size: 2, ..period(1, None) };
        let first = page(&rig, "alice", request.clone()).await;
        let next = GetStatementRequest { page_token: first.next_page_token.clone(), ..request };
        assert_eq!(page(&rig, "alice", next.clone()).await.opening_cash_micros, first.closing_cash_micros);
        let cash = first.closing_cash_micros.to_string();
        let forged = |token: String| GetStatementRequest { page_token: token, ..next.clone() };
        for (account, request) in [
            ("bob", next.clone()),
            ("alice", GetStatementRequest { currency: "EUR".into(), ..next.clone() }),
            ("alice", GetStatementRequest { from: None, ..next.clone() }),
            ("alice", GetStatementRequest { to: period(None, FAR).to, ..next.clone() }),
            ("alice", forged(first.next_page_token.replace(&cash, "1000000000"))),
            ("alice", forged("m1.0.1".into())),
            ("alice", forged("s".into())),
            ("alice", forged(format!("{}.", first.next_page_token))),
        ] {
            let refused = error(&rig, account, request.clone()).await;
            assert_eq!(refused, (3, "PAGE_TOKEN_INVALID".into()), "{account} {request:?}");
        }
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_begins_to_add_up_at_a_checkpoint() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let rig_ref = &rig;
        let deposits = (1..=600).map(|number| async move {
            let answer = rig_ref.deposit("alice", &format!("d{number}"), number).await.answer;
            assert!(matches!(answer, Some(Answer::Deposit(_))), "{answer:?}");
        });
        futures::future::join_all(deposits).await;
        let select = "SELECT COUNT(*) FROM cash_checkpoint WHERE account_id = 'alice'";
        assert_eq!(Tables::of(&rig).number(select).await, 2);
        let lines = whole(&rig, "alice", GetStatementRequest { page_size: 500, ..period(None, None) }).await.lines;
        assert_eq!((lines.len(), lines[599].cash_micros), (600, 600 * 601 / 2));
        let at = |line: &StatementLine| micros(line.transfer.as_ref().expect("a transfer"));
        for line in lines.iter().step_by(7) {
            for from in [at(line), at(line) + 1] {
                let before = lines.iter().rfind(|line| at(line) < from).map_or(0, |line| line.cash_micros);
                assert_eq!(page(&rig, "alice", period(from, None)).await.opening_cash_micros, before);
            }
        }
        rig.verified().await;
        rig.stop().await;

        // What is before a checkpoint is not looked at: of this account there is nothing there.
        let tables = Tables::of(&rig);
        let at = tables.number("SELECT posted_at FROM shard").await + 1;
        let frozen = if kind == Kind::Sqlite { "0" } else { "false" };
        let sql = format!(
            "INSERT INTO wallet VALUES ('carol', 'USD', 77, 0, 256, {frozen});
             INSERT INTO cash_checkpoint VALUES ('carol', 'USD', {at}, 1, 77);"
        );
        tables.change(&sql).await;
        rig.start().await;
        for (from, cash) in [(at, 0), (at + 1, 77)] {
            assert_eq!(page(&rig, "carol", period(from, None)).await.opening_cash_micros, cash);
        }
        rig.stop().await;
    }
}

/// Transfers in a long history: more than are added up in one statement.
const LONG: i64 = 160_000;

/// Three come in and one goes out, in turn.
fn after(transfers: i64) -> i64 {
    (transfers + 1) / 2 * 3 - transfers / 2
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_opens_exactly_wherever_it_is_cut() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("bob", 1).await;
        rig.stop().await;
        let (reference, frozen) = match kind {
            Kind::Sqlite => ("zeroblob(16)", "0"),
            Kind::Postgres => ("'00000000-0000-0000-0000-000000000000'::uuid", "false"),
        };
        let sql = format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {LONG})
             INSERT INTO transfer SELECT 1 + n, 1 + n, 1,
                CASE WHEN n % 2 = 1 THEN 'external/deposits/USD' ELSE 'wallet/alice/USD' END,
                CASE WHEN n % 2 = 1 THEN 'wallet/alice/USD' ELSE 'external/deposits/USD' END,
                CASE WHEN n % 2 = 1 THEN 3 ELSE 1 END, 'alice', {reference},
                (SELECT posted_at FROM shard) + n * 10 FROM numbers;
             INSERT INTO wallet VALUES ('alice', 'USD', {cash}, 0, {LONG}, {frozen});
             UPDATE shard SET transfer_sequence = transfer_sequence + {LONG};",
            cash = after(LONG)
        );
        let tables = Tables::of(&rig);
        let begin = tables.number("SELECT posted_at FROM shard").await;
        tables.change(&sql).await;
        rig.start().await;
        for transfers in [0, 1, 2, 999, 1_000, LONG / 3, LONG / 2, LONG / 2 + 1, LONG - 1, LONG] {
            let request = GetStatementRequest { page_size: 3, ..period(begin + transfers * 10 + 1, None) };
            let part = page(&rig, "alice", request).await;
            assert_eq!(part.opening_cash_micros, after(transfers), "after {transfers}");
            assert_eq!(part.closing_cash_micros, after((transfers + 3).min(LONG)), "after {transfers}");
        }
        rig.stop().await;
    }
}
