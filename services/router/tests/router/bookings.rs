//! Bookings by hand are for operators, and the guard's word is passed on.

use crate::stage::{Backstage, Stage, expect_refusal, generous, with_token};
use futures::FutureExt as _;
use tonic::Code::{self, FailedPrecondition, InvalidArgument, PermissionDenied, Unavailable};
use tragen_bus::Ask;
use tragen_contracts::v1::{
    self, AskError, Booking, BookingStatus, ConfirmBookingRequest, ConfirmBookingResponse, ProposeBookingRequest,
    ProposeBookingResponse, guard_answer::Answer, guard_question::Question,
};
use tragen_domain::tier::Tier;
use tragen_host::trace::Spans;
use tragen_router::token::Role;

/// Answers for the guard: the token tells who asked and why.
fn guard(question: v1::GuardQuestion) -> Answer {
    let error = |code: Code, reason: &str| {
        Answer::Error(AskError { code: code.into(), reason: reason.to_owned(), message: "no".to_owned() })
    };
    match question.question {
        Some(Question::ProposeBooking(ProposeBookingRequest { booking: Some(booking) })) => {
            let token = format!("{}/{}", question.principal, booking.reason);
            Answer::ProposeBooking(ProposeBookingResponse { token, expires_at: None })
        }
        Some(Question::ProposeBooking(_)) => error(InvalidArgument, "FIELD_MISSING"),
        Some(Question::ConfirmBooking(confirmed)) if confirmed.token == "own" => {
            error(FailedPrecondition, "SAME_PRINCIPAL")
        }
        Some(Question::ConfirmBooking(confirmed)) => {
            let booking_id = format!("{}/{}", question.principal, confirmed.token);
            // What the guard names, the ledger is asked for.
            let outcome_ids = confirmed.token.strip_prefix("ask-").map(str::to_owned).into_iter().collect();
            Answer::ConfirmBooking(ConfirmBookingResponse {
                booking_id,
                outcome_ids,
                account_id: "alice".to_owned(),
                ..ConfirmBookingResponse::default()
            })
        }
        _ => Answer::State(v1::GetRiskStateResponse::default()),
    }
}

/// The ledger knows what it has booked, and what it has refused.
fn ledger(question: v1::LedgerQuestion) -> v1::LedgerAnswer {
    let Some(v1::ledger_question::Question::Outcomes(asked)) = question.question else { panic!("{question:?}") };
    let refused = v1::Denial { message: "NOT_FOUND: no".to_owned(), ..v1::Denial::default() };
    let fact = |id: &String| {
        let denial = match id.as_str() {
            "posted" => None,
            "refused" => Some(refused.clone()),
            // The same execution was corrected under another account.
            "foreign" => None,
            _ => return None,
        };
        let account_id = if id == "foreign" { "bob" } else { "alice" }.to_owned();
        let account = Some(v1::Account { account_id, ..v1::Account::default() });
        let posted = v1::CashPosted { trade_id: id.clone(), denial, account, ..v1::CashPosted::default() };
        let kind = Some(v1::ledger_fact::Kind::Cash(posted));
        Some(v1::LedgerFact { kind, ..v1::LedgerFact::default() })
    };
    let facts = asked.trade_ids.iter().filter_map(fact).collect();
    v1::LedgerAnswer { answer: Some(v1::ledger_answer::Answer::Outcomes(v1::Outcomes { facts })) }
}

#[tokio::test]
async fn operators_book_by_hand_through_the_guard() {
    let stage = Stage::start_with(generous(), Backstage::Asleep, 10, Spans::default()).await;
    let olga = stage.token("olga", Tier::Standard, Role::Operator);
    let propose = |token: &str, booking| {
        let request = with_token(token, ProposeBookingRequest { booking });
        async { stage.operations().propose_booking(request).await.map(tonic::Response::into_inner) }
    };
    let confirm = |token: &str, proposal: &str| {
        let request = with_token(token, ConfirmBookingRequest { token: proposal.to_owned() });
        async { stage.operations().confirm_booking(request).await.map(tonic::Response::into_inner) }
    };
    let booking = || Some(Booking { reason: "full time".to_owned(), ..Booking::default() });
    expect_refusal("no guard", propose(&olga, booking()).await, Unavailable, "PART_UNAVAILABLE");
    let answering = stage.bus.answer(&stage.context, Ask::Guard, |question| {
        async move { v1::GuardAnswer { answer: Some(guard(question)) } }.boxed()
    });
    answering.await.expect("the guard answers");

    assert_eq!(propose(&olga, booking()).await.expect("proposed").token, "olga/full time");
    expect_refusal("nothing", propose(&olga, None).await, InvalidArgument, "FIELD_MISSING");
    assert_eq!(confirm(&olga, "t-1").await.expect("confirmed").booking_id, "olga/t-1");
    expect_refusal("the own one", confirm(&olga, "own").await, FailedPrecondition, "SAME_PRINCIPAL");

    let answering = stage.bus.answer(&stage.context, Ask::Ledger, |question| async move { ledger(question) }.boxed());
    answering.await.expect("the ledger answers");
    for (token, status, why) in [
        ("t-1", BookingStatus::Pending, None),
        ("ask-posted", BookingStatus::Posted, None),
        ("ask-refused", BookingStatus::Refused, Some("NOT_FOUND: no")),
        ("ask-foreign", BookingStatus::Pending, None),
        ("ask-later", BookingStatus::Pending, None),
    ] {
        let confirmed = confirm(&olga, token).await.expect("confirmed");
        let said = confirmed.denial.as_ref().map(|denial| denial.message.as_str());
        assert_eq!((confirmed.status(), said), (status, why), "{token}");
        assert!(confirmed.outcome_ids.is_empty(), "{confirmed:?}");
    }
    let alice = stage.token("alice", Tier::Premium, Role::Trader);
    expect_refusal("a trader", propose(&alice, booking()).await, PermissionDenied, "ROLE_REQUIRED");
    expect_refusal("a trader", confirm(&alice, "t-1").await, PermissionDenied, "ROLE_REQUIRED");
}
