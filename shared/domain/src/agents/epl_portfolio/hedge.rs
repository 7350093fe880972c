//! Which trade brings the book inside its limits for the least money?
//!
//! First matches with too much capital in them are shrunk by closing; then, while the expected shortfall of the whole
//! book is above its limit, the trade that takes most off it per unit of money is done. Selling YES at 0.40 counts as
//! buying NO for 0.60, so selling, buying back and covering by another outcome are compared in the same coin. Shortfall
//! is convex in the size of a trade, so a trade that would overshoot can be shortened in proportion.

use super::super::count::{nearest_micros, units_of};
use super::super::fair_line::Outcome;
use super::super::top_of_book::TopOfBook;
use super::{IntentReason, MatchHoldings, PortfolioRefusal, PortfolioRules, TradeIntent, paid_for, pnl_of, share_ppm};
use crate::money::{Money, Overflow, Price, Quantity, Rounding};
use crate::order::Side;
use crate::portfolio::{Confidence, OutcomePnl, ScenarioBook, ScenarioError};

/// Most trades of one report; the next report goes on.
const TRADES_MAX: usize = 10;

/// A trade that could be done.
#[derive(Debug, Clone, Copy)]
struct Trade {
    index: usize,
    outcome: Outcome,
    side: Side,
    quantity: Quantity,
    price: f64,
    /// Price with the fee: paid by a buyer, received by a seller.
    net: f64,
    closes: bool,
}

/// One match while trades are being chosen.
#[derive(Debug, Clone)]
struct Work {
    held: [Quantity; 3],
    paid: [Money; 3],
    pnl: [Money; 3],
    books: [Option<TopOfBook>; 3],
}

struct Desk<'a> {
    capital: Money,
    matches: &'a [MatchHoldings<'a>],
    rules: &'a PortfolioRules,
    works: Vec<Work>,
    book: ScenarioBook,
}

/// The trades, in the order to do them; none without capital to take a share of.
pub(super) fn hedges(
    capital: Money,
    matches: &[MatchHoldings<'_>],
    book: ScenarioBook,
    rules: &PortfolioRules,
) -> Result<Vec<TradeIntent>, PortfolioRefusal> {
    let mut intents = Vec::new();
    if capital <= Money::ZERO || matches.is_empty() {
        return Ok(intents);
    }
    let mut desk = Desk { capital, matches, rules, works: works(matches, rules)?, book };
    while intents.len() < TRADES_MAX {
        let next = match desk.shrink_match()? {
            Some(found) => Some(found),
            None => desk.cut_shortfall()?,
        };
        let Some((trade, reason)) = next else { break };
        desk.take(&trade)?;
        intents.extend(desk.intent(&trade, reason));
    }
    Ok(intents)
}

fn works(matches: &[MatchHoldings<'_>], rules: &PortfolioRules) -> Result<Vec<Work>, Overflow> {
    let mut works = Vec::with_capacity(matches.len());
    for holdings in matches {
        let [home, draw, away] = &holdings.positions;
        works.push(Work {
            held: holdings.positions.map(|position| position.quantity),
            paid: [paid_for(home)?, paid_for(draw)?, paid_for(away)?],
            pnl: pnl_of(&holdings.positions)?,
            books: Outcome::ALL.map(|outcome| holdings.book(outcome, rules)),
        });
    }
    Ok(works)
}

impl Desk<'_> {
    /// The closing trade that takes most shortfall off for its money, in the first match that is above its share.
    fn shrink_match(&self) -> Result<Option<(Trade, IntentReason)>, PortfolioRefusal> {
        let limit_ppm = self.rules.match_share_max_ppm;
        let most = self.capital.ppm(limit_ppm, Rounding::Down)?;
        for (index, work) in self.works.iter().enumerate() {
            let in_match = work.in_match()?;
            if in_match <= most {
                continue;
            }
            let excess = in_match.minus(most)?;
            let mut trades = self.closings(index);
            for trade in &mut trades {
                let place = place(trade.outcome);
                // So many contracts cost the excess, up to the lot.
                let held = work.held[place].magnitude()?;
                let enough = held.scaled(excess.micros(), work.paid[place].micros().max(1), Rounding::Up)?;
                trade.quantity = trade.quantity.min(ceil_to(enough, self.matches[index].lot)?);
            }
            if let Some((trade, _)) = self.best(&trades)? {
                let share_ppm = share_ppm(in_match, self.capital).unwrap_or(i64::MAX);
                return Ok(Some((trade, IntentReason::MatchShare { share_ppm, limit_ppm })));
            }
        }
        Ok(None)
    }

    /// The trade that takes most shortfall off for its money, while there is too much of it.
    fn cut_shortfall(&self) -> Result<Option<(Trade, IntentReason)>, PortfolioRefusal> {
        let most = self.capital.ppm(self.rules.shortfall_max_ppm, Rounding::Down)?;
        let before = self.shortfall()?;
        if before <= most {
            return Ok(None);
        }
        let trades: Vec<Trade> = (0..self.works.len())
            .flat_map(|index| self.closings(index).into_iter().chain(self.covers(index)))
            .collect();
        let Some((mut trade, mut after)) = self.best(&trades)?.filter(|(_, after)| *after < before) else {
            return Ok(None);
        };
        if after < most {
            let (needed, taken) = (before.minus(most)?, before.minus(after)?);
            let enough = trade.quantity.scaled(needed.micros(), taken.micros(), Rounding::Up)?;
            trade.quantity = trade.quantity.min(ceil_to(enough, self.matches[trade.index].lot)?);
            after = self.after(&trade)?;
        }
        let paid = trade.paid()?;
        Ok(Some((trade, IntentReason::Shortfall { before, after, paid })))
    }

    /// Selling what is held and buying back what is short, as far as the quotes go.
    fn closings(&self, index: usize) -> Vec<Trade> {
        let (work, lot, rate) = (&self.works[index], self.matches[index].lot, self.matches[index].fee_rate);
        let closing = |outcome: Outcome| {
            let (held, book) = (work.held[place(outcome)], work.books[place(outcome)]?);
            let (side, offer) = if held.is_negative() { (Side::Buy, book.ask?) } else { (Side::Sell, book.bid?) };
            let net = match side {
                Side::Buy => offer.cost(rate),
                Side::Sell => offer.proceeds(rate),
            };
            let offered = Quantity::from_micros(nearest_micros(offer.size)?);
            let quantity = held.magnitude().ok()?.min(offered).floor_to(lot);
            let trade = Trade { index, outcome, side, quantity, price: offer.price, net, closes: true };
            (!quantity.is_zero()).then_some(trade)
        };
        Outcome::ALL.into_iter().filter_map(closing).collect()
    }

    /// Buying outcomes that are not short against a long in the same match, as far as quotes and the match's share go.
    fn covers(&self, index: usize) -> Vec<Trade> {
        let (work, lot, rate) = (&self.works[index], self.matches[index].lot, self.matches[index].fee_rate);
        let cover = |outcome: Outcome| {
            let others = Outcome::ALL.into_iter().filter(|other| *other != outcome);
            let largest = others.map(|other| work.held[place(other)]).max()?;
            let (held, offer) = (work.held[place(outcome)], work.books[place(outcome)]?.ask?);
            if held.is_negative() || largest <= held {
                return None;
            }
            let net = offer.cost(rate);
            let room = self.capital.ppm(self.rules.match_share_max_ppm, Rounding::Down).ok()?;
            let room = room.minus(work.in_match().ok()?).ok()?;
            let affordable = Quantity::from_micros(nearest_micros(units_of(room.micros()) / net)?);
            let offered = Quantity::from_micros(nearest_micros(offer.size)?);
            let quantity = largest.minus(held).ok()?.min(offered).min(affordable).floor_to(lot);
            let trade = Trade { index, outcome, side: Side::Buy, quantity, price: offer.price, net, closes: false };
            (quantity > Quantity::ZERO).then_some(trade)
        };
        Outcome::ALL.into_iter().filter_map(cover).collect()
    }

    /// The trade that takes most shortfall off per unit of money, and the shortfall after it; of equal ones the first.
    fn best(&self, trades: &[Trade]) -> Result<Option<(Trade, Money)>, PortfolioRefusal> {
        let before = units_of(self.shortfall()?.micros());
        let mut best: Option<(Trade, Money, f64)> = None;
        for of_match in trades.chunk_by(|a, b| a.index == b.index) {
            for (trade, after) in of_match.iter().zip(self.all_after(of_match)?) {
                let score = (before - units_of(after.micros())) / units_of(trade.paid()?.micros().max(1));
                if best.is_none_or(|(_, _, most)| score > most) {
                    best = Some((*trade, after, score));
                }
            }
        }
        Ok(best.map(|(trade, after, _)| (trade, after)))
    }

    fn shortfall(&self) -> Result<Money, PortfolioRefusal> {
        let risk = self.book.risk(Confidence::P95).map_err(|_| Overflow)?;
        Ok(risk.expected_shortfall)
    }

    fn after(&self, trade: &Trade) -> Result<Money, PortfolioRefusal> {
        self.all_after(std::slice::from_ref(trade))?.pop().ok_or(PortfolioRefusal::Overflow(Overflow))
    }

    /// The shortfall after each of several trades of one match.
    fn all_after(&self, trades: &[Trade]) -> Result<Vec<Money>, PortfolioRefusal> {
        let Some(first) = trades.first() else { return Ok(Vec::new()) };
        let index = first.index;
        let mut variants = Vec::with_capacity(trades.len());
        for trade in trades {
            variants.push(self.outcomes_after(trade)?.to_vec());
        }
        let risks = self.book.risk_of_variants(&self.matches[index].id, &variants, Confidence::P95);
        let risks = risks.map_err(|source| PortfolioRefusal::Match { index, source })?;
        Ok(risks.into_iter().map(|risk| risk.expected_shortfall).collect())
    }

    fn outcomes_after(&self, trade: &Trade) -> Result<[OutcomePnl; 3], Overflow> {
        let pnl = trade.pnl_after(self.works[trade.index].pnl)?;
        Ok(self.matches[trade.index].outcomes(pnl))
    }

    /// Does the trade in the model; its quote is used up.
    fn take(&mut self, trade: &Trade) -> Result<(), PortfolioRefusal> {
        let outcomes = self.outcomes_after(trade)?;
        let (place, index) = (place(trade.outcome), trade.index);
        let in_match = |source: ScenarioError| PortfolioRefusal::Match { index, source };
        self.book.put(self.matches[index].id.clone(), &outcomes).map_err(in_match)?;
        let work = &mut self.works[index];
        work.pnl = outcomes.map(|outcome| outcome.pnl);
        let before = work.held[place];
        work.held[place] = match trade.side {
            Side::Buy => before.plus(trade.quantity)?,
            Side::Sell => before.minus(trade.quantity)?,
        };
        work.paid[place] = if trade.closes {
            let (left, all) = (work.held[place].magnitude()?, before.magnitude()?);
            work.paid[place].scaled(left.micros(), all.micros(), Rounding::Up)?
        } else {
            work.paid[place].plus(trade.paid()?)?
        };
        if let Some(book) = &mut work.books[place] {
            match trade.side {
                Side::Buy => book.ask = None,
                Side::Sell => book.bid = None,
            }
        }
        Ok(())
    }

    fn intent(&self, trade: &Trade, reason: IntentReason) -> Option<TradeIntent> {
        Some(TradeIntent {
            match_id: self.matches[trade.index].id.clone(),
            outcome: trade.outcome,
            side: trade.side,
            quantity: trade.quantity,
            limit: Price::from_micros(nearest_micros(trade.price)?),
            is_reduce_only: trade.closes,
            reason,
        })
    }
}

impl Trade {
    /// Money paid: for what is bought, or for the NO that selling YES buys.
    fn paid(&self) -> Result<Money, Overflow> {
        let each = match self.side {
            Side::Buy => self.net,
            Side::Sell => 1.0 - self.net,
        };
        self.worth(each)
    }

    fn pnl_after(&self, [home, draw, away]: [Money; 3]) -> Result<[Money; 3], Overflow> {
        let after = |outcome: Outcome, pnl: Money| {
            let pays = if outcome == self.outcome { 1.0 } else { 0.0 };
            let each = match self.side {
                Side::Buy => pays - self.net,
                Side::Sell => self.net - pays,
            };
            pnl.plus(self.worth(each)?)
        };
        Ok([after(Outcome::Home, home)?, after(Outcome::Draw, draw)?, after(Outcome::Away, away)?])
    }

    fn worth(&self, each: f64) -> Result<Money, Overflow> {
        nearest_micros(units_of(self.quantity.micros()) * each).map(Money::from_micros).ok_or(Overflow)
    }
}

impl Work {
    fn in_match(&self) -> Result<Money, Overflow> {
        self.paid.iter().try_fold(Money::ZERO, |sum, paid| sum.plus(*paid))
    }
}

fn place(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Home => 0,
        Outcome::Draw => 1,
        Outcome::Away => 2,
    }
}

fn ceil_to(quantity: Quantity, lot: Quantity) -> Result<Quantity, Overflow> {
    let floored = quantity.floor_to(lot);
    if floored == quantity { Ok(floored) } else { floored.plus(lot) }
}
