//! Signing tokens with the key of a data folder, as `tragen token` does: an
//! Ed25519 JWT of the type `at+jwt`.

use super::Tier;
use anyhow::{Context as _, ensure};
use aws_lc_rs::{
    digest,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use uuid::Uuid;

/// How long a token lives, seconds: what the router takes at most by default.
const LIFETIME_SECS: u64 = 3_600;
/// RFC 8410: what precedes the 32 secret bytes of an Ed25519 key in PKCS #8.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// What a token allows besides trading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    Trader,
    /// Stopping.
    Operator,
    /// Resuming, together with another one.
    RiskAdmin,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Trader => "trader",
            Self::Operator => "operator",
            Self::RiskAdmin => "risk_admin",
        }
    }
}

/// Signs tokens; clones share the key.
#[derive(Clone)]
pub struct Issuer {
    pair: Arc<Ed25519KeyPair>,
    /// The encoded header, the same for every token.
    header: String,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    tier: &'a str,
    role: &'a str,
    scope: &'a str,
}

impl Issuer {
    /// After this long a token is signed anew, so that none ends on its way.
    pub(crate) const RENEW_AFTER: Duration = Duration::from_secs(LIFETIME_SECS / 2);

    /// The key in `file`, e.g. `data/keys/token.pkcs8`.
    ///
    /// # Errors
    /// When there is no such file, or it holds no Ed25519 key.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(file).with_context(|| format!("reading the signing key {}", file.display()))?;
        Self::new(&bytes).with_context(|| format!("{} is no signing key", file.display()))
    }

    fn new(pkcs8: &[u8]) -> anyhow::Result<Self> {
        let seed = pkcs8.strip_prefix(&PKCS8_PREFIX).context("it is no Ed25519 key in PKCS #8")?;
        ensure!(seed.len() == 32, "its key has {} bytes where 32 are due", seed.len());
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok().context("the key cannot be used")?;
        // The key's name: the first 16 hex digits of the SHA-256 of its public half.
        let hash = digest::digest(&digest::SHA256, pair.public_key().as_ref());
        let kid = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let header = encode(&Header { alg: "EdDSA", typ: "at+jwt", kid })?;
        Ok(Self { pair: Arc::new(pair), header })
    }

    /// A token for `account` that is valid for an hour from now.
    ///
    /// # Errors
    /// When the clock stands before 1970.
    pub fn issue(&self, account: &str, tier: Tier, role: Role) -> anyhow::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.as_secs();
        let claims = Claims {
            iss: "tragen",
            aud: "tragen-api",
            sub: account,
            jti: Uuid::new_v4().to_string(),
            iat: now,
            nbf: now,
            exp: now + LIFETIME_SECS,
            tier: tier.as_str(),
            role: role.as_str(),
            scope: "trade:read trade:write",
        };
        let signed = format!("{}.{}", self.header, encode(&claims)?);
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()));
        Ok(format!("{signed}.{signature}"))
    }
}

fn encode(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    #[test]
    fn a_token_names_its_key_and_its_signature_matches() {
        let issuer = Issuer::new(&[PKCS8_PREFIX.as_slice(), &[7; 32]].concat()).expect("a key");
        let token = issuer.issue("load-7", Tier::Standard, Role::Trader).expect("a token");
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, signature] = parts[..] else { panic!("{token}") };
        let json = |part: &str| -> serde_json::Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
        };
        assert_eq!((json(header)["alg"].as_str(), json(header)["typ"].as_str()), (Some("EdDSA"), Some("at+jwt")));
        assert_eq!(json(header)["kid"].as_str().map(str::len), Some(16));
        let claims_json = json(claims);
        assert_eq!((claims_json["sub"].as_str(), claims_json["tier"].as_str()), (Some("load-7"), Some("standard")));
        let signed = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        let public = UnparsedPublicKey::new(&ED25519, issuer.pair.public_key().as_ref().to_vec());
        assert!(public.verify(signed.as_bytes(), &signature).is_ok());
        assert!(public.verify(b"something else", &signature).is_err());
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_shown() {
        assert!(Issuer::new(b"secret").is_err());
        assert!(Issuer::new(&[PKCS8_PREFIX.as_slice(), &[7; 31]].concat()).is_err());
        let refused = Issuer::read(Path::new("/nowhere/token.pkcs8")).expect_err("no file").to_string();
        assert!(refused.contains("/nowhere/token.pkcs8"), "{refused}");
    }
}
