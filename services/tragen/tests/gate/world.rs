//! A bus, a ledger and two guards on one venue, each with a wire of its own to the bus; one leads.

use crate::{
    audit::Told,
    gone::say,
    load,
    process::{LOOK_EVERY, PATIENCE, Process},
    proxy::{Proxy, Traffic},
};
use prost::Message as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::time::sleep;
use tragen_bus::{
    Ask, Bus, Follower, StartAt, Stream,
    server::{NatsServer, Sync, find_binary},
};
use tragen_contracts::v1;
use tragen_host::{Lifecycle, trace::Spans};

/// Between two messages of the load.
const LOAD_EVERY: Duration = Duration::from_millis(5);

/// Everything of one test.
pub(crate) struct World {
    guards: [Process; 2],
    leader: usize,
    /// Of each guard to the bus.
    wires: [Proxy; 2],
    reports: Follower,
    /// The newest status that was told of each trade.
    answered: BTreeMap<String, v1::TradeStatus>,
    proposed: Vec<String>,
    pub(crate) bus: Bus,
    _ledger: Process,
    _lifecycle: Lifecycle,
    nats: NatsServer,
    folder: TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        let binary = find_binary().expect("a nats-server");
        let nats = NatsServer::start(&binary, &folder.path().join("nats"), Sync::Always).await.expect("a bus");
        let bus = Bus::connect(nats.url(), "gate").await.expect("a connection");
        bus.apply(1_000).await.expect("streams");
        let path = |name: &str| folder.path().join(name);
        let data = path("data");
        std::fs::create_dir(&data).expect("a folder");
        let mut ledger = Process::start("ledger", nats.url(), &path("ledger"), &data);
        load::prepare(&bus).await;
        ledger.ready().await;
        let address = address(&nats);
        let wires = [Proxy::to(address).await, Proxy::to(address).await];
        let mut first = Process::start("risk-guard", &url(&wires[0]), &path("guard-0"), &data);
        first.ready().await;
        let second = Process::start("risk-guard", &url(&wires[1]), &path("guard-1"), &data);
        let lifecycle = Lifecycle::new(1);
        let context = lifecycle.context("gate", Spans::default());
        let reports = bus.follow(&context, Stream::Executions, "", StartAt::Now).await.expect("a stream");
        let mut world = Self {
            guards: [first, second],
            leader: 0,
            wires,
            reports,
            answered: BTreeMap::new(),
            proposed: Vec::new(),
            bus,
            _ledger: ledger,
            _lifecycle: lifecycle,
            nats,
            folder,
        };
        world.guards[1].says("stands by").await;
        world.load(5).await;
        world.all_answered().await;
        world
    }

    pub(crate) const fn leader(&self) -> &Process {
        &self.guards[self.leader]
    }

    /// The one that stands by.
    pub(crate) const fn standby(&self) -> &Process {
        &self.guards[1 - self.leader]
    }

    /// The leader's wire to the bus does this from now on.
    pub(crate) fn set_leaders_wire(&mut self, traffic: Traffic) {
        self.guards[self.leader].hear_from_now();
        self.wires[self.leader].set(traffic);
    }

    /// So does that of the one that does not lead.
    pub(crate) fn set_standbys_wire(&self, traffic: Traffic) {
        self.wires[1 - self.leader].set(traffic);
    }

    /// Starts another service, over `nats`.
    pub(crate) async fn start_service(&self, service: &str, nats: &str) -> Process {
        let mut process =
            Process::start(service, nats, &self.folder.path().join(service), &self.folder.path().join("data"));
        process.ready().await;
        process
    }

    /// The API.
    pub(crate) async fn router(&self) -> Process {
        self.start_service("router", self.nats.url()).await
    }

    /// What `account` shows to the API.
    pub(crate) fn token(&self, account: &str, role: &str) -> String {
        let data = self.folder.path().join("data");
        let data = data.to_str().expect("a path");
        self.run(&["token", "--data-dir", data, "--account", account, "--role", role]).trim().to_owned()
    }

    /// kill -9.
    pub(crate) fn kill_bus(&mut self) {
        self.nats.kill();
    }

    /// At the same address, with what it had stored. What it had in memory the services put in place again; the market
    /// is told once there is a stream for it.
    pub(crate) async fn restart_bus(&mut self) {
        self.nats.restart().await.expect("a bus");
        let started = Instant::now();
        while self.bus.last_sequence(Stream::Market).await.is_err() {
            assert!(started.elapsed() < PATIENCE, "the streams are not put in place");
            sleep(LOOK_EVERY).await;
        }
        load::tell_market(&self.bus).await;
    }

    /// A new wire to the bus.
    pub(crate) async fn wire(&self) -> (Proxy, String) {
        let proxy = Proxy::to(address(&self.nats)).await;
        let url = url(&proxy);
        (proxy, url)
    }

    /// Proposes `messages` times, some trades each.
    pub(crate) async fn load(&mut self, messages: usize) {
        for _ in 0..messages {
            let trades = load::propose(&self.bus, self.proposed.len()).await;
            self.proposed.extend(trades);
            sleep(LOAD_EVERY).await;
        }
    }

    /// When the leader was seen to have ended.
    pub(crate) async fn leader_is_gone(&mut self) -> Instant {
        let started = Instant::now();
        while !self.guards[self.leader].is_gone() {
            assert!(started.elapsed() < PATIENCE, "it lives:\n{}", self.leader().said());
            self.load(1).await;
        }
        Instant::now()
    }

    /// When the leader was seen to be stopped.
    pub(crate) async fn leader_is_frozen(&mut self) -> Instant {
        let started = Instant::now();
        while !self.leader().is_frozen() {
            assert!(started.elapsed() < PATIENCE, "it runs:\n{}", self.leader().said());
            self.load(1).await;
        }
        Instant::now()
    }

    /// Goes on proposing until a trade that was proposed after `gone` is answered: how long
    /// that took. The other guard leads then.
    pub(crate) async fn fail_over(&mut self, gone: Instant) -> Duration {
        let first = self.proposed.len();
        loop {
            self.load(1).await;
            self.take_reports();
            if self.proposed[first..].iter().any(|trade| self.answered.contains_key(trade)) {
                break;
            }
            assert!(gone.elapsed() < PATIENCE, "nobody leads:\n{}", self.guards[1 - self.leader].said());
        }
        self.leader = 1 - self.leader;
        gone.elapsed()
    }

    pub(crate) async fn restart_as_standby(&mut self) {
        let number = 1 - self.leader;
        let path = |name: &str| self.folder.path().join(name);
        let own = path(&format!("guard-{number}"));
        self.guards[number] = Process::start("risk-guard", &url(&self.wires[number]), &own, &path("data"));
        self.guards[number].says("stands by").await;
    }

    /// The one that was frozen goes on, notices that it leads no more, and stands by.
    pub(crate) async fn deposed_wakes_up(&mut self) {
        let deposed = &mut self.guards[1 - self.leader];
        deposed.disarm();
        deposed.wake();
        self.deposed_stands_by().await;
    }

    /// Both guards go on; whichever leads then leads.
    pub(crate) async fn wake(&mut self) {
        for guard in &mut self.guards {
            guard.wake();
        }
    }

    /// The one that led before notices that it does not any more, and stands by.
    pub(crate) async fn deposed_stands_by(&self) {
        self.standby().says("leads no more").await;
        self.standby().says("stands by").await;
    }

    fn take_reports(&mut self) {
        while let Some(message) = self.reports.try_next() {
            let batch = v1::ExecutionBatch::decode(message.payload).expect("a batch");
            for report in batch.reports {
                let status = match &report.kind {
                    Some(v1::execution_report::Kind::Trade(trade)) => trade.status(),
                    Some(_) | None => v1::TradeStatus::Unspecified,
                };
                self.answered.extend(report.key.map(|key| (key.trade_id, status)));
            }
        }
    }

    /// Waits until everything that was proposed has an end.
    pub(crate) async fn all_answered(&mut self) {
        let started = Instant::now();
        while self.answered.len() < self.proposed.len() {
            self.take_reports();
            let open = self.proposed.len() - self.answered.len();
            assert!(started.elapsed() < PATIENCE, "{open} are not answered:\n{}", self.leader().said());
            sleep(LOOK_EVERY).await;
        }
    }

    /// How the trades that were proposed since the first `before` have ended, each once.
    pub(crate) fn ends_since(&self, before: usize) -> BTreeSet<&'static str> {
        let ends = self.proposed[before..].iter().filter_map(|trade| self.answered.get(trade));
        ends.map(|status| status.as_str_name()).collect()
    }

    /// How many trades were proposed so far.
    pub(crate) const fn proposed(&self) -> usize {
        self.proposed.len()
    }

    /// These trades were asked for by other ways, and are audited like those proposed.
    pub(crate) fn expect(&mut self, trades: impl IntoIterator<Item = String>) {
        self.proposed.extend(trades);
    }

    /// Every execution at the venue.
    pub(crate) async fn executed(&self) -> BTreeSet<String> {
        let mut executions = BTreeSet::new();
        let mut after = 0;
        loop {
            let question = v1::guard_question::Question::VenueFills(v1::VenueFillsQuestion { after, page_size: 0 });
            let v1::guard_answer::Answer::VenueFills(page) = self.ask(question).await else { panic!("refused") };
            if page.fills.is_empty() {
                return executions;
            }
            for fill in page.fills {
                let id = fill.fill.expect("a fill").execution_id;
                assert!(executions.insert(id.clone()), "{id} was executed twice");
            }
            after = page.next;
        }
    }

    pub(crate) async fn ask(&self, question: v1::guard_question::Question) -> v1::guard_answer::Answer {
        self.ask_as("audit", question).await
    }

    /// The leader's answer to `principal`.
    pub(crate) async fn ask_as(
        &self,
        principal: &str,
        question: v1::guard_question::Question,
    ) -> v1::guard_answer::Answer {
        let question =
            v1::GuardQuestion { principal: principal.into(), question: Some(question), ..v1::GuardQuestion::default() };
        let started = Instant::now();
        loop {
            match self.bus.ask::<_, v1::GuardAnswer>(Ask::Guard, &question, Duration::from_secs(5)).await {
                Ok(answer) => return answer.answer.expect("an answer"),
                Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
            }
        }
    }

    /// Nothing is lost, nothing is doubled, and the journal says so too.
    pub(crate) async fn audit(&mut self) {
        self.all_answered().await;
        let executed = self.executed().await;
        let started = Instant::now();
        let mut told = Told::read(&self.bus).await;
        while told.booked != executed && started.elapsed() < PATIENCE {
            sleep(LOOK_EVERY * 10).await;
            told = Told::read(&self.bus).await;
        }
        assert_eq!(told.executions, executed, "what was told is what was executed");
        assert_eq!(told.booked, executed, "what is booked is what was executed");
        let mut ends = BTreeMap::new();
        for trade in &self.proposed {
            let own = told.ends.get(trade).unwrap_or_else(|| panic!("{trade} is lost"));
            assert_eq!(own.len(), 1, "{trade} ended in several ways: {own:?}");
            assert!(told.approvals.get(trade).is_none_or(|count| *count == 1), "{trade} was approved twice");
            *ends.entry(*own.first().expect("one")).or_insert(0) += 1;
        }
        say(&format!("{} trades: {ends:?}", self.proposed.len()));
        let state = v1::guard_question::Question::GetState(v1::GetRiskStateRequest {});
        let started = Instant::now();
        loop {
            let v1::guard_answer::Answer::State(state) = self.ask(state.clone()).await else { panic!("refused") };
            if (state.open_orders, state.held_micros) == (0, 0) {
                break;
            }
            assert!(started.elapsed() < PATIENCE, "{} orders are open, {} held", state.open_orders, state.held_micros);
            sleep(LOOK_EVERY).await;
        }
        self.show(&["risk", "replay", "--nats", self.nats.url()]);
        let data: PathBuf = self.folder.path().join("data");
        self.show(&["ledger", "verify", "--data-dir", data.to_str().expect("a path")]);
    }

    /// A command that must succeed; what it prints.
    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_tragen")).args(arguments).output().expect("it runs");
        let [said, complained] = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        assert!(output.status.success(), "{arguments:?}: {said}{complained}");
        said
    }

    /// The same, and everybody reads it.
    fn show(&self, arguments: &[&str]) {
        say(&format!("tragen {}:\n{}", arguments.join(" "), self.run(arguments)));
    }
}

fn address(nats: &NatsServer) -> SocketAddr {
    nats.url().trim_start_matches("nats://").parse().expect("an address")
}

fn url(wire: &Proxy) -> String {
    format!("nats://127.0.0.1:{}", wire.port())
}
