//! Finding copies of a text: similar texts have hashes that differ in few bits (Charikar 2002; for pages of the web
//! Manku, Jain and Sarma 2007 take 3 of 64 bits).

/// Hashes that differ in no more bits than this are taken as copies. News are short, so one changed word moves more
/// bits than in a page; measured on our own samples, unrelated texts differ in 20 and more.
pub const DUPLICATE_BITS_MAX: u32 = 6;

/// The hash of a text given as words in lower case: of its words and of its pairs of words.
#[must_use]
pub fn simhash(words: &[String]) -> u64 {
    let mut votes = [0_i32; 64];
    let pairs = words.windows(2).map(|pair| fnv([pair[0].as_bytes(), b" ", pair[1].as_bytes()]));
    for feature in words.iter().map(|word| fnv([word.as_bytes(), b"", b""])).chain(pairs) {
        for (bit, vote) in votes.iter_mut().enumerate() {
            *vote += if feature >> bit & 1 == 1 { 1 } else { -1 };
        }
    }
    votes.iter().enumerate().filter(|(_, vote)| **vote > 0).fold(0, |hash, (bit, _)| hash | 1 << bit)
}

/// In how many bits two hashes differ.
#[must_use]
pub const fn distance(a: u64, b: u64) -> u32 {
    (a ^ b).count_ones()
}

/// FNV-1a of 64 bits, then mixed (the end of MurmurHash3): alone it leaves the high bits of short words alike.
fn fnv(parts: [&[u8]; 3]) -> u64 {
    let bytes = parts.into_iter().flatten();
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::super::super::plain_text::words;
    use super::*;

    const STORY: &str = "Everton have confirmed that their central defender will miss the next three weeks with a \
        calf problem picked up in training on Tuesday, so the manager has to change his back line for the derby at \
        Goodison Park on Saturday, and may have to do so again for the cup tie in the following week.";

    fn hash(text: &str) -> u64 {
        simhash(&words(text))
    }

    #[test]
    fn copies_are_near_and_other_texts_are_far() {
        assert_eq!(distance(hash(STORY), hash(&STORY.to_uppercase())), 0);
        assert_eq!(distance(hash("Saka is out!"), hash("saka   is out")), 0);
        let changed = STORY.replace("central", "experienced");
        assert!(
            distance(hash(STORY), hash(&changed)) <= DUPLICATE_BITS_MAX,
            "{}",
            distance(hash(STORY), hash(&changed))
        );
        let others = ["Saka is out", "Palmer is fit again", "Villa sign a winger on loan", "Spurs lose at home"];
        for (at, text) in others.iter().enumerate() {
            assert!(distance(hash(STORY), hash(text)) >= 20, "{text}: {}", distance(hash(STORY), hash(text)));
            for other in &others[at + 1..] {
                assert!(
                    distance(hash(text), hash(other)) >= 12,
                    "{text}/{other}: {}",
                    distance(hash(text), hash(other))
                );
            }
        }
        // One word is a third of the news: no copy.
        assert!(distance(hash("Saka is out"), hash("Palmer is out")) > DUPLICATE_BITS_MAX);
    }
}
