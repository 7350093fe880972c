//! Instruments and quotes as the gate needs them.

use prost::Message as _;
use tracing::warn;
use tragen_bus::Followed;
use tragen_contracts::v1;
use tragen_domain::{instrument::Instrument, market::Quote, risk::Record};

/// What a market fact changes; `None` for scores and for what is not valid.
pub(crate) fn record(fact: &Followed) -> Option<Record> {
    let kind = fact.subject.strip_prefix("md.")?.split('.').next()?;
    let parsed = match kind {
        "quote" => v1::Quote::decode(fact.payload.clone())
            .map_err(anyhow::Error::from)
            .and_then(|quote| Ok(Record::Quote(Quote::try_from(&quote)?))),
        "instrument" => v1::Instrument::decode(fact.payload.clone())
            .map_err(anyhow::Error::from)
            .and_then(|instrument| Ok(Record::Instrument(Box::new(Instrument::try_from(&instrument)?)))),
        _ => return None,
    };
    // What is not valid is not taken: the instrument goes stale and is denied.
    parsed.inspect_err(|error| warn!("a malformed fact on {}: {error:#}", fact.subject)).ok()
}
