//! The door between protobuf and the domain: parse once, name the bad field,
//! and inside illegal states do not exist.

mod agents;
mod bookings;
mod market;
mod orders;

pub use agents::{agent_fields, strategy_of, style_of};
pub use market::{outcome, outcome_text};

use tragen_domain::{
    id::{Id, IdError, Kind},
    time::Timestamp,
};

/// A protobuf field that does not mean anything in the domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidField {
    /// The field's path, e.g. `terms.quantity_micros`.
    pub field: String,
    /// A closed reason in UPPER_SNAKE.
    pub reason: &'static str,
    /// One sentence for a person.
    pub message: String,
}

impl InvalidField {
    /// A bad `field`.
    #[must_use]
    pub fn new(field: &str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), reason, message: message.into() }
    }

    /// The same with `outer` in front of the path.
    #[must_use]
    pub fn inside(self, outer: &str) -> Self {
        Self { field: format!("{outer}.{}", self.field), ..self }
    }
}

/// An id out of a protobuf string.
///
/// # Errors
/// [`InvalidField`] with reason `ID_MISSING`, `ID_TOO_LONG` or `ID_BAD_CHARSET`.
pub fn id<K: Kind>(field: &str, text: &str) -> Result<Id<K>, InvalidField> {
    Id::new(text).map_err(|error| {
        let reason = match error {
            IdError::Missing { .. } => "ID_MISSING",
            IdError::TooLong { .. } => "ID_TOO_LONG",
            IdError::Charset { .. } => "ID_BAD_CHARSET",
        };
        InvalidField::new(field, reason, error.to_string())
    })
}

/// A sub-message that must be there.
///
/// # Errors
/// [`InvalidField`] with reason `FIELD_MISSING`.
pub fn required<'a, T>(field: &str, value: Option<&'a T>) -> Result<&'a T, InvalidField> {
    value.ok_or_else(|| InvalidField::new(field, "FIELD_MISSING", "is missing"))
}

/// A protobuf enum out of its number.
///
/// # Errors
/// [`InvalidField`] with reason `ENUM_UNKNOWN`.
fn known<E: TryFrom<i32>>(field: &str, number: i32) -> Result<E, InvalidField> {
    E::try_from(number).map_err(|_| InvalidField::new(field, "ENUM_UNKNOWN", format!("{number} is not a known value")))
}

fn unspecified(field: &str) -> InvalidField {
    InvalidField::new(field, "ENUM_UNSPECIFIED", "must be set")
}

/// A public timestamp out of domain time.
#[must_use]
pub fn timestamp(time: Timestamp) -> pbjson_types::Timestamp {
    let nanos = time.micros().rem_euclid(1_000_000) * 1_000;
    pbjson_types::Timestamp {
        seconds: time.micros().div_euclid(1_000_000),
        nanos: i32::try_from(nanos).unwrap_or_default(),
    }
}

/// Domain time out of a public timestamp.
///
/// # Errors
/// [`InvalidField`] with reason `TIMESTAMP_INVALID` outside the years 1 to 9999.
pub fn time(field: &str, timestamp: &pbjson_types::Timestamp) -> Result<Timestamp, InvalidField> {
    const YEAR_1: i64 = -62_135_596_800;
    const YEAR_10000: i64 = 253_402_300_800;
    let is_valid = (YEAR_1..YEAR_10000).contains(&timestamp.seconds) && (0..1_000_000_000).contains(&timestamp.nanos);
    if !is_valid {
        return Err(InvalidField::new(field, "TIMESTAMP_INVALID", "is not a time between the years 1 and 9999"));
    }
    Ok(Timestamp::from_micros(timestamp.seconds * 1_000_000 + i64::from(timestamp.nanos) / 1_000))
}
