//! What the statistics promise for whatever happens: the incremental forms agree with the batch forms, and no figure
//! leaves its bounds.

use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;
use tragen_domain::{
    execution::Fill,
    id::{AgentId, Currency, ExecutionId, InstrumentId, MatchId},
    instrument::{SettlementStyle, SettlementTerms},
    kpi::{Calendar, ClosedTrades, sharpe, sharpe_of, sortino, sortino_of},
    money::{Money, Price, Quantity},
    order::Side,
    portfolio::{
        Baselines, Book, Confidence, CorrelationMatrix, Decay, Drawdown, EwmaVolatility, Held, OutcomePnl, PriceView,
        Return, ReturnWindow, RoundTrip, ScenarioBook, Undefined, Valuation, conservative_mark, correlation,
        correlation_factor, ewma_volatility, historical_tail, max_drawdown, mean, sample_deviation,
    },
    position::Position,
    time::Timestamp,
};

const STYLES: [SettlementStyle; 3] = [SettlementStyle::Prediction, SettlementStyle::Spot, SettlementStyle::Margined];
const DAY_MS: i64 = 86_400_000;

/// Both are undefined for the same reason, or equal within 1e-9 of `scale`.
fn agree(one: Result<f64, Undefined>, other: Result<f64, Undefined>, scale: f64) -> Result<(), TestCaseError> {
    match (one, other) {
        (Ok(one), Ok(other)) => prop_assert!((one - other).abs() <= 1e-9 * scale.max(1.0), "{one} is not {other}"),
        (one, other) => prop_assert_eq!(one, other),
    }
    Ok(())
}

/// A return from -20 % to 20 % in whole basis points, so that equal ones happen.
fn any_return() -> impl Strategy<Value = Return> {
    (-2_000_i64..=2_000).prop_map(|bps| Return::from_units(bps * 100_000_000).expect("in range"))
}

fn floats(returns: &[Return]) -> Vec<f64> {
    returns.iter().map(|value| value.as_f64()).collect()
}

fn money(micros: i64) -> Money {
    Money::from_micros(micros)
}

/// What happens to a book; indexes are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    Fill { account: usize, instrument: usize, side: Side, price: i64, quantity: i64, fee: i64 },
    Price { instrument: usize, bid: Option<i64>, spread: Option<i64>, last: Option<i64> },
    Wait { seconds: i64 },
    Flow { amount: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let maybe = |range: std::ops::Range<i64>| proptest::option::weighted(0.9, range);
    prop_oneof![
        6 => (0..3_usize, 0..3_usize, side, 1..1_000_000_i64, 1..50_000_000_i64, 0..1_000_i64).prop_map(
            |(account, instrument, side, price, quantity, fee)| Step::Fill {
                account, instrument, side, price, quantity, fee
            }
        ),
        6 => (0..3_usize, maybe(1..500_000), maybe(0..400_000), maybe(1..900_000))
            .prop_map(|(instrument, bid, spread, last)| Step::Price { instrument, bid, spread, last }),
        1 => (1..90_i64).prop_map(|seconds| Step::Wait { seconds }),
        1 => (-1_000_000..1_000_000_i64).prop_map(|amount| Step::Flow { amount }),
    ]
}

/// A book, and everything it was told, summed up only when asked.
struct World {
    book: Book,
    cash: Money,
    positions: BTreeMap<(usize, usize), Position>,
    views: BTreeMap<usize, PriceView>,
    now: Timestamp,
}

impl World {
    fn instrument(index: usize) -> InstrumentId {
        InstrumentId::new(format!("I{index}")).expect("an id")
    }

    fn pay(&mut self, amount: Money) {
        self.cash = self.cash.plus(amount).expect("fits");
        self.book.pay(amount).expect("fits");
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Fill { account, instrument, side, price, quantity, fee } => {
                let style = STYLES[instrument];
                let currency = Currency::new("USD").expect("a currency");
                let terms = SettlementTerms { style, currency, initial_margin_ppm: 50_000 };
                let fill = Fill {
                    id: ExecutionId::new("e").expect("an id"),
                    price: Price::from_micros(price),
                    quantity: Quantity::from_micros(quantity),
                    fee: money(fee),
                    executed_at: self.now,
                };
                let position = self.positions.entry((account, instrument)).or_default();
                let before = *position;
                let Ok(effect) = position.apply(side, &fill, &terms) else { return };
                let after = *position;
                self.pay(effect.cash_change(style).expect("fits"));
                self.book.change(&Self::instrument(instrument), style, &before, &after).expect("fits");
            }
            Step::Price { instrument, bid, spread, last } => {
                let view = PriceView {
                    bid: bid.map(Price::from_micros),
                    ask: spread.map(|spread| Price::from_micros(bid.unwrap_or(500_000) + spread)),
                    last: last.map(Price::from_micros),
                    fair: None,
                    published_at: self.now,
                    max_age_ms: 30_000,
                };
                self.views.insert(instrument, view);
                self.book.price(&Self::instrument(instrument), STYLES[instrument], view, self.now).expect("fits");
            }
            Step::Wait { seconds } => {
                self.now = self.now.plus_millis(seconds * 1_000);
                self.book.refresh(self.now).expect("fits");
            }
            Step::Flow { amount } => self.pay(money(amount)),
        }
    }

    /// Positions one by one, or `None` while one has no mark.
    fn summed(&self) -> Option<Valuation> {
        let marked = self.positions.iter().map(|((_, instrument), position)| {
            let opened = if position.quantity.is_negative() { Side::Sell } else { Side::Buy };
            let style = STYLES[*instrument];
            let mark = match self.views.get(instrument) {
                _ if position.quantity.is_zero() => Price::ZERO,
                Some(view) => conservative_mark(style, opened, view, self.now).ok()?,
                None => return None,
            };
            Some(Held { position, style, mark })
        });
        let held: Option<Vec<Held<'_>>> = marked.collect();
        held.map(|held| Valuation::of(held).expect("fits"))
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let Some(summed) = self.summed() else {
            prop_assert!(matches!(self.book.equity(), Err(Undefined::NoPrice { .. })), "{:?}", self.book.equity());
            prop_assert!(self.book.exposure().is_err() && self.book.pnl().is_err());
            return Ok(());
        };
        let (pnl, exposure) = (self.book.pnl().expect("marked"), self.book.exposure().expect("marked"));
        // One by one, up to nine positions each lose less than a micro to rounding.
        let near = |book: Money, summed: Money| (0..=9).contains(&(book.micros() - summed.micros()));
        let equity = summed.equity(self.cash, Money::ZERO).expect("fits");
        prop_assert!(near(self.book.equity().expect("marked"), equity), "{:?} {equity}", self.book.equity());
        prop_assert!(near(pnl.unrealized, summed.pnl.unrealized), "{pnl:?} {summed:?}");
        prop_assert!(near(summed.exposure.long, exposure.long), "{exposure:?} {summed:?}");
        prop_assert!(near(summed.exposure.short, exposure.short), "{exposure:?} {summed:?}");
        prop_assert_eq!((pnl.realized, pnl.fees), (summed.pnl.realized, summed.pnl.fees));
        prop_assert!(exposure.long >= Money::ZERO && exposure.short >= Money::ZERO);
        let net = exposure.net().and_then(Money::magnitude).expect("fits");
        prop_assert!(net <= exposure.gross().expect("fits"));
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_book_is_the_sum_of_its_positions(steps in vec(step(), 1..80)) {
        let mut world = World {
            book: Book::default(),
            cash: Money::ZERO,
            positions: BTreeMap::new(),
            views: BTreeMap::new(),
            now: Timestamp::default(),
        };
        for step in &steps {
            world.take(step);
            // Prices between two refreshes are only as old as the last refresh saw them.
            world.check()?;
        }
        // Every position is closed again: nothing is left but cash.
        for ((_, instrument), position) in &world.positions {
            let closed = Position { realized_pnl: position.realized_pnl, fees: position.fees, ..Position::default() };
            world.book.change(&World::instrument(*instrument), STYLES[*instrument], position, &closed).expect("fits");
        }
        prop_assert_eq!(world.book.equity(), Ok(world.cash));
        prop_assert_eq!(world.book.exposure().map(|exposure| exposure.gross()), Ok(Ok(Money::ZERO)));
    }

    #[test]
    fn a_hedge_never_raises_net_exposure(held in -1_000..1_000_i64, share in 0..=1_000_i64, price in 1..1_000_000_i64) {
        let instrument = World::instrument(0);
        let view = PriceView {
            bid: Some(Price::from_micros(price)),
            ask: Some(Price::from_micros(price)),
            last: None,
            fair: None,
            published_at: Timestamp::default(),
            max_age_ms: 0,
        };
        let of = |quantity: i64| {
            let entry_notional = money(price * quantity.abs());
            Position { quantity: Quantity::from_micros(quantity * 1_000_000), entry_notional, ..Position::default() }
        };
        let mut book = Book::default();
        book.price(&instrument, SettlementStyle::Margined, view, Timestamp::default()).expect("fits");
        let mut open = |position: Position| {
            book.change(&instrument, SettlementStyle::Margined, &Position::default(), &position).expect("fits");
            let exposure = book.exposure().expect("marked");
            (exposure.net().expect("fits").magnitude().expect("fits"), exposure.gross().expect("fits"))
        };
        let (net, gross) = open(of(held));
        // Another account takes the other side of up to all of it.
        let (hedged_net, hedged_gross) = open(of(-held * share / 1_000));
        prop_assert!(hedged_net <= net && hedged_gross >= gross, "{net} {hedged_net} {gross} {hedged_gross}");
    }

    #[test]
    fn a_window_agrees_with_its_returns(capacity in 20..60_usize, returns in vec(any_return(), 1..150)) {
        let mut window = ReturnWindow::new(capacity).expect("valid");
        for newest in &returns {
            window.push(*newest);
        }
        let kept = &returns[returns.len().saturating_sub(capacity)..];
        prop_assert!(window.returns().eq(kept.iter().copied()));
        let kept = floats(kept);
        agree(window.mean(), mean(&kept), 1.0)?;
        agree(window.deviation(), sample_deviation(&kept), 1.0)?;
        for calendar in [Calendar::BusinessDays, Calendar::EveryDay] {
            agree(sharpe_of(&window, calendar), sharpe(&kept, calendar), 1e3)?;
            agree(sortino_of(&window, calendar), sortino(&kept, calendar), 1e3)?;
        }
        for confidence in [Confidence::P95, Confidence::P99] {
            let (running, batch) = (window.tail(confidence), historical_tail(&kept, confidence));
            prop_assert_eq!(running, batch);
            if let Ok(tail) = running {
                prop_assert!(tail.value_at_risk >= 0.0 && tail.expected_shortfall >= tail.value_at_risk);
            }
        }
    }

    #[test]
    fn surer_is_never_less(returns in vec(any_return(), 20..150)) {
        let tail = |percent| {
            historical_tail(&floats(&returns), Confidence::percent(percent).expect("valid")).expect("defined")
        };
        for (low, high) in [(50, 90), (90, 95), (95, 99)] {
            prop_assert!(tail(low).value_at_risk <= tail(high).value_at_risk);
            prop_assert!(tail(low).expected_shortfall <= tail(high).expected_shortfall + 1e-12);
        }
    }

    #[test]
    fn volatility_agrees_with_its_returns(ppm in 1..1_000_000_u32, returns in vec(any_return(), 1..100)) {
        let decay = Decay::from_ppm(ppm).expect("valid");
        let mut volatility = EwmaVolatility::new(decay);
        for newest in &returns {
            volatility.push(*newest);
        }
        agree(volatility.get(), ewma_volatility(&floats(&returns), decay), 1.0)?;
    }

    #[test]
    fn correlations_agree_with_the_series(
        capacity in 20..50_usize,
        intervals in vec(vec(proptest::option::weighted(0.9, any_return()), 4), 1..120),
        forgotten in 0..120_usize,
    ) {
        let ids: Vec<AgentId> = (0..4).map(|name| AgentId::new(format!("a{name}")).expect("an id")).collect();
        let mut matrix = CorrelationMatrix::new(capacity).expect("valid");
        // Agent 3 mirrors agent 2, agent 1 is forgotten once and comes back.
        let points: Vec<Vec<Option<Return>>> = intervals
            .into_iter()
            .enumerate()
            .map(|(interval, mut points)| {
                points[3] = points[2].map(|value| Return::from_units(-3 * value.units()).expect("in range"));
                if interval == forgotten {
                    matrix.remove(&ids[1]);
                }
                let known = ids.iter().zip(&points).filter_map(|(id, point)| point.map(|point| (id.clone(), point)));
                matrix.push(known).expect("has room");
                points
            })
            .collect();
        let start = points.len().saturating_sub(capacity);
        let point = |agent: usize, interval: usize| {
            if agent == 1 && interval < forgotten && forgotten < points.len() { None } else { points[interval][agent] }
        };
        let rho = |left: usize, right: usize| {
            let common = (start..points.len()).filter_map(|at| Some((point(left, at)?, point(right, at)?)));
            let (left, right): (Vec<Return>, Vec<Return>) = common.unzip();
            correlation(&floats(&left), &floats(&right))
        };
        for left in 0..4 {
            for right in 0..4 {
                agree(matrix.correlation(&ids[left], &ids[right]), rho(left, right), 1.0)?;
            }
        }
        if let Ok(mirrored) = matrix.correlation(&ids[2], &ids[3]) {
            prop_assert!((mirrored + 1.0).abs() < 1e-12, "{mirrored}");
        }
        let capital: BTreeMap<AgentId, Money> = ids.iter().cloned().zip([1, 2, 3, 4].map(money)).collect();
        if let Ok(factor) = matrix.factor(&capital) {
            prop_assert!((-1.0..=1.0).contains(&factor));
        }
        // What is stored and pushed again has the same correlations.
        let mut restored = CorrelationMatrix::new(capacity).expect("valid");
        for interval in matrix.intervals() {
            restored.push(interval).expect("has room");
        }
        prop_assert!(restored.intervals().eq(matrix.intervals()));
        for (left, right) in [(0, 1), (0, 2), (1, 3)] {
            let both = [&matrix, &restored].map(|matrix| matrix.correlation(&ids[left], &ids[right]));
            prop_assert_eq!(both[0], both[1]);
        }
    }

    #[test]
    fn the_factor_lies_between_its_pairs(risks in vec(0.01..10.0_f64, 2..6), rhos in vec(-1.0..1.0_f64, 15)) {
        let rho = |i: usize, j: usize| Ok(rhos[i.max(j) * (i.max(j) - 1) / 2 + i.min(j)]);
        let pairs = risks.len() * (risks.len() - 1) / 2;
        let bounds = rhos[..pairs].iter().fold((1.0_f64, -1.0_f64), |(low, high), rho| (low.min(*rho), high.max(*rho)));
        let factor = correlation_factor(&risks, rho).expect("defined");
        prop_assert!(bounds.0 - 1e-12 <= factor && factor <= bounds.1 + 1e-12, "{factor} outside {bounds:?}");
    }

    #[test]
    fn a_drawdown_is_a_share_and_agrees_with_its_series(equities in vec(1..2_000_000_i64, 1..60)) {
        let mut drawdown = Drawdown::starting_at(money(equities[0]));
        let mut worst = 0.0;
        for equity in &equities {
            drawdown.observe(money(*equity)).expect("fits");
            let now = drawdown.figures().worst.fraction();
            prop_assert!(now >= worst && (0.0..=1.0).contains(&now) && drawdown.current().fraction() <= now);
            worst = now;
        }
        let series: Vec<f64> = equities.iter().map(|micros| micros.to_string().parse().expect("a number")).collect();
        agree(Ok(worst), max_drawdown(&series), 1.0)?;
    }

    #[test]
    fn flows_are_neither_gains_nor_losses(
        steps in vec((-50_000..50_000_i64, -20_000..200_000_i64, 0..3 * DAY_MS), 1..40),
    ) {
        let start = Timestamp::from_micros(1_700_000_000_000_000);
        let first = 10_000_000;
        let mut with_flows = Baselines::starting_at(money(first), start);
        let mut without = Baselines::starting_at(money(first), start);
        let (mut equity, mut flows, mut now) = (first, 0, start);
        for (pnl, flow, wait_ms) in steps {
            now = now.plus_millis(wait_ms);
            (equity, flows) = (equity + pnl, flows + flow);
            with_flows.flow(money(flow)).expect("fits");
            with_flows.observe(money(equity + flows), now).expect("fits");
            without.observe(money(equity), now).expect("fits");
            let lost = |baselines: &Baselines| {
                [baselines.day_loss(), baselines.month_loss(), baselines.drawdown().current()].map(|loss| loss.amount())
            };
            prop_assert_eq!(lost(&with_flows), lost(&without));
            prop_assert_eq!(with_flows.day_pnl(), without.day_pnl());
            prop_assert_eq!(with_flows.drawdown().figures().deepest, without.drawdown().figures().deepest);
            prop_assert_eq!(Baselines::restored(&with_flows.figures()), Ok(with_flows));
        }
    }

    #[test]
    fn days_start_where_the_day_before_ended(steps in vec((-50_000..50_000_i64, 0..DAY_MS), 1..60)) {
        let start = Timestamp::from_micros(1_700_000_000_000_000);
        let mut baselines = Baselines::starting_at(money(10_000_000), start);
        let mut seen = vec![(start, 10_000_000)];
        for (pnl, wait_ms) in steps {
            let (last, equity) = *seen.last().expect("not empty");
            seen.push((last.plus_millis(wait_ms), equity + pnl));
            let (now, equity) = *seen.last().expect("not empty");
            baselines.observe(money(equity), now).expect("fits");
            let start_of = |same: &dyn Fn(Timestamp) -> bool| {
                let before = seen.iter().rev().find(|(at, _)| !same(*at));
                before.map_or(10_000_000, |(_, equity)| *equity)
            };
            let day = start_of(&|at| at.utc_day() == now.utc_day());
            let month = start_of(&|at| at.utc_month() == now.utc_month());
            prop_assert_eq!(baselines.figures().start_of_day, money(day));
            prop_assert_eq!(baselines.figures().start_of_month, money(month));
        }
    }

    #[test]
    fn scenarios_agree_with_looking_at_each(
        matches in vec(vec((1..100_u32, -100_000..100_000_i64), 1..4), 1..6),
        percent in 50..=99_usize,
    ) {
        let mut book = ScenarioBook::default();
        let mut scenarios = vec![(0_i64, 1.0_f64)];
        for (index, outcomes) in matches.iter().enumerate() {
            let whole: f64 = outcomes.iter().map(|(weight, _)| f64::from(*weight)).sum();
            let outcomes: Vec<OutcomePnl> = outcomes
                .iter()
                .map(|(weight, pnl)| OutcomePnl { probability: f64::from(*weight) / whole, pnl: money(*pnl) })
                .collect();
            book.put(MatchId::new(format!("M{index}")).expect("an id"), &outcomes).expect("valid");
            scenarios = scenarios
                .iter()
                .flat_map(|(pnl, p)| outcomes.iter().map(move |o| (pnl + o.pnl.micros(), p * o.probability)))
                .collect();
        }
        let risk = book.risk(Confidence::percent(percent).expect("valid")).expect("defined");
        prop_assert_eq!(book.worst().micros(), scenarios.iter().map(|(pnl, _)| *pnl).min().expect("some"));
        prop_assert_eq!(book.best().micros(), scenarios.iter().map(|(pnl, _)| *pnl).max().expect("some"));
        let (var, shortfall) = (risk.value_at_risk, risk.expected_shortfall);
        prop_assert!(Money::ZERO <= var && var <= shortfall && shortfall <= book.worst().negated().expect("fits").max(Money::ZERO));
        // No more than the tail loses more, and with it at least the tail loses as much.
        let tail = f64::from(u32::try_from(100 - percent).expect("fits")) / 100.0;
        let losing = |is_in: &dyn Fn(i64) -> bool| -> f64 {
            scenarios.iter().filter(|(pnl, _)| is_in(-*pnl)).map(|(_, probability)| probability).sum()
        };
        prop_assert!(losing(&|loss| loss > var.micros()) <= tail + 1e-9);
        prop_assert!(var.is_zero() || losing(&|loss| loss >= var.micros()) >= tail - 1e-9);
    }

    #[test]
    fn trades_add_up_to_what_was_realized(fills in vec((-30..30_i64, 1..100_i64, 0..10_i64), 1..40)) {
        let terms = SettlementTerms {
            style: SettlementStyle::Margined,
            currency: Currency::new("USD").expect("a currency"),
            initial_margin_ppm: 0,
        };
        let (mut position, mut trip, mut trades) = (Position::default(), RoundTrip::default(), ClosedTrades::default());
        let (mut closed, mut nets) = (0, Vec::new());
        let flatten = |position: &Position| -position.quantity.micros() / 1_000_000;
        for at in 0..=fills.len() {
            // At last everything is closed.
            let (signed, price, fee) = fills.get(at).copied().unwrap_or((flatten(&position), 50, 1));
            if signed == 0 {
                continue;
            }
            let side = if signed < 0 { Side::Sell } else { Side::Buy };
            let fill = Fill {
                id: ExecutionId::new("e").expect("an id"),
                price: Price::from_micros(price * 1_000_000),
                quantity: Quantity::from_micros(signed.abs() * 1_000_000),
                fee: money(fee),
                executed_at: Timestamp::default(),
            };
            let before = position.quantity;
            let effect = position.apply(side, &fill, &terms).expect("applies");
            if let Some(net) = trip.fill(before, position.quantity, &effect).expect("fits") {
                trades.record(net).expect("fits");
                nets.push(net.micros());
                closed += 1;
            }
        }
        prop_assert_eq!(trip, RoundTrip::default());
        prop_assert_eq!(trades.won().minus(trades.lost()), position.realized_pnl.minus(position.fees));
        prop_assert_eq!(trades.count(), closed);
        let (won, lost): (Vec<i64>, Vec<i64>) = nets.iter().filter(|net| **net != 0).partition(|net| **net > 0);
        prop_assert_eq!((trades.won().micros(), trades.lost().micros()), (won.iter().sum(), -lost.iter().sum::<i64>()));
        if let Ok(rate) = trades.win_rate() {
            let decided = f64::from(u32::try_from(won.len() + lost.len()).expect("fits"));
            prop_assert!((rate * decided - f64::from(u32::try_from(won.len()).expect("fits"))).abs() < 1e-9);
        }
    }
}
