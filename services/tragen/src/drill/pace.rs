//! How fast orders come, and orders that are repeated.

use super::{
    setting::Setting,
    step::{ASK, BID, Denial, Drill, LimitOf, Listing, Observed, Order, Owner, Step, buy, sell},
};
use std::time::Duration;
use tragen_contracts::v1::DenialCode as Code;
use tragen_domain::risk::LimitName;

/// A rate is counted over a second.
const SECOND: Duration = Duration::from_millis(1_100);

pub(super) fn drills() -> Vec<Drill> {
    // They never fill: what is counted is that the gate let them through.
    let opens = |cents: i64| buy(1, cents * 10_000);
    let opening = [opens(30), opens(31), opens(32)];
    let closing = [sell(1, BID), sell(1, BID - 10_000), sell(1, BID - 20_000)];
    vec![
        rate(LimitName::AccountOrdersPerSecondMax, LimitOf::Account, Code::AccountOrderRate, opening),
        rate(LimitName::HouseOrdersPerSecondMax, LimitOf::All, Code::HouseOrderRate, opening),
        rate(LimitName::ReducingOrdersPerSecondMax, LimitOf::Account, Code::ReducingOrderRate, closing),
        cancels(),
        repeated(),
    ]
}

/// Two orders in a second are at the limit, the third is beyond it.
fn rate(name: LimitName, of: LimitOf, code: Code, orders: [Order; 3]) -> Drill {
    let owner = match of {
        LimitOf::All => Owner::House,
        LimitOf::Account | LimitOf::Instrument | LimitOf::Match | LimitOf::Named(_) | LimitOf::Agent => Owner::Own,
    };
    let [first, second, third] = orders;
    let beyond = Denial { code, limit: 2, observed: Observed::Is(3) };
    let steps = vec![
        Step::Fills(buy(3, ASK)),
        Step::Wait(SECOND),
        Step::Limit(name, of, 2),
        Step::Passes(first),
        Step::Passes(second),
        Step::Denied(third, beyond),
        Step::Wait(SECOND),
        Step::Passes(third),
        Step::Limit(name, of, 0),
    ];
    let (listing, reset) = (Listing::default(), "a second goes by");
    Drill { limit: name.as_str(), setting: Setting::Limits, owner, listing, steps, reset }
}

/// Two cancels in a second are at the limit, the third is beyond it; the account may still place
/// orders, and what it may not cancel yet it may a second later.
fn cancels() -> Drill {
    let name = LimitName::CancelsPerSecondMax;
    let rests = |cents: i64| buy(1, cents * 10_000).resting();
    let beyond = Denial { code: Code::CancelRate, limit: 2, observed: Observed::Is(3) };
    let steps = vec![
        Step::Limit(name, LimitOf::Account, 2),
        Step::Passes(rests(30)),
        Step::Passes(rests(31)),
        Step::Passes(rests(32)),
        Step::CancelLast,
        Step::CancelLast,
        Step::CancelDenied(beyond),
        Step::Passes(rests(33)),
        Step::Wait(SECOND),
        Step::CancelLast,
        Step::CancelLast,
        Step::Limit(name, LimitOf::Account, 0),
    ];
    let (listing, reset) = (Listing::default(), "a second goes by");
    Drill { limit: name.as_str(), setting: Setting::Limits, owner: Owner::Own, listing, steps, reset }
}

/// The moment is configured: a second.
fn repeated() -> Drill {
    let code = Code::RepeatedOrder;
    let steps = vec![
        Step::Fills(buy(1, ASK)),
        Step::Denied(buy(1, ASK), Denial { code, limit: 1_000, observed: Observed::BelowLimit }),
        Step::Fills(buy(2, ASK)),
        Step::Wait(SECOND),
        Step::Fills(buy(1, ASK)),
    ];
    Drill {
        limit: "repeated_order",
        setting: Setting::Repeats,
        owner: Owner::Own,
        listing: Listing::default(),
        steps,
        reset: "the moment goes by",
    }
}
