//! Whatever is booked in whatever order: money is conserved, no wallet is ever
//! negative, and profit is what cash and position say it is.

use proptest::prelude::*;
use std::collections::BTreeMap;
use tragen_domain::{
    execution::Fill,
    id::{AccountId, Currency, ExecutionId},
    instrument::{SettlementStyle, SettlementTerms},
    ledger::{
        CashPosting, LedgerAccount, LedgerError, MoveDirection, Posting, ResultCode, Transfer, TransferKind, VenueId,
        Wallet, post_adjustment, post_deposit, post_fill, post_fill_reversal, post_moved, post_received, post_refund,
        post_reversal, post_sent, post_settlement, post_unfreezing, post_withdrawal,
    },
    money::{Money, ONE, Price, Quantity},
    order::Side,
    position::Position,
    time::Timestamp,
};

/// One instrument of each style; a position is found by the place of its style.
const STYLES: [SettlementStyle; 3] = [SettlementStyle::Prediction, SettlementStyle::Spot, SettlementStyle::Margined];
const OWNERS: [&str; 3] = ["alice", "bob", "carol"];

/// The books kept by nothing but the transfers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Balances(BTreeMap<String, i128>);

impl Balances {
    fn apply(&mut self, transfer: &Transfer) {
        assert!(transfer.amount > Money::ZERO);
        assert_ne!(transfer.debit, transfer.credit);
        *self.0.entry(transfer.debit.to_string()).or_default() -= i128::from(transfer.amount.micros());
        *self.0.entry(transfer.credit.to_string()).or_default() += i128::from(transfer.amount.micros());
    }

    fn of(&self, account: &LedgerAccount) -> i128 {
        self.0.get(&account.to_string()).copied().unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy)]
struct Deal {
    style: usize,
    side: Side,
    price: i64,
    quantity: i64,
    fee: i64,
}

/// What happens to an account. The past is named by a number that is taken modulo what there is.
#[derive(Debug, Clone)]
enum Event {
    Deposit(i64),
    Withdraw(i64),
    Send { to: usize, shards: (u16, u16), amount: i64 },
    Adjust(i64),
    Fill(Deal),
    Settle { style: usize, value: i64 },
    Refund { style: usize },
    ReverseCash(usize),
    ReverseFill(usize),
    Unfreeze,
    Move,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    account: AccountId,
    wallet: Wallet,
    positions: [Position; 3],
    cash_movements: Vec<Transfer>,
    fills: Vec<(usize, Side, Fill, Money)>,
    /// Net of what came from outside, other accounts and the house.
    brought: i128,
    /// What suspense paid for the account.
    drawn: i128,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct World {
    owners: Vec<Owner>,
    balances: Balances,
}

fn usd() -> Currency {
    Currency::new("USD").expect("a currency")
}

fn venue() -> VenueId {
    VenueId::new("paper").expect("an id")
}

fn terms(style: SettlementStyle) -> SettlementTerms {
    SettlementTerms { style, currency: usd(), initial_margin_ppm: 33_333 }
}

fn fill(deal: &Deal) -> Fill {
    Fill {
        id: ExecutionId::new("e").expect("an id"),
        price: Price::from_micros(deal.price),
        quantity: Quantity::from_micros(deal.quantity),
        fee: Money::from_micros(deal.fee),
        executed_at: Timestamp::default(),
    }
}

/// What is paid for the open part of a fully paid position, in micros.
fn paid_for(style: SettlementStyle, position: &Position) -> i128 {
    let (quantity, entry) = (i128::from(position.quantity.micros()), i128::from(position.entry_notional.micros()));
    match style {
        SettlementStyle::Prediction if quantity < 0 => -quantity - entry,
        SettlementStyle::Prediction | SettlementStyle::Spot => entry,
        SettlementStyle::Margined => 0,
    }
}

fn realized(position: &Position) -> i128 {
    i128::from(position.realized_pnl.micros()) - i128::from(position.fees.micros())
}

fn drawn(transfers: &[Transfer]) -> i128 {
    transfers.iter().filter(|t| t.kind == TransferKind::Shortfall).map(|t| i128::from(t.amount.micros())).sum()
}

/// What suspense got back.
fn given_back(transfers: &[Transfer]) -> i128 {
    let to_suspense = transfers.iter().filter(|t| matches!(t.credit, LedgerAccount::Suspense(_)));
    to_suspense.map(|t| i128::from(t.amount.micros())).sum()
}

impl World {
    fn new() -> Self {
        let owner = |name| Owner {
            account: AccountId::new(name).expect("an id"),
            wallet: Wallet::default(),
            positions: [Position::default(); 3],
            cash_movements: Vec::new(),
            fills: Vec::new(),
            brought: 0,
            drawn: 0,
        };
        Self { owners: OWNERS.map(owner).to_vec(), balances: Balances::default() }
    }

    /// Plays the events; what the rules refuse changes nothing.
    fn play(&mut self, events: &[(usize, Event)]) {
        for (owner, event) in events {
            if let Err(error) = self.book(*owner, event) {
                // Nothing here is large enough to overflow, and every fill is one.
                let is_expected = matches!(
                    ResultCode::from(&error),
                    ResultCode::InsufficientFunds
                        | ResultCode::AccountFrozen
                        | ResultCode::AccountNotFrozen
                        | ResultCode::SpotShort
                        | ResultCode::NotReversible
                        | ResultCode::NothingHeld
                );
                assert!(is_expected, "{event:?}: {error}");
            }
            self.check();
        }
    }

    fn book(&mut self, index: usize, event: &Event) -> Result<(), LedgerError> {
        let owner = &self.owners[index];
        let (account, wallet) = (owner.account.clone(), owner.wallet);
        let held = |style: usize| (wallet, owner.positions[style]);
        match event {
            Event::Deposit(amount) => {
                let posting = post_deposit(&account, &usd(), wallet, Money::from_micros(*amount))?;
                self.moved(index, posting);
            }
            Event::Withdraw(amount) => {
                let posting = post_withdrawal(&account, &usd(), wallet, Money::from_micros(*amount))?;
                self.moved(index, posting);
            }
            Event::Send { to, shards, amount } => {
                let amount = Money::from_micros(*amount);
                let sent = post_sent(&account, *shards, &usd(), wallet, amount)?;
                self.moved(index, sent);
                // He may send to himself.
                let receiver = &self.owners[*to];
                let received = post_received(&receiver.account, *shards, &usd(), receiver.wallet, amount)?;
                self.moved(*to, received);
            }
            Event::Adjust(amount) => {
                let posting = post_adjustment(&account, &usd(), wallet, Money::from_micros(*amount))?;
                self.moved(index, posting);
            }
            Event::Fill(deal) => {
                let fill = fill(deal);
                let terms = terms(STYLES[deal.style]);
                let posting = post_fill(&account, &venue(), held(deal.style), deal.side, &fill, &terms)?;
                let paid = Money::from_micros(i64::try_from(drawn(&posting.transfers)).expect("small"));
                self.traded(index, deal.style, posting);
                self.owners[index].fills.push((deal.style, deal.side, fill, paid));
            }
            Event::Settle { style, value } => {
                let (value, terms) = (Price::from_micros(*value), terms(STYLES[*style]));
                let posting = post_settlement(&account, &venue(), held(*style), value, &terms)?;
                assert!(posting.position.quantity.is_zero());
                self.traded(index, *style, posting);
            }
            Event::Refund { style } => {
                let posting = post_refund(&account, &venue(), held(*style), &terms(STYLES[*style]))?;
                assert!(posting.position.quantity.is_zero());
                assert_eq!(posting.position.realized_pnl, owner.positions[*style].realized_pnl);
                self.traded(index, *style, posting);
            }
            Event::ReverseCash(past) => {
                let count = owner.cash_movements.len().max(1);
                let of = owner.cash_movements.get(past % count).ok_or(LedgerError::NotReversible)?;
                let posting = post_reversal(&account, &usd(), wallet, of)?;
                self.owners[index].cash_movements.swap_remove(past % count);
                self.moved(index, posting);
            }
            Event::ReverseFill(past) => {
                let count = owner.fills.len().max(1);
                let (style, side, fill, paid) =
                    owner.fills.get(past % count).ok_or(LedgerError::NotReversible)?.clone();
                let terms = terms(STYLES[style]);
                let posting = post_fill_reversal(&account, &venue(), held(style), (side, &fill, paid), &terms)?;
                self.owners[index].fills.swap_remove(past % count);
                self.traded(index, style, posting);
            }
            Event::Unfreeze => self.owners[index].wallet = post_unfreezing(wallet)?,
            Event::Move => {
                for direction in [MoveDirection::Out, MoveDirection::In] {
                    let transfers = post_moved(&account, &usd(), wallet, (0, 1), direction)?;
                    transfers.iter().for_each(|transfer| self.balances.apply(transfer));
                }
            }
        }
        Ok(())
    }

    fn moved(&mut self, index: usize, CashPosting { transfer, wallet }: CashPosting) {
        let owner = &mut self.owners[index];
        assert_eq!(wallet.version, owner.wallet.version + 1);
        owner.brought += i128::from(wallet.cash.micros()) - i128::from(owner.wallet.cash.micros());
        owner.wallet = wallet;
        self.balances.apply(&transfer);
        owner.cash_movements.push(transfer);
    }

    fn traded(&mut self, index: usize, style: usize, posting: Posting) {
        let owner = &mut self.owners[index];
        assert_eq!(posting.wallet.version, owner.wallet.version + 1);
        posting.transfers.iter().for_each(|transfer| self.balances.apply(transfer));
        owner.drawn += drawn(&posting.transfers) - given_back(&posting.transfers);
        owner.wallet = posting.wallet;
        owner.positions[style] = posting.position;
    }

    fn check(&self) {
        assert_eq!(self.balances.0.values().sum::<i128>(), 0);
        let suspense = self.balances.of(&LedgerAccount::Suspense(usd()));
        assert_eq!(suspense, -self.owners.iter().map(|owner| owner.drawn).sum::<i128>());
        assert!(suspense <= 0, "suspense only pays");
        for (account, balance) in &self.balances.0 {
            assert!(!account.starts_with("between/") || *balance == 0, "{account}: {balance}");
        }
        for owner in &self.owners {
            let (cash, margin) = (i128::from(owner.wallet.cash.micros()), i128::from(owner.wallet.margin.micros()));
            assert!(cash >= 0 && margin >= 0, "{owner:?}");
            assert_eq!(self.balances.of(&LedgerAccount::Wallet(owner.account.clone(), usd())), cash);
            assert_eq!(self.balances.of(&LedgerAccount::Margin(owner.account.clone(), usd())), margin);
            let positions = STYLES.iter().zip(&owner.positions);
            assert_eq!(positions.clone().map(|(_, p)| i128::from(p.margin.micros())).sum::<i128>(), margin);
            // What is there is what was brought and earned, less what is paid for what is open: to the micro.
            let earned: i128 = positions.clone().map(|(style, p)| realized(p) - paid_for(*style, p)).sum();
            assert_eq!(cash + margin - owner.drawn, owner.brought + earned, "{owner:?}");
            for (style, position) in positions {
                assert!(!position.entry_notional.is_negative() && !position.margin.is_negative());
                assert!(paid_for(*style, position) >= 0, "{style:?} {position:?}");
            }
        }
    }
}

fn deals(style: usize) -> impl Strategy<Value = Deal> {
    let price_max = if STYLES[style] == SettlementStyle::Prediction { ONE } else { 90_000 * ONE };
    (any::<bool>(), 1..=price_max, 1..50 * ONE, 0..ONE).prop_map(move |(is_buy, price, quantity, fee)| Deal {
        style,
        side: if is_buy { Side::Buy } else { Side::Sell },
        price,
        quantity,
        fee,
    })
}

/// What happens to one account alone.
fn own_events() -> impl Strategy<Value = Event> {
    let amounts = || 1..2_000_000 * ONE;
    let values = |style: usize| if STYLES[style] == SettlementStyle::Prediction { ONE } else { 90_000 * ONE };
    prop_oneof![
        4 => amounts().prop_map(Event::Deposit),
        1 => amounts().prop_map(Event::Withdraw),
        1 => (-1_000 * ONE..1_000 * ONE).prop_filter("not zero", |amount| *amount != 0).prop_map(Event::Adjust),
        9 => (0..STYLES.len()).prop_flat_map(deals).prop_map(Event::Fill),
        2 => (0..STYLES.len()).prop_flat_map(move |style| (0..=values(style)).prop_map(move |value| Event::Settle { style, value })),
        1 => (0..STYLES.len()).prop_map(|style| Event::Refund { style }),
        1 => any::<usize>().prop_map(Event::ReverseCash),
        4 => any::<usize>().prop_map(Event::ReverseFill),
        1 => Just(Event::Unfreeze),
        1 => Just(Event::Move),
    ]
}

fn all_events() -> impl Strategy<Value = Event> {
    let sent = (0..OWNERS.len(), any::<bool>(), 1..2_000_000 * ONE).prop_map(|(to, is_near, amount)| Event::Send {
        to,
        shards: (0, u16::from(!is_near)),
        amount,
    });
    prop_oneof![7 => own_events(), 1 => sent]
}

fn stories(events: impl Strategy<Value = Event>) -> impl Strategy<Value = Vec<(usize, Event)>> {
    prop::collection::vec((0..OWNERS.len(), events), 1..80)
}

fn played(events: &[(usize, Event)]) -> World {
    let mut world = World::new();
    world.play(events);
    world
}

/// Plays fills of one style on a wallet with `deposit` and marks what is left.
fn play_and_mark(style: usize, deposit: i64, deals: &[Deal], mark: i64) {
    let mut story = vec![(0, Event::Deposit(deposit))];
    story.extend(deals.iter().map(|deal| (0, Event::Fill(*deal))));
    let world = played(&story);
    let owner = &world.owners[0];
    assert_eq!(owner.drawn != 0, owner.wallet.is_frozen);
    let cash = i128::from(owner.wallet.cash.micros()) + i128::from(owner.wallet.margin.micros());
    check_identity(STYLES[style], &owner.positions[style], cash - i128::from(deposit) - owner.drawn, i128::from(mark));
}

/// realized - fees + unrealized = cash + value of what is held, exactly, in 1e-12.
fn check_identity(style: SettlementStyle, position: &Position, cash: i128, mark: i128) {
    let one = i128::from(ONE);
    let quantity = i128::from(position.quantity.micros());
    let entry = i128::from(position.entry_notional.micros()) * one;
    let unrealized = if quantity < 0 { entry + mark * quantity } else { mark * quantity - entry };
    let value = match style {
        // A short holds the opposite outcome at one minus the mark.
        SettlementStyle::Prediction if quantity < 0 => (one - mark) * -quantity,
        SettlementStyle::Prediction | SettlementStyle::Spot => mark * quantity,
        SettlementStyle::Margined => unrealized,
    };
    assert_eq!(realized(position) * one + unrealized, cash * one + value, "{style:?} {position:?}");
}

/// Plays `deals`, then the last of them backwards, and compares the books before it and after.
fn bust(deposit: i64, deals: &[Deal]) {
    let (busted, earlier) = deals.split_last().expect("not empty");
    let (account, style) = (AccountId::new("alice").expect("an id"), STYLES[busted.style]);
    let mut story = vec![(0, Event::Deposit(deposit))];
    story.extend(earlier.iter().map(|deal| (0, Event::Fill(*deal))));
    let owner = played(&story).owners.swap_remove(0);
    let (wallet, position) = (owner.wallet, owner.positions[busted.style]);
    let (fill, terms) = (fill(busted), terms(style));
    let Ok(booked) = post_fill(&account, &venue(), (wallet, position), busted.side, &fill, &terms) else {
        assert_eq!(style, SettlementStyle::Spot);
        return;
    };
    let held = (booked.wallet, booked.position);
    let paid = Money::from_micros(i64::try_from(drawn(&booked.transfers)).expect("small"));
    let back = post_fill_reversal(&account, &venue(), held, (busted.side, &fill, paid), &terms);
    let back = back.expect("nothing in between");
    for transfer in &back.transfers {
        let is_margin = matches!(transfer.kind, TransferKind::MarginHeld | TransferKind::MarginReleased);
        let is_correction = matches!(transfer.kind, TransferKind::Correction | TransferKind::Shortfall);
        assert!(is_margin || is_correction, "{transfer:?}");
    }
    assert_eq!((back.position.quantity, back.position.fees), (position.quantity, position.fees));

    let short = drawn(&booked.transfers) + drawn(&back.transfers) - given_back(&back.transfers);
    let total = |wallet: Wallet| i128::from(wallet.cash.micros()) + i128::from(wallet.margin.micros());
    let worth = |wallet, position| total(wallet) - realized(position) + paid_for(style, position);
    assert_eq!(worth(back.wallet, &back.position) - short, worth(wallet, &position));
    if style != SettlementStyle::Margined {
        assert_eq!(total(back.wallet) - short, total(wallet));
    }
    let has_closed = match busted.side {
        Side::Buy => position.quantity.is_negative(),
        Side::Sell => position.quantity > Quantity::ZERO,
    };
    if !has_closed {
        assert_eq!(back.position, position);
        assert_eq!(total(back.wallet) - short, total(wallet));
    }
    if style != SettlementStyle::Margined && drawn(&booked.transfers) == 0 {
        assert_eq!((back.wallet.cash, back.wallet.is_frozen), (wallet.cash, wallet.is_frozen));
    }
}

proptest! {
    #[test]
    fn predictions_conserve_money(deposit in 1..100 * ONE, deals in prop::collection::vec(deals(0), 1..60), mark in 0..=ONE) {
        play_and_mark(0, deposit, &deals, mark);
    }

    #[test]
    fn spot_conserves_money(
        deposit in 1..1_000_000 * ONE,
        deals in prop::collection::vec(deals(1), 1..60),
        mark in 1..90_000 * ONE,
    ) {
        play_and_mark(1, deposit, &deals, mark);
    }

    #[test]
    fn margined_fills_conserve_money(
        deposit in 1..1_000_000 * ONE,
        deals in prop::collection::vec(deals(2), 1..60),
        mark in 1..90_000 * ONE,
    ) {
        play_and_mark(2, deposit, &deals, mark);
    }

    #[test]
    fn every_mix_of_bookings_conserves_money(story in stories(all_events())) {
        played(&story);
    }

    #[test]
    fn accounts_do_not_depend_on_each_other(mut story in stories(own_events())) {
        let interleaved = played(&story);
        // A stable sort: each account keeps its own order.
        story.sort_by_key(|(owner, _)| *owner);
        prop_assert_eq!(&played(&story), &interleaved);
        story.sort_by_key(|(owner, _)| std::cmp::Reverse(*owner));
        prop_assert_eq!(&played(&story), &interleaved);
    }

    #[test]
    fn a_replay_gives_the_same_books(story in stories(all_events()), cut in any::<prop::sample::Index>()) {
        let whole = played(&story);
        prop_assert_eq!(&played(&story), &whole);
        let (first, rest) = story.split_at(cut.index(story.len()));
        let mut resumed = played(first);
        resumed.play(rest);
        prop_assert_eq!(resumed, whole);
    }

    #[test]
    fn a_market_ends_only_once(story in stories(all_events()), is_void in any::<bool>()) {
        let mut world = played(&story);
        let mut end = Vec::new();
        for owner in 0..OWNERS.len() {
            for style in 0..STYLES.len() {
                end.push((owner, if is_void { Event::Refund { style } } else { Event::Settle { style, value: ONE / 2 } }));
            }
        }
        world.play(&end);
        for owner in &world.owners {
            prop_assert!(owner.positions.iter().all(|position| position.quantity.is_zero()));
            prop_assert_eq!(owner.wallet.margin, Money::ZERO);
        }
        let ended = world.clone();
        world.play(&end);
        prop_assert_eq!(world, ended);
    }

    #[test]
    fn a_busted_fill_leaves_no_trace_in_the_cash(
        deposit in 1..2_000_000 * ONE,
        deals in (0..STYLES.len()).prop_flat_map(|style| prop::collection::vec(deals(style), 1..12)),
    ) {
        bust(deposit, &deals);
    }
}
