//! Reductions on their way: ordered, driven, told of and ended. Workers get their
//! next orders with their leases; those of the flatten lane the guard makes itself.

mod ending;
mod overdue;
mod told;

pub(crate) use overdue::ToldOverdue;

use crate::{
    command::{Code, refusal},
    config::now,
    control::{control_state, tell},
    gate::{Ended, Gate},
    halt::{Asked, Reply, count},
    wire::{Key, ended_record, ordered_record, parse_scope, trading_state},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tracing::info;
use tragen_contracts::{
    convert::{InvalidField, id},
    trade_id,
    v1::{self, guard_answer::Answer},
};
use tragen_domain::{
    id::{AccountId, CommandId, InstrumentId, OrderId, TradeId},
    order::{OrderPrice, OrderTerms, Side, TimeInForce},
    risk::{
        Driver, KnownTrade, Proposed, Purpose, Record, Reduce, Reduction, ReductionRefused, Scope, Slice, Target,
        TradingState, decide, next_portion, order_reduction,
    },
    tier::Tier,
    time::Timestamp,
};
use uuid::{Builder, Uuid};

/// Most targets that are looked at at once, and most slices that wait for a worker.
const SLICES_AT_ONCE: usize = 512;
/// Most slices in one answer to a worker.
const SLICES_IN_ANSWER: usize = 64;
/// A slice that was handed out and not proposed is handed out again after this.
const HAND_OUT_AGAIN: Duration = Duration::from_secs(1);
/// A trade that was not proposed within this never will be: proposals do not live so long.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// How long what is proposed here may take to be decided, milliseconds.
const DECIDED_WITHIN_MS: i64 = 1_000;
/// Who proposes in the flatten lane.
const OPERATOR: &str = "operator";

/// Slices that wait for a worker; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slices(Arc<Mutex<VecDeque<v1::ReductionSlice>>>);

/// The trades that serve targets, so that a slice has one name however often it is told.
#[derive(Debug, Default)]
pub(crate) struct Named {
    names: HashMap<(CommandId, AccountId, InstrumentId), Name>,
    /// Whose turn it is: the number of the next target of all.
    turn: usize,
}

#[derive(Debug, Clone)]
struct Name {
    request_id: String,
    trade: TradeId,
    named_at: Instant,
    handed_at: Option<Instant>,
}

/// An order that a target waits for.
struct Wanted {
    id: CommandId,
    driver: Driver,
    reason: String,
    ordered_at: Timestamp,
    target: Target,
    slice: Slice,
}

impl Slices {
    /// Some of what waits; nobody else gets it until it is found wanting again.
    pub(crate) fn hand_out(&self) -> Vec<v1::ReductionSlice> {
        let mut waiting = self.lock();
        let some = waiting.len().min(SLICES_IN_ANSWER);
        waiting.drain(..some).collect()
    }

    /// What does not fit is found wanting again.
    fn add(&self, slices: Vec<v1::ReductionSlice>) {
        let mut waiting = self.lock();
        let room = SLICES_AT_ONCE.saturating_sub(waiting.len());
        waiting.extend(slices.into_iter().take(room));
    }

    fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<v1::ReductionSlice>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    /// Puts a scope into REDUCING and fixes the targets of its positions.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written: the answer is not given then.
    pub(crate) async fn reduce_positions(
        &mut self,
        principal: &str,
        request: &v1::ReducePositionsRequest,
        received: Instant,
        reply: Reply,
    ) -> Result<(), Ended> {
        let wanted = match wanted_by_workers(principal, request) {
            Ok(wanted) => wanted,
            Err(bad) => {
                let _ = reply.send(refusal(Code::InvalidArgument, bad.reason, bad.to_string()));
                return Ok(());
            }
        };
        let (command, scope) = (wanted.id.clone(), wanted.scope.clone());
        let reduction = match order_reduction(&self.state, wanted, now()) {
            // The change of the scope comes first.
            Ok(Some(reduction)) => Reduction { epoch: reduction.epoch + 1, ..reduction },
            Ok(None) => {
                let state = trading_state(self.state.state_of(&scope)).into();
                let reduction = self.reduction_status_of(&command);
                let known = v1::ReducePositionsResponse { reduction, state, is_repeat: true, ..Default::default() };
                let _ = reply.send(answered(Answer::ReducePositions(known)));
                return Ok(());
            }
            Err(refused) => return self.only_tighten(&scope, refused, (principal, request, received), reply).await,
        };
        info!("{principal} reduces {} positions of {scope}: command {command}", reduction.positions());
        let asked = Asked { principal, reason: &request.reason, received, wait_ms: request.wait_ms };
        let mut closed = self.close(&scope, TradingState::Reducing, &asked, Some(reduction)).await?;
        let reduction = self.reduction_status_of(&command);
        self.context.spawn("answer-reduce", async move {
            let confirmed = closed.confirmed().await;
            let response = v1::ReducePositionsResponse {
                reduction,
                state: trading_state(closed.state).into(),
                canceled_orders: count(closed.canceled),
                confirmed_workers: count(confirmed.workers),
                total_workers: count(confirmed.workers + confirmed.missing.len()),
                missing_workers: confirmed.missing,
                is_repeat: false,
                warning: closed.warning,
            };
            let _ = reply.send(answered(Answer::ReducePositions(response)));
            Ok(())
        });
        Ok(())
    }

    /// A reduction that cannot be ordered: if what was asked makes sense, nothing in the scope grows any
    /// more all the same, and the refusal says so.
    async fn only_tighten(
        &mut self,
        scope: &Scope,
        refused: ReductionRefused,
        (principal, request, received): (&str, &v1::ReducePositionsRequest, Instant),
        reply: Reply,
    ) -> Result<(), Ended> {
        let refusal = match refused {
            ReductionRefused::FactorOutOfRange { .. } | ReductionRefused::CommandReused => refused_reduction(refused),
            ReductionRefused::TooManyReductions { .. } | ReductionRefused::OutOfRange => {
                let asked = Asked { principal, reason: &request.reason, received, wait_ms: request.wait_ms };
                let closed = self.close(scope, TradingState::Reducing, &asked, None).await?;
                let (state, epoch) = (closed.state.as_str(), closed.epoch);
                refused_with(
                    refused,
                    format!("{scope} is {state} since epoch {epoch}, but no position is reduced: {refused}"),
                )
            }
        };
        let _ = reply.send(refusal);
        Ok(())
    }

    /// Flattens positions of one account in the operator's lane; no state changes by it.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written: the answer is not given then.
    pub(crate) async fn flatten(
        &mut self,
        principal: &str,
        request: &v1::FlattenRequest,
    ) -> Result<v1::GuardAnswer, Ended> {
        let wanted = match wanted_by_operator(principal, request) {
            Ok(wanted) => wanted,
            Err(bad) => return Ok(refusal(Code::InvalidArgument, bad.reason, bad.to_string())),
        };
        let command = wanted.id.clone();
        let ordered = match order_reduction(&self.state, wanted, now()) {
            Ok(ordered) => ordered,
            Err(refused) => return Ok(refused_reduction(refused)),
        };
        let is_repeat = ordered.is_none();
        if let Some(reduction) = ordered {
            info!("{principal} flattens {} positions of {}", reduction.positions(), request.account_id);
            self.order_reduction(reduction).await?;
        }
        let reduction = self.reduction_status_of(&command);
        Ok(answered(Answer::Flatten(v1::FlattenResponse { reduction, is_repeat })))
    }

    /// Journals a reduction that changes no state, tells the workers and begins with it.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written.
    pub(crate) async fn order_reduction(&mut self, reduction: Reduction) -> Result<(), Ended> {
        let ordered_at = reduction.ordered_at;
        self.journal.append(vec![ordered_record(&reduction)], ordered_at).await?;
        self.apply(Record::ReductionOrdered(Box::new(reduction)))?;
        let told = control_state(&self.state, &self.journal.leader_id);
        self.control.send_replace(told.clone());
        let bus = self.bus.clone();
        self.context.spawn("tell-reduction", async move {
            tell(&bus, &told).await;
            Ok(())
        });
        self.cancel_forbidden();
        self.drive_reductions().await
    }

    /// Makes or hands out the next orders toward every target, and ends what is through.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written.
    pub(crate) async fn drive_reductions(&mut self) -> Result<(), Ended> {
        if self.state.open_reductions().next().is_none() {
            self.slices.clear();
            return Ok(());
        }
        self.begin_portions().await?;
        self.end_reductions().await?;
        self.tell_overdue();
        self.work.named.forget_old();
        let mut own = Vec::new();
        let mut handed = Vec::new();
        for Wanted { id, driver, reason, ordered_at, target, slice } in self.wanted_slices() {
            let name = self.work.named.name(&id, &target, self.journal.last);
            // Its outcome is on its way, or it is done and the next slice gets a name of its own.
            match name.as_ref().map(|name| self.state.known(&name.trade)) {
                Some(None) => {}
                Some(Some(KnownTrade::Finished)) => {
                    self.work.named.forget(&id, &target);
                    continue;
                }
                Some(Some(KnownTrade::InFlight(_))) | None => continue,
            }
            let Some(name) = name else { continue };
            let proposed = proposed(&name.trade, purpose_of(driver, &id), &target, slice);
            if decide(&self.state, &proposed, now()).is_err() {
                continue;
            }
            match driver {
                Driver::Operator => own.push((key_of(&target, &name), proposed, reason)),
                Driver::Workers if self.work.named.may_hand_out(&id, &target) => {
                    handed.push(v1::ReductionSlice {
                        reduction_id: id.to_string(),
                        account_id: target.account.to_string(),
                        instrument_id: target.instrument.to_string(),
                        side: v1::Side::from(slice.side).into(),
                        quantity_micros: slice.quantity.micros(),
                        request_id: name.request_id,
                        command_age_ms: now().millis_since(ordered_at),
                        ..self.best_of(&target, slice)
                    });
                }
                Driver::Workers => {}
            }
        }
        self.slices.add(handed);
        self.take_own(own, OPERATOR).await
    }

    /// What can be ordered now of the next [`SLICES_AT_ONCE`] targets, in turn, so that those
    /// that are blocked keep nobody waiting for ever.
    fn wanted_slices(&mut self) -> Vec<Wanted> {
        let total: usize = self.state.open_reductions().map(|reduction| reduction.targets.len()).sum();
        let looked_at = total.min(SLICES_AT_ONCE);
        let from = self.work.named.turn.checked_rem(total).unwrap_or(0);
        self.work.named.turn = from + looked_at;
        let open = || self.state.open_reductions();
        let targets = || open().flat_map(|own| own.targets.iter().map(move |target| (own, target)));
        let mut wanted = Vec::new();
        for (reduction, target) in targets().skip(from).chain(targets()).take(looked_at) {
            if let Ok(Some(slice)) = target.next_slice(&self.state) {
                let (id, driver, reason) = (reduction.id.clone(), reduction.driver, reduction.reason.clone());
                let (ordered_at, target) = (reduction.ordered_at, target.clone());
                wanted.push(Wanted { id, driver, reason, ordered_at, target, slice });
            }
        }
        wanted
    }

    /// A slice with the quote that it would trade against, and nothing else.
    fn best_of(&self, target: &Target, slice: Slice) -> v1::ReductionSlice {
        let quote = self.state.quote(&target.instrument);
        let level = quote.and_then(|quote| match slice.side {
            Side::Sell => quote.bid,
            Side::Buy => quote.ask,
        });
        v1::ReductionSlice {
            best_price_micros: level.map_or(0, |level| level.price.micros()),
            best_quantity_micros: level.map_or(0, |level| level.quantity.micros()),
            quote_age_ms: quote.map_or(0, |quote| now().millis_since(quote.published_at)),
            ..v1::ReductionSlice::default()
        }
    }

    /// Positions that waited get their targets where others have reached theirs.
    async fn begin_portions(&mut self) -> Result<(), Ended> {
        let portions = self.state.open_reductions().map(|own| next_portion(&self.state, own));
        let portions: Vec<Reduction> = portions.filter_map(|own| own.ok().flatten()).collect();
        for reduction in portions {
            info!("reduction {} goes on, {} positions wait", reduction.id, reduction.left_out);
            self.journal.append(vec![ordered_record(&reduction)], now()).await?;
            self.apply(Record::ReductionOrdered(Box::new(reduction)))?;
        }
        Ok(())
    }

    async fn end_reductions(&mut self) -> Result<(), Ended> {
        let at = now();
        let done = self.state.open_reductions().filter(|own| own.is_done(&self.state).unwrap_or(false));
        let done: Vec<_> = done.map(|own| (own.id.clone(), ended_record(&own.id, at, ("", "")))).collect();
        if done.is_empty() {
            return Ok(());
        }
        let (ids, records): (Vec<CommandId>, Vec<_>) = done.into_iter().unzip();
        self.journal.append(records, at).await?;
        for id in ids {
            info!("reduction {id} is through");
            self.apply(Record::ReductionEnded { id, at })?;
        }
        self.control.send_replace(control_state(&self.state, &self.journal.leader_id));
        Ok(())
    }
}

impl Named {
    /// The name of the slice toward a target: the one it has, or a new one. `journaled` only
    /// grows, over all terms, so that no name is given twice.
    fn name(&mut self, id: &CommandId, target: &Target, journaled: u64) -> Option<Name> {
        let place = (id.clone(), target.account.clone(), target.instrument.clone());
        if let Some(name) = self.names.get(&place) {
            return Some(name.clone());
        }
        let request_id = request_id(&format!("{id}/{}/{}/{journaled}", target.account, target.instrument)).to_string();
        let trade = TradeId::new(trade_id(target.account.as_str(), &request_id).to_string()).ok()?;
        let name = Name { request_id, trade, named_at: Instant::now(), handed_at: None };
        self.names.insert(place, name.clone());
        Some(name)
    }

    fn forget(&mut self, id: &CommandId, target: &Target) {
        self.names.remove(&(id.clone(), target.account.clone(), target.instrument.clone()));
    }

    fn forget_old(&mut self) {
        self.names.retain(|_, name| name.named_at.elapsed() < FORGET_AFTER);
    }

    /// Whether it waits for a worker; it is with one for a while then.
    fn may_hand_out(&mut self, id: &CommandId, target: &Target) -> bool {
        let place = (id.clone(), target.account.clone(), target.instrument.clone());
        let Some(name) = self.names.get_mut(&place) else { return false };
        if name.handed_at.is_some_and(|at| at.elapsed() < HAND_OUT_AGAIN) {
            return false;
        }
        name.handed_at = Some(Instant::now());
        true
    }
}

/// A UUIDv7 as of any other request, made now; the rest is a hash of what it is for.
fn request_id(name: &str) -> Uuid {
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).into_bytes();
    let mut rest = [0; 10];
    rest.copy_from_slice(&hash[..10]);
    let millis = u64::try_from(now().micros() / 1_000).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
}

fn purpose_of(driver: Driver, id: &CommandId) -> Purpose {
    match driver {
        Driver::Workers => Purpose::Reduce(id.clone()),
        Driver::Operator => Purpose::Flatten(id.clone()),
    }
}

fn proposed(trade: &TradeId, purpose: Purpose, target: &Target, slice: Slice) -> Proposed {
    Proposed {
        trade: trade.clone(),
        account: target.account.clone(),
        terms: OrderTerms {
            id: OrderId::new(format!("{trade}-o")).expect("a trade's id and two letters are an id"),
            instrument: target.instrument.clone(),
            side: slice.side,
            price: OrderPrice::Market,
            quantity: slice.quantity,
            time_in_force: TimeInForce::Ioc,
            is_reduce_only: true,
            is_post_only: false,
        },
        agent: None,
        pool: None,
        timeframe: None,
        tier: Tier::Standard,
        confidence_ppm: None,
        purpose,
        valid_until: now().plus_millis(DECIDED_WITHIN_MS),
        trades_per_day_max: None,
        is_first_on_match: false,
    }
}

fn key_of(target: &Target, name: &Name) -> Key {
    let sent = v1::TradeKey {
        trade_id: name.trade.to_string(),
        request_id: name.request_id.clone(),
        account_id: target.account.to_string(),
        tier: v1::Tier::Standard.into(),
        created_at_micros: now().micros(),
        ..v1::TradeKey::default()
    };
    Key { trade: name.trade.clone(), account: target.account.clone(), sent }
}

fn wanted_by_workers(principal: &str, request: &v1::ReducePositionsRequest) -> Result<Reduce, InvalidField> {
    Ok(Reduce {
        id: id("command_id", &request.command_id)?,
        scope: parse_scope(request.scope.as_ref())?,
        instrument: None,
        is_house_only: false,
        factor_ppm: request.factor_ppm,
        driver: Driver::Workers,
        ordered_by: principal.to_owned(),
        reason: request.reason.clone(),
    })
}

fn wanted_by_operator(principal: &str, request: &v1::FlattenRequest) -> Result<Reduce, InvalidField> {
    let instrument = &request.instrument_id;
    Ok(Reduce {
        id: id("command_id", &request.command_id)?,
        scope: Scope::Account(id("account_id", &request.account_id)?),
        instrument: (!instrument.is_empty()).then(|| id("instrument_id", instrument)).transpose()?,
        is_house_only: false,
        factor_ppm: 0,
        driver: Driver::Operator,
        ordered_by: principal.to_owned(),
        reason: request.reason.clone(),
    })
}

fn answered(answer: Answer) -> v1::GuardAnswer {
    v1::GuardAnswer { answer: Some(answer) }
}

fn refused_reduction(refused: ReductionRefused) -> v1::GuardAnswer {
    refused_with(refused, refused.to_string())
}

fn refused_with(refused: ReductionRefused, message: String) -> v1::GuardAnswer {
    let code = match refused {
        ReductionRefused::FactorOutOfRange { .. } | ReductionRefused::CommandReused => Code::InvalidArgument,
        ReductionRefused::TooManyReductions { .. } => Code::ResourceExhausted,
        ReductionRefused::OutOfRange => Code::FailedPrecondition,
    };
    refusal(code, refused.as_str(), message)
}
