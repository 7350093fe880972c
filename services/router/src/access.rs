//! Who may call what, and what a call costs of which budget. Every method of
//! the public API is in this table; a test compares it with the contract.

use crate::{
    refusal::Refusal,
    token::{Caller, Role, Scope},
};
use tonic::Code;
use tragen_cache::Budget;

/// One method of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// As in the contract, e.g. `tragen.v1.Trading/PlaceTrade`.
    pub name: &'static str,
    /// What the token must allow.
    pub scope: Option<Scope>,
    /// The least role.
    pub role: Role,
    /// What a call is counted in before it is handled; `None` for what must
    /// never be refused, and for what is counted later or is an operator's.
    pub budget: Option<Budget>,
}

const fn trader(name: &'static str, scope: Scope, budget: Option<Budget>) -> Method {
    Method { name, scope: Some(scope), role: Role::Trader, budget }
}

const fn staff(name: &'static str, role: Role) -> Method {
    Method { name, scope: None, role, budget: None }
}

/// Places are taken only by requests that are new, see [`crate::errand`].
pub static PLACE_TRADE: Method = trader("tragen.v1.Trading/PlaceTrade", Scope::TradeWrite, None);
/// See the contract.
pub static GET_TRADE: Method = trader("tragen.v1.Trading/GetTrade", Scope::TradeRead, Some(Budget::Read));
/// See the contract.
pub static LIST_TRADES: Method = trader("tragen.v1.Trading/ListTrades", Scope::TradeRead, Some(Budget::Read));
/// See the contract.
pub static CANCEL_TRADE: Method = trader("tragen.v1.Trading/CancelTrade", Scope::TradeWrite, Some(Budget::Cancel));
/// See the contract.
pub static WATCH_TRADES: Method = trader("tragen.v1.Trading/WatchTrades", Scope::TradeRead, Some(Budget::Read));
/// See the contract.
pub static ANALYZE: Method = trader("tragen.v1.Trading/Analyze", Scope::TradeRead, Some(Budget::Analyze));
/// See the contract.
pub static WATCH_MARKET: Method = trader("tragen.v1.Trading/WatchMarket", Scope::TradeRead, Some(Budget::Analyze));
/// See the contract.
pub static GET_ACCOUNT: Method = trader("tragen.v1.Accounts/GetAccount", Scope::TradeRead, Some(Budget::Read));
/// See the contract.
pub static LIST_POSITIONS: Method = trader("tragen.v1.Accounts/ListPositions", Scope::TradeRead, Some(Budget::Read));
/// See the contract.
pub static LIST_TRANSFERS: Method = trader("tragen.v1.Accounts/ListTransfers", Scope::TradeRead, Some(Budget::Read));
/// See the contract.
pub static DEPOSIT: Method = trader("tragen.v1.Accounts/Deposit", Scope::TradeWrite, Some(Budget::Cash));
/// Places are taken only by requests that are new, see [`crate::errand`].
pub static WITHDRAW: Method = trader("tragen.v1.Accounts/Withdraw", Scope::TradeWrite, None);
/// Places are taken only by requests that are new, see [`crate::errand`].
pub static SEND: Method = trader("tragen.v1.Accounts/Send", Scope::TradeWrite, None);
/// See the contract.
pub static GET_STATEMENT: Method = trader("tragen.v1.Accounts/GetStatement", Scope::TradeRead, Some(Budget::Read));
/// See the contract.
pub static LIST_INSTRUMENTS: Method = trader("tragen.v1.Markets/ListInstruments", Scope::TradeRead, Some(Budget::Read));
/// See the contract.
pub static GET_QUOTE: Method = trader("tragen.v1.Markets/GetQuote", Scope::TradeRead, Some(Budget::Read));
/// What agents read.
pub static PUT_NEWS: Method = staff("tragen.v1.Markets/PutNews", Role::Operator);
/// See the contract.
pub static GET_RISK_STATE: Method = staff("tragen.v1.RiskControl/GetRiskState", Role::Operator);
/// See the contract.
pub static HALT: Method = staff("tragen.v1.RiskControl/Halt", Role::Operator);
/// See the contract.
pub static PROPOSE_RESUME: Method = staff("tragen.v1.RiskControl/ProposeResume", Role::RiskAdmin);
/// See the contract.
pub static CONFIRM_RESUME: Method = staff("tragen.v1.RiskControl/ConfirmResume", Role::RiskAdmin);
/// It tightens.
pub static REDUCE_POSITIONS: Method = staff("tragen.v1.RiskControl/ReducePositions", Role::Operator);
/// It trades for somebody while nobody else may.
pub static FLATTEN: Method = staff("tragen.v1.RiskControl/Flatten", Role::RiskAdmin);
/// It tightens.
pub static SHUTDOWN_AGENT: Method = staff("tragen.v1.RiskControl/ShutdownAgent", Role::Operator);
/// See the contract.
pub static WATCH_RISK: Method = staff("tragen.v1.RiskControl/WatchRisk", Role::Operator);
/// See the contract.
pub static GET_RISK_HISTORY: Method = staff("tragen.v1.RiskControl/GetRiskHistory", Role::Operator);
/// See the contract.
pub static LIST_LIMITS: Method = staff("tragen.v1.RiskControl/ListLimits", Role::Operator);
/// It may loosen.
pub static PROPOSE_LIMIT: Method = staff("tragen.v1.RiskControl/ProposeLimit", Role::RiskAdmin);
/// It loosens.
pub static CONFIRM_LIMIT: Method = staff("tragen.v1.RiskControl/ConfirmLimit", Role::RiskAdmin);
/// It loosens.
pub static PROPOSE_REDUCTION_END: Method = staff("tragen.v1.RiskControl/ProposeReductionEnd", Role::RiskAdmin);
/// It loosens.
pub static CONFIRM_REDUCTION_END: Method = staff("tragen.v1.RiskControl/ConfirmReductionEnd", Role::RiskAdmin);
/// A trader sees the agents of its own account.
pub static LIST_AGENTS: Method = trader("tragen.v1.Agents/ListAgents", Scope::TradeRead, Some(Budget::Read));
/// A trader sees the agents of its own account.
pub static GET_AGENT: Method = trader("tragen.v1.Agents/GetAgent", Scope::TradeRead, Some(Budget::Read));
/// See the contract.
pub static PUT_AGENT: Method = staff("tragen.v1.Agents/PutAgent", Role::Operator);
/// See the contract.
pub static LIST_POOLS: Method = staff("tragen.v1.Agents/ListPools", Role::Operator);
/// See the contract.
pub static GET_COSTS: Method = staff("tragen.v1.Costs/GetCosts", Role::Operator);
/// See the contract.
pub static GET_STATUS: Method = staff("tragen.v1.Operations/GetStatus", Role::Operator);
/// See the contract.
pub static LIST_DEAD_LETTERS: Method = staff("tragen.v1.Operations/ListDeadLetters", Role::Operator);
/// See the contract.
pub static REPLAY_DEAD_LETTER: Method = staff("tragen.v1.Operations/ReplayDeadLetter", Role::Operator);
/// It takes two operators; the guard sees to that.
pub static PROPOSE_BOOKING: Method = staff("tragen.v1.Operations/ProposeBooking", Role::Operator);
/// See the contract.
pub static CONFIRM_BOOKING: Method = staff("tragen.v1.Operations/ConfirmBooking", Role::Operator);

/// Every method.
pub static METHODS: [&Method; 41] = [
    &PLACE_TRADE,
    &GET_TRADE,
    &LIST_TRADES,
    &CANCEL_TRADE,
    &WATCH_TRADES,
    &ANALYZE,
    &WATCH_MARKET,
    &GET_ACCOUNT,
    &LIST_POSITIONS,
    &LIST_TRANSFERS,
    &DEPOSIT,
    &WITHDRAW,
    &SEND,
    &GET_STATEMENT,
    &LIST_INSTRUMENTS,
    &GET_QUOTE,
    &PUT_NEWS,
    &GET_RISK_STATE,
    &HALT,
    &PROPOSE_RESUME,
    &CONFIRM_RESUME,
    &REDUCE_POSITIONS,
    &FLATTEN,
    &SHUTDOWN_AGENT,
    &WATCH_RISK,
    &GET_RISK_HISTORY,
    &LIST_LIMITS,
    &PROPOSE_LIMIT,
    &CONFIRM_LIMIT,
    &PROPOSE_REDUCTION_END,
    &CONFIRM_REDUCTION_END,
    &LIST_AGENTS,
    &GET_AGENT,
    &PUT_AGENT,
    &LIST_POOLS,
    &GET_COSTS,
    &GET_STATUS,
    &LIST_DEAD_LETTERS,
    &REPLAY_DEAD_LETTER,
    &PROPOSE_BOOKING,
    &CONFIRM_BOOKING,
];

impl Method {
    /// Lets `caller` in or says what it lacks.
    ///
    /// # Errors
    /// PERMISSION_DENIED: SCOPE_MISSING or ROLE_REQUIRED.
    pub fn admit(&self, caller: &Caller) -> Result<(), Refusal> {
        if let Some(scope) = self.scope.filter(|scope| !caller.may(*scope)) {
            let refusal = Refusal::new(Code::PermissionDenied, "SCOPE_MISSING", "the token does not allow this call");
            return Err(refusal.with("scope", scope.as_str()));
        }
        require_role(caller, self.role)
    }
}

/// # Errors
/// PERMISSION_DENIED: ROLE_REQUIRED.
pub(crate) fn require_role(caller: &Caller, role: Role) -> Result<(), Refusal> {
    if caller.role >= role {
        return Ok(());
    }
    let refusal = Refusal::new(Code::PermissionDenied, "ROLE_REQUIRED", "the token's role does not allow this call");
    Err(refusal.with("role", role.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;
    use std::collections::BTreeSet;

    #[test]
    fn every_method_of_the_contract_is_in_the_table_once() {
        let set = prost_types::FileDescriptorSet::decode(tragen_contracts::DESCRIPTORS).expect("descriptors");
        let mut contract = BTreeSet::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    contract.insert(format!("{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        let table: BTreeSet<String> = METHODS.iter().map(|method| method.name.to_owned()).collect();
        assert_eq!(table.len(), METHODS.len(), "a method is listed twice");
        assert_eq!(table, contract);
    }
}
