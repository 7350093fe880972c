//! The accounts of a backtest of bets: what was staked, won and lost, and how deep it went down.
//!
//! Money here is a statistic in floats, in whatever unit the bank is; nothing of it is ever booked.

use super::closing_line::{MeanWithT, mean_with_t};
use crate::agents::count::count_to_f64;

/// A bet and how it ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settled {
    /// What was staked.
    pub stake: f64,
    /// The decimal odds.
    pub odds: f64,
    /// Expected return when it was made.
    pub edge: f64,
    /// Whether it won.
    pub has_won: bool,
    /// Value against the closing line; None where nobody recorded that.
    pub closing_line_value: Option<f64>,
}

impl Settled {
    /// What the bet earned; negative when it lost.
    #[must_use]
    pub fn profit(&self) -> f64 {
        if self.has_won { self.stake * (self.odds - 1.0) } else { -self.stake }
    }
}

/// A bank and its bets, in the order they were settled.
#[derive(Debug, Clone, PartialEq)]
pub struct BetBook {
    bank: f64,
    peak: f64,
    max_drawdown: f64,
    wins: usize,
    staked: f64,
    profit: f64,
    edges: Vec<f64>,
    returns: Vec<f64>,
    closing_line_values: Vec<f64>,
}

/// What bets came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BetReport {
    /// How many.
    pub bets: usize,
    /// How many won.
    pub wins: usize,
    /// Sum of the stakes.
    pub staked: f64,
    /// Sum of the profits.
    pub profit: f64,
    /// Profit per money staked; None without bets.
    pub return_on_stake: Option<f64>,
    /// Mean profit per unit staked, every bet counting the same, with its t; None without bets.
    pub return_per_bet: Option<MeanWithT>,
    /// Mean expected return; None without bets.
    pub mean_edge: Option<f64>,
    /// Mean value against the closing line, of the bets that have one.
    pub closing_line_value: Option<MeanWithT>,
    /// Largest fall of the bank from its highest, as a share of that.
    pub max_drawdown: f64,
    /// The bank at the end.
    pub bank: f64,
}

impl BetBook {
    /// A bank without bets.
    #[must_use]
    pub const fn new(bank: f64) -> Self {
        Self {
            bank,
            peak: bank,
            max_drawdown: 0.0,
            wins: 0,
            staked: 0.0,
            profit: 0.0,
            edges: Vec::new(),
            returns: Vec::new(),
            closing_line_values: Vec::new(),
        }
    }

    /// The bank now.
    #[must_use]
    pub const fn bank(&self) -> f64 {
        self.bank
    }

    /// Takes in a settled bet.
    pub fn settle(&mut self, bet: &Settled) {
        let profit = bet.profit();
        self.bank += profit;
        self.peak = self.peak.max(self.bank);
        self.max_drawdown = self.max_drawdown.max((self.peak - self.bank) / self.peak);
        self.wins += usize::from(bet.has_won);
        self.staked += bet.stake;
        self.profit += profit;
        self.edges.push(bet.edge);
        self.returns.push(if bet.has_won { bet.odds - 1.0 } else { -1.0 });
        self.closing_line_values.extend(bet.closing_line_value);
    }

    /// The figures so far.
    #[must_use]
    pub fn report(&self) -> BetReport {
        let bets = self.edges.len();
        BetReport {
            bets,
            wins: self.wins,
            staked: self.staked,
            profit: self.profit,
            return_on_stake: (self.staked > 0.0).then(|| self.profit / self.staked),
            return_per_bet: mean_with_t(&self.returns),
            mean_edge: (bets > 0).then(|| self.edges.iter().sum::<f64>() / count_to_f64(bets)),
            closing_line_value: mean_with_t(&self.closing_line_values),
            max_drawdown: self.max_drawdown,
            bank: self.bank,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banks_rise_and_fall() {
        let bet = |has_won| Settled { stake: 100.0, odds: 3.0, edge: 0.1, has_won, closing_line_value: None };
        let mut book = BetBook::new(1_000.0);
        assert_eq!((book.report().bets, book.report().return_on_stake), (0, None));
        for has_won in [true, false, false, false, true] {
            book.settle(&bet(has_won));
        }
        let report = book.report();
        assert_eq!((report.bets, report.wins), (5, 2));
        // 1,200 at best, then 900.
        assert!((report.max_drawdown - 0.25).abs() < 1e-12 && (report.bank - 1_100.0).abs() < 1e-9);
        assert!((report.return_on_stake.expect("bets") - 0.2).abs() < 1e-12);
        assert_eq!((report.closing_line_value, report.return_per_bet.map(|r| r.count)), (None, Some(5)));
    }
}
