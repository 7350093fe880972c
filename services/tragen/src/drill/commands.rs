//! Limits of what people at the helm may do, and of what their commands may take.

use super::{
    setting::Setting,
    step::{ASK, At, BID, Drill, Listing, Owner, Step, buy, sell},
};
use std::time::Duration;
use tragen_contracts::v1::{InstrumentStatus as Status, TradingState as State};

/// The cooldown of the system, with some room.
const COOLED: Duration = Duration::from_millis(1_100);

pub(super) fn drills() -> Vec<Drill> {
    vec![flatten(), cooldown(), overdue(), repeated()]
}

/// One order of the lane is worth 400 dollars at most, at 0.71 in the worst case: of 700 contracts 563 are sold, and
/// the rest waits for the next minute. Its owner need not: nothing is halted.
fn flatten() -> Drill {
    let steps = vec![
        Step::Fills(buy(700, ASK)),
        Step::Flatten,
        Step::Holds(137),
        Step::FlattenWaits(1),
        Step::Fills(sell(137, BID)),
        Step::Holds(0),
    ];
    drill("flatten_orders_per_minute_max", steps, "the next minute, or what the account sells itself")
}

/// Who halts in haste resumes at leisure.
fn cooldown() -> Drill {
    let steps = vec![
        Step::Fills(buy(1, ASK)),
        Step::Halt(At::Account),
        Step::CoolsDown(At::Account, 1_000),
        Step::Wait(COOLED),
        Step::Resume(At::Account, State::Reducing),
        Step::Wait(COOLED),
        Step::Resume(At::Account, State::Active),
        Step::Fills(buy(1, ASK)),
    ];
    drill("resume_cooldown_ms", steps, "a second goes by, then two people resume")
}

/// Nothing trades, so the reduction cannot come to its end; as soon as something does, it does.
fn overdue() -> Drill {
    let steps = vec![
        Step::Fills(buy(10, ASK)),
        Step::Status(Status::Suspended),
        Step::Shrink(At::Account),
        Step::Overdue(1_000),
        Step::Status(Status::Open),
        Step::Quote(BID, ASK),
        Step::Holds(0),
        Step::Resume(At::Account, State::Active),
        Step::Fills(buy(1, ASK)),
    ];
    drill("reduction_overdue_ms", steps, "the market opens, the reduction ends, two people resume")
}

/// Where repeats are not denied they are counted.
fn repeated() -> Drill {
    let steps = vec![Step::Fills(buy(1, ASK)), Step::FillsAndCounts(buy(1, ASK), 1_000), Step::Fills(buy(2, ASK))];
    drill("repeated_orders", steps, "nothing was stopped")
}

fn drill(limit: &'static str, steps: Vec<Step>, reset: &'static str) -> Drill {
    Drill { limit, setting: Setting::Commands, owner: Owner::Own, listing: Listing::default(), steps, reset }
}
