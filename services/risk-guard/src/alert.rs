//! What the guard calls a person for.

use std::time::Duration;
use tracing::warn;
use tragen_bus::{Bus, PublishOptions, Severity, Subject};
use tragen_contracts::v1;
use tragen_host::clock;

/// Codes of the guard's alerts.
pub(crate) mod code {
    /// A replay of the journal came to another state.
    pub(crate) const STATE_DIFFERS: &str = "RISK_GUARD_STATE_DIFFERS";
    /// The state contradicts itself; everything is halted.
    pub(crate) const INVARIANT_BROKEN: &str = "RISK_GUARD_INVARIANT_BROKEN";
    /// A fill came after the end of its order.
    pub(crate) const LATE_FILL: &str = "RISK_GUARD_LATE_FILL";
    /// More was filled than was asked for.
    pub(crate) const OVERFILL: &str = "RISK_GUARD_OVERFILL";
    /// The venue refused an order that it had accepted.
    pub(crate) const REJECTED_AFTER_ACCEPTED: &str = "RISK_GUARD_REJECTED_AFTER_ACCEPTED";
    /// Positions were to be reduced and are not at their targets.
    pub(crate) const REDUCTION_OVERDUE: &str = "RISK_GUARD_REDUCTION_OVERDUE";
    /// The venue tells of an order that nobody here remembers.
    pub(crate) const UNKNOWN_ORDER: &str = "RISK_GUARD_UNKNOWN_ORDER";
}

/// Calls a person about `subject`; the same `id` for a repeat. Once, as far as the bus
/// allows: an alert is not worth waiting for.
pub(crate) async fn raise(bus: &Bus, (severity, code): (Severity, &'static str), subject: &str, message: String) {
    let alert = v1::Alert {
        alert_id: format!("{code}-{subject}"),
        severity: v1::AlertSeverity::from(severity).into(),
        code: code.to_owned(),
        service: "risk-guard".to_owned(),
        message,
        subject: subject.to_owned(),
        raised_at_micros: clock::now_micros(),
    };
    let options = PublishOptions { message_id: alert.alert_id.clone().into(), ..PublishOptions::default() };
    if let Err(error) = bus.publish(&Subject::Alert(severity, code), &alert, &options, Duration::from_secs(1)).await {
        warn!("raising alert {code}: {error}");
    }
}
