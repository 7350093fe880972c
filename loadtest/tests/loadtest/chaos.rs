//! Five minutes of chaos against the real platform: the same that runs for hours by hand.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tragen_loadtest::{Chaos, Felt, Healed, chaos, repository_tools};

/// The command `tragen`: the one that is named, the one of this build, or one that is built now.
fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("TRAGEN_PROGRAM") {
        return named.into();
    }
    let own = std::env::current_exe().expect("a program");
    let beside = own.ancestors().nth(2).expect("a target folder").join("tragen");
    if !beside.exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut build = Command::new(env!("CARGO"));
        let built = build.args(["build", "-p", "tragen", "--bin", "tragen"]).current_dir(root);
        assert!(built.status().expect("cargo").success(), "cargo build -p tragen");
    }
    beside
}

/// Within this everything trades again.
const RECOVERY_MS_MAX: u64 = 10_000;
/// The invariant that says so.
const RECOVERIES: &str = "I4: everything trades again within 10 s of a fault's end";

/// The invariant that says how many may be answered wrongly.
const ANSWERED: &str = "I4: at least 99.95 % of all operations are answered rightly, if need be by repeating them";

/// Plays the fault that was recovered from late once more and alone: a neighbor may have had the cores before. This
/// time it must be recovered from in time.
async fn again(plan: &Chaos, late: &Healed) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (kind, _) = late.fault.rsplit_once(" for ").expect("how long it lasted");
    let (length, only) = (plan.every, kind.to_owned());
    let alone = Chaos { length, only, folder: folder.path().join("chaos"), ..plan.clone() };
    eprintln!("{}: {late}; once more", late.fault);
    let report = chaos(&alone, |line| eprintln!("{line}")).await?;
    let [fault] = &report.faults[..] else { panic!("one fault was to be played: {report}") };
    assert!(fault.recovered_ms.is_some_and(|ms| ms <= RECOVERY_MS_MAX), "late twice: {report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_whatever_is_killed_frozen_cut_or_wiped() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plan = Chaos {
        seed: 6,
        // Time for every kind of fault once.
        length: Duration::from_secs(300),
        every: Duration::from_secs(8),
        per_second: 20,
        accounts: 50,
        program: program(),
        tools: repository_tools(),
        folder: folder.path().join("chaos"),
        only: String::new(),
    };
    let report = chaos(&plan, |line| eprintln!("{line}")).await?;
    for late in report.faults.iter().filter(|fault| fault.recovered_ms.is_none_or(|ms| ms > RECOVERY_MS_MAX)) {
        again(&plan, late).await?;
    }
    // How much slower others are, and what was too late for its deadline, is not judged here, only measured: other tests
    // share the cores. By hand it is.
    let is_judged = |name: &str| !name.starts_with("I9") && ![RECOVERIES, ANSWERED].contains(&name);
    let broken = report.invariants.iter().filter(|own| is_judged(&own.name) && !own.findings.is_empty());
    assert_eq!(broken.count(), 0, "{report}");
    // This build has clocks that jump, so there is nothing that cannot be played.
    assert_eq!((&report.unplayed[..], &report.impossible[..]), (&[][..], &[][..]), "{report}");
    assert!(report.faults.iter().all(|fault| fault.trouble.is_none()), "{report}");
    assert!(report.faults.iter().all(|fault| fault.recovered_ms.is_some()), "{report}");
    assert!(report.invariants.iter().any(|own| own.name == RECOVERIES), "{report}");
    let late = report.quiet_denials.iter().filter(|own| own.code == "PROPOSAL_EXPIRED").map(|own| own.count);
    let wrong = report.wrong.sum() - late.sum::<u64>();
    assert!(report.offered > 5_000 && wrong * 2_000 <= report.offered, "{report}");
    assert!(report.invariants.iter().any(|own| own.name == ANSWERED), "{report}");
    let felt = report.faults.iter().flat_map(|fault| &fault.others);
    assert!(felt.filter(|others| others.standing != Felt::TooFew).count() > 5, "{report}");
    Ok(())
}
