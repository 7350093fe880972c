//! Deciding what was proposed: all that waits in one go, one journal message
//! for all of it, and only then the effects.

use crate::{
    config::now,
    gate::{Ended, Gate},
    journal::DecidedOn,
    metrics,
    orphans::Orphan,
    outcome,
    reports::{Kept, Stored},
    wire::{Key, Ticket, agent_and_pool, approved_record, denial, timeframe},
};
use ::metrics::{counter, histogram};
use futures::FutureExt as _;
use opentelemetry::trace::SpanKind;
use std::time::Instant;
use tokio::sync::oneshot;
use tracing::{debug, warn};
use tragen_bus::{CoreSubject, Delivery};
use tragen_contracts::{
    convert::{InvalidField, id, required},
    v1,
};
use tragen_domain::{
    id::{Account, AccountId, OrderId, TradeId},
    money::Money,
    order::OrderTerms,
    risk::{
        Approved, DenialReason, Denied, KnownTrade, Order, Proposed, Purpose, Record, decide, decide_cancel,
        decide_withdrawal, repeated_order,
    },
    tier::Tier,
    time::Timestamp,
};
use tragen_host::{
    failpoint,
    trace::{ActiveSpan, trace_id_of},
};

/// Everything one round decides.
#[derive(Default)]
struct Round {
    decided_at: Timestamp,
    records: Vec<v1::JournalRecord>,
    approved: Vec<(Approved<Order>, String)>,
    /// Kept until the decision is journaled.
    spans: Vec<ActiveSpan>,
}

/// Who asked, and the span of the decision.
struct Cause {
    key: Key,
    meta: v1::Meta,
}

/// What one delivery waits for before it is acked.
#[derive(Default)]
struct Effects {
    reports: Vec<v1::ExecutionReport>,
    cancels: Vec<OrderId>,
    denied_cancels: Vec<v1::CancelDenied>,
    /// Orders that were at the venue before: their end is being stored.
    adopted: Vec<Stored>,
    malformed: Option<InvalidField>,
}

impl Gate {
    /// Decides, journals, acts, and acks last.
    ///
    /// # Errors
    /// [`Ended`]: nothing of it has had any effect, and nothing is acked.
    pub(crate) async fn take(&mut self, deliveries: Vec<Delivery<v1::ProposalBatch>>) -> Result<(), Ended> {
        let started = Instant::now();
        let decided_at = now();
        self.note_decided_on();
        let mut round = Round { decided_at, ..Round::default() };
        let mut all_effects = Vec::with_capacity(deliveries.len());
        let mut count = 0_u32;
        for delivery in &deliveries {
            let mut effects = Effects::default();
            for proposal in &delivery.message.proposals {
                count += 1;
                if let Err(malformed) = self.decide_one(proposal, &mut round, &mut effects)? {
                    effects.malformed = Some(malformed);
                }
            }
            all_effects.push(effects);
        }
        histogram!(metrics::BATCH_PROPOSALS).record(f64::from(count));
        histogram!(metrics::DECISION_SECONDS).record(started.elapsed().as_secs_f64());

        let Round { mut records, approved, spans, .. } = round;
        if !records.is_empty() {
            let mut closed = std::mem::take(&mut self.work.closed);
            self.forget_closed(&closed)?;
            records.append(&mut closed);
            self.journal.append(records, decided_at).await?;
        }
        failpoint::pass("after_journal_before_send");
        drop(spans);
        for (order, traceparent) in approved {
            self.submit(order, traceparent);
        }
        for (delivery, effects) in deliveries.into_iter().zip(all_effects) {
            self.settle(delivery, effects).await;
        }
        Ok(())
    }

    /// The same for orders that the guard proposes itself: no delivery waits for them, and
    /// what is denied now is proposed again later.
    ///
    /// # Errors
    /// [`Ended`]: nothing of it has had any effect.
    pub(crate) async fn take_own(&mut self, own: Vec<(Key, Proposed, String)>, agent: &str) -> Result<(), Ended> {
        let decided_at = now();
        self.note_decided_on();
        let mut round = Round { decided_at, ..Round::default() };
        for (key, proposed, rationale) in own {
            let proposed = Proposed { valid_until: decided_at, ..proposed };
            let Ok(approved) = decide(&self.state, &proposed, decided_at) else { continue };
            let order = v1::OrderProposed {
                terms: Some((&proposed.terms).into()),
                agent: agent.to_owned(),
                rationale,
                valid_until_micros: decided_at.micros(),
                ..v1::OrderProposed::default()
            };
            let meta = v1::Meta { event_id: format!("{}-proposal", key.trade), ..v1::Meta::default() };
            self.approve(&Cause { key, meta }, &order, approved, &mut round)?;
        }
        if round.records.is_empty() {
            return Ok(());
        }
        self.journal.append(round.records, decided_at).await?;
        for (order, traceparent) in round.approved {
            self.submit(order, traceparent);
        }
        Ok(())
    }

    /// For whoever asks later why something was decided.
    fn note_decided_on(&mut self) {
        let measured = self.state.breakers().measured().copied();
        self.journal.decided_on = DecidedOn { ledger_sequence: self.ledger_sequence, measured };
    }

    /// Acks a delivery once nothing of it can be lost or done twice any more.
    ///
    /// Killed before the journal has it: it is delivered again and decided for
    /// the first time. Killed after: the trade is known from the journal, so it is
    /// never decided again. An approval needs no more than that, because its
    /// outcome is found at the venue. A refusal or a withdrawal exists nowhere
    /// else, so its delivery is acked only when its report is stored: until then
    /// the repeat finds the journaled report and publishes it again. A cancel is
    /// acked when the venue has answered, and canceling twice changes nothing. One that is
    /// denied is acked when that was told; whoever does not hear it waits and asks again.
    async fn settle(&mut self, delivery: Delivery<v1::ProposalBatch>, effects: Effects) {
        let mut stored: Vec<Stored> = Vec::with_capacity(effects.reports.len());
        for report in effects.reports {
            stored.push(self.reports.send(report).await);
        }
        for order in effects.cancels {
            let (done, answered) = oneshot::channel();
            self.cancel(&order, Some(done));
            stored.push(answered);
        }
        stored.extend(effects.adopted);
        let (malformed, denied_cancels, bus) = (effects.malformed, effects.denied_cancels, self.bus.clone());
        let acking = async move {
            for denied in denied_cancels {
                if let Err(error) = bus.broadcast(&CoreSubject::CancelDenied, &denied).await {
                    warn!("a denied cancel is delivered again: {error}");
                    return None;
                }
            }
            for report in stored {
                if report.await.is_err() {
                    return None;
                }
            }
            match malformed {
                None => delivery.ack().await,
                Some(malformed) => delivery.dead_letter(&format!("malformed proposal: {malformed}")).await,
            }
            None
        };
        self.work.storing.push(acking.boxed());
    }

    fn decide_one(
        &mut self,
        proposal: &v1::Proposal,
        round: &mut Round,
        effects: &mut Effects,
    ) -> Result<Result<(), InvalidField>, Ended> {
        use v1::proposal::Kind;
        let (key, kind) = match parse(proposal) {
            Ok(parsed) => parsed,
            Err(malformed) => return Ok(Err(malformed)),
        };
        if let Kind::Cancel(cancel) = kind {
            return self.decide_cancel(&key, cancel, round.decided_at, effects);
        }
        if let Some(known) = self.state.known(&key.trade) {
            counter!(metrics::REPEATS).increment(1);
            match known {
                // Its outcome will be told when the venue has told it.
                KnownTrade::InFlight(_) => {}
                KnownTrade::Finished => effects.reports.extend(self.last_reports.report(&key.trade)),
            }
            return Ok(Ok(()));
        }
        let cause = proposal.meta.clone().unwrap_or_default();
        let span = self.context.spans.start("decide", SpanKind::Consumer, &cause.traceparent);
        let own = span.traceparent();
        let traceparent = if own.is_empty() { cause.traceparent.clone() } else { own };
        debug!(trace_id = trace_id_of(&traceparent), trade.id = %key.trade, "deciding trade {}", key.trade);
        round.spans.push(span);
        let cause = Cause { key, meta: v1::Meta { traceparent, ..cause } };
        let decided = match kind {
            Kind::Order(order) => self.decide_order(&cause, order, round, effects),
            Kind::NoTrade(no_trade) => self.decide_no_trade(&cause, no_trade, round, effects).map(Ok),
            Kind::Withdrawal(asked) => self.decide_withdrawal(&cause, asked, round, effects),
            Kind::Cancel(_) => Ok(Ok(())),
        };
        if let (Ok(Err(malformed)), Some(span)) = (&decided, round.spans.last_mut()) {
            span.fail("malformed", malformed.to_string());
        }
        decided
    }

    fn decide_order(
        &mut self,
        cause: &Cause,
        order: &v1::OrderProposed,
        round: &mut Round,
        effects: &mut Effects,
    ) -> Result<Result<(), InvalidField>, Ended> {
        let denied = match proposed(&cause.key, order) {
            Ok(proposed) => match decide(&self.state, &proposed, round.decided_at) {
                Ok(approved) => return self.approve(cause, order, approved, round).map(Ok),
                // A lost journal had approved it: what the venue did is its outcome, whatever is forbidden now.
                Err(_) if self.is_at_venue(&proposed.terms.id) => {
                    let orphan = Orphan::of_proposal(&cause.key, &cause.meta, order);
                    return Ok(orphan.map(|orphan| effects.adopted.push(self.adopt(orphan))));
                }
                Err(denied) => denied,
            },
            Err(malformed) => match unanswerable(&malformed, order) {
                Some(denied) => denied,
                None => return Ok(Err(malformed)),
            },
        };
        counter!(metrics::DECISIONS, "code" => denied.reason.as_str()).increment(1);
        let instrument = order.terms.as_ref().and_then(|terms| id("instrument_id", &terms.instrument_id).ok());
        let settlement = instrument.as_ref().and_then(|instrument| self.state.instrument(instrument));
        let quote = instrument.as_ref().and_then(|instrument| self.state.quote(instrument)).map(Into::into);
        let report = v1::TradeReport {
            terms: order.terms.clone(),
            settlement: settlement.map(|instrument| (&instrument.settlement).into()),
            status: v1::TradeStatus::Denied.into(),
            denial: Some(denial(denied)),
            agent: order.agent.clone(),
            agent_id: order.agent_id.clone(),
            rationale: order.rationale.clone(),
            ..v1::TradeReport::default()
        };
        // Only what the report has not: it is for whoever asks why.
        let proposed = v1::OrderProposed { terms: None, rationale: String::new(), ..order.clone() };
        let refused = v1::TradeRefused { report: Some(report), proposed: Some(proposed), quote };
        self.refuse(cause, refused, round, effects).map(Ok)
    }

    fn approve(
        &mut self,
        cause: &Cause,
        proposed: &v1::OrderProposed,
        order: Approved<Order>,
        round: &mut Round,
    ) -> Result<(), Ended> {
        counter!(metrics::DECISIONS, "code" => "APPROVED").increment(1);
        if let Some(age_ms) = repeated_order(&self.state, &order) {
            counter!(metrics::REPEATED_ORDERS).increment(1);
            debug!(order.id = %order.terms.id, "order {} equals one of {age_ms} ms ago", order.terms.id);
        }
        let quote = self.state.quote(&order.terms.instrument);
        let approved = approved_record(&order, proposed, quote);
        if let Some(ticket) = Ticket::new(Some(&cause.meta), &cause.key.sent, &approved) {
            self.tickets.insert(order.terms.id.clone(), ticket);
        }
        round.records.push(journaled(cause, v1::journal_record::Kind::Approved(approved)));
        self.apply(Record::Approved(Box::new(Order::clone(&order))))?;
        round.approved.push((order, cause.meta.traceparent.clone()));
        Ok(())
    }

    fn decide_no_trade(
        &mut self,
        cause: &Cause,
        no_trade: &v1::NoTrade,
        round: &mut Round,
        effects: &mut Effects,
    ) -> Result<(), Ended> {
        let status = if no_trade.denial.is_some() { v1::TradeStatus::Denied } else { v1::TradeStatus::NoTrade };
        counter!(metrics::DECISIONS, "code" => "NO_TRADE").increment(1);
        let report = v1::TradeReport {
            status: status.into(),
            denial: no_trade.denial.clone(),
            agent: no_trade.agent.clone(),
            rationale: no_trade.rationale.clone(),
            ..v1::TradeReport::default()
        };
        let refused = v1::TradeRefused { report: Some(report), ..v1::TradeRefused::default() };
        self.refuse(cause, refused, round, effects)
    }

    fn refuse(
        &mut self,
        cause: &Cause,
        refused: v1::TradeRefused,
        round: &mut Round,
        effects: &mut Effects,
    ) -> Result<(), Ended> {
        let report = refused.report.clone().unwrap_or_default();
        round.records.push(journaled(cause, v1::journal_record::Kind::Refused(refused)));
        self.apply(Record::Refused { trade: cause.key.trade.clone() })?;
        self.tell(cause, outcome::refused(Some(&cause.meta), &cause.key.sent, report), effects);
        Ok(())
    }

    fn decide_withdrawal(
        &mut self,
        cause: &Cause,
        asked: &v1::WithdrawalRequested,
        round: &mut Round,
        effects: &mut Effects,
    ) -> Result<Result<(), InvalidField>, Ended> {
        let currency = match id("currency", &asked.currency) {
            Ok(currency) => currency,
            Err(malformed) => return Ok(Err(malformed)),
        };
        if let Err(malformed) = check_receiver(&cause.key.account, &asked.to_account_id) {
            return Ok(Err(malformed));
        }
        let amount = Money::from_micros(asked.amount_micros);
        let decided = decide_withdrawal(&self.state, &cause.key.account, &currency, amount);
        let code = decided.map_or_else(|denied| denied.reason.as_str(), |()| "WITHDRAWAL_APPROVED");
        counter!(metrics::DECISIONS, "code" => code).increment(1);
        let report = v1::WithdrawalReport {
            amount_micros: asked.amount_micros,
            currency: asked.currency.clone(),
            denial: decided.err().map(denial),
            to_account_id: asked.to_account_id.clone(),
        };
        let journal = v1::WithdrawalDecided { report: Some(report.clone()) };
        round.records.push(journaled(cause, v1::journal_record::Kind::Withdrawal(journal)));
        self.apply(Record::Withdrawal {
            trade: cause.key.trade.clone(),
            account: cause.key.account.clone(),
            currency,
            held: decided.is_ok().then_some(amount),
        })?;
        self.tell(cause, outcome::withdrawal(Some(&cause.meta), &cause.key.sent, report), effects);
        Ok(Ok(()))
    }

    /// What cancels nothing changes nothing; of a trade that is over the outcome is told again.
    fn decide_cancel(
        &mut self,
        key: &Key,
        cancel: &v1::CancelRequested,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<Result<(), InvalidField>, Ended> {
        let trade: TradeId = match id("cancel.trade_id", &cancel.trade_id) {
            Ok(trade) => trade,
            Err(malformed) => return Ok(Err(malformed)),
        };
        match decide_cancel(&self.state, &trade, &key.account, now) {
            Ok(Some(open)) => {
                effects.cancels.push(open.order.terms.id.clone());
                self.apply(Record::CancelSent { account: key.account.clone(), at: now })?;
            }
            Ok(None) => {
                let own = |report: &v1::ExecutionReport| {
                    report.key.as_ref().is_some_and(|own| own.account_id == key.account.as_str())
                };
                effects.reports.extend(self.last_reports.report(&trade).filter(own));
            }
            Err(denied) => {
                counter!(metrics::DECISIONS, "code" => denied.reason.as_str()).increment(1);
                let key = v1::TradeKey { trade_id: cancel.trade_id.clone(), ..key.sent.clone() };
                effects.denied_cancels.push(v1::CancelDenied { key: Some(key), denial: Some(denial(denied)) });
            }
        }
        Ok(Ok(()))
    }

    fn tell(&mut self, cause: &Cause, report: v1::ExecutionReport, effects: &mut Effects) {
        self.last_reports.keep(cause.key.trade.clone(), Kept::without_order(report.clone()));
        effects.reports.push(report);
    }
}

fn parse(proposal: &v1::Proposal) -> Result<(Key, &v1::proposal::Kind), InvalidField> {
    Ok((Key::parse(proposal.key.as_ref())?, required("kind", proposal.kind.as_ref())?))
}

/// What is proposed, checked.
pub(crate) fn proposed(key: &Key, order: &v1::OrderProposed) -> Result<Proposed, InvalidField> {
    let terms = required("terms", order.terms.as_ref())?;
    let terms = OrderTerms::try_from(terms).map_err(|e| e.inside("terms"))?;
    // One trade has one order, whoever proposes: a repeat can never become a second one.
    if terms.id.as_str() != format!("{}-o", key.trade) {
        return Err(InvalidField::new("terms.order_id", "ORDER_ID_FOREIGN", "does not belong to the trade"));
    }
    let (agent, pool) = agent_and_pool(&order.agent_id, &order.pool)?;
    Ok(Proposed {
        trade: key.trade.clone(),
        account: key.account.clone(),
        terms,
        agent,
        pool,
        timeframe: timeframe(&order.timeframe)?,
        tier: v1::Tier::try_from(key.sent.tier).ok().and_then(|tier| tier.try_into().ok()).unwrap_or(Tier::Free),
        confidence_ppm: order.confidence_ppm,
        purpose: match order.reduction_id.as_str() {
            "" => Purpose::Trade,
            reduction => Purpose::Reduce(id("reduction_id", reduction)?),
        },
        valid_until: Timestamp::from_micros(order.valid_until_micros),
        trades_per_day_max: u32::try_from(order.max_trades_per_day).ok().filter(|max| *max > 0),
        is_first_on_match: order.is_first_on_match,
    })
}

/// Money leaves the platform, or goes to another account; one that nobody has heard of is opened.
fn check_receiver(sender: &AccountId, receiver: &str) -> Result<(), InvalidField> {
    let field = "to_account_id";
    if !receiver.is_empty() && id::<Account>(field, receiver)? == *sender {
        return Err(InvalidField::new(field, "RECEIVER_IS_SENDER", "is the sender"));
    }
    Ok(())
}

/// What the caller can be told about terms that mean nothing; `None` for what only a bug can make.
fn unanswerable(malformed: &InvalidField, order: &v1::OrderProposed) -> Option<Denied> {
    let terms = order.terms.as_ref()?;
    let denied = |reason, limit, observed| Some(Denied { reason, limit, observed });
    match malformed.field.as_str() {
        "terms.quantity_micros" => denied(DenialReason::QuantityTooSmall, 1, terms.quantity_micros),
        "terms.limit_price_micros" => denied(DenialReason::PriceOutOfRange, 1, terms.limit_price_micros),
        "terms.instrument_id" => denied(DenialReason::UnknownInstrument, 0, 0),
        _ => None,
    }
}

fn journaled(cause: &Cause, kind: v1::journal_record::Kind) -> v1::JournalRecord {
    v1::JournalRecord { meta: Some(cause.meta.clone()), key: Some(cause.key.sent.clone()), kind: Some(kind) }
}
