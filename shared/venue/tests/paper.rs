//! What the paper venue promises.

use std::path::Path;
use tragen_domain::{
    id::{AccountId, Currency, InstrumentId, OrderId, TradeId},
    instrument::{Instrument, InstrumentStatus, SettlementStyle, SettlementTerms},
    market::{Level, Quote},
    money::{Money, Price, Quantity},
    order::{OrderPrice, OrderTerms, Side, TimeInForce, TradeStatus},
    risk::{
        Approved, Limits, Order, Posted, PostedBalance, Proposed, Purpose, Record, Scope, ScopeState, State,
        TradingState, decide,
    },
    tier::Tier,
    time::Timestamp,
};
use tragen_venue::{PaperConfig, PaperFaults, PaperVenue, VenueError, VenueReport};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn clock() -> Timestamp {
    NOW
}

fn later() -> Timestamp {
    NOW.plus_millis(2_001)
}

fn config(folder: &Path) -> PaperConfig {
    PaperConfig {
        folder: folder.to_owned(),
        seed: 7,
        latency_micros_min: 0,
        latency_micros_max: 0,
        finished_orders_max: 100,
        log_bytes_max: 1 << 20,
        clock,
        faults: PaperFaults::default(),
    }
}

fn quote(bid: i64, ask: i64, contracts: i64) -> Quote {
    let level = |cents: i64| {
        Some(Level {
            price: Price::from_micros(cents * 10_000),
            quantity: Quantity::from_micros(contracts * 1_000_000),
        })
    };
    let instrument = InstrumentId::new("P").expect("an id");
    Quote { instrument, bid: level(bid), ask: level(ask), event_time: NOW, published_at: NOW }
}

/// An order can only be had from the gate, so here is one with a rich account.
fn approved(trade: &str, side: Side, cents: i64, contracts: i64, time_in_force: TimeInForce) -> Approved<Order> {
    approved_if(trade, (side, cents, contracts), time_in_force, Restriction::None)
}

/// Good till canceled.
fn post_only(trade: &str, side: Side, cents: i64, contracts: i64) -> Approved<Order> {
    approved_if(trade, (side, cents, contracts), TimeInForce::Gtc, Restriction::PostOnly)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restriction {
    None,
    PostOnly,
}

fn approved_if(
    trade: &str,
    (side, cents, contracts): (Side, i64, i64),
    time_in_force: TimeInForce,
    restriction: Restriction,
) -> Approved<Order> {
    let mut gate = State::new(Limits { prediction_collar: Price::from_micros(1_000_000), ..Limits::default() });
    let (id, account) = (InstrumentId::new("P").expect("an id"), AccountId::new("alice").expect("an id"));
    let currency = Currency::new("USD").expect("a currency");
    let (style, currency_too) = (SettlementStyle::Prediction, currency.clone());
    let settlement = SettlementTerms { style, currency: currency_too, initial_margin_ppm: 0 };
    let instrument = Instrument {
        id: id.clone(),
        name: "P".to_owned(),
        settlement,
        tick: Price::from_micros(10_000),
        lot: Quantity::from_micros(1_000_000),
        min_quantity: Quantity::from_micros(1_000_000),
        max_quantity: Quantity::from_micros(1_000_000_000),
        min_price: Price::from_micros(10_000),
        max_price: Price::from_micros(990_000),
        taker_fee_ppm: 30_000,
        status: InstrumentStatus::Open,
        prediction: None,
        max_quote_age_ms: None,
    };
    let active = ScopeState {
        scope: Scope::Global,
        state: TradingState::Active,
        epoch: 1,
        changed_by: String::new(),
        reason: String::new(),
        changed_at: NOW,
        resume_from: NOW,
    };
    let cash = Money::from_micros(1_000_000_000_000);
    let posted = Posted {
        account: account.clone(),
        trade: None,
        is_final: false,
        executions: Vec::new(),
        balances: vec![PostedBalance { currency, cash, version: 1, is_frozen: false, flow: Money::ZERO }],
        positions: Vec::new(),
    };
    for record in [
        Record::Instrument(Box::new(instrument)),
        Record::Quote(quote(49, 51, 1)),
        Record::ScopeChanged(active),
        Record::Posted(Box::new(posted)),
    ] {
        gate.apply(record).expect("fits");
    }
    let proposed = Proposed {
        trade: TradeId::new(trade).expect("an id"),
        account,
        terms: OrderTerms {
            id: OrderId::new(format!("{trade}-o")).expect("an id"),
            instrument: id,
            side,
            price: OrderPrice::Limit(Price::from_micros(cents * 10_000)),
            quantity: Quantity::from_micros(contracts * 1_000_000),
            time_in_force,
            is_reduce_only: false,
            is_post_only: restriction == Restriction::PostOnly,
        },
        agent: None,
        pool: None,
        purpose: Purpose::Trade,
        valid_until: NOW,
        timeframe: None,
        tier: Tier::Standard,
        confidence_ppm: None,
        trades_per_day_max: None,
        is_first_on_match: false,
    };
    decide(&gate, &proposed, NOW).expect("approved")
}

/// `status price x contracts, ...` of a report.
fn text(report: &VenueReport) -> String {
    let fills = report.fills.iter().map(|fill| format!(" {}x{}", fill.price, fill.quantity));
    format!("{:?}{}", report.status, fills.collect::<String>())
}

/// Sends one order against a book of 10 contracts at 0.49 / 0.51.
async fn check(side: Side, cents: i64, contracts: i64, time_in_force: TimeInForce, expected: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let venue = PaperVenue::open(config(folder.path())).expect("opens");
    venue.on_quote(&quote(49, 51, 10)).expect("takes");
    let report = venue.submit(&approved("t", side, cents, contracts, time_in_force)).await.expect("answers");
    assert_eq!(text(&report), expected, "{side:?} {cents} {contracts} {time_in_force:?}");
}

#[tokio::test]
async fn orders_fill_at_the_quote_as_far_as_its_depth_goes() {
    check(Side::Buy, 51, 10, TimeInForce::Ioc, "Filled 0.51x10").await;
    check(Side::Buy, 60, 10, TimeInForce::Ioc, "Filled 0.51x10").await;
    check(Side::Buy, 51, 11, TimeInForce::Ioc, "PartiallyFilled 0.51x10").await;
    check(Side::Buy, 50, 1, TimeInForce::Ioc, "Canceled").await;
    check(Side::Buy, 51, 10, TimeInForce::Fok, "Filled 0.51x10").await;
    check(Side::Buy, 51, 11, TimeInForce::Fok, "Canceled").await;
    check(Side::Sell, 49, 11, TimeInForce::Ioc, "PartiallyFilled 0.49x10").await;
    check(Side::Sell, 50, 1, TimeInForce::Gtc, "Working").await;
    check(Side::Buy, 51, 12, TimeInForce::Gtc, "Working 0.51x10").await;
    check(Side::Buy, 50, 1, TimeInForce::Gtd(NOW), "Expired").await;
}

#[tokio::test]
async fn the_depth_is_used_up_until_the_next_quote() {
    let folder = tempfile::tempdir().expect("a folder");
    let venue = PaperVenue::open(config(folder.path())).expect("opens");
    let buy = |trade: &str| approved(trade, Side::Buy, 51, 6, TimeInForce::Ioc);
    let unheard = venue.submit(&buy("t0")).await.expect("answers");
    assert_eq!(unheard.status, TradeStatus::Rejected);
    venue.on_quote(&quote(49, 51, 10)).expect("takes");
    assert_eq!(text(&venue.submit(&buy("t1")).await.expect("answers")), "Filled 0.51x6");
    assert_eq!(text(&venue.submit(&buy("t2")).await.expect("answers")), "PartiallyFilled 0.51x4");
    assert_eq!(text(&venue.submit(&buy("t3")).await.expect("answers")), "Canceled");
    venue.on_quote(&quote(49, 51, 10)).expect("takes");
    assert_eq!(text(&venue.submit(&buy("t4")).await.expect("answers")), "Filled 0.51x6");
}

#[tokio::test]
async fn a_second_submission_is_the_first_one_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let order = approved("t", Side::Buy, 51, 6, TimeInForce::Ioc);
    let venue = PaperVenue::open(config(folder.path())).expect("opens");
    venue.on_quote(&quote(49, 51, 10)).expect("takes");
    let first = venue.submit(&order).await.expect("answers");
    assert_eq!(first.fills[0].id.as_str(), "t-o-x1");
    assert_eq!(venue.submit(&order).await.expect("answers"), first);
    // Nothing is closed or flushed: the file is all there is.
    let again = PaperVenue::open(config(folder.path())).expect("opens");
    assert_eq!(again.submit(&order).await.expect("answers"), first);
    assert_eq!(again.order_status(&order.terms.id).expect("answers"), Some(first));
    assert_eq!(again.order_status(&OrderId::new("unknown").expect("an id")).expect("answers"), None);
}

#[tokio::test]
async fn two_processes_see_one_venue() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = PaperVenue::open(config(folder.path())).expect("opens");
    let two = PaperVenue::open(config(folder.path())).expect("opens");
    let order = approved("t", Side::Buy, 45, 6, TimeInForce::Gtc);
    one.on_quote(&quote(49, 51, 10)).expect("takes");
    assert_eq!(text(&one.submit(&order).await.expect("answers")), "Working");
    let canceled = two.cancel(&order.terms.id).await.expect("answers").expect("known");
    assert_eq!(text(&canceled), "Canceled");
    assert_eq!(text(&one.submit(&order).await.expect("answers")), "Canceled");
    assert!(one.on_quote(&quote(40, 41, 10)).expect("takes").is_empty());
}

#[tokio::test]
async fn resting_orders_fill_at_their_limit_in_their_order_and_end_in_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let venue = PaperVenue::open(config(folder.path())).expect("opens");
    venue.on_quote(&quote(49, 51, 10)).expect("takes");
    for (trade, cents) in [("t1", 45), ("t2", 46)] {
        venue.submit(&approved(trade, Side::Buy, cents, 6, TimeInForce::Gtc)).await.expect("answers");
    }
    let soon = TimeInForce::Gtd(NOW.plus_millis(1));
    venue.submit(&approved("t3", Side::Buy, 40, 6, soon)).await.expect("answers");
    let reports = venue.on_quote(&quote(43, 44, 8)).expect("takes");
    assert_eq!(reports.iter().map(text).collect::<Vec<_>>(), ["Filled 0.45x6", "Working 0.46x2"]);
    assert!(venue.expire().expect("answers").is_empty());
    let reopened = PaperVenue::open(PaperConfig { clock: later, ..config(folder.path()) }).expect("opens");
    assert_eq!(reopened.expire().expect("answers").iter().map(text).collect::<Vec<_>>(), ["Expired"]);
    let rest = reopened.cancel(&OrderId::new("t2-o").expect("an id")).await.expect("answers").expect("known");
    assert_eq!(text(&rest), "PartiallyFilled 0.46x2");
}

#[tokio::test]
async fn a_post_only_order_that_would_trade_is_rejected_and_never_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let venue = PaperVenue::open(config(folder.path())).expect("opens");
    let said = "POST_ONLY_WOULD_TRADE: a post-only order would trade at once at its price";
    let unknown = venue.submit(&post_only("early", Side::Buy, 45, 1)).await.expect("answers");
    assert_eq!((unknown.status, unknown.rejection.split(':').next()), (TradeStatus::Rejected, Some("NO_MARKET")));
    venue.on_quote(&quote(49, 51, 10)).expect("takes");
    for (number, (side, cents, rests)) in [
        (Side::Buy, 50, true),
        (Side::Buy, 51, false),
        (Side::Buy, 99, false),
        (Side::Sell, 50, true),
        (Side::Sell, 49, false),
        (Side::Sell, 1, false),
    ]
    .into_iter()
    .enumerate()
    {
        let order = post_only(&format!("t{number}"), side, cents, 3);
        let report = venue.submit(&order).await.expect("answers");
        let expected = if rests { ("Working", "") } else { ("Rejected", said) };
        assert_eq!((text(&report).as_str(), report.rejection.as_str()), expected, "{side:?} {cents}");
        assert_eq!(venue.submit(&order).await.expect("answers"), report, "the first answer stays");
        let again = PaperVenue::open(config(folder.path())).expect("opens");
        assert_eq!(again.order_status(&order.terms.id).expect("answers"), Some(report));
    }
    // All of the ask is taken, and it is still what the market asks for.
    let taking = venue.submit(&approved("taking", Side::Buy, 51, 10, TimeInForce::Ioc)).await.expect("answers");
    assert_eq!(text(&taking), "Filled 0.51x10");
    let behind = venue.submit(&post_only("behind", Side::Buy, 51, 3)).await.expect("answers");
    assert_eq!(behind.status, TradeStatus::Rejected);
}

#[tokio::test]
async fn whoever_was_there_first_is_the_maker_and_pays_no_fee() {
    let folder = tempfile::tempdir().expect("a folder");
    let venue = PaperVenue::open(config(folder.path())).expect("opens");
    venue.on_quote(&quote(49, 51, 10)).expect("takes");
    let fees = |report: &VenueReport| report.fills.iter().map(|fill| fill.fee.micros()).collect::<Vec<_>>();
    // 3 % of 0.51 x 0.49 for each.
    let taken = venue.submit(&approved("taker", Side::Buy, 51, 4, TimeInForce::Gtc)).await.expect("answers");
    assert_eq!((text(&taken).as_str(), fees(&taken)), ("Filled 0.51x4", vec![29_988]));
    for (trade, cents) in [("bid", 48), ("low", 45)] {
        venue.submit(&post_only(trade, Side::Buy, cents, 6)).await.expect("answers");
    }
    venue.submit(&post_only("ask", Side::Sell, 53, 6)).await.expect("answers");
    venue.submit(&approved("plain", Side::Buy, 47, 1, TimeInForce::Gtc)).await.expect("answers");
    // The market falls through the bids: they trade at their own prices, not at the better one.
    let reports = venue.on_quote(&quote(45, 46, 8)).expect("takes");
    let told: Vec<_> = reports.iter().map(|report| (text(report), fees(report))).collect();
    assert_eq!(told, [("Filled 0.48x6".to_owned(), vec![0]), ("Filled 0.47x1".to_owned(), vec![0])]);
    let reports = venue.on_quote(&quote(54, 55, 4)).expect("takes");
    let told: Vec<_> = reports.iter().map(|report| (text(report), fees(report))).collect();
    assert_eq!(told, [("Working 0.53x4".to_owned(), vec![0])]);
}

#[tokio::test]
async fn an_approval_that_arrives_too_late_never_executes() {
    let folder = tempfile::tempdir().expect("a folder");
    let order = approved("t", Side::Buy, 51, 6, TimeInForce::Ioc);
    let venue = PaperVenue::open(PaperConfig { clock: later, ..config(folder.path()) }).expect("opens");
    venue.on_quote(&quote(49, 51, 10)).expect("takes");
    assert_eq!(text(&venue.submit(&order).await.expect("answers")), "Expired");
}

#[tokio::test]
async fn memory_and_file_are_bounded_and_a_torn_line_is_mended() {
    let folder = tempfile::tempdir().expect("a folder");
    let small = PaperConfig { finished_orders_max: 5, log_bytes_max: 1_000, ..config(folder.path()) };
    let venue = PaperVenue::open(small.clone()).expect("opens");
    venue.on_quote(&quote(49, 51, 1_000)).expect("takes");
    let resting = approved("resting", Side::Buy, 40, 1, TimeInForce::Gtc);
    venue.submit(&resting).await.expect("answers");
    for number in 0..100 {
        let order = approved(&format!("t{number}"), Side::Buy, 51, 1, TimeInForce::Ioc);
        venue.submit(&order).await.expect("answers");
    }
    let path = folder.path().join("orders.log");
    assert!(std::fs::metadata(&path).expect("a file").len() < 2_000);
    let status = |venue: &PaperVenue, order: &str| {
        venue.order_status(&OrderId::new(order).expect("an id")).expect("answers").map(|report| report.status)
    };
    assert_eq!(status(&venue, "t94-o"), None);
    assert_eq!(status(&venue, "t95-o"), Some(TradeStatus::Filled));
    assert_eq!(status(&venue, "resting-o"), Some(TradeStatus::Working), "what works is never forgotten");

    let mut text = std::fs::read_to_string(&path).expect("a file");
    text.push_str("torn-o P buy 5100");
    std::fs::write(&path, &text).expect("written");
    let reopened = PaperVenue::open(small.clone()).expect("opens");
    assert_eq!(status(&reopened, "torn-o"), None);
    assert_eq!(status(&reopened, "t99-o"), Some(TradeStatus::Filled));
    std::fs::write(&path, "nonsense\n").expect("written");
    assert!(PaperVenue::open(small).is_err(), "a damaged file is not guessed at");
}

#[tokio::test]
async fn executions_are_numbered_in_the_order_they_happened_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    // Rewritten every few lines, and only the last two finished orders are remembered.
    let small = PaperConfig { finished_orders_max: 2, log_bytes_max: 300, ..config(folder.path()) };
    let venue = PaperVenue::open(small.clone()).expect("opens");
    let other = PaperVenue::open(small.clone()).expect("opens");
    venue.on_quote(&quote(49, 51, 1_000)).expect("takes");
    venue.submit(&approved("resting", Side::Buy, 45, 6, TimeInForce::Gtc)).await.expect("answers");
    let mut expected = Vec::new();
    for number in 0..20 {
        let trade = format!("t{number}");
        venue.submit(&approved(&trade, Side::Buy, 51, 1, TimeInForce::Ioc)).await.expect("answers");
        expected.push(format!("{trade}-o-x1 0.51x1"));
        if number == 5 {
            venue.on_quote(&quote(43, 44, 2)).expect("takes");
            venue.on_quote(&quote(49, 51, 1_000)).expect("takes");
            expected.push("resting-o-x1 0.45x2".to_owned());
        }
    }
    venue.on_quote(&quote(43, 44, 100)).expect("takes");
    expected.push("resting-o-x2 0.45x4".to_owned());
    let reopened = PaperVenue::open(small).expect("opens");
    for venue in [&venue, &other, &reopened] {
        let (mut all, mut next) = (Vec::new(), 0);
        loop {
            let (page, then) = venue.executions(next, 7).expect("answers");
            if page.is_empty() {
                break;
            }
            for (order, fill) in page {
                assert!(fill.id.as_str().starts_with(order.as_str()));
                all.push(format!("{} {}x{}", fill.id, fill.price, fill.quantity));
            }
            next = then;
        }
        assert_eq!((all, next), (expected.clone(), 22));
    }
}

const ALWAYS: u32 = 1_000_000;

fn faulty(folder: &Path, faults: PaperFaults) -> PaperVenue {
    let venue = PaperVenue::open(PaperConfig { faults, ..config(folder) }).expect("opens");
    venue.on_quote(&quote(50, 52, 4)).expect("taken");
    venue
}

#[tokio::test]
async fn what_it_does_wrong_it_does_once_and_only_when_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let buy = |trade: &str, contracts| approved(trade, Side::Buy, 52, contracts, TimeInForce::Ioc);
    let filled = |report: &VenueReport| report.filled().micros() / 1_000_000;

    let lost = faulty(folder.path(), PaperFaults { lost_ppm: ALWAYS, ..PaperFaults::default() });
    let order = buy("lost", 1);
    assert!(matches!(lost.submit(&order).await, Err(VenueError::TimedOut)));
    assert_eq!(lost.order_status(&order.terms.id).expect("answers"), None);

    let unanswered = faulty(folder.path(), PaperFaults { unanswered_ppm: ALWAYS, ..PaperFaults::default() });
    let order = buy("unanswered", 1);
    assert!(matches!(unanswered.submit(&order).await, Err(VenueError::TimedOut)));
    assert_eq!(unanswered.order_status(&order.terms.id).expect("answers").as_ref().map(filled), Some(1));

    let repeating = faulty(folder.path(), PaperFaults { repeated_fill_ppm: ALWAYS, ..PaperFaults::default() });
    let report = repeating.submit(&buy("repeating", 1)).await.expect("answers");
    assert_eq!((report.fills.len(), &report.fills[0]), (2, &report.fills[1]));

    let late = faulty(folder.path(), PaperFaults { late_fill_ppm: ALWAYS, ..PaperFaults::default() });
    let report = late.submit(&buy("late", 10)).await.expect("answers");
    assert_eq!((report.status, filled(&report)), (TradeStatus::PartiallyFilled, 4));
    let reports = late.expire().expect("answers");
    assert_eq!(reports.iter().map(|r| (r.status, filled(r))).collect::<Vec<_>>(), [(TradeStatus::Filled, 10)]);
    assert_eq!(late.expire().expect("answers"), []);

    let refusing = faulty(folder.path(), PaperFaults { late_reject_ppm: ALWAYS, ..PaperFaults::default() });
    let order = approved("refused", Side::Buy, 40, 10, TimeInForce::Gtc);
    assert_eq!(refusing.submit(&order).await.expect("answers").status, TradeStatus::Working);
    let reports = refusing.expire().expect("answers");
    assert_eq!(reports.iter().map(|r| r.status).collect::<Vec<_>>(), [TradeStatus::Rejected]);

    let generous = faulty(folder.path(), PaperFaults { overfill_ppm: ALWAYS, ..PaperFaults::default() });
    let report = generous.submit(&buy("over", 3)).await.expect("answers");
    assert_eq!((report.status, filled(&report)), (TradeStatus::Filled, 4));

    // Half of them, always the same half.
    let half = PaperFaults { lost_ppm: ALWAYS / 2, ..PaperFaults::default() };
    let mut lost = Vec::new();
    for _ in 0..2 {
        let venue = faulty(folder.path(), half);
        let mut which = Vec::new();
        for number in 0..20 {
            which.push(venue.submit(&buy(&format!("half-{number}"), 1)).await.is_err());
        }
        lost.push(which);
    }
    assert_eq!(lost[0], lost[1]);
    assert!(lost[0].contains(&true) && lost[0].contains(&false));
}
