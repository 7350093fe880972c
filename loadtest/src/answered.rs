//! What an answer comes to: not every answer is what its operation was meant for. A trade counts when it is
//! filled and committed; a denial is an answer too, but never throughput.

use crate::operation::Operation;
use tragen_contracts::v1::{self, TradeStatus};

/// What an operation is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meant {
    /// An order at the quote: it shall be filled.
    Fill,
    /// An order far from the quote: it shall rest.
    Rest,
    /// A mandate: the agent decides whether there is a trade.
    Decision,
    /// The end of an order that rests.
    Cancel,
    /// Balances or positions.
    Read,
}

/// What an answer comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// A trade that is filled, wholly or in part, and committed.
    Traded,
    /// What was meant, without a trade: it rests, is canceled, was read, or the agent found nothing.
    Done,
    /// An answer, but not what was meant: the price was gone, the venue refused it, the time was over.
    Missed,
    /// The guard said no.
    Denied,
}

impl Meant {
    /// What `intent` is meant for.
    pub(crate) fn by(operation: Operation, intent: &v1::place_trade_request::Intent) -> Self {
        match (operation, intent) {
            (Operation::Cancel, _) => Self::Cancel,
            (Operation::Read, _) => Self::Read,
            (Operation::Order | Operation::Mandate, v1::place_trade_request::Intent::Mandate(_)) => Self::Decision,
            (Operation::Order | Operation::Mandate, v1::place_trade_request::Intent::Order(order)) => {
                if order.time_in_force() == v1::TimeInForce::Gtc { Self::Rest } else { Self::Fill }
            }
        }
    }

    /// Whether its order may be found resting by somebody who comes later: its caller may have given up before.
    pub(crate) const fn may_rest(self) -> bool {
        match self {
            Self::Rest | Self::Decision | Self::Cancel => true,
            Self::Fill | Self::Read => false,
        }
    }

    /// What the answer `status` comes to.
    pub(crate) const fn class(self, status: TradeStatus) -> Class {
        match (status, self) {
            (TradeStatus::Denied, _) => Class::Denied,
            (TradeStatus::Filled | TradeStatus::PartiallyFilled, Self::Fill | Self::Rest | Self::Decision) => {
                Class::Traded
            }
            (TradeStatus::Working, Self::Rest | Self::Decision)
            | (TradeStatus::NoTrade, Self::Decision)
            | (TradeStatus::Canceled, Self::Cancel) => Class::Done,
            // A cancel that came too late ends nothing; the trade was counted when it was placed, as one that rests.
            (TradeStatus::Filled | TradeStatus::PartiallyFilled, Self::Cancel | Self::Read)
            | (TradeStatus::Working, Self::Fill | Self::Cancel | Self::Read)
            | (TradeStatus::NoTrade, Self::Fill | Self::Rest | Self::Cancel | Self::Read)
            | (TradeStatus::Canceled, Self::Fill | Self::Rest | Self::Decision | Self::Read)
            | (TradeStatus::Unspecified | TradeStatus::Pending | TradeStatus::Rejected | TradeStatus::Expired, _) => {
                Class::Missed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_meant_counts_and_only_fills_are_trades() {
        use TradeStatus::{Canceled, Denied, Expired, Filled, NoTrade, PartiallyFilled, Rejected, Working};
        for (meant, status, expected) in [
            (Meant::Fill, Filled, Class::Traded),
            (Meant::Fill, PartiallyFilled, Class::Traded),
            (Meant::Fill, Canceled, Class::Missed),
            (Meant::Fill, Denied, Class::Denied),
            (Meant::Fill, Rejected, Class::Missed),
            (Meant::Fill, Expired, Class::Missed),
            (Meant::Rest, Working, Class::Done),
            (Meant::Rest, Filled, Class::Traded),
            (Meant::Rest, Canceled, Class::Missed),
            (Meant::Rest, Denied, Class::Denied),
            (Meant::Decision, NoTrade, Class::Done),
            (Meant::Decision, Filled, Class::Traded),
            (Meant::Decision, Working, Class::Done),
            (Meant::Decision, Denied, Class::Denied),
            (Meant::Cancel, Canceled, Class::Done),
            (Meant::Cancel, Filled, Class::Missed),
            (Meant::Cancel, Working, Class::Missed),
        ] {
            assert_eq!(meant.class(status), expected, "{meant:?} {status:?}");
        }
    }
}
