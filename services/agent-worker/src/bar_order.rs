//! What an order of a configured agent is called and how it is explained: functions of agent, bar and signal, of agent,
//! match and slot, of agent, contract, slot and side, or of agent, contract and the telling of a match, so every
//! worker says the same, and a replay of bars says it again.

use tragen_domain::{
    agents::{personality::AnalysisStyle, signal::Signal},
    id::{InstrumentId, MatchId},
    market::Timeframe,
    order::Side,
    time::Timestamp,
};
use uuid::{Builder, Uuid};

/// A UUIDv7 as of any other request, made at the bar's start; the rest is a hash of agent, timeframe and instrument.
#[must_use]
pub fn request_id(agent: &str, timeframe: Timeframe, instrument: &InstrumentId, start: Timestamp) -> Uuid {
    named(&format!("{agent}-{}-{instrument}", timeframe.as_str()), start)
}

/// The same of a bet on a match, made in the slot that begins at `slot`.
#[must_use]
pub fn bet_request_id(agent: &str, timeframe: Timeframe, game: &MatchId, slot: Timestamp) -> Uuid {
    named(&format!("{agent}-{}-{game}", timeframe.as_str()), slot)
}

/// The same of one side of a quote on a contract, made in the slot of a timeframe that begins at `slot`.
#[must_use]
pub fn quote_request_id(agent: &str, (timeframe, slot): (Timeframe, Timestamp), contract: &str, side: Side) -> Uuid {
    let side = match side {
        Side::Buy => "bid",
        Side::Sell => "ask",
    };
    named(&format!("{agent}-{}-{contract}-{side}", timeframe.as_str()), slot)
}

/// The same of a sale of what is held of a contract in play, after the match was told: of market time `at`, published
/// at that wall clock.
#[must_use]
pub fn exit_request_id(agent: &str, contract: &str, (at, published_at): (Timestamp, Timestamp)) -> Uuid {
    named(&format!("{agent}-{contract}-exit-{}", published_at.micros()), at)
}

fn named(name: &str, start: Timestamp) -> Uuid {
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).into_bytes();
    let mut rest = [0; 10];
    rest.copy_from_slice(&hash[..10]);
    let millis = u64::try_from(start.micros() / 1_000).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
}

/// Why an agent of `style` orders on `signal`, e.g. `Scalper: long at 1.49950 (Entry)`.
#[must_use]
pub fn rationale(style: AnalysisStyle, signal: &Signal) -> String {
    let target = match signal.target {
        Some(direction) => format!("{direction:?}").to_lowercase(),
        None => "flat".to_owned(),
    };
    let why = signal.reason.or_else(|| signal.closed.as_ref().map(|closed| closed.reason));
    let why = why.map_or_else(String::new, |reason| format!(" ({reason:?})"));
    format!("{style:?}: {target} at {:.5}{why}", signal.reference_price)
}
