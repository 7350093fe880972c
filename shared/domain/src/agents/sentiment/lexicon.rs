//! How good or bad words are, from -3 to 3, as football news use them. The list is our own: 123 words. A word that is
//! not on it says nothing.

/// How many words the list has.
pub const WORDS: usize = LEXICON.len();

/// A word that turns round what follows counts this much of it: "not good" is less bad than "bad" (VADER: 0.74).
const NEGATION: f64 = -0.74;
/// How far back a negation reaches, words.
const REACH: usize = 3;
/// A word that makes the next one stronger or weaker.
const BOOST: f64 = 0.3;

const NEGATIONS: [&str; 14] = [
    "not", "no", "never", "without", "neither", "nor", "hardly", "barely", "cannot", "can't", "isn't", "aren't",
    "won't", "nobody",
];
const BOOSTERS: [&str; 8] = ["very", "really", "extremely", "hugely", "so", "highly", "completely", "absolutely"];
const DAMPENERS: [&str; 6] = ["slightly", "somewhat", "partly", "fairly", "rather", "marginally"];

const LEXICON: [(&str, f64); 123] = [
    ("excellent", 3.0),
    ("outstanding", 3.0),
    ("superb", 3.0),
    ("brilliant", 3.0),
    ("dominant", 2.5),
    ("unbeaten", 2.5),
    ("flawless", 3.0),
    ("inspired", 2.5),
    ("thrilling", 2.0),
    ("champions", 2.0),
    ("champion", 2.0),
    ("triumph", 2.5),
    ("victory", 2.0),
    ("win", 1.5),
    ("wins", 1.5),
    ("won", 1.5),
    ("winning", 1.5),
    ("beat", 1.0),
    ("thrash", 2.0),
    ("thrashed", 2.0),
    ("comeback", 1.5),
    ("good", 1.5),
    ("great", 2.0),
    ("strong", 1.5),
    ("stronger", 1.5),
    ("sharp", 1.5),
    ("solid", 1.5),
    ("confident", 1.5),
    ("confidence", 1.0),
    ("ready", 1.0),
    ("fit", 1.5),
    ("fresh", 1.0),
    ("rested", 1.0),
    ("recovered", 2.0),
    ("returns", 1.5),
    ("return", 1.0),
    ("returned", 1.0),
    ("available", 1.0),
    ("boost", 1.5),
    ("boosted", 1.5),
    ("improved", 1.5),
    ("improving", 1.5),
    ("impressive", 2.0),
    ("impressed", 1.5),
    ("hope", 0.5),
    ("hopeful", 1.0),
    ("optimistic", 1.5),
    ("momentum", 1.0),
    ("praise", 1.5),
    ("praised", 1.5),
    ("happy", 1.5),
    ("relaxed", 1.0),
    ("scored", 1.0),
    ("scores", 1.0),
    ("prolific", 2.0),
    ("hat-trick", 2.0),
    ("clinical", 1.5),
    ("signed", 0.5),
    ("cleared", 1.0),
    ("awful", -3.0),
    ("terrible", -3.0),
    ("disastrous", -3.0),
    ("disaster", -3.0),
    ("shambles", -3.0),
    ("humiliated", -3.0),
    ("humiliating", -3.0),
    ("abysmal", -3.0),
    ("woeful", -2.5),
    ("crisis", -2.5),
    ("chaos", -2.5),
    ("collapse", -2.5),
    ("collapsed", -2.5),
    ("defeat", -2.0),
    ("defeated", -2.0),
    ("lose", -1.5),
    ("loses", -1.5),
    ("lost", -1.5),
    ("losing", -1.5),
    ("winless", -2.0),
    ("relegation", -1.5),
    ("relegated", -2.0),
    ("sacked", -2.5),
    ("bad", -1.5),
    ("poor", -1.5),
    ("weak", -1.5),
    ("weaker", -1.5),
    ("tired", -1.5),
    ("fatigue", -1.5),
    ("exhausted", -2.0),
    ("sloppy", -1.5),
    ("struggle", -1.5),
    ("struggles", -1.5),
    ("struggling", -1.5),
    ("injured", -2.5),
    ("injury", -2.0),
    ("injuries", -2.0),
    ("hamstring", -1.5),
    ("stretchered", -2.5),
    ("surgery", -2.5),
    ("sidelined", -2.5),
    ("knock", -1.0),
    ("limped", -2.0),
    ("ill", -1.5),
    ("illness", -1.5),
    ("absent", -2.0),
    ("absence", -1.5),
    ("miss", -1.5),
    ("misses", -1.5),
    ("missing", -1.5),
    ("doubt", -1.0),
    ("doubtful", -1.5),
    ("suspended", -2.0),
    ("suspension", -2.0),
    ("banned", -2.0),
    ("blow", -1.5),
    ("setback", -1.5),
    ("worry", -1.5),
    ("worried", -1.5),
    ("concern", -1.0),
    ("row", -1.0),
    ("rift", -2.0),
    ("unrest", -2.0),
    ("angry", -1.5),
];

/// Sum of the valences of a sentence's words. A negation up to 3 words before turns one round, a booster or dampener
/// just before it makes it stronger or weaker.
///
/// Example: `they are not good` is `1.5 x -0.74 = -1.11`.
pub(super) fn valence(sentence: &[String]) -> f64 {
    let of_word = |(at, word): (usize, &String)| {
        let own = LEXICON.iter().find(|(known, _)| known == word).map_or(0.0, |(_, valence)| *valence);
        let before = &sentence[at.saturating_sub(REACH)..at];
        let stressed = match before.last() {
            Some(last) if BOOSTERS.contains(&last.as_str()) => own * (1.0 + BOOST),
            Some(last) if DAMPENERS.contains(&last.as_str()) => own * (1.0 - BOOST),
            Some(_) | None => own,
        };
        if is_negated(before) { stressed * NEGATION } else { stressed }
    };
    sentence.iter().enumerate().map(of_word).sum()
}

/// Whether one of the words turns round what follows.
pub(super) fn is_negated(before: &[String]) -> bool {
    before.iter().any(|word| NEGATIONS.contains(&word.as_str()) || word.ends_with("n't"))
}

#[cfg(test)]
mod tests {
    use super::super::super::plain_text::words;
    use super::*;

    #[test]
    fn negation_and_stress_change_a_word() {
        let check = |text: &str, expected: f64| {
            let got = valence(&words(text));
            assert!((got - expected).abs() < 1e-12, "{text}: {got}");
        };
        check("they are good", 1.5);
        check("they are not good", -1.11);
        check("they aren't very good", 1.5 * 1.3 * -0.74);
        check("slightly tired", -1.05);
        check("no injuries at all and excellent", 1.48 + 3.0);
        check("not that it would matter but good", 1.5);
        check("the ball is round", 0.0);
        check("", 0.0);
    }

    #[test]
    fn every_word_is_there_once_and_in_range() {
        for (at, (word, valence)) in LEXICON.iter().enumerate() {
            assert!((-3.0..=3.0).contains(valence), "{word}");
            assert_eq!(words(word), [*word], "in the form that texts are read in");
            assert!(LEXICON[at + 1..].iter().all(|(other, _)| other != word), "{word} is there twice");
        }
    }
}
