//! The public API as a client sees it: one connection, a token on each call, a
//! deadline on each question.

use anyhow::Context as _;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tonic::{
    Request, Status,
    metadata::AsciiMetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tragen_contracts::v1::{
    accounts_client::AccountsClient, agents_client::AgentsClient, costs_client::CostsClient,
    markets_client::MarketsClient, operations_client::OperationsClient, risk_control_client::RiskControlClient,
    trading_client::TradingClient,
};
use tragen_router::token::{Claims, Keys};

/// How long the connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection that carries the token.
pub(crate) type Authorized = InterceptedService<Channel, Bearer>;

/// A client of the API; clones share the connection.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    channel: Channel,
    bearer: Bearer,
}

/// Where the token of each call comes from.
#[derive(Debug, Clone)]
pub(crate) enum Bearer {
    /// There is none.
    None,
    /// Always the same.
    Fixed(AsciiMetadataValue),
    /// Issued here, and again before it ends.
    Issued(Arc<Issued>),
}

/// A token that is renewed at half of its life.
#[derive(Debug)]
pub(crate) struct Issued {
    keys: Arc<Keys>,
    claims: Claims,
    current: Mutex<Option<(Instant, AsciiMetadataValue)>>,
}

/// A question with a deadline.
pub(crate) fn ask<T>(message: T) -> Request<T> {
    within(message, ANSWER_TIMEOUT)
}

/// A question with a deadline of its own.
pub(crate) fn within<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

impl Api {
    /// Connects to `endpoint`, e.g. `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// When the endpoint is no URL or nobody answers there.
    pub(crate) async fn connect(endpoint: &str, bearer: Bearer) -> anyhow::Result<Self> {
        let channel =
            target(endpoint)?.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).connect().await.map_err(|error| {
                let cause = anyhow::Error::new(error);
                let cause = cause.root_cause();
                anyhow::anyhow!("no API answers at {endpoint} ({cause}); start one with `tragen up`, or set --endpoint")
            })?;
        Ok(Self { channel, bearer })
    }

    /// The same connection with another token.
    #[must_use]
    pub(crate) fn with_bearer(&self, bearer: Bearer) -> Self {
        Self { channel: self.channel.clone(), bearer }
    }

    pub(crate) fn trading(&self) -> TradingClient<Authorized> {
        TradingClient::new(self.authorized())
    }

    pub(crate) fn accounts(&self) -> AccountsClient<Authorized> {
        AccountsClient::new(self.authorized())
    }

    pub(crate) fn markets(&self) -> MarketsClient<Authorized> {
        MarketsClient::new(self.authorized())
    }

    pub(crate) fn agents(&self) -> AgentsClient<Authorized> {
        AgentsClient::new(self.authorized())
    }

    pub(crate) fn risk(&self) -> RiskControlClient<Authorized> {
        RiskControlClient::new(self.authorized())
    }

    pub(crate) fn operations(&self) -> OperationsClient<Authorized> {
        OperationsClient::new(self.authorized())
    }

    pub(crate) fn costs(&self) -> CostsClient<Authorized> {
        CostsClient::new(self.authorized())
    }

    fn authorized(&self) -> Authorized {
        InterceptedService::new(self.channel.clone(), self.bearer.clone())
    }
}

impl Bearer {
    /// The token a person has given, if any.
    ///
    /// # Errors
    /// When it cannot be sent in a header.
    pub(crate) fn fixed(token: Option<&str>) -> anyhow::Result<Self> {
        match token.map(str::trim).filter(|token| !token.is_empty()) {
            Some(token) => Ok(Self::Fixed(header(token).context("--token: it is not a JWT")?)),
            None => Ok(Self::None),
        }
    }

    /// Tokens made with `keys`, for as long as they are needed.
    pub(crate) fn issued(keys: &Arc<Keys>, claims: Claims) -> Self {
        Self::Issued(Arc::new(Issued { keys: Arc::clone(keys), claims, current: Mutex::default() }))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = match self {
            Self::None => return Ok(request),
            Self::Fixed(value) => value.clone(),
            Self::Issued(issued) => issued.value().map_err(|error| Status::internal(format!("{error:#}")))?,
        };
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

impl Issued {
    fn value(&self) -> anyhow::Result<AsciiMetadataValue> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((issued_at, value)) = &*current
            && issued_at.elapsed() < self.claims.lifetime / 2
        {
            return Ok(value.clone());
        }
        let value = header(&self.keys.issue(&self.claims)?)?;
        *current = Some((Instant::now(), value.clone()));
        Ok(value)
    }
}

/// Where to connect; the client speaks plain HTTP/2.
fn target(endpoint: &str) -> anyhow::Result<Endpoint> {
    let expected = || format!("--endpoint: {endpoint:?} is not a URL such as http://127.0.0.1:8080");
    let target = Endpoint::from_shared(endpoint.to_owned()).with_context(expected)?;
    match target.uri().scheme_str() {
        Some("http") => Ok(target),
        Some("https") => anyhow::bail!("--endpoint: this client speaks http only; end TLS in front of the API"),
        Some(_) | None => anyhow::bail!(expected()),
    }
}

fn header(token: &str) -> anyhow::Result<AsciiMetadataValue> {
    let mut value: AsciiMetadataValue = format!("Bearer {token}").parse().context("writing the token's header")?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_plain_http() {
        assert!(target("http://127.0.0.1:8080").is_ok());
        let check = |endpoint: &str, said: &str| {
            let refused = format!("{:#}", target(endpoint).expect_err("refused"));
            assert!(refused.starts_with("--endpoint: ") && refused.contains(said), "{endpoint}: {refused}");
        };
        check("https://127.0.0.1:8080", "this client speaks http only; end TLS in front of the API");
        for bad in ["127.0.0.1:1", "localhost", "/x", "ftp://a", "", "a b"] {
            check(bad, &format!("{bad:?} is not a URL such as http://127.0.0.1:8080"));
        }
    }
}
