//! The wall clock, read here and nowhere else, and a clock that never jumps.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
#[cfg(debug_assertions)]
use std::{env, fs, sync::LazyLock};

/// Microseconds since the Unix epoch, UTC; 0 if the machine's clock is before 1970.
#[must_use]
pub fn now_micros() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX).saturating_add(jumped_micros())
}

/// How far this process shall find its wall clock off: the number in the file that
/// `TRAGEN_CLOCK_FILE` names, which may change at any time. Only in builds with debug
/// assertions, for proofs that a clock that jumps does no harm.
#[cfg(debug_assertions)]
fn jumped_micros() -> i64 {
    static FILE: LazyLock<Option<String>> = LazyLock::new(|| env::var("TRAGEN_CLOCK_FILE").ok());
    let jumped = FILE.as_ref().and_then(|path| fs::read_to_string(path).ok());
    jumped.and_then(|micros| micros.trim().parse().ok()).unwrap_or(0)
}

/// A release build has the machine's clock.
#[cfg(not(debug_assertions))]
const fn jumped_micros() -> i64 {
    0
}

/// Time since boot, also while suspended; never jumps. For leases.
#[must_use]
pub fn boot_time() -> Duration {
    let since_boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(
        u64::try_from(since_boot.tv_sec).unwrap_or_default(),
        u32::try_from(since_boot.tv_nsec).unwrap_or_default(),
    )
}

/// What is left until `deadline_micros` (0 for none), at most `cap`.
#[must_use]
pub fn time_left(deadline_micros: i64, cap: Duration) -> Duration {
    if deadline_micros == 0 {
        return cap;
    }
    let left = deadline_micros.saturating_sub(now_micros()).max(0);
    Duration::from_micros(left.unsigned_abs()).min(cap)
}
