//! What the venue and the ledger tell of orders: fills, ends, and what is posted.

use super::State;
use crate::{
    id::{InstrumentId, OrderId, TradeId},
    money::Overflow,
    risk::{Executed, Holding, KnownTrade, Posted, PostedPosition, Unposted, streaks::Filled},
};

impl State {
    pub(super) fn execute(&mut self, executed: Executed) -> Result<(), Overflow> {
        let Executed { trade, order, account, mut instrument, agent, side, settlement, fills, status } = executed;
        self.share_name(&mut instrument);
        let is_followed = self.streaks.is_followed(&self.limits.rules, agent.as_ref(), (&account, &instrument));
        let holding = if is_followed { self.account(&account).and_then(|own| own.holding(&instrument)) } else { None };
        let before = holding.map(|holding| *holding.position()).unwrap_or_default();
        let mut new_fills = Vec::new();
        let mut is_sound = Ok(());
        let mut ended = None;
        let take = |holding: &mut Holding| {
            for fill in fills {
                if holding.knows(&fill.id) {
                    continue;
                }
                if let Some(open) = holding.order_mut(&order) {
                    if open.executions.contains(&fill.id) {
                        continue;
                    }
                    open.executions.push(fill.id.clone());
                    match open.filled.plus(fill.quantity) {
                        Ok(filled) => open.filled = filled,
                        Err(overflow) => is_sound = Err(overflow),
                    }
                }
                if is_followed {
                    new_fills.push(fill.clone());
                }
                holding.fill(Unposted { trade: trade.clone(), side, settlement: settlement.clone(), fill });
            }
            if status.is_final() {
                ended = holding.close(&order);
            }
        };
        self.tracked(&account, std::slice::from_ref(&instrument), |account| {
            account.change(&instrument, Some(&settlement), take)
        })?;
        is_sound?;
        if is_followed {
            let filled = Filled {
                account: &account,
                instrument: &instrument,
                agent: agent.as_ref(),
                side,
                settlement: &settlement,
                fills: &new_fills,
            };
            self.streaks.fill(&self.limits.rules, &filled, &before)?;
        }
        if status.is_final() {
            self.open.remove(&order);
            // Until the journal has its end, so that what the journal knows does not depend on
            // when the venue answers.
            self.ended.extend(ended.map(|open| (order, (open, status))));
            if self.known.get(&trade).is_none() {
                self.told.set(trade, KnownTrade::Finished, self.known_max);
            }
        }
        Ok(())
    }

    pub(super) fn close(&mut self, order: &OrderId, trade: TradeId) -> Result<(), Overflow> {
        self.known.set(trade, KnownTrade::Finished, self.known_max);
        self.ended.remove(order);
        let Some((account, instrument)) = self.open.remove(order) else { return Ok(()) };
        self.tracked(&account, std::slice::from_ref(&instrument), |account| {
            account.change(&instrument, None, |holding| drop(holding.close(order)))
        })
    }

    pub(super) fn post(&mut self, posted: &Posted) -> Result<(), Overflow> {
        let mut touched: Vec<InstrumentId> = posted.positions.iter().map(|own| own.instrument.clone()).collect();
        let unposted = match &posted.trade {
            Some(trade) => self.account_mut(posted.account.clone()).unposted_of(trade),
            None => Vec::new(),
        };
        for instrument in &unposted {
            if !touched.contains(instrument) {
                touched.push(instrument.clone());
            }
        }
        // Whoever holds something need not have ordered it here: the house is measured by it all the same.
        let own =
            |position: &PostedPosition| self.instruments.get(&position.instrument).map(|own| own.settlement.clone());
        let terms: Vec<_> = posted.positions.iter().map(own).collect();
        self.tracked(&posted.account, &touched, |account| account.post(posted, &terms, &unposted))
    }
}
