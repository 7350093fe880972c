//! Obeying the guard: the newest trading state, a lease that proves the guard
//! is alive, and the answer that a halt was heard.
//!
//! A worker starts halted. It may propose only while it knows the state and
//! holds a lease, both measured on a clock that never jumps.

mod in_hand;

pub(crate) use in_hand::{Held, Thing};

use crate::{config::Config, registry::Registry};
use anyhow::Context as _;
use futures::StreamExt as _;
use in_hand::InHand;
use std::{
    sync::{Arc, OnceLock, RwLock},
    time::Duration,
};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};
use tragen_bus::{Ask, Bucket, Bus, CoreSubject};
use tragen_contracts::v1;
use tragen_host::{Context, clock};

/// The key of the trading state in its bucket.
const STATE_KEY: &str = "state";
/// How often presence is renewed; entries end after five seconds.
const PRESENCE_INTERVAL: Duration = Duration::from_secs(1);

/// Steps of reductions that may wait in the worker; what does not fit is handed out again.
const SLICES_MAX: usize = 1_024;

/// A kind of scope and which one.
pub(crate) type Scoped = (v1::ScopeKind, String);

/// What the worker may do now; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    context: Context,
    bus: Bus,
    known: RwLock<Known>,
    changed: watch::Sender<u64>,
    in_hand: InHand,
    slices: mpsc::Sender<v1::ReductionSlice>,
    /// Set once it is there: what is counted at a halt.
    agents: OnceLock<Registry>,
}

#[derive(Debug, Default)]
struct Known {
    state: Option<v1::ControlState>,
    lease_until: Duration,
}

/// Whether work may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Yes, unless the scope is halted (see [`Control::state_of`]).
    Granted,
    /// The guard has not been heard of in time: take no work.
    GuardSilent,
}

impl Control {
    /// Also where steps of reductions arrive.
    pub(crate) async fn start(
        context: &Context,
        bus: &Bus,
        config: &Config,
    ) -> anyhow::Result<(Self, mpsc::Receiver<v1::ReductionSlice>)> {
        let (slices, handed) = mpsc::channel(SLICES_MAX);
        let inner = Inner {
            context: context.clone(),
            bus: bus.clone(),
            known: RwLock::default(),
            changed: watch::Sender::new(0),
            in_hand: InHand::default(),
            slices,
            agents: OnceLock::new(),
        };
        let control = Self { inner: Arc::new(inner) };
        let heard = bus.listen::<v1::ControlState>(&CoreSubject::ControlState).await?;
        let listener = control.clone();
        context.spawn("control-listen", async move { listener.listen(heard).await });
        let watcher = control.clone();
        context.spawn("control-watch", async move { watcher.watch_bucket().await });
        let (lease, interval) = (control.clone(), Duration::from_millis(config.lease_interval_ms));
        context.spawn("control-lease", async move { lease.keep_lease(interval).await });
        let presence = control.clone();
        context.spawn("control-presence", async move { presence.keep_presence().await });
        Ok((control, handed))
    }

    /// Counts these agents at a halt from now on.
    pub(crate) fn count_agents(&self, agents: &Registry) {
        let _ = self.inner.agents.set(agents.clone());
    }

    /// Something is in hand until the answer is dropped.
    pub(crate) fn hold(&self, thing: Thing, scopes: Vec<Scoped>) -> Held {
        self.inner.in_hand.take(thing, scopes)
    }

    /// Whether anything of `scopes` is halted, or the state is unknown.
    pub(crate) fn is_halted(&self, scopes: &[Scoped]) -> bool {
        self.read().state.as_ref().is_none_or(|state| is_halted(state, scopes))
    }

    /// Whether the guard is known to be alive.
    pub(crate) fn permission(&self) -> Permission {
        let known = self.read();
        let is_leased = known.state.is_some() && clock::boot_time() < known.lease_until;
        if is_leased { Permission::Granted } else { Permission::GuardSilent }
    }

    /// Waits until the guard is known to be alive.
    pub(crate) async fn wait_granted(&self) {
        let mut changes = self.inner.changed.subscribe();
        while self.permission() == Permission::GuardSilent {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until the guard has not been heard of in time.
    pub(crate) async fn wait_silent(&self) {
        loop {
            let lease_until = self.read().lease_until;
            let Some(left) = lease_until.checked_sub(clock::boot_time()) else { return };
            tokio::time::sleep(left).await;
        }
    }

    /// The most severe state of `scopes` (kind and id) and of everything, with its reason.
    pub(crate) fn state_of(&self, scopes: &[(v1::ScopeKind, &str)]) -> (v1::TradingState, String) {
        let known = self.read();
        let Some(state) = &known.state else { return (v1::TradingState::Halted, "the state is unknown".to_owned()) };
        let matching = state.scopes.iter().filter(|candidate| {
            let Some(scope) = &candidate.scope else { return false };
            scope.kind() == v1::ScopeKind::Global
                || scopes.iter().any(|(kind, id)| scope.kind() == *kind && scope.id == *id)
        });
        matching
            .max_by_key(|candidate| candidate.state)
            .map_or((v1::TradingState::Active, String::new()), |worst| (worst.state(), worst.reason.clone()))
    }

    /// Says ready as soon as the state is known and leased, not ready when it is not.
    pub(crate) fn announce_ready(&self) {
        let control = self.clone();
        let context = self.inner.context.clone();
        context.clone().spawn("control-ready", async move {
            let stopped = context.stopped();
            tokio::pin!(stopped);
            let mut tick = tokio::time::interval(Duration::from_millis(100));
            let mut changes = control.inner.changed.subscribe();
            loop {
                match control.permission() {
                    Permission::Granted => context.set_ready(),
                    Permission::GuardSilent => context.set_not_ready("the guard is silent"),
                }
                tokio::select! {
                    () = &mut stopped => return Ok(()),
                    _ = tick.tick() => {}
                    _ = changes.changed() => {}
                }
            }
        });
    }

    async fn listen(&self, mut heard: impl futures::Stream<Item = v1::ControlState> + Unpin) -> anyhow::Result<()> {
        let stopped = self.inner.context.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return Ok(()),
                state = heard.next() => match state {
                    Some(state) => self.take(state).await,
                    None => anyhow::bail!("the subscription to the trading state ended"),
                },
            }
        }
    }

    /// The bucket is the certain way: it is read at the start, on every change
    /// and after every reconnect.
    async fn watch_bucket(&self) -> anyhow::Result<()> {
        let bucket = self.inner.bus.bucket(Bucket::Control).await.context("opening the control bucket")?;
        let mut connections = self.inner.bus.connections();
        let stopped = self.inner.context.stopped();
        tokio::pin!(stopped);
        loop {
            connections.borrow_and_update();
            if let Ok(Some(bytes)) = bucket.get(STATE_KEY).await {
                self.take_bytes(&bytes).await;
            }
            let Ok(mut changes) = bucket.watch(STATE_KEY).await else {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            };
            loop {
                tokio::select! {
                    () = &mut stopped => return Ok(()),
                    _ = connections.changed() => break,
                    change = changes.next() => match change {
                        Some(Ok(entry)) => self.take_bytes(&entry.value).await,
                        Some(Err(_)) | None => break,
                    },
                }
            }
        }
    }

    async fn keep_lease(&self, interval: Duration) -> anyhow::Result<()> {
        let stopped = self.inner.context.stopped();
        tokio::pin!(stopped);
        let mut tick = tokio::time::interval(interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut nonce = 0;
        loop {
            tokio::select! {
                () = &mut stopped => return Ok(()),
                _ = tick.tick() => {}
            }
            nonce += 1;
            let asked_at = clock::boot_time();
            let question =
                v1::LeaseQuestion { worker_id: self.inner.context.instance.to_string(), nonce, epoch: self.epoch() };
            let answer: Result<v1::LeaseAnswer, _> =
                self.inner.bus.ask(Ask::Lease, &question, Duration::from_millis(500)).await;
            let Ok(answer) = answer else { continue };
            if answer.nonce != nonce {
                continue;
            }
            // Valid from the send of the question: a slow answer cannot stretch it.
            let valid_for = Duration::from_millis(u64::try_from(answer.valid_for_ms).unwrap_or(0));
            if let Some(state) = answer.state {
                self.take(state).await;
            }
            self.write().lease_until = asked_at + valid_for;
            for slice in answer.slices {
                let _ = self.inner.slices.try_send(slice);
            }
            self.inner.changed.send_modify(|version| *version += 1);
        }
    }

    async fn keep_presence(&self) -> anyhow::Result<()> {
        let workers = self.inner.bus.bucket(Bucket::Workers).await.context("opening the workers bucket")?;
        let stopped = self.inner.context.stopped();
        tokio::pin!(stopped);
        let mut tick = tokio::time::interval(PRESENCE_INTERVAL);
        loop {
            tokio::select! {
                () = &mut stopped => {
                    let _ = workers.delete(&*self.inner.context.instance).await;
                    return Ok(());
                }
                _ = tick.tick() => {}
            }
            if let Err(error) = workers.put(&*self.inner.context.instance, "here".into()).await {
                warn!("presence could not be renewed: {error}");
            }
        }
    }

    async fn take_bytes(&self, bytes: &[u8]) {
        match <v1::ControlState as prost::Message>::decode(bytes) {
            Ok(state) => self.take(state).await,
            Err(error) => warn!("a malformed trading state: {error}"),
        }
    }

    /// Takes a state unless a newer one is known, and answers that it was heard.
    async fn take(&self, state: v1::ControlState) {
        let epoch = state.epoch;
        let ack;
        {
            let mut known = self.write();
            if known.state.as_ref().is_some_and(|current| current.epoch >= epoch) {
                return;
            }
            ack = self.ack(known.state.as_ref(), &state);
            info!(epoch, scopes = state.scopes.len(), "trading state of epoch {epoch}: {}", summary(&state));
            known.state = Some(state);
        }
        self.inner.changed.send_modify(|version| *version += 1);
        let worker = ack.worker_id.clone();
        if let Err(error) = self.inner.bus.broadcast(&CoreSubject::ControlAck { epoch, worker }, &ack).await {
            warn!("confirming epoch {epoch}: {error}");
        }
    }

    /// What ends in this worker by `state`: an agent that `before` has stopped is not stopped again, and without one
    /// none was evaluated yet.
    fn ack(&self, before: Option<&v1::ControlState>, state: &v1::ControlState) -> v1::ControlAck {
        let (dropped_requests, withdrawn_proposals) = self.inner.in_hand.halted_by(state);
        let is_stopped =
            |scopes: &[Scoped]| is_halted(state, scopes) && before.is_some_and(|before| !is_halted(before, scopes));
        let stopped = self.inner.agents.get().map_or(0, |agents| agents.count(is_stopped));
        v1::ControlAck {
            worker_id: self.inner.context.instance.to_string(),
            epoch: state.epoch,
            dropped_requests,
            withdrawn_proposals,
            stopped_agents: i32::try_from(stopped).unwrap_or(i32::MAX),
        }
    }

    fn epoch(&self) -> i64 {
        self.read().state.as_ref().map_or(0, |state| state.epoch)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.inner.known.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Known> {
        self.inner.known.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Whether `state` halts everything or one of `scopes`.
fn is_halted(state: &v1::ControlState, scopes: &[Scoped]) -> bool {
    state.scopes.iter().any(|entry| {
        let Some(scope) = &entry.scope else { return false };
        let is_in = scope.kind() == v1::ScopeKind::Global
            || scopes.iter().any(|(kind, id)| *kind == scope.kind() && *id == scope.id);
        is_in && entry.state() == v1::TradingState::Halted
    })
}

fn summary(state: &v1::ControlState) -> String {
    if state.scopes.is_empty() {
        return "all active".to_owned();
    }
    let parts = state.scopes.iter().map(|scope| {
        let (kind, id) = scope.scope.as_ref().map_or(("?", ""), |s| (s.kind().as_str_name(), s.id.as_str()));
        format!("{kind} {id} {}", scope.state().as_str_name())
    });
    parts.collect::<Vec<_>>().join(", ")
}
