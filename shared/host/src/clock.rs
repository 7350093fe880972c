//! The wall clock, read here and nowhere else, and a clock that never jumps.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch, UTC; 0 if the machine's clock is before 1970.
#[must_use]
pub fn now_micros() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
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
