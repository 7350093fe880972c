//! What the guard would say to an order is what it then says, and asking changes nothing.

use crate::rig::{HOME, ONE, PATIENCE, Rig, buy, eventually, order, trade_of};
use std::time::{Duration, Instant};
use tragen_bus::Ask;
use tragen_contracts::v1::{self, risk_answer::Answer, risk_question::Question};

async fn ask(rig: &Rig, question: Question) -> Answer {
    let question = v1::RiskQuestion { question: Some(question), traceparent: String::new() };
    let started = Instant::now();
    loop {
        match rig.bus.ask::<_, v1::RiskAnswer>(Ask::Risk, &question, Duration::from_secs(2)).await {
            Ok(answer) => return answer.answer.expect("an answer"),
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
        }
    }
}

fn wanted(contracts: i64, limit_price_micros: i64) -> v1::WhatIfRequest {
    v1::WhatIfRequest {
        instrument_id: HOME.into(),
        side: v1::Side::Buy.into(),
        order_type: v1::OrderType::Limit.into(),
        quantity_micros: contracts * ONE,
        limit_price_micros,
        time_in_force: v1::TimeInForce::Ioc.into(),
        is_reduce_only: false,
        is_post_only: false,
    }
}

async fn what_if(rig: &Rig, account: &str, order: v1::WhatIfRequest) -> v1::WhatIfResult {
    let asked = v1::WhatIfQuestion { account_id: account.into(), tier: v1::Tier::Standard.into(), order: Some(order) };
    let Answer::WhatIf(result) = ask(rig, Question::WhatIf(asked)).await else { panic!("refused") };
    result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_what_if_says_what_the_decision_then_says() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    // 1,000 pays for 10 and for no more than some 1,800 at 0.52 and its fee.
    let allowed = what_if(&rig, "alice", wanted(10, 520_000)).await;
    assert_eq!((allowed.verdict(), allowed.denial.as_ref()), (v1::WhatIfVerdict::Allow, None));
    assert!(allowed.checks.len() > 10 && allowed.checks.iter().all(|check| check.is_passed), "{:?}", allowed.checks);
    let scaled = what_if(&rig, "alice", wanted(5_000, 520_000)).await;
    let denial = scaled.denial.clone().expect("a denial");
    assert_eq!((scaled.verdict(), denial.code()), (v1::WhatIfVerdict::Scale, v1::DenialCode::InsufficientFunds));
    let largest = scaled.largest_quantity_micros / ONE;
    assert!((1_700..1_923).contains(&largest), "{largest}");
    assert!(scaled.allowances.iter().any(|own| own.code() == v1::DenialCode::InsufficientFunds), "{scaled:?}");
    let unknown = what_if(&rig, "nobody", wanted(1, 520_000)).await;
    let code = unknown.denial.map(|denial| denial.code());
    assert_eq!((unknown.verdict, code), (v1::WhatIfVerdict::Reject.into(), Some(v1::DenialCode::NoBalance)));

    // Asking has held nothing, and the decisions are those that were told.
    assert_eq!(rig.risk_state().await.held_micros, 0);
    let (too_much, most) = (buy("r-1", largest + 1, 520_000), buy("r-2", largest, 520_000));
    let (denied, filled) = (trade_of(&too_much), trade_of(&most));
    rig.propose(vec![too_much]).await;
    let report = rig.outcomes.of(&denied).await;
    assert_eq!(report.denial.map(|denial| denial.code()), Some(v1::DenialCode::InsufficientFunds));
    rig.propose(vec![most]).await;
    assert_eq!(rig.outcomes.of(&filled).await.status(), v1::TradeStatus::Filled);
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_told_with_fills_that_are_not_booked_yet() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let proposed = buy("r-1", 10, 520_000);
    let trade = trade_of(&proposed);
    rig.propose(vec![proposed]).await;
    rig.outcomes.of(&trade).await;
    let risk = async || {
        let asked = v1::AccountRiskQuestion { account_id: "alice".into(), currency: "USD".into() };
        let Answer::AccountRisk(risk) = ask(&rig, Question::AccountRisk(asked)).await else { panic!("refused") };
        risk
    };
    let told = risk().await;
    let [held] = told.holdings.as_slice() else { panic!("{told:?}") };
    assert_eq!((held.instrument_id.as_str(), held.quantity_micros), (HOME, 10 * ONE));
    assert_eq!((held.entry_notional_micros, held.exposure_micros), (5_200_000, 5_200_000));
    eventually("capital is cash and what positions cost", async || {
        let told = risk().await;
        told.capital_micros == 1_000 * ONE - 74_880 && told.available_micros == told.capital_micros - 5_200_000
    })
    .await;
    let asked = v1::AccountRiskQuestion { account_id: "nobody".into(), currency: "USD".into() };
    let Answer::Error(error) = ask(&rig, Question::AccountRisk(asked)).await else { panic!("an account of nobody") };
    assert_eq!((error.code, error.reason.as_str()), (5, "ACCOUNT_NOT_FOUND"));
    let asked = v1::AccountRiskQuestion { account_id: "a b".into(), currency: "USD".into() };
    let Answer::Error(error) = ask(&rig, Question::AccountRisk(asked)).await else { panic!("no id") };
    assert_eq!(error.code, 3, "{error:?}");
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standings_tell_open_orders_and_fills_before_the_ledger_has_booked_them() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let standings = async |rig: &Rig, accounts: &[&str], instruments: &[String]| {
        let asked = v1::StandingsQuestion {
            account_ids: accounts.iter().map(ToString::to_string).collect(),
            instrument_ids: instruments.to_vec(),
            currency: "USD".into(),
        };
        ask(rig, Question::Standings(asked)).await
    };
    let contracts = [HOME.to_owned(), "EPL-2026-ARS-MCI-DRAW".to_owned()];
    let all = ["nobody", "alice", "alice"];
    let told = async |rig: &Rig| {
        let Answer::Standings(told) = standings(rig, &all, &contracts).await else { panic!("refused") };
        // Once for each account; nobody has no wallet.
        let [own] = <[v1::Standing; 1]>::try_from(told.standings).expect("one");
        assert_eq!(own.account_id, "alice");
        own
    };
    let before = told(&rig).await;
    assert_eq!((before.positions.len(), before.orders.len()), (0, 0));
    assert_eq!((before.cash_micros, before.available_micros), (1_000 * ONE, 1_000 * ONE));
    let mut resting = order("rests", v1::Side::Buy, 10, 400_000, v1::TimeInForce::Gtc);
    if let Some(v1::proposal::Kind::Order(own)) = &mut resting.kind {
        own.agent_id = "m1".into();
    }
    let (taking, trade) = (buy("takes", 10, 520_000), trade_of(&resting));
    let taken = trade_of(&taking);
    rig.propose(vec![resting, taking]).await;
    rig.outcomes.of(&taken).await;
    rig.outcomes.until(|own| own.last(&trade).is_some_and(|own| own.status() == v1::TradeStatus::Working)).await;
    let own = told(&rig).await;
    let expected = v1::StandingPosition { instrument_id: HOME.into(), quantity_micros: 10 * ONE };
    assert_eq!(own.positions, [expected]);
    let [open] = own.orders.as_slice() else { panic!("{own:?}") };
    assert_eq!((open.trade_id.as_str(), open.agent_id.as_str(), open.side()), (trade.as_str(), "m1", v1::Side::Buy));
    assert_eq!((open.limit_price_micros, open.open_quantity_micros), (400_000, 10 * ONE));
    // Ten at 0.40 are held, and their fee.
    assert!(own.available_micros <= own.cash_micros - 4 * ONE, "{own:?}");

    let refused = async |accounts: &[&str], instruments: &[String]| {
        let Answer::Error(error) = standings(&rig, accounts, instruments).await else { panic!("answered") };
        (error.code, error.reason)
    };
    assert_eq!(refused(&["a b"], &contracts).await, (3, "ID_BAD_CHARSET".to_owned()));
    assert_eq!(refused(&["alice"], &["a b".to_owned()]).await, (3, "ID_BAD_CHARSET".to_owned()));
    assert_eq!(refused(&["alice"; 501], &contracts).await, (3, "ITEMS_OUT_OF_BOUNDS".to_owned()));
    assert_eq!(refused(&["alice"], &vec![HOME.to_owned(); 101]).await, (3, "ITEMS_OUT_OF_BOUNDS".to_owned()));
    guard.stop().await;
    rig.stop().await;
}
