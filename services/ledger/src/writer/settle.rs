//! Decided markets: the decision first, then what it pays, page by page.

use super::{RETRY_DELAY_MAX, Work, Writer, until_stopped};
use crate::{
    batch::Outcome,
    intake::{Action, Item, SettlementAction},
    publish::Committed,
    slot::Place,
    store::StoreError,
    unbookable::Unbookable,
};
use std::time::Duration;
use tragen_bus::Delivery;
use tragen_contracts::v1;
use tragen_domain::{
    instrument::SettlementStyle,
    ledger::{ResultCode, is_settlement_value},
};
use tragen_host::{failpoint, retry::Backoff};

/// Holders of a decided market paid out in one transaction.
const PAYOUTS_MAX: i64 = 1_000;

impl Writer {
    /// Books decided markets: the decision, then what it pays, page by page. Each page
    /// is its own transaction; what a crash leaves open is paid when the report comes again.
    pub(super) async fn settle(&mut self, mut work: Work) -> Result<(), StoreError> {
        let settlements = std::mem::take(&mut work.settlements);
        let deliveries = std::mem::take(&mut work.deliveries);
        self.book_and_publish(work).await?;
        for item in settlements {
            let Ok(Action::Settlement(settlement)) = &item.action else { continue };
            let mut decided = Work { items: vec![item.clone()], ..Work::default() };
            let Some((outcomes, committed)) = self.book(&mut decided).await? else { break };
            let is_valid = !matches!(outcomes.as_slice(), [Outcome::SetAside(_)]);
            self.hand_over(decided, outcomes, committed).await;
            failpoint::pass("after_decision_before_payouts");
            if is_valid {
                // What was decided first stands, under the name it was decided by.
                let known = self.settled.entry(settlement.instrument.to_string());
                let settlement = known.or_insert_with(|| settlement.clone()).clone();
                self.pay_out(&item, &settlement, &deliveries).await?;
            }
        }
        if self.context.is_stopping() {
            // Perhaps not all are paid: the report goes back to whoever serves the shard next.
            self.held.extend(deliveries);
            return Ok(());
        }
        let last = Work { deliveries, ..Work::default() };
        let committed = Committed { fact_sequence: self.shard.fact_sequence, ..Committed::default() };
        self.hand_over(last, Vec::new(), committed).await;
        Ok(())
    }

    /// Pays every holder; `waiting` are the messages that it is done for.
    async fn pay_out(
        &mut self,
        item: &Item,
        settlement: &SettlementAction,
        waiting: &[Delivery<v1::ExecutionBatch>],
    ) -> Result<(), StoreError> {
        let mut after = String::new();
        let mut backoff = Backoff::new(Duration::from_millis(10), RETRY_DELAY_MAX);
        while !self.context.is_stopping() {
            let holders = self.store.holders(settlement.instrument.as_str(), &after, PAYOUTS_MAX);
            let Some(holders) = until_stopped(&self.context, holders).await else { return Ok(()) };
            let holders = match holders {
                Ok(holders) => holders,
                Err(error) => {
                    self.recover(error).await?;
                    backoff.wait().await;
                    continue;
                }
            };
            let Some(last) = holders.last() else { return Ok(()) };
            after.clone_from(&last.account_id);
            // Who is leaving is paid by the shard that gets him.
            let own = holders.iter().filter(|row| self.slots.place(&row.account_id) == Place::Here);
            let accounts = own.filter_map(|row| tragen_domain::id::AccountId::new(&row.account_id).ok());
            let items = accounts.map(|account| item.payout(settlement, account)).collect();
            self.book_and_publish(Work { items, ..Work::default() }).await?;
            failpoint::pass("between_payouts");
            for delivery in waiting {
                delivery.in_progress().await;
            }
        }
        Ok(())
    }

    /// Markets are decided on what is stored: also after a commit whose answer was lost. A value that a
    /// holder's style does not know decides nothing.
    pub(super) async fn look_at_markets(&mut self, items: &mut [Item]) -> Result<(), StoreError> {
        for item in items {
            let Ok(Action::Settlement(settlement)) = &item.action else { continue };
            let rows = self.store.settlements().await?;
            self.settled = crate::shard::settled(rows).map_err(StoreError::unavailable)?;
            let instrument_id = settlement.instrument.as_str();
            let style = SettlementStyle::Prediction;
            if settlement.value.is_some_and(|value| !is_settlement_value(style, value))
                && self.store.is_held(instrument_id, v1::SettlementStyle::from(style).into()).await?
            {
                let reason = format!("{instrument_id} is a prediction: no contract of it is worth more than one");
                item.action = Err(Unbookable::new(ResultCode::PriceInvalid, reason));
            }
        }
        Ok(())
    }
}
