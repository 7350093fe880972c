//! Money sent to others, and statements.

use crate::stage::{Stage, expect_refusal, generous, request_id};
use pbjson_types::Timestamp;
use tonic::{
    Code::{AlreadyExists, InvalidArgument, ResourceExhausted},
    Status,
};
use tragen_contracts::v1::{
    GetStatementRequest, GetStatementResponse, SendRequest, SendResponse, WithdrawRequest, WithdrawalStatus,
};
use tragen_router::Config;

fn sending(request_id: &str, to: &str, amount_micros: i64) -> SendRequest {
    let (request_id, to_account_id) = (request_id.to_owned(), to.to_owned());
    SendRequest { request_id, to_account_id, amount_micros, currency: String::new() }
}

async fn send(stage: &Stage, request: SendRequest) -> Result<SendResponse, Status> {
    stage.accounts().send(stage.from("alice", request)).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_sending_passes_the_guard_once_and_shows_the_sender_his_own_account() {
    let stage = Stage::start(generous()).await;
    let id = request_id();
    let first = send(&stage, sending(&id, "bob", 5_000_000)).await.expect("posted");
    assert_eq!((first.status(), first.denial_reason.as_str()), (WithdrawalStatus::Posted, ""));
    let account = first.account.as_ref().expect("an account");
    assert_eq!((account.account_id.as_str(), account.currency.as_str()), ("alice", "USD"));
    assert_eq!(send(&stage, sending(&id, "bob", 5_000_000)).await.expect("known"), first);
    for other in [sending(&id, "bob", 6_000_000), sending(&id, "carol", 5_000_000)] {
        expect_refusal("another sending", send(&stage, other).await, AlreadyExists, "REQUEST_ID_REUSED");
    }
    let trade_id = tragen_contracts::trade_id("alice", &format!("send/{id}")).to_string();
    assert!(stage.books.lock().expect("books").facts.contains_key(&trade_id), "its id follows from the request's");
    let withdrawal = WithdrawRequest { request_id: id, amount_micros: 5_000_000, currency: String::new() };
    let withdrawn = stage.accounts().withdraw(stage.from("alice", withdrawal)).await;
    assert_eq!(withdrawn.expect("another matter").into_inner().status(), WithdrawalStatus::Posted);
    let denied = send(&stage, sending(&request_id(), "bob", 200_000_000)).await.expect("a business no is an answer");
    assert_eq!((denied.status(), denied.denial_reason.as_str()), (WithdrawalStatus::Denied, "INSUFFICIENT_FUNDS"));
}

#[tokio::test]
async fn a_bad_sending_names_its_field() {
    let stage = Stage::start(Config { cash_moves_per_minute: 1, ..generous() }).await;
    for (to, amount, reason) in [
        ("", 1, "RECEIVER_MISSING"),
        ("a/b", 1, "RECEIVER_INVALID"),
        ("alice", 1, "RECEIVER_IS_SENDER"),
        ("bob", 0, "AMOUNT_NOT_POSITIVE"),
        ("bob", i64::MAX, "AMOUNT_LIMIT"),
    ] {
        let refused = send(&stage, sending(&request_id(), to, amount)).await;
        expect_refusal(reason, refused, InvalidArgument, reason);
    }
    let no_currency = SendRequest { currency: "U$".to_owned(), ..sending(&request_id(), "bob", 1) };
    expect_refusal("no currency", send(&stage, no_currency).await, InvalidArgument, "CURRENCY_INVALID");
    expect_refusal("no id", send(&stage, sending("x", "bob", 1)).await, InvalidArgument, "REQUEST_ID_INVALID");
    // What is refused for its form costs no place; what is not, does.
    send(&stage, sending(&request_id(), "bob", 1)).await.expect("sent");
    let second = send(&stage, sending(&request_id(), "bob", 1)).await;
    expect_refusal("the second", second, ResourceExhausted, "RATE_LIMIT");
}

fn moment(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

#[tokio::test]
async fn a_statement_is_asked_of_the_ledger_and_its_pages_belong_to_their_period() {
    let stage = Stage::start(generous()).await;
    let statement = |account: &'static str, request: GetStatementRequest| {
        let request = stage.from(account, request);
        async { stage.accounts().get_statement(request).await.map(tonic::Response::into_inner) }
    };
    let asked = GetStatementRequest { from: moment(10), to: moment(20), ..GetStatementRequest::default() };
    let first: GetStatementResponse = statement("alice", asked.clone()).await.expect("a page");
    assert_eq!((first.opening_cash_micros, first.closing_cash_micros), (50, 7));
    let line = first.lines[0].transfer.as_ref().expect("a transfer");
    assert_eq!((line.currency.as_str(), line.sequence, line.posted_at), ("USD", 10, moment(20)));
    let next = GetStatementRequest { page_token: first.next_page_token.clone(), page_size: 1_000, ..asked.clone() };
    let last = statement("alice", next.clone()).await.expect("a page");
    assert_eq!((last.opening_cash_micros, last.next_page_token.as_str()), (500, ""));
    assert_eq!(last.lines[0].transfer.as_ref().expect("a transfer").reference_id, "2");

    let others = [
        ("bob", next.clone()),
        ("alice", GetStatementRequest { to: moment(21), ..next.clone() }),
        ("alice", GetStatementRequest { from: None, ..next.clone() }),
        ("alice", GetStatementRequest { currency: "EUR".to_owned(), ..next.clone() }),
        ("alice", GetStatementRequest { page_token: "AAAA".to_owned(), ..next }),
    ];
    for (account, other) in others {
        let refused = statement(account, other.clone()).await;
        expect_refusal(&format!("{other:?}"), refused, InvalidArgument, "PAGE_TOKEN_INVALID");
    }
    let everything = statement("alice", GetStatementRequest::default()).await.expect("a page");
    assert_eq!(everything.lines[0].transfer.as_ref().expect("a transfer").sequence, -1, "from the beginning");
    for (request, reason) in [
        (GetStatementRequest { to: moment(10), ..asked.clone() }, "PERIOD_INVALID"),
        (GetStatementRequest { to: moment(i64::MAX), ..asked.clone() }, "TIMESTAMP_INVALID"),
        (GetStatementRequest { page_size: -1, ..asked.clone() }, "PAGE_SIZE_INVALID"),
        (GetStatementRequest { currency: "U$".to_owned(), ..asked }, "CURRENCY_INVALID"),
    ] {
        expect_refusal(reason, statement("alice", request).await, InvalidArgument, reason);
    }
}
