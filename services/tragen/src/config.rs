//! The configuration of all services: a file with one section each, variables
//! over it (`TRAGEN__ROUTER__LISTEN`), and flags over both. Nothing starts
//! before all of it is valid.

use crate::service::{store_in, store_url, without_secret};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf};
use tragen_host::telemetry::{LogFormat, TraceConfig};
use tragen_market_data::Feed;

/// One section for each service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) router: tragen_router::Config,
    pub(crate) agent_worker: tragen_agent_worker::Config,
    pub(crate) risk_guard: tragen_risk_guard::Config,
    pub(crate) market_data: tragen_market_data::Config,
    pub(crate) cost_monitor: tragen_cost_monitor::Config,
    pub(crate) ledger: tragen_ledger::Config,
}

/// What `tragen up` and `tragen serve` have in common; flags win over the file.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// A TOML file with the sections router, agent_worker, risk_guard, market_data, cost_monitor and ledger.
    #[arg(long, env = "TRAGEN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where everything is kept [default: data].
    #[arg(long, env = "TRAGEN_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What plays: `sample`, `none`, or CSV files and folders of them [default: sample].
    #[arg(long, env = "TRAGEN_FEED", value_name = "FEED", num_args = 1.., value_delimiter = ',')]
    feed: Vec<String>,
    /// First market day of the files that plays, e.g. 2012-02-01.
    #[arg(long, env = "TRAGEN_FROM", value_name = "DATE")]
    from: Option<String>,
    /// First market day of the files that plays no more.
    #[arg(long, env = "TRAGEN_TO", value_name = "DATE")]
    to: Option<String>,
    /// Market seconds in a second; 0 for as fast as possible [default: 60].
    #[arg(long, env = "TRAGEN_SPEED", value_name = "N", allow_negative_numbers = true)]
    speed: Option<f64>,
    /// Where the books are: `sqlite` for a file in the data folder, or a postgres:// address [default: sqlite].
    #[arg(long, env = "TRAGEN_STORE", value_name = "STORE", hide_env_values = true)]
    store: Option<String>,
    /// Where limits are counted: `memory`, or a redis:// address that routers share [default: memory].
    #[arg(long, env = "TRAGEN_CACHE", value_name = "CACHE", hide_env_values = true)]
    cache: Option<String>,
    /// Where the API is served; port 0 takes a free one.
    #[arg(long, env = "TRAGEN_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where traces are sent, OTLP over gRPC, e.g. http://127.0.0.1:4317.
    #[arg(long, env = "TRAGEN_OTLP", value_name = "URL")]
    otlp: Option<String>,
    /// Share of the traces that are recorded, 0 to 1.
    #[arg(long, env = "TRAGEN_TRACE_RATIO", value_name = "RATIO", default_value_t = 1.0, value_parser = ratio)]
    trace_ratio: f64,
    /// How a line of the log looks; TRAGEN_LOG says what is in it, e.g. `info,tragen_router=debug`.
    #[arg(long, env = "TRAGEN_LOG_FORMAT", value_name = "FORMAT", default_value = "human")]
    log_format: Lines,
    /// Written when everything is ready, as JSON: {grpc, http, nats, pid, data_dir}.
    #[arg(long, env = "TRAGEN_READY_FILE", value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Lines {
    Human,
    Json,
}

impl Settings {
    /// The configuration of this process, and its data folder.
    ///
    /// # Errors
    /// The first key or flag that cannot be used, by name.
    pub(crate) fn load(&self, default_listen: SocketAddr) -> anyhow::Result<(Config, PathBuf)> {
        let mut config: Config = tragen_host::config::load(self.config.as_deref(), "TRAGEN", std::env::vars())?;
        let data_dir = self.data_dir.clone().unwrap_or_else(|| config.router.data_dir.clone());
        let untouched = Config::default();
        if self.data_dir.is_some() {
            config.router.data_dir.clone_from(&data_dir);
            config.market_data.data_dir.clone_from(&data_dir);
            config.risk_guard.venue_folder = data_dir.join("paper-venue");
            config.risk_guard.snapshot_folder = data_dir.join("risk-guard");
        }
        if let Some(feed) = self.feed()? {
            config.market_data.feed = feed;
        }
        if let Some(from) = &self.from {
            config.market_data.from_date.clone_from(from);
        }
        if let Some(to) = &self.to {
            config.market_data.to_date.clone_from(to);
        }
        let is_window = [&self.from, &self.to].into_iter().flatten().any(|date| !date.is_empty());
        if is_window && !matches!(config.market_data.feed, Feed::Files(_)) {
            anyhow::bail!("--from and --to need a feed of files");
        }
        if let Some(speed) = self.speed {
            config.market_data.speed = speed;
        }
        match self.store.as_deref() {
            Some(store) => config.ledger.store_url = store_url(store, &data_dir)?,
            None if config.ledger.store_url == untouched.ledger.store_url => {
                config.ledger.store_url = store_in(&data_dir)?.url;
            }
            None => {}
        }
        // Heads of the books are always signed: where no key is named, one is made once.
        if config.ledger.signing_key_file.as_os_str().is_empty() {
            config.ledger.signing_key_file = data_dir.join("ledger-head.key");
            config.ledger.creates_signing_key = true;
        }
        if config.ledger.heads_file.as_os_str().is_empty() {
            config.ledger.heads_file = data_dir.join("ledger-heads.jsonl");
        }
        if let Some(cache) = self.cache.as_deref() {
            config.router.cache_url = cache_url(cache)?;
        }
        if let Some(listen) = self.listen {
            config.router.listen = listen;
        } else if config.router.listen == untouched.router.listen {
            config.router.listen = default_listen;
        }
        config.validate()?;
        Ok((config, data_dir))
    }

    /// Where spans go, if anywhere.
    pub(crate) fn traces(&self) -> Option<TraceConfig> {
        let otlp_endpoint = self.otlp.clone().filter(|url| !url.is_empty())?;
        Some(TraceConfig { otlp_endpoint, sample_ratio: self.trace_ratio })
    }

    /// How a line of the log looks.
    pub(crate) const fn log_format(&self) -> LogFormat {
        match self.log_format {
            Lines::Human => LogFormat::Human,
            Lines::Json => LogFormat::Json,
        }
    }

    fn feed(&self) -> anyhow::Result<Option<Feed>> {
        let feed = match self.feed.as_slice() {
            [] => return Ok(None),
            [one] => Feed::parse(one).context("--feed")?,
            paths if paths.iter().any(|path| path == "sample" || path == "none") => {
                anyhow::bail!("--feed: `sample` and `none` stand alone")
            }
            paths => Feed::Files(paths.iter().map(PathBuf::from).collect()),
        };
        if let Feed::Files(paths) = &feed
            && let Some(missing) = paths.iter().find(|path| !path.exists())
        {
            anyhow::bail!("--feed: {:?} is neither sample, none nor a file or folder", missing.display().to_string());
        }
        Ok(Some(feed))
    }
}

impl Config {
    fn validate(&self) -> anyhow::Result<()> {
        self.router.validate()?;
        self.agent_worker.validate()?;
        self.risk_guard.validate().map_err(|refused| refused.within("risk_guard"))?;
        self.market_data.validate()?;
        self.cost_monitor.validate()?;
        self.ledger.validate()?;
        Ok(())
    }
}

/// The address of a cache as it is typed; empty for the memory of the process.
fn cache_url(cache: &str) -> anyhow::Result<String> {
    match cache {
        "memory" | "" => Ok(String::new()),
        url if ["redis://", "rediss://", "redis+unix://", "unix://"].iter().any(|s| url.starts_with(s)) => {
            Ok(url.to_owned())
        }
        other => anyhow::bail!("--cache: {:?} is neither memory nor a redis:// address", without_secret(other)),
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }

    fn load(flags: &[&str]) -> anyhow::Result<(Config, PathBuf)> {
        let line = Line::try_parse_from([&["tragen"], flags].concat())?;
        line.settings.load(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    #[test]
    fn flags_win_over_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tragen.toml");
        std::fs::write(&file, "[router]\nlisten = \"127.0.0.1:9\"\nwait_max_ms = 20000\n[market_data]\nspeed = 2.0\n")
            .expect("a file");
        let file = file.to_str().expect("a path");
        let data_dir = folder.path().join("d");
        let data = data_dir.to_str().expect("a path");
        let (config, found) = load(&["--config", file, "--data-dir", data, "--speed", "3"]).expect("valid");
        assert_eq!(found, data_dir);
        assert_eq!(config.router.listen.port(), 9, "the file wins over the default");
        assert_eq!(config.router.wait_max_ms, 20_000);
        assert!((config.market_data.speed - 3.0).abs() < f64::EPSILON);
        assert_eq!(config.risk_guard.venue_folder, data_dir.join("paper-venue"));
        assert!(config.ledger.store_url.ends_with("/d/ledger.db"), "{}", config.ledger.store_url);
        let (config, _) = load(&["--listen", "127.0.0.1:7", "--config", file]).expect("valid");
        assert_eq!(config.router.listen.port(), 7);
    }

    #[test]
    fn a_refused_limit_is_named_as_the_file_writes_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tragen.toml");
        for (text, told) in [
            ("rules = { day_loss_reduce_pct = 5 }", "risk_guard.limits.rules.day_loss_reduce_pct is 5"),
            ("rules = { open_risk_max_ppm = 2000000 }", "risk_guard.limits.rules.open_risk_max_ppm is 2000000"),
            ("rules = { \"trade_max_ppm.alice\" = -1 }", "risk_guard.limits.rules.trade_max_ppm.alice is -1"),
            ("rules = { \"drawdown_halt_ppm.alice\" = 1 }", "risk_guard.limits.rules.drawdown_halt_ppm.alice is 1"),
            ("rules = { agent_loss_halt_ppm = 60000 }", "risk_guard.limits.rules.agent_loss_halt_ppm is 60000"),
            ("rules = { trade_max_ppm.alice = 1 }", "trade_max_ppm"),
            ("rules = { trade_max_ppm = \"5 %\" }", "trade_max_ppm"),
            ("house_accounts = [\"a b\"]", "risk_guard.limits.house_accounts is a b"),
            ("clusters = { fx = [\"E U\"] }", "risk_guard.limits.clusters.fx is E U"),
            ("repeated_orders = \"maybe\"", "risk_guard.limits.repeated_orders is maybe"),
            ("commands = { resume_people = 1 }", "risk_guard.limits.commands.resume_people is 1"),
            ("ramp_seconds = 1", "ramp_seconds"),
        ] {
            std::fs::write(&file, format!("[risk_guard.limits]\n{text}\n")).expect("a file");
            let refused = load(&["--config", file.to_str().expect("a path")]).expect_err("refused");
            let refused = format!("{refused:#}");
            assert!(refused.contains(told), "{text}: {refused}");
            assert_eq!(refused.matches("it must be").count(), usize::from(told.contains(" is ")), "{refused}");
        }
    }

    /// Settings of the reference folder's bad inputs, as our file would write them; the router's tests list where all
    /// others are tried.
    #[test]
    fn settings_of_the_reference_are_refused_by_name() {
        let Some(root) = std::env::var_os("TRAGEN_REFERENCE_DIR") else {
            println!("TRAGEN_REFERENCE_DIR is not set: no settings of the reference");
            return;
        };
        let path = PathBuf::from(root).join("vectors/bad_inputs.json");
        let text = std::fs::read_to_string(path).expect("readable cases");
        let read: serde_json::Value = serde_json::from_str(&text).expect("valid cases");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tragen.toml");
        let mut tried = 0;
        for case in read["cases"].as_array().expect("cases") {
            let (id, input) = (case["id"].as_str().expect("an id"), &case["input"]);
            let Some((text, told)) = as_ours(id, input) else { continue };
            std::fs::write(&file, &text).expect("a file");
            let refused = load(&["--config", file.to_str().expect("a path")]).expect_err(id);
            assert!(format!("{refused:#}").contains(told), "{id}: {text}: {refused:#}");
            tried += 1;
        }
        assert_eq!(tried, 6);
    }

    /// What our file says, and what the refusal names.
    fn as_ours(id: &str, input: &serde_json::Value) -> Option<(String, &'static str)> {
        // A milder stop that comes later than a harder one.
        let ladder = |reduce: i64, halt: i64| {
            let rules = format!("rules = {{ day_loss_reduce_ppm = {reduce}, drawdown_halt_ppm = {halt} }}");
            (format!("[risk_guard.limits]\n{rules}\n"), "risk_guard.limits.rules.drawdown_halt_ppm is")
        };
        // Exact: a decimal of the file as millionths.
        let ppm = |name: &str| {
            let share: tragen_domain::money::Money = input[name].to_string().parse().expect("a share");
            share.micros()
        };
        let bps = |name: &str| input[name].as_i64().expect("a share") * 100;
        match id {
            "rpc-024" => Some(ladder(bps("position_reduction_bps"), bps("auto_halt_bps"))),
            "config-005" => Some(ladder(ppm("position_reduction_threshold"), ppm("auto_halt_threshold"))),
            "config-006" => Some((
                "[risk_guard.limits.commands]\nresume_people = 1\n".to_owned(),
                "risk_guard.limits.commands.resume_people is 1",
            )),
            "config-009" => {
                let limit = input["memory_limit"].as_str().expect("a text");
                Some((format!("[risk_guard]\nmemory_limit_bytes = {limit:?}\n"), "memory_limit_bytes"))
            }
            // A lease lasts for two seconds.
            "config-013" => Some(("[risk_guard]\nlease_renew_ms = 2500\n".to_owned(), "risk_guard.lease_renew_ms")),
            "config-015" => Some((input["yaml"].as_str().expect("a text").to_owned(), "tragen.toml")),
            _ => None,
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tragen.toml");
        for (text, name) in [
            ("[router]\nlisen = 1", "lisen"),
            ("[rooter]\n", "rooter"),
            ("[router]\nwait_max_ms = 1", "wait_max_ms"),
            ("[risk_guard]\ntick_ms = 0", "tick_ms"),
        ] {
            std::fs::write(&file, text).expect("a file");
            let refused = load(&["--config", file.to_str().expect("a path")]).expect_err("refused");
            assert!(format!("{refused:#}").contains(name), "{refused:#}");
        }
        for (flags, name) in [
            (["--feed", "sample,x.csv"], "--feed"),
            (["--feed", "smaple"], "--feed: \"smaple\" is neither sample, none nor a file or folder"),
            (["--from", "2012-02-01"], "--from and --to need a feed of files"),
            (["--store", "garbage"], "--store: \"garbage\" is neither sqlite nor a postgres:// address"),
            (["--store", "mysql://u:secret@h"], "--store: \"mysql:...\" is neither"),
            (["--cache", "garbage"], "--cache: \"garbage\" is neither memory nor a redis:// address"),
            (["--speed", "-1"], "speed"),
        ] {
            let refused = load(&flags).expect_err("refused");
            assert!(format!("{refused:#}").contains(name), "{refused:#}");
        }
    }
}
