//! A halt that finds a worker frozen, and one that is asked for while the bus is down.

use crate::{
    audit::Told,
    gone::say,
    process::{LOOK_EVERY, PATIENCE, Process},
    workers::{Worker, confirmed, halt, parted_for, request_for, resume},
    world::World,
};
use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How long the bus is down after somebody has asked for a halt.
const DOWN_FOR: Duration = Duration::from_secs(2);
const DENIED: &str = "TRADE_STATUS_DENIED";
const FILLED: &str = "TRADE_STATUS_FILLED";

/// Waits until everything that was proposed is decided.
async fn decided(world: &World) -> Told {
    let mut before = Told::read(&world.bus).await;
    loop {
        sleep(LOOK_EVERY * 20).await;
        let now = Told::read(&world.bus).await;
        if now.orders_proposed == before.orders_proposed {
            return now;
        }
        before = now;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_is_frozen_when_everything_is_halted_proposes_nothing_when_it_goes_on() {
    let mut world = World::start().await;
    let mut worker = Worker::start(&world).await;
    // Halted while it is frozen, and halted and resumed and halted again: what it held is old then.
    for halts in [1, 2] {
        let before = world.proposed();
        request_for(&mut world, Duration::from_millis(200)).await;
        world.all_answered().await;
        assert_eq!(world.ends_since(before), BTreeSet::from([FILLED]), "it works");

        let underway = request_for(&mut world, Duration::from_millis(50)).await;
        worker.process.freeze();
        let frozen_at = Instant::now();
        for number in 0..halts {
            if number > 0 {
                resume(&world).await;
            }
            let halted = halt(&world).await;
            assert_eq!(halted.confirmed_workers, 0, "a frozen worker confirms nothing: {halted:?}");
        }
        let told = decided(&world).await;
        let since = world.executed().await;
        let late = request_for(&mut world, Duration::from_millis(100)).await;
        sleep(parted_for().saturating_sub(frozen_at.elapsed())).await;
        worker.process.wake();
        confirmed(&world).await;
        world.all_answered().await;
        assert_eq!(world.executed().await, since, "executed after the halt");
        let after = decided(&world).await;
        assert_eq!(after.approvals, told.approvals, "approved after the halt");
        // What was in its socket already may still come, and is denied; nothing else does.
        let new: Vec<&String> = after.orders_proposed.difference(&told.orders_proposed).collect();
        assert!(new.iter().all(|trade| underway.contains(trade)), "proposed after the halt: {new:?}");
        say(&format!(
            "frozen for {} ms over {halts} halts: {} requests under way, {} of them proposed later, {} during it, none executed",
            frozen_at.elapsed().as_millis(),
            underway.len(),
            new.len(),
            late.len(),
        ));
        resume(&world).await;
        confirmed(&world).await;
    }
    request_for(&mut world, Duration::from_millis(200)).await;
    world.audit().await;
}

/// `tragen risk halt`, and what it says on stderr line by line.
struct Asking {
    child: Child,
    said: mpsc::Receiver<String>,
}

impl Asking {
    fn start(router: &Process, token: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tragen"))
            .args(["risk", "halt", "--reason", "the bus is down", "--patience-secs", "60"])
            .args(["--endpoint", &router.grpc(), "--token", token])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let (sender, said) = mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        Self { child, said }
    }

    async fn says(&self, words: &str) {
        let started = Instant::now();
        while !self.said.try_iter().any(|line| line.contains(words)) {
            assert!(started.elapsed() < PATIENCE, "it does not say {words:?}");
            sleep(LOOK_EVERY).await;
        }
    }

    async fn exit_code(&mut self) -> i32 {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code().expect("a code");
            }
            assert!(started.elapsed() < PATIENCE, "it does not end");
            sleep(LOOK_EVERY).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_halt_that_is_asked_for_while_the_bus_is_down_holds_as_soon_as_there_is_one() {
    let mut world = World::start().await;
    let _worker = Worker::start(&world).await;
    let router = world.router().await;
    let token = world.token("olga", "operator");
    let before = world.proposed();
    request_for(&mut world, Duration::from_millis(200)).await;
    world.all_answered().await;
    assert_eq!(world.ends_since(before), BTreeSet::from([FILLED]), "it works");

    world.kill_bus();
    let mut asking = Asking::start(&router, &token);
    asking.says("NOT HALTED YET").await;
    sleep(DOWN_FOR).await;
    world.restart_bus().await;
    let back = Instant::now();
    let code = asking.exit_code().await;
    // 4: the gate is closed, and a worker that is only just back has not said that it has heard.
    assert!(code == 0 || code == 4, "it ended with {code}");
    say(&format!("halted {} ms after the bus was back, exit code {code}", back.elapsed().as_millis()));
    let since = world.executed().await;
    let before = world.proposed();
    request_for(&mut world, Duration::from_millis(200)).await;
    world.all_answered().await;
    assert_eq!(world.executed().await, since, "executed after the halt");
    assert_eq!(world.ends_since(before), BTreeSet::from([DENIED]));
    resume(&world).await;
    confirmed(&world).await;
    let before = world.proposed();
    request_for(&mut world, Duration::from_millis(200)).await;
    world.all_answered().await;
    assert_eq!(world.ends_since(before), BTreeSet::from([FILLED]), "it works again");
    world.audit().await;
}
