//! One chat server: asked with a timeout, once more where luck may help, and left alone when it keeps failing.

use super::{
    answer::{self, Answer, BODY_BYTES_MAX},
    config::{AdvisorConfig, EndpointConfig, KeyHeader},
    prompt::{RequestForm, request_body},
    purse::{Held, Purse},
};
use crate::metrics;
use ::metrics::{counter, gauge, histogram};
use anyhow::Context as _;
use reqwest::{
    Client, Response, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use tragen_bus::usage::{Usage, Work};
use tragen_domain::{
    agents::advisor::{NoOpinion, breaker::ServerBreaker, llm_price::ModelPrice, retry::pause_ms},
    money::Money,
    time::Timestamp,
};
use tragen_host::{clock, retry::Backoff};

/// Attempts for one question.
const ATTEMPTS_MAX: usize = 2;

/// A chat server that can be asked.
#[derive(Debug)]
pub(crate) struct Endpoint {
    name: String,
    url: Url,
    client: Client,
    form: RequestForm,
    price: ModelPrice,
    calls: Semaphore,
    breaker: Mutex<ServerBreaker>,
}

/// One question, and who pays for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) agent: &'a str,
    pub(crate) facts_json: &'a str,
    pub(crate) purse: &'a Purse,
    pub(crate) usage: &'a Usage,
    /// When the answer is of no use any more, and how long that was from the beginning.
    pub(crate) until: Instant,
    pub(crate) total: Duration,
}

/// How an attempt failed.
struct Failed {
    why: NoOpinion,
    retry_after_ms: Option<i64>,
}

impl Endpoint {
    /// A server as configured; its key is read from the environment, here and only once.
    pub(crate) fn new(
        config: &EndpointConfig,
        advisor: &AdvisorConfig,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let client = Client::builder()
            .connect_timeout(Duration::from_millis(advisor.connect_timeout_ms))
            .default_headers(headers(config, environment)?)
            // Elsewhere than configured nobody gets the key, and a proxy of the environment is nobody we know.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .context("making the HTTP client")?;
        Ok(Self {
            name: config.name.clone(),
            url: completions(&config.base_url)?,
            client,
            form: RequestForm {
                model: config.model.clone(),
                answer_form: config.answer_form,
                tokens_field: config.tokens_field,
                sampling: config.sampling,
                answer_tokens_max: advisor.answer_tokens_max,
            },
            price: *advisor.prices().of(&config.model)?,
            calls: Semaphore::new(config.calls_at_once_max),
            breaker: Mutex::default(),
        })
    }

    /// The model it is asked for.
    pub(crate) fn model(&self) -> &str {
        &self.form.model
    }

    /// Its name in logs.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Asks, and asks once more if the failure may pass and there is time.
    pub(crate) async fn ask(&self, call: &Call<'_>) -> Result<String, NoOpinion> {
        let body = request_body(&self.form, call.facts_json);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let failed = match self.attempt(call, &body).await {
                Ok(answer) => return answer,
                Err(failed) => failed,
            };
            let (left, total) = (millis(call.left()), millis(call.total));
            let pause = pause_ms(&failed.why, failed.retry_after_ms, left, total);
            match pause.and_then(|ms| u64::try_from(ms).ok()).filter(|_| attempts < ATTEMPTS_MAX) {
                Some(ms) => wait(Duration::from_millis(ms)).await,
                None => return Err(failed.why),
            }
        }
    }

    /// One attempt: the model's answer, or why there is none; or a failure of the server.
    async fn attempt(&self, call: &Call<'_>, body: &str) -> Result<Result<String, NoOpinion>, Failed> {
        let _call = match tokio::time::timeout(call.left(), self.calls.acquire()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) | Err(_) => return Err(NoOpinion::Busy.into()),
        };
        let bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let worst_case = self.price.worst_case(bytes, self.form.answer_tokens_max).map_err(NoOpinion::Price)?;
        let held = call.purse.reserve(call.agent, worst_case).map_err(NoOpinion::Budget)?;
        if !self.breaker(|breaker| breaker.admits(now())) {
            held.release();
            return Err(NoOpinion::ServerRests.into());
        }
        let started = Instant::now();
        let received = self.send(body, call.left()).await;
        histogram!(metrics::ADVISOR_CALL_SECONDS, "endpoint" => self.name.clone())
            .record(started.elapsed().as_secs_f64());
        let answer = match received {
            Ok(body) => answer::read(&body),
            Err(failed) => {
                self.count(&failed.why);
                let cost = if failed.why.may_be_billed() { held.worst_case() } else { Money::ZERO };
                settle(call, held, cost);
                return Err(failed);
            }
        };
        let cost = answer.usage.and_then(|usage| self.price.cost(&usage).ok()).unwrap_or(worst_case);
        settle(call, held, cost);
        self.outcome(answer)
    }

    fn outcome(&self, answer: Answer) -> Result<Result<String, NoOpinion>, Failed> {
        match answer.content {
            Err(why) if why.is_servers_fault() => {
                self.count(&why);
                Err(why.into())
            }
            content => {
                self.breaker(ServerBreaker::succeed);
                let outcome = content.as_ref().err().map_or("answered", NoOpinion::as_str);
                counter!(metrics::ADVISOR_CALLS, "endpoint" => self.name.clone(), "outcome" => outcome).increment(1);
                Ok(content)
            }
        }
    }

    async fn send(&self, body: &str, left: Duration) -> Result<Vec<u8>, Failed> {
        let request = self.client.post(self.url.clone()).timeout(left).body(body.to_owned());
        let mut response = request.send().await.map_err(|error| failure(&error))?;
        if !response.status().is_success() {
            let why = NoOpinion::Status { status: response.status().as_u16() };
            return Err(Failed { why, retry_after_ms: retry_after_ms(&response) });
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
            if bytes.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(NoOpinion::TooLong { limit: BODY_BYTES_MAX }.into());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn count(&self, why: &NoOpinion) {
        if why.is_servers_fault() {
            self.breaker(|breaker| breaker.fail(now()));
        } else {
            self.breaker(ServerBreaker::succeed);
        }
        counter!(metrics::ADVISOR_CALLS, "endpoint" => self.name.clone(), "outcome" => why.as_str()).increment(1);
    }

    fn breaker<T>(&self, act: impl FnOnce(&mut ServerBreaker) -> T) -> T {
        act(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Call<'_> {
    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl From<NoOpinion> for Failed {
    fn from(why: NoOpinion) -> Self {
        Self { why, retry_after_ms: None }
    }
}

fn settle(call: &Call<'_>, held: Held, cost: Money) {
    if cost.is_zero() {
        held.release();
    } else {
        held.settle(cost);
    }
    let micros = cost.micros();
    call.usage.add(call.agent, Work { llm_cost_micros: micros, ..Work::default() });
    counter!(metrics::ADVISOR_COST).increment(micros.unsigned_abs());
    let (spent, reserved) = call.purse.used();
    let used = spent.micros().saturating_add(reserved.micros());
    gauge!(metrics::ADVISOR_BUDGET_USED).set(crate::bars::as_units(used));
}

fn failure(error: &reqwest::Error) -> Failed {
    if error.is_connect() {
        NoOpinion::Unreachable.into()
    } else if error.is_timeout() {
        NoOpinion::TimedOut.into()
    } else {
        NoOpinion::BrokenOff.into()
    }
}

/// What the server asks to wait, if it says so in seconds.
fn retry_after_ms(response: &Response) -> Option<i64> {
    let seconds: i64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    (seconds >= 0).then(|| seconds.saturating_mul(1_000))
}

/// At least `pause`, and a little more, so that many workers do not come back at once.
async fn wait(pause: Duration) {
    let longer = pause + pause / 3;
    Backoff::new(longer, longer).wait().await;
}

fn completions(base_url: &str) -> anyhow::Result<Url> {
    let mut url = Url::parse(base_url).context("reading base_url")?;
    url.path_segments_mut()
        .map_err(|()| anyhow::anyhow!("base_url has no path"))?
        .pop_if_empty()
        .extend(["chat", "completions"]);
    Ok(url)
}

fn headers(config: &EndpointConfig, environment: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    if !config.api_key_env.is_empty() {
        let variable = &config.api_key_env;
        let key = environment(variable).filter(|key| !key.trim().is_empty());
        let key = key.with_context(|| format!("the key of {} is not in the variable {variable}", config.name))?;
        let (name, value) = match config.key_header {
            KeyHeader::Bearer => (AUTHORIZATION, format!("Bearer {}", key.trim())),
            KeyHeader::ApiKey => (HeaderName::from_static("api-key"), key.trim().to_owned()),
        };
        // The error must not show the value.
        let value = HeaderValue::from_str(&value).ok();
        let mut value = value.with_context(|| format!("the key in {variable} cannot stand in a header"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn now() -> Timestamp {
    Timestamp::from_micros(clock::now_micros())
}
