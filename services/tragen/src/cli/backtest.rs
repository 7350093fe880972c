//! `tragen backtest`: trades history with the code of the live system.

use crate::{
    Verdict, agent_file,
    backtest::{
        self, Plan, Trail,
        conditions::Conditions,
        future, page,
        report::{FileLine, Report, report},
        seat::Agent,
    },
    output::Format,
};
use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use tragen_contracts::{convert::style_of, v1};
use tragen_domain::{
    agents::personality::Personality,
    id::{AgentId, PoolId},
    market::Timeframe,
};
use tragen_market_data::file::{self, Intake, Limits, Window};

/// What is traded, by whom, under which conditions.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  tragen backtest --data EURUSD_h4.csv --agents agents.toml --from 2015-01-01 --report-dir report\n\nThe files are those of `tragen up --feed`: bars, and matches with odds. The agents are those of `tragen agents export`.\nEach agent trades on its own account. The same files give the same hash on every machine."
)]
pub(crate) struct BacktestArgs {
    /// Files of bars or matches, or folders of them.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// The agents, as `tragen agents export` writes them.
    #[arg(long, value_name = "FILE")]
    agents: PathBuf,
    /// First market day, e.g. 2012-02-01.
    #[arg(long, value_name = "DATE", default_value = "")]
    from: String,
    /// First market day that is not traded any more.
    #[arg(long, value_name = "DATE", default_value = "")]
    to: String,
    /// What trading costs, and how matches are bet on, as TOML; without it as on the paper venue.
    #[arg(long, value_name = "FILE")]
    costs: Option<PathBuf>,
    /// Where the run cuts history to show that no decision knows the future; see --check-future.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs again on histories that end early: a decision that changes knew the future, and the run is refused.
    #[arg(long, value_name = "TIMES", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    check_future: u32,
    /// Folder for report.json and report.html; made if missing.
    #[arg(long, value_name = "DIR")]
    report_dir: Option<PathBuf>,
    /// Largest file that is read, MiB.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    file_mib_max: u64,
    /// Most rows of all files together.
    #[arg(long, default_value_t = 5_000_000)]
    rows_max: usize,
}

impl BacktestArgs {
    pub(super) fn run(self, format: Format) -> anyhow::Result<Verdict> {
        let conditions = match &self.costs {
            Some(path) => Conditions::read(path)?,
            None => Conditions::default(),
        };
        let agents = roster(&self.agents)?;
        let intake = self.intake()?;
        let plan = Plan { intake: &intake, agents: &agents, conditions: &conditions, trail: Trail::Hashed };
        let bar = progress(backtest::events(&intake));
        let outcome = backtest::run(&plan, &mut |done| bar.set_position(done))?;
        bar.finish_and_clear();
        if self.check_future > 0 {
            let checked = future::check(&plan, self.check_future, self.seed)?;
            eprintln!(
                "{checked} decisions are the same without the future, on {} shorter histories",
                self.check_future
            );
        }
        let report = report(&outcome, &intake, &conditions);
        if let Some(folder) = &self.report_dir {
            write(folder, &report)?;
        }
        show(format, &report)?;
        Ok(Verdict::Good)
    }

    fn intake(&self) -> anyhow::Result<Intake> {
        let limits = Limits { file_mib_max: self.file_mib_max, rows_max: self.rows_max };
        let window = Window::parse(&self.from, &self.to).map_err(anyhow::Error::msg).context("--from and --to")?;
        Ok(file::read(&self.data, limits)?.within(window)?)
    }
}

/// The enabled agents of a file.
fn roster(path: &Path) -> anyhow::Result<Vec<Agent>> {
    let name = path.display().to_string();
    let enabled = agent_file::load(path)?.into_iter().filter(|agent| agent.is_enabled);
    let enabled: Vec<Agent> = enabled
        .map(|agent| seated(agent).with_context(|| format!("{name}: an agent that was checked")))
        .collect::<anyhow::Result<_>>()?;
    anyhow::ensure!(!enabled.is_empty(), "{name}: no agent is enabled");
    Ok(enabled)
}

/// An agent of a file as the backtest plays it.
fn seated(agent: v1::Agent) -> anyhow::Result<Agent> {
    let style = style_of(agent.strategy()).context("it has no strategy")?;
    let trades = u32::try_from(agent.max_trades_per_day)?;
    let pool = if agent.pool.is_empty() { agent_file::strategy_name(agent.strategy()) } else { &agent.pool };
    Ok(Agent {
        id: AgentId::new(&agent.agent_id)?,
        pool: PoolId::new(pool)?,
        personality: Personality::new(u8::try_from(agent.risk_tolerance)?, style, trades)?,
        timeframe: Timeframe::parse(&agent.timeframe).context("it has no timeframe")?,
        instruments: agent.instrument_ids,
    })
}

/// Nothing is drawn where nobody looks.
pub(super) fn progress(events: u64) -> ProgressBar {
    let bar = ProgressBar::new(events);
    let style = ProgressStyle::with_template("{elapsed_precise} [{bar:40}] {percent} % of {len} events, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn write(folder: &Path, report: &Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let json = serde_json::to_string_pretty(report)?;
    for (name, text) in [("report.json", json), ("report.html", page::page(report))] {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

fn show(format: Format, report: &Report) -> anyhow::Result<()> {
    if format == Format::Json {
        return format.record(report, &[]);
    }
    let percent = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{:.1}", 100.0 * value));
    let headers = [
        "AGENT", "NET", "FEES", "TRADES", "WIN %", "PF", "SHARPE", "DD %", "BETS", "ROI %", "EDGE %", "CLV %", "CLV T",
    ];
    let row = |own: &backtest::report::Standing| {
        let plain = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.2}"));
        let bets = own.bets.as_ref();
        vec![
            own.agent.clone(),
            own.net.clone(),
            own.fees.clone(),
            own.trades.to_string(),
            percent(own.win_rate.value),
            plain(own.profit_factor.value),
            plain(own.sharpe.value),
            percent(Some(own.max_drawdown)),
            bets.map_or_else(String::new, |bets| bets.bets.to_string()),
            percent(bets.and_then(|bets| bets.return_on_stake.value)),
            percent(bets.and_then(|bets| bets.mean_edge.value)),
            percent(bets.and_then(|bets| bets.closing_value.value)),
            plain(bets.and_then(|bets| bets.closing_value_t.value)),
        ]
    };
    format.list("agents", &report.agents, &headers, row)?;
    for note in &report.notes {
        eprintln!("left out: {note}");
    }
    for (reason, count) in &report.denials {
        eprintln!("denied {count} x {reason}");
    }
    say_what_was_read(&report.files);
    eprintln!("from {} to {}: hash {}", report.from, report.to, report.hash);
    Ok(())
}

/// How much of each file could be used, and what was wrong with the rest.
pub(super) fn say_what_was_read(files: &[FileLine]) {
    for file in files {
        let Some(accuracy) = file.accuracy.map(|share| 100.0 * share) else {
            eprintln!("{}: {} rows left out for shorter bars", file.file, file.left_out);
            continue;
        };
        eprintln!("{}: {} rows used, {} skipped, accuracy {accuracy:.2} %", file.file, file.accepted, file.skipped);
        file.faults.iter().take(5).for_each(|fault| eprintln!("  {fault}"));
        if !file.unread.is_empty() {
            let shown = file.unread.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
            eprintln!("  {} columns are not known and not read: {shown} ...", file.unread.len());
        }
    }
}
