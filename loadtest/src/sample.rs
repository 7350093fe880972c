//! A bounded, even sample of a sequence whose length is not known beforehand.

/// Keeps every n-th item; when it is full it drops every second one and doubles n.
#[derive(Debug)]
pub(crate) struct Sample<T> {
    items: Vec<T>,
    items_max: usize,
    stride: u64,
    seen: u64,
}

impl<T> Sample<T> {
    /// Keeps between half of `items_max` and all of it once that many were seen.
    pub(crate) const fn new(items_max: usize) -> Self {
        Self { items: Vec::new(), items_max, stride: 1, seen: 0 }
    }

    pub(crate) fn add(&mut self, item: T) {
        let is_wanted = self.items_max > 0 && self.seen.is_multiple_of(self.stride);
        self.seen += 1;
        if !is_wanted {
            return;
        }
        if self.items.len() == self.items_max {
            let mut is_even = false;
            self.items.retain(|_| {
                is_even = !is_even;
                is_even
            });
            self.stride *= 2;
            // Its turn came by the old stride.
            if !(self.seen - 1).is_multiple_of(self.stride) {
                return;
            }
        }
        self.items.push(item);
    }

    pub(crate) fn into_items(self) -> Vec<T> {
        self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(count: u32, items_max: usize, expected: &[u32]) {
        let mut sample = Sample::new(items_max);
        (0..count).for_each(|item| sample.add(item));
        assert_eq!(sample.into_items(), expected, "{items_max} of {count}");
    }

    #[test]
    fn the_sample_is_even_and_bounded() {
        check(3, 4, &[0, 1, 2]);
        check(4, 4, &[0, 1, 2, 3]);
        check(5, 4, &[0, 2, 4]);
        check(8, 4, &[0, 2, 4, 6]);
        check(33, 4, &[0, 16, 32]);
        check(9, 1, &[0]);
        check(9, 0, &[]);
    }
}
