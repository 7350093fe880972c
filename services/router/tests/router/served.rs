//! What else is on the port: health, reflection, gRPC-web.

use crate::stage::{FILLS, Stage, generous, order, place, request_id};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tragen_domain::tier::Tier;
use tragen_router::{Config, token::Role};

const SERVICES: [&str; 7] = [
    "tragen.v1.Trading",
    "tragen.v1.Accounts",
    "tragen.v1.Markets",
    "tragen.v1.RiskControl",
    "tragen.v1.Agents",
    "tragen.v1.Costs",
    "tragen.v1.Operations",
];

#[tokio::test]
async fn every_service_is_serving_until_the_router_stops() {
    let stage = Stage::start(generous()).await;
    let mut health = HealthClient::new(stage.channel.clone());
    for service in SERVICES.into_iter().chain([""]) {
        let request = HealthCheckRequest { service: service.to_owned() };
        let status = health.check(request).await.expect(service).into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    let mut changes = health.watch(HealthCheckRequest::default()).await.expect("watching").into_inner();
    let status = |answer: tonic_health::pb::HealthCheckResponse| answer.status();
    assert_eq!(changes.message().await.expect("open").map(status), Some(ServingStatus::Serving));
    stage.stop.cancel();
    assert_eq!(changes.message().await.expect("open").map(status), Some(ServingStatus::NotServing));
}

async fn reflected(stage: &Stage) -> Result<Vec<String>, tonic::Status> {
    let request = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let mut client = ServerReflectionClient::new(stage.channel.clone());
    let mut answers = client.server_reflection_info(futures::stream::iter([request])).await?.into_inner();
    let answer = answers.message().await?.and_then(|answer| answer.message_response);
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("not a list") };
    Ok(list.service.into_iter().map(|service| service.name).collect())
}

#[tokio::test]
async fn the_api_describes_itself_if_it_may() {
    let stage = Stage::start(generous()).await;
    let services = reflected(&stage).await.expect("a list");
    assert!(SERVICES.iter().all(|service| services.iter().any(|name| name == service)), "{services:?}");
    let silent = Stage::start(Config { is_reflection_on: false, ..generous() }).await;
    assert_eq!(reflected(&silent).await.expect_err("off").code(), tonic::Code::Unimplemented);
}

#[tokio::test]
async fn browsers_call_by_grpc_web_over_http_1() {
    let stage = Stage::start(generous()).await;
    let token = stage.token("alice", Tier::Premium, Role::Trader);
    let message = place(&request_id(), order(FILLS)).encode_to_vec();
    let length = u32::try_from(message.len()).expect("short");
    let body = [&[0][..], &length.to_be_bytes(), &message].concat();
    let head = format!(
        "POST /tragen.v1.Trading/PlaceTrade HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(stage.address).await.expect("connected");
    stream.write_all(&[head.as_bytes(), &body].concat()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("grpc-status:0"), "{text}");
    assert!(text.contains(FILLS), "{text}");
}
