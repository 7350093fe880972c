//! sentimentAnalystAgent: what do the news say about a team or a player?
//!
//! A mood between -1 and 1 and the events behind it, never a trade: there is no price, no side and no size in here.
//! Sentences are scored with a lexicon and negation (after Hutto and Gilbert 2014, VADER, with a word list of our own),
//! copies of a text count once, older texts count less.

mod events;
mod lexicon;
mod simhash;

pub use events::EventKind;
pub use lexicon::WORDS as LEXICON_WORDS;
pub use simhash::{DUPLICATE_BITS_MAX, distance, simhash};

use super::count::count_to_f64;
use super::plain_text::{PlainText, words};
use crate::time::Timestamp;

/// After this time a text counts half, milliseconds.
pub const HALF_LIFE_MS: f64 = 6.0 * 3_600_000.0;
/// Older texts are left out, milliseconds: by then they count less than a thousandth.
pub const AGE_MS_MAX: i64 = 3 * 86_400_000;
/// A clock may be off by this much before a text is from the future, milliseconds.
pub const CLOCK_SKEW_MS_MAX: i64 = 60_000;
/// Most texts in one call.
pub const ITEMS_MAX: usize = 1_000;
/// Sum of valences at which a sentence is half way to certain (VADER's constant).
const VALENCE_SCALE: f64 = 15.0;

/// One text from a source on the operator's list.
#[derive(Debug, Clone, PartialEq)]
pub struct NewsItem {
    /// Its id.
    pub id: String,
    /// How much the source counts, above 0 up to 1.
    pub source_weight: f64,
    /// When it appeared.
    pub published_at: Timestamp,
    /// Its words.
    pub text: PlainText,
}

/// A team or player to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Its name in the result.
    pub name: String,
    /// How texts call it, e.g. `Arsenal`, `the Gunners`; compared word by word, without regard to capitals.
    pub aliases: Vec<String>,
}

/// Something that a text says has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// The text that says so.
    pub item_id: String,
    /// When it appeared.
    pub published_at: Timestamp,
}

/// What all texts say about one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Sentiment {
    /// Who.
    pub entity: String,
    /// From -1, all bad, to 1, all good; 0 when nothing is said.
    pub score: f64,
    /// Texts that name it, copies counted once.
    pub n: usize,
    /// What is said to have happened, newest first.
    pub events: Vec<Event>,
}

/// Why a text does not count.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SkipReason {
    /// It has no visible words.
    #[error("it has no words")]
    Empty,
    /// Its source's weight is not in (0, 1].
    #[error("the weight {weight} of its source is not in (0, 1]")]
    InvalidWeight {
        /// The number as given.
        weight: f64,
    },
    /// It is older than [`AGE_MS_MAX`].
    #[error("it is {age_ms} ms old")]
    TooOld {
        /// Its age, milliseconds.
        age_ms: i64,
    },
    /// It is from the future.
    #[error("it is from the future")]
    FromTheFuture,
    /// Another text says the same.
    #[error("another text says the same")]
    Copy,
}

/// What the texts say.
#[derive(Debug, Clone, PartialEq)]
pub struct SentimentReport {
    /// One entry per entity, in the order given.
    pub sentiments: Vec<Sentiment>,
    /// The texts that do not count, by id, sorted.
    pub skipped: Vec<(String, SkipReason)>,
}

/// Why there is no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SentimentRefusal {
    /// There is nobody to look for.
    #[error("there is nobody to look for")]
    NoEntities,
    /// There are too many texts.
    #[error("{items} texts are given, at most {limit} are looked at")]
    TooManyItems {
        /// How many.
        items: usize,
        /// The most.
        limit: usize,
    },
}

/// Scores what `items` say about each of `entities`.
///
/// `score = sum(w s) / max(sum(w), 1)` with `w = source weight x 0.5^(age / 6 h)` and `s` the mood of the sentences
/// that name the entity. So one old text alone says little, and many fresh ones say their weighted mean.
///
/// Example: one fresh text of weight 1 that says `Arsenal are excellent` (valence 3) scores
/// `3 / sqrt(9 + 15) = 0.61`; six hours later 0.31.
///
/// # Errors
/// [`SentimentRefusal`] when there is nobody to look for or too much to read.
pub fn sentiment(items: &[NewsItem], entities: &[Entity], now: Timestamp) -> Result<SentimentReport, SentimentRefusal> {
    if entities.is_empty() {
        return Err(SentimentRefusal::NoEntities);
    }
    if items.len() > ITEMS_MAX {
        return Err(SentimentRefusal::TooManyItems { items: items.len(), limit: ITEMS_MAX });
    }
    let (mut usable, mut skipped) = (Vec::new(), Vec::new());
    for item in items {
        match weight(item, now) {
            Ok(weight) => usable.push(Weighed { item, weight, hash: simhash(&words(item.text.as_str())) }),
            Err(reason) => skipped.push((item.id.clone(), reason)),
        }
    }
    // The copy that counts most stays; equal ones in the order of their ids, however they came.
    usable.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.item.id.cmp(&b.item.id)));
    let mut kept: Vec<Weighed<'_>> = Vec::with_capacity(usable.len());
    for candidate in usable {
        if kept.iter().any(|earlier| distance(earlier.hash, candidate.hash) <= DUPLICATE_BITS_MAX) {
            skipped.push((candidate.item.id.clone(), SkipReason::Copy));
        } else {
            kept.push(candidate);
        }
    }
    skipped.sort_by(|a, b| a.0.cmp(&b.0));
    let sentiments = entities.iter().map(|entity| of_entity(entity, &kept)).collect();
    Ok(SentimentReport { sentiments, skipped })
}

struct Weighed<'a> {
    item: &'a NewsItem,
    weight: f64,
    hash: u64,
}

fn weight(item: &NewsItem, now: Timestamp) -> Result<f64, SkipReason> {
    if words(item.text.as_str()).is_empty() {
        return Err(SkipReason::Empty);
    }
    if !(item.source_weight > 0.0 && item.source_weight <= 1.0) {
        return Err(SkipReason::InvalidWeight { weight: item.source_weight });
    }
    let age_ms = now.millis_since(item.published_at);
    if age_ms > AGE_MS_MAX {
        return Err(SkipReason::TooOld { age_ms });
    }
    if age_ms < -CLOCK_SKEW_MS_MAX {
        return Err(SkipReason::FromTheFuture);
    }
    let age = count_to_f64(usize::try_from(age_ms).unwrap_or(0));
    Ok(item.source_weight * (-age / HALF_LIFE_MS).exp2())
}

fn of_entity(entity: &Entity, items: &[Weighed<'_>]) -> Sentiment {
    let aliases: Vec<Vec<String>> = entity.aliases.iter().map(|alias| words(alias)).collect();
    let (mut weights, mut weighted, mut n) = (0.0, 0.0, 0);
    let mut events = Vec::new();
    for Weighed { item, weight, .. } in items {
        let sentences: Vec<Vec<String>> = sentences(item.text.as_str())
            .filter(|sentence| aliases.iter().any(|alias| names(sentence, alias)))
            .collect();
        if sentences.is_empty() {
            continue;
        }
        let valence: f64 = sentences.iter().map(|sentence| lexicon::valence(sentence)).sum();
        weights += weight;
        weighted += weight * valence / (valence * valence + VALENCE_SCALE).sqrt();
        n += 1;
        let mut kinds: Vec<EventKind> = sentences.iter().flat_map(|sentence| events::events(sentence)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let event = |kind| Event { kind, item_id: item.id.clone(), published_at: item.published_at };
        events.extend(kinds.into_iter().map(event));
    }
    events.sort_by(|a, b| {
        b.published_at.cmp(&a.published_at).then_with(|| a.item_id.cmp(&b.item_id)).then(a.kind.cmp(&b.kind))
    });
    Sentiment { entity: entity.name.clone(), score: weighted / f64::max(weights, 1.0), n, events }
}

/// The words of each sentence. A full stop inside a number or an abbreviation ends none.
fn sentences(text: &str) -> impl Iterator<Item = Vec<String>> {
    text.split_inclusive(['!', '?', ';'])
        .flat_map(|part| part.split(". "))
        .map(words)
        .filter(|sentence| !sentence.is_empty())
}

fn names(sentence: &[String], alias: &[String]) -> bool {
    let is_same = |word: &String, alias: &String| word == alias || word.strip_suffix("'s") == Some(alias);
    !alias.is_empty()
        && sentence
            .windows(alias.len())
            .any(|window| window.iter().zip(alias).all(|(word, alias)| is_same(word, alias)))
}

#[cfg(test)]
mod tests;
