//! The ledger's side of the bus: books reports by the domain's own arithmetic,
//! tells its facts, and answers the questions a guard asks at its start.

use crate::rig::{ONE, PATIENCE, Shared};
use futures::FutureExt as _;
use std::collections::{BTreeMap, BTreeSet};
use tragen_bus::{Ask, Bus, Consumer, PublishOptions, Subject};
use tragen_contracts::v1;
use tragen_domain::{execution::Fill, instrument::SettlementTerms, money::Money, order::Side, position::Position};
use tragen_host::Context;

#[derive(Clone, Default)]
pub(crate) struct Ledger {
    books: Shared<Books>,
}

#[derive(Default)]
struct Books {
    accounts: BTreeMap<String, Book>,
    facts: BTreeMap<String, v1::LedgerFact>,
    executions: BTreeSet<String>,
    finished: BTreeSet<String>,
    sequence: i64,
    /// Trades whose reports are lost on their way.
    lost: BTreeSet<String>,
}

#[derive(Default, Clone)]
struct Book {
    cash: Money,
    version: i64,
    positions: BTreeMap<String, Position>,
}

impl Ledger {
    pub(crate) fn deposit(&self, account: &str, micros: i64) {
        let mut books = self.books.lock().expect("not poisoned");
        let book = books.accounts.entry(account.into()).or_default();
        book.cash = book.cash.plus(Money::from_micros(micros)).expect("fits");
        book.version += 1;
    }

    pub(crate) fn cash(&self, account: &str) -> i64 {
        self.books.lock().expect("not poisoned").accounts[account].cash.micros()
    }

    pub(crate) fn contracts(&self, account: &str, instrument: &str) -> i64 {
        let books = self.books.lock().expect("not poisoned");
        books.accounts[account].positions.get(instrument).map_or(0, |position| position.quantity.micros() / ONE)
    }

    /// Whatever is told of `trade` from now on does not arrive, until it is told once more after [`Self::hears`].
    pub(crate) fn loses(&self, trade: &str) {
        self.books.lock().expect("not poisoned").lost.insert(trade.to_owned());
    }

    pub(crate) fn hears(&self, trade: &str) {
        self.books.lock().expect("not poisoned").lost.remove(trade);
    }

    /// The status that is booked for `trade`.
    pub(crate) fn status(&self, trade: &str) -> Option<v1::TradeStatus> {
        let books = self.books.lock().expect("not poisoned");
        match books.facts.get(trade)?.kind.as_ref()? {
            v1::ledger_fact::Kind::Trade(posted) => posted.trade.as_ref().map(v1::Trade::status),
            v1::ledger_fact::Kind::Cash(_) | v1::ledger_fact::Kind::Settled(_) => None,
        }
    }

    /// Starts booking and answering.
    pub(crate) async fn serve(&self, context: &Context, bus: &Bus) {
        let own = self.clone();
        bus.answer(context, Ask::Ledger, move |question: v1::LedgerQuestion| {
            let answer = own.answer(&question);
            async move { v1::LedgerAnswer { answer } }.boxed()
        })
        .await
        .expect("a subject");
        let (own, bus) = (self.clone(), bus.clone());
        let mut reports = bus.pull::<v1::ExecutionBatch>(context, Consumer::Ledger(0));
        context.spawn("ledger", async move {
            while let Some(delivery) = reports.next().await {
                let facts: Vec<_> = delivery.message.reports.iter().flat_map(|report| own.book(report)).collect();
                if !facts.is_empty() {
                    let batch = v1::LedgerFactBatch { facts, ..v1::LedgerFactBatch::default() };
                    let subject = Subject::LedgerFacts(0);
                    bus.publish(&subject, &batch, &PublishOptions::default(), PATIENCE).await?;
                }
                delivery.ack().await;
            }
            Ok(())
        });
    }

    fn answer(&self, question: &v1::LedgerQuestion) -> Option<v1::ledger_answer::Answer> {
        let books = self.books.lock().expect("not poisoned");
        let question = question.question.as_ref()?;
        if let v1::ledger_question::Question::Outcomes(asked) = question {
            let facts = asked.trade_ids.iter().filter_map(|trade| books.facts.get(trade).cloned()).collect();
            return Some(v1::ledger_answer::Answer::Outcomes(v1::Outcomes { facts }));
        }
        if let v1::ledger_question::Question::WorkingTrades(_) = question {
            let works = |fact: &&v1::LedgerFact| match &fact.kind {
                Some(v1::ledger_fact::Kind::Trade(posted)) => {
                    posted.trade.as_ref().is_some_and(|trade| trade.status() == v1::TradeStatus::Working)
                }
                Some(v1::ledger_fact::Kind::Cash(_) | v1::ledger_fact::Kind::Settled(_)) | None => false,
            };
            let facts: Vec<_> = books.facts.values().filter(works).cloned().collect();
            let has_trades = !books.facts.is_empty();
            let page = v1::WorkingTrades { facts, next_trade_id: String::new(), has_trades };
            return Some(v1::ledger_answer::Answer::WorkingTrades(page));
        }
        let accounts = books.accounts.iter().map(|(id, book)| v1::AccountSnapshot {
            balances: vec![account(id, book)],
            positions: book.positions.iter().map(|(id, position)| position_of(id, position)).collect(),
        });
        let page = v1::AccountsPage { accounts: accounts.collect(), next_account_id: String::new() };
        Some(v1::ledger_answer::Answer::AccountsPage(page))
    }

    fn book(&self, report: &v1::ExecutionReport) -> Vec<v1::LedgerFact> {
        let mut books = self.books.lock().expect("not poisoned");
        let key = report.key.clone().expect("a key");
        if books.lost.contains(&key.trade_id) {
            return Vec::new();
        }
        let mut facts = match report.kind.clone().expect("a kind") {
            v1::execution_report::Kind::Trade(trade) => vec![books.book_trade(&key, &trade)],
            v1::execution_report::Kind::Withdrawal(withdrawal) => vec![books.book_withdrawal(&key, &withdrawal)],
            v1::execution_report::Kind::Booking(booking) => books.book_by_hand(&key, &booking),
            v1::execution_report::Kind::Arrival(_) => Vec::new(),
        };
        for fact in &mut facts {
            books.sequence += 1;
            fact.sequence = books.sequence;
            books.facts.insert(key.trade_id.clone(), fact.clone());
        }
        facts
    }
}

impl Books {
    fn book_trade(&mut self, key: &v1::TradeKey, report: &v1::TradeReport) -> v1::LedgerFact {
        let known = match self.facts.get(&key.trade_id).and_then(|fact| fact.kind.clone()) {
            Some(v1::ledger_fact::Kind::Trade(posted)) => posted,
            Some(v1::ledger_fact::Kind::Cash(_) | v1::ledger_fact::Kind::Settled(_)) | None => {
                v1::TradePosted::default()
            }
        };
        let book = self.accounts.entry(key.account_id.clone()).or_default();
        let mut instrument = String::new();
        if let (Some(terms), Some(settlement)) = (&report.terms, &report.settlement) {
            instrument.clone_from(&terms.instrument_id);
            let settlement = SettlementTerms::try_from(settlement).expect("settlement");
            let side: Side = terms.side().try_into().expect("a side");
            let position = book.positions.entry(instrument.clone()).or_default();
            for fill in &report.fills {
                if self.executions.insert(fill.execution_id.clone()) {
                    let fill = Fill::try_from(fill).expect("a fill");
                    let effect = position.apply(side, &fill, &settlement).expect("applies");
                    book.cash = book.cash.plus(effect.cash_change(settlement.style).expect("fits")).expect("fits");
                    assert!(!book.cash.is_negative(), "the guard let {} overspend", key.account_id);
                }
            }
        }
        book.version += 1;
        let is_final = !matches!(report.status(), v1::TradeStatus::Working);
        if is_final {
            self.finished.insert(key.trade_id.clone());
        }
        // All of its executions, as the books tell them.
        let mut execution_ids = known.execution_ids;
        let before = known.trade.map_or(0, |trade| trade.filled_quantity_micros);
        let new = report.fills.iter().filter(|fill| !execution_ids.contains(&fill.execution_id));
        let (new, filled): (Vec<_>, Vec<_>) = new.map(|fill| (fill.execution_id.clone(), fill.quantity_micros)).unzip();
        execution_ids.extend(new);
        let terms = report.terms.clone().unwrap_or_default();
        let trade = v1::Trade {
            trade_id: key.trade_id.clone(),
            request_id: key.request_id.clone(),
            account_id: key.account_id.clone(),
            status: report.status,
            instrument_id: instrument.clone(),
            order_id: terms.order_id,
            side: terms.side,
            quantity_micros: terms.quantity_micros,
            limit_price_micros: terms.limit_price_micros,
            filled_quantity_micros: before + filled.iter().sum::<i64>(),
            ..v1::Trade::default()
        };
        let posted = v1::TradePosted { trade: Some(trade), execution_ids, ..v1::TradePosted::default() };
        let position = book.positions.get(&instrument).map(|position| v1::PositionChanged {
            account_id: key.account_id.clone(),
            position: Some(position_of(&instrument, position)),
            account_version: book.version,
        });
        v1::LedgerFact {
            kind: Some(v1::ledger_fact::Kind::Trade(posted)),
            balances: vec![v1::BalanceChanged { account: Some(account(&key.account_id, book)) }],
            positions: position.into_iter().collect(),
            ..v1::LedgerFact::default()
        }
    }

    /// Adjustments and settlements, each once.
    fn book_by_hand(&mut self, key: &v1::TradeKey, booking: &v1::Booking) -> Vec<v1::LedgerFact> {
        if !self.finished.insert(key.trade_id.clone()) {
            return Vec::new();
        }
        match booking.kind.as_ref().expect("a kind") {
            v1::booking::Kind::Adjustment(adjustment) => {
                let book = self.accounts.entry(adjustment.account_id.clone()).or_default();
                book.cash = book.cash.plus(Money::from_micros(adjustment.amount_micros)).expect("fits");
                book.version += 1;
                let cash = v1::CashPosted {
                    trade_id: key.trade_id.clone(),
                    amount_micros: adjustment.amount_micros,
                    account: Some(account(&adjustment.account_id, book)),
                    kind: v1::CashKind::Adjustment.into(),
                    ..v1::CashPosted::default()
                };
                vec![v1::LedgerFact { kind: Some(v1::ledger_fact::Kind::Cash(cash)), ..v1::LedgerFact::default() }]
            }
            v1::booking::Kind::Settlement(settlement) => {
                let Some(v1::settlement::Outcome::ValueMicros(value)) = settlement.outcome else { return Vec::new() };
                let mut facts = Vec::new();
                for (id, book) in &mut self.accounts {
                    let Some(position) = book.positions.insert(settlement.instrument_id.clone(), Position::default())
                    else {
                        continue;
                    };
                    let paid = position.quantity.micros() / ONE * value;
                    book.cash = book.cash.plus(Money::from_micros(paid)).expect("fits");
                    book.version += 1;
                    facts.push(v1::LedgerFact {
                        kind: Some(v1::ledger_fact::Kind::Settled(v1::PositionSettled {
                            booking_id: key.trade_id.clone(),
                            account_id: id.clone(),
                            instrument_id: settlement.instrument_id.clone(),
                            value_micros: value,
                            cash_change_micros: paid,
                            ..v1::PositionSettled::default()
                        })),
                        balances: vec![v1::BalanceChanged { account: Some(account(id, book)) }],
                        positions: vec![v1::PositionChanged {
                            account_id: id.clone(),
                            position: Some(position_of(&settlement.instrument_id, &Position::default())),
                            account_version: book.version,
                        }],
                        ..v1::LedgerFact::default()
                    });
                }
                facts
            }
            v1::booking::Kind::Correction(_) | v1::booking::Kind::Unfreezing(_) => Vec::new(),
        }
    }

    fn book_withdrawal(&mut self, key: &v1::TradeKey, report: &v1::WithdrawalReport) -> v1::LedgerFact {
        let book = self.accounts.entry(key.account_id.clone()).or_default();
        if report.denial.is_none() && self.finished.insert(key.trade_id.clone()) {
            book.cash = book.cash.minus(Money::from_micros(report.amount_micros)).expect("fits");
            assert!(!book.cash.is_negative(), "the guard let {} overspend", key.account_id);
            book.version += 1;
        }
        let cash = v1::CashPosted {
            request_id: key.request_id.clone(),
            trade_id: key.trade_id.clone(),
            amount_micros: -report.amount_micros,
            account: Some(account(&key.account_id, book)),
            kind: if report.to_account_id.is_empty() { v1::CashKind::Withdrawal } else { v1::CashKind::Sent }.into(),
            counterparty_account_id: report.to_account_id.clone(),
            ..v1::CashPosted::default()
        };
        v1::LedgerFact { kind: Some(v1::ledger_fact::Kind::Cash(cash)), ..v1::LedgerFact::default() }
    }
}

fn account(id: &str, book: &Book) -> v1::Account {
    v1::Account {
        account_id: id.into(),
        currency: "USD".into(),
        cash_micros: book.cash.micros(),
        margin_micros: 0,
        version: book.version,
        is_frozen: false,
    }
}

fn position_of(instrument: &str, position: &Position) -> v1::Position {
    v1::Position {
        instrument_id: instrument.into(),
        quantity_micros: position.quantity.micros(),
        average_price_micros: position.average_price().unwrap_or_default().micros(),
        realized_pnl_micros: position.realized_pnl.micros(),
        fee_micros: position.fees.micros(),
        margin_micros: position.margin.micros(),
    }
}
