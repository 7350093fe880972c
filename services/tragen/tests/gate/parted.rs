//! A leader that is cut off from the bus, in every way a wire can fail.

use crate::{gone::say, proxy::Traffic, world::World};
use std::time::{Duration, Instant};

/// Trading goes on so soon after a leader is cut off.
const TAKE_OVER_MAX: Duration = Duration::from_secs(4);
/// So late an answer comes over a wire that is too slow to lead over.
const LATE: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_leader_that_is_cut_off_is_replaced_and_sends_nothing_when_it_is_back() {
    let mut world = World::start().await;
    let mut slowest = Duration::ZERO;
    for traffic in [Traffic::Cut, Traffic::Silent, Traffic::Deaf, Traffic::Mute, Traffic::Late(LATE)] {
        world.load(40).await;
        let parted = Instant::now();
        world.set_leaders_wire(traffic);
        let pause = world.fail_over(parted).await;
        say(&format!("{traffic:?}: trading went on after {} ms", pause.as_millis()));
        slowest = slowest.max(pause);
        world.load(20).await;
        world.all_answered().await;
        let before = world.executed().await;
        let healed = Instant::now();
        world.set_standbys_wire(Traffic::Flows);
        world.deposed_stands_by().await;
        say(&format!("{traffic:?}: the one before stood by after {} ms", healed.elapsed().as_millis()));
        assert_eq!(world.executed().await, before, "{traffic:?}: the deposed leader has sent something");
    }
    world.load(40).await;
    world.audit().await;
    assert!(slowest <= TAKE_OVER_MAX, "{slowest:?} without a leader");
}
