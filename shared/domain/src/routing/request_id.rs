//! The client's id of a request: a UUIDv7, so that its age is known and an old
//! one can be refused after its answer has been forgotten.

use crate::{
    routing::reason::{Reason, Violation},
    time::Timestamp,
};
use std::fmt;

/// How far ahead of ours a client's clock may be, milliseconds.
const AHEAD_MILLIS_MAX: i64 = 60_000;
/// How long an id may be used, milliseconds.
const AGE_MILLIS_MAX: i64 = 24 * 3_600_000;

/// A checked UUIDv7; written with hyphens in lower case.
///
/// ```
/// use tragen_domain::routing::RequestId;
/// let id = RequestId::parse("01890A5D-AC96-774B-BCCE-B302099A8057").unwrap();
/// assert_eq!(id.to_string(), "01890a5d-ac96-774b-bcce-b302099a8057");
/// assert_eq!(id.created_at().micros(), 1_688_096_058_518_000);
/// assert_eq!(RequestId::parse("4b1c6c1e-9a7b-4f0e-8a51-0d6a0b1c2d3e"), None, "a v4");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// The id written `text`: 36 characters with hyphens, version 7, RFC 9562 variant.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 36 {
            return None;
        }
        let mut digits = [0; 32];
        let mut filled = 0;
        for (place, byte) in bytes.iter().enumerate() {
            if matches!(place, 8 | 13 | 18 | 23) {
                if *byte != b'-' {
                    return None;
                }
            } else {
                digits[filled] = hex(*byte)?;
                filled += 1;
            }
        }
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        (id[6] >> 4 == 7 && id[8] >> 6 == 0b10).then_some(Self(id))
    }

    /// When the client made it.
    #[must_use]
    pub fn created_at(self) -> Timestamp {
        let millis = self.0[..6].iter().fold(0_i64, |millis, byte| millis << 8 | i64::from(*byte));
        Timestamp::from_micros(millis * 1_000)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The id written `text`, if it may be used at `now`.
///
/// # Errors
/// The field `request_id` with the reason.
pub fn check_request_id(text: &str, now: Timestamp) -> Result<RequestId, Violation> {
    let refuse = |reason, message: &str| Err(Violation::new("request_id", reason, message));
    if text.is_empty() {
        return refuse(Reason::RequestIdMissing, "a request needs an id made by the client");
    }
    let Some(id) = RequestId::parse(text) else {
        return refuse(Reason::RequestIdInvalid, "the id must be a UUIDv7 written with hyphens");
    };
    let age_millis = now.millis_since(id.created_at());
    if age_millis < -AHEAD_MILLIS_MAX {
        return refuse(Reason::RequestIdInvalid, "the id was made more than 60 s in the future");
    }
    if age_millis > AGE_MILLIS_MAX {
        return refuse(Reason::RequestIdTooOld, "the id is older than 24 h; a new attempt needs a new id");
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    const MADE: i64 = 1_688_096_058_518;

    fn check(text: &str, now_millis: i64, expected: Option<Reason>) {
        let now = Timestamp::from_micros(now_millis * 1_000);
        assert_eq!(check_request_id(text, now).err().map(|v| v.reason), expected, "{text} at {now}");
    }

    #[test]
    fn only_a_recent_uuid_v7_is_a_request_id() {
        check(ID, MADE, None);
        check("", MADE, Some(Reason::RequestIdMissing));
        for bad in [
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "4b1c6c1e-9a7b-4f0e-8a51-0d6a0b1c2d3e",
            "01890a5dac96774bbcceb302099a8057",
            "01890a5d-ac96-774b-bcce-b302099a805",
            "01890a5d-ac96-774b-bcce-b302099a805é",
            "01890a5d-ac96-774b-ccce-b302099a8057",
            "x1890a5d-ac96-774b-bcce-b302099a8057",
            "01890a5d_ac96_774b_bcce_b302099a8057",
        ] {
            check(bad, MADE, Some(Reason::RequestIdInvalid));
        }
    }

    #[test]
    fn the_age_limits_are_inclusive() {
        check(ID, MADE - AHEAD_MILLIS_MAX, None);
        check(ID, MADE - AHEAD_MILLIS_MAX - 1, Some(Reason::RequestIdInvalid));
        check(ID, MADE + AGE_MILLIS_MAX, None);
        check(ID, MADE + AGE_MILLIS_MAX + 1, Some(Reason::RequestIdTooOld));
    }
}
