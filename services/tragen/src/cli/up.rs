//! `tragen up`: everything in one process.

use crate::{Verdict, config::Settings, up};
use clap::Args;
use std::net::SocketAddr;

/// How to run everything.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tragen up\n  tragen up --data-dir /var/lib/tragen --feed none --listen 127.0.0.1:8080 --no-demo\n\nIt trades on paper. Stop it with Ctrl-C; what it has accepted is finished first."
)]
pub(crate) struct UpArgs {
    /// Use this bus instead of an own one.
    #[arg(long, env = "TRAGEN_NATS_URL", value_name = "URL")]
    nats: Option<String>,
    /// Do not fill demo accounts, configure demo agents and place demo trades.
    #[arg(long)]
    no_demo: bool,
    /// Show nothing but where everything is.
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    settings: Settings,
}

impl UpArgs {
    pub(super) async fn run(self) -> anyhow::Result<Verdict> {
        let (mut config, data_dir) = self.settings.load(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        if !self.no_demo {
            up::pool_demo_capital(&mut config)?;
        }
        let shows = up::Shows { demo: !self.no_demo, screen: !self.quiet };
        up::run(&self.settings, config, &data_dir, self.nats, shows).await?;
        Ok(Verdict::Good)
    }
}
