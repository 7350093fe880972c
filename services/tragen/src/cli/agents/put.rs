//! One agent on the command line: a template, and what is different from it.

use crate::agent_file::{STRATEGIES, from_template};
use anyhow::Context as _;
use clap::{Args, builder::PossibleValuesParser};
use tragen_contracts::v1;
use tragen_domain::agents::template::Template;

/// A configured agent.
#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// Letters, digits, `-` and `_`.
    #[arg(long)]
    id: String,
    /// What it starts from; the other options override it.
    #[arg(long, value_parser = PossibleValuesParser::new(Template::ALL.map(Template::as_str)))]
    template: Option<String>,
    /// Its rules.
    #[arg(long, required_unless_present = "template", value_parser = PossibleValuesParser::new(STRATEGIES.map(|(name, _)| name)))]
    strategy: Option<String>,
    /// What it may trade, of a value agent beginnings of match ids (none for every match); may be given more than once.
    #[arg(long = "instrument", value_name = "INSTRUMENT")]
    instruments: Vec<String>,
    /// The account whose money it uses.
    #[arg(long)]
    account: String,
    /// Bars it looks at: 1m, 5m, 1h, 4h or 1d; 1m without a template.
    #[arg(long)]
    timeframe: Option<String>,
    /// From 1 (careful) to 10 (bold); 5 without a template.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=10))]
    risk_tolerance: Option<i32>,
    /// Most accepted orders in a UTC day; 100 without a template.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    max_trades_per_day: Option<i32>,
    /// Pool for limits and states; the strategy's name without it.
    #[arg(long, default_value = "")]
    pool: String,
    /// Keep it from trading.
    #[arg(long)]
    disabled: bool,
    /// Replace only this version of it; 0 for whatever there is.
    #[arg(long, default_value_t = 0)]
    if_version: i64,
}

impl PutArgs {
    /// The agent as it shall be stored.
    pub(super) fn agent(self) -> anyhow::Result<v1::Agent> {
        let start = match self.template.as_deref() {
            Some(name) => from_template(Template::parse(name).context("--template: there is no such template")?),
            None => v1::Agent {
                timeframe: "1m".to_owned(),
                risk_tolerance: 5,
                max_trades_per_day: 100,
                ..v1::Agent::default()
            },
        };
        let strategy = match self.strategy.as_deref() {
            Some(name) => STRATEGIES.iter().find(|(known, _)| *known == name).map_or(0, |(_, own)| (*own).into()),
            None => start.strategy,
        };
        Ok(v1::Agent {
            agent_id: self.id,
            strategy,
            instrument_ids: self.instruments,
            timeframe: self.timeframe.unwrap_or(start.timeframe),
            risk_tolerance: self.risk_tolerance.unwrap_or(start.risk_tolerance),
            max_trades_per_day: self.max_trades_per_day.unwrap_or(start.max_trades_per_day),
            account_id: self.account,
            is_enabled: !self.disabled,
            pool: self.pool,
            version: self.if_version,
        })
    }
}
