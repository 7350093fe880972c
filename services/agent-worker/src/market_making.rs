//! Configured agents quoting contracts on matches, on both sides (market makers) or with a bid that waits (value makers). When a match is told again, one worker (`matches.rs`) asks the guard
//! what each agent has in the book and holds, takes out what must go, and puts in what is missing: rules of the domain
//! (`quoting.rs`, `market_maker.rs`, `resting.rs`). Quotes are post-only and end by themselves when nobody looks after them.
//!
//! An order is named by agent, contract, slot and side, so whoever quotes a second time changes nothing; what is taken
//! out is what the guard says is there, whichever worker has put it in.

use crate::{
    analysis::{NoSnapshot, match_view},
    autonomous::now,
    bar_order::{bet_request_id, quote_request_id},
    bars::as_units,
    claims::End,
    match_wish::{rules_of, traded},
    matches::{Desk, Told},
    metrics,
    order::{EPL_TRADING_AGENT, TRADING_AGENT, order_id},
    proposal::{Decision, NotProposed, Origin, agents_key},
    roster::ConfiguredAgent,
    standings::{self, Sent, Standings, Wanted},
};
use ::metrics::{counter, histogram};
use futures::{StreamExt as _, stream};
use opentelemetry::trace::SpanKind;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tracing::debug;
use tragen_bus::usage::Work;
use tragen_contracts::{convert, v1};
use tragen_domain::{
    agents::{
        bettor::{Involvement, OnItsWay, Purse, is_wanted, slot},
        devig::DevigMethod,
        epl_trading::EplTradingReport,
        fair_line::{Outcome, fair_line},
        mandate::{MandateAgent, MandateInputs},
        market_maker::{MarketMakerRules, QuotedMarket, quote},
        personality::AnalysisStyle,
        quoting::{OwnQuote, Revision, Seat, WantedQuote, inventory, life_ms, lot, may_be_of, revise, wanted},
        resting::{Waiting, bid_frame, bid_life_ms, resting_bid},
        scout::MatchPhase,
    },
    id::{AccountId, AgentId, InstrumentId},
    market::Match,
    money::{Price, Quantity},
    order::{OrderPrice, OrderTerms, Side, TimeInForce},
    time::Timestamp,
};

/// Where changes of matches become quotes.
pub(crate) struct Quotes {
    pub(crate) desk: Desk,
    /// Quotes whose outcome nobody can tell yet.
    pub(crate) sent: Sent,
}

/// One agent on one contract.
#[derive(Debug, Clone)]
struct Maker {
    agent: Arc<ConfiguredAgent>,
    outcome: Outcome,
    /// It quotes no more: what it has left in the book goes.
    is_retired: bool,
}

/// One look at a match.
struct Look<'a> {
    /// Market time: what the match was told at, or a later moment that it is seen at. A look that has waited into the
    /// next slot does what one of that slot does.
    at: Timestamp,
    game: &'a Match,
    snapshot: &'a v1::MatchSnapshot,
    /// The bookmakers' consensus, and how sure it is, parts per million; None where there is none.
    fair: Option<([f64; 3], u32)>,
    /// What is worth bidding for, by the risk tolerance of those that bid.
    traded: &'a BTreeMap<u8, EplTradingReport>,
    standings: &'a Standings,
    /// Every maker there is or was: one quotes for an account, whatever others have left there goes.
    makers: &'a BTreeSet<AgentId>,
    canceled: &'a Canceled,
}

/// Cancels that are on their way, and when each was asked for.
type Canceled = Mutex<HashMap<String, Instant>>;

/// After so long a cancel is asked for again: the guard may have denied it.
const CANCEL_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What became of one maker at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outlook {
    /// Everything is as it should be, or on its way to it.
    Settled,
    /// Something must be gone first.
    Waits,
}

impl Quotes {
    /// Works on a claimed match.
    pub(crate) async fn settle(&self, told: &Told) -> End {
        let (quoting, retired) = (self.desk.parts.registry.makers(), self.desk.parts.registry.retired_makers());
        let known: BTreeSet<AgentId> = quoting.iter().chain(&retired).map(|agent| agent.id.clone()).collect();
        let quoting = quoting.into_iter().map(|agent| (agent, false));
        // Later, so that whoever quotes for the account now comes first.
        let mut agents: Vec<_> = quoting.chain(retired.into_iter().map(|agent| (agent, true))).collect();
        agents.retain(|(agent, _)| may_quote(agent, &told.game));
        // What a halt forbids the guard takes out itself.
        agents.retain(|(agent, _)| !self.desk.parts.control.is_halted(&agent.scopes()));
        if agents.is_empty() || told.is_too_late(&self.desk.config) {
            return End::Done;
        }
        counter!(metrics::EVALUATIONS).increment(u64::try_from(agents.len()).unwrap_or(u64::MAX));
        let of_agent = |(agent, is_retired): (Arc<ConfiguredAgent>, bool)| {
            Outcome::ALL.map(|outcome| Maker { agent: Arc::clone(&agent), outcome, is_retired })
        };
        let (makers, canceled) = (agents.into_iter().flat_map(of_agent).collect(), Canceled::default());
        self.desk.until_through(told, makers, |open| self.try_all(open, told, (&known, &canceled))).await
    }

    /// One attempt for all of them; gives back those that are not through.
    async fn try_all(
        &self,
        makers: Vec<Maker>,
        told: &Told,
        (known, canceled): (&BTreeSet<AgentId>, &Canceled),
    ) -> Vec<Maker> {
        let span = self.desk.context.spans.start("quote md.match.{match}", SpanKind::Internal, "");
        let traceparent = span.traceparent();
        let snapshot = match self.desk.analysis.snapshot(told.game.id.as_str(), &traceparent).await {
            Ok(snapshot) => snapshot,
            Err(NoSnapshot::Unknown(_)) => return Vec::new(),
            Err(NoSnapshot::Silent(_)) => return makers,
        };
        let started = Instant::now();
        let makers = quoting(makers, &snapshot);
        let accounts = makers.iter().map(|maker| maker.agent.account.clone()).collect();
        let timeout = Duration::from_millis(self.desk.config.question_timeout_ms);
        let asked = Wanted { instruments: &snapshot.instruments, timeout, traceparent: &traceparent };
        let standings = standings::read(&self.desk.bus, accounts, &asked).await;
        let books = match_view::books(&snapshot.books);
        let fair = fair_line(&books, DevigMethod::Shin).ok().map(|line| (line.probabilities, line.confidence_ppm()));
        let traded = &self.traded(&makers, &snapshot).await;
        let at = told.at.max(Timestamp::from_micros(snapshot.event_time_micros));
        let (game, standings) = (&told.game, &standings);
        let look = &Look { at, game, snapshot: &snapshot, fair, traded, standings, makers: known, canceled };
        let looked = stream::iter(makers).map(|maker| async move {
            let outlook = self.revise(&maker, look).await;
            if let Err(error) = &outlook {
                debug!("agent {}: {error}", maker.agent.id);
            }
            (maker, outlook.is_ok_and(|outlook| outlook == Outlook::Settled))
        });
        let open = looked
            .buffer_unordered(self.desk.config.agents_at_once_max)
            .filter_map(|(maker, is_settled)| std::future::ready((!is_settled).then_some(maker)));
        let open = open.collect().await;
        self.desk.parts.usage.add(TRADING_AGENT, Work { messages: 1, ..Work::default() });
        histogram!(metrics::SIGNAL_SECONDS).record(started.elapsed().as_secs_f64());
        open
    }

    /// Takes out what must go, or puts in what is missing.
    async fn revise(&self, maker: &Maker, look: &Look<'_>) -> Result<Outlook, NotProposed> {
        let agent = &maker.agent;
        let Some(contract) = match_view::contract(look.snapshot, maker.outcome) else { return Ok(Outlook::Settled) };
        if self.desk.parts.control.is_halted(&[(v1::ScopeKind::Instrument, contract.instrument_id.clone())]) {
            return Ok(Outlook::Settled);
        }
        let standing = match look.standings.get(&agent.account) {
            Some(Some(standing)) => standing,
            // Without a wallet there is nothing to quote with.
            Some(None) => return Ok(Outlook::Settled),
            None => return Ok(Outlook::Waits),
        };
        let bets = bets_of(agent, look);
        let is_own = |order: &&v1::StandingOrder| {
            look.makers.contains(order.agent_id.as_str())
                && order.instrument_id == contract.instrument_id
                && !bets.contains(&order.trade_id)
        };
        let keys = [Side::Buy, Side::Sell].map(|side| key_of(agent, contract, look.at, side));
        let quotes = standing.orders.iter().filter(is_own);
        let (in_book, own): (Vec<&v1::StandingOrder>, Vec<OwnQuote>) =
            quotes.filter_map(|order| Some((order, own_quote(order, &keys)?))).unzip();
        for (order, quote) in in_book.iter().zip(&own) {
            self.sent.forget((&agent.account, &about(contract, quote.side)), &order.trade_id);
        }
        let wants = self.wants(maker, look, standing);
        match revise(&own, &wants) {
            Revision::Withdraw(these) => {
                for order in these.into_iter().filter_map(|at| in_book.get(at)) {
                    self.withdraw(agent, order, look).await?;
                }
                Ok(Outlook::Waits)
            }
            Revision::Place(these) => {
                let mut outlook = Outlook::Settled;
                for wanted in these {
                    let [bid, ask] = &keys;
                    let key = match wanted.side {
                        Side::Buy => bid,
                        Side::Sell => ask,
                    };
                    let about = about(contract, wanted.side);
                    // An older quote may still come, and then it must go first; so must a bid for another outcome.
                    let is_awaited = self.sent.of_other((&agent.account, &about), &key.trade_id).may_be_decided();
                    if is_awaited || is_bidding(agent) && bids_elsewhere(agent, contract, standing) {
                        outlook = Outlook::Waits;
                        continue;
                    }
                    self.place(maker, (contract, key), wanted, look).await?;
                }
                Ok(outlook)
            }
        }
    }

    /// What should be in the book now.
    fn wants(&self, maker: &Maker, look: &Look<'_>, standing: &v1::Standing) -> Vec<WantedQuote> {
        if maker.is_retired || !is_sure(&maker.agent, look) {
            Vec::new()
        } else if is_bidding(&maker.agent) {
            self.bid(maker, look, standing).into_iter().collect()
        } else {
            self.both_sides(maker, look, standing)
        }
    }

    /// A market maker's quotes; nothing wherever the model refuses.
    fn both_sides(&self, maker: &Maker, look: &Look<'_>, standing: &v1::Standing) -> Vec<WantedQuote> {
        let (agent, rules) = (&maker.agent, MarketMakerRules::default());
        let Some(contract) = match_view::contract(look.snapshot, maker.outcome) else { return Vec::new() };
        let Some(fair) = look.fair.map(|(fair, _)| maker.outcome.of(&fair)) else { return Vec::new() };
        let Some(book) = match_view::top_of_book(look.snapshot, maker.outcome, now()) else { return Vec::new() };
        let capital = self.desk.parts.registry.capital(agent, standings::cash(standing));
        let lot = lot(capital, agent.personality.risk_per_trade(), &rules);
        let position = standings::position(standing, &contract.instrument_id);
        let market = QuotedMarket {
            fair,
            fair_phase: MatchPhase::PreMatch,
            phase: phase(look),
            kick_off_in_ms: kick_off_in_ms(look),
            last_event: None,
            inventory: inventory(position, lot),
            book,
            tick: Price::from_micros(contract.tick_micros),
        };
        let seat = if self.desk.parts.registry.is_benched(agent) { Seat::Benched } else { Seat::Placed };
        match quote(&market, &rules) {
            Ok(quoted) => wanted(&quoted, lot, position, seat),
            Err(refusal) => {
                debug!("agent {} quotes no {}: {refusal}", agent.id, contract.instrument_id);
                Vec::new()
            }
        }
    }

    /// What eplTradingAgent makes of the match, for those that bid by it.
    async fn traded(&self, makers: &[Maker], snapshot: &v1::MatchSnapshot) -> BTreeMap<u8, EplTradingReport> {
        let bidding = makers.iter().filter(|maker| is_bidding(&maker.agent));
        let personalities: BTreeMap<u8, _> =
            bidding.map(|maker| (maker.agent.personality.risk_tolerance(), maker.agent.personality)).collect();
        let inputs = if personalities.is_empty() {
            MandateInputs::default()
        } else {
            self.desk.analysis.mandate_inputs(MandateAgent::EplTrading, snapshot).await
        };
        let report = |own| traded(snapshot, &inputs, &rules_of(own, snapshot));
        personalities.iter().filter_map(|(tolerance, own)| Some((*tolerance, report(own)?))).collect()
    }

    /// The bid that should be in the book now, if any.
    fn bid(&self, maker: &Maker, look: &Look<'_>, standing: &v1::Standing) -> Option<WantedQuote> {
        let agent = &maker.agent;
        let report = look.traded.get(&agent.personality.risk_tolerance())?;
        let held = standing.positions.iter().map(|own| Quantity::from_micros(own.quantity_micros));
        let others = standing.orders.iter().filter(|order| !look.makers.contains(order.agent_id.as_str())).count();
        let nothing = OnItsWay { valid_until: None, now: now() };
        let capital = self.desk.parts.registry.capital(agent, standings::cash(standing).max(0.0));
        let waiting = Waiting {
            phase: phase(look),
            kick_off_in_ms: kick_off_in_ms(look),
            involvement: Involvement::of(held, others, nothing),
            seat: if self.desk.parts.registry.is_benched(agent) { Seat::Benched } else { Seat::Placed },
            purse: Purse { capital, wallet: as_units(standing.available_micros).max(0.0), budget: capital },
        };
        resting_bid(report, maker.outcome, &waiting)
    }

    async fn withdraw(
        &self,
        agent: &ConfiguredAgent,
        order: &v1::StandingOrder,
        look: &Look<'_>,
    ) -> Result<(), NotProposed> {
        let asked = look.canceled.lock().unwrap_or_else(PoisonError::into_inner).get(&order.trade_id).copied();
        if asked.is_some_and(|asked| asked.elapsed() < CANCEL_AGAIN_AFTER) {
            return Ok(());
        }
        let span = self.desk.context.spans.start("withdraw quote", SpanKind::Internal, "");
        let key = v1::TradeKey {
            trade_id: order.trade_id.clone(),
            account_id: agent.account.to_string(),
            tier: v1::Tier::Standard.into(),
            created_at_micros: now().micros(),
            ..v1::TradeKey::default()
        };
        let decision = Decision::Cancel(v1::CancelRequested { trade_id: order.trade_id.clone() });
        self.desk.parts.proposer.propose(key, &v1::Meta::default(), &span, decision).await?;
        look.canceled.lock().unwrap_or_else(PoisonError::into_inner).insert(order.trade_id.clone(), Instant::now());
        counter!(metrics::QUOTES_WITHDRAWN).increment(1);
        Ok(())
    }

    async fn place(
        &self,
        maker: &Maker,
        (contract, key): (&v1::Instrument, &v1::TradeKey),
        wanted: WantedQuote,
        look: &Look<'_>,
    ) -> Result<(), NotProposed> {
        let agent = &maker.agent;
        let life = life(agent, look);
        let ids =
            (convert::id("order_id", &order_id(&key.trade_id)), convert::id("instrument_id", &contract.instrument_id));
        let (Ok(id), Ok(instrument)) = ids else { return Ok(()) };
        if life <= 0 {
            return Ok(());
        }
        let terms = OrderTerms {
            id,
            instrument,
            side: wanted.side,
            price: OrderPrice::Limit(wanted.price),
            quantity: wanted.contracts,
            time_in_force: TimeInForce::Gtd(now().plus_millis(life)),
            is_reduce_only: false,
            is_post_only: true,
        };
        let origin = Origin {
            agent: deciding(agent),
            agent_id: agent.id.to_string(),
            pool: agent.pool.to_string(),
            timeframe: agent.timeframe.as_str(),
            max_trades_per_day: i32::try_from(agent.personality.max_trades_per_day()).unwrap_or(i32::MAX),
            confidence_ppm: look.fair.map(|(_, confidence)| confidence),
            is_first_on_match: is_bidding(agent),
        };
        let mut span = self.desk.context.spans.start("evaluate md.match.{match}", SpanKind::Internal, "");
        span.set("agent.kind", deciding(agent));
        let decision = self.desk.parts.proposer.order(&terms, origin, rationale(maker, wanted, look));
        let meta = v1::Meta { event_id: key.request_id.clone(), ..v1::Meta::default() };
        self.desk.parts.proposer.propose(key.clone(), &meta, &span, decision).await?;
        // Not earlier: what is not stored is tried again.
        let valid_until = Timestamp::from_micros(self.desk.parts.proposer.valid_until_micros());
        self.sent.note((&agent.account, &about(contract, wanted.side)), &key.trade_id, valid_until);
        counter!(metrics::AGENT_ORDERS).increment(1);
        Ok(())
    }
}

/// Whether some of a match is named by the agent; a value maker that names nothing quotes every match.
fn may_quote(agent: &ConfiguredAgent, game: &Match) -> bool {
    let mut named = agent.instruments.iter().map(InstrumentId::as_str);
    if is_bidding(agent) { is_wanted(named, &game.id) } else { named.any(|own| may_be_of(own, &game.id)) }
}

fn is_bidding(agent: &ConfiguredAgent) -> bool {
    agent.personality.style() == AnalysisStyle::ValueMaker
}

/// Whether the consensus is as sure as the agent's personality asks for; without one there is nothing to be sure of.
fn is_sure(agent: &ConfiguredAgent, look: &Look<'_>) -> bool {
    let Some((_, confidence)) = look.fair else { return false };
    let least = agent.personality.min_confidence_ppm();
    if confidence < least {
        counter!(metrics::UNSURE).increment(1);
        debug!("agent {} quotes nothing: its confidence of {confidence} ppm is below {least} ppm", agent.id);
    }
    confidence >= least
}

/// The bets that the agent may have on their way: what it takes it does not take out again.
fn bets_of(agent: &ConfiguredAgent, look: &Look<'_>) -> [String; 2] {
    let begin = slot(agent.timeframe, look.at);
    let before = slot(agent.timeframe, begin.plus_millis(-1));
    [begin, before].map(|begin| {
        let request = bet_request_id(agent.id.as_str(), agent.timeframe, &look.game.id, begin);
        agents_key(&agent.account, &request).trade_id
    })
}

/// Whether a bid of the agent stands in the book of another contract on the match.
fn bids_elsewhere(agent: &ConfiguredAgent, contract: &v1::Instrument, standing: &v1::Standing) -> bool {
    let is_elsewhere = |order: &v1::StandingOrder| {
        order.agent_id == agent.id.as_str() && order.instrument_id != contract.instrument_id
    };
    standing.orders.iter().any(is_elsewhere)
}

/// The shared agent that decides the quotes.
fn deciding(agent: &ConfiguredAgent) -> &'static str {
    if is_bidding(agent) { EPL_TRADING_AGENT } else { TRADING_AGENT }
}

/// Milliseconds that a quote stays in the book if nobody looks after it.
fn life(agent: &ConfiguredAgent, look: &Look<'_>) -> i64 {
    let kick_off = kick_off_in_ms(look);
    if is_bidding(agent) {
        bid_life_ms(agent.timeframe, kick_off)
    } else {
        life_ms(agent.timeframe, kick_off, &MarketMakerRules::default())
    }
}

/// One maker for each contract and account, the first by id: those with one account share its position.
fn quoting(makers: Vec<Maker>, snapshot: &v1::MatchSnapshot) -> Vec<Maker> {
    let mut taken: BTreeSet<(AccountId, usize)> = BTreeSet::new();
    let mut is_quoting = |maker: &Maker| {
        let id = match_view::contract_id(snapshot, maker.outcome);
        let is_named =
            is_bidding(&maker.agent) || maker.agent.instruments.iter().any(|own| id.starts_with(own.as_str()));
        is_named && taken.insert((maker.agent.account.clone(), maker.outcome.of(&[0, 1, 2])))
    };
    makers.into_iter().filter(|maker| is_quoting(maker)).collect()
}

/// A quote of the agent; None for an order that makes no sense.
fn own_quote(order: &v1::StandingOrder, keys: &[v1::TradeKey; 2]) -> Option<OwnQuote> {
    let side = Side::try_from(order.side()).ok()?;
    let is_of_slot = keys.iter().any(|key| key.trade_id == order.trade_id);
    Some(OwnQuote { side, price: Price::from_micros(order.limit_price_micros), is_of_slot })
}

/// The later one of what was told and what is known now.
fn phase(look: &Look<'_>) -> MatchPhase {
    MatchPhase::of(look.game.status, look.game.kickoff, look.at).max(match_view::phase(look.snapshot))
}

/// In market time; None where nobody has said when it is.
fn kick_off_in_ms(look: &Look<'_>) -> Option<i64> {
    let kickoff = look.game.kickoff;
    (kickoff.micros() > 0).then(|| kickoff.millis_since(look.at))
}

/// The same for every worker and every repeat: of agent, contract, slot and side.
fn key_of(agent: &ConfiguredAgent, contract: &v1::Instrument, at: Timestamp, side: Side) -> v1::TradeKey {
    let frame = if is_bidding(agent) { bid_frame(agent.timeframe) } else { agent.timeframe };
    let begin = slot(frame, at);
    let request = quote_request_id(agent.id.as_str(), (frame, begin), &contract.instrument_id, side);
    agents_key(&agent.account, &request)
}

fn about(contract: &v1::Instrument, side: Side) -> String {
    format!("{} {side:?}", contract.instrument_id)
}

fn rationale(maker: &Maker, wanted: WantedQuote, look: &Look<'_>) -> String {
    let WantedQuote { side, price, contracts } = wanted;
    if let Some(report) =
        look.traded.get(&maker.agent.personality.risk_tolerance()).filter(|_| is_bidding(&maker.agent))
    {
        let fair = maker.outcome.of(&report.fair);
        return format!("ValueMaker: bids {price} for {contracts} of {:?}, fair {fair:.3}", maker.outcome);
    }
    let fair = look.fair.map_or(0.0, |(fair, _)| maker.outcome.of(&fair));
    format!("MarketMaker: quotes {:?} at {price} for {contracts}, {side:?}, fair {fair:.3}", maker.outcome)
}
