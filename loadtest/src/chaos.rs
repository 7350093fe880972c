//! Everything in processes of its own, a load, and faults by a seeded schedule. While
//! it goes on, faults end and things come up again; afterwards the invariants of the
//! platform are checked from outside: API, database and bus.

mod bus;
mod bystander;
mod clock;
mod deposit;
mod fault;
mod limits;
mod operators;
mod others;
mod probe;
mod process;
mod verdict;
mod wire;
mod world;

pub use fault::{Fault, Jump, Part, Server, Trouble};
pub use limits::Limits;
pub use others::{Felt, Others};
pub use verdict::{ChaosReport, Healed, Invariant, QuietDenials, Wrong};
pub use wire::Traffic;

use crate::{Crowd, Issuer, Load, Mix, Run, Session, Setup, load::Stop, session::PATIENCE};
use anyhow::Context as _;
use bus::Bus;
use bystander::Bystander;
use clock::Clocks;
use limits::Pressing;
use operators::Operators;
use others::{Baseline, Window};
use probe::Probe;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use verdict::{Seen, Watch};
use world::World;

/// How long an attempt of a client may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(4);
/// How long a client goes on asking for the same.
const CLIENT_PATIENCE: Duration = Duration::from_secs(60);
/// Of a hundred trades so many are asked for twice at once.
const DOUBLED_PERCENT: u64 = 5;
/// Load before the first fault.
const WARM_UP: Duration = Duration::from_secs(3);
/// Load after the last fault, for its recovery and for the halt.
const END: Duration = Duration::from_secs(6);
/// Whatever recoveries take, faults are played for no longer than so many times the length.
const LONGER_MAX: u32 = 3;
/// Operations in flight at most: clients of a dead platform wait.
const IN_FLIGHT_MAX: usize = 4_000;

/// What is played.
#[derive(Debug, Clone)]
pub struct Chaos {
    /// The same seed plays the same faults.
    pub seed: u64,
    /// How long faults are made; longer where recoveries take longer than the pauses, so that none is left out.
    pub length: Duration,
    /// From the beginning of one fault to the next.
    pub every: Duration,
    /// Operations started per second.
    pub per_second: u32,
    /// Accounts.
    pub accounts: usize,
    /// The built command `tragen`.
    pub program: PathBuf,
    /// The folder `tools` of the repository, whose `serve` starts servers.
    pub tools: PathBuf,
    /// Where everything is kept; it must be empty or missing.
    pub folder: PathBuf,
    /// Only faults whose text contains this; all if empty.
    pub only: String,
}

/// Plays it; `progress` is given a line for everything that happens.
///
/// # Errors
/// When the platform cannot be started, or cannot be asked any more in the end.
pub async fn chaos(chaos: &Chaos, progress: impl Fn(&str)) -> anyhow::Result<ChaosReport> {
    let folder = std::path::absolute(&chaos.folder).context("finding the folder")?;
    let clocks = Clocks::of(&chaos.program, &folder)?;
    let (troubles, impossible) = fault::kinds(&clocks, &chaos.only);
    if !impossible.is_empty() {
        progress("this build has the machine's clock: no clock jumps (`make chaos` builds one that has them)");
    }
    anyhow::ensure!(!troubles.is_empty(), "no fault is called {:?}, or this build cannot have it", chaos.only);
    let named = |kinds: &[Trouble]| kinds.iter().map(ToString::to_string).collect();
    let kinds = (named(&troubles), named(&impossible));
    let faults = fault::schedule(chaos.seed, (chaos.length, chaos.every), &troubles);
    let mut world = World::start(chaos, clocks).await.context("starting the platform")?;
    let issuer = Issuer::read(&world.signing_key())?;
    let operators = Operators::new(world.endpoint(), issuer.clone())?;
    let session = Session::open(setup(chaos, &world, &issuer)).await.context("opening the load")?;
    let bus = Bus::connect(&world.bus_address()).await?;
    let watch = Watch::start(&world.database_url(), operators.clone());
    let instrument = session.instrument();
    let probe = Probe::new(world.endpoint(), &issuer, &instrument.instrument_id).await?;
    let addresses = (world.endpoint(), world.database_url());
    let pressing = Pressing::start((addresses.0, &addresses.1), &issuer, instrument).await?;
    let bystander = Bystander::start(world.endpoint(), &issuer, instrument).await?;
    progress(&format!("seed {}: {} faults in {} s", chaos.seed, faults.len(), chaos.length.as_secs()));

    let longest = chaos.length * LONGER_MAX;
    let run = Run::new(Load::constant(chaos.per_second, IN_FLIGHT_MAX), WARM_UP, longest + END);
    let (over, halting) = tokio::sync::oneshot::channel();
    let (halting, stop) = (async { drop(halting.await) }, Stop::default());
    let playing = async {
        let healed = play(&mut world, (&probe, &bus), (&faults, longest), &progress).await;
        // Only now: whoever waits for a recovery resumes what is halted.
        let halted = Instant::now();
        let _ = over.send(());
        tokio::time::sleep(END).await;
        stop.now();
        (healed, halted)
    };
    let (report, (mut healed, halted)) =
        tokio::join!(session.run_halting(run, (Some(halting), stop.clone()), |_| ()), playing);
    let report = report.context("the load")?;
    let (samples, limits) = (bystander.end(), pressing.end());
    let windows: Vec<Window> = healed.iter().map(|own| own.window).collect();
    let baseline = Baseline::of(&samples, &windows, halted);
    for (healed, fault) in healed.iter_mut().zip(&faults) {
        healed.others = baseline.others(&samples, fault.trouble, healed.window);
    }
    world.revive().await.context("starting what is dead")?;
    let proof = session.prove(&[world.database_url()]).await.context("proving the record")?;
    let verified = world.verify();
    // The books first: what is booked after they were read need not be on the bus yet.
    let booked = verdict::booked_facts(&world.database_url()).await;
    let facts = (bus.facts().await, booked);
    let (epochs, restarts) = (watch.end(), world.restarts());
    let seen = Seen { epochs, verified, facts, limits, restarts, halted, kinds };
    Ok(verdict::judge(chaos, (report, proof), healed, seen))
}

/// Plays the schedule; each fault begins at its time, or as soon as the one before it is recovered from.
async fn play(
    world: &mut World,
    (probe, bus): (&Probe, &Bus),
    (faults, longest): (&[Fault], Duration),
    progress: &impl Fn(&str),
) -> Vec<Healed> {
    let began = Instant::now();
    let mut healed = Vec::new();
    for fault in faults {
        if began.elapsed() > WARM_UP + longest {
            progress("  what is left of the schedule comes too late and is not played");
            break;
        }
        tokio::time::sleep_until((began + WARM_UP + fault.at).into()).await;
        progress(&format!("{:>5} s  {fault}", began.elapsed().as_secs()));
        let from = Instant::now();
        let end = world.play(fault, bus).await;
        let trouble = end.err().map(|error| format!("{error:#}"));
        let recovered = probe.recovered(world).await;
        let line = Healed::new(fault, (recovered, Window { from, to: Instant::now() }), trouble);
        progress(&format!("{:>5} s    {line}", began.elapsed().as_secs()));
        healed.push(line);
    }
    healed
}

fn setup(chaos: &Chaos, world: &World, issuer: &Issuer) -> Setup {
    Setup {
        endpoint: world.endpoint().to_owned(),
        crowd: Arc::new(Crowd::issued(issuer.clone(), "chaos-", chaos.accounts).with_zipf(0.5, chaos.seed)),
        issuer: Some(issuer.clone()),
        mix: Mix::USERS,
        connections: 2,
        instrument_id: None,
        quantity_micros: None,
        deposit_micros: 10_000_000_000,
        deadline: ATTEMPT_MAX,
        retry_for: CLIENT_PATIENCE,
        doubled_percent: DOUBLED_PERCENT,
        audit_trades_max: 0,
        audit_transfers_of_max: 4,
        patience: PATIENCE,
        record: Some(chaos.folder.join("record.jsonl")),
        watched: Vec::new(),
    }
}

/// The folder `tools` beside this crate's sources, for whoever runs it from the repository.
#[must_use]
pub fn repository_tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools")
}
