//! The ways out: one lane per tier for trades, one for what goes straight to the guard.

use tragen_bus::{
    Bus, Source, Subject,
    batch::{BatchLimits, BatchPublisher},
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
    pub(crate) proposals: BatchPublisher<Proposal>,
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

    pub(crate) const fn trade(&self, tier: Tier) -> &BatchPublisher<TradeRequested> {
        match tier {
            Tier::Premium => &self.premium,
            Tier::Standard => &self.standard,
            Tier::Free => &self.free,
        }
    }
}
