//! An error as one sentence for the person who typed the command.

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// What went wrong; field and reason when the API has said them.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    match error.chain().find_map(|cause| cause.downcast_ref::<Status>()) {
        Some(status) => refusal(status),
        None => format!("{error:#}"),
    }
}

fn refusal(status: &Status) -> String {
    let details = status.get_error_details();
    if let Some(info) = details.error_info().filter(|info| info.reason == "ROLE_REQUIRED")
        && let Some(role) = info.metadata.get("role")
    {
        return format!("this needs the role {role} (ROLE_REQUIRED); see tragen token --role {role}");
    }
    let mut text = match details.bad_request() {
        Some(request) if !request.field_violations.is_empty() => {
            let parts = request.field_violations.iter().map(|v| format!("{}: {}", v.field, v.description));
            parts.collect::<Vec<_>>().join("; ")
        }
        _ if !status.message().is_empty() => status.message().to_owned(),
        _ => status.code().to_string(),
    };
    if let Some(info) = details.error_info().filter(|info| !info.reason.is_empty()) {
        text.push_str(&format!(" ({})", info.reason));
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        text.push_str(&format!("; try again in {:.1} s", delay.as_secs_f64()));
    }
    if status.code() == Code::Unauthenticated {
        text.push_str("; make a token with `tragen token` and pass it as TRAGEN_TOKEN");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashMap, time::Duration};
    use tonic_types::ErrorDetails;

    fn check(status: Status, expected: &str) {
        assert_eq!(sentence(&anyhow::Error::new(status).context("placing the trade")), expected);
    }

    #[test]
    fn field_reason_and_delay_are_named() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("order.quantity_micros", "must be above 0");
        details.set_error_info("QUANTITY_NOT_POSITIVE", "tragen", HashMap::new());
        check(
            Status::with_error_details(Code::InvalidArgument, "the request is malformed", details),
            "order.quantity_micros: must be above 0 (QUANTITY_NOT_POSITIVE)",
        );
        let mut details = ErrorDetails::new();
        details.set_retry_info(Some(Duration::from_millis(1_500)));
        check(
            Status::with_error_details(Code::ResourceExhausted, "too many trades", details),
            "too many trades; try again in 1.5 s",
        );
        let mut details = ErrorDetails::new();
        details.set_error_info("ROLE_REQUIRED", "tragen", HashMap::from([("role".to_owned(), "operator".to_owned())]));
        check(
            Status::with_error_details(Code::PermissionDenied, "the token's role does not allow this call", details),
            "this needs the role operator (ROLE_REQUIRED); see tragen token --role operator",
        );
        check(Status::not_found("there is no such trade"), "there is no such trade");
        check(Status::new(Code::Internal, ""), "Internal error");
    }
}
