//! From a report or a deposit to something that can be booked: parsed once,
//! here. What does not parse is still an item, so that it is kept and seen.

use crate::{slot::SLOTS, unbookable::Unbookable};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tragen_contracts::{
    convert::{self, InvalidField},
    trade_id, v1,
};
use tragen_domain::{
    execution::Fill,
    id::{AccountId, Currency, ExecutionId, InstrumentId},
    instrument::SettlementTerms,
    ledger::{DEFAULT_CURRENCY, VenueId},
    money::{Money, Price},
    order::{OrderTerms, TradeStatus},
};
use tragen_host::trace::trace_id_of;
use uuid::Uuid;

/// What the ledger calls itself in `exec.<venue>`, for what it reports to another of its shards.
pub(crate) const LEDGER_VENUE: &str = "ledger";

/// Longest request id, bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// One thing to book, or to set aside.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// The report as it came; for a deposit only envelope and key are set.
    pub(crate) report: v1::ExecutionReport,
    /// Where it was reported from.
    pub(crate) venue: String,
    /// How often it was delivered; 1 for the first time.
    pub(crate) deliveries: u64,
    /// The trace context of what booking it causes.
    pub(crate) traceparent: String,
    /// What to book, or why it cannot be.
    pub(crate) action: Result<Action, Unbookable>,
}

/// Whose, and under which name.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) trade_id: Uuid,
    pub(crate) account: AccountId,
}

/// What to book.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// Something of one account.
    Account(Key, AccountAction),
    /// A market is decided.
    Settlement(SettlementAction),
}

/// What to book to one account.
#[derive(Debug, Clone)]
pub(crate) enum AccountAction {
    /// A trade, or a step of it.
    Trade(Box<TradeAction>),
    /// Money in.
    Deposit { currency: Currency, amount: Money },
    /// Money out, or to another account, as the guard decided.
    Withdrawal { currency: Currency, amount: Money, to: Option<AccountId>, denial: Option<v1::Denial> },
    /// Money sent by another account.
    Arrival { currency: Currency, amount: Money, from: AccountId, route: (u16, u16) },
    /// Cash put right by hand.
    Adjustment { currency: Currency, amount: Money, note: Note },
    /// Something booked by mistake, booked backwards.
    Correction {
        /// The id of a deposit, withdrawal or adjustment, or of an execution.
        of: String,
        note: Note,
    },
    /// A frozen account may trade again.
    Unfreezing { currency: Currency, note: Note },
    /// What a decided market pays.
    Payout(SettlementAction),
}

/// Why something is booked by hand, and by whom.
#[derive(Debug, Clone, Default)]
pub(crate) struct Note {
    pub(crate) reason: String,
    pub(crate) proposed_by: String,
    pub(crate) confirmed_by: String,
}

/// A decided market.
#[derive(Debug, Clone)]
pub(crate) struct SettlementAction {
    pub(crate) booking_id: Uuid,
    pub(crate) venue: VenueId,
    pub(crate) instrument: InstrumentId,
    /// Paid per contract; `None` when the market is void.
    pub(crate) value: Option<Price>,
    pub(crate) note: Note,
}

/// The checked parts of a trade report.
#[derive(Debug, Clone)]
pub(crate) struct TradeAction {
    pub(crate) terms: Option<OrderTerms>,
    pub(crate) settlement: Option<SettlementTerms>,
    pub(crate) fills: Vec<Fill>,
    pub(crate) status: TradeStatus,
}

impl Item {
    /// An item of an execution batch that came from `venue`.
    pub(crate) fn report(mut report: v1::ExecutionReport, venue: &str, deliveries: u64) -> Self {
        let action = parse(&mut report, venue).map_err(Unbookable::malformed);
        if let Some(meta) = report.meta.as_mut().filter(|meta| trace_id_of(&meta.traceparent).is_empty()) {
            meta.traceparent.clear();
        }
        let traceparent = report.meta.as_ref().map(|meta| meta.traceparent.clone()).unwrap_or_default();
        Self { report, venue: venue.to_owned(), deliveries, traceparent, action }
    }

    /// A deposit asked for by `account_id` at `now`.
    ///
    /// # Errors
    /// [`InvalidField`] naming the field that cannot be used.
    pub(crate) fn deposit(
        account_id: &str,
        request: &v1::DepositRequest,
        traceparent: String,
        now_micros: i64,
    ) -> Result<Self, InvalidField> {
        let account: AccountId = convert::id("account_id", account_id)?;
        check_request_id(&request.request_id)?;
        let currency = currency("currency", &request.currency)?;
        let amount = positive("amount_micros", request.amount_micros)?;
        // A deposit has ids of its own: a trade or withdrawal with the same request id is another matter.
        let trade_id = trade_id(account_id, &format!("deposit/{}", request.request_id));
        let meta = v1::Meta {
            event_id: trade_id.to_string(),
            traceparent: traceparent.clone(),
            occurred_at_micros: now_micros,
            ..v1::Meta::default()
        };
        let key = v1::TradeKey {
            trade_id: trade_id.to_string(),
            request_id: request.request_id.clone(),
            account_id: account_id.to_owned(),
            tier: 0,
            payload_hash: Sha256::digest(request.encode_to_vec()).to_vec().into(),
            created_at_micros: now_micros,
        };
        let action = Action::Account(Key { trade_id, account }, AccountAction::Deposit { currency, amount });
        Ok(Self {
            report: v1::ExecutionReport { meta: Some(meta), key: Some(key), kind: None },
            venue: String::new(),
            deliveries: 1,
            traceparent,
            action: Ok(action),
        })
    }

    /// What `settlement` pays to `account`.
    pub(crate) fn payout(&self, settlement: &SettlementAction, account: AccountId) -> Self {
        let key = Key { trade_id: settlement.booking_id, account };
        Self { action: Ok(Action::Account(key, AccountAction::Payout(settlement.clone()))), ..self.clone() }
    }

    /// The arrival of what this item sends from `from`, and the report that carries
    /// it if it has to go to another shard.
    pub(crate) fn arrival(
        &self,
        key: &Key,
        to: &AccountId,
        (currency, amount): (&Currency, Money),
        route: (u16, u16),
    ) -> Self {
        let arrival = v1::ArrivalReport {
            from_account_id: key.account.to_string(),
            amount_micros: amount.micros(),
            currency: currency.to_string(),
            from_shard: route.0.into(),
            to_shard: route.1.into(),
        };
        // The receiver's row has a name of its own: both may lie in the same table.
        let trade_id = arrival_id(key.trade_id);
        let raw = v1::TradeKey { trade_id: trade_id.to_string(), account_id: to.to_string(), ..self.raw_key() };
        let meta = v1::Meta {
            event_id: trade_id.to_string(),
            traceparent: self.traceparent.clone(),
            causation_id: self.event_id().to_owned(),
            ..self.report.meta.clone().unwrap_or_default()
        };
        let kind = Some(v1::execution_report::Kind::Arrival(arrival));
        let action = AccountAction::Arrival { currency: currency.clone(), amount, from: key.account.clone(), route };
        Self {
            report: v1::ExecutionReport { meta: Some(meta), key: Some(raw), kind },
            venue: LEDGER_VENUE.to_owned(),
            deliveries: 1,
            traceparent: self.traceparent.clone(),
            action: Ok(Action::Account(Key { trade_id, account: to.clone() }, action)),
        }
    }

    /// The envelope's event id; empty when there is none.
    pub(crate) fn event_id(&self) -> &str {
        self.report.meta.as_ref().map_or("", |meta| meta.event_id.as_str())
    }

    /// The key as it came.
    pub(crate) fn raw_key(&self) -> v1::TradeKey {
        self.report.key.clone().unwrap_or_default()
    }
}

/// The id of the receiver's side of what `trade_id` sends.
pub(crate) fn arrival_id(trade_id: Uuid) -> Uuid {
    Uuid::new_v5(&trade_id, b"received")
}

/// A currency; [`DEFAULT_CURRENCY`] when none is named.
///
/// # Errors
/// [`InvalidField`].
pub(crate) fn currency(field: &str, text: &str) -> Result<Currency, InvalidField> {
    convert::id(field, if text.is_empty() { DEFAULT_CURRENCY } else { text })
}

fn parse(report: &mut v1::ExecutionReport, venue: &str) -> Result<Action, InvalidField> {
    let venue: VenueId = convert::id("venue", venue)?;
    let key = convert::required("key", report.key.as_ref())?;
    check_request_id(&key.request_id).map_err(|error| error.inside("key"))?;
    let trade_id = uuid("key.trade_id", &key.trade_id)?;
    if let Some(v1::execution_report::Kind::Booking(booking)) = &report.kind
        && let Some(v1::booking::Kind::Settlement(settlement)) = &booking.kind
    {
        let settlement = settlement_action(settlement, booking, (trade_id, venue));
        return settlement.map(Action::Settlement).map_err(|error| error.inside("booking.settlement"));
    }
    let account = convert::id("key.account_id", &key.account_id)?;
    let action = match report.kind.as_mut() {
        Some(v1::execution_report::Kind::Trade(trade)) => {
            without_nul(trade);
            AccountAction::Trade(Box::new(trade_action(trade).map_err(|error| error.inside("trade"))?))
        }
        Some(v1::execution_report::Kind::Withdrawal(withdrawal)) => {
            if let Some(denial) = &mut withdrawal.denial {
                denial.message.retain(|c| c != '\0');
            }
            let to = &withdrawal.to_account_id;
            AccountAction::Withdrawal {
                currency: currency("withdrawal.currency", &withdrawal.currency)?,
                amount: positive("withdrawal.amount_micros", withdrawal.amount_micros)?,
                to: (!to.is_empty()).then(|| convert::id("withdrawal.to_account_id", to)).transpose()?,
                denial: withdrawal.denial.clone(),
            }
        }
        Some(v1::execution_report::Kind::Arrival(arrival)) => AccountAction::Arrival {
            currency: currency("arrival.currency", &arrival.currency)?,
            amount: positive("arrival.amount_micros", arrival.amount_micros)?,
            from: convert::id("arrival.from_account_id", &arrival.from_account_id)?,
            route: (shard("arrival.from_shard", arrival.from_shard)?, shard("arrival.to_shard", arrival.to_shard)?),
        },
        Some(v1::execution_report::Kind::Booking(booking)) => {
            booking_action(booking, &account).map_err(|error| error.inside("booking"))?
        }
        None => return Err(InvalidField::new("kind", "FIELD_MISSING", "is missing")),
    };
    Ok(Action::Account(Key { trade_id, account }, action))
}

fn booking_action(booking: &v1::Booking, account: &AccountId) -> Result<AccountAction, InvalidField> {
    let own = |field, account_id: &str| {
        let is_own = account_id == account.as_str();
        is_own.then_some(()).ok_or_else(|| InvalidField::new(field, "ACCOUNT_DIFFERS", "is not the account of the key"))
    };
    match &booking.kind {
        Some(v1::booking::Kind::Adjustment(adjustment)) => {
            own("adjustment.account_id", &adjustment.account_id)?;
            if adjustment.amount_micros == 0 {
                return Err(InvalidField::new("adjustment.amount_micros", "AMOUNT_ZERO", "must not be zero"));
            }
            let amount = Money::from_micros(adjustment.amount_micros);
            let currency = currency("adjustment.currency", &adjustment.currency)?;
            Ok(AccountAction::Adjustment { currency, amount, note: note(booking)? })
        }
        Some(v1::booking::Kind::Correction(correction)) => {
            own("correction.account_id", &correction.account_id)?;
            // Which of the two it names, the books know: a venue may call its executions anything.
            let of: ExecutionId = convert::id("correction.reference_id", &correction.reference_id)?;
            Ok(AccountAction::Correction { of: of.to_string(), note: note(booking)? })
        }
        Some(v1::booking::Kind::Unfreezing(unfreezing)) => {
            own("unfreezing.account_id", &unfreezing.account_id)?;
            let currency = currency("unfreezing.currency", &unfreezing.currency)?;
            Ok(AccountAction::Unfreezing { currency, note: note(booking)? })
        }
        Some(v1::booking::Kind::Settlement(_)) | None => Err(InvalidField::new("kind", "FIELD_MISSING", "is missing")),
    }
}

fn settlement_action(
    settlement: &v1::Settlement,
    booking: &v1::Booking,
    (booking_id, venue): (Uuid, VenueId),
) -> Result<SettlementAction, InvalidField> {
    let value = match settlement.outcome {
        Some(v1::settlement::Outcome::ValueMicros(value)) if value >= 0 => Some(Price::from_micros(value)),
        Some(v1::settlement::Outcome::ValueMicros(_)) => {
            return Err(InvalidField::new("value_micros", "VALUE_NEGATIVE", "must not be negative"));
        }
        Some(v1::settlement::Outcome::IsVoid(true)) => None,
        Some(v1::settlement::Outcome::IsVoid(false)) | None => {
            return Err(InvalidField::new("outcome", "FIELD_MISSING", "is missing"));
        }
    };
    let instrument = convert::id("instrument_id", &settlement.instrument_id)?;
    Ok(SettlementAction { booking_id, venue, instrument, value, note: note(booking)? })
}

/// Two people must stand behind what is booked by hand; the guard has seen to it, this is the second look.
fn note(booking: &v1::Booking) -> Result<Note, InvalidField> {
    let is_alone = booking.proposed_by.is_empty() || booking.confirmed_by.is_empty();
    if is_alone || booking.proposed_by == booking.confirmed_by {
        return Err(InvalidField::new("confirmed_by", "ONE_PERSON_ONLY", "must be another person than proposed_by"));
    }
    let clean = |text: &str| text.replace('\0', "");
    let reason = clean(&booking.reason);
    if reason.trim().is_empty() {
        return Err(InvalidField::new("reason", "FIELD_MISSING", "is missing"));
    }
    Ok(Note { reason, proposed_by: clean(&booking.proposed_by), confirmed_by: clean(&booking.confirmed_by) })
}

fn uuid(field: &str, text: &str) -> Result<Uuid, InvalidField> {
    Uuid::try_parse(text).map_err(|_| InvalidField::new(field, "UUID_INVALID", "must be a UUID"))
}

fn shard(field: &str, number: i32) -> Result<u16, InvalidField> {
    let number = u16::try_from(number).ok().filter(|shard| *shard < SLOTS);
    number.ok_or_else(|| InvalidField::new(field, "SHARD_UNKNOWN", "is not a shard"))
}

fn trade_action(trade: &v1::TradeReport) -> Result<TradeAction, InvalidField> {
    let status = v1::TradeStatus::try_from(trade.status)
        .map_err(|_| InvalidField::new("status", "ENUM_UNKNOWN", format!("{} is not a known value", trade.status)))?;
    let action = TradeAction {
        terms: trade.terms.as_ref().map(OrderTerms::try_from).transpose().map_err(|e| e.inside("terms"))?,
        settlement: trade
            .settlement
            .as_ref()
            .map(SettlementTerms::try_from)
            .transpose()
            .map_err(|e| e.inside("settlement"))?,
        fills: trade.fills.iter().map(Fill::try_from).collect::<Result<_, _>>().map_err(|e| e.inside("fills"))?,
        status: TradeStatus::try_from(status)?,
    };
    let has_order = action.terms.is_some() && action.settlement.is_some();
    let may_fill = has_order && !matches!(action.status, TradeStatus::Denied | TradeStatus::NoTrade);
    if action.fills.is_empty() || may_fill {
        Ok(action)
    } else {
        Err(InvalidField::new("fills", "FILLS_WITHOUT_ORDER", "there are fills but no order that may fill"))
    }
}

/// A database's text cannot hold NUL; everything else of a text is kept.
fn without_nul(trade: &mut v1::TradeReport) {
    for text in [&mut trade.rejection, &mut trade.agent, &mut trade.agent_id, &mut trade.rationale] {
        text.retain(|c| c != '\0');
    }
    if let Some(denial) = &mut trade.denial {
        denial.message.retain(|c| c != '\0');
    }
}

fn check_request_id(request_id: &str) -> Result<(), InvalidField> {
    if request_id.is_empty() || request_id.len() > REQUEST_ID_BYTES_MAX || request_id.contains('\0') {
        let message = format!("must be 1 to {REQUEST_ID_BYTES_MAX} bytes of text");
        return Err(InvalidField::new("request_id", "REQUEST_ID_INVALID", message));
    }
    Ok(())
}

fn positive(field: &str, micros: i64) -> Result<Money, InvalidField> {
    if micros > 0 {
        Ok(Money::from_micros(micros))
    } else {
        Err(InvalidField::new(field, "AMOUNT_NOT_POSITIVE", "must be above zero"))
    }
}
