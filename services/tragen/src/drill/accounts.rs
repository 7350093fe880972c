//! What one account may: pay for it, close only what it has, keep a floor, not put too
//! much in one trade or match, not too many resting orders, not against itself.

use super::{
    setting::Setting,
    step::{ASK, BID, Denial, Drill, LimitOf, Listing, ONE, Observed, Order, Owner, Step, buy, sell},
};
use tragen_contracts::v1::DenialCode as Code;
use tragen_domain::risk::LimitName;

pub(super) fn drills() -> Vec<Drill> {
    let mut drills = money();
    drills.extend(shares());
    drills.extend(orders());
    drills
}

fn drill(limit: &'static str, reset: &'static str, steps: Vec<Step>) -> Drill {
    Drill { limit, setting: Setting::Limits, owner: Owner::Own, listing: Listing::default(), steps, reset }
}

fn denied(order: Order, code: Code, limit: i64, observed: i64) -> Step {
    Step::Denied(order, Denial { code, limit, observed: Observed::Is(observed) })
}

fn money() -> Vec<Drill> {
    vec![
        drill(
            "no_balance",
            "a deposit",
            vec![denied(buy(1, ASK), Code::NoBalance, 0, 0), Step::Deposit(1), Step::Fills(buy(1, ASK))],
        ),
        drill(
            "account_frozen",
            "a deposit, and two operators unfreeze",
            vec![
                Step::Deposit(10),
                Step::Fills(buy(1, ASK)),
                Step::Overspent(20),
                denied(buy(1, ASK), Code::AccountFrozen, 0, 0),
                Step::Deposit(10),
                denied(buy(1, ASK), Code::AccountFrozen, 0, 0),
                Step::Unfreeze,
                Step::Fills(buy(1, ASK)),
            ],
        ),
        drill(
            "insufficient_funds",
            "a deposit",
            vec![
                Step::Deposit(10),
                denied(buy(21, ASK), Code::InsufficientFunds, 10 * ONE, 10_500_000),
                Step::Fills(buy(20, ASK)),
                denied(buy(1, ASK), Code::InsufficientFunds, 0, 500_000),
                Step::Deposit(1),
                Step::Fills(buy(2, ASK)),
            ],
        ),
        drill("insufficient_position", "an order that opens may do more", {
            let closes = |contracts| Order { is_reduce_only: true, ..sell(contracts, BID) };
            vec![
                Step::Fills(buy(10, ASK)),
                denied(closes(11), Code::InsufficientPosition, 10 * ONE, 11 * ONE),
                Step::Fills(closes(10)),
                denied(closes(1), Code::InsufficientPosition, 0, ONE),
                Step::Fills(sell(1, BID)),
            ]
        }),
    ]
}

fn shares() -> Vec<Drill> {
    let rule = |name, value| Step::Limit(name, LimitOf::Account, value);
    let reset = "two people loosen the limit";
    vec![
        drill(
            "wallet_floor_ppm",
            reset,
            vec![
                Step::Deposit(100),
                rule(LimitName::WalletFloorPpm, 200_000),
                denied(buy(161, ASK), Code::WalletFloor, 20 * ONE, 19_500_000),
                Step::Fills(buy(160, ASK)),
                denied(buy(1, ASK), Code::WalletFloor, 20 * ONE, 19_500_000),
                rule(LimitName::WalletFloorPpm, 0),
                Step::Fills(buy(1, ASK)),
            ],
        ),
        drill(
            "trade_max_ppm",
            reset,
            vec![
                Step::Deposit(100),
                rule(LimitName::TradeMaxPpm, 50_000),
                denied(buy(11, ASK), Code::TradeShareLimit, 5 * ONE, 5_500_000),
                Step::Fills(buy(10, ASK)),
                rule(LimitName::TradeMaxPpm, 0),
                Step::Fills(buy(11, ASK)),
            ],
        ),
        drill(
            "match_max_ppm",
            reset,
            vec![
                Step::Deposit(100),
                rule(LimitName::MatchMaxPpm, 200_000),
                Step::Fills(buy(20, ASK)),
                denied(buy(21, ASK), Code::MatchShareLimit, 20 * ONE, 20_500_000),
                Step::Fills(buy(20, ASK)),
                rule(LimitName::MatchMaxPpm, 0),
                Step::Fills(buy(1, ASK)),
            ],
        ),
    ]
}

fn orders() -> Vec<Drill> {
    let rests = |price| buy(1, price).resting();
    vec![
        drill(
            // The number is configured: 3.
            "open_order_limit",
            "a resting order is canceled",
            vec![
                Step::Passes(rests(300_000)),
                Step::Passes(rests(310_000)),
                Step::Passes(rests(320_000)),
                denied(rests(330_000), Code::OpenOrderLimit, 3, 4),
                Step::CancelLast,
                Step::Passes(rests(330_000)),
            ],
        ),
        drill(
            "self_trade",
            "the resting order is canceled",
            vec![
                Step::Fills(buy(10, ASK)),
                Step::Passes(rests(450_000)),
                Step::Fills(sell(1, 460_000)),
                denied(sell(1, 450_000), Code::SelfTrade, 450_000, 450_000),
                denied(sell(1, 440_000), Code::SelfTrade, 450_000, 440_000),
                Step::CancelLast,
                Step::Fills(sell(1, 450_000)),
            ],
        ),
    ]
}
