//! What changes the gate's state. The journal, the executions and the ledger's
//! facts are made of these; replaying them gives the same state.

use super::{BreakerRecord, LimitChange, Order, Reduction, ScopeState};
use crate::{
    execution::Fill,
    id::{AccountId, AgentId, CommandId, Currency, ExecutionId, InstrumentId, OrderId, TradeId},
    instrument::{Instrument, SettlementTerms},
    market::Quote,
    money::{Money, Price, Quantity},
    order::{Side, TradeStatus},
    time::Timestamp,
};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// An order was approved and holds buying power.
    Approved(Box<Order>),
    /// A guard began to lead.
    TermBegan {
        /// Most decided trades it remembers from now on.
        known_trades_max: usize,
    },
    /// A trade ended at the gate without an order.
    Refused {
        /// The trade.
        trade: TradeId,
    },
    /// The venue reported.
    Executed(Box<Executed>),
    /// An order is finished.
    Closed {
        /// The order.
        order: OrderId,
        /// Its trade.
        trade: TradeId,
    },
    /// A withdrawal was decided.
    Withdrawal {
        /// Its id.
        trade: TradeId,
        /// Whose money.
        account: AccountId,
        /// Of which currency.
        currency: Currency,
        /// What is held until the ledger has posted it; `None` when it was denied.
        held: Option<Money>,
    },
    /// A cancel of the account goes to the venue. No journal has it: it counts for a second.
    CancelSent {
        /// Whose.
        account: AccountId,
        /// When it was decided.
        at: Timestamp,
    },
    /// A scope changed its state.
    ScopeChanged(ScopeState),
    /// A limit was set to another value.
    LimitChanged(Box<LimitChange>),
    /// Targets of positions were fixed.
    ReductionOrdered(Box<Reduction>),
    /// Every position of a reduction is at its target.
    ReductionEnded {
        /// The reduction.
        id: CommandId,
        /// When.
        at: Timestamp,
    },
    /// Something about breakers or what losses are measured from.
    Breaker(Box<BreakerRecord>),
    /// Something was booked by hand.
    Booked {
        /// The instrument that is settled by it and trades no more.
        settled: Option<InstrumentId>,
    },
    /// The ledger committed.
    Posted(Box<Posted>),
    /// The ledger paid out a position.
    PaidOut {
        /// Whose.
        account: AccountId,
        /// Of what.
        instrument: InstrumentId,
        /// Profit or loss of it.
        realized_pnl: Money,
    },
    /// An instrument was defined anew.
    Instrument(Box<Instrument>),
    /// The market moved.
    Quote(Quote),
}

/// What the venue reported of an order; repeats of an execution change nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// The trade.
    pub trade: TradeId,
    /// The order.
    pub order: OrderId,
    /// Who pays.
    pub account: AccountId,
    /// What was traded.
    pub instrument: InstrumentId,
    /// The configured agent that ordered; `None` for user requests and steps of reductions.
    pub agent: Option<AgentId>,
    /// Which way.
    pub side: Side,
    /// How money moves.
    pub settlement: SettlementTerms,
    /// Fills, oldest first.
    pub fills: Vec<Fill>,
    /// Where the order stands after them.
    pub status: TradeStatus,
}

/// What the ledger committed for one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// Whose.
    pub account: AccountId,
    /// The trade or withdrawal; `None` for a mere snapshot.
    pub trade: Option<TradeId>,
    /// Whether the trade can get no more executions: then all of it is posted.
    pub is_final: bool,
    /// Executions it contains.
    pub executions: Vec<ExecutionId>,
    /// Balances after it.
    pub balances: Vec<PostedBalance>,
    /// Positions after it.
    pub positions: Vec<PostedPosition>,
}

/// A balance of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostedBalance {
    /// Of which currency.
    pub currency: Currency,
    /// Posted cash.
    pub cash: Money,
    /// Grows with every change; an older one changes nothing.
    pub version: i64,
    /// Whether the account is frozen.
    pub is_frozen: bool,
    /// Paid in from outside by this change (negative: paid out). It is neither
    /// profit nor loss, so it shifts what both are measured from.
    pub flow: Money,
}

/// A position of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostedPosition {
    /// Of what.
    pub instrument: InstrumentId,
    /// Signed.
    pub quantity: Quantity,
    /// Average entry price.
    pub average_price: Price,
    /// Margin set aside.
    pub margin: Money,
    /// The account version that includes it; an older one changes nothing.
    pub version: i64,
}
