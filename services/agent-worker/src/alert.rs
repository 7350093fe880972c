//! What the worker calls a person for.

use std::time::Duration;
use tracing::warn;
use tragen_bus::{Bus, PublishOptions, Severity, Subject};
use tragen_contracts::v1;
use tragen_host::clock;

/// Codes of the worker's alerts.
pub(crate) mod code {
    /// A text about a market tries to give the advisor orders.
    pub(crate) const INJECTION_SUSPECTED: &str = "ADVISOR_INJECTION_SUSPECTED";
}

/// How long the same alert about the same thing is one alert, microseconds.
const REPEAT_MICROS: i64 = 3_600_000_000;

/// Asks a person to look at `subject` today; repeats within the hour are the same alert. Once, as far as the bus
/// allows: an alert is not worth waiting for.
pub(crate) async fn raise(bus: &Bus, code: &'static str, subject: &str, message: String) {
    let now_micros = clock::now_micros();
    let alert = v1::Alert {
        alert_id: format!("{code}-{subject}-{}", now_micros / REPEAT_MICROS),
        severity: v1::AlertSeverity::from(Severity::Warning).into(),
        code: code.to_owned(),
        service: "agent-worker".to_owned(),
        message,
        subject: subject.to_owned(),
        raised_at_micros: now_micros,
    };
    let options = PublishOptions { message_id: alert.alert_id.clone().into(), ..PublishOptions::default() };
    let subject = Subject::Alert(Severity::Warning, code);
    if let Err(error) = bus.publish(&subject, &alert, &options, Duration::from_secs(1)).await {
        warn!("raising alert {code}: {error}");
    }
}
