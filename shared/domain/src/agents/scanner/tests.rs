//! Tests of the scanner: the sets it finds, and the data it does not believe.

use super::*;

fn book(bid: f64, ask: f64, size: f64) -> TopOfBook {
    let offer = |price| Some(Offer { price, size });
    TopOfBook { bid: offer(bid), ask: offer(ask), age_ms: 100 }
}

fn listing(venue: &str, outcome: usize, yes: TopOfBook, fee_rate: f64) -> Listing<'_> {
    Listing { venue, outcome, yes, no: NoSide::Mirrored(None), fee_rate, volume: 1e4, liquidity: 1e4 }
}

fn run(outcomes: usize, listings: &[Listing<'_>]) -> ScanReport {
    scan(&EventView { outcomes, listings }, &ScannerRules::default()).expect("a scannable event")
}

#[test]
fn pair_across_two_venues_is_found_after_both_fees() {
    // NO at the second venue costs 1 - 0.50.
    let listings = [listing("a", 0, book(0.44, 0.45, 300.0), 0.03), listing("b", 0, book(0.50, 0.52, 120.0), 0.07)];
    let report = run(2, &listings);
    let [pair] = report.found.as_slice() else { panic!("{report:?}") };
    assert_eq!((pair.kind, pair.time_in_force), (SetKind::YesNo { outcome: 0 }, TimeInForce::Fok));
    assert!((pair.cost - 0.974_925).abs() < 1e-12 && (pair.return_on_cost - 0.025_719_927).abs() < 1e-9);
    assert!((pair.sets - 120.0).abs() < 1e-12 && (pair.total_profit() - 120.0 * 0.025_075).abs() < 1e-9);
    // The scarcest leg goes first.
    assert_eq!(
        pair.legs.iter().map(|leg| (leg.listing, leg.contract)).collect::<Vec<_>>(),
        [(1, Contract::No), (0, Contract::Yes)]
    );
    // The fees of 0.48 and 0.50 take more than the two cents.
    let dear = [listing("a", 0, book(0.47, 0.48, 300.0), 0.03), listing("b", 0, book(0.50, 0.52, 120.0), 0.07)];
    assert!(run(2, &dear).found.is_empty());
}

#[test]
fn full_sets_of_yes_and_of_no_are_found() {
    let yes = [0.43, 0.26, 0.25];
    let sizes = [900.0, 320.0, 400.0];
    let listings: Vec<Listing<'_>> =
        (0..3).map(|i| listing("a", i, book(yes[i] - 0.02, yes[i], sizes[i]), 0.03)).collect();
    let report = run(3, &listings);
    let [set] = report.found.as_slice() else { panic!("{report:?}") };
    assert!(set.kind == SetKind::AllYes && (set.cost - 0.958_75).abs() < 1e-9, "{set:?}");
    assert!((set.sets - 320.0).abs() < 1e-12 && (set.total_profit() - 13.2).abs() < 1e-6);
    // NO at 0.53, 0.70 and 0.71: YES bids of 0.47, 0.30 and 0.29, which add up to more than 1.
    let bids = [0.47, 0.30, 0.29];
    let listings: Vec<Listing<'_>> =
        (0..3).map(|i| listing("a", i, book(bids[i], bids[i] + 0.02, 50.0), 0.03)).collect();
    let report = run(3, &listings);
    let [set] = report.found.as_slice() else { panic!("{report:?}") };
    assert!(set.kind == SetKind::AllNo && (set.pays - 2.0).abs() < 1e-12 && (set.cost - 1.959_95).abs() < 1e-9);
    // One outcome is missing: no set, whatever the others cost.
    assert!(run(3, &listings[..2]).found.is_empty());
}

#[test]
fn each_leg_is_bought_where_it_is_cheapest_after_the_fee() {
    // 0.44 with 7 % costs more than 0.445 without a fee.
    let listings = [
        listing("dear", 0, book(0.43, 0.44, 100.0), 0.07),
        listing("cheap", 0, book(0.43, 0.445, 100.0), 0.0),
        listing("cheap", 1, book(0.52, 0.53, 100.0), 0.0),
    ];
    let report = run(2, &listings);
    let all_yes = report.found.iter().find(|set| set.kind == SetKind::AllYes).expect("0.975 for 1");
    let mut from: Vec<usize> = all_yes.legs.iter().map(|leg| leg.listing).collect();
    from.sort_unstable();
    assert_eq!(from, [1, 2]);
}

#[test]
fn broken_and_thin_listings_are_named() {
    let good = listing("a", 0, book(0.44, 0.46, 300.0), 0.03);
    let check = |bad: Listing<'_>, expected: fn(&ScanSkip) -> bool| {
        let report = run(2, &[good, bad]);
        let [(1, skip)] = report.skipped.as_slice() else { panic!("{report:?}") };
        assert!(expected(skip), "{skip:?}");
    };
    check(Listing { outcome: 2, ..good }, |skip| matches!(skip, ScanSkip::UnknownOutcome { outcome: 2 }));
    check(Listing { yes: book(0.46, 0.45, 1.0), ..good }, |skip| {
        matches!(skip, ScanSkip::YesBook(QuoteFault::Crossed { .. }))
    });
    check(Listing { yes: TopOfBook { age_ms: 5_001, ..good.yes }, ..good }, |skip| {
        matches!(skip, ScanSkip::YesBook(QuoteFault::Stale { .. }))
    });
    check(Listing { no: NoSide::Separate(book(0.9, 0.2, 1.0)), ..good }, |skip| matches!(skip, ScanSkip::NoBook(_)));
    // One book shown twice with two prices: the "arbitrage" of 0.46 + 0.50 is a stale half.
    check(Listing { no: NoSide::Mirrored(Some(book(0.49, 0.50, 300.0))), ..good }, |skip| {
        matches!(skip, ScanSkip::SidesDisagree { .. })
    });
    check(Listing { fee_rate: f64::NAN, ..good }, |skip| matches!(skip, ScanSkip::InvalidFeeRate { .. }));
    check(Listing { volume: 99.9, ..good }, |skip| matches!(skip, ScanSkip::LowVolume { .. }));
    check(Listing { liquidity: f64::NAN, ..good }, |skip| matches!(skip, ScanSkip::LowLiquidity { .. }));
    check(Listing { yes: book(0.40, 0.45, 1.0), ..good }, |skip| matches!(skip, ScanSkip::WideSpread { .. }));
    check(Listing { yes: TopOfBook { bid: None, ..good.yes }, ..good }, |skip| {
        matches!(skip, ScanSkip::WideSpread { spread: None, .. })
    });
    let exact = Listing { yes: book(0.42, 0.46, 1.0), no: NoSide::Mirrored(Some(book(0.54, 0.58, 1.0))), ..good };
    assert!(run(2, &[good, exact]).skipped.is_empty(), "a spread of exactly 4 cents, and sides that agree");
}

#[test]
fn pair_of_one_book_is_never_an_arbitrage() {
    for bid in [0.01, 0.25, 0.5, 0.73, 0.98] {
        let report = run(2, &[listing("a", 0, book(bid, bid + 0.01, 1e3), 0.0)]);
        assert!(report.found.is_empty() && report.implausible.is_empty(), "{report:?}");
    }
}

#[test]
fn too_good_to_be_true_is_kept_apart() {
    let listings = [listing("a", 0, book(0.30, 0.32, 300.0), 0.03), listing("b", 0, book(0.50, 0.52, 120.0), 0.07)];
    let report = run(2, &listings);
    assert!(report.found.is_empty());
    assert!(matches!(report.implausible.as_slice(), [set] if set.return_on_cost > 0.10), "{report:?}");
}

#[test]
fn event_without_a_choice_is_refused() {
    for outcomes in [0, 1, OUTCOMES_MAX + 1] {
        let refusal = scan(&EventView { outcomes, listings: &[] }, &ScannerRules::default());
        assert_eq!(refusal, Err(ScanRefusal { outcomes }));
    }
}
