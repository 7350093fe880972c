//! Whatever is delivered again, however late and in whichever batches, changes nothing: a property of batches that are
//! decided one after the other on what a store would know.

use super::*;
use crate::store::rows::SlotRow;
use proptest::{collection::vec, prelude::*, sample::Index};
use std::collections::BTreeMap;
use tragen_contracts::trade_id;

const NOW: i64 = 1_700_000_000_000_000;
const ONE: i64 = 1_000_000;
const CURRENCIES: [&str; 2] = ["USD", "EUR"];

/// What somebody asks for, or what a venue tells.
#[derive(Debug, Clone)]
enum Event {
    Deposit { account: usize, currency: usize, amount: i64 },
    Withdrawal { account: usize, currency: usize, amount: i64 },
    Sending { account: usize, to: usize, amount: i64 },
    Order { account: usize, market: Market, is_buy: bool, fills: Vec<(i64, i64)> },
}

/// What is traded, each in a currency of its own.
#[derive(Debug, Clone, Copy)]
enum Market {
    Prediction,
    Margined,
    Spot,
}

fn event() -> impl Strategy<Value = Event> {
    let (account, currency, amount) = (0..3_usize, 0..2_usize, 1..2_000 * ONE);
    let market = prop_oneof![Just(Market::Prediction), Just(Market::Margined), Just(Market::Spot)];
    let fills = vec((1..99_i64, 1..20_i64), 1..4);
    prop_oneof![
        (account.clone(), currency.clone(), amount.clone()).prop_map(|(account, currency, amount)| Event::Deposit {
            account,
            currency,
            amount
        }),
        (account.clone(), currency, amount.clone()).prop_map(|(account, currency, amount)| Event::Withdrawal {
            account,
            currency,
            amount
        }),
        (account.clone(), 0..3_usize, amount).prop_map(|(account, to, amount)| Event::Sending { account, to, amount }),
        // A spot sale of more than is held is set aside, and may be booked when it is told again: only purchases.
        (account, market, any::<bool>(), fills).prop_map(|(account, market, is_buy, fills)| Event::Order {
            account,
            market,
            is_buy: is_buy || matches!(market, Market::Spot),
            fills
        }),
    ]
}

fn name(account: usize) -> String {
    format!("account-{account}")
}

/// The items of an event; each report of an order tells all of its fills so far.
fn items(number: usize, event: &Event) -> Vec<Item> {
    let request_id = format!("request-{number}");
    let report = |account: usize, kind| {
        let key = v1::TradeKey {
            trade_id: trade_id(&name(account), &request_id).to_string(),
            request_id: request_id.clone(),
            account_id: name(account),
            tier: v1::Tier::Standard.into(),
            payload_hash: vec![7; 32].into(),
            created_at_micros: NOW,
        };
        let meta = v1::Meta { event_id: request_id.clone(), ..v1::Meta::default() };
        Item::report(v1::ExecutionReport { meta: Some(meta), key: Some(key), kind: Some(kind) }, "paper", 1)
    };
    let out = |account: usize, currency: &str, to_account_id: String, amount_micros: i64| {
        let currency = currency.to_owned();
        let out = v1::WithdrawalReport { amount_micros, currency, to_account_id, denial: None };
        vec![report(account, v1::execution_report::Kind::Withdrawal(out))]
    };
    match event {
        Event::Deposit { account, currency, amount } => {
            let (request_id, currency) = (request_id.clone(), CURRENCIES[*currency].to_owned());
            let request = v1::DepositRequest { request_id, amount_micros: *amount, currency };
            vec![Item::deposit(&name(*account), &request, String::new(), NOW).expect("a deposit")]
        }
        Event::Withdrawal { account, currency, amount } => out(*account, CURRENCIES[*currency], String::new(), *amount),
        Event::Sending { account, to, amount } => out(*account, CURRENCIES[0], name(*to), *amount),
        Event::Order { account, market, is_buy, fills } => {
            let part = |(place, (price, quantity)): (usize, &(i64, i64))| v1::Fill {
                execution_id: format!("{request_id}-{place}"),
                price_micros: price * 10_000,
                quantity_micros: quantity * ONE,
                fee_micros: 1_000,
                executed_at_micros: NOW,
            };
            let parts: Vec<_> = fills.iter().enumerate().map(part).collect();
            let trade = |told: usize| trade(*market, *is_buy, &parts, told);
            let told = (1..=parts.len()).map(|told| report(*account, v1::execution_report::Kind::Trade(trade(told))));
            told.collect()
        }
    }
}

/// A report of an order of which the first `told` of its `parts` are filled.
fn trade(market: Market, is_buy: bool, parts: &[v1::Fill], told: usize) -> v1::TradeReport {
    let (style, currency, initial_margin_ppm, instrument) = match market {
        Market::Prediction => (v1::SettlementStyle::Prediction, "USD", 0, "EPL-2026-ARS-MCI-HOME"),
        Market::Margined => (v1::SettlementStyle::Margined, "EUR", 100_000, "FX"),
        Market::Spot => (v1::SettlementStyle::Spot, "USD", 0, "SPOT"),
    };
    let status = if told == parts.len() { v1::TradeStatus::Filled } else { v1::TradeStatus::Working };
    let terms = v1::OrderTerms {
        order_id: parts[0].execution_id.clone(),
        instrument_id: instrument.to_owned(),
        side: if is_buy { v1::Side::Buy } else { v1::Side::Sell }.into(),
        order_type: v1::OrderType::Market.into(),
        quantity_micros: parts.iter().map(|part| part.quantity_micros).sum(),
        time_in_force: v1::TimeInForce::Gtc.into(),
        ..v1::OrderTerms::default()
    };
    let settlement = v1::SettlementTerms { style: style.into(), currency: currency.to_owned(), initial_margin_ppm };
    v1::TradeReport {
        terms: Some(terms),
        settlement: Some(settlement),
        fills: parts[..told].to_vec(),
        status: status.into(),
        ..v1::TradeReport::default()
    }
}

/// What a store keeps of the books.
#[derive(Debug, Clone, Default, PartialEq)]
struct Shelf {
    shard: ShardRow,
    trades: BTreeMap<Uuid, TradeRow>,
    executions: BTreeMap<String, ExecutionRow>,
    cash: BTreeMap<Uuid, CashRow>,
    wallets: BTreeMap<(String, String), WalletRow>,
    positions: BTreeMap<(String, String), PositionRow>,
    transfers: Vec<TransferRow>,
}

impl Shelf {
    /// Only what is asked for by name, as a store would.
    fn load(&self, keys: &Keys) -> Known {
        let trades: Vec<_> = keys.trade_ids.iter().filter_map(|id| self.trades.get(id)).cloned().collect();
        let cash: Vec<_> = keys.cash_ids.iter().filter_map(|id| self.cash.get(id)).cloned().collect();
        let is_asked = |row: &&ExecutionRow| {
            keys.execution_ids.contains(&row.execution_id) || keys.trade_ids.contains(&row.trade_id)
        };
        let is_touched = |row: &&WalletRow| keys.account_ids.contains(&row.account_id);
        let is_of_trade = |row: &PositionRow| {
            trades.iter().any(|own| (&own.account_id, &own.instrument_id) == (&row.account_id, &row.instrument_id))
        };
        let positions = self.positions.iter().filter(|(key, row)| keys.positions.contains(key) || is_of_trade(row));
        Known {
            shard: self.shard.clone(),
            executions: self.executions.values().filter(is_asked).cloned().collect(),
            drawn: HashMap::new(),
            payouts: Vec::new(),
            wallets: self.wallets.values().filter(is_touched).cloned().collect(),
            positions: positions.map(|(_, row)| row.clone()).collect(),
            trades,
            cash,
        }
    }

    /// Decides a batch and keeps what comes out; how each item ended.
    fn take(&mut self, items: &[Item]) -> Vec<Outcome> {
        let rows: Vec<_> = (0..256).map(SlotRow::first).collect();
        let (slots, directory, settled) = (Slots::new(&rows), Directory::new(1), HashMap::new());
        let frame = Frame { shard: 0, slots: &slots, directory: &directory, settled: &settled, now: NOW };
        let decision = decide(items, self.load(&keys_of(items).with_fills()), frame);
        let changes = &decision.changes;
        self.shard = changes.after.clone();
        self.trades
            .extend(changes.new_trades.iter().chain(&changes.changed_trades).map(|row| (row.trade_id, row.clone())));
        for row in &changes.executions {
            let before = self.executions.insert(row.execution_id.clone(), row.clone());
            assert_eq!(before, None, "booked twice");
        }
        for row in &changes.cash {
            assert_eq!(self.cash.insert(row.trade_id, row.clone()), None, "booked twice");
        }
        let wallets = changes.wallets().map(|row| ((row.account_id.clone(), row.currency.clone()), row.clone()));
        self.wallets.extend(wallets);
        let positions =
            changes.positions().map(|row| ((row.account_id.clone(), row.instrument_id.clone()), row.clone()));
        self.positions.extend(positions);
        self.transfers.extend(changes.transfers.iter().cloned());
        assert!(changes.rejected.is_empty(), "{:?}", decision.outcomes);
        decision.outcomes
    }

    /// Without what tells how the items were cut into batches: facts, seals and the chain.
    fn without_batches(mut self) -> Self {
        self.shard = ShardRow {
            posting_sequence: self.shard.posting_sequence,
            transfer_sequence: self.shard.transfer_sequence,
            trade_sequence: self.shard.trade_sequence,
            ..ShardRow::default()
        };
        self.trades.values_mut().for_each(|row| (row.fact_sequence, row.seal) = (0, Vec::new()));
        self.executions.values_mut().for_each(|row| row.seal = Vec::new());
        self.cash.values_mut().for_each(|row| (row.fact_sequence, row.seal) = (0, Vec::new()));
        self
    }
}

/// Every item once, and some of them again later.
fn with_repeats(count: usize, repeats: &[(Index, Index)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for (which, place) in repeats {
        let which = which.index(count);
        let first = order.iter().position(|item| *item == which).expect("each is there");
        let place = first + 1 + place.index(order.len() - first);
        order.insert(place, which);
    }
    order
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_again_changes_nothing_in_whichever_batches(
        events in vec(event(), 1..24),
        repeats in vec(any::<(Index, Index)>(), 0..40),
        sizes in vec(1..9_usize, 1..8),
    ) {
        let items: Vec<Item> = events.iter().enumerate().flat_map(|(number, event)| items(number, event)).collect();
        let (mut once, mut answers) = (Shelf::default(), Vec::new());
        for item in &items {
            answers.extend(once.take(std::slice::from_ref(item)));
        }

        let order = with_repeats(items.len(), &repeats);
        let (mut again, mut rest, mut sizes) = (Shelf::default(), order.as_slice(), sizes.iter().cycle());
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(rest.len().min(*sizes.next().expect("a size")));
            let taken: Vec<Item> = batch.iter().map(|which| items[*which].clone()).collect();
            for (which, outcome) in batch.iter().zip(again.take(&taken)) {
                // A deposit is answered each time as it was the first time.
                if let Outcome::Deposited(_) = &outcome {
                    prop_assert_eq!(&outcome, &answers[*which]);
                }
            }
            rest = later;
        }
        prop_assert_eq!(once.without_batches(), again.clone().without_batches());
        for wallet in again.wallets.values() {
            prop_assert!(wallet.cash >= 0 && wallet.margin >= 0, "{:?}", wallet);
        }
    }
}
