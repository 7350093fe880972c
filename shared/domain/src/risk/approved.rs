//! What is proposed, and the order that only the gate can make of it.

use crate::{
    id::{AccountId, AgentId, CommandId, PoolId, TradeId},
    instrument::SettlementTerms,
    market::Timeframe,
    money::{Money, Price},
    order::OrderTerms,
    tier::Tier,
    time::Timestamp,
};
use std::ops::Deref;

/// Something that passed every check of the gate; only [`super::decide`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved<T>(T);

impl<T> Approved<T> {
    pub(super) const fn new(inner: T) -> Self {
        Self(inner)
    }
}

impl<T> Deref for Approved<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// What an order is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Purpose {
    /// What its account or agent wants.
    #[default]
    Trade,
    /// A step of this reduction toward its target, proposed by a worker.
    Reduce(CommandId),
    /// A step of this reduction in the operator's flatten lane, which is open under HALTED too.
    Flatten(CommandId),
}

impl Purpose {
    /// The reduction that it serves.
    #[must_use]
    pub const fn reduction(&self) -> Option<&CommandId> {
        match self {
            Self::Trade => None,
            Self::Reduce(id) | Self::Flatten(id) => Some(id),
        }
    }
}

/// An order somebody would like to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// The trade it serves.
    pub trade: TradeId,
    /// Who pays.
    pub account: AccountId,
    /// The order.
    pub terms: OrderTerms,
    /// The configured agent; `None` for user requests.
    pub agent: Option<AgentId>,
    /// The pool or strategy, if any.
    pub pool: Option<PoolId>,
    /// The timeframe of the signal, where there is one.
    pub timeframe: Option<Timeframe>,
    /// How urgently the caller is served.
    pub tier: Tier,
    /// How sure the agent is, parts per million, where it says so.
    pub confidence_ppm: Option<u32>,
    /// What it is for.
    pub purpose: Purpose,
    /// Decided later than this, it is denied.
    pub valid_until: Timestamp,
    /// Most accepted orders of the agent in one UTC day; `None` for no limit.
    pub trades_per_day_max: Option<u32>,
    /// Only for an account that has nothing on the match of the instrument, neither held nor on order.
    pub is_first_on_match: bool,
}

/// An order as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The trade it serves.
    pub trade: TradeId,
    /// Who pays.
    pub account: AccountId,
    /// The order as it was proposed.
    pub terms: OrderTerms,
    /// Worst price it may execute at; the collar price for market orders.
    pub limit: Price,
    /// How money moves.
    pub settlement: SettlementTerms,
    /// Taker fee, parts per million, as at the decision.
    pub taker_fee_ppm: i64,
    /// The reference price it was decided on.
    pub reference: Price,
    /// The configured agent; `None` for user requests.
    pub agent: Option<AgentId>,
    /// The pool or strategy, if any.
    pub pool: Option<PoolId>,
    /// The timeframe of the signal, where there is one.
    pub timeframe: Option<Timeframe>,
    /// What the wallet began with at the decision, and the ledger's version it is known
    /// from; `None` where there is no wallet floor.
    pub wallet_start: Option<(Money, i64)>,
    /// What it is for.
    pub purpose: Purpose,
    /// Buying power it takes at approval, >= 0.
    pub hold: Money,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// Never sent after this.
    pub valid_until: Timestamp,
}
