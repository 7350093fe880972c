//! What became of it: every fault with its recovery, and the invariants as an outsider sees them.

use super::{
    Chaos, Fault,
    bus::Facts,
    limits::Limits,
    operators::Operators,
    others::{Felt, Others, Window},
};
use crate::{Proof, Report, report::millis};
use serde::Serialize;
use sqlx::Connection as _;
use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// Within this everything trades again.
const RECOVERY_MAX: Duration = Duration::from_secs(10);
/// Of a million operations at most so many may end without a right answer: 0.05 %.
const WRONG_PPM_MAX: u64 = 500;
/// How often epochs are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A fault and what came after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Healed {
    /// What it was.
    pub fault: String,
    /// When, milliseconds from the first measured start.
    pub at_ms: u64,
    /// From its end to the next filled trade, milliseconds; `None` if there was none.
    pub recovered_ms: Option<u64>,
    /// What went wrong with making it.
    pub trouble: Option<String>,
    /// What users felt of it who do not need what was broken; nobody where all need it.
    pub others: Vec<Others>,
    /// From its beginning until everything traded again.
    #[serde(skip)]
    pub(super) window: Window,
}

impl Healed {
    pub(super) fn new(fault: &Fault, (recovered, window): (Option<Duration>, Window), trouble: Option<String>) -> Self {
        let whole = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            fault: fault.to_string(),
            at_ms: whole(fault.at),
            recovered_ms: recovered.map(whole),
            trouble,
            others: Vec::new(),
            window,
        }
    }
}

impl fmt::Display for Healed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.recovered_ms {
            Some(millis) => write!(f, "trading again after {millis} ms")?,
            None => write!(f, "NOT TRADING AGAIN")?,
        }
        self.trouble.iter().try_for_each(|trouble| write!(f, " (could not be made: {trouble})"))
    }
}

/// One promise of the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invariant {
    /// Its number and what it promises.
    pub name: String,
    /// What is wrong; empty if it holds.
    pub findings: Vec<String>,
}

/// Operations without a right answer, by what was wrong; nothing is left out because of a fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Not answered although the client asked for a minute with the same id, or never sent.
    pub unanswered: u64,
    /// Asked for in a second that belongs to no fault's window and comes before the halt, and denied: there was no
    /// reason to.
    pub denied_in_quiet: u64,
    /// Answered, and the ledger, the accounts or a second answer say something else.
    pub untrue: u64,
}

impl Wrong {
    /// All of them.
    #[must_use]
    pub const fn sum(self) -> u64 {
        self.unanswered + self.denied_in_quiet + self.untrue
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unanswered, denied_in_quiet, untrue } = self;
        write!(f, "{unanswered} not answered, {denied_in_quiet} denied in quiet times, {untrue} untrue")
    }
}

/// Denials without a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuietDenials {
    /// In which second it was asked for.
    pub second: u64,
    /// `PROPOSAL_EXPIRED`
    pub code: String,
    /// How many.
    pub count: u64,
}

/// Everything about one run.
#[derive(Debug, Clone, Serialize)]
pub struct ChaosReport {
    /// Plays the same again.
    pub seed: u64,
    /// Every fault.
    pub faults: Vec<Healed>,
    /// Every invariant that can be seen from outside.
    pub invariants: Vec<Invariant>,
    /// Kinds of faults that can be made here and were not, because the time was over.
    pub unplayed: Vec<String>,
    /// Kinds of faults that this build of the platform cannot be made to have.
    pub impossible: Vec<String>,
    /// Operations that were started, those of the warm-up too, and those in the windows of faults too.
    pub offered: u64,
    /// Of those, operations without a right answer.
    pub wrong: Wrong,
    /// What was denied in quiet times.
    pub quiet_denials: Vec<QuietDenials>,
    /// What was seen of limits.
    pub limits: Limits,
    /// Times that a service or server had ended without being told to.
    pub restarts: BTreeMap<String, u64>,
    /// The load.
    pub report: Report,
}

impl ChaosReport {
    /// Whether everything was as promised.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.invariants.iter().all(|invariant| invariant.findings.is_empty())
    }
}

impl fmt::Display for ChaosReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| at s | fault | trading again after ms | who does not need what was broken |\n|---:|---|---:|---|"
        )?;
        for healed in &self.faults {
            let recovered = healed.recovered_ms.map_or_else(|| "NEVER".to_owned(), |ms| ms.to_string());
            let others: Vec<_> = healed.others.iter().map(ToString::to_string).collect();
            let others = if others.is_empty() { "everybody needs it".to_owned() } else { others.join("; ") };
            writeln!(f, "| {} | {} | {recovered} | {others} |", healed.at_ms / 1_000, healed.fault)?;
        }
        for (title, kinds) in [("not played", &self.unplayed), ("not possible", &self.impossible)] {
            if !kinds.is_empty() {
                writeln!(f, "{title:<13} {}", kinds.join(", "))?;
            }
        }
        let Self { offered, wrong, limits, report, .. } = self;
        writeln!(f, "\nload          {offered} operations, {} without a right answer: {wrong}", wrong.sum())?;
        let codes: Vec<_> = report.denied_by_code.iter().map(|(code, count)| format!("{code} {count}")).collect();
        writeln!(f, "denied        {} ({}): in faults, after the halt, and as above", report.denied, codes.join(", "))?;
        writeln!(
            f,
            "limits        {} looks: orders held {}e-6 at most with {}e-6 of cash ({} denied for funds), {} of {} rested \
             ({} denied for resting)",
            limits.looks,
            limits.held_micros_max,
            limits.cash_micros,
            limits.denied_for_funds,
            limits.resting_max,
            limits.resting_allowed,
            limits.denied_for_resting
        )?;
        if let Some(proof) = &self.report.proof {
            writeln!(f, "proof         {proof}")?;
        }
        if !self.restarts.is_empty() {
            let restarts: Vec<_> = self.restarts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            writeln!(f, "ended alone   {}", restarts.join(", "))?;
        }
        for invariant in &self.invariants {
            let verdict = if invariant.findings.is_empty() { "holds" } else { "BROKEN" };
            writeln!(f, "{verdict:<13} {}", invariant.name)?;
            for finding in &invariant.findings {
                writeln!(f, "  ! {finding}")?;
            }
        }
        write!(
            f,
            "seed {}: {}",
            self.seed,
            if self.is_passed() { "passed" } else { "FAILED; play it again with --seed" }
        )
    }
}

/// Looks at the epochs all the time.
#[derive(Debug)]
pub(super) struct Watch {
    findings: Arc<Mutex<Vec<String>>>,
    watching: [JoinHandle<()>; 2],
}

impl Watch {
    pub(super) fn start(database_url: &str, operators: Operators) -> Self {
        let findings: Arc<Mutex<Vec<String>>> = Arc::default();
        let (of_shard, of_guard) = (Arc::clone(&findings), Arc::clone(&findings));
        let url = database_url.to_owned();
        let shards = tokio::spawn(async move {
            let mut newest = 0;
            loop {
                if let Ok(epoch) = shard_epoch(&url).await {
                    grows(&of_shard, "the ledger's shard", &mut newest, epoch);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        let guards = tokio::spawn(async move {
            let mut newest = 0;
            loop {
                if let Ok((_, epoch)) = operators.state().await {
                    grows(&of_guard, "the trading state", &mut newest, epoch);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Self { findings, watching: [shards, guards] }
    }

    /// What was wrong.
    pub(super) fn end(self) -> Vec<String> {
        self.watching.iter().for_each(JoinHandle::abort);
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn grows(findings: &Mutex<Vec<String>>, of: &str, newest: &mut i64, epoch: i64) {
    if epoch < *newest {
        let finding = format!("the epoch of {of} fell from {newest} to {epoch}");
        findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }
    *newest = epoch;
}

async fn shard_epoch(url: &str) -> anyhow::Result<i64> {
    let options = sqlx::postgres::PgConnectOptions::from_str(url)?.options([("search_path", "shard_0")]);
    let mut connection = sqlx::PgConnection::connect_with(&options).await?;
    let (epoch,): (i64,) = sqlx::query_as("SELECT epoch FROM shard").fetch_one(&mut connection).await?;
    Ok(epoch)
}

/// What was seen beside the load.
#[derive(Debug)]
pub(super) struct Seen {
    /// What was wrong about epochs.
    pub(super) epochs: Vec<String>,
    /// What `tragen ledger verify` said when it found something.
    pub(super) verified: Result<(), String>,
    /// Facts on the bus, and those that the books have.
    pub(super) facts: (anyhow::Result<Facts>, anyhow::Result<Vec<i64>>),
    /// Of the limits.
    pub(super) limits: Limits,
    /// Processes that had ended without having been killed.
    pub(super) restarts: BTreeMap<String, u64>,
    /// When everything was halted.
    pub(super) halted: Instant,
    /// Kinds that can be played, and kinds that cannot.
    pub(super) kinds: (Vec<String>, Vec<String>),
}

/// What was asked for in seconds that touch no fault's window and end before the halt, and was denied. What is asked
/// for in a window may wait for a broken part until its deadline: then its denial comes after the window.
fn denied_in_quiet(report: &Report, faults: &[Healed], halted: Instant) -> Vec<QuietDenials> {
    let of_second = |second: u64, by_code: &BTreeMap<String, u64>| {
        let denials = |(code, count): (&String, &u64)| QuietDenials { second, code: code.clone(), count: *count };
        by_code.iter().map(denials).collect::<Vec<_>>()
    };
    let Some(began) = report.began else { return of_second(0, &report.denied_by_code) };
    let second = Duration::from_secs(1);
    let is_quiet = |number: u64| {
        let from = began + Duration::from_secs(number);
        // What is asked for shortly before a fault is on its way when it comes, and what waits is worked off after it.
        let touches = |window: &Window| from < window.to + 2 * second && from + 2 * second > window.from;
        from + second < halted && !faults.iter().any(|healed| touches(&healed.window))
    };
    let quiet = report.seconds.iter().filter(|own| is_quiet(own.second));
    quiet.flat_map(|own| of_second(own.second, &own.begun_and_denied)).collect()
}

/// The facts of the ledger's one shard.
const FACTS: &str = "ledger.0";
/// Missing facts that are named.
const MISSING_MAX: usize = 5;

/// The sequence of the newest fact about everything in the books. An older fact about the same trade is over: a bus
/// that was wiped is not told it again.
pub(super) async fn booked_facts(url: &str) -> anyhow::Result<Vec<i64>> {
    let options = sqlx::postgres::PgConnectOptions::from_str(url)?.options([("search_path", "shard_0")]);
    let mut connection = sqlx::PgConnection::connect_with(&options).await?;
    let sql = "SELECT fact_sequence FROM trade UNION SELECT fact_sequence FROM cash_movement ORDER BY 1";
    let rows: Vec<(i64,)> = sqlx::query_as(sql).fetch_all(&mut connection).await?;
    Ok(rows.into_iter().map(|(sequence,)| sequence).collect())
}

/// What is wrong about the facts on the bus.
fn facts_told((told, booked): (anyhow::Result<Facts>, anyhow::Result<Vec<i64>>)) -> Vec<String> {
    let (mut told, booked) = match (told, booked) {
        (Ok(told), Ok(booked)) => (told, booked),
        (Err(error), _) | (_, Err(error)) => return vec![format!("the facts cannot be read: {error:#}")],
    };
    let (seen, mut findings) = told.remove(FACTS).unwrap_or_default();
    let missing: Vec<i64> = booked.iter().copied().filter(|sequence| !seen.contains(sequence)).collect();
    if booked.is_empty() {
        findings.push("the books have no facts".to_owned());
    }
    if !missing.is_empty() {
        let first = &missing[..missing.len().min(MISSING_MAX)];
        findings.push(format!("{} of {} facts are not on the bus, e.g. {first:?}", missing.len(), booked.len()));
    }
    findings
}

pub(super) fn judge(
    chaos: &Chaos,
    (report, proof): (Report, Option<Proof>),
    faults: Vec<Healed>,
    seen: Seen,
) -> ChaosReport {
    let Seen { epochs, verified, facts, limits, restarts, halted, kinds } = seen;
    let invariant = |name: &str, findings: Vec<String>| Invariant { name: name.to_owned(), findings };
    let proved = proof.as_ref().map_or_else(|| vec!["there is no record".to_owned()], |proof| proof.findings.clone());
    let untrue = report.audit.findings_count + proof.as_ref().map_or(0, |proof| proof.findings_count);
    let denied = denied_in_quiet(&report, &faults, halted);
    let wrong = Wrong {
        unanswered: report.errors + report.warm_up_errors + report.unsent,
        denied_in_quiet: denied.iter().map(|own| own.count).sum(),
        untrue: u64::try_from(untrue).unwrap_or(u64::MAX),
    };
    let offered = report.offered + report.warm_up_offered;
    let late =
        faults.iter().filter(|healed| healed.recovered_ms.is_none_or(|ms| u128::from(ms) > RECOVERY_MAX.as_millis()));
    let late: Vec<String> = late.map(|healed| format!("{}: {healed}", healed.fault)).collect();
    let unmade = faults.iter().filter_map(|healed| Some(format!("{}: {}", healed.fault, healed.trouble.as_ref()?)));
    let halt = match &report.halt {
        Some(halt) if !halt.failure.is_empty() => vec![format!("the halt was not answered: {}", halt.failure)],
        Some(halt) if halt.filled_afterwards == 0 => Vec::new(),
        Some(halt) => vec![format!("{} trades were filled that were asked for after the halt", halt.filled_afterwards)],
        None => vec!["nothing was halted".to_owned()],
    };
    let facts = facts_told(facts);
    let answered = unanswered(wrong, offered, (&report, &denied));
    let slower = faults.iter().flat_map(|healed| healed.others.iter().map(move |others| (healed, others)));
    let slower = slower.filter(|(_, others)| others.standing == Felt::Slower);
    let slower: Vec<String> = slower.map(|(healed, others)| format!("{}: {others}", healed.fault)).collect();
    let (possible, impossible) = kinds;
    let is_played = |kind: &String| faults.iter().any(|healed| healed.fault.starts_with(kind.as_str()));
    let unplayed = possible.into_iter().filter(|kind| !is_played(kind)).collect();
    let invariants = vec![
        invariant("I1 I2 I8: every answer is in the ledger once and unchanged, and nothing nobody asked for", proved),
        invariant("I3: cash is what the answers say, transfers add up", report.audit.findings.clone()),
        invariant("I3: `tragen ledger verify`: sums, positions, chain", verified.err().into_iter().collect()),
        invariant("I4: everything trades again within 10 s of a fault's end", late),
        invariant(
            "I4: at least 99.95 % of all operations are answered rightly, if need be by repeating them",
            answered,
        ),
        invariant("I5: the newest fact about everything booked is on the bus, and told again says the same", facts),
        invariant("I6: nothing is filled that was asked for after a halt was confirmed", halt),
        invariant(
            "I7: no order is granted beyond the cash or the number of resting orders, at any look",
            limits.findings.clone(),
        ),
        invariant("I9: who does not need what is broken has a p99 of at most twice the usual one, or 50 ms", slower),
        invariant("I10: epochs only grow", epochs),
        invariant("every fault could be made", unmade.collect()),
    ];
    let report = Report { proof, ..report };
    let seed = chaos.seed;
    let quiet_denials = denied;
    ChaosReport {
        seed,
        faults,
        invariants,
        unplayed,
        impossible,
        offered,
        wrong,
        quiet_denials,
        limits,
        restarts,
        report,
    }
}

/// What is wrong when too many operations had no right answer.
fn unanswered(wrong: Wrong, offered: u64, (report, denied): (&Report, &[QuietDenials])) -> Vec<String> {
    let share = (wrong.sum() * 1_000_000).checked_div(offered).unwrap_or(1_000_000);
    if share <= WRONG_PPM_MAX {
        return Vec::new();
    }
    let mut found = vec![format!(
        "{} of {offered} operations had no right answer: {wrong}; {:?}",
        wrong.sum(),
        report.errors_by_code
    )];
    found.extend(
        denied.iter().map(|QuietDenials { second, code, count }| format!("{count} asked for at {second} s: {code}")),
    );
    found
}

impl ChaosReport {
    /// The slowest recovery, as seconds with three decimals; `never` if one fault was not recovered from.
    #[must_use]
    pub fn slowest_recovery_secs(&self) -> String {
        let all: Option<Vec<u64>> = self.faults.iter().map(|healed| healed.recovered_ms).collect();
        all.map_or_else(|| "never".to_owned(), |all| millis(all.into_iter().max().unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn what_is_booked_must_be_on_the_bus() {
        let facts = |sequences: &[i64]| {
            let seen: BTreeSet<i64> = sequences.iter().copied().collect();
            Ok(Facts::from([(FACTS.to_owned(), (seen, Vec::new()))]))
        };
        assert_eq!(facts_told((facts(&[1, 2, 3]), Ok(vec![1, 3]))), Vec::<String>::new());
        let missing = facts_told((facts(&[1]), Ok(vec![1, 3])));
        assert!(missing.len() == 1 && missing[0].contains("1 of 2") && missing[0].contains("[3]"), "{missing:?}");
        assert_eq!(facts_told((Ok(Facts::new()), Ok(vec![1]))).len(), 1);
        assert_eq!(facts_told((facts(&[]), Ok(Vec::new()))).len(), 1);
        assert_eq!(facts_told((Err(anyhow::anyhow!("gone")), Ok(vec![1]))).len(), 1);
    }

    #[test]
    fn nothing_is_left_out_because_of_a_fault_but_a_denial_with_a_reason() {
        let began = Instant::now();
        let at = |second: u64| began + Duration::from_secs(second);
        let second = |second, denied| {
            let begun_and_denied = [("PROPOSAL_EXPIRED".to_owned(), denied)].into();
            crate::Second { second, begun_and_denied, ..crate::Second::default() }
        };
        let window = Window { from: at(10), to: at(12) };
        let fault = Fault {
            at: Duration::from_secs(10),
            lasts: Duration::from_secs(1),
            trouble: super::super::Trouble::WipeBus,
        };
        let faults = [Healed::new(&fault, (Some(Duration::from_secs(1)), window), None)];
        let quiet = |seconds: Vec<crate::Second>| {
            let report = Report { began: Some(began), seconds, ..Report::default() };
            denied_in_quiet(&report, &faults, at(30)).iter().map(|own| own.count).sum::<u64>()
        };
        assert_eq!(quiet(vec![second(8, 1), second(9, 1), second(12, 1), second(13, 1)]), 1, "only second 8 is quiet");
        assert_eq!(quiet(vec![second(14, 2), second(28, 3), second(29, 5), second(40, 9)]), 5);
        let wrong = |unanswered, denied_in_quiet, untrue| Wrong { unanswered, denied_in_quiet, untrue };
        let told = |wrong: Wrong, offered| unanswered(wrong, offered, (&Report::default(), &[])).len();
        assert_eq!((told(wrong(5, 0, 0), 10_000), told(wrong(3, 2, 1), 10_000)), (0, 1), "5 of 10,000 are 0.05 %");
        assert_eq!(told(Wrong::default(), 0), 1, "a run without operations proves nothing");
    }

    #[test]
    fn epochs_only_grow() {
        let findings = Mutex::new(Vec::new());
        let mut newest = 0;
        for epoch in [1, 1, 2, 5] {
            grows(&findings, "x", &mut newest, epoch);
        }
        assert!(findings.lock().expect("not poisoned").is_empty());
        grows(&findings, "x", &mut newest, 4);
        assert_eq!(findings.lock().expect("not poisoned")[..], ["the epoch of x fell from 5 to 4"]);
    }
}
