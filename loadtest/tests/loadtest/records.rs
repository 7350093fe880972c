//! The record proves an honest server and names what a dishonest one did.

use crate::pretender::{Lie, Pretender};
use std::time::Duration;
use tragen_loadtest::{Load, Mix, Proof, Report, Run, Session, Setup};

async fn run(lie: Lie, mix: Mix) -> anyhow::Result<(Report, Proof)> {
    let folder = tempfile::tempdir()?;
    let server = Pretender::start(lie, Duration::ZERO).await?;
    let record = Some(folder.path().join("record.jsonl"));
    let setup = Setup { record, mix, deposit_micros: 1_000_000_000_000, ..server.setup()? };
    let session = Session::open(setup).await?;
    // Of a mix there must be some of each kind.
    let length = Duration::from_millis(if mix == Mix::ORDERS { 300 } else { 1_000 });
    let run = Run::new(Load::Closed { in_flight: 4 }, Duration::ZERO, length);
    let report = session.run(run, |_| ()).await?;
    let proof = session.prove(&[]).await?.expect("a record");
    Ok((report, proof))
}

async fn proof(lie: Lie, mix: Mix) -> anyhow::Result<(u64, Proof)> {
    let (report, proof) = run(lie, mix).await?;
    let trades =
        ["order", "mandate"].iter().filter_map(|kind| report.by_operation.get(*kind)).map(|part| part.ok).sum();
    Ok((trades, proof))
}

#[tokio::test]
async fn an_honest_server_is_proved_with_every_kind_of_operation() -> anyhow::Result<()> {
    let (trades, proof) = proof(Lie::None, Mix::USERS).await?;
    assert!(proof.is_passed(), "{proof}");
    assert!(trades > 50, "{proof}");
    assert_eq!((proof.requests, proof.answered, proof.proved), (trades, trades, trades), "{proof}");
    Ok(())
}

#[tokio::test]
async fn a_withheld_answer_is_recovered_and_a_refusal_never_arrived() -> anyhow::Result<()> {
    let (_, withheld) = proof(Lie::WithholdsAnswers, Mix::ORDERS).await?;
    assert!(withheld.is_passed() && withheld.recovered > 0 && withheld.never_arrived == 0, "{withheld}");
    let (_, refused) = proof(Lie::Refuses, Mix::ORDERS).await?;
    assert!(refused.is_passed() && refused.never_arrived > 0 && refused.recovered == 0, "{refused}");
    Ok(())
}

#[tokio::test]
async fn an_order_that_rests_when_its_caller_has_given_up_is_no_broken_promise() -> anyhow::Result<()> {
    // Of seven orders one rests, of ten answers one is withheld: some orders rest and nobody was told.
    let (report, proof) = run(Lie::WithholdsAnswers, Mix::USERS).await?;
    assert!(report.audit.is_passed() && report.audit.left_resting > 0, "{report}");
    assert!(proof.is_passed() && proof.recovered >= report.audit.left_resting, "{proof}");
    Ok(())
}

#[tokio::test]
async fn an_order_that_rests_and_cannot_be_ended_or_should_not_rest_is_named() -> anyhow::Result<()> {
    for (lie, mix) in [(Lie::KeepsResting, Mix::USERS), (Lie::LeavesResting, Mix::ORDERS)] {
        let (report, proof) = run(lie, mix).await?;
        assert!(report.audit.findings.iter().any(|finding| finding.contains("do not end")), "{lie:?}: {report}");
        assert!(proof.findings.iter().any(|finding| finding.contains("does not end")), "{lie:?}: {proof}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_forgotten_rewritten_or_invented_is_named() -> anyhow::Result<()> {
    for (lie, told) in [
        (Lie::ForgetsTrades, "is not in the ledger"),
        (Lie::RewritesTrades, "and is now"),
        (Lie::BooksTwice, "is in the ledger 2 times"),
        (Lie::InventsTrades, "which nobody made"),
    ] {
        let (_, proof) = proof(lie, Mix::ORDERS).await?;
        let findings = &proof.findings;
        assert!(!proof.is_passed() && findings.iter().any(|finding| finding.contains(told)), "{lie:?}: {proof}");
    }
    Ok(())
}
