//! Tokens that are refused, one row each: what differs from a good token, and
//! the reason it gets.

use crate::stage::{FILLS, Stage, expect_refusal, generous, order, place, request_id};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tonic::{
    Code::{self, PermissionDenied, Unauthenticated},
    Request,
};
use tragen_host::clock::now_micros;
use tragen_router::Config;

/// A signer that writes whatever a case needs.
pub(crate) struct Forge {
    kid: String,
    key: EncodingKey,
    pub(crate) now: i64,
}

impl Forge {
    pub(crate) fn new(stage: &Stage) -> Self {
        let der = std::fs::read(stage.folder.path().join("data/keys/token.pkcs8")).expect("the key");
        Self {
            kid: stage.keys.public().kid.clone(),
            key: EncodingKey::from_ed_der(&der),
            now: now_micros() / 1_000_000,
        }
    }

    /// A good token with some header parameters and claims changed; `null` removes one.
    pub(crate) fn token(&self, header: Value, claims: Value) -> String {
        let good = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.kid});
        let now = self.now;
        let good_claims = json!({
            "iss": "tragen", "aud": "tragen-api", "sub": "alice", "jti": "t1", "iat": now, "nbf": now, "exp": now + 600,
            "tier": "standard", "role": "trader", "scope": "trade:read trade:write",
        });
        let part = |good, changes| URL_SAFE_NO_PAD.encode(changed(good, changes).to_string());
        let message = format!("{}.{}", part(good, header), part(good_claims, claims));
        let signature = crypto::sign(message.as_bytes(), &self.key, Algorithm::EdDSA).expect("signed");
        format!("{message}.{signature}")
    }

    fn header(&self, changes: Value) -> String {
        self.token(changes, json!({}))
    }

    fn claims(&self, changes: Value) -> String {
        self.token(json!({}), changes)
    }
}

fn changed(mut good: Value, changes: Value) -> Value {
    let (Value::Object(fields), Value::Object(changes)) = (&mut good, changes) else { panic!("not objects") };
    for (name, value) in changes {
        if value.is_null() {
            fields.remove(&name);
        } else {
            fields.insert(name, value);
        }
    }
    good
}

pub(crate) async fn place_with(stage: &Stage, authorization: &[String]) -> Result<(), tonic::Status> {
    let mut request = Request::new(place(&request_id(), order(FILLS)));
    for value in authorization {
        request.metadata_mut().append("authorization", value.parse().expect("a header"));
    }
    stage.trading().place_trade(request).await.map(drop)
}

fn header_cases(forge: &Forge) -> Vec<(&'static str, String, &'static str)> {
    let hmac = EncodingKey::from_secret(forge.kid.as_bytes());
    let good = forge.header(json!({}));
    let [head, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("not a JWT") };
    let message = format!(
        "{}.{claims}",
        URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "typ": "at+jwt", "kid": forge.kid}).to_string())
    );
    let confused = format!("{message}.{}", crypto::sign(message.as_bytes(), &hmac, Algorithm::HS256).expect("signed"));
    let none = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": "JWT"}).to_string());
    let other = URL_SAFE_NO_PAD.encode(json!({"sub": "bob"}).to_string());
    vec![
        ("five segments", "a.b.c.d.e".to_owned(), "TOKEN_MALFORMED"),
        ("no segments", "garbage".to_owned(), "TOKEN_MALFORMED"),
        ("a header that is no JSON", format!("!!!.{claims}.{signature}"), "TOKEN_MALFORMED"),
        ("5,000 characters", "x".repeat(5_000), "TOKEN_MALFORMED"),
        ("alg none without a signature", format!("{none}.{claims}."), "TOKEN_ALG"),
        ("alg nOnE", forge.header(json!({"alg": "nOnE"})), "TOKEN_ALG"),
        ("alg RS256", forge.header(json!({"alg": "RS256"})), "TOKEN_ALG"),
        ("no alg", forge.header(json!({"alg": null})), "TOKEN_ALG"),
        ("HS256 signed with what is public", confused, "TOKEN_ALG"),
        ("kid is a path", forge.header(json!({"kid": "../../../../dev/null"})), "TOKEN_KID"),
        ("kid is SQL", forge.header(json!({"kid": "x' UNION SELECT 'aaa'--"})), "TOKEN_KID"),
        ("no kid", forge.header(json!({"kid": null})), "TOKEN_KID"),
        ("kid is a number", forge.header(json!({"kid": 1})), "TOKEN_KID"),
        ("jwk", forge.header(json!({"jwk": {"kty": "OKP"}})), "TOKEN_HEADER"),
        ("jku", forge.header(json!({"jku": "https://evil.example/keys"})), "TOKEN_HEADER"),
        ("x5u", forge.header(json!({"x5u": "https://evil.example/cert"})), "TOKEN_HEADER"),
        ("x5c", forge.header(json!({"x5c": ["MIIB"]})), "TOKEN_HEADER"),
        ("an unknown critical extension", forge.header(json!({"crit": ["exp2"], "exp2": 1})), "TOKEN_HEADER"),
        ("b64 false", forge.header(json!({"b64": false, "crit": ["b64"]})), "TOKEN_HEADER"),
        ("typ of an id token", forge.header(json!({"typ": "id+jwt"})), "TOKEN_TYPE"),
        ("typ JWT", forge.header(json!({"typ": "JWT"})), "TOKEN_TYPE"),
        ("no typ", forge.header(json!({"typ": null})), "TOKEN_TYPE"),
        ("a shortened signature", good[..good.len() - 1].to_owned(), "TOKEN_SIGNATURE"),
        ("no signature", format!("{head}.{claims}."), "TOKEN_SIGNATURE"),
        ("another payload", format!("{head}.{other}.{signature}"), "TOKEN_SIGNATURE"),
    ]
}

fn claim_cases(forge: &Forge) -> Vec<(&'static str, String, &'static str)> {
    let now = forge.now;
    let case = |name, claims, reason| (name, forge.claims(claims), reason);
    vec![
        case("expired a minute ago", json!({"exp": now - 61}), "TOKEN_EXPIRED"),
        case("expired ten seconds ago", json!({"exp": now - 10}), "TOKEN_EXPIRED"),
        case("no exp", json!({"exp": null}), "TOKEN_CLAIM"),
        case("exp never", json!({"exp": "never"}), "TOKEN_CLAIM"),
        case("exp with a fraction", json!({"exp": 1e12 + 0.5}), "TOKEN_CLAIM"),
        case("negative exp", json!({"exp": -1}), "TOKEN_CLAIM"),
        case("nbf in five minutes", json!({"nbf": now + 300}), "TOKEN_NOT_YET"),
        case("no nbf", json!({"nbf": null}), "TOKEN_CLAIM"),
        case("nbf is text", json!({"nbf": "0"}), "TOKEN_CLAIM"),
        case("iat in an hour", json!({"iat": now + 3_600, "exp": now + 4_000}), "TOKEN_CLAIM"),
        case("no iat", json!({"iat": null}), "TOKEN_CLAIM"),
        case("another issuer", json!({"iss": "https://evil.example"}), "TOKEN_CLAIM"),
        case("no issuer", json!({"iss": null}), "TOKEN_CLAIM"),
        case("no audience", json!({"aud": null}), "TOKEN_CLAIM"),
        case("another audience", json!({"aud": "billing"}), "TOKEN_CLAIM"),
        case("no subject", json!({"sub": null}), "TOKEN_CLAIM"),
        case("a subject with a dot", json!({"sub": "a.b"}), "TOKEN_CLAIM"),
        case("an empty subject", json!({"sub": ""}), "TOKEN_CLAIM"),
        case("a subject that is a number", json!({"sub": 7}), "TOKEN_CLAIM"),
        case("no token id", json!({"jti": null}), "TOKEN_CLAIM"),
        case("an unknown tier", json!({"tier": "enterprise"}), "TOKEN_CLAIM"),
        case("an unknown role", json!({"role": "root"}), "TOKEN_CLAIM"),
        case("a life of two hours", json!({"exp": now + 7_200}), "TOKEN_CLAIM"),
        case("a revoked token", json!({"jti": "revoked-1"}), "TOKEN_REVOKED"),
    ]
}

pub(crate) fn config() -> Config {
    Config {
        standard_trades_per_minute: 100_000,
        revoked_token_ids: BTreeSet::from(["revoked-1".to_owned()]),
        suspended_accounts: BTreeSet::from(["mallory".to_owned()]),
        ..generous()
    }
}

#[tokio::test]
async fn bad_tokens_are_refused_with_the_reason() {
    let stage = Stage::start(config()).await;
    let forge = Forge::new(&stage);
    let cases: Vec<_> = header_cases(&forge).into_iter().chain(claim_cases(&forge)).collect();
    assert_eq!(cases.len(), 49);
    for (name, token, expected) in cases {
        let answer = place_with(&stage, &[format!("Bearer {token}")]).await;
        expect_refusal(name, answer, Unauthenticated, expected);
    }
    assert!(stage.books.lock().expect("books").requests.is_empty());
}

#[tokio::test]
async fn the_authorization_header_is_one_bearer_token() {
    let stage = Stage::start(config()).await;
    let forge = Forge::new(&stage);
    let good = format!("Bearer {}", forge.claims(json!({})));
    let bob = format!("Bearer {}", forge.claims(json!({"sub": "bob"})));
    let check = async |name: &str, values: &[&str], expected: &str| {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        expect_refusal(name, place_with(&stage, &values).await, Unauthenticated, expected);
    };
    check("none", &[], "TOKEN_MISSING").await;
    check("an empty token", &["Bearer "], "TOKEN_MALFORMED").await;
    check("an empty header", &[""], "TOKEN_MALFORMED").await;
    check("another scheme", &["Basic YTpi"], "TOKEN_MALFORMED").await;
    check("two tokens", &[&good, &bob], "TOKEN_MALFORMED").await;
    check("the same token twice", &[&good, &good], "TOKEN_MALFORMED").await;
    place_with(&stage, &[good]).await.expect("a good token");
    let shouted = format!("BEARER {}", forge.claims(json!({"jti": "t2"})));
    place_with(&stage, &[shouted]).await.expect("schemes have no case");
}

#[tokio::test]
async fn good_tokens_reach_only_as_far_as_they_allow() {
    let stage = Stage::start(config()).await;
    let forge = Forge::new(&stage);
    let check = async |name: &str, claims: Value, code: Code, expected: &str| {
        let answer = place_with(&stage, &[format!("Bearer {}", forge.claims(claims))]).await;
        if code == Code::Ok {
            answer.expect(name);
        } else {
            expect_refusal(name, answer, code, expected);
        }
    };
    let now = forge.now;
    check("several audiences", json!({"aud": ["billing", "tragen-api"]}), Code::Ok, "").await;
    check("a clock that is three seconds off", json!({"exp": now - 1, "iat": now - 60, "nbf": now - 60}), Code::Ok, "")
        .await;
    check("reading only", json!({"scope": "trade:read"}), PermissionDenied, "SCOPE_MISSING").await;
    check("a scope that only looks like it", json!({"scope": "trade:writer"}), PermissionDenied, "SCOPE_MISSING").await;
    check("a suspended account", json!({"sub": "mallory"}), PermissionDenied, "USER_SUSPENDED").await;
}
