//! Starting, killing and asking a platform: all in one process, or six
//! processes against their own NATS, PostgreSQL and Valkey.

use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tonic::{
    Request,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tragen_contracts::v1::{
    self, accounts_client::AccountsClient, markets_client::MarketsClient, operations_client::OperationsClient,
    risk_control_client::RiskControlClient, trading_client::TradingClient,
};
use tragen_domain::{id::AccountId, tier::Tier};
use tragen_router::token::{Claims, Keys, Role};
use uuid::Uuid;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The outcome that most tests trade.
pub(crate) const INSTRUMENT: &str = "EPL-2026-ARS-MCI-HOME";
/// Every service, in no particular order.
pub(crate) const SERVICES: [&str; 6] =
    ["router", "agent-worker", "risk-guard", "market-data", "cost-monitor", "ledger"];

/// A line of JSON that a process writes when it is ready.
#[derive(Debug, Clone, Deserialize)]
struct Ready {
    #[serde(default)]
    grpc: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    nats: String,
}

/// A process that is killed when it is dropped.
#[derive(Debug)]
struct Process {
    program: PathBuf,
    arguments: Vec<String>,
    ready_file: PathBuf,
    log: PathBuf,
    child: Child,
    ready: Ready,
}

impl Process {
    async fn start(program: &Path, arguments: Vec<String>, ready_file: PathBuf, log: PathBuf) -> Self {
        let _ = fs::remove_file(&ready_file);
        let output = fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log file");
        let child = Command::new(program)
            .args(&arguments)
            // Rate limits are another test's promise.
            .env("TRAGEN__ROUTER__PREMIUM_TRADES_PER_MINUTE", "10000")
            .env("TRAGEN__ROUTER__READS_PER_MINUTE", "10000")
            // A server ends with this pipe, so nothing is left behind.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|e| panic!("starting {}: {e}", program.display()));
        let ready = Ready { grpc: String::new(), url: String::new(), nats: String::new() };
        let mut process = Self { program: program.to_owned(), arguments, ready_file, log, child, ready };
        process.wait_ready().await;
        process
    }

    async fn wait_ready(&mut self) {
        let started = Instant::now();
        loop {
            if let Ok(text) = fs::read_to_string(&self.ready_file)
                && let Ok(ready) = serde_json::from_str(&text)
            {
                self.ready = ready;
                return;
            }
            let is_over = self.child.try_wait().expect("a child").is_some() || started.elapsed() > PATIENCE;
            assert!(!is_over, "{:?} is not ready:\n{}", self.arguments, self.log_end());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    async fn restart(&mut self) {
        self.kill();
        let (arguments, ready_file, log) = (self.arguments.clone(), self.ready_file.clone(), self.log.clone());
        *self = Self::start(&self.program.clone(), arguments, ready_file, log).await;
    }

    /// SIGTERM, then the exit code.
    fn stop(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a running process");
        self.child.wait().expect("an end").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // `tragen up` takes its bus with it when it is asked to end, and leaves it when it is killed.
        if self.arguments.first().is_some_and(|command| command == "up")
            && self.child.try_wait().is_ok_and(|end| end.is_none())
        {
            self.stop();
        }
        self.kill();
    }
}

/// A running platform.
#[derive(Debug)]
pub(crate) struct Platform {
    processes: BTreeMap<String, Process>,
    keys: Keys,
    store: String,
    endpoint: String,
    nats: String,
    data_dir: PathBuf,
    folder: TempDir,
}

/// Signs every request.
#[derive(Debug, Clone)]
pub(crate) struct Bearer(MetadataValue<tonic::metadata::Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, tonic::Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A caller of every service of the API.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) trading: TradingClient<InterceptedService<Channel, Bearer>>,
    pub(crate) accounts: AccountsClient<InterceptedService<Channel, Bearer>>,
    pub(crate) markets: MarketsClient<InterceptedService<Channel, Bearer>>,
    pub(crate) risk: RiskControlClient<InterceptedService<Channel, Bearer>>,
    pub(crate) operations: OperationsClient<InterceptedService<Channel, Bearer>>,
}

/// The built command with `arguments`, run to its end.
pub(crate) fn tragen(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().expect("the command runs")
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_tragen"))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// A port that was free a moment ago, for what must come back at the same address.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

impl Platform {
    /// `tragen up` with the sample market at the speed of the clock and no demo, SQLite, and `more` flags.
    pub(crate) async fn all_in_one(more: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let data_dir = folder.path().join("data");
        let path = |name: &str| folder.path().join(name);
        let mut arguments: Vec<String> = ["up", "--no-demo", "--quiet", "--data-dir"].map(str::to_owned).to_vec();
        arguments.push(data_dir.display().to_string());
        arguments.extend(["--ready-file".to_owned(), path("up.json").display().to_string()]);
        arguments.extend(["--listen".to_owned(), format!("127.0.0.1:{}", free_port())]);
        let speed: &[&str] = if more.contains(&"--speed") { &[] } else { &["--speed", "1"] };
        arguments.extend(speed.iter().chain(more).map(ToString::to_string));
        let up = Process::start(&program(), arguments, path("up.json"), path("up.log")).await;
        let keys = Keys::load_or_create(&data_dir).expect("keys");
        let (endpoint, nats) = (up.ready.grpc.clone(), up.ready.nats.clone());
        let processes = BTreeMap::from([("up".to_owned(), up)]);
        Self { processes, keys, store: "sqlite".into(), endpoint, nats, data_dir, folder }
    }

    /// The six services as processes of their own, with NATS, PostgreSQL and Valkey.
    pub(crate) async fn separate() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let data_dir = folder.path().join("data");
        fs::create_dir(&data_dir).expect("a folder");
        let serve = repository().join("tools/serve");
        let mut processes = BTreeMap::new();
        for (server, sync) in [("nats", "always"), ("postgres", "always"), ("valkey", "default")] {
            let home = folder.path().join(server);
            let port = free_port().to_string();
            let arguments = [server, &home.display().to_string(), "--sync", sync, "--port", &port].map(str::to_owned);
            let log = folder.path().join(format!("{server}.log"));
            let process = Process::start(&serve, arguments.to_vec(), home.join("ready.json"), log).await;
            processes.insert(server.to_owned(), process);
        }
        let url = |server: &str| processes[server].ready.url.clone();
        let (nats, store, cache) = (url("nats"), url("postgres"), url("valkey"));
        let keys = Keys::load_or_create(&data_dir).expect("keys");
        let port = free_port();
        let mut platform = Self {
            processes,
            keys,
            store: store.clone(),
            endpoint: format!("http://127.0.0.1:{port}"),
            nats: nats.clone(),
            data_dir,
            folder,
        };
        let starts = SERVICES.map(|service| {
            let ready_file = platform.folder.path().join(format!("{service}.json"));
            let mut arguments: Vec<String> = ["serve", service, "--nats", &nats].map(str::to_owned).to_vec();
            for (flag, value) in [
                ("--store", store.clone()),
                ("--cache", cache.clone()),
                ("--data-dir", platform.data_dir.display().to_string()),
                ("--feed", "sample".to_owned()),
                ("--speed", "1".to_owned()),
                ("--listen", format!("127.0.0.1:{port}")),
                ("--ready-file", ready_file.display().to_string()),
            ] {
                arguments.extend([flag.to_owned(), value]);
            }
            let log = platform.folder.path().join(format!("{service}.log"));
            async move { (service.to_owned(), Process::start(&program(), arguments, ready_file, log).await) }
        });
        platform.processes.extend(futures::future::join_all(starts).await);
        platform
    }

    /// Where the API is.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Where keys, books and bus are kept.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// A premium token for `account`.
    pub(crate) fn token(&self, account: &str, role: Role) -> String {
        let account = AccountId::new(account).expect("an id");
        self.keys.issue(&Claims::new(account, Tier::Premium, role)).expect("a token")
    }

    /// The bus, for tests that look behind the API.
    pub(crate) fn nats(&self) -> &str {
        &self.nats
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, part: &str) {
        self.processes.get_mut(part).expect("a part").kill();
    }

    /// Starts a part again, on the same address and data; kills it first if it runs.
    pub(crate) async fn restart(&mut self, part: &str) {
        self.processes.get_mut(part).expect("a part").restart().await;
    }

    /// SIGTERM to everything of ours; every exit code must be 0.
    pub(crate) fn stop(&mut self) {
        for (part, process) in
            self.processes.iter_mut().filter(|(part, _)| !["nats", "postgres", "valkey"].contains(&part.as_str()))
        {
            let code = process.stop();
            assert_eq!(code, Some(0), "{part} ended with {code:?}:\n{}", process.log_end());
        }
    }

    /// `tragen ledger verify`; panics with its words if the books are not right.
    pub(crate) fn verify(&self) {
        let output = Command::new(program())
            .args(["ledger", "verify", "--store", &self.store, "--data-dir"])
            .arg(&self.data_dir)
            .output()
            .expect("the command runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
    }

    /// What a command prints, which must end with `code`; `more` are arguments with spaces in them.
    pub(crate) fn command(&self, token: &str, line: &str, more: &[&str], code: i32) -> Value {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        arguments.extend(["-o", "json", "--endpoint", self.endpoint(), "--token", token]);
        arguments.extend(more);
        let output = tragen(&arguments);
        assert_eq!(output.status.code(), Some(code), "{line}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Trades of an account as the command lists them, newest first.
    pub(crate) fn trades_of(&self, token: &str) -> Vec<Value> {
        self.command(token, "trade list", &[], 0)["trades"].as_array().cloned().unwrap_or_default()
    }

    /// A premium caller with `role`, retrying the connection until it is there.
    pub(crate) fn caller(&self, account: &str, role: Role) -> Caller {
        let bearer = Bearer(format!("Bearer {}", self.token(account, role)).parse().expect("a header"));
        let channel = Endpoint::from_shared(self.endpoint.clone()).expect("a URL").connect_lazy();
        Caller {
            trading: TradingClient::with_interceptor(channel.clone(), bearer.clone()),
            accounts: AccountsClient::with_interceptor(channel.clone(), bearer.clone()),
            markets: MarketsClient::with_interceptor(channel.clone(), bearer.clone()),
            risk: RiskControlClient::with_interceptor(channel.clone(), bearer.clone()),
            operations: OperationsClient::with_interceptor(channel, bearer),
        }
    }

    /// A trader with `dollars` in the wallet.
    pub(crate) async fn trader(&self, account: &str, dollars: i64) -> Caller {
        let mut caller = self.caller(account, Role::Trader);
        let request = v1::DepositRequest {
            request_id: request_id(),
            amount_micros: dollars * 1_000_000,
            currency: String::new(),
        };
        caller.accounts.deposit(request).await.expect("a deposit");
        caller
    }
}

impl Caller {
    /// Cash and version of the account.
    pub(crate) async fn account(&mut self, min_version: i64) -> v1::Account {
        let request = v1::GetAccountRequest { currency: String::new(), min_version, max_age_ms: 0 };
        let answer = self.accounts.get_account(request).await.expect("an account");
        answer.into_inner().account.expect("set")
    }

    /// The newest quote of an instrument.
    pub(crate) async fn quote(&mut self, instrument_id: &str) -> v1::Quote {
        let request = v1::GetQuoteRequest { instrument_id: instrument_id.to_owned() };
        self.markets.get_quote(request).await.expect("a quote").into_inner().quote.expect("set")
    }

    /// Every trade of the account, newest first.
    pub(crate) async fn trades(&mut self) -> Vec<v1::Trade> {
        let (mut trades, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = v1::ListTradesRequest { page_size: 500, page_token, min_version: 0 };
            let page = self.trading.list_trades(request).await.expect("a page").into_inner();
            trades.extend(page.trades);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return trades;
            }
        }
    }

    /// Asks until there is an answer, always with the same request id: what a
    /// careful client does when the connection or the platform fails.
    pub(crate) async fn place_surely(&mut self, request: &v1::PlaceTradeRequest) -> v1::Trade {
        let started = Instant::now();
        loop {
            let mut attempt = Request::new(request.clone());
            attempt.set_timeout(Duration::from_secs(5));
            match self.trading.place_trade(attempt).await {
                Ok(answer) => return answer.into_inner().trade.expect("set"),
                Err(status) if is_worth_retrying(&status) && started.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(status) => panic!("{} after {:?}: {status}", request.request_id, started.elapsed()),
            }
        }
    }
}

fn is_worth_retrying(status: &tonic::Status) -> bool {
    use tonic::Code;
    matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Cancelled
            | Code::ResourceExhausted
            | Code::Unknown
    )
}

pub(crate) fn request_id() -> String {
    Uuid::now_v7().to_string()
}

/// An order that takes what is there at `limit_price_micros`.
pub(crate) fn order(side: v1::Side, contracts: i64, limit_price_micros: i64) -> v1::PlaceTradeRequest {
    let order = v1::OrderIntent {
        instrument_id: INSTRUMENT.to_owned(),
        side: side.into(),
        order_type: v1::OrderType::Limit.into(),
        quantity_micros: contracts * 1_000_000,
        limit_price_micros,
        time_in_force: v1::TimeInForce::Ioc.into(),
        ..v1::OrderIntent::default()
    };
    let intent = Some(v1::place_trade_request::Intent::Order(order));
    v1::PlaceTradeRequest { request_id: request_id(), intent }
}

/// Waits until `condition` holds; `what` names it when it never does.
pub(crate) async fn wait_until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "{what} did not come true");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for a `Some`; `what` names it when there is none.
pub(crate) async fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// An amount of the command's JSON, 1e-6.
pub(crate) fn micros(value: &Value) -> i64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no amount"))
}
