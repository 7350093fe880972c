//! How the paper systems of drills are configured.

use super::{house, stage::instrument_id};

/// How a system is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// Small limits, a house, no breakers.
    Limits,
    /// Repeated orders are denied.
    Repeats,
    /// Breakers and short periods; limits after a resume open slowly.
    Breakers,
    /// The venue executes every order, but answers only when it is asked again.
    Venue,
    /// The house is measured too seldom.
    Equity,
    /// The guard may use less memory than it does.
    Memory,
    /// The house is measured every three seconds: a limit that changes in between finds its loss measured.
    Losses,
    /// A house of two accounts whose agents are compared ten times a second.
    Together,
    /// Small limits of operators' commands; repeated orders are counted, as by default.
    Commands,
}

impl Setting {
    /// Every setting.
    pub(crate) const ALL: [Self; 9] = [
        Self::Limits,
        Self::Repeats,
        Self::Breakers,
        Self::Venue,
        Self::Equity,
        Self::Memory,
        Self::Losses,
        Self::Together,
        Self::Commands,
    ];

    /// Whether each drill needs a system of its own: losses that a drill has made stay.
    pub(crate) const fn is_used_once(self) -> bool {
        match self {
            Self::Limits | Self::Repeats | Self::Venue | Self::Equity | Self::Memory | Self::Commands => false,
            Self::Breakers | Self::Losses | Self::Together => true,
        }
    }

    fn limits(self) -> &'static str {
        match self {
            Self::Limits => {
                "order_value_max_micros = 400000000\nresting_orders_max = 3\nrepeated_orders = \"off\"\nramp_ms = 0\n"
            }
            Self::Repeats => "repeated_orders = \"deny\"\nrepeated_order_ms = 1000\nramp_ms = 0\n",
            Self::Breakers => {
                "order_value_max_micros = 1000000000\nrepeated_orders = \"off\"\nramp_ms = 2000\n\
                 breaker_cooldown_ms = 0\nbreaker_pause_ms = 500\n"
            }
            Self::Venue => "breaker_pause_ms = 500\nvenue_calls_min = 4\nramp_ms = 0\n",
            Self::Equity => "equity_age_max_ms = 300\nramp_ms = 0\n",
            Self::Memory => "ramp_ms = 0\n",
            Self::Losses => "equity_age_max_ms = 60000\nramp_ms = 0\n",
            Self::Together => {
                "repeated_orders = \"off\"\nramp_ms = 0\nbreaker_cooldown_ms = 0\ncorrelation_interval_ms = 100\n\
                 equity_age_max_ms = 60000\n"
            }
            Self::Commands => {
                "order_value_max_micros = 400000000\nramp_ms = 0\nresume_cooldown_ms = 1000\n\
                 commands = { flatten_orders_per_minute_max = 1, reduction_overdue_ms = 1000 }\n"
            }
        }
    }

    /// How the guard runs besides its limits.
    fn guard(self) -> &'static str {
        match self {
            Self::Limits | Self::Repeats | Self::Breakers | Self::Together | Self::Commands => "measure_ms = 50\n",
            Self::Venue => "measure_ms = 50\n[risk_guard.venue_faults]\nunanswered_ppm = 1000000\n",
            Self::Equity => "measure_ms = 1000\n",
            Self::Memory => "measure_ms = 50\nmemory_limit_bytes = 1000000\n",
            Self::Losses => "measure_ms = 3000\n",
        }
    }

    /// The accounts of the house, as in the file.
    fn house(self) -> String {
        match self {
            Self::Limits
            | Self::Repeats
            | Self::Breakers
            | Self::Venue
            | Self::Equity
            | Self::Memory
            | Self::Losses
            | Self::Commands => format!("[\"{}\"]", house::ACCOUNT),
            Self::Together => format!("[\"{}\", \"{}\"]", house::ACCOUNT, house::PARTNER),
        }
    }

    /// The configuration file.
    pub(crate) fn file(self) -> String {
        let rules = [
            "open_risk_max_ppm",
            "pool_exposure_max_ppm",
            "timeframe_exposure_max_ppm",
            "agent_loss_halt_ppm",
            "day_loss_reduce_ppm",
            "month_loss_halt_ppm",
            "drawdown_halt_ppm",
        ];
        let off: String = rules.iter().map(|name| format!("{name} = 0\n")).collect();
        format!(
            "[router]\nfree_trades_per_minute = 10000\nstandard_trades_per_minute = 10000\n\
             premium_trades_per_minute = 10000\nreads_per_minute = 100000\ncash_moves_per_minute = 10000\n\
             [risk_guard]\n{}[risk_guard.limits]\nhouse_accounts = {}\n{}\
             [risk_guard.limits.clusters]\n{} = [\"{}\"]\n[risk_guard.limits.rules]\n{off}",
            self.guard(),
            self.house(),
            self.limits(),
            house::CLUSTER,
            instrument_id("cluster_exposure_max_ppm"),
        )
    }
}
