//! The faults, and the schedule that a seed makes of them.

use super::{clock::Clocks, wire::Traffic};
use crate::dice::Dice;
use serde::Serialize;
use std::{fmt, time::Duration};

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The public API.
    Router,
    /// Agents.
    AgentWorker,
    /// Limits and the venue.
    RiskGuard,
    /// Prices.
    MarketData,
    /// What agents cost.
    CostMonitor,
    /// The books.
    Ledger,
}

impl Part {
    /// Every service, in the order in which they are started.
    pub const ALL: [Self; 6] =
        [Self::Ledger, Self::MarketData, Self::RiskGuard, Self::AgentWorker, Self::CostMonitor, Self::Router];

    /// As `tragen serve` calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::AgentWorker => "agent-worker",
            Self::RiskGuard => "risk-guard",
            Self::MarketData => "market-data",
            Self::CostMonitor => "cost-monitor",
            Self::Ledger => "ledger",
        }
    }
}

/// A server that services need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Server {
    /// The bus.
    Nats,
    /// The ledger's database.
    Postgres,
    /// The shared limits.
    Valkey,
}

impl Server {
    /// As `tools/serve` calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Postgres => "postgres",
            Self::Valkey => "valkey",
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// SIGKILL, and a new start when it ends.
    Kill(Part),
    /// SIGSTOP, and SIGCONT when it ends.
    Freeze(Part),
    /// The way between a service and the bus.
    BusWire(Part, Traffic),
    /// The way between the ledger and its database.
    DatabaseWire(Traffic),
    /// SIGKILL to a server, and a new start on the same data when it ends.
    KillServer(Server),
    /// SIGSTOP to a server.
    FreezeServer(Server),
    /// The bus is killed and comes back without anything.
    WipeBus,
    /// Reports of executions are delivered once more, with other message ids.
    DeliverAgain,
    /// A server may not write to its disk for a while.
    FillDisk(Server),
    /// The wall clock of a service jumps, and back when it ends.
    ClockJump(Part, Jump),
}

/// Where a clock jumps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Jump {
    /// An hour ahead.
    Ahead,
    /// An hour back.
    Back,
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ahead => "ahead",
            Self::Back => "back",
        })
    }
}

/// One trouble at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// From the first measured start.
    pub at: Duration,
    /// How long.
    pub lasts: Duration,
    /// What.
    pub trouble: Trouble,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(part) => write!(f, "kill {}", part.name()),
            Self::Freeze(part) => write!(f, "freeze {}", part.name()),
            Self::BusWire(part, traffic) => write!(f, "bus {traffic} for {}", part.name()),
            Self::DatabaseWire(traffic) => write!(f, "database {traffic} for ledger"),
            Self::KillServer(server) => write!(f, "kill {}", server.name()),
            Self::FreezeServer(server) => write!(f, "freeze {}", server.name()),
            Self::WipeBus => write!(f, "wipe nats"),
            Self::DeliverAgain => write!(f, "deliver executions again"),
            Self::FillDisk(server) => write!(f, "fill the disk of {}", server.name()),
            Self::ClockJump(part, jump) => write!(f, "clock an hour {jump} in {}", part.name()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {} ms", self.trouble, self.lasts.as_millis())
    }
}

/// Every trouble whose text contains `only`: those that can be made here, and those that this build cannot have.
pub(super) fn kinds(clocks: &Clocks, only: &str) -> (Vec<Trouble>, Vec<Trouble>) {
    let mut kinds: Vec<Trouble> = Part::ALL.map(Trouble::Kill).to_vec();
    let frozen = [Part::Router, Part::AgentWorker, Part::RiskGuard, Part::Ledger];
    kinds.extend(frozen.map(Trouble::Freeze));
    let cut = [Part::Router, Part::AgentWorker, Part::RiskGuard, Part::Ledger];
    kinds.extend(cut.map(|part| Trouble::BusWire(part, Traffic::Silent)));
    kinds.extend([
        Trouble::BusWire(Part::AgentWorker, Traffic::Deaf),
        Trouble::BusWire(Part::RiskGuard, Traffic::Mute),
        Trouble::BusWire(Part::Ledger, Traffic::Cut),
        Trouble::BusWire(Part::RiskGuard, Traffic::Late),
        Trouble::DatabaseWire(Traffic::Late),
        Trouble::DatabaseWire(Traffic::Silent),
        Trouble::DatabaseWire(Traffic::Cut),
        Trouble::KillServer(Server::Nats),
        Trouble::KillServer(Server::Postgres),
        Trouble::KillServer(Server::Valkey),
        Trouble::FreezeServer(Server::Nats),
        Trouble::FreezeServer(Server::Postgres),
        Trouble::FreezeServer(Server::Valkey),
        Trouble::WipeBus,
        Trouble::DeliverAgain,
        Trouble::FillDisk(Server::Nats),
        Trouble::FillDisk(Server::Postgres),
    ]);
    let ahead = [Part::RiskGuard, Part::Ledger, Part::AgentWorker].map(|part| Trouble::ClockJump(part, Jump::Ahead));
    let back = [Part::RiskGuard, Part::Ledger].map(|part| Trouble::ClockJump(part, Jump::Back));
    kinds.extend(ahead.into_iter().chain(back));
    kinds.retain(|kind| kind.to_string().contains(only));
    let is_possible = |kind: &Trouble| clocks.can_jump() || !matches!(kind, Trouble::ClockJump(..));
    kinds.into_iter().partition(is_possible)
}

/// Troubles for `length`, one `every` so often: each kind once by chance before any comes again.
pub(super) fn schedule(seed: u64, (length, every): (Duration, Duration), kinds: &[Trouble]) -> Vec<Fault> {
    let mut dice = Dice::new(seed, "faults");
    let mut bag: Vec<Trouble> = Vec::new();
    let mut faults = Vec::new();
    let mut at = Duration::ZERO;
    while at + every <= length {
        if bag.is_empty() {
            bag.extend_from_slice(kinds);
        }
        let count = u64::try_from(bag.len()).unwrap_or(1);
        let trouble = bag.swap_remove(usize::try_from(dice.below(count)).unwrap_or(0));
        // A fifth of the pause at most, so that there is time to recover.
        let longest = u64::try_from(every.as_millis() / 5).unwrap_or(u64::MAX).clamp(301, 10_000);
        let lasts = Duration::from_millis(300 + dice.below(longest - 300));
        faults.push(Fault { at, lasts, trouble });
        at += every;
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_plays_the_same_faults_and_each_kind_before_any_twice() {
        let (kinds, _) = kinds(&Clocks::default(), "");
        let minute = Duration::from_secs(60);
        let hour = |seed| schedule(seed, (60 * minute, minute), &kinds);
        assert_eq!(hour(7), hour(7));
        assert_ne!(hour(7), hour(8));
        let faults = hour(7);
        assert_eq!(faults.len(), 60);
        let first: Vec<String> = faults.iter().take(kinds.len()).map(|fault| fault.trouble.to_string()).collect();
        let different: std::collections::BTreeSet<_> = first.iter().collect();
        assert_eq!(different.len(), kinds.len(), "{first:?}");
        assert!(faults.iter().all(|fault| (300..=10_000).contains(&fault.lasts.as_millis())));
        assert!(faults.windows(2).all(|pair| pair[1].at - pair[0].at == minute));
    }

    #[test]
    fn faults_are_chosen_by_their_text() {
        let only = |text: &str| super::kinds(&Clocks::default(), text).0.len();
        assert_eq!((only("wipe"), only("ledger"), only("disk"), only("clock"), only("nonsense")), (1, 7, 2, 0, 0));
        let (_, impossible) = super::kinds(&Clocks::default(), "");
        assert_eq!(impossible.len(), 5, "clocks jump only in builds that read the file");
    }
}
