//! Trades, reads and rates: each case as a call of the public API.

use super::{Case, cases};
use crate::{
    json::call,
    stage::{DENIED, FILLS, RESTS, Stage, expect_refusal, generous, order, place, reason, request_id, request_id_at},
};
use pbjson_types::Timestamp;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tragen_contracts::v1::{self, CancelTradeRequest, GetTradeRequest, ListTradesRequest, get_trade_request::Key};
use tragen_domain::tier::Tier;
use tragen_host::clock::now_micros;
use tragen_router::{Config, token::Role};

/// Where our answer has another name than is proposed, because the field it is about is not in our API at all, or is
/// written otherwise.
const OTHER_NAMES: &[(&str, Code, &str)] = &[
    // A quantity of 20 million million contracts is beyond 64 bits of micros; the most that can be said is too large.
    ("trade-004", Code::InvalidArgument, "ORDER_SIZE_LIMIT"),
    // The account is the token's; no field can name another.
    ("trade-053", Code::InvalidArgument, "UNKNOWN_FIELD"),
    ("trade-054", Code::InvalidArgument, "UNKNOWN_FIELD"),
    ("trade-056", Code::InvalidArgument, "UNKNOWN_FIELD"),
    // Nobody can write to an agent in a trade.
    ("trade-058", Code::InvalidArgument, "REQUEST_TOO_LARGE"),
    ("trade-059", Code::InvalidArgument, "UNKNOWN_FIELD"),
];

/// What the vectors' API has and ours has not, in every case.
const THEIRS: [&str; 8] =
    ["request_id", "instrument_id", "side", "quantity", "limit_price_e6", "tif", "expire_at", "strategy"];

fn expected(case: &Case) -> (Vec<Code>, String) {
    let other = OTHER_NAMES.iter().find(|(own, _, _)| *own == case.id);
    other.map_or_else(|| (case.codes.clone(), case.reason.clone()), |(_, code, name)| (vec![*code], (*name).to_owned()))
}

fn text<'a>(case: &'a Case, field: &str) -> &'a str {
    case.input[field].as_str().unwrap_or_default()
}

/// The case's order, as far as our API can say it.
fn request(case: &Case) -> v1::PlaceTradeRequest {
    let id = match text(case, "request_id") {
        "{uuid7_now}" => request_id(),
        "{uuid4}" => uuid::Uuid::new_v4().to_string(),
        "{uuid7_now-25h}" => request_id_at(-25 * 3_600),
        literal => literal.to_owned(),
    };
    let in_a_minute = Timestamp { seconds: now_micros() / 1_000_000 + 60, nanos: 0 };
    let expire_at = match &case.input["expire_at"] {
        Value::String(text) if text == "{now+60s}" => Some(in_a_minute),
        Value::String(text) if text == "9999-12-31T23:59:59Z" => Some(Timestamp { seconds: 253_402_300_799, nanos: 0 }),
        Value::Object(moment) => Some(Timestamp {
            seconds: moment["seconds"].as_i64().expect("seconds"),
            nanos: i32::try_from(moment["nanos"].as_i64().expect("nanos")).expect("small"),
        }),
        Value::Null => None,
        other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            panic!("{}: {other}", case.id)
        }
    };
    let intent = v1::OrderIntent {
        quantity_micros: case.input["quantity"].as_i64().expect("a quantity").saturating_mul(1_000_000),
        limit_price_micros: case.input["limit_price_e6"].as_i64().expect("a price"),
        time_in_force: v1::TimeInForce::Gtd.into(),
        expire_at,
        ..order(text(case, "instrument_id"))
    };
    assert_eq!((text(case, "side"), text(case, "tif")), ("BUY", "GTD"), "{}", case.id);
    place(&id, intent)
}

/// Fields that the case adds to a good trade: those that no other case has, and a tier that is not the token's.
fn added(case: &Case) -> Vec<(String, Value)> {
    let fields = case.input.as_object().expect("fields").iter();
    let is_added = |(name, value): &(&String, &Value)| {
        !THEIRS.contains(&name.as_str()) && (name.as_str() != "tier" || **value != "FREE")
    };
    fields.filter(is_added).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[tokio::test]
async fn trades_of_the_reference_are_refused_by_name() {
    let Some(cases) = cases("trade") else { return };
    let stage = Stage::start(generous()).await;
    let token = stage.token("alice", Tier::Premium, Role::Trader);
    let mut tried = 0;
    for case in &cases {
        let (codes, expected) = expected(case);
        let added = added(case);
        if text(case, "request_id").contains("reuse") || text(case, "request_id").contains("same") {
            repeated(&stage, case).await;
        } else if added.is_empty() {
            let status = stage.place("alice", request(case)).await.expect_err(&case.id);
            assert!(codes.contains(&status.code()), "{}: {status:?}", case.id);
            assert_eq!(reason(&status), expected, "{}", case.id);
            let details = status.get_error_details();
            let violation = details.bad_request().expect(&case.id).field_violations[0].clone();
            assert!(!violation.field.is_empty() && violation.reason == expected, "{}: {violation:?}", case.id);
        } else {
            let mut body = serde_json::to_value(request(case)).expect("JSON");
            for (name, value) in added {
                // A text that is cut short in the file, to be a megabyte.
                let is_long = value.as_str().is_some_and(|text| text.ends_with("x1048576"));
                body[&name] = if is_long { json!("A".repeat(1 << 20)) } else { value };
            }
            let answer = call(stage.address, "POST", "/v1/trades", &token, &body.to_string()).await;
            let status = if expected == "REQUEST_TOO_LARGE" { 413 } else { 400 };
            assert_eq!((answer.status, answer.reason()), (status, expected), "{}", case.id);
        }
        tried += 1;
    }
    assert_eq!(tried, 29);
    let requests = stage.books.lock().expect("books").requests.clone();
    // Five cases repeat a request id, one of them for two accounts.
    assert!(requests.values().all(|times| *times == 1) && requests.len() == 6, "{requests:?}");
}

/// A request id that was used before.
async fn repeated(stage: &Stage, case: &Case) {
    let id = request_id();
    let again = |account: &'static str, instrument: &str, contracts: i64| {
        let intent = v1::OrderIntent { quantity_micros: contracts * 1_000_000, ..order(instrument) };
        stage.place(account, place(&id, intent))
    };
    let contracts = case.input["quantity"].as_i64().expect("a quantity");
    match case.id.as_str() {
        "trade-039" => {
            let first = again("alice", FILLS, contracts).await.expect("placed");
            assert_eq!(again("alice", FILLS, contracts).await.expect("the same answer"), first);
        }
        "trade-040" => {
            again("alice", FILLS, contracts - 1).await.expect("placed");
            let answer = again("alice", FILLS, contracts).await;
            expect_refusal(&case.id, answer, case.codes[0], &case.reason);
        }
        "trade-041" => {
            let own = again("alice", FILLS, contracts).await.expect("placed");
            let other = again("bob", FILLS, contracts).await.expect("a request of its own");
            assert_eq!((other.account_id.as_str(), other.trade_id == own.trade_id), ("bob", false));
        }
        "trade-042" => {
            let copies = (0..50).map(|_| again("alice", FILLS, contracts));
            let answers: Result<Vec<_>, Status> = futures::future::join_all(copies).await.into_iter().collect();
            let answers = answers.expect("all are answered");
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        }
        "trade-043" => {
            let denied = again("alice", DENIED, contracts).await.expect("an answer");
            let code = denied.denial.clone().expect("a denial").code().as_str_name().to_owned();
            assert_eq!(code, format!("DENIAL_CODE_{}", case.reason));
            assert_eq!(again("alice", DENIED, contracts).await.expect("the stored one"), denied);
        }
        other => panic!("{other} is not known"),
    }
}

#[tokio::test]
async fn calls_of_the_reference_are_refused_by_name() {
    let Some(cases) = cases("rpc") else { return };
    let stage = Stage::start(generous()).await;
    let trader = |message| stage.from("alice", message);
    let foreign = stage.place("bob", place(&request_id(), order(FILLS))).await.expect("placed").trade_id;
    let read = async |id: &str| {
        let request = stage.from("alice", GetTradeRequest { key: Some(Key::TradeId(id.to_owned())) });
        stage.trading().get_trade(request).await.map(drop)
    };
    let list = async |page_size: i32, page_token: &str| {
        let (page_token, min_version) = (page_token.to_owned(), 0);
        stage.trading().list_trades(trader(ListTradesRequest { page_size, page_token, min_version })).await.map(drop)
    };
    let mut tried = 0;
    for case in &cases {
        let answer = match case.id.as_str() {
            "rpc-001" => read(&foreign).await,
            "rpc-002" => read(text(case, "trade_id")).await,
            "rpc-007" => {
                list(i32::try_from(case.input["page_size"].as_i64().expect("a size")).expect("small"), "").await
            }
            "rpc-009" => list(0, text(case, "page_token")).await,
            "rpc-013" => {
                let resume = stage.from("alice", v1::ProposeResumeRequest::default());
                stage.risk().propose_resume(resume).await.map(drop)
            }
            other => panic!("{other} is not known"),
        };
        expect_refusal(&case.id, answer, case.codes[0], &case.reason);
        tried += 1;
    }
    assert_eq!(tried, 5);
}

#[tokio::test]
async fn rates_of_the_reference_hold() {
    let Some(cases) = cases("rate") else { return };
    let stage = Stage::start(Config::default()).await;
    let token = stage.token("alice", Tier::Free, Role::Trader);
    let rests = |id: &str| crate::stage::with_token(&token, place(id, order(RESTS)));
    let first = stage.trading().place_trade(rests(&request_id())).await.expect("placed").into_inner();
    let trade_id = first.trade.expect("a trade").trade_id;
    let mut tried = 0;
    for case in &cases {
        match case.id.as_str() {
            "rate-001" => {
                let burst = case.input["burst"].as_i64().expect("a number");
                for _ in 2..burst {
                    stage.trading().place_trade(rests(&request_id())).await.expect("placed");
                }
                let answer = stage.trading().place_trade(rests(&request_id())).await;
                let status = expect_refusal(&case.id, answer, case.codes[0], &case.reason);
                assert!(status.get_error_details().retry_info().is_some());
            }
            // After the one before: the bucket of orders is empty.
            "rate-004" => {
                let cancel = CancelTradeRequest { trade_id: trade_id.clone() };
                stage.trading().cancel_trade(crate::stage::with_token(&token, cancel)).await.expect("canceled");
            }
            "rate-006" => {
                let answer = stage.trading().place_trade(place(&request_id(), order(FILLS))).await;
                expect_refusal(&case.id, answer, case.codes[0], &case.reason);
            }
            other => panic!("{other} is not known"),
        }
        tried += 1;
    }
    assert_eq!(tried, 3);
}
