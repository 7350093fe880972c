//! An inspection notes every check in the order of the decision, also behind a failure.

use super::{limits::limited, *};

fn seen(state: &State, proposed: &Proposed) -> Vec<(DenialReason, i64, i64, Verdict)> {
    let checks = inspect(state, proposed, NOW).checks;
    checks.iter().map(|own| (own.reason, own.limit, own.observed, own.verdict)).collect()
}

/// Alice is the house, and every limit is on.
fn everything_on() -> State {
    let mut state = limited(|limits| {
        limits.house_accounts.insert(id("alice"));
        limits.repeated_orders = RepeatedOrders::Deny;
        let values = [
            ("agent_confidence_min_ppm", 500_000),
            ("tier_order_value_max_micros", 90_000_000),
            ("wallet_floor_ppm", 100_000),
            ("trade_max_ppm", 50_000),
            ("match_max_ppm", 200_000),
            ("pool_exposure_max_ppm", 300_000),
            ("agent_exposure_max_ppm", 310_000),
            ("instrument_exposure_max_ppm", 320_000),
            ("house_match_exposure_max_ppm", 330_000),
            ("agent_orders_per_second_max", 1),
            ("account_orders_per_second_max", 2),
            ("house_orders_per_second_max", 3),
        ];
        limits.rules.set_all(values.into_iter()).expect("sensible");
    });
    let measured = Measured { day_loss_ppm: 1, month_loss_ppm: 2, drawdown_ppm: 3, measured_at: NOW };
    state.apply(Record::Breaker(Box::new(BreakerRecord::Measured(measured)))).expect("fits");
    state
}

#[test]
fn every_check_is_noted_in_the_order_of_the_decision() {
    use DenialReason as Reason;
    let state = everything_on();
    let buys = |quantity| Proposed {
        confidence_ppm: Some(600_000),
        trades_per_day_max: Some(4),
        is_first_on_match: false,
        ..named("t", "H", Side::Buy, "0.5", quantity)
    };
    // 200 contracts hold 100 of 1,000: more than the twentieth that a trade may be, and twice
    // the fiftieth that may be at risk.
    let of = |reason, limit, observed| (reason, limit, observed, Verdict::Passed);
    let failed = |reason, limit, observed| (reason, limit, observed, Verdict::Failed);
    let expected = [
        of(Reason::ProposalExpired, NOW.micros(), NOW.micros()),
        of(Reason::DuplicateTrade, 0, 0),
        of(Reason::UnknownInstrument, 0, 0),
        of(Reason::InstrumentNotTrading, 0, 0),
        of(Reason::PriceOffTick, 10_000, 500_000),
        of(Reason::PriceOutOfRange, 10_000, 500_000),
        of(Reason::PriceOutOfRange, 990_000, 500_000),
        of(Reason::QuantityOffLot, 1_000_000, 200_000_000),
        of(Reason::QuantityTooSmall, 1_000_000, 200_000_000),
        of(Reason::QuantityTooLarge, 10_000_000_000, 200_000_000),
        of(Reason::OrderValueLimit, 100_000_000_000, 100_000_000),
        failed(Reason::TierOrderValueLimit, 90_000_000, 100_000_000),
        of(Reason::NoReferencePrice, 0, 0),
        of(Reason::StaleQuote, 5_000, 0),
        of(Reason::PriceCollar, 700_000, 500_000),
        of(Reason::RiskStateUnknown, 0, 0),
        of(Reason::TradingHalted, 0, 0),
        of(Reason::AgentTradeLimit, 4, 1),
        of(Reason::ConfidenceTooLow, 500_000, 600_000),
        of(Reason::NoBalance, 0, 0),
        of(Reason::AccountFrozen, 0, 0),
        of(Reason::OpenOrderLimit, 100, 1),
        of(Reason::SelfTrade, 0, 500_000),
        of(Reason::NoBalance, 0, 0),
        of(Reason::WalletFloor, 100_000_000, 900_000_000),
        failed(Reason::TradeShareLimit, 50_000_000, 100_000_000),
        of(Reason::MatchShareLimit, 200_000_000, 100_000_000),
        of(Reason::NoBalance, 0, 0),
        of(Reason::InsufficientFunds, 1_000_000_000, 100_000_000),
        failed(Reason::OpenRiskLimit, 20_000_000, 100_000_000),
        of(Reason::PoolExposureLimit, 300_000_000, 100_000_000),
        of(Reason::AgentExposureLimit, 310_000_000, 100_000_000),
        of(Reason::InstrumentExposureLimit, 320_000_000, 100_000_000),
        of(Reason::HouseMatchExposureLimit, 330_000_000, 100_000_000),
        of(Reason::EquityUnknown, 5_000, 0),
        of(Reason::DayLossLimit, 50_000, 1),
        of(Reason::MonthLossLimit, 150_000, 2),
        of(Reason::DrawdownLimit, 100_000, 3),
        of(Reason::AgentOrderRate, 1, 1),
        of(Reason::AccountOrderRate, 2, 1),
        of(Reason::HouseOrderRate, 3, 1),
        of(Reason::RepeatedOrder, 1_000, 1_000),
    ];
    assert_eq!(seen(&state, &buys("200")), expected);
    let inspection = inspect(&state, &buys("200"), NOW);
    let denied = decide(&state, &buys("200"), NOW).expect_err("above the cap of its tier");
    assert_eq!(inspection.denied(), Some(denied));
    assert_eq!(
        inspection.order.map(|order| order.hold),
        Some(micros("100")),
        "what it would hold is told all the same"
    );
}

#[test]
fn a_missing_input_ends_an_inspection_where_it_is_missed() {
    let state = limited(|_| {});
    let unknown = named("t", "NOWHERE", Side::Buy, "0.5", "1");
    let seen = seen(&state, &unknown);
    assert_eq!(seen.last(), Some(&(DenialReason::UnknownInstrument, 0, 0, Verdict::Failed)));
    assert_eq!(seen.len(), 3);
    assert_eq!(inspect(&state, &unknown, NOW).order, None);
}

#[test]
fn behind_a_halt_the_other_checks_are_noted_too() {
    let mut state = limited(|_| {});
    tightened(&mut state, Scope::Global, TradingState::Halted);
    let poor = named("t", "P", Side::Buy, "0.5", "3000");
    let failed: Vec<_> = seen(&state, &poor).into_iter().filter(|own| own.3 == Verdict::Failed).collect();
    let funds = (DenialReason::InsufficientFunds, 1_000_000_000, 1_500_000_000, Verdict::Failed);
    assert_eq!(failed, [(DenialReason::TradingHalted, 0, 0, Verdict::Failed), funds]);
    check(&state, &poor, Some((DenialReason::TradingHalted, 0, 0)));
}
