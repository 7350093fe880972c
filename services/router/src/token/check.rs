//! Checking a token: one algorithm, known keys, every claim present and typed.

use super::{PublicKey, Role, Scope};
use crate::{config::Config, refusal::Refusal};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tonic::Code;
use tragen_cache::LocalCache;
use tragen_domain::{id::AccountId, tier::Tier};

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose account.
    pub account: AccountId,
    /// How urgent.
    pub tier: Tier,
    /// What besides trading.
    pub role: Role,
    scopes: Vec<Scope>,
}

impl Caller {
    /// Whether the token allows `scope`.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// Checks tokens against fixed keys.
#[derive(Debug)]
pub struct TokenChecker {
    keys: BTreeMap<String, PublicKey>,
    validation: Validation,
    lifetime_secs_max: u64,
    revoked: BTreeSet<String>,
    suspended: BTreeSet<String>,
    /// By SHA-256 of the token: a signature is checked once, the times each time.
    checked: LocalCache<[u8; 32], Checked>,
}

#[derive(Debug, Clone)]
struct Checked {
    caller: Caller,
    token_id: String,
    not_before: u64,
    expires_at: u64,
}

/// The claims, all required.
#[derive(Debug, Deserialize)]
struct Read {
    sub: String,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    tier: String,
    role: String,
    scope: String,
}

/// Longest token, bytes.
const TOKEN_BYTES_MAX: usize = 4_096;
/// Header parameters that would let the sender choose the key or the rules.
const REFUSED_PARAMETERS: [&str; 6] = ["jwk", "jku", "x5u", "x5c", "crit", "b64"];
/// How long a checked token is remembered.
const CHECKED_FOR: Duration = Duration::from_secs(60);

impl TokenChecker {
    /// Accepts tokens signed by `keys` for this router.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = PublicKey>, config: &Config) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = config.token_leeway_secs;
        validation.validate_nbf = true;
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        Self {
            keys: keys.into_iter().map(|key| (key.kid.clone(), key)).collect(),
            validation,
            lifetime_secs_max: config.token_lifetime_secs_max,
            revoked: config.revoked_token_ids.clone(),
            suspended: config.suspended_accounts.clone(),
            checked: LocalCache::new("tokens", config.checked_tokens_max, CHECKED_FOR),
        }
    }

    /// Who calls with these headers at `now_secs`, seconds since the epoch.
    ///
    /// # Errors
    /// UNAUTHENTICATED with the reason, or PERMISSION_DENIED for a suspended account.
    pub fn check(&self, headers: &http::HeaderMap, now_secs: u64) -> Result<Caller, Refusal> {
        let token = bearer(headers)?;
        let digest: [u8; 32] = Sha256::digest(token).into();
        let checked = match self.checked.get(&digest) {
            Some(checked) => checked,
            None => {
                let checked = self.verify(token, now_secs)?;
                self.checked.insert(digest, checked.clone());
                checked
            }
        };
        let leeway = self.validation.leeway;
        if checked.expires_at < now_secs.saturating_sub(leeway) {
            return refuse("TOKEN_EXPIRED", "the token has expired");
        }
        if checked.not_before > now_secs.saturating_add(leeway) {
            return refuse("TOKEN_NOT_YET", "the token is not valid yet");
        }
        if self.revoked.contains(&checked.token_id) {
            return refuse("TOKEN_REVOKED", "the token was revoked");
        }
        if self.suspended.contains(checked.caller.account.as_str()) {
            return Err(Refusal::new(Code::PermissionDenied, "USER_SUSPENDED", "the account is suspended"));
        }
        Ok(checked.caller)
    }

    fn verify(&self, token: &str, now_secs: u64) -> Result<Checked, Refusal> {
        let key = self.key_of(token)?;
        let read = jsonwebtoken::decode::<Read>(token, &key.decoding, &self.validation)
            .map_err(|error| refusal_of(error.kind()))?
            .claims;
        if read.iat > now_secs.saturating_add(self.validation.leeway) {
            return refuse("TOKEN_CLAIM", "the token was issued in the future");
        }
        let lifetime = read.exp.saturating_sub(read.iat.min(read.nbf));
        if lifetime > self.lifetime_secs_max {
            return refuse("TOKEN_CLAIM", "the token lives too long");
        }
        let known = (AccountId::new(&read.sub), Tier::parse(&read.tier), Role::parse(&read.role));
        let (Ok(account), Some(tier), Some(role)) = known else {
            return refuse("TOKEN_CLAIM", "the token's account, tier or role is not known");
        };
        if read.jti.is_empty() {
            return refuse("TOKEN_CLAIM", "the token has no id");
        }
        let words: Vec<&str> = read.scope.split(' ').collect();
        let scopes =
            [Scope::TradeRead, Scope::TradeWrite].into_iter().filter(|s| words.contains(&s.as_str())).collect();
        Ok(Checked {
            caller: Caller { account, tier, role, scopes },
            token_id: read.jti,
            not_before: read.nbf,
            expires_at: read.exp,
        })
    }

    /// The key that the token's header names, if the header asks for nothing else.
    fn key_of(&self, token: &str) -> Result<&PublicKey, Refusal> {
        let parts: Vec<&str> = token.split('.').collect();
        let malformed = "the token is not a signed JWT";
        let [header, _, _] = parts.as_slice() else { return refuse("TOKEN_MALFORMED", malformed) };
        let header = URL_SAFE_NO_PAD.decode(header).ok().and_then(|json| serde_json::from_slice::<Value>(&json).ok());
        let Some(Value::Object(header)) = header else { return refuse("TOKEN_MALFORMED", malformed) };
        let text = |name: &str| header.get(name).and_then(Value::as_str);
        if text("alg") != Some("EdDSA") {
            return refuse("TOKEN_ALG", "the token's algorithm is not EdDSA");
        }
        if REFUSED_PARAMETERS.iter().any(|name| header.contains_key(*name)) {
            return refuse("TOKEN_HEADER", "the token's header has a parameter that is not accepted");
        }
        if !text("typ").is_some_and(|typ| typ.eq_ignore_ascii_case("at+jwt")) {
            return refuse("TOKEN_TYPE", "the token is not an access token");
        }
        match text("kid").and_then(|kid| self.keys.get(kid)) {
            Some(key) => Ok(key),
            None => refuse("TOKEN_KID", "the token's key is not known"),
        }
    }
}

fn bearer(headers: &http::HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return refuse("TOKEN_MISSING", "a bearer token is needed") };
    let malformed = "exactly one header `authorization: Bearer <token>` is needed";
    // Two are ambiguous: a proxy may have looked at the other one.
    if values.next().is_some() {
        return refuse("TOKEN_MALFORMED", malformed);
    }
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    match token {
        Some((scheme, token))
            if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= TOKEN_BYTES_MAX =>
        {
            Ok(token)
        }
        _ => refuse("TOKEN_MALFORMED", malformed),
    }
}

fn refusal_of(error: &ErrorKind) -> Refusal {
    let (reason, message) = if matches!(error, ErrorKind::InvalidSignature | ErrorKind::Base64(_)) {
        ("TOKEN_SIGNATURE", "the token's signature does not match")
    } else if matches!(error, ErrorKind::ExpiredSignature) {
        ("TOKEN_EXPIRED", "the token has expired")
    } else if matches!(error, ErrorKind::ImmatureSignature) {
        ("TOKEN_NOT_YET", "the token is not valid yet")
    } else if matches!(error, ErrorKind::InvalidToken) {
        ("TOKEN_MALFORMED", "the token is malformed")
    } else {
        ("TOKEN_CLAIM", "a claim of the token is missing, mistyped or wrong")
    };
    Refusal::new(Code::Unauthenticated, reason, message)
}

fn refuse<T>(reason: &'static str, message: &'static str) -> Result<T, Refusal> {
    Err(Refusal::new(Code::Unauthenticated, reason, message))
}
