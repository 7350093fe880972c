//! Logs to stderr, metrics for Prometheus, traces over OTLP.

mod lines;

use crate::trace::Spans;
use anyhow::Context as _;
use lines::Lines;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use std::{io::IsTerminal as _, sync::Mutex, time::Duration};
use tracing_subscriber::{EnvFilter, fmt};

/// How long the end of a process, and a panic, wait for their last log lines.
const LAST_LINES_WAIT: Duration = Duration::from_secs(1);

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Where spans go, and which share of traces that start here.
#[derive(Debug, Clone)]
pub struct TraceConfig {
    /// OTLP over gRPC, e.g. `http://127.0.0.1:4317`.
    pub otlp_endpoint: String,
    /// 0.0 to 1.0; a trace that a caller has sampled is always continued.
    pub sample_ratio: f64,
}

/// The process's telemetry; shut it down last.
#[derive(Debug)]
pub struct Telemetry {
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    lines: Lines,
    traces: Option<TraceConfig>,
    providers: Mutex<Vec<SdkTracerProvider>>,
}

impl Telemetry {
    /// Installs logs and metrics for the process. Filter: `TRAGEN_LOG`, default `default_filter`.
    ///
    /// # Errors
    /// When a recorder or subscriber is installed already.
    pub fn install(format: LogFormat, default_filter: &str, traces: Option<TraceConfig>) -> anyhow::Result<Self> {
        let filter = EnvFilter::try_from_env("TRAGEN_LOG").unwrap_or_else(|_| EnvFilter::new(default_filter));
        // The writer takes everything, whatever happens to stderr: nobody who logs waits for it or fails with it.
        let lines = Lines::to(std::io::stderr()).context("starting the log's thread")?;
        let logs = fmt().with_env_filter(filter).with_writer(lines.clone()).with_ansi(std::io::stderr().is_terminal());
        match format {
            LogFormat::Human => logs.with_target(false).try_init(),
            LogFormat::Json => logs.json().flatten_event(true).try_init(),
        }
        .map_err(|e| anyhow::anyhow!("installing the log subscriber: {e}"))?;
        let latency_buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let metrics = PrometheusBuilder::new()
            .set_buckets(&latency_buckets)
            .context("setting the latency buckets")?
            .install_recorder()
            .context("installing the metrics recorder")?;
        metrics_process::Collector::default().describe();
        lines.take_panics(LAST_LINES_WAIT);
        Ok(Self { metrics, lines, traces, providers: Mutex::default() })
    }

    /// Spans under the name `tragen-<service>`.
    ///
    /// # Errors
    /// When the OTLP exporter cannot be built.
    pub fn spans(&self, service: &'static str, version: &'static str) -> anyhow::Result<Spans> {
        let Some(traces) = &self.traces else { return Ok(Spans::default()) };
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&traces.otlp_endpoint)
            .with_timeout(Duration::from_secs(5))
            .build()
            .with_context(|| format!("building the OTLP exporter to {}", traces.otlp_endpoint))?;
        let resource = Resource::builder()
            .with_service_name(format!("tragen-{service}"))
            .with_attributes([
                KeyValue::new("service.namespace", "tragen"),
                KeyValue::new("service.version", version),
                KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
            ])
            .build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(traces.sample_ratio)));
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_resource(resource)
            .with_batch_exporter(exporter)
            .build();
        let spans = Spans::new(provider.tracer("tragen"));
        self.providers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(provider);
        Ok(spans)
    }

    /// Sends and writes what is left; waits at most five seconds a provider, and a second for log lines.
    pub fn shutdown(&self) {
        for provider in self.providers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).drain(..) {
            if let Err(error) = provider.shutdown_with_timeout(Duration::from_secs(5)) {
                tracing::warn!("traces may be incomplete: {error}");
            }
        }
        self.lines.flush(LAST_LINES_WAIT);
    }
}
