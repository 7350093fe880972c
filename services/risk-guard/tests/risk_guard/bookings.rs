//! Bookings by hand: two people, one booking, whatever happens in between.

use crate::rig::{HOME, ONE, Rig, buy, eventually, order, trade_of};
use std::time::Duration;
use tragen_contracts::v1::{self, booking::Kind, guard_answer::Answer, guard_question::Question, settlement::Outcome};
use tragen_host::clock;
use tragen_risk_guard::{Config, LimitsConfig};

fn adjustment(account: &str, amount_micros: i64) -> Kind {
    Kind::Adjustment(v1::Adjustment { account_id: account.into(), currency: "USD".into(), amount_micros })
}

fn settlement(instrument: &str, outcome: Outcome) -> Kind {
    Kind::Settlement(v1::Settlement { instrument_id: instrument.into(), outcome: Some(outcome) })
}

fn propose(kind: Kind, reason: &str) -> Question {
    // Who proposes and confirms is not for the client to say.
    let forged = || "mallory".to_owned();
    let booking =
        v1::Booking { kind: Some(kind), reason: reason.into(), proposed_by: forged(), confirmed_by: forged() };
    Question::ProposeBooking(v1::ProposeBookingRequest { booking: Some(booking) })
}

fn confirm(token: &str) -> Question {
    Question::ConfirmBooking(v1::ConfirmBookingRequest { token: token.into() })
}

fn error_of(answer: Answer) -> (i32, String, String) {
    let Answer::Error(error) = answer else { panic!("{answer:?}") };
    (error.code, error.reason, error.message)
}

async fn proposed(rig: &Rig, kind: Kind) -> v1::ProposeBookingResponse {
    let Answer::ProposeBooking(proposal) = rig.ask("ann", propose(kind, "a clerk's mistake")).await else {
        panic!("refused")
    };
    proposal
}

/// Ann proposes, bob confirms; the booking's id.
async fn booked(rig: &Rig, kind: Kind) -> String {
    let token = proposed(rig, kind).await.token;
    let Answer::ConfirmBooking(confirmed) = rig.ask("bob", confirm(&token)).await else { panic!("refused") };
    confirmed.booking_id
}

/// The one report of a booking.
async fn told(rig: &mut Rig, id: &str) -> (v1::TradeKey, v1::Booking) {
    rig.outcomes.until(|outcomes| outcomes.reports.contains_key(id)).await;
    let reports = &rig.outcomes.reports[id];
    assert_eq!(reports.len(), 1, "{reports:?}");
    let report = reports[0].clone();
    let Some(v1::execution_report::Kind::Booking(booking)) = report.kind else { panic!("no booking") };
    assert_eq!(report.meta.expect("an envelope").event_id, format!("{id}-booking"));
    (report.key.expect("a key"), booking)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_takes_two_people_and_a_token_is_good_once() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let proposal = proposed(&rig, adjustment("alice", -5 * ONE)).await;
    assert_eq!(proposal.token.len(), 32);
    let expires_at = proposal.expires_at.expect("an end").seconds;
    assert!((110..=120).contains(&(expires_at - clock::now_micros() / 1_000_000)), "{expires_at}");
    let same = error_of(rig.ask("ann", confirm(&proposal.token)).await);
    assert_eq!((same.0, same.1.as_str()), (9, "SAME_PRINCIPAL"));
    assert_eq!(error_of(rig.ask("bob", confirm("0123")).await).1, "PROPOSAL_UNKNOWN");
    let Answer::ConfirmBooking(confirmed) = rig.ask("bob", confirm(&proposal.token)).await else { panic!("refused") };
    assert_eq!(error_of(rig.ask("bob", confirm(&proposal.token)).await).1, "PROPOSAL_UNKNOWN");

    let id = confirmed.booking_id.clone();
    assert_eq!((confirmed.status(), confirmed.outcome_ids), (v1::BookingStatus::Pending, vec![id.clone()]));
    assert_eq!(id.parse::<uuid::Uuid>().map(|id| id.get_version_num()), Ok(7));
    let (key, booking) = told(&mut rig, &id).await;
    assert_eq!((key.trade_id, key.request_id, key.account_id.as_str()), (id.clone(), id, "alice"));
    assert_eq!((booking.proposed_by.as_str(), booking.confirmed_by.as_str()), ("ann", "bob"));
    assert_eq!((booking.kind, booking.reason.as_str()), (Some(adjustment("alice", -5 * ONE)), "a clerk's mistake"));
    eventually("the ledger books it", async || rig.ledger.cash("alice") == 995 * ONE).await;

    // The fact reaches the gate: what is left can be spent, and no more.
    eventually("the gate has heard of it", async || {
        let question = Question::AccountViews(v1::AccountViewsQuestion::default());
        let Answer::AccountViews(views) = rig.ask("", question).await else { panic!("refused") };
        views.views[0].cash_micros == 995 * ONE
    })
    .await;
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_booking_is_named() {
    let rig = Rig::start().await;
    let guard = rig.guard().await;
    let refused = async |kind, reason: &str| error_of(rig.ask("ann", propose(kind, reason)).await);
    let check = async |kind, said: &str, field: &str| {
        let (code, reason, message) = refused(kind, "ok").await;
        assert_eq!((code, reason.as_str()), (3, said), "{message}");
        assert!(message.starts_with(&format!("{field}: ")), "{message}");
    };
    check(adjustment("alice", 0), "AMOUNT_ZERO", "booking.adjustment.amount_micros").await;
    check(adjustment("a/b", 1), "ID_BAD_CHARSET", "booking.adjustment.account_id").await;
    check(adjustment("alcie", ONE), "UNKNOWN_ACCOUNT", "booking.adjustment.account_id").await;
    let value = |micros| settlement(HOME, Outcome::ValueMicros(micros));
    check(value(1_000_001), "VALUE_OUT_OF_RANGE", "booking.settlement.value_micros").await;
    check(value(-1), "VALUE_OUT_OF_RANGE", "booking.settlement.value_micros").await;
    let unknown = settlement("NOTHING", Outcome::IsVoid(true));
    check(unknown, "UNKNOWN_INSTRUMENT", "booking.settlement.instrument_id").await;
    assert_eq!(refused(value(0), " ").await.2, "booking.reason: is missing");
    assert_eq!(refused(value(0), &"x".repeat(201)).await.1, "REASON_TOO_LONG");
    let nothing = Question::ProposeBooking(v1::ProposeBookingRequest::default());
    assert_eq!(error_of(rig.ask("ann", nothing).await).2, "booking: is missing");
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_ends() {
    let rig = Rig::start().await;
    let limits = LimitsConfig { booking_valid_ms: 20, ..LimitsConfig::default() };
    let guard = rig.standby(Config { limits, ..rig.config() });
    guard.wait_ready().await;
    let proposal = proposed(&rig, adjustment("alice", ONE)).await;
    let end = proposal.expires_at.expect("an end");
    let end_micros = end.seconds * 1_000_000 + i64::from(end.nanos) / 1_000;
    eventually("its time is over", async || clock::now_micros() > end_micros).await;
    let expired = error_of(rig.ask("bob", confirm(&proposal.token)).await);
    assert_eq!((expired.0, expired.1.as_str()), (9, "PROPOSAL_EXPIRED"));
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settlement_ends_working_orders_pays_and_closes_the_instrument_for_ever() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let resting = order("resting", v1::Side::Buy, 10, 400_000, v1::TimeInForce::Gtc);
    let resting_trade = trade_of(&resting);
    let held = buy("held", 10, 520_000);
    rig.propose(vec![held.clone(), resting]).await;
    rig.outcomes.of(&trade_of(&held)).await;
    rig.outcomes.until(|outcomes| outcomes.reports.contains_key(&resting_trade)).await;
    eventually("the fill is booked", async || rig.ledger.contracts("alice", HOME) == 10).await;
    let before = rig.ledger.cash("alice");

    let id = booked(&rig, settlement(HOME, Outcome::ValueMicros(ONE))).await;
    let (key, _) = told(&mut rig, &id).await;
    assert_eq!(key.account_id, "");
    // Reports come in order: the order's end was told before the settlement.
    let last = rig.outcomes.last(&resting_trade).expect("a report");
    assert_eq!(last.status(), v1::TradeStatus::Canceled);
    eventually("ten contracts are paid", async || rig.ledger.cash("alice") == before + 10 * ONE).await;
    eventually("the gate holds nothing and knows of no order", async || {
        let state = rig.risk_state().await;
        (state.open_orders, state.held_micros) == (0, 0)
    })
    .await;

    let late = buy("late", 1, 520_000);
    let late_trade = trade_of(&late);
    rig.propose(vec![late]).await;
    let denial = rig.outcomes.of(&late_trade).await.denial.expect("a denial");
    assert_eq!(denial.code(), v1::DenialCode::InstrumentNotTrading);
    guard.kill();
    let guard = rig.guard().await;
    let later = buy("later", 1, 520_000);
    let later_trade = trade_of(&later);
    rig.propose(vec![later]).await;
    let denial = rig.outcomes.of(&later_trade).await.denial.expect("a denial");
    assert_eq!(denial.code(), v1::DenialCode::InstrumentNotTrading, "also after a restart");
    assert_eq!(rig.outcomes.reports[&id].len(), 1, "told once");
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_journal_and_report_a_booking_is_told_by_the_next_guard_once() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let resting = order("resting", v1::Side::Buy, 10, 400_000, v1::TimeInForce::Gtc);
    let resting_trade = trade_of(&resting);
    rig.propose(vec![resting]).await;
    rig.outcomes.until(|outcomes| outcomes.reports.contains_key(&resting_trade)).await;
    guard.stop().await;

    // Its cancel does not arrive in time, so it cannot tell the settlement.
    let slow = Config { venue_latency_micros_min: 60_000_000, venue_latency_micros_max: 60_000_000, ..rig.config() };
    let guard = rig.standby(slow);
    guard.wait_ready().await;
    let id = booked(&rig, settlement(HOME, Outcome::IsVoid(true))).await;
    rig.outcomes.during(Duration::from_millis(300)).await;
    assert!(!rig.outcomes.reports.contains_key(&id));
    guard.kill();

    let guard = rig.guard().await;
    told(&mut rig, &id).await;
    let last = rig.outcomes.last(&resting_trade).expect("a report");
    assert_eq!(last.status(), v1::TradeStatus::Canceled);
    guard.kill();
    let guard = rig.guard().await;
    rig.outcomes.during(Duration::from_millis(300)).await;
    told(&mut rig, &id).await;
    guard.stop().await;
    rig.stop().await;
}
