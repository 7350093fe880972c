//! Values, losses, risks and agents' figures against reference figures computed by other code, and against the
//! cases of other platforms.

mod reference;

use reference::{list, list_or_none, number, numbers, reference as file, vectors};
use serde_json::Value;
use std::collections::BTreeMap;
use tragen_domain::{
    execution::Fill,
    id::{AgentId, Currency, ExecutionId, InstrumentId, MatchId},
    instrument::{SettlementStyle, SettlementTerms},
    kpi::{Calendar, ClosedTrades, ScoreInputs, Standing, annual_ratio, performance_score, sharpe, sharpe_of, sortino},
    money::{Money, ONE, Price, Quantity},
    order::Side,
    portfolio::{
        Baselines, Book, Confidence, CorrelationMatrix, Drawdown, Held, Loss, Method, OpenRisk, OutcomePnl, PriceView,
        RETURN_UNIT, Return, ReturnWindow, ScenarioBook, Undefined, Valuation, correlation, correlation_factor,
        historical_tail, max_drawdown, mean, net_risk, sample_deviation, unrealized_pnl,
    },
    position::Position,
    time::Timestamp,
};

use SettlementStyle::{Margined, Prediction, Spot};

/// Relative, as the reference promises for closed forms.
const TOLERANCE: f64 = 1e-12;

#[track_caller]
fn close(got: f64, expected: f64, tolerance: f64, what: &str) {
    let scale = expected.abs().max(f64::MIN_POSITIVE);
    assert!((got - expected).abs() <= tolerance * scale, "{what}: {got} is not {expected}");
}

/// A defined figure, or None where the reference has none.
#[track_caller]
fn agrees(got: Result<f64, Undefined>, expected: &Value, what: &str) {
    match expected.as_f64() {
        Some(expected) => close(got.unwrap_or_else(|error| panic!("{what}: {error}")), expected, TOLERANCE, what),
        None => assert!(expected.is_null() && got.is_err(), "{what}: {got:?} is not {expected}"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text"))
}

fn micros(number: f64) -> String {
    format!("{number:.6}")
}

fn money(value: &Value) -> Money {
    micros(number(value)).parse().expect("an amount")
}

fn price(value: f64) -> Price {
    micros(value).parse().expect("a price")
}

fn quantity(value: f64) -> Quantity {
    micros(value).parse().expect("a quantity")
}

/// Bought at `price` if the quantity is positive, else sold.
fn position(signed: f64, at: f64) -> Position {
    let entry_notional = micros(signed.abs() * at).parse().expect("an amount");
    Position { quantity: quantity(signed), entry_notional, ..Position::default() }
}

fn marked_at(price: Price) -> PriceView {
    let (bid, ask) = (Some(price), Some(price));
    PriceView { bid, ask, last: None, fair: None, published_at: Timestamp::default(), max_age_ms: 0 }
}

fn confidence(text: &str) -> Confidence {
    let percent = 100.0 * text.parse::<f64>().expect("a share");
    Confidence::percent(format!("{percent:.0}").parse().expect("a percentage")).expect("valid")
}

fn agents(names: &[&str]) -> Vec<AgentId> {
    names.iter().map(|name| AgentId::new(*name).expect("an id")).collect()
}

/// To the nearest 1e-12.
fn to_return(value: f64) -> Return {
    let units = format!("{:.0}", value * 1e12).parse().expect("a number");
    Return::from_units(units).expect("in range")
}

fn cases<'a>(reference: &'a Value, id: &str) -> (&'a Value, &'a Value) {
    let found = list(&reference["cases"]).iter().find(|case| case["id"] == id);
    let case = found.unwrap_or_else(|| panic!("no case {id}"));
    (&case["inputs"], &case["expected"])
}

#[test]
fn books_come_to_the_reference_figures() {
    let Some(reference) = vectors("pnl") else { return };
    for (name, style) in [
        ("fx_flip", Margined),
        ("exact_close_reopen", Margined),
        ("flip_exact_boundary", Margined),
        ("binary_yes", Prediction),
        ("binary_yes", Spot),
    ] {
        let sequence = &reference["sequences"][name];
        let currency = Currency::new("USD").expect("a currency");
        let terms = SettlementTerms { style, currency, initial_margin_ppm: 20_000 };
        let instrument = InstrumentId::new("X").expect("an id");
        let (mut book, mut held) = (Book::default(), Position::default());
        for fill in list(&sequence["fills"]) {
            let side = if text(&fill["side"]) == "BUY" { Side::Buy } else { Side::Sell };
            let fill = Fill {
                id: ExecutionId::new("e").expect("an id"),
                price: price(number(&fill["price"])),
                quantity: quantity(number(&fill["qty"])),
                fee: money(&fill["fee"]),
                executed_at: Timestamp::default(),
            };
            let before = held;
            let effect = held.apply(side, &fill, &terms).expect("applies");
            book.pay(effect.cash_change(style).expect("fits")).expect("fits");
            book.change(&instrument, style, &before, &held).expect("fits");
        }
        book.price(&instrument, style, marked_at(price(number(&sequence["mark"]))), Timestamp::default())
            .expect("fits");
        let last = list(&sequence["fills"]).last().expect("fills");
        let pnl = book.pnl().expect("marked");
        assert_eq!(pnl.unrealized, money(&sequence["unrealised"]), "unrealized of {name}");
        assert_eq!(pnl.realized, money(&last["realised_gross"]), "realized of {name}");
        assert_eq!(pnl.fees, money(&last["fees"]), "fees of {name}");
        assert_eq!(book.equity(), Ok(money(&sequence["equity_change"])), "equity of {name}");
        assert_eq!(pnl.total(), Ok(money(&sequence["equity_change"])), "profit of {name}");
    }
    // At the value it is settled with, a position is worth what it will be paid.
    for case in list(&reference["settlement"]) {
        let mark = price(number(&case["settlement_value"]));
        let held = [number(&case["yes"]), -number(&case["no"])].map(|signed| position(signed, 0.5));
        let held = held.iter().map(|position| Held { position, style: Prediction, mark });
        assert_eq!(Valuation::of(held).map(|sum| sum.value), Ok(money(&case["payout"])), "{}", case["case"]);
    }
}

#[test]
fn scenarios_of_predictions_come_to_the_reference_figures() {
    let Some(reference) = vectors("portfolio_risk") else { return };
    let mut book = ScenarioBook::default();
    let binary = &reference["binary"];
    for case in list(&binary["positions"]) {
        let outcomes: Vec<_> = numbers(&case["p"])
            .into_iter()
            .zip(numbers(&case["holdings"]))
            .map(|(probability, shares)| OutcomePnl {
                probability,
                pnl: micros(shares - number(&case["cost"])).parse().expect("an amount"),
            })
            .collect();
        book.put(MatchId::new(text(&case["match"])).expect("an id"), &outcomes).expect("valid");
    }
    assert_eq!(book.worst().negated(), Ok(money(&binary["max_loss"])));
    assert_eq!(book.best(), money(&binary["max_gain"]));
    for (level, expected) in binary["VaR"].as_object().expect("levels") {
        let risk = book.risk(confidence(level)).expect("defined");
        assert_eq!(risk.value_at_risk, money(expected), "value at risk {level}");
        assert_eq!(risk.expected_shortfall, money(&binary["ES"][level]), "expected shortfall {level}");
        assert_eq!(risk.expected, money(&binary["expected_pnl"]));
        let scenarios = binary["scenarios"].as_u64().and_then(|count| usize::try_from(count).ok());
        assert_eq!(Some(risk.method), scenarios.map(|scenarios| Method::Enumerated { scenarios }));
    }

    let five = &reference["binary_five"];
    let mut book = ScenarioBook::default();
    for (number_of, case) in list(&five["holdings"]).iter().enumerate() {
        let (p, shares, cost) = (number(&case["p"]), number(&case["shares"]), number(&case["cost"]));
        let pnl = |amount: f64| micros(amount).parse().expect("an amount");
        let outcomes = [
            OutcomePnl { probability: p, pnl: pnl(shares - cost) },
            OutcomePnl { probability: 1.0 - p, pnl: pnl(-cost) },
        ];
        book.put(MatchId::new(format!("M{number_of}")).expect("an id"), &outcomes).expect("valid");
    }
    assert_eq!(book.worst().negated(), Ok(money(&five["max_loss"])));
    for (level, expected) in five["risk"].as_object().expect("levels") {
        let risk = book.risk(confidence(level)).expect("defined");
        assert_eq!(risk.value_at_risk, money(&expected["VaR"]), "value at risk {level}");
        assert_eq!(risk.expected_shortfall, money(&expected["ES"]), "expected shortfall {level}");
        assert_eq!(risk.expected, money(&five["expected"]));
    }
}

#[test]
fn open_risk_is_that_of_the_reference() {
    let Some(reference) = vectors("portfolio_risk") else { return };
    let case = &reference["stop_risk"];
    let signed = numbers(&case["r"]);
    let net = net_risk(&signed, |i, j| Ok(number(&case["C"][i][j])));
    agrees(net, &case["net_correlated"], "net risk");
    let mut open = OpenRisk::default();
    for loss in &signed {
        open.change(Money::ZERO, micros(loss.abs()).parse().expect("an amount")).expect("fits");
    }
    assert_eq!(open.gross(), money(&case["gross"]));
    let limit_bps = |case: &Value| format!("{:.0}", number(&case["limit"]) * 10_000.0).parse().expect("a limit");
    let headroom = open.headroom(money(&case["capital"]), limit_bps(case)).expect("capital");
    assert_eq!(headroom < Money::ZERO, case["breach_gross"].as_bool().expect("a flag"));
    let share = number(&case["limit"]) - number(&case["gross_pct"]);
    assert_eq!(headroom, micros(share * number(&case["capital"])).parse().expect("an amount"));

    for case in list(&reference["pretrade"]) {
        let mut open = OpenRisk::default();
        open.change(Money::ZERO, money(&case["open_gross_risk"])).expect("fits");
        let headroom = open.headroom(money(&case["capital"]), limit_bps(case));
        let is_allowed = headroom.is_ok_and(|left| money(&case["new_risk"]) <= left);
        assert_eq!(Some(is_allowed), case["allowed"].as_bool(), "{case}");
        for field in ["headroom", "max_scaled_risk"] {
            if let Some(expected) = case.get(field) {
                assert_eq!(headroom, Ok(money(expected)), "{case}");
            }
        }
        assert_eq!(headroom == Err(Undefined::NoCapital), case.get("reason").is_some(), "{case}");
    }
}

/// Log returns of the reference's symbols on its last 250 common days.
fn log_returns(symbols: &[&str]) -> Option<Vec<Vec<f64>>> {
    let table = file("data/fx_d1_2012-2022.csv")?;
    let mut closes: BTreeMap<&str, Vec<Option<f64>>> = BTreeMap::new();
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        if let Some(place) = symbols.iter().position(|symbol| *symbol == fields[0]) {
            closes.entry(fields[1]).or_insert_with(|| vec![None; symbols.len()])[place] = fields[5].parse().ok();
        }
    }
    let common: Vec<Vec<f64>> = closes.into_values().filter_map(|day| day.into_iter().collect()).collect();
    let of_symbol = |place: usize| {
        let returns: Vec<f64> = common.windows(2).map(|days| (days[1][place] / days[0][place]).ln()).collect();
        returns[returns.len() - 250..].to_vec()
    };
    Some((0..symbols.len()).map(of_symbol).collect())
}

fn simple(log_returns: &[f64]) -> Vec<f64> {
    log_returns.iter().map(|value| value.exp_m1()).collect()
}

/// One unit of money, compounded.
fn equity(returns: &[f64]) -> Vec<f64> {
    let steps = returns.iter().scan(1.0, |equity, value| {
        *equity *= 1.0 + value;
        Some(*equity)
    });
    std::iter::once(1.0).chain(steps).collect()
}

fn check_series(name: &str, returns: &[f64], expected: &Value) {
    let tail = |confidence| historical_tail(returns, confidence).expect("defined");
    let (p95, p99) = (tail(Confidence::P95), tail(Confidence::P99));
    let deviation = sample_deviation(returns);
    let got = [
        ("mean", mean(returns)),
        ("std_ddof1", deviation),
        ("ann_vol", deviation.map(|daily| daily * Calendar::BusinessDays.days_per_year().sqrt())),
        ("sharpe_252", sharpe(returns, Calendar::BusinessDays)),
        ("sharpe_365", sharpe(returns, Calendar::EveryDay)),
        ("sortino_252", sortino(returns, Calendar::BusinessDays)),
        ("max_drawdown", max_drawdown(&equity(returns))),
        ("var95", Ok(p95.value_at_risk)),
        ("var99", Ok(p99.value_at_risk)),
        ("es95", Ok(p95.expected_shortfall)),
        ("es99", Ok(p99.expected_shortfall)),
    ];
    for (field, got) in got {
        agrees(got, &expected[field], &format!("{field} of {name}"));
    }
    assert!(!p95.is_low_sample && !p99.is_low_sample);

    // The incremental forms keep 12 decimals.
    let mut window = ReturnWindow::new(250).expect("valid");
    let mut trades = ClosedTrades::default();
    let mut drawdown = Drawdown::starting_at(Money::from_micros(1_000_000 * ONE));
    // Nothing of what came before may be left: it goes round twice.
    for value in returns.iter().chain(returns) {
        window.push(to_return(*value));
    }
    for (value, equity) in returns.iter().zip(&equity(returns)[1..]) {
        trades.record(Money::from_micros(to_return(*value).units())).expect("fits");
        drawdown.observe(micros(equity * 1e6).parse().expect("an amount")).expect("fits");
    }
    let tail = window.tail(Confidence::P95).expect("defined");
    let got = [
        ("mean", window.mean(), 1e-8),
        ("std_ddof1", window.deviation(), 1e-9),
        ("sharpe_252", sharpe_of(&window, Calendar::BusinessDays), 1e-8),
        ("sortino_252", tragen_domain::kpi::sortino_of(&window, Calendar::BusinessDays), 1e-8),
        ("var95", Ok(tail.value_at_risk), 1e-9),
        ("es95", Ok(tail.expected_shortfall), 1e-9),
        ("profit_factor", trades.profit_factor(), 1e-9),
        ("win_rate", trades.win_rate(), TOLERANCE),
        ("max_drawdown", Ok(drawdown.figures().worst.fraction()), 1e-9),
    ];
    for (field, got, tolerance) in got {
        close(got.expect("defined"), number(&expected[field]), tolerance, &format!("running {field} of {name}"));
    }
}

#[test]
fn returns_of_real_series_have_the_reference_figures() {
    let Some(reference) = vectors("performance") else { return };
    let symbols: Vec<&str> = list(&reference["symbols"]).iter().map(text).collect();
    let Some(logs) = log_returns(&symbols) else { return };
    for (symbol, log) in symbols.iter().zip(&logs) {
        check_series(symbol, &simple(log), &reference["per_series"][symbol]);
    }
    let basket: Vec<f64> =
        (0..250).map(|day| mean(&logs.iter().map(|log| log[day]).collect::<Vec<_>>()).expect("defined")).collect();
    check_series("PORT", &simple(&basket), &reference["per_series"]["PORT"]);
}

#[test]
fn real_series_are_correlated_as_in_the_reference() {
    let Some(reference) = vectors("performance") else { return };
    let symbols: Vec<&str> = list(&reference["symbols"]).iter().map(text).collect();
    let Some(logs) = log_returns(&symbols) else { return };
    let ids = agents(&symbols);
    for (field, days) in [("corr_250", 250), ("corr_30", 30)] {
        let mut matrix = CorrelationMatrix::new(days).expect("valid");
        for day in 0..250 {
            let returns = ids.iter().cloned().zip(logs.iter().map(|log| to_return(log[day])));
            matrix.push(returns).expect("has room");
        }
        for (i, left) in logs.iter().enumerate() {
            for (j, right) in logs.iter().enumerate() {
                let what = format!("{field} of {} and {}", symbols[i], symbols[j]);
                let expected = &reference[field][i][j];
                agrees(correlation(&left[250 - days..], &right[250 - days..]), expected, &what);
                close(matrix.correlation(&ids[i], &ids[j]).expect("defined"), number(expected), 1e-8, &what);
            }
        }
        if field == "corr_250" {
            let pairs = matrix.pairs_from(0.7);
            assert_eq!(pairs.len(), list_or_none(&reference["pairs_above_0_7"]).len(), "{pairs:?}");
            let expected = &reference["correlation_factor"];
            assert_eq!(matrix.pairs_from(number(&expected["max_pair"]) - 1e-9).len(), 1);
            let capital = ids.iter().map(|agent| (agent.clone(), Money::from_micros(ONE))).collect();
            let factor = matrix.factor(&capital).expect("defined");
            close(factor, number(&expected["risk_weighted"]), 1e-7, "running factor");
        }
    }
    let rho = |i: usize, j: usize| Ok(number(&reference["corr_250"][i][j]));
    let expected = &reference["correlation_factor"];
    // With equal risks it is the mean of all pairs.
    agrees(correlation_factor(&[1.0; 6], rho), &expected["mean_offdiag"], "mean");
    agrees(correlation_factor(&[1.0; 6], |i, j| rho(i, j).map(f64::abs)), &expected["mean_abs_offdiag"], "mean size");
    let risks: Vec<f64> = logs.iter().map(|log| sample_deviation(log).expect("defined") / 6.0).collect();
    agrees(correlation_factor(&risks, rho), &expected["risk_weighted"], "risk-weighted");
}

#[test]
fn trades_and_edges_come_to_the_reference_figures() {
    let Some(reference) = vectors("performance") else { return };
    for case in list(&reference["trades"]) {
        let mut trades = ClosedTrades::default();
        for net in list_or_none(&case["pnl"]) {
            trades.record(money(net)).expect("fits");
        }
        let name = text(&case["name"]);
        assert_eq!(Some(trades.count()), case["count"].as_u64(), "{name}");
        assert_eq!([trades.won(), trades.lost()], [money(&case["gross_profit"]), money(&case["gross_loss"])], "{name}");
        for (field, got) in [
            ("profit_factor", trades.profit_factor()),
            ("win_rate", trades.win_rate()),
            ("expectancy", trades.expectancy()),
            ("payoff", trades.payoff()),
        ] {
            agrees(got, &case[field], &format!("{field} of {name}"));
        }
        let state = match trades.profit_factor() {
            Ok(_) => "finite",
            Err(Undefined::NoLosses) => "no_losses",
            Err(_) => "undefined",
        };
        assert_eq!(state, text(&case["profit_factor_state"]), "{name}");
    }
    let edge = &reference["edge"];
    agrees(sharpe(&[0.01; 30], Calendar::BusinessDays), &edge["sharpe_constant"], "Sharpe of a constant");
    agrees(sharpe(&[0.01], Calendar::BusinessDays), &edge["sharpe_len1"], "Sharpe of one return");
    agrees(max_drawdown(&[100.0; 3]), &edge["dd_flat"], "flat");
    agrees(max_drawdown(&[100.0, 0.0, 50.0]), &edge["dd_wipeout"], "wiped out");
    agrees(max_drawdown(&numbers(&edge["dd_case"]["eq"])), &edge["dd_case"]["dd"], "drawdown");
    // Five returns are too few; four times the same five have the same worst share.
    let small = &edge["var_small"];
    let few = numbers(&small["returns"]);
    assert!(historical_tail(&few, Confidence::P95).is_err());
    let tail = |confidence| historical_tail(&few.repeat(4), confidence).expect("defined");
    agrees(Ok(tail(Confidence::P95).value_at_risk), &small["var95"], "small");
    agrees(Ok(tail(Confidence::P99).value_at_risk), &small["var99"], "small");
    agrees(Ok(tail(Confidence::P95).expected_shortfall), &small["es95"], "small");
    assert!(tail(Confidence::P99).is_low_sample);
    let gains = historical_tail(&[0.01; 20], Confidence::P95).expect("defined");
    agrees(Ok(gains.value_at_risk), &edge["var_all_positive"], "gains");
}

#[test]
fn agents_are_scored_as_in_the_reference() {
    let Some(reference) = vectors("performance_score") else { return };
    for case in list(&reference["cases"]) {
        let field = |name: &str| Ok(number(&case[name]));
        let score = performance_score(&ScoreInputs {
            trades: case["n"].as_u64().and_then(|count| usize::try_from(count).ok()).expect("a count"),
            profit_factor: field("pf"),
            win_rate: field("win_rate"),
            sharpe: field("sharpe"),
            max_drawdown: field("mdd"),
        });
        agrees(score, &case["score"], &format!("score of {case}"));
        let standing = match case["score"].as_f64() {
            Some(score) if score >= 0.8 => Standing::HighPerformer,
            Some(_) => Standing::Normal,
            None => Standing::Testing,
        };
        assert_eq!(Standing::of(score), standing, "{case}");
    }
}

#[test]
fn losses_reach_limits_where_the_reference_says() {
    let Some(reference) = vectors("circuit_breakers") else { return };
    let noon = Timestamp::from_micros(43_200_000_000);
    for path in list(&reference["paths"]) {
        let mut baselines = Baselines::starting_at(money(&path["start_of_day"]), noon);
        let mut events = list_or_none(&path["events"]).iter().peekable();
        let mut worst = 0;
        for (index, equity) in list(&path["equity"]).iter().enumerate() {
            baselines.observe(money(equity), noon).expect("fits");
            let (day, drawdown) = (baselines.day_loss(), baselines.drawdown().current());
            let severity = if drawdown.reaches(1_000) { 2 } else { i32::from(day.reaches(500)) };
            if severity > worst {
                worst = severity;
                let event = events.next().unwrap_or_else(|| panic!("{path}: nothing expected at {index}"));
                assert_eq!(event["i"].as_u64(), u64::try_from(index).ok(), "{path}");
                close(day.fraction(), number(&event["daily_loss"]), TOLERANCE, "loss of the day");
                close(drawdown.fraction(), number(&event["drawdown"]), TOLERANCE, "drawdown");
            }
        }
        assert!(events.peek().is_none(), "{path}");
        let expected = ["OK", "REDUCE", "HALT"].iter().position(|state| path["final"] == *state);
        assert_eq!(i32::try_from(expected.expect("a state")), Ok(worst), "{path}");
    }
}

#[test]
fn statistics_are_those_of_other_platforms() {
    let Some(reference) = vectors("trading_cases") else { return };
    for id in ["mm-portfolio-var95", "ft-cagr", "mm-hedge-ratio"] {
        let _ = cases(&reference, id);
        println!("not checked: {id}, there is no such rule");
    }
    let case = |id: &str| cases(&reference, id);

    let (inputs, expected) = case("mm-portfolio-variance");
    let risks: Vec<f64> = numbers(&inputs["w"]).iter().zip(numbers(&inputs["vol"])).map(|(w, vol)| w * vol).collect();
    let net = net_risk(&risks, |_, _| Ok(number(&inputs["rho"]))).expect("defined");
    close(net * net, number(&expected["variance"]), TOLERANCE, "variance");

    let (inputs, expected) = case("ft-maxdd-abs-vs-rel");
    let mut balance = money(&inputs["start"]);
    let mut drawdown = Drawdown::starting_at(balance);
    for profit in list(&inputs["profits"]) {
        balance = balance.plus(money(profit)).expect("fits");
        drawdown.observe(balance).expect("fits");
    }
    let figures = drawdown.figures();
    assert_eq!(figures.deepest, money(&expected["by_abs"]["abs"]));
    assert_eq!(figures.worst.amount(), money(&expected["by_rel"]["abs"]));
    close(figures.worst.fraction(), number(&expected["by_rel"]["rel"]), TOLERANCE, "by share");
    close(drawdown.current().fraction(), number(&expected["by_abs"]["rel"]), 1e-5, "of the deepest");

    for id in ["nt-maxdd-a", "nt-maxdd-b"] {
        let (inputs, expected) = case(id);
        let worst = max_drawdown(&equity(&numbers(&inputs["returns"]))).expect("defined");
        close(-worst, number(&expected["max_drawdown"]), 1e-9, id);
    }
    let (inputs, expected) = case("ba-drawdown-seq");
    let worst = max_drawdown(&numbers(&inputs["equity"])).expect("defined");
    close(worst, number(&expected["drawdown"]), 1e-9, "drawdown");

    let (inputs, expected) = case("ba-sharpe");
    let [average, rate, deviation] = ["mean", "rf", "std"].map(|field| number(&inputs[field]));
    let annual = annual_ratio(average - rate, deviation, Calendar::BusinessDays).expect("defined");
    close(annual, number(&expected["annual"]), TOLERANCE, "annual");
    close(annual / 252.0_f64.sqrt(), number(&expected["sharpe"]), TOLERANCE, "daily");

    // Both have five returns; here a ratio needs 20.
    let (inputs, expected) = case("nt-sharpe-252");
    let returns = numbers(&inputs["returns"]);
    let (average, deviation) = (mean(&returns).expect("defined"), sample_deviation(&returns).expect("defined"));
    let ratio = annual_ratio(average, deviation, Calendar::BusinessDays).expect("defined");
    close(ratio, number(&expected["sharpe"]), 1e-9, "Sharpe");
    let (inputs, expected) = case("nt-sortino-252");
    let returns = numbers(&inputs["returns"]).repeat(4);
    close(sortino(&returns, Calendar::BusinessDays).expect("defined"), number(&expected["sortino"]), 1e-9, "Sortino");

    let (inputs, expected) = case("nt-expectancy");
    let mut trades = ClosedTrades::default();
    for net in list(&inputs["pnls"]) {
        trades.record(money(net)).expect("fits");
    }
    close(trades.expectancy().expect("defined"), number(&expected["expectancy"]), 1e-9, "expectancy");
}

#[test]
fn exposure_and_losses_are_those_of_other_platforms() {
    let Some(reference) = vectors("trading_cases") else { return };
    let mut book = Book::default();
    let mut hold = |name: &str, quantity: f64, at: f64| {
        let instrument = InstrumentId::new(name).expect("an id");
        book.change(&instrument, Margined, &Position::default(), &position(quantity, at)).expect("fits");
        book.price(&instrument, Margined, marked_at(price(at)), Timestamp::default()).expect("fits");
        book.exposure().expect("marked")
    };
    let (inputs, expected) = cases(&reference, "go-same-direction-cap");
    let mut total = Default::default();
    for held in list(&inputs["positions"]) {
        total = hold(text(&held[0]), number(&held[1]), number(&held[2]));
    }
    assert_eq!([total.long, total.short], [money(&expected["long"]), money(&expected["short"])]);
    assert_eq!(total.long > money(&inputs["cap"]), expected["long_blocked"].as_bool().expect("a flag"));

    let (inputs, expected) = cases(&reference, "go-concentration");
    for (asset, net) in inputs["net"].as_object().expect("assets") {
        let mut book = Book::default();
        let instrument = InstrumentId::new(asset.as_str()).expect("an id");
        book.change(&instrument, Spot, &Position::default(), &position(number(net), 1.0)).expect("fits");
        book.price(&instrument, Spot, marked_at(Price::from_micros(ONE)), Timestamp::default()).expect("fits");
        let exposed = book.exposure_in(&instrument).expect("marked").net().expect("fits");
        let share = Return::of(exposed, money(&inputs["pv"])).expect("capital").as_f64();
        close(share * 100.0, number(&expected["pct"][asset]), TOLERANCE, asset);
    }

    let (inputs, expected) = cases(&reference, "go-daily-loss-stale-day");
    let start = Money::from_micros(100_000 * ONE);
    let mut baselines = Baselines::starting_at(start, Timestamp::default());
    let mut equity = start;
    for (day, field) in [(0, "yesterday"), (1, "today")] {
        equity = equity.plus(money(&inputs[field])).expect("fits");
        baselines.observe(equity, Timestamp::from_micros(day * 86_400_000_000)).expect("fits");
    }
    assert_eq!(baselines.day_loss().amount(), money(&expected["loss"]));

    let (inputs, expected) = cases(&reference, "go-daily-loss-pct");
    let limit_bps = format!("{:.0}", number(&inputs["pct"]) * 100.0).parse().expect("a limit");
    for (lost, tripped) in list(&inputs["losses"]).iter().zip(list(&expected["tripped"])) {
        let loss = Loss::of_pnl(money(lost).negated().expect("fits"), money(&inputs["basis"])).expect("fits");
        assert_eq!(Some(loss.reaches(limit_bps)), tripped.as_bool(), "{lost}");
    }

    for id in ["nt-mark-long-win", "nt-mark-long-loss", "nt-mark-short-loss"] {
        let (inputs, expected) = cases(&reference, id);
        let [entry, held, mark] = ["entry", "qty", "mark"].map(|field| number(&inputs[field]));
        let sign = if matches!(text(&inputs["side"]), "SHORT" | "SELL") { -1.0 } else { 1.0 };
        let got = unrealized_pnl(&position(sign * held, entry), price(mark));
        assert_eq!(got, Ok(money(&expected["unrealized"])), "{id}");
    }
    assert_eq!(to_return(0.5).units() * 2, RETURN_UNIT);
}
