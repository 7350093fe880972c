//! Every pair of stage and event, and reports as venues really send them.

use super::*;
use crate::{
    money::{Money, Price},
    time::Timestamp,
};

/// One line for each stage, one word for each event of [`Event::ALL`]: the next stage, then
/// what is done, then `!` if a person should look at it.
const TABLE: &str = "
Sent            Unanswered/Ask   Working/Tell  Working/Book               Filled/BookAndEnd  Filled/BookAndEnd! Sent/Nothing            Rejected/End   Canceled/End  Expired/End
Unanswered      Unanswered/Ask   Working/Tell  Working/Book               Filled/BookAndEnd  Filled/BookAndEnd! Unanswered/Nothing      Rejected/End   Canceled/End  Expired/End
Working         Working/Ask      Working/Nothing Working/Book             Filled/BookAndEnd  Filled/BookAndEnd! Working/Nothing         Rejected/End!  Canceled/End  Expired/End
Filled          Filled/Nothing   Filled/Nothing Filled/BookAndEnd!        Filled/BookAndEnd! Filled/BookAndEnd! Filled/Nothing          Filled/Nothing Filled/Nothing Filled/Nothing
PartiallyFilled PartiallyFilled/Nothing PartiallyFilled/Nothing PartiallyFilled/BookAndEnd! Filled/BookAndEnd! Filled/BookAndEnd! PartiallyFilled/Nothing PartiallyFilled/Nothing PartiallyFilled/Nothing PartiallyFilled/Nothing
Rejected        Rejected/Nothing Rejected/Nothing PartiallyFilled/BookAndEnd! Filled/BookAndEnd! Filled/BookAndEnd! Rejected/Nothing      Rejected/Nothing Rejected/Nothing Rejected/Nothing
Canceled        Canceled/Nothing Canceled/Nothing PartiallyFilled/BookAndEnd! Filled/BookAndEnd! Filled/BookAndEnd! Canceled/Nothing      Canceled/Nothing Canceled/Nothing Canceled/Nothing
Expired         Expired/Nothing  Expired/Nothing PartiallyFilled/BookAndEnd! Filled/BookAndEnd! Filled/BookAndEnd! Expired/Nothing       Expired/Nothing Expired/Nothing Expired/Nothing
";

#[test]
fn every_event_at_every_stage_has_its_step() {
    let lines: Vec<&str> = TABLE.trim().lines().collect();
    assert_eq!(lines.len(), Stage::ALL.len());
    for (stage, line) in Stage::ALL.into_iter().zip(lines) {
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some(format!("{stage:?}").as_str()));
        for event in Event::ALL {
            let (next, done, anomaly) = step(stage, event);
            let actual = format!("{next:?}/{done:?}{}", if anomaly.is_some() { "!" } else { "" });
            assert_eq!(words.next(), Some(actual.as_str()), "{event:?} at {stage:?}");
            assert!(!stage.is_over() || next.is_over(), "an end is never left");
        }
        assert_eq!(words.next(), None);
    }
}

fn fills(quantities: &[(u32, i64)]) -> Vec<Fill> {
    let fill = |(number, quantity): &(u32, i64)| Fill {
        id: ExecutionId::new(format!("o-x{number}")).expect("an id"),
        price: Price::from_micros(1),
        quantity: Quantity::from_micros(*quantity),
        fee: Money::ZERO,
        executed_at: Timestamp::default(),
    };
    quantities.iter().map(fill).collect()
}

/// An order of 10 at `stage` with `known` fills gets a report: where it stands then, which
/// fills are new, whether it is told, and what is odd.
fn check(
    (stage, known): (Stage, &[(u32, i64)]),
    (status, report): (TradeStatus, &[(u32, i64)]),
    (next, new, is_news): (Stage, &[(u32, i64)], bool),
    odd: &[Anomaly],
) {
    let known = fills(known);
    let filled = known.iter().fold(Quantity::ZERO, |sum, fill| sum.plus(fill.quantity).expect("fits"));
    let ids: Vec<_> = known.into_iter().map(|fill| fill.id).collect();
    let seen = read_report(stage, (Quantity::from_micros(10), filled), &ids, (status, &fills(report))).expect("fits");
    let expected = Seen { stage: next, fills: fills(new), is_news, anomalies: odd.to_vec() };
    assert_eq!(seen, expected, "{status:?} {report:?} at {stage:?}");
}

#[test]
fn reports_are_read_once_however_they_come() {
    use TradeStatus as S;
    check((Stage::Sent, &[]), (S::Filled, &[(1, 10)]), (Stage::Filled, &[(1, 10)], true), &[]);
    check((Stage::Sent, &[]), (S::Working, &[(1, 4)]), (Stage::Working, &[(1, 4)], true), &[]);
    check((Stage::Working, &[(1, 4)]), (S::Working, &[(1, 4)]), (Stage::Working, &[], false), &[]);
    check((Stage::Working, &[(1, 4)]), (S::Filled, &[(1, 4), (2, 6)]), (Stage::Filled, &[(2, 6)], true), &[]);
    // The venue repeats a fill under its id, within a report and across.
    check((Stage::Sent, &[]), (S::Filled, &[(1, 10), (1, 10)]), (Stage::Filled, &[(1, 10)], true), &[]);
    // A cancel that meets a fill: what was filled is filled, and the rest is over.
    check((Stage::Working, &[]), (S::PartiallyFilled, &[(1, 4)]), (Stage::PartiallyFilled, &[(1, 4)], true), &[]);
    check((Stage::Working, &[(1, 4)]), (S::Canceled, &[(1, 4)]), (Stage::PartiallyFilled, &[], true), &[]);
    check((Stage::Working, &[]), (S::Canceled, &[]), (Stage::Canceled, &[], true), &[]);
    // An old report after a new one.
    check((Stage::Filled, &[(1, 10)]), (S::Working, &[]), (Stage::Filled, &[], false), &[]);
    check((Stage::Working, &[(1, 4)]), (S::Working, &[]), (Stage::Working, &[], false), &[]);
    // After the end.
    let late = [Anomaly::LateFill];
    check((Stage::Canceled, &[]), (S::PartiallyFilled, &[(1, 4)]), (Stage::PartiallyFilled, &[(1, 4)], true), &late);
    check((Stage::Expired, &[]), (S::Filled, &[(1, 10)]), (Stage::Filled, &[(1, 10)], true), &late);
    check((Stage::Rejected, &[]), (S::Rejected, &[(1, 10)]), (Stage::Filled, &[(1, 10)], true), &late);
    // More than was asked for, at once and later.
    let over = [Anomaly::Overfill];
    check((Stage::Sent, &[]), (S::Filled, &[(1, 11)]), (Stage::Filled, &[(1, 11)], true), &over);
    check((Stage::Filled, &[(1, 10)]), (S::Filled, &[(1, 10), (2, 1)]), (Stage::Filled, &[(2, 1)], true), &over);
    // Refused after it was accepted, with and without fills.
    let odd = [Anomaly::RejectedAfterAccepted];
    check((Stage::Working, &[]), (S::Rejected, &[]), (Stage::Rejected, &[], true), &odd);
    check((Stage::Working, &[(1, 4)]), (S::Rejected, &[(1, 4)]), (Stage::PartiallyFilled, &[], true), &odd);
    check((Stage::Sent, &[]), (S::Rejected, &[]), (Stage::Rejected, &[], true), &[]);
    // Said again to a guard that has the fills, but had no time to tell them.
    check((Stage::Working, &[(1, 10)]), (S::Filled, &[(1, 10)]), (Stage::Filled, &[], true), &[]);
    // Said to be filled before the fills are told: it is not over until they are.
    check((Stage::Sent, &[]), (S::Filled, &[]), (Stage::Sent, &[], false), &[]);
}
