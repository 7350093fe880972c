//! The fair probabilities of a market with any number of exclusive outcomes, such as the score or the first scorer.
//!
//! As [`super::fair_line`] for home, draw and away. With four outcomes and more, margins are removed by the power method:
//! Shin's share of insiders is not one number there, and longshots carry most of the margin.

use super::consensus::{ConsensusError, Opinion, consensus};
use super::devig::{DevigError, DevigMethod, devig};
use super::outlier::{Outlier, outliers};

/// Most outcomes of a market.
pub const OUTCOMES_MAX: usize = 128;

/// One bookmaker's prices for a market.
#[derive(Debug, Clone, PartialEq)]
pub struct MarketBook {
    /// Name of the bookmaker or exchange.
    pub bookmaker: String,
    /// How much it counts; [`super::consensus::SHARP_WEIGHT`] or [`super::consensus::SOFT_WEIGHT`].
    pub weight: f64,
    /// Decimal odds, one per outcome, the same outcomes in the same order in every book.
    pub odds: Vec<f64>,
}

/// Why a book was left out.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum MarketFault {
    /// Its odds cannot be read.
    #[error("its odds cannot be read")]
    Unreadable(#[source] DevigError),
    /// It quotes another number of outcomes than the first book, or too many.
    #[error("it quotes {outcomes} outcomes, not {expected}")]
    OutcomeMismatch {
        /// Its number.
        outcomes: usize,
        /// The number of the first book, at most [`OUTCOMES_MAX`].
        expected: usize,
    },
    /// Its weight is not a finite number above 0.
    #[error("its weight {weight} is not a finite number above 0")]
    InvalidWeight {
        /// The number as given.
        weight: f64,
    },
    /// One of its prices is more than [`super::fair_line::MAX_PRICE_RATIO`] times the others' average.
    #[error("its odds {odds} for outcome {place} are far above the others' average {average}")]
    Outlier {
        /// Position of the outcome, from 0.
        place: usize,
        /// Its price.
        odds: f64,
        /// The mean price of the other books.
        average: f64,
    },
}

/// What all usable books together believe.
#[derive(Debug, Clone, PartialEq)]
pub struct FairMarket {
    /// How margins were removed, by the number of outcomes.
    pub method: DevigMethod,
    /// One probability per outcome; they sum to 1.
    pub probabilities: Vec<f64>,
    /// How many books it rests on, at least 1.
    pub books_used: usize,
    /// Position and fault of the books left out, in the order found.
    pub dropped: Vec<(usize, MarketFault)>,
}

/// Why there are no fair probabilities.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FairMarketError {
    /// No book was given.
    #[error("no bookmaker has a price")]
    NoBooks,
    /// Every book was left out.
    #[error("none of {} books is usable", dropped.len())]
    NoUsableBook {
        /// Position and fault of each.
        dropped: Vec<(usize, MarketFault)>,
    },
    /// The usable books cannot be joined.
    #[error("the books cannot be joined")]
    NoConsensus(#[source] ConsensusError),
}

/// De-vigs every usable book by the method for its number of outcomes and joins them by the weighted mean of log-odds.
///
/// Example: four equal outcomes at 3.80 each are 25 % each.
///
/// # Errors
/// [`FairMarketError`] when no book is given or none is usable.
pub fn fair_market(books: &[MarketBook]) -> Result<FairMarket, FairMarketError> {
    let expected = books.first().ok_or(FairMarketError::NoBooks)?.odds.len().min(OUTCOMES_MAX);
    let method = DevigMethod::for_outcomes(expected);
    let (mut readable, mut dropped) = (Vec::with_capacity(books.len()), Vec::new());
    for (position, book) in books.iter().enumerate() {
        match read(book, method, expected) {
            Ok(opinion) => readable.push((position, opinion)),
            Err(fault) => dropped.push((position, fault)),
        }
    }
    let odds: Vec<&[f64]> = readable.iter().map(|(position, _)| books[*position].odds.as_slice()).collect();
    let outliers = outliers(&odds);
    dropped.extend(outliers.iter().map(|Outlier { book, place, odds, average }| {
        (readable[*book].0, MarketFault::Outlier { place: *place, odds: *odds, average: *average })
    }));
    let is_kept = |place: usize| outliers.iter().all(|outlier| outlier.book != place);
    let kept = readable.into_iter().enumerate().filter(|(place, _)| is_kept(*place));
    let opinions: Vec<Opinion> = kept.map(|(_, (_, opinion))| opinion).collect();
    if opinions.is_empty() {
        return Err(FairMarketError::NoUsableBook { dropped });
    }
    let probabilities = consensus(&opinions).map_err(FairMarketError::NoConsensus)?;
    Ok(FairMarket { method, probabilities, books_used: opinions.len(), dropped })
}

fn read(book: &MarketBook, method: DevigMethod, expected: usize) -> Result<Opinion, MarketFault> {
    if book.odds.len() != expected {
        return Err(MarketFault::OutcomeMismatch { outcomes: book.odds.len(), expected });
    }
    if !(book.weight.is_finite() && book.weight > 0.0) {
        return Err(MarketFault::InvalidWeight { weight: book.weight });
    }
    let fair = devig(method, &book.odds).map_err(MarketFault::Unreadable)?;
    Ok(Opinion { weight: book.weight, probabilities: fair.probabilities })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(weight: f64, odds: &[f64]) -> MarketBook {
        MarketBook { bookmaker: "a".to_owned(), weight, odds: odds.to_vec() }
    }

    #[test]
    fn the_number_of_outcomes_decides_the_method() {
        let check = |odds: &[f64], method: DevigMethod| {
            let market = fair_market(&[book(3.0, odds)]).expect("usable");
            let alone = devig(method, odds).expect("valid").probabilities;
            assert_eq!((market.method, market.books_used), (method, 1));
            assert!(market.probabilities.iter().zip(alone).all(|(p, q)| (p - q).abs() < 1e-12));
            assert!((market.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        };
        check(&[1.9, 1.9], DevigMethod::Shin);
        check(&[2.0, 3.5, 4.0], DevigMethod::Shin);
        check(&[3.8, 3.8, 3.8, 3.8], DevigMethod::Power);
        check(&[2.5, 4.0, 6.0, 9.0, 15.0, 26.0], DevigMethod::Power);
    }

    #[test]
    fn broken_books_are_left_out_and_named() {
        let good = || book(1.0, &[3.8, 3.8, 3.8, 3.8]);
        let check = |bad: MarketBook, is_expected: fn(&MarketFault) -> bool| {
            let market = fair_market(&[good(), good(), bad]).expect("usable");
            assert_eq!((market.books_used, market.dropped.len(), market.dropped[0].0), (2, 1, 2));
            assert!(is_expected(&market.dropped[0].1), "{:?}", market.dropped);
        };
        check(book(1.0, &[3.8, 3.8, 3.8]), |f| *f == MarketFault::OutcomeMismatch { outcomes: 3, expected: 4 });
        check(book(0.0, &[3.8; 4]), |f| *f == MarketFault::InvalidWeight { weight: 0.0 });
        check(book(1.0, &[3.8, 1.0, 3.8, 3.8]), |f| matches!(f, MarketFault::Unreadable(_)));
        check(book(1.0, &[3.8, 3.8, 38.0, 3.8]), |f| matches!(f, MarketFault::Outlier { place: 2, .. }));
        assert_eq!(fair_market(&[]), Err(FairMarketError::NoBooks));
        let crowd = fair_market(&[book(1.0, &[200.0; 129])]);
        assert!(matches!(crowd, Err(FairMarketError::NoUsableBook { .. })));
    }
}
