//! Three workers share the bars, one is killed, and still every agent acts exactly once on every bar.

use super::{PATIENCE, order_of, rig};
use std::{
    collections::BTreeMap,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;
use tragen_agent_worker::Config;
use tragen_bus::{Bus, Consumer};
use tragen_host::{Lifecycle, trace::Spans};

const INSTRUMENTS: usize = 30;
const AGENTS: usize = 4;
const WORKERS: usize = 3;

/// A worker that can be killed: everything of it, its connection too, is in a runtime of its own. It takes what
/// `consumer` has for it.
pub(super) async fn worker(bus: &Bus, url: String, consumer: Consumer) -> Runtime {
    let before = pulls(bus, consumer).await;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.spawn(async move {
        let lifecycle = Lifecycle::new(10);
        let context = lifecycle.context("agent-worker", Spans::default());
        let bus = Bus::connect(&url, "agent-worker").await.expect("a connection");
        tragen_agent_worker::run(context, bus, Config::default()).await.expect("a started worker");
        lifecycle.run().await.expect("it is killed before it ends");
    });
    until("the worker takes what there is", async || pulls(bus, consumer).await > before).await;
    runtime
}

async fn pulls(bus: &Bus, consumer: Consumer) -> usize {
    bus.lag(consumer).await.expect("a consumer").pulls
}

pub(super) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_workers_bars_are_acted_on_by_the_others_and_none_twice() {
    let mut rig = rig(0).await;
    let instruments: Vec<String> = (0..INSTRUMENTS).map(|n| format!("I{n}")).collect();
    for instrument in &instruments {
        rig.world.put_instrument(instrument).await;
        rig.world.quiet_bars(instrument).await;
    }
    for agent in 0..AGENTS {
        rig.world.put_agent_on(&format!("a{agent}"), instruments.clone()).await;
    }
    // Nobody can act while the ledger does not answer, so what a worker takes stays in its hand.
    rig.world.is_ledger_alive.store(false, Ordering::SeqCst);
    let asked_for = rig.world.asked_for.clone();
    let in_hand = |count: usize| {
        let asked_for = asked_for.clone();
        until("every bar is in hand", async move || asked_for.lock().expect("not poisoned").len() == count)
    };
    let (url, bus) = (rig.server.url().to_owned(), rig.world.bus.clone());
    let (of_the_first, of_all) = instruments.split_at(INSTRUMENTS / 2);
    let dying = worker(&bus, url.clone(), Consumer::WorkerBars).await;
    for instrument in of_the_first {
        rig.world.falling_bar(instrument).await;
    }
    in_hand(of_the_first.len()).await;
    let mut others = Vec::new();
    for _ in 1..WORKERS {
        others.push(worker(&bus, url.clone(), Consumer::WorkerBars).await);
    }
    for instrument in of_all {
        rig.world.falling_bar(instrument).await;
    }
    in_hand(INSTRUMENTS).await;
    dying.shutdown_background();
    rig.world.is_ledger_alive.store(true, Ordering::SeqCst);

    let (started, mut first, mut late) = (Instant::now(), 0, 0);
    let mut orders = BTreeMap::<(String, String), usize>::new();
    while orders.len() < INSTRUMENTS * AGENTS {
        let proposals = rig.next(PATIENCE).await;
        assert!(!proposals.is_empty(), "{} of {} have acted", orders.len(), INSTRUMENTS * AGENTS);
        for proposal in proposals {
            let order = order_of(&proposal);
            let terms = order.terms.clone().expect("terms");
            *orders.entry((order.agent_id.clone(), terms.instrument_id)).or_default() += 1;
            // The bus gives a dead worker's bars away after two seconds, so those come late.
            *if started.elapsed() < Duration::from_millis(1_000) { &mut first } else { &mut late } += 1;
        }
    }
    let more = rig.next(Duration::from_secs(4)).await;
    assert!(more.is_empty(), "nothing twice: {more:?}");
    assert!(orders.values().all(|count| *count == 1), "{orders:?}");
    assert!(late >= of_the_first.len() * AGENTS, "{first} at once, {late} handed on");
    println!("{first} orders at once, {late} of the killed worker, all {} after {:?}", orders.len(), started.elapsed());
    for worker in others {
        worker.shutdown_background();
    }
    rig.stop().await;
}
