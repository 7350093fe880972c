//! A fingerprint of numbers and names: FNV-1a over 128 bits (Fowler, Noll, Vo). Not for secrets.

/// Takes bytes in and gives 128 bits out.
pub(super) struct Fingerprint(u128);

impl Fingerprint {
    /// The offset and the prime are those of its authors.
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

    pub(super) const fn new() -> Self {
        Self(Self::OFFSET)
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(Self::PRIME);
        }
    }

    pub(super) const fn bits(&self) -> u128 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values_are_met() {
        let of = |text: &str| {
            let mut fingerprint = Fingerprint::new();
            fingerprint.add(text.as_bytes());
            fingerprint.bits()
        };
        // From the authors' list of test values.
        assert_eq!(of(""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(of("a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }
}
