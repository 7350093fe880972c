//! What the platform uses while the load runs: CPU, memory and disk by process,
//! and the gauges that services show at `/metrics`, among them their queues.

mod prometheus;

use anyhow::Context as _;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs,
    str::FromStr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

/// How often everything is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an answer to `/metrics` may take.
const ANSWER_MAX: Duration = Duration::from_millis(900);
/// Most bytes of such an answer.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// The kernel counts CPU time in these, on every Linux.
const TICK_MICROS: u64 = 10_000;
/// What the load test itself is called.
const LOAD_TEST: &str = "load test";
/// Gauges that are kept.
const GAUGES_MAX: usize = 500;

/// Something to look at: `ledger=4711` is a process, `postgres=4712+` one with all that it has started, `ledger=http://127.0.0.1:9000/metrics` shows gauges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// A process of this machine.
    Process {
        /// What it is called in the report.
        name: String,
        /// Its id.
        pid: u32,
        /// Whether what it has started counts too.
        children: Children,
    },
    /// Metrics in the text format of Prometheus.
    Metrics {
        /// What it is called in the report.
        name: String,
        /// Where they are.
        url: String,
    },
}

/// Whether the processes count that a watched one has started: the work of PostgreSQL is done by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// All of them, and theirs.
    Counted,
    /// None of them.
    Left,
}

impl FromStr for Watched {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither NAME=PID, NAME=PID+ nor NAME=http://HOST:PORT/metrics");
        let (name, place) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
        let name = name.to_owned();
        if place.starts_with("http://") {
            return Ok(Self::Metrics { name, url: place.to_owned() });
        }
        let (pid, children) = match place.strip_suffix('+') {
            Some(pid) => (pid, Children::Counted),
            None => (place, Children::Left),
        };
        Ok(Self::Process { name, pid: pid.parse().map_err(|_| wrong())?, children })
    }
}

/// What a process has used while it was watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProcessUse {
    /// Its name.
    pub name: String,
    /// CPU time in user and kernel mode, microseconds.
    pub cpu_micros: u64,
    /// CPU time for one operation that came to what it was meant for, microseconds, rounded down; 0 without any.
    pub cpu_micros_per_ok: u64,
    /// The same for one filled trade; what else was done is paid by the trades then.
    pub cpu_micros_per_trade: u64,
    /// Most memory at any second, bytes.
    pub rss_bytes_max: u64,
    /// Memory at the end, bytes.
    pub rss_bytes_end: u64,
    /// Written to disk, bytes; 0 where the kernel does not tell.
    pub written_bytes: u64,
    /// Those for one operation that came to what it was meant for, rounded down.
    pub written_bytes_per_ok: u64,
    /// Those for one filled trade.
    pub written_bytes_per_trade: u64,
    /// Memory second by second, bytes.
    pub rss_bytes: Vec<u64>,
}

/// A gauge of a service: a queue, a count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gauge {
    /// Whose.
    pub service: String,
    /// Its name and labels.
    pub name: String,
    /// The largest value that was seen.
    pub max: f64,
    /// The last one.
    pub last: f64,
    /// Every second's value.
    pub values: Vec<f64>,
}

/// Everything that was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Usage {
    /// By process.
    pub processes: Vec<ProcessUse>,
    /// By service and name; only those that changed or are above 0.
    pub gauges: Vec<Gauge>,
    /// Looks that got no answer.
    pub missed: u64,
}

impl Usage {
    /// CPU, microseconds, and bytes written for one filled trade in all watched processes but the load test;
    /// `None` if none was watched.
    #[must_use]
    pub fn platform_per_trade(&self) -> Option<(u64, u64)> {
        let all = self.processes.iter().filter(|process| process.name != LOAD_TEST);
        all.map(|process| (process.cpu_micros_per_trade, process.written_bytes_per_trade))
            .reduce(|sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    cpu_micros: u64,
    rss_bytes: u64,
    written_bytes: u64,
}

/// Looks at everything until told to stop.
#[derive(Debug)]
pub(crate) struct Monitor {
    watched: Vec<Watched>,
    samples: Vec<Vec<Sample>>,
    gauges: BTreeMap<(String, String), Vec<f64>>,
    missed: u64,
    /// Only what is used after this moment counts.
    from: Instant,
}

impl Monitor {
    /// The load test itself is watched too: it runs on the same machine.
    pub(crate) fn new(watched: &[Watched], from: Instant) -> Self {
        let own = Watched::Process { name: LOAD_TEST.to_owned(), pid: std::process::id(), children: Children::Left };
        let watched: Vec<_> = watched.iter().cloned().chain([own]).collect();
        let samples = vec![Vec::new(); watched.len()];
        Self { watched, samples, gauges: BTreeMap::new(), missed: 0, from }
    }

    /// Looks every second until `stop` changes.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Self {
        let mut beat = interval(LOOK_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = stop.wait_for(|is_over| *is_over) => break,
                _ = beat.tick() => {}
            }
            if Instant::now() >= self.from {
                self.look().await;
            }
        }
        self.look().await;
        self
    }

    async fn look(&mut self) {
        for (index, watched) in self.watched.clone().into_iter().enumerate() {
            match watched {
                Watched::Process { pid, children, .. } => match sample(pid, children) {
                    Some(sample) => self.samples[index].push(sample),
                    None => self.missed += 1,
                },
                Watched::Metrics { name, url } => match timeout(ANSWER_MAX, get(&url)).await {
                    Ok(Ok(text)) => self.keep(&name, &text),
                    Ok(Err(_)) | Err(_) => self.missed += 1,
                },
            }
        }
    }

    fn keep(&mut self, service: &str, text: &str) {
        for (name, value) in prometheus::gauges(text) {
            let key = (service.to_owned(), name);
            if self.gauges.contains_key(&key) || self.gauges.len() < GAUGES_MAX {
                self.gauges.entry(key).or_default().push(value);
            }
        }
    }

    /// What was seen; meanwhile `ok` operations came to what they were meant for, `trades` of them with a fill.
    pub(crate) fn usage(self, (ok, trades): (u64, u64)) -> Usage {
        let each = |total: u64| total.checked_div(ok).unwrap_or(0);
        let each_trade = |total: u64| total.checked_div(trades).unwrap_or(0);
        let processes = self.watched.iter().zip(&self.samples).filter_map(|(watched, samples)| {
            let Watched::Process { name, .. } = watched else { return None };
            let (first, last) = (samples.first()?, samples.last()?);
            let cpu_micros = last.cpu_micros.saturating_sub(first.cpu_micros);
            let written_bytes = last.written_bytes.saturating_sub(first.written_bytes);
            Some(ProcessUse {
                name: name.clone(),
                cpu_micros,
                cpu_micros_per_ok: each(cpu_micros),
                cpu_micros_per_trade: each_trade(cpu_micros),
                rss_bytes_max: samples.iter().map(|sample| sample.rss_bytes).max().unwrap_or(0),
                rss_bytes_end: last.rss_bytes,
                written_bytes,
                written_bytes_per_ok: each(written_bytes),
                written_bytes_per_trade: each_trade(written_bytes),
                rss_bytes: samples.iter().map(|sample| sample.rss_bytes).collect(),
            })
        });
        let processes = processes.collect();
        let gauges = self.gauges.into_iter().filter_map(|((service, name), values)| {
            let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let last = values.last().copied()?;
            let is_told = max > 0.0 || values.iter().any(|value| *value < max);
            is_told.then_some(Gauge { service, name, max, last, values })
        });
        Usage { processes, gauges: gauges.collect(), missed: self.missed }
    }
}

/// What a process has used so far, if need be with those it has started; `None` if there is none.
fn sample(pid: u32, children: Children) -> Option<Sample> {
    let own = sample_one(pid, children)?;
    if children == Children::Left {
        return Some(own);
    }
    let parents = parents();
    let (mut sum, mut waiting) = (own, vec![pid]);
    while let Some(parent) = waiting.pop() {
        for (child, _) in parents.iter().filter(|(_, own)| *own == parent) {
            // One that has ended meanwhile is in what its parent has used.
            let one = sample_one(*child, children).unwrap_or_default();
            sum.cpu_micros += one.cpu_micros;
            sum.rss_bytes += one.rss_bytes;
            sum.written_bytes += one.written_bytes;
            waiting.push(*child);
        }
    }
    Some(sum)
}

/// Every process of this machine with its parent.
fn parents() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?))
    })
    .collect()
}

fn sample_one(pid: u32, children: Children) -> Option<Sample> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so what counts begins behind the last one.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok());
    // What its children had used that have ended.
    let ended = if children == Children::Counted { ticks(13)? + ticks(14)? } else { 0 };
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // Of another user's process the kernel does not tell it.
    let written = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    Some(Sample {
        cpu_micros: (ticks(11)? + ticks(12)? + ended) * TICK_MICROS,
        rss_bytes: field(&status, "VmRSS:").unwrap_or(0) * 1_024,
        written_bytes: field(&written, "write_bytes:").unwrap_or(0),
    })
}

/// The number behind `name` in a text of lines.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The body of the answer to a plain GET.
async fn get(url: &str) -> anyhow::Result<String> {
    let rest = url.strip_prefix("http://").context("the address must start with http://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, "metrics"));
    let mut stream = TcpStream::connect(host).await.with_context(|| format!("connecting to {host}"))?;
    let question = format!("GET /{path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).await.context("sending the question")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.context("reading the answer")?;
    let text = String::from_utf8_lossy(&answer);
    let (_, body) = text.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_watched_has_a_name_and_a_place() {
        let process = |children| Ok(Watched::Process { name: "nats".to_owned(), pid: 12, children });
        assert_eq!("nats=12".parse(), process(Children::Left));
        assert_eq!("nats=12+".parse(), process(Children::Counted));
        let url = "http://127.0.0.1:9000/metrics".to_owned();
        let metrics = Watched::Metrics { name: "ledger".to_owned(), url: url.clone() };
        assert_eq!(format!("ledger={url}").parse(), Ok(metrics));
        for bad in ["12", "=12", "x=", "x=https://127.0.0.1", "x=+", "x=1++"] {
            assert!(bad.parse::<Watched>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_process_is_seen_and_what_is_not_there_is_missed() {
        let gone = Watched::Metrics { name: "gone".to_owned(), url: "http://127.0.0.1:1/metrics".to_owned() };
        let mut monitor = Monitor::new(&[gone], Instant::now());
        monitor.look().await;
        let used = || sample(std::process::id(), Children::Left).map_or(0, |sample| sample.cpu_micros);
        let until = used() + 40_000;
        while used() < until {}
        monitor.look().await;
        monitor.keep("ledger", "# TYPE queue gauge\nqueue 3\n# TYPE empty gauge\nempty 0\n");
        let usage = monitor.usage((2, 1));
        let [own] = &usage.processes[..] else { panic!("{usage:?}") };
        assert!(own.cpu_micros >= 30_000 && own.cpu_micros_per_ok == own.cpu_micros / 2, "{own:?}");
        assert_eq!((own.cpu_micros_per_trade, own.written_bytes_per_trade), (own.cpu_micros, own.written_bytes));
        assert!(own.rss_bytes_max > 1 << 20 && own.rss_bytes.len() == 2, "{own:?}");
        assert_eq!((usage.missed, usage.gauges.len(), usage.gauges[0].name.as_str()), (2, 1, "queue"));
    }

    #[test]
    fn a_process_is_counted_with_its_children_if_need_be() {
        // The shell waits for a child of its own, which does all the work.
        let script = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; read line'; true";
        let mut shell = std::process::Command::new("sh");
        let mut shell = shell.args(["-c", script]).stdin(std::process::Stdio::piped()).spawn().expect("a shell");
        let used = |children| sample(shell.id(), children).map_or(0, |sample| sample.cpu_micros);
        let until = Instant::now() + Duration::from_secs(30);
        while used(Children::Counted) < 50_000 {
            assert!(Instant::now() < until, "the child was not counted");
            std::thread::yield_now();
        }
        assert!(used(Children::Left) < 50_000, "alone the shell only waits");
        drop(shell.stdin.take());
        shell.wait().expect("it ends");
    }
}
