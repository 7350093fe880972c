//! A mandate: eplScoutAgent looks for an outcome of the match that is offered
//! below its fair price, and stakes a fraction of the wallet on it.

use crate::{
    advisor::{Advice, Advisor, News, Question},
    alert,
    config::Config,
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
use tragen_contracts::{
    convert,
    v1::{self, market_answer, market_question},
};
use tragen_domain::{
    agents::{
        advisor::{
            applied::Decided,
            consult::Pace,
            facts::{Direction, Trust},
        },
        consensus::{SHARP_WEIGHT, SOFT_WEIGHT},
        fair_line::{Book, Outcome},
        kelly::stake_fraction,
        personality::{AnalysisStyle, Personality},
        scout::{self, MatchPhase, MatchView, Opportunity, ScoutReport, ScoutRules},
        sizing::{self, MAX_WALLET_SHARE, Mandate, MandateSize},
    },
    money::{ONE, Price, Quantity},
    order::{OrderPrice, OrderTerms, Side, TimeInForce},
    time::Timestamp,
};
use tragen_host::clock;

/// The agent that answers mandates.
pub(crate) const SCOUT: &str = "eplScoutAgent";
/// Its pool.
const POOL: &str = "value";

/// Where the scout gets its inputs.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    bus: Bus,
    proposer: Proposer,
    usage: Usage,
    timeout: Duration,
    risk_tolerance: u8,
    advisor: Advisor,
}

/// What the scout would buy, before the advisor and the user's size.
struct Wish {
    best: Opportunity,
    fee_rate: f64,
    min_edge_bps: u32,
    kelly_multiplier: f64,
}

impl Desk {
    pub(crate) fn new(bus: &Bus, config: &Arc<Config>, proposer: &Proposer, usage: &Usage, advisor: Advisor) -> Self {
        Self {
            bus: bus.clone(),
            proposer: proposer.clone(),
            usage: usage.clone(),
            timeout: Duration::from_millis(config.question_timeout_ms),
            risk_tolerance: config.mandate_risk_tolerance,
            advisor,
        }
    }

    async fn snapshot(&self, match_id: &str, traceparent: &str) -> Result<v1::MatchSnapshot, Decision> {
        let wanted = v1::MatchSnapshotQuestion { match_id: match_id.to_owned() };
        let question = v1::MarketQuestion {
            question: Some(market_question::Question::MatchSnapshot(wanted)),
            traceparent: traceparent.to_owned(),
        };
        let answer: Result<v1::MarketAnswer, NoAnswer> = self.bus.ask(Ask::Market, &question, self.timeout).await;
        match answer.map(|answer| answer.answer) {
            Ok(Some(market_answer::Answer::MatchSnapshot(snapshot))) => Ok(snapshot),
            Ok(Some(market_answer::Answer::Error(error))) => {
                Err(Decision::denied(SCOUT, v1::DenialCode::UnknownInstrument, error.message))
            }
            Ok(_) => Err(unavailable("market data gave no snapshot")),
            Err(error) => Err(unavailable(&error.to_string())),
        }
    }

    /// Posted cash of the account, micros; for sizing only, the guard decides on its own books.
    async fn cash_micros(&self, account_id: &str, currency: &str, traceparent: &str) -> Result<i64, Decision> {
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
                Err(Decision::denied(SCOUT, v1::DenialCode::NoBalance, error.message))
            }
            Ok(_) => Err(unavailable("the ledger gave no account")),
            Err(error) => Err(unavailable(&error.to_string())),
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
    if !mandate.agent.is_empty() && mandate.agent != SCOUT {
        let message = format!("{:?} cannot serve a mandate; {SCOUT} can", mandate.agent);
        return Decision::denied(SCOUT, v1::DenialCode::UnknownAgent, message);
    }
    let snapshot = match desk.snapshot(&mandate.match_id, traceparent).await {
        Ok(snapshot) => snapshot,
        Err(decision) => return decision,
    };
    let Some(currency) = snapshot.instruments.first().map(|instrument| instrument.currency.clone()) else {
        return Decision::nothing(SCOUT, "the match has no market");
    };
    let cash_micros = match desk.cash_micros(&key.account_id, &currency, traceparent).await {
        Ok(cash_micros) => cash_micros,
        Err(decision) => return decision,
    };
    let started = Instant::now();
    let wish = wish(desk, mandate, &snapshot);
    desk.usage.add(SCOUT, Work { cpu: started.elapsed(), ..Work::default() });
    let wish = match wish {
        Ok(wish) => wish,
        Err(why) => return Decision::nothing(SCOUT, why),
    };
    let Some(question) = question(&snapshot, &wish, deadline_micros) else {
        return Decision::nothing(SCOUT, "the outcome has no market");
    };
    let sized = |advice: &Advice| size(desk, key, (mandate, cash_micros), &snapshot, (&wish, advice));
    // Who cannot pay for one contract is not worth a question.
    let alone = sized(&Advice::alone(question.decided.stake));
    if matches!(alone, Decision::Nothing(_)) {
        return alone;
    }
    let advice = advised(desk, &question).await;
    match advice.refusal() {
        Some(refusal) => Decision::nothing(SCOUT, refusal),
        None => sized(&advice),
    }
}

/// What the advisor leaves of a decision. It is asked about the market; it hears nothing of who pays.
async fn advised(desk: &Desk, question: &Question) -> Advice {
    let advice = desk.advisor.advise(question).await;
    if advice.is_alarming() {
        let message = "a text about the market may be giving the advisor orders; nothing is traded there by it";
        alert::raise(&desk.bus, alert::code::INJECTION_SUSPECTED, &question.market_id, message.to_owned()).await;
    }
    advice
}

/// The pure part: books and quotes in, what to buy or the reason not to out.
fn wish(desk: &Desk, mandate: &v1::Mandate, snapshot: &v1::MatchSnapshot) -> Result<Wish, String> {
    let personality = Personality::new(desk.risk_tolerance, AnalysisStyle::Value, 1);
    let personality = personality.map_err(|_| "the configured risk tolerance is out of range".to_owned())?;
    let fee_ppm = snapshot.instruments.iter().map(|instrument| instrument.taker_fee_ppm).max().unwrap_or(0);
    let min_edge_bps = u32::try_from(mandate.min_edge_bps).ok().filter(|bps| *bps > 0);
    let rules = ScoutRules {
        fee_rate: as_units(fee_ppm),
        min_edge_bps: min_edge_bps.unwrap_or_else(|| personality.min_edge_bps()),
        ..ScoutRules::default()
    };
    let books = books(snapshot);
    let view = MatchView { phase: phase(snapshot), books: &books, quotes: Outcome::ALL.map(|o| quote(snapshot, o)) };
    let report = scout::scout(&view, &rules).map_err(|refusal| refusal.to_string())?;
    let best = *report.opportunities.first().ok_or_else(|| nothing_found(&report))?;
    let kelly_multiplier = personality.kelly_multiplier();
    Ok(Wish { best, fee_rate: rules.fee_rate, min_edge_bps: rules.min_edge_bps, kelly_multiplier })
}

/// What the advisor is asked about a wish.
fn question(snapshot: &v1::MatchSnapshot, wish: &Wish, deadline_micros: i64) -> Option<Question> {
    let Wish { best, fee_rate, min_edge_bps, kelly_multiplier } = *wish;
    let of_match = snapshot.r#match.as_ref()?;
    let news = snapshot.news.iter().map(|item| News {
        trust: if item.is_listed { Trust::AllowListed } else { Trust::Untrusted },
        published_at: Timestamp::from_micros(item.published_at_micros),
        text: item.text.clone(),
    });
    Some(Question {
        agent: SCOUT,
        market_id: instrument(snapshot, best.outcome)?.instrument_id.clone(),
        pace: if phase(snapshot) == MatchPhase::InPlay { Pace::Live } else { Pace::PreMatch },
        decided: Decided {
            direction: Direction::Buy,
            p_model: best.fair_probability,
            price: best.ask,
            fee_rate,
            kelly_multiplier,
            stake_cap: MAX_WALLET_SHARE,
            stake: stake_fraction(best.priced.kelly, kelly_multiplier, MAX_WALLET_SHARE),
        },
        edge_ratio: best.priced.edge_ratio,
        min_edge_ratio: f64::from(min_edge_bps) / 10_000.0,
        entities: vec![of_match.home.clone(), of_match.away.clone()],
        news: news.collect(),
        deadline_micros,
    })
}

/// The size for this user of what is left of the stake.
fn size(
    desk: &Desk,
    key: &v1::TradeKey,
    (mandate, cash_micros): (&v1::Mandate, i64),
    snapshot: &v1::MatchSnapshot,
    (wish, advice): (&Wish, &Advice),
) -> Decision {
    let (wallet, budget) = (as_units(cash_micros), as_units(mandate.budget_micros));
    let stake = Mandate {
        kelly_fraction: advice.stake,
        capital: wallet,
        wallet,
        budget,
        ask: wish.best.ask,
        fee: wish.best.priced.fee,
        ask_size: wish.best.ask_size,
    };
    match sizing::mandate_contracts(&stake) {
        Ok(MandateSize { contracts: 0, limited_by }) => {
            Decision::nothing(SCOUT, format!("the stake is below one contract ({limited_by:?})"))
        }
        Ok(size) => order(desk, key, snapshot, (&wish.best, advice), size),
        Err(error) => Decision::nothing(SCOUT, error.to_string()),
    }
}

fn order(
    desk: &Desk,
    key: &v1::TradeKey,
    snapshot: &v1::MatchSnapshot,
    (best, advice): (&Opportunity, &Advice),
    size: MandateSize,
) -> Decision {
    let terms = || {
        let instrument = instrument(snapshot, best.outcome)?;
        let ask = snapshot.quotes.iter().find(|quote| quote.instrument_id == instrument.instrument_id)?;
        let quantity = i64::try_from(size.contracts).ok()?.checked_mul(ONE)?;
        Some(OrderTerms {
            id: convert::id("order_id", &order_id(&key.trade_id)).ok()?,
            instrument: convert::id("instrument_id", &instrument.instrument_id).ok()?,
            side: Side::Buy,
            price: OrderPrice::Limit(Price::from_micros(ask.ask_price_micros)),
            quantity: Quantity::from_micros(quantity),
            time_in_force: TimeInForce::Ioc,
            is_reduce_only: false,
        })
    };
    let Some(terms) = terms() else { return Decision::nothing(SCOUT, "the quote cannot be turned into an order") };
    let rationale = format!(
        "{:?} is offered at {:.3} + {:.4} fee, fair {:.3}: edge {:.1} % of cost, {} contracts by {:?}{}",
        best.outcome,
        best.ask,
        best.priced.fee,
        best.fair_probability,
        best.priced.edge_ratio * 100.0,
        size.contracts,
        size.limited_by,
        advice.note(),
    );
    let origin = Origin { agent: SCOUT, pool: POOL.to_owned(), ..Origin::default() };
    desk.proposer.order(&terms, origin, rationale)
}

fn nothing_found(report: &ScoutReport) -> String {
    match report.best_edge_ratio() {
        Some(edge) => format!("no outcome is cheap enough: the best edge is {:.1} % of cost", edge * 100.0),
        None => "no outcome has a usable quote".to_owned(),
    }
}

fn unavailable(why: &str) -> Decision {
    Decision::denied(SCOUT, v1::DenialCode::RiskStateUnknown, why)
}

fn phase(snapshot: &v1::MatchSnapshot) -> MatchPhase {
    match snapshot.r#match.as_ref().map(v1::Match::status) {
        Some(v1::MatchStatus::Scheduled) => MatchPhase::PreMatch,
        Some(v1::MatchStatus::InPlay) => MatchPhase::InPlay,
        Some(v1::MatchStatus::Finished | v1::MatchStatus::Unspecified) | None => MatchPhase::Finished,
    }
}

fn books(snapshot: &v1::MatchSnapshot) -> Vec<Book> {
    let book = |odds: &v1::BookOdds| Book {
        bookmaker: odds.bookmaker.clone(),
        weight: if odds.is_sharp { SHARP_WEIGHT } else { SOFT_WEIGHT },
        odds: [odds.home_odds_micros, odds.draw_odds_micros, odds.away_odds_micros].map(as_units),
    };
    snapshot.books.iter().map(book).collect()
}

fn instrument(snapshot: &v1::MatchSnapshot, outcome: Outcome) -> Option<&v1::Instrument> {
    let name = match outcome {
        Outcome::Home => "HOME",
        Outcome::Draw => "DRAW",
        Outcome::Away => "AWAY",
    };
    let is_open = |instrument: &&v1::Instrument| instrument.status() == v1::InstrumentStatus::Open;
    snapshot.instruments.iter().find(|instrument| instrument.outcome == name).filter(is_open)
}

fn quote(snapshot: &v1::MatchSnapshot, outcome: Outcome) -> Option<scout::Quote> {
    let instrument = instrument(snapshot, outcome)?;
    let quote = snapshot.quotes.iter().find(|quote| quote.instrument_id == instrument.instrument_id)?;
    (quote.ask_price_micros > 0).then(|| scout::Quote {
        ask: as_units(quote.ask_price_micros),
        ask_size: as_units(quote.ask_quantity_micros),
        bid: (quote.bid_price_micros > 0).then(|| as_units(quote.bid_price_micros)),
        age_ms: (quote.published_at_micros > 0).then(|| (clock::now_micros() - quote.published_at_micros) / 1_000),
    })
}

/// Micros as the model's floating-point number; estimates only, never money.
fn as_units(micros: i64) -> f64 {
    crate::bars::as_units(micros)
}
