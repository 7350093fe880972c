//! Whom the load goes to and in whose name: connections, accounts and tokens.

use anyhow::{Context as _, ensure};
use std::{path::Path, time::Duration};
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

/// An account and the right to act for it.
#[derive(Debug, Clone)]
pub struct Account {
    /// The token's subject.
    pub name: String,
    bearer: MetadataValue<Ascii>,
}

impl Account {
    /// The account `name`, for which `token` speaks.
    ///
    /// # Errors
    /// When the token cannot be a header value.
    pub fn new(name: &str, token: &str) -> anyhow::Result<Self> {
        let mut bearer = MetadataValue::try_from(format!("Bearer {token}"))
            .ok()
            .with_context(|| format!("the token of {name} has characters that no token has"))?;
        bearer.set_sensitive(true);
        Ok(Self { name: name.to_owned(), bearer })
    }

    /// `message` in this account's name, to be answered within `deadline`.
    pub(crate) fn request<M>(&self, message: M, deadline: Duration) -> Request<M> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request.set_timeout(deadline);
        request
    }
}

/// Reads accounts from `file`: one `account token` a line; empty lines and lines with `#` are skipped.
///
/// # Errors
/// When the file cannot be read, a line has another form, or there is no account.
pub fn read_accounts(file: &Path) -> anyhow::Result<Vec<Account>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let accounts = parse_accounts(&text).with_context(|| format!("reading {}", file.display()))?;
    ensure!(!accounts.is_empty(), "{} has no account", file.display());
    Ok(accounts)
}

fn parse_accounts(text: &str) -> anyhow::Result<Vec<Account>> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [name, token] => Account::new(name, token),
            // Never the line itself: it may hold a token.
            _ => anyhow::bail!("line {number} is not `account token`"),
        })
        .collect()
}

/// Opens `count` HTTP/2 connections to `endpoint`.
pub(crate) async fn connect(endpoint: &str, count: usize) -> anyhow::Result<Vec<Channel>> {
    let target = Endpoint::from_shared(endpoint.to_owned())
        .with_context(|| format!("{endpoint} is not an address such as http://127.0.0.1:8080"))?
        .connect_timeout(Duration::from_secs(5))
        .tcp_nodelay(true);
    let mut channels = Vec::with_capacity(count);
    for _ in 0..count {
        channels.push(target.connect().await.with_context(|| format!("connecting to {endpoint}"))?);
    }
    Ok(channels)
}

/// The canonical name of the error, e.g. `RESOURCE_EXHAUSTED`.
pub(crate) fn code_name(status: &Status) -> String {
    // The client library calls its own timeout "cancelled".
    let is_timeout = status.code() == Code::Cancelled && status.message() == "Timeout expired";
    let code = if is_timeout { Code::DeadlineExceeded } else { status.code() };
    let mut name = String::new();
    for (index, letter) in format!("{code:?}").char_indices() {
        if index > 0 && letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// What kind of failure it is, as in [`crate::Part::errors_by_class`].
pub(crate) fn class_name(status: &Status) -> &'static str {
    let is_told_when = status.metadata().contains_key("grpc-retry-pushback-ms");
    match code_name(status).as_str() {
        "RESOURCE_EXHAUSTED" if is_told_when => "shed",
        "RESOURCE_EXHAUSTED" => "overloaded",
        "DEADLINE_EXCEEDED" => "timeout",
        "UNAVAILABLE" | "CANCELLED" | "UNKNOWN" | "ABORTED" => "unavailable",
        _ => "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_and_a_bad_line_is_named_without_its_token() {
        let accounts = parse_accounts("# made by tragen token\nload-0 aaa\n\n  load-1\tbbb \n").expect("two");
        assert_eq!(accounts.iter().map(|account| account.name.as_str()).collect::<Vec<_>>(), ["load-0", "load-1"]);
        let error = parse_accounts("load-0 aaa\nload-1 secret more").expect_err("refused").to_string();
        assert_eq!(error, "line 2 is not `account token`");
        assert!(!format!("{accounts:?}").contains("aaa"), "tokens are never shown");
    }

    #[test]
    fn failures_have_classes() {
        let mut shed = Status::resource_exhausted("later");
        shed.metadata_mut().insert("grpc-retry-pushback-ms", tonic::metadata::MetadataValue::from_static("50"));
        for (status, class) in [
            (shed, "shed"),
            (Status::resource_exhausted(""), "overloaded"),
            (Status::cancelled("Timeout expired"), "timeout"),
            (Status::unavailable(""), "unavailable"),
            (Status::invalid_argument(""), "refused"),
        ] {
            assert_eq!(class_name(&status), class, "{status:?}");
        }
    }

    #[test]
    fn errors_have_their_canonical_names() {
        assert_eq!(code_name(&Status::resource_exhausted("")), "RESOURCE_EXHAUSTED");
        assert_eq!(code_name(&Status::ok("")), "OK");
        assert_eq!(code_name(&Status::cancelled("Timeout expired")), "DEADLINE_EXCEEDED");
    }
}
