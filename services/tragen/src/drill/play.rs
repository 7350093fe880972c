//! Playing a drill: each step is done for real, and what comes of it must be
//! exactly what the drill says.

mod commands;
mod operator;

use super::{
    stage::{LOOK_EVERY, PATIENCE, Stage, request_id},
    step::{ASK, At, BID, Denial, Drill, ONE, Observed, Order, Owner, Signal, Step, Trip},
};
use crate::{api::ask, output::word};
use anyhow::Context as _;
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use tonic_types::StatusExt as _;
use tragen_contracts::v1;
use tragen_router::token::Role;

/// How long each price of a swinging market stays.
const SWING_EVERY: Duration = Duration::from_millis(70);
/// The pool of what users decide.
const USER_POOL: &str = "user";
/// What an account of a drill gets that does not say, dollars.
const PLENTY: i64 = 100_000;

/// What a drill has shown.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Row {
    /// The limit.
    pub(crate) limit: String,
    /// The value that tripped it, as observed.
    pub(crate) tripped_at: i64,
    /// The limit's value then.
    pub(crate) expected: i64,
    /// What the gate did: a denial's code, or a state of a scope.
    pub(crate) action: String,
    /// From the order or the price that tripped it to the action seen by the caller, milliseconds.
    pub(crate) time_to_action_ms: u64,
    /// What brought trading back.
    pub(crate) reset: String,
    /// What was not as expected; empty if everything was.
    pub(crate) problem: String,
}

/// Plays `drill` to its end or to the first step that does not go as it says.
pub(crate) async fn play(stage: &Stage, drill: &Drill) -> Row {
    let row = Row { limit: drill.limit.to_owned(), ..Row::default() };
    let mut player = Player { stage, drill, row, working: Vec::new(), moved_at: None };
    if let Err(error) = player.all().await {
        player.row.problem = format!("{error:#}");
    } else {
        player.row.reset = drill.reset.to_owned();
    }
    player.row
}

struct Player<'a> {
    stage: &'a Stage,
    drill: &'a Drill,
    row: Row,
    /// Trades that rest at the venue since they were placed, oldest first.
    working: Vec<String>,
    /// When the market was moved last, until somebody has acted on it.
    moved_at: Option<Instant>,
}

impl Player<'_> {
    async fn all(&mut self) -> anyhow::Result<()> {
        self.stage.list(self.drill, v1::InstrumentStatus::Open).await.context("listing the instrument")?;
        self.moved_at = Some(Instant::now());
        if let Some((bid, ask)) = self.drill.listing.quote {
            self.stage.quote(self.drill, bid, ask).await.context("quoting")?;
        }
        let has_own_deposit = self.drill.steps.iter().any(|step| matches!(step, Step::Deposit(_)));
        if self.drill.owner == Owner::Own && !has_own_deposit {
            // Plenty of money, so that nothing else is in the way.
            self.stage.deposit(&self.drill.account(), PLENTY).await.context("depositing")?;
        }
        for (index, step) in self.drill.steps.iter().enumerate() {
            self.step(*step).await.with_context(|| format!("step {}", index + 1))?;
        }
        anyhow::ensure!(!self.row.action.is_empty(), "nothing has tripped");
        Ok(())
    }

    async fn step(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Deposit(dollars) => self.stage.deposit(&self.drill.account(), dollars).await,
            Step::Passes(order) => self.until(order, passes).await.map(drop),
            Step::Fills(order) => self.until(order, fills).await.map(drop),
            Step::Denied(order, denial) => {
                let (asked_at, found) = self.denied(order, denial).await?;
                let code = word(found.code().as_str_name(), "DENIAL_CODE_");
                self.note(found.limit, found.observed, &code, asked_at);
                Ok(())
            }
            Step::DeniedLater(order, denial) => self.denied(order, denial).await.map(drop),
            Step::CancelLast => self.cancel().await,
            Step::CancelDenied(denial) => self.cancel_denied(denial).await,
            Step::Quote(bid, ask) => {
                self.moved_at = Some(Instant::now());
                self.stage.quote(self.drill, bid, ask).await
            }
            Step::Status(status) => {
                self.moved_at = Some(Instant::now());
                self.stage.list(self.drill, status).await
            }
            Step::Limit(name, of, value) => self.limit(name, of, value).await,
            Step::Halt(at) => self.halt(at).await,
            Step::Reduce(at) => self.reduce(at).await,
            Step::Resume(at, target) => self.resume(at, target, "").await,
            Step::ResumeOverridden(at, target) => {
                self.resume_refused(at, "BREAKER_HIGH").await?;
                self.resume(at, target, "drill").await
            }
            Step::Alerted(code) => self.alerted(code).await,
            Step::Warned(code) => {
                let warned = timeout(PATIENCE, self.stage.warning(code)).await;
                warned.with_context(|| format!("nobody is warned with {code}"))?
            }
            Step::Swings(time) => self.swing(time).await,
            Step::Holds(contracts) => self.holds(contracts).await,
            Step::MandateDenied(agent, denial) => self.mandate_denied(agent, denial).await,
            Step::Overspent(contracts) => {
                self.moved_at = Some(Instant::now());
                self.stage.overspend(self.drill, contracts).await
            }
            Step::Unfreeze => self.unfreeze().await,
            Step::ResumeRefused(at) => self.resume_refused(at, "BREAKER_COOLDOWN").await,
            Step::Becomes(at, state, trip) => self.becomes(at, state, trip).await,
            Step::Shrink(at) => self.shrink(at).await,
            Step::Overdue(overdue_ms) => self.overdue(overdue_ms).await,
            Step::Flatten => self.flatten().await,
            Step::FlattenWaits(limit) => self.flatten_waits(limit).await,
            Step::CoolsDown(at, cooldown_ms) => self.cools_down(at, cooldown_ms).await,
            Step::FillsAndCounts(order, within_ms) => self.fills_and_counts(order, within_ms).await,
            Step::Wait(time) => {
                sleep(time).await;
                Ok(())
            }
        }
    }

    async fn place(&mut self, order: Order) -> anyhow::Result<v1::Trade> {
        let trade = match order.signal {
            Some(signal) => self.propose(order, signal).await?,
            None => self.ask_for(order).await?,
        };
        if trade.status() == v1::TradeStatus::Working {
            self.working.push(trade.trade_id.clone());
        }
        Ok(trade)
    }

    /// As a user does.
    async fn ask_for(&self, order: Order) -> anyhow::Result<v1::Trade> {
        let instrument_id = if order.is_elsewhere { "DRILL-NOWHERE-HOME".to_owned() } else { self.drill.instrument() };
        let intent = v1::OrderIntent {
            instrument_id,
            side: order.side.into(),
            order_type: v1::OrderType::Limit.into(),
            quantity_micros: order.quantity,
            limit_price_micros: order.price,
            time_in_force: order.rests.into(),
            is_reduce_only: order.is_reduce_only,
            is_post_only: false,
            ..v1::OrderIntent::default()
        };
        let intent = Some(v1::place_trade_request::Intent::Order(intent));
        let request = v1::PlaceTradeRequest { request_id: request_id(), intent };
        let mut trading = self.stage.caller(&self.drill.account(), Role::Trader)?.trading();
        trading.place_trade(ask(request)).await?.into_inner().trade.context("an answer without a trade")
    }

    /// As a worker does for the drill's agent; what became of it the ledger tells.
    async fn propose(&self, order: Order, signal: Signal) -> anyhow::Result<v1::Trade> {
        let trade_id = self.stage.propose(self.drill, order, signal).await?;
        let mut trading = self.stage.caller(&self.drill.account_of(signal), Role::Trader)?.trading();
        let known = async {
            loop {
                let key = Some(v1::get_trade_request::Key::TradeId(trade_id.clone()));
                match trading.get_trade(ask(v1::GetTradeRequest { key })).await {
                    Ok(answer) => {
                        let trade = answer.into_inner().trade.context("an answer without a trade")?;
                        if trade.status() != v1::TradeStatus::Pending {
                            return anyhow::Ok(trade);
                        }
                    }
                    Err(status) if status.code() == tonic::Code::NotFound => {}
                    Err(status) => return Err(status.into()),
                }
                sleep(LOOK_EVERY).await;
            }
        };
        timeout(PATIENCE, known).await.context("nobody knows the agent's trade")?
    }

    /// People are told of the drill's instrument, or of everything.
    async fn alerted(&mut self, code: &'static str) -> anyhow::Result<()> {
        let since = self.moved_at.take().unwrap_or_else(Instant::now);
        let alert = timeout(PATIENCE, self.stage.alert(self.drill, code)).await.context("nobody is told")??;
        // "SCOPE: BREAKER is VALUE, the limit is LIMIT", as every breaker says it.
        let numbers: Vec<i64> = alert.message.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
        let [observed, limit] = numbers[..] else { anyhow::bail!("{:?} has no two numbers", alert.message) };
        anyhow::ensure!(observed >= limit, "{observed} is below {limit}");
        self.note(limit, observed, &format!("ALERT {code}"), since);
        Ok(())
    }

    /// Places the order; after the market was moved again and again, until the guard has seen it.
    async fn until(&mut self, order: Order, is_good: fn(&v1::Trade) -> bool) -> anyhow::Result<v1::Trade> {
        loop {
            let trade = self.place(order).await?;
            if is_good(&trade) {
                self.moved_at = None;
                return Ok(trade);
            }
            let is_settling = self.moved_at.is_some_and(|moved_at| moved_at.elapsed() < PATIENCE);
            anyhow::ensure!(is_settling, "{} instead of a trade that passes", outcome(&trade));
            sleep(LOOK_EVERY).await;
        }
    }

    /// The denial, and when the order was placed that got it.
    async fn denied(&mut self, order: Order, expected: Denial) -> anyhow::Result<(Instant, v1::Denial)> {
        loop {
            let asked_at = Instant::now();
            let trade = self.place(order).await?;
            let is_settling = self.moved_at.is_some_and(|moved_at| moved_at.elapsed() < PATIENCE);
            match trade.denial.as_ref().filter(|denial| is_expected(denial, expected)) {
                Some(denial) => {
                    self.moved_at = None;
                    return Ok((asked_at, denial.clone()));
                }
                None if is_settling => sleep(LOOK_EVERY).await,
                None => anyhow::bail!("{} instead of {}", outcome(&trade), said(expected)),
            }
        }
    }

    /// The first thing that trips is the row; what follows shows the edge from the other side.
    fn note(&mut self, limit: i64, observed: i64, action: &str, since: Instant) {
        if self.row.action.is_empty() {
            (self.row.expected, self.row.tripped_at) = (limit, observed);
            action.clone_into(&mut self.row.action);
            self.row.time_to_action_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        }
    }

    async fn cancel(&mut self) -> anyhow::Result<()> {
        let mut trading = self.stage.caller(&self.drill.account(), Role::Trader)?.trading();
        let trade_id = self.working.last().context("nothing rests")?.clone();
        let request = v1::CancelTradeRequest { trade_id };
        let trade =
            trading.cancel_trade(ask(request)).await?.into_inner().trade.context("an answer without a trade")?;
        anyhow::ensure!(trade.status() == v1::TradeStatus::Canceled, "{} instead of CANCELED", outcome(&trade));
        self.working.pop();
        Ok(())
    }

    async fn cancel_denied(&mut self, expected: Denial) -> anyhow::Result<()> {
        let trade_id = self.working.last().context("nothing rests")?.clone();
        let mut trading = self.stage.caller(&self.drill.account(), Role::Trader)?.trading();
        let asked_at = Instant::now();
        let answer = trading.cancel_trade(ask(v1::CancelTradeRequest { trade_id: trade_id.clone() })).await;
        let refused = answer.err().context("it was canceled")?;
        let details = refused.get_error_details();
        let info = details.error_info().with_context(|| refused.message().to_owned())?;
        let number = |key: &str| info.metadata.get(key).and_then(|text| text.parse().ok()).unwrap_or_default();
        let (limit, observed) = (number("limit"), number("observed"));
        let code = v1::DenialCode::from_str_name(&format!("DENIAL_CODE_{}", info.reason)).unwrap_or_default();
        let denial = v1::Denial { code: code.into(), message: String::new(), limit, observed };
        anyhow::ensure!(is_expected(&denial, expected), "{} instead of {}", info.reason, said(expected));
        let key = Some(v1::get_trade_request::Key::TradeId(trade_id));
        let answer = trading.get_trade(ask(v1::GetTradeRequest { key })).await?;
        let trade = answer.into_inner().trade.context("an answer without a trade")?;
        anyhow::ensure!(trade.status() == v1::TradeStatus::Working, "{} instead of WORKING", outcome(&trade));
        self.note(limit, observed, &info.reason, asked_at);
        Ok(())
    }

    async fn becomes(&mut self, at: At, state: v1::TradingState, trip: Trip) -> anyhow::Result<()> {
        let since = self.moved_at.take().unwrap_or_else(Instant::now);
        let mut risk = self.stage.caller("drill-operator", Role::Operator)?.risk();
        let scope = self.scope(at);
        let watch = async {
            loop {
                let now = risk.get_risk_state(ask(v1::GetRiskStateRequest {})).await?.into_inner();
                let own = now.scopes.iter().find(|own| own.scope.as_ref() == Some(&scope));
                match own.filter(|own| own.state() == state) {
                    Some(own) => return anyhow::Ok(own.reason.clone()),
                    None => sleep(LOOK_EVERY).await,
                }
            }
        };
        let reason = timeout(PATIENCE, watch).await.with_context(|| format!("the scope is not {state:?}"))??;
        // "BREAKER is VALUE, the limit is LIMIT", as every breaker says it.
        let numbers: Vec<i64> = reason.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
        let [value, limit] = numbers[..] else { anyhow::bail!("{reason:?} has no two numbers") };
        anyhow::ensure!(trip.limit == limit && trip.value.is(value, limit), "{reason:?}, not {trip:?}");
        let breaker = reason.split(' ').next().unwrap_or_default();
        let action = format!("{} by {breaker}", word(state.as_str_name(), "TRADING_STATE_"));
        self.note(limit, value, &action, since);
        Ok(())
    }

    async fn swing(&self, time: Duration) -> anyhow::Result<()> {
        let started = Instant::now();
        while started.elapsed() < time {
            for lower in [0, 100_000] {
                self.stage.quote(self.drill, BID - lower, ASK - lower).await?;
                sleep(SWING_EVERY).await;
            }
        }
        Ok(())
    }

    async fn holds(&self, contracts: i64) -> anyhow::Result<()> {
        let mut accounts = self.stage.caller(&self.drill.account(), Role::Trader)?.accounts();
        let started = Instant::now();
        loop {
            let page = accounts.list_positions(ask(v1::ListPositionsRequest::default())).await?.into_inner();
            let own = page.positions.iter().find(|own| own.instrument_id == self.drill.instrument());
            let held = own.map_or(0, |own| own.quantity_micros);
            if held == contracts * ONE {
                return Ok(());
            }
            anyhow::ensure!(started.elapsed() < PATIENCE, "{held} are held, not {contracts} contracts");
            sleep(LOOK_EVERY).await;
        }
    }

    async fn mandate_denied(&mut self, agent: &str, expected: Denial) -> anyhow::Result<()> {
        let (match_id, budget_micros) = (self.drill.fixture(), ONE);
        let mandate = v1::Mandate { match_id, budget_micros, agent: agent.to_owned(), ..v1::Mandate::default() };
        let intent = Some(v1::place_trade_request::Intent::Mandate(mandate));
        let request = v1::PlaceTradeRequest { request_id: request_id(), intent };
        let asked_at = Instant::now();
        let mut trading = self.stage.caller(&self.drill.account(), Role::Trader)?.trading();
        let answer = trading.place_trade(ask(request)).await?.into_inner();
        let trade = answer.trade.context("an answer without a trade")?;
        let found = trade.denial.as_ref().filter(|denial| is_expected(denial, expected));
        let found = found.with_context(|| format!("{} instead of {}", outcome(&trade), said(expected)))?;
        let code = word(found.code().as_str_name(), "DENIAL_CODE_");
        self.note(found.limit, found.observed, &code, asked_at);
        Ok(())
    }

    fn scope(&self, at: At) -> v1::Scope {
        let (kind, id) = match at {
            At::Global => (v1::ScopeKind::Global, String::new()),
            At::Pool => (v1::ScopeKind::Pool, USER_POOL.to_owned()),
            At::Account => (v1::ScopeKind::Account, self.drill.account()),
            At::Instrument => (v1::ScopeKind::Instrument, self.drill.instrument()),
            At::Agent => (v1::ScopeKind::Agent, self.drill.agent()),
        };
        v1::Scope { kind: kind.into(), id }
    }
}

fn passes(trade: &v1::Trade) -> bool {
    match trade.status() {
        v1::TradeStatus::Working
        | v1::TradeStatus::Filled
        | v1::TradeStatus::PartiallyFilled
        | v1::TradeStatus::Canceled => true,
        v1::TradeStatus::Unspecified
        | v1::TradeStatus::Pending
        | v1::TradeStatus::Rejected
        | v1::TradeStatus::Denied
        | v1::TradeStatus::Expired
        | v1::TradeStatus::NoTrade => false,
    }
}

fn fills(trade: &v1::Trade) -> bool {
    trade.status() == v1::TradeStatus::Filled
}

fn is_expected(denial: &v1::Denial, expected: Denial) -> bool {
    let (limit, observed) = (denial.limit, denial.observed);
    let is_good = match expected.observed {
        Observed::IsWhileRamping(_) => limit < expected.limit && expected.observed.is(observed, limit),
        Observed::AboveAnyLimit => expected.observed.is(observed, limit),
        Observed::Is(_) | Observed::AboveLimit | Observed::BelowLimit | Observed::FromLimit => {
            limit == expected.limit && expected.observed.is(observed, limit)
        }
    };
    denial.code() == expected.code && is_good
}

fn outcome(trade: &v1::Trade) -> String {
    match &trade.denial {
        Some(denial) => {
            let code = word(denial.code().as_str_name(), "DENIAL_CODE_");
            format!("{code} (limit {}, observed {})", denial.limit, denial.observed)
        }
        None => word(trade.status().as_str_name(), "TRADE_STATUS_"),
    }
}

fn said(expected: Denial) -> String {
    let code = word(expected.code.as_str_name(), "DENIAL_CODE_");
    format!("{code} (limit {}, observed {:?})", expected.limit, expected.observed)
}
