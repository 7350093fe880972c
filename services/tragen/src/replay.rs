//! Runs a recorded day again and compares: what the guard approved (JOURNAL), what
//! the venue filled (EXECUTIONS) and what the ledger posted (LEDGER). Every fill is
//! held against its approval and the fee rule, every posting is made again by the
//! ledger's rules, and every decision about a pool and every bet of a configured agent from its inputs. Whatever comes
//! out otherwise is a difference; there must be none.
//!
//! The guard's own state is replayed and checked by [`tragen_risk_guard::replay`];
//! this goes on from the orders that are in it.

mod agents;
mod books;
mod looks;
mod pools;
mod unmatched;

pub(crate) use agents::{Decisions, MadeAgain};
use books::{Books, Cash};
pub(crate) use looks::{Looked, Looks};
pub(crate) use pools::Pools;
use std::{
    collections::{HashMap, HashSet},
    fmt,
};
use tragen_contracts::v1::{self, execution_report, journal_record, ledger_fact};
use tragen_domain::{
    execution::Fill,
    instrument::{Liquidity, SettlementTerms},
    money::Quantity,
    order::{OrderPrice, OrderTerms, Side},
};
pub(crate) use unmatched::Unmatched;

/// Differences that are named; the rest is counted.
const NAMED_MAX: usize = 1_000;

/// What a replay has found.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    approved: HashMap<String, Approved>,
    filled: HashMap<String, i64>,
    executions: HashSet<String>,
    books: Books,
    facts: HashSet<String>,
    first_fact: Option<i64>,
    /// How much was compared.
    pub(crate) compared: Compared,
    /// The first [`NAMED_MAX`] differences.
    pub(crate) differences: Vec<Difference>,
    /// All of them.
    pub(crate) count: u64,
}

/// How much was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Approvals of the journal.
    pub(crate) approvals: u64,
    /// Fills of the executions.
    pub(crate) fills: u64,
    /// Trades, cash movements and payouts of the ledger.
    pub(crate) facts: u64,
    /// Balances at the end.
    pub(crate) balances: u64,
    /// Positions at the end.
    pub(crate) positions: u64,
}

/// An order as the journal has it.
#[derive(Debug)]
struct Approved {
    account: String,
    terms: OrderTerms,
    settlement: SettlementTerms,
    taker_fee_ppm: i64,
}

/// Something that came out otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Where: an order, execution, trade, balance or position.
    pub(crate) at: String,
    /// What differs.
    pub(crate) what: &'static str,
    /// What the replay says.
    pub(crate) replayed: String,
    /// What was recorded.
    pub(crate) recorded: String,
}

/// Records that do not go back to the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ledger's facts begin with number {first}: those before it are gone, so its balances cannot be made again")]
pub(crate) struct NotWhole {
    first: i64,
}

impl Comparison {
    /// Takes the approvals of a journal message.
    pub(crate) fn journal(&mut self, batch: &v1::JournalBatch) {
        for record in &batch.records {
            let Some(journal_record::Kind::Approved(own)) = &record.kind else { continue };
            self.compared.approvals += 1;
            let account = record.key.as_ref().map(|key| key.account_id.clone()).unwrap_or_default();
            let read = || {
                let terms = OrderTerms::try_from(own.terms.as_ref()?).ok()?;
                let settlement = SettlementTerms::try_from(own.settlement.as_ref()?).ok()?;
                Some((terms, settlement))
            };
            match read() {
                Some((terms, settlement)) => {
                    let id = terms.id.to_string();
                    let own = Approved { account, terms, settlement, taker_fee_ppm: own.taker_fee_ppm };
                    self.approved.insert(id, own);
                }
                None => self.differ(&account, "approval", "one that can be read", "one that cannot"),
            }
        }
    }

    /// Takes what the venue reported, in its order.
    pub(crate) fn executions(&mut self, batch: &v1::ExecutionBatch) {
        for report in &batch.reports {
            let Some(execution_report::Kind::Trade(trade)) = &report.kind else { continue };
            let account = report.key.as_ref().map(|key| key.account_id.clone()).unwrap_or_default();
            let (Some(terms), Some(settlement)) = (&trade.terms, &trade.settlement) else { continue };
            let (Ok(terms), Ok(settlement)) = (OrderTerms::try_from(terms), SettlementTerms::try_from(settlement))
            else {
                self.differ(&account, "report", "one that can be read", "one that cannot");
                continue;
            };
            for fill in trade.fills.iter().filter_map(|fill| Fill::try_from(fill).ok()) {
                if !self.executions.insert(fill.id.to_string()) {
                    continue;
                }
                self.compared.fills += 1;
                self.check_fill(&account, &terms, &settlement, &fill);
                if let Err(error) = self.books.fill(&account, &terms, &settlement, &fill) {
                    self.differ(fill.id.as_str(), "booking", &error, "booked");
                }
            }
        }
    }

    /// Takes what the ledger committed; a fact that is told again changes nothing.
    pub(crate) fn facts(&mut self, batch: &v1::LedgerFactBatch) {
        for fact in &batch.facts {
            self.first_fact = Some(self.first_fact.map_or(fact.sequence, |first| first.min(fact.sequence)));
            let Some(kind) = &fact.kind else { continue };
            let is_new = self.facts.insert(name(kind));
            self.books.note(&fact.balances, &fact.positions);
            if !is_new {
                continue;
            }
            self.compared.facts += 1;
            match kind {
                // Its fills are in the executions; its balances are compared at the end.
                ledger_fact::Kind::Trade(_) => {}
                ledger_fact::Kind::Cash(cash) => self.books.cash(cash),
                ledger_fact::Kind::Settled(settled) => match self.books.settle(settled) {
                    Ok(change) if change == settled.cash_change_micros => {}
                    Ok(change) => {
                        let at = format!("{} {}", settled.account_id, settled.instrument_id);
                        self.differ(&at, "payout", &change.to_string(), &settled.cash_change_micros.to_string());
                    }
                    Err(error) => self.differ(&settled.booking_id, "payout", &error, "paid"),
                },
            }
        }
    }

    /// Compares the balances and positions that it has come to.
    ///
    /// # Errors
    /// [`NotWhole`].
    pub(crate) fn conclude(&mut self) -> Result<(), NotWhole> {
        if let Some(first) = self.first_fact.filter(|first| *first > 1) {
            return Err(NotWhole { first });
        }
        let books = std::mem::take(&mut self.books);
        for ((account, currency), Cash { replayed, recorded, is_comparable }) in books.balances() {
            if !is_comparable {
                continue;
            }
            self.compared.balances += 1;
            if replayed != recorded {
                let at = format!("{account} {currency}");
                self.differ(&at, "cash and margin", &replayed.to_string(), &recorded.to_string());
            }
        }
        for ((account, instrument), (replayed, recorded)) in books.positions() {
            self.compared.positions += 1;
            if replayed != recorded {
                let at = format!("{account} {instrument}");
                self.differ(&at, "position", &format!("{replayed:?}"), &format!("{recorded:?}"));
            }
        }
        Ok(())
    }

    /// A fill of an order that was approved so, within its limit, at the fee of the rule.
    fn check_fill(&mut self, account: &str, terms: &OrderTerms, settlement: &SettlementTerms, fill: &Fill) {
        let id = terms.id.to_string();
        let Some(own) = self.approved.get(&id) else {
            return self.differ(&id, "approval", "none in the journal", "filled");
        };
        let is_same =
            (own.account.as_str(), &own.terms.instrument, own.terms.side, own.terms.quantity, &own.settlement)
                == (account, &terms.instrument, terms.side, terms.quantity, settlement);
        let is_within = match (own.terms.price, own.terms.side) {
            (OrderPrice::Limit(limit), Side::Buy) => fill.price <= limit,
            (OrderPrice::Limit(limit), Side::Sell) => fill.price >= limit,
            (OrderPrice::Market, _) => true,
        };
        let quantity = own.terms.quantity;
        let liquidity = liquidity(&own.terms, fill);
        let fee = liquidity.fee(settlement.style, own.taker_fee_ppm, fill.price, fill.quantity);
        let filled = self.filled.entry(id.clone()).or_default();
        *filled = filled.saturating_add(fill.quantity.micros());
        let filled = *filled;
        if !is_same {
            self.differ(&id, "terms", "as approved", "others");
        }
        if !is_within {
            self.differ(fill.id.as_str(), "price", "within the limit", &fill.price.to_string());
        }
        if fee != Ok(fill.fee) {
            let fee = fee.map_or_else(|error| error.to_string(), |fee| fee.to_string());
            self.differ(fill.id.as_str(), "fee", &fee, &fill.fee.to_string());
        }
        if filled > quantity.micros() {
            let most = quantity.to_string();
            self.differ(&id, "filled quantity", &most, &Quantity::from_micros(filled).to_string());
        }
    }

    fn differ(&mut self, at: &str, what: &'static str, replayed: &str, recorded: &str) {
        self.count += 1;
        if self.differences.len() < NAMED_MAX {
            let (at, replayed, recorded) = (at.to_owned(), replayed.to_owned(), recorded.to_owned());
            self.differences.push(Difference { at, what, replayed, recorded });
        }
    }
}

/// What the order was in the trade. One that may also take says so by its fee: what waits trades at its limit, and is
/// the maker then.
fn liquidity(terms: &OrderTerms, fill: &Fill) -> Liquidity {
    let may_have_waited = terms.time_in_force.is_resting() && terms.price == OrderPrice::Limit(fill.price);
    if terms.is_post_only || (may_have_waited && fill.fee.is_zero()) { Liquidity::Maker } else { Liquidity::Taker }
}

/// What a fact is known by when it is told again.
fn name(kind: &ledger_fact::Kind) -> String {
    match kind {
        // A trade that rests is told once for each step.
        ledger_fact::Kind::Trade(posted) => {
            let trade = posted.trade.as_ref();
            let (id, version) = trade.map_or(("", 0), |trade| (trade.trade_id.as_str(), trade.account_version));
            format!("trade {id} {version} {:?}", trade.map(v1::Trade::status))
        }
        ledger_fact::Kind::Cash(cash) => {
            let account = cash.account.as_ref().map_or("", |account| account.account_id.as_str());
            format!("cash {} {account}", cash.trade_id)
        }
        ledger_fact::Kind::Settled(own) => {
            format!("settled {} {} {}", own.booking_id, own.account_id, own.instrument_id)
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, what, replayed, recorded } = self;
        write!(f, "{at}: {what}: replayed {replayed}, recorded {recorded}")
    }
}

#[cfg(test)]
mod tests;
