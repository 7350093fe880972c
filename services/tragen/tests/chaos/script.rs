//! What is traded: an endless list of steps that depends on the seed alone. Every
//! step has an outcome that does not depend on the order in which the books take
//! the steps in, so that the auditor can compute it.

use crate::dice::Dice;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use tragen_contracts::v1;

/// One unit of the currency, or one contract.
pub(crate) const ONE: i64 = 1_000_000;
/// What every account begins with: enough for any run.
pub(crate) const FUNDS: i64 = 1_000_000_000 * ONE;
/// What a margined position holds of its notional, parts per million.
pub(crate) const MARGIN_PPM: i64 = 50_000;
/// What an account has that is going to buy too much.
pub(crate) const BROKE_FUNDS: i64 = 2 * ONE;
/// How the names of such accounts begin.
pub(crate) const BROKE: &str = "broke-";
/// Trades in a market before it is decided.
const TRADES_IN_A_MARKET: usize = 40;
/// Trades that come after the decision.
const LATE_TRADES: usize = 3;

/// How an instrument settles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Style {
    Prediction,
    Spot,
    Margined,
}

/// A part of an order that was executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leg {
    pub(crate) execution_id: String,
    pub(crate) price: i64,
    pub(crate) quantity: i64,
    pub(crate) fee: i64,
}

/// What happens; amounts are 1e-6.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    Deposit {
        amount: i64,
    },
    Trade(Report),
    Withdrawal {
        amount: i64,
        is_denied: bool,
    },
    Sending {
        amount: i64,
        to: String,
    },
    Adjustment {
        amount: i64,
    },
    /// Takes a deposit back.
    Correction {
        deposit: String,
        amount: i64,
    },
    Settlement {
        instrument: String,
        value: i64,
    },
}

/// One report about an order; there may be several, in any order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) instrument: String,
    pub(crate) style: Style,
    pub(crate) is_buy: bool,
    pub(crate) ordered: i64,
    pub(crate) legs: Vec<Leg>,
    /// [`v1::TradeStatus`].
    pub(crate) status: i32,
}

/// One thing that the guard reports or a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    /// Its place in the script.
    pub(crate) number: usize,
    pub(crate) account: String,
    /// The client's id; the reports of one order have the same.
    pub(crate) request: String,
    pub(crate) what: What,
    /// The step that must be done before.
    pub(crate) needs: Option<usize>,
}

/// The list.
#[derive(Debug)]
pub(crate) struct Script {
    dice: Dice,
    accounts: Vec<String>,
    drawn: VecDeque<Step>,
    steps: usize,
    requests: usize,
    market: usize,
    traded_in_market: usize,
}

impl Script {
    /// For `seed` and a scenario, between `accounts` accounts.
    pub(crate) fn new(seed: u64, scenario: &str, accounts: usize) -> Self {
        let accounts = (0..accounts).map(|number| format!("trader-{number:03}")).collect();
        let dice = Dice::new(seed, &format!("script of {scenario}"));
        Self { dice, accounts, drawn: VecDeque::new(), steps: 0, requests: 0, market: 0, traded_in_market: 0 }
    }

    /// What every account begins with.
    pub(crate) fn funding(&mut self) -> Vec<Step> {
        for account in self.accounts.clone() {
            self.request(account, What::Deposit { amount: FUNDS }, None);
        }
        self.drawn.drain(..).collect()
    }

    /// The next step.
    pub(crate) fn next(&mut self) -> Step {
        loop {
            if let Some(step) = self.drawn.pop_front() {
                return step;
            }
            self.draw();
        }
    }

    /// Lets the market in which there is trade be decided now.
    pub(crate) fn decide_market(&mut self) {
        let instrument = self.market_name();
        let value = self.dice.pick(&[0, ONE, ONE / 2]);
        self.request(String::new(), What::Settlement { instrument: instrument.clone(), value }, None);
        for _ in 0..LATE_TRADES {
            self.prediction(instrument.clone());
        }
        self.market += 1;
        self.traded_in_market = 0;
    }

    fn draw(&mut self) {
        let account = self.account();
        match self.dice.below(100) {
            0..36 => {
                if self.traded_in_market >= TRADES_IN_A_MARKET {
                    self.decide_market();
                }
                self.traded_in_market += 1;
                let instrument = if self.dice.percent(60) { self.market_name() } else { self.lasting_market() };
                self.prediction(instrument);
            }
            36..50 => self.spot(),
            50..66 => self.margined(),
            66..76 => self.deposit(),
            76..82 => {
                let (amount, is_denied) = (self.dice.between(1, 50 * ONE), self.dice.percent(30));
                self.request(account, What::Withdrawal { amount, is_denied }, None);
            }
            82..92 => {
                let (amount, to) = (self.dice.between(1, 20 * ONE), self.account());
                self.request(account, What::Sending { amount, to }, None);
            }
            92..95 => {
                let amount = self.dice.between(1, 5 * ONE) * self.dice.pick(&[1, -1]);
                self.request(account, What::Adjustment { amount }, None);
            }
            95..98 => self.nothing_traded(),
            _ => self.broke(),
        }
    }

    fn market_name(&self) -> String {
        format!("MATCH-{:04}-HOME", self.market)
    }

    fn lasting_market(&mut self) -> String {
        format!("SEASON-{}-WINNER", self.dice.below(5))
    }

    fn account(&mut self) -> String {
        let place = self.dice.below(self.accounts.len());
        self.accounts[place].clone()
    }

    fn request_id(&mut self) -> String {
        self.requests += 1;
        format!("r-{:06}", self.requests)
    }

    /// A step of its own; returns its number.
    fn request(&mut self, account: String, what: What, needs: Option<usize>) -> usize {
        let request = self.request_id();
        self.step(account, request, what, needs)
    }

    fn step(&mut self, account: String, request: String, what: What, needs: Option<usize>) -> usize {
        self.steps += 1;
        self.drawn.push_back(Step { number: self.steps, account, request, what, needs });
        self.steps
    }

    fn deposit(&mut self) {
        let (account, amount) = (self.account(), self.dice.between(1, 100 * ONE));
        let number = self.request(account.clone(), What::Deposit { amount }, None);
        if self.dice.percent(15) {
            let deposit = format!("r-{:06}", self.requests);
            self.request(account, What::Correction { deposit, amount }, Some(number));
        }
    }

    fn prediction(&mut self, instrument: String) {
        let is_buy = self.dice.percent(50);
        let price = self.dice.between(10_000, 990_000);
        let order = Report { instrument, style: Style::Prediction, is_buy, ..self.order(20) };
        self.reports(&order, price);
    }

    fn margined(&mut self) {
        let is_buy = self.dice.percent(50);
        let price = self.dice.between(ONE, ONE + 200_000);
        let instrument = self.dice.pick(&["EURUSD", "GBPUSD"]).to_owned();
        let order = Report { instrument, style: Style::Margined, is_buy, ..self.order(500) };
        self.reports(&order, price);
    }

    /// A purchase, and often the sale of it: what is not held cannot be sold.
    fn spot(&mut self) {
        let account = self.account();
        let price = self.dice.between(ONE, 100 * ONE);
        let bought = Report { instrument: "BTCUSD".to_owned(), style: Style::Spot, ..self.order(10) };
        let number = self.filled(account.clone(), &bought, price, None);
        if self.dice.percent(60) {
            self.filled(account, &Report { is_buy: false, ..bought }, price + ONE / 10, Some(number));
        }
    }

    /// An account of its own that buys more than it can pay: it is frozen, and suspense pays.
    fn broke(&mut self) {
        let account = format!("{BROKE}{:04}", self.requests);
        let number = self.request(account.clone(), What::Deposit { amount: BROKE_FUNDS }, None);
        let order = Report { instrument: self.lasting_market(), ordered: 10 * ONE, ..self.order(1) };
        self.filled(account, &order, ONE / 2, Some(number));
    }

    fn nothing_traded(&mut self) {
        let status = self.dice.pick(&[v1::TradeStatus::Denied, v1::TradeStatus::NoTrade, v1::TradeStatus::Rejected]);
        let (account, instrument) = (self.account(), self.lasting_market());
        let report = Report { instrument, status: status.into(), ..self.order(10) };
        self.request(account, What::Trade(report), None);
    }

    /// An order to buy up to `most` whole contracts.
    fn order(&mut self, most: i64) -> Report {
        Report {
            instrument: String::new(),
            style: Style::Prediction,
            is_buy: true,
            ordered: self.dice.between(1, most) * ONE,
            legs: Vec::new(),
            status: v1::TradeStatus::Working.into(),
        }
    }

    fn leg(&mut self, request: &str, place: i64, price: i64, quantity: i64) -> Leg {
        let fee = self.dice.between(0, 1_000);
        Leg { execution_id: format!("{request}-x{place}"), price, quantity, fee }
    }

    /// An order filled in one go; returns its step.
    fn filled(&mut self, account: String, order: &Report, price: i64, needs: Option<usize>) -> usize {
        let request = self.request_id();
        let legs = vec![self.leg(&request, 0, price, order.ordered)];
        let report = Report { legs, status: v1::TradeStatus::Filled.into(), ..order.clone() };
        self.step(account, request, What::Trade(report), needs)
    }

    /// The reports of one order: filled in one go, in several, or in part.
    fn reports(&mut self, order: &Report, price: i64) {
        let (account, request) = (self.account(), self.request_id());
        let parts = self.dice.pick(&[1, 1, 1, 2, 3]).min(order.ordered / ONE);
        let mut rest = order.ordered;
        for place in 0..parts {
            let is_last = place + 1 == parts;
            let quantity = if is_last { rest } else { ONE * self.dice.between(1, rest / ONE - (parts - 1 - place)) };
            rest -= quantity;
            let is_canceled = is_last && parts > 1 && self.dice.percent(30);
            let (legs, status) = if is_canceled {
                (Vec::new(), v1::TradeStatus::Canceled)
            } else {
                let leg = self.leg(&request, place, price, quantity);
                (vec![leg], if is_last { v1::TradeStatus::Filled } else { v1::TradeStatus::Working })
            };
            let report = Report { legs, status: status.into(), ..order.clone() };
            self.step(account.clone(), request.clone(), What::Trade(report), None);
        }
    }
}
