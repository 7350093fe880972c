//! The figures that a plan goes by where nobody gives others, each with where it comes from. The table "What a plan
//! goes by" in `PERFORMANCE.md` has the same ones; a test compares them.

/// Where a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// It was measured: when, and how; the machine is the one of `PERFORMANCE.md`.
    Measured(&'static str),
    /// It was not: why it is believed.
    Assumed(&'static str),
}

/// One figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figure {
    /// As in [`super::Measured`].
    pub(crate) name: &'static str,
    pub(crate) value: u64,
    pub(crate) source: Source,
}

const fn measured(name: &'static str, value: u64, how: &'static str) -> Figure {
    Figure { name, value, source: Source::Measured(how) }
}

const fn assumed(name: &'static str, value: u64, why: &'static str) -> Figure {
    Figure { name, value, source: Source::Assumed(why) }
}

pub(crate) const SUSTAINED: Figure = measured(
    "sustained_per_second",
    3_820,
    "2026-11-30, 128 in flight on PostgreSQL, the lowest of several runs; p99 43 to 63 ms",
);
pub(crate) const CORES: Figure = measured("cores", 2, "2026-11-30, the machine of that run, the load test on it too");
/// The six services together took 242 us a trade (0.8 of a processor at 3,300/s); how it is spread is not measured.
const SPLIT: &str = "a share of the 242 us that 2026-11-29 all six services took together; the share is not measured";
pub(crate) const ROUTER: Figure = assumed("cpu_micros_router", 80, SPLIT);
pub(crate) const WORKER: Figure = assumed("cpu_micros_worker", 46, SPLIT);
pub(crate) const GUARD: Figure = assumed("cpu_micros_guard", 58, SPLIT);
pub(crate) const LEDGER: Figure = assumed("cpu_micros_ledger", 58, SPLIT);
pub(crate) const BUS: Figure =
    measured("cpu_micros_bus", 61, "2026-11-29, 0.2 of a processor at 3,300 trades/s beside other work");
pub(crate) const DATABASE: Figure =
    measured("cpu_micros_database", 91, "2026-11-29, 0.3 of a processor at 3,300 trades/s beside other work");
pub(crate) const GUARD_MAX: Figure =
    assumed("guard_per_second_max", 20_000, "`gate_rate` says it, but no run of it is in the log");
pub(crate) const SHARD_MAX: Figure = measured(
    "shard_per_second_max",
    16_900,
    "2026-11-29, the ledger alone, PostgreSQL, 1,000,000 accounts with Zipf's activity",
);
pub(crate) const BUS_MAX: Figure =
    assumed("bus_messages_per_second_max", 4_500, "what others have seen of one NATS server that syncs every message");
pub(crate) const MESSAGES: Figure =
    assumed("bus_messages_per_1000_trades", 250, "messages carry batches; how large, the load decides");
pub(crate) const COMMITS: Figure =
    assumed("commits_per_1000_trades", 50, "a transaction carries a batch; how large, the load decides");
pub(crate) const IDLE: Figure = assumed("memory_bytes_idle", 150 << 20, "the goal");
pub(crate) const PER_ACCOUNT: Figure =
    assumed("memory_bytes_per_account", 470, "what of 600 MB a million accounts may have after the idle services");
pub(crate) const DATABASE_BYTES: Figure = measured(
    "database_bytes_per_trade",
    1420,
    "2026-11-30, growth of PostgreSQL in 4,600 trades of 200 accounts, 16 in flight",
);
pub(crate) const BUS_BYTES: Figure = measured(
    "bus_bytes_per_trade",
    1910,
    "2026-11-30, growth of the NATS store in the same run, the market's included",
);

/// All of them, in the order of [`super::Measured`].
pub(crate) const ALL: [Figure; 17] = [
    SUSTAINED,
    CORES,
    ROUTER,
    WORKER,
    GUARD,
    LEDGER,
    BUS,
    DATABASE,
    GUARD_MAX,
    SHARD_MAX,
    BUS_MAX,
    MESSAGES,
    COMMITS,
    IDLE,
    PER_ACCOUNT,
    DATABASE_BYTES,
    BUS_BYTES,
];

/// Where the value of the figure `name` comes from; `given` were read from a report.
pub(crate) fn origin(name: &str, value: u64, given: &[&str]) -> String {
    if given.contains(&name) {
        return "from the report".to_owned();
    }
    let known = ALL.iter().find(|figure| figure.name == name);
    match known.filter(|figure| figure.value == value).map(|figure| figure.source) {
        Some(Source::Measured(how)) => format!("measured: {how}"),
        Some(Source::Assumed(why)) => format!("ASSUMED: {why}"),
        None => "as you say".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_every_figure_with_its_value_and_where_it_comes_from() {
        let log = include_str!("../../PERFORMANCE.md");
        for Figure { name, value, source } in ALL {
            let (word, why) = match source {
                Source::Measured(how) => ("measured", how),
                Source::Assumed(why) => ("assumed", why),
            };
            let row = format!("| `{name}` | {value} | {word} | {why} |");
            assert!(log.lines().any(|line| line == row), "PERFORMANCE.md lacks the line\n{row}");
        }
    }

    #[test]
    fn a_figure_says_where_it_comes_from() {
        assert!(origin("cores", 2, &[]).starts_with("measured: 2026-11-30"));
        assert!(origin("guard_per_second_max", 20_000, &[]).starts_with("ASSUMED"));
        assert_eq!(origin("cores", 4, &[]), "as you say");
        assert_eq!(origin("cores", 2, &["cores"]), "from the report");
    }
}
