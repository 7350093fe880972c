//! scannerAgent: which contracts of one event can be bought together for less than they pay for certain?
//!
//! | set | pays | bought when |
//! |---|---|---|
//! | YES and NO of one outcome | 1 | both cost less than 1 |
//! | YES of all n outcomes | 1 | they cost less than 1 |
//! | NO of all n outcomes | n - 1 | they cost less than n - 1 |
//!
//! Every leg is taken where it is cheapest after that venue's fee, so sets cross venues by themselves. All legs are sent
//! fill-or-kill, the scarcest first: half of a set is a bet. A venue that runs one book for YES and NO cannot have such
//! a pair of its own; where it seems to, its data is broken. No wallet, no user, no clock. The sums follow from what the
//! contracts pay; there is no model in it.

use super::count::count_to_f64;
use super::top_of_book::{Offer, QuoteFault, TopOfBook};
use crate::order::TimeInForce;

/// Most outcomes of one event.
pub const OUTCOMES_MAX: usize = 16;
/// Two numbers nearer than this are the same price.
const SAME_PRICE: f64 = 1e-9;

/// The NO side of a contract.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NoSide {
    /// The same book from the other side (Polymarket, Kalshi); shown as well, or not.
    Mirrored(Option<TopOfBook>),
    /// A book of its own.
    Separate(TopOfBook),
}

/// The contract on one outcome at one venue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Listing<'a> {
    /// Name of the venue.
    pub venue: &'a str,
    /// Which outcome of the event, from 0.
    pub outcome: usize,
    /// Book of the YES contract.
    pub yes: TopOfBook,
    /// Book of the NO contract.
    pub no: NoSide,
    /// The venue's taker fee rate in this market, 0 to 1; see [`super::kelly::fee_per_share`].
    pub fee_rate: f64,
    /// Contracts or money traded so far, as the venue counts.
    pub volume: f64,
    /// Money resting in the book, as the venue counts.
    pub liquidity: f64,
}

/// An event with outcomes of which exactly one happens, and everything that is listed on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventView<'a> {
    /// How many outcomes there are, 2 to [`OUTCOMES_MAX`].
    pub outcomes: usize,
    /// All contracts of all venues.
    pub listings: &'a [Listing<'a>],
}

/// The numbers of the rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScannerRules {
    /// Older books are stale, milliseconds.
    pub age_ms_max: i64,
    /// Least volume of a listing.
    pub min_volume: f64,
    /// Least liquidity of a listing.
    pub min_liquidity: f64,
    /// Widest spread of a listing, in price (0.04 = 4 cents).
    pub max_spread: f64,
    /// Least return on the cost of a set, after fees.
    pub min_return: f64,
    /// A higher return is a data fault.
    pub max_return: f64,
}

impl Default for ScannerRules {
    /// 5 s, volume and liquidity of 100, a spread of 4 cents; returns up to 10 %.
    fn default() -> Self {
        Self {
            age_ms_max: 5_000,
            min_volume: 100.0,
            min_liquidity: 100.0,
            max_spread: 0.04,
            min_return: 0.0,
            max_return: 0.10,
        }
    }
}

/// Which contract of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Contract {
    /// Pays 1 when the outcome happens.
    Yes,
    /// Pays 1 when it does not.
    No,
}

/// One order of a set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leg {
    /// Position of the listing in [`EventView::listings`].
    pub listing: usize,
    /// What to buy.
    pub contract: Contract,
    /// The highest price to pay.
    pub limit: f64,
    /// Price and fee of one contract.
    pub cost: f64,
    /// Contracts offered at that price.
    pub size: f64,
}

/// What a set is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SetKind {
    /// YES and NO of this outcome.
    YesNo {
        /// From 0.
        outcome: usize,
    },
    /// YES of every outcome.
    AllYes,
    /// NO of every outcome.
    AllNo,
}

/// A set of contracts that pays more than it costs, whatever happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Arbitrage {
    /// What it is made of.
    pub kind: SetKind,
    /// The orders, scarcest first: send them in this order.
    pub legs: Vec<Leg>,
    /// How each order is sent.
    pub time_in_force: TimeInForce,
    /// What one set pays for certain.
    pub pays: f64,
    /// What one set costs after fees.
    pub cost: f64,
    /// `pays - cost`.
    pub profit: f64,
    /// `profit / cost`.
    pub return_on_cost: f64,
    /// How many sets are offered: the smallest size of all legs.
    pub sets: f64,
}

impl Arbitrage {
    /// Profit of all sets on offer.
    #[must_use]
    pub fn total_profit(&self) -> f64 {
        self.sets * self.profit
    }
}

/// Why a listing or a set is left out.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ScanSkip {
    /// The event has no such outcome.
    #[error("there is no outcome {outcome}")]
    UnknownOutcome {
        /// As given.
        outcome: usize,
    },
    /// Its YES book cannot be traded on.
    #[error("the YES book cannot be used")]
    YesBook(#[source] QuoteFault),
    /// Its NO book cannot be traded on.
    #[error("the NO book cannot be used")]
    NoBook(#[source] QuoteFault),
    /// The venue runs one book, but shows two that differ.
    #[error("YES bid {yes_bid} and NO ask {no_ask} of one book do not add up to 1")]
    SidesDisagree {
        /// Best bid of the YES contract.
        yes_bid: f64,
        /// Best ask of the NO contract.
        no_ask: f64,
    },
    /// A fee rate lies in 0..1.
    #[error("the fee rate {rate} is outside 0..1")]
    InvalidFeeRate {
        /// As given.
        rate: f64,
    },
    /// Too little was traded.
    #[error("the volume {volume} is below {min}")]
    LowVolume {
        /// As given.
        volume: f64,
        /// The rule.
        min: f64,
    },
    /// Too little rests in the book.
    #[error("the liquidity {liquidity} is below {min}")]
    LowLiquidity {
        /// As given.
        liquidity: f64,
        /// The rule.
        min: f64,
    },
    /// The spread is too wide, or a side is missing.
    #[error("the spread {spread:?} is not within {max}")]
    WideSpread {
        /// Ask minus bid; None when a side is missing.
        spread: Option<f64>,
        /// The rule.
        max: f64,
    },
}

/// What the scanner found at one event.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanReport {
    /// Sets worth buying, most profit in all first.
    pub found: Vec<Arbitrage>,
    /// Sets that are too good to be true, in the same order: look at the data.
    pub implausible: Vec<Arbitrage>,
    /// Listings left out, by position, in the order given.
    pub skipped: Vec<(usize, ScanSkip)>,
}

/// An event that cannot be scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event has {outcomes} outcomes, outside 2..={OUTCOMES_MAX}")]
pub struct ScanRefusal {
    /// As given.
    pub outcomes: usize,
}

/// Looks for sets that pay more than they cost.
///
/// Example: YES at 0.45 (rate 0.03) and NO elsewhere at 0.50 (rate 0.07) cost 0.974925 with fees and pay 1: 2.57 %.
///
/// # Errors
/// [`ScanRefusal`] for an event with fewer than 2 or more than [`OUTCOMES_MAX`] outcomes.
pub fn scan(event: &EventView<'_>, rules: &ScannerRules) -> Result<ScanReport, ScanRefusal> {
    if !(2..=OUTCOMES_MAX).contains(&event.outcomes) {
        return Err(ScanRefusal { outcomes: event.outcomes });
    }
    let mut report = ScanReport { found: Vec::new(), implausible: Vec::new(), skipped: Vec::new() };
    let (mut yes, mut no) = ([None; OUTCOMES_MAX], [None; OUTCOMES_MAX]);
    for (position, listing) in event.listings.iter().enumerate() {
        match asks(listing, event.outcomes, rules) {
            Ok(asks) => {
                let leg = |contract, ask: Option<Offer>| ask.map(|ask| leg_of(position, listing, contract, ask));
                keep_cheaper(&mut yes[listing.outcome], leg(Contract::Yes, asks.yes));
                keep_cheaper(&mut no[listing.outcome], leg(Contract::No, asks.no));
            }
            Err(skip) => report.skipped.push((position, skip)),
        }
    }
    let (yes, no) = (&yes[..event.outcomes], &no[..event.outcomes]);
    for (outcome, pair) in yes.iter().zip(no).enumerate() {
        if let (Some(yes), Some(no)) = pair {
            judge(&mut report, SetKind::YesNo { outcome }, &[*yes, *no], 1.0, rules);
        }
    }
    judge_all(&mut report, SetKind::AllYes, yes, 1.0, rules);
    // Two outcomes: NO of one is YES of the other, so this set is the one above.
    judge_all(&mut report, SetKind::AllNo, no, count_to_f64(event.outcomes - 1), rules);
    report.found.sort_by(most_profit_first);
    report.implausible.sort_by(most_profit_first);
    Ok(report)
}

/// What can be bought of a listing.
struct Asks {
    yes: Option<Offer>,
    no: Option<Offer>,
}

/// The asks of a listing that passes every filter.
fn asks(listing: &Listing<'_>, outcomes: usize, rules: &ScannerRules) -> Result<Asks, ScanSkip> {
    if listing.outcome >= outcomes {
        return Err(ScanSkip::UnknownOutcome { outcome: listing.outcome });
    }
    if !(0.0..1.0).contains(&listing.fee_rate) {
        return Err(ScanSkip::InvalidFeeRate { rate: listing.fee_rate });
    }
    let yes = listing.yes.checked(rules.age_ms_max).map_err(ScanSkip::YesBook)?;
    let checked = |no: TopOfBook| no.checked(rules.age_ms_max).map_err(ScanSkip::NoBook);
    let no = match listing.no {
        NoSide::Separate(no) => checked(no)?,
        NoSide::Mirrored(shown) => {
            let mirrored = yes.opposite();
            if let (Some(bid), Some(own), Some(shown)) =
                (yes.bid, mirrored.ask, shown.map(checked).transpose()?.and_then(|no| no.ask))
                && (shown.price - own.price).abs() > SAME_PRICE
            {
                return Err(ScanSkip::SidesDisagree { yes_bid: bid.price, no_ask: shown.price });
            }
            mirrored
        }
    };
    check_filters(listing, &yes, rules)?;
    Ok(Asks { yes: yes.ask, no: no.ask })
}

/// Written so that a number that is not one fails.
fn check_filters(listing: &Listing<'_>, yes: &TopOfBook, rules: &ScannerRules) -> Result<(), ScanSkip> {
    let is_at_least = |value: f64, least: f64| value >= least;
    if !is_at_least(listing.volume, rules.min_volume) {
        return Err(ScanSkip::LowVolume { volume: listing.volume, min: rules.min_volume });
    }
    if !is_at_least(listing.liquidity, rules.min_liquidity) {
        return Err(ScanSkip::LowLiquidity { liquidity: listing.liquidity, min: rules.min_liquidity });
    }
    let spread = yes.spread();
    if spread.is_none_or(|spread| spread > rules.max_spread + SAME_PRICE) {
        return Err(ScanSkip::WideSpread { spread, max: rules.max_spread });
    }
    Ok(())
}

fn leg_of(listing: usize, from: &Listing<'_>, contract: Contract, ask: Offer) -> Leg {
    Leg { listing, contract, limit: ask.price, cost: ask.cost(from.fee_rate), size: ask.size }
}

/// The cheaper of two; of equal ones the larger, then the one listed first.
fn keep_cheaper(kept: &mut Option<Leg>, next: Option<Leg>) {
    let Some(next) = next else { return };
    let is_better = kept.is_none_or(|kept| next.cost < kept.cost || (next.cost <= kept.cost && next.size > kept.size));
    if is_better {
        *kept = Some(next);
    }
}

fn judge_all(report: &mut ScanReport, kind: SetKind, legs: &[Option<Leg>], pays: f64, rules: &ScannerRules) {
    // Most events fail here: nothing is put on the heap for them.
    let cost: Option<f64> = legs.iter().map(|leg| leg.map(|leg| leg.cost)).sum();
    if cost.is_some_and(|cost| cost < pays) {
        let legs: Vec<Leg> = legs.iter().copied().flatten().collect();
        judge(report, kind, &legs, pays, rules);
    }
}

fn judge(report: &mut ScanReport, kind: SetKind, legs: &[Leg], pays: f64, rules: &ScannerRules) {
    let cost: f64 = legs.iter().map(|leg| leg.cost).sum();
    let profit = pays - cost;
    // The rounding of a sum is no profit.
    if profit <= SAME_PRICE || profit < rules.min_return * cost {
        return;
    }
    let mut legs = legs.to_vec();
    legs.sort_by(|a, b| a.size.total_cmp(&b.size).then(a.listing.cmp(&b.listing)));
    let sets = legs.first().map_or(0.0, |scarcest| scarcest.size);
    let return_on_cost = profit / cost;
    let set = Arbitrage { kind, legs, time_in_force: TimeInForce::Fok, pays, cost, profit, return_on_cost, sets };
    if return_on_cost > rules.max_return {
        report.implausible.push(set);
    } else {
        report.found.push(set);
    }
}

fn most_profit_first(a: &Arbitrage, b: &Arbitrage) -> std::cmp::Ordering {
    b.total_profit().total_cmp(&a.total_profit())
}

#[cfg(test)]
mod tests;
