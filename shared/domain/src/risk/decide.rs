//! The decision: every check in turn, cheap to dear; the first that fails is
//! the reason. This file is the order of the checks, each family has a file.
//!
//! | what is looked at | file |
//! |---|---|
//! | in time, new, tradable, on the grids | `decide/form.rs` |
//! | value, fresh quote, collar | `decide/market.rs` |
//! | trading states, what reduces | `decide/states.rs` |
//! | the configured agent | `decide/agent.rs` |
//! | the account: frozen, floor, share of a trade and a match | `decide/account.rs` |
//! | buying power | `decide/funds.rs` |
//! | pauses after failures and jumps | `decide/pause.rs` |
//! | open risk and concentration of the house | `decide/house.rs` |
//! | losses of the house | `decide/loss.rs` |
//! | rate of orders, repeats | `decide/pace.rs` |

mod account;
mod agent;
mod form;
mod funds;
mod house;
mod loss;
mod market;
mod pace;
mod pause;
mod states;

pub use funds::decide_withdrawal;

use super::{
    AccountState, Approved, Balance, DenialReason as Reason, Denied, Holding, LimitName, Order, Proposed, State,
};
use crate::{
    instrument::Instrument,
    money::{Money, ONE, Overflow, Quantity, Rounding},
    time::Timestamp,
};
use market::Priced;

/// A sum that does not fit 64 bits is above every limit on an order's value.
impl From<Overflow> for Denied {
    fn from(_: Overflow) -> Self {
        Self::new(Reason::OrderValueLimit, i64::MAX, i64::MAX)
    }
}

/// Whether `proposed` may be sent now. Apply the order as a record before the
/// next decision, so that it counts against what follows.
///
/// # Errors
/// [`Denied`] with the first reason that applies.
pub fn decide(state: &State, proposed: &Proposed, now: Timestamp) -> Result<Approved<Order>, Denied> {
    form::check_time(proposed, now)?;
    form::check_undecided(state, proposed)?;
    let instrument = form::check_instrument(state, proposed)?;
    form::check_limit_price(instrument, proposed.terms.price)?;
    form::check_quantity(instrument, proposed.terms.quantity)?;

    let ramp_ppm = ramp_ppm(state, proposed, now)?;
    let priced = market::check_market(state, instrument, proposed, ramp_ppm, now)?;
    states::check_states(state, proposed, now)?;
    agent::check_agent(state, proposed, now)?;

    let account = state.account(&proposed.account).ok_or(Denied::plain(Reason::NoBalance))?;
    let holding = account.holding(&proposed.terms.instrument);
    let case = Case { state, proposed, instrument, account, holding, ramp_ppm };
    let balance = account.balance(&instrument.settlement.currency);
    account::check_not_frozen(balance)?;
    let order = case.order(priced, balance, now)?;
    pause::check_pause(&case, &order)?;
    account::check_orders(&case, &order)?;
    account::check_shares(&case, balance, &order)?;
    funds::check_buying_power(&case, balance, &order)?;

    house::check_house(&case, &order)?;
    loss::check_losses(&case, &order)?;
    pace::check_rate(&case, &order)?;
    pace::check_repeated(&case, &order)?;
    Ok(Approved::new(order))
}

/// An order that passed every check but equals one that was approved a moment ago:
/// how long ago, milliseconds. Only while such orders pass with a warning.
#[must_use]
pub fn repeated_order(state: &State, order: &Approved<Order>) -> Option<i64> {
    match state.limits().repeated_orders {
        super::RepeatedOrders::Off | super::RepeatedOrders::Deny => None,
        super::RepeatedOrders::Warn => {
            let holding = state.account(&order.account).and_then(|account| account.holding(&order.terms.instrument));
            super::pace::is_repeat(state.limits(), holding, order)
        }
    }
}

/// The share of its limits that the order has now; an order that closes has all of them.
fn ramp_ppm(state: &State, proposed: &Proposed, now: Timestamp) -> Result<i64, Overflow> {
    let share = state.ramp_ppm(proposed, now);
    if share == ONE {
        return Ok(ONE);
    }
    let holding = state.account(&proposed.account).and_then(|account| account.holding(&proposed.terms.instrument));
    let reducible = holding.map_or(Ok(Quantity::ZERO), |holding| holding.reducible(proposed.terms.side))?;
    Ok(if proposed.terms.quantity <= reducible { ONE } else { share })
}

/// What is looked at once instrument and account are known.
struct Case<'a> {
    state: &'a State,
    proposed: &'a Proposed,
    instrument: &'a Instrument,
    account: &'a AccountState,
    holding: Option<&'a Holding>,
    /// The share of its limits that the order has, parts per million.
    ramp_ppm: i64,
}

impl Case<'_> {
    /// The order as it would be sent, with what it holds.
    fn order(&self, priced: Priced, balance: Balance, now: Timestamp) -> Result<Order, Overflow> {
        let (proposed, limits) = (self.proposed, self.state.limits());
        let has_floor = limits.rules.of(LimitName::WalletFloorPpm, proposed.account.as_str()).is_some();
        let start = self.account.wallet_start(&self.instrument.settlement.currency);
        let start = start.map_or_else(|| Ok((balance.capital()?, balance.version)), Ok);
        let order = Order {
            trade: proposed.trade.clone(),
            account: proposed.account.clone(),
            terms: proposed.terms.clone(),
            limit: priced.limit,
            settlement: self.instrument.settlement.clone(),
            taker_fee_ppm: self.instrument.taker_fee_ppm,
            reference: priced.reference,
            agent: proposed.agent.clone(),
            pool: proposed.pool.clone(),
            purpose: proposed.purpose.clone(),
            timeframe: proposed.timeframe,
            wallet_start: if has_floor { Some(start?) } else { None },
            hold: Money::ZERO,
            decided_at: now,
            valid_until: now.plus_millis(limits.approval_valid_ms),
        };
        funds::with_hold(self.holding, order)
    }

    /// A limit as it is now, rounded down.
    fn ramped(&self, limit: Money) -> Result<Money, Overflow> {
        limit.ppm(self.ramp_ppm, Rounding::Down)
    }
}
