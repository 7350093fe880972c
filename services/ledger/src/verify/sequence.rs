//! Which numbers of a sequence were seen, a bit for each: rows need not come in
//! the order of their numbers.

/// The numbers from after `before` up to `last`.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    before: i64,
    last: i64,
    seen: Vec<u64>,
    most: i64,
}

/// What a number is that is added to a [`Sequence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    /// One that was missing.
    New,
    /// One that was there before.
    Twice,
    /// None of the sequence.
    Outside,
}

impl Sequence {
    /// None of them is seen yet.
    pub(crate) const fn new(before: i64, last: i64) -> Self {
        Self { before, last, seen: Vec::new(), most: before }
    }

    /// Marks `number` as seen.
    pub(crate) fn add(&mut self, number: i64) -> Added {
        if number <= self.before || number > self.last {
            return Added::Outside;
        }
        self.most = self.most.max(number);
        let Ok(place) = usize::try_from(number - self.before - 1) else { return Added::Outside };
        let (word, bit) = (place / 64, 1_u64 << (place % 64));
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        if is_new { Added::New } else { Added::Twice }
    }

    /// The largest number there is.
    pub(crate) const fn last(&self) -> i64 {
        self.last
    }

    /// The largest number seen; the one before the first when there is none.
    pub(crate) const fn most(&self) -> i64 {
        self.most
    }

    /// The first number that is missing.
    pub(crate) fn first_missing(&self) -> Option<i64> {
        let word = self.seen.iter().position(|word| *word != u64::MAX).unwrap_or(self.seen.len());
        let bits = self.seen.get(word).map_or(0, |word| word.trailing_ones());
        let place = i64::try_from(word).ok()?.checked_mul(64)?.checked_add(bits.into())?;
        let number = self.before.checked_add(place)?.checked_add(1)?;
        (number <= self.last).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_found_whatever_the_order() {
        for missing in [11, 12, 73, 74, 75, 138, 139, 200] {
            let mut sequence = Sequence::new(10, 200);
            for number in (11..=200).rev().filter(|number| *number != missing) {
                assert_eq!(sequence.add(number), Added::New);
            }
            assert_eq!(sequence.first_missing(), Some(missing));
            assert_eq!(sequence.most(), if missing == 200 { 199 } else { 200 });
            assert_eq!(sequence.add(missing), Added::New);
            assert_eq!((sequence.first_missing(), sequence.add(missing)), (None, Added::Twice));
        }
        let mut sequence = Sequence::new(10, 200);
        assert_eq!([10, 201, i64::MIN, i64::MAX].map(|number| sequence.add(number)), [Added::Outside; 4]);
        assert_eq!(Sequence::new(5, 5).first_missing(), None);
    }
}
