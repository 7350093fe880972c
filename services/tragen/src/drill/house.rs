//! The pooled capital: how much of it may be at risk, and in one place.

use super::{
    setting::Setting,
    step::{ASK, BID, Denial, Drill, LimitOf, Listing, ONE, Observed, Owner, Step, buy, sell},
};
use tragen_contracts::v1::{DenialCode as Code, SettlementStyle};
use tragen_domain::risk::LimitName;

/// The account of the house that drills trade.
pub(crate) const ACCOUNT: &str = "drill-house";
/// The other one, where there are two.
pub(crate) const PARTNER: &str = "drill-house-2";
/// What each has at the start, dollars.
pub(crate) const CAPITAL: i64 = 10_000;
/// The cluster of instruments that move together.
pub(crate) const CLUSTER: &str = "drill-cluster";

pub(super) fn drills() -> Vec<Drill> {
    vec![
        share(LimitName::OpenRiskMaxPpm, LimitOf::All, Code::OpenRiskLimit),
        share(LimitName::PoolExposureMaxPpm, LimitOf::Named("user"), Code::PoolExposureLimit),
        share(LimitName::InstrumentExposureMaxPpm, LimitOf::Instrument, Code::InstrumentExposureLimit),
        share(LimitName::ClusterExposureMaxPpm, LimitOf::Named(CLUSTER), Code::ClusterExposureLimit),
        share(LimitName::HouseMatchExposureMaxPpm, LimitOf::Match, Code::HouseMatchExposureLimit),
        margined_risk(),
    ]
}

/// Of a margined position a share of the notional is at risk. An order holds 300 micros more than
/// its margin, for rounding: 4 % of 400 contracts at 0.50 are a little above 8 of 10,000 dollars,
/// which is the limit, and of 399 below it; 5 % of these are not.
fn margined_risk() -> Drill {
    let name = LimitName::MarginedRiskPpm;
    let beyond = |observed| Denial { code: Code::OpenRiskLimit, limit: 8 * ONE, observed: Observed::Is(observed) };
    let steps = vec![
        Step::Limit(LimitName::OpenRiskMaxPpm, LimitOf::All, 800),
        Step::Limit(name, LimitOf::All, 50_000),
        Step::Denied(buy(399, ASK), beyond(9_975_150)),
        Step::Limit(name, LimitOf::All, 40_000),
        Step::Denied(buy(400, ASK), beyond(8_000_120)),
        Step::Fills(buy(399, ASK)),
        Step::Denied(buy(1, ASK), beyond(8_000_120)),
        Step::Limit(name, LimitOf::All, 20_000),
        Step::Fills(buy(1, ASK)),
        Step::Limit(LimitName::OpenRiskMaxPpm, LimitOf::All, 0),
        Step::Quote(ASK, ASK + ASK - BID),
        Step::Fills(sell(400, ASK)),
    ];
    let listing = Listing { style: SettlementStyle::Margined, ..Listing::default() };
    let reset = "two people say that less of a position is at risk";
    Drill { limit: name.as_str(), setting: Setting::Limits, owner: Owner::House, listing, steps, reset }
}

/// One hundredth of the capital is 100 dollars: 200 contracts are at the limit, 201 beyond it.
/// Everything is sold at cost in the end, so that the next drill finds the same capital.
fn share(name: LimitName, of: LimitOf, code: Code) -> Drill {
    let beyond = Denial { code, limit: 100 * ONE, observed: Observed::Is(100_500_000) };
    let steps = vec![
        Step::Limit(name, of, 10_000),
        Step::Denied(buy(201, ASK), beyond),
        Step::Fills(buy(200, ASK)),
        Step::Denied(buy(1, ASK), beyond),
        Step::Limit(name, of, 0),
        Step::Fills(buy(1, ASK)),
        Step::Quote(ASK, ASK + ASK - BID),
        Step::Fills(sell(201, ASK)),
    ];
    let (listing, reset) = (Listing::default(), "two people loosen the limit");
    Drill { limit: name.as_str(), setting: Setting::Limits, owner: Owner::House, listing, steps, reset }
}
