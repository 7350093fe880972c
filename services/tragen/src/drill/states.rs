//! Halted and reducing scopes, and the way back: two people, one level at a time.

use super::{
    setting::Setting,
    step::{ASK, At, BID, Denial, Drill, Listing, ONE, Observed, Order, Owner, Signal, Step, buy, sell},
};
use tragen_contracts::v1::{DenialCode as Code, TradingState as State};

pub(super) fn drills() -> Vec<Drill> {
    vec![
        halted("halted_account", At::Account),
        halted("halted_instrument", At::Instrument),
        halted("halted_pool", At::Pool),
        halted("halted_agent", At::Agent),
        halted("halted_global", At::Global),
        reducing("reducing_account", At::Account),
        reducing("reducing_instrument", At::Instrument),
        reducing("reducing_pool", At::Pool),
        reducing("reducing_agent", At::Agent),
        reducing("reducing_global", At::Global),
    ]
}

fn denied(order: Order, code: Code, limit: i64, observed: i64) -> Step {
    Step::Denied(order, Denial { code, limit, observed: Observed::Is(observed) })
}

/// Who wants it: a halt of an agent is about what that agent wants.
const fn wants(at: At, order: Order) -> Order {
    match at {
        At::Agent => order.signaled(Signal::PLAIN),
        At::Global | At::Pool | At::Account | At::Instrument => order,
    }
}

/// Nothing passes, not even what closes; then only what closes; then everything.
fn halted(limit: &'static str, at: At) -> Drill {
    let buy = |contracts, price| wants(at, buy(contracts, price));
    let sell = |contracts, price| wants(at, sell(contracts, price));
    let steps = vec![
        Step::Fills(buy(10, ASK)),
        Step::Halt(at),
        denied(buy(1, ASK), Code::TradingHalted, 0, 0),
        denied(sell(1, BID), Code::TradingHalted, 0, 0),
        Step::Resume(at, State::Reducing),
        denied(buy(1, ASK), Code::TradingReducing, 0, ONE),
        Step::Fills(sell(1, BID)),
        Step::Resume(at, State::Active),
        Step::Fills(buy(1, ASK)),
    ];
    drill(limit, steps)
}

/// What closes passes up to the position, and no further.
fn reducing(limit: &'static str, at: At) -> Drill {
    let buy = |contracts, price| wants(at, buy(contracts, price));
    let sell = |contracts, price| wants(at, sell(contracts, price));
    let steps = vec![
        Step::Fills(buy(10, ASK)),
        Step::Reduce(at),
        denied(sell(11, BID), Code::TradingReducing, 10 * ONE, 11 * ONE),
        Step::Fills(sell(10, BID)),
        denied(sell(1, BID), Code::TradingReducing, 0, ONE),
        denied(buy(1, ASK), Code::TradingReducing, 0, ONE),
        Step::Resume(at, State::Active),
        Step::Fills(buy(1, ASK)),
    ];
    drill(limit, steps)
}

fn drill(limit: &'static str, steps: Vec<Step>) -> Drill {
    let (listing, reset) = (Listing::default(), "two people resume, one level at a time");
    Drill { limit, setting: Setting::Limits, owner: Owner::Own, listing, steps, reset }
}
