//! Keys of two texts (account and currency, account and instrument), looked up
//! without making the texts: `map.get(&(account_id, currency) as &dyn Pair)`.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
};

/// Two texts, owned or borrowed.
pub(crate) trait Pair {
    /// Both.
    fn texts(&self) -> (&str, &str);
}

impl Pair for (String, String) {
    fn texts(&self) -> (&str, &str) {
        (&self.0, &self.1)
    }
}

impl Pair for (&str, &str) {
    fn texts(&self) -> (&str, &str) {
        *self
    }
}

impl<'a> Borrow<dyn Pair + 'a> for (String, String) {
    fn borrow(&self) -> &(dyn Pair + 'a) {
        self
    }
}

// As a borrowed key must: it hashes and compares as the owned pair does.
impl Hash for dyn Pair + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.texts().hash(state);
    }
}

impl PartialEq for dyn Pair + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.texts() == other.texts()
    }
}

impl Eq for dyn Pair + '_ {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_pair_is_found_by_its_texts() {
        let known =
            HashMap::from([(("alice".to_owned(), "USD".to_owned()), 1), (("alice".to_owned(), "EUR".to_owned()), 2)]);
        assert_eq!(known.get(&("alice", "EUR") as &dyn Pair), Some(&2));
        assert_eq!(known.get(&("alic", "eEUR") as &dyn Pair), None);
        assert_eq!(known.get(&("EUR", "alice") as &dyn Pair), None);
    }
}
