//! Whatever is written about a team: the mood stays in its range, the order of the texts changes nothing, and orders
//! to a machine are words like all others.

use super::reference::{list, vectors};
use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use tragen_domain::agents::plain_text::PlainText;
use tragen_domain::agents::sentiment::{Entity, NewsItem, sentiment};
use tragen_domain::time::Timestamp;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

fn arsenal() -> [Entity; 1] {
    [Entity { name: "Arsenal".into(), aliases: vec!["Arsenal".into(), "the Gunners".into()] }]
}

fn item(id: usize, source_weight: f64, age_ms: i64, text: &str) -> NewsItem {
    let published_at = NOW.plus_millis(-age_ms);
    NewsItem { id: id.to_string(), source_weight, published_at, text: PlainText::new(text) }
}

#[test]
fn orders_of_the_reference_are_words_like_all_others() {
    let Some(reference) = vectors("llm_injection_strings") else { return };
    let honest = [item(0, 1.0, 0, "Arsenal are strong")];
    let before = sentiment(&honest, &arsenal(), NOW).expect("a report").sentiments[0].score;
    let strings: Vec<&str> = list(&reference["strings"]).iter().filter_map(Value::as_str).collect();
    assert_eq!(strings.len(), 12);
    for (at, text) in strings.into_iter().enumerate() {
        let items = [honest[0].clone(), item(at + 1, 1.0, 0, &format!("Arsenal. {text}"))];
        let report = sentiment(&items, &arsenal(), NOW).expect("a report");
        let mood = &report.sentiments[0];
        // Only the sentence that names Arsenal counts, and most of them are no words of the lexicon anyway.
        assert!((-1.0..=1.0).contains(&mood.score) && (mood.score - before).abs() <= 0.5, "{text:?}: {mood:?}");
        assert!(mood.events.is_empty(), "{text:?}: {mood:?}");
    }
}

fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("Arsenal"),
        Just("the Gunners"),
        Just("not"),
        Just("very"),
        Just("excellent"),
        Just("awful"),
        Just("injured"),
        Just("ruled out"),
        Just("fit again"),
        Just("banned."),
        Just("on loan;"),
        Just("!"),
    ];
    prop_oneof![3 => vec(word, 0..12).prop_map(|words| words.join(" ")), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn a_mood_stays_in_its_range_in_any_order(
        texts in vec((text(), prop_oneof![3 => 0.0..=1.0_f64, 1 => any::<f64>()], -1_000_000..400_000_000_i64), 0..8),
    ) {
        let numbered = texts.iter().enumerate();
        let mut items: Vec<NewsItem> =
            numbered.map(|(at, (text, weight, age_ms))| item(at, *weight, *age_ms, text)).collect();
        let report = sentiment(&items, &arsenal(), NOW).expect("few texts");
        let mood = &report.sentiments[0];
        prop_assert!((-1.0..=1.0).contains(&mood.score), "{mood:?}");
        prop_assert!(mood.n + report.skipped.len() <= items.len());
        prop_assert!(mood.events.is_sorted_by(|a, b| a.published_at >= b.published_at));
        items.reverse();
        // A weight that is not a number is not equal to itself; as text it is.
        let reversed = sentiment(&items, &arsenal(), NOW).expect("few texts");
        prop_assert_eq!(format!("{reversed:?}"), format!("{report:?}"));
    }
}
