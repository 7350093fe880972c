//! The page about the chart of accounts says what the rules compute: its examples
//! are written by this test (`UPDATE_EXPECT=1`), its other tables are checked.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};
use tragen_domain::{
    execution::Fill,
    id::{AccountId, Currency, ExecutionId},
    instrument::{SettlementStyle, SettlementTerms},
    ledger::{
        CashPosting, LedgerAccount, LedgerError, MoveDirection, Posting, ResultCode, Transfer, TransferKind, VenueId,
        Wallet, post_adjustment, post_deposit, post_fill, post_fill_reversal, post_moved, post_received, post_refund,
        post_reversal, post_sent, post_settlement, post_unfreezing, post_withdrawal,
    },
    money::Money,
    order::Side,
    position::Position,
    time::Timestamp,
};

const HEAD: &str = "| event | why | gives | receives | amount | cash | margin | position | profit |
|---|---|---|---|---:|---:|---:|---|---:|
";

/// Some accounts, what happens to them, and the table of it.
#[derive(Default)]
struct Story {
    table: String,
    wallets: BTreeMap<(String, &'static str), Wallet>,
    positions: BTreeMap<String, Position>,
    last: Option<Transfer>,
}

fn money(text: &str) -> Money {
    text.parse().expect("an amount")
}

fn currency(code: &str) -> Currency {
    Currency::new(code).expect("a currency")
}

fn venue() -> VenueId {
    VenueId::new("paper").expect("a venue")
}

fn terms(style: SettlementStyle) -> SettlementTerms {
    SettlementTerms { style, currency: currency("USD"), initial_margin_ppm: 100_000 }
}

fn fill(quantity: &str, price: &str, fee: &str) -> Fill {
    Fill {
        id: ExecutionId::new("e").expect("an id"),
        price: price.parse().expect("a price"),
        quantity: quantity.parse().expect("a quantity"),
        fee: money(fee),
        executed_at: Timestamp::default(),
    }
}

fn text(transfer: &Transfer) -> String {
    format!("{:?} | `{}` | `{}` | {}", transfer.kind, transfer.debit, transfer.credit, transfer.amount)
}

type PostCash = fn(&AccountId, &Currency, Wallet, Money) -> Result<CashPosting, LedgerError>;

impl Story {
    fn wallet(&self, account: &str, code: &'static str) -> Wallet {
        self.wallets.get(&(account.to_owned(), code)).copied().unwrap_or_default()
    }

    /// The rows of one event; what is left stands in the last one.
    fn write(&mut self, event: &str, transfers: &[Transfer], (wallet, position): (Wallet, Option<Position>)) {
        let frozen = if wallet.is_frozen { ", frozen" } else { "" };
        let held = position.map_or_else(String::new, |held| match held.average_price() {
            Some(average) => format!("{} at {average}", held.quantity),
            None => "none".to_owned(),
        });
        let profit = position.map_or_else(String::new, |held| held.realized_pnl.to_string());
        let after = format!("{}{frozen} | {} | {held} | {profit} |", wallet.cash, wallet.margin);
        if transfers.is_empty() {
            let _ = writeln!(self.table, "| {event} | | | | | {after}");
        }
        for (place, transfer) in transfers.iter().enumerate() {
            let event = if place == 0 { event } else { "" };
            let after = if place + 1 == transfers.len() { &after } else { "| | | |" };
            let _ = writeln!(self.table, "| {event} | {} | {after}", text(transfer));
        }
        self.last = transfers.last().cloned();
    }

    fn moved(&mut self, event: &str, (account, code): (&str, &'static str), posting: Result<CashPosting, LedgerError>) {
        match posting {
            Ok(posting) => {
                self.wallets.insert((account.to_owned(), code), posting.wallet);
                self.write(event, &[posting.transfer], (posting.wallet, None));
            }
            Err(error) => {
                let wallet = self.wallet(account, code);
                self.write(&format!("{event}: {}", ResultCode::from(&error).as_str()), &[], (wallet, None));
            }
        }
    }

    fn cash(&mut self, event: &str, (account, code): (&str, &'static str), post: PostCash, amount: &str) {
        let id = AccountId::new(account).expect("an id");
        let posting = post(&id, &currency(code), self.wallet(account, code), money(amount));
        self.moved(event, (account, code), posting);
    }

    fn sent(&mut self, event: &str, (from, to): (&str, &str), route: (u16, u16), amount: &str) {
        let [from_id, to_id] = [from, to].map(|account| AccountId::new(account).expect("an id"));
        let posting = post_sent(&from_id, route, &currency("USD"), self.wallet(from, "USD"), money(amount));
        self.moved(event, (from, "USD"), posting);
        let posting = post_received(&to_id, route, &currency("USD"), self.wallet(to, "USD"), money(amount));
        let place = if route.0 == route.1 { String::new() } else { format!(" in shard {}", route.1) };
        self.moved(&format!("{to} receives them{place}"), (to, "USD"), posting);
    }

    fn reversed(&mut self, event: &str, account: &str) {
        let of = self.last.clone().expect("a transfer before it");
        let id = AccountId::new(account).expect("an id");
        let posting = post_reversal(&id, &currency("USD"), self.wallet(account, "USD"), &of);
        self.moved(event, (account, "USD"), posting);
    }

    fn traded(
        &mut self,
        event: &str,
        account: &str,
        post: impl Fn(&AccountId, (Wallet, Position)) -> Result<Posting, LedgerError>,
    ) {
        let held = self.positions.get(account).copied().unwrap_or_default();
        let id = AccountId::new(account).expect("an id");
        let posting = post(&id, (self.wallet(account, "USD"), held)).expect("valid");
        self.wallets.insert((account.to_owned(), "USD"), posting.wallet);
        self.positions.insert(account.to_owned(), posting.position);
        self.write(event, &posting.transfers, (posting.wallet, Some(posting.position)));
    }

    fn filled(&mut self, event: &str, account: &str, (style, side): (SettlementStyle, Side), fill: &Fill) {
        self.traded(event, account, |id, held| post_fill(id, &venue(), held, side, fill, &terms(style)));
    }

    fn ended(&mut self, event: &str, account: &str, style: SettlementStyle, value: Option<&str>) {
        self.traded(event, account, |id, held| match value {
            Some(value) => post_settlement(id, &venue(), held, value.parse().expect("a price"), &terms(style)),
            None => post_refund(id, &venue(), held, &terms(style)),
        });
    }

    fn finish(self) -> String {
        format!("{HEAD}{}", self.table)
    }
}

fn cash() -> String {
    let mut story = Story::default();
    let alice = ("alice", "USD");
    story.cash("alice deposits 1,000", alice, post_deposit, "1000");
    story.cash("alice withdraws 200, the guard approves", alice, post_withdrawal, "200");
    story.write("alice withdraws 300, the guard denies", &[], (story.wallet("alice", "USD"), None));
    story.cash("alice withdraws 900, the guard approves, but it is not there", alice, post_withdrawal, "900");
    story.sent("alice sends 50 to bob, both in shard 0", ("alice", "bob"), (0, 0), "50");
    story.sent("alice sends 30 to carol in shard 1", ("alice", "carol"), (0, 1), "30");
    story.finish()
}

fn predictions() -> String {
    let mut story = Story::default();
    let (buy, sell) = ((SettlementStyle::Prediction, Side::Buy), (SettlementStyle::Prediction, Side::Sell));
    story.cash("alice deposits 1,000", ("alice", "USD"), post_deposit, "1000");
    story.filled(
        "an order to buy 100 is filled in part: 60 at 0.55, fee 0.45",
        "alice",
        buy,
        &fill("60", "0.55", "0.45"),
    );
    story.filled("the rest of it: 40 at 0.55, fee 0.3", "alice", buy, &fill("40", "0.55", "0.3"));
    story.filled("adds 50 at 0.61", "alice", buy, &fill("50", "0.61", "0"));
    story.filled("reduces by 120 at 0.7", "alice", sell, &fill("120", "0.7", "0"));
    story.filled("closes 30 at 0.5", "alice", sell, &fill("30", "0.5", "0"));
    story.filled("opens short: sells 40 at 0.3", "alice", sell, &fill("40", "0.3", "0"));
    story.filled("flips: buys 60 at 0.2, fee 0.1", "alice", buy, &fill("60", "0.2", "0.1"));
    story.finish()
}

fn margined() -> String {
    let mut story = Story::default();
    let (buy, sell) = ((SettlementStyle::Margined, Side::Buy), (SettlementStyle::Margined, Side::Sell));
    story.cash("alice deposits 100", ("alice", "USD"), post_deposit, "100");
    story.filled("opens: buys 30 at 10, fee 1", "alice", buy, &fill("30", "10", "1"));
    story.filled("reduces by 10 at 12", "alice", sell, &fill("10", "12", "0"));
    story.filled("flips: sells 50 at 9", "alice", sell, &fill("50", "9", "0"));
    story.ended("the contract ends at 8", "alice", SettlementStyle::Margined, Some("8"));
    story.finish()
}

fn market_ends() -> String {
    let mut story = Story::default();
    let style = SettlementStyle::Prediction;
    for (name, value) in [("1", Some("1")), ("0", Some("0")), ("0.37", Some("0.37")), ("nothing: it is void", None)] {
        for (account, side, price) in [("long", Side::Buy, "0.55"), ("short", Side::Sell, "0.3")] {
            let mut before = Story::default();
            before.cash("", (account, "USD"), post_deposit, "100");
            before.filled("", account, (style, side), &fill("100", price, "0"));
            story.wallets.extend(before.wallets);
            story.positions.extend(before.positions);
            story.ended(&format!("{account}, decided at {name}"), account, style, value);
        }
    }
    story.finish()
}

fn put_right() -> String {
    let mut story = Story::default();
    let (alice, style) = (("alice", "USD"), SettlementStyle::Prediction);
    story.cash("alice deposits 100", alice, post_deposit, "100");
    story.cash("alice deposits 100 once more, by mistake", alice, post_deposit, "100");
    story.reversed("the second deposit is corrected", "alice");
    story.cash("5 of goodwill", alice, post_adjustment, "5");
    story.cash("2 of it were too much", alice, post_adjustment, "-2");
    story.cash("200 are to be taken", alice, post_adjustment, "-200");
    let busted = fill("10", "0.9", "0.25");
    story.filled("buys 10 at 0.9, fee 0.25", "alice", (style, Side::Buy), &busted);
    story.traded("the venue has busted the fill", "alice", |id, held| {
        post_fill_reversal(id, &venue(), held, (Side::Buy, &busted, Money::ZERO), &terms(style))
    });
    story.finish()
}

fn shortfall() -> String {
    let mut story = Story::default();
    let (dora, style) = (("dora", "USD"), SettlementStyle::Margined);
    story.cash("dora deposits 6", dora, post_deposit, "6");
    story.filled("buys 5 at 10, fee 1", "dora", (style, Side::Buy), &fill("5", "10", "1"));
    story.filled("sells 5 at 8, fee 0.5: a loss of 10", "dora", (style, Side::Sell), &fill("5", "8", "0.5"));
    story.cash("dora deposits 20", dora, post_deposit, "20");
    story.cash("withdraws 1", dora, post_withdrawal, "1");
    story.cash("pays the shortfall of 5.5 back", dora, post_adjustment, "-5.5");
    let thawed = post_unfreezing(story.wallet("dora", "USD")).expect("frozen");
    story.wallets.insert(("dora".to_owned(), "USD"), thawed);
    story.write("is unfrozen", &[], (thawed, None));
    story.cash("withdraws 1", dora, post_withdrawal, "1");
    story.finish()
}

fn elsewhere() -> String {
    let mut story = Story::default();
    let alice = AccountId::new("alice").expect("an id");
    story.cash("alice deposits 100 dollars", ("alice", "USD"), post_deposit, "100");
    story.cash("alice deposits 40 euros", ("alice", "EUR"), post_deposit, "40");
    story.cash(
        "withdraws 50 euros, the guard approves, but they are not there",
        ("alice", "EUR"),
        post_withdrawal,
        "50",
    );
    let (style, side) = (SettlementStyle::Margined, Side::Buy);
    story.filled("buys 20 at 10 on margin", "alice", (style, side), &fill("20", "10", "0"));
    for (event, direction) in
        [("her slot leaves shard 0 for shard 2", MoveDirection::Out), ("and arrives in shard 2", MoveDirection::In)]
    {
        for code in ["EUR", "USD"] {
            let wallet = story.wallet("alice", code);
            let transfers = post_moved(&alice, &currency(code), wallet, (0, 2), direction).expect("valid");
            let after = if direction == MoveDirection::Out { Wallet::default() } else { wallet };
            story.write(&format!("{event}: {code}"), &transfers, (after, None));
        }
    }
    story.finish()
}

fn page() -> (PathBuf, String) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ledger.md"));
    let page = std::fs::read_to_string(&path).expect("docs/ledger.md");
    (path, page)
}

#[test]
fn the_examples_of_the_page_are_what_the_rules_compute() {
    let (path, before) = page();
    let mut page = before.clone();
    for (name, table) in [
        ("cash", cash()),
        ("predictions", predictions()),
        ("margined", margined()),
        ("the end of a market", market_ends()),
        ("put right", put_right()),
        ("shortfall", shortfall()),
        ("elsewhere", elsewhere()),
    ] {
        let (begin, end) = (format!("<!-- example: {name} -->\n"), "<!-- end of example -->");
        let start = page.find(&begin).unwrap_or_else(|| panic!("{begin} is missing")) + begin.len();
        let stop = start + page[start..].find(end).unwrap_or_else(|| panic!("{name} has no end"));
        page.replace_range(start..stop, &table);
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &page).expect("written");
        return;
    }
    for (number, (actual, expected)) in before.lines().zip(page.lines()).enumerate() {
        assert_eq!(actual, expected, "docs/ledger.md, line {}: UPDATE_EXPECT=1 writes it anew", number + 1);
    }
    assert_eq!(before.len(), page.len());
}

/// The cells of the rows of the table that follows `heading`.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let section = page.split_once(&format!("{heading}\n")).unwrap_or_else(|| panic!("{heading} is missing")).1;
    let table = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    table.skip(2).map(cells).collect()
}

#[test]
fn every_account_of_the_books_is_in_the_page() {
    let (account, code) = (AccountId::new("account").expect("an id"), currency("currency"));
    let accounts = [
        LedgerAccount::Wallet(account.clone(), code.clone()),
        LedgerAccount::Margin(account, code.clone()),
        LedgerAccount::Venue(VenueId::new("venue").expect("an id"), code.clone()),
        LedgerAccount::Fees(code.clone()),
        LedgerAccount::Deposits(code.clone()),
        LedgerAccount::Suspense(code.clone()),
        LedgerAccount::House(code.clone()),
        LedgerAccount::Between { from: 7, to: 8, currency: code },
    ];
    let shapes = accounts.each_ref().map(|account| {
        let name = account.to_string();
        let (head, rest) = name.split_at(name.rfind('/').expect("a currency"));
        // An account that is added here needs a shape, and so a row of the page.
        let head = match account {
            LedgerAccount::Wallet(..) | LedgerAccount::Margin(..) => head.replace("/account", "/<account>"),
            LedgerAccount::Venue(..) => head.replace("/venue", "/<venue>"),
            LedgerAccount::Fees(_) | LedgerAccount::Deposits(_) => head.to_owned(),
            LedgerAccount::Suspense(_) | LedgerAccount::House(_) => head.to_owned(),
            LedgerAccount::Between { .. } => head.replace("7-8", "<from>-<to>"),
        };
        format!("{head}{}", rest.replace("/currency", "/<currency>"))
    });
    let written: Vec<_> =
        rows(&page().1, "## Chart of accounts").into_iter().map(|mut row| row.swap_remove(0)).collect();
    assert_eq!(written, shapes);
}

#[test]
fn every_kind_of_transfer_is_in_an_example() {
    let page = page().1;
    for kind in [
        TransferKind::Deposit,
        TransferKind::Withdrawal,
        TransferKind::TradeCost,
        TransferKind::TradeProceeds,
        TransferKind::Fee,
        TransferKind::MarginHeld,
        TransferKind::MarginReleased,
        TransferKind::RealizedPnl,
        TransferKind::Shortfall,
        TransferKind::Settlement,
        TransferKind::Refund,
        TransferKind::Sent,
        TransferKind::Adjustment,
        TransferKind::Correction,
        TransferKind::SlotMoved,
    ] {
        assert!(page.contains(&format!("| {kind:?} | `")), "{kind:?}");
    }
}

#[test]
fn every_result_code_is_in_the_page_with_its_number() {
    let written: Vec<_> = rows(&page().1, "### Result codes").into_iter().map(|row| row[..3].join(" ")).collect();
    let codes = ResultCode::ALL.map(|code| {
        let again = if code.is_retryable() { "yes" } else { "no" };
        format!("{} {} {again}", code.number(), code.as_str())
    });
    assert_eq!(written, codes);
}
