//! What trips by itself when the market moves, and how limits open after a resume.

use super::{
    setting::Setting,
    step::{ASK, At, BID, Denial, Drill, LimitOf, Listing, ONE, Observed, Owner, Step, Trip, buy, sell},
};
use std::time::Duration;
use tragen_contracts::v1::{DenialCode as Code, TradingState as State};
use tragen_domain::risk::LimitName;

/// The house is measured every 50 ms: several measurements.
const MEASURED: Step = Step::Wait(Duration::from_millis(400));
/// A twentieth of the house's capital, parts per million.
const LOSS: i64 = 50_000;

/// When people may resume after a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Back {
    /// Once the loss is small enough.
    WithThePrice,
    /// Not before the next UTC day.
    NextDay,
    /// Not before the next UTC month.
    NextMonth,
}

pub(super) fn drills() -> Vec<Drill> {
    vec![
        loss(LimitName::DayLossReducePpm, State::Reducing, Back::NextDay),
        loss(LimitName::MonthLossHaltPpm, State::Halted, Back::NextMonth),
        loss(LimitName::DrawdownHaltPpm, State::Halted, Back::WithThePrice),
        price_jump(),
        ramp(),
        venue_failures(),
        equity_unknown(),
        memory(),
        stale_feed(),
    ]
}

/// 2,000 contracts bought at 0.50 and marked at the bid: at 0.25 the house has lost 500 of
/// 10,000 dollars, which is the limit; a millionth higher and it has not.
fn loss(name: LimitName, state: State, back: Back) -> Drill {
    let (code, observed) = match state {
        State::Reducing => (Code::TradingReducing, ONE),
        State::Unspecified | State::Active | State::Halted => (Code::TradingHalted, 0),
    };
    let opens = buy(1, 200_000);
    let mut steps = vec![
        MEASURED,
        Step::Limit(name, LimitOf::All, LOSS),
        Step::Fills(buy(2_000, ASK)),
        Step::Quote(250_001, 270_000),
        MEASURED,
        Step::Passes(opens),
        Step::Quote(250_000, 270_000),
        Step::Becomes(At::Global, state, Trip { value: Observed::Is(LOSS), limit: LOSS }),
        Step::Denied(opens, Denial { code, limit: 0, observed: Observed::Is(observed) }),
        Step::Quote(ASK, ASK + ASK - BID),
        MEASURED,
        MEASURED,
    ];
    let reset = match back {
        Back::WithThePrice => {
            let active = Step::Resume(At::Global, State::Active);
            steps.extend([Step::Resume(At::Global, State::Reducing), active, Step::Passes(buy(1, 400_000))]);
            "the price comes back and two people resume"
        }
        Back::NextDay => {
            steps.push(Step::ResumeRefused(At::Global));
            "two people, on the next UTC day; a resume today is refused"
        }
        Back::NextMonth => {
            steps.push(Step::ResumeRefused(At::Global));
            "two people, in the next UTC month; a resume this month is refused"
        }
    };
    drill(name.as_str(), Owner::House, steps, reset)
}

/// From 0.50 to 0.55 is a tenth, which is the limit; a millionth less is not.
fn price_jump() -> Drill {
    let limit = |value| Step::Limit(LimitName::PriceJumpPausePpm, LimitOf::Instrument, value);
    let paused = Denial { code: Code::PricePaused, limit: 100_000, observed: Observed::Is(100_000) };
    let steps = vec![
        Step::Quote(480_000, 520_000),
        Step::Fills(buy(2, 520_000)),
        limit(100_000),
        Step::Quote(529_999, 569_999),
        Step::Fills(buy(1, 570_000)),
        MEASURED,
        Step::Fills(buy(1, 570_000)),
        Step::Quote(480_000, 520_000),
        Step::Fills(buy(1, 520_000)),
        MEASURED,
        Step::Quote(530_000, 570_000),
        Step::Denied(buy(1, 570_000), paused),
        Step::Fills(sell(1, 530_000)),
        Step::Wait(Duration::from_secs(1)),
        Step::Fills(buy(1, 570_000)),
    ];
    drill("price_jump_pause_ppm", Owner::Own, steps, "half a second without a jump")
}

/// Right after a resume an order may be worth a tenth of the cap of 1,000 dollars, then more and more.
fn ramp() -> Drill {
    let limit = 1_000 * ONE;
    let ramping = Denial { code: Code::OrderValueLimit, limit, observed: Observed::IsWhileRamping(limit) };
    let steps = vec![
        Step::Fills(buy(2_000, ASK)),
        Step::Halt(At::Account),
        Step::Resume(At::Account, State::Reducing),
        Step::Resume(At::Account, State::Active),
        Step::Denied(buy(2_000, ASK), ramping),
        Step::Fills(buy(200, ASK)),
        Step::Wait(Duration::from_millis(2_100)),
        Step::Fills(buy(2_000, ASK)),
    ];
    drill("ramp_ms", Owner::Own, steps, "two seconds go by")
}

/// Every order is one call that fails and one that is answered: two orders are four calls, and
/// exactly half of them have failed.
fn venue_failures() -> Drill {
    let limit = |value| Step::Limit(LimitName::VenueFailuresPausePpm, LimitOf::All, value);
    let paused = Denial { code: Code::VenuePaused, limit: 500_000, observed: Observed::Is(500_000) };
    // An order that got to the venue would change the share.
    let funds = Denial { code: Code::InsufficientFunds, limit: 99 * ONE, observed: Observed::Is(99_500_000) };
    let too_dear = buy(199, ASK);
    let steps = vec![
        limit(500_001),
        Step::Deposit(100),
        Step::Fills(buy(1, ASK)),
        Step::Fills(buy(1, ASK)),
        MEASURED,
        Step::DeniedLater(too_dear, funds),
        limit(500_000),
        MEASURED,
        Step::Denied(too_dear, paused),
        limit(500_001),
        Step::Wait(Duration::from_secs(1)),
        Step::DeniedLater(too_dear, funds),
        Step::Fills(buy(1, ASK)),
    ];
    let reset = "two people loosen the limit, or a minute without failures";
    let setting = Setting::Venue;
    Drill { setting, ..drill("venue_failures_pause_ppm", Owner::Own, steps, reset) }
}

/// What is measured once a second may be 300 ms old: both sides of the edge come by themselves.
fn equity_unknown() -> Drill {
    let unknown = Denial { code: Code::EquityUnknown, limit: 300, observed: Observed::AboveLimit };
    let steps = vec![
        Step::Limit(LimitName::DayLossReducePpm, LimitOf::All, LOSS),
        Step::Quote(BID, ASK),
        Step::Fills(buy(1, ASK)),
        Step::Quote(BID, ASK),
        Step::Denied(buy(1, ASK), unknown),
        Step::Quote(BID, ASK),
        Step::Fills(buy(1, ASK)),
    ];
    let setting = Setting::Equity;
    Drill { setting, ..drill("equity_unknown", Owner::House, steps, "the next measurement") }
}

/// A guard that may use a megabyte uses more at once. Pools are asked to shrink; what trades goes on.
fn memory() -> Drill {
    let steps = vec![Step::Alerted("BREAKER_MEMORY"), Step::Fills(buy(1, ASK))];
    let reset = "half a second below the limit, or less of everything";
    let setting = Setting::Memory;
    Drill { setting, ..drill("memory_scale_down_ppm", Owner::Own, steps, reset) }
}

/// An instrument without a quote for 300 ms.
fn stale_feed() -> Drill {
    let limit = |value| Step::Limit(LimitName::FeedAgeWarnMs, LimitOf::All, value);
    let steps = vec![
        Step::Quote(BID, ASK),
        Step::Fills(buy(1, ASK)),
        limit(300),
        Step::Alerted("BREAKER_STALE_FEED"),
        limit(0),
        Step::Quote(BID, ASK),
        Step::Fills(buy(1, ASK)),
    ];
    drill("feed_age_warn_ms", Owner::Own, steps, "a new quote")
}

fn drill(limit: &'static str, owner: Owner, steps: Vec<Step>, reset: &'static str) -> Drill {
    Drill { limit, setting: Setting::Breakers, owner, listing: Listing::default(), steps, reset }
}
