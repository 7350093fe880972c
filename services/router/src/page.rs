//! Page tokens: opaque, signed, and bound to the account and the list they were
//! made for, so that none can be forged or carried over.

use crate::refusal::Refusal;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use tonic::Code;
use tragen_domain::id::AccountId;

/// Makes and reads page tokens.
pub(crate) struct PageTokens {
    sealing: EncodingKey,
    opening: DecodingKey,
}

/// Length of an HMAC-SHA256 in base64.
const SEAL_LENGTH: usize = 43;

impl std::fmt::Debug for PageTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageTokens").finish_non_exhaustive()
    }
}

impl PageTokens {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self { sealing: EncodingKey::from_secret(secret), opening: DecodingKey::from_secret(secret) }
    }

    /// The token that leads `account` on in `list` after `place`; empty if there is no more.
    pub(crate) fn seal(&self, account: &AccountId, list: &str, place: &str) -> Result<String, Refusal> {
        if place.is_empty() {
            return Ok(String::new());
        }
        let seal = crypto::sign(message(account, list, place).as_bytes(), &self.sealing, Algorithm::HS256)
            .map_err(|_| Refusal::new(Code::Internal, "PAGE_TOKEN_UNSIGNED", "the page token cannot be signed"))?;
        Ok(URL_SAFE_NO_PAD.encode(seal + place))
    }

    /// The place in `list` that `account` got the token for; empty for the first page.
    pub(crate) fn open(&self, account: &AccountId, list: &str, token: &str) -> Result<String, Refusal> {
        if token.is_empty() {
            return Ok(String::new());
        }
        let sealed = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((seal, place)) = sealed.as_deref().and_then(|text| text.split_at_checked(SEAL_LENGTH)) {
            let message = message(account, list, place);
            if crypto::verify(seal, message.as_bytes(), &self.opening, Algorithm::HS256).unwrap_or(false) {
                return Ok(place.to_owned());
            }
        }
        Err(Refusal::new(Code::InvalidArgument, "PAGE_TOKEN_INVALID", "the page token was not made for this list"))
    }
}

/// Accounts and lists have no `/`, so nothing can be moved from one part to another.
fn message(account: &AccountId, list: &str, place: &str) -> String {
    format!("{account}/{list}/{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_only_for_its_account_and_list() {
        let pages = PageTokens::new(&[7; 32]);
        let [alice, bob] = ["alice", "bob"].map(|id| AccountId::new(id).expect("an id"));
        let token = pages.seal(&alice, "trades", "42").expect("a token");
        assert_eq!(pages.open(&alice, "trades", &token).ok().as_deref(), Some("42"));
        assert_eq!(pages.open(&alice, "trades", "").ok().as_deref(), Some(""));
        assert!(pages.open(&bob, "trades", &token).is_err());
        assert!(pages.open(&alice, "transfers", &token).is_err());
        assert!(pages.open(&alice, "trades", "AAAA").is_err());
        assert!(pages.open(&alice, "trades", &format!("{token}A")).is_err());
        assert!(PageTokens::new(&[8; 32]).open(&alice, "trades", &token).is_err());
    }
}
