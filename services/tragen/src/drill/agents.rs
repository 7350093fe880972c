//! What configured agents may: so many trades, sure enough, not too fast, not too much in one
//! place, not too many losses. The drill speaks for the worker: it proposes on the bus what an
//! agent would, because no agent signals at a moment that anybody could choose.

use super::{
    setting::Setting,
    step::{ASK, At, BID, Denial, Drill, LimitOf, Listing, ONE, Observed, Order, Owner, Signal, Step, Trip, buy, sell},
};
use std::time::Duration;
use tragen_contracts::v1::{DenialCode as Code, TradingState as State};
use tragen_domain::risk::LimitName;

/// The house is measured every 50 ms: several measurements.
const MEASURED: Step = Step::Wait(Duration::from_millis(400));
/// A rate is counted over a second.
const SECOND: Step = Step::Wait(Duration::from_millis(1_100));

pub(super) fn drills() -> Vec<Drill> {
    vec![
        expired(),
        trades_per_day(),
        confidence(),
        first_on_match(),
        rate(),
        share(LimitName::AgentExposureMaxPpm, LimitOf::Agent, Code::AgentExposureLimit),
        share(LimitName::TimeframeExposureMaxPpm, LimitOf::Named("5m"), Code::TimeframeExposureLimit),
        loss(),
        losses_in_a_row(),
        unknown(),
    ]
}

/// Whoever asks for an agent that does not exist gets no order of another one.
fn unknown() -> Drill {
    let denial = Denial { code: Code::UnknownAgent, limit: 0, observed: Observed::Is(0) };
    let steps = vec![Step::MandateDenied("nobodyAgent", denial), Step::Fills(own(buy(1, ASK)))];
    drill("unknown_agent", Setting::Limits, Owner::Own, steps, "the name of an agent that exists")
}

/// As the drill's agent wants it.
const fn own(order: Order) -> Order {
    order.signaled(Signal::PLAIN)
}

/// A signal that has waited for too long says nothing of the market of now.
fn expired() -> Drill {
    let late = buy(1, ASK).signaled(Signal { is_late: true, ..Signal::PLAIN });
    let denial = Denial { code: Code::ProposalExpired, limit: 0, observed: Observed::AboveAnyLimit };
    let steps = vec![Step::Denied(late, denial), Step::Fills(own(buy(1, ASK)))];
    drill("proposal_expired", Setting::Limits, Owner::Own, steps, "a newer signal")
}

fn trades_per_day() -> Drill {
    let of = |trades_per_day| buy(1, ASK).signaled(Signal { trades_per_day, ..Signal::PLAIN });
    let beyond = Denial { code: Code::AgentTradeLimit, limit: 2, observed: Observed::Is(3) };
    let steps = vec![Step::Fills(of(2)), Step::Fills(of(2)), Step::Denied(of(2), beyond), Step::Fills(of(3))];
    drill("agent_trade_limit", Setting::Limits, Owner::Own, steps, "the next UTC day, or the agent's own limit")
}

/// One bet on a match, whoever proposes a second one: what is held counts, and what is on order.
fn first_on_match() -> Drill {
    let first = |order: Order| order.signaled(Signal { is_first_on_match: true, ..Signal::PLAIN });
    let taken = Denial { code: Code::MatchTaken, limit: 0, observed: Observed::Is(1) };
    let steps = vec![
        Step::Passes(first(buy(1, 300_000).resting())),
        Step::Denied(first(buy(1, ASK)), taken),
        Step::CancelLast,
        Step::Fills(first(buy(1, ASK))),
        Step::Denied(first(buy(1, ASK)), taken),
        // Whoever does not ask for it buys more.
        Step::Fills(own(buy(1, ASK))),
        Step::Fills(own(sell(2, BID))),
        Step::Fills(first(buy(1, ASK))),
    ];
    drill("match_taken", Setting::Limits, Owner::Own, steps, "nothing of the match is held or on order any more")
}

fn confidence() -> Drill {
    let of = |confidence_ppm| buy(1, ASK).signaled(Signal { confidence_ppm, ..Signal::PLAIN });
    let unsure = Denial { code: Code::ConfidenceTooLow, limit: 600_000, observed: Observed::Is(599_999) };
    let name = LimitName::AgentConfidenceMinPpm;
    let steps = vec![
        Step::Limit(name, LimitOf::Agent, 600_000),
        Step::Denied(of(Some(599_999)), unsure),
        Step::Fills(of(Some(600_000))),
        Step::Limit(name, LimitOf::Agent, 0),
        Step::Fills(of(Some(599_999))),
    ];
    drill(name.as_str(), Setting::Limits, Owner::Own, steps, "an agent that is surer")
}

/// Two orders in a second are at the limit, the third is beyond it.
fn rate() -> Drill {
    let name = LimitName::AgentOrdersPerSecondMax;
    let opens = |cents: i64| own(buy(1, cents * 10_000));
    let steps = vec![
        Step::Limit(name, LimitOf::Agent, 2),
        Step::Passes(opens(30)),
        Step::Passes(opens(31)),
        Step::Denied(opens(32), Denial { code: Code::AgentOrderRate, limit: 2, observed: Observed::Is(3) }),
        SECOND,
        Step::Passes(opens(32)),
    ];
    drill(name.as_str(), Setting::Limits, Owner::Own, steps, "a second goes by")
}

/// One hundredth of the capital of 10,000 dollars: 200 contracts are at the limit, 201 beyond it.
fn share(name: LimitName, of: LimitOf, code: Code) -> Drill {
    let beyond = Denial { code, limit: 100 * ONE, observed: Observed::Is(100_500_000) };
    let steps = vec![
        Step::Limit(name, of, 10_000),
        Step::Denied(own(buy(201, ASK)), beyond),
        Step::Fills(own(buy(200, ASK))),
        Step::Denied(own(buy(1, ASK)), beyond),
        Step::Limit(name, of, 0),
        Step::Fills(own(buy(1, ASK))),
        // Everything is sold at cost, so that the next drill finds the same capital.
        Step::Quote(ASK, ASK + ASK - BID),
        Step::Fills(own(sell(201, ASK))),
    ];
    drill(name.as_str(), Setting::Limits, Owner::House, steps, "two people loosen the limit")
}

/// 400 contracts bought at 0.50 and marked at the bid: at 0.425 the agent has lost 30 of 1,000
/// dollars, which is the limit; a millionth higher and it has not. A resting order comes first,
/// so that the agent is measured from the whole of its capital.
fn loss() -> Drill {
    let name = LimitName::AgentLossHaltPpm;
    let opens = own(buy(1, 200_000));
    let halted = Denial { code: Code::TradingHalted, limit: 0, observed: Observed::Is(0) };
    let steps = vec![
        Step::Deposit(1_000),
        Step::Limit(name, LimitOf::All, 30_000),
        Step::Passes(own(buy(1, 310_000)).resting()),
        MEASURED,
        Step::CancelLast,
        Step::Fills(own(buy(400, ASK))),
        Step::Quote(425_001, 445_000),
        MEASURED,
        Step::Passes(own(buy(1, 250_000))),
        Step::Quote(425_000, 445_000),
        Step::Becomes(At::Agent, State::Halted, Trip { value: Observed::Is(30_000), limit: 30_000 }),
        Step::Denied(opens, halted),
        Step::Quote(ASK, ASK + ASK - BID),
        MEASURED,
        Step::Resume(At::Agent, State::Reducing),
        Step::Resume(At::Agent, State::Active),
        Step::Passes(own(buy(1, 400_000))),
    ];
    drill(name.as_str(), Setting::Breakers, Owner::Own, steps, "the price comes back and two people resume")
}

/// Bought at 0.50 and sold at 0.48: each round is a loss, the second one is the limit.
fn losses_in_a_row() -> Drill {
    let name = LimitName::ConsecutiveLossesHaltMax;
    let halted = Denial { code: Code::TradingHalted, limit: 0, observed: Observed::Is(0) };
    let round = || [Step::Fills(own(buy(1, ASK))), Step::Fills(own(sell(1, BID)))];
    let mut steps = vec![Step::Limit(name, LimitOf::All, 2)];
    steps.extend(round());
    steps.push(MEASURED);
    steps.extend(round());
    steps.extend([
        Step::Becomes(At::Agent, State::Halted, Trip { value: Observed::Is(2), limit: 2 }),
        Step::Denied(own(buy(1, ASK)), halted),
        // Only a profit ends a streak, and a halted agent makes none.
        Step::ResumeOverridden(At::Agent, State::Reducing),
        Step::Resume(At::Agent, State::Active),
        Step::Passes(own(buy(1, 400_000))),
    ]);
    drill(name.as_str(), Setting::Breakers, Owner::Own, steps, "two people resume and say why it may go on")
}

fn drill(limit: &'static str, setting: Setting, owner: Owner, steps: Vec<Step>, reset: &'static str) -> Drill {
    Drill { limit, setting, owner, listing: Listing::default(), steps, reset }
}
