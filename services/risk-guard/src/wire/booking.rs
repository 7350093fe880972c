//! Bookings by hand in the journal.

use tragen_contracts::{
    convert::{InvalidField, required},
    v1,
};
use tragen_domain::{
    risk::{Booking, ConfirmedBooking, Record},
    time::Timestamp,
};

/// The journal's form of a booking, under the key of its report.
pub(crate) fn booking_record(
    id: &str,
    confirmed: &ConfirmedBooking,
    traceparent: &str,
    decided_at: Timestamp,
) -> v1::JournalRecord {
    let account_id = confirmed.booking.kind.account().map(ToString::to_string).unwrap_or_default();
    let key = v1::TradeKey {
        trade_id: id.to_owned(),
        request_id: id.to_owned(),
        account_id,
        created_at_micros: decided_at.micros(),
        ..v1::TradeKey::default()
    };
    let meta = v1::Meta {
        event_id: format!("{id}-confirmed"),
        traceparent: traceparent.to_owned(),
        occurred_at_micros: decided_at.micros(),
        ..v1::Meta::default()
    };
    let decided = v1::BookingDecided { booking: Some(confirmed.into()) };
    v1::JournalRecord { meta: Some(meta), key: Some(key), kind: Some(v1::journal_record::Kind::Booking(decided)) }
}

/// What a journaled booking changes.
pub(super) fn booked_record(decided: &v1::BookingDecided) -> Result<Record, InvalidField> {
    let booking = Booking::try_from(required("booking", decided.booking.as_ref())?)?;
    Ok(Record::Booked { settled: booking.kind.settled().cloned() })
}

/// The journal's form of "this booking is stored on EXECUTIONS": it is closed as an order is.
pub(crate) fn told_record(report: &v1::ExecutionReport) -> v1::JournalRecord {
    let key = report.key.clone().unwrap_or_default();
    let meta = report.meta.as_ref();
    let closed = v1::OrderClosed { order_id: key.trade_id.clone(), ..v1::OrderClosed::default() };
    v1::JournalRecord {
        meta: Some(v1::Meta {
            event_id: format!("{}-told", key.trade_id),
            traceparent: meta.map(|meta| meta.traceparent.clone()).unwrap_or_default(),
            causation_id: meta.map(|meta| meta.event_id.clone()).unwrap_or_default(),
            ..v1::Meta::default()
        }),
        key: Some(key),
        kind: Some(v1::journal_record::Kind::Closed(closed)),
    }
}
