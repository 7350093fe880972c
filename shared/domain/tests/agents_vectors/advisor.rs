//! The advisor: its costs and its tripwire against the reference, and the promise that no answer makes a trade larger.

use crate::reference::{list, number, vectors};
use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use tragen_domain::agents::advisor::applied::{Decided, Staked, apply};
use tragen_domain::agents::advisor::check::check;
use tragen_domain::agents::advisor::facts::{Direction, Facts, Source, Trust};
use tragen_domain::agents::advisor::injection::{Suspicion, suspicions};
use tragen_domain::agents::advisor::llm_price::{ModelPrice, TokenUsage};
use tragen_domain::agents::advisor::opinion::{Effect, Evidence, Opinion, RiskFlag, Stance, Verdict};
use tragen_domain::agents::advisor::{AdvisorMode, SHIFT_MAX};
use tragen_domain::agents::kelly::{price_edge, stake_fraction};
use tragen_domain::agents::plain_text::{PlainText, TEXT_CHARS_MAX};
use tragen_domain::money::Money;

/// USD per token as 1e-6 USD per million tokens.
fn per_million(price: &Value) -> u64 {
    format!("{:.0}", number(price) * 1e12).parse().expect("a whole number")
}

#[test]
fn calls_cost_what_they_cost_in_the_reference() {
    let Some(reference) = vectors("cost") else { return };
    for case in list(&reference["llm"]) {
        let price = ModelPrice {
            input_micros_per_mtok: per_million(&case["input_cost_per_token"]),
            cached_input_micros_per_mtok: per_million(&case["cache_read_input_token_cost"]),
            output_micros_per_mtok: per_million(&case["output_cost_per_token"]),
            context_tokens: 128_000,
        };
        let tokens = |name: &str| case[name].as_u64().expect("a count");
        let usage = TokenUsage {
            prompt: tokens("prompt_tokens"),
            cached: tokens("cached_tokens"),
            completion: tokens("completion_tokens"),
        };
        let expected = format!("{:.0}", number(&case["cost"]) * 1e6).parse().expect("whole micro-dollars");
        assert_eq!(price.cost(&usage), Ok(Money::from_micros(expected)), "{}", case["model"]);
    }
}

#[test]
fn orders_in_texts_of_the_reference_are_noticed() {
    let Some(reference) = vectors("llm_injection_strings") else { return };
    let strings: Vec<&str> = list(&reference["strings"]).iter().filter_map(Value::as_str).collect();
    assert_eq!(strings.len(), 12);
    let quiet: Vec<&str> = strings.iter().copied().filter(|text| suspicions(text).is_empty()).collect();
    // A rumor and a boast give nobody orders: they may be read, and move nothing because nobody lists their source.
    assert_eq!(quiet.len(), 2, "{quiet:?}");
    assert!(quiet[0].contains("postponed") && quiet[1].contains("guaranteed"), "{quiet:?}");
    for text in strings {
        let plain = PlainText::new(text);
        assert!(plain.as_str().chars().all(|c| !c.is_control() && !"\u{200b}\u{202c}\u{202e}".contains(c)), "{text:?}");
    }
}

fn decided() -> impl Strategy<Value = Decided> {
    let direction = prop_oneof![Just(Direction::Buy), Just(Direction::Sell)];
    (direction, 0.0..=1.0_f64, 0.01..0.99_f64, 0.0..0.1_f64, 0.0..0.5_f64).prop_map(
        |(direction, p_model, price, fee_rate, kelly_multiplier)| {
            let (p, ask) = match direction {
                Direction::Buy => (p_model, price),
                Direction::Sell => (1.0 - p_model, 1.0 - price),
            };
            let kelly = price_edge(p, ask, fee_rate).expect("in range").kelly;
            let stake = stake_fraction(kelly, kelly_multiplier, 0.05);
            Decided { direction, p_model, price, fee_rate, kelly_multiplier, stake_cap: 0.05, stake }
        },
    )
}

fn opinion() -> impl Strategy<Value = Opinion> {
    let verdict = prop_oneof![4 => Just(Verdict::Agree), 1 => Just(Verdict::Veto), 1 => Just(Verdict::Abstain)];
    let stance = prop_oneof![3 => Just(Stance::Buy), 3 => Just(Stance::Sell), 1 => Just(Stance::Hold)];
    let flag = prop_oneof![5 => Just(RiskFlag::InjuryNews), 1 => Just(RiskFlag::InjectionSuspected)];
    let id = prop_oneof![9 => Just("q".to_owned()), 1 => any::<String>()];
    let shift = prop_oneof![4 => -1.0..1.0_f64, 1 => any::<f64>()];
    let confidence = prop_oneof![9 => 0.0..=1.0_f64, 1 => any::<f64>()];
    let quote = prop_oneof![4 => Just("Saka is out".to_owned()), 1 => any::<String>()];
    let evidence = (prop_oneof![Just("s1".to_owned()), any::<String>()], quote)
        .prop_map(|(source_id, quote)| Evidence { source_id, quote, effect: Effect::Opposes });
    (verdict, stance, vec(flag, 0..2), id, shift, confidence, vec(evidence, 0..3), any::<String>()).prop_map(
        |(verdict, direction, risk_flags, request_id, logit_shift, confidence, evidence, rationale)| Opinion {
            request_id,
            market_id: "m".into(),
            verdict,
            direction,
            logit_shift,
            confidence,
            evidence,
            risk_flags,
            rationale,
        },
    )
}

fn facts(decided: &Decided) -> Facts {
    Facts {
        request_id: "q".into(),
        market_id: "m".into(),
        agent: "eplTradingAgent".into(),
        direction: decided.direction,
        p_model: decided.p_model,
        price: decided.price,
        fee_rate: decided.fee_rate,
        entities: vec![PlainText::new("Arsenal")],
        sources: vec![Source {
            id: "s1".into(),
            trust: Trust::AllowListed,
            text: PlainText::new("Saka is out for weeks"),
        }],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_answer_makes_a_stake_larger(decided in decided(), opinion in opinion()) {
        let Ok(checked) = check(&opinion, &facts(&decided)) else { return Ok(()) };
        for mode in [AdvisorMode::Off, AdvisorMode::VetoOnly, AdvisorMode::BoundedAdjust] {
            let applied = apply(mode, &decided, &checked);
            prop_assert!((0.0..=decided.stake).contains(&applied.stake), "{mode:?} {applied:?}");
            match applied.staked {
                Staked::Unchanged | Staked::ShiftIgnored(_) => prop_assert_eq!(applied.stake, decided.stake),
                Staked::Lowered { shift } => {
                    prop_assert!(mode == AdvisorMode::BoundedAdjust && (-SHIFT_MAX..0.0).contains(&shift));
                    prop_assert!(applied.stake > 0.0 && applied.stake < decided.stake);
                }
                Staked::NoTrade(_) => prop_assert_eq!(applied.stake, 0.0),
            }
        }
    }

    #[test]
    fn any_text_is_cleaned_and_screened(text in any::<String>()) {
        let plain = PlainText::new(&text);
        prop_assert_eq!(&PlainText::new(plain.as_str()), &plain, "cleaning twice changes nothing");
        prop_assert!(plain.as_str().chars().count() <= TEXT_CHARS_MAX);
        let suspicions: Vec<Suspicion> = suspicions(&text);
        prop_assert!(suspicions.is_sorted(), "each kind once, in order");
    }
}
