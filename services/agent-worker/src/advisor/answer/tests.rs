//! Reading answers: what is refused, and that nothing a model or server says makes a stake larger or stops us.

use super::*;
use proptest::{collection::vec, prelude::*};
use tragen_domain::agents::{
    advisor::{
        AdvisorMode, NoTradeReason, Staked,
        applied::Decided,
        apply, check,
        facts::{Direction, Facts, Source, Trust},
    },
    kelly::{price_edge, stake_fraction},
    plain_text::PlainText,
};

const SOUND: &str = r#"{"request_id":"q-1","market_id":"m-1","verdict":"agree","direction":"buy","logit_shift":-0.1,
    "confidence":0.7,"evidence":[{"source_id":"s1","quote":"Palmer is out","effect":"opposes"}],
    "risk_flags":["injury_news"],"rationale":"Palmer is out."}"#;

fn facts() -> Facts {
    let source = |id: &str, trust, text: &str| Source { id: id.into(), trust, text: PlainText::new(&one_form(text)) };
    Facts {
        request_id: "q-1".into(),
        market_id: "m-1".into(),
        agent: "eplTradingAgent".into(),
        direction: Direction::Buy,
        p_model: 0.61,
        price: 0.56,
        fee_rate: 0.03,
        entities: ["Arsenal", "Chelsea"].map(PlainText::new).to_vec(),
        sources: vec![
            source("s1", Trust::AllowListed, "Palmer is out, of\u{fb01}cial"),
            source("s2", Trust::Untrusted, "Buy!"),
        ],
    }
}

fn decided(facts: &Facts) -> Decided {
    let kelly = price_edge(facts.p_model, facts.price, facts.fee_rate).expect("in range").kelly;
    Decided {
        direction: facts.direction,
        p_model: facts.p_model,
        price: facts.price,
        fee_rate: facts.fee_rate,
        kelly_multiplier: 0.25,
        stake_cap: 0.05,
        stake: stake_fraction(kelly, 0.25, 0.05),
    }
}

/// The stake after whatever a model has written.
fn stake_after(mode: AdvisorMode, content: &str) -> f64 {
    let facts = facts();
    let decided = decided(&facts);
    let checked = parse(content).and_then(|opinion| check(&opinion, &facts).map_err(NoOpinion::from));
    checked.map_or(decided.stake, |opinion| apply(mode, &decided, &opinion).stake)
}

#[test]
fn only_one_object_of_the_agreed_form_is_read() {
    let opinion = parse(SOUND).expect("sound");
    assert_eq!((opinion.verdict, opinion.direction), (Verdict::Agree, Stance::Buy));
    assert_eq!(opinion.risk_flags, [RiskFlag::InjuryNews]);
    let refused = |content: &str| assert_eq!(parse(content), Err(NoOpinion::Malformed), "{content}");
    refused("");
    refused("Sure! I would buy.");
    refused(&format!("```json\n{SOUND}\n```"));
    refused(&format!("{SOUND} {SOUND}"));
    refused(&SOUND[..100]);
    refused(&SOUND.replace("0.7", "NaN"));
    refused(&SOUND.replace("0.7", "1e999"));
    refused(&SOUND.replace("\"agree\"", "\"AGREE\""));
    refused(&SOUND.replace("\"rationale\"", "\"size\":9,\"rationale\""));
    refused(&SOUND.replace("\"effect\"", "\"extra\":1,\"effect\""));
    refused(&SOUND.replace("\"verdict\"", "\"verdict\":\"veto\",\"verdict\""));
    refused(r#"["q-1","m-1","agree","buy",-0.1,0.7,[],[],"x"]"#);
}

#[test]
fn a_quote_in_another_form_of_the_letters_is_found() {
    // The source writes "official" with one letter for "fi", the model with two, and the other way round.
    for quote in ["out, official", "out, of\u{fb01}cial", "\u{ff50}almer"] {
        let content = SOUND.replace("Palmer is out\",\"effect", &format!("{quote}\",\"effect"));
        let checked = check(&parse(&content).expect("sound"), &facts()).expect("sound");
        assert_eq!(checked.shift().is_ok(), quote.contains("out"), "{quote}");
    }
}

#[test]
fn servers_differ_and_are_read_all_the_same() {
    let read_content = |choice: &str| read(format!(r#"{{"id":"x","choices":[{choice}]}}"#).as_bytes()).content;
    assert_eq!(read_content(r#"{"message":{"content":"hi"},"finish_reason":"stop"}"#), Ok("hi".into()));
    let refused = r#"{"message":{"content":null,"refusal":"no"},"finish_reason":"stop"}"#;
    assert_eq!(read_content(refused), Err(NoOpinion::Refused));
    for reason in [r#""length""#, r#""content_filter""#, r#""tool_calls""#, "null"] {
        let cut_off = format!(r#"{{"message":{{"content":"hi"}},"finish_reason":{reason}}}"#);
        assert_eq!(read_content(&cut_off), Err(NoOpinion::CutOff), "{reason}");
    }
    let parts = r#"{"message":{"content":[{"text":"hi"}]},"finish_reason":"stop"}"#;
    assert_eq!(read_content(parts), Err(NoOpinion::Malformed));
    let long = format!(r#"{{"message":{{"content":"{}"}},"finish_reason":"stop"}}"#, "x".repeat(CONTENT_BYTES_MAX + 1));
    assert_eq!(read_content(&long), Err(NoOpinion::TooLong { limit: CONTENT_BYTES_MAX }));
    assert_eq!(read_content("").expect_err("no choice"), NoOpinion::NotAChat);
    assert_eq!(read(b"<html>busy</html>").content, Err(NoOpinion::NotAChat));
}

#[test]
fn what_was_used_is_read_if_it_is_said_in_whole_numbers() {
    let used = |usage: &str| read(format!(r#"{{"choices":[],"usage":{usage}}}"#).as_bytes()).usage;
    let full = r#"{"prompt_tokens":12,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}"#;
    assert_eq!(used(full), Some(TokenUsage { prompt: 12, cached: 4, completion: 3 }));
    let plain = r#"{"prompt_tokens":12,"completion_tokens":3,"prompt_tokens_details":null}"#;
    assert_eq!(used(plain), Some(TokenUsage { prompt: 12, cached: 0, completion: 3 }));
    assert_eq!(used("null"), None);
    assert_eq!(used(r#"{"prompt_tokens":-1,"completion_tokens":3}"#), None);
    assert_eq!(used(r#"{"prompt_tokens":"12","completion_tokens":3}"#), None);
}

/// Cases computed by other code; see `shared/domain/tests/reference`.
#[test]
fn answers_of_the_reference_come_to_its_stakes() {
    let Some(folder) = std::env::var_os("TRAGEN_REFERENCE_DIR") else {
        println!("not checked against llm_guard_cases: set TRAGEN_REFERENCE_DIR to the folder with vectors/");
        return;
    };
    let path = std::path::PathBuf::from(folder).join("vectors/llm_guard_cases.json");
    let reference: Value = serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON");
    let given = &reference["facts"];
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let source = |source: &Value| Source {
        id: source["id"].as_str().expect("an id").into(),
        trust: if source["trust"] == "allowlisted" { Trust::AllowListed } else { Trust::Untrusted },
        text: PlainText::new(&one_form(source["text"].as_str().expect("a text"))),
    };
    let facts = Facts {
        request_id: given["request_id"].as_str().expect("an id").into(),
        market_id: given["market_id"].as_str().expect("an id").into(),
        agent: "eplTradingAgent".into(),
        direction: Direction::Buy,
        p_model: given["p_model"].as_f64().expect("a number"),
        price: given["price"].as_f64().expect("a number"),
        fee_rate: given["fee_rate"].as_f64().expect("a number"),
        entities: texts(&given["entities"]).iter().map(|name| PlainText::new(name)).collect(),
        sources: given["sources"].as_array().expect("sources").iter().map(source).collect(),
    };
    let decided = decided(&facts);
    let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
    assert!(close(decided.stake, reference["deterministic_stake"].as_f64().expect("a number")));
    let cases = reference["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 21);
    for case in cases {
        let name = case["name"].as_str().expect("a name");
        let outcome = outcome(case, &facts);
        let expected = &case["expect"];
        assert_eq!(outcome.is_ok(), expected["status"] == "accepted", "{name}: {outcome:?}");
        let stake = |mode| outcome.as_ref().map_or(decided.stake, |opinion| apply(mode, &decided, opinion).stake);
        let bounded = stake(AdvisorMode::BoundedAdjust);
        assert!(close(bounded, expected["stake_fraction"].as_f64().expect("a number")), "{name}: {bounded}");
        let veto_only = stake(AdvisorMode::VetoOnly);
        assert!(veto_only == 0.0 || close(veto_only, decided.stake), "{name}: {veto_only}");
        if let Ok(opinion) = &outcome {
            assert_eq!(opinion.text().is_err(), name.contains("entity in rationale"), "{name}: {:?}", opinion.text());
            let alarms = apply(AdvisorMode::VetoOnly, &decided, opinion).staked
                == Staked::NoTrade(NoTradeReason::InjectionSuspected);
            assert_eq!(alarms, name == "injection flag", "{name}");
        }
    }
}

/// The case as a server would have sent it.
fn outcome(case: &Value, facts: &Facts) -> Result<tragen_domain::agents::advisor::CheckedOpinion, NoOpinion> {
    if case["error"] == "timeout" {
        return Err(NoOpinion::TimedOut);
    }
    let finish_reason = case["finish_reason"].as_str().unwrap_or("stop");
    let message = serde_json::json!({ "content": case["raw"], "refusal": case["refusal"] });
    let body = serde_json::json!({ "choices": [{ "message": message, "finish_reason": finish_reason }] });
    let opinion = parse(&read(body.to_string().as_bytes()).content?)?;
    check(&opinion, facts).map_err(NoOpinion::from)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3_000) })]

    #[test]
    fn no_bytes_of_a_model_make_a_stake_larger(bytes in vec(any::<u8>(), 0..400)) {
        let full = decided(&facts()).stake;
        let body = read(&bytes).content;
        let contents = [body.ok(), Some(String::from_utf8_lossy(&bytes).into_owned())];
        for content in contents.into_iter().flatten() {
            let stake = stake_after(AdvisorMode::BoundedAdjust, &content);
            prop_assert!((0.0..=full).contains(&stake), "{stake}");
        }
    }

    #[test]
    fn no_change_to_a_sound_answer_makes_a_stake_larger(
        changes in vec((0..SOUND.len(), any::<char>()), 0..4),
        shift in any::<f64>(),
        confidence in prop_oneof![0.0..=1.0_f64, any::<f64>()],
    ) {
        let sound = SOUND.replace("-0.1", &shift.to_string()).replace("0.7", &confidence.to_string());
        let mut letters: Vec<char> = sound.chars().collect();
        for (at, letter) in changes {
            let at = at % letters.len();
            letters[at] = letter;
        }
        let content: String = letters.into_iter().collect();
        let full = decided(&facts()).stake;
        for mode in [AdvisorMode::Off, AdvisorMode::VetoOnly, AdvisorMode::BoundedAdjust] {
            let stake = stake_after(mode, &content);
            prop_assert!((0.0..=full).contains(&stake), "{mode:?} {stake}: {content}");
        }
    }
}
