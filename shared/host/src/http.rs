//! `/live`, `/ready` and `/metrics`, the same for every service.

use crate::{context::Context, health::Health};
use anyhow::Context as _;
use axum::{Router, extract::State, http::StatusCode, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use std::{fmt::Write as _, net::SocketAddr};

/// The three routes, to be merged into a service's own.
pub fn routes(health: Health, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready).with_state(health))
        .route("/metrics", get(move || async move { render(&metrics) }))
}

/// Serves the three routes on `address` until the process stops; returns the bound address.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(context: &Context, address: SocketAddr, metrics: PrometheusHandle) -> anyhow::Result<SocketAddr> {
    let listener =
        tokio::net::TcpListener::bind(address).await.with_context(|| format!("binding the health port {address}"))?;
    let bound = listener.local_addr().context("reading the bound health port")?;
    let app = routes(context.health.clone(), metrics);
    let stopped = context.stopped();
    context.spawn("health-http", async move {
        axum::serve(listener, app).with_graceful_shutdown(stopped).await.context("serving health over HTTP")
    });
    Ok(bound)
}

async fn ready(State(health): State<Health>) -> (StatusCode, String) {
    let mut body = String::new();
    for (part, state) in health.parts() {
        let text = state.err().unwrap_or_else(|| "ready".to_owned());
        let _ = writeln!(body, "{part}: {text}");
    }
    let status = if health.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, body)
}

fn render(metrics: &PrometheusHandle) -> String {
    metrics_process::Collector::default().collect();
    metrics.render()
}
