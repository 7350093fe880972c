//! Who acts on what the market tells: every bar, and every match whose odds have changed, is handed to one worker by the
//! bus, which acknowledges it once all its agents' orders are stored. A worker that dies acknowledges nothing, so another
//! one gets it two seconds later. Trade ids are derived from agent and bar, or agent, match and slot: whatever is
//! proposed a second time changes nothing.

use crate::control::Control;
use futures::future::BoxFuture;
use prost::Message;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::MissedTickBehavior};
use tragen_bus::{Bus, Consumer, Delivery, Puller};
use tragen_host::Context;

/// A claim that cannot be worked on now is given to somebody else after this.
const GIVEN_BACK_FOR: Duration = Duration::from_millis(200);
/// How often the bus is told that a claim is still worked on.
const PROGRESS_EVERY: Duration = Duration::from_millis(700);

/// How a claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything is stored, or it is too old.
    Done,
    /// Somebody must go on with it.
    Open,
}

/// What is done with a message.
pub(crate) type Act<M> = dyn Fn(M) -> BoxFuture<'static, End> + Send + Sync;

/// Messages of one consumer, and what is done with them.
pub(crate) struct Claims<M> {
    pub(crate) context: Context,
    pub(crate) bus: Bus,
    pub(crate) control: Control,
    pub(crate) consumer: Consumer,
    /// Most messages that are worked on at the same time.
    pub(crate) at_once_max: usize,
    pub(crate) act: Arc<Act<M>>,
}

impl<M: Message + Default + Clone + 'static> Claims<M> {
    /// Starts claiming whenever the guard is alive.
    pub(crate) fn start(self) {
        self.context.clone().spawn("claims", async move {
            let stopped = self.context.stopped();
            tokio::pin!(stopped);
            let slots = Arc::new(Semaphore::new(self.at_once_max));
            loop {
                tokio::select! {
                    () = &mut stopped => return Ok(()),
                    () = self.control.wait_granted() => {}
                }
                let mut claims = self.bus.pull(&self.context, self.consumer);
                tokio::select! {
                    () = &mut stopped => {}
                    () = self.work(&mut claims, &slots) => {}
                }
                claims.give_back().await;
            }
        });
    }

    /// Works until the guard falls silent or the process stops. Cancel-safe: what was taken is in a task of its own.
    async fn work(&self, claims: &mut Puller<M>, slots: &Arc<Semaphore>) {
        loop {
            let Ok(slot) = Arc::clone(slots).acquire_owned().await else { return };
            let claim = tokio::select! {
                () = self.control.wait_silent() => return,
                claim = claims.next() => match claim { Some(claim) => claim, None => return },
            };
            let act = Arc::clone(&self.act);
            self.context.spawn("claim", async move {
                settle(&claim, &*act).await;
                drop(slot);
                Ok(())
            });
        }
    }
}

/// Works on a claim; the bus hears that somebody does.
async fn settle<M: Clone>(claim: &Delivery<M>, act: &Act<M>) {
    let mut work = act(claim.message.clone());
    let mut progress = tokio::time::interval_at(tokio::time::Instant::now() + PROGRESS_EVERY, PROGRESS_EVERY);
    progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = loop {
        tokio::select! {
            end = &mut work => break end,
            _ = progress.tick() => claim.in_progress().await,
        }
    };
    match end {
        End::Done => claim.ack().await,
        End::Open => claim.retry(GIVEN_BACK_FOR).await,
    }
}
