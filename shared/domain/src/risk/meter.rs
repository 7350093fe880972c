//! Measuring: what the house and every configured agent are worth now, against
//! what their day, month and peak began with.

use super::{
    Basis, BasisChange, BreakerKind, Companions, KeptBaseline, KeptPayments, Measured, Reading, Scope, State,
    breaker::loss_ppm,
    together::{Together, Worth},
};
use crate::{
    id::{AccountId, Currency},
    instrument::InstrumentStatus,
    money::{Money, Overflow},
    order::Side,
    portfolio::{BaselineFigures, Baselines, PriceView, Undefined, conservative_mark, position_value},
    time::Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// A baseline that moves only because equity did is journaled this often, milliseconds.
const KEEP_MS: i64 = 60_000;

/// The baselines of the house and of every agent.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    tracks: BTreeMap<Scope, Track>,
    /// The ledger's version of the payments of each wallet that are journaled.
    journaled: BTreeMap<AccountId, i64>,
    together: Together,
}

#[derive(Debug, Clone)]
struct Track {
    baselines: Baselines,
    payments: Money,
    kept: Option<BaselineFigures>,
    kept_payments: Money,
    basis: Basis,
    begun_because: Option<BasisChange>,
}

/// What a measurement gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// For the breakers.
    pub readings: Vec<Reading>,
    /// The house; `None` while it cannot be measured, or where there is none.
    pub measured: Option<Measured>,
    /// What the house is worth and what its losses are measured from; `None` like `measured`.
    pub house: Option<BaselineFigures>,
    /// Baselines that have to be journaled.
    pub kept: Vec<KeptBaseline>,
    /// Payments that have to be journaled before them.
    pub payments: Vec<KeptPayments>,
    /// Agents that move together, where these are others than before; to be journaled.
    pub companies: Option<Vec<Companions>>,
    /// Scopes that could not be measured, and why.
    pub undefined: Vec<(Scope, Undefined)>,
}

/// Cash and positions of an account in one currency at conservative marks, fills
/// that the ledger has not posted included.
///
/// # Errors
/// [`Undefined`]: something held has no usable price or does not trade now, or a sum does not fit.
pub fn account_equity(
    state: &State,
    account: &AccountId,
    currency: &Currency,
    now: Timestamp,
) -> Result<Money, Undefined> {
    let Some(own) = state.account(account) else { return Ok(Money::ZERO) };
    let balance = own.balance(currency);
    let mut equity = balance.posted.unwrap_or_default().minus(balance.unposted)?;
    for (id, holding) in own.holdings() {
        let position = holding.position();
        if position.quantity.is_zero() && holding.received().is_zero() {
            continue;
        }
        let instrument = state.instrument(id);
        if let Some(settled_in) = holding.currency().or(instrument.map(|own| &own.settlement.currency))
            && settled_in != currency
        {
            continue;
        }
        equity = equity.plus(holding.received())?;
        if position.quantity.is_zero() {
            continue;
        }
        let instrument = instrument.ok_or(Undefined::NoPrice { legs: 1 })?;
        // While nothing trades nobody bids: that is no loss, and no price either.
        if instrument.status != InstrumentStatus::Open {
            return Err(Undefined::NoPrice { legs: 1 });
        }
        let quote = state.quote(id).ok_or(Undefined::NoPrice { legs: 1 })?;
        let max_age_ms = instrument.max_quote_age_ms.unwrap_or(state.limits().quote_age_max_ms);
        let opened = if position.quantity.is_negative() { Side::Sell } else { Side::Buy };
        let style = instrument.settlement.style;
        let mark = conservative_mark(style, opened, &PriceView::of(quote, max_age_ms), now)?;
        equity = equity.plus(position_value(position, style, mark)?)?;
    }
    Ok(equity)
}

impl Meter {
    /// Measures the house and every configured agent. An agent is worth what its account is.
    ///
    /// # Errors
    /// [`Overflow`]: payments do not fit.
    pub fn take(&mut self, state: &State, now: Timestamp) -> Result<Taken, Overflow> {
        let mut taken = Taken::default();
        let house = &state.limits().house_accounts;
        if !house.is_empty() {
            let baselines = self.observe(state, Scope::Global, house, now, &mut taken)?;
            taken.measured = baselines.as_ref().map(|baselines| Measured {
                day_loss_ppm: loss_ppm(&baselines.day_loss()),
                month_loss_ppm: loss_ppm(&baselines.month_loss()),
                drawdown_ppm: loss_ppm(&baselines.drawdown().current()),
                measured_at: now,
            });
            taken.readings.extend(house_readings(taken.measured.as_ref()));
            taken.house = baselines.map(|baselines| baselines.figures());
        }
        let agents: Vec<_> = state.breakers().seats().map(|(id, seat)| (id.clone(), seat.account.clone())).collect();
        let mut worths = Vec::with_capacity(agents.len());
        for (agent, account) in agents {
            let scope = Scope::Agent(agent.clone());
            let accounts = BTreeSet::from([account.clone()]);
            let baselines = self.observe(state, scope.clone(), &accounts, now, &mut taken)?;
            // What users' agents have in common is their own affair.
            let is_measured = baselines.is_some() && state.limits().is_house(&account);
            if let Some(track) = self.tracks.get(&scope).filter(|_| is_measured) {
                let (equity, payments) = (track.baselines.equity(), track.payments);
                worths.push(Worth { agent, account, equity, payments });
            }
            let value = baselines.map(|baselines| loss_ppm(&baselines.day_loss()));
            taken.readings.push(Reading { kind: BreakerKind::AgentLoss, scope, value });
        }
        if let Some(sampled) = self.together.sample(&worths, state.limits(), now) {
            taken.readings.push(sampled.reading);
            taken.companies = sampled.companies.filter(|found| *found != state.breakers().companies());
        }
        Ok(taken)
    }

    /// Everything paid in comes before the equity that contains it.
    fn observe(
        &mut self,
        state: &State,
        scope: Scope,
        accounts: &BTreeSet<AccountId>,
        now: Timestamp,
        taken: &mut Taken,
    ) -> Result<Option<Baselines>, Overflow> {
        let currency = &state.limits().measured_currency;
        let (mut equity, mut payments) = (Money::ZERO, Money::ZERO);
        for account in accounts {
            match account_equity(state, account, currency, now) {
                Ok(own) => equity = equity.plus(own)?,
                Err(undefined) => {
                    taken.undefined.push((scope, undefined));
                    return Ok(None);
                }
            }
            let (total, version) = state.account(account).map(|own| own.payments(currency)).unwrap_or_default();
            payments = payments.plus(total)?;
            if version > self.journaled.get(account).copied().unwrap_or_default() {
                self.journaled.insert(account.clone(), version);
                let (account, currency) = (account.clone(), currency.clone());
                taken.payments.push(KeptPayments { account, currency, total, version });
            }
        }
        let basis = Basis::of(accounts, currency);
        if !self.tracks.get(&scope).is_some_and(|track| track.basis == basis) {
            // Without money there is nothing to lose and nothing to measure by.
            if equity.is_zero() && state.breakers().baseline(&scope).is_none() {
                return Ok(None);
            }
            let before = state.breakers().baseline(&scope);
            self.tracks.insert(scope.clone(), Track::begin(before, basis, (equity, payments), now)?);
        }
        let Some(track) = self.tracks.get_mut(&scope) else { return Ok(None) };
        track.observe(equity, payments, now)?;
        taken.kept.extend(track.due_baseline(&scope, now));
        Ok(Some(track.baselines))
    }
}

impl Track {
    /// From what is kept, if that is of the same accounts in the same currency: what others
    /// had is neither a loss nor a profit of these.
    fn begin(
        before: Option<&KeptBaseline>,
        basis: Basis,
        (equity, payments): (Money, Money),
        now: Timestamp,
    ) -> Result<Self, Overflow> {
        let change = before.and_then(|kept| basis.change_from(kept.basis.as_ref()?));
        match before {
            Some(kept) if change.is_none() => Ok(Self {
                baselines: Baselines::restored(&kept.figures)?,
                payments: kept.payments,
                // One without a basis is kept again with it.
                kept: kept.basis.is_some().then_some(kept.figures),
                kept_payments: kept.payments,
                basis,
                begun_because: None,
            }),
            Some(_) | None => Ok(Self {
                baselines: Baselines::starting_at(equity, now),
                payments,
                kept: None,
                kept_payments: payments,
                basis,
                begun_because: change,
            }),
        }
    }

    fn observe(&mut self, equity: Money, payments: Money, now: Timestamp) -> Result<(), Overflow> {
        let paid = payments.minus(self.payments)?;
        if !paid.is_zero() {
            self.baselines.flow(paid)?;
            self.payments = payments;
        }
        self.baselines.observe(equity, now)?;
        Ok(())
    }

    /// At once when a basis has moved, else now and then: a restart measures a day
    /// that has begun meanwhile from the newest equity that is kept.
    fn due_baseline(&mut self, scope: &Scope, now: Timestamp) -> Option<KeptBaseline> {
        let figures = self.baselines.figures();
        let is_due = self.kept.is_none_or(|kept| {
            let has_moved = kept.start_of_day != figures.start_of_day
                || kept.start_of_month != figures.start_of_month
                || (*scope == Scope::Global && kept.drawdown.peak != figures.drawdown.peak)
                || kept.observed_at.utc_day() != now.utc_day()
                || self.kept_payments != self.payments;
            has_moved
                || (kept.drawdown.equity != figures.drawdown.equity && now.millis_since(kept.observed_at) >= KEEP_MS)
        });
        if !is_due {
            return None;
        }
        (self.kept, self.kept_payments) = (Some(figures), self.payments);
        let (basis, begun_because) = (Some(self.basis.clone()), self.begun_because.take());
        Some(KeptBaseline { scope: scope.clone(), figures, payments: self.payments, basis, begun_because })
    }
}

/// One loss of the day is two breakers: nothing is opened, and positions are reduced.
/// Without a measurement their values are not known: one from before says nothing of now.
fn house_readings(measured: Option<&Measured>) -> [Reading; 4] {
    let reading =
        |kind, value: fn(&Measured) -> i64| Reading { kind, scope: Scope::Global, value: measured.map(value) };
    [
        reading(BreakerKind::Drawdown, |own| own.drawdown_ppm),
        reading(BreakerKind::MonthLoss, |own| own.month_loss_ppm),
        reading(BreakerKind::TotalLoss, |own| own.day_loss_ppm),
        reading(BreakerKind::PositionReduction, |own| own.day_loss_ppm),
    ]
}
