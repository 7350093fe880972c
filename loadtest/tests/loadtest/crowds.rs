//! A crowd without a file of tokens: the key signs them, tiers are told apart, and turns repeat.

use crate::pretender::{Lie, Pretender};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tragen_loadtest::{Crowd, Issuer, Load, Run, Session, Setup};

/// RFC 8410: what precedes the 32 secret bytes of an Ed25519 key in PKCS #8.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_are_told_by_tier_and_only_who_acts_is_asked_about() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("token.pkcs8");
    std::fs::write(&key, [PKCS8_PREFIX.as_slice(), &[7; 32]].concat())?;
    let issuer = Issuer::read(&key)?;
    let crowd = Crowd::issued(issuer, "user-", 100_000).with_zipf(1.0, 3);
    let server = Pretender::start(Lie::None, Duration::ZERO).await?;
    // Nothing is paid in: the pretender gives credit.
    let setup = Setup { crowd: Arc::new(crowd), deposit_micros: 0, ..server.setup()? };
    let session = Session::open(setup).await?;
    let run = Run::new(Load::constant(300, 1_000), Duration::ZERO, Duration::from_secs(1));
    let report = session.run(run, |_| ()).await?;
    assert!(report.audit.is_passed() && report.is_without_errors(), "{report}");
    assert_eq!((report.accounts, report.ok), (100_000, 300));
    assert!(report.accounts_active > 50 && report.accounts_active < 300, "{}", report.accounts_active);
    assert_eq!(report.audit.accounts_compared, u64::try_from(report.accounts_active)?);
    let tiers: BTreeMap<_, _> = report.by_tier.iter().map(|(tier, part)| (tier.as_str(), part.ok)).collect();
    assert_eq!(tiers.values().sum::<u64>(), 300);
    // The busiest account is premium, the nine after it are standard.
    assert!(tiers["premium"] > 10 && tiers["standard"] > 10 && tiers["free"] > 100, "{tiers:?}");
    Ok(())
}
