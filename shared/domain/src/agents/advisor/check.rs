//! What of an answer can be believed. An answer is refused when it is about something else or its numbers make no
//! sense; it is kept without its shift when its evidence does not hold, and without its text when the text says what
//! the facts do not.

use super::super::plain_text::{PlainText, words};
use super::facts::{Facts, Trust, numbers};
use super::injection::suspicions;
use super::opinion::{Evidence, Opinion, RiskFlag, Stance, Verdict};

/// Shortest quote that shows anything, characters: "a" is a part of every text.
pub const QUOTE_CHARS_MIN: usize = 8;
/// Longest rationale that is shown, characters.
pub const RATIONALE_CHARS_MAX: usize = 500;

/// Words that promise what nobody can.
const BANNED: [&str; 10] = [
    "guarantee",
    "guaranteed",
    "guarantees",
    "certain",
    "certainly",
    "certainty",
    "risk-free",
    "riskless",
    "surefire",
    "foolproof",
];
/// The same in several words.
const BANNED_PHRASES: [&[&str]; 4] =
    [&["sure", "thing"], &["can't", "lose"], &["cannot", "lose"], &["without", "risk"]];

/// Why an answer is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// It answers another question.
    #[error("it answers another question")]
    RequestMismatch,
    /// It is about another market.
    #[error("it is about another market")]
    MarketMismatch,
    /// The shift is not a finite number.
    #[error("the shift is not a finite number")]
    InvalidShift,
    /// The confidence is not in 0..=1.
    #[error("the confidence {confidence} is not in 0..=1")]
    InvalidConfidence {
        /// The number as given.
        confidence: f64,
    },
}

/// Why an answer's shift does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShiftIgnored {
    /// It refers to nothing.
    NoEvidence,
    /// It refers to a source that does not exist.
    UnknownSource,
    /// It refers to a source that may only be read.
    UntrustedSource,
    /// The source does not say that.
    NotVerbatim,
}

/// Why an answer's text is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextDropped {
    /// There is none.
    Empty,
    /// It is longer than [`RATIONALE_CHARS_MAX`].
    TooLong,
    /// It promises what nobody can.
    BannedWord,
    /// It names somebody whom the facts do not name.
    UnknownEntity,
    /// It counts with a number that is not in the facts.
    UnknownNumber,
    /// It looks like an order to a machine or like markup.
    Suspicious,
}

/// An answer about this very question whose numbers make sense. Only [`check`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedOpinion {
    verdict: Verdict,
    stance: Stance,
    shift: Result<f64, ShiftIgnored>,
    confidence: f64,
    risk_flags: Vec<RiskFlag>,
    text: Result<PlainText, TextDropped>,
}

impl CheckedOpinion {
    /// What it makes of the trade.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Which way it would trade.
    #[must_use]
    pub const fn stance(&self) -> Stance {
        self.stance
    }

    /// By how much it would move the log-odds of the outcome: finite, as answered, not yet bounded.
    ///
    /// # Errors
    /// [`ShiftIgnored`] when its evidence does not hold.
    pub const fn shift(&self) -> Result<f64, ShiftIgnored> {
        self.shift
    }

    /// How sure it is, 0 to 1.
    #[must_use]
    pub const fn confidence(&self) -> f64 {
        self.confidence
    }

    /// Whether it suspects that a source gives orders.
    #[must_use]
    pub fn suspects_injection(&self) -> bool {
        self.risk_flags.contains(&RiskFlag::InjectionSuspected)
    }

    /// What to be careful about, each once, in the order of [`RiskFlag`].
    #[must_use]
    pub fn risk_flags(&self) -> &[RiskFlag] {
        &self.risk_flags
    }

    /// Why, for people.
    ///
    /// # Errors
    /// [`TextDropped`] when it must not be shown.
    pub fn text(&self) -> Result<&PlainText, TextDropped> {
        self.text.as_ref().map_err(|why| *why)
    }
}

/// Checks an answer against what was asked.
///
/// # Errors
/// [`Rejection`]; the deterministic decision stands then.
pub fn check(opinion: &Opinion, facts: &Facts) -> Result<CheckedOpinion, Rejection> {
    if opinion.request_id != facts.request_id {
        return Err(Rejection::RequestMismatch);
    }
    if opinion.market_id != facts.market_id {
        return Err(Rejection::MarketMismatch);
    }
    if !opinion.logit_shift.is_finite() {
        return Err(Rejection::InvalidShift);
    }
    if !(0.0..=1.0).contains(&opinion.confidence) {
        return Err(Rejection::InvalidConfidence { confidence: opinion.confidence });
    }
    let mut risk_flags = opinion.risk_flags.clone();
    risk_flags.sort_unstable();
    risk_flags.dedup();
    Ok(CheckedOpinion {
        verdict: opinion.verdict,
        stance: opinion.direction,
        shift: shift(opinion, facts),
        confidence: opinion.confidence,
        risk_flags,
        text: text(&opinion.rationale, facts),
    })
}

/// One quote that is made up makes all of them doubtful.
fn shift(opinion: &Opinion, facts: &Facts) -> Result<f64, ShiftIgnored> {
    if opinion.logit_shift == 0.0 {
        return Ok(0.0);
    }
    if opinion.evidence.is_empty() {
        return Err(ShiftIgnored::NoEvidence);
    }
    opinion.evidence.iter().try_for_each(|evidence| holds(evidence, facts))?;
    Ok(opinion.logit_shift)
}

fn holds(evidence: &Evidence, facts: &Facts) -> Result<(), ShiftIgnored> {
    let source = facts.source(&evidence.source_id).ok_or(ShiftIgnored::UnknownSource)?;
    if source.trust != Trust::AllowListed {
        return Err(ShiftIgnored::UntrustedSource);
    }
    let quote = PlainText::new(&evidence.quote);
    let is_long_enough = quote.as_str().chars().count() >= QUOTE_CHARS_MIN;
    let is_said = is_long_enough && source.text.as_str().contains(quote.as_str());
    if is_said { Ok(()) } else { Err(ShiftIgnored::NotVerbatim) }
}

fn text(rationale: &str, facts: &Facts) -> Result<PlainText, TextDropped> {
    let text = PlainText::new(rationale);
    if text.is_empty() {
        return Err(TextDropped::Empty);
    }
    if text.as_str().chars().count() > RATIONALE_CHARS_MAX {
        return Err(TextDropped::TooLong);
    }
    if promises(text.as_str()) {
        return Err(TextDropped::BannedWord);
    }
    if !suspicions(rationale).is_empty() {
        return Err(TextDropped::Suspicious);
    }
    if names_strangers(text.as_str(), facts) {
        return Err(TextDropped::UnknownEntity);
    }
    let known = facts.known_numbers();
    let is_known = |number: &f64| known.iter().any(|known| (known - number).abs() < 1e-9);
    if !numbers(text.as_str()).iter().all(is_known) {
        return Err(TextDropped::UnknownNumber);
    }
    Ok(text)
}

fn promises(text: &str) -> bool {
    let said = words(text);
    let is_banned = said.iter().any(|word| BANNED.contains(&word.as_str()));
    let is_phrase = BANNED_PHRASES.iter().any(|phrase| said.windows(phrase.len()).any(|window| window == *phrase));
    let squeezed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    is_banned || is_phrase || squeezed.contains("100%")
}

/// Whether a word with a capital letter is not in the facts. The first word of a sentence has one anyway, so it may
/// also be a word that begins sentences.
fn names_strangers(text: &str, facts: &Facts) -> bool {
    let known = facts.known_words();
    let is_known = |word: &str| known.iter().any(|known| known == word || stem(known) == stem(word));
    let mut begins_sentence = true;
    text.split_whitespace().any(|raw| {
        let capital = raw.chars().find(|c| c.is_alphanumeric()).is_some_and(char::is_uppercase);
        let is_stranger = capital
            && words(raw).iter().any(|word| {
                let may_begin = begins_sentence && BEGINNINGS.contains(&word.as_str());
                !(is_known(word) || may_begin)
            });
        begins_sentence = raw.ends_with(['.', '!', '?', ':', ';']);
        is_stranger
    })
}

fn stem(word: &str) -> &str {
    word.strip_suffix("'s").unwrap_or(word)
}

/// Words that begin English sentences and name nobody.
const BEGINNINGS: [&str; 34] = [
    "a", "an", "after", "all", "although", "and", "as", "at", "because", "both", "but", "due", "for", "given", "he",
    "however", "if", "in", "it", "key", "news", "no", "not", "one", "since", "so", "sources", "the", "their", "there",
    "they", "this", "with", "without",
];

#[cfg(test)]
mod tests;
