//! What a run plays: its seed, its length, and the PostgreSQL server that
//! scenarios share which do not hurt it.

use crate::{servers::Postgres, world::RECOVERY_MAX};
use std::{env, time::Duration};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// What is played.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Everything that is left to chance follows from it.
    pub(crate) seed: u64,
    /// Faults of a kind in a long run; `None` for the short one.
    rounds: Option<usize>,
    /// Parts of the names of the scenarios that are played, separated by `|`; all if empty.
    only: String,
}

/// Another process has taken over at the latest so long after an owner was lost.
pub(crate) const TAKEOVER_MAX: Duration = Duration::from_secs(3);
/// Set to keep logs, books and records of a run.
const KEEP: &str = "TRAGEN_CHAOS_KEEP";
/// The seed of the short run, unless another one is asked for: what is tested with every change should not change.
const SEED: u64 = 20_261;

impl Plan {
    /// As the environment says: `TRAGEN_CHAOS_SEED`, `TRAGEN_CHAOS_ROUNDS` and `TRAGEN_CHAOS_ONLY`.
    pub(crate) fn of_environment() -> Self {
        let number = |name| {
            env::var(name)
                .ok()
                .filter(|text| !text.is_empty())
                .map(|text: String| text.parse::<u64>().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
        };
        let rounds = number("TRAGEN_CHAOS_ROUNDS").map(|rounds| usize::try_from(rounds).expect("fits"));
        let seed = number("TRAGEN_CHAOS_SEED").unwrap_or(SEED);
        Self { seed, rounds, only: env::var("TRAGEN_CHAOS_ONLY").unwrap_or_default() }
    }

    /// Whether this is the long run.
    pub(crate) fn is_long(&self) -> bool {
        self.rounds.is_some()
    }

    /// How often a fault is made that the short run makes `short` times.
    pub(crate) fn rounds(&self, short: usize) -> usize {
        self.rounds.map_or(short, |rounds| rounds.max(short))
    }

    /// The same for a fault that is made in `kinds` ways in turn: a long run makes each of them so often.
    pub(crate) fn rounds_of(&self, kinds: usize, short: usize) -> usize {
        self.rounds.map_or(short, |rounds| rounds * kinds)
    }

    /// Scenarios that are played at the same time: most of what they do is waiting. A long run
    /// measures too, and plays one after the other.
    pub(crate) fn at_once(&self) -> usize {
        if self.is_long() { 1 } else { 3 }
    }

    /// How long a shard may be served by nobody when its owner was lost. Scenarios that are played at the
    /// same time share the processors: then only that trading goes on is asked for.
    pub(crate) fn takeover_max(&self) -> Duration {
        if self.is_long() { TAKEOVER_MAX } else { RECOVERY_MAX }
    }

    /// Whether the scenario is to be played.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.split('|').any(|part| name.contains(part.trim()))
    }
}

/// Where it is played.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) plan: Plan,
    keeps: bool,
    postgres: OnceCell<Postgres>,
    folder: TempDir,
}

impl Stage {
    /// Nothing is started yet.
    pub(crate) fn new(plan: Plan) -> Self {
        let keeps = env::var_os(KEEP).is_some();
        let folder = tempfile::Builder::new().prefix("chaos-").disable_cleanup(keeps).tempdir().expect("a folder");
        Self { plan, keeps, postgres: OnceCell::new(), folder }
    }

    /// A folder of one's own.
    pub(crate) fn folder(&self) -> TempDir {
        tempfile::Builder::new()
            .prefix("world-")
            .disable_cleanup(self.keeps)
            .tempdir_in(self.folder.path())
            .expect("a folder")
    }

    /// The server that nobody may hurt.
    pub(crate) async fn postgres(&self) -> &Postgres {
        self.postgres.get_or_init(|| Postgres::start(self.folder.path().join("postgres"))).await
    }
}

#[test]
fn a_long_run_makes_a_fault_so_often_in_each_of_its_ways() {
    let plan = |rounds| Plan { seed: 1, rounds, only: String::new() };
    assert_eq!((plan(None).rounds_of(5, 2), plan(Some(20)).rounds_of(5, 2)), (2, 100));
    assert_eq!((plan(None).rounds(3), plan(Some(20)).rounds(3), plan(Some(1)).rounds(3)), (3, 20, 3));
}
