//! Who leads: one key that ends two seconds after its last renewal. The lease
//! only chooses; what keeps a deposed leader from acting is the journal, which
//! takes nothing from a writer that has not seen its newest message.

use crate::config::Config;
use async_nats::jetstream::kv;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};
use tragen_bus::{Bucket, Bus, BusError};
use tragen_host::{Context, clock};

const KEY: &str = "guard";
/// How long an entry of the bucket lives.
const TTL: Duration = Duration::from_secs(2);

/// Proof of leading; ends with [`Lease::release`] or when another one leads.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    /// Resolves when another guard leads.
    pub(crate) lost: CancellationToken,
    /// Boot time of the last renewal, milliseconds.
    renewed_at_ms: Arc<AtomicU64>,
    revision: Arc<AtomicU64>,
    ended: CancellationToken,
}

impl Lease {
    /// Leads if nobody else does; `None` while somebody does, or the bus is away.
    pub(crate) async fn take(context: &Context, bus: &Bus, config: &Config) -> Option<Self> {
        let taken_at = clock::boot_time();
        match create(bus, &context.instance).await {
            Ok(Some(revision)) => {
                info!(instance = %context.instance, "{} leads", context.instance);
                let lease = Self {
                    lost: CancellationToken::new(),
                    renewed_at_ms: Arc::new(AtomicU64::new(millis(taken_at))),
                    revision: Arc::new(AtomicU64::new(revision)),
                    ended: CancellationToken::new(),
                };
                context.spawn("lease", lease.clone().renew(context.clone(), bus.clone(), config.lease_renew_ms));
                Some(lease)
            }
            Ok(None) => None,
            Err(error) => {
                debug!("asking for the lease: {error}");
                None
            }
        }
    }

    /// Whether nobody else can have taken the lease yet, on a clock that also runs while the
    /// machine is suspended.
    pub(crate) fn is_fresh(&self) -> bool {
        let age = millis(clock::boot_time()).saturating_sub(self.renewed_at_ms.load(Ordering::Relaxed));
        !self.lost.is_cancelled() && u128::from(age) < TTL.as_millis()
    }

    /// Gives the lease up, so that a standby need not wait for its end.
    pub(crate) async fn release(self, bus: &Bus) {
        self.ended.cancel();
        if self.lost.is_cancelled() {
            return;
        }
        let Ok(store) = bus.bucket(Bucket::Lease).await else { return };
        let revision = self.revision.load(Ordering::Relaxed);
        if let Err(error) = store.delete_expect_revision(KEY, Some(revision)).await {
            debug!("releasing the lease: {error}");
        }
    }

    async fn renew(self, context: Context, bus: Bus, every_ms: u64) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(Duration::from_millis(every_ms));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.ended.cancelled() => return Ok(()),
                _ = tick.tick() => {}
            }
            let renewing_at = clock::boot_time();
            let revision = self.revision.load(Ordering::Relaxed);
            match update(&bus, &context.instance, revision).await {
                Ok(Renewal::Renewed(revision)) => {
                    self.revision.store(revision, Ordering::Relaxed);
                    self.renewed_at_ms.store(millis(renewing_at), Ordering::Relaxed);
                }
                Ok(Renewal::TakenByAnother) => {
                    self.lost.cancel();
                    return Ok(());
                }
                // The bus is away: nobody can lead and nothing can be journaled.
                Err(error) => debug!("renewing the lease: {error}"),
            }
        }
    }
}

enum Renewal {
    Renewed(u64),
    TakenByAnother,
}

/// The new revision, or `None` if somebody leads.
async fn create(bus: &Bus, instance: &Arc<str>) -> Result<Option<u64>, LeaseError> {
    let store = bus.bucket(Bucket::Lease).await?;
    match store.create(KEY, instance.to_string().into()).await {
        Ok(revision) => Ok(Some(revision)),
        Err(error) if error.kind() == kv::CreateErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn update(bus: &Bus, instance: &Arc<str>, revision: u64) -> Result<Renewal, LeaseError> {
    let store = bus.bucket(Bucket::Lease).await?;
    match store.update(KEY, instance.to_string().into(), revision).await {
        Ok(revision) => return Ok(Renewal::Renewed(revision)),
        Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => {}
        Err(error) => return Err(error.into()),
    }
    // Ended or lost with the server's memory: whoever is there first leads on. A
    // renewal that was stored without an answer shows as our own entry.
    if let Some(revision) = create(bus, instance).await? {
        return Ok(Renewal::Renewed(revision));
    }
    match store.entry(KEY).await? {
        Some(entry) if entry.value.as_ref() == instance.as_bytes() => Ok(Renewal::Renewed(entry.revision)),
        Some(_) => Ok(Renewal::TakenByAnother),
        None => Err(LeaseError::Gone),
    }
}

#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Create(#[from] kv::CreateError),
    #[error(transparent)]
    Update(#[from] kv::UpdateError),
    #[error(transparent)]
    Entry(#[from] kv::EntryError),
    #[error("the entry is gone")]
    Gone,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
