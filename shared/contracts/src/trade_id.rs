//! The name of a trade: the same for ever for the same request of the same account.

use tragen_domain::{routing::RequestId, time::Timestamp};
use uuid::{Builder, Uuid};

/// The id of what `account_id` asks for under `name`: a request id, or `<kind>/<request id>` for what has
/// ids of its own (`deposit`, `withdrawal`, `send`).
///
/// A UUIDv8 (RFC 9562, section 5.8): the 4 bytes are the second in which the request id was made, then 90
/// bits of a hash of account and name. Ids of one time lie side by side, so every index on them grows at
/// one end, where its pages are in memory, instead of everywhere at once. Seconds are enough for that, and
/// leave the hash long. A request id that is no UUIDv7 counts as made in 1970, one from after 2106 as of then.
///
/// ```
/// let id = tragen_contracts::trade_id("alice", "018bcfe5-687f-7000-8000-000000000001");
/// assert_eq!(id.to_string(), "6553f100-40bb-8431-a7ba-4ce11e15b587");
/// ```
#[must_use]
pub fn trade_id(account_id: &str, name: &str) -> Uuid {
    let request_id = name.rsplit_once('/').map_or(name, |(_, request_id)| request_id);
    let made_at = RequestId::parse(request_id).map_or(Timestamp::default(), RequestId::created_at);
    let seconds = u32::try_from(made_at.micros() / 1_000_000).unwrap_or(u32::MAX);
    let mut bytes = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{account_id}/{name}").as_bytes()).into_bytes();
    bytes[..4].copy_from_slice(&seconds.to_be_bytes());
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// The id of the correction of a movement of cash: there is at most one.
#[must_use]
pub fn cash_correction_id(reference: &Uuid) -> Uuid {
    Uuid::new_v5(reference, b"correction")
}

/// The id of the correction of an execution: there is at most one.
#[must_use]
pub fn execution_correction_id(execution_id: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("correction/{execution_id}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trade_id_is_derived_from_account_and_name_and_begins_with_the_time() {
        const FIRST: &str = "018bcfe5-687f-7000-8000-000000000001";
        const LATER: &str = "018bcfe5-6c00-7000-8000-000000000001";
        let id = trade_id("alice", FIRST);
        assert_eq!(id, trade_id("alice", FIRST));
        assert_eq!((id.get_version_num(), id.get_variant()), (8, uuid::Variant::RFC4122));
        assert!(id < trade_id("alice", LATER));
        assert!(trade_id("alice", "no uuid") < id);
        let others =
            [("bob", FIRST.to_owned()), ("alice", format!("deposit/{FIRST}")), ("alice", format!("send/{FIRST}"))];
        for (account, name) in others {
            let other = trade_id(account, &name);
            assert_ne!(other, id);
            assert_eq!(other.as_bytes()[..4], id.as_bytes()[..4], "made in the same second");
        }
    }
}
