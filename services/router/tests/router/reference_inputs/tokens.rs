//! Tokens: each case changes what it says of a good one.

use super::{Case, cases};
use crate::{
    bad_tokens::{Forge, config, place_with},
    stage::{Stage, expect_refusal},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// `{now-61}` and the like as numbers; ids that the router is configured with.
fn filled_in(value: &Value, now: i64) -> Value {
    let Some(text) = value.as_str() else { return value.clone() };
    match text {
        "{revoked}" => json!("revoked-1"),
        "{suspended}" => json!("mallory"),
        _ => match text.strip_prefix("{now").and_then(|rest| rest.strip_suffix('}')) {
            Some(offset) => json!(now + offset.parse::<i64>().expect("an offset")),
            None => value.clone(),
        },
    }
}

fn part(case: &Case, name: &str, now: i64) -> Value {
    let fields = case.input[name].as_object().cloned().unwrap_or_default();
    Value::Object(fields.into_iter().map(|(field, value)| (field, filled_in(&value, now))).collect())
}

/// The values of the authorization header.
fn authorization(case: &Case, forge: &Forge) -> Vec<String> {
    let good = |subject: &str| forge.token(json!({}), json!({"sub": subject}));
    let value = |text: &str| text.replace("{valid_a}", &good("alice")).replace("{valid_b}", &good("bob"));
    match &case.input["authorization"] {
        Value::String(text) => return vec![value(text)],
        Value::Array(texts) => return texts.iter().map(|text| value(text.as_str().expect("a text"))).collect(),
        Value::Null => {}
        other @ (Value::Bool(_) | Value::Number(_) | Value::Object(_)) => panic!("{}: {other}", case.id),
    }
    let (header, claims) = (part(case, "header", forge.now), part(case, "claims", forge.now));
    let token = forge.token(header, claims);
    let token = match case.input["signature"].as_str() {
        None => token,
        Some("{valid[:-1]}") => token[..token.len() - 1].to_owned(),
        Some(signature) => {
            let (message, _) = token.rsplit_once('.').expect("three parts");
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    };
    vec![format!("Bearer {token}")]
}

#[tokio::test]
async fn tokens_of_the_reference_are_refused_by_name() {
    let Some(cases) = cases("token") else { return };
    let stage = Stage::start(config()).await;
    let forge = Forge::new(&stage);
    let mut tried = 0;
    for case in &cases {
        let answer = place_with(&stage, &authorization(case, &forge)).await;
        expect_refusal(&case.id, answer, case.codes[0], &case.reason);
        tried += 1;
    }
    assert_eq!(tried, 24);
    assert!(stage.books.lock().expect("books").requests.is_empty());
}
