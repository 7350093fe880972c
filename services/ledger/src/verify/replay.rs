//! Booking again what was booked, with the same rules, posting by posting; each
//! must have moved what the rules say, and its row must say so.

mod cash;
mod moved;

pub(super) use cash::sent_mark;
pub(super) use moved::moved_marks;

use super::{
    Found, bad,
    books::{Books, Held, Name},
    chain::{Chain, Head, Posted},
    crossing::Crossing,
    read::Snapshot,
    record::{Execution, FillTotals, Payout},
    seals::Sums,
    sequence::{Added, Sequence},
    slots::Kept,
    trades::{Kin, Part, Trades},
};
use crate::{
    batch::posting::{execution_correction_id, reversal_id},
    store::{
        DRAWN,
        rows::ExecutionRow,
        session::{Arg, Sql},
    },
};
use std::collections::HashMap;
use tragen_contracts::v1;
use tragen_domain::{
    execution::Fill,
    id::ExecutionId,
    instrument::{SettlementStyle, SettlementTerms},
    ledger::{post_fill, post_fill_reversal, post_refund, post_settlement},
    money::{Money, Price, Quantity},
    order::Side,
    position::Position,
    time::Timestamp,
};
use uuid::Uuid;

const EXECUTION: Sql = Sql::same("SELECT * FROM execution WHERE execution_id = $1");

/// A shard while its postings are booked again.
pub(super) struct Replay<'a> {
    /// The shard.
    pub(super) number: u16,
    /// What follows from the postings so far.
    pub(super) books: Books,
    pub(super) chain: Chain,
    pub(super) trades: Trades,
    /// Seals so far.
    pub(super) seals: Sums,
    /// Facts told so far.
    pub(super) facts: Sequence,
    /// What goes to other accounts and shards.
    pub(super) crossing: &'a mut Crossing,
    /// The accounts whose trades are compared.
    pub(super) kept: Kept,
    /// By instrument, what the first payout says of its market.
    pub(super) decided: HashMap<Name, Decided>,
    /// The last posting and its time.
    pub(super) last: (i64, i64),
    pub(super) counted: Counted,
    /// A fill taken back, until the next posting says who did that and why.
    pub(super) reversal: Option<Reversal>,
    /// The rules look at its numbers only.
    fill: Fill,
}

/// Postings booked again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) executions: u64,
    pub(super) cash_movements: u64,
    pub(super) payouts: u64,
    pub(super) moved_wallets: u64,
}

/// What a payout says of the market that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) booking_id: Uuid,
    pub(super) venue: String,
    pub(super) value: i64,
    pub(super) is_void: bool,
    /// The first posting of it, and its time.
    pub(super) first: (i64, i64),
}

/// A fill taken back.
#[derive(Debug, Clone)]
pub(super) struct Reversal {
    /// The row that took it back.
    execution_id: String,
    reverses: String,
    account: Name,
    currency: Name,
    cash_change: i64,
}

impl<'a> Replay<'a> {
    /// Goes on after the posting `last`, with the books as they were then.
    pub(super) fn new(
        number: u16,
        (books, last): (Books, (i64, i64)),
        chain: Chain,
        (trades, facts, kept): (Trades, Sequence, Kept),
        crossing: &'a mut Crossing,
    ) -> anyhow::Result<Self> {
        let fill = Fill {
            id: ExecutionId::new("replayed")?,
            price: Price::ZERO,
            quantity: Quantity::ZERO,
            fee: Money::ZERO,
            executed_at: Timestamp::from_micros(0),
        };
        Ok(Self {
            number,
            books,
            chain,
            trades,
            seals: Sums::default(),
            facts,
            crossing,
            kept,
            decided: HashMap::new(),
            last,
            counted: Counted::default(),
            reversal: None,
            fill,
        })
    }

    /// The chain's head, if nothing is half done between this posting and the next.
    pub(super) fn whole(&self) -> Option<&Head> {
        if self.reversal.is_none() { self.chain.head() } else { None }
    }

    /// The next posting has come; its row is of `table`.
    fn advance(&mut self, (table, key): (&'static str, &dyn ToString), at: i64) -> Result<i64, Found> {
        let (sequence, before) = self.last;
        if at < before {
            return Err(bad(table, key.to_string(), format!("its time {at} is before that of the posting before it")));
        }
        self.last = (sequence + 1, at);
        Ok(sequence + 1)
    }

    /// A fact was told of the row.
    fn told(&mut self, (table, key): (&'static str, &dyn ToString), fact: i64) -> Result<(), Found> {
        match self.facts.add(fact) {
            Added::New => Ok(()),
            Added::Twice => Err(bad(table, key.to_string(), format!("its fact {fact} is that of another row"))),
            Added::Outside => Err(bad(table, key.to_string(), format!("there is no fact {fact}"))),
        }
    }

    /// Books a fill, or takes one back.
    pub(super) fn execution(&mut self, row: &Execution<'_>, snapshot: &mut Snapshot) -> Result<(), Found> {
        let wrong = |problem: String| bad("execution", row.execution_id, problem);
        self.nothing_open()?;
        let sequence = self.advance(("execution", &row.execution_id), row.posted_at)?;
        self.counted.executions += 1;
        let (kin, venue) = self.names(row).map_err(|error| wrong(error.to_string()))?;
        let Some(side) = side_of(row.side) else { return Err(wrong(format!("{} is no side", row.side))) };
        let terms = self.terms(row.style, kin.currency, row.initial_margin_ppm).map_err(&wrong)?;
        self.fill.price = Price::from_micros(row.price);
        self.fill.quantity = Quantity::from_micros(row.quantity);
        self.fill.fee = Money::from_micros(row.fee);

        let wallet = self.books.wallet(kin.account, kin.currency);
        let position_key = (kin.account, kin.instrument);
        let held = self.books.positions.get(&position_key).copied();
        let held = held.unwrap_or(Held {
            currency: kin.currency,
            style: row.style,
            position: Position::default(),
            account_version: 0,
        });
        let before = (wallet, held.position);
        let original = if row.reverses.is_empty() { None } else { original_of(row, snapshot)? };
        let (account, venue) = (self.books.account(kin.account), self.books.venue(venue));
        let posting = if row.reverses.is_empty() {
            post_fill(account, venue, before, side, &self.fill, &terms)
        } else {
            let drawn = drawn_for(original.as_ref(), snapshot)?;
            post_fill_reversal(account, venue, before, (side, &self.fill, drawn), &terms)
        };
        let posting = posting.map_err(|error| wrong(error.to_string()))?;
        let cash_change = posting.wallet.cash.minus(wallet.cash).map_err(|error| wrong(error.to_string()))?;
        if cash_change.micros() != row.cash_change {
            let stored = Money::from_micros(row.cash_change);
            return Err(wrong(format!("its cash change is {stored}, should be {cash_change}")));
        }
        let posted = Posted { account_id: row.account_id, sequence, at: row.posted_at, reference_id: row.trade_id };
        self.chain.take(&posting.transfers, posted)?;
        let version = posting.wallet.version;
        self.books.wallets.insert((kin.account, kin.currency), posting.wallet);
        let held = Held { position: posting.position, account_version: version, ..held };
        self.books.positions.insert(position_key, held);
        if row.reverses.is_empty() {
            if self.kept.has(row.account_id) {
                self.trades.fill(row.trade_id, &part(row, kin, version));
            }
            return Ok(());
        }
        if let Some(problem) = reversal_problem(row, original.as_ref()) {
            return Err(wrong(problem));
        }
        self.reversal = Some(Reversal {
            execution_id: row.execution_id.to_owned(),
            reverses: row.reverses.to_owned(),
            account: kin.account,
            currency: kin.currency,
            cash_change: row.cash_change,
        });
        Ok(())
    }

    /// A fill that was taken back must have been followed by the row that says who did it.
    pub(super) fn nothing_open(&self) -> Result<(), Found> {
        match &self.reversal {
            Some(open) => Err(bad("execution", &open.execution_id, "nobody says why it was taken back")),
            None => Ok(()),
        }
    }

    /// A fill that is not booked here and now: it counts for its trade only.
    pub(super) fn fill_from_elsewhere(&mut self, row: &FillTotals<'_>) -> Result<(), Found> {
        if !self.kept.has(row.account_id) {
            return Ok(());
        }
        let (trade_id, part) = self.part_of(row, 0)?;
        self.trades.fill(trade_id, &part);
        Ok(())
    }

    /// What a fill adds to its trade.
    pub(super) fn part_of(&mut self, row: &FillTotals<'_>, version: i64) -> Result<(Uuid, Part), Found> {
        let wrong = |error: tragen_domain::id::IdError| {
            bad("execution", format!("of trade {}", row.trade_id), error.to_string())
        };
        let kin = Kin {
            account: self.books.accounts.name(row.account_id).map_err(wrong)?,
            instrument: self.books.instruments.name(row.instrument_id).map_err(wrong)?,
            currency: self.books.currencies.name(row.currency).map_err(wrong)?,
            side: row.side,
        };
        let part = Part {
            kin,
            price: row.price,
            quantity: row.quantity,
            fee: row.fee,
            cash_change: row.cash_change,
            version,
            posted_at: row.posted_at,
        };
        Ok((row.trade_id, part))
    }

    /// Pays out a position of a decided market.
    pub(super) fn payout(&mut self, row: &Payout<'_>) -> Result<(), Found> {
        let wrong = |problem: String| bad("payout", row.posting_sequence, problem);
        self.nothing_open()?;
        let sequence = self.advance(("payout", &row.posting_sequence), row.posted_at)?;
        self.told(("payout", &row.posting_sequence), row.fact_sequence)?;
        self.counted.payouts += 1;
        let Some(held) = self.books.find_position(row.account_id, row.instrument_id).copied() else {
            return Err(wrong("the account holds nothing of it".to_owned()));
        };
        let id = |error: tragen_domain::id::IdError| wrong(error.to_string());
        let (account, currency) = (
            self.books.accounts.name(row.account_id).map_err(id)?,
            self.books.currencies.name(row.currency).map_err(id)?,
        );
        let instrument = self.books.instruments.name(row.instrument_id).map_err(id)?;
        let venue = self.books.venues.name(row.venue).map_err(id)?;
        if (held.currency, held.style, held.position.quantity.micros()) != (currency, row.style, row.quantity) {
            let quantity = held.position.quantity;
            return Err(wrong(format!("the account holds {quantity}, or its style or currency is another")));
        }
        self.decide(row, instrument)?;
        let terms = self.terms(row.style, currency, 0).map_err(&wrong)?;
        let wallet = self.books.wallet(account, currency);
        let before = (wallet, held.position);
        let (account_id, venue) = (self.books.account(account), self.books.venue(venue));
        let posting = if row.is_void {
            post_refund(account_id, venue, before, &terms)
        } else {
            post_settlement(account_id, venue, before, Price::from_micros(row.value), &terms)
        };
        let posting = posting.map_err(|error| wrong(error.to_string()))?;
        let cash_change = posting.wallet.cash.minus(wallet.cash);
        let realized_pnl = posting.position.realized_pnl.minus(held.position.realized_pnl);
        for (name, stored, expected) in
            [("cash_change", row.cash_change, cash_change), ("realized_pnl", row.realized_pnl, realized_pnl)]
        {
            let expected = expected.map_err(|error| wrong(error.to_string()))?;
            if expected.micros() != stored {
                return Err(wrong(format!("{name} is {}, should be {expected}", Money::from_micros(stored))));
            }
        }
        let posted = Posted { account_id: row.account_id, sequence, at: row.posted_at, reference_id: row.booking_id };
        self.chain.take(&posting.transfers, posted)?;
        self.books.wallets.insert((account, currency), posting.wallet);
        let held = Held { position: posting.position, account_version: posting.wallet.version, ..held };
        self.books.positions.insert((account, instrument), held);
        Ok(())
    }

    /// Every payout of a market must say the same of it.
    fn decide(&mut self, row: &Payout<'_>, instrument: Name) -> Result<(), Found> {
        let own = Decided {
            booking_id: row.booking_id,
            venue: row.venue.to_owned(),
            value: row.value,
            is_void: row.is_void,
            first: (row.posting_sequence, row.posted_at),
        };
        let first = self.decided.entry(instrument).or_insert_with(|| own.clone());
        if (Decided { first: first.first, ..own }) != *first {
            let problem = format!("it is not decided like the payout {} of the same market", first.first.0);
            return Err(bad("payout", row.posting_sequence, problem));
        }
        Ok(())
    }

    fn names(&mut self, row: &Execution<'_>) -> Result<(Kin, Name), tragen_domain::id::IdError> {
        let kin = Kin {
            account: self.books.accounts.name(row.account_id)?,
            instrument: self.books.instruments.name(row.instrument_id)?,
            currency: self.books.currencies.name(row.currency)?,
            side: row.side,
        };
        Ok((kin, self.books.venues.name(row.venue)?))
    }

    fn terms(&self, style: i32, currency: Name, initial_margin_ppm: i64) -> Result<SettlementTerms, String> {
        let style = v1::SettlementStyle::try_from(style).ok().and_then(|style| SettlementStyle::try_from(style).ok());
        let style = style.ok_or_else(|| "its settlement style is unknown".to_owned())?;
        if !(0..=1_000_000).contains(&initial_margin_ppm) {
            return Err(format!("a margin of {initial_margin_ppm} parts per million is none"));
        }
        Ok(SettlementTerms { style, currency: self.books.currency(currency).clone(), initial_margin_ppm })
    }
}

fn side_of(number: i32) -> Option<Side> {
    v1::Side::try_from(number).ok().and_then(|side| Side::try_from(side).ok())
}

const fn part(row: &Execution<'_>, kin: Kin, version: i64) -> Part {
    Part {
        kin,
        price: row.price,
        quantity: row.quantity,
        fee: row.fee,
        cash_change: row.cash_change,
        version,
        posted_at: row.posted_at,
    }
}

fn original_of(row: &Execution<'_>, snapshot: &mut Snapshot) -> Result<Option<ExecutionRow>, Found> {
    Ok(snapshot.rows(EXECUTION, &[Arg::Text(row.reverses)])?.pop())
}

/// What suspense had paid for a fill; nothing that is known here if another shard has posted it.
fn drawn_for(original: Option<&ExecutionRow>, snapshot: &mut Snapshot) -> Result<Money, Found> {
    let Some(of) = original else { return Ok(Money::ZERO) };
    let Some(posting_sequence) = of.posting_sequence else { return Ok(Money::ZERO) };
    let args = [Arg::Text(&of.account_id), Arg::Int(of.posted_at), Arg::Int(posting_sequence)];
    let paid: Option<(i64,)> = snapshot.rows(DRAWN, &args)?.pop();
    Ok(Money::from_micros(paid.map_or(0, |(paid,)| paid)))
}

/// What is wrong with a fill taken back, if anything.
fn reversal_problem(row: &Execution<'_>, original: Option<&ExecutionRow>) -> Option<String> {
    if row.execution_id != reversal_id(row.reverses) || row.trade_id != execution_correction_id(row.reverses) {
        return Some(format!("its ids are not those of a reversal of {}", row.reverses));
    }
    let Some(of) = original else { return Some(format!("there is no execution {} to take back", row.reverses)) };
    if of.posting_sequence >= row.posting_sequence {
        return Some(format!("it takes back {}, which came later", row.reverses));
    }
    let is_equal = of.account_id == row.account_id
        && of.instrument_id == row.instrument_id
        && of.venue == row.venue
        && of.currency == row.currency
        && of.reverses.is_empty()
        && (of.side, of.style) == (row.side, row.style)
        && (of.price, of.quantity, of.fee) == (row.price, row.quantity, row.fee)
        && (of.initial_margin_ppm, of.executed_at) == (row.initial_margin_ppm, row.executed_at);
    (!is_equal).then(|| format!("it is not the execution {} taken back", row.reverses))
}
