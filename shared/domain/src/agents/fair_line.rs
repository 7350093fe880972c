//! The fair probabilities of one match from many bookmakers: broken prices out, margins out, then the consensus.

use super::consensus::{ConsensusError, Opinion, consensus};
use super::devig::{DevigError, DevigMethod, devig};
use super::outlier::{Outlier, outliers};

pub use super::outlier::MAX_PRICE_RATIO;

/// The outcomes of a match after 90 minutes. Arrays of three are in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// The home team wins.
    Home,
    /// Nobody wins.
    Draw,
    /// The away team wins.
    Away,
}

impl Outcome {
    /// All outcomes, in the order of every array of three.
    pub const ALL: [Self; 3] = [Self::Home, Self::Draw, Self::Away];

    /// This outcome's entry of an array of three.
    #[must_use]
    pub fn of<T: Copy>(self, [home, draw, away]: &[T; 3]) -> T {
        match self {
            Self::Home => *home,
            Self::Draw => *draw,
            Self::Away => *away,
        }
    }
}

/// One bookmaker's prices for a match.
#[derive(Debug, Clone, PartialEq)]
pub struct Book {
    /// Name of the bookmaker or exchange, for the explanation.
    pub bookmaker: String,
    /// How much it counts; [`super::consensus::SHARP_WEIGHT`] or [`super::consensus::SOFT_WEIGHT`].
    pub weight: f64,
    /// Decimal odds of home, draw and away.
    pub odds: [f64; 3],
}

/// Why a book was left out.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum BookFault {
    /// Its odds cannot be read.
    #[error("its odds cannot be read")]
    Unreadable(#[source] DevigError),
    /// Its weight is not a finite number above 0.
    #[error("its weight {weight} is not a finite number above 0")]
    InvalidWeight {
        /// The number as given.
        weight: f64,
    },
    /// One of its prices is more than [`MAX_PRICE_RATIO`] times the others' average.
    #[error("its odds {odds} for {outcome:?} are far above the others' average {average}")]
    Outlier {
        /// Where.
        outcome: Outcome,
        /// Its price.
        odds: f64,
        /// The mean price of the other books.
        average: f64,
    },
}

/// A book that does not take part.
#[derive(Debug, Clone, PartialEq)]
pub struct DroppedBook {
    /// Its name.
    pub bookmaker: String,
    /// Why.
    pub fault: BookFault,
}

/// What all usable books together believe.
#[derive(Debug, Clone, PartialEq)]
pub struct FairLine {
    /// Probability of home, draw and away; they sum to 1.
    pub probabilities: [f64; 3],
    /// How many books it rests on, at least 1.
    pub books_used: usize,
    /// The books left out, in the order found.
    pub dropped: Vec<DroppedBook>,
}

impl FairLine {
    /// The share of the books that could be used, parts per million.
    #[must_use]
    pub fn confidence_ppm(&self) -> u32 {
        share_ppm(self.books_used, self.books_used + self.dropped.len())
    }
}

/// A part of a whole, parts per million, down; all of nothing.
pub(crate) fn share_ppm(part: usize, whole: usize) -> u32 {
    let ppm = (part.min(whole) * 1_000_000).checked_div(whole);
    ppm.and_then(|ppm| u32::try_from(ppm).ok()).unwrap_or(1_000_000)
}

/// Why there is no fair line.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FairLineError {
    /// No book was given.
    #[error("no bookmaker has a price")]
    NoBooks,
    /// Every book was left out.
    #[error("none of {} books is usable", dropped.len())]
    NoUsableBook {
        /// The books and their faults.
        dropped: Vec<DroppedBook>,
    },
    /// The usable books cannot be joined.
    #[error("the books cannot be joined")]
    NoConsensus(#[source] ConsensusError),
}

/// De-vigs every usable book and joins them by the weighted mean of log-odds.
///
/// Example: Pinnacle at 2.00 / 3.50 / 4.00 alone gives its own Shin probabilities. A second book at 6.00 / 3.50 / 4.00
/// changes nothing: its home price is 3 times the first one's, so it is left out and named.
///
/// # Errors
/// [`FairLineError`] when no book is given or none is usable.
pub fn fair_line(books: &[Book], method: DevigMethod) -> Result<FairLine, FairLineError> {
    let (readable, dropped) = usable(books, method)?;
    join(readable, dropped)
}

/// What each way of removing margins makes of the books.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MethodLine {
    /// The way.
    pub method: DevigMethod,
    /// Probability of home, draw and away.
    pub probabilities: [f64; 3],
}

/// [`fair_line`] by `method`, and beside it the lines of all five methods from the same books: where they differ by more
/// than an edge, the edge is an opinion about margins.
///
/// # Errors
/// [`FairLineError`] as of [`fair_line`].
pub fn fair_lines(
    books: &[Book],
    method: DevigMethod,
) -> Result<(FairLine, [MethodLine; DevigMethod::ALL.len()]), FairLineError> {
    let (readable, dropped) = usable(books, method)?;
    let used: Vec<&Book> = readable.iter().map(|(book, _)| *book).collect();
    let line = join(readable, dropped)?;
    let by_method = DevigMethod::ALL.map(|other| {
        // What one method can read all can.
        let opinions = used.iter().filter_map(|book| read(book, other).ok().map(|opinion| (*book, opinion)));
        let again = (other != method).then(|| join(opinions.collect(), Vec::new()));
        let probabilities = again.and_then(Result::ok).map_or(line.probabilities, |line| line.probabilities);
        MethodLine { method: other, probabilities }
    });
    Ok((line, by_method))
}

/// The books that take part, with their opinions, and those that do not.
type Usable<'a> = (Vec<(&'a Book, Opinion)>, Vec<DroppedBook>);

fn usable(books: &[Book], method: DevigMethod) -> Result<Usable<'_>, FairLineError> {
    if books.is_empty() {
        return Err(FairLineError::NoBooks);
    }
    let mut dropped = Vec::new();
    let mut readable: Vec<(&Book, Opinion)> = Vec::with_capacity(books.len());
    for book in books {
        match read(book, method) {
            Ok(opinion) => readable.push((book, opinion)),
            Err(fault) => dropped.push(DroppedBook { bookmaker: book.bookmaker.clone(), fault }),
        }
    }
    let odds: Vec<&[f64]> = readable.iter().map(|(book, _)| book.odds.as_slice()).collect();
    let outliers = outliers(&odds);
    for Outlier { book, place, odds, average } in &outliers {
        let fault = BookFault::Outlier { outcome: Outcome::ALL[*place], odds: *odds, average: *average };
        dropped.push(DroppedBook { bookmaker: readable[*book].0.bookmaker.clone(), fault });
    }
    let mut place = 0..;
    readable.retain(|_| place.next().is_some_and(|own| outliers.iter().all(|outlier| outlier.book != own)));
    if readable.is_empty() {
        return Err(FairLineError::NoUsableBook { dropped });
    }
    Ok((readable, dropped))
}

fn join(readable: Vec<(&Book, Opinion)>, dropped: Vec<DroppedBook>) -> Result<FairLine, FairLineError> {
    let opinions: Vec<Opinion> = readable.into_iter().map(|(_, opinion)| opinion).collect();
    let joined = consensus(&opinions).map_err(FairLineError::NoConsensus)?;
    let mut probabilities = [0.0; 3];
    probabilities.copy_from_slice(&joined);
    Ok(FairLine { probabilities, books_used: opinions.len(), dropped })
}

fn read(book: &Book, method: DevigMethod) -> Result<Opinion, BookFault> {
    if !(book.weight.is_finite() && book.weight > 0.0) {
        return Err(BookFault::InvalidWeight { weight: book.weight });
    }
    let fair = devig(method, &book.odds).map_err(BookFault::Unreadable)?;
    Ok(Opinion { weight: book.weight, probabilities: fair.probabilities })
}

#[cfg(test)]
mod tests {
    use super::super::consensus::{SHARP_WEIGHT, SOFT_WEIGHT};
    use super::*;

    fn book(bookmaker: &str, weight: f64, odds: [f64; 3]) -> Book {
        Book { bookmaker: bookmaker.to_owned(), weight, odds }
    }

    /// Checks who is dropped and how many are used; returns the line.
    fn check(books: &[Book], dropped: &[&str], used: usize) -> Option<FairLine> {
        let names = |faults: &[DroppedBook]| faults.iter().map(|d| d.bookmaker.clone()).collect::<Vec<_>>();
        match fair_line(books, DevigMethod::Shin) {
            Ok(line) => {
                assert_eq!(
                    (names(&line.dropped), line.books_used),
                    (dropped.iter().map(|d| (*d).to_owned()).collect(), used)
                );
                assert!((line.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                Some(line)
            }
            Err(FairLineError::NoUsableBook { dropped: faults }) => {
                assert_eq!((names(&faults), 0), (dropped.iter().map(|d| (*d).to_owned()).collect(), used));
                None
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn one_book_is_its_own_consensus() {
        let line = check(&[book("sharp", SHARP_WEIGHT, [1.65, 4.23, 5.28])], &[], 1).expect("usable");
        let shin = [0.593_383_879_995_959_7, 0.226_618_680_345_051_84, 0.179_997_439_658_988_43];
        for (p, expected) in line.probabilities.iter().zip(shin) {
            assert!((p - expected).abs() < 1e-9, "{p} is not {expected}");
        }
    }

    #[test]
    fn consensus_lies_between_the_books_and_nearer_to_the_sharp_one() {
        let (sharp, soft) = (book("sharp", SHARP_WEIGHT, [2.0, 3.5, 4.0]), book("soft", SOFT_WEIGHT, [2.4, 3.4, 3.1]));
        let alone = |book: &Book| check(std::slice::from_ref(book), &[], 1).expect("usable").probabilities[0];
        let (high, low) = (alone(&sharp), alone(&soft));
        let joined = check(&[sharp, soft], &[], 2).expect("usable").probabilities[0];
        assert!(low < joined && joined < high && high - joined < joined - low, "{low} {joined} {high}");
        let equal = check(&[book("a", 1.0, [2.0, 3.5, 4.0]), book("b", 1.0, [2.4, 3.4, 3.1])], &[], 2);
        assert!(equal.expect("usable").probabilities[0] < joined);
    }

    #[test]
    fn every_method_tells_its_own_line_from_the_same_books() {
        let mut books = vec![book("a", SHARP_WEIGHT, [1.2, 7.0, 15.0]), book("b", SOFT_WEIGHT, [1.22, 6.5, 13.0])];
        books.push(book("typo", SOFT_WEIGHT, [12.0, 7.0, 15.0]));
        let (line, by_method) = fair_lines(&books, DevigMethod::Shin).expect("usable");
        assert_eq!(line, fair_line(&books, DevigMethod::Shin).expect("usable"));
        for MethodLine { method, probabilities } in by_method {
            let alone = fair_line(&books[..2], method).expect("usable").probabilities;
            assert!(probabilities.iter().zip(alone).all(|(p, q)| (p - q).abs() < 1e-12), "{method:?}");
        }
        // The longshot is dearest where the margin is spread evenly.
        let away = |wanted: DevigMethod| {
            by_method.iter().find(|line| line.method == wanted).map_or(0.0, |line| line.probabilities[2])
        };
        assert!(away(DevigMethod::Multiplicative) > away(DevigMethod::Shin));
        assert_eq!(fair_lines(&[], DevigMethod::Shin), Err(FairLineError::NoBooks));
    }

    #[test]
    fn broken_prices_do_not_reach_the_consensus() {
        let good = |name: &str| book(name, SOFT_WEIGHT, [1.40, 4.75, 8.00]);
        check(&[good("a"), book("typo", SOFT_WEIGHT, [4.00, 4.75, 8.00])], &["typo"], 1);
        check(&[good("a"), good("b"), book("typo", SHARP_WEIGHT, [4.00, 4.75, 8.00])], &["typo"], 2);
        // Teams swapped: among three the odd one goes, of two nobody knows which one is right.
        check(&[good("a"), good("b"), book("swapped", SOFT_WEIGHT, [8.10, 4.75, 1.42])], &["swapped"], 2);
        check(&[good("a"), book("swapped", SOFT_WEIGHT, [8.10, 4.75, 1.42])], &["a", "swapped"], 0);
        // Just at the limit is not above it.
        check(&[book("a", 1.0, [2.0, 4.0, 4.0]), book("b", 1.0, [3.2, 4.0, 4.0])], &[], 2);
        check(&[book("a", 1.0, [2.0, 4.0, 4.0]), book("b", 1.0, [3.21, 4.0, 4.0])], &["b"], 1);
        check(&[book("a", 1.0, [1.0, 4.0, 4.0]), good("b"), book("c", 0.0, [1.4, 4.75, 8.0])], &["a", "c"], 1);
        check(&[book("a", f64::NAN, [2.0, 4.0, 4.0])], &["a"], 0);
        assert_eq!(fair_line(&[], DevigMethod::Shin), Err(FairLineError::NoBooks));
    }
}
