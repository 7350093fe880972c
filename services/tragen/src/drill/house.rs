//! The pooled capital: how much of it may be at risk, and in one place.

use super::{
    stage::Setting,
    step::{ASK, BID, Denial, Drill, LimitOf, Listing, ONE, Observed, Owner, Step, buy, sell},
};
use tragen_contracts::v1::DenialCode as Code;
use tragen_domain::risk::LimitName;

/// The one account of the house.
pub(crate) const ACCOUNT: &str = "drill-house";
/// What it has at the start, dollars.
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
    ]
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
