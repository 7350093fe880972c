//! From a proposal to its one outcome.

use crate::rig::{HOME, ONE, PATIENCE, Rig, buy, eventually, key, order, proposal, trade_of};
use futures::StreamExt as _;
use std::{collections::BTreeMap, time::Duration};
use tragen_bus::CoreSubject;
use tragen_contracts::v1;
use tragen_host::clock;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_approved_executed_reported_and_its_hold_becomes_money_spent() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let proposed = buy("r-1", 10, 550_000);
    let trade = trade_of(&proposed);
    rig.propose(vec![proposed]).await;
    let report = rig.outcomes.of(&trade).await;
    assert_eq!(report.status(), v1::TradeStatus::Filled);
    assert_eq!(report.fills.len(), 1);
    assert_eq!(report.fills[0].price_micros, 520_000, "at the ask, not at the limit");
    assert_eq!(report.fills[0].fee_micros, 74_880, "0.03 x 0.52 x 0.48 x 10");
    assert_eq!(report.fills[0].execution_id, format!("{trade}-o-x1"));
    let spent = 5_200_000 + 74_880;
    eventually("the ledger books it", async || rig.ledger.cash("alice") == 1_000 * ONE - spent).await;
    eventually("nothing is held", async || rig.risk_state().await.held_micros == 0).await;
    assert_eq!(rig.ledger.contracts("alice", HOME), 10);
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_from_the_future_is_not_taken() {
    let mut rig = Rig::start().await;
    // The newest the bus has when the guard starts, so the guard has nothing else to decide by.
    rig.quote_at((300_000, 320_000), 1_000_000, clock::now_micros() + 3_600_000_000).await;
    let guard = rig.guard().await;
    let early = buy("r-1", 10, 550_000);
    let trade = trade_of(&early);
    rig.propose(vec![early]).await;
    let denial = rig.outcomes.of(&trade).await.denial.expect("denied");
    assert_eq!(denial.code(), v1::DenialCode::NoReferencePrice, "{denial:?}");
    rig.quote(500_000, 520_000, 1_000_000).await;
    rig.quote_at((300_000, 320_000), 1_000_000, clock::now_micros() + 3_600_000_000).await;
    // One more of now: when a trade fills at its ask, all before it were read.
    rig.quote(500_000, 530_000, 1_000_000).await;
    let filled = async |number: u32, rig: &mut Rig| {
        let proposed = buy(&format!("r-2-{number}"), 1, 550_000);
        let trade = trade_of(&proposed);
        rig.propose(vec![proposed]).await;
        let report = rig.outcomes.of(&trade).await;
        report.fills.first().map(|fill| fill.price_micros)
    };
    let mut prices = Vec::new();
    for number in 0..1_000 {
        let price = filled(number, &mut rig).await;
        prices.extend(price);
        if price == Some(530_000) {
            break;
        }
    }
    assert_eq!(prices.last(), Some(&530_000));
    assert!(prices.iter().all(|price| [520_000, 530_000].contains(price)), "never at its 0.32: {prices:?}");
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_delivered_five_times_is_one_order() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let proposed = buy("r-1", 10, 550_000);
    let trade = trade_of(&proposed);
    // Twice in one message, then in three more: all five meet in any mixture.
    rig.propose(vec![proposed.clone(), proposed.clone()]).await;
    for _ in 0..3 {
        rig.propose(vec![proposed.clone()]).await;
    }
    rig.outcomes.of(&trade).await;
    // A repeat after the end has the stored report told again.
    let told = rig.outcomes.reports[&trade].len();
    rig.propose(vec![proposed.clone()]).await;
    rig.outcomes.until(|outcomes| outcomes.reports[&trade].len() > told).await;
    assert_eq!(rig.outcomes.filled(&trade), 10);
    assert_eq!(rig.venue_lines().len(), 1);
    eventually("the ledger books it once", async || rig.ledger.contracts("alice", HOME) == 10).await;
    let reports = &rig.outcomes.reports[&trade];
    assert!(reports.iter().all(|report| report.meta == reports[0].meta && report.kind == reports[0].kind));
    guard.stop().await;
    rig.stop().await;
}

/// Two workers bet for one account on one match, in two slots: two trades, of which neither could know of the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_bets_that_must_be_the_first_on_a_match_one_passes() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let bet = |request: &str| {
        let mut proposal = buy(request, 10, 550_000);
        if let Some(v1::proposal::Kind::Order(order)) = &mut proposal.kind {
            order.is_first_on_match = true;
        }
        proposal
    };
    let (one, other) = (bet("r-1"), bet("r-2"));
    let trades = [trade_of(&one), trade_of(&other)];
    // As two workers send them: each in a message of its own, at the same moment.
    tokio::join!(rig.propose(vec![one]), rig.propose(vec![other]));
    rig.outcomes.until(|outcomes| outcomes.finished() == 2).await;
    let denied = |trade: &String| rig.outcomes.last(trade).and_then(|report| report.denial.clone());
    let denials: Vec<_> = trades.iter().filter_map(denied).collect();
    let codes: Vec<_> = denials.iter().map(|denial| (denial.code(), denial.limit, denial.observed)).collect();
    assert_eq!(codes, [(v1::DenialCode::MatchTaken, 0, 1)]);
    let filled: Vec<i64> = trades.iter().map(|trade| rig.outcomes.filled(trade)).collect();
    assert_eq!(filled.iter().sum::<i64>(), 10, "{filled:?}");
    // What is held counts as well, once the order is over.
    eventually("the ledger books it", async || rig.ledger.contracts("alice", HOME) == 10).await;
    let late = bet("r-3");
    rig.propose(vec![late.clone()]).await;
    let denial = rig.outcomes.of(&trade_of(&late)).await.denial.expect("a denial");
    assert_eq!(denial.code(), v1::DenialCode::MatchTaken);
    // Who does not say so buys more.
    let more = buy("r-4", 10, 550_000);
    rig.propose(vec![more.clone()]).await;
    rig.outcomes.of(&trade_of(&more)).await;
    assert_eq!(rig.outcomes.filled(&trade_of(&more)), 10);
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_paid_is_denied_however_many_ask_at_once() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    // Each needs 100 x 0.52 and the fee: 18 of 40 can be paid from 1,000.
    let proposals: Vec<_> = (0..40).map(|n| buy(&format!("r-{n}"), 100, 520_000)).collect();
    for chunk in proposals.chunks(7) {
        rig.propose(chunk.to_vec()).await;
    }
    rig.outcomes.until(|outcomes| outcomes.finished() == 40).await;
    let reports: Vec<_> = proposals.iter().filter_map(|p| rig.outcomes.last(&trade_of(p))).collect();
    let filled = reports.iter().filter(|report| report.status() == v1::TradeStatus::Filled).count();
    assert_eq!(filled, 18);
    for report in reports.iter().filter(|report| report.status() == v1::TradeStatus::Denied) {
        let denial = report.denial.as_ref().expect("a denial");
        assert_eq!(denial.code(), v1::DenialCode::InsufficientFunds);
        assert!(denial.observed > denial.limit, "{denial:?}");
    }
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resting_orders_fill_when_the_market_comes_and_end_when_canceled() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let met = order("met", v1::Side::Buy, 10, 450_000, v1::TimeInForce::Gtc);
    let ended = order("ended", v1::Side::Buy, 10, 400_000, v1::TimeInForce::Gtc);
    let (met_trade, ended_trade) = (trade_of(&met), trade_of(&ended));
    rig.propose(vec![met, ended]).await;
    let is_working = |outcomes: &crate::rig::Outcomes, trade: &str| {
        outcomes.last(trade).is_some_and(|report| report.status() == v1::TradeStatus::Working)
    };
    rig.outcomes.until(|own| is_working(own, &met_trade) && is_working(own, &ended_trade)).await;
    let held = rig.risk_state().await;
    assert_eq!(held.open_orders, 2);
    assert!(held.held_micros >= 8_500_000, "{held:?}");

    rig.quote(430_000, 440_000, 4).await;
    rig.quote(430_000, 440_000, 1_000).await;
    let report = rig.outcomes.of(&met_trade).await;
    assert_eq!(report.status(), v1::TradeStatus::Filled);
    assert_eq!(rig.outcomes.filled(&met_trade), 10);

    let cancel = v1::proposal::Kind::Cancel(v1::CancelRequested { trade_id: ended_trade.clone() });
    rig.propose(vec![proposal(key("mallory", "c-0"), cancel.clone())]).await;
    rig.propose(vec![proposal(key("alice", "c-1"), cancel)]).await;
    assert_eq!(rig.outcomes.of(&ended_trade).await.status(), v1::TradeStatus::Canceled);
    eventually("nothing is held", async || rig.risk_state().await.held_micros == 0).await;
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_only_order_rests_as_maker_or_is_rejected_and_holds_nothing() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    rig.quote(500_000, 520_000, 1_000).await;
    let post_only = |request: &str, limit: i64, time_in_force: v1::TimeInForce| {
        let mut proposal = order(request, v1::Side::Buy, 10, limit, time_in_force);
        if let Some(v1::proposal::Kind::Order(own)) = &mut proposal.kind {
            own.terms.as_mut().expect("terms").is_post_only = true;
        }
        proposal
    };
    let crossing = post_only("crossing", 520_000, v1::TimeInForce::Gtc);
    let resting = post_only("resting", 510_000, v1::TimeInForce::Gtc);
    let (crossed, rested) = (trade_of(&crossing), trade_of(&resting));
    rig.propose(vec![crossing.clone()]).await;
    let report = rig.outcomes.of(&crossed).await;
    let code = report.rejection.split(':').next().map(str::to_owned);
    assert_eq!((report.status(), code.as_deref()), (v1::TradeStatus::Rejected, Some("POST_ONLY_WOULD_TRADE")));
    eventually("nothing is held", async || rig.risk_state().await.held_micros == 0).await;
    rig.propose(vec![resting]).await;
    rig.outcomes.until(|own| own.last(&rested).is_some_and(|own| own.status() == v1::TradeStatus::Working)).await;
    assert_eq!(rig.risk_state().await.open_orders, 1);
    rig.quote(490_000, 500_000, 1_000).await;
    let report = rig.outcomes.of(&rested).await;
    let fills: Vec<_> = report.fills.iter().map(|fill| (fill.price_micros, fill.fee_micros)).collect();
    assert_eq!((report.status(), fills), (v1::TradeStatus::Filled, vec![(510_000, 0)]));
    // Told again, whatever the market is now.
    rig.propose(vec![crossing]).await;
    rig.propose(vec![post_only("taking", 510_000, v1::TimeInForce::Ioc)]).await;
    let last = order("last", v1::Side::Buy, 1, 400_000, v1::TimeInForce::Gtc);
    let last_trade = trade_of(&last);
    rig.propose(vec![last]).await;
    rig.outcomes.until(|own| own.last(&last_trade).is_some()).await;
    assert_eq!((rig.outcomes.filled(&crossed), rig.outcomes.filled(&rested)), (0, 10));
    let taking = trade_of(&post_only("taking", 510_000, v1::TimeInForce::Ioc));
    assert!(rig.outcomes.last(&taking).is_none(), "terms that contradict each other are set aside");
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_cancels_so_often_in_a_second_and_is_told_of_one_too_many() {
    let mut rig = Rig::start().await;
    let mut config = rig.config();
    config.limits.rules = BTreeMap::from([("cancels_per_second_max".to_owned(), 2)]);
    let guard = rig.standby(config);
    guard.wait_ready().await;
    let prices = [400_000, 410_000, 420_000];
    let resting = prices.map(|price| order(&format!("r-{price}"), v1::Side::Buy, 1, price, v1::TimeInForce::Gtc));
    let trades = resting.each_ref().map(trade_of);
    rig.propose(resting.to_vec()).await;
    eventually("all of them rest", async || rig.risk_state().await.open_orders == 3).await;
    let cancel = |trade: &String| {
        let kind = v1::proposal::Kind::Cancel(v1::CancelRequested { trade_id: trade.clone() });
        proposal(v1::TradeKey { trade_id: trade.clone(), ..key("alice", "c") }, kind)
    };
    let mut denials = rig.bus.listen::<v1::CancelDenied>(&CoreSubject::CancelDenied).await.expect("listening");
    // In one message, so in one second however slow the machine is.
    rig.propose(trades.iter().map(cancel).collect()).await;
    let denied = tokio::time::timeout(PATIENCE, denials.next()).await.expect("told").expect("a running bus");
    let denial = denied.denial.expect("a denial");
    assert_eq!((denial.code(), denial.limit, denial.observed), (v1::DenialCode::CancelRate, 2, 3));
    let asked = denied.key.expect("a key");
    assert_eq!((asked.trade_id.as_str(), asked.account_id.as_str()), (trades[2].as_str(), "alice"));
    for trade in &trades[..2] {
        assert_eq!(rig.outcomes.of(trade).await.status(), v1::TradeStatus::Canceled);
    }
    eventually("only the third one rests", async || rig.risk_state().await.open_orders == 1).await;
    // A second later it may go, too.
    eventually("it is canceled", async || {
        rig.propose(vec![cancel(&trades[2])]).await;
        rig.risk_state().await.open_orders == 0
    })
    .await;
    assert_eq!(rig.outcomes.of(&trades[2]).await.status(), v1::TradeStatus::Canceled);
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_competes_with_orders_for_the_same_money() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let withdraw = |request: &str, amount: i64| {
        let asked = v1::WithdrawalRequested {
            amount_micros: amount,
            currency: "USD".into(),
            ..v1::WithdrawalRequested::default()
        };
        proposal(key("alice", request), v1::proposal::Kind::Withdrawal(asked))
    };
    let (first, second) = (withdraw("w-1", 990 * ONE), withdraw("w-2", 11 * ONE));
    let order = buy("r-1", 100, 520_000);
    let (first_id, second_id, order_id) = (trade_of(&first), trade_of(&second), trade_of(&order));
    rig.propose(vec![first.clone(), second, order]).await;
    rig.outcomes.until(|outcomes| outcomes.reports.len() == 3).await;
    let denial_of = |id: &str| match rig.outcomes.reports[id][0].kind.clone().expect("a kind") {
        v1::execution_report::Kind::Trade(report) => report.denial,
        v1::execution_report::Kind::Withdrawal(report) => report.denial,
        v1::execution_report::Kind::Booking(_) | v1::execution_report::Kind::Arrival(_) => None,
    };
    assert_eq!(denial_of(&first_id), None);
    assert_eq!(denial_of(&second_id).expect("denied").code(), v1::DenialCode::InsufficientFunds);
    assert_eq!(denial_of(&order_id).expect("denied").code(), v1::DenialCode::InsufficientFunds);
    eventually("the ledger pays once", async || rig.ledger.cash("alice") == 10 * ONE).await;
    rig.propose(vec![first]).await;
    rig.outcomes.until(|outcomes| outcomes.reports[&first_id].len() == 2).await;
    eventually("nothing is held", async || rig.risk_state().await.held_micros == 0).await;
    assert_eq!(rig.ledger.cash("alice"), 10 * ONE);
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_trade_and_nonsense_have_an_end_too() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let no_trade = v1::NoTrade { agent: "eplScoutAgent".into(), rationale: "no edge".into(), denial: None };
    let nothing = proposal(key("alice", "n-1"), v1::proposal::Kind::NoTrade(no_trade));
    let change = |request: &str, change: &dyn Fn(&mut v1::OrderTerms)| {
        let mut changed = buy(request, 10, 520_000);
        if let Some(v1::proposal::Kind::Order(order)) = &mut changed.kind {
            change(order.terms.as_mut().expect("terms"));
        }
        changed
    };
    let unknown = change("n-2", &|terms| terms.instrument_id = "NOTHING".into());
    let negative = change("n-3", &|terms| terms.quantity_micros = -1);
    let foreign = change("n-4", &|terms| terms.order_id = "somebody-else-o".into());
    let ids: Vec<_> = [&nothing, &unknown, &negative, &foreign].map(trade_of).to_vec();
    rig.propose(vec![nothing, unknown, negative, foreign]).await;
    rig.outcomes.until(|outcomes| outcomes.finished() == 3).await;
    assert_eq!(rig.outcomes.last(&ids[0]).expect("a report").status(), v1::TradeStatus::NoTrade);
    let code = |id: &str| rig.outcomes.last(id).and_then(|report| report.denial).expect("a denial").code();
    assert_eq!(code(&ids[1]), v1::DenialCode::UnknownInstrument);
    assert_eq!(code(&ids[2]), v1::DenialCode::QuantityTooSmall);
    eventually("what only a bug can make is set aside", async || {
        rig.bus.dead_letters(None, 10).await.is_ok_and(|letters| letters.len() == 1)
    })
    .await;
    assert!(rig.outcomes.last(&ids[3]).is_none());
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_ledger_nothing_is_decided_and_nothing_is_lost() {
    let mut rig = Rig::without_ledger().await;
    let guard = rig.standby(rig.config());
    let proposed = buy("r-1", 10, 550_000);
    let trade = trade_of(&proposed);
    rig.propose(vec![proposed]).await;
    rig.outcomes.during(Duration::from_secs(1)).await;
    assert!(rig.outcomes.reports.is_empty());
    assert!(!guard.context.health.is_ready());
    rig.ledger.serve(&rig.context, &rig.bus).await;
    assert_eq!(rig.outcomes.of(&trade).await.status(), v1::TradeStatus::Filled);
    guard.stop().await;
    rig.stop().await;
}
