//! Reports for a slot on its way out wait here, in hand, until the slot has come to rest: then another term begins, and
//! they go back to the bus for it. The bus hands out only so many messages unacked, so those that wait are put together
//! before they are many: else a move that is cut short would stop the whole shard.

use super::work::Work;
use crate::slot::slot_of;
use prost::Message as _;
use std::{collections::BTreeMap, time::Duration};
use tragen_bus::Delivery;
use tragen_contracts::v1;

/// Messages that may wait in hand.
const WAITING_MAX: usize = 64;
/// Messages of one slot that are worth putting together.
const TOGETHER_MIN: usize = 16;
/// How long what has no room waits on the bus before it comes again; longer with every time.
const LEAVING_DELAY: Duration = Duration::from_millis(200);
/// The delay grows up to this many times: a move that was cut short may take hours to be finished.
const LEAVING_DELAYS_MAX: u64 = 25;

/// What waits. Each message is of one slot.
#[derive(Debug)]
pub(crate) struct Waiting {
    deliveries: Vec<Delivery<v1::ExecutionBatch>>,
    /// A message of this many bytes is not put together with others any more.
    large_bytes: usize,
}

impl Waiting {
    /// Nothing, where no message is larger than `message_bytes_max`.
    pub(crate) const fn new(message_bytes_max: usize) -> Self {
        Self { deliveries: Vec::new(), large_bytes: message_bytes_max / 2 }
    }

    /// All that waits, and the bus must hear that it is in hand.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Delivery<v1::ExecutionBatch>> {
        self.deliveries.iter()
    }

    /// Everything, while the writer is busy with something else.
    pub(super) fn lend(&mut self) -> Self {
        Self { deliveries: self.take(), large_bytes: self.large_bytes }
    }

    /// Everything, to be given back.
    pub(super) fn take(&mut self) -> Vec<Delivery<v1::ExecutionBatch>> {
        std::mem::take(&mut self.deliveries)
    }

    /// Keeps `delivery`. When too many wait, those of a slot go to the shard `own` anew as few, with `work`; what is
    /// large already goes back to the bus for a while.
    pub(super) async fn keep(&mut self, delivery: Delivery<v1::ExecutionBatch>, (own, work): (u16, &mut Work)) {
        // One that the bus has delivered once more is the same.
        self.deliveries.retain(|known| known.sequence != delivery.sequence);
        self.deliveries.push(delivery);
        if self.deliveries.len() < WAITING_MAX {
            return;
        }
        let mut small = BTreeMap::<u16, Vec<_>>::new();
        let mut large = Vec::new();
        for delivery in self.take() {
            if delivery.message.encoded_len() >= self.large_bytes {
                large.push(delivery);
            } else {
                small.entry(slot_of(account_of(&delivery.message))).or_default().push(delivery);
            }
        }
        for of_slot in small.into_values() {
            if of_slot.len() < TOGETHER_MIN {
                self.deliveries.extend(of_slot);
            } else {
                of_slot.into_iter().for_each(|delivery| work.send_anew(own, delivery));
            }
        }
        self.deliveries.extend(large);
        // Large ones are at the end.
        let too_many = self.deliveries.split_off(self.deliveries.len().min(WAITING_MAX - 1));
        for delivery in too_many {
            back_to_the_bus(&delivery).await;
        }
    }
}

/// Delivers it again after a while.
pub(super) async fn back_to_the_bus(delivery: &Delivery<v1::ExecutionBatch>) {
    let times = u32::try_from(delivery.deliveries.clamp(1, LEAVING_DELAYS_MAX)).unwrap_or(1);
    delivery.retry(LEAVING_DELAY * times).await;
}

fn account_of(message: &v1::ExecutionBatch) -> &str {
    let key = message.reports.first().and_then(|report| report.key.as_ref());
    key.map_or("", |key| key.account_id.as_str())
}
