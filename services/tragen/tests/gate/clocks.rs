//! Wall clocks that jump: leases are measured on another clock, what has a time is refused
//! cleanly while clocks disagree, and everything goes on when they agree again.

use crate::{
    gone::say,
    orders,
    workers::{Worker, request_for},
    world::World,
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tragen_bus::Stream;

const HOUR_MICROS: i64 = 3_600_000_000;
/// Longer than any lease.
const OFF_FOR: Duration = Duration::from_secs(3);
/// A worker's lease, and the time to end what it was doing.
const LEASE: Duration = Duration::from_millis(1_300);

const FILLED: &str = "TRADE_STATUS_FILLED";
const DENIED: &str = "TRADE_STATUS_DENIED";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_guard_whose_clock_jumps_keeps_its_lease_and_goes_on_when_it_is_right_again() {
    let mut world = World::start().await;
    for hours in [1, -1, 24, -24] {
        world.leader().jump(hours * HOUR_MICROS);
        let (before, started) = (world.proposed(), Instant::now());
        while started.elapsed() < OFF_FOR {
            world.load(5).await;
        }
        world.all_answered().await;
        // Ahead every proposal is too late; behind every quote is from the future.
        assert_eq!(world.ends_since(before), BTreeSet::from([DENIED]), "{hours} hours");
        world.leader().jump(0);
        let before = world.proposed();
        world.load(20).await;
        world.all_answered().await;
        assert_eq!(world.ends_since(before), BTreeSet::from([FILLED]), "{hours} hours and back");
        say(&format!("{hours} hours and back: refused, then filled"));
    }
    assert!(!world.leader().said().contains("leads no more"), "{}", world.leader().said());
    world.audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_whose_clock_jumps_keeps_its_lease_and_no_longer_than_it_lasts() {
    let mut world = World::start().await;
    let worker = Worker::start(&world).await;
    for (hours, expected) in [(1, FILLED), (-1, DENIED)] {
        worker.process.jump(hours * HOUR_MICROS);
        let before = world.proposed();
        // Longer than the lease: it is renewed, so requests are taken all the time.
        request_for(&mut world, OFF_FOR).await;
        world.all_answered().await;
        assert_eq!(world.ends_since(before), BTreeSet::from([expected]), "{hours} hours");
        worker.process.jump(0);
    }
    // With the guards silent no clock that is set back makes the lease longer.
    world.leader().freeze();
    world.standby().freeze();
    worker.process.jump(-HOUR_MICROS);
    sleep(LEASE).await;
    let before = world.bus.last_sequence(Stream::Proposals).await.expect("a stream");
    let asked = orders::request(&world.bus, 0, 20).await;
    world.expect(asked);
    sleep(LEASE).await;
    let after = world.bus.last_sequence(Stream::Proposals).await.expect("a stream");
    assert_eq!(after, before, "it has proposed without a lease");
    worker.process.jump(0);
    world.wake().await;
    world.all_answered().await;
    world.audit().await;
}
