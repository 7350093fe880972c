//! The guard's reports on their way to the bus: as many in one message as wait,
//! each message sent until the bus has it.

use super::Shared;
use crate::{dice::Dice, script::What, wire::report};
use std::{sync::Arc, time::Duration};
use tragen_bus::{PublishOptions, Subject};
use tragen_contracts::v1;
use uuid::Uuid;

/// Reports in one message.
const REPORTS_MAX: usize = 12;
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(1);
/// How many requests a lane may hold; nothing here uses them.
const LANE_MESSAGES_MAX: i64 = 1_000;

/// Publishes what is to be sent.
pub(super) async fn publish(shared: Arc<Shared>) {
    loop {
        let numbers = take(&shared);
        if numbers.is_empty() {
            // A notification between the look and the wait is caught by the next round.
            let _ = tokio::time::timeout(Duration::from_millis(5), shared.more_to_send.notified()).await;
            continue;
        }
        let reports = {
            let state = shared.state();
            numbers.iter().filter_map(|number| state.sent.get(number)).map(report).collect()
        };
        let batch = v1::ExecutionBatch { reports };
        let message_id = Uuid::now_v7().to_string();
        let options = PublishOptions { message_id: message_id.into(), ..PublishOptions::default() };
        while shared.bus.publish(&Subject::Executions("paper"), &batch, &options, ATTEMPT).await.is_err() {
            // Whoever finds the streams gone makes them anew, as every service does at its start.
            let _ = shared.bus.apply(LANE_MESSAGES_MAX).await;
        }
        let mut state = shared.state();
        state.sending -= 1;
        for number in numbers {
            let Some(What::Settlement { instrument, .. }) = state.sent.get(&number).map(|step| step.what.clone())
            else {
                continue;
            };
            // There is no one fact that tells of a decision; the books are asked in the end.
            state.settled.insert(instrument);
            state.close(number, None);
        }
    }
}

/// The next reports to be sent.
fn take(shared: &Shared) -> Vec<usize> {
    let mut state = shared.state();
    if state.manners.is_shuffled {
        let mut dice = Dice::new(u64::try_from(state.done.len()).unwrap_or_default(), "order");
        dice.shuffle(state.unsent.make_contiguous());
    }
    let count = state.unsent.len().min(REPORTS_MAX);
    state.sending += usize::from(count > 0);
    state.unsent.drain(..count).collect()
}
