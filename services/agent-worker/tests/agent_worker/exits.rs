//! Configured agents leaving what their accounts hold of matches in play.

use super::{
    MATCH, PATIENCE, Rig, World,
    bets::{MINUTE, NOON, with_workers},
    guard::Guard,
    handover, order_of, rig,
};
use futures::StreamExt as _;
use prost::Message as _;
use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};
use tragen_bus::{Bucket, Consumer, CoreSubject};
use tragen_contracts::v1;
use tragen_host::clock;

/// The match was told at this market time: an hour after the kick-off.
const HOUR: i64 = NOON + 60 * MINUTE;
/// Long enough for two looks at a match.
const LOOKS: Duration = Duration::from_secs(2);

impl World {
    async fn put_exiter(&self, agent_id: &str, account_id: &str) {
        let agent = v1::Agent {
            agent_id: agent_id.into(),
            strategy: v1::Strategy::LiveExit.into(),
            timeframe: "1m".into(),
            risk_tolerance: 5,
            max_trades_per_day: 500,
            account_id: account_id.into(),
            is_enabled: true,
            ..v1::Agent::default()
        };
        let agents = self.bus.bucket(Bucket::Agents).await.expect("a bucket");
        agents.put(agent_id, agent.encode_to_vec().into()).await.expect("stored");
    }

    /// Shows the match and what was paid for the home contracts.
    fn show(&self, snapshot: v1::MatchSnapshot, paid_micros: i64) {
        self.shown.lock().expect("not poisoned").insert(MATCH.to_owned(), snapshot);
        *self.booked.lock().expect("not poisoned") = vec![v1::Position {
            instrument_id: format!("{MATCH}-HOME"),
            quantity_micros: 100_000_000,
            average_price_micros: paid_micros,
            ..v1::Position::default()
        }];
    }

    async fn tell_in_play(&self, event_time_micros: i64) {
        self.tell_match(MATCH, v1::MatchStatus::InPlay, event_time_micros).await;
    }
}

/// 1-0 after an hour, which makes a home win worth 0.79; bid for at `home_bid`.
fn in_play(home_bid_micros: i64) -> v1::MatchSnapshot {
    let mut own = super::snapshot();
    let game = own.r#match.as_mut().expect("a match");
    (game.minute, game.home_goals, game.kickoff_micros) = (60, 1, NOON);
    game.status = v1::MatchStatus::InPlay.into();
    own.closing_books = std::mem::take(&mut own.books);
    own.over_under_odds_micros = vec![1_900_000, 1_950_000];
    own.event_time_micros = HOUR;
    (own.minutes_played, own.minute_left_ppm) = (60, 1_000_000);
    let prices = [home_bid_micros, 160_000, 30_000];
    for (quote, bid) in own.quotes.iter_mut().zip(prices) {
        (quote.bid_price_micros, quote.ask_price_micros) = (bid, bid + 20_000);
        // Whenever it is asked for it is new.
        quote.published_at_micros = 0;
    }
    own
}

/// Reduce-only sales of the next look: limit price and contracts; nothing if none comes.
async fn next_sales(rig: &mut Rig, patience: Duration) -> Vec<(i64, i64)> {
    let proposals = rig.next(patience).await;
    let sale = |proposal: &v1::Proposal| {
        let order = order_of(proposal);
        let terms = order.terms.as_ref().expect("terms");
        assert_eq!((order.agent.as_str(), order.pool.as_str()), ("liveTradingAgent", "live_exit"));
        assert_eq!((terms.instrument_id.as_str(), terms.side()), (format!("{MATCH}-HOME").as_str(), v1::Side::Sell));
        assert_eq!((terms.time_in_force(), terms.is_reduce_only), (v1::TimeInForce::Ioc, true));
        let is_market = terms.order_type() == v1::OrderType::Market;
        assert_eq!(is_market, terms.limit_price_micros == 0, "{terms:?}");
        (terms.limit_price_micros, terms.quantity_micros / 1_000_000)
    };
    proposals.iter().map(sale).collect()
}

async fn holding_rig() -> (Rig, Guard) {
    let rig = rig(0).await;
    let guard = Guard::start(&rig.world).await;
    guard.held_micros.store(100_000_000, Ordering::SeqCst);
    (rig, guard)
}

fn trade_of(proposal: &v1::Proposal) -> String {
    proposal.key.as_ref().expect("a key").trade_id.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_overpaid_is_sold_once_each_time_the_match_is_told_whoever_looks() {
    let (mut rig, guard) = holding_rig().await;
    // Those that share an account share its position, and the first one sells it.
    for (agent, account) in [("x1", "one"), ("x2", "one")] {
        rig.world.put_exiter(agent, account).await;
    }
    with_workers(2, &rig).await;
    rig.world.show(in_play(900_000), 500_000);
    rig.world.tell_in_play(HOUR).await;
    let first = rig.next_one().await;
    let order = order_of(&first);
    assert_eq!((order.agent_id.as_str(), order.max_trades_per_day), ("x1", 0), "nothing limits how often it leaves");
    let terms = order.terms.as_ref().expect("terms");
    assert_eq!((terms.limit_price_micros, terms.quantity_micros), (900_000, 100_000_000));
    assert!(order.rationale.contains("take profit") && order.rationale.contains("100"), "{}", order.rationale);
    let looks = rig.world.snapshots_asked.load(Ordering::SeqCst);
    assert!(rig.next(LOOKS).await.is_empty(), "what was ordered is not ordered again");
    assert!(rig.world.snapshots_asked.load(Ordering::SeqCst) > looks, "it is watched on");

    // Told anew while half of it is still held: another trade, also where a feed that has begun anew tells the same
    // market time. While that one is open there is no third.
    guard.held_micros.store(50_000_000, Ordering::SeqCst);
    let mut shown = in_play(890_000);
    shown.r#match.as_mut().expect("a match").published_at_micros = clock::now_micros();
    rig.world.show(shown, 500_000);
    rig.world.tell_in_play(HOUR).await;
    let second = rig.next_one().await;
    assert_ne!(trade_of(&second), trade_of(&first));
    let terms = order_of(&second).terms.as_ref().expect("terms");
    assert_eq!((terms.limit_price_micros, terms.quantity_micros), (890_000, 50_000_000));
    guard.take(std::slice::from_ref(&second));
    rig.world.tell_in_play(HOUR + 2 * MINUTE).await;
    let more: BTreeSet<String> = rig.next(LOOKS).await.iter().map(trade_of).collect();
    assert!(more.is_empty(), "{more:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fair_price_is_kept_a_freeze_is_waited_for_and_a_fallen_chance_is_stopped() {
    let (mut rig, _guard) = holding_rig().await;
    rig.world.put_exiter("x1", "one").await;
    with_workers(1, &rig).await;
    rig.world.show(in_play(780_000), 500_000);
    rig.world.tell_in_play(HOUR).await;
    assert!(next_sales(&mut rig, LOOKS).await.is_empty(), "it is worth what is bid");
    // The price jumps with a goal, and for 15 seconds of market time nobody sells.
    let goal = |micros_ago: i64| v1::MatchSnapshot {
        last_event: v1::MatchEvent::Goal.into(),
        last_event_micros: HOUR - micros_ago,
        ..in_play(900_000)
    };
    rig.world.show(goal(14_999_000), 500_000);
    assert!(next_sales(&mut rig, LOOKS).await.is_empty(), "frozen");
    rig.world.show(goal(15_000_000), 500_000);
    assert_eq!(next_sales(&mut rig, PATIENCE).await, [(900_000, 100)]);

    // Bought at 0.96 it may fall to 0.81.
    let mut fallen = in_play(700_000);
    fallen.r#match.as_mut().expect("a match").published_at_micros = clock::now_micros();
    rig.world.show(fallen, 960_000);
    rig.world.tell_in_play(HOUR + MINUTE).await;
    assert_eq!(next_sales(&mut rig, PATIENCE).await, [(700_000, 100)]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stale_is_left_at_market_and_silence_is_not_taken_for_it() {
    let (mut rig, _guard) = holding_rig().await;
    rig.world.put_exiter("x1", "one").await;
    with_workers(1, &rig).await;
    rig.world.show(in_play(780_000), 500_000);
    let told_micros = clock::now_micros();
    rig.world.tell_in_play(HOUR).await;
    let asked = || rig.world.snapshots_asked.load(Ordering::SeqCst);
    handover::until("it is watched", async || asked() > 1).await;
    rig.world.is_market_silent.store(true, Ordering::SeqCst);
    assert!(next_sales(&mut rig, Duration::from_secs(7)).await.is_empty(), "who says nothing says nothing of the data");
    // It is there again and shows what is older than it may be.
    let mut stale = in_play(780_000);
    stale.r#match.as_mut().expect("a match").published_at_micros = told_micros;
    stale.quotes.iter_mut().for_each(|quote| quote.published_at_micros = told_micros);
    rig.world.show(stale, 500_000);
    rig.world.is_market_silent.store(false, Ordering::SeqCst);
    assert_eq!(next_sales(&mut rig, PATIENCE).await, [(0, 100)]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_before_the_kick_off_in_a_halt_or_where_nothing_is_held() {
    let (mut rig, guard) = holding_rig().await;
    rig.world.put_exiter("x1", "one").await;
    with_workers(1, &rig).await;
    rig.world.show(in_play(900_000), 500_000);
    rig.world.tell_match(MATCH, v1::MatchStatus::Scheduled, HOUR).await;
    rig.world.tell_match(MATCH, v1::MatchStatus::Finished, HOUR).await;
    guard.held_micros.store(0, Ordering::SeqCst);
    rig.world.tell_in_play(HOUR).await;
    assert!(next_sales(&mut rig, LOOKS).await.is_empty());
    let mut acks = rig.world.bus.listen::<v1::ControlAck>(&CoreSubject::ControlAcks).await.expect("listening");
    rig.world.halt(v1::ScopeKind::Agent, "x1").await;
    tokio::time::timeout(PATIENCE, acks.next()).await.expect("in time").expect("an ack");
    guard.held_micros.store(100_000_000, Ordering::SeqCst);
    rig.world.tell_in_play(HOUR + MINUTE).await;
    assert!(next_sales(&mut rig, LOOKS).await.is_empty(), "halted");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_in_the_hands_of_a_killed_worker_is_left_by_another() {
    let (mut rig, guard) = holding_rig().await;
    rig.world.put_exiter("x1", "one").await;
    rig.world.show(in_play(900_000), 500_000);
    guard.is_dead.store(true, Ordering::SeqCst);
    let url = rig.server.url().to_owned();
    let dying = handover::worker(&rig.world.bus, url, Consumer::WorkerMatches).await;
    rig.world.tell_in_play(HOUR).await;
    handover::until("the match is in hand", async || guard.asked.load(Ordering::SeqCst) > 0).await;
    dying.shutdown_background();
    with_workers(1, &rig).await;
    guard.is_dead.store(false, Ordering::SeqCst);
    assert_eq!(next_sales(&mut rig, PATIENCE).await, [(900_000, 100)]);
    rig.stop().await;
}
