//! The audit passes an honest server and names what a dishonest one did.

use crate::pretender::{Lie, Pretender};
use std::time::Duration;
use tragen_loadtest::{Load, Report, Run, Session};

async fn run(lie: Lie) -> anyhow::Result<Report> {
    let server = Pretender::start(lie, Duration::ZERO).await?;
    let session = Session::open(server.setup()?).await?;
    let load = Load::Closed { in_flight: 8 };
    let run = Run::new(load, Duration::ZERO, Duration::from_millis(200));
    session.run(run, |_| ()).await
}

async fn check(lie: Lie, told: &str) {
    let report = run(lie).await.expect("runs");
    assert!(!report.audit.is_passed(), "{lie:?} was not found: {report}");
    let findings = &report.audit.findings;
    assert!(findings.iter().any(|finding| finding.contains(told)), "{lie:?}: {findings:?}");
    assert!(report.audit.findings_count >= findings.len() && findings.len() <= 20);
}

#[tokio::test]
async fn an_honest_server_passes() -> anyhow::Result<()> {
    let report = run(Lie::None).await?;
    assert!(report.audit.is_passed() && report.is_without_errors(), "{report}");
    assert_eq!(report.instrument_id, "QUOTED");
    assert_eq!((report.offered, report.ok_by_status["FILLED"]), (report.ok, report.ok));
    assert!(report.ok > 100, "{report}");
    assert_eq!((report.audit.trades_compared, report.audit.accounts_compared), (report.ok, 3));
    assert_eq!(report.audit.transfers_added, report.ok + 3, "each trade and each deposit is a transfer here");
    Ok(())
}

#[tokio::test]
async fn a_lost_a_changed_and_a_mixed_up_trade_are_found() {
    check(Lie::ForgetsTrades, "was answered and is not to be had").await;
    check(Lie::RewritesTrades, "is now").await;
    check(Lie::MixesUpAnswers, "was answered with another trade").await;
}

#[tokio::test]
async fn money_that_is_not_where_the_answers_say_is_found() {
    check(Lie::ChargesTwice, "where the answers add up to").await;
    check(Lie::HidesTransfers, "where its transfers add up to").await;
}

#[tokio::test]
async fn a_trade_whose_answer_was_lost_is_found_and_counted() -> anyhow::Result<()> {
    let report = run(Lie::WithholdsAnswers).await?;
    assert!(report.audit.is_passed(), "{report}");
    assert!(!report.is_without_errors());
    assert_eq!((report.errors_by_code["UNAVAILABLE"], report.audit.recovered), (report.errors, report.errors));
    Ok(())
}

#[tokio::test]
async fn a_refused_trade_is_an_error_and_moves_nothing() -> anyhow::Result<()> {
    let report = run(Lie::Refuses).await?;
    assert!(report.audit.is_passed(), "{report}");
    assert_eq!(report.errors_by_code["RESOURCE_EXHAUSTED"], report.errors);
    assert_eq!((report.offered, report.audit.recovered), (report.ok + report.errors, 0));
    Ok(())
}
