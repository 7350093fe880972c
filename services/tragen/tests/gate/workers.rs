//! A worker that is parted from the bus while everything is halted, in every way a wire can
//! fail: it proposes nothing that is executed, and what it hears when it is back does not move
//! it to anything older.

use crate::{
    audit::Told,
    gone::say,
    orders,
    process::{LOOK_EVERY, PATIENCE, Process},
    proxy::{Proxy, Traffic},
    world::World,
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tragen_contracts::v1::{self, guard_answer::Answer, guard_question::Question};

/// Requests in one message.
const AT_ONCE: usize = 5;
/// How long a worker is asked while it is parted: longer than its lease.
const ASKED_FOR: Duration = Duration::from_millis(1_500);
/// So late an answer comes over a wire that is too slow for a lease.
const LATE: Duration = Duration::from_millis(1_200);

/// How long a worker is parted or frozen: as long as it is asked, or as many seconds as `TRAGEN_PARTED_SECS` says.
pub(crate) fn parted_for() -> Duration {
    let told = std::env::var("TRAGEN_PARTED_SECS").ok();
    told.map_or(ASKED_FOR, |secs| Duration::from_secs(secs.parse().expect("TRAGEN_PARTED_SECS is a number")))
}

/// A worker on a wire of its own.
pub(crate) struct Worker {
    pub(crate) process: Process,
    wire: Proxy,
}

impl Worker {
    pub(crate) async fn start(world: &World) -> Self {
        let (wire, url) = world.wire().await;
        Self { process: world.start_service("agent-worker", &url).await, wire }
    }
}

/// Asks for trades until `time` is over.
pub(crate) async fn request_for(world: &mut World, time: Duration) -> Vec<String> {
    let (started, mut asked) = (Instant::now(), Vec::new());
    while started.elapsed() < time {
        asked.extend(orders::request(&world.bus, asked.len(), AT_ONCE).await);
        sleep(LOOK_EVERY).await;
    }
    world.expect(asked.iter().cloned());
    asked
}

pub(crate) async fn halt(world: &World) -> v1::HaltResponse {
    let request = v1::HaltRequest { scope: None, reason: "parted".to_owned(), wait_ms: 200 };
    let Answer::Halt(halted) = world.ask_as("olga", Question::Halt(request)).await else { panic!("refused") };
    halted
}

/// Two people, from HALTED to ACTIVE.
pub(crate) async fn resume(world: &World) {
    for _ in 0..2 {
        let request = v1::ProposeResumeRequest { reason: "over".to_owned(), ..v1::ProposeResumeRequest::default() };
        let proposed = world.ask_as("rita", Question::ProposeResume(request)).await;
        let Answer::ProposeResume(proposal) = proposed else { panic!("{proposed:?}") };
        let confirm = v1::ConfirmResumeRequest { token: proposal.token, evidence_hash: proposal.evidence_hash };
        let confirmed = world.ask_as("sam", Question::ConfirmResume(confirm)).await;
        assert!(matches!(confirmed, Answer::ConfirmResume(_)), "{confirmed:?}");
    }
}

/// Waits until the worker is known to have applied the newest epoch.
pub(crate) async fn confirmed(world: &World) {
    let started = Instant::now();
    loop {
        let Answer::State(state) = world.ask(Question::GetState(v1::GetRiskStateRequest {})).await else {
            panic!("refused")
        };
        if !state.worker_states.is_empty() && state.worker_states.iter().all(|own| own.epoch >= state.epoch) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{:?} at epoch {}", state.worker_states, state.epoch);
        sleep(LOOK_EVERY).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_halt_holds_for_a_worker_that_is_parted_and_nothing_old_is_applied_when_it_is_back() {
    let mut world = World::start().await;
    let worker = Worker::start(&world).await;
    for traffic in [Traffic::Cut, Traffic::Silent, Traffic::Deaf, Traffic::Mute, Traffic::Late(LATE)] {
        let before = world.proposed();
        request_for(&mut world, Duration::from_millis(200)).await;
        world.all_answered().await;
        assert_eq!(world.ends_since(before), BTreeSet::from(["TRADE_STATUS_FILLED"]), "{traffic:?}: it works");

        // In hand, on their way and waiting when the wire fails and everything is halted.
        let underway = request_for(&mut world, Duration::from_millis(50)).await;
        worker.wire.set(traffic);
        halt(&world).await;
        resume(&world).await;
        // Old by the time the worker hears of it: the second halt holds.
        let halted = halt(&world).await;
        let told = Told::read(&world.bus).await;
        let since = world.executed().await;
        let parted_at = Instant::now();
        let late = request_for(&mut world, ASKED_FOR).await;
        sleep(parted_for().saturating_sub(parted_at.elapsed())).await;
        assert_eq!(world.executed().await, since, "{traffic:?}: executed after the halt");
        worker.wire.set(Traffic::Flows);
        confirmed(&world).await;
        world.all_answered().await;
        assert_eq!(world.executed().await, since, "{traffic:?}: executed when the wire was whole again");
        let after = Told::read(&world.bus).await;
        assert_eq!(after.approvals, told.approvals, "{traffic:?}: approved after the halt");
        assert_eq!(halted.confirmed_workers + i32::try_from(halted.missing_workers.len()).expect("few"), 1);
        say(&format!(
            "{traffic:?}: {} of {} missing at the halt; {} requests under way, {} during it, none executed",
            halted.missing_workers.len(),
            halted.total_workers,
            underway.len(),
            late.len(),
        ));
        resume(&world).await;
        confirmed(&world).await;
    }
    request_for(&mut world, Duration::from_millis(200)).await;
    world.audit().await;
}
