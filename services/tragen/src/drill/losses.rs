//! Losses of the house that are denied before their breaker acts, and agents of the house that
//! move together.

use super::{
    setting::Setting,
    step::{ASK, At, BID, Denial, Drill, LimitOf, Listing, ONE, Observed, Order, Owner, Signal, Step, Trip, buy, sell},
};
use std::time::Duration;
use tragen_contracts::v1::{DenialCode as Code, TradingState as State};
use tragen_domain::risk::LimitName;

/// A twentieth of the house's capital, parts per million.
const LOSS: i64 = 50_000;
/// Twenty returns and some more, at ten a second.
const LOOKED_AT: Duration = Duration::from_millis(3_500);

pub(super) fn drills() -> Vec<Drill> {
    vec![
        loss("day_loss_limit", LimitName::DayLossReducePpm, Code::DayLossLimit, "BREAKER_TOTAL_LOSS"),
        loss("month_loss_limit", LimitName::MonthLossHaltPpm, Code::MonthLossLimit, "BREAKER_MONTH_LOSS"),
        loss("drawdown_limit", LimitName::DrawdownHaltPpm, Code::DrawdownLimit, "BREAKER_DRAWDOWN"),
        correlation(),
        company(),
    ]
}

/// The same two agents have 1,500 of a tenth of 20,000 dollars: 1,000 contracts more are at the
/// limit for either of them.
fn company() -> Drill {
    let name = LimitName::CompanyExposureMaxPpm;
    let own = |contracts| buy(contracts, ASK).signaled(Signal::PLAIN);
    let partner = |contracts| buy(contracts, ASK).signaled(Signal { is_partner: true, ..Signal::PLAIN });
    let code = Code::CompanyExposureLimit;
    let beyond = Denial { code, limit: 2_000 * ONE, observed: Observed::Is(2_000_500_000) };
    let steps = vec![
        Step::Limit(LimitName::CorrelationReducePpm, LimitOf::All, 0),
        Step::Fills(own(2_000)),
        Step::Fills(partner(1_000)),
        Step::Limit(name, LimitOf::All, 100_000),
        Step::Fills(own(2_000)),
        Step::Quote(ASK, ASK + ASK - BID),
        Step::Fills(sell(2_000, ASK).signaled(Signal::PLAIN)),
        Step::Swings(LOOKED_AT),
        // Seen before the next order fills at it.
        Step::Quote(BID, ASK),
        Step::Wait(Duration::from_millis(200)),
        Step::Denied(own(1_001), beyond),
        Step::Denied(partner(1_001), beyond),
        Step::Fills(partner(1_000)),
        Step::Denied(own(1), beyond),
        Step::Limit(name, LimitOf::All, 0),
        Step::Fills(own(1)),
    ];
    drill(name.as_str(), Setting::Together, steps, "two people loosen the limit")
}

/// 2,000 contracts bought at 0.50 and marked at 0.25: 500 of 10,000 dollars are lost, which is
/// 90 % and more of the limit, so people are warned when it is measured. Until the next
/// measurement no breaker acts, and a limit that two people set to the loss denies by itself.
fn loss(limit: &'static str, name: LimitName, code: Code, breaker: &'static str) -> Drill {
    let opens = buy(1, 200_000);
    let steps = vec![
        Step::Limit(name, LimitOf::All, LOSS + 5_000),
        Step::Fills(buy(2_000, ASK)),
        Step::Quote(250_000, 270_000),
        Step::Warned(breaker),
        Step::Limit(name, LimitOf::All, LOSS + 1),
        Step::Passes(opens),
        Step::Limit(name, LimitOf::All, LOSS),
        Step::Denied(opens, Denial { code, limit: LOSS, observed: Observed::Is(LOSS) }),
        Step::Limit(name, LimitOf::All, LOSS + 1),
        Step::Passes(buy(1, 210_000)),
    ];
    drill(limit, Setting::Losses, steps, "two people loosen the limit, before the breaker acts")
}

/// Two agents hold the same, one half as much as the other: their returns are as good as the
/// same, but not quite, so a limit of 1 is not reached. At 0.9 positions are halved.
fn correlation() -> Drill {
    let name = LimitName::CorrelationReducePpm;
    let partner = |order: Order| order.signaled(Signal { is_partner: true, ..Signal::PLAIN });
    let own = |order: Order| order.signaled(Signal::PLAIN);
    let trip = Trip { value: Observed::FromLimit, limit: 900_000 };
    let closed = Denial { code: Code::TradingReducing, limit: 0, observed: Observed::Is(ONE) };
    let opens = own(buy(1, 200_000));
    let steps = vec![
        Step::Limit(name, LimitOf::All, 1_000_000),
        Step::Fills(own(buy(2_000, ASK))),
        Step::Fills(partner(buy(1_000, ASK))),
        Step::Swings(LOOKED_AT),
        Step::Passes(opens),
        Step::Limit(name, LimitOf::All, 900_000),
        Step::Swings(Duration::from_millis(500)),
        Step::Becomes(At::Global, State::Reducing, trip),
        Step::Denied(opens, closed),
        Step::Holds(1_000),
        Step::ResumeOverridden(At::Global, State::Active),
        Step::Passes(opens),
    ];
    drill(name.as_str(), Setting::Together, steps, "two people resume and say why it may go on")
}

fn drill(limit: &'static str, setting: Setting, steps: Vec<Step>, reset: &'static str) -> Drill {
    Drill { limit, setting, owner: Owner::House, listing: Listing::default(), steps, reset }
}
