//! Bytes and headers: each case as it stands on the wire.

use super::{Case, cases};
use crate::{
    bad_wire::{PLACE, connect, frame, good, request, send},
    stage::{FILLS, Stage, generous, order, place, request_id},
};
use bytes::Bytes;
use prost::Message as _;
use tragen_domain::tier::Tier;
use tragen_router::token::Role;

fn bytes_of(hex: &str) -> Bytes {
    let digits: Vec<u8> = hex.bytes().collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
    digits.chunks(2).map(byte).collect()
}

fn body(case: &Case) -> Bytes {
    if let Some(hex) = case.input["frame_hex"].as_str() {
        return bytes_of(hex);
    }
    match case.input["frame"].as_str() {
        None => good(),
        // The quantity, which comes last as nothing.
        Some("{field 4 x100000}") => {
            let mut intent = order(FILLS).encode_to_vec();
            (0..100_000).for_each(|_| intent.extend_from_slice(&[0x20, 0x00]));
            let mut message = place(&request_id(), order(FILLS)).encode_to_vec();
            message.push(0x12);
            prost::encoding::encode_varint(u64::try_from(intent.len()).expect("short"), &mut message);
            message.extend_from_slice(&intent);
            frame(&message)
        }
        Some("{unknown field 999}") => {
            let mut message = place(&request_id(), order(FILLS)).encode_to_vec();
            prost::encoding::encode_key(999, prost::encoding::WireType::LengthDelimited, &mut message);
            prost::encoding::encode_varint(3_900_000, &mut message);
            message.resize(message.len() + 3_900_000, 0);
            frame(&message)
        }
        // It is refused by its encoding before a byte of it is looked at.
        Some("{gzip of 1 GB zeros}") => good(),
        Some(other) => panic!("{}: {other}", case.id),
    }
}

fn headers(case: &Case) -> Vec<(&'static str, String)> {
    let known = ["grpc-encoding", "content-type", "grpc-timeout", "traceparent", "baggage"];
    let fields = case.input["headers"].as_object().cloned().unwrap_or_default();
    let header = |(name, value): (String, serde_json::Value)| {
        let name = known.into_iter().find(|known| *known == name).expect("a known header");
        let value = value.as_str().expect("a text").to_owned();
        (name, if value == "x10240" { "x".repeat(10_240) } else { value })
    };
    fields.into_iter().map(header).collect()
}

#[tokio::test]
async fn calls_of_the_reference_get_a_status_and_harm_nobody() {
    let Some(cases) = cases("wire") else { return };
    let stage = Stage::start(generous()).await;
    let token = stage.token("alice", Tier::Premium, Role::Trader);
    let client = connect(stage.address).await;
    let mut tried = 0;
    for case in &cases {
        let path = case.input["path"].as_str().unwrap_or(PLACE);
        let answer = send(&client, request(path, &token, &headers(case)), body(case)).await.expect(&case.id);
        assert!(answer.code.is_some_and(|code| case.codes.contains(&code)), "{}: {answer:?}", case.id);
        assert!(case.codes.len() > 1 || answer.reason.contains(&case.reason), "{}: {answer:?}", case.id);
        tried += 1;
    }
    assert_eq!(tried, 16);
    stage.place("bob", place(&request_id(), order(FILLS))).await.expect("others are served");
}
