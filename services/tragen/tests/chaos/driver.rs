//! Guard and client in one: sends the script to the ledger, follows what it
//! tells, and writes down both. A closed loop: so many steps are open at a time.

mod bystanders;
mod deposits;
mod follower;
mod reports;

use crate::{
    others::Sample,
    record::{Line, Record},
    script::{Script, Step, What},
    servers::{LOOK_EVERY, PATIENCE},
    wire::{self, Told},
};
use bystanders::Bystanders;
use futures::FutureExt as _;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{sync::Notify, task::JoinHandle, time::sleep};
use tragen_bus::Bus;
use tragen_contracts::v1;

pub(crate) use follower::{Message, everything_told};

/// Steps that wait for another one.
const BLOCKED_MAX: usize = 1_024;
/// Steps that may be opened beyond the window after a fault, to see how soon new ones get through.
const PROBES: usize = 16;
/// How often a step is opened.
const OPEN_EVERY: Duration = Duration::from_millis(2);
/// With a larger window, steps are opened as fast as possible.
const PACED_MAX: usize = 128;
/// Tasks that publish at the same time, so that messages overtake each other.
const PUBLISHERS: usize = 3;

/// How reports reach the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manners {
    /// How often every report is sent.
    pub(crate) copies: usize,
    /// Whether what waits to be sent is shuffled.
    pub(crate) is_shuffled: bool,
}

/// The one way it should be.
pub(crate) const ORDERLY: Manners = Manners { copies: 1, is_shuffled: false };

/// A step that is not done.
#[derive(Debug)]
struct Open {
    step: Step,
    opened: Instant,
}

/// Everything that changes.
#[derive(Debug)]
struct State {
    script: Script,
    manners: Manners,
    /// Steps that may be open; none is opened when it is 0.
    window: usize,
    open: BTreeMap<usize, Open>,
    /// Open steps by the id under which they are booked.
    by_id: HashMap<String, Vec<usize>>,
    blocked: VecDeque<Step>,
    done: HashSet<usize>,
    /// Steps to be published, by number.
    unsent: VecDeque<usize>,
    /// Messages on their way to the bus.
    sending: usize,
    /// Every step that was published, for repeats.
    sent: BTreeMap<usize, Step>,
    executions_seen: HashMap<String, BTreeSet<String>>,
    settled: BTreeSet<String>,
    /// Bumped when the bus may have lost something.
    life: u64,
    healed: Option<Instant>,
    /// How long after that the first new trade was acknowledged, by shard.
    recovered: BTreeMap<u16, Duration>,
    /// Refusals of deposits by canonical code; 4 is no answer at all.
    refusals: BTreeMap<i32, usize>,
    bystanders: Bystanders,
    is_over: bool,
}

/// What the tasks share.
#[derive(Debug)]
struct Shared {
    bus: Bus,
    client: async_nats::Client,
    record: Arc<Record>,
    state: Mutex<State>,
    more_to_send: Notify,
}

/// Sends and follows until it is dropped.
#[derive(Debug)]
pub(crate) struct Driver {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Driver {
    /// Sends nothing yet.
    pub(crate) fn new(bus: Bus, client: async_nats::Client, script: Script, record: Arc<Record>) -> Self {
        let state = State {
            script,
            manners: ORDERLY,
            window: 0,
            open: BTreeMap::new(),
            by_id: HashMap::new(),
            blocked: VecDeque::new(),
            done: HashSet::new(),
            unsent: VecDeque::new(),
            sending: 0,
            sent: BTreeMap::new(),
            executions_seen: HashMap::new(),
            settled: BTreeSet::new(),
            life: 0,
            healed: None,
            recovered: BTreeMap::new(),
            refusals: BTreeMap::new(),
            bystanders: Bystanders::default(),
            is_over: false,
        };
        let shared = Arc::new(Shared { bus, client, record, state: Mutex::new(state), more_to_send: Notify::new() });
        let mut tasks =
            vec![tokio::spawn(open_steps(Arc::clone(&shared))), tokio::spawn(follower::follow(Arc::clone(&shared)))];
        tasks.push(tokio::spawn(bystanders::deposit(Arc::clone(&shared))));
        tasks.extend((0..PUBLISHERS).map(|_| tokio::spawn(reports::publish(Arc::clone(&shared)))));
        Self { shared, tasks }
    }

    /// Gives every account its first money.
    pub(crate) async fn fund(&self) {
        let steps = self.shared.state().script.funding();
        steps.into_iter().for_each(|step| open(&self.shared, step));
        self.quiet(PATIENCE).await.expect("funded accounts");
    }

    /// Keeps `window` steps open from now on.
    pub(crate) fn send(&self, window: usize) {
        self.shared.state().window = window;
    }

    /// How reports reach the bus from now on.
    pub(crate) fn behave(&self, manners: Manners) {
        self.shared.state().manners = manners;
    }

    /// Lets the current market be decided.
    pub(crate) fn decide_market(&self) {
        self.shared.state().script.decide_market();
    }

    /// Steps that are done.
    pub(crate) fn done(&self) -> usize {
        self.shared.state().done.len()
    }

    /// Waits until `more` steps are done.
    pub(crate) async fn progress(&self, more: usize, within: Duration) -> Result<(), String> {
        let enough = self.done() + more;
        wait_for(within, || self.done() >= enough).await.map_err(|()| {
            format!("only {} of {more} more steps are done within {within:?}", self.done() + more - enough)
        })
    }

    /// From now on the first acknowledged trade counts that is sent from now on.
    pub(crate) fn heal(&self) {
        let mut state = self.shared.state();
        state.healed = Some(Instant::now());
        state.recovered.clear();
    }

    /// How long it took to the first new trade after [`Driver::heal`], on `shard` or on any.
    pub(crate) async fn recovered(&self, shard: Option<u16>, within: Duration) -> Result<Duration, String> {
        let first = || match (shard, &self.shared.state().recovered) {
            (Some(shard), recovered) => recovered.get(&shard).copied(),
            (None, recovered) => recovered.values().min().copied(),
        };
        let waited = wait_for(within, || first().is_some()).await;
        waited.map_err(|()| format!("no new trade was acknowledged within {within:?}"))?;
        Ok(first().unwrap_or(within))
    }

    /// Opens nothing more and waits until all is done; what is open after `within` is told by id.
    pub(crate) async fn quiet(&self, within: Duration) -> Result<(), Vec<String>> {
        self.send(0);
        let is_quiet = || {
            let state = self.shared.state();
            state.open.is_empty() && state.blocked.is_empty() && state.unsent.is_empty() && state.sending == 0
        };
        wait_for(within, is_quiet).await.map_err(|()| {
            let state = self.shared.state();
            let open = state.open.values().map(|open| format!("{:?}", open.step));
            open.collect()
        })
    }

    /// Publishes again what may have been lost with the bus: what is not done, and
    /// every decision about a market. Facts are read from the beginning.
    pub(crate) fn bus_has_lost(&self) {
        let mut state = self.shared.state();
        state.life += 1;
        let is_decision = |step: &Step| matches!(step.what, What::Settlement { .. });
        let decided: Vec<_> = state.sent.values().filter(|step| is_decision(step)).map(|step| step.number).collect();
        let is_report = |open: &&Open| !matches!(open.step.what, What::Deposit { .. });
        let again: Vec<_> = state.open.values().filter(is_report).map(|open| open.step.number).collect();
        state.unsent.extend(decided.into_iter().chain(again));
        drop(state);
        self.shared.more_to_send.notify_waiters();
    }

    /// Publishes every report of the past once more, in `order`, and waits until the bus has them.
    pub(crate) async fn repeat(&self, order: impl FnOnce(&mut Vec<usize>)) {
        let mut all: Vec<_> = self.shared.state().sent.keys().copied().collect();
        order(&mut all);
        self.shared.state().unsent.extend(all);
        self.shared.more_to_send.notify_waiters();
        self.quiet(PATIENCE).await.expect("all is on the bus");
    }

    /// Markets that are decided.
    pub(crate) fn settled(&self) -> Vec<String> {
        self.shared.state().settled.iter().cloned().collect()
    }

    /// Asks for `count` accounts at once, and counts the answers by canonical code: 0 is the account, 4 no answer.
    pub(crate) async fn ask_for_accounts(&self, count: usize) -> BTreeMap<i32, usize> {
        let bus = &self.shared.bus;
        let asking = (0..count).map(|number| deposits::account(bus, number));
        let mut answers = BTreeMap::new();
        for code in futures::future::join_all(asking).await {
            *answers.entry(code).or_default() += 1;
        }
        answers
    }

    /// From now on each of these accounts, one in each shard, deposits again and again while there is load.
    pub(crate) fn watch(&self, accounts: BTreeMap<u16, String>) {
        self.shared.state().bystanders = Bystanders::of(accounts);
    }

    /// Whether somebody does.
    pub(crate) fn is_watching(&self) -> bool {
        self.shared.state().bystanders.are_there()
    }

    /// How long that took so far; those who wait in shards that are not `hit` are waited for.
    pub(crate) async fn watched(&self, hit: &BTreeSet<u16>) -> Vec<Sample> {
        let window = std::mem::take(&mut self.shared.state().window);
        let is_waiting = || self.shared.state().bystanders.is_waiting_besides(|shard| hit.contains(&shard));
        // What takes longer than that is slow anyhow, and is told with the steps that are not answered.
        let _ = wait_for(PATIENCE, || !is_waiting()).await;
        let mut state = self.shared.state();
        state.window = window;
        state.bystanders.samples.clone()
    }

    /// Refusals of deposits by canonical code.
    pub(crate) fn refusals(&self) -> BTreeMap<i32, usize> {
        self.shared.state().refusals.clone()
    }
}

/// Looks at `condition` until it holds.
pub(crate) async fn wait_for(within: Duration, mut condition: impl FnMut() -> bool) -> Result<(), ()> {
    let started = Instant::now();
    while !condition() {
        if started.elapsed() > within {
            return Err(());
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fact was seen, with the executions it tells of.
    fn told(&self, shard: u16, sequence: i64, told: Told, executions: Vec<String>) {
        let mut state = self.state();
        let (id, status) = match &told {
            Told::Trade { trade_id, status, .. } => (trade_id.clone(), *status),
            Told::Cash { trade_id, .. } => (trade_id.clone(), 0),
            Told::Settled { .. } => (String::new(), 0),
        };
        // 0: another shard has told it under a number of its own, before the account came here with its slot.
        if sequence > 0 {
            self.record.add(&Line::Told { at_micros: self.record.now(), shard, sequence, told });
        }
        state.executions_seen.entry(id.clone()).or_default().extend(executions);
        let candidates = state.by_id.get(&id).cloned().unwrap_or_default();
        for number in candidates {
            if state.open.get(&number).is_some_and(|open| is_done(&open.step, status, &state.executions_seen[&id])) {
                state.close(number, Some(shard));
            }
        }
    }
}

/// Whether the fact of its trade shows that `step` is booked.
fn is_done(step: &Step, status: i32, executions: &BTreeSet<String>) -> bool {
    match &step.what {
        What::Trade(report) if report.legs.is_empty() => {
            let is_working = [v1::TradeStatus::Working, v1::TradeStatus::Pending].map(i32::from).contains(&status);
            !is_working
        }
        What::Trade(report) => report.legs.iter().all(|leg| executions.contains(&leg.execution_id)),
        What::Deposit { .. } => false,
        What::Withdrawal { .. }
        | What::Sending { .. }
        | What::Adjustment { .. }
        | What::Correction { .. }
        | What::Settlement { .. } => true,
    }
}

impl State {
    /// The step is done; on `shard`, if a fact has told so.
    fn close(&mut self, number: usize, shard: Option<u16>) {
        let Some(open) = self.open.remove(&number) else { return };
        self.done.insert(number);
        let id = wire::id_of(&open.step);
        if let Some(numbers) = self.by_id.get_mut(&id) {
            numbers.retain(|other| *other != number);
        }
        let is_new = self.healed.is_some_and(|healed| open.opened >= healed);
        if let (true, Some(shard), What::Trade(_), Some(healed)) = (is_new, shard, &open.step.what, self.healed) {
            self.recovered.entry(shard).or_insert_with(|| healed.elapsed());
        }
    }

    /// The next step that may be opened.
    fn next(&mut self) -> Option<Step> {
        let probes = if self.healed.is_some() { PROBES } else { 0 };
        let is_free = |state: &Self, step: &Step| step.needs.is_none_or(|needed| state.done.contains(&needed));
        if let Some(place) = (0..self.blocked.len()).find(|place| is_free(self, &self.blocked[*place])) {
            return self.blocked.remove(place);
        }
        while self.window > 0 && self.open.len() < self.window + probes && self.blocked.len() < BLOCKED_MAX {
            let step = self.script.next();
            if is_free(self, &step) {
                return Some(step);
            }
            self.blocked.push_back(step);
        }
        None
    }
}

/// Opens steps as others are done.
async fn open_steps(shared: Arc<Shared>) {
    loop {
        let next = shared.state().next();
        let is_paced = next.is_none() || shared.state().window <= PACED_MAX;
        if let Some(step) = next {
            open(&shared, step);
        }
        if is_paced {
            // A few hundred steps a second: enough for full batches, and the machine is not busy with the load alone.
            sleep(OPEN_EVERY).await;
        }
    }
}

/// Writes the step down and sends it.
fn open(shared: &Arc<Shared>, step: Step) {
    let (id, hash) = (wire::id_of(&step), wire::hash_of(&step));
    shared.record.add(&Line::Sent { at_micros: shared.record.now(), id: id.clone(), hash, step: step.clone() });
    let mut state = shared.state();
    let number = step.number;
    state.by_id.entry(id).or_default().push(number);
    state.open.insert(number, Open { step: step.clone(), opened: Instant::now() });
    match &step.what {
        What::Deposit { amount } => {
            let asking = deposits::ask(Arc::clone(shared), step.clone(), *amount);
            tokio::spawn(asking.boxed());
        }
        What::Trade(_)
        | What::Withdrawal { .. }
        | What::Sending { .. }
        | What::Adjustment { .. }
        | What::Correction { .. }
        | What::Settlement { .. } => {
            state.sent.insert(number, step);
            let copies = state.manners.copies;
            state.unsent.extend(std::iter::repeat_n(number, copies));
            drop(state);
            shared.more_to_send.notify_one();
        }
    }
}
