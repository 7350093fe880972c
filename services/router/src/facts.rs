//! Following the ledger: every committed fact ends the waits for it and goes to
//! whoever watches. Facts are committed when they are published, so waits end when
//! one is heard, without waiting for the stream to store it too; watchers get them
//! from the stream, in order and without gaps. What was missed is asked for.

use crate::{api::Api, desk::Posted, metrics as names, refusal::Refusal};
use futures::{StreamExt as _, future::join_all};
use metrics::counter;
use prost::Message as _;
use std::{sync::Arc, time::Duration};
use tokio::time::MissedTickBehavior;
use tonic::Code;
use tracing::{debug, warn};
use tragen_bus::{CoreSubject, Follower, StartAt, Stream};
use tragen_contracts::v1::{CancelDenied, CashKind, LedgerFact, LedgerFactBatch, ledger_fact::Kind};
use tragen_domain::{
    id::{AccountId, TradeId},
    time::Timestamp,
};
use tragen_host::clock::now_micros;

/// How often unanswered waits are looked at, and how old they are then.
const LOOKUP_PERIOD: Duration = Duration::from_secs(1);
/// Most trades in one question to the ledger.
const LOOKUP_MAX: usize = 1_000;

/// Cancels are counted over a second.
const CANCEL_AGAIN: Duration = Duration::from_secs(1);

/// How often they are looked at while the process stops.
const DRAIN_PERIOD: Duration = Duration::from_millis(100);

/// Starts following.
///
/// # Errors
/// When the stream cannot be read.
pub(crate) async fn start(api: &Arc<Api>) -> anyhow::Result<()> {
    let heard = api.bus.listen(&CoreSubject::LedgerFacts).await?;
    let take: fn(&Api, LedgerFactBatch) = |api, batch| batch.facts.into_iter().for_each(|fact| api.on_committed(fact));
    api.context.spawn("heard-facts", hear(Arc::clone(api), heard, take));
    let denied = api.bus.listen(&CoreSubject::CancelDenied).await?;
    api.context.spawn("denied-cancels", hear(Arc::clone(api), denied, Api::on_cancel_denied));
    let follower = api.bus.follow(&api.context, Stream::Ledger, "", StartAt::Now).await?;
    api.context.spawn("facts", follow(Arc::clone(api), follower));
    api.context.spawn("lookups", look_up_overdue(Arc::clone(api)));
    Ok(())
}

/// Hands on what is heard, until the stop.
async fn hear<T>(
    api: Arc<Api>,
    mut heard: impl futures::Stream<Item = T> + Send + Unpin,
    take: fn(&Api, T),
) -> anyhow::Result<()> {
    let stopped = api.context.stopped();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            () = &mut stopped => return Ok(()),
            heard = heard.next() => match heard {
                Some(heard) => take(&api, heard),
                None => return Ok(()),
            },
        }
    }
}

async fn follow(api: Arc<Api>, mut follower: Follower) -> anyhow::Result<()> {
    while let Some(message) = follower.next().await {
        match LedgerFactBatch::decode(message.payload) {
            Ok(batch) => batch.facts.into_iter().for_each(|fact| api.on_fact(fact)),
            Err(error) => warn!("a message on {} is no batch of facts: {error}", message.subject),
        }
    }
    Ok(())
}

async fn look_up_overdue(api: Arc<Api>) -> anyhow::Result<()> {
    let stopped = api.context.stopped();
    tokio::pin!(stopped);
    let mut ticks = tokio::time::interval(LOOKUP_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut stopped => break,
            _ = ticks.tick() => {}
        }
        look_up_older(&api, LOOKUP_PERIOD).await;
        send_lost_again(&api).await;
    }
    drain(&api).await;
    Ok(())
}

/// After the stop signal facts are no longer followed, so what is on its way is
/// asked for until nobody waits or the time is over.
async fn drain(api: &Api) {
    let end = tokio::time::Instant::now() + Duration::from_millis(api.config.drain_ms);
    let mut ticks = tokio::time::interval(DRAIN_PERIOD);
    while look_up_older(api, Duration::ZERO).await > 0 && tokio::time::Instant::now() < end {
        ticks.tick().await;
    }
    api.desk
        .close(&Refusal::unavailable("SHUTTING_DOWN", "this router is stopping; repeat the request with the same id"));
}

/// Sends what the bus may have lost once more. What cannot be sent now counts as sent: if the bus is away, the next
/// connection is another reason.
async fn send_lost_again(api: &Api) {
    let connection = *api.bus.connections().borrow();
    let lost = api.desk.lost(connection, Timestamp::from_micros(now_micros()));
    counter!(names::SENT_AGAIN).increment(u64::try_from(lost.len()).unwrap_or(u64::MAX));
    let sendings = lost.into_iter().map(|message| api.lanes.publish(message, String::new()));
    for failed in join_all(sendings).await.into_iter().filter_map(Result::err) {
        debug!("sending again what the bus may have lost: {failed}");
    }
}

/// Asks for what has waited for `age`; returns how much that is.
async fn look_up_older(api: &Api, age: Duration) -> usize {
    let overdue = api.desk.overdue(Timestamp::from_micros(now_micros()), age);
    let count = overdue.len();
    for trade_ids in overdue.chunks(LOOKUP_MAX) {
        match api.look_up(trade_ids.to_vec(), "").await {
            Ok(found) => counter!(names::LOOKED_UP).increment(u64::try_from(found).unwrap_or(u64::MAX)),
            Err(refusal) => {
                debug!("looking up outcomes: {}", refusal.message());
                break;
            }
        }
    }
    count
}

impl Api {
    /// A fact of the stream, each once: for watchers, and for waits that have not heard of it.
    fn on_fact(&self, fact: LedgerFact) {
        counter!(names::FACTS).increment(1);
        // Only a copy for watchers: without one it would be made for nobody.
        if let Some(Kind::Trade(posted)) = fact.kind.as_ref().filter(|_| self.changes.receiver_count() > 0) {
            let _ = self.changes.send(Arc::new(posted.clone()));
        }
        self.on_committed(fact);
    }

    fn on_cancel_denied(&self, denied: CancelDenied) {
        let (Some(key), Some(denial)) = (denied.key, denied.denial) else { return };
        let (Ok(trade), Ok(account)) = (TradeId::new(key.trade_id), AccountId::new(key.account_id)) else { return };
        let reason = denial.code().as_str_name().trim_start_matches("DENIAL_CODE_").to_owned();
        let refusal = Refusal::new(Code::ResourceExhausted, reason, denial.message)
            .with("limit", denial.limit.to_string())
            .with("observed", denial.observed.to_string())
            .retry_after(CANCEL_AGAIN);
        self.desk.fail_final(&trade, &account, refusal);
    }

    /// Something is committed; however often it is told.
    pub(crate) fn on_committed(&self, fact: LedgerFact) {
        // How old a balance is that does not say when it was committed is not known.
        if let Some(committed_at) = fact.meta.as_ref().map(|meta| meta.occurred_at_micros).filter(|at| *at > 0) {
            for account in fact.balances.iter().filter_map(|changed| changed.account.as_ref()) {
                self.balances.remember(account, Timestamp::from_micros(committed_at));
            }
        }
        match fact.kind {
            Some(Kind::Trade(posted)) => self.desk.resolve(&Arc::new(Posted::Trade(Box::new(posted)))),
            // The sender waits under the same id; what the receiver has is not for him to know.
            Some(Kind::Cash(posted)) if posted.kind() == CashKind::Received => {}
            Some(Kind::Cash(posted)) => self.desk.resolve(&Arc::new(Posted::Cash(Box::new(posted)))),
            // Nobody waits for it: what it changed is in the balances beside it.
            Some(Kind::Settled(_)) | None => {}
        }
    }
}
