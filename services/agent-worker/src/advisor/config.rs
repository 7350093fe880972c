//! The advisor's configuration. It is off by default.

use serde::Deserialize;
use std::collections::BTreeMap;
use tragen_domain::{
    agents::advisor::{
        AdvisorMode,
        budget::Allowance,
        llm_price::{ModelPrice, PriceTable},
        retry::TOTAL_MS_MAX,
    },
    money::Money,
};

/// Most servers in a chain: the second one is asked when the first one gives no answer.
const ENDPOINTS_MAX: usize = 2;

/// Every knob of the advisor, with its unit in the name.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdvisorConfig {
    /// What the advisor may do.
    pub mode: Mode,
    /// The servers, in the order in which they are asked; at most two.
    pub endpoints: Vec<EndpointConfig>,
    /// What the models cost; one without a price is not asked.
    pub models: BTreeMap<String, ModelConfig>,
    /// How long a question may take in all, milliseconds.
    pub timeout_ms: i64,
    /// How long connecting may take, milliseconds.
    pub connect_timeout_ms: u64,
    /// Most that a model may write, tokens.
    pub answer_tokens_max: u64,
    /// What may be spent in a UTC day by this process, 1e-6 USD.
    pub budget_per_day_usd_micros: i64,
    /// What may be spent in a UTC day for one agent, 1e-6 USD.
    pub budget_per_agent_day_usd_micros: i64,
    /// A stake above this share of the capital is asked about whatever its edge, parts per million.
    pub large_stake_ppm: u32,
    /// Answers remembered.
    pub answers_kept: u64,
    /// Requests that wait for an answer at the same time; further ones go without.
    pub waiting_max: usize,
}

/// What the advisor may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is not asked.
    #[default]
    Off,
    /// It may stop a trade.
    VetoOnly,
    /// It may also make a stake smaller.
    BoundedAdjust,
}

/// One server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// Its name in logs and metrics.
    pub name: String,
    /// Where it is: `/chat/completions` is added to the path, a query stays.
    pub base_url: String,
    /// Which model is asked for.
    pub model: String,
    /// The environment variable that holds the key; empty for none.
    #[serde(default)]
    pub api_key_env: String,
    /// The header that carries the key.
    #[serde(default)]
    pub key_header: KeyHeader,
    /// How it can be told the form of the answer.
    #[serde(default)]
    pub answer_form: AnswerForm,
    /// What it calls the limit of its answer.
    #[serde(default)]
    pub tokens_field: TokensField,
    /// Which fields against chance it knows.
    #[serde(default)]
    pub sampling: Sampling,
    /// Questions to it at the same time.
    #[serde(default = "four")]
    pub calls_at_once_max: usize,
}

/// The header that carries a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyHeader {
    /// `Authorization: Bearer KEY`.
    #[default]
    Bearer,
    /// `api-key: KEY` (Azure).
    ApiKey,
}

/// How a server can be told the form of the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerForm {
    /// By a JSON schema.
    #[default]
    JsonSchema,
    /// Only that it is JSON.
    JsonObject,
    /// Only in the words of the question.
    None,
}

/// What a server calls the limit of its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokensField {
    /// `max_tokens`.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// Which fields against chance a server knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// `temperature` and `seed`.
    #[default]
    TemperatureAndSeed,
    /// `temperature`.
    Temperature,
    /// Neither.
    None,
}

/// What a model costs, 1e-6 USD for a million tokens.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// What it reads.
    pub input_usd_micros_per_mtok: u64,
    /// What it reads again and has kept; like the input if it is not given.
    pub cached_input_usd_micros_per_mtok: Option<u64>,
    /// What it writes.
    pub output_usd_micros_per_mtok: u64,
    /// Most it can read and write in one call, tokens.
    pub context_tokens: u64,
}

/// A key with a value that cannot work.
#[derive(Debug, thiserror::Error)]
#[error("{key} must be {must}")]
pub struct InvalidAdvisor {
    pub(crate) key: String,
    pub(crate) must: &'static str,
}

impl Default for AdvisorConfig {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            endpoints: Vec::new(),
            models: BTreeMap::new(),
            timeout_ms: TOTAL_MS_MAX,
            connect_timeout_ms: 2_000,
            answer_tokens_max: 400,
            budget_per_day_usd_micros: 2_000_000,
            budget_per_agent_day_usd_micros: 1_000_000,
            large_stake_ppm: 20_000,
            answers_kept: 10_000,
            waiting_max: 16,
        }
    }
}

impl AdvisorConfig {
    /// What the advisor may do.
    #[must_use]
    pub const fn mode(&self) -> AdvisorMode {
        match self.mode {
            Mode::Off => AdvisorMode::Off,
            Mode::VetoOnly => AdvisorMode::VetoOnly,
            Mode::BoundedAdjust => AdvisorMode::BoundedAdjust,
        }
    }

    pub(crate) const fn allowance(&self) -> Allowance {
        Allowance {
            per_day: Money::from_micros(self.budget_per_day_usd_micros),
            per_agent_day: Money::from_micros(self.budget_per_agent_day_usd_micros),
        }
    }

    pub(crate) fn prices(&self) -> PriceTable {
        PriceTable::new(self.models.iter().map(|(model, price)| (model.clone(), price.parse())).collect())
    }

    /// Checks every value. What is off need not work.
    ///
    /// # Errors
    /// [`InvalidAdvisor`] naming the key.
    pub fn validate(&self) -> Result<(), InvalidAdvisor> {
        if self.mode == Mode::Off {
            return Ok(());
        }
        let usd = 0..=1_000_000_000_000_i64;
        let rules = [
            ("endpoints", (1..=ENDPOINTS_MAX).contains(&self.endpoints.len()), "one or two"),
            ("timeout_ms", (50..=TOTAL_MS_MAX).contains(&self.timeout_ms), "50 to 8000"),
            ("connect_timeout_ms", (10..=10_000).contains(&self.connect_timeout_ms), "10 to 10000"),
            ("answer_tokens_max", (100..=4_000).contains(&self.answer_tokens_max), "100 to 4000"),
            ("budget_per_day_usd_micros", usd.contains(&self.budget_per_day_usd_micros), "0 to a million USD"),
            (
                "budget_per_agent_day_usd_micros",
                usd.contains(&self.budget_per_agent_day_usd_micros),
                "0 to a million USD",
            ),
            ("large_stake_ppm", self.large_stake_ppm <= 1_000_000, "at most 1000000"),
            ("answers_kept", (1..=1_000_000).contains(&self.answers_kept), "1 to 1000000"),
            ("waiting_max", (1..=1_024).contains(&self.waiting_max), "1 to 1024"),
        ];
        if let Some((key, _, must)) = rules.into_iter().find(|(_, is_valid, _)| !is_valid) {
            return Err(InvalidAdvisor { key: key.to_owned(), must });
        }
        self.models.iter().try_for_each(|(model, price)| price.validate(model))?;
        self.endpoints.iter().enumerate().try_for_each(|(at, endpoint)| self.validate_endpoint(at, endpoint))
    }

    fn validate_endpoint(&self, at: usize, endpoint: &EndpointConfig) -> Result<(), InvalidAdvisor> {
        let url = reqwest::Url::parse(&endpoint.base_url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let is_private = url.as_ref().is_some_and(|url| url.scheme() == "https" || is_loopback(url));
        let is_name = |name: &str| {
            (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let rules = [
            ("name", is_name(&endpoint.name), "1 to 64 letters, digits, '-', '_' and '.'"),
            ("base_url", url.as_ref().is_some_and(|url| url.has_host()), "an http or https address"),
            (
                "base_url",
                url.as_ref().is_some_and(|url| url.username().is_empty() && url.password().is_none()),
                "without a password: name the variable that holds the key in api_key_env",
            ),
            // A key in the clear is anybody's key.
            (
                "base_url",
                endpoint.api_key_env.is_empty() || is_private,
                "https, or on this machine, when there is a key",
            ),
            ("model", self.models.contains_key(&endpoint.model), "a model whose price is in `models`"),
            ("calls_at_once_max", (1..=256).contains(&endpoint.calls_at_once_max), "1 to 256"),
        ];
        match rules.into_iter().find(|(_, is_valid, _)| !is_valid) {
            Some((key, _, must)) => Err(InvalidAdvisor { key: format!("endpoints[{at}].{key}"), must }),
            None => Ok(()),
        }
    }
}

impl ModelConfig {
    fn parse(&self) -> ModelPrice {
        ModelPrice {
            input_micros_per_mtok: self.input_usd_micros_per_mtok,
            cached_input_micros_per_mtok: self
                .cached_input_usd_micros_per_mtok
                .unwrap_or(self.input_usd_micros_per_mtok),
            output_micros_per_mtok: self.output_usd_micros_per_mtok,
            context_tokens: self.context_tokens,
        }
    }

    fn validate(&self, model: &str) -> Result<(), InvalidAdvisor> {
        let is_valid = (1..=100_000_000).contains(&self.context_tokens);
        let key = || format!("models.{model:?}.context_tokens");
        if is_valid { Ok(()) } else { Err(InvalidAdvisor { key: key(), must: "1 to 100000000" }) }
    }
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

const fn four() -> usize {
    4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> AdvisorConfig {
        let endpoint = EndpointConfig {
            name: "local".into(),
            base_url: "http://127.0.0.1:8080/v1".into(),
            model: "small".into(),
            api_key_env: String::new(),
            key_header: KeyHeader::Bearer,
            answer_form: AnswerForm::JsonSchema,
            tokens_field: TokensField::MaxTokens,
            sampling: Sampling::TemperatureAndSeed,
            calls_at_once_max: 4,
        };
        let price = ModelConfig {
            input_usd_micros_per_mtok: 0,
            cached_input_usd_micros_per_mtok: None,
            output_usd_micros_per_mtok: 0,
            context_tokens: 8_192,
        };
        AdvisorConfig {
            mode: Mode::VetoOnly,
            endpoints: vec![endpoint],
            models: BTreeMap::from([("small".to_owned(), price)]),
            ..AdvisorConfig::default()
        }
    }

    #[test]
    fn what_cannot_work_is_named() {
        assert!(AdvisorConfig::default().validate().is_ok() && valid().validate().is_ok());
        let check = |change: fn(&mut AdvisorConfig), key: &str| {
            let mut config = valid();
            change(&mut config);
            assert_eq!(config.validate().expect_err(key).key, key);
        };
        check(|c| c.endpoints.clear(), "endpoints");
        check(|c| c.timeout_ms = 8_001, "timeout_ms");
        check(|c| c.budget_per_day_usd_micros = -1, "budget_per_day_usd_micros");
        check(|c| c.endpoints[0].base_url = "ftp://x".into(), "endpoints[0].base_url");
        check(|c| c.endpoints[0].base_url = "http://user:key@127.0.0.1/v1".into(), "endpoints[0].base_url");
        check(|c| c.endpoints[0].model = "unpriced".into(), "endpoints[0].model");
        check(
            |c| {
                c.endpoints[0].base_url = "http://models.example/v1".into();
                c.endpoints[0].api_key_env = "KEY".into();
            },
            "endpoints[0].base_url",
        );
    }

    /// The examples of the page work, and together they are a chain of two servers.
    #[test]
    fn the_page_shows_what_works() {
        #[derive(Deserialize)]
        struct File {
            agent_worker: crate::Config,
        }
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/advisor.md")).expect("a page");
        let examples: Vec<&str> =
            page.split("```toml\n").skip(1).filter_map(|block| block.split("```").next()).collect();
        assert_eq!(examples.len(), 2);
        for example in [examples[0].to_owned(), examples.concat()] {
            let file: File = toml::from_str(&example).expect("readable");
            file.agent_worker.validate().expect("usable");
            assert_eq!(file.agent_worker.advisor.mode(), AdvisorMode::VetoOnly);
        }
    }

    #[test]
    fn a_key_may_travel_on_this_machine_or_encrypted() {
        for base_url in ["http://localhost:1234/v1", "http://[::1]:1234/v1", "https://models.example/v1?api-version=1"]
        {
            let mut config = valid();
            config.endpoints[0].base_url = base_url.into();
            config.endpoints[0].api_key_env = "KEY".into();
            assert!(config.validate().is_ok(), "{base_url}");
        }
    }
}
