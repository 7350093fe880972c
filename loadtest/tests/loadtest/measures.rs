//! An open loop starts what the schedule says and feels what callers would.

use crate::pretender::{Lie, Pretender};
use std::{sync::Mutex, time::Duration};
use tragen_loadtest::{Load, Report, Run, Session};

const SECOND: Duration = Duration::from_secs(1);

async fn open_loop(stall: Duration, in_flight_max: usize, warm_up: Duration) -> anyhow::Result<Report> {
    let server = Pretender::start(Lie::None, stall).await?;
    let session = Session::open(server.setup()?).await?;
    let load = Load::constant(200, in_flight_max);
    session.run(Run::new(load, warm_up, SECOND), |_| ()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schedule_is_kept_and_the_warm_up_is_not_measured() -> anyhow::Result<()> {
    let report = open_loop(Duration::ZERO, 100, SECOND / 2).await?;
    assert!(report.audit.is_passed() && report.is_without_errors(), "{report}");
    assert_eq!(report.audit.trades_compared, 300, "warm-up and measured");
    // The clocks of the load and of the figures start a moment apart.
    assert!(report.ok.abs_diff(200) <= 20, "{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_is_felt_by_everyone_who_would_have_come_meanwhile() -> anyhow::Result<()> {
    // Nobody is answered for the first 600 ms; with 2 in flight the others cannot even be sent.
    let stall = 6 * SECOND / 10;
    for in_flight_max in [1_000, 2] {
        let report = open_loop(stall, in_flight_max, Duration::ZERO).await?;
        assert_eq!((report.offered, report.ok), (200, 200), "{report}");
        assert!(report.latency.max_micros >= 590_000, "{report}");
        assert!(report.latency.p50_micros >= 90_000, "half of all came in the first 500 ms: {report}");
    }
    Ok(())
}

#[tokio::test]
async fn a_session_runs_again_and_each_second_is_told() -> anyhow::Result<()> {
    let server = Pretender::start(Lie::None, Duration::ZERO).await?;
    let session = Session::open(server.setup()?).await?;
    let told = Mutex::new(Vec::new());
    let mut reports = Vec::new();
    for in_flight in [1, 4] {
        let run = Run::new(Load::Closed { in_flight }, Duration::ZERO, SECOND + SECOND / 10);
        reports.push(session.run(run, |line| told.lock().expect("not poisoned").push(line.to_owned())).await?);
    }
    assert!(reports.iter().all(|report| report.audit.is_passed()), "{reports:?}");
    assert_eq!(told.lock().expect("not poisoned").len(), 2);
    let table = Report::markdown(&reports);
    assert_eq!(table.lines().count(), 4);
    assert!(table.contains("| 1 in flight | ") && table.contains("| 4 in flight | ") && table.contains("passed"));
    Ok(())
}
