//! I9: what those feel of a fault whom it does not concern. Their p99 in the windows of faults, each from its
//! beginning until everything trades again, is held against the p99 of all quiet times of the scenario.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// With fewer samples in a window nothing is said of it.
const SAMPLES_MIN: usize = 20;
/// By so much p99 may be slower.
const SLOWER_MAX: u32 = 2;
/// Never judged slow: unoptimized programs that sync every message and every commit, three servers and the load share
/// two processors.
const QUICK: Duration = Duration::from_millis(150);
/// After a window and before the next quiet time: queues empty.
const SETTLE: Duration = Duration::from_secs(1);

/// One thing that a bystander asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// The shard of his account.
    pub(crate) shard: u16,
    pub(crate) at: Instant,
    pub(crate) took: Duration,
}

/// A fault from its beginning until everything trades again.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
    /// The shards it concerns.
    pub(crate) hit: BTreeSet<u16>,
}

/// What bystanders felt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Felt {
    /// What they asked for in windows.
    pub(crate) samples: usize,
    pub(crate) p99: Duration,
    /// The p99 that is allowed.
    pub(crate) allowed: Duration,
}

impl Felt {
    /// Whether it is within what is allowed.
    pub(crate) fn is_kept(&self) -> bool {
        self.p99 <= self.allowed
    }
}

impl Window {
    fn has(&self, sample: &Sample) -> bool {
        sample.at >= self.from && sample.at < self.to
    }
}

/// What was felt in each of `windows` that has enough samples.
pub(crate) fn felt_in_each(samples: &[Sample], windows: &[Window]) -> Vec<Felt> {
    windows.iter().filter_map(|window| felt(samples, windows, std::slice::from_ref(window))).collect()
}

/// What was felt in all of `windows` together.
pub(crate) fn felt_in_all(samples: &[Sample], windows: &[Window]) -> Option<Felt> {
    felt(samples, windows, windows)
}

fn felt(samples: &[Sample], windows: &[Window], judged: &[Window]) -> Option<Felt> {
    let is_quiet =
        |sample: &&Sample| !windows.iter().any(|window| sample.at >= window.from && sample.at < window.to + SETTLE);
    let is_bystander =
        |sample: &&Sample| judged.iter().any(|window| window.has(sample) && !window.hit.contains(&sample.shard));
    let (_, usual) = p99(samples.iter().filter(is_quiet));
    let (samples, p99) = p99(samples.iter().filter(is_bystander));
    let allowed = (usual * SLOWER_MAX).max(QUICK);
    (samples >= SAMPLES_MIN).then_some(Felt { samples, p99, allowed })
}

fn p99<'a>(samples: impl Iterator<Item = &'a Sample>) -> (usize, Duration) {
    let mut took: Vec<Duration> = samples.map(|sample| sample.took).collect();
    took.sort_unstable();
    let place = (took.len() * 99).div_ceil(100).saturating_sub(1);
    (took.len(), took.get(place).copied().unwrap_or_default())
}

#[test]
fn only_who_is_not_concerned_is_held_against_quiet_times() {
    let begin = Instant::now();
    let at = |number: u32| begin + Duration::from_millis(20) * number;
    // 8 s of two shards; from 2 s to 4 s is the window, which concerns shard 1; until 5 s it settles.
    let window = Window { from: at(100), to: at(200), hit: BTreeSet::from([1]) };
    let check = |slow_ms: u64, every: u32| {
        let took = |shard: u16, number: u32| match number {
            100..200 if shard == 1 => 5_000,
            100..200 if number.is_multiple_of(every) => slow_ms,
            200..250 => 3_000,
            _ => 100,
        };
        let all = (0..400).flat_map(|number| [0, 1].map(|shard| (shard, number)));
        let sample =
            |(shard, number)| Sample { shard, at: at(number), took: Duration::from_millis(took(shard, number)) };
        let samples: Vec<Sample> = all.map(sample).collect();
        let felt = felt_in_all(&samples, std::slice::from_ref(&window)).expect("enough samples");
        assert_eq!((felt.samples, felt.allowed), (100, Duration::from_millis(200)));
        assert_eq!(felt_in_each(&samples, std::slice::from_ref(&window)), std::slice::from_ref(&felt));
        felt.is_kept()
    };
    assert!(check(200, 1), "twice the usual 100 ms");
    assert!(!check(201, 1));
    assert!(check(900, 100), "one of a hundred may be slow");
    assert!(!check(900, 50), "two of a hundred may not");
    assert_eq!(felt_in_all(&[], &[window]), None, "nobody asked for anything");
}
