//! Streams, consumers and buckets: what exists on the bus, declared once. The
//! reason for each one's durability stands beside it.
//!
//! The server runs with `sync_interval: always`, so every message on a file
//! stream survives a power cut and costs one fsync; on a work queue so does every
//! ack. Streams on the trade path carry batches, so the fsync is shared by many
//! trades under load; what is only on its way to the guard lives in memory.

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, pull},
    kv,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};
use std::{borrow::Cow, time::Duration};

/// A stream of the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Trades asked for, by tier. Memory: nothing has happened yet, and whoever waits for an outcome sends it again.
    Requests,
    /// What agents propose. Memory: the same, for the router. A configured agent's order that is lost with the bus's
    /// memory is not made up for: it acts again when its signal changes.
    Proposals,
    /// The guard's decisions. File, never deleted: it is the guard's memory.
    Journal,
    /// Outcomes of trades. File: money that moved at a venue must be booked.
    Executions,
    /// Committed facts. File for replays; all of it can be rebuilt from the ledger.
    Ledger,
    /// Newest quotes, scores and definitions. Memory: market-data re-publishes them.
    Market,
    /// The last bars. Memory: market-data re-publishes them.
    Bars,
    /// Odds of bookmakers before the kick-off, the last ones of each match. Memory: market-data re-publishes them.
    Odds,
    /// Work done. Memory: a lost report is a lost fraction of a cent.
    Usage,
    /// How pools were sized. File: they explain which agents traded, and are few.
    Pools,
    /// What bets of agents were decided on. File: they explain orders for as long as their outcomes are kept.
    Looks,
    /// What was written about matches. File: people type it once.
    News,
    /// What a person must look at. File: an alert must not be lost with the power that caused it.
    Alerts,
    /// Signed heads of the ledger's hash chains. File, never deleted: they prove what was.
    Audit,
    /// Messages no handler could take. File: somebody must look at them.
    Dead,
}

/// A durable consumer: who reads a stream and must see every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consumer {
    /// Agent workers, premium lane.
    WorkerPremium,
    /// Agent workers, standard lane.
    WorkerStandard,
    /// Agent workers, free lane.
    WorkerFree,
    /// Agent workers, bars: each worker sees all of them, one acts on each.
    WorkerBars,
    /// Agent workers, matches: one looks at each match whose odds have changed.
    WorkerMatches,
    /// The leading guard.
    Guard,
    /// One shard of the ledger: everything on `exec.<venue>`, of which it books what is
    /// its own, and what other shards hand on to it.
    Ledger(u16),
    /// The cost monitor, outcomes.
    CostExecutions,
    /// The cost monitor, work done.
    CostUsage,
}

/// A key-value bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// The trading state; one key `state`.
    Control,
    /// Who leads; one key `guard`; entries end 2 s after the last renewal.
    Lease,
    /// Configured agents by id.
    Agents,
    /// Pools by id: their size, and which agents only close what they hold.
    Pools,
    /// What agents have shown, by agent id.
    Scores,
    /// What agents have bought before kick-offs, by match id.
    Bets,
    /// Worker presence by instance; entries end 5 s after the last beat.
    Workers,
}

/// A delivery not acked after this long goes to somebody else. What a killed guard or ledger
/// had taken must be there for the next one, which has its place two seconds later; a request
/// in the hands of a killed worker must be answered before its caller gives up, and bars are
/// soon old. Whoever works longer says so.
const ACK_WAIT: Duration = Duration::from_secs(2);

/// The same where nobody waits for it.
const UNHURRIED_ACK_WAIT: Duration = Duration::from_secs(5);

/// How long a lane keeps the ids of published messages to drop repeats.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// Bars that are kept of a series: two days of minutes, so that the last one can be decided again with rules that have
/// seen the day before it. A bar takes at most 230 bytes as the bus counts them, 662,400 a series, so 256 MiB hold 405
/// full series; beyond that the oldest bars of all go first.
pub const BARS_KEPT: u16 = 2_880;

/// Odds that are kept of a match: as many as agents remember. With ten bookmakers one takes at most 700 bytes as the bus
/// counts them, so 64 MiB hold the last half hour of 180 matches whose odds change every four seconds.
pub const ODDS_KEPT: u16 = 512;

/// Bytes of looks that are kept, of 7 days at most. With two bookmakers and four bettors one takes 1,300 bytes as the bus
/// counts them, so there is room for 400,000; beyond the bound the oldest go first.
const LOOKS_BYTES_MAX: i64 = 512 * MIB;

const DAY: Duration = Duration::from_secs(86_400);
const MIB: i64 = 1 << 20;

impl Stream {
    /// Every stream.
    pub const ALL: [Self; 15] = [
        Self::Requests,
        Self::Proposals,
        Self::Journal,
        Self::Executions,
        Self::Ledger,
        Self::Market,
        Self::Bars,
        Self::Odds,
        Self::Usage,
        Self::Pools,
        Self::Looks,
        Self::News,
        Self::Alerts,
        Self::Audit,
        Self::Dead,
    ];

    /// Its name on the server.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "REQUESTS",
            Self::Proposals => "PROPOSALS",
            Self::Journal => "JOURNAL",
            Self::Executions => "EXECUTIONS",
            Self::Ledger => "LEDGER",
            Self::Market => "MARKET",
            Self::Bars => "BARS",
            Self::Odds => "ODDS",
            Self::Usage => "USAGE",
            Self::Pools => "POOLS",
            Self::Looks => "LOOKS",
            Self::News => "NEWS",
            Self::Alerts => "ALERTS",
            Self::Audit => "AUDIT",
            Self::Dead => "DEAD",
        }
    }

    const fn subjects(self) -> &'static [&'static str] {
        match self {
            Self::Requests => &["req.>"],
            Self::Proposals => &["prop.>"],
            Self::Journal => &["journal"],
            Self::Executions => &["exec.>"],
            Self::Ledger => &["ledger.>"],
            Self::Market => &["md.quote.>", "md.instrument.>", "md.match.>"],
            Self::Bars => &["md.bar.>"],
            Self::Odds => &["md.odds.>"],
            Self::Usage => &["usage.>"],
            Self::Pools => &["pool.>"],
            Self::Looks => &["look.>"],
            Self::News => &["news.>"],
            Self::Alerts => &["alert.>"],
            Self::Audit => &["audit.*"],
            Self::Dead => &["dead.>"],
        }
    }

    /// What the server is asked for; `lane_messages_max` bounds each request lane.
    pub(crate) fn config(self, lane_messages_max: i64) -> Config {
        let base = Config {
            name: self.as_str().to_owned(),
            subjects: self.subjects().iter().map(ToString::to_string).collect(),
            duplicate_window: DUPLICATE_WINDOW,
            storage: StorageType::File,
            allow_direct: true,
            ..Config::default()
        };
        match self {
            Self::Requests => Config {
                retention: RetentionPolicy::WorkQueue,
                discard: DiscardPolicy::New,
                discard_new_per_subject: true,
                max_messages_per_subject: lane_messages_max,
                max_bytes: 256 * MIB,
                storage: StorageType::Memory,
                ..base
            },
            Self::Proposals => Config {
                retention: RetentionPolicy::WorkQueue,
                discard: DiscardPolicy::New,
                max_bytes: 256 * MIB,
                storage: StorageType::Memory,
                ..base
            },
            Self::Journal | Self::Audit => Config { deny_delete: true, deny_purge: true, ..base },
            Self::Executions | Self::Ledger => Config { max_age: 7 * DAY, ..base },
            Self::Market => Config {
                storage: StorageType::Memory,
                max_messages_per_subject: 1,
                max_bytes: 256 * MIB,
                duplicate_window: Duration::from_secs(1),
                ..base
            },
            Self::Bars => Config {
                storage: StorageType::Memory,
                max_messages_per_subject: i64::from(BARS_KEPT),
                max_bytes: 256 * MIB,
                duplicate_window: Duration::from_secs(1),
                ..base
            },
            Self::Odds => Config {
                storage: StorageType::Memory,
                max_messages_per_subject: i64::from(ODDS_KEPT),
                max_bytes: 64 * MIB,
                duplicate_window: Duration::from_secs(1),
                ..base
            },
            Self::Usage => Config { storage: StorageType::Memory, max_age: DAY, max_bytes: 64 * MIB, ..base },
            Self::Looks => Config { max_age: 7 * DAY, max_bytes: LOOKS_BYTES_MAX, ..base },
            // The longest that a text counts is two days.
            Self::News => Config { max_messages_per_subject: 200, max_age: 3 * DAY, max_bytes: 64 * MIB, ..base },
            Self::Pools | Self::Alerts | Self::Dead => Config { max_age: 30 * DAY, max_bytes: 256 * MIB, ..base },
        }
    }
}

/// What the streams in memory may take together, bytes: a server that allows less (`max_memory_store`) refuses them.
#[must_use]
pub fn memory_bytes_max() -> i64 {
    let configs = Stream::ALL.into_iter().map(|stream| stream.config(0));
    configs.filter(|config| config.storage == StorageType::Memory).map(|config| config.max_bytes).sum()
}

impl Consumer {
    /// Every consumer that exists from the beginning. A shard of the ledger other than
    /// the first gets its own when it is first served: [`crate::Bus::apply_consumer`].
    pub const ALL: [Self; 9] = [
        Self::WorkerPremium,
        Self::WorkerStandard,
        Self::WorkerFree,
        Self::WorkerBars,
        Self::WorkerMatches,
        Self::Guard,
        Self::Ledger(0),
        Self::CostExecutions,
        Self::CostUsage,
    ];

    /// Its durable name.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::WorkerPremium => "worker-premium".into(),
            Self::WorkerStandard => "worker-standard".into(),
            Self::WorkerFree => "worker-free".into(),
            Self::WorkerBars => "worker-bars".into(),
            Self::WorkerMatches => "worker-matches".into(),
            Self::Guard => "risk-guard".into(),
            Self::Ledger(shard) => format!("ledger-{shard}").into(),
            Self::CostExecutions => "cost-monitor-executions".into(),
            Self::CostUsage => "cost-monitor-usage".into(),
        }
    }

    /// What it reads.
    #[must_use]
    pub const fn stream(self) -> Stream {
        match self {
            Self::WorkerPremium | Self::WorkerStandard | Self::WorkerFree => Stream::Requests,
            Self::WorkerBars => Stream::Bars,
            Self::WorkerMatches => Stream::Market,
            Self::Guard => Stream::Proposals,
            Self::Ledger(_) | Self::CostExecutions => Stream::Executions,
            Self::CostUsage => Stream::Usage,
        }
    }

    /// How often a message is delivered before it is a dead letter. Proposals and
    /// executions are about money: they wait for hours of somebody's outage.
    #[must_use]
    pub const fn deliveries_max(self) -> u64 {
        match self {
            Self::WorkerPremium | Self::WorkerStandard | Self::WorkerFree | Self::WorkerBars | Self::WorkerMatches => {
                10
            }
            Self::Guard | Self::Ledger(_) => 5_000,
            Self::CostExecutions | Self::CostUsage => 5,
        }
    }

    pub(crate) fn config(self) -> pull::Config {
        let filters = match self {
            Self::WorkerPremium => vec!["req.*.premium".to_owned()],
            Self::WorkerStandard => vec!["req.*.standard".to_owned()],
            Self::WorkerFree => vec!["req.*.free".to_owned()],
            Self::WorkerBars => vec!["md.bar.>".to_owned()],
            Self::WorkerMatches => vec!["md.match.>".to_owned()],
            Self::Guard => vec!["prop.>".to_owned()],
            Self::Ledger(shard) => vec!["exec.*".to_owned(), format!("exec.*.{shard}")],
            // Not what shards hand on to each other: it was counted before.
            Self::CostExecutions => vec!["exec.*".to_owned()],
            Self::CostUsage => vec!["usage.>".to_owned()],
        };
        pull::Config {
            durable_name: Some(self.name().into_owned()),
            // A bar or match is only acted on when it is new; what was, the follower reads.
            deliver_policy: match self {
                Self::WorkerBars | Self::WorkerMatches => DeliverPolicy::New,
                Self::WorkerPremium
                | Self::WorkerStandard
                | Self::WorkerFree
                | Self::Guard
                | Self::Ledger(_)
                | Self::CostExecutions
                | Self::CostUsage => DeliverPolicy::All,
            },
            ack_policy: AckPolicy::Explicit,
            ack_wait: match self {
                Self::Guard
                | Self::Ledger(_)
                | Self::WorkerBars
                | Self::WorkerMatches
                | Self::WorkerPremium
                | Self::WorkerStandard
                | Self::WorkerFree => ACK_WAIT,
                Self::CostExecutions | Self::CostUsage => UNHURRIED_ACK_WAIT,
            },
            // Deliveries are counted by the handler, which keeps the bytes of what it gives up.
            max_deliver: -1,
            max_ack_pending: 1_024,
            filter_subjects: filters,
            ..pull::Config::default()
        }
    }
}

impl Bucket {
    /// Every bucket.
    pub const ALL: [Self; 7] =
        [Self::Control, Self::Lease, Self::Agents, Self::Pools, Self::Scores, Self::Bets, Self::Workers];

    /// Its name on the server.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Lease => "lease",
            Self::Agents => "agents",
            Self::Pools => "pools",
            Self::Scores => "scores",
            Self::Bets => "bets",
            Self::Workers => "workers",
        }
    }

    pub(crate) fn config(self) -> kv::Config {
        let base = kv::Config { bucket: self.as_str().to_owned(), history: 1, ..kv::Config::default() };
        match self {
            Self::Control | Self::Agents => kv::Config { history: 5, ..base },
            Self::Pools | Self::Scores | Self::Bets => base,
            Self::Lease => kv::Config { max_age: Duration::from_secs(2), storage: StorageType::Memory, ..base },
            Self::Workers => kv::Config { max_age: Duration::from_secs(5), storage: StorageType::Memory, ..base },
        }
    }
}
