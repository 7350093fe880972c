//! What the books must say, computed from the record alone and with nothing but
//! sums: prices are whole micros and quantities whole contracts, so nothing is
//! ever rounded.

use crate::{
    record::Line,
    script::{BROKE, ONE, Report, Style, What},
    wire::{Told, arrival_id, id_of},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tragen_contracts::v1;

/// A fill as it was reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fill {
    pub(crate) trade_id: String,
    pub(crate) account: String,
    pub(crate) instrument: String,
    pub(crate) is_buy: bool,
    pub(crate) price: i64,
    pub(crate) quantity: i64,
    pub(crate) fee: i64,
}

/// A movement of cash as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Movement {
    pub(crate) account: String,
    pub(crate) kind: i64,
    /// Signed; 0 when denied.
    pub(crate) amount: i64,
    pub(crate) is_denied: bool,
}

/// A trade as all of its reports together make it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) account: String,
    pub(crate) ordered: i64,
    pub(crate) filled: i64,
    pub(crate) fee: i64,
    /// The last word of its reports, if any fill did not change it.
    ended: i32,
}

/// All fills of one account in one instrument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holding {
    pub(crate) style: Style,
    /// Sum of price x quantity.
    pub(crate) bought: i64,
    pub(crate) sold: i64,
    /// Signed.
    pub(crate) quantity: i64,
    pub(crate) fees: i64,
    pub(crate) fills: i64,
}

/// What the record makes the books say.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// By execution id.
    pub(crate) fills: HashMap<String, Fill>,
    /// By id.
    pub(crate) movements: HashMap<String, Movement>,
    /// By trade id.
    pub(crate) orders: HashMap<String, Order>,
    /// By account and instrument.
    pub(crate) holdings: BTreeMap<(String, String), Holding>,
    /// Every account to which anything is posted: cash in less cash out, and how many postings.
    pub(crate) accounts: BTreeMap<String, (i64, i64)>,
    /// What a decided market pays, and the bookings that decided it.
    pub(crate) settled: BTreeMap<String, (i64, BTreeSet<String>)>,
    /// Deposits that were answered: cash and version afterwards.
    pub(crate) answers: HashMap<String, (i64, i64)>,
    /// Facts that were seen.
    pub(crate) told: BTreeMap<(u16, i64), Told>,
    /// Steps in all.
    pub(crate) requests: usize,
    /// What was wrong already when it was seen.
    pub(crate) problems: Vec<String>,
}

impl Expected {
    /// Out of the record.
    pub(crate) fn of(lines: Vec<Line>) -> Self {
        let mut expected = Self::default();
        for line in lines {
            match line {
                Line::Sent { id, step, .. } => {
                    expected.requests += 1;
                    debug_assert_eq!(id, id_of(&step));
                    expected.step(id, &step.account, step.what);
                }
                Line::Answered { id, cash_after, version_after, .. } => {
                    expected.answers.insert(id, (cash_after, version_after));
                }
                Line::Wrong { id, problem, .. } => expected.problems.push(format!("{id}: {problem}")),
                Line::Told { shard, sequence, told, .. } => {
                    let before = expected.told.insert((shard, sequence), told.clone());
                    if let Some(before) = before.filter(|before| *before != told) {
                        let problem = format!("fact {shard}/{sequence} was {before:?} and then {told:?}");
                        expected.problems.push(problem);
                    }
                }
            }
        }
        expected
    }

    fn step(&mut self, id: String, account: &str, what: What) {
        let mut movement = |id: String, account: &str, kind: v1::CashKind, amount: i64| {
            let (cash, postings) = self.accounts.entry(account.to_owned()).or_default();
            *cash += amount;
            *postings += 1;
            let kind = i32::from(kind).into();
            self.movements.insert(id, Movement { account: account.to_owned(), kind, amount, is_denied: false });
        };
        match what {
            What::Deposit { amount } => movement(id, account, v1::CashKind::Deposit, amount),
            What::Withdrawal { amount, is_denied: false } => {
                movement(id, account, v1::CashKind::Withdrawal, -amount);
            }
            What::Withdrawal { is_denied: true, .. } => {
                let kind = i32::from(v1::CashKind::Withdrawal).into();
                let denied = Movement { account: account.to_owned(), kind, amount: 0, is_denied: true };
                self.movements.insert(id, denied);
            }
            What::Sending { amount, to } => {
                movement(arrival_id(&id), &to, v1::CashKind::Received, amount);
                movement(id, account, v1::CashKind::Sent, -amount);
            }
            What::Adjustment { amount } => movement(id, account, v1::CashKind::Adjustment, amount),
            What::Correction { amount, .. } => movement(id, account, v1::CashKind::Correction, -amount),
            What::Settlement { instrument, value } => {
                let (_, bookings) = self.settled.entry(instrument).or_insert((value, BTreeSet::new()));
                bookings.insert(id);
            }
            What::Trade(report) => self.report(&id, account, report),
        }
    }

    fn report(&mut self, id: &str, account: &str, report: Report) {
        let order = self.orders.entry(id.to_owned()).or_default();
        order.account = account.to_owned();
        order.ordered = report.ordered;
        if report.status != i32::from(v1::TradeStatus::Working) {
            order.ended = report.status;
        }
        for leg in &report.legs {
            order.filled += leg.quantity;
            order.fee += leg.fee;
        }
        for leg in report.legs {
            let fill = Fill {
                trade_id: id.to_owned(),
                account: account.to_owned(),
                instrument: report.instrument.clone(),
                is_buy: report.is_buy,
                price: leg.price,
                quantity: leg.quantity,
                fee: leg.fee,
            };
            self.hold(&fill, report.style);
            self.fills.insert(leg.execution_id, fill);
        }
    }

    fn hold(&mut self, fill: &Fill, style: Style) {
        self.accounts.entry(fill.account.clone()).or_default().1 += 1;
        let none = Holding { style, bought: 0, sold: 0, quantity: 0, fees: 0, fills: 0 };
        let holding = self.holdings.entry((fill.account.clone(), fill.instrument.clone())).or_insert(none);
        let notional = fill.price * (fill.quantity / ONE);
        if fill.is_buy {
            holding.bought += notional;
            holding.quantity += fill.quantity;
        } else {
            holding.sold += notional;
            holding.quantity -= fill.quantity;
        }
        holding.fees += fill.fee;
        holding.fills += 1;
    }

    /// Whether nothing is left of a position because its market is decided.
    pub(crate) fn is_settled(&self, instrument: &str) -> bool {
        self.settled.contains_key(instrument)
    }

    /// What a decided market pays for `quantity`.
    pub(crate) fn payout(&self, instrument: &str, quantity: i64) -> Option<i64> {
        let (value, _) = self.settled.get(instrument)?;
        Some(if quantity < 0 { (ONE - value) * (-quantity / ONE) } else { value * (quantity / ONE) })
    }

    /// What its decision adds to the profit of all that was held of an instrument; 0 while it is open.
    pub(crate) fn payout_value(&self, instrument: &str, quantity: i64) -> i64 {
        self.settled.get(instrument).map_or(0, |(value, _)| value * (quantity / ONE))
    }

    /// Cash and margin of `account` together, given what its open positions cost.
    pub(crate) fn wealth(&self, account: &str, entry_of: impl Fn(&str) -> i64) -> i64 {
        let (mut wealth, _) = self.accounts.get(account).copied().unwrap_or_default();
        let first = (account.to_owned(), String::new());
        let own = self.holdings.range(first..).take_while(|((owner, _), _)| owner == account);
        for ((_, instrument), holding) in own {
            let traded = holding.sold - holding.bought;
            wealth += match (holding.style, self.settled.get(instrument)) {
                (Style::Prediction, Some((value, _))) => traded + value * (holding.quantity / ONE),
                // A short holds the opposite outcome: it has paid one for each contract and keeps the price.
                (Style::Prediction, None) => traded + holding.quantity.min(0),
                (Style::Spot, _) => traded,
                // What is open has moved nothing yet.
                (Style::Margined, _) => traded + entry_of(instrument) * holding.quantity.signum(),
            };
            wealth -= holding.fees;
        }
        // What it could not pay, suspense has paid.
        if is_broke(account) { wealth.max(0) } else { wealth }
    }
}

impl Holding {
    /// Whether margin is held for it.
    pub(crate) fn is_margined(&self) -> bool {
        self.style == Style::Margined
    }
}

impl Order {
    /// Where it stands in the end.
    pub(crate) fn status(&self) -> i64 {
        let status = if self.filled == 0 {
            self.ended
        } else if self.filled >= self.ordered {
            v1::TradeStatus::Filled.into()
        } else if self.ended == 0 {
            v1::TradeStatus::Working.into()
        } else {
            v1::TradeStatus::PartiallyFilled.into()
        };
        status.into()
    }
}

/// Whether the account was made to buy too much.
pub(crate) fn is_broke(account: &str) -> bool {
    account.starts_with(BROKE)
}
