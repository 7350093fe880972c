//! Five minutes of chaos against the real platform: the same that runs for hours by hand.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tragen_loadtest::{Chaos, chaos, repository_tools};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_whatever_is_killed_frozen_cut_or_wiped() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plan = Chaos {
        seed: 6,
        // Time for every kind of fault once; one that takes long to recover from leaves out the last ones.
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
    // How fast everything comes back is not judged here: other tests share the cores. By hand it is.
    let broken = report.invariants.iter().filter(|own| !own.name.starts_with("I4") && !own.findings.is_empty());
    assert_eq!(broken.count(), 0, "{report}");
    assert!(report.faults.iter().all(|fault| fault.recovered_ms.is_some()), "{report}");
    assert!(report.faults.len() >= 15 && report.offered > 4_000, "{report}");
    Ok(())
}
