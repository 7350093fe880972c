//! A leader that is killed, or frozen and deposed, and what comes after it.

use crate::world::World;
use std::{io::Write as _, time::Duration};

/// Trading goes on so soon after a leader is gone. Judged is the median of some, because one alone may fall into
/// a moment in which the machine does something else.
const FAIL_OVER_MAX: Duration = Duration::from_secs(3);
/// How often a guard is killed at each place.
const ROUNDS: u64 = 2;
/// Where a guard may die.
const PLACES: [&str; 4] =
    ["before_journal", "after_journal_before_send", "after_send_before_report", "after_report_before_closed"];

/// Says it even when the test succeeds.
pub(crate) fn say(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "{text}");
}

fn is_soon(mut pauses: Vec<Duration>) {
    pauses.sort();
    let median = pauses[(pauses.len() - 1) / 2];
    assert!(median <= FAIL_OVER_MAX, "{pauses:?} without a leader");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_guard_that_is_killed_at_any_place_loses_and_doubles_nothing() {
    let mut world = World::start().await;
    let mut pauses = Vec::new();
    for place in PLACES {
        for round in 0..ROUNDS {
            // Not always the first pass, so that something is under way.
            world.leader().arm(place, 3 + 4 * round, "kill");
            world.load(40).await;
            let gone = world.leader_is_gone().await;
            let pause = world.fail_over(gone).await;
            say(&format!("{place}: trading went on {} ms after the kill", pause.as_millis()));
            pauses.push(pause);
            world.restart_as_standby().await;
        }
    }
    world.load(40).await;
    world.audit().await;
    is_soon(pauses);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_leader_that_was_frozen_sends_nothing_when_it_wakes_up() {
    let mut world = World::start().await;
    let mut pauses = Vec::new();
    // Frozen with approvals that are journaled and not sent; then in the middle of anything.
    for place in [Some("after_journal_before_send"), None] {
        match place {
            Some(place) => world.leader().arm(place, 3, "stop"),
            None => world.leader().freeze(),
        }
        world.load(20).await;
        let frozen = world.leader_is_frozen().await;
        let pause = world.fail_over(frozen).await;
        say(&format!("frozen: trading went on after {} ms", pause.as_millis()));
        world.all_answered().await;
        let before = world.executed().await;
        world.deposed_wakes_up().await;
        assert_eq!(world.executed().await, before, "the deposed leader has sent something");
        pauses.push(pause);
    }
    is_soon(pauses);
    world.load(20).await;
    world.audit().await;
}
