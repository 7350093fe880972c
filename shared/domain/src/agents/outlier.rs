//! Prices that are typing or feed errors: far above what everybody else quotes for the same outcome.

use super::count::count_to_f64;

/// A price above this multiple of the other books' average price of the same outcome is a typing or feed error.
/// In 21 Premier League seasons such prices were 4.00 for a favourite at 1.40, never a bargain.
pub const MAX_PRICE_RATIO: f64 = 1.6;

/// A book whose price is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outlier {
    /// Position of the book, from 0.
    pub(super) book: usize,
    /// Position of the outcome, from 0.
    pub(super) place: usize,
    /// Its price.
    pub(super) odds: f64,
    /// The average price of the other books at that moment.
    pub(super) average: f64,
}

impl Outlier {
    fn ratio(&self) -> f64 {
        self.odds / self.average
    }
}

/// The books to leave out, in the order found; all books quote the same outcomes.
///
/// Drops the worst outlier, then looks again: one broken book distorts the average that the others are held against.
/// The last two judge each other at the same moment, so two that contradict each other both ways (teams swapped in one
/// of them, and nobody can tell in which) both go.
pub(super) fn outliers(books: &[&[f64]]) -> Vec<Outlier> {
    let (mut left, mut found): (Vec<usize>, Vec<Outlier>) = ((0..books.len()).collect(), Vec::new());
    while left.len() >= 2 {
        let highest: Vec<Outlier> = left.iter().map(|book| highest_price(books, &left, *book)).collect();
        let worst = highest.iter().map(Outlier::ratio).fold(0.0, f64::max);
        if worst <= MAX_PRICE_RATIO {
            break;
        }
        let from = if left.len() == 2 { MAX_PRICE_RATIO.next_up() } else { worst };
        let dropped = found.len();
        found.extend(highest.into_iter().filter(|outlier| outlier.ratio() >= from));
        left.retain(|book| found[dropped..].iter().all(|outlier| outlier.book != *book));
    }
    found
}

/// The price of one book that is highest against the average of the others that are left; of equal ones the first.
fn highest_price(books: &[&[f64]], left: &[usize], book: usize) -> Outlier {
    let compare = |(place, odds): (usize, &f64)| {
        let others: f64 = left.iter().filter(|other| **other != book).map(|other| books[*other][place]).sum();
        Outlier { book, place, odds: *odds, average: others / count_to_f64(left.len() - 1) }
    };
    let none = Outlier { book, place: 0, odds: 0.0, average: 1.0 };
    let prices = books[book].iter().enumerate().map(compare);
    prices.fold(none, |worst, next| if next.ratio() > worst.ratio() { next } else { worst })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_goes_first_and_the_last_two_judge_each_other() {
        let check = |books: &[&[f64]], expected: &[(usize, usize)]| {
            let found: Vec<(usize, usize)> = outliers(books).iter().map(|o| (o.book, o.place)).collect();
            assert_eq!(found, expected, "{books:?}");
        };
        check(&[&[1.4, 4.75, 8.0, 20.0], &[1.4, 4.75, 8.0, 20.0], &[4.0, 4.75, 8.0, 20.0]], &[(2, 0)]);
        check(&[&[2.0, 4.0], &[2.0, 4.0], &[2.0, 41.0], &[2.0, 9.0]], &[(2, 1), (3, 1)]);
        check(&[&[1.4, 8.0], &[8.0, 1.4]], &[(0, 1), (1, 0)]);
        check(&[&[1.4, 8.0]], &[]);
        check(&[], &[]);
    }
}
