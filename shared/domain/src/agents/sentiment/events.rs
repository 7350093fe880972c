//! What a sentence says has happened, by a table of phrases.

use super::super::plain_text::words;
use super::lexicon::is_negated;

/// Something that matters for who plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// Will not play for a reason of health.
    Injured,
    /// May not play.
    Doubtful,
    /// Can play.
    Fit,
    /// Must not play.
    Suspended,
    /// Comes or goes.
    Transfer,
}

/// The phrases of each kind, longer ones first where one contains another.
const PHRASES: [(EventKind, &[&str]); 5] = [
    (
        EventKind::Injured,
        &[
            "ruled out",
            "out for",
            "out with",
            "out injured",
            "will miss",
            "set to miss",
            "injured",
            "injury",
            "hamstring",
            "stretchered",
            "sidelined",
            "surgery",
            "torn",
            "broken leg",
            "fractured",
        ],
    ),
    (
        EventKind::Doubtful,
        &[
            "doubtful",
            "a doubt",
            "in doubt",
            "late fitness test",
            "fitness test",
            "late test",
            "touch and go",
            "a knock",
            "50-50",
            "might miss",
            "may miss",
        ],
    ),
    (
        EventKind::Fit,
        &[
            "fit again",
            "fully fit",
            "passed fit",
            "declared fit",
            "back in training",
            "returns to training",
            "returned to training",
            "back in the squad",
            "available again",
            "recovered",
            "fit to play",
            "is fit",
            "are fit",
        ],
    ),
    (
        EventKind::Suspended,
        &["suspended", "suspension", "banned", "one-match ban", "three-match ban", "serves a ban", "red card"],
    ),
    (
        EventKind::Transfer,
        &[
            "signs for",
            "signed for",
            "has signed",
            "joins",
            "joined",
            "on loan",
            "transfer",
            "undergoes a medical",
            "completes a move",
            "leaves for",
        ],
    ),
];

/// The kinds a sentence tells of, each at most once. "Not injured" tells that he is fit, "not fit" that he is doubtful;
/// a suspension or transfer that is denied tells nothing.
pub(super) fn events(sentence: &[String]) -> Vec<EventKind> {
    let found = PHRASES.iter().filter_map(|(kind, phrases)| {
        let at = phrases.iter().find_map(|phrase| place(sentence, &words(phrase)))?;
        if is_negated(&sentence[at.saturating_sub(3)..at]) { denied(*kind) } else { Some(*kind) }
    });
    let mut kinds: Vec<EventKind> = found.collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// What is left when a kind is denied.
const fn denied(kind: EventKind) -> Option<EventKind> {
    match kind {
        EventKind::Injured | EventKind::Doubtful => Some(EventKind::Fit),
        EventKind::Fit => Some(EventKind::Doubtful),
        EventKind::Suspended | EventKind::Transfer => None,
    }
}

fn place(sentence: &[String], phrase: &[String]) -> Option<usize> {
    sentence.windows(phrase.len()).position(|window| window == phrase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_tell_what_happened() {
        use EventKind::{Doubtful, Fit, Injured, Suspended, Transfer};
        let check = |text: &str, expected: &[EventKind]| assert_eq!(events(&words(text)), expected, "{text}");
        check("Saka ruled out for three weeks", &[Injured]);
        check("Saka faces a late fitness test", &[Doubtful]);
        check("Saka is fit again", &[Fit]);
        check("Saka is not injured", &[Fit]);
        check("Saka isn't fully fit", &[Doubtful]);
        check("Saka banned after his red card", &[Suspended]);
        check("Saka was not suspended", &[]);
        check("The winger joins on loan", &[Transfer]);
        check("Saka is out with an injury and Rice is in doubt", &[Injured, Doubtful]);
        check("Saka scored twice", &[]);
    }
}
