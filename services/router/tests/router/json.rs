//! The same API in JSON over HTTP/1.1, on the same port.

use crate::stage::{FILLS, PATIENCE, SILENT, Stage, generous, order, place, request_id};
use futures::FutureExt as _;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tragen_bus::Ask;
use tragen_contracts::v1::{
    self, PlaceTradeRequest, analyze_response::Result as Finding, worker_answer::Answer as WorkerAnswer,
    worker_question::Question,
};
use tragen_domain::tier::Tier;
use tragen_router::{Config, token::Role};

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn reason(&self) -> String {
        self.json()["details"][0]["reason"].as_str().unwrap_or_default().to_owned()
    }
}

pub(crate) async fn call(address: SocketAddr, method: &str, path: &str, token: &str, body: &str) -> Answer {
    let authorization = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{authorization}content-length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(address).await.expect("connected");
    // A refused body may be answered before all of it is sent.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").expect("an HTTP answer");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

fn body(request: &PlaceTradeRequest) -> Value {
    serde_json::to_value(request).expect("JSON")
}

#[tokio::test]
async fn a_trade_is_placed_read_and_listed() {
    let stage = Stage::start(generous()).await;
    let token = stage.token("alice", Tier::Premium, Role::Trader);
    let id = request_id();
    let request = json!({"request_id": id, "order": {
        "instrument_id": FILLS, "side": "SIDE_BUY", "order_type": "ORDER_TYPE_LIMIT", "quantity_micros": "10000000",
        "limit_price_micros": 550_000, "time_in_force": "TIME_IN_FORCE_GTC"}});
    let placed = call(stage.address, "POST", "/v1/trades", &token, &request.to_string()).await;
    assert_eq!(placed.status, 200, "{}", placed.body);
    let trade = placed.json()["trade"].clone();
    assert_eq!((&trade["status"], &trade["request_id"]), (&json!("TRADE_STATUS_FILLED"), &json!(id)));
    assert_eq!(trade["filled_quantity_micros"], json!("10000000"));
    for key in [id.as_str(), trade["trade_id"].as_str().expect("an id")] {
        let read = call(stage.address, "GET", &format!("/v1/trades/{key}"), &token, "").await;
        assert_eq!((read.status, read.json()["trade"].clone()), (200, trade.clone()), "{key}");
    }
    let page = call(stage.address, "GET", "/v1/trades?page_size=1", &token, "").await;
    let next = page.json()["next_page_token"].as_str().expect("a token").to_owned();
    let last = call(stage.address, "GET", &format!("/v1/trades?page_size=1&page_token={next}"), &token, "").await;
    assert_eq!(last.json()["trades"][0]["trade_id"], json!("page-2"));
    let account = call(stage.address, "GET", "/v1/account", &token, "").await;
    assert_eq!((account.status, account.json()["account"]["currency"].clone()), (200, json!("USD")));
}

#[tokio::test]
async fn money_is_sent_and_told_of() {
    let stage = Stage::start(generous()).await;
    let token = stage.token("alice", Tier::Premium, Role::Trader);
    let sending = json!({"request_id": request_id(), "to_account_id": "bob", "amount_micros": "5000000"});
    let sent = call(stage.address, "POST", "/v1/sendings", &token, &sending.to_string()).await;
    assert_eq!((sent.status, &sent.json()["status"]), (200, &json!("WITHDRAWAL_STATUS_POSTED")), "{}", sent.body);
    let period = "from=1970-01-01T00:00:10Z&to=1970-01-01T00:00:20.5Z&page_size=3";
    let page = call(stage.address, "GET", &format!("/v1/statement?{period}"), &token, "").await;
    assert_eq!((page.status, &page.json()["opening_cash_micros"]), (200, &json!("3")), "{}", page.body);
    let transfer = &page.json()["lines"][0]["transfer"];
    let (from, to) = (&transfer["sequence"], &transfer["posted_at"]);
    assert_eq!((from, to), (&json!("10"), &json!("1970-01-01T00:00:20.500+00:00")), "{transfer}");
    let next = page.json()["next_page_token"].as_str().expect("a token").to_owned();
    let last = call(stage.address, "GET", &format!("/v1/statement?{period}&page_token={next}"), &token, "").await;
    assert_eq!(last.json()["lines"][0]["transfer"]["reference_id"], json!("2"), "{}", last.body);
    for (path, reason) in [
        ("/v1/statement?from=yesterday", "MALFORMED_JSON"),
        ("/v1/statement?from=1970-01-01T00:00:10Z&to=1970-01-01T00:00:10Z", "PERIOD_INVALID"),
        ("/v1/account?max_age_ms=30001", "MAX_AGE_OUT_OF_BOUNDS"),
        ("/v1/account?max_age_ms=1&min_version=1", "MAX_AGE_UNEXPECTED"),
    ] {
        let answer = call(stage.address, "GET", path, &token, "").await;
        assert_eq!((answer.status, answer.reason().as_str()), (400, reason), "{path}: {}", answer.body);
    }
    let account = call(stage.address, "GET", "/v1/account?max_age_ms=30000", &token, "").await;
    assert_eq!((account.status, account.json()["account"]["version"].clone()), (200, json!("7")));
    for path in ["/v1/bookings/propose", "/v1/bookings/confirm"] {
        let answer = call(stage.address, "POST", path, &token, "{}").await;
        assert_eq!((answer.status, answer.reason().as_str()), (403, "ROLE_REQUIRED"), "{path}");
    }
}

#[tokio::test]
async fn bad_calls_get_a_status_in_json() {
    let stage = Stage::start(Config { free_trades_per_minute: 1, wait_default_ms: 300, ..generous() }).await;
    let token = stage.token("alice", Tier::Premium, Role::Trader);
    let good = || body(&place(&request_id(), order(FILLS)));
    let with = |field: &str, value: Value| {
        let mut request = good();
        request[field] = value;
        request.to_string()
    };
    let inside = |field: &str, value: Value| {
        let mut request = good();
        request["order"][field] = value;
        request.to_string()
    };
    let cases = [
        ("an account in the body", "/v1/trades", with("user_id", json!(999_999)), 400, "UNKNOWN_FIELD"),
        ("a tier in the body", "/v1/trades", with("tier", json!("ENTERPRISE")), 400, "UNKNOWN_FIELD"),
        ("an internal field", "/v1/trades", inside("risk_epoch", json!(999)), 400, "UNKNOWN_FIELD"),
        ("an administrator", "/v1/trades", inside("is_admin", json!(true)), 400, "UNKNOWN_FIELD"),
        ("a megabyte of prompt", "/v1/trades", with("prompt", json!("A".repeat(1 << 20))), 413, "REQUEST_TOO_LARGE"),
        ("half of a JSON", "/v1/trades", "{\"request_id\": ".to_owned(), 400, "MALFORMED_JSON"),
        ("a list", "/v1/trades", "[]".to_owned(), 400, "MALFORMED_JSON"),
        ("too deep", "/v1/trades", "[".repeat(10_000), 400, "MALFORMED_JSON"),
        ("a fraction of a micro", "/v1/trades", inside("quantity_micros", json!(0.5)), 400, "MALFORMED_JSON"),
        (
            "beyond 64 bits",
            "/v1/trades",
            inside("quantity_micros", json!("9223372036854775808")),
            400,
            "MALFORMED_JSON",
        ),
        ("an unknown side", "/v1/trades", inside("side", json!("LONG")), 400, "MALFORMED_JSON"),
        ("no quantity", "/v1/trades", inside("quantity_micros", json!(0)), 400, "QUANTITY_NOT_POSITIVE"),
        ("an empty body", "/v1/trades", String::new(), 400, "REQUEST_ID_MISSING"),
        ("nobody answers", "/v1/trades", inside("instrument_id", json!(SILENT)), 504, "OUTCOME_PENDING"),
        ("an operator's path", "/v1/risk/halt", "{}".to_owned(), 403, "ROLE_REQUIRED"),
        ("no such path", "/v2/trades", String::new(), 404, "PATH_NOT_FOUND"),
        ("a path that takes no POST", "/v1/account", String::new(), 405, "METHOD_NOT_ALLOWED"),
    ];
    for (name, path, sent, status, reason) in cases {
        let answer = call(stage.address, "POST", path, &token, &sent).await;
        assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{name}: {}", answer.body);
    }
    for (path, status, reason) in [
        ("/v1/trades?page_size=-1", 400, "PAGE_SIZE_INVALID"),
        ("/v1/trades?page_size=x", 400, "MALFORMED_JSON"),
        ("/v1/trades?page_token=AAAA", 400, "PAGE_TOKEN_INVALID"),
        ("/v1/trades?limit=1", 400, "UNKNOWN_FIELD"),
        ("/v1/trades/nope", 404, "TRADE_NOT_FOUND"),
        ("/v1/trades/a%20b", 400, "TRADE_ID_INVALID"),
        ("/v1/status", 403, "ROLE_REQUIRED"),
    ] {
        let answer = call(stage.address, "GET", path, &token, "").await;
        assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn refusals_carry_details_and_headers() {
    let stage = Stage::start(Config { free_trades_per_minute: 1, ..generous() }).await;
    let token = stage.token("alice", Tier::Free, Role::Trader);
    let send = |request: PlaceTradeRequest| {
        let (token, body) = (token.clone(), body(&request).to_string());
        async move { call(stage.address, "POST", "/v1/trades", &token, &body).await }
    };
    let missing = call(stage.address, "GET", "/v1/account", "", "").await;
    assert_eq!((missing.status, missing.reason().as_str()), (401, "TOKEN_MISSING"));
    let mut bad = order("");
    bad.side = 0;
    let bad = send(place(&request_id(), bad)).await.json();
    assert_eq!(bad["code"], json!(3));
    let fields = bad["details"][1]["field_violations"].clone();
    assert_eq!(fields[0]["field"], json!("order.instrument_id"));
    assert_eq!(fields[1]["reason"], json!("SIDE_MISSING"));
    let id = request_id();
    assert_eq!(send(place(&id, order(FILLS))).await.status, 200);
    let mut other = order(FILLS);
    other.quantity_micros += 1;
    let reused = send(place(&id, other)).await;
    assert_eq!((reused.status, reused.reason().as_str()), (409, "REQUEST_ID_REUSED"));
    let limited = send(place(&request_id(), order(FILLS))).await;
    assert_eq!((limited.status, limited.reason().as_str()), (429, "RATE_LIMIT"));
    for header in ["retry-after: ", "ratelimit-limit: 1\r\n", "ratelimit-remaining: 0\r\n", "ratelimit-reset: "] {
        assert!(limited.head.contains(header), "{header}: {}", limited.head);
    }
}

#[tokio::test]
async fn health_and_metrics_are_on_the_same_port() {
    let stage = Stage::start(generous()).await;
    for (path, status, part) in [("/live", 200, "live"), ("/ready", 200, "router: ready"), ("/metrics", 200, "")] {
        let answer = call(stage.address, "GET", path, "", "").await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.contains(part), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn changes_are_sent_as_events() {
    let stage = Stage::start(generous()).await;
    let token = stage.token("alice", Tier::Premium, Role::Trader);
    let mut stream = TcpStream::connect(stage.address).await.expect("connected");
    let request = format!("GET /v1/trades/watch HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut text = String::new();
    let mut buffer = [0; 4_096];
    let mut trade_id = None;
    while !(text.contains("event: trade") && text.contains("TRADE_STATUS_FILLED")) {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await;
        let length = read.expect("an event in time").expect("open");
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        if trade_id.is_none() && text.contains("text/event-stream") {
            let trade = stage.place("alice", place(&request_id(), order(FILLS))).await.expect("placed");
            trade_id = Some(trade.trade_id);
        }
    }
    assert!(text.contains(&trade_id.expect("an id")), "{text}");
}

#[tokio::test]
async fn agents_are_asked_and_markets_followed_in_json() {
    let stage = Stage::start(generous()).await;
    let token = stage.token("alice", Tier::Premium, Role::Trader);
    let answering = stage.bus.answer(&stage.context, Ask::Worker, |question: v1::WorkerQuestion| {
        let answer = match question.question {
            Some(Question::Market(_)) => {
                let status = v1::MatchStatus::Finished.into();
                let of = Some(v1::Match { status, home_goals: 2, ..v1::Match::default() });
                WorkerAnswer::Market(v1::MarketView { r#match: of, ..v1::MarketView::default() })
            }
            Some(Question::Analyze(_)) | None => WorkerAnswer::Analysis(v1::AnalyzeResponse {
                info: Some(v1::AnalysisInfo { confidence_ppm: 900_000, ..v1::AnalysisInfo::default() }),
                result: Some(Finding::Scout(v1::ScoutResult { books_used: 4, ..v1::ScoutResult::default() })),
            }),
        };
        async move { v1::WorkerAnswer { answer: Some(answer) } }.boxed()
    });
    answering.await.expect("the workers answer");
    let asked = json!({"scout": {"match_id": "EPL-2026-ARS-MCI"}}).to_string();
    let answer = call(stage.address, "POST", "/v1/analyze", &token, &asked).await;
    assert_eq!((answer.status, &answer.json()["scout"]["books_used"]), (200, &json!(4)), "{}", answer.body);
    assert_eq!(answer.json()["info"]["confidence_ppm"], json!(900_000));
    for (name, body, reason) in [
        ("nothing", "{}", "KIND_MISSING"),
        ("an account", "{\"account_id\": \"bob\"}", "UNKNOWN_FIELD"),
        ("no number", "{\"scout\": {\"match_id\": \"M\", \"min_edge_bps\": \"NaN\"}}", "MALFORMED_JSON"),
        ("beyond 32 bits", "{\"scout\": {\"match_id\": \"M\", \"min_edge_bps\": 1e300}}", "MALFORMED_JSON"),
    ] {
        let answer = call(stage.address, "POST", "/v1/analyze", &token, body).await;
        assert_eq!((answer.status, answer.reason().as_str()), (400, reason), "{name}: {}", answer.body);
    }
    // The match is over, so the stream ends by itself.
    let watched = call(stage.address, "GET", "/v1/markets/EPL-2026-ARS-MCI/watch", &token, "").await;
    assert!(watched.status == 200 && watched.head.contains("text/event-stream"), "{}", watched.head);
    assert!(watched.body.contains("event: market") && watched.body.contains("\"home_goals\":2"), "{}", watched.body);
}
