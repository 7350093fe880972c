//! What the house has in the market, kept up to date with every change, so that
//! a decision only looks it up. House: the accounts whose capital is pooled.
//!
//! *Exposure* is the capital put in: what a position cost (its margin, where it
//! is margined) and what open orders hold. *At risk* is what may be lost by it:
//! all of what is fully paid, a share of the notional of what is margined.
//! Amounts of different currencies are never added up: each has a sheet.

use crate::{
    id::{AgentId, Currency, InstrumentId, PoolId, QuickMap},
    instrument::{SettlementStyle, SettlementTerms},
    market::Timeframe,
    money::{Money, ONE, Overflow, Rounding},
};
use std::hash::Hash;

/// One sheet per currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct House {
    sheets: Vec<(Currency, Sheet)>,
}

/// The house in one currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sheet {
    capital: Money,
    exposure: Exposure,
    pools: QuickMap<PoolId, Money>,
    agents: QuickMap<AgentId, Money>,
    timeframes: [Money; Timeframe::ALL.len()],
    instruments: QuickMap<InstrumentId, Money>,
}

/// Everybody who has ever ordered in a holding. It is not forgotten when the
/// holding is flat: a restart reads orders and fills from different places, and
/// what is counted twice only denies too much.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Owners {
    pub(super) pools: Vec<PoolId>,
    pub(super) agents: Vec<AgentId>,
    pub(super) timeframes: Vec<Timeframe>,
}

/// Capital put in, gross, by how much of it can be lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exposure {
    /// All of it.
    pub used: Money,
    /// The part that is fully paid: it can be lost in full.
    pub paid: Money,
    /// The notional of the part that is margined.
    pub notional: Money,
}

/// One holding of the house with everybody who has ordered in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) instrument: InstrumentId,
    pub(super) currency: Currency,
    pub(super) owners: Owners,
    pub(super) exposure: Exposure,
}

impl Exposure {
    /// `used` capital of an instrument with these terms.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn of(used: Money, terms: &SettlementTerms) -> Result<Self, Overflow> {
        match terms.style {
            SettlementStyle::Prediction | SettlementStyle::Spot => Ok(Self { used, paid: used, notional: Money::ZERO }),
            SettlementStyle::Margined if terms.initial_margin_ppm <= 0 => {
                Ok(Self { used, paid: used, notional: Money::ZERO })
            }
            SettlementStyle::Margined => {
                let notional = used.scaled(ONE, terms.initial_margin_ppm, Rounding::Up)?;
                Ok(Self { used, paid: Money::ZERO, notional })
            }
        }
    }

    /// What may be lost by it when `margined_risk_ppm` of a notional may be.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn at_risk(&self, margined_risk_ppm: i64) -> Result<Money, Overflow> {
        self.paid.plus(self.notional.ppm(margined_risk_ppm, Rounding::Up)?)
    }

    fn plus(&self, other: &Self) -> Result<Self, Overflow> {
        Ok(Self {
            used: self.used.plus(other.used)?,
            paid: self.paid.plus(other.paid)?,
            notional: self.notional.plus(other.notional)?,
        })
    }

    fn negated(&self) -> Result<Self, Overflow> {
        Ok(Self { used: self.used.negated()?, paid: self.paid.negated()?, notional: self.notional.negated()? })
    }
}

impl Owners {
    pub(super) const fn is_empty(&self) -> bool {
        self.pools.is_empty() && self.agents.is_empty() && self.timeframes.is_empty()
    }

    pub(super) fn add(&mut self, pool: Option<&PoolId>, agent: Option<&AgentId>, timeframe: Option<Timeframe>) {
        add_once(&mut self.pools, pool.cloned());
        add_once(&mut self.agents, agent.cloned());
        add_once(&mut self.timeframes, timeframe);
    }

    pub(super) fn extend(&mut self, others: Self) {
        others.pools.into_iter().for_each(|own| add_once(&mut self.pools, Some(own)));
        others.agents.into_iter().for_each(|own| add_once(&mut self.agents, Some(own)));
        others.timeframes.into_iter().for_each(|own| add_once(&mut self.timeframes, Some(own)));
    }
}

fn add_once<T: PartialEq>(all: &mut Vec<T>, one: Option<T>) {
    if let Some(one) = one
        && !all.contains(&one)
    {
        all.push(one);
    }
}

impl House {
    /// The sheet of a currency, if the house has ever had any of it.
    #[must_use]
    pub fn sheet(&self, currency: &Currency) -> Option<&Sheet> {
        self.sheets.iter().find(|(own, _)| own == currency).map(|(_, sheet)| sheet)
    }

    /// Cash of an account of the house has changed.
    pub(super) fn add_capital(&mut self, currency: &Currency, change: Money) -> Result<(), Overflow> {
        let sheet = self.sheet_mut(currency);
        sheet.capital = sheet.capital.plus(change)?;
        Ok(())
    }

    pub(super) fn take_out(&mut self, part: &Part) -> Result<(), Overflow> {
        self.sheet_mut(&part.currency).shift(part, &part.exposure.negated()?)
    }

    pub(super) fn put_in(&mut self, part: &Part) -> Result<(), Overflow> {
        self.sheet_mut(&part.currency).shift(part, &part.exposure)
    }

    fn sheet_mut(&mut self, currency: &Currency) -> &mut Sheet {
        let index = self.sheets.iter().position(|(own, _)| own == currency).unwrap_or_else(|| {
            self.sheets.push((currency.clone(), Sheet::default()));
            self.sheets.len() - 1
        });
        &mut self.sheets[index].1
    }
}

impl Sheet {
    /// Cash and what positions cost, of all accounts of the house.
    #[must_use]
    pub const fn capital(&self) -> Money {
        self.capital
    }

    /// Everything put in.
    #[must_use]
    pub const fn exposure(&self) -> &Exposure {
        &self.exposure
    }

    /// What a pool or strategy has put in.
    #[must_use]
    pub fn pool(&self, pool: &PoolId) -> Money {
        self.pools.get(pool).copied().unwrap_or_default()
    }

    /// What a configured agent has put in.
    #[must_use]
    pub fn agent(&self, agent: &AgentId) -> Money {
        self.agents.get(agent).copied().unwrap_or_default()
    }

    /// What is put in on signals of a timeframe.
    #[must_use]
    pub const fn timeframe(&self, timeframe: Timeframe) -> Money {
        self.timeframes[place(timeframe)]
    }

    /// What is put into an instrument.
    #[must_use]
    pub fn instrument(&self, instrument: &InstrumentId) -> Money {
        self.instruments.get(instrument).copied().unwrap_or_default()
    }

    fn shift(&mut self, part: &Part, exposure: &Exposure) -> Result<(), Overflow> {
        self.exposure = self.exposure.plus(exposure)?;
        add(&mut self.instruments, &part.instrument, exposure.used)?;
        for pool in &part.owners.pools {
            add(&mut self.pools, pool, exposure.used)?;
        }
        for agent in &part.owners.agents {
            add(&mut self.agents, agent, exposure.used)?;
        }
        for timeframe in &part.owners.timeframes {
            let own = &mut self.timeframes[place(*timeframe)];
            *own = own.plus(exposure.used)?;
        }
        Ok(())
    }
}

/// What is nothing is forgotten, so that memory is bounded by what is open.
fn add<K: Clone + Eq + Hash>(all: &mut QuickMap<K, Money>, key: &K, change: Money) -> Result<(), Overflow> {
    if change.is_zero() {
        return Ok(());
    }
    let sum = all.get(key).copied().unwrap_or_default().plus(change)?;
    if sum.is_zero() {
        all.remove(key);
    } else if let Some(own) = all.get_mut(key) {
        *own = sum;
    } else {
        all.insert(key.clone(), sum);
    }
    Ok(())
}

const fn place(timeframe: Timeframe) -> usize {
    match timeframe {
        Timeframe::Minute1 => 0,
        Timeframe::Minute5 => 1,
        Timeframe::Hour1 => 2,
        Timeframe::Hour4 => 3,
        Timeframe::Day1 => 4,
    }
}
