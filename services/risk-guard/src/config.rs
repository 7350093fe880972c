//! Every number of the guard, with its unit in its name.

mod commands;

pub use commands::{CommandsConfig, Profile};

use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};
use tragen_domain::{
    id::{Id, Kind},
    money::{Money, Price},
    risk::{Cluster, Limits, RepeatedOrders, Rules, RulesError},
    time::Timestamp,
};
use tragen_host::clock;
use tragen_venue::{PaperConfig, PaperFaults};

/// How the guard runs.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What the process is for.
    pub profile: Profile,
    /// What may be ordered.
    pub limits: LimitsConfig,
    /// Where the paper venue keeps its file.
    pub venue_folder: PathBuf,
    /// Makes the paper venue's latencies repeatable.
    pub venue_seed: u64,
    /// Shortest way to the paper venue, microseconds.
    pub venue_latency_micros_min: u64,
    /// Longest way to the paper venue, microseconds.
    pub venue_latency_micros_max: u64,
    /// Finished orders the paper venue remembers.
    pub venue_finished_orders_max: usize,
    /// The paper venue's file is written anew when it is longer, bytes.
    pub venue_log_bytes_max: u64,
    /// What the paper venue does wrong, for drills and tests; nothing by default.
    pub venue_faults: PaperFaults,
    /// Most proposals decided at once, in one journal message.
    pub batch_proposals_max: usize,
    /// Most orders on their way to the venue; more proposals wait.
    pub in_flight_orders_max: usize,
    /// Most reports that wait to be stored; more proposals wait.
    pub waiting_reports_max: usize,
    /// Most reports in one message.
    pub batch_reports_max: usize,
    /// Reports kept to answer repeats.
    pub stored_reports_max: usize,
    /// Commands that may wait.
    pub waiting_commands_max: usize,
    /// Questions that change nothing and may wait; they give way to everything else.
    pub waiting_inquiries_max: usize,
    /// How often the leader renews its lease, milliseconds; it ends 2 s after the last renewal.
    pub lease_renew_ms: u64,
    /// How often a standby tries to lead, milliseconds.
    pub lease_poll_ms: u64,
    /// How long a worker may rely on a lease, milliseconds from its question.
    pub worker_lease_ms: u32,
    /// How long a journal message is tried before the guard steps down, milliseconds.
    pub journal_patience_ms: u64,
    /// How long the ledger may take to answer a question, milliseconds.
    pub ledger_answer_ms: u64,
    /// How long reading the market may take at the start, milliseconds.
    pub market_read_ms: u64,
    /// Accounts in one page of the ledger.
    pub accounts_page: u16,
    /// How long the venue may take to answer before a halt goes on without it, milliseconds.
    pub venue_settle_ms: u64,
    /// How often resting orders are looked after, milliseconds.
    pub tick_ms: u64,
    /// Where snapshots of the state are kept.
    pub snapshot_folder: PathBuf,
    /// The state is hashed into the journal and kept in a file after so many records.
    pub snapshot_records: u64,
    /// The same after so long, if anything was decided, milliseconds.
    pub snapshot_ms: u64,
    /// How often equity is measured and breakers are evaluated, milliseconds.
    pub measure_ms: u64,
    /// What the process may use of memory, bytes: the breaker's basis; 0 switches it off. When it is not written: the
    /// least that its control groups and the machine allow.
    pub memory_limit_bytes: Option<i64>,
    /// How long a halt waits for workers when the caller does not say, milliseconds.
    pub halt_wait_ms_default: u32,
    /// How long a halt waits for workers at most, milliseconds.
    pub halt_wait_ms_max: u32,
}

/// Thresholds of the gate.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Most an order may be worth, 1e-6 of its currency.
    pub order_value_max_micros: i64,
    /// How old a quote may be when the instrument does not say, milliseconds.
    pub quote_age_max_ms: i64,
    /// How far a prediction's limit may be beyond the reference price, 1e-6.
    pub prediction_collar_micros: i64,
    /// How far a spot limit may be beyond the reference price, parts per million of it.
    pub spot_collar_ppm: i64,
    /// How far a margined limit may be beyond the reference price, parts per million of it.
    pub margined_collar_ppm: i64,
    /// Most resting orders of one account.
    pub resting_orders_max: usize,
    /// How long an approval may be sent, milliseconds.
    pub approval_valid_ms: i64,
    /// Trades remembered so that a repeat is not decided again.
    pub known_trades_max: usize,
    /// How long a proposed resume may be confirmed, milliseconds.
    pub resume_valid_ms: i64,
    /// How long a scope stays tightened at least, milliseconds.
    pub resume_cooldown_ms: i64,
    /// Most resumes proposed at the same time.
    pub resume_proposals_max: usize,
    /// How long a proposed booking may be confirmed, milliseconds.
    pub booking_valid_ms: i64,
    /// Most bookings proposed at the same time.
    pub booking_proposals_max: usize,
    /// Limits by scope, by the names and with the defaults of `tragen_domain::risk::LimitName`;
    /// the unit stands at the end of the name and 0 is off. `pool_exposure_max_ppm.scalper`
    /// is the value of a single id.
    pub rules: BTreeMap<String, i64>,
    /// Accounts whose capital is pooled: the house. None: limits on the house are off.
    pub house_accounts: BTreeSet<String>,
    /// Instruments that move together, by the name of the cluster.
    pub clusters: BTreeMap<String, BTreeSet<String>>,
    /// What happens to an order that equals one of a moment ago: `off`, `warn` or `deny`.
    pub repeated_orders: String,
    /// How long that moment is, milliseconds.
    pub repeated_order_ms: i64,
    /// How long limits take to open from a tenth after a resume, milliseconds; 0 for at once.
    pub ramp_ms: i64,
    /// Operators' commands.
    pub commands: CommandsConfig,
    /// The currency in which the house and agents are measured.
    pub measured_currency: String,
    /// How long a tripped breaker stays at least before people may reset it, milliseconds.
    pub breaker_cooldown_ms: i64,
    /// After how long a breaker that ends by itself is looked at again, milliseconds.
    pub breaker_pause_ms: i64,
    /// How old the newest measurement of the house may be, milliseconds; older than that
    /// and it opens nothing.
    pub equity_age_max_ms: i64,
    /// Fewer calls to the venue within a minute are no failure rate.
    pub venue_calls_min: u32,
    /// So many samples of memory in a row must be high.
    pub memory_samples: usize,
    /// What is left of positions that a breaker reduces, parts per million.
    pub reduce_factor_ppm: i64,
    /// Correlation from which two agents of the house count as one, parts per million.
    pub correlated_pair_ppm: i64,
    /// How often a return of every agent of the house is taken, to see whether they move together, milliseconds.
    pub correlation_interval_ms: i64,
}

/// A value that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {value}, it must be {rule}")]
pub struct ConfigError {
    /// The key, as written in the file.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What it must be.
    pub rule: String,
}

impl ConfigError {
    fn new(key: impl Into<String>, value: impl ToString, rule: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.to_string(), rule: rule.into() }
    }

    /// The same with the key as it is written in a file where all of this stands in `section`.
    #[must_use]
    pub fn within(self, section: &str) -> Self {
        Self { key: format!("{section}.{}", self.key), ..self }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            limits: LimitsConfig::default(),
            venue_folder: "data/paper-venue".into(),
            venue_seed: 7,
            venue_latency_micros_min: 0,
            venue_latency_micros_max: 2_000,
            venue_finished_orders_max: 100_000,
            venue_log_bytes_max: 256 << 20,
            venue_faults: PaperFaults::default(),
            batch_proposals_max: 256,
            in_flight_orders_max: 4_096,
            waiting_reports_max: 8_192,
            batch_reports_max: 256,
            stored_reports_max: 50_000,
            waiting_commands_max: 64,
            waiting_inquiries_max: 256,
            lease_renew_ms: 500,
            lease_poll_ms: 100,
            worker_lease_ms: 1_000,
            journal_patience_ms: 5_000,
            ledger_answer_ms: 2_000,
            market_read_ms: 2_000,
            accounts_page: 5_000,
            venue_settle_ms: 1_000,
            tick_ms: 100,
            measure_ms: 1_000,
            memory_limit_bytes: None,
            snapshot_folder: "data/risk-guard".into(),
            snapshot_records: 100_000,
            snapshot_ms: 60_000,
            halt_wait_ms_default: 1_000,
            halt_wait_ms_max: 10_000,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            order_value_max_micros: limits.order_value_max.micros(),
            quote_age_max_ms: limits.quote_age_max_ms,
            prediction_collar_micros: limits.prediction_collar.micros(),
            spot_collar_ppm: limits.spot_collar_ppm,
            margined_collar_ppm: limits.margined_collar_ppm,
            resting_orders_max: limits.resting_orders_max,
            approval_valid_ms: limits.approval_valid_ms,
            known_trades_max: limits.known_trades_max,
            resume_valid_ms: limits.resume_valid_ms,
            resume_cooldown_ms: limits.resume_cooldown_ms,
            resume_proposals_max: limits.resume_proposals_max,
            booking_valid_ms: limits.booking_valid_ms,
            booking_proposals_max: limits.booking_proposals_max,
            rules: BTreeMap::new(),
            house_accounts: BTreeSet::new(),
            clusters: BTreeMap::new(),
            repeated_orders: "warn".to_owned(),
            repeated_order_ms: limits.repeated_order_ms,
            ramp_ms: limits.ramp_ms,
            commands: CommandsConfig::default(),
            measured_currency: limits.measured_currency.to_string(),
            breaker_cooldown_ms: limits.breaker_cooldown_ms,
            breaker_pause_ms: limits.breaker_pause_ms,
            equity_age_max_ms: limits.equity_age_max_ms,
            venue_calls_min: limits.venue_calls_min,
            memory_samples: limits.memory_samples,
            reduce_factor_ppm: limits.reduce_factor_ppm,
            correlated_pair_ppm: limits.correlated_pair_ppm,
            correlation_interval_ms: limits.correlation_interval_ms,
        }
    }
}

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.limits.validate()?;
        self.limits.commands.validate(self.profile)?;
        above_zero("batch_proposals_max", self.batch_proposals_max)?;
        above_zero("in_flight_orders_max", self.in_flight_orders_max)?;
        above_zero("batch_reports_max", self.batch_reports_max)?;
        above_zero("stored_reports_max", self.stored_reports_max)?;
        above_zero("waiting_commands_max", self.waiting_commands_max)?;
        above_zero("waiting_inquiries_max", self.waiting_inquiries_max)?;
        above_zero("venue_finished_orders_max", self.venue_finished_orders_max)?;
        above_zero("venue_log_bytes_max", self.venue_log_bytes_max)?;
        above_zero("lease_poll_ms", self.lease_poll_ms)?;
        above_zero("journal_patience_ms", self.journal_patience_ms)?;
        above_zero("ledger_answer_ms", self.ledger_answer_ms)?;
        above_zero("market_read_ms", self.market_read_ms)?;
        above_zero("accounts_page", self.accounts_page)?;
        above_zero("venue_settle_ms", self.venue_settle_ms)?;
        above_zero("tick_ms", self.tick_ms)?;
        above_zero("measure_ms", self.measure_ms)?;
        above_zero("snapshot_records", self.snapshot_records)?;
        above_zero("snapshot_ms", self.snapshot_ms)?;
        if let Some(limit) = self.memory_limit_bytes.filter(|limit| *limit < 0) {
            return Err(ConfigError::new("memory_limit_bytes", limit, "0 or more"));
        }
        let checks = [
            (
                "waiting_reports_max",
                self.waiting_reports_max.to_string(),
                "at least twice batch_proposals_max",
                self.waiting_reports_max >= 2 * self.batch_proposals_max,
            ),
            (
                "venue_latency_micros_min",
                self.venue_latency_micros_min.to_string(),
                "at most venue_latency_micros_max",
                self.venue_latency_micros_min <= self.venue_latency_micros_max,
            ),
            (
                "lease_renew_ms",
                self.lease_renew_ms.to_string(),
                "1 to 1000, so that a lease of 2 s survives a lost renewal",
                (1..=1_000).contains(&self.lease_renew_ms),
            ),
            (
                "worker_lease_ms",
                self.worker_lease_ms.to_string(),
                "1 to 1000, so that an unreachable worker stops within a second",
                (1..=1_000).contains(&self.worker_lease_ms),
            ),
            (
                "halt_wait_ms_default",
                self.halt_wait_ms_default.to_string(),
                "at most halt_wait_ms_max",
                self.halt_wait_ms_default <= self.halt_wait_ms_max,
            ),
        ];
        match checks.into_iter().find(|(.., is_sound)| !is_sound) {
            Some((key, value, rule, _)) => Err(ConfigError::new(key, value, rule)),
            None => Ok(()),
        }
    }

    pub(crate) fn paper(&self) -> PaperConfig {
        PaperConfig {
            folder: self.venue_folder.clone(),
            seed: self.venue_seed,
            latency_micros_min: self.venue_latency_micros_min,
            latency_micros_max: self.venue_latency_micros_max,
            finished_orders_max: self.venue_finished_orders_max,
            log_bytes_max: self.venue_log_bytes_max,
            clock: now,
            faults: self.venue_faults,
        }
    }

    pub(crate) const fn journal_patience(&self) -> Duration {
        Duration::from_millis(self.journal_patience_ms)
    }
}

impl LimitsConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        above_zero("limits.order_value_max_micros", self.order_value_max_micros)?;
        above_zero("limits.quote_age_max_ms", self.quote_age_max_ms)?;
        above_zero("limits.prediction_collar_micros", self.prediction_collar_micros)?;
        above_zero("limits.spot_collar_ppm", self.spot_collar_ppm)?;
        above_zero("limits.margined_collar_ppm", self.margined_collar_ppm)?;
        above_zero("limits.resting_orders_max", self.resting_orders_max)?;
        above_zero("limits.approval_valid_ms", self.approval_valid_ms)?;
        above_zero("limits.known_trades_max", self.known_trades_max)?;
        above_zero("limits.resume_valid_ms", self.resume_valid_ms)?;
        above_zero("limits.resume_proposals_max", self.resume_proposals_max)?;
        above_zero("limits.booking_valid_ms", self.booking_valid_ms)?;
        above_zero("limits.booking_proposals_max", self.booking_proposals_max)?;
        above_zero("limits.repeated_order_ms", self.repeated_order_ms)?;
        above_zero("limits.breaker_pause_ms", self.breaker_pause_ms)?;
        above_zero("limits.equity_age_max_ms", self.equity_age_max_ms)?;
        above_zero("limits.venue_calls_min", self.venue_calls_min)?;
        above_zero("limits.memory_samples", self.memory_samples)?;
        above_zero("limits.correlation_interval_ms", self.correlation_interval_ms)?;
        if !(0..1_000_000).contains(&self.reduce_factor_ppm) {
            return Err(ConfigError::new(
                "limits.reduce_factor_ppm",
                self.reduce_factor_ppm,
                "0 or more, below 1000000",
            ));
        }
        if !(1..=1_000_000).contains(&self.correlated_pair_ppm) {
            return Err(ConfigError::new("limits.correlated_pair_ppm", self.correlated_pair_ppm, "1 to 1000000"));
        }
        for (key, value) in [
            ("limits.resume_cooldown_ms", self.resume_cooldown_ms),
            ("limits.ramp_ms", self.ramp_ms),
            ("limits.breaker_cooldown_ms", self.breaker_cooldown_ms),
        ] {
            if value < 0 {
                return Err(ConfigError::new(key, value, "0 or more"));
            }
        }
        self.limits().map(drop)
    }

    /// As the rules want them.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that makes no sense.
    pub(crate) fn limits(&self) -> Result<Limits, ConfigError> {
        let mut rules = Rules::default();
        if let Err(refused) = rules.set_all(self.rules.iter().map(|(key, value)| (key.as_str(), *value))) {
            return Err(self.refused_rule(&refused));
        }
        let mut clusters = Vec::new();
        for (name, instruments) in &self.clusters {
            let instruments = ids(&format!("limits.clusters.{name}"), instruments)?;
            clusters.push(Cluster { name: name.clone(), instruments });
        }
        let repeated_orders = RepeatedOrders::parse(&self.repeated_orders)
            .ok_or_else(|| ConfigError::new("limits.repeated_orders", &self.repeated_orders, "off, warn or deny"))?;
        Ok(Limits {
            rules,
            house_accounts: ids("limits.house_accounts", &self.house_accounts)?,
            clusters,
            repeated_orders,
            repeated_order_ms: self.repeated_order_ms,
            ramp_ms: self.ramp_ms,
            measured_currency: Id::new(&self.measured_currency).map_err(|error| {
                ConfigError::new("limits.measured_currency", &self.measured_currency, error.to_string())
            })?,
            breaker_cooldown_ms: self.breaker_cooldown_ms,
            breaker_pause_ms: self.breaker_pause_ms,
            equity_age_max_ms: self.equity_age_max_ms,
            venue_calls_min: self.venue_calls_min,
            memory_samples: self.memory_samples,
            reduce_factor_ppm: self.reduce_factor_ppm,
            correlated_pair_ppm: self.correlated_pair_ppm,
            correlation_interval_ms: self.correlation_interval_ms,
            order_value_max: Money::from_micros(self.order_value_max_micros),
            quote_age_max_ms: self.quote_age_max_ms,
            prediction_collar: Price::from_micros(self.prediction_collar_micros),
            spot_collar_ppm: self.spot_collar_ppm,
            margined_collar_ppm: self.margined_collar_ppm,
            resting_orders_max: self.resting_orders_max,
            approval_valid_ms: self.approval_valid_ms,
            known_trades_max: self.known_trades_max,
            resume_valid_ms: self.resume_valid_ms,
            resume_cooldown_ms: self.resume_cooldown_ms,
            resume_proposals_max: self.resume_proposals_max,
            booking_valid_ms: self.booking_valid_ms,
            booking_proposals_max: self.booking_proposals_max,
            commands: self.commands.limits(),
        })
    }
}

impl LimitsConfig {
    /// Names a key that the file has.
    fn refused_rule(&self, refused: &RulesError) -> ConfigError {
        let blame = |key: &str, value: i64, rule: String| ConfigError::new(format!("limits.rules.{key}"), value, rule);
        let written = |key: &str| self.rules.get(key).copied().unwrap_or_default();
        match refused {
            RulesError::Unknown { key } => blame(
                key,
                written(key),
                "under the name of a limit, as `tragen risk limits show` lists them".to_owned(),
            ),
            RulesError::OutOfRange { key, value, limit } => blame(key, *value, format!("0 to {limit}")),
            RulesError::NoOwnValues { name, key, .. } => {
                blame(key, written(key), format!("under {name}: that limit has one value for all"))
            }
            // The other one may be a default, which is in no file.
            RulesError::Ladder { harder, harder_value, milder, milder_value } if self.rules.contains_key(*harder) => {
                blame(harder, *harder_value, format!("{milder_value} or more, which is the value of {milder}"))
            }
            RulesError::Ladder { harder, harder_value, milder, milder_value } => {
                blame(milder, *milder_value, format!("{harder_value} or less, which is the value of {harder}"))
            }
        }
    }
}

fn ids<K: Kind>(key: &str, written: &BTreeSet<String>) -> Result<BTreeSet<Id<K>>, ConfigError> {
    let parse = |text: &String| Id::new(text).map_err(|error| ConfigError::new(key, text, error.to_string()));
    written.iter().map(parse).collect()
}

/// The guard's clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(clock::now_micros())
}

fn above_zero<T: Default + PartialOrd + ToString>(key: &'static str, value: T) -> Result<(), ConfigError> {
    if value > T::default() {
        return Ok(());
    }
    Err(ConfigError::new(key, value.to_string(), "above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_limit_is_a_sentence_about_what_the_file_says() {
        let check = |rules: &[(&str, i64)], expected: &str| {
            let mut config = Config::default();
            config.limits.rules = rules.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
            assert_eq!(config.validate().expect_err("refused").to_string(), expected);
        };
        check(
            &[("day_loss_reduce_pct", 5)],
            "limits.rules.day_loss_reduce_pct is 5, it must be under the name of a limit, as `tragen risk limits show` lists them",
        );
        check(
            &[("open_risk_max_ppm", 1_000_001)],
            "limits.rules.open_risk_max_ppm is 1000001, it must be 0 to 1000000",
        );
        check(&[("trade_max_ppm.alice", -1)], "limits.rules.trade_max_ppm.alice is -1, it must be 0 to 1000000");
        check(
            &[("day_loss_reduce_ppm.alice", 5)],
            "limits.rules.day_loss_reduce_ppm.alice is 5, it must be under day_loss_reduce_ppm: that limit has one value for all",
        );
        check(
            &[("drawdown_halt_ppm", 49_999)],
            "limits.rules.drawdown_halt_ppm is 49999, it must be 50000 or more, which is the value of day_loss_reduce_ppm",
        );
        // The harder one has its default: what the file says is to blame.
        check(
            &[("agent_loss_halt_ppm", 50_001)],
            "limits.rules.agent_loss_halt_ppm is 50001, it must be 50000 or less, which is the value of day_loss_reduce_ppm",
        );
    }

    fn check(change: impl Fn(&mut Config), key: &str) {
        let mut config = Config::default();
        change(&mut config);
        assert_eq!(config.validate().expect_err("refused").key, key);
    }

    #[test]
    fn the_defaults_are_valid_and_nonsense_is_named() {
        assert_eq!(Config::default().validate(), Ok(()));
        check(|c| c.tick_ms = 0, "tick_ms");
        check(|c| c.lease_renew_ms = 1_001, "lease_renew_ms");
        check(|c| c.worker_lease_ms = 1_001, "worker_lease_ms");
        check(|c| c.waiting_reports_max = 511, "waiting_reports_max");
        check(|c| c.venue_latency_micros_min = 2_001, "venue_latency_micros_min");
        check(|c| c.limits.resume_cooldown_ms = -1, "limits.resume_cooldown_ms");
        check(|c| c.limits.spot_collar_ppm = 0, "limits.spot_collar_ppm");
        check(|c| c.limits.ramp_ms = -1, "limits.ramp_ms");
        check(|c| c.measure_ms = 0, "measure_ms");
        check(|c| c.limits.breaker_cooldown_ms = -1, "limits.breaker_cooldown_ms");
        check(|c| c.limits.breaker_pause_ms = 0, "limits.breaker_pause_ms");
        check(|c| c.limits.reduce_factor_ppm = 1_000_000, "limits.reduce_factor_ppm");
        check(|c| c.limits.correlation_interval_ms = 0, "limits.correlation_interval_ms");
        check(|c| c.limits.correlated_pair_ppm = 0, "limits.correlated_pair_ppm");
        check(|c| c.limits.correlated_pair_ppm = 1_000_001, "limits.correlated_pair_ppm");
        check(|c| c.limits.measured_currency = "U S D".to_owned(), "limits.measured_currency");
        check(|c| c.limits.repeated_orders = "maybe".to_owned(), "limits.repeated_orders");
        let rule = |key: &str, value| {
            let change = |c: &mut Config| c.limits.rules = BTreeMap::from([(key.to_owned(), value)]);
            check(change, &format!("limits.rules.{key}"));
        };
        rule("day_loss_reduce_pct", 5);
        rule("open_risk_max_ppm", 1_000_001);
        rule("trade_max_ppm.alice", -1);
        // A house that is halted at a smaller loss than it is reduced at would never be reduced.
        rule("drawdown_halt_ppm", 49_999);
        rule("day_loss_reduce_ppm.alice", 40_000);
        check(|c| c.memory_limit_bytes = Some(-1), "memory_limit_bytes");
        check(|c| c.limits.house_accounts = BTreeSet::from(["a.b".to_owned()]), "limits.house_accounts");
        let cluster = ("fx".to_owned(), BTreeSet::from(["E U".to_owned()]));
        check(|c| c.limits.clusters = BTreeMap::from([cluster.clone()]), "limits.clusters.fx");
    }
}
