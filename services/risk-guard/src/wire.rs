//! Between the bus's messages and the gate's records.

mod booking;
mod breaker;
mod fact;
mod limits;
mod memory;
mod order;
mod reduction;
mod scope;
mod snapshot;

pub(crate) use booking::{booking_record, told_record};
pub(crate) use breaker::{breaker_kind, limit_kind};
pub(crate) use fact::{fact_records, snapshot_records};
pub(crate) use limits::{gate_limits, house_losses, read_gate_limits, read_house_losses};
pub(crate) use order::{
    Ticket, agent_and_pool, approved_record, closed_record, executed_record, journal_record, timeframe,
};
pub(crate) use reduction::{driver, ended_record, ordered_record};
pub(crate) use scope::{
    parse_scope, parse_state, read_scope_state, risk_change, scope, scope_state, state_change, state_record,
    trading_state,
};
pub(crate) use snapshot::{Entries, read_entries, write_entries};

use tragen_contracts::{
    convert::{InvalidField, id, required},
    v1,
};
use tragen_domain::{
    id::{AccountId, TradeId},
    risk::Denied,
};

/// Who asked, checked.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) trade: TradeId,
    pub(crate) account: AccountId,
    pub(crate) sent: v1::TradeKey,
}

impl Key {
    pub(crate) fn parse(key: Option<&v1::TradeKey>) -> Result<Self, InvalidField> {
        let key = required("key", key)?;
        Ok(Self {
            trade: id("key.trade_id", &key.trade_id)?,
            account: id("key.account_id", &key.account_id)?,
            sent: key.clone(),
        })
    }
}

/// A denial as it is told.
pub(crate) fn denial(denied: Denied) -> v1::Denial {
    let name = format!("DENIAL_CODE_{}", denied.reason.as_str());
    let code = v1::DenialCode::from_str_name(&name).unwrap_or_default();
    v1::Denial {
        code: code.into(),
        message: denied.reason.sentence().to_owned(),
        limit: denied.limit,
        observed: denied.observed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tragen_domain::risk::DenialReason;

    #[test]
    fn every_denial_has_its_code_on_the_wire() {
        let mut codes: Vec<i32> =
            DenialReason::ALL.into_iter().map(|reason| denial(Denied { reason, limit: 0, observed: 0 }).code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), DenialReason::ALL.len(), "each has a number of its own");
        assert!(codes[0] > 0, "each is on the wire");
    }
}
