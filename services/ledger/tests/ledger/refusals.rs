//! What two operators want to be booked and the books do not allow.

use super::{
    accounting::{adjustment, balanced, correction, denial, unfreezing},
    rig::{BOTH, PATIENCE, Rig, cash_of, id},
};
use prost::Message as _;
use std::collections::BTreeMap;
use tragen_bus::{StartAt, Stream};
use tragen_contracts::v1::{self, DenialCode};
use tragen_host::{Lifecycle, trace::Spans};

const USD: i64 = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_that_is_refused_is_told_to_people_and_opens_no_wallet() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let lifecycle = Lifecycle::new(10);
        let context = lifecycle.context("test", Spans::default());
        let mut alerts = rig.bus.follow(&context, Stream::Alerts, "", StartAt::Beginning).await.expect("alerts");
        rig.funded("alice", 5 * USD).await;
        let reports = vec![
            adjustment("alice", "good", USD),
            adjustment("alice", "much", -7 * USD),
            correction("alice", "never", "no-such-fill"),
            // A slip of the pen: nobody is called so.
            unfreezing("alcie", "thaw"),
            adjustment("alcie", "take", -USD),
        ];
        rig.report(reports.clone()).await;
        let ids = [("alice", "much"), ("alice", "never"), ("alcie", "thaw"), ("alcie", "take"), ("alice", "good")];
        let ids = ids.map(|(account, name)| id(account, name));
        let facts = rig.told(&ids).await;
        let told = ids.each_ref().map(|id| cash_of(&facts[id]));
        let [much, never, thaw, take, good] = told.each_ref().map(denial);
        assert_eq!(much.map(|(code, _)| code), Some(DenialCode::InsufficientFunds));
        assert_eq!(never, Some((DenialCode::NotBookable, "NOT_FOUND")));
        assert_eq!(thaw, Some((DenialCode::NotBookable, "ACCOUNT_NOT_FROZEN")));
        assert_eq!(take.map(|(code, _)| code), Some(DenialCode::InsufficientFunds));
        assert_eq!((good, told[4].amount_micros), (None, USD));
        assert_eq!(rig.number("SELECT COUNT(*) FROM wallet").await, 1, "{kind:?}");

        let mut heard = BTreeMap::new();
        while heard.len() < 4 {
            let message = tokio::time::timeout(PATIENCE, alerts.next()).await.expect("in time").expect("an alert");
            let alert = v1::Alert::decode(message.payload).expect("an alert");
            assert_eq!((alert.code.as_str(), alert.severity()), ("LEDGER_BOOKING_REFUSED", v1::AlertSeverity::Warning));
            heard.insert(alert.alert_id, (alert.subject, alert.message));
        }
        for (id, cash) in ids.iter().zip(&told).take(4) {
            let (subject, message) = &heard[&format!("LEDGER_BOOKING_REFUSED-{id}")];
            assert_eq!(*subject, cash.account.as_ref().expect("an account").account_id);
            assert!(message.contains(id.as_str()) && message.contains("nothing was booked"), "{message}");
        }
        // Who repeats it hears the same, and nobody is called once more: the next alert would be another one.
        rig.report(reports).await;
        rig.report(vec![adjustment("alice", "last", -8 * USD)]).await;
        let message = tokio::time::timeout(PATIENCE, alerts.next()).await.expect("in time").expect("an alert");
        let alert = v1::Alert::decode(message.payload).expect("an alert");
        assert_eq!(alert.alert_id, format!("LEDGER_BOOKING_REFUSED-{}", id("alice", "last")));
        rig.all_acked().await;
        balanced(&rig).await;
        lifecycle.stop_token().cancel();
        rig.stop().await;
    }
}
