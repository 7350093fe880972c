//! Every scenario file can be read and played, and its goals are judged.

use crate::pretender::{Lie, Pretender};
use std::{path::Path, time::Duration};
use tragen_loadtest::{Bounds, Kpi, Mix, Run, Scenario, Session, Setup, Standing, page, sweep};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

#[test]
fn every_scenario_can_be_read() -> anyhow::Result<()> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder())? {
        let path = entry?.path();
        let scenario = Scenario::read(&path)?;
        assert!(scenario.run().is_ok() && scenario.kpi.contains_key(&Kpi::BrokenPromises), "{}", path.display());
        names.push(path.file_stem().expect("a name").to_string_lossy().into_owned());
    }
    names.sort();
    let expected = [
        "enterprise",
        "halt_under_load",
        "medium_deployment",
        "million_users",
        "single_agent",
        "small_portfolio",
        "spike",
    ];
    assert_eq!(names, expected);
    Ok(())
}

#[test]
fn a_wrong_key_is_refused_with_file_and_line() -> anyhow::Result<()> {
    let folder_of_test = tempfile::tempdir()?;
    let file = folder_of_test.path().join("wrong.toml");
    let text = std::fs::read_to_string(folder().join("spike.toml"))?.replace("spike_secs", "spike_seconds");
    let line = text.lines().position(|line| line.starts_with("spike_seconds")).expect("a line") + 1;
    std::fs::write(&file, text)?;
    let refused = Scenario::read(&file).expect_err("refused").to_string();
    assert!(refused.contains(&format!("wrong.toml:{line}: ")) && refused.contains("spike_seconds"), "{refused}");
    Ok(())
}

/// The users of the scenario's mix against the pretender for a second.
async fn play(lie: Lie) -> anyhow::Result<Vec<(Kpi, Standing)>> {
    let scenario = Scenario::read(&folder().join("small_portfolio.toml"))?;
    let server = Pretender::start(lie, Duration::ZERO).await?;
    let session = Session::open(Setup { mix: scenario.mix, ..server.setup()? }).await?;
    let run = Run { warm_up: Duration::ZERO, measured: Duration::from_secs(1), ..scenario.run()? };
    let report = session.run(run, |_| ()).await?;
    let verdicts = scenario.verdicts(&report);
    let html = page(&scenario.name, &[(report.clone(), verdicts.clone())]);
    assert!(html.contains("<svg") && html.contains("By operation") && html.contains("trades_per_second"));
    assert_eq!(report.by_operation.keys().collect::<Vec<_>>(), ["cancel", "mandate", "order", "read"]);
    assert!(report.usage.processes.iter().any(|process| process.name == "load test" && process.rss_bytes_max > 0));
    assert!(report.seconds.iter().map(|second| second.offered).sum::<u64>() >= 130);
    Ok(verdicts.into_iter().map(|verdict| (verdict.kpi, verdict.standing)).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goals_are_met_or_missed() -> anyhow::Result<()> {
    let honest = play(Lie::None).await?;
    assert!(honest.contains(&(Kpi::ErrorPpm, Standing::Met)), "{honest:?}");
    assert!(honest.contains(&(Kpi::BrokenPromises, Standing::Met)), "{honest:?}");
    let refusing = play(Lie::Refuses).await?;
    assert!(refusing.contains(&(Kpi::ErrorPpm, Standing::Failed)), "{refusing:?}");
    let lying = play(Lie::ChargesTwice).await?;
    assert!(lying.contains(&(Kpi::BrokenPromises, Standing::Failed)), "{lying:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_stops_where_failures_begin() -> anyhow::Result<()> {
    let bounds = Bounds {
        p99_micros_max: 10_000_000,
        from_per_second: 20,
        to_per_second: 40,
        exact_to_percent: 50,
        warm_up: Duration::ZERO,
        measured: Duration::from_secs(1),
    };
    let honest = Pretender::start(Lie::None, Duration::ZERO).await?;
    let session = Session::open(Setup { mix: Mix::ORDERS, ..honest.setup()? }).await?;
    let curve = sweep(&session, bounds, |_| ()).await?;
    let tried: Vec<_> = curve.steps.iter().map(|step| (step.per_second, step.reason.as_str())).collect();
    assert_eq!((curve.sustained_per_second, tried), (40, vec![(20, ""), (40, "")]));

    // Every tenth request of an account fails: three accounts at 20/s have some within the second.
    let refusing = Pretender::start(Lie::Refuses, Duration::ZERO).await?;
    let session = Session::open(Setup { mix: Mix::ORDERS, ..refusing.setup()? }).await?;
    let curve = sweep(&session, Bounds { from_per_second: 60, to_per_second: 60, ..bounds }, |_| ()).await?;
    assert!(curve.sustained_per_second < 60 && curve.steps[0].reason.contains("operations failed"), "{curve}");
    Ok(())
}
