//! The decision: every check in turn, cheap to dear; the first that fails is
//! the reason. This file is the order of the checks, each family has a file. [`decide`]
//! ends there, [`inspect`] notes them all.
//!
//! | what is looked at | file |
//! |---|---|
//! | in time, new, tradable, on the grids | `decide/form.rs` |
//! | value, fresh quote, collar | `decide/market.rs` |
//! | trading states, what reduces | `decide/states.rs` |
//! | the configured agent | `decide/agent.rs` |
//! | the account: frozen, first on a match, floor, share of a trade and a match | `decide/account.rs` |
//! | buying power | `decide/funds.rs` |
//! | pauses after failures and jumps | `decide/pause.rs` |
//! | open risk and concentration of the house | `decide/house.rs` |
//! | losses of the house | `decide/loss.rs` |
//! | rate of orders, repeats | `decide/pace.rs` |
//! | cancels: whose, and how many | `decide/cancel.rs` |
//! | what is done with what a check came to | `decide/look.rs` |

mod account;
mod agent;
mod cancel;
mod form;
mod funds;
mod house;
mod look;
mod loss;
mod market;
mod pace;
mod pause;
mod states;

pub use cancel::decide_cancel;
pub use funds::decide_withdrawal;
pub use look::{Check, Verdict};

use super::{
    AccountState, Approved, Balance, DenialReason as Reason, Denied, Holding, LimitName, Order, Proposed, State,
};
use crate::{
    instrument::Instrument,
    money::{Money, ONE, Overflow, Quantity, Rounding},
    time::Timestamp,
};
use look::{Every, FirstFailure, Look};
use market::{Market, Priced};

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
    look_at(state, proposed, now, &mut FirstFailure).map(Approved::new)
}

/// What each check of a decision comes to, in its order: also those after the first that
/// fails, as far as the inputs allow. What is not listed is off, does not apply to the order,
/// or could not be looked at because the last one listed has failed.
///
/// The first that failed is what [`decide`] denies with; none has if and only if it approves.
/// It changes nothing and makes no order that could be sent.
#[must_use]
pub fn inspect(state: &State, proposed: &Proposed, now: Timestamp) -> Inspection {
    let mut every = Every::default();
    let looked = look_at(state, proposed, now, &mut every);
    let mut checks = every.checks;
    let failed =
        |own: &Denied| Check { reason: own.reason, limit: own.limit, observed: own.observed, verdict: Verdict::Failed };
    if let Err(denied) = &looked
        && checks.last() != Some(&failed(denied))
    {
        checks.push(failed(denied));
    }
    Inspection { checks, order: looked.ok() }
}

/// The checks of one order; see [`inspect`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// In the order in which they are made.
    pub checks: Vec<Check>,
    /// The order as it would be sent, were it approved; `None` where the last check has ended
    /// the inspection.
    pub order: Option<Order>,
}

impl Inspection {
    /// What the order is denied with; `None` when it is approved.
    #[must_use]
    pub fn denied(&self) -> Option<Denied> {
        let failed = self.checks.iter().find(|check| check.verdict == Verdict::Failed)?;
        Some(Denied::new(failed.reason, failed.limit, failed.observed))
    }
}

fn look_at(state: &State, proposed: &Proposed, now: Timestamp, look: &mut impl Look) -> Result<Order, Denied> {
    form::check_time(proposed, now, look)?;
    form::check_undecided(state, proposed, look)?;
    let instrument = form::check_instrument(state, proposed, look)?;
    form::check_limit_price(instrument, proposed.terms.price, look)?;
    form::check_quantity(instrument, proposed.terms.quantity, look)?;

    let ramp_ppm = ramp_ppm(state, proposed, now)?;
    let priced = Market { state, instrument, proposed, ramp_ppm, now }.check(look)?;
    states::check_states(state, proposed, now, look)?;
    if !closes(state, proposed)? {
        agent::check_agent(state, proposed, now, look)?;
    }

    let account = look.known(state.account(&proposed.account), Reason::NoBalance)?;
    let holding = account.holding(&proposed.terms.instrument);
    let case = Case { state, proposed, instrument, account, holding, ramp_ppm };
    let balance = account.balance(&instrument.settlement.currency);
    account::check_not_frozen(balance, look)?;
    account::check_first_on_match(&case, look)?;
    let order = case.order(priced, balance, now)?;
    pause::check_pause(&case, &order, look)?;
    account::check_orders(&case, &order, look)?;
    account::check_shares(&case, balance, &order, look)?;
    funds::check_buying_power(&case, balance, &order, look)?;

    house::check_house(&case, &order, look)?;
    loss::check_losses(&case, &order, look)?;
    pace::check_rate(&case, &order, look)?;
    pace::check_repeated(&case, &order, look)?;
    Ok(order)
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
    Ok(if share == ONE || closes(state, proposed)? { ONE } else { share })
}

/// Whether the order can only make a position smaller, with everything pending filled: nothing that is about how much, how
/// often or how surely something is opened keeps anybody from that.
fn closes(state: &State, proposed: &Proposed) -> Result<bool, Overflow> {
    let holding = state.account(&proposed.account).and_then(|account| account.holding(&proposed.terms.instrument));
    let reducible = holding.map_or(Ok(Quantity::ZERO), |holding| holding.reducible(proposed.terms.side))?;
    Ok(proposed.terms.quantity <= reducible)
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
