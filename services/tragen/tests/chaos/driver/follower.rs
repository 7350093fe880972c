//! Reading LEDGER: live, and from its beginning like somebody who comes late.

use super::Shared;
use crate::{
    servers::PATIENCE,
    wire::{Told, facts},
};
use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, DeliverPolicy, pull},
};
use futures::StreamExt as _;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// Messages asked for at once.
const MESSAGES: usize = 256;
/// How long an empty stream is listened to.
const LISTEN: Duration = Duration::from_millis(200);
/// A bus that is silent for longer is asked anew: what is measured is the ledger's recovery.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// A message of facts.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) shard: u16,
    /// Sequence, what is told and the executions in it.
    pub(crate) facts: Vec<(i64, Told, Vec<String>)>,
}

/// Follows the stream across everything that happens to it.
pub(super) async fn follow(shared: Arc<Shared>) {
    let mut life = 0;
    let mut next = 1;
    loop {
        let context = jetstream::new(shared.client.clone());
        let now = shared.state().life;
        if now != life {
            (life, next) = (now, 1);
        }
        let is_wanted = |_| shared.state().life == life;
        let read = read(&context, &mut next, is_wanted, |message| {
            for (sequence, told, executions) in message.facts {
                shared.told(message.shard, sequence, told, executions);
            }
        });
        // A bus that is away is asked again.
        let _ = read.await;
        sleep(Duration::from_millis(20)).await;
    }
}

/// Everything that the stream tells from its beginning to its end.
pub(crate) async fn everything_told(client: &async_nats::Client) -> anyhow::Result<Vec<Message>> {
    let started = Instant::now();
    loop {
        match told_at_once(client).await {
            Err(_) if started.elapsed() < PATIENCE => {}
            told => return told,
        }
    }
}

async fn told_at_once(client: &async_nats::Client) -> anyhow::Result<Vec<Message>> {
    let context = jetstream::new(client.clone());
    let last = context.get_stream("LEDGER").await?.cached_info().state.last_sequence;
    let mut messages = Vec::new();
    read(&context, &mut 1, |next| next <= last, |message| messages.push(message)).await?;
    Ok(messages)
}

/// Hands messages from `next` on to `take` while the next one is wanted.
async fn read(
    context: &jetstream::Context,
    next: &mut u64,
    is_wanted: impl Fn(u64) -> bool,
    mut take: impl FnMut(Message),
) -> anyhow::Result<()> {
    let stream = timeout(ANSWERED_WITHIN, context.get_stream("LEDGER")).await??;
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: *next },
        ack_policy: AckPolicy::None,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: Duration::from_secs(10),
        ..pull::Config::default()
    };
    let consumer = timeout(ANSWERED_WITHIN, stream.create_consumer(config)).await??;
    while is_wanted(*next) {
        let mut batch = consumer.batch().max_messages(MESSAGES).expires(LISTEN).messages().await?;
        // A server that was restarted has forgotten the question.
        while let Some(message) = timeout(ANSWERED_WITHIN, batch.next()).await? {
            let message = message.map_err(|error| anyhow::anyhow!("reading facts: {error}"))?;
            let place = message.info().map_err(|error| anyhow::anyhow!("reading facts: {error}"))?.stream_sequence;
            let shard = message.subject.rsplit('.').next().and_then(|shard| shard.parse().ok()).unwrap_or_default();
            *next = place + 1;
            take(Message { shard, facts: facts(&message.payload) });
        }
    }
    Ok(())
}
