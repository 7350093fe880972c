//! The ways out: one lane per tier for trades, one for what goes straight to the guard.

use crate::sent::Outgoing;
use tragen_bus::{
    Bus, Source, Subject,
    batch::{BatchError, BatchLimits, BatchPublisher},
};
use tragen_contracts::v1::{Proposal, ProposalBatch, TradeRequested, TradeRequestedBatch};
use tragen_domain::tier::Tier;
use tragen_host::Context;

/// Where requests gather into messages.
#[derive(Debug)]
pub(crate) struct Lanes {
    premium: BatchPublisher<TradeRequested>,
    standard: BatchPublisher<TradeRequested>,
    free: BatchPublisher<TradeRequested>,
    proposals: BatchPublisher<Proposal>,
}

impl Lanes {
    pub(crate) fn start(context: &Context, bus: &Bus, queue_max: usize) -> Self {
        let limits = BatchLimits { queue_max, ..BatchLimits::default() };
        let lane = |tier| {
            let wrap = |requests| TradeRequestedBatch { requests };
            BatchPublisher::start(context, bus, Subject::TradeRequests(tier), limits, wrap)
        };
        let wrap = |proposals| ProposalBatch { proposals };
        let proposals = BatchPublisher::start(context, bus, Subject::Proposals(Source::Router), limits, wrap);
        Self { premium: lane(Tier::Premium), standard: lane(Tier::Standard), free: lane(Tier::Free), proposals }
    }

    /// Waits until `message` is on the bus.
    ///
    /// # Errors
    /// [`BatchError`].
    pub(crate) async fn publish(&self, message: Outgoing, traceparent: String) -> Result<(), BatchError> {
        match message {
            Outgoing::Trade(tier, request) => self.trade(tier).publish(*request, traceparent).await.map(drop),
            Outgoing::Proposal(proposal) => self.proposals.publish(*proposal, traceparent).await.map(drop),
        }
    }

    const fn trade(&self, tier: Tier) -> &BatchPublisher<TradeRequested> {
        match tier {
            Tier::Premium => &self.premium,
            Tier::Standard => &self.standard,
            Tier::Free => &self.free,
        }
    }
}
