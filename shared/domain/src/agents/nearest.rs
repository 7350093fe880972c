//! The names that somebody may have meant.

/// How many names are offered.
const OFFERED: usize = 3;
/// Names looked at, so that a wrong question costs little.
const NAMES_MAX: usize = 5_000;
/// Longest name compared, bytes.
const LENGTH_MAX: usize = 64;

/// At most three of the names, by the smallest edit distance to `asked`, nearest first; upper and lower case are the
/// same. Looks at the first 5,000 names and at the first 64 bytes of each.
///
/// ```
/// use tragen_domain::agents::nearest::nearest;
/// assert_eq!(nearest("arsnal", ["Aston Villa", "Arsenal", "Fulham"].into_iter())[0], "Arsenal");
/// ```
#[must_use]
pub fn nearest<'a>(asked: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let asked: Vec<u8> = asked.bytes().take(LENGTH_MAX).map(|b| b.to_ascii_uppercase()).collect();
    let mut near: Vec<(usize, &str)> = names.take(NAMES_MAX).map(|name| (distance(&asked, name), name)).collect();
    near.sort_unstable();
    near.into_iter().take(OFFERED).map(|(_, name)| name).collect()
}

/// Insertions, deletions and replacements between two names (Levenshtein).
fn distance(asked: &[u8], name: &str) -> usize {
    let mut row: Vec<usize> = (0..=asked.len()).collect();
    for (line, byte) in name.bytes().take(LENGTH_MAX).map(|b| b.to_ascii_uppercase()).enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for place in 0..asked.len() {
            let replaced = diagonal + usize::from(asked[place] != byte);
            diagonal = row[place + 1];
            row[place + 1] = replaced.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[asked.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_meant_come_first() {
        let names = ["EPL-2026-ARS-MCI", "EPL-2026-LIV-CHE", "EPL-2026-MUN-TOT", "EPL-2026-BRE-CRY"];
        let near = nearest("epl-2026-ars-mc", names.into_iter());
        assert_eq!((near.len(), near[0]), (3, "EPL-2026-ARS-MCI"));
        assert_eq!(distance(b"KITTEN", "sitting"), 3);
        assert_eq!(distance(b"", "abc"), 3);
        assert!(nearest("x", std::iter::empty()).is_empty());
    }
}
