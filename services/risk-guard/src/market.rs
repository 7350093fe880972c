//! Instruments and quotes as the gate needs them.

use crate::metrics;
use ::metrics::counter;
use prost::Message as _;
use tracing::warn;
use tragen_bus::Followed;
use tragen_contracts::v1;
use tragen_domain::{
    instrument::Instrument,
    market::{FromTheFuture, Quote, check_published},
    risk::Record,
    time::Timestamp,
};

/// What a market fact changes; `None` for scores and for what is not valid. A quote from the future is not: it would
/// fill resting orders and look fresh for as long as it is ahead.
pub(crate) fn record(fact: &Followed, now: Timestamp) -> Option<Record> {
    let kind = fact.subject.strip_prefix("md.")?.split('.').next()?;
    let parsed = match kind {
        "quote" => v1::Quote::decode(fact.payload.clone()).map_err(anyhow::Error::from).and_then(|quote| {
            let quote = Quote::try_from(&quote)?;
            check_published(quote.published_at, now)?;
            Ok(Record::Quote(quote))
        }),
        "instrument" => v1::Instrument::decode(fact.payload.clone())
            .map_err(anyhow::Error::from)
            .and_then(|instrument| Ok(Record::Instrument(Box::new(Instrument::try_from(&instrument)?)))),
        _ => return None,
    };
    // What is not valid is not taken: the instrument goes stale and is denied.
    let refused = |error: &anyhow::Error| {
        let reason = if error.is::<FromTheFuture>() { "from_the_future" } else { "malformed" };
        counter!(metrics::BAD_TICKS, "reason" => reason).increment(1);
        warn!("a fact on {} is not taken: {error:#}", fact.subject);
    };
    parsed.inspect_err(refused).ok()
}
