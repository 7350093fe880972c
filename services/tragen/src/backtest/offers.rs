//! Agents that bet on matches: what they see of a match before its kick-off,
//! what they buy, and how it ends.

use super::{
    conditions::{Bets, MODEL_WEIGHT, MatchConditions, OddsTime, Offer, Reference},
    desk::{Desk, DeskError, Prices, Wish},
    forecasts::Forecasts,
    models::ModelForecast,
    seat::{Bet, Seat, UNIT, units},
};
use std::collections::BTreeMap;
use tragen_domain::{
    agents::{
        bettor::{Purse, bet_size, is_wanted},
        consensus::{Opinion, SOFT_WEIGHT, consensus},
        devig::DevigMethod,
        evaluation::closing_line::closing_line_value,
        fair_line::{Book, Outcome, fair_line},
        kelly::stake_fraction,
        scout::{MatchPhase, MatchView, Opportunity, Quote, ScoutRules, scout},
        signal::Reason,
        sizing::MAX_WALLET_SHARE,
    },
    id::IdError,
    instrument::Instrument,
    money::{Price, Quantity, Rounding},
    order::{OrderPrice, Side},
    time::Timestamp,
};
use tragen_market_data::{
    feed::{Phase, prediction},
    file::{Lines, MatchRow},
    predictions,
};

/// One agent that bets on matches.
#[derive(Debug)]
pub(super) struct Bettor {
    /// Its place among the seats.
    pub(super) seat: usize,
    pub(super) conditions: MatchConditions,
    /// What it believed of each match, against what happened.
    pub(super) forecasts: Forecasts,
    /// Matches it did not look at, by reason.
    pub(super) skipped: BTreeMap<&'static str, u64>,
    /// What a planted leak knows.
    #[cfg(test)]
    pub(super) results: std::collections::HashMap<tragen_domain::id::MatchId, Outcome>,
}

/// A price at which a contract is offered.
#[derive(Debug, Clone, Copy)]
struct Offered {
    /// Exactly, as the agent sees it.
    ask: f64,
    /// As the venue quotes it: up to the next micro or cent.
    price: Price,
    depth: Quantity,
}

/// Everything one look at a match needs.
struct Look<'a> {
    row: &'a MatchRow,
    contracts: &'a [Instrument; 3],
    /// How sure the look is, parts per million.
    confidence_ppm: u32,
    now: Timestamp,
}

impl Bettor {
    pub(super) fn new(seat: usize, conditions: MatchConditions) -> Self {
        Self {
            seat,
            conditions,
            forecasts: Forecasts::default(),
            skipped: BTreeMap::new(),
            #[cfg(test)]
            results: std::collections::HashMap::new(),
        }
    }

    /// Whether it trades the match at all.
    pub(super) fn wants(&self, seat: &Seat, row: &MatchRow) -> bool {
        is_wanted(seat.agent.instruments.iter().map(String::as_str), &row.id)
    }

    /// Looks at a match that is offered at its first or last odds.
    pub(super) fn look(
        &mut self,
        row: &MatchRow,
        (time, now): (OddsTime, Timestamp),
        model: ModelForecast,
        desk: &mut Desk,
        seat: &mut Seat,
    ) -> Result<(), DeskError> {
        if self.conditions.odds != time || !self.wants(seat, row) {
            return Ok(());
        }
        let lines = match time {
            OddsTime::Opening => row.known_opening(),
            OddsTime::Closing => row.known_closing(),
        };
        let Some(lines) = lines else { return self.skip("NO_ODDS_AT_THIS_TIME") };
        let books = self.books(row, lines, model);
        if books.is_empty() {
            return self.skip("NO_REFERENCE");
        }
        let Ok(mut contracts) = contracts(row) else { return self.skip("ID_TOO_LONG") };
        let is_venue = self.conditions.price == Offer::Venue;
        for contract in &mut contracts {
            let bookmaker_fee = if is_venue { contract.taker_fee_ppm } else { 0 };
            contract.taker_fee_ppm = self.conditions.fee_ppm.unwrap_or(bookmaker_fee);
            if !is_venue {
                // A bookmaker's odds lie on no grid of prices.
                contract.tick = Price::from_micros(1);
                (contract.min_price, contract.max_price) = (contract.tick, Price::from_micros(UNIT - 1));
            }
        }
        let offered = self.offered(lines, &contracts);
        let rules = ScoutRules {
            method: DevigMethod::Shin,
            fee_rate: units(contracts[0].taker_fee_ppm),
            min_edge_bps: self.conditions.min_edge_bps.unwrap_or_else(|| seat.agent.personality.min_edge_bps()),
            max_edge_bps: self.conditions.max_edge_bps,
            ..ScoutRules::default()
        };
        let quotes = offered.map(|offered| {
            offered.map(|Offered { ask, depth, .. }| Quote {
                ask,
                ask_size: units(depth.micros()),
                bid: None,
                age_ms: Some(0),
            })
        });
        let Ok(report) = scout(&MatchView { phase: MatchPhase::PreMatch, books: &books, quotes }, &rules) else {
            return self.skip("NO_FAIR_LINE");
        };
        self.forecasts.expect(&row.id, report.fair);
        desk.digest.forecast(now, row.id.as_str(), &report.fair);
        let confidence_ppm = report.confidence_ppm();
        if !report.opportunities.is_empty() && confidence_ppm < seat.agent.personality.min_confidence_ppm() {
            return self.skip("CONFIDENCE_TOO_LOW");
        }
        let mut found = report.opportunities;
        match self.conditions.bets {
            Bets::Best => found.truncate(1),
            Bets::All => found.sort_by_key(|opportunity| opportunity.outcome),
        }
        let look = Look { row, contracts: &contracts, confidence_ppm, now };
        for opportunity in &found {
            if let Some(offered) = opportunity.outcome.of(&offered) {
                self.buy(&look, opportunity, offered, desk, seat)?;
            }
        }
        let equity = seat.equity()?;
        Ok(seat.figures.observe(equity, now)?)
    }

    /// A match is over.
    pub(super) fn settle(
        &mut self,
        row: &MatchRow,
        now: Timestamp,
        desk: &mut Desk,
        seat: &mut Seat,
    ) -> Result<(), DeskError> {
        let result = result(row);
        self.forecasts.happened(&row.id, result);
        let Ok(contracts) = contracts(row) else { return Ok(()) };
        for (contract, outcome) in contracts.iter().zip(Outcome::ALL) {
            if !seat.holds(&contract.id) {
                continue;
            }
            let value = Price::from_micros(if outcome == result { UNIT } else { 0 });
            desk.settle(seat, contract, value, now)?;
            desk.close(contract)?;
        }
        let equity = seat.equity()?;
        Ok(seat.figures.observe(equity, now)?)
    }

    fn skip(&mut self, reason: &'static str) -> Result<(), DeskError> {
        *self.skipped.entry(reason).or_default() += 1;
        Ok(())
    }

    /// The books that the fair price is made of.
    fn books(
        &self,
        #[cfg_attr(not(test), expect(unused_variables))] row: &MatchRow,
        lines: &Lines,
        model: ModelForecast,
    ) -> Vec<Book> {
        let all = || lines.books.iter().map(|book| book.opinion());
        match self.conditions.reference {
            Reference::Consensus => all().collect(),
            Reference::Sharp => lines.books.iter().filter(|book| book.is_sharp()).map(|book| book.opinion()).collect(),
            Reference::Average => lines.average.map(|odds| one("market-average", odds)).into_iter().collect(),
            Reference::DixonColes => model.dixon_coles.map(|p| believed("dixon-coles", p)).into_iter().collect(),
            Reference::Elo => model.elo.map(|p| believed("elo", p)).into_iter().collect(),
            Reference::Pool => {
                let books: Vec<Book> = all().collect();
                let weight = self.conditions.model_weight.unwrap_or(MODEL_WEIGHT);
                pooled(&books, model.dixon_coles, weight).map(|p| believed("pool", p)).into_iter().collect()
            }
            #[cfg(test)]
            Reference::Peeking => {
                let result = self.results.get(&row.id).copied();
                vec![one("peeking", Outcome::ALL.map(|outcome| if Some(outcome) == result { 2.0 } else { 4.1 }))]
            }
        }
    }

    /// What home, draw and away cost.
    fn offered(&self, lines: &Lines, contracts: &[Instrument; 3]) -> [Option<Offered>; 3] {
        let by_odds = |odds: [Option<f64>; 3]| {
            odds.map(|odds| {
                let ask = 1.0 / odds?;
                let price = ceil_micros(ask);
                let is_price = (1..UNIT).contains(&price);
                is_price.then_some(Offered { ask, price: Price::from_micros(price), depth: contracts[0].max_quantity })
            })
        };
        let of = |odds: Option<[f64; 3]>| by_odds(odds.map_or([None; 3], |odds| odds.map(Some)));
        match &self.conditions.price {
            Offer::Best => by_odds(lines.best),
            Offer::Average => of(lines.average),
            Offer::Exchange => of(lines.exchange),
            Offer::Bookmaker(name) => {
                of(lines.books.iter().find(|book| book.bookmaker == name.as_str()).map(|book| book.odds))
            }
            Offer::Venue => {
                let [home, draw, away] = contracts;
                let venue = |contract: &Instrument, probability: f64| {
                    let level = prediction(&contract.id, probability, Phase::Before).1?;
                    Some(Offered { ask: units(level.price.micros()), price: level.price, depth: level.quantity })
                };
                let [p_home, p_draw, p_away] = lines.venue;
                [venue(home, p_home), venue(draw, p_draw), venue(away, p_away)]
            }
        }
    }

    fn buy(
        &self,
        look: &Look<'_>,
        found: &Opportunity,
        offered: Offered,
        desk: &mut Desk,
        seat: &mut Seat,
    ) -> Result<(), DeskError> {
        let contract = found.outcome.of(&[0, 1, 2]);
        let contract = &look.contracts[contract];
        let Some(quantity) = self.quantity(found, offered, seat) else { return Ok(()) };
        desk.list(contract)?;
        let prices = Prices { bid: None, ask: Some(offered.price), depth: offered.depth };
        desk.quote(contract, prices, look.now)?;
        let wish = Wish {
            instrument: contract,
            side: Side::Buy,
            quantity,
            price: OrderPrice::Limit(offered.price),
            is_reduce_only: false,
            timeframe: None,
            confidence_ppm: Some(look.confidence_ppm),
            why: Reason::Entry,
        };
        if desk.trade(seat, wish, look.now)?.quantity.is_zero() {
            return Ok(());
        }
        let closing_value = closing_fair(look.row).map(|fair| closing_line_value(found.outcome.of(&fair), found.ask));
        let bet = Bet { fair: found.fair_probability, edge: found.priced.edge_ratio, closing_value };
        seat.note_bet(&contract.id, bet);
        Ok(())
    }

    /// Whole contracts to buy; `None` for nothing.
    fn quantity(&self, found: &Opportunity, offered: Offered, seat: &Seat) -> Option<Quantity> {
        let contracts = match self.conditions.stake_ppm {
            Some(ppm) => {
                let stake = seat.figures.start.ppm(ppm, Rounding::Down).ok()?;
                stake.micros() / offered.price.micros().max(1)
            }
            None => {
                let wallet = units(seat.wallet.cash.micros());
                let share = seat.agent.personality.kelly_multiplier();
                let stake = stake_fraction(found.priced.kelly, share, MAX_WALLET_SHARE);
                let purse = Purse { capital: wallet, wallet, budget: wallet };
                i64::try_from(bet_size(found, stake, &purse).ok()?.contracts).ok()?
            }
        };
        let quantity = Quantity::from_micros(contracts.checked_mul(UNIT)?);
        (!quantity.is_zero()).then_some(quantity)
    }
}

fn one(bookmaker: &str, odds: [f64; 3]) -> Book {
    Book { bookmaker: bookmaker.to_owned(), weight: SOFT_WEIGHT, odds }
}

/// A belief as a book without a margin, so that the scout judges it like any other.
fn believed(bookmaker: &str, probabilities: [f64; 3]) -> Book {
    one(bookmaker, probabilities.map(|p| 1.0 / p))
}

/// The consensus and the model, joined by their log-odds; without a model the consensus alone.
pub(super) fn pooled(books: &[Book], model: Option<[f64; 3]>, weight: f64) -> Option<[f64; 3]> {
    let fair = fair_line(books, DevigMethod::Shin).ok()?.probabilities;
    let Some(model) = model.filter(|_| weight > 0.0) else { return Some(fair) };
    if weight >= 1.0 {
        return Some(model);
    }
    let opinion = |weight: f64, p: [f64; 3]| Opinion { weight, probabilities: p.to_vec() };
    let joined = consensus(&[opinion(weight, model), opinion(1.0 - weight, fair)]).ok()?;
    joined.try_into().ok()
}

/// The contracts of a match, open.
fn contracts(row: &MatchRow) -> Result<[Instrument; 3], IdError> {
    predictions(&row.id, &row.home, &row.away)
}

/// What the last odds say; sharp bookmakers alone where there are any.
pub(super) fn closing_fair(row: &MatchRow) -> Option<[f64; 3]> {
    let lines = row.known_closing()?;
    let sharp: Vec<Book> = lines.books.iter().filter(|book| book.is_sharp()).map(|book| book.opinion()).collect();
    let books = if sharp.is_empty() { lines.books.iter().map(|book| book.opinion()).collect() } else { sharp };
    fair_line(&books, DevigMethod::Shin).ok().map(|line| line.probabilities)
}

/// The outcome after 90 minutes.
pub(super) fn result(row: &MatchRow) -> Outcome {
    match row.goals.0.cmp(&row.goals.1) {
        std::cmp::Ordering::Greater => Outcome::Home,
        std::cmp::Ordering::Equal => Outcome::Draw,
        std::cmp::Ordering::Less => Outcome::Away,
    }
}

/// The micros of a price, up: against the account that buys. A hair of floating-point noise above a whole micro is
/// that micro.
#[expect(clippy::cast_possible_truncation, reason = "rounded up first; a float-to-integer cast saturates")]
fn ceil_micros(price: f64) -> i64 {
    (price * 1e6 - 1e-6).ceil() as i64
}
