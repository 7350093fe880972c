//! What the worker promises, on a real bus. The test speaks for guard, ledger and market-data by their bus protocols.

#[path = "agent_worker/advised_mandates.rs"]
mod advised_mandates;
#[path = "agent_worker/advisor.rs"]
mod advisor;
#[path = "agent_worker/analysis.rs"]
mod analysis;
#[path = "agent_worker/bars.rs"]
mod bars;
#[path = "agent_worker/bets.rs"]
mod bets;
#[path = "agent_worker/chat_server.rs"]
mod chat_server;
#[path = "agent_worker/exits.rs"]
mod exits;
#[path = "agent_worker/guard.rs"]
mod guard;
#[path = "agent_worker/handover.rs"]
mod handover;
#[path = "agent_worker/looks.rs"]
mod looks;
#[path = "agent_worker/market_making.rs"]
mod market_making;
#[path = "agent_worker/news.rs"]
mod news;
#[path = "agent_worker/resting_bids.rs"]
mod resting_bids;
#[path = "agent_worker/steam.rs"]
mod steam;

use futures::{StreamExt as _, future::BoxFuture};
use prost::Message as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tragen_agent_worker::Config;
use tragen_bus::{
    Ask, Bucket, Bus, Consumer, CoreSubject, Delivery, PublishOptions, Puller, Subject,
    server::{NatsServer, Sync, find_binary},
};
use tragen_contracts::v1;
use tragen_domain::{id::InstrumentId, market::Timeframe, tier::Tier};
use tragen_host::{Context, Lifecycle, clock, trace::Spans};

const PATIENCE: Duration = Duration::from_secs(20);
const MATCH: &str = "EPL-2026-ARS-MCI";

/// The rest of the platform, as far as the worker can see it.
#[derive(Clone)]
struct World {
    bus: Bus,
    context: Context,
    is_guard_alive: Arc<AtomicBool>,
    /// The epoch and what is halted in it, always together.
    halted: Arc<Mutex<(i64, Vec<v1::ScopeState>)>>,
    slices: Arc<Mutex<Vec<v1::ReductionSlice>>>,
    held_micros: Arc<AtomicI64>,
    news: Arc<Mutex<Vec<v1::NewsItem>>>,
    is_ledger_alive: Arc<AtomicBool>,
    /// Instruments that holdings were asked for.
    asked_for: Arc<Mutex<BTreeSet<String>>>,
    /// How often a match was asked for.
    snapshots_asked: Arc<AtomicUsize>,
    /// Market time of snapshots, microseconds; 0 where nobody says.
    market_time: Arc<AtomicI64>,
    /// Snapshots other than the usual ones, by match; quotes without a time are new whenever they are asked for.
    shown: Arc<Mutex<BTreeMap<String, v1::MatchSnapshot>>>,
    is_market_silent: Arc<AtomicBool>,
    /// What the ledger has booked beside the usual.
    booked: Arc<Mutex<Vec<v1::Position>>>,
}

struct Rig {
    world: World,
    proposals: Puller<v1::ProposalBatch>,
    lifecycle: Lifecycle,
    server: NatsServer,
    _folder: TempDir,
}

async fn rig(workers: usize) -> Rig {
    rig_with(workers, Config::default()).await
}

async fn rig_with(workers: usize, config: Config) -> Rig {
    let folder = TempDir::new().expect("a temporary folder");
    let binary = find_binary().expect("a nats-server");
    let server = NatsServer::start(&binary, folder.path(), Sync::Always).await.expect("a running server");
    let bus = Bus::connect(server.url(), "test").await.expect("a connection");
    bus.apply(1_000).await.expect("streams");
    let lifecycle = Lifecycle::new(10);
    let context = lifecycle.context("test", Spans::default());
    let world = World {
        bus: bus.clone(),
        context: context.clone(),
        is_guard_alive: Arc::new(AtomicBool::new(true)),
        halted: Arc::new(Mutex::new((1, Vec::new()))),
        slices: Arc::default(),
        held_micros: Arc::new(AtomicI64::new(0)),
        news: Arc::default(),
        is_ledger_alive: Arc::new(AtomicBool::new(true)),
        asked_for: Arc::default(),
        snapshots_asked: Arc::default(),
        market_time: Arc::default(),
        shown: Arc::default(),
        is_market_silent: Arc::default(),
        booked: Arc::default(),
    };
    world.speak_for_the_others().await;
    for _ in 0..workers {
        let worker = lifecycle.context("agent-worker", Spans::default());
        let bus = Bus::connect(server.url(), "agent-worker").await.expect("a connection");
        tragen_agent_worker::run(worker, bus, config.clone()).await.expect("a started worker");
    }
    if workers > 0 {
        lifecycle.health().wait_ready("agent-worker").await;
    }
    let proposals = bus.pull(&context, Consumer::Guard);
    Rig { world, proposals, lifecycle, server, _folder: folder }
}

impl Rig {
    async fn stop(self) {
        self.lifecycle.stop_token().cancel();
        self.lifecycle.run().await.expect("a clean end");
    }

    /// The next proposals, acked; empty if none comes in `patience`.
    async fn next(&mut self, patience: Duration) -> Vec<v1::Proposal> {
        let Ok(Some(delivery)) = tokio::time::timeout(patience, self.proposals.next()).await else { return Vec::new() };
        delivery.ack().await;
        let Delivery { message, .. } = delivery;
        message.proposals
    }

    async fn next_one(&mut self) -> v1::Proposal {
        let mut proposals = self.next(PATIENCE).await;
        assert_eq!(proposals.len(), 1, "{proposals:?}");
        proposals.remove(0)
    }
}

impl World {
    async fn speak_for_the_others(&self) {
        let world = self.clone();
        let lease = move |question: v1::LeaseQuestion| -> BoxFuture<'static, v1::LeaseAnswer> {
            let world = world.clone();
            Box::pin(async move {
                // An answer to another question is as good as none.
                let nonce = if world.is_guard_alive.load(Ordering::SeqCst) { question.nonce } else { 0 };
                let slices = world.slices.lock().expect("not poisoned").clone();
                v1::LeaseAnswer { nonce, state: Some(world.state()), valid_for_ms: 1_000, slices }
            })
        };
        self.bus.answer(&self.context, Ask::Lease, lease).await.expect("listening");
        let world = self.clone();
        let ledger = move |question: v1::LedgerQuestion| -> BoxFuture<'static, v1::LedgerAnswer> {
            let answer = world.ledger_answer(&question);
            Box::pin(async move { answer })
        };
        self.bus.answer(&self.context, Ask::Ledger, ledger).await.expect("listening");
        let world = self.clone();
        let market = move |question: v1::MarketQuestion| -> BoxFuture<'static, v1::MarketAnswer> {
            let news = world.news.lock().expect("not poisoned").clone();
            if let Some(v1::market_question::Question::MatchSnapshot(_)) = &question.question {
                world.snapshots_asked.fetch_add(1, Ordering::SeqCst);
            }
            let event_time_micros = world.market_time.load(Ordering::SeqCst);
            let shown = world.shown(&question);
            Box::pin(async move { shown.unwrap_or_else(|| market_answer(&question, (news, event_time_micros))) })
        };
        self.bus.answer(&self.context, Ask::Market, market).await.expect("listening");
    }

    /// What is shown other than usual.
    fn shown(&self, question: &v1::MarketQuestion) -> Option<v1::MarketAnswer> {
        use v1::{market_answer::Answer, market_question::Question};
        if self.is_market_silent.load(Ordering::SeqCst) {
            return Some(v1::MarketAnswer { answer: None });
        }
        let Some(Question::MatchSnapshot(wanted)) = &question.question else { return None };
        let mut snapshot = self.shown.lock().expect("not poisoned").get(&wanted.match_id).cloned()?;
        for quote in snapshot.quotes.iter_mut().filter(|quote| quote.published_at_micros == 0) {
            quote.published_at_micros = clock::now_micros();
        }
        Some(v1::MarketAnswer { answer: Some(Answer::MatchSnapshot(snapshot)) })
    }

    fn state(&self) -> v1::ControlState {
        let (epoch, scopes) = self.halted.lock().expect("not poisoned").clone();
        v1::ControlState { epoch, scopes, leader_id: "test".into(), reduction_ids: Vec::new() }
    }

    /// Halts a scope with the next epoch and tells the workers.
    async fn halt(&self, kind: v1::ScopeKind, id: &str) {
        {
            let mut halted = self.halted.lock().expect("not poisoned");
            halted.0 += 1;
            halted.1 = vec![v1::ScopeState {
                scope: Some(v1::Scope { kind: kind.into(), id: id.into() }),
                state: v1::TradingState::Halted.into(),
                epoch: halted.0,
                reason: "drill".into(),
                ..v1::ScopeState::default()
            }];
        }
        self.bus.broadcast(&CoreSubject::ControlState, &self.state()).await.expect("sent");
    }

    fn ledger_answer(&self, question: &v1::LedgerQuestion) -> v1::LedgerAnswer {
        use v1::{ledger_answer::Answer, ledger_question::Question};
        let answer = match &question.question {
            Some(Question::Holdings(asked)) => self.holdings(asked),
            Some(Question::GetAccount(_)) => {
                let account = v1::Account { cash_micros: 10_000_000_000, ..v1::Account::default() };
                Answer::Account(v1::GetAccountResponse { account: Some(account) })
            }
            Some(Question::ListPositions(_)) => {
                let quantity_micros = self.held_micros.load(Ordering::SeqCst);
                let held = v1::Position { instrument_id: "GBPUSD".into(), quantity_micros, ..v1::Position::default() };
                let mut positions = self.booked.lock().expect("not poisoned").clone();
                positions.push(held);
                Answer::Positions(v1::ListPositionsResponse { positions, ..Default::default() })
            }
            other => panic!("not asked by the worker: {other:?}"),
        };
        v1::LedgerAnswer { answer: Some(answer) }
    }

    fn holdings(&self, asked: &v1::HoldingsQuestion) -> v1::ledger_answer::Answer {
        use v1::ledger_answer::Answer;
        self.asked_for.lock().expect("not poisoned").insert(asked.instrument_id.clone());
        let quantity_micros = self.held_micros.load(Ordering::SeqCst);
        let holding = |account_id: &String| v1::Holding {
            account_id: account_id.clone(),
            cash_micros: 10_000_000_000,
            quantity_micros,
        };
        if self.is_ledger_alive.load(Ordering::SeqCst) {
            Answer::Holdings(v1::Holdings { holdings: asked.account_ids.iter().map(holding).collect() })
        } else {
            Answer::Error(v1::AskError { code: 14, ..v1::AskError::default() })
        }
    }

    async fn request(&self, trade_id: &str, intent: v1::trade_requested::Intent) {
        let request = v1::TradeRequested {
            meta: Some(v1::Meta { event_id: trade_id.into(), ..v1::Meta::default() }),
            key: Some(v1::TradeKey {
                trade_id: trade_id.into(),
                account_id: "alice".into(),
                ..v1::TradeKey::default()
            }),
            intent: Some(intent),
        };
        let batch = v1::TradeRequestedBatch { requests: vec![request] };
        let subject = Subject::TradeRequests(Tier::Premium);
        self.bus.publish(&subject, &batch, &PublishOptions::default(), PATIENCE).await.expect("stored");
    }

    async fn put_agent(&self, agent_id: &str) {
        self.put_agent_on(agent_id, vec!["GBPUSD".into()]).await;
    }

    async fn put_agent_on(&self, agent_id: &str, instrument_ids: Vec<String>) {
        self.put_agent_of(agent_id, instrument_ids, &format!("agent-{agent_id}")).await;
    }

    async fn put_agent_of(&self, agent_id: &str, instrument_ids: Vec<String>, account_id: &str) {
        self.store(&scalper(agent_id, instrument_ids, account_id)).await;
    }

    async fn store(&self, agent: &v1::Agent) {
        let agents = self.bus.bucket(Bucket::Agents).await.expect("a bucket");
        agents.put(&agent.agent_id, agent.encode_to_vec().into()).await.expect("stored");
    }

    async fn put_instrument(&self, id: &str) {
        let subject = Subject::Instrument(InstrumentId::new(id).expect("an id"));
        let instrument = v1::Instrument { instrument_id: id.into(), ..gbpusd() };
        self.bus.publish(&subject, &instrument, &PublishOptions::default(), PATIENCE).await.expect("stored");
    }

    async fn bar(&self, instrument: &str, number: i64, close_micros: i64) {
        let (low, high) = (close_micros - 50, close_micros + 50);
        let bar = v1::Bar {
            instrument_id: instrument.into(),
            timeframe: "1m".into(),
            start_micros: number * 60_000_000,
            bid_open_micros: close_micros,
            bid_high_micros: high,
            bid_low_micros: low,
            bid_close_micros: close_micros,
            ask_open_micros: close_micros + 10,
            ask_high_micros: high + 10,
            ask_low_micros: low + 10,
            ask_close_micros: close_micros + 10,
            published_at_micros: clock::now_micros(),
        };
        let subject = Subject::Bar(Timeframe::Minute1, InstrumentId::new(instrument).expect("an id"));
        self.bus.publish(&subject, &bar, &PublishOptions::default(), PATIENCE).await.expect("stored");
    }
}

fn scalper(agent_id: &str, instrument_ids: Vec<String>, account_id: &str) -> v1::Agent {
    v1::Agent {
        agent_id: agent_id.into(),
        strategy: v1::Strategy::Scalper.into(),
        instrument_ids,
        timeframe: "1m".into(),
        risk_tolerance: 5,
        max_trades_per_day: 1_000,
        account_id: account_id.into(),
        is_enabled: true,
        ..v1::Agent::default()
    }
}

fn gbpusd() -> v1::Instrument {
    v1::Instrument {
        instrument_id: "GBPUSD".into(),
        settlement_style: v1::SettlementStyle::Margined.into(),
        currency: "USD".into(),
        tick_micros: 10,
        lot_micros: 1_000_000,
        min_quantity_micros: 1_000_000,
        max_quantity_micros: 10_000_000_000_000,
        min_price_micros: 10,
        max_price_micros: 10_000_000,
        initial_margin_ppm: 33_333,
        taker_fee_ppm: 20,
        status: v1::InstrumentStatus::Open.into(),
        ..v1::Instrument::default()
    }
}

impl World {
    /// A market that goes nowhere.
    async fn quiet_bars(&self, instrument: &str) {
        for number in 0..60 {
            self.bar(instrument, number, 1_500_000 + (number % 2) * 200).await;
        }
    }

    /// A fall out of its range, which the scalper fades.
    async fn falling_bar(&self, instrument: &str) {
        self.bar(instrument, 60, 1_499_500).await;
    }
}

/// A match whose home win is worth about 0.5 to two bookmakers and offered at 0.45.
fn market_answer(
    question: &v1::MarketQuestion,
    (news, event_time_micros): (Vec<v1::NewsItem>, i64),
) -> v1::MarketAnswer {
    use v1::{market_answer::Answer, market_question::Question};
    let known = snapshot();
    let Some(Question::MatchSnapshot(wanted)) = &question.question else {
        return analysis::market_answer(question, &known);
    };
    if let Some(other) = analysis::other_match(&wanted.match_id, &known) {
        return v1::MarketAnswer { answer: Some(Answer::MatchSnapshot(other)) };
    }
    if wanted.match_id != MATCH {
        let message = format!("no match {:?}; did you mean {MATCH}?", wanted.match_id);
        let error = v1::AskError { code: 5, reason: "MATCH_NOT_FOUND".into(), message };
        return v1::MarketAnswer { answer: Some(Answer::Error(error)) };
    }
    v1::MarketAnswer { answer: Some(Answer::MatchSnapshot(v1::MatchSnapshot { news, event_time_micros, ..known })) }
}

fn snapshot() -> v1::MatchSnapshot {
    let book = |bookmaker: &str, is_sharp| v1::BookOdds {
        bookmaker: bookmaker.into(),
        home_odds_micros: 1_960_000,
        draw_odds_micros: 3_800_000,
        away_odds_micros: 4_000_000,
        is_sharp,
    };
    let instrument = |outcome: &str| v1::Instrument {
        instrument_id: format!("{MATCH}-{outcome}"),
        settlement_style: v1::SettlementStyle::Prediction.into(),
        currency: "USD".into(),
        taker_fee_ppm: 30_000,
        status: v1::InstrumentStatus::Open.into(),
        match_id: MATCH.into(),
        outcome: outcome.into(),
        tick_micros: 10_000,
        lot_micros: 1_000_000,
        min_quantity_micros: 1_000_000,
        max_quantity_micros: 100_000_000_000,
        min_price_micros: 10_000,
        max_price_micros: 990_000,
        ..v1::Instrument::default()
    };
    let quote = |outcome: &str, ask_price_micros: i64| v1::Quote {
        instrument_id: format!("{MATCH}-{outcome}"),
        bid_price_micros: ask_price_micros - 20_000,
        bid_quantity_micros: 500_000_000,
        ask_price_micros,
        ask_quantity_micros: 500_000_000,
        published_at_micros: clock::now_micros(),
        ..v1::Quote::default()
    };
    v1::MatchSnapshot {
        r#match: Some(v1::Match {
            match_id: MATCH.into(),
            home: "Arsenal".into(),
            away: "Man City".into(),
            status: v1::MatchStatus::Scheduled.into(),
            ..v1::Match::default()
        }),
        books: vec![book("sharp", true), book("soft", false)],
        instruments: ["HOME", "DRAW", "AWAY"].map(instrument).to_vec(),
        quotes: vec![quote("HOME", 450_000), quote("DRAW", 270_000), quote("AWAY", 260_000)],
        ..v1::MatchSnapshot::default()
    }
}

fn order_intent() -> v1::trade_requested::Intent {
    v1::trade_requested::Intent::Order(v1::OrderIntent {
        instrument_id: format!("{MATCH}-HOME"),
        side: v1::Side::Buy.into(),
        order_type: v1::OrderType::Limit.into(),
        quantity_micros: 10_000_000,
        limit_price_micros: 550_000,
        time_in_force: v1::TimeInForce::Ioc.into(),
        ..v1::OrderIntent::default()
    })
}

fn mandate(match_id: &str, agent: &str) -> v1::trade_requested::Intent {
    let (match_id, agent) = (match_id.into(), agent.into());
    v1::trade_requested::Intent::Mandate(v1::Mandate { match_id, budget_micros: 50_000_000, min_edge_bps: 0, agent })
}

fn order_of(proposal: &v1::Proposal) -> &v1::OrderProposed {
    match &proposal.kind {
        Some(v1::proposal::Kind::Order(order)) => order,
        other => panic!("not an order: {other:?}"),
    }
}

fn denial_of(proposal: &v1::Proposal) -> &v1::Denial {
    match &proposal.kind {
        Some(v1::proposal::Kind::NoTrade(v1::NoTrade { denial: Some(denial), .. })) => denial,
        other => panic!("not a denial: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_order_becomes_one_proposal_with_the_trades_order_id() {
    let mut rig = rig(1).await;
    rig.world.request("t-1", order_intent()).await;
    let proposal = rig.next_one().await;
    let order = order_of(&proposal);
    let terms = order.terms.as_ref().expect("terms");
    assert_eq!(terms.order_id, "t-1-o");
    assert_eq!((terms.quantity_micros, terms.limit_price_micros), (10_000_000, 550_000));
    assert_eq!(order.agent, "eplTradingAgent");
    assert!(order.valid_until_micros > clock::now_micros());

    let v1::trade_requested::Intent::Order(known) = order_intent() else { panic!("an order") };
    let mistyped = v1::OrderIntent { instrument_id: format!("{MATCH}-HOMM"), ..known };
    rig.world.request("t-1b", v1::trade_requested::Intent::Order(mistyped)).await;
    let proposal = rig.next_one().await;
    let denial = denial_of(&proposal);
    assert_eq!(denial.code(), v1::DenialCode::UnknownInstrument);
    assert!(denial.message.contains(&format!("{MATCH}-HOME")), "the nearest name is offered: {}", denial.message);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mandate_buys_the_outcome_below_its_fair_price_within_the_budget() {
    let mut rig = rig(1).await;
    rig.world.request("t-2", mandate(MATCH, "")).await;
    let proposal = rig.next_one().await;
    let order = order_of(&proposal);
    let terms = order.terms.as_ref().expect("terms");
    assert_eq!(order.agent, "eplScoutAgent");
    assert_eq!(terms.instrument_id, format!("{MATCH}-HOME"));
    assert_eq!(terms.limit_price_micros, 450_000);
    assert_eq!(terms.quantity_micros % 1_000_000, 0, "whole contracts");
    assert!((1_000_000..=111_000_000).contains(&terms.quantity_micros), "{}", terms.quantity_micros);
    assert!(order.rationale.contains("edge"), "{}", order.rationale);

    rig.world.request("t-3", mandate("EPL-2026-ARS-MCX", "")).await;
    assert!(denial_of(&rig.next_one().await).message.contains(MATCH), "the nearest name is offered");
    rig.world.request("t-4", mandate(MATCH, "noSuchAgent")).await;
    assert_eq!(denial_of(&rig.next_one().await).code(), v1::DenialCode::UnknownAgent);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halted_worker_confirms_and_proposes_no_order() {
    let mut rig = rig(1).await;
    let mut acks = rig.world.bus.listen::<v1::ControlAck>(&CoreSubject::ControlAcks).await.expect("listening");
    rig.world.halt(v1::ScopeKind::Global, "").await;
    let ack = tokio::time::timeout(PATIENCE, acks.next()).await.expect("in time").expect("an ack");
    assert_eq!(ack.epoch, 2);
    rig.world.request("t-5", order_intent()).await;
    let proposal = rig.next_one().await;
    let denial = denial_of(&proposal);
    assert_eq!(denial.code(), v1::DenialCode::TradingHalted);
    assert!(denial.message.contains("drill"), "{}", denial.message);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_takes_only_a_newer_epoch() {
    let mut rig = rig(1).await;
    let mut acks = rig.world.bus.listen::<v1::ControlAck>(&CoreSubject::ControlAcks).await.expect("listening");
    rig.world.halt(v1::ScopeKind::Global, "").await;
    let ack = tokio::time::timeout(PATIENCE, acks.next()).await.expect("in time").expect("an ack");
    assert_eq!(ack.epoch, 2);
    // Somebody who has not heard of the halt says that everything is active, with the epoch of before and with the same.
    for epoch in [1, 2] {
        let old = v1::ControlState { epoch, scopes: Vec::new(), ..rig.world.state() };
        rig.world.bus.broadcast(&CoreSubject::ControlState, &old).await.expect("sent");
        rig.world.request(&format!("t-{epoch}"), order_intent()).await;
        assert_eq!(denial_of(&rig.next_one().await).code(), v1::DenialCode::TradingHalted, "epoch {epoch}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_takes_no_work_while_the_guard_is_silent() {
    let mut rig = rig(1).await;
    rig.world.is_guard_alive.store(false, Ordering::SeqCst);
    let context = rig.world.context.clone();
    let not_ready = async {
        while context.health.is_ready() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, not_ready).await.expect("the lease ends");
    rig.world.request("t-6", order_intent()).await;
    rig.world.request("t-7", order_intent()).await;
    let early = rig.next(Duration::from_millis(1_500)).await;
    assert!(early.is_empty(), "{early:?}");
    rig.world.is_guard_alive.store(true, Ordering::SeqCst);
    let mut trades = Vec::new();
    while trades.len() < 2 {
        let proposals = rig.next(PATIENCE).await;
        assert!(!proposals.is_empty(), "nothing was lost");
        trades.extend(proposals.into_iter().filter_map(|p| p.key).map(|key| key.trade_id));
    }
    trades.sort();
    assert_eq!(trades, ["t-6", "t-7"]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slice_becomes_the_same_reduce_only_order_whoever_gets_it() {
    let mut rig = rig(2).await;
    let slice = v1::ReductionSlice {
        reduction_id: "c-1".into(),
        account_id: "alice".into(),
        instrument_id: "GBPUSD".into(),
        side: v1::Side::Sell.into(),
        quantity_micros: 5_000_000,
        request_id: "018bcfe5-687f-7000-8000-000000000001".into(),
        // Without a quote: at market.
        ..v1::ReductionSlice::default()
    };
    rig.world.slices.lock().expect("not poisoned").push(slice);
    let mut orders = Vec::new();
    while orders.len() < 4 {
        let proposals = rig.next(PATIENCE).await;
        assert!(!proposals.is_empty(), "both workers propose it again and again");
        orders.extend(proposals.into_iter().map(|proposal| {
            let order = order_of(&proposal);
            let terms = order.terms.clone().expect("terms");
            assert_eq!((order.reduction_id.as_str(), order.agent.as_str()), ("c-1", "liveTradingAgent"));
            assert!(terms.is_reduce_only && terms.order_type() == v1::OrderType::Market);
            assert_eq!((terms.side(), terms.quantity_micros), (v1::Side::Sell, 5_000_000));
            let key = proposal.key.expect("a key");
            assert_eq!(terms.order_id, format!("{}-o", key.trade_id));
            (key.trade_id, key.request_id, key.account_id)
        }));
    }
    orders.dedup();
    assert_eq!(orders.len(), 1, "one trade, so the guard decides once: {orders:?}");

    rig.world.halt(v1::ScopeKind::Account, "alice").await;
    // What was on its way may still come; then nothing more does.
    rig.next(Duration::from_millis(700)).await;
    let started = Instant::now();
    while !rig.next(Duration::from_millis(700)).await.is_empty() {
        assert!(started.elapsed() < PATIENCE, "a halted account is not reduced by workers");
    }
    rig.stop().await;
}
