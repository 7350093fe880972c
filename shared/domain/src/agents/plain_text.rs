//! Text that strangers wrote: news, market questions, names of teams. What cannot be seen is taken out, spaces are
//! folded, and it is cut to a length that somebody can read.

use std::fmt;

/// Longest text that is looked at, characters; the rest is cut.
pub const TEXT_CHARS_MAX: usize = 2_000;

/// Visible text: no control, zero-width or direction characters, one space between words, at most
/// [`TEXT_CHARS_MAX`] characters.
///
/// Letters that have several forms (a ligature, a full-width letter) are not made one here: that takes the tables of
/// Unicode (NFKC), so whoever reads text from outside does it before. Where it was left out, a quote is not found; it
/// never makes one appear.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlainText(String);

impl PlainText {
    /// Cleans `text`.
    ///
    /// ```
    /// use tragen_domain::agents::plain_text::PlainText;
    /// assert_eq!(PlainText::new("A\u{200b}I \u{202e}buys\n\n all").as_str(), "AI buys all");
    /// ```
    #[must_use]
    pub fn new(text: &str) -> Self {
        let visible = visible(text);
        let mut folded = String::with_capacity(visible.len().min(4 * TEXT_CHARS_MAX));
        for word in visible.split_whitespace() {
            if !folded.is_empty() {
                folded.push(' ');
            }
            folded.push_str(word);
        }
        let folded: String = folded.chars().take(TEXT_CHARS_MAX).collect();
        Self(folded.trim_end().to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing visible was there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for PlainText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `text` without what cannot be seen; breaks of lines and tabs stay as they are.
pub(super) fn visible(text: &str) -> String {
    text.chars().filter(|c| c.is_whitespace() || !(c.is_control() || is_invisible(*c))).collect()
}

/// The words of `text`, in lower case: letters and digits, and an apostrophe or a hyphen inside them.
pub(super) fn words(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '\'' || c == '\u{2019}' || c == '-';
    let trimmed =
        |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase().replace('\u{2019}', "'");
    text.split(|c: char| !is_part(c)).map(trimmed).filter(|word| !word.is_empty()).collect()
}

/// Characters of Unicode's class "format" and fillers that leave no mark: zero-width, direction, tags, variants.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_taken_out() {
        let check = |text: &str, expected: &str| assert_eq!(PlainText::new(text).as_str(), expected, "{text:?}");
        check("A\u{200b}I \u{202e}buys\n\n all", "AI buys all");
        check("\u{feff}  Saka\tstarts \u{0000}\u{0007}", "Saka starts");
        check("tag\u{e0041}ged", "tagged");
        check("Müller – fit", "Müller – fit");
        check(" \u{200b} ", "");
        let long = "ab ".repeat(5_000);
        assert_eq!(PlainText::new(&long).as_str().chars().count(), TEXT_CHARS_MAX);
    }

    #[test]
    fn words_keep_what_is_inside_them() {
        assert_eq!(words("Saka isn\u{2019}t FIT, man-of-the-match!"), ["saka", "isn't", "fit", "man-of-the-match"]);
        assert_eq!(words("'quoted' - 4-0"), ["quoted", "4-0"]);
        assert!(words(" ... ").is_empty());
    }
}
