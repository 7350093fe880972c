//! Limits that were changed, breakers and baselines in the journal.

use super::scope::{parse_scope, scope as sent_scope};
use tragen_contracts::{
    convert::{InvalidField, id},
    v1::{self, journal_record::Kind},
};
use tragen_domain::{
    money::Money,
    portfolio::{BaselineFigures, DrawdownFigures, Loss},
    risk::{
        Acknowledged, Basis, BasisChange, BreakerKind, BreakerRecord, ClosedTrade, Companions, KeptBaseline,
        KeptPayments, Latch, LimitChange, LimitName, Record, TradeEnd,
    },
    time::Timestamp,
};

/// The journal's form of a changed limit.
pub(crate) fn limit_kind(change: &LimitChange) -> Kind {
    Kind::LimitChanged(v1::LimitChanged {
        name: change.name.as_str().to_owned(),
        id: change.id.clone(),
        value: change.value,
        changed_by: change.changed_by.clone(),
        reason: change.reason.clone(),
        changed_at_micros: change.changed_at.micros(),
    })
}

/// The journal's form of what happened to breakers; `None` for what is not journaled.
pub(crate) fn breaker_kind(record: &BreakerRecord) -> Option<Kind> {
    Some(match record {
        BreakerRecord::Tripped(latch) => Kind::BreakerLatched(v1::BreakerLatched {
            breaker: latch.kind.as_str().to_owned(),
            scope: Some(sent_scope(&latch.scope)),
            value: latch.value,
            threshold: latch.threshold,
            tripped_at_micros: latch.tripped_at.micros(),
            resume_from_micros: latch.resume_from.micros(),
            until_micros: latch.until.map_or(0, Timestamp::micros),
            is_reduction_ordered: latch.is_reduction_ordered,
        }),
        BreakerRecord::Ended { kind, scope } => {
            Kind::BreakerEnded(v1::BreakerScope { breaker: kind.as_str().to_owned(), scope: Some(sent_scope(scope)) })
        }
        BreakerRecord::Acknowledged(own) => Kind::BreakerAcknowledged(v1::BreakerAcknowledged {
            breaker: own.kind.as_str().to_owned(),
            scope: Some(sent_scope(&own.scope)),
            value: own.value,
        }),
        BreakerRecord::BaselineKept(kept) => Kind::BaselineKept(v1::BaselineKept {
            scope: Some(sent_scope(&kept.scope)),
            taken_at_micros: kept.figures.observed_at.micros(),
            start_of_day_micros: kept.figures.start_of_day.micros(),
            start_of_month_micros: kept.figures.start_of_month.micros(),
            peak_micros: kept.figures.drawdown.peak.micros(),
            equity_micros: kept.figures.drawdown.equity.micros(),
            worst_lost_micros: kept.figures.drawdown.worst.amount().micros(),
            worst_peak_micros: kept.figures.drawdown.worst.basis().micros(),
            deepest_micros: kept.figures.drawdown.deepest.micros(),
            payments_micros: kept.payments.micros(),
            currency: kept.basis.as_ref().map(|basis| basis.currency.to_string()).unwrap_or_default(),
            accounts_hash: kept.basis.as_ref().map_or(0, |basis| basis.accounts),
            begun_because: kept.begun_because.map_or("", BasisChange::as_str).to_owned(),
        }),
        BreakerRecord::PaymentsKept(kept) => Kind::PaymentsKept(v1::PaymentsKept {
            account_id: kept.account.to_string(),
            currency: kept.currency.to_string(),
            total_micros: kept.total.micros(),
            version: kept.version,
        }),
        BreakerRecord::TradeClosed(closed) => Kind::AgentTradeClosed(closed_trade(closed)),
        BreakerRecord::CompaniesFound(companies) => {
            let company =
                |own: &Companions| v1::AgentCompany { agent_ids: own.iter().map(ToString::to_string).collect() };
            Kind::CompaniesFound(v1::CompaniesFound { companies: companies.iter().map(company).collect() })
        }
        BreakerRecord::Measured(_) => return None,
    })
}

pub(super) fn closed_trade(closed: &ClosedTrade) -> v1::AgentTradeClosed {
    v1::AgentTradeClosed {
        agent_id: closed.agent.to_string(),
        account_id: closed.account.to_string(),
        instrument_id: closed.instrument.to_string(),
        is_payout: closed.end == TradeEnd::Payout,
        number: closed.number,
        net_micros: closed.net.micros(),
    }
}

pub(super) fn parse_closed_trade(closed: &v1::AgentTradeClosed) -> Result<ClosedTrade, InvalidField> {
    Ok(ClosedTrade {
        agent: id("agent_id", &closed.agent_id)?,
        account: id("account_id", &closed.account_id)?,
        instrument: id("instrument_id", &closed.instrument_id)?,
        end: if closed.is_payout { TradeEnd::Payout } else { TradeEnd::Fill },
        number: closed.number,
        net: Money::from_micros(closed.net_micros),
    })
}

pub(super) fn closed_trade_record(closed: &v1::AgentTradeClosed) -> Result<Record, InvalidField> {
    Ok(breaker(BreakerRecord::TradeClosed(parse_closed_trade(closed)?)))
}

/// What a journaled change of a limit changes.
pub(super) fn limit_record(changed: &v1::LimitChanged) -> Result<Record, InvalidField> {
    let unknown = || InvalidField::new("name", "LIMIT_UNKNOWN", format!("{} is no limit", changed.name));
    Ok(Record::LimitChanged(Box::new(LimitChange {
        name: LimitName::parse(&changed.name).ok_or_else(unknown)?,
        id: changed.id.clone(),
        value: changed.value,
        changed_by: changed.changed_by.clone(),
        reason: changed.reason.clone(),
        changed_at: Timestamp::from_micros(changed.changed_at_micros),
    })))
}

pub(super) fn latched_record(latched: &v1::BreakerLatched) -> Result<Record, InvalidField> {
    Ok(breaker(BreakerRecord::Tripped(Latch {
        kind: parse_kind(&latched.breaker)?,
        scope: parse_scope(latched.scope.as_ref())?,
        value: latched.value,
        threshold: latched.threshold,
        tripped_at: Timestamp::from_micros(latched.tripped_at_micros),
        resume_from: Timestamp::from_micros(latched.resume_from_micros),
        until: (latched.until_micros != 0).then(|| Timestamp::from_micros(latched.until_micros)),
        is_reduction_ordered: latched.is_reduction_ordered,
    })))
}

pub(super) fn ended_record(ended: &v1::BreakerScope) -> Result<Record, InvalidField> {
    let (kind, scope) = (parse_kind(&ended.breaker)?, parse_scope(ended.scope.as_ref())?);
    Ok(breaker(BreakerRecord::Ended { kind, scope }))
}

pub(super) fn acknowledged_record(own: &v1::BreakerAcknowledged) -> Result<Record, InvalidField> {
    let (kind, scope) = (parse_kind(&own.breaker)?, parse_scope(own.scope.as_ref())?);
    Ok(breaker(BreakerRecord::Acknowledged(Acknowledged { kind, scope, value: own.value })))
}

pub(super) fn baseline_record(kept: &v1::BaselineKept) -> Result<Record, InvalidField> {
    let money = Money::from_micros;
    let overflow = |_| InvalidField::new("worst_lost_micros", "OUT_OF_RANGE", "does not fit its peak");
    let peak = money(kept.worst_peak_micros);
    let bottom = peak.minus(money(kept.worst_lost_micros)).map_err(overflow)?;
    let figures = BaselineFigures {
        observed_at: Timestamp::from_micros(kept.taken_at_micros),
        start_of_day: money(kept.start_of_day_micros),
        start_of_month: money(kept.start_of_month_micros),
        drawdown: DrawdownFigures {
            peak: money(kept.peak_micros),
            equity: money(kept.equity_micros),
            worst: Loss::between(peak, bottom).map_err(overflow)?,
            deepest: money(kept.deepest_micros),
        },
    };
    let (scope, payments) = (parse_scope(kept.scope.as_ref())?, money(kept.payments_micros));
    let basis = match kept.currency.as_str() {
        "" => None,
        currency => Some(Basis { currency: id("currency", currency)?, accounts: kept.accounts_hash }),
    };
    let begun_because = BasisChange::parse(&kept.begun_because);
    Ok(breaker(BreakerRecord::BaselineKept(KeptBaseline { scope, figures, payments, basis, begun_because })))
}

pub(super) fn payments_record(kept: &v1::PaymentsKept) -> Result<Record, InvalidField> {
    Ok(breaker(BreakerRecord::PaymentsKept(KeptPayments {
        account: id("account_id", &kept.account_id)?,
        currency: id("currency", &kept.currency)?,
        total: Money::from_micros(kept.total_micros),
        version: kept.version,
    })))
}

pub(super) fn companies_record(found: &v1::CompaniesFound) -> Result<Record, InvalidField> {
    let mut companies = Vec::with_capacity(found.companies.len());
    for company in &found.companies {
        let agents = company.agent_ids.iter().map(|own| id("companies.agent_ids", own));
        companies.push(agents.collect::<Result<Companions, _>>()?);
    }
    Ok(breaker(BreakerRecord::CompaniesFound(companies)))
}

fn breaker(record: BreakerRecord) -> Record {
    Record::Breaker(Box::new(record))
}

fn parse_kind(text: &str) -> Result<BreakerKind, InvalidField> {
    let unknown = || InvalidField::new("breaker", "BREAKER_UNKNOWN", format!("{text} is no breaker"));
    BreakerKind::parse(text).ok_or_else(unknown)
}
