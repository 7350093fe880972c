//! Tests of what is believed of an answer.

use super::super::facts::{Direction, Source};
use super::super::opinion::Effect;
use super::*;

fn facts() -> Facts {
    let source = |id: &str, trust, text: &str| Source { id: id.to_owned(), trust, text: PlainText::new(text) };
    Facts {
        request_id: "q-1".into(),
        market_id: "LIV-EVE-HOME".into(),
        agent: "eplTradingAgent".into(),
        direction: Direction::Buy,
        p_model: 0.61,
        price: 0.56,
        fee_rate: 0.03,
        entities: ["Liverpool", "Everton"].map(PlainText::new).to_vec(),
        sources: vec![
            source("s1", Trust::AllowListed, "Everton miss  Branthwaite, out for 3 weeks."),
            source("s2", Trust::Untrusted, "Real Madrid scouts watch Everton's Branthwaite"),
        ],
    }
}

fn opinion() -> Opinion {
    Opinion {
        request_id: "q-1".into(),
        market_id: "LIV-EVE-HOME".into(),
        verdict: Verdict::Agree,
        direction: Stance::Buy,
        logit_shift: -0.1,
        confidence: 0.7,
        evidence: vec![evidence("s1", "Everton miss Branthwaite")],
        risk_flags: vec![RiskFlag::StaleData, RiskFlag::InjuryNews, RiskFlag::StaleData],
        rationale: "Branthwaite is out.".into(),
    }
}

fn evidence(source_id: &str, quote: &str) -> Evidence {
    Evidence { source_id: source_id.into(), quote: quote.into(), effect: Effect::Opposes }
}

#[test]
fn a_sound_answer_is_kept_whole() {
    let checked = check(&opinion(), &facts()).expect("sound");
    assert_eq!((checked.verdict(), checked.stance()), (Verdict::Agree, Stance::Buy));
    assert_eq!(checked.shift(), Ok(-0.1));
    assert_eq!(checked.risk_flags(), [RiskFlag::InjuryNews, RiskFlag::StaleData]);
    assert_eq!(checked.text().map(PlainText::as_str), Ok("Branthwaite is out."));
    assert!(!checked.suspects_injection());
}

#[test]
fn another_question_and_senseless_numbers_are_refused() {
    let refused = |change: fn(&mut Opinion), expected: Rejection| {
        let mut answer = opinion();
        change(&mut answer);
        assert_eq!(check(&answer, &facts()), Err(expected));
    };
    refused(|o| o.request_id = "q-2".into(), Rejection::RequestMismatch);
    refused(|o| o.market_id = "LIV-EVE-AWAY".into(), Rejection::MarketMismatch);
    refused(|o| o.logit_shift = f64::INFINITY, Rejection::InvalidShift);
    refused(|o| o.logit_shift = f64::NAN, Rejection::InvalidShift);
    refused(|o| o.confidence = 1.01, Rejection::InvalidConfidence { confidence: 1.01 });
    refused(|o| o.confidence = -0.01, Rejection::InvalidConfidence { confidence: -0.01 });
    let mut answer = opinion();
    answer.confidence = f64::NAN;
    assert!(check(&answer, &facts()).is_err());
}

#[test]
fn a_shift_needs_words_that_a_listed_source_says() {
    let ignored = |quotes: Vec<Evidence>, expected: Result<f64, ShiftIgnored>| {
        let answer = Opinion { evidence: quotes, ..opinion() };
        assert_eq!(check(&answer, &facts()).expect("sound").shift(), expected);
    };
    ignored(vec![evidence("s1", "miss\n Branthwaite")], Ok(-0.1));
    ignored(vec![evidence("s1", "out for\u{200b} 3 weeks")], Ok(-0.1));
    ignored(Vec::new(), Err(ShiftIgnored::NoEvidence));
    ignored(vec![evidence("s3", "Everton miss")], Err(ShiftIgnored::UnknownSource));
    ignored(vec![evidence("s2", "Real Madrid scouts")], Err(ShiftIgnored::UntrustedSource));
    ignored(vec![evidence("s1", "Everton miss Pickford")], Err(ShiftIgnored::NotVerbatim));
    ignored(vec![evidence("s1", "everton miss")], Err(ShiftIgnored::NotVerbatim));
    ignored(vec![evidence("s1", "Everton")], Err(ShiftIgnored::NotVerbatim));
    ignored(vec![evidence("s1", "")], Err(ShiftIgnored::NotVerbatim));
    ignored(vec![evidence("s1", "Everton miss"), evidence("s1", "made up words")], Err(ShiftIgnored::NotVerbatim));
}

#[test]
fn a_text_says_nothing_that_the_facts_do_not() {
    let text = |rationale: &str, expected: Result<&str, TextDropped>| {
        let answer = Opinion { rationale: rationale.into(), ..opinion() };
        let checked = check(&answer, &facts()).expect("sound");
        assert_eq!(checked.text().map(PlainText::as_str), expected, "{rationale:?}");
    };
    text("Without Branthwaite Everton's defence is weak.", Ok("Without Branthwaite Everton's defence is weak."));
    text("The price 0.56 is below 61 %; he is out 3 weeks.", Ok("The price 0.56 is below 61 %; he is out 3 weeks."));
    text("", Err(TextDropped::Empty));
    text(&"so ".repeat(200), Err(TextDropped::TooLong));
    text("Liverpool are guaranteed to win", Err(TextDropped::BannedWord));
    text("A win is 100 % on", Err(TextDropped::BannedWord));
    text("You can't lose here", Err(TextDropped::BannedWord));
    text("Real Madrid are stronger", Err(TextDropped::UnknownEntity));
    text("Everton miss Pickford", Err(TextDropped::UnknownEntity));
    text("The edge is 7 %", Err(TextDropped::UnknownNumber));
    text("<script>alert(3)</script>", Err(TextDropped::Suspicious));
}
