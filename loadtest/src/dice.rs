//! All chance of a run: SplitMix64 from one seed. Every name has numbers of its
//! own, so that drawing more of one kind does not shift another.

/// A source of random numbers; the same seed and name give the same numbers.
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    /// Numbers of their own for every `name`.
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        let mix = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self { state: mixed(name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, mix)) }
    }

    /// The next number.
    pub(crate) fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.state)
    }

    /// From 0 to `end`, which is excluded; 0 for an `end` of 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.number().checked_rem(end).unwrap_or(0)
    }

    /// The number that belongs to `turn`, whatever was drawn before.
    pub(crate) fn at(&self, turn: u64) -> u64 {
        mixed(self.state.wrapping_add(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

fn mixed(state: u64) -> u64 {
    let mut mixed = state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_name_make_the_numbers() {
        let drawn = |seed, name| {
            let mut dice = Dice::new(seed, name);
            [(); 4].map(|()| dice.below(1_000))
        };
        assert_eq!(drawn(7, "faults"), drawn(7, "faults"));
        assert_ne!(drawn(7, "faults"), drawn(8, "faults"));
        assert_ne!(drawn(7, "faults"), drawn(7, "load"));
        assert_eq!(Dice::new(1, "x").at(9), Dice::new(1, "x").at(9));
        assert_eq!(Dice::new(1, "x").below(0), 0);
    }
}
