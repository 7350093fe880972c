//! One port for gRPC, gRPC-web, JSON over HTTP, health and metrics.

use crate::{access::METHODS, api::Api, connections, grpc::Grpc, http};
use anyhow::Context as _;
use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use metrics_exporter_prometheus::PrometheusHandle;
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tonic::{Status, service::Routes, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};
use tonic_web::GrpcWebLayer;
use tragen_contracts::v1::{
    accounts_server::AccountsServer, agents_server::AgentsServer, costs_server::CostsServer,
    markets_server::MarketsServer, operations_server::OperationsServer, risk_control_server::RiskControlServer,
    trading_server::TradingServer,
};

/// How long connections get to end after the last call is answered.
const GRACE: Duration = Duration::from_secs(2);

/// Binds the port and serves until the process stops; returns the bound address.
///
/// # Errors
/// When the port cannot be bound or reflection cannot be built.
pub(crate) async fn start(api: Arc<Api>, metrics: PrometheusHandle) -> anyhow::Result<SocketAddr> {
    let config = &api.config;
    let listener = TcpListener::bind(config.listen).await.with_context(|| format!("binding {}", config.listen))?;
    let address = listener.local_addr().context("reading the bound address")?;
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut grpc = services(&api).add_service(health);
    if config.is_reflection_on {
        let builder = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(tragen_contracts::DESCRIPTORS)
        };
        grpc = grpc.add_service(builder().build_v1().context("building reflection")?);
        grpc = grpc.add_service(builder().build_v1alpha().context("building reflection")?);
    }
    let grpc = grpc.into_axum_router().layer(GrpcWebLayer::new()).layer(middleware::from_fn(grpc_only));
    let app: Router = grpc
        .merge(http::routes(Arc::clone(&api)))
        .merge(tragen_host::http::routes(api.context.health.clone(), metrics))
        .fallback(unknown_path);
    let mut server = Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(config.streams_per_connection_max)
        .http2_max_header_list_size(config.header_bytes_max)
        .http2_keepalive_interval(Some(Duration::from_secs(config.keepalive_secs)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .max_connection_age(Duration::from_secs(config.connection_age_secs))
        .max_connection_age_grace(Duration::from_millis(config.wait_max_ms));
    let incoming = connections::accept(listener, config.connections_max);
    let serving = server.add_routes(Routes::from(app)).serve_with_incoming_shutdown(incoming, api.context.stopped());
    set_health(&reporter, ServingStatus::Serving).await;
    let (context, drain) = (api.context.clone(), Duration::from_millis(config.drain_ms) + GRACE);
    let late = context.stopped();
    api.context.spawn("server", async move {
        tokio::select! {
            served = serving => served.context("serving the API"),
            // A client that never hangs up must not keep the process alive.
            () = async { late.await; tokio::time::sleep(drain).await } => Ok(()),
        }
    });
    api.context.spawn("health", async move {
        context.stopped().await;
        set_health(&reporter, ServingStatus::NotServing).await;
        Ok(())
    });
    Ok(address)
}

fn services(api: &Arc<Api>) -> Routes {
    let (grpc, limit) = (Grpc { api: Arc::clone(api) }, api.config.request_bytes_max);
    Routes::new(TradingServer::new(grpc.clone()).max_decoding_message_size(limit))
        .add_service(AccountsServer::new(grpc.clone()).max_decoding_message_size(limit))
        .add_service(MarketsServer::new(grpc.clone()).max_decoding_message_size(limit))
        .add_service(RiskControlServer::new(grpc.clone()).max_decoding_message_size(limit))
        .add_service(AgentsServer::new(grpc.clone()).max_decoding_message_size(limit))
        .add_service(CostsServer::new(grpc.clone()).max_decoding_message_size(limit))
        .add_service(OperationsServer::new(grpc).max_decoding_message_size(limit))
}

/// For every service and for the server as a whole (the empty name).
async fn set_health(reporter: &HealthReporter, status: ServingStatus) {
    let services: BTreeSet<&str> = METHODS.iter().filter_map(|method| method.name.split('/').next()).collect();
    for service in services.into_iter().chain([""]) {
        reporter.set_service_status(service, status).await;
    }
}

/// tonic takes any content type for protobuf; the gRPC specification wants 415.
async fn grpc_only(request: Request, next: Next) -> Response {
    if is_grpc(&request) {
        return next.run(request).await;
    }
    let mut response =
        Status::unimplemented("the content type is not application/grpc").into_http::<axum::body::Body>();
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

async fn unknown_path(request: Request) -> Response {
    if is_grpc(&request) {
        return Status::unimplemented("there is no such method").into_http::<axum::body::Body>();
    }
    http::no_such_path().into_response()
}

fn is_grpc(request: &Request) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|content_type| content_type.starts_with(b"application/grpc"))
}
