//! Bytes that no client library would send, over raw HTTP/2: the router answers
//! with a status or closes the stream, and goes on serving everybody else.

use crate::stage::{FILLS, Stage, generous, order, place, request_id};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use prost::Message as _;
use std::{net::SocketAddr, time::Duration};
use tokio::net::TcpStream;
use tonic::Code::{self, DeadlineExceeded, Internal, InvalidArgument, Ok as Fine, OutOfRange, Unimplemented};
use tragen_domain::tier::Tier;
use tragen_router::token::Role;

pub(crate) const PLACE: &str = "/tragen.v1.Trading/PlaceTrade";

/// One case: what is sent besides a good request, and what may come back.
struct Case {
    name: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    expected: &'static [Code],
    reason: &'static str,
}

#[derive(Debug)]
pub(crate) struct Answer {
    http: u16,
    pub(crate) code: Option<Code>,
    pub(crate) reason: String,
}

pub(crate) fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("short"));
    frame.put_slice(message);
    frame.freeze()
}

pub(crate) fn good() -> Bytes {
    frame(&place(&request_id(), order(FILLS)).encode_to_vec())
}

pub(crate) async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let tcp = TcpStream::connect(address).await.expect("connected");
    let (client, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
    tokio::spawn(async move {
        // Ends with the test; a refused connection is seen by the requests on it.
        let _ = connection.await;
    });
    client
}

pub(crate) fn request(path: &str, token: &str, headers: &[(&'static str, String)]) -> http::Request<()> {
    let mut request = http::Request::builder()
        .method("POST")
        .uri(format!("http://localhost{path}"))
        .header("te", "trailers")
        .header("authorization", format!("Bearer {token}"));
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/grpc");
    }
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(()).expect("a request")
}

pub(crate) async fn send(
    client: &SendRequest<Bytes>,
    request: http::Request<()>,
    body: Bytes,
) -> Result<Answer, h2::Error> {
    let mut client = client.clone().ready().await?;
    let (response, mut stream) = client.send_request(request, body.is_empty())?;
    if !body.is_empty() {
        stream.send_data(body, true)?;
    }
    let response = tokio::time::timeout(Duration::from_secs(5), response).await.expect("an answer within 5 s")?;
    let (http, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        let length = data?.len();
        body.flow_control().release_capacity(length)?;
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    let of = |name: &str| trailers.get(name).or(headers.get(name)).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let code = of("grpc-status").and_then(|code| code.parse::<i32>().ok()).map(Code::from_i32);
    let details =
        of("grpc-status-details-bin").and_then(|text| STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok());
    let text = details.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    Ok(Answer { http, code, reason: text })
}

fn frame_cases() -> Vec<Case> {
    let case = |name, body: &[u8], expected, reason| Case {
        name,
        path: PLACE,
        headers: Vec::new(),
        body: Bytes::copy_from_slice(body),
        expected,
        reason,
    };
    let mut zero_sides = BytesMut::new();
    for _ in 0..20_000 {
        zero_sides.put_slice(&[0x20, 0x00]);
    }
    let mut repeated = order(FILLS);
    repeated.quantity_micros = 0;
    let mut intent = repeated.encode_to_vec();
    intent.extend_from_slice(&zero_sides);
    let mut message = place(&request_id(), repeated).encode_to_vec();
    message.push(0x12);
    prost::encoding::encode_varint(u64::try_from(intent.len()).expect("short"), &mut message);
    message.extend_from_slice(&intent);
    let mut unknown = place(&request_id(), order(FILLS)).encode_to_vec();
    prost::encoding::encode_key(999, prost::encoding::WireType::LengthDelimited, &mut unknown);
    prost::encoding::encode_varint(3_900_000, &mut unknown);
    unknown.resize(unknown.len() + 3_900_000, 0);
    vec![
        case("ten of a hundred bytes", b"\0\0\0\0\x64\n\n\n\n\n\n\n\n\n\n", &[Internal, InvalidArgument], ""),
        case("wire type 6", b"\0\0\0\0\x02\x0e\x01", &[Internal, InvalidArgument], ""),
        case(
            "an endless varint",
            b"\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            &[Internal, InvalidArgument],
            "",
        ),
        case("one field 20,000 times", &frame(&message), &[InvalidArgument], "QUANTITY_NOT_POSITIVE"),
        case("3.9 MB of unknown fields", &frame(&unknown), &[OutOfRange], ""),
        case("compressed without saying how", b"\x01\0\0\0\x01\0", &[Internal], ""),
        case("compression flag 2", b"\x02\0\0\0\x01\0", &[Internal], ""),
        case("an empty message", b"\0\0\0\0\0", &[InvalidArgument], "REQUEST_ID_MISSING"),
        case("no message", b"", &[Internal, InvalidArgument, Unimplemented], ""),
        case("text that is not UTF-8", b"\0\0\0\0\x04\x0a\x02\xff\xfe", &[Internal, InvalidArgument], ""),
    ]
}

fn header_cases() -> Vec<Case> {
    let case = |name, path, headers, expected, reason| Case { name, path, headers, body: good(), expected, reason };
    let header = |name, value: &str| vec![(name, value.to_owned())];
    vec![
        case("gzip", PLACE, header("grpc-encoding", "gzip"), &[Unimplemented], ""),
        case("snappy", PLACE, header("grpc-encoding", "snappy"), &[Unimplemented], ""),
        case("an unknown method", "/tragen.v1.Trading/Nope", Vec::new(), &[Unimplemented], ""),
        case("an unknown service", "/tragen.v1.Admin/Nope", Vec::new(), &[Unimplemented], ""),
        case("a path that climbs", "/../admin", Vec::new(), &[Unimplemented], ""),
        case("JSON on a gRPC path", PLACE, header("content-type", "application/json"), &[Unimplemented], ""),
        case("a timeout that is none", PLACE, header("grpc-timeout", "abc"), &[Fine], ""),
        case("an endless timeout", PLACE, header("grpc-timeout", "99999999H"), &[Fine], ""),
        case("no time at all", PLACE, header("grpc-timeout", "0n"), &[DeadlineExceeded, Code::Cancelled], ""),
        case("a malformed traceparent", PLACE, header("traceparent", "00-zz"), &[Fine], ""),
        case("10 kB of baggage", PLACE, header("baggage", &"x".repeat(10_240)), &[Fine], ""),
    ]
}

#[tokio::test]
async fn malformed_calls_get_a_status_and_harm_nobody() {
    let stage = Stage::start(generous()).await;
    let token = stage.token("alice", Tier::Premium, Role::Trader);
    let client = connect(stage.address).await;
    let cases: Vec<Case> = frame_cases().into_iter().chain(header_cases()).collect();
    assert_eq!(cases.len(), 21);
    for Case { name, path, headers, body, expected, reason } in cases {
        let answer = send(&client, request(path, &token, &headers), body).await.expect(name);
        assert!(answer.code.is_some_and(|code| expected.contains(&code)), "{name}: {answer:?}");
        assert!(answer.reason.contains(reason), "{name}: {answer:?}");
        let http = if name == "JSON on a gRPC path" { 415 } else { 200 };
        assert_eq!(answer.http, http, "{name}");
    }
    stage.place("bob", place(&request_id(), order(FILLS))).await.expect("others are served");
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused() {
    let stage = Stage::start(generous()).await;
    let token = stage.token("alice", Tier::Premium, Role::Trader);
    let client = connect(stage.address).await;
    let headers = [("baggage", "x".repeat(60_000))];
    let answer = send(&client, request(PLACE, &token, &headers), good()).await;
    assert!(answer.as_ref().map_or(true, |answer| answer.http == 431), "{answer:?}");
    stage.place("bob", place(&request_id(), order(FILLS))).await.expect("others are served");
}

#[tokio::test]
async fn ten_thousand_resets_end_only_their_own_connection() {
    let stage = Stage::start(generous()).await;
    let token = stage.token("alice", Tier::Premium, Role::Trader);
    let mut client = connect(stage.address).await;
    for _ in 0..10_000 {
        let Ok(ready) = client.ready().await else { break };
        client = ready;
        let Ok((_, mut stream)) = client.send_request(request(PLACE, &token, &[]), false) else { break };
        stream.send_reset(h2::Reason::CANCEL);
        let Ok(next) = client.clone().ready().await else { break };
        client = next;
    }
    stage.place("bob", place(&request_id(), order(FILLS))).await.expect("others are served");
}

#[tokio::test]
async fn a_connection_carries_a_bounded_number_of_calls() {
    let config = tragen_router::Config { streams_per_connection_max: 4, ..generous() };
    let stage = Stage::start(config).await;
    let token = stage.token("alice", Tier::Premium, Role::Trader);
    let client = connect(stage.address).await;
    // The first answer has the server's settings in front of it.
    send(&client, request(PLACE, &token, &[]), good()).await.expect("an answer");
    assert_eq!(client.current_max_send_streams(), 4);
}

#[tokio::test]
pub(crate) async fn connections_beyond_the_limit_wait_for_a_place() {
    let config = tragen_router::Config { connections_max: 2, ..generous() };
    // The stage's own client has the first place.
    let stage = Stage::start(config).await;
    let token = stage.token("alice", Tier::Premium, Role::Trader);
    let second = connect(stage.address).await;
    send(&second, request(PLACE, &token, &[]), good()).await.expect("an answer");
    let third = connect(stage.address).await;
    let late = send(&third, request(PLACE, &token, &[]), good());
    tokio::pin!(late);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut late).await.is_err(), "there was no place");
    drop(second);
    let answer = late.await.expect("an answer");
    assert_eq!(answer.code, Some(Fine));
}
