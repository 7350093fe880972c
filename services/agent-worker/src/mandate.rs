//! A mandate: the agent it names looks for an outcome of the match that is offered below its
//! fair price, and a fraction of the wallet is staked on it.

use crate::{
    advisor::{Advice, Advisor, News, Question},
    alert,
    analysis::{
        self, NoSnapshot,
        match_view::{contract, phase},
    },
    bars::as_units,
    config::Config,
    match_wish::{self, rules_of, taking},
    order::order_id,
    proposal::{Decision, Origin, Proposer},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tragen_bus::{
    Ask, Bus,
    ask::NoAnswer,
    usage::{Usage, Work},
};
use tragen_contracts::v1;
use tragen_domain::{
    agents::{
        advisor::{
            applied::Decided,
            consult::Pace,
            facts::{Direction, Trust},
        },
        bettor::{Purse, bet_size},
        mandate::{MandateAgent, MandateInputs, MandateRules, Wish},
        personality::{AnalysisStyle, Personality},
        scout::MatchPhase,
        sizing::{MAX_WALLET_SHARE, MandateSize},
    },
    time::Timestamp,
};
use tragen_host::clock;

/// The pool of mandates.
const POOL: &str = "value";

/// Where agents get their inputs.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    bus: Bus,
    proposer: Proposer,
    usage: Usage,
    analysis: Arc<analysis::Desk>,
    timeout: Duration,
    risk_tolerance: u8,
    advisor: Advisor,
}

/// What mandates need of the rest of the worker.
pub(crate) struct Parts<'a> {
    pub(crate) proposer: &'a Proposer,
    pub(crate) usage: &'a Usage,
    pub(crate) analysis: &'a Arc<analysis::Desk>,
    pub(crate) advisor: Advisor,
}

/// A mandate and whom it is for.
struct Order<'a> {
    key: &'a v1::TradeKey,
    mandate: &'a v1::Mandate,
    agent: MandateAgent,
    cash_micros: i64,
    snapshot: &'a v1::MatchSnapshot,
}

impl Desk {
    pub(crate) fn new(bus: &Bus, config: &Config, parts: Parts<'_>) -> Self {
        Self {
            bus: bus.clone(),
            proposer: parts.proposer.clone(),
            usage: parts.usage.clone(),
            analysis: Arc::clone(parts.analysis),
            timeout: Duration::from_millis(config.question_timeout_ms),
            risk_tolerance: config.mandate_risk_tolerance,
            advisor: parts.advisor,
        }
    }

    async fn snapshot(
        &self,
        agent: MandateAgent,
        match_id: &str,
        traceparent: &str,
    ) -> Result<v1::MatchSnapshot, Decision> {
        self.analysis.snapshot(match_id, traceparent).await.map_err(|none| match none {
            NoSnapshot::Unknown(message) => {
                Decision::denied(agent.as_str(), v1::DenialCode::UnknownInstrument, message)
            }
            NoSnapshot::Silent(why) => unavailable(agent, &why),
        })
    }

    /// Posted cash of the account, micros; for sizing only, the guard decides on its own books.
    async fn cash_micros(
        &self,
        agent: MandateAgent,
        (account_id, currency): (&str, &str),
        traceparent: &str,
    ) -> Result<i64, Decision> {
        let wanted = v1::GetAccountRequest { currency: currency.to_owned(), ..v1::GetAccountRequest::default() };
        let question = v1::LedgerQuestion {
            account_id: account_id.to_owned(),
            question: Some(v1::ledger_question::Question::GetAccount(wanted)),
            traceparent: traceparent.to_owned(),
        };
        let answer: Result<v1::LedgerAnswer, NoAnswer> = self.bus.ask(Ask::Ledger, &question, self.timeout).await;
        match answer.map(|answer| answer.answer) {
            Ok(Some(v1::ledger_answer::Answer::Account(v1::GetAccountResponse { account: Some(account) }))) => {
                Ok(account.cash_micros)
            }
            Ok(Some(v1::ledger_answer::Answer::Error(error))) => {
                Err(Decision::denied(agent.as_str(), v1::DenialCode::NoBalance, error.message))
            }
            Ok(_) => Err(unavailable(agent, "the ledger gave no account")),
            Err(error) => Err(unavailable(agent, &error.to_string())),
        }
    }
}

/// Decides a mandate on a fresh snapshot of the match and the account. The pair is the trace context and the
/// request's deadline, microseconds since the epoch, 0 for none.
pub(crate) async fn decide(
    desk: &Desk,
    key: &v1::TradeKey,
    mandate: &v1::Mandate,
    (traceparent, deadline_micros): (&str, i64),
) -> Decision {
    let agent = match MandateAgent::named(&mandate.agent) {
        Ok(agent) => agent,
        Err(refused) => {
            let scout = MandateAgent::Scout.as_str();
            return Decision::denied(scout, v1::DenialCode::UnknownAgent, refused.to_string());
        }
    };
    let snapshot = match desk.snapshot(agent, &mandate.match_id, traceparent).await {
        Ok(mut snapshot) => {
            desk.analysis.news().fill(&mut snapshot, Timestamp::from_micros(clock::now_micros()));
            snapshot
        }
        Err(decision) => return decision,
    };
    let Some(currency) = snapshot.instruments.first().map(|instrument| instrument.currency.clone()) else {
        return Decision::nothing(agent.as_str(), "the match has no market");
    };
    let inputs = desk.analysis.mandate_inputs(agent, &snapshot).await;
    let cash_micros = match desk.cash_micros(agent, (&key.account_id, &currency), traceparent).await {
        Ok(cash_micros) => cash_micros,
        Err(decision) => return decision,
    };
    let asked = Order { key, mandate, agent, cash_micros, snapshot: &snapshot };
    let started = Instant::now();
    let wished = wished(desk, &asked, &inputs);
    desk.usage.add(agent.as_str(), Work { cpu: started.elapsed(), ..Work::default() });
    match wished {
        Ok((wish, rules)) => advised(desk, &asked, (&wish, &rules), deadline_micros).await,
        Err(why) => Decision::nothing(agent.as_str(), why),
    }
}

/// The pure part: books and quotes in, what to buy or the reason not to out.
fn wished(desk: &Desk, asked: &Order<'_>, inputs: &MandateInputs) -> Result<(Wish, MandateRules), String> {
    let personality = Personality::new(desk.risk_tolerance, AnalysisStyle::Value, 1);
    let personality = personality.map_err(|_| "the configured risk tolerance is out of range".to_owned())?;
    let rules = rules_of(&personality, asked.snapshot);
    let asked_bps = u32::try_from(asked.mandate.min_edge_bps).ok().filter(|bps| *bps > 0);
    let rules = MandateRules { min_edge_bps: asked_bps.unwrap_or(rules.min_edge_bps), ..rules };
    let now = Timestamp::from_micros(clock::now_micros());
    let wish = match_wish::wished(asked.agent, asked.snapshot, inputs, &rules, now);
    Ok((wish.map_err(|refusal| refusal.to_string())?, rules))
}

/// Asks the advisor about a wish, then sizes what it leaves. It is asked about the market; it hears nothing of who pays.
async fn advised(
    desk: &Desk,
    asked: &Order<'_>,
    (wish, rules): (&Wish, &MandateRules),
    deadline_micros: i64,
) -> Decision {
    let agent = asked.agent.as_str();
    let Some(question) = question(asked, (wish, rules), deadline_micros) else {
        return Decision::nothing(agent, "the outcome has no market");
    };
    // Who cannot pay for one contract is not worth a question.
    let alone = size(desk, asked, wish, &Advice::alone(wish.max_fraction));
    if matches!(alone, Decision::Nothing(_)) {
        return alone;
    }
    let advice = desk.advisor.advise(&question).await;
    if advice.is_alarming() {
        let message = "a text about the market may be giving the advisor orders; nothing is traded there by it";
        alert::raise(&desk.bus, alert::code::INJECTION_SUSPECTED, &question.market_id, message.to_owned()).await;
    }
    match advice.refusal() {
        Some(refusal) => Decision::nothing(agent, refusal),
        None => size(desk, asked, wish, &advice),
    }
}

/// What the advisor is asked about a wish.
fn question(asked: &Order<'_>, (wish, rules): (&Wish, &MandateRules), deadline_micros: i64) -> Option<Question> {
    let (snapshot, best) = (asked.snapshot, &wish.opportunity);
    let of_match = snapshot.r#match.as_ref()?;
    let news = snapshot.news.iter().map(|item| News {
        trust: if item.is_listed { Trust::AllowListed } else { Trust::Untrusted },
        published_at: Timestamp::from_micros(item.published_at_micros),
        text: item.text.clone(),
    });
    Some(Question {
        agent: asked.agent.as_str(),
        market_id: contract(snapshot, best.outcome)?.instrument_id.clone(),
        pace: if phase(snapshot) == MatchPhase::InPlay { Pace::Live } else { Pace::PreMatch },
        decided: Decided {
            direction: Direction::Buy,
            p_model: best.fair_probability,
            price: best.ask,
            fee_rate: rules.fee_rate,
            kelly_multiplier: rules.kelly_multiplier,
            stake_cap: MAX_WALLET_SHARE,
            stake: wish.max_fraction,
        },
        edge_ratio: best.priced.edge_ratio,
        min_edge_ratio: f64::from(rules.min_edge_bps) / 10_000.0,
        entities: vec![of_match.home.clone(), of_match.away.clone()],
        news: news.collect(),
        deadline_micros,
    })
}

/// The size for this user of what is left of the stake.
fn size(desk: &Desk, asked: &Order<'_>, wish: &Wish, advice: &Advice) -> Decision {
    let agent = asked.agent.as_str();
    let (wallet, budget) = (as_units(asked.cash_micros), as_units(asked.mandate.budget_micros));
    let purse = Purse { capital: wallet, wallet, budget };
    match bet_size(&wish.opportunity, advice.stake, &purse) {
        Ok(MandateSize { contracts: 0, limited_by }) => {
            Decision::nothing(agent, format!("the stake is below one contract ({limited_by:?})"))
        }
        Ok(size) => order(desk, asked, (wish, advice), size),
        Err(error) => Decision::nothing(agent, error.to_string()),
    }
}

fn order(desk: &Desk, asked: &Order<'_>, (wish, advice): (&Wish, &Advice), size: MandateSize) -> Decision {
    let agent = asked.agent.as_str();
    let Some(terms) = taking(asked.snapshot, wish, size.contracts, &order_id(&asked.key.trade_id)) else {
        return Decision::nothing(agent, "the quote cannot be turned into an order");
    };
    let notes = desk.analysis.odds().notes(asked.snapshot);
    let steam = wish.opportunity.outcome.of(&notes.each_ref());
    let rationale = format!("{}{steam}{}", match_wish::rationale(wish, size), advice.note());
    let origin = Origin { agent, pool: POOL.to_owned(), ..Origin::default() };
    desk.proposer.order(&terms, origin, rationale)
}

fn unavailable(agent: MandateAgent, why: &str) -> Decision {
    Decision::denied(agent.as_str(), v1::DenialCode::RiskStateUnknown, why)
}
