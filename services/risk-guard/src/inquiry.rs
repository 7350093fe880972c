//! Questions that change nothing: what the guard would say to an order. They come on a
//! subject of their own and wait in a queue of their own, so no halt ever waits for them.

mod standings;

use crate::{
    command::Code,
    config::{Config, now},
    gate::Gate,
    wire::denial,
};
use futures::FutureExt as _;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};
use tragen_bus::{Ask, Bus, BusError};
use tragen_contracts::{
    convert::{self, InvalidField, id, required},
    v1::{self, risk_answer::Answer, risk_question::Question},
};
use tragen_domain::{
    id::{AccountId, Currency},
    money::{Money, Overflow, Quantity},
    order::OrderTerms,
    risk::{AccountState, Advice, Allowance, Check, Denied, LimitName, Proposed, Prospects, Purpose, Verdict, what_if},
    tier::Tier,
    time::Timestamp,
};
use tragen_host::Context;

/// Trade and order that are never sent. No trade of an account has such an id: theirs are UUIDs.
const NO_TRADE: &str = "what-if";

/// One question and where its answer goes.
#[derive(Debug)]
pub(crate) struct Inquiry {
    question: v1::RiskQuestion,
    reply: oneshot::Sender<v1::RiskAnswer>,
}

/// Takes questions while the term lasts.
pub(crate) async fn listen(context: &Context, bus: &Bus, config: &Config) -> Result<mpsc::Receiver<Inquiry>, BusError> {
    let (sender, inquiries) = mpsc::channel(config.waiting_inquiries_max);
    bus.answer(context, Ask::Risk, move |question: v1::RiskQuestion| {
        let sender = sender.clone();
        async move {
            let (reply, answer) = oneshot::channel();
            if sender.try_send(Inquiry { question, reply }).is_err() {
                return refusal(Code::ResourceExhausted, "GUARD_BUSY", "The guard has too many questions waiting.");
            }
            let gone = || refusal(Code::Unavailable, "GUARD_GONE", "The guard stopped leading before it answered.");
            answer.await.unwrap_or_else(|_| gone())
        }
        .boxed()
    })
    .await?;
    Ok(inquiries)
}

impl Gate {
    /// Answers one question; nothing is changed, journaled or held.
    pub(crate) fn inquire(&mut self, inquiry: Inquiry) {
        self.work.inquired = Some(Instant::now());
        let Inquiry { question, reply } = inquiry;
        let answer = match &question.question {
            Some(Question::WhatIf(asked)) => match self.what_if(asked, now()) {
                Ok(result) => v1::RiskAnswer { answer: Some(Answer::WhatIf(result)) },
                Err(malformed) => refusal(Code::InvalidArgument, malformed.reason, malformed.to_string()),
            },
            Some(Question::AccountRisk(asked)) => self.account_risk(asked, now()),
            Some(Question::Standings(asked)) => match self.standings(asked) {
                Ok(standings) => v1::RiskAnswer { answer: Some(Answer::Standings(standings)) },
                Err(malformed) => refusal(Code::InvalidArgument, malformed.reason, malformed.to_string()),
            },
            None => refusal(Code::InvalidArgument, "QUESTION_MISSING", "No question is set."),
        };
        let _ = reply.send(answer);
    }

    fn account_risk(&self, asked: &v1::AccountRiskQuestion, now: Timestamp) -> v1::RiskAnswer {
        let malformed =
            |malformed: InvalidField| refusal(Code::InvalidArgument, malformed.reason, malformed.to_string());
        let account: AccountId = match id("account_id", &asked.account_id) {
            Ok(account) => account,
            Err(error) => return malformed(error),
        };
        let currency: Currency = match id("currency", &asked.currency) {
            Ok(currency) => currency,
            Err(error) => return malformed(error),
        };
        let Some(state) = self.state.account(&account) else {
            return refusal(Code::NotFound, "ACCOUNT_NOT_FOUND", "The guard has never heard of the account.");
        };
        let match_max_ppm = self.state.limits().rules.of(LimitName::MatchMaxPpm, account.as_str()).unwrap_or(0);
        match account_risk(state, &currency) {
            Ok(risk) => {
                let looked_at = Some(convert::timestamp(now));
                let risk = v1::AccountRisk { match_max_ppm, looked_at, ..risk };
                v1::RiskAnswer { answer: Some(Answer::AccountRisk(risk)) }
            }
            Err(Overflow) => refusal(Code::FailedPrecondition, "ACCOUNT_TOO_LARGE", "A sum does not fit 64 bits."),
        }
    }

    /// What riskManagerAgent says: the checks of every decision, and how much would pass.
    fn what_if(&self, asked: &v1::WhatIfQuestion, now: Timestamp) -> Result<v1::WhatIfResult, InvalidField> {
        let proposed = proposed(asked, now)?;
        let overflow =
            |_| InvalidField::new("order", "ACCOUNT_TOO_LARGE", "what the account holds does not fit 64 bits");
        let said = what_if(&self.state, &proposed, &Prospects::default(), now).map_err(overflow)?;
        let (verdict, largest) = match said.advice {
            Advice::Allow => (v1::WhatIfVerdict::Allow, proposed.terms.quantity),
            Advice::Scale { quantity } => (v1::WhatIfVerdict::Scale, quantity),
            Advice::Reject => (v1::WhatIfVerdict::Reject, Quantity::ZERO),
        };
        let order = said.inspection.order.as_ref();
        Ok(v1::WhatIfResult {
            verdict: verdict.into(),
            denial: said.reasons.first().copied().map(denial),
            checks: said.inspection.checks.iter().map(check).collect(),
            hold_micros: order.map_or(0, |order| order.hold.micros()),
            largest_quantity_micros: largest.micros(),
            worst_price_micros: order.map_or(0, |order| order.limit.micros()),
            looked_at: Some(convert::timestamp(now)),
            allowances: said.allowances.iter().map(allowance).collect(),
        })
    }
}

/// What `account` has in `currency`.
fn account_risk(account: &AccountState, currency: &Currency) -> Result<v1::AccountRisk, Overflow> {
    let balance = account.balance(currency);
    let mut holdings = Vec::new();
    for (instrument, holding) in account.holdings() {
        // Before its first order only the ledger knows its currency, and then it is the account's only one.
        if holding.currency().is_some_and(|own| own != currency) {
            continue;
        }
        let (position, exposure) = (holding.position(), holding.exposure()?);
        if position.quantity.is_zero() && exposure.is_zero() {
            continue;
        }
        holdings.push(v1::HoldingRisk {
            instrument_id: instrument.to_string(),
            quantity_micros: position.quantity.micros(),
            entry_notional_micros: position.entry_notional.micros(),
            exposure_micros: exposure.micros(),
        });
    }
    holdings.sort_by(|a, b| a.instrument_id.cmp(&b.instrument_id));
    Ok(v1::AccountRisk {
        cash_micros: balance.posted.map_or(0, Money::micros),
        held_micros: balance.held.micros(),
        available_micros: balance.available()?.map_or(0, Money::micros),
        capital_micros: balance.capital()?.micros(),
        holdings,
        ..v1::AccountRisk::default()
    })
}

fn allowance(allowance: &Allowance) -> v1::WhatIfAllowance {
    let code = denial(Denied { reason: allowance.reason, limit: 0, observed: 0 }).code;
    v1::WhatIfAllowance { code, quantity_micros: allowance.quantity.micros() }
}

fn check(check: &Check) -> v1::WhatIfCheck {
    let named = denial(Denied { reason: check.reason, limit: check.limit, observed: check.observed });
    v1::WhatIfCheck {
        code: named.code,
        is_passed: check.verdict == Verdict::Passed,
        limit: check.limit,
        observed: check.observed,
    }
}

/// The order as a user's request would propose it now.
fn proposed(asked: &v1::WhatIfQuestion, now: Timestamp) -> Result<Proposed, InvalidField> {
    let order = required("order", asked.order.as_ref())?;
    let time_in_force = match order.time_in_force() {
        v1::TimeInForce::Unspecified | v1::TimeInForce::Ioc => v1::TimeInForce::Ioc,
        v1::TimeInForce::Fok => v1::TimeInForce::Fok,
        v1::TimeInForce::Gtc => v1::TimeInForce::Gtc,
        v1::TimeInForce::Gtd => v1::TimeInForce::Gtd,
    };
    let terms = v1::OrderTerms {
        order_id: format!("{NO_TRADE}-o"),
        instrument_id: order.instrument_id.clone(),
        side: order.side,
        order_type: order.order_type,
        quantity_micros: order.quantity_micros,
        limit_price_micros: order.limit_price_micros,
        time_in_force: time_in_force.into(),
        expire_at_micros: 0,
        is_reduce_only: order.is_reduce_only,
        is_post_only: order.is_post_only,
    };
    Ok(Proposed {
        trade: id("trade_id", NO_TRADE)?,
        account: id("account_id", &asked.account_id)?,
        terms: OrderTerms::try_from(&terms).map_err(|malformed| malformed.inside("order"))?,
        agent: None,
        pool: Some(id("pool", "user")?),
        timeframe: None,
        tier: v1::Tier::try_from(asked.tier).ok().and_then(|tier| tier.try_into().ok()).unwrap_or(Tier::Free),
        confidence_ppm: None,
        purpose: Purpose::Trade,
        valid_until: now,
        trades_per_day_max: None,
        is_first_on_match: false,
    })
}

fn refusal(code: Code, reason: &str, message: impl Into<String>) -> v1::RiskAnswer {
    let error = v1::AskError { code: code.number(), reason: reason.to_owned(), message: message.into() };
    v1::RiskAnswer { answer: Some(Answer::Error(error)) }
}
