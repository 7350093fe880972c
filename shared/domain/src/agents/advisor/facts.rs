//! What a language model is told about a trade. It is about a market, never about a user: the same question serves all
//! of them, and nothing of them can leak.

use super::super::plain_text::{PlainText, words};

/// Most sources in one question; the first ones are taken.
pub const SOURCES_MAX: usize = 12;

/// Which way the agent wants to trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Buy the outcome.
    Buy,
    /// Sell the outcome, which is buying its opposite at 1 - price.
    Sell,
}

impl Direction {
    /// The word in the agreed form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }
}

/// Whether a source may move a probability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trust {
    /// On the operator's list: it may.
    AllowListed,
    /// Anybody's words: it may only be read.
    Untrusted,
}

impl Trust {
    /// The word in the question.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowListed => "allowlisted",
            Self::Untrusted => "untrusted",
        }
    }
}

/// One text that a question brings along.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// Its id in the question, e.g. `s1`.
    pub id: String,
    /// Whether it may move a probability.
    pub trust: Trust,
    /// Its words.
    pub text: PlainText,
}

/// Everything a question says. Two equal values are one question: they are sent once and share the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Names the question; to be echoed.
    pub request_id: String,
    /// The market; to be echoed.
    pub market_id: String,
    /// The agent that wants to trade.
    pub agent: String,
    /// Which way.
    pub direction: Direction,
    /// The agent's probability of the outcome, as [`told`].
    pub p_model: f64,
    /// The price to pay, as [`told`].
    pub price: f64,
    /// The venue's taker fee rate.
    pub fee_rate: f64,
    /// Names that the rationale may use.
    pub entities: Vec<PlainText>,
    /// The texts.
    pub sources: Vec<Source>,
}

/// A probability or price as the model is told it: to the nearest 0.01, so that a price that moves by a tick is not a
/// new question with a new bill. The stake is computed with the exact numbers.
///
/// ```
/// use tragen_domain::agents::advisor::facts::told;
/// assert!((told(0.614_9) - 0.61).abs() < 1e-12);
/// ```
#[must_use]
pub fn told(probability: f64) -> f64 {
    (probability * 100.0).round() / 100.0
}

impl Facts {
    /// The words of `id`, if it is a source.
    pub(super) fn source(&self, id: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.id == id)
    }

    /// What a rationale may name: the words of the entities and of the sources that are on the list.
    pub(super) fn known_words(&self) -> Vec<String> {
        let listed = self.listed_texts();
        self.entities.iter().map(PlainText::as_str).chain(listed).flat_map(words).collect()
    }

    /// What a rationale may count with: the numbers of the question, as they are and in percent, and those of the
    /// sources that are on the list.
    pub(super) fn known_numbers(&self) -> Vec<f64> {
        let own = [self.p_model, self.price, self.fee_rate].into_iter().flat_map(|number| [number, 100.0 * number]);
        own.chain(self.listed_texts().flat_map(numbers)).collect()
    }

    fn listed_texts(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().filter(|source| source.trust == Trust::AllowListed).map(|source| source.text.as_str())
    }
}

/// The numbers in a text, without their signs.
pub(super) fn numbers(text: &str) -> Vec<f64> {
    let pieces = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    pieces.filter_map(|piece| piece.trim_matches('.').parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_text() {
        assert_eq!(numbers("won 4-0, 61.5 % since 2019."), [4.0, 0.0, 61.5, 2019.0]);
        assert!(numbers("no number ... here").is_empty());
    }

    #[test]
    fn a_tick_is_not_told() {
        let check = |exact: f64, expected: f64| assert!((told(exact) - expected).abs() < 1e-12, "{exact}");
        check(0.614_9, 0.61);
        check(0.615_1, 0.62);
        check(0.0, 0.0);
        check(1.0, 1.0);
    }
}
