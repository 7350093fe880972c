//! A call that does not get what it asked for: one canonical code, one closed
//! reason, and what a client needs to act on it, over gRPC and HTTP alike.

mod http_form;

use std::{borrow::Cow, collections::HashMap, time::Duration};
use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};
use tragen_bus::ask::NoAnswer;
use tragen_contracts::v1;
use tragen_domain::routing::Violation;

/// The `domain` of every ErrorInfo.
const ERROR_DOMAIN: &str = "tragen";

/// Why a call is refused.
#[derive(Debug, Clone)]
pub struct Refusal {
    parts: Box<Parts>,
}

#[derive(Debug, Clone)]
struct Parts {
    code: Code,
    reason: Cow<'static, str>,
    message: Cow<'static, str>,
    fields: Vec<Violation>,
    retry_after: Option<Duration>,
    quota: Option<Quota>,
    metadata: Vec<(&'static str, String)>,
}

/// A limit that was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// What is limited, e.g. `place`.
    pub subject: &'static str,
    /// Places a minute.
    pub limit: u32,
    /// Places left.
    pub remaining: u32,
}

impl Refusal {
    /// `code` for `reason`; the message is one sentence without text of the caller.
    #[must_use]
    pub fn new(code: Code, reason: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        let (reason, message) = (reason.into(), message.into());
        let parts =
            Parts { code, reason, message, fields: Vec::new(), retry_after: None, quota: None, metadata: Vec::new() };
        Self { parts: Box::new(parts) }
    }

    /// The client may try again after `wait`.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.parts.retry_after = Some(wait);
        self
    }

    /// Adds a value to the error's metadata.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.parts.metadata.push((key, value.into()));
        self
    }

    /// A limit is reached.
    #[must_use]
    pub fn quota(mut self, quota: Quota) -> Self {
        self.parts.quota = Some(quota);
        self
    }

    /// Nothing took the request in because too much waits already.
    #[must_use]
    pub fn overloaded(what: &'static str, wait: Duration) -> Self {
        Self::new(Code::ResourceExhausted, "OVERLOADED", "too many trades are waiting")
            .with("queue", what)
            .retry_after(wait)
    }

    /// A part of the system cannot be reached.
    #[must_use]
    pub fn unavailable(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unavailable, reason, message).retry_after(Duration::from_millis(500))
    }

    /// There is nothing of that name for this caller.
    #[must_use]
    pub fn not_found(reason: &'static str, message: &'static str) -> Self {
        Self::new(Code::NotFound, reason, message)
    }

    /// The canonical code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.parts.code
    }

    /// The closed reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.parts.reason
    }

    /// One sentence for a person.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.parts.message
    }

    /// The gRPC form.
    #[must_use]
    pub fn to_status(&self) -> Status {
        let parts = &self.parts;
        let info: HashMap<String, String> = parts.metadata.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let mut details = ErrorDetails::with_error_info(parts.reason.as_ref(), ERROR_DOMAIN, info);
        if !parts.fields.is_empty() {
            let fields: Vec<FieldViolation> = parts
                .fields
                .iter()
                .map(|violation| FieldViolation {
                    reason: violation.reason.as_str().to_owned(),
                    ..FieldViolation::new(violation.field, violation.message.as_str())
                })
                .collect();
            details.set_bad_request(fields);
        }
        if let Some(wait) = parts.retry_after {
            details.set_retry_info(Some(wait));
        }
        if let Some(quota) = &parts.quota {
            details.add_quota_failure_violation(format!("requests:{}", quota.subject), self.quota_text(quota));
        }
        let mut metadata = MetadataMap::new();
        for (name, value) in self.headers() {
            if let Ok(value) = value.parse() {
                metadata.insert(name, value);
            }
        }
        Status::with_error_details_and_metadata(parts.code, parts.message.as_ref(), details, metadata)
    }

    /// Headers that say when to come back; the same over gRPC and HTTP.
    fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some(wait) = self.parts.retry_after {
            headers.push(("grpc-retry-pushback-ms", wait.as_millis().to_string()));
        }
        if let Some(quota) = &self.parts.quota {
            headers.push(("ratelimit-limit", quota.limit.to_string()));
            headers.push(("ratelimit-remaining", quota.remaining.to_string()));
            headers.push(("ratelimit-reset", self.retry_secs().to_string()));
        }
        headers
    }

    /// Whole seconds until a retry makes sense, rounded up.
    fn retry_secs(&self) -> u128 {
        self.parts.retry_after.map_or(0, |wait| wait.as_millis().div_ceil(1_000))
    }

    fn quota_text(&self, quota: &Quota) -> String {
        format!("at most {} within any 60 s", quota.limit)
    }
}

impl From<Vec<Violation>> for Refusal {
    /// All violations together; the first gives the code and the reason.
    fn from(fields: Vec<Violation>) -> Self {
        let Some(first) = fields.first() else {
            return Self::new(Code::InvalidArgument, "INVALID_ARGUMENT", "the request is malformed");
        };
        let code = if first.reason.is_precondition() { Code::FailedPrecondition } else { Code::InvalidArgument };
        let message = format!("{}: {}", first.field, first.message);
        let mut refusal = Self::new(code, first.reason.as_str(), message);
        refusal.parts.fields = fields;
        refusal
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        vec![violation].into()
    }
}

impl From<v1::AskError> for Refusal {
    /// What another service says is passed on.
    fn from(error: v1::AskError) -> Self {
        Self::new(Code::from_i32(error.code), error.reason, error.message)
    }
}

impl From<NoAnswer> for Refusal {
    fn from(error: NoAnswer) -> Self {
        match &error {
            NoAnswer::NoResponder { to } | NoAnswer::Timeout { to, .. } => {
                let part = to.clone().into_owned();
                Self::unavailable("PART_UNAVAILABLE", error.to_string()).with("part", part)
            }
            NoAnswer::Malformed { .. } => malformed_answer(),
        }
    }
}

/// Another service answered something else than what was asked.
pub(crate) fn malformed_answer() -> Refusal {
    Refusal::new(Code::Internal, "MALFORMED_ANSWER", "another part of the system answered something else")
}
