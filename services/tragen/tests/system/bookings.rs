//! What operators book by hand, from the command line to the books: one proposes, another confirms, and the ledger
//! has the last word.

use crate::rig::{Caller, INSTRUMENT, Platform, tragen, wait_until};
use serde_json::Value;
use std::process::Output;
use tragen_contracts::v1::ListPositionsRequest;
use tragen_router::token::Role;

const USD: i64 = 1_000_000;

/// Two operators, and an account to book on.
struct Desk {
    up: Platform,
    olga: String,
    oscar: String,
    alice: String,
    caller: Caller,
}

impl Desk {
    fn run(&self, token: &str, line: &str) -> Output {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        arguments.extend(["--endpoint", self.up.endpoint(), "--token", token]);
        tragen(&arguments)
    }

    /// What a command says when it must end with `code`.
    fn said(&self, token: &str, line: &str, code: i32) -> String {
        let output = self.run(token, line);
        let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}: {text}");
        text
    }

    fn json(&self, token: &str, line: &str, code: i32) -> Value {
        let output = self.run(token, &format!("{line} -o json"));
        assert_eq!(output.status.code(), Some(code), "{line}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{line}: {output:?}"))
    }

    /// The token of a booking that Olga proposes.
    fn proposed(&self, booking: &str) -> String {
        let answer = self.json(&self.olga, &format!("ops book {booking} --reason test"), 0);
        answer["token"].as_str().expect("a token").to_owned()
    }

    /// What becomes of it when Oscar confirms.
    fn confirmed(&self, token: &str, code: i32) -> Value {
        self.json(&self.oscar, &format!("ops confirm {token}"), code)
    }

    async fn cash(&mut self) -> i64 {
        self.caller.account(0).await.cash_micros
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_by_hand_takes_two_operators_and_the_ledger_has_the_last_word() {
    let up = Platform::all_in_one(&[]).await;
    let token = |account: &str, role| up.token(account, role);
    let (olga, oscar) = (token("olga", Role::Operator), token("oscar", Role::Operator));
    let (alice, caller) = (token("alice", Role::Trader), up.caller("alice", Role::Trader));
    let mut desk = Desk { up, olga, oscar, alice, caller };
    desk.said(&desk.alice, "account deposit --amount 1000", 0);
    let bought = desk.json(&desk.alice, &format!("trade place --instrument {INSTRUMENT} --side buy --quantity 10"), 0);
    assert_eq!(bought["status"], "TRADE_STATUS_FILLED", "{bought}");
    let before = desk.cash().await;

    let adjustment = two_operators_are_needed(&mut desk, before).await;
    the_ledger_refuses(&mut desk, before - 12_500_000).await;

    // Backwards, and only once: whoever asks again hears that it is booked.
    for _ in 0..2 {
        let correction = desk.proposed(&format!("correct --account alice --reference {adjustment}"));
        let corrected = desk.confirmed(&correction, 0);
        assert_eq!(corrected["status"], "BOOKING_STATUS_POSTED", "{corrected}");
        assert_eq!(desk.cash().await, before);
    }

    a_market_is_paid_out(&mut desk, before).await;
    desk.up.stop();
    desk.up.verify();
}

/// Takes 12.50 from Alice; the id of that booking.
async fn two_operators_are_needed(desk: &mut Desk, before: i64) -> String {
    let line = "ops book adjust --account alice --amount -12.50 --reason test";
    let refused = desk.said(&desk.alice, line, 1);
    assert!(refused.contains("ROLE_REQUIRED"), "{refused}");
    let token = desk.proposed("adjust --account alice --amount -12.50");
    for (who, why) in [(&desk.olga, "another principal must confirm"), (&desk.alice, "ROLE_REQUIRED")] {
        let refused = desk.said(who, &format!("ops confirm {token}"), 1);
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(desk.cash().await, before, "it is only proposed");

    let booked = desk.confirmed(&token, 0);
    assert_eq!(booked["status"], "BOOKING_STATUS_POSTED", "{booked}");
    assert_eq!(desk.cash().await, before - 12_500_000);
    let transfers = desk.said(&desk.alice, "account transfers", 0);
    assert!(transfers.contains("ADJUSTMENT"), "{transfers}");
    // The token is spent.
    let refused = desk.said(&desk.oscar, &format!("ops confirm {token}"), 1);
    assert!(refused.contains("no booking was proposed under this token"), "{refused}");
    assert_eq!(desk.cash().await, before - 12_500_000);
    booked["booking_id"].as_str().expect("an id").to_owned()
}

/// What two people want may still be wrong.
async fn the_ledger_refuses(desk: &mut Desk, cash: i64) {
    let never = "018f4f8e-0000-7000-8000-000000000000";
    for (booking, why) in [
        ("adjust --account alice --amount -5000".to_owned(), "DENIAL_CODE_INSUFFICIENT_FUNDS"),
        (format!("correct --account alice --reference {never}"), "NOT_FOUND"),
    ] {
        let refused = desk.confirmed(&desk.proposed(&booking), 3);
        assert_eq!(refused["status"], "BOOKING_STATUS_REFUSED", "{booking}: {refused}");
        assert!(refused["denial"].to_string().contains(why), "{booking}: {refused}");
        let shown = desk.said(&desk.oscar, &format!("ops confirm {}", desk.proposed(&booking)), 3);
        assert!(shown.contains("refused by the ledger: nothing was booked"), "{shown}");
        assert_eq!(desk.cash().await, cash, "{booking}");
    }
    let line = "ops book adjust --account nobody --amount 1 --reason test";
    let refused = desk.said(&desk.olga, line, 1);
    assert!(refused.contains("there is no such account"), "{refused}");
}

/// Ten contracts are worth ten dollars.
async fn a_market_is_paid_out(desk: &mut Desk, before: i64) {
    let settle = format!("settle --instrument {INSTRUMENT} --value");
    let refused = desk.said(&desk.olga, &format!("ops book {settle} 1.01 --reason test"), 1);
    assert!(refused.contains("a contract pays at most"), "{refused}");
    let token = desk.proposed(&format!("{settle} 1"));
    assert_eq!(
        desk.caller
            .accounts
            .list_positions(ListPositionsRequest::default())
            .await
            .expect("positions")
            .into_inner()
            .positions
            .len(),
        1
    );
    desk.confirmed(&token, 0);
    let caller = &desk.caller;
    wait_until("the position is paid out", || {
        let mut caller = caller.clone();
        async move {
            let asked = caller.accounts.list_positions(ListPositionsRequest::default()).await;
            let is_open = !asked.expect("positions").into_inner().positions.is_empty();
            !is_open && caller.account(0).await.cash_micros == before + 10 * USD
        }
    })
    .await;
    let denied = desk.said(&desk.alice, &format!("trade place --instrument {INSTRUMENT} --side buy --quantity 1"), 3);
    assert!(denied.contains("DENIED"), "{denied}");
}
