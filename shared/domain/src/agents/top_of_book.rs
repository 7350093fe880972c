//! The best bid and ask of one contract with their sizes and age, and what can be wrong with them.

use super::kelly::fee_per_share;

/// A price and what is offered at it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offer {
    /// Price of one contract that pays 1, strictly between 0 and 1.
    pub price: f64,
    /// Contracts, above 0.
    pub size: f64,
}

/// The best of both sides of a contract's book.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopOfBook {
    /// The highest buyer, if there is one.
    pub bid: Option<Offer>,
    /// The lowest seller, if there is one.
    pub ask: Option<Offer>,
    /// Milliseconds since the venue last confirmed it.
    pub age_ms: i64,
}

/// Why a book is not to be traded on.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum QuoteFault {
    /// A price is not strictly between 0 and 1.
    #[error("the price {price} is outside (0, 1)")]
    InvalidPrice {
        /// The number as given.
        price: f64,
    },
    /// A size is not a finite number above 0.
    #[error("the size {size} is not a finite number above 0")]
    InvalidSize {
        /// The number as given.
        size: f64,
    },
    /// Somebody bids as much as or more than another asks: an old or broken book, never a gift.
    #[error("the bid {bid} is not below the ask {ask}")]
    Crossed {
        /// The bid as given.
        bid: f64,
        /// The ask as given.
        ask: f64,
    },
    /// The venue has been silent for too long.
    #[error("the quote is {age_ms} ms old, the limit is {limit_ms} ms")]
    Stale {
        /// How old it is.
        age_ms: i64,
        /// How old it may be.
        limit_ms: i64,
    },
    /// Neither side is there.
    #[error("nobody bids or asks")]
    Empty,
}

impl TopOfBook {
    /// Passes a book that can be traded on, `age_ms_max` milliseconds old at most.
    ///
    /// # Errors
    /// [`QuoteFault`], the first that applies.
    pub fn checked(self, age_ms_max: i64) -> Result<Self, QuoteFault> {
        for offer in [self.bid, self.ask].into_iter().flatten() {
            if !(offer.price > 0.0 && offer.price < 1.0) {
                return Err(QuoteFault::InvalidPrice { price: offer.price });
            }
            if !(offer.size.is_finite() && offer.size > 0.0) {
                return Err(QuoteFault::InvalidSize { size: offer.size });
            }
        }
        match (self.bid, self.ask) {
            (Some(bid), Some(ask)) if bid.price >= ask.price => {
                Err(QuoteFault::Crossed { bid: bid.price, ask: ask.price })
            }
            (None, None) => Err(QuoteFault::Empty),
            (Some(_) | None, Some(_) | None) if self.age_ms > age_ms_max => {
                Err(QuoteFault::Stale { age_ms: self.age_ms, limit_ms: age_ms_max })
            }
            (Some(_) | None, Some(_) | None) => Ok(self),
        }
    }

    /// Ask minus bid; None where a side is missing.
    #[must_use]
    pub fn spread(&self) -> Option<f64> {
        Some(self.ask?.price - self.bid?.price)
    }

    /// The same book from the other side: who buys YES at 0.40 sells NO at 0.60.
    #[must_use]
    pub fn opposite(&self) -> Self {
        let turned = |offer: Option<Offer>| offer.map(|o| Offer { price: 1.0 - o.price, size: o.size });
        Self { bid: turned(self.ask), ask: turned(self.bid), age_ms: self.age_ms }
    }
}

impl Offer {
    /// What a buyer pays for one contract: price + taker fee at `rate`.
    #[must_use]
    pub fn cost(&self, rate: f64) -> f64 {
        self.price + fee_per_share(rate, self.price)
    }

    /// What a seller gets for one contract: price - taker fee at `rate`.
    #[must_use]
    pub fn proceeds(&self, rate: f64) -> f64 {
        self.price - fee_per_share(rate, self.price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(bid: f64, ask: f64) -> TopOfBook {
        let offer = |price| Some(Offer { price, size: 10.0 });
        TopOfBook { bid: offer(bid), ask: offer(ask), age_ms: 100 }
    }

    #[test]
    fn broken_books_are_named() {
        let check = |book: TopOfBook, expected: fn(&QuoteFault) -> bool| {
            let fault = book.checked(1_000).expect_err("broken");
            assert!(expected(&fault), "{fault:?}");
        };
        assert!(book(0.40, 0.41).checked(1_000).is_ok() && book(0.40, 0.41).checked(100).is_ok());
        check(book(0.41, 0.41), |fault| matches!(fault, QuoteFault::Crossed { .. }));
        check(book(0.42, 0.41), |fault| matches!(fault, QuoteFault::Crossed { .. }));
        check(book(0.99, 0.01), |fault| *fault == QuoteFault::Crossed { bid: 0.99, ask: 0.01 });
        check(book(0.0, 0.41), |fault| matches!(fault, QuoteFault::InvalidPrice { .. }));
        check(book(0.40, f64::NAN), |fault| matches!(fault, QuoteFault::InvalidPrice { .. }));
        check(TopOfBook { age_ms: 1_001, ..book(0.40, 0.41) }, |fault| matches!(fault, QuoteFault::Stale { .. }));
        check(TopOfBook { bid: None, ask: None, age_ms: 0 }, |fault| *fault == QuoteFault::Empty);
        let unsized_bid = TopOfBook { bid: Some(Offer { price: 0.4, size: f64::INFINITY }), ..book(0.40, 0.41) };
        check(unsized_bid, |fault| matches!(fault, QuoteFault::InvalidSize { .. }));
        assert!(TopOfBook { bid: None, ..book(0.40, 0.41) }.checked(1_000).is_ok(), "one side is enough");
    }

    #[test]
    fn other_side_and_fees() {
        let no = book(0.40, 0.43).opposite();
        assert!(
            (no.bid.expect("a bid").price - 0.57).abs() < 1e-12 && (no.ask.expect("an ask").price - 0.60).abs() < 1e-12
        );
        assert!((no.spread().expect("two sides") - 0.03).abs() < 1e-12);
        let half = Offer { price: 0.5, size: 1.0 };
        assert!((half.cost(0.03) - 0.5075).abs() < 1e-12 && (half.proceeds(0.03) - 0.4925).abs() < 1e-12);
    }
}
