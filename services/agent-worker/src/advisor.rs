//! The advisor: a language model behind any server of the OpenAI form may talk an agent out of a trade, or into a
//! smaller one. Rules are in the domain (`agents::advisor`); here it is asked, paid and remembered.
//!
//! Invariant: the stake is never larger than the agent's; whatever goes wrong here, the agent's decision stands.
//! Invariant: no user, balance or position is in a question, so one answer serves all users.

mod advice;
mod answer;
mod config;
mod endpoint;
mod prompt;
mod purse;
mod question;

pub use advice::{Advice, AdviceSource};
pub use config::{
    AdvisorConfig, AnswerForm, EndpointConfig, InvalidAdvisor, KeyHeader, Mode, ModelConfig, Sampling, TokensField,
};
pub use question::{News, Question};

use crate::metrics;
use ::metrics::counter;
use anyhow::Context as _;
use endpoint::{Call, Endpoint};
use purse::Purse;
use sha2::{Digest as _, Sha256};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, oneshot};
use tracing::{info, warn};
use tragen_bus::usage::Usage;
use tragen_cache::FlightCache;
use tragen_domain::{
    agents::advisor::{
        AdvisorMode, CheckedOpinion, NoOpinion, applied::stopped_by_suspicion, apply, check, consult::Pace,
        consult::consult, facts::Facts, retry::wait_ms,
    },
    money::Money,
    time::Timestamp,
};
use tragen_host::{Context, clock};

/// What a question came to: a usable answer, or one that cannot be used and would be the same again.
type Known = Arc<Result<CheckedOpinion, NoOpinion>>;

/// Asks, or is off. Clones share everything.
#[derive(Debug, Clone)]
pub struct Advisor(Option<Arc<Parts>>);

#[derive(Debug)]
struct Parts {
    context: Context,
    mode: AdvisorMode,
    endpoints: Vec<Endpoint>,
    purse: Purse,
    usage: Usage,
    live: FlightCache<[u8; 32], Known>,
    pre_match: FlightCache<[u8; 32], Known>,
    waiting: Semaphore,
    timeout_ms: i64,
    large_stake: f64,
}

impl Advisor {
    /// The advisor as configured; keys are taken from `environment`.
    ///
    /// # Errors
    /// When a key is missing or cannot be used; the message names the variable, never the key.
    pub fn new(
        context: &Context,
        config: &AdvisorConfig,
        usage: &Usage,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        if config.mode() == AdvisorMode::Off {
            return Ok(Self(None));
        }
        let endpoint = |endpoint: &EndpointConfig| {
            Endpoint::new(endpoint, config, environment).with_context(|| format!("preparing {}", endpoint.name))
        };
        let answers = |name, pace: Pace| {
            FlightCache::new(name, config.answers_kept, Duration::from_secs(pace.holds_secs().into()))
        };
        Ok(Self(Some(Arc::new(Parts {
            context: context.clone(),
            mode: config.mode(),
            endpoints: config.endpoints.iter().map(endpoint).collect::<anyhow::Result<_>>()?,
            purse: Purse::new(config.allowance()),
            usage: usage.clone(),
            live: answers("advice_live", Pace::Live),
            pre_match: answers("advice_pre_match", Pace::PreMatch),
            waiting: Semaphore::new(config.waiting_max),
            timeout_ms: config.timeout_ms,
            large_stake: f64::from(config.large_stake_ppm) / 1e6,
        }))))
    }

    /// What is left of the stake that an agent wants.
    pub async fn advise(&self, question: &Question) -> Advice {
        let stake = question.decided.stake;
        let Some(parts) = &self.0 else { return Advice::alone(stake) };
        let now = Timestamp::from_micros(clock::now_micros());
        if consult(&question.occasion(parts.large_stake), now).is_none() {
            return Advice::alone(stake);
        }
        let advice = if question.is_suspicious() {
            Advice::screened(stopped_by_suspicion())
        } else {
            match parts.opinion(question, now).await {
                Ok(opinion) => Advice::given(apply(parts.mode, &question.decided, &opinion), &opinion),
                Err(why) => Advice::fallback(stake, why),
            }
        };
        counter!(metrics::ADVICE, "agent" => question.agent, "outcome" => advice.as_str()).increment(1);
        advice
    }

    /// Spent and reserved today, USD; zero when it is off.
    #[must_use]
    pub fn budget_used(&self) -> (Money, Money) {
        self.0.as_ref().map_or((Money::ZERO, Money::ZERO), |parts| parts.purse.used())
    }
}

impl Parts {
    /// A known answer, or a new one. The work goes on when this caller cannot wait any longer: the others may, and the
    /// next one finds the answer.
    async fn opinion(self: &Arc<Self>, question: &Question, now: Timestamp) -> Result<CheckedOpinion, NoOpinion> {
        let deadline = Timestamp::from_micros(question.deadline_micros);
        let left_ms = (question.deadline_micros != 0).then(|| deadline.millis_since(now));
        let wait_ms = wait_ms(left_ms, self.timeout_ms).ok_or(NoOpinion::NoTime)?;
        let wait = Duration::from_millis(wait_ms.unsigned_abs());
        // Whoever waits holds a place among the requests; a slow server must not take all of them.
        let Ok(_waits) = self.waiting.try_acquire() else { return Err(NoOpinion::Busy) };
        let (sender, receiver) = oneshot::channel();
        let (parts, facts, agent, pace) = (Arc::clone(self), question.facts(now), question.agent, question.pace);
        self.context.spawn("advisor", async move {
            tokio::select! {
                () = parts.context.stopped() => {}
                // If nobody waits any longer, the answer is remembered all the same.
                known = parts.known(agent, pace, facts) => { let _ = sender.send(known); }
            }
            Ok(())
        });
        match tokio::time::timeout(wait, receiver).await {
            Ok(Ok(opinion)) => opinion,
            Ok(Err(_)) | Err(_) => Err(NoOpinion::TimedOut),
        }
    }

    async fn known(&self, agent: &'static str, pace: Pace, facts: Facts) -> Result<CheckedOpinion, NoOpinion> {
        let facts_json = prompt::facts_json(&facts);
        let key = self.key(&facts_json);
        let answers = match pace {
            Pace::Live => &self.live,
            Pace::PreMatch => &self.pre_match,
        };
        let ask = async {
            match self.ask(agent, &facts, &facts_json, key).await {
                Err(why) if !why.is_answer() => Err(why),
                known => Ok(Arc::new(known)),
            }
        };
        match answers.get_or_try(key, ask).await {
            Ok(known) => (*known).clone(),
            Err(why) => Err((*why).clone()),
        }
    }

    /// Asks one server after the other until one of them gives an answer.
    async fn ask(
        &self,
        agent: &'static str,
        facts: &Facts,
        facts_json: &str,
        key: [u8; 32],
    ) -> Result<CheckedOpinion, NoOpinion> {
        let total = Duration::from_millis(self.timeout_ms.unsigned_abs());
        let (purse, usage, until) = (&self.purse, &self.usage, Instant::now() + total);
        let call = Call { agent, facts_json, purse, usage, until, total };
        let prompt = &question::hex(&key)[..16];
        let mut last = NoOpinion::NoTime;
        for endpoint in &self.endpoints {
            match endpoint.ask(&call).await {
                Err(why) if !why.is_answer() => {
                    warn!(endpoint = endpoint.name(), prompt, "{} gives no advice: {why}", endpoint.name());
                    last = why;
                }
                Err(why) => {
                    info!(endpoint = endpoint.name(), prompt, "advice of {} cannot be used: {why}", endpoint.name());
                    return Err(why);
                }
                Ok(raw) => {
                    let opinion =
                        answer::parse(&raw).and_then(|opinion| check(&opinion, facts).map_err(NoOpinion::from));
                    let outcome = opinion.as_ref().map_or_else(NoOpinion::as_str, |opinion| opinion.verdict().as_str());
                    info!(endpoint = endpoint.name(), prompt, ?raw, "advice of {}: {outcome}", endpoint.name());
                    return opinion;
                }
            }
        }
        Err(last)
    }

    /// Names a question and everything that shapes its answer.
    fn key(&self, facts_json: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        for endpoint in &self.endpoints {
            hash.update(endpoint.model());
            hash.update("|");
        }
        for part in [prompt::PROMPT_VERSION, "|", prompt::SCHEMA_VERSION, "|", facts_json] {
            hash.update(part);
        }
        hash.finalize().into()
    }
}
