//! What the house may: the accounts that trade its own pooled capital together
//! have so much at risk, and so much in one place. Other accounts pass.

use super::{
    Case,
    look::{Look, Verdict},
};
use crate::{
    id::InstrumentId,
    money::{Money, ONE, Rounding},
    risk::{DenialReason as Reason, Denied, Exposure, Holding, LimitName, Order, Sheet},
};

/// Open risk first, then concentration from the largest scope to the smallest.
pub(super) fn check_house(case: &Case<'_>, order: &Order, look: &mut impl Look) -> Result<(), Denied> {
    if order.hold.is_zero() || !case.state.limits().is_house(&order.account) {
        return Ok(());
    }
    let sheet = case.state.house().sheet(&order.settlement.currency);
    let share = Share { case, order, sheet, capital: sheet.map_or(Money::ZERO, Sheet::capital) };
    share.check_open_risk(look)?;
    share.check_concentration(look)
}

struct Share<'a> {
    case: &'a Case<'a>,
    order: &'a Order,
    sheet: Option<&'a Sheet>,
    capital: Money,
}

impl Share<'_> {
    /// Gross: losses of different positions are added up, whatever their correlation.
    fn check_open_risk(&self, look: &mut impl Look) -> Result<(), Denied> {
        let rules = &self.case.state.limits().rules;
        let Some(ppm) = rules.all(LimitName::OpenRiskMaxPpm) else { return Ok(()) };
        let risk_ppm = rules.all(LimitName::MarginedRiskPpm).unwrap_or(ONE);
        let added = Exposure::of(self.order.hold, &self.order.settlement)?.at_risk(risk_ppm)?;
        let open = self.sheet.map_or(Ok(Money::ZERO), |sheet| sheet.exposure().at_risk(risk_ppm))?;
        let at_risk = open.plus(added)?;
        self.check(ppm, at_risk, Reason::OpenRiskLimit, look)
    }

    fn check_concentration(&self, look: &mut impl Look) -> Result<(), Denied> {
        let (state, order) = (self.case.state, self.order);
        let rules = &state.limits().rules;
        if let Some(pool) = &order.pool
            && let Some(ppm) = rules.of(LimitName::PoolExposureMaxPpm, pool.as_str())
        {
            let open = self.of(|sheet| sheet.pool(pool));
            let is_new = self.is_new(|holding| holding.owners().pools.contains(pool));
            self.check(ppm, self.with_order(open, is_new)?, Reason::PoolExposureLimit, look)?;
        }
        if let Some(timeframe) = order.timeframe
            && let Some(ppm) = rules.of(LimitName::TimeframeExposureMaxPpm, timeframe.as_str())
        {
            let open = self.of(|sheet| sheet.timeframe(timeframe));
            let is_new = self.is_new(|holding| holding.owners().timeframes.contains(&timeframe));
            self.check(ppm, self.with_order(open, is_new)?, Reason::TimeframeExposureLimit, look)?;
        }
        if let Some(agent) = &order.agent
            && let Some(ppm) = rules.of(LimitName::AgentExposureMaxPpm, agent.as_str())
        {
            let open = self.of(|sheet| sheet.agent(agent));
            let is_new = self.is_new(|holding| holding.owners().agents.contains(agent));
            self.check(ppm, self.with_order(open, is_new)?, Reason::AgentExposureLimit, look)?;
        }
        self.check_company(look)?;
        let instrument = &order.terms.instrument;
        if let Some(ppm) = rules.of(LimitName::InstrumentExposureMaxPpm, instrument.as_str()) {
            let open = self.of(|sheet| sheet.instrument(instrument));
            self.check(ppm, open.plus(order.hold)?, Reason::InstrumentExposureLimit, look)?;
        }
        for cluster in state.limits().clusters_of(instrument) {
            if let Some(ppm) = rules.of(LimitName::ClusterExposureMaxPpm, &cluster.name) {
                let open = self.sum(cluster.instruments.iter())?;
                self.check(ppm, open.plus(order.hold)?, Reason::ClusterExposureLimit, look)?;
            }
        }
        if let Some((fixture, _)) = &self.case.instrument.prediction
            && let Some(ppm) = rules.of(LimitName::HouseMatchExposureMaxPpm, fixture.as_str())
        {
            let open = self.sum(state.instruments_of(fixture))?;
            self.check(ppm, open.plus(order.hold)?, Reason::HouseMatchExposureLimit, look)?;
        }
        Ok(())
    }

    /// Agents that move together are one as far as what they have is concerned.
    fn check_company(&self, look: &mut impl Look) -> Result<(), Denied> {
        let (state, order) = (self.case.state, self.order);
        let Some(ppm) = state.limits().rules.all(LimitName::CompanyExposureMaxPpm) else { return Ok(()) };
        let company = order.agent.as_ref().and_then(|agent| state.breakers().company_of(agent));
        let Some(company) = company else { return Ok(()) };
        let mut open = Money::ZERO;
        for agent in company {
            open = open.plus(self.of(|sheet| sheet.agent(agent)))?;
        }
        let is_new = self.is_new(|holding| holding.owners().agents.iter().any(|agent| company.contains(agent)));
        self.check(ppm, self.with_order(open, is_new)?, Reason::CompanyExposureLimit, look)
    }

    fn of(&self, read: impl FnOnce(&Sheet) -> Money) -> Money {
        self.sheet.map_or(Money::ZERO, read)
    }

    fn is_new(&self, is_owned: impl FnOnce(&Holding) -> bool) -> bool {
        self.case.holding.is_some_and(|holding| !is_owned(holding))
    }

    /// A holding counts in full for everybody who has ordered in it, so somebody
    /// new takes over what is there already.
    fn with_order(&self, open: Money, is_new: bool) -> Result<Money, Denied> {
        let taken_over = match self.case.holding {
            Some(holding) if is_new => holding.exposure()?,
            Some(_) | None => Money::ZERO,
        };
        Ok(open.plus(taken_over)?.plus(self.order.hold)?)
    }

    fn sum<'i>(&self, instruments: impl Iterator<Item = &'i InstrumentId>) -> Result<Money, Denied> {
        let mut sum = Money::ZERO;
        for instrument in instruments {
            sum = sum.plus(self.of(|sheet| sheet.instrument(instrument)))?;
        }
        Ok(sum)
    }

    fn check(&self, ppm: i64, observed: Money, reason: Reason, look: &mut impl Look) -> Result<(), Denied> {
        if self.capital.micros() <= 0 {
            return Err(Denied::new(Reason::NoCapital, 1, self.capital.micros()));
        }
        let most = self.case.ramped(self.capital.ppm(ppm, Rounding::Down)?)?;
        look.check(reason, most.micros(), observed.micros(), Verdict::failed_if(observed > most))
    }
}
